/* SPDX-License-Identifier: MIT */
/*
 * The host's connection: what ctrack_stage() makes of the host's transactions, savepoints, attached databases, hooks
 * and journal modes, and what it leaves as it was.
 */
#include "support.h"

#include <sqlite3.h>
#include <stdio.h>

static ctrack_status try_stage(sqlite3 *db, const char *document, int64_t index, ctrack_error *error)
{
    ctrack_coordinate c = at(document, index);
    return ctrack_stage(db, NULL, &c, 1, error);
}

static void stage(sqlite3 *db, const char *document, int64_t index)
{
    ctrack_error error;
    ctrack_status status = try_stage(db, document, index, &error);
    if (status != CTRACK_OK) {
        print_error("stage %s: %s: %s\n", document, ctrack_status_name(status), error.message);
        fail();
    }
}

/* What the tracker says of a document once it has looked. */
static int64_t published(fixture *f, const char *document)
{
    assert_status(ctrack_refresh(f->tracker, NULL), CTRACK_OK);
    return latest(f->tracker, document);
}

/* The host's connection, with a table of its own. */
static sqlite3 *open_host(const fixture *f)
{
    sqlite3 *db = db_open(f->path);
    db_run(db, "CREATE TABLE IF NOT EXISTS host (id INTEGER PRIMARY KEY, what TEXT)");
    return db;
}

/* ---------------------------------------------------------------- transactions and savepoints */

static void test_released_savepoint_keeps_what_was_staged_in_it(void **state)
{
    fixture *f = *state;
    sqlite3 *db = open_host(f);
    db_run(db, "BEGIN; SAVEPOINT a");
    stage(db, "doc-1", 1);
    db_run(db, "SAVEPOINT b");
    stage(db, "doc-1", 2);
    db_run(db, "RELEASE b; RELEASE a");
    assert_int_equal(published(f, "doc-1"), NEVER_SEEN); /* not before the outermost COMMIT */
    db_run(db, "COMMIT");
    assert_int_equal(published(f, "doc-1"), 2);
    db_close(db);
}

static void test_rolled_back_savepoint_drops_what_was_staged_in_it_and_no_more(void **state)
{
    fixture *f = *state;
    sqlite3 *db = open_host(f);
    db_run(db, "BEGIN");
    stage(db, "doc-1", 1);
    db_run(db, "SAVEPOINT a");
    stage(db, "doc-1", 2);
    stage(db, "doc-2", 2);
    db_run(db, "SAVEPOINT b");
    stage(db, "doc-1", 3);
    db_run(db, "RELEASE b; ROLLBACK TO a"); /* what was released into a goes with it */
    stage(db, "doc-3", 1);
    db_run(db, "RELEASE a; COMMIT");
    assert_int_equal(published(f, "doc-1"), 1);
    assert_int_equal(latest(f->tracker, "doc-2"), NEVER_SEEN);
    assert_int_equal(latest(f->tracker, "doc-3"), 1);
    db_close(db);
}

static void test_outermost_savepoint_is_a_transaction(void **state)
{
    fixture *f = *state;
    sqlite3 *db = open_host(f);
    db_run(db, "SAVEPOINT a");
    stage(db, "doc-1", 1);
    assert_int_equal(published(f, "doc-1"), NEVER_SEEN);
    db_run(db, "RELEASE a");
    assert_int_equal(published(f, "doc-1"), 1);
    db_run(db, "SAVEPOINT a");
    stage(db, "doc-1", 2);
    db_run(db, "ROLLBACK TO a; RELEASE a");
    assert_int_equal(published(f, "doc-1"), 1);
    db_close(db);
}

/* Staging uses a savepoint of its own; a host that calls one by the same name keeps it. */
static void test_savepoint_of_the_same_name_stays_the_hosts(void **state)
{
    fixture *f = *state;
    sqlite3 *db = open_host(f);
    db_run(db, "BEGIN; SAVEPOINT ctrack_stage; INSERT INTO host VALUES (1, 'a')");
    stage(db, "doc-1", 1);
    assert_status(try_stage(db, "doc-1", -1, NULL), CTRACK_INVALID);
    db_run(db, "ROLLBACK TO ctrack_stage; RELEASE ctrack_stage; COMMIT");
    assert_int_equal(db_integer(db, "SELECT count(*) FROM host"), 0);
    assert_int_equal(published(f, "doc-1"), NEVER_SEEN);
    db_close(db);
}

