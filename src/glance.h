/* SPDX-License-Identifier: MIT */
#ifndef CT_GLANCE_H
#define CT_GLANCE_H

/**
 * A glance: whether anybody has committed to a file in write-ahead mode, without asking SQLite. Every commit changes the
 * header of the write-ahead log's index, which SQLite has in memory
 * (https://www.sqlite.org/walformat.html#the_wal_index_header). Comparing it costs next to nothing, where a statement
 * takes locks and touches memory that is cold when little happens.
 */
#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct ct_glance {
    const volatile uint32_t *mapped; /* where the header is; NULL: not known */
    uint32_t words[12];              /* as it was before all was seen */
    bool known;                      /* whether these are */
} ct_glance;

/** Reads the header into *now. Whether it is as in *before: then nobody has committed since that was read. `db` is a
 * connection that has read the file, and stays open. */
bool ct_glance_same(const ct_glance *before, sqlite3 *db, ct_glance *now);

#endif
