/* SPDX-License-Identifier: MIT */
#ifndef CT_REWRITE_H
#define CT_REWRITE_H

/**
 * What takes progress back: hydrate, forget, and (possibly) restore. On a file each is one transaction that first folds
 * the whole log, so that the log behind the fold never takes anything back; then changes ctrack_latest; and tells other
 * trackers by a row in the log (write.h).
 */
#include "tracker.h"

/** ctrack_hydrate() and ctrack_forget(), on a file or in memory. */
ctrack_status ct_rewrite_hydrate(ctrack *tracker, const ctrack_coordinate *entries, size_t count, ctrack_error *error);
ctrack_status ct_rewrite_forget(ctrack *tracker, const ctrack_key *keys, size_t count, ctrack_error *error);

/** What a dump says about one read model. */
typedef struct ct_restored {
    const char *read_model;
    ctrack_snapshot *entries; /* sealed */
} ct_restored;

/** Applies what was read from a dump, as ctrack_restore() says. */
ctrack_status ct_rewrite_restore(ctrack *tracker, const ct_restored *models, size_t count, ctrack_restore_mode mode,
                                 ctrack_error *error);

#endif
