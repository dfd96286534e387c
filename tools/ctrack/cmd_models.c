/* SPDX-License-Identifier: MIT */
#include <stdio.h>

#include "options.h"
#include "output.h"

struct models {
    const ctrack_read_model_list *list;
    char keys[24], updated_at[TIME_TEXT];
};

static void model_texts(size_t row, const char *texts[], void *argument)
{
    struct models *models = argument;
    const ctrack_read_model_info *info = ctrack_read_model_list_at(models->list, row);
    snprintf(models->keys, sizeof models->keys, "%llu", (unsigned long long)info->keys);
    texts[0] = info->name;
    texts[1] = models->keys;
    texts[2] = format_time(info->updated_at, models->updated_at);
}

static int print_models(ctrack *tracker, enum format format)
{
    static const struct column columns[] = {
        {"READ MODEL", "readModel", false}, {"KEYS", "keys", true}, {"LAST CHANGE", "updatedAt", false}};
    ctrack_error error;
    ctrack_read_model_list *list;
    if (ctrack_read_models(tracker, &list, &error) != CTRACK_OK) {
        return fail_library(&error);
    }
    struct models models = {.list = list};
    print_rows(format, columns, sizeof columns / sizeof columns[0], ctrack_read_model_list_count(list), model_texts,
               &models);
    ctrack_read_model_list_free(list);
    return EXIT_DONE;
}

static int run(const struct command *command, struct arguments *arguments)
{
    enum format format;
    ctrack *tracker;
    int outcome = parse_file_and_format(command, arguments, &format);
    if (outcome != 0) {
        return outcome;
    }
    outcome = open_tracker(arguments->values[0], NULL, true, &tracker);
    return outcome == 0 ? close_tracker(tracker, print_models(tracker, format)) : outcome;
}

const struct command command_models = {
    .name = "models",
    .summary = "print the read models of a file",
    .usage = "FILE [--format table|ndjson|json|csv]",
    .help =
        "Prints the read models that report to the file, how many keys each has, and when one of these last advanced\n"
        "(UTC). One whose keys were all forgotten has 0 keys and no time.\n"
        "\n"
        "  --format table    for people (the default)\n"
        "  --format ndjson   one object on each line\n"
        "  --format json     one array of objects\n"
        "  --format csv      RFC 4180, with a header line\n"
        "\n"
        "Example:\n"
        "  ctrack models progress.db\n",
    .run = run,
};
