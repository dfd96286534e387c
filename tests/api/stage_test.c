/* SPDX-License-Identifier: MIT */
/* Progress in the caller's own transaction, and commits of other connections: staged, looked at, followed. */
#include "support.h"

#include <sqlite3.h>
#include <stdio.h>
#include <unistd.h>

static void stage(sqlite3 *db, const char *document, int64_t index)
{
    ctrack_coordinate c = at(document, index);
    assert_status(ctrack_stage(db, NULL, &c, 1, NULL), CTRACK_OK);
}

static ctrack_status satisfied(sqlite3 *db, const char *document, int64_t index)
{
    ctrack_coordinate c = at(document, index);
    return ctrack_satisfied_in(db, NULL, &c, 1, NULL);
}

/* ---------------------------------------------------------------- staging */

static void test_staged_progress_is_seen_after_commit_and_refresh(void **state)
{
    fixture *f = *state;
    sqlite3 *db = db_open(f->path);
    db_run(db, "BEGIN");
    stage(db, "doc-1", 7);
    assert_int_equal(latest(f->tracker, "doc-1"), NEVER_SEEN);
    db_run(db, "COMMIT");
    assert_status(ctrack_refresh(f->tracker, NULL), CTRACK_OK);
    assert_int_equal(latest(f->tracker, "doc-1"), 7);
    db_close(db);
}

static void test_rolled_back_staging_leaves_nothing(void **state)
{
    fixture *f = *state;
    sqlite3 *db = db_open(f->path);
    db_run(db, "BEGIN");
    stage(db, "doc-1", 7);
    db_run(db, "ROLLBACK");
    assert_status(ctrack_refresh(f->tracker, NULL), CTRACK_OK);
    assert_int_equal(latest(f->tracker, "doc-1"), NEVER_SEEN);
    db_close(db);
}

static void test_staging_commits_with_the_rows_that_it_belongs_to(void **state)
{
    fixture *f = *state;
    sqlite3 *db = db_open(f->path);
    db_run(db, "CREATE TABLE host (id INTEGER PRIMARY KEY)");
    db_run(db, "BEGIN; INSERT INTO host VALUES (41); SAVEPOINT inner_one; INSERT INTO host VALUES (42)");
    stage(db, "doc-1", 42);
    assert_int_equal(sqlite3_last_insert_rowid(db), 42);
    db_run(db, "ROLLBACK TO inner_one");
    stage(db, "doc-1", 41);
    db_run(db, "COMMIT");
    assert_status(ctrack_refresh(f->tracker, NULL), CTRACK_OK);
    assert_int_equal(latest(f->tracker, "doc-1"), 41);
    db_close(db);
}

static void test_staging_works_in_an_attached_database(void **state)
{
    fixture *f = *state;
    char sql[400];
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(":memory:", &db), SQLITE_OK);
    snprintf(sql, sizeof sql, "ATTACH '%s' AS progress", f->path);
    db_run(db, sql);
    stage(db, "doc-1", 3);
    assert_status(satisfied(db, "doc-1", 3), CTRACK_OK);
    sqlite3_close(db);
    assert_status(ctrack_refresh(f->tracker, NULL), CTRACK_OK);
    assert_int_equal(latest(f->tracker, "doc-1"), 3);
}

static void test_staging_refuses_a_bad_coordinate_and_writes_none(void **state)
{
    fixture *f = *state;
    ctrack_error error;
    ctrack_coordinate batch[] = {at("doc-1", 1), at("doc-2", -1), at("doc-3", 1)};
    sqlite3 *db = db_open(f->path);
    assert_status(ctrack_stage(db, NULL, batch, 3, &error), CTRACK_INVALID);
    assert_contains(error.message, "coordinates[1]");
    assert_status(satisfied(db, "doc-1", 0), CTRACK_PENDING);
    db_close(db);
}

static void test_staging_refuses_a_database_without_our_tables(void **state)
{
    (void)state;
    ctrack_coordinate c = at("doc-1", 1);
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(":memory:", &db), SQLITE_OK);
    assert_status(ctrack_stage(db, NULL, &c, 1, NULL), CTRACK_INVALID);
    sqlite3_close(db);
}

static void test_staging_refuses_a_temporary_trigger_on_our_tables(void **state)
{
    fixture *f = *state;
    ctrack_coordinate c = at("doc-1", 1);
    sqlite3 *db = db_open(f->path);
    db_run(db, "CREATE TEMP TRIGGER swallow BEFORE INSERT ON main.ctrack_advance BEGIN SELECT raise(IGNORE); END");
    assert_status(ctrack_stage(db, NULL, &c, 1, NULL), CTRACK_CORRUPT);
    db_close(db);
}

