/* SPDX-License-Identifier: MIT */
/* The commands that copy a file and look for damage in it: snapshot and check. */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <termios.h>
#include <unistd.h>

#include "cli.h"

/* ---------------------------------------------------------------- snapshot */

static void test_snapshot_is_a_tracker_file_of_all_read_models(void **state)
{
    fixture *f = *state;
    assert_exit(DONE, RUN(f, "update", "p.db", "a:b:c=5", "d:e:f=6"));
    assert_exit(DONE, RUN(f, "update", "p.db", "a:b:c=7", "--read-model", "search"));
    assert_exit(DONE, RUN(f, "snapshot", "p.db", "copy.db"));
    assert_string_equal(out, "");
    assert_string_equal(err, "");
    assert_int_equal(files_in(f, "copy"), 1);
    assert_exit(DONE, RUN(f, "dump", "p.db"));
    char *dump = strdup(out);
    assert_exit(DONE, RUN(f, "dump", "copy.db"));
    assert_string_equal(out, dump);
    free(dump);
    assert_exit(DONE, RUN(f, "update", "copy.db", "a:b:c=8"));
    assert_exit(DONE, RUN(f, "get", "p.db", "a:b:c"));
    assert_string_equal(out, "5\n");
}

static void test_snapshot_replaces_only_when_forced(void **state)
{
    fixture *f = *state;
    assert_exit(DONE, RUN(f, "update", "p.db", "a:b:c=5"));
    assert_exit(DONE, RUN(f, "snapshot", "p.db", "copy.db"));
    assert_exit(DONE, RUN(f, "update", "p.db", "a:b:c=6"));
    assert_exit(USAGE, RUN(f, "snapshot", "p.db", "copy.db"));
    assert_contains(err, "copy.db exists already (--force replaces an old file)");
    assert_exit(DONE, RUN(f, "get", "copy.db", "a:b:c"));
    assert_string_equal(out, "5\n");
    assert_exit(DONE, RUN(f, "snapshot", "--force", "p.db", "copy.db"));
    assert_exit(DONE, RUN(f, "get", "copy.db", "a:b:c"));
    assert_string_equal(out, "6\n");
    assert_exit(USAGE, RUN(f, "snapshot", "p.db", "./p.db", "--force"));
    assert_contains(err, "own file");
    assert_int_equal(symlink("copy.db", name_in(f, "link.db")), 0);
    assert_exit(USAGE, RUN(f, "snapshot", "p.db", "link.db", "--force"));
}

static void test_snapshot_says_what_is_in_its_way(void **state)
{
    fixture *f = *state;
    assert_exit(DONE, RUN(f, "update", "p.db", "a:b:c=5"));
    assert_exit(OUTPUT, RUN(f, "snapshot", "none.db", "copy.db"));
    assert_exit(OUTPUT, RUN(f, "snapshot", "p.db", "none/copy.db"));
    put_content(f, "bad.db", "no tracker");
    assert_exit(INPUT, RUN(f, "snapshot", "bad.db", "copy.db"));
    assert_int_equal(files_in(f, "copy"), 0);
    f->tracker = open_file(name_in(f, "copy.db"));
    assert_exit(BUSY, RUN(f, "snapshot", "p.db", "copy.db", "--force"));
    assert_contains(err, "while somebody has it open");
    close_tracker(&f->tracker);
    assert_exit(DONE, RUN(f, "snapshot", "p.db", "copy.db", "--force"));
}

/* A terminal that was stopped takes again what is written to it. */
static void let_go_on(const process *p)
{
    int line = open(ptsname(p->error), O_RDWR | O_NOCTTY);
    assert_true(line >= 0);
    assert_int_equal(tcflow(line, TCOON), 0);
    close(line);
}

static void test_an_interrupted_snapshot_leaves_the_old_file_and_no_other(void **state)
{
    fixture *f = *state;
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
    assert_exit(DONE, RUN(f, "update", "p.db", "a:b:c=5"));
    assert_exit(DONE, RUN(f, "snapshot", "p.db", "copy.db"));
    char *old = strdup(content(f, "copy.db"));
    assert_exit(DONE, RUN(f, "update", "p.db", "a:b:c=6"));
    for (int i = 0; i < 3; i++) {
        /* The terminal is stopped, so it stands still when it begins to draw its line. */
        process p =
            start_on_terminal(f, TERMINAL_ERROR | TERMINAL_STOPPED, LIST("snapshot", "p.db", "copy.db", "--force"));
        while (files_in(f, "copy.db.") == 0) {
            assert_int_equal(poll(NULL, 0, 1), 0);
        }
        kill(p.pid, signals[i]);
        let_go_on(&p);
        assert_exit(128 + signals[i], finish(&p, "", 0));
        assert_contains(err, "ctrack: interrupted: nothing has changed");
        assert_int_equal(files_in(f, "copy"), 1);
        assert_string_equal(content(f, "copy.db"), old);
    }
    free(old);
    assert_exit(DONE, RUN(f, "get", "copy.db", "a:b:c"));
    assert_string_equal(out, "5\n");
}

static void test_snapshot_and_check_show_progress_on_a_terminal(void **state)
{
    fixture *f = *state;
    assert_exit(DONE, RUN(f, "update", "p.db", "a:b:c=5"));
    process p = start_on_terminal(f, TERMINAL_ERROR, LIST("snapshot", "p.db", "copy.db"));
    assert_exit(DONE, finish(&p, "", 0));
    assert_contains(err, "\rsnapshot: 100 %");
    assert_string_equal(err + strlen(err) - 5, "    \r");
    p = start_on_terminal(f, TERMINAL_OUTPUT | TERMINAL_ERROR, LIST("check", "p.db"));
    assert_exit(DONE, finish(&p, "", 0));
    assert_contains(out, "\rcheck: 0 %");
    assert_contains(out, "    \rctrack: p.db: sound\r\n");
    p = start_on_terminal(f, TERMINAL_OUTPUT | TERMINAL_ERROR, LIST("check", "p.db", "--format", "json"));
    assert_exit(DONE, finish(&p, "", 0));
    assert_null(strstr(out, "check: "));
}

