/* SPDX-License-Identifier: MIT */
/* The board: steps of progress on their way, with waits pending, and what happens when memory runs out on the way. */
#include "support.h"

#include <stdio.h>

#include "board.h"
#include "out_of_memory.h"
#include "promise.h"

typedef struct world {
    ct_board *board;
    ct_advances advances;
    ctrack_error error;
} world;

static int setup(void **state)
{
    world *w = calloc(1, sizeof *w);
    if (w == NULL || (w->board = ct_board_new()) == NULL) {
        free(w);
        return -1;
    }
    *state = w;
    return 0;
}

/* All promises have been released by then. */
static int teardown(void **state)
{
    world *w = *state;
    size_t steps = w->advances.count;
    ct_board_close(w->board);
    ct_board_clear(w->board);
    bool clean = ct_map_next(w->board->map, NULL) == NULL;
    ct_board_unref(w->board);
    ct_advances_free(&w->advances);
    free(w);
    return clean && steps == 0 ? 0 : -1;
}

static size_t entries(const world *w)
{
    size_t count = 0;
    for (ct_entry *entry = NULL; (entry = ct_map_next(w->board->map, entry)) != NULL;) {
        count++;
    }
    return count;
}

static int64_t progress(const world *w, const char *document)
{
    ctrack_key k = key(document);
    int64_t index = UINT16_MAX;
    ctrack_status status = ct_board_get(w->board, &k, &index);
    assert_true(status == CTRACK_OK || status == CTRACK_NOT_FOUND);
    return status == CTRACK_OK ? index : NEVER_SEEN;
}

static const ct_entry *entry_of(const world *w, const char *document)
{
    ctrack_key k = key(document);
    return ct_map_find(w->board->map, &k);
}

static ctrack_promise *wait_on(world *w, const ctrack_coordinate *coordinates, size_t count)
{
    ctrack_promise *promise = NULL;
    assert_status(ct_promise_make(w->board, coordinates, count, CTRACK_FOREVER, NULL, &promise, &w->error), CTRACK_OK);
    return promise;
}

static ctrack_promise *wait_one(world *w, const char *document, int64_t index)
{
    ctrack_coordinate target = at(document, index);
    return wait_on(w, &target, 1);
}

/* Appends the one coordinate, or does not, if it changes nothing. */
static void prepare(world *w, const char *document, int64_t index)
{
    ctrack_coordinate c = at(document, index);
    assert_status(ct_board_prepare(w->board, &c, 1, false, &w->advances, &w->error), CTRACK_OK);
}

static void update_board(world *w, const char *document, int64_t index)
{
    ctrack_coordinate c = at(document, index);
    assert_status(ct_board_update(w->board, &c, 1, &w->error), CTRACK_OK);
}

/* Appends a step that takes a key's progress back, as one read from the file is. */
static void add_forget(world *w, const char *document)
{
    ctrack_key k = key(document);
    ct_entry *entry = ct_map_find_or_add(w->board->map, &k);
    assert_non_null(entry);
    assert_int_equal(ct_advances_add(&w->advances, entry, CT_UNSEEN), 0);
}

/* ---------------------------------------------------------------- preparing */

static void test_what_is_prepared_is_not_visible(void **state)
{
    world *w = *state;
    ctrack_promise *promise = wait_one(w, "a", 5);
    prepare(w, "a", 5);
    assert_int_equal(progress(w, "a"), NEVER_SEEN);
    assert_status(ctrack_promise_status(promise), CTRACK_PENDING);
    ct_board_cancel(w->board, &w->advances);
    ctrack_promise_release(promise);
}

static void test_what_changes_nothing_is_not_a_step(void **state)
{
    world *w = *state;
    update_board(w, "a", 5);
    prepare(w, "a", 5);
    prepare(w, "a", 0);
    assert_int_equal(w->advances.count, 0);
    prepare(w, "a", 6);
    assert_int_equal(w->advances.count, 1);
    ct_board_cancel(w->board, &w->advances);
}

