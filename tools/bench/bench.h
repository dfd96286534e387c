/* SPDX-License-Identifier: MIT */
#ifndef BENCH_H
#define BENCH_H

/**
 * The frame of the benchmark: what a bench is given, and where it puts its figures.
 *
 * A bench measures the tracker and the raw part that it is compared with in turns (A B A B …), and adds one figure a
 * round to each of its rows; a ratio is that of one round, so a machine that slows down slows both. A row's result is
 * the median of its rounds. A row may have a target, and is then called met or missed, by its median.
 *
 * Every bench runs in a process of its own, with the benchmark's temporary directory as working directory: its heap and
 * its threads do not weigh on the next one, file names are plain, and whatever goes wrong ends only this bench.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BENCH_ROUNDS_MAX 99
#define BENCH_ROWS_MAX 24
#define BENCH_FULL_SCALE 1000000 /**< keys; the targets are stated for so many */

typedef enum bench_relation { BENCH_NO_TARGET, BENCH_AT_MOST, BENCH_AT_LEAST } bench_relation;

/** One thing measured. */
typedef struct bench_row {
    const char *what, *unit;
    const char *curve; /* NULL, or it is a point of this curve, */
    double x;          /* here, */
    char point[80];    /* and `what` is this text */
    bench_relation relation;
    double limit;
    double samples[BENCH_ROUNDS_MAX];
    size_t count;
} bench_row;

typedef struct bench bench;

/** How the curves of a bench are drawn, from zero upwards; every x gets the same room. */
typedef struct bench_plot {
    const char *file, *title, *x_axis, *y_axis;
} bench_plot;

/** What the registry says about a bench. */
typedef struct bench_case {
    const char *name;
    const char *how; /* one line: what is compared with what */
    void (*run)(bench *b);
    unsigned rounds;        /* unless --rounds says otherwise */
    bool on_disk;           /* its figures mean nothing on a file system in memory */
    const bench_plot *plot; /* NULL: it has no curves */
} bench_case;

struct bench {
    const bench_case *which;
    size_t keys; /* the scale */
    unsigned rounds;
    uint64_t seed;   /* as printed */
    uint64_t random; /* state of bench_random() */
    bench_row rows[BENCH_ROWS_MAX];
    size_t row_count;
};

/** A new row without a target. The texts must last. */
bench_row *bench_figure(bench *b, const char *what, const char *unit);
/** A new row that must be at most, or at least, `limit`. */
bench_row *bench_target(bench *b, const char *what, const char *unit, bench_relation relation, double limit);
/** A new row without a target, the point of a curve at `x`. */
bench_row *bench_point(bench *b, const char *curve, double x, const char *unit);
/** Adds the figure of one round. */
void bench_add(bench_row *row, double sample);

/** Ends the bench: something that must work did not. */
_Noreturn void bench_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
/** Memory, or the end of the bench. Zeroed. */
void *bench_alloc(size_t count, size_t size);

/** Monotonic nanoseconds. */
int64_t bench_now(void);
/** Seconds since `start`, of bench_now(). */
double bench_seconds_since(int64_t start);
void bench_sleep_us(long microseconds);

/** Uniform in 0 … limit − 1; the sequence follows from the seed. */
uint64_t bench_random(bench *b, uint64_t limit);
/** Sorts the samples and gives the one in the middle (the mean of the two). */
double bench_median(double *samples, size_t count);

/**
 * Measures in a process forked for it, whose heap nobody has used before: runs `measure`, which fills `count` figures.
 */
void bench_in_child(bench *b, void (*measure)(bench *b, double *figures), double *figures, size_t count);

/** Resident memory of this process in bytes. */
double bench_resident(void);
/** Bytes that malloc has handed out, its own overhead included; negative where the C library cannot tell. */
double bench_allocated(void);

#endif
