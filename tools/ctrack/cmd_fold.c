/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "interrupt.h"
#include "options.h"
#include "progress.h"

/* A ctrack_progress_callback. */
static int go_on_unless_interrupted(uint64_t done, uint64_t total, void *argument)
{
    progress_reach(argument, done, total);
    return interrupted();
}

static int say(const char *file, const ctrack_stats *before, ctrack *tracker)
{
    ctrack_error error;
    ctrack_stats after = {.size = sizeof after};
    if (ctrack_get_stats(tracker, &after, &error) != CTRACK_OK) {
        return fail_library(&error);
    }
    printf("%s: %llu rows folded; write-ahead log: %llu bytes, before %llu\n", file,
           (unsigned long long)before->log_backlog, (unsigned long long)after.wal_bytes,
           (unsigned long long)before->wal_bytes);
    return EXIT_DONE;
}

static int fold(const struct command *command, const char *file, ctrack *tracker)
{
    ctrack_error error;
    struct progress progress;
    ctrack_stats before = {.size = sizeof before};
    if (interrupt_catch() < 0) {
        return fail(EXIT_IO, "signals cannot be caught: %s", strerror(errno));
    }
    if (ctrack_get_stats(tracker, &before, &error) != CTRACK_OK) {
        return fail_library(&error);
    }
    progress_begin(&progress, command->name, 0, -1);
    ctrack_status status = ctrack_fold(tracker, go_on_unless_interrupted, &progress, &error);
    progress_end(&progress);
    if (status == CTRACK_ABORTED) {
        return fail(EXIT_IO, "interrupted: the rest is folded another time");
    }
    return status == CTRACK_OK ? say(file, &before, tracker) : fail_library(&error);
}

static int run(const struct command *command, struct arguments *arguments)
{
    const struct option options[] = {OPTIONS_END};
    ctrack *tracker;
    int outcome = parse_options(command, arguments, options);
    if (outcome != 0) {
        return outcome;
    }
    if (arguments->count != 1) {
        return fail_usage(command, "one file is needed");
    }
    outcome = open_existing(arguments->values[0], NULL, &tracker);
    return outcome == 0 ? close_tracker(tracker, fold(command, arguments->values[0], tracker)) : outcome;
}

const struct command command_fold = {
    .name = "fold",
    .summary = "fold all of a file's log, and give space back",
    .usage = "FILE",
    .help = "Folds all progress that is still in the file's log, of every read model, step by step while others go on "
            "using\n"
            "the file; then moves SQLite's write-ahead log into the database and cuts it, unless somebody reads in it. "
            "Says\n"
            "what that came to. It is seldom needed: trackers and whoever reports progress fold as they go. A signal "
            "ends it\n"
            "in order.\n"
            "\n"
            "Example:\n"
            "  ctrack fold progress.db\n",
    .run = run,
};
