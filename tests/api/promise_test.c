/* SPDX-License-Identifier: MIT */
/* Promises: await, status, then, fd, missing, release; and where and when callbacks run. */
#include "support.h"

#include <dirent.h>
#include <poll.h>
#include <semaphore.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* ---------------------------------------------------------------- status and await */

static void test_outcome_never_changes(void **state)
{
    fixture *f = *state;
    ctrack_promise *promise = wait_with(f->tracker, "doc-1", 5, 1, NULL);
    assert_status(ctrack_promise_await(promise), CTRACK_TIMED_OUT);
    update(f->tracker, "doc-1", 5);
    assert_status(ctrack_promise_status(promise), CTRACK_TIMED_OUT);
    ctrack_promise_release(promise);
}

static void test_satisfied_promise_stays_satisfied_when_the_progress_is_forgotten(void **state)
{
    fixture *f = *state;
    ctrack_promise *promise = wait_for(f->tracker, "doc-1", 5);
    update(f->tracker, "doc-1", 5);
    ctrack_key forgotten = key("doc-1");
    assert_status(ctrack_forget(f->tracker, &forgotten, 1, NULL), CTRACK_OK);
    assert_status(ctrack_promise_status(promise), CTRACK_OK);
    ctrack_promise_release(promise);
}

static void test_await_again_returns_the_same_outcome(void **state)
{
    fixture *f = *state;
    ctrack_promise *promise = wait_for(f->tracker, "doc-1", 5);
    update(f->tracker, "doc-1", 5);
    assert_status(ctrack_promise_await(promise), CTRACK_OK);
    assert_status(ctrack_promise_await(promise), CTRACK_OK);
    ctrack_promise_release(promise);
}

/* A gate begins with this call: a signal that is given just before, when await has found the promise pending. */
static _Thread_local ctrack_abort_signal *given_before_the_gate;

int __real_sem_init(sem_t *semaphore, int shared, unsigned value);
int __wrap_sem_init(sem_t *semaphore, int shared, unsigned value);
int __wrap_sem_init(sem_t *semaphore, int shared, unsigned value)
{
    ctrack_abort(given_before_the_gate);
    return __real_sem_init(semaphore, shared, value);
}

static void test_promise_that_is_settled_while_await_begins_does_not_block(void **state)
{
    fixture *f = *state;
    ctrack_abort_signal *signal = ctrack_abort_signal_new();
    ctrack_promise *promise = wait_with(f->tracker, "doc-1", 5, CTRACK_FOREVER, signal);
    given_before_the_gate = signal;
    ctrack_status status = ctrack_promise_await(promise);
    given_before_the_gate = NULL;
    assert_status(status, CTRACK_ABORTED);
    ctrack_promise_release(promise);
    ctrack_abort_signal_release(signal);
}

enum { THREADS = 8 };

static void *await_promise(void *promise)
{
    return ctrack_promise_await(promise) == CTRACK_OK ? promise : NULL;
}

static void test_many_threads_may_await_one_promise(void **state)
{
    fixture *f = *state;
    ctrack_promise *promise = wait_for(f->tracker, "doc-1", 5);
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        threads[i] = thread_start(await_promise, promise);
    }
    update(f->tracker, "doc-1", 5);
    for (int i = 0; i < THREADS; i++) {
        assert_ptr_equal(thread_join(threads[i]), promise);
    }
    ctrack_promise_release(promise);
}

/* ---------------------------------------------------------------- then */

static void then_record(fixture *f, ctrack_promise *promise)
{
    assert_status(ctrack_promise_then(promise, record, &f->recorder), CTRACK_OK);
}

static void test_callback_gets_the_promise_and_its_outcome(void **state)
{
    fixture *f = *state;
    ctrack_promise *promise = wait_for(f->tracker, "doc-1", 5);
    then_record(f, promise);
    update(f->tracker, "doc-1", 5);
    recorder_await(&f->recorder, 1);
    assert_ptr_equal(f->recorder.calls[0].promise, promise);
    assert_status(f->recorder.calls[0].outcome, CTRACK_OK);
    ctrack_promise_release(promise);
}

static void test_callback_runs_for_a_timeout(void **state)
{
    fixture *f = *state;
    ctrack_promise *promise = wait_with(f->tracker, "doc-1", 5, 5, NULL);
    then_record(f, promise);
    recorder_await(&f->recorder, 1);
    assert_status(f->recorder.calls[0].outcome, CTRACK_TIMED_OUT);
    ctrack_promise_release(promise);
}

static void test_callback_on_a_settled_promise_runs_too(void **state)
{
    fixture *f = *state;
    ctrack_promise *promise = wait_with(f->tracker, "doc-1", 5, 0, NULL);
    then_record(f, promise);
    recorder_await(&f->recorder, 1);
    assert_status(f->recorder.calls[0].outcome, CTRACK_TIMED_OUT);
    ctrack_promise_release(promise);
}

