/* SPDX-License-Identifier: MIT */
/* Runs over the log: when they are written and by whom, what they lack for a while, and that questions are answered
 * rightly whatever there is of them. */
#include "support.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>

#include "fold.h"
#include "interrupt.h"
#include "keeper.h"
#include "out_of_memory.h"
#include "tracker.h"

enum { SHORT = 4096, LONG = 131072, MOST = 1 << 20, KEYS = 9000 };
static char names[KEYS][12];
static ctrack_coordinate keys[KEYS];

static int make_keys(void **state)
{
    (void)state;
    for (int i = 0; i < KEYS; i++) {
        snprintf(names[i], sizeof names[i], "doc-%05d", i);
        keys[i] = at(names[i], 0);
    }
    return 0;
}

/* Brings the first keys to an index. */
static void update_first(ctrack *tracker, int count, int64_t index)
{
    for (int i = 0; i < count; i++) {
        keys[i].operation_index = index;
    }
    assert_status(ctrack_update(tracker, keys, (size_t)count, NULL), CTRACK_OK);
}

static int64_t number(const fixture *f, const char *sql)
{
    return db_integer_once(f->path, sql);
}

static int64_t runs(const fixture *f)
{
    return number(f, "SELECT count(*) FROM ctrack_run");
}

/* What a lazy tracker says, which knows the file only. */
static int64_t asked(const fixture *f, const char *document)
{
    ctrack_options options = CTRACK_OPTIONS_INIT;
    ctrack *lazy = NULL;
    options.lazy = options.read_only = true;
    assert_status(ctrack_open(f->path, &options, &lazy, NULL), CTRACK_OK);
    int64_t index = latest(lazy, document);
    close_tracker(&lazy);
    return index;
}

/* What a host's connection says of many keys at once. */
static void assert_asked_at_once(const fixture *f, int first, int count, int64_t index)
{
    sqlite3 *db = db_open(f->path);
    for (int i = first; i < first + count; i++) {
        keys[i].operation_index = index;
    }
    assert_status(ctrack_satisfied_in(db, NULL, keys + first, (size_t)count, NULL), CTRACK_OK);
    keys[first + count / 2].operation_index = index + 1;
    ctrack_error error;
    assert_status(ctrack_satisfied_in(db, NULL, keys + first, (size_t)count, &error), CTRACK_PENDING);
    char text[40];
    snprintf(text, sizeof text, "1 of %d coordinates missing", count);
    assert_contains(error.message, text);
    db_close(db);
}

/* The document that a row of the log is about. The caller frees it. */
static char *document_at(const fixture *f, const char *sql)
{
    sqlite3 *db = db_open(f->path);
    char *document = db_text(db, sql);
    db_close(db);
    return document;
}

/* ---------------------------------------------------------------- in memory */

static void test_rows_that_follow_each_other_are_remembered(void **state)
{
    (void)state;
    ct_runs r = {.first = 5};
    ct_runs_add(&r, 4, 1, "a", 1, 0); /* a long run has it */
    assert_int_equal(r.count, 0);
    ct_runs_add(&r, 5, 1, "a", 1, 0);
    ct_runs_add(&r, 6, 1, "b", 1, 0);
    assert_int_equal(r.count, 2);
    ct_runs_add(&r, 9, 1, "a", 1, 0); /* 7 and 8 were missed */
    assert_int_equal(r.first, 9);
    assert_int_equal(r.count, 1);
    ct_runs_free(&r);
}

static void test_a_row_that_comes_again_takes_the_place_of_what_was_not_committed(void **state)
{
    (void)state;
    ct_runs r = {.first = 5};
    for (int64_t seq = 5; seq < 9; seq++) {
        ct_runs_add(&r, seq, 1, "a", 1, seq);
    }
    ct_runs_add(&r, 6, 1, "b", 1, 70);
    assert_int_equal(r.first, 5);
    assert_int_equal(r.count, 2);
    assert_int_equal(r.rows[1].operation_index, 70);
    ct_runs_free(&r);
}

static void test_what_takes_progress_back_ends_what_is_remembered(void **state)
{
    (void)state;
    ct_runs r = {.first = 5};
    ct_runs_add(&r, 5, 1, "a", 1, 0);
    ct_runs_rewind(&r, 6);
    assert_int_equal(r.first, 7);
    assert_int_equal(r.count, 0);
    ct_runs_free(&r);
}

static void test_numbers_near_the_end_are_not_remembered(void **state)
{
    (void)state;
    ct_runs r = {.first = 5};
    ct_runs_add(&r, INT64_MAX, 1, "a", 1, 0);
    assert_int_equal(r.count, 0);
    ct_runs_rewind(&r, INT64_MAX);
    assert_true(r.first < INT64_MAX - MOST);
    ct_runs_add(&r, INT64_MAX - 1, 1, "a", 1, 0);
    assert_int_equal(r.count, 0);
    ct_runs_free(&r);
}

