/* SPDX-License-Identifier: MIT */
#ifndef CT_RUN_H
#define CT_RUN_H

/**
 * A run: where in a part of the log each key has its highest index. It is what makes a question about a key cheap while
 * much of the log is not folded; what it is good for and when it is written stands in runs.h.
 *
 * A run covers the rows first_seq to last_seq. Its entries are pairs of a place and an offset: the place is 32 bits of
 * the key's hash, the offset is the row's seq less first_seq. They are sorted by place. Keys whose places are
 * the same have an entry each. The places are divided evenly among the parts of the run, so whoever looks for a key
 * knows in which part it is, and a part is a blob that fits a page:
 *
 *     place  offset  place  offset  …        8 bytes an entry, each number in little endian
 *
 * An entry says where to look and nothing else: the row itself says which key it is about, and its index. So a place that
 * two keys share costs a look, and no more. What a run does promise is to be complete: a key that it has no entry for
 * has no row in its part of the log.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * A key, by 128 bits that are never the same for two keys. `seed` is the file's own and nobody else knows it: document
 * ids that strangers choose cannot be made to collide.
 */
typedef struct ct_run_key {
    uint64_t high, low;
} ct_run_key;

ct_run_key ct_run_key_of(int64_t seed, int64_t keyspace_id, const char *document_id, size_t length);
/** The place of a key. */
uint32_t ct_run_place(ct_run_key key);

/** A row of the log. */
typedef struct ct_run_row {
    ct_run_key key;
    int64_t operation_index;
} ct_run_row;

typedef struct ct_run_entry {
    uint32_t place, offset;
} ct_run_entry;

/**
 * Makes the entries of a run over rows that follow each other; fewer than 2^32. `entries` and `scratch` have room for
 * `count`. Returns how many entries there are.
 */
size_t ct_run_make(const ct_run_row *rows, size_t count, ct_run_entry *entries, ct_run_entry *scratch);

/** What an entry takes in a part. */
#define CT_RUN_ENTRY_BYTES 8
/** How many parts so many entries are divided among; at least one. */
uint32_t ct_run_parts(size_t entries);
/** The part that has a place. */
uint32_t ct_run_part(uint32_t place, uint32_t parts);
/** How many of the entries, which are sorted, are of this part. */
size_t ct_run_part_length(const ct_run_entry *entries, size_t count, uint32_t part, uint32_t parts);
void ct_run_encode(const ct_run_entry *entries, size_t count, unsigned char *bytes);

/** An entry of a part. */
ct_run_entry ct_run_decode(const unsigned char *bytes, size_t index);
/** The first of a part's entries whose place is not below this one; `count` if there is none. */
size_t ct_run_search(const unsigned char *bytes, size_t count, uint32_t place);

#endif
