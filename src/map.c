/* SPDX-License-Identifier: MIT */
#include "map.h"

#include <fcntl.h>
#include <limits.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "alloc.h"
#include "clock.h"

/* Memory that runs out is an answer, not an exit: uthash leaves the table as it was and says so. */
#define HASH_NONFATAL_OOM 1
#define uthash_malloc(size) ct_alloc(size)
#define uthash_free(block, size) ct_free(block)
#define uthash_nonfatal_oom(element) ((void)(element)) /* it has cleared hh.tbl, which tells */
#include <uthash.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

/*
 * The layout of a slot decides the memory for each key: 80 bytes, and the key behind it. With a UUID that makes 120
 * bytes, which glibc's malloc serves with one block of 128. A look-up reads the second half of the handle, then the
 * key; an update the entry, which so lies in the same lines of the cache.
 */
typedef struct slot {
    UT_hash_handle hh;
    ct_entry entry;
    unsigned char key[]; /* keyspace number, document id */
} slot;

typedef struct space {
    ct_keyspace keyspace;
    UT_hash_handle hh;
    char text[]; /* scope, NUL, branch, NUL: the hash key */
} space;

typedef struct binding {
    int64_t file_id;
    ct_keyspace *keyspace;
    UT_hash_handle hh;
} binding;

struct ct_map {
    slot *slots;
    space *spaces;
    space **by_number;
    size_t by_number_capacity;
    uint32_t space_count;
    binding *bindings;
    const space *last_space;     /* the last one found: mostly the next one too */
    const binding *last_binding; /* likewise */
    unsigned char *scratch;      /* a hash key under construction; has room for the longest one that is in use */
    size_t scratch_capacity;
    slot *ahead[CT_MAP_AHEAD]; /* loaded, and not in the table yet */
    size_t ahead_count;
    size_t expected; /* to be loaded */
    size_t repeated; /* loaded, and in the table before */
    size_t seen;
    uint64_t seed;
};

static uint64_t secret_seed(const void *salt)
{
    uint64_t seed = 0;
    int source = open("/dev/urandom", O_RDONLY | O_CLOEXEC);
    if (source >= 0) {
        ssize_t got = read(source, &seed, sizeof seed);
        seed = got == (ssize_t)sizeof seed ? seed : 0;
        close(source);
    }
    /* Where there is no such device, an address and the time still differ from run to run. */
    return seed ^ (uint64_t)(uintptr_t)salt ^ (uint64_t)ct_clock_monotonic();
}

ct_map *ct_map_new(void)
{
    ct_map *map = ct_alloc_array(1, sizeof *map);
    if (map != NULL) {
        map->seed = secret_seed(map);
    }
    return map;
}

void ct_map_load_cancel(ct_map *map)
{
    while (map->ahead_count > 0) {
        ct_free(map->ahead[--map->ahead_count]);
    }
    slot *s, *next_slot;
    HASH_ITER(hh, map->slots, s, next_slot)
    {
        HASH_DELETE(hh, map->slots, s);
        ct_free(s);
    }
    map->expected = map->repeated = map->seen = 0;
}

static void free_bindings(ct_map *map)
{
    binding *b, *next;
    HASH_ITER(hh, map->bindings, b, next)
    {
        HASH_DELETE(hh, map->bindings, b);
        ct_free(b);
    }
    map->last_binding = NULL;
}

void ct_map_free(ct_map *map)
{
    if (map == NULL) {
        return;
    }
    ct_map_load_cancel(map);
    space *k, *next_space;
    HASH_ITER(hh, map->spaces, k, next_space)
    {
        HASH_DELETE(hh, map->spaces, k);
        ct_free(k);
    }
    free_bindings(map);
    ct_free(map->by_number);
    ct_free(map->scratch);
    ct_free(map);
}

static slot *slot_of(const ct_entry *entry)
{
    return (slot *)((uintptr_t)entry - offsetof(slot, entry));
}

static unsigned hash_of(const ct_map *map, const void *key, size_t length)
{
    return (unsigned)XXH3_64bits_withSeed(key, length, map->seed);
}

