/* SPDX-License-Identifier: MIT */
#ifndef ARENA_H
#define ARENA_H

/**
 * The memory of one schedule. While the arena is open, what the library and the harness allocate comes from it, always
 * at the same addresses, and no block is used twice: so a schedule is the same whenever it runs, and using memory that
 * was freed is found. Freed blocks are filled with a pattern that makes no pointer; it must be there in the end.
 *
 * A program that uses it is linked with `-Wl,--wrap` for malloc, calloc, realloc and free.
 */
#include <stdbool.h>
#include <stddef.h>

void arena_open(void);
/** Ends the schedule's allocations. Returns how many blocks were not freed, or -1: one was written to after that. */
long arena_close(void);
/** Whether the block is allocated and not freed. */
bool arena_has(const void *block);

#endif
