/* SPDX-License-Identifier: MIT */
/* Two trackers of one read model on one file: each sees what the other has committed, once it looks. */
#include "support.h"

#include <stdio.h>

/* The fixture's tracker looks; the other one writes. */
static ctrack *other_tracker(fixture *f)
{
    return open_file(f->path);
}

static void look(fixture *f)
{
    assert_status(ctrack_refresh(f->tracker, &f->error), CTRACK_OK);
}

/* ---------------------------------------------------------------- looking with ctrack_refresh() */

static void test_refresh_in_memory_does_nothing(void **state)
{
    fixture *f = *state;
    update(f->tracker, "doc-1", 5);
    look(f);
    assert_int_equal(latest(f->tracker, "doc-1"), 5);
}

static void test_refresh_without_news_is_fine(void **state)
{
    fixture *f = *state;
    look(f);
    update(f->tracker, "doc-1", 5);
    look(f);
    assert_int_equal(latest(f->tracker, "doc-1"), 5);
}

static void test_refresh_shows_the_others_update(void **state)
{
    fixture *f = *state;
    ctrack *other = other_tracker(f);
    update(other, "doc-1", 5);
    look(f);
    assert_int_equal(latest(f->tracker, "doc-1"), 5);
    close_tracker(&other);
}

static void test_refresh_wakes_waits_for_the_others_update(void **state)
{
    fixture *f = *state;
    ctrack *other = other_tracker(f);
    ctrack_promise *promise = wait_for(f->tracker, "doc-1", 5);
    update(other, "doc-1", 5);
    look(f);
    assert_status(ctrack_promise_status(promise), CTRACK_OK);
    ctrack_promise_release(promise);
    close_tracker(&other);
}

static void test_refresh_runs_callbacks_for_the_others_update(void **state)
{
    fixture *f = *state;
    ctrack *other = other_tracker(f);
    ctrack_promise *promise = wait_for(f->tracker, "doc-1", 5);
    assert_status(ctrack_promise_then(promise, record, &f->recorder), CTRACK_OK);
    ctrack_promise_release(promise);
    update(other, "doc-1", 5);
    look(f);
    recorder_await(&f->recorder, 1);
    assert_status(f->recorder.calls[0].outcome, CTRACK_OK);
    close_tracker(&other);
}

static void test_refresh_below_the_index_leaves_waits_pending(void **state)
{
    fixture *f = *state;
    ctrack *other = other_tracker(f);
    ctrack_promise *promise = wait_for(f->tracker, "doc-1", 5);
    update(other, "doc-1", 4);
    look(f);
    assert_status(ctrack_promise_status(promise), CTRACK_PENDING);
    ctrack_promise_release(promise);
    close_tracker(&other);
}

/* ---------------------------------------------------------------- looking with an update */

static void test_update_shows_the_others_update(void **state)
{
    fixture *f = *state;
    ctrack *other = other_tracker(f);
    update(other, "doc-1", 5);
    update(f->tracker, "doc-2", 1);
    assert_int_equal(latest(f->tracker, "doc-1"), 5);
    close_tracker(&other);
}

static void test_update_wakes_waits_for_the_others_update(void **state)
{
    fixture *f = *state;
    ctrack *other = other_tracker(f);
    ctrack_coordinate wanted[] = {at("doc-1", 5), at("doc-2", 1)};
    ctrack_promise *promise = wait_for_all(f->tracker, wanted, 2);
    update(other, "doc-1", 5);
    update(f->tracker, "doc-2", 1);
    assert_status(ctrack_promise_status(promise), CTRACK_OK);
    ctrack_promise_release(promise);
    close_tracker(&other);
}

static void test_update_below_the_others_does_not_lower_it(void **state)
{
    fixture *f = *state;
    ctrack *other = other_tracker(f);
    update(other, "doc-1", 9);
    update(f->tracker, "doc-1", 5);
    look(f);
    assert_int_equal(latest(f->tracker, "doc-1"), 9);
    reopen(f);
    assert_int_equal(latest(f->tracker, "doc-1"), 9);
    close_tracker(&other);
}

