/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include "options.h"
#include "outfile.h"
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

static int dump(const struct command *command, const char *path, const char *read_model, const char *target)
{
    ctrack *tracker;
    struct sink sink = {.headed = false};
    ctrack_error error;
    int outcome = open_tracker(path, read_model, true, &tracker);
    if (outcome != 0) {
        return outcome;
    }
    outcome = outfile_open(&sink.file, command, target, path);
    if (outcome == 0) {
        progress_begin(&sink.progress, command->name, 0, sink.file.descriptor);
        ctrack_status status = ctrack_dump(tracker, read_model, write_sink, &sink, &error);
        progress_end(&sink.progress);
        if (status != CTRACK_OK) {
            /* Nobody is left to read it: no reason to complain. */
            outcome = sink.file.problem == EPIPE ? EXIT_IO : fail_library(&error);
        }
        outcome = outfile_close(&sink.file, outcome);
    }
    return close_tracker(tracker, outcome);
}

static int run(const struct command *command, struct arguments *arguments)
{
    const char *read_model = NULL, *target = NULL;
    const struct option options[] = {OPTION_READ_MODEL(&read_model), {"output", 'o', &target, NULL}, OPTIONS_END};
    int outcome = parse_options(command, arguments, options);
    if (outcome != 0) {
        return outcome;
    }
    if (arguments->count != 1) {
        return fail_usage(command, "one file is needed");
    }
    return dump(command, arguments->values[0], read_model, target);
}

const struct command command_dump = {
    .name = "dump",
    .summary = "write progress as text",
    .usage = "FILE [-o OUT] [--read-model NAME]",
    .help = "Writes the progress of all read models, or of one, as lines of JSON: sorted, with a header line and a "
            "closing\n"
            "line that has count and checksum. Others may go on using the file; what is written is of one moment.\n"
            "\n"
            "  -o, --output OUT   writes this file, with mode 0600: it is there whole or not at all\n"
            "                     (default: standard output, also as -)\n"
            "\n"
            "Example:\n"
            "  ctrack dump progress.db -o progress.ndjson\n",
    .run = run,
};
