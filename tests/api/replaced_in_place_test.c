/* SPDX-License-Identifier: MIT */
/*
 * Another state is put into the place of the file's content while trackers have it open, as SQLite's backup API
 * (".restore") does: the inode, its name and the locks stay. What a tracker says is what the file says; what it writes is
 * stored under the key that was meant; a schema that is not ours for a while is over when it is put right again.
 */
#include "support.h"

#include <sqlite3.h>
#include <stdio.h>

/* Copies a database into another one, which others may have open. */
static void copy_into(const char *from, const char *to)
{
    struct sqlite3 *source = db_open(from), *target = db_open(to);
    sqlite3_busy_timeout(target, 5000);
    sqlite3_backup *backup = sqlite3_backup_init(target, "main", source, "main");
    assert_non_null(backup);
    assert_int_equal(sqlite3_backup_step(backup, -1), SQLITE_DONE);
    assert_int_equal(sqlite3_backup_finish(backup), SQLITE_OK);
    db_close(target);
    db_close(source);
}

/* The present state, to be put into the file's place later. */
static void keep(const fixture *f, const char *name)
{
    char path[300];
    copy_into(f->path, path_in(f, name, path));
}

static void put_back(const fixture *f, const char *name)
{
    char path[300];
    copy_into(path_in(f, name, path), f->path);
}

static void look(fixture *f)
{
    assert_status(ctrack_refresh(f->tracker, &f->error), CTRACK_OK);
}

/* All progress that the file has, as text. */
static void assert_file_says(const fixture *f, const char *expected)
{
    struct sqlite3 *db = db_open(f->path);
    char *text = db_text(db, "SELECT group_concat(line, ' ') FROM (SELECT printf('%s:%s:%s=%d', document_id, scope, "
                             "branch, operation_index) AS line FROM ctrack_progress ORDER BY line)");
    assert_string_equal(text, expected);
    free(text);
    db_close(db);
}

/* 50 is kept, then 90 reached. */
static void reach_50_and_90(fixture *f)
{
    update(f->tracker, "doc-1", 50);
    keep(f, "backup.db");
    update(f->tracker, "doc-1", 90);
}

/* ---------------------------------------------------------------- an older state */

static void test_an_older_state_is_seen_by_refresh(void **state)
{
    fixture *f = *state;
    ctrack_coordinate wanted = at("doc-1", 60);
    reach_50_and_90(f);
    put_back(f, "backup.db");
    look(f);
    assert_int_equal(latest(f->tracker, "doc-1"), 50);
    assert_status(ctrack_wait(f->tracker, &wanted, 1, 0, NULL, &f->error), CTRACK_TIMED_OUT);
}

static void test_an_update_above_an_older_state_is_stored(void **state)
{
    fixture *f = *state;
    reach_50_and_90(f);
    put_back(f, "backup.db");
    update(f->tracker, "doc-1", 61);
    assert_int_equal(latest(f->tracker, "doc-1"), 61);
    assert_file_says(f, "doc-1:document:main=61");
}

static void test_an_older_state_that_has_grown_as_long_is_seen(void **state)
{
    fixture *f = *state;
    reach_50_and_90(f);
    put_back(f, "backup.db");
    for (int64_t index = 1; index <= 3; index++) {
        ctrack *other = open_file(f->path);
        update(other, "doc-2", index);
        close_tracker(&other);
        look(f);
        assert_int_equal(latest(f->tracker, "doc-1"), 50);
        assert_int_equal(latest(f->tracker, "doc-2"), index);
    }
}