static void test_trackers_that_take_turns_agree(void **state)
{
    fixture *f = *state;
    ctrack *other = other_tracker(f);
    for (int i = 0; i < 100; i++) {
        char name[16];
        snprintf(name, sizeof name, "doc-%d", i % 7);
        update(i % 2 == 0 ? f->tracker : other, name, i);
    }
    look(f);
    assert_status(ctrack_refresh(other, NULL), CTRACK_OK);
    assert_same_progress(f->tracker, other);
    close_tracker(&other);
}

static void test_hydrate_replaces_the_others_updates_too(void **state)
{
    fixture *f = *state;
    ctrack *other = other_tracker(f);
    update(other, "doc-1", 9);
    ctrack_coordinate entry = at("doc-2", 1);
    assert_status(ctrack_hydrate(f->tracker, &entry, 1, NULL), CTRACK_OK);
    assert_int_equal(latest(f->tracker, "doc-1"), NEVER_SEEN);
    reopen(f);
    assert_int_equal(latest(f->tracker, "doc-1"), NEVER_SEEN);
    close_tracker(&other);
}

/* ---------------------------------------------------------------- the other one goes back */

static void test_refresh_shows_what_the_other_forgot(void **state)
{
    fixture *f = *state;
    ctrack *other = other_tracker(f);
    update(f->tracker, "doc-1", 5);
    update(f->tracker, "doc-2", 5);
    ctrack_key forgotten = key("doc-1");
    assert_status(ctrack_forget(other, &forgotten, 1, NULL), CTRACK_OK);
    look(f);
    assert_int_equal(latest(f->tracker, "doc-1"), NEVER_SEEN);
    assert_int_equal(latest(f->tracker, "doc-2"), 5);
    close_tracker(&other);
}

static void test_refresh_shows_what_followed_the_others_forget(void **state)
{
    fixture *f = *state;
    ctrack *other = other_tracker(f);
    update(f->tracker, "doc-1", 5);
    ctrack_key forgotten = key("doc-1");
    assert_status(ctrack_forget(other, &forgotten, 1, NULL), CTRACK_OK);
    update(other, "doc-1", 2);
    look(f);
    assert_int_equal(latest(f->tracker, "doc-1"), 2);
    close_tracker(&other);
}

static void test_refresh_shows_what_the_other_hydrated(void **state)
{
    fixture *f = *state;
    ctrack *other = other_tracker(f);
    update(f->tracker, "doc-1", 5);
    update(f->tracker, "doc-2", 5);
    ctrack_coordinate entries[] = {at("doc-1", 3), at("doc-3", 1)};
    assert_status(ctrack_hydrate(other, entries, 2, NULL), CTRACK_OK);
    look(f);
    assert_int_equal(latest(f->tracker, "doc-1"), 3);
    assert_int_equal(latest(f->tracker, "doc-2"), NEVER_SEEN);
    assert_int_equal(latest(f->tracker, "doc-3"), 1);
    close_tracker(&other);
}

static void test_refresh_judges_waits_by_what_the_other_hydrated(void **state)
{
    fixture *f = *state;
    ctrack *other = other_tracker(f);
    ctrack_coordinate wanted[] = {at("doc-1", 5), at("doc-2", 5)};
    ctrack_promise *taken_back = wait_for_all(f->tracker, wanted, 2);
    ctrack_promise *satisfied = wait_for(f->tracker, "doc-3", 5);
    update(f->tracker, "doc-1", 5);
    ctrack_coordinate entries[] = {at("doc-1", 4), at("doc-2", 5), at("doc-3", 5)};
    assert_status(ctrack_hydrate(other, entries, 3, NULL), CTRACK_OK);
    look(f);
    assert_status(ctrack_promise_status(satisfied), CTRACK_OK);
    assert_status(ctrack_promise_status(taken_back), CTRACK_PENDING);
    update(other, "doc-1", 5);
    look(f);
    assert_status(ctrack_promise_status(taken_back), CTRACK_OK);
    ctrack_promise_release(taken_back);
    ctrack_promise_release(satisfied);
    close_tracker(&other);
}

