/* SPDX-License-Identifier: MIT */
#include "error.h"

#include <stdio.h>
#include <string.h>

#include "text.h"

/* Of a message before it is cut: the longest path of a file, and what is said of it. */
#define LONGEST 5000

static bool is_inside_character(char byte)
{
    return ((unsigned char)byte & 0xC0) == 0x80;
}

/* Cuts text to `size` bytes without splitting a character. What it is about is said first, and why at the end; what is
 * long, as paths are, stands between. */
static void shorten(char *text, size_t size)
{
    static const char mark[] = "\xE2\x80\xA6";
    size_t length = strlen(text), room = size - sizeof mark;
    if (length < size) {
        return;
    }
    size_t head = room / 2, tail = length - (room - head);
    while (head > 0 && is_inside_character(text[head])) {
        head--;
    }
    while (tail < length && is_inside_character(text[tail])) {
        tail++;
    }
    memcpy(text + head, mark, sizeof mark - 1);
    memmove(text + head + sizeof mark - 1, text + tail, length - tail + 1);
}

/* Replaces what a terminal or a log must not get raw. */
static void make_printable(char *text)
{
    for (size_t i = 0; text[i] != '\0';) {
        size_t width = ct_text_character(text + i, strlen(text + i));
        bool control = width == 1 && ((unsigned char)text[i] < 0x20 || text[i] == 0x7F);
        /* U+0080 … U+009F are control characters of two bytes. */
        control = control || (width == 2 && (unsigned char)text[i] == 0xC2 && (unsigned char)text[i + 1] < 0xA0);
        if (width == 0 || control) {
            width = width == 0 ? 1 : width;
            memset(text + i, '?', width);
        }
        i += width;
    }
}

static void set_message(ctrack_error *error, const char *format, va_list arguments)
{
    /* Formatted aside, since an argument may be the old message itself. */
    char message[LONGEST] = "";
    vsnprintf(message, sizeof message, format, arguments);
    shorten(message, sizeof error->message);
    make_printable(message);
    memcpy(error->message, message, sizeof error->message);
}

ctrack_status ct_error_set(ctrack_error *error, ctrack_status status, const char *format, ...)
{
    if (error != NULL) {
        va_list arguments;
        va_start(arguments, format);
        set_message(error, format, arguments);
        va_end(arguments);
        error->status = status;
    }
    return status;
}

ctrack_status ct_error_context(ctrack_error *error, ctrack_status status, const char *format, ...)
{
    if (error != NULL) {
        char context[LONGEST] = "", rest[sizeof error->message];
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(context, sizeof context, format, arguments);
        va_end(arguments);
        memcpy(rest, error->message, sizeof rest);
        ct_error_set(error, status, "%s: %s", context, rest);
    }
    return status;
}

ctrack_status ct_error_no_memory(ctrack_error *error)
{
    return ct_error_set(error, CTRACK_NO_MEMORY, "out of memory; nothing has changed");
}

ctrack_status ct_error_no_number(ctrack_error *error)
{
    return ct_error_set(error, CTRACK_CORRUPT,
                        "the file is damaged: the log has no number behind its last: dump the progress and restore it "
                        "into a new file");
}

ctrack_status ct_error_ours(ctrack_error *error, const char *what)
{
    return ct_error_set(error, CTRACK_INTERNAL, "a fault of ctrack's own, please report it; nothing has changed: %s",
                        what);
}

const char *ct_error_key(const ctrack_key *key, char text[CT_KEY_TEXT_SIZE])
{
    const char *const components[3] = {key->document_id, key->scope, key->branch};
    char *at = text;
    for (int i = 0; i < 3; i++) {
        static const size_t most = 60; /* three of them, two ':' and the marks fit */
        size_t length = strlen(components[i]);
        size_t kept = length;
        if (length > most) {
            kept = most - 3;
            while (kept > 0 && is_inside_character(components[i][kept])) {
                kept--;
            }
        }
        at += sprintf(at, "%s%.*s%s", i > 0 ? ":" : "", (int)kept, components[i], kept < length ? "\xE2\x80\xA6" : "");
    }
    return text;
}

const char *ctrack_status_name(ctrack_status status)
{
    switch (status) {
#define NAME(name) \
    case name: \
        return #name
        NAME(CTRACK_OK);
        NAME(CTRACK_PENDING);
        NAME(CTRACK_NOT_FOUND);
        NAME(CTRACK_TIMED_OUT);
        NAME(CTRACK_ABORTED);
        NAME(CTRACK_CLOSED);
        NAME(CTRACK_FAILED);
        NAME(CTRACK_INVALID);
        NAME(CTRACK_MISUSE);
        NAME(CTRACK_NO_MEMORY);
        NAME(CTRACK_BUSY);
        NAME(CTRACK_READ_ONLY);
        NAME(CTRACK_FULL);
        NAME(CTRACK_IO);
        NAME(CTRACK_CORRUPT);
        NAME(CTRACK_SCHEMA);
        NAME(CTRACK_FORMAT);
        NAME(CTRACK_FORKED);
        NAME(CTRACK_INTERNAL);
#undef NAME
    }
    return "CTRACK_UNKNOWN";
}

const char *ctrack_version(void)
{
    return CTRACK_VERSION;
}
