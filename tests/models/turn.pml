/* SPDX-License-Identifier: MIT */
/*
 * A model of the turn in src/turn.c: the queue of tickets that stand on their threads' stacks, sleeping for others,
 * taking updates along, and passing the turn on.
 *
 * THREADS threads queue ROUNDS tickets each, one after the other; whether one is an update is chosen anew every time.
 *
 * What must hold:
 *   one at a time        nobody has the turn while somebody else has it
 *   each exactly once    a ticket is carried out once, by its own thread or by the one that took it along
 *   no use after return  every access to a ticket or its gate asserts that its thread has not left
 *   nobody is forgotten  the run ends, and the queue is empty then
 *
 * check.sh runs it as it is, and once with each of these flags, which plant a bug that must be found:
 *   OPEN_BEFORE_UNLINK   those that were taken along may go before they are off the queue
 *   NEXT_AFTER_OPEN      the link to the next ticket is read when the ticket may be gone
 *   DONE_AFTER_OPEN      a ticket is marked done when its thread may have looked already
 *   PASS_TO_TAKEN        the turn is passed to the first that was taken along
 *   WAKE_AFTER_UNLOCK    the head that sleeps for others is woken when it may have gone on
 */
#ifndef THREADS
#define THREADS 3
#endif
#ifndef ROUNDS
#define ROUNDS 2
#endif
#define NIL 255

/* tickets: each thread has one, on its stack while `there` */
bool there[THREADS];
byte next[THREADS] = NIL;
bool is_update[THREADS], done[THREADS];
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

proctype thread(byte me)
{
    byte round, taken = NIL, following = NIL, end = NIL, head = NIL, sleeper = NIL;
    bool at_once;

    do
    :: round == ROUNDS -> break
    :: round < ROUNDS ->
        atomic { /* ct_turn_take() */
            there[me] = true;
            next[me] = NIL;
            done[me] = false;
            gate_open[me] = false;
            carried_out[me] = 0;
            if
            :: is_update[me] = true
            :: is_update[me] = false
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
                sleeper = first
#ifndef WAKE_AFTER_UNLOCK
                ;
                touch(sleeper);
                assert(!gate_open[sleeper]);
                gate_open[sleeper] = true;
                sleeper = NIL
#endif
            :: else
            fi
        }
#ifdef WAKE_AFTER_UNLOCK
        if
        :: sleeper != NIL -> open_gate(sleeper); sleeper = NIL
        :: else
        fi;
#endif
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
            assert(holder == NIL && first == me);
            holder = me;
            if /* gather(): for how many, and whether at all, is up to what has been */
            :: awaited = length + 1
            :: awaited = length + 2
            :: goto gathered
            fi
        }
        if /* they come, or it has been long enough */
        :: atomic { gate_open[me]; gate_open[me] = false }
        :: true
        fi;
        awaited = 0;
gathered:
        atomic { /* take_along(); how many is up to their size */
            end = me;
            do
            :: is_update[me] && next[end] != NIL && is_update[next[end]] -> end = next[end]; touch(end)
            :: break
            od
        }
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
leaves:
        atomic {
            assert(carried_out[me] == 1);
            there[me] = false;
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
