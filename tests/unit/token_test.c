/* SPDX-License-Identifier: MIT */
/* Consistency tokens: reading, refusing with place and reason, writing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "token.h"

static void test_a_token_is_read(void **state)
{
    (void)state;
    static const char text[] =
        "{\"version\":1,\"createdAtUtcIso\":\"2026-01-01T00:00:00.000Z\",\"coordinates\":["
        "{\"documentId\":\"doc-7\",\"scope\":\"document\",\"branch\":\"main\",\"operationIndex\":12},"
        "{\"documentId\":\"a:\\u00e4\\n\",\"scope\":\"\",\"branch\":\"\","
        "\"operationIndex\":9223372036854775807}]}";
    ctrack_snapshot *coordinates = NULL;
    ctrack_error error;
    assert_int_equal(ctrack_token_parse(text, strlen(text), &coordinates, &error), CTRACK_OK);
    assert_int_equal(ctrack_snapshot_count(coordinates), 2);
    const ctrack_coordinate *entries = ctrack_snapshot_entries(coordinates);
    assert_string_equal(entries[0].document_id, "a:\xC3\xA4\n");
    assert_string_equal(entries[0].scope, "");
    assert_true(entries[0].operation_index == INT64_MAX);
    assert_string_equal(entries[1].document_id, "doc-7");
    assert_string_equal(entries[1].scope, "document");
    assert_string_equal(entries[1].branch, "main");
    assert_true(entries[1].operation_index == 12);
    assert_null(ctrack_snapshot_targets(coordinates));
    ctrack_snapshot_free(coordinates);
}

static size_t count_of(const char *text)
{
    ctrack_snapshot *coordinates = NULL;
    ctrack_error error = {CTRACK_OK, ""};
    if (ctrack_token_parse(text, strlen(text), &coordinates, &error) != CTRACK_OK) {
        fail_msg("%s: %s", text, error.message);
    }
    size_t count = ctrack_snapshot_count(coordinates);
    ctrack_snapshot_free(coordinates);
    return count;
}

static void test_members_come_in_any_order_and_unknown_ones_are_ignored(void **state)
{
    (void)state;
    assert_int_equal(count_of("{\"coordinates\":[],\"version\":1}"), 0);
    assert_int_equal(count_of(" {\n\"x\" : {\"version\":2,\"y\":[null,1.5e3]}, \"version\" : 1 ,"
                              "\"coordinates\" : [ ] , \"x\":1}\r\n"),
                     0);
    assert_int_equal(count_of("{\"version\":1,\"coordinates\":[{\"operationIndex\":0,\"extra\":\"\\u0000\","
                              "\"branch\":\"b\",\"scope\":\"s\",\"documentId\":\"d\"}]}"),
                     1);
}

static void test_a_key_that_comes_twice_counts_once_at_its_highest_index(void **state)
{
    (void)state;
    static const char text[] = "{\"version\":1,\"coordinates\":["
                               "{\"documentId\":\"d\",\"scope\":\"s\",\"branch\":\"b\",\"operationIndex\":3},"
                               "{\"documentId\":\"d\",\"scope\":\"s\",\"branch\":\"b\",\"operationIndex\":9},"
                               "{\"documentId\":\"d\",\"scope\":\"s\",\"branch\":\"b\",\"operationIndex\":5}]}";
    ctrack_snapshot *coordinates = NULL;
    assert_int_equal(ctrack_token_parse(text, strlen(text), &coordinates, NULL), CTRACK_OK);
    assert_int_equal(ctrack_snapshot_count(coordinates), 1);
    assert_true(ctrack_snapshot_entries(coordinates)[0].operation_index == 9);
    ctrack_snapshot_free(coordinates);
}

#define GOOD "{\"documentId\":\"d\",\"scope\":\"s\",\"branch\":\"b\",\"operationIndex\":1}"
#define IN(coordinate) "{\"version\":1,\"coordinates\":[" GOOD "," coordinate "]}"

static void test_bad_tokens_are_refused_with_place_and_reason(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"", "token: the text ends here, expected an object (offset 0)"},
        {"[]", "token: the value is an array, not an object (offset 0)"},
        {"{}", "token: version is missing (offset 2)"},
        {"{\"version\":1}", "token: coordinates is missing (offset 13)"},
        {"{\"version\":2,\"coordinates\":[]}", "token: version is 2, but only version 1 is known (offset 11)"},
        {"{\"version\":0,\"coordinates\":[]}", "token: version is 0, but only version 1 is known (offset 11)"},
        {"{\"version\":1.0}", "token: version is not an integer written as digits only (offset 11)"},
        {"{\"version\":\"1\"}", "token: version is a string, not an integer (offset 11)"},
        {"{\"version\":1,\"version\":1}", "token: version is repeated (offset 23)"},
        {"{\"version\":1,\"createdAtUtcIso\":5}", "token: createdAtUtcIso is a number, not a string (offset 31)"},
        {"{\"version\":1,\"coordinates\":{}}", "token: coordinates is an object, not an array (offset 27)"},
        {"{\"version\":1,\"coordinates\":null}", "token: coordinates is null, not an array (offset 27)"},
        {"{\"version\":1,\"coordinates\":[],\"coordinates\":[]}", "token: coordinates is repeated (offset 44)"},
        {"{\"version\":1,\"coordinates\":[]}x", "token: something follows the end (offset 30)"},
        {"{\"version\":1,\"coordinates\":[]", "token: the text ends here, expected ',' or '}' (offset 29)"},
        {"{\"version\":1,\"coordinates\":[5]}", "token: coordinates[0] is a number, not an object (offset 28)"},
        {IN("{}"), "token: coordinates[1].documentId is missing (offset 91)"},
        {IN("{\"documentId\":\"d\",\"scope\":\"s\",\"branch\":\"b\"}"),
         "token: coordinates[1].operationIndex is missing (offset 91)"},
        {IN("{\"documentId\":\"d\",\"documentId\":\"d\"}"),
         "token: coordinates[1].documentId is repeated (offset 122)"},
        {IN("{\"operationIndex\":-1}"), "token: coordinates[1].operationIndex is negative (offset 109)"},
        {IN("{\"operationIndex\":-0}"), "token: coordinates[1].operationIndex is -0 (offset 109)"},
        {IN("{\"operationIndex\":9223372036854775808}"),
         "token: coordinates[1].operationIndex is greater than 9223372036854775807 (offset 109)"},
        {IN("{\"scope\":\"a\\u0000\"}"),
         "token: coordinates[1].scope has a \\u0000, which text may not hold (offset 102)"},
        {IN("{\"branch\":\"\xFF\"}"), "token: coordinates[1].branch is not valid UTF-8 (offset 102)"},
        {IN("{\"branch\" \"b\"}"), "token: coordinates[1]: this is not JSON, expected ':' (offset 101)"},
        {IN(""), "token: coordinates[1]: this is not JSON, expected an object (offset 91)"},
        {"{\"version\":1,\"coordinates\":[" GOOD " " GOOD "]}",
         "token: coordinates: this is not JSON, expected ',' or ']' (offset 91)"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        ctrack_snapshot *coordinates = NULL;
        ctrack_error error;
        assert_int_equal(ctrack_token_parse(cases[i].text, strlen(cases[i].text), &coordinates, &error), CTRACK_FORMAT);
        assert_int_equal(error.status, CTRACK_FORMAT);
        assert_string_equal(error.message, cases[i].message);
        assert_null(coordinates);
        assert_int_equal(ctrack_token_parse(cases[i].text, strlen(cases[i].text), &coordinates, NULL), CTRACK_FORMAT);
    }
}

static void test_every_beginning_of_a_token_is_refused(void **state)
{
    (void)state;
    static const char whole[] = IN(GOOD);
    for (size_t length = 0; length < sizeof whole - 1; length++) {
        char *copy = malloc(length > 0 ? length : 1);
        assert_non_null(copy);
        memcpy(copy, whole, length);
        ctrack_snapshot *coordinates = NULL;
        assert_int_equal(ctrack_token_parse(copy, length, &coordinates, NULL), CTRACK_FORMAT);
        free(copy);
    }
}

static void test_a_component_that_is_too_long_is_refused(void **state)
{
    (void)state;
    for (size_t length = CTRACK_TEXT_MAX; length <= CTRACK_TEXT_MAX + 1; length++) {
        char *text = malloc(length + 200), *at = text;
        assert_non_null(text);
        at += sprintf(at, "{\"version\":1,\"coordinates\":[{\"scope\":\"\",\"branch\":\"\",\"operationIndex\":0,"
                          "\"documentId\":\"");
        memset(at, 'd', length);
        memcpy(at + length, "\"}]}", sizeof "\"}]}");
        ctrack_snapshot *coordinates = NULL;
        ctrack_error error;
        ctrack_status status = ctrack_token_parse(text, strlen(text), &coordinates, &error);
        assert_int_equal(status, length <= CTRACK_TEXT_MAX ? CTRACK_OK : CTRACK_FORMAT);
        if (status != CTRACK_OK) {
            assert_non_null(strstr(error.message, "coordinates[0].documentId is longer than 65535 bytes (offset "));
        }
        ctrack_snapshot_free(coordinates);
        free(text);
    }
}

static void test_what_is_written_is_read_back(void **state)
{
    (void)state;
    static const ctrack_coordinate wrote[] = {
        {"", "", "", 0},
        {"a\"b\\c/d", "\x01\x1F\x7F\t\n", "\xC2\x85\xE2\x80\xA8", INT64_MAX},
        {"\xF0\x9F\x98\x80", ":", "main", 5},
    };
    size_t length = ctrack_token_format(wrote, 3, NULL, 0);
    char *text = malloc(length + 1);
    assert_non_null(text);
    assert_int_equal(ctrack_token_format(wrote, 3, text, length + 1), length);
    assert_int_equal(strlen(text), length);
    ctrack_snapshot *coordinates = NULL;
    assert_int_equal(ctrack_token_parse(text, length, &coordinates, NULL), CTRACK_OK);
    assert_int_equal(ctrack_snapshot_count(coordinates), 3);
    for (size_t i = 0; i < 3; i++) {
        const ctrack_coordinate *read = &ctrack_snapshot_entries(coordinates)[i];
        assert_string_equal(read->document_id, wrote[i].document_id);
        assert_string_equal(read->scope, wrote[i].scope);
        assert_string_equal(read->branch, wrote[i].branch);
        assert_true(read->operation_index == wrote[i].operation_index);
    }
    ctrack_snapshot_free(coordinates);
    free(text);
}

static void test_a_written_token_has_the_form_of_the_specification(void **state)
{
    (void)state;
    static const ctrack_coordinate wrote = {"d", "s", "b", 5};
    char text[300];
    static const char form[] = "{\"version\":1,\"createdAtUtcIso\":\"dddd-dd-ddTdd:dd:dd.dddZ\",\"coordinates\":["
                               "{\"documentId\":\"d\",\"scope\":\"s\",\"branch\":\"b\",\"operationIndex\":5}]}";
    size_t length = ctrack_token_format(&wrote, 1, text, sizeof text),
           at = strlen("{\"version\":1,\"createdAtUtcIso\":\"");
    assert_int_equal(length, strlen(form));
    assert_true(strncmp(text + at, "2024", 4) >= 0);
    for (size_t i = 0; i < length; i++) {
        bool digit = i >= at && i < at + strlen("dddd-dd-ddTdd:dd:dd.ddd") && form[i] == 'd';
        assert_true(digit ? text[i] >= '0' && text[i] <= '9' : text[i] == form[i]);
    }
}

static void test_writing_counts_like_snprintf(void **state)
{
    (void)state;
    static const ctrack_coordinate wrote = {"d\n", "s", "b", 5};
    size_t length = ctrack_token_format(&wrote, 1, NULL, 0);
    for (size_t size = 1; size < length + 3; size++) {
        char *text = malloc(size);
        assert_non_null(text);
        assert_int_equal(ctrack_token_format(&wrote, 1, text, size), length);
        assert_int_equal(strlen(text), size - 1 < length ? size - 1 : length);
        free(text);
    }
}

static void test_bad_coordinates_are_not_written(void **state)
{
    (void)state;
    static const ctrack_coordinate bad[] = {
        {"d", "s", "b", -1}, {NULL, "s", "b", 1}, {"d", NULL, "b", 1}, {"d", "s", NULL, 1}, {"\xFF", "s", "b", 1}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char text[10] = "x";
        assert_int_equal(ctrack_token_format(&bad[i], 1, text, sizeof text), 0);
        assert_string_equal(text, "");
    }
}

static void test_a_member_whose_name_is_as_long_as_a_known_one_is_ignored(void **state)
{
    (void)state;
    assert_int_equal(count_of("{\"versiom\":true,\"version\":1,\"coordinatez\":7,\"coordinates\":[]}"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_token_is_read),
        cmocka_unit_test(test_members_come_in_any_order_and_unknown_ones_are_ignored),
        cmocka_unit_test(test_a_key_that_comes_twice_counts_once_at_its_highest_index),
        cmocka_unit_test(test_bad_tokens_are_refused_with_place_and_reason),
        cmocka_unit_test(test_every_beginning_of_a_token_is_refused),
        cmocka_unit_test(test_a_component_that_is_too_long_is_refused),
        cmocka_unit_test(test_what_is_written_is_read_back),
        cmocka_unit_test(test_a_written_token_has_the_form_of_the_specification),
        cmocka_unit_test(test_writing_counts_like_snprintf),
        cmocka_unit_test(test_bad_coordinates_are_not_written),
        cmocka_unit_test(test_a_member_whose_name_is_as_long_as_a_known_one_is_ignored),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
