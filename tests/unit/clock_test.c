/* SPDX-License-Identifier: MIT */
/* Deadlines saturate, and clocks go on. */
#include "support.h"

#include "clock.h"

static void test_a_deadline_is_that_many_milliseconds_away(void **state)
{
    (void)state;
    assert_int_equal(ct_clock_deadline(0, 0), 0);
    assert_int_equal(ct_clock_deadline(5, 0), 5);
    assert_int_equal(ct_clock_deadline(5, 1), 1000005);
    assert_int_equal(ct_clock_deadline(7000000000, 60000), 67000000000);
}

static void test_a_negative_timeout_never_comes(void **state)
{
    (void)state;
    assert_int_equal(ct_clock_deadline(5, CTRACK_FOREVER), CT_NEVER);
    assert_int_equal(ct_clock_deadline(5, INT64_MIN), CT_NEVER);
}

static void test_a_deadline_beyond_the_end_of_time_never_comes(void **state)
{
    (void)state;
    const int64_t most = CT_NEVER / 1000000; /* milliseconds */
    assert_int_equal(ct_clock_deadline(0, INT64_MAX), CT_NEVER);
    assert_int_equal(ct_clock_deadline(0, most + 1), CT_NEVER);
    assert_int_equal(ct_clock_deadline(CT_NEVER, 1), CT_NEVER);
    assert_int_equal(ct_clock_deadline(CT_NEVER - 1, 1), CT_NEVER);
    assert_int_equal(ct_clock_deadline(CT_NEVER - 999999, 1), CT_NEVER);
}

static void test_the_last_deadline_before_the_end_of_time_is_exact(void **state)
{
    (void)state;
    const int64_t most = CT_NEVER / 1000000;
    assert_int_equal(ct_clock_deadline(0, most), most * 1000000);
    assert_int_equal(ct_clock_deadline(CT_NEVER % 1000000, most), CT_NEVER);
    assert_int_equal(ct_clock_deadline(CT_NEVER % 1000000 + 1, most), CT_NEVER);
    assert_int_equal(ct_clock_deadline(CT_NEVER - 1000001, 1), CT_NEVER - 1);
}

static void test_the_monotonic_clock_is_the_system_s_and_does_not_go_back(void **state)
{
    (void)state;
    int64_t before = now_ns(), last = before;
    for (int i = 0; i < 1000; i++) {
        int64_t now = ct_clock_monotonic();
        assert_true(now >= last);
        last = now;
    }
    assert_true(last <= now_ns());
}

static void test_the_wall_clock_counts_milliseconds_since_1970(void **state)
{
    (void)state;
    assert_true(ct_clock_wall() > INT64_C(1700000000000)); /* the end of 2023 */
    assert_true(ct_clock_wall() < INT64_C(10000000000000));
}

static void test_what_is_left_ends_at_zero_and_never_where_there_is_no_end(void **state)
{
    (void)state;
    assert_int_equal(ct_clock_left(1000000, 3999999), 2);
    assert_int_equal(ct_clock_left(5, 5), 0);
    assert_int_equal(ct_clock_left(90000000, 5), 0);
    assert_int_equal(ct_clock_left(0, CT_NEVER), CTRACK_FOREVER);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_deadline_is_that_many_milliseconds_away),
        cmocka_unit_test(test_a_negative_timeout_never_comes),
        cmocka_unit_test(test_a_deadline_beyond_the_end_of_time_never_comes),
        cmocka_unit_test(test_the_last_deadline_before_the_end_of_time_is_exact),
        cmocka_unit_test(test_what_is_left_ends_at_zero_and_never_where_there_is_no_end),
        cmocka_unit_test(test_the_monotonic_clock_is_the_system_s_and_does_not_go_back),
        cmocka_unit_test(test_the_wall_clock_counts_milliseconds_since_1970),
    };
    return SUPPORT_MAIN(argc, argv, "clock", tests, NULL);
}
