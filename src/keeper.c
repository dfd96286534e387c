/* SPDX-License-Identifier: MIT */
#include "keeper.h"

#include "clock.h"
#include "error.h"
#include "fold.h"
#include "follow.h"
#include "tracker.h"
#include "wal.h"
#include "write.h"

/* Folding begins at this many rows and as many as there were keys at the last fold: large enough that a fold changes
 * many rows of each page.
 */
#define FOLD_ROWS 65536
/* But not at more, or questions would have many runs to ask (runs.h), and memory many rows to hold. */
#define FOLD_ROWS_MOST (1 << 20)
/* A tracker that closes folds if so many rows have been left, and for so long. */
#define CLOSING_ROWS 4096
#define CLOSING_NANOSECONDS INT64_C(50000000)
/* After a failure the keeper rests this long, and it looks as often whether a log that was long is still needed. */
#define REST_NANOSECONDS INT64_C(1000000000)

int ct_keeper_init(ct_keeper *keeper)
{
    if (ct_mutex_init(&keeper->lock) != 0) {
        return -1;
    }
    if (ct_condition_init(&keeper->wake) != 0) {
        ct_mutex_destroy(&keeper->lock);
        return -1;
    }
    atomic_init(&keeper->stopping, false);
    atomic_init(&keeper->watches, false);
    return 0;
}

void ct_keeper_destroy(ct_keeper *keeper)
{
    ct_condition_destroy(&keeper->wake);
    ct_mutex_destroy(&keeper->lock);
}

static int64_t rows_to_fold(const ct_store *store)
{
    int64_t rows = FOLD_ROWS + (int64_t)store->folded_keys;
    return ct_wal_scaled(store, rows < FOLD_ROWS_MOST ? rows : FOLD_ROWS_MOST, 256);
}

/* The turn is held. */
static bool fold_due(const ctrack *tracker)
{
    return ct_fold_backlog(tracker->store) >= rows_to_fold(tracker->store);
}

/* Does for the write-ahead log what is due. The turn is held. */
static ctrack_status care_for_log(ct_store *store, ctrack_error *error)
{
    ct_wal_measure(store);
    ctrack_status status = ct_wal_is_due(store) ? ct_store_checkpoint(store, error) : CTRACK_OK;
    return status == CTRACK_OK && ct_wal_is_large(store) ? ct_store_shrink(store, false, error) : status;
}

/* Writes a run over rows of others, if they have not done so. */
static ctrack_status write_run(ctrack *tracker, ctrack_error *error)
{
    bool anew;
    ct_store *store = tracker->store;
    ctrack_status status = ct_runs_look(store, error);
    if (status != CTRACK_OK || !ct_runs_overdue(&store->runs)) {
        return status;
    }
    status = ct_write_begin(tracker, &anew, error);
    return status == CTRACK_OK ? ct_write_end(tracker, ct_runs_write(store, error), error) : status;
}

/* Looks what is to be done. *fold: the log should be folded. *large: there is space to be given back. */
static ctrack_status look(ctrack *tracker, bool *fold, bool *large, ctrack_error *error)
{
    ct_ticket ticket = {0};
    if (ct_turn_take(&tracker->turn, &ticket) != 0) {
        return ct_error_no_memory(error);
    }
    ctrack_status status = care_for_log(tracker->store, error);
    status = status == CTRACK_OK && ct_runs_overdue(&tracker->store->runs) ? write_run(tracker, error) : status;
    *fold = status == CTRACK_OK && fold_due(tracker);
    *large = ct_wal_is_large(tracker->store);
    ct_tracker_pass(tracker, &ticket, &ticket);
    return status;
}

/* `anew`: a fold has been given up. It may be because another state was put into the file's place, or its schema was
 * changed: until the tracker has followed each fold would be. */
static ctrack_status work(ctrack *tracker, bool anew, bool *large, ctrack_error *error)
{
    bool fold = false;
    ctrack_status status = anew ? ct_follow_in_turn(tracker, false, error) : CTRACK_OK;
    if (status == CTRACK_OK) {
        status = look(tracker, &fold, large, error);
    }
    if (status == CTRACK_OK && fold) {
        status = ct_fold_log(tracker, &tracker->keeper.stopping, NULL, error);
    }
    return status;
}

