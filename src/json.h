/* SPDX-License-Identifier: MIT */
#ifndef CT_JSON_H
#define CT_JSON_H

/**
 * A strict pull reader of JSON (RFC 8259) over bytes in memory, and the writing of its strings and integers. The reader
 * never allocates but for the text that it hands out, never recurses, and stops at the first fault: from then on every
 * call returns false, and `reason` and `offset` say what was wrong and where.
 */
#include "ctrack.h"

/** Values may be nested this deep. */
#define CT_JSON_DEPTH 64

/** Text that was read, decoded and NUL-terminated, in memory that is used again. Zeroed at first; freed at the end. */
typedef struct ct_json_text {
    char *text; /**< NULL until the first text */
    size_t length, capacity;
} ct_json_text;

typedef struct ct_json {
    const char *start, *at, *end;
    unsigned depth;       /**< containers entered and not left */
    bool fresh;           /**< a container has been entered and nothing of it was read */
    ctrack_status status; /**< CTRACK_OK; CTRACK_FORMAT or CTRACK_NO_MEMORY once something was wrong */
    size_t offset;        /**< of the fault, from `start` */
    const char *member;   /**< the member of a record that is wrong; NULL: none in particular */
    bool predicate;       /**< the reason continues the name of a value ("is negative"); else it stands alone */
    char reason[120];
} ct_json;

/** A member that ct_json_record() looks for: text, or an integer from 0 to INT64_MAX. */
typedef struct ct_json_member {
    const char *name;
    bool integer;
    bool seen; /**< set by ct_json_record(): whether it was there */
    int64_t number;
    ct_json_text text; /**< valid UTF-8 without NUL, at most CTRACK_TEXT_MAX bytes */
} ct_json_member;

#define CT_JSON_TEXT(name) \
    { \
        name, false, false, 0, \
        { \
            NULL, 0, 0 \
        } \
    }
#define CT_JSON_INTEGER(name) \
    { \
        name, true, false, 0, \
        { \
            NULL, 0, 0 \
        } \
    }

void ct_json_init(ct_json *json, const char *bytes, size_t length);

/** Enters an object ('{') or an array ('['); what it holds is then read with ct_json_next(). */
bool ct_json_enter(ct_json *json, char bracket);
/** Moves to the next member (its name goes to `name`) or element (`name` is NULL), whose value is then to be read.
 * False at the end of the container, which is left, and after a fault: see `status`. */
bool ct_json_next(ct_json *json, ct_json_text *name);

/** Reads a string of at most `most` bytes without U+0000. */
bool ct_json_string(ct_json *json, ct_json_text *text, size_t most);
/** Reads an integer from 0 to INT64_MAX, written as digits only. */
bool ct_json_integer(ct_json *json, int64_t *integer);
/** Passes over any value, checking that it is one. */
bool ct_json_skip(ct_json *json);
/** Reads an object with these members in any order. They may be absent, but not repeated; others are passed over if
 * `others` allows it. */
bool ct_json_record(ct_json *json, ct_json_member *members, size_t count, bool others);
/** Nothing but white space may follow. */
bool ct_json_end(ct_json *json);

/** Fails with a reason that stands alone, at a place in the bytes. Returns false. Only the first fault counts. */
bool ct_json_fail(ct_json *json, const char *at, const char *reason);
/** The same with a reason that continues the name of a value; `member` (may be NULL) must outlive the reader. */
bool ct_json_fail_value(ct_json *json, const char *at, const char *member, const char *reason);

/** The fault in words: `path.member reason`, or `path: reason`. Returns `text`, which is cut off if it is too small. */
const char *ct_json_explain(const ct_json *json, const char *path, char *text, size_t size);

void ct_json_text_free(ct_json_text *text);
void ct_json_members_free(ct_json_member *members, size_t count);

/** A byte of text becomes at most so many. */
#define CT_JSON_ESCAPED 6
/** Writes what stands between the quotes; `out` has CT_JSON_ESCAPED bytes for each of `text`. Returns the length, or
 * SIZE_MAX if the text is not valid UTF-8 or holds a NUL. Control characters, DEL and U+0080 … U+009F included, are
 * escaped, so that no terminal obeys them. */
size_t ct_json_escape(char *out, const char *text, size_t length);

/** Digits of an integer, at most 20, without a NUL. */
size_t ct_json_digits(char *out, int64_t integer);

#endif
