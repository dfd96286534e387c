/* SPDX-License-Identifier: MIT */
#ifndef CT_TEXT_H
#define CT_TEXT_H

/**
 * What text may be a component of a key: valid UTF-8 (RFC 3629: no surrogates, no overlong forms, at most U+10FFFF),
 * no NUL, at most CTRACK_TEXT_MAX bytes.
 */
#include "ctrack.h"

/** The length in bytes of the character that `text` begins with; 0 if it is not valid UTF-8 or `length` is 0. */
size_t ct_text_character(const char *text, size_t length);

/** Whether `length` bytes are valid UTF-8 without NUL. */
bool ct_text_valid(const char *text, size_t length);

/** Checks the components of a key; `what` names it in the message ("coordinate 3"). CTRACK_INVALID if they are bad. */
ctrack_status ct_text_check_key(const ctrack_key *key, const char *what, ctrack_error *error);

/** Checks a coordinate; `position` is its place in the caller's array. CTRACK_INVALID: "coordinates[3]: …". */
ctrack_status ct_text_check_coordinate(const ctrack_coordinate *coordinate, size_t position, ctrack_error *error);

/** The key of a coordinate. */
ctrack_key ct_text_key(const ctrack_coordinate *coordinate);

/** Compares document_id, scope, branch, bytewise. */
int ct_text_compare(const ctrack_coordinate *a, const ctrack_coordinate *b);

#endif