static void test_every_tracker_sees_an_older_state(void **state)
{
    fixture *f = *state;
    ctrack *other = open_file(f->path), *lazy = NULL, *idle = NULL;
    ctrack_options options = CTRACK_OPTIONS_INIT;
    options.lazy = true;
    reach_50_and_90(f);
    assert_status(ctrack_open(f->path, &options, &lazy, &f->error), CTRACK_OK);
    assert_status(ctrack_open(f->path, &options, &idle, &f->error), CTRACK_OK);
    assert_int_equal(entry_count(lazy), 1); /* so it is loaded */
    assert_int_equal(latest(idle, "doc-1"), 90);
    put_back(f, "backup.db");
    assert_int_equal(latest(idle, "doc-1"), 50);
    update(other, "doc-1", 60);
    assert_status(ctrack_refresh(lazy, &f->error), CTRACK_OK);
    look(f);
    assert_int_equal(latest(lazy, "doc-1"), 60);
    assert_int_equal(latest(f->tracker, "doc-1"), 60);
    close_tracker(&idle);
    close_tracker(&lazy);
    close_tracker(&other);
}

/* By the tracker itself, while a wait pends; what had been reached of it is missing again. */
static void test_waits_are_judged_by_an_older_state(void **state)
{
    fixture *f = *state;
    ctrack_coordinate both[] = {at("doc-1", 70), at("doc-2", 1)};
    reach_50_and_90(f);
    ctrack_promise *promise = wait_for_all(f->tracker, both, 2), *told = wait_for(f->tracker, "doc-3", 1);
    put_back(f, "backup.db");
    db_run_once(f->path, "INSERT INTO ctrack_progress (read_model, document_id, scope, branch, operation_index) VALUES "
                         "('default', 'doc-2', 'document', 'main', 1), ('default', 'doc-3', 'document', 'main', 1)");
    assert_status(ctrack_promise_await(told), CTRACK_OK);
    assert_status(ctrack_promise_status(promise), CTRACK_PENDING);
    assert_int_equal(latest(f->tracker, "doc-1"), 50);
    db_run_once(f->path, "INSERT INTO ctrack_progress (read_model, document_id, scope, branch, operation_index) VALUES "
                         "('default', 'doc-1', 'document', 'main', 70)");
    assert_status(ctrack_promise_await(promise), CTRACK_OK);
    ctrack_promise_release(promise);
    ctrack_promise_release(told);
}

static void test_a_later_state_ends_waits(void **state)
{
    fixture *f = *state;
    reach_50_and_90(f);
    keep(f, "later.db");
    put_back(f, "backup.db");
    look(f);
    ctrack_promise *promise = wait_for(f->tracker, "doc-1", 80);
    put_back(f, "later.db");
    assert_status(ctrack_promise_await(promise), CTRACK_OK);
    ctrack_promise_release(promise);
}

static void test_what_a_host_has_staged_goes_with_an_older_state(void **state)
{
    fixture *f = *state;
    struct sqlite3 *host = db_open(f->path);
    ctrack_coordinate staged = at("doc-1", 70);
    reach_50_and_90(f);
    staged.operation_index = 95;
    assert_status(ctrack_stage(host, NULL, &staged, 1, &f->error), CTRACK_OK);
    look(f);
    assert_int_equal(latest(f->tracker, "doc-1"), 95);
    put_back(f, "backup.db");
    staged.operation_index = 70;
    assert_status(ctrack_satisfied_in(host, NULL, &staged, 1, &f->error), CTRACK_PENDING);
    assert_status(ctrack_stage(host, NULL, &staged, 1, &f->error), CTRACK_OK);
    look(f);
    assert_int_equal(latest(f->tracker, "doc-1"), 70);
    db_close(host);
}

/* ---------------------------------------------------------------- another tracker's file */

/* Another tracker's file, in which the same ids stand for other keys: keyspace 1, and once it is folded coordinate 1. */
static void make_other(const fixture *f, const ctrack_coordinate *entry, bool folded)
{
    char path[300];
    ctrack_error error;
    ctrack *other = open_file(path_in(f, "other.db", path));
    assert_status(folded ? ctrack_hydrate(other, entry, 1, &error) : ctrack_update(other, entry, 1, &error), CTRACK_OK);
    close_tracker(&other);
}

static void test_ids_of_keyspaces_stand_for_what_another_file_says(void **state)
{
    fixture *f = *state;
    ctrack_coordinate own = coordinate("A", "s", "b", 5), others = coordinate("A", "x", "y", 7);
    make_other(f, &others, false);
    assert_status(ctrack_update(f->tracker, &own, 1, &f->error), CTRACK_OK);
    put_back(f, "other.db");
    own.operation_index = 6;
    assert_status(ctrack_update(f->tracker, &own, 1, &f->error), CTRACK_OK);
    assert_file_says(f, "A:s:b=6 A:x:y=7");
    assert_int_equal(entry_count(f->tracker), 2);
}

