/* SPDX-License-Identifier: MIT */
/*
 * One file, any process: several processes with several trackers each, all writing, reading and waiting. A page that
 * they share holds what each writer has attempted (written before the call) and what was acknowledged (after it). A
 * wait that ends before its index was even attempted is false; one that never ends is lost, and then the alarm says so.
 *
 * Some processes are killed in between, one while it has the write lock; they hold nobody up.
 *
 * CTRACK_STRESS_ROUNDS sets how many updates each writer makes.
 */
#include "support.h"

#include <inttypes.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PROCESSES = 3, VICTIM = PROCESSES, WRITERS, WAITERS = 2, LEAP = 7 };

typedef struct page {
    _Atomic int64_t attempted[WRITERS], acknowledged[WRITERS];
    _Atomic int64_t updates; /* that each process makes */
} page;

static const char *const names[WRITERS] = {"doc-0", "doc-1", "doc-2", "victim"};

/* ---------------------------------------------------------------- a process that writes and waits */

typedef struct actor {
    page *shared;
    ctrack *tracker;
    int writer; /* whose document it writes or waits for */
    int failed; /* where, 0 if all went well */
} actor;

static void *write_all(void *argument)
{
    actor *a = argument;
    int64_t updates = atomic_load(&a->shared->updates);
    for (int64_t i = 1; i <= updates && a->failed == 0; i++) {
        ctrack_coordinate progress = at(names[a->writer], i);
        atomic_store(&a->shared->attempted[a->writer], i);
        a->failed = ctrack_update(a->tracker, &progress, 1, NULL) == CTRACK_OK ? 0 : 1;
        atomic_store(&a->shared->acknowledged[a->writer], i);
    }
    return NULL;
}

/* Each wait is for an index a little above what there is: some are registered before it is committed, some after. */
static void *wait_for_all_of_them(void *argument)
{
    actor *a = argument;
    int64_t updates = atomic_load(&a->shared->updates), target = 0;
    ctrack_key read = key(names[a->writer]);
    while (target < updates && a->failed == 0) {
        target = atomic_load(&a->shared->acknowledged[a->writer]) + 1 + target % LEAP;
        target = target < updates ? target : updates;
        ctrack_coordinate wanted = at(names[a->writer], target);
        int64_t index = -1;
        if (ctrack_wait(a->tracker, &wanted, 1, CTRACK_FOREVER, NULL, NULL) != CTRACK_OK) {
            a->failed = 2;
        } else if (atomic_load(&a->shared->attempted[a->writer]) < target) {
            a->failed = 3; /* false */
        } else if (ctrack_get_latest(a->tracker, &read, &index) != CTRACK_OK || index < target ||
                   atomic_load(&a->shared->attempted[a->writer]) < index) {
            a->failed = 4;
        }
    }
    return NULL;
}

/* One tracker writes; the two others of this process wait, one for each of the other processes. */
static int write_and_wait(page *shared, const char *path, int number)
{
    actor actors[1 + WAITERS];
    pthread_t threads[1 + WAITERS];
    ctrack *trackers[1 + WAITERS];
    char ready = '!';
    for (int i = 0; i <= WAITERS; i++) {
        if (ctrack_open(path, NULL, &trackers[i], NULL) != CTRACK_OK) {
            return 20;
        }
        actors[i] = (actor){shared, trackers[i], (number + i) % PROCESSES, 0};
    }
    if (!write_fully(STDOUT_FILENO, &ready, 1)) {
        return 21;
    }
    for (int i = 0; i <= WAITERS; i++) {
        if (pthread_create(&threads[i], NULL, i == 0 ? write_all : wait_for_all_of_them, &actors[i]) != 0) {
            return 22;
        }
    }
    int result = 0;
    for (int i = 0; i <= WAITERS; i++) {
        pthread_join(threads[i], NULL);
        result = actors[i].failed != 0 ? actors[i].failed : result;
    }
    for (int i = 0; i <= WAITERS; i++) {
        ctrack_close(trackers[i], NULL);
    }
    return result;
}

