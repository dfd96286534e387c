/* SPDX-License-Identifier: MIT */
#include "output.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The first errno of standard output. */
static int problem;

bool output_good(void)
{
    if (ferror(stdout) && problem == 0) {
        problem = errno != 0 ? errno : EIO;
    }
    return !ferror(stdout);
}

int parse_format(const struct command *command, const char *text, enum format *format)
{
    static const char *const names[] = {"table", "ndjson", "json", "csv"};
    *format = FORMAT_TABLE;
    if (text == NULL) {
        return 0;
    }
    for (int i = 0; i < 4; i++) {
        if (strcmp(text, names[i]) == 0) {
            *format = (enum format)i;
            return 0;
        }
    }
    return fail_usage(command, "%s: the format is table, ndjson, json or csv", text);
}

/* ---------------------------------------------------------------- JSON and CSV */

/* The code point at `text`, which is valid UTF-8, and its width in bytes. */
static unsigned decode(const char *text, int *width)
{
    const unsigned char *s = (const unsigned char *)text;
    *width = s[0] < 0x80 ? 1 : s[0] < 0xE0 ? 2 : s[0] < 0xF0 ? 3 : 4;
    static const unsigned masks[] = {0, 0x7F, 0x1F, 0x0F, 0x07};
    unsigned point = s[0] & masks[*width];
    for (int i = 1; i < *width && s[i] != '\0'; i++) {
        point = point << 6 | (s[i] & 0x3F);
    }
    return point;
}

static bool is_control(unsigned point)
{
    return point < 0x20 || (point >= 0x7F && point < 0xA0);
}

static void print_json_text(const char *text)
{
    static const char values[] = "\"\\\b\f\n\r\t", names[] = "\"\\bfnrt";
    const char *run = text; /* what means itself, from here to `text` */
    for (int width; *text != '\0'; text += width) {
        unsigned point = decode(text, &width);
        if (point != '"' && point != '\\' && !is_control(point)) {
            continue;
        }
        fwrite(run, 1, (size_t)(text - run), stdout);
        run = text + width;
        const char *value = width == 1 ? strchr(values, *text) : NULL;
        if (value != NULL) {
            printf("\\%c", names[value - values]);
        } else {
            printf("\\u%04x", point);
        }
    }
    fwrite(run, 1, (size_t)(text - run), stdout);
}

static void print_ndjson(const char *read_model, const ctrack_coordinate *row)
{
    fputs("{\"readModel\":\"", stdout);
    print_json_text(read_model);
    fputs("\",\"documentId\":\"", stdout);
    print_json_text(row->document_id);
    fputs("\",\"scope\":\"", stdout);
    print_json_text(row->scope);
    fputs("\",\"branch\":\"", stdout);
    print_json_text(row->branch);
    printf("\",\"operationIndex\":%lld}\n", (long long)row->operation_index);
}

/* An entry of serialize()'s form: the key as text, with its own escapes inside those of JSON. */
static bool print_entry(const ctrack_coordinate *row)
{
    const ctrack_key key = {row->document_id, row->scope, row->branch};
    size_t size = ctrack_key_format(&key, NULL, 0) + 1;
    char *text = malloc(size);
    if (text == NULL) {
        return false;
    }
    ctrack_key_format(&key, text, size);
    fputs("[\"", stdout);
    print_json_text(text);
    printf("\",%lld]", (long long)row->operation_index);
    free(text);
    return true;
}

/* A field of RFC 4180. */
static void print_field(const char *text)
{
    if (strpbrk(text, "\",\r\n") == NULL) {
        fputs(text, stdout);
        return;
    }
    putchar('"');
    for (; *text != '\0'; text++) {
        if (*text == '"') {
            putchar('"');
        }
        putchar(*text);
    }
    putchar('"');
}

static void print_csv(const ctrack_coordinate *row)
{
    print_field(row->document_id);
    putchar(',');
    print_field(row->scope);
    putchar(',');
    print_field(row->branch);
    printf(",%lld\r\n", (long long)row->operation_index);
}

/* ---------------------------------------------------------------- tables */

enum { COLUMNS = 4, WIDEST = 60 }; /* a text that is wider than WIDEST pushes the rest of its line */

/* Marks and overrides that would make a terminal show the line in another order than it is. */
static bool reorders(unsigned point)
{
    return point == 0x061C || point == 0x200E || point == 0x200F || (point >= 0x2028 && point <= 0x202E) ||
           (point >= 0x2066 && point <= 0x2069);
}

/* What a terminal gets instead of a character; *escape is empty if that is the character itself. A '\' is doubled, so
 * that no two texts look alike. */
static void escape_point(unsigned point, char escape[16])
{
    escape[0] = '\0';
    if (point == '\n' || point == '\t' || point == '\\') {
        snprintf(escape, 16, "\\%c", point == '\n' ? 'n' : point == '\t' ? 't' : '\\');
    } else if (is_control(point)) {
        snprintf(escape, 16, "\\x%02x", point);
    } else if (reorders(point)) {
        snprintf(escape, 16, "\\u%04x", point);
    }
}

/* Prints a text for a terminal, or only counts if `print` is false. Returns its columns. */
static size_t show(const char *text, bool print)
{
    size_t columns = 0;
    for (int width; *text != '\0'; text += width) {
        char escape[16];
        escape_point(decode(text, &width), escape);
        columns += escape[0] != '\0' ? strlen(escape) : 1;
        if (print && escape[0] != '\0') {
            fputs(escape, stdout);
        } else if (print) {
            fwrite(text, 1, (size_t)width, stdout);
        }
    }
    return columns;
}

