/* SPDX-License-Identifier: MIT */
#include "output.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "options.h"

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

int parse_file_and_format(const struct command *command, struct arguments *arguments, enum format *format)
{
    const char *form = NULL;
    const struct option options[] = {{"format", '\0', &form, NULL}, OPTIONS_END};
    int outcome = parse_options(command, arguments, options);
    outcome = outcome == 0 ? parse_format(command, form, format) : outcome;
    if (outcome != 0) {
        return outcome;
    }
    return arguments->count == 1 ? 0 : fail_usage(command, "one file is needed");
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

void print_json_text(const char *text)
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

static void print_object(const struct column *columns, int count, const char *const texts[])
{
    for (int c = 0; c < count; c++) {
        printf("%s\"%s\":", c > 0 ? "," : "{", columns[c].member);
        if (texts[c] == NULL) {
            fputs("null", stdout);
        } else if (columns[c].raw) {
            fputs(texts[c], stdout);
        } else {
            putchar('"');
            print_json_text(texts[c]);
            putchar('"');
        }
    }
    putchar('}');
}

char *format_key(const ctrack_key *key)
{
    size_t size = ctrack_key_format(key, NULL, 0) + 1;
    char *text = malloc(size);
    if (text != NULL) {
        ctrack_key_format(key, text, size);
    }
    return text;
}

/* An entry of serialize()'s form: the key as text, with its own escapes inside those of JSON. */
static bool print_entry(const ctrack_coordinate *row)
{
    const ctrack_key key = {row->document_id, row->scope, row->branch};
    char *text = format_key(&key);
    if (text == NULL) {
        return false;
    }
    fputs("[\"", stdout);
    print_json_text(text);
    printf("\",%lld]", (long long)row->operation_index);
    free(text);
    return true;
}

/* ---------------------------------------------------------------- tables */

enum { WIDEST = 60 }; /* a text that is wider pushes the rest of its line */

/* Marks and overrides that would make a terminal show the line in another order than it is. */
static bool reorders(unsigned point)
{
    return point == 0x061C || point == 0x200E || point == 0x200F || (point >= 0x2028 && point <= 0x202E) ||
           (point >= 0x2066 && point <= 0x2069);
}

/* What a terminal gets instead of a character; *escape is empty if that is the character itself. A '\' is doubled, so
 * that no two texts look alike. */
static void escape_point(unsigned point, bool key, char escape[16])
{
    escape[0] = '\0';
    if (point == '\\' && key) {
        return;
    }
    if (point == '\n' || point == '\t' || point == '\\') {
        snprintf(escape, 16, "\\%c", point == '\n' ? 'n' : point == '\t' ? 't' : '\\');
    } else if (is_control(point)) {
        snprintf(escape, 16, "\\x%02x", point);
    } else if (reorders(point)) {
        snprintf(escape, 16, "\\u%04x", point);
    }
}

size_t escape_text(const char *text, bool key, char *buffer, size_t size, size_t columns)
{
    size_t used = 0, at = 0;
    for (int width; *text != '\0'; text += width) {
        char escape[16];
        escape_point(decode(text, &width), key, escape);
        bool escaped = escape[0] != '\0';
        size_t more = escaped ? strlen(escape) : 1, bytes = escaped ? more : (size_t)width;
        if (used + more > columns || (size > 0 && at + bytes >= size)) {
            break;
        }
        if (size > 0) {
            memcpy(buffer + at, escaped ? escape : text, bytes);
        }
        at += bytes;
        used += more;
    }
    if (size > 0) {
        buffer[at] = '\0';
    }
    return used;
}

void print_escaped(const char *text, bool key)
{
    for (int width; *text != '\0'; text += width) {
        char escape[16];
        escape_point(decode(text, &width), key, escape);
        if (escape[0] != '\0') {
            fputs(escape, stdout);
        } else {
            fwrite(text, 1, (size_t)width, stdout);
        }
    }
}

/* A cell, set to the left or, if raw, to the right; nothing follows the last one. */
static void print_cell(const char *text, bool raw, bool last, size_t width)
{
    size_t columns = escape_text(text, false, NULL, 0, SIZE_MAX), pad = columns < width ? width - columns : 0;
    printf("%*s", raw ? (int)pad : 0, "");
    print_escaped(text, false);
    printf("%*s", last ? 0 : raw ? 2 : (int)pad + 2, "");
}

static void print_line(const struct column *columns, int count, const char *const texts[], const size_t widths[])
{
    for (int c = 0; c < count; c++) {
        if (columns[c].title != NULL) {
            print_cell(texts[c] != NULL ? texts[c] : "-", columns[c].raw, c == count - 1, widths[c]);
        }
    }
    putchar('\n');
}

static void print_table(const struct column *columns, int column_count, size_t row_count, row_callback *row_of,
                        void *argument)
{
    const char *texts[COLUMNS_MAX] = {NULL};
    size_t widths[COLUMNS_MAX] = {0};
    for (int c = 0; c < column_count; c++) {
        texts[c] = columns[c].title;
        widths[c] = texts[c] != NULL ? strlen(texts[c]) : 0;
    }
    for (size_t i = 0; i < row_count; i++) {
        row_of(i, texts, argument);
        for (int c = 0; c < column_count; c++) {
            size_t wide =
                columns[c].title != NULL && texts[c] != NULL ? escape_text(texts[c], false, NULL, 0, SIZE_MAX) : 0;
            widths[c] = wide > widths[c] && wide <= WIDEST ? wide : widths[c];
        }
    }
    for (int c = 0; c < column_count; c++) {
        texts[c] = columns[c].title;
    }
    print_line(columns, column_count, texts, widths);
    for (size_t i = 0; i < row_count && output_good(); i++) {
        row_of(i, texts, argument);
        print_line(columns, column_count, texts, widths);
    }
}

/* ---------------------------------------------------------------- CSV */

/* A field of RFC 4180, which has no escapes: what a terminal would obey is escaped on a terminal only. */
static void print_field(const char *text)
{
    static int terminal = -1;
    bool quoted = strpbrk(text, "\",\r\n") != NULL;
    terminal = terminal < 0 ? isatty(STDOUT_FILENO) : terminal;
    fputs(quoted ? "\"" : "", stdout);
    for (int width; *text != '\0'; text += width) {
        char escape[16] = "";
        unsigned point = decode(text, &width);
        if (terminal != 0) {
            escape_point(point, true, escape);
        }
        if (escape[0] != '\0') {
            fputs(escape, stdout);
        } else {
            fputs(point == '"' ? "\"" : "", stdout);
            fwrite(text, 1, (size_t)width, stdout);
        }
    }
    fputs(quoted ? "\"" : "", stdout);
}

/* A line of CSV; texts NULL: the header line. */
static void print_csv_line(const struct column *columns, int count, const char *const *texts)
{
    bool first = true;
    for (int c = 0; c < count; c++) {
        const char *text = texts != NULL ? texts[c] : columns[c].member;
        if (columns[c].title != NULL) {
            fputs(first ? "" : ",", stdout);
            print_field(text != NULL ? text : "");
            first = false;
        }
    }
    fputs("\r\n", stdout);
}

/* ---------------------------------------------------------------- all of them */

void rows_begin(struct rows *rows, enum format format, const struct column *columns, int column_count)
{
    *rows = (struct rows){format, columns, column_count, 0};
    if (format == FORMAT_CSV) {
        print_csv_line(columns, column_count, NULL);
    }
    fputs(format == FORMAT_JSON ? "[" : "", stdout);
}

void rows_add(struct rows *rows, const char *const texts[])
{
    if (rows->format == FORMAT_CSV) {
        print_csv_line(rows->columns, rows->column_count, texts);
    } else {
        fputs(rows->format == FORMAT_JSON && rows->count > 0 ? "," : "", stdout);
        print_object(rows->columns, rows->column_count, texts);
        fputs(rows->format == FORMAT_JSON ? "" : "\n", stdout);
    }
    rows->count++;
}

void rows_end(const struct rows *rows)
{
    fputs(rows->format == FORMAT_JSON ? "]\n" : "", stdout);
}

void print_rows(enum format format, const struct column *columns, int column_count, size_t row_count,
                row_callback *row_of, void *argument)
{
    const char *texts[COLUMNS_MAX];
    struct rows rows;
    if (format == FORMAT_TABLE) {
        print_table(columns, column_count, row_count, row_of, argument);
        return;
    }
    rows_begin(&rows, format, columns, column_count);
    for (size_t i = 0; i < row_count && output_good(); i++) {
        row_of(i, texts, argument);
        rows_add(&rows, texts);
    }
    rows_end(&rows);
}

/* serialize()'s form, which restore reads. */
static int print_entries(const ctrack_coordinate *const *rows, size_t count)
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

struct coordinates {
    const char *read_model;
    const ctrack_coordinate *const *rows;
    char digits[24];
};

static void coordinate_texts(size_t row, const char *texts[], void *argument)
{
    struct coordinates *all = argument;
    const ctrack_coordinate *coordinate = all->rows[row];
    snprintf(all->digits, sizeof all->digits, "%lld", (long long)coordinate->operation_index);
    texts[0] = all->read_model;
    texts[1] = coordinate->document_id;
    texts[2] = coordinate->scope;
    texts[3] = coordinate->branch;
    texts[4] = all->digits;
}

int print_coordinates(enum format format, const char *read_model, const ctrack_coordinate *const *rows, size_t count)
{
    static const struct column columns[] = {{NULL, "readModel", false},
                                            {"DOCUMENT", "documentId", false},
                                            {"SCOPE", "scope", false},
                                            {"BRANCH", "branch", false},
                                            {"INDEX", "operationIndex", true}};
    struct coordinates all = {.read_model = read_model, .rows = rows};
    if (format == FORMAT_JSON) {
        return print_entries(rows, count);
    }
    print_rows(format, columns, sizeof columns / sizeof columns[0], count, coordinate_texts, &all);
    return EXIT_DONE;
}

const char *format_time(int64_t milliseconds, char text[TIME_TEXT])
{
    time_t seconds = (time_t)(milliseconds / 1000);
    struct tm parts;
    if (milliseconds < 0 || gmtime_r(&seconds, &parts) == NULL ||
        strftime(text, TIME_TEXT, "%Y-%m-%dT%H:%M:%S", &parts) == 0) {
        return NULL;
    }
    snprintf(text + strlen(text), TIME_TEXT - strlen(text), ".%03dZ", (int)(milliseconds % 1000));
    return text;
}

void format_version(int version, char text[VERSION_TEXT])
{
    snprintf(text, VERSION_TEXT, "%d.%d.%d", version / 1000000, version / 1000 % 1000, version % 1000);
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