static void test_callback_never_runs_on_the_updating_thread(void **state)
{
    fixture *f = *state;
    ctrack_promise *promise = wait_for(f->tracker, "doc-1", 5);
    then_record(f, promise);
    update(f->tracker, "doc-1", 5);
    recorder_await(&f->recorder, 1);
    assert_false(pthread_equal(f->recorder.calls[0].thread, pthread_self()));
    ctrack_promise_release(promise);
}

static void test_callback_on_a_settled_promise_never_runs_on_the_calling_thread(void **state)
{
    fixture *f = *state;
    ctrack_promise *promise = wait_for_all(f->tracker, NULL, 0);
    then_record(f, promise);
    recorder_await(&f->recorder, 1);
    assert_false(pthread_equal(f->recorder.calls[0].thread, pthread_self()));
    ctrack_promise_release(promise);
}

static void test_callbacks_all_run_on_one_thread(void **state)
{
    fixture *f = *state;
    ctrack_abort_signal *signal = new_signal();
    ctrack_promise *promises[] = {wait_for(f->tracker, "doc-1", 5), wait_for_all(f->tracker, NULL, 0),
                                  wait_with(f->tracker, "doc-2", 5, 1, NULL),
                                  wait_with(f->tracker, "doc-3", 5, CTRACK_FOREVER, signal)};
    for (int i = 0; i < 4; i++) {
        then_record(f, promises[i]);
    }
    update(f->tracker, "doc-1", 5);
    ctrack_abort(signal);
    recorder_await(&f->recorder, 4);
    for (int i = 1; i < 4; i++) {
        assert_true(pthread_equal(f->recorder.calls[i].thread, f->recorder.calls[0].thread));
    }
    for (int i = 0; i < 4; i++) {
        ctrack_promise_release(promises[i]);
    }
    ctrack_abort_signal_release(signal);
}

enum { ORDERED = 64 };

static void test_callbacks_run_in_the_order_of_settling(void **state)
{
    fixture *f = *state;
    ctrack_promise *promises[ORDERED];
    for (int i = 0; i < ORDERED; i++) {
        promises[i] = wait_for(f->tracker, "doc-1", ORDERED - i); /* the last one made settles first */
        then_record(f, promises[i]);
    }
    for (int i = 1; i <= ORDERED; i++) {
        update(f->tracker, "doc-1", i);
    }
    recorder_await(&f->recorder, ORDERED);
    for (int i = 0; i < ORDERED; i++) {
        assert_ptr_equal(f->recorder.calls[i].promise, promises[ORDERED - 1 - i]);
    }
    for (int i = 0; i < ORDERED; i++) {
        ctrack_promise_release(promises[i]);
    }
}

static void test_callbacks_of_different_outcomes_run_in_the_order_of_settling(void **state)
{
    fixture *f = *state;
    ctrack_abort_signal *signal = new_signal();
    ctrack_promise *first = wait_with(f->tracker, "doc-1", 5, CTRACK_FOREVER, signal);
    ctrack_promise *second = wait_for(f->tracker, "doc-1", 5);
    ctrack_promise *third = wait_for(f->tracker, "doc-2", 5);
    then_record(f, third);
    then_record(f, second);
    then_record(f, first);
    ctrack_abort(signal);
    update(f->tracker, "doc-1", 5);
    update(f->tracker, "doc-2", 5);
    recorder_await(&f->recorder, 3);
    assert_ptr_equal(f->recorder.calls[0].promise, first);
    assert_ptr_equal(f->recorder.calls[1].promise, second);
    assert_ptr_equal(f->recorder.calls[2].promise, third);
    ctrack_promise_release(first);
    ctrack_promise_release(second);
    ctrack_promise_release(third);
    ctrack_abort_signal_release(signal);
}

static void test_second_callback_on_a_pending_promise_is_misuse(void **state)
{
    fixture *f = *state;
    ctrack_promise *promise = wait_for(f->tracker, "doc-1", 5);
    then_record(f, promise);
    assert_status(ctrack_promise_then(promise, record, &f->recorder), CTRACK_MISUSE);
    update(f->tracker, "doc-1", 5);
    ctrack_promise_release(promise);
}

static void test_second_callback_on_a_settled_promise_is_misuse(void **state)
{
    fixture *f = *state;
    ctrack_promise *promise = wait_for_all(f->tracker, NULL, 0);
    then_record(f, promise);
    recorder_await(&f->recorder, 1);
    assert_status(ctrack_promise_then(promise, record, &f->recorder), CTRACK_MISUSE);
    ctrack_promise_release(promise);
}

static void test_callback_that_was_refused_does_not_run(void **state)
{
    fixture *f = *state;
    ctrack_promise *promise = wait_for(f->tracker, "doc-1", 5);
    then_record(f, promise);
    ctrack_promise_then(promise, record, &f->recorder);
    update(f->tracker, "doc-1", 5);
    ctrack_promise_release(promise);
    close_tracker(&f->tracker); /* all callbacks have run when it returns */
    assert_int_equal(recorder_count(&f->recorder), 1);
}

