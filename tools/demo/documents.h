/* SPDX-License-Identifier: MIT */
#ifndef DEMO_DOCUMENTS_H
#define DEMO_DOCUMENTS_H

/**
 * The read model: a SQLite database with the table `document` (how many operations each document, scope and branch has
 * had, and the last one) and the number of writes that it has processed so far, its position. It knows nothing of the
 * tracker.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ctrack.h"

typedef struct document_table document_table;

/** Opens the database; makes it if it does not exist. NULL, with the reason on stderr, when that fails. */
document_table *documents_open(const char *path);
/** NULL is fine. */
void documents_close(document_table *documents);

/** How many writes have been processed; -1 on failure. */
int64_t documents_position(document_table *documents);

/** Processes the write at the current position in one transaction. False, with the reason on stderr, on failure. */
bool documents_process(document_table *documents, const ctrack_snapshot *token);

/** A query: the last operation of a document, -1 if it has had none, -2 on failure. */
int64_t documents_last_operation(document_table *documents, const ctrack_coordinate *key);

/**
 * Compares the table with the tracker's file, row by row and by SQL alone: for how many keys the tracker says more than
 * the table holds, and for how many less. False, with the reason on stderr, on failure.
 */
bool documents_compare(document_table *documents, const char *tracker_path, int64_t *ahead, int64_t *behind);

#endif
