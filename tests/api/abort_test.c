/* SPDX-License-Identifier: MIT */
/* Abort signals. */
#include "support.h"

static void test_new_signal_is_not_given(void **state)
{
    (void)state;
    ctrack_abort_signal *signal = new_signal();
    assert_false(ctrack_abort_signal_aborted(signal));
    ctrack_abort_signal_release(signal);
}

static void test_no_signal_is_not_given(void **state)
{
    (void)state;
    assert_false(ctrack_abort_signal_aborted(NULL));
}

static void test_signal_stays_given(void **state)
{
    (void)state;
    ctrack_abort_signal *signal = new_signal();
    ctrack_abort(signal);
    assert_true(ctrack_abort_signal_aborted(signal));
    assert_true(ctrack_abort_signal_aborted(signal));
    ctrack_abort_signal_release(signal);
}

static void test_abort_again_is_fine(void **state)
{
    fixture *f = *state;
    ctrack_abort_signal *signal = new_signal();
    ctrack_promise *promise = wait_with(f->tracker, "doc-1", 5, CTRACK_FOREVER, signal);
    ctrack_abort(signal);
    ctrack_abort(signal);
    assert_true(ctrack_abort_signal_aborted(signal));
    assert_status(ctrack_promise_status(promise), CTRACK_ABORTED);
    ctrack_promise_release(promise);
    ctrack_abort_signal_release(signal);
}

static void test_release_of_null_is_fine(void **state)
{
    (void)state;
    ctrack_abort_signal_release(NULL);
}

static void test_abort_settles_a_pending_wait(void **state)
{
    fixture *f = *state;
    ctrack_abort_signal *signal = new_signal();
    ctrack_promise *promise = wait_with(f->tracker, "doc-1", 5, CTRACK_FOREVER, signal);
    ctrack_abort(signal);
    assert_status(ctrack_promise_status(promise), CTRACK_ABORTED);
    ctrack_promise_release(promise);
    ctrack_abort_signal_release(signal);
}

static void test_abort_runs_the_callback(void **state)
{
    fixture *f = *state;
    ctrack_abort_signal *signal = new_signal();
    ctrack_promise *promise = wait_with(f->tracker, "doc-1", 5, CTRACK_FOREVER, signal);
    assert_status(ctrack_promise_then(promise, record, &f->recorder), CTRACK_OK);
    ctrack_abort(signal);
    recorder_await(&f->recorder, 1);
    assert_status(f->recorder.calls[0].outcome, CTRACK_ABORTED);
    assert_false(pthread_equal(f->recorder.calls[0].thread, pthread_self()));
    ctrack_promise_release(promise);
    ctrack_abort_signal_release(signal);
}

static void *await_promise(void *promise)
{
    return ctrack_promise_await(promise) == CTRACK_ABORTED ? promise : NULL;
}

static void test_abort_wakes_a_blocked_thread(void **state)
{
    fixture *f = *state;
    ctrack_abort_signal *signal = new_signal();
    ctrack_promise *promise = wait_with(f->tracker, "doc-1", 5, CTRACK_FOREVER, signal);
    pthread_t thread = thread_start(await_promise, promise);
    ctrack_abort(signal);
    assert_ptr_equal(thread_join(thread), promise);
    ctrack_promise_release(promise);
    ctrack_abort_signal_release(signal);
}

static void test_wait_with_a_given_signal_is_aborted_at_once(void **state)
{
    fixture *f = *state;
    ctrack_abort_signal *signal = new_signal();
    ctrack_abort(signal);
    ctrack_promise *promise = wait_with(f->tracker, "doc-1", 5, CTRACK_FOREVER, signal);
    assert_status(ctrack_promise_status(promise), CTRACK_ABORTED);
    ctrack_promise_release(promise);
    ctrack_abort_signal_release(signal);
}

static void test_abort_after_satisfaction_has_no_effect(void **state)
{
    fixture *f = *state;
    ctrack_abort_signal *signal = new_signal();
    ctrack_promise *promise = wait_with(f->tracker, "doc-1", 5, CTRACK_FOREVER, signal);
    update(f->tracker, "doc-1", 5);
    ctrack_abort(signal);
    assert_status(ctrack_promise_status(promise), CTRACK_OK);
    ctrack_promise_release(promise);
    ctrack_abort_signal_release(signal);
}

