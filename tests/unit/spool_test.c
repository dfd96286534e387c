/* SPDX-License-Identifier: MIT */
/* The spool: rows of a dump kept aside, and read as often as it takes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "spool.h"

/* More than one piece of 64 KiB. */
enum { ROWS = 8000, SCOPES = 8 };

static ct_dump_row row_at(int i, char document[40], char scope[20])
{
    snprintf(document, 40, "document-%030d", i);
    snprintf(scope, 20, "scope-%d", i / (ROWS / SCOPES));
    ct_dump_row row = {.operation_index = i};
    row.text[CT_DUMP_READ_MODEL] = "model";
    row.text[CT_DUMP_SCOPE] = scope;
    row.text[CT_DUMP_BRANCH] = "main";
    row.text[CT_DUMP_DOCUMENT_ID] = document;
    for (int t = 0; t < CT_DUMP_TEXTS; t++) {
        row.length[t] = strlen(row.text[t]);
    }
    return row;
}

static void fill(ct_spool *spool)
{
    for (int i = 0; i < ROWS; i++) {
        char document[40], scope[20];
        ct_dump_row row = row_at(i, document, scope);
        assert_int_equal(ct_spool_add(spool, &row, NULL), CTRACK_OK);
    }
}

static void assert_next_rows(ct_spool *spool, int count)
{
    const ct_dump_row *row;
    int first;
    for (int i = 0; i < count; i++) {
        char document[40], scope[20];
        ct_dump_row expected = row_at(i, document, scope);
        assert_int_equal(ct_spool_next(spool, &row, &first, NULL), CTRACK_OK);
        assert_non_null(row);
        for (int t = 0; t < CT_DUMP_TEXTS; t++) {
            assert_string_equal(row->text[t], expected.text[t]);
            assert_int_equal(row->length[t], expected.length[t]);
        }
        assert_int_equal(row->operation_index, i);
    }
}

static void assert_end(ct_spool *spool)
{
    const ct_dump_row *row;
    int first;
    assert_int_equal(ct_spool_next(spool, &row, &first, NULL), CTRACK_OK);
    assert_null(row);
}

static void test_rows_are_read_as_they_were_added(void **state)
{
    (void)state;
    ct_spool *spool;
    assert_int_equal(ct_spool_new(&spool, NULL), CTRACK_OK);
    fill(spool);
    assert_int_equal(ct_spool_rewind(spool, NULL), CTRACK_OK);
    assert_next_rows(spool, ROWS);
    assert_end(spool);
    ct_spool_free(spool);
}

static void test_rows_are_read_again_wherever_the_reading_was_given_up(void **state)
{
    (void)state;
    static const int given_up_after[] = {0, 1, ROWS / 2, ROWS};
    ct_spool *spool;
    assert_int_equal(ct_spool_new(&spool, NULL), CTRACK_OK);
    fill(spool);
    for (size_t i = 0; i < sizeof given_up_after / sizeof given_up_after[0]; i++) {
        assert_int_equal(ct_spool_rewind(spool, NULL), CTRACK_OK);
        assert_next_rows(spool, given_up_after[i]);
    }
    assert_int_equal(ct_spool_rewind(spool, NULL), CTRACK_OK);
    assert_next_rows(spool, ROWS);
    assert_end(spool);
    ct_spool_free(spool);
}

static void test_an_empty_spool_has_its_end_each_time(void **state)
{
    (void)state;
    ct_spool *spool;
    assert_int_equal(ct_spool_new(&spool, NULL), CTRACK_OK);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(ct_spool_rewind(spool, NULL), CTRACK_OK);
        assert_end(spool);
    }
    ct_spool_free(spool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows_are_read_as_they_were_added),
        cmocka_unit_test(test_rows_are_read_again_wherever_the_reading_was_given_up),
        cmocka_unit_test(test_an_empty_spool_has_its_end_each_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