static void test_staging_refuses_null(void **state)
{
    fixture *f = *state;
    ctrack_coordinate c = at("doc-1", 1);
    ctrack_error error;
    sqlite3 *db = db_open(f->path);
    assert_status(ctrack_stage(db, NULL, NULL, 1, &error), CTRACK_INVALID);
    assert_contains(error.message, "coordinates is NULL");
    assert_status(ctrack_stage(NULL, NULL, &c, 1, &error), CTRACK_INVALID);
    assert_contains(error.message, "db is NULL");
    db_close(db);
}

/* A progress handler that interrupts all that comes after so many steps. */
static int interrupt_after(void *steps)
{
    int *left = steps;
    return (*left)-- <= 0;
}

static void test_staging_that_is_interrupted_leaves_all_or_nothing(void **state)
{
    fixture *f = *state;
    ctrack_status status = CTRACK_IO;
    sqlite3 *db = db_open(f->path);
    for (int steps = 1; status != CTRACK_OK; steps++) {
        ctrack_coordinate batch[] = {at("doc-1", steps), at("doc-2", steps)};
        int left = steps;
        db_run(db, "BEGIN");
        sqlite3_progress_handler(db, 1, interrupt_after, &left);
        status = ctrack_stage(db, NULL, batch, 2, NULL);
        sqlite3_progress_handler(db, 0, NULL, NULL);
        assert_true(status == CTRACK_OK || status == CTRACK_IO);
        if (!sqlite3_get_autocommit(db)) {
            db_run(db, "COMMIT");
        }
        ctrack_status expected = status == CTRACK_OK ? CTRACK_OK : CTRACK_PENDING;
        assert_status(satisfied(db, "doc-1", steps), expected);
        assert_status(satisfied(db, "doc-2", steps), expected);
    }
    db_close(db);
}

static void test_a_question_that_is_interrupted_leaves_no_transaction(void **state)
{
    fixture *f = *state;
    ctrack_status status = CTRACK_IO;
    sqlite3 *db = db_open(f->path);
    stage(db, "doc-1", 1);
    for (int steps = 1; status != CTRACK_OK; steps++) {
        int left = steps;
        sqlite3_progress_handler(db, 1, interrupt_after, &left);
        status = satisfied(db, "doc-1", 1);
        sqlite3_progress_handler(db, 0, NULL, NULL);
        assert_true(status == CTRACK_OK || status == CTRACK_IO);
        assert_true(sqlite3_get_autocommit(db));
        assert_int_equal(sqlite3_txn_state(db, "main"), SQLITE_TXN_NONE);
    }
    db_close(db);
}

static void test_staging_works_where_changes_are_counted(void **state)
{
    fixture *f = *state;
    ctrack_coordinate batch[] = {at("doc-1", 1), at("doc-2", 2)};
    sqlite3 *db = db_open(f->path);
    db_run(db, "PRAGMA count_changes = 1");
    assert_status(ctrack_stage(db, NULL, batch, 2, NULL), CTRACK_OK);
    assert_status(satisfied(db, "doc-1", 1), CTRACK_OK);
    assert_status(satisfied(db, "doc-2", 2), CTRACK_OK);
    db_close(db);
}

/* SQLite itself rolls the whole transaction back when there is no room. */
static void test_staging_that_finds_no_room_leaves_nothing(void **state)
{
    fixture *f = *state;
    char sql[100], *longest = repeated('a', CTRACK_TEXT_MAX);
    ctrack_coordinate batch[] = {at("doc-1", 1), at(longest, 1)};
    sqlite3 *db = db_open(f->path);
    snprintf(sql, sizeof sql, "PRAGMA max_page_count = %lld", (long long)db_integer(db, "PRAGMA page_count"));
    db_run(db, sql);
    db_run(db, "BEGIN");
    assert_status(ctrack_stage(db, NULL, batch, 2, NULL), CTRACK_FULL);
    assert_true(sqlite3_get_autocommit(db));
    assert_status(satisfied(db, "doc-1", 0), CTRACK_PENDING);
    db_close(db);
    free(longest);
}

