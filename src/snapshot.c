/* SPDX-License-Identifier: MIT */
#include "snapshot.h"

#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "text.h"

/* Texts stand one after the other in blocks that never move, so that entries can point into them. */
typedef struct block {
    struct block *next;
    size_t used, size;
    char text[];
} block;

typedef struct entry {
    ctrack_coordinate coordinate;
    int64_t target;
} entry;

struct ctrack_snapshot {
    block *blocks;              /* newest first */
    entry *filling;             /* until sealed */
    ctrack_coordinate *entries; /* once sealed */
    int64_t *targets;           /* once sealed, NULL if no entry has one */
    const char *scope, *branch; /* the last ones added: most entries share them, and so their text */
    size_t count, capacity;
};

ctrack_snapshot *ct_snapshot_new(void)
{
    return ct_alloc_array(1, sizeof(ctrack_snapshot));
}

static const char *copy_text(ctrack_snapshot *snapshot, const char *text, size_t length)
{
    block *current = snapshot->blocks;
    if (current == NULL || current->size - current->used < length + 1) {
        size_t size = current == NULL ? 256 : 64 * 1024;
        size = length + 1 > size ? length + 1 : size;
        block *fresh = ct_alloc(sizeof(block) + size);
        if (fresh == NULL) {
            return NULL;
        }
        fresh->next = current;
        fresh->used = 0;
        fresh->size = size;
        snapshot->blocks = current = fresh;
    }
    char *copy = current->text + current->used;
    memcpy(copy, text, length);
    copy[length] = '\0';
    current->used += length + 1;
    return copy;
}

static const char *share_text(ctrack_snapshot *snapshot, const char *last, const char *text, size_t length)
{
    if (last != NULL && strncmp(last, text, length) == 0 && last[length] == '\0') {
        return last;
    }
    return copy_text(snapshot, text, length);
}

int ct_snapshot_add(ctrack_snapshot *snapshot, const char *const text[3], const size_t length[3],
                    int64_t operation_index, int64_t target)
{
    void *grown = snapshot->filling;
    if (ct_grow(&grown, &snapshot->capacity, snapshot->count + 1, sizeof(entry)) != 0) {
        return -1;
    }
    snapshot->filling = grown;
    const char *document_id = copy_text(snapshot, text[0], length[0]);
    const char *scope = share_text(snapshot, snapshot->scope, text[1], length[1]);
    const char *branch = share_text(snapshot, snapshot->branch, text[2], length[2]);
    if (document_id == NULL || scope == NULL || branch == NULL) {
        return -1;
    }
    snapshot->scope = scope;
    snapshot->branch = branch;
    snapshot->filling[snapshot->count++] =
        (entry){.coordinate = {document_id, scope, branch, operation_index}, .target = target};
    return 0;
}

/* By key; of equal keys the highest index first. */
static int compare_entries(const void *a, const void *b)
{
    const entry *left = a, *right = b;
    int order = ct_text_compare(&left->coordinate, &right->coordinate);
    if (order != 0) {
        return order;
    }
    return (left->coordinate.operation_index < right->coordinate.operation_index) -
           (left->coordinate.operation_index > right->coordinate.operation_index);
}

int ct_snapshot_seal(ctrack_snapshot *snapshot)
{
    bool targeted = false;
    for (size_t i = 0; i < snapshot->count; i++) {
        targeted = targeted || snapshot->filling[i].target >= 0;
    }
    ctrack_coordinate *entries = ct_alloc_array(snapshot->count, sizeof *entries);
    int64_t *targets = targeted ? ct_alloc_array(snapshot->count, sizeof *targets) : NULL;
    if (entries == NULL || (targeted && targets == NULL)) {
        ct_free(entries);
        ct_free(targets);
        return -1;
    }
    if (snapshot->count > 0) {
        qsort(snapshot->filling, snapshot->count, sizeof(entry), compare_entries);
    }
    size_t kept = 0;
    for (size_t i = 0; i < snapshot->count; i++) {
        const entry *from = &snapshot->filling[i];
        if (kept > 0 && ct_text_compare(&entries[kept - 1], &from->coordinate) == 0) {
            continue;
        }
        entries[kept] = from->coordinate;
        if (targets != NULL) {
            targets[kept] = from->target;
        }
        kept++;
    }
    ct_free(snapshot->filling);
    snapshot->filling = NULL;
    snapshot->entries = entries;
    snapshot->targets = targets;
    snapshot->count = kept;
    return 0;
}

size_t ctrack_snapshot_count(const ctrack_snapshot *snapshot)
{
    return snapshot->count;
}

const ctrack_coordinate *ctrack_snapshot_entries(const ctrack_snapshot *snapshot)
{
    return snapshot->entries;
}

const int64_t *ctrack_snapshot_targets(const ctrack_snapshot *snapshot)
{
    return snapshot->targets;
}

void ctrack_snapshot_free(ctrack_snapshot *snapshot)
{
    if (snapshot == NULL) {
        return;
    }
    while (snapshot->blocks != NULL) {
        block *next = snapshot->blocks->next;
        ct_free(snapshot->blocks);
        snapshot->blocks = next;
    }
    ct_free(snapshot->filling);
    ct_free(snapshot->entries);
    ct_free(snapshot->targets);
    ct_free(snapshot);
}
