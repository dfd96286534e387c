/* SPDX-License-Identifier: MIT */
/*
 * Trackers at work beside others: a process that holds the file's lock most of the time, and processes that fork off.
 *
 * How late a wait may be is measured: a metronome says by how much the machine is late itself.
 */
#include "support.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    MS = 1000000,
    COMMITS = 40,
    HELD_MS = 15,
    UPDATERS = 8,
    LIMIT_MS = 50,
    LATENESS = 10,
    FORKS = 100,
    CHILD_S = 30
};

static void nap(long nanoseconds)
{
    struct timespec moment = {0, nanoseconds};
    nanosleep(&moment, NULL);
}

/* What our threads share, and, in a page of its own, what we share with the other process. */
typedef struct world {
    ctrack *tracker;
    atomic_bool over;
    _Atomic int64_t lateness, updates, failures;
} world;

typedef struct page {
    _Atomic int64_t committed_ns[COMMITS];
} page;

/* ---------------------------------------------------------------- the process that holds the lock */

/* Reports `foreign` at 0, 1, 2 …, and has the lock nearly all the time. */
static int commit_slowly(const char *directory)
{
    char path[300], insert[200];
    snprintf(path, sizeof path, "%s/progress.db", directory);
    page *shared = shared_page(directory, sizeof *shared);
    sqlite3 *db = NULL;
    if (shared == NULL || sqlite3_open(path, &db) != SQLITE_OK) {
        return 20;
    }
    sqlite3_busy_timeout(db, 60000);
    sqlite3_exec(db, "PRAGMA wal_autocheckpoint = 0", NULL, NULL, NULL);
    for (int i = 0; i < COMMITS; i++) {
        snprintf(
            insert, sizeof insert,
            "BEGIN IMMEDIATE; INSERT INTO ctrack_progress VALUES ('default', 'foreign', 'document', 'main', %d, NULL)",
            i);
        if (sqlite3_exec(db, insert, NULL, NULL, NULL) != SQLITE_OK) {
            return 21;
        }
        nap(HELD_MS * MS);
        if (sqlite3_exec(db, "COMMIT", NULL, NULL, NULL) != SQLITE_OK) {
            return 22;
        }
        atomic_store(&shared->committed_ns[i], now_ns());
    }
    sqlite3_close(db);
    return 0;
}

static int run_child(const char *mode, const char *argument)
{
    (void)mode;
    return commit_slowly(argument);
}

/* ---------------------------------------------------------------- our threads */

/* Notes by how much naps are too long. */
static void *beat(void *argument)
{
    world *w = argument;
    while (!atomic_load(&w->over)) {
        int64_t before = now_ns();
        nap(MS);
        int64_t late = now_ns() - before - MS;
        if (late > atomic_load(&w->lateness)) {
            atomic_store(&w->lateness, late);
        }
    }
    return NULL;
}

static void *update_all_the_time(void *argument)
{
    world *w = argument;
    while (!atomic_load(&w->over)) {
        ctrack_coordinate own = at("own", atomic_fetch_add(&w->updates, 1));
        if (ctrack_update(w->tracker, &own, 1, NULL) != CTRACK_OK) {
            atomic_fetch_add(&w->failures, 1);
        }
    }
    return NULL;
}

/* When it was committed, which may be noted a little after we are awake. */
static int64_t committed(_Atomic int64_t *noted)
{
    while (atomic_load(noted) == 0) {
        nap(MS / 10);
    }
    return atomic_load(noted);
}

