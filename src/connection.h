/* SPDX-License-Identifier: MIT */
#ifndef CT_CONNECTION_H
#define CT_CONNECTION_H

/**
 * Connections to files: how all of them are opened and closed, so that it is known whether this process has any.
 */
#include <sqlite3.h>

#include "ctrack.h"

/**
 * Whether SQLite may be used here at all. Not by threads if the host has configured it for a single one: CTRACK_MISUSE.
 * And not in the child of a process that had a file open at the fork: CTRACK_FORKED. SQLite believes there that it holds
 * locks, which are the parent's (https://www.sqlite.org/howtocorrupt.html, 2.6), and another thread of the parent may
 * have held its mutexes.
 */
ctrack_status ct_connection_usable(ctrack_error *error);

/** Opens a file that exists, not through a symbolic link. `mode`: SQLITE_OPEN_READONLY or SQLITE_OPEN_READWRITE. *db is
 * closed with ct_connection_close(), also after an error. Errors: also those of ct_connection_usable(). */
ctrack_status ct_connection_open(const char *name, int mode, const char *doing, sqlite3 **db, ctrack_error *error);
/** Closes it; NULL is fine. SQLite's result code. */
int ct_connection_close(sqlite3 *db);

#endif
