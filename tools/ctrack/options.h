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

/** Commands that look at one read model have this one. */
#define OPTION_READ_MODEL(target) \
    { \
        "read-model", '\0', (target), NULL \
    }
#define OPTIONS_END \
    { \
        NULL, '\0', NULL, NULL \
    }

/** Takes the options out of the arguments, so that only the operands remain; takes in --busy-timeout, which every
 * command has, by itself. Says what is wrong, or returns 0. */
int parse_options(const struct command *command, struct arguments *arguments, const struct option *options);

/** What --busy-timeout said, in milliseconds; -1: nothing. */
int64_t busy_timeout(void);

/** Splits KEY=INDEX, which is overwritten; the coordinate points into it. Says what is wrong, or returns 0. */
int parse_coordinate(const struct command *command, char *text, ctrack_coordinate *coordinate);
/** The same for every operand from `first` on. The caller frees *coordinates. */
int parse_coordinates(const struct command *command, const struct arguments *arguments, int first,
                      ctrack_coordinate **coordinates, size_t *count);
/** Reads a key, which is overwritten. */
int parse_key(const struct command *command, char *text, ctrack_key *key);
/** Reads a number, at least 1. */
int parse_count(const struct command *command, const char *text, int64_t *count);
/** Reads `500ms`, `5s`, `2m`, `1h`, or a number of seconds. */
int parse_duration(const struct command *command, const char *text, int64_t *milliseconds);

#endif
