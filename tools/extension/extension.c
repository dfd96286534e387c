/* SPDX-License-Identifier: MIT */

/*
 * The loadable extension of SQLite: staging and asking in the host's own transaction, from SQL.
 *
 *   .load ctrack
 *   SELECT ctrack_stage('orders', '{"version":1,"coordinates":[…]}');      -- how many coordinates were staged
 *   SELECT ctrack_satisfied('orders', '{"version":1,"coordinates":[…]}');  -- 1 or 0, of this transaction's snapshot
 *   SELECT ctrack_version();
 *
 * A read model that is NULL is "default". Whatever is wrong is an SQL error with the library's message. ctrack_stage()
 * is for statements that do not write themselves, and cannot be called from a trigger or a view of the file.
 */
#include <string.h>

#include "ctrack.h"
#include "host_sqlite.h"

SQLITE_EXTENSION_INIT1

/* SQLite's code for a status, so that the host can tell a retry from a fault. */
static int code_of(ctrack_status status)
{
    switch (status) {
    case CTRACK_BUSY:
        return SQLITE_BUSY;
    case CTRACK_NO_MEMORY:
        return SQLITE_NOMEM;
    case CTRACK_READ_ONLY:
        return SQLITE_READONLY;
    case CTRACK_FULL:
        return SQLITE_FULL;
    case CTRACK_IO:
        return SQLITE_IOERR;
    case CTRACK_CORRUPT:
        return SQLITE_CORRUPT;
    default:
        return SQLITE_ERROR;
    }
}

static void fail(sqlite3_context *context, const ctrack_error *error)
{
    sqlite3_result_error(context, error->message, -1);
    sqlite3_result_error_code(context, code_of(error->status));
}

/* The arguments of a call. `read_model` belongs to SQLite. */
typedef struct arguments {
    const char *read_model;
    ctrack_snapshot *coordinates;
} arguments;

/* Reads the arguments: true; false with an SQL error. */
static bool read_arguments(sqlite3_context *context, sqlite3_value **values, arguments *a)
{
    ctrack_error error;
    a->read_model = (const char *)sqlite3_value_text(values[0]);
    if (a->read_model == NULL && sqlite3_value_type(values[0]) != SQLITE_NULL) {
        sqlite3_result_error_nomem(context);
        return false;
    }
    if (a->read_model != NULL && strlen(a->read_model) != (size_t)sqlite3_value_bytes(values[0])) {
        sqlite3_result_error(context, "ctrack: the read model's name has a NUL in it", -1);
        return false;
    }
    const char *token = (const char *)sqlite3_value_text(values[1]);
    if (token == NULL) {
        sqlite3_result_error(context, "ctrack: the token is NULL", -1);
        return false;
    }
    if (ctrack_token_parse(token, (size_t)sqlite3_value_bytes(values[1]), &a->coordinates, &error) != CTRACK_OK) {
        fail(context, &error);
        return false;
    }
    return true;
}

static void satisfied(sqlite3_context *context, int count, sqlite3_value **values)
{
    (void)count;
    arguments a;
    ctrack_error error;
    if (!read_arguments(context, values, &a)) {
        return;
    }
    ctrack_status status =
        ctrack_satisfied_in(sqlite3_context_db_handle(context), a.read_model, ctrack_snapshot_entries(a.coordinates),
                            ctrack_snapshot_count(a.coordinates), &error);
    if (status == CTRACK_OK || status == CTRACK_PENDING) {
        sqlite3_result_int(context, status == CTRACK_OK);
    } else {
        fail(context, &error);
    }
    ctrack_snapshot_free(a.coordinates);
}

static void stage(sqlite3_context *context, int count, sqlite3_value **values)
{
    (void)count;
    arguments a;
    ctrack_error error;
    if (!read_arguments(context, values, &a)) {
        return;
    }
    size_t staged = ctrack_snapshot_count(a.coordinates);
    ctrack_status status = ctrack_stage(sqlite3_context_db_handle(context), a.read_model,
                                        ctrack_snapshot_entries(a.coordinates), staged, &error);
    if (status == CTRACK_OK) {
        sqlite3_result_int64(context, (sqlite3_int64)staged);
    } else {
        fail(context, &error);
    }
    ctrack_snapshot_free(a.coordinates);
}

static void version(sqlite3_context *context, int count, sqlite3_value **values)
{
    (void)count;
    (void)values;
    sqlite3_result_text(context, ctrack_version(), -1, SQLITE_STATIC);
}

/* The name that SQLite looks for in a file that is called ctrack. */
__attribute__((visibility("default"))) int sqlite3_ctrack_init(sqlite3 *db, char **message,
                                                               const sqlite3_api_routines *api);

int sqlite3_ctrack_init(sqlite3 *db, char **message, const sqlite3_api_routines *api)
{
    SQLITE_EXTENSION_INIT2(api);
    if (sqlite3_libversion_number() < SQLITE_NEEDED_NUMBER) {
        *message = sqlite3_mprintf("ctrack needs SQLite %s, this is %s", SQLITE_NEEDED, sqlite3_libversion());
        return SQLITE_ERROR;
    }
    int code = sqlite3_create_function_v2(db, "ctrack_satisfied", 2, SQLITE_UTF8 | SQLITE_DIRECTONLY, NULL, satisfied,
                                          NULL, NULL, NULL);
    if (code == SQLITE_OK) {
        code = sqlite3_create_function_v2(db, "ctrack_stage", 2, SQLITE_UTF8 | SQLITE_DIRECTONLY, NULL, stage, NULL,
                                          NULL, NULL);
    }
    if (code == SQLITE_OK) {
        code =
            sqlite3_create_function_v2(db, "ctrack_version", 0, SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_INNOCUOUS,
                                       NULL, version, NULL, NULL, NULL);
    }
    return code;
}
