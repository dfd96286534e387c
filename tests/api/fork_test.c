/* SPDX-License-Identifier: MIT */
/* After fork(), the handles of the parent are FORKED in the child, and the child touches nothing of the parent's. */
#include "support.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

/* What the child of a fork uses; all of it was made by the parent. */
typedef struct handles {
    ctrack *tracker;
    ctrack_promise *pending, *settled;
    ctrack_abort_signal *signal;
} handles;

static handles make_handles(fixture *f)
{
    handles h = {f->tracker, NULL, NULL, new_signal()};
    update(f->tracker, "doc-1", 5);
    h.pending = wait_with(f->tracker, "doc-1", 9, CTRACK_FOREVER, h.signal);
    h.settled = wait_for(f->tracker, "doc-1", 5);
    return h;
}

static void release_handles(handles *h)
{
    ctrack_promise_release(h->pending);
    ctrack_promise_release(h->settled);
    ctrack_abort_signal_release(h->signal);
}

/* Runs `body` in a forked child, which ends if it hangs; its answer, or 128 + signal. */
static int in_fork(int (*body)(handles *h), handles *h)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        signal(SIGALRM, SIG_DFL);
        alarm(30);
        leave_fork(body(h));
    }
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int child_update(handles *h)
{
    ctrack_coordinate progress = at("doc-1", 9);
    return (int)ctrack_update(h->tracker, &progress, 1, NULL);
}

static int child_update_nothing(handles *h)
{
    return (int)ctrack_update(h->tracker, NULL, 0, NULL);
}

static int child_get_latest(handles *h)
{
    ctrack_key seen = key("doc-1");
    int64_t index = 4711;
    ctrack_status status = ctrack_get_latest(h->tracker, &seen, &index);
    return index == 4711 ? (int)status : 99;
}

static int child_wait_for(handles *h)
{
    ctrack_coordinate wanted = at("doc-1", 5);
    ctrack_promise *promise = UNTOUCHED;
    ctrack_status status = ctrack_wait_for(h->tracker, &wanted, 1, 0, NULL, &promise, NULL);
    return promise == UNTOUCHED ? (int)status : 99;
}

static int child_wait(handles *h)
{
    ctrack_coordinate wanted = at("doc-1", 5);
    return (int)ctrack_wait(h->tracker, &wanted, 1, CTRACK_FOREVER, NULL, NULL);
}

static int child_serialize(handles *h)
{
    ctrack_snapshot *snapshot = UNTOUCHED;
    ctrack_status status = ctrack_serialize(h->tracker, &snapshot, NULL);
    return snapshot == UNTOUCHED ? (int)status : 99;
}

static int child_hydrate(handles *h)
{
    return (int)ctrack_hydrate(h->tracker, NULL, 0, NULL);
}

static int child_forget(handles *h)
{
    ctrack_key forgotten = key("doc-1");
    return (int)ctrack_forget(h->tracker, &forgotten, 1, NULL);
}

static int child_refresh(handles *h)
{
    return (int)ctrack_refresh(h->tracker, NULL);
}

static int write_nothing(const void *data, size_t size, void *argument)
{
    (void)data;
    (void)size;
    (void)argument;
    return 0;
}

static int child_dump(handles *h)
{
    return (int)ctrack_dump(h->tracker, NULL, write_nothing, NULL, NULL);
}

static int read_nothing(void *data, size_t size, size_t *got, void *argument)
{
    (void)data;
    (void)size;
    (void)argument;
    *got = 0;
    return 0;
}

static int child_restore(handles *h)
{
    return (int)ctrack_restore(h->tracker, read_nothing, NULL, "nothing", CTRACK_RESTORE_MERGE, NULL, NULL);
}

static int child_close(handles *h)
{
    return (int)ctrack_close(h->tracker, NULL);
}

static int child_await_pending(handles *h)
{
    return (int)ctrack_promise_await(h->pending);
}