static void test_all_coordinates_are_steps_if_asked(void **state)
{
    world *w = *state;
    update_board(w, "a", 5);
    ctrack_coordinate lower[] = {at("a", 5), at("a", 3)};
    assert_status(ct_board_prepare(w->board, lower, 2, true, &w->advances, NULL), CTRACK_OK);
    assert_int_equal(w->advances.count, 2);
    ct_board_cancel(w->board, &w->advances);
    assert_int_equal(progress(w, "a"), 5);
}

static void test_a_bad_coordinate_refuses_the_whole_batch(void **state)
{
    world *w = *state;
    prepare(w, "kept", 1);
    ctrack_coordinate batch[] = {at("a", 5), at("b", 3), at("c", -1)};
    assert_status(ct_board_prepare(w->board, batch, 3, false, &w->advances, &w->error), CTRACK_INVALID);
    assert_contains(w->error.message, "coordinates[2]");
    assert_int_equal(w->advances.count, 1);
    assert_int_equal(entries(w), 1);
    ct_board_publish(w->board, &w->advances);
    assert_int_equal(progress(w, "kept"), 1);
}

static void test_text_that_is_not_valid_makes_no_entry(void **state)
{
    world *w = *state;
    ctrack_coordinate bad[] = {at("\xff", 1), at(NULL, 1)};
    assert_status(ct_board_prepare(w->board, &bad[0], 1, false, &w->advances, &w->error), CTRACK_INVALID);
    assert_status(ct_board_prepare(w->board, &bad[1], 1, false, &w->advances, &w->error), CTRACK_INVALID);
    assert_int_equal(entries(w), 0);
}

static void test_a_reserved_entry_stays_when_its_wait_goes(void **state)
{
    world *w = *state;
    ctrack_promise *promise = wait_one(w, "a", 5);
    prepare(w, "a", 9);
    ctrack_promise_release(promise); /* it was all that held the entry */
    ct_board_publish(w->board, &w->advances);
    assert_int_equal(progress(w, "a"), 9);
}

static void test_a_wait_made_meanwhile_is_satisfied_by_publishing(void **state)
{
    world *w = *state;
    prepare(w, "a", 5);
    ctrack_promise *promise = wait_one(w, "a", 5);
    assert_status(ctrack_promise_status(promise), CTRACK_PENDING);
    ct_board_publish(w->board, &w->advances);
    assert_status(ctrack_promise_status(promise), CTRACK_OK);
    ctrack_promise_release(promise);
}

/* ---------------------------------------------------------------- publishing */

static void test_publishing_raises_settles_and_empties_the_list(void **state)
{
    world *w = *state;
    ctrack_coordinate both[] = {at("a", 5), at("b", 3)};
    ctrack_promise *promise = wait_on(w, both, 2), *later = wait_one(w, "a", 6);
    assert_status(ct_board_prepare(w->board, both, 2, false, &w->advances, NULL), CTRACK_OK);
    ct_board_publish(w->board, &w->advances);
    assert_int_equal(w->advances.count, 0);
    assert_int_equal(progress(w, "a"), 5);
    assert_int_equal(progress(w, "b"), 3);
    assert_status(ctrack_promise_status(promise), CTRACK_OK);
    assert_status(ctrack_promise_status(later), CTRACK_PENDING);
    ctrack_promise_release(promise);
    ctrack_promise_release(later);
}

static void test_a_lower_step_does_not_lower(void **state)
{
    world *w = *state;
    prepare(w, "a", 9);
    prepare(w, "a", 4); /* not visible yet, so it is a step too */
    ct_board_publish(w->board, &w->advances);
    assert_int_equal(progress(w, "a"), 9);
}

static void test_publishing_nothing_is_fine(void **state)
{
    world *w = *state;
    ct_board_publish(w->board, &w->advances);
    ct_board_cancel(w->board, &w->advances);
    assert_int_equal(entries(w), 0);
}

