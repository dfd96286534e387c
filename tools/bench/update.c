/* SPDX-License-Identifier: MIT */

/* Updates in memory, and updates in the presence of waits. */
#include "benches.h"

#include <stdlib.h>

#include "raw.h"
#include "subject.h"

#define SMALL_BATCH 10

/* ---------------------------------------------------------------- update-memory */

static raw_table *make_table(const bench *b, const load_key *keys)
{
    raw_table *table = raw_table_new(b->seed);
    for (size_t i = 0; i < b->keys; i++) {
        raw_table_add(table, &keys[i], LOAD_KEY_LENGTH, 0);
    }
    return table;
}

/* Nanoseconds for each lookup. */
static double time_lookups(const raw_table *table, const load *l, int64_t *sum)
{
    int64_t start = bench_now();
    for (size_t i = 0; i < l->count; i++) {
        *sum += raw_table_find(table, l->keys[i], LOAD_KEY_LENGTH);
    }
    return bench_seconds_since(start) * 1e9 / (double)l->count;
}

/* Nanoseconds for each coordinate. */
static double time_updates(ctrack *tracker, const load *l, size_t batch)
{
    int64_t start = bench_now();
    subject_update_all(tracker, l, batch);
    return bench_seconds_since(start) * 1e9 / (double)l->count;
}

void bench_update_memory(bench *b)
{
    bench_row *ratio = bench_target(b, "an updated coordinate / a raw lookup", "x", BENCH_AT_MOST, 2);
    bench_row *update_row = bench_figure(b, "update, for each coordinate", "ns");
    bench_row *lookup_row = bench_figure(b, "raw lookup, for each key", "ns");
    load_key *keys = load_keys(b, b->keys);
    raw_table *table = make_table(b, keys);
    ctrack *tracker = subject_open(NULL, CTRACK_DURABLE_FULL);
    load all = load_new(b->keys), picked = load_new(b->keys);
    load_in_order(&all, keys, 0);
    subject_update_all(tracker, &all, 1000);
    int64_t index = 0, sum = 0;
    for (unsigned round = 0; round < b->rounds; round++) {
        load_random(b, &picked, keys, b->keys, &index);
        double lookup = time_lookups(table, &picked, &sum);
        double update = time_updates(tracker, &picked, SMALL_BATCH);
        bench_add(ratio, update / lookup);
        bench_add(update_row, update);
        bench_add(lookup_row, lookup);
    }
    if (sum != 0) {
        bench_fail("the raw table has changed");
    }
    subject_close(tracker);
    raw_table_free(table);
    load_free(&all);
    load_free(&picked);
    free(keys);
}

/* ---------------------------------------------------------------- update-with-waits */

/* Three trackers with the same keys: without waits, with waits on other keys, with waits far up on the same keys. */
enum { NO_WAITS, OTHER_KEYS, SAME_KEYS, TRACKERS };

typedef struct waiting_rows {
    bench_row *other, *same, *update;
} waiting_rows;

static void compare_with_waits(bench *b, const waiting_rows *rows, bool on_file, size_t batch, size_t per_round)
{
    static const char *const paths[TRACKERS] = {"none.db", "other.db", "same.db"};
    load_key *keys = load_keys(b, b->keys), *other_keys = load_keys(b, b->keys);
    load all = load_new(b->keys), others = load_new(b->keys), picked = load_new(per_round);
    ctrack_promise **waits[TRACKERS] = {NULL};
    ctrack *trackers[TRACKERS];
    load_in_order(&all, keys, 0);
    for (int i = 0; i < TRACKERS; i++) {
        if (on_file) {
            subject_make(paths[i], &all);
        }
        trackers[i] = subject_open(on_file ? paths[i] : NULL, CTRACK_DURABLE_FULL);
        if (!on_file) {
            subject_update_all(trackers[i], &all, 1000);
        }
    }
    load_in_order(&others, other_keys, INT64_MAX);
    load_set_index(&all, INT64_MAX);
    waits[OTHER_KEYS] = bench_alloc(b->keys, sizeof *waits[0]);
    waits[SAME_KEYS] = bench_alloc(b->keys, sizeof *waits[0]);
    subject_wait_each(trackers[OTHER_KEYS], &others, CTRACK_FOREVER, waits[OTHER_KEYS]);
    subject_wait_each(trackers[SAME_KEYS], &all, CTRACK_FOREVER, waits[SAME_KEYS]);
    int64_t index = 0;
    for (unsigned round = 0; round < b->rounds; round++) {
        load_random(b, &picked, keys, b->keys, &index);
        double cost[TRACKERS];
        for (int i = 0; i < TRACKERS; i++) {
            cost[i] = time_updates(trackers[i], &picked, batch);
        }
        bench_add(rows->other, cost[OTHER_KEYS] / cost[NO_WAITS]);
        bench_add(rows->same, cost[SAME_KEYS] / cost[NO_WAITS]);
        bench_add(rows->update, cost[NO_WAITS]);
    }
    for (int i = 0; i < TRACKERS; i++) {
        if (waits[i] != NULL) {
            subject_release(waits[i], b->keys, CTRACK_PENDING);
            free(waits[i]);
        }
        subject_close(trackers[i]);
    }
    load_free(&all);
    load_free(&others);
    load_free(&picked);
    free(keys);
    free(other_keys);
}

