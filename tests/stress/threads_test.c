/* SPDX-License-Identifier: MIT */
/*
 * Many threads on one tracker: some update, some wait, time out, abort, release and block; then somebody closes it.
 * What must hold, whatever the schedule:
 *
 *  - what an update acknowledged is visible to its thread at once, and never goes down;
 *  - a wait that ended CTRACK_OK is true: every coordinate was reached by an update that had been called;
 *  - a callback runs once for each promise that was given one, and none is left after close;
 *  - in the end each key stands at the highest index that was acknowledged; the file says the same.
 *
 * The keys' indexes are drawn from counters: `attempted` is raised before the call and `acknowledged` after it.
 * CTRACK_STRESS_SECONDS sets how long each test runs, CTRACK_STRESS_SEED repeats the draws (not the schedule),
 * CTRACK_STRESS_UPDATES sets how many updates the test makes that counts them.
 */
#include "support.h"

#include <inttypes.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

enum { THREADS = 8, KEYS = 16, BATCH = 5 };

static char names[KEYS][16];

typedef struct world {
    ctrack *tracker;
    int64_t deadline; /* ns */
    int64_t wanted;   /* updates */
    _Atomic int64_t attempted[KEYS];
    _Atomic int64_t acknowledged[KEYS];
    _Atomic int64_t promises_with_callback, callbacks, updates;
    _Atomic int64_t outcomes[32];
    atomic_bool failed;
    char failure[200]; /* of the first to fail */
    bool closing;      /* threads go on until they are refused */
} world;

typedef struct actor {
    world *w;
    uint64_t random;
} actor;

static uint64_t draw(actor *a)
{
    a->random ^= a->random << 13;
    a->random ^= a->random >> 7;
    a->random ^= a->random << 17;
    return a->random;
}

static uint64_t seed(void)
{
    uint64_t value = environment_number("CTRACK_STRESS_SEED", (uint64_t)now_ns());
    print_message("CTRACK_STRESS_SEED=%" PRIu64 "\n", value);
    return value;
}

static double seconds(double otherwise)
{
    uint64_t wanted = environment_number("CTRACK_STRESS_SECONDS", 0);
    return wanted > 0 ? (double)wanted : otherwise;
}

static void complain(world *w, const char *what, int64_t a, int64_t b)
{
    if (!atomic_exchange(&w->failed, true)) {
        snprintf(w->failure, sizeof w->failure, "%s (%" PRId64 ", %" PRId64 ")", what, a, b);
    }
}

static void raise_to(_Atomic int64_t *value, int64_t index)
{
    int64_t seen = atomic_load(value);
    while (seen < index && !atomic_compare_exchange_weak(value, &seen, index)) {
    }
}

/* ---------------------------------------------------------------- what threads do */

static bool go_on(const world *w)
{
    return !atomic_load(&w->failed) && (w->closing || now_ns() < w->deadline);
}

/* Whether the status means that the tracker is being closed, as it may be. */
static bool refused(const world *w, ctrack_status status)
{
    return w->closing && status == CTRACK_CLOSED;
}

static bool act_update(actor *a)
{
    world *w = a->w;
    ctrack_coordinate batch[BATCH];
    int chosen[BATCH];
    size_t count = (size_t)(1 + draw(a) % BATCH);
    for (size_t i = 0; i < count; i++) {
        chosen[i] = (int)(draw(a) % KEYS);
        int64_t index = atomic_load(&w->attempted[chosen[i]]) + (int64_t)(draw(a) % 4) - 1;
        batch[i] = at(names[chosen[i]], index < 0 ? 0 : index);
    }
    for (size_t i = 0; i < count; i++) {
        raise_to(&w->attempted[chosen[i]], batch[i].operation_index);
    }
    ctrack_status status = ctrack_update(w->tracker, batch, count, NULL);
    if (status != CTRACK_OK) {
        if (!refused(w, status)) {
            complain(w, "update failed", status, 0);
        }
        return false;
    }
    atomic_fetch_add(&w->updates, 1);
    for (size_t i = 0; i < count; i++) {
        raise_to(&w->acknowledged[chosen[i]], batch[i].operation_index);
        ctrack_key own = key(names[chosen[i]]);
        int64_t seen = -1;
        status = ctrack_get_latest(w->tracker, &own, &seen);
        if (status == CTRACK_OK ? seen < batch[i].operation_index : !refused(w, status)) {
            complain(w, "an acknowledged update is not visible", seen, batch[i].operation_index);
        }
    }
    return true;
}

