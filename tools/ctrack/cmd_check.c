/* SPDX-License-Identifier: MIT */
#include "options.h"
#include "output.h"

struct listing {
    enum format format;
    size_t count;
};

/* A ctrack_finding_callback. */
static int print_next(const ctrack_finding *finding, void *argument)
{
    struct listing *list = argument;
    print_finding(list->format, list->count++, finding);
    return !output_good();
}

/* What a user should know of the SQLite that ctrack runs with. */
static int say_sound(const char *path)
{
    ctrack *tracker;
    ctrack_error error;
    ctrack_stats stats = {.size = sizeof stats};
    int outcome = open_tracker(path, NULL, true, &tracker);
    if (outcome != 0) {
        return outcome;
    }
    if (ctrack_get_stats(tracker, &stats, &error) != CTRACK_OK) {
        return close_tracker(tracker, fail_library(&error));
    }
    fail(EXIT_DONE, "%s: sound", path);
    if (stats.sqlite_exposed) {
        fail(EXIT_DONE,
             "SQLite %d.%d.%d has the WAL-reset bug (https://www.sqlite.org/wal.html): ctrack avoids what triggers it; "
             "let no other program checkpoint the file",
             stats.sqlite_version / 1000000, stats.sqlite_version / 1000 % 1000, stats.sqlite_version % 1000);
    }
    return close_tracker(tracker, EXIT_DONE);
}

static int check(const char *path, enum format format)
{
    struct listing list = {.format = format};
    ctrack_error error;
    begin_findings(format);
    ctrack_status status = ctrack_check(path, print_next, NULL, &list, &error);
    end_findings(format, list.count);
    if (status == CTRACK_OK) {
        return say_sound(path);
    }
    return status == CTRACK_ABORTED ? EXIT_IO : fail_library(&error); /* finish_output() says what ended it */
}

static int run(const struct command *command, struct arguments *arguments)
{
    const char *form = NULL;
    const struct option options[] = {{"format", '\0', &form, NULL}, OPTIONS_END};
    enum format format;
    int outcome = parse_options(command, arguments, options);
    outcome = outcome == 0 ? parse_format(command, form, &format) : outcome;
    if (outcome != 0) {
        return outcome;
    }
    if (arguments->count != 1) {
        return fail_usage(command, "one file is needed");
    }
    return check(arguments->values[0], format);
}

const struct command command_check = {
    .name = "check",
    .summary = "look for damage in a file",
    .usage = "FILE [--format table|ndjson|json|csv]",
    .help = "Checks the whole file, also while others use it: SQLite's own integrity check, the schema, every row, and "
            "what\n"
            "holds between the rows. Writes nothing to it. Prints what it finds: where, what it leads to and what to "
            "do.\n"
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
