/* SPDX-License-Identifier: MIT */
#ifndef CT_MARK_H
#define CT_MARK_H

/**
 * A mark: what a row of the log says, as one number. Numbers of rows are given again when an older state of the file is
 * put into its place (SQLite's backup API does so without anybody closing it), or another tracker's file. So whoever has
 * seen the log up to some row remembers its mark, too: if the row has another one, or is not there, it is not the log
 * that he has seen. The key is in it by its text, since its ids may be given again as well.
 */
#include "store.h"

/** Of a row that is not there: no row has it. */
#define CT_NO_MARK 0

/** In a transaction: the mark of a row. */
ctrack_status ct_mark_of(ct_store *store, int64_t seq, uint64_t *mark, ctrack_error *error);

#endif
