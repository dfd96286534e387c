/* SPDX-License-Identifier: MIT */
#ifndef OUTPUT_H
#define OUTPUT_H

/** Rows on standard output, in the forms of `--format`. */
#include "command.h"

enum format { FORMAT_TABLE, FORMAT_NDJSON, FORMAT_JSON, FORMAT_CSV };

/** Understands the value of --format; NULL: a table. Says what is wrong, or returns 0. */
int parse_format(const struct command *command, const char *text, enum format *format);
/** Takes the arguments of a command that is given one file, which is values[0] then, and --format. */
int parse_file_and_format(const struct command *command, struct arguments *arguments, enum format *format);

/** A column of rows. */
struct column {
    const char *title;  /**< in tables; NULL: neither there nor in CSV */
    const char *member; /**< its name in JSON and CSV */
    bool raw;           /**< JSON takes the text as it is, a number for instance; tables set it to the right */
};
enum { COLUMNS_MAX = 6 };

/** Gives the texts of a row, one for each column, valid until the next call; NULL: there is no value. */
typedef void row_callback(size_t row, const char *texts[], void *argument);

/** Prints rows in any format; stops early if standard output fails, which finish_output() then tells. */
void print_rows(enum format format, const struct column *columns, int column_count, size_t row_count,
                row_callback *row_of, void *argument);

/** Rows that are printed as they come, in any format but a table, whose widths depend on all of them. */
struct rows {
    enum format format;
    const struct column *columns;
    int column_count;
    size_t count; /**< printed so far */
};
void rows_begin(struct rows *rows, enum format format, const struct column *columns, int column_count);
void rows_add(struct rows *rows, const char *const texts[]);
void rows_end(const struct rows *rows);

/** Prints coordinates; stops early if standard output fails, which finish_output() then tells. Returns an exit status.
 */
int print_coordinates(enum format format, const char *read_model, const ctrack_coordinate *const *rows, size_t count);

/** Prints text as JSON has it between quotes. */
void print_json_text(const char *text);

/**
 * Writes text as a terminal may see it: control characters, and those that reorder a line, as escapes, and a '\'
 * doubled, unless the text is a `key`, in which every '\' is part of an escape already. Stops before it is wider than
 * `columns` or does not fit. Returns the columns used. `buffer` may be NULL if `size` is 0: then it only counts.
 */
size_t escape_text(const char *text, bool key, char *buffer, size_t size, size_t columns);

/** Prints text so escaped. */
void print_escaped(const char *text, bool key);

/** A key as the command line takes it; the caller frees it. NULL: no memory. */
char *format_key(const ctrack_key *key);

/** Milliseconds since 1970 as the file's view shows them: "2026-03-01T09:30:00.123Z". NULL for what is no time. */
enum { TIME_TEXT = 32 };
const char *format_time(int64_t milliseconds, char text[TIME_TEXT]);
/** A version of SQLite as a number, such as 3040001, for people: "3.40.1". */
enum { VERSION_TEXT = 36 };
void format_version(int version, char text[VERSION_TEXT]);

/** Whether all that was written to standard output so far has gone where it was sent; to be asked right after writing.
 */
bool output_good(void);

/**
 * Flushes and closes standard output; a full disk must not look like a good answer. Returns `outcome`, or EXIT_IO if
 * something could not be written, and says why, unless it is that nobody reads any more.
 */
int finish_output(int outcome);

#endif