static void test_update_after_the_other_forgot_starts_from_never_seen(void **state)
{
    fixture *f = *state;
    ctrack *other = other_tracker(f);
    update(f->tracker, "doc-1", 5);
    ctrack_key forgotten = key("doc-1");
    assert_status(ctrack_forget(other, &forgotten, 1, NULL), CTRACK_OK);
    look(f);
    update(f->tracker, "doc-1", 2);
    assert_int_equal(latest(f->tracker, "doc-1"), 2);
    assert_status(ctrack_refresh(other, NULL), CTRACK_OK);
    assert_int_equal(latest(other, "doc-1"), 2);
    close_tracker(&other);
}

/* The tracker does not know yet that the key was forgotten when it updates; the file decides, and all agree. */
static void test_update_that_raises_after_an_unseen_forget_is_kept(void **state)
{
    fixture *f = *state;
    ctrack *other = other_tracker(f);
    update(f->tracker, "doc-1", 5);
    ctrack_key forgotten = key("doc-1");
    assert_status(ctrack_forget(other, &forgotten, 1, NULL), CTRACK_OK);
    update(f->tracker, "doc-1", 6);
    assert_int_equal(latest(f->tracker, "doc-1"), 6);
    assert_status(ctrack_refresh(other, NULL), CTRACK_OK);
    assert_int_equal(latest(other, "doc-1"), 6);
    close_tracker(&other);
}

/* An acknowledged update is progress from then on: a forget that was committed before it cannot take it back, though
 * this tracker had not seen it. */
static void test_update_at_the_old_index_after_an_unseen_forget_is_kept(void **state)
{
    fixture *f = *state;
    ctrack *other = other_tracker(f);
    update(f->tracker, "doc-1", 5);
    ctrack_key forgotten = key("doc-1");
    assert_status(ctrack_forget(other, &forgotten, 1, NULL), CTRACK_OK);
    update(f->tracker, "doc-1", 5);
    look(f);
    assert_int_equal(latest(f->tracker, "doc-1"), 5);
    close_tracker(&other);
}

static void test_forget_of_a_key_that_only_the_other_has_seen(void **state)
{
    fixture *f = *state;
    ctrack *other = other_tracker(f);
    update(other, "doc-1", 5);
    ctrack_key forgotten = key("doc-1");
    assert_status(ctrack_forget(f->tracker, &forgotten, 1, NULL), CTRACK_OK);
    assert_status(ctrack_refresh(other, NULL), CTRACK_OK);
    assert_int_equal(latest(other, "doc-1"), NEVER_SEEN);
    close_tracker(&other);
}

/* ---------------------------------------------------------------- far behind */

enum { KEYS = 1000, LEAST_BATCHES = 70 };

static bool is_trimmed(const fixture *f, int64_t row)
{
    return db_integer_once(f->path, "SELECT coalesce(min(seq), 0) FROM ctrack_advance") > row;
}

/*
 * Advances of all keys, until the log's newest row of before has been folded and trimmed while nobody else looked.
 * Returns how many there were of each key.
 */
static int run_far_ahead(const fixture *f, ctrack *tracker, int from)
{
    static char names[KEYS][16];
    static ctrack_coordinate batch[KEYS];
    int64_t newest = db_integer_once(f->path, "SELECT coalesce(max(seq), 0) FROM ctrack_advance");
    int batches = 0;
    while (batches < LEAST_BATCHES || !is_trimmed(f, newest)) {
        for (int k = 0; k < KEYS; k++) {
            snprintf(names[k], sizeof names[k], "doc-%d", k);
            batch[k] = at(names[k], from + batches + k);
        }
        assert_status(ctrack_update(tracker, batch, KEYS, NULL), CTRACK_OK);
        batches++;
    }
    return batches;
}

