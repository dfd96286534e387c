/* SPDX-License-Identifier: MIT */
/* What a tracker reads when it opens a file, and when others have changed it, damaged or not. */
#include "support.h"

#include <sqlite3.h>

#include "interrupt.h"

/* Runs SQL on the tracker's file while it is closed, in a schema that `loosen` has changed for the time. */
static void spoil(fixture *f, const char *loosen, const char *sql)
{
    close_tracker(&f->tracker);
    db_run_once(f->path, "CREATE TABLE kept AS SELECT * FROM sqlite_schema WHERE tbl_name LIKE 'ctrack%'");
    struct sqlite3 *db = db_open(f->path);
    db_run(db, "PRAGMA writable_schema = 1");
    db_run(db, loosen);
    db_close(db);
    db = db_open(f->path);
    db_run(db, "PRAGMA ignore_check_constraints = 1");
    db_run(db, sql);
    db_close(db);
    db_run_once(f->path, "PRAGMA writable_schema = 1; DELETE FROM sqlite_schema WHERE tbl_name LIKE 'ctrack%'; "
                         "INSERT INTO sqlite_schema SELECT * FROM kept");
}

/* doc-1 and doc-2 are folded, as 1 and 2. */
static void make(fixture *f)
{
    const ctrack_coordinate folded[] = {at("doc-1", 5), at("doc-2", 6)};
    f->tracker = open_file(f->path);
    assert_status(ctrack_hydrate(f->tracker, folded, 2, NULL), CTRACK_OK);
}

#define LOG "INSERT INTO ctrack_advance (coordinate_id, keyspace_id, document_id, operation_index, updated_at) VALUES "
#define UNFOLD "DELETE FROM ctrack_latest WHERE coordinate_id = 1;"
#define LET_NULL(table, column) \
    "UPDATE sqlite_schema SET sql = replace(sql, '" column " NOT NULL', '" column "') WHERE name = '" table "'"

static void assert_damage(fixture *f, const char *loosen, const char *sql, const char *message)
{
    make(f);
    spoil(f, loosen, sql);
    assert_status(ctrack_open(f->path, NULL, &f->tracker, &f->error), CTRACK_CORRUPT);
    assert_contains(f->error.message, message);
}

static void test_progress_without_an_index_is_damage(void **state)
{
    assert_damage(*state, LET_NULL("ctrack_latest", "operation_index INTEGER"),
                  "UPDATE ctrack_latest SET operation_index = NULL", "no progress of coordinate 1");
}

static void test_progress_without_a_document_is_damage(void **state)
{
    assert_damage(*state, LET_NULL("ctrack_coordinate", "document_id TEXT"),
                  "UPDATE ctrack_coordinate SET document_id = NULL", "no progress of coordinate 1");
}

static void test_a_key_twice_in_the_dictionary_is_damage(void **state)
{
    assert_damage(*state,
                  "DELETE FROM sqlite_schema WHERE type = 'index' AND tbl_name = 'ctrack_coordinate'; UPDATE "
                  "sqlite_schema SET sql = replace(sql, 'UNIQUE', 'CHECK') WHERE name = 'ctrack_coordinate'; UPDATE "
                  "sqlite_schema SET sql = replace(sql, '(keyspace_id, document_id)', '(1)') "
                  "WHERE name = 'ctrack_coordinate'",
                  "UPDATE ctrack_coordinate SET document_id = 'doc-1'", "a key twice");
}

static void test_a_row_of_the_log_without_a_key_is_damage(void **state)
{
    assert_damage(*state, "", LOG "(NULL, NULL, NULL, 7, 1)", "no key in the log");
}

static void test_a_row_of_the_log_without_a_document_is_damage(void **state)
{
    assert_damage(*state, "", LOG "(NULL, 1, NULL, 7, 1)", "no key in the log");
}

static void test_a_row_of_the_log_with_an_id_below_1_is_damage(void **state)
{
    assert_damage(*state, "", LOG "(-1, NULL, NULL, 7, 1)", "out of range");
}

static void test_a_key_that_is_unfolded_and_not_utf_8_is_damage(void **state)
{
    assert_damage(*state, "",
                  UNFOLD LOG "(1, NULL, NULL, 7, 1);"
                             "UPDATE ctrack_coordinate SET document_id = CAST(x'FF' AS TEXT) WHERE id = 1",
                  "UTF-8");
}