static void test_uniting_keeps_each_key_once_at_its_highest(void **state)
{
    world *w = *state;
    update_board(w, "b", 1);
    static const struct {
        const char *document;
        int64_t index;
    } steps[] = {{"a", 4}, {"b", 2}, {"a", 9}, {"c", 0}, {"b", 7}, {"a", 1}, {"b", 3}};
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        prepare(w, steps[i].document, steps[i].index);
    }
    ct_advances_unite(&w->advances);
    assert_int_equal(w->advances.count, 3);
    for (size_t i = 0; i < 3; i++) {
        bool reserved = w->advances.items[i].entry != entry_of(w, "b");
        assert_int_equal(w->advances.items[i].before == CT_UNSEEN, reserved);
    }
    ct_board_publish(w->board, &w->advances);
    assert_int_equal(progress(w, "a"), 9);
    assert_int_equal(progress(w, "b"), 7);
    assert_int_equal(progress(w, "c"), 0);
}

/* ---------------------------------------------------------------- cancelling */

static void test_cancelling_frees_what_was_reserved(void **state)
{
    world *w = *state;
    update_board(w, "b", 1);
    ctrack_coordinate batch[] = {at("a", 5), at("a", 6), at("b", 3), at("c", 1), at("a", 2)};
    assert_status(ct_board_prepare(w->board, batch, 5, false, &w->advances, NULL), CTRACK_OK);
    assert_int_equal(entries(w), 3);
    ct_board_cancel(w->board, &w->advances);
    assert_int_equal(w->advances.count, 0);
    assert_int_equal(entries(w), 1);
    assert_int_equal(progress(w, "b"), 1);
}

static void test_cancelling_a_united_list_frees_what_was_reserved(void **state)
{
    world *w = *state;
    ctrack_coordinate batch[] = {at("a", 5), at("a", 6), at("c", 1), at("a", 2), at("c", 0)};
    assert_status(ct_board_prepare(w->board, batch, 5, false, &w->advances, NULL), CTRACK_OK);
    ct_advances_unite(&w->advances);
    ct_board_cancel(w->board, &w->advances);
    assert_int_equal(entries(w), 0);
}

static void test_cancelling_leaves_waits_pending(void **state)
{
    world *w = *state;
    ctrack_promise *promise = wait_one(w, "a", 5);
    prepare(w, "a", 5);
    ct_board_cancel(w->board, &w->advances);
    assert_status(ctrack_promise_status(promise), CTRACK_PENDING);
    assert_int_equal(entry_of(w, "a")->index, CT_UNSEEN);
    update_board(w, "a", 5);
    assert_status(ctrack_promise_status(promise), CTRACK_OK);
    ctrack_promise_release(promise);
}

static void test_cancelling_keeps_what_came_in_between(void **state)
{
    world *w = *state;
    prepare(w, "a", 9);
    update_board(w, "a", 5); /* a tracker in memory updates without the turn */
    ct_board_cancel(w->board, &w->advances);
    assert_int_equal(progress(w, "a"), 5);
}

/* ---------------------------------------------------------------- forgetting */

static void test_forgetting_takes_progress_back_and_frees_the_entry(void **state)
{
    world *w = *state;
    update_board(w, "a", 5);
    update_board(w, "b", 5);
    add_forget(w, "a");
    assert_int_equal(progress(w, "a"), 5);
    ct_board_publish(w->board, &w->advances);
    assert_int_equal(progress(w, "a"), NEVER_SEEN);
    assert_int_equal(progress(w, "b"), 5);
    assert_int_equal(entries(w), 1);
}

static void test_forgetting_keeps_the_entry_of_a_wait(void **state)
{
    world *w = *state;
    update_board(w, "a", 5);
    ctrack_promise *promise = wait_one(w, "a", 9);
    add_forget(w, "a");
    ct_board_publish(w->board, &w->advances);
    assert_status(ctrack_promise_status(promise), CTRACK_PENDING);
    assert_int_equal(entries(w), 1);
    ctrack_promise_release(promise);
    assert_int_equal(entries(w), 0);
}

static void test_a_part_that_is_forgotten_is_missing_again(void **state)
{
    world *w = *state;
    ctrack_coordinate both[] = {at("a", 5), at("b", 3)};
    ctrack_promise *promise = wait_on(w, both, 2);
    update_board(w, "a", 5);
    add_forget(w, "a");
    ct_board_publish(w->board, &w->advances);
    update_board(w, "b", 3);
    assert_status(ctrack_promise_status(promise), CTRACK_PENDING);
    update_board(w, "a", 5);
    assert_status(ctrack_promise_status(promise), CTRACK_OK);
    ctrack_promise_release(promise);
}

