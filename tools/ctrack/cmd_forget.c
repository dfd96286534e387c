/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "input.h"
#include "options.h"
#include "output.h"

/* Keys, and the text that they point into. */
struct keys {
    ctrack_key *items;
    char **texts;
    size_t count, capacity;
};

static void free_keys(struct keys *keys)
{
    for (size_t i = 0; i < keys->count; i++) {
        free(keys->texts[i]);
    }
    free(keys->texts);
    free(keys->items);
}

static int grow(struct keys *keys)
{
    size_t capacity = keys->capacity > 0 ? keys->capacity * 2 : 64;
    ctrack_key *items = realloc(keys->items, capacity * sizeof *items);
    keys->items = items != NULL ? items : keys->items;
    char **texts = items != NULL ? realloc(keys->texts, capacity * sizeof *texts) : NULL;
    keys->texts = texts != NULL ? texts : keys->texts;
    keys->capacity = texts != NULL ? capacity : keys->capacity;
    return texts != NULL ? 0 : fail(EXIT_IO, "out of memory");
}

/* Adds a key; *error is filled if it is none. */
static int add_key(struct keys *keys, const char *text, size_t length, ctrack_error *error)
{
    error->status = CTRACK_OK;
    int outcome = keys->count == keys->capacity ? grow(keys) : 0;
    char *copy = outcome == 0 ? malloc(length + 1) : NULL;
    if (copy == NULL) {
        return outcome != 0 ? outcome : fail(EXIT_IO, "out of memory");
    }
    memcpy(copy, text, length);
    copy[length] = '\0';
    if (ctrack_key_parse(copy, &keys->items[keys->count], error) != CTRACK_OK) {
        free(copy);
        return EXIT_INPUT;
    }
    keys->texts[keys->count++] = copy;
    return 0;
}

static int keys_from_arguments(const struct command *command, const struct arguments *arguments, struct keys *keys)
{
    ctrack_error error;
    int outcome = 0;
    for (int i = 1; i < arguments->count && outcome == 0; i++) {
        outcome = add_key(keys, arguments->values[i], strlen(arguments->values[i]), &error);
        if (outcome == EXIT_INPUT) {
            outcome = fail_usage(command, "%s", error.message);
        }
    }
    return outcome;
}

static int keys_from_input(struct keys *keys)
{
    struct lines lines = {NULL, 0, 0, 0, false, 0};
    ctrack_error error;
    const char *line;
    size_t length;
    int outcome;
    while ((outcome = next_line(&lines, &line, &length)) == 0 && line != NULL) {
        bool nul = memchr(line, '\0', length) != NULL;
        outcome = nul ? EXIT_INPUT : add_key(keys, line, length, &error);
        if (outcome == EXIT_INPUT) {
            fail(outcome, "stdin:%lld: %s (nothing has been forgotten)", lines.number,
                 nul ? "a key has no NUL" : error.message);
        }
        if (outcome != 0) {
            break;
        }
    }
    free_lines(&lines);
    return outcome;
}

/* Names the keys that have no progress, and counts those that have. */
static size_t count_known(ctrack *tracker, const struct keys *keys)
{
    size_t known = 0;
    for (size_t i = 0; i < keys->count; i++) {
        int64_t index;
        if (ctrack_get_latest(tracker, &keys->items[i], &index) == CTRACK_OK) {
            known++;
        } else {
            char *text = format_key(&keys->items[i]);
            fail(EXIT_NEGATIVE, "%s: never seen", text != NULL ? text : "a key");
            free(text);
        }
    }
    return known;
}

static int forget(ctrack *tracker, const char *file, const char *read_model, const struct keys *keys)
{
    ctrack_error error;
    int outcome = find_read_model(tracker, file, read_model);
    if (outcome != 0) {
        return outcome;
    }
    size_t known = count_known(tracker, keys);
    if (known == 0) {
        return keys->count > 0 ? EXIT_NEGATIVE : fail(EXIT_NEGATIVE, "there are no keys to forget");
    }
    if (ctrack_forget(tracker, keys->items, keys->count, &error) != CTRACK_OK) {
        return fail_library(&error);
    }
    return EXIT_DONE;
}

static int run(const struct command *command, struct arguments *arguments)
{
    const char *read_model = NULL;
    const struct option options[] = {OPTION_READ_MODEL(&read_model), OPTIONS_END};
    struct keys keys = {NULL, NULL, 0, 0};
    int outcome = parse_options(command, arguments, options);
    if (outcome != 0) {
        return outcome;
    }
    if (arguments->count < 1) {
        return fail_usage(command, "a file is needed");
    }
    bool input = arguments->count == 1 || (arguments->count == 2 && strcmp(arguments->values[1], "-") == 0);
    ctrack *tracker;
    outcome = input ? keys_from_input(&keys) : keys_from_arguments(command, arguments, &keys);
    outcome = outcome == 0 ? open_existing(arguments->values[0], read_model, &tracker) : outcome;
    if (outcome == 0) {
        outcome = close_tracker(tracker, forget(tracker, arguments->values[0], read_model, &keys));
    }
    free_keys(&keys);
    return outcome;
}

const struct command command_forget = {
    .name = "forget",
    .summary = "drop the progress of keys",
    .usage = "FILE [KEY…] [--read-model NAME]",
    .help = "Makes the read model forget the keys: they count as never seen. Waits for them go on waiting. Without KEY "
            "(or\n"
            "with -) each line of standard input is a key. All keys are forgotten in one transaction; a line that is "
            "no key\n"
            "ends the command with status 3, as 'stdin:12: reason', and nothing is forgotten.\n"
            "\n"
            "Keys that have no progress are named on standard error. Exits with 1 if that goes for all of them.\n"
            "\n"
            "Example:\n"
            "  ctrack forget progress.db doc-7:document:main\n",
    .run = run,
};
