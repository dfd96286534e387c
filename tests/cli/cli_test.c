/* SPDX-License-Identifier: MIT */
/* The command `ctrack` as a user runs it: each command's answers, forms and statuses. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli.h"

#include <sqlite3.h>

/* ---------------------------------------------------------------- the command line */

static void test_help_and_version_go_to_stdout(void **state)
{
    fixture *f = *state;
    assert_exit(DONE, RUN(f, "--help"));
    assert_contains(out, "Usage: ctrack COMMAND FILE");
    assert_contains(out, "Example:");
    assert_string_equal(err, "");
    assert_exit(DONE, RUN(f, "--version"));
    assert_string_equal(out, "ctrack " CTRACK_VERSION "\n");
    static const char *const commands[] = {"update",   "get",   "list",   "wait", "watch", "dump",   "restore",
                                           "snapshot", "check", "forget", "fold", "stats", "models", "migrate"};
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        assert_exit(DONE, RUN(f, "--help"));
        assert_contains(out, commands[i]);
        assert_exit(DONE, RUN(f, commands[i], "--help"));
        assert_contains(out, "Example:\n  ctrack ");
        assert_string_equal(err, "");
        assert_exit(DONE, RUN(f, "help", commands[i]));
        assert_contains(out, "Example:\n  ctrack ");
    }
}

static void test_a_wrong_command_line_is_status_2(void **state)
{
    fixture *f = *state;
    const char *const *const cases[] = {
        LIST("bogus"),
        LIST("--bogus"),
        LIST("help", "bogus"),
        LIST("get"),
        LIST("get", "p.db"),
        LIST("get", "p.db", "a:b:c", "d:e:f"),
        LIST("get", "p.db", "a:b"),
        LIST("get", "p.db", "a:b:c", "--bogus"),
        LIST("get", "p.db", "a:b:c", "-x"),
        LIST("get", "p.db", "a:b:c", "--read-model"),
        LIST("list"),
        LIST("list", "p.db", "--format", "xml"),
        LIST("list", "p.db", "--format"),
        LIST("update"),
        LIST("update", "p.db", "a:b:c"),
        LIST("update", "p.db", "a:b:c="),
        LIST("update", "p.db", "a:b:c=-1"),
        LIST("update", "p.db", "a:b:c=1.0"),
        LIST("update", "p.db", "a:b:c=1 "),
        LIST("update", "p.db", "a:b:c=9223372036854775808"),
        LIST("update", "p.db", "a:b=1"),
        LIST("update", "p.db", "a:b:\xFF=1"),
        LIST("update", "p.db", "--ack=yes", "a:b:c=1"),
        LIST("wait", "p.db"),
        LIST("wait", "p.db", "a:b:c=1", "--timeout", "soon"),
        LIST("wait", "p.db", "a:b:c=1", "--timeout", "5 s"),
        LIST("wait", "p.db", "a:b:c=1", "--timeout=-1s"),
        LIST("dump"),
        LIST("dump", "p.db", "-o", ""),
        LIST("restore", "p.db", "--merge", "--replace"),
        LIST("restore", "p.db", "-i"),
        LIST("get", "p.db", "a:b:c", "--busy-timeout", "soon"),
        LIST("forget"),
        LIST("forget", "p.db", "a:b"),
        LIST("fold"),
        LIST("fold", "p.db", "q.db"),
        LIST("fold", "p.db", "--all"),
        LIST("migrate"),
        LIST("migrate", "p.db", "q.db"),
        LIST("migrate", "p.db", "--dry-run=yes"),
        LIST("models"),
        LIST("models", "p.db", "--format", "xml"),
        LIST("stats"),
        LIST("stats", "p.db", "--read-model", "m"),
        LIST("watch"),
        LIST("watch", "p.db", "a:b:c"),
        LIST("watch", "p.db", "--count", "0"),
        LIST("watch", "p.db", "--count", "many"),
        LIST("watch", "p.db", "--interval", "9ms"),
        LIST("watch", "p.db", "--interval", "often"),
        LIST("watch", "p.db", "--once", "--count", "2"),
        LIST("snapshot", "p.db"),
        LIST("snapshot", "p.db", "a.db", "b.db"),
        LIST("snapshot", "p.db", "a.db", "--force=yes"),
        LIST("snapshot", "p.db", "file:a.db"),
        LIST("check"),
        LIST("check", "p.db", "q.db"),
        LIST("check", "p.db", "--format", "xml"),
        LIST("check", "file:p.db"),
        LIST("get", "file:p.db", "a:b:c"),
        LIST("update", ":memory:", "a:b:c=1"),
        LIST("update", "file:p.db", "a:b:c=1"),
        LIST("update", "", "a:b:c=1"),
    };
    assert_exit(DONE, RUN(f, "update", "p.db", "x:y:z=1"));
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int status = run_with(f, "", cases[i]);
        if (status != USAGE || strncmp(err, "ctrack: ", 8) != 0 || out[0] != '\0') {
            fail_msg("case %zu (%s %s): status %d, stdout %s, stderr %s", i, cases[i][0],
                     cases[i][1] != NULL ? cases[i][1] : "", status, out, err);
        }
    }
    assert_exit(USAGE, run_with(f, "", (const char *const[]){NULL}));
    assert_exit(DONE, RUN(f, "list", "p.db", "--format", "ndjson"));
    assert_string_equal(out, "{\"readModel\":\"default\",\"documentId\":\"x\",\"scope\":\"y\",\"branch\":\"z\","
                             "\"operationIndex\":1}\n");
}

