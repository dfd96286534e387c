/* SPDX-License-Identifier: MIT */
/*
 * Random operations on a tracker, in memory and on a file, one after the other on one thread, against a reference that
 * is too simple to be wrong: a list of keys that is scanned, and a list of waits that are judged anew after every step.
 *
 * After each step every key, every pending wait and what each wait misses are compared; now and then the whole
 * snapshot, and on a file a second tracker and a fresh load. CTRACK_STRESS_SEED repeats a run, CTRACK_STRESS_ROUNDS
 * makes more.
 */
#include "support.h"

#include <inttypes.h>
#include <stdio.h>

#include <unistd.h>

/* ---------------------------------------------------------------- the reference */

enum { TEXTS = 4, KEYS = TEXTS * TEXTS * TEXTS, WAITS = 40, BATCH = 6, SIGNALS = 4 };

/* Few texts make many keys, and most collide if components are joined. */
static const char *const texts[TEXTS] = {"", "a", ":", "a:"};

typedef struct reference_wait {
    ctrack_promise *promise; /* NULL: this place is free */
    size_t count;
    int keys[BATCH];
    int64_t targets[BATCH];
    ctrack_status outcome;
    int64_t had[KEYS]; /* progress at the end, if it ended without success */
    int signal;        /* -1: none */
    bool callback;
} reference_wait;

typedef struct reference {
    fixture *f;
    bool on_file;
    uint64_t random;
    int64_t progress[KEYS]; /* NEVER_SEEN or the index */
    reference_wait waits[WAITS];
    ctrack_abort_signal *signals[SIGNALS];
    bool aborted[SIGNALS];
    ctrack *other; /* a second tracker on the file, or NULL */
    size_t callbacks;
    int step;
} reference;

static uint64_t draw(reference *r, uint64_t bound)
{
    r->random ^= r->random << 13;
    r->random ^= r->random >> 7;
    r->random ^= r->random << 17;
    return r->random % bound;
}

static ctrack_coordinate coordinate_of(int k, int64_t index)
{
    return coordinate(texts[k % TEXTS], texts[k / TEXTS % TEXTS], texts[k / TEXTS / TEXTS], index);
}

static ctrack_key key_of(int k)
{
    ctrack_coordinate c = coordinate_of(k, 0);
    return (ctrack_key){c.document_id, c.scope, c.branch};
}

static int64_t draw_index(reference *r)
{
    return draw(r, 50) == 0 ? INT64_MAX - (int64_t)draw(r, 3) : (int64_t)draw(r, 30);
}

static size_t draw_batch(reference *r, int keys[BATCH], int64_t indexes[BATCH], ctrack_coordinate batch[BATCH])
{
    size_t count = (size_t)draw(r, BATCH + 1);
    for (size_t i = 0; i < count; i++) {
        keys[i] = i > 0 && draw(r, 4) == 0 ? keys[i - 1] : (int)draw(r, KEYS);
        indexes[i] = draw_index(r);
        batch[i] = coordinate_of(keys[i], indexes[i]);
    }
    return count;
}

static bool reached(const reference *r, const reference_wait *wait)
{
    for (size_t i = 0; i < wait->count; i++) {
        if (r->progress[wait->keys[i]] < wait->targets[i]) {
            return false;
        }
    }
    return true;
}

static void end_wait(reference *r, reference_wait *wait, ctrack_status outcome)
{
    if (wait->promise != NULL && wait->outcome == CTRACK_PENDING) {
        wait->outcome = outcome;
        memcpy(wait->had, r->progress, sizeof wait->had);
        r->callbacks += wait->callback;
    }
}

static void judge_waits(reference *r)
{
    for (int i = 0; i < WAITS; i++) {
        if (reached(r, &r->waits[i])) {
            end_wait(r, &r->waits[i], CTRACK_OK);
        }
    }
}

/* ---------------------------------------------------------------- comparing */

static void complain(const reference *r, const char *what, int64_t found, int64_t expected)
{
    print_error("step %d: %s: %" PRId64 ", not %" PRId64 "\n", r->step, what, found, expected);
    fail();
}

static void compare_progress(const reference *r, ctrack *tracker)
{
    for (int k = 0; k < KEYS; k++) {
        int64_t found = latest_of(tracker, key_of(k));
        if (found != r->progress[k]) {
            complain(r, "progress", found, r->progress[k]);
        }
    }
}

