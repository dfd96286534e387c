/* SPDX-License-Identifier: MIT */

/* Many waits: registering and settling them, waits on many coordinates, timeouts. */
#include "benches.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "subject.h"

#define BATCH 1000

/* A tracker that has all keys of the load at index 0, in memory or on a file. */
static ctrack *open_with(const load *all, bool on_file)
{
    if (on_file) {
        subject_make("tracker.db", all);
        return subject_open("tracker.db", CTRACK_DURABLE_FULL);
    }
    ctrack *tracker = subject_open(NULL, CTRACK_DURABLE_FULL);
    subject_update_all(tracker, all, BATCH);
    return tracker;
}

/* ---------------------------------------------------------------- waits-register-settle */

typedef struct pair_cost {
    double registering, settling, releasing; /* microseconds for each wait */
} pair_cost;

/* Registers a wait for each coordinate of the load, satisfies them in the same order, and releases them. */
static pair_cost time_pairs(ctrack *tracker, const load *l, size_t batch, ctrack_promise **promises)
{
    int64_t start = bench_now();
    subject_wait_each(tracker, l, CTRACK_FOREVER, promises);
    int64_t registered = bench_now();
    subject_update_all(tracker, l, batch);
    int64_t settled = bench_now();
    subject_release(promises, l->count, CTRACK_OK);
    int64_t released = bench_now();
    double each = (double)l->count * 1e3;
    return (pair_cost){(double)(registered - start) / each, (double)(settled - registered) / each,
                       (double)(released - settled) / each};
}

static double time_pairs_of_unknown_keys(const load *l, ctrack_promise **promises)
{
    ctrack *tracker = subject_open(NULL, CTRACK_DURABLE_FULL);
    pair_cost cost = time_pairs(tracker, l, 1, promises);
    subject_close(tracker);
    return cost.registering + cost.settling;
}

static void register_in_memory(bench *b, const load *all, load *some, ctrack_promise **promises)
{
    bench_row *pair =
        bench_target(b, "memory: register + settle, one update call for each wait", "us", BENCH_AT_MOST, 3);
    bench_row *linear =
        bench_target(b, "memory: the pair among all waits / among a quarter as many", "x", BENCH_AT_MOST, 1.25);
    bench_row *register_row = bench_figure(b, "memory: of that, registering", "us");
    bench_row *half_row = bench_figure(b, "memory: the pair among half as many waits", "us");
    bench_row *quarter_row = bench_figure(b, "memory: the pair among a quarter as many waits", "us");
    bench_row *release_row = bench_figure(b, "memory: checking and releasing the promise (not in the pair)", "us");
    bench_row *unknown_row = bench_figure(b, "memory: the pair for keys that the tracker has never seen", "us");
    ctrack *tracker = open_with(all, false);
    int64_t index = 0;
    size_t count = some->count;
    for (unsigned round = 0; round < b->rounds; round++) {
        pair_cost cost[3];
        load_shuffle(b, some);
        for (int part = 0; part < 3; part++) { /* a quarter, half, all */
            some->count = count >> (2 - part);
            load_set_index(some, ++index);
            cost[part] = time_pairs(tracker, some, 1, promises);
        }
        double whole = cost[2].registering + cost[2].settling, quarter = cost[0].registering + cost[0].settling;
        bench_add(pair, whole);
        bench_add(linear, whole / quarter);
        bench_add(register_row, cost[2].registering);
        bench_add(half_row, cost[1].registering + cost[1].settling);
        bench_add(quarter_row, quarter);
        bench_add(release_row, cost[2].releasing);
        bench_add(unknown_row, time_pairs_of_unknown_keys(some, promises));
    }
    subject_close(tracker);
}