static int child_await_settled(handles *h)
{
    return (int)ctrack_promise_await(h->settled);
}

static int child_status(handles *h)
{
    ctrack_status pending = ctrack_promise_status(h->pending);
    return pending == ctrack_promise_status(h->settled) ? (int)pending : 99;
}

static int child_then(handles *h)
{
    return (int)ctrack_promise_then(h->pending, record, NULL);
}

static int child_missing(handles *h)
{
    ctrack_snapshot *missing = UNTOUCHED;
    ctrack_status status = ctrack_promise_missing(h->pending, &missing, NULL);
    return missing == UNTOUCHED ? (int)status : 99;
}

static int child_label(handles *h)
{
    return (int)ctrack_promise_label(h->pending, "a label");
}

static int child_explain(handles *h)
{
    ctrack_error error = {CTRACK_OK, ""};
    ctrack_status status = ctrack_promise_explain(h->pending, &error);
    return error.message[0] != '\0' ? (int)status : 99;
}

static int child_fd(handles *h)
{
    return ctrack_promise_fd(h->pending) == -1 && ctrack_promise_fd(h->settled) == -1 ? 0 : 99;
}

static int child_message(handles *h)
{
    ctrack_coordinate progress = at("doc-1", 9);
    ctrack_error error = {CTRACK_OK, ""};
    ctrack_update(h->tracker, &progress, 1, &error);
    return error.message[0] != '\0' ? (int)error.status : 99;
}

static int child_void_calls(handles *h)
{
    ctrack_abort(h->signal);
    ctrack_promise_release(h->pending);
    ctrack_promise_release(h->settled);
    ctrack_abort_signal_release(h->signal);
    return 0;
}

static int child_everything(handles *h)
{
    int (*const calls[])(handles *) = {
        child_update, child_get_latest, child_wait_for, child_wait,   child_serialize,     child_hydrate, child_forget,
        child_close,  child_refresh,    child_dump,     child_status, child_await_pending, child_then,    child_missing,
    };
    int result = CTRACK_FORKED;
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        int answer = calls[i](h);
        result = result == CTRACK_FORKED ? answer : result;
    }
    child_fd(h);
    child_void_calls(h);
    return result;
}

/* ---------------------------------------------------------------- every call in the child */

static void assert_forked(fixture *f, int (*body)(handles *h))
{
    handles h = make_handles(f);
    assert_status((ctrack_status)in_fork(body, &h), CTRACK_FORKED);
    release_handles(&h);
}

