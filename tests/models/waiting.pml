/* SPDX-License-Identifier: MIT */
/*
 * A model of waiting: what src/board.c, promise.c, abort.c, service.c and closing in tracker.c do with locks, references
 * and gates, for every order in which threads can do it.
 *
 * N threads wait for one point, each with a promise of its own: they block, have a callback run, or release at once. An
 * updater commits, or fails to, and publishes; an aborter gives the signal that all share, and releases it; the service
 * thread ends waits and runs callbacks; a closer closes. Time is not modelled: a wait with a limit may time out at any
 * moment. What a thread does under the board's lock is one step, and so is what only itself can tell apart.
 *
 * What must hold:
 *   no lost wake-up      the run ends: nobody stands at a gate when the point was published, or all was closed
 *   no false wake-up     a wait that ended OK is true of the file (`committed`)
 *   settled once         settle() asserts that the wait was pending
 *   no use after free    every access to a promise, gate, signal or board asserts that it is there
 *   no leak              at the end every reference is gone, and every callback has run once
 *   close does not hang  the run ends
 *
 * check.sh runs it as it is, and once with each of these flags, which plant a bug that must be found:
 *   PUBLISH_FIRST        memory is changed before the commit, which may fail
 *   CHECK_OUTSIDE_LOCK   progress is looked at before the lock under which the wait is registered
 *   CLOSE_WITHOUT_WAKING close settles, but opens no gates
 *   DROP_REF_EARLY       waking drops the wait set's reference first
 *   NEXT_AFTER_WAKE      waking reads the link to the next wait when the promise may be gone
 *   SETTLE_TWICE         settling does not look under the lock whether somebody else was first
 *   ABORT_WITHOUT_REF    abort takes a promise off the list without a reference to it
 *   ABORT_UNDER_LOCK     abort settles while it holds the signal's lock
 *   GATE_AFTER_OPEN      waking reads the link to the next gate when the gate may be gone
 *   CALLBACK_WITHOUT_REF the queue of callbacks holds no reference
 */
#ifndef N
#define N 2
#endif
#ifndef TIMED
#define TIMED 0 /* the waiters whose waits have a time limit, a bit for each; their time need not be up before the end */
#endif
#ifndef HEARD
#ifdef CALLBACK_WITHOUT_REF
#define HEARD 1
#else
#define HEARD 0 /* those who have a callback run */
#endif
#endif

#ifndef ABORTS
#define ABORTS 1 /* whether the signal may be given */
#endif

mtype = { NONE, PENDING, OK, TIMED_OUT, ABORTED, CLOSED };

/* promises, with their waits; NONE: not made yet, or freed */
mtype status[N] = NONE;
byte refs[N];
bool in_set[N];   /* pending in the wait set */
bool has_link[N]; /* abort_link.signal */
bool on_list[N];  /* of the signal */
bool timed[N];    /* it has a time limit, and is pending */
bool heard[N];    /* it has a callback */
bool queued[N];   /* the callback is to run */

/* the gate on the stack of the thread that blocks */
bool gate_there[N], gate_open[N];
bool gate_given[N]; /* it stands in promise->gates */

/* the board, and the tracker */
bool board_lock, closed, published, board_freed;
byte board_refs = 1;
byte under_way = 1; /* calls, and one until the tracker is closed */
bool stopping, service_ended;

/* the signal */
bool signal_lock, aborted, signal_freed;
byte signal_refs = 1;

/* the file */
bool committed;

/* what the program's threads know of each other */
bool update_ended, stays_open;
byte began; /* waiters that have given the signal to their wait, or never will */

/* What every thread has on its stack; settled: the waits that it has settled and must wake. */
#define LOCALS byte k; byte settled; bool more

#define bit(p) (1 << (p))
#define touch(p) assert(status[p] != NONE)

/* ---------------------------------------------------------------- locks */

inline lock_board()
{
    !board_lock;
    assert(!board_freed);
    board_lock = true
}