/* ---------------------------------------------------------------- what a callback may do */

/* What a callback did and saw; its test judges it after recorder_await(). */
typedef struct scene {
    fixture *f;
    ctrack_status result;
    ctrack_status another;
    int64_t index;
    ctrack_promise *promise;
    ctrack_abort_signal *signal;
} scene;

/* Has `callback` run once, for doc-1 reaching 5, with a scene as its argument. */
static scene *play(fixture *f, ctrack_callback *callback)
{
    scene *s = calloc(1, sizeof *s);
    assert_non_null(s);
    f->extra = s;
    s->f = f;
    s->result = CTRACK_PENDING;
    s->another = CTRACK_PENDING;
    ctrack_promise *promise = wait_for(f->tracker, "doc-1", 5);
    assert_status(ctrack_promise_then(promise, callback, s), CTRACK_OK);
    ctrack_promise_release(promise);
    return s;
}

static scene *play_now(fixture *f, ctrack_callback *callback)
{
    scene *s = play(f, callback);
    update(f->tracker, "doc-1", 5);
    recorder_await(&f->recorder, 1);
    return s;
}

static void done(scene *s)
{
    record(NULL, CTRACK_OK, &s->f->recorder);
}

static void look_at_own_promise(ctrack_promise *promise, ctrack_status outcome, void *argument)
{
    scene *s = argument;
    s->result = ctrack_promise_status(promise);
    s->another = ctrack_promise_await(promise);
    (void)outcome;
    done(s);
}

static void test_promise_that_was_released_is_valid_in_its_callback(void **state)
{
    scene *s = play_now(*state, look_at_own_promise);
    assert_status(s->result, CTRACK_OK);
    assert_status(s->another, CTRACK_OK);
}

static void read_in_callback(ctrack_promise *promise, ctrack_status outcome, void *argument)
{
    scene *s = argument;
    ctrack_key seen = key("doc-1");
    s->result = ctrack_get_latest(s->f->tracker, &seen, &s->index);
    ctrack_snapshot *snapshot = NULL;
    s->another = ctrack_serialize(s->f->tracker, &snapshot, NULL);
    ctrack_snapshot_free(snapshot);
    (void)promise;
    (void)outcome;
    done(s);
}

static void test_callback_may_read(void **state)
{
    scene *s = play_now(*state, read_in_callback);
    assert_status(s->result, CTRACK_OK);
    assert_int_equal(s->index, 5);
    assert_status(s->another, CTRACK_OK);
}

static void update_in_callback(ctrack_promise *promise, ctrack_status outcome, void *argument)
{
    scene *s = argument;
    ctrack_coordinate progress = at("doc-2", 5);
    s->result = ctrack_update(s->f->tracker, &progress, 1, NULL);
    (void)promise;
    (void)outcome;
    done(s);
}

static void test_callback_may_update(void **state)
{
    fixture *f = *state;
    scene *s = play_now(f, update_in_callback);
    assert_status(s->result, CTRACK_OK);
    assert_int_equal(latest(f->tracker, "doc-2"), 5);
}

static void test_update_in_a_callback_has_further_callbacks_run(void **state)
{
    fixture *f = *state;
    ctrack_promise *promise = wait_for(f->tracker, "doc-2", 5);
    then_record(f, promise);
    play(f, update_in_callback);
    update(f->tracker, "doc-1", 5);
    recorder_await(&f->recorder, 2);
    assert_ptr_equal(f->recorder.calls[1].promise, promise);
    ctrack_promise_release(promise);
}

static void replace_and_forget_in_callback(ctrack_promise *promise, ctrack_status outcome, void *argument)
{
    scene *s = argument;
    ctrack_coordinate entries[] = {at("doc-8", 8), at("doc-9", 9)};
    s->result = ctrack_hydrate(s->f->tracker, entries, 2, NULL);
    ctrack_key forgotten = key("doc-8");
    s->another = ctrack_forget(s->f->tracker, &forgotten, 1, NULL);
    (void)promise;
    (void)outcome;
    done(s);
}

static void test_callback_may_hydrate_and_forget(void **state)
{
    fixture *f = *state;
    scene *s = play_now(f, replace_and_forget_in_callback);
    assert_status(s->result, CTRACK_OK);
    assert_status(s->another, CTRACK_OK);
    assert_int_equal(entry_count(f->tracker), 1);
    assert_int_equal(latest(f->tracker, "doc-9"), 9);
}

static void refresh_in_callback(ctrack_promise *promise, ctrack_status outcome, void *argument)
{
    scene *s = argument;
    s->result = ctrack_refresh(s->f->tracker, NULL);
    (void)promise;
    (void)outcome;
    done(s);
}

static void test_callback_may_refresh(void **state)
{
    assert_status(play_now(*state, refresh_in_callback)->result, CTRACK_OK);
}

