/* SPDX-License-Identifier: MIT */
/* Lending the turn: what only reads does not wait for whoever waits for SQLite's writer lock. */
#include "support.h"

#include <sched.h>
#include <sqlite3.h>
#include <stdio.h>

#include "fold.h"
#include "tracker.h"

/* ---------------------------------------------------------------- the queue */

/* The queue's length is guarded by its lock; a lender's readers are off the queue. */
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

/* Whoever has had the turn, in order: written by its holder only. */
typedef struct order {
    ct_turn *turn;
    char names[8];
    size_t count;
} order;

typedef struct guest {
    order *order;
    char name;
    bool reads;
    pthread_t thread;
} guest;

static void *have_a_turn(void *argument)
{
    guest *g = argument;
    ct_ticket ticket = {.reads = g->reads};
    ct_turn_take(g->order->turn, &ticket);
    g->order->names[g->order->count++] = g->name;
    ct_turn_pass(g->order->turn, &ticket, &ticket);
    return NULL;
}

static void test_the_turn_is_lent_to_those_that_read_in_order_and_comes_back(void **state)
{
    ct_turn turn;
    order o = {.turn = &turn};
    guest guests[] = {
        {&o, 'w', false, 0}, {&o, 'r', true, 0}, {&o, 's', true, 0}, {&o, 'x', false, 0}, {&o, 't', true, 0}};
    (void)state;
    assert_int_equal(ct_turn_init(&turn), 0);
    ct_ticket own = {0};
    ct_turn_take(&turn, &own);
    for (size_t i = 0; i < 5; i++) {
        guests[i].thread = thread_start(have_a_turn, &guests[i]);
        await_queue(&turn, i + 2);
    }
    ct_turn_lend(&turn);
    assert_string_equal(o.names, "rst");
    await_queue(&turn, 3);
    guest late = {&o, 'y', false, 0}; /* the end of the queue is where it was */
    late.thread = thread_start(have_a_turn, &late);
    await_queue(&turn, 4);
    ct_turn_lend(&turn); /* to nobody */
    ct_turn_pass(&turn, &own, &own);
    for (size_t i = 0; i < 5; i++) {
        thread_join(guests[i].thread);
    }
    thread_join(late.thread);
    assert_string_equal(o.names, "rstwxy");
    ct_turn_destroy(&turn);
}

typedef struct lender {
    guest guest;
    guest *next; /* queues while this one has the turn, which is lent to it */
} lender;

static void *lend_on(void *argument)
{
    lender *l = argument;
    ct_turn *turn = l->guest.order->turn;
    ct_ticket ticket = {.reads = true};
    ct_turn_take(turn, &ticket);
    l->next->thread = thread_start(have_a_turn, l->next);
    await_queue(turn, 2);
    ct_turn_lend(turn);
    l->guest.order->names[l->guest.order->count++] = l->guest.name;
    ct_turn_pass(turn, &ticket, &ticket);
    return NULL;
}

static void test_whoever_has_borrowed_the_turn_may_lend_it(void **state)
{
    ct_turn turn;
    order o = {.turn = &turn};
    guest inner = {&o, 'i', true, 0}, after = {&o, 'a', true, 0};
    lender outer = {{&o, 'o', true, 0}, &inner};
    (void)state;
    assert_int_equal(ct_turn_init(&turn), 0);
    ct_ticket own = {0};
    ct_turn_take(&turn, &own);
    outer.guest.thread = thread_start(lend_on, &outer);
    await_queue(&turn, 2);
    ct_turn_lend(&turn);
    assert_string_equal(o.names, "io");
    after.thread = thread_start(have_a_turn, &after);
    await_queue(&turn, 2);
    ct_turn_lend(&turn);
    assert_string_equal(o.names, "ioa");
    ct_turn_pass(&turn, &own, &own);
    thread_join(outer.guest.thread);
    thread_join(inner.thread);
    thread_join(after.thread);
    ct_turn_destroy(&turn);
}

/* ---------------------------------------------------------------- while the file is locked */

typedef struct writing {
    ctrack *tracker;
    ctrack_status (*write)(ctrack *tracker);
    ctrack_status status;
} writing;

static void *write_now(void *argument)
{
    writing *w = argument;
    w->status = w->write(w->tracker);
    return NULL;
}

static ctrack_status by_update(ctrack *tracker)
{
    const ctrack_coordinate c = at("own", 3);
    return ctrack_update(tracker, &c, 1, NULL);
}

static ctrack_status by_hydrate(ctrack *tracker)
{
    const ctrack_coordinate entries[] = {at("own", 3), at("foreign", 9)};
    return ctrack_hydrate(tracker, entries, 2, NULL);
}

