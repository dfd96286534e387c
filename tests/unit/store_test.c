/* SPDX-License-Identifier: MIT */
/* The file's connection: whom it distrusts; and where little is usual: no room, a refused commit, a sound engine, others'
 * checkpoints. */
#include "support.h"

#include <sqlite3.h>

#include "error.h"
#include "interrupt.h"

/* So many times a file with a log looks as if others were just opening it; meanwhile naps take no time. */
static int busy_guards;

ctrack_status __real_ct_identity_guard(ct_identity *identity, sqlite3 *db, ctrack_error *error);
ctrack_status __wrap_ct_identity_guard(ct_identity *identity, sqlite3 *db, ctrack_error *error);
ctrack_status __wrap_ct_identity_guard(ct_identity *identity, sqlite3 *db, ctrack_error *error)
{
    if (busy_guards > 0 && ct_identity_log(db) != NULL) {
        busy_guards--;
        return ct_error_set(error, CTRACK_BUSY, "others are opening it");
    }
    return __real_ct_identity_guard(identity, db, error);
}

/* So many times SQLite gives up at once when write-ahead mode is entered, without asking the busy handler. */
static int busy_modes;

ctrack_status __real_ct_sql_pragma(sqlite3 *db, const char *set, const char *expected, ctrack_error *error);
ctrack_status __wrap_ct_sql_pragma(sqlite3 *db, const char *set, const char *expected, ctrack_error *error);
ctrack_status __wrap_ct_sql_pragma(sqlite3 *db, const char *set, const char *expected, ctrack_error *error)
{
    if (busy_modes > 0 && strcmp(set, "PRAGMA main.journal_mode = WAL") == 0) {
        busy_modes--;
        return ct_error_set(error, CTRACK_BUSY, "others are entering it");
    }
    return __real_ct_sql_pragma(db, set, expected, error);
}

void __real_ct_thread_nap(int64_t nanoseconds);
void __wrap_ct_thread_nap(int64_t nanoseconds);
void __wrap_ct_thread_nap(int64_t nanoseconds)
{
    __real_ct_thread_nap(busy_guards > 0 ? 0 : nanoseconds);
}

/* ---------------------------------------------------------------- distrust */

static void test_the_connection_runs_nothing_that_the_file_brings_along(void **state)
{
    static const int off[] = {SQLITE_DBCONFIG_ENABLE_FKEY, SQLITE_DBCONFIG_ENABLE_TRIGGER, SQLITE_DBCONFIG_ENABLE_VIEW,
                              SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION};
    const fixture *f = *state;
    sqlite3 *db = f->tracker->store->db;
    int value = 0;
    sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, -1, &value);
    assert_int_equal(value, 1);
    for (size_t i = 0; i < sizeof off / sizeof off[0]; i++) {
        sqlite3_db_config(db, off[i], -1, &value);
        assert_int_equal(value, 0);
    }
}

/* ---------------------------------------------------------------- room in the log */

static const sqlite3_io_methods *usual;
static bool size_is_known;

static int refuse_zeros(sqlite3_file *file, const void *data, int size, sqlite3_int64 offset)
{
    return size == 65536 ? SQLITE_FULL : usual->xWrite(file, data, size, offset);
}

static int tell_size(sqlite3_file *file, sqlite3_int64 *size)
{
    return size_is_known ? usual->xFileSize(file, size) : SQLITE_IOERR_FSTAT;
}

static void test_updates_need_no_room_before_they_come(void **state)
{
    fixture *f = *state;
    sqlite3_file *log = NULL;
    update(f->tracker, "doc-1", 1);
    sqlite3_file_control(f->tracker->store->db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &log);
    sqlite3_io_methods refusing = *log->pMethods;
    usual = log->pMethods;
    refusing.xWrite = refuse_zeros;
    refusing.xFileSize = tell_size;
    log->pMethods = &refusing;
    for (int64_t index = 2; index < 100; index++) {
        size_is_known = index < 50;
        update(f->tracker, "doc-1", index);
    }
    log->pMethods = usual;
    assert_int_equal(db_integer_once(f->path, "SELECT max(operation_index) FROM ctrack_progress"), 99);
}

