/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include "interrupt.h"
#include "options.h"

/* A ctrack_progress_callback: a signal ends the work in order, so that nothing remains of it. */
static int go_on_unless_ended(uint64_t done, uint64_t total, void *argument)
{
    (void)done;
    (void)total;
    (void)argument;
    return interrupted();
}

static int snapshot(const char *path, const char *target, bool force)
{
    ctrack *tracker;
    ctrack_error error;
    if (interrupt_catch() < 0) {
        return fail(EXIT_IO, "signals cannot be caught: %s", strerror(errno));
    }
    int outcome = open_tracker(path, NULL, true, &tracker);
    if (outcome != 0) {
        return outcome;
    }
    ctrack_export_mode mode = force ? CTRACK_EXPORT_REPLACE : CTRACK_EXPORT_NEW;
    ctrack_status status = ctrack_export(tracker, target, mode, go_on_unless_ended, NULL, &error);
    if (status == CTRACK_MISUSE && !force) {
        outcome = fail(EXIT_USAGE, "%s (--force replaces an old file)", error.message);
    } else if (status == CTRACK_ABORTED && interrupted()) {
        outcome = EXIT_IO; /* nothing remains, and main() lets the signal have its way */
    } else if (status != CTRACK_OK) {
        outcome = fail_library(&error);
    }
    return close_tracker(tracker, outcome);
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
    return snapshot(arguments->values[0], arguments->values[1], force);
}

const struct command command_snapshot = {
    .name = "snapshot",
    .summary = "make a copy of a file that is in use",
    .usage = "FILE OUT.db [--force]",
    .help =
        "Makes a tracker file of its own, with the progress of all read models as of one moment, while others go on "
        "using\n"
        "FILE. Other tables of FILE's database do not come along. OUT.db appears when it is complete and checked; on "
        "an\n"
        "error or a signal nothing of it remains. It is one file, which can be moved, archived and opened as it "
        "is.\n"
        "\n"
        "  --force   replaces OUT.db, which nobody may have open\n"
        "\n"
        "Example:\n"
        "  ctrack snapshot progress.db backup/progress-monday.db\n",
    .run = run,
};
