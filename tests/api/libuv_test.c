/* SPDX-License-Identifier: MIT */
/* ctrack_promise_fd() in event loops: libuv, epoll and poll. */
#include "support.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#include <uv.h>

enum { PROMISES = 1000, DESCRIPTORS_EACH = 2 };

static size_t open_descriptors(void)
{
    size_t count = 0;
    DIR *directory = opendir("/proc/self/fd");
    assert_non_null(directory);
    while (readdir(directory) != NULL) {
        count++;
    }
    closedir(directory);
    return count;
}

/* A pipe for each promise is more than the usual soft limit of 1,024. */
static bool allow_descriptors(void)
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    const rlim_t needed = PROMISES * DESCRIPTORS_EACH + 100;
    if (limit.rlim_cur < needed) {
        limit.rlim_cur = limit.rlim_max < needed ? limit.rlim_max : needed;
        if (limit.rlim_cur < needed || setrlimit(RLIMIT_NOFILE, &limit) != 0) {
            print_error("SKIPPED: this process may not open %d descriptors: many promises in a loop are NOT tested\n",
                        (int)needed);
            return false;
        }
    }
    return true;
}

static int descriptor_of(ctrack_promise *promise)
{
    int descriptor = ctrack_promise_fd(promise);
    assert_true(descriptor >= 0);
    return descriptor;
}

/* Satisfies the promises of make_promises(), one update for each, from another thread. */
static void *reach_all(void *tracker)
{
    for (int i = 0; i < PROMISES; i++) {
        char document[20];
        snprintf(document, sizeof document, "doc-%d", i % 100);
        ctrack_coordinate c = at(document, i / 100);
        if (ctrack_update(tracker, &c, 1, NULL) != CTRACK_OK) {
            return NULL;
        }
    }
    return tracker;
}

static void make_promises(ctrack *tracker, ctrack_promise *promises[PROMISES])
{
    for (int i = 0; i < PROMISES; i++) {
        char document[20];
        snprintf(document, sizeof document, "doc-%d", i % 100);
        promises[i] = wait_for(tracker, document, i / 100);
    }
}

static void release_promises(ctrack_promise *promises[PROMISES])
{
    for (int i = 0; i < PROMISES; i++) {
        ctrack_promise_release(promises[i]);
    }
}

/* ---------------------------------------------------------------- libuv */

typedef struct polled {
    uv_poll_t handle;
    ctrack_promise *promise;
    int fired;
    int problem; /* libuv's, or 1: fired while pending */
    size_t *left;
} polled;

static void on_readable(uv_poll_t *handle, int status, int events)
{
    polled *p = handle->data;
    p->fired++;
    if (status != 0 || (events & UV_READABLE) == 0) {
        p->problem = status != 0 ? status : 2;
    } else if (ctrack_promise_status(p->promise) == CTRACK_PENDING) {
        p->problem = 1;
    }
    (*p->left)--;
    uv_poll_stop(handle);
}

static void start_polling(uv_loop_t *loop, polled *p, ctrack_promise *promise, size_t *left)
{
    *p = (polled){.promise = promise, .left = left};
    assert_int_equal(uv_poll_init(loop, &p->handle, descriptor_of(promise)), 0);
    p->handle.data = p;
    assert_int_equal(uv_poll_start(&p->handle, UV_READABLE, on_readable), 0);
    (*left)++;
}

static void close_loop(uv_loop_t *loop, polled *all, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uv_close((uv_handle_t *)&all[i].handle, NULL);
    }
    uv_run(loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(loop), 0);
}

static void test_libuv_sees_a_promise_settle_and_nothing_before(void **state)
{
    fixture *f = *state;
    uv_loop_t loop;
    polled p;
    size_t left = 0;
    assert_int_equal(uv_loop_init(&loop), 0);
    ctrack_promise *promise = wait_for(f->tracker, "doc-1", 5);
    start_polling(&loop, &p, promise, &left);
    for (int64_t i = 0; i < 5; i++) {
        update(f->tracker, "doc-1", i);
        uv_run(&loop, UV_RUN_NOWAIT);
        assert_int_equal(p.fired, 0);
    }
    update(f->tracker, "doc-1", 5);
    uv_run(&loop, UV_RUN_DEFAULT); /* ends when nothing is polled any more */
    assert_int_equal(p.fired, 1);
    assert_int_equal(p.problem, 0);
    assert_status(ctrack_promise_status(promise), CTRACK_OK);
    close_loop(&loop, &p, 1);
    ctrack_promise_release(promise);
}

static void test_libuv_sees_a_promise_that_had_settled_before(void **state)
{
    fixture *f = *state;
    uv_loop_t loop;
    polled p;
    size_t left = 0;
    assert_int_equal(uv_loop_init(&loop), 0);
    update(f->tracker, "doc-1", 5);
    ctrack_promise *promise = wait_for(f->tracker, "doc-1", 5);
    start_polling(&loop, &p, promise, &left);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(p.fired, 1);
    assert_int_equal(p.problem, 0);
    close_loop(&loop, &p, 1);
    ctrack_promise_release(promise);
}

