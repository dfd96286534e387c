/* SPDX-License-Identifier: MIT */
/* The wait set, which is told the time: these tests make time up. */
#include "support.h"

#include "clock.h"
#include "waitset.h"

enum { MAX_WAITS = CT_EXPIRE_MOST + 1 };

typedef struct world {
    ct_map *map;
    ct_waitset set;
    ct_settled settled;
    ct_wait *waits[MAX_WAITS];
    size_t count;
} world;

static int setup(void **state)
{
    world *w = calloc(1, sizeof *w);
    if (w == NULL || (w->map = ct_map_new()) == NULL) {
        free(w);
        return -1;
    }
    w->set.map = w->map;
    *state = w;
    return 0;
}

static size_t entries(const world *w)
{
    size_t count = 0;
    for (ct_entry *entry = NULL; (entry = ct_map_next(w->map, entry)) != NULL;) {
        count++;
    }
    return count;
}

/* Every wait can be ended, and what it leaves can be released: then only keys with progress remain. */
static int teardown(void **state)
{
    world *w = *state;
    ct_waitset_end_all(&w->set, CTRACK_CLOSED, &w->settled);
    for (size_t i = 0; i < w->count; i++) {
        if (w->waits[i] != NULL) {
            ct_wait_release_items(&w->set, w->waits[i]);
            free(w->waits[i]);
        }
    }
    bool clean = w->set.pending == 0 && w->set.first == NULL && w->set.last == NULL && w->set.deadlines == NULL &&
                 entries(w) == ct_map_count(w->map);
    ct_map_free(w->map);
    free(w);
    return clean ? 0 : -1;
}

static ct_entry *entry_of(world *w, const char *document)
{
    ctrack_key k = key(document);
    ct_entry *entry = ct_map_find_or_add(w->map, &k);
    assert_non_null(entry);
    return entry;
}

static bool known(world *w, const char *document)
{
    ctrack_key k = key(document);
    return ct_map_find(w->map, &k) != NULL;
}

static ct_wait *add_at(world *w, int64_t now, int64_t deadline, const ctrack_coordinate *targets, uint32_t count)
{
    ct_wait *wait = calloc(1, sizeof *wait + count * sizeof wait->items[0]);
    assert_non_null(wait);
    assert_true(w->count < MAX_WAITS);
    w->waits[w->count++] = wait;
    wait->count = count;
    for (uint32_t i = 0; i < count; i++) {
        wait->items[i].entry = entry_of(w, targets[i].document_id);
        wait->items[i].target = targets[i].operation_index;
        wait->items[i].wait = wait;
    }
    ct_waitset_add(&w->set, wait, now, deadline);
    return wait;
}

static ct_wait *add_until(world *w, int64_t deadline, const char *document, int64_t index)
{
    ctrack_coordinate target = at(document, index);
    return add_at(w, 0, deadline, &target, 1);
}

static ct_wait *add(world *w, const char *document, int64_t index)
{
    return add_until(w, CT_NEVER, document, index);
}

static ct_wait *add_two(world *w, ctrack_coordinate one, ctrack_coordinate other)
{
    ctrack_coordinate targets[] = {one, other};
    return add_at(w, 0, CT_NEVER, targets, 2);
}

static void set_index(world *w, const char *document, int64_t index)
{
    ct_map_set(w->map, entry_of(w, document), index);
}

static void raise_to(world *w, const char *document, int64_t index)
{
    set_index(w, document, index);
    ct_waitset_raised(&w->set, entry_of(w, document), &w->settled);
}

static ctrack_status status_of(const ct_wait *wait)
{
    return (ctrack_status)atomic_load(&wait->status);
}

/* Fails the test unless these waits have settled since the last time, in this order. */
static void assert_settled(world *w, ct_wait *const *expected, size_t count)
{
    const ct_wait *next = w->settled.first, *last = NULL;
    for (size_t i = 0; i < count; i++) {
        assert_ptr_equal(next, expected[i]);
        last = next;
        next = next->next;
    }
    assert_null(next);
    assert_ptr_equal(w->settled.last, last);
    w->settled = (ct_settled){0};
}
#define ASSERT_SETTLED(w, ...) \
    assert_settled(w, (ct_wait *const[]){__VA_ARGS__}, sizeof((ct_wait *const[]){__VA_ARGS__}) / sizeof(ct_wait *))
#define ASSERT_NONE_SETTLED(w) assert_settled(w, NULL, 0)

/* ---------------------------------------------------------------- registering */

