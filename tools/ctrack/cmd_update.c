/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "input.h"
#include "options.h"
#include "output.h"

/* Tells that batch `number` is durable. */
static int acknowledge(long long number)
{
    printf("%lld\n", number);
    fflush(stdout);
    return output_good() ? EXIT_DONE : EXIT_IO; /* finish_output() says why */
}

static int update_line(ctrack *tracker, const struct lines *lines, const char *line, size_t length)
{
    ctrack_error error;
    ctrack_snapshot *token = NULL;
    ctrack_status status = ctrack_token_parse(line, length, &token, &error);
    if (status == CTRACK_OK) {
        status = ctrack_update(tracker, ctrack_snapshot_entries(token), ctrack_snapshot_count(token), &error);
    }
    ctrack_snapshot_free(token);
    return status == CTRACK_OK ? EXIT_DONE : fail(exit_status(status), "stdin:%lld: %s", lines->number, error.message);
}

static int update_from_input(ctrack *tracker, bool ack)
{
    struct lines lines = {NULL, 0, 0, 0, false, 0};
    const char *line;
    size_t length;
    int outcome;
    while ((outcome = next_line(&lines, &line, &length)) == 0 && line != NULL) {
        outcome = update_line(tracker, &lines, line, length);
        if (outcome == 0 && ack) {
            outcome = acknowledge(lines.number);
        }
        if (outcome != 0) {
            break;
        }
    }
    free_lines(&lines);
    return outcome;
}

static int update_from_arguments(ctrack *tracker, const ctrack_coordinate *coordinates, size_t count, bool ack)
{
    ctrack_error error;
    if (ctrack_update(tracker, coordinates, count, &error) != CTRACK_OK) {
        return fail_library(&error);
    }
    return ack ? acknowledge(1) : EXIT_DONE;
}

static int run(const struct command *command, struct arguments *arguments)
{
    const char *read_model = NULL;
    bool ack = false;
    const struct option options[] = {OPTION_READ_MODEL(&read_model), {"ack", '\0', NULL, &ack}, OPTIONS_END};
    int outcome = parse_options(command, arguments, options);
    if (outcome != 0) {
        return outcome;
    }
    if (arguments->count < 1) {
        return fail_usage(command, "a file is needed");
    }
    bool input = arguments->count == 1 || (arguments->count == 2 && strcmp(arguments->values[1], "-") == 0);
    ctrack_coordinate *coordinates = NULL;
    size_t count = 0;
    ctrack *tracker;
    if (!input) {
        outcome = parse_coordinates(command, arguments, 1, &coordinates, &count);
    }
    outcome = outcome == 0 ? open_tracker(arguments->values[0], read_model, false, &tracker) : outcome;
    if (outcome == 0) {
        outcome = input ? update_from_input(tracker, ack) : update_from_arguments(tracker, coordinates, count, ack);
        outcome = close_tracker(tracker, outcome);
    }
    free(coordinates);
    return outcome;
}

const struct command command_update = {
    .name = "update",
    .summary = "report progress",
    .usage = "FILE [KEY=INDEX…] [--ack] [--read-model NAME]",
    .help =
        "Reports that the read model has processed each key up to its index. What is behind already stays as it is.\n"
        "The file is made if it does not exist.\n"
        "\n"
        "The arguments are one batch: all of it is applied, or nothing. Without arguments (or with -) every line of\n"
        "standard input is a batch, written as a token:\n"
        "  {\"version\":1,\"coordinates\":[{\"documentId\":\"doc-7\",\"scope\":\"document\",\"branch\":\"main\",\n"
        "   \"operationIndex\":12}]}\n"
        "(on one line). The first line that is wrong ends the command with status 3, as 'stdin:12: reason'; the lines\n"
        "before it remain applied.\n"
        "\n"
        "  --ack   prints the number of each batch (its line, from 1) once it is durable\n"
        "\n"
        "Example:\n"
        "  ctrack update progress.db doc-7:document:main=12 doc-8:document:main=3\n",
    .run = run,
};
