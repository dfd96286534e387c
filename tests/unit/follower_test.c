/* SPDX-License-Identifier: MIT */
/* The follower's thread: when it is awake, and what it does while memory lacks: it says so, and goes on once there is
 * some. */
#include "support.h"

#include <stdatomic.h>
#include <unistd.h>

#include "out_of_memory.h"
#include "tracker.h"

static pthread_t main_thread;
static atomic_bool lacking; /* every allocation of another thread fails */

static bool fails(void)
{
    return atomic_load(&lacking) && pthread_equal(pthread_self(), main_thread) == 0;
}

static bool always(void)
{
    return true;
}

/* What the follower has said so far. */
typedef struct log {
    atomic_int said[CTRACK_FORKED + 1]; /* by status */
} log;

static void take_down(ctrack_status status, const char *message, void *argument)
{
    (void)message;
    atomic_fetch_add(&((log *)argument)->said[status], 1);
}

static void await_said(log *l, ctrack_status status, int times)
{
    for (int64_t end = now_ns() + INT64_C(30000000000); atomic_load(&l->said[status]) < times;) {
        assert_true(now_ns() < end);
        ct_thread_nap(1000000);
    }
}

static void open_with_log(fixture *f, log *l)
{
    ctrack_options options = CTRACK_OPTIONS_INIT;
    options.log = take_down;
    options.log_argument = l;
    assert_status(ctrack_open(f->path, &options, &f->tracker, &f->error), CTRACK_OK);
    main_thread = pthread_self();
    memory_fail_when(fails);
}

/* A wait on doc-1, whose follower has said that it finds no memory to begin with. */
static ctrack_promise *wait_without_memory(fixture *f, log *l)
{
    open_with_log(f, l);
    atomic_store(&lacking, true);
    ctrack_promise *promise = wait_for(f->tracker, "doc-1", 1);
    await_said(l, CTRACK_NO_MEMORY, 1);
    return promise;
}

/* Another program reports doc-1 = 1. */
static void report_elsewhere(fixture *f)
{
    db_run_once(f->path, "INSERT INTO ctrack_progress (read_model, document_id, scope, branch, operation_index) "
                         "VALUES ('default', 'doc-1', 'document', 'main', 1)");
}

/* Another program reaches what is waited for on doc-1. */
static void assert_is_seen(fixture *f, ctrack_promise *promise)
{
    report_elsewhere(f);
    assert_status(ctrack_promise_await(promise), CTRACK_OK);
    ctrack_promise_release(promise);
}

static void await_asleep(ctrack *tracker)
{
    for (int64_t end = now_ns() + INT64_C(30000000000); !atomic_load(&tracker->follower.asleep);) {
        assert_true(now_ns() < end);
        ct_thread_nap(1000000);
    }
}

static void test_a_follower_sleeps_once_no_wait_is_pending(void **state)
{
    fixture *f = *state;
    f->tracker = open_file(f->path);
    assert_is_seen(f, wait_for(f->tracker, "doc-1", 1));
    await_asleep(f->tracker);
}

/* Without a wait: the index is asked for until it is there. */
static void test_a_tracker_that_follows_always_sees_others_while_no_wait_is_pending(void **state)
{
    fixture *f = *state;
    ctrack_options options = CTRACK_OPTIONS_INIT;
    options.follow = true;
    assert_status(ctrack_open(f->path, &options, &f->tracker, &f->error), CTRACK_OK);
    report_elsewhere(f);
    for (int64_t end = now_ns() + INT64_C(30000000000); latest(f->tracker, "doc-1") != 1;) {
        assert_true(now_ns() < end);
        ct_thread_nap(1000000);
    }
    assert_false(atomic_load(&f->tracker->follower.asleep));
}

static void test_a_follower_without_memory_at_its_start_goes_on_later(void **state)
{
    fixture *f = *state;
    log l = {{0}};
    ctrack_promise *promise = wait_without_memory(f, &l);
    assert_status(ctrack_promise_status(promise), CTRACK_PENDING);
    atomic_store(&lacking, false);
    assert_is_seen(f, promise);
    close_tracker(&f->tracker);
}