static void test_no_more_than_a_million_rows_are_remembered(void **state)
{
    (void)state;
    ct_runs r = {.first = 1};
    for (int64_t seq = 1; seq <= MOST + 1; seq++) {
        ct_runs_add(&r, seq, 1, "a", 1, 0);
    }
    assert_int_equal(r.first, MOST + 1);
    assert_int_equal(r.count, 1);
    ct_runs_free(&r);
}

static void test_without_memory_a_row_is_missed(void **state)
{
    (void)state;
    ct_runs r = {.first = 5};
    memory_fail_after(0);
    ct_runs_add(&r, 5, 1, "a", 1, 0);
    assert_true(memory_has_failed());
    assert_int_equal(r.first, 6);
    assert_int_equal(r.count, 0);
    ct_runs_add(&r, 6, 1, "a", 1, 0);
    assert_int_equal(r.count, 1);
    ct_runs_free(&r);
}

static void test_what_others_have_covered_is_not_due(void **state)
{
    (void)state;
    const ct_runs all = {.first = 1, .covered = LONG, .count = LONG}, none = {.first = 1, .count = LONG};
    assert_false(ct_runs_due(&all));
    assert_true(ct_runs_due(&none) && ct_runs_overdue(&none));
}

/* ---------------------------------------------------------------- in the file */

static void test_a_run_is_written_once_there_are_enough_rows(void **state)
{
    fixture *f = *state;
    update_first(f->tracker, SHORT - 1, 1);
    assert_int_equal(runs(f), 0);
    update(f->tracker, "one more", 1);
    assert_int_equal(runs(f), 1);
    assert_int_equal(number(f, "SELECT first_seq FROM ctrack_run"), 1);
    assert_int_equal(number(f, "SELECT last_seq FROM ctrack_run"), SHORT);
    assert_int_equal(number(f, "SELECT sum(length(entries)) / 8 FROM ctrack_run_part"), SHORT);
    assert_int_equal(asked(f, "one more"), 1);
    assert_int_equal(asked(f, "doc-00000"), 1);
    assert_int_equal(asked(f, "doc-04094"), 1);
    assert_int_equal(asked(f, "doc-04095"), NEVER_SEEN);
    assert_asked_at_once(f, 0, SHORT - 1, 1);
}

static void test_a_long_run_takes_the_place_of_short_ones(void **state)
{
    fixture *f = *state;
    static const atomic_bool stop;
    update_first(f->tracker, KEYS, 0);
    assert_status(ct_fold_log(f->tracker, &stop, NULL, NULL), CTRACK_OK);
    f->tracker->store->folded_keys = 1000000; /* the keeper has nothing to do */
    for (int64_t index = 1; index <= 14; index++) {
        update_first(f->tracker, KEYS, index);
    }
    assert_true(runs(f) > 20);
    update_first(f->tracker, LONG - 1 - 14 * KEYS, 15);
    ctrack_coordinate last = at("doc-08999", 16);
    interrupt(f->tracker, "SELECT last_seq, first_part");
    assert_status(ctrack_update(f->tracker, &last, 1, NULL), CTRACK_IO);
    interrupt(f->tracker, NULL);
    assert_true(runs(f) > 20);
    update(f->tracker, "doc-08999", 15);
    update_first(f->tracker, KEYS, 16);
    assert_int_equal(number(f, "SELECT count(*) FROM ctrack_run WHERE last_seq - first_seq + 1 >= 131072"), 1);
    assert_true(runs(f) <= 3);
    assert_int_equal(number(f, "SELECT sum(parts) - (SELECT count(*) FROM ctrack_run_part) FROM ctrack_run"), 0);
    ctrack *other = open_model(f->path, "other"); /* it need not look at what the long run has */
    assert_asked_at_once(f, 0, KEYS, 16);
    close_tracker(&other);
}

static void test_the_tail_behind_the_newest_run_is_read_too(void **state)
{
    fixture *f = *state;
    update_first(f->tracker, 5000, 1);
    update(f->tracker, "doc-00003", 2); /* in the run, and behind it */
    update(f->tracker, "tail", 7);
    assert_int_equal(runs(f), 1);
    assert_int_equal(asked(f, "doc-00003"), 2);
    assert_int_equal(asked(f, "doc-00004"), 1);
    assert_int_equal(asked(f, "tail"), 7);
}

static void test_a_gap_before_the_first_run_is_read_too(void **state)
{
    fixture *f = *state;
    update(f->tracker, "gap", 7);
    update_first(f->tracker, 2 * SHORT, 1);
    db_run_once(f->path, "DELETE FROM ctrack_run WHERE first_seq = 1");
    assert_int_equal(runs(f), 1);
    assert_int_equal(asked(f, "gap"), 7);
    assert_asked_at_once(f, 0, 2 * SHORT, 1);
}

