/* SPDX-License-Identifier: MIT */
#include "store.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "alloc.h"
#include "clock.h"
#include "connection.h"
#include "error.h"
#include "file.h"
#include "migrate.h"
#include "migrations.h"
#include "sql.h"
#include "sync.h"
#include "text.h"
#include "wal.h"

#define BUSY_TIMEOUT_MS 5000
/* Between two tries to get a lock. SQLite's own handler naps up to 100 ms, which starves whoever writes beside a busy
 * process: measured, a writer in a loop kept another one waiting for more than 5 s; with short naps, 0.3 s at most. */
#define NAP_NANOSECONDS 300000
/* Between two tries to open a file that is just being replaced, or made: each twice as long as the one before. */
#define FIRST_NAP_NANOSECONDS INT64_C(1000000)
#define LAST_NAP_NANOSECONDS INT64_C(1000000000)
/* The page cache, at the most: all of ctrack_latest for three million keys, so that a fold does not read it anew. */
#define CACHE_KIB 65536

/* Of a text in the file, which SQLite reads as a whole: the schema's are the host's, ours are refused long before. */
#define LENGTH_MOST (64 * 1024 * 1024)

/*
 * Rows of a statement that takes many. OR FAIL spares SQLite the journal that would let one statement be undone:
 * whatever fails, the whole transaction is rolled back.
 */
#define FOUR(row) row "," row "," row "," row
#define MANY(row) FOUR(FOUR(FOUR(row)))
_Static_assert(CT_MANY == 4 * 4 * 4, "MANY() makes as many rows");

#define APPEND_KNOWN "INSERT OR FAIL INTO main.ctrack_advance (coordinate_id, operation_index, updated_at) VALUES "
#define APPEND_NEW \
    "INSERT OR FAIL INTO main.ctrack_advance (keyspace_id, document_id, operation_index, updated_at) VALUES "
#define ADD_COORDINATE "INSERT OR FAIL INTO main.ctrack_coordinate (id, keyspace_id, document_id) VALUES "
#define UNLESS_THERE " ON CONFLICT (keyspace_id, document_id) DO NOTHING"
#define RAISE "INSERT OR FAIL INTO main.ctrack_latest (coordinate_id, operation_index, updated_at) VALUES "
#define IF_HIGHER \
    " ON CONFLICT (coordinate_id) DO UPDATE SET operation_index = excluded.operation_index, " \
    "updated_at = excluded.updated_at WHERE excluded.operation_index > operation_index"

