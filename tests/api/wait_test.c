/* SPDX-License-Identifier: MIT */
/* ctrack_wait_for() and ctrack_wait(): when a wait ends, and how. */
#include "support.h"

static const int64_t ms = 1000000; /* nanoseconds */

/* ---------------------------------------------------------------- satisfied */

static void test_wait_for_what_is_reached_is_satisfied_at_once(void **state)
{
    fixture *f = *state;
    update(f->tracker, "doc-1", 5);
    ctrack_promise *promise = wait_for(f->tracker, "doc-1", 5);
    assert_status(ctrack_promise_status(promise), CTRACK_OK);
    ctrack_promise_release(promise);
}

static void test_wait_for_less_than_is_reached_is_satisfied_at_once(void **state)
{
    fixture *f = *state;
    update(f->tracker, "doc-1", 5);
    ctrack_promise *promise = wait_for(f->tracker, "doc-1", 3);
    assert_status(ctrack_promise_status(promise), CTRACK_OK);
    ctrack_promise_release(promise);
}

static void test_wait_for_more_than_is_reached_is_pending(void **state)
{
    fixture *f = *state;
    update(f->tracker, "doc-1", 5);
    ctrack_promise *promise = wait_for(f->tracker, "doc-1", 6);
    assert_status(ctrack_promise_status(promise), CTRACK_PENDING);
    ctrack_promise_release(promise);
}

static void test_update_that_reaches_the_index_satisfies_the_wait(void **state)
{
    fixture *f = *state;
    ctrack_promise *promise = wait_for(f->tracker, "doc-1", 5);
    update(f->tracker, "doc-1", 5);
    assert_status(ctrack_promise_status(promise), CTRACK_OK);
    ctrack_promise_release(promise);
}

static void test_update_that_jumps_over_the_index_satisfies_the_wait(void **state)
{
    fixture *f = *state;
    ctrack_promise *promise = wait_for(f->tracker, "doc-1", 5);
    update(f->tracker, "doc-1", 50);
    assert_status(ctrack_promise_status(promise), CTRACK_OK);
    ctrack_promise_release(promise);
}

static void test_update_below_the_index_leaves_the_wait_pending(void **state)
{
    fixture *f = *state;
    ctrack_promise *promise = wait_for(f->tracker, "doc-1", 5);
    update(f->tracker, "doc-1", 4);
    assert_status(ctrack_promise_status(promise), CTRACK_PENDING);
    ctrack_promise_release(promise);
}

static void test_update_of_another_key_leaves_the_wait_pending(void **state)
{
    fixture *f = *state;
    ctrack_promise *promise = wait_for(f->tracker, "doc-1", 5);
    update(f->tracker, "doc-2", 9);
    assert_status(ctrack_promise_status(promise), CTRACK_PENDING);
    ctrack_promise_release(promise);
}

static void test_wait_for_an_empty_list_is_satisfied_at_once(void **state)
{
    fixture *f = *state;
    ctrack_promise *promise = wait_for_all(f->tracker, NULL, 0);
    assert_status(ctrack_promise_status(promise), CTRACK_OK);
    ctrack_promise_release(promise);
}

/* ---------------------------------------------------------------- several coordinates */

static void test_wait_needs_every_coordinate(void **state)
{
    fixture *f = *state;
    ctrack_coordinate wanted[] = {at("doc-1", 1), at("doc-2", 2), at("doc-3", 3)};
    ctrack_promise *promise = wait_for_all(f->tracker, wanted, 3);
    update(f->tracker, "doc-3", 3);
    update(f->tracker, "doc-1", 1);
    assert_status(ctrack_promise_status(promise), CTRACK_PENDING);
    update(f->tracker, "doc-2", 2);
    assert_status(ctrack_promise_status(promise), CTRACK_OK);
    ctrack_promise_release(promise);
}

