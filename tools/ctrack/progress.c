/* SPDX-License-Identifier: MIT */
#include "progress.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "interrupt.h"

#define REDRAW_NANOSECONDS INT64_C(100000000)
/* A rate that is measured over less than this says nothing. */
#define RATE_NANOSECONDS INT64_C(500000000)

static int64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

/* The columns that a line may have without being broken by the terminal, at most `most`. */
static size_t line_width(size_t most)
{
    struct winsize size;
    size_t columns = ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col - (size_t)1 : 79;
    return columns < most ? columns : most;
}

/* Replaces what the line holds. No escape sequence is needed, so every terminal can do it. */
static void draw(struct progress *progress, const char *text)
{
    char line[160];
    size_t width = line_width(sizeof line - 1), length = strlen(text);
    length = length < width ? length : width;
    size_t blanks = progress->columns > length ? progress->columns - length : 0;
    interrupt_wipes(length + blanks);
    fprintf(stderr, "\r%.*s%*s", (int)length, text, (int)blanks, "");
    if (blanks > 0) {
        fprintf(stderr, "\r%.*s", (int)length, text);
    }
    fflush(stderr);
    progress->columns = length;
    progress->drawn = now();
}

static void format_bytes(double bytes, char text[24])
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    size_t unit = 0;
    for (; bytes >= 1024 && unit < 4; unit++) {
        bytes /= 1024;
    }
    snprintf(text, 24, unit == 0 ? "%.0f %s" : "%.1f %s", bytes, units[unit]);
}

static void describe(const struct progress *progress, int64_t time, char *text, size_t size)
{
    char done[24], total[24], speed[24];
    int64_t spent = time - progress->begun;
    format_bytes((double)progress->bytes, done);
    int length = snprintf(text, size, "%s: ", progress->what);
    if (progress->total > 0) {
        uint64_t most = progress->bytes < progress->total ? progress->bytes : progress->total;
        format_bytes((double)progress->total, total);
        length += snprintf(text + length, size - (size_t)length, "%.0f %%, %s of %s",
                           (double)most * 100 / (double)progress->total, done, total);
    } else {
        length += snprintf(text + length, size - (size_t)length, "%s", done);
    }
    if (progress->rows > 0) {
        length += snprintf(text + length, size - (size_t)length, ", %llu rows", (unsigned long long)progress->rows);
    }
    if (spent >= RATE_NANOSECONDS) {
        format_bytes((double)progress->bytes * 1e9 / (double)spent, speed);
        snprintf(text + length, size - (size_t)length, ", %s/s", speed);
    }
}

void progress_begin(struct progress *progress, const char *what, uint64_t total, int data)
{
    *progress = (struct progress){.what = what, .total = total, .begun = now()};
    progress->shown = isatty(STDERR_FILENO) && !isatty(data);
}

/* Whether the line is to be drawn now. */
static bool is_due(const struct progress *progress, int64_t time)
{
    return progress->shown && (progress->drawn == 0 || time - progress->drawn >= REDRAW_NANOSECONDS);
}

void progress_advance(struct progress *progress, uint64_t bytes, uint64_t rows)
{
    char text[160];
    progress->bytes += bytes;
    progress->rows += rows;
    int64_t time = progress->shown ? now() : 0;
    if (is_due(progress, time)) {
        describe(progress, time, text, sizeof text);
        draw(progress, text);
    }
}

void progress_reach(struct progress *progress, uint64_t done, uint64_t total)
{
    char text[160];
    if (is_due(progress, progress->shown ? now() : 0)) {
        snprintf(text, sizeof text, "%s: %.0f %%", progress->what,
                 total > 0 ? (double)done * 100 / (double)total : 0.0);
        draw(progress, text);
    }
}

void progress_say(struct progress *progress, const char *text)
{
    char line[160];
    if (progress->shown) {
        snprintf(line, sizeof line, "%s: %s", progress->what, text);
        draw(progress, line);
    }
}

void progress_clear(struct progress *progress)
{
    if (progress->drawn != 0) {
        draw(progress, "");
        interrupt_wipes(0);
    }
    progress->drawn = 0;
}

void progress_end(struct progress *progress)
{
    progress_clear(progress);
    progress->shown = false;
}
