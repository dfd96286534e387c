/* SPDX-License-Identifier: MIT */
/* The turn, and what becomes of updates that are committed together. */
#include "support.h"

#include <sched.h>
#include <sqlite3.h>
#include <stdio.h>

#include "tracker.h"

typedef struct member {
    ctrack *tracker;
    const ctrack_coordinate *coordinates;
    size_t count;
    ctrack_status status;
    pthread_t thread;
} member;

static void *run(void *argument)
{
    member *m = argument;
    m->status = ctrack_update(m->tracker, m->coordinates, m->count, NULL);
    return NULL;
}

static void await_queue(ct_turn *turn, size_t length)
{
    for (size_t now = length + 1; now != length; sched_yield()) {
        now = 0;
        ct_mutex_lock(&turn->lock);
        for (const ct_ticket *ticket = turn->first; ticket != NULL; ticket = ticket->next) {
            now++;
        }
        ct_mutex_unlock(&turn->lock);
    }
}

static void start(ctrack *tracker, member *m)
{
    m->tracker = tracker;
    m->thread = thread_start(run, m);
}

/* Has them wait for the turn, in this order, and then lets them go. */
static void update_together(ctrack *tracker, member *members, size_t count)
{
    ct_ticket ticket = {0};
    ct_turn_take(&tracker->turn, &ticket);
    for (size_t i = 0; i < count; i++) {
        start(tracker, &members[i]);
        await_queue(&tracker->turn, i + 2);
    }
    ct_turn_pass(&tracker->turn, &ticket, &ticket);
    for (size_t i = 0; i < count; i++) {
        thread_join(members[i].thread);
    }
}

static uint64_t commits(ctrack *tracker)
{
    ctrack_stats stats = {.size = sizeof stats};
    assert_status(ctrack_get_stats(tracker, &stats, NULL), CTRACK_OK);
    return stats.commits;
}

static void test_updates_that_wait_are_committed_together(void **state)
{
    fixture *f = *state;
    const ctrack_coordinate a = at("a", 1), b = at("b", 2), c = at("c", 3);
    member members[] = {
        {.coordinates = &a, .count = 1}, {.coordinates = &b, .count = 1}, {.coordinates = &c, .count = 1}};
    update_together(f->tracker, members, 3);
    assert_int_equal(commits(f->tracker), 1);
    assert_int_equal(latest(f->tracker, "c"), 3);
}

#define VERY_PATIENT (INT64_C(600) * 1000000000)

static void test_an_update_sleeps_until_those_that_were_active_are_back(void **state)
{
    fixture *f = *state;
    ct_turn *turn = &f->tracker->turn;
    const ctrack_coordinate a = at("a", 1), b = at("b", 2), c = at("c", 3);
    member members[] = {
        {.coordinates = &a, .count = 1}, {.coordinates = &b, .count = 1}, {.coordinates = &c, .count = 1}};
    update_together(f->tracker, members, 3);
    assert_int_equal(turn->active, 3);
    turn->patience = VERY_PATIENT;
    turn->backoff = 5;
    const ctrack_coordinate next[] = {at("a", 4), at("b", 5), at("c", 6)};
    for (size_t i = 0; i < 3; i++) {
        members[i].coordinates = &next[i];
        start(f->tracker, &members[i]);
        await_queue(turn, i < 2 ? i + 1 : 0);
    }
    for (size_t i = 0; i < 3; i++) {
        thread_join(members[i].thread);
    }
    assert_int_equal(commits(f->tracker), 2);
    assert_int_equal(turn->backoff, 2);
    assert_int_equal(turn->awaited, 0);
}