static void test_a_log_that_others_have_cut_off_is_begun_anew(void **state)
{
    fixture *f = *state;
    for (int64_t index = 1; index < 20; index++) {
        update(f->tracker, "doc-1", index);
    }
    int64_t pages = f->tracker->store->wal_pages;
    assert_int_equal(db_integer_once(f->path, "PRAGMA wal_checkpoint(TRUNCATE)"), 0);
    update(f->tracker, "doc-1", 20);
    assert_true(f->tracker->store->wal_pages < pages);
    assert_int_equal(db_integer_once(f->path, "SELECT max(operation_index) FROM ctrack_progress"), 20);
}

/* ---------------------------------------------------------------- commits and checkpoints */

static void test_a_commit_that_is_refused_for_now_breaks_nothing(void **state)
{
    fixture *f = *state;
    ct_store *store = f->tracker->store;
    sqlite3_stmt *writing = NULL;
    assert_status(ct_store_begin(store, NULL), CTRACK_OK);
    sqlite3_prepare_v2(store->db,
                       "INSERT INTO ctrack_keyspace VALUES (8, 'a', 'b', 'c'), (9, 'd', 'e', 'f') RETURNING id", -1,
                       &writing, NULL);
    assert_int_equal(sqlite3_step(writing), SQLITE_ROW); /* while it has not ended, SQLite does not commit */
    assert_status(ct_store_commit(store, NULL), CTRACK_BUSY);
    sqlite3_finalize(writing);
    update(f->tracker, "doc-1", 1);
    assert_int_equal(db_integer_once(f->path, "SELECT count(*) FROM ctrack_keyspace"), 1);
}

static void test_a_sound_engine_checkpoints_without_the_writers_lock(void **state)
{
    fixture *f = *state;
    update(f->tracker, "doc-1", 1);
    f->tracker->store->exposed = false;
    struct sqlite3 *writer = db_open(f->path);
    db_run(writer, "BEGIN IMMEDIATE");
    assert_status(ct_store_checkpoint(f->tracker->store, &f->error), CTRACK_OK);
    db_run(writer, "ROLLBACK");
    db_close(writer);
    assert_int_equal(f->tracker->store->moved_pages, f->tracker->store->wal_pages);
    update(f->tracker, "doc-1", 2);
}

/* Such as one that nobody else has. */
static void test_a_store_without_a_turn_waits_for_the_lock_too(void **state)
{
    fixture *f = *state;
    ctrack_options options = CTRACK_OPTIONS_INIT;
    ct_store *store;
    options.read_model = "default";
    options.busy_timeout_ms = 5;
    assert_status(ct_store_open(f->path, &options, &store, NULL), CTRACK_OK);
    struct sqlite3 *writer = db_open(f->path);
    db_run(writer, "BEGIN IMMEDIATE");
    assert_status(ct_store_begin(store, &f->error), CTRACK_BUSY);
    db_run(writer, "ROLLBACK");
    db_close(writer);
    assert_status(ct_store_begin(store, &f->error), CTRACK_OK);
    ct_store_close(store);
}

static void let_go(void *writer)
{
    db_run(writer, "ROLLBACK");
}

static void test_a_lock_that_becomes_free_while_it_is_waited_for_is_taken(void **state)
{
    fixture *f = *state;
    ctrack_options options = CTRACK_OPTIONS_INIT;
    ct_store *store;
    options.read_model = "default";
    options.busy_timeout_ms = 3600000;
    assert_status(ct_store_open(f->path, &options, &store, NULL), CTRACK_OK);
    struct sqlite3 *writer = db_open(f->path);
    db_run(writer, "BEGIN IMMEDIATE");
    store->idle = let_go;
    store->idle_argument = writer;
    assert_status(ct_store_begin(store, &f->error), CTRACK_OK);
    ct_store_rollback(store);
    db_close(writer);
    ct_store_close(store);
}

