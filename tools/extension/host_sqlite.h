/* SPDX-License-Identifier: MIT */
#ifndef HOST_SQLITE_H
#define HOST_SQLITE_H

/**
 * Included by force in front of every source of the extension: each call of SQLite goes to the program that has loaded
 * the extension, whatever SQLite that has and however it is linked, and the extension itself needs none.
 */
#include <sqlite3ext.h>

extern const sqlite3_api_routines *sqlite3_api;

#endif