static void test_wait_counts_what_was_reached_before(void **state)
{
    fixture *f = *state;
    update(f->tracker, "doc-1", 9);
    ctrack_coordinate wanted[] = {at("doc-1", 1), at("doc-2", 2)};
    ctrack_promise *promise = wait_for_all(f->tracker, wanted, 2);
    assert_status(ctrack_promise_status(promise), CTRACK_PENDING);
    update(f->tracker, "doc-2", 2);
    assert_status(ctrack_promise_status(promise), CTRACK_OK);
    ctrack_promise_release(promise);
}

static void test_one_coordinate_reached_twice_does_not_count_for_two(void **state)
{
    fixture *f = *state;
    ctrack_coordinate wanted[] = {at("doc-1", 1), at("doc-2", 2)};
    ctrack_promise *promise = wait_for_all(f->tracker, wanted, 2);
    update(f->tracker, "doc-1", 1);
    update(f->tracker, "doc-1", 2);
    assert_status(ctrack_promise_status(promise), CTRACK_PENDING);
    ctrack_promise_release(promise);
}

static void test_one_batch_satisfies_a_wait_for_several_coordinates(void **state)
{
    fixture *f = *state;
    ctrack_coordinate wanted[] = {at("doc-1", 1), at("doc-2", 2), at("doc-3", 3)};
    ctrack_promise *promise = wait_for_all(f->tracker, wanted, 3);
    assert_status(ctrack_update(f->tracker, wanted, 3, NULL), CTRACK_OK);
    assert_status(ctrack_promise_status(promise), CTRACK_OK);
    ctrack_promise_release(promise);
}

static void test_duplicates_in_a_wait_count_at_their_highest_index(void **state)
{
    fixture *f = *state;
    ctrack_coordinate wanted[] = {at("doc-1", 3), at("doc-1", 7), at("doc-1", 5)};
    ctrack_promise *promise = wait_for_all(f->tracker, wanted, 3);
    update(f->tracker, "doc-1", 6);
    assert_status(ctrack_promise_status(promise), CTRACK_PENDING);
    update(f->tracker, "doc-1", 7);
    assert_status(ctrack_promise_status(promise), CTRACK_OK);
    ctrack_promise_release(promise);
}

static void test_wait_borrows_its_input_only_for_the_call(void **state)
{
    fixture *f = *state;
    char document[] = "doc-1";
    ctrack_coordinate wanted = at(document, 5);
    ctrack_promise *promise = wait_for_all(f->tracker, &wanted, 1);
    memset(document, 'x', sizeof document - 1);
    wanted.operation_index = 0;
    update(f->tracker, "doc-1", 4);
    assert_status(ctrack_promise_status(promise), CTRACK_PENDING);
    update(f->tracker, "doc-1", 5);
    assert_status(ctrack_promise_status(promise), CTRACK_OK);
    ctrack_promise_release(promise);
}

enum { WAITS = 100 };

static void test_waits_on_one_key_end_each_at_its_own_index(void **state)
{
    fixture *f = *state;
    ctrack_promise *promises[WAITS];
    for (int i = 0; i < WAITS; i++) {
        promises[i] = wait_for(f->tracker, "doc-1", (i * 37) % WAITS); /* in no order */
    }
    for (int reached = 0; reached < WAITS; reached++) {
        update(f->tracker, "doc-1", reached);
        for (int i = 0; i < WAITS; i++) {
            assert_status(ctrack_promise_status(promises[i]), (i * 37) % WAITS <= reached ? CTRACK_OK : CTRACK_PENDING);
        }
    }
    for (int i = 0; i < WAITS; i++) {
        ctrack_promise_release(promises[i]);
    }
}

static void test_waits_for_the_same_point_are_all_satisfied(void **state)
{
    fixture *f = *state;
    ctrack_promise *promises[WAITS];
    for (int i = 0; i < WAITS; i++) {
        promises[i] = wait_for(f->tracker, "doc-1", 5);
    }
    update(f->tracker, "doc-1", 5);
    for (int i = 0; i < WAITS; i++) {
        assert_status(ctrack_promise_status(promises[i]), CTRACK_OK);
        ctrack_promise_release(promises[i]);
    }
}