static void wait_in_callback(ctrack_promise *promise, ctrack_status outcome, void *argument)
{
    scene *s = argument;
    ctrack_coordinate wanted = at("doc-2", 5);
    s->result = ctrack_wait_for(s->f->tracker, &wanted, 1, CTRACK_FOREVER, NULL, &s->promise, NULL);
    s->another = ctrack_promise_then(s->promise, record, &s->f->recorder);
    (void)promise;
    (void)outcome;
    done(s);
}

static void test_callback_may_wait_for_more(void **state)
{
    fixture *f = *state;
    scene *s = play_now(f, wait_in_callback);
    assert_status(s->result, CTRACK_OK);
    assert_status(s->another, CTRACK_OK);
    update(f->tracker, "doc-2", 5);
    recorder_await(&f->recorder, 2);
    assert_ptr_equal(f->recorder.calls[1].promise, s->promise);
    ctrack_promise_release(s->promise);
}

static void block_until_a_timeout_in_callback(ctrack_promise *promise, ctrack_status outcome, void *argument)
{
    scene *s = argument;
    ctrack_coordinate wanted = at("doc-2", 5);
    s->result = ctrack_wait(s->f->tracker, &wanted, 1, 5, NULL, NULL);
    (void)promise;
    (void)outcome;
    done(s);
}

static void test_callback_may_block_until_a_timeout(void **state)
{
    assert_status(play_now(*state, block_until_a_timeout_in_callback)->result, CTRACK_TIMED_OUT);
}

static void block_until_an_update_in_callback(ctrack_promise *promise, ctrack_status outcome, void *argument)
{
    scene *s = argument;
    ctrack_coordinate wanted = at("doc-2", 5);
    gate_open(&s->f->gate);
    s->result = ctrack_wait(s->f->tracker, &wanted, 1, CTRACK_FOREVER, NULL, NULL);
    (void)promise;
    (void)outcome;
    done(s);
}

static void test_callback_may_block_until_another_thread_updates(void **state)
{
    fixture *f = *state;
    scene *s = play(f, block_until_an_update_in_callback);
    update(f->tracker, "doc-1", 5);
    gate_pass(&f->gate);
    update(f->tracker, "doc-2", 5);
    recorder_await(&f->recorder, 1);
    assert_status(s->result, CTRACK_OK);
}

static void abort_in_callback(ctrack_promise *promise, ctrack_status outcome, void *argument)
{
    scene *s = argument;
    ctrack_abort(s->signal);
    (void)promise;
    (void)outcome;
    done(s);
}

static void test_callback_may_abort(void **state)
{
    fixture *f = *state;
    ctrack_abort_signal *signal = new_signal();
    ctrack_promise *promise = wait_with(f->tracker, "doc-2", 5, CTRACK_FOREVER, signal);
    then_record(f, promise);
    play(f, abort_in_callback)->signal = signal;
    update(f->tracker, "doc-1", 5);
    recorder_await(&f->recorder, 2);
    assert_status(ctrack_promise_status(promise), CTRACK_ABORTED);
    ctrack_promise_release(promise);
    ctrack_abort_signal_release(signal);
}

static void release_own_promise(ctrack_promise *promise, ctrack_status outcome, void *argument)
{
    (void)outcome;
    ctrack_promise_release(promise);
    record(NULL, CTRACK_OK, argument);
}

static void test_callback_may_release_its_promise(void **state)
{
    fixture *f = *state;
    ctrack_promise *promise = wait_for(f->tracker, "doc-1", 5);
    assert_status(ctrack_promise_then(promise, release_own_promise, &f->recorder), CTRACK_OK);
    update(f->tracker, "doc-1", 5);
    recorder_await(&f->recorder, 1);
}

static void release_another_promise(ctrack_promise *promise, ctrack_status outcome, void *argument)
{
    scene *s = argument;
    (void)promise;
    (void)outcome;
    ctrack_promise_release(s->promise);
    done(s);
}

static void test_callback_may_release_a_pending_promise(void **state)
{
    fixture *f = *state;
    ctrack_promise *promise = wait_for(f->tracker, "doc-2", 5);
    play(f, release_another_promise)->promise = promise;
    update(f->tracker, "doc-1", 5);
    recorder_await(&f->recorder, 1);
    update(f->tracker, "doc-2", 5);
}

static void close_in_callback(ctrack_promise *promise, ctrack_status outcome, void *argument)
{
    scene *s = argument;
    ctrack_error error;
    s->result = ctrack_close(s->f->tracker, &error);
    s->another = error.status;
    (void)promise;
    (void)outcome;
    done(s);
}

static void test_close_in_a_callback_is_misuse(void **state)
{
    scene *s = play_now(*state, close_in_callback);
    assert_status(s->result, CTRACK_MISUSE);
    assert_status(s->another, CTRACK_MISUSE);
}

static void test_tracker_works_on_after_close_in_a_callback(void **state)
{
    fixture *f = *state;
    play_now(f, close_in_callback);
    update(f->tracker, "doc-1", 6);
    assert_int_equal(latest(f->tracker, "doc-1"), 6);
}