/* Writes until it is killed. */
static int write_for_ever(page *shared, const char *path)
{
    ctrack *tracker = NULL;
    char ready = '!';
    if (ctrack_open(path, NULL, &tracker, NULL) != CTRACK_OK) {
        return 20;
    }
    for (int64_t i = atomic_load(&shared->attempted[VICTIM]) + 1;; i++) {
        ctrack_coordinate progress = at(names[VICTIM], i);
        atomic_store(&shared->attempted[VICTIM], i);
        if (ctrack_update(tracker, &progress, 1, NULL) != CTRACK_OK) {
            return 23;
        }
        atomic_store(&shared->acknowledged[VICTIM], i);
        if (ready != 0 && !write_fully(STDOUT_FILENO, &ready, 1)) {
            return 21;
        }
        ready = 0;
    }
}

/* Takes the write lock in the middle of a staged transaction, says so, and is killed. */
static int hold_the_lock(const char *path)
{
    sqlite3 *db = NULL;
    ctrack_coordinate progress = at("never", 1);
    char ready = '!';
    if (sqlite3_open(path, &db) != SQLITE_OK || sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL) != SQLITE_OK ||
        ctrack_stage(db, NULL, &progress, 1, NULL) != CTRACK_OK || !write_fully(STDOUT_FILENO, &ready, 1)) {
        return 24;
    }
    for (;;) {
        pause();
    }
}

/* Waits, sleeps through all that happens (SIGSTOP), and then must find what it has waited for. */
static int fall_behind(const char *path)
{
    ctrack *tracker = NULL;
    ctrack_promise *promise = NULL;
    ctrack_coordinate wanted[] = {at("doc-7", OFTEN_BATCHES - 1 + 7), at("last", 1)};
    ctrack_key forgotten = key("forgotten");
    int64_t index = 0;
    if (ctrack_open(path, NULL, &tracker, NULL) != CTRACK_OK ||
        ctrack_get_latest(tracker, &forgotten, &index) != CTRACK_OK ||
        ctrack_wait_for(tracker, wanted, 2, CTRACK_FOREVER, NULL, &promise, NULL) != CTRACK_OK) {
        return 20;
    }
    raise(SIGSTOP);
    if (ctrack_promise_await(promise) != CTRACK_OK) {
        return 25;
    }
    if (ctrack_get_latest(tracker, &forgotten, &index) != CTRACK_NOT_FOUND) {
        return 26;
    }
    ctrack_promise_release(promise);
    return ctrack_close(tracker, NULL) == CTRACK_OK ? 0 : 27;
}

static int run_child(const char *mode, const char *directory)
{
    char path[300];
    snprintf(path, sizeof path, "%s/progress.db", directory);
    if (strcmp(mode, "hold") == 0) {
        return hold_the_lock(path);
    }
    if (strcmp(mode, "behind") == 0) {
        return fall_behind(path);
    }
    page *shared = shared_page(directory, sizeof(page));
    if (shared == NULL) {
        return 28;
    }
    return strcmp(mode, "victim") == 0 ? write_for_ever(shared, path) : write_and_wait(shared, path, mode[0] - '0');
}

/* ---------------------------------------------------------------- the tests */

static void await_ready(child *c)
{
    char ready = 0;
    if (!read_fully(c->output, &ready, 1)) {
        print_error("a process ended with status %d\n", child_finish(c));
        fail();
    }
}

