/* SPDX-License-Identifier: MIT */
#include "waitset.h"

#include <assert.h>

#include "clock.h"

static void link_missing(ct_waitset *set, ct_wait_item *item)
{
    item->node.rank = (uint64_t)item->target;
    ct_heap_add(&item->entry->waiting, &item->node, ++set->items_added);
    item->wait->missing++;
}

static void mark_reached(ct_wait_item *item)
{
    ct_heap_remove(&item->entry->waiting, &item->node);
    item->node.rank = CT_RANK_REACHED;
    item->wait->missing--;
}

void ct_waitset_add(ct_waitset *set, ct_wait *wait, int64_t now, int64_t deadline)
{
    wait->since = now;
    wait->missing = 0;
    atomic_store_explicit(&wait->status, CTRACK_PENDING, memory_order_relaxed);
    for (uint32_t i = 0; i < wait->count; i++) {
        ct_wait_item *item = &wait->items[i];
        if (item->entry->index >= item->target) {
            item->node.rank = CT_RANK_REACHED;
        } else {
            link_missing(set, item);
        }
    }
    wait->deadline.rank = (uint64_t)deadline;
    if (deadline != CT_NEVER) {
        ct_heap_add(&set->deadlines, &wait->deadline, ++set->deadlines_added);
    }
    wait->next = NULL;
    wait->prev = set->last;
    *(set->last != NULL ? &set->last->next : &set->first) = wait;
    set->last = wait;
    set->pending++;
}

static void unlink_pending(ct_waitset *set, ct_wait *wait)
{
    *(wait->prev != NULL ? &wait->prev->next : &set->first) = wait->next;
    *(wait->next != NULL ? &wait->next->prev : &set->last) = wait->prev;
    set->pending--;
    if (wait->deadline.rank != (uint64_t)CT_NEVER) {
        ct_heap_remove(&set->deadlines, &wait->deadline);
    }
}

void ct_waitset_settle(ct_waitset *set, ct_wait *wait, ctrack_status outcome, ct_settled *settled)
{
    assert(atomic_load_explicit(&wait->status, memory_order_relaxed) == CTRACK_PENDING);
    assert(outcome != CTRACK_OK || wait->missing == 0);
    unlink_pending(set, wait);
    for (uint32_t i = 0; i < wait->count; i++) {
        ct_wait_item *item = &wait->items[i];
        if (item->node.rank == CT_RANK_REACHED) {
            item->entry = NULL;
            continue;
        }
        item->index_at_end = item->entry->index >= 0 ? item->entry->index : CT_UNSEEN;
        ct_heap_remove(&item->entry->waiting, &item->node);
        item->node.rank = CT_RANK_ENDED;
        ct_heap_add(&item->entry->waiting, &item->node, ++set->items_added);
    }
    wait->prev = NULL;
    wait->next = NULL;
    *(settled->last != NULL ? &settled->last->next : &settled->first) = wait;
    settled->last = wait;
    /* Whoever sees the outcome sees all that led to it, without taking the lock. */
    atomic_store_explicit(&wait->status, (int)outcome, memory_order_release);
}

void ct_waitset_raised(ct_waitset *set, ct_entry *entry, ct_settled *settled)
{
    /* index < 2^63, so the two highest ranks never qualify. */
    while (entry->waiting != NULL && entry->waiting->rank <= (uint64_t)entry->index) {
        ct_wait_item *item = (ct_wait_item *)entry->waiting;
        mark_reached(item);
        if (item->wait->missing == 0) {
            ct_waitset_settle(set, item->wait, CTRACK_OK, settled);
        }
    }
}

void ct_waitset_rejudge(ct_waitset *set, ct_settled *settled)
{
    ct_wait *next;
    for (ct_wait *wait = set->first; wait != NULL; wait = next) {
        next = wait->next;
        for (uint32_t i = 0; i < wait->count; i++) {
            ct_wait_item *item = &wait->items[i];
            bool reached = item->entry->index >= item->target;
            if (reached && item->node.rank != CT_RANK_REACHED) {
                mark_reached(item);
            } else if (!reached && item->node.rank == CT_RANK_REACHED) {
                link_missing(set, item);
            }
        }
        if (wait->missing == 0) {
            ct_waitset_settle(set, wait, CTRACK_OK, settled);
        }
    }
}

void ct_waitset_expire(ct_waitset *set, int64_t now, ct_settled *settled)
{
    for (int i = 0; i < CT_EXPIRE_MOST && set->deadlines != NULL && set->deadlines->rank <= (uint64_t)now; i++) {
        ct_waitset_settle(set, (ct_wait *)set->deadlines, CTRACK_TIMED_OUT, settled);
    }
}

int64_t ct_waitset_next_deadline(const ct_waitset *set)
{
    return set->deadlines != NULL ? (int64_t)set->deadlines->rank : CT_NEVER;
}

void ct_waitset_end_all(ct_waitset *set, ctrack_status outcome, ct_settled *settled)
{
    while (set->first != NULL) {
        ct_waitset_settle(set, set->first, outcome, settled);
    }
}

void ct_wait_release_items(ct_waitset *set, ct_wait *wait)
{
    for (uint32_t i = 0; i < wait->count; i++) {
        ct_wait_item *item = &wait->items[i];
        if (item->entry != NULL) {
            assert(item->node.rank == CT_RANK_ENDED);
            ct_heap_remove(&item->entry->waiting, &item->node);
            ct_map_release(set->map, item->entry);
            item->entry = NULL;
        }
    }
}
