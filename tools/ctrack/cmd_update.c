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

/* Reads the next token; *token stays NULL at the end of the input. */
static int next_token(struct lines *lines, ctrack_snapshot **token)
{
    ctrack_error error;
    const char *line;
    size_t length;
    int outcome = next_line(lines, &line, &length);
    if (outcome == 0 && line != NULL && ctrack_token_parse(line, length, token, &error) != CTRACK_OK) {
        outcome = fail(exit_status(error.status), "stdin:%lld: %s", lines->number, error.message);
    }
    return outcome;
}

/* The first line is read before the file is opened: one that is wrong makes none. */
static int update_from_input(const char *file, const char *read_model, bool ack)
{
    struct lines lines = {NULL, 0, 0, 0, false, 0};
    ctrack_error error;
    ctrack_snapshot *token = NULL;
    ctrack *tracker = NULL;
    int outcome = next_token(&lines, &token);
    outcome = outcome == 0 ? open_tracker(file, read_model, false, &tracker) : outcome;
    while (outcome == 0 && token != NULL) {
        ctrack_status status =
            ctrack_update(tracker, ctrack_snapshot_entries(token), ctrack_snapshot_count(token), &error);
        ctrack_snapshot_free(token);
        token = NULL;
        if (status != CTRACK_OK) {
            outcome = fail(exit_status(status), "stdin:%lld: %s", lines.number, error.message);
        } else if (ack) {
            outcome = acknowledge(lines.number);
        }
        outcome = outcome == 0 ? next_token(&lines, &token) : outcome;
    }
    ctrack_snapshot_free(token);
    free_lines(&lines);
    return close_tracker(tracker, outcome);
}

static int update_from_arguments(const char *file, const char *read_model, const ctrack_coordinate *coordinates,
                                 size_t count, bool ack)
{
    ctrack_error error;
    ctrack *tracker;
    int outcome = open_tracker(file, read_model, false, &tracker);
    if (outcome != 0) {
        return outcome;
    }
    if (ctrack_update(tracker, coordinates, count, &error) != CTRACK_OK) {
        outcome = fail_library(&error);
    } else if (ack) {
        outcome = acknowledge(1);
    }
    return close_tracker(tracker, outcome);
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
    if (input) {
        return update_from_input(arguments->values[0], read_model, ack);
    }
    ctrack_coordinate *coordinates = NULL;
    size_t count = 0;
    outcome = parse_coordinates(command, arguments, 1, &coordinates, &count);
    if (outcome == 0) {
        outcome = update_from_arguments(arguments->values[0], read_model, coordinates, count, ack);
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
        "The file is made if it does not exist, unless the arguments or the first line are wrong.\n"
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