static void test_each_sees_every_commit_of_all_and_no_wait_is_lost_or_false(void **state)
{
    fixture *f = *state;
    static const char *const modes[PROCESSES] = {"0", "1", "2"};
    child processes[PROCESSES];
    page *shared = shared_page(f->directory, sizeof(page));
    assert_non_null(shared);
    int64_t updates = (int64_t)environment_number("CTRACK_STRESS_ROUNDS", 400);
    alarm(updates > 400 ? 0 : 120);
    atomic_store(&shared->updates, updates);
    for (int i = 0; i < PROCESSES; i++) {
        processes[i] = child_start(modes[i], f->directory);
    }
    for (int i = 0; i < PROCESSES; i++) {
        await_ready(&processes[i]);
    }
    /* Others come and are killed in the meantime, the last one when the writers may be done already. */
    for (int i = 0; i < 5; i++) {
        child victim = child_start("victim", f->directory);
        await_ready(&victim);
        child_kill(&victim);
        int64_t acknowledged = atomic_load(&shared->acknowledged[VICTIM]);
        ctrack_coordinate wanted = at(names[VICTIM], acknowledged);
        assert_status(ctrack_wait(f->tracker, &wanted, 1, CTRACK_FOREVER, NULL, NULL), CTRACK_OK);
        assert_true(latest(f->tracker, names[VICTIM]) <= atomic_load(&shared->attempted[VICTIM]));
    }
    for (int i = 0; i < PROCESSES; i++) {
        assert_int_equal(child_finish(&processes[i]), 0);
    }
    assert_status(ctrack_refresh(f->tracker, NULL), CTRACK_OK);
    for (int i = 0; i < PROCESSES; i++) {
        assert_int_equal(latest(f->tracker, names[i]), updates);
    }
    ctrack *fresh = open_file(f->path);
    assert_same_progress(f->tracker, fresh);
    close_tracker(&fresh);
    munmap(shared, sizeof *shared);
}

static void test_process_killed_with_the_write_lock_holds_nobody_up(void **state)
{
    fixture *f = *state;
    for (int64_t i = 0; i < 5; i++) {
        child holder = child_start("hold", f->directory);
        await_ready(&holder);
        ctrack_promise *promise = wait_for(f->tracker, "doc-1", i);
        ctrack *impatient = open_impatient(f->path, 0);
        ctrack_coordinate progress = at("doc-1", i);
        assert_status(ctrack_update(impatient, &progress, 1, NULL), CTRACK_BUSY);
        child_kill(&holder);
        assert_status(ctrack_update(impatient, &progress, 1, NULL), CTRACK_OK);
        assert_status(ctrack_promise_await(promise), CTRACK_OK);
        assert_int_equal(latest(f->tracker, "never"), NEVER_SEEN);
        ctrack_promise_release(promise);
        close_tracker(&impatient);
    }
}

/* A process that sleeps while the log is folded and trimmed behind what it has seen. */
static void test_process_that_fell_behind_the_trimmed_log_catches_up(void **state)
{
    fixture *f = *state;
    int status = 0;
    update(f->tracker, "forgotten", 1);
    child sleeper = child_start("behind", f->directory);
    assert_int_equal(waitpid(sleeper.pid, &status, WUNTRACED), sleeper.pid);
    assert_true(WIFSTOPPED(status));
    ctrack_key forgotten = key("forgotten");
    assert_status(ctrack_forget(f->tracker, &forgotten, 1, NULL), CTRACK_OK);
    update_very_often(f->tracker);
    sqlite3 *db = db_open(f->path);
    while (db_integer(db, "SELECT min(seq) FROM ctrack_advance") <= 3) { /* ends by the alarm if nothing is trimmed */
    }
    db_close(db);
    update(f->tracker, "last", 1);
    assert_int_equal(kill(sleeper.pid, SIGCONT), 0);
    assert_int_equal(child_finish(&sleeper), 0);
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        TEST_ON_FILE(test_each_sees_every_commit_of_all_and_no_wait_is_lost_or_false),
        TEST_ON_FILE(test_process_killed_with_the_write_lock_holds_nobody_up),
        TEST_ON_FILE(test_process_that_fell_behind_the_trimmed_log_catches_up),
    };
    return SUPPORT_MAIN(argc, argv, "one_file", tests, run_child);
}
