/* SPDX-License-Identifier: MIT */
#include "tracker.h"

#include <stdalign.h>
#include <string.h>

#include "alloc.h"
#include "clock.h"
#include "commit.h"
#include "error.h"
#include "fold.h"
#include "follow.h"
#include "promise.h"
#include "rewrite.h"
#include "snapshot.h"
#include "text.h"
#include "wal.h"
#include "within.h"
#include "write.h"

/* Of a file that is replaced again and again. */
#define OPEN_TRIES 3

void ct_tracker_log(const ctrack *tracker, const ctrack_error *error)
{
    if (tracker->log != NULL) {
        ct_within within;
        ct_within_begin(&within, tracker, true);
        tracker->log(error->status, error->message, tracker->log_argument);
        ct_within_end(&within);
    }
}

/* ---------------------------------------------------------------- calls under way */

static ctrack_status check(ctrack *tracker, ctrack_error *error)
{
    ctrack_status status = ct_board_check(tracker->board, error);
    if (status != CTRACK_OK) {
        return status;
    }
    if (ct_is_within(tracker, true)) {
        return ct_error_set(error, CTRACK_MISUSE, "this callback cannot call with its own tracker");
    }
    return atomic_load_explicit(&tracker->closing, memory_order_relaxed)
               ? ct_error_set(error, CTRACK_CLOSED, "the tracker is closed")
               : CTRACK_OK;
}

ctrack_status ct_tracker_enter(ctrack *tracker, ctrack_error *error)
{
    if (tracker == NULL) {
        return ct_error_set(error, CTRACK_INVALID, "the tracker is NULL");
    }
    /* Counted before anything of the tracker's is looked at, and never again once the count has come to zero. */
    unsigned calls = atomic_load_explicit(&tracker->calls, memory_order_relaxed);
    do {
        if (calls == 0) {
            return ct_error_set(error, CTRACK_CLOSED, "the tracker is closed");
        }
    } while (!atomic_compare_exchange_weak_explicit(/* GCOVR_EXCL_BR_LINE: if a call begins or ends just then */
                                                    &tracker->calls, &calls, calls + 1, memory_order_acquire,
                                                    memory_order_relaxed));
    ctrack_status status = check(tracker, error);
    return status == CTRACK_OK ? CTRACK_OK : ct_tracker_leave(tracker, status);
}

ctrack_status ct_tracker_leave(ctrack *tracker, ctrack_status status)
{
    if (atomic_fetch_sub_explicit(&tracker->calls, 1, memory_order_acq_rel) == 1) {
        ct_gate_open(tracker->closer);
    }
    return status;
}

void ct_tracker_pass(ctrack *tracker, ct_ticket *own, ct_ticket *last)
{
    atomic_store(&tracker->committing, false);
    ct_turn_pass(&tracker->turn, own, last);
}

/* ---------------------------------------------------------------- opening and closing */

/* The caller's options, with defaults for what it does not know of. */
static ctrack_status complete_options(const ctrack_options *given, ctrack_options *options, ctrack_error *error)
{
    *options = (ctrack_options)CTRACK_OPTIONS_INIT;
    if (given != NULL) {
        /* A size that is not a multiple would cut a field in two. */
        if (given->size < sizeof given->size || given->size > 4096 || given->size % alignof(ctrack_options) != 0) {
            return ct_error_set(error, CTRACK_INVALID, "options: size %zu is not one; use CTRACK_OPTIONS_INIT",
                                given->size);
        }
        memcpy(options, given, given->size < sizeof *options ? given->size : sizeof *options);
        options->size = sizeof *options;
    }
    options->read_model = options->read_model != NULL ? options->read_model : "default";
    options->busy_timeout_ms = ct_store_busy_timeout(options->busy_timeout_ms);
    if (options->durability != CTRACK_DURABLE_FULL && options->durability != CTRACK_DURABLE_NORMAL) {
        return ct_error_set(error, CTRACK_INVALID, "options: durability %d is not one", (int)options->durability);
    }
    size_t length = strnlen(options->read_model, CTRACK_TEXT_MAX + 1);
    if (length > CTRACK_TEXT_MAX || !ct_text_valid(options->read_model, length)) {
        return ct_error_set(error, CTRACK_INVALID, "options: read_model is not UTF-8 of at most %d bytes",
                            CTRACK_TEXT_MAX);
    }
    return CTRACK_OK;
}