static void register_on_file(bench *b, const load *all, load *some, ctrack_promise **promises)
{
    bench_row *pair =
        bench_target(b, "file: register + settle, updates of 1,000, commits included", "us", BENCH_AT_MOST, 3);
    bench_row *bare_row = bench_figure(b, "file: the same updates without waits", "us");
    bench_row *share_row = bench_figure(b, "file: what the waits add", "us");
    ctrack *tracker = open_with(all, true);
    int64_t index = 0;
    for (unsigned round = 0; round < b->rounds; round++) {
        load_shuffle(b, some);
        load_set_index(some, ++index);
        int64_t start = bench_now();
        subject_update_all(tracker, some, BATCH);
        double bare = bench_seconds_since(start) * 1e6 / (double)some->count;
        load_set_index(some, ++index);
        pair_cost cost = time_pairs(tracker, some, BATCH, promises);
        double whole = cost.registering + cost.settling;
        bench_add(pair, whole);
        bench_add(bare_row, bare);
        bench_add(share_row, whole - bare);
    }
    subject_close(tracker);
}

void bench_waits_register_settle(bench *b)
{
    load_key *keys = load_keys(b, b->keys);
    load all = load_new(b->keys), some = load_new(b->keys);
    ctrack_promise **promises = bench_alloc(b->keys, sizeof(ctrack_promise *));
    load_in_order(&all, keys, 0);
    load_in_order(&some, keys, 0);
    register_in_memory(b, &all, &some, promises);
    register_on_file(b, &all, &some, promises);
    free(promises);
    load_free(&all);
    load_free(&some);
    free(keys);
}

/* ---------------------------------------------------------------- wait-1000 */

#define WIDTH 1000

typedef enum shape { ONE_WAIT, SINGLE_WAITS, NO_WAIT, SHAPES } shape;

/* Waits for WIDTH keys in this shape, satisfies and releases them. Seconds. */
static double time_shape(bench *b, ctrack *tracker, load *all, int64_t index, shape s)
{
    size_t first = bench_random(b, all->count - WIDTH + 1);
    load slice = {all->keys + first, all->coordinates + first, WIDTH};
    ctrack_promise *promises[WIDTH];
    size_t count = s == ONE_WAIT ? 1 : s == SINGLE_WAITS ? WIDTH : 0;
    load_set_index(&slice, index);
    int64_t start = bench_now();
    if (s == ONE_WAIT) {
        promises[0] = subject_wait(tracker, &slice, 0, WIDTH, CTRACK_FOREVER);
    } else if (s == SINGLE_WAITS) {
        subject_wait_each(tracker, &slice, CTRACK_FOREVER, promises);
    }
    subject_update(tracker, &slice, 0, WIDTH);
    subject_release(promises, count, CTRACK_OK);
    return bench_seconds_since(start);
}

static void sum_shapes(bench *b, ctrack *tracker, load *all, int64_t *index, unsigned times, double sums[SHAPES])
{
    for (int s = 0; s < SHAPES; s++) {
        sums[s] = 0;
    }
    for (unsigned i = 0; i < times; i++) {
        for (int s = 0; s < SHAPES; s++) {
            sums[s] += time_shape(b, tracker, all, ++*index, (shape)s);
        }
    }
}

void bench_wait_1000(bench *b)
{
    const unsigned in_memory = 100, on_file = 50;
    bench_row *net =
        bench_target(b, "memory: one wait / 1,000 waits, the updates' own cost taken off", "x", BENCH_AT_MOST, 1.5);
    bench_row *gross = bench_figure(b, "memory: the same with the update", "x");
    bench_row *single_row = bench_figure(b, "memory: 1,000 single waits", "us");
    bench_row *file_row =
        bench_target(b, "file: one wait / 1,000 waits, with the durable update", "x", BENCH_AT_MOST, 1.5);
    if (b->keys < WIDTH) {
        bench_fail("wait-1000 needs at least %d keys", WIDTH);
    }
    load_key *keys = load_keys(b, b->keys);
    load all = load_new(b->keys);
    load_in_order(&all, keys, 0);
    load_shuffle(b, &all);
    ctrack *memory = open_with(&all, false), *file = open_with(&all, true);
    int64_t index = 0;
    for (unsigned round = 0; round < b->rounds; round++) {
        double sums[SHAPES];
        sum_shapes(b, memory, &all, &index, in_memory, sums);
        bench_add(net, (sums[ONE_WAIT] - sums[NO_WAIT]) / (sums[SINGLE_WAITS] - sums[NO_WAIT]));
        bench_add(gross, sums[ONE_WAIT] / sums[SINGLE_WAITS]);
        bench_add(single_row, (sums[SINGLE_WAITS] - sums[NO_WAIT]) * 1e6 / in_memory);
        sum_shapes(b, file, &all, &index, on_file, sums);
        bench_add(file_row, sums[ONE_WAIT] / sums[SINGLE_WAITS]);
    }
    subject_close(memory);
    subject_close(file);
    load_free(&all);
    free(keys);
}

