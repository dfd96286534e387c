/* SPDX-License-Identifier: MIT */
#ifndef CT_TRACKER_H
#define CT_TRACKER_H

/**
 * A tracker: the board (memory), the store (file), the turn between its users, and the keeper who looks after the file.
 * Without a file there is no store and no keeper.
 */
#include "board.h"
#include "follower.h"
#include "keeper.h"
#include "store.h"
#include "turn.h"

/** Keyspaces that the transaction under way has added to the file. */
typedef struct ct_new_keyspaces {
    ct_keyspace **items;
    size_t count, capacity;
} ct_new_keyspaces;

struct ctrack {
    ct_board *board;
    char *read_model;
    ct_store *store;        /* the turn; NULL: memory only */
    ct_turn turn;           /* its own lock */
    ct_follower follower;   /* see follower.h */
    atomic_bool committing; /* a commit of our own is visible in the file, or about to be, and not published yet */
    bool crowded;           /* the turn: others had committed when we last looked */
    ct_keeper keeper;       /* its own lock */
    ct_advances advances;   /* the turn: what is on its way from the store to the board; empty between turns */
    ct_new_keyspaces new_keyspaces; /* the turn */
    atomic_uint calls;              /* under way, plus one until the tracker is closed */
    atomic_bool closing;            /* new calls, which only callbacks may make, are refused */
    ct_gate *closer;                /* opened by whoever brings `calls` to zero */
    ctrack_log_callback *log;
    void *log_argument;
};

/** Begins a public call: CTRACK_INVALID, CTRACK_FORKED, CTRACK_MISUSE from a callback that may not call, CTRACK_CLOSED;
 * or it counts as under way until ct_tracker_leave(). */
ctrack_status ct_tracker_enter(ctrack *tracker, ctrack_error *error);
/** Ends it. Returns `status`, so that a call can end in one line. */
ctrack_status ct_tracker_leave(ctrack *tracker, ctrack_status status);

/** Passes the turn on after what was committed has been published. */
void ct_tracker_pass(ctrack *tracker, ct_ticket *own, ct_ticket *last);

/** Tells the host what happened on the tracker's own account. */
void ct_tracker_log(const ctrack *tracker, const ctrack_error *error);

#endif
