/* SPDX-License-Identifier: MIT */
#ifndef WORKER_H
#define WORKER_H

/**
 * A process with a tracker at work on a file that others use, too. One of its threads works: it writes, follows, reads
 * or stages, each call's status judged at once. The other is the host's, which does what it is ordered to (host.h), in
 * the middle of that work.
 *
 * A wait is pending in each of them while their neighbours do what they do (worker_arm); only what it waits for may end
 * it. Everything is ordered by one process, which has no tracker: it forks.
 */
#include <sys/types.h>

#include "host.h"

typedef enum worker_role { WORKER_WRITES, WORKER_FOLLOWS, WORKER_READS, WORKER_STAGES, WORKERS } worker_role;

/** What a worker shares with the process that orders. */
typedef struct worker_page {
    atomic_ulong wanted, obeyed;          /* odd: work; even: be still. The worker has obeyed when they are the same. */
    atomic_ulong excused;                 /* bits, 1 << ctrack_status: what calls may return in this trouble */
    atomic_bool may_open;                 /* the file has its name, and no other */
    atomic_bool reopen;                   /* ordered: close the tracker and open it again */
    atomic_bool probe;                    /* ordered: commit the index that is waited for, once */
    _Atomic int64_t waits_for;            /* the index of TALLY_PROBE that the pending wait is for */
    _Atomic int64_t settled_ns;           /* when it was reached; 0: it is pending */
    _Atomic int64_t shown[TALLY_DEFAULT]; /* what the tracker says, after a refresh (worker_show) */
    atomic_ulong calls;
} worker_page;
extern worker_page *worker_pages; /**< WORKERS of them, in shared memory */

typedef struct worker {
    worker_role role;
    pid_t pid;
    int orders; /* a socket */
} worker;

/** Starts a process, which opens its tracker; false if that has not worked in time. It is still. */
bool worker_start(worker *w, worker_role role, unsigned long long random);
/** kill -9. Whether it was alive. */
bool worker_kill(worker *w);
bool worker_is_alive(const worker *w);

/** Lets it work, or be still. Nothing waits. */
void worker_order(const worker *w, bool work);
/** Whether it is as ordered. */
bool worker_obeys(const worker *w);

/** Orders its host's thread to act. The answer is awaited with worker_acted(). */
void worker_act(const worker *w, const host_act *act);
/** The same: a wait for an index of TALLY_PROBE begins; the tracker looks at the file and shows what it knows. Only
 * while it is still. */
void worker_arm(const worker *w, int64_t index);
void worker_show(const worker *w);
/** Awaits the end of what was ordered: 1 it was done, 0 it was not, -1 it takes too long, or the process has ended. */
int worker_acted(const worker *w);

#endif
