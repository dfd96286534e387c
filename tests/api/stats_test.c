/* SPDX-License-Identifier: MIT */
/* ctrack_get_stats(): every count of the header, and every size that the struct may have for a caller. */
#include "support.h"

#include <sqlite3.h>
#include <stdio.h>

static ctrack_stats stats_of(ctrack *tracker)
{
    ctrack_stats stats = {.size = sizeof stats};
    assert_status(ctrack_get_stats(tracker, &stats, NULL), CTRACK_OK);
    return stats;
}

static uint64_t sum(const uint64_t histogram[CTRACK_HISTOGRAM])
{
    uint64_t total = 0;
    for (size_t i = 0; i < CTRACK_HISTOGRAM; i++) {
        total += histogram[i];
    }
    return total;
}

static bool is_durable(const fixture *f)
{
    return file_exists(f->path);
}

/* ---------------------------------------------------------------- progress */

static void test_all_counts_of_a_new_tracker_are_zero(void **state)
{
    fixture *f = *state;
    ctrack_stats stats = stats_of(f->tracker);
    ctrack_stats zero = {.size = sizeof zero,
                         .wal_pages = stats.wal_pages, /* the schema's */
                         .sqlite_version = sqlite3_libversion_number(),
                         .sqlite_exposed = stats.sqlite_exposed};
    assert_memory_equal(&stats, &zero, offsetof(ctrack_stats, sqlite_exposed));
    assert_true(is_durable(f) || stats.wal_pages == 0);
}

static void test_keys_are_those_that_have_progress_now(void **state)
{
    fixture *f = *state;
    ctrack_promise *promise = wait_for(f->tracker, "waited for only", 5);
    assert_int_equal(stats_of(f->tracker).keys, 0);
    update(f->tracker, "doc-1", 0);
    update(f->tracker, "doc-2", 5);
    update(f->tracker, "doc-2", 6);
    assert_int_equal(stats_of(f->tracker).keys, 2);
    ctrack_key gone = key("doc-1");
    assert_status(ctrack_forget(f->tracker, &gone, 1, NULL), CTRACK_OK);
    assert_int_equal(stats_of(f->tracker).keys, 1);
    ctrack_coordinate entries[] = {at("doc-1", 1), at("doc-3", 1), at("doc-4", 1)};
    assert_status(ctrack_hydrate(f->tracker, entries, 3, NULL), CTRACK_OK);
    assert_int_equal(stats_of(f->tracker).keys, 3);
    ctrack_promise_release(promise);
}

static void test_updates_commits_and_group_sizes(void **state)
{
    fixture *f = *state;
    update(f->tracker, "doc-1", 1);
    update(f->tracker, "doc-2", 1);
    update(f->tracker, "doc-1", 1);                                     /* changes nothing: no transaction */
    assert_status(ctrack_update(f->tracker, NULL, 0, NULL), CTRACK_OK); /* nor does this */
    ctrack_coordinate bad = at("doc-3", -1);
    assert_status(ctrack_update(f->tracker, &bad, 1, NULL), CTRACK_INVALID); /* not a success */
    ctrack_stats stats = stats_of(f->tracker);
    uint64_t commits = is_durable(f) ? 2 : 0;
    assert_int_equal(stats.updates, 4);
    assert_int_equal(stats.commits, commits);
    assert_int_equal(stats.group_sizes[0], commits); /* each of one update */
    assert_int_equal(sum(stats.group_sizes), commits);
}

static void test_coordinates_are_written_or_skipped(void **state)
{
    fixture *f = *state;
    update(f->tracker, "doc-1", 5);
    ctrack_coordinate batch[] = {at("doc-1", 5), at("doc-1", 4), at("doc-2", 1), at("doc-2", 3), at("doc-3", 0)};
    assert_status(ctrack_update(f->tracker, batch, 5, NULL), CTRACK_OK);
    ctrack_stats stats = stats_of(f->tracker);
    assert_int_equal(stats.coordinates_written, 1 + 2);
    assert_int_equal(stats.coordinates_skipped, 3);
    batch[4].operation_index = -1; /* refused as a whole: neither written nor skipped */
    assert_status(ctrack_update(f->tracker, batch, 5, NULL), CTRACK_INVALID);
    stats = stats_of(f->tracker);
    assert_int_equal(stats.coordinates_written + stats.coordinates_skipped, 6);
}