inline unlock_board()
{
    assert(board_lock && !board_freed);
    board_lock = false
}

inline lock_signal()
{
    !signal_lock;
    assert(!signal_freed);
    signal_lock = true
}

inline unlock_signal()
{
    assert(signal_lock && !signal_freed);
    signal_lock = false
}

/* ---------------------------------------------------------------- references */

inline unref_board()
{
    assert(!board_freed && board_refs > 0);
    board_refs--;
    board_freed = board_refs == 0;
    assert(!board_freed || !board_lock)
}

inline unref_signal()
{
    assert(!signal_freed && signal_refs > 0);
    signal_refs--;
    signal_freed = signal_refs == 0;
    assert(!signal_freed || !signal_lock)
}

/* ct_promise_unref() and free_promise() */
inline unref(p)
{
    atomic {
        touch(p);
        assert(refs[p] > 0);
        refs[p]--;
        more = refs[p] > 0
    }
    if
    :: more -> more = false
    :: atomic {
            !more;
            lock_board();
            touch(p);
            assert(!in_set[p] && !has_link[p] && !on_list[p] && !queued[p]);
            status[p] = NONE;
            gate_given[p] = false;
            unlock_board();
            unref_board()
        }
    fi
}

/* ---------------------------------------------------------------- settling and waking */

/* ct_waitset_settle(): the one place where a status changes. The lock is held. */
inline settle(p, outcome)
{
    touch(p);
    assert(board_lock);
    assert(status[p] == PENDING && in_set[p]);
    assert(outcome != OK || published);
    in_set[p] = false;
    timed[p] = false;
    settled = settled | bit(p);
    status[p] = outcome
}

/* ct_waitset_end_all() and, since all wait for one point, ct_waitset_raised(). The lock is held. */
inline settle_all(outcome)
{
    do
    :: k < N && in_set[k] -> settle(k, outcome); k++
    :: k < N && !in_set[k] -> k++
    :: k == N -> break
    od;
    k = 0
}

/* ct_promise_settled() and ct_abort_detach(). The lock is held. */
inline detach_and_queue(p)
{
    touch(p);
    if
    :: has_link[p] ->
        lock_signal();
        on_list[p] = false;
        unlock_signal();
        has_link[p] = false;
        unref_signal()
    :: else
    fi;
    if
    :: heard[p] -> queue(p)
    :: else
    fi
}

/* ct_service_queue(). The lock is held. */
inline queue(p)
{
#ifndef CALLBACK_WITHOUT_REF
    refs[p]++;
#endif
    queued[p] = true
}

/* ct_board_unlock_and_wake(), while the lock is held */
inline finish_and_unlock()
{
    do
    :: k < N && (settled & bit(k)) -> detach_and_queue(k); k++
    :: k < N && !(settled & bit(k)) -> k++
    :: k == N -> break
    od;
    k = 0;
    unlock_board()
}

/* ct_board_unlock_and_wake(), when the lock is given back: ct_promise_wake() of each. */
inline wake_settled()
{
    do
    :: settled == 0 -> break
    :: atomic {
            settled != 0;
            do
            :: settled & bit(k) -> break
            :: else -> k++
            od;
            settled = settled - bit(k)
        }
#ifdef DROP_REF_EARLY
        unref(k);
#endif
        if
        :: atomic { /* ct_gate_open(), a semaphore */
                gate_given[k];
                touch(k);
                assert(gate_there[k] && !gate_open[k]);
                gate_open[k] = true
            }
#ifdef GATE_AFTER_OPEN
            assert(gate_there[k])
#endif
        :: atomic {
                !gate_given[k];
                touch(k)
            }
        fi;
#ifndef DROP_REF_EARLY
        unref(k);
#endif
#ifdef NEXT_AFTER_WAKE
        touch(k);
#endif
        k = 0
    od
}

