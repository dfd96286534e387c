/* SPDX-License-Identifier: MIT */
/* What a file holds: ctrack_read_models(), ctrack_schema(), and the sizes in ctrack_stats. */
#include <stdio.h>
#include <sys/stat.h>

#include "support.h"

#include <sqlite3.h>

static ctrack_read_model_list *list_of(fixture *f)
{
    ctrack_read_model_list *list = NULL;
    assert_status(ctrack_read_models(f->tracker, &list, &f->error), CTRACK_OK);
    return list;
}

static void assert_model(const ctrack_read_model_list *list, size_t position, const char *name, uint64_t keys)
{
    const ctrack_read_model_info *info = ctrack_read_model_list_at(list, position);
    assert_non_null(info);
    assert_string_equal(info->name, name);
    assert_int_equal(info->keys, keys);
}

static void test_in_memory_there_is_one_read_model(void **state)
{
    fixture *f = *state;
    update(f->tracker, "a", 1);
    ctrack_read_model_list *list = list_of(f);
    assert_int_equal(ctrack_read_model_list_count(list), 1);
    assert_model(list, 0, "default", 1);
    assert_int_equal(ctrack_read_model_list_at(list, 0)->updated_at, -1);
    assert_null(ctrack_read_model_list_at(list, 1));
    ctrack_read_model_list_free(list);
    ctrack_read_model_list_free(NULL);
}

static void test_every_read_model_of_the_file_is_listed_by_name(void **state)
{
    fixture *f = *state;
    ctrack *search = open_model(f->path, "search"), *accounts = open_model(f->path, "accounts");
    update(search, "a", 1);
    update(search, "a", 2);
    update(search, "b", 2);
    update(accounts, "c", 1);
    close_tracker(&search);
    close_tracker(&accounts);
    ctrack_read_model_list *list = list_of(f);
    assert_int_equal(ctrack_read_model_list_count(list), 2); /* the default one has never reported */
    assert_model(list, 0, "accounts", 1);
    assert_model(list, 1, "search", 2);
    ctrack_read_model_list_free(list);
}

static void test_a_key_counts_once_whether_it_is_folded_or_not(void **state)
{
    fixture *f = *state;
    update_very_often(f->tracker);
    update(f->tracker, "doc-0", 1000000);
    update(f->tracker, "another", 1);
    ctrack_read_model_list *list = list_of(f);
    assert_model(list, 0, "default", OFTEN_KEYS + 1);
    ctrack_read_model_list_free(list);
}

static void test_the_last_change_is_the_latest_advance(void **state)
{
    fixture *f = *state;
    update(f->tracker, "a", 1);
    update(f->tracker, "b", 1);
    db_run_once(f->path, "UPDATE ctrack_advance SET updated_at = 1000 * seq");
    ctrack_read_model_list *list = list_of(f);
    assert_int_equal(ctrack_read_model_list_at(list, 0)->updated_at, 2000);
    ctrack_read_model_list_free(list);
}

static void test_a_report_that_raises_nothing_is_no_change(void **state)
{
    fixture *f = *state;
    update(f->tracker, "gone", 1);
    update(f->tracker, "a", 5);
    ctrack_key gone = key("gone");
    assert_status(ctrack_forget(f->tracker, &gone, 1, &f->error), CTRACK_OK); /* folds everything */
    db_run_once(f->path, "UPDATE ctrack_latest SET updated_at = 3000");
    for (int64_t index = 4; index <= 6; index++) {
        char insert[200];
        snprintf(insert, sizeof insert,
                 "INSERT INTO ctrack_advance (keyspace_id, document_id, operation_index, updated_at) "
                 "VALUES (1, 'a', %d, %d000)",
                 (int)index, 100 + (int)index);
        db_run_once(f->path, insert);
        ctrack_read_model_list *list = list_of(f);
        assert_model(list, 0, "default", 1);
        assert_int_equal(ctrack_read_model_list_at(list, 0)->updated_at, index == 6 ? 106000 : 3000);
        ctrack_read_model_list_free(list);
    }
}

static void test_a_read_model_that_forgot_everything_is_listed_without_keys(void **state)
{
    fixture *f = *state;
    update(f->tracker, "a", 1);
    ctrack_key forgotten = key("a");
    assert_status(ctrack_forget(f->tracker, &forgotten, 1, &f->error), CTRACK_OK);
    ctrack_read_model_list *list = list_of(f);
    assert_int_equal(ctrack_read_model_list_count(list), 1);
    assert_model(list, 0, "default", 0);
    assert_int_equal(ctrack_read_model_list_at(list, 0)->updated_at, -1);
    ctrack_read_model_list_free(list);
}

/* ---------------------------------------------------------------- the schema */

static void test_the_schema_of_a_tracker_file_is_the_newest(void **state)
{
    fixture *f = *state;
    int version = -1, newest = -1;
    assert_status(ctrack_schema(f->path, 0, &version, &newest, &f->error), CTRACK_OK);
    assert_int_equal(version, newest);
    assert_int_equal(db_integer_once(f->path, "SELECT max(version) FROM ctrack_migration"), newest);
}

