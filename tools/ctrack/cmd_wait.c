/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "interrupt.h"
#include "options.h"

/* ---------------------------------------------------------------- the file */

/* Milliseconds: between two looks whether the file is there; until a terminal is told that it is not, since the name may
 * be wrong; and for how long a lock is waited for, as a rule. */
enum { LONGEST_PAUSE = 20, SILENCE = 1000, USUAL_BUSY_TIMEOUT = 5000 };

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* For how long a lock is waited for: no longer than for all. */
static int64_t busy_timeout_within(int64_t left_ms)
{
    int64_t given = busy_timeout(), usual = given >= 0 ? given : USUAL_BUSY_TIMEOUT;
    return left_ms >= 0 && left_ms < usual ? left_ms : given;
}

static ctrack_status open_it(const char *file, const char *read_model, int64_t left_ms, ctrack **tracker,
                             ctrack_error *error)
{
    ctrack_options options = CTRACK_OPTIONS_INIT;
    options.read_model = read_model;
    options.read_only = true;
    options.lazy = true;
    options.busy_timeout_ms = busy_timeout_within(left_ms);
    return ctrack_open(file, &options, tracker, error);
}

/* Why a file that cannot be opened may be fine in a moment: nobody has made it, or somebody is about to. NULL: it may not.
 * `there`: whether there was one before it was tried. */
static const char *not_yet(const char *file, bool there, const ctrack_error *error)
{
    int version, newest;
    if (error->status == CTRACK_INVALID) {
        return NULL;
    }
    if (!there) {
        return "there is no such file";
    }
    if (error->status == CTRACK_BUSY) {
        return "it is locked";
    }
    if (error->status != CTRACK_READ_ONLY) {
        return NULL;
    }
    /* No schema, or one that has come since. */
    ctrack_status status = ctrack_schema(file, 0, &version, &newest, NULL);
    bool passes = status == CTRACK_BUSY || (status == CTRACK_OK && (version == 0 || version == newest));
    return passes ? "there is nothing of ctrack's in this file" : NULL;
}

/* Opens the file; waits for it if it is being made, or nobody has begun to. *timeout_ms becomes what is left of it. */
static int open_when_it_is_there(const char *file, const char *read_model, int64_t *timeout_ms, ctrack **tracker)
{
    ctrack_error error;
    const int64_t given = *timeout_ms, start = now_ms();
    bool silent = isatty(STDERR_FILENO) != 0;
    for (int pause = 1;; pause = pause * 2 < LONGEST_PAUSE ? pause * 2 : LONGEST_PAUSE) {
        struct stat status;
        bool there = stat(file, &status) == 0 || errno != ENOENT;
        if (open_it(file, read_model, *timeout_ms, tracker, &error) == CTRACK_OK) {
            return EXIT_DONE;
        }
        const char *reason = not_yet(file, there, &error);
        if (reason == NULL) {
            return fail_on_file(file, &error);
        }
        if (interrupted()) {
            return fail(EXIT_NEGATIVE, "waiting: %s: %s", file, reason);
        }
        if (*timeout_ms == 0) {
            return error.status == CTRACK_BUSY
                       ? fail_library(&error)
                       : fail(EXIT_NEGATIVE, "timed out after %lld ms: %s: %s", (long long)given, file, reason);
        }
        interrupt_sleep(-1, pause);
        int64_t past = now_ms() - start;
        *timeout_ms = given < 0 ? given : past < given ? given - past : 0;
        if (silent && past >= SILENCE) {
            silent = false;
            fail(EXIT_NEGATIVE, "waiting: %s: %s", file, reason);
        }
    }
}

/* ---------------------------------------------------------------- the wait */

