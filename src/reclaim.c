/* SPDX-License-Identifier: MIT */
#include "reclaim.h"

#include "error.h"
#include "fold.h"
#include "follow.h"
#include "within.h"

/* Few enough that what they change fits. */
#define PIECE_ROWS 1024

bool ct_reclaim(ctrack *tracker, int times)
{
    bool more = times == 1;
    ct_board_cancel(tracker->board, &tracker->advances);
    ctrack_status status = times > 1 ? CTRACK_FULL : ct_store_reclaim(tracker->store, NULL);
    while (status == CTRACK_OK && more) {
        status = ct_fold_some(tracker, PIECE_ROWS, &more, NULL);
        status = status == CTRACK_OK ? ct_store_reclaim(tracker->store, NULL) : status;
    }
    return status == CTRACK_OK;
}

/* ---------------------------------------------------------------- on request */

#define TRIES 3

/* Folds; anew when progress was taken back meanwhile, or the schema was changed since the tracker last looked, by which
 * a fold knows that it may be another file's. */
static ctrack_status fold(ctrack *tracker, ct_reporter *reporter, ctrack_error *error)
{
    ctrack_status status = CTRACK_ABORTED;
    /* GCOVR_EXCL_BR_START: nobody takes progress back so often */
    for (int i = 0; i < TRIES && status == CTRACK_ABORTED && !reporter->cancelled; i++) {
        /* GCOVR_EXCL_BR_STOP */
        status = ct_follow_in_turn(tracker, false, error);
        status = status == CTRACK_OK ? ct_fold_log(tracker, &tracker->keeper.stopping, reporter, error) : status;
    }
    return status;
}

static ctrack_status fold_and_shrink(ctrack *tracker, ct_reporter *reporter, ctrack_error *error)
{
    ct_ticket ticket = {0};
    if (tracker->store->read_only) {
        return ct_error_set(error, CTRACK_READ_ONLY, "the tracker is open for reading only");
    }
    ctrack_status status = fold(tracker, reporter, error);
    if (status != CTRACK_OK) {
        return status;
    }
    if (ct_turn_take(&tracker->turn, &ticket) != 0) {
        return ct_error_no_memory(error);
    }
    status = ct_store_shrink(tracker->store, true, error);
    ct_turn_pass(&tracker->turn, &ticket, &ticket);
    return status;
}

ctrack_status ctrack_fold(ctrack *tracker, ctrack_progress_callback *progress, void *argument, ctrack_error *error)
{
    ctrack_status status = ct_tracker_enter(tracker, error);
    if (status != CTRACK_OK || tracker->store == NULL) {
        return status == CTRACK_OK ? ct_tracker_leave(tracker, status) : status;
    }
    ct_within within;
    ct_within_begin(&within, tracker, true);
    ct_reporter reporter = {.callback = progress, .argument = argument};
    status = fold_and_shrink(tracker, &reporter, error);
    ct_within_end(&within);
    return ct_tracker_leave(tracker, ct_store_explain(tracker->store, status, error));
}