static void test_options_stand_anywhere_and_two_dashes_end_them(void **state)
{
    fixture *f = *state;
    assert_exit(DONE, RUN(f, "update", "--read-model=m", "p.db", "a:b:c=1"));
    assert_exit(DONE, RUN(f, "update", "p.db", "--read-model", "m", "a:b:c=2"));
    assert_exit(DONE, RUN(f, "update", "p.db", "--read-model", "m", "--", "--ack:b:c=3"));
    assert_exit(DONE, RUN(f, "get", "p.db", "a:b:c", "--read-model", "m"));
    assert_string_equal(out, "2\n");
    assert_exit(DONE, RUN(f, "get", "--read-model", "m", "--", "p.db", "--ack:b:c"));
    assert_string_equal(out, "3\n");
    assert_exit(NEGATIVE, RUN(f, "get", "p.db", "a:b:c"));
    /* Behind "--" even this is a name. */
    assert_exit(USAGE, RUN(f, "get", "p.db", "--", "--help"));
}

/* ---------------------------------------------------------------- update and get */

static void test_update_and_get(void **state)
{
    fixture *f = *state;
    assert_exit(DONE,
                RUN(f, "update", "p.db", "doc-7:document:main=12", "urn\\:x:s:b=0", "a=b:c:d=9223372036854775807"));
    assert_string_equal(out, "");
    assert_string_equal(err, "");
    assert_exit(DONE, RUN(f, "get", "p.db", "doc-7:document:main"));
    assert_string_equal(out, "12\n");
    assert_exit(DONE, RUN(f, "get", "p.db", "urn\\:x:s:b"));
    assert_string_equal(out, "0\n");
    assert_exit(DONE, RUN(f, "get", "p.db", "a=b:c:d"));
    assert_string_equal(out, "9223372036854775807\n");
    assert_exit(NEGATIVE, RUN(f, "get", "p.db", "doc-8:document:main"));
    assert_string_equal(out, "");
    assert_contains(err, "doc-8:document:main: never seen");
    /* What is behind changes nothing. */
    assert_exit(DONE, RUN(f, "update", "p.db", "doc-7:document:main=3"));
    assert_exit(DONE, RUN(f, "get", "p.db", "doc-7:document:main"));
    assert_string_equal(out, "12\n");
}

static void test_a_bad_argument_leaves_the_whole_batch_undone(void **state)
{
    fixture *f = *state;
    assert_exit(USAGE, RUN(f, "update", "p.db", "a:b:c=1", "a:b:d=x"));
    assert_false(exists(f, "p.db"));
}

static void test_update_reads_tokens_and_acknowledges_each_line(void **state)
{
    fixture *f = *state;
    assert_exit(DONE,
                RUN_INPUT(f, TOKEN("a", "1") "\n" TOKEN("b", "2") "\r\n" TOKEN("a", "5"), "update", "p.db", "--ack"));
    assert_string_equal(out, "1\n2\n3\n");
    assert_exit(DONE, RUN(f, "list", "p.db", "--format", "json"));
    assert_string_equal(out, "[[\"a:document:main\",5],[\"b:document:main\",2]]\n");
    assert_exit(DONE, RUN_INPUT(f, TOKEN("c", "9") "\n", "update", "p.db", "-"));
    assert_string_equal(out, "");
    assert_exit(DONE, RUN(f, "get", "p.db", "c:document:main"));
    assert_exit(DONE, RUN(f, "update", "p.db", "a:b:c=1", "--ack"));
    assert_string_equal(out, "1\n");
    assert_exit(DONE, RUN_INPUT(f, "", "update", "p.db", "--ack"));
    assert_string_equal(out, "");
}

static void test_an_update_that_is_refused_makes_no_file(void **state)
{
    fixture *f = *state;
    static const char *const lines[] = {"nonsense\n" TOKEN("doc-7", "1") "\n", TOKEN("doc-7", "-1"), "\n"};
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        assert_exit(INPUT, RUN_INPUT(f, lines[i], "update", "p.db"));
        assert_contains(err, "ctrack: stdin:1: ");
    }
    char *longest = repeated('a', CTRACK_TEXT_MAX + 1), argument[CTRACK_TEXT_MAX + 20];
    snprintf(argument, sizeof argument, "%s:b:c=1", longest);
    assert_exit(USAGE, RUN(f, "update", "p.db", argument));
    assert_exit(USAGE, RUN(f, "update", "p.db", "a:\xFF:c=1"));
    assert_int_equal(files_in(f, "p.db"), 0);
    free(longest);
}

