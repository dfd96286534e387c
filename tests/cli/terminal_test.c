/* SPDX-License-Identifier: MIT */
/* What a terminal brings with it: the line that tells how far a command is, and Ctrl-C. */
#define _GNU_SOURCE /* unshare */
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli.h"

static void make_file(const fixture *f, int keys)
{
    char *array = array_of(keys);
    assert_exit(DONE, RUN_INPUT(f, array, "restore", "p.db"));
    free(array);
}

/* ---------------------------------------------------------------- the line */

static void test_a_terminal_gets_a_line_that_is_wiped_at_the_end(void **state)
{
    fixture *f = *state;
    make_file(f, 5000);
    process p = start_on_terminal(f, TERMINAL_ERROR, LIST("dump", "p.db", "-o", "dump"));
    assert_exit(DONE, finish(&p, "", 0));
    assert_string_equal(out, "");
    assert_contains(err, "\rdump: 64.0 KiB, ");
    assert_contains(err, " rows");
    assert_string_equal(err + strlen(err) - 5, "    \r");
    p = start_on_terminal(f, TERMINAL_ERROR, LIST("restore", "q.db", "-i", "dump"));
    assert_exit(DONE, finish(&p, "", 0));
    assert_contains(err, "\rrestore: ");
    assert_contains(err, " %, 64.0 KiB of ");
    assert_contains(err, "\rrestore: all is read, writing");
    assert_contains(err, "     \rctrack: 5000 entries restored\r\n");
}

static void test_an_error_is_said_on_a_line_of_its_own(void **state)
{
    fixture *f = *state;
    make_file(f, 5000);
    assert_exit(DONE, RUN(f, "dump", "p.db", "-o", "dump"));
    assert_int_equal(truncate(name_in(f, "dump"), 200000), 0);
    process p = start_on_terminal(f, TERMINAL_ERROR, LIST("restore", "q.db", "-i", "dump"));
    assert_exit(INPUT, finish(&p, "", 0));
    assert_contains(err, "     \rctrack: dump:");
}

static void test_no_line_goes_to_a_pipe_or_among_data(void **state)
{
    fixture *f = *state;
    make_file(f, 5000);
    assert_exit(DONE, RUN(f, "dump", "p.db", "-o", "dump"));
    assert_string_equal(err, "");
    assert_exit(DONE, RUN(f, "restore", "q.db", "-i", "dump"));
    assert_string_equal(err, "ctrack: 5000 entries restored\n");
    process p = start_on_terminal(f, TERMINAL_OUTPUT | TERMINAL_ERROR, LIST("dump", "p.db"));
    assert_exit(DONE, finish(&p, "", 0));
    assert_null(strstr(out, "dump: "));
    assert_contains(out, "{\"count\":5000,");
}

static void test_no_terminal_obeys_what_csv_holds(void **state)
{
    fixture *f = *state;
    assert_exit(DONE, RUN(f, "update", "p.db", "a\033[2J\"b:c:d=1"));
    process p = start_on_terminal(f, TERMINAL_OUTPUT, LIST("list", "p.db", "--format", "csv"));
    assert_exit(DONE, finish(&p, "", 0));
    assert_contains(out, "\"a\\x1b[2J\"\"b\",c,d,1");
    assert_exit(DONE, RUN(f, "list", "p.db", "--format", "csv")); /* the bytes as they are */
    assert_contains(out, "\"a\033[2J\"\"b\",c,d,1\r\n");
}

/* ---------------------------------------------------------------- Ctrl-C */

static int threads_of(const process *p)
{
    char tasks[64];
    struct stat status;
    snprintf(tasks, sizeof tasks, "/proc/%d/task", (int)p->pid);
    assert_int_equal(stat(tasks, &status), 0);
    return (int)status.st_nlink - 2;
}