static int reserve_scratch(ct_map *map, size_t size)
{
    void *scratch = map->scratch;
    int result = ct_grow(&scratch, &map->scratch_capacity, size, 1);
    map->scratch = scratch;
    return result;
}

/* ---------------------------------------------------------------- keyspaces */

static space *find_space(ct_map *map, const char *scope, size_t scope_length, const char *branch, size_t branch_length,
                         unsigned *hash)
{
    size_t length = scope_length + branch_length + 2;
    if (length > map->scratch_capacity) {
        return NULL; /* longer than any that there is */
    }
    memcpy(map->scratch, scope, scope_length + 1);
    memcpy(map->scratch + scope_length + 1, branch, branch_length + 1);
    *hash = hash_of(map, map->scratch, length);
    space *found = NULL;
    HASH_FIND_BYHASHVALUE(hh, map->spaces, map->scratch, length, *hash, found);
    return found;
}

static bool space_is(const space *k, const char *scope, const char *branch)
{
    return k != NULL && strcmp(k->keyspace.scope, scope) == 0 && strcmp(k->keyspace.branch, branch) == 0;
}

static space *lookup_space(ct_map *map, const char *scope, const char *branch)
{
    if (space_is(map->last_space, scope, branch)) {
        return (space *)map->last_space;
    }
    unsigned hash;
    space *found = find_space(map, scope, strlen(scope), branch, strlen(branch), &hash);
    if (found != NULL) {
        map->last_space = found;
    }
    return found;
}

ct_keyspace *ct_map_keyspace(ct_map *map, const char *scope, const char *branch)
{
    if (space_is(map->last_space, scope, branch)) {
        return &((space *)map->last_space)->keyspace;
    }
    size_t scope_length = strlen(scope), branch_length = strlen(branch), length = scope_length + branch_length + 2;
    unsigned hash = 0;
    if (reserve_scratch(map, length) != 0) {
        return NULL;
    }
    space *k = find_space(map, scope, scope_length, branch, branch_length, &hash);
    if (k != NULL) {
        map->last_space = k;
        return &k->keyspace;
    }
    void *by_number = map->by_number;
    if (map->space_count == UINT32_MAX || /* GCOVR_EXCL_BR_LINE: in some 400 GB of memory */
        ct_grow(&by_number, &map->by_number_capacity, map->space_count + 1, sizeof *map->by_number) != 0) {
        return NULL;
    }
    map->by_number = by_number;
    k = ct_alloc(sizeof *k + length);
    if (k == NULL) {
        return NULL;
    }
    memcpy(k->text, map->scratch, length);
    k->keyspace = (ct_keyspace){.scope = k->text,
                                .branch = k->text + scope_length + 1,
                                .scope_length = scope_length,
                                .branch_length = branch_length,
                                .file_id = 0,
                                .number = map->space_count};
    HASH_ADD_KEYPTR_BYHASHVALUE(hh, map->spaces, k->text, length, hash, k);
    if (k->hh.tbl == NULL) {
        ct_free(k);
        return NULL;
    }
    map->by_number[map->space_count++] = k;
    map->last_space = k;
    return &k->keyspace;
}

int ct_map_bind(ct_map *map, int64_t file_id, ct_keyspace *keyspace)
{
    binding *b = ct_alloc_array(1, sizeof *b);
    if (b == NULL) {
        return -1;
    }
    b->file_id = file_id;
    b->keyspace = keyspace;
    unsigned hash = hash_of(map, &b->file_id, sizeof b->file_id);
    HASH_ADD_KEYPTR_BYHASHVALUE(hh, map->bindings, &b->file_id, sizeof b->file_id, hash, b);
    if (b->hh.tbl == NULL) {
        ct_free(b);
        return -1;
    }
    if (keyspace != NULL) {
        keyspace->file_id = file_id;
    }
    return 0;
}

