/* SPDX-License-Identifier: MIT */
/* What text may be part of a key. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "text.h"

/* RFC 3629 written the other way round: the code point is put together and judged, not the bytes. */
static size_t width_by_code_point(const unsigned char *s, size_t length)
{
    size_t width = s[0] < 0x80             ? 1
                   : (s[0] & 0xE0) == 0xC0 ? 2
                   : (s[0] & 0xF0) == 0xE0 ? 3
                   : (s[0] & 0xF8) == 0xF0 ? 4
                                           : 0;
    if (width == 0 || width > length) {
        return 0;
    }
    static const unsigned masks[] = {0, 0x7F, 0x1F, 0x0F, 0x07}, least[] = {0, 0, 0x80, 0x800, 0x10000};
    unsigned point = s[0] & masks[width];
    for (size_t i = 1; i < width; i++) {
        if ((s[i] & 0xC0) != 0x80) {
            return 0;
        }
        point = point << 6 | (s[i] & 0x3F);
    }
    return point < least[width] || point > 0x10FFFF || (point >= 0xD800 && point <= 0xDFFF) ? 0 : width;
}

static void test_characters_are_told_as_rfc_3629_says(void **state)
{
    (void)state;
    /* Every first and second byte, and for those after them the borders. */
    static const unsigned char borders[] = {0x00, 0x7F, 0x80, 0xA0, 0xBF, 0xC0, 0xFF};
    for (unsigned first = 0; first < 256; first++) {
        for (unsigned second = 0; second < 256; second++) {
            for (size_t third = 0; third < sizeof borders; third++) {
                for (size_t fourth = 0; fourth < sizeof borders; fourth++) {
                    const unsigned char s[4] = {(unsigned char)first, (unsigned char)second, borders[third],
                                                borders[fourth]};
                    for (size_t length = 1; length <= 4; length++) {
                        assert_int_equal(ct_text_character((const char *)s, length), width_by_code_point(s, length));
                    }
                }
            }
        }
    }
    assert_int_equal(ct_text_character("", 0), 0);
}

static void test_text_with_nul_or_bad_utf8_is_not_valid(void **state)
{
    (void)state;
    assert_true(ct_text_valid("", 0));
    assert_true(ct_text_valid("a:\n\x7F\xC3\xA4\xF4\x8F\xBF\xBF", 10));
    assert_false(ct_text_valid("a\0b", 3));
    assert_false(ct_text_valid("a\xC3", 2));
    assert_false(ct_text_valid("\xED\xA0\x80", 3));
}

static void test_a_bad_component_is_named(void **state)
{
    (void)state;
    char *longest = malloc(CTRACK_TEXT_MAX + 2);
    assert_non_null(longest);
    memset(longest, 'x', CTRACK_TEXT_MAX + 1);
    longest[CTRACK_TEXT_MAX + 1] = '\0';
    const struct {
        ctrack_key key;
        const char *message;
    } cases[] = {
        {{NULL, "", ""}, "coordinate 3: document_id is NULL"},
        {{"", NULL, ""}, "coordinate 3: scope is NULL"},
        {{"", "", NULL}, "coordinate 3: branch is NULL"},
        {{"\xFF", "", ""}, "coordinate 3: document_id is not valid UTF-8"},
        {{"", longest, ""}, "coordinate 3: scope is longer than 65535 bytes"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        ctrack_error error;
        assert_int_equal(ct_text_check_key(&cases[i].key, "coordinate 3", &error), CTRACK_INVALID);
        assert_string_equal(error.message, cases[i].message);
        assert_int_equal(ct_text_check_key(&cases[i].key, "coordinate 3", NULL), CTRACK_INVALID);
    }
    const ctrack_key good = {"", ":", longest + 1};
    assert_int_equal(ct_text_check_key(&good, "coordinate 3", NULL), CTRACK_OK);
    free(longest);
}

static void test_keys_compare_bytewise_component_by_component(void **state)
{
    (void)state;
    static const ctrack_coordinate ascending[] = {
        {"", "", "", 9},    {"", "", "a", 8},        {"", "a", "", 7},
        {"a", "", "", 6},   {"a", "b", "c", 5},      {"ab", "", "c", 4},
        {"b", "a", "a", 3}, {"\xC3\xA4", "", "", 2}, {"\xE2\x82\xAC", "", "", 1},
    };
    enum { COUNT = sizeof ascending / sizeof ascending[0] };
    for (size_t a = 0; a < COUNT; a++) {
        for (size_t b = 0; b < COUNT; b++) {
            int order = ct_text_compare(&ascending[a], &ascending[b]);
            assert_int_equal((order > 0) - (order < 0), (a > b) - (a < b));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_characters_are_told_as_rfc_3629_says),
        cmocka_unit_test(test_text_with_nul_or_bad_utf8_is_not_valid),
        cmocka_unit_test(test_a_bad_component_is_named),
        cmocka_unit_test(test_keys_compare_bytewise_component_by_component),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