static void test_a_log_cannot_be_reclaimed_while_somebody_else_writes(void **state)
{
    fixture *f = *state;
    ct_ticket ticket = {0};
    f->tracker->store->busy_timeout_ms = 5;
    ct_turn_take(&f->tracker->turn, &ticket); /* as whoever waits for the lock has it */
    struct sqlite3 *writer = db_open(f->path);
    db_run(writer, "BEGIN IMMEDIATE");
    assert_status(ct_store_reclaim(f->tracker->store, &f->error), CTRACK_BUSY);
    db_run(writer, "ROLLBACK");
    db_close(writer);
    assert_status(ct_store_reclaim(f->tracker->store, &f->error), CTRACK_OK);
    ct_turn_pass(&f->tracker->turn, &ticket, &ticket);
}

/* ---------------------------------------------------------------- opening, and what has become of the file */

static void test_a_file_that_others_are_just_opening_is_waited_for(void **state)
{
    fixture *f = *state;
    busy_guards = 3;
    f->tracker = open_file(f->path);
    assert_int_equal(busy_guards, 0);
    update(f->tracker, "doc-1", 1);
}

static void test_a_file_that_looks_as_if_others_were_always_opening_it_is_busy(void **state)
{
    fixture *f = *state;
    busy_guards = 1000;
    ctrack_status status = ctrack_open(f->path, NULL, &f->tracker, &f->error);
    busy_guards = 0;
    assert_status(status, CTRACK_BUSY);
    assert_contains(f->error.message, "others are opening it");
}

static void test_write_ahead_mode_is_entered_when_others_are_through(void **state)
{
    fixture *f = *state;
    busy_modes = 3;
    f->tracker = open_file(f->path);
    assert_int_equal(busy_modes, 0);
    update(f->tracker, "doc-1", 1);
}

static void test_a_file_that_is_locked_until_the_time_is_up_is_busy(void **state)
{
    fixture *f = *state;
    ctrack_options options = CTRACK_OPTIONS_INIT;
    options.busy_timeout_ms = 5;
    struct sqlite3 *other = db_open(f->path);
    db_run(other, "CREATE TABLE t (a)");
    static const char *const locks[] = {"BEGIN IMMEDIATE",
                                        "BEGIN EXCLUSIVE"}; /* read, but not changed; not even read */
    for (int i = 0; i < 2; i++) {
        db_run(other, locks[i]);
        assert_status(ctrack_open(f->path, &options, &f->tracker, &f->error), CTRACK_BUSY);
        db_run(other, "ROLLBACK");
    }
    db_close(other);
    f->tracker = open_file(f->path);
}

static void test_the_cause_of_an_error_is_what_has_become_of_the_file(void **state)
{
    fixture *f = *state;
    ct_store *store = f->tracker->store;
    assert_status(ct_store_explain(store, CTRACK_OK, &f->error), CTRACK_OK);
    assert_status(ct_store_explain(store, CTRACK_BUSY, &f->error), CTRACK_BUSY);
    store->identity.file.device++;
    assert_status(ct_store_explain(store, CTRACK_BUSY, &f->error), CTRACK_IO);
    assert_contains(f->error.message, "replaced");
}

static void test_a_file_that_reads_as_damaged_may_be_put_right(void **state)
{
    static const struct {
        ctrack_status status;
        ct_trouble trouble;
    } cases[] = {
        {CTRACK_CORRUPT, CT_TROUBLE_DOUBTFUL}, {CTRACK_SCHEMA, CT_TROUBLE_DOUBTFUL}, {CTRACK_IO, CT_TROUBLE_PASSES}};
    fixture *f = *state;
    for (int i = 0; i < 3; i++) {
        f->error.status = cases[i].status;
        assert_int_equal(ct_store_trouble(f->tracker->store, &f->error), cases[i].trouble);
    }
    f->tracker->store->identity.file.device++;
    f->error.status = CTRACK_CORRUPT;
    assert_int_equal(ct_store_trouble(f->tracker->store, &f->error), CT_TROUBLE_FINAL);
}

/* ---------------------------------------------------------------- small things */

