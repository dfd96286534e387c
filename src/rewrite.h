/* SPDX-License-Identifier: MIT */
#ifndef CT_REWRITE_H
#define CT_REWRITE_H

/**
 * What takes progress back: hydrate, forget, and (possibly) restore. On a file each is one transaction that first folds
 * the whole log, so that the log behind the fold never takes anything back; then changes ctrack_latest; and tells other
 * trackers by a row in the log (write.h).
 */
#include "spool.h"
#include "tracker.h"

/** ctrack_hydrate() and ctrack_forget(), on a file or in memory. */
ctrack_status ct_rewrite_hydrate(ctrack *tracker, const ctrack_coordinate *entries, size_t count, ctrack_error *error);
ctrack_status ct_rewrite_forget(ctrack *tracker, const ctrack_key *keys, size_t count, ctrack_error *error);

/** What was read from a dump. */
typedef struct ct_restored {
    const char *const *read_models; /* all that the dump speaks of, also those without rows */
    size_t count;
    ct_spool *rows; /* each of one of these read models; no key twice. NULL: only look whether they may be restored */
} ct_restored;

/** Applies what was read from a dump, as ctrack_restore() says. `mode` is without CTRACK_RESTORE_CHECK. */
ctrack_status ct_rewrite_restore(ctrack *tracker, const ct_restored *restored, ctrack_restore_mode mode,
                                 ctrack_error *error);

#endif