static void check_too_long(sqlite3 *db, const ctrack_coordinate *c, const char *what)
{
    ctrack_error error;
    ctrack_coordinate batch[] = {at("doc-1", 1), *c, at("doc-2", 1)};
    assert_status(ctrack_stage(db, NULL, batch, 2, &error), CTRACK_INVALID);
    assert_contains(error.message, what);
    assert_contains(error.message, "SQLITE_LIMIT_LENGTH is 20000");
    assert_status(ctrack_satisfied_in(db, NULL, batch + 1, 2, &error), CTRACK_INVALID);
    assert_contains(error.message, what);
    assert_status(satisfied(db, "doc-1", 1), CTRACK_PENDING);
}

static void test_a_text_that_the_connection_does_not_take_is_named(void **state)
{
    fixture *f = *state;
    update(f->tracker, "doc-0", 1);
    sqlite3 *db = db_open(f->path);
    int whole = sqlite3_limit(db, SQLITE_LIMIT_LENGTH, 20000);
    char *texts[] = {repeated('a', 20001), repeated('a', 20000), repeated('a', 10000)};
    ctrack_coordinate document = at(texts[0], 1), row = at(texts[1], 1);
    ctrack_coordinate scope = coordinate("doc", texts[0], "main", 1), both = coordinate("doc", texts[2], texts[2], 1);
    check_too_long(db, &document, "a document id of 20001 bytes is too long");
    check_too_long(db, &row, "a document id of 20000 bytes is too long");
    check_too_long(db, &scope, "a read model's name with scope and branch of 20012 bytes is too long");
    check_too_long(db, &both, "a read model's name with scope and branch of 20007 bytes is too long");
    sqlite3_limit(db, SQLITE_LIMIT_LENGTH, whole);
    assert_status(ctrack_stage(db, NULL, &both, 1, NULL), CTRACK_OK);
    db_close(db);
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        free(texts[i]);
    }
}

/* Whatever is let through, SQLite takes. */
static void test_the_longest_text_that_the_connection_takes_is_staged(void **state)
{
    fixture *f = *state;
    sqlite3 *db = db_open(f->path);
    sqlite3_limit(db, SQLITE_LIMIT_LENGTH, 20000);
    char *document = repeated('a', 20000 - 64), *scope = repeated('b', 20000 - 64 - 7 - 4);
    ctrack_coordinate c = coordinate(document, scope, "main", INT64_MAX);
    assert_status(ctrack_stage(db, NULL, &c, 1, &f->error), CTRACK_OK);
    assert_status(ctrack_satisfied_in(db, NULL, &c, 1, &f->error), CTRACK_OK);
    db_close(db);
    free(document);
    free(scope);
}

static int refuse_commit(void *argument)
{
    (void)argument;
    return 1;
}

/* The savepoint is the whole transaction; that it ends is a commit, even where there is nothing left to be committed. */
static void test_staging_that_fails_and_cannot_end_its_savepoint_leaves_nothing(void **state)
{
    fixture *f = *state;
    char *longer = repeated('a', 30000);
    ctrack_coordinate batch[] = {at("doc-1", 1), at(longer, 1)};
    sqlite3 *db = db_open(f->path);
    sqlite3_commit_hook(db, refuse_commit, NULL);
    int length = sqlite3_limit(db, SQLITE_LIMIT_LENGTH, 20000);
    assert_int_not_equal(ctrack_stage(db, NULL, batch, 2, NULL), CTRACK_OK);
    sqlite3_limit(db, SQLITE_LIMIT_LENGTH, length);
    assert_true(sqlite3_get_autocommit(db));
    assert_status(satisfied(db, "doc-1", 0), CTRACK_PENDING);
    db_close(db);
    free(longer);
}

/* ---------------------------------------------------------------- asking */

static void test_satisfied_in_sees_exactly_its_own_transaction(void **state)
{
    fixture *f = *state;
    update(f->tracker, "doc-1", 5);
    sqlite3 *db = db_open(f->path);
    db_run(db, "BEGIN");
    assert_status(satisfied(db, "doc-1", 5), CTRACK_OK);
    update(f->tracker, "doc-1", 6);
    assert_status(satisfied(db, "doc-1", 6), CTRACK_PENDING);
    db_run(db, "COMMIT");
    assert_status(satisfied(db, "doc-1", 6), CTRACK_OK);
    db_close(db);
}

static void test_satisfied_in_knows_what_is_folded(void **state)
{
    fixture *f = *state;
    update(f->tracker, "doc-1", 5);
    update(f->tracker, "doc-2", 1);
    ctrack_key other = key("doc-2");
    assert_status(ctrack_forget(f->tracker, &other, 1, NULL), CTRACK_OK); /* folds everything */
    sqlite3 *db = db_open(f->path);
    assert_status(satisfied(db, "doc-1", 5), CTRACK_OK);
    assert_status(satisfied(db, "doc-1", 6), CTRACK_PENDING);
    assert_status(satisfied(db, "doc-2", 0), CTRACK_PENDING);
    db_close(db);
}

