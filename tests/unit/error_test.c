/* SPDX-License-Identifier: MIT */
/* Messages: one line of printable UTF-8, whatever is put into them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "error.h"
#include "text.h"

static void assert_printable(const char *message)
{
    size_t length = strlen(message);
    assert_true(ct_text_valid(message, length));
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)message[i];
        assert_true(c >= 0x20 && c != 0x7F);
        assert_false(c == 0xC2 && (unsigned char)message[i + 1] < 0xA0); /* U+0080 … U+009F */
    }
}

static void test_a_failure_has_its_status_and_message(void **state)
{
    (void)state;
    ctrack_error error;
    assert_int_equal(ct_error_set(&error, CTRACK_BUSY, "%s is %d", "it", 5), CTRACK_BUSY);
    assert_int_equal(error.status, CTRACK_BUSY);
    assert_string_equal(error.message, "it is 5");
    assert_int_equal(ct_error_set(NULL, CTRACK_IO, "%s", "x"), CTRACK_IO);
    assert_int_equal(ct_error_no_memory(&error), CTRACK_NO_MEMORY);
    assert_int_equal(error.status, CTRACK_NO_MEMORY);
}

static void test_context_comes_before_what_was_said(void **state)
{
    (void)state;
    ctrack_error error;
    ct_error_set(&error, CTRACK_FORMAT, "index is negative");
    assert_int_equal(ct_error_context(&error, CTRACK_INVALID, "in:%d", 3), CTRACK_INVALID);
    assert_int_equal(error.status, CTRACK_INVALID);
    assert_string_equal(error.message, "in:3: index is negative");
    assert_int_equal(ct_error_context(NULL, CTRACK_IO, "x"), CTRACK_IO);
}

static void test_the_old_message_may_be_part_of_the_new_one(void **state)
{
    (void)state;
    ctrack_error error;
    ct_error_set(&error, CTRACK_IO, "old");
    ct_error_set(&error, CTRACK_IO, "new: %s", error.message);
    assert_string_equal(error.message, "new: old");
}

static void test_what_is_not_printable_is_replaced(void **state)
{
    (void)state;
    ctrack_error error;
    ct_error_set(&error, CTRACK_IO,
                 "a\nb\x1B[31mc\x7F\xC2\x9B"
                 "d\xFF\xE2\x82"
                 "e\xC3\xA4");
    assert_string_equal(error.message, "a?b?[31mc???d???e\xC3\xA4");
    assert_printable(error.message);
}

static void test_long_messages_are_cut_between_characters(void **state)
{
    (void)state;
    for (size_t shift = 0; shift < 4; shift++) {
        char text[1200] = "";
        memset(text, 'x', shift);
        for (size_t i = shift; i + 5 < sizeof text; i += 4) {
            memcpy(text + i, "\xF0\x9F\x98\x80", 5);
        }
        ctrack_error error;
        ct_error_set(&error, CTRACK_IO, "%s", text);
        size_t length = strlen(error.message);
        assert_true(length < sizeof error.message && length > sizeof error.message - 9);
        assert_printable(error.message);
        assert_non_null(strstr(error.message, "\xE2\x80\xA6"));
        ct_error_context(&error, CTRACK_IO, "%s", text);
        assert_printable(error.message);
    }
}

static void test_the_reason_stays_however_long_the_path_is(void **state)
{
    (void)state;
    char path[4096] = "";
    memset(path, 'p', sizeof path - 1);
    ctrack_error error;
    ct_error_set(&error, CTRACK_IO, "cannot open %s: %s", path, "Permission denied");
    assert_string_equal(error.message + strlen(error.message) - 22, "ppppp: Permission denied" + 2);
    assert_int_equal(strncmp(error.message, "cannot open ppp", 15), 0);
    ct_error_context(&error, CTRACK_IO, "%s", path);
    assert_string_equal(error.message + strlen(error.message) - 22, "ppppp: Permission denied" + 2);
    assert_int_equal(strlen(error.message), sizeof error.message - 1);
}

static void test_keys_in_messages_are_shortened(void **state)
{
    (void)state;
    char text[CT_KEY_TEXT_SIZE];
    const ctrack_key brief = {"doc-7", "document", "main"};
    assert_string_equal(ct_error_key(&brief, text), "doc-7:document:main");
    for (size_t shift = 0; shift < 4; shift++) {
        char wide[401] = "";
        memset(wide, 'x', shift);
        for (size_t i = shift; i + 4 < sizeof wide; i += 4) {
            memcpy(wide + i, "\xF0\x9F\x98\x80", 5);
        }
        const ctrack_key long_key = {wide, wide, wide};
        ct_error_key(&long_key, text);
        assert_true(strlen(text) < sizeof text);
        assert_printable(text);
        assert_non_null(strstr(text, "\xE2\x80\xA6:"));
    }
}

static void test_every_status_has_its_name(void **state)
{
    (void)state;
    assert_string_equal(ctrack_status_name(CTRACK_OK), "CTRACK_OK");
    assert_string_equal(ctrack_status_name(CTRACK_TIMED_OUT), "CTRACK_TIMED_OUT");
    assert_string_equal(ctrack_status_name(CTRACK_FORKED), "CTRACK_FORKED");
    for (int i = 0; i <= CTRACK_FORKED; i++) {
        assert_string_not_equal(ctrack_status_name((ctrack_status)i), "CTRACK_UNKNOWN");
    }
    assert_string_equal(ctrack_status_name(CTRACK_INTERNAL), "CTRACK_INTERNAL");
    assert_string_equal(ctrack_status_name((ctrack_status)(CTRACK_INTERNAL + 1)), "CTRACK_UNKNOWN");
    assert_string_equal(ctrack_version(), CTRACK_VERSION);
}

static void test_what_is_no_text_at_all_is_cut_too(void **state)
{
    (void)state;
    ctrack_error error;
    char bytes[2 * sizeof error.message], text[CT_KEY_TEXT_SIZE];
    memset(bytes, 0x80, sizeof bytes - 1);
    bytes[sizeof bytes - 1] = '\0';
    ct_error_set(&error, CTRACK_IO, "%s", bytes);
    assert_printable(error.message);
    ctrack_key key = {bytes, "", ""};
    assert_string_equal(ct_error_key(&key, text), "\xE2\x80\xA6::");
}

static void test_a_space_that_does_not_break_is_printable(void **state)
{
    (void)state;
    ctrack_error error;
    ct_error_set(&error, CTRACK_IO, "%s", "\xC2\xA0\xC2\x9F");
    assert_string_equal(error.message, "\xC2\xA0??");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_failure_has_its_status_and_message),
        cmocka_unit_test(test_context_comes_before_what_was_said),
        cmocka_unit_test(test_the_old_message_may_be_part_of_the_new_one),
        cmocka_unit_test(test_what_is_not_printable_is_replaced),
        cmocka_unit_test(test_long_messages_are_cut_between_characters),
        cmocka_unit_test(test_the_reason_stays_however_long_the_path_is),
        cmocka_unit_test(test_keys_in_messages_are_shortened),
        cmocka_unit_test(test_every_status_has_its_name),
        cmocka_unit_test(test_what_is_no_text_at_all_is_cut_too),
        cmocka_unit_test(test_a_space_that_does_not_break_is_printable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