static const char *const texts[CT_STATEMENTS] = {
    [CT_DATA_VERSION] = "PRAGMA main.data_version",
    [CT_BEGIN] = "BEGIN",
    [CT_BEGIN_IMMEDIATE] = "BEGIN IMMEDIATE",
    [CT_COMMIT] = "COMMIT",
    [CT_ROLLBACK] = "ROLLBACK",
    /* Two subqueries, since SQLite answers min and max from the ends of the tree only one at a time. */
    [CT_LOG_RANGE] = "SELECT folded_seq, (SELECT min(seq) FROM main.ctrack_advance), "
                     "(SELECT max(seq) FROM main.ctrack_advance) FROM main.ctrack_fold",
    /* To count all rows of a table SQLite looks at the heads of its pages only. */
    [CT_COUNT_IF_ALONE] = "SELECT CASE WHEN EXISTS (SELECT 1 FROM main.ctrack_keyspace WHERE read_model <> ?1) THEN 0 "
                          "ELSE (SELECT count(*) FROM main.ctrack_latest) END",
    [CT_MARK] =
        "SELECT a.operation_index, a.updated_at, coalesce(a.document_id, c.document_id), k.read_model, k.scope, "
        "k.branch FROM main.ctrack_advance AS a LEFT JOIN main.ctrack_coordinate AS c ON c.id = a.coordinate_id "
        "LEFT JOIN main.ctrack_keyspace AS k ON k.id = coalesce(a.keyspace_id, c.keyspace_id) "
        "WHERE a.seq = ?1",
    [CT_SCHEMA_VERSION] = "PRAGMA main.schema_version",
    [CT_READ_LATEST] = "SELECT 0, c.id, c.keyspace_id, c.document_id, l.operation_index "
                       "FROM main.ctrack_latest AS l CROSS JOIN main.ctrack_coordinate AS c ON c.id = l.coordinate_id "
                       "ORDER BY l.coordinate_id",
    [CT_READ_LOG] = "SELECT a.seq, a.coordinate_id, coalesce(a.keyspace_id, c.keyspace_id), "
                    "coalesce(a.document_id, c.document_id), a.operation_index "
                    "FROM main.ctrack_advance AS a LEFT JOIN main.ctrack_coordinate AS c ON c.id = a.coordinate_id "
                    "WHERE a.seq > ?1 ORDER BY a.seq",
    [CT_READ_COORDINATE] = "SELECT keyspace_id, document_id FROM main.ctrack_coordinate WHERE id = ?1",
    [CT_READ_KEYSPACE] = "SELECT read_model, scope, branch FROM main.ctrack_keyspace WHERE id = ?1",
    [CT_ADD_KEYSPACE] = "INSERT INTO main.ctrack_keyspace (read_model, scope, branch) VALUES (?1, ?2, ?3)",
    [CT_FIND_KEYSPACE] = "SELECT id FROM main.ctrack_keyspace WHERE read_model = ?1 AND scope = ?2 AND branch = ?3",
    [CT_APPEND_KNOWN] = APPEND_KNOWN "(?,?,?)",
    [CT_APPEND_KNOWN_MANY] = APPEND_KNOWN MANY("(?,?,?)"),
    [CT_APPEND_NEW] = APPEND_NEW "(?,?,?,?)",
    [CT_APPEND_NEW_MANY] = APPEND_NEW MANY("(?,?,?,?)"),
    [CT_SCAN_LOG] = "SELECT seq, coordinate_id, keyspace_id, document_id, operation_index, updated_at "
                    "FROM main.ctrack_advance WHERE seq > ?1 ORDER BY seq LIMIT ?2",
    [CT_FOLD_FIND_COORDINATE] = "SELECT id FROM main.ctrack_coordinate WHERE keyspace_id = ?1 AND document_id = ?2",
    [CT_FOLD_LAST_COORDINATE] = "SELECT max(id) FROM main.ctrack_coordinate",
    [CT_FOLD_ADD_COORDINATE] = ADD_COORDINATE "(?,?,?)" UNLESS_THERE,
    [CT_FOLD_ADD_COORDINATE_MANY] = ADD_COORDINATE MANY("(?,?,?)") UNLESS_THERE,
    [CT_FOLD_RAISE] = RAISE "(?,?,?)" IF_HIGHER,
    [CT_FOLD_RAISE_MANY] = RAISE MANY("(?,?,?)") IF_HIGHER,
    [CT_FOLD_SET] = "UPDATE main.ctrack_fold SET folded_seq = ?1",
    /* Changes the last bit, and done again changes it back: SQLite would not write a page that stays the same. */
    [CT_TOUCH] = "UPDATE main.ctrack_fold SET folded_seq = (folded_seq | 1) - (folded_seq & 1)",
    [CT_FOLD_REWOUND] = "SELECT 1 FROM main.ctrack_advance WHERE seq > ?1 AND seq <= ?2 AND operation_index IS NULL",
    [CT_FOLD_TRIM] = "DELETE FROM main.ctrack_advance WHERE seq <= ?1",
    [CT_CLEAR_READ_MODEL] =
        "DELETE FROM main.ctrack_latest WHERE coordinate_id IN (SELECT c.id FROM main.ctrack_coordinate AS c "
        "JOIN main.ctrack_keyspace AS k ON k.id = c.keyspace_id WHERE k.read_model = ?1)",
    [CT_FORGET_LATEST] = "DELETE FROM main.ctrack_latest WHERE coordinate_id = ?1",
    [CT_APPEND_REWIND] = "INSERT INTO main.ctrack_advance (keyspace_id, document_id, updated_at) VALUES (?1, ?2, ?3)",
    [CT_ANY_KEYSPACE] = "SELECT min(id) FROM main.ctrack_keyspace WHERE read_model = ?1",
    /* What is folded is counted along the index of the dictionary, so that nothing is sorted; then each key of the log
     * that has got further, which counts unless it was folded before. */
    [CT_COUNT_MODELS] =
        "WITH news (keyspace_id, document_id, operation_index, updated_at) AS (SELECT "
        "coalesce(a.keyspace_id, c.keyspace_id) AS k, coalesce(a.document_id, c.document_id) AS d, "
        "max(a.operation_index), a.updated_at FROM main.ctrack_advance AS a "
        "LEFT JOIN main.ctrack_coordinate AS c ON c.id = a.coordinate_id "
        "WHERE a.seq > (SELECT folded_seq FROM main.ctrack_fold) GROUP BY k, d), "
        "counts (keyspace_id, keys, updated_at) AS (SELECT k.id, count(*), max(l.updated_at) "
        "FROM main.ctrack_keyspace AS k CROSS JOIN main.ctrack_coordinate AS c ON c.keyspace_id = k.id "
        "CROSS JOIN main.ctrack_latest AS l ON l.coordinate_id = c.id GROUP BY k.id UNION ALL "
        "SELECT n.keyspace_id, l.coordinate_id IS NULL, n.updated_at FROM news AS n "
        "LEFT JOIN main.ctrack_coordinate AS c ON c.keyspace_id = n.keyspace_id AND c.document_id = n.document_id "
        "LEFT JOIN main.ctrack_latest AS l ON l.coordinate_id = c.id "
        "WHERE n.operation_index > coalesce(l.operation_index, -1)) "
        "SELECT k.read_model, coalesce(sum(n.keys), 0), max(n.updated_at) FROM main.ctrack_keyspace AS k "
        "LEFT JOIN counts AS n ON n.keyspace_id = k.id GROUP BY k.read_model ORDER BY k.read_model",
    [CT_ANY_PROGRESS] = "SELECT 1 WHERE EXISTS (SELECT 1 FROM main.ctrack_keyspace AS k "
                        "CROSS JOIN main.ctrack_coordinate AS c ON c.keyspace_id = k.id "
                        "CROSS JOIN main.ctrack_latest AS l ON l.coordinate_id = c.id WHERE k.read_model = ?1) "
                        "OR EXISTS (SELECT 1 FROM main.ctrack_advance AS a "
                        "LEFT JOIN main.ctrack_coordinate AS c ON c.id = a.coordinate_id "
                        "JOIN main.ctrack_keyspace AS k ON k.id = coalesce(a.keyspace_id, c.keyspace_id) "
                        "WHERE a.seq > (SELECT folded_seq FROM main.ctrack_fold) AND k.read_model = ?1)",
    [CT_RUN_STATE] = "SELECT hash_seed, folded_seq, (SELECT max(last_seq) FROM main.ctrack_run), (SELECT max(last_seq) "
                     "FROM main.ctrack_run WHERE last_seq - first_seq + 1 >= ?1) FROM main.ctrack_fold",
    [CT_RUN_FIND] = "SELECT last_seq, first_part, parts FROM main.ctrack_run WHERE last_seq BETWEEN ?1 AND ?2 "
                    "ORDER BY last_seq LIMIT 1",
    [CT_RUN_DELETE_PARTS] = "DELETE FROM main.ctrack_run_part WHERE id >= ?1 AND id < ?1 + ?2",
    [CT_RUN_DELETE] = "DELETE FROM main.ctrack_run WHERE last_seq = ?1",
    [CT_RUN_LAST_PART] = "SELECT max(id) FROM main.ctrack_run_part",
    [CT_RUN_ADD_PART] = "INSERT OR FAIL INTO main.ctrack_run_part (id, entries) VALUES (?1, ?2)",
    [CT_RUN_ADD] =
        "INSERT OR FAIL INTO main.ctrack_run (last_seq, first_seq, first_part, parts) VALUES (?1, ?2, ?3, ?4)",
    /* The three of a dump: of one read model, or (NULL) of all. Each walks along an index, but for the log's rows,
     * which are sorted, by numbers in place of text. A row that the dictionary cannot explain has no rank, and shows
     * so. */
    [CT_DUMP_KEYSPACES] = "SELECT id, read_model, scope, branch FROM main.ctrack_keyspace "
                          "WHERE ?1 IS NULL OR read_model = ?1 ORDER BY read_model, scope, branch",
    [CT_DUMP_FOLDED] = "SELECT c.document_id, l.operation_index, ?2 FROM main.ctrack_coordinate AS c "
                       "CROSS JOIN main.ctrack_latest AS l ON l.coordinate_id = c.id "
                       "WHERE c.keyspace_id = ?1 ORDER BY c.document_id",
    [CT_DUMP_LOG] = "WITH k (id, chosen, rank) AS MATERIALIZED (SELECT id, ?1 IS NULL OR read_model = ?1, "
                    "row_number() OVER (PARTITION BY ?1 IS NULL OR read_model = ?1 ORDER BY read_model, scope, branch) "
                    "FROM main.ctrack_keyspace) "
                    "SELECT coalesce(a.document_id, c.document_id) AS d, max(a.operation_index), k.rank "
                    "FROM main.ctrack_advance AS a LEFT JOIN main.ctrack_coordinate AS c ON c.id = a.coordinate_id "
                    "LEFT JOIN k ON k.id = coalesce(a.keyspace_id, c.keyspace_id) "
                    "WHERE a.seq > (SELECT folded_seq FROM main.ctrack_fold) AND coalesce(k.chosen, 1) "
                    "GROUP BY k.rank, d ORDER BY k.rank, d",
};