static void free_tracker(ctrack *tracker)
{
    ct_store_close(tracker->store);
    ct_advances_free(&tracker->advances);
    ct_free(tracker->new_keyspaces.items);
    ct_follower_destroy(&tracker->follower);
    ct_keeper_destroy(&tracker->keeper);
    ct_turn_destroy(&tracker->turn);
    ct_board_unref(tracker->board);
    ct_free(tracker->read_model);
    ct_free(tracker);
}

static ctrack *new_tracker(const ctrack_options *options)
{
    ctrack *tracker = ct_alloc_array(1, sizeof *tracker);
    if (tracker == NULL) {
        return NULL;
    }
    tracker->read_model = ct_alloc_text(options->read_model, strlen(options->read_model));
    tracker->board = tracker->read_model != NULL ? ct_board_new() : NULL;
    if (tracker->board == NULL) {
        goto no_board;
    }
    if (ct_turn_init(&tracker->turn) != 0) {
        goto no_turn;
    }
    if (ct_keeper_init(&tracker->keeper) != 0) {
        goto no_keeper;
    }
    if (ct_follower_init(&tracker->follower) != 0) {
        goto no_follower;
    }
    tracker->follower.always = options->follow;
    atomic_init(&tracker->committing, false);
    atomic_init(&tracker->calls, 1);
    atomic_init(&tracker->closing, false);
    tracker->log = options->log;
    tracker->log_argument = options->log_argument;
    return tracker;

no_follower:
    ct_keeper_destroy(&tracker->keeper);
no_keeper:
    ct_turn_destroy(&tracker->turn);
no_turn:
    ct_board_unref(tracker->board);
no_board:
    ct_free(tracker->read_model);
    ct_free(tracker);
    return NULL;
}

static ctrack_status load(ctrack *tracker, const char *path, ctrack_error *error)
{
    bool followed;
    ctrack_status status = ct_follow(tracker, &followed, error);
    return status == CTRACK_OK ? status : ct_error_context(error, status, "%s", path);
}

/* All there is is read, and so checked, before anything is written: a file that is refused stays as it is. */
static ctrack_status open_store(ctrack *tracker, const char *path, const ctrack_options *options, ctrack_error *error)
{
    ctrack_status status = ct_store_open(path, options, &tracker->store, error);
    if (status == CTRACK_OK) {
        tracker->store->idle = ct_write_idle;
        tracker->store->idle_argument = tracker;
    }
    bool wanted = !options->lazy || options->follow;
    bool current = status == CTRACK_OK && ct_store_is_current(tracker->store);
    status = wanted && current ? load(tracker, path, error) : status;
    status = status == CTRACK_OK ? ct_store_make_ready(tracker->store, options->durability, error) : status;
    return status == CTRACK_OK && wanted && !current ? load(tracker, path, error) : status;
}

/* *again: the file was replaced meanwhile. */
static ctrack_status open_once(const char *path, const ctrack_options *options, ctrack **tracker, bool *again,
                               ctrack_error *error)
{
    *again = false;
    ctrack *made = new_tracker(options);
    if (made == NULL) {
        return ct_error_no_memory(error);
    }
    ctrack_status status = CTRACK_OK;
    if (path != NULL) {
        status = open_store(made, path, options, error);
        if (status == CTRACK_OK && options->follow && ct_follower_need(made) != 0) {
            status = ct_error_set(error, CTRACK_NO_MEMORY, "the follower's thread cannot be started");
        }
    }
    if (status != CTRACK_OK) {
        *again = made->store != NULL && made->store->moved;
        ct_store_refuse(made->store);
        made->store = NULL;
        free_tracker(made);
        return status;
    }
    *tracker = made;
    return CTRACK_OK;
}

