/* SPDX-License-Identifier: MIT */
#ifndef CT_SQL_H
#define CT_SQL_H

/**
 * SQLite calls with their errors turned into ours. `doing` is what the message says failed: "cannot <doing>: …".
 */
#include <sqlite3.h>

#include "ctrack.h"

/** Fills the error from the connection's last one. Returns what the result code (extended ones too) is to our callers.
 */
ctrack_status ct_sql_fail(sqlite3 *db, int code, const char *doing, ctrack_error *error);

ctrack_status ct_sql_exec(sqlite3 *db, const char *sql, const char *doing, ctrack_error *error);
/** Prepares a statement that will be kept; *statement stays NULL on an error. */
ctrack_status ct_sql_prepare(sqlite3 *db, const char *sql, sqlite3_stmt **statement, ctrack_error *error);
/** Steps. *row says whether there is one; if not, or on an error, the statement is reset. */
ctrack_status ct_sql_step(sqlite3_stmt *statement, bool *row, const char *doing, ctrack_error *error);
/** Steps a statement that yields nothing to its end, and resets it. */
ctrack_status ct_sql_run(sqlite3_stmt *statement, const char *doing, ctrack_error *error);
/** Reads the text of a column; NULL if there is none. The text is SQLite's, until the statement is stepped or reset. */
ctrack_status ct_sql_text(sqlite3_stmt *statement, int column, const char **text, ctrack_error *error);
/** Reads the first column of the first row; 0 if there is none. */
ctrack_status ct_sql_integer(sqlite3 *db, const char *sql, int64_t *value, ctrack_error *error);
/** Runs a PRAGMA and reads back the row that it answers with: a PRAGMA that SQLite ignores fails silently. `expected`
 * NULL: whatever it answers. */
ctrack_status ct_sql_pragma(sqlite3 *db, const char *set, const char *expected, ctrack_error *error);

#endif
