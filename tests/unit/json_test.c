/* SPDX-License-Identifier: MIT */
/* The JSON reader: what it takes, what it refuses and where, and that what is written is read back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "json.h"

/* A copy that ends where the memory ends, so that a sanitizer sees any look beyond. */
static char *exact(const char *text, size_t length)
{
    char *copy = malloc(length > 0 ? length : 1);
    assert_non_null(copy);
    memcpy(copy, text, length);
    return copy;
}

static bool skips(const char *text, size_t length)
{
    ct_json json;
    char *copy = exact(text, length);
    ct_json_init(&json, copy, length);
    bool good = ct_json_skip(&json) && ct_json_end(&json);
    assert_int_equal(good, json.status == CTRACK_OK);
    free(copy);
    return good;
}

static void test_values_of_rfc_8259_are_accepted(void **state)
{
    (void)state;
    static const char *const good[] = {
        "null",
        " true ",
        "\t\r\nfalse",
        "0",
        "-0",
        "-1",
        "10.5e+3",
        "1E400",
        "1e-7",
        "-0.0",
        "123456789012345678901234567890",
        "\"\"",
        "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0000\\uD834\\udd1e\"",
        "\"\x7F \xC2\x80 \xE2\x82\xAC \xF0\x9F\x98\x80\"",
        "[]",
        "[ ]",
        "{}",
        "{ }",
        "[1,[2,[3,{\"a\":[]}]],{}]",
        "{\"a\":1,\"a\":2}",
        " { \"\" : [ { } , { \"b\" : null } ] } ",
    };
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        if (!skips(good[i], strlen(good[i]))) {
            fail_msg("refused: %s", good[i]);
        }
    }
}

static void test_what_is_not_rfc_8259_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        " ",
        "nul",
        "nulll",
        "True",
        "+1",
        "01",
        "-",
        "-01",
        "1.",
        ".5",
        "1.e3",
        "1e",
        "1e+",
        "0x10",
        "NaN",
        "Infinity",
        "'a'",
        "\"",
        "\"a",
        "\"\\",
        "\"\\\"",
        "\"\\x\"",
        "\"\\u12\"",
        "\"\\u123g\"",
        "\"\\ud800\"",
        "\"\\ud800x\"",
        "\"\\ud800\\n\"",
        "\"\\ud800\\ud800\"",
        "\"\\udc00\"",
        "\"\\ud800\\u",
        "\"a\nb\"",
        "\"\t\"",
        "\"\x80\"",
        "\"\xC0\xAF\"",
        "\"\xED\xA0\x80\"",
        "\"\xF4\x90\x80\x80\"",
        "\"\xF0\x9F\x98\"",
        "\"\xFF\"",
        "[",
        "[1",
        "[1,",
        "[1,]",
        "[,1]",
        "[1 2]",
        "[1}",
        "]",
        "{",
        "{\"a\"",
        "{\"a\":",
        "{\"a\":1",
        "{\"a\":1,",
        "{\"a\":1,}",
        "{\"a\" 1}",
        "{a:1}",
        "{1:1}",
        "{\"a\":1]",
        "{,}",
        "[1]x",
        "[1][2]",
        "1 2",
        "// a\n1",
        "[1/**/]",
        "\xEF\xBB\xBF[]",
        "[1]\v",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (skips(bad[i], strlen(bad[i]))) {
            fail_msg("accepted: %s", bad[i]);
        }
    }
    assert_false(skips("[1]\0", 4));
    assert_false(skips("\0", 1));
    assert_false(skips("\"\0\"", 3));
}

static void test_values_nest_to_the_limit_and_no_deeper(void **state)
{
    (void)state;
    char text[2 * CT_JSON_DEPTH + 4];
    for (size_t depth = CT_JSON_DEPTH; depth <= CT_JSON_DEPTH + 1; depth++) {
        memset(text, '[', depth);
        memset(text + depth, ']', depth);
        assert_int_equal(skips(text, 2 * depth), depth <= CT_JSON_DEPTH);
    }
    /* Objects and arrays in turn, closed by the wrong bracket at every depth. */
    for (size_t wrong = 0; wrong < 8; wrong++) {
        char mixed[] = "[{\"a\":[{\"a\":[{\"a\":[{\"a\":0}]}]}]}]";
        char *close = mixed + strlen(mixed) - 1 - wrong;
        assert_true(skips(mixed, strlen(mixed)));
        *close = *close == ']' ? '}' : ']';
        assert_false(skips(mixed, strlen(mixed)));
    }
}