static void test_a_wait_that_lacks_something_is_pending(void **state)
{
    world *w = *state;
    ctrack_coordinate target = at("a", 5);
    ct_wait *wait = add_at(w, 123, CT_NEVER, &target, 1);
    assert_status(status_of(wait), CTRACK_PENDING);
    assert_int_equal(wait->missing, 1);
    assert_int_equal(wait->since, 123);
    assert_int_equal(w->set.pending, 1);
}

static void test_what_is_reached_does_not_count_as_missing(void **state)
{
    world *w = *state;
    set_index(w, "a", 5);
    set_index(w, "b", 4);
    assert_int_equal(add_two(w, at("a", 5), at("b", 5))->missing, 1);
    assert_int_equal(add_two(w, at("a", 4), at("b", 0))->missing, 0);
    assert_int_equal(add_two(w, at("a", 6), at("c", 0))->missing, 2);
}

static void test_a_key_that_was_never_seen_or_is_reserved_has_not_reached_zero(void **state)
{
    world *w = *state;
    assert_int_equal(add(w, "a", 0)->missing, 1);
    entry_of(w, "b")->index = CT_RESERVED;
    assert_int_equal(add(w, "b", 0)->missing, 1);
    entry_of(w, "b")->index = CT_UNSEEN;
}

static void test_a_wait_for_nothing_lacks_nothing(void **state)
{
    world *w = *state;
    ct_wait *wait = add_at(w, 0, CT_NEVER, NULL, 0);
    assert_int_equal(wait->missing, 0);
    ct_waitset_settle(&w->set, wait, CTRACK_OK, &w->settled);
    assert_status(status_of(wait), CTRACK_OK);
    ASSERT_SETTLED(w, wait);
}

/* ---------------------------------------------------------------- raising */

static void test_a_wait_is_satisfied_at_its_target_and_not_before(void **state)
{
    world *w = *state;
    ct_wait *wait = add(w, "a", 5);
    raise_to(w, "a", 4);
    ASSERT_NONE_SETTLED(w);
    raise_to(w, "a", 5);
    assert_status(status_of(wait), CTRACK_OK);
    ASSERT_SETTLED(w, wait);
    assert_int_equal(w->set.pending, 0);
}

static void test_a_leap_over_the_target_satisfies(void **state)
{
    world *w = *state;
    ct_wait *wait = add(w, "a", 5);
    raise_to(w, "a", INT64_MAX);
    ASSERT_SETTLED(w, wait);
}

static void test_waits_settle_in_order_of_their_targets(void **state)
{
    world *w = *state;
    ct_wait *nine = add(w, "a", 9), *one = add(w, "a", 1), *five = add(w, "a", 5), *ten = add(w, "a", 10);
    raise_to(w, "a", 9);
    ASSERT_SETTLED(w, one, five, nine);
    assert_status(status_of(ten), CTRACK_PENDING);
    assert_int_equal(w->set.pending, 1);
}

static void test_only_waits_on_the_raised_key_settle(void **state)
{
    world *w = *state;
    ct_wait *a = add(w, "a", 5), *b = add(w, "b", 5);
    raise_to(w, "a", 100);
    ASSERT_SETTLED(w, a);
    raise_to(w, "b", 5);
    ASSERT_SETTLED(w, b);
}

static void test_a_wait_for_several_keys_settles_with_the_last_of_them(void **state)
{
    world *w = *state;
    ct_wait *wait = add_two(w, at("a", 5), at("b", 3));
    raise_to(w, "a", 5);
    ASSERT_NONE_SETTLED(w);
    assert_int_equal(wait->missing, 1);
    raise_to(w, "b", 3);
    ASSERT_SETTLED(w, wait);
    assert_int_equal(wait->missing, 0);
}

static void test_the_highest_target_can_be_reached(void **state)
{
    world *w = *state;
    ct_wait *wait = add(w, "a", INT64_MAX);
    raise_to(w, "a", INT64_MAX - 1);
    ASSERT_NONE_SETTLED(w);
    raise_to(w, "a", INT64_MAX);
    ASSERT_SETTLED(w, wait);
}

static void test_the_highest_index_does_not_touch_waits_that_have_ended(void **state)
{
    world *w = *state;
    ct_wait *ended = add(w, "a", 7), *wait = add(w, "a", INT64_MAX);
    ct_waitset_settle(&w->set, ended, CTRACK_ABORTED, &w->settled);
    ASSERT_SETTLED(w, ended);
    raise_to(w, "a", INT64_MAX);
    ASSERT_SETTLED(w, wait);
    assert_status(status_of(ended), CTRACK_ABORTED);
}

/* ---------------------------------------------------------------- deadlines */

