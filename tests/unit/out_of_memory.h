/* SPDX-License-Identifier: MIT */
#ifndef OUT_OF_MEMORY_H
#define OUT_OF_MEMORY_H

#include <stdbool.h>

/**
 * Makes the library's allocations fail, and counts them. A test program that uses it is linked with out_of_memory.c and
 * `-Wl,--wrap` for malloc, calloc, realloc and free, so that it concerns the code that is linked statically: the
 * library's and the test's own.
 */

/** Lets `count` allocations pass and the next one fail, once; negative: none fails. */
void memory_fail_after(long count);
/** Whether the failure asked for has happened. Nothing fails from here on. */
int memory_has_failed(void);
/** Has somebody else decide at each allocation whether it fails. */
void memory_fail_when(bool (*asked)(void));
/** How many blocks are allocated now. */
long memory_blocks(void);

/**
 * Sweeps: runs the body with the first allocation failing, then the second, and so on, until it went through without.
 *
 *     MEMORY_SWEEP(failed) { memory_fail_after(at); status = call(); failed = memory_has_failed(); … }
 */
#define MEMORY_SWEEP(at, failed) \
    int failed = 1; \
    for (long at = 0; failed; at++)

#endif
