/* SPDX-License-Identifier: MIT */
#ifndef CT_CLOCK_H
#define CT_CLOCK_H

/**
 * Time. Inside, deadlines are absolute nanoseconds on the monotonic clock; milliseconds become a deadline once, at the
 * edge. The wall clock only labels rows for people.
 */
#include "ctrack.h"

/** A deadline that never comes. */
#define CT_NEVER INT64_MAX

int64_t ct_clock_monotonic(void); /**< nanoseconds */
int64_t ct_clock_wall(void);      /**< milliseconds since 1970, UTC */

/** `timeout_ms` after `now`, saturating; negative: CT_NEVER. */
int64_t ct_clock_deadline(int64_t now, int64_t timeout_ms);
/** The milliseconds from `now` to a deadline; 0 if it has come, CTRACK_FOREVER if it never comes. */
int64_t ct_clock_left(int64_t now, int64_t deadline);

#endif
