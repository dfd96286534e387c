/* SPDX-License-Identifier: MIT */
/* Who folds: the logs stay short, whoever writes. */
#include "support.h"

#include <sqlite3.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

/* Without a tracker, how many rows are not folded, and how many there are. */
static int64_t backlog(const fixture *f)
{
    return db_integer_once(f->path, "SELECT (SELECT max(seq) FROM ctrack_advance) - folded_seq FROM ctrack_fold");
}

static ctrack_stats stats_of(ctrack *tracker)
{
    ctrack_stats stats = {.size = sizeof stats};
    assert_status(ctrack_get_stats(tracker, &stats, NULL), CTRACK_OK);
    return stats;
}

enum { KEYS = 1000, ROUNDS = 20, LONG = 8192, PIECE = 2048 };

/* All keys, brought to an index. */
static const ctrack_coordinate *all_keys(int64_t index)
{
    static ctrack_coordinate keys[KEYS];
    static char names[KEYS][16];
    for (int i = 0; i < KEYS; i++) {
        snprintf(names[i], sizeof names[i], "doc-%d", i);
        keys[i] = at(names[i], index);
    }
    return keys;
}

static void assert_all_keys(fixture *f, int64_t index)
{
    assert_status(ctrack_check(f->path, -1, NULL, NULL, NULL, &f->error), CTRACK_OK);
    ctrack *tracker = open_file(f->path);
    assert_int_equal(entry_count(tracker), KEYS);
    assert_int_equal(latest(tracker, "doc-0"), index);
    assert_int_equal(latest(tracker, "doc-999"), index);
    close_tracker(&tracker);
}

/* ---------------------------------------------------------------- staging */

static void test_staging_folds_a_long_log(void **state)
{
    fixture *f = *state;
    close_tracker(&f->tracker);
    sqlite3 *db = db_open(f->path);
    for (int64_t i = 0; i < ROUNDS; i++) {
        assert_status(ctrack_stage(db, NULL, all_keys(i), KEYS, &f->error), CTRACK_OK);
    }
    db_close(db);
    assert_in_range(backlog(f), 1, LONG + 64);
    assert_all_keys(f, ROUNDS - 1);
}

static void test_what_staging_folds_is_rolled_back_with_it(void **state)
{
    fixture *f = *state;
    close_tracker(&f->tracker);
    sqlite3 *db = db_open(f->path);
    db_run(db, "BEGIN");
    for (int64_t i = 0; i < ROUNDS; i++) {
        assert_status(ctrack_stage(db, NULL, all_keys(i), KEYS, NULL), CTRACK_OK);
    }
    db_run(db, "ROLLBACK");
    assert_int_equal(db_integer(db, "SELECT folded_seq FROM ctrack_fold"), 0);
    db_close(db);
}

/* The host has limited its connection, and the log has what that cannot read. */
static void test_staging_leaves_to_others_what_it_cannot_fold(void **state)
{
    fixture *f = *state;
    char *name = repeated('n', 5000);
    update(f->tracker, name, 1);
    free(name);
    close_tracker(&f->tracker);
    sqlite3 *db = db_open(f->path);
    sqlite3_limit(db, SQLITE_LIMIT_LENGTH, 4000);
    for (int64_t i = 0; i < ROUNDS; i++) {
        assert_status(ctrack_stage(db, NULL, all_keys(i), KEYS, &f->error), CTRACK_OK);
    }
    assert_int_equal(db_integer(db, "SELECT folded_seq FROM ctrack_fold"), 0);
    db_close(db);
    f->tracker = open_file(f->path);
    close_tracker(&f->tracker);
    assert_true(backlog(f) < LONG * 2);
}

/* ---------------------------------------------------------------- the view */

#define MANY_ROWS(verb, rows) \
    "WITH RECURSIVE c (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM c WHERE i < " rows " - 1) " verb \
    " INTO ctrack_progress (read_model, document_id, scope, branch, operation_index) " \
    "SELECT 'default', 'doc-' || (i % 1000), 'document', 'main', i / 1000 FROM c"

