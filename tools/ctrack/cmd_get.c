/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "options.h"

static int run(const struct command *command, struct arguments *arguments)
{
    const char *read_model = NULL;
    const struct option options[] = {OPTION_READ_MODEL(&read_model), OPTIONS_END};
    int outcome = parse_options(command, arguments, options);
    if (outcome != 0) {
        return outcome;
    }
    if (arguments->count != 2) {
        return fail_usage(command, "a file and a key are needed");
    }
    ctrack_key key;
    char *text = strdup(arguments->values[1]); /* parsing overwrites it, and the message wants it */
    if (text == NULL) {
        return fail(EXIT_IO, "out of memory");
    }
    ctrack *tracker = NULL;
    outcome = parse_key(command, text, &key);
    outcome = outcome == 0 ? open_tracker(arguments->values[0], read_model, true, &tracker) : outcome;
    if (outcome == 0) {
        int64_t operation_index;
        ctrack_status status = ctrack_get_latest(tracker, &key, &operation_index);
        if (status == CTRACK_OK) {
            printf("%lld\n", (long long)operation_index);
        } else if (status == CTRACK_NOT_FOUND) {
            outcome = find_read_model(tracker, arguments->values[0], read_model);
            outcome = outcome == 0 ? fail(EXIT_NEGATIVE, "%s: never seen", arguments->values[1]) : outcome;
        } else {
            outcome = fail(exit_status(status), "%s: %s", arguments->values[1], ctrack_status_name(status));
        }
        outcome = close_tracker(tracker, outcome);
    }
    free(text);
    return outcome;
}

const struct command command_get = {
    .name = "get",
    .summary = "print how far a key has got",
    .usage = "FILE KEY [--read-model NAME]",
    .help = "Prints the highest operation index that the read model has processed for the key.\n"
            "Exits with 1 if the key was never seen.\n"
            "\n"
            "Example:\n"
            "  ctrack get progress.db doc-7:document:main\n",
    .run = run,
};
