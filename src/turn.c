/* SPDX-License-Identifier: MIT */
#include "turn.h"

#include "clock.h"

/* A group takes no more updates along once it has this many coordinates: nobody shall wait long for others' work. */
#define GROUP_COORDINATES 4096

/* A head sleeps for others this part of what a group takes, and only if that is longer than timers are late. */
#define PATIENCE_PART 4
#define PATIENCE_LEAST 25000
#define PATIENCE_MOST 10000000
#define BACKOFF_MOST 63

int ct_turn_init(ct_turn *turn)
{
    *turn = (ct_turn){.first = NULL};
    return ct_mutex_init(&turn->lock);
}

void ct_turn_destroy(ct_turn *turn)
{
    ct_mutex_destroy(&turn->lock);
}

int ct_turn_take(ct_turn *turn, ct_ticket *ticket)
{
    if (ct_gate_init(&ticket->gate) != 0) {
        return -1;
    }
    ticket->next = ticket->lender = NULL;
    ct_mutex_lock(&turn->lock);
    bool head = turn->first == NULL;
    *(head ? &turn->first : &turn->last->next) = ticket;
    turn->last = ticket;
    if (ticket->coordinates != NULL && ++turn->updates == turn->awaited) {
        turn->awaited = 0;
        ct_gate_open(&turn->first->gate); /* the head does not leave before that */
    }
    ct_mutex_unlock(&turn->lock);
    if (!head) {
        ct_gate_wait(&ticket->gate, CT_NEVER);
    }
    return 0;
}

static void give_back(ct_ticket *own)
{
    ct_ticket *lender = own->lender;
    ct_gate_destroy(&own->gate);
    ct_gate_open(&lender->gate);
}

void ct_turn_pass(ct_turn *turn, ct_ticket *own, ct_ticket *last)
{
    if (own->lender != NULL) {
        give_back(own);
        return;
    }
    ct_mutex_lock(&turn->lock);
    ct_ticket *head = last->next, *taken_along = own != last ? own->next : NULL;
    last->next = NULL;
    turn->first = head;
    turn->last = head == NULL ? NULL : turn->last;
    turn->active = own->coordinates != NULL ? turn->updates : turn->active;
    for (const ct_ticket *ticket = own; ticket != NULL; ticket = ticket->next) {
        turn->updates -= ticket->coordinates != NULL;
    }
    ct_mutex_unlock(&turn->lock);
    while (taken_along != NULL) {
        ct_ticket *next = taken_along->next; /* read before its thread may go on */
        taken_along->done = true;
        ct_gate_open(&taken_along->gate);
        taken_along = next;
    }
    if (head != NULL) {
        ct_gate_open(&head->gate);
    }
    ct_gate_destroy(&own->gate);
}

/* Takes those that only read out of the queue. The holder's own ticket stays the first, so the queue is never empty. */
static ct_ticket *take_readers(ct_turn *turn)
{
    ct_ticket *readers = NULL, **end = &readers;
    ct_mutex_lock(&turn->lock);
    ct_ticket *kept = turn->first;
    for (ct_ticket *ticket = kept->next; ticket != NULL; ticket = ticket->next) {
        if (ticket->reads) {
            *end = ticket;
            end = &ticket->next;
        } else {
            kept->next = ticket;
            kept = ticket;
        }
    }
    *end = kept->next = NULL;
    turn->last = kept;
    ct_mutex_unlock(&turn->lock);
    return readers;
}

void ct_turn_lend(ct_turn *turn)
{
    ct_ticket *borrower = turn->borrower, *own = borrower != NULL ? borrower : turn->first;
    ct_ticket *reader = take_readers(turn);
    while (reader != NULL) {
        ct_ticket *next = reader->next; /* read before its thread may go on */
        reader->lender = own;
        turn->borrower = reader;
        ct_gate_open(&reader->gate);
        ct_gate_wait(&own->gate, CT_NEVER);
        reader = next;
    }
    turn->borrower = borrower;
}

void ct_turn_gather(ct_turn *turn, ct_ticket *own)
{
    size_t expected = turn->active - turn->active / 8;
    if (turn->patience < PATIENCE_LEAST) {
        return;
    }
    ct_mutex_lock(&turn->lock);
    bool few = turn->updates < expected, sleeps = few && turn->skip == 0;
    turn->awaited = sleeps ? expected : 0;
    ct_mutex_unlock(&turn->lock);
    if (!sleeps) {
        turn->skip -= few;
        return;
    }
    bool woken = ct_gate_wait(&own->gate, ct_clock_monotonic() + turn->patience);
    ct_mutex_lock(&turn->lock);
    bool came = turn->awaited == 0;
    turn->awaited = 0;
    ct_mutex_unlock(&turn->lock);
    if (came && !woken) {                   /* GCOVR_EXCL_BR_LINE: they came just when the time was up */
        ct_gate_wait(&own->gate, CT_NEVER); /* GCOVR_EXCL_LINE: it is open */
    }
    turn->backoff = came ? turn->backoff / 2 : turn->backoff * 2 + 1;
    turn->backoff = turn->backoff < BACKOFF_MOST ? turn->backoff : BACKOFF_MOST;
    turn->skip = came ? 0 : turn->backoff;
}

ct_ticket *ct_turn_take_along(ct_turn *turn, ct_ticket *own)
{
    ct_ticket *last = own;
    size_t count = own->count;
    ct_mutex_lock(&turn->lock);
    while (last->next != NULL && last->next->coordinates != NULL && count < GROUP_COORDINATES) {
        last = last->next;
        count += last->count;
    }
    ct_mutex_unlock(&turn->lock);
    return last;
}

void ct_turn_took(ct_turn *turn, int64_t nanoseconds)
{
    int64_t patience = nanoseconds / PATIENCE_PART;
    turn->patience = patience < PATIENCE_MOST ? patience : PATIENCE_MOST;
}
