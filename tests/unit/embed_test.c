/* SPDX-License-Identifier: MIT */

/* The build embeds migrations byte for byte. Linked with the files of tests/unit/embed/ instead of the library's own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "migrations.h"

/* Fails unless the file's text is `sql`. */
static void assert_is_file(const char *name, const char *sql)
{
    char path[1000];
    snprintf(path, sizeof path, "%s/%s.sql", EMBED_DIRECTORY, name);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    char text[16384];
    size_t length = fread(text, 1, sizeof text, file);
    assert_true(feof(file));
    fclose(file);
    assert_int_equal(strlen(sql), length);
    assert_memory_equal(sql, text, length);
}

static void test_migrations_are_numbered_in_order(void **state)
{
    (void)state;
    assert_int_equal(ct_migrations_count, 2);
    for (int i = 0; i < ct_migrations_count; i++) {
        assert_int_equal(ct_migrations[i].version, i + 1);
    }
    assert_string_equal(ct_migrations[0].name, "0001_odd");
    assert_string_equal(ct_migrations[1].name, "0002_long");
}

static void test_text_survives_quotes_brackets_semicolons_and_backslashes(void **state)
{
    (void)state;
    assert_is_file("0001_odd", ct_migrations[0].sql);
}

static void test_text_may_be_longer_than_a_string_literal(void **state)
{
    (void)state;
    assert_true(strlen(ct_migrations[1].sql) > 4095);
    assert_is_file("0002_long", ct_migrations[1].sql);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_migrations_are_numbered_in_order),
        cmocka_unit_test(test_text_survives_quotes_brackets_semicolons_and_backslashes),
        cmocka_unit_test(test_text_may_be_longer_than_a_string_literal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