static void test_a_finding_has_lines_of_its_own(void **state)
{
    fixture *f = *state;
    assert_exit(DONE, RUN(f, "update", "p.db", "a:b:c=5"));
    db_run_once(name_in(f, "p.db"), "INSERT INTO ctrack_latest VALUES (99, 1, 1)");
    process p = start_on_terminal(f, TERMINAL_OUTPUT | TERMINAL_ERROR, LIST("check", "p.db"));
    assert_exit(INPUT, finish(&p, "", 0));
    assert_contains(out, "    \rctrack_latest row 99: its key is not in ctrack_coordinate\r\n  means: ");
}

/* ---------------------------------------------------------------- check */

static void test_check_of_a_sound_file(void **state)
{
    fixture *f = *state;
    assert_exit(DONE, RUN(f, "update", "p.db", "a:b:c=5"));
    assert_exit(DONE, RUN(f, "check", "p.db"));
    assert_string_equal(out, "");
    assert_contains(err, "ctrack: p.db: sound\n");
    assert_exit(DONE, RUN(f, "check", "p.db", "--format", "json"));
    assert_string_equal(out, "[]\n");
    assert_exit(DONE, RUN(f, "check", "p.db", "--format", "ndjson"));
    assert_string_equal(out, "");
    assert_exit(DONE, RUN(f, "check", "p.db", "--format", "csv"));
    assert_string_equal(out, "rule,table,row,what,means,advice\r\n");
}

static void test_check_of_a_damaged_file_is_status_3(void **state)
{
    fixture *f = *state;
    assert_exit(DONE, RUN(f, "update", "p.db", "a:b:c=5"));
    db_run_once(name_in(f, "p.db"), "INSERT INTO ctrack_latest VALUES (99, 1, 1); "
                                    "CREATE TRIGGER \"b,\" AFTER INSERT ON ctrack_advance BEGIN SELECT 1; END");
    assert_exit(INPUT, RUN(f, "check", "p.db"));
    assert_contains(out, "ctrack_latest row 99: its key is not in ctrack_coordinate\n  means: ");
    assert_contains(out, "\n  do:    ");
    assert_contains(out, "the schema: trigger b, is not as ctrack made it\n");
    assert_contains(err, "p.db: 2 findings; the first: the schema: ");
    assert_exit(INPUT, RUN(f, "check", "p.db", "--format", "ndjson"));
    assert_contains(out,
                    "\n{\"rule\":\"latest-orphan\",\"table\":\"ctrack_latest\",\"row\":99,\"what\":\"its key is not "
                    "in ctrack_coordinate\",\"means\":\"");
    assert_contains(out, "\"table\":\"the schema\",\"row\":null,");
    char *lines = strdup(out);
    assert_exit(INPUT, RUN(f, "check", "p.db", "--format", "json"));
    *strchr(lines, '\n') = '\0';
    assert_contains(out, lines);
    free(lines);
    assert_true(strncmp(out, "[{", 2) == 0 && strcmp(out + strlen(out) - 3, "}]\n") == 0);
    assert_exit(INPUT, RUN(f, "check", "p.db", "--format", "csv"));
    assert_contains(out, "schema,the schema,,\"trigger b, is not as ctrack made it\",");
    assert_contains(out, "latest-orphan,ctrack_latest,99,its key is not in ctrack_coordinate,");
}

static void test_check_of_what_is_no_tracker(void **state)
{
    fixture *f = *state;
    put_content(f, "bad.db", "no tracker, but some text that is long enough to be looked at");
    assert_exit(INPUT, RUN(f, "check", "bad.db"));
    assert_string_equal(out, "");
    assert_exit(OUTPUT, RUN(f, "check", "none.db"));
    assert_false(exists(f, "none.db"));
}

static void test_check_and_snapshot_of_a_locked_file_are_status_5(void **state)
{
    fixture *f = *state;
    assert_exit(DONE, RUN(f, "update", "p.db", "a:b:c=5"));
    struct sqlite3 *db = db_open(name_in(f, "p.db"));
    db_run(db, "PRAGMA locking_mode = EXCLUSIVE; BEGIN IMMEDIATE; UPDATE ctrack_fold SET folded_seq = folded_seq;");
    assert_exit(BUSY, RUN(f, "check", "p.db"));
    assert_exit(BUSY, RUN(f, "snapshot", "p.db", "copy.db"));
    assert_false(exists(f, "copy.db"));
    db_run(db, "ROLLBACK");
    db_close(db);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        TEST(test_snapshot_is_a_tracker_file_of_all_read_models),
        TEST(test_snapshot_replaces_only_when_forced),
        TEST(test_snapshot_says_what_is_in_its_way),
        TEST(test_an_interrupted_snapshot_leaves_the_old_file_and_no_other),
        TEST(test_snapshot_and_check_show_progress_on_a_terminal),
        TEST(test_a_finding_has_lines_of_its_own),
        TEST(test_check_of_a_sound_file),
        TEST(test_check_of_a_damaged_file_is_status_3),
        TEST(test_check_of_what_is_no_tracker),
        TEST(test_check_and_snapshot_of_a_locked_file_are_status_5),
    };
    return SUPPORT_MAIN(argc, argv, "snapshot", tests, NULL);
}
