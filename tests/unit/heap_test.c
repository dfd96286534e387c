/* SPDX-License-Identifier: MIT */
/* The pairing heap: its root is the lowest, whatever is added and removed. CTRACK_SEED repeats the random test. */
#include "support.h"

#include <inttypes.h>

#include "heap.h"

/* Fails the test unless the heap below `node` is sound; returns how many nodes it has. */
static size_t check_below(const ct_heap_node *node)
{
    size_t count = 1;
    const ct_heap_node *before = node;
    for (const ct_heap_node *below = node->child; below != NULL; below = below->next) {
        assert_ptr_equal(below->prev, before);
        assert_true(below->rank >= node->rank);
        count += check_below(below);
        before = below;
    }
    return count;
}

static size_t check(const ct_heap_node *root)
{
    if (root == NULL) {
        return 0;
    }
    assert_null(root->prev);
    assert_null(root->next);
    return check_below(root);
}

static void add(ct_heap_node **root, ct_heap_node *node, uint64_t rank)
{
    static uint64_t added;
    node->rank = rank;
    ct_heap_add(root, node, ++added);
}

/* Ten nodes with the ranks 0 … 9; nodes[i] has rank i. The root was removed once, so that the heap has some depth. */
static ct_heap_node *make_ten(ct_heap_node nodes[11])
{
    ct_heap_node *root = NULL;
    static const uint64_t order[] = {5, 3, 9, 0, 7, 1, 8, 2, 6, 4};
    for (int i = 0; i < 10; i++) {
        add(&root, &nodes[order[i]], order[i]);
    }
    add(&root, &nodes[10], 0);
    ct_heap_remove(&root, root);
    if (root == &nodes[10]) { /* of the two with rank 0, the numbered one shall stay */
        add(&root, &nodes[0], 0);
        ct_heap_remove(&root, &nodes[10]);
    }
    assert_int_equal(check(root), 10);
    return root;
}

static void assert_drains_sorted(ct_heap_node *root, size_t count)
{
    uint64_t last = 0;
    for (; count > 0; count--) {
        assert_int_equal(check(root), count);
        assert_true(root->rank >= last);
        last = root->rank;
        ct_heap_remove(&root, root);
    }
    assert_null(root);
}

static void test_an_empty_heap_has_no_root(void **state)
{
    (void)state;
    ct_heap_node *root = NULL, node;
    add(&root, &node, 7);
    assert_ptr_equal(root, &node);
    ct_heap_remove(&root, &node);
    assert_null(root);
}

static void test_the_root_is_the_lowest(void **state)
{
    (void)state;
    ct_heap_node nodes[11];
    ct_heap_node *root = make_ten(nodes);
    assert_ptr_equal(root, &nodes[0]);
    assert_drains_sorted(root, 10);
}

static void test_removing_the_root_makes_the_next_lowest_the_root(void **state)
{
    (void)state;
    ct_heap_node nodes[11];
    ct_heap_node *root = make_ten(nodes);
    for (int i = 0; i < 9; i++) {
        ct_heap_remove(&root, &nodes[i]);
        assert_ptr_equal(root, &nodes[i + 1]);
        assert_int_equal(check(root), (size_t)(9 - i));
    }
}

static void test_any_node_can_be_removed(void **state)
{
    (void)state;
    for (int gone = 1; gone < 10; gone++) {
        ct_heap_node nodes[11];
        ct_heap_node *root = make_ten(nodes);
        ct_heap_remove(&root, &nodes[gone]);
        assert_ptr_equal(root, &nodes[0]);
        assert_drains_sorted(root, 9);
    }
}

static void test_a_node_with_nodes_below_it_can_be_removed(void **state)
{
    (void)state;
    ct_heap_node nodes[11];
    ct_heap_node *root = make_ten(nodes);
    ct_heap_node *middle = root->child;
    while (middle != NULL && middle->child == NULL) {
        middle = middle->next;
    }
    assert_non_null(middle);
    ct_heap_remove(&root, middle);
    assert_drains_sorted(root, 9);
}

static void test_a_node_without_nodes_below_it_can_be_removed(void **state)
{
    (void)state;
    ct_heap_node nodes[11];
    ct_heap_node *root = make_ten(nodes);
    ct_heap_node *leaf = root;
    while (leaf->child != NULL) {
        leaf = leaf->child;
    }
    ct_heap_remove(&root, leaf);
    assert_drains_sorted(root, 9);
}

static void test_a_removed_node_can_be_added_again(void **state)
{
    (void)state;
    ct_heap_node nodes[11];
    ct_heap_node *root = make_ten(nodes);
    for (uint64_t i = 0; i < 10; i++) {
        ct_heap_remove(&root, &nodes[i]);
        assert_null(nodes[i].child);
        assert_null(nodes[i].next);
        assert_null(nodes[i].prev);
        add(&root, &nodes[i], 100 - i);
    }
    assert_ptr_equal(root, &nodes[9]);
    assert_drains_sorted(root, 10);
}

