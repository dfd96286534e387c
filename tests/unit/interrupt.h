/* SPDX-License-Identifier: MIT */
#ifndef INTERRUPT_H
#define INTERRUPT_H

#include "tracker.h"

/** From now on every statement of the connection that begins so is interrupted; NULL: none is. The text is borrowed. */
static inline int interrupt_it(unsigned event, void *argument, void *statement, void *text)
{
    const char *beginning = argument;
    (void)event;
    if (strncmp(text, beginning, strlen(beginning)) == 0) {
        sqlite3_interrupt(sqlite3_db_handle(statement));
    }
    return 0;
}

static inline void interrupt(const ctrack *tracker, const char *beginning)
{
    sqlite3_trace_v2(tracker->store->db, beginning != NULL ? SQLITE_TRACE_STMT : 0, interrupt_it, (void *)beginning);
}

/** From now on the tracker can prepare no statement; it has all but this one. */
static inline void starve_of(const ctrack *tracker, ct_statement missing)
{
    for (int i = 0; i < CT_STATEMENTS; i++) {
        sqlite3_stmt *unused;
        if (i != (int)missing) {
            assert_status(ct_store_statement(tracker->store, (ct_statement)i, &unused, NULL), CTRACK_OK);
        }
    }
    sqlite3_limit(tracker->store->db, SQLITE_LIMIT_SQL_LENGTH, 1);
}

#endif
