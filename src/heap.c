/* SPDX-License-Identifier: MIT */
#include "heap.h"

#include <stdbool.h>
#include <stddef.h>

/* Makes the higher of two roots the first child of the lower. Of equal ranks `a` stays on top. */
static ct_heap_node *meld(ct_heap_node *a, ct_heap_node *b)
{
    if (a == NULL || b == NULL) {
        return a == NULL ? b : a;
    }
    if (b->rank < a->rank) {
        ct_heap_node *lower = b;
        b = a;
        a = lower;
    }
    b->next = a->child;
    b->prev = a;
    if (a->child != NULL) {
        a->child->prev = b;
    }
    a->child = b;
    return a;
}

/* One heap of a list of siblings: pairs from left to right, then all pairs from right to left. */
static ct_heap_node *meld_siblings(ct_heap_node *first)
{
    ct_heap_node *pairs = NULL; /* linked through next, rightmost first */
    while (first != NULL) {
        ct_heap_node *second = first->next;
        ct_heap_node *rest = second != NULL ? second->next : NULL;
        first->next = NULL;
        if (second != NULL) {
            second->next = NULL;
        }
        ct_heap_node *pair = meld(first, second);
        pair->next = pairs;
        pairs = pair;
        first = rest;
    }
    ct_heap_node *all = NULL;
    while (pairs != NULL) {
        ct_heap_node *rest = pairs->next;
        pairs->next = NULL;
        all = meld(pairs, all);
        pairs = rest;
    }
    if (all != NULL) {
        all->prev = NULL;
    }
    return all;
}

/* Makes one child of the root's first two. False: it has fewer. */
static bool pair_first(ct_heap_node *root)
{
    ct_heap_node *first = root->child, *second = first != NULL ? first->next : NULL;
    if (second == NULL) {
        return false;
    }
    ct_heap_node *rest = second->next;
    first->next = NULL;
    second->next = NULL;
    ct_heap_node *pair = meld(first, second);
    pair->prev = root;
    pair->next = rest;
    if (rest != NULL) {
        rest->prev = pair;
    }
    root->child = pair;
    return true;
}

void ct_heap_add(ct_heap_node **root, ct_heap_node *node, uint64_t nth)
{
    node->child = NULL;
    node->next = NULL;
    node->prev = NULL;
    *root = meld(*root, node);
    for (; nth % 2 == 0 && pair_first(*root); nth /= 2) {
    }
}

void ct_heap_remove(ct_heap_node **root, ct_heap_node *node)
{
    ct_heap_node *below = meld_siblings(node->child);
    if (node == *root) {
        *root = below;
    } else {
        if (node->prev->child == node) {
            node->prev->child = node->next;
        } else {
            node->prev->next = node->next;
        }
        if (node->next != NULL) {
            node->next->prev = node->prev;
        }
        *root = meld(*root, below);
    }
    node->child = NULL;
    node->next = NULL;
    node->prev = NULL;
}