static void test_a_wait_expires_exactly_at_its_deadline(void **state)
{
    world *w = *state;
    ct_wait *wait = add_until(w, 1000, "a", 5);
    ct_waitset_expire(&w->set, 999, &w->settled);
    ASSERT_NONE_SETTLED(w);
    assert_status(status_of(wait), CTRACK_PENDING);
    ct_waitset_expire(&w->set, 1000, &w->settled);
    assert_status(status_of(wait), CTRACK_TIMED_OUT);
    ASSERT_SETTLED(w, wait);
}

static void test_waits_expire_in_order_of_their_deadlines(void **state)
{
    world *w = *state;
    ct_wait *third = add_until(w, 30, "a", 1), *first = add_until(w, 10, "b", 2), *second = add_until(w, 20, "a", 3),
            *later = add_until(w, 31, "c", 1);
    ct_waitset_expire(&w->set, 30, &w->settled);
    ASSERT_SETTLED(w, first, second, third);
    assert_status(status_of(later), CTRACK_PENDING);
}

/* Whoever wants the lock does not have to wait until all have ended. */
static void test_many_waits_expire_a_bounded_number_at_a_time(void **state)
{
    world *w = *state;
    for (int i = 0; i <= CT_EXPIRE_MOST; i++) {
        add_until(w, 10, "a", 5);
    }
    ct_waitset_expire(&w->set, 10, &w->settled);
    assert_int_equal(w->set.pending, 1);
    assert_int_equal(ct_waitset_next_deadline(&w->set), 10);
    ct_waitset_expire(&w->set, 10, &w->settled);
    assert_int_equal(w->set.pending, 0);
}

static void test_a_wait_without_a_deadline_never_expires(void **state)
{
    world *w = *state;
    add_until(w, CT_NEVER, "a", 1);
    ct_waitset_expire(&w->set, CT_NEVER, &w->settled);
    ASSERT_NONE_SETTLED(w);
}

static void test_the_next_deadline_is_the_earliest_of_those_pending(void **state)
{
    world *w = *state;
    assert_int_equal(ct_waitset_next_deadline(&w->set), CT_NEVER);
    add_until(w, CT_NEVER, "a", 1);
    assert_int_equal(ct_waitset_next_deadline(&w->set), CT_NEVER);
    add_until(w, 20, "a", 5);
    ct_wait *first = add_until(w, 10, "b", 1);
    assert_int_equal(ct_waitset_next_deadline(&w->set), 10);
    ct_waitset_settle(&w->set, first, CTRACK_ABORTED, &w->settled);
    assert_int_equal(ct_waitset_next_deadline(&w->set), 20);
    raise_to(w, "a", 5);
    assert_int_equal(ct_waitset_next_deadline(&w->set), CT_NEVER);
}

static void test_a_deadline_at_the_end_of_time_is_none(void **state)
{
    world *w = *state;
    ct_wait *wait = add_until(w, CT_NEVER - 1, "a", 1);
    assert_int_equal(ct_waitset_next_deadline(&w->set), CT_NEVER - 1);
    ct_waitset_expire(&w->set, CT_NEVER - 2, &w->settled);
    ASSERT_NONE_SETTLED(w);
    ct_waitset_expire(&w->set, CT_NEVER - 1, &w->settled);
    ASSERT_SETTLED(w, wait);
}

/* ---------------------------------------------------------------- ending */

static void test_end_all_ends_all_oldest_first(void **state)
{
    world *w = *state;
    ct_wait *a = add_until(w, 50, "a", 9), *b = add(w, "b", 1), *c = add_until(w, 10, "a", 1);
    ct_waitset_end_all(&w->set, CTRACK_FAILED, &w->settled);
    ASSERT_SETTLED(w, a, b, c);
    assert_status(status_of(a), CTRACK_FAILED);
    assert_int_equal(w->set.pending, 0);
    assert_int_equal(ct_waitset_next_deadline(&w->set), CT_NEVER);
    ct_waitset_end_all(&w->set, CTRACK_CLOSED, &w->settled);
    ASSERT_NONE_SETTLED(w);
}

static void test_settling_one_leaves_its_neighbours(void **state)
{
    world *w = *state;
    ct_wait *a = add(w, "a", 1), *b = add(w, "a", 1), *c = add(w, "a", 1);
    ct_waitset_settle(&w->set, b, CTRACK_ABORTED, &w->settled);
    ASSERT_SETTLED(w, b);
    assert_int_equal(w->set.pending, 2);
    ct_waitset_end_all(&w->set, CTRACK_CLOSED, &w->settled);
    ASSERT_SETTLED(w, a, c);
}

