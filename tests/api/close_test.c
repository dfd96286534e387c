/* SPDX-License-Identifier: MIT */
/* ctrack_close(), and what outlives it. */
#include "support.h"

#include <dirent.h>
#include <poll.h>
#include <stdio.h>

static void test_close_of_null_is_fine(void **state)
{
    fixture *f = *state;
    assert_status(ctrack_close(NULL, &f->error), CTRACK_OK);
}

static void test_close_settles_pending_waits_as_closed(void **state)
{
    fixture *f = *state;
    ctrack_promise *forever = wait_for(f->tracker, "doc-1", 5);
    ctrack_promise *limited = wait_with(f->tracker, "doc-2", 5, 60000, NULL);
    close_tracker(&f->tracker);
    assert_status(ctrack_promise_status(forever), CTRACK_CLOSED);
    assert_status(ctrack_promise_status(limited), CTRACK_CLOSED);
    ctrack_promise_release(forever);
    ctrack_promise_release(limited);
}

static void test_close_leaves_earlier_outcomes_alone(void **state)
{
    fixture *f = *state;
    ctrack_promise *satisfied = wait_for_all(f->tracker, NULL, 0);
    ctrack_promise *timed_out = wait_with(f->tracker, "doc-1", 5, 0, NULL);
    close_tracker(&f->tracker);
    assert_status(ctrack_promise_status(satisfied), CTRACK_OK);
    assert_status(ctrack_promise_status(timed_out), CTRACK_TIMED_OUT);
    ctrack_promise_release(satisfied);
    ctrack_promise_release(timed_out);
}

static void *await_promise(void *promise)
{
    return ctrack_promise_await(promise) == CTRACK_CLOSED ? promise : NULL;
}

static void test_close_wakes_threads_that_await(void **state)
{
    fixture *f = *state;
    ctrack_promise *promise = wait_for(f->tracker, "doc-1", 5);
    pthread_t thread = thread_start(await_promise, promise);
    close_tracker(&f->tracker);
    assert_ptr_equal(thread_join(thread), promise);
    ctrack_promise_release(promise);
}

enum { CALLBACKS = 50 };

static void test_callbacks_have_run_when_close_returns(void **state)
{
    fixture *f = *state;
    for (int i = 0; i < CALLBACKS; i++) {
        ctrack_promise *promise = wait_for(f->tracker, "doc-1", i);
        assert_status(ctrack_promise_then(promise, record, &f->recorder), CTRACK_OK);
        ctrack_promise_release(promise);
    }
    close_tracker(&f->tracker);
    assert_int_equal(recorder_count(&f->recorder), CALLBACKS);
    for (int i = 0; i < CALLBACKS; i++) {
        assert_status(f->recorder.calls[i].outcome, CTRACK_CLOSED);
        assert_false(pthread_equal(f->recorder.calls[i].thread, pthread_self()));
    }
}

static void test_callbacks_of_earlier_outcomes_have_run_when_close_returns(void **state)
{
    fixture *f = *state;
    for (int i = 0; i < CALLBACKS; i++) {
        ctrack_promise *promise = wait_for(f->tracker, "doc-1", i);
        assert_status(ctrack_promise_then(promise, record, &f->recorder), CTRACK_OK);
        ctrack_promise_release(promise);
    }
    update(f->tracker, "doc-1", CALLBACKS);
    close_tracker(&f->tracker);
    assert_int_equal(recorder_count(&f->recorder), CALLBACKS);
    for (int i = 0; i < CALLBACKS; i++) {
        assert_status(f->recorder.calls[i].outcome, CTRACK_OK);
    }
}

typedef struct closing {
    fixture *f;
    gate in_callback;
    bool callback_done;
    bool done_before_close_returned;
} closing;

static void linger(ctrack_promise *promise, ctrack_status outcome, void *argument)
{
    closing *c = argument;
    (void)promise;
    (void)outcome;
    gate_open(&c->in_callback);
    gate_pass(&c->f->gate);
    c->callback_done = true;
}

static void *close_it(void *argument)
{
    closing *c = argument;
    ctrack_close(c->f->tracker, NULL);
    c->done_before_close_returned = c->callback_done;
    return NULL;
}

static void test_close_waits_for_the_callback_that_is_running(void **state)
{
    fixture *f = *state;
    closing *c = calloc(1, sizeof *c);
    assert_non_null(c);
    f->extra = c;
    c->f = f;
    gate_init(&c->in_callback);
    ctrack_promise *promise = wait_for_all(f->tracker, NULL, 0);
    assert_status(ctrack_promise_then(promise, linger, c), CTRACK_OK);
    ctrack_promise_release(promise);
    gate_pass(&c->in_callback);
    pthread_t thread = thread_start(close_it, c);
    gate_open(&f->gate);
    thread_join(thread);
    f->tracker = NULL;
    gate_destroy(&c->in_callback);
    assert_true(c->done_before_close_returned);
}

