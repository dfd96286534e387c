/* SPDX-License-Identifier: MIT */
#include "text.h"

#include <stdio.h>
#include <string.h>

#include "error.h"

size_t ct_text_character(const char *text, size_t length)
{
    const unsigned char *s = (const unsigned char *)text;
    if (length == 0) {
        return 0;
    }
    if (s[0] < 0x80) {
        return 1;
    }
    size_t width = s[0] >= 0xF0 ? 4 : s[0] >= 0xE0 ? 3 : 2;
    if (s[0] < 0xC2 || s[0] > 0xF4 || length < width) {
        return 0;
    }
    /* The second byte rules out overlong forms, surrogates and what is above U+10FFFF (RFC 3629, section 4). */
    unsigned char low = s[0] == 0xE0 ? 0xA0 : s[0] == 0xF0 ? 0x90 : 0x80;
    unsigned char high = s[0] == 0xED ? 0x9F : s[0] == 0xF4 ? 0x8F : 0xBF;
    if (s[1] < low || s[1] > high) {
        return 0;
    }
    for (size_t i = 2; i < width; i++) {
        if ((s[i] & 0xC0) != 0x80) {
            return 0;
        }
    }
    return width;
}

/* Whether eight bytes are all ASCII and none is NUL: no high bit is set, and none appears by subtracting one from each.
 */
static bool plain_eight(const char *text)
{
    uint64_t eight;
    memcpy(&eight, text, sizeof eight);
    return ((eight | (eight - UINT64_C(0x0101010101010101))) & UINT64_C(0x8080808080808080)) == 0;
}

bool ct_text_valid(const char *text, size_t length)
{
    size_t i = 0;
    while (i < length) {
        if (length - i >= 8 && plain_eight(text + i)) {
            i += 8;
            continue;
        }
        size_t width = ct_text_character(text + i, length - i);
        if (width == 0 || text[i] == '\0') {
            return false;
        }
        i += width;
    }
    return true;
}

ctrack_status ct_text_check_key(const ctrack_key *key, const char *what, ctrack_error *error)
{
    const char *const components[3] = {key->document_id, key->scope, key->branch};
    static const char *const names[3] = {"document_id", "scope", "branch"};
    for (int i = 0; i < 3; i++) {
        if (components[i] == NULL) {
            return ct_error_set(error, CTRACK_INVALID, "%s: %s is NULL", what, names[i]);
        }
        size_t length = strnlen(components[i], CTRACK_TEXT_MAX + 1);
        if (length > CTRACK_TEXT_MAX) {
            return ct_error_set(error, CTRACK_INVALID, "%s: %s is longer than %d bytes", what, names[i],
                                CTRACK_TEXT_MAX);
        }
        if (!ct_text_valid(components[i], length)) {
            return ct_error_set(error, CTRACK_INVALID, "%s: %s is not valid UTF-8", what, names[i]);
        }
    }
    return CTRACK_OK;
}

ctrack_status ct_text_check_coordinate(const ctrack_coordinate *coordinate, size_t position, ctrack_error *error)
{
    char what[40];
    snprintf(what, sizeof what, "coordinates[%zu]", position);
    ctrack_key key = ct_text_key(coordinate);
    ctrack_status status = ct_text_check_key(&key, what, error);
    if (status == CTRACK_OK && coordinate->operation_index < 0) {
        status = ct_error_set(error, CTRACK_INVALID, "%s: operation_index %lld is negative", what,
                              (long long)coordinate->operation_index);
    }
    return status;
}

ctrack_key ct_text_key(const ctrack_coordinate *coordinate)
{
    return (ctrack_key){coordinate->document_id, coordinate->scope, coordinate->branch};
}

int ct_text_compare(const ctrack_coordinate *a, const ctrack_coordinate *b)
{
    int order = strcmp(a->document_id, b->document_id);
    order = order != 0 ? order : strcmp(a->scope, b->scope);
    return order != 0 ? order : strcmp(a->branch, b->branch);
}