static void test_refused_staging_leaves_the_transaction_as_it_was(void **state)
{
    fixture *f = *state;
    sqlite3 *db = open_host(f);
    db_run(db, "BEGIN; INSERT INTO host VALUES (1, 'a')");
    stage(db, "doc-1", 1);
    ctrack_coordinate batch[] = {at("doc-2", 1), at("doc-3", -7)};
    assert_status(ctrack_stage(db, NULL, batch, 2, NULL), CTRACK_INVALID);
    assert_false(sqlite3_get_autocommit(db));
    db_run(db, "COMMIT");
    assert_int_equal(db_integer(db, "SELECT count(*) FROM host"), 1);
    assert_int_equal(published(f, "doc-1"), 1);
    assert_int_equal(latest(f->tracker, "doc-2"), NEVER_SEEN);
    db_close(db);
}

static void test_each_staging_in_autocommit_is_a_transaction_of_its_own(void **state)
{
    fixture *f = *state;
    sqlite3 *db = open_host(f);
    stage(db, "doc-1", 1);
    assert_true(sqlite3_get_autocommit(db));
    assert_int_equal(published(f, "doc-1"), 1);
    ctrack_coordinate batch[] = {at("doc-2", 1), at("doc-3", -7)};
    assert_status(ctrack_stage(db, NULL, batch, 2, NULL), CTRACK_INVALID);
    assert_true(sqlite3_get_autocommit(db));
    assert_int_equal(published(f, "doc-2"), NEVER_SEEN);
    db_close(db);
}

/* A transaction that has read what is not the newest state any more cannot write: SQLite's BUSY_SNAPSHOT. */
static void test_staging_from_an_old_snapshot_is_busy_and_the_transaction_lives(void **state)
{
    fixture *f = *state;
    sqlite3 *db = open_host(f);
    db_run(db, "BEGIN");
    assert_int_equal(db_integer(db, "SELECT count(*) FROM host"), 0);
    update(f->tracker, "doc-1", 1);
    assert_status(try_stage(db, "doc-2", 1, &f->error), CTRACK_BUSY);
    assert_contains(f->error.message, "must be rolled back and begun anew; BEGIN IMMEDIATE avoids that");
    assert_false(sqlite3_get_autocommit(db));
    db_run(db, "ROLLBACK; BEGIN IMMEDIATE");
    stage(db, "doc-2", 1);
    db_run(db, "COMMIT");
    assert_int_equal(published(f, "doc-2"), 1);
    db_close(db);
}

/* The host's busy handler: has whoever is in the way end, and says to try again. */
static int make_way(void *argument, int tries)
{
    (void)tries;
    db_run(argument, "ROLLBACK");
    return 1;
}

/* While another connection writes, stages after `begin`; the host's busy handler is what makes that succeed. */
static void stage_behind_a_writer(fixture *f, const char *begin, const char *end)
{
    sqlite3 *db = open_host(f), *writer = db_open(f->path);
    sqlite3_busy_handler(db, make_way, writer);
    db_run(writer, "BEGIN IMMEDIATE");
    db_run(db, begin);
    stage(db, "doc-1", 1);
    db_run(db, end);
    assert_true(sqlite3_get_autocommit(db));
    assert_int_equal(published(f, "doc-1"), 1);
    db_close(writer);
    db_close(db);
}

static void test_staging_in_autocommit_waits_as_the_hosts_busy_handler_says(void **state)
{
    stage_behind_a_writer(*state, "", "");
}

static void test_staging_first_in_a_transaction_waits_as_the_hosts_busy_handler_says(void **state)
{
    stage_behind_a_writer(*state, "BEGIN", "COMMIT");
}

static void test_staging_first_in_a_savepoint_waits_as_the_hosts_busy_handler_says(void **state)
{
    stage_behind_a_writer(*state, "SAVEPOINT a", "RELEASE a");
}

static void test_staging_into_an_attached_file_waits_as_the_hosts_busy_handler_says(void **state)
{
    fixture *f = *state;
    sqlite3 *db = db_open(":memory:"), *writer = db_open(f->path);
    char attach[300];
    snprintf(attach, sizeof attach, "ATTACH '%s' AS progress", f->path);
    db_run(db, attach);
    db_run(db, "BEGIN; SELECT count(*) FROM main.sqlite_schema");
    sqlite3_busy_handler(db, make_way, writer);
    db_run(writer, "BEGIN IMMEDIATE");
    stage(db, "doc-1", 1);
    db_run(db, "COMMIT");
    assert_int_equal(published(f, "doc-1"), 1);
    db_close(writer);
    db_close(db);
}

