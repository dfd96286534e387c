/* SPDX-License-Identifier: MIT */
#ifndef CT_SNAPSHOT_H
#define CT_SNAPSHOT_H

/**
 * A list of coordinates that owns its text: first the texts are copied in, then it is sealed (sorted, and each key kept
 * once at its highest index) and never changes again. Not shared while it is being filled.
 */
#include "ctrack.h"

ctrack_snapshot *ct_snapshot_new(void); /**< NULL: no memory */

/** Copies in a coordinate, whose text (document_id, scope, branch) need not be NUL-terminated, with the target that
 * ctrack_snapshot_targets() gives (if any is not -1). 0, or -1: no memory. */
int ct_snapshot_add(ctrack_snapshot *snapshot, const char *const text[3], const size_t length[3],
                    int64_t operation_index, int64_t target);

/** Sorts; of equal keys the highest index stays. 0, or -1: no memory. Nothing may be added afterwards. */
int ct_snapshot_seal(ctrack_snapshot *snapshot);

#endif
