/* SPDX-License-Identifier: MIT */
/* ctrack_forget(). */
#include "support.h"

static void forget(ctrack *tracker, const char *document)
{
    ctrack_key forgotten = key(document);
    assert_status(ctrack_forget(tracker, &forgotten, 1, NULL), CTRACK_OK);
}

static void test_forgotten_key_counts_as_never_seen(void **state)
{
    fixture *f = *state;
    update(f->tracker, "doc-1", 5);
    forget(f->tracker, "doc-1");
    assert_int_equal(latest(f->tracker, "doc-1"), NEVER_SEEN);
}

static void test_forgotten_key_is_not_serialized(void **state)
{
    fixture *f = *state;
    update(f->tracker, "doc-1", 5);
    update(f->tracker, "doc-2", 5);
    forget(f->tracker, "doc-1");
    assert_int_equal(entry_count(f->tracker), 1);
}

static void test_other_keys_are_kept(void **state)
{
    fixture *f = *state;
    ctrack_coordinate batch[] = {at("doc-1", 1), coordinate("doc-1", "document", "draft", 2),
                                 coordinate("doc-1", "drive", "main", 3), at("doc-2", 4)};
    assert_status(ctrack_update(f->tracker, batch, 4, NULL), CTRACK_OK);
    forget(f->tracker, "doc-1");
    assert_int_equal(entry_count(f->tracker), 3);
}

static void test_several_keys_are_forgotten_at_once(void **state)
{
    fixture *f = *state;
    update(f->tracker, "doc-1", 5);
    update(f->tracker, "doc-2", 5);
    update(f->tracker, "doc-3", 5);
    ctrack_key keys[] = {key("doc-3"), key("doc-1")};
    assert_status(ctrack_forget(f->tracker, keys, 2, NULL), CTRACK_OK);
    assert_int_equal(entry_count(f->tracker), 1);
    assert_int_equal(latest(f->tracker, "doc-2"), 5);
}

static void test_unknown_keys_are_ignored(void **state)
{
    fixture *f = *state;
    update(f->tracker, "doc-1", 5);
    ctrack_key keys[] = {key("unknown"), key("doc-1"), {"doc-1", "unknown", "unknown"}};
    assert_status(ctrack_forget(f->tracker, keys, 3, &f->error), CTRACK_OK);
    assert_int_equal(entry_count(f->tracker), 0);
}

static void test_what_changes_nothing_may_come_first(void **state)
{
    fixture *f = *state;
    ctrack_key unknown = key("unknown");
    update(f->tracker, "doc-1", 5);
    reopen(f); /* which leaves no log, and a transaction that changes nothing makes none */
    assert_status(ctrack_forget(f->tracker, &unknown, 1, &f->error), CTRACK_OK);
    assert_status(ctrack_forget(f->tracker, NULL, 0, &f->error), CTRACK_OK);
    update(f->tracker, "doc-1", 6);
    assert_int_equal(latest(f->tracker, "doc-1"), 6);
}

static void test_key_listed_twice_is_forgotten(void **state)
{
    fixture *f = *state;
    update(f->tracker, "doc-1", 5);
    ctrack_key keys[] = {key("doc-1"), key("doc-1")};
    assert_status(ctrack_forget(f->tracker, keys, 2, &f->error), CTRACK_OK);
    assert_int_equal(entry_count(f->tracker), 0);
}

static void test_key_may_be_forgotten_again(void **state)
{
    fixture *f = *state;
    update(f->tracker, "doc-1", 5);
    forget(f->tracker, "doc-1");
    forget(f->tracker, "doc-1");
    assert_int_equal(latest(f->tracker, "doc-1"), NEVER_SEEN);
}

static void test_empty_list_forgets_nothing(void **state)
{
    fixture *f = *state;
    update(f->tracker, "doc-1", 5);
    assert_status(ctrack_forget(f->tracker, NULL, 0, NULL), CTRACK_OK);
    assert_int_equal(latest(f->tracker, "doc-1"), 5);
}

static void test_missing_list_is_invalid(void **state)
{
    fixture *f = *state;
    assert_status(ctrack_forget(f->tracker, NULL, 1, NULL), CTRACK_INVALID);
}

static void test_forgotten_key_can_start_again_lower(void **state)
{
    fixture *f = *state;
    update(f->tracker, "doc-1", 5);
    forget(f->tracker, "doc-1");
    update(f->tracker, "doc-1", 0);
    assert_int_equal(latest(f->tracker, "doc-1"), 0);
}

static void test_forgetting_is_durable(void **state)
{
    fixture *f = *state;
    update(f->tracker, "doc-1", 5);
    update(f->tracker, "doc-2", 5);
    forget(f->tracker, "doc-1");
    reopen(f);
    assert_int_equal(latest(f->tracker, "doc-1"), NEVER_SEEN);
    assert_int_equal(latest(f->tracker, "doc-2"), 5);
}

static void test_what_follows_forgetting_is_durable(void **state)
{
    fixture *f = *state;
    update(f->tracker, "doc-1", 5);
    forget(f->tracker, "doc-1");
    update(f->tracker, "doc-1", 2);
    reopen(f);
    assert_int_equal(latest(f->tracker, "doc-1"), 2);
}