bool ct_store_version_exposed(int version)
{
    bool fixed =
        version >= 3051003 || (version >= 3050007 && version < 3051000) || (version >= 3044006 && version < 3045000);
    return version >= 3007000 && !fixed;
}

/* ---------------------------------------------------------------- statements and transactions */

ctrack_status ct_store_statement(ct_store *store, ct_statement which, sqlite3_stmt **statement, ctrack_error *error)
{
    ctrack_status status = CTRACK_OK;
    if (store->statements[which] == NULL) {
        status = ct_sql_prepare(store->db, texts[which], &store->statements[which], error);
    }
    *statement = store->statements[which];
    return status;
}

ctrack_status ct_store_run(ct_store *store, ct_statement which, const char *doing, ctrack_error *error)
{
    sqlite3_stmt *statement;
    ctrack_status status = ct_store_statement(store, which, &statement, error);
    return status == CTRACK_OK ? ct_sql_run(statement, doing, error) : status;
}

ctrack_status ct_store_schema_version(ct_store *store, int64_t *version, ctrack_error *error)
{
    sqlite3_stmt *statement;
    bool row = false;
    ctrack_status status = ct_store_statement(store, CT_SCHEMA_VERSION, &statement, error);
    status = status == CTRACK_OK ? ct_sql_step(statement, &row, "read the database schema", error) : status;
    if (row) {
        *version = sqlite3_column_int64(statement, 0);
        sqlite3_reset(statement);
    }
    return status;
}

ctrack_status ct_store_check_schema(ct_store *store, ctrack_error *error)
{
    int schema;
    ctrack_status status = ct_migrate_check(store->db, &schema, error);
    if (status != CTRACK_OK || schema == ct_migrations_count) {
        return status;
    }
    return ct_error_set(error, CTRACK_CORRUPT,
                        "the ctrack tables are gone, or older: another database was put into the file's place");
}

void ct_store_saw_own(ct_store *store)
{
    store->seen_seq = store->appended_seq;
    store->seen_mark = store->appended_mark;
}

ctrack_status ct_store_look(ct_store *store, int64_t *version, bool *changed, ctrack_error *error)
{
    sqlite3_stmt *statement;
    bool row = false;
    ctrack_status status = ct_store_statement(store, CT_DATA_VERSION, &statement, error);
    status = status == CTRACK_OK ? ct_sql_step(statement, &row, "look for changes", error) : status;
    if (row) {
        *version = sqlite3_column_int64(statement, 0);
        *changed = *version != store->data_version;
        sqlite3_reset(statement);
    }
    return status;
}

/* Tries once for the writer lock. Under it, it is looked whether the file is still the one of its name; and whatever has
 * failed, that it is not explains it better. */