static void test_insertions_into_the_view_fold_a_long_log(void **state)
{
    static const char *const inserts[] = {MANY_ROWS("INSERT", "20000"), MANY_ROWS("INSERT OR REPLACE", "20000"),
                                          MANY_ROWS("INSERT OR IGNORE", "20000")};
    fixture *f = *state;
    close_tracker(&f->tracker);
    for (size_t i = 0; i < sizeof inserts / sizeof inserts[0]; i++) {
        sqlite3 *db = db_open(f->path);
        db_run(db, "PRAGMA foreign_keys = ON; PRAGMA recursive_triggers = ON; CREATE TABLE IF NOT EXISTS host (id "
                   "INTEGER PRIMARY KEY); INSERT OR REPLACE INTO host VALUES (77)");
        db_run(db, inserts[i]);
        assert_int_equal(db_integer(db, "SELECT last_insert_rowid()"), 77);
        assert_int_equal(db_integer(db, "SELECT max(operation_index) FROM ctrack_progress"), 19);
        db_close(db);
        assert_in_range(backlog(f), 1, LONG + 64);
    }
    assert_all_keys(f, 19);
}

static void test_insertions_into_the_view_trim_the_log(void **state)
{
    fixture *f = *state;
    close_tracker(&f->tracker);
    db_run_once(f->path, MANY_ROWS("INSERT", "90000"));
    assert_in_range(db_integer_once(f->path, "SELECT count(*) FROM ctrack_advance"), 65536, 65536 + LONG + 256);
    assert_all_keys(f, 89);
}

/* ---------------------------------------------------------------- trackers that write nothing */

/* What short-lived writers of older versions have left. */
static void leave_long_log(fixture *f)
{
    db_run_once(f->path, "INSERT INTO ctrack_keyspace VALUES (1, 'default', 'document', 'main')");
    db_run_once(f->path, "WITH RECURSIVE c (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM c WHERE i < 99999) INSERT INTO "
                         "ctrack_advance (keyspace_id, document_id, operation_index, updated_at) "
                         "SELECT 1, 'doc-' || (i % 1000), i / 1000, 0 FROM c");
}

/* Looks every few milliseconds, for what a thread of the tracker is going to do; fails after half a minute. */
static void await_fold(ctrack *tracker)
{
    int64_t until = now_ns() + INT64_C(30000000000);
    while (stats_of(tracker).log_backlog > LONG) {
        assert_true(now_ns() < until);
        nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    }
}

static void test_a_refresh_that_finds_a_long_log_has_it_folded(void **state)
{
    fixture *f = *state;
    close_tracker(&f->tracker);
    leave_long_log(f);
    f->tracker = open_file(f->path);
    assert_status(ctrack_refresh(f->tracker, NULL), CTRACK_OK); /* there is no news */
    await_fold(f->tracker);
    assert_all_keys(f, 99);
}

static void test_a_tracker_that_only_refreshes_folds(void **state)
{
    fixture *f = *state;
    leave_long_log(f);
    assert_status(ctrack_refresh(f->tracker, NULL), CTRACK_OK);
    await_fold(f->tracker);
    assert_all_keys(f, 99);
}

static void test_a_tracker_that_only_follows_folds(void **state)
{
    fixture *f = *state;
    ctrack_options options = CTRACK_OPTIONS_INIT;
    options.follow = true;
    ctrack *follower;
    assert_status(ctrack_open(f->path, &options, &follower, NULL), CTRACK_OK);
    close_tracker(&f->tracker);
    leave_long_log(f);
    assert_status(ctrack_wait(follower, (ctrack_coordinate[]){at("doc-999", 99)}, 1, 30000, NULL, NULL), CTRACK_OK);
    await_fold(follower);
    close_tracker(&follower);
    assert_all_keys(f, 99);
}

/* ---------------------------------------------------------------- the write-ahead log */

