/* SPDX-License-Identifier: MIT */
#ifndef CT_BOARD_H
#define CT_BOARD_H

/**
 * The board: what a tracker knows in memory. Progress and waits stand under one lock, so that checking and registering
 * a wait is one step, publishing progress is one step, and no wake-up falls between the two.
 *
 * The life of an update: ct_board_prepare() finds or makes the entries, and so reserves all memory; the caller commits
 * to the file (if there is one) without the lock; then ct_board_publish() raises the entries and settles waits, or
 * ct_board_cancel() takes the reservations back. Neither can fail.
 *
 * Waking happens after the lock is released: ct_board_unlock_and_wake() is the only way out of a section that may have
 * settled waits.
 *
 * Locks, in this order: the turn (turn.h), the board's lock, an abort signal's lock. Nothing foreign runs under any.
 * A board lives until its tracker and the last of its promises have let go.
 */
#include <stdatomic.h>

#include "ctrack.h"
#include "map.h"
#include "service.h"
#include "sync.h"
#include "waitset.h"

/** One step of progress on its way: an entry and the index that it is going to have. */
typedef struct ct_advance {
    ct_entry *entry;
    int64_t index;  /* CT_UNSEEN: its progress is forgotten */
    int64_t before; /* the entry's index when the step was added; CT_UNSEEN: it is CT_RESERVED by this step since */
} ct_advance;

/** Steps on their way. Zeroed: empty. */
typedef struct ct_advances {
    ct_advance *items;
    size_t count, capacity;
} ct_advances;

/** Why waits fail, shared by all that it has ended. */
typedef struct ct_cause {
    atomic_uint refs;
    ctrack_status status; /* what they settle as */
    char text[];
} ct_cause;

/** Who says that waits fail. Each says so, and that it is over, for itself. */
typedef enum ct_failing {
    CT_FAILING_HOST, /* ctrack_fail() */
    CT_FAILING_FILE, /* whoever looks at the file */
    CT_FAILINGS
} ct_failing;

typedef struct ct_board {
    ct_mutex lock;
    ct_map *map;                   /* lock */
    ct_waitset waits;              /* lock */
    ct_service service;            /* see service.h */
    ct_cause *causes[CT_FAILINGS]; /* lock; NULL: all is well, as far as that one knows */
    ctrack_stats counts;           /* lock; the part that is counted as it happens */
    bool closed;                   /* lock */
    ct_advances update;            /* lock; empty between calls of ct_board_update() */
    atomic_uint refs;              /* the tracker, and each promise */
    unsigned generation;           /* of the process that made it, ct_fork_generation() */
} ct_board;

ct_board *ct_board_new(void); /**< NULL: no memory */
void ct_board_unref(ct_board *board);
/** CTRACK_FORKED in a child process, else CTRACK_OK. */
ctrack_status ct_board_check(const ct_board *board, ctrack_error *error);

/** Refuses new waits and updates, settles all waits as CTRACK_CLOSED, lets their callbacks run and stops the service.
 */
void ct_board_close(ct_board *board);
/** Of a closed board, which promises may keep for long: frees what they cannot be asked about any more. */
void ct_board_clear(ct_board *board);

/** Settles all waits, and new ones that are not satisfied, with a status and its reason; until the same one resumes. */
ctrack_status ct_board_fail(ct_board *board, ct_failing who, ctrack_status status, const char *reason,
                            ctrack_error *error);
void ct_board_resume(ct_board *board, ct_failing who);
/** Whether that one has failed, and not resumed. */
bool ct_board_fails(ct_board *board, ct_failing who);
/** Why new waits fail; NULL: they do not. The lock is held. */
ct_cause *ct_board_cause(const ct_board *board);
void ct_cause_unref(ct_cause *cause);

/** Counts a successful group of updates. */
void ct_board_count(ct_board *board, size_t updates, size_t given, size_t written, bool committed);
/** How many keys have progress. */
size_t ct_board_keys(ct_board *board);
/** The counts so far, with what there is now. */
void ct_board_stats(ct_board *board, ctrack_stats *stats);

/** Whether this is the thread that runs the board's callbacks. */
bool ct_board_on_service_thread(ct_board *board);

/** ctrack_get_latest(). */
ctrack_status ct_board_get(ct_board *board, const ctrack_key *key, int64_t *operation_index);
/** Whether each coordinate is reached; then it counts as a wait that has ended so. Else nothing is said: there may be
 * errors in them, or the board may be closed. */
bool ct_board_reached(ct_board *board, const ctrack_coordinate *coordinates, size_t count);
/** ctrack_serialize(). */
ctrack_status ct_board_copy(ct_board *board, ctrack_snapshot **snapshot, ctrack_error *error);

/** Adds an entry's key to a snapshot, with an index and a target. The lock is held. 0, or -1: no memory. */
int ct_board_copy_entry(const ct_board *board, const ct_entry *entry, int64_t index, int64_t target,
                        ctrack_snapshot *snapshot);

/**
 * Appends what the coordinates change to the list: all of them, or those above the present progress. On an error
 * nothing is appended. Only the holder of the turn prepares: entries that one list has reserved may stand in no other.
 */
ctrack_status ct_board_prepare(ct_board *board, const ctrack_coordinate *coordinates, size_t count, bool all,
                               ct_advances *advances, ctrack_error *error);
/** Sorts the list so that each entry stands in it once, at its highest index. */
void ct_advances_unite(ct_advances *advances);
/** Appends one step, for an entry that the caller has found under the lock, reserving it if needed. 0, or -1: no
 * memory. */
int ct_advances_add(ct_advances *advances, ct_entry *entry, int64_t index);
void ct_advances_free(ct_advances *advances);

/** Carries out the steps in their order, and empties the list. If any takes progress back, all waits are judged anew.
 */
void ct_board_publish(ct_board *board, ct_advances *advances);
/** Publishes the steps as the whole progress there is, empties the list, and judges all waits anew. */
void ct_board_replace(ct_board *board, ct_advances *advances);
/** Gives the list up. */
void ct_board_cancel(ct_board *board, ct_advances *advances);

/** Prepares and publishes in one step, for a tracker that lives in memory only. */
ctrack_status ct_board_update(ct_board *board, const ctrack_coordinate *coordinates, size_t count, ctrack_error *error);

/** Leaves the lock, then wakes everybody whose wait has settled. */
void ct_board_unlock_and_wake(ct_board *board, ct_settled *settled);

#endif