static void test_an_ended_wait_keeps_what_was_missing_and_how_far_it_was(void **state)
{
    world *w = *state;
    set_index(w, "a", 3);
    set_index(w, "b", 9);
    ctrack_coordinate targets[] = {at("a", 5), at("b", 9), at("c", 1)};
    ct_wait *wait = add_at(w, 0, 10, targets, 3);
    ct_waitset_expire(&w->set, 10, &w->settled);
    ASSERT_SETTLED(w, wait);
    assert_ptr_equal(wait->items[0].entry, entry_of(w, "a"));
    assert_int_equal(wait->items[0].index_at_end, 3);
    assert_null(wait->items[1].entry); /* was reached */
    assert_ptr_equal(wait->items[2].entry, entry_of(w, "c"));
    assert_int_equal(wait->items[2].index_at_end, CT_UNSEEN);
    raise_to(w, "a", 100);
    ASSERT_NONE_SETTLED(w);
    assert_int_equal(wait->items[0].index_at_end, 3);
    assert_int_equal(wait->missing, 2);
}

static void test_a_reserved_key_counts_as_unseen_at_the_end(void **state)
{
    world *w = *state;
    ct_wait *wait = add(w, "a", 5);
    entry_of(w, "a")->index = CT_RESERVED;
    ct_waitset_settle(&w->set, wait, CTRACK_ABORTED, &w->settled);
    assert_int_equal(wait->items[0].index_at_end, CT_UNSEEN);
    entry_of(w, "a")->index = CT_UNSEEN;
}

static void test_an_ended_wait_keeps_its_entries_until_it_releases_them(void **state)
{
    world *w = *state;
    ct_wait *wait = add_two(w, at("a", 5), at("b", 3));
    ct_waitset_settle(&w->set, wait, CTRACK_ABORTED, &w->settled);
    ct_map_release(w->map, entry_of(w, "a"));
    assert_true(known(w, "a"));
    ct_wait_release_items(&w->set, wait);
    assert_false(known(w, "a"));
    assert_false(known(w, "b"));
    ct_wait_release_items(&w->set, wait); /* again is fine */
}

static void test_releasing_keeps_entries_that_others_need(void **state)
{
    world *w = *state;
    set_index(w, "c", 1);
    ct_wait *wait = add_two(w, at("a", 5), at("c", 3)), *other = add(w, "a", 9);
    ct_waitset_settle(&w->set, wait, CTRACK_ABORTED, &w->settled);
    ct_wait_release_items(&w->set, wait);
    assert_true(known(w, "a"));
    assert_true(known(w, "c"));
    w->settled = (ct_settled){0};
    raise_to(w, "a", 9);
    ASSERT_SETTLED(w, other);
}

static void test_a_satisfied_wait_keeps_nothing(void **state)
{
    world *w = *state;
    ct_wait *wait = add_two(w, at("a", 5), at("b", 3));
    raise_to(w, "a", 5);
    raise_to(w, "b", 3);
    ASSERT_SETTLED(w, wait);
    assert_null(wait->items[0].entry);
    assert_null(wait->items[1].entry);
    set_index(w, "a", CT_UNSEEN);
    ct_map_release(w->map, entry_of(w, "a"));
    assert_false(known(w, "a"));
}

static void test_ended_waits_do_not_slow_or_hide_those_that_are_pending(void **state)
{
    world *w = *state;
    ct_wait *ended[20];
    for (int i = 0; i < 20; i++) {
        ended[i] = add(w, "a", i);
    }
    ct_wait *pending = add(w, "a", 15);
    for (int i = 0; i < 20; i++) {
        ct_waitset_settle(&w->set, ended[i], CTRACK_ABORTED, &w->settled);
    }
    w->settled = (ct_settled){0};
    assert_ptr_equal(entry_of(w, "a")->waiting, &pending->items[0].node);
    raise_to(w, "a", 15);
    ASSERT_SETTLED(w, pending);
}

/* ---------------------------------------------------------------- judging anew */

static void test_a_part_that_fell_counts_as_missing_again(void **state)
{
    world *w = *state;
    ct_wait *wait = add_two(w, at("a", 5), at("b", 3));
    raise_to(w, "a", 5);
    set_index(w, "a", 4);
    ct_waitset_rejudge(&w->set, &w->settled);
    ASSERT_NONE_SETTLED(w);
    assert_int_equal(wait->missing, 2);
    raise_to(w, "b", 3);
    ASSERT_NONE_SETTLED(w);
    raise_to(w, "a", 5);
    ASSERT_SETTLED(w, wait);
}

