/* SPDX-License-Identifier: MIT */

/* Updates on a file: sustained, of new keys, and from many threads at once. All with synchronous=FULL. */
#include "benches.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "raw.h"
#include "subject.h"

#define BATCH 1000

static void upsert_all(raw_file *file, const load *l)
{
    for (size_t first = 0; first < l->count; first += BATCH) {
        size_t count = BATCH < l->count - first ? BATCH : l->count - first;
        raw_file_upsert(file, l->coordinates + first, count);
    }
}

static void remove_database(const char *path)
{
    static const char *const endings[] = {"", "-wal", "-shm"};
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        char name[64];
        snprintf(name, sizeof name, "%s%s", path, endings[i]);
        unlink(name);
    }
}

/* ---------------------------------------------------------------- sustained, and new keys */

/*
 * The tracker folds its log behind the updates, and ctrack_close() leaves to the next opening what is not folded by
 * then. So that none of this work goes unpaid, the target is for the time until everything is folded (subject_fold())
 * and the tracker is closed; the figure without that last fold stands beside it. The upserts' last checkpoint is not
 * charged.
 */
typedef struct file_rows {
    bench_row *ratio, *unfolded_ratio, *tracker, *unfolded, *upsert, *fold_share, *close_share, *backlog;
} file_rows;

static file_rows make_file_rows(bench *b, double limit)
{
    return (file_rows){
        .ratio = bench_target(b, "tracker, folded and closed / hand-written upsert", "x", BENCH_AT_LEAST, limit),
        .unfolded_ratio = bench_figure(b, "tracker, closed with a log / hand-written upsert", "x"),
        .tracker = bench_figure(b, "tracker: until everything is folded, and closed", "rows/s"),
        .unfolded = bench_figure(b, "tracker: without that last fold (the log stays for later)", "rows/s"),
        .upsert = bench_figure(b, "hand-written upsert", "rows/s"),
        .fold_share = bench_figure(b, "tracker: of the whole time, the last fold", "%"),
        .close_share = bench_figure(b, "tracker: of the whole time, ctrack_close", "%"),
        .backlog = bench_figure(b, "tracker: log rows not folded in the end", "rows")};
}

static double time_upserts(raw_file *file, const load *l)
{
    int64_t start = bench_now();
    upsert_all(file, l);
    return (double)l->count / bench_seconds_since(start);
}

/* Runs the load through tracker.db, and adds the round's figures. */
static void add_round(const file_rows *rows, const load *l, double upsert_rate)
{
    ctrack *tracker = subject_open("tracker.db", CTRACK_DURABLE_FULL);
    int64_t start = bench_now();
    subject_update_all(tracker, l, BATCH);
    double updated = bench_seconds_since(start);
    subject_fold(tracker);
    double folded = bench_seconds_since(start);
    subject_close(tracker);
    double closed = bench_seconds_since(start);

    double rate = (double)l->count / closed, unfolded_rate = (double)l->count / (closed - (folded - updated));
    bench_add(rows->ratio, rate / upsert_rate);
    bench_add(rows->unfolded_ratio, unfolded_rate / upsert_rate);
    bench_add(rows->tracker, rate);
    bench_add(rows->unfolded, unfolded_rate);
    bench_add(rows->upsert, upsert_rate);
    bench_add(rows->fold_share, (folded - updated) / closed * 100);
    bench_add(rows->close_share, (closed - folded) / closed * 100);
    bench_add(rows->backlog, subject_backlog("tracker.db"));
}

void bench_update_file_sustained(bench *b)
{
    file_rows rows = make_file_rows(b, 8);
    load_key *keys = load_keys(b, b->keys);
    load all = load_new(b->keys), many = load_new(2 * b->keys), some = load_new(b->keys / 5);
    load_in_order(&all, keys, 0);
    subject_make("tracker.db", &all);
    raw_file_make("upsert.db", &all);
    raw_file *upsert = raw_file_open("upsert.db");
    int64_t index = 0;
    for (unsigned round = 0; round < b->rounds; round++) {
        load_random(b, &some, keys, b->keys, &index);
        load_random(b, &many, keys, b->keys, &index);
        double upsert_rate = time_upserts(upsert, &some);
        add_round(&rows, &many, upsert_rate);
    }
    raw_file_close(upsert);
    load_free(&all);
    load_free(&many);
    load_free(&some);
    free(keys);
}

void bench_update_file_new_keys(bench *b)
{
    file_rows rows = make_file_rows(b, 3);
    load_key *keys = load_keys(b, b->keys);
    load all = load_new(b->keys);
    load_in_order(&all, keys, 0);
    for (unsigned round = 0; round < b->rounds; round++) {
        remove_database("upsert.db");
        remove_database("tracker.db");
        raw_file *upsert = raw_file_open("upsert.db");
        double upsert_rate = time_upserts(upsert, &all);
        raw_file_close(upsert);
        add_round(&rows, &all, upsert_rate);
    }
    load_free(&all);
    free(keys);
}

/* ---------------------------------------------------------------- group-commit */

/* One committed update after the other, through the tracker or, if there is a file, into that, which only one can. */
typedef struct writer {
    ctrack *tracker;
    raw_file *file;        /* NULL: the tracker */
    pthread_mutex_t *turn; /* of the file */
    load one;              /* its own coordinate */
    size_t updates;
    pthread_barrier_t *start;
    atomic_bool *stop;
    pthread_t thread;
} writer;

static void *write_until_stopped(void *argument)
{
    writer *w = argument;
    pthread_barrier_wait(w->start);
    while (!atomic_load_explicit(w->stop, memory_order_relaxed)) {
        w->one.coordinates[0].operation_index++;
        if (w->file != NULL) {
            pthread_mutex_lock(w->turn);
            raw_file_upsert(w->file, w->one.coordinates, 1);
            pthread_mutex_unlock(w->turn);
        } else {
            subject_update(w->tracker, &w->one, 0, 1);
        }
        w->updates++;
    }
    return NULL;
}