void bench_update_with_waits(bench *b)
{
    waiting_rows memory = {
        .other = bench_target(b, "memory, batches of 10: waits on other keys / no waits", "x", BENCH_AT_MOST, 1.25),
        .same = bench_figure(b, "memory, batches of 10: waits on the same keys / no waits", "x"),
        .update = bench_figure(b, "memory: update without waits, for each coordinate", "ns")};
    waiting_rows file = {
        .other = bench_target(b, "file, batches of 1,000: waits on other keys / no waits", "x", BENCH_AT_MOST, 1.25),
        .same = bench_figure(b, "file, batches of 1,000: waits on the same keys / no waits", "x"),
        .update = bench_figure(b, "file: update without waits, for each coordinate", "ns")};
    compare_with_waits(b, &memory, false, SMALL_BATCH, b->keys / 2);
    compare_with_waits(b, &file, true, 1000, b->keys / 4);
}

/* ---------------------------------------------------------------- update-by-waits */

#define LEVELS 5
#define SETTLED_AT_ONCE 100 /* so many are pending beyond those that the curve is about */

/* Microseconds for each call: updates of one random key each, for which nobody waits. */
static double time_calls(bench *b, ctrack *tracker, load *l, const load_key *keys, int64_t *index)
{
    load_random(b, l, keys, b->keys, index);
    return time_updates(tracker, l, 1) / 1e3;
}

/* Microseconds for each wait that is registered, and settled by an update of its own. */
static double time_settled_waits(bench *b, ctrack *tracker, load *l, const load_key *keys, int64_t *index)
{
    ctrack_promise *promises[SETTLED_AT_ONCE];
    double sum = 0;
    size_t parts = l->count / SETTLED_AT_ONCE;
    for (size_t i = 0; i < parts; i++) {
        load part = {l->keys, l->coordinates, SETTLED_AT_ONCE};
        load_random(b, &part, keys, b->keys, index);
        int64_t start = bench_now();
        subject_wait_each(tracker, &part, CTRACK_FOREVER, promises);
        subject_update_all(tracker, &part, 1);
        sum += bench_seconds_since(start);
        subject_release(promises, SETTLED_AT_ONCE, CTRACK_OK);
    }
    return sum * 1e6 / (double)(parts * SETTLED_AT_ONCE);
}

/* Waits that nobody will satisfy, the first `pending` of a load; more or less of them as asked for. */
typedef struct crowd {
    load waited_for;
    ctrack_promise **promises;
    size_t pending;
} crowd;

static void crowd_become(crowd *c, ctrack *tracker, size_t pending)
{
    if (pending > c->pending) {
        load more = {c->waited_for.keys + c->pending, c->waited_for.coordinates + c->pending, pending - c->pending};
        subject_wait_each(tracker, &more, CTRACK_FOREVER, c->promises + c->pending);
    } else {
        subject_release(c->promises + pending, c->pending - pending, CTRACK_PENDING);
    }
    c->pending = pending;
}

/* Every round goes through all numbers of waits, up and down in turns, so that no point has a better time than others. */
void bench_update_by_waits(bench *b)
{
    static const size_t levels[LEVELS] = {0, 1000, 10000, 100000, 1000000};
    bench_row *quiet[LEVELS], *settled[LEVELS];
    size_t count = 0;
    for (; count < LEVELS && levels[count] <= b->keys; count++) {
        quiet[count] = bench_point(b, "an update that wakes nobody", (double)levels[count], "us");
        settled[count] = bench_point(b, "a wait, registered and settled by an update", (double)levels[count], "us");
    }
    load_key *keys = load_keys(b, b->keys), *other_keys = load_keys(b, b->keys);
    load all = load_new(b->keys), picked = load_new(b->keys / 10);
    crowd others = {.waited_for = load_new(b->keys), .promises = bench_alloc(b->keys, sizeof *others.promises)};
    ctrack *tracker = subject_open(NULL, CTRACK_DURABLE_FULL);
    load_in_order(&all, keys, 0);
    subject_update_all(tracker, &all, 1000);
    load_in_order(&others.waited_for, other_keys, 0);
    int64_t index = 0;
    for (unsigned round = 0; round < b->rounds; round++) {
        for (size_t step = 0; step < count; step++) {
            size_t i = round % 2 == 0 ? step : count - 1 - step;
            crowd_become(&others, tracker, levels[i]);
            bench_add(quiet[i], time_calls(b, tracker, &picked, keys, &index));
            bench_add(settled[i], time_settled_waits(b, tracker, &picked, keys, &index));
        }
    }
    crowd_become(&others, tracker, 0);
    subject_close(tracker);
    free(others.promises);
    load_free(&others.waited_for);
    load_free(&all);
    load_free(&picked);
    free(keys);
    free(other_keys);
}