ctrack_status ctrack_open(const char *path, const ctrack_options *given, ctrack **tracker, ctrack_error *error)
{
    ctrack_options options;
    ctrack_status status = complete_options(given, &options, error);
    if (status != CTRACK_OK) {
        return status;
    }
    if (tracker == NULL || (path == NULL && options.read_only)) {
        return ct_error_set(error, CTRACK_INVALID,
                            tracker == NULL ? "tracker is NULL" : "options: read_only needs a file");
    }
    bool again = true;
    for (int tries = 0; again && tries < OPEN_TRIES; tries++) {
        status = open_once(path, &options, tracker, &again, error);
    }
    return status;
}

ctrack_status ctrack_close(ctrack *tracker, ctrack_error *error)
{
    if (tracker == NULL) {
        return CTRACK_OK;
    }
    ctrack_status status = ct_board_check(tracker->board, error);
    if (status != CTRACK_OK) {
        return status;
    }
    ct_gate gate;
    if (ct_is_within(tracker, false) || ct_board_on_service_thread(tracker->board)) {
        return ct_error_set(error, CTRACK_MISUSE, "a callback cannot close its own tracker");
    }
    if (ct_gate_init(&gate) != 0) {
        return ct_error_no_memory(error);
    }
    tracker->closer = &gate;
    atomic_store(&tracker->closing, true);
    ct_board_close(tracker->board);
    ct_tracker_leave(tracker, CTRACK_OK);
    ct_gate_wait(&gate, CT_NEVER);
    ct_gate_destroy(&gate);
    ct_follower_stop(tracker);
    ct_keeper_stop(tracker);
    ct_keeper_end(tracker);
    ct_board_clear(tracker->board);
    free_tracker(tracker);
    return CTRACK_OK;
}

/* ---------------------------------------------------------------- progress */

ctrack_status ctrack_update(ctrack *tracker, const ctrack_coordinate *coordinates, size_t count, ctrack_error *error)
{
    ctrack_status status = ct_tracker_enter(tracker, error);
    if (status != CTRACK_OK) {
        return status;
    }
    if (count > 0 && coordinates == NULL) {
        status = ct_error_set(error, CTRACK_INVALID, "coordinates is NULL");
    } else if (tracker->store == NULL || count == 0) {
        status = ct_board_update(tracker->board, coordinates, count, error);
    } else {
        status = ct_commit_update(tracker, coordinates, count, error);
    }
    return ct_tracker_leave(tracker, status);
}

/* Of a tracker that has not loaded: asks the file. */
static ctrack_status look_up(ctrack *tracker, const ctrack_key *key, int64_t *operation_index)
{
    ct_ticket ticket = {.reads = true};
    int64_t index;
    ctrack_status status = ct_text_check_key(key, "key", NULL);
    if (status != CTRACK_OK) {
        return status;
    }
    if (ct_turn_take(&tracker->turn, &ticket) != 0) {
        return CTRACK_NO_MEMORY;
    }
    status = ct_store_look_up(tracker->store, key, &index, NULL);
    ct_turn_pass(&tracker->turn, &ticket, &ticket);
    status = ct_store_explain(tracker->store, status, NULL);
    if (status == CTRACK_OK && index >= 0) {
        *operation_index = index;
    }
    return status == CTRACK_OK && index < 0 ? CTRACK_NOT_FOUND : status;
}

ctrack_status ctrack_get_latest(ctrack *tracker, const ctrack_key *key, int64_t *operation_index)
{
    ctrack_status status = ct_tracker_enter(tracker, NULL);
    if (status != CTRACK_OK) {
        return status;
    }
    if (key == NULL || operation_index == NULL) {
        status = CTRACK_INVALID;
    } else if (tracker->store == NULL || atomic_load(&tracker->store->loaded)) {
        status = ct_board_get(tracker->board, key, operation_index);
    } else {
        status = look_up(tracker, key, operation_index);
    }
    return ct_tracker_leave(tracker, status);
}

