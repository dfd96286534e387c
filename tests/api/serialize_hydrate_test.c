/* SPDX-License-Identifier: MIT */
/* ctrack_serialize() and ctrack_hydrate(), and the snapshots they deal in. */
#include "support.h"

#include <stdio.h>

static ctrack_snapshot *serialize(ctrack *tracker)
{
    ctrack_snapshot *snapshot = NULL;
    assert_status(ctrack_serialize(tracker, &snapshot, NULL), CTRACK_OK);
    return snapshot;
}

static void hydrate(ctrack *tracker, const ctrack_coordinate *entries, size_t count)
{
    ctrack_error error;
    ctrack_status status = ctrack_hydrate(tracker, entries, count, &error);
    if (status != CTRACK_OK) {
        print_error("hydrate: %s\n", error.message);
    }
    assert_status(status, CTRACK_OK);
}

static void hydrate_one(ctrack *tracker, const char *document, int64_t index)
{
    ctrack_coordinate entry = at(document, index);
    hydrate(tracker, &entry, 1);
}

/* ---------------------------------------------------------------- serialize */

static void test_empty_tracker_serializes_to_an_empty_snapshot(void **state)
{
    fixture *f = *state;
    ctrack_snapshot *snapshot = serialize(f->tracker);
    assert_int_equal(ctrack_snapshot_count(snapshot), 0);
    ctrack_snapshot_free(snapshot);
}

static void test_snapshot_lists_every_key_with_its_index(void **state)
{
    fixture *f = *state;
    ctrack_coordinate batch[] = {coordinate("d", "s", "b", 0), coordinate("d", "s", "c", INT64_MAX)};
    assert_status(ctrack_update(f->tracker, batch, 2, NULL), CTRACK_OK);
    ctrack_snapshot *snapshot = serialize(f->tracker);
    assert_int_equal(ctrack_snapshot_count(snapshot), 2);
    const ctrack_coordinate *entries = ctrack_snapshot_entries(snapshot);
    assert_string_equal(entries[0].document_id, "d");
    assert_string_equal(entries[0].scope, "s");
    assert_string_equal(entries[0].branch, "b");
    assert_int_equal(entries[0].operation_index, 0);
    assert_string_equal(entries[1].branch, "c");
    assert_int_equal(entries[1].operation_index, INT64_MAX);
    ctrack_snapshot_free(snapshot);
}

static void test_snapshot_is_sorted_bytewise_by_document_scope_branch(void **state)
{
    fixture *f = *state;
    /* In order; bytes above 0x7F come last, and a text comes before those that it begins. */
    static const ctrack_key sorted[] = {{"", "", ""},     {"", "z", ""},          {"A", "b", "c"},
                                        {"a", "B", "z"},  {"a", "b", ""},         {"a", "b", "b"},
                                        {"a", "b:", "a"}, {"a!", "a", "a"},       {"aa", "", ""},
                                        {"b", "", ""},    {"\xC3\xA9", "a", "a"}, {"\xF0\x9F\x98\x80", "", ""}};
    enum { COUNT = sizeof sorted / sizeof sorted[0] };
    for (int i = 0; i < COUNT; i++) {
        int k = (i * 5) % COUNT; /* in no order */
        ctrack_coordinate progress = coordinate(sorted[k].document_id, sorted[k].scope, sorted[k].branch, k);
        assert_status(ctrack_update(f->tracker, &progress, 1, NULL), CTRACK_OK);
    }
    ctrack_snapshot *snapshot = serialize(f->tracker);
    assert_int_equal(ctrack_snapshot_count(snapshot), COUNT);
    for (int i = 0; i < COUNT; i++) {
        assert_int_equal(ctrack_snapshot_entries(snapshot)[i].operation_index, i);
    }
    ctrack_snapshot_free(snapshot);
}

static void test_snapshot_does_not_change_with_the_tracker(void **state)
{
    fixture *f = *state;
    update(f->tracker, "doc-1", 5);
    ctrack_snapshot *snapshot = serialize(f->tracker);
    update(f->tracker, "doc-1", 6);
    update(f->tracker, "doc-2", 1);
    assert_int_equal(ctrack_snapshot_count(snapshot), 1);
    assert_int_equal(ctrack_snapshot_entries(snapshot)[0].operation_index, 5);
    ctrack_snapshot_free(snapshot);
}