/* Waits until the deadline, or unless it rests until there is something to do. Returns whether to go on. */
static bool wait_for_work(ct_keeper *keeper, bool rests, int64_t deadline)
{
    ct_mutex_lock(&keeper->lock);
    while (!atomic_load(&keeper->stopping) && (rests || !keeper->due) && ct_clock_monotonic() < deadline) {
        ct_condition_wait(&keeper->wake, &keeper->lock, deadline);
    }
    keeper->due = false;
    bool go_on = !atomic_load(&keeper->stopping);
    ct_mutex_unlock(&keeper->lock);
    return go_on;
}

static void *run(void *argument)
{
    ctrack *tracker = argument;
    bool rests = false, anew = false;
    int64_t deadline = CT_NEVER;
    while (wait_for_work(&tracker->keeper, rests, deadline)) {
        ctrack_error error;
        bool large = false;
        ctrack_status status = work(tracker, anew, &large, &error);
        anew = status == CTRACK_ABORTED;
        rests = status != CTRACK_OK && !anew;
        deadline = rests || large ? ct_clock_monotonic() + REST_NANOSECONDS : CT_NEVER;
        deadline = anew ? ct_clock_monotonic() : deadline; /* what is left is folded anew */
        atomic_store(&tracker->keeper.watches, large);
        if (rests) {
            ct_tracker_log(tracker, &error);
        }
    }
    return NULL;
}

void ct_keeper_keep_up(ctrack *tracker)
{
    ct_store *store = tracker->store;
    int64_t rows = rows_to_fold(store);
    ctrack_status status = CTRACK_OK;
    bool more = ct_wal_is_scarce(store);
    /* GCOVR_EXCL_BR_START: what fails here is seen at the next commit */
    while (status == CTRACK_OK && more && ct_fold_backlog(store) >= 2 * rows) {
        status = ct_fold_some(tracker, rows, &more, NULL);
        status = status == CTRACK_OK && ct_wal_is_due(store) ? ct_store_checkpoint(store, NULL) : status;
    }
    /* GCOVR_EXCL_BR_STOP */
}

void ct_keeper_consider(ctrack *tracker)
{
    ct_keeper *keeper = &tracker->keeper;
    const ct_store *store = tracker->store;
    bool large = ct_wal_is_large(store) && !atomic_load(&keeper->watches);
    if (store->read_only || (!ct_wal_is_due(store) && !fold_due(tracker) && !large && !ct_runs_overdue(&store->runs))) {
        return;
    }
    ct_mutex_lock(&keeper->lock);
    if (!keeper->started) {
        keeper->started = ct_thread_start(&keeper->thread, run, tracker) == 0; /* else at the next commit */
    }
    if (!keeper->due) {
        keeper->due = true;
        ct_condition_signal(&keeper->wake);
    }
    ct_mutex_unlock(&keeper->lock);
}

void ct_keeper_checkpoint(ctrack *tracker)
{
    ct_store *store = tracker->store;
    if (!store->read_only && ct_wal_is_due(store)) {
        int64_t timeout = store->busy_timeout_ms;
        store->busy_timeout_ms = 0; /* else the keeper waits */
        ct_store_checkpoint(store, NULL);
        store->busy_timeout_ms = timeout;
    }
}

void ct_keeper_stop(ctrack *tracker)
{
    ct_keeper *keeper = &tracker->keeper;
    ct_mutex_lock(&keeper->lock);
    atomic_store(&keeper->stopping, true);
    ct_condition_signal(&keeper->wake);
    bool started = keeper->started;
    ct_mutex_unlock(&keeper->lock);
    if (started) {
        ct_thread_join(&keeper->thread);
    }
}

void ct_keeper_end(ctrack *tracker)
{
    ct_store *store = tracker->store;
    int64_t folded = 0, first, last = 0, until = ct_clock_monotonic() + CLOSING_NANOSECONDS;
    if (store == NULL || store->read_only || store->broken) {
        return;
    }
    store->busy_timeout_ms = 0; /* nobody is waited for */
    ctrack_status status = ct_store_log_range(store, &folded, &first, &last, NULL);
    bool more = last - folded >= CLOSING_ROWS;
    while (status == CTRACK_OK && more) {
        status = ct_fold_some(tracker, CLOSING_ROWS, &more, NULL);
        more = more && ct_clock_monotonic() < until;
    }
    ct_wal_measure(store);
    ct_keeper_checkpoint(tracker);
}