/* As a follower reads them in one go, when one process forgets and then updates. */
static void test_a_part_that_is_forgotten_is_missing_for_the_steps_behind_it(void **state)
{
    world *w = *state;
    ctrack_coordinate both[] = {at("a", 5), at("b", 3)};
    ctrack_promise *promise = wait_on(w, both, 2);
    update_board(w, "a", 5);
    add_forget(w, "a");
    prepare(w, "b", 3);
    ct_board_publish(w->board, &w->advances);
    assert_int_equal(progress(w, "a"), NEVER_SEEN);
    assert_status(ctrack_promise_status(promise), CTRACK_PENDING);
    ctrack_promise_release(promise);
}

static void test_steps_are_carried_out_in_their_order(void **state)
{
    world *w = *state;
    update_board(w, "a", 5);
    ctrack_promise *nine = wait_one(w, "a", 9), *two = wait_one(w, "b", 2);
    ctrack_coordinate all[] = {at("a", 9), at("b", 2)};
    assert_status(ct_board_prepare(w->board, all, 2, true, &w->advances, NULL), CTRACK_OK);
    add_forget(w, "a");
    ctrack_coordinate again = at("a", 3);
    assert_status(ct_board_prepare(w->board, &again, 1, true, &w->advances, NULL), CTRACK_OK);
    add_forget(w, "b");
    ct_board_publish(w->board, &w->advances);
    assert_int_equal(progress(w, "a"), 3);
    assert_int_equal(progress(w, "b"), NEVER_SEEN);
    assert_status(ctrack_promise_status(nine), CTRACK_OK);
    assert_status(ctrack_promise_status(two), CTRACK_OK);
    ctrack_promise_release(nine);
    ctrack_promise_release(two);
    assert_int_equal(entries(w), 1);
}

static void test_forgetting_a_key_without_progress_leaves_no_entry(void **state)
{
    world *w = *state;
    add_forget(w, "a");
    ct_board_publish(w->board, &w->advances);
    assert_int_equal(entries(w), 0);
}

/* ---------------------------------------------------------------- replacing */

static void test_replacing_leaves_only_what_was_prepared(void **state)
{
    world *w = *state;
    update_board(w, "a", 9);
    update_board(w, "b", 1);
    ctrack_coordinate fresh[] = {at("a", 3), at("c", 7), at("c", 5)};
    assert_status(ct_board_prepare(w->board, fresh, 3, true, &w->advances, NULL), CTRACK_OK);
    ct_board_replace(w->board, &w->advances);
    assert_int_equal(w->advances.count, 0);
    assert_int_equal(progress(w, "a"), 3);
    assert_int_equal(progress(w, "b"), NEVER_SEEN);
    assert_int_equal(progress(w, "c"), 7);
    assert_int_equal(entries(w), 2);
    assert_int_equal(ct_map_count(w->board->map), 2);
}

static void test_replacing_by_nothing_frees_all_that_is_not_waited_for(void **state)
{
    world *w = *state;
    update_board(w, "a", 9);
    update_board(w, "b", 1);
    ctrack_promise *promise = wait_one(w, "b", 5);
    ct_board_replace(w->board, &w->advances);
    assert_int_equal(entries(w), 1);
    assert_status(ctrack_promise_status(promise), CTRACK_PENDING);
    ctrack_promise_release(promise);
}

