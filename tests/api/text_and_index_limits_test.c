/* SPDX-License-Identifier: MIT */
/* Which texts and indexes are accepted, by every call that takes coordinates; and that keys are never joined texts. */
#include "support.h"

#include <stdio.h>

/* ---------------------------------------------------------------- one coordinate through each call */

static ctrack_status call_update(fixture *f, const ctrack_coordinate *list, size_t count)
{
    return ctrack_update(f->tracker, list, count, &f->error);
}

static ctrack_status call_hydrate(fixture *f, const ctrack_coordinate *list, size_t count)
{
    return ctrack_hydrate(f->tracker, list, count, &f->error);
}

static ctrack_status call_wait_for(fixture *f, const ctrack_coordinate *list, size_t count)
{
    ctrack_promise *promise = UNTOUCHED;
    ctrack_status status = ctrack_wait_for(f->tracker, list, count, CTRACK_FOREVER, NULL, &promise, &f->error);
    if (status == CTRACK_OK) {
        ctrack_promise_release(promise);
    } else {
        assert_ptr_equal(promise, UNTOUCHED);
    }
    return status;
}

static ctrack_status call_wait(fixture *f, const ctrack_coordinate *list, size_t count)
{
    return ctrack_wait(f->tracker, list, count, 0, NULL, &f->error);
}

typedef ctrack_status coordinate_call(fixture *f, const ctrack_coordinate *list, size_t count);
static coordinate_call *const calls[] = {call_update, call_hydrate, call_wait_for, call_wait};
enum { CALLS = sizeof calls / sizeof calls[0] };

static void assert_refused_everywhere(fixture *f, ctrack_coordinate bad)
{
    ctrack_coordinate list[] = {at("doc-1", 1), bad};
    for (size_t i = 0; i < CALLS; i++) {
        f->error.status = CTRACK_OK;
        assert_status(calls[i](f, list, 2), CTRACK_INVALID);
        assert_status(f->error.status, CTRACK_INVALID);
        assert_contains(f->error.message, "coordinates[1]");
    }
    assert_int_equal(entry_count(f->tracker), 0);
}

static void assert_taken(fixture *f, ctrack_coordinate good)
{
    assert_status(ctrack_update(f->tracker, &good, 1, &f->error), CTRACK_OK);
    assert_int_equal(latest_of(f->tracker, (ctrack_key){good.document_id, good.scope, good.branch}),
                     good.operation_index);
    assert_status(ctrack_wait(f->tracker, &good, 1, 0, NULL, &f->error), CTRACK_OK);
}

/* Accepted by update and found again; on a file, after opening it again too. */
static void assert_accepted(fixture *f, ctrack_coordinate good)
{
    assert_taken(f, good);
    if (file_exists(f->path)) {
        reopen(f);
        assert_int_equal(latest_of(f->tracker, (ctrack_key){good.document_id, good.scope, good.branch}),
                         good.operation_index);
    }
}

/* ---------------------------------------------------------------- indexes */

static void test_index_0_is_accepted(void **state)
{
    assert_accepted(*state, at("doc-1", 0));
}

static void test_highest_index_is_accepted(void **state)
{
    assert_accepted(*state, at("doc-1", INT64_MAX));
}

static void test_negative_index_is_refused(void **state)
{
    assert_refused_everywhere(*state, at("doc-2", -1));
}

static void test_lowest_index_is_refused(void **state)
{
    assert_refused_everywhere(*state, at("doc-2", INT64_MIN));
}

static void test_nothing_is_above_the_highest_index(void **state)
{
    fixture *f = *state;
    update(f->tracker, "doc-1", INT64_MAX);
    update(f->tracker, "doc-1", INT64_MAX - 1);
    assert_int_equal(latest(f->tracker, "doc-1"), INT64_MAX);
}