static void test_forgotten_key_is_not_in_the_view(void **state)
{
    fixture *f = *state;
    update(f->tracker, "doc-1", 5);
    update(f->tracker, "doc-2", 5);
    forget(f->tracker, "doc-1");
    assert_int_equal(db_integer_once(f->path, "SELECT count(*) FROM ctrack_progress"), 1);
}

static void test_forget_of_a_locked_file_is_busy_and_changes_nothing(void **state)
{
    fixture *f = *state;
    f->tracker = open_impatient(f->path, 20);
    update(f->tracker, "doc-1", 5);
    struct sqlite3 *db = db_open(f->path);
    db_run(db, "BEGIN IMMEDIATE");
    ctrack_key forgotten = key("doc-1");
    assert_status(ctrack_forget(f->tracker, &forgotten, 1, &f->error), CTRACK_BUSY);
    assert_int_equal(latest(f->tracker, "doc-1"), 5);
    db_run(db, "ROLLBACK");
    db_close(db);
    forget(f->tracker, "doc-1");
    assert_int_equal(latest(f->tracker, "doc-1"), NEVER_SEEN);
}

/* ---------------------------------------------------------------- waits */

static void test_waits_on_a_forgotten_key_stay_pending(void **state)
{
    fixture *f = *state;
    update(f->tracker, "doc-1", 3);
    ctrack_promise *promise = wait_for(f->tracker, "doc-1", 5);
    forget(f->tracker, "doc-1");
    assert_status(ctrack_promise_status(promise), CTRACK_PENDING);
    ctrack_promise_release(promise);
}

static void test_waits_on_a_forgotten_key_can_still_be_satisfied(void **state)
{
    fixture *f = *state;
    update(f->tracker, "doc-1", 3);
    ctrack_promise *promise = wait_for(f->tracker, "doc-1", 5);
    forget(f->tracker, "doc-1");
    update(f->tracker, "doc-1", 5);
    assert_status(ctrack_promise_status(promise), CTRACK_OK);
    ctrack_promise_release(promise);
}

static void test_part_that_is_forgotten_counts_as_missing_again(void **state)
{
    fixture *f = *state;
    ctrack_coordinate wanted[] = {at("doc-1", 5), at("doc-2", 5)};
    ctrack_promise *promise = wait_for_all(f->tracker, wanted, 2);
    update(f->tracker, "doc-1", 5);
    forget(f->tracker, "doc-1");
    update(f->tracker, "doc-2", 5);
    assert_status(ctrack_promise_status(promise), CTRACK_PENDING);
    update(f->tracker, "doc-1", 5);
    assert_status(ctrack_promise_status(promise), CTRACK_OK);
    ctrack_promise_release(promise);
}

static void test_new_wait_on_a_forgotten_key_is_not_satisfied(void **state)
{
    fixture *f = *state;
    update(f->tracker, "doc-1", 5);
    forget(f->tracker, "doc-1");
    ctrack_promise *promise = wait_with(f->tracker, "doc-1", 0, 0, NULL);
    assert_status(ctrack_promise_status(promise), CTRACK_TIMED_OUT);
    ctrack_promise_release(promise);
}

static void test_forgetting_a_key_that_is_only_waited_for_leaves_the_wait(void **state)
{
    fixture *f = *state;
    ctrack_promise *promise = wait_for(f->tracker, "doc-1", 5);
    forget(f->tracker, "doc-1");
    update(f->tracker, "doc-1", 5);
    assert_status(ctrack_promise_status(promise), CTRACK_OK);
    ctrack_promise_release(promise);
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        TEST_ON_FILE(test_what_changes_nothing_may_come_first),
        TEST_BOTH(test_forgotten_key_counts_as_never_seen),
        TEST_BOTH(test_forgotten_key_is_not_serialized),
        TEST_BOTH(test_other_keys_are_kept),
        TEST_BOTH(test_several_keys_are_forgotten_at_once),
        TEST_BOTH(test_unknown_keys_are_ignored),
        TEST_BOTH(test_key_listed_twice_is_forgotten),
        TEST_BOTH(test_key_may_be_forgotten_again),
        TEST_BOTH(test_empty_list_forgets_nothing),
        TEST_BOTH(test_missing_list_is_invalid),
        TEST_BOTH(test_forgotten_key_can_start_again_lower),
        TEST_ON_FILE(test_forgetting_is_durable),
        TEST_ON_FILE(test_what_follows_forgetting_is_durable),
        TEST_ON_FILE(test_forgotten_key_is_not_in_the_view),
        TEST(test_forget_of_a_locked_file_is_busy_and_changes_nothing),
        TEST_BOTH(test_waits_on_a_forgotten_key_stay_pending),
        TEST_BOTH(test_waits_on_a_forgotten_key_can_still_be_satisfied),
        TEST_BOTH(test_part_that_is_forgotten_counts_as_missing_again),
        TEST_BOTH(test_new_wait_on_a_forgotten_key_is_not_satisfied),
        TEST_BOTH(test_forgetting_a_key_that_is_only_waited_for_leaves_the_wait),
    };
    return SUPPORT_MAIN(argc, argv, "forget", tests, NULL);
}
