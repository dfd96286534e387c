/* SPDX-License-Identifier: MIT */
#ifndef CT_WRITE_H
#define CT_WRITE_H

/**
 * A transaction of a tracker that writes. It begins by catching up: under SQLite's writer lock, with all that others
 * have committed known, what is decided from memory is true of the file. The turn is held from begin to end.
 */
#include "tracker.h"

/** Begins; *anew says that the tracker's list has been given up: others have committed, or the lock had to be waited for.
 * It is made anew then, from what is true now. On an error nothing has begun. */
ctrack_status ct_write_begin(ctrack *tracker, bool *anew, ctrack_error *error);
/** What a tracker does while it waits for the writer lock (ct_store.idle): gives its list up and lends the turn. */
void ct_write_idle(void *tracker);

/** Ends: commits if `status` is CTRACK_OK, else rolls back. Returns `status`, or why the commit failed. */
ctrack_status ct_write_end(ctrack *tracker, ctrack_status status, ctrack_error *error);

/**
 * The id of a keyspace in the file. What the map has not been told is looked up there, and the keyspace added if need
 * be, which the end of the transaction makes final. Whoever writes a row asks here: what the map knows is not all that
 * the file has.
 */
ctrack_status ct_write_keyspace(ctrack *tracker, ct_keyspace *keyspace, int64_t *id, ctrack_error *error);
/** The same of the keyspace that an entry's key is in. */
ctrack_status ct_write_keyspace_of(ctrack *tracker, const ct_entry *entry, int64_t *id, ctrack_error *error);

/** Appends a row that says: forgotten (a document), or all of the keyspace's read model replaced (NULL). It counts as
 * folded, so everything before it must be (ct_fold_all()). */
ctrack_status ct_write_rewind(ctrack *tracker, int64_t keyspace_id, const char *document_id, size_t length,
                              ctrack_error *error);

#endif
