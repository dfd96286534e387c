/* SPDX-License-Identifier: MIT */
#ifndef OPTIONS_H
#define OPTIONS_H

/**
 * The command line behind the name of the subcommand: operands and options in any order, `--name VALUE` or
 * `--name=VALUE`, `-o VALUE` or `-oVALUE`; `--` ends the options. Of an option that is repeated the last counts.
 */
#include "command.h"

struct arguments {
    int count;
    char **values;
};

struct option {
    const char *name;   /**< without "--" */
    char letter;        /**< without "-"; '\0': none */
    const char **value; /**< takes a value, which goes here … */
    bool *flag;         /**< … or takes none, and is noted here */
};

/** Every command has this one. */
#define OPTION_READ_MODEL(target) \
    { \
        "read-model", '\0', (target), NULL \
    }
#define OPTIONS_END \
    { \
        NULL, '\0', NULL, NULL \
    }

/** Takes the options out of the arguments, so that only the operands remain. Says what is wrong, or returns 0. */
int parse_options(const struct command *command, struct arguments *arguments, const struct option *options);

/** Splits KEY=INDEX, which is overwritten; the coordinate points into it. Says what is wrong, or returns 0. */
int parse_coordinate(const struct command *command, char *text, ctrack_coordinate *coordinate);
/** The same for every operand from `first` on. The caller frees *coordinates. */
int parse_coordinates(const struct command *command, const struct arguments *arguments, int first,
                      ctrack_coordinate **coordinates, size_t *count);
/** Reads a key, which is overwritten. */
int parse_key(const struct command *command, char *text, ctrack_key *key);
/** Reads `500ms`, `5s`, `2m`, `1h`, or a number of seconds. */
int parse_duration(const struct command *command, const char *text, int64_t *milliseconds);

#endif