ctrack_status ctrack_serialize(ctrack *tracker, ctrack_snapshot **snapshot, ctrack_error *error)
{
    ctrack_status status = ct_tracker_enter(tracker, error);
    if (status != CTRACK_OK) {
        return status;
    }
    status =
        snapshot != NULL ? ct_follow_begin(tracker, error) : ct_error_set(error, CTRACK_INVALID, "snapshot is NULL");
    status = status == CTRACK_OK ? ct_board_copy(tracker->board, snapshot, error) : status;
    return ct_tracker_leave(tracker, status);
}

ctrack_status ctrack_hydrate(ctrack *tracker, const ctrack_coordinate *entries, size_t count, ctrack_error *error)
{
    ctrack_status status = ct_tracker_enter(tracker, error);
    if (status != CTRACK_OK) {
        return status;
    }
    if (count > 0 && entries == NULL) {
        status = ct_error_set(error, CTRACK_INVALID, "entries is NULL");
    } else {
        status = ct_rewrite_hydrate(tracker, entries, count, error);
    }
    return ct_tracker_leave(tracker, status);
}

ctrack_status ctrack_forget(ctrack *tracker, const ctrack_key *keys, size_t count, ctrack_error *error)
{
    ctrack_status status = ct_tracker_enter(tracker, error);
    if (status != CTRACK_OK) {
        return status;
    }
    if (count > 0 && keys == NULL) {
        status = ct_error_set(error, CTRACK_INVALID, "keys is NULL");
    } else {
        status = ct_rewrite_forget(tracker, keys, count, error);
    }
    return ct_tracker_leave(tracker, status);
}

ctrack_status ctrack_refresh(ctrack *tracker, ctrack_error *error)
{
    ctrack_status status = ct_tracker_enter(tracker, error);
    if (status != CTRACK_OK) {
        return status;
    }
    status = tracker->store != NULL ? ct_follow_in_turn(tracker, true, error) : CTRACK_OK;
    return ct_tracker_leave(tracker, status);
}

/* ---------------------------------------------------------------- waiting */

/* A wait on a file needs somebody who looks what other processes commit. */
static ctrack_status wait_on_file(ctrack *tracker, const ctrack_coordinate *coordinates, size_t count,
                                  int64_t timeout_ms, ctrack_abort_signal *signal, ctrack_promise **promise,
                                  ctrack_error *error)
{
    ctrack_promise *made = NULL;
    ctrack_status status = ct_follow_begin(tracker, error);
    if (status != CTRACK_OK) {
        return status;
    }
    ct_follower_look_again(tracker);
    status = ct_promise_make(tracker->board, coordinates, count, timeout_ms, signal, &made, error);
    if (status != CTRACK_OK) {
        return status;
    }
    if (ctrack_promise_status(made) == CTRACK_PENDING && ct_follower_need(tracker) != 0) {
        ctrack_promise_release(made);
        return ct_error_set(error, CTRACK_NO_MEMORY, "the follower's thread cannot be started");
    }
    *promise = made;
    return CTRACK_OK;
}

ctrack_status ctrack_wait_for(ctrack *tracker, const ctrack_coordinate *coordinates, size_t count, int64_t timeout_ms,
                              ctrack_abort_signal *signal, ctrack_promise **promise, ctrack_error *error)
{
    ctrack_status status = ct_tracker_enter(tracker, error);
    if (status != CTRACK_OK) {
        return status;
    }
    if ((count > 0 && coordinates == NULL) || promise == NULL) {
        status = ct_error_set(error, CTRACK_INVALID, "%s is NULL", promise == NULL ? "promise" : "coordinates");
    } else if (tracker->store == NULL) {
        status = ct_promise_make(tracker->board, coordinates, count, timeout_ms, signal, promise, error);
    } else {
        status = wait_on_file(tracker, coordinates, count, timeout_ms, signal, promise, error);
    }
    return ct_tracker_leave(tracker, status);
}

