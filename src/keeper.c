/* SPDX-License-Identifier: MIT */
#include "keeper.h"

#include "clock.h"
#include "error.h"
#include "fold.h"
#include "tracker.h"

/* Folding begins at this many rows and as many as there were keys at the last fold: large enough that a fold changes
 * many rows of each page.
 */
#define FOLD_ROWS 65536
/* 32 MiB: pages that are written again and again go to the database once for many commits. */
#define CHECKPOINT_PAGES 8192
/* A tracker that closes folds if so many rows have been left, and for so long. */
#define CLOSING_ROWS 4096
#define CLOSING_NANOSECONDS INT64_C(50000000)
/* After a failure the keeper rests this long. */
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
    return 0;
}

void ct_keeper_destroy(ct_keeper *keeper)
{
    ct_condition_destroy(&keeper->wake);
    ct_mutex_destroy(&keeper->lock);
}

/* The turn is held. */
static bool fold_due(const ctrack *tracker)
{
    const ct_store *store = tracker->store;
    return ct_fold_backlog(store) >= FOLD_ROWS + (int64_t)store->folded_keys;
}

static bool checkpoint_due(const ctrack *tracker)
{
    const ct_store *store = tracker->store;
    return store->wal_pages - store->checkpointed_pages >= CHECKPOINT_PAGES;
}

/* Looks what is to be done, and checkpoints if that is due. *fold: the log should be folded. */
static ctrack_status look(ctrack *tracker, bool *fold, ctrack_error *error)
{
    ct_ticket ticket = {0};
    if (ct_turn_take(&tracker->turn, &ticket) != 0) {
        return ct_error_no_memory(error);
    }
    ctrack_status status = checkpoint_due(tracker) ? ct_store_checkpoint(tracker->store, error) : CTRACK_OK;
    *fold = status == CTRACK_OK && fold_due(tracker);
    ct_turn_pass(&tracker->turn, &ticket, &ticket);
    return status;
}

static ctrack_status work(ctrack *tracker, ctrack_error *error)
{
    bool fold = false;
    ctrack_status status = look(tracker, &fold, error);
    if (status == CTRACK_OK && fold) {
        status = ct_fold_log(tracker, &tracker->keeper.stopping, error);
    }
    return status;
}

/* Waits until the deadline, or until there is something to do if there is none. Returns whether to go on. */
static bool wait_for_work(ct_keeper *keeper, int64_t deadline)
{
    ct_mutex_lock(&keeper->lock);
    while (!atomic_load(&keeper->stopping) && (deadline == CT_NEVER ? !keeper->due : ct_clock_monotonic() < deadline)) {
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
    int64_t deadline = CT_NEVER;
    while (wait_for_work(&tracker->keeper, deadline)) {
        ctrack_error error;
        ctrack_status status = work(tracker, &error);
        deadline = CT_NEVER;
        if (status == CTRACK_ABORTED) { /* somebody has taken progress back: what is left is folded anew */
            deadline = ct_clock_monotonic();
        } else if (status != CTRACK_OK) {
            ct_tracker_log(tracker, &error);
            deadline = ct_clock_monotonic() + REST_NANOSECONDS;
        }
    }
    return NULL;
}

void ct_keeper_consider(ctrack *tracker)
{
    ct_keeper *keeper = &tracker->keeper;
    if (tracker->store->read_only || (!checkpoint_due(tracker) && !fold_due(tracker))) {
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
    int64_t left = last - folded;
    while (status == CTRACK_OK && left >= CLOSING_ROWS && ct_clock_monotonic() < until) {
        status = ct_fold_some(tracker, CLOSING_ROWS, &left, NULL);
    }
}
