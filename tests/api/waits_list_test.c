/* SPDX-License-Identifier: MIT */
/* ctrack_waits() and ctrack_promise_label(): who is waiting, for what, since when. */
#include "support.h"

#include <stdatomic.h>
#include <stdio.h>

static const ctrack_status settled_statuses[] = {CTRACK_OK, CTRACK_TIMED_OUT, CTRACK_ABORTED, CTRACK_FAILED};

static ctrack_wait_list *list_of(ctrack *tracker, size_t most)
{
    ctrack_wait_list *list = NULL;
    ctrack_error error;
    ctrack_status status = ctrack_waits(tracker, most, &list, &error);
    if (status != CTRACK_OK) {
        print_error("list the waits: %s: %s\n", ctrack_status_name(status), error.message);
        fail();
    }
    return list;
}

static size_t listed(ctrack *tracker)
{
    ctrack_wait_list *list = list_of(tracker, SIZE_MAX);
    size_t count = ctrack_wait_list_count(list);
    ctrack_wait_list_free(list);
    return count;
}

static void label(ctrack_promise *promise, const char *text)
{
    assert_status(ctrack_promise_label(promise, text), CTRACK_OK);
}

/* ---------------------------------------------------------------- which waits */

static void test_list_is_empty_while_nobody_waits(void **state)
{
    fixture *f = *state;
    ctrack_wait_list *list = list_of(f->tracker, SIZE_MAX);
    assert_int_equal(ctrack_wait_list_count(list), 0);
    assert_null(ctrack_wait_list_at(list, 0));
    ctrack_wait_list_free(list);
}

static void test_list_has_no_wait_that_was_satisfied_at_once(void **state)
{
    fixture *f = *state;
    update(f->tracker, "doc-1", 5);
    ctrack_promise *promise = wait_for(f->tracker, "doc-1", 5);
    assert_int_equal(listed(f->tracker), 0);
    ctrack_promise_release(promise);
}

/* However a wait ends, it leaves the list at once, though its promise is still held. */
static void test_list_has_no_wait_that_has_settled(void **state)
{
    fixture *f = *state;
    ctrack_abort_signal *signal = new_signal();
    ctrack_promise *ended[] = {
        wait_for(f->tracker, "doc-1", 5),
        wait_with(f->tracker, "doc-2", 5, 1, NULL),
        wait_with(f->tracker, "doc-2", 5, CTRACK_FOREVER, signal),
        wait_for(f->tracker, "doc-3", 5),
    };
    update(f->tracker, "doc-1", 5);
    ctrack_promise_await(ended[1]);
    ctrack_abort(signal);
    assert_int_equal(listed(f->tracker), 1);
    assert_status(ctrack_fail(f->tracker, "broken", NULL), CTRACK_OK);
    assert_int_equal(listed(f->tracker), 0);
    for (size_t i = 0; i < sizeof ended / sizeof ended[0]; i++) {
        assert_status(ctrack_promise_status(ended[i]), settled_statuses[i]);
        ctrack_promise_release(ended[i]);
    }
    ctrack_abort_signal_release(signal);
}

static void test_list_has_no_wait_that_was_given_up(void **state)
{
    fixture *f = *state;
    ctrack_promise *kept = wait_for(f->tracker, "doc-1", 5);
    ctrack_promise_release(wait_for(f->tracker, "doc-2", 5));
    ctrack_wait_list *list = list_of(f->tracker, SIZE_MAX);
    assert_int_equal(ctrack_wait_list_count(list), 1);
    assert_string_equal(ctrack_wait_list_at(list, 0)->coordinates[0].document_id, "doc-1");
    ctrack_wait_list_free(list);
    ctrack_promise_release(kept);
}

/* A released promise with a callback still waits. */
static void test_list_has_the_wait_of_a_released_promise_with_a_callback(void **state)
{
    fixture *f = *state;
    ctrack_promise *promise = wait_for(f->tracker, "doc-1", 5);
    assert_status(ctrack_promise_then(promise, record, &f->recorder), CTRACK_OK);
    ctrack_promise_release(promise);
    assert_int_equal(listed(f->tracker), 1);
    update(f->tracker, "doc-1", 5);
    recorder_await(&f->recorder, 1);
    assert_int_equal(listed(f->tracker), 0);
}

static void test_list_has_the_oldest_first(void **state)
{
    fixture *f = *state;
    enum { WAITS = 20 };
    ctrack_promise *promises[WAITS];
    char name[16];
    for (int i = 0; i < WAITS; i++) {
        snprintf(name, sizeof name, "doc-%d", (i * 7) % WAITS);
        promises[i] = wait_for(f->tracker, name, i);
    }
    ctrack_promise_release(promises[0]); /* the ends and the middle of the list move up */
    ctrack_promise_release(promises[10]);
    ctrack_wait_list *list = list_of(f->tracker, SIZE_MAX);
    assert_int_equal(ctrack_wait_list_count(list), WAITS - 2);
    for (int i = 1, position = 0; i < WAITS; i++) {
        if (i != 10) {
            assert_int_equal(ctrack_wait_list_at(list, (size_t)position++)->targets[0], i);
            ctrack_promise_release(promises[i]);
        }
    }
    ctrack_wait_list_free(list);
}

