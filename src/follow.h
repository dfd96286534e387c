/* SPDX-License-Identifier: MIT */
#ifndef CT_FOLLOW_H
#define CT_FOLLOW_H

/**
 * The one path from the file to memory: read what is new, publish it, wake. It serves looking for what other
 * connections have committed, and catching up before a commit of our own; and it begins with loading (load.h).
 *
 * The rows behind the last seq that was seen are what is new. If they are not all there any more, because the log was
 * folded and trimmed in the meantime, or one of them says that everything was replaced, all is read anew: what is
 * folded, then the rows behind the fold; and replaces what was known.
 */
#include "tracker.h"

/**
 * Publishes what other connections have committed since the last time, if they have; the first time, all there is. In
 * a transaction that writes (before its first write), or in none: then it reads in one of its own. The turn is held.
 */
ctrack_status ct_follow(ctrack *tracker, bool *followed, ctrack_error *error);
/** The same, by somebody who does not hold the turn. `helps`: checkpoints if that is due, too (keeper.h). */
ctrack_status ct_follow_in_turn(ctrack *tracker, bool helps, ctrack_error *error);
/** Loads the progress of a tracker that was opened to do so late, if it has not yet; in memory there is nothing to do.
 * The turn is not held. */
ctrack_status ct_follow_begin(ctrack *tracker, ctrack_error *error);

/** What a keyspace id of the file stands for; *keyspace is NULL if it is another read model's. The turn is held. */
ctrack_status ct_follow_keyspace(ctrack *tracker, int64_t id, ct_keyspace **keyspace, ctrack_error *error);

#endif
