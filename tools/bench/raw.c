/* SPDX-License-Identifier: MIT */
#include "raw.h"

#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

/* ---------------------------------------------------------------- table */

typedef struct raw_entry {
    int64_t index;
    UT_hash_handle hh;
    unsigned char key[];
} raw_entry;

struct raw_table {
    raw_entry *entries;
    uint64_t seed;
};

raw_table *raw_table_new(uint64_t seed)
{
    raw_table *table = bench_alloc(1, sizeof *table);
    table->seed = seed;
    return table;
}

void raw_table_free(raw_table *table)
{
    raw_entry *entry, *next;
    HASH_ITER(hh, table->entries, entry, next)
    {
        HASH_DELETE(hh, table->entries, entry);
        free(entry);
    }
    free(table);
}

void raw_table_add(raw_table *table, const void *key, size_t length, int64_t index)
{
    raw_entry *entry = malloc(sizeof *entry + length);
    if (entry == NULL) {
        bench_fail("no memory");
    }
    entry->index = index;
    memcpy(entry->key, key, length);
    unsigned hash = (unsigned)XXH3_64bits_withSeed(key, length, table->seed);
    HASH_ADD_KEYPTR_BYHASHVALUE(hh, table->entries, entry->key, length, hash, entry);
}

int64_t raw_table_find(const raw_table *table, const void *key, size_t length)
{
    raw_entry *entry = NULL;
    unsigned hash = (unsigned)XXH3_64bits_withSeed(key, length, table->seed);
    HASH_FIND_BYHASHVALUE(hh, table->entries, key, length, hash, entry);
    if (entry == NULL) {
        bench_fail("a key is not in the table");
    }
    return entry->index;
}

size_t raw_table_count(const raw_table *table)
{
    return HASH_COUNT(table->entries);
}

/* ---------------------------------------------------------------- file */

struct raw_file {
    sqlite3 *db;
    sqlite3_stmt *begin, *upsert, *commit;
};

static void check(sqlite3 *db, bool ok, const char *what)
{
    if (!ok) {
        bench_fail("%s: %s", what, sqlite3_errmsg(db));
    }
}

static sqlite3 *open_database(const char *path)
{
    sqlite3 *db = NULL;
    check(db, sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL) == SQLITE_OK, path);
    return db;
}

static sqlite3_stmt *prepare(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *statement = NULL;
    check(db, sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, NULL) == SQLITE_OK, sql);
    return statement;
}

static void execute(sqlite3 *db, const char *sql)
{
    check(db, sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK, sql);
}

raw_file *raw_file_open(const char *path)
{
    raw_file *file = bench_alloc(1, sizeof *file);
    file->db = open_database(path);
    execute(file->db, "PRAGMA journal_mode=WAL");
    execute(file->db, "PRAGMA synchronous=FULL");
    execute(file->db, "CREATE TABLE IF NOT EXISTS progress (key TEXT PRIMARY KEY, operation_index INTEGER NOT NULL)");
    file->begin = prepare(file->db, "BEGIN IMMEDIATE");
    file->upsert = prepare(file->db, "INSERT INTO progress (key, operation_index) VALUES (?1, ?2) ON CONFLICT (key) "
                                     "DO UPDATE SET operation_index = excluded.operation_index "
                                     "WHERE excluded.operation_index > operation_index");
    file->commit = prepare(file->db, "COMMIT");
    return file;
}

static void step(raw_file *file, sqlite3_stmt *statement)
{
    int result = sqlite3_step(statement);
    check(file->db, result == SQLITE_DONE, sqlite3_sql(statement));
    sqlite3_reset(statement);
}

static int join_key(const ctrack_coordinate *coordinate, char *text, size_t size)
{
    size_t document = strlen(coordinate->document_id), scope = strlen(coordinate->scope),
           branch = strlen(coordinate->branch), length = document + scope + branch + 2;
    if (length > size) {
        bench_fail("the key is too long");
    }
    memcpy(text, coordinate->document_id, document);
    text[document] = ':';
    memcpy(text + document + 1, coordinate->scope, scope);
    text[document + 1 + scope] = ':';
    memcpy(text + document + 1 + scope + 1, coordinate->branch, branch);
    return (int)length;
}

static void upsert_rows(raw_file *file, const ctrack_coordinate *coordinates, size_t count)
{
    char key[128];
    for (size_t i = 0; i < count; i++) {
        int length = join_key(&coordinates[i], key, sizeof key);
        sqlite3_bind_text(file->upsert, 1, key, length, SQLITE_STATIC);
        sqlite3_bind_int64(file->upsert, 2, coordinates[i].operation_index);
        step(file, file->upsert);
    }
}

void raw_file_upsert(raw_file *file, const ctrack_coordinate *coordinates, size_t count)
{
    if (count == 1) {
        upsert_rows(file, coordinates, 1); /* one statement is a transaction, and cheaper without BEGIN and COMMIT */
        return;
    }
    step(file, file->begin);
    upsert_rows(file, coordinates, count);
    step(file, file->commit);
}

static double time_staging(raw_file *file, const ctrack_coordinate *coordinates, size_t count)
{
    ctrack_error error;
    int64_t start = bench_now();
    if (ctrack_stage(file->db, NULL, coordinates, count, &error) != CTRACK_OK) {
        bench_fail("stage: %s", error.message);
    }
    return (double)(bench_now() - start) / 1e3;
}

