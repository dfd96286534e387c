/* SPDX-License-Identifier: MIT */
/* Arrays that grow: sizes that cannot be are refused before they are multiplied. */
#include "support.h"

#include "alloc.h"

static void test_what_fits_stays(void **state)
{
    (void)state;
    void *array = NULL;
    size_t capacity = 0;
    assert_int_equal(ct_grow(&array, &capacity, 1, sizeof(int)), 0);
    void *before = array;
    assert_int_equal(ct_grow(&array, &capacity, capacity, sizeof(int)), 0);
    assert_ptr_equal(array, before);
    ct_free(array);
}

static void test_more_elements_than_can_be_counted_are_refused(void **state)
{
    (void)state;
    void *array = NULL;
    size_t capacity = 0;
    assert_int_equal(ct_grow(&array, &capacity, SIZE_MAX, 1), -1);
    assert_null(array);
    assert_int_equal(capacity, 0);
}

static void test_more_bytes_than_can_be_counted_are_refused(void **state)
{
    (void)state;
    void *array = NULL;
    size_t capacity = 0;
    assert_int_equal(ct_grow(&array, &capacity, SIZE_MAX / 16, 64), -1);
    assert_null(array);
    assert_int_equal(capacity, 0);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_fits_stays),
        cmocka_unit_test(test_more_elements_than_can_be_counted_are_refused),
        cmocka_unit_test(test_more_bytes_than_can_be_counted_are_refused),
    };
    return SUPPORT_MAIN(argc, argv, "alloc", tests, NULL);
}
