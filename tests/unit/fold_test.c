/* SPDX-License-Identifier: MIT */
/* Folding, as the keeper does it: in pieces, beside others, and of files that are damaged. */
#include "support.h"

#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>

#include "fold.h"
#include "interrupt.h"
#include "keeper.h"
#include "tracker.h"

static ctrack_status fold(fixture *f)
{
    static const atomic_bool stop;
    return ct_fold_log(f->tracker, &stop, &f->error);
}

/* Brings many keys to an index. */
enum { KEYS = 9000 };
static void update_many(ctrack *tracker, int64_t index)
{
    static char names[KEYS][12];
    static ctrack_coordinate coordinates[KEYS];
    for (int i = 0; i < KEYS; i++) {
        snprintf(names[i], sizeof names[i], "doc-%05d", i);
        coordinates[i] = at(names[i], index);
    }
    assert_status(ctrack_update(tracker, coordinates, KEYS, NULL), CTRACK_OK);
}

static int64_t number(const fixture *f, const char *sql)
{
    struct sqlite3 *db = db_open(f->path);
    int64_t value = db_integer(db, sql);
    db_close(db);
    return value;
}

static void spoil(const fixture *f, const char *sql)
{
    struct sqlite3 *db = db_open(f->path);
    db_run(db, "PRAGMA ignore_check_constraints = 1");
    db_run(db, sql);
    db_close(db);
}

static void test_an_empty_log_is_folded(void **state)
{
    fixture *f = *state;
    assert_status(fold(f), CTRACK_OK);
}

static void test_more_keys_than_a_piece_are_folded(void **state)
{
    fixture *f = *state;
    for (int64_t index = 1; index <= 2; index++) { /* new keys first, then known ones */
        update_many(f->tracker, index);
        assert_status(fold(f), CTRACK_OK);
        assert_int_equal(ct_fold_backlog(f->tracker->store), 0);
        assert_int_equal(number(f, "SELECT sum(operation_index) FROM ctrack_latest"), KEYS * index);
    }
    assert_int_equal(number(f, "SELECT count(*) FROM ctrack_advance WHERE coordinate_id IS NOT NULL"), KEYS);
}

static void test_new_keys_that_are_updated_in_turn_are_folded_once_each(void **state)
{
    fixture *f = *state;
    for (int64_t index = 1; index <= 6; index++) {
        update(f->tracker, index % 2 == 0 ? "doc-1" : "doc-2", index);
    }
    assert_status(fold(f), CTRACK_OK);
    assert_int_equal(number(f, "SELECT count(*) FROM ctrack_coordinate"), 2);
    assert_int_equal(number(f, "SELECT group_concat(operation_index, '0') FROM ctrack_latest"), 605);
}

static void test_a_row_that_nobody_has_seen_yet_is_folded_too(void **state)
{
    fixture *f = *state;
    update(f->tracker, "doc-1", 5);
    spoil(f, "INSERT INTO ctrack_progress VALUES ('default', 'doc-2', 'document', 'main', 6, NULL)");
    assert_status(fold(f), CTRACK_OK);
    assert_int_equal(number(f, "SELECT count(*) FROM ctrack_latest"), 2);
    assert_status(ctrack_refresh(f->tracker, NULL), CTRACK_OK);
    assert_int_equal(latest(f->tracker, "doc-2"), 6);
}

static void test_a_key_that_another_tracker_has_folded_is_named_by_its_id(void **state)
{
    fixture *f = *state;
    ctrack *other = open_file(f->path);
    update(other, "doc-2", 1); /* it has loaded what there is, and doc-1 has no id yet */
    update(f->tracker, "doc-1", 1);
    assert_status(fold(f), CTRACK_OK);
    update(f->tracker, "doc-1", 2);
    update(other, "doc-1", 3); /* follows that first */
    assert_int_equal(number(f, "SELECT coordinate_id IS NOT NULL FROM ctrack_advance ORDER BY seq DESC LIMIT 1"), 1);
    close_tracker(&other);
}

static void test_a_log_that_takes_back_what_is_not_folded_is_damage(void **state)
{
    fixture *f = *state;
    update(f->tracker, "doc-1", 5);
    spoil(f, "UPDATE ctrack_advance SET operation_index = NULL");
    assert_status(fold(f), CTRACK_CORRUPT);
}

static void test_a_dictionary_without_an_id_left_is_damage(void **state)
{
    fixture *f = *state;
    static const char *const last[] = {"9223372036854775807", "-5"};
    for (int i = 0; i < 2; i++) {
        char sql[120];
        update(f->tracker, i == 0 ? "doc-1" : "doc-2", 5);
        snprintf(sql, sizeof sql, "INSERT INTO ctrack_coordinate VALUES (%s, 1, 'last')", last[i]);
        spoil(f, sql);
        assert_status(fold(f), CTRACK_CORRUPT);
        spoil(f, "DELETE FROM ctrack_coordinate");
    }
}

static void test_a_dictionary_that_cannot_be_asked_ends_the_fold(void **state)
{
    fixture *f = *state;
    update_many(f->tracker, 1);
    assert_status(fold(f), CTRACK_OK);
    spoil(f, "INSERT INTO ctrack_advance (keyspace_id, document_id, operation_index, updated_at) "
             "SELECT keyspace_id, document_id, 2, 0 FROM ctrack_coordinate");
    interrupt(f->tracker, "SELECT id FROM main.ctrack_coordinate");
    assert_status(fold(f), CTRACK_IO);
    interrupt(f->tracker, NULL);
    assert_status(fold(f), CTRACK_OK);
    assert_int_equal(number(f, "SELECT sum(operation_index) FROM ctrack_latest"), KEYS * 2);
}

/* ---------------------------------------------------------------- the keeper */

static atomic_int complaints;

static void complain(ctrack_status status, const char *message, void *argument)
{
    fixture *f = argument;
    (void)message;
    if (status == CTRACK_IO && atomic_fetch_add(&complaints, 1) == 1) {
        gate_open(&f->gate);
    }
}

static void test_a_keeper_that_fails_rests_and_tries_again(void **state)
{
    fixture *f = *state;
    ctrack_options options = CTRACK_OPTIONS_INIT;
    options.log = complain;
    options.log_argument = f;
    assert_status(ctrack_open(f->path, &options, &f->tracker, NULL), CTRACK_OK);
    ct_store *store = f->tracker->store;
    store->broken = store->exposed = true;
    store->wal_pages = 1000000; /* a checkpoint is due */
    ct_keeper_consider(f->tracker);
    gate_pass(&f->gate);
    assert_int_equal(atomic_load(&complaints), 2);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        TEST_ON_FILE(test_an_empty_log_is_folded),
        TEST_ON_FILE(test_more_keys_than_a_piece_are_folded),
        TEST_ON_FILE(test_new_keys_that_are_updated_in_turn_are_folded_once_each),
        TEST_ON_FILE(test_a_row_that_nobody_has_seen_yet_is_folded_too),
        TEST_ON_FILE(test_a_key_that_another_tracker_has_folded_is_named_by_its_id),
        TEST_ON_FILE(test_a_log_that_takes_back_what_is_not_folded_is_damage),
        TEST_ON_FILE(test_a_dictionary_without_an_id_left_is_damage),
        TEST_ON_FILE(test_a_dictionary_that_cannot_be_asked_ends_the_fold),
        TEST(test_a_keeper_that_fails_rests_and_tries_again),
    };
    return SUPPORT_MAIN(argc, argv, "fold", tests, NULL);
}