static void test_ids_of_keys_stand_for_what_another_file_says(void **state)
{
    fixture *f = *state;
    ctrack_coordinate own = at("doc-1", 5), others = at("doc-2", 5);
    make_other(f, &others, true);
    assert_status(ctrack_hydrate(f->tracker, &own, 1, &f->error), CTRACK_OK);
    reopen(f); /* so it knows the id of doc-1 */
    put_back(f, "other.db");
    update(f->tracker, "doc-1", 6);
    assert_file_says(f, "doc-1:document:main=6 doc-2:document:main=5");
}

static void test_keys_are_forgotten_as_another_file_has_them(void **state)
{
    fixture *f = *state;
    ctrack_coordinate others = coordinate("A", "x", "y", 7);
    ctrack_key gone = {"A", "x", "y"};
    make_other(f, &others, false);
    update(f->tracker, "doc-1", 1);
    put_back(f, "other.db");
    assert_status(ctrack_forget(f->tracker, &gone, 1, &f->error), CTRACK_OK);
    assert_file_says(f, "");
    assert_int_equal(entry_count(f->tracker), 0);
}

/* The log's last rows are the same but for the text of the key; so are all numbers. */
static void test_another_log_is_told_by_the_text_of_its_last_row(void **state)
{
    fixture *f = *state;
    char path[300];
    static const char *const rows[] = {
        "INSERT INTO ctrack_keyspace VALUES (1, 'default', 'document', 'main');"
        "INSERT INTO ctrack_advance (seq, keyspace_id, document_id, operation_index, updated_at) VALUES (1, 1, "
        "'doc-1', 5, 0)",
        "INSERT INTO ctrack_keyspace VALUES (1, 'default', 'document', 'main');"
        "INSERT INTO ctrack_advance (seq, keyspace_id, document_id, operation_index, updated_at) VALUES (1, 1, "
        "'doc-2', 5, 0)",
    };
    ctrack *other = open_file(path_in(f, "other.db", path));
    close_tracker(&other);
    db_run_once(f->path, rows[0]);
    db_run_once(path, rows[1]);
    look(f);
    assert_int_equal(latest(f->tracker, "doc-1"), 5);
    put_back(f, "other.db");
    look(f);
    assert_int_equal(latest(f->tracker, "doc-1"), NEVER_SEEN);
    assert_int_equal(latest(f->tracker, "doc-2"), 5);
}

static void test_an_empty_log_is_not_taken_for_another_empty_log(void **state)
{
    fixture *f = *state;
    char path[300];
    ctrack *memory = open_in_memory();
    update(memory, "doc-1", 5);
    assert_status(ctrack_export(memory, f->path, CTRACK_EXPORT_NEW, NULL, NULL, &f->error), CTRACK_OK);
    update(memory, "doc-1", 6);
    assert_status(ctrack_export(memory, path_in(f, "other.db", path), CTRACK_EXPORT_NEW, NULL, NULL, &f->error),
                  CTRACK_OK);
    close_tracker(&memory);
    f->tracker = open_file(f->path);
    put_back(f, "other.db");
    look(f);
    assert_int_equal(latest(f->tracker, "doc-1"), 6);
}

/* ---------------------------------------------------------------- no tracker's file */

static void put_nothing_back(const fixture *f)
{
    char path[300];
    db_run_once(path_in(f, "empty.db", path), "CREATE TABLE hosts (a); PRAGMA journal_mode = WAL");
    put_back(f, "empty.db");
}

