/* SPDX-License-Identifier: MIT */
#ifndef CT_COMMIT_H
#define CT_COMMIT_H

/**
 * Updates of a file, committed in groups: those that the holder of the turn takes along (turn.h) are in one transaction.
 */
#include "ctrack.h"

/** ctrack_update() on a file. */
ctrack_status ct_commit_update(struct ctrack *tracker, const ctrack_coordinate *coordinates, size_t count,
                               ctrack_error *error);

#endif