static void test_wait_for_index_0_is_not_satisfied_by_never_seen(void **state)
{
    fixture *f = *state;
    ctrack_promise *promise = wait_for(f->tracker, "doc-1", 0);
    assert_status(ctrack_promise_status(promise), CTRACK_PENDING);
    update(f->tracker, "doc-1", 0);
    assert_status(ctrack_promise_status(promise), CTRACK_OK);
    ctrack_promise_release(promise);
}

static void test_wait_for_the_highest_index_is_satisfied_by_it_only(void **state)
{
    fixture *f = *state;
    ctrack_promise *promise = wait_for(f->tracker, "doc-1", INT64_MAX);
    update(f->tracker, "doc-1", INT64_MAX - 1);
    assert_status(ctrack_promise_status(promise), CTRACK_PENDING);
    update(f->tracker, "doc-1", INT64_MAX);
    assert_status(ctrack_promise_status(promise), CTRACK_OK);
    ctrack_promise_release(promise);
}

/* ---------------------------------------------------------------- texts */

static void test_null_document_is_refused(void **state)
{
    assert_refused_everywhere(*state, coordinate(NULL, "s", "b", 1));
}

static void test_null_scope_is_refused(void **state)
{
    assert_refused_everywhere(*state, coordinate("d", NULL, "b", 1));
}

static void test_null_branch_is_refused(void **state)
{
    assert_refused_everywhere(*state, coordinate("d", "s", NULL, 1));
}

static void test_bad_utf8_is_refused(void **state)
{
    static const char *const bad[] = {
        "\x80",             /* a continuation byte alone */
        "a\xFF",            /* a byte that UTF-8 never uses */
        "\xC0\x80",         /* NUL, overlong */
        "\xC1\xBF",         /* overlong, two bytes */
        "\xE0\x9F\xBF",     /* overlong, three bytes */
        "\xF0\x8F\xBF\xBF", /* overlong, four bytes */
        "\xED\xA0\x80",     /* a surrogate */
        "\xF4\x90\x80\x80", /* above U+10FFFF */
        "\xF8\x88\x80\x80", /* a five-byte form */
        "a\xC3",            /* cut off */
        "\xE2\x82",         /* cut off */
        "\xE2\x28\xA1",     /* a bad continuation */
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_refused_everywhere(*state, coordinate(bad[i], "s", "b", 1));
        assert_refused_everywhere(*state, coordinate("d", bad[i], "b", 1));
        assert_refused_everywhere(*state, coordinate("d", "s", bad[i], 1));
    }
}

static void test_text_of_every_width_is_accepted(void **state)
{
    /* U+0001, U+007F, U+0080, U+07FF, U+0800, U+D7FF, U+E000, U+FFFD, U+FFFF, U+10000, U+10FFFF */
    assert_accepted(*state, coordinate("\x01\x7F", "\xC2\x80\xDF\xBF\xE0\xA0\x80\xED\x9F\xBF",
                                       "\xEE\x80\x80\xEF\xBF\xBD\xEF\xBF\xBF\xF0\x90\x80\x80\xF4\x8F\xBF\xBF", 3));
}

static void test_control_characters_and_quotes_are_accepted(void **state)
{
    assert_accepted(*state, coordinate("a\nb\tc", "'; DROP TABLE ctrack_advance; --", "\"\\%_", 3));
}

static void test_empty_text_is_accepted(void **state)
{
    assert_accepted(*state, coordinate("", "", "", 3));
}

static void test_colons_and_backslashes_are_accepted(void **state)
{
    assert_accepted(*state, coordinate("a:b\\", ":", "\\:", 3));
}

static void test_longest_text_is_accepted(void **state)
{
    char *text = repeated('x', CTRACK_TEXT_MAX);
    assert_accepted(*state, coordinate(text, text, text, 3));
    free(text);
}

