/* SPDX-License-Identifier: MIT */

/*
 * Other processes: how soon their commits are noticed, what it costs to be ready for them, and to catch up with them.
 *
 * The other processes are forked before the bench opens a tracker of its own, since a tracker must not be used across
 * fork(). They get their orders, and say what they have done and when, in memory that both share.
 */
#define _DEFAULT_SOURCE /* MAP_ANONYMOUS */
#include "benches.h"

#include <errno.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "raw.h"
#include "subject.h"

#define PAUSE_US 500
#define FILE_NAME "tracker.db"
#define LOST_AFTER_MS 60000

/* One other process: it reports the part of the load that it is told, batch by batch, and waits for the next order. */
typedef struct other {
    sem_t order, done;
    pid_t pid;
    size_t first, end, batch; /* of the load */
    int64_t index;            /* for all of them */
    int64_t committed;        /* when the last commit returned */
    _Atomic size_t attempted; /* coordinates are attempted up to here */
} other;

static void wait_on(sem_t *semaphore)
{
    while (sem_wait(semaphore) != 0 && errno == EINTR) {
    }
}

static _Noreturn void serve(other *o, load *l)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    ctrack *tracker = subject_open(FILE_NAME, CTRACK_DURABLE_FULL);
    sem_post(&o->done);
    for (;;) {
        wait_on(&o->order);
        load_set_index(l, o->index);
        for (size_t i = o->first; i < o->end; i += o->batch) {
            size_t count = o->end - i < o->batch ? o->end - i : o->batch;
            atomic_store(&o->attempted, i + count);
            subject_update(tracker, l, i, count);
        }
        o->committed = bench_now();
        sem_post(&o->done);
    }
}

