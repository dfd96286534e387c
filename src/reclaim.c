/* SPDX-License-Identifier: MIT */
#include "reclaim.h"

#include "fold.h"

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
