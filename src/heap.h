/* SPDX-License-Identifier: MIT */
#ifndef CT_HEAP_H
#define CT_HEAP_H

/**
 * A pairing heap (Fredman, Sedgewick, Sleator, Tarjan 1986), lowest rank first, whose nodes stand inside the things
 * that are ordered: nothing is allocated, so nothing can fail. Adding is O(1), removing any node O(log n) amortized.
 */
#include <stdint.h>

typedef struct ct_heap_node {
    struct ct_heap_node *child; /* the first of the nodes below this one */
    struct ct_heap_node *next;  /* the next node with the same parent */
    struct ct_heap_node *prev;  /* the one before it; of a first child, the parent; of the root, NULL */
    uint64_t rank;              /* set before adding; not changed while in a heap */
} ct_heap_node;

/**
 * Adds a node; *root is the lowest, NULL if the heap is empty. `nth` counts what is added, to this heap or to several
 * alike: as in a binary counter it says how many of the root's children are paired at once. Without that the first
 * removal after many additions would find them all side by side, and take as long as all of them together.
 */
void ct_heap_add(ct_heap_node **root, ct_heap_node *node, uint64_t nth);
/** Removes a node that is in the heap. */
void ct_heap_remove(ct_heap_node **root, ct_heap_node *node);

#endif
