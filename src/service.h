/* SPDX-License-Identifier: MIT */
#ifndef CT_SERVICE_H
#define CT_SERVICE_H

/**
 * A board's service thread: runs callbacks, in the order in which promises settled, and ends waits whose time is up. It
 * starts when the first callback or deadline needs it.
 *
 * A thread that blocks in ctrack_promise_await() looks after its own deadline, so a callback may block in a wait: the
 * thread that would end it is not needed.
 */
#include "sync.h"

struct ct_board;
struct ct_wait;

/** Guarded by the board's lock. */
typedef struct ct_service {
    ct_thread thread;
    ct_condition wake;
    bool started, stopping;
    int64_t armed;                /* the deadline that the thread sleeps to; CT_NEVER */
    struct ct_wait *first, *last; /* callbacks to run, linked by ct_wait.prev; the queue holds a reference to each */
} ct_service;

int ct_service_init(ct_service *service);
void ct_service_destroy(ct_service *service);

/** Starts the thread if need be. The lock is held. 0, or -1: no resources. */
int ct_service_need(struct ct_board *board);
/** Makes sure that the thread wakes at `deadline`. The lock is held, the thread started. */
void ct_service_arm(struct ct_board *board, int64_t deadline);
/** Queues a settled wait's callback. The lock is held, the thread started. */
void ct_service_queue(struct ct_board *board, struct ct_wait *wait);
/** Runs what is queued, then ends the thread. The lock is not held; nothing is queued afterwards. */
void ct_service_stop(struct ct_board *board);

#endif