static void test_an_update_that_nobody_joins_goes_on_and_the_next_ones_do_not_sleep(void **state)
{
    fixture *f = *state;
    ct_turn *turn = &f->tracker->turn;
    turn->active = 9;
    turn->patience = 1000000;
    update(f->tracker, "a", 1);
    assert_int_equal(turn->backoff, 1);
    assert_int_equal(turn->skip, 1);
    turn->active = 9;
    turn->patience = VERY_PATIENT;
    update(f->tracker, "a", 2);
    assert_int_equal(turn->skip, 0);
    turn->active = 9;
    turn->backoff = 60;
    turn->patience = 1000000;
    update(f->tracker, "a", 3);
    assert_int_equal(turn->backoff, 63);
    assert_int_equal(turn->active, 1);
}

static void test_a_short_commit_is_not_worth_sleeping_for(void **state)
{
    fixture *f = *state;
    f->tracker->turn.active = 9;
    f->tracker->turn.patience = 24999;
    update(f->tracker, "a", 1);
    assert_int_equal(f->tracker->turn.backoff, 0);
    assert_int_equal(f->tracker->turn.skip, 0);
}

static void *refresh(void *argument)
{
    ctrack_refresh(argument, NULL);
    return NULL;
}

static void test_an_update_does_not_sleep_for_what_is_no_update(void **state)
{
    fixture *f = *state;
    ct_turn *turn = &f->tracker->turn;
    const ctrack_coordinate a = at("a", 1);
    ct_ticket ticket = {.coordinates = &a, .count = 1};
    ct_turn_take(turn, &ticket);
    pthread_t other = thread_start(refresh, f->tracker);
    await_queue(turn, 2);
    ct_turn_pass(turn, &ticket, &ticket);
    thread_join(other);
    assert_int_equal(turn->active, 1);
    assert_int_equal(turn->updates, 0);
}

/* Another program's lock lets ours begin late. */
static int hold_up(unsigned event, void *argument, void *statement, void *text)
{
    (void)event, (void)argument, (void)statement;
    if (strcmp(text, "BEGIN IMMEDIATE") == 0) {
        ct_thread_nap(60000000);
    }
    return 0;
}

static void test_however_long_a_commit_took_nobody_sleeps_long_for_others(void **state)
{
    fixture *f = *state;
    sqlite3_trace_v2(f->tracker->store->db, SQLITE_TRACE_STMT, hold_up, NULL);
    update(f->tracker, "a", 1);
    assert_int_equal(f->tracker->turn.patience, 10000000);
}

static void test_an_update_takes_nobody_along_who_stands_behind_what_is_no_update(void **state)
{
    fixture *f = *state;
    const ctrack_coordinate a = at("a", 1), b = at("b", 2);
    member members[] = {{.coordinates = &a, .count = 1}, {.coordinates = &b, .count = 1}};
    ct_ticket ticket = {0};
    ct_turn_take(&f->tracker->turn, &ticket);
    start(f->tracker, &members[0]);
    await_queue(&f->tracker->turn, 2);
    pthread_t other = thread_start(refresh, f->tracker);
    await_queue(&f->tracker->turn, 3);
    start(f->tracker, &members[1]);
    await_queue(&f->tracker->turn, 4);
    ct_turn_pass(&f->tracker->turn, &ticket, &ticket);
    thread_join(members[0].thread);
    thread_join(members[1].thread);
    thread_join(other);
    assert_int_equal(commits(f->tracker), 2);
}

static void test_what_seems_old_is_compared_with_what_others_have_committed(void **state)
{
    fixture *f = *state;
    update(f->tracker, "a", 5);
    ctrack *other;
    assert_status(ctrack_open(f->path, NULL, &other, NULL), CTRACK_OK);
    assert_status(ctrack_forget(other, &(ctrack_key){"a", "document", "main"}, 1, NULL), CTRACK_OK);
    assert_status(ctrack_close(other, NULL), CTRACK_OK);
    assert_false(f->tracker->crowded);
    update(f->tracker, "a", 3);
    assert_int_equal(latest(f->tracker, "a"), 3);
    assert_true(f->tracker->crowded);
    update(f->tracker, "a", 4);
    assert_false(f->tracker->crowded);
}