static void test_replacing_judges_waits_anew(void **state)
{
    world *w = *state;
    ctrack_coordinate both[] = {at("a", 5), at("b", 3)};
    ctrack_promise *promise = wait_on(w, both, 2), *now = wait_one(w, "c", 1), *never = wait_one(w, "a", 5);
    update_board(w, "b", 3);
    ctrack_coordinate fresh[] = {at("a", 4), at("c", 1)};
    assert_status(ct_board_prepare(w->board, fresh, 2, true, &w->advances, NULL), CTRACK_OK);
    ct_board_replace(w->board, &w->advances);
    assert_status(ctrack_promise_status(now), CTRACK_OK);
    assert_status(ctrack_promise_status(never), CTRACK_PENDING);
    update_board(w, "a", 5);
    assert_status(ctrack_promise_status(promise), CTRACK_PENDING); /* b was taken back */
    assert_status(ctrack_promise_status(never), CTRACK_OK);
    update_board(w, "b", 3);
    assert_status(ctrack_promise_status(promise), CTRACK_OK);
    ctrack_promise_release(promise);
    ctrack_promise_release(now);
    ctrack_promise_release(never);
}

/* ---------------------------------------------------------------- waits and entries */

static void test_a_wait_that_is_given_up_leaves_no_entry(void **state)
{
    world *w = *state;
    ctrack_coordinate three[] = {at("a", 5), at("b", 3), at("a", 1)};
    ctrack_promise *promise = wait_on(w, three, 3);
    assert_int_equal(entries(w), 2);
    ctrack_promise_release(promise);
    assert_int_equal(entries(w), 0);
}

static void test_a_wait_that_is_refused_leaves_no_entry(void **state)
{
    world *w = *state;
    ctrack_coordinate bad[] = {at("a", 5), at("b", 3), at("a", 6), at("c", -1)};
    ctrack_promise *promise = UNTOUCHED;
    assert_status(ct_promise_make(w->board, bad, 4, CTRACK_FOREVER, NULL, &promise, &w->error), CTRACK_INVALID);
    assert_ptr_equal(promise, UNTOUCHED);
    assert_int_equal(entries(w), 0);
    assert_int_equal(atomic_load(&w->board->refs), 1);
}

static void test_an_ended_wait_keeps_its_entries_until_it_is_released(void **state)
{
    world *w = *state;
    ctrack_coordinate target = at("a", 5);
    ctrack_promise *promise = NULL;
    assert_status(ct_promise_make(w->board, &target, 1, 0, NULL, &promise, NULL), CTRACK_OK);
    assert_status(ctrack_promise_status(promise), CTRACK_TIMED_OUT);
    assert_int_equal(entries(w), 1);
    ctrack_promise_release(promise);
    assert_int_equal(entries(w), 0);
}

static void test_a_closed_board_refuses_work_and_keeps_promises(void **state)
{
    world *w = *state;
    ctrack_promise *promise = wait_one(w, "a", 5), *none = UNTOUCHED;
    update_board(w, "b", 1);
    ct_board_close(w->board);
    assert_status(ctrack_promise_status(promise), CTRACK_CLOSED);
    ctrack_coordinate c = at("c", 1);
    assert_status(ct_board_prepare(w->board, &c, 1, false, &w->advances, NULL), CTRACK_CLOSED);
    assert_status(ct_promise_make(w->board, &c, 1, 0, NULL, &none, NULL), CTRACK_CLOSED);
    assert_ptr_equal(none, UNTOUCHED);
    ct_board_clear(w->board);
    assert_int_equal(entries(w), 1); /* what the promise still says */
    ctrack_promise_release(promise);
    assert_int_equal(entries(w), 0);
}

/* ---------------------------------------------------------------- out of memory */

enum { SWEPT = 60 };

static void coordinates_of(ctrack_coordinate batch[SWEPT], char documents[SWEPT][20], char branches[SWEPT][20])
{
    for (int i = 0; i < SWEPT; i++) {
        snprintf(documents[i], 20, "doc-%d", i % 50);
        snprintf(branches[i], 20, "branch-%d", i % 20);
        batch[i] = coordinate(documents[i], "document", branches[i], 5 + i);
    }
}

