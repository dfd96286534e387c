/* SPDX-License-Identifier: MIT */
#include "fuzz.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "fault.h"
#include "text.h"

_Noreturn void fuzz_fail(const char *file, int line, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "VIOLATION: %s:%d: ", file, line);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    abort();
}

/* ---------------------------------------------------------------- text */

int fuzz_write(const void *data, size_t size, void *argument)
{
    fuzz_text *text = argument;
    text->bytes = realloc(text->bytes, text->length + size + 1);
    fuzz_require(text->bytes != NULL, "out of memory");
    memcpy(text->bytes + text->length, data, size);
    text->length += size;
    return 0;
}

int fuzz_read(void *data, size_t size, size_t *got, void *argument)
{
    fuzz_text *text = argument;
    size_t left = text->length - text->at;
    *got = left < size ? left : size;
    *got = text->step > 0 && text->step < *got ? text->step : *got;
    if (*got > 0) {
        memcpy(data, text->bytes + text->at, *got);
    }
    text->at += *got;
    return 0;
}

void fuzz_text_free(fuzz_text *text)
{
    free(text->bytes);
    *text = (fuzz_text){NULL, 0, 0, 0};
}

static void close_dump(fuzz_text *text)
{
    char closing[80];
    size_t lines = 0;
    for (size_t i = 0; i < text->length; i++) {
        lines += text->bytes[i] == '\n';
    }
    int length = snprintf(closing, sizeof closing, "{\"count\":%zu,\"xxh3\":\"%016llx\"}\n", lines > 0 ? lines - 1 : 0,
                          (unsigned long long)XXH3_64bits(text->bytes, text->length));
    fuzz_write(closing, (size_t)length, text);
}

fuzz_text fuzz_dump(const uint8_t *data, size_t size)
{
    fuzz_text text = {NULL, 0, 0, 0};
    if (size > 0) {
        fuzz_write(data + 1, size - 1, &text);
        text.step = (size_t)(data[0] >> 1) + 1;
        if ((data[0] & 1) != 0) {
            close_dump(&text);
        }
    }
    return text;
}

/* ---------------------------------------------------------------- progress */

void fuzz_require_sound(const ctrack_snapshot *snapshot)
{
    const ctrack_coordinate *entries = ctrack_snapshot_entries(snapshot);
    for (size_t i = 0; i < ctrack_snapshot_count(snapshot); i++) {
        fuzz_require(ct_text_check_coordinate(&entries[i], i, NULL) == CTRACK_OK, "an entry is not valid");
        fuzz_require(i == 0 || ct_text_compare(&entries[i - 1], &entries[i]) < 0, "the entries are not in order");
    }
}

void fuzz_require_same(const ctrack_snapshot *a, const ctrack_snapshot *b)
{
    fuzz_require(ctrack_snapshot_count(a) == ctrack_snapshot_count(b), "%zu and %zu entries", ctrack_snapshot_count(a),
                 ctrack_snapshot_count(b));
    for (size_t i = 0; i < ctrack_snapshot_count(a); i++) {
        const ctrack_coordinate *left = &ctrack_snapshot_entries(a)[i], *right = &ctrack_snapshot_entries(b)[i];
        fuzz_require(ct_text_compare(left, right) == 0 && left->operation_index == right->operation_index,
                     "entry %zu is another", i);
    }
}

/* ---------------------------------------------------------------- files */

const char *fuzz_path(void)
{
    static char path[300];
    if (path[0] == '\0') {
        snprintf(path, sizeof path, "%s/progress.db", fault_directory());
        atexit(fault_remove_directory);
    }
    return path;
}
