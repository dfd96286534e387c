/* SPDX-License-Identifier: MIT */

/* First and alone, then again: the header includes what it needs and nothing of SQLite, and is guarded. */
#include "ctrack.h"

#if defined(SQLITE_VERSION) || defined(SQLITE_OK)
#error "ctrack.h includes sqlite3.h"
#endif

#include <string.h>

int main(void)
{
    ctrack_options options = CTRACK_OPTIONS_INIT;
    ctrack_coordinate coordinate = {"document", "scope", "branch", INT64_MAX};
    (void)coordinate;
    return options.size == sizeof options && options.busy_timeout_ms < 0 && CTRACK_FOREVER == -1 &&
                   strcmp(ctrack_version(), CTRACK_VERSION) == 0
               ? 0
               : 1;
}