/* What others have committed is progress of this tracker, not an update of its own. */
static void test_what_another_tracker_writes_is_not_counted_here(void **state)
{
    fixture *f = *state;
    ctrack *other = open_file(f->path);
    update(other, "doc-1", 5);
    assert_status(ctrack_refresh(f->tracker, NULL), CTRACK_OK);
    ctrack_stats stats = stats_of(f->tracker);
    assert_int_equal(stats.keys, 1);
    assert_int_equal(stats.updates + stats.commits + stats.coordinates_written, 0);
    close_tracker(&other);
}

static void test_counts_begin_anew_with_each_tracker(void **state)
{
    fixture *f = *state;
    update(f->tracker, "doc-1", 5);
    reopen(f);
    ctrack_stats stats = stats_of(f->tracker);
    assert_int_equal(stats.keys, 1);
    assert_int_equal(stats.updates + stats.commits + stats.coordinates_written + stats.coordinates_skipped, 0);
}

/* ---------------------------------------------------------------- groups */

enum { WRITERS = 8 };

typedef struct writer {
    ctrack *tracker;
    char name[16];
    ctrack_status status;
} writer;

static void *write_once(void *argument)
{
    writer *w = argument;
    ctrack_coordinate progress = at(w->name, 1);
    w->status = ctrack_update(w->tracker, &progress, 1, NULL);
    return NULL;
}

/*
 * While another connection has the write lock, updates pile up behind the first one: the first commits alone, or with
 * those that had come by then, and the others in as many groups as there were. Whatever the schedule is, the sizes of
 * the groups are those of the updates.
 */
static void test_group_sizes_add_up_to_the_updates(void **state)
{
    fixture *f = *state;
    writer *writers = f->extra = calloc(WRITERS, sizeof *writers);
    assert_non_null(writers);
    pthread_t threads[WRITERS];
    sqlite3 *db = db_open(f->path);
    db_run(db, "BEGIN IMMEDIATE");
    for (int i = 0; i < WRITERS; i++) {
        writers[i].tracker = f->tracker;
        snprintf(writers[i].name, sizeof writers[i].name, "doc-%d", i);
        threads[i] = thread_start(write_once, &writers[i]);
    }
    db_run(db, "COMMIT");
    db_close(db);
    for (int i = 0; i < WRITERS; i++) {
        thread_join(threads[i]);
        assert_status(writers[i].status, CTRACK_OK);
    }
    ctrack_stats stats = stats_of(f->tracker);
    uint64_t least = 0, most = 0;
    for (size_t i = 0; i < CTRACK_HISTOGRAM; i++) { /* bucket i counts 2^i … 2^(i+1) - 1 */
        least += stats.group_sizes[i] << i;
        most += stats.group_sizes[i] * ((UINT64_C(2) << i) - 1);
    }
    assert_int_equal(stats.updates, WRITERS);
    assert_int_equal(stats.coordinates_written, WRITERS);
    assert_int_equal(sum(stats.group_sizes), stats.commits);
    assert_true(least <= WRITERS && WRITERS <= most);
}

/* ---------------------------------------------------------------- waits */

static void test_pending_waits_are_counted_while_they_are(void **state)
{
    fixture *f = *state;
    ctrack_promise *first = wait_for(f->tracker, "doc-1", 5), *second = wait_for(f->tracker, "doc-2", 5);
    assert_int_equal(stats_of(f->tracker).waits_pending, 2);
    update(f->tracker, "doc-1", 5);
    assert_int_equal(stats_of(f->tracker).waits_pending, 1);
    ctrack_promise_release(second);
    assert_int_equal(stats_of(f->tracker).waits_pending, 0);
    ctrack_promise_release(first);
}

