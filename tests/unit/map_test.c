/* SPDX-License-Identifier: MIT */
/* The map: what it finds, what it keeps, what it lets go, and what it does when memory runs out. */
#include "support.h"

#include <stdio.h>

#include "map.h"
#include "out_of_memory.h"

static int setup(void **state)
{
    *state = ct_map_new();
    return *state != NULL ? 0 : -1;
}

static int teardown(void **state)
{
    ct_map_free(*state);
    return 0;
}

static ctrack_key key_of(const char *document_id, const char *scope, const char *branch)
{
    return (ctrack_key){document_id, scope, branch};
}

static ct_entry *make(ct_map *map, ctrack_key k)
{
    ct_entry *entry = ct_map_find_or_add(map, &k);
    assert_non_null(entry);
    return entry;
}

static ct_entry *find(ct_map *map, ctrack_key k)
{
    return ct_map_find(map, &k);
}

static size_t entries(const ct_map *map)
{
    size_t count = 0;
    for (ct_entry *entry = NULL; (entry = ct_map_next(map, entry)) != NULL;) {
        count++;
    }
    return count;
}

static void assert_key(const ct_map *map, const ct_entry *entry, ctrack_key k)
{
    size_t length;
    const char *document_id = ct_map_document_of(entry, &length);
    const ct_keyspace *keyspace = ct_map_keyspace_of(map, entry);
    assert_int_equal(length, strlen(k.document_id));
    assert_memory_equal(document_id, k.document_id, length);
    assert_string_equal(keyspace->scope, k.scope);
    assert_string_equal(keyspace->branch, k.branch);
    assert_int_equal(keyspace->scope_length, strlen(k.scope));
    assert_int_equal(keyspace->branch_length, strlen(k.branch));
}

/* ---------------------------------------------------------------- entries */

static void test_an_empty_map_knows_nothing(void **state)
{
    ct_map *map = *state;
    assert_null(find(map, key("a")));
    assert_null(ct_map_next(map, NULL));
    assert_int_equal(ct_map_count(map), 0);
}

static void test_a_new_entry_has_no_progress_and_no_waits(void **state)
{
    ct_map *map = *state;
    const ct_entry *entry = make(map, key("a"));
    assert_int_equal(entry->index, CT_UNSEEN);
    assert_null(entry->waiting);
    assert_int_equal(entry->file_id, 0);
    assert_int_equal(ct_map_count(map), 0);
}

static void test_an_entry_is_found_again_where_it_was(void **state)
{
    ct_map *map = *state;
    const ct_entry *entry = make(map, key("a"));
    make(map, key("b"));
    assert_ptr_equal(find(map, key("a")), entry);
    assert_ptr_equal(make(map, key("a")), entry);
    assert_int_equal(entries(map), 2);
}

static void test_a_key_is_copied(void **state)
{
    ct_map *map = *state;
    char document_id[] = "doc", scope[] = "scope", branch[] = "branch";
    const ct_entry *entry = make(map, key_of(document_id, scope, branch));
    memset(document_id, 'x', 3);
    memset(scope, 'x', 5);
    memset(branch, 'x', 6);
    assert_key(map, entry, key_of("doc", "scope", "branch"));
    assert_ptr_equal(find(map, key_of("doc", "scope", "branch")), entry);
}

static void test_keys_that_would_collide_if_joined_are_different(void **state)
{
    ct_map *map = *state;
    static const ctrack_key keys[] = {
        {"a", "b", "c"},  {"ab", "", "c"},  {"a", "bc", ""},  {"", "ab", "c"},   {"abc", "", ""},
        {"", "", "abc"},  {"", "abc", ""},  {"a:b", "c", ""}, {"a", "b:c", ""},  {"a", "b", ":c"},
        {"a:", "b", "c"}, {"a", ":b", "c"}, {"", "", ""},     {":", "", ""},     {"", ":", ""},
        {"", "", ":"},    {"a", "", "b"},   {"", "a", "b"},   {"a\\", "b", "c"}, {"a", "\\b", "c"},
    };
    enum { COUNT = sizeof keys / sizeof keys[0] };
    ct_entry *made[COUNT];
    for (size_t i = 0; i < COUNT; i++) {
        made[i] = make(map, keys[i]);
        ct_map_set(map, made[i], (int64_t)i);
    }
    assert_int_equal(entries(map), COUNT);
    assert_int_equal(ct_map_count(map), COUNT);
    for (size_t i = 0; i < COUNT; i++) {
        assert_ptr_equal(find(map, keys[i]), made[i]);
        assert_int_equal(made[i]->index, i);
        assert_key(map, made[i], keys[i]);
    }
}

