/* SPDX-License-Identifier: MIT */
#include "follower.h"

#include <string.h>

#include "clock.h"
#include "error.h"
#include "follow.h"
#include "glance.h"
#include "sql.h"
#include "tracker.h"

/* How long after a write to the file its commit is looked for. It becomes visible when the writer's fsync is done, for
 * which nothing can be waited: mostly within the eager time, in which the pauses are short. */
#define PATIENCE_NANOSECONDS INT64_C(50000000)
#define EAGER_NANOSECONDS INT64_C(1000000)
#define SHORTEST_PAUSE_NANOSECONDS INT64_C(20000)
#define LONGEST_PAUSE_NANOSECONDS INT64_C(1000000)

/* Until the file is looked at again when something is the matter: at first, and in the end. */
#define AGAIN_LEAST_NANOSECONDS INT64_C(1000000)
#define AGAIN_MOST_NANOSECONDS INT64_C(100000000)
/* Between two looks at what is under the file's name. */
#define CHECK_NANOSECONDS INT64_C(90000000)

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

/* What the thread knows from one look at the file to the next. */
typedef struct outlook {
    ct_store *eye;    /* NULL: not opened yet */
    ct_glance seen;   /* by the eye, all that had been committed then */
    int64_t check_at; /* when to look what is under the file's name */
    bool written;     /* the file was written to since the last look */
    bool changed;     /* the last look has seen a commit */
    /* What is the matter with it. */
    int64_t pause;         /* until the next look; 0: nothing is the matter */
    int64_t doubtful_till; /* then waits are ended; CT_NEVER: they are not, as far as is known */
    ctrack_error said;     /* what the host was told last, until all is well again; CTRACK_OK: nothing */
} outlook;

typedef enum sight {
    NOTHING, /* no commit that was not there before */
    OWN,     /* commits, but all progress in them is published */
    PERHAPS, /* a commit of our own is on its way, or something else */
    NEWS     /* followed */
} sight;

/* Looks at the file once, and follows if the log has a row that is not published. */
static ctrack_status look(ctrack *tracker, outlook *o, sight *seen, ctrack_error *error)
{
    ct_store *eye = o->eye;
    int64_t version, schema_version = 0, folded, first, newest = 0;
    bool changed = false;
    ct_glance now;
    *seen = NOTHING;
    if (ct_glance_same(&o->seen, eye->db, &now)) {
        return CTRACK_OK;
    }
    ctrack_status status = ct_store_look(eye, &version, &changed, error);
    if (status != CTRACK_OK) {
        return status;
    }
    if (!changed) {
        o->seen = now;
        return status;
    }
    *seen = PERHAPS;
    /* In this order: when no commit is on its way, what it has published is known. */
    bool committing = atomic_load(&tracker->committing);
    status = ct_store_schema_version(eye, &schema_version, error);
    bool altered =
        schema_version != atomic_load(&tracker->store->schema_version); /* or replaced; that is for the turn */
    if (status == CTRACK_OK && !altered) {
        status = ct_store_log_range(eye, &folded, &first, &newest, error);
    }
    if (status != CTRACK_OK) {
        return status;
    }
    if (!altered && newest == atomic_load(&tracker->store->seen_seq)) {
        *seen = OWN;
    } else if (!committing) {
        *seen = NEWS;
        status = ct_follow_in_turn(tracker, false, error);
    }
    if (*seen != PERHAPS && status == CTRACK_OK) {
        eye->data_version = version;
        o->seen = now;
    }
    return status;
}

/* Looks; after a write to the file, again and again until the commit that it belongs to has been seen. */
static ctrack_status look_well(ctrack *tracker, outlook *o, ctrack_error *error)
{
    sight seen;
    int64_t start = ct_clock_monotonic(), now = start, pause = SHORTEST_PAUSE_NANOSECONDS;
    ctrack_status status = look(tracker, o, &seen, error);
    while (status == CTRACK_OK && (seen == PERHAPS || (seen == NOTHING && o->written)) &&
           !atomic_load(&tracker->follower.stopping) && /* GCOVR_EXCL_BR_LINE: both need an end at the right time */
           now < start + PATIENCE_NANOSECONDS) {        /* GCOVR_EXCL_BR_LINE */
        ct_thread_nap(pause);
        now = ct_clock_monotonic();
        if (now > start + EAGER_NANOSECONDS) {
            pause = pause * 3 / 2 < LONGEST_PAUSE_NANOSECONDS ? pause * 3 / 2 : LONGEST_PAUSE_NANOSECONDS;
        }
        status = look(tracker, o, &seen, error);
    }
    o->changed = seen != NOTHING;
    return status;
}

