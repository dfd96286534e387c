/* SPDX-License-Identifier: MIT */
#ifndef BENCH_LOAD_H
#define BENCH_LOAD_H

/** Keys, and what is done to them: made before the clock starts, and the same for the tracker and for the raw part. */
#include "bench.h"
#include "ctrack.h"

#define LOAD_SCOPE "document"
#define LOAD_BRANCH "main"
#define LOAD_ID_LENGTH 36

/**
 * A document id (UUID version 4). The number of its (scope, branch) stands before it without a gap, so that the first
 * LOAD_KEY_LENGTH bytes are a key for the raw table as they are.
 */
typedef struct load_key {
    uint32_t space;
    char document_id[LOAD_ID_LENGTH + 1];
} load_key;

#define LOAD_KEY_LENGTH (sizeof(uint32_t) + LOAD_ID_LENGTH)

/** Random keys; free() them. */
load_key *load_keys(bench *b, size_t count);

/** A list of coordinates to be reported or waited for, and the keys that they are of. */
typedef struct load {
    const load_key **keys;
    ctrack_coordinate *coordinates;
    size_t count;
} load;

load load_new(size_t count);
void load_free(load *l);
/** Fills the load with random keys out of `key_count`; *index rises by one with each. */
void load_random(bench *b, load *l, const load_key *keys, size_t key_count, int64_t *index);
/** Fills the load with the keys in their order (at most as many as the load has), all at one index. */
void load_in_order(load *l, const load_key *keys, int64_t index);
/** Puts the load into random order. */
void load_shuffle(bench *b, load *l);
/** Gives all coordinates of the load this index. */
void load_set_index(load *l, int64_t index);

#endif
