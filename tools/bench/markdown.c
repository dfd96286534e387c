/* SPDX-License-Identifier: MIT */
#include "markdown.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static int complain(const char *path, const char *why)
{
    fprintf(stderr, "ctrack-bench: --markdown: %s: %s\n", path, why);
    return -1;
}

/* The whole file as a string to be freed; NULL and errno. */
static char *read_all(FILE *in)
{
    size_t size = 0, room = 4096;
    char *text = bench_alloc(room + 1, 1);
    size_t got;
    while ((got = fread(text + size, 1, room - size, in)) > 0) {
        size += got;
        if (size == room) {
            room *= 2;
            char *more = bench_alloc(room + 1, 1);
            memcpy(more, text, size);
            free(text);
            text = more;
        }
    }
    if (ferror(in)) {
        free(text);
        return NULL;
    }
    text[size] = '\0';
    return text;
}

/* The file, and in it where the table begins and ends. */
static char *read_file(const char *path, char **begin, char **end)
{
    FILE *in = fopen(path, "r");
    char *text = in != NULL ? read_all(in) : NULL;
    if (text == NULL) {
        complain(path, strerror(errno));
    }
    if (in != NULL) {
        fclose(in);
    }
    if (text == NULL) {
        return NULL;
    }
    *begin = strstr(text, MARKDOWN_BEGIN "\n");
    *end = *begin != NULL ? strstr(*begin, MARKDOWN_END "\n") : NULL;
    if (*end == NULL) {
        complain(path, "there are no lines '" MARKDOWN_BEGIN "' and '" MARKDOWN_END "'");
        free(text);
        return NULL;
    }
    *begin += strlen(MARKDOWN_BEGIN "\n");
    return text;
}

FILE *markdown_begin(const char *path)
{
    char *begin, *end, *text = read_file(path, &begin, &end);
    if (text == NULL) {
        return NULL;
    }
    free(text);
    FILE *rows = tmpfile();
    if (rows == NULL) {
        complain(path, strerror(errno));
    }
    return rows;
}

void markdown_bench(FILE *rows, const bench *b)
{
    char median[32], lowest[32], highest[32], limit[32];
    bool first = true;
    for (size_t i = 0; i < b->row_count; i++) {
        const bench_row *row = &b->rows[i];
        const char *verdict = report_verdict(row);
        if (verdict == NULL || (!first && strcmp(verdict, "met") == 0)) {
            continue;
        }
        const char *unit = strcmp(row->unit, "x") == 0 ? "×" : strcmp(row->unit, "us") == 0 ? "µs" : row->unit;
        report_summary s = report_summarize(row);
        const char *quote = first ? "`" : "";
        fprintf(rows, "| %s%s%s | %s | %s %s (%s – %s) | %s %s%s |\n", quote, first ? b->which->name : "", quote,
                row->what, report_grouped(median, sizeof median, s.median), unit,
                report_grouped(lowest, sizeof lowest, s.lowest), report_grouped(highest, sizeof highest, s.highest),
                row->relation == BENCH_AT_MOST ? "≤" : "≥", report_grouped(limit, sizeof limit, row->limit),
                strcmp(verdict, "met") == 0 ? "" : ", **missed**");
        first = false;
    }
    fflush(rows);
}

/* The file anew, with the rows between `begin` and `end`. */
static void write_table(FILE *out, const char *text, const char *begin, const char *end, const char *rows,
                        const report_header *header, unsigned met, unsigned missed)
{
    char made[200], date[32];
    time_t now = time(NULL);
    struct tm utc;
    strftime(date, sizeof date, "%Y-%m-%d", gmtime_r(&now, &utc));
    fwrite(text, 1, (size_t)(begin - text), out);
    fprintf(out, "| Bench | What | Measured: median (lowest – highest) | Target |\n|---|---|---|---|\n%s\n", rows);
    fprintf(out, "%s; %s. Targets met: %u; missed: %u, all listed.\n", date, report_describe(made, sizeof made, header),
            met, missed);
    fputs(end, out);
}

int markdown_end(FILE *rows, const char *path, const report_header *header, unsigned met, unsigned missed)
{
    char *begin, *end, *text = read_file(path, &begin, &end), *table = NULL;
    char beside[4096];
    FILE *out = NULL;
    int result = -1;
    if (text == NULL) {
        goto done;
    }
    rewind(rows);
    table = read_all(rows);
    int length = snprintf(beside, sizeof beside, "%s.new", path);
    out = table != NULL && length < (int)sizeof beside ? fopen(beside, "w") : NULL;
    if (out == NULL) {
        complain(path, strerror(errno));
        goto done;
    }
    write_table(out, text, begin, end, table, header, met, missed);
    bool written = !ferror(out);
    written = fclose(out) == 0 && written && rename(beside, path) == 0;
    result = written ? 0 : complain(path, strerror(errno));
done:
    free(table);
    free(text);
    fclose(rows);
    return result;
}