/* ---------------------------------------------------------------- new work is refused */

typedef struct refusals {
    fixture *f;
    ctrack_status update, wait_for;
    ctrack_promise *promise;
} refusals;

static void try_new_work(ctrack_promise *promise, ctrack_status outcome, void *argument)
{
    refusals *r = argument;
    (void)promise;
    if (outcome != CTRACK_CLOSED) {
        return;
    }
    ctrack_coordinate progress = at("doc-1", 5);
    r->update = ctrack_update(r->f->tracker, &progress, 1, NULL);
    r->wait_for = ctrack_wait_for(r->f->tracker, &progress, 1, 0, NULL, &r->promise, NULL);
}

static refusals *close_with_a_callback_that_tries(fixture *f)
{
    refusals *r = calloc(1, sizeof *r);
    assert_non_null(r);
    f->extra = r;
    r->f = f;
    r->promise = UNTOUCHED;
    ctrack_promise *promise = wait_for(f->tracker, "doc-1", 5);
    assert_status(ctrack_promise_then(promise, try_new_work, r), CTRACK_OK);
    ctrack_promise_release(promise);
    assert_status(ctrack_close(f->tracker, NULL), CTRACK_OK);
    f->tracker = NULL;
    return r;
}

static void test_update_while_closing_is_closed(void **state)
{
    assert_status(close_with_a_callback_that_tries(*state)->update, CTRACK_CLOSED);
}

static void test_wait_while_closing_is_closed_and_makes_no_promise(void **state)
{
    refusals *r = close_with_a_callback_that_tries(*state);
    assert_status(r->wait_for, CTRACK_CLOSED);
    assert_ptr_equal(r->promise, UNTOUCHED);
}

static void test_update_refused_while_closing_is_not_in_the_file(void **state)
{
    fixture *f = *state;
    close_with_a_callback_that_tries(f);
    f->tracker = open_file(f->path);
    assert_int_equal(latest(f->tracker, "doc-1"), NEVER_SEEN);
}

/* ---------------------------------------------------------------- promises after close */

static void test_promise_can_be_awaited_after_close(void **state)
{
    fixture *f = *state;
    ctrack_promise *promise = wait_for(f->tracker, "doc-1", 5);
    close_tracker(&f->tracker);
    assert_status(ctrack_promise_await(promise), CTRACK_CLOSED);
    ctrack_promise_release(promise);
}

static void test_missing_can_be_read_after_close(void **state)
{
    fixture *f = *state;
    update(f->tracker, "doc-1", 3);
    ctrack_promise *promise = wait_for(f->tracker, "doc-1", 5);
    close_tracker(&f->tracker);
    ctrack_snapshot *missing = NULL;
    assert_status(ctrack_promise_missing(promise, &missing, NULL), CTRACK_OK);
    assert_int_equal(ctrack_snapshot_count(missing), 1);
    assert_int_equal(ctrack_snapshot_entries(missing)[0].operation_index, 3);
    assert_int_equal(ctrack_snapshot_targets(missing)[0], 5);
    ctrack_snapshot_free(missing);
    ctrack_promise_release(promise);
}

static bool readable(int descriptor)
{
    struct pollfd poll_descriptor = {descriptor, POLLIN, 0};
    return poll(&poll_descriptor, 1, 0) == 1 && (poll_descriptor.revents & POLLIN) != 0;
}

static void test_descriptor_is_readable_after_close(void **state)
{
    fixture *f = *state;
    ctrack_promise *promise = wait_for(f->tracker, "doc-1", 5);
    int descriptor = ctrack_promise_fd(promise);
    close_tracker(&f->tracker);
    assert_true(readable(descriptor));
    ctrack_promise_release(promise);
}

static void test_descriptor_can_be_made_after_close(void **state)
{
    fixture *f = *state;
    ctrack_promise *promise = wait_for(f->tracker, "doc-1", 5);
    close_tracker(&f->tracker);
    assert_true(readable(ctrack_promise_fd(promise)));
    ctrack_promise_release(promise);
}

static void test_then_after_close_is_closed_and_does_not_run(void **state)
{
    fixture *f = *state;
    ctrack_promise *promise = wait_for(f->tracker, "doc-1", 5);
    close_tracker(&f->tracker);
    assert_status(ctrack_promise_then(promise, record, &f->recorder), CTRACK_CLOSED);
    assert_int_equal(recorder_count(&f->recorder), 0);
    ctrack_promise_release(promise);
}