/* ---------------------------------------------------------------- following */

static void test_wait_wakes_for_a_commit_of_another_connection(void **state)
{
    fixture *f = *state;
    ctrack_promise *promise = wait_for(f->tracker, "doc-1", 9);
    sqlite3 *db = db_open(f->path);
    stage(db, "doc-1", 9);
    assert_status(ctrack_promise_await(promise), CTRACK_OK);
    assert_int_equal(latest(f->tracker, "doc-1"), 9);
    ctrack_promise_release(promise);
    db_close(db);
}

static void test_wait_wakes_for_an_insert_into_the_view(void **state)
{
    fixture *f = *state;
    ctrack_promise *promise = wait_for(f->tracker, "doc-1", 9);
    sqlite3 *db = db_open(f->path);
    db_run(db, "INSERT INTO ctrack_progress (read_model, document_id, scope, branch, operation_index) "
               "VALUES ('default', 'doc-1', 'document', 'main', 10)");
    assert_status(ctrack_promise_await(promise), CTRACK_OK);
    ctrack_promise_release(promise);
    db_close(db);
}

static void test_wait_finds_what_was_committed_before_it_began(void **state)
{
    fixture *f = *state;
    sqlite3 *db = db_open(f->path);
    stage(db, "doc-1", 9);
    db_close(db);
    ctrack_promise *promise = wait_for(f->tracker, "doc-1", 9);
    assert_status(ctrack_promise_await(promise), CTRACK_OK);
    ctrack_promise_release(promise);
}

static void test_waits_end_with_the_cause_when_the_file_is_removed(void **state)
{
    fixture *f = *state;
    ctrack_error error;
    ctrack_coordinate c = at("doc-1", 1);
    ctrack_promise *promise = wait_for(f->tracker, "doc-1", 1);
    assert_int_equal(unlink(f->path), 0);
    assert_status(ctrack_promise_await(promise), CTRACK_IO);
    assert_status(ctrack_promise_explain(promise, &error), CTRACK_IO);
    assert_contains(error.message, "is gone");
    assert_status(ctrack_update(f->tracker, &c, 1, NULL), CTRACK_IO);
    ctrack_promise_release(promise);
}

static void test_failure_settles_waits_with_its_message_until_resumed(void **state)
{
    fixture *f = *state;
    ctrack_error error;
    ctrack_coordinate c = at("doc-1", 1);
    ctrack_promise *promise = wait_for(f->tracker, "doc-1", 1);
    assert_status(ctrack_fail(f->tracker, "cannot apply operation 1", NULL), CTRACK_OK);
    assert_status(ctrack_promise_await(promise), CTRACK_FAILED);
    assert_status(ctrack_wait(f->tracker, &c, 1, CTRACK_FOREVER, NULL, &error), CTRACK_FAILED);
    assert_contains(error.message, "cannot apply operation 1");
    assert_status(ctrack_resume(f->tracker, NULL), CTRACK_OK);
    assert_status(ctrack_wait(f->tracker, &c, 1, 0, NULL, NULL), CTRACK_TIMED_OUT);
    ctrack_promise_release(promise);
}

static void test_staging_refuses_a_read_model_that_is_no_text(void **state)
{
    fixture *f = *state;
    ctrack_coordinate c = at("doc-1", 7);
    char *longer = repeated('a', CTRACK_TEXT_MAX + 1);
    sqlite3 *db = db_open(f->path);
    assert_status(ctrack_stage(db, "\xFF", &c, 1, NULL), CTRACK_INVALID);
    assert_status(ctrack_stage(db, longer, &c, 1, NULL), CTRACK_INVALID);
    assert_status(ctrack_satisfied_in(db, "\xFF", &c, 1, NULL), CTRACK_INVALID);
    free(longer);
    db_close(db);
}

static void test_staging_nothing_does_nothing(void **state)
{
    fixture *f = *state;
    sqlite3 *db = db_open(f->path);
    assert_status(ctrack_stage(db, NULL, NULL, 0, NULL), CTRACK_OK);
    assert_status(ctrack_satisfied_in(db, NULL, NULL, 0, NULL), CTRACK_OK);
    assert_int_equal(db_integer(db, "SELECT count(*) FROM ctrack_advance"), 0);
    db_close(db);
}