/* SQLite does not ask the busy handler then. */
static void test_staging_beside_a_writer_after_reading_says_how_to_begin(void **state)
{
    fixture *f = *state;
    sqlite3 *db = open_host(f), *writer = db_open(f->path);
    sqlite3_busy_handler(db, make_way, writer);
    db_run(db, "BEGIN");
    assert_int_equal(db_integer(db, "SELECT count(*) FROM host"), 0);
    db_run(writer, "BEGIN IMMEDIATE");
    assert_status(try_stage(db, "doc-1", 1, &f->error), CTRACK_BUSY);
    assert_contains(f->error.message, "begin it with BEGIN IMMEDIATE");
    assert_false(sqlite3_get_autocommit(db));
    db_run(writer, "ROLLBACK");
    stage(db, "doc-1", 1);
    db_run(db, "COMMIT");
    assert_int_equal(published(f, "doc-1"), 1);
    db_close(writer);
    db_close(db);
}

static void test_staging_nothing_takes_no_lock(void **state)
{
    fixture *f = *state;
    sqlite3 *db = open_host(f), *writer = db_open(f->path);
    sqlite3_busy_timeout(db, 0);
    db_run(writer, "BEGIN IMMEDIATE");
    assert_status(ctrack_stage(db, NULL, NULL, 0, &f->error), CTRACK_OK);
    db_run(writer, "ROLLBACK");
    db_run(db, "BEGIN");
    assert_status(ctrack_stage(db, NULL, NULL, 0, &f->error), CTRACK_OK);
    update(f->tracker, "doc-1", 1);
    db_run(db, "COMMIT");
    db_close(writer);
    db_close(db);
}

/* What a connection knows of the schema may be older than the tables. */
static void test_staging_finds_tables_that_the_connection_has_not_heard_of(void **state)
{
    fixture *f = *state;
    sqlite3 *db = open_host(f);
    f->tracker = open_file(f->path);
    db_run(db, "BEGIN");
    stage(db, "doc-1", 1);
    db_run(db, "COMMIT");
    assert_int_equal(published(f, "doc-1"), 1);
    db_close(db);
}

static void test_staging_into_tables_that_are_gone_is_invalid(void **state)
{
    fixture *f = *state;
    sqlite3 *db = open_host(f);
    stage(db, "doc-1", 1);
    close_tracker(&f->tracker);
    db_run_once(f->path, "DROP TABLE ctrack_migration");
    assert_status(try_stage(db, "doc-1", 2, &f->error), CTRACK_INVALID);
    assert_contains(f->error.message, "no ctrack tables");
    assert_true(sqlite3_get_autocommit(db));
    db_close(db);
}

/* A process may have several copies of SQLite, whose connections are made differently. */
static void test_a_connection_of_another_copy_of_sqlite_is_invalid(void **state)
{
    fixture *f = *state;
    sqlite3_vfs its_own = {.zName = "unix"};
    const void *connection[200] = {&its_own};
    sqlite3 *db = (sqlite3 *)(uintptr_t)connection;
    ctrack_coordinate c = at("doc-1", 1);
    ctrack_durability durability;
    assert_status(try_stage(db, "doc-1", 1, &f->error), CTRACK_INVALID);
    assert_contains(f->error.message, "another copy of SQLite");
    assert_status(ctrack_satisfied_in(db, NULL, &c, 1, NULL), CTRACK_INVALID);
    assert_status(ctrack_host_durability(db, &durability, NULL), CTRACK_INVALID);
}

static void test_staging_beside_another_writer_is_busy(void **state)
{
    fixture *f = *state;
    sqlite3 *db = open_host(f), *writer = db_open(f->path);
    sqlite3_busy_timeout(db, 0);
    db_run(writer, "BEGIN IMMEDIATE");
    assert_status(try_stage(db, "doc-1", 1, &f->error), CTRACK_BUSY);
    assert_true(sqlite3_get_autocommit(db));
    db_run(writer, "COMMIT");
    stage(db, "doc-1", 1);
    db_close(writer);
    db_close(db);
}

