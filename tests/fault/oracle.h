/* SPDX-License-Identifier: MIT */
#ifndef ORACLE_H
#define ORACLE_H

/**
 * A naive model of a tracker's file and of who looks at it: for each read model an array, from key to index; for each
 * commit one more version of the whole. It predicts what every call answers.
 *
 * Where the header leaves it open when somebody sees a commit (a tracker whose follower is awake sees it at any moment)
 * the answer is one of several: a tracker shows one of the versions from `low` on, and a wait may have any of the
 * statuses that are `allowed`.
 */
#include <stdbool.h>
#include <stddef.h>

#include "ctrack.h"

enum { ORACLE_MODELS = 2, ORACLE_KEYS = 5, ORACLE_TRACKERS = 2, ORACLE_VERSIONS = 256, ORACLE_WAITS = 4 };
#define ORACLE_NEVER INT64_C(-1)

/** The keys, in the order of a dump: several keyspaces, empty text, a colon. */
extern const ctrack_key oracle_keys[ORACLE_KEYS];
extern const char *const oracle_models[ORACLE_MODELS];

typedef struct oracle_state {
    int64_t index[ORACLE_MODELS][ORACLE_KEYS];
    bool known[ORACLE_MODELS]; /* the file has heard of the read model */
    int64_t rows;              /* in the host's own table */
} oracle_state;

/** What a tracker shows. */
typedef struct oracle_view {
    int model;
    bool read_only;
    bool failed;   /* ctrack_fail() */
    bool unloaded; /* lazy, and nothing has been loaded: it answers from the file */
    bool follows;  /* its follower may look at any time */
    bool unsure;   /* a call that failed may have looked, or not */
    size_t low;    /* it shows this version, or a later one if one of the two above says so */
} oracle_view;

/** A wait, by its tracker. */
typedef struct oracle_wait {
    bool used;
    int tracker; /* -1: it is closed */
    int signal;  /* -1: none */
    int64_t target[ORACLE_KEYS];
    unsigned allowed; /* statuses that it may have, one bit each */
} oracle_wait;

#define ORACLE_BIT(status) (1U << (unsigned)(status))

/** The host's transaction. */
typedef enum oracle_stage { ORACLE_NO_TRANSACTION, ORACLE_BEGUN, ORACLE_READING, ORACLE_WRITING } oracle_stage;

typedef struct oracle_host {
    oracle_stage stage;
    size_t snapshot;          /* READING: the version that it sees */
    unsigned long changes;    /* READING: the file's commits when it began to read */
    oracle_state overlay;     /* WRITING: what it sees, and will commit */
    bool savepoint, begun_by; /* there is a savepoint; it has begun the transaction */
    bool saved_writing;       /* at the savepoint: WRITING, and then with this overlay */
    oracle_state saved;
} oracle_host;

typedef struct oracle {
    oracle_state versions[ORACLE_VERSIONS]; /* as committed, in their order */
    size_t last;
    unsigned long changes; /* commits to the file, those that change no progress included */
    oracle_view views[ORACLE_TRACKERS];
    oracle_wait waits[ORACLE_WAITS];
    oracle_host host;
} oracle;

void oracle_begin(oracle *o);
/** What is committed. */
const oracle_state *oracle_now(const oracle *o);
void oracle_commit(oracle *o, const oracle_state *state);
/** The newest version that a view may show. */
size_t oracle_high(const oracle *o, const oracle_view *view);

/** Raises keys of a model to the targets (ORACLE_NEVER: not named). */
void oracle_raise(oracle_state *state, int model, const int64_t target[ORACLE_KEYS]);
bool oracle_reaches(const oracle_state *state, int model, const int64_t target[ORACLE_KEYS]);
bool oracle_same(const oracle_state *a, const oracle_state *b, int model);
size_t oracle_count(const oracle_state *state, int model);

/** A tracker is opened. */
void oracle_open(oracle *o, int tracker, int model, const ctrack_options *options);
/** A tracker has looked at the file. */
void oracle_synced(oracle *o, int tracker);
/** It may have, or may be doing so. */
void oracle_unsure(oracle *o, int tracker);
/** It answers from memory, which it loads first if need be. */
void oracle_loaded(oracle *o, int tracker);

/** Which outcomes a wait has that begins now: `late` is what becomes of it if nothing is reached. */
unsigned oracle_outcomes(const oracle *o, int tracker, const int64_t target[ORACLE_KEYS], ctrack_status late);
/** What a wait may be now. */
unsigned oracle_allowed(const oracle *o, const oracle_wait *wait);
/** It was seen to be. */
void oracle_seen(oracle_wait *wait, ctrack_status status);
/** A tracker has closed; its waits have ended. */
void oracle_close(oracle *o, int tracker);
/** The waits of a tracker (-1: any) with a signal (-1: any or none) end. */
void oracle_end(oracle *o, int tracker, int signal, ctrack_status status);

/** The host reads: what it sees. */
const oracle_state *oracle_host_reads(oracle *o);
/** The host writes: where to; NULL: its snapshot is too old, so that it is busy. */
oracle_state *oracle_host_writes(oracle *o, oracle_state *alone);
/** The host's statement has ended; `alone` is committed unless it is in a transaction. */
void oracle_host_wrote(oracle *o, const oracle_state *alone);
void oracle_host_ends(oracle *o, bool commit);
void oracle_host_saves(oracle *o);
void oracle_host_goes_back(oracle *o);

#endif
