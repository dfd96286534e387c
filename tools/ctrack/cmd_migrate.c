/* SPDX-License-Identifier: MIT */
#include <stdio.h>

#include "options.h"

static int migrate(const char *file, bool dry_run)
{
    ctrack *tracker;
    int version, newest;
    /* Looked at first: a name that is mistyped must not become a file. */
    int outcome = look_at_schema(file, &version, &newest);
    if (outcome != 0) {
        return outcome;
    }
    if (version == newest) {
        printf("%s: migration %d, which is the newest: nothing to do\n", file, version);
        return EXIT_DONE;
    }
    if (dry_run) {
        printf("%s: migration %d, would be brought to %d\n", file, version, newest);
        return EXIT_DONE;
    }
    outcome = open_tracker(file, NULL, false, &tracker);
    outcome = outcome == 0 ? close_tracker(tracker, outcome) : outcome;
    if (outcome == 0) {
        printf("%s: brought from migration %d to %d\n", file, version, newest);
    }
    return outcome;
}

static int run(const struct command *command, struct arguments *arguments)
{
    bool dry_run = false;
    const struct option options[] = {{"dry-run", '\0', NULL, &dry_run}, OPTIONS_END};
    int outcome = parse_options(command, arguments, options);
    if (outcome != 0) {
        return outcome;
    }
    if (arguments->count != 1) {
        return fail_usage(command, "one file is needed");
    }
    return migrate(arguments->values[0], dry_run);
}

const struct command command_migrate = {
    .name = "migrate",
    .summary = "bring the schema of a file up to date",
    .usage = "FILE [--dry-run]",
    .help = "Says from which migration to which the file is brought; 0 is a database that has nothing of ctrack's yet, "
            "and\n"
            "gets its tables. Each migration is applied in one transaction. Opening a file for writing, as 'ctrack "
            "update'\n"
            "does, migrates it too. The file must exist.\n"
            "\n"
            "  --dry-run   only looks, and does not touch the file\n"
            "\n"
            "Exits with 3 if the file is newer than this program, is damaged, or is no database.\n"
            "\n"
            "Example:\n"
            "  ctrack migrate progress.db --dry-run\n",
    .run = run,
};
