/* SPDX-License-Identifier: MIT */

/*
 * From an update to whoever waited for it, against a bare condition variable. The sleeper sleeps for real when it is
 * woken, the service thread likewise: each wake-up is preceded by a pause. The measured time is that between the moment
 * before the call that wakes and the first moment at which the woken thread knows the time.
 */
#include "benches.h"

#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "raw.h"
#include "subject.h"

#define PAUSE_US 100

/* Asked to sleep on the condition variable, or on a promise. */
typedef struct sleeper {
    pthread_t thread;
    sem_t begin, end;
    atomic_bool ready; /* about to sleep */
    bool stop;
    ctrack *tracker; /* of this sleep; NULL: the condition variable */
    load *wanted;

    pthread_mutex_t mutex;
    pthread_cond_t condition;
    int64_t value, target; /* mutex */

    int64_t woken;
} sleeper;

static void sleep_on_condition(sleeper *s)
{
    pthread_mutex_lock(&s->mutex);
    atomic_store(&s->ready, true);
    while (s->value < s->target) {
        pthread_cond_wait(&s->condition, &s->mutex);
    }
    pthread_mutex_unlock(&s->mutex);
    s->woken = bench_now();
}

static void sleep_on_promise(sleeper *s)
{
    ctrack_promise *promise = subject_wait(s->tracker, s->wanted, 0, 1, CTRACK_FOREVER);
    atomic_store(&s->ready, true);
    ctrack_status status = ctrack_promise_await(promise);
    s->woken = bench_now();
    if (status != CTRACK_OK) {
        bench_fail("await: %s", ctrack_status_name(status));
    }
    ctrack_promise_release(promise);
}

static void *run_sleeper(void *argument)
{
    sleeper *s = argument;
    for (;;) {
        sem_wait(&s->begin);
        if (s->stop) {
            return NULL;
        }
        if (s->tracker != NULL) {
            sleep_on_promise(s);
        } else {
            sleep_on_condition(s);
        }
        sem_post(&s->end);
    }
}

static sleeper *sleeper_new(load *wanted)
{
    sleeper *s = bench_alloc(1, sizeof *s);
    s->wanted = wanted;
    if (sem_init(&s->begin, 0, 0) != 0 || sem_init(&s->end, 0, 0) != 0 || pthread_mutex_init(&s->mutex, NULL) != 0 ||
        pthread_cond_init(&s->condition, NULL) != 0 || pthread_create(&s->thread, NULL, run_sleeper, s) != 0) {
        bench_fail("cannot start a thread");
    }
    return s;
}

static void sleeper_free(sleeper *s)
{
    s->stop = true;
    sem_post(&s->begin);
    pthread_join(s->thread, NULL);
    pthread_cond_destroy(&s->condition);
    pthread_mutex_destroy(&s->mutex);
    sem_destroy(&s->begin);
    sem_destroy(&s->end);
    free(s);
}

/* Lets it sleep on the tracker's promise, or on its condition variable (NULL), and returns when it does. */
static void fall_asleep(sleeper *s, ctrack *tracker)
{
    s->tracker = tracker;
    s->target = s->wanted->coordinates[0].operation_index;
    atomic_store(&s->ready, false);
    sem_post(&s->begin);
    while (!atomic_load(&s->ready)) {
        sched_yield();
    }
    bench_sleep_us(PAUSE_US);
}

/* Microseconds from `start` until it ran. */
static double wait_until_awake(sleeper *s, int64_t start)
{
    sem_wait(&s->end);
    return (double)(s->woken - start) / 1e3;
}

/* The bare condition variable; behind a durable upsert if there is a file. */
static double wake_by_condition(sleeper *s, raw_file *file)
{
    fall_asleep(s, NULL);
    int64_t start = bench_now();
    if (file != NULL) {
        raw_file_upsert(file, s->wanted->coordinates, 1);
    }
    pthread_mutex_lock(&s->mutex);
    s->value = s->target;
    pthread_mutex_unlock(&s->mutex);
    pthread_cond_signal(&s->condition);
    return wait_until_awake(s, start);
}

static double wake_by_update(sleeper *s, ctrack *tracker)
{
    fall_asleep(s, tracker);
    int64_t start = bench_now();
    subject_update(tracker, s->wanted, 0, 1);
    return wait_until_awake(s, start);
}

/* ---------------------------------------------------------------- callback */

static double call_back_by_update(ctrack *tracker, const load *wanted)
{
    subject_call call;
    subject_call_begin(&call, tracker, wanted);
    bench_sleep_us(PAUSE_US);
    int64_t start = bench_now();
    subject_update(tracker, wanted, 0, 1);
    return (double)(subject_call_end(&call) - start) / 1e3;
}

/* ---------------------------------------------------------------- the two benches */

typedef struct wake_rows {
    bench_row *ratio, *ours, *bare;
} wake_rows;

/* One round: the medians of so many wake-ups of either kind, in turns. */
static void compare_wakes(const wake_rows *rows, sleeper *s, ctrack *tracker, raw_file *file, bool callback,
                          size_t times, int64_t *index)
{
    double *ours = bench_alloc(times, sizeof *ours), *bare = bench_alloc(times, sizeof *bare);
    for (size_t i = 0; i < times; i++) {
        load_set_index(s->wanted, ++*index);
        bare[i] = wake_by_condition(s, file);
        ours[i] = callback ? call_back_by_update(tracker, s->wanted) : wake_by_update(s, tracker);
    }
    double our_median = bench_median(ours, times), bare_median = bench_median(bare, times);
    bench_add(rows->ratio, our_median / bare_median);
    bench_add(rows->ours, our_median);
    bench_add(rows->bare, bare_median);
    free(ours);
    free(bare);
}

static void wake(bench *b, bool callback, double limit)
{
    wake_rows memory = {.ratio =
                            bench_target(b, "memory: update to awake / condition variable", "x", BENCH_AT_MOST, limit),
                        .ours = bench_figure(b, "memory: from update to awake, median of the wake-ups", "us"),
                        .bare = bench_figure(b, "condition variable, median of the wake-ups", "us")};
    wake_rows file = {.ratio = bench_target(b, "file: update to awake / one-row upsert, then condition var.", "x",
                                            BENCH_AT_MOST, limit),
                      .ours = bench_figure(b, "file: from update to awake, median of the wake-ups", "us"),
                      .bare = bench_figure(b, "upsert, then condition variable, median of the wake-ups", "us")};
    size_t times = b->keys >= BENCH_FULL_SCALE ? 2000 : 200;
    load_key *key = load_keys(b, 1);
    load wanted = load_new(1);
    load_in_order(&wanted, key, 0);
    sleeper *s = sleeper_new(&wanted);
    ctrack *in_memory = subject_open(NULL, CTRACK_DURABLE_FULL);
    ctrack *on_file = subject_open("tracker.db", CTRACK_DURABLE_FULL);
    raw_file *upsert = raw_file_open("upsert.db");
    int64_t index = 0;
    for (unsigned round = 0; round < b->rounds; round++) {
        compare_wakes(&memory, s, in_memory, NULL, callback, times, &index);
        compare_wakes(&file, s, on_file, upsert, callback, times / 4, &index);
    }
    sleeper_free(s);
    subject_close(in_memory);
    subject_close(on_file);
    raw_file_close(upsert);
    load_free(&wanted);
    free(key);
}

void bench_wake_thread(bench *b)
{
    wake(b, false, 1.5);
}

void bench_wake_callback(bench *b)
{
    wake(b, true, 2);
}