static ctrack_status try_to_begin(ct_store *store, ctrack_error *error)
{
    store->one_try = true;
    ctrack_status status = ct_store_run(store, CT_BEGIN_IMMEDIATE, "lock the file for writing", error);
    store->one_try = false;
    ctrack_status cause = ct_store_check_file(store, error);
    if (cause != CTRACK_OK) {
        ct_store_rollback(store);
        return cause;
    }
    return status;
}

ctrack_status ct_store_begin(ct_store *store, ctrack_error *error)
{
    if (store->read_only) {
        return ct_error_set(error, CTRACK_READ_ONLY, "the tracker is open for reading only");
    }
    if (store->broken) {
        return ct_error_set(error, CTRACK_IO,
                            "an earlier commit failed and its outcome on disk is unknown: open the tracker again");
    }
    store->appended_seq = 0;
    ctrack_status status = try_to_begin(store, error);
    if (status != CTRACK_BUSY) {
        return status;
    }
    int64_t until = ct_clock_deadline(ct_clock_monotonic(), store->busy_timeout_ms);
    while (status == CTRACK_BUSY && ct_clock_monotonic() < until) {
        if (store->idle != NULL) {
            store->idle(store->idle_argument);
        }
        ct_thread_nap(NAP_NANOSECONDS);
        status = try_to_begin(store, error);
    }
    return status;
}

void ct_store_rollback(ct_store *store)
{
    if (!sqlite3_get_autocommit(store->db)) {
        ct_store_run(store, CT_ROLLBACK, "roll back", NULL);
    }
}

ctrack_status ct_store_commit(ct_store *store, ctrack_error *error)
{
    ctrack_status status = ct_wal_prepare(store, error);
    status = status == CTRACK_OK ? ct_store_run(store, CT_COMMIT, "commit", error) : status;
    status = status == CTRACK_OK ? ct_identity_prove(&store->identity, store->db, error) : status;
    if (status == CTRACK_OK) {
        return status;
    }
    ct_store_rollback(store);
    store->asked_upto = 0; /* what it has used up in vain is asked for */
    if (status == CTRACK_FULL || status == CTRACK_BUSY) {
        return status; /* refused before the commit record was complete */
    }
    /* A write that was reported as failed may be on the disk all the same, and show after a restart. */
    store->broken = true;
    return ct_error_context(error, CTRACK_IO, "the outcome on disk is unknown, open the tracker again");
}

/* ---------------------------------------------------------------- rows */

/* No other thread uses the connection, so SQLite lets a value be looked at where it stands. */
ctrack_status ct_store_text(sqlite3_stmt *statement, int column, const char **text, size_t *length, ctrack_error *error)
{
    sqlite3_value *value = sqlite3_column_value(statement, column);
    if (sqlite3_value_type(value) != SQLITE_TEXT) {
        return ct_error_set(error, CTRACK_CORRUPT, "the file is damaged: text is missing in a ctrack table");
    }
    *text = (const char *)sqlite3_value_text(value);
    *length = (size_t)sqlite3_value_bytes(value);
    if (*text == NULL) {
        return ct_error_no_memory(error);
    }
    if (*length > CTRACK_TEXT_MAX || !ct_text_valid(*text, *length)) {
        return ct_error_set(error, CTRACK_CORRUPT,
                            "the file is damaged: a ctrack table holds text that is too long or not UTF-8");
    }
    return CTRACK_OK;
}

/* An integer not below `least`; NULL is `absent`. */
static ctrack_status integer(sqlite3_stmt *statement, int column, int64_t least, int64_t absent, int64_t *number,
                             ctrack_error *error)
{
    sqlite3_value *value = sqlite3_column_value(statement, column);
    int type = sqlite3_value_type(value);
    *number = type == SQLITE_NULL ? absent : sqlite3_value_int64(value);
    if ((type != SQLITE_INTEGER && type != SQLITE_NULL) || (type == SQLITE_INTEGER && *number < least)) {
        return ct_error_set(error, CTRACK_CORRUPT, "the file is damaged: a number in a ctrack table is out of range");
    }
    return CTRACK_OK;
}

ctrack_status ct_store_log_range(ct_store *store, int64_t *folded, int64_t *first, int64_t *last, ctrack_error *error)
{
    sqlite3_stmt *statement;
    bool row = false;
    ctrack_status status = ct_store_statement(store, CT_LOG_RANGE, &statement, error);
    status = status == CTRACK_OK ? ct_sql_step(statement, &row, "read the state of the log", error) : status;
    if (status == CTRACK_OK && !row) {
        return ct_error_set(error, CTRACK_CORRUPT, "the file is damaged: ctrack_fold is empty");
    }
    if (row) {
        status = integer(statement, 0, 0, 0, folded, error);
        status = status == CTRACK_OK ? integer(statement, 1, 0, 0, first, error) : status;
        status = status == CTRACK_OK ? integer(statement, 2, 0, *folded, last, error) : status;
        sqlite3_reset(statement);
    }
    return status;
}

ctrack_status ct_store_row(sqlite3_stmt *statement, ct_row *row, ctrack_error *error)
{
    row->seq = sqlite3_column_int64(statement, 0); /* above a number that was checked, or 0 */
    ctrack_status status = integer(statement, 1, 1, 0, &row->coordinate_id, error);
    status = status == CTRACK_OK ? integer(statement, 2, 1, 0, &row->keyspace_id, error) : status;
    status = status == CTRACK_OK ? integer(statement, 4, 0, -1, &row->operation_index, error) : status;
    row->updated_at = 0;
    if (status == CTRACK_OK && sqlite3_column_count(statement) > 5) {
        status = integer(statement, 5, INT64_MIN, 0, &row->updated_at, error);
    }
    row->document_id = NULL;
    row->document_length = 0;
    if (status == CTRACK_OK && sqlite3_value_type(sqlite3_column_value(statement, 3)) != SQLITE_NULL) {
        status = ct_store_text(statement, 3, &row->document_id, &row->document_length, error);
    }
    return status;
}