static void test_snapshot_of_a_tracker_has_no_targets(void **state)
{
    fixture *f = *state;
    update(f->tracker, "doc-1", 5);
    ctrack_snapshot *snapshot = serialize(f->tracker);
    assert_null(ctrack_snapshot_targets(snapshot));
    ctrack_snapshot_free(snapshot);
}

static void test_free_of_null_is_fine(void **state)
{
    (void)state;
    ctrack_snapshot_free(NULL);
}

/* Pairs of keys are raised together; a snapshot between the two would show them apart. */
static void *raise_pairs(void *argument)
{
    fixture *f = argument;
    for (int i = 0; i < 300; i++) {
        ctrack_coordinate batch[] = {at("doc-1", i), at("doc-2", i)};
        if (ctrack_update(f->tracker, batch, 2, NULL) != CTRACK_OK) {
            return NULL;
        }
    }
    return argument;
}

static void test_snapshot_is_of_one_moment(void **state)
{
    fixture *f = *state;
    ctrack_coordinate first[] = {at("doc-1", 0), at("doc-2", 0)};
    assert_status(ctrack_update(f->tracker, first, 2, NULL), CTRACK_OK);
    pthread_t thread = thread_start(raise_pairs, f);
    bool apart = false;
    int64_t seen = 0;
    while (seen < 299 && !apart) {
        ctrack_snapshot *snapshot = serialize(f->tracker);
        const ctrack_coordinate *entries = ctrack_snapshot_entries(snapshot);
        apart = entries[0].operation_index != entries[1].operation_index;
        seen = entries[0].operation_index;
        ctrack_snapshot_free(snapshot);
    }
    assert_non_null(thread_join(thread));
    assert_false(apart);
}

/* ---------------------------------------------------------------- hydrate replaces everything */

static void test_hydrate_fills_an_empty_tracker(void **state)
{
    fixture *f = *state;
    ctrack_coordinate entries[] = {at("doc-1", 1), at("doc-2", 2)};
    hydrate(f->tracker, entries, 2);
    assert_int_equal(latest(f->tracker, "doc-1"), 1);
    assert_int_equal(latest(f->tracker, "doc-2"), 2);
}

static void test_hydrate_drops_keys_that_are_not_listed(void **state)
{
    fixture *f = *state;
    update(f->tracker, "doc-1", 5);
    hydrate_one(f->tracker, "doc-2", 2);
    assert_int_equal(latest(f->tracker, "doc-1"), NEVER_SEEN);
    assert_int_equal(entry_count(f->tracker), 1);
}

static void test_hydrate_may_lower_an_index(void **state)
{
    fixture *f = *state;
    update(f->tracker, "doc-1", 5);
    hydrate_one(f->tracker, "doc-1", 3);
    assert_int_equal(latest(f->tracker, "doc-1"), 3);
}

static void test_hydrate_may_raise_an_index(void **state)
{
    fixture *f = *state;
    update(f->tracker, "doc-1", 5);
    hydrate_one(f->tracker, "doc-1", 7);
    assert_int_equal(latest(f->tracker, "doc-1"), 7);
}

static void test_hydrate_with_an_empty_list_drops_everything(void **state)
{
    fixture *f = *state;
    update(f->tracker, "doc-1", 5);
    hydrate(f->tracker, NULL, 0);
    assert_int_equal(entry_count(f->tracker), 0);
}

static void test_hydrate_counts_duplicates_at_their_highest_index(void **state)
{
    fixture *f = *state;
    ctrack_coordinate entries[] = {at("doc-1", 3), at("doc-1", 9), at("doc-1", 6)};
    hydrate(f->tracker, entries, 3);
    assert_int_equal(latest(f->tracker, "doc-1"), 9);
    assert_int_equal(entry_count(f->tracker), 1);
}

static void test_hydrate_refuses_the_whole_list_for_one_bad_entry(void **state)
{
    fixture *f = *state;
    update(f->tracker, "doc-1", 5);
    ctrack_coordinate entries[] = {at("doc-1", 9), at("doc-2", 1), at("doc-3", -1)};
    assert_status(ctrack_hydrate(f->tracker, entries, 3, &f->error), CTRACK_INVALID);
    assert_contains(f->error.message, "[2]");
    assert_int_equal(latest(f->tracker, "doc-1"), 5);
    assert_int_equal(latest(f->tracker, "doc-2"), NEVER_SEEN);
}

