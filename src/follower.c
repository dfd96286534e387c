/* SPDX-License-Identifier: MIT */
#include "follower.h"

#include "clock.h"
#include "error.h"
#include "follow.h"
#include "sql.h"
#include "tracker.h"

/* How long after a write to the file its commit is looked for. It becomes visible when the writer's fsync is done, for
 * which nothing can be waited: mostly within the eager time, in which the pauses are short. */
#define PATIENCE_NANOSECONDS INT64_C(50000000)
#define EAGER_NANOSECONDS INT64_C(1000000)
#define SHORTEST_PAUSE_NANOSECONDS INT64_C(20000)
#define LONGEST_PAUSE_NANOSECONDS INT64_C(1000000)

int ct_follower_init(ct_follower *follower)
{
    atomic_init(&follower->asleep, false);
    atomic_init(&follower->stopping, false);
    return ct_mutex_init(&follower->lock);
}

void ct_follower_destroy(ct_follower *follower)
{
    ct_mutex_destroy(&follower->lock);
}

static bool wanted(ctrack *tracker)
{
    ct_mutex_lock(&tracker->board->lock);
    bool pending = tracker->board->waits.pending > 0;
    ct_mutex_unlock(&tracker->board->lock);
    return pending || tracker->follower.always;
}

typedef enum sight {
    NOTHING, /* no commit that was not there before */
    OWN,     /* commits, but all progress in them is published */
    PERHAPS, /* a commit of our own is on its way, or something else */
    NEWS     /* followed */
} sight;

/* Looks at the file once, and follows if the log has a row that is not published. */
static ctrack_status look(ctrack *tracker, ct_store *eye, sight *seen, ctrack_error *error)
{
    int64_t version, folded, first, newest = 0;
    bool changed = false;
    *seen = NOTHING;
    ctrack_status status = ct_store_look(eye, &version, &changed, error);
    if (status != CTRACK_OK || !changed) {
        return status;
    }
    *seen = PERHAPS;
    /* In this order: when no commit is on its way, what it has published is known. */
    bool committing = atomic_load(&tracker->committing);
    status = ct_store_log_range(eye, &folded, &first, &newest, error);
    if (status != CTRACK_OK) {
        return status;
    }
    if (newest == atomic_load(&tracker->store->seen_seq)) {
        *seen = OWN;
    } else if (!committing) {
        *seen = NEWS;
        status = ct_follow_in_turn(tracker, false, error);
    }
    eye->data_version = *seen != PERHAPS && status == CTRACK_OK ? version : eye->data_version;
    return status;
}

/* Looks; after a write to the file, again and again until the commit that it belongs to has been seen. */
static ctrack_status look_well(ctrack *tracker, ct_store *eye, bool written, ctrack_error *error)
{
    sight seen;
    int64_t start = ct_clock_monotonic(), now = start, pause = SHORTEST_PAUSE_NANOSECONDS;
    ctrack_status status = look(tracker, eye, &seen, error);
    while (status == CTRACK_OK && (seen == PERHAPS || (seen == NOTHING && written)) &&
           !atomic_load(&tracker->follower.stopping) && /* GCOVR_EXCL_BR_LINE: both need an end at the right time */
           now < start + PATIENCE_NANOSECONDS) {        /* GCOVR_EXCL_BR_LINE */
        ct_thread_nap(pause);
        now = ct_clock_monotonic();
        if (now > start + EAGER_NANOSECONDS) {
            pause = pause * 3 / 2 < LONGEST_PAUSE_NANOSECONDS ? pause * 3 / 2 : LONGEST_PAUSE_NANOSECONDS;
        }
        status = look(tracker, eye, &seen, error);
    }
    return status;
}

/* Whether an error means that the file is not what it was, so that no wait will ever be satisfied by it. */
static bool is_final(ctrack_status status)
{
    return status == CTRACK_IO || status == CTRACK_CORRUPT;
}

static void watch_file(ctrack *tracker, ct_store *eye)
{
    ct_follower *follower = &tracker->follower;
    bool written = false;
    while (!atomic_load(&follower->stopping)) {
        if (!wanted(tracker)) {
            atomic_store(&follower->asleep, true);
            if (!wanted(tracker) && !atomic_load(&follower->stopping)) { /* GCOVR_EXCL_BR_LINE: a wait just between */
                ct_watch_sleep(&follower->watch, false);
            }
            atomic_store(&follower->asleep, false);
            written = false;
            continue;
        }
        ctrack_error error = {.status = CTRACK_OK, .message = ""};
        ctrack_status status = ct_store_check_file(tracker->store, &error);
        status = status == CTRACK_OK ? look_well(tracker, eye, written, &error) : status;
        status = ct_store_explain(tracker->store, status, &error);
        if (status != CTRACK_OK) {
            ct_tracker_log(tracker, &error);
        }
        if (is_final(status) && ct_board_fail(tracker->board, status, error.message, NULL) == CTRACK_OK) {
            return;
        }
        written = ct_watch_sleep(&follower->watch, true);
    }
}

/* Opens the file once more, to look at it. What passes (no memory, a busy file) is said, and it is tried again. NULL: it
 * will not be opened, which the waits know; or the tracker is closed. */
static ct_store *open_eye(ctrack *tracker)
{
    ct_follower *follower = &tracker->follower;
    while (!atomic_load(&follower->stopping)) {
        ctrack_error error;
        ct_store *eye = NULL;
        ctrack_status status = ct_store_open_second(tracker->store, &eye, &error);
        if (status == CTRACK_OK) {
            return eye;
        }
        status = ct_store_explain(tracker->store, status, &error);
        ct_tracker_log(tracker, &error);
        bool passing =
            status == CTRACK_NO_MEMORY || /* GCOVR_EXCL_BR_LINE: busy if another recovers the log just then */
            status == CTRACK_BUSY;
        if (!passing && ct_board_fail(tracker->board, status, error.message, NULL) == CTRACK_OK) {
            return NULL;
        }
        ct_watch_sleep(&follower->watch, true);
    }
    return NULL;
}

static void *run(void *argument)
{
    ctrack *tracker = argument;
    ct_thread_nap_precisely();
    ct_store *eye = open_eye(tracker);
    if (eye != NULL) {
        watch_file(tracker, eye);
    }
    ct_store_close(eye);
    return NULL;
}

static int start(ctrack *tracker)
{
    ct_follower *follower = &tracker->follower;
    if (ct_watch_init(&follower->watch, ct_store_path(tracker->store)) != 0) {
        return -1;
    }
    if (ct_thread_start(&follower->thread, run, tracker) != 0) {
        ct_watch_destroy(&follower->watch);
        return -1;
    }
    return 0;
}

int ct_follower_need(ctrack *tracker)
{
    ct_follower *follower = &tracker->follower;
    int result = 0;
    ct_mutex_lock(&follower->lock);
    if (!follower->started) {
        result = start(tracker);
        follower->started = result == 0;
    }
    ct_mutex_unlock(&follower->lock);
    if (result == 0 && atomic_load(&follower->asleep)) {
        ct_watch_wake(&follower->watch);
    }
    return result;
}

void ct_follower_stop(ctrack *tracker)
{
    ct_follower *follower = &tracker->follower;
    ct_mutex_lock(&follower->lock);
    bool started = follower->started;
    ct_mutex_unlock(&follower->lock);
    if (started) {
        atomic_store(&follower->stopping, true);
        ct_watch_wake(&follower->watch);
        ct_thread_join(&follower->thread);
        ct_watch_destroy(&follower->watch);
    }
}
