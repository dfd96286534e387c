/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "interrupt.h"
#include "options.h"

/* Waits until all are reached, the time is up, or a signal ends it. */
static int wait_in_order(ctrack *tracker, const ctrack_coordinate *coordinates, size_t count, int64_t timeout_ms)
{
    ctrack_error error;
    ctrack_promise *promise;
    if (interrupt_catch() < 0) {
        return fail(EXIT_IO, "signals cannot be caught: %s", strerror(errno));
    }
    if (ctrack_wait_for(tracker, coordinates, count, timeout_ms, NULL, &promise, &error) != CTRACK_OK) {
        return fail_library(&error);
    }
    int outcome = EXIT_DONE, settled = ctrack_promise_fd(promise);
    if (settled < 0) {
        outcome = fail(EXIT_IO, "the wait has no descriptor: %s", strerror(errno));
    } else {
        interrupt_sleep(settled, -1);
        outcome = ctrack_promise_explain(promise, &error) == CTRACK_OK ? EXIT_DONE : fail_library(&error);
    }
    ctrack_promise_release(promise);
    return outcome;
}

/* Adds the coordinates of a token to those of the command line, and waits for all. */
static int wait_for(const char *file, const char *read_model, const char *token, int64_t timeout_ms,
                    ctrack_coordinate *coordinates, size_t count)
{
    ctrack_error error;
    ctrack_snapshot *parsed = NULL;
    ctrack *tracker = NULL;
    ctrack_coordinate *all = coordinates;
    if (token != NULL) {
        if (ctrack_token_parse(token, strlen(token), &parsed, &error) != CTRACK_OK) {
            return fail_library(&error);
        }
        size_t more = ctrack_snapshot_count(parsed);
        all = calloc(count + more + 1, sizeof *all);
        if (all == NULL) {
            ctrack_snapshot_free(parsed);
            return fail(EXIT_IO, "out of memory");
        }
        if (more > 0) {
            memcpy(all, ctrack_snapshot_entries(parsed), more * sizeof *all);
        }
        memcpy(all + more, coordinates, count * sizeof *all);
        count += more;
    }
    int outcome = open_tracker(file, read_model, true, &tracker);
    if (outcome == 0) {
        outcome = close_tracker(tracker, wait_in_order(tracker, all, count, timeout_ms));
    }
    if (all != coordinates) {
        free(all);
    }
    ctrack_snapshot_free(parsed);
    return outcome;
}

static int run(const struct command *command, struct arguments *arguments)
{
    const char *read_model = NULL, *token = NULL, *timeout = NULL;
    const struct option options[] = {
        OPTION_READ_MODEL(&read_model),
        {"token", '\0', &token, NULL},
        {"timeout", '\0', &timeout, NULL},
        OPTIONS_END,
    };
    int64_t timeout_ms = CTRACK_FOREVER;
    int outcome = parse_options(command, arguments, options);
    if (outcome == 0 && timeout != NULL) {
        outcome = parse_duration(command, timeout, &timeout_ms);
    }
    if (outcome != 0) {
        return outcome;
    }
    if (arguments->count < 1 || (arguments->count < 2 && token == NULL)) {
        return fail_usage(command, "a file and KEY=INDEX or --token are needed");
    }
    ctrack_coordinate *coordinates;
    size_t count;
    outcome = parse_coordinates(command, arguments, 1, &coordinates, &count);
    if (outcome == 0) {
        outcome = wait_for(arguments->values[0], read_model, token, timeout_ms, coordinates, count);
        free(coordinates);
    }
    return outcome;
}

const struct command command_wait = {
    .name = "wait",
    .summary = "wait until keys have got so far",
    .usage = "FILE KEY=INDEX… [--token JSON] [--timeout 5s] [--read-model NAME]",
    .help = "Returns when the read model has processed every key up to its index, whichever process does so.\n"
            "\n"
            "  --token JSON    waits for the coordinates of a token too\n"
            "  --timeout TIME  500ms, 5s, 2m, 1h; 0 looks once (default: no limit)\n"
            "\n"
            "Exits with 1 if the time is up, and says what is missing.\n"
            "\n"
            "Example:\n"
            "  ctrack wait progress.db doc-7:document:main=12 --timeout 5s && run-the-query\n",
    .run = run,
};
