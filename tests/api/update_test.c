/* SPDX-License-Identifier: MIT */
/* ctrack_update(): what it changes, what it refuses, and what it does to the file. */
#include "support.h"

#include <stdio.h>

#include <sqlite3.h>

/* ---------------------------------------------------------------- the highest index wins */

static void test_update_is_visible_when_it_returns(void **state)
{
    fixture *f = *state;
    update(f->tracker, "doc-1", 7);
    assert_int_equal(latest(f->tracker, "doc-1"), 7);
}

static void test_update_raises_the_index(void **state)
{
    fixture *f = *state;
    update(f->tracker, "doc-1", 7);
    update(f->tracker, "doc-1", 9);
    assert_int_equal(latest(f->tracker, "doc-1"), 9);
}

static void test_update_below_the_current_index_changes_nothing(void **state)
{
    fixture *f = *state;
    update(f->tracker, "doc-1", 7);
    update(f->tracker, "doc-1", 3);
    assert_int_equal(latest(f->tracker, "doc-1"), 7);
}

static void test_update_at_the_current_index_changes_nothing(void **state)
{
    fixture *f = *state;
    update(f->tracker, "doc-1", 7);
    update(f->tracker, "doc-1", 7);
    assert_int_equal(latest(f->tracker, "doc-1"), 7);
}

static void test_update_takes_a_batch_of_several_keys(void **state)
{
    fixture *f = *state;
    ctrack_coordinate batch[] = {at("doc-1", 1), at("doc-2", 2), at("doc-3", 3)};
    assert_status(ctrack_update(f->tracker, batch, 3, NULL), CTRACK_OK);
    assert_int_equal(latest(f->tracker, "doc-1"), 1);
    assert_int_equal(latest(f->tracker, "doc-2"), 2);
    assert_int_equal(latest(f->tracker, "doc-3"), 3);
}

static void test_duplicates_in_a_batch_count_at_their_highest_index(void **state)
{
    fixture *f = *state;
    ctrack_coordinate batch[] = {at("doc-1", 5), at("doc-1", 9), at("doc-2", 1), at("doc-1", 7)};
    assert_status(ctrack_update(f->tracker, batch, 4, NULL), CTRACK_OK);
    assert_int_equal(latest(f->tracker, "doc-1"), 9);
}

static void test_batch_of_higher_and_lower_coordinates_raises_only_the_higher(void **state)
{
    fixture *f = *state;
    update(f->tracker, "doc-1", 7);
    update(f->tracker, "doc-2", 7);
    ctrack_coordinate batch[] = {at("doc-1", 3), at("doc-2", 8)};
    assert_status(ctrack_update(f->tracker, batch, 2, NULL), CTRACK_OK);
    assert_int_equal(latest(f->tracker, "doc-1"), 7);
    assert_int_equal(latest(f->tracker, "doc-2"), 8);
}

static void test_empty_list_does_nothing(void **state)
{
    fixture *f = *state;
    assert_status(ctrack_update(f->tracker, NULL, 0, &f->error), CTRACK_OK);
    assert_int_equal(entry_count(f->tracker), 0);
}

static void test_update_borrows_its_input_only_for_the_call(void **state)
{
    fixture *f = *state;
    char document[] = "doc-1";
    char scope[] = "document";
    char branch[] = "main";
    ctrack_coordinate progress = coordinate(document, scope, branch, 4);
    assert_status(ctrack_update(f->tracker, &progress, 1, NULL), CTRACK_OK);
    memset(document, 'x', sizeof document - 1);
    memset(scope, 'x', sizeof scope - 1);
    memset(branch, 'x', sizeof branch - 1);
    progress.operation_index = 99;
    assert_int_equal(latest(f->tracker, "doc-1"), 4);
}

enum { MANY = 20000 };

static ctrack_coordinate *many_coordinates(char (**names)[16])
{
    ctrack_coordinate *batch = calloc(MANY, sizeof *batch);
    *names = calloc(MANY, sizeof **names);
    assert_non_null(batch);
    assert_non_null(*names);
    for (int i = 0; i < MANY; i++) {
        snprintf((*names)[i], sizeof(*names)[i], "doc-%d", i);
        batch[i] = at((*names)[i], i);
    }
    return batch;
}

static void test_large_batch_is_taken_whole(void **state)
{
    fixture *f = *state;
    char(*names)[16];
    ctrack_coordinate *batch = many_coordinates(&names);
    assert_status(ctrack_update(f->tracker, batch, MANY, NULL), CTRACK_OK);
    for (int i = 0; i < MANY; i++) {
        assert_int_equal(latest(f->tracker, names[i]), i);
    }
    free(batch);
    free(names);
}

