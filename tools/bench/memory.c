/* SPDX-License-Identifier: MIT */

/*
 * Memory for each key and for each wait. Each round runs in a process of its own: memory that earlier work has left
 * free would hide what is used now. Two views: what malloc has handed out (its own overhead included), and what the
 * operating system has given (resident memory), which also counts what malloc cannot use.
 */
#include "benches.h"

#include <stdlib.h>

#include "subject.h"

enum { ALLOCATED, RESIDENT, VIEWS };

static void start_measuring(double *figures)
{
    figures[ALLOCATED] = bench_allocated();
    figures[RESIDENT] = bench_resident();
}

/* Turns the figures into what has been added since, for each of `count` things. */
static void end_measuring(double *figures, size_t count)
{
    double allocated = bench_allocated();
    figures[RESIDENT] = (bench_resident() - figures[RESIDENT]) / (double)count;
    figures[ALLOCATED] = allocated >= 0 ? (allocated - figures[ALLOCATED]) / (double)count : -1;
}

static void measure(bench *b, void (*child)(bench *, double *), double limit)
{
    bench_row *resident = bench_target(b, "resident memory", "bytes", BENCH_AT_MOST, limit);
    bench_row *allocated =
        bench_allocated() >= 0 ? bench_target(b, "malloc's blocks", "bytes", BENCH_AT_MOST, limit) : NULL;
    for (unsigned round = 0; round < b->rounds; round++) {
        double figures[VIEWS];
        bench_in_child(b, child, figures, VIEWS);
        bench_add(resident, figures[RESIDENT]);
        if (allocated != NULL) {
            bench_add(allocated, figures[ALLOCATED]);
        }
    }
}

static void measure_keys(bench *b, double *figures)
{
    load_key *keys = load_keys(b, b->keys);
    load all = load_new(b->keys);
    load_in_order(&all, keys, 0);
    start_measuring(figures);
    ctrack *tracker = subject_open(NULL, CTRACK_DURABLE_FULL);
    subject_update_all(tracker, &all, 1000);
    end_measuring(figures, b->keys);
    subject_close(tracker);
    load_free(&all);
    free(keys);
}

void bench_memory_per_key(bench *b)
{
    measure(b, measure_keys, 160);
}

static void measure_waits(bench *b, double *figures)
{
    load_key *keys = load_keys(b, b->keys);
    load all = load_new(b->keys);
    load_in_order(&all, keys, 0);
    ctrack *tracker = subject_open(NULL, CTRACK_DURABLE_FULL);
    subject_update_all(tracker, &all, 1000);
    load_set_index(&all, 1);
    ctrack_promise **promises = bench_alloc(b->keys, sizeof *promises);
    for (size_t i = 0; i < b->keys; i++) {
        promises[i] = (ctrack_promise *)keys; /* the array's own pages shall be there before */
    }
    start_measuring(figures);
    subject_wait_each(tracker, &all, CTRACK_FOREVER, promises);
    end_measuring(figures, b->keys);
    subject_release(promises, b->keys, CTRACK_PENDING);
    subject_close(tracker);
    free(promises);
    load_free(&all);
    free(keys);
}

void bench_memory_per_wait(bench *b)
{
    measure(b, measure_waits, 200);
}
