/* SPDX-License-Identifier: MIT */
#ifndef CT_WITHIN_H
#define CT_WITHIN_H

/**
 * Whether the calling thread is within a tracker's code, which has called the host back.
 *
 * Closing waits for all calls and threads of the tracker, so a callback that closes its own tracker would wait for
 * itself; and a callback that may come from anywhere, as the log's, would wait for whatever its thread holds. What the
 * thread is within stands in a list of its own, on its stack; so both are told, on whichever thread a callback runs.
 */
#include <stdbool.h>

struct ctrack;

typedef struct ct_within {
    const struct ctrack *tracker;
    bool alone; /* callbacks may not call with the tracker at all; else all but close */
    struct ct_within *outer;
} ct_within;

void ct_within_begin(ct_within *within, const struct ctrack *tracker, bool alone);
void ct_within_end(const ct_within *within);

/** Whether this thread is within the tracker's code; or, with `alone`, so that no call with it is allowed. */
bool ct_is_within(const struct ctrack *tracker, bool alone);

#endif