/* ---------------------------------------------------------------- what is refused */

static void test_bad_coordinate_makes_no_promise(void **state)
{
    fixture *f = *state;
    ctrack_coordinate wanted[] = {at("doc-1", 1), at("doc-2", -2)};
    ctrack_promise *promise = UNTOUCHED;
    assert_status(ctrack_wait_for(f->tracker, wanted, 2, 0, NULL, &promise, &f->error), CTRACK_INVALID);
    assert_ptr_equal(promise, UNTOUCHED);
}

static void test_message_gives_the_position_of_the_bad_coordinate(void **state)
{
    fixture *f = *state;
    ctrack_coordinate wanted[] = {at("doc-1", 1), at("doc-2", -2)};
    ctrack_promise *promise = NULL;
    ctrack_wait_for(f->tracker, wanted, 2, 0, NULL, &promise, &f->error);
    assert_contains(f->error.message, "coordinates[1]");
}

static void test_missing_list_is_invalid(void **state)
{
    fixture *f = *state;
    ctrack_promise *promise = UNTOUCHED;
    assert_status(ctrack_wait_for(f->tracker, NULL, 1, 0, NULL, &promise, NULL), CTRACK_INVALID);
    assert_ptr_equal(promise, UNTOUCHED);
}

static void test_bad_coordinate_is_refused_even_if_the_signal_was_given(void **state)
{
    fixture *f = *state;
    ctrack_abort_signal *signal = new_signal();
    ctrack_abort(signal);
    ctrack_coordinate wanted = at("doc-1", -1);
    ctrack_promise *promise = UNTOUCHED;
    assert_status(ctrack_wait_for(f->tracker, &wanted, 1, 0, signal, &promise, NULL), CTRACK_INVALID);
    ctrack_abort_signal_release(signal);
}

/* ---------------------------------------------------------------- the order of outcomes */

static ctrack_status outcome_at_once(fixture *f, int64_t wanted, int64_t timeout_ms, bool aborted)
{
    update(f->tracker, "doc-1", 5);
    ctrack_abort_signal *signal = new_signal();
    if (aborted) {
        ctrack_abort(signal);
    }
    ctrack_promise *promise = wait_with(f->tracker, "doc-1", wanted, timeout_ms, signal);
    ctrack_status outcome = ctrack_promise_status(promise);
    ctrack_promise_release(promise);
    ctrack_abort_signal_release(signal);
    return outcome;
}

static void test_aborted_signal_comes_before_satisfied(void **state)
{
    assert_status(outcome_at_once(*state, 5, CTRACK_FOREVER, true), CTRACK_ABORTED);
}

static void test_aborted_signal_comes_before_satisfied_for_an_empty_list(void **state)
{
    fixture *f = *state;
    ctrack_abort_signal *signal = new_signal();
    ctrack_abort(signal);
    assert_status(ctrack_wait(f->tracker, NULL, 0, 0, signal, NULL), CTRACK_ABORTED);
    ctrack_abort_signal_release(signal);
}

static void test_aborted_signal_comes_before_timeout_0(void **state)
{
    assert_status(outcome_at_once(*state, 6, 0, true), CTRACK_ABORTED);
}

static void test_satisfied_comes_before_timeout_0(void **state)
{
    assert_status(outcome_at_once(*state, 5, 0, false), CTRACK_OK);
}

static void test_timeout_0_checks_once(void **state)
{
    assert_status(outcome_at_once(*state, 6, 0, false), CTRACK_TIMED_OUT);
}

static void test_timeout_0_is_not_satisfied_by_a_later_update(void **state)
{
    fixture *f = *state;
    ctrack_promise *promise = wait_with(f->tracker, "doc-1", 5, 0, NULL);
    update(f->tracker, "doc-1", 5);
    assert_status(ctrack_promise_status(promise), CTRACK_TIMED_OUT);
    ctrack_promise_release(promise);
}

/* ---------------------------------------------------------------- timeouts */

