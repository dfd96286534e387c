/* SPDX-License-Identifier: MIT */
/* ctrack_get_latest(): the progress of one key. */
#include "support.h"

static void test_key_that_was_never_seen_is_not_found(void **state)
{
    fixture *f = *state;
    ctrack_key unknown = key("doc-1");
    int64_t index = 0;
    assert_status(ctrack_get_latest(f->tracker, &unknown, &index), CTRACK_NOT_FOUND);
}

static void test_index_is_untouched_when_the_key_is_not_found(void **state)
{
    fixture *f = *state;
    ctrack_key unknown = key("doc-1");
    int64_t index = 4711;
    ctrack_get_latest(f->tracker, &unknown, &index);
    assert_int_equal(index, 4711);
}

static void test_index_0_is_found(void **state)
{
    fixture *f = *state;
    update(f->tracker, "doc-1", 0);
    ctrack_key seen = key("doc-1");
    int64_t index = 4711;
    assert_status(ctrack_get_latest(f->tracker, &seen, &index), CTRACK_OK);
    assert_int_equal(index, 0);
}

static void test_keys_that_differ_in_the_document_are_separate(void **state)
{
    fixture *f = *state;
    update(f->tracker, "doc-1", 5);
    assert_int_equal(latest(f->tracker, "doc-2"), NEVER_SEEN);
}

static void test_keys_that_differ_in_the_scope_are_separate(void **state)
{
    fixture *f = *state;
    update(f->tracker, "doc-1", 5);
    assert_int_equal(latest_of(f->tracker, (ctrack_key){"doc-1", "drive", "main"}), NEVER_SEEN);
}

static void test_keys_that_differ_in_the_branch_are_separate(void **state)
{
    fixture *f = *state;
    update(f->tracker, "doc-1", 5);
    assert_int_equal(latest_of(f->tracker, (ctrack_key){"doc-1", "document", "draft"}), NEVER_SEEN);
}

static void test_keys_that_differ_in_case_are_separate(void **state)
{
    fixture *f = *state;
    update(f->tracker, "doc-1", 5);
    assert_int_equal(latest(f->tracker, "DOC-1"), NEVER_SEEN);
}

static void test_waiting_for_a_key_does_not_make_it_seen(void **state)
{
    fixture *f = *state;
    ctrack_promise *promise = wait_for(f->tracker, "doc-1", 5);
    assert_int_equal(latest(f->tracker, "doc-1"), NEVER_SEEN);
    ctrack_promise_release(promise);
}

static void test_key_with_bad_utf8_is_invalid(void **state)
{
    fixture *f = *state;
    ctrack_key bad = key("\xFF");
    int64_t index = 4711;
    assert_status(ctrack_get_latest(f->tracker, &bad, &index), CTRACK_INVALID);
    assert_int_equal(index, 4711);
}

static void test_key_with_a_null_component_is_invalid(void **state)
{
    fixture *f = *state;
    ctrack_key bad[] = {{NULL, "s", "b"}, {"d", NULL, "b"}, {"d", "s", NULL}};
    for (size_t i = 0; i < 3; i++) {
        int64_t index = 4711;
        assert_status(ctrack_get_latest(f->tracker, &bad[i], &index), CTRACK_INVALID);
        assert_int_equal(index, 4711);
    }
}

static void test_key_that_is_too_long_is_invalid(void **state)
{
    fixture *f = *state;
    char *document = repeated('d', CTRACK_TEXT_MAX + 1);
    ctrack_key bad = key(document);
    int64_t index = 4711;
    assert_status(ctrack_get_latest(f->tracker, &bad, &index), CTRACK_INVALID);
    assert_int_equal(index, 4711);
    free(document);
}

/* Memory answers, so a locked file does not matter. */
static void test_get_latest_answers_while_the_file_is_locked(void **state)
{
    fixture *f = *state;
    update(f->tracker, "doc-1", 5);
    struct sqlite3 *db = db_open(f->path);
    db_run(db, "BEGIN IMMEDIATE");
    assert_int_equal(latest(f->tracker, "doc-1"), 5);
    db_run(db, "ROLLBACK");
    db_close(db);
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        TEST_BOTH(test_key_that_was_never_seen_is_not_found),
        TEST_BOTH(test_index_is_untouched_when_the_key_is_not_found),
        TEST_BOTH(test_index_0_is_found),
        TEST_BOTH(test_keys_that_differ_in_the_document_are_separate),
        TEST_BOTH(test_keys_that_differ_in_the_scope_are_separate),
        TEST_BOTH(test_keys_that_differ_in_the_branch_are_separate),
        TEST_BOTH(test_keys_that_differ_in_case_are_separate),
        TEST_BOTH(test_waiting_for_a_key_does_not_make_it_seen),
        TEST_BOTH(test_key_with_bad_utf8_is_invalid),
        TEST_BOTH(test_key_with_a_null_component_is_invalid),
        TEST_BOTH(test_key_that_is_too_long_is_invalid),
        TEST_ON_FILE(test_get_latest_answers_while_the_file_is_locked),
    };
    return SUPPORT_MAIN(argc, argv, "get_latest", tests, NULL);
}