static void test_a_database_without_our_tables_is_refused_until_they_are_back(void **state)
{
    fixture *f = *state;
    ctrack_coordinate next = at("doc-1", 91);
    reach_50_and_90(f);
    ctrack_promise *promise = wait_for(f->tracker, "doc-1", 91);
    put_nothing_back(f);
    assert_status(ctrack_update(f->tracker, &next, 1, &f->error), CTRACK_CORRUPT);
    assert_contains(f->error.message, "the ctrack tables are gone");
    assert_status(ctrack_refresh(f->tracker, &f->error), CTRACK_CORRUPT);
    assert_status(ctrack_promise_status(promise), CTRACK_PENDING);
    put_back(f, "backup.db");
    look(f);
    assert_int_equal(latest(f->tracker, "doc-1"), 50);
    update(f->tracker, "doc-1", 91);
    assert_status(ctrack_promise_status(promise), CTRACK_OK);
    ctrack_promise_release(promise);
}

static void test_an_older_schema_is_refused_until_it_is_brought_up(void **state)
{
    fixture *f = *state;
    ctrack_coordinate next = at("doc-1", 6);
    update(f->tracker, "doc-1", 5);
    db_run_once(f->path,
                "DELETE FROM ctrack_migration; INSERT INTO ctrack_migration VALUES (2, 'later', 0), (1, 'x', 0);"
                "CREATE TABLE ctrack_later (a)");
    assert_status(ctrack_update(f->tracker, &next, 1, &f->error), CTRACK_SCHEMA);
    db_run_once(f->path, "DELETE FROM ctrack_migration WHERE version = 2; DROP TABLE ctrack_later");
    update(f->tracker, "doc-1", 6);
}

static void test_a_lazy_tracker_refuses_a_database_without_our_tables(void **state)
{
    fixture *f = *state;
    ctrack_options options = CTRACK_OPTIONS_INIT;
    ctrack_key wanted = key("doc-1");
    int64_t index = 0;
    reach_50_and_90(f);
    close_tracker(&f->tracker);
    options.lazy = true;
    assert_status(ctrack_open(f->path, &options, &f->tracker, &f->error), CTRACK_OK);
    put_nothing_back(f);
    assert_status(ctrack_get_latest(f->tracker, &wanted, &index), CTRACK_CORRUPT);
    put_back(f, "backup.db");
    assert_int_equal(latest(f->tracker, "doc-1"), 50);
}

/* ---------------------------------------------------------------- a schema that is altered for a moment */

/* Something is done to the schema while a wait pends, and undone when the follower has met it. */
static void alter_for_a_moment(fixture *f, const char *alter, const char *undo)
{
    ctrack_coordinate next = at("doc-1", 6);
    update(f->tracker, "doc-1", 5);
    ctrack_promise *promise = wait_for(f->tracker, "doc-1", 7);
    db_run_once(f->path, alter);
    assert_status(ctrack_update(f->tracker, &next, 1, &f->error), CTRACK_CORRUPT);
    assert_status(ctrack_refresh(f->tracker, &f->error), CTRACK_CORRUPT);
    db_run_once(f->path, undo);
    assert_status(ctrack_promise_status(promise), CTRACK_PENDING);
    db_run_once(f->path, "INSERT INTO ctrack_progress (read_model, document_id, scope, branch, operation_index) VALUES "
                         "('default', 'doc-1', 'document', 'main', 7)");
    assert_status(ctrack_promise_await(promise), CTRACK_OK);
    update(f->tracker, "doc-1", 8);
    ctrack_promise_release(promise);
}

static void test_a_trigger_on_our_table_is_over_when_it_is_dropped(void **state)
{
    alter_for_a_moment(*state, "CREATE TRIGGER spy AFTER INSERT ON ctrack_advance BEGIN SELECT 1; END",
                       "DROP TRIGGER spy");
}

static void test_a_table_that_is_away_is_over_when_it_is_back(void **state)
{
    alter_for_a_moment(*state, "ALTER TABLE ctrack_advance RENAME TO away",
                       "ALTER TABLE away RENAME TO ctrack_advance");
}

/* Quotes are the same as none around our own names only. */
static void test_a_column_in_quotes_is_an_altered_table(void **state)
{
    alter_for_a_moment(*state,
                       "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = replace(sql, ' id INTEGER', "
                       "' \"id\" INTEGER') WHERE name = 'ctrack_keyspace'; PRAGMA schema_version = 1001",
                       "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = replace(sql, ' \"id\" INTEGER', "
                       "' id INTEGER') WHERE name = 'ctrack_keyspace'; PRAGMA schema_version = 1002");
}