static void test_preparing_without_memory_changes_nothing(void **state)
{
    (void)state;
    char documents[SWEPT][20], branches[SWEPT][20];
    ctrack_coordinate batch[SWEPT];
    coordinates_of(batch, documents, branches);
    long before = memory_blocks();
    size_t failures = 0;
    MEMORY_SWEEP(at_allocation, failed)
    {
        world w = {.board = ct_board_new()};
        assert_non_null(w.board);
        update_board(&w, "a", 5);
        ctrack_promise *promise = wait_one(&w, "b", 9);
        prepare(&w, "kept", 1);
        memory_fail_after(at_allocation);
        ctrack_status status = ct_board_prepare(w.board, batch, SWEPT, false, &w.advances, &w.error);
        failed = memory_has_failed();
        failures += failed != 0;
        /* It looks for a key before it makes it; what fails while it looks may succeed then. */
        assert_true(status == CTRACK_OK || (failed && status == CTRACK_NO_MEMORY));
        if (status != CTRACK_OK) {
            assert_int_equal(entries(&w), 3);
            assert_int_equal(w.advances.count, 1);
            assert_int_equal(ct_map_count(w.board->map), 1);
        }
        memory_fail_after(0); /* publishing and cancelling need none */
        if (at_allocation % 2 == 0) {
            ct_board_publish(w.board, &w.advances);
        } else {
            ct_board_cancel(w.board, &w.advances);
        }
        assert_false(memory_has_failed());
        assert_int_equal(progress(&w, "kept"), at_allocation % 2 == 0 ? 1 : NEVER_SEEN);
        assert_status(ctrack_promise_status(promise), CTRACK_PENDING);
        update_board(&w, "b", 9); /* all works when there is memory again */
        assert_status(ctrack_promise_status(promise), CTRACK_OK);
        ctrack_promise_release(promise);
        ct_board_unref(w.board);
        ct_advances_free(&w.advances);
        assert_int_equal(memory_blocks(), before);
    }
    assert_true(failures > SWEPT);
}

static void test_a_wait_without_memory_changes_nothing(void **state)
{
    (void)state;
    char documents[SWEPT][20], branches[SWEPT][20];
    ctrack_coordinate batch[SWEPT];
    coordinates_of(batch, documents, branches);
    long before = memory_blocks();
    size_t failures = 0;
    MEMORY_SWEEP(at_allocation, failed)
    {
        world w = {.board = ct_board_new()};
        ctrack_abort_signal *signal = ctrack_abort_signal_new();
        assert_non_null(w.board);
        assert_non_null(signal);
        update_board(&w, "a", 5);
        ctrack_promise *promise = UNTOUCHED;
        memory_fail_after(at_allocation);
        ctrack_status status = ct_promise_make(w.board, batch, SWEPT, CTRACK_FOREVER, signal, &promise, &w.error);
        failed = memory_has_failed();
        if (status != CTRACK_OK) { /* the map does without a larger table */
            assert_true(failed);
            assert_status(status, CTRACK_NO_MEMORY);
            failures++;
            assert_ptr_equal(promise, UNTOUCHED);
            assert_int_equal(entries(&w), 1);
            assert_int_equal(w.board->waits.pending, 0);
            assert_int_equal(atomic_load(&w.board->refs), 1);
            ctrack_abort(signal); /* nothing is on its list */
        } else {
            assert_status(ctrack_promise_status(promise), CTRACK_PENDING);
            memory_fail_after(0); /* settling and releasing need none */
            ctrack_abort(signal);
            assert_status(ctrack_promise_status(promise), CTRACK_ABORTED);
            ctrack_promise_release(promise);
            assert_false(memory_has_failed());
            assert_int_equal(entries(&w), 1);
        }
        ctrack_abort_signal_release(signal);
        ct_board_unref(w.board);
        assert_int_equal(memory_blocks(), before);
    }
    assert_true(failures > SWEPT);
}

static void test_a_board_without_memory_leaks_nothing(void **state)
{
    (void)state;
    long before = memory_blocks();
    MEMORY_SWEEP(at_allocation, failed)
    {
        memory_fail_after(at_allocation);
        ct_board *board = ct_board_new();
        failed = memory_has_failed();
        assert_int_equal(board == NULL, failed);
        if (board != NULL) {
            ct_board_unref(board);
        }
        assert_int_equal(memory_blocks(), before);
    }
}