bool ct_map_bound(ct_map *map, int64_t file_id, ct_keyspace **keyspace)
{
    const binding *b = map->last_binding;
    if (b == NULL || b->file_id != file_id) {
        binding *found = NULL;
        unsigned hash = hash_of(map, &file_id, sizeof file_id);
        HASH_FIND_BYHASHVALUE(hh, map->bindings, &file_id, sizeof file_id, hash, found);
        if (found == NULL) {
            return false;
        }
        map->last_binding = b = found;
    }
    *keyspace = b->keyspace;
    return true;
}

void ct_map_forget_ids(ct_map *map)
{
    free_bindings(map);
    for (uint32_t i = 0; i < map->space_count; i++) {
        map->by_number[i]->keyspace.file_id = 0;
    }
    for (ct_entry *entry = ct_map_next(map, NULL); entry != NULL; entry = ct_map_next(map, entry)) {
        entry->file_id = 0;
    }
}

/* ---------------------------------------------------------------- entries */

/* Leaves the key in the scratch and returns its length; 0 if it is longer than any that there is. */
static size_t build_key(ct_map *map, uint32_t number, const char *document_id, size_t length)
{
    if (sizeof number + length > map->scratch_capacity) {
        return 0;
    }
    memcpy(map->scratch, &number, sizeof number);
    memcpy(map->scratch + sizeof number, document_id, length);
    return sizeof number + length;
}

static slot *find_slot(const ct_map *map, const void *key, size_t length, unsigned hash)
{
    slot *found = NULL;
    HASH_FIND_BYHASHVALUE(hh, map->slots, key, length, hash, found);
    return found;
}

/*
 * uthash doubles its table when a chain has grown to ten slots, which in a large one comes at random between one and two
 * keys for each bucket; a look-up there takes up to half as long again. So it is doubled at one and a half. And since it
 * meets every slot where it lies in memory each time, a table that is going to be large is doubled while it is almost
 * empty. Without memory it stays as it is.
 */
static void widen_table(ct_map *map)
{
    UT_hash_table *table = map->slots->hh.tbl;
    bool no_memory = false;
    while (!no_memory && table->num_buckets <= UINT_MAX / 4 && /* GCOVR_EXCL_BR_LINE: more would take 16 GB */
           (table->num_buckets < map->expected || table->num_items / 3 > table->num_buckets / 2)) {
        HASH_EXPAND_BUCKETS(hh, table, no_memory);
    }
    map->expected = 0;
}

/* Puts a slot whose key the table lacks into it. Without memory the slot is freed. */
static int link_slot(ct_map *map, slot *s, size_t length, unsigned hash)
{
    HASH_ADD_KEYPTR_BYHASHVALUE(hh, map->slots, s->key, length, hash, s);
    if (s->hh.tbl == NULL) {
        ct_free(s);
        return -1;
    }
    widen_table(map);
    return 0;
}

ct_entry *ct_map_find_document(ct_map *map, const ct_keyspace *keyspace, const char *document_id, size_t size)
{
    size_t length = build_key(map, keyspace->number, document_id, size);
    slot *found = length > 0 ? find_slot(map, map->scratch, length, hash_of(map, map->scratch, length)) : NULL;
    return found != NULL ? &found->entry : NULL;
}

ct_entry *ct_map_find(ct_map *map, const ctrack_key *key)
{
    const space *k = lookup_space(map, key->scope, key->branch);
    return k != NULL ? ct_map_find_document(map, &k->keyspace, key->document_id, strlen(key->document_id)) : NULL;
}

ct_entry *ct_map_find_or_add(ct_map *map, const ctrack_key *key)
{
    const ct_keyspace *keyspace = ct_map_keyspace(map, key->scope, key->branch);
    return keyspace != NULL ? ct_map_find_or_add_document(map, keyspace, key->document_id, strlen(key->document_id))
                            : NULL;
}

ct_entry *ct_map_find_or_add_document(ct_map *map, const ct_keyspace *keyspace, const char *document_id, size_t size)
{
    if (reserve_scratch(map, sizeof keyspace->number + size) != 0) {
        return NULL;
    }
    size_t length = build_key(map, keyspace->number, document_id, size);
    unsigned hash = hash_of(map, map->scratch, length);
    slot *s = find_slot(map, map->scratch, length, hash);
    if (s != NULL) {
        return &s->entry;
    }
    s = ct_alloc(sizeof *s + length);
    if (s == NULL) {
        return NULL;
    }
    s->entry = (ct_entry){.index = CT_UNSEEN, .waiting = NULL, .file_id = 0};
    memcpy(s->key, map->scratch, length);
    return link_slot(map, s, length, hash) == 0 ? &s->entry : NULL;
}

