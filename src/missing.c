/* SPDX-License-Identifier: MIT */

/*
 * What a wait lacks, and how it ended: for the program, ctrack_promise_missing(); for people, ctrack_promise_explain().
 */
#include <stdio.h>

#include "clock.h"
#include "error.h"
#include "promise.h"
#include "snapshot.h"
#include "text.h"

/* Whether an item is missing, or was at the end; then the progress its key has or had. The lock is held. */
static bool item_missing(const ctrack_promise *promise, const ct_wait_item *item, int64_t *index)
{
    if (item->entry == NULL || item->node.rank == CT_RANK_REACHED) {
        return false;
    }
    *index = ctrack_promise_status(promise) != CTRACK_PENDING ? item->index_at_end
             : item->entry->index >= 0                        ? item->entry->index
                                                              : CT_UNSEEN;
    return true;
}

static int add_missing(const ctrack_promise *promise, const ct_wait_item *item, ctrack_snapshot *missing)
{
    int64_t index;
    return item_missing(promise, item, &index)
               ? ct_board_copy_entry(promise->board, item->entry, index, item->target, missing)
               : 0;
}

ctrack_status ctrack_promise_missing(ctrack_promise *promise, ctrack_snapshot **missing, ctrack_error *error)
{
    ctrack_status status = ct_board_check(promise->board, error);
    if (status != CTRACK_OK) {
        return status;
    }
    if (missing == NULL) {
        return ct_error_set(error, CTRACK_INVALID, "missing is NULL");
    }
    ctrack_snapshot *made = ct_snapshot_new();
    int result = made != NULL ? 0 : -1;
    ct_mutex_lock(&promise->board->lock);
    const ct_wait *wait = ct_promise_wait(promise);
    for (uint32_t i = 0; i < wait->count && result == 0; i++) {
        result = add_missing(promise, &wait->items[i], made);
    }
    ct_mutex_unlock(&promise->board->lock);
    if (result != 0 || ct_snapshot_seal(made) != 0) {
        ctrack_snapshot_free(made);
        return ct_error_no_memory(error);
    }
    *missing = made;
    return CTRACK_OK;
}

/* "doc-7:document:main needs 12, has 9" */
static int describe(const ctrack_coordinate *coordinate, int64_t target, char *text, size_t size)
{
    char name[CT_KEY_TEXT_SIZE];
    ctrack_key key = ct_text_key(coordinate);
    ct_error_key(&key, name);
    if (coordinate->operation_index < 0) {
        return snprintf(text, size, "%s needs %lld, never seen", name, (long long)target);
    }
    return snprintf(text, size, "%s needs %lld, has %lld", name, (long long)target,
                    (long long)coordinate->operation_index);
}

/* The first few that are missing, then how many more. */
static void describe_all(const ctrack_snapshot *missing, char *text, size_t size)
{
    size_t count = ctrack_snapshot_count(missing), used = 0;
    text[0] = '\0';
    for (size_t i = 0; i < count; i++) {
        char one[CT_KEY_TEXT_SIZE + 64];
        int length =
            describe(&ctrack_snapshot_entries(missing)[i], ctrack_snapshot_targets(missing)[i], one, sizeof one);
        const size_t more = 30; /* room for the last words */
        if (i > 0 && used + (size_t)length + more > size) {
            snprintf(text + used, size - used, " and %zu more", count - i);
            return;
        }
        used += (size_t)snprintf(text + used, size - used, "%s%s", i > 0 ? ", " : "", one);
    }
}

/* Why a settled promise has failed. Its status is seen before its cause is set, but both are one section of the lock.
 */
static const char *cause_of(const ctrack_promise *promise)
{
    ct_mutex_lock(&promise->board->lock);
    const ct_cause *cause = promise->cause;
    ct_mutex_unlock(&promise->board->lock);
    return cause->text;
}

/* "timed out after 100 ms" */
static void describe_end(const ctrack_promise *promise, ctrack_status outcome, char *text, size_t size)
{
    const ct_wait *wait = ct_promise_wait(promise);
    int64_t deadline = (int64_t)wait->deadline.rank;
    switch (outcome) {
    case CTRACK_PENDING:
        snprintf(text, size, "waiting");
        break;
    case CTRACK_TIMED_OUT:
        snprintf(text, size, "timed out after %lld ms",
                 deadline == CT_NEVER ? 0LL : (long long)((deadline - wait->since) / 1000000));
        break;
    case CTRACK_CLOSED:
        snprintf(text, size, "the tracker was closed");
        break;
    case CTRACK_ABORTED:
        snprintf(text, size, "aborted");
        break;
    default:
        snprintf(text, size, "%s%s", outcome == CTRACK_FAILED ? "the read model has failed: " : "", cause_of(promise));
        break;
    }
}

ctrack_status ctrack_promise_explain(ctrack_promise *promise, ctrack_error *error)
{
    ctrack_status outcome = ctrack_promise_status(promise);
    if (outcome == CTRACK_FORKED) {
        return ct_board_check(promise->board, error);
    }
    if (error == NULL || outcome == CTRACK_OK) {
        return outcome;
    }
    ctrack_snapshot *missing = NULL;
    char end[200];
    describe_end(promise, outcome, end, sizeof end);
    if (ctrack_promise_missing(promise, &missing, NULL) != CTRACK_OK || ctrack_snapshot_count(missing) == 0) {
        ct_error_set(error, outcome, "%s", end);
    } else {
        char list[sizeof error->message];
        describe_all(missing, list, sizeof list);
        ct_error_set(error, outcome, "%s: %zu of %u coordinates missing: %s", end, ctrack_snapshot_count(missing),
                     (unsigned)ct_promise_wait(promise)->count, list);
    }
    ctrack_snapshot_free(missing);
    return outcome;
}