static void test_equal_ranks_all_come_out(void **state)
{
    (void)state;
    enum { COUNT = 100 };
    ct_heap_node nodes[COUNT], *root = NULL;
    for (int i = 0; i < COUNT; i++) {
        add(&root, &nodes[i], 42);
    }
    ct_heap_remove(&root, &nodes[0]);
    assert_int_equal(check(root), COUNT - 1);
    assert_drains_sorted(root, COUNT - 1);
}

static void test_the_highest_rank_stands_behind_all_others(void **state)
{
    (void)state;
    ct_heap_node last, lower, *root = NULL;
    add(&root, &last, UINT64_MAX);
    add(&root, &lower, UINT64_MAX - 1);
    assert_ptr_equal(root, &lower);
    ct_heap_remove(&root, &lower);
    assert_ptr_equal(root, &last);
}

/* ---------------------------------------------------------------- at random, against a sorted list */

enum { NODES = 300 };

typedef struct reference {
    const ct_heap_node *sorted[NODES]; /* by rank */
    size_t count;
} reference;

static void reference_add(reference *r, const ct_heap_node *node)
{
    size_t at_place = r->count++;
    for (; at_place > 0 && r->sorted[at_place - 1]->rank > node->rank; at_place--) {
        r->sorted[at_place] = r->sorted[at_place - 1];
    }
    r->sorted[at_place] = node;
}

static void reference_remove(reference *r, const ct_heap_node *node)
{
    size_t place = 0;
    while (r->sorted[place] != node) {
        place++;
    }
    r->count--;
    for (; place < r->count; place++) {
        r->sorted[place] = r->sorted[place + 1];
    }
}

static void test_it_agrees_with_a_sorted_list_at_random(void **state)
{
    (void)state;
    uint64_t random = environment_number("CTRACK_SEED", (uint64_t)now_ns()) | 1;
    print_message("CTRACK_SEED=%" PRIu64 "\n", random);
    ct_heap_node nodes[NODES], *root = NULL;
    bool in[NODES] = {false};
    reference r = {.count = 0};
    for (int step = 0; step < 20000; step++) {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        size_t i = (size_t)(random % NODES);
        bool lowest = (random >> 32) % 4 == 0 && root != NULL;
        ct_heap_node *node = lowest ? root : &nodes[i];
        i = (size_t)(node - nodes);
        if (in[i]) {
            ct_heap_remove(&root, node);
            reference_remove(&r, node);
        } else {
            add(&root, node, (random >> 40) % 50); /* few ranks, so that many are equal */
            reference_add(&r, node);
        }
        in[i] = !in[i];
        assert_int_equal(root == NULL, r.count == 0);
        assert_true(root == NULL || root->rank == r.sorted[0]->rank);
        if (step % 16 == 0) {
            assert_int_equal(check(root), r.count);
        }
    }
    assert_drains_sorted(root, r.count);
}

/* Else the removal of the root would meet all that was added since the last one. */
static void test_many_additions_leave_few_nodes_below_the_root(void **state)
{
    enum { ADDED = 4096, FEW = 13 };
    static ct_heap_node nodes[ADDED];
    (void)state;
    ct_heap_node *root = NULL;
    for (int i = 0; i < ADDED; i++) {
        nodes[i].rank = (uint64_t)i;
        ct_heap_add(&root, &nodes[i], (uint64_t)i + 1);
    }
    size_t below = 0;
    for (const ct_heap_node *node = root->child; node != NULL; node = node->next) {
        below++;
    }
    assert_in_range(below, 1, FEW);
    assert_int_equal(check(root), ADDED);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_many_additions_leave_few_nodes_below_the_root),
        cmocka_unit_test(test_an_empty_heap_has_no_root),
        cmocka_unit_test(test_the_root_is_the_lowest),
        cmocka_unit_test(test_removing_the_root_makes_the_next_lowest_the_root),
        cmocka_unit_test(test_any_node_can_be_removed),
        cmocka_unit_test(test_a_node_with_nodes_below_it_can_be_removed),
        cmocka_unit_test(test_a_node_without_nodes_below_it_can_be_removed),
        cmocka_unit_test(test_a_removed_node_can_be_added_again),
        cmocka_unit_test(test_equal_ranks_all_come_out),
        cmocka_unit_test(test_the_highest_rank_stands_behind_all_others),
        cmocka_unit_test(test_it_agrees_with_a_sorted_list_at_random),
    };
    return SUPPORT_MAIN(argc, argv, "heap", tests, NULL);
}