static void test_abort_after_a_timeout_has_no_effect(void **state)
{
    fixture *f = *state;
    ctrack_abort_signal *signal = new_signal();
    ctrack_promise *promise = wait_with(f->tracker, "doc-1", 5, 1, signal);
    assert_status(ctrack_promise_await(promise), CTRACK_TIMED_OUT);
    ctrack_abort(signal);
    assert_status(ctrack_promise_status(promise), CTRACK_TIMED_OUT);
    ctrack_promise_release(promise);
    ctrack_abort_signal_release(signal);
}

static void test_update_after_an_abort_has_no_effect_on_the_outcome(void **state)
{
    fixture *f = *state;
    ctrack_abort_signal *signal = new_signal();
    ctrack_promise *promise = wait_with(f->tracker, "doc-1", 5, CTRACK_FOREVER, signal);
    ctrack_abort(signal);
    update(f->tracker, "doc-1", 5);
    assert_status(ctrack_promise_status(promise), CTRACK_ABORTED);
    ctrack_promise_release(promise);
    ctrack_abort_signal_release(signal);
}

static void test_abort_leaves_other_waits_pending(void **state)
{
    fixture *f = *state;
    ctrack_abort_signal *signal = new_signal();
    ctrack_abort_signal *other = new_signal();
    ctrack_promise *aborted = wait_with(f->tracker, "doc-1", 5, CTRACK_FOREVER, signal);
    ctrack_promise *with_other = wait_with(f->tracker, "doc-1", 5, CTRACK_FOREVER, other);
    ctrack_promise *without = wait_for(f->tracker, "doc-1", 5);
    ctrack_abort(signal);
    assert_status(ctrack_promise_status(with_other), CTRACK_PENDING);
    assert_status(ctrack_promise_status(without), CTRACK_PENDING);
    update(f->tracker, "doc-1", 5);
    assert_status(ctrack_promise_status(with_other), CTRACK_OK);
    assert_status(ctrack_promise_status(without), CTRACK_OK);
    ctrack_promise_release(aborted);
    ctrack_promise_release(with_other);
    ctrack_promise_release(without);
    ctrack_abort_signal_release(signal);
    ctrack_abort_signal_release(other);
}

enum { TRACKERS = 4, WAITS = 25 };

static void test_one_signal_settles_many_waits_on_several_trackers(void **state)
{
    fixture *f = *state;
    ctrack *trackers[TRACKERS] = {f->tracker, open_in_memory(), open_in_memory(), open_in_memory()};
    ctrack_promise *promises[TRACKERS][WAITS];
    ctrack_abort_signal *signal = new_signal();
    for (int t = 0; t < TRACKERS; t++) {
        for (int i = 0; i < WAITS; i++) {
            promises[t][i] = wait_with(trackers[t], i % 2 == 0 ? "doc-1" : "doc-2", i, CTRACK_FOREVER, signal);
        }
    }
    ctrack_abort(signal);
    for (int t = 0; t < TRACKERS; t++) {
        for (int i = 0; i < WAITS; i++) {
            assert_status(ctrack_promise_status(promises[t][i]), CTRACK_ABORTED);
            ctrack_promise_release(promises[t][i]);
        }
    }
    for (int t = 1; t < TRACKERS; t++) {
        close_tracker(&trackers[t]);
    }
    ctrack_abort_signal_release(signal);
}

static void test_waits_go_on_when_the_signal_is_released(void **state)
{
    fixture *f = *state;
    ctrack_abort_signal *signal = new_signal();
    ctrack_promise *satisfied = wait_with(f->tracker, "doc-1", 5, CTRACK_FOREVER, signal);
    ctrack_promise *timed_out = wait_with(f->tracker, "doc-2", 5, 5, signal);
    ctrack_abort_signal_release(signal);
    assert_status(ctrack_promise_status(satisfied), CTRACK_PENDING);
    update(f->tracker, "doc-1", 5);
    assert_status(ctrack_promise_await(satisfied), CTRACK_OK);
    assert_status(ctrack_promise_await(timed_out), CTRACK_TIMED_OUT);
    ctrack_promise_release(satisfied);
    ctrack_promise_release(timed_out);
}