static void test_list_is_cut_off_behind_the_oldest(void **state)
{
    fixture *f = *state;
    ctrack_promise *promises[3];
    for (int i = 0; i < 3; i++) {
        promises[i] = wait_for(f->tracker, "doc-1", i);
    }
    ctrack_wait_list *list = list_of(f->tracker, 2);
    assert_int_equal(ctrack_wait_list_count(list), 2);
    assert_int_equal(ctrack_wait_list_at(list, 0)->targets[0], 0);
    assert_int_equal(ctrack_wait_list_at(list, 1)->targets[0], 1);
    assert_null(ctrack_wait_list_at(list, 2));
    ctrack_wait_list_free(list);
    list = list_of(f->tracker, 0);
    assert_int_equal(ctrack_wait_list_count(list), 0);
    ctrack_wait_list_free(list);
    for (int i = 0; i < 3; i++) {
        ctrack_promise_release(promises[i]);
    }
}

/* ---------------------------------------------------------------- what they wait for */

static void assert_entry(const ctrack_wait_info *info, size_t i, ctrack_coordinate expected, int64_t target)
{
    assert_string_equal(info->coordinates[i].document_id, expected.document_id);
    assert_string_equal(info->coordinates[i].scope, expected.scope);
    assert_string_equal(info->coordinates[i].branch, expected.branch);
    assert_int_equal(info->coordinates[i].operation_index, expected.operation_index);
    assert_int_equal(info->targets[i], target);
}

static void test_each_coordinate_is_listed_sorted_with_progress_and_target(void **state)
{
    fixture *f = *state;
    update(f->tracker, "doc-2", 9);
    update(f->tracker, "doc-3", 1);
    ctrack_coordinate wanted[] = {at("doc-3", 3), coordinate("doc-1", "z", "main", 0), at("doc-2", 2),
                                  coordinate("doc-1", "a", "main", 7), at("doc-3", 2) /* the lower one of two */};
    ctrack_promise *promise = wait_for_all(f->tracker, wanted, 5);
    ctrack_wait_list *list = list_of(f->tracker, SIZE_MAX);
    assert_int_equal(ctrack_wait_list_count(list), 1);
    const ctrack_wait_info *info = ctrack_wait_list_at(list, 0);
    assert_int_equal(info->count, 4);
    assert_int_equal(info->missing, 3);
    assert_entry(info, 0, coordinate("doc-1", "a", "main", NEVER_SEEN), 7);
    assert_entry(info, 1, coordinate("doc-1", "z", "main", NEVER_SEEN), 0);
    assert_entry(info, 2, at("doc-2", 9), 2);
    assert_entry(info, 3, at("doc-3", 1), 3);
    ctrack_wait_list_free(list);
    ctrack_promise_release(promise);
}

static size_t missing_of_the_only_wait(ctrack *tracker, int64_t *progress)
{
    ctrack_wait_list *list = list_of(tracker, SIZE_MAX);
    assert_int_equal(ctrack_wait_list_count(list), 1);
    size_t missing = ctrack_wait_list_at(list, 0)->missing;
    *progress = ctrack_wait_list_at(list, 0)->coordinates[0].operation_index;
    ctrack_wait_list_free(list);
    return missing;
}

static void test_what_is_missing_follows_the_progress_up_and_down(void **state)
{
    fixture *f = *state;
    int64_t progress;
    ctrack_coordinate wanted[] = {at("doc-1", 2), at("doc-2", 2)};
    ctrack_promise *promise = wait_for_all(f->tracker, wanted, 2);
    assert_int_equal(missing_of_the_only_wait(f->tracker, &progress), 2);
    assert_int_equal(progress, NEVER_SEEN);
    update(f->tracker, "doc-1", 1);
    assert_int_equal(missing_of_the_only_wait(f->tracker, &progress), 2);
    assert_int_equal(progress, 1);
    update(f->tracker, "doc-1", 3);
    assert_int_equal(missing_of_the_only_wait(f->tracker, &progress), 1);
    assert_int_equal(progress, 3);
    ctrack_key first = key("doc-1");
    assert_status(ctrack_forget(f->tracker, &first, 1, NULL), CTRACK_OK);
    assert_int_equal(missing_of_the_only_wait(f->tracker, &progress), 2);
    assert_int_equal(progress, NEVER_SEEN);
    ctrack_promise_release(promise);
}