static void test_documents_whose_ids_begin_with_a_keyspace_number_are_different(void **state)
{
    ct_map *map = *state;
    const ct_keyspace *zero = ct_map_keyspace(map, "s", "0");
    for (int i = 0; i < 300; i++) { /* so that all bytes of a number occur */
        char branch[20];
        snprintf(branch, sizeof branch, "%d", i);
        assert_non_null(ct_map_keyspace(map, "s", branch));
    }
    const ct_keyspace *one = ct_map_keyspace(map, "s", "1");
    const ct_entry *a = ct_map_find_or_add_document(map, zero, "\1\0\0\0x", 5);
    const ct_entry *b = ct_map_find_or_add_document(map, one, "x", 1);
    const ct_entry *c = ct_map_find_or_add_document(map, zero, "x", 1);
    assert_true(a != b && b != c && a != c);
    assert_int_equal(entries(map), 3);
}

static void test_a_document_is_found_in_its_keyspace_only(void **state)
{
    ct_map *map = *state;
    const ct_keyspace *main = ct_map_keyspace(map, "document", "main"), *draft = ct_map_keyspace(map, "document", "d");
    const ct_entry *entry = make(map, key("a"));
    assert_ptr_equal(ct_map_find_document(map, main, "abc", 1), entry); /* the length counts */
    assert_ptr_equal(ct_map_find_or_add_document(map, main, "a", 1), entry);
    assert_null(ct_map_find_document(map, draft, "a", 1));
    assert_null(ct_map_find_document(map, main, "ab", 2));
    assert_null(ct_map_find_document(map, main, "", 0));
}

static void test_looking_for_a_key_adds_nothing(void **state)
{
    ct_map *map = *state;
    assert_null(find(map, key_of("a", "new", "space")));
    assert_int_equal(entries(map), 0);
    make(map, key("a"));
    assert_null(find(map, key("b")));
    assert_null(find(map, key_of("a", "document", "other")));
    assert_int_equal(entries(map), 1);
}

static void test_many_keys_are_all_found(void **state)
{
    ct_map *map = *state;
    enum { KEYS = 20000 };
    for (int i = 0; i < KEYS; i++) {
        char document_id[20], branch[20];
        snprintf(document_id, sizeof document_id, "%d", i / 20);
        snprintf(branch, sizeof branch, "%d", i % 20);
        ct_map_set(map, make(map, key_of(document_id, "s", branch)), i);
    }
    assert_int_equal(ct_map_count(map), KEYS);
    assert_int_equal(entries(map), KEYS);
    for (int i = 0; i < KEYS; i++) {
        char document_id[20], branch[20];
        snprintf(document_id, sizeof document_id, "%d", i / 20);
        snprintf(branch, sizeof branch, "%d", i % 20);
        const ct_entry *entry = find(map, key_of(document_id, "s", branch));
        assert_non_null(entry);
        assert_int_equal(entry->index, i);
    }
}

static void test_the_longest_text_makes_a_key(void **state)
{
    ct_map *map = *state;
    char *longest = repeated('x', CTRACK_TEXT_MAX), *shorter = repeated('x', CTRACK_TEXT_MAX - 1);
    const ct_entry *a = make(map, key_of(longest, longest, longest));
    const ct_entry *b = make(map, key_of(shorter, longest, longest));
    assert_ptr_not_equal(a, b);
    assert_key(map, a, key_of(longest, longest, longest));
    assert_ptr_equal(find(map, key_of(longest, longest, longest)), a);
    assert_null(find(map, key_of(longest, longest, shorter)));
    free(longest);
    free(shorter);
}

/* ---------------------------------------------------------------- letting go, counting */

static void test_release_removes_an_entry_without_progress_and_waits(void **state)
{
    ct_map *map = *state;
    make(map, key("b"));
    ct_map_release(map, make(map, key("a")));
    assert_null(find(map, key("a")));
    assert_int_equal(entries(map), 1);
}