static void test_a_key_that_is_forgotten_counts_as_missing_again(void **state)
{
    world *w = *state;
    ct_wait *wait = add_two(w, at("a", 0), at("b", 0));
    raise_to(w, "a", 0);
    set_index(w, "a", CT_UNSEEN);
    ct_waitset_rejudge(&w->set, &w->settled);
    assert_int_equal(wait->missing, 2);
}

static void test_judging_anew_settles_what_is_satisfied_oldest_first(void **state)
{
    world *w = *state;
    ct_wait *high = add(w, "a", 9), *low = add(w, "a", 1), *two = add_two(w, at("a", 5), at("b", 3)),
            *not_yet = add(w, "b", 4);
    set_index(w, "a", 9);
    set_index(w, "b", 3);
    ct_waitset_rejudge(&w->set, &w->settled);
    ASSERT_SETTLED(w, high, low, two);
    assert_status(status_of(not_yet), CTRACK_PENDING);
    assert_int_equal(w->set.pending, 1);
}

static void test_judging_anew_changes_nothing_when_nothing_changed(void **state)
{
    world *w = *state;
    ct_wait *wait = add_two(w, at("a", 5), at("b", 3));
    raise_to(w, "a", 5);
    ct_waitset_rejudge(&w->set, &w->settled);
    ct_waitset_rejudge(&w->set, &w->settled);
    ASSERT_NONE_SETTLED(w);
    assert_int_equal(wait->missing, 1);
    raise_to(w, "b", 3);
    ASSERT_SETTLED(w, wait);
}

static void test_judging_anew_leaves_ended_waits_alone(void **state)
{
    world *w = *state;
    ct_wait *wait = add(w, "a", 5);
    ct_waitset_settle(&w->set, wait, CTRACK_TIMED_OUT, &w->settled);
    w->settled = (ct_settled){0};
    set_index(w, "a", 5);
    ct_waitset_rejudge(&w->set, &w->settled);
    ASSERT_NONE_SETTLED(w);
    assert_status(status_of(wait), CTRACK_TIMED_OUT);
}

#define WAITSET_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        WAITSET_TEST(test_a_wait_that_lacks_something_is_pending),
        WAITSET_TEST(test_what_is_reached_does_not_count_as_missing),
        WAITSET_TEST(test_a_key_that_was_never_seen_or_is_reserved_has_not_reached_zero),
        WAITSET_TEST(test_a_wait_for_nothing_lacks_nothing),
        WAITSET_TEST(test_a_wait_is_satisfied_at_its_target_and_not_before),
        WAITSET_TEST(test_a_leap_over_the_target_satisfies),
        WAITSET_TEST(test_waits_settle_in_order_of_their_targets),
        WAITSET_TEST(test_only_waits_on_the_raised_key_settle),
        WAITSET_TEST(test_a_wait_for_several_keys_settles_with_the_last_of_them),
        WAITSET_TEST(test_the_highest_target_can_be_reached),
        WAITSET_TEST(test_the_highest_index_does_not_touch_waits_that_have_ended),
        WAITSET_TEST(test_a_wait_expires_exactly_at_its_deadline),
        WAITSET_TEST(test_waits_expire_in_order_of_their_deadlines),
        WAITSET_TEST(test_many_waits_expire_a_bounded_number_at_a_time),
        WAITSET_TEST(test_a_wait_without_a_deadline_never_expires),
        WAITSET_TEST(test_the_next_deadline_is_the_earliest_of_those_pending),
        WAITSET_TEST(test_a_deadline_at_the_end_of_time_is_none),
        WAITSET_TEST(test_end_all_ends_all_oldest_first),
        WAITSET_TEST(test_settling_one_leaves_its_neighbours),
        WAITSET_TEST(test_an_ended_wait_keeps_what_was_missing_and_how_far_it_was),
        WAITSET_TEST(test_a_reserved_key_counts_as_unseen_at_the_end),
        WAITSET_TEST(test_an_ended_wait_keeps_its_entries_until_it_releases_them),
        WAITSET_TEST(test_releasing_keeps_entries_that_others_need),
        WAITSET_TEST(test_a_satisfied_wait_keeps_nothing),
        WAITSET_TEST(test_ended_waits_do_not_slow_or_hide_those_that_are_pending),
        WAITSET_TEST(test_a_part_that_fell_counts_as_missing_again),
        WAITSET_TEST(test_a_key_that_is_forgotten_counts_as_missing_again),
        WAITSET_TEST(test_judging_anew_settles_what_is_satisfied_oldest_first),
        WAITSET_TEST(test_judging_anew_changes_nothing_when_nothing_changed),
        WAITSET_TEST(test_judging_anew_leaves_ended_waits_alone),
    };
    return SUPPORT_MAIN(argc, argv, "waitset", tests, NULL);
}
