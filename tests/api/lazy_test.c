/* SPDX-License-Identifier: MIT */
/* ctrack_options.lazy: progress stays in the file until a call needs all of it. */
#include "support.h"

#include <stdio.h>

static ctrack *open_lazy(const char *path)
{
    ctrack_options options = CTRACK_OPTIONS_INIT;
    ctrack *tracker = NULL;
    options.lazy = true;
    assert_status(ctrack_open(path, &options, &tracker, NULL), CTRACK_OK);
    return tracker;
}

/* A lazy tracker shows that it has not loaded by what it says of a commit that it was never told of. */
static bool has_loaded(fixture *f, ctrack *lazy)
{
    update(f->tracker, "news", latest(f->tracker, "news") + 1);
    return latest(lazy, "news") != latest(f->tracker, "news");
}

/* ---------------------------------------------------------------- before it is loaded */

static void test_a_key_is_looked_up_in_the_file(void **state)
{
    fixture *f = *state;
    update(f->tracker, "folded", 5);
    update(f->tracker, "folded and raised", 5);
    update(f->tracker, "gone", 5);
    update(f->tracker, "gone and back", 5);
    ctrack_key gone[] = {key("gone"), key("gone and back")};
    assert_status(ctrack_forget(f->tracker, gone, 2, NULL), CTRACK_OK); /* folds everything */
    update(f->tracker, "folded and raised", 9);
    update(f->tracker, "gone and back", 0);
    update(f->tracker, "new", 7);
    update(f->tracker, "new", 8);
    ctrack *lazy = open_lazy(f->path);
    assert_int_equal(latest(lazy, "folded"), 5);
    assert_int_equal(latest(lazy, "folded and raised"), 9);
    assert_int_equal(latest(lazy, "gone"), NEVER_SEEN);
    assert_int_equal(latest(lazy, "gone and back"), 0);
    assert_int_equal(latest(lazy, "new"), 8);
    assert_int_equal(latest(lazy, "never"), NEVER_SEEN);
    assert_int_equal(latest_of(lazy, (ctrack_key){"new", "other", "main"}), NEVER_SEEN);
    assert_int_equal(latest_of(lazy, (ctrack_key){"new", "document", "other"}), NEVER_SEEN);
    assert_false(has_loaded(f, lazy));
    close_tracker(&lazy);
}

static void test_another_read_models_keys_are_not_found(void **state)
{
    fixture *f = *state;
    ctrack *other = open_model(f->path, "other");
    update(other, "theirs", 3);
    update(f->tracker, "ours", 3);
    ctrack *lazy = open_lazy(f->path);
    assert_int_equal(latest(lazy, "theirs"), NEVER_SEEN);
    assert_int_equal(latest(lazy, "ours"), 3);
    close_tracker(&lazy);
    close_tracker(&other);
}

static void test_what_cannot_be_a_key_is_refused(void **state)
{
    fixture *f = *state;
    ctrack *lazy = open_lazy(f->path);
    char *longest = repeated('x', CTRACK_TEXT_MAX + 1);
    const ctrack_key bad[] = {{NULL, "document", "main"},
                              {"a", NULL, "main"},
                              {"a", "document", NULL},
                              {"\xFF", "document", "main"},
                              {longest, "document", "main"}};
    int64_t index = 77;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_status(ctrack_get_latest(lazy, &bad[i], &index), CTRACK_INVALID);
    }
    ctrack_key fine = key("a");
    assert_status(ctrack_get_latest(lazy, NULL, &index), CTRACK_INVALID);
    assert_status(ctrack_get_latest(lazy, &fine, NULL), CTRACK_INVALID);
    assert_status(ctrack_get_latest(lazy, &fine, &index), CTRACK_NOT_FOUND);
    assert_int_equal(index, 77);
    free(longest);
    close_tracker(&lazy);
}

static void test_what_reads_the_file_by_itself_loads_nothing(void **state)
{
    fixture *f = *state;
    char copy[300];
    update(f->tracker, "a", 1);
    ctrack *lazy = open_lazy(f->path);
    ctrack_read_model_list *list = NULL;
    assert_status(ctrack_read_models(lazy, &list, NULL), CTRACK_OK);
    assert_int_equal(ctrack_read_model_list_at(list, 0)->keys, 1);
    ctrack_read_model_list_free(list);
    assert_status(ctrack_export(lazy, path_in(f, "copy.db", copy), CTRACK_EXPORT_NEW, NULL, NULL, NULL), CTRACK_OK);
    assert_false(has_loaded(f, lazy));
    close_tracker(&lazy);
}

/* ---------------------------------------------------------------- what loads it */

static void load_by_serialize(ctrack *lazy)
{
    assert_int_equal(entry_count(lazy), 2);
}

static void load_by_update(ctrack *lazy)
{
    update(lazy, "a", 1); /* which changes nothing, as is known only then */
    ctrack_stats stats = {.size = sizeof stats};
    assert_status(ctrack_get_stats(lazy, &stats, NULL), CTRACK_OK);
    assert_int_equal(stats.coordinates_skipped, 1);
}

static void load_by_wait(ctrack *lazy)
{
    ctrack_coordinate reached = at("a", 4);
    assert_status(ctrack_wait(lazy, &reached, 1, 0, NULL, NULL), CTRACK_OK);
}

static void load_by_stats(ctrack *lazy)
{
    ctrack_stats stats = {.size = sizeof stats};
    assert_status(ctrack_get_stats(lazy, &stats, NULL), CTRACK_OK);
    assert_int_equal(stats.keys, 2);
}

static void load_by_refresh(ctrack *lazy)
{
    assert_status(ctrack_refresh(lazy, NULL), CTRACK_OK);
}

