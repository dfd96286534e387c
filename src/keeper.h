/* SPDX-License-Identifier: MIT */
#ifndef CT_KEEPER_H
#define CT_KEEPER_H

/**
 * The keeper: a tracker's thread that looks after the file, away from the updates' path: it folds the log when it has
 * grown long, checkpoints the write-ahead log, and gives its space back when it was long. It starts when there is something
 * to do for the first time.
 *
 * What it fails at (a busy or full disk) is reported to the log callback and tried again later; nothing depends on it
 * but the length of the logs.
 */
#include <stdatomic.h>

#include "sync.h"

struct ctrack;

typedef struct ct_keeper {
    ct_mutex lock;
    ct_condition wake;
    ct_thread thread;
    bool started;         /* lock */
    bool due;             /* lock: somebody has seen that there is something to do */
    atomic_bool watches;  /* it looks again and again whether the log's space can be given back */
    atomic_bool stopping; /* set under the lock, read by work under way */
} ct_keeper;

int ct_keeper_init(ct_keeper *keeper);
void ct_keeper_destroy(ct_keeper *keeper);

/** Wakes the keeper if there is something to do, which a tracker for reading only never has. The turn is held. */
void ct_keeper_consider(struct ctrack *tracker);
/** After a commit: where there is little space the keeper may come too late, so whoever adds rows folds as many. The turn is
 * held. */
void ct_keeper_keep_up(struct ctrack *tracker);
/** Checkpoints if that is due and nobody writes, on the caller's thread: a host that refreshes after its commits, and has no
 * busy timeout, then does not meet the keeper. The turn is held. */
void ct_keeper_checkpoint(struct ctrack *tracker);
/** Lets it finish the step that it is at, and ends it. The turn is not held. */
void ct_keeper_stop(struct ctrack *tracker);
/** Of a tracker that closes, and may have lived for one update only: folds some of the log, and checkpoints, without
 * waiting for anybody. There is nobody else who uses the tracker. */
void ct_keeper_end(struct ctrack *tracker);

#endif
