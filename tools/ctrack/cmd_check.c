/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <unistd.h>

#include "options.h"
#include "output.h"
#include "progress.h"

struct findings {
    struct rows rows;
    struct progress progress;
};

/* For people: three lines, since the texts are too long for a table. */
static void print_lines(const ctrack_finding *finding, const char *row)
{
    printf("%s%s%s: ", finding->table, row != NULL ? " row " : "", row != NULL ? row : "");
    print_escaped(finding->what, false);
    printf("\n  means: %s\n  do:    %s\n", finding->means, finding->advice);
}

/* A ctrack_finding_callback: what is found is printed at once, since a check may take long. */
static int print_finding(const ctrack_finding *finding, void *argument)
{
    struct findings *findings = argument;
    char digits[24];
    bool row = finding->row != CTRACK_NO_ROW;
    snprintf(digits, sizeof digits, "%lld", (long long)finding->row);
    progress_clear(&findings->progress);
    if (findings->rows.format == FORMAT_TABLE) {
        print_lines(finding, row ? digits : NULL);
    } else {
        rows_add(&findings->rows, (const char *const[]){finding->rule, finding->table, row ? digits : NULL,
                                                        finding->what, finding->means, finding->advice});
    }
    return !output_good();
}

/* A ctrack_progress_callback. */
static int show_progress(uint64_t done, uint64_t total, void *argument)
{
    struct findings *findings = argument;
    progress_reach(&findings->progress, done, total);
    return 0;
}

/* And what a user should know of the SQLite that ctrack runs with, which any tracker can tell. */
static int say_sound(const char *path)
{
    ctrack *tracker;
    ctrack_error error;
    ctrack_stats stats = {.size = sizeof stats};
    fail(EXIT_DONE, "%s: sound", path);
    if (ctrack_open(NULL, NULL, &tracker, &error) != CTRACK_OK) {
        return fail_library(&error);
    }
    if (ctrack_get_stats(tracker, &stats, &error) != CTRACK_OK) {
        return close_tracker(tracker, fail_library(&error));
    }
    if (stats.sqlite_exposed) {
        char version[VERSION_TEXT];
        format_version(stats.sqlite_version, version);
        fail(EXIT_DONE,
             "SQLite %s has the WAL-reset bug (https://www.sqlite.org/wal.html): ctrack avoids what triggers it; "
             "let no other program checkpoint the file",
             version);
    }
    return close_tracker(tracker, EXIT_DONE);
}

static int check(const struct command *command, const char *path, enum format format)
{
    static const struct column columns[] = {{"RULE", "rule", false},   {"TABLE", "table", false},
                                            {"ROW", "row", true},      {"WHAT", "what", false},
                                            {"MEANS", "means", false}, {"DO", "advice", false}};
    struct findings findings;
    ctrack_error error;
    rows_begin(&findings.rows, format, columns, sizeof columns / sizeof columns[0]);
    /* Lines for people may stand on the same terminal: the line of the progress is wiped before each of them. */
    progress_begin(&findings.progress, command->name, 0, format == FORMAT_TABLE ? -1 : STDOUT_FILENO);
    ctrack_status status = ctrack_check(path, busy_timeout(), print_finding, show_progress, &findings, &error);
    progress_end(&findings.progress);
    rows_end(&findings.rows);
    if (status == CTRACK_OK) {
        return say_sound(path);
    }
    return status == CTRACK_ABORTED ? EXIT_IO : fail_on_file(path, &error); /* finish_output() says what ended it */
}

static int run(const struct command *command, struct arguments *arguments)
{
    enum format format;
    int outcome = parse_file_and_format(command, arguments, &format);
    if (outcome != 0) {
        return outcome;
    }
    return check(command, arguments->values[0], format);
}

const struct command command_check = {
    .name = "check",
    .summary = "look for damage in a file",
    .usage = "FILE [--format table|ndjson|json|csv]",
    .help = "Checks the whole file, also while others use it: SQLite's own integrity check, the schema, every row, and "
            "what\n"
            "holds between the rows. Writes nothing to it. Prints what it finds: where, what it leads to and what to "
            "do.\n"
            "Names the tables that need what only their own program has, and are not checked in full.\n"
            "\n"
            "Exit status: 0 the file is sound; 3 it is damaged, or no tracker's file; 4 it cannot be read; 5 it is "
            "busy.\n"
            "\n"
            "  --format table    for people (the default)\n"
            "  --format ndjson   one object on each line: rule, table, row (or null), what, means, advice\n"
            "  --format json     the same as one array\n"
            "  --format csv      the same, RFC 4180, with a header line\n"
            "\n"
            "Example:\n"
            "  ctrack check progress.db && ctrack snapshot progress.db backup.db\n",
    .run = run,
};