static void pass_gate_in_callback(ctrack_promise *promise, ctrack_status outcome, void *argument)
{
    scene *s = argument;
    (void)promise;
    (void)outcome;
    gate_pass(&s->f->gate);
    done(s);
}

static void test_blocked_threads_time_out_while_a_callback_blocks(void **state)
{
    fixture *f = *state;
    play(f, pass_gate_in_callback);
    update(f->tracker, "doc-1", 5);
    ctrack_coordinate wanted = at("doc-2", 5);
    assert_status(ctrack_wait(f->tracker, &wanted, 1, 5, NULL, NULL), CTRACK_TIMED_OUT);
    gate_open(&f->gate);
    recorder_await(&f->recorder, 1);
}

static void test_updates_and_waits_go_on_while_a_callback_blocks(void **state)
{
    fixture *f = *state;
    play(f, pass_gate_in_callback);
    update(f->tracker, "doc-1", 5);
    ctrack_promise *promise = wait_for(f->tracker, "doc-2", 5);
    update(f->tracker, "doc-2", 5);
    assert_status(ctrack_promise_status(promise), CTRACK_OK);
    ctrack_promise_release(promise);
    gate_open(&f->gate);
    recorder_await(&f->recorder, 1);
}

/* ---------------------------------------------------------------- release */

static void test_release_of_null_is_fine(void **state)
{
    (void)state;
    ctrack_promise_release(NULL);
}

static void test_callback_runs_though_the_promise_was_released(void **state)
{
    fixture *f = *state;
    ctrack_promise *promise = wait_for(f->tracker, "doc-1", 5);
    then_record(f, promise);
    ctrack_promise_release(promise);
    update(f->tracker, "doc-1", 5);
    recorder_await(&f->recorder, 1);
    assert_status(f->recorder.calls[0].outcome, CTRACK_OK);
}

static void test_timeout_of_a_released_promise_runs_its_callback(void **state)
{
    fixture *f = *state;
    ctrack_promise *promise = wait_with(f->tracker, "doc-1", 5, 5, NULL);
    then_record(f, promise);
    ctrack_promise_release(promise);
    recorder_await(&f->recorder, 1);
    assert_status(f->recorder.calls[0].outcome, CTRACK_TIMED_OUT);
}

/* What was cancelled must not be touched by what would have settled it: a sanitizer sees to that. */
static void test_release_without_a_callback_cancels_the_wait(void **state)
{
    fixture *f = *state;
    ctrack_abort_signal *signal = new_signal();
    ctrack_coordinate wanted[] = {at("doc-1", 5), at("doc-2", 5)};
    ctrack_promise *promise = NULL;
    assert_status(ctrack_wait_for(f->tracker, wanted, 2, 5, signal, &promise, NULL), CTRACK_OK);
    ctrack_promise_release(promise);
    update(f->tracker, "doc-1", 5);
    ctrack_abort(signal);
    update(f->tracker, "doc-2", 5);
    ctrack_promise *later = wait_with(f->tracker, "doc-3", 5, 10, NULL);
    assert_status(ctrack_promise_await(later), CTRACK_TIMED_OUT);
    ctrack_promise_release(later);
    ctrack_abort_signal_release(signal);
}

static void test_release_leaves_other_waits_on_the_key_alone(void **state)
{
    fixture *f = *state;
    ctrack_promise *promises[ORDERED];
    for (int i = 0; i < ORDERED; i++) {
        promises[i] = wait_for(f->tracker, "doc-1", 1 + (i * 29) % ORDERED);
    }
    for (int i = 0; i < ORDERED; i += 3) {
        ctrack_promise_release(promises[i]);
    }
    for (int reached = 1; reached <= ORDERED; reached++) {
        update(f->tracker, "doc-1", reached);
        for (int i = 0; i < ORDERED; i++) {
            if (i % 3 != 0) {
                assert_status(ctrack_promise_status(promises[i]),
                              1 + (i * 29) % ORDERED <= reached ? CTRACK_OK : CTRACK_PENDING);
            }
        }
    }
    for (int i = 0; i < ORDERED; i++) {
        if (i % 3 != 0) {
            ctrack_promise_release(promises[i]);
        }
    }
}

/* ---------------------------------------------------------------- the descriptor */

static bool readable(int descriptor, int timeout_ms)
{
    struct pollfd poll_descriptor = {descriptor, POLLIN, 0};
    return poll(&poll_descriptor, 1, timeout_ms) == 1 && (poll_descriptor.revents & POLLIN) != 0;
}

/* Pipes, which is what promises are polled by. Threads of the tracker's own may be opening other files meanwhile. */
static size_t open_descriptors(void)
{
    DIR *directory = opendir("/proc/self/fd");
    assert_non_null(directory);
    size_t count = 0;
    for (const struct dirent *entry = readdir(directory); entry != NULL; entry = readdir(directory)) {
        char target[16];
        ssize_t length = readlinkat(dirfd(directory), entry->d_name, target, sizeof target);
        count += length > 5 && memcmp(target, "pipe:", 5) == 0;
    }
    closedir(directory);
    return count;
}