ctrack_status ct_store_check_unfolded(const ct_row *row, ctrack_error *error)
{
    if (row->operation_index < 0) {
        return ct_error_set(error, CTRACK_CORRUPT, "the file is damaged: the log takes progress back at seq %lld",
                            (long long)row->seq);
    }
    if (row->coordinate_id == 0 && (row->keyspace_id == 0 || row->document_id == NULL)) {
        return ct_error_set(error, CTRACK_CORRUPT, "the file is damaged: no key in the log at seq %lld",
                            (long long)row->seq);
    }
    return CTRACK_OK;
}

ctrack_status ct_store_look_up(ct_store *store, const ctrack_key *key, int64_t *index, ctrack_error *error)
{
    ct_question question = {.key = *key, .target = INT64_MAX};
    ctrack_status status = ct_store_run(store, CT_BEGIN, "begin to read", error);
    status = status == CTRACK_OK ? ct_ask(&store->asker, store->read_model, &question, 1, error) : status;
    ct_store_rollback(store);
    if (status == CTRACK_OK) {
        *index = question.highest;
    }
    return status;
}

static ctrack_status find_keyspace(ct_store *store, const char *const text[3], int64_t *id, ctrack_error *error)
{
    sqlite3_stmt *statement;
    bool row = false;
    ctrack_status status = ct_store_statement(store, CT_FIND_KEYSPACE, &statement, error);
    *id = 0;
    if (status != CTRACK_OK) {
        return status;
    }
    for (int i = 0; i < 3; i++) {
        sqlite3_bind_text(statement, i + 1, text[i], -1, SQLITE_STATIC);
    }
    status = ct_sql_step(statement, &row, "look up a keyspace", error);
    if (row) {
        *id = sqlite3_column_int64(statement, 0);
    }
    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
    return status;
}

ctrack_status ct_store_keyspace(ct_store *store, const char *read_model, const char *scope, const char *branch,
                                int64_t *id, ctrack_error *error)
{
    const char *const text[3] = {read_model, scope, branch};
    sqlite3_stmt *statement;
    ctrack_status status = find_keyspace(store, text, id, error);
    if (status != CTRACK_OK || *id != 0) {
        return status;
    }
    status = ct_store_statement(store, CT_ADD_KEYSPACE, &statement, error);
    if (status != CTRACK_OK) {
        return status;
    }
    for (int i = 0; i < 3; i++) {
        sqlite3_bind_text(statement, i + 1, text[i], -1, SQLITE_STATIC);
    }
    status = ct_sql_run(statement, "add a keyspace", error);
    sqlite3_clear_bindings(statement);
    *id = sqlite3_last_insert_rowid(store->db);
    return status;
}

/* ---------------------------------------------------------------- checkpoints */

static ctrack_status checkpoint(sqlite3 *db, int *pages, int *moved, ctrack_error *error)
{
    int code = sqlite3_wal_checkpoint_v2(db, "main", SQLITE_CHECKPOINT_PASSIVE, pages, moved);
    return code == SQLITE_OK ? CTRACK_OK : ct_sql_fail(db, code, "checkpoint", error);
}

/* Whether a file that has been opened under the store's name is the store's. */
static ctrack_status check_same(const ct_store *store, const ct_identity *opened, ctrack_error *error)
{
    if (ct_inode_same(&opened->file, &store->identity.file)) {
        return CTRACK_OK;
    }
    ctrack_status status = ct_error_set(error, CTRACK_IO, "%s is being replaced", ct_store_path(store));
    return ct_store_explain(store, status, error);
}

/* On a connection of its own: one that holds the writer lock cannot checkpoint. */
static ctrack_status checkpoint_beside(const ct_store *store, int *pages, int *moved, ctrack_error *error)
{
    sqlite3 *db = NULL;
    ct_identity opened = CT_IDENTITY_INIT;
    ctrack_status status = ct_connection_open(ct_store_path(store), SQLITE_OPEN_READWRITE, "checkpoint", &db, error);
    if (status == CTRACK_OK) {
        ct_store_distrust(db);
        sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
        /* A connection that has never read does nothing at a checkpoint. */
        status = ct_sql_exec(db, "SELECT 1 FROM main.sqlite_schema", "read the database schema", error);
    }
    status = status == CTRACK_OK ? ct_identity_learn(&opened, db, error) : status;
    status = status == CTRACK_OK ? check_same(store, &opened, error) : status;
    status = status == CTRACK_OK ? checkpoint(db, pages, moved, error) : status;
    ct_connection_close(db);
    return status;
}

ctrack_status ct_store_checkpoint(ct_store *store, ctrack_error *error)
{
    int pages = 0, moved = 0;
    ctrack_status status;
    if (store->exposed) {
        status = ct_store_begin(store, error);
        status = status == CTRACK_OK ? checkpoint_beside(store, &pages, &moved, error) : status;
        ct_store_rollback(store);
    } else {
        status = checkpoint(store->db, &pages, &moved, error);
    }
    if (status != CTRACK_OK) {
        return status;
    }
    ct_wal_measure(store);
    store->tried_pages = store->wal_pages;
    return CTRACK_OK;
}