static void test_the_schema_of_a_database_without_ours_is_0_and_stays_so(void **state)
{
    fixture *f = *state;
    int version = -1, newest = -1;
    db_run_once(f->path, "CREATE TABLE theirs (x)");
    assert_status(ctrack_schema(f->path, 0, &version, &newest, &f->error), CTRACK_OK);
    assert_int_equal(version, 0);
    assert_true(newest >= 1);
    assert_int_equal(db_integer_once(f->path, "SELECT count(*) FROM sqlite_schema"), 1);
}

static void test_a_schema_that_cannot_be_told_is_an_error(void **state)
{
    fixture *f = *state;
    int version = -1, newest = -1;
    assert_status(ctrack_schema(f->path, 0, &version, &newest, &f->error), CTRACK_IO);
    assert_false(file_exists(f->path));
    assert_status(ctrack_schema(NULL, 0, &version, &newest, &f->error), CTRACK_INVALID);
    assert_status(ctrack_schema(":memory:", 0, &version, &newest, &f->error), CTRACK_INVALID);
    write_file(f->path, "this is no database, whatever its name says", 43);
    assert_status(ctrack_schema(f->path, 0, &version, &newest, &f->error), CTRACK_CORRUPT);
    assert_int_equal(version, -1);
    assert_int_equal(newest, -1);
}

static void test_a_schema_that_is_newer_or_altered_is_an_error(void **state)
{
    fixture *f = *state;
    int version = -1, newest = -1;
    close_tracker(&f->tracker);
    db_run_once(f->path, "CREATE TRIGGER theirs AFTER INSERT ON ctrack_advance BEGIN SELECT 1; END");
    assert_status(ctrack_schema(f->path, 0, &version, &newest, &f->error), CTRACK_CORRUPT);
    db_run_once(f->path, "INSERT INTO ctrack_migration VALUES (1000, '1000_later', 0)");
    assert_status(ctrack_schema(f->path, 0, &version, &newest, &f->error), CTRACK_SCHEMA);
    assert_int_equal(version, -1);
}

static void test_the_schema_waits_for_a_lock_as_long_as_it_is_told(void **state)
{
    fixture *f = *state;
    int version = -1, newest = -1;
    db_run_once(f->path, "CREATE TABLE theirs (x)"); /* not in WAL mode, where a reader is locked out */
    struct sqlite3 *db = db_open(f->path);
    db_run(db, "BEGIN EXCLUSIVE");
    int64_t begin = now_ns();
    assert_status(ctrack_schema(f->path, 300, &version, &newest, &f->error), CTRACK_BUSY);
    int64_t told = now_ns() - begin;
    assert_status(ctrack_schema(f->path, 0, &version, &newest, &f->error), CTRACK_BUSY);
    int64_t not_told = now_ns() - begin - told;
    assert_true(told >= INT64_C(300000000));
    assert_true(not_told < INT64_C(300000000) && told < INT64_C(2500000000)); /* the default would be 5 s */
    db_close(db);
}

/* ---------------------------------------------------------------- sizes */

static void test_stats_tell_sizes(void **state)
{
    fixture *f = *state;
    update(f->tracker, "a", 1);
    ctrack_stats stats = {.size = sizeof stats};
    assert_status(ctrack_get_stats(f->tracker, &stats, &f->error), CTRACK_OK);
    struct stat file;
    assert_int_equal(stat(f->path, &file), 0);
    assert_int_equal(stats.file_bytes, file.st_size);
    char wal[300];
    assert_int_equal(stat(path_in(f, "progress.db-wal", wal), &file), 0);
    assert_int_equal(stats.wal_bytes, file.st_size);
    assert_true(stats.wal_bytes > 0);
    assert_int_equal(stats.page_bytes, db_integer_once(f->path, "PRAGMA page_size"));
}

static void test_stats_in_memory_have_no_sizes(void **state)
{
    fixture *f = *state;
    ctrack_stats stats = {.size = sizeof stats, .file_bytes = 1, .wal_bytes = 1, .page_bytes = 1};
    assert_status(ctrack_get_stats(f->tracker, &stats, &f->error), CTRACK_OK);
    assert_int_equal(stats.file_bytes, 0);
    assert_int_equal(stats.wal_bytes, 0);
    assert_int_equal(stats.page_bytes, 0);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        TEST_IN_MEMORY(test_in_memory_there_is_one_read_model),
        TEST_ON_FILE(test_every_read_model_of_the_file_is_listed_by_name),
        TEST_ON_FILE(test_a_key_counts_once_whether_it_is_folded_or_not),
        TEST_ON_FILE(test_the_last_change_is_the_latest_advance),
        TEST_ON_FILE(test_a_report_that_raises_nothing_is_no_change),
        TEST_ON_FILE(test_a_read_model_that_forgot_everything_is_listed_without_keys),
        TEST_ON_FILE(test_the_schema_of_a_tracker_file_is_the_newest),
        TEST(test_the_schema_of_a_database_without_ours_is_0_and_stays_so),
        TEST(test_a_schema_that_cannot_be_told_is_an_error),
        TEST_ON_FILE(test_a_schema_that_is_newer_or_altered_is_an_error),
        TEST(test_the_schema_waits_for_a_lock_as_long_as_it_is_told),
        TEST_ON_FILE(test_stats_tell_sizes),
        TEST_IN_MEMORY(test_stats_in_memory_have_no_sizes),
    };
    return SUPPORT_MAIN(argc, argv, "models", tests, NULL);
}
