/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "options.h"
#include "outfile.h"

static int dump(const struct command *command, const char *path, const char *read_model, const char *target)
{
    ctrack *tracker;
    struct outfile file;
    ctrack_error error;
    int outcome = open_tracker(path, read_model, true, &tracker);
    if (outcome != 0) {
        return outcome;
    }
    outcome = outfile_open(&file, command, target, path);
    if (outcome == 0) {
        if (ctrack_dump(tracker, read_model, outfile_write, &file, &error) != CTRACK_OK) {
            /* Nobody is left to read it: no reason to complain. */
            outcome = file.problem == EPIPE ? EXIT_IO : fail_library(&error);
        }
        outcome = outfile_close(&file, outcome);
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