/* Whether a wait need not begin: what is reached takes neither memory nor a thread. */
static bool is_reached(ctrack *tracker, const ctrack_coordinate *coordinates, size_t count,
                       const ctrack_abort_signal *signal)
{
    if (ct_tracker_enter(tracker, NULL) != CTRACK_OK) {
        return false;
    }
    bool loaded = tracker->store == NULL || atomic_load(&tracker->store->loaded);
    bool given = count == 0 || coordinates != NULL;
    bool unsignalled = signal == NULL || (ct_abort_is_ours(signal) && !ctrack_abort_signal_aborted(signal));
    bool reached = loaded && given && unsignalled && ct_board_reached(tracker->board, coordinates, count);
    ct_tracker_leave(tracker, CTRACK_OK);
    return reached;
}

ctrack_status ctrack_wait(ctrack *tracker, const ctrack_coordinate *coordinates, size_t count, int64_t timeout_ms,
                          ctrack_abort_signal *signal, ctrack_error *error)
{
    ctrack_promise *promise = NULL;
    if (is_reached(tracker, coordinates, count, signal)) {
        return CTRACK_OK;
    }
    ctrack_status status = ctrack_wait_for(tracker, coordinates, count, timeout_ms, signal, &promise, error);
    if (status == CTRACK_OK) {
        status = ctrack_promise_await(promise);
        ctrack_promise_explain(promise, error);
        ctrack_promise_release(promise);
    }
    return status;
}

ctrack_status ctrack_fail(ctrack *tracker, const char *message, ctrack_error *error)
{
    ctrack_status status = ct_tracker_enter(tracker, error);
    if (status != CTRACK_OK) {
        return status;
    }
    status = message != NULL ? ct_board_fail(tracker->board, CT_FAILING_HOST, CTRACK_FAILED, message, error)
                             : ct_error_set(error, CTRACK_INVALID, "message is NULL");
    return ct_tracker_leave(tracker, status);
}

ctrack_status ctrack_resume(ctrack *tracker, ctrack_error *error)
{
    ctrack_status status = ct_tracker_enter(tracker, error);
    if (status != CTRACK_OK) {
        return status;
    }
    ct_board_resume(tracker->board, CT_FAILING_HOST);
    return ct_tracker_leave(tracker, CTRACK_OK);
}

/* ---------------------------------------------------------------- counts */

static ctrack_status store_stats(ctrack *tracker, ctrack_stats *stats, ctrack_error *error)
{
    ct_ticket ticket = {.reads = true};
    if (ct_turn_take(&tracker->turn, &ticket) != 0) {
        return ct_error_no_memory(error);
    }
    ct_store_sizes(tracker->store, &stats->file_bytes, &stats->wal_bytes);
    stats->page_bytes = (int)tracker->store->page_bytes;
    stats->log_backlog = (uint64_t)ct_fold_backlog(tracker->store);
    ct_wal_measure(tracker->store);
    stats->wal_pages = (uint64_t)tracker->store->wal_pages;
    ct_turn_pass(&tracker->turn, &ticket, &ticket);
    return CTRACK_OK;
}

ctrack_status ctrack_get_stats(ctrack *tracker, ctrack_stats *stats, ctrack_error *error)
{
    ctrack_stats all;
    ctrack_status status = ct_tracker_enter(tracker, error);
    if (status != CTRACK_OK) {
        return status;
    }
    size_t size = stats != NULL ? stats->size : 0;
    if (size < sizeof stats->size || size > 4096) {
        status = ct_error_set(error, CTRACK_INVALID, "stats: size is not set to sizeof(ctrack_stats)");
        return ct_tracker_leave(tracker, status);
    }
    status = ct_follow_begin(tracker, error);
    if (status != CTRACK_OK) {
        return ct_tracker_leave(tracker, status);
    }
    ct_board_stats(tracker->board, &all);
    all.sqlite_version = sqlite3_libversion_number();
    all.sqlite_exposed = ct_store_version_exposed(all.sqlite_version);
    status = tracker->store != NULL ? store_stats(tracker, &all, error) : CTRACK_OK;
    if (status == CTRACK_OK) {
        memset(stats, 0, size); /* a newer header may have counts that this library does not know of */
        memcpy(stats, &all, size < sizeof all ? size : sizeof all);
        stats->size = size;
    }
    return ct_tracker_leave(tracker, status);
}