#define TEST_FORKED(call) \
    static void test_##call##_in_the_child_is_forked(void **state) \
    { \
        assert_forked(*state, child_##call); \
    }

TEST_FORKED(update)
TEST_FORKED(update_nothing)
TEST_FORKED(get_latest)
TEST_FORKED(wait_for)
TEST_FORKED(wait)
TEST_FORKED(serialize)
TEST_FORKED(hydrate)
TEST_FORKED(forget)
TEST_FORKED(refresh)
TEST_FORKED(dump)
TEST_FORKED(restore)
TEST_FORKED(close)
TEST_FORKED(await_pending)
TEST_FORKED(await_settled)
TEST_FORKED(status)
TEST_FORKED(then)
TEST_FORKED(missing)
TEST_FORKED(label)
TEST_FORKED(explain)
TEST_FORKED(message)

static void test_there_is_no_descriptor_in_the_child(void **state)
{
    handles h = make_handles(*state);
    assert_int_equal(in_fork(child_fd, &h), 0);
    release_handles(&h);
}

static void test_abort_and_release_in_the_child_return(void **state)
{
    handles h = make_handles(*state);
    assert_int_equal(in_fork(child_void_calls, &h), 0);
    release_handles(&h);
}

/* ---------------------------------------------------------------- the parent goes on */

static void test_parent_goes_on_after_the_child_has_called_everything(void **state)
{
    fixture *f = *state;
    handles h = make_handles(f);
    assert_status((ctrack_status)in_fork(child_everything, &h), CTRACK_FORKED);
    assert_status(ctrack_promise_status(h.pending), CTRACK_PENDING);
    assert_false(ctrack_abort_signal_aborted(h.signal));
    update(f->tracker, "doc-1", 9);
    assert_status(ctrack_promise_status(h.pending), CTRACK_OK);
    release_handles(&h);
}

static void test_file_is_unchanged_by_the_child(void **state)
{
    fixture *f = *state;
    handles h = make_handles(f);
    struct sqlite3 *db = db_open(f->path);
    int64_t before = db_integer(db, "PRAGMA data_version");
    in_fork(child_everything, &h);
    assert_int_equal(db_integer(db, "PRAGMA data_version"), before);
    db_close(db);
    release_handles(&h);
}

/* The child must not take the parent's file locks away: another process would truncate what the parent has open. */
static void test_progress_of_the_parent_survives_the_child(void **state)
{
    fixture *f = *state;
    handles h = make_handles(f);
    in_fork(child_everything, &h);
    update(f->tracker, "doc-1", 10);
    child other = child_start("open", f->path);
    assert_int_equal(child_finish(&other), 0);
    update(f->tracker, "doc-1", 12);
    release_handles(&h);
    reopen(f);
    assert_int_equal(latest(f->tracker, "doc-1"), 12);
}

static int open_elsewhere(const char *mode, const char *path)
{
    (void)mode;
    ctrack *tracker = NULL;
    ctrack_coordinate progress = at("doc-1", 11);
    bool good = ctrack_open(path, NULL, &tracker, NULL) == CTRACK_OK && latest(tracker, "doc-1") == 10 &&
                ctrack_update(tracker, &progress, 1, NULL) == CTRACK_OK;
    return good && ctrack_close(tracker, NULL) == CTRACK_OK ? 0 : 1;
}

static int child_opens_anew(handles *h)
{
    (void)h;
    ctrack *tracker = NULL;
    ctrack_status status = ctrack_open(NULL, NULL, &tracker, NULL);
    ctrack_coordinate progress = at("doc-1", 3);
    status = status == CTRACK_OK ? ctrack_update(tracker, &progress, 1, NULL) : status;
    status = status == CTRACK_OK ? ctrack_wait(tracker, &progress, 1, 0, NULL, NULL) : status;
    return status == CTRACK_OK ? (int)ctrack_close(tracker, NULL) : (int)status;
}

static void test_child_may_open_a_tracker_of_its_own_in_memory(void **state)
{
    handles h = make_handles(*state);
    assert_status((ctrack_status)in_fork(child_opens_anew, &h), CTRACK_OK);
    release_handles(&h);
}

/* ---------------------------------------------------------------- files in the child */

static const char *path_of_parent; /* the file that it has open, or had */

static int child_opens_file(handles *h)
{
    (void)h;
    ctrack *tracker = UNTOUCHED;
    ctrack_status status = ctrack_open(path_of_parent, NULL, &tracker, NULL);
    return tracker == UNTOUCHED ? (int)status : 99;
}

static int child_opens_another_file(handles *h)
{
    (void)h;
    char path[300];
    ctrack *tracker = UNTOUCHED;
    snprintf(path, sizeof path, "%s.another", path_of_parent);
    ctrack_status status = ctrack_open(path, NULL, &tracker, NULL);
    return tracker == UNTOUCHED ? (int)status : 99;
}

static int child_checks_file(handles *h)
{
    (void)h;
    return (int)ctrack_check(path_of_parent, 0, NULL, NULL, NULL, NULL);
}

static int child_asks_for_the_schema(handles *h)
{
    (void)h;
    int version, newest;
    return (int)ctrack_schema(path_of_parent, 0, &version, &newest, NULL);
}

static int read_array(void *data, size_t size, size_t *got, void *argument)
{
    static const char text[] = "[[\"doc-1:document:main\",5]]";
    bool *given = argument;
    *got = *given ? 0 : sizeof text - 1;
    memcpy(data, text, *got < size ? *got : size);
    *given = true;
    return 0;
}

/* Restoring keeps rows aside with SQLite. */
static int child_restores_into_memory(handles *h)
{
    (void)h;
    ctrack *tracker = NULL;
    bool given = false;
    if (ctrack_open(NULL, NULL, &tracker, NULL) != CTRACK_OK) {
        return 99;
    }
    return (int)ctrack_restore(tracker, read_array, &given, "array", CTRACK_RESTORE_MERGE, NULL, NULL);
}

static int child_waits_with_the_signal(handles *h)
{
    ctrack *tracker = NULL;
    ctrack_promise *promise = UNTOUCHED;
    ctrack_coordinate wanted = at("doc-1", 5);
    ctrack_status status = ctrack_open(NULL, NULL, &tracker, NULL);
    status = status == CTRACK_OK ? ctrack_wait_for(tracker, &wanted, 1, 0, h->signal, &promise, NULL) : status;
    return promise == UNTOUCHED ? (int)status : 99;
}

static int grandchild_opens_file(handles *h)
{
    return in_fork(child_opens_file, h);
}

static void test_nothing_is_opened_in_the_child_of_a_process_with_a_file(void **state)
{
    fixture *f = *state;
    int (*const calls[])(handles *) = {child_opens_file,          child_opens_another_file,   child_checks_file,
                                       child_asks_for_the_schema, child_restores_into_memory, grandchild_opens_file};
    handles h = make_handles(f);
    path_of_parent = f->path;
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        assert_status((ctrack_status)in_fork(calls[i], &h), CTRACK_FORKED);
    }
    release_handles(&h);
}

