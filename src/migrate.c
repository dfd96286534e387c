/* SPDX-License-Identifier: MIT */
#include "migrate.h"

#include <string.h>

#include "clock.h"
#include "error.h"
#include "migrations.h"
#include "sql.h"

static const char ledger[] = "CREATE TABLE IF NOT EXISTS ctrack_migration (version INTEGER PRIMARY KEY, "
                             "name TEXT NOT NULL, applied_at INTEGER NOT NULL) STRICT";

/* Everything of ours in a schema, and everything that hangs on it. */
static const char objects[] =
    "SELECT coalesce(type, ''), coalesce(name, ''), coalesce(tbl_name, ''), coalesce(sql, ''), "
    "printf('%s %s', type, name) FROM main.sqlite_schema "
    "WHERE name LIKE 'ctrack\\_%' ESCAPE '\\' OR tbl_name LIKE 'ctrack\\_%' ESCAPE '\\' ORDER BY type, name";

/* The migrations that the database says it has: 0 … n without a gap. */
static ctrack_status version_of(sqlite3 *db, int *version, ctrack_error *error)
{
    int64_t exists = 0, highest = 0, count = 0;
    ctrack_status status = ct_sql_integer(
        db, "SELECT count(*) FROM main.sqlite_schema WHERE name LIKE 'ctrack\\_%' ESCAPE '\\'", &exists, error);
    *version = 0;
    if (status != CTRACK_OK || exists == 0) {
        return status;
    }
    status =
        ct_sql_integer(db, "SELECT count(*) FROM main.sqlite_schema WHERE name = 'ctrack_migration'", &exists, error);
    if (status == CTRACK_OK && exists == 0) {
        return ct_error_set(error, CTRACK_CORRUPT, "there are ctrack tables without ctrack_migration");
    }
    status = status == CTRACK_OK ? ct_sql_integer(db, "SELECT max(version) FROM main.ctrack_migration", &highest, error)
                                 : status;
    status =
        status == CTRACK_OK ? ct_sql_integer(db, "SELECT count(*) FROM main.ctrack_migration", &count, error) : status;
    if (status != CTRACK_OK) {
        return status;
    }
    if (highest > ct_migrations_count) {
        return ct_error_set(error, CTRACK_SCHEMA,
                            "the file has schema version %lld, this library (%s) knows %d: use a newer ctrack",
                            (long long)highest, ctrack_version(), ct_migrations_count);
    }
    if (count == 0) {
        return ct_error_set(error, CTRACK_CORRUPT, "ctrack_migration is empty");
    }
    if (highest != count) {
        return ct_error_set(error, CTRACK_CORRUPT, "ctrack_migration has gaps");
    }
    *version = (int)highest;
    return CTRACK_OK;
}

static ctrack_status apply_one(sqlite3 *db, const ct_migration *migration, ctrack_error *error)
{
    char doing[80], record[200]; /* names are those of our own files */
    sqlite3_snprintf(sizeof doing, doing, "apply migration %s", migration->name);
    sqlite3_snprintf(sizeof record, record, "INSERT INTO ctrack_migration VALUES (%d, %Q, %lld)", migration->version,
                     migration->name, (long long)ct_clock_wall());
    ctrack_status status = ct_sql_exec(db, migration->sql, doing, error);
    return status == CTRACK_OK ? ct_sql_exec(db, record, doing, error) : status;
}

/*
 * The mark of a file in which nobody but ctrack has ever changed the schema. SQLite counts these changes in the file's
 * header, VACUUM and what its backup writes included (https://www.sqlite.org/pragma.html#pragma_schema_version). Of a
 * file that was new the first migration sets that number to one of its own, its time, which no counting comes to. It
 * stays as long as nobody changes anything.
 */
#define MARK "(SELECT applied_at & 2147483647 FROM main.ctrack_migration WHERE version = 1)"

static ctrack_status is_new(sqlite3 *db, int64_t *is, ctrack_error *error)
{
    return ct_sql_integer(
        db, "SELECT page_count <= 1 AND schema_version = 0 FROM pragma_page_count, pragma_schema_version", is, error);
}

ctrack_status ct_migrate_untouched(sqlite3 *db, int64_t *is, ctrack_error *error)
{
    return ct_sql_integer(db, "SELECT schema_version = " MARK " FROM pragma_schema_version", is, error);
}

ctrack_status ct_migrate_mark(sqlite3 *db, ctrack_error *error)
{
    char set[60];
    int64_t mark = 0;
    ctrack_status status = ct_sql_integer(db, "SELECT " MARK, &mark, error);
    if (status != CTRACK_OK) {
        return status;
    }
    sqlite3_snprintf(sizeof set, set, "PRAGMA main.schema_version = %lld", (long long)mark);
    sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 0, NULL);
    status = ct_sql_exec(db, set, "mark the file", error);
    sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    return status;
}

/* In a transaction: applies the next migration, if there is one. Read under the lock: others may be migrating too. */
static ctrack_status apply_next(sqlite3 *db, bool *done, ctrack_error *error)
{
    int version = 0;
    int64_t untouched = 0;
    ctrack_status status = version_of(db, &version, error);
    *done = version == ct_migrations_count;
    if (status != CTRACK_OK || *done) {
        return status;
    }
    status = is_new(db, &untouched, error);
    status = status == CTRACK_OK ? ct_sql_exec(db, ledger, "create the schema", error) : status;
    status = status == CTRACK_OK ? apply_one(db, &ct_migrations[version], error) : status;
    return status == CTRACK_OK && untouched != 0 ? ct_migrate_mark(db, error) : status;
}