static bool act_read(actor *a)
{
    world *w = a->w;
    int k = (int)(draw(a) % KEYS);
    int64_t acknowledged = atomic_load(&w->acknowledged[k]);
    ctrack_key wanted = key(names[k]);
    int64_t seen = -1;
    ctrack_status status = ctrack_get_latest(w->tracker, &wanted, &seen);
    if (refused(w, status)) {
        return false;
    }
    int64_t attempted = atomic_load(&w->attempted[k]);
    if (seen < acknowledged) {
        complain(w, "progress went down", seen, acknowledged);
    }
    if (seen > attempted) {
        complain(w, "progress that nobody reported", seen, attempted);
    }
    return true;
}

/* Nothing goes down in these worlds, so what satisfied a wait stays visible. */
static void check_outcome(world *w, ctrack_status outcome, const ctrack_coordinate *wanted, const int *chosen,
                          size_t count)
{
    atomic_fetch_add(&w->outcomes[outcome & 31], 1);
    for (size_t i = 0; outcome == CTRACK_OK && i < count; i++) {
        int64_t attempted = atomic_load(&w->attempted[chosen[i]]);
        if (attempted < wanted[i].operation_index) {
            complain(w, "a wait was satisfied falsely", wanted[i].operation_index, attempted);
        }
        ctrack_key reached = key(wanted[i].document_id);
        int64_t seen = -1;
        ctrack_status status = ctrack_get_latest(w->tracker, &reached, &seen);
        if (status == CTRACK_OK ? seen < wanted[i].operation_index : !refused(w, status)) {
            complain(w, "a satisfied wait is not visible", wanted[i].operation_index, seen);
        }
    }
}

/* Draws what to wait for: about what is being reached, sometimes what never will be. */
static size_t draw_wanted(actor *a, ctrack_coordinate wanted[BATCH], int chosen[BATCH])
{
    size_t count = (size_t)(1 + draw(a) % BATCH);
    for (size_t i = 0; i < count; i++) {
        chosen[i] = (int)(draw(a) % KEYS);
        int64_t index =
            draw(a) % 16 == 0 ? INT64_MAX : atomic_load(&a->w->attempted[chosen[i]]) + (int64_t)(draw(a) % 8) - 3;
        wanted[i] = at(names[chosen[i]], index < 0 ? 0 : index);
    }
    return count;
}

static int64_t draw_timeout(actor *a)
{
    static const int64_t timeouts[] = {0, 0, 1, 1, 2, 5};
    return timeouts[draw(a) % 6];
}

static bool act_block(actor *a)
{
    world *w = a->w;
    ctrack_coordinate wanted[BATCH];
    int chosen[BATCH];
    size_t count = draw_wanted(a, wanted, chosen);
    int64_t timeout = draw_timeout(a);
    int64_t start = now_ns();
    ctrack_status outcome = ctrack_wait(w->tracker, wanted, count, timeout, NULL, NULL);
    if (outcome == CTRACK_TIMED_OUT && now_ns() - start < timeout * 1000000) {
        complain(w, "a wait timed out early", now_ns() - start, timeout);
    }
    if (outcome != CTRACK_OK && outcome != CTRACK_TIMED_OUT && !refused(w, outcome)) {
        complain(w, "a wait ended oddly", outcome, 0);
    }
    check_outcome(w, outcome, wanted, chosen, count);
    return !refused(w, outcome);
}

static void count_callback(ctrack_promise *promise, ctrack_status outcome, void *argument)
{
    world *w = argument;
    if (ctrack_promise_status(promise) != outcome) {
        complain(w, "a callback's outcome is not the promise's", outcome, 0);
    }
    atomic_fetch_add(&w->callbacks, 1);
}