static void test_release_of_the_last_entry_leaves_a_map_that_works(void **state)
{
    ct_map *map = *state;
    ct_map_release(map, make(map, key("a")));
    assert_int_equal(entries(map), 0);
    assert_null(find(map, key("a")));
    assert_non_null(make(map, key("a")));
}

static void test_release_keeps_an_entry_with_progress(void **state)
{
    ct_map *map = *state;
    ct_entry *entry = make(map, key("a"));
    ct_map_set(map, entry, 0);
    ct_map_release(map, entry);
    assert_ptr_equal(find(map, key("a")), entry);
}

static void test_release_keeps_a_reserved_entry(void **state)
{
    ct_map *map = *state;
    ct_entry *entry = make(map, key("a"));
    entry->index = CT_RESERVED;
    ct_map_release(map, entry);
    assert_ptr_equal(find(map, key("a")), entry);
}

static void test_release_keeps_an_entry_that_is_waited_for(void **state)
{
    ct_map *map = *state;
    ct_entry *entry = make(map, key("a"));
    ct_heap_node node = {.rank = 1};
    ct_heap_add(&entry->waiting, &node, 1);
    ct_map_release(map, entry);
    assert_ptr_equal(find(map, key("a")), entry);
    ct_heap_remove(&entry->waiting, &node);
    ct_map_release(map, entry);
    assert_null(find(map, key("a")));
}

static void test_the_count_is_of_keys_with_progress(void **state)
{
    ct_map *map = *state;
    ct_entry *a = make(map, key("a")), *b = make(map, key("b"));
    ct_map_set(map, a, 0);
    assert_int_equal(ct_map_count(map), 1);
    ct_map_set(map, a, 7);
    assert_int_equal(ct_map_count(map), 1);
    ct_map_set(map, b, CT_RESERVED);
    assert_int_equal(ct_map_count(map), 1);
    ct_map_set(map, b, INT64_MAX);
    assert_int_equal(ct_map_count(map), 2);
    ct_map_set(map, a, CT_UNSEEN);
    assert_int_equal(ct_map_count(map), 1);
    ct_map_set(map, a, CT_UNSEEN);
    assert_int_equal(ct_map_count(map), 1);
}

static void test_entries_may_be_released_while_going_through_them(void **state)
{
    ct_map *map = *state;
    for (int i = 0; i < 1000; i++) {
        char document_id[20];
        snprintf(document_id, sizeof document_id, "%d", i);
        ct_entry *entry = make(map, key(document_id));
        ct_map_set(map, entry, i % 3 == 0 ? i : CT_UNSEEN);
    }
    ct_entry *next;
    for (ct_entry *entry = ct_map_next(map, NULL); entry != NULL; entry = next) {
        next = ct_map_next(map, entry);
        ct_map_release(map, entry);
    }
    assert_int_equal(entries(map), 334);
    assert_int_equal(ct_map_count(map), 334);
}

/* ---------------------------------------------------------------- keyspaces and bindings */

static void test_a_keyspace_is_kept_once(void **state)
{
    ct_map *map = *state;
    ct_keyspace *main = ct_map_keyspace(map, "document", "main"), *other = ct_map_keyspace(map, "document", "other");
    assert_non_null(main);
    assert_ptr_not_equal(main, other);
    assert_ptr_equal(ct_map_keyspace(map, "document", "main"), main);
    assert_ptr_equal(ct_map_keyspace_of(map, make(map, key("a"))), main);
    assert_int_equal(main->file_id, 0);
    assert_int_not_equal(main->number, other->number);
}

static void test_keyspaces_that_would_collide_if_joined_are_different(void **state)
{
    ct_map *map = *state;
    static const char *const texts[][2] = {{"ab", ""}, {"a", "b"}, {"", "ab"}, {"", ""}, {"ab", "ab"}, {"aba", "b"}};
    for (size_t i = 0; i < 6; i++) {
        const ct_keyspace *keyspace = ct_map_keyspace(map, texts[i][0], texts[i][1]);
        assert_non_null(keyspace);
        assert_int_equal(keyspace->number, i);
        assert_string_equal(keyspace->scope, texts[i][0]);
        assert_string_equal(keyspace->branch, texts[i][1]);
    }
}

