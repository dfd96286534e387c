/* SPDX-License-Identifier: MIT */
#ifndef CT_FOLLOWER_H
#define CT_FOLLOWER_H

/**
 * The follower: a tracker's thread that sees what other connections commit while a wait is pending, or all the time if
 * the tracker was opened so. It starts when it is first needed, and while no wait is pending it sleeps without waking.
 *
 * It looks through a connection of its own, which only reads, so that looking takes no turn. Only when the log's newest
 * row is not the one that the tracker has published, and no commit of the tracker's own is on its way to being
 * published, it takes the turn and follows.
 *
 * No wake-up is lost between sleeping and waiting: a wait is first registered, then looks whether the follower is
 * asleep; the follower first says that it is asleep, then looks whether a wait is pending (both sequentially
 * consistent).
 */
#include <stdatomic.h>

#include "sync.h"
#include "watch.h"

struct ctrack;

typedef struct ct_follower {
    ct_mutex lock; /* starting and stopping */
    ct_thread thread;
    ct_watch watch;
    bool started;       /* lock */
    bool always;        /* also while no wait is pending; never changes */
    atomic_bool asleep; /* nobody needs it, or it is about to look whether that is so */
    atomic_bool stopping;
} ct_follower;

int ct_follower_init(ct_follower *follower);
void ct_follower_destroy(ct_follower *follower);

/** A wait has been registered, or the tracker has been opened to follow always. 0, or -1: no resources. */
int ct_follower_need(struct ctrack *tracker);
void ct_follower_stop(struct ctrack *tracker);

#endif
