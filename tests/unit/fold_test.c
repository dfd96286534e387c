/* SPDX-License-Identifier: MIT */
/* Folding, as the keeper does it: in pieces, beside others, and of files that are damaged. */
#include "support.h"

#include <limits.h>
#include <sched.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>

#include "error.h"
#include "fold.h"
#include "interrupt.h"
#include "keeper.h"
#include "out_of_memory.h"
#include "reclaim.h"
#include "tracker.h"
#include "wal.h"

/* ---------------------------------------------------------------- a full disk */

/* So many commits find no room, and while the disk is stuck moving the log makes none. */
static long full;
static bool stuck;

ctrack_status __real_ct_wal_prepare(ct_store *store, ctrack_error *error);
ctrack_status __wrap_ct_wal_prepare(ct_store *store, ctrack_error *error);
ctrack_status __wrap_ct_wal_prepare(ct_store *store, ctrack_error *error)
{
    if (full == 0) {
        return __real_ct_wal_prepare(store, error);
    }
    full--;
    return ct_error_set(error, CTRACK_FULL, "the disk is full");
}

ctrack_status __real_ct_store_reclaim(ct_store *store, ctrack_error *error);
ctrack_status __wrap_ct_store_reclaim(ct_store *store, ctrack_error *error);
ctrack_status __wrap_ct_store_reclaim(ct_store *store, ctrack_error *error)
{
    return stuck ? ct_error_set(error, CTRACK_IO, "the disk is stuck") : __real_ct_store_reclaim(store, error);
}

/* ---------------------------------------------------------------- folding */

