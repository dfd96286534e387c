/* SPDX-License-Identifier: MIT */
#ifndef CT_TURN_H
#define CT_TURN_H

/**
 * The turn, and who takes whose work along.
 *
 * Whoever wants to use the store queues a ticket; the head of the queue has the turn. So there is one user of the
 * SQLite connection at a time, in order of arrival: background work gets its turn however busy the updates are, and
 * they theirs.
 *
 * An update that gets the turn takes the updates that stand right behind it along: their progress is committed in one
 * transaction, and one fsync serves all. When it passes the turn on, those that were taken along wake and find their
 * outcome in their tickets; then the new head starts.
 *
 * Threads that update in a loop are back a moment later, too late for the new head: without more ado they would split
 * into two halves that take turns, each with an fsync of its own. So a head sleeps until nearly as many updates have
 * queued as were active when the turn was passed: in the last group, or queued behind it. It sleeps for a quarter of
 * the time that the last group took, at most, and never long: a group may have waited seconds for another program's
 * lock. Each time that they have not come it lets twice as many groups go by before it hopes again, so that updates
 * which come by chance hardly wait. (Measured with 16 threads on two cores: groups of 15 instead of 8 and a third more
 * updates, and also beside four busy processes; giving up the processor instead of sleeping, as sched_yield() does, made
 * it five times slower there.)
 *
 * SQLite's writer lock may be held by others for long. Whoever has the turn and does not get that lock does not sleep on
 * it: between two tries, when no transaction is open and nothing is on its way to the board, it lends the turn to the
 * queued tickets that only read, such as a follower's. Each gives it back to the lender, and may lend it itself. So what
 * others commit is seen, and waits wake, whoever waits for a lock. A lender serves those who have queued by then, and
 * tries again: whoever reads all the time does not keep it from trying.
 *
 * A gate opens once for each thing that its thread waits for: to be the head (or done), to have been joined, to have the
 * turn given back. So whoever sleeps for others takes what has opened its gate, even if it came too late: else the first
 * loan would seem to be over when it has just begun.
 *
 * A ticket stands on the stack of its thread. Its `next` is guarded by the turn's lock; the rest belongs to its thread
 * until it queues, then to the holder of the turn until the gate opens.
 */
#include "ctrack.h"
#include "sync.h"

typedef struct ct_ticket {
    struct ct_ticket *next;
    ct_gate gate;
    const ctrack_coordinate *coordinates; /* of an update, else NULL */
    size_t count;
    ctrack_error *error;
    ctrack_status status;
    bool reads;               /* it changes nothing in the store, so it may borrow the turn; set before it queues */
    bool done;                /* another update has taken this one along */
    struct ct_ticket *lender; /* whom the turn is to be given back to; NULL: it is not borrowed */
} ct_ticket;

typedef struct ct_turn {
    ct_mutex lock;
    ct_ticket *first, *last; /* lock */
    size_t updates;          /* lock; in the queue */
    size_t awaited;          /* lock; the head sleeps until there are as many, 0: it does not */
    /* the rest is the holder's */
    ct_ticket *borrower;    /* who has it, if it is lent; else NULL */
    size_t active;          /* updates in the last group, and behind it when it was done */
    int64_t patience;       /* nanoseconds to sleep for them */
    unsigned backoff, skip; /* groups not to sleep for after the next disappointment, and still to come */
} ct_turn;

int ct_turn_init(ct_turn *turn);
void ct_turn_destroy(ct_turn *turn);
/** Blocks until the ticket has the turn, or is done. 0, or -1: no resources, and the ticket is not queued. */
int ct_turn_take(ct_turn *turn, ct_ticket *ticket);
/** Passes the turn on behind `last`, which is the holder's own ticket or the last one that it took along. What was
 * borrowed is given back. */
void ct_turn_pass(ct_turn *turn, ct_ticket *own, ct_ticket *last);

/** Lends the turn to each ticket in the queue that only reads, in order, and has it back when it returns. Nothing of the
 * holder's is under way in the store. */
void ct_turn_lend(ct_turn *turn);

/** Before an update that has the turn takes others along: sleeps for those that will soon be back. */
void ct_turn_gather(ct_turn *turn, ct_ticket *own);
/** The last of the updates behind its own that the holder of the turn takes along. */
ct_ticket *ct_turn_take_along(ct_turn *turn, ct_ticket *own);
/** A group has taken so many nanoseconds, from which the next one's patience comes. The turn is held. */
void ct_turn_took(ct_turn *turn, int64_t nanoseconds);

#endif
