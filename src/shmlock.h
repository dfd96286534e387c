/* SPDX-License-Identifier: MIT */
#ifndef CT_SHMLOCK_H
#define CT_SHMLOCK_H

/**
 * Locks on -shm that nobody drops by closing a file.
 *
 * In write-ahead mode, who may write and what readers still need stands in locks on bytes of -shm. SQLite's are POSIX
 * locks, which a process loses when anything in it closes a descriptor of the file: the host that reads it once, or a
 * second copy of SQLite (https://www.sqlite.org/howtocorrupt.html, 2.2). A writer that has lost its lock in the middle
 * of a commit writes beside another one, and what one of them has acknowledged is gone; no later look could tell.
 *
 * SQLite has one descriptor of -shm for each file and process, through which it asks for all of these locks. So a lock
 * that belongs to the descriptor (F_OFD_SETLK) means the same, to other processes too, but nobody else drops it. SQLite
 * lets its fcntl() be replaced (sqlite3_vfs.xSetSystemCall). What replaces it asks for such a lock where SQLite asks for
 * one on these bytes, and is fcntl() for everything else. That goes for all databases of this copy of SQLite in this
 * process, and other processes need not know.
 *
 * The child of a fork shares descriptors, and such locks, with its parent: it would take part in them, and keep them
 * when the parent dies. So it opens each of these files anew in the descriptor's place. Where it cannot, its fcntl() is
 * itself again.
 *
 * A lock guards the list of descriptors. SQLite comes here with locks of its own, so nothing is called under this one that
 * could wait for any.
 */

/** From now on it is so; again is fine. Where there are no such locks, or nothing can be replaced, nothing changes. */
void ct_shmlock_keep(void);

#endif
