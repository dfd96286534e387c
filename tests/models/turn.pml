/* SPDX-License-Identifier: MIT */
/*
 * A model of the turn in src/turn.c: the queue of tickets that stand on their threads' stacks, sleeping for others,
 * taking updates along, lending the turn to those that only read, and passing it on.
 *
 * THREADS threads queue ROUNDS tickets each, one after the other; whether one is an update, only reads, or neither is
 * chosen anew every time.
 *
 * What must hold:
 *   one at a time        nobody has the turn while somebody else has it
 *   each exactly once    a ticket is carried out once, by its own thread or by the one that took it along
 *   no use after return  every access to a ticket or its gate asserts that its thread has not left
 *   lent and given back  the lender goes on when the last of those that it lent to has passed the turn back
 *   nobody is forgotten  the run ends, and the queue is empty then
 *
 * check.sh runs it as it is, and once with each of these flags, which plant a bug that must be found:
 *   OPEN_BEFORE_UNLINK   those that were taken along may go before they are off the queue
 *   NEXT_AFTER_OPEN      the link to the next ticket is read when the ticket may be gone
 *   DONE_AFTER_OPEN      a ticket is marked done when its thread may have looked already
 *   PASS_TO_TAKEN        the turn is passed to the first that was taken along
 *   LATE_WAKE_KEPT       the head sleeps for others, and leaves its gate open if they came too late
 *   NEXT_AFTER_LOAN      the link to the next borrower is read when the one before it may be gone
 *   LAST_LEFT_BEHIND     the queue's end is not moved when a borrower stood there
 */
#ifndef THREADS
#define THREADS 3
#endif
#ifndef ROUNDS
#define ROUNDS 2
#endif
#ifndef LOANS
#define LOANS 1 /* how often a holder lends at the most */
#endif
#define NIL 255

/* tickets: each thread has one, on its stack while `there` */
bool there[THREADS];
byte next[THREADS] = NIL;
bool is_update[THREADS], reads[THREADS], done[THREADS];
byte lender[THREADS] = NIL;
bool gate_open[THREADS];
byte carried_out[THREADS];

/* the turn; what is done under its lock is one step */
byte first = NIL, last = NIL;
byte length, awaited;

byte holder = NIL;

#define touch(t) assert(there[t])

/* ct_gate_open(), a semaphore */
inline open_gate(t)
{
    atomic { touch(t); assert(!gate_open[t]); gate_open[t] = true }
}

inline open_taken_along()
{
    do
    :: taken == NIL -> break
    :: taken != NIL ->
        atomic {
            touch(taken);
            following = next[taken]
#ifndef DONE_AFTER_OPEN
            ;
            done[taken] = true
#endif
        }
        open_gate(taken);
#ifdef DONE_AFTER_OPEN
        atomic { touch(taken); done[taken] = true }
#endif
#ifdef NEXT_AFTER_OPEN
        atomic { touch(taken); following = next[taken] }
#endif
        atomic { taken = following; following = NIL }
    od
}

/* Those that only read leave the queue; they become the list that begins with `borrower`. */
inline take_readers()
{
    atomic {
        kept = me;
        at = next[me];
        do
        :: at == NIL -> break
        :: at != NIL && reads[at] ->
            if
            :: borrower == NIL -> borrower = at
            :: else -> next[end] = at
            fi;
            end = at;
            at = next[at]
        :: at != NIL && !reads[at] -> next[kept] = at; kept = at; at = next[at]
        od;
        if
        :: end != NIL -> next[end] = NIL
        :: else
        fi;
        next[kept] = NIL;
#ifndef LAST_LEFT_BEHIND
        last = kept;
#endif
        kept = NIL;
        end = NIL
    }
}

/* ct_turn_lend() */
inline lend()
{
    take_readers();
    do
    :: borrower == NIL -> break
    :: borrower != NIL ->
        atomic {
            touch(borrower);
            following = next[borrower];
            lender[borrower] = me;
            length--; /* the model counts those in the queue */
            holder = NIL
        }
        open_gate(borrower);
        atomic { gate_open[me]; gate_open[me] = false; assert(holder == NIL); holder = me }
#ifdef NEXT_AFTER_LOAN
        atomic { touch(borrower); following = next[borrower] }
#endif
        atomic { borrower = following; following = NIL }
    od
}