/* ct_promise_settle(); its caller has a reference. */
inline promise_settle(p, outcome)
{
#ifdef SETTLE_TWICE
    atomic { touch(p); more = status[p] == PENDING }
#endif
    atomic {
        lock_board();
        touch(p);
#ifndef SETTLE_TWICE
        more = status[p] == PENDING;
#endif
        if
        :: more -> settle(p, outcome)
        :: else
        fi;
        more = false;
        finish_and_unlock()
    }
    wake_settled()
}

/* ---------------------------------------------------------------- threads */

/*
 * A call begins with ct_tracker_enter() and ends with ct_tracker_leave(). A program starts no call of a tracker that is
 * gone: here, when close has found no call under way.
 */
inline leave()
{
    assert(under_way > 0);
    under_way--
}

proctype waiter(byte me)
{
    LOCALS;
    bool reached, pending;

    atomic {
        if
        :: under_way > 0 -> under_way++
        :: else -> began++; goto ended
        fi
    }
    /* ct_promise_make() */
#ifdef CHECK_OUTSIDE_LOCK
    reached = published;
#endif
    atomic {
        lock_board();
        if
        :: closed ->
            unlock_board();
            leave();
            began++;
            goto ended
        :: else
        fi;
#ifndef CHECK_OUTSIDE_LOCK
        reached = published;
#endif
        status[me] = PENDING;
        refs[me] = 2;
        in_set[me] = true;
        board_refs++;
        timed[me] = (TIMED >> me) & 1;
        lock_signal(); /* ct_abort_attach() */
        if
        :: aborted ->
            unlock_signal();
            settle(me, ABORTED)
        :: else ->
            on_list[me] = true;
            has_link[me] = true;
            signal_refs++;
            unlock_signal();
            if
            :: reached -> settle(me, OK)
            :: else
            fi
        fi;
        reached = false;
        finish_and_unlock()
    }
    wake_settled();
    atomic {
        leave();
        began++;
        if
        :: HEARD & bit(me)
        :: else -> goto no_callback
        fi
    }
    atomic { /* ctrack_promise_then() */
        lock_board();
        touch(me);
        if
        :: closed
        :: else ->
            heard[me] = true;
            if
            :: status[me] != PENDING -> queue(me)
            :: else
            fi
        fi;
        unlock_board()
    }
no_callback:
    if
    :: goto release
    :: atomic { /* ctrack_promise_await() */
            lock_board();
            touch(me);
            pending = status[me] == PENDING;
            gate_there[me] = pending;
            gate_given[me] = pending;
            unlock_board()
        }
    fi;
    if
    :: pending ->
        if
        :: timed[me] -> promise_settle(me, TIMED_OUT)
        :: skip
        fi;
        atomic {
            gate_open[me];
            gate_there[me] = false;
            gate_open[me] = false;
            pending = false
        }
    :: else
    fi;
    atomic {
        touch(me);
        assert(status[me] != PENDING);
        assert(status[me] != OK || committed)
    }

release: /* ctrack_promise_release() */
    if
    :: atomic {
            status[me] != PENDING;
            touch(me)
        }
    :: atomic {
            status[me] == PENDING;
            lock_board();
            if
            :: !heard[me] && status[me] == PENDING -> settle(me, ABORTED)
            :: else
            fi;
            finish_and_unlock()
        }
        wake_settled()
    fi;
    unref(me);
ended:
    skip
}

inline publish()
{
    atomic {
        lock_board();
        published = true;
        settle_all(OK);
        finish_and_unlock()
    }
    wake_settled()
}

/* ctrack_update() */
proctype updater()
{
    LOCALS;
    atomic {
        if
        :: under_way > 0 -> under_way++
        :: else -> goto refused
        fi
    }
#ifdef PUBLISH_FIRST
    publish();
#endif
    if
    :: committed = true
    :: goto failed
    fi;
#ifndef PUBLISH_FIRST
    publish();
#endif
failed:
    atomic { leave() }
refused:
    update_ended = true
}

