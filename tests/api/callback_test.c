/* SPDX-License-Identifier: MIT */
/* What callbacks may do with the tracker that runs them: no call blocks for ever, wherever it is made. */
#include "support.h"

#include <stdio.h>
#include <unistd.h>

/* ---------------------------------------------------------------- every call with a tracker */

static int swallow(const void *data, size_t size, void *argument)
{
    (void)data, (void)size, (void)argument;
    return 0;
}

static int read_array(void *data, size_t size, size_t *got, void *argument)
{
    static const char text[] = "[[\"doc-9:document:main\",9]]";
    bool *done = argument;
    *got = *done || size < sizeof text ? 0 : sizeof text - 1;
    memcpy(data, text, *got);
    *done = true;
    return 0;
}

enum { CALLS = 16 };

/* What each call says, one after the other; none of them waits for anybody. */
static void call_all(ctrack *tracker, const fixture *f, ctrack_status said[CALLS])
{
    const ctrack_coordinate c = at("doc-9", 9);
    const ctrack_key k = key("doc-9");
    ctrack_promise *promise = NULL;
    ctrack_snapshot *snapshot = NULL;
    ctrack_read_model_list *models = NULL;
    ctrack_wait_list *waits = NULL;
    ctrack_stats stats = {.size = sizeof stats};
    int64_t index;
    bool done = false;
    char copy[300];
    int i = 0;
    said[i++] = ctrack_update(tracker, &c, 1, NULL);
    said[i++] = ctrack_get_latest(tracker, &k, &index);
    said[i++] = ctrack_wait_for(tracker, &c, 1, 0, NULL, &promise, NULL);
    said[i++] = ctrack_wait(tracker, &c, 1, 0, NULL, NULL);
    said[i++] = ctrack_serialize(tracker, &snapshot, NULL);
    said[i++] = ctrack_hydrate(tracker, &c, 1, NULL);
    said[i++] = ctrack_refresh(tracker, NULL);
    said[i++] = ctrack_fail(tracker, "a test", NULL);
    said[i++] = ctrack_resume(tracker, NULL);
    said[i++] = ctrack_dump(tracker, NULL, swallow, NULL, NULL);
    said[i++] = ctrack_restore(tracker, read_array, &done, "array", CTRACK_RESTORE_MERGE, NULL, NULL);
    said[i++] = ctrack_export(tracker, path_in(f, "copy.db", copy), CTRACK_EXPORT_REPLACE, NULL, NULL, NULL);
    said[i++] = ctrack_get_stats(tracker, &stats, NULL);
    said[i++] = ctrack_read_models(tracker, &models, NULL);
    said[i++] = ctrack_waits(tracker, 9, &waits, NULL);
    said[i++] = ctrack_forget(tracker, &k, 1, NULL);
    ctrack_promise_release(promise);
    ctrack_snapshot_free(snapshot);
    ctrack_read_model_list_free(models);
    ctrack_wait_list_free(waits);
}

/* What was said in a callback; the test judges it. */
typedef struct heard {
    fixture *f;
    int times;
    ctrack_status close, said[CALLS];
    gate done;
} heard;

static void try_all(heard *h)
{
    if (h->times++ == 0) {
        h->close = ctrack_close(h->f->tracker, NULL);
        call_all(h->f->tracker, h->f, h->said);
        gate_open(&h->done);
    }
}

static heard *listen(fixture *f)
{
    heard *h = calloc(1, sizeof *h);
    assert_non_null(h);
    f->extra = h;
    h->f = f;
    gate_init(&h->done);
    return h;
}

static void assert_said(const heard *h, ctrack_status close, ctrack_status rest)
{
    assert_true(h->times > 0);
    assert_status(h->close, close);
    for (int i = 0; i < CALLS; i++) {
        if (h->said[i] != rest) {
            print_error("call %d\n", i);
        }
        assert_status(h->said[i], rest);
    }
}

static void assert_works(fixture *f)
{
    update(f->tracker, "doc-1", 50);
    assert_int_equal(latest(f->tracker, "doc-1"), 50);
    assert_int_equal(latest(f->tracker, "doc-9"), NEVER_SEEN);
}

/* ---------------------------------------------------------------- of a call, on its thread */

static int write_and_try(const void *data, size_t size, void *argument)
{
    (void)data, (void)size;
    try_all(argument);
    return 0;
}

static void test_a_dumps_callback_may_call_everything_but_close(void **state)
{
    fixture *f = *state;
    heard *h = listen(f);
    update(f->tracker, "doc-1", 1);
    assert_status(ctrack_dump(f->tracker, NULL, write_and_try, h, NULL), CTRACK_OK);
    assert_said(h, CTRACK_MISUSE, CTRACK_OK);
    assert_works(f);
}

static int read_and_try(void *data, size_t size, size_t *got, void *argument)
{
    (void)data, (void)size;
    try_all(argument);
    *got = 0;
    return 0;
}

static void test_a_restores_callback_may_call_everything_but_close(void **state)
{
    fixture *f = *state;
    heard *h = listen(f);
    assert_status(ctrack_restore(f->tracker, read_and_try, h, "x", CTRACK_RESTORE_MERGE, NULL, NULL), CTRACK_FORMAT);
    assert_said(h, CTRACK_MISUSE, CTRACK_OK);
    assert_works(f);
}

static int go_on_and_try(uint64_t done, uint64_t total, void *argument)
{
    (void)done, (void)total;
    try_all(argument);
    return 0;
}