static void test_hydrate_without_a_list_is_invalid(void **state)
{
    fixture *f = *state;
    update(f->tracker, "doc-1", 5);
    assert_status(ctrack_hydrate(f->tracker, NULL, 1, NULL), CTRACK_INVALID);
    assert_int_equal(latest(f->tracker, "doc-1"), 5);
}

static void test_update_goes_on_from_the_hydrated_index(void **state)
{
    fixture *f = *state;
    update(f->tracker, "doc-1", 5);
    hydrate_one(f->tracker, "doc-1", 2);
    update(f->tracker, "doc-1", 3);
    assert_int_equal(latest(f->tracker, "doc-1"), 3);
}

static void test_hydrate_is_durable(void **state)
{
    fixture *f = *state;
    update(f->tracker, "doc-1", 5);
    update(f->tracker, "doc-2", 5);
    hydrate_one(f->tracker, "doc-1", 2);
    reopen(f);
    assert_int_equal(latest(f->tracker, "doc-1"), 2);
    assert_int_equal(entry_count(f->tracker), 1);
}

static void test_updates_after_hydrate_are_durable(void **state)
{
    fixture *f = *state;
    update(f->tracker, "doc-1", 9);
    hydrate_one(f->tracker, "doc-1", 2);
    update(f->tracker, "doc-1", 3);
    update(f->tracker, "doc-2", 4);
    reopen(f);
    assert_int_equal(latest(f->tracker, "doc-1"), 3);
    assert_int_equal(latest(f->tracker, "doc-2"), 4);
}

static void test_hydrate_again_and_again_keeps_the_last(void **state)
{
    fixture *f = *state;
    for (int i = 20; i > 0; i--) {
        hydrate_one(f->tracker, "doc-1", i);
        update(f->tracker, "doc-2", i);
    }
    reopen(f);
    assert_int_equal(latest(f->tracker, "doc-1"), 1);
    assert_int_equal(latest(f->tracker, "doc-2"), 1);
}

static void test_hydrate_of_a_locked_file_is_busy_and_changes_nothing(void **state)
{
    fixture *f = *state;
    f->tracker = open_impatient(f->path, 20);
    update(f->tracker, "doc-1", 5);
    struct sqlite3 *db = db_open(f->path);
    db_run(db, "BEGIN IMMEDIATE");
    ctrack_coordinate entry = at("doc-1", 2);
    assert_status(ctrack_hydrate(f->tracker, &entry, 1, &f->error), CTRACK_BUSY);
    assert_int_equal(latest(f->tracker, "doc-1"), 5);
    db_run(db, "ROLLBACK");
    db_close(db);
    hydrate(f->tracker, &entry, 1);
    assert_int_equal(latest(f->tracker, "doc-1"), 2);
}

/* ---------------------------------------------------------------- waits are judged again */

static void test_hydrate_satisfies_waits(void **state)
{
    fixture *f = *state;
    ctrack_promise *promise = wait_for(f->tracker, "doc-1", 5);
    hydrate_one(f->tracker, "doc-1", 5);
    assert_status(ctrack_promise_status(promise), CTRACK_OK);
    ctrack_promise_release(promise);
}

static void test_hydrate_below_leaves_waits_pending(void **state)
{
    fixture *f = *state;
    ctrack_promise *promise = wait_for(f->tracker, "doc-1", 5);
    hydrate_one(f->tracker, "doc-1", 4);
    assert_status(ctrack_promise_status(promise), CTRACK_PENDING);
    ctrack_promise_release(promise);
}

static void test_wait_is_satisfied_after_hydrate_as_before(void **state)
{
    fixture *f = *state;
    ctrack_promise *promise = wait_for(f->tracker, "doc-1", 5);
    hydrate(f->tracker, NULL, 0);
    update(f->tracker, "doc-1", 5);
    assert_status(ctrack_promise_status(promise), CTRACK_OK);
    ctrack_promise_release(promise);
}

static void test_part_that_is_taken_back_counts_as_missing_again(void **state)
{
    fixture *f = *state;
    ctrack_coordinate wanted[] = {at("doc-1", 5), at("doc-2", 5)};
    ctrack_promise *promise = wait_for_all(f->tracker, wanted, 2);
    update(f->tracker, "doc-1", 5);
    hydrate_one(f->tracker, "doc-1", 4);
    update(f->tracker, "doc-2", 5);
    assert_status(ctrack_promise_status(promise), CTRACK_PENDING);
    update(f->tracker, "doc-1", 5);
    assert_status(ctrack_promise_status(promise), CTRACK_OK);
    ctrack_promise_release(promise);
}

