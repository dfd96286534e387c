/* SPDX-License-Identifier: MIT */
#ifndef EXERCISE_H
#define EXERCISE_H

/**
 * Everything that the library does with a file, done to one that is not to be trusted. Whatever is in it, every call
 * ends with a status that its header documents; a file that is refused, or only looked at, is not changed by a byte;
 * what is loaded is what may be in a tracker; and in a file that ctrack_check() finds sound everything works.
 */
#include "damage.h"

/** Writes the database, and the log unless it is NULL, to fuzz_path(), and makes a part of the calls: those that look
 * at the file, those on a host's connection, those of a tracker, or the first and the last. */
void exercise(unsigned part, const damage_bytes *database, const damage_bytes *log);

#endif
