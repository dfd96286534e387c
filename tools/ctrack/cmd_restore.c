/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "interrupt.h"
#include "options.h"
#include "outfile.h"
#include "progress.h"

struct source {
    int descriptor;
    const char *name;
    struct progress progress;
};

/* A ctrack_read_callback; the argument is a source. */
static int read_source(void *data, size_t size, size_t *got, void *argument)
{
    struct source *source = argument;
    ssize_t count;
    do {
        interrupt_sleep(source->descriptor, -1);
        count = interrupted() ? -1 : read(source->descriptor, data, size);
    } while (count < 0 && errno == EINTR && !interrupted());
    if (count < 0) {
        return interrupted() ? EINTR : errno;
    }
    *got = (size_t)count;
    if (count > 0) {
        progress_advance(&source->progress, (uint64_t)count, 0);
    } else {
        progress_say(&source->progress, "all is read, writing");
    }
    return 0;
}

static void open_progress(const struct command *command, struct source *source)
{
    struct stat status;
    bool sized = fstat(source->descriptor, &status) == 0 && S_ISREG(status.st_mode);
    progress_begin(&source->progress, command->name, sized ? (uint64_t)status.st_size : 0, source->descriptor);
}

/* Restores into a file that is there, or (`fresh`) was made for it. */
static int restore(const struct command *command, const char *path, bool fresh, const char *read_model,
                   struct source *source, ctrack_restore_mode mode, size_t *restored)
{
    ctrack *tracker;
    ctrack_error error;
    bool check = ((unsigned)mode & CTRACK_RESTORE_CHECK) != 0;
    int outcome = open_tracker(path, read_model, check && !fresh, &tracker);
    if (outcome != 0) {
        return outcome;
    }
    open_progress(command, source);
    ctrack_status status = ctrack_restore(tracker, read_source, source, source->name, mode, restored, &error);
    progress_end(&source->progress);
    if (status != CTRACK_OK) {
        outcome = interrupted() ? fail(EXIT_IO, "interrupted: nothing has changed") : fail_library(&error);
        if (status == CTRACK_MISUSE) {
            fputs("(--merge keeps the highest index of each key, --replace forgets what is there.)\n", stderr);
        }
    }
    return close_tracker(tracker, outcome);
}

/* A file that is not there yet gets its name when all of it is: input that is refused leaves none behind. */
static int restore_new(const struct command *command, const char *path, const char *read_model, struct source *source,
                       ctrack_restore_mode mode, size_t *restored)
{
    struct outfile file;
    int outcome = outfile_open_new(&file, path);
    if (outcome != 0) {
        return outcome;
    }
    outcome = restore(command, file.temporary, true, read_model, source, mode, restored);
    return outfile_close_new(&file, outcome, ((unsigned)mode & CTRACK_RESTORE_CHECK) == 0);
}

static int run(const struct command *command, struct arguments *arguments)
{
    const char *read_model = NULL, *source = NULL;
    bool merge = false, replace = false, dry_run = false;
    const struct option options[] = {
        OPTION_READ_MODEL(&read_model),    {"input", 'i', &source, NULL},     {"merge", '\0', NULL, &merge},
        {"replace", '\0', NULL, &replace}, {"dry-run", '\0', NULL, &dry_run}, OPTIONS_END,
    };
    int outcome = parse_options(command, arguments, options);
    if (outcome != 0) {
        return outcome;
    }
    if (arguments->count != 1) {
        return fail_usage(command, "one file is needed");
    }
    if (merge && replace) {
        return fail_usage(command, "--merge and --replace exclude each other");
    }
    bool standard = source == NULL || strcmp(source, "-") == 0;
    struct source input = {.descriptor = standard ? STDIN_FILENO : open(source, O_RDONLY | O_CLOEXEC),
                           .name = standard ? "stdin" : source};
    if (input.descriptor < 0) {
        return fail(EXIT_IO, "%s: %s", source, strerror(errno));
    }
    unsigned mode = merge ? CTRACK_RESTORE_MERGE : replace ? CTRACK_RESTORE_REPLACE : CTRACK_RESTORE_EMPTY;
    mode |= dry_run ? CTRACK_RESTORE_CHECK : 0;
    struct stat status;
    const char *path = arguments->values[0];
    bool fresh = path[0] != '\0' && lstat(path, &status) != 0 && errno == ENOENT;
    size_t restored = 0;
    if (interrupt_catch() < 0) {
        outcome = fail(EXIT_IO, "signals cannot be caught: %s", strerror(errno));
    } else if (fresh) {
        outcome = restore_new(command, path, read_model, &input, (ctrack_restore_mode)mode, &restored);
    } else {
        outcome = restore(command, path, false, read_model, &input, (ctrack_restore_mode)mode, &restored);
    }
    if (!standard) {
        close(input.descriptor);
    }
    if (outcome == 0) {
        fprintf(stderr, "ctrack: %zu %s %s\n", restored, restored == 1 ? "entry" : "entries",
                dry_run ? "verified, nothing changed" : "restored");
    }
    return outcome;
}

const struct command command_restore = {
    .name = "restore",
    .summary = "read progress back from a dump",
    .usage = "FILE [-i IN] [--merge|--replace] [--dry-run] [--read-model NAME]",
    .help =
        "Reads a dump, verifies all of it, and applies it in one transaction to the read models that it names; or the\n"
        "array [[\"documentId:scope:branch\",5],…], to the one named by --read-model. A file that does not exist is\n"
        "made, once all is well. Input that is truncated, altered or out of order is refused as 'file:line: reason', "
        "and\n"
        "nothing is changed.\n"
        "\n"
        "  -i, --input IN   reads this file (default: standard input, also as -)\n"
        "  --merge          where there is progress already, the highest index of each key wins\n"
        "  --replace        what is there is forgotten\n"
        "                   (without either, read models that have progress are refused)\n"
        "  --dry-run        verifies the input, and whether it may be restored; changes nothing\n"
        "\n"
        "Example:\n"
        "  ctrack restore fresh.db -i progress.ndjson\n",
    .run = run,
};