/* ---------------------------------------------------------------- many keys at once */

/*
 * In a table of a million keys, a look-up waits for main memory about four times: for the text, the bucket, the slot
 * that the bucket begins with and the next one. Where the keys are known beforehand, the waits overlap.
 */
#if defined(__GNUC__)
#define PREFETCH(address) __builtin_prefetch(address)
#else
#define PREFETCH(address) ((void)(address))
#endif

static const UT_hash_bucket *bucket_of(const ct_map *map, unsigned hash)
{
    const UT_hash_table *table = map->slots->hh.tbl;
    return &table->buckets[hash & (table->num_buckets - 1)];
}

/* What is read of a slot lies in two lines of the cache. */
static void fetch_slot(const UT_hash_handle *handle)
{
    if (handle != NULL) {
        PREFETCH(&handle->hh_next);
        PREFETCH((const char *)&handle->hh_next + 64);
    }
}

/* Fetches what the buckets of these hash values begin with. The table is not empty. */
static void fetch_chains(const ct_map *map, const unsigned *hashes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        fetch_slot(bucket_of(map, hashes[i])->hh_head);
    }
    for (size_t i = 0; i < count; i++) {
        const UT_hash_handle *head = bucket_of(map, hashes[i])->hh_head;
        if (head != NULL && head->hashv != hashes[i]) {
            fetch_slot(head->hh_next);
        }
    }
}

/* A key that is looked for among others. */
typedef struct wanted {
    const space *k; /* NULL: the map cannot have it */
    size_t length;  /* of the document id */
} wanted;

/* The keyspace of a coordinate; that of the one before if both give the same text. */
static const space *space_of(ct_map *map, const ctrack_coordinate *c, const ctrack_coordinate *before,
                             const space *space_before)
{
    if (before != NULL && before->scope == c->scope && before->branch == c->branch) {
        return space_before;
    }
    return c->scope != NULL && c->branch != NULL ? lookup_space(map, c->scope, c->branch) : NULL;
}

/* Hashes the keys, and fetches the buckets of those that the map may have. */
static void hash_wanted(ct_map *map, const ctrack_coordinate *coordinates, size_t count, wanted *keys, unsigned *hashes)
{
    for (size_t i = 0; i < count; i++) {
        const ctrack_coordinate *c = &coordinates[i];
        keys[i].k = space_of(map, c, i > 0 ? c - 1 : NULL, i > 0 ? keys[i - 1].k : NULL);
        hashes[i] = 0;
        if (keys[i].k == NULL || c->document_id == NULL) {
            continue;
        }
        keys[i].length = strlen(c->document_id);
        size_t length = build_key(map, keys[i].k->keyspace.number, c->document_id, keys[i].length);
        if (length > 0) {
            hashes[i] = hash_of(map, map->scratch, length);
            PREFETCH(bucket_of(map, hashes[i]));
        }
    }
}

void ct_map_find_many(ct_map *map, const ctrack_coordinate *coordinates, size_t count, ct_entry **entries)
{
    wanted keys[CT_MAP_AHEAD];
    unsigned hashes[CT_MAP_AHEAD];
    memset(entries, 0, count * sizeof *entries);
    if (map->slots == NULL) {
        return;
    }
    for (size_t i = 0; i < count; i++) {
        PREFETCH(coordinates[i].document_id);
    }
    hash_wanted(map, coordinates, count, keys, hashes);
    fetch_chains(map, hashes, count);
    for (size_t i = 0; i < count; i++) {
        const char *document_id = coordinates[i].document_id;
        size_t length = keys[i].k != NULL && document_id != NULL
                            ? build_key(map, keys[i].k->keyspace.number, document_id, keys[i].length)
                            : 0;
        slot *found = length > 0 ? find_slot(map, map->scratch, length, hashes[i]) : NULL;
        entries[i] = found != NULL ? &found->entry : NULL;
    }
}