static void test_large_batch_is_refused_whole_for_its_last_coordinate(void **state)
{
    fixture *f = *state;
    char(*names)[16];
    ctrack_coordinate *batch = many_coordinates(&names);
    batch[MANY - 1].operation_index = -1;
    assert_status(ctrack_update(f->tracker, batch, MANY, NULL), CTRACK_INVALID);
    assert_int_equal(entry_count(f->tracker), 0);
    free(batch);
    free(names);
}

/* ---------------------------------------------------------------- a bad coordinate refuses the batch */

static ctrack_status update_with_a_bad_third(fixture *f)
{
    ctrack_coordinate batch[] = {at("doc-1", 5), at("doc-2", 5), at("doc-3", -1), at("doc-4", 5)};
    return ctrack_update(f->tracker, batch, 4, &f->error);
}

static void test_one_bad_coordinate_makes_the_batch_invalid(void **state)
{
    fixture *f = *state;
    assert_status(update_with_a_bad_third(f), CTRACK_INVALID);
}

static void test_one_bad_coordinate_leaves_every_key_unchanged(void **state)
{
    fixture *f = *state;
    update(f->tracker, "doc-1", 2);
    update_with_a_bad_third(f);
    assert_int_equal(latest(f->tracker, "doc-1"), 2);
    assert_int_equal(latest(f->tracker, "doc-2"), NEVER_SEEN);
    assert_int_equal(latest(f->tracker, "doc-4"), NEVER_SEEN);
}

static void test_message_gives_the_position_of_the_bad_coordinate(void **state)
{
    fixture *f = *state;
    update_with_a_bad_third(f);
    assert_contains(f->error.message, "coordinates[2]");
}

static void test_error_holds_the_status_that_is_returned(void **state)
{
    fixture *f = *state;
    f->error.status = CTRACK_OK;
    update_with_a_bad_third(f);
    assert_status(f->error.status, CTRACK_INVALID);
}

static void test_refused_batch_wakes_nobody(void **state)
{
    fixture *f = *state;
    ctrack_promise *promise = wait_for(f->tracker, "doc-1", 5);
    update_with_a_bad_third(f);
    assert_status(ctrack_promise_status(promise), CTRACK_PENDING);
    ctrack_promise_release(promise);
}

static void test_refused_batch_writes_nothing(void **state)
{
    fixture *f = *state;
    update_with_a_bad_third(f);
    reopen(f);
    assert_int_equal(entry_count(f->tracker), 0);
}

static void test_update_after_a_refused_one_works(void **state)
{
    fixture *f = *state;
    update_with_a_bad_third(f);
    update(f->tracker, "doc-1", 5);
    assert_int_equal(latest(f->tracker, "doc-1"), 5);
}

static void test_missing_list_is_invalid(void **state)
{
    fixture *f = *state;
    assert_status(ctrack_update(f->tracker, NULL, 2, &f->error), CTRACK_INVALID);
}

static void test_error_may_be_null(void **state)
{
    fixture *f = *state;
    ctrack_coordinate bad = at("doc-1", -1);
    assert_status(ctrack_update(f->tracker, &bad, 1, NULL), CTRACK_INVALID);
}

/* ---------------------------------------------------------------- what reaches the file */

/* The file's own account of change: what was appended, and whether anybody else committed at all. */
typedef struct file_state {
    int64_t sequence, data_version;
} file_state;

static file_state look(sqlite3 *db)
{
    return (file_state){db_integer(db, "SELECT coalesce(max(seq), 0) FROM ctrack_advance"),
                        db_integer(db, "PRAGMA data_version")};
}

static void assert_nothing_was_committed(fixture *f, const ctrack_coordinate *batch, size_t count)
{
    sqlite3 *db = db_open(f->path);
    file_state before = look(db);
    assert_status(ctrack_update(f->tracker, batch, count, NULL), CTRACK_OK);
    file_state after = look(db);
    db_close(db);
    assert_int_equal(after.sequence, before.sequence);
    assert_int_equal(after.data_version, before.data_version);
}

static void test_update_at_or_below_commits_nothing(void **state)
{
    fixture *f = *state;
    update(f->tracker, "doc-1", 7);
    update(f->tracker, "doc-2", 7);
    ctrack_coordinate batch[] = {at("doc-1", 7), at("doc-2", 3)};
    assert_nothing_was_committed(f, batch, 2);
}