/* A wait that is given up, aborted, polled or left to its callback. */
static bool act_promise(actor *a)
{
    world *w = a->w;
    ctrack_coordinate wanted[BATCH];
    int chosen[BATCH];
    size_t count = draw_wanted(a, wanted, chosen);
    ctrack_abort_signal *signal = draw(a) % 2 == 0 ? ctrack_abort_signal_new() : NULL;
    ctrack_promise *promise = NULL;
    ctrack_status status =
        ctrack_wait_for(w->tracker, wanted, count, draw(a) % 2 == 0 ? -1 : draw_timeout(a), signal, &promise, NULL);
    if (status != CTRACK_OK) {
        if (!refused(w, status)) {
            complain(w, "wait_for failed", status, 0);
        }
        ctrack_abort_signal_release(signal);
        return false;
    }
    if (draw(a) % 2 == 0) {
        status = ctrack_promise_then(promise, count_callback, w);
        if (status == CTRACK_OK) {
            atomic_fetch_add(&w->promises_with_callback, 1);
        } else if (!refused(w, status)) {
            complain(w, "then failed", status, 0);
        }
    }
    if (draw(a) % 16 == 0) {
        struct pollfd ready = {ctrack_promise_fd(promise), POLLIN, 0};
        if (poll(&ready, 1, 0) == 1 && ctrack_promise_status(promise) == CTRACK_PENDING) {
            complain(w, "a pending promise is readable", 0, 0);
        }
    }
    if (draw(a) % 4 == 0) {
        ctrack_snapshot *missing = NULL;
        if (ctrack_promise_missing(promise, &missing, NULL) == CTRACK_OK) {
            ctrack_snapshot_free(missing);
        }
    }
    if (signal != NULL && draw(a) % 2 == 0) {
        ctrack_abort(signal);
        ctrack_status outcome = ctrack_promise_status(promise);
        if (outcome == CTRACK_PENDING) {
            complain(w, "an aborted promise is pending", 0, 0);
        }
        check_outcome(w, outcome, wanted, chosen, count);
    }
    if (draw(a) % 2 == 0) {
        ctrack_abort_signal_release(signal);
        ctrack_promise_release(promise);
    } else {
        ctrack_promise_release(promise);
        ctrack_abort_signal_release(signal);
    }
    return true;
}

static bool act_serialize(actor *a)
{
    world *w = a->w;
    ctrack_snapshot *snapshot = NULL;
    ctrack_status status = ctrack_serialize(w->tracker, &snapshot, NULL);
    if (status != CTRACK_OK) {
        if (!refused(w, status)) {
            complain(w, "serialize failed", status, 0);
        }
        return false;
    }
    if (ctrack_snapshot_count(snapshot) > KEYS) {
        complain(w, "keys that nobody reported", (int64_t)ctrack_snapshot_count(snapshot), KEYS);
    }
    ctrack_snapshot_free(snapshot);
    return true;
}

static bool act(actor *a)
{
    switch (draw(a) % 16) {
    case 0:
    case 1:
    case 2:
    case 3:
        return act_update(a);
    case 4:
    case 5:
        return act_read(a);
    case 6:
        return act_serialize(a);
    case 7:
    case 8:
        return act_block(a);
    default:
        return act_promise(a);
    }
}

static void *run(void *argument)
{
    actor *a = argument;
    while (go_on(a->w)) {
        if (!act(a)) {
            break;
        }
    }
    return NULL;
}

/* ---------------------------------------------------------------- worlds */

static world *new_world(fixture *f, int64_t nanoseconds)
{
    world *w = calloc(1, sizeof *w);
    assert_non_null(w);
    free(f->extra);
    f->extra = w;
    w->tracker = f->tracker;
    w->deadline = now_ns() + nanoseconds;
    for (int k = 0; k < KEYS; k++) {
        snprintf(names[k], sizeof names[k], "doc-%d", k);
        atomic_store(&w->attempted[k], -1);
        atomic_store(&w->acknowledged[k], -1);
    }
    return w;
}

static void assert_fine(world *w)
{
    if (atomic_load(&w->failed)) {
        print_error("%s\n", w->failure);
        fail();
    }
}

static void assert_final_state(world *w, ctrack *tracker)
{
    for (int k = 0; k < KEYS; k++) {
        int64_t seen = latest(tracker, names[k]);
        assert_true(seen >= atomic_load(&w->acknowledged[k]));
        assert_true(seen <= atomic_load(&w->attempted[k]));
    }
}

