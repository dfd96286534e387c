/* SPDX-License-Identifier: MIT */
#ifndef DEMO_HISTORY_H
#define DEMO_HISTORY_H

/**
 * What the write side did: one consistency token for each write, oldest first, from a file with one token per line.
 */
#include <stdbool.h>
#include <stddef.h>

#include "ctrack.h"

typedef struct write_history {
    ctrack_snapshot **tokens;
    size_t count;
} write_history;

/** Reads the file; false, with the reason on stderr, when it cannot be read. */
bool history_load(const char *path, write_history *history);
void history_free(write_history *history);

/**
 * A write before `before` that touched a key which no write from `after` on touches again, the smallest and latest of
 * them; `count` if there is none. A reader of the later history alone can never learn of such a write.
 */
size_t history_find_unrepeated(const write_history *history, size_t before, size_t after);

#endif
