/* SPDX-License-Identifier: MIT */
#ifndef CT_WATCH_H
#define CT_WATCH_H

/**
 * Sleeping until a file may have changed. On Linux inotify(7) tells; elsewhere, and where it cannot be had, the caller
 * is woken every millisecond while it watches. Either way waking is a hint: the caller looks at the file itself.
 *
 * inotify fires when a process writes to the write-ahead log, which is before its commit is visible, and for writes of
 * our own process too.
 */
#include <stdbool.h>
#include <stdint.h>

typedef struct ct_watch {
    int wake[2];  /* a pipe: a byte ends the sleep */
    int notifier; /* -1: none */
    int poll_ms;  /* how long to sleep at the most while watching */
} ct_watch;

/** Watches a database and its write-ahead log. 0, or -1: no resources. */
int ct_watch_init(ct_watch *watch, const char *path);
void ct_watch_destroy(ct_watch *watch);

/** Sleeps until woken or, if `watching`, until something may have changed. Returns whether the file was written to. */
bool ct_watch_sleep(ct_watch *watch, bool watching);
/** Ends the sleep, or the next one; any thread. */
void ct_watch_wake(ct_watch *watch);

#endif
