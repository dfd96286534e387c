/* SPDX-License-Identifier: MIT */
#ifndef DEMO_DOCUMENTS_H
#define DEMO_DOCUMENTS_H

/**
 * The read model: a SQLite database with the table `document` (how many operations each document, scope and branch has
 * had, and the last one) and the number of writes that it has processed so far, its position. Its progress is in the
 * tracker's tables of the same database, and is committed with the rows that it is about: ctrack_stage().
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ctrack.h"

typedef struct document_table document_table;

/**
 * Opens the database, on which a tracker has been opened: to process writes, and then makes the tables that are missing;
 * or for queries only. NULL, with the reason on stderr, when that fails.
 */
document_table *documents_open(const char *path, bool read_only);
/** NULL is fine. */
void documents_close(document_table *documents);

/** How many writes have been processed; -1 on failure. */
int64_t documents_position(document_table *documents);

/**
 * Begins a transaction, changes the rows of the write at the current position and stages its progress. False, with the
 * reason on stderr and no transaction, on failure.
 */
bool documents_stage(document_table *documents, const ctrack_snapshot *token);
/** Commits it: rows and progress become visible together. False, with the reason on stderr, on failure. */
bool documents_commit(document_table *documents);

/** A query: the last operation of a document, -1 if it has had none, -2 on failure. */
int64_t documents_last_operation(document_table *documents, const ctrack_coordinate *key);

/**
 * Compares the table with its progress, row by row and by SQL alone: for how many keys the progress says more than the
 * table holds, and for how many less. False, with the reason on stderr, on failure.
 */
bool documents_compare(document_table *documents, int64_t *ahead, int64_t *behind);

#endif