static void test_wait_ends_by_the_signal_and_says_what_was_missing(void **state)
{
    fixture *f = *state;
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
    assert_exit(DONE, RUN(f, "update", "p.db", "a:b:c=1"));
    for (int i = 0; i < 3; i++) {
        process p = start(f, NULL, LIST("wait", "p.db", "a:b:c=2"));
        /* The signals are caught before the thread that follows the file starts. */
        while (threads_of(&p) < 2) {
            assert_int_equal(poll(NULL, 0, 1), 0);
        }
        kill(p.pid, signals[i]);
        assert_exit(128 + signals[i], finish(&p, "", 0));
        assert_string_equal(err, "ctrack: waiting: 1 of 1 coordinates missing: a:b:c needs 2, has 1\n");
    }
}

static void test_wait_for_a_file_ends_by_the_signal(void **state)
{
    fixture *f = *state;
    process p = start(f, NULL, LIST("wait", "p.db", "a:b:c=2"));
    kill(p.pid, SIGTERM);
    assert_exit(128 + SIGTERM, finish(&p, "", 0));
    assert_int_equal(files_in(f, "p.db"), 0);
}

static void test_wait_for_a_file_says_so_on_a_terminal(void **state)
{
    fixture *f = *state;
    char text[1000];
    process p = start_on_terminal(f, TERMINAL_ERROR, LIST("wait", "p.db", "a:b:c=2"));
    read_until(p.error, text, sizeof text, "ctrack: waiting: p.db: there is no such file");
    assert_exit(DONE, RUN(f, "update", "p.db", "a:b:c=2"));
    assert_exit(DONE, finish(&p, "", 0));
}

/* Starts it as the first process of a container. False where that is refused. */
static bool start_as_process_one(const fixture *f, const char *const arguments[], process *p)
{
    int own = open("/proc/self/ns/pid", O_RDONLY | O_CLOEXEC);
    if (own < 0 || unshare(CLONE_NEWPID) != 0) {
        return false;
    }
    *p = start(f, NULL, arguments);
    assert_int_equal(setns(own, CLONE_NEWPID), 0); /* for whoever is started next */
    close(own);
    return true;
}

/* Signals that nobody has asked for do not reach it, and none ends it by itself. */
static void test_process_one_ends_with_the_status_that_a_shell_gives_a_signal(void **state)
{
    fixture *f = *state;
    process p;
    char text[100];
    assert_exit(DONE, RUN(f, "update", "p.db", "a:b:c=1"));
    if (!start_as_process_one(f, LIST("wait", "p.db", "a:b:c=2"), &p)) {
        print_message("SKIPPED: no process is made the first of a container here\n");
        skip();
    }
    while (threads_of(&p) < 2) {
        assert_int_equal(poll(NULL, 0, 1), 0);
    }
    kill(p.pid, SIGTERM);
    assert_exit(128 + SIGTERM, finish(&p, "", 0));
    assert_true(start_as_process_one(f, LIST("watch", "p.db"), &p)); /* it says something, and goes on */
    read_until(p.output, text, sizeof text, "a:b:c");
    kill(p.pid, SIGTERM);
    assert_exit(128 + SIGTERM, finish(&p, "", 0));
}

static void test_an_interrupted_restore_changes_nothing(void **state)
{
    fixture *f = *state;
    char text[4000];
    static const char begin[] = "[[\"a:b:c\",5],";
    assert_exit(DONE, RUN(f, "update", "p.db", "a:b:c=1"));
    process p = start_on_terminal(f, TERMINAL_ERROR, LIST("restore", "p.db", "--replace"));
    assert_int_equal(write(p.input, begin, sizeof begin - 1), sizeof begin - 1);
    read_until(p.error, text, sizeof text, "\rrestore: 13 B");
    kill(p.pid, SIGINT);
    /* While its input is still open. */
    read_until(p.error, text, sizeof text, "     \rctrack: interrupted: nothing has changed");
    assert_exit(128 + SIGINT, finish(&p, "", 0));
    assert_exit(DONE, RUN(f, "list", "p.db", "--format", "json"));
    assert_string_equal(out, "[[\"a:b:c\",1]]\n");
}

