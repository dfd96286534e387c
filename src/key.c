/* SPDX-License-Identifier: MIT */
#include "key.h"

#include <string.h>

#include "error.h"
#include "text.h"

static const char *const names[3] = {"documentId", "scope", "branch"};

/* Counts the bytes of each component without its escapes. Looks only, so that text that is refused stays as it was. */
static ctrack_status measure(const char *text, size_t lengths[3], ctrack_error *error)
{
    static const char form[] = "a key is documentId:scope:branch, with \\: and \\\\ for ':' and '\\' inside";
    size_t part = 0;
    lengths[0] = lengths[1] = lengths[2] = 0;
    for (const char *at = text; *at != '\0'; at++) {
        if (*at == ':') {
            if (++part == 3) {
                return ct_error_set(error, CTRACK_FORMAT, "key \"%.100s\" has more than three components: %s", text,
                                    form);
            }
            continue;
        }
        if (*at == '\\' && *++at != ':' && *at != '\\') {
            return ct_error_set(error, CTRACK_FORMAT, "key \"%.100s\" has an unknown escape in its %s: %s", text,
                                names[part], form);
        }
        lengths[part]++;
    }
    if (part != 2) {
        return ct_error_set(error, CTRACK_FORMAT, "key \"%.100s\" has %s: %s", text,
                            part == 0 ? "one component" : "two components", form);
    }
    return CTRACK_OK;
}

ctrack_status ct_key_parse(char *text, ctrack_key *key, size_t lengths[3], ctrack_error *error)
{
    size_t own[3];
    lengths = lengths != NULL ? lengths : own;
    if (!ct_text_valid(text, strlen(text))) {
        return ct_error_set(error, CTRACK_FORMAT, "key \"%.100s\" is not valid UTF-8", text);
    }
    ctrack_status status = measure(text, lengths, error);
    if (status != CTRACK_OK) {
        return status;
    }
    for (int i = 0; i < 3; i++) {
        if (lengths[i] > CTRACK_TEXT_MAX) {
            return ct_error_set(error, CTRACK_FORMAT, "key \"%.100s\": its %s is longer than %d bytes", text, names[i],
                                CTRACK_TEXT_MAX);
        }
    }
    const char *components[3];
    char *to = text;
    const char *from = text;
    for (int i = 0; i < 3; i++) {
        components[i] = to;
        for (size_t left = lengths[i]; left > 0; left--) {
            from += *from == '\\' ? 1 : 0;
            *to++ = *from++;
        }
        from++; /* the ':', or the NUL */
        *to++ = '\0';
    }
    *key = (ctrack_key){components[0], components[1], components[2]};
    return CTRACK_OK;
}

ctrack_status ctrack_key_parse(char *text, ctrack_key *key, ctrack_error *error)
{
    return text != NULL && key != NULL
               ? ct_key_parse(text, key, NULL, error)
               : ct_error_set(error, CTRACK_INVALID, "%s is NULL", text == NULL ? "text" : "key");
}

/* Puts a byte at text[*length] if it, and the NUL after it, have room there; counts it in any case. */
static void put(char *text, size_t size, size_t *length, char byte)
{
    if (*length + 1 < size) {
        text[*length] = byte;
    }
    ++*length;
}

size_t ctrack_key_format(const ctrack_key *key, char *text, size_t size)
{
    const char *const components[3] = {key->document_id, key->scope, key->branch};
    size_t length = 0;
    for (int i = 0; i < 3; i++) {
        if (i > 0) {
            put(text, size, &length, ':');
        }
        for (const char *at = components[i]; *at != '\0'; at++) {
            if (*at == ':' || *at == '\\') {
                put(text, size, &length, '\\');
            }
            put(text, size, &length, *at);
        }
    }
    if (size > 0) {
        text[length < size ? length : size - 1] = '\0';
    }
    return length;
}