static void test_a_tracker_closes_while_its_follower_has_no_memory(void **state)
{
    fixture *f = *state;
    log l = {{0}};
    ctrack_promise *promise = wait_without_memory(f, &l);
    close_tracker(&f->tracker);
    atomic_store(&lacking, false);
    assert_status(ctrack_promise_status(promise), CTRACK_CLOSED);
    ctrack_promise_release(promise);
}

/* The waits are told why they end, which takes memory. */
static void lose_file_without_memory(fixture *f, log *l, ctrack_promise *promise)
{
    atomic_store(&lacking, true);
    assert_int_equal(unlink(f->path), 0);
    await_said(l, CTRACK_IO, 1);
    assert_status(ctrack_promise_status(promise), CTRACK_PENDING);
    atomic_store(&lacking, false);
    assert_status(ctrack_promise_await(promise), CTRACK_IO);
    ctrack_promise_release(promise);
    (void)ctrack_close(f->tracker, NULL);
    f->tracker = NULL;
}

static void test_waits_on_a_lost_file_end_once_there_is_memory(void **state)
{
    fixture *f = *state;
    log l = {{0}};
    open_with_log(f, &l);
    ctrack_promise *seen = wait_for(f->tracker, "doc-1", 1), *promise = wait_for(f->tracker, "doc-2", 1);
    assert_is_seen(f, seen); /* so the follower has begun to look */
    lose_file_without_memory(f, &l, promise);
}

static void test_waits_on_a_file_lost_before_it_was_looked_at_end_once_there_is_memory(void **state)
{
    fixture *f = *state;
    log l = {{0}};
    ctrack_promise *promise = wait_without_memory(f, &l);
    lose_file_without_memory(f, &l, promise);
}

/* What is reached already. */
static void test_a_wait_that_is_reached_takes_no_thread_and_no_memory(void **state)
{
    fixture *f = *state;
    log l = {{0}};
    ctrack_coordinate reached = at("doc-1", 5);
    ctrack_abort_signal *signal = new_signal();
    open_with_log(f, &l);
    update(f->tracker, "doc-1", 5);
    ctrack_promise *promise = wait_with(f->tracker, "doc-1", 5, 60000, NULL);
    assert_status(ctrack_promise_status(promise), CTRACK_OK);
    ctrack_promise_release(promise);
    assert_false(f->tracker->follower.started);
    assert_false(f->tracker->board->service.started);
    long before = memory_blocks();
    assert_status(ctrack_wait(f->tracker, &reached, 1, 60000, signal, &f->error), CTRACK_OK);
    assert_status(ctrack_wait(f->tracker, NULL, 0, 60000, signal, &f->error), CTRACK_OK);
    assert_int_equal(memory_blocks(), before);
    memory_fail_when(always);
    assert_status(ctrack_wait(f->tracker, &reached, 1, 60000, signal, &f->error), CTRACK_OK);
    memory_fail_when(fails);
    ctrack_stats stats = {.size = sizeof stats};
    assert_status(ctrack_get_stats(f->tracker, &stats, &f->error), CTRACK_OK);
    assert_int_equal(stats.waits_settled[CTRACK_OK], 4);
    ctrack_abort(signal);
    assert_status(ctrack_wait(f->tracker, &reached, 1, 60000, signal, &f->error), CTRACK_ABORTED);
    ctrack_abort_signal_release(signal);
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_a_follower_sleeps_once_no_wait_is_pending),
        TEST(test_a_tracker_that_follows_always_sees_others_while_no_wait_is_pending),
        TEST(test_a_follower_without_memory_at_its_start_goes_on_later),
        TEST(test_a_wait_that_is_reached_takes_no_thread_and_no_memory),
        TEST(test_a_tracker_closes_while_its_follower_has_no_memory),
        TEST(test_waits_on_a_lost_file_end_once_there_is_memory),
        TEST(test_waits_on_a_file_lost_before_it_was_looked_at_end_once_there_is_memory),
    };
    return SUPPORT_MAIN(argc, argv, "follower", tests, NULL);
}
