/* SPDX-License-Identifier: MIT */
#ifndef CHECK_H
#define CHECK_H

/** What a checker needs to know of the file itself, without the library: plain SQL, on connections of its own. */
#include "run.h"

/** A state without any progress, and without a host's table. */
ledger_state check_no_progress(void);
/** The position of a key among ledger_keys, or -1. */
int check_find_key(const char *document_id, const char *scope, const char *branch);
/** A number above all that came before it. */
int64_t check_next_index(void);

/** Reads the state of a file with nothing but SQL; integrity and the invariants of the tables are checked as well. */
ledger_state check_read_file(const char *path, const char *place);
/** The copy is not there, as it was, or complete. */
void check_exported(const run *r);
/** Commits a change with plain SQL. */
void check_write_foreign(const run *r, const ledger_change *change);

#endif