static void test_list_is_a_copy_that_outlives_wait_and_tracker(void **state)
{
    fixture *f = *state;
    ctrack_promise *promise = wait_for(f->tracker, "doc-1", 5);
    label(promise, "GET /doc-1");
    ctrack_wait_list *list = list_of(f->tracker, SIZE_MAX);
    update(f->tracker, "doc-1", 5);
    ctrack_promise_release(promise);
    close_tracker(&f->tracker);
    const ctrack_wait_info *info = ctrack_wait_list_at(list, 0);
    assert_string_equal(info->label, "GET /doc-1");
    assert_entry(info, 0, at("doc-1", NEVER_SEEN), 5);
    ctrack_wait_list_free(list);
}

/* ---------------------------------------------------------------- since when, and for how long */

static void test_age_and_time_left_are_those_of_the_wait(void **state)
{
    fixture *f = *state;
    int64_t before = now_ns();
    ctrack_promise *limited = wait_with(f->tracker, "doc-1", 5, 600000, NULL);
    ctrack_promise *unlimited = wait_for(f->tracker, "doc-1", 5);
    int64_t made = now_ns();
    while (now_ns() - made < 3000000) { /* so that an age of 0 is wrong */
    }
    int64_t asked = now_ns();
    ctrack_wait_list *list = list_of(f->tracker, SIZE_MAX);
    int64_t answered = now_ns();
    int64_t least = (asked - made) / 1000000, most = (answered - before) / 1000000;
    for (size_t i = 0; i < 2; i++) {
        int64_t age = ctrack_wait_list_at(list, i)->age_ms;
        assert_true(age >= least && age <= most);
    }
    int64_t left = ctrack_wait_list_at(list, 0)->left_ms;
    assert_true(left >= 600000 - most - 1 && left <= 600000 - least);
    assert_int_equal(ctrack_wait_list_at(list, 1)->left_ms, CTRACK_FOREVER);
    ctrack_wait_list_free(list);
    ctrack_promise_release(limited);
    ctrack_promise_release(unlimited);
}

static void test_a_time_limit_beyond_all_clocks_is_none(void **state)
{
    fixture *f = *state;
    ctrack_promise *promise = wait_with(f->tracker, "doc-1", 5, INT64_MAX, NULL);
    ctrack_wait_list *list = list_of(f->tracker, SIZE_MAX);
    assert_int_equal(ctrack_wait_list_at(list, 0)->left_ms, CTRACK_FOREVER);
    ctrack_wait_list_free(list);
    ctrack_promise_release(promise);
}

/* ---------------------------------------------------------------- labels */

static void assert_label(ctrack *tracker, const char *expected)
{
    ctrack_wait_list *list = list_of(tracker, SIZE_MAX);
    const char *text = ctrack_wait_list_at(list, 0)->label;
    if (expected == NULL) {
        assert_null(text);
    } else {
        assert_non_null(text);
        assert_string_equal(text, expected);
    }
    ctrack_wait_list_free(list);
}

static void test_label_is_copied_replaced_and_taken_away(void **state)
{
    fixture *f = *state;
    char text[] = "GET /doc-1";
    ctrack_promise *promise = wait_for(f->tracker, "doc-1", 5);
    assert_label(f->tracker, NULL);
    label(promise, text);
    memset(text, 'x', sizeof text - 1);
    assert_label(f->tracker, "GET /doc-1");
    label(promise, "");
    assert_label(f->tracker, "");
    label(promise, "request 7 of \xc3\xa9ric");
    assert_label(f->tracker, "request 7 of \xc3\xa9ric");
    label(promise, NULL);
    assert_label(f->tracker, NULL);
    ctrack_promise_release(promise);
}

static void test_label_of_one_wait_is_no_label_of_another(void **state)
{
    fixture *f = *state;
    ctrack_promise *first = wait_for(f->tracker, "doc-1", 5);
    ctrack_promise *second = wait_for(f->tracker, "doc-1", 5);
    label(second, "second");
    ctrack_wait_list *list = list_of(f->tracker, SIZE_MAX);
    assert_null(ctrack_wait_list_at(list, 0)->label);
    assert_string_equal(ctrack_wait_list_at(list, 1)->label, "second");
    ctrack_wait_list_free(list);
    ctrack_promise_release(first);
    ctrack_promise_release(second);
}

static void test_bad_label_is_refused_and_the_old_one_stays(void **state)
{
    fixture *f = *state;
    ctrack_promise *promise = wait_for(f->tracker, "doc-1", 5);
    label(promise, "old");
    char *longest = repeated('x', CTRACK_TEXT_MAX), *too_long = repeated('x', CTRACK_TEXT_MAX + 1);
    assert_status(ctrack_promise_label(promise, too_long), CTRACK_INVALID);
    assert_status(ctrack_promise_label(promise, "\xff"), CTRACK_INVALID);
    assert_label(f->tracker, "old");
    label(promise, longest);
    assert_label(f->tracker, longest);
    free(longest);
    free(too_long);
    ctrack_promise_release(promise);
}

