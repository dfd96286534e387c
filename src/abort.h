/* SPDX-License-Identifier: MIT */
#ifndef CT_ABORT_H
#define CT_ABORT_H

/**
 * Abort signals. A signal keeps a list of the pending promises that were given it, on whatever trackers.
 *
 * Its lock comes after every board's lock, so ctrack_abort() settles the first promise on the list, with a reference and
 * without holding the signal's lock, until none is left. A promise on the list is alive: whoever settles it takes it off
 * (ct_abort_detach()) before the board's lock is released and its wait set's reference is dropped.
 */
#include "ctrack.h"

/** A promise's place in its signal's list. Guarded by the signal's lock; `signal` by the board's. */
typedef struct ct_abort_link {
    ctrack_abort_signal *signal; /* NULL: none. Holds a reference. */
    struct ct_abort_link *next;
    struct ct_abort_link **place; /* the pointer that points here */
} ct_abort_link;

/** Whether this process has made it, not a parent. */
bool ct_abort_is_ours(const ctrack_abort_signal *signal);
/** Puts a pending promise on the list; false if the signal was given already. The board's lock is held. */
bool ct_abort_attach(ctrack_abort_signal *signal, ct_abort_link *link);
/** Takes it off, if it has been put on, and lets the signal go. The board's lock is held. */
void ct_abort_detach(ct_abort_link *link);

#endif