static ctrack_status by_forget(ctrack *tracker)
{
    const ctrack_key key_of[] = {{"forgotten", "document", "main"}};
    const ctrack_coordinate c = at("own", 3);
    ctrack_status status = ctrack_forget(tracker, key_of, 1, NULL);
    return status == CTRACK_OK ? ctrack_update(tracker, &c, 1, NULL) : status;
}

static ctrack_status by_fold(ctrack *tracker)
{
    static const atomic_bool never;
    const ctrack_coordinate c = at("own", 3);
    ctrack_status status = ct_fold_log(tracker, &never, NULL, NULL);
    return status == CTRACK_OK ? ctrack_update(tracker, &c, 1, NULL) : status;
}

/* The keeper checkpoints under the lock, where SQLite has the bug that its doing so spares us. */
static ctrack_status by_checkpoint(ctrack *tracker)
{
    const ctrack_coordinate c = at("own", 3);
    ct_ticket ticket = {0};
    ct_turn_take(&tracker->turn, &ticket);
    tracker->store->exposed = true;
    ctrack_status status = ct_store_checkpoint(tracker->store, NULL);
    ct_turn_pass(&tracker->turn, &ticket, &ticket);
    return status == CTRACK_OK ? ctrack_update(tracker, &c, 1, NULL) : status;
}

/* Whoever has committed may fold in the same turn. */
static ctrack_status by_what_follows_a_commit(ctrack *tracker)
{
    const ctrack_coordinate c = at("own", 3);
    ct_ticket ticket = {0};
    ct_turn_take(&tracker->turn, &ticket);
    atomic_store(&tracker->committing, true);
    ctrack_status status = ct_store_begin(tracker->store, NULL);
    ct_store_rollback(tracker->store);
    ct_tracker_pass(tracker, &ticket, &ticket);
    return status == CTRACK_OK ? ctrack_update(tracker, &c, 1, NULL) : status;
}

static void commit_foreign(struct sqlite3 *db, int64_t index)
{
    char sql[200];
    snprintf(sql, sizeof sql,
             "INSERT INTO ctrack_progress VALUES ('default', 'foreign', 'document', 'main', %lld, NULL)",
             (long long)index);
    db_run(db, sql);
}

/* Others have the writer lock while ours waits for it, at the head of the queue: everything that reads works. */
static void wakes_beside(void **state, ctrack_status (*write)(ctrack *tracker))
{
    fixture *f = *state;
    ctrack_stats stats = {.size = sizeof stats};
    close_tracker(&f->tracker);
    f->tracker = open_impatient(f->path, 600000);
    update(f->tracker, "forgotten", 1);
    struct sqlite3 *foreign = db_open(f->path), *holder = db_open(f->path);
    commit_foreign(foreign, 8);
    db_run(holder, "BEGIN IMMEDIATE");
    writing w = {f->tracker, write, CTRACK_PENDING};
    pthread_t writer = thread_start(write_now, &w);
    await_queue(&f->tracker->turn, 1);
    ctrack_coordinate reached = at("foreign", 8);
    assert_status(ctrack_wait(f->tracker, &reached, 1, CTRACK_FOREVER, NULL, NULL), CTRACK_OK);
    assert_status(ctrack_refresh(f->tracker, NULL), CTRACK_OK);
    assert_status(ctrack_get_stats(f->tracker, &stats, NULL), CTRACK_OK);
    assert_int_equal(db_integer(foreign, "SELECT count(*) FROM ctrack_progress WHERE document_id = 'own'"), 0);
    db_run(holder, "ROLLBACK");
    thread_join(writer);
    assert_status(w.status, CTRACK_OK);
    assert_int_equal(latest(f->tracker, "own"), 3);
    assert_int_equal(latest(f->tracker, "foreign"), write == by_hydrate ? 9 : 8);
    db_close(holder);
    db_close(foreign);
}

static void test_waits_wake_while_an_update_waits_for_the_lock(void **state)
{
    wakes_beside(state, by_update);
}

static void test_waits_wake_while_a_hydrate_waits_for_the_lock(void **state)
{
    wakes_beside(state, by_hydrate);
}

static void test_waits_wake_while_a_forget_waits_for_the_lock(void **state)
{
    wakes_beside(state, by_forget);
}

static void test_waits_wake_while_a_fold_waits_for_the_lock(void **state)
{
    wakes_beside(state, by_fold);
}

static void test_waits_wake_while_a_checkpoint_waits_for_the_lock(void **state)
{
    wakes_beside(state, by_checkpoint);
}

