/* SPDX-License-Identifier: MIT */
#ifndef CALLS_H
#define CALLS_H

/**
 * The calls that the library makes of SQLite and of the system, each of which can fail instead of being carried out. A
 * program that uses it is linked with calls.c and `-Wl,--wrap` for each of them (CMakeLists.txt has the list), so that
 * it concerns what is linked statically: the library's own calls, and the harness's; not those of SQLite itself.
 *
 * SQLite's ROLLBACK never fails: whatever goes wrong in it, the transaction has ended.
 */
#include <stdbool.h>

typedef enum calls_kind {
    CALLS_SQLITE,
    CALLS_MEMORY, /* SQLite has none: SQLITE_NOMEM, no text */
    CALLS_SYSTEM, /* of files */
    CALLS_THREADS /* threads, locks, pipes */
} calls_kind;

/** How calls fail: with which code those of SQLite, and with which errno those of the system. */
typedef struct calls_failure {
    int code, problem;
} calls_failure;

/**
 * Who decides at each call whether it fails, and how; on the thread that makes the call. It returns NULL for a call
 * that does not.
 */
void calls_fail_when(const calls_failure *(*asked)(calls_kind kind));

#endif