static void test_a_lower_index_counts_after_a_key_was_forgotten(void **state)
{
    fixture *f = *state;
    ctrack_key forgotten = key("doc-00003");
    update_first(f->tracker, 3000, 9);
    assert_status(ctrack_forget(f->tracker, &forgotten, 1, NULL), CTRACK_OK);
    update(f->tracker, "doc-00003", 3);
    update_first(f->tracker, 3, 10);
    for (int64_t index = 11; runs(f) == 0; index++) {
        update_first(f->tracker, 3, index);
        for (int i = 3; i < KEYS; i++) {
            keys[i].operation_index = index;
        }
        assert_status(ctrack_update(f->tracker, keys + 4, SHORT, NULL), CTRACK_OK);
    }
    assert_int_equal(asked(f, "doc-00003"), 3);
}

static void test_a_run_that_is_folded_in_part_answers_for_the_rest(void **state)
{
    fixture *f = *state;
    bool more;
    update_first(f->tracker, SHORT, 1);
    assert_status(ct_fold_some(f->tracker, 1000, &more, NULL), CTRACK_OK);
    assert_int_equal(runs(f), 1);
    assert_asked_at_once(f, 0, SHORT, 1);
    char *document = document_at(f, "SELECT document_id FROM ctrack_advance WHERE seq = 7"); /* which is folded */
    assert_int_equal(asked(f, document), 1);
    free(document);
}

static void test_runs_of_which_all_is_folded_are_deleted(void **state)
{
    fixture *f = *state;
    static const atomic_bool stop;
    update_first(f->tracker, 2 * SHORT + 10, 1);
    assert_int_equal(runs(f), 2);
    assert_status(ct_fold_log(f->tracker, &stop, NULL, NULL), CTRACK_OK);
    assert_int_equal(runs(f), 0);
    assert_int_equal(number(f, "SELECT count(*) FROM ctrack_run_part"), 0);
    assert_asked_at_once(f, 0, 2 * SHORT + 10, 1);
}

/* ---------------------------------------------------------------- by whom */

static void test_two_trackers_share_the_work(void **state)
{
    fixture *f = *state;
    ctrack *other = open_model(f->path, "other");
    update(other, "first", 1);
    for (int64_t index = 1; index <= 4; index++) {
        update_first(index % 2 == 0 ? other : f->tracker, 3000, index);
    }
    assert_true(runs(f) >= 2);
    assert_int_equal(number(f, "SELECT count(*) FROM ctrack_run AS a JOIN ctrack_run AS b ON a.last_seq < b.last_seq "
                               "AND b.first_seq <= a.last_seq"),
                     0);
    assert_int_equal(asked(f, "doc-00007"), 3);
    close_tracker(&other);
}

static void test_a_tracker_goes_on_where_another_process_has_stopped(void **state)
{
    fixture *f = *state;
    update_first(f->tracker, 2000, 1);
    f->tracker->store->read_only = true; /* it shall not fold when it closes */
    reopen(f);
    update_first(f->tracker, 3000, 2);
    assert_int_equal(number(f, "SELECT first_seq FROM ctrack_run"), 1);
    assert_asked_at_once(f, 0, 3000, 2);
}

static void test_rows_of_another_read_model_are_remembered_when_a_file_is_opened(void **state)
{
    fixture *f = *state;
    static const atomic_bool stop;
    update_first(f->tracker, 2000, 1);
    assert_status(ct_fold_log(f->tracker, &stop, NULL, NULL), CTRACK_OK);
    update_first(f->tracker, 2000, 2); /* named by their ids */
    ctrack_options options = CTRACK_OPTIONS_INIT;
    ctrack *other = NULL;
    options.read_only = true;
    options.read_model = "other"; /* which need not remember anything */
    assert_status(ctrack_open(f->path, &options, &other, NULL), CTRACK_OK);
    close_tracker(&other);
    other = open_model(f->path, "other");
    update_first(other, 3000, 3);
    assert_int_equal(number(f, "SELECT first_seq FROM ctrack_run"), 2001);
    close_tracker(&other);
    assert_asked_at_once(f, 0, 2000, 2);
}

static void test_the_keeper_writes_runs_over_what_others_have_staged(void **state)
{
    fixture *f = *state;
    update(f->tracker, "doc-1", 1);
    db_run_once(f->path, "INSERT INTO ctrack_advance (keyspace_id, document_id, operation_index, updated_at) "
                         "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 9000) "
                         "SELECT 1, 'staged-' || i, i, 0 FROM n");
    assert_status(ctrack_refresh(f->tracker, NULL), CTRACK_OK);
    while (runs(f) == 0) {
        ct_thread_nap(1000000);
    }
    assert_int_equal(number(f, "SELECT last_seq FROM ctrack_run"), 9001);
    assert_int_equal(asked(f, "staged-8999"), 8999);
}

