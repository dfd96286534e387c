/* SPDX-License-Identifier: MIT */
#include "report.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double bench_median(double *samples, size_t count)
{
    if (count == 0) {
        return NAN;
    }
    qsort(samples, count, sizeof *samples, compare_doubles);
    return count % 2 == 1 ? samples[count / 2] : (samples[count / 2 - 1] + samples[count / 2]) / 2;
}

report_summary report_summarize(const bench_row *row)
{
    double sorted[BENCH_ROUNDS_MAX];
    memcpy(sorted, row->samples, row->count * sizeof *sorted);
    double median = bench_median(sorted, row->count);
    return row->count > 0 ? (report_summary){median, sorted[0], sorted[row->count - 1]}
                          : (report_summary){NAN, NAN, NAN};
}

const char *report_verdict(const bench_row *row)
{
    if (row->relation == BENCH_NO_TARGET) {
        return NULL;
    }
    double median = report_summarize(row).median;
    bool met = row->relation == BENCH_AT_MOST ? median <= row->limit : median >= row->limit;
    return met ? "met" : "missed";
}

void report_count(const bench *b, unsigned *met, unsigned *missed)
{
    for (size_t i = 0; i < b->row_count; i++) {
        const char *word = report_verdict(&b->rows[i]);
        if (word != NULL) {
            ++*(strcmp(word, "met") == 0 ? met : missed);
        }
    }
}

/* ---------------------------------------------------------------- rows */

static bench_row *new_row(bench *b, const char *what, const char *unit, bench_relation relation, double limit)
{
    if (b->row_count == BENCH_ROWS_MAX) {
        bench_fail("more than %d rows", BENCH_ROWS_MAX);
    }
    bench_row *row = &b->rows[b->row_count++];
    *row = (bench_row){.what = what, .unit = unit, .relation = relation, .limit = limit};
    return row;
}

bench_row *bench_figure(bench *b, const char *what, const char *unit)
{
    return new_row(b, what, unit, BENCH_NO_TARGET, 0);
}

bench_row *bench_target(bench *b, const char *what, const char *unit, bench_relation relation, double limit)
{
    return new_row(b, what, unit, relation, limit);
}

bench_row *bench_point(bench *b, const char *curve, double x, const char *unit)
{
    bench_row *row = new_row(b, NULL, unit, BENCH_NO_TARGET, 0);
    row->curve = curve;
    row->x = x;
    snprintf(row->point, sizeof row->point, "%s: %.0f", curve, x);
    row->what = row->point;
    return row;
}

void bench_add(bench_row *row, double sample)
{
    if (row->count == BENCH_ROUNDS_MAX) {
        bench_fail("more than %d rounds", BENCH_ROUNDS_MAX);
    }
    row->samples[row->count++] = sample;
}

/* ---------------------------------------------------------------- table */

const char *report_number(char *text, size_t size, double value)
{
    double magnitude = fabs(value);
    int digits = magnitude >= 1000 ? 0 : magnitude >= 100 ? 1 : magnitude >= 0.1 || magnitude == 0 ? 2 : 4;
    snprintf(text, size, "%.*f", digits, value);
    return text;
}

const char *report_grouped(char *text, size_t size, double value)
{
    char digits[32];
    if (!(fabs(value) >= 1000) || value >= 1e15) {
        snprintf(text, size, "%.3g", value);
        return text;
    }
    double power = pow(10, floor(log10(fabs(value))) - 2);
    snprintf(digits, sizeof digits, "%.0f", round(value / power) * power);
    size_t length = strlen(digits), at = 0;
    for (size_t i = 0; i < length && at + 2 < size; i++) {
        text[at++] = digits[i];
        if ((length - i) % 3 == 1 && i + 1 < length && digits[i] != '-') {
            text[at++] = ',';
        }
    }
    text[at] = '\0';
    return text;
}

static void table_row(const bench_row *row)
{
    char median[32], lowest[32], highest[32], limit[32];
    report_summary s = report_summarize(row);
    printf("  %-58s %11s  %11s ..%11s  %-8s", row->what, report_number(median, sizeof median, s.median),
           report_number(lowest, sizeof lowest, s.lowest), report_number(highest, sizeof highest, s.highest),
           row->unit);
    if (row->relation != BENCH_NO_TARGET) {
        printf(" %s %s: %s",
               row->relation == BENCH_AT_MOST ? "<=" : ">=", report_number(limit, sizeof limit, row->limit),
               report_verdict(row));
    }
    putchar('\n');
}

