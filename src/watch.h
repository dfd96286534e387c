/* SPDX-License-Identifier: MIT */
#ifndef CT_WATCH_H
#define CT_WATCH_H

/**
 * Sleeping until a file may have changed. On Linux inotify(7) tells. Elsewhere, and where it cannot be had, the caller
 * is woken from time to time while it watches: each millisecond while there are changes, less often the longer there
 * have been none. Either way waking is a hint: the caller looks at the file itself.
 *
 * inotify fires when a process writes to the write-ahead log, which is before its commit is visible, and for writes of
 * our own process too.
 *
 * A user may have few instances of inotify, so a process takes one for all of its watches, and gives it back with the
 * last of them. Of the threads that sleep, one leads: it polls the instance, and tells the others when their files are
 * written to. When it has to do with its own file it lets go of the lead, and wakes another one that takes it. So a
 * watch that is alone, as most are, is woken by the system itself, and it takes no thread of its own to pass that on.
 * What could not be had is tried for again each second. The child of a fork may inherit an instance, but then opens no
 * file (connection.h), so it has nothing to watch.
 */
#include "sync.h"

typedef struct ct_watch {
    struct ct_watch *next; /* of the process's; this and the rest: its lock */
    char *names[2];        /* the write-ahead log, and the file; never change */
    int descriptors[2];    /* what the instance calls them; -1: it does not watch */
    ct_condition wake;
    bool woken;         /* somebody has called ct_watch_wake() */
    bool written;       /* a file was written to */
    bool awaits;        /* it sleeps until a file may have changed */
    bool sleeps;        /* it sleeps, whatever happens to its files */
    int64_t again;      /* when to try to watch what is not watched */
    int64_t changed_at; /* when a change was last seen */
} ct_watch;

/** Watches a database and its write-ahead log. 0, or -1: no resources. */
int ct_watch_init(ct_watch *watch, const char *path);
void ct_watch_destroy(ct_watch *watch);

/** Sleeps until woken, or until the deadline. */
void ct_watch_sleep(ct_watch *watch, int64_t deadline);
/** Sleeps until woken, or until something may have changed. `changed`: something has, when the caller looked. Returns
 * whether a file was written to, as far as that can be told. */
bool ct_watch_await(ct_watch *watch, bool changed);
/** Ends the sleep, or the next one; any thread. */
void ct_watch_wake(ct_watch *watch);

#endif