static void test_a_deep_input_costs_no_stack(void **state)
{
    (void)state;
    size_t length = 8 << 20;
    char *deep = malloc(length);
    assert_non_null(deep);
    memset(deep, '[', length);
    assert_false(skips(deep, length));
    free(deep);
}

static void test_every_beginning_of_a_value_is_refused(void **state)
{
    (void)state;
    static const char whole[] =
        "{\"a\":[1,-2.5e1,\"\\ud834\\udd1e\\n\xE2\x82\xAC\",true,false,null,{\"b\":{}}],\"c\":\"\"}";
    for (size_t length = 0; length < sizeof whole - 1; length++) {
        assert_false(skips(whole, length));
    }
    assert_true(skips(whole, sizeof whole - 1));
}

/* ---------------------------------------------------------------- integers */

static void test_integers_are_exact_over_the_whole_range(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t value;
    } cases[] = {
        {"0", 0},
        {" 7 ", 7},
        {"9007199254740991", INT64_C(9007199254740991)},
        {"9007199254740993", INT64_C(9007199254740993)},
        {"9223372036854775806", INT64_MAX - 1},
        {"9223372036854775807", INT64_MAX},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        ct_json json;
        int64_t value = -1;
        char *copy = exact(cases[i].text, strlen(cases[i].text));
        ct_json_init(&json, copy, strlen(cases[i].text));
        assert_true(ct_json_integer(&json, &value) && ct_json_end(&json));
        assert_true(value == cases[i].value);
        free(copy);
    }
}

static void test_what_is_no_index_is_refused_with_its_reason(void **state)
{
    (void)state;
    static const struct {
        const char *text, *reason;
        size_t offset;
    } cases[] = {
        {"-1", "is negative", 0},
        {" -9223372036854775808", "is negative", 1},
        {"-0", "is -0", 0},
        {"1.0", "is not an integer written as digits only", 0},
        {"1e3", "is not an integer written as digits only", 0},
        {"-1.5", "is not an integer written as digits only", 0},
        {"0E0", "is not an integer written as digits only", 0},
        {"9223372036854775808", "is greater than 9223372036854775807", 0},
        {"18446744073709551616", "is greater than 9223372036854775807", 0},
        {"99999999999999999999999999999999999999", "is greater than 9223372036854775807", 0},
        {"\"5\"", "is a string, not an integer", 0},
        {"null", "is null, not an integer", 0},
        {"true", "is a boolean, not an integer", 0},
        {"[5]", "is an array, not an integer", 0},
        {"{}", "is an object, not an integer", 0},
        {"01", "a number with a leading zero", 0},
        {"-", "a number without digits", 1},
        {"1.", "a number without digits", 2},
        {"+1", "this is not JSON, expected an integer", 0},
        {"", "the text ends here, expected an integer", 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        ct_json json;
        int64_t value = 42;
        char *copy = exact(cases[i].text, strlen(cases[i].text));
        ct_json_init(&json, copy, strlen(cases[i].text));
        assert_false(ct_json_integer(&json, &value));
        assert_int_equal(json.status, CTRACK_FORMAT);
        assert_string_equal(json.reason, cases[i].reason);
        assert_int_equal(json.offset, cases[i].offset);
        assert_true(value == 42);
        free(copy);
    }
}

static void test_digits_are_read_back(void **state)
{
    (void)state;
    static const int64_t values[] = {0, 1, 9, 10, 99, 100, 4294967296, INT64_MAX - 1, INT64_MAX};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        char digits[20], expected[24];
        size_t length = ct_json_digits(digits, values[i]);
        snprintf(expected, sizeof expected, "%lld", (long long)values[i]);
        assert_int_equal(length, strlen(expected));
        assert_memory_equal(digits, expected, length);
    }
    char digits[20];
    assert_int_equal(ct_json_digits(digits, INT64_MIN), 20);
    assert_memory_equal(digits, "-9223372036854775808", 20);
}

/* ---------------------------------------------------------------- strings */