/* While the host holds the write lock, the tracker's own updates wait for it, and then build on what was staged. */
static void test_update_is_busy_while_the_host_writes(void **state)
{
    fixture *f = *state;
    sqlite3 *db = open_host(f);
    close_tracker(&f->tracker);
    f->tracker = open_impatient(f->path, 0);
    db_run(db, "BEGIN");
    stage(db, "doc-1", 5);
    ctrack_coordinate c = at("doc-1", 3);
    assert_status(ctrack_update(f->tracker, &c, 1, &f->error), CTRACK_BUSY);
    db_run(db, "COMMIT");
    assert_status(ctrack_update(f->tracker, &c, 1, &f->error), CTRACK_OK);
    assert_int_equal(latest(f->tracker, "doc-1"), 5);
    db_close(db);
}

static void test_staging_on_a_connection_that_only_reads_is_refused(void **state)
{
    fixture *f = *state;
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open_v2(f->path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
    assert_status(try_stage(db, "doc-1", 1, NULL), CTRACK_READ_ONLY);
    ctrack_coordinate c = at("doc-1", 1);
    assert_status(ctrack_satisfied_in(db, NULL, &c, 1, NULL), CTRACK_PENDING);
    db_close(db);
    db = db_open(f->path);
    db_run(db, "PRAGMA query_only = 1");
    assert_status(try_stage(db, "doc-1", 1, NULL), CTRACK_READ_ONLY);
    db_close(db);
}

static void test_staging_goes_with_a_statement_under_way(void **state)
{
    fixture *f = *state;
    sqlite3 *db = open_host(f);
    sqlite3_stmt *rows = NULL;
    db_run(db, "INSERT INTO host VALUES (1, 'a'), (2, 'b'), (3, 'c')");
    assert_int_equal(sqlite3_prepare_v2(db, "SELECT id FROM host ORDER BY id", -1, &rows, NULL), SQLITE_OK);
    for (int64_t id = 1; id <= 3; id++) {
        assert_int_equal(sqlite3_step(rows), SQLITE_ROW);
        assert_int_equal(sqlite3_column_int64(rows, 0), id);
        stage(db, "doc-1", id);
    }
    assert_int_equal(sqlite3_step(rows), SQLITE_DONE);
    sqlite3_finalize(rows);
    assert_int_equal(published(f, "doc-1"), 3);
    db_close(db);
}

/* ---------------------------------------------------------------- which database */

static sqlite3 *attach(const fixture *f, sqlite3 *db, const char *file, const char *name)
{
    char path[300], sql[400];
    snprintf(sql, sizeof sql, "ATTACH '%s' AS %s", path_in(f, file, path), name);
    db_run(db, sql);
    return db;
}

static sqlite3 *open_in(const fixture *f, const char *file)
{
    char path[300];
    return db_open(path_in(f, file, path));
}

/* Our tables are looked for in "main" first, then in the attached databases in the order of attaching. */
static void test_main_is_preferred_to_an_attached_database(void **state)
{
    fixture *f = *state;
    char path[300];
    ctrack *attached = open_file(path_in(f, "attached.db", path));
    sqlite3 *db = attach(f, open_host(f), "attached.db", "other");
    stage(db, "doc-1", 1);
    assert_int_equal(published(f, "doc-1"), 1);
    assert_status(ctrack_refresh(attached, NULL), CTRACK_OK);
    assert_int_equal(latest(attached, "doc-1"), NEVER_SEEN);
    db_close(db);
    close_tracker(&attached);
}

static void test_the_first_attached_database_that_has_our_tables_is_used(void **state)
{
    fixture *f = *state;
    char path[300];
    ctrack *second = open_file(path_in(f, "second.db", path));
    sqlite3 *db = open_in(f, "main.db");
    attach(f, attach(f, attach(f, db, "empty.db", "e"), "progress.db", "\"odd \"\"name\""), "second.db", "s");
    db_run(db, "BEGIN");
    stage(db, "doc-1", 1);
    db_run(db, "COMMIT");
    assert_int_equal(published(f, "doc-1"), 1);
    assert_status(ctrack_refresh(second, NULL), CTRACK_OK);
    assert_int_equal(latest(second, "doc-1"), NEVER_SEEN);
    db_close(db);
    close_tracker(&second);
}

static void test_rows_in_main_and_progress_in_an_attached_database_roll_back_together(void **state)
{
    fixture *f = *state;
    sqlite3 *db = attach(f, open_in(f, "main.db"), "progress.db", "p");
    db_run(db, "CREATE TABLE main.host (id INTEGER); BEGIN; INSERT INTO main.host VALUES (1)");
    stage(db, "doc-1", 1);
    db_run(db, "ROLLBACK");
    assert_int_equal(db_integer(db, "SELECT count(*) FROM main.host"), 0);
    assert_int_equal(published(f, "doc-1"), NEVER_SEEN);
    db_close(db);
}

static void test_temporary_tables_of_our_names_are_not_taken_for_ours(void **state)
{
    fixture *f = *state;
    sqlite3 *db = open_host(f);
    db_run(db, "CREATE TEMP TABLE ctrack_migration (version INTEGER); INSERT INTO temp.ctrack_migration VALUES (99);"
               "CREATE TEMP TABLE ctrack_advance (seq INTEGER PRIMARY KEY, keyspace_id, document_id, operation_index, "
               "updated_at)");
    stage(db, "doc-1", 1);
    assert_int_equal(published(f, "doc-1"), 1);
    db_close(db);
}

static void test_staging_before_the_schema_exists_says_what_to_do(void **state)
{
    fixture *f = *state;
    sqlite3 *db = open_host(f);
    assert_status(try_stage(db, "doc-1", 1, &f->error), CTRACK_INVALID);
    assert_contains(f->error.message, "open a tracker on its file first");
    f->tracker = open_file(f->path); /* the host's connection has read the schema before, and must see the new one */
    stage(db, "doc-1", 1);
    assert_int_equal(published(f, "doc-1"), 1);
    db_close(db);
}

static void test_staging_into_a_newer_schema_is_refused(void **state)
{
    fixture *f = *state;
    sqlite3 *db = open_host(f);
    db_run(db, "INSERT INTO ctrack_migration SELECT 99, name, applied_at FROM ctrack_migration");
    assert_status(try_stage(db, "doc-1", 1, &f->error), CTRACK_SCHEMA);
    assert_contains(f->error.message, "99");
    assert_int_equal(db_integer(db, "SELECT count(*) FROM ctrack_advance"), 0);
    db_close(db);
}

static void test_staging_where_a_table_is_missing_finds_damage(void **state)
{
    fixture *f = *state;
    ctrack_coordinate c = at("doc-1", 1);
    close_tracker(&f->tracker);
    sqlite3 *db = open_host(f);
    db_run(db, "DROP TABLE ctrack_advance");
    assert_status(try_stage(db, "doc-1", 1, &f->error), CTRACK_CORRUPT);
    assert_contains(f->error.message, "ctrack_advance");
    assert_status(ctrack_satisfied_in(db, NULL, &c, 1, NULL), CTRACK_CORRUPT);
    db_close(db);
}

/* ---------------------------------------------------------------- how durable it is */

static void assert_durability(sqlite3 *db, const char *sql, ctrack_durability expected)
{
    ctrack_durability durability = (ctrack_durability)99;
    db_run(db, sql);
    assert_status(ctrack_host_durability(db, &durability, NULL), CTRACK_OK);
    assert_int_equal(durability, expected);
}

static void test_durability_in_wal_mode_is_what_synchronous_says(void **state)
{
    fixture *f = *state;
    sqlite3 *db = open_host(f);
    assert_durability(db, "", CTRACK_DURABLE_FULL);
    assert_durability(db, "PRAGMA synchronous = NORMAL", CTRACK_DURABLE_NORMAL);
    assert_durability(db, "PRAGMA synchronous = EXTRA", CTRACK_DURABLE_FULL);
    assert_durability(db, "PRAGMA synchronous = OFF", CTRACK_DURABLE_NONE);
    assert_durability(db, "BEGIN IMMEDIATE", CTRACK_DURABLE_NONE);
    db_close(db);
}

static void test_durability_with_a_rollback_journal_depends_on_its_end(void **state)
{
    fixture *f = *state;
    close_tracker(&f->tracker);
    sqlite3 *db = open_host(f);
    assert_durability(db, "PRAGMA synchronous = FULL; PRAGMA journal_mode = DELETE", CTRACK_DURABLE_NORMAL);
    assert_durability(db, "PRAGMA synchronous = EXTRA", CTRACK_DURABLE_FULL);
    assert_durability(db, "PRAGMA synchronous = FULL; PRAGMA journal_mode = TRUNCATE", CTRACK_DURABLE_FULL);
    assert_durability(db, "PRAGMA journal_mode = PERSIST", CTRACK_DURABLE_FULL);
    assert_durability(db, "PRAGMA journal_mode = MEMORY", CTRACK_DURABLE_NONE);
    assert_durability(db, "PRAGMA journal_mode = OFF", CTRACK_DURABLE_NONE);
    db_close(db);
}

static void test_durability_is_that_of_the_database_that_has_our_tables(void **state)
{
    fixture *f = *state;
    char sql[400];
    sqlite3 *db = NULL;
    ctrack_durability durability = CTRACK_DURABLE_NONE;
    assert_int_equal(sqlite3_open(":memory:", &db), SQLITE_OK);
    assert_status(ctrack_host_durability(db, &durability, NULL), CTRACK_INVALID);
    assert_int_equal(durability, CTRACK_DURABLE_NONE);
    snprintf(sql, sizeof sql, "ATTACH '%s' AS there; PRAGMA there.synchronous = NORMAL", f->path);
    assert_durability(db, sql, CTRACK_DURABLE_NORMAL);
    assert_status(ctrack_host_durability(db, NULL, NULL), CTRACK_INVALID);
    db_close(db);
}

/* ---------------------------------------------------------------- what stays the host's */

typedef struct hooks {
    int commits, rollbacks, logs, changes;
} hooks;

static int on_commit(void *argument)
{
    ((hooks *)argument)->commits++;
    return 0;
}

static void on_rollback(void *argument)
{
    ((hooks *)argument)->rollbacks++;
}

static int on_log(void *argument, sqlite3 *db, const char *schema, int pages)
{
    (void)db;
    (void)schema;
    (void)pages;
    ((hooks *)argument)->logs++;
    return SQLITE_OK;
}

static void on_change(void *argument, int operation, const char *schema, const char *table, sqlite3_int64 row)
{
    (void)operation;
    (void)schema;
    (void)row;
    ((hooks *)argument)->changes += strcmp(table, "host") == 0;
}

static void test_hooks_of_the_host_run_as_before_and_stay(void **state)
{
    fixture *f = *state;
    sqlite3 *db = open_host(f);
    hooks seen = {0};
    sqlite3_commit_hook(db, on_commit, &seen);
    sqlite3_rollback_hook(db, on_rollback, &seen);
    sqlite3_wal_hook(db, on_log, &seen);
    sqlite3_update_hook(db, on_change, &seen);
    db_run(db, "BEGIN; INSERT INTO host VALUES (1, 'a')");
    stage(db, "doc-1", 1);
    assert_status(try_stage(db, "doc-1", -1, NULL), CTRACK_INVALID);
    ctrack_coordinate c = at("doc-1", 1);
    assert_status(ctrack_satisfied_in(db, NULL, &c, 1, NULL), CTRACK_OK);
    assert_int_equal(seen.commits + seen.rollbacks + seen.logs, 0);
    db_run(db, "COMMIT");
    assert_int_equal(seen.commits, 1);
    assert_int_equal(seen.logs, 1);
    db_run(db, "BEGIN");
    stage(db, "doc-1", 2);
    db_run(db, "ROLLBACK");
    assert_int_equal(seen.rollbacks, 1);
    stage(db, "doc-1", 3); /* a transaction of its own */
    assert_int_equal(seen.commits, 2);
    assert_int_equal(seen.changes, 1);
    /* Each call gives back the argument of the hook that it replaces. */
    assert_ptr_equal(sqlite3_commit_hook(db, NULL, NULL), &seen);
    assert_ptr_equal(sqlite3_rollback_hook(db, NULL, NULL), &seen);
    assert_ptr_equal(sqlite3_wal_hook(db, NULL, NULL), &seen);
    assert_ptr_equal(sqlite3_update_hook(db, NULL, NULL), &seen);
    db_close(db);
}

static int refuse(void *argument)
{
    (void)argument;
    return 1;
}

/* A commit hook that says no turns the COMMIT into a rollback; progress was visible to nobody. */
static void test_commit_that_the_host_refuses_publishes_nothing(void **state)
{
    fixture *f = *state;
    sqlite3 *db = open_host(f);
    ctrack_promise *promise = wait_for(f->tracker, "doc-1", 1);
    sqlite3_commit_hook(db, refuse, NULL);
    db_run(db, "BEGIN");
    stage(db, "doc-1", 1);
    assert_int_equal(sqlite3_exec(db, "COMMIT", NULL, NULL, NULL), SQLITE_CONSTRAINT);
    assert_int_equal(published(f, "doc-1"), NEVER_SEEN);
    assert_int_not_equal(try_stage(db, "doc-1", 1, NULL), CTRACK_OK); /* in autocommit it is the call that is refused */
    assert_int_equal(published(f, "doc-1"), NEVER_SEEN);
    assert_status(ctrack_promise_status(promise), CTRACK_PENDING);
    ctrack_promise_release(promise);
    db_close(db);
}

static void test_nothing_is_kept_on_the_connection(void **state)
{
    fixture *f = *state;
    sqlite3 *db = open_host(f);
    db_run(db, "PRAGMA foreign_keys = 1; PRAGMA wal_autocheckpoint = 7; INSERT INTO host VALUES (41, 'a')");
    stage(db, "doc-1", 1);
    assert_null(sqlite3_next_stmt(db, NULL));
    assert_int_equal(sqlite3_last_insert_rowid(db), 41);
    assert_int_equal(db_integer(db, "PRAGMA foreign_keys"), 1);
    assert_int_equal(db_integer(db, "PRAGMA wal_autocheckpoint"), 7);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

/* ---------------------------------------------------------------- journal modes */

static void test_opening_a_tracker_brings_the_hosts_file_to_wal(void **state)
{
    fixture *f = *state;
    sqlite3 *db = open_host(f);
    char *mode = db_text(db, "PRAGMA journal_mode");
    assert_string_equal(mode, "delete");
    free(mode);
    f->tracker = open_file(f->path);
    assert_int_equal(db_integer(db, "SELECT count(*) FROM host"), 0); /* the connection looks at the file again */
    mode = db_text(db, "PRAGMA journal_mode");
    assert_string_equal(mode, "wal");
    free(mode);
    db_close(db);
}

static void test_opening_a_tracker_is_busy_while_the_host_uses_a_rollback_journal(void **state)
{
    fixture *f = *state;
    ctrack_options options = CTRACK_OPTIONS_INIT;
    options.busy_timeout_ms = 0;
    sqlite3 *db = open_host(f);
    db_run(db, "BEGIN IMMEDIATE; INSERT INTO host VALUES (1, 'a')");
    assert_status(ctrack_open(f->path, &options, &f->tracker, &f->error), CTRACK_BUSY);
    db_run(db, "COMMIT");
    assert_status(ctrack_open(f->path, &options, &f->tracker, &f->error), CTRACK_OK);
    assert_int_equal(db_integer(db, "SELECT count(*) FROM host"), 1);
    db_close(db);
}

static void test_host_cannot_leave_wal_while_a_tracker_is_open(void **state)
{
    fixture *f = *state;
    sqlite3 *db = open_host(f);
    sqlite3_busy_timeout(db, 0);
    assert_int_equal(sqlite3_exec(db, "PRAGMA journal_mode = DELETE", NULL, NULL, NULL), SQLITE_BUSY);
    stage(db, "doc-1", 1);
    assert_int_equal(published(f, "doc-1"), 1);
    db_close(db);
}

/* Between two lives of a tracker the host may use another journal: staging does not depend on it. */
static void test_staging_goes_with_a_rollback_journal_too(void **state)
{
    fixture *f = *state;
    close_tracker(&f->tracker);
    sqlite3 *db = open_host(f);
    char *mode = db_text(db, "PRAGMA journal_mode = DELETE");
    assert_string_equal(mode, "delete");
    free(mode);
    db_run(db, "BEGIN");
    stage(db, "doc-1", 1);
    db_run(db, "COMMIT; BEGIN");
    stage(db, "doc-1", 2);
    db_run(db, "ROLLBACK");
    ctrack_options options = CTRACK_OPTIONS_INIT;
    options.read_only = true; /* leaves the journal as it is, and follows all the same */
    assert_status(ctrack_open(f->path, &options, &f->tracker, &f->error), CTRACK_OK);
    assert_int_equal(latest(f->tracker, "doc-1"), 1);
    ctrack_promise *promise = wait_for(f->tracker, "doc-1", 3);
    stage(db, "doc-1", 3);
    assert_status(ctrack_promise_await(promise), CTRACK_OK);
    ctrack_promise_release(promise);
    db_close(db);
    reopen(f);
    assert_int_equal(latest(f->tracker, "doc-1"), 3);
    assert_true(file_exists(f->path));
}

/* ---------------------------------------------------------------- the log */

/* A read model that only stages: its log is folded by whoever follows. */
static void test_log_of_staged_progress_is_folded(void **state)
{
    fixture *f = *state;
    enum { KEYS = 1000, BATCHES = 70 };
    static char names[KEYS][16];
    static ctrack_coordinate batch[KEYS];
    sqlite3 *db = open_host(f);
    sqlite3_busy_timeout(db, 60000); /* SQLite naps up to 0.1 s between two tries, and the fold goes on meanwhile */
    for (int64_t i = 0; i < BATCHES; i++) {
        for (int k = 0; k < KEYS; k++) {
            snprintf(names[k], sizeof names[k], "doc-%d", k);
            batch[k] = at(names[k], i);
        }
        assert_status(ctrack_stage(db, NULL, batch, KEYS, NULL), CTRACK_OK);
        assert_status(ctrack_refresh(f->tracker, NULL), CTRACK_OK);
    }
    ctrack_stats stats = {.size = sizeof stats};
    do { /* ends by the test's alarm if nobody folds */
        assert_status(ctrack_get_stats(f->tracker, &stats, NULL), CTRACK_OK);
    } while (stats.log_backlog >= KEYS * BATCHES);
    assert_true(db_integer(db, "SELECT folded_seq FROM ctrack_fold") > 0);
    assert_int_equal(latest(f->tracker, "doc-7"), BATCHES - 1);
    db_close(db);
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        TEST_ON_FILE(test_released_savepoint_keeps_what_was_staged_in_it),
        TEST_ON_FILE(test_rolled_back_savepoint_drops_what_was_staged_in_it_and_no_more),
        TEST_ON_FILE(test_outermost_savepoint_is_a_transaction),
        TEST_ON_FILE(test_savepoint_of_the_same_name_stays_the_hosts),
        TEST_ON_FILE(test_refused_staging_leaves_the_transaction_as_it_was),
        TEST_ON_FILE(test_each_staging_in_autocommit_is_a_transaction_of_its_own),
        TEST_ON_FILE(test_staging_from_an_old_snapshot_is_busy_and_the_transaction_lives),
        TEST_ON_FILE(test_staging_in_autocommit_waits_as_the_hosts_busy_handler_says),
        TEST_ON_FILE(test_staging_first_in_a_transaction_waits_as_the_hosts_busy_handler_says),
        TEST_ON_FILE(test_staging_first_in_a_savepoint_waits_as_the_hosts_busy_handler_says),
        TEST_ON_FILE(test_staging_into_an_attached_file_waits_as_the_hosts_busy_handler_says),
        TEST_ON_FILE(test_staging_beside_a_writer_after_reading_says_how_to_begin),
        TEST_ON_FILE(test_staging_nothing_takes_no_lock),
        TEST(test_staging_finds_tables_that_the_connection_has_not_heard_of),
        TEST_ON_FILE(test_staging_into_tables_that_are_gone_is_invalid),
        TEST(test_a_connection_of_another_copy_of_sqlite_is_invalid),
        TEST_ON_FILE(test_staging_beside_another_writer_is_busy),
        TEST_ON_FILE(test_update_is_busy_while_the_host_writes),
        TEST_ON_FILE(test_staging_on_a_connection_that_only_reads_is_refused),
        TEST_ON_FILE(test_staging_goes_with_a_statement_under_way),
        TEST_ON_FILE(test_main_is_preferred_to_an_attached_database),
        TEST_ON_FILE(test_the_first_attached_database_that_has_our_tables_is_used),
        TEST_ON_FILE(test_rows_in_main_and_progress_in_an_attached_database_roll_back_together),
        TEST_ON_FILE(test_temporary_tables_of_our_names_are_not_taken_for_ours),
        TEST(test_staging_before_the_schema_exists_says_what_to_do),
        TEST_ON_FILE(test_staging_into_a_newer_schema_is_refused),
        TEST_ON_FILE(test_staging_where_a_table_is_missing_finds_damage),
        TEST_ON_FILE(test_durability_in_wal_mode_is_what_synchronous_says),
        TEST_ON_FILE(test_durability_with_a_rollback_journal_depends_on_its_end),
        TEST_ON_FILE(test_durability_is_that_of_the_database_that_has_our_tables),
        TEST_ON_FILE(test_hooks_of_the_host_run_as_before_and_stay),
        TEST_ON_FILE(test_commit_that_the_host_refuses_publishes_nothing),
        TEST_ON_FILE(test_nothing_is_kept_on_the_connection),
        TEST(test_opening_a_tracker_brings_the_hosts_file_to_wal),
        TEST(test_opening_a_tracker_is_busy_while_the_host_uses_a_rollback_journal),
        TEST_ON_FILE(test_host_cannot_leave_wal_while_a_tracker_is_open),
        TEST_ON_FILE(test_staging_goes_with_a_rollback_journal_too),
        TEST_ON_FILE(test_log_of_staged_progress_is_folded),
    };
    return SUPPORT_MAIN(argc, argv, "host", tests, NULL);
}