static void test_what_a_promise_is_asked_without_memory_changes_nothing(void **state)
{
    world *w = *state;
    ctrack_coordinate both[] = {at("a", 5), at("b", 3)};
    ctrack_promise *promise = wait_on(w, both, 2);
    long before = memory_blocks();
    MEMORY_SWEEP(at_allocation, failed)
    {
        ctrack_snapshot *missing = UNTOUCHED;
        memory_fail_after(at_allocation);
        ctrack_status status = ctrack_promise_missing(promise, &missing, NULL);
        failed = memory_has_failed();
        assert_status(status, failed ? CTRACK_NO_MEMORY : CTRACK_OK);
        if (failed) {
            assert_ptr_equal(missing, UNTOUCHED);
        } else {
            assert_int_equal(ctrack_snapshot_count(missing), 2);
            ctrack_snapshot_free(missing);
        }
        assert_int_equal(memory_blocks(), before);
    }
    memory_fail_after(0);
    int descriptor = ctrack_promise_fd(promise);
    assert_true(memory_has_failed());
    assert_int_equal(descriptor, -1);
    assert_true(ctrack_promise_fd(promise) >= 0);
    assert_status(ctrack_promise_status(promise), CTRACK_PENDING);
    ctrack_promise_release(promise);
}

static void test_copying_without_memory_fails_and_leaks_nothing(void **state)
{
    world *w = *state;
    for (int i = 0; i < 100; i++) {
        char document[20];
        snprintf(document, sizeof document, "doc-%d", i);
        update_board(w, document, i);
    }
    long before = memory_blocks();
    MEMORY_SWEEP(at_allocation, failed)
    {
        ctrack_snapshot *snapshot = UNTOUCHED;
        memory_fail_after(at_allocation);
        ctrack_status status = ct_board_copy(w->board, &snapshot, &w->error);
        failed = memory_has_failed();
        assert_status(status, failed ? CTRACK_NO_MEMORY : CTRACK_OK);
        assert_int_equal(snapshot == UNTOUCHED, failed);
        if (!failed) {
            assert_int_equal(ctrack_snapshot_count(snapshot), 100);
            ctrack_snapshot_free(snapshot);
        }
        assert_int_equal(memory_blocks(), before);
    }
}

#define BOARD_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

static void test_a_closed_board_answers_closed(void **state)
{
    world *w = *state;
    ctrack_key k = key("a");
    int64_t index = 4711;
    ctrack_snapshot *snapshot = NULL;
    ct_board_close(w->board);
    assert_status(ct_board_get(w->board, &k, &index), CTRACK_CLOSED);
    assert_status(ct_board_copy(w->board, &snapshot, &w->error), CTRACK_CLOSED);
    assert_null(snapshot);
}

static void test_only_the_failure_that_is_meant_is_over(void **state)
{
    world *w = *state;
    ctrack_coordinate wanted = at("a", 1);
    assert_status(ct_board_fail(w->board, CT_FAILING_FILE, CTRACK_IO, "the file is gone", NULL), CTRACK_OK);
    ct_board_resume(w->board, CT_FAILING_HOST);
    ctrack_promise *promise = wait_on(w, &wanted, 1);
    assert_status(ctrack_promise_status(promise), CTRACK_IO);
    ctrack_promise_release(promise);
}

static void test_what_is_reached_is_no_failure_whoever_fails(void **state)
{
    world *w = *state;
    ctrack_coordinate reached = at("a", 5);
    assert_status(ct_board_update(w->board, &reached, 1, NULL), CTRACK_OK);
    assert_status(ct_board_fail(w->board, CT_FAILING_FILE, CTRACK_IO, "the file is gone", NULL), CTRACK_OK);
    ctrack_promise *promise = wait_on(w, &reached, 1);
    assert_status(ctrack_promise_status(promise), CTRACK_OK);
    ctrack_promise_release(promise);
}