static void test_longest_text_is_counted_in_bytes(void **state)
{
    /* 21,845 characters of three bytes each are 65,535 bytes. */
    char *text = malloc(CTRACK_TEXT_MAX + 1);
    assert_non_null(text);
    for (size_t i = 0; i < CTRACK_TEXT_MAX; i += 3) {
        memcpy(text + i, "\xE2\x82\xAC", 3);
    }
    text[CTRACK_TEXT_MAX] = '\0';
    assert_accepted(*state, at(text, 3));
    free(text);
}

static void test_document_one_byte_too_long_is_refused(void **state)
{
    char *text = repeated('x', CTRACK_TEXT_MAX + 1);
    assert_refused_everywhere(*state, coordinate(text, "s", "b", 1));
    free(text);
}

static void test_scope_one_byte_too_long_is_refused(void **state)
{
    char *text = repeated('x', CTRACK_TEXT_MAX + 1);
    assert_refused_everywhere(*state, coordinate("d", text, "b", 1));
    free(text);
}

static void test_branch_one_byte_too_long_is_refused(void **state)
{
    char *text = repeated('x', CTRACK_TEXT_MAX + 1);
    assert_refused_everywhere(*state, coordinate("d", "s", text, 1));
    free(text);
}

/* ---------------------------------------------------------------- components are never joined */

/* Keys that are one and the same text when their components are joined with nothing, with ':' or with NUL. */
static const ctrack_key confusable[] = {
    {"a:b", "c", "d"}, {"a", "b:c", "d"}, {"a", "b", "c:d"}, {"ab", "c", "d"}, {"a", "bc", "d"},
    {"a", "b", "cd"},  {"", "ab", "cd"},  {"abcd", "", ""},  {"", "abcd", ""}, {"", "", "abcd"},
    {":", "", ""},     {"", ":", ""},     {"", "", ":"},     {"", "", ""},     {"a\\", ":b", "c"},
};
enum { CONFUSABLE = sizeof confusable / sizeof confusable[0] };

static void update_confusable(fixture *f)
{
    for (int i = 0; i < CONFUSABLE; i++) {
        ctrack_coordinate progress =
            coordinate(confusable[i].document_id, confusable[i].scope, confusable[i].branch, i);
        assert_status(ctrack_update(f->tracker, &progress, 1, NULL), CTRACK_OK);
    }
}

static void assert_confusable_are_apart(fixture *f)
{
    assert_int_equal(entry_count(f->tracker), CONFUSABLE);
    for (int i = 0; i < CONFUSABLE; i++) {
        assert_int_equal(latest_of(f->tracker, confusable[i]), i);
    }
}

static void test_keys_that_join_to_the_same_text_are_separate(void **state)
{
    fixture *f = *state;
    update_confusable(f);
    assert_confusable_are_apart(f);
}

static void test_keys_that_join_to_the_same_text_are_separate_in_the_file(void **state)
{
    fixture *f = *state;
    update_confusable(f);
    reopen(f);
    assert_confusable_are_apart(f);
}

static void test_waits_on_keys_that_join_to_the_same_text_are_separate(void **state)
{
    fixture *f = *state;
    ctrack_coordinate wanted = coordinate("a", "b:c", "d", 1);
    ctrack_promise *promise = wait_for_all(f->tracker, &wanted, 1);
    ctrack_coordinate other = coordinate("a:b", "c", "d", 1);
    assert_status(ctrack_update(f->tracker, &other, 1, NULL), CTRACK_OK);
    assert_status(ctrack_promise_status(promise), CTRACK_PENDING);
    ctrack_promise_release(promise);
}

/* ---------------------------------------------------------------- forget takes keys */

static void assert_forget_refuses(fixture *f, ctrack_key bad)
{
    update(f->tracker, "doc-1", 1);
    ctrack_key list[] = {key("doc-1"), bad};
    assert_status(ctrack_forget(f->tracker, list, 2, &f->error), CTRACK_INVALID);
    assert_contains(f->error.message, "keys[1]");
    assert_int_equal(latest(f->tracker, "doc-1"), 1);
}