static void *close_the_tracker(void *tracker)
{
    return ctrack_close(tracker, NULL) == CTRACK_OK ? tracker : NULL;
}

static void *abort_the_signal(void *signal)
{
    ctrack_abort(signal);
    return signal;
}

static void test_libuv_sees_time_outs_aborts_and_the_end(void **state)
{
    fixture *f = *state;
    uv_loop_t loop;
    polled all[3];
    size_t left = 0;
    assert_int_equal(uv_loop_init(&loop), 0);
    ctrack_abort_signal *signal = new_signal();
    ctrack_promise *promises[] = {wait_with(f->tracker, "doc-1", 5, 1, NULL),
                                  wait_with(f->tracker, "doc-1", 5, CTRACK_FOREVER, signal),
                                  wait_for(f->tracker, "doc-1", 5)};
    for (size_t i = 0; i < 3; i++) {
        start_polling(&loop, &all[i], promises[i], &left);
    }
    while (left > 2) {
        uv_run(&loop, UV_RUN_ONCE);
    }
    assert_status(ctrack_promise_status(promises[0]), CTRACK_TIMED_OUT);
    pthread_t thread = thread_start(abort_the_signal, signal);
    while (left > 1) {
        uv_run(&loop, UV_RUN_ONCE);
    }
    thread_join(thread);
    assert_status(ctrack_promise_status(promises[1]), CTRACK_ABORTED);
    thread = thread_start(close_the_tracker, f->tracker);
    while (left > 0) {
        uv_run(&loop, UV_RUN_ONCE);
    }
    assert_non_null(thread_join(thread));
    f->tracker = NULL;
    assert_status(ctrack_promise_status(promises[2]), CTRACK_CLOSED);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(all[i].fired, 1);
        assert_int_equal(all[i].problem, 0);
    }
    close_loop(&loop, all, 3);
    for (size_t i = 0; i < 3; i++) {
        ctrack_promise_release(promises[i]);
    }
    ctrack_abort_signal_release(signal);
}

static void test_libuv_sees_a_thousand_promises_settle(void **state)
{
    fixture *f = *state;
    if (!allow_descriptors()) {
        skip();
    }
    ctrack_promise *promises[PROMISES];
    polled *all = calloc(PROMISES, sizeof *all);
    assert_non_null(all);
    f->extra = all;
    uv_loop_t loop;
    size_t left = 0;
    assert_int_equal(uv_loop_init(&loop), 0);
    make_promises(f->tracker, promises);
    for (int i = 0; i < PROMISES; i++) {
        start_polling(&loop, &all[i], promises[i], &left);
    }
    uv_run(&loop, UV_RUN_NOWAIT);
    assert_int_equal(left, PROMISES);
    pthread_t thread = thread_start(reach_all, f->tracker);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_non_null(thread_join(thread));
    assert_int_equal(left, 0);
    for (int i = 0; i < PROMISES; i++) {
        assert_int_equal(all[i].fired, 1);
        assert_int_equal(all[i].problem, 0);
        assert_status(ctrack_promise_status(promises[i]), CTRACK_OK);
    }
    close_loop(&loop, all, PROMISES);
    release_promises(promises);
}

/* ---------------------------------------------------------------- epoll and poll */

static void test_epoll_sees_a_thousand_promises_settle(void **state)
{
    fixture *f = *state;
    if (!allow_descriptors()) {
        skip();
    }
    ctrack_promise *promises[PROMISES];
    bool seen[PROMISES] = {false};
    int set = epoll_create1(EPOLL_CLOEXEC);
    assert_true(set >= 0);
    make_promises(f->tracker, promises);
    for (uint32_t i = 0; i < PROMISES; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data = {.u32 = i}};
        assert_int_equal(epoll_ctl(set, EPOLL_CTL_ADD, descriptor_of(promises[i]), &event), 0);
    }
    struct epoll_event ready[64];
    assert_int_equal(epoll_wait(set, ready, 64, 0), 0);
    pthread_t thread = thread_start(reach_all, f->tracker);
    for (int left = PROMISES; left > 0;) {
        int count = epoll_wait(set, ready, 64, -1);
        assert_true(count > 0 || errno == EINTR);
        for (int i = 0; i < count; i++) {
            uint32_t number = ready[i].data.u32;
            assert_int_equal(ready[i].events, EPOLLIN);
            assert_false(seen[number]);
            seen[number] = true;
            assert_status(ctrack_promise_status(promises[number]), CTRACK_OK);
            assert_int_equal(epoll_ctl(set, EPOLL_CTL_DEL, descriptor_of(promises[number]), NULL), 0);
            left--;
        }
    }
    assert_non_null(thread_join(thread));
    release_promises(promises);
    assert_int_equal(epoll_wait(set, ready, 64, 0), 0);
    close(set);
}

