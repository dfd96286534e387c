/* SPDX-License-Identifier: MIT */
#ifndef BENCH_SUBJECT_H
#define BENCH_SUBJECT_H

/** The tracker, through its public header, where every failure ends the bench. */
#include <semaphore.h>

#include "load.h"

/** What FULL means, or NORMAL for making files quickly. `path` NULL: in memory. */
ctrack *subject_open(const char *path, ctrack_durability durability);
void subject_close(ctrack *tracker);
/** Reports the part of the load that starts at `first` and has at most `count` coordinates. */
void subject_update(ctrack *tracker, const load *l, size_t first, size_t count);
/** Reports the whole load, `batch` coordinates at a time. */
void subject_update_all(ctrack *tracker, const load *l, size_t batch);
/** A wait for the part of a load. */
ctrack_promise *subject_wait(ctrack *tracker, const load *l, size_t first, size_t count, int64_t timeout_ms);
/** A wait for the load's first coordinate, and when its callback ran. It stays where it is until it has ended. */
typedef struct subject_call {
    ctrack_promise *promise;
    sem_t done;
    int64_t at;
} subject_call;
void subject_call_begin(subject_call *call, ctrack *tracker, const load *l);
/** Blocks until the callback has run; returns when that was, in nanoseconds as bench_now() counts them. */
int64_t subject_call_end(subject_call *call);
/** Waits for each coordinate of the load on its own; release them with subject_release(). */
void subject_wait_each(ctrack *tracker, const load *l, int64_t timeout_ms, ctrack_promise **promises);
/** Releases promises, which must all have ended, or be pending, as `expected` says. */
void subject_release(ctrack_promise **promises, size_t count, ctrack_status expected);
/** Has the whole log folded: forgetting a key does that first. The key that is forgotten is made for it. */
void subject_fold(ctrack *tracker);
/** Makes a file that holds these keys, all folded. */
void subject_make(const char *path, const load *l);
/** The same, closed as the updates leave it: the newest rows stand in the log. */
void subject_make_unfolded(const char *path, const load *l);
/** Rows of a file's log that are not folded yet. */
double subject_backlog(const char *path);

#endif