/* Looks whether it is the file, when that is to be doubted or has not been asked for a while; and then at it. */
static ctrack_status look_through(ctrack *tracker, outlook *o, ctrack_error *error)
{
    ctrack_status status = CTRACK_OK;
    int64_t now = ct_clock_monotonic();
    if (o->written || o->pause > 0 || now >= o->check_at) {
        status = ct_store_check_file(tracker->store, error);
        o->check_at = now + CHECK_NANOSECONDS;
    }
    if (status == CTRACK_OK && o->eye == NULL) {
        status = ct_store_open_second(tracker->store, &o->eye, error);
        if (status != CTRACK_OK) {
            /* Descriptors are short, or the process may not open the file any more: the tracker's own connection can
             * still look. */
            ct_follow_in_turn(tracker, false, NULL);
        }
    }
    return status == CTRACK_OK ? look_well(tracker, o, error) : status;
}

/* All is well. */
static void end_complaint(ctrack *tracker, outlook *o)
{
    if (o->said.status != CTRACK_OK) {
        ct_board_resume(tracker->board, CT_FAILING_FILE);
        o->said.status = CTRACK_OK;
    }
    o->pause = 0;
    o->doubtful_till = CT_NEVER;
}

/* Tells the host what it has not been told yet, and ends the waits if nothing will satisfy them. Whatever it is, the
 * file is looked at again. */
static void complain(ctrack *tracker, outlook *o, ctrack_error *error)
{
    ct_trouble trouble = ct_store_trouble(tracker->store, error);
    int64_t now = ct_clock_monotonic();
    if (error->status != o->said.status || strcmp(error->message, o->said.message) != 0) {
        ct_tracker_log(tracker, error);
        o->said = *error;
    }
    o->pause = o->pause == 0 ? AGAIN_LEAST_NANOSECONDS : o->pause * 2;
    o->pause = o->pause < AGAIN_MOST_NANOSECONDS ? o->pause : AGAIN_MOST_NANOSECONDS;
    if (trouble != CT_TROUBLE_DOUBTFUL) {
        o->doubtful_till = CT_NEVER;
    } else if (o->doubtful_till == CT_NEVER) {
        o->doubtful_till = now + CT_FOLLOWER_GRACE_NANOSECONDS;
    }
    if ((trouble == CT_TROUBLE_FINAL || now >= o->doubtful_till) && !ct_board_fails(tracker->board, CT_FAILING_FILE)) {
        ct_board_fail(tracker->board, CT_FAILING_FILE, error->status, error->message, NULL); /* else the next time */
    }
}

/* Sleeps until somebody waits. */
static void fall_asleep(ctrack *tracker, outlook *o)
{
    ct_follower *follower = &tracker->follower;
    atomic_store(&follower->asleep, true);
    if (!wanted(tracker) && !atomic_load(&follower->stopping)) { /* GCOVR_EXCL_BR_LINE: a wait just between */
        ct_watch_sleep(&follower->watch, CT_NEVER);
    }
    atomic_store(&follower->asleep, false);
    o->written = false;
    o->check_at = o->pause = 0;
    o->doubtful_till = CT_NEVER;
}

static void *run(void *argument)
{
    ctrack *tracker = argument;
    ct_follower *follower = &tracker->follower;
    outlook o = {.doubtful_till = CT_NEVER};
    ct_thread_nap_precisely();
    while (!atomic_load(&follower->stopping)) {
        ctrack_error error;
        if (!wanted(tracker)) {
            fall_asleep(tracker, &o);
        } else if (look_through(tracker, &o, &error) == CTRACK_OK) {
            end_complaint(tracker, &o);
            o.written = ct_watch_await(&follower->watch, o.changed);
        } else {
            complain(tracker, &o, &error);
            ct_watch_sleep(&follower->watch, ct_clock_monotonic() + o.pause);
        }
    }
    ct_store_close(o.eye);
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

void ct_follower_look_again(ctrack *tracker)
{
    if (ct_board_fails(tracker->board, CT_FAILING_FILE) && ct_store_check_file(tracker->store, NULL) == CTRACK_OK &&
        ct_follow_in_turn(tracker, false, NULL) == CTRACK_OK) {
        ct_board_resume(tracker->board, CT_FAILING_FILE);
    }
}