/* A host that writes `megabytes` into ten rows of its own, and does as the header says. */
static void write_as_host(fixture *f, int megabytes)
{
    sqlite3 *db = db_open(f->path);
    db_run(db, "PRAGMA wal_autocheckpoint = 0; PRAGMA synchronous = OFF; "
               "CREATE TABLE IF NOT EXISTS host (id INTEGER PRIMARY KEY, text BLOB)");
    for (int i = 0; i < megabytes; i++) {
        char sql[100];
        ctrack_coordinate staged = at("doc-1", i);
        snprintf(sql, sizeof sql, "BEGIN; INSERT OR REPLACE INTO host VALUES (%d, zeroblob(1000000))", i % 10);
        db_run(db, sql);
        assert_status(ctrack_stage(db, NULL, &staged, 1, NULL), CTRACK_OK);
        db_run(db, "COMMIT");
        assert_status(ctrack_refresh(f->tracker, NULL), CTRACK_OK);
    }
    db_close(db);
}

enum { MIB = 1024 * 1024 };

static void test_a_tracker_that_refreshes_moves_what_a_host_has_written(void **state)
{
    fixture *f = *state;
    write_as_host(f, 120);
    assert_in_range(stats_of(f->tracker).wal_bytes, 1, 48 * MIB);
}

static void test_the_pages_of_the_log_are_counted_whoever_has_written_them(void **state)
{
    fixture *f = *state;
    write_as_host(f, 3);
    ctrack_stats stats = stats_of(f->tracker);
    assert_in_range(stats.wal_pages, 3 * MIB / stats.page_bytes * 9 / 10, stats.wal_bytes / (uint64_t)stats.page_bytes);
}

/* Reads in the log for ever. */
static int read_on(const char *path)
{
    sqlite3 *db = db_open(path);
    db_run(db, "BEGIN");
    db_integer(db, "SELECT count(*) FROM ctrack_latest");
    write_fully(STDOUT_FILENO, "r", 1);
    pause();
    return 1;
}

static int run_child(const char *mode, const char *argument)
{
    return strcmp(mode, "read") == 0 ? read_on(argument) : 1;
}

static void test_the_space_of_a_log_that_a_reader_made_long_is_given_back(void **state)
{
    fixture *f = *state;
    char said;
    child reader = child_start("read", f->path);
    assert_true(read_fully(reader.output, &said, 1));
    write_as_host(f, 100);
    assert_true(stats_of(f->tracker).wal_bytes > 90 * MIB);
    child_kill(&reader);
    int64_t until = now_ns() + INT64_C(60000000000);
    while (stats_of(f->tracker).wal_bytes > 64 * MIB) { /* nobody writes; a thread of the tracker looks now and then */
        assert_true(now_ns() < until);
        nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    }
    assert_in_range(stats_of(f->tracker).wal_bytes, 0, 2 * MIB);
    update(f->tracker, "doc-1", 1000);
}

/* ---------------------------------------------------------------- ctrack_fold() */

typedef struct watched {
    uint64_t done, total;
    int calls, most; /* ends it after so many */
    bool falls;
} watched;

static int watch(uint64_t done, uint64_t total, void *argument)
{
    watched *w = argument;
    w->falls = w->falls || done < w->done || done > total;
    w->done = done;
    w->total = total;
    return ++w->calls == w->most;
}

static void test_fold_folds_all_there_is_and_gives_space_back(void **state)
{
    fixture *f = *state;
    watched w = {.most = -1};
    ctrack *other = open_model(f->path, "other");
    for (int64_t i = 0; i < 10; i++) {
        assert_status(ctrack_update(f->tracker, all_keys(i), KEYS, NULL), CTRACK_OK);
        assert_status(ctrack_update(other, all_keys(i), KEYS, NULL), CTRACK_OK);
    }
    assert_status(ctrack_fold(f->tracker, watch, &w, &f->error), CTRACK_OK);
    assert_false(w.falls);
    assert_int_equal(w.done, w.total);
    assert_int_equal(stats_of(f->tracker).log_backlog, 0);
    assert_in_range(stats_of(f->tracker).wal_bytes, 0, 65536);
    assert_int_equal(backlog(f), 0);
    assert_int_equal(latest(other, "doc-999"), 9);
    close_tracker(&other);
    assert_all_keys(f, 9);
}

static void test_fold_without_anything_to_fold_is_fine(void **state)
{
    fixture *f = *state;
    assert_status(ctrack_fold(f->tracker, NULL, NULL, &f->error), CTRACK_OK);
    assert_status(ctrack_fold(f->tracker, NULL, NULL, &f->error), CTRACK_OK);
    update(f->tracker, "doc-1", 1);
}