/* Also where nothing is left to wait for. */
static int child_waits_for_nothing_with_the_signal(handles *h)
{
    ctrack *tracker = NULL;
    ctrack_status status = ctrack_open(NULL, NULL, &tracker, NULL);
    status = status == CTRACK_OK ? ctrack_wait(tracker, NULL, 0, 0, h->signal, NULL) : status;
    ctrack_close(tracker, NULL);
    return (int)status;
}

static void test_signal_of_the_parent_is_refused_for_what_is_reached_too(void **state)
{
    handles h = {.signal = new_signal()};
    (void)state;
    assert_status((ctrack_status)in_fork(child_waits_for_nothing_with_the_signal, &h), CTRACK_FORKED);
    ctrack_abort_signal_release(h.signal);
}

static void test_signal_of_the_parent_is_refused_in_the_child(void **state)
{
    handles h = make_handles(*state);
    assert_status((ctrack_status)in_fork(child_waits_with_the_signal, &h), CTRACK_FORKED);
    release_handles(&h);
}

static int child_updates_file(handles *h)
{
    (void)h;
    ctrack *tracker = NULL;
    ctrack_coordinate progress = at("doc-1", 3);
    ctrack_status status = ctrack_open(path_of_parent, NULL, &tracker, NULL);
    status = status == CTRACK_OK ? ctrack_update(tracker, &progress, 1, NULL) : status;
    return status == CTRACK_OK ? (int)ctrack_close(tracker, NULL) : (int)status;
}

/* What the parent has closed before is no matter, and neither is a descriptor that its guard had to keep. */
static void test_child_of_a_process_without_open_files_may_open_them(void **state)
{
    fixture *f = *state;
    path_of_parent = f->path;
    f->tracker = open_file(f->path);
    update(f->tracker, "doc-1", 1);
    struct sqlite3 *host = db_open(f->path);
    assert_int_equal(db_integer(host, "SELECT count(*) FROM ctrack_progress"), 1);
    close_tracker(&f->tracker);
    db_close(host);
    assert_status((ctrack_status)in_fork(child_updates_file, NULL), CTRACK_OK);
    f->tracker = open_file(f->path);
    assert_int_equal(latest(f->tracker, "doc-1"), 3);
}