ctrack_status ct_store_reclaim(ct_store *store, ctrack_error *error)
{
    int pages, moved;
    ctrack_status status = ct_store_begin(store, error);
    if (status != CTRACK_OK) {
        return status;
    }
    ct_wal_cut(store);
    status = checkpoint_beside(store, &pages, &moved, error);
    ct_store_rollback(store);
    ct_wal_measure(store);
    return status;
}

/* A commit after all has been moved starts the log over, unless somebody reads in it. */
static ctrack_status start_over(ct_store *store, ctrack_error *error)
{
    ctrack_status status = ct_store_checkpoint(store, error);
    if (status != CTRACK_OK || store->moved_pages < store->wal_pages) {
        return status;
    }
    status = ct_store_begin(store, error);
    if (status != CTRACK_OK) {
        return status;
    }
    status = ct_store_run(store, CT_TOUCH, "start the log over", error);
    status = status == CTRACK_OK ? ct_store_run(store, CT_TOUCH, "start the log over", error) : status;
    if (status == CTRACK_OK) {
        return ct_store_commit(store, error);
    }
    ct_store_rollback(store);
    return status;
}

ctrack_status ct_store_shrink(ct_store *store, bool wholly, ctrack_error *error)
{
    ctrack_status status = ct_wal_is_short(store) && !wholly ? CTRACK_OK : start_over(store, error);
    if (status != CTRACK_OK || !ct_wal_is_short(store)) {
        return status;
    }
    status = ct_store_begin(store, error);
    if (status == CTRACK_OK) {
        ct_wal_cut(store);
        ct_store_rollback(store);
    }
    return status;
}

static int count_pages(void *argument, sqlite3 *db, const char *schema, int pages)
{
    (void)db;
    (void)schema;
    ct_store *store = argument;
    store->commit_pages = pages > store->wal_pages ? pages - store->wal_pages : pages;
    ct_wal_note(store, pages);
    return SQLITE_OK;
}

/* ---------------------------------------------------------------- opening */

void ct_store_distrust(sqlite3 *db)
{
    static const int switches[][2] = {
        {SQLITE_DBCONFIG_DEFENSIVE, 1},   {SQLITE_DBCONFIG_ENABLE_TRIGGER, 0},        {SQLITE_DBCONFIG_ENABLE_VIEW, 0},
        {SQLITE_DBCONFIG_ENABLE_FKEY, 0}, {SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0},
    };
    for (size_t i = 0; i < sizeof switches / sizeof switches[0]; i++) {
        sqlite3_db_config(db, switches[i][0], switches[i][1], NULL);
    }
    sqlite3_limit(db, SQLITE_LIMIT_ATTACHED, 0);
    sqlite3_limit(db, SQLITE_LIMIT_WORKER_THREADS, 0);
    sqlite3_limit(db, SQLITE_LIMIT_LENGTH, LENGTH_MOST);
}

int ct_store_busy_timeout(int64_t given_ms)
{
    return given_ms < 0 ? BUSY_TIMEOUT_MS : given_ms > INT32_MAX ? INT32_MAX : (int)given_ms;
}

/* SQLite's busy handler: whether to try again for a lock that another connection holds. */
static int try_again(void *argument, int tries)
{
    ct_store *store = argument;
    int64_t now = ct_clock_monotonic();
    if (tries == 0) {
        store->busy_until = ct_clock_deadline(now, store->busy_timeout_ms);
    }
    if (store->one_try || now >= store->busy_until) {
        return 0;
    }
    ct_thread_nap(NAP_NANOSECONDS);
    return 1;
}

/* Whether a file that could not be told from others may be told in a moment. */
static bool is_passing(ctrack_status status)
{
    return status == CTRACK_BUSY || status == CTRACK_INVALID;
}

/* Before anything is written: is this file ours to use? */
static ctrack_status inspect(ct_store *store, ctrack_error *error)
{
    ctrack_status status = ct_sql_pragma(store->db, "PRAGMA cell_size_check = 1", NULL, error);
    int64_t version = 0; /* read first: what is changed during the check is checked again */
    status = status == CTRACK_OK ? ct_store_schema_version(store, &version, error) : status;
    store->schema_version = version;
    status = status == CTRACK_OK ? ct_migrate_check(store->db, &store->schema, error) : status;
    int code = sqlite3_extended_errcode(store->db);
    /* GCOVR_EXCL_START: happens to others than root; the process of read_only_test that is not may not count it */
    if (status == CTRACK_READ_ONLY && (code == SQLITE_READONLY_DIRECTORY || code == SQLITE_READONLY_CANTINIT)) {
        status = ct_error_set(error, status,
                              "the write-ahead log has no index and may not be given one: reading needs the right to "
                              "write in the directory, unless a process that may write has the file open (SQLite %d)",
                              code);
    }
    /* GCOVR_EXCL_STOP */
    return status;
}

/*
 * Of two connections that enter write-ahead mode at once, each may hold what the other waits for; then SQLite does not
 * ask the busy handler but gives up at once (https://www.sqlite.org/c3ref/busy_handler.html), and has let go of it all.
 */
static ctrack_status enter_wal(ct_store *store, ctrack_error *error)
{
    int64_t until = ct_clock_deadline(ct_clock_monotonic(), store->busy_timeout_ms);
    ctrack_status status = ct_sql_pragma(store->db, "PRAGMA main.journal_mode = WAL", "wal", error);
    while (status == CTRACK_BUSY && ct_clock_monotonic() < until) {
        ct_thread_nap(NAP_NANOSECONDS);
        status = ct_sql_pragma(store->db, "PRAGMA main.journal_mode = WAL", "wal", error);
    }
    return status;
}

