/* SPDX-License-Identifier: MIT */

/*
 * ctrack_export(): a file of its own from a live one.
 *
 * The source is read through a second connection, in one read transaction: in write-ahead mode that is a snapshot, and
 * holds no writer up. (Nor does a checkpoint wait for it, see store.h.)
 *
 * Two ways lead to the copy. A file in which there never was anything but the tracker (ct_migrate_untouched()) is
 * copied page by page with SQLite's backup: in pieces, which is safe from starting over because the read transaction
 * stands. From any other database ours are made anew by the migrations and filled row by row: pages would bring along
 * what other tables have left in them. Deleted rows stay in free pages, and in the free parts of pages that are in use
 * again, unless SQLite was told to wipe them (https://www.sqlite.org/pragma.html#pragma_secure_delete). Measured, that
 * takes several times as long; with INSERT … SELECT or VACUUM INTO still three times, since every row is looked for in
 * every tree, or written anew.
 *
 * What is written is forced to the disk in pieces too. In one go, at the end, other writers' commits would wait behind
 * it in the file system: measured, for as long as the disk needs for the whole file.
 */
#include <errno.h>
#include <string.h>

#include "alloc.h"
#include "check.h"
#include "clock.h"
#include "connection.h"
#include "error.h"
#include "migrate.h"
#include "newfile.h"
#include "snapshot.h"
#include "sql.h"
#include "store.h"
#include "tracker.h"
#include "within.h"

/* Between two reports. */
#define PIECE_PAGES 4096
#define PIECE_ROWS 16384
/* Forced to the disk at once, 64 MiB. Commits beside that wait for it. Measured, the 99th of 100 then takes 1.2 times as
 * long as without an export and the longest 35 ms; with a quarter of it 2.3 times and 25 ms; all at once, 95 ms. */
#define SYNC_PIECES 4

/* ---------------------------------------------------------------- page by page */

static ctrack_status copy_pages(sqlite3 *source, sqlite3 *target, const ct_newfile *file, ct_reporter *reporter,
                                ctrack_error *error)
{
    sqlite3_backup *backup = sqlite3_backup_init(target, "main", source, "main");
    if (backup == NULL) {
        return ct_sql_fail(target, sqlite3_errcode(target), "copy the file", error);
    }
    int code;
    unsigned pieces = 0;
    ctrack_status status = CTRACK_OK;
    do {
        code = sqlite3_backup_step(backup, PIECE_PAGES);
        uint64_t total = (uint64_t)sqlite3_backup_pagecount(backup);
        status = ct_report(reporter, total - (uint64_t)sqlite3_backup_remaining(backup), total, error);
        if (status == CTRACK_OK && pieces++ % SYNC_PIECES == 0) { /* the first, too: a bad disk is noticed early */
            status = ct_newfile_sync(file, error);
        }
    } while (code == SQLITE_OK && status == CTRACK_OK);
    int finished = sqlite3_backup_finish(backup);
    if (status == CTRACK_OK && code != SQLITE_DONE) {
        status = ct_sql_fail(target, finished != SQLITE_OK ? finished : code, "copy the file", error);
    }
    return status == CTRACK_OK ? ct_migrate_mark(target, error) : status;
}

/* ---------------------------------------------------------------- row by row */

/* A table of the tracker, in an order in which what is referred to comes first. Runs stay behind: they are a help only. */
typedef struct table {
    const char *count, *select, *insert;
    int columns;
} table;

#define TABLE(name, places, columns) \
    { \
        "SELECT count(*) FROM main." name, "SELECT * FROM main." name, \
            "INSERT INTO main." name " VALUES (" places ")", columns \
    }

static const table tables[] = {
    TABLE("ctrack_keyspace", "?1, ?2, ?3, ?4", 4), TABLE("ctrack_coordinate", "?1, ?2, ?3", 3),
    TABLE("ctrack_latest", "?1, ?2, ?3", 3),       TABLE("ctrack_advance", "?1, ?2, ?3, ?4, ?5, ?6", 6),
    TABLE("ctrack_fold", "?1, ?2, ?3", 3),
};
enum { TABLES = sizeof tables / sizeof tables[0] };