static void compare_snapshot(const reference *r, ctrack *tracker)
{
    ctrack_snapshot *snapshot = NULL;
    assert_status(ctrack_serialize(tracker, &snapshot, NULL), CTRACK_OK);
    size_t expected = 0;
    for (int k = 0; k < KEYS; k++) {
        expected += r->progress[k] != NEVER_SEEN;
    }
    if (ctrack_snapshot_count(snapshot) != expected) {
        complain(r, "snapshot", (int64_t)ctrack_snapshot_count(snapshot), (int64_t)expected);
    }
    for (size_t i = 1; i < expected; i++) {
        const ctrack_coordinate *a = &ctrack_snapshot_entries(snapshot)[i - 1];
        const ctrack_coordinate *b = &ctrack_snapshot_entries(snapshot)[i];
        int order = strcmp(a->document_id, b->document_id);
        order = order != 0 ? order : strcmp(a->scope, b->scope);
        order = order != 0 ? order : strcmp(a->branch, b->branch);
        assert_true(order < 0);
    }
    ctrack_snapshot_free(snapshot);
}

/* What a wait misses: each key once, at its highest target. */
static void compare_missing(const reference *r, const reference_wait *wait)
{
    const int64_t *had = wait->outcome == CTRACK_PENDING ? r->progress : wait->had;
    int64_t targets[KEYS];
    for (int k = 0; k < KEYS; k++) {
        targets[k] = -1;
    }
    for (size_t i = 0; i < wait->count; i++) {
        int k = wait->keys[i];
        targets[k] = wait->targets[i] > targets[k] ? wait->targets[i] : targets[k];
    }
    ctrack_snapshot *missing = NULL;
    assert_status(ctrack_promise_missing(wait->promise, &missing, NULL), CTRACK_OK);
    size_t expected = 0;
    for (int k = 0; k < KEYS; k++) {
        expected += wait->outcome != CTRACK_OK && targets[k] > had[k];
    }
    if (ctrack_snapshot_count(missing) != expected) {
        complain(r, "missing", (int64_t)ctrack_snapshot_count(missing), (int64_t)expected);
    }
    for (size_t i = 0; i < expected; i++) {
        const ctrack_coordinate *entry = &ctrack_snapshot_entries(missing)[i];
        for (int k = 0; k < KEYS; k++) {
            ctrack_key candidate = key_of(k);
            if (strcmp(entry->document_id, candidate.document_id) == 0 && strcmp(entry->scope, candidate.scope) == 0 &&
                strcmp(entry->branch, candidate.branch) == 0) {
                assert_int_equal(entry->operation_index, had[k]);
                assert_int_equal(ctrack_snapshot_targets(missing)[i], targets[k]);
            }
        }
    }
    ctrack_snapshot_free(missing);
}

static void compare(const reference *r)
{
    compare_progress(r, r->f->tracker);
    for (int i = 0; i < WAITS; i++) {
        const reference_wait *wait = &r->waits[i];
        if (wait->promise != NULL) {
            ctrack_status found = ctrack_promise_status(wait->promise);
            if (found != wait->outcome) {
                complain(r, "outcome of a wait", found, wait->outcome);
            }
            compare_missing(r, wait);
        }
    }
    if (r->step % 50 == 0) {
        compare_snapshot(r, r->f->tracker);
    }
}

/* ---------------------------------------------------------------- steps */

/* The tracker that writes: on a file sometimes the second one, whose commits the first then looks for. */
static ctrack *writer(reference *r)
{
    return r->other != NULL && draw(r, 3) == 0 ? r->other : r->f->tracker;
}

static void after_writing(reference *r)
{
    if (r->other != NULL) {
        assert_status(ctrack_refresh(r->f->tracker, NULL), CTRACK_OK);
    }
    judge_waits(r);
}

static void step_update(reference *r)
{
    int keys[BATCH];
    int64_t indexes[BATCH];
    ctrack_coordinate batch[BATCH];
    size_t count = draw_batch(r, keys, indexes, batch);
    assert_status(ctrack_update(writer(r), batch, count, NULL), CTRACK_OK);
    for (size_t i = 0; i < count; i++) {
        int64_t *progress = &r->progress[keys[i]];
        *progress = indexes[i] > *progress ? indexes[i] : *progress;
    }
    after_writing(r);
}

