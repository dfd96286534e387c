/* SPDX-License-Identifier: MIT */
/*
 * `ctrack watch`: looks at the progress again and again and shows what has changed since the look before: as a view
 * that is drawn anew in place if standard output is a terminal, else as lines.
 *
 * The view stays within the terminal's ordinary screen, and each drawing ends with the cursor below it and all modes as
 * they were: however the command ends, there is nothing to restore, and the last view remains to be read.
 */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "filter.h"
#include "interrupt.h"
#include "options.h"
#include "output.h"

enum { VIEW_ROWS = 200, VIEW_WAITS = 10, SHORTEST_MS = 10 };

/* A row of the view. */
struct row {
    char *key;
    int64_t index;   /* -1: forgotten */
    double rate;     /* operations per second, between the last two looks */
    int64_t changed; /* monotonic, in milliseconds; 0: not since we began */
};

/* A wait of this process, for a KEY=INDEX of the command line. */
struct waiting {
    const ctrack_coordinate *coordinate;
    ctrack_promise *promise;
    bool told;
};

struct watch {
    ctrack *tracker;
    const char *file, *read_model;
    struct filter filter;
    int64_t interval_ms, looks;    /* looks 0: no end */
    bool live;                     /* a view, not lines */
    ctrack_snapshot *before;       /* the look before; NULL: none */
    int64_t looked, looked_before; /* when; monotonic, in milliseconds */
    size_t changes;                /* of the last look */
    double rate;                   /* of all keys together */
    char time[TIME_TEXT];          /* of the last look */
    struct row rows[VIEW_ROWS];
    size_t count, drawn; /* rows that are there; lines of the view on the terminal */
    struct waiting *waits;
    size_t wait_count;
};