static void test_wait_times_out_when_the_index_stays_below(void **state)
{
    fixture *f = *state;
    update(f->tracker, "doc-1", 4);
    ctrack_promise *promise = wait_with(f->tracker, "doc-1", 5, 10, NULL);
    assert_status(ctrack_promise_await(promise), CTRACK_TIMED_OUT);
    ctrack_promise_release(promise);
}

static void test_timeout_is_never_early_for_a_blocked_thread(void **state)
{
    fixture *f = *state;
    for (int64_t timeout = 1; timeout <= 20; timeout++) {
        ctrack_coordinate wanted = at("doc-1", 5);
        int64_t start = now_ns();
        assert_status(ctrack_wait(f->tracker, &wanted, 1, timeout, NULL, NULL), CTRACK_TIMED_OUT);
        assert_true(now_ns() - start >= timeout * ms);
    }
}

typedef struct stamp {
    recorder *recorder;
    int64_t settled_at;
} stamp;

static void record_time(ctrack_promise *promise, ctrack_status outcome, void *argument)
{
    stamp *s = argument;
    s->settled_at = now_ns();
    record(promise, outcome, s->recorder);
}

static void test_timeout_is_never_early_for_a_callback(void **state)
{
    fixture *f = *state;
    static stamp stamps[20];
    int64_t started[20];
    for (int i = 0; i < 20; i++) {
        stamps[i] = (stamp){&f->recorder, 0};
        started[i] = now_ns();
        ctrack_promise *promise = wait_with(f->tracker, "doc-1", 5, 20 - i, NULL);
        assert_status(ctrack_promise_then(promise, record_time, &stamps[i]), CTRACK_OK);
        ctrack_promise_release(promise);
    }
    recorder_await(&f->recorder, 20);
    for (int i = 0; i < 20; i++) {
        assert_true(stamps[i].settled_at - started[i] >= (20 - i) * ms);
    }
}

static void test_timeouts_end_in_the_order_of_their_deadlines(void **state)
{
    fixture *f = *state;
    static const int64_t timeouts[] = {80, 20, 60, 40};
    ctrack_promise *promises[4];
    for (int i = 0; i < 4; i++) {
        promises[i] = wait_with(f->tracker, "doc-1", 5, timeouts[i], NULL);
        assert_status(ctrack_promise_then(promises[i], record, &f->recorder), CTRACK_OK);
    }
    recorder_await(&f->recorder, 4);
    assert_ptr_equal(f->recorder.calls[0].promise, promises[1]);
    assert_ptr_equal(f->recorder.calls[1].promise, promises[3]);
    assert_ptr_equal(f->recorder.calls[2].promise, promises[2]);
    assert_ptr_equal(f->recorder.calls[3].promise, promises[0]);
    for (int i = 0; i < 4; i++) {
        ctrack_promise_release(promises[i]);
    }
}

/* A deadline that overflowed would lie in the past, and the wait would have ended when a shorter one does. */
static void assert_timeout_is_far_away(fixture *f, int64_t timeout_ms)
{
    ctrack_promise *far = wait_with(f->tracker, "doc-1", 5, timeout_ms, NULL);
    ctrack_promise *near = wait_with(f->tracker, "doc-1", 5, 20, NULL);
    assert_status(ctrack_promise_await(near), CTRACK_TIMED_OUT);
    assert_status(ctrack_promise_status(far), CTRACK_PENDING);
    update(f->tracker, "doc-1", 5);
    assert_status(ctrack_promise_status(far), CTRACK_OK);
    ctrack_promise_release(near);
    ctrack_promise_release(far);
}

static void test_longest_timeout_does_not_overflow(void **state)
{
    assert_timeout_is_far_away(*state, INT64_MAX);
}

static void test_timeout_that_overflows_in_nanoseconds_does_not_end(void **state)
{
    assert_timeout_is_far_away(*state, INT64_MAX / 1000000 + 1);
}

static void test_timeout_beyond_32_bits_does_not_end(void **state)
{
    assert_timeout_is_far_away(*state, INT64_C(1) << 32);
}

