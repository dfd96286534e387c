/* SPDX-License-Identifier: MIT */
/* Sleeping until a file may have changed: one instance of inotify for all, who is told what, and doing without. */
#include "support.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "clock.h"
#include "watch.h"

/* Instances of inotify that this process has. */
static int instances(void)
{
    int count = 0;
    DIR *directory = opendir("/proc/self/fd");
    assert_non_null(directory);
    for (const struct dirent *entry = readdir(directory); entry != NULL; entry = readdir(directory)) {
        char name[300], target[64] = "";
        snprintf(name, sizeof name, "/proc/self/fd/%s", entry->d_name);
        count += readlink(name, target, sizeof target - 1) > 0 && strcmp(target, "anon_inode:inotify") == 0;
    }
    closedir(directory);
    return count;
}

/* A database and its log, or what stands for them. */
static void make_files(const fixture *f, const char *name, char path[300])
{
    char log[310];
    write_file(path_in(f, name, path), "d", 1);
    snprintf(log, sizeof log, "%s-wal", path);
    write_file(log, "l", 1);
}

static void write_to(const char *path)
{
    int descriptor = open(path, O_WRONLY);
    assert_true(descriptor >= 0 && write(descriptor, "x", 1) == 1);
    close(descriptor);
}

/* What was written before cannot be known, so the first sleep ends at once. */
static void begin(ct_watch *watch, const char *path)
{
    assert_int_equal(ct_watch_init(watch, path), 0);
    assert_true(ct_watch_await(watch, false));
}

static void test_a_process_takes_one_instance_and_gives_it_back(void **state)
{
    fixture *f = *state;
    ct_watch watches[3];
    char path[300];
    static const char *const names[] = {"a", "b", "b"};
    for (int i = 0; i < 3; i++) {
        make_files(f, names[i], path);
        begin(&watches[i], path);
        assert_int_equal(instances(), 1);
    }
    for (int i = 0; i < 3; i++) {
        assert_int_equal(instances(), 1);
        ct_watch_destroy(&watches[i]);
    }
    assert_int_equal(instances(), 0);
}

static void test_a_quiet_file_ends_no_sleep_but_by_the_net(void **state)
{
    fixture *f = *state;
    ct_watch watch;
    char path[300];
    make_files(f, "a", path);
    begin(&watch, path);
    assert_false(ct_watch_await(&watch, false));
    ct_watch_destroy(&watch);
}

static void test_each_watch_of_a_file_is_told_also_when_one_is_gone(void **state)
{
    fixture *f = *state;
    ct_watch one, two;
    char path[300];
    make_files(f, "a", path);
    begin(&one, path);
    begin(&two, path);
    write_to(path);
    assert_true(ct_watch_await(&one, false));
    assert_true(ct_watch_await(&two, false));
    ct_watch_destroy(&one);
    write_to(path);
    assert_true(ct_watch_await(&two, false));
    ct_watch_destroy(&two);
}

/* A thread that sleeps until its file was written to, or it is told to end. */
typedef struct sleeper {
    ct_watch watch;
    atomic_int rounds, written;
    atomic_bool ends;
    pthread_t thread;
} sleeper;

static void *sleep_and_count(void *argument)
{
    sleeper *s = argument;
    while (!atomic_load(&s->ends)) {
        atomic_fetch_add(&s->rounds, 1);
        if (ct_watch_await(&s->watch, false)) {
            atomic_fetch_add(&s->written, 1);
        }
    }
    return NULL;
}

static void await_count(sleeper *s, int count)
{
    while (atomic_load(&s->written) < count) {
        ct_thread_nap(100000);
    }
}

static void end(sleeper *s)
{
    atomic_store(&s->ends, true);
    ct_watch_wake(&s->watch);
    thread_join(s->thread);
    ct_watch_destroy(&s->watch);
}

/* Whoever leads tells the others, and another one leads when it goes. */
static void test_sleepers_are_told_whoever_leads(void **state)
{
    fixture *f = *state;
    enum { SLEEPERS = 3 };
    static const char *const names[SLEEPERS] = {"a", "b", "c"};
    sleeper *s = f->extra = calloc(SLEEPERS, sizeof *s);
    char paths[SLEEPERS][300];
    for (int i = 0; i < SLEEPERS; i++) {
        make_files(f, names[i], paths[i]);
        assert_int_equal(ct_watch_init(&s[i].watch, paths[i]), 0);
        s[i].thread = thread_start(sleep_and_count, &s[i]);
        await_count(&s[i], 1);
    }
    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < SLEEPERS; i++) {
            int before = atomic_load(&s[i].written);
            write_to(paths[i]);
            await_count(&s[i], before + 1);
        }
    }
    end(&s[0]);
    int before = atomic_load(&s[2].written);
    write_to(paths[2]);
    await_count(&s[2], before + 1);
    end(&s[1]);
    end(&s[2]);
    assert_int_equal(instances(), 0);
}

/* Nobody is told of the file of a watch that does not want to know. It looks anew when it does. */
static void test_who_sleeps_whatever_happens_is_not_told(void **state)
{
    fixture *f = *state;
    ct_watch sleeping, other;
    char path[300], others[300];
    make_files(f, "a", path);
    make_files(f, "b", others);
    begin(&sleeping, path);
    begin(&other, others);
    sleeping.sleeps = true; /* as in ct_watch_sleep() */
    write_to(path);
    assert_false(ct_watch_await(&other, false));
    assert_int_equal(sleeping.descriptors[0], -1);
    sleeping.sleeps = false;
    assert_true(ct_watch_await(&sleeping, false));
    write_to(path);
    assert_true(ct_watch_await(&sleeping, false));
    ct_watch_destroy(&sleeping);
    ct_watch_destroy(&other);
}