/* ---------------------------------------------------------------- trouble */

static void test_an_update_whose_run_cannot_be_written_changes_nothing(void **state)
{
    fixture *f = *state;
    static const char *const statements[] = {"SELECT hash_seed", "SELECT max(id) FROM main.ctrack_run_part",
                                             "INSERT OR FAIL INTO main.ctrack_run_part",
                                             "INSERT OR FAIL INTO main.ctrack_run ("};
    update_first(f->tracker, SHORT - 1, 1);
    for (size_t i = 0; i < sizeof statements / sizeof statements[0]; i++) {
        ctrack_coordinate c = at("one more", 1);
        interrupt(f->tracker, statements[i]);
        assert_status(ctrack_update(f->tracker, &c, 1, NULL), CTRACK_IO);
        interrupt(f->tracker, NULL);
        assert_int_equal(latest(f->tracker, "one more"), NEVER_SEEN);
        assert_int_equal(runs(f), 0);
    }
    update(f->tracker, "one more", 1);
    assert_int_equal(runs(f), 1);
}

static int refuse_commit(void *argument)
{
    (void)argument;
    return 1;
}

static void test_an_update_that_can_prepare_no_statement_changes_nothing(void **state)
{
    fixture *f = *state;
    static const ct_statement missing[] = {CT_RUN_STATE, CT_RUN_LAST_PART, CT_RUN_ADD_PART, CT_RUN_ADD};
    update_first(f->tracker, SHORT - 1, 1);
    for (size_t i = 0; i < sizeof missing / sizeof missing[0]; i++) {
        ctrack_coordinate c = at("one more", 1);
        reopen(f);
        starve_of(f->tracker, missing[i]);
        sqlite3_finalize(f->tracker->store->statements[missing[i]]); /* loading has prepared one of them */
        f->tracker->store->statements[missing[i]] = NULL;
        assert_status(ctrack_update(f->tracker, &c, 1, NULL), CTRACK_IO);
        assert_int_equal(runs(f), 0);
    }
}

static ctrack_status trim(const fixture *f, bool *any)
{
    ct_store *store = f->tracker->store;
    assert_status(ct_store_begin(store, NULL), CTRACK_OK);
    ctrack_status status = ct_runs_trim(store, INT64_MAX, any, NULL);
    ct_store_rollback(store);
    return status;
}

static void test_runs_that_cannot_be_deleted_stay(void **state)
{
    fixture *f = *state;
    static const ct_statement missing[] = {CT_RUN_FIND, CT_RUN_DELETE_PARTS, CT_RUN_DELETE};
    static const char *const statements[] = {"SELECT last_seq, first_part", "DELETE FROM main.ctrack_run_part",
                                             "DELETE FROM main.ctrack_run WHERE"};
    bool any;
    update_first(f->tracker, SHORT, 1);
    for (int i = 0; i < 3; i++) {
        interrupt(f->tracker, statements[i]);
        assert_status(trim(f, &any), CTRACK_IO);
        interrupt(f->tracker, NULL);
    }
    for (int i = 0; i < 3; i++) {
        f->tracker->store->read_only = true; /* it shall not fold when it closes */
        reopen(f);
        starve_of(f->tracker, missing[i]);
        assert_status(trim(f, &any), CTRACK_IO);
    }
    assert_int_equal(runs(f), 1);
}

static void test_runs_are_deleted_in_pieces(void **state)
{
    fixture *f = *state;
    bool any;
    db_run_once(f->path, "PRAGMA ignore_check_constraints = 1; INSERT INTO ctrack_run VALUES (1, 1, 1, 0), "
                         "(2, 1, 1, 600), (3, 1, 1, 100), (4, 1, 1, 100)");
    for (int i = 0; i < 3; i++) {
        assert_status(ct_store_begin(f->tracker->store, NULL), CTRACK_OK);
        assert_status(ct_runs_trim(f->tracker->store, INT64_MAX, &any, NULL), CTRACK_OK);
        assert_true(any);
        assert_status(ct_store_commit(f->tracker->store, NULL), CTRACK_OK);
        assert_int_equal(runs(f), i == 2 ? 0 : 3 - i);
    }
}

static void test_numbers_that_cannot_be_keep_runs_from_being_written(void **state)
{
    fixture *f = *state;
    update_first(f->tracker, 100, 1);
    db_run_once(f->path,
                "PRAGMA ignore_check_constraints = 1; INSERT INTO ctrack_run VALUES (9223372036854775807, 1, 1, 1)");
    update_first(f->tracker, SHORT, 2);
    assert_int_equal(runs(f), 1);
    db_run_once(f->path, "PRAGMA ignore_check_constraints = 1; UPDATE ctrack_run SET last_seq = -7");
    f->tracker->store->read_only = true; /* it shall not fold when it closes */
    reopen(f);
    update_first(f->tracker, 1, 3);
    assert_int_equal(runs(f), 2);
}