static void test_staging_refuses_an_older_schema(void **state)
{
    fixture *f = *state;
    ctrack_coordinate c = at("doc-1", 7);
    ctrack_error error;
    sqlite3 *db = db_open(f->path);
    db_run(db, "UPDATE ctrack_migration SET version = 0");
    assert_status(ctrack_stage(db, NULL, &c, 1, &error), CTRACK_SCHEMA);
    assert_contains(error.message, "open a tracker on it once");
    db_run(db, "UPDATE ctrack_migration SET version = 1");
    db_close(db);
}

/* Keys of one and of several keyspaces, folded and in the log, by their ids and by their texts. */
static void test_satisfied_in_answers_for_many_keys_at_once(void **state)
{
    fixture *f = *state;
    const ctrack_coordinate progress[] = {at("a", 3), at("b", 4), coordinate("a", "document", "other", 5),
                                          coordinate("a", "global", "main", 6)};
    assert_status(ctrack_hydrate(f->tracker, progress, 4, NULL), CTRACK_OK);
    reopen(f); /* the tracker knows the keys' ids now, and names them so in the log */
    update(f->tracker, "a", 10);
    ctrack_coordinate wanted[] = {at("a", 10), at("b", 4), coordinate("a", "document", "other", 5),
                                  coordinate("a", "global", "main", 6)};
    ctrack_error error;
    sqlite3 *db = db_open(f->path);
    assert_status(ctrack_satisfied_in(db, NULL, wanted, 4, &error), CTRACK_OK);
    wanted[1].operation_index = wanted[3].operation_index = 7;
    assert_status(ctrack_satisfied_in(db, NULL, wanted, 4, &error), CTRACK_PENDING);
    assert_contains(error.message, "2 of 4 coordinates missing: b:document:main needs 7, and more");
    stage(db, "b", 8);
    stage(db, "c", 8);
    assert_status(ctrack_satisfied_in(db, NULL, wanted, 4, &error), CTRACK_PENDING);
    assert_contains(error.message, "1 of 4 coordinates missing: a:global:main needs 7");
    const ctrack_coordinate nowhere = coordinate("b", "nowhere", "main", 0);
    assert_status(ctrack_satisfied_in(db, NULL, &nowhere, 1, &error), CTRACK_PENDING);
    db_close(db);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_ON_FILE(test_staged_progress_is_seen_after_commit_and_refresh),
        TEST_ON_FILE(test_rolled_back_staging_leaves_nothing),
        TEST_ON_FILE(test_staging_commits_with_the_rows_that_it_belongs_to),
        TEST_ON_FILE(test_staging_works_in_an_attached_database),
        TEST_ON_FILE(test_staging_refuses_a_bad_coordinate_and_writes_none),
        TEST_ON_FILE(test_staging_refuses_a_database_without_our_tables),
        TEST_ON_FILE(test_staging_refuses_a_temporary_trigger_on_our_tables),
        TEST_ON_FILE(test_staging_refuses_null),
        TEST_ON_FILE(test_staging_that_is_interrupted_leaves_all_or_nothing),
        TEST_ON_FILE(test_a_question_that_is_interrupted_leaves_no_transaction),
        TEST_ON_FILE(test_staging_works_where_changes_are_counted),
        TEST_ON_FILE(test_staging_that_finds_no_room_leaves_nothing),
        TEST_ON_FILE(test_a_text_that_the_connection_does_not_take_is_named),
        TEST_ON_FILE(test_the_longest_text_that_the_connection_takes_is_staged),
        TEST_ON_FILE(test_staging_that_fails_and_cannot_end_its_savepoint_leaves_nothing),
        TEST_ON_FILE(test_satisfied_in_sees_exactly_its_own_transaction),
        TEST_ON_FILE(test_satisfied_in_knows_what_is_folded),
        TEST_ON_FILE(test_wait_wakes_for_a_commit_of_another_connection),
        TEST_ON_FILE(test_wait_wakes_for_an_insert_into_the_view),
        TEST_ON_FILE(test_wait_finds_what_was_committed_before_it_began),
        TEST_ON_FILE(test_waits_end_with_the_cause_when_the_file_is_removed),
        TEST_BOTH(test_failure_settles_waits_with_its_message_until_resumed),
        TEST_ON_FILE(test_staging_refuses_a_read_model_that_is_no_text),
        TEST_ON_FILE(test_staging_nothing_does_nothing),
        TEST_ON_FILE(test_staging_refuses_an_older_schema),
        TEST_ON_FILE(test_satisfied_in_answers_for_many_keys_at_once),
    };
    return cmocka_run_group_tests_name("stage", tests, NULL, NULL);
}
