/* SPDX-License-Identifier: MIT */

/* A snapshot file of a live one: what it takes, and what it does to those who write meanwhile. */
#include "benches.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "subject.h"

/* SQLite's own way to copy a live file, in one step. */
static double time_backup(const char *from, const char *to)
{
    sqlite3 *source = NULL, *target = NULL;
    int64_t start = bench_now();
    if (sqlite3_open(from, &source) != SQLITE_OK || sqlite3_open(to, &target) != SQLITE_OK) {
        bench_fail("cannot open %s or %s", from, to);
    }
    sqlite3_backup *backup = sqlite3_backup_init(target, "main", source, "main");
    int code = backup != NULL ? sqlite3_backup_step(backup, -1) : SQLITE_ERROR;
    if (code != SQLITE_DONE || sqlite3_backup_finish(backup) != SQLITE_OK) {
        bench_fail("the backup fails: %s", sqlite3_errmsg(target));
    }
    sqlite3_close(target);
    sqlite3_close(source);
    double seconds = bench_seconds_since(start);
    unlink(to);
    return seconds * 1e3;
}

static double time_export(ctrack *tracker, const char *to)
{
    ctrack_error error;
    int64_t start = bench_now();
    if (ctrack_export(tracker, to, CTRACK_EXPORT_NEW, NULL, NULL, &error) != CTRACK_OK) {
        bench_fail("export: %s", error.message);
    }
    double seconds = bench_seconds_since(start);
    unlink(to);
    return seconds * 1e3;
}

static double time_check(const char *path)
{
    ctrack_error error;
    int64_t start = bench_now();
    if (ctrack_check(path, -1, NULL, NULL, NULL, &error) != CTRACK_OK) {
        bench_fail("check: %s", error.message);
    }
    return bench_seconds_since(start) * 1e3;
}

static ctrack *make_subject(bench *b, load_key **keys)
{
    load all = load_new(b->keys);
    *keys = load_keys(b, b->keys);
    load_in_order(&all, *keys, 7);
    load_shuffle(b, &all);
    subject_make("tracker.db", &all);
    load_free(&all);
    return subject_open("tracker.db", CTRACK_DURABLE_FULL);
}

void bench_export(bench *b)
{
    bench_row *ratio = bench_target(b, "ctrack_export / SQLite's backup in one step", "x", BENCH_AT_MOST, 3);
    bench_row *export_row = bench_figure(b, "ctrack_export, checked and on the disk", "ms");
    bench_row *backup_row = bench_figure(b, "SQLite's backup in one step", "ms");
    bench_row *check_row = bench_figure(b, "ctrack_check", "ms");
    load_key *keys;
    ctrack *tracker = make_subject(b, &keys);
    for (unsigned round = 0; round < b->rounds; round++) {
        double backup = time_backup("tracker.db", "backup.db");
        double export = time_export(tracker, "export.db");
        bench_add(ratio, export / backup);
        bench_add(export_row, export);
        bench_add(backup_row, backup);
        bench_add(check_row, time_check("tracker.db"));
    }
    subject_close(tracker);
    free(keys);
}

/* ---------------------------------------------------------------- beside a writer */

#define UPDATES_MAX 1000000

typedef struct writer {
    ctrack *tracker;
    load one;
    atomic_bool stop;
    double *microseconds; /* of each update */
    size_t count;
} writer;

static void *write_until_stopped(void *argument)
{
    writer *w = argument;
    while (!atomic_load_explicit(&w->stop, memory_order_relaxed) && w->count < UPDATES_MAX) {
        w->one.coordinates[0].operation_index++;
        int64_t start = bench_now();
        subject_update(w->tracker, &w->one, 0, 1);
        w->microseconds[w->count++] = bench_seconds_since(start) * 1e6;
    }
    return NULL;
}

static int compare(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

/* The 99th of 100 updates of a writer, in a loop, while `seconds` pass or, if that is 0, while exports are made, as
 * many as take about a second; *most is the longest update. */
static double p99_of_writer(writer *w, double seconds, double *most)
{
    pthread_t thread;
    int64_t start = bench_now();
    w->count = 0;
    atomic_store(&w->stop, false);
    if (pthread_create(&thread, NULL, write_until_stopped, w) != 0) {
        bench_fail("cannot start a thread");
    }
    if (seconds > 0) {
        bench_sleep_us((long)(seconds * 1e6));
    }
    while (seconds == 0 && bench_seconds_since(start) < 1) {
        time_export(w->tracker, "export.db");
    }
    atomic_store(&w->stop, true);
    pthread_join(thread, NULL);
    qsort(w->microseconds, w->count, sizeof(double), compare);
    *most = w->microseconds[w->count - 1];
    return w->microseconds[w->count * 99 / 100];
}

void bench_export_writer(bench *b)
{
    bench_row *ratio = bench_target(b, "p99 of an update during exports / without", "x", BENCH_AT_MOST, 3);
    bench_row *during_row = bench_figure(b, "p99 of an update during exports", "us");
    bench_row *alone_row = bench_figure(b, "p99 of an update without", "us");
    bench_row *most_row = bench_figure(b, "longest update during exports", "us");
    bench_row *rate_row = bench_figure(b, "updates during exports", "updates");
    load_key *keys;
    writer w = {.tracker = make_subject(b, &keys), .one = load_new(1)};
    w.microseconds = bench_alloc(UPDATES_MAX, sizeof *w.microseconds);
    load_in_order(&w.one, keys, 8);
    for (unsigned round = 0; round < b->rounds; round++) {
        double most;
        double alone = p99_of_writer(&w, 1, &most);
        double during = p99_of_writer(&w, 0, &most);
        bench_add(ratio, during / alone);
        bench_add(during_row, during);
        bench_add(alone_row, alone);
        bench_add(most_row, most);
        bench_add(rate_row, (double)w.count);
    }
    subject_close(w.tracker);
    load_free(&w.one);
    free(w.microseconds);
    free(keys);
}
