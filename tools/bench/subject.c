/* SPDX-License-Identifier: MIT */
#include "subject.h"

#include <errno.h>

#include "raw.h"

static void check(ctrack_status status, const ctrack_error *error, const char *what)
{
    if (status != CTRACK_OK) {
        bench_fail("%s: %s: %s", what, ctrack_status_name(status), error->message);
    }
}

static void log_message(ctrack_status status, const char *message, void *argument)
{
    (void)argument;
    if (status != CTRACK_OK) {
        bench_fail("the tracker says: %s: %s", ctrack_status_name(status), message);
    }
}

ctrack *subject_open(const char *path, ctrack_durability durability)
{
    ctrack_options options = CTRACK_OPTIONS_INIT;
    options.durability = durability;
    options.log = log_message;
    ctrack *tracker = NULL;
    ctrack_error error;
    check(ctrack_open(path, &options, &tracker, &error), &error, "open");
    return tracker;
}

void subject_close(ctrack *tracker)
{
    ctrack_error error;
    check(ctrack_close(tracker, &error), &error, "close");
}

void subject_update(ctrack *tracker, const load *l, size_t first, size_t count)
{
    ctrack_error error;
    count = count < l->count - first ? count : l->count - first;
    check(ctrack_update(tracker, l->coordinates + first, count, &error), &error, "update");
}

void subject_update_all(ctrack *tracker, const load *l, size_t batch)
{
    for (size_t first = 0; first < l->count; first += batch) {
        subject_update(tracker, l, first, batch);
    }
}

ctrack_promise *subject_wait(ctrack *tracker, const load *l, size_t first, size_t count, int64_t timeout_ms)
{
    ctrack_promise *promise = NULL;
    ctrack_error error;
    check(ctrack_wait_for(tracker, l->coordinates + first, count, timeout_ms, NULL, &promise, &error), &error, "wait");
    return promise;
}

static void note_call(ctrack_promise *promise, ctrack_status outcome, void *argument)
{
    (void)promise;
    (void)outcome;
    subject_call *call = argument;
    call->at = bench_now();
    sem_post(&call->done);
}

void subject_call_begin(subject_call *call, ctrack *tracker, const load *l)
{
    if (sem_init(&call->done, 0, 0) != 0) {
        bench_fail("no semaphore");
    }
    call->promise = subject_wait(tracker, l, 0, 1, CTRACK_FOREVER);
    if (ctrack_promise_then(call->promise, note_call, call) != CTRACK_OK) {
        bench_fail("then has failed");
    }
}

int64_t subject_call_end(subject_call *call)
{
    while (sem_wait(&call->done) != 0 && errno == EINTR) {
    }
    sem_destroy(&call->done);
    ctrack_promise_release(call->promise);
    return call->at;
}

void subject_wait_each(ctrack *tracker, const load *l, int64_t timeout_ms, ctrack_promise **promises)
{
    for (size_t i = 0; i < l->count; i++) {
        promises[i] = subject_wait(tracker, l, i, 1, timeout_ms);
    }
}

void subject_release(ctrack_promise **promises, size_t count, ctrack_status expected)
{
    for (size_t i = 0; i < count; i++) {
        ctrack_status status = ctrack_promise_status(promises[i]);
        if (status != expected) {
            bench_fail("a wait is %s instead of %s", ctrack_status_name(status), ctrack_status_name(expected));
        }
        ctrack_promise_release(promises[i]);
    }
}

void subject_fold(ctrack *tracker)
{
    const ctrack_coordinate coordinate = {"ctrack-bench", LOAD_SCOPE, LOAD_BRANCH, 0};
    const ctrack_key key = {coordinate.document_id, coordinate.scope, coordinate.branch};
    ctrack_error error;
    check(ctrack_update(tracker, &coordinate, 1, &error), &error, "update");
    check(ctrack_forget(tracker, &key, 1, &error), &error, "forget");
}

static void make(const char *path, const load *l, bool fold)
{
    ctrack *tracker = subject_open(path, CTRACK_DURABLE_NORMAL);
    subject_update_all(tracker, l, 10000);
    if (fold) {
        subject_fold(tracker);
    }
    subject_close(tracker);
}

void subject_make(const char *path, const load *l)
{
    make(path, l, true);
}

void subject_make_unfolded(const char *path, const load *l)
{
    make(path, l, false);
}

double subject_backlog(const char *path)
{
    return (double)raw_query(path, "SELECT count(*) FROM ctrack_advance "
                                   "WHERE seq > (SELECT folded_seq FROM ctrack_fold)");
}