static void test_part_that_was_reached_before_the_wait_can_be_taken_back(void **state)
{
    fixture *f = *state;
    update(f->tracker, "doc-1", 5);
    ctrack_coordinate wanted[] = {at("doc-1", 5), at("doc-2", 5)};
    ctrack_promise *promise = wait_for_all(f->tracker, wanted, 2);
    hydrate_one(f->tracker, "doc-2", 5);
    assert_status(ctrack_promise_status(promise), CTRACK_PENDING);
    update(f->tracker, "doc-1", 5);
    assert_status(ctrack_promise_status(promise), CTRACK_OK);
    ctrack_promise_release(promise);
}

static void test_part_that_stays_reached_needs_no_further_update(void **state)
{
    fixture *f = *state;
    ctrack_coordinate wanted[] = {at("doc-1", 5), at("doc-2", 5)};
    ctrack_promise *promise = wait_for_all(f->tracker, wanted, 2);
    update(f->tracker, "doc-1", 9);
    hydrate_one(f->tracker, "doc-1", 5);
    assert_status(ctrack_promise_status(promise), CTRACK_PENDING);
    update(f->tracker, "doc-2", 5);
    assert_status(ctrack_promise_status(promise), CTRACK_OK);
    ctrack_promise_release(promise);
}

static void test_settled_wait_is_not_judged_again(void **state)
{
    fixture *f = *state;
    ctrack_promise *promise = wait_for(f->tracker, "doc-1", 5);
    update(f->tracker, "doc-1", 5);
    hydrate(f->tracker, NULL, 0);
    assert_status(ctrack_promise_status(promise), CTRACK_OK);
    ctrack_promise_release(promise);
}

static void test_new_wait_is_judged_by_the_hydrated_progress(void **state)
{
    fixture *f = *state;
    update(f->tracker, "doc-1", 5);
    hydrate_one(f->tracker, "doc-1", 3);
    ctrack_promise *promise = wait_with(f->tracker, "doc-1", 5, 0, NULL);
    assert_status(ctrack_promise_status(promise), CTRACK_TIMED_OUT);
    ctrack_promise_release(promise);
}

static void test_message_after_hydrate_says_what_the_key_has_now(void **state)
{
    fixture *f = *state;
    update(f->tracker, "doc-7", 9);
    hydrate_one(f->tracker, "doc-7", 4);
    ctrack_coordinate wanted = at("doc-7", 12);
    assert_status(ctrack_wait(f->tracker, &wanted, 1, 0, NULL, &f->error), CTRACK_TIMED_OUT);
    assert_contains(f->error.message, "doc-7:document:main needs 12, has 4");
}

/* ---------------------------------------------------------------- round trips */

static void fill_oddly(ctrack *tracker)
{
    static const char *const texts[] = {"", ":", "a:b", "\\", "\xE2\x82\xAC", "a\nb", "'\"", "zz"};
    enum { COUNT = sizeof texts / sizeof texts[0] };
    for (int i = 0; i < COUNT * COUNT * COUNT; i++) {
        ctrack_coordinate progress =
            coordinate(texts[i % COUNT], texts[i / COUNT % COUNT], texts[i / COUNT / COUNT], (int64_t)i * i * i * i);
        assert_status(ctrack_update(tracker, &progress, 1, NULL), CTRACK_OK);
    }
}

static void test_round_trip_into_another_tracker_is_the_same(void **state)
{
    fixture *f = *state;
    fill_oddly(f->tracker);
    ctrack_snapshot *snapshot = serialize(f->tracker);
    ctrack *target = open_in_memory();
    update(target, "something else", 1);
    hydrate(target, ctrack_snapshot_entries(snapshot), ctrack_snapshot_count(snapshot));
    assert_same_progress(f->tracker, target);
    ctrack_snapshot_free(snapshot);
    close_tracker(&target);
}