static void test_negative_timeout_has_no_limit(void **state)
{
    assert_timeout_is_far_away(*state, CTRACK_FOREVER);
}

static void test_lowest_timeout_has_no_limit(void **state)
{
    assert_timeout_is_far_away(*state, INT64_MIN);
}

typedef struct blocked {
    ctrack *tracker;
    gate started;
    int64_t timeout_ms;
    ctrack_abort_signal *signal;
    ctrack_status outcome;
} blocked;

static void *block_in_wait(void *argument)
{
    blocked *b = argument;
    ctrack_coordinate wanted = at("doc-1", 5);
    gate_open(&b->started);
    b->outcome = ctrack_wait(b->tracker, &wanted, 1, b->timeout_ms, b->signal, NULL);
    return NULL;
}

static ctrack_status outcome_of_blocked_thread(fixture *f, int64_t timeout_ms)
{
    static blocked b;
    b = (blocked){.tracker = f->tracker, .timeout_ms = timeout_ms, .outcome = CTRACK_PENDING};
    gate_init(&b.started);
    pthread_t thread = thread_start(block_in_wait, &b);
    gate_pass(&b.started);
    update(f->tracker, "doc-1", 5);
    thread_join(thread);
    gate_destroy(&b.started);
    return b.outcome;
}

static void test_blocked_thread_wakes_when_the_index_is_reached(void **state)
{
    assert_status(outcome_of_blocked_thread(*state, CTRACK_FOREVER), CTRACK_OK);
}

static void test_blocked_thread_with_the_longest_timeout_wakes(void **state)
{
    assert_status(outcome_of_blocked_thread(*state, INT64_MAX), CTRACK_OK);
}

/* ---------------------------------------------------------------- ctrack_wait() and its messages */

static void test_blocking_wait_returns_ok_for_what_is_reached(void **state)
{
    fixture *f = *state;
    update(f->tracker, "doc-1", 5);
    ctrack_coordinate wanted = at("doc-1", 5);
    assert_status(ctrack_wait(f->tracker, &wanted, 1, CTRACK_FOREVER, NULL, NULL), CTRACK_OK);
}

static void test_blocking_wait_refuses_a_bad_coordinate(void **state)
{
    fixture *f = *state;
    ctrack_coordinate wanted[] = {at("doc-1", 5), coordinate("d", NULL, "b", 1)};
    assert_status(ctrack_wait(f->tracker, wanted, 2, 0, NULL, &f->error), CTRACK_INVALID);
    assert_contains(f->error.message, "coordinates[1]");
}

static void test_message_of_a_timeout_says_what_is_missing(void **state)
{
    fixture *f = *state;
    ctrack_coordinate reached[] = {at("doc-1", 5), coordinate("doc-7", "document", "main", 9), at("doc-9", 1)};
    assert_status(ctrack_update(f->tracker, reached, 3, NULL), CTRACK_OK);
    ctrack_coordinate wanted[] = {at("doc-1", 5), coordinate("doc-7", "document", "main", 12), at("doc-9", 1)};
    assert_status(ctrack_wait(f->tracker, wanted, 3, 10, NULL, &f->error), CTRACK_TIMED_OUT);
    assert_string_equal(f->error.message,
                        "timed out after 10 ms: 1 of 3 coordinates missing: doc-7:document:main needs 12, has 9");
}

static void test_error_of_a_timeout_has_its_status(void **state)
{
    fixture *f = *state;
    ctrack_coordinate wanted = at("doc-1", 5);
    ctrack_wait(f->tracker, &wanted, 1, 0, NULL, &f->error);
    assert_status(f->error.status, CTRACK_TIMED_OUT);
}

static void test_message_names_a_key_that_was_never_seen(void **state)
{
    fixture *f = *state;
    ctrack_coordinate wanted = at("doc-7", 12);
    assert_status(ctrack_wait(f->tracker, &wanted, 1, 0, NULL, &f->error), CTRACK_TIMED_OUT);
    assert_contains(f->error.message, "doc-7:document:main needs 12");
    assert_null(strstr(f->error.message, "-1"));
}

