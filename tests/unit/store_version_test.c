/* SPDX-License-Identifier: MIT */
/* Which versions of SQLite have the WAL-reset bug: 3.7.0 … 3.51.2, but for the branches that it was fixed in. */
#include "support.h"

#include "store.h"

static void assert_exposed(int version, bool exposed)
{
    if (ct_store_version_exposed(version) != exposed) {
        print_error("SQLite %d.%d.%d should count as %s\n", version / 1000000, version / 1000 % 1000, version % 1000,
                    exposed ? "exposed" : "fixed");
        fail();
    }
}

static void test_versions_that_have_the_bug_are_exposed(void **state)
{
    (void)state;
    static const int versions[] = {3007000, 3008012, 3039000, 3040001, 3043002, 3044000, 3044005,
                                   3045000, 3045003, 3049002, 3050000, 3050006, 3051000, 3051002};
    for (size_t i = 0; i < sizeof versions / sizeof versions[0]; i++) {
        assert_exposed(versions[i], true);
    }
}

static void test_versions_in_which_it_is_fixed_are_not_exposed(void **state)
{
    (void)state;
    static const int versions[] = {3044006, 3044007, 3044999, 3050007, 3050008, 3050999,
                                   3051003, 3051004, 3052000, 3053002, 4000000};
    for (size_t i = 0; i < sizeof versions / sizeof versions[0]; i++) {
        assert_exposed(versions[i], false);
    }
}

static void test_versions_before_the_write_ahead_log_are_not_exposed(void **state)
{
    (void)state;
    assert_exposed(3006023, false);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_versions_that_have_the_bug_are_exposed),
        cmocka_unit_test(test_versions_in_which_it_is_fixed_are_not_exposed),
        cmocka_unit_test(test_versions_before_the_write_ahead_log_are_not_exposed),
    };
    return SUPPORT_MAIN(argc, argv, "store version", tests, NULL);
}
