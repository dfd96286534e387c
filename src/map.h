/* SPDX-License-Identifier: MIT */
#ifndef CT_MAP_H
#define CT_MAP_H

/**
 * Progress in memory: an entry for every key that has progress or is waited for.
 *
 * Scopes and branches are few, so each (scope, branch) that occurs is kept once, as a keyspace; the key of an entry in
 * the hash table is its keyspace's number followed by the document id. The hash is XXH3 with a secret seed: document
 * ids that strangers choose cannot be made to collide.
 *
 * Nothing here locks: the board's lock guards a map and all that is in it. An entry stays where it is until it is
 * released while it has neither progress nor waits (ct_map_release()), so pointers to entries may be kept meanwhile.
 */
#include "ctrack.h"
#include "heap.h"

/** What an entry's index says beside progress. Both are below every index that can be waited for. */
#define CT_UNSEEN (-1) /**< no progress */
#define CT_RESERVED \
    (-2) /**< no progress yet: a commit under way is going to give it some, so it must not be released */

typedef struct ct_keyspace {
    const char *scope, *branch;
    size_t scope_length, branch_length;
    int64_t file_id; /* its id in the file; 0: not there yet, as far as this tracker knows */
    uint32_t number;
} ct_keyspace;

typedef struct ct_entry {
    int64_t index;         /* progress, or one of the above */
    ct_heap_node *waiting; /* the waits on this key, lowest target first */
    int64_t file_id;       /* its id in the file's dictionary; 0: not there yet. Guarded by the turn. */
} ct_entry;

typedef struct ct_map ct_map;

ct_map *ct_map_new(void); /**< NULL: no memory */
void ct_map_free(ct_map *map);

/** The entry of a key, NULL if there is none: it needs no memory. The key's text need not be valid, but not NULL. */
ct_entry *ct_map_find(ct_map *map, const ctrack_key *key);
/** The same, and makes the entry (CT_UNSEEN) if there is none. NULL: no memory. The key must be valid. */
ct_entry *ct_map_find_or_add(ct_map *map, const ctrack_key *key);
/** The same two for a document in a known keyspace. */
ct_entry *ct_map_find_document(ct_map *map, const ct_keyspace *keyspace, const char *document_id, size_t size);
ct_entry *ct_map_find_or_add_document(ct_map *map, const ct_keyspace *keyspace, const char *document_id, size_t size);

/**
 * Finds the entries of many keys, at most CT_MAP_AHEAD: the processor fetches the memory for all of them at once
 * instead of for one after the other. entries[i] is NULL if there is none, or if text of the key is NULL. It changes
 * nothing.
 */
void ct_map_find_many(ct_map *map, const ctrack_coordinate *coordinates, size_t count, ct_entry **entries);
#define CT_MAP_AHEAD 32

/** So many keys are going to be loaded into an empty map: the table is made as large when the first one comes. */
void ct_map_load_begin(ct_map *map, size_t count);
/**
 * Adds the key with progress, for a map that many keys go into one after the other: a key is put into the table a few
 * calls later, or by ct_map_load_end(), when the memory for it has been fetched. A key that the map has by then keeps
 * the higher progress, and the entry given here is gone. `entry` may be NULL. 0, or -1: no memory.
 */
int ct_map_load(ct_map *map, const ct_keyspace *keyspace, const char *document_id, size_t size, int64_t index,
                int64_t file_id, ct_entry **entry);
/** *repeated: how many of the keys loaded so far the map had already. 0, or -1: no memory. */
int ct_map_load_end(ct_map *map, size_t *repeated);

/** Gives up loading: the map has no entries again. There must be no waits. */
void ct_map_load_cancel(ct_map *map);

/** Removes and frees the entry if it has neither progress nor waits. */
void ct_map_release(ct_map *map, ct_entry *entry);
/** Gives an entry another index, and keeps count of the keys that have progress. */
void ct_map_set(ct_map *map, ct_entry *entry, int64_t index);

/** Keys that have progress. */
size_t ct_map_count(const ct_map *map);
/** Goes through all entries in no particular order: NULL gives the first, and follows the last. */
ct_entry *ct_map_next(const ct_map *map, const ct_entry *entry);

/** The key of an entry; the document id is not NUL-terminated. */
ct_keyspace *ct_map_keyspace_of(const ct_map *map, const ct_entry *entry);
const char *ct_map_document_of(const ct_entry *entry, size_t *length);

/** The keyspace of (scope, branch), made if there is none. NULL: no memory. */
ct_keyspace *ct_map_keyspace(ct_map *map, const char *scope, const char *branch);

/**
 * What a keyspace id of the file stands for: a keyspace of this map, or (bound to NULL) one of another read model.
 * ct_map_bound() says false for an id that was never bound.
 */
int ct_map_bind(ct_map *map, int64_t file_id, ct_keyspace *keyspace); /**< 0, or -1: no memory */
bool ct_map_bound(ct_map *map, int64_t file_id, ct_keyspace **keyspace);
/** All ids of the file stand for nothing any more, those of entries included. */
void ct_map_forget_ids(ct_map *map);

#endif