static void test_waits_wake_while_what_follows_a_commit_waits_for_the_lock(void **state)
{
    wakes_beside(state, by_what_follows_a_commit);
}

static void test_an_update_that_has_waited_builds_on_what_was_read_meanwhile(void **state)
{
    fixture *f = *state;
    close_tracker(&f->tracker);
    f->tracker = open_impatient(f->path, 600000);
    update(f->tracker, "other", 1);
    struct sqlite3 *foreign = db_open(f->path), *holder = db_open(f->path);
    db_run(foreign, "INSERT INTO ctrack_progress VALUES ('default', 'own', 'document', 'main', 5, NULL)");
    int64_t rows = db_integer(foreign, "SELECT count(*) FROM ctrack_advance");
    db_run(holder, "BEGIN IMMEDIATE");
    writing w = {f->tracker, by_update, CTRACK_PENDING};
    pthread_t writer = thread_start(write_now, &w);
    await_queue(&f->tracker->turn, 1);
    assert_status(ctrack_refresh(f->tracker, NULL), CTRACK_OK);
    assert_int_equal(latest(f->tracker, "own"), 5);
    db_run(holder, "ROLLBACK");
    thread_join(writer);
    assert_status(w.status, CTRACK_OK);
    assert_int_equal(latest(f->tracker, "own"), 5);
    assert_int_equal(db_integer(foreign, "SELECT count(*) FROM ctrack_advance"), rows);
    db_close(holder);
    db_close(foreign);
}

static void test_a_key_of_a_lazy_tracker_is_looked_up_while_its_checkpoint_waits_for_the_lock(void **state)
{
    fixture *f = *state;
    update(f->tracker, "doc-1", 4);
    close_tracker(&f->tracker);
    ctrack_options options = CTRACK_OPTIONS_INIT;
    options.lazy = true;
    options.busy_timeout_ms = 600000;
    assert_status(ctrack_open(f->path, &options, &f->tracker, NULL), CTRACK_OK);
    struct sqlite3 *holder = db_open(f->path);
    db_run(holder, "BEGIN IMMEDIATE");
    writing w = {f->tracker, by_checkpoint, CTRACK_PENDING};
    pthread_t writer = thread_start(write_now, &w);
    await_queue(&f->tracker->turn, 1);
    assert_int_equal(latest(f->tracker, "doc-1"), 4);
    assert_false(f->tracker->store->loaded);
    db_run(holder, "ROLLBACK");
    thread_join(writer);
    assert_status(w.status, CTRACK_OK);
    db_close(holder);
}

static void test_an_update_that_the_lock_is_kept_from_changes_nothing(void **state)
{
    fixture *f = *state;
    close_tracker(&f->tracker);
    f->tracker = open_impatient(f->path, 20);
    struct sqlite3 *holder = db_open(f->path);
    db_run(holder, "BEGIN IMMEDIATE");
    const ctrack_coordinate c = at("own", 3);
    int64_t start = now_ns();
    assert_status(ctrack_update(f->tracker, &c, 1, &f->error), CTRACK_BUSY);
    assert_true(now_ns() - start >= INT64_C(20000000));
    assert_contains(f->error.message, "cannot lock the file for writing");
    assert_int_equal(latest(f->tracker, "own"), NEVER_SEEN);
    assert_int_equal(f->tracker->advances.count, 0);
    db_run(holder, "ROLLBACK");
    db_close(holder);
    update(f->tracker, "own", 3);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        TEST(test_the_turn_is_lent_to_those_that_read_in_order_and_comes_back),
        TEST(test_whoever_has_borrowed_the_turn_may_lend_it),
        TEST_ON_FILE(test_waits_wake_while_an_update_waits_for_the_lock),
        TEST_ON_FILE(test_waits_wake_while_a_hydrate_waits_for_the_lock),
        TEST_ON_FILE(test_waits_wake_while_a_forget_waits_for_the_lock),
        TEST_ON_FILE(test_waits_wake_while_a_fold_waits_for_the_lock),
        TEST_ON_FILE(test_waits_wake_while_a_checkpoint_waits_for_the_lock),
        TEST_ON_FILE(test_waits_wake_while_what_follows_a_commit_waits_for_the_lock),
        TEST_ON_FILE(test_an_update_that_has_waited_builds_on_what_was_read_meanwhile),
        TEST_ON_FILE(test_a_key_of_a_lazy_tracker_is_looked_up_while_its_checkpoint_waits_for_the_lock),
        TEST_ON_FILE(test_an_update_that_the_lock_is_kept_from_changes_nothing),
    };
    return SUPPORT_MAIN(argc, argv, "turn", tests, NULL);
}
