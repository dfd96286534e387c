/* SPDX-License-Identifier: MIT */
#ifndef CT_COMMIT_H
#define CT_COMMIT_H

/**
 * The turn, and commits in groups.
 *
 * Whoever wants to use the store queues a ticket; the head of the queue has the turn. So there is one user of the
 * SQLite connection at a time, in order of arrival: background work gets its turn however busy the updates are, and
 * they theirs.
 *
 * An update that gets the turn takes the updates that stand right behind it along: their progress is committed in one
 * transaction, and one fsync serves all. When it passes the turn on, the new head starts first; then those that were
 * taken along wake and find their outcome in their tickets.
 *
 * A ticket stands on the stack of its thread. Its `next` is guarded by the turn's lock; the rest belongs to its thread
 * until it queues, then to the holder of the turn until the gate opens.
 */
#include "board.h"
#include "store.h"
#include "sync.h"

typedef struct ct_ticket {
    struct ct_ticket *next;
    ct_gate gate;
    const ctrack_coordinate *coordinates; /* of an update, else NULL */
    size_t count;
    ctrack_error *error;
    ctrack_status status;
    bool done; /* another update has taken this one along */
} ct_ticket;

typedef struct ct_turn {
    ct_mutex lock;
    ct_ticket *first, *last; /* lock */
} ct_turn;

int ct_turn_init(ct_turn *turn);
void ct_turn_destroy(ct_turn *turn);
/** Blocks until the ticket has the turn, or is done. 0, or -1: no resources, and the ticket is not queued. */
int ct_turn_take(ct_turn *turn, ct_ticket *ticket);
/** Passes the turn on behind `last`, which is the holder's own ticket or the last one that it took along. */
void ct_turn_pass(ct_turn *turn, ct_ticket *own, ct_ticket *last);

struct ctrack;

/** ctrack_update() on a file. */
ctrack_status ct_commit_update(struct ctrack *tracker, const ctrack_coordinate *coordinates, size_t count,
                               ctrack_error *error);

#endif
