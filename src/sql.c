/* SPDX-License-Identifier: MIT */
#include "sql.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "error.h"

/* What a code (extended ones too) that says that SQLite has failed is to our callers. */
static ctrack_status status_of(int code)
{
    switch (code & 0xFF) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return CTRACK_BUSY;
    case SQLITE_NOMEM:
        return CTRACK_NO_MEMORY;
    case SQLITE_READONLY:
        return CTRACK_READ_ONLY;
    case SQLITE_FULL:
        return CTRACK_FULL;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_CONSTRAINT: /* we write only what satisfies them, so the file's own content is at odds */
    case SQLITE_MISMATCH:
        return CTRACK_CORRUPT;
    default:
        return code == SQLITE_IOERR_NOMEM ? CTRACK_NO_MEMORY : CTRACK_IO;
    }
}

/*
 * Whether a row was refused for its own sake: what a CHECK, NOT NULL or a column's type says of one row holds for
 * whatever the file has in others, so only we can have been wrong. (A UNIQUE that is broken may be the file's fault.) A
 * host's connection may give codes that say less than what SQLite knows.
 */
static bool row_is_wrong(sqlite3 *db, int code)
{
    code = code == SQLITE_CONSTRAINT ? sqlite3_extended_errcode(db) : code;
    return code == SQLITE_CONSTRAINT_CHECK || code == SQLITE_CONSTRAINT_NOTNULL || code == SQLITE_CONSTRAINT_DATATYPE;
}

/* GCOVR_EXCL_START: where root may mount */
/* Whether a file in write-ahead mode lacks those beside it, on a medium where SQLite cannot make them. (That nobody
 * changes it there, as `immutable` would promise SQLite, cannot be known: others may have mounted it to write.) */
static bool is_on_read_only_medium(sqlite3 *db, int code)
{
    const char *name = db != NULL && (code & 0xFF) == SQLITE_CANTOPEN ? sqlite3_db_filename(db, "main") : NULL;
    return name != NULL && access(name, W_OK) != 0 && errno == EROFS;
}

static ctrack_status fail_on_read_only_medium(int code, const char *doing, ctrack_error *error)
{
    return ct_error_set(
        error, CTRACK_READ_ONLY,
        "cannot %s: the file is in write-ahead mode and its medium is read-only, where SQLite cannot make "
        "the files that it needs beside it: put a snapshot of it there, which needs none (SQLite %d)",
        doing, code);
}
/* GCOVR_EXCL_STOP */

ctrack_status ct_sql_fail(sqlite3 *db, int code, const char *doing, ctrack_error *error)
{
    const char *reason = db != NULL ? sqlite3_errmsg(db) : sqlite3_errstr(code);
    if (row_is_wrong(db, code)) {
        return ct_error_ours(error, reason);
    }
    if (is_on_read_only_medium(db, code)) {                  /* GCOVR_EXCL_BR_LINE: as above */
        return fail_on_read_only_medium(code, doing, error); /* GCOVR_EXCL_LINE */
    }
    return ct_error_set(error, status_of(code), "cannot %s: %s (SQLite %d)", doing, reason, code);
}

ctrack_status ct_sql_exec(sqlite3 *db, const char *sql, const char *doing, ctrack_error *error)
{
    int code = sqlite3_exec(db, sql, NULL, NULL, NULL);
    return code == SQLITE_OK ? CTRACK_OK : ct_sql_fail(db, code, doing, error);
}

/* Our statements fit our tables; so what they do not fit is not ours. */
static ctrack_status not_ours(sqlite3 *db, ctrack_error *error)
{
    return ct_error_set(error, CTRACK_CORRUPT, "the ctrack tables are not as ctrack made them: %s", sqlite3_errmsg(db));
}

ctrack_status ct_sql_prepare(sqlite3 *db, const char *sql, sqlite3_stmt **statement, ctrack_error *error)
{
    int code = sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, statement, NULL);
    if (code == SQLITE_ERROR) {
        return not_ours(db, error);
    }
    return code == SQLITE_OK ? CTRACK_OK : ct_sql_fail(db, code, "read the database schema", error);
}

ctrack_status ct_sql_step(sqlite3_stmt *statement, bool *row, const char *doing, ctrack_error *error)
{
    int code = sqlite3_step(statement);
    *row = code == SQLITE_ROW;
    if (code == SQLITE_ROW) {
        return CTRACK_OK;
    }
    ctrack_status status = CTRACK_OK;
    if (code == SQLITE_ERROR) {
        status = not_ours(sqlite3_db_handle(statement), error);
    } else if (code != SQLITE_DONE) {
        status = ct_sql_fail(sqlite3_db_handle(statement), code, doing, error);
    }
    sqlite3_reset(statement);
    return status;
}

ctrack_status ct_sql_run(sqlite3_stmt *statement, const char *doing, ctrack_error *error)
{
    bool row = true; /* where a host has switched count_changes on, there is one with the number of changes */
    ctrack_status status = CTRACK_OK;
    while (status == CTRACK_OK && row) {
        status = ct_sql_step(statement, &row, doing, error);
    }
    return status;
}

ctrack_status ct_sql_text(sqlite3_stmt *statement, int column, const char **text, ctrack_error *error)
{
    bool null = sqlite3_column_type(statement, column) == SQLITE_NULL;
    *text = (const char *)sqlite3_column_text(statement, column);
    return *text != NULL || null ? CTRACK_OK : ct_error_no_memory(error);
}

ctrack_status ct_sql_integer(sqlite3 *db, const char *sql, int64_t *value, ctrack_error *error)
{
    sqlite3_stmt *statement = NULL;
    bool row = false;
    ctrack_status status = ct_sql_prepare(db, sql, &statement, error);
    if (status == CTRACK_OK) {
        status = ct_sql_step(statement, &row, "read the file", error);
        *value = row ? sqlite3_column_int64(statement, 0) : 0;
    }
    sqlite3_finalize(statement);
    return status;
}

ctrack_status ct_sql_pragma(sqlite3 *db, const char *set, const char *expected, ctrack_error *error)
{
    sqlite3_stmt *statement = NULL;
    bool row = false;
    int code = sqlite3_prepare_v2(db, set, -1, &statement, NULL);
    ctrack_status status = code == SQLITE_OK ? ct_sql_step(statement, &row, "set up the connection", error)
                                             : ct_sql_fail(db, code, "set up the connection", error);
    if (status == CTRACK_OK && expected != NULL) {
        const char *answer = NULL;
        status = row ? ct_sql_text(statement, 0, &answer, error) : CTRACK_OK;
        if (status == CTRACK_OK && (answer == NULL || strcmp(answer, expected) != 0)) {
            status = ct_error_set(error, CTRACK_IO, "cannot set up the connection: %s gives %s, not %s", set,
                                  answer != NULL ? answer : "nothing", expected);
        }
    }
    /* What a pragma does may be committed only now: the answer came before. */
    code = sqlite3_finalize(statement);
    if (status == CTRACK_OK && code != SQLITE_OK) {
        status = ct_sql_fail(db, code, "set up the connection", error);
    }
    return status;
}