static void test_forget_refuses_the_whole_list_for_a_null_component(void **state)
{
    assert_forget_refuses(*state, (ctrack_key){"d", NULL, "b"});
}

static void test_forget_refuses_the_whole_list_for_bad_utf8(void **state)
{
    assert_forget_refuses(*state, (ctrack_key){"d", "s", "\xC3"});
}

static void test_forget_refuses_the_whole_list_for_a_text_too_long(void **state)
{
    char *text = repeated('x', CTRACK_TEXT_MAX + 1);
    assert_forget_refuses(*state, (ctrack_key){text, "s", "b"});
    free(text);
}

/* ---------------------------------------------------------------- messages */

static void test_message_is_one_line_without_control_characters(void **state)
{
    fixture *f = *state;
    ctrack_coordinate wanted = coordinate("a\nb\x1B[31m\xC2\x9B", "s\r", "b\x7F", 5);
    assert_status(ctrack_wait(f->tracker, &wanted, 1, 0, NULL, &f->error), CTRACK_TIMED_OUT);
    for (const char *c = f->error.message; *c != '\0'; c++) {
        assert_true((unsigned char)*c >= 0x20 && *c != 0x7F);
    }
    assert_null(strstr(f->error.message, "\xC2\x9B"));
}

static void test_message_about_a_long_key_fits_and_ends(void **state)
{
    fixture *f = *state;
    char *text = repeated('x', CTRACK_TEXT_MAX);
    ctrack_coordinate wanted = coordinate(text, text, text, 5);
    assert_status(ctrack_wait(f->tracker, &wanted, 1, 0, NULL, &f->error), CTRACK_TIMED_OUT);
    assert_non_null(memchr(f->error.message, '\0', sizeof f->error.message));
    assert_contains(f->error.message, "needs 5");
    free(text);
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        TEST_BOTH(test_index_0_is_accepted),
        TEST_BOTH(test_highest_index_is_accepted),
        TEST_BOTH(test_negative_index_is_refused),
        TEST_BOTH(test_lowest_index_is_refused),
        TEST_BOTH(test_nothing_is_above_the_highest_index),
        TEST_BOTH(test_wait_for_index_0_is_not_satisfied_by_never_seen),
        TEST_BOTH(test_wait_for_the_highest_index_is_satisfied_by_it_only),
        TEST_BOTH(test_null_document_is_refused),
        TEST_BOTH(test_null_scope_is_refused),
        TEST_BOTH(test_null_branch_is_refused),
        TEST_BOTH(test_bad_utf8_is_refused),
        TEST_BOTH(test_text_of_every_width_is_accepted),
        TEST_BOTH(test_control_characters_and_quotes_are_accepted),
        TEST_BOTH(test_empty_text_is_accepted),
        TEST_BOTH(test_colons_and_backslashes_are_accepted),
        TEST_BOTH(test_longest_text_is_accepted),
        TEST_BOTH(test_longest_text_is_counted_in_bytes),
        TEST_BOTH(test_document_one_byte_too_long_is_refused),
        TEST_BOTH(test_scope_one_byte_too_long_is_refused),
        TEST_BOTH(test_branch_one_byte_too_long_is_refused),
        TEST_BOTH(test_keys_that_join_to_the_same_text_are_separate),
        TEST_ON_FILE(test_keys_that_join_to_the_same_text_are_separate_in_the_file),
        TEST_BOTH(test_waits_on_keys_that_join_to_the_same_text_are_separate),
        TEST_BOTH(test_forget_refuses_the_whole_list_for_a_null_component),
        TEST_BOTH(test_forget_refuses_the_whole_list_for_bad_utf8),
        TEST_BOTH(test_forget_refuses_the_whole_list_for_a_text_too_long),
        TEST_BOTH(test_message_is_one_line_without_control_characters),
        TEST_BOTH(test_message_about_a_long_key_fits_and_ends),
    };
    return SUPPORT_MAIN(argc, argv, "text_and_index_limits", tests, NULL);
}
