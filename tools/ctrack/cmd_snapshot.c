/* SPDX-License-Identifier: MIT */
#include <signal.h>
#include <stddef.h>

#include "options.h"

static const int ending_signals[] = {SIGHUP, SIGINT, SIGTERM};
enum { ENDING_SIGNALS = sizeof ending_signals / sizeof ending_signals[0] };

static volatile sig_atomic_t ended_by; /* a signal; 0: none */

static void end(int number)
{
    ended_by = number;
}

static void listen_to_signals(void)
{
    for (size_t i = 0; i < ENDING_SIGNALS; i++) {
        struct sigaction before, action = {.sa_handler = end};
        /* What is ignored (nohup) stays ignored. */
        if (sigaction(ending_signals[i], NULL, &before) == 0 && before.sa_handler != SIG_IGN) {
            sigaction(ending_signals[i], &action, NULL);
        }
    }
}

/* A ctrack_progress_callback: a signal ends the work in order, so that nothing remains of it. */
static int go_on_unless_ended(uint64_t done, uint64_t total, void *argument)
{
    (void)done;
    (void)total;
    (void)argument;
    return ended_by != 0;
}

/* Nothing is left to clean up: the signal may do now what it does. */
static void end_by_signal(void)
{
    signal(ended_by, SIG_DFL);
    raise(ended_by);
}

static int snapshot(const char *path, const char *target, bool force)
{
    ctrack *tracker;
    ctrack_error error;
    listen_to_signals();
    int outcome = open_tracker(path, NULL, true, &tracker);
    if (outcome != 0) {
        return outcome;
    }
    ctrack_export_mode mode = force ? CTRACK_EXPORT_REPLACE : CTRACK_EXPORT_NEW;
    ctrack_status status = ctrack_export(tracker, target, mode, go_on_unless_ended, NULL, &error);
    if (status == CTRACK_ABORTED && ended_by != 0) {
        close_tracker(tracker, outcome);
        end_by_signal();
        return EXIT_IO;
    }
    if (status == CTRACK_MISUSE && !force) {
        outcome = fail(EXIT_USAGE, "%s (--force replaces an old file)", error.message);
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