static void test_a_bad_line_ends_the_update_and_keeps_the_lines_before(void **state)
{
    fixture *f = *state;
    static const struct {
        const char *line, *message;
    } cases[] = {
        {TOKEN("b", "-1"), "ctrack: stdin:2: token: coordinates[0].operationIndex is negative (offset 98)\n"},
        {"", "ctrack: stdin:2: token: the text ends here, expected an object (offset 0)\n"},
        {"{\"version\":2}", "ctrack: stdin:2: token: version is 2, but only version 1 is known (offset 11)\n"},
        {"\x1B[31m", "ctrack: stdin:2: token: this is not JSON, expected an object (offset 0)\n"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char input[600], index[20];
        snprintf(input, sizeof input, TOKEN("a", "%d") "\n%s\n" TOKEN("c", "1") "\n", (int)i, cases[i].line);
        assert_exit(INPUT, RUN_INPUT(f, input, "update", "p.db", "--ack"));
        assert_string_equal(out, "1\n");
        assert_string_equal(err, cases[i].message);
        assert_exit(DONE, RUN(f, "get", "p.db", "a:document:main"));
        snprintf(index, sizeof index, "%d\n", (int)i);
        assert_string_equal(out, index);
        assert_exit(NEGATIVE, RUN(f, "get", "p.db", "c:document:main"));
    }
}

static void test_an_acknowledgement_comes_as_soon_as_its_batch_is_durable(void **state)
{
    fixture *f = *state;
    process p = start(f, NULL, LIST("update", "p.db", "--ack"));
    for (int i = 1; i <= 3; i++) {
        char line[400], answer[20] = "", expected[20];
        snprintf(line, sizeof line, TOKEN("a", "%d") "\n", i);
        assert_true(write(p.input, line, strlen(line)) == (ssize_t)strlen(line));
        struct pollfd end = {p.output, POLLIN, 0};
        assert_int_equal(poll(&end, 1, 60000), 1); /* while its input is still open */
        assert_true(read(p.output, answer, sizeof answer - 1) > 0);
        snprintf(expected, sizeof expected, "%d\n", i);
        assert_string_equal(answer, expected);
        assert_exit(DONE, RUN(f, "get", "p.db", "a:document:main"));
        assert_string_equal(out, expected);
    }
    kill(p.pid, SIGKILL);
    assert_exit(128 + SIGKILL, finish(&p, "", 0));
    assert_exit(DONE, RUN(f, "get", "p.db", "a:document:main"));
    assert_string_equal(out, "3\n");
}

static void test_reading_makes_no_file(void **state)
{
    fixture *f = *state;
    assert_exit(OUTPUT, RUN(f, "get", "p.db", "a:b:c"));
    assert_contains(err, "p.db: there is no such file ('ctrack update' and 'ctrack restore' make one)");
    assert_exit(OUTPUT, RUN(f, "check", "p.db"));
    assert_contains(err, "p.db: there is no such file");
    assert_exit(OUTPUT, RUN(f, "list", "p.db"));
    assert_exit(OUTPUT, RUN(f, "stats", "p.db"));
    assert_exit(OUTPUT, RUN(f, "models", "p.db"));
    assert_exit(OUTPUT, RUN(f, "watch", "p.db", "--once"));
    assert_exit(OUTPUT, RUN(f, "migrate", "p.db"));
    assert_exit(OUTPUT, RUN(f, "forget", "p.db", "a:b:c"));
    assert_exit(OUTPUT, RUN(f, "dump", "p.db"));
    assert_exit(OUTPUT, RUN(f, "dump", "p.db", "-o", "out"));
    assert_exit(NEGATIVE, RUN(f, "wait", "p.db", "a:b:c=1", "--timeout", "20ms"));
    assert_string_equal(err, "ctrack: timed out after 20 ms: p.db: there is no such file\n");
    assert_exit(INPUT, RUN_INPUT(f, "x", "restore", "p.db", "--dry-run"));
    assert_int_equal(files_in(f, ""), 0);
}

static void test_what_is_no_tracker_is_status_3_and_untouched(void **state)
{
    fixture *f = *state;
    put_content(f, "p.db", "hello, this is text\n");
    assert_exit(INPUT, RUN(f, "get", "p.db", "a:b:c"));
    assert_exit(INPUT, RUN(f, "update", "p.db", "a:b:c=1"));
    assert_contains(err, "ctrack: ");
    assert_string_equal(content(f, "p.db"), "hello, this is text\n");
}

static void test_a_locked_file_is_status_5(void **state)
{
    fixture *f = *state;
    assert_exit(DONE, RUN(f, "update", "p.db", "a:b:c=1"));
    sqlite3 *db = db_open(name_in(f, "p.db"));
    db_run(db, "BEGIN IMMEDIATE");
    assert_exit(BUSY, RUN(f, "update", "p.db", "a:b:c=2", "--busy-timeout", "50ms"));
    assert_contains(err, "--busy-timeout 30s waits longer");
    assert_exit(DONE, RUN(f, "get", "p.db", "a:b:c"));
    assert_string_equal(out, "1\n");
    db_run(db, "ROLLBACK");
    db_close(db);
}

/* ---------------------------------------------------------------- list */

static void test_list_prints_every_format(void **state)
{
    fixture *f = *state;
    assert_exit(DONE, RUN(f, "update", "p.db", "b,\"x\":document:main=12", "\xC3\xA4\\::s:dev=0",
                          "line\nfeed\x1B[31m:s\\\\:main=7"));
    assert_exit(DONE, RUN(f, "list", "p.db"));
    assert_string_equal(out, "DOCUMENT            SCOPE     BRANCH  INDEX\n"
                             "b,\"x\"               document  main       12\n"
                             "line\\nfeed\\x1b[31m  s\\\\       main        7\n"
                             "\xC3\xA4:                  s         dev         0\n");
    assert_exit(DONE, RUN(f, "list", "p.db", "--format", "ndjson"));
    assert_string_equal(out, "{\"readModel\":\"default\",\"documentId\":\"b,\\\"x\\\"\",\"scope\":\"document\","
                             "\"branch\":\"main\",\"operationIndex\":12}\n"
                             "{\"readModel\":\"default\",\"documentId\":\"line\\nfeed\\u001b[31m\",\"scope\":\"s\\\\\","
                             "\"branch\":\"main\",\"operationIndex\":7}\n"
                             "{\"readModel\":\"default\",\"documentId\":\"\xC3\xA4:\",\"scope\":\"s\","
                             "\"branch\":\"dev\",\"operationIndex\":0}\n");
    assert_exit(DONE, RUN(f, "list", "p.db", "--format=json"));
    assert_string_equal(out, "[[\"b,\\\"x\\\":document:main\",12],[\"line\\nfeed\\u001b[31m:s\\\\\\\\:main\",7],"
                             "[\"\xC3\xA4\\\\::s:dev\",0]]\n");
    assert_exit(DONE, RUN(f, "list", "p.db", "--format", "csv"));
    assert_string_equal(out, "documentId,scope,branch,operationIndex\r\n"
                             "\"b,\"\"x\"\"\",document,main,12\r\n"
                             "\"line\nfeed\x1B[31m\",s\\,main,7\r\n"
                             "\xC3\xA4:,s,dev,0\r\n");
}

static void test_list_filters(void **state)
{
    fixture *f = *state;
    assert_exit(DONE, RUN(f, "update", "p.db", "a:s:x=1", "a:t:x=2", "b:s:x=3", "b:s:y=4", ":s:x=5"));
    assert_exit(DONE, RUN(f, "list", "p.db", "--format", "json", "--document", "a"));
    assert_string_equal(out, "[[\"a:s:x\",1],[\"a:t:x\",2]]\n");
    assert_exit(DONE, RUN(f, "list", "p.db", "--format", "json", "--scope", "s", "--branch=x"));
    assert_string_equal(out, "[[\":s:x\",5],[\"a:s:x\",1],[\"b:s:x\",3]]\n");
    assert_exit(DONE, RUN(f, "list", "p.db", "--format", "json", "--document="));
    assert_string_equal(out, "[[\":s:x\",5]]\n");
    assert_exit(DONE, RUN(f, "list", "p.db", "--format", "json", "--document", "none"));
    assert_string_equal(out, "[]\n");
    assert_exit(DONE, RUN(f, "list", "p.db", "--document", "none"));
    assert_string_equal(out, "DOCUMENT  SCOPE  BRANCH  INDEX\n");
}

/* ---------------------------------------------------------------- wait */

static void test_wait_answers_at_once_when_it_can(void **state)
{
    fixture *f = *state;
    assert_exit(DONE, RUN(f, "update", "p.db", "a:document:main=5"));
    assert_exit(DONE, RUN(f, "wait", "p.db", "a:document:main=5"));
    assert_exit(DONE, RUN(f, "wait", "p.db", "--token", TOKEN("a", "4"), "a:document:main=1"));
    assert_exit(NEGATIVE, RUN(f, "wait", "p.db", "a:document:main=6", "--timeout", "0"));
    assert_exit(NEGATIVE, RUN(f, "wait", "p.db", "--token", TOKEN("a", "6"), "--timeout=20ms"));
    assert_string_equal(err,
                        "ctrack: timed out after 20 ms: 1 of 1 coordinates missing: a:document:main needs 6, has 5\n");
    assert_exit(INPUT, RUN(f, "wait", "p.db", "--token", "{}"));
    assert_string_equal(err, "ctrack: token: version is missing (offset 2)\n");
}

static void test_wait_ends_when_another_process_gets_there(void **state)
{
    fixture *f = *state;
    assert_exit(DONE, RUN(f, "update", "p.db", "a:document:main=5"));
    process waiting = start(f, NULL, LIST("wait", "p.db", "a:document:main=7", "--timeout", "60s"));
    assert_exit(DONE, RUN(f, "update", "p.db", "a:document:main=6"));
    assert_exit(DONE, RUN(f, "update", "p.db", "a:document:main=7"));
    assert_exit(DONE, finish(&waiting, "", 0));
}

static void test_wait_begins_before_there_is_a_file(void **state)
{
    fixture *f = *state;
    process waiting = start(f, NULL, LIST("wait", "p.db", "a:document:main=7", "--timeout", "60s"));
    process for_ever = start(f, NULL, LIST("wait", "p.db", "a:document:main=7"));
    assert_exit(DONE, RUN(f, "update", "p.db", "a:document:main=7"));
    assert_exit(DONE, finish(&waiting, "", 0));
    assert_string_equal(err, "");
    assert_exit(DONE, finish(&for_ever, "", 0));
}

static void test_wait_begins_before_the_file_has_a_schema(void **state)
{
    fixture *f = *state;
    put_content(f, "p.db", "");
    process waiting = start(f, NULL, LIST("wait", "p.db", "a:document:main=7", "--timeout", "60s"));
    assert_exit(NEGATIVE, RUN(f, "wait", "p.db", "a:document:main=7", "--timeout", "0"));
    assert_string_equal(err, "ctrack: timed out after 0 ms: p.db: there is nothing of ctrack's in this file\n");
    sqlite3 *db = db_open(name_in(f, "p.db"));
    db_run(db, "CREATE TABLE host (id)");
    db_close(db);
    assert_exit(DONE, RUN(f, "update", "p.db", "a:document:main=7"));
    assert_exit(DONE, finish(&waiting, "", 0));
}

static void test_wait_begins_while_somebody_has_the_file_locked(void **state)
{
    fixture *f = *state;
    sqlite3 *db = db_open(name_in(f, "p.db"));
    db_run(db, "CREATE TABLE host (id); BEGIN EXCLUSIVE");
    process waiting = start(f, NULL, LIST("wait", "p.db", "a:document:main=7", "--timeout", "60s"));
    assert_exit(BUSY, RUN(f, "wait", "p.db", "a:document:main=7", "--timeout", "20ms"));
    db_run(db, "COMMIT");
    assert_exit(DONE, RUN(f, "update", "p.db", "a:document:main=7"));
    assert_exit(DONE, finish(&waiting, "", 0));
    db_close(db);
}

static void test_wait_does_not_wait_for_what_will_never_be_a_trackers_file(void **state)
{
    fixture *f = *state;
    put_content(f, "p.db", "hello, this is text\n");
    assert_exit(INPUT, RUN(f, "wait", "p.db", "a:b:c=1"));
    assert_exit(USAGE, RUN(f, "wait", ".", "a:b:c=1"));
    assert_exit(USAGE, RUN(f, "wait", "", "a:b:c=1"));
}

/* ---------------------------------------------------------------- dump and restore */

static void test_a_read_model_that_the_file_lacks_is_status_1(void **state)
{
    fixture *f = *state;
    const char *const *const cases[] = {
        LIST("get", "p.db", "a:b:c", "--read-model", "typo"),
        LIST("list", "p.db", "--read-model", "typo"),
        LIST("dump", "p.db", "--read-model", "typo"),
        LIST("dump", "p.db", "--read-model", "typo", "--format", "json"),
        LIST("dump", "p.db", "--read-model", "typo", "-o", "out.ndjson"),
        LIST("forget", "p.db", "a:b:c", "--read-model", "typo"),
        LIST("watch", "p.db", "--once", "--read-model", "typo"),
    };
    assert_exit(DONE, RUN(f, "update", "p.db", "a:b:c=1", "--read-model", "mine"));
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_exit(NEGATIVE, run_with(f, "", cases[i]));
        assert_string_equal(out, "");
        assert_string_equal(err,
                            "ctrack: p.db: it has no read model 'typo' ('ctrack models' lists those that it has)\n");
    }
    assert_false(exists(f, "out.ndjson"));
    assert_exit(NEGATIVE, RUN(f, "list", "p.db"));
    assert_contains(err, "no read model 'default'");
    assert_exit(NEGATIVE, RUN(f, "dump", "p.db", "--format", "json"));
    assert_contains(err, "no read model 'default'");
    assert_exit(DONE, RUN(f, "forget", "p.db", "a:b:c", "--read-model", "mine"));
    assert_exit(DONE, RUN(f, "list", "p.db", "--read-model", "mine", "--format", "json"));
    assert_string_equal(out, "[]\n");
}

