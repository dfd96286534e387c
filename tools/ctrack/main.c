/* SPDX-License-Identifier: MIT */
/*
 * The command `ctrack`: looks at, changes, copies and waits for the progress in a tracker file.
 *
 * Data goes to standard output, everything else to standard error. Standard output is flushed and closed at the end, in
 * one place, and a failure to do so is a failure of the command.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "command.h"
#include "interrupt.h"
#include "options.h"
#include "output.h"

static const struct command *const commands[] = {
    &command_update, &command_get,     &command_list,     &command_wait,    &command_watch,
    &command_dump,   &command_restore, &command_snapshot, &command_check,   &command_forget,
    &command_fold,   &command_stats,   &command_models,   &command_migrate,
};
enum { COMMANDS = sizeof commands / sizeof commands[0] };

/* ---------------------------------------------------------------- outcomes */

static void say(const char *format, va_list arguments)
{
    /* A message is one line, whatever is quoted in it. */
    char message[1200];
    vsnprintf(message, sizeof message, format, arguments);
    for (unsigned char *at = (unsigned char *)message; *at != '\0'; at++) {
        bool high = at[0] == 0xC2 && at[1] >= 0x80 && at[1] < 0xA0; /* U+0080 … U+009F */
        if (*at < 0x20 || *at == 0x7F || high) {
            memset(at, '?', high ? 2 : 1);
        }
    }
    fprintf(stderr, "ctrack: %s\n", message);
}

int fail(int exit_status, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    say(format, arguments);
    va_end(arguments);
    return exit_status;
}

int fail_usage(const struct command *command, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    say(format, arguments);
    va_end(arguments);
    fprintf(stderr, "Usage: ctrack %s %s\n('ctrack %s --help' says more.)\n", command->name, command->usage,
            command->name);
    return EXIT_USAGE;
}

int exit_status(ctrack_status status)
{
    switch (status) {
    case CTRACK_OK:
        return EXIT_DONE;
    case CTRACK_PENDING:
    case CTRACK_NOT_FOUND:
    case CTRACK_TIMED_OUT:
    case CTRACK_ABORTED:
    case CTRACK_CLOSED:
    case CTRACK_FAILED:
        return EXIT_NEGATIVE;
    case CTRACK_INVALID:
    case CTRACK_MISUSE:
        return EXIT_USAGE;
    case CTRACK_CORRUPT:
    case CTRACK_SCHEMA:
    case CTRACK_FORMAT:
        return EXIT_INPUT;
    case CTRACK_BUSY:
        return EXIT_BUSY;
    case CTRACK_NO_MEMORY:
    case CTRACK_READ_ONLY:
    case CTRACK_FULL:
    case CTRACK_IO:
    case CTRACK_FORKED:
    case CTRACK_INTERNAL:
        break;
    }
    return EXIT_IO;
}

/* What to do next, where the message alone does not say so; NULL: nothing to add. */
static const char *advice(ctrack_status status)
{
    switch (status) {
    case CTRACK_BUSY:
        return "(Another process is writing. --busy-timeout 30s waits longer for it.)";
    case CTRACK_FULL:
        return "(Nothing has changed. Make room on the disk, and try again.)";
    case CTRACK_READ_ONLY:
        return "(Look at the rights of the file and its directory. 'ctrack migrate' brings a schema up to date; what "
               "'ctrack snapshot' makes can be read anywhere.)";
    default:
        return NULL;
    }
}

int fail_library(const ctrack_error *error)
{
    fail(EXIT_DONE, "%s", error->message);
    if (advice(error->status) != NULL) {
        fprintf(stderr, "%s\n", advice(error->status));
    }
    return exit_status(error->status);
}

/* ---------------------------------------------------------------- trackers */

int fail_on_file(const char *file, const ctrack_error *error)
{
    struct stat status;
    bool missing = error->status == CTRACK_IO && stat(file, &status) != 0 && errno == ENOENT;
    return missing ? fail(EXIT_IO, "%s: there is no such file ('ctrack update' and 'ctrack restore' make one)", file)
                   : fail_library(error);
}

int open_tracker(const char *file, const char *read_model, bool read_only, ctrack **tracker)
{
    ctrack_error error;
    ctrack_options options = CTRACK_OPTIONS_INIT;
    options.read_model = read_model;
    options.read_only = read_only;
    options.lazy = read_only; /* a command that only looks may need little of a large file */
    options.busy_timeout_ms = busy_timeout();
    if (ctrack_open(file, &options, tracker, &error) == CTRACK_OK) {
        return EXIT_DONE;
    }
    return read_only ? fail_on_file(file, &error) : fail_library(&error);
}

int look_at_schema(const char *file, int *version, int *newest)
{
    ctrack_error error;
    ctrack_status status = ctrack_schema(file, busy_timeout(), version, newest, &error);
    return status == CTRACK_OK ? EXIT_DONE : fail_on_file(file, &error);
}