static void test_what_others_have_folded_is_not_remembered_any_more(void **state)
{
    fixture *f = *state;
    update_first(f->tracker, SHORT - 1, 1);
    ctrack *other = open_model(f->path, "other");
    assert_status(ctrack_fold(other, NULL, NULL, NULL), CTRACK_OK);
    close_tracker(&other);
    update(f->tracker, "one more", 1);
    assert_int_equal(runs(f), 0);
    assert_int_equal(f->tracker->store->runs.count, 1);
}

static void test_after_a_commit_that_failed_runs_go_on(void **state)
{
    fixture *f = *state;
    update_first(f->tracker, SHORT - 1, 1);
    sqlite3_commit_hook(f->tracker->store->db, refuse_commit, NULL);
    ctrack_coordinate c = at("one more", 1);
    ctrack_status status = ctrack_update(f->tracker, &c, 1, NULL);
    assert_true(status != CTRACK_OK);
    sqlite3_commit_hook(f->tracker->store->db, NULL, NULL);
    f->tracker->store->broken = false;
    assert_int_equal(runs(f), 0);
    update_first(f->tracker, KEYS, 2);
    assert_true(runs(f) > 0);
    assert_asked_at_once(f, 0, KEYS, 2);
}

static void test_without_memory_for_a_run_the_update_fails(void **state)
{
    fixture *f = *state;
    update_first(f->tracker, SHORT - 1, 1);
    MEMORY_SWEEP(place, failed)
    {
        ctrack_coordinate c = at("one more", 1);
        memory_fail_after(place);
        ctrack_status status = ctrack_update(f->tracker, &c, 1, NULL);
        failed = memory_has_failed();
        assert_status(status, failed ? CTRACK_NO_MEMORY : CTRACK_OK);
        assert_int_equal(latest(f->tracker, "one more"), failed ? NEVER_SEEN : 1);
    }
    assert_int_equal(asked(f, "one more"), 1);
}

static void test_a_seed_that_is_another_makes_what_is_remembered_useless(void **state)
{
    fixture *f = *state;
    update_first(f->tracker, 100, 1);
    f->tracker->store->runs.seed++;
    update_first(f->tracker, SHORT, 2);
    assert_int_equal(runs(f), 0);
    update_first(f->tracker, SHORT, 3);
    assert_asked_at_once(f, 0, SHORT, 3);
}

static void test_runs_without_a_number_left_are_damage(void **state)
{
    fixture *f = *state;
    update_first(f->tracker, SHORT - 1, 1);
    static const char *const last[] = {"9223372036854775807", "-5"};
    for (int i = 0; i < 2; i++) {
        char sql[160];
        snprintf(sql, sizeof sql,
                 "PRAGMA ignore_check_constraints = 1; DELETE FROM ctrack_run_part; INSERT INTO ctrack_run_part VALUES "
                 "(%s, x'')",
                 last[i]);
        db_run_once(f->path, sql);
        ctrack_coordinate c = at("one more", 1);
        assert_status(ctrack_update(f->tracker, &c, 1, &f->error), CTRACK_CORRUPT);
        assert_contains(f->error.message, "no number left");
    }
}

/* ---------------------------------------------------------------- questions of damaged files */

static void test_a_run_that_is_not_whole_is_damage(void **state)
{
    fixture *f = *state;
    static const char *const damages[] = {
        "DELETE FROM ctrack_run_part",
        "UPDATE ctrack_run_part SET entries = zeroblob(80000)",
        "UPDATE ctrack_run SET first_part = 0",
        "UPDATE ctrack_run SET first_part = 9223372036854775807",
        "UPDATE ctrack_run SET parts = 0",
        "UPDATE ctrack_run SET parts = 4294967296",
        "UPDATE ctrack_run SET first_seq = 0",
        "UPDATE ctrack_run SET first_seq = 9000",
        "UPDATE ctrack_run SET last_seq = 9223372036854775807, first_seq = 9223372036854775807",
    };
    update_first(f->tracker, SHORT, 1);
    for (size_t i = 0; i < sizeof damages / sizeof damages[0]; i++) {
        sqlite3 *db = db_open(f->path);
        db_run(db, "PRAGMA ignore_check_constraints = 1; BEGIN");
        db_run(db, damages[i]);
        ctrack_coordinate c = at("doc-00003", 5);
        ctrack_error error;
        assert_status(ctrack_satisfied_in(db, NULL, &c, 1, &error), CTRACK_CORRUPT);
        assert_contains(error.message, "the run that ends at seq");
        db_run(db, "ROLLBACK");
        db_close(db);
    }
}

