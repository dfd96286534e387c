/* SPDX-License-Identifier: MIT */
/* Runs: made of rows, cut into parts, and searched. */
#include "support.h"

#include <stdlib.h>

#include "run.h"

enum { MOST = 20000 };
static ct_run_row rows[MOST];
static ct_run_entry entries[MOST], scratch[MOST];

/* A row whose key has this place. */
static ct_run_row row(uint32_t place, uint64_t rest, int64_t index)
{
    return (ct_run_row){{(uint64_t)place << 32, rest}, index};
}

static void test_of_each_key_the_highest_index_is_kept(void **state)
{
    (void)state;
    rows[0] = row(7, 1, 4);
    rows[1] = row(5, 1, 9);
    rows[2] = row(7, 1, 6);
    rows[3] = row(7, 1, 5);
    rows[4] = row(5, 1, 8);
    assert_int_equal(ct_run_make(rows, 5, entries, scratch), 2);
    assert_int_equal(entries[0].place, 5);
    assert_int_equal(entries[0].offset, 1);
    assert_int_equal(entries[1].place, 7);
    assert_int_equal(entries[1].offset, 2);
}

static void test_keys_of_one_place_have_an_entry_each(void **state)
{
    (void)state;
    rows[0] = row(7, 1, 4);
    rows[1] = row(7, 2, 3);
    rows[2] = row(7, 1, 9);
    rows[3] = row(7, 3, 0);
    rows[3].key.high |= 1; /* the other half differs, too */
    rows[4] = row(7, 3, 1);
    assert_int_equal(ct_run_make(rows, 5, entries, scratch), 4);
    bool seen[5] = {false};
    for (int i = 0; i < 4; i++) {
        assert_int_equal(entries[i].place, 7);
        seen[entries[i].offset] = true;
    }
    assert_false(seen[0]);
    assert_true(seen[1] && seen[2] && seen[3] && seen[4]);
}

static void test_no_rows_make_no_entries_and_one_part(void **state)
{
    (void)state;
    assert_int_equal(ct_run_make(rows, 0, entries, scratch), 0);
    assert_int_equal(ct_run_parts(0), 1);
    assert_int_equal(ct_run_part_length(entries, 0, 0, 1), 0);
    assert_int_equal(ct_run_search(NULL, 0, 7), 0);
}

static void test_every_part_has_the_places_that_are_looked_for_in_it(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < MOST; i++) {
        rows[i] = row(i * 2654435761U, i, 1);
    }
    rows[0].key.high = 0;
    rows[1].key.high = UINT64_MAX;
    size_t count = ct_run_make(rows, MOST, entries, scratch);
    uint32_t parts = ct_run_parts(count);
    assert_int_equal(count, MOST);
    assert_true(parts > 40);
    size_t start = 0;
    for (uint32_t part = 0; part < parts; part++) {
        size_t length = ct_run_part_length(entries + start, count - start, part, parts);
        unsigned char *bytes = malloc(length * CT_RUN_ENTRY_BYTES);
        assert_true(length > 300 && length < 507);
        ct_run_encode(entries + start, length, bytes);
        for (size_t i = 0; i < length; i++) {
            uint32_t place = entries[start + i].place;
            assert_int_equal(ct_run_part(place, parts), part);
            assert_int_equal(ct_run_search(bytes, length, place), i);
            assert_int_equal(ct_run_decode(bytes, i).offset, entries[start + i].offset);
        }
        free(bytes);
        start += length;
    }
    assert_int_equal(start, MOST);
}

static void test_a_search_finds_the_first_place_that_is_not_below(void **state)
{
    (void)state;
    static const ct_run_entry some[] = {{3, 0}, {5, 1}, {5, 2}, {9, 3}};
    unsigned char bytes[sizeof some];
    ct_run_encode(some, 4, bytes);
    static const struct {
        uint32_t place;
        size_t found;
    } expected[] = {{0, 0}, {3, 0}, {4, 1}, {5, 1}, {6, 3}, {9, 3}, {10, 4}, {UINT32_MAX, 4}};
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        assert_int_equal(ct_run_search(bytes, 4, expected[i].place), expected[i].found);
    }
}

static void test_entries_are_in_little_endian(void **state)
{
    (void)state;
    static const ct_run_entry entry = {0x01020384, 0x050607F8};
    static const unsigned char expected[] = {0x84, 3, 2, 1, 0xF8, 7, 6, 5};
    unsigned char bytes[sizeof expected];
    ct_run_encode(&entry, 1, bytes);
    assert_memory_equal(bytes, expected, sizeof expected);
    assert_int_equal(ct_run_decode(bytes, 0).place, entry.place);
}

/* What is in files stays where it is looked for. */
static void test_a_key_is_what_it_was(void **state)
{
    (void)state;
    ct_run_key a = ct_run_key_of(1, 2, "doc-3", 5), b = ct_run_key_of(1, 3, "doc-3", 5),
               c = ct_run_key_of(2, 2, "doc-3", 5);
    assert_int_equal(ct_run_place(a), 1683582376U);
    assert_true(a.high != b.high && a.low != b.low);
    assert_true(a.high != c.high && a.low != c.low);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_of_each_key_the_highest_index_is_kept),
        cmocka_unit_test(test_keys_of_one_place_have_an_entry_each),
        cmocka_unit_test(test_no_rows_make_no_entries_and_one_part),
        cmocka_unit_test(test_every_part_has_the_places_that_are_looked_for_in_it),
        cmocka_unit_test(test_a_search_finds_the_first_place_that_is_not_below),
        cmocka_unit_test(test_entries_are_in_little_endian),
        cmocka_unit_test(test_a_key_is_what_it_was),
    };
    return SUPPORT_MAIN(argc, argv, "run", tests, NULL);
}