/* The size of the file whose name begins so; 0: there is none. */
static off_t size_of_temporary(const fixture *f, const char *prefix)
{
    DIR *directory = opendir(f->directory);
    struct stat status = {.st_size = 0};
    assert_non_null(directory);
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        if (strncmp(entry->d_name, prefix, strlen(prefix)) == 0) {
            assert_int_equal(stat(name_in(f, entry->d_name), &status), 0);
        }
    }
    closedir(directory);
    return status.st_size;
}

static void test_an_interrupted_dump_leaves_the_old_file_and_no_other(void **state)
{
    fixture *f = *state;
    make_file(f, 20000);
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
    put_content(f, "out", "old\n");
    for (int i = 0; i < 3; i++) {
        /* The terminal is stopped, as by Ctrl-S, so the dump stands still when it begins to draw its line. */
        process p = start_on_terminal(f, TERMINAL_ERROR | TERMINAL_STOPPED, LIST("dump", "p.db", "-o", "out"));
        while (size_of_temporary(f, "out.") == 0) {
            assert_int_equal(poll(NULL, 0, 1), 0);
        }
        kill(p.pid, signals[i]);
        assert_exit(128 + signals[i], finish(&p, "", 0));
        assert_int_equal(files_in(f, "out"), 1);
        assert_string_equal(content(f, "out"), "old\n");
    }
}

static void test_an_interrupted_dump_wipes_its_line(void **state)
{
    fixture *f = *state;
    char text[4000];
    make_file(f, 20000);
    assert_int_equal(mkfifo(name_in(f, "fifo"), 0600), 0);
    int reader = open(name_in(f, "fifo"), O_RDWR); /* it is written to in place, until it is full */
    process p = start_on_terminal(f, TERMINAL_ERROR, LIST("dump", "p.db", "-o", "fifo"));
    read_until(p.error, text, sizeof text, "\rdump: 64.0 KiB, ");
    kill(p.pid, SIGINT);
    assert_exit(128 + SIGINT, finish(&p, "", 0));
    assert_true(strlen(err) > 5);
    assert_string_equal(err + strlen(err) - 5, "    \r");
    close(reader);
}

static void test_a_signal_that_is_ignored_stays_ignored(void **state)
{
    fixture *f = *state;
    char text[4000];
    assert_exit(DONE, RUN(f, "update", "p.db", "a:b:c=1"));
    ignore_interrupts = true;
    process p = start(f, NULL, LIST("watch", "p.db", "--interval", "10ms"));
    ignore_interrupts = false;
    read_until(p.output, text, sizeof text, "\n");
    kill(p.pid, SIGINT);
    assert_exit(DONE, RUN(f, "update", "p.db", "a:b:c=2"));
    read_until(p.output, text, sizeof text, "\n");
    assert_contains(text, " 2 +1 a:b:c\n");
    kill(p.pid, SIGTERM);
    assert_exit(128 + SIGTERM, finish(&p, "", 0));
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_terminal_gets_a_line_that_is_wiped_at_the_end),
        TEST(test_an_error_is_said_on_a_line_of_its_own),
        TEST(test_no_line_goes_to_a_pipe_or_among_data),
        TEST(test_no_terminal_obeys_what_csv_holds),
        TEST(test_wait_ends_by_the_signal_and_says_what_was_missing),
        TEST(test_wait_for_a_file_ends_by_the_signal),
        TEST(test_wait_for_a_file_says_so_on_a_terminal),
        TEST(test_process_one_ends_with_the_status_that_a_shell_gives_a_signal),
        TEST(test_an_interrupted_restore_changes_nothing),
        TEST(test_an_interrupted_dump_leaves_the_old_file_and_no_other),
        TEST(test_an_interrupted_dump_wipes_its_line),
        TEST(test_a_signal_that_is_ignored_stays_ignored),
    };
    return SUPPORT_MAIN(argc, argv, "terminal", tests, NULL);
}
