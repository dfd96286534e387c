/* SPDX-License-Identifier: MIT */
#ifndef CT_WAITSET_H
#define CT_WAITSET_H

/**
 * The wait set: who waits for what, and who has got there. A pure core: it is told the time, and never asks a clock,
 * takes a lock, allocates or does I/O. The board's lock guards all of it.
 *
 * A wait has an item for each of its coordinates. While the wait is pending an item is either *missing*, and then
 * stands in its entry's heap by target, or *reached*. A wait with no missing items is satisfied. An update looks only
 * at the top of its entries' heaps, so it costs the same however many other waits are pending.
 *
 * A wait that ends without success keeps its missing items in the heaps, with the highest rank of all, so that they are
 * never looked at but keep their entries alive: whoever owns the wait may still ask what was missing
 * (ct_wait_release_items() ends that).
 *
 * States: fresh → pending (ct_waitset_add) → settled (ct_waitset_settle, the one place). Settling moves the wait from
 * the set to the caller's list, in order; what then becomes of it is the promise's business.
 */
#include <stdatomic.h>

#include "ctrack.h"
#include "heap.h"
#include "map.h"

typedef struct ct_wait_item {
    ct_heap_node node; /* first. rank: the target while missing, or one of the two below */
    ct_entry *entry;   /* NULL once nothing is to be said about it */
    int64_t target;    /* the index that is waited for */
    union {
        struct ct_wait *wait; /* while pending */
        int64_t index_at_end; /* once ended: the progress there was, or CT_UNSEEN */
    };
} ct_wait_item;

#define CT_RANK_REACHED (UINT64_MAX - 1) /**< not in a heap */
#define CT_RANK_ENDED UINT64_MAX         /**< in the heap, behind all that are pending */

typedef struct ct_wait {
    ct_heap_node deadline;       /* first. rank: the deadline, in the set's heap unless CT_NEVER */
    struct ct_wait *next, *prev; /* pending: neighbours in the set; later: the board's lists */
    int64_t since;               /* when it was added, monotonic nanoseconds */
    uint32_t count, missing;     /* items, and how many of them are missing */
    _Atomic(int) status;         /* a ctrack_status. Written under the lock, once; read by anybody. */
    ct_wait_item items[];
} ct_wait;

/** Waits that have settled, in order, linked by `next`. */
typedef struct ct_settled {
    ct_wait *first, *last;
} ct_settled;

typedef struct ct_waitset {
    ct_map *map;
    ct_heap_node *deadlines;
    ct_wait *first, *last; /* pending, oldest first */
    size_t pending;
    uint64_t deadlines_added, items_added; /* to the heaps, see heap.h */
} ct_waitset;

/**
 * Judges a fresh wait, whose items have wait, entry and target set: items whose target is reached are marked so, the
 * others counted and linked. The wait is pending afterwards, even if nothing is missing: settle it then.
 */
void ct_waitset_add(ct_waitset *set, ct_wait *wait, int64_t now, int64_t deadline);

/** Ends a pending wait: the one place where a status changes. */
void ct_waitset_settle(ct_waitset *set, ct_wait *wait, ctrack_status outcome, ct_settled *settled);

/** An entry's index has risen: settles the waits that this satisfies. */
void ct_waitset_raised(ct_waitset *set, ct_entry *entry, ct_settled *settled);

/** Indexes may have fallen: judges every pending wait anew. */
void ct_waitset_rejudge(ct_waitset *set, ct_settled *settled);

/** Settles the waits whose deadline is not after `now` as timed out, the earliest first; CT_EXPIRE_MOST at the most, so
 * that nobody waits long for the lock. */
#define CT_EXPIRE_MOST 256
void ct_waitset_expire(ct_waitset *set, int64_t now, ct_settled *settled);
/** The earliest deadline of all, or CT_NEVER. */
int64_t ct_waitset_next_deadline(const ct_waitset *set);

/** Settles every pending wait with one outcome. */
void ct_waitset_end_all(ct_waitset *set, ctrack_status outcome, ct_settled *settled);

/** Drops what a settled wait still says about its missing items. */
void ct_wait_release_items(ct_waitset *set, ct_wait *wait);

#endif
