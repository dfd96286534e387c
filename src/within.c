/* SPDX-License-Identifier: MIT */
#include "within.h"

#include <stddef.h>

static _Thread_local ct_within *innermost;

void ct_within_begin(ct_within *within, const struct ctrack *tracker, bool alone)
{
    *within = (ct_within){.tracker = tracker, .alone = alone, .outer = innermost};
    innermost = within;
}

void ct_within_end(const ct_within *within)
{
    innermost = within->outer;
}

bool ct_is_within(const struct ctrack *tracker, bool alone)
{
    const ct_within *within = innermost;
    while (within != NULL && (within->tracker != tracker || (alone && !within->alone))) {
        within = within->outer;
    }
    return within != NULL;
}
