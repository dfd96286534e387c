/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "options.h"
#include "outfile.h"
#include "output.h"
#include "progress.h"

struct sink {
    struct outfile file;
    struct progress progress;
    bool headed; /* the line with the header is over */
};

/* A ctrack_write_callback; the argument is a sink. */
static int write_sink(const void *data, size_t size, void *argument)
{
    struct sink *sink = argument;
    int problem = outfile_write(data, size, &sink->file);
    uint64_t rows = 0;
    const char *at = data, *end = at + size;
    for (const char *feed; problem == 0 && (feed = memchr(at, '\n', (size_t)(end - at))) != NULL; at = feed + 1) {
        rows += sink->headed;
        sink->headed = true;
    }
    progress_advance(&sink->progress, size, rows);
    return problem;
}

static int dump_lines(const struct command *command, ctrack *tracker, const char *read_model, struct sink *sink)
{
    ctrack_error error;
    progress_begin(&sink->progress, command->name, 0, sink->file.descriptor);
    ctrack_status status = ctrack_dump(tracker, read_model, write_sink, sink, &error);
    progress_end(&sink->progress);
    if (status == CTRACK_OK) {
        return EXIT_DONE;
    }
    /* Nobody is left to read it: no reason to complain. */
    return sink->file.problem == EPIPE ? EXIT_IO : fail_library(&error);
}

static int print_array(ctrack *tracker)
{
    ctrack_error error;
    ctrack_snapshot *snapshot = NULL;
    if (ctrack_serialize(tracker, &snapshot, &error) != CTRACK_OK) {
        return fail_library(&error);
    }
    size_t count = ctrack_snapshot_count(snapshot);
    const ctrack_coordinate **rows = calloc(count + 1, sizeof *rows);
    for (size_t i = 0; i < count && rows != NULL; i++) {
        rows[i] = &ctrack_snapshot_entries(snapshot)[i];
    }
    int outcome = rows != NULL ? print_coordinates(FORMAT_JSON, NULL, rows, count) : fail(EXIT_IO, "out of memory");
    free(rows);
    ctrack_snapshot_free(snapshot);
    return outcome;
}

/* What prints rows prints them to standard output, which is made to be the file. */
static int dump_array(ctrack *tracker, struct sink *sink)
{
    if (sink->file.descriptor == STDOUT_FILENO) {
        return print_array(tracker);
    }
    if (dup2(sink->file.descriptor, STDOUT_FILENO) < 0) {
        return fail(EXIT_IO, "%s: %s", sink->file.path, strerror(errno));
    }
    int outcome = print_array(tracker);
    errno = 0;
    if ((fflush(stdout) != 0 || ferror(stdout)) && outcome == EXIT_DONE) {
        outcome = fail(EXIT_IO, "%s: %s", sink->file.path, strerror(errno != 0 ? errno : EIO));
        clearerr(stdout); /* it has been said */
    }
    return outcome;
}

static int dump(const struct command *command, const char *path, const char *read_model, const char *target, bool array)
{
    ctrack *tracker;
    struct sink sink = {.headed = false};
    int outcome = open_tracker(path, read_model, true, &tracker);
    if (outcome != 0) {
        return outcome;
    }
    outcome = read_model != NULL || array ? find_read_model(tracker, path, read_model) : 0;
    outcome = outcome == 0 ? outfile_open(&sink.file, command, target, path) : outcome;
    if (outcome == 0) {
        outcome = array ? dump_array(tracker, &sink) : dump_lines(command, tracker, read_model, &sink);
        outcome = outfile_close(&sink.file, outcome);
    }
    return close_tracker(tracker, outcome);
}

static int run(const struct command *command, struct arguments *arguments)
{
    const char *read_model = NULL, *target = NULL, *form = "ndjson";
    const struct option options[] = {
        OPTION_READ_MODEL(&read_model), {"output", 'o', &target, NULL}, {"format", '\0', &form, NULL}, OPTIONS_END};
    int outcome = parse_options(command, arguments, options);
    if (outcome != 0) {
        return outcome;
    }
    if (arguments->count != 1) {
        return fail_usage(command, "one file is needed");
    }
    bool array = strcmp(form, "json") == 0;
    if (!array && strcmp(form, "ndjson") != 0) {
        return fail_usage(command, "%s: the format of a dump is ndjson or json", form);
    }
    return dump(command, arguments->values[0], read_model, target, array);
}

const struct command command_dump = {
    .name = "dump",
    .summary = "write progress as text",
    .usage = "FILE [-o OUT] [--format ndjson|json] [--read-model NAME]",
    .help =
        "Writes the progress of all read models, or of one, as lines of JSON: sorted, with a header line and a "
        "closing\n"
        "line that has count and checksum. Others may go on using the file; what is written is of one moment.\n"
        "\n"
        "  -o, --output OUT   writes this file, with mode 0600: it is there whole or not at all\n"
        "                     (default: standard output, also as -)\n"
        "  --format json      the array [[\"documentId:scope:branch\",5],…] of one read model, which has no checksum\n"
        "\n"
        "Exits with 1 if the file has no such read model.\n"
        "\n"
        "Example:\n"
        "  ctrack dump progress.db -o progress.ndjson\n",
    .run = run,
};