static void table_bench(const bench *b)
{
    printf("\n%s (%u round%s)\n  %s\n", b->which->name, b->rounds, b->rounds == 1 ? "" : "s", b->which->how);
    printf("  %-58s %11s  %11s ..%11s  %-8s %s\n", "", "median", "lowest", "highest", "unit", "target");
    for (size_t i = 0; i < b->row_count; i++) {
        table_row(&b->rows[i]);
    }
}

/* ---------------------------------------------------------------- NDJSON */

static void json_string(const char *text)
{
    putchar('"');
    for (const unsigned char *c = (const unsigned char *)text; *c != '\0'; c++) {
        if (*c == '"' || *c == '\\') {
            printf("\\%c", *c);
        } else if (*c < 0x20) {
            printf("\\u%04x", *c);
        } else {
            putchar(*c);
        }
    }
    putchar('"');
}

static void json_number(const char *name, double value)
{
    if (isfinite(value)) {
        printf(",\"%s\":%.9g", name, value);
    } else {
        printf(",\"%s\":null", name);
    }
}

static void json_row(const bench *b, const bench_row *row)
{
    printf("{\"type\":\"figure\",\"bench\":\"%s\",\"what\":", b->which->name);
    json_string(row->what);
    printf(",\"unit\":");
    json_string(row->unit);
    report_summary s = report_summarize(row);
    json_number("median", s.median);
    json_number("lowest", s.lowest);
    json_number("highest", s.highest);
    if (row->relation != BENCH_NO_TARGET) {
        json_number(row->relation == BENCH_AT_MOST ? "atMost" : "atLeast", row->limit);
        printf(",\"verdict\":\"%s\"", report_verdict(row));
    }
    printf(",\"samples\":[");
    for (size_t i = 0; i < row->count; i++) {
        printf("%s%.9g", i > 0 ? "," : "", row->samples[i]);
    }
    printf("]}\n");
}

/* ---------------------------------------------------------------- both */

const char *report_describe(char *text, size_t size, const report_header *header)
{
    char keys[32];
    snprintf(text, size, "ctrack %s, SQLite %s; %ld cores, %s; %s keys", header->library, header->engine, header->cores,
             header->file_system, report_grouped(keys, sizeof keys, (double)header->keys));
    return text;
}

void report_begin(report_format format, const report_header *header)
{
    if (format == REPORT_NDJSON) {
        printf("{\"type\":\"run\",\"ctrack\":\"%s\",\"sqlite\":\"%s\",\"cores\":%ld,\"pageSize\":%ld,\"fileSystem\":",
               header->library, header->engine, header->cores, header->page_size);
        json_string(header->file_system);
        printf(",\"directory\":");
        json_string(header->directory);
        printf(",\"keys\":%zu,\"fullScale\":%s,\"seed\":%" PRIu64 "}\n", header->keys,
               header->keys >= BENCH_FULL_SCALE ? "true" : "false", header->seed);
    } else {
        printf("ctrack %s, SQLite %s; %ld cores, %ld-byte pages; files on %s, in %s\n", header->library, header->engine,
               header->cores, header->page_size, header->file_system, header->directory);
        printf("%zu keys, seed %" PRIu64 "\n", header->keys, header->seed);
        if (header->keys < BENCH_FULL_SCALE) {
            printf("Below full scale: the targets are stated for %d keys.\n", BENCH_FULL_SCALE);
        }
    }
    fflush(stdout);
}

void report_bench(report_format format, bench *b)
{
    if (format == REPORT_NDJSON) {
        for (size_t i = 0; i < b->row_count; i++) {
            json_row(b, &b->rows[i]);
        }
    } else {
        table_bench(b);
    }
    fflush(stdout);
}

void report_end(report_format format, unsigned met, unsigned missed, unsigned failed)
{
    if (format == REPORT_NDJSON) {
        printf("{\"type\":\"end\",\"met\":%u,\"missed\":%u,\"failed\":%u}\n", met, missed, failed);
    } else {
        printf("\nTargets met: %u, missed: %u. Benches that could not run: %u.\n", met, missed, failed);
    }
    fflush(stdout);
}