/* The log is opened with the first reading. Others who are just opening the file look like trouble for a moment. */
static ctrack_status guard_log(ct_store *store, ctrack_error *error)
{
    ctrack_status status = ct_sql_exec(store->db, "PRAGMA main.schema_version", "read the file", error);
    if (status != CTRACK_OK) {
        return status;
    }
    int64_t nap = FIRST_NAP_NANOSECONDS;
    status = ct_identity_guard(&store->identity, store->db, error);
    while (is_passing(status) && nap < LAST_NAP_NANOSECONDS) {
        ct_thread_nap(nap);
        nap *= 2;
        status = ct_identity_guard(&store->identity, store->db, error);
    }
    return status;
}

/* Until it has a log nothing keeps the file from being replaced; SQLite says then that it may not write. */
static ctrack_status explain_failure(ct_store *store, ctrack_status status, ctrack_error *error)
{
    ctrack_error why;
    store->moved = ct_identity_learn(&store->identity, store->db, &why) == CTRACK_BUSY;
    if (store->moved) {
        status = ct_error_set(error, CTRACK_BUSY, "%s", why.message);
    }
    return ct_error_context(error, status, "%s", ct_store_path(store));
}

/* The ends of a transaction are prepared before any begins: without memory it could neither commit nor be rolled back.
 */
static ctrack_status prepare_ends(ct_store *store, ctrack_error *error)
{
    static const ct_statement ends[] = {CT_COMMIT, CT_ROLLBACK};
    ctrack_status status = CTRACK_OK;
    for (size_t i = 0; i < sizeof ends / sizeof ends[0] && status == CTRACK_OK; i++) {
        sqlite3_stmt *unused;
        sqlite3_finalize(store->statements[ends[i]]);
        store->statements[ends[i]] = NULL;
        status = ct_store_statement(store, ends[i], &unused, error);
    }
    return status;
}

ctrack_status ct_store_make_ready(ct_store *store, ctrack_durability durability, ctrack_error *error)
{
    if (store->read_only) {
        return CTRACK_OK;
    }
    bool full = durability == CTRACK_DURABLE_FULL;
    ctrack_status status = enter_wal(store, error);
    status = status == CTRACK_OK ? guard_log(store, error) : status;
    status =
        status == CTRACK_OK
            ? ct_sql_pragma(store->db, full ? "PRAGMA main.synchronous = FULL" : "PRAGMA main.synchronous = NORMAL",
                            NULL, error)
            : status;
    status =
        status == CTRACK_OK ? ct_sql_pragma(store->db, "PRAGMA main.synchronous", full ? "2" : "1", error) : status;
    status = status == CTRACK_OK ? ct_sql_pragma(store->db, "PRAGMA wal_autocheckpoint = 0", "0", error) : status;
    sqlite3_wal_hook(store->db, count_pages, store);
    if (status == CTRACK_OK && !ct_store_is_current(store)) {
        status = ct_migrate_apply(store->db, error);
        /* What was prepared has expired: a migration turns a switch of the connection. */
        status = status == CTRACK_OK ? prepare_ends(store, error) : status;
    }
    status = status == CTRACK_OK ? ct_identity_prove_old(&store->identity, store->db, error) : status;
    return status == CTRACK_OK ? status : explain_failure(store, status, error);
}

bool ct_store_is_current(const ct_store *store)
{
    return store->schema == ct_migrations_count;
}