static void test_many_keyspaces_stay_where_they_are(void **state)
{
    ct_map *map = *state;
    enum { COUNT = 3000 };
    ct_keyspace *made[COUNT];
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < COUNT; i++) {
            char scope[20];
            snprintf(scope, sizeof scope, "scope-%d", i);
            ct_keyspace *keyspace = ct_map_keyspace(map, scope, "main");
            assert_non_null(keyspace);
            if (round == 0) {
                made[i] = keyspace;
            }
            assert_ptr_equal(keyspace, made[i]);
            assert_string_equal(keyspace->scope, scope);
        }
    }
}

static void test_a_binding_says_what_an_id_of_the_file_stands_for(void **state)
{
    ct_map *map = *state;
    ct_keyspace *main = ct_map_keyspace(map, "document", "main"), *found = UNTOUCHED;
    assert_false(ct_map_bound(map, 7, &found));
    assert_ptr_equal(found, UNTOUCHED);
    assert_int_equal(ct_map_bind(map, 7, main), 0);
    assert_true(ct_map_bound(map, 7, &found));
    assert_ptr_equal(found, main);
    assert_int_equal(main->file_id, 7);
    assert_false(ct_map_bound(map, 8, &found));
}

static void test_an_id_of_another_read_model_is_bound_to_nothing(void **state)
{
    ct_map *map = *state;
    ct_keyspace *found = UNTOUCHED;
    assert_int_equal(ct_map_bind(map, 7, NULL), 0);
    assert_true(ct_map_bound(map, 7, &found));
    assert_null(found);
}

static void test_many_bindings_are_all_found(void **state)
{
    ct_map *map = *state;
    for (int64_t i = 1; i <= 2000; i++) {
        char branch[20];
        snprintf(branch, sizeof branch, "%d", (int)i);
        assert_int_equal(ct_map_bind(map, i * 1000003, i % 5 == 0 ? NULL : ct_map_keyspace(map, "s", branch)), 0);
    }
    for (int64_t i = 2000; i >= 1; i--) {
        ct_keyspace *found = UNTOUCHED;
        assert_true(ct_map_bound(map, i * 1000003, &found));
        assert_int_equal(found == NULL, i % 5 == 0);
        assert_true(found == NULL || found->file_id == i * 1000003);
        assert_false(ct_map_bound(map, i * 1000003 + 1, &found));
    }
}

/* ---------------------------------------------------------------- out of memory */

static void test_making_a_map_without_memory_fails_and_leaks_nothing(void **state)
{
    (void)state;
    long before = memory_blocks();
    MEMORY_SWEEP(at_allocation, failed)
    {
        memory_fail_after(at_allocation);
        ct_map *map = ct_map_new();
        failed = memory_has_failed();
        assert_int_equal(map == NULL, failed);
        ct_map_free(map);
        assert_int_equal(memory_blocks(), before);
    }
}

static ctrack_key numbered(int i, char text[3][40])
{
    snprintf(text[0], 40, "document-%d", i);
    snprintf(text[1], 40, "scope-%d", i / 50);
    snprintf(text[2], 40, "branch-%d", i / 10);
    return (ctrack_key){text[0], text[1], text[2]};
}

enum { SWEPT = 1200 };

/* Every key up to `count` is there, with its number as its progress; nothing else is. */
static void assert_intact(ct_map *map, int count)
{
    char text[3][40];
    assert_int_equal(ct_map_count(map), count);
    assert_int_equal(entries(map), count);
    for (int i = 0; i < count; i++) {
        ctrack_key k = numbered(i, text);
        const ct_entry *entry = find(map, k);
        assert_non_null(entry);
        assert_int_equal(entry->index, i);
        assert_key(map, entry, k);
    }
}

/*
 * Adds keys one after the other, each in new and old keyspaces, and lets each single allocation of each of them fail
 * once: of the entry, the keyspace, and of growing the tables. After each failure all is as before, or the key is there
 * in a table that has stayed as large as it was.
 */
