/* SPDX-License-Identifier: MIT */
#ifndef PROGRESS_H
#define PROGRESS_H

/**
 * One line on standard error that tells how far a long command is: only if that is a terminal, redrawn a few times a
 * second, wiped at the end, and by a signal. It must be wiped before anything else is said.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct progress {
    bool shown;
    const char *what;     /**< what is going on: "dump" */
    uint64_t total;       /**< bytes; 0: not known */
    uint64_t bytes, rows; /**< done; rows 0: not counted */
    int64_t begun, drawn; /**< nanoseconds on the monotonic clock; drawn 0: never */
    size_t columns;       /**< that the line has now */
};

/** Begins; `data` is the descriptor that data is read from or written to: no line is drawn among it; -1: none. */
void progress_begin(struct progress *progress, const char *what, uint64_t total, int data);
/** So much more is done. */
void progress_advance(struct progress *progress, uint64_t bytes, uint64_t rows);
/** So much of a whole is done, in whatever unit. */
void progress_reach(struct progress *progress, uint64_t done, uint64_t total);
/** Says what goes on now, without figures. */
void progress_say(struct progress *progress, const char *text);
/** Wipes the line, so that something else can be said; it comes again when there is progress. */
void progress_clear(struct progress *progress);
/** Wipes the line for good. */
void progress_end(struct progress *progress);

#endif