static ctrack_status look_up(const fixture *f, const char *document, int64_t *index)
{
    ctrack_key asked_for = key(document);
    return ct_store_look_up(f->tracker->store, &asked_for, index, NULL);
}

/* A connection that can prepare nothing more than it has. */
static void starve(const fixture *f)
{
    sqlite3_limit(f->tracker->store->db, SQLITE_LIMIT_SQL_LENGTH, 1);
}

static void test_a_question_that_cannot_be_carried_through_says_so(void **state)
{
    fixture *f = *state;
    static const char *const statements[] = {"SELECT id FROM \"main\"",        "SELECT c.id, l.oper",
                                             "SELECT folded_seq, hash_seed",   "SELECT last_seq, first_seq",
                                             "SELECT coordinate_id, keyspace", "SELECT entries FROM"};
    int64_t index = 77;
    update_first(f->tracker, SHORT + 5, 1);
    for (size_t i = 0; i < sizeof statements / sizeof statements[0]; i++) {
        interrupt(f->tracker, statements[i]);
        assert_status(look_up(f, "doc-00003", &index), CTRACK_IO);
        assert_status(ctrack_satisfied_in(f->tracker->store->db, NULL, keys, 2, NULL), CTRACK_IO);
        interrupt(f->tracker, NULL);
    }
    assert_int_equal(index, 77);
    assert_status(look_up(f, "doc-00003", &index), CTRACK_OK);
    assert_int_equal(index, 1);
}

static void test_a_question_that_can_prepare_no_statement_says_so(void **state)
{
    fixture *f = *state;
    int64_t index = 77;
    update(f->tracker, "doc-00003", 1);
    starve(f); /* of all */
    assert_status(look_up(f, "doc-00003", &index), CTRACK_IO);
    reopen(f);
    assert_status(look_up(f, "other", &index), CTRACK_OK);
    reopen(f);
    ctrack_key elsewhere = {"doc-00003", "elsewhere", "main"};
    assert_status(ct_store_look_up(f->tracker->store, &elsewhere, &index, NULL), CTRACK_OK);
    starve(f); /* of what is folded */
    assert_status(look_up(f, "doc-00003", &index), CTRACK_IO);
    reopen(f);
    assert_status(ctrack_fold(f->tracker, NULL, NULL, NULL), CTRACK_OK);
    assert_status(look_up(f, "doc-00003", &index), CTRACK_OK);
    update(f->tracker, "doc-00003", 2);
    starve(f); /* of runs */
    assert_status(look_up(f, "doc-00003", &index), CTRACK_IO);
    sqlite3_limit(f->tracker->store->db, SQLITE_LIMIT_SQL_LENGTH, 1000000);
    assert_status(look_up(f, "doc-00003", &index), CTRACK_OK);
    update_first(f->tracker, SHORT, 3);
    starve(f); /* of parts */
    assert_status(look_up(f, "doc-00003", &index), CTRACK_IO);
    sqlite3_limit(f->tracker->store->db, SQLITE_LIMIT_SQL_LENGTH, 1000000);
    assert_status(look_up(f, "never", &index), CTRACK_OK);
    starve(f); /* of rows that a run names */
    assert_status(look_up(f, "doc-00003", &index), CTRACK_IO);
    f->tracker->store->read_only = true; /* it shall not fold when it closes */
    reopen(f);
    while (number(f, "SELECT (SELECT max(last_seq) FROM ctrack_run) < (SELECT max(seq) FROM ctrack_advance)") != 0) {
        update(f->tracker, "doc-00003", ++index);
    }
    assert_status(look_up(f, "doc-00003", &index), CTRACK_OK);
    update(f->tracker, "doc-00003", index + 1);
    starve(f); /* of rows behind them */
    assert_status(look_up(f, "doc-00003", &index), CTRACK_IO);
}

static void test_a_question_for_which_there_is_no_memory_says_so(void **state)
{
    fixture *f = *state;
    update(f->tracker, "doc-1", 5);
    MEMORY_SWEEP(place, failed)
    {
        int64_t index = 77;
        memory_fail_after(place);
        ctrack_status status = look_up(f, "doc-1", &index);
        failed = memory_has_failed();
        assert_status(status, failed ? CTRACK_NO_MEMORY : CTRACK_OK);
        assert_int_equal(index, failed ? 77 : 5);
    }
}