static void step_bad_update(reference *r)
{
    int keys[BATCH];
    int64_t indexes[BATCH];
    ctrack_coordinate batch[BATCH];
    size_t count = draw_batch(r, keys, indexes, batch);
    if (count > 0) {
        batch[draw(r, count)].operation_index = -1 - (int64_t)draw(r, 5);
        assert_status(ctrack_update(writer(r), batch, count, NULL), CTRACK_INVALID);
    }
}

static void step_hydrate(reference *r)
{
    int keys[BATCH];
    int64_t indexes[BATCH];
    ctrack_coordinate batch[BATCH];
    size_t count = draw_batch(r, keys, indexes, batch);
    ctrack *tracker = writer(r);
    if (draw(r, 2) == 0) { /* back to what there is, which changes nothing */
        if (tracker != r->f->tracker) {
            assert_status(ctrack_refresh(tracker, NULL), CTRACK_OK);
        }
        ctrack_snapshot *snapshot = NULL;
        assert_status(ctrack_serialize(tracker, &snapshot, NULL), CTRACK_OK);
        assert_status(ctrack_hydrate(tracker, ctrack_snapshot_entries(snapshot), ctrack_snapshot_count(snapshot), NULL),
                      CTRACK_OK);
        ctrack_snapshot_free(snapshot);
        after_writing(r);
        return;
    }
    assert_status(ctrack_hydrate(tracker, batch, count, NULL), CTRACK_OK);
    for (int k = 0; k < KEYS; k++) {
        r->progress[k] = NEVER_SEEN;
    }
    for (size_t i = 0; i < count; i++) {
        int64_t *progress = &r->progress[keys[i]];
        *progress = indexes[i] > *progress ? indexes[i] : *progress;
    }
    after_writing(r);
}

static void step_forget(reference *r)
{
    ctrack_key keys[BATCH];
    size_t count = (size_t)draw(r, BATCH + 1);
    for (size_t i = 0; i < count; i++) {
        int k = (int)draw(r, KEYS);
        keys[i] = key_of(k);
        r->progress[k] = NEVER_SEEN;
    }
    assert_status(ctrack_forget(writer(r), keys, count, NULL), CTRACK_OK);
    after_writing(r);
}

static void step_wait(reference *r)
{
    reference_wait *wait = &r->waits[draw(r, WAITS)];
    if (wait->promise != NULL) {
        return;
    }
    ctrack_coordinate wanted[BATCH];
    wait->count = draw_batch(r, wait->keys, wait->targets, wanted);
    wait->outcome = CTRACK_PENDING;
    wait->callback = false;
    wait->signal = (int)draw(r, SIGNALS + 1) - 1;
    bool check_once = draw(r, 8) == 0;
    ctrack_abort_signal *signal = wait->signal >= 0 ? r->signals[wait->signal] : NULL;
    assert_status(ctrack_wait_for(r->f->tracker, wanted, wait->count, check_once ? 0 : CTRACK_FOREVER, signal,
                                  &wait->promise, NULL),
                  CTRACK_OK);
    if (wait->signal >= 0 && r->aborted[wait->signal]) {
        end_wait(r, wait, CTRACK_ABORTED);
    } else if (reached(r, wait)) {
        end_wait(r, wait, CTRACK_OK);
    } else if (check_once) {
        end_wait(r, wait, CTRACK_TIMED_OUT);
    }
}

static void step_then(reference *r)
{
    reference_wait *wait = &r->waits[draw(r, WAITS)];
    if (wait->promise != NULL && wait->outcome != CTRACK_CLOSED) {
        ctrack_status expected = wait->callback ? CTRACK_MISUSE : CTRACK_OK;
        assert_status(ctrack_promise_then(wait->promise, record, &r->f->recorder), expected);
        r->callbacks += !wait->callback && wait->outcome != CTRACK_PENDING;
        wait->callback = true;
    }
}

static void step_release(reference *r)
{
    reference_wait *wait = &r->waits[draw(r, WAITS)];
    /* One with a callback to come would have to be watched without its promise. */
    if (wait->promise != NULL && !(wait->callback && wait->outcome == CTRACK_PENDING)) {
        ctrack_promise_release(wait->promise);
        wait->promise = NULL;
    }
}