/* Waits until all are reached, the time is up, or a signal ends it. */
static int wait_in_order(ctrack *tracker, const ctrack_coordinate *coordinates, size_t count, int64_t timeout_ms)
{
    ctrack_error error;
    ctrack_promise *promise;
    if (ctrack_wait_for(tracker, coordinates, count, timeout_ms, NULL, &promise, &error) != CTRACK_OK) {
        return fail_library(&error);
    }
    int outcome = EXIT_DONE, settled = ctrack_promise_fd(promise);
    if (settled < 0) {
        outcome = fail(EXIT_IO, "the wait has no descriptor: %s", strerror(errno));
    } else {
        interrupt_sleep(settled, -1);
        outcome = ctrack_promise_explain(promise, &error) == CTRACK_OK ? EXIT_DONE : fail_library(&error);
    }
    ctrack_promise_release(promise);
    return outcome;
}

/* Adds the coordinates of a token to those of the command line, and waits for all. */
static int wait_for(const char *file, const char *read_model, const char *token, int64_t timeout_ms,
                    ctrack_coordinate *coordinates, size_t count)
{
    ctrack_error error;
    ctrack_snapshot *parsed = NULL;
    ctrack *tracker = NULL;
    ctrack_coordinate *all = coordinates;
    if (token != NULL) {
        if (ctrack_token_parse(token, strlen(token), &parsed, &error) != CTRACK_OK) {
            return fail_library(&error);
        }
        size_t more = ctrack_snapshot_count(parsed);
        all = calloc(count + more + 1, sizeof *all);
        if (all == NULL) {
            ctrack_snapshot_free(parsed);
            return fail(EXIT_IO, "out of memory");
        }
        if (more > 0) {
            memcpy(all, ctrack_snapshot_entries(parsed), more * sizeof *all);
        }
        memcpy(all + more, coordinates, count * sizeof *all);
        count += more;
    }
    int outcome = interrupt_catch() >= 0 ? open_when_it_is_there(file, read_model, &timeout_ms, &tracker)
                                         : fail(EXIT_IO, "signals cannot be caught: %s", strerror(errno));
    if (outcome == 0) {
        outcome = close_tracker(tracker, wait_in_order(tracker, all, count, timeout_ms));
    }
    if (all != coordinates) {
        free(all);
    }
    ctrack_snapshot_free(parsed);
    return outcome;
}

static int run(const struct command *command, struct arguments *arguments)
{
    const char *read_model = NULL, *token = NULL, *timeout = NULL;
    const struct option options[] = {
        OPTION_READ_MODEL(&read_model),
        {"token", '\0', &token, NULL},
        {"timeout", '\0', &timeout, NULL},
        OPTIONS_END,
    };
    int64_t timeout_ms = CTRACK_FOREVER;
    int outcome = parse_options(command, arguments, options);
    if (outcome == 0 && timeout != NULL) {
        outcome = parse_duration(command, timeout, &timeout_ms);
    }
    if (outcome != 0) {
        return outcome;
    }
    if (arguments->count < 1 || (arguments->count < 2 && token == NULL)) {
        return fail_usage(command, "a file and KEY=INDEX or --token are needed");
    }
    ctrack_coordinate *coordinates;
    size_t count;
    outcome = parse_coordinates(command, arguments, 1, &coordinates, &count);
    if (outcome == 0) {
        outcome = wait_for(arguments->values[0], read_model, token, timeout_ms, coordinates, count);
        free(coordinates);
    }
    return outcome;
}

const struct command command_wait = {
    .name = "wait",
    .summary = "wait until keys have got so far",
    .usage = "FILE KEY=INDEX… [--token JSON] [--timeout 5s] [--read-model NAME]",
    .help = "Returns when the read model has processed every key up to its index, whichever process does so.\n"
            "Waits for the file too, if nobody has made it yet.\n"
            "\n"
            "  --token JSON    waits for the coordinates of a token too\n"
            "  --timeout TIME  500ms, 5s, 2m, 1h; 0 looks once (default: no limit)\n"
            "\n"
            "Exits with 1 if the time is up, and says what is missing.\n"
            "\n"
            "Example:\n"
            "  ctrack wait progress.db doc-7:document:main=12 --timeout 5s && run-the-query\n",
    .run = run,
};