static void test_descriptor_is_not_readable_while_the_promise_is_pending(void **state)
{
    fixture *f = *state;
    ctrack_promise *promise = wait_for(f->tracker, "doc-1", 5);
    int descriptor = ctrack_promise_fd(promise);
    assert_true(descriptor >= 0);
    update(f->tracker, "doc-1", 4);
    assert_false(readable(descriptor, 0));
    ctrack_promise_release(promise);
}

static void test_descriptor_is_readable_once_the_promise_is_satisfied(void **state)
{
    fixture *f = *state;
    ctrack_promise *promise = wait_for(f->tracker, "doc-1", 5);
    int descriptor = ctrack_promise_fd(promise);
    update(f->tracker, "doc-1", 5);
    assert_true(readable(descriptor, -1));
    assert_status(ctrack_promise_status(promise), CTRACK_OK);
    ctrack_promise_release(promise);
}

static void test_poll_wakes_for_a_timeout(void **state)
{
    fixture *f = *state;
    ctrack_promise *promise = wait_with(f->tracker, "doc-1", 5, 5, NULL);
    assert_true(readable(ctrack_promise_fd(promise), -1));
    assert_status(ctrack_promise_status(promise), CTRACK_TIMED_OUT);
    ctrack_promise_release(promise);
}

static void test_poll_wakes_for_an_abort(void **state)
{
    fixture *f = *state;
    ctrack_abort_signal *signal = new_signal();
    ctrack_promise *promise = wait_with(f->tracker, "doc-1", 5, CTRACK_FOREVER, signal);
    int descriptor = ctrack_promise_fd(promise);
    ctrack_abort(signal);
    assert_true(readable(descriptor, -1));
    ctrack_promise_release(promise);
    ctrack_abort_signal_release(signal);
}

static void test_descriptor_made_after_settling_is_readable(void **state)
{
    fixture *f = *state;
    ctrack_promise *promise = wait_with(f->tracker, "doc-1", 5, 0, NULL);
    assert_true(readable(ctrack_promise_fd(promise), 0));
    ctrack_promise_release(promise);
}

static void test_descriptor_stays_readable(void **state)
{
    fixture *f = *state;
    ctrack_promise *promise = wait_for_all(f->tracker, NULL, 0);
    int descriptor = ctrack_promise_fd(promise);
    assert_true(readable(descriptor, 0));
    assert_true(readable(descriptor, 0));
    ctrack_promise_release(promise);
}

static void test_descriptor_is_the_same_at_every_call(void **state)
{
    fixture *f = *state;
    ctrack_promise *promise = wait_for(f->tracker, "doc-1", 5);
    int descriptor = ctrack_promise_fd(promise);
    assert_int_equal(ctrack_promise_fd(promise), descriptor);
    ctrack_promise_release(promise);
}

static void test_promise_that_nobody_polls_has_no_descriptor(void **state)
{
    fixture *f = *state;
    ctrack_promise *first = wait_for(f->tracker, "doc-1", 5);
    then_record(f, first); /* the service thread is there from now on */
    size_t before = open_descriptors();
    ctrack_promise *promises[ORDERED];
    for (int i = 0; i < ORDERED; i++) {
        promises[i] = wait_for(f->tracker, "doc-1", 5);
    }
    assert_int_equal(open_descriptors(), before);
    for (int i = 0; i < ORDERED; i++) {
        ctrack_promise_release(promises[i]);
    }
    ctrack_promise_release(first);
}

static void test_descriptors_go_with_their_promises(void **state)
{
    fixture *f = *state;
    ctrack_promise *first = wait_for(f->tracker, "doc-1", 5);
    ctrack_promise_fd(first); /* the service thread is there from now on */
    size_t before = open_descriptors();
    for (int i = 0; i < ORDERED; i++) {
        ctrack_promise *promise = i % 2 == 0 ? wait_for(f->tracker, "doc-1", 5) : wait_for_all(f->tracker, NULL, 0);
        assert_true(ctrack_promise_fd(promise) >= 0);
        ctrack_promise_release(promise);
    }
    assert_int_equal(open_descriptors(), before);
    ctrack_promise_release(first);
}

/* ---------------------------------------------------------------- missing */

static ctrack_snapshot *missing_of(ctrack_promise *promise)
{
    ctrack_snapshot *missing = NULL;
    assert_status(ctrack_promise_missing(promise, &missing, NULL), CTRACK_OK);
    return missing;
}

static void assert_missing(const ctrack_snapshot *missing, size_t i, const char *document, int64_t has, int64_t needs)
{
    assert_true(i < ctrack_snapshot_count(missing));
    const ctrack_coordinate *entry = &ctrack_snapshot_entries(missing)[i];
    assert_string_equal(entry->document_id, document);
    assert_string_equal(entry->scope, "document");
    assert_string_equal(entry->branch, "main");
    assert_int_equal(entry->operation_index, has);
    assert_int_equal(ctrack_snapshot_targets(missing)[i], needs);
}