/* ---------------------------------------------------------------- waits-with-timeouts */

/*
 * Registers, satisfies and releases; seconds. The timeouts are far away and in no order. It begins with everything
 * folded: else the tracker would fold what two runs have left to it, always in the second.
 */
static double time_waits(ctrack *tracker, load *l, const int64_t *timeouts, ctrack_promise **promises)
{
    load_set_index(l, l->coordinates[0].operation_index + 1);
    subject_fold(tracker);
    int64_t start = bench_now();
    for (size_t i = 0; i < l->count; i++) {
        promises[i] = subject_wait(tracker, l, i, 1, timeouts[i]);
    }
    subject_update_all(tracker, l, BATCH);
    subject_release(promises, l->count, CTRACK_OK);
    return bench_seconds_since(start);
}

void bench_waits_with_timeouts(bench *b)
{
    bench_row *rows[] = {bench_target(b, "memory: with timeouts / without, all satisfied", "x", BENCH_AT_MOST, 1.3),
                         bench_target(b, "file: with timeouts / without, all satisfied", "x", BENCH_AT_MOST, 1.3)};
    bench_row *costs[] = {bench_figure(b, "memory: register, settle and release without timeouts", "us"),
                          bench_figure(b, "file: register, settle and release without timeouts", "us")};
    size_t count = b->keys / 10;
    load_key *keys = load_keys(b, count);
    load all = load_new(count);
    ctrack_promise **promises = bench_alloc(count, sizeof(ctrack_promise *));
    int64_t *timeouts = bench_alloc(count, sizeof *timeouts), *forever = bench_alloc(count, sizeof *forever);
    for (size_t i = 0; i < count; i++) {
        timeouts[i] = 600000 + (int64_t)bench_random(b, 600000);
        forever[i] = CTRACK_FOREVER;
    }
    load_in_order(&all, keys, 0);
    ctrack *trackers[] = {open_with(&all, false), open_with(&all, true)};
    load_shuffle(b, &all);
    for (unsigned round = 0; round < b->rounds; round++) {
        for (int i = 0; i < 2; i++) {
            double seconds[2]; /* without, with */
            for (unsigned turn = 0; turn < 2; turn++) {
                unsigned with = (turn + round) % 2;
                seconds[with] = time_waits(trackers[i], &all, with ? timeouts : forever, promises);
            }
            bench_add(rows[i], seconds[1] / seconds[0]);
            bench_add(costs[i], seconds[0] * 1e6 / (double)count);
        }
    }
    subject_close(trackers[0]);
    subject_close(trackers[1]);
    free(timeouts);
    free(forever);
    free(promises);
    load_free(&all);
    free(keys);
}

/* ---------------------------------------------------------------- waits-timing-out */

/* A wait that is going to time out. It was called between two moments, and so its deadline lies between two as well. */
typedef struct timed_wait {
    int64_t earliest, latest; /* the deadline lies here */
    int64_t ended;
    atomic_size_t *left;
} timed_wait;