int open_existing(const char *file, const char *read_model, ctrack **tracker)
{
    int version, newest;
    int outcome = look_at_schema(file, &version, &newest);
    if (outcome != 0) {
        return outcome;
    }
    if (version == 0) {
        return fail(EXIT_INPUT, "%s: there is nothing of ctrack's in this file", file);
    }
    return open_tracker(file, read_model, false, tracker);
}

const char *read_model_name(const char *given)
{
    return given != NULL ? given : "default";
}

int find_read_model(ctrack *tracker, const char *file, const char *read_model)
{
    ctrack_error error;
    ctrack_read_model_list *list;
    if (ctrack_read_models(tracker, &list, &error) != CTRACK_OK) {
        return fail_library(&error);
    }
    const char *name = read_model_name(read_model);
    size_t count = ctrack_read_model_list_count(list);
    bool found = count == 0 && read_model == NULL;
    for (size_t i = 0; i < count && !found; i++) {
        found = strcmp(ctrack_read_model_list_at(list, i)->name, name) == 0;
    }
    ctrack_read_model_list_free(list);
    return found ? EXIT_DONE
                 : fail(EXIT_NEGATIVE, "%s: it has no read model '%s' ('ctrack models' lists those that it has)", file,
                        name);
}

int close_tracker(ctrack *tracker, int outcome)
{
    ctrack_error error;
    if (ctrack_close(tracker, &error) == CTRACK_OK) {
        return outcome;
    }
    int closing = fail_library(&error);
    return outcome != EXIT_DONE ? outcome : closing;
}

/* ---------------------------------------------------------------- the command line */

static void print_help(FILE *to)
{
    fputs("Usage: ctrack COMMAND FILE [ARGUMENT…] [OPTION…]\n"
          "\n"
          "Looks at, changes, copies and waits for the progress of read models in a tracker file.\n"
          "\n"
          "Commands:\n",
          to);
    for (int i = 0; i < COMMANDS; i++) {
        fprintf(to, "  %-10s%s\n", commands[i]->name, commands[i]->summary);
    }
    fputs("\n"
          "  --read-model NAME     whose progress, where a file has that of several (default: \"default\")\n"
          "  --busy-timeout TIME   how long to wait while another process holds the file's lock: 500ms, 5s, 2m, 1h\n"
          "                        (default: 5s)\n"
          "  --help                this text, or that of a command: ctrack COMMAND --help\n"
          "  --version             the version\n"
          "\n"
          "A KEY is documentId:scope:branch, with \\: and \\\\ for ':' and '\\' inside a component.\n"
          "\n"
          "Exit status: 0 done; 1 the answer is no (not found, not reached in time); 2 the command line is wrong;\n"
          "3 bad or damaged input or file; 4 input or output failed, or the disk is full; 5 the file is busy.\n"
          "\n"
          "Example:\n"
          "  ctrack update progress.db doc-7:document:main=12\n"
          "  ctrack get progress.db doc-7:document:main\n",
          to);
}

static void print_command_help(const struct command *command)
{
    printf("Usage: ctrack %s %s\n\n%s", command->name, command->usage, command->help);
}

static const struct command *find_command(const char *name)
{
    for (int i = 0; i < COMMANDS; i++) {
        if (strcmp(commands[i]->name, name) == 0) {
            return commands[i];
        }
    }
    return NULL;
}

static int run(int count, char **values)
{
    if (count < 2) {
        print_help(stderr);
        return EXIT_USAGE;
    }
    const char *name = values[1];
    if (strcmp(name, "--version") == 0) {
        printf("ctrack %s\n", ctrack_version());
        return EXIT_DONE;
    }
    bool help = strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0;
    if (help && count == 2) {
        print_help(stdout);
        return EXIT_DONE;
    }
    const struct command *command = find_command(help ? values[2] : name);
    if (command == NULL) {
        return fail(EXIT_USAGE, "unknown %s %s ('ctrack --help' lists the commands)",
                    name[0] == '-' && !help ? "option" : "command", help ? values[2] : name);
    }
    for (int i = 2; i < count && !help && strcmp(values[i], "--") != 0; i++) {
        help = strcmp(values[i], "--help") == 0 || strcmp(values[i], "-h") == 0;
    }
    if (help) {
        print_command_help(command);
        return EXIT_DONE;
    }
    struct arguments arguments = {count - 2, values + 2};
    return command->run(command, &arguments);
}

/* Gives each standard descriptor that is closed something that fails when it is used; else the next file that is opened
 * would get its number, and be read or written in its place. */
static void guard_standard_descriptors(void)
{
    for (int descriptor = 0; descriptor < 3; descriptor++) {
        if (fcntl(descriptor, F_GETFD) == -1 && errno == EBADF) {
            (void)open("/dev/null", descriptor == 0 ? O_WRONLY : O_RDONLY);
        }
    }
}

int main(int count, char **values)
{
    guard_standard_descriptors();
    interrupt_listen();
    signal(SIGPIPE, SIG_IGN); /* a write says EPIPE instead, and the command ends in order */
    int outcome = finish_output(run(count, values));
    interrupt_end();
    return outcome;
}
