/* SPDX-License-Identifier: MIT */
#ifndef CT_ABORT_H
#define CT_ABORT_H

/**
 * Abort signals. A signal keeps a list of the pending promises that were given it, on whatever trackers.
 *
 * Its lock comes after every board's lock, so ctrack_abort() takes the promises off the list one by one, each with a
 * reference, and settles each without holding the signal's lock. A promise on the list is pending, hence alive:
 * settling takes it off (ct_abort_detach()) before its wait set's reference is dropped.
 */
#include "ctrack.h"

/** A promise's place in its signal's list. Guarded by the signal's lock; `signal` by the board's. */
typedef struct ct_abort_link {
    ctrack_abort_signal *signal; /* NULL: none. Holds a reference. */
    struct ct_abort_link *next;
    struct ct_abort_link **place; /* the pointer that points here; NULL: not on the list */
} ct_abort_link;

/** Puts a pending promise on the list; false if the signal was given already. The board's lock is held. */
bool ct_abort_attach(ctrack_abort_signal *signal, ct_abort_link *link);
/** Takes it off, if it is there still, and lets the signal go. The board's lock is held. */
void ct_abort_detach(ct_abort_link *link);

#endif