/* Updates a second of so many threads together, through the tracker or, if it is not NULL, into the file. */
static double run_writers(ctrack *tracker, raw_file *file, writer *writers, unsigned threads, double seconds)
{
    pthread_barrier_t start;
    pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;
    atomic_bool stop = false;
    pthread_barrier_init(&start, NULL, threads + 1);
    for (unsigned i = 0; i < threads; i++) {
        writers[i].tracker = tracker;
        writers[i].file = file;
        writers[i].turn = &turn;
        writers[i].updates = 0;
        writers[i].start = &start;
        writers[i].stop = &stop;
        if (pthread_create(&writers[i].thread, NULL, write_until_stopped, &writers[i]) != 0) {
            bench_fail("cannot start %u threads", threads);
        }
    }
    pthread_barrier_wait(&start);
    int64_t started = bench_now();
    bench_sleep_us((long)(seconds * 1e6));
    atomic_store(&stop, true);
    size_t updates = 0;
    for (unsigned i = 0; i < threads; i++) {
        pthread_join(writers[i].thread, NULL);
        updates += writers[i].updates;
    }
    double rate = (double)updates / bench_seconds_since(started);
    pthread_barrier_destroy(&start);
    return rate;
}

static double seconds_of_a_run(const bench *b)
{
    return b->keys >= BENCH_FULL_SCALE ? 2 : 0.2;
}

static writer *make_writers(bench *b, load_key **keys, unsigned threads)
{
    writer *writers = bench_alloc(threads, sizeof *writers);
    *keys = load_keys(b, threads);
    for (unsigned i = 0; i < threads; i++) {
        writers[i].one = load_new(1);
        load_in_order(&writers[i].one, &(*keys)[i], 0);
    }
    return writers;
}

static void free_writers(writer *writers, load_key *keys, unsigned threads)
{
    for (unsigned i = 0; i < threads; i++) {
        load_free(&writers[i].one);
    }
    free(writers);
    free(keys);
}

/* The same by one thread without the tracker, the threads' keys in turn. */
static double run_upserts(raw_file *file, writer *writers, unsigned threads, double seconds)
{
    size_t updates = 0;
    int64_t started = bench_now();
    while (bench_seconds_since(started) < seconds) {
        ctrack_coordinate *coordinate = writers[updates++ % threads].one.coordinates;
        coordinate->operation_index++;
        raw_file_upsert(file, coordinate, 1);
    }
    return (double)updates / bench_seconds_since(started);
}

static void group_commit(bench *b, unsigned threads, double limit)
{
    bench_row *ratio =
        bench_target(b, "all threads / hand-written upsert, one row a commit", "x", BENCH_AT_LEAST, limit);
    bench_row *alone_ratio = bench_figure(b, "all threads / tracker, one thread", "x");
    bench_row *group_row = bench_figure(b, "tracker, all threads", "rows/s");
    bench_row *alone_row = bench_figure(b, "tracker, one thread", "rows/s");
    bench_row *upsert_row = bench_figure(b, "hand-written upsert, one thread", "rows/s");
    double seconds = seconds_of_a_run(b);
    load_key *keys;
    writer *writers = make_writers(b, &keys, threads);
    ctrack *tracker = subject_open("tracker.db", CTRACK_DURABLE_FULL);
    raw_file *upsert = raw_file_open("upsert.db");
    for (unsigned round = 0; round < b->rounds; round++) {
        double alone = run_writers(tracker, NULL, writers, 1, seconds);
        double upsert_rate = run_upserts(upsert, writers, threads, seconds);
        double group = run_writers(tracker, NULL, writers, threads, seconds);
        bench_add(ratio, group / upsert_rate);
        bench_add(alone_ratio, group / alone);
        bench_add(group_row, group);
        bench_add(alone_row, alone);
        bench_add(upsert_row, upsert_rate);
    }
    subject_close(tracker);
    raw_file_close(upsert);
    free_writers(writers, keys, threads);
}

void bench_group_commit_16(bench *b)
{
    group_commit(b, 16, 5);
}

void bench_group_commit_64(bench *b)
{
    group_commit(b, 64, 12);
}

/* ---------------------------------------------------------------- update-by-threads */

#define THREADS_MAX 64
#define THREAD_COUNTS 7

/* Every round goes through all numbers of threads, so that each curve's points are measured in turns. */
void bench_update_by_threads(bench *b)
{
    bench_row *ours[THREAD_COUNTS], *raw[THREAD_COUNTS];
    for (unsigned i = 0; i < THREAD_COUNTS; i++) {
        ours[i] = bench_point(b, "ctrack_update()", (double)(1U << i), "updates/s");
        raw[i] = bench_point(b, "plain upsert, one commit each", (double)(1U << i), "updates/s");
    }
    load_key *keys;
    writer *writers = make_writers(b, &keys, THREADS_MAX);
    ctrack *tracker = subject_open("tracker.db", CTRACK_DURABLE_FULL);
    raw_file *upsert = raw_file_open("upsert.db");
    for (unsigned round = 0; round < b->rounds; round++) {
        for (unsigned i = 0; i < THREAD_COUNTS; i++) {
            bench_add(raw[i], run_writers(tracker, upsert, writers, 1U << i, seconds_of_a_run(b)));
            bench_add(ours[i], run_writers(tracker, NULL, writers, 1U << i, seconds_of_a_run(b)));
        }
    }
    subject_close(tracker);
    raw_file_close(upsert);
    free_writers(writers, keys, THREADS_MAX);
}