static void test_settled_waits_are_counted_by_outcome(void **state)
{
    fixture *f = *state;
    ctrack_abort_signal *signal = new_signal();
    ctrack_promise *promises[] = {
        wait_for(f->tracker, "doc-1", 1),                          /* OK by an update */
        wait_for(f->tracker, "doc-1", 1),                          /* the same */
        wait_for_all(f->tracker, NULL, 0),                         /* OK at once */
        wait_with(f->tracker, "doc-2", 1, 0, NULL),                /* TIMED_OUT at once */
        wait_with(f->tracker, "doc-2", 1, 1, NULL),                /* TIMED_OUT */
        wait_with(f->tracker, "doc-2", 1, CTRACK_FOREVER, signal), /* ABORTED */
        wait_for(f->tracker, "doc-2", 1),                          /* FAILED */
    };
    update(f->tracker, "doc-1", 1);
    assert_status(ctrack_promise_await(promises[4]), CTRACK_TIMED_OUT);
    ctrack_abort(signal);
    ctrack_promise_release(wait_for(f->tracker, "doc-2", 1)); /* given up: ABORTED */
    assert_status(ctrack_fail(f->tracker, "broken", NULL), CTRACK_OK);
    for (size_t i = 0; i < sizeof promises / sizeof promises[0]; i++) {
        ctrack_promise_release(promises[i]); /* settled: is not counted again */
    }
    ctrack_stats stats = stats_of(f->tracker);
    assert_int_equal(stats.waits_settled[CTRACK_OK], 3);
    assert_int_equal(stats.waits_settled[CTRACK_PENDING], 0);
    assert_int_equal(stats.waits_settled[CTRACK_NOT_FOUND], 0);
    assert_int_equal(stats.waits_settled[CTRACK_TIMED_OUT], 2);
    assert_int_equal(stats.waits_settled[CTRACK_ABORTED], 2);
    assert_int_equal(stats.waits_settled[CTRACK_CLOSED], 0);
    assert_int_equal(stats.waits_settled[CTRACK_FAILED], 1);
    assert_int_equal(sum(stats.wait_microseconds), 8);
    assert_int_equal(stats.waits_pending, 0);
    ctrack_abort_signal_release(signal);
}

/* The only wait is pending for between `least` and `most` microseconds as measured here: so is its bucket. */
static void test_the_histogram_says_how_long_a_wait_was_pending(void **state)
{
    fixture *f = *state;
    int64_t before = now_ns();
    ctrack_promise *promise = wait_for(f->tracker, "doc-1", 1);
    int64_t made = now_ns();
    while (now_ns() - made < 5000000) {
    }
    int64_t asked = now_ns();
    update(f->tracker, "doc-1", 1);
    int64_t least = (asked - made) / 1000, most = (now_ns() - before) / 1000;
    ctrack_stats stats = stats_of(f->tracker);
    assert_int_equal(sum(stats.wait_microseconds), 1);
    size_t bucket = 0;
    while (stats.wait_microseconds[bucket] == 0) {
        bucket++;
    }
    assert_true(most >= INT64_C(1) << bucket);
    assert_true(least < INT64_C(2) << bucket);
    ctrack_promise_release(promise);
}

static void test_a_wait_that_need_not_wait_is_in_the_first_bucket(void **state)
{
    fixture *f = *state;
    ctrack_promise_release(wait_for_all(f->tracker, NULL, 0));
    ctrack_stats stats = stats_of(f->tracker);
    assert_int_equal(sum(stats.wait_microseconds), 1);
    assert_true(stats.wait_microseconds[0] + stats.wait_microseconds[1] + stats.wait_microseconds[2] +
                    stats.wait_microseconds[3] + stats.wait_microseconds[4] + stats.wait_microseconds[5] ==
                1); /* a busy machine may take some microseconds */
}

/* ---------------------------------------------------------------- the file */