/* Puts a loaded key into the table, or its progress into the entry that the key has already. */
static int link_loaded(ct_map *map, slot *s)
{
    unsigned hash = s->hh.hashv, length = s->hh.keylen;
    slot *found = find_slot(map, s->key, length, hash);
    if (found != NULL) {
        map->repeated++;
        if (found->entry.index < s->entry.index) {
            ct_map_set(map, &found->entry, s->entry.index);
        }
        found->entry.file_id = s->entry.file_id != 0 ? s->entry.file_id : found->entry.file_id;
        ct_free(s);
        return 0;
    }
    size_t seen = s->entry.index >= 0;
    if (link_slot(map, s, length, hash) != 0) {
        return -1;
    }
    map->seen += seen;
    return 0;
}

int ct_map_load_end(ct_map *map, size_t *repeated)
{
    unsigned hashes[CT_MAP_AHEAD];
    int result = 0;
    for (size_t i = 0; i < map->ahead_count; i++) {
        hashes[i] = map->ahead[i]->hh.hashv;
    }
    if (map->slots != NULL) {
        fetch_chains(map, hashes, map->ahead_count);
    }
    for (size_t i = 0; i < map->ahead_count; i++) {
        result = link_loaded(map, map->ahead[i]) == 0 ? result : -1;
    }
    map->ahead_count = 0;
    *repeated = map->repeated;
    return result;
}

void ct_map_load_begin(ct_map *map, size_t count)
{
    map->expected = count;
}

int ct_map_load(ct_map *map, const ct_keyspace *keyspace, const char *document_id, size_t size, int64_t index,
                int64_t file_id, ct_entry **entry)
{
    size_t length = sizeof keyspace->number + size, repeated;
    slot *s = reserve_scratch(map, length) == 0 ? ct_alloc(sizeof *s + length) : NULL;
    if (s == NULL) {
        return -1;
    }
    s->entry = (ct_entry){.index = index, .waiting = NULL, .file_id = file_id};
    memcpy(s->key, &keyspace->number, sizeof keyspace->number);
    memcpy(s->key + sizeof keyspace->number, document_id, size);
    s->hh.keylen = (unsigned)length;
    s->hh.hashv = hash_of(map, s->key, length);
    if (map->slots != NULL) {
        PREFETCH(bucket_of(map, s->hh.hashv));
    }
    map->ahead[map->ahead_count++] = s;
    if (entry != NULL) {
        *entry = &s->entry;
    }
    return map->ahead_count < CT_MAP_AHEAD ? 0 : ct_map_load_end(map, &repeated);
}

/* ---------------------------------------------------------------- keeping count */

void ct_map_release(ct_map *map, ct_entry *entry)
{
    if (entry->index == CT_UNSEEN && entry->waiting == NULL) {
        slot *s = slot_of(entry);
        HASH_DELETE(hh, map->slots, s);
        ct_free(s);
    }
}

void ct_map_set(ct_map *map, ct_entry *entry, int64_t index)
{
    map->seen += (size_t)(index >= 0);
    map->seen -= (size_t)(entry->index >= 0);
    entry->index = index;
}

size_t ct_map_count(const ct_map *map)
{
    return map->seen;
}

ct_entry *ct_map_next(const ct_map *map, const ct_entry *entry)
{
    slot *next = entry == NULL ? map->slots : slot_of(entry)->hh.next;
    return next != NULL ? &next->entry : NULL;
}

ct_keyspace *ct_map_keyspace_of(const ct_map *map, const ct_entry *entry)
{
    uint32_t number;
    memcpy(&number, slot_of(entry)->key, sizeof number);
    return &map->by_number[number]->keyspace;
}

const char *ct_map_document_of(const ct_entry *entry, size_t *length)
{
    const slot *s = slot_of(entry);
    *length = s->hh.keylen - sizeof(uint32_t);
    return (const char *)s->key + sizeof(uint32_t);
}