/* Has threads act, and judges what has become of the world, which has ended afterwards. */
static void run_world(fixture *f, world *w, void *(*body)(void *))
{
    actor actors[THREADS];
    pthread_t threads[THREADS];
    uint64_t value = seed();
    for (int i = 0; i < THREADS; i++) {
        actors[i] = (actor){w, (value + 1) * (2 * (uint64_t)i + 1) | 1};
        threads[i] = thread_start(body, &actors[i]);
    }
    for (int i = 0; i < THREADS; i++) {
        thread_join(threads[i]);
    }
    assert_fine(w);
    /* All calls have returned, so everything attempted is acknowledged. */
    for (int k = 0; k < KEYS; k++) {
        assert_int_equal(latest(f->tracker, names[k]), atomic_load(&w->acknowledged[k]));
    }
    if (file_exists(f->path)) {
        reopen(f);
        assert_final_state(w, f->tracker);
    }
    close_tracker(&f->tracker);
    assert_int_equal(atomic_load(&w->callbacks), atomic_load(&w->promises_with_callback));
    print_message("updates %" PRId64 ", satisfied %" PRId64 ", timed out %" PRId64 ", aborted %" PRId64
                  ", callbacks %" PRId64 "\n",
                  atomic_load(&w->updates), atomic_load(&w->outcomes[CTRACK_OK]),
                  atomic_load(&w->outcomes[CTRACK_TIMED_OUT]), atomic_load(&w->outcomes[CTRACK_ABORTED]),
                  atomic_load(&w->callbacks));
}

static void test_threads_update_wait_abort_and_release(void **state)
{
    alarm(0); /* CTRACK_STRESS_SECONDS says how long this takes */
    run_world(*state, new_world(*state, (int64_t)(seconds(1.0) * 1e9)), run);
}

/* Mostly updates, until there are as many as are wanted: blocking waits take their time, and would make them few. */
static void *run_until_enough(void *argument)
{
    enum { AT_A_TIME = 8 };
    actor *a = argument;
    while (!atomic_load(&a->w->failed) && atomic_load(&a->w->updates) < a->w->wanted) {
        for (int i = 0; i < AT_A_TIME && act_update(a); i++) {
        }
        act(a);
    }
    return NULL;
}

static void make_updates(fixture *f, uint64_t wanted)
{
    alarm(0);
    world *w = new_world(f, 0);
    w->wanted = (int64_t)wanted;
    run_world(f, w, run_until_enough);
    print_message("threads_test: %" PRId64 " updates by %d threads, of at least %" PRIu64 "\n",
                  atomic_load(&w->updates), THREADS, wanted);
    assert_true((uint64_t)atomic_load(&w->updates) >= wanted);
}

static void test_threads_make_as_many_updates_as_are_wanted(void **state)
{
    make_updates(*state, environment_number("CTRACK_STRESS_UPDATES", 20000));
}

/* Each group of updates waits for the disk. */
static void test_threads_make_a_part_of_the_updates_on_file(void **state)
{
    make_updates(*state, environment_number("CTRACK_STRESS_UPDATES", 20000) / 20);
}

/* ---------------------------------------------------------------- closing amid work */

static void hold_close_up(ctrack_promise *promise, ctrack_status outcome, void *argument)
{
    (void)promise;
    (void)outcome;
    gate_pass(argument);
}

static void *close_it(void *argument)
{
    world *w = argument;
    ctrack_close(w->tracker, NULL);
    return NULL;
}

/*
 * Calls may be made until ctrack_close() has returned. It cannot return while a callback is held up: until then the
 * threads work on, each until it is refused.
 */
static void close_amid_work(fixture *f, uint64_t value)
{
    gate hold;
    gate_init(&hold);
    world *w = new_world(f, 0);
    w->closing = true;
    ctrack_promise *promise = wait_for(f->tracker, "never", 1);
    assert_status(ctrack_promise_then(promise, hold_close_up, &hold), CTRACK_OK);
    ctrack_promise_release(promise);
    actor actors[THREADS];
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        actors[i] = (actor){w, (value + 1) * (2 * (uint64_t)i + 1) | 1};
        threads[i] = thread_start(run, &actors[i]);
    }
    struct timespec moment = {0,
                              (long)(value % 3000000)}; /* to close at another point each time; nothing relies on it */
    nanosleep(&moment, NULL);
    pthread_t closer = thread_start(close_it, w);
    for (int i = 0; i < THREADS; i++) {
        thread_join(threads[i]);
    }
    gate_open(&hold);
    thread_join(closer);
    f->tracker = NULL;
    gate_destroy(&hold);
    assert_fine(w);
    assert_int_equal(atomic_load(&w->callbacks), atomic_load(&w->promises_with_callback));
}

