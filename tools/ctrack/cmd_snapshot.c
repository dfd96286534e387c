/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include "interrupt.h"
#include "options.h"
#include "progress.h"

/* A ctrack_progress_callback: a signal ends the work in order, so that nothing remains of it. */
static int go_on_unless_interrupted(uint64_t done, uint64_t total, void *argument)
{
    progress_reach(argument, done, total);
    return interrupted();
}

static int copy(const struct command *command, ctrack *tracker, const char *target, bool force)
{
    ctrack_error error;
    struct progress progress;
    ctrack_export_mode mode = force ? CTRACK_EXPORT_REPLACE : CTRACK_EXPORT_NEW;
    if (interrupt_catch() < 0) {
        return fail(EXIT_IO, "signals cannot be caught: %s", strerror(errno));
    }
    progress_begin(&progress, command->name, 0, -1);
    ctrack_status status = ctrack_export(tracker, target, mode, go_on_unless_interrupted, &progress, &error);
    progress_end(&progress);
    if (status == CTRACK_ABORTED) {
        return fail(EXIT_IO, "interrupted: nothing has changed");
    }
    if (status == CTRACK_MISUSE && !force) {
        return fail(EXIT_USAGE, "%s (--force replaces an old file)", error.message);
    }
    return status == CTRACK_OK ? EXIT_DONE : fail_library(&error);
}

static int run(const struct command *command, struct arguments *arguments)
{
    bool force = false;
    const struct option options[] = {{"force", '\0', NULL, &force}, OPTIONS_END};
    int outcome = parse_options(command, arguments, options);
    if (outcome != 0) {
        return outcome;
    }
    if (arguments->count != 2) {
        return fail_usage(command, "a file and the name of the copy are needed");
    }
    ctrack *tracker;
    outcome = open_tracker(arguments->values[0], NULL, true, &tracker);
    return outcome == 0 ? close_tracker(tracker, copy(command, tracker, arguments->values[1], force)) : outcome;
}

const struct command command_snapshot = {
    .name = "snapshot",
    .summary = "make a copy of a file that is in use",
    .usage = "FILE OUT.db [--force]",
    .help =
        "Makes a tracker file of its own, with the progress of all read models as of one moment, while others go on "
        "using\n"
        "FILE. Other tables of FILE's database do not come along. OUT.db appears when it is complete and checked: on "
        "an\n"
        "error or a signal it is there whole, or nothing of it. It is one file, which can be moved, archived and "
        "opened\n"
        "as it is.\n"
        "\n"
        "  --force   replaces OUT.db, which nobody may have open\n"
        "\n"
        "Example:\n"
        "  ctrack snapshot progress.db backup/progress-monday.db\n",
    .run = run,
};