void raw_file_compare_staging(raw_file *file, const ctrack_coordinate *coordinates, size_t count, bool stage_first,
                              double *staging, double *upserting)
{
    step(file, file->begin);
    if (stage_first) {
        *staging = time_staging(file, coordinates, count);
    }
    int64_t start = bench_now();
    upsert_rows(file, coordinates, count);
    *upserting = (double)(bench_now() - start) / 1e3;
    if (!stage_first) {
        *staging = time_staging(file, coordinates, count);
    }
    step(file, file->commit);
}

void raw_file_close(raw_file *file)
{
    sqlite3_finalize(file->begin);
    sqlite3_finalize(file->upsert);
    sqlite3_finalize(file->commit);
    check(file->db, sqlite3_close(file->db) == SQLITE_OK, "close");
    free(file);
}

void raw_file_make(const char *path, const load *l)
{
    raw_file *file = raw_file_open(path);
    execute(file->db, "PRAGMA synchronous=OFF");
    execute(file->db, "PRAGMA cache_size=-400000"); /* random inserts would go in and out of a small one */
    raw_file_upsert(file, l->coordinates, l->count);
    execute(file->db, "PRAGMA wal_checkpoint(TRUNCATE)");
    raw_file_close(file);
}

/* ---------------------------------------------------------------- loading */

raw_table *raw_file_load(const char *path, uint64_t seed)
{
    raw_table *table = raw_table_new(seed);
    sqlite3 *db = open_database(path);
    sqlite3_stmt *select = prepare(db, "SELECT key, operation_index FROM progress");
    int result;
    while ((result = sqlite3_step(select)) == SQLITE_ROW) {
        const void *key = sqlite3_column_text(select, 0);
        raw_table_add(table, key, (size_t)sqlite3_column_bytes(select, 0), sqlite3_column_int64(select, 1));
    }
    check(db, result == SQLITE_DONE, "select");
    sqlite3_finalize(select);
    sqlite3_close(db);
    return table;
}

raw_table *raw_tables_load(const char *path, uint64_t seed)
{
    raw_table *table = raw_table_new(seed);
    sqlite3 *db = open_database(path);
    sqlite3_stmt *select = prepare(
        db, "SELECT c.document_id, k.scope, k.branch, l.operation_index FROM ctrack_latest AS l "
            "JOIN ctrack_coordinate AS c ON c.id = l.coordinate_id JOIN ctrack_keyspace AS k ON k.id = c.keyspace_id "
            "UNION ALL SELECT a.document_id, k.scope, k.branch, a.operation_index FROM ctrack_advance AS a "
            "JOIN ctrack_keyspace AS k ON k.id = a.keyspace_id WHERE a.seq > (SELECT folded_seq FROM ctrack_fold)");
    unsigned char key[sizeof(uint32_t) + 128] = {0}; /* all rows are of one scope and branch: number 0 */
    int result;
    while ((result = sqlite3_step(select)) == SQLITE_ROW) {
        const void *document = sqlite3_column_text(select, 0);
        size_t length = (size_t)sqlite3_column_bytes(select, 0);
        if (length > 128 || sqlite3_column_text(select, 1) == NULL || sqlite3_column_text(select, 2) == NULL) {
            bench_fail("%s holds a key that is not the benchmark's", path);
        }
        memcpy(key + sizeof(uint32_t), document, length);
        raw_table_add(table, key, sizeof(uint32_t) + length, sqlite3_column_int64(select, 3));
    }
    check(db, result == SQLITE_DONE, "select");
    sqlite3_finalize(select);
    sqlite3_close(db);
    return table;
}

size_t raw_log_lookup(const char *path, int64_t since, const raw_table *table)
{
    sqlite3 *db = open_database(path);
    sqlite3_stmt *select =
        prepare(db, "SELECT coalesce(a.document_id, c.document_id), a.operation_index FROM ctrack_advance AS a "
                    "LEFT JOIN ctrack_coordinate AS c ON c.id = a.coordinate_id WHERE a.seq > ?1 ORDER BY a.seq");
    unsigned char key[LOAD_KEY_LENGTH] = {0}; /* all rows are of one scope and branch: number 0 */
    size_t count = 0;
    sqlite3_bind_int64(select, 1, since);
    int result;
    while ((result = sqlite3_step(select)) == SQLITE_ROW) {
        const void *document = sqlite3_column_text(select, 0);
        if (sqlite3_column_bytes(select, 0) != LOAD_ID_LENGTH) {
            bench_fail("%s holds a key that is not the benchmark's", path);
        }
        memcpy(key + sizeof(uint32_t), document, LOAD_ID_LENGTH);
        raw_table_find(table, key, sizeof key);
        count += sqlite3_column_int64(select, 1) >= 0;
    }
    check(db, result == SQLITE_DONE, "select");
    sqlite3_finalize(select);
    sqlite3_close(db);
    return count;
}

int64_t raw_query(const char *path, const char *sql)
{
    sqlite3 *db = open_database(path);
    sqlite3_stmt *select = prepare(db, sql);
    check(db, sqlite3_step(select) == SQLITE_ROW, sql);
    int64_t value = sqlite3_column_int64(select, 0);
    sqlite3_finalize(select);
    sqlite3_close(db);
    return value;
}