static void test_a_file_without_progress_is_listed_and_dumped(void **state)
{
    fixture *f = *state;
    assert_exit(DONE, RUN(f, "update", "p.db"));
    assert_exit(DONE, RUN(f, "list", "p.db", "--format", "json"));
    assert_string_equal(out, "[]\n");
    assert_exit(DONE, RUN(f, "dump", "p.db", "--format", "json"));
    assert_string_equal(out, "[]\n");
    assert_exit(DONE, RUN(f, "dump", "p.db"));
    assert_exit(DONE, RUN(f, "watch", "p.db", "--once"));
    assert_string_equal(out, "");
}

static void test_dump_and_restore_are_byte_identical(void **state)
{
    fixture *f = *state;
    assert_exit(DONE,
                RUN(f, "update", "p.db", "b,\"x\":document:main=12", "\xC3\xA4\\::s:dev=0", "l\n\x1B\x7F:s\\\\:=7"));
    assert_exit(DONE, RUN(f, "update", "p.db", "--read-model", "search", "a:b:c=9223372036854775807"));
    assert_exit(DONE, RUN(f, "dump", "p.db", "-o", "first"));
    assert_string_equal(out, "");
    struct stat status;
    assert_int_equal(stat(name_in(f, "first"), &status), 0);
    assert_int_equal(status.st_mode & 07777, 0600);
    assert_exit(DONE, RUN(f, "restore", "q.db", "-i", "first"));
    assert_string_equal(out, "");
    assert_string_equal(err, "ctrack: 4 entries restored\n");
    char *first = strdup(content(f, "first"));
    assert_non_null(first);
    assert_exit(DONE, RUN(f, "dump", "q.db"));
    assert_string_equal(out, first);
    assert_exit(DONE, RUN_INPUT(f, first, "restore", "r.db"));
    assert_exit(DONE, RUN(f, "dump", "r.db", "--output=-"));
    assert_string_equal(out, first);
    free(first);
    assert_exit(DONE, RUN(f, "dump", "p.db", "--read-model", "search"));
    assert_contains(out,
                    "{\"ctrackDump\":1,\"readModels\":[\"search\"]}\n{\"readModel\":\"search\",\"documentId\":\"a\"");
    assert_contains(out, "\n{\"count\":1,\"xxh3\":\"");
}