static void test_snapshot_outlives_the_tracker(void **state)
{
    fixture *f = *state;
    update(f->tracker, "doc-1", 5);
    ctrack_snapshot *snapshot = NULL;
    assert_status(ctrack_serialize(f->tracker, &snapshot, NULL), CTRACK_OK);
    close_tracker(&f->tracker);
    assert_string_equal(ctrack_snapshot_entries(snapshot)[0].document_id, "doc-1");
    ctrack_snapshot_free(snapshot);
}

/* ---------------------------------------------------------------- from callbacks and threads */

typedef struct other {
    fixture *f;
    ctrack *tracker;
    ctrack_status status;
} other;

static void close_another(ctrack_promise *promise, ctrack_status outcome, void *argument)
{
    other *o = argument;
    o->status = ctrack_close(o->tracker, NULL);
    record(promise, outcome, &o->f->recorder);
}

static void test_callback_may_close_another_tracker(void **state)
{
    fixture *f = *state;
    other *o = calloc(1, sizeof *o);
    assert_non_null(o);
    f->extra = o;
    *o = (other){f, open_in_memory(), CTRACK_PENDING};
    ctrack_promise *promise = wait_for_all(f->tracker, NULL, 0);
    assert_status(ctrack_promise_then(promise, close_another, o), CTRACK_OK);
    recorder_await(&f->recorder, 1);
    assert_status(o->status, CTRACK_OK);
    ctrack_promise_release(promise);
}

typedef struct blocked {
    ctrack *tracker;
    gate started;
    ctrack_status outcome;
} blocked;

static ctrack_status started_callback_outcome;
static gate *started_gate;

static void note_start(ctrack_promise *promise, ctrack_status outcome, void *argument)
{
    (void)promise;
    (void)argument;
    started_callback_outcome = outcome;
    gate_open(started_gate);
}

/* Opens the gate from inside a callback, so that the thread is known to be under way in this tracker. */
static void *block_in_wait(void *argument)
{
    blocked *b = argument;
    ctrack_promise *promise = NULL;
    ctrack_wait_for(b->tracker, NULL, 0, 0, NULL, &promise, NULL);
    ctrack_coordinate wanted = at("doc-1", 5);
    ctrack_promise *pending = NULL;
    ctrack_wait_for(b->tracker, &wanted, 1, CTRACK_FOREVER, NULL, &pending, NULL);
    ctrack_promise_then(promise, note_start, NULL);
    ctrack_promise_release(promise);
    b->outcome = ctrack_promise_await(pending);
    ctrack_promise_release(pending);
    return NULL;
}

static void test_thread_that_is_blocked_returns_closed(void **state)
{
    fixture *f = *state;
    static blocked b;
    b = (blocked){.tracker = f->tracker, .outcome = CTRACK_PENDING};
    gate_init(&b.started);
    started_gate = &b.started;
    pthread_t thread = thread_start(block_in_wait, &b);
    gate_pass(&b.started);
    close_tracker(&f->tracker);
    thread_join(thread);
    gate_destroy(&b.started);
    assert_status(started_callback_outcome, CTRACK_OK);
    assert_status(b.outcome, CTRACK_CLOSED);
}

static void test_trackers_may_be_opened_and_closed_many_times(void **state)
{
    fixture *f = *state;
    for (int i = 0; i < 100; i++) {
        ctrack_promise *promise = wait_for(f->tracker, "doc-1", i);
        assert_status(ctrack_promise_then(promise, record, &f->recorder), CTRACK_OK);
        ctrack_promise_release(promise);
        update(f->tracker, "doc-1", i);
        reopen(f);
    }
    assert_int_equal(recorder_count(&f->recorder), 100);
}

/* ---------------------------------------------------------------- nothing is left behind */

static size_t entries_in(const char *path)
{
    DIR *directory = opendir(path);
    assert_non_null(directory);
    size_t count = 0;
    while (readdir(directory) != NULL) {
        count++;
    }
    closedir(directory);
    return count;
}

static void use_fully(ctrack *tracker)
{
    update(tracker, "doc-1", 5);
    ctrack_promise *promise = wait_with(tracker, "doc-1", 9, 60000, NULL);
    ctrack_promise_fd(promise);
    ctrack_promise_release(promise);
}

static void test_close_leaves_no_descriptor(void **state)
{
    fixture *f = *state;
    ctrack *tracker = open_file(f->path); /* whatever is opened once and for all is open now */
    use_fully(tracker);
    close_tracker(&tracker);
    size_t before = entries_in("/proc/self/fd");
    tracker = open_file(f->path);
    use_fully(tracker);
    close_tracker(&tracker);
    assert_int_equal(entries_in("/proc/self/fd"), before);
}