static ctrack_status count_rows(sqlite3 *source, uint64_t *total, ctrack_error *error)
{
    ctrack_status status = CTRACK_OK;
    *total = 0;
    for (int i = 0; i < TABLES && status == CTRACK_OK; i++) {
        int64_t count = 0;
        status = ct_sql_integer(source, tables[i].count, &count, error);
        *total += (uint64_t)count;
    }
    return status;
}

/* A text that there is no memory for would be NULL in the copy. */
static ctrack_status bind_row(sqlite3_stmt *insert, sqlite3_stmt *row, int columns, ctrack_error *error)
{
    int code = SQLITE_OK;
    for (int i = 0; i < columns && code == SQLITE_OK; i++) {
        code = sqlite3_bind_value(insert, i + 1, sqlite3_column_value(row, i));
    }
    return code == SQLITE_OK ? CTRACK_OK : ct_sql_fail(sqlite3_db_handle(insert), code, "copy a row", error);
}

static ctrack_status copy_table(const table *which, sqlite3 *source, sqlite3 *target, ct_reporter *reporter,
                                ctrack_error *error)
{
    sqlite3_stmt *select = NULL, *insert = NULL;
    bool row = true;
    ctrack_status status = ct_sql_prepare(source, which->select, &select, error);
    status = status == CTRACK_OK ? ct_sql_prepare(target, which->insert, &insert, error) : status;
    while (status == CTRACK_OK) {
        status = ct_sql_step(select, &row, "read a row", error);
        if (status != CTRACK_OK || !row) {
            break;
        }
        status = bind_row(insert, select, which->columns, error);
        status = status == CTRACK_OK ? ct_sql_run(insert, "copy a row", error) : status;
        if (status == CTRACK_OK && ++reporter->done % PIECE_ROWS == 0) {
            status = ct_report(reporter, reporter->done, reporter->total, error);
        }
    }
    sqlite3_finalize(select);
    sqlite3_finalize(insert);
    return status;
}

static ctrack_status copy_tables(sqlite3 *source, sqlite3 *target, ct_reporter *reporter, ctrack_error *error)
{
    ctrack_status status = ct_migrate_apply(target, error);
    status = status == CTRACK_OK ? count_rows(source, &reporter->total, error) : status;
    status = status == CTRACK_OK ? ct_sql_exec(target, "BEGIN", "begin to write", error) : status;
    status = status == CTRACK_OK ? ct_sql_exec(target, "DELETE FROM main.ctrack_fold", "copy the log", error) : status;
    for (int i = 0; i < TABLES && status == CTRACK_OK; i++) {
        status = copy_table(&tables[i], source, target, reporter, error);
    }
    return status == CTRACK_OK ? ct_sql_exec(target, "COMMIT", "commit the copy", error) : status;
}

/* ---------------------------------------------------------------- from memory */

enum { KEYSPACE, COORDINATE, LATEST, STEPS };

static const char *const steps[STEPS] = {
    [KEYSPACE] =
        "INSERT INTO main.ctrack_keyspace (read_model, scope, branch) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
    [COORDINATE] = ("INSERT INTO main.ctrack_coordinate (keyspace_id, document_id) SELECT id, ?4 "
                    "FROM main.ctrack_keyspace WHERE read_model = ?1 AND scope = ?2 AND branch = ?3"),
    [LATEST] = "INSERT INTO main.ctrack_latest VALUES (last_insert_rowid(), ?1, ?2)",
};

static ctrack_status write_entry(sqlite3_stmt *const statements[STEPS], const char *read_model,
                                 const ctrack_coordinate *entry, int64_t now, ctrack_error *error)
{
    const char *const texts[] = {read_model, entry->scope, entry->branch, entry->document_id};
    ctrack_status status = CTRACK_OK;
    for (int i = 0; i < 4; i++) {
        if (i < 3) {
            sqlite3_bind_text(statements[KEYSPACE], i + 1, texts[i], -1, SQLITE_STATIC);
        }
        sqlite3_bind_text(statements[COORDINATE], i + 1, texts[i], -1, SQLITE_STATIC);
    }
    sqlite3_bind_int64(statements[LATEST], 1, entry->operation_index);
    sqlite3_bind_int64(statements[LATEST], 2, now);
    for (int i = 0; i < STEPS && status == CTRACK_OK; i++) {
        status = ct_sql_run(statements[i], "write a key", error);
    }
    return status;
}

