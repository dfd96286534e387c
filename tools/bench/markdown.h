/* SPDX-License-Identifier: MIT */
#ifndef BENCH_MARKDOWN_H
#define BENCH_MARKDOWN_H

/**
 * The table of figures of a Markdown file, made by the run that measured them. Of each bench it has the first figure that
 * has a target, and every one that has missed its own.
 */
#include <stdio.h>

#include "report.h"

#define MARKDOWN_BEGIN "<!-- figures -->"
#define MARKDOWN_END "<!-- end of figures -->"

/** A file for the rows, which processes forked later may write to. NULL, and the reason on stderr: no file, or `path` has
 * no place for a table. */
FILE *markdown_begin(const char *path);
/** Adds the rows of a bench. */
void markdown_bench(FILE *rows, const bench *b);
/** Puts the table into the file. Closes `rows`. 0, or -1 and the reason on stderr: then the file is as it was. */
int markdown_end(FILE *rows, const char *path, const report_header *header, unsigned met, unsigned missed);

#endif