static void test_questions_of_damaged_files_say_so(void **state)
{
    fixture *f = *state;
    static const char *const damages[] = {
        "DELETE FROM ctrack_fold",
        "UPDATE ctrack_fold SET folded_seq = -5",
        "UPDATE ctrack_latest SET operation_index = -5",
        "UPDATE ctrack_advance SET operation_index = -5 WHERE seq = 2",
        "UPDATE ctrack_advance SET operation_index = NULL WHERE seq = 2",
    };
    update(f->tracker, "doc-1", 5);
    assert_status(ctrack_fold(f->tracker, NULL, NULL, NULL), CTRACK_OK);
    update(f->tracker, "doc-1", 6);
    for (size_t i = 0; i < sizeof damages / sizeof damages[0]; i++) {
        sqlite3 *db = db_open(f->path);
        db_run(db, "PRAGMA ignore_check_constraints = 1; BEGIN");
        db_run(db, damages[i]);
        ctrack_coordinate c = at("doc-1", 7);
        assert_status(ctrack_satisfied_in(db, NULL, &c, 1, NULL), CTRACK_CORRUPT);
        db_run(db, "ROLLBACK; BEGIN; UPDATE ctrack_advance SET coordinate_id = NULL WHERE seq = 2");
        assert_status(ctrack_satisfied_in(db, NULL, &c, 1, NULL), CTRACK_PENDING); /* it is nobody's */
        db_run(db, "ROLLBACK");
        db_close(db);
    }
}

static int compare_places(const void *a, const void *b)
{
    const ct_run_entry *left = a, *right = b;
    return (left->place > right->place) - (left->place < right->place);
}

/* Keys with the same place in runs are told apart by the rows themselves. */
static void test_keys_that_share_a_place_are_told_apart(void **state)
{
    fixture *f = *state;
    enum { TRIED = 1 << 20 };
    update(f->tracker, "doc-1", 1);
    int64_t seed = f->tracker->store->runs.seed, keyspace = number(f, "SELECT id FROM ctrack_keyspace");
    ct_run_entry *all = malloc(TRIED * sizeof *all);
    assert_non_null(all);
    char name[2][20];
    for (uint32_t i = 0; i < TRIED; i++) { /* the second half in the next keyspace */
        int length = snprintf(name[0], sizeof name[0], "%u", i % (TRIED / 2));
        all[i] =
            (ct_run_entry){ct_run_place(ct_run_key_of(seed, keyspace + (i >= TRIED / 2), name[0], (size_t)length)), i};
    }
    qsort(all, TRIED, sizeof *all, compare_places);
    int found[2] = {0, 0};
    for (uint32_t i = 1; i < TRIED; i++) {
        uint32_t a = all[i - 1].offset, b = all[i].offset;
        int across = (a >= TRIED / 2) != (b >= TRIED / 2);
        if (all[i - 1].place != all[i].place || (!across && a >= TRIED / 2) || found[across] == 3) {
            continue;
        }
        found[across]++;
        ctrack_coordinate pair[2];
        for (int k = 0; k < 2; k++) {
            uint32_t n = k == 0 ? a : b;
            snprintf(name[k], sizeof name[k], "%u", n % (TRIED / 2));
            pair[k] = coordinate(name[k], "document", n >= TRIED / 2 ? "next" : "main", 5 + k);
        }
        assert_status(ctrack_update(f->tracker, pair, 1, NULL), CTRACK_OK);
        struct sqlite3 *db = db_open(f->path);
        assert_status(ctrack_satisfied_in(db, NULL, pair, 2, NULL), CTRACK_PENDING);
        assert_status(ctrack_satisfied_in(db, NULL, pair, 1, NULL), CTRACK_OK);
        assert_status(ctrack_update(f->tracker, pair + 1, 1, NULL), CTRACK_OK);
        assert_status(ctrack_satisfied_in(db, NULL, pair, 2, NULL), CTRACK_OK);
        db_close(db);
    }
    free(all);
    assert_true(found[0] > 0 && found[1] > 0);
}

static void test_runs_that_overlap_are_both_asked(void **state)
{
    fixture *f = *state;
    update_first(f->tracker, 2 * SHORT, 1);
    db_run_once(f->path, "UPDATE ctrack_run SET first_seq = 1");
    char *document = document_at(f, "SELECT document_id FROM ctrack_advance WHERE seq = 7");
    assert_int_equal(asked(f, document), 1);
    free(document);
}

static void test_an_entry_that_lies_costs_a_look_only(void **state)
{
    fixture *f = *state;
    update_first(f->tracker, SHORT, 1);
    char *document = document_at(f, "SELECT document_id FROM ctrack_advance WHERE seq = 7");
    db_run_once(f->path, "UPDATE ctrack_run SET first_seq = first_seq + 4000"); /* its rows are not there any more */
    assert_int_equal(asked(f, document), 1);                                    /* read row by row */
    free(document);
}

static void test_a_row_that_is_missing_answers_nothing(void **state)
{
    fixture *f = *state;
    update_first(f->tracker, SHORT, 1);
    char *document = document_at(f, "SELECT document_id FROM ctrack_advance WHERE seq = 7");
    db_run_once(f->path, "DELETE FROM ctrack_advance WHERE seq = 7");
    assert_int_equal(asked(f, document), NEVER_SEEN);
    free(document);
}

