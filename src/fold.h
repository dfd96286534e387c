/* SPDX-License-Identifier: MIT */
#ifndef CT_FOLD_H
#define CT_FOLD_H

/**
 * Folding: moving the log's older rows into ctrack_latest, so that the log stays short.
 *
 * Appending to a log costs a fraction of changing a tree at random places. What makes the whole cheaper, too, is that a
 * fold sorts: thousands of changes then meet the tree in its own order, several to a page, and of many rows of one key
 * only the highest is written.
 *
 * A fold reads the rows behind folded_seq up to some seq, in pieces; sorts them in memory; merges them in pieces, each
 * in a transaction of its own; and then, in a last one, moves folded_seq to that seq. Between pieces others have their
 * turn, and updates go on. A crash in the middle does no harm: progress is the highest of log and table, and merging
 * raises the table only to what the log says anyway. So several may fold at the same time. The one thing that may not
 * happen in between is that progress is taken back (hydrate, forget, restore). Those fold everything first, in their own
 * transaction, and folded_seq moves to the row that they append; each piece checks in its transaction whether that has
 * happened, and the fold gives up if it has.
 *
 * Nearly all is folded so before such a transaction, which holds everybody up. And where nobody else has folded, whoever
 * writes or goes folds some of the oldest rows, in one transaction: a tracker that closes (keeper.h), whoever stages
 * (hostfold.h), an INSERT into the view (migrations/0001_progress.sql).
 *
 * Last, rows that were folded long ago are deleted. The newest of them are kept, so that trackers of other processes
 * that are a little behind need not read everything anew.
 */
#include "check.h"
#include "tracker.h"

/** A list of changes on their way into ctrack_latest. */
typedef struct ct_fold ct_fold;

ct_fold *ct_fold_new(void); /**< NULL: no memory */
void ct_fold_free(ct_fold *fold);
/** Adds progress of a key that is named by its text. */
ctrack_status ct_fold_add(ct_fold *fold, int64_t keyspace_id, const char *document_id, size_t length,
                          int64_t operation_index, int64_t updated_at, ctrack_error *error);
/** Sorts what was added and merges all of it, within the transaction of the caller, who holds the turn. */
ctrack_status ct_fold_apply(ct_fold *fold, ct_store *store, ctrack_error *error);

/** Folds everything that is not folded yet within the transaction of the caller, who holds the turn. */
ctrack_status ct_fold_all(ctrack *tracker, ctrack_error *error);
/** Before ct_fold_all(): step by step, until few rows are left for it; or some more, if others add as many meanwhile. */
ctrack_status ct_fold_nearly_all(ctrack *tracker, ctrack_error *error);

/** Folds up to `most` of the oldest rows in one transaction, and trims; *more: there is more of either to be done. The turn
 * is held. */
ctrack_status ct_fold_some(ctrack *tracker, int64_t most, bool *more, ctrack_error *error);

/** The log is folded up to `seq` from now on. In the transaction that has seen to it. */
ctrack_status ct_fold_set(ct_store *store, int64_t seq, ctrack_error *error);

/**
 * Folds the log as it is now and trims it, step by step; takes the turn for each step. *stop may become true at any
 * time; the fold is given up then. `reporter` may be NULL. CTRACK_ABORTED, too, when progress was taken back meanwhile:
 * what is left then can be folded anew; and when the schema is not the one that was followed last, as after another state
 * was put into the file's place: then nothing can be folded before the tracker has followed.
 */
ctrack_status ct_fold_log(ctrack *tracker, const atomic_bool *stop, ct_reporter *reporter, ctrack_error *error);

/** How many rows of the log are not folded. The turn is held. */
int64_t ct_fold_backlog(const ct_store *store);

#endif