static void step_abort(reference *r)
{
    size_t s = (size_t)draw(r, SIGNALS);
    ctrack_abort(r->signals[s]);
    r->aborted[s] = true;
    for (int i = 0; i < WAITS; i++) {
        if (r->waits[i].signal == (int)s) {
            end_wait(r, &r->waits[i], CTRACK_ABORTED);
        }
    }
    if (draw(r, 2) == 0) {
        ctrack_abort_signal_release(r->signals[s]);
        r->signals[s] = new_signal();
        r->aborted[s] = false;
        for (int i = 0; i < WAITS; i++) {
            r->waits[i].signal = r->waits[i].signal == (int)s ? -1 : r->waits[i].signal;
        }
    }
}

static void close_all(reference *r)
{
    close_tracker(&r->f->tracker);
    for (int i = 0; i < WAITS; i++) {
        end_wait(r, &r->waits[i], CTRACK_CLOSED);
        if (r->waits[i].promise != NULL) {
            assert_status(ctrack_promise_status(r->waits[i].promise), r->waits[i].outcome);
            compare_missing(r, &r->waits[i]);
            ctrack_promise_release(r->waits[i].promise);
            r->waits[i].promise = NULL;
        }
    }
    assert_int_equal(recorder_count(&r->f->recorder), r->callbacks);
}

static void step_reopen(reference *r)
{
    if (!r->on_file) {
        return;
    }
    close_all(r);
    r->f->tracker = open_file(r->f->path);
}

static void step_second_tracker(reference *r)
{
    if (!r->on_file) {
        return;
    }
    if (r->other == NULL) {
        r->other = open_file(r->f->path);
        compare_progress(r, r->other);
    } else {
        assert_status(ctrack_refresh(r->other, NULL), CTRACK_OK);
        compare_progress(r, r->other);
        compare_snapshot(r, r->other);
        close_tracker(&r->other);
    }
}

static void take_step(reference *r)
{
    static void (*const steps[])(reference * r) = {
        step_update, step_update, step_update, step_update,  step_update,  step_update, step_wait,
        step_wait,   step_wait,   step_wait,   step_release, step_release, step_then,   step_abort,
    };
    static void (*const rare[])(reference * r) = {step_hydrate,    step_forget, step_forget,
                                                  step_bad_update, step_reopen, step_second_tracker};
    if (draw(r, 10) == 0) {
        rare[draw(r, sizeof rare / sizeof rare[0])](r);
    } else {
        steps[draw(r, sizeof steps / sizeof steps[0])](r);
    }
    compare(r);
}

static void run(fixture *f, bool on_file, uint64_t seed, int steps)
{
    print_message("CTRACK_STRESS_SEED=%" PRIu64 "\n", seed);
    reference *r = calloc(1, sizeof *r);
    assert_non_null(r);
    free(f->extra);
    f->extra = r;
    r->f = f;
    r->on_file = on_file;
    r->random = seed * 2 + 1;
    r->callbacks = recorder_count(&f->recorder);
    for (int k = 0; k < KEYS; k++) {
        r->progress[k] = NEVER_SEEN;
    }
    for (int s = 0; s < SIGNALS; s++) {
        r->signals[s] = new_signal();
    }
    for (r->step = 0; r->step < steps; r->step++) {
        take_step(r);
    }
    if (r->other != NULL) {
        close_tracker(&r->other);
    }
    close_all(r);
    for (int s = 0; s < SIGNALS; s++) {
        ctrack_abort_signal_release(r->signals[s]);
    }
}

static void run_rounds(fixture *f, bool on_file, int steps)
{
    alarm(0);
    uint64_t rounds = environment_number("CTRACK_STRESS_ROUNDS", 2);
    uint64_t seed = environment_number("CTRACK_STRESS_SEED", (uint64_t)now_ns());
    for (uint64_t round = 0; round < rounds; round++) {
        if (on_file) {
            char path[300];
            char name[32];
            snprintf(name, sizeof name, "round-%" PRIu64 ".db", round % 1000000);
            memcpy(f->path, path_in(f, name, path), strlen(path_in(f, name, path)) + 1);
            f->tracker = open_file(f->path);
        } else {
            f->tracker = open_in_memory();
        }
        run(f, on_file, seed + round, steps);
        unlink(f->path);
    }
}

static void test_tracker_in_memory_agrees_with_the_reference(void **state)
{
    run_rounds(*state, false, 4000);
}

static void test_tracker_on_a_file_agrees_with_the_reference(void **state)
{
    run_rounds(*state, true, 2000);
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_tracker_in_memory_agrees_with_the_reference),
        TEST(test_tracker_on_a_file_agrees_with_the_reference),
    };
    return SUPPORT_MAIN(argc, argv, "reference", tests, NULL);
}
