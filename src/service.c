/* SPDX-License-Identifier: MIT */
#include "service.h"

#include "board.h"
#include "clock.h"
#include "promise.h"

int ct_service_init(ct_service *service)
{
    service->armed = CT_NEVER;
    return ct_condition_init(&service->wake);
}

void ct_service_destroy(ct_service *service)
{
    ct_condition_destroy(&service->wake);
}

/* Ends some of what is due. The lock is held before and after, not between. */
static void expire(ct_board *board)
{
    ct_settled settled = {0};
    ct_waitset_expire(&board->waits, ct_clock_monotonic(), &settled);
    ct_board_unlock_and_wake(board, &settled);
    ct_mutex_lock(&board->lock);
}

/* Runs the oldest callback. The lock is held before and after, not between. */
static void run_callback(ct_board *board)
{
    ct_service *service = &board->service;
    ct_wait *wait = service->first;
    service->first = wait->prev;
    if (service->first == NULL) {
        service->last = NULL;
    }
    ct_mutex_unlock(&board->lock);
    ct_promise_run_callback(wait);
    ct_mutex_lock(&board->lock);
}

static void *run(void *argument)
{
    ct_board *board = argument;
    ct_service *service = &board->service;
    ct_mutex_lock(&board->lock);
    for (;;) {
        if (ct_waitset_next_deadline(&board->waits) <= ct_clock_monotonic()) {
            expire(board);
        } else if (service->first != NULL) {
            run_callback(board);
        } else if (service->stopping) {
            break;
        } else {
            service->armed = ct_waitset_next_deadline(&board->waits);
            ct_condition_wait(&service->wake, &board->lock, service->armed);
        }
    }
    ct_mutex_unlock(&board->lock);
    return NULL;
}

int ct_service_need(ct_board *board)
{
    ct_service *service = &board->service;
    if (!service->started) {
        if (ct_thread_start(&service->thread, run, board) != 0) {
            return -1;
        }
        service->started = true;
        service->armed = 0; /* it looks before it sleeps */
    }
    return 0;
}

void ct_service_arm(ct_board *board, int64_t deadline)
{
    /* Left armed too early when a wait settles before its time: waking once for nothing is cheaper than re-arming. */
    if (deadline < board->service.armed) {
        board->service.armed = deadline;
        ct_condition_signal(&board->service.wake);
    }
}

void ct_service_queue(ct_board *board, ct_wait *wait)
{
    ct_service *service = &board->service;
    wait->prev = NULL;
    *(service->last != NULL ? &service->last->prev : &service->first) = wait;
    if (service->last == NULL) {
        ct_condition_signal(&service->wake);
    }
    service->last = wait;
}

void ct_service_stop(ct_board *board)
{
    ct_mutex_lock(&board->lock);
    bool started = board->service.started;
    board->service.stopping = true;
    ct_condition_signal(&board->service.wake);
    ct_mutex_unlock(&board->lock);
    if (started) {
        ct_thread_join(&board->service.thread);
    }
}
