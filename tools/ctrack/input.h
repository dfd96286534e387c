/* SPDX-License-Identifier: MIT */
#ifndef INPUT_H
#define INPUT_H

/** Lines of standard input, as soon as they are there, in bounded memory. */
#include "command.h"

/** No line may be longer, in bytes. */
#define LINE_LIMIT ((size_t)64 * 1024 * 1024)

/** Zeroed at first. */
struct lines {
    char *bytes;
    size_t begin, end, capacity;
    bool ended;
    long long number; /**< of the last line, from 1 */
};

/** Reads the next line, without its line feed; *line is NULL at the end. Valid until the next call. Says what is wrong,
 * or returns 0. */
int next_line(struct lines *lines, const char **line, size_t *length);
void free_lines(struct lines *lines);

#endif
