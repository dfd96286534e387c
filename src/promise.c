/* SPDX-License-Identifier: MIT */
#include "promise.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "alloc.h"
#include "clock.h"
#include "error.h"
#include "pipe.h"
#include "snapshot.h"
#include "text.h"

/* The promise's size is a multiple of its alignment, and it is aligned at least as strictly as a wait. */
_Static_assert(sizeof(ctrack_promise) % _Alignof(ct_wait) == 0, "the wait behind a promise is aligned");

ct_wait *ct_promise_wait(const ctrack_promise *promise)
{
    return (ct_wait *)(promise + 1);
}

ctrack_promise *ct_promise_of(ct_wait *wait)
{
    return (ctrack_promise *)wait - 1;
}

static ctrack_status status_of(const ctrack_promise *promise)
{
    return (ctrack_status)atomic_load_explicit(&ct_promise_wait(promise)->status, memory_order_acquire);
}

static bool forked(const ctrack_promise *promise)
{
    return promise->board->generation != ct_fork_generation();
}

/* ---------------------------------------------------------------- references */

void ct_promise_ref(ctrack_promise *promise)
{
    atomic_fetch_add_explicit(&promise->refs, 1, memory_order_relaxed);
}

static void free_promise(ctrack_promise *promise)
{
    ct_board *board = promise->board;
    if (ct_promise_wait(promise)->missing > 0) { /* else no item stands in a heap */
        ct_mutex_lock(&board->lock);
        ct_wait_release_items(&board->waits, ct_promise_wait(promise));
        ct_mutex_unlock(&board->lock);
    }
    ct_cause_unref(promise->cause);
    if (promise->extra != NULL) {
        for (int i = 0; i < 2; i++) {
            if (promise->extra->pipe[i] >= 0) {
                close(promise->extra->pipe[i]);
            }
        }
        ct_free(promise->extra->label);
        ct_free(promise->extra);
    }
    ct_free(promise);
    ct_board_unref(board);
}

void ct_promise_unref(ctrack_promise *promise)
{
    if (atomic_fetch_sub_explicit(&promise->refs, 1, memory_order_acq_rel) == 1) {
        free_promise(promise);
    }
}

void ctrack_promise_release(ctrack_promise *promise)
{
    if (promise == NULL || forked(promise)) {
        return;
    }
    if (status_of(promise) == CTRACK_PENDING) {
        ct_settled settled = {0};
        ct_mutex_lock(&promise->board->lock);
        bool heard = promise->extra != NULL && promise->extra->callback != NULL;
        if (!heard && status_of(promise) == CTRACK_PENDING) {
            ct_waitset_settle(&promise->board->waits, ct_promise_wait(promise), CTRACK_ABORTED, &settled);
        }
        ct_board_unlock_and_wake(promise->board, &settled);
    }
    ct_promise_unref(promise);
}

/* ---------------------------------------------------------------- settling and waking */

void ct_promise_settle(ctrack_promise *promise, ctrack_status outcome)
{
    ct_settled settled = {0};
    ct_mutex_lock(&promise->board->lock);
    if (status_of(promise) == CTRACK_PENDING) {
        ct_waitset_settle(&promise->board->waits, ct_promise_wait(promise), outcome, &settled);
    }
    ct_board_unlock_and_wake(promise->board, &settled);
}

void ct_promise_settled(ct_wait *wait)
{
    ctrack_promise *promise = ct_promise_of(wait);
    ct_abort_detach(&promise->abort_link);
    promise->cause = NULL;
    for (int who = 0; who < CT_FAILINGS && promise->cause == NULL; who++) {
        ct_cause *cause = promise->board->causes[who];
        if (cause != NULL && status_of(promise) == cause->status) {
            promise->cause = cause;
            atomic_fetch_add_explicit(&cause->refs, 1, memory_order_relaxed);
        }
    }
    if (promise->extra == NULL) {
        return;
    }
    if (promise->extra->pipe[1] >= 0) {
        ct_pipe_write(promise->extra->pipe);
    }
    if (promise->extra->callback != NULL) {
        ct_promise_ref(promise);
        ct_service_queue(promise->board, wait);
    }
}

void ct_promise_wake(ct_wait *wait)
{
    ctrack_promise *promise = ct_promise_of(wait);
    /* Nobody adds a gate to a promise that has settled. */
    ct_gate *next;
    for (ct_gate *gate = promise->gates; gate != NULL; gate = next) {
        next = gate->next;
        ct_gate_open(gate);
    }
    ct_promise_unref(promise);
}

void ct_promise_run_callback(ct_wait *wait)
{
    ctrack_promise *promise = ct_promise_of(wait);
    promise->extra->callback(promise, status_of(promise), promise->extra->argument);
    ct_promise_unref(promise);
}

/* ---------------------------------------------------------------- making a promise */

/* By entry; of one entry the highest target first. */
static int compare_items(const void *a, const void *b)
{
    const ct_wait_item *left = a, *right = b;
    if (left->entry != right->entry) {
        return (uintptr_t)left->entry < (uintptr_t)right->entry ? -1 : 1;
    }
    return (left->target < right->target) - (left->target > right->target);
}

