/* SPDX-License-Identifier: MIT */
#ifndef COMMAND_H
#define COMMAND_H

/**
 * The parts of the command `ctrack`. Each subcommand is one file, cmd_NAME.c, with one `struct command`, which stands
 * in the table of main.c. They see the public header of the library only.
 */
#include "ctrack.h"

/** Exit statuses, which scripts rely on. */
enum {
    EXIT_DONE = 0,
    EXIT_NEGATIVE = 1, /**< the answer is no: not found, not reached in time */
    EXIT_USAGE = 2,    /**< the command line is wrong */
    EXIT_INPUT = 3,    /**< input or file is damaged, or not what it should be */
    EXIT_IO = 4,       /**< input, output, memory or permission */
    EXIT_BUSY = 5      /**< another process held the file's lock for too long */
};

struct arguments;

struct command {
    const char *name;
    const char *summary; /**< for the list of commands */
    const char *usage;   /**< what follows "ctrack NAME" in the first line of its help */
    const char *help;    /**< the rest of its help: what it does, its options, an example */
    int (*run)(const struct command *command, struct arguments *arguments); /**< returns an exit status */
};

extern const struct command command_dump, command_get, command_list, command_restore, command_update, command_wait;
extern const struct command command_forget, command_migrate, command_models, command_stats, command_watch;
extern const struct command command_check, command_fold, command_snapshot;

/* ---------------------------------------------------------------- outcomes */

/** Says why on stderr, "ctrack: …". Returns `exit_status`, so that a command can fail in one line. */
int fail(int exit_status, const char *format, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 2, 3)))
#endif
    ;

/** The same for a fault of the command line, with a hint at the help. */
int fail_usage(const struct command *command, const char *format, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 2, 3)))
#endif
    ;

/** The exit status for a status of the library. */
int exit_status(ctrack_status status);
/** Says the message of a failed call, and what to do about it; returns its exit status. */
int fail_library(const ctrack_error *error);
/** The same for a call that reads a file, of which SQLite would only say that it cannot open it if there is none. */
int fail_on_file(const char *file, const ctrack_error *error);

/* ---------------------------------------------------------------- trackers */

/** Opens FILE; says why if it cannot, and returns the exit status. A tracker that is `read_only` never makes a file. */
int open_tracker(const char *file, const char *read_model, bool read_only, ctrack **tracker);
/** Tells how far the schema of FILE is, and how far it could be; says why if it cannot. */
int look_at_schema(const char *file, int *version, int *newest);
/** Opens FILE for writing, but only if it is a tracker's already. */
int open_existing(const char *file, const char *read_model, ctrack **tracker);
/** The name of the read model that is meant when this one was given, or none. */
const char *read_model_name(const char *given);
/** Whether FILE has the read model; says so if not. Without a name it is "default", which a file with none may lack. */
int find_read_model(ctrack *tracker, const char *file, const char *read_model);
/** Closes it; a failure to do so counts unless `outcome` is one already. */
int close_tracker(ctrack *tracker, int outcome);

#endif