static void test_fold_is_ended_by_its_callback_and_goes_on_later(void **state)
{
    fixture *f = *state;
    watched w = {.most = 2};
    for (int64_t i = 0; i < 20; i++) {
        assert_status(ctrack_update(f->tracker, all_keys(i), KEYS, NULL), CTRACK_OK);
    }
    assert_status(ctrack_fold(f->tracker, watch, &w, &f->error), CTRACK_ABORTED);
    assert_int_equal(w.calls, 2);
    assert_status(ctrack_fold(f->tracker, NULL, NULL, &f->error), CTRACK_OK);
    assert_all_keys(f, 19);
}

static void test_fold_folds_after_a_host_has_changed_its_tables(void **state)
{
    fixture *f = *state;
    update(f->tracker, "doc-0", 1);
    db_run_once(f->path, "CREATE TABLE host (a)"); /* which the tracker has not seen */
    assert_status(ctrack_fold(f->tracker, NULL, NULL, &f->error), CTRACK_OK);
    assert_int_equal(backlog(f), 0);
}

static void test_fold_loads_a_lazy_tracker(void **state)
{
    fixture *f = *state;
    assert_status(ctrack_update(f->tracker, all_keys(3), KEYS, NULL), CTRACK_OK);
    close_tracker(&f->tracker);
    ctrack_options options = CTRACK_OPTIONS_INIT;
    options.lazy = true;
    assert_status(ctrack_open(f->path, &options, &f->tracker, NULL), CTRACK_OK);
    assert_status(ctrack_fold(f->tracker, NULL, NULL, &f->error), CTRACK_OK);
    assert_all_keys(f, 3);
}

static void test_fold_of_a_tracker_for_reading_is_refused(void **state)
{
    fixture *f = *state;
    ctrack_options options = CTRACK_OPTIONS_INIT;
    options.read_only = true;
    ctrack *reader;
    assert_status(ctrack_open(f->path, &options, &reader, NULL), CTRACK_OK);
    assert_status(ctrack_fold(reader, NULL, NULL, &f->error), CTRACK_READ_ONLY);
    close_tracker(&reader);
}

static void test_fold_in_memory_does_nothing(void **state)
{
    fixture *f = *state;
    update(f->tracker, "doc-1", 1);
    assert_status(ctrack_fold(f->tracker, NULL, NULL, &f->error), CTRACK_OK);
    assert_status(ctrack_fold(NULL, NULL, NULL, &f->error), CTRACK_INVALID);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        TEST_ON_FILE(test_staging_folds_a_long_log),
        TEST_ON_FILE(test_what_staging_folds_is_rolled_back_with_it),
        TEST_ON_FILE(test_staging_leaves_to_others_what_it_cannot_fold),
        TEST_ON_FILE(test_insertions_into_the_view_fold_a_long_log),
        TEST_ON_FILE(test_insertions_into_the_view_trim_the_log),
        TEST_ON_FILE(test_a_refresh_that_finds_a_long_log_has_it_folded),
        TEST_ON_FILE(test_a_tracker_that_only_refreshes_folds),
        TEST_ON_FILE(test_a_tracker_that_only_follows_folds),
        TEST_ON_FILE(test_a_tracker_that_refreshes_moves_what_a_host_has_written),
        TEST_ON_FILE(test_the_pages_of_the_log_are_counted_whoever_has_written_them),
        TEST_ON_FILE(test_the_space_of_a_log_that_a_reader_made_long_is_given_back),
        TEST_ON_FILE(test_fold_folds_all_there_is_and_gives_space_back),
        TEST_ON_FILE(test_fold_without_anything_to_fold_is_fine),
        TEST_ON_FILE(test_fold_is_ended_by_its_callback_and_goes_on_later),
        TEST_ON_FILE(test_fold_folds_after_a_host_has_changed_its_tables),
        TEST_ON_FILE(test_fold_loads_a_lazy_tracker),
        TEST_ON_FILE(test_fold_of_a_tracker_for_reading_is_refused),
        TEST_IN_MEMORY(test_fold_in_memory_does_nothing),
    };
    return SUPPORT_MAIN(argc, argv, "fold", tests, run_child);
}