static void print_line(const char *const texts[COLUMNS], const size_t widths[COLUMNS])
{
    for (int c = 0; c < COLUMNS; c++) {
        size_t columns = show(texts[c], false), pad = columns < widths[c] ? widths[c] - columns : 0;
        bool number = c == COLUMNS - 1;
        printf("%*s", number ? (int)pad : 0, "");
        show(texts[c], true);
        if (!number) {
            printf("%*s", (int)pad + 2, "");
        }
    }
    putchar('\n');
}

static void print_table(const ctrack_coordinate *const *rows, size_t count)
{
    static const char *const titles[COLUMNS] = {"DOCUMENT", "SCOPE", "BRANCH", "INDEX"};
    size_t widths[COLUMNS] = {8, 5, 6, 5};
    for (int pass = 0; pass < 2; pass++) {
        if (pass == 1) {
            print_line(titles, widths);
        }
        for (size_t i = 0; i < count && output_good(); i++) {
            char digits[24];
            snprintf(digits, sizeof digits, "%lld", (long long)rows[i]->operation_index);
            const char *const texts[COLUMNS] = {rows[i]->document_id, rows[i]->scope, rows[i]->branch, digits};
            if (pass == 1) {
                print_line(texts, widths);
                continue;
            }
            for (int c = 0; c < COLUMNS; c++) {
                size_t columns = show(texts[c], false);
                widths[c] = columns > widths[c] && columns <= WIDEST ? columns : widths[c];
            }
        }
    }
}

/* ---------------------------------------------------------------- all of them */

static int print_json(const ctrack_coordinate *const *rows, size_t count)
{
    putchar('[');
    for (size_t i = 0; i < count && output_good(); i++) {
        fputs(i > 0 ? "," : "", stdout);
        if (!print_entry(rows[i])) {
            return fail(EXIT_IO, "out of memory");
        }
    }
    puts("]");
    return EXIT_DONE;
}

int print_coordinates(enum format format, const char *read_model, const ctrack_coordinate *const *rows, size_t count)
{
    switch (format) {
    case FORMAT_TABLE:
        print_table(rows, count);
        break;
    case FORMAT_NDJSON:
        for (size_t i = 0; i < count && output_good(); i++) {
            print_ndjson(read_model, rows[i]);
        }
        break;
    case FORMAT_JSON:
        return print_json(rows, count);
    case FORMAT_CSV:
        fputs("documentId,scope,branch,operationIndex\r\n", stdout);
        for (size_t i = 0; i < count && output_good(); i++) {
            print_csv(rows[i]);
        }
        break;
    }
    return EXIT_DONE;
}

/* ---------------------------------------------------------------- findings */

/* The members of a finding in their order, without the row. */
enum { RULE, TABLE, WHAT, MEANS, ADVICE };

static void print_finding_object(const ctrack_finding *finding)
{
    static const char *const names[] = {"rule", "table", "what", "means", "advice"};
    const char *const texts[] = {finding->rule, finding->table, finding->what, finding->means, finding->advice};
    for (int i = RULE; i <= ADVICE; i++) {
        printf("%c\"%s\":\"", i == RULE ? '{' : ',', names[i]);
        print_json_text(texts[i]);
        putchar('"');
        if (i == TABLE && finding->row != CTRACK_NO_ROW) {
            printf(",\"row\":%lld", (long long)finding->row);
        } else if (i == TABLE) {
            fputs(",\"row\":null", stdout);
        }
    }
    putchar('}');
}

static void print_finding_csv(const ctrack_finding *finding)
{
    print_field(finding->rule);
    putchar(',');
    print_field(finding->table);
    putchar(',');
    if (finding->row != CTRACK_NO_ROW) {
        printf("%lld", (long long)finding->row);
    }
    const char *const texts[] = {finding->what, finding->means, finding->advice};
    for (int i = 0; i < 3; i++) {
        putchar(',');
        print_field(texts[i]);
    }
    fputs("\r\n", stdout);
}

static void print_finding_lines(const ctrack_finding *finding)
{
    fputs(finding->table, stdout);
    if (finding->row != CTRACK_NO_ROW) {
        printf(" row %lld", (long long)finding->row);
    }
    fputs(": ", stdout);
    show(finding->what, true);
    printf("\n  means: %s\n  do:    %s\n", finding->means, finding->advice);
}

void begin_findings(enum format format)
{
    if (format == FORMAT_JSON) {
        putchar('[');
    } else if (format == FORMAT_CSV) {
        fputs("rule,table,row,what,means,advice\r\n", stdout);
    }
}

void print_finding(enum format format, size_t position, const ctrack_finding *finding)
{
    switch (format) {
    case FORMAT_TABLE:
        print_finding_lines(finding);
        break;
    case FORMAT_JSON:
        fputs(position > 0 ? ",\n" : "\n", stdout);
        print_finding_object(finding);
        break;
    case FORMAT_NDJSON:
        print_finding_object(finding);
        putchar('\n');
        break;
    case FORMAT_CSV:
        print_finding_csv(finding);
        break;
    }
}

void end_findings(enum format format, size_t count)
{
    if (format == FORMAT_JSON) {
        puts(count > 0 ? "\n]" : "]");
    }
}

int finish_output(int outcome)
{
    bool good = output_good();
    errno = 0;
    if (fflush(stdout) != 0) {
        good = false;
        problem = problem != 0 ? problem : errno;
    }
    if (fclose(stdout) != 0) { /* some file systems tell of a full disk only now */
        good = false;
        problem = problem != 0 ? problem : errno;
    }
    if (good) {
        return outcome;
    }
    return problem == EPIPE ? EXIT_IO : fail(EXIT_IO, "standard output: %s", strerror(problem));
}