static void test_waits_wake_within_50_ms_of_a_commit_while_many_updates_wait_for_the_lock(void **state)
{
    fixture *f = *state;
    world w = {.tracker = f->tracker};
    pthread_t threads[UPDATERS], metronome = thread_start(beat, &w);
    page *shared = shared_page(f->directory, sizeof *shared);
    assert_non_null(shared);
    for (int i = 0; i < UPDATERS; i++) {
        threads[i] = thread_start(update_all_the_time, &w);
    }
    child holder = child_start("hold", f->directory);
    int wrong = 0, late = 0;
    for (int i = 0; i < COMMITS; i++) {
        atomic_store(&w.lateness, 0);
        ctrack_coordinate next = at("foreign", i);
        wrong += ctrack_wait(f->tracker, &next, 1, 60000, NULL, NULL) != CTRACK_OK;
        int64_t took = now_ns() - committed(&shared->committed_ns[i]);
        late += took > LIMIT_MS * MS + LATENESS * atomic_load(&w.lateness);
    }
    atomic_store(&w.over, true);
    assert_int_equal(child_finish(&holder), 0);
    for (int i = 0; i < UPDATERS; i++) {
        thread_join(threads[i]);
    }
    thread_join(metronome);
    assert_int_equal(wrong, 0);
    assert_int_equal(late, 0);
    assert_int_equal(atomic_load(&w.failures), 0);
    munmap(shared, sizeof *shared);
}

/* ---------------------------------------------------------------- forks */

/* In the child of a fork: nothing is opened, and memory works. */
static int try_in_fork(const fixture *f)
{
    ctrack *tracker = NULL;
    ctrack_coordinate progress = at("child", 1);
    if (ctrack_open(f->path, NULL, &tracker, NULL) != CTRACK_FORKED) {
        return 2;
    }
    if (ctrack_update(f->tracker, &progress, 1, NULL) != CTRACK_FORKED) {
        return 3;
    }
    if (ctrack_open(NULL, NULL, &tracker, NULL) != CTRACK_OK ||
        ctrack_update(tracker, &progress, 1, NULL) != CTRACK_OK || ctrack_close(tracker, NULL) != CTRACK_OK) {
        return 4;
    }
    return 0;
}

/* The child lives until the pipe is closed. */
static pid_t fork_off(const fixture *f, const int ends[2])
{
    char byte;
    pid_t forked = fork();
    if (forked == 0) {
        signal(SIGALRM, SIG_DFL);
        alarm(CHILD_S);
        close(ends[1]);
        int result = try_in_fork(f);
        while (read(ends[0], &byte, 1) < 0 && errno == EINTR) {
        }
        leave_fork(result);
    }
    return forked;
}

/* Every other child lives on while its parent closes the tracker and opens it again. */
static void test_a_hundred_forks_beside_a_tracker_at_work_take_nothing_away(void **state)
{
    fixture *f = *state;
    for (int i = 0; i < FORKS; i++) {
        world w = {.tracker = f->tracker};
        atomic_store(&w.updates, (int64_t)i * 1000000);
        int ends[2], status = 0;
        assert_int_equal(pipe(ends), 0);
        pthread_t updater = thread_start(update_all_the_time, &w);
        pid_t forked = fork_off(f, ends);
        assert_true(forked > 0);
        atomic_store(&w.over, true);
        thread_join(updater);
        assert_int_equal(atomic_load(&w.failures), 0);
        if (i % 2 == 0) {
            reopen(f);
        }
        update(f->tracker, "doc-1", i);
        close(ends[0]);
        close(ends[1]);
        assert_int_equal(waitpid(forked, &status, 0), forked);
        assert_int_equal(status, 0);
        int64_t last = atomic_load(&w.updates) - 1;
        if (last >= (int64_t)i * 1000000) {
            assert_int_equal(latest(f->tracker, "own"), last);
        }
        assert_int_equal(latest(f->tracker, "doc-1"), i);
    }
    reopen(f);
    assert_int_equal(latest(f->tracker, "doc-1"), FORKS - 1);
    assert_int_equal(latest(f->tracker, "child"), NEVER_SEEN);
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        TEST_ON_FILE(test_waits_wake_within_50_ms_of_a_commit_while_many_updates_wait_for_the_lock),
        TEST_ON_FILE(test_a_hundred_forks_beside_a_tracker_at_work_take_nothing_away),
    };
    return SUPPORT_MAIN(argc, argv, "neighbours", tests, run_child);
}