static int64_t milliseconds(clockid_t clock)
{
    struct timespec time;
    clock_gettime(clock, &time);
    return (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

/* ---------------------------------------------------------------- what has changed */

/* A key that has changed; an index is -1 where there was, or is, no progress. */
typedef void change_callback(struct watch *watch, const ctrack_coordinate *key, int64_t before, int64_t now);

static int compare(const ctrack_coordinate *a, const ctrack_coordinate *b)
{
    int order = strcmp(a->document_id, b->document_id);
    order = order != 0 ? order : strcmp(a->scope, b->scope);
    return order != 0 ? order : strcmp(a->branch, b->branch);
}

/* Goes through two looks, both sorted, side by side. */
static void find_changes(struct watch *watch, const ctrack_snapshot *now, change_callback *changed)
{
    size_t old_count = watch->before != NULL ? ctrack_snapshot_count(watch->before) : 0, old_at = 0, new_at = 0;
    size_t new_count = ctrack_snapshot_count(now);
    const ctrack_coordinate *old = old_count > 0 ? ctrack_snapshot_entries(watch->before) : NULL;
    const ctrack_coordinate *new = new_count > 0 ? ctrack_snapshot_entries(now) : NULL;
    while (old_at < old_count || new_at < new_count) {
        int order = old_at == old_count ? 1 : new_at == new_count ? -1 : compare(&old[old_at], &new[new_at]);
        const ctrack_coordinate *key = order < 0 ? &old[old_at] : &new[new_at];
        int64_t was = order <= 0 ? old[old_at].operation_index : -1;
        int64_t is = order >= 0 ? new[new_at].operation_index : -1;
        old_at += order <= 0;
        new_at += order >= 0;
        if (was != is && filter_matches(&watch->filter, key)) {
            changed(watch, key, was, is);
        }
    }
}

static char *key_text(const ctrack_coordinate *coordinate)
{
    const ctrack_key key = {coordinate->document_id, coordinate->scope, coordinate->branch};
    return format_key(&key);
}

/* ---------------------------------------------------------------- lines */

static void print_event(const struct watch *watch, int64_t index, const char *what, const ctrack_coordinate *key)
{
    char digits[24] = "-", *text = key_text(key);
    if (index >= 0) {
        snprintf(digits, sizeof digits, "%lld", (long long)index);
    }
    printf("%s %s %s ", watch->time, digits, what);
    print_escaped(text != NULL ? text : "?", true);
    putchar('\n');
    free(text);
}

static void print_change(struct watch *watch, const ctrack_coordinate *key, int64_t before, int64_t now)
{
    char step[24];
    snprintf(step, sizeof step, "%+lld", (long long)(now - before));
    const char *what = now < 0 ? "forgotten" : before >= 0 ? step : watch->before != NULL ? "new" : "=";
    print_event(watch, now, what, key);
}

static void print_reached(struct watch *watch)
{
    for (size_t i = 0; i < watch->wait_count; i++) {
        struct waiting *waiting = &watch->waits[i];
        if (!waiting->told && ctrack_promise_status(waiting->promise) == CTRACK_OK) {
            waiting->told = true;
            print_event(watch, waiting->coordinate->operation_index, "reached", waiting->coordinate);
        }
    }
}

/* ---------------------------------------------------------------- the view */

/* The row for a key: its own, an empty one, or the one that has been still for longest. NULL: all changed just now. */
static struct row *row_for(struct watch *watch, const char *key)
{
    struct row *stillest = NULL;
    for (size_t i = 0; i < watch->count; i++) {
        struct row *row = &watch->rows[i];
        if (strcmp(row->key, key) == 0) {
            return row;
        }
        if (row->changed != watch->looked && (stillest == NULL || row->changed < stillest->changed)) {
            stillest = row;
        }
    }
    return watch->count < VIEW_ROWS ? &watch->rows[watch->count++] : stillest;
}

static void note_change(struct watch *watch, const ctrack_coordinate *key, int64_t before, int64_t now)
{
    char *text = key_text(key);
    double seconds = (double)(watch->looked - watch->looked_before) / 1000;
    double rate = watch->before != NULL && now > before && seconds > 0 ? (double)(now - before) / seconds : 0;
    struct row *row = text != NULL ? row_for(watch, text) : NULL;
    watch->changes += watch->before != NULL;
    watch->rate += rate;
    if (row == NULL) {
        free(text);
        return;
    }
    free(row->key);
    *row = (struct row){text, now, rate, watch->before != NULL ? watch->looked : 0};
}

/* The latest change first, then by key. */
static int by_change(const void *a, const void *b)
{
    const struct row *left = a, *right = b;
    return left->changed != right->changed ? (left->changed < right->changed ? 1 : -1) : strcmp(left->key, right->key);
}

static void format_age(int64_t age, char text[32])
{
    long long seconds = (long long)(age / 1000);
    if (seconds < 60) {
        snprintf(text, 32, "%lld s ago", seconds);
    } else if (seconds < 3600) {
        snprintf(text, 32, "%lld min ago", seconds / 60);
    } else {
        snprintf(text, 32, "%lld h ago", seconds / 3600);
    }
}

static void end_line(struct watch *watch)
{
    fputs("\033[K\n", stdout); /* wipes what was there before */
    watch->drawn++;
}

static void draw_row(struct watch *watch, const struct row *row, int key_columns)
{
    char text[1024], index[24] = "forgotten", rate[24] = "-", age[32] = "-";
    int columns = (int)escape_text(row->key, true, text, sizeof text, (size_t)key_columns);
    if (row->index >= 0) {
        snprintf(index, sizeof index, "%lld", (long long)row->index);
    }
    if (row->changed == watch->looked) {
        snprintf(rate, sizeof rate, "%.1f/s", row->rate);
    }
    if (row->changed > 0) {
        format_age(watch->looked - row->changed, age);
    }
    printf("%s%*s  %19s  %12s  %s", text, key_columns - columns, "", index, rate, age);
    end_line(watch);
}

static void draw_wait(struct watch *watch, const ctrack_wait_info *wait)
{
    char text[1024], has[40] = "was never seen", *key = key_text(&wait->coordinates[0]);
    escape_text(key != NULL ? key : "?", true, text, sizeof text, 200);
    if (wait->coordinates[0].operation_index >= 0) {
        snprintf(has, sizeof has, "has %lld", (long long)wait->coordinates[0].operation_index);
    }
    printf("waiting for %lld s: %s needs %lld, %s", (long long)(wait->age_ms / 1000), text, (long long)wait->targets[0],
           has);
    end_line(watch);
    free(key);
}

static int draw_waits(struct watch *watch)
{
    ctrack_error error;
    ctrack_wait_list *list;
    if (ctrack_waits(watch->tracker, VIEW_WAITS, &list, &error) != CTRACK_OK) {
        return fail_library(&error);
    }
    for (size_t i = 0; i < ctrack_wait_list_count(list); i++) {
        draw_wait(watch, ctrack_wait_list_at(list, i));
    }
    ctrack_wait_list_free(list);
    return EXIT_DONE;
}

static void draw_head(struct watch *watch, const ctrack_stats *stats, int key_columns)
{
    char name[256], file[256];
    escape_text(read_model_name(watch->read_model), false, name, sizeof name, 60);
    escape_text(watch->file, false, file, sizeof file, 80);
    printf("%s in %s: %llu keys, %zu changed, %.1f operations/s, %llu waits here", name, file,
           (unsigned long long)stats->keys, watch->changes, watch->rate, (unsigned long long)stats->waits_pending);
    end_line(watch);
    printf("%-*s  %19s  %12s  %s", key_columns, "KEY", "INDEX", "RATE", "LAST CHANGE");
    end_line(watch);
}

static int draw(struct watch *watch)
{
    struct winsize size;
    bool known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 0 && size.ws_col > 0;
    int lines = known ? size.ws_row : 24, columns = known ? size.ws_col : 80;
    int key_columns = columns > 80 ? (columns < 160 ? columns - 50 : 110) : 30;
    ctrack_error error;
    ctrack_stats stats = {.size = sizeof stats};
    if (ctrack_get_stats(watch->tracker, &stats, &error) != CTRACK_OK) {
        return fail_library(&error);
    }
    qsort(watch->rows, watch->count, sizeof watch->rows[0], by_change);
    fputs("\033[?7l", stdout); /* lines that are too long are cut off, not broken */
    if (watch->drawn > 0) {
        printf("\033[%zuA\r", watch->drawn);
    }
    watch->drawn = 0;
    draw_head(watch, &stats, key_columns);
    int outcome = draw_waits(watch);
    for (size_t i = 0; i < watch->count && (int)watch->drawn < lines - 1; i++) {
        draw_row(watch, &watch->rows[i], key_columns);
    }
    fputs("\033[J\033[?7h", stdout);
    return outcome;
}

/* ---------------------------------------------------------------- looking */

static int look(struct watch *watch)
{
    ctrack_error error;
    ctrack_snapshot *now;
    if (ctrack_refresh(watch->tracker, &error) != CTRACK_OK ||
        ctrack_serialize(watch->tracker, &now, &error) != CTRACK_OK) {
        return fail_library(&error);
    }
    watch->looked_before = watch->looked;
    watch->looked = milliseconds(CLOCK_MONOTONIC);
    format_time(milliseconds(CLOCK_REALTIME), watch->time);
    watch->changes = 0;
    watch->rate = 0;
    find_changes(watch, now, watch->live ? note_change : print_change);
    ctrack_snapshot_free(watch->before);
    watch->before = now;
    int outcome = EXIT_DONE;
    if (watch->live) {
        outcome = draw(watch);
    } else {
        print_reached(watch);
    }
    fflush(stdout);
    return output_good() ? outcome : EXIT_IO; /* finish_output() says why */
}

/* Whether standard output is a pipe that nobody reads any more, as poll(2) says of one without being asked. */
static bool output_is_forsaken(void)
{
    struct pollfd output = {STDOUT_FILENO, 0, 0};
    return poll(&output, 1, 0) > 0 && (output.revents & POLLERR) != 0;
}

static int look_again_and_again(struct watch *watch)
{
    for (int64_t done = 1;; done++) {
        int outcome = look(watch);
        if (outcome != 0 || done == watch->looks) {
            return outcome;
        }
        interrupt_sleep(-1, watch->interval_ms < INT_MAX ? (int)watch->interval_ms : INT_MAX);
        if (interrupted()) {
            return EXIT_DONE;
        }
        if (output_is_forsaken()) {
            return EXIT_IO; /* as when there is something to write */
        }
    }
}

static int begin_waits(struct watch *watch, const ctrack_coordinate *coordinates, size_t count)
{
    ctrack_error error;
    watch->waits = calloc(count + 1, sizeof *watch->waits);
    if (watch->waits == NULL) {
        return fail(EXIT_IO, "out of memory");
    }
    for (size_t i = 0; i < count; i++) {
        if (ctrack_wait_for(watch->tracker, &coordinates[i], 1, CTRACK_FOREVER, NULL, &watch->waits[i].promise,
                            &error) != CTRACK_OK) {
            return fail_library(&error);
        }
        watch->waits[i].coordinate = &coordinates[i];
        watch->wait_count++;
    }
    return EXIT_DONE;
}

static void end_watch(struct watch *watch)
{
    for (size_t i = 0; i < watch->wait_count; i++) {
        ctrack_promise_release(watch->waits[i].promise);
    }
    for (size_t i = 0; i < watch->count; i++) {
        free(watch->rows[i].key);
    }
    free(watch->waits);
    ctrack_snapshot_free(watch->before);
}

/* ---------------------------------------------------------------- the command */

static int watch_file(struct watch *watch, const ctrack_coordinate *coordinates, size_t count)
{
    const char *terminal = getenv("TERM");
    watch->live = isatty(STDOUT_FILENO) && terminal != NULL && strcmp(terminal, "dumb") != 0;
    if (interrupt_catch() < 0) {
        return fail(EXIT_IO, "signals cannot be caught: %s", strerror(errno));
    }
    int outcome = open_tracker(watch->file, watch->read_model, true, &watch->tracker);
    if (outcome != 0) {
        return outcome;
    }
    /* Later looks may well see the first progress of a read model. */
    outcome = watch->looks == 1 ? find_read_model(watch->tracker, watch->file, watch->read_model) : 0;
    outcome = outcome == 0 ? begin_waits(watch, coordinates, count) : outcome;
    outcome = outcome == 0 ? look_again_and_again(watch) : outcome;
    end_watch(watch);
    return close_tracker(watch->tracker, outcome);
}

static int parse(const struct command *command, struct arguments *arguments, struct watch *watch)
{
    const char *interval = NULL, *looks = NULL;
    bool once = false;
    const struct option options[] = {
        OPTION_READ_MODEL(&watch->read_model), OPTIONS_FILTER(&watch->filter), {"interval", '\0', &interval, NULL},
        {"count", '\0', &looks, NULL},         {"once", '\0', NULL, &once},    OPTIONS_END,
    };
    int outcome = parse_options(command, arguments, options);
    if (outcome == 0 && interval != NULL) {
        outcome = parse_duration(command, interval, &watch->interval_ms);
    }
    if (outcome == 0 && looks != NULL) {
        outcome = parse_count(command, looks, &watch->looks);
    }
    if (outcome != 0) {
        return outcome;
    }
    if (once && looks != NULL) {
        return fail_usage(command, "--once and --count exclude each other");
    }
    if (watch->interval_ms < SHORTEST_MS) {
        return fail_usage(command, "%s: the shortest interval is %d ms", interval, SHORTEST_MS);
    }
    watch->looks = once ? 1 : watch->looks;
    return arguments->count >= 1 ? 0 : fail_usage(command, "a file is needed");
}

static int run(const struct command *command, struct arguments *arguments)
{
    ctrack_coordinate *coordinates = NULL;
    size_t count = 0;
    struct watch *watch = calloc(1, sizeof *watch);
    if (watch == NULL) {
        return fail(EXIT_IO, "out of memory");
    }
    watch->interval_ms = 1000;
    int outcome = parse(command, arguments, watch);
    outcome = outcome == 0 ? parse_coordinates(command, arguments, 1, &coordinates, &count) : outcome;
    if (outcome == 0) {
        watch->file = arguments->values[0];
        outcome = watch_file(watch, coordinates, count);
    }
    free(coordinates);
    free(watch);
    return outcome;
}

const struct command command_watch = {
    .name = "watch",
    .summary = "show what advances, as it happens",
    .usage = "FILE [KEY=INDEX…] [--document ID] [--scope S] [--branch B] [--interval TIME] [--count N|--once] "
             "[--read-model NAME]",
    .help =
        "Looks at the progress again and again. On a terminal it shows the keys that changed last: index, operations "
        "per\n"
        "second between the last two looks, and how long ago the last change was seen; and the waits of this process,\n"
        "one for each KEY=INDEX. Ctrl-C ends it.\n"
        "\n"
        "Elsewhere it prints lines: time (UTC), index, what happened, key. First one with '=' for every key there is,\n"
        "then one for each change: '+3', 'new', 'forgotten' (with index '-'), and 'reached' for a KEY=INDEX.\n"
        "\n"
        "  --document ID     only these documents; likewise --scope S and --branch B\n"
        "  --interval TIME   how long to rest between two looks: 500ms, 5s, 2m, 1h (default: 1s, at least 10ms)\n"
        "  --count N         ends after so many looks\n"
        "  --once            ends after the first look\n"
        "\n"
        "Example:\n"
        "  ctrack watch progress.db --branch main --interval 500ms\n",
    .run = run,
};
