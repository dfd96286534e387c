/* SPDX-License-Identifier: MIT */
#ifndef DAMAGE_H
#define DAMAGE_H

/**
 * Databases that are not what they should be, made from a sound one as an input of a fuzzer says. An input is a list of
 * steps, so that most of what a fuzzer does to it is a file that somebody could have made, and a short input says what
 * is wrong with it. The steps:
 *
 * - set a column of a row to any value, insert a row, delete rows: what the tables' types and CHECKs forbid included;
 * - put a trigger, an index, a table, a view into the schema, or take something out of it;
 * - set bytes, copy a page over another one, cut the file or make it longer.
 *
 * Beside the database there may be a write-ahead log. Then the damage is in its frames, with checksums that fit, and
 * the database itself is sound; the log's bytes may be damaged, too, before or after they are sealed with checksums.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { DAMAGE_MAX = 1 << 20 };

typedef struct damage_bytes {
    unsigned char bytes[DAMAGE_MAX];
    size_t size;
} damage_bytes;

/** Makes a database as the input says. With a log: into the log what is wrong with it, and the sound one as the
 * database. */
void damage_make(const uint8_t *input, size_t size, damage_bytes *database, damage_bytes *log);

#endif
