/* SPDX-License-Identifier: MIT */
#ifndef HOST_H
#define HOST_H

/**
 * What hosts, and other programs, do to a tracker's file and beside it. Each act is one call, made in a process of its
 * own, or in one that has a tracker at work on the same file, in another thread. It ends when its trouble is over.
 */
#include "tally.h"

/** Where everything is; set before any process is started. */
typedef struct host_places {
    char home[300], file[340], wal[350], shm[350]; /* the directory of the tracker's file, and what is in it */
    char other[340];                               /* a tracker's file with other keys, or the same at other indexes */
    char backups[300], copies[300];
} host_places;
extern host_places places;

enum { HOST_BACKUPS = 3, HOST_DRAWS = 3, HOST_OTHER_BACKUP = HOST_BACKUPS };

typedef enum host_kind {
    HOST_READ_FILES,
    HOST_VISIT,
    HOST_VISIT_WITH_SECOND_SQLITE,
    HOST_TRACKER_BESIDE,
    HOST_TRACKER_ELSEWHERE,
    HOST_FORK,
    HOST_FORK_AND_LIVE_ON,
    HOST_LOWER_LIMIT,
    HOST_USE_UP_DESCRIPTORS,
    HOST_HOLD_LOCK,
    HOST_READ_LONG,
    HOST_BACK_UP,
    HOST_RESTORE,
    HOST_MIGRATE,
    HOST_ALTER_OURS,
    HOST_CHECKPOINT,
    HOST_REPLACE_OPEN_FILE,
    HOST_OPEN_OTHER_NAME,
    HOST_ONE_SHOT,
    HOST_PROBE_ONE_SHOT,
    HOST_PROBE_SQL,
    HOST_CHECK,
    HOST_KINDS
} host_kind;

typedef struct host_act {
    host_kind kind;
    int64_t draws[HOST_DRAWS]; /* what is left to chance; their meaning is the act's */
} host_act;

/** What a process with a tracker lends to acts in it; in other processes all NULL. */
typedef struct host_guests {
    ctrack *tracker;      /* at work in another thread */
    void (*reopen)(void); /* has that thread close the tracker and open it again, now */
} host_guests;

/** Acts. Says whether it did what it is for: a backup may be kept out by others' locks. */
bool host_do(const host_act *act, const host_guests *guests);

/** What acts leave for the process that judges, in shared memory. */
typedef struct host_findings {
    tally_state state;                     /* HOST_CHECK: what the file holds */
    tally_state backups[HOST_BACKUPS + 1]; /* HOST_BACK_UP; the last: the other file, HOST_RESTORE */
    _Atomic int64_t probed_ns;             /* when the probe was committed */
} host_findings;
extern host_findings *findings;

/** Makes the file, or the other one: a host's table and no progress, or some. */
void host_make(const char *path, bool progress);
/** Whether there is a second copy of SQLite to be loaded. */
bool host_has_second_sqlite(void);

int64_t host_now(void); /**< CLOCK_MONOTONIC, in nanoseconds */
void host_nap(int64_t nanoseconds);
struct sqlite3 *host_open(const char *path); /**< patient, and without checkpoints of its own */
/** Runs SQL; objects to a failure. */
bool host_run(struct sqlite3 *db, const char *sql);

#endif
