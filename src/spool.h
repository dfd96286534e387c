/* SPDX-License-Identifier: MIT */
#ifndef CT_SPOOL_H
#define CT_SPOOL_H

/**
 * Rows of a dump that are kept aside, out of memory, until all of the dump is verified.
 *
 * They go into a temporary table of SQLite's, on a connection that has no other database: it knows where temporary
 * files belong, removes them whatever happens, keeps what is small in memory, and its errors are those of the store.
 * The table holds pieces of 64 KiB, each row only what differs from the row before: as rows of a table of its own, they
 * would take several times as long to write and to read.
 */
#include "dumpfmt.h"

typedef struct ct_spool ct_spool;

ctrack_status ct_spool_new(ct_spool **spool, ctrack_error *error);
void ct_spool_free(ct_spool *spool); /**< NULL is fine */

/** Adds a row as it is read from a dump; its read model is given in every form. */
ctrack_status ct_spool_add(ct_spool *spool, const ct_dump_row *row, ctrack_error *error);
/** Nothing is added any more; the next row to be read is the first, also if some or all have been read already. */
ctrack_status ct_spool_rewind(ct_spool *spool, ctrack_error *error);
/**
 * Reads the next row.
 *
 * @param[out] row    Valid until the next call; NULL: the end.
 * @param[out] first  The first of its texts that differs from the row before; of the first row 0.
 */
ctrack_status ct_spool_next(ct_spool *spool, const ct_dump_row **row, int *first, ctrack_error *error);

#endif
