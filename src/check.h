/* SPDX-License-Identifier: MIT */
#ifndef CT_CHECK_H
#define CT_CHECK_H

/** Looking for damage in a tracker's file: SQLite's own checks, the schema, and what holds between our rows. */
#include <sqlite3.h>

#include "ctrack.h"

/** Who is told how far a long call has got, and may end it. */
typedef struct ct_reporter {
    ctrack_progress_callback *callback; /* NULL: nobody */
    void *argument;
    uint64_t done, total;
    bool cancelled;
} ct_reporter;

/** Reports; CTRACK_ABORTED once the callback has said that it is enough. */
ctrack_status ct_report(ct_reporter *reporter, uint64_t done, uint64_t total, ctrack_error *error);

/**
 * Checks the database in one read transaction of the caller's, or in one of its own for each rule.
 *
 * @param[in] quick  Leaves out what looks every key up again, or at the rows one by one. For a copy that has just been
 *                   made.
 * Returns: CTRACK_OK when it is sound; CTRACK_CORRUPT when there are findings, or no tracker at all (without findings);
 * CTRACK_ABORTED when `found` or the reporter has ended it.
 */
ctrack_status ct_check(sqlite3 *db, bool quick, ctrack_finding_callback *found, void *argument, ct_reporter *reporter,
                       ctrack_error *error);

#endif
