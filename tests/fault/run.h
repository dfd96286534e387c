/* SPDX-License-Identifier: MIT */
#ifndef RUN_H
#define RUN_H

/**
 * Calls of the library with a checker beside them. A run is a file, the trackers that are open on it, a connection of
 * the host's own, and the books (ledger.h). Each run_… makes one call, judges its status by what the header documents
 * for the fault that is injected, enters the outcome in the books, and sees that memory holds what was acknowledged and
 * nothing else, and that nobody was woken for less.
 */
#include <sqlite3.h>

#include "ctrack.h"
#include "ledger.h"

/**
 * What is being injected; it decides which statuses are fine. RUN_NO_POWER: the disk is gone. What succeeds now may be
 * lost all the same: a machine without power would not have said so to anybody.
 */
typedef enum run_fault { RUN_NO_FAULT, RUN_IO, RUN_FULL, RUN_NO_MEMORY, RUN_BUSY, RUN_CORRUPT, RUN_NO_POWER } run_fault;

enum { RUN_TRACKERS = 2, RUN_DUMP_SIZE = 16384 };

typedef struct run {
    char path[300], copy[300]; /* the file, and what is exported from it */
    ledger *books;
    ctrack *trackers[RUN_TRACKERS];
    int models[RUN_TRACKERS];         /* whose progress each of them tracks */
    ledger_state shown[RUN_TRACKERS]; /* what its memory must hold: its own model's part */
    sqlite3 *host;
    run_fault fault;
    bool killed;     /* its process was: the files that were to become the database, or the copy, may have been left
                        under other names */
    char place[300]; /* for messages: scenario and point */
} run;

/** What a file is like before a run. */
typedef enum run_template {
    RUN_NEW,      /* there is none */
    RUN_HOST,     /* a database of the host's, without our tables and without a write-ahead log */
    RUN_USED,     /* closed in order; progress of both models, folded and not */
    RUN_LIVE,     /* its process was killed: a write-ahead log, and no shared memory */
    RUN_LONG_LOG, /* with rows to fold and rows to trim */
    RUN_TEMPLATES
} run_template;

/** Makes the templates, and the dump that run_restore() reads, in the directory. Nothing is injected yet. */
void run_make_templates(const char *directory);
/** Begins a run: puts the template's files into the directory, and writes into the books what they hold. */
void run_begin(run *r, const char *directory, run_template kind, ledger *books);

/** Judges the status of a call that has no run_… of its own; `error` is NULL if it has none. */
void run_judge(run *r, const char *call, ctrack_status status, const ctrack_error *error);

void run_open(run *r, int tracker, int model, bool read_only);
void run_close(run *r, int tracker);
void run_update(run *r, int tracker, const ledger_change *change);
/** Three updates that are committed together. */
void run_group(run *r, int tracker, const ledger_change changes[3]);
void run_hydrate(run *r, int tracker, const ledger_change *change);
void run_forget(run *r, int tracker, const ledger_change *change);
void run_refresh(run *r, int tracker);
void run_fold(run *r, int tracker);
void run_fold_wholly(run *r, int tracker); /**< ctrack_fold() */
void run_checkpoint(run *r, int tracker);
/** Exports to the copy, which may be there already or not. */
void run_export(run *r, int tracker);
/** ctrack_check() finds nothing, if it can look. */
void run_inspect(run *r);
void run_dump(run *r, int tracker);
void run_restore(run *r, int tracker, ctrack_restore_mode mode);
/** What the dump that run_restore() reads does to the books. */
ledger_change run_restored(ctrack_restore_mode mode);
void run_open_host(run *r);
/** The host's number and its progress in one transaction, which is committed or rolled back. */
void run_stage(run *r, const ledger_change *change, bool commit);
/** The same, but staging is what the transaction begins with; it is committed. */
void run_stage_first(run *r, const ledger_change *change);
void run_satisfied_in(run *r, int key, int64_t index);
/** Another program's commit, which never fails: nothing is injected meanwhile. */
void run_foreign(run *r, const ledger_change *change);

/**
 * The cause has gone: all trackers work again or say that they must be opened anew, and what is open is closed. Then
 * the file is checked from outside and by a tracker, and works.
 */
void run_finish(run *r);
/** The second half of it, for a file that a dead process has left. */
void run_check_file(run *r);

#endif