static void test_the_json_of_list_is_restored(void **state)
{
    fixture *f = *state;
    assert_exit(DONE, RUN(f, "update", "p.db", "b\\:x:document:main=12", "\xC3\xA4\\\\:s:dev=0", "l\n:s:=7"));
    assert_exit(DONE, RUN(f, "list", "p.db", "--format", "json"));
    char *array = strdup(out);
    assert_exit(DONE, RUN_INPUT(f, array, "restore", "q.db", "--read-model", "m"));
    assert_exit(DONE, RUN(f, "list", "q.db", "--format", "json", "--read-model", "m"));
    assert_string_equal(out, array);
    free(array);
}

/* Any text, with the escapes of keys inside those of JSON, from list, dump and back. */
static void test_the_array_form_is_written_by_dump_and_survives(void **state)
{
    fixture *f = *state;
    static const char array[] = "[[\"::\",0],[\"\\u0001\\n\\u007f:s\\\"s:b\\\\\\\\b\",9223372036854775807],"
                                "[\"a\\\\:b:\\\\\\\\:\xF0\x9F\x98\x80\xC3\xA4\",7]]\n";
    assert_exit(DONE, RUN_INPUT(f, array, "restore", "p.db", "--read-model", "m"));
    assert_exit(DONE, RUN(f, "list", "p.db", "--format", "json", "--read-model", "m"));
    assert_string_equal(out, array);
    assert_exit(DONE, RUN(f, "dump", "p.db", "--format", "json", "--read-model", "m"));
    assert_string_equal(out, array);
    assert_exit(DONE, RUN(f, "dump", "p.db", "--format=json", "--read-model", "m", "-o", "out"));
    assert_string_equal(out, "");
    assert_string_equal(content(f, "out"), array);
    assert_exit(DONE, RUN(f, "restore", "q.db", "-i", "out"));
    assert_exit(DONE, RUN(f, "dump", "q.db", "--format", "json"));
    assert_string_equal(out, array);
    assert_exit(OUTPUT, RUN(f, "dump", "q.db", "--format", "json", "-o", "/dev/full"));
    assert_string_equal(err, "ctrack: /dev/full: No space left on device\n");
    assert_exit(USAGE, RUN(f, "dump", "p.db", "--format", "csv"));
}