static void test_empty_list_commits_nothing(void **state)
{
    fixture *f = *state;
    update(f->tracker, "doc-1", 7);
    assert_nothing_was_committed(f, NULL, 0);
}

static void test_update_that_raises_commits_one_transaction(void **state)
{
    fixture *f = *state;
    update(f->tracker, "doc-1", 7);
    sqlite3 *db = db_open(f->path);
    file_state before = look(db);
    update(f->tracker, "doc-1", 8);
    file_state after = look(db);
    db_close(db);
    assert_true(after.sequence > before.sequence);
    assert_true(after.data_version != before.data_version);
}

static void test_update_at_or_below_needs_no_write_lock(void **state)
{
    fixture *f = *state;
    f->tracker = open_impatient(f->path, 0);
    update(f->tracker, "doc-1", 7);
    sqlite3 *db = db_open(f->path);
    db_run(db, "BEGIN IMMEDIATE");
    update(f->tracker, "doc-1", 7);
    db_run(db, "ROLLBACK");
    db_close(db);
}

static void test_update_is_in_the_file_when_it_returns(void **state)
{
    fixture *f = *state;
    update(f->tracker, "doc-1", 7);
    assert_int_equal(db_integer_once(f->path, "SELECT operation_index FROM ctrack_progress "
                                              "WHERE document_id = 'doc-1'"),
                     7);
}

/* ---------------------------------------------------------------- the file is locked */

/* Has an impatient tracker update doc-1 from 7 to 8 while somebody else holds the write lock. */
static ctrack_status update_while_locked(fixture *f)
{
    f->tracker = open_impatient(f->path, 20);
    update(f->tracker, "doc-1", 7);
    sqlite3 *db = db_open(f->path);
    db_run(db, "BEGIN IMMEDIATE");
    ctrack_coordinate progress = at("doc-1", 8);
    ctrack_status status = ctrack_update(f->tracker, &progress, 1, &f->error);
    db_run(db, "ROLLBACK");
    db_close(db);
    return status;
}

static void test_update_of_a_locked_file_is_busy(void **state)
{
    fixture *f = *state;
    assert_status(update_while_locked(f), CTRACK_BUSY);
    assert_status(f->error.status, CTRACK_BUSY);
}

static void test_busy_update_is_not_before_the_busy_timeout(void **state)
{
    fixture *f = *state;
    int64_t start = now_ns();
    update_while_locked(f);
    assert_true(now_ns() - start >= 20 * INT64_C(1000000));
}

static void test_busy_update_changes_nothing_in_memory(void **state)
{
    fixture *f = *state;
    update_while_locked(f);
    assert_int_equal(latest(f->tracker, "doc-1"), 7);
}

static void test_busy_update_changes_nothing_in_the_file(void **state)
{
    fixture *f = *state;
    update_while_locked(f);
    reopen(f);
    assert_int_equal(latest(f->tracker, "doc-1"), 7);
}

static void test_busy_update_wakes_nobody(void **state)
{
    fixture *f = *state;
    f->tracker = open_impatient(f->path, 20);
    ctrack_promise *promise = wait_for(f->tracker, "doc-1", 8);
    sqlite3 *db = db_open(f->path);
    db_run(db, "BEGIN IMMEDIATE");
    ctrack_coordinate progress = at("doc-1", 8);
    assert_status(ctrack_update(f->tracker, &progress, 1, NULL), CTRACK_BUSY);
    assert_status(ctrack_promise_status(promise), CTRACK_PENDING);
    db_run(db, "ROLLBACK");
    db_close(db);
    ctrack_promise_release(promise);
}

static void test_update_works_again_when_the_lock_is_gone(void **state)
{
    fixture *f = *state;
    update_while_locked(f);
    update(f->tracker, "doc-1", 8);
    assert_int_equal(latest(f->tracker, "doc-1"), 8);
}

static void *update_doc_1_to_8(void *argument)
{
    ctrack *tracker = argument;
    ctrack_coordinate progress = at("doc-1", 8);
    return ctrack_update(tracker, &progress, 1, NULL) == CTRACK_OK ? argument : NULL;
}

static void test_update_waits_for_the_lock_within_the_busy_timeout(void **state)
{
    fixture *f = *state;
    f->tracker = open_impatient(f->path, 60000);
    sqlite3 *db = db_open(f->path);
    db_run(db, "BEGIN IMMEDIATE");
    pthread_t thread = thread_start(update_doc_1_to_8, f->tracker);
    db_run(db, "ROLLBACK");
    assert_non_null(thread_join(thread));
    db_close(db);
}