static void close_many_times(fixture *f, bool on_file, double length)
{
    alarm(0);
    uint64_t value = seed();
    int64_t end = now_ns() + (int64_t)(length * 1e9);
    int rounds = 0;
    for (; now_ns() < end || rounds < 3; rounds++) {
        char path[300];
        char name[32];
        snprintf(name, sizeof name, "round-%d.db", rounds);
        f->tracker = on_file ? open_file(path_in(f, name, path)) : open_in_memory();
        close_amid_work(f, value + (uint64_t)rounds * 7919 * 1000);
        if (on_file) {
            f->tracker = open_file(path);
            assert_final_state(f->extra, f->tracker);
            close_tracker(&f->tracker);
            unlink(path);
        }
    }
    print_message("closed %d times\n", rounds);
}

static void test_close_in_memory_amid_work(void **state)
{
    close_many_times(*state, false, seconds(0.7));
}

static void test_close_on_file_amid_work(void **state)
{
    close_many_times(*state, true, seconds(0.7));
}

/* ---------------------------------------------------------------- progress that goes down */

static void *rewind_for_a_while(void *argument)
{
    world *w = argument;
    for (int64_t i = 0; go_on(w); i++) {
        ctrack_coordinate entries[] = {at("doc-0", i % 7), at("doc-1", i % 5)};
        ctrack_key forgotten = key("doc-0");
        ctrack_status status = i % 3 == 0   ? ctrack_hydrate(w->tracker, NULL, 0, NULL)
                               : i % 3 == 1 ? ctrack_hydrate(w->tracker, entries, 2, NULL)
                                            : ctrack_forget(w->tracker, &forgotten, 1, NULL);
        if (status != CTRACK_OK) {
            complain(w, "a rewind failed", status, 0);
        }
    }
    return NULL;
}

static void *raise_for_a_while(void *argument)
{
    world *w = argument;
    for (int64_t i = 0; go_on(w); i++) {
        ctrack_coordinate batch[] = {at("doc-0", i % 50), at("doc-1", i % 50)};
        if (ctrack_update(w->tracker, batch, 2, NULL) != CTRACK_OK) {
            complain(w, "an update failed", 0, 0);
        }
    }
    return NULL;
}

static void *wait_for_a_while(void *argument)
{
    world *w = argument;
    for (int64_t i = 0; go_on(w); i++) {
        ctrack_coordinate wanted[] = {at("doc-0", i % 60), at("doc-1", i % 60)};
        ctrack_status outcome = ctrack_wait(w->tracker, wanted, 2, i % 3, NULL, NULL);
        if (outcome != CTRACK_OK && outcome != CTRACK_TIMED_OUT) {
            complain(w, "a wait ended oddly", outcome, 0);
        }
        if (outcome == CTRACK_OK && i % 60 >= 50) {
            complain(w, "a wait was satisfied falsely", i % 60, 49);
        }
    }
    return NULL;
}

static void test_threads_update_and_wait_while_others_hydrate_and_forget(void **state)
{
    alarm(0);
    fixture *f = *state;
    world *w = new_world(f, (int64_t)(seconds(0.7) * 1e9));
    void *(*const bodies[])(void *) = {rewind_for_a_while, rewind_for_a_while, raise_for_a_while,
                                       raise_for_a_while,  wait_for_a_while,   wait_for_a_while};
    enum { COUNT = sizeof bodies / sizeof bodies[0] };
    pthread_t threads[COUNT];
    for (int i = 0; i < COUNT; i++) {
        threads[i] = thread_start(bodies[i], w);
    }
    for (int i = 0; i < COUNT; i++) {
        thread_join(threads[i]);
    }
    assert_fine(w);
    if (file_exists(f->path)) {
        /* Memory is what a fresh load of the file gives. */
        ctrack *fresh = open_file(f->path);
        assert_same_progress(f->tracker, fresh);
        close_tracker(&fresh);
    }
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        TEST_BOTH(test_threads_update_wait_abort_and_release),
        TEST_IN_MEMORY(test_threads_make_as_many_updates_as_are_wanted),
        TEST_ON_FILE(test_threads_make_a_part_of_the_updates_on_file),
        TEST(test_close_in_memory_amid_work),
        TEST(test_close_on_file_amid_work),
        TEST_BOTH(test_threads_update_and_wait_while_others_hydrate_and_forget),
    };
    return SUPPORT_MAIN(argc, argv, "threads", tests, NULL);
}
