/* SPDX-License-Identifier: MIT */
#ifndef CT_GUARD_H
#define CT_GUARD_H

/**
 * Guards: what keeps other processes from taking a file for nobody's while this one uses it.
 *
 * SQLite's locks are POSIX locks. They belong to the process, and whoever closes any descriptor of the file drops all of
 * them: the host itself, when it reads the file once, or a second copy of SQLite in the process
 * (https://www.sqlite.org/howtocorrupt.html, 2.2). The next process that closes the file then believes that it is the
 * last one, and removes the write-ahead log; what is committed from then on stands in a log without a name.
 *
 * So a guard has descriptors of its own, and through them locks that belong to the descriptor (F_OFD_SETLK): for reading,
 * on the bytes that SQLite's readers lock in the database and on the byte of -shm that says that somebody uses it. They
 * forbid nothing that SQLite's own locks do not forbid, as long as those are there. As they are in the way of this
 * process, too, a file is brought to write-ahead mode before it is guarded, and the last store on it gives its guard up
 * just before it closes, when SQLite may clean up.
 *
 * Closing a descriptor of ours would drop the locks of whoever else uses the file in this process. So it is closed only
 * when nobody here has a lock on it, while a lock of ours keeps everybody from taking one; else it is kept in the
 * registry, for the next store on this file. It is tried again whenever a file is opened or closed.
 *
 * One registry for the process, with a lock of its own, under which nothing of SQLite is called. A child of fork(2) has
 * another one, which is empty: it closes the descriptors that it has inherited, before it can have locks.
 *
 * Where there are no such locks, or no way to see who has locks, the descriptors are kept, and protect nothing.
 */
#include "ctrack.h"
#include "inode.h"

typedef struct ct_guard ct_guard;

/**
 * Guards a file in write-ahead mode that the caller has just read and keeps open. All stores on it share one guard.
 *
 * @param[in]  path, index  The names of the database and of its -shm.
 * @param[in]  file         What the first name stands for.
 * @param[out] guard        Given up with ct_guard_loosen().
 * Errors: CTRACK_BUSY when it cannot be told that it is the file which others use, and the caller has to open it anew;
 *         CTRACK_IO when it cannot be opened; CTRACK_NO_MEMORY.
 */
ctrack_status ct_guard_take(const char *path, const char *index, const ct_inode *file, ct_guard **guard,
                            ctrack_error *error);

/** Whether this process guards a file for a store, with the -shm that has this name now. */
bool ct_guard_has(const char *index, const ct_inode *file);

/** A store on the file is about to close its connection. NULL is fine. */
void ct_guard_loosen(ct_guard *guard);

/** Closes the descriptors that are of no use any more, and can be closed. */
void ct_guard_tidy(void);

/** Whether the database has no name any more, so that nobody can ever open it again. */
bool ct_guard_deleted(const ct_guard *guard);

/** Whether its descriptor of the database is still that: who closes all descriptors in the process has closed SQLite's as
 * well, and what SQLite writes then goes into whatever file gets the number next. */
bool ct_guard_intact(const ct_guard *guard);

/** Which file -shm is. */
const ct_inode *ct_guard_index(const ct_guard *guard);

/** Reads from -shm, as SQLite's other processes see it. The bytes read; -1 on an error. */
ssize_t ct_guard_read_index(const ct_guard *guard, void *buffer, size_t size, off_t offset);

#endif
