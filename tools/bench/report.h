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

void report_begin(report_format format, const report_header *header);
void report_bench(report_format format, bench *b);
/** How often the figures with a target were met and missed, over all benches. */
void report_end(report_format format, unsigned met, unsigned missed, unsigned failed);

/** Counts the rows of a bench that were met and missed. */
void report_count(const bench *b, unsigned *met, unsigned *missed);

#endif
