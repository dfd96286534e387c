/* SPDX-License-Identifier: MIT */
/* Snapshots: owned text, sorted entries, each key once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "out_of_memory.h"
#include "snapshot.h"
#include "text.h"

static int add(ctrack_snapshot *snapshot, const ctrack_coordinate *coordinate, int64_t target)
{
    const char *const text[3] = {coordinate->document_id, coordinate->scope, coordinate->branch};
    const size_t length[3] = {strlen(text[0]), strlen(text[1]), strlen(text[2])};
    return ct_snapshot_add(snapshot, text, length, coordinate->operation_index, target);
}

static void test_an_empty_snapshot_has_no_entries(void **state)
{
    (void)state;
    ctrack_snapshot *snapshot = ct_snapshot_new();
    assert_non_null(snapshot);
    assert_int_equal(ct_snapshot_seal(snapshot), 0);
    assert_int_equal(ctrack_snapshot_count(snapshot), 0);
    assert_null(ctrack_snapshot_targets(snapshot));
    ctrack_snapshot_free(snapshot);
    ctrack_snapshot_free(NULL);
}

static void test_entries_are_copied_sorted_and_kept_at_their_highest(void **state)
{
    (void)state;
    ctrack_snapshot *snapshot = ct_snapshot_new();
    assert_non_null(snapshot);
    static const int keys = 3000;
    for (int i = 0; i < 3 * keys; i++) {
        char id[20];
        snprintf(id, sizeof id, "%d", i * 7 % keys);
        const ctrack_coordinate coordinate = {id, "scope", "", i};
        assert_int_equal(add(snapshot, &coordinate, -1), 0);
        memset(id, 'x', sizeof id - 1); /* the caller's text may go */
    }
    assert_int_equal(ct_snapshot_seal(snapshot), 0);
    assert_int_equal(ctrack_snapshot_count(snapshot), keys);
    const ctrack_coordinate *entries = ctrack_snapshot_entries(snapshot);
    for (int i = 0; i < keys; i++) {
        assert_true(i == 0 || ct_text_compare(&entries[i - 1], &entries[i]) < 0);
        assert_true(entries[i].operation_index / keys == 2);
        char id[20];
        snprintf(id, sizeof id, "%d", (int)(entries[i].operation_index * 7 % keys));
        assert_string_equal(entries[i].document_id, id);
    }
    ctrack_snapshot_free(snapshot);
}

static void test_text_is_shared_only_where_it_is_equal(void **state)
{
    (void)state;
    static const char *const scopes[] = {"document", "doc", "documents", "", "document"};
    ctrack_snapshot *snapshot = ct_snapshot_new();
    assert_non_null(snapshot);
    for (int i = 0; i < 5; i++) {
        char id[2] = {(char)('a' + i), '\0'};
        /* Lengths count; what stands behind the text does not. */
        const char *const text[3] = {id, scopes[i], "mainline"};
        const size_t length[3] = {1, strlen(scopes[i]), i % 2 == 0 ? 4 : 8};
        assert_int_equal(ct_snapshot_add(snapshot, text, length, i, -1), 0);
    }
    assert_int_equal(ct_snapshot_seal(snapshot), 0);
    for (int i = 0; i < 5; i++) {
        assert_string_equal(ctrack_snapshot_entries(snapshot)[i].scope, scopes[i]);
        assert_string_equal(ctrack_snapshot_entries(snapshot)[i].branch, i % 2 == 0 ? "main" : "mainline");
    }
    ctrack_snapshot_free(snapshot);
}

static void test_the_longest_text_has_its_place(void **state)
{
    (void)state;
    char *text = malloc(CTRACK_TEXT_MAX + 1);
    assert_non_null(text);
    memset(text, 'x', CTRACK_TEXT_MAX);
    text[CTRACK_TEXT_MAX] = '\0';
    ctrack_snapshot *snapshot = ct_snapshot_new();
    assert_non_null(snapshot);
    for (size_t cut = 0; cut < 4; cut++) {
        const ctrack_coordinate coordinate = {text + cut, text + cut, text + cut, 1};
        assert_int_equal(add(snapshot, &coordinate, -1), 0);
    }
    assert_int_equal(ct_snapshot_seal(snapshot), 0);
    for (size_t i = 0; i < 4; i++) {
        assert_string_equal(ctrack_snapshot_entries(snapshot)[i].branch, text + 3 - i);
    }
    ctrack_snapshot_free(snapshot);
    free(text);
}

static void test_targets_stay_with_their_entries(void **state)
{
    (void)state;
    ctrack_snapshot *snapshot = ct_snapshot_new();
    assert_non_null(snapshot);
    const ctrack_coordinate b = {"b", "", "", -1}, a = {"a", "", "", 4};
    assert_int_equal(add(snapshot, &b, 7), 0);
    assert_int_equal(add(snapshot, &a, 9), 0);
    assert_int_equal(ct_snapshot_seal(snapshot), 0);
    const int64_t *targets = ctrack_snapshot_targets(snapshot);
    assert_non_null(targets);
    assert_int_equal(targets[0], 9);
    assert_int_equal(targets[1], 7);
    ctrack_snapshot_free(snapshot);
}

static void test_a_snapshot_that_was_not_sealed_can_be_freed(void **state)
{
    (void)state;
    ctrack_snapshot *snapshot = ct_snapshot_new();
    assert_non_null(snapshot);
    const ctrack_coordinate coordinate = {"d", "s", "b", 1};
    assert_int_equal(add(snapshot, &coordinate, -1), 0);
    ctrack_snapshot_free(snapshot);
}

/* Each text is so long that it needs memory of its own. */
static void test_an_entry_for_which_there_is_no_memory_is_not_added(void **state)
{
    (void)state;
    static char document[CTRACK_TEXT_MAX + 1], scope[CTRACK_TEXT_MAX + 1], branch[CTRACK_TEXT_MAX + 1];
    memset(document, 'd', CTRACK_TEXT_MAX);
    memset(scope, 's', CTRACK_TEXT_MAX);
    memset(branch, 'b', CTRACK_TEXT_MAX);
    const ctrack_coordinate coordinate = {document, scope, branch, 1};
    long before = memory_blocks();
    long failures = 0;
    MEMORY_SWEEP(at, failed)
    {
        ctrack_snapshot *snapshot = ct_snapshot_new();
        assert_non_null(snapshot);
        memory_fail_after(at);
        int result = add(snapshot, &coordinate, -1);
        failed = memory_has_failed();
        failures += failed;
        assert_int_equal(result, failed ? -1 : 0);
        assert_int_equal(ct_snapshot_seal(snapshot), 0);
        assert_int_equal(ctrack_snapshot_count(snapshot), failed ? 0 : 1);
        ctrack_snapshot_free(snapshot);
        assert_int_equal(memory_blocks(), before);
    }
    assert_int_equal(failures, 4); /* the entry and three texts */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_empty_snapshot_has_no_entries),
        cmocka_unit_test(test_entries_are_copied_sorted_and_kept_at_their_highest),
        cmocka_unit_test(test_text_is_shared_only_where_it_is_equal),
        cmocka_unit_test(test_the_longest_text_has_its_place),
        cmocka_unit_test(test_targets_stay_with_their_entries),
        cmocka_unit_test(test_a_snapshot_that_was_not_sealed_can_be_freed),
        cmocka_unit_test(test_an_entry_for_which_there_is_no_memory_is_not_added),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