static void test_restore_refuses_what_is_there_without_being_told(void **state)
{
    fixture *f = *state;
    assert_exit(DONE, RUN(f, "update", "p.db", "a:b:c=5", "d:e:f=5"));
    assert_exit(USAGE, RUN_INPUT(f, "[[\"a:b:c\",9]]", "restore", "p.db"));
    assert_contains(err, "--merge");
    assert_exit(DONE, RUN_INPUT(f, "[[\"a:b:c\",9],[\"d:e:f\",1]]", "restore", "p.db", "--merge"));
    assert_exit(DONE, RUN(f, "list", "p.db", "--format", "json"));
    assert_string_equal(out, "[[\"a:b:c\",9],[\"d:e:f\",5]]\n");
    assert_exit(DONE, RUN_INPUT(f, "[[\"a:b:c\",2]]", "restore", "--replace", "p.db"));
    assert_exit(DONE, RUN(f, "list", "p.db", "--format", "json"));
    assert_string_equal(out, "[[\"a:b:c\",2]]\n");
    assert_exit(DONE, RUN_INPUT(f, "[[\"a:b:c\",7]]", "restore", "p.db", "--merge", "--dry-run"));
    assert_string_equal(err, "ctrack: 1 entry verified, nothing changed\n");
    assert_exit(DONE, RUN(f, "get", "p.db", "a:b:c"));
    assert_string_equal(out, "2\n");
}

static void test_bad_input_is_refused_with_its_place_and_changes_nothing(void **state)
{
    fixture *f = *state;
    assert_exit(DONE, RUN(f, "update", "p.db", "a:b:c=5", "d:e:f=5"));
    assert_exit(DONE, RUN(f, "dump", "p.db", "-o", "dump"));
    char *dump = strdup(content(f, "dump")), *line = strchr(dump, '\n') + 1, *end = strchr(line, '\n') + 1;
    char altered[2000];
    /* Without its first row, without its end, with a row twice, with a number changed. */
    snprintf(altered, sizeof altered, "%.*s%s", (int)(line - dump), dump, end);
    put_content(f, "removed", altered);
    snprintf(altered, sizeof altered, "%.*s", (int)strlen(dump) - 1, dump);
    put_content(f, "cut", altered);
    snprintf(altered, sizeof altered, "%.*s%.*s%s", (int)(end - dump), dump, (int)(end - line), line, end);
    put_content(f, "twice", altered);
    snprintf(altered, sizeof altered, "%s", dump);
    *strchr(altered, '5') = '6';
    put_content(f, "changed", altered);
    free(dump);
    static const struct {
        const char *file, *message;
    } cases[] = {
        {"removed", "ctrack: removed:3: count is 2, but there are 1 rows\n"},
        {"cut", "ctrack: cut:4: the line has no end: the dump is truncated\n"},
        {"twice", "ctrack: twice:3: the key of the line before is repeated\n"},
        {"changed", "ctrack: changed:4: xxh3 is "},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_exit(INPUT, RUN(f, "restore", "p.db", "--replace", "-i", cases[i].file));
        assert_contains(err, cases[i].message);
        assert_exit(INPUT, RUN(f, "restore", "p.db", "--dry-run", "-i", cases[i].file));
    }
    assert_exit(INPUT, RUN_INPUT(f, "[[\"a:b:c\",-5]]", "restore", "p.db", "--replace"));
    assert_string_equal(err, "ctrack: stdin:1: index is negative (column 11)\n");
    assert_exit(INPUT, RUN_INPUT(f, "[[\"a:b:c\",5],[\"a:b:c\",6]]", "restore", "p.db", "--replace"));
    assert_exit(OUTPUT, RUN(f, "restore", "p.db", "--replace", "-i", "none"));
    assert_exit(OUTPUT, RUN(f, "restore", "p.db", "--replace", "-i", "."));
    assert_exit(DONE, RUN(f, "list", "p.db", "--format", "json"));
    assert_string_equal(out, "[[\"a:b:c\",5],[\"d:e:f\",5]]\n");
}

static void test_a_restore_that_is_refused_leaves_no_new_file(void **state)
{
    fixture *f = *state;
    assert_exit(INPUT, RUN_INPUT(f, "[[\"a:b:c\",5],[\"a:b:c\",6]]", "restore", "new.db"));
    assert_exit(INPUT, RUN_INPUT(f, "{\"ctrackDump\":2,\"readModels\":[]}\n", "restore", "new.db", "--merge"));
    assert_exit(OUTPUT, RUN(f, "restore", "new.db", "-i", "."));
    assert_exit(DONE, RUN_INPUT(f, "[[\"a:b:c\",5]]", "restore", "new.db", "--dry-run"));
    assert_string_equal(err, "ctrack: 1 entry verified, nothing changed\n");
    assert_int_equal(files_in(f, "new.db"), 0);
    assert_exit(DONE, RUN_INPUT(f, "[[\"a:b:c\",5]]", "restore", "new.db"));
    assert_int_equal(files_in(f, "new.db"), 1); /* nothing temporary, and no log that holds half of it */
    struct stat status;
    assert_int_equal(stat(name_in(f, "new.db"), &status), 0);
    assert_int_equal(status.st_mode & 07777, 0600);
    assert_exit(DONE, RUN(f, "get", "new.db", "a:b:c"));
    assert_string_equal(out, "5\n");
}

