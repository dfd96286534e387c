/* SPDX-License-Identifier: MIT */
#ifndef CT_RUNS_H
#define CT_RUNS_H

/**
 * Runs over the log, see run.h, so that a question about a key is answered quickly however much of the log is not folded:
 * ctrack_satisfied_in() and the ctrack_get_latest() of a lazy tracker, which know the file only (ask.h).
 *
 * Whoever appends to the log or follows it remembers the rows in memory. Once enough of them lie behind the newest run, a
 * short run over them is written, in the transaction of the update at hand: it costs no fsync of its own. The rows stay in
 * memory until they are enough for a long run, which takes the place of the short ones. So a million rows have some 16
 * long runs and up to 15 short ones, and behind those lies a tail that is read row by row. Where everything is written
 * by others, which a tracker only follows, its keeper writes the runs.
 *
 * Runs are a help, and never needed: what no run covers is read row by row. So whatever makes trouble here (memory, a
 * transaction that failed, rows that were missed) leaves a gap, until the rows are folded. What may not happen is that a
 * run lacks a row: rows that are remembered follow each other, and a row that takes progress back ends them: behind it a
 * lower index may be the one that counts. A run that is folded in part is fine: what of it is folded is in ctrack_latest.
 *
 * Several trackers may do so on one file. Each sees under the writer lock what runs there are, and goes on from there.
 */
#include <sqlite3.h>

#include "ctrack.h"
#include "run.h"

struct ct_store;

typedef struct ct_runs {
    int64_t seed;    /* of the file: the keys are made with it */
    int64_t first;   /* seq of rows[0], or of the next one to be remembered */
    int64_t covered; /* the file has runs up to here, as far as we know */
    ct_run_row *rows;
    size_t count, capacity;
    bool wrote; /* in the transaction under way */
} ct_runs;

void ct_runs_free(ct_runs *runs);

/** Begins anew: remembers the rows that no long run has, which are about to be read. In a transaction. */
ctrack_status ct_runs_start(struct ct_store *store, ctrack_error *error);
/** Whether a row with this seq would be remembered. */
bool ct_runs_wants(const ct_runs *runs, int64_t seq);
/** Remembers a row. One that is remembered already, and those behind it, were of a transaction that failed. */
void ct_runs_add(ct_runs *runs, int64_t seq, int64_t keyspace_id, const char *document_id, size_t length,
                 int64_t operation_index);
/** The row with this seq takes progress back. */
void ct_runs_rewind(ct_runs *runs, int64_t seq);

/** Whether a run should be written, as far as we know. */
bool ct_runs_due(const ct_runs *runs);
/** Whether somebody else should have written one by now. */
bool ct_runs_overdue(const ct_runs *runs);
/** Looks what runs the file has: others may have written them. */
ctrack_status ct_runs_look(struct ct_store *store, ctrack_error *error);
/** Writes a run if one is due. In a transaction that writes, in which all rows there are have been remembered. */
ctrack_status ct_runs_write(struct ct_store *store, ctrack_error *error);
/** The transaction has ended. */
void ct_runs_end(ct_runs *runs, bool committed);

/** Deletes runs of which all is folded, so many that a piece is done; *any: there were some. In a transaction. */
ctrack_status ct_runs_trim(struct ct_store *store, int64_t folded_seq, bool *any, ctrack_error *error);

#endif
