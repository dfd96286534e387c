/* SPDX-License-Identifier: MIT */
#ifndef FILTER_H
#define FILTER_H

/** Which keys a command looks at: --document, --scope and --branch. */
#include <stdbool.h>

#include "ctrack.h"

struct filter {
    const char *document_id, *scope, *branch; /**< NULL: any */
};

/** The options that fill a filter, for a table of options. */
#define OPTIONS_FILTER(filter) \
    {"document", '\0', &(filter)->document_id, NULL}, {"scope", '\0', &(filter)->scope, NULL}, \
    { \
        "branch", '\0', &(filter)->branch, NULL \
    }

bool filter_matches(const struct filter *filter, const ctrack_coordinate *coordinate);

#endif