static void test_message_counts_what_is_missing(void **state)
{
    fixture *f = *state;
    ctrack_coordinate wanted[] = {at("doc-1", 5), at("doc-2", 5), at("doc-3", 5)};
    update(f->tracker, "doc-2", 5);
    assert_status(ctrack_wait(f->tracker, wanted, 3, 0, NULL, &f->error), CTRACK_TIMED_OUT);
    assert_contains(f->error.message, "2 of 3 coordinates missing");
}

static void test_message_counts_duplicates_once(void **state)
{
    fixture *f = *state;
    ctrack_coordinate wanted[] = {at("doc-1", 5), at("doc-1", 6), at("doc-2", 5)};
    assert_status(ctrack_wait(f->tracker, wanted, 3, 0, NULL, &f->error), CTRACK_TIMED_OUT);
    assert_contains(f->error.message, "2 of 2 coordinates missing");
}

static void test_message_about_very_many_missing_coordinates_is_cut(void **state)
{
    fixture *f = *state;
    static ctrack_coordinate wanted[WAITS];
    static char names[WAITS][64];
    for (int i = 0; i < WAITS; i++) {
        memset(names[i], 'a' + i % 26, 60);
        names[i][59] = (char)('a' + i / 26);
        wanted[i] = at(names[i], 5);
    }
    assert_status(ctrack_wait(f->tracker, wanted, WAITS, 0, NULL, &f->error), CTRACK_TIMED_OUT);
    assert_contains(f->error.message, "100 of 100 coordinates missing");
    assert_non_null(memchr(f->error.message, '\0', sizeof f->error.message));
}

static void test_message_of_an_aborted_wait_says_what_is_missing(void **state)
{
    fixture *f = *state;
    ctrack_abort_signal *signal = new_signal();
    ctrack_abort(signal);
    update(f->tracker, "doc-7", 9);
    ctrack_coordinate wanted = at("doc-7", 12);
    assert_status(ctrack_wait(f->tracker, &wanted, 1, CTRACK_FOREVER, signal, &f->error), CTRACK_ABORTED);
    assert_status(f->error.status, CTRACK_ABORTED);
    assert_contains(f->error.message, "doc-7:document:main needs 12, has 9");
    ctrack_abort_signal_release(signal);
}

static void test_more_coordinates_than_can_be_counted_are_refused(void **state)
{
    fixture *f = *state;
    ctrack_coordinate wanted = at("doc-1", 5);
    ctrack_promise *promise = UNTOUCHED;
    assert_status(ctrack_wait_for(f->tracker, &wanted, SIZE_MAX, 0, NULL, &promise, &f->error), CTRACK_NO_MEMORY);
    assert_ptr_equal(promise, UNTOUCHED);
}

static void test_message_of_an_aborted_wait_for_what_is_reached_lists_nothing(void **state)
{
    fixture *f = *state;
    ctrack_abort_signal *signal = new_signal();
    ctrack_abort(signal);
    update(f->tracker, "doc-7", 9);
    ctrack_coordinate wanted = at("doc-7", 9);
    assert_status(ctrack_wait(f->tracker, &wanted, 1, CTRACK_FOREVER, signal, &f->error), CTRACK_ABORTED);
    assert_string_equal(f->error.message, "aborted");
    ctrack_abort_signal_release(signal);
}