static void test_only_what_is_reached_is_said_to_be(void **state)
{
    world *w = *state;
    ctrack_coordinate reached = at("a", 5);
    assert_status(ct_board_update(w->board, &reached, 1, NULL), CTRACK_OK);
    assert_true(ct_board_reached(w->board, &reached, 1));
    assert_true(ct_board_reached(w->board, NULL, 0));
    const ctrack_coordinate others[] = {at("a", 6),
                                        at("a", -1),
                                        at("b", 0),
                                        {NULL, "document", "main", 5},
                                        {"a", NULL, "main", 5},
                                        {"a", "document", NULL, 5}};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        assert_false(ct_board_reached(w->board, &others[i], 1));
    }
    ct_board_close(w->board);
    assert_false(ct_board_reached(w->board, &reached, 1));
}

static void test_counts_beyond_the_histogram_stand_in_its_last_place(void **state)
{
    world *w = *state;
    ctrack_stats stats;
    ct_board_count(w->board, SIZE_MAX, 0, 0, true);
    ct_board_stats(w->board, &stats);
    assert_int_equal(stats.group_sizes[CTRACK_HISTOGRAM - 1], 1);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        BOARD_TEST(test_what_is_prepared_is_not_visible),
        BOARD_TEST(test_what_changes_nothing_is_not_a_step),
        BOARD_TEST(test_all_coordinates_are_steps_if_asked),
        BOARD_TEST(test_a_bad_coordinate_refuses_the_whole_batch),
        BOARD_TEST(test_text_that_is_not_valid_makes_no_entry),
        BOARD_TEST(test_a_reserved_entry_stays_when_its_wait_goes),
        BOARD_TEST(test_a_wait_made_meanwhile_is_satisfied_by_publishing),
        BOARD_TEST(test_publishing_raises_settles_and_empties_the_list),
        BOARD_TEST(test_a_lower_step_does_not_lower),
        BOARD_TEST(test_publishing_nothing_is_fine),
        BOARD_TEST(test_uniting_keeps_each_key_once_at_its_highest),
        BOARD_TEST(test_cancelling_frees_what_was_reserved),
        BOARD_TEST(test_cancelling_a_united_list_frees_what_was_reserved),
        BOARD_TEST(test_cancelling_leaves_waits_pending),
        BOARD_TEST(test_cancelling_keeps_what_came_in_between),
        BOARD_TEST(test_forgetting_takes_progress_back_and_frees_the_entry),
        BOARD_TEST(test_forgetting_keeps_the_entry_of_a_wait),
        BOARD_TEST(test_a_part_that_is_forgotten_is_missing_again),
        BOARD_TEST(test_a_part_that_is_forgotten_is_missing_for_the_steps_behind_it),
        BOARD_TEST(test_steps_are_carried_out_in_their_order),
        BOARD_TEST(test_forgetting_a_key_without_progress_leaves_no_entry),
        BOARD_TEST(test_replacing_leaves_only_what_was_prepared),
        BOARD_TEST(test_replacing_by_nothing_frees_all_that_is_not_waited_for),
        BOARD_TEST(test_replacing_judges_waits_anew),
        BOARD_TEST(test_a_wait_that_is_given_up_leaves_no_entry),
        BOARD_TEST(test_a_wait_that_is_refused_leaves_no_entry),
        BOARD_TEST(test_an_ended_wait_keeps_its_entries_until_it_is_released),
        BOARD_TEST(test_a_closed_board_refuses_work_and_keeps_promises),
        cmocka_unit_test(test_preparing_without_memory_changes_nothing),
        cmocka_unit_test(test_a_wait_without_memory_changes_nothing),
        cmocka_unit_test(test_a_board_without_memory_leaks_nothing),
        BOARD_TEST(test_what_a_promise_is_asked_without_memory_changes_nothing),
        BOARD_TEST(test_copying_without_memory_fails_and_leaks_nothing),
        BOARD_TEST(test_a_closed_board_answers_closed),
        BOARD_TEST(test_only_the_failure_that_is_meant_is_over),
        BOARD_TEST(test_what_is_reached_is_no_failure_whoever_fails),
        BOARD_TEST(test_only_what_is_reached_is_said_to_be),
        BOARD_TEST(test_counts_beyond_the_histogram_stand_in_its_last_place),
    };
    return SUPPORT_MAIN(argc, argv, "board", tests, NULL);
}