static ctrack_promise *wait_for_three(fixture *f)
{
    ctrack_coordinate wanted[] = {at("doc-3", 30), at("doc-1", 10), at("doc-2", 20)};
    return wait_for_all(f->tracker, wanted, 3);
}

static void test_missing_lists_what_is_not_reached_with_has_and_needs(void **state)
{
    fixture *f = *state;
    update(f->tracker, "doc-3", 29);
    update(f->tracker, "doc-2", 20);
    ctrack_promise *promise = wait_for_three(f);
    ctrack_snapshot *missing = missing_of(promise);
    assert_int_equal(ctrack_snapshot_count(missing), 2);
    assert_missing(missing, 0, "doc-1", -1, 10);
    assert_missing(missing, 1, "doc-3", 29, 30);
    ctrack_snapshot_free(missing);
    ctrack_promise_release(promise);
}

static void test_missing_follows_progress_while_the_wait_is_pending(void **state)
{
    fixture *f = *state;
    ctrack_promise *promise = wait_for_three(f);
    update(f->tracker, "doc-1", 10);
    update(f->tracker, "doc-2", 7);
    ctrack_snapshot *missing = missing_of(promise);
    assert_int_equal(ctrack_snapshot_count(missing), 2);
    assert_missing(missing, 0, "doc-2", 7, 20);
    assert_missing(missing, 1, "doc-3", -1, 30);
    ctrack_snapshot_free(missing);
    ctrack_promise_release(promise);
}

static void test_missing_is_empty_for_a_satisfied_wait(void **state)
{
    fixture *f = *state;
    ctrack_promise *promise = wait_for(f->tracker, "doc-1", 5);
    update(f->tracker, "doc-1", 5);
    ctrack_snapshot *missing = missing_of(promise);
    assert_int_equal(ctrack_snapshot_count(missing), 0);
    ctrack_snapshot_free(missing);
    ctrack_promise_release(promise);
}

static void test_missing_is_empty_for_a_satisfied_wait_whose_progress_was_taken_back(void **state)
{
    fixture *f = *state;
    ctrack_promise *promise = wait_for(f->tracker, "doc-1", 5);
    update(f->tracker, "doc-1", 5);
    assert_status(ctrack_hydrate(f->tracker, NULL, 0, NULL), CTRACK_OK);
    ctrack_snapshot *missing = missing_of(promise);
    assert_int_equal(ctrack_snapshot_count(missing), 0);
    ctrack_snapshot_free(missing);
    ctrack_promise_release(promise);
}

static void test_missing_stays_what_it_was_when_the_wait_timed_out(void **state)
{
    fixture *f = *state;
    update(f->tracker, "doc-1", 3);
    ctrack_promise *promise = wait_with(f->tracker, "doc-1", 5, 1, NULL);
    assert_status(ctrack_promise_await(promise), CTRACK_TIMED_OUT);
    update(f->tracker, "doc-1", 9);
    ctrack_snapshot *missing = missing_of(promise);
    assert_int_equal(ctrack_snapshot_count(missing), 1);
    assert_missing(missing, 0, "doc-1", 3, 5);
    ctrack_snapshot_free(missing);
    ctrack_promise_release(promise);
}

static void test_missing_stays_what_it_was_when_the_wait_was_over_at_once(void **state)
{
    fixture *f = *state;
    update(f->tracker, "doc-1", 3);
    ctrack_promise *promise = wait_with(f->tracker, "doc-1", 5, 0, NULL);
    update(f->tracker, "doc-1", 9);
    ctrack_snapshot *missing = missing_of(promise);
    assert_int_equal(ctrack_snapshot_count(missing), 1);
    assert_missing(missing, 0, "doc-1", 3, 5);
    ctrack_snapshot_free(missing);
    ctrack_promise_release(promise);
}

static void test_missing_stays_what_it_was_when_the_wait_was_aborted(void **state)
{
    fixture *f = *state;
    ctrack_abort_signal *signal = new_signal();
    update(f->tracker, "doc-1", 3);
    ctrack_promise *promise = wait_with(f->tracker, "doc-1", 5, CTRACK_FOREVER, signal);
    ctrack_abort(signal);
    update(f->tracker, "doc-1", 9);
    ctrack_snapshot *missing = missing_of(promise);
    assert_int_equal(ctrack_snapshot_count(missing), 1);
    assert_missing(missing, 0, "doc-1", 3, 5);
    ctrack_snapshot_free(missing);
    ctrack_promise_release(promise);
    ctrack_abort_signal_release(signal);
}

static void test_missing_lists_a_duplicate_once_at_its_highest_index(void **state)
{
    fixture *f = *state;
    ctrack_coordinate wanted[] = {at("doc-1", 3), at("doc-1", 7), at("doc-1", 5)};
    ctrack_promise *promise = wait_for_all(f->tracker, wanted, 3);
    ctrack_snapshot *missing = missing_of(promise);
    assert_int_equal(ctrack_snapshot_count(missing), 1);
    assert_missing(missing, 0, "doc-1", -1, 7);
    ctrack_snapshot_free(missing);
    ctrack_promise_release(promise);
}

