/* SPDX-License-Identifier: MIT */

/*
 * ctrack_waits(): who is waiting, for what, since when.
 */
#include <string.h>

#include "alloc.h"
#include "clock.h"
#include "error.h"
#include "promise.h"
#include "snapshot.h"
#include "tracker.h"

typedef struct listed {
    ctrack_wait_info info;
    ctrack_snapshot *coordinates;
    char *label;
} listed;

struct ctrack_wait_list {
    listed *waits;
    size_t count, capacity;
};

/* Copies a pending wait's coordinates and label. The lock is held. 0, or -1: no memory. */
static int copy_wait(const ct_board *board, ct_wait *wait, int64_t now, listed *to)
{
    const ct_promise_extra *extra = ct_promise_of(wait)->extra;
    int64_t deadline = (int64_t)wait->deadline.rank;
    to->coordinates = ct_snapshot_new();
    if (to->coordinates == NULL) {
        return -1;
    }
    for (uint32_t i = 0; i < wait->count; i++) {
        const ct_wait_item *item = &wait->items[i];
        int64_t index = item->entry->index >= 0 ? item->entry->index : CT_UNSEEN;
        if (ct_board_copy_entry(board, item->entry, index, item->target, to->coordinates) != 0) {
            return -1;
        }
    }
    if (extra != NULL && extra->label != NULL) {
        to->label = ct_alloc_text(extra->label, strlen(extra->label));
        if (to->label == NULL) {
            return -1;
        }
    }
    to->info.age_ms = (now - wait->since) / 1000000;
    to->info.left_ms = ct_clock_left(now, deadline);
    to->info.missing = wait->missing;
    return 0;
}

/* Copies the oldest waits. 0, or -1: no memory. */
static int copy_waits(ct_board *board, size_t most, ctrack_wait_list *list)
{
    int result = 0;
    int64_t now = ct_clock_monotonic();
    ct_mutex_lock(&board->lock);
    for (ct_wait *wait = board->waits.first; wait != NULL && list->count < most && result == 0; wait = wait->next) {
        void *waits = list->waits;
        result = ct_grow(&waits, &list->capacity, list->count + 1, sizeof(listed));
        list->waits = waits;
        if (result == 0) {
            listed *to = &list->waits[list->count++];
            memset(to, 0, sizeof *to);
            result = copy_wait(board, wait, now, to);
        }
    }
    ct_mutex_unlock(&board->lock);
    return result;
}

/* Sorting is done without the lock. 0, or -1: no memory. */
static int seal(ctrack_wait_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        listed *wait = &list->waits[i];
        if (ct_snapshot_seal(wait->coordinates) != 0) {
            return -1;
        }
        wait->info.label = wait->label;
        wait->info.count = ctrack_snapshot_count(wait->coordinates);
        wait->info.coordinates = ctrack_snapshot_entries(wait->coordinates);
        wait->info.targets = ctrack_snapshot_targets(wait->coordinates);
    }
    return 0;
}

ctrack_status ctrack_waits(ctrack *tracker, size_t most, ctrack_wait_list **list, ctrack_error *error)
{
    ctrack_status status = ct_tracker_enter(tracker, error);
    if (status != CTRACK_OK) {
        return status;
    }
    if (list == NULL) {
        return ct_tracker_leave(tracker, ct_error_set(error, CTRACK_INVALID, "list is NULL"));
    }
    ctrack_wait_list *made = ct_alloc_array(1, sizeof *made);
    if (made == NULL || copy_waits(tracker->board, most, made) != 0 || seal(made) != 0) {
        ctrack_wait_list_free(made);
        return ct_tracker_leave(tracker, ct_error_no_memory(error));
    }
    *list = made;
    return ct_tracker_leave(tracker, CTRACK_OK);
}

size_t ctrack_wait_list_count(const ctrack_wait_list *list)
{
    return list->count;
}

const ctrack_wait_info *ctrack_wait_list_at(const ctrack_wait_list *list, size_t position)
{
    return position < list->count ? &list->waits[position].info : NULL;
}

void ctrack_wait_list_free(ctrack_wait_list *list)
{
    if (list != NULL) {
        for (size_t i = 0; i < list->count; i++) {
            ctrack_snapshot_free(list->waits[i].coordinates);
            ct_free(list->waits[i].label);
        }
        ct_free(list->waits);
        ct_free(list);
    }
}