static void test_an_update_of_many_takes_no_other_along(void **state)
{
    fixture *f = *state;
    enum { MANY = 5000 };
    static ctrack_coordinate many[MANY];
    for (int i = 0; i < MANY; i++) {
        many[i] = at("a", i);
    }
    const ctrack_coordinate b = at("b", 2);
    member members[] = {{.coordinates = many, .count = MANY}, {.coordinates = &b, .count = 1}};
    update_together(f->tracker, members, 2);
    assert_int_equal(commits(f->tracker), 2);
    assert_int_equal(latest(f->tracker, "b"), 2);
}

/* Another program commits when ours is about to. */
static int commit_before(unsigned event, void *argument, void *statement, void *text)
{
    fixture *f = argument;
    (void)event, (void)statement;
    if (strcmp(text, "BEGIN IMMEDIATE") == 0) {
        struct sqlite3 *db = db_open(f->path);
        db_run(db, "INSERT INTO ctrack_progress VALUES ('default', 'foreign', 'document', 'main', 8, NULL)");
        db_close(db);
    }
    return 0;
}

static void test_a_bad_update_stays_refused_when_its_group_is_prepared_again(void **state)
{
    fixture *f = *state;
    const ctrack_coordinate good = at("a", 1), bad = at("b", -1);
    member members[] = {{.coordinates = &bad, .count = 1}, {.coordinates = &good, .count = 1}};
    sqlite3_trace_v2(f->tracker->store->db, SQLITE_TRACE_STMT, commit_before, f);
    update_together(f->tracker, members, 2);
    assert_status(members[0].status, CTRACK_INVALID);
    assert_status(members[1].status, CTRACK_OK);
    assert_int_equal(latest(f->tracker, "a"), 1);
    assert_int_equal(latest(f->tracker, "foreign"), 8);
}

static void test_a_bad_update_keeps_its_own_reason_when_its_group_fails(void **state)
{
    fixture *f = *state;
    enum { MANY = 300 };
    static char names[MANY][80];
    static ctrack_coordinate many[MANY];
    for (int i = 0; i < MANY; i++) {
        snprintf(names[i], sizeof names[i], "%070d", i);
        many[i] = at(names[i], 1);
    }
    const ctrack_coordinate bad = at("b", -1);
    member members[] = {{.coordinates = &bad, .count = 1}, {.coordinates = many, .count = MANY}};
    sqlite3_exec(f->tracker->store->db, "PRAGMA max_page_count = 1", NULL, NULL, NULL); /* no more than there are */
    update_together(f->tracker, members, 2);
    assert_status(members[0].status, CTRACK_INVALID);
    assert_status(members[1].status, CTRACK_FULL);
    assert_int_equal(entry_count(f->tracker), 0);
    sqlite3_exec(f->tracker->store->db, "PRAGMA max_page_count = 1000000", NULL, NULL, NULL);
    update(f->tracker, "a", 1);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        TEST_ON_FILE(test_updates_that_wait_are_committed_together),
        TEST_ON_FILE(test_an_update_sleeps_until_those_that_were_active_are_back),
        TEST_ON_FILE(test_an_update_that_nobody_joins_goes_on_and_the_next_ones_do_not_sleep),
        TEST_ON_FILE(test_a_short_commit_is_not_worth_sleeping_for),
        TEST_ON_FILE(test_an_update_does_not_sleep_for_what_is_no_update),
        TEST_ON_FILE(test_however_long_a_commit_took_nobody_sleeps_long_for_others),
        TEST_ON_FILE(test_an_update_takes_nobody_along_who_stands_behind_what_is_no_update),
        TEST_ON_FILE(test_what_seems_old_is_compared_with_what_others_have_committed),
        TEST_ON_FILE(test_an_update_of_many_takes_no_other_along),
        TEST_ON_FILE(test_a_bad_update_stays_refused_when_its_group_is_prepared_again),
        TEST_ON_FILE(test_a_bad_update_keeps_its_own_reason_when_its_group_fails),
    };
    return SUPPORT_MAIN(argc, argv, "commit", tests, NULL);
}