static void note_end(ctrack_promise *promise, ctrack_status outcome, void *argument)
{
    (void)promise;
    timed_wait *w = argument;
    w->ended = outcome == CTRACK_TIMED_OUT ? bench_now() : INT64_MAX;
    atomic_fetch_sub(w->left, 1);
}

typedef enum timing { SAME_TIMEOUT, SPREAD, ONE_MOMENT, TIMINGS } timing;

static int64_t choose_timeout(bench *b, timing t, int64_t moment)
{
    switch (t) {
    case SAME_TIMEOUT:
        return 1000;
    case SPREAD:
        return 500 + (int64_t)bench_random(b, 1000);
    default: { /* a machine too slow for the moment gets short timeouts, not endless ones */
        int64_t left = (moment - bench_now()) / 1000000;
        return left > 0 ? left : 1;
    }
    }
}

/* Lets waits on all coordinates of the load time out; how many ended early, and milliseconds that the last was late. */
static void time_out_all(bench *b, ctrack *tracker, const load *l, timing t, timed_wait *waits, double *early,
                         double *late)
{
    atomic_size_t left = l->count;
    int64_t moment = bench_now() + 2000000000;
    for (size_t i = 0; i < l->count; i++) {
        int64_t timeout = choose_timeout(b, t, moment);
        waits[i] = (timed_wait){.earliest = bench_now() + timeout * 1000000, .left = &left};
        ctrack_promise *promise = subject_wait(tracker, l, i, 1, timeout);
        waits[i].latest = bench_now() + timeout * 1000000;
        ctrack_status status = ctrack_promise_then(promise, note_end, &waits[i]);
        if (status != CTRACK_OK) {
            bench_fail("then: %s", ctrack_status_name(status));
        }
        ctrack_promise_release(promise);
    }
    while (atomic_load(&left) > 0) {
        bench_sleep_us(10000);
    }
    int64_t worst = INT64_MIN;
    *early = 0;
    for (size_t i = 0; i < l->count; i++) {
        *early += waits[i].ended < waits[i].earliest;
        worst = waits[i].ended - waits[i].latest > worst ? waits[i].ended - waits[i].latest : worst;
    }
    *late = (double)worst / 1e6;
}

void bench_waits_timing_out(bench *b)
{
    bench_row *early_row = bench_target(b, "waits that ended early, all kinds", "waits", BENCH_AT_MOST, 0);
    /* Where all end in one moment, the last one is as late as it takes to end them all, however soon the first is. */
    bench_row *late[2][TIMINGS] = {
        {bench_target(b, "memory: latest, one timeout for all", "ms", BENCH_AT_MOST, 20),
         bench_target(b, "memory: latest, timeouts spread over a second", "ms", BENCH_AT_MOST, 20),
         bench_figure(b, "memory: latest, all deadlines within a millisecond", "ms")},
        {bench_target(b, "file: latest, one timeout for all", "ms", BENCH_AT_MOST, 20),
         bench_target(b, "file: latest, timeouts spread over a second", "ms", BENCH_AT_MOST, 20),
         bench_figure(b, "file: latest, all deadlines within a millisecond", "ms")}};
    size_t count = b->keys / 10;
    load_key *keys = load_keys(b, count);
    load all = load_new(count);
    timed_wait *waits = bench_alloc(count, sizeof *waits);
    load_in_order(&all, keys, 0);
    ctrack *trackers[] = {open_with(&all, false), open_with(&all, true)};
    load_set_index(&all, 1);
    for (unsigned round = 0; round < b->rounds; round++) {
        double early_sum = 0;
        for (int i = 0; i < 2; i++) {
            for (int t = 0; t < TIMINGS; t++) {
                double early_count, lateness;
                time_out_all(b, trackers[i], &all, (timing)t, waits, &early_count, &lateness);
                early_sum += early_count;
                bench_add(late[i][t], lateness);
            }
        }
        bench_add(early_row, early_sum);
    }
    subject_close(trackers[0]);
    subject_close(trackers[1]);
    free(waits);
    load_free(&all);
    free(keys);
}
