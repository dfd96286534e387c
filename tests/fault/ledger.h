/* SPDX-License-Identifier: MIT */
#ifndef LEDGER_H
#define LEDGER_H

/**
 * What a file may hold: the books that a checker keeps beside the library.
 *
 * Every operation is entered before it is called and settled when it has returned. One that succeeded has happened; one
 * that failed has not, unless its status says that the outcome is unknown; one that never returned (a kill, a power
 * cut) may have. So there is a set of states of which the file must hold one, whole: no acknowledged update is missing,
 * nothing is half done, nothing is there that nobody wrote.
 *
 * A ledger is plain memory, so that it can be shared with a process that is going to be killed.
 */
#include "ctrack.h"

enum { LEDGER_MODELS = 2, LEDGER_KEYS = 8, LEDGER_STATES = 16, LEDGER_FLYING = 4, LEDGER_NEVER = -1 };

/** The keys that all scenarios use: several keyspaces, odd characters, and a document id that fills pages. */
extern const ctrack_key ledger_keys[LEDGER_KEYS];
extern const char *const ledger_models[LEDGER_MODELS];
void ledger_init_keys(void); /**< before anything else */

typedef struct ledger_state {
    int64_t index[LEDGER_MODELS][LEDGER_KEYS];
    int64_t host; /* a number in the host's own table; LEDGER_NEVER: the file has no such table */
} ledger_state;

typedef enum ledger_kind { LEDGER_RAISE, LEDGER_REPLACE, LEDGER_FORGET, LEDGER_HOST } ledger_kind;

typedef struct ledger_change {
    ledger_kind kind;
    bool models[LEDGER_MODELS]; /* whom it concerns */
    ledger_state values;        /* LEDGER_NEVER: the key is not named; host as well */
} ledger_change;

typedef struct ledger {
    size_t count;
    ledger_state possible[LEDGER_STATES]; /* the first: everything that was acknowledged, and nothing else */
    volatile int flying;                  /* how many changes are called and not settled */
    ledger_change changes[LEDGER_FLYING];
    /* The file that an export makes: what it is, and behind that what an export that is under way makes of it. */
    bool copy_absent; /* perhaps there is none */
    volatile size_t copy_was, copy_count;
    ledger_state copies[2 * LEDGER_STATES];
} ledger;

void ledger_start(ledger *books, const ledger_state *state);
/** A change that names no key of no model yet. */
ledger_change ledger_no_change(ledger_kind kind);
/** Adds a key to it. */
void ledger_name(ledger_change *change, int model, int key, int64_t index);
void ledger_apply(const ledger_change *change, ledger_state *state);

/** Enters a change that is about to be called. */
void ledger_enter(ledger *books, const ledger_change *change);
/** Settles the oldest entered change: it has happened, has not, or perhaps has. */
typedef enum ledger_outcome { LEDGER_DONE, LEDGER_NOT_DONE, LEDGER_UNKNOWN } ledger_outcome;
void ledger_settle(ledger *books, ledger_outcome outcome);
/** All changes that never returned may have happened. */
void ledger_all_unknown(ledger *books);

/** An export begins, and has ended: the copy is then as complete as it was, or holds one of the possible states. */
void ledger_export(ledger *books);
void ledger_exported(ledger *books, bool done);
/** Whether the copy may hold this state; NULL: whether there may be none. */
bool ledger_allows_copy(const ledger *books, const ledger_state *copy);
/** The copy holds this state, or is not there. */
void ledger_copy_found(ledger *books, const ledger_state *copy);

/** Whether the file may hold this state. */
bool ledger_allows(const ledger *books, const ledger_state *state);
/** The file holds this state: others are no longer possible. */
void ledger_found(ledger *books, const ledger_state *state);
bool ledger_same_model(const ledger_state *a, const ledger_state *b, int model);
bool ledger_same(const ledger_state *a, const ledger_state *b);
/** One line for people. */
void ledger_print(const ledger_state *state, char *text, size_t size);

#endif
