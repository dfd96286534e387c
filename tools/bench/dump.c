/* SPDX-License-Identifier: MIT */

/*
 * Dumping a file and restoring it into a new one, and the memory that either takes beyond the tracker's own map. The
 * progress is spread over a few scopes and branches. Memory is measured in a process of its own, as what the resident
 * set was at its highest beyond what remains of it: the map, with all that was freed given back.
 */
#define _DEFAULT_SOURCE /* malloc_trim() */
#include "benches.h"

#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "subject.h"

static const char dump_name[] = "dump.ndjson";

/* ---------------------------------------------------------------- what is measured */

/* Spreads the load over two scopes and two branches. */
static void spread(load *l)
{
    static const char *const scopes[] = {LOAD_SCOPE, "global"}, *const branches[] = {LOAD_BRANCH, "draft"};
    for (size_t i = 0; i < l->count; i++) {
        l->coordinates[i].scope = scopes[i % 2];
        l->coordinates[i].branch = branches[i / 2 % 2];
    }
}

static void make_files(bench *b)
{
    load_key *keys = load_keys(b, b->keys);
    load all = load_new(b->keys);
    load_in_order(&all, keys, 1234);
    load_shuffle(b, &all);
    spread(&all);
    subject_make("folded.db", &all);
    subject_make_unfolded("log.db", &all);
    load_free(&all);
    free(keys);
}

static int write_descriptor(const void *data, size_t size, void *argument)
{
    const int *descriptor = argument;
    return write(*descriptor, data, size) == (ssize_t)size ? 0 : 5;
}

static int read_descriptor(void *data, size_t size, size_t *got, void *argument)
{
    const int *descriptor = argument;
    ssize_t count = read(*descriptor, data, size);
    *got = count > 0 ? (size_t)count : 0;
    return count < 0 ? 5 : 0;
}

static int open_dump(int flags)
{
    int descriptor = open(dump_name, flags, 0600);
    if (descriptor < 0) {
        bench_fail("cannot open %s", dump_name);
    }
    return descriptor;
}

/* Seconds for a dump of all progress, into a file that stays in the system's cache. */
static double dump(ctrack *tracker)
{
    ctrack_error error;
    int descriptor = open_dump(O_WRONLY | O_CREAT | O_TRUNC);
    int64_t start = bench_now();
    if (ctrack_dump(tracker, NULL, write_descriptor, &descriptor, &error) != CTRACK_OK) {
        bench_fail("dump: %s", error.message);
    }
    double seconds = bench_seconds_since(start);
    close(descriptor);
    return seconds;
}

/* Seconds for restoring that file, durably. */
static double restore(bench *b, ctrack *tracker, ctrack_restore_mode mode)
{
    ctrack_error error;
    size_t restored = 0;
    int descriptor = open_dump(O_RDONLY);
    int64_t start = bench_now();
    if (ctrack_restore(tracker, read_descriptor, &descriptor, dump_name, mode, &restored, &error) != CTRACK_OK) {
        bench_fail("restore: %s", error.message);
    }
    double seconds = bench_seconds_since(start);
    close(descriptor);
    if (restored != b->keys) {
        bench_fail("%zu of %zu rows are restored", restored, b->keys);
    }
    return seconds;
}

/* ---------------------------------------------------------------- memory */

/* From now on, the highest resident set is that since now: proc(5), clear_refs. */
static void forget_peak(void)
{
    FILE *file = fopen("/proc/self/clear_refs", "w");
    if (file == NULL || fputs("5", file) < 0 || fclose(file) != 0) {
        bench_fail("cannot write to /proc/self/clear_refs");
    }
}

/* The highest resident set beyond that of now, in MiB. */
static double peak_beyond(void)
{
    char line[200];
    double kib = -1;
    FILE *file = fopen("/proc/self/status", "r");
    while (file != NULL && kib < 0 && fgets(line, sizeof line, file) != NULL) {
        kib = strncmp(line, "VmHWM:", 6) == 0 ? strtod(line + 6, NULL) : kib;
    }
    if (file == NULL || kib < 0) {
        bench_fail("cannot read /proc/self/status");
    }
    fclose(file);
    malloc_trim(0);
    return (kib * 1024 - bench_resident()) / (1024 * 1024);
}

static void peak_of_dump(bench *b, double *peak)
{
    (void)b;
    ctrack *tracker = subject_open("folded.db", CTRACK_DURABLE_FULL);
    malloc_trim(0);
    forget_peak();
    dump(tracker);
    *peak = peak_beyond();
    subject_close(tracker);
}

static void peak_of_restore(bench *b, double *peak)
{
    ctrack *tracker = subject_open("restored.db", CTRACK_DURABLE_FULL);
    forget_peak();
    restore(b, tracker, CTRACK_RESTORE_EMPTY);
    *peak = peak_beyond();
    subject_close(tracker);
}

/* ---------------------------------------------------------------- benches */

static double rate(const bench *b, double seconds)
{
    return (double)b->keys / seconds;
}

static double time_dump(const char *path)
{
    ctrack *tracker = subject_open(path, CTRACK_DURABLE_FULL);
    double seconds = dump(tracker);
    subject_close(tracker);
    return seconds;
}

void bench_dump(bench *b)
{
    bench_row *folded = bench_target(b, "a folded file", "rows/s", BENCH_AT_LEAST, 1e6);
    bench_row *log = bench_figure(b, "a file with a log", "rows/s");
    bench_row *backlog = bench_figure(b, "rows in the log of the file with a log", "rows");
    bench_row *memory = bench_figure(b, "peak memory beyond the map", "MiB");
    make_files(b);
    for (unsigned round = 0; round < b->rounds; round++) {
        double peak;
        bench_add(backlog, subject_backlog("log.db"));
        bench_add(folded, rate(b, time_dump("folded.db")));
        bench_add(log, rate(b, time_dump("log.db")));
        bench_in_child(b, peak_of_dump, &peak, 1);
        bench_add(memory, peak);
    }
}

static void remove_restored(void)
{
    unlink("restored.db");
    unlink("restored.db-wal");
    unlink("restored.db-shm");
}

void bench_restore(bench *b)
{
    bench_row *fresh = bench_target(b, "into a new file", "rows/s", BENCH_AT_LEAST, 250e3);
    bench_row *merged = bench_figure(b, "merged into the same progress", "rows/s");
    bench_row *replaced = bench_figure(b, "replacing the same progress", "rows/s");
    bench_row *memory = bench_figure(b, "peak memory beyond the map", "MiB");
    make_files(b);
    time_dump("folded.db");
    for (unsigned round = 0; round < b->rounds; round++) {
        double peak;
        ctrack *tracker = subject_open("restored.db", CTRACK_DURABLE_FULL);
        bench_add(fresh, rate(b, restore(b, tracker, CTRACK_RESTORE_EMPTY)));
        bench_add(merged, rate(b, restore(b, tracker, CTRACK_RESTORE_MERGE)));
        bench_add(replaced, rate(b, restore(b, tracker, CTRACK_RESTORE_REPLACE)));
        subject_close(tracker);
        remove_restored();
        bench_in_child(b, peak_of_restore, &peak, 1);
        bench_add(memory, peak);
        remove_restored();
    }
}