static void test_missing_outlives_the_promise(void **state)
{
    fixture *f = *state;
    ctrack_promise *promise = wait_for(f->tracker, "doc-1", 5);
    ctrack_snapshot *missing = missing_of(promise);
    ctrack_promise_release(promise);
    close_tracker(&f->tracker);
    assert_missing(missing, 0, "doc-1", -1, 5);
    ctrack_snapshot_free(missing);
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        TEST_BOTH(test_outcome_never_changes),
        TEST_BOTH(test_satisfied_promise_stays_satisfied_when_the_progress_is_forgotten),
        TEST_BOTH(test_await_again_returns_the_same_outcome),
        TEST_BOTH(test_promise_that_is_settled_while_await_begins_does_not_block),
        TEST_BOTH(test_many_threads_may_await_one_promise),
        TEST_BOTH(test_callback_gets_the_promise_and_its_outcome),
        TEST_BOTH(test_callback_runs_for_a_timeout),
        TEST_BOTH(test_callback_on_a_settled_promise_runs_too),
        TEST_BOTH(test_callback_never_runs_on_the_updating_thread),
        TEST_BOTH(test_callback_on_a_settled_promise_never_runs_on_the_calling_thread),
        TEST_BOTH(test_callbacks_all_run_on_one_thread),
        TEST_BOTH(test_callbacks_run_in_the_order_of_settling),
        TEST_BOTH(test_callbacks_of_different_outcomes_run_in_the_order_of_settling),
        TEST_BOTH(test_second_callback_on_a_pending_promise_is_misuse),
        TEST_BOTH(test_second_callback_on_a_settled_promise_is_misuse),
        TEST_BOTH(test_callback_that_was_refused_does_not_run),
        TEST_BOTH(test_promise_that_was_released_is_valid_in_its_callback),
        TEST_BOTH(test_callback_may_read),
        TEST_BOTH(test_callback_may_update),
        TEST_BOTH(test_update_in_a_callback_has_further_callbacks_run),
        TEST_BOTH(test_callback_may_hydrate_and_forget),
        TEST_BOTH(test_callback_may_refresh),
        TEST_BOTH(test_callback_may_wait_for_more),
        TEST_BOTH(test_callback_may_block_until_a_timeout),
        TEST_BOTH(test_callback_may_block_until_another_thread_updates),
        TEST_BOTH(test_callback_may_abort),
        TEST_BOTH(test_callback_may_release_its_promise),
        TEST_BOTH(test_callback_may_release_a_pending_promise),
        TEST_BOTH(test_close_in_a_callback_is_misuse),
        TEST_BOTH(test_tracker_works_on_after_close_in_a_callback),
        TEST_BOTH(test_blocked_threads_time_out_while_a_callback_blocks),
        TEST_BOTH(test_updates_and_waits_go_on_while_a_callback_blocks),
        TEST(test_release_of_null_is_fine),
        TEST_BOTH(test_callback_runs_though_the_promise_was_released),
        TEST_BOTH(test_timeout_of_a_released_promise_runs_its_callback),
        TEST_BOTH(test_release_without_a_callback_cancels_the_wait),
        TEST_BOTH(test_release_leaves_other_waits_on_the_key_alone),
        TEST_IN_MEMORY(test_descriptor_is_not_readable_while_the_promise_is_pending),
        TEST_BOTH(test_descriptor_is_readable_once_the_promise_is_satisfied),
        TEST_BOTH(test_poll_wakes_for_a_timeout),
        TEST_IN_MEMORY(test_poll_wakes_for_an_abort),
        TEST_IN_MEMORY(test_descriptor_made_after_settling_is_readable),
        TEST_IN_MEMORY(test_descriptor_stays_readable),
        TEST_IN_MEMORY(test_descriptor_is_the_same_at_every_call),
        TEST_BOTH(test_promise_that_nobody_polls_has_no_descriptor),
        TEST_BOTH(test_descriptors_go_with_their_promises),
        TEST_BOTH(test_missing_lists_what_is_not_reached_with_has_and_needs),
        TEST_BOTH(test_missing_follows_progress_while_the_wait_is_pending),
        TEST_BOTH(test_missing_is_empty_for_a_satisfied_wait),
        TEST_BOTH(test_missing_is_empty_for_a_satisfied_wait_whose_progress_was_taken_back),
        TEST_BOTH(test_missing_stays_what_it_was_when_the_wait_timed_out),
        TEST_BOTH(test_missing_stays_what_it_was_when_the_wait_was_over_at_once),
        TEST_BOTH(test_missing_stays_what_it_was_when_the_wait_was_aborted),
        TEST_BOTH(test_missing_lists_a_duplicate_once_at_its_highest_index),
        TEST_BOTH(test_missing_outlives_the_promise),
    };
    return SUPPORT_MAIN(argc, argv, "promise", tests, NULL);
}