static void test_a_row_without_a_key_answers_nothing(void **state)
{
    fixture *f = *state;
    update_first(f->tracker, SHORT, 1);
    char *document = document_at(f, "SELECT document_id FROM ctrack_advance WHERE seq = 7");
    db_run_once(f->path,
                "PRAGMA ignore_check_constraints = 1; UPDATE ctrack_advance SET document_id = NULL WHERE seq = 7");
    assert_int_equal(asked(f, document), NEVER_SEEN);
    free(document);
}

static void test_a_question_that_is_answered_takes_a_higher_index_along(void **state)
{
    fixture *f = *state;
    const ctrack_coordinate both[] = {at("doc-1", 3), at("doc-2", 9)};
    update(f->tracker, "doc-1", 5);
    update(f->tracker, "doc-2", 1);
    db_run_once(f->path, "INSERT INTO ctrack_progress VALUES ('default', 'doc-1', 'document', 'main', 3, NULL)");
    sqlite3 *db = db_open(f->path);
    ctrack_error error;
    assert_status(ctrack_satisfied_in(db, NULL, both, 2, &error), CTRACK_PENDING);
    assert_contains(error.message, "1 of 2 coordinates missing: doc-2");
    db_close(db);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows_that_follow_each_other_are_remembered),
        cmocka_unit_test(test_a_row_that_comes_again_takes_the_place_of_what_was_not_committed),
        cmocka_unit_test(test_what_takes_progress_back_ends_what_is_remembered),
        cmocka_unit_test(test_numbers_near_the_end_are_not_remembered),
        cmocka_unit_test(test_no_more_than_a_million_rows_are_remembered),
        cmocka_unit_test(test_without_memory_a_row_is_missed),
        cmocka_unit_test(test_what_others_have_covered_is_not_due),
        TEST_ON_FILE(test_a_run_is_written_once_there_are_enough_rows),
        TEST_ON_FILE(test_a_long_run_takes_the_place_of_short_ones),
        TEST_ON_FILE(test_the_tail_behind_the_newest_run_is_read_too),
        TEST_ON_FILE(test_a_gap_before_the_first_run_is_read_too),
        TEST_ON_FILE(test_a_lower_index_counts_after_a_key_was_forgotten),
        TEST_ON_FILE(test_a_run_that_is_folded_in_part_answers_for_the_rest),
        TEST_ON_FILE(test_runs_of_which_all_is_folded_are_deleted),
        TEST_ON_FILE(test_two_trackers_share_the_work),
        TEST_ON_FILE(test_a_tracker_goes_on_where_another_process_has_stopped),
        TEST_ON_FILE(test_rows_of_another_read_model_are_remembered_when_a_file_is_opened),
        TEST_ON_FILE(test_the_keeper_writes_runs_over_what_others_have_staged),
        TEST_ON_FILE(test_an_update_whose_run_cannot_be_written_changes_nothing),
        TEST_ON_FILE(test_an_update_that_can_prepare_no_statement_changes_nothing),
        TEST_ON_FILE(test_runs_that_cannot_be_deleted_stay),
        TEST_ON_FILE(test_runs_are_deleted_in_pieces),
        TEST_ON_FILE(test_numbers_that_cannot_be_keep_runs_from_being_written),
        TEST_ON_FILE(test_what_others_have_folded_is_not_remembered_any_more),
        TEST_ON_FILE(test_a_question_that_cannot_be_carried_through_says_so),
        TEST_ON_FILE(test_a_question_that_can_prepare_no_statement_says_so),
        TEST_ON_FILE(test_a_question_for_which_there_is_no_memory_says_so),
        TEST_ON_FILE(test_questions_of_damaged_files_say_so),
        TEST_ON_FILE(test_keys_that_share_a_place_are_told_apart),
        TEST_ON_FILE(test_runs_that_overlap_are_both_asked),
        TEST_ON_FILE(test_a_row_that_is_missing_answers_nothing),
        TEST_ON_FILE(test_a_row_without_a_key_answers_nothing),
        TEST_ON_FILE(test_a_question_that_is_answered_takes_a_higher_index_along),
        TEST_ON_FILE(test_after_a_commit_that_failed_runs_go_on),
        TEST_ON_FILE(test_without_memory_for_a_run_the_update_fails),
        TEST_ON_FILE(test_a_seed_that_is_another_makes_what_is_remembered_useless),
        TEST_ON_FILE(test_runs_without_a_number_left_are_damage),
        TEST_ON_FILE(test_a_run_that_is_not_whole_is_damage),
        TEST_ON_FILE(test_an_entry_that_lies_costs_a_look_only),
    };
    make_keys(NULL);
    return SUPPORT_MAIN(argc, argv, "runs", tests, NULL);
}