ctrack_status ct_migrate_apply(sqlite3 *db, ctrack_error *error)
{
    for (bool done = false; !done;) {
        ctrack_status status = ct_sql_exec(db, "BEGIN IMMEDIATE", "lock the file", error);
        if (status != CTRACK_OK) {
            return status;
        }
        status = apply_next(db, &done, error);
        if (status == CTRACK_OK) {
            status = ct_sql_exec(db, "COMMIT", "commit a migration", error);
        }
        if (status != CTRACK_OK) {
            sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
            return status;
        }
    }
    return CTRACK_OK;
}

/* Where the next character is that counts. */
static const char *skip_quote(const char *text, bool *quoted)
{
    if (*text == '"' && (*quoted || strncmp(text + 1, "ctrack_", strlen("ctrack_")) == 0)) {
        *quoted = !*quoted;
        text++;
    }
    return text;
}

/* SQLite puts the name of a table that is renamed in quotes, also if that gives it back the name that it had. */
static bool is_same_text(const char *left, const char *right)
{
    bool left_quoted = false, right_quoted = false;
    for (;; left++, right++) {
        left = skip_quote(left, &left_quoted);
        right = skip_quote(right, &right_quoted);
        if (*left != *right) {
            return false;
        }
        if (*left == '\0') {
            return true;
        }
    }
}

/* Whether two objects are the same. */
static ctrack_status same_object(sqlite3_stmt *a, sqlite3_stmt *b, bool *same, ctrack_error *error)
{
    ctrack_status status = CTRACK_OK;
    *same = true;
    for (int column = 0; column < 4 && status == CTRACK_OK && *same; column++) {
        const char *left, *right;
        status = ct_sql_text(a, column, &left, error);
        status = status == CTRACK_OK ? ct_sql_text(b, column, &right, error) : status;
        *same = status == CTRACK_OK && is_same_text(left, right);
    }
    return status;
}

static ctrack_status refuse(sqlite3_stmt *object, ctrack_error *error)
{
    const char *named;
    ctrack_status status = ct_sql_text(object, 4, &named, error);
    return status == CTRACK_OK ? ct_error_set(error, CTRACK_CORRUPT, "%s is not as ctrack made it", named) : status;
}

/* Compares two schemas object by object. */
static ctrack_status compare(sqlite3 *db, sqlite3 *model, ctrack_error *error)
{
    sqlite3_stmt *found = NULL, *expected = NULL;
    ctrack_status status = ct_sql_prepare(db, objects, &found, error);
    status = status == CTRACK_OK ? ct_sql_prepare(model, objects, &expected, error) : status;
    bool more = false, wanted = false;
    while (status == CTRACK_OK) {
        status = ct_sql_step(found, &more, "read the database schema", error);
        status = status == CTRACK_OK ? ct_sql_step(expected, &wanted, "read the schema", error) : status;
        if (status != CTRACK_OK || (!more && !wanted)) {
            break;
        }
        bool same = more == wanted;
        status = same ? same_object(found, expected, &same, error) : CTRACK_OK;
        if (status == CTRACK_OK && !same) {
            status = refuse(more ? found : expected, error);
        }
    }
    sqlite3_finalize(found);
    sqlite3_finalize(expected);
    return status;
}

/* Keys are compared and sorted as SQLite keeps them, bytewise, so that must be UTF-8. */
static ctrack_status check_encoding(sqlite3 *db, ctrack_error *error)
{
    sqlite3_stmt *statement = NULL;
    bool row = false;
    ctrack_status status = ct_sql_prepare(db, "PRAGMA main.encoding", &statement, error);
    status = status == CTRACK_OK ? ct_sql_step(statement, &row, "read the text encoding", error) : status;
    const char *encoding = NULL; /* there is always an answer */
    status = status == CTRACK_OK ? ct_sql_text(statement, 0, &encoding, error) : status;
    if (status == CTRACK_OK && strcmp(encoding, "UTF-8") != 0) {
        status =
            ct_error_set(error, CTRACK_INVALID, "the database keeps text as %s: ctrack needs one in UTF-8", encoding);
    }
    sqlite3_finalize(statement);
    return status;
}

ctrack_status ct_migrate_check(sqlite3 *db, int *version, ctrack_error *error)
{
    ctrack_status status = version_of(db, version, error);
    status = status == CTRACK_OK ? check_encoding(db, error) : status;
    if (status != CTRACK_OK || *version == 0) {
        return status;
    }
    sqlite3 *model = NULL;
    int code = sqlite3_open_v2(":memory:", &model, SQLITE_OPEN_READWRITE | SQLITE_OPEN_MEMORY, NULL);
    status = code == SQLITE_OK ? ct_sql_exec(model, ledger, "create the schema", error)
                               : ct_sql_fail(model, code, "create the schema", error);
    for (int i = 0; i < *version && status == CTRACK_OK; i++) {
        status = apply_one(model, &ct_migrations[i], error);
    }
    status = status == CTRACK_OK ? compare(db, model, error) : status;
    sqlite3_close(model);
    return status;
}