/* Writes text as JSON and reads it back. */
static void assert_round_trip(const char *text, size_t length)
{
    char *bytes = malloc(length * CT_JSON_ESCAPED + 2);
    assert_non_null(bytes);
    bytes[0] = '"';
    size_t written = ct_json_escape(bytes + 1, text, length);
    assert_true(written != SIZE_MAX);
    bytes[written + 1] = '"';
    for (size_t i = 0; i < written + 2; i++) {
        assert_true((unsigned char)bytes[i] >= 0x20 && bytes[i] != 0x7F);
    }
    ct_json json;
    ct_json_text read = {NULL, 0, 0};
    ct_json_init(&json, bytes, written + 2);
    assert_true(ct_json_string(&json, &read, length) && ct_json_end(&json));
    assert_int_equal(read.length, length);
    assert_memory_equal(read.text, text, length);
    assert_int_equal(read.text[length], '\0');
    ct_json_text_free(&read);
    free(bytes);
}

static size_t encode(char *out, unsigned point)
{
    if (point < 0x80) {
        out[0] = (char)point;
        return 1;
    }
    size_t width = point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
    out[0] = (char)((width == 2 ? 0xC0 : width == 3 ? 0xE0 : 0xF0) | (point >> 6 * (width - 1)));
    for (size_t i = 1; i < width; i++) {
        out[i] = (char)(0x80 | ((point >> 6 * (width - 1 - i)) & 0x3F));
    }
    return width;
}

static void test_every_character_survives_a_round_trip(void **state)
{
    (void)state;
    char *text = malloc((size_t)0x1000 * 5);
    assert_non_null(text);
    for (unsigned block = 0; block < 0x110000; block += 0x1000) {
        size_t length = 0;
        for (unsigned point = block; point < block + 0x1000; point++) {
            if (point != 0 && (point < 0xD800 || point > 0xDFFF)) {
                length += encode(text + length, point);
                text[length] = 'x';
                length += point % 3 == 0;
            }
        }
        assert_round_trip(text, length);
    }
    free(text);
}

static void test_every_character_is_read_from_its_escape(void **state)
{
    (void)state;
    for (unsigned point = 1; point < 0x110000; point++) {
        if (point >= 0xD800 && point <= 0xDFFF) {
            continue;
        }
        char bytes[20], expected[4];
        int length = point < 0x10000 ? snprintf(bytes, sizeof bytes, "\"\\u%04x\"", point)
                                     : snprintf(bytes, sizeof bytes, "\"\\u%04X\\u%04x\"",
                                                0xD800 + ((point - 0x10000) >> 10), 0xDC00 + (point & 0x3FF));
        ct_json json;
        ct_json_text read = {NULL, 0, 0};
        ct_json_init(&json, bytes, (size_t)length);
        assert_true(ct_json_string(&json, &read, 4));
        assert_int_equal(read.length, encode(expected, point));
        assert_memory_equal(read.text, expected, read.length);
        ct_json_text_free(&read);
    }
}

static void test_stops_are_found_at_every_place_of_a_word(void **state)
{
    (void)state;
    static const char *const stops[] = {"\"", "\\", "\n", "\x7F", "\x1F", "\xC2\x80", "\xC3\xBF", "\xF0\x9F\x98\x80"};
    for (size_t i = 0; i < sizeof stops / sizeof stops[0]; i++) {
        for (size_t before = 0; before < 20; before++) {
            char text[64];
            size_t width = strlen(stops[i]);
            memset(text, '!', sizeof text); /* 0x21, next to the quote and to the control characters */
            memcpy(text + before, stops[i], width);
            assert_round_trip(text, before + width);
            assert_round_trip(text, before + width + 11);
        }
    }
}

static void test_a_string_may_be_as_long_as_its_limit_and_no_longer(void **state)
{
    (void)state;
    char *bytes = malloc(CTRACK_TEXT_MAX + 3);
    assert_non_null(bytes);
    memset(bytes, 'a', CTRACK_TEXT_MAX + 3);
    bytes[0] = '"';
    for (size_t length = CTRACK_TEXT_MAX; length <= CTRACK_TEXT_MAX + 1; length++) {
        ct_json json;
        ct_json_text read = {NULL, 0, 0};
        bytes[length + 1] = '"';
        ct_json_init(&json, bytes, length + 2);
        bool good = ct_json_string(&json, &read, CTRACK_TEXT_MAX);
        assert_int_equal(good, length <= CTRACK_TEXT_MAX);
        assert_string_equal(json.reason, good ? "" : "is longer than 65535 bytes");
        bytes[length + 1] = 'a';
        ct_json_text_free(&read);
    }
    free(bytes);
}