static void load_by_forget(ctrack *lazy)
{
    ctrack_key gone = key("b");
    assert_status(ctrack_forget(lazy, &gone, 1, NULL), CTRACK_OK);
    assert_int_equal(latest(lazy, "b"), NEVER_SEEN);
}

static void load_by_hydrate(ctrack *lazy)
{
    ctrack_coordinate all = at("a", 4);
    assert_status(ctrack_hydrate(lazy, &all, 1, NULL), CTRACK_OK);
    assert_int_equal(latest(lazy, "b"), NEVER_SEEN);
}

static void test_a_call_that_needs_all_progress_loads_it(void **state)
{
    fixture *f = *state;
    void (*const loads[])(ctrack *) = {load_by_serialize, load_by_update, load_by_wait,   load_by_stats,
                                       load_by_refresh,   load_by_forget, load_by_hydrate};
    for (size_t i = 0; i < sizeof loads / sizeof loads[0]; i++) {
        char path[300], name[20];
        snprintf(name, sizeof name, "%zu.db", i);
        f->tracker = open_file(path_in(f, name, path));
        update(f->tracker, "a", 4);
        update(f->tracker, "b", 5);
        ctrack *lazy = open_lazy(path);
        loads[i](lazy);
        assert_int_equal(latest(lazy, "a"), 4);
        assert_true(has_loaded(f, lazy));
        close_tracker(&lazy);
        close_tracker(&f->tracker);
    }
}

static void test_a_wait_that_is_pending_ends_when_another_tracker_gets_there(void **state)
{
    fixture *f = *state;
    update(f->tracker, "a", 4);
    ctrack *lazy = open_lazy(f->path);
    ctrack_promise *promise = wait_for(lazy, "a", 5);
    assert_status(ctrack_promise_status(promise), CTRACK_PENDING);
    update(f->tracker, "a", 5);
    assert_status(ctrack_promise_await(promise), CTRACK_OK);
    ctrack_promise_release(promise);
    close_tracker(&lazy);
}

static void test_follow_loads_at_once(void **state)
{
    fixture *f = *state;
    update(f->tracker, "a", 4);
    ctrack_options options = CTRACK_OPTIONS_INIT;
    options.lazy = options.follow = true;
    ctrack *tracker = NULL;
    db_run_once(f->path, "PRAGMA ignore_check_constraints = 1; UPDATE ctrack_advance SET operation_index = -7");
    assert_status(ctrack_open(f->path, &options, &tracker, &f->error), CTRACK_CORRUPT);
}

static void test_a_memory_only_tracker_has_nothing_to_load(void **state)
{
    fixture *f = *state;
    f->tracker = open_lazy(NULL);
    assert_int_equal(latest(f->tracker, "a"), NEVER_SEEN);
    update(f->tracker, "a", 1);
    assert_int_equal(latest(f->tracker, "a"), 1);
    assert_int_equal(entry_count(f->tracker), 1);
}

/* ---------------------------------------------------------------- when it cannot be loaded */

static void test_loading_that_fails_is_the_error_of_the_call_and_can_be_tried_again(void **state)
{
    fixture *f = *state;
    for (int64_t i = 0; i < 100; i++) {
        char name[20];
        snprintf(name, sizeof name, "doc-%d", (int)i);
        update(f->tracker, name, i);
    }
    close_tracker(&f->tracker);
    const char damage[] = "PRAGMA ignore_check_constraints = 1; "
                          "UPDATE ctrack_advance SET operation_index = -7 WHERE document_id = 'doc-90'";
    db_run_once(f->path, damage);
    ctrack *lazy = open_lazy(f->path);
    ctrack_key sound = key("doc-5"), damaged = key("doc-90");
    ctrack_coordinate wanted = at("doc-5", 5);
    ctrack_snapshot *snapshot = UNTOUCHED;
    int64_t index = 77;
    assert_int_equal(latest_of(lazy, sound), 5);
    assert_status(ctrack_get_latest(lazy, &damaged, &index), CTRACK_CORRUPT);
    assert_int_equal(index, 77);
    for (int i = 0; i < 2; i++) {
        assert_status(ctrack_serialize(lazy, &snapshot, &f->error), CTRACK_CORRUPT);
        assert_contains(f->error.message, "damaged");
        assert_ptr_equal(snapshot, UNTOUCHED);
        assert_status(ctrack_wait(lazy, &wanted, 1, 0, NULL, &f->error), CTRACK_CORRUPT);
        assert_status(ctrack_update(lazy, &wanted, 1, &f->error), CTRACK_CORRUPT);
    }
    db_run_once(f->path, "UPDATE ctrack_advance SET operation_index = 90 WHERE document_id = 'doc-90'");
    assert_int_equal(entry_count(lazy), 100);
    assert_int_equal(latest_of(lazy, damaged), 90);
    close_tracker(&lazy);
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        TEST_ON_FILE(test_a_key_is_looked_up_in_the_file),
        TEST_ON_FILE(test_another_read_models_keys_are_not_found),
        TEST_ON_FILE(test_what_cannot_be_a_key_is_refused),
        TEST_ON_FILE(test_what_reads_the_file_by_itself_loads_nothing),
        TEST(test_a_call_that_needs_all_progress_loads_it),
        TEST_ON_FILE(test_a_wait_that_is_pending_ends_when_another_tracker_gets_there),
        TEST_ON_FILE(test_follow_loads_at_once),
        TEST(test_a_memory_only_tracker_has_nothing_to_load),
        TEST_ON_FILE(test_loading_that_fails_is_the_error_of_the_call_and_can_be_tried_again),
    };
    return SUPPORT_MAIN(argc, argv, "api/lazy", tests, NULL);
}
