/* SPDX-License-Identifier: MIT */
#include "input.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Reads more behind what is there. */
static int fill(struct lines *lines)
{
    if (lines->bytes != NULL && lines->begin > 0 &&
        (lines->end == lines->capacity || lines->begin >= lines->capacity / 2)) {
        memmove(lines->bytes, lines->bytes + lines->begin, lines->end - lines->begin);
        lines->end -= lines->begin;
        lines->begin = 0;
    }
    if (lines->end == lines->capacity) {
        size_t capacity = lines->capacity > 0 ? lines->capacity * 2 : (size_t)64 * 1024;
        char *grown = realloc(lines->bytes, capacity);
        if (grown == NULL) {
            return fail(EXIT_IO, "out of memory");
        }
        lines->bytes = grown;
        lines->capacity = capacity;
    }
    ssize_t got;
    do {
        got = read(STDIN_FILENO, lines->bytes + lines->end, lines->capacity - lines->end);
    } while (got < 0 && errno == EINTR);
    if (got < 0) {
        return fail(EXIT_IO, "standard input: %s", strerror(errno));
    }
    lines->ended = got == 0;
    lines->end += (size_t)got;
    return 0;
}

int next_line(struct lines *lines, const char **line, size_t *length)
{
    size_t looked = 0;
    *line = NULL;
    lines->number++;
    for (;;) {
        const char *start = lines->bytes != NULL ? lines->bytes + lines->begin : NULL;
        size_t there = lines->end - lines->begin;
        const char *feed = start != NULL && there > looked ? memchr(start + looked, '\n', there - looked) : NULL;
        looked = feed != NULL ? (size_t)(feed - start) : there;
        if (looked > LINE_LIMIT) {
            return fail(EXIT_INPUT, "stdin:%lld: the line is longer than %zu bytes", lines->number, LINE_LIMIT);
        }
        if (feed != NULL || (lines->ended && there > 0)) {
            *line = start;
            *length = looked;
            lines->begin += looked + (feed != NULL ? 1 : 0);
            return 0;
        }
        if (lines->ended) {
            return 0;
        }
        int outcome = fill(lines);
        if (outcome != 0) {
            return outcome;
        }
    }
}

void free_lines(struct lines *lines)
{
    free(lines->bytes);
    *lines = (struct lines){NULL, 0, 0, 0, false, 0};
}
