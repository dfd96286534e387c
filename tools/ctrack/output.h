/* SPDX-License-Identifier: MIT */
#ifndef OUTPUT_H
#define OUTPUT_H

/** Rows on standard output, in the forms of `--format`. */
#include "command.h"

enum format { FORMAT_TABLE, FORMAT_NDJSON, FORMAT_JSON, FORMAT_CSV };

/** Understands the value of --format; NULL: a table. Says what is wrong, or returns 0. */
int parse_format(const struct command *command, const char *text, enum format *format);

/** Prints coordinates; stops early if standard output fails, which finish_output() then tells. Returns an exit status.
 */
int print_coordinates(enum format format, const char *read_model, const ctrack_coordinate *const *rows, size_t count);

/** Prints what a check has found, as it goes; `position` counts from 0. Begin and end go around. */
void begin_findings(enum format format);
void print_finding(enum format format, size_t position, const ctrack_finding *finding);
void end_findings(enum format format, size_t count);

/** Whether all that was written to standard output so far has gone where it was sent; to be asked right after writing.
 */
bool output_good(void);

/**
 * Flushes and closes standard output; a full disk must not look like a good answer. Returns `outcome`, or EXIT_IO if
 * something could not be written, and says why, unless it is that nobody reads any more.
 */
int finish_output(int outcome);

#endif
