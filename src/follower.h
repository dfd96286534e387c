/* SPDX-License-Identifier: MIT */
#ifndef CT_FOLLOWER_H
#define CT_FOLLOWER_H

/**
 * The follower: a tracker's thread that sees what other connections commit while a wait is pending, or all the time if
 * the tracker was opened so. It starts when it is first needed, and while no wait is pending it sleeps without waking.
 *
 * It looks through a connection of its own, which only reads, so that looking takes no turn. Only when the log's newest
 * row is not the one that the tracker has published, and no commit of the tracker's own is on its way to being
 * published, it takes the turn and follows. While it can have no such connection, it follows at each look.
 *
 * It never gives up. A file that is deleted, replaced or truncated ends the waits at once; one that is not under its
 * name, or not as it should be, once that has lasted for the grace; nothing else does (a lack of descriptors or memory,
 * a refused access, a lock). Whatever it is, it is told to the host once, and the file is looked at again, soon and then
 * less often; when all is well again, waits wait again.
 *
 * No wake-up is lost between sleeping and waiting: a wait is first registered, then looks whether the follower is
 * asleep; the follower first says that it is asleep, then looks whether a wait is pending (both sequentially
 * consistent).
 */
#include <stdatomic.h>

#include "sync.h"
#include "watch.h"

struct ctrack;

/** How long a file may be away, or be damaged, before its waits end. */
#define CT_FOLLOWER_GRACE_NANOSECONDS INT64_C(3000000000)

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
/** If waits on the file have been ended, looks whether all is well again, so that a new one can wait. */
void ct_follower_look_again(struct ctrack *tracker);
void ct_follower_stop(struct ctrack *tracker);

#endif