static void test_the_file_has_a_log_and_a_write_ahead_log(void **state)
{
    fixture *f = *state;
    for (int64_t i = 0; i < 10; i++) {
        update(f->tracker, "doc-1", i);
    }
    ctrack_stats stats = stats_of(f->tracker);
    assert_int_equal(stats.log_backlog, 10);
    assert_true(stats.wal_pages > 0);
    assert_int_equal(stats.sqlite_version, sqlite3_libversion_number());
    ctrack_key gone = key("doc-1");
    assert_status(ctrack_forget(f->tracker, &gone, 1, NULL), CTRACK_OK); /* folds everything */
    assert_int_equal(stats_of(f->tracker).log_backlog, 0);
}

/* ---------------------------------------------------------------- the struct's size */

/*
 * A program may have been built with a header whose struct was shorter, or is longer. Whatever the size is, exactly
 * `size` bytes are filled: the sanitizer sees a byte too many behind a heap block of that size, and the comparison one
 * too few. What the library does not know of is zero.
 */
static void test_every_size_is_filled_exactly(void **state)
{
    fixture *f = *state;
    update(f->tracker, "doc-1", 1);
    ctrack_promise_release(wait_for(f->tracker, "doc-1", 1));
    ctrack_stats whole;
    memset(&whole, 0xA5, sizeof whole); /* padding too is what the library writes */
    whole.size = sizeof whole;
    assert_status(ctrack_get_stats(f->tracker, &whole, NULL), CTRACK_OK);
    for (size_t size = sizeof whole.size; size <= sizeof whole + 64; size++) {
        unsigned char *block = malloc(size);
        assert_non_null(block);
        memset(block, 0xA5, size);
        memcpy(block, &size, sizeof size);
        assert_status(ctrack_get_stats(f->tracker, (ctrack_stats *)(void *)block, NULL), CTRACK_OK);
        assert_memory_equal(block, &size, sizeof size);
        size_t known = size < offsetof(ctrack_stats, sqlite_exposed) + sizeof whole.sqlite_exposed
                           ? size
                           : offsetof(ctrack_stats, sqlite_exposed) + sizeof whole.sqlite_exposed;
        assert_memory_equal(block + sizeof size, (unsigned char *)&whole + sizeof size, known - sizeof size);
        for (size_t i = sizeof whole; i < size; i++) {
            assert_int_equal(block[i], 0);
        }
        free(block);
    }
}

static void test_a_size_that_is_none_is_refused_and_nothing_written(void **state)
{
    fixture *f = *state;
    static const size_t sizes[] = {0, 1, sizeof(size_t) - 1, 4097, SIZE_MAX};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        ctrack_stats stats = {.size = sizes[i], .updates = 77};
        assert_status(ctrack_get_stats(f->tracker, &stats, &f->error), CTRACK_INVALID);
        assert_contains(f->error.message, "size");
        assert_int_equal(stats.size, sizes[i]);
        assert_int_equal(stats.updates, 77);
    }
    assert_status(ctrack_get_stats(f->tracker, NULL, &f->error), CTRACK_INVALID);
    assert_status(ctrack_get_stats(NULL, NULL, &f->error), CTRACK_INVALID);
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        TEST_BOTH(test_all_counts_of_a_new_tracker_are_zero),
        TEST_BOTH(test_keys_are_those_that_have_progress_now),
        TEST_BOTH(test_updates_commits_and_group_sizes),
        TEST_BOTH(test_coordinates_are_written_or_skipped),
        TEST_ON_FILE(test_what_another_tracker_writes_is_not_counted_here),
        TEST_ON_FILE(test_counts_begin_anew_with_each_tracker),
        TEST_ON_FILE(test_group_sizes_add_up_to_the_updates),
        TEST_BOTH(test_pending_waits_are_counted_while_they_are),
        TEST_BOTH(test_settled_waits_are_counted_by_outcome),
        TEST_BOTH(test_the_histogram_says_how_long_a_wait_was_pending),
        TEST_BOTH(test_a_wait_that_need_not_wait_is_in_the_first_bucket),
        TEST_ON_FILE(test_the_file_has_a_log_and_a_write_ahead_log),
        TEST_BOTH(test_every_size_is_filled_exactly),
        TEST_BOTH(test_a_size_that_is_none_is_refused_and_nothing_written),
    };
    return SUPPORT_MAIN(argc, argv, "stats", tests, NULL);
}
