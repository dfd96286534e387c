/* SPDX-License-Identifier: MIT */
/* Keys as text: documentId:scope:branch. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "key.h"

static void assert_parsed(const char *text, const char *document_id, const char *scope, const char *branch)
{
    char copy[200];
    ctrack_key key;
    ctrack_error error;
    snprintf(copy, sizeof copy, "%s", text);
    assert_int_equal(ctrack_key_parse(copy, &key, &error), CTRACK_OK);
    assert_string_equal(key.document_id, document_id);
    assert_string_equal(key.scope, scope);
    assert_string_equal(key.branch, branch);
    char again[200];
    assert_int_equal(ctrack_key_format(&key, again, sizeof again), strlen(text));
    assert_string_equal(again, text);
}

static void test_a_key_is_parsed_and_formatted(void **state)
{
    (void)state;
    assert_parsed("doc-7:document:main", "doc-7", "document", "main");
    assert_parsed("::", "", "", "");
    assert_parsed("a::", "a", "", "");
    assert_parsed("::b", "", "", "b");
    assert_parsed("urn\\:uuid\\:7:s\\\\:\\:", "urn:uuid:7", "s\\", ":");
    assert_parsed("\\\\\\::\\\\:\\\\\\\\", "\\:", "\\", "\\\\");
    assert_parsed("\xC3\xA4:\xE2\x82\xAC:\xF0\x9F\x98\x80", "\xC3\xA4", "\xE2\x82\xAC", "\xF0\x9F\x98\x80");
}

static void test_the_lengths_of_the_components_are_told(void **state)
{
    (void)state;
    char text[] = "a\\:b:\\\\:";
    ctrack_key key;
    size_t lengths[3];
    assert_int_equal(ct_key_parse(text, &key, lengths, NULL), CTRACK_OK);
    assert_int_equal(lengths[0], 3);
    assert_int_equal(lengths[1], 1);
    assert_int_equal(lengths[2], 0);
    /* The components stand one after the other: dumpfmt hashes them as one. */
    assert_ptr_equal(key.scope, key.document_id + 4);
    assert_ptr_equal(key.branch, key.scope + 2);
}

static void test_bad_keys_are_refused_and_left_as_they_were(void **state)
{
    (void)state;
    static const struct {
        const char *text, *reason;
    } cases[] = {
        {"", "has one component"},
        {"a", "has one component"},
        {"a:b", "has two components"},
        {"a:b\\:c", "has two components"},
        {"a:b:c:d", "has more than three components"},
        {"a:b:c:", "has more than three components"},
        {"a:b\\n:c", "unknown escape in its scope"},
        {"a:b:c\\", "unknown escape in its branch"},
        {"\\a:b:c", "unknown escape in its documentId"},
        {"a:\xFF:c", "is not valid UTF-8"},
        {"a:b:\xED\xA0\x80", "is not valid UTF-8"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char copy[40];
        ctrack_key key = {"x", "y", "z"};
        ctrack_error error;
        snprintf(copy, sizeof copy, "%s", cases[i].text);
        assert_int_equal(ctrack_key_parse(copy, &key, &error), CTRACK_FORMAT);
        assert_int_equal(error.status, CTRACK_FORMAT);
        assert_non_null(strstr(error.message, cases[i].reason));
        assert_string_equal(copy, cases[i].text);
        assert_string_equal(key.document_id, "x");
        assert_int_equal(ctrack_key_parse(copy, &key, NULL), CTRACK_FORMAT);
    }
}

static void test_components_have_the_length_limit_after_unescaping(void **state)
{
    (void)state;
    for (size_t length = CTRACK_TEXT_MAX; length <= CTRACK_TEXT_MAX + 1; length++) {
        char *text = malloc(2 * length + 3);
        assert_non_null(text);
        memset(text, '\\', 2 * length);
        memcpy(text + 2 * length, "::", sizeof "::");
        ctrack_key key;
        ctrack_error error;
        ctrack_status status = ctrack_key_parse(text, &key, &error);
        assert_int_equal(status, length <= CTRACK_TEXT_MAX ? CTRACK_OK : CTRACK_FORMAT);
        if (status == CTRACK_OK) {
            assert_int_equal(strlen(key.document_id), length);
        } else {
            assert_non_null(strstr(error.message, "documentId is longer than 65535 bytes"));
        }
        free(text);
    }
}

static void test_formatting_counts_like_snprintf(void **state)
{
    (void)state;
    const ctrack_key key = {"a:b", "c\\", "d"};
    static const char whole[] = "a\\:b:c\\\\:d";
    assert_int_equal(ctrack_key_format(&key, NULL, 0), strlen(whole));
    for (size_t size = 1; size <= sizeof whole + 2; size++) {
        char *text = malloc(size);
        assert_non_null(text);
        assert_int_equal(ctrack_key_format(&key, text, size), strlen(whole));
        size_t kept = size - 1 < strlen(whole) ? size - 1 : strlen(whole);
        assert_int_equal(strlen(text), kept);
        assert_memory_equal(text, whole, kept);
        free(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_key_is_parsed_and_formatted),
        cmocka_unit_test(test_the_lengths_of_the_components_are_told),
        cmocka_unit_test(test_bad_keys_are_refused_and_left_as_they_were),
        cmocka_unit_test(test_components_have_the_length_limit_after_unescaping),
        cmocka_unit_test(test_formatting_counts_like_snprintf),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
