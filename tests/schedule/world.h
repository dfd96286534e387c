/* SPDX-License-Identifier: MIT */
#ifndef WORLD_H
#define WORLD_H

/**
 * What a scenario acts in: one or two trackers, waits that are watched, and a ledger of what was done, against which
 * every outcome is judged:
 *
 *  - a wait settles once: whoever looks, sees the same outcome, and a callback runs once;
 *  - CTRACK_OK is true: an update to that index had been called, and on a file its row is committed;
 *  - CTRACK_TIMED_OUT is not early; the other outcomes have their cause;
 *  - an update that has returned is visible, and the waits that it satisfies have settled.
 */
#include "ctrack.h"

#include <pthread.h>
#include <semaphore.h>
#include <sqlite3.h>

enum { DOCUMENTS = 4, WATCHED = 40, ACTORS = 12, TRACKERS = 2 };

typedef struct world world;

/** A wait. */
typedef struct watched {
    world *w;
    int tracker;
    ctrack_coordinate wanted[2];
    size_t count;
    int64_t made_at, timeout_ms;
    ctrack_promise *promise; /* NULL: released */
    bool has_signal, released, heard;
    int calls;             /* of its callback */
    ctrack_status outcome; /* that was first seen; CTRACK_PENDING */
    void (*then)(struct watched *);
} watched;

typedef struct actor {
    world *w;
    void (*act)(struct actor *);
    int tracker, document;
    int64_t index, timeout_ms;
    pthread_t thread;
    bool running;
} actor;

struct world {
    const char *path; /* NULL: in memory */
    sqlite3 *outside; /* looks at the file */
    ctrack *trackers[TRACKERS];
    bool closing[TRACKERS];
    bool shared; /* the trackers have one file */
    ctrack_abort_signal *signal;
    bool aborting, failing, rewinding;
    int64_t called[TRACKERS][DOCUMENTS];       /* the highest index that an update was called with; -1: none */
    int64_t acknowledged[TRACKERS][DOCUMENTS]; /* and that an update has returned for */
    watched waits[WATCHED];
    int wait_count;
    sem_t told; /* for actors that wait for each other, or for a callback */
    actor actors[ACTORS];
    int actor_count;
};

/** Opens a tracker of the world: in memory, or on its file. */
void world_open(world *w, int tracker);
/** Closes it; then all its waits have settled, and all callbacks have run. */
void world_close(world *w, int tracker);
/** When all is over: each callback has run once. */
void world_end(world *w);

/** Starts a thread; the rest of the actor are its arguments. */
actor *world_start(world *w, void (*act)(actor *), int tracker, int document, int64_t index, int64_t timeout_ms);
/** Joins all that were started. */
void world_join(world *w);

/** True if a call of the tracker can begin, which it then must: no other thread runs before it has. */
bool world_begin(world *w, int tracker);
/** Calls and judges them. They may be refused when the tracker is being closed. */
bool world_update(world *w, int tracker, int document, int64_t index);
bool world_update_two(world *w, int tracker, int64_t index); /**< documents 0 and 1 in one batch */
void world_read(world *w, int tracker, int document);
/** Notes that the ledger is to know of progress that is reported in another way. */
void world_call(world *w, int tracker, int document, int64_t index);
/** When nobody updates: what is in memory is what is in the file. */
void world_compare(world *w, int tracker);

/** Waits for one document, or, `count` 2, for the next one too. NULL: refused, since the tracker is being closed. */
watched *world_wait(world *w, int tracker, int document, int64_t index, size_t count, int64_t timeout_ms, bool signal);
void world_await(watched *wait);
/** Has a callback run, which calls `then` unless that is NULL. False: refused, since the tracker is being closed. */
bool world_hear(watched *wait, void (*then)(watched *));
void world_release(watched *wait);
/** The promise's status now, judged. */
ctrack_status world_look(watched *wait);

#endif