static void test_tracker_that_fell_far_behind_catches_up(void **state)
{
    fixture *f = *state;
    ctrack *other = other_tracker(f);
    update(f->tracker, "doc-1", 0);
    run_far_ahead(f, other, 0);
    look(f);
    assert_same_progress(f->tracker, other);
    close_tracker(&other);
}

static void test_tracker_that_fell_far_behind_wakes_its_waits(void **state)
{
    fixture *f = *state;
    ctrack *other = other_tracker(f);
    ctrack_promise *reached = wait_for(f->tracker, "doc-7", LEAST_BATCHES - 1 + 7);
    ctrack_promise *missed = wait_for(f->tracker, "doc-7", 1000000);
    run_far_ahead(f, other, 0);
    look(f);
    assert_status(ctrack_promise_status(reached), CTRACK_OK);
    assert_status(ctrack_promise_status(missed), CTRACK_PENDING);
    ctrack_promise_release(reached);
    ctrack_promise_release(missed);
    close_tracker(&other);
}

static void test_tracker_that_fell_far_behind_learns_what_was_forgotten(void **state)
{
    fixture *f = *state;
    ctrack *other = other_tracker(f);
    update(f->tracker, "gone", 5);
    update(f->tracker, "doc-1", 5);
    ctrack_key forgotten = key("gone");
    assert_status(ctrack_forget(other, &forgotten, 1, NULL), CTRACK_OK);
    run_far_ahead(f, other, 0);
    look(f);
    assert_int_equal(latest(f->tracker, "gone"), NEVER_SEEN);
    assert_same_progress(f->tracker, other);
    close_tracker(&other);
}

static void test_tracker_that_fell_far_behind_learns_what_was_replaced(void **state)
{
    fixture *f = *state;
    ctrack *other = other_tracker(f);
    run_far_ahead(f, f->tracker, 1000000);
    assert_status(ctrack_hydrate(other, NULL, 0, NULL), CTRACK_OK);
    int batches = run_far_ahead(f, other, 0);
    look(f);
    assert_int_equal(latest(f->tracker, "doc-7"), batches - 1 + 7);
    assert_same_progress(f->tracker, other);
    close_tracker(&other);
}

static void test_tracker_that_fell_far_behind_updates_rightly(void **state)
{
    fixture *f = *state;
    ctrack *other = other_tracker(f);
    update(f->tracker, "doc-1", 5);
    int batches = run_far_ahead(f, other, 0);
    update(f->tracker, "doc-2", 1000000);
    assert_int_equal(latest(f->tracker, "doc-2"), 1000000);
    assert_int_equal(latest(f->tracker, "doc-1"), batches);
    assert_status(ctrack_refresh(other, NULL), CTRACK_OK);
    assert_same_progress(f->tracker, other);
    close_tracker(&other);
}

/* ---------------------------------------------------------------- both at once */

typedef struct contender {
    ctrack *tracker;
    int parity;
    bool failed;
} contender;

static void *contend(void *argument)
{
    contender *c = argument;
    for (int i = 0; i < 300; i++) {
        char name[16];
        snprintf(name, sizeof name, "doc-%d", i % 10);
        ctrack_coordinate progress = at(name, 2 * i + c->parity);
        ctrack_key own = key(name);
        int64_t seen = -1;
        c->failed = c->failed || ctrack_update(c->tracker, &progress, 1, NULL) != CTRACK_OK ||
                    ctrack_get_latest(c->tracker, &own, &seen) != CTRACK_OK || seen < progress.operation_index;
    }
    return NULL;
}

static void test_trackers_that_write_at_once_agree(void **state)
{
    fixture *f = *state;
    ctrack *other = other_tracker(f);
    static contender contenders[2];
    contenders[0] = (contender){f->tracker, 0, false};
    contenders[1] = (contender){other, 1, false};
    pthread_t first = thread_start(contend, &contenders[0]);
    pthread_t second = thread_start(contend, &contenders[1]);
    thread_join(first);
    thread_join(second);
    assert_false(contenders[0].failed);
    assert_false(contenders[1].failed);
    look(f);
    assert_status(ctrack_refresh(other, NULL), CTRACK_OK);
    assert_same_progress(f->tracker, other);
    assert_int_equal(latest(f->tracker, "doc-9"), 2 * 299 + 1);
    close_tracker(&other);
}

