/* SPDX-License-Identifier: MIT */
#ifndef CT_ENGINE_H
#define CT_ENGINE_H

/**
 * Whether a connection is one of the SQLite that we call. A process may have several copies of SQLite, of which many
 * languages bring their own, and each knows its own connections only: to look into another one's is to read and write
 * wherever it takes the other's fields for its own.
 *
 * No call of SQLite's tells, since all look into the connection. What tells is its first field, which has pointed to its
 * VFS since SQLite 3.5; the VFSs of a copy are a public list, and are its own. Whether the field is still where it was is
 * tried once, with a connection of our own.
 */
#include <sqlite3.h>
#include <stdbool.h>

/** False if another copy of SQLite has surely opened the connection. */
bool ct_engine_opened(const sqlite3 *db);

#endif
