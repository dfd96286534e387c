/* SPDX-License-Identifier: MIT */
#ifndef CT_WAL_H
#define CT_WAL_H

/**
 * SQLite's write-ahead log as a file: how long it is, the room that is made in it ahead of commits, and what it may take of
 * the disk.
 *
 * Its length. SQLite tells a connection of its own commits only. What all have written, and how much of it is in the
 * database already, stands in the log's index, which all of them share (https://www.sqlite.org/walformat.html); it is read
 * where SQLite has it in memory.
 *
 * Its room. A commit that makes the log longer costs more than one that writes where the log has room: its fsync has the
 * file system commit the new length, too. Measured for single rows on ext4, 650 us against 220. So the log is given room
 * for many small commits at once. It is filled with zeros, which nobody takes for frames: those carry the log's salt and a
 * checksum (https://www.sqlite.org/fileformat2.html#the_write_ahead_log).
 *
 * The disk. What stands in the log needs its place in the database before the log can be started over. A disk that the log
 * fills up to the last is full for good: nothing can be moved, and nothing is ever free again. So before the log grows, the
 * file system is asked for its free space, and a commit is refused that would leave less than the database needs for what
 * the log holds. The room counts as free, since it can be cut off. Whoever is refused has the log moved, folds, and tries
 * again (reclaim.h). Where there is little space, all that takes some is scaled down: how long the logs may get, what is
 * kept in them, the room.
 *
 * Sizes are asked for at times, and not for each commit: asking for the size of a file between two writes costs its next
 * fsync an entry in the file system's journal (on Linux from 6.13 on).
 */
#include "store.h"

/** Looks how long the log is: store->wal_pages, and how many of these are in the database: store->moved_pages. If that
 * cannot be told, they stay as they were. The connection has read before. */
void ct_wal_measure(ct_store *store);
/** The log has so many pages after a commit of our own. */
void ct_wal_note(ct_store *store, int pages);

/** Before a commit: makes room, now and then. CTRACK_FULL when the log must not grow. The writer lock is held. */
ctrack_status ct_wal_prepare(ct_store *store, ctrack_error *error);

/** Cuts off what is behind the last commit. The writer lock is held. */
void ct_wal_cut(ct_store *store);

/** The log has more pages that are not in the database than it should have. */
bool ct_wal_is_due(const ct_store *store);
/** The log has been so long that the space is to be given back once nobody needs what is in it. */
bool ct_wal_is_large(const ct_store *store);
/** Then: it has been started over, so that it need only be cut. */
bool ct_wal_is_short(const ct_store *store);

/** There is little space on the disk. */
bool ct_wal_is_scarce(const ct_store *store);
/** `usual`, or the part of it that is fit for the space there is. At least `least`. */
int64_t ct_wal_scaled(const ct_store *store, int64_t usual, int64_t least);

#endif
