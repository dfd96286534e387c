/* SPDX-License-Identifier: MIT */
#include <stdlib.h>

#include "filter.h"
#include "options.h"
#include "output.h"

static int list(ctrack *tracker, const char *file, const char *read_model, const struct filter *filter,
                enum format format)
{
    ctrack_error error;
    ctrack_snapshot *snapshot = NULL;
    if (ctrack_serialize(tracker, &snapshot, &error) != CTRACK_OK) {
        return fail_library(&error);
    }
    size_t count = ctrack_snapshot_count(snapshot), kept = 0;
    if (count == 0) {
        int outcome = find_read_model(tracker, file, read_model);
        if (outcome != 0) {
            ctrack_snapshot_free(snapshot);
            return outcome;
        }
    }
    const ctrack_coordinate *entries = ctrack_snapshot_entries(snapshot);
    const ctrack_coordinate **rows = calloc(count + 1, sizeof *rows);
    int outcome = rows != NULL ? EXIT_DONE : fail(EXIT_IO, "out of memory");
    for (size_t i = 0; i < count && rows != NULL; i++) {
        if (filter_matches(filter, &entries[i])) {
            rows[kept++] = &entries[i];
        }
    }
    if (rows != NULL) {
        outcome = print_coordinates(format, read_model_name(read_model), rows, kept);
    }
    free(rows);
    ctrack_snapshot_free(snapshot);
    return outcome;
}

static int run(const struct command *command, struct arguments *arguments)
{
    const char *read_model = NULL, *form = NULL;
    struct filter filter = {NULL, NULL, NULL};
    const struct option options[] = {
        OPTION_READ_MODEL(&read_model),
        OPTIONS_FILTER(&filter),
        {"format", '\0', &form, NULL},
        OPTIONS_END,
    };
    enum format format;
    int outcome = parse_options(command, arguments, options);
    outcome = outcome == 0 ? parse_format(command, form, &format) : outcome;
    if (outcome != 0) {
        return outcome;
    }
    if (arguments->count != 1) {
        return fail_usage(command, "one file is needed");
    }
    ctrack *tracker;
    outcome = open_tracker(arguments->values[0], read_model, true, &tracker);
    if (outcome == 0) {
        outcome = close_tracker(tracker, list(tracker, arguments->values[0], read_model, &filter, format));
    }
    return outcome;
}

const struct command command_list = {
    .name = "list",
    .summary = "print the progress of many keys",
    .usage = "FILE [--document ID] [--scope S] [--branch B] [--format table|ndjson|json|csv] [--read-model NAME]",
    .help =
        "Prints how far every key has got, or those with the document id, scope and branch that are given, sorted.\n"
        "\n"
        "  --document ID     only these documents; likewise --scope S and --branch B\n"
        "  --format table    for people (the default); control characters are shown as \\n, \\t, \\x1b\n"
        "  --format ndjson   one object on each line, as in a dump\n"
        "  --format json     [[\"documentId:scope:branch\",5],…], which 'ctrack restore' reads\n"
        "  --format csv      RFC 4180, with a header line\n"
        "\n"
        "Exits with 1 if the file has no such read model.\n"
        "\n"
        "Example:\n"
        "  ctrack list progress.db --branch main --format csv > progress.csv\n",
    .run = run,
};