/* The calling process must not have a tracker open. */
static other *other_start(load *l)
{
    other *o = mmap(NULL, sizeof *o, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (o == MAP_FAILED || sem_init(&o->order, 1, 0) != 0 || sem_init(&o->done, 1, 0) != 0) {
        bench_fail("no shared memory");
    }
    pid_t pid = fork();
    if (pid == 0) {
        serve(o, l);
    }
    if (pid < 0) {
        bench_fail("cannot fork");
    }
    wait_on(&o->done);
    o->pid = pid; /* not the child's, which is 0 to itself */
    return o;
}

static void other_command(other *o, size_t first, size_t end, size_t batch, int64_t index)
{
    o->first = first;
    o->end = end;
    o->batch = batch;
    o->index = index;
    atomic_store(&o->attempted, first);
    sem_post(&o->order);
}

static void other_stop(other *o)
{
    kill(o->pid, SIGKILL);
    waitpid(o->pid, NULL, 0);
    munmap(o, sizeof *o);
}

/* ---------------------------------------------------------------- from a commit to a callback */

/* Microseconds from the moment when the other process's commit has returned. May be negative: it is visible before. */
static double notice(ctrack *tracker, const load *wanted, other *o)
{
    subject_call call;
    subject_call_begin(&call, tracker, wanted);
    bench_sleep_us(PAUSE_US);
    other_command(o, 0, 1, 1, wanted->coordinates[0].operation_index);
    int64_t at = subject_call_end(&call);
    wait_on(&o->done);
    return (double)(at - o->committed) / 1e3;
}

void bench_foreign_wake(bench *b)
{
    bench_row *median = bench_target(b, "from a foreign commit to the callback, median", "us", BENCH_AT_MOST, 100);
    bench_row *slowest = bench_target(b, "the same, 99 of 100 are below", "us", BENCH_AT_MOST, 2000);
    size_t times = b->keys >= BENCH_FULL_SCALE ? 2000 : 200;
    load_key *key = load_keys(b, 1);
    load wanted = load_new(1);
    load_in_order(&wanted, key, 0);
    other *o = other_start(&wanted);
    ctrack *tracker = subject_open(FILE_NAME, CTRACK_DURABLE_FULL);
    double *samples = bench_alloc(times, sizeof *samples);
    int64_t index = 0;
    for (unsigned round = 0; round < b->rounds; round++) {
        for (size_t i = 0; i < times; i++) {
            load_set_index(&wanted, ++index);
            samples[i] = notice(tracker, &wanted, o);
        }
        bench_add(median, bench_median(samples, times)); /* sorts them */
        bench_add(slowest, samples[times * 99 / 100]);
    }
    free(samples);
    subject_close(tracker);
    other_stop(o);
    load_free(&wanted);
    free(key);
}

/* ---------------------------------------------------------------- being ready */

typedef struct idleness {
    double percent;  /* of a core */
    double switches; /* of context, in a second, but for those of the sleeper itself */
} idleness;

static double microseconds(struct timeval time)
{
    return (double)time.tv_sec * 1e6 + (double)time.tv_usec;
}

/* What this process does in a second in which nobody asks it to do anything. */
static idleness sleep_for_a_second(void)
{
    struct rusage before, after;
    int64_t start = bench_now();
    getrusage(RUSAGE_SELF, &before);
    bench_sleep_us(1000000);
    getrusage(RUSAGE_SELF, &after);
    double spent = microseconds(after.ru_utime) + microseconds(after.ru_stime) - microseconds(before.ru_utime) -
                   microseconds(before.ru_stime);
    double switches =
        (double)(after.ru_nvcsw + after.ru_nivcsw - before.ru_nvcsw - before.ru_nivcsw) - 1 /* into this sleep */;
    return (idleness){spent / (bench_seconds_since(start) * 1e4), switches};
}

void bench_idle(bench *b)
{
    bench_row *switches = bench_target(b, "no wait pending: context switches in a second", "", BENCH_AT_MOST, 0);
    bench_row *without = bench_figure(b, "no wait pending: processor time (1 s asleep included)", "% of a core");
    bench_row *with =
        bench_target(b, "waits pending on a quiet file: processor time", "% of a core", BENCH_AT_MOST, 0.5);
    bench_row *with_switches = bench_figure(b, "waits pending on a quiet file: context switches in a second", "");
    load_key *keys = load_keys(b, 1000);
    load all = load_new(1000);
    load_in_order(&all, keys, 1);
    ctrack *tracker = subject_open(FILE_NAME, CTRACK_DURABLE_FULL);
    ctrack_promise **promises = bench_alloc(all.count, sizeof *promises);
    for (unsigned round = 0; round < b->rounds; round++) {
        load_set_index(&all, (int64_t)round + 1);
        subject_wait_each(tracker, &all, 3600000, promises); /* with time limits, so that every thread runs */
        bench_sleep_us(200000);                              /* until the threads have settled down */
        idleness waiting = sleep_for_a_second();
        subject_update_all(tracker, &all, all.count);
        subject_release(promises, all.count, CTRACK_OK);
        bench_sleep_us(200000);
        idleness idle = sleep_for_a_second();
        bench_add(switches, idle.switches);
        bench_add(without, idle.percent);
        bench_add(with, waiting.percent);
        bench_add(with_switches, waiting.switches);
    }
    free(promises);
    subject_close(tracker);
    load_free(&all);
    free(keys);
}

/* ---------------------------------------------------------------- many waits */

/* A wait's place in the load, and who is to satisfy it. */
typedef struct awaited {
    const other *writer;
    size_t place;
    struct tally *tally;
} awaited;

typedef struct tally {
    atomic_size_t left, early, failed;
    sem_t all;
} tally;

static void judge(ctrack_promise *promise, ctrack_status outcome, void *argument)
{
    (void)promise;
    awaited *a = argument;
    if (outcome != CTRACK_OK) {
        atomic_fetch_add(&a->tally->failed, 1);
    } else if (atomic_load(&a->writer->attempted) <= a->place) {
        atomic_fetch_add(&a->tally->early, 1);
    }
    if (atomic_fetch_sub(&a->tally->left, 1) == 1) {
        sem_post(&a->tally->all);
    }
}

static void wait_for_each(ctrack *tracker, const load *l, int64_t timeout_ms, awaited *each)
{
    for (size_t i = 0; i < l->count; i++) {
        ctrack_promise *promise = subject_wait(tracker, l, i, 1, timeout_ms);
        if (ctrack_promise_then(promise, judge, &each[i]) != CTRACK_OK) {
            bench_fail("then has failed");
        }
        ctrack_promise_release(promise);
    }
}

void bench_foreign_waits(bench *b)
{
    enum { WRITERS = 2, BATCH = 10 };
    bench_row *lost = bench_target(b, "waits that did not end", "waits", BENCH_AT_MOST, 0);
    bench_row *early = bench_target(b, "waits that ended before their write began", "waits", BENCH_AT_MOST, 0);
    bench_row *took = bench_figure(b, "until the last callback has run", "ms");
    bench_row *writing = bench_figure(b, "of which the writers took", "ms");
    size_t count = b->keys < 10000 ? b->keys : 10000;
    load_key *keys = load_keys(b, count);
    load all = load_new(count);
    load_in_order(&all, keys, 0);
    load_shuffle(b, &all);
    other *writers[WRITERS];
    for (int w = 0; w < WRITERS; w++) {
        writers[w] = other_start(&all);
    }
    ctrack *tracker = subject_open(FILE_NAME, CTRACK_DURABLE_FULL);
    awaited *each = bench_alloc(count, sizeof *each);
    tally result;
    sem_init(&result.all, 0, 0);
    for (size_t i = 0; i < count; i++) {
        each[i] = (awaited){writers[i * WRITERS / count], i, &result};
    }
    for (unsigned round = 0; round < b->rounds; round++) {
        atomic_store(&result.left, count);
        atomic_store(&result.early, 0);
        atomic_store(&result.failed, 0);
        load_set_index(&all, (int64_t)round + 1);
        for (int w = 0; w < WRITERS; w++) {
            atomic_store(&writers[w]->attempted, 0);
        }
        wait_for_each(tracker, &all, LOST_AFTER_MS, each);
        bench_sleep_us(PAUSE_US);
        int64_t start = bench_now();
        for (int w = 0; w < WRITERS; w++) {
            size_t first = (count * (size_t)w + WRITERS - 1) / WRITERS,
                   end = (count * ((size_t)w + 1) + WRITERS - 1) / WRITERS;
            other_command(writers[w], first, end, BATCH, (int64_t)round + 1);
        }
        wait_on(&result.all);
        bench_add(took, bench_seconds_since(start) * 1e3);
        int64_t written = 0;
        for (int w = 0; w < WRITERS; w++) {
            wait_on(&writers[w]->done);
            written = writers[w]->committed > written ? writers[w]->committed : written;
        }
        bench_add(writing, (double)(written - start) / 1e6);
        bench_add(lost, (double)atomic_load(&result.failed));
        bench_add(early, (double)atomic_load(&result.early));
    }
    sem_destroy(&result.all);
    free(each);
    subject_close(tracker);
    for (int w = 0; w < WRITERS; w++) {
        other_stop(writers[w]);
    }
    load_free(&all);
    free(keys);
}

/* ---------------------------------------------------------------- staging */

/* Reports the same 100 coordinates in one transaction of a host that has a table of its own in the tracker's file. */
void bench_stage(bench *b)
{
    enum { COUNT = 100 };
    bench_row *ratio = bench_target(b, "ctrack_stage of 100 / 100 prepared upserts", "x", BENCH_AT_MOST, 1.3);
    bench_row *staged = bench_figure(b, "ctrack_stage of 100 coordinates, median", "us");
    bench_row *upserted = bench_figure(b, "100 prepared upserts into a plain table, median", "us");
    size_t times = b->keys >= BENCH_FULL_SCALE ? 1000 : 200;
    load_key *keys = load_keys(b, b->keys);
    load all = load_new(b->keys), some = load_new(COUNT);
    load_in_order(&all, keys, 0);
    load_shuffle(b, &all);
    subject_make(FILE_NAME, &all);
    raw_file_make(FILE_NAME, &all);
    raw_file *host = raw_file_open(FILE_NAME);
    double *ours = bench_alloc(times, sizeof *ours), *bare = bench_alloc(times, sizeof *bare);
    int64_t index = 0;
    for (unsigned round = 0; round < b->rounds; round++) {
        for (size_t i = 0; i < times; i++) {
            load_random(b, &some, keys, b->keys, &index);
            raw_file_compare_staging(host, some.coordinates, COUNT, i % 2 == 0, &ours[i], &bare[i]);
        }
        double our_median = bench_median(ours, times), bare_median = bench_median(bare, times);
        bench_add(ratio, our_median / bare_median);
        bench_add(staged, our_median);
        bench_add(upserted, bare_median);
    }
    free(ours);
    free(bare);
    raw_file_close(host);
    load_free(&all);
    load_free(&some);
    free(keys);
}

/* ---------------------------------------------------------------- catching up */

void bench_catch_up(bench *b)
{
    bench_row *ratio = bench_target(b, "ctrack_refresh / bare SELECT and lookups", "x", BENCH_AT_MOST, 1.5);
    bench_row *ours = bench_figure(b, "ctrack_refresh", "ms");
    bench_row *bare = bench_figure(b, "SELECT of the log and uthash lookups of the same", "ms");
    bench_row *rows = bench_figure(b, "foreign advances", "rows");
    size_t count = b->keys / 10; /* few enough that they are not folded in between */
    load_key *keys = load_keys(b, b->keys);
    load all = load_new(b->keys), some = load_new(count);
    load_in_order(&all, keys, 0);
    load_shuffle(b, &all);
    load_in_order(&some, keys, 0);
    subject_make(FILE_NAME, &all); /* in another order */
    raw_table *table = raw_tables_load(FILE_NAME, b->seed);
    other *o = other_start(&some);
    ctrack *tracker = subject_open(FILE_NAME, CTRACK_DURABLE_FULL);
    for (unsigned round = 0; round < b->rounds; round++) {
        int64_t since = raw_query(FILE_NAME, "SELECT max(seq) FROM ctrack_advance");
        other_command(o, 0, count, 1000, (int64_t)round + 1);
        wait_on(&o->done);
        int64_t start = bench_now();
        size_t seen = raw_log_lookup(FILE_NAME, since, table);
        double bare_seconds = bench_seconds_since(start);
        start = bench_now();
        ctrack_error error;
        if (ctrack_refresh(tracker, &error) != CTRACK_OK) {
            bench_fail("refresh: %s", error.message);
        }
        double our_seconds = bench_seconds_since(start);
        bench_add(ratio, our_seconds / bare_seconds);
        bench_add(ours, our_seconds * 1e3);
        bench_add(bare, bare_seconds * 1e3);
        bench_add(rows, (double)seen);
    }
    subject_close(tracker);
    other_stop(o);
    raw_table_free(table);
    load_free(&all);
    load_free(&some);
    free(keys);
}