static ctrack_status fold(fixture *f)
{
    static const atomic_bool stop;
    return ct_fold_log(f->tracker, &stop, NULL, &f->error);
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

static void test_rows_that_were_trimmed_before_they_were_seen_are_read_where_they_were_folded(void **state)
{
    fixture *f = *state;
    spoil(f, "INSERT INTO ctrack_keyspace VALUES (1, 'default', 'document', 'main');"
             "INSERT INTO ctrack_coordinate VALUES (1, 1, 'doc-1'), (2, 1, 'doc-2');"
             "INSERT INTO ctrack_latest VALUES (1, 6, 0), (2, 6, 0); UPDATE ctrack_fold SET folded_seq = 4;"
             "INSERT INTO ctrack_advance (seq, coordinate_id, operation_index, updated_at) VALUES (5, 1, 7, 0)");
    assert_status(ctrack_refresh(f->tracker, NULL), CTRACK_OK);
    assert_int_equal(latest(f->tracker, "doc-1"), 7);
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

/* ---------------------------------------------------------------- between two pieces */

/* What somebody else does once, when a statement of the fold begins. */
typedef struct meanwhile {
    const char *statement;
    ctrack *other;
    void (*act)(ctrack *other);
    bool done;
} meanwhile;

static int act_meanwhile(unsigned event, void *argument, void *statement, void *text)
{
    meanwhile *m = argument;
    (void)event;
    (void)statement;
    if (!m->done && strcmp(text, m->statement) == 0) {
        m->done = true;
        m->act(m->other);
    }
    return 0;
}

static void forget_doc(ctrack *other)
{
    ctrack_key gone = key("doc-1");
    ctrack_forget(other, &gone, 1, NULL);
}

static void forget_and_trim(ctrack *other)
{
    struct sqlite3 *db = other->store->db;
    forget_doc(other);
    sqlite3_exec(db, "DELETE FROM ctrack_advance WHERE seq < (SELECT max(seq) FROM ctrack_advance)", NULL, NULL, NULL);
}

/* In a turn of its own: the keeper may be at work. */
static ctrack_status fold_some(ctrack *tracker, int64_t most, bool *more)
{
    ct_ticket ticket = {0};
    ct_turn_take(&tracker->turn, &ticket);
    ctrack_status status = ct_fold_some(tracker, most, more, NULL);
    ct_turn_pass(&tracker->turn, &ticket, &ticket);
    return status;
}

static void fold_a_piece(ctrack *other)
{
    bool more;
    fold_some(other, 1000, &more);
}

static void unfold(ctrack *other)
{
    sqlite3_exec(other->store->db, "UPDATE ctrack_fold SET folded_seq = 1", NULL, NULL, NULL);
}

/* Folds more rows than a piece reads, and somebody else does something in between. */
static ctrack_status fold_while(fixture *f, const char *statement, void (*act)(ctrack *other),
                                ctrack_status (*how)(fixture *f))
{
    meanwhile m = {.statement = statement, .other = open_file(f->path), .act = act};
    update(f->tracker, "doc-1", 1);
    update_many(f->tracker, 1);
    assert_status(ctrack_refresh(m.other, NULL), CTRACK_OK);
    sqlite3_trace_v2(f->tracker->store->db, SQLITE_TRACE_STMT, act_meanwhile, &m);
    ctrack_status status = how(f);
    sqlite3_trace_v2(f->tracker->store->db, 0, NULL, NULL);
    assert_true(m.done);
    close_tracker(&m.other);
    return status;
}

static void assert_folded(fixture *f, int64_t keys)
{
    assert_status(fold(f), CTRACK_OK);
    assert_status(ctrack_check(f->path, -1, NULL, NULL, NULL, NULL), CTRACK_OK);
    assert_int_equal(number(f, "SELECT count(*) FROM ctrack_latest"), keys);
}

static void test_a_forget_between_two_pieces_gives_the_fold_up(void **state)
{
    fixture *f = *state;
    assert_status(fold_while(f, "ROLLBACK", forget_doc, fold), CTRACK_ABORTED); /* as the first piece has been read */
    assert_folded(f, KEYS);
}

static void test_a_forget_that_has_been_trimmed_gives_the_fold_up_too(void **state)
{
    fixture *f = *state;
    assert_status(fold_while(f, "ROLLBACK", forget_and_trim, fold), CTRACK_ABORTED);
    assert_folded(f, KEYS);
}

static void test_others_may_fold_between_two_pieces(void **state)
{
    fixture *f = *state;
    assert_status(fold_while(f, "ROLLBACK", fold_a_piece, fold), CTRACK_OK);
    assert_int_equal(ct_fold_backlog(f->tracker->store), 0);
    assert_folded(f, KEYS + 1);
}

/* An older state, in which the same numbers and ids stand for other keys, is put into the place of the file's content. */
static void put_back(ctrack *other)
{
    struct sqlite3 *target = db_open(ct_store_path(other->store)), *source = NULL;
    char path[300];
    snprintf(path, sizeof path, "%s.old", ct_store_path(other->store));
    sqlite3_open(path, &source);
    sqlite3_backup *backup = sqlite3_backup_init(target, "main", source, "main");
    sqlite3_backup_step(backup, -1);
    sqlite3_backup_finish(backup);
    sqlite3_close(source);
    db_close(target);
}

static void test_another_state_of_the_file_between_two_pieces_gives_the_fold_up(void **state)
{
    fixture *f = *state;
    char path[300];
    snprintf(path, sizeof path, "%s.old", f->path);
    ctrack *old = open_file(path);
    for (int64_t index = 1; index <= 3; index++) {
        update(old, "other", index);
    }
    close_tracker(&old);
    assert_status(fold_while(f, "ROLLBACK", put_back, fold), CTRACK_ABORTED);
    assert_status(fold(f), CTRACK_ABORTED); /* nor is one begun before the tracker has followed */
    assert_int_equal(number(f, "SELECT folded_seq FROM ctrack_fold"), 0);
    assert_status(ctrack_refresh(f->tracker, NULL), CTRACK_OK);
    assert_folded(f, 1);
    assert_int_equal(latest(f->tracker, "other"), 3);
    assert_int_equal(latest(f->tracker, "doc-1"), NEVER_SEEN);
}

static ctrack_status fold_wholly(fixture *f)
{
    return ctrack_fold(f->tracker, NULL, NULL, &f->error);
}

static ctrack_status forget_another(fixture *f)
{
    ctrack_key gone = key("doc-00003");
    return ctrack_forget(f->tracker, &gone, 1, &f->error);
}

static void test_fold_begins_anew_when_progress_is_taken_back(void **state)
{
    fixture *f = *state;
    assert_status(fold_while(f, "ROLLBACK", forget_doc, fold_wholly), CTRACK_OK);
    assert_folded(f, KEYS);
}

static void test_forgetting_goes_on_when_another_forgets(void **state)
{
    fixture *f = *state;
    assert_status(fold_while(f, "BEGIN IMMEDIATE", forget_doc, forget_another), CTRACK_OK);
    assert_folded(f, KEYS - 1);
}

static const ctrack *starving;

static void fold_a_piece_and_starve(ctrack *other)
{
    fold_a_piece(other);
    sqlite3_limit(starving->store->db, SQLITE_LIMIT_SQL_LENGTH, 1);
}

static void test_a_fold_that_cannot_tell_what_others_have_folded_is_given_up(void **state)
{
    fixture *f = *state;
    starving = f->tracker;
    starve_of(f->tracker, CT_FOLD_REWOUND);
    sqlite3_limit(f->tracker->store->db, SQLITE_LIMIT_SQL_LENGTH, 1000000);
    assert_status(fold_while(f, "ROLLBACK", fold_a_piece_and_starve, fold), CTRACK_IO);
    sqlite3_limit(f->tracker->store->db, SQLITE_LIMIT_SQL_LENGTH, 1000000);
    assert_folded(f, KEYS + 1);
}

static void test_a_fold_that_is_undone_is_given_up(void **state)
{
    fixture *f = *state;
    update_many(f->tracker, 1);
    assert_folded(f, KEYS);
    update_many(f->tracker, 2);
    assert_status(fold_while(f, "ROLLBACK", unfold, fold), CTRACK_ABORTED);
}

/* ---------------------------------------------------------------- in bounded steps */

/* How many rows statements have raised in the transaction under way, and at most in any. */
typedef struct raising {
    int now, most;
} raising;

static int count_raised(unsigned event, void *argument, void *statement, void *text)
{
    raising *r = argument;
    (void)event;
    (void)statement;
    bool begins = strcmp(text, "BEGIN IMMEDIATE") == 0;
    bool raises = strncmp(text, "INSERT OR FAIL INTO main.ctrack_latest", 38) == 0;
    r->now = begins ? 0 : r->now + (raises ? CT_MANY : 0);
    r->most = r->now > r->most ? r->now : r->most;
    return 0;
}

static void forget_with_little_folding(fixture *f, const char *before)
{
    enum { MOST = 8192 }; /* fewer than there are keys */
    raising r = {0, 0};
    ctrack_key gone = key("doc-00007");
    for (int64_t i = 1; i <= 4; i++) {
        update_many(f->tracker, i);
    }
    db_run_once(f->path, before);
    sqlite3_trace_v2(f->tracker->store->db, SQLITE_TRACE_STMT, count_raised, &r);
    assert_status(ctrack_forget(f->tracker, &gone, 1, NULL), CTRACK_OK);
    sqlite3_trace_v2(f->tracker->store->db, 0, NULL, NULL);
    assert_in_range(r.most, 1, MOST);
    assert_int_equal(latest(f->tracker, "doc-00007"), NEVER_SEEN);
    assert_int_equal(number(f, "SELECT count(*) FROM ctrack_latest"), KEYS - 1);
}

static void test_forgetting_a_key_folds_little_in_its_transaction(void **state)
{
    forget_with_little_folding(*state, "SELECT 1");
}

static void test_forgetting_folds_little_after_a_change_of_the_hosts_schema_too(void **state)
{
    forget_with_little_folding(*state, "CREATE TABLE hosts (a)");
}

static void test_a_log_is_folded_and_trimmed_part_by_part(void **state)
{
    fixture *f = *state;
    bool more = true;
    int parts = 0;
    f->tracker->store->folded_keys = 1000000; /* nothing for the keeper to do */
    for (int64_t i = 1; i <= 10; i++) {
        update_many(f->tracker, i);
    }
    for (; more; parts++) {
        assert_status(fold_some(f->tracker, 8000, &more), CTRACK_OK);
    }
    assert_int_equal(parts, 13); /* the last one only looks */
    assert_int_equal(ct_fold_backlog(f->tracker->store), 0);
    assert_int_equal(number(f, "SELECT count(*) FROM ctrack_advance"), 65536);
    assert_folded(f, KEYS);
}

static void test_a_full_disk_has_the_log_folded_when_moving_it_was_not_enough(void **state)
{
    fixture *f = *state;
    ct_ticket ticket = {0};
    update_many(f->tracker, 1);
    ct_turn_take(&f->tracker->turn, &ticket);
    bool moved = ct_reclaim(f->tracker, 0);
    int64_t left = ct_fold_backlog(f->tracker->store);
    bool folded = ct_reclaim(f->tracker, 1), again = ct_reclaim(f->tracker, 2);
    ct_turn_pass(&f->tracker->turn, &ticket, &ticket);
    assert_true(moved && folded && !again);
    assert_int_equal(left, KEYS);
    assert_int_equal(ct_fold_backlog(f->tracker->store), 0);
    assert_folded(f, KEYS);
}

static void test_a_fold_that_finds_the_disk_full_goes_on_once_there_is_room(void **state)
{
    fixture *f = *state;
    update_many(f->tracker, 1);
    full = 1;
    assert_status(fold(f), CTRACK_OK);
    assert_int_equal(full, 0);
    assert_folded(f, KEYS);
    update_many(f->tracker, 2);
    full = 1;
    stuck = true;
    ctrack_status status = fold(f);
    stuck = false;
    assert_status(status, CTRACK_FULL);
    assert_status(f->error.status, CTRACK_FULL);
    assert_folded(f, KEYS);
}

static int read_text(void *data, size_t size, size_t *got, void *argument)
{
    const char **text = argument;
    *got = strlen(*text) < size ? strlen(*text) : size;
    memcpy(data, *text, *got);
    *text += *got;
    return 0;
}

static void test_a_disk_that_stays_full_takes_nothing_back(void **state)
{
    fixture *f = *state;
    ctrack_key gone = key("doc-1");
    const char *text = "[[\"doc-2:document:main\",5]]";
    update(f->tracker, "doc-1", 5);
    full = LONG_MAX;
    ctrack_status forgotten = ctrack_forget(f->tracker, &gone, 1, NULL);
    ctrack_status restored = ctrack_restore(f->tracker, read_text, &text, "text", CTRACK_RESTORE_REPLACE, NULL, NULL);
    full = 0;
    assert_status(forgotten, CTRACK_FULL);
    assert_status(restored, CTRACK_FULL);
    assert_int_equal(latest(f->tracker, "doc-1"), 5);
    assert_int_equal(latest(f->tracker, "doc-2"), NEVER_SEEN);
    assert_status(ctrack_forget(f->tracker, &gone, 1, NULL), CTRACK_OK);
    assert_int_equal(latest(f->tracker, "doc-1"), NEVER_SEEN);
}

static void test_a_part_that_cannot_be_begun_is_not_folded(void **state)
{
    fixture *f = *state;
    bool more;
    update(f->tracker, "doc-1", 5);
    interrupt(f->tracker, "SELECT folded_seq, (SELECT min(seq)");
    assert_status(fold_some(f->tracker, 100, &more), CTRACK_IO);
    interrupt(f->tracker, NULL);
    memory_fail_after(0);
    ctrack_status status = fold_some(f->tracker, 100, &more);
    assert_true(memory_has_failed());
    assert_status(status, CTRACK_NO_MEMORY);
    assert_int_equal(ct_fold_backlog(f->tracker->store), 1);
    assert_folded(f, 1);
}

static void test_what_cannot_be_folded_in_pieces_is_left_after_a_few_tries(void **state)
{
    fixture *f = *state;
    update_many(f->tracker, 1);
    atomic_store(&f->tracker->keeper.stopping, true); /* as if progress was taken back each time */
    assert_status(ct_fold_nearly_all(f->tracker, NULL), CTRACK_OK);
    atomic_store(&f->tracker->keeper.stopping, false);
    assert_int_equal(ct_fold_backlog(f->tracker->store), KEYS);
}

static void test_closing_folds_what_nobody_has_folded(void **state)
{
    fixture *f = *state;
    update_many(f->tracker, 1);
    close_tracker(&f->tracker);
    assert_in_range(number(f, "SELECT folded_seq FROM ctrack_fold"), 4096, KEYS); /* it takes 50 ms or one piece */
}

static void test_closing_leaves_a_short_log(void **state)
{
    fixture *f = *state;
    update(f->tracker, "doc-1", 1);
    close_tracker(&f->tracker);
    assert_int_equal(number(f, "SELECT folded_seq FROM ctrack_fold"), 0);
}

static void test_closing_waits_for_no_lock(void **state)
{
    fixture *f = *state;
    update_many(f->tracker, 1);
    struct sqlite3 *writer = db_open(f->path);
    db_run(writer, "BEGIN IMMEDIATE");
    int64_t start = now_ns();
    close_tracker(&f->tracker);
    assert_in_range(now_ns() - start, 0, INT64_C(2000000000)); /* the busy timeout is 5 s */
    db_run(writer, "ROLLBACK");
    db_close(writer);
    assert_int_equal(number(f, "SELECT folded_seq FROM ctrack_fold"), 0);
}

/* ---------------------------------------------------------------- the keeper */

static atomic_int expected, complaints;

static void complain(ctrack_status status, const char *message, void *argument)
{
    fixture *f = argument;
    (void)message;
    if (status == (ctrack_status)atomic_load(&expected) && atomic_fetch_add(&complaints, 1) == 1) {
        gate_open(&f->gate);
    }
}

/* Opens a tracker whose log callback opens the gate at the second complaint of this status. */
static void open_to_hear(fixture *f, ctrack_status status)
{
    ctrack_options options = CTRACK_OPTIONS_INIT;
    options.log = complain;
    options.log_argument = f;
    atomic_store(&expected, (int)status);
    atomic_store(&complaints, 0);
    assert_status(ctrack_open(f->path, &options, &f->tracker, NULL), CTRACK_OK);
}

static void test_a_keeper_that_fails_rests_and_tries_again(void **state)
{
    fixture *f = *state;
    open_to_hear(f, CTRACK_IO);
    ct_store *store = f->tracker->store;
    store->broken = true;
    store->folded_seq = -1000000; /* folding is due */
    ct_keeper_consider(f->tracker);
    gate_pass(&f->gate);
    assert_int_equal(atomic_load(&complaints), 2);
}

static void test_a_keeper_reads_what_was_changed_before_it_folds(void **state)
{
    fixture *f = *state;
    ct_store *store = f->tracker->store;
    db_run_once(f->path, "CREATE TABLE hosts (a)");
    int64_t changed = number(f, "PRAGMA schema_version");
    store->folded_seq = -1000000; /* folding is due */
    ct_keeper_consider(f->tracker);
    while (atomic_load(&store->schema_version) != changed) {
        sched_yield();
    }
}

static void test_a_keeper_rests_when_the_file_is_not_the_trackers_any_more(void **state)
{
    fixture *f = *state;
    open_to_hear(f, CTRACK_CORRUPT);
    db_run_once(f->path, "ALTER TABLE ctrack_run RENAME TO hosts");
    f->tracker->store->folded_seq = -1000000; /* folding is due */
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
        TEST_ON_FILE(test_rows_that_were_trimmed_before_they_were_seen_are_read_where_they_were_folded),
        TEST_ON_FILE(test_a_key_that_another_tracker_has_folded_is_named_by_its_id),
        TEST_ON_FILE(test_a_log_that_takes_back_what_is_not_folded_is_damage),
        TEST_ON_FILE(test_a_dictionary_without_an_id_left_is_damage),
        TEST_ON_FILE(test_a_dictionary_that_cannot_be_asked_ends_the_fold),
        TEST_ON_FILE(test_a_forget_between_two_pieces_gives_the_fold_up),
        TEST_ON_FILE(test_a_forget_that_has_been_trimmed_gives_the_fold_up_too),
        TEST_ON_FILE(test_others_may_fold_between_two_pieces),
        TEST_ON_FILE(test_another_state_of_the_file_between_two_pieces_gives_the_fold_up),
        TEST_ON_FILE(test_fold_begins_anew_when_progress_is_taken_back),
        TEST_ON_FILE(test_forgetting_goes_on_when_another_forgets),
        TEST_ON_FILE(test_a_fold_that_cannot_tell_what_others_have_folded_is_given_up),
        TEST_ON_FILE(test_a_fold_that_is_undone_is_given_up),
        TEST_ON_FILE(test_forgetting_a_key_folds_little_in_its_transaction),
        TEST_ON_FILE(test_forgetting_folds_little_after_a_change_of_the_hosts_schema_too),
        TEST_ON_FILE(test_a_log_is_folded_and_trimmed_part_by_part),
        TEST_ON_FILE(test_a_full_disk_has_the_log_folded_when_moving_it_was_not_enough),
        TEST_ON_FILE(test_a_fold_that_finds_the_disk_full_goes_on_once_there_is_room),
        TEST_ON_FILE(test_a_disk_that_stays_full_takes_nothing_back),
        TEST_ON_FILE(test_a_part_that_cannot_be_begun_is_not_folded),
        TEST_ON_FILE(test_what_cannot_be_folded_in_pieces_is_left_after_a_few_tries),
        TEST_ON_FILE(test_closing_folds_what_nobody_has_folded),
        TEST_ON_FILE(test_closing_leaves_a_short_log),
        TEST_ON_FILE(test_closing_waits_for_no_lock),
        TEST(test_a_keeper_that_fails_rests_and_tries_again),
        TEST_ON_FILE(test_a_keeper_reads_what_was_changed_before_it_folds),
        TEST(test_a_keeper_rests_when_the_file_is_not_the_trackers_any_more),
    };
    return SUPPORT_MAIN(argc, argv, "fold", tests, NULL);
}