/* ctrack_abort(), perhaps; and ctrack_abort_signal_release(), once nobody is going to give the signal to a wait. */
proctype aborter()
{
    LOCALS;
    byte taken;
    if
    :: goto given
    :: ABORTS
    fi;
    do
    :: atomic {
            lock_signal();
            aborted = true;
            do
            :: taken < N && !on_list[taken] -> taken++
            :: taken < N && on_list[taken] -> break
            :: taken == N -> unlock_signal(); taken = 0; goto given
            od;
            touch(taken); /* the list goes through the promises */
            on_list[taken] = false;
#ifndef ABORT_WITHOUT_REF
            refs[taken]++;
#endif
#ifndef ABORT_UNDER_LOCK
            unlock_signal()
#endif
        }
        promise_settle(taken, ABORTED);
#ifdef ABORT_UNDER_LOCK
        atomic { unlock_signal() }
#endif
#ifndef ABORT_WITHOUT_REF
        unref(taken);
#endif
        taken = 0
    od;
given:
    atomic {
        began == N;
        unref_signal()
    }
}

#if N == 2
#define ANY(a) (a[0] || a[1])
#else
#define ANY(a) (a[0] || a[1] || a[2])
#endif

/* run() of service.c */
proctype service()
{
    LOCALS;
    byte one;
    bool calling;
end_asleep:
    do
    :: atomic { /* asleep until there is something to do */
            ANY(queued) || stopping || ANY(timed);
            lock_board();
            if
            :: ANY(timed) -> /* of those that may, one has run out of time, or all from one on */
                do
                :: one < N && timed[one] -> settle(one, TIMED_OUT); one++
                :: one < N && !timed[one] -> one++
                :: settled != 0 -> break
                od;
                one = 0
            :: ANY(queued) ->
                do
                :: queued[one] -> break
                :: else -> one++
                od;
                queued[one] = false;
                calling = true
            :: !ANY(queued) && stopping -> unlock_board(); goto ended
            :: else
            fi;
            finish_and_unlock()
        }
        wake_settled();
        if
        :: calling ->
            atomic { /* ct_promise_run_callback() */
                touch(one);
                assert(status[one] != PENDING);
                assert(status[one] != OK || committed);
                assert(heard[one]);
                heard[one] = false /* so that it is not run again */
            }
#ifndef CALLBACK_WITHOUT_REF
            unref(one);
#endif
            atomic { one = 0; calling = false }
        :: else
        fi
    od;
ended:
    service_ended = true
}

/* ctrack_close(), at any time. Or never, if the point has been reached: then everybody wakes without it. */
proctype closer()
{
    LOCALS;
    if
    :: atomic { update_ended && committed; stays_open = true; goto ended }
    :: skip
    fi;
    atomic {
        lock_board();
        closed = true;
        settle_all(CLOSED);
        finish_and_unlock()
    }
#ifdef CLOSE_WITHOUT_WAKING
    settled = 0;
#else
    wake_settled();
#endif
    atomic { /* ct_service_stop() */
        lock_board();
        stopping = true;
        unlock_board()
    }
    atomic {
        service_ended;
        leave()
    }
    atomic { /* ct_board_clear() and the tracker's reference */
        under_way == 0;
        lock_board();
        unlock_board();
        unref_board()
    }
ended:
    skip
}

init
{
    byte i;
    atomic {
        do
        :: i < N -> run waiter(i); i++
        :: else -> break
        od;
        run service();
        run updater();
        run aborter();
        run closer()
    }
    /* All have ended, but for the service of a tracker that stays open, which has nothing left to do. */
    atomic {
        signal_freed && !ANY(gate_there) &&
            (board_freed || (stays_open && board_refs == 1 && under_way == 1 && !ANY(queued)));
        i = 0;
        do
        :: i < N ->
            assert(status[i] == NONE && refs[i] == 0);
            assert(!in_set[i] && !on_list[i] && !has_link[i] && !queued[i] && !heard[i]);
            i++
        :: else -> break
        od;
        assert(signal_refs == 0 && closed == board_freed)
    }
}