static void test_a_busy_timeout_ends_in_a_month_at_most(void **state)
{
    (void)state;
    assert_int_equal(ct_store_busy_timeout(INT64_MAX), INT32_MAX);
    assert_int_equal(ct_store_busy_timeout(7), 7);
}

static void test_the_same_number_on_another_device_is_another_file(void **state)
{
    fixture *f = *state;
    f->tracker->store->identity.file.device++;
    assert_status(ct_store_check_file(f->tracker->store, &f->error), CTRACK_IO);
    assert_contains(f->error.message, "replaced");
}

static void test_a_look_up_that_fails_says_so(void **state)
{
    fixture *f = *state;
    int64_t index = 77;
    ctrack_key k = key("doc-1");
    update(f->tracker, "doc-1", 5);
    interrupt(f->tracker, "SELECT folded_seq, hash_seed");
    assert_status(ct_store_look_up(f->tracker->store, &k, &index, NULL), CTRACK_IO);
    interrupt(f->tracker, NULL);
    reopen(f);
    starve_of(f->tracker, CT_RUN_ADD); /* of all that asks, too */
    assert_status(ct_store_look_up(f->tracker->store, &k, &index, NULL), CTRACK_IO);
    assert_int_equal(index, 77);
}

static void test_a_forget_that_cannot_delete_changes_nothing(void **state)
{
    fixture *f = *state;
    ctrack_key k = key("doc-1");
    update(f->tracker, "doc-1", 5);
    static const ct_statement missing[] = {CT_FORGET_LATEST, CT_FOLD_FIND_COORDINATE};
    for (int i = 0; i < 2; i++) {
        reopen(f);
        starve_of(f->tracker, missing[i]);
        assert_status(ctrack_forget(f->tracker, &k, 1, NULL), CTRACK_IO);
        assert_int_equal(latest(f->tracker, "doc-1"), 5);
    }
}

static void test_a_call_that_comes_after_the_last_has_left_is_refused(void **state)
{
    fixture *f = *state;
    atomic_store(&f->tracker->calls, 0);
    assert_status(ct_tracker_enter(f->tracker, NULL), CTRACK_CLOSED);
    atomic_store(&f->tracker->calls, 1);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        TEST_ON_FILE(test_the_connection_runs_nothing_that_the_file_brings_along),
        TEST_ON_FILE(test_updates_need_no_room_before_they_come),
        TEST_ON_FILE(test_a_log_that_others_have_cut_off_is_begun_anew),
        TEST_ON_FILE(test_a_commit_that_is_refused_for_now_breaks_nothing),
        TEST_ON_FILE(test_a_sound_engine_checkpoints_without_the_writers_lock),
        TEST_ON_FILE(test_a_store_without_a_turn_waits_for_the_lock_too),
        TEST_ON_FILE(test_a_lock_that_becomes_free_while_it_is_waited_for_is_taken),
        TEST_ON_FILE(test_a_log_cannot_be_reclaimed_while_somebody_else_writes),
        TEST(test_a_file_that_others_are_just_opening_is_waited_for),
        TEST(test_a_file_that_looks_as_if_others_were_always_opening_it_is_busy),
        TEST(test_write_ahead_mode_is_entered_when_others_are_through),
        TEST(test_a_file_that_is_locked_until_the_time_is_up_is_busy),
        TEST_ON_FILE(test_the_cause_of_an_error_is_what_has_become_of_the_file),
        TEST_ON_FILE(test_a_file_that_reads_as_damaged_may_be_put_right),
        TEST(test_a_busy_timeout_ends_in_a_month_at_most),
        TEST_ON_FILE(test_the_same_number_on_another_device_is_another_file),
        TEST_ON_FILE(test_a_look_up_that_fails_says_so),
        TEST_ON_FILE(test_a_forget_that_cannot_delete_changes_nothing),
        TEST_ON_FILE(test_a_call_that_comes_after_the_last_has_left_is_refused),
    };
    return SUPPORT_MAIN(argc, argv, "store", tests, NULL);
}