static void test_poll_sees_exactly_those_that_have_settled(void **state)
{
    fixture *f = *state;
    enum { COUNT = 100 };
    ctrack_promise *promises[COUNT];
    struct pollfd polls[COUNT];
    for (int i = 0; i < COUNT; i++) {
        promises[i] = wait_for(f->tracker, "doc-1", i);
        polls[i] = (struct pollfd){.fd = descriptor_of(promises[i]), .events = POLLIN};
    }
    assert_int_equal(poll(polls, COUNT, 0), 0);
    for (int reached = 0; reached < COUNT; reached += 7) {
        update(f->tracker, "doc-1", reached);
        assert_int_equal(poll(polls, COUNT, -1), reached + 1);
        for (int i = 0; i < COUNT; i++) {
            assert_int_equal(polls[i].revents, i <= reached ? POLLIN : 0);
        }
    }
    for (int i = 0; i < COUNT; i++) {
        ctrack_promise_release(promises[i]);
    }
}

static void test_a_settled_promise_stays_readable(void **state)
{
    fixture *f = *state;
    ctrack_promise *promise = wait_for(f->tracker, "doc-1", 5);
    struct pollfd p = {.fd = descriptor_of(promise), .events = POLLIN};
    update(f->tracker, "doc-1", 5);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(poll(&p, 1, 0), 1);
        assert_int_equal(p.revents, POLLIN);
        assert_int_equal(descriptor_of(promise), p.fd);
    }
    ctrack_promise_release(promise);
}

/* ---------------------------------------------------------------- what it costs */

/*
 * A tracker on a file opens what it needs to follow other processes when the first wait is pending. Until that succeeds
 * it looks in another way, and tries again each time. So it has once it has seen updates of another tracker and opened
 * nothing more meanwhile. The other one is returned, NULL if there is none.
 */
static ctrack *let_it_follow(fixture *f)
{
    if (!file_exists(f->path)) {
        return NULL;
    }
    ctrack *other = open_file(f->path);
    size_t before = 0;
    for (int64_t i = 0; open_descriptors() != before; i++) {
        before = open_descriptors();
        ctrack_promise *promise = wait_for(f->tracker, "from elsewhere", i);
        update(other, "from elsewhere", i);
        assert_status(ctrack_promise_await(promise), CTRACK_OK);
        ctrack_promise_release(promise);
    }
    return other;
}

static void test_no_descriptor_is_spent_on_promises_that_nobody_polls(void **state)
{
    fixture *f = *state;
    ctrack_promise *promises[PROMISES];
    ctrack *other = let_it_follow(f);
    size_t before = open_descriptors();
    make_promises(f->tracker, promises);
    assert_int_equal(open_descriptors(), before);
    for (int i = 0; i < 10; i++) {
        descriptor_of(promises[i]);
        assert_int_equal(descriptor_of(promises[i]), descriptor_of(promises[i])); /* the same, asked again */
    }
    assert_int_equal(open_descriptors(), before + 10 * DESCRIPTORS_EACH);
    assert_non_null(reach_all(f->tracker));
    release_promises(promises);
    assert_int_equal(open_descriptors(), before);
    close_tracker(&other);
}

static void test_promises_that_are_given_up_give_their_descriptors_back(void **state)
{
    fixture *f = *state;
    ctrack *other = let_it_follow(f);
    size_t before = open_descriptors();
    for (int i = 0; i < 3000; i++) { /* more than a process may open */
        ctrack_promise *promise = wait_for(f->tracker, "doc-0", i);
        descriptor_of(promise);
        ctrack_promise_release(promise);
    }
    assert_int_equal(open_descriptors(), before);
    close_tracker(&other);
}

static void test_descriptors_are_refused_when_there_are_none_and_the_wait_goes_on(void **state)
{
    fixture *f = *state;
    ctrack_promise *promise = wait_for(f->tracker, "doc-1", 5);
    struct rlimit before, none;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = before;
    none.rlim_cur = 3;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    int descriptor = ctrack_promise_fd(promise), problem = errno;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(descriptor, -1);
    assert_int_equal(problem, EMFILE);
    update(f->tracker, "doc-1", 5);
    assert_status(ctrack_promise_status(promise), CTRACK_OK);
    struct pollfd p = {.fd = descriptor_of(promise), .events = POLLIN};
    assert_int_equal(poll(&p, 1, 0), 1);
    ctrack_promise_release(promise);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        TEST_BOTH(test_libuv_sees_a_promise_settle_and_nothing_before),
        TEST_IN_MEMORY(test_libuv_sees_a_promise_that_had_settled_before),
        TEST_BOTH(test_libuv_sees_time_outs_aborts_and_the_end),
        TEST_BOTH(test_libuv_sees_a_thousand_promises_settle),
        TEST_BOTH(test_epoll_sees_a_thousand_promises_settle),
        TEST_BOTH(test_poll_sees_exactly_those_that_have_settled),
        TEST_BOTH(test_a_settled_promise_stays_readable),
        TEST_BOTH(test_no_descriptor_is_spent_on_promises_that_nobody_polls),
        TEST_BOTH(test_promises_that_are_given_up_give_their_descriptors_back),
        TEST_IN_MEMORY(test_descriptors_are_refused_when_there_are_none_and_the_wait_goes_on),
    };
    return SUPPORT_MAIN(argc, argv, "libuv", tests, NULL);
}