static void test_round_trip_into_the_same_tracker_is_the_same(void **state)
{
    fixture *f = *state;
    fill_oddly(f->tracker);
    ctrack_snapshot *before = serialize(f->tracker);
    hydrate(f->tracker, ctrack_snapshot_entries(before), ctrack_snapshot_count(before));
    ctrack_snapshot *after = serialize(f->tracker);
    assert_same_entries(before, after);
    ctrack_snapshot_free(before);
    ctrack_snapshot_free(after);
}

static void test_round_trip_through_the_file_is_the_same(void **state)
{
    fixture *f = *state;
    fill_oddly(f->tracker);
    ctrack_snapshot *before = serialize(f->tracker);
    hydrate(f->tracker, ctrack_snapshot_entries(before), ctrack_snapshot_count(before));
    reopen(f);
    ctrack_snapshot *after = serialize(f->tracker);
    assert_same_entries(before, after);
    ctrack_snapshot_free(before);
    ctrack_snapshot_free(after);
}

enum { MANY = 30000 };

static void test_large_list_is_hydrated(void **state)
{
    fixture *f = *state;
    ctrack_coordinate *entries = calloc(MANY, sizeof *entries);
    char(*names)[16] = calloc(MANY, sizeof *names);
    assert_non_null(entries);
    assert_non_null(names);
    for (int i = 0; i < MANY; i++) {
        snprintf(names[i], sizeof names[i], "doc-%05d", (i * 7919) % MANY);
        entries[i] = at(names[i], i);
    }
    hydrate(f->tracker, entries, MANY);
    assert_int_equal(entry_count(f->tracker), MANY);
    for (int i = 0; i < MANY; i++) {
        assert_int_equal(latest(f->tracker, names[i]), i);
    }
    free(entries);
    free(names);
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        TEST_BOTH(test_empty_tracker_serializes_to_an_empty_snapshot),
        TEST_BOTH(test_snapshot_lists_every_key_with_its_index),
        TEST_BOTH(test_snapshot_is_sorted_bytewise_by_document_scope_branch),
        TEST_BOTH(test_snapshot_does_not_change_with_the_tracker),
        TEST_BOTH(test_snapshot_of_a_tracker_has_no_targets),
        TEST(test_free_of_null_is_fine),
        TEST_BOTH(test_snapshot_is_of_one_moment),
        TEST_BOTH(test_hydrate_fills_an_empty_tracker),
        TEST_BOTH(test_hydrate_drops_keys_that_are_not_listed),
        TEST_BOTH(test_hydrate_may_lower_an_index),
        TEST_BOTH(test_hydrate_may_raise_an_index),
        TEST_BOTH(test_hydrate_with_an_empty_list_drops_everything),
        TEST_BOTH(test_hydrate_counts_duplicates_at_their_highest_index),
        TEST_BOTH(test_hydrate_refuses_the_whole_list_for_one_bad_entry),
        TEST_BOTH(test_hydrate_without_a_list_is_invalid),
        TEST_BOTH(test_update_goes_on_from_the_hydrated_index),
        TEST_ON_FILE(test_hydrate_is_durable),
        TEST_ON_FILE(test_updates_after_hydrate_are_durable),
        TEST_ON_FILE(test_hydrate_again_and_again_keeps_the_last),
        TEST(test_hydrate_of_a_locked_file_is_busy_and_changes_nothing),
        TEST_BOTH(test_hydrate_satisfies_waits),
        TEST_BOTH(test_hydrate_below_leaves_waits_pending),
        TEST_BOTH(test_wait_is_satisfied_after_hydrate_as_before),
        TEST_BOTH(test_part_that_is_taken_back_counts_as_missing_again),
        TEST_BOTH(test_part_that_was_reached_before_the_wait_can_be_taken_back),
        TEST_BOTH(test_part_that_stays_reached_needs_no_further_update),
        TEST_BOTH(test_settled_wait_is_not_judged_again),
        TEST_BOTH(test_new_wait_is_judged_by_the_hydrated_progress),
        TEST_BOTH(test_message_after_hydrate_says_what_the_key_has_now),
        TEST_BOTH(test_round_trip_into_another_tracker_is_the_same),
        TEST_BOTH(test_round_trip_into_the_same_tracker_is_the_same),
        TEST_ON_FILE(test_round_trip_through_the_file_is_the_same),
        TEST_BOTH(test_large_list_is_hydrated),
    };
    return SUPPORT_MAIN(argc, argv, "serialize_hydrate", tests, NULL);
}
