/* SPDX-License-Identifier: MIT */
#include "options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int64_t busy_timeout_ms = -1; /* the library's default */

int64_t busy_timeout(void)
{
    return busy_timeout_ms;
}

/* The option that `argument` names: "--name", "--name=VALUE", "-o", "-oVALUE". *value is what is attached to it. */
static const struct option *find_option(const struct option *options, const char *argument, const char **value)
{
    *value = NULL;
    if (argument[1] != '-') {
        for (; options->name != NULL; options++) {
            if (options->letter != '\0' && options->letter == argument[1]) {
                *value = argument[2] != '\0' ? argument + 2 : NULL;
                return options;
            }
        }
        return NULL;
    }
    const char *name = argument + 2;
    size_t length = strcspn(name, "=");
    for (; options->name != NULL; options++) {
        if (strlen(options->name) == length && strncmp(options->name, name, length) == 0) {
            *value = name[length] == '=' ? name + length + 1 : NULL;
            return options;
        }
    }
    return NULL;
}

/* Takes the option at *at, and its value; *at is left on the last argument taken. */
static int take_option(const struct command *command, const struct arguments *arguments, int *at,
                       const struct option *options)
{
    const char *value, *argument = arguments->values[*at];
    const char *busy = NULL;
    const struct option common[] = {{"busy-timeout", '\0', &busy, NULL}, OPTIONS_END};
    const struct option *option = find_option(options, argument, &value);
    option = option != NULL ? option : find_option(common, argument, &value);
    if (option == NULL) {
        return fail_usage(command, "unknown option %s", argument);
    }
    if (option->flag != NULL) {
        *option->flag = true;
        return value == NULL ? 0 : fail_usage(command, "option %s takes no value", argument);
    }
    if (value == NULL) {
        if (*at + 1 == arguments->count) {
            return fail_usage(command, "option %s needs a value", argument);
        }
        value = arguments->values[++*at];
    }
    *option->value = value;
    return busy != NULL ? parse_duration(command, busy, &busy_timeout_ms) : 0;
}

int parse_options(const struct command *command, struct arguments *arguments, const struct option *options)
{
    int kept = 0;
    bool ended = false;
    for (int i = 0; i < arguments->count; i++) {
        char *argument = arguments->values[i];
        if (!ended && strcmp(argument, "--") == 0) {
            ended = true;
        } else if (ended || argument[0] != '-' || argument[1] == '\0') {
            arguments->values[kept++] = argument;
        } else {
            int outcome = take_option(command, arguments, &i, options);
            if (outcome != 0) {
                return outcome;
            }
        }
    }
    arguments->count = kept;
    return 0;
}

int parse_key(const struct command *command, char *text, ctrack_key *key)
{
    ctrack_error error;
    return ctrack_key_parse(text, key, &error) == CTRACK_OK ? 0 : fail_usage(command, "%s", error.message);
}

/* Reads digits up to the end of the text or up to a byte of `stop`. Returns where it stopped, or NULL. */
static const char *parse_digits(const char *text, int64_t *number)
{
    const char *at = text;
    *number = 0;
    for (; *at >= '0' && *at <= '9'; at++) {
        int digit = *at - '0';
        if (*number > (INT64_MAX - digit) / 10) {
            return NULL;
        }
        *number = *number * 10 + digit;
    }
    return at > text ? at : NULL;
}

int parse_coordinate(const struct command *command, char *text, ctrack_coordinate *coordinate)
{
    char *equals = strrchr(text, '=');
    if (equals == NULL) {
        return fail_usage(command, "%s: KEY=INDEX is needed, such as doc-7:document:main=12", text);
    }
    const char *end = parse_digits(equals + 1, &coordinate->operation_index);
    if (end == NULL || *end != '\0') {
        return fail_usage(command, "%s: the index is not an integer from 0 to 9223372036854775807", text);
    }
    *equals = '\0';
    ctrack_key key;
    int outcome = parse_key(command, text, &key);
    if (outcome == 0) {
        coordinate->document_id = key.document_id;
        coordinate->scope = key.scope;
        coordinate->branch = key.branch;
    }
    return outcome;
}

int parse_coordinates(const struct command *command, const struct arguments *arguments, int first,
                      ctrack_coordinate **coordinates, size_t *count)
{
    *count = (size_t)(arguments->count - first);
    *coordinates = calloc(*count + 1, sizeof **coordinates);
    if (*coordinates == NULL) {
        return fail(EXIT_IO, "out of memory");
    }
    for (size_t i = 0; i < *count; i++) {
        int outcome = parse_coordinate(command, arguments->values[(size_t)first + i], &(*coordinates)[i]);
        if (outcome != 0) {
            free(*coordinates);
            *coordinates = NULL;
            return outcome;
        }
    }
    return 0;
}

int parse_count(const struct command *command, const char *text, int64_t *count)
{
    const char *end = parse_digits(text, count);
    return end != NULL && *end == '\0' && *count > 0 ? 0 : fail_usage(command, "%s: not a number from 1 on", text);
}

int parse_duration(const struct command *command, const char *text, int64_t *milliseconds)
{
    static const struct {
        const char *unit;
        int64_t milliseconds;
    } units[] = {{"", 1000}, {"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}};
    int64_t number;
    const char *unit = parse_digits(text, &number);
    for (size_t i = 0; unit != NULL && i < sizeof units / sizeof units[0]; i++) {
        if (strcmp(unit, units[i].unit) == 0) {
            int64_t most = INT64_MAX / units[i].milliseconds;
            *milliseconds = (number < most ? number : most) * units[i].milliseconds;
            return 0;
        }
    }
    return fail_usage(command, "%s: not a time, such as 500ms, 5s, 2m or 1h", text);
}