/* Killed while it reads, it removes what it has begun. */
static void test_a_restore_that_is_interrupted_leaves_no_new_file(void **state)
{
    fixture *f = *state;
    process p = start(f, NULL, LIST("restore", "new.db"));
    while (files_in(f, "new.db.") < 3) {
        poll(NULL, 0, 1); /* until it has opened its file: its log is there, too */
    }
    assert_int_equal(write(p.input, "[", 1), 1);
    assert_int_equal(kill(p.pid, SIGTERM), 0);
    assert_int_equal(finish(&p, "", 0), 128 + SIGTERM);
    assert_int_equal(files_in(f, "new.db"), 0);
}

static void test_a_new_file_does_not_take_the_place_of_another(void **state)
{
    fixture *f = *state;
    process p = start(f, NULL, LIST("restore", "new.db"));
    while (files_in(f, "new.db.") < 3) {
        poll(NULL, 0, 1);
    }
    put_content(f, "new.db", "somebody else's");
    assert_exit(OUTPUT, finish(&p, "[[\"a:b:c\",5]]", 13));
    assert_string_equal(err, "ctrack: new.db: File exists\n");
    assert_string_equal(content(f, "new.db"), "somebody else's");
    assert_int_equal(files_in(f, "new.db"), 1);
}

static void test_a_restore_wakes_other_processes(void **state)
{
    fixture *f = *state;
    assert_exit(DONE, RUN(f, "update", "p.db", "a:b:c=5", "d:e:f=1"));
    process p = start(f, NULL, LIST("wait", "p.db", "a:b:c=7", "d:e:f=1"));
    assert_exit(DONE, RUN_INPUT(f, "[[\"a:b:c\",7]]", "restore", "p.db", "--merge"));
    assert_exit(DONE, finish(&p, "", 0));
}

/* The rows wait for their verification in a temporary file; where that has no room, nothing is done. */
static void test_no_room_for_the_temporary_file_is_status_4(void **state)
{
    fixture *f = *state;
    if (!mount_small_disk(f, "1m")) {
        skip();
    }
    enum { ROWS = 100000 };
    char *array = malloc((size_t)ROWS * 60), *at = array;
    assert_non_null(array);
    for (int i = 0; i < ROWS; i++) {
        at += sprintf(at, "%c[\"%032d:b:c\",%d]", i == 0 ? '[' : ',', i, i);
    }
    memcpy(at, "]", 2);
    fill_disk(f);
    assert_int_equal(setenv("SQLITE_TMPDIR", f->disk, 1), 0);
    assert_exit(OUTPUT, RUN_INPUT(f, array, "restore", "new.db"));
    assert_contains(err, "ctrack: cannot keep the rows aside: database or disk is full");
    assert_int_equal(files_in(f, "new.db"), 0);
    assert_int_equal(unsetenv("SQLITE_TMPDIR"), 0);
    assert_exit(DONE, RUN_INPUT(f, array, "restore", "new.db"));
    free(array);
}

static void test_a_dry_run_says_what_the_restore_would(void **state)
{
    fixture *f = *state;
    assert_exit(DONE, RUN(f, "update", "p.db", "a:b:c=5"));
    assert_exit(DONE, RUN(f, "dump", "p.db", "-o", "dump"));
    assert_exit(USAGE, RUN(f, "restore", "p.db", "--dry-run", "-i", "dump"));
    assert_contains(err, "read model \"default\" has progress already");
    assert_exit(DONE, RUN(f, "restore", "p.db", "--dry-run", "--merge", "-i", "dump"));
    assert_exit(DONE, RUN(f, "restore", "p.db", "--dry-run", "--replace", "-i", "dump"));
    assert_exit(DONE, RUN_INPUT(f, "[[\"a:b:c\",5]]", "restore", "p.db", "--dry-run", "--read-model", "other"));
}

static void test_dump_puts_its_file_in_place_or_leaves_the_old_one(void **state)
{
    fixture *f = *state;
    assert_exit(DONE, RUN(f, "update", "p.db", "a:b:c=5"));
    put_content(f, "out", "old\n");
    assert_int_equal(chmod(name_in(f, "out"), 0644), 0);
    assert_exit(INPUT, (put_content(f, "bad.db", "no tracker"), RUN(f, "dump", "bad.db", "-o", "out")));
    assert_string_equal(content(f, "out"), "old\n");
    assert_exit(DONE, RUN(f, "dump", "p.db", "-o", "out"));
    assert_contains(content(f, "out"), "{\"ctrackDump\":1");
    struct stat status;
    assert_int_equal(stat(name_in(f, "out"), &status), 0);
    assert_int_equal(status.st_mode & 07777, 0600);
    assert_exit(OUTPUT, RUN(f, "dump", "p.db", "-o", "none/out"));
    assert_exit(OUTPUT, RUN(f, "dump", "p.db", "-o", "."));
    assert_exit(USAGE, RUN(f, "dump", "p.db", "-o", "p.db"));
    assert_exit(USAGE, RUN(f, "dump", "p.db", "-o", "./p.db"));
    assert_exit(DONE, RUN(f, "get", "p.db", "a:b:c"));
    /* A link keeps pointing where it points. */
    assert_int_equal(symlink("out", name_in(f, "link")), 0);
    put_content(f, "out", "old\n");
    assert_exit(DONE, RUN(f, "dump", "p.db", "-o", "link"));
    assert_contains(content(f, "out"), "{\"ctrackDump\":1");
    assert_int_equal(lstat(name_in(f, "link"), &status), 0);
    assert_true(S_ISLNK(status.st_mode));
    assert_int_equal(files_in(f, "out"), 1); /* nothing temporary remains */
    /* What is no file is written as it is, not replaced. */
    assert_exit(DONE, RUN(f, "dump", "p.db", "-o", "/dev/null"));
    assert_int_equal(stat("/dev/null", &status), 0);
    assert_true(S_ISCHR(status.st_mode));
}

/* ---------------------------------------------------------------- standard output that fails */