static void test_message_of_a_wait_that_closing_ended_says_so(void **state)
{
    fixture *f = *state;
    ctrack_promise *promise = wait_for(f->tracker, "doc-7", 9);
    close_tracker(&f->tracker);
    assert_status(ctrack_promise_explain(promise, &f->error), CTRACK_CLOSED);
    assert_contains(f->error.message, "the tracker was closed");
    ctrack_promise_release(promise);
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        TEST_BOTH(test_wait_for_what_is_reached_is_satisfied_at_once),
        TEST_BOTH(test_wait_for_less_than_is_reached_is_satisfied_at_once),
        TEST_BOTH(test_wait_for_more_than_is_reached_is_pending),
        TEST_BOTH(test_update_that_reaches_the_index_satisfies_the_wait),
        TEST_BOTH(test_update_that_jumps_over_the_index_satisfies_the_wait),
        TEST_BOTH(test_update_below_the_index_leaves_the_wait_pending),
        TEST_BOTH(test_update_of_another_key_leaves_the_wait_pending),
        TEST_BOTH(test_wait_for_an_empty_list_is_satisfied_at_once),
        TEST_BOTH(test_wait_needs_every_coordinate),
        TEST_BOTH(test_wait_counts_what_was_reached_before),
        TEST_BOTH(test_one_coordinate_reached_twice_does_not_count_for_two),
        TEST_BOTH(test_one_batch_satisfies_a_wait_for_several_coordinates),
        TEST_BOTH(test_duplicates_in_a_wait_count_at_their_highest_index),
        TEST_BOTH(test_wait_borrows_its_input_only_for_the_call),
        TEST_BOTH(test_waits_on_one_key_end_each_at_its_own_index),
        TEST_BOTH(test_waits_for_the_same_point_are_all_satisfied),
        TEST_BOTH(test_bad_coordinate_makes_no_promise),
        TEST_BOTH(test_message_gives_the_position_of_the_bad_coordinate),
        TEST_BOTH(test_missing_list_is_invalid),
        TEST_IN_MEMORY(test_bad_coordinate_is_refused_even_if_the_signal_was_given),
        TEST_IN_MEMORY(test_aborted_signal_comes_before_satisfied),
        TEST_IN_MEMORY(test_aborted_signal_comes_before_satisfied_for_an_empty_list),
        TEST_IN_MEMORY(test_aborted_signal_comes_before_timeout_0),
        TEST_IN_MEMORY(test_satisfied_comes_before_timeout_0),
        TEST_IN_MEMORY(test_timeout_0_checks_once),
        TEST_IN_MEMORY(test_timeout_0_is_not_satisfied_by_a_later_update),
        TEST_BOTH(test_wait_times_out_when_the_index_stays_below),
        TEST_BOTH(test_timeout_is_never_early_for_a_blocked_thread),
        TEST_BOTH(test_timeout_is_never_early_for_a_callback),
        TEST_IN_MEMORY(test_timeouts_end_in_the_order_of_their_deadlines),
        TEST_IN_MEMORY(test_longest_timeout_does_not_overflow),
        TEST_IN_MEMORY(test_timeout_that_overflows_in_nanoseconds_does_not_end),
        TEST_IN_MEMORY(test_timeout_beyond_32_bits_does_not_end),
        TEST_IN_MEMORY(test_negative_timeout_has_no_limit),
        TEST_IN_MEMORY(test_lowest_timeout_has_no_limit),
        TEST_BOTH(test_blocked_thread_wakes_when_the_index_is_reached),
        TEST_BOTH(test_blocked_thread_with_the_longest_timeout_wakes),
        TEST_BOTH(test_blocking_wait_returns_ok_for_what_is_reached),
        TEST_BOTH(test_blocking_wait_refuses_a_bad_coordinate),
        TEST_BOTH(test_message_of_a_timeout_says_what_is_missing),
        TEST_BOTH(test_error_of_a_timeout_has_its_status),
        TEST_BOTH(test_message_names_a_key_that_was_never_seen),
        TEST_BOTH(test_message_counts_what_is_missing),
        TEST_BOTH(test_message_counts_duplicates_once),
        TEST_BOTH(test_message_about_very_many_missing_coordinates_is_cut),
        TEST_BOTH(test_message_of_an_aborted_wait_says_what_is_missing),
        TEST_BOTH(test_more_coordinates_than_can_be_counted_are_refused),
        TEST_BOTH(test_message_of_an_aborted_wait_for_what_is_reached_lists_nothing),
        TEST_BOTH(test_message_of_a_wait_that_closing_ended_says_so),
    };
    return SUPPORT_MAIN(argc, argv, "wait", tests, NULL);
}
