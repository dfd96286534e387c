/* SPDX-License-Identifier: MIT */
#ifndef CT_ERROR_H
#define CT_ERROR_H

/**
 * Statuses and messages. The status says what kind of failure, the message which thing. A message is one line of valid
 * UTF-8 without control characters: whatever came from outside is made printable when it is formatted.
 */
#include <stdarg.h>

#include "ctrack.h"

#if defined(__GNUC__)
#define CT_PRINTF(at, first) __attribute__((format(printf, at, first)))
#else
#define CT_PRINTF(at, first)
#endif

/** Fills `error` (may be NULL) and returns `status`, so that a caller can fail in one line. */
ctrack_status ct_error_set(ctrack_error *error, ctrack_status status, const char *format, ...) CT_PRINTF(3, 4);

/** Puts context before the message that `error` (may be NULL) already holds: "context: message". Returns its status. */
ctrack_status ct_error_context(ctrack_error *error, ctrack_status status, const char *format, ...) CT_PRINTF(3, 4);

/** The usual message for memory that has run out. */
ctrack_status ct_error_no_memory(ctrack_error *error);

/** The message for a row of the log that does not come behind all others: it would never be read. Where the numbers are
 * used up SQLite gives any. */
ctrack_status ct_error_no_number(ctrack_error *error);

/** What the library itself has done wrong, said before it does harm: in every build, where an assert would be in some. */
ctrack_status ct_error_ours(ctrack_error *error, const char *what);

/** A key as text for a message, shortened with "…" in the middle of components that are long. Returns `text`. */
#define CT_KEY_TEXT_SIZE 200
const char *ct_error_key(const ctrack_key *key, char text[CT_KEY_TEXT_SIZE]);

#endif