static void test_a_full_disk_does_not_look_good(void **state)
{
    fixture *f = *state;
    assert_exit(DONE, RUN(f, "update", "p.db", "a:b:c=5"));
    const char *const *const cases[] = {
        LIST("get", "p.db", "a:b:c"),
        LIST("list", "p.db"),
        LIST("list", "p.db", "--format", "json"),
        LIST("models", "p.db"),
        LIST("stats", "p.db"),
        LIST("fold", "p.db"),
        LIST("migrate", "p.db"),
        LIST("watch", "p.db", "--count", "2"),
        LIST("dump", "p.db"),
        LIST("dump", "p.db", "--format", "json"),
        LIST("check", "p.db", "--format", "json"),
        LIST("update", "p.db", "a:b:c=6", "--ack"),
        LIST("--help"),
        LIST("get", "--help"),
        LIST("--version"),
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_exit(OUTPUT, run_into(f, "/dev/full", cases[i]));
        assert_contains(err, "No space left on device");
        assert_exit(OUTPUT, run_into(f, "", cases[i])); /* closed */
        assert_contains(err, "Bad file descriptor");
    }
    assert_exit(OUTPUT, RUN(f, "dump", "p.db", "-o", "/dev/full"));
    assert_contains(err, "No space left on device");
    /* Who prints nothing does not care. */
    assert_exit(DONE, RUN_INTO(f, "/dev/full", "update", "p.db", "a:b:c=7"));
    assert_exit(DONE, RUN_INTO(f, "", "update", "p.db", "a:b:c=8"));
    assert_exit(DONE, RUN(f, "get", "p.db", "a:b:c"));
    assert_string_equal(out, "8\n");
}

static void test_a_reader_that_goes_away_is_no_reason_to_complain(void **state)
{
    fixture *f = *state;
    char *array = array_of(5000);
    assert_exit(DONE, RUN_INPUT(f, array, "restore", "p.db"));
    free(array);
    const char *const *const cases[] = {
        LIST("list", "p.db"),
        LIST("list", "p.db", "--format", "ndjson"),
        LIST("list", "p.db", "--format", "json"),
        LIST("list", "p.db", "--format", "csv"),
        LIST("dump", "p.db"),
        LIST("watch", "p.db"),
        LIST("models", "p.db"),
        LIST("stats", "p.db"),
        LIST("get", "p.db", "document-1:b:c"),
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        process p = start(f, NULL, cases[i]);
        drop(&p.output);
        assert_exit(OUTPUT, finish(&p, "", 0));
        assert_string_equal(err, "");
    }
}

static void test_an_input_that_fails_is_status_4(void **state)
{
    fixture *f = *state;
    static const char *const inputs[] = {"", "/"}; /* closed; a directory */
    for (size_t i = 0; i < sizeof inputs / sizeof inputs[0]; i++) {
        input_file = inputs[i];
        assert_exit(OUTPUT, RUN(f, "update", "p.db"));
        assert_contains(err, "ctrack: standard input: ");
        assert_exit(OUTPUT, RUN(f, "restore", "p.db"));
        assert_contains(err, "ctrack: stdin: reading failed: ");
    }
    input_file = "/dev/null";
    assert_exit(DONE, RUN(f, "update", "p.db"));
    assert_exit(INPUT, RUN(f, "restore", "p.db"));
    input_file = NULL;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        TEST(test_help_and_version_go_to_stdout),
        TEST(test_a_wrong_command_line_is_status_2),
        TEST(test_options_stand_anywhere_and_two_dashes_end_them),
        TEST(test_update_and_get),
        TEST(test_a_bad_argument_leaves_the_whole_batch_undone),
        TEST(test_update_reads_tokens_and_acknowledges_each_line),
        TEST(test_an_update_that_is_refused_makes_no_file),
        TEST(test_a_bad_line_ends_the_update_and_keeps_the_lines_before),
        TEST(test_an_acknowledgement_comes_as_soon_as_its_batch_is_durable),
        TEST(test_reading_makes_no_file),
        TEST(test_what_is_no_tracker_is_status_3_and_untouched),
        TEST(test_a_locked_file_is_status_5),
        TEST(test_list_prints_every_format),
        TEST(test_list_filters),
        TEST(test_wait_answers_at_once_when_it_can),
        TEST(test_wait_ends_when_another_process_gets_there),
        TEST(test_wait_begins_before_there_is_a_file),
        TEST(test_wait_begins_before_the_file_has_a_schema),
        TEST(test_wait_begins_while_somebody_has_the_file_locked),
        TEST(test_wait_does_not_wait_for_what_will_never_be_a_trackers_file),
        TEST(test_a_read_model_that_the_file_lacks_is_status_1),
        TEST(test_a_file_without_progress_is_listed_and_dumped),
        TEST(test_dump_and_restore_are_byte_identical),
        TEST(test_the_json_of_list_is_restored),
        TEST(test_the_array_form_is_written_by_dump_and_survives),
        TEST(test_restore_refuses_what_is_there_without_being_told),
        TEST(test_bad_input_is_refused_with_its_place_and_changes_nothing),
        TEST(test_a_restore_that_is_refused_leaves_no_new_file),
        TEST(test_a_restore_that_is_interrupted_leaves_no_new_file),
        TEST(test_a_new_file_does_not_take_the_place_of_another),
        TEST(test_a_restore_wakes_other_processes),
        TEST(test_no_room_for_the_temporary_file_is_status_4),
        TEST(test_a_dry_run_says_what_the_restore_would),
        TEST(test_dump_puts_its_file_in_place_or_leaves_the_old_one),
        TEST(test_a_full_disk_does_not_look_good),
        TEST(test_a_reader_that_goes_away_is_no_reason_to_complain),
        TEST(test_an_input_that_fails_is_status_4),
    };
    return SUPPORT_MAIN(argc, argv, "cli", tests, NULL);
}