static void test_bad_text_is_refused_with_its_place(void **state)
{
    (void)state;
    static const struct {
        const char *text, *reason;
        size_t offset;
    } cases[] = {
        {"\"ab\\u0000\"", "has a \\u0000, which text may not hold", 3},
        {"\"ab\\uD800\"", "has half a surrogate pair", 3},
        {"\"ab\\uDC00\\uD800\"", "has half a surrogate pair", 3},
        {"\"\xE2\x82\xAC\xE2\x82\"", "is not valid UTF-8", 4},
        {"\"01234567\x01\"", "has a control character that is not escaped", 9},
        {"\"a\\q\"", "an unknown escape", 2},
        {"\"a\\u00g0\"", "a \\u that four hexadecimal digits do not follow", 2},
        {"\"abc", "the text ends in a string", 4},
        {"\"abc\\", "the text ends in a string", 4},
        {"5", "is a number, not a string", 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        ct_json json;
        ct_json_text read = {NULL, 0, 0};
        char *copy = exact(cases[i].text, strlen(cases[i].text));
        ct_json_init(&json, copy, strlen(cases[i].text));
        assert_false(ct_json_string(&json, &read, 100));
        assert_string_equal(json.reason, cases[i].reason);
        assert_int_equal(json.offset, cases[i].offset);
        ct_json_text_free(&read);
        free(copy);
    }
}

static void test_text_that_is_not_utf8_is_not_written(void **state)
{
    (void)state;
    char out[60];
    assert_true(ct_json_escape(out, "a\x80", 2) == SIZE_MAX);
    assert_true(ct_json_escape(out, "a\xED\xA0\x80", 4) == SIZE_MAX);
    assert_true(ct_json_escape(out, "a\0b", 3) == SIZE_MAX);
    assert_true(ct_json_escape(out, "a\xE2\x82", 3) == SIZE_MAX);
}

/* ---------------------------------------------------------------- records */

static bool record(const char *text, ct_json *json, ct_json_member members[2], bool others)
{
    ct_json_init(json, text, strlen(text));
    return ct_json_record(json, members, 2, others) && ct_json_end(json);
}

static void test_a_record_takes_its_members_in_any_order(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "{\"name\":\"x\",\"index\":5}",
        " { \"index\" : 5 , \"other\" : [ { } ] , \"name\" : \"x\" } ",
        "{\"\\u006eame\":\"\\u0078\",\"name\\u0000\":1,\"index\":5,\"nam\":0,\"names\":0}",
    };
    ct_json_member members[2] = {CT_JSON_TEXT("name"), CT_JSON_INTEGER("index")};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        ct_json json;
        assert_true(record(texts[i], &json, members, true));
        assert_true(members[0].seen && members[1].seen);
        assert_string_equal(members[0].text.text, "x");
        assert_int_equal(members[1].number, 5);
    }
    ct_json json;
    assert_true(record("{}", &json, members, true));
    assert_false(members[0].seen || members[1].seen);
    ct_json_members_free(members, 2);
}

static void test_an_array_that_is_cut_off_lacks_a_value_or_its_end(void **state)
{
    (void)state;
    ct_json json;
    int64_t value = 0;
    ct_json_init(&json, "[", 1);
    assert_true(ct_json_enter(&json, '['));
    assert_true(ct_json_next(&json, NULL));
    assert_false(ct_json_integer(&json, &value));
    assert_string_equal(json.reason, "the text ends here, expected an integer");
    ct_json_init(&json, "[1", 2);
    assert_true(ct_json_enter(&json, '['));
    assert_true(ct_json_next(&json, NULL));
    assert_true(ct_json_integer(&json, &value));
    assert_false(ct_json_next(&json, NULL));
    assert_string_equal(json.reason, "the text ends here, expected ',' or ']'");
}

