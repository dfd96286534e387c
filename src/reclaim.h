/* SPDX-License-Identifier: MIT */
#ifndef CT_RECLAIM_H
#define CT_RECLAIM_H

/**
 * What a tracker does about a full disk before it says so: it gives back what can be had of the file's own space. First the
 * room in the write-ahead log, whose pages are then moved into the database; when that was not enough, what is not folded is
 * folded in small pieces, and the log is trimmed to a few rows, so that the database has free pages.
 *
 * On request, ctrack_fold(), it folds all, and cuts the write-ahead log, however much space there is.
 */
#include "tracker.h"

/**
 * A transaction has failed as CTRACK_FULL, for the nth time from 0 on. Returns whether it is to be tried again; the tracker's
 * list is given up. The turn is held, and no transaction is open.
 */
bool ct_reclaim(ctrack *tracker, int times);

#endif