static void test_an_exports_callback_may_call_nothing_with_its_tracker(void **state)
{
    fixture *f = *state;
    heard *h = listen(f);
    char copy[300];
    update(f->tracker, "doc-1", 1);
    assert_status(ctrack_export(f->tracker, path_in(f, "it.db", copy), CTRACK_EXPORT_NEW, go_on_and_try, h, NULL),
                  CTRACK_OK);
    assert_said(h, CTRACK_MISUSE, CTRACK_MISUSE);
    assert_works(f);
}

static int close_it(uint64_t done, uint64_t total, void *argument)
{
    fixture *f = argument;
    (void)done, (void)total;
    if (f->tracker != NULL && ctrack_close(f->tracker, NULL) == CTRACK_OK) {
        f->tracker = NULL;
    }
    return 0;
}

/* Who looks at a file has nothing to do with a tracker that is open on it. */
static void test_a_checks_callback_may_close_a_tracker_of_the_file(void **state)
{
    fixture *f = *state;
    update(f->tracker, "doc-1", 1);
    assert_status(ctrack_check(f->path, 0, NULL, close_it, f, NULL), CTRACK_OK);
    assert_null(f->tracker);
}

static int close_another(const void *data, size_t size, void *argument)
{
    ctrack **other = argument;
    (void)data, (void)size;
    if (*other != NULL && ctrack_close(*other, NULL) == CTRACK_OK) {
        *other = NULL;
    }
    return 0;
}

static int dump_it(uint64_t done, uint64_t total, void *argument)
{
    ctrack **trackers = argument;
    (void)done, (void)total;
    return ctrack_dump(trackers[0], NULL, close_another, &trackers[1], NULL) != CTRACK_OK;
}

/* A callback within a callback: each tracker is told apart. */
static void test_a_callback_may_close_another_tracker_than_those_that_it_is_within(void **state)
{
    fixture *f = *state;
    char copy[300];
    ctrack *trackers[] = {open_in_memory(), open_in_memory()};
    assert_status(ctrack_export(f->tracker, path_in(f, "it.db", copy), CTRACK_EXPORT_NEW, dump_it, trackers, NULL),
                  CTRACK_OK);
    assert_null(trackers[1]);
    close_tracker(&trackers[0]);
}

/* ---------------------------------------------------------------- of the log */

static void hear(ctrack_status status, const char *message, void *argument)
{
    (void)status, (void)message;
    try_all(argument);
}

static void test_the_logs_callback_may_call_nothing_with_its_tracker(void **state)
{
    fixture *f = *state;
    heard *h = listen(f);
    ctrack_options options = CTRACK_OPTIONS_INIT;
    options.log = hear;
    options.log_argument = h;
    assert_status(ctrack_open(f->path, &options, &f->tracker, NULL), CTRACK_OK);
    ctrack_promise *promise = wait_for(f->tracker, "doc-1", 5);
    unlink(f->path);
    gate_pass(&h->done);
    assert_said(h, CTRACK_MISUSE, CTRACK_MISUSE);
    close_tracker(&f->tracker);
    ctrack_promise_release(promise);
}

/* ---------------------------------------------------------------- of promises */

static void settle_and_try(ctrack_promise *promise, ctrack_status outcome, void *argument)
{
    (void)promise, (void)outcome;
    try_all(argument);
}

static void test_a_promises_callback_may_call_everything_but_close(void **state)
{
    fixture *f = *state;
    heard *h = listen(f);
    ctrack_promise *promise = wait_for_all(f->tracker, NULL, 0);
    assert_status(ctrack_promise_then(promise, settle_and_try, h), CTRACK_OK);
    gate_pass(&h->done);
    ctrack_promise_release(promise);
    assert_said(h, CTRACK_MISUSE, CTRACK_OK);
    assert_works(f);
}

static void test_every_call_is_closed_once_closing_has_begun(void **state)
{
    fixture *f = *state;
    heard *h = listen(f);
    update(f->tracker, "doc-9", 5);
    ctrack_promise *promise = wait_for(f->tracker, "doc-1", 5);
    assert_status(ctrack_promise_then(promise, settle_and_try, h), CTRACK_OK);
    assert_status(ctrack_close(f->tracker, NULL), CTRACK_OK);
    f->tracker = NULL;
    ctrack_promise_release(promise);
    assert_said(h, CTRACK_MISUSE, CTRACK_CLOSED);
}

static void test_what_is_refused_while_closing_is_not_done(void **state)
{
    fixture *f = *state;
    test_every_call_is_closed_once_closing_has_begun(state);
    f->tracker = open_file(f->path);
    assert_int_equal(latest(f->tracker, "doc-9"), 5);
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        TEST_BOTH(test_a_dumps_callback_may_call_everything_but_close),
        TEST_BOTH(test_a_restores_callback_may_call_everything_but_close),
        TEST_BOTH(test_an_exports_callback_may_call_nothing_with_its_tracker),
        TEST_ON_FILE(test_a_checks_callback_may_close_a_tracker_of_the_file),
        TEST_BOTH(test_a_callback_may_close_another_tracker_than_those_that_it_is_within),
        TEST(test_the_logs_callback_may_call_nothing_with_its_tracker),
        TEST_BOTH(test_a_promises_callback_may_call_everything_but_close),
        TEST_BOTH(test_every_call_is_closed_once_closing_has_begun),
        TEST_ON_FILE(test_what_is_refused_while_closing_is_not_done),
    };
    return SUPPORT_MAIN(argc, argv, "callback", tests, NULL);
}