/* ---------------------------------------------------------------- the disk is full */

/* Updates with large keys until one fails; space that SQLite had taken before is used up so. */
static ctrack_status update_until_it_fails(fixture *f, ctrack_coordinate *failed, char name[16])
{
    static char scope[4001];
    memset(scope, 's', sizeof scope - 1);
    for (int i = 0; i < 10000; i++) {
        snprintf(name, 16, "doc-%d", i);
        *failed = coordinate(name, scope, "main", 1);
        ctrack_status status = ctrack_update(f->tracker, failed, 1, &f->error);
        if (status != CTRACK_OK) {
            return status;
        }
    }
    return CTRACK_OK;
}

/* A tracker on a disk that is full, and an update that has failed for it. */
static bool fail_on_a_full_disk(fixture *f, ctrack_status *status, ctrack_coordinate *failed, char name[16])
{
    if (!mount_small_disk(f, "2m")) {
        return false;
    }
    f->tracker = open_file(f->path);
    fill_disk(f);
    *status = update_until_it_fails(f, failed, name);
    return true;
}

static void test_update_on_a_full_disk_is_full(void **state)
{
    fixture *f = *state;
    ctrack_status status;
    ctrack_coordinate failed;
    char name[16];
    if (!fail_on_a_full_disk(f, &status, &failed, name)) {
        skip();
    }
    assert_status(status, CTRACK_FULL);
    assert_status(f->error.status, CTRACK_FULL);
}

static void test_update_on_a_full_disk_changes_nothing(void **state)
{
    fixture *f = *state;
    ctrack_status status;
    ctrack_coordinate failed;
    char name[16];
    if (!fail_on_a_full_disk(f, &status, &failed, name)) {
        skip();
    }
    ctrack_key lost = {failed.document_id, failed.scope, failed.branch};
    assert_int_equal(latest_of(f->tracker, lost), NEVER_SEEN);
}

static void test_update_on_a_full_disk_loses_nothing_acknowledged(void **state)
{
    fixture *f = *state;
    ctrack_status status;
    ctrack_coordinate failed;
    char name[16];
    if (!fail_on_a_full_disk(f, &status, &failed, name)) {
        skip();
    }
    size_t acknowledged = entry_count(f->tracker);
    free_disk(f);
    reopen(f);
    assert_int_equal(entry_count(f->tracker), acknowledged);
}

static void test_update_works_again_when_the_disk_has_room(void **state)
{
    fixture *f = *state;
    ctrack_status status;
    ctrack_coordinate failed;
    char name[16];
    if (!fail_on_a_full_disk(f, &status, &failed, name)) {
        skip();
    }
    free_disk(f);
    assert_status(ctrack_update(f->tracker, &failed, 1, &f->error), CTRACK_OK);
}

/* ---------------------------------------------------------------- many callers at once */

enum { THREADS = 8, ROUNDS = 100 };

typedef struct writer {
    ctrack *tracker;
    int number;
    bool failed;
} writer;

static void *write_own_key(void *argument)
{
    writer *w = argument;
    char name[16];
    snprintf(name, sizeof name, "doc-%d", w->number);
    for (int i = 0; i < ROUNDS; i++) {
        ctrack_coordinate progress = at(name, i);
        int64_t seen = -1;
        ctrack_key own = key(name);
        w->failed = w->failed || ctrack_update(w->tracker, &progress, 1, NULL) != CTRACK_OK ||
                    ctrack_get_latest(w->tracker, &own, &seen) != CTRACK_OK || seen != i;
    }
    return NULL;
}

static void test_concurrent_updates_are_each_visible_to_their_caller(void **state)
{
    fixture *f = *state;
    static writer writers[THREADS];
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        writers[i] = (writer){f->tracker, i, false};
        threads[i] = thread_start(write_own_key, &writers[i]);
    }
    for (int i = 0; i < THREADS; i++) {
        thread_join(threads[i]);
    }
    for (int i = 0; i < THREADS; i++) {
        assert_false(writers[i].failed);
    }
}

static void *write_good_or_bad(void *argument)
{
    writer *w = argument;
    char name[16];
    snprintf(name, sizeof name, "doc-%d", w->number);
    bool bad = w->number % 2 == 1;
    for (int i = 0; i < ROUNDS; i++) {
        ctrack_coordinate batch[] = {at(name, i), at("doc-shared", bad ? -1 : i)};
        ctrack_status status = ctrack_update(w->tracker, batch, 2, NULL);
        w->failed = w->failed || status != (bad ? CTRACK_INVALID : CTRACK_OK);
    }
    return NULL;
}