static void test_wait_whose_signal_is_released_may_be_released_too(void **state)
{
    fixture *f = *state;
    ctrack_abort_signal *signal = new_signal();
    ctrack_promise *promise = wait_with(f->tracker, "doc-1", 5, CTRACK_FOREVER, signal);
    ctrack_abort_signal_release(signal);
    ctrack_promise_release(promise);
    update(f->tracker, "doc-1", 5);
}

static void test_abort_after_the_promise_was_released_is_fine(void **state)
{
    fixture *f = *state;
    ctrack_abort_signal *signal = new_signal();
    ctrack_promise *promise = wait_with(f->tracker, "doc-1", 5, CTRACK_FOREVER, signal);
    ctrack_promise_release(promise);
    ctrack_abort(signal);
    ctrack_abort_signal_release(signal);
}

static void test_signal_outlives_the_tracker(void **state)
{
    fixture *f = *state;
    ctrack_abort_signal *signal = new_signal();
    ctrack_promise *promise = wait_with(f->tracker, "doc-1", 5, CTRACK_FOREVER, signal);
    close_tracker(&f->tracker);
    ctrack_abort(signal);
    assert_true(ctrack_abort_signal_aborted(signal));
    assert_status(ctrack_promise_status(promise), CTRACK_CLOSED);
    ctrack_promise_release(promise);
    ctrack_abort_signal_release(signal);
}

static void test_wait_that_settled_does_not_hold_the_signal_back(void **state)
{
    fixture *f = *state;
    ctrack_abort_signal *signal = new_signal();
    for (int i = 0; i < 1000; i++) {
        ctrack_promise *promise = wait_with(f->tracker, "doc-1", i, CTRACK_FOREVER, signal);
        update(f->tracker, "doc-1", i);
        assert_status(ctrack_promise_status(promise), CTRACK_OK);
        ctrack_promise_release(promise);
    }
    ctrack_abort(signal);
    ctrack_abort_signal_release(signal);
}

enum { THREADS = 4 };

static void *abort_it(void *signal)
{
    ctrack_abort(signal);
    return NULL;
}

static void test_abort_from_many_threads_settles_each_wait_once(void **state)
{
    fixture *f = *state;
    for (size_t round = 0; round < 50; round++) {
        ctrack_abort_signal *signal = new_signal();
        ctrack_promise *promise = wait_with(f->tracker, "doc-1", 5, CTRACK_FOREVER, signal);
        assert_status(ctrack_promise_then(promise, record, &f->recorder), CTRACK_OK);
        ctrack_promise_release(promise);
        pthread_t threads[THREADS];
        for (int i = 0; i < THREADS; i++) {
            threads[i] = thread_start(abort_it, signal);
        }
        for (int i = 0; i < THREADS; i++) {
            thread_join(threads[i]);
        }
        ctrack_abort_signal_release(signal);
    }
    close_tracker(&f->tracker); /* all callbacks have run when it returns */
    assert_int_equal(recorder_count(&f->recorder), 50);
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_new_signal_is_not_given),
        TEST(test_no_signal_is_not_given),
        TEST(test_signal_stays_given),
        TEST_IN_MEMORY(test_abort_again_is_fine),
        TEST(test_release_of_null_is_fine),
        TEST_BOTH(test_abort_settles_a_pending_wait),
        TEST_BOTH(test_abort_runs_the_callback),
        TEST_BOTH(test_abort_wakes_a_blocked_thread),
        TEST_BOTH(test_wait_with_a_given_signal_is_aborted_at_once),
        TEST_BOTH(test_abort_after_satisfaction_has_no_effect),
        TEST_BOTH(test_abort_after_a_timeout_has_no_effect),
        TEST_BOTH(test_update_after_an_abort_has_no_effect_on_the_outcome),
        TEST_BOTH(test_abort_leaves_other_waits_pending),
        TEST_BOTH(test_one_signal_settles_many_waits_on_several_trackers),
        TEST_BOTH(test_waits_go_on_when_the_signal_is_released),
        TEST_BOTH(test_wait_whose_signal_is_released_may_be_released_too),
        TEST_BOTH(test_abort_after_the_promise_was_released_is_fine),
        TEST_BOTH(test_signal_outlives_the_tracker),
        TEST_BOTH(test_wait_that_settled_does_not_hold_the_signal_back),
        TEST_BOTH(test_abort_from_many_threads_settles_each_wait_once),
    };
    return SUPPORT_MAIN(argc, argv, "abort", tests, NULL);
}