static void test_closing_one_leaves_the_other_at_work(void **state)
{
    fixture *f = *state;
    ctrack *other = other_tracker(f);
    update(other, "doc-1", 5);
    close_tracker(&other);
    update(f->tracker, "doc-1", 6);
    reopen(f);
    assert_int_equal(latest(f->tracker, "doc-1"), 6);
}

/* Nobody has brought the file to write-ahead mode. */
static void test_a_reader_follows_a_file_with_a_rollback_journal(void **state)
{
    fixture *f = *state;
    ctrack_options options = CTRACK_OPTIONS_INIT;
    update(f->tracker, "doc-1", 1);
    close_tracker(&f->tracker);
    db_run_once(f->path, "PRAGMA journal_mode = DELETE");
    options.read_only = true;
    assert_status(ctrack_open(f->path, &options, &f->tracker, &f->error), CTRACK_OK);
    ctrack_promise *promise = wait_for(f->tracker, "doc-1", 2);
    struct sqlite3 *writer = db_open(f->path);
    db_run(writer, "PRAGMA busy_timeout = 5000");
    db_run(writer, "INSERT INTO ctrack_progress (read_model, document_id, scope, branch, operation_index) "
                   "VALUES ('default', 'doc-1', 'document', 'main', 2)");
    db_close(writer);
    assert_status(ctrack_promise_await(promise), CTRACK_OK);
    ctrack_promise_release(promise);
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        TEST_IN_MEMORY(test_refresh_in_memory_does_nothing),
        TEST_ON_FILE(test_refresh_without_news_is_fine),
        TEST_ON_FILE(test_refresh_shows_the_others_update),
        TEST_ON_FILE(test_refresh_wakes_waits_for_the_others_update),
        TEST_ON_FILE(test_refresh_runs_callbacks_for_the_others_update),
        TEST_ON_FILE(test_refresh_below_the_index_leaves_waits_pending),
        TEST_ON_FILE(test_update_shows_the_others_update),
        TEST_ON_FILE(test_update_wakes_waits_for_the_others_update),
        TEST_ON_FILE(test_update_below_the_others_does_not_lower_it),
        TEST_ON_FILE(test_trackers_that_take_turns_agree),
        TEST_ON_FILE(test_hydrate_replaces_the_others_updates_too),
        TEST_ON_FILE(test_refresh_shows_what_the_other_forgot),
        TEST_ON_FILE(test_refresh_shows_what_followed_the_others_forget),
        TEST_ON_FILE(test_refresh_shows_what_the_other_hydrated),
        TEST_ON_FILE(test_refresh_judges_waits_by_what_the_other_hydrated),
        TEST_ON_FILE(test_update_after_the_other_forgot_starts_from_never_seen),
        TEST_ON_FILE(test_update_that_raises_after_an_unseen_forget_is_kept),
        TEST_ON_FILE(test_update_at_the_old_index_after_an_unseen_forget_is_kept),
        TEST_ON_FILE(test_forget_of_a_key_that_only_the_other_has_seen),
        TEST_ON_FILE(test_tracker_that_fell_far_behind_catches_up),
        TEST_ON_FILE(test_tracker_that_fell_far_behind_wakes_its_waits),
        TEST_ON_FILE(test_tracker_that_fell_far_behind_learns_what_was_forgotten),
        TEST_ON_FILE(test_tracker_that_fell_far_behind_learns_what_was_replaced),
        TEST_ON_FILE(test_tracker_that_fell_far_behind_updates_rightly),
        TEST_ON_FILE(test_trackers_that_write_at_once_agree),
        TEST_ON_FILE(test_closing_one_leaves_the_other_at_work),
        TEST_ON_FILE(test_a_reader_follows_a_file_with_a_rollback_journal),
    };
    return SUPPORT_MAIN(argc, argv, "two_trackers", tests, NULL);
}