static void test_adding_a_key_without_memory_changes_nothing(void **state)
{
    (void)state;
    long before = memory_blocks();
    ct_map *map = ct_map_new();
    int failures = 0;
    char text[3][40];
    for (int i = 0; i < SWEPT; i++) {
        ctrack_key k = numbered(i, text);
        MEMORY_SWEEP(at_allocation, failed)
        {
            memory_fail_after(at_allocation);
            ct_entry *entry = ct_map_find_or_add(map, &k);
            failed = memory_has_failed();
            failures += failed;
            assert_true(entry != NULL || failed);
            if (entry == NULL) {
                assert_null(find(map, k));
                assert_int_equal(entries(map), i);
            } else {
                ct_map_set(map, entry, i);
            }
        }
        if (i < 40 || i % 100 == 0) {
            assert_intact(map, i + 1);
        }
    }
    assert_true(failures > SWEPT);
    assert_intact(map, SWEPT);
    ct_map_free(map);
    assert_int_equal(memory_blocks(), before);
}

static void test_making_a_keyspace_without_memory_changes_nothing(void **state)
{
    (void)state;
    long before = memory_blocks();
    ct_map *map = ct_map_new();
    ct_keyspace *made[200];
    for (int i = 0; i < 200; i++) {
        char scope[20];
        snprintf(scope, sizeof scope, "%d", i);
        MEMORY_SWEEP(at_allocation, failed)
        {
            memory_fail_after(at_allocation);
            made[i] = ct_map_keyspace(map, scope, "main");
            failed = memory_has_failed();
            assert_int_equal(made[i] == NULL, failed);
        }
        assert_int_equal(made[i]->number, i); /* what failed has taken no number */
    }
    for (int i = 0; i < 200; i++) {
        assert_ptr_equal(ct_map_keyspace(map, made[i]->scope, "main"), made[i]);
    }
    ct_map_free(map);
    assert_int_equal(memory_blocks(), before);
}

static void test_binding_without_memory_changes_nothing(void **state)
{
    (void)state;
    long before = memory_blocks();
    ct_map *map = ct_map_new();
    ct_keyspace *keyspace = ct_map_keyspace(map, "s", "b");
    for (int64_t i = 1; i <= 500; i++) {
        ct_keyspace *found;
        keyspace->file_id = 0;
        MEMORY_SWEEP(at_allocation, failed)
        {
            memory_fail_after(at_allocation);
            int result = ct_map_bind(map, i, keyspace);
            failed = memory_has_failed();
            assert_int_equal(result, failed ? -1 : 0);
            assert_int_equal(keyspace->file_id, failed ? 0 : i);
            assert_int_equal(ct_map_bound(map, i, &found), !failed);
        }
        for (int64_t earlier = 1; earlier <= i; earlier += 7) {
            assert_true(ct_map_bound(map, earlier, &found));
        }
    }
    ct_map_free(map);
    assert_int_equal(memory_blocks(), before);
}

/* The buffer in which keys are put together is as long as the longest key that is there. */
static void test_looking_for_a_key_that_is_there_needs_no_memory(void **state)
{
    ct_map *map = *state;
    char *longest = repeated('x', CTRACK_TEXT_MAX);
    ctrack_key k = key_of(longest, "document", longest);
    const ct_entry *entry = make(map, k);
    make(map, key("a"));
    memory_fail_after(0);
    const ct_entry *found = find(map, k), *added = ct_map_find_or_add(map, &k);
    assert_false(memory_has_failed());
    assert_ptr_equal(found, entry);
    assert_ptr_equal(added, entry);
    free(longest);
}

static void test_looking_for_a_key_that_was_loaded_needs_no_memory(void **state)
{
    ct_map *map = *state;
    char *longest = repeated('x', CTRACK_TEXT_MAX);
    ctrack_key k = key_of(longest, "document", "main");
    ct_entry *entry = NULL;
    size_t repetitions;
    const ct_keyspace *keyspace = ct_map_keyspace(map, k.scope, k.branch);
    assert_int_equal(ct_map_load(map, keyspace, longest, CTRACK_TEXT_MAX, 7, 0, &entry), 0);
    assert_int_equal(ct_map_load_end(map, &repetitions), 0);
    memory_fail_after(0);
    const ct_entry *found = find(map, k);
    assert_false(memory_has_failed());
    assert_ptr_equal(found, entry);
    free(longest);
}

static void test_releasing_needs_no_memory(void **state)
{
    ct_map *map = *state;
    char text[3][40];
    for (int i = 0; i < 500; i++) {
        make(map, numbered(i, text));
    }
    memory_fail_after(0);
    for (int i = 0; i < 500; i++) {
        ct_map_release(map, find(map, numbered(i, text)));
    }
    assert_false(memory_has_failed());
    assert_int_equal(entries(map), 0);
}