static void test_a_file_that_is_made_anew_is_watched_again(void **state)
{
    fixture *f = *state;
    ct_watch watch;
    char path[300];
    make_files(f, "a", path);
    begin(&watch, path);
    assert_int_equal(unlink(path), 0);
    assert_true(ct_watch_await(&watch, false));
    make_files(f, "a", path);
    while (!ct_watch_await(&watch, false)) { /* until it is tried again */
    }
    write_to(path);
    assert_true(ct_watch_await(&watch, false));
    ct_watch_destroy(&watch);
}

/* Without descriptors there is no instance: it is looked now and then, the less often the longer nothing has changed. */
static void test_without_descriptors_it_looks_now_and_then_until_there_are_some(void **state)
{
    fixture *f = *state;
    struct rlimit before, none;
    ct_watch watch;
    char path[300];
    make_files(f, "a", path);
    assert_int_equal(ct_watch_init(&watch, path), 0);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = before;
    none.rlim_cur = 3;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    int64_t start = now_ns(), longest = 0;
    bool written = ct_watch_await(&watch, true);
    int64_t first = now_ns() - start;
    int looks = 0;
    while (now_ns() - start < INT64_C(900000000)) {
        int64_t asleep = now_ns();
        written = ct_watch_await(&watch, false) || written;
        longest = now_ns() - asleep > longest ? now_ns() - asleep : longest;
        looks++;
    }
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_false(written);
    assert_true(first >= 1000000);
    assert_true(longest >= INT64_C(32000000));
    assert_true(looks < 300);
    while (!ct_watch_await(&watch, false)) {
    }
    assert_int_equal(instances(), 1);
    ct_watch_destroy(&watch);
}

/* There is room for the pipe, but not for the instance; and a second watch does not try at once again. */
static void test_an_instance_that_cannot_be_had_leaves_nothing_behind(void **state)
{
    fixture *f = *state;
    struct rlimit before, few;
    ct_watch one, two;
    char path[300];
    make_files(f, "a", path);
    assert_int_equal(ct_watch_init(&one, path), 0);
    assert_int_equal(ct_watch_init(&two, path), 0);
    int first = dup(0);
    assert_true(first > 0);
    close(first);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    few = before;
    few.rlim_cur = (rlim_t)first + 2;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    bool told = ct_watch_await(&one, true) || ct_watch_await(&two, true);
    int after = dup(0);
    close(after);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_false(told);
    assert_int_equal(after, first);
    ct_watch_destroy(&one);
    ct_watch_destroy(&two);
}

/* What was lost may have concerned everybody. */
static void test_events_that_were_lost_are_told_to_all(void **state)
{
    fixture *f = *state;
    enum { MORE_THAN_ARE_KEPT = 20000 };
    ct_watch one, quiet;
    char path[300], quiets[300], log[310];
    make_files(f, "a", path);
    make_files(f, "b", quiets);
    snprintf(log, sizeof log, "%s-wal", path);
    begin(&one, path);
    begin(&quiet, quiets);
    int files[2] = {open(path, O_WRONLY), open(log, O_WRONLY)};
    for (int i = 0; i < MORE_THAN_ARE_KEPT; i++) { /* in turn, since equal events that follow each other are one */
        assert_int_equal(write(files[i % 2], "x", 1), 1);
    }
    close(files[0]);
    close(files[1]);
    while (!ct_watch_await(&quiet, false)) {
    }
    ct_watch_destroy(&one);
    ct_watch_destroy(&quiet);
}

/* Who cannot be watched for cannot lead. */
static void test_nobody_leads_for_whom_there_is_nothing_to_poll(void **state)
{
    fixture *f = *state;
    sleeper *s = f->extra = calloc(1, sizeof *s);
    ct_watch watch;
    char path[300], nothing[300];
    assert_int_equal(ct_watch_init(&s->watch, path_in(f, "nothing", nothing)), 0);
    s->thread = thread_start(sleep_and_count, s);
    make_files(f, "a", path);
    begin(&watch, path);
    for (int before = atomic_load(&s->rounds); atomic_load(&s->rounds) < before + 50;) { /* while it sleeps, mostly */
        write_to(path);
        assert_true(ct_watch_await(&watch, false));
    }
    ct_watch_destroy(&watch);
    end(s);
    assert_int_equal(instances(), 0);
}

static void test_waking_ends_every_sleep_or_the_next_one(void **state)
{
    fixture *f = *state;
    ct_watch watch;
    char path[300];
    make_files(f, "a", path);
    begin(&watch, path);
    ct_watch_wake(&watch);
    ct_watch_sleep(&watch, CT_NEVER);
    ct_watch_wake(&watch);
    assert_false(ct_watch_await(&watch, false));
    int64_t start = now_ns();
    ct_watch_sleep(&watch, start + 1000000);
    assert_true(now_ns() - start >= 1000000);
    ct_watch_destroy(&watch);
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_a_process_takes_one_instance_and_gives_it_back),
        TEST(test_a_quiet_file_ends_no_sleep_but_by_the_net),
        TEST(test_each_watch_of_a_file_is_told_also_when_one_is_gone),
        TEST(test_sleepers_are_told_whoever_leads),
        TEST(test_who_sleeps_whatever_happens_is_not_told),
        TEST(test_a_file_that_is_made_anew_is_watched_again),
        TEST(test_without_descriptors_it_looks_now_and_then_until_there_are_some),
        TEST(test_an_instance_that_cannot_be_had_leaves_nothing_behind),
        TEST(test_events_that_were_lost_are_told_to_all),
        TEST(test_nobody_leads_for_whom_there_is_nothing_to_poll),
        TEST(test_waking_ends_every_sleep_or_the_next_one),
    };
    return SUPPORT_MAIN(argc, argv, "watch", tests, NULL);
}
