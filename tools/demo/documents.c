/* SPDX-License-Identifier: MIT */
#include "documents.h"

#include <stdio.h>
#include <stdlib.h>

#include <sqlite3.h>

struct document_table {
    sqlite3 *database;
};

/* The CHECK holds only if each operation was processed exactly once, in order: a repeated or skipped one breaks it. */
static const char schema[] =
    "PRAGMA synchronous = FULL;"
    "CREATE TABLE IF NOT EXISTS document ("
    "    document_id TEXT NOT NULL, scope TEXT NOT NULL, branch TEXT NOT NULL,"
    "    operations INTEGER NOT NULL, last_operation INTEGER NOT NULL,"
    "    PRIMARY KEY (document_id, scope, branch), CHECK (operations = last_operation + 1)"
    ") STRICT, WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS position (id INTEGER PRIMARY KEY CHECK (id = 1), processed INTEGER NOT NULL) STRICT;"
    "INSERT OR IGNORE INTO position VALUES (1, 0);";

static bool report(document_table *documents, const char *doing)
{
    fprintf(stderr, "read model: %s: %s\n", doing, sqlite3_errmsg(documents->database));
    return false;
}

static bool run(document_table *documents, const char *sql)
{
    return sqlite3_exec(documents->database, sql, NULL, NULL, NULL) == SQLITE_OK || report(documents, sql);
}

document_table *documents_open(const char *path, bool read_only)
{
    document_table *documents = calloc(1, sizeof *documents);
    if (documents == NULL) {
        fprintf(stderr, "read model: out of memory\n");
        return NULL;
    }
    int flags = read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE;
    if (sqlite3_open_v2(path, &documents->database, flags, NULL) != SQLITE_OK) {
        report(documents, path);
        documents_close(documents);
        return NULL;
    }
    sqlite3_busy_timeout(documents->database, 5000);
    if (!read_only && !run(documents, schema)) {
        documents_close(documents);
        return NULL;
    }
    return documents;
}

void documents_close(document_table *documents)
{
    if (documents != NULL) {
        sqlite3_close(documents->database);
        free(documents);
    }
}

static sqlite3_stmt *prepare(document_table *documents, const char *sql)
{
    sqlite3_stmt *statement = NULL;
    if (sqlite3_prepare_v2(documents->database, sql, -1, &statement, NULL) != SQLITE_OK) {
        report(documents, sql);
    }
    return statement;
}

static bool bind_text(sqlite3_stmt *statement, const ctrack_coordinate *key)
{
    return sqlite3_bind_text(statement, 1, key->document_id, -1, SQLITE_STATIC) == SQLITE_OK &&
           sqlite3_bind_text(statement, 2, key->scope, -1, SQLITE_STATIC) == SQLITE_OK &&
           sqlite3_bind_text(statement, 3, key->branch, -1, SQLITE_STATIC) == SQLITE_OK;
}

int64_t documents_position(document_table *documents)
{
    int64_t position = -1;
    sqlite3_stmt *statement = prepare(documents, "SELECT processed FROM position");
    if (statement != NULL && sqlite3_step(statement) == SQLITE_ROW) {
        position = sqlite3_column_int64(statement, 0);
    } else {
        report(documents, "position");
    }
    sqlite3_finalize(statement);
    return position;
}

static bool process_coordinates(document_table *documents, sqlite3_stmt *statement, const ctrack_snapshot *token)
{
    const ctrack_coordinate *entries = ctrack_snapshot_entries(token);
    for (size_t i = 0; i < ctrack_snapshot_count(token); i++) {
        if (!bind_text(statement, &entries[i]) ||
            sqlite3_bind_int64(statement, 4, entries[i].operation_index) != SQLITE_OK ||
            sqlite3_step(statement) != SQLITE_DONE || sqlite3_reset(statement) != SQLITE_OK) {
            return report(documents, entries[i].document_id);
        }
    }
    return true;
}

static bool stage_progress(document_table *documents, const ctrack_snapshot *token)
{
    ctrack_error error;
    if (ctrack_stage(documents->database, NULL, ctrack_snapshot_entries(token), ctrack_snapshot_count(token), &error) !=
        CTRACK_OK) {
        fprintf(stderr, "read model: %s\n", error.message);
        return false;
    }
    return true;
}

bool documents_stage(document_table *documents, const ctrack_snapshot *token)
{
    /* REPLACE and not an upsert: an upsert would check the row that it is given, not the one that results. */
    sqlite3_stmt *statement =
        prepare(documents, "INSERT OR REPLACE INTO document SELECT ?1, ?2, ?3, 1 + coalesce((SELECT operations"
                           " FROM document WHERE document_id = ?1 AND scope = ?2 AND branch = ?3), 0), ?4");
    bool ok = statement != NULL && run(documents, "BEGIN IMMEDIATE");
    if (ok) {
        ok = process_coordinates(documents, statement, token) &&
             run(documents, "UPDATE position SET processed = processed + 1") && stage_progress(documents, token);
        if (!ok && sqlite3_get_autocommit(documents->database) == 0) {
            run(documents, "ROLLBACK");
        }
    }
    sqlite3_finalize(statement);
    return ok;
}

bool documents_commit(document_table *documents)
{
    return run(documents, "COMMIT");
}

int64_t documents_last_operation(document_table *documents, const ctrack_coordinate *key)
{
    int64_t last = -2;
    sqlite3_stmt *statement =
        prepare(documents, "SELECT last_operation FROM document WHERE document_id = ?1 AND scope = ?2 AND branch = ?3");
    if (statement != NULL && bind_text(statement, key)) {
        int result = sqlite3_step(statement);
        last = result == SQLITE_ROW ? sqlite3_column_int64(statement, 0) : result == SQLITE_DONE ? -1 : -2;
    }
    if (last == -2) {
        report(documents, "query");
    }
    sqlite3_finalize(statement);
    return last;
}

bool documents_compare(document_table *documents, int64_t *ahead, int64_t *behind)
{
    /* Keys that the progress alone has count as ahead, keys that the table alone has as behind. Two joins, since a FULL
     * JOIN would compare every key with every other. */
    sqlite3_stmt *statement = prepare(
        documents, "SELECT (SELECT count(*) FROM ctrack_progress LEFT JOIN document USING (document_id, scope, branch)"
                   "         WHERE operation_index > coalesce(last_operation, -1)),"
                   "       (SELECT count(*) FROM document LEFT JOIN ctrack_progress USING (document_id, scope, branch)"
                   "         WHERE last_operation > coalesce(operation_index, -1))");
    bool ok = statement != NULL && sqlite3_step(statement) == SQLITE_ROW;
    if (ok) {
        *ahead = sqlite3_column_int64(statement, 0);
        *behind = sqlite3_column_int64(statement, 1);
    } else {
        report(documents, "compare");
    }
    sqlite3_finalize(statement);
    return ok;
}
