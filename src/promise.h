/* SPDX-License-Identifier: MIT */
#ifndef CT_PROMISE_H
#define CT_PROMISE_H

/**
 * A promise is a wait with owners. One block of memory holds the promise, its wait, and the wait's items.
 *
 * References: one belongs to the caller of ctrack_wait_for(), one to the wait set while the wait is pending (it passes
 * to the list of settled waits, and ends when that wait has been woken), one to the queue of callbacks while it stands
 * there. Whoever drops the last one frees the promise. So a settled promise cannot vanish under the thread that wakes
 * its waiters.
 */
#include "abort.h"
#include "board.h"

/** What few promises need. */
typedef struct ct_promise_extra {
    ctrack_callback *callback; /* lock */
    void *argument;            /* lock */
    char *label;               /* lock */
    int pipe[2];               /* lock; -1: none. A byte is written when the promise settles. */
} ct_promise_extra;

struct ctrack_promise {
    ct_board *board;
    union {
        ct_abort_link abort_link; /* while pending; see abort.h */
        ct_cause *cause;          /* once settled: why it failed, else NULL */
    };
    ct_gate *gates;          /* lock, until settled: the threads that block, on their own stacks */
    ct_promise_extra *extra; /* lock; NULL until needed */
    atomic_uint refs;
};

/** The wait stands right behind its promise. */
ct_wait *ct_promise_wait(const ctrack_promise *promise);
ctrack_promise *ct_promise_of(ct_wait *wait);

/** Settles the promise unless it has settled already. The lock is not held. */
void ct_promise_settle(ctrack_promise *promise, ctrack_status outcome);

/** First half of waking, under the lock, in the order of settling: leaves the signal, writes to the pipe, queues the
 * callback. */
void ct_promise_settled(ct_wait *wait);
/** Second half, without the lock: opens the gates, and drops the wait set's reference. */
void ct_promise_wake(ct_wait *wait);

/** On the service thread: runs the callback and drops the queue's reference. */
void ct_promise_run_callback(ct_wait *wait);

void ct_promise_ref(ctrack_promise *promise);
void ct_promise_unref(ctrack_promise *promise);

/** ctrack_wait_for() on a board. */
ctrack_status ct_promise_make(ct_board *board, const ctrack_coordinate *coordinates, size_t count, int64_t timeout_ms,
                              ctrack_abort_signal *signal, ctrack_promise **promise, ctrack_error *error);

#endif
