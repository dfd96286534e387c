/* SPDX-License-Identifier: MIT */
#include "run.h"

#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

/* On average. A page of 4,096 bytes holds 507; how many fall into a part varies by the square root, and what does not
 * fit goes to a second page. */
#define PART_ENTRIES 416

/* The sort's digit: three of them make a place. */
#define DIGIT_BITS 11
#define DIGITS (1U << DIGIT_BITS)

ct_run_key ct_run_key_of(int64_t seed, int64_t keyspace_id, const char *document_id, size_t length)
{
    XXH128_hash_t hash = XXH3_128bits_withSeed(document_id, length, (XXH64_hash_t)seed);
    uint64_t id = (uint64_t)keyspace_id; /* odd factors: no two ids give the same */
    return (ct_run_key){hash.high64 ^ id * 0x9E3779B97F4A7C15U, hash.low64 ^ id * 0xC2B2AE3D27D4EB4FU};
}

uint32_t ct_run_place(ct_run_key key)
{
    return (uint32_t)(key.high >> 32);
}

/* ---------------------------------------------------------------- making one */

/* One pass of a radix sort: by a digit of the place, and of equal ones as they were. */
static void pass(const ct_run_entry *from, ct_run_entry *to, size_t count, unsigned shift)
{
    size_t starts[DIGITS] = {0}, start = 0;
    for (size_t i = 0; i < count; i++) {
        starts[from[i].place >> shift & (DIGITS - 1)]++;
    }
    for (size_t digit = 0; digit < DIGITS; digit++) {
        size_t length = starts[digit];
        starts[digit] = start;
        start += length;
    }
    for (size_t i = 0; i < count; i++) {
        to[starts[from[i].place >> shift & (DIGITS - 1)]++] = from[i];
    }
}

static bool same_key(const ct_run_row *a, const ct_run_row *b)
{
    return a->key.high == b->key.high && a->key.low == b->key.low;
}

/* Adds an entry to those of its place, which are `kept` from `first` on; of one key only the highest index stays. */
static size_t keep(const ct_run_row *rows, ct_run_entry *entries, size_t first, size_t kept, ct_run_entry entry)
{
    const ct_run_row *row = &rows[entry.offset];
    for (size_t i = first; i < kept; i++) {
        const ct_run_row *before = &rows[entries[i].offset];
        if (same_key(before, row)) {
            if (before->operation_index < row->operation_index) {
                entries[i].offset = entry.offset;
            }
            return kept;
        }
    }
    entries[kept] = entry;
    return kept + 1;
}

size_t ct_run_make(const ct_run_row *rows, size_t count, ct_run_entry *entries, ct_run_entry *scratch)
{
    for (size_t i = 0; i < count; i++) {
        scratch[i] = (ct_run_entry){ct_run_place(rows[i].key), (uint32_t)i};
    }
    pass(scratch, entries, count, 0);
    pass(entries, scratch, count, DIGIT_BITS);
    pass(scratch, entries, count, 2 * DIGIT_BITS);
    size_t kept = 0, first = 0;
    for (size_t i = 0; i < count; i++) {
        ct_run_entry entry = entries[i];
        if (i == 0 || entries[first].place != entry.place) {
            first = kept;
        }
        kept = keep(rows, entries, first, kept, entry);
    }
    return kept;
}

/* ---------------------------------------------------------------- parts */

uint32_t ct_run_parts(size_t entries)
{
    return (uint32_t)(entries / PART_ENTRIES + 1);
}

uint32_t ct_run_part(uint32_t place, uint32_t parts)
{
    return (uint32_t)((uint64_t)place * parts >> 32);
}

size_t ct_run_part_length(const ct_run_entry *entries, size_t count, uint32_t part, uint32_t parts)
{
    size_t length = 0;
    while (length < count && ct_run_part(entries[length].place, parts) == part) {
        length++;
    }
    return length;
}

static void put(uint32_t number, unsigned char *bytes)
{
    bytes[0] = (unsigned char)number;
    bytes[1] = (unsigned char)(number >> 8);
    bytes[2] = (unsigned char)(number >> 16);
    bytes[3] = (unsigned char)(number >> 24);
}

static uint32_t get(const unsigned char *bytes)
{
    return bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

void ct_run_encode(const ct_run_entry *entries, size_t count, unsigned char *bytes)
{
    for (size_t i = 0; i < count; i++) {
        put(entries[i].place, bytes + CT_RUN_ENTRY_BYTES * i);
        put(entries[i].offset, bytes + CT_RUN_ENTRY_BYTES * i + 4);
    }
}

ct_run_entry ct_run_decode(const unsigned char *bytes, size_t index)
{
    const unsigned char *at = bytes + CT_RUN_ENTRY_BYTES * index;
    return (ct_run_entry){get(at), get(at + 4)};
}

size_t ct_run_search(const unsigned char *bytes, size_t count, uint32_t place)
{
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (ct_run_decode(bytes, middle).place < place) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}
