/* SPDX-License-Identifier: MIT */
/* Several read models in one file do not see each other. */
#include "support.h"

typedef struct pair {
    ctrack *orders, *stock;
} pair;

static pair open_pair(fixture *f)
{
    f->tracker = open_model(f->path, "orders");
    return (pair){f->tracker, open_model(f->path, "stock")};
}

static void test_read_models_do_not_see_each_others_updates(void **state)
{
    pair p = open_pair(*state);
    update(p.orders, "doc-1", 5);
    assert_status(ctrack_refresh(p.stock, NULL), CTRACK_OK);
    assert_int_equal(latest(p.stock, "doc-1"), NEVER_SEEN);
    close_tracker(&p.stock);
}

static void test_read_models_keep_the_same_key_at_different_indexes(void **state)
{
    fixture *f = *state;
    pair p = open_pair(f);
    update(p.orders, "doc-1", 5);
    update(p.stock, "doc-1", 3);
    close_tracker(&p.stock);
    close_tracker(&f->tracker);
    f->tracker = open_model(f->path, "orders");
    assert_int_equal(latest(f->tracker, "doc-1"), 5);
    close_tracker(&f->tracker);
    f->tracker = open_model(f->path, "stock");
    assert_int_equal(latest(f->tracker, "doc-1"), 3);
}

static void test_update_of_one_does_not_wake_waits_of_another(void **state)
{
    pair p = open_pair(*state);
    ctrack_promise *promise = wait_for(p.stock, "doc-1", 5);
    update(p.orders, "doc-1", 5);
    assert_status(ctrack_refresh(p.stock, NULL), CTRACK_OK);
    assert_status(ctrack_promise_status(promise), CTRACK_PENDING);
    ctrack_promise_release(promise);
    close_tracker(&p.stock);
}

static void test_snapshot_lists_only_its_own_read_model(void **state)
{
    pair p = open_pair(*state);
    update(p.orders, "doc-1", 5);
    update(p.stock, "doc-2", 5);
    assert_status(ctrack_refresh(p.orders, NULL), CTRACK_OK);
    assert_int_equal(entry_count(p.orders), 1);
    close_tracker(&p.stock);
}

static void test_hydrate_replaces_only_its_own_read_model(void **state)
{
    fixture *f = *state;
    pair p = open_pair(f);
    update(p.orders, "doc-1", 5);
    update(p.stock, "doc-1", 5);
    assert_status(ctrack_hydrate(p.orders, NULL, 0, NULL), CTRACK_OK);
    assert_status(ctrack_refresh(p.stock, NULL), CTRACK_OK);
    assert_int_equal(latest(p.stock, "doc-1"), 5);
    close_tracker(&p.stock);
    close_tracker(&f->tracker);
    f->tracker = open_model(f->path, "stock");
    assert_int_equal(latest(f->tracker, "doc-1"), 5);
}

static void test_forget_drops_only_from_its_own_read_model(void **state)
{
    fixture *f = *state;
    pair p = open_pair(f);
    update(p.orders, "doc-1", 5);
    update(p.stock, "doc-1", 5);
    ctrack_key forgotten = key("doc-1");
    assert_status(ctrack_forget(p.orders, &forgotten, 1, NULL), CTRACK_OK);
    assert_status(ctrack_refresh(p.stock, NULL), CTRACK_OK);
    assert_int_equal(latest(p.stock, "doc-1"), 5);
    close_tracker(&p.stock);
    close_tracker(&f->tracker);
    f->tracker = open_model(f->path, "stock");
    assert_int_equal(latest(f->tracker, "doc-1"), 5);
}

static void test_read_model_without_a_name_is_the_default_one(void **state)
{
    fixture *f = *state;
    f->tracker = open_file(f->path);
    update(f->tracker, "doc-1", 5);
    close_tracker(&f->tracker);
    f->tracker = open_model(f->path, "default");
    assert_int_equal(latest(f->tracker, "doc-1"), 5);
}

static void test_names_of_read_models_are_told_apart_bytewise(void **state)
{
    fixture *f = *state;
    f->tracker = open_model(f->path, "Orders");
    ctrack *other = open_model(f->path, "orders");
    update(f->tracker, "doc-1", 5);
    assert_status(ctrack_refresh(other, NULL), CTRACK_OK);
    assert_int_equal(latest(other, "doc-1"), NEVER_SEEN);
    close_tracker(&other);
}

static void test_read_model_name_and_scope_are_never_joined(void **state)
{
    fixture *f = *state;
    f->tracker = open_model(f->path, "a:b");
    ctrack *other = open_model(f->path, "a");
    ctrack_coordinate progress = coordinate("d", "s", "m", 5);
    assert_status(ctrack_update(f->tracker, &progress, 1, NULL), CTRACK_OK);
    progress = coordinate("d", "b:s", "m", 3);
    assert_status(ctrack_update(other, &progress, 1, NULL), CTRACK_OK);
    assert_int_equal(entry_count(other), 1);
    assert_int_equal(latest_of(other, (ctrack_key){"d", "b:s", "m"}), 3);
    close_tracker(&other);
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_read_models_do_not_see_each_others_updates),
        TEST(test_read_models_keep_the_same_key_at_different_indexes),
        TEST(test_update_of_one_does_not_wake_waits_of_another),
        TEST(test_snapshot_lists_only_its_own_read_model),
        TEST(test_hydrate_replaces_only_its_own_read_model),
        TEST(test_forget_drops_only_from_its_own_read_model),
        TEST(test_read_model_without_a_name_is_the_default_one),
        TEST(test_names_of_read_models_are_told_apart_bytewise),
        TEST(test_read_model_name_and_scope_are_never_joined),
    };
    return SUPPORT_MAIN(argc, argv, "read_models", tests, NULL);
}