/* Longer than the grace; but a new wait looks again. */
static void test_a_schema_that_stays_altered_ends_waits_until_it_is_put_right(void **state)
{
    fixture *f = *state;
    ctrack_coordinate next = at("doc-1", 6);
    update(f->tracker, "doc-1", 5);
    ctrack_promise *promise = wait_for(f->tracker, "doc-1", 6);
    db_run_once(f->path, "CREATE TRIGGER spy AFTER INSERT ON ctrack_advance BEGIN SELECT 1; END");
    assert_status(ctrack_promise_await(promise), CTRACK_CORRUPT);
    assert_status(ctrack_wait(f->tracker, &next, 1, CTRACK_FOREVER, NULL, &f->error), CTRACK_CORRUPT);
    assert_contains(f->error.message, "spy");
    db_run_once(f->path, "DROP TRIGGER spy");
    ctrack_promise *again = wait_for(f->tracker, "doc-1", 6);
    assert_status(ctrack_promise_status(again), CTRACK_PENDING);
    update(f->tracker, "doc-1", 6);
    assert_status(ctrack_promise_status(again), CTRACK_OK);
    ctrack_promise_release(promise);
    ctrack_promise_release(again);
}

static void test_a_hosts_own_changes_of_its_tables_are_nothing_to_us(void **state)
{
    fixture *f = *state;
    update(f->tracker, "doc-1", 5);
    ctrack_promise *promise = wait_for(f->tracker, "doc-1", 6);
    db_run_once(f->path, "CREATE TABLE hosts (a); VACUUM; ALTER TABLE hosts ADD COLUMN b");
    look(f);
    assert_int_equal(latest(f->tracker, "doc-1"), 5);
    update(f->tracker, "doc-1", 6);
    assert_status(ctrack_promise_status(promise), CTRACK_OK);
    ctrack_promise_release(promise);
    assert_file_says(f, "doc-1:document:main=6");
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        TEST_ON_FILE(test_an_older_state_is_seen_by_refresh),
        TEST_ON_FILE(test_an_update_above_an_older_state_is_stored),
        TEST_ON_FILE(test_an_older_state_that_has_grown_as_long_is_seen),
        TEST_ON_FILE(test_every_tracker_sees_an_older_state),
        TEST_ON_FILE(test_waits_are_judged_by_an_older_state),
        TEST_ON_FILE(test_a_later_state_ends_waits),
        TEST_ON_FILE(test_what_a_host_has_staged_goes_with_an_older_state),
        TEST_ON_FILE(test_ids_of_keyspaces_stand_for_what_another_file_says),
        TEST_ON_FILE(test_ids_of_keys_stand_for_what_another_file_says),
        TEST_ON_FILE(test_keys_are_forgotten_as_another_file_has_them),
        TEST_ON_FILE(test_another_log_is_told_by_the_text_of_its_last_row),
        TEST(test_an_empty_log_is_not_taken_for_another_empty_log),
        TEST_ON_FILE(test_a_database_without_our_tables_is_refused_until_they_are_back),
        TEST_ON_FILE(test_an_older_schema_is_refused_until_it_is_brought_up),
        TEST_ON_FILE(test_a_lazy_tracker_refuses_a_database_without_our_tables),
        TEST_ON_FILE(test_a_trigger_on_our_table_is_over_when_it_is_dropped),
        TEST_ON_FILE(test_a_table_that_is_away_is_over_when_it_is_back),
        TEST_ON_FILE(test_a_column_in_quotes_is_an_altered_table),
        TEST_ON_FILE(test_a_schema_that_stays_altered_ends_waits_until_it_is_put_right),
        TEST_ON_FILE(test_a_hosts_own_changes_of_its_tables_are_nothing_to_us),
    };
    return SUPPORT_MAIN(argc, argv, "replaced_in_place", tests, NULL);
}