static void test_a_record_refuses_repeated_and_unknown_members(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
        bool others;
    } cases[] = {
        {"{\"name\":\"x\",\"name\":\"x\"}", "at.name is repeated", true},
        {"{\"name\":\"x\",\"other\":1}", "at: unknown member \"other\"", false},
        {"{\"name\":1}", "at.name is a number, not a string", true},
        {"{\"index\":-1}", "at.index is negative", true},
        {"{\"index\":}", "at.index: this is not JSON, expected an integer", true},
        {"{\"a\\ud800\":1}", "at: a name has half a surrogate pair", true},
        {"{\"a\":\"\xFF\"}", "at: a string is not valid UTF-8", true},
        {"{\"index\":1 \"name\":2}", "at: this is not JSON, expected ',' or '}'", true},
        {"[]", "at is an array, not an object", true},
    };
    ct_json_member members[2] = {CT_JSON_TEXT("name"), CT_JSON_INTEGER("index")};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        ct_json json;
        char message[200];
        assert_false(record(cases[i].text, &json, members, cases[i].others));
        assert_string_equal(ct_json_explain(&json, "at", message, sizeof message), cases[i].message);
    }
    ct_json_members_free(members, 2);
}

static void test_after_a_fault_everything_fails_and_the_fault_stays(void **state)
{
    (void)state;
    static const char text[] = "1 \"a\" 2";
    ct_json json;
    ct_json_text string = {NULL, 0, 0};
    int64_t integer;
    ct_json_init(&json, text, sizeof text - 1);
    ct_json_fail(&json, json.at, "first");
    ct_json_fail(&json, json.at, "second");
    ct_json_fail_value(&json, json.at, "member", "third");
    assert_false(ct_json_string(&json, &string, 10));
    assert_false(ct_json_integer(&json, &integer));
    assert_false(ct_json_enter(&json, '['));
    assert_false(ct_json_next(&json, NULL));
    assert_false(ct_json_skip(&json));
    assert_false(ct_json_end(&json));
    assert_string_equal(json.reason, "first");
    assert_null(json.member);
    assert_ptr_equal(json.at, text);
}

static void test_bad_escapes_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "\"\\u00g0\"",        "\"\\u00_0\"",        "\"\\u00:0\"",         "\"\\u00G0\"",
        "\"\\u00/0\"",        "\"\\uD800 123456\"", "\"\\uD800\\t23456\"", "\"\\uDC00\\uDC00\"",
        "\"\\uD800\\uD800\"", "\"\\uD800\\uE000\"", "\"\\uD800\"",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (skips(bad[i], strlen(bad[i]))) {
            fail_msg("%s is accepted", bad[i]);
        }
    }
    assert_false(skips("\"\\\0\"", 4));
}

static void test_an_escape_counts_towards_the_limit(void **state)
{
    (void)state;
    static const char text[] = "\"\\n\\n\"";
    ct_json json;
    ct_json_text string = {NULL, 0, 0};
    ct_json_init(&json, text, sizeof text - 1);
    assert_false(ct_json_string(&json, &string, 1));
    ct_json_text_free(&string);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values_of_rfc_8259_are_accepted),
        cmocka_unit_test(test_what_is_not_rfc_8259_is_refused),
        cmocka_unit_test(test_values_nest_to_the_limit_and_no_deeper),
        cmocka_unit_test(test_a_deep_input_costs_no_stack),
        cmocka_unit_test(test_every_beginning_of_a_value_is_refused),
        cmocka_unit_test(test_integers_are_exact_over_the_whole_range),
        cmocka_unit_test(test_what_is_no_index_is_refused_with_its_reason),
        cmocka_unit_test(test_digits_are_read_back),
        cmocka_unit_test(test_every_character_survives_a_round_trip),
        cmocka_unit_test(test_every_character_is_read_from_its_escape),
        cmocka_unit_test(test_stops_are_found_at_every_place_of_a_word),
        cmocka_unit_test(test_a_string_may_be_as_long_as_its_limit_and_no_longer),
        cmocka_unit_test(test_bad_text_is_refused_with_its_place),
        cmocka_unit_test(test_text_that_is_not_utf8_is_not_written),
        cmocka_unit_test(test_a_record_takes_its_members_in_any_order),
        cmocka_unit_test(test_an_array_that_is_cut_off_lacks_a_value_or_its_end),
        cmocka_unit_test(test_a_record_refuses_repeated_and_unknown_members),
        cmocka_unit_test(test_after_a_fault_everything_fails_and_the_fault_stays),
        cmocka_unit_test(test_bad_escapes_are_refused),
        cmocka_unit_test(test_an_escape_counts_towards_the_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
