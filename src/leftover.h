/* SPDX-License-Identifier: MIT */
#ifndef CT_LEFTOVER_H
#define CT_LEFTOVER_H

/**
 * What is left of files that were being made when their process was killed.
 *
 * A file is made beside its own name, under CT_LEFTOVER_ENDING behind it, and whoever makes one under the same name next
 * removes what others have left: what has this ending, of files that nobody is making any more. That nobody is at it a lock
 * on the directory says (flock(2)): whoever makes a file holds it shared, from before the file is there until it has its
 * name or is gone; whoever cleans up holds it alone. A lock on the file itself would not do: all its descriptors are closed
 * before it gets its name (newfile.h), so there would be a moment without one. Where there are no such locks nothing is
 * removed.
 */

/** Behind the name: one that nobody else gives a file, since such files are deleted. For mkstemp(3). */
#define CT_LEFTOVER_ENDING ".ctrack-XXXXXX"

/** Removes what is left in the directory, an open descriptor, of files that were to be called so, and says that one is made
 * now, until the descriptor is closed. */
void ct_leftover_take_place(int directory, const char *absolute);

#endif
