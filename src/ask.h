/* SPDX-License-Identifier: MIT */
#ifndef CT_ASK_H
#define CT_ASK_H

/**
 * Questions about keys that are answered from the file: on a host's connection, or on a tracker's before it has read
 * its progress. All of it reads, within one transaction of the caller's.
 *
 * The progress of a key is the highest of what is folded and of its rows in the log that are not. Those are found by the
 * runs (run.h) where there are some, newest first; between and behind them, row by row. All questions of a call go along
 * the same way together: a part of a run, or a row, is read once for all of them. It ends when all are answered.
 */
#include <sqlite3.h>

#include "ctrack.h"

typedef enum ct_ask_statement {
    CT_ASK_KEYSPACE,
    CT_ASK_LATEST,
    CT_ASK_LOG,
    CT_ASK_RUNS,
    CT_ASK_PART,
    CT_ASK_ROW,
    CT_ASK_ROWS,
    CT_ASK_STATEMENTS
} ct_ask_statement;

/** Whom to ask. Zeroed but for the first two. */
typedef struct ct_asker {
    sqlite3 *db;
    const char *schema;                          /* SQLite's name of the database that has our tables */
    sqlite3_stmt *statements[CT_ASK_STATEMENTS]; /* prepared when first needed */
} ct_asker;

void ct_asker_end(ct_asker *asker);

typedef struct ct_question {
    ctrack_key key;
    int64_t target;  /* the question is answered by an index that is no lower */
    int64_t highest; /* the answer: as high as the target, or the highest there is; -1: none */
    /* What is found out about the key; 0: the file has none. */
    int64_t keyspace_id, coordinate_id;
    uint32_t place; /* in a run */
} ct_question;

/** Answers questions about keys of a read model. Nothing is asked that `target` does not need. */
ctrack_status ct_ask(ct_asker *asker, const char *read_model, ct_question *questions, size_t count,
                     ctrack_error *error);

#endif