/* Duplicates count once, at their highest index. */
static void unite_items(ct_wait *wait)
{
    if (wait->count < 2) {
        return;
    }
    qsort(wait->items, wait->count, sizeof wait->items[0], compare_items);
    uint32_t kept = 1;
    for (uint32_t i = 1; i < wait->count; i++) {
        if (wait->items[i].entry != wait->items[kept - 1].entry) {
            wait->items[kept++] = wait->items[i];
        }
    }
    wait->count = kept;
}

/* Finds or makes the entries that a wait is about. On an error none that were made for it remain. */
static ctrack_status find_entries(ct_board *board, ct_wait *wait, const ctrack_coordinate *coordinates, size_t count,
                                  ctrack_error *error)
{
    ctrack_status status = CTRACK_OK;
    wait->count = 0;
    for (size_t i = 0; i < count; i++) {
        status = ct_text_check_coordinate(&coordinates[i], i, error);
        if (status != CTRACK_OK) {
            break;
        }
        ctrack_key key = ct_text_key(&coordinates[i]);
        ct_entry *entry = ct_map_find_or_add(board->map, &key);
        if (entry == NULL) {
            status = ct_error_no_memory(error);
            break;
        }
        wait->items[wait->count++] =
            (ct_wait_item){.entry = entry, .target = coordinates[i].operation_index, .wait = wait};
    }
    unite_items(wait); /* so that none is released twice */
    if (status != CTRACK_OK) {
        for (uint32_t i = 0; i < wait->count; i++) {
            ct_map_release(board->map, wait->items[i].entry);
        }
    }
    return status;
}

/* The lock is held. */
static bool is_reached(const ct_wait *wait)
{
    for (uint32_t i = 0; i < wait->count; i++) {
        if (wait->items[i].entry->index < wait->items[i].target) {
            return false;
        }
    }
    return true;
}

/* Settles what need not wait, or leaves the promise pending. The lock is held. */
static ctrack_status begin_wait(ct_board *board, ctrack_promise *promise, int64_t timeout_ms,
                                ctrack_abort_signal *signal, ct_settled *settled, ctrack_error *error)
{
    ct_wait *wait = ct_promise_wait(promise);
    int64_t now = ct_clock_monotonic();
    int64_t deadline = timeout_ms == 0 ? CT_NEVER : ct_clock_deadline(now, timeout_ms);
    bool may_pend = !is_reached(wait) && ct_board_cause(board) == NULL;
    if (may_pend && deadline != CT_NEVER && ct_service_need(board) != 0) {
        return ct_error_set(error, CTRACK_NO_MEMORY, "the service thread cannot be started");
    }
    ct_waitset_add(&board->waits, wait, now, deadline);
    if (signal != NULL && !ct_abort_attach(signal, &promise->abort_link)) {
        ct_waitset_settle(&board->waits, wait, CTRACK_ABORTED, settled);
    } else if (wait->missing == 0) {
        ct_waitset_settle(&board->waits, wait, CTRACK_OK, settled);
    } else if (ct_board_cause(board) != NULL) {
        ct_waitset_settle(&board->waits, wait, ct_board_cause(board)->status, settled);
    } else if (timeout_ms == 0) {
        ct_waitset_settle(&board->waits, wait, CTRACK_TIMED_OUT, settled);
    } else if (deadline != CT_NEVER) {
        ct_service_arm(board, deadline);
    }
    return CTRACK_OK;
}

/* So many fit into a block of memory, and can be counted. */
#define FITTING ((SIZE_MAX - sizeof(ctrack_promise) - sizeof(ct_wait)) / sizeof(ct_wait_item))
#define MOST_ITEMS (FITTING < UINT32_MAX ? FITTING : UINT32_MAX)

ctrack_status ct_promise_make(ct_board *board, const ctrack_coordinate *coordinates, size_t count, int64_t timeout_ms,
                              ctrack_abort_signal *signal, ctrack_promise **promise, ctrack_error *error)
{
    if (count > MOST_ITEMS) {
        return ct_error_no_memory(error);
    }
    if (signal != NULL && !ct_abort_is_ours(signal)) {
        return ct_error_set(error, CTRACK_FORKED, "the abort signal was made by a parent process; make one anew");
    }
    ctrack_promise *made = ct_alloc(sizeof(ctrack_promise) + sizeof(ct_wait) + count * sizeof(ct_wait_item));
    if (made == NULL) {
        return ct_error_no_memory(error);
    }
    memset(made, 0, sizeof *made);
    made->board = board;
    atomic_init(&made->refs, 2); /* the caller's, and the wait set's */
    ct_settled settled = {0};
    ct_mutex_lock(&board->lock);
    ctrack_status status = board->closed ? ct_error_set(error, CTRACK_CLOSED, "the tracker is closed")
                                         : find_entries(board, ct_promise_wait(made), coordinates, count, error);
    if (status == CTRACK_OK) {
        status = begin_wait(board, made, timeout_ms, signal, &settled, error);
        for (uint32_t i = 0; status != CTRACK_OK && i < ct_promise_wait(made)->count; i++) {
            ct_map_release(board->map, ct_promise_wait(made)->items[i].entry);
        }
    }
    if (status == CTRACK_OK) {
        atomic_fetch_add_explicit(&board->refs, 1, memory_order_relaxed);
    }
    ct_board_unlock_and_wake(board, &settled);
    if (status != CTRACK_OK) {
        ct_free(made);
        return status;
    }
    *promise = made;
    return CTRACK_OK;
}