static ctrack_status write_entries(const char *read_model, const ctrack_snapshot *snapshot, sqlite3 *target,
                                   ct_reporter *reporter, ctrack_error *error)
{
    sqlite3_stmt *statements[STEPS] = {NULL};
    int64_t now = ct_clock_wall();
    size_t count = ctrack_snapshot_count(snapshot);
    ctrack_status status = CTRACK_OK;
    for (int i = 0; i < STEPS && status == CTRACK_OK; i++) {
        status = ct_sql_prepare(target, steps[i], &statements[i], error);
    }
    for (size_t i = 0; i < count && status == CTRACK_OK; i++) {
        status = write_entry(statements, read_model, &ctrack_snapshot_entries(snapshot)[i], now, error);
        if (status == CTRACK_OK && (i + 1) % PIECE_ROWS == 0) {
            status = ct_report(reporter, i + 1, count, error);
        }
    }
    for (int i = 0; i < STEPS; i++) {
        sqlite3_finalize(statements[i]);
    }
    return status == CTRACK_OK ? ct_report(reporter, count, count, error) : status;
}

static ctrack_status write_memory(ctrack *tracker, sqlite3 *target, ct_reporter *reporter, ctrack_error *error)
{
    ctrack_snapshot *snapshot = NULL;
    ctrack_status status = ct_migrate_apply(target, error);
    status = status == CTRACK_OK ? ct_board_copy(tracker->board, &snapshot, error) : status;
    status = status == CTRACK_OK ? ct_sql_exec(target, "BEGIN", "begin to write", error) : status;
    status = status == CTRACK_OK ? write_entries(tracker->read_model, snapshot, target, reporter, error) : status;
    ctrack_snapshot_free(snapshot);
    return status == CTRACK_OK ? ct_sql_exec(target, "COMMIT", "commit the copy", error) : status;
}

/* ---------------------------------------------------------------- from a file */

static ctrack_status copy_store(const ct_store *live, sqlite3 *target, const ct_newfile *file, ct_reporter *reporter,
                                ctrack_error *error)
{
    ct_store *source = NULL;
    int64_t untouched = 0;
    ctrack_status status = ct_store_check_file(live, error);
    status = status == CTRACK_OK ? ct_store_open_second(live, &source, error) : status;
    /* Each page is read once: a large cache would only be filled. */
    status = status == CTRACK_OK ? ct_sql_exec(source->db, "PRAGMA main.cache_size = 256", "set up the copy", error)
                                 : status;
    status = status == CTRACK_OK ? ct_store_run(source, CT_BEGIN, "begin to read", error) : status;
    /* The transaction reads now. */
    status = status == CTRACK_OK ? ct_migrate_untouched(source->db, &untouched, error) : status;
    if (status == CTRACK_OK) {
        status = untouched != 0 ? copy_pages(source->db, target, file, reporter, error)
                                : copy_tables(source->db, target, reporter, error);
    }
    ct_store_close(source);
    return status;
}

/* ---------------------------------------------------------------- the whole */

static int stop_at_first(const ctrack_finding *finding, void *argument)
{
    ctrack_error *first = argument;
    ct_error_set(first, CTRACK_CORRUPT, "the tracker's file is damaged, check it: %s: %s", finding->table,
                 finding->what);
    return 1;
}

static ctrack_status check_copy(sqlite3 *target, ct_reporter *reporter, ctrack_error *error)
{
    ctrack_error first = {.status = CTRACK_OK};
    ctrack_status status = ct_check(target, true, stop_at_first, &first, reporter, error);
    return first.status == CTRACK_OK ? status : ct_error_set(error, CTRACK_CORRUPT, "%s", first.message);
}