proctype thread(byte me)
{
    byte round, taken = NIL, following = NIL, end = NIL, head = NIL, borrower = NIL, kept = NIL, at = NIL,
         lasting = NIL, lent;
    bool at_once, late;

    do
    :: round == ROUNDS -> break
    :: round < ROUNDS ->
        atomic { /* ct_turn_take() */
            there[me] = true;
            next[me] = NIL;
            done[me] = false;
            gate_open[me] = false;
            carried_out[me] = 0;
            lender[me] = NIL;
            if
            :: is_update[me] = true; reads[me] = false
            :: is_update[me] = false; reads[me] = true
            :: is_update[me] = false; reads[me] = false
            fi;
            at_once = first == NIL;
            if
            :: at_once -> first = me
            :: else -> touch(last); next[last] = me
            fi;
            last = me;
            length++;
            if
            :: length == awaited ->
                awaited = 0;
                touch(first);
                assert(!gate_open[first]);
                gate_open[first] = true
            :: else
            fi
        }
        if
        :: at_once
        :: else ->
            atomic {
                gate_open[me];
                gate_open[me] = false;
                if
                :: done[me] -> goto leaves
                :: else
                fi
            }
        fi;
        atomic {
            assert(holder == NIL && (first == me || lender[me] != NIL));
            holder = me;
            if
            :: lender[me] != NIL -> carried_out[me]++; goto borrowed
            :: else
            fi;
            if /* ct_turn_gather(): for how many, and whether at all, is up to what has been */
            :: awaited = length + 1
            :: awaited = length + 2
            :: goto gathered
            fi
        }
        if /* they come, or it has been long enough */
        :: atomic { gate_open[me]; gate_open[me] = false }
        :: late = true
        fi;
        atomic { late = late && awaited == 0; awaited = 0 }
        if
#ifndef LATE_WAKE_KEPT
        :: late -> atomic { gate_open[me]; gate_open[me] = false; late = false }
#endif
        :: else -> late = false
        fi;
gathered:
        atomic { /* ct_turn_take_along(); how many is up to their size */
            end = me;
            do
            :: is_update[me] && next[end] != NIL && is_update[next[end]] -> end = next[end]; touch(end)
            :: break
            od
        }
        lasting = end;
        end = NIL;
        do /* somebody else has the writer lock for so long */
        :: !reads[me] && lent < LOANS -> lent++; lend()
        :: break
        od;
        end = lasting;
        lasting = NIL;
        lent = 0;
        taken = me;
        do /* prepare() and the rest of carry_out() */
        :: atomic {
                touch(taken);
                carried_out[taken]++;
                if
                :: taken == end -> break
                :: else -> taken = next[taken]
                fi
            }
        od;
        taken = NIL;
#ifdef OPEN_BEFORE_UNLINK
        taken = (end != me -> next[me] : NIL);
        open_taken_along();
#endif
        atomic { /* ct_turn_pass() */
            touch(end);
            head = next[end];
#ifdef PASS_TO_TAKEN
            head = next[me];
#endif
#ifndef OPEN_BEFORE_UNLINK
            taken = (end != me -> next[me] : NIL);
#endif
            next[end] = NIL;
            holder = NIL;
            end = me;
            do
            :: end == NIL -> break
            :: else -> length--; end = next[end]
            od;
            first = head;
            last = (head == NIL -> NIL : last)
        }
        open_taken_along();
        if
        :: head != NIL -> open_gate(head)
        :: else
        fi;
        goto leaves;
borrowed:
        atomic { holder = NIL; end = lender[me]; there[me] = false } /* give_back(): nothing of its own is touched again */
        open_gate(end);
leaves:
        atomic {
            assert(carried_out[me] == 1);
            there[me] = false;
            is_update[me] = false; /* what is of no use any more has one value, so that there are fewer states */
            reads[me] = false;
            done[me] = false;
            lender[me] = NIL;
            carried_out[me] = 0;
            next[me] = NIL;
            at_once = false;
            end = NIL;
            head = NIL;
            round++
        }
    od
}

init
{
    byte t;
    atomic {
        do
        :: t < THREADS -> run thread(t); t++
        :: else -> break
        od
    }
    _nr_pr == 1;
    assert(first == NIL && last == NIL && holder == NIL && length == 0 && awaited == 0)
}
