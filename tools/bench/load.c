/* SPDX-License-Identifier: MIT */
#include "load.h"

#include <stdlib.h>
#include <string.h>

static void write_uuid(bench *b, char *text)
{
    static const char digits[] = "0123456789abcdef";
    static const char shape[] = "xxxxxxxx-xxxx-4xxx-yxxx-xxxxxxxxxxxx";
    uint64_t bits = 0;
    unsigned left = 0;
    for (size_t i = 0; i < LOAD_ID_LENGTH; i++) {
        if (left == 0) {
            bits = bench_random(b, 0);
            left = 16;
        }
        unsigned nibble = (unsigned)(bits & 15);
        if (shape[i] == 'x' || shape[i] == 'y') {
            text[i] = digits[shape[i] == 'y' ? 8 + nibble % 4 : nibble];
            bits >>= 4;
            left--;
        } else {
            text[i] = shape[i];
        }
    }
    text[LOAD_ID_LENGTH] = '\0';
}

load_key *load_keys(bench *b, size_t count)
{
    load_key *keys = bench_alloc(count, sizeof *keys);
    for (size_t i = 0; i < count; i++) {
        keys[i].space = 0;
        write_uuid(b, keys[i].document_id);
    }
    return keys;
}

load load_new(size_t count)
{
    load l = {.count = count};
    l.keys = bench_alloc(count, sizeof *l.keys);
    l.coordinates = bench_alloc(count, sizeof *l.coordinates);
    return l;
}

void load_free(load *l)
{
    free(l->keys);
    free(l->coordinates);
    *l = (load){0};
}

static void put(load *l, size_t at, const load_key *key, int64_t index)
{
    l->keys[at] = key;
    l->coordinates[at] = (ctrack_coordinate){key->document_id, LOAD_SCOPE, LOAD_BRANCH, index};
}

void load_random(bench *b, load *l, const load_key *keys, size_t key_count, int64_t *index)
{
    for (size_t i = 0; i < l->count; i++) {
        put(l, i, &keys[bench_random(b, key_count)], ++*index);
    }
}

void load_in_order(load *l, const load_key *keys, int64_t index)
{
    for (size_t i = 0; i < l->count; i++) {
        put(l, i, &keys[i], index);
    }
}

void load_shuffle(bench *b, load *l)
{
    for (size_t i = l->count; i > 1; i--) {
        size_t j = bench_random(b, i);
        const load_key *key = l->keys[j];
        ctrack_coordinate coordinate = l->coordinates[j];
        l->keys[j] = l->keys[i - 1];
        l->coordinates[j] = l->coordinates[i - 1];
        l->keys[i - 1] = key;
        l->coordinates[i - 1] = coordinate;
    }
}

void load_set_index(load *l, int64_t index)
{
    for (size_t i = 0; i < l->count; i++) {
        l->coordinates[i].operation_index = index;
    }
}