/* Nobody else knows the file, and it is thrown away if anything fails: no journal on the disk, no sync of SQLite's. */
static ctrack_status open_target(const ct_newfile *file, sqlite3 **target, ctrack_error *error)
{
    ctrack_status status =
        ct_connection_open(file->temporary, SQLITE_OPEN_READWRITE, "open the new file", target, error);
    if (status != CTRACK_OK) {
        return status;
    }
    ct_store_distrust(*target);
    status = ct_sql_pragma(*target, "PRAGMA main.locking_mode = EXCLUSIVE", "exclusive", error);
    status =
        status == CTRACK_OK ? ct_sql_pragma(*target, "PRAGMA main.journal_mode = MEMORY", "memory", error) : status;
    return status == CTRACK_OK ? ct_sql_pragma(*target, "PRAGMA main.synchronous = OFF", NULL, error) : status;
}

/* The header of a page by page copy says that there is a write-ahead log. */
static ctrack_status leave_wal(sqlite3 *target, ctrack_error *error)
{
    ctrack_status status = ct_sql_exec(target, "SELECT 1 FROM main.sqlite_schema", "read the new file", error);
    return status == CTRACK_OK ? ct_sql_pragma(target, "PRAGMA main.journal_mode = DELETE", "delete", error) : status;
}

static ctrack_status build(ctrack *tracker, const ct_newfile *file, ct_reporter *reporter, ctrack_error *error)
{
    sqlite3 *target = NULL;
    ctrack_status status = open_target(file, &target, error);
    if (status == CTRACK_OK) {
        status = tracker->store != NULL ? copy_store(tracker->store, target, file, reporter, error)
                                        : write_memory(tracker, target, reporter, error);
    }
    status = status == CTRACK_OK ? leave_wal(target, error) : status;
    status = status == CTRACK_OK ? check_copy(target, reporter, error) : status;
    int code = ct_connection_close(target);
    return status == CTRACK_OK && code != SQLITE_OK ? ct_sql_fail(NULL, code, "close the new file", error) : status;
}

static ctrack_status look(const ct_store *store, ct_newfile *file, const char *path, bool replace, ctrack_error *error)
{
    ctrack_status status = ct_newfile_look(file, path, error);
    if (status != CTRACK_OK || !file->exists) {
        return status;
    }
    if (store != NULL && file->old.st_dev == store->identity.file.device &&
        file->old.st_ino == store->identity.file.number) {
        return ct_error_set(error, CTRACK_INVALID, "%s is the tracker's own file", file->path);
    }
    return replace ? CTRACK_OK : ct_error_set(error, CTRACK_MISUSE, "%s exists already", file->path);
}

static ctrack_status export(ctrack *tracker, const char *path, bool replace, ct_reporter *reporter, ctrack_error *error)
{
    struct stat source;
    ct_newfile file;
    const ct_store *store = tracker->store;
    ctrack_status status = look(store, &file, path, replace, error);
    if (status == CTRACK_OK && store != NULL && stat(ct_store_path(store), &source) != 0) {
        status = ct_error_set(error, CTRACK_IO, "cannot look at %s: %s", ct_store_path(store), strerror(errno));
        status = ct_store_explain(store, status, error);
    }
    status = status == CTRACK_OK ? ct_newfile_make(&file, error) : status;
    status = status == CTRACK_OK ? build(tracker, &file, reporter, error) : status;
    status = status == CTRACK_OK ? ct_report(reporter, reporter->total, reporter->total, error) : status;
    status = status == CTRACK_OK ? ct_newfile_place(&file, store != NULL ? &source : NULL, replace, error) : status;
    ct_newfile_drop(&file);
    return status;
}

ctrack_status ctrack_export(ctrack *tracker, const char *path, ctrack_export_mode mode,
                            ctrack_progress_callback *progress, void *argument, ctrack_error *error)
{
    ctrack_status status = ct_tracker_enter(tracker, error);
    if (status != CTRACK_OK) {
        return status;
    }
    ct_within within;
    ct_within_begin(&within, tracker, true);
    ct_reporter reporter = {.callback = progress, .argument = argument};
    if (path == NULL || (mode != CTRACK_EXPORT_NEW && mode != CTRACK_EXPORT_REPLACE)) {
        status = ct_error_set(error, CTRACK_INVALID, "%s", path == NULL ? "path is NULL" : "mode is not one");
    } else {
        status = export(tracker, path, mode == CTRACK_EXPORT_REPLACE, &reporter, error);
    }
    ct_within_end(&within);
    return ct_tracker_leave(tracker, status);
}
