/* SPDX-License-Identifier: MIT */
#include "filter.h"

#include <string.h>

static bool is(const char *wanted, const char *text)
{
    return wanted == NULL || strcmp(wanted, text) == 0;
}

bool filter_matches(const struct filter *filter, const ctrack_coordinate *coordinate)
{
    return is(filter->document_id, coordinate->document_id) && is(filter->scope, coordinate->scope) &&
           is(filter->branch, coordinate->branch);
}
