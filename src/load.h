/* SPDX-License-Identifier: MIT */
#ifndef CT_LOAD_H
#define CT_LOAD_H

/**
 * Loading: the first reading of a file, into a map that nobody uses before it is loaded. So there is no list of steps,
 * no lock and nobody to wake: what is folded goes straight into the map, then the rows of the log behind the fold.
 *
 * Such a row mostly names a key that has just been read, by its id. A table of ids, which lives as long as the loading,
 * answers that: neither the dictionary nor the map is asked for the text again.
 */
#include "tracker.h"

/** Fills the map of a new tracker in the transaction of the caller. `last_seq`, the log's last row, is believed only as
 * far as speed goes. After an error the map is empty again. */
ctrack_status ct_load(ctrack *tracker, int64_t folded_seq, int64_t last_seq, ctrack_error *error);

#endif