static void test_a_key_of_which_nothing_is_folded_is_loaded(void **state)
{
    fixture *f = *state;
    make(f);
    spoil(f, "", UNFOLD LOG "(1, NULL, NULL, 7, 1)");
    f->tracker = open_file(f->path);
    assert_int_equal(latest(f->tracker, "doc-1"), 7);
    assert_int_equal(latest(f->tracker, "doc-2"), 6);
}

static void test_a_key_that_the_log_names_in_both_ways_is_loaded_once(void **state)
{
    fixture *f = *state;
    make(f);
    spoil(f, "", UNFOLD LOG "(NULL, 1, 'doc-1', 6, 1), (1, NULL, NULL, 7, 1)");
    f->tracker = open_file(f->path);
    assert_int_equal(latest(f->tracker, "doc-1"), 7);
    assert_int_equal(entry_count(f->tracker), 2);
}

static void open_lazy(fixture *f)
{
    ctrack_options options = CTRACK_OPTIONS_INIT;
    options.lazy = true;
    assert_status(ctrack_open(f->path, &options, &f->tracker, NULL), CTRACK_OK);
}

static void test_a_dictionary_that_cannot_be_read_fails_the_call_that_loads(void **state)
{
    fixture *f = *state;
    ctrack_stats stats = {.size = sizeof stats};
    make(f);
    spoil(f, "", UNFOLD LOG "(1, NULL, NULL, 7, 1)");
    open_lazy(f);
    interrupt(f->tracker, "SELECT keyspace_id, document_id");
    assert_status(ctrack_get_stats(f->tracker, &stats, NULL), CTRACK_IO);
    interrupt(f->tracker, NULL);
    assert_status(ctrack_get_stats(f->tracker, &stats, NULL), CTRACK_OK);
    close_tracker(&f->tracker);
    open_lazy(f);
    starve_of(f->tracker, CT_READ_COORDINATE);
    assert_status(ctrack_get_stats(f->tracker, &stats, NULL), CTRACK_IO);
}

/* ---------------------------------------------------------------- what others have done */

static void test_a_log_that_ends_before_what_was_seen_is_not_trusted(void **state)
{
    fixture *f = *state;
    update(f->tracker, "doc-1", 5);
    update(f->tracker, "doc-2", 6);
    db_run_once(f->path, "DELETE FROM ctrack_advance WHERE seq = 2");
    interrupt(f->tracker, "SELECT 0, c.id");
    assert_status(ctrack_refresh(f->tracker, NULL), CTRACK_IO);
    interrupt(f->tracker, NULL);
    assert_int_equal(latest(f->tracker, "doc-2"), 6);
    assert_status(ctrack_refresh(f->tracker, NULL), CTRACK_OK);
    assert_int_equal(latest(f->tracker, "doc-2"), NEVER_SEEN);
    assert_int_equal(latest(f->tracker, "doc-1"), 5);
}

static void test_damage_that_comes_while_a_wait_is_pending_ends_it(void **state)
{
    fixture *f = *state;
    update(f->tracker, "doc-1", 5);
    ctrack_promise *promise = wait_for(f->tracker, "doc-1", 9);
    struct sqlite3 *db = db_open(f->path);
    db_run(db, "PRAGMA ignore_check_constraints = 1");
    db_run(db, LOG "(-1, NULL, NULL, 7, 1)");
    db_close(db);
    assert_status(ctrack_promise_await(promise), CTRACK_CORRUPT);
    ctrack_promise_release(promise);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        TEST(test_progress_without_an_index_is_damage),
        TEST(test_progress_without_a_document_is_damage),
        TEST(test_a_key_twice_in_the_dictionary_is_damage),
        TEST(test_a_row_of_the_log_without_a_key_is_damage),
        TEST(test_a_row_of_the_log_without_a_document_is_damage),
        TEST(test_a_row_of_the_log_with_an_id_below_1_is_damage),
        TEST(test_a_key_that_is_unfolded_and_not_utf_8_is_damage),
        TEST(test_a_key_of_which_nothing_is_folded_is_loaded),
        TEST(test_a_key_that_the_log_names_in_both_ways_is_loaded_once),
        TEST(test_a_dictionary_that_cannot_be_read_fails_the_call_that_loads),
        TEST_ON_FILE(test_a_log_that_ends_before_what_was_seen_is_not_trusted),
        TEST_ON_FILE(test_damage_that_comes_while_a_wait_is_pending_ends_it),
    };
    return SUPPORT_MAIN(argc, argv, "load", tests, NULL);
}