/* ---------------------------------------------------------------- many keys at once */

static void load_numbered(ct_map *map, int number, int64_t index, int64_t file_id, ct_entry **entry)
{
    char text[3][40];
    ctrack_key k = numbered(number, text);
    ct_keyspace *keyspace = ct_map_keyspace(map, k.scope, k.branch);
    assert_non_null(keyspace);
    assert_int_equal(ct_map_load(map, keyspace, k.document_id, strlen(k.document_id), index, file_id, entry), 0);
}

/* Also with a few keys that do not fill the list of those under way, and with other numbers of them than announced. */
static void test_loaded_keys_are_all_found_where_they_were_said_to_be(void **state)
{
    static ct_entry *given[1000];
    static const int counts[] = {1, CT_MAP_AHEAD - 1, CT_MAP_AHEAD, CT_MAP_AHEAD + 1, 1000};
    (void)state;
    for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) {
        size_t repeated = 99;
        ct_map *map = ct_map_new();
        ct_map_load_begin(map, c * 200);
        for (int i = 0; i < counts[c]; i++) {
            load_numbered(map, i, i, i + 7, &given[i]);
        }
        assert_int_equal(ct_map_load_end(map, &repeated), 0);
        assert_int_equal(repeated, 0);
        assert_int_equal(ct_map_count(map), counts[c]);
        assert_int_equal(entries(map), counts[c]);
        for (int i = 0; i < counts[c]; i++) {
            char text[3][40];
            assert_ptr_equal(find(map, numbered(i, text)), given[i]);
            assert_int_equal(given[i]->index, i);
            assert_int_equal(given[i]->file_id, i + 7);
        }
        ct_map_free(map);
    }
}

static void test_a_key_that_is_loaded_twice_keeps_the_higher_progress(void **state)
{
    ct_map *map = *state;
    ct_entry *entry;
    size_t repeated;
    char text[3][40];
    load_numbered(map, 1, 5, 11, &entry);
    load_numbered(map, 2, 5, 12, NULL);
    load_numbered(map, 1, 4, 0, NULL);
    load_numbered(map, 2, 6, 0, NULL);
    assert_int_equal(ct_map_load_end(map, &repeated), 0);
    assert_int_equal(repeated, 2);
    assert_int_equal(entries(map), 2);
    assert_int_equal(ct_map_count(map), 2);
    assert_ptr_equal(find(map, numbered(1, text)), entry);
    assert_int_equal(entry->index, 5);
    assert_int_equal(entry->file_id, 11);
    assert_int_equal(find(map, numbered(2, text))->index, 6);
    assert_int_equal(find(map, numbered(2, text))->file_id, 12);
}

static void test_many_keys_are_found_at_once(void **state)
{
    ct_map *map = *state;
    size_t repeated;
    ct_entry *found[6];
    char text[3][40];
    ctrack_key one = numbered(1, text);
    const ctrack_coordinate coordinates[] = {{one.document_id, one.scope, one.branch, 0},
                                             {"never seen", one.scope, one.branch, 0},
                                             {one.document_id, "never seen", one.branch, 0},
                                             {NULL, one.scope, one.branch, 0},
                                             {one.document_id, NULL, NULL, -1},
                                             {one.document_id, one.scope, NULL, 0}};
    ct_map_find_many(map, coordinates, 6, found);
    assert_null(found[0]); /* the map is empty */
    load_numbered(map, 1, 5, 11, NULL);
    assert_int_equal(ct_map_load_end(map, &repeated), 0);
    ct_map_find_many(map, coordinates, 6, found);
    assert_ptr_equal(found[0], find(map, one));
    for (int i = 1; i < 6; i++) {
        assert_null(found[i]);
    }
    assert_int_equal(entries(map), 1);
}

