/* SPDX-License-Identifier: MIT */
#ifndef BENCH_REPORT_H
#define BENCH_REPORT_H

/** Statistics, and how results are printed: a table for people, or NDJSON with every sample. */
#include "bench.h"

typedef enum report_format { REPORT_TABLE, REPORT_NDJSON } report_format;

/** What the figures of a run depend on. */
typedef struct report_header {
    const char *library, *engine; /* versions */
    const char *directory, *file_system;
    long cores, page_size;
    size_t keys;
    uint64_t seed;
} report_header;

/** "ctrack 0.1.0, SQLite 3.40.1, 2 cores, …", for a caption. Returns the text. */
const char *report_describe(char *text, size_t size, const report_header *header);

void report_begin(report_format format, const report_header *header);
void report_bench(report_format format, bench *b);
/** How often the figures with a target were met and missed, over all benches. */
void report_end(report_format format, unsigned met, unsigned missed, unsigned failed);

/** Median, lowest and highest of a row's samples; not numbers if it has none. */
typedef struct report_summary {
    double median, lowest, highest;
} report_summary;
report_summary report_summarize(const bench_row *row);
/** "met", "missed", or NULL for a row without a target. A row without samples has not met anything. */
const char *report_verdict(const bench_row *row);
/** Enough digits to compare, no more. Returns the text. */
const char *report_number(char *text, size_t size, double value);
/** Three digits that count, thousands set off: "1,680,000", "0.25". Returns the text. */
const char *report_grouped(char *text, size_t size, double value);

/** Counts the rows of a bench that were met and missed. */
void report_count(const bench *b, unsigned *met, unsigned *missed);

#endif