static void test_a_settled_promise_takes_a_label_too(void **state)
{
    fixture *f = *state;
    ctrack_promise *promise = wait_with(f->tracker, "doc-1", 5, 0, NULL);
    label(promise, "late");
    assert_int_equal(listed(f->tracker), 0);
    ctrack_promise_release(promise);
}

/* ---------------------------------------------------------------- while others work */

typedef struct bustle {
    ctrack *tracker;
    atomic_bool over, failed;
} bustle;

static void *come_and_go(void *argument)
{
    bustle *b = argument;
    for (int64_t i = 0; !atomic_load(&b->over); i++) {
        ctrack_coordinate wanted[] = {at("doc-1", i), at("doc-2", INT64_MAX)};
        ctrack_promise *promise = NULL;
        if (ctrack_wait_for(b->tracker, wanted, 2, 60000, NULL, &promise, NULL) != CTRACK_OK ||
            ctrack_promise_label(promise, "comes and goes") != CTRACK_OK ||
            ctrack_update(b->tracker, wanted, 1, NULL) != CTRACK_OK) {
            atomic_store(&b->failed, true);
        }
        ctrack_promise_release(promise);
    }
    return NULL;
}

/* Each list is of one moment: of a wait that is listed, what is missing is what its progress and targets say. */
static void test_every_list_is_consistent_while_waits_come_and_go(void **state)
{
    fixture *f = *state;
    bustle *b = f->extra = calloc(1, sizeof *b);
    assert_non_null(b);
    b->tracker = f->tracker;
    pthread_t first = thread_start(come_and_go, b);
    pthread_t second = thread_start(come_and_go, b);
    bool consistent = true;
    for (int round = 0; round < 500; round++) {
        ctrack_wait_list *list = list_of(f->tracker, SIZE_MAX);
        consistent = consistent && ctrack_wait_list_count(list) <= 2;
        for (size_t w = 0; w < ctrack_wait_list_count(list); w++) {
            const ctrack_wait_info *info = ctrack_wait_list_at(list, w);
            size_t missing = 0;
            for (size_t i = 0; i < info->count; i++) {
                missing += info->coordinates[i].operation_index < info->targets[i];
            }
            consistent = consistent && info->count == 2 && missing == info->missing && missing > 0;
        }
        ctrack_wait_list_free(list);
    }
    atomic_store(&b->over, true);
    thread_join(first);
    thread_join(second);
    assert_true(consistent);
    assert_false(atomic_load(&b->failed));
}

/* ---------------------------------------------------------------- misuse */

static void test_listing_names_what_is_missing_in_the_call(void **state)
{
    fixture *f = *state;
    ctrack_wait_list *list = UNTOUCHED;
    assert_status(ctrack_waits(NULL, SIZE_MAX, &list, &f->error), CTRACK_INVALID);
    assert_ptr_equal(list, UNTOUCHED);
    assert_status(ctrack_waits(f->tracker, SIZE_MAX, NULL, &f->error), CTRACK_INVALID);
    assert_contains(f->error.message, "list");
    ctrack_wait_list_free(NULL);
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        TEST_BOTH(test_list_is_empty_while_nobody_waits),
        TEST_BOTH(test_list_has_no_wait_that_was_satisfied_at_once),
        TEST_BOTH(test_list_has_no_wait_that_has_settled),
        TEST_BOTH(test_list_has_no_wait_that_was_given_up),
        TEST_BOTH(test_list_has_the_wait_of_a_released_promise_with_a_callback),
        TEST_BOTH(test_list_has_the_oldest_first),
        TEST_BOTH(test_list_is_cut_off_behind_the_oldest),
        TEST_BOTH(test_each_coordinate_is_listed_sorted_with_progress_and_target),
        TEST_BOTH(test_what_is_missing_follows_the_progress_up_and_down),
        TEST_BOTH(test_list_is_a_copy_that_outlives_wait_and_tracker),
        TEST_BOTH(test_age_and_time_left_are_those_of_the_wait),
        TEST_BOTH(test_a_time_limit_beyond_all_clocks_is_none),
        TEST_BOTH(test_label_is_copied_replaced_and_taken_away),
        TEST_BOTH(test_label_of_one_wait_is_no_label_of_another),
        TEST_BOTH(test_bad_label_is_refused_and_the_old_one_stays),
        TEST_BOTH(test_a_settled_promise_takes_a_label_too),
        TEST_BOTH(test_every_list_is_consistent_while_waits_come_and_go),
        TEST_BOTH(test_listing_names_what_is_missing_in_the_call),
    };
    return SUPPORT_MAIN(argc, argv, "waits_list", tests, NULL);
}