static void test_loading_without_memory_says_so_and_leaks_nothing(void **state)
{
    (void)state;
    long before = memory_blocks();
    int refused = 0;
    MEMORY_SWEEP(at_allocation, failed)
    {
        ct_map *map = ct_map_new();
        ct_keyspace *keyspace = ct_map_keyspace(map, "scope", "branch");
        int result = 0;
        size_t repeated;
        char id[20];
        memory_fail_after(at_allocation);
        for (int i = 0; i < 3 * CT_MAP_AHEAD + 1 && result == 0; i++) {
            result = ct_map_load(map, keyspace, id, (size_t)snprintf(id, sizeof id, "%d", i), i, i + 1, NULL);
        }
        result = result == 0 ? ct_map_load_end(map, &repeated) : result;
        failed = memory_has_failed();
        assert_true(result == 0 || failed);
        refused += result == -1;
        ct_map_free(map);
    }
    assert_true(refused > 3 * CT_MAP_AHEAD); /* only for growing the table memory may lack */
    assert_int_equal(memory_blocks(), before);
}

static void test_loading_works_without_memory_for_a_large_table(void **state)
{
    (void)state;
    MEMORY_SWEEP(at_allocation, failed)
    {
        ct_map *map = ct_map_new();
        ct_keyspace *keyspace = ct_map_keyspace(map, "scope", "branch");
        size_t repeated;
        int result = ct_map_load(map, keyspace, "a", 1, 1, 1, NULL);
        assert_int_equal(result, 0);
        assert_int_equal(ct_map_load_end(map, &repeated), 0); /* the small table is there */
        ct_map_load_begin(map, 100000);
        result = ct_map_load(map, keyspace, "b", 1, 2, 2, NULL);
        memory_fail_after(at_allocation);
        result = result == 0 ? ct_map_load_end(map, &repeated) : result;
        failed = memory_has_failed();
        assert_int_equal(result, 0);
        assert_int_equal(entries(map), 2);
        ct_map_free(map);
    }
}

#define MAP_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        MAP_TEST(test_an_empty_map_knows_nothing),
        MAP_TEST(test_a_new_entry_has_no_progress_and_no_waits),
        MAP_TEST(test_an_entry_is_found_again_where_it_was),
        MAP_TEST(test_a_key_is_copied),
        MAP_TEST(test_keys_that_would_collide_if_joined_are_different),
        MAP_TEST(test_documents_whose_ids_begin_with_a_keyspace_number_are_different),
        MAP_TEST(test_a_document_is_found_in_its_keyspace_only),
        MAP_TEST(test_looking_for_a_key_adds_nothing),
        MAP_TEST(test_many_keys_are_all_found),
        MAP_TEST(test_the_longest_text_makes_a_key),
        MAP_TEST(test_release_removes_an_entry_without_progress_and_waits),
        MAP_TEST(test_release_of_the_last_entry_leaves_a_map_that_works),
        MAP_TEST(test_release_keeps_an_entry_with_progress),
        MAP_TEST(test_release_keeps_a_reserved_entry),
        MAP_TEST(test_release_keeps_an_entry_that_is_waited_for),
        MAP_TEST(test_the_count_is_of_keys_with_progress),
        MAP_TEST(test_entries_may_be_released_while_going_through_them),
        MAP_TEST(test_a_keyspace_is_kept_once),
        MAP_TEST(test_keyspaces_that_would_collide_if_joined_are_different),
        MAP_TEST(test_many_keyspaces_stay_where_they_are),
        MAP_TEST(test_a_binding_says_what_an_id_of_the_file_stands_for),
        MAP_TEST(test_an_id_of_another_read_model_is_bound_to_nothing),
        MAP_TEST(test_many_bindings_are_all_found),
        cmocka_unit_test(test_making_a_map_without_memory_fails_and_leaks_nothing),
        cmocka_unit_test(test_adding_a_key_without_memory_changes_nothing),
        cmocka_unit_test(test_making_a_keyspace_without_memory_changes_nothing),
        cmocka_unit_test(test_binding_without_memory_changes_nothing),
        cmocka_unit_test(test_loaded_keys_are_all_found_where_they_were_said_to_be),
        MAP_TEST(test_a_key_that_is_loaded_twice_keeps_the_higher_progress),
        MAP_TEST(test_loading_works_without_memory_for_a_large_table),
        MAP_TEST(test_many_keys_are_found_at_once),
        cmocka_unit_test(test_loading_without_memory_says_so_and_leaks_nothing),
        MAP_TEST(test_looking_for_a_key_that_is_there_needs_no_memory),
        MAP_TEST(test_looking_for_a_key_that_was_loaded_needs_no_memory),
        MAP_TEST(test_releasing_needs_no_memory),
    };
    return SUPPORT_MAIN(argc, argv, "map", tests, NULL);
}