/* ---------------------------------------------------------------- forks while threads are at work */

typedef struct hammer {
    ctrack *tracker;
    atomic_bool stop;
} hammer;

static void *work(void *argument)
{
    hammer *h = argument;
    for (int64_t i = 0; !atomic_load(&h->stop); i++) {
        ctrack_coordinate progress = at("doc-2", i);
        ctrack_update(h->tracker, &progress, 1, NULL);
        ctrack_coordinate wanted = at("doc-2", i + 1);
        ctrack_promise *promise = NULL;
        if (ctrack_wait_for(h->tracker, &wanted, 1, 1, NULL, &promise, NULL) == CTRACK_OK) {
            ctrack_promise_release(promise);
        }
    }
    return NULL;
}

static void test_child_of_a_fork_amid_work_never_blocks(void **state)
{
    fixture *f = *state;
    handles h = make_handles(f);
    static hammer hammers;
    hammers.tracker = f->tracker;
    atomic_store(&hammers.stop, false);
    pthread_t threads[3];
    for (int i = 0; i < 3; i++) {
        threads[i] = thread_start(work, &hammers);
    }
    int answer = CTRACK_FORKED;
    for (int i = 0; i < 30 && answer == CTRACK_FORKED; i++) {
        answer = in_fork(child_everything, &h);
    }
    atomic_store(&hammers.stop, true);
    for (int i = 0; i < 3; i++) {
        thread_join(threads[i]);
    }
    release_handles(&h);
    assert_status((ctrack_status)answer, CTRACK_FORKED);
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        TEST_BOTH(test_update_in_the_child_is_forked),
        TEST_BOTH(test_update_nothing_in_the_child_is_forked),
        TEST_BOTH(test_get_latest_in_the_child_is_forked),
        TEST_BOTH(test_wait_for_in_the_child_is_forked),
        TEST_BOTH(test_wait_in_the_child_is_forked),
        TEST_BOTH(test_serialize_in_the_child_is_forked),
        TEST_BOTH(test_hydrate_in_the_child_is_forked),
        TEST_BOTH(test_forget_in_the_child_is_forked),
        TEST_BOTH(test_refresh_in_the_child_is_forked),
        TEST_BOTH(test_dump_in_the_child_is_forked),
        TEST_BOTH(test_restore_in_the_child_is_forked),
        TEST_BOTH(test_close_in_the_child_is_forked),
        TEST_BOTH(test_await_pending_in_the_child_is_forked),
        TEST_BOTH(test_await_settled_in_the_child_is_forked),
        TEST_BOTH(test_status_in_the_child_is_forked),
        TEST_BOTH(test_then_in_the_child_is_forked),
        TEST_BOTH(test_missing_in_the_child_is_forked),
        TEST_BOTH(test_label_in_the_child_is_forked),
        TEST_BOTH(test_explain_in_the_child_is_forked),
        TEST_BOTH(test_message_in_the_child_is_forked),
        TEST_BOTH(test_there_is_no_descriptor_in_the_child),
        TEST_BOTH(test_abort_and_release_in_the_child_return),
        TEST_BOTH(test_parent_goes_on_after_the_child_has_called_everything),
        TEST_ON_FILE(test_file_is_unchanged_by_the_child),
        TEST_ON_FILE(test_progress_of_the_parent_survives_the_child),
        TEST_BOTH(test_child_may_open_a_tracker_of_its_own_in_memory),
        TEST_ON_FILE(test_nothing_is_opened_in_the_child_of_a_process_with_a_file),
        TEST(test_signal_of_the_parent_is_refused_for_what_is_reached_too),
        TEST_BOTH(test_signal_of_the_parent_is_refused_in_the_child),
        TEST(test_child_of_a_process_without_open_files_may_open_them),
        TEST_BOTH(test_child_of_a_fork_amid_work_never_blocks),
    };
    return SUPPORT_MAIN(argc, argv, "fork", tests, open_elsewhere);
}
