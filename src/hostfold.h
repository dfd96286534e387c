/* SPDX-License-Identifier: MIT */
#ifndef CT_HOSTFOLD_H
#define CT_HOSTFOLD_H

/**
 * Folding by whoever stages, on the host's own connection and in its transaction, for read models that nobody has a
 * tracker on. Once the log is long, some of its oldest rows are folded with each call: twice as many as were staged, and at
 * least a piece, since of many rows of one key only the highest is written. So the log stays as long as that, and a call
 * takes a piece longer at most.
 *
 * It is done by statements and not row by row: the connection keeps nothing prepared for us. What they do is what fold.h
 * tells of, and what the trigger of the view does (migrations/0001_progress.sql).
 */
#include <sqlite3.h>

#include "ctrack.h"

/** The log, as it is in the transaction. */
typedef struct ct_hostlog {
    sqlite3 *db;
    const char *schema; /* SQLite's name of the database that has the tables */
    int64_t folded_seq, last_seq;
} ct_hostlog;

/**
 * After so many rows were appended. What cannot be folded is left to others: an error is one that has ended the
 * transaction.
 */
ctrack_status ct_hostfold(const ct_hostlog *log, int64_t appended, ctrack_error *error);

#endif