static void test_bad_batch_does_not_spoil_the_batches_committed_with_it(void **state)
{
    fixture *f = *state;
    static writer writers[THREADS];
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        writers[i] = (writer){f->tracker, i, false};
        threads[i] = thread_start(write_good_or_bad, &writers[i]);
    }
    for (int i = 0; i < THREADS; i++) {
        thread_join(threads[i]);
    }
    for (int i = 0; i < THREADS; i++) {
        assert_false(writers[i].failed);
    }
    assert_int_equal(entry_count(f->tracker), THREADS / 2 + 1);
}

static uint64_t log_bytes(ctrack *tracker)
{
    ctrack_stats stats = {.size = sizeof stats};
    assert_status(ctrack_get_stats(tracker, &stats, NULL), CTRACK_OK);
    return stats.wal_bytes;
}

/* Lengthening the file with each commit would make each fsync more expensive. */
static void test_few_small_updates_make_the_write_ahead_log_longer(void **state)
{
    enum { UPDATES = 300, FEW = 12 };
    fixture *f = *state;
    int longer = 0;
    for (int i = 0; i < UPDATES; i++) {
        uint64_t before = log_bytes(f->tracker);
        update(f->tracker, "doc-1", i);
        longer += log_bytes(f->tracker) > before;
    }
    assert_in_range(longer, 1, FEW);
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        TEST_BOTH(test_update_is_visible_when_it_returns),
        TEST_BOTH(test_update_raises_the_index),
        TEST_BOTH(test_update_below_the_current_index_changes_nothing),
        TEST_BOTH(test_update_at_the_current_index_changes_nothing),
        TEST_BOTH(test_update_takes_a_batch_of_several_keys),
        TEST_BOTH(test_duplicates_in_a_batch_count_at_their_highest_index),
        TEST_BOTH(test_batch_of_higher_and_lower_coordinates_raises_only_the_higher),
        TEST_BOTH(test_empty_list_does_nothing),
        TEST_BOTH(test_update_borrows_its_input_only_for_the_call),
        TEST_BOTH(test_large_batch_is_taken_whole),
        TEST_BOTH(test_large_batch_is_refused_whole_for_its_last_coordinate),
        TEST_BOTH(test_one_bad_coordinate_makes_the_batch_invalid),
        TEST_BOTH(test_one_bad_coordinate_leaves_every_key_unchanged),
        TEST_BOTH(test_message_gives_the_position_of_the_bad_coordinate),
        TEST_BOTH(test_error_holds_the_status_that_is_returned),
        TEST_BOTH(test_refused_batch_wakes_nobody),
        TEST_ON_FILE(test_refused_batch_writes_nothing),
        TEST_BOTH(test_update_after_a_refused_one_works),
        TEST_BOTH(test_missing_list_is_invalid),
        TEST_BOTH(test_error_may_be_null),
        TEST_ON_FILE(test_update_at_or_below_commits_nothing),
        TEST_ON_FILE(test_empty_list_commits_nothing),
        TEST_ON_FILE(test_update_that_raises_commits_one_transaction),
        TEST(test_update_at_or_below_needs_no_write_lock),
        TEST_ON_FILE(test_update_is_in_the_file_when_it_returns),
        TEST_ON_FILE(test_few_small_updates_make_the_write_ahead_log_longer),
        TEST(test_update_of_a_locked_file_is_busy),
        TEST(test_busy_update_is_not_before_the_busy_timeout),
        TEST(test_busy_update_changes_nothing_in_memory),
        TEST(test_busy_update_changes_nothing_in_the_file),
        TEST(test_busy_update_wakes_nobody),
        TEST(test_update_works_again_when_the_lock_is_gone),
        TEST(test_update_waits_for_the_lock_within_the_busy_timeout),
        TEST(test_update_on_a_full_disk_is_full),
        TEST(test_update_on_a_full_disk_changes_nothing),
        TEST(test_update_on_a_full_disk_loses_nothing_acknowledged),
        TEST(test_update_works_again_when_the_disk_has_room),
        TEST_BOTH(test_concurrent_updates_are_each_visible_to_their_caller),
        TEST_BOTH(test_bad_batch_does_not_spoil_the_batches_committed_with_it),
    };
    return SUPPORT_MAIN(argc, argv, "update", tests, NULL);
}