/* ---------------------------------------------------------------- consuming a promise */

ctrack_status ctrack_promise_status(const ctrack_promise *promise)
{
    return forked(promise) ? CTRACK_FORKED : status_of(promise);
}

/* Blocks at a gate of its own until whoever settles the promise opens it; if its time is up first, settles it itself.
 */
static void block(ctrack_promise *promise, ct_gate *gate)
{
    ct_board *board = promise->board;
    ct_mutex_lock(&board->lock);
    bool pending = status_of(promise) == CTRACK_PENDING;
    if (pending) {
        gate->next = promise->gates;
        promise->gates = gate;
    }
    ct_mutex_unlock(&board->lock);
    if (pending && !ct_gate_wait(gate, (int64_t)ct_promise_wait(promise)->deadline.rank)) {
        ct_promise_settle(promise, CTRACK_TIMED_OUT);
        ct_gate_wait(gate, CT_NEVER);
    }
}

ctrack_status ctrack_promise_await(ctrack_promise *promise)
{
    if (forked(promise)) {
        return CTRACK_FORKED;
    }
    if (status_of(promise) == CTRACK_PENDING) {
        ct_gate gate;
        if (ct_gate_init(&gate) != 0) {
            return CTRACK_NO_MEMORY;
        }
        block(promise, &gate);
        ct_gate_destroy(&gate);
    }
    return status_of(promise);
}

/* The lock is held. NULL: no memory. */
static ct_promise_extra *need_extra(ctrack_promise *promise)
{
    if (promise->extra == NULL) {
        promise->extra = ct_alloc_array(1, sizeof *promise->extra);
        if (promise->extra != NULL) {
            promise->extra->pipe[0] = promise->extra->pipe[1] = -1;
        }
    }
    return promise->extra;
}

static ctrack_status set_callback(ctrack_promise *promise, ctrack_callback *callback, void *argument)
{
    ct_board *board = promise->board;
    if (promise->extra != NULL && promise->extra->callback != NULL) {
        return CTRACK_MISUSE;
    }
    if (board->closed) {
        return CTRACK_CLOSED;
    }
    if (need_extra(promise) == NULL || ct_service_need(board) != 0) {
        return CTRACK_NO_MEMORY;
    }
    promise->extra->callback = callback;
    promise->extra->argument = argument;
    if (status_of(promise) != CTRACK_PENDING) {
        ct_promise_ref(promise);
        ct_service_queue(board, ct_promise_wait(promise));
    }
    return CTRACK_OK;
}

ctrack_status ctrack_promise_then(ctrack_promise *promise, ctrack_callback *callback, void *argument)
{
    if (forked(promise)) {
        return CTRACK_FORKED;
    }
    if (callback == NULL) {
        return CTRACK_INVALID;
    }
    ct_mutex_lock(&promise->board->lock);
    ctrack_status status = set_callback(promise, callback, argument);
    ct_mutex_unlock(&promise->board->lock);
    return status;
}

int ctrack_promise_fd(ctrack_promise *promise)
{
    if (forked(promise)) {
        errno = EINVAL;
        return -1;
    }
    int descriptor = -1;
    ct_mutex_lock(&promise->board->lock);
    ct_promise_extra *extra = need_extra(promise);
    if (extra == NULL) {
        errno = ENOMEM;
    } else if (extra->pipe[0] >= 0) {
        descriptor = extra->pipe[0];
    } else if (ct_pipe_make(extra->pipe) == 0) {
        descriptor = extra->pipe[0];
        if (status_of(promise) != CTRACK_PENDING) {
            ct_pipe_write(extra->pipe);
        }
    }
    ct_mutex_unlock(&promise->board->lock);
    return descriptor;
}

ctrack_status ctrack_promise_label(ctrack_promise *promise, const char *label)
{
    char *copy = NULL;
    if (forked(promise)) {
        return CTRACK_FORKED;
    }
    if (label != NULL) {
        size_t length = strnlen(label, CTRACK_TEXT_MAX + 1);
        if (length > CTRACK_TEXT_MAX || !ct_text_valid(label, length)) {
            return CTRACK_INVALID;
        }
        copy = ct_alloc_text(label, length);
        if (copy == NULL) {
            return CTRACK_NO_MEMORY;
        }
    }
    ct_mutex_lock(&promise->board->lock);
    ct_promise_extra *extra = need_extra(promise);
    char *before = extra != NULL ? extra->label : copy;
    if (extra != NULL) {
        extra->label = copy;
    }
    ct_mutex_unlock(&promise->board->lock);
    ct_free(before);
    return extra != NULL ? CTRACK_OK : CTRACK_NO_MEMORY;
}