static ctrack_status set_up(ct_store *store, ctrack_error *error)
{
    sqlite3_busy_handler(store->db, try_again, store);
    ct_store_distrust(store->db);
    ctrack_status status = inspect(store, error);
    char cache[60];
    snprintf(cache, sizeof cache, "PRAGMA main.cache_size = -%d", CACHE_KIB);
    status = status == CTRACK_OK ? ct_sql_pragma(store->db, cache, NULL, error) : status;
    status =
        status == CTRACK_OK ? ct_sql_integer(store->db, "PRAGMA main.page_size", &store->page_bytes, error) : status;
    if (status != CTRACK_OK || !store->read_only) {
        return status;
    }
    sqlite3_db_config(store->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    return store->any_schema || ct_store_is_current(store)
               ? CTRACK_OK
               : ct_error_set(error, CTRACK_READ_ONLY,
                              "the file has no current ctrack schema and is open for reading only");
}

static void disconnect(ct_store *store)
{
    ct_asker_end(&store->asker);
    for (int i = 0; i < CT_STATEMENTS; i++) {
        sqlite3_finalize(store->statements[i]);
        store->statements[i] = NULL;
    }
    ct_identity_end(&store->identity);
    ct_connection_close(store->db);
    store->db = NULL;
}

/* Opens the file of this name. *again: it could not be told that it is the one that others find under that name. */
static ctrack_status connect_once(ct_store *store, const char *name, bool *again, ctrack_error *error)
{
    *again = false;
    ctrack_status status = ct_connection_open(name, store->read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE,
                                              "open the file", &store->db, error);
    if (status != CTRACK_OK) {
        return status;
    }
    status = store->read_only ? CTRACK_OK : ct_identity_foresee(name, error);
    if (status != CTRACK_OK) {
        *again = true;
        return status;
    }
    status = set_up(store, error);
    ctrack_error why;
    ctrack_status known = ct_identity_learn(&store->identity, store->db, &why);
    known = known == CTRACK_OK && status == CTRACK_OK ? ct_identity_guard(&store->identity, store->db, &why) : known;
    if (known == CTRACK_OK) {
        return status == CTRACK_OK ? prepare_ends(store, error) : status;
    }
    *again = is_passing(known);
    return ct_error_set(error, known, "%s", why.message);
}

static ctrack_status connect(ct_store *store, const char *name, ctrack_error *error)
{
    bool again;
    ctrack_status status = connect_once(store, name, &again, error);
    for (int64_t nap = FIRST_NAP_NANOSECONDS; again && nap < LAST_NAP_NANOSECONDS; nap *= 2) {
        /* Nothing of what was read and is not its own is moved anywhere. */
        sqlite3_db_config(store->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
        disconnect(store);
        ct_thread_nap(nap);
        status = connect_once(store, name, &again, error);
    }
    return status == CTRACK_OK ? status : ct_error_context(error, status, "%s", name);
}

static ctrack_status open_database(ct_store *store, const char *path, ctrack_error *error)
{
    char *name = NULL;
    ctrack_status status = ct_file_name(path, &name, error);
    if (status == CTRACK_OK && !store->read_only) {
        status = ct_file_create(name, error);
    }
    status = status == CTRACK_OK ? connect(store, name, error) : status;
    ct_free(name);
    return status;
}

/* A store without a connection; NULL: no memory. */
static ct_store *new_store(int64_t busy_timeout_ms, bool read_only)
{
    ct_store *store = ct_alloc_array(1, sizeof *store);
    if (store != NULL) {
        store->identity = CT_IDENTITY_INIT;
        store->busy_timeout_ms = busy_timeout_ms;
        store->read_only = read_only;
    }
    return store;
}

ctrack_status ct_store_open(const char *path, const ctrack_options *options, ct_store **store, ctrack_error *error)
{
    ct_store *made = new_store(options->busy_timeout_ms, options->read_only);
    if (made == NULL || (made->read_model = ct_alloc_text(options->read_model, strlen(options->read_model))) == NULL) {
        ct_free(made);
        return ct_error_no_memory(error);
    }
    made->data_version = -1;
    made->exposed = ct_store_version_exposed(sqlite3_libversion_number());
    ctrack_status status = open_database(made, path, error);
    if (status != CTRACK_OK) {
        ct_store_refuse(made);
        return status;
    }
    made->asker = (ct_asker){.db = made->db, .schema = "main"};
    *store = made;
    return CTRACK_OK;
}

ctrack_status ct_store_schema(const char *path, int64_t busy_timeout_ms, int *version, ctrack_error *error)
{
    ct_store *store = new_store(ct_store_busy_timeout(busy_timeout_ms), true);
    if (store == NULL) {
        return ct_error_no_memory(error);
    }
    store->any_schema = true;
    ctrack_status status = open_database(store, path, error);
    if (status == CTRACK_OK) {
        *version = store->schema;
    }
    ct_store_close(store);
    return status;
}

const char *ct_store_path(const ct_store *store)
{
    return sqlite3_db_filename(store->db, "main");
}

ctrack_status ct_store_open_second(const ct_store *store, ct_store **second, ctrack_error *error)
{
    ctrack_options options = CTRACK_OPTIONS_INIT;
    options.read_model = store->read_model;
    options.read_only = true;
    options.busy_timeout_ms = store->busy_timeout_ms;
    ct_store *opened = NULL;
    ctrack_status status = ct_store_open(ct_store_path(store), &options, &opened, error);
    status = status == CTRACK_OK ? check_same(store, &opened->identity, error) : status;
    if (status != CTRACK_OK) {
        ct_store_refuse(opened);
        return status;
    }
    *second = opened;
    return CTRACK_OK;
}

ctrack_status ct_store_check_file(const ct_store *store, ctrack_error *error)
{
    return ct_identity_check(&store->identity, ct_store_path(store), error);
}

ct_trouble ct_store_trouble(const ct_store *store, ctrack_error *error)
{
    ct_trouble trouble = CT_TROUBLE_PASSES;
    bool damaged = error->status == CTRACK_CORRUPT || error->status == CTRACK_SCHEMA;
    if (ct_identity_examine(&store->identity, ct_store_path(store), &trouble, error) == CTRACK_OK && damaged) {
        trouble = CT_TROUBLE_DOUBTFUL;
    }
    return trouble;
}

ctrack_status ct_store_explain(const ct_store *store, ctrack_status status, ctrack_error *error)
{
    ctrack_status cause = status != CTRACK_OK ? ct_store_check_file(store, error) : CTRACK_OK;
    return cause != CTRACK_OK ? cause : status;
}

void ct_store_close(ct_store *store)
{
    if (store != NULL) {
        disconnect(store);
        ct_runs_free(&store->runs);
        ct_free(store->read_model);
        ct_free(store);
    }
}

/* 0 if there is no such file. */
static uint64_t size_of(const char *path)
{
    struct stat found;
    return stat(path, &found) == 0 ? (uint64_t)found.st_size : 0;
}

void ct_store_refuse(ct_store *store)
{
    const char *path = store != NULL && store->db != NULL ? ct_store_path(store) : NULL;
    /* On closing, SQLite would move the log into the database. An empty one, which it may have made, just goes. */
    if (path != NULL && size_of(sqlite3_filename_wal(path)) > 0) {
        sqlite3_db_config(store->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    }
    ct_store_close(store);
}

void ct_store_sizes(const ct_store *store, uint64_t *file, uint64_t *wal)
{
    *file = size_of(ct_store_path(store));
    *wal = size_of(sqlite3_filename_wal(ct_store_path(store)));
}