static void test_close_leaves_no_thread(void **state)
{
    fixture *f = *state;
    ctrack *tracker = open_file(f->path);
    use_fully(tracker);
    close_tracker(&tracker);
    size_t before = entries_in("/proc/self/task");
    tracker = open_file(f->path);
    use_fully(tracker);
    close_tracker(&tracker);
    /* A thread that was joined may stand in the list for a moment longer; only one that stays is a leak. */
    while (entries_in("/proc/self/task") > before) {
    }
}

/* Whether a thread of this process, by its number in the list of them, waits for something. */
static bool is_asleep(const char *number)
{
    char path[300], text[200] = "";
    snprintf(path, sizeof path, "/proc/self/task/%s/stat", number);
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        return true; /* it has ended */
    }
    const char *state = fgets(text, sizeof text, file) != NULL ? strrchr(text, ')') : NULL;
    fclose(file);
    return state != NULL && state[2] == 'S';
}

static size_t count_awake(void)
{
    size_t awake = 0;
    DIR *stream = opendir("/proc/self/task");
    for (struct dirent *entry = readdir(stream); entry != NULL; entry = readdir(stream)) {
        awake += entry->d_name[0] != '.' && !is_asleep(entry->d_name);
    }
    closedir(stream);
    return awake;
}

static void test_tracker_that_nobody_uses_rests(void **state)
{
    fixture *f = *state;
    use_fully(f->tracker);
    while (count_awake() > 1) { /* this thread is; one that never comes to rest is a hang */
    }
}

static void test_close_leaves_the_write_lock_free(void **state)
{
    fixture *f = *state;
    use_fully(f->tracker);
    close_tracker(&f->tracker);
    struct sqlite3 *db = db_open(f->path);
    db_run(db, "BEGIN EXCLUSIVE; ROLLBACK");
    db_close(db);
}

enum { CALLERS = 4, CALLS = 100000 };

static void *call_often(void *argument)
{
    const ctrack_key asked = key("doc-1");
    for (int i = 0; i < CALLS; i++) {
        int64_t index;
        if (ctrack_get_latest(argument, &asked, &index) != CTRACK_OK) {
            return NULL;
        }
    }
    return argument;
}

/* A call that is not counted makes the tracker look closed; one that is counted twice makes this hang. */
static void test_close_counts_calls_of_many_threads(void **state)
{
    fixture *f = *state;
    pthread_t threads[CALLERS];
    update(f->tracker, "doc-1", 1);
    for (int i = 0; i < CALLERS; i++) {
        threads[i] = thread_start(call_often, f->tracker);
    }
    for (int i = 0; i < CALLERS; i++) {
        assert_ptr_equal(thread_join(threads[i]), f->tracker);
    }
    close_tracker(&f->tracker);
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_close_of_null_is_fine),
        TEST_BOTH(test_close_settles_pending_waits_as_closed),
        TEST_BOTH(test_close_leaves_earlier_outcomes_alone),
        TEST_BOTH(test_close_wakes_threads_that_await),
        TEST_BOTH(test_callbacks_have_run_when_close_returns),
        TEST_BOTH(test_callbacks_of_earlier_outcomes_have_run_when_close_returns),
        TEST_BOTH(test_close_waits_for_the_callback_that_is_running),
        TEST_IN_MEMORY(test_close_counts_calls_of_many_threads),
        TEST_BOTH(test_update_while_closing_is_closed),
        TEST_BOTH(test_wait_while_closing_is_closed_and_makes_no_promise),
        TEST_ON_FILE(test_update_refused_while_closing_is_not_in_the_file),
        TEST_BOTH(test_promise_can_be_awaited_after_close),
        TEST_BOTH(test_missing_can_be_read_after_close),
        TEST_BOTH(test_descriptor_is_readable_after_close),
        TEST_BOTH(test_descriptor_can_be_made_after_close),
        TEST_BOTH(test_then_after_close_is_closed_and_does_not_run),
        TEST_BOTH(test_snapshot_outlives_the_tracker),
        TEST_BOTH(test_callback_may_close_another_tracker),
        TEST_BOTH(test_thread_that_is_blocked_returns_closed),
        TEST_ON_FILE(test_trackers_may_be_opened_and_closed_many_times),
        TEST(test_close_leaves_no_descriptor),
        TEST(test_close_leaves_no_thread),
        TEST_ON_FILE(test_tracker_that_nobody_uses_rests),
        TEST_ON_FILE(test_close_leaves_the_write_lock_free),
    };
    return SUPPORT_MAIN(argc, argv, "close", tests, NULL);
}
