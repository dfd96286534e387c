/* SPDX-License-Identifier: MIT */
/* `ctrack watch`, as lines for a script and as a view on a terminal. */
#include <signal.h>

#include "cli.h"

/* What follows the time in each line of `text`, which is overwritten: "1 = a:b:c\n…". */
static char *without_times(char *text)
{
    char *to = text;
    for (char *line = text; *line != '\0';) {
        char *end = strchr(line, '\n'), *rest = strchr(line, ' ');
        if (end == NULL || rest == NULL || rest - line != 24 || line[23] != 'Z') {
            fail_msg("not a line with a time: %s", line);
        }
        size_t length = (size_t)(end - rest);
        memmove(to, rest + 1, length);
        to += length;
        line = end + 1;
    }
    *to = '\0';
    return text;
}

static void test_once_prints_every_key_that_matches(void **state)
{
    fixture *f = *state;
    assert_exit(DONE, RUN(f, "update", "p.db", "a:s:x=1", "x\\:y:s:x=3", "e\x1B[31m\xC2\x9B:s:z=2"));
    assert_exit(DONE, RUN(f, "update", "p.db", "--read-model", "m", "q:s:x=4"));
    assert_exit(DONE, RUN(f, "watch", "p.db", "--once"));
    assert_string_equal(without_times(out), "1 = a:s:x\n2 = e\\x1b[31m\\x9b:s:z\n3 = x\\:y:s:x\n");
    assert_exit(DONE, RUN(f, "watch", "p.db", "--count=1", "--branch", "x", "--document", "a", "--scope", "s"));
    assert_string_equal(without_times(out), "1 = a:s:x\n");
    assert_exit(DONE, RUN(f, "watch", "p.db", "--once", "--read-model", "m"));
    assert_string_equal(without_times(out), "4 = q:s:x\n");
    assert_exit(DONE, RUN(f, "watch", "p.db", "--once", "--branch", "none"));
    assert_string_equal(out, "");
}

static void test_changes_are_printed_as_they_happen(void **state)
{
    fixture *f = *state;
    char text[4000];
    assert_exit(DONE, RUN(f, "update", "p.db", "a:b:c=1", "d:e:f=5"));
    process p = start(f, NULL, LIST("watch", "p.db", "--interval", "10ms", "d:e:f=5", "n:e:w=7"));
    read_until(p.output, text, sizeof text, "5 reached d:e:f\n");
    assert_string_equal(without_times(text), "1 = a:b:c\n5 = d:e:f\n5 reached d:e:f\n");
    assert_exit(DONE, RUN(f, "update", "p.db", "a:b:c=4"));
    read_until(p.output, text, sizeof text, "\n");
    assert_string_equal(without_times(text), "4 +3 a:b:c\n");
    assert_exit(DONE, RUN(f, "update", "p.db", "n:e:w=7"));
    read_until(p.output, text, sizeof text, "reached n:e:w\n");
    assert_string_equal(without_times(text), "7 new n:e:w\n7 reached n:e:w\n");
    assert_exit(DONE, RUN(f, "forget", "p.db", "d:e:f"));
    read_until(p.output, text, sizeof text, "\n");
    assert_string_equal(without_times(text), "- forgotten d:e:f\n");
    assert_exit(DONE, RUN_INPUT(f, "[[\"a:b:c\",2],[\"n:e:w\",7]]", "restore", "p.db", "--replace"));
    read_until(p.output, text, sizeof text, "\n");
    assert_string_equal(without_times(text), "2 -2 a:b:c\n");
    kill(p.pid, SIGINT);
    assert_exit(128 + SIGINT, finish(&p, "", 0));
    assert_string_equal(err, "");
}

static void test_watch_ends_when_nobody_reads_any_more(void **state)
{
    fixture *f = *state;
    char text[4000];
    assert_exit(DONE, RUN(f, "update", "p.db", "a:b:c=1"));
    process p = start(f, NULL, LIST("watch", "p.db", "--interval", "10ms"));
    read_until(p.output, text, sizeof text, "\n");
    drop(&p.output); /* and nothing advances, so nothing is written */
    assert_exit(OUTPUT, finish(&p, "", 0));
    assert_string_equal(err, "");
}

static void test_a_terminal_shows_a_view_that_is_drawn_in_place(void **state)
{
    fixture *f = *state;
    char text[8000];
    assert_exit(DONE, RUN(f, "update", "p.db", "a:b:c=1", "e\x1B[31m:b:c=2"));
    process p = start_on_terminal(f, TERMINAL_OUTPUT, LIST("watch", "p.db", "--interval", "10ms", "a:b:c=9"));
    read_until(p.output, text, sizeof text, "\033[J\033[?7h");
    assert_contains(text, "default in p.db: 2 keys, 0 changed, 0.0 operations/s, 1 waits here\033[K");
    assert_contains(text, "waiting for 0 s: a:b:c needs 9, has 1\033[K");
    assert_contains(text, "\na:b:c ");
    assert_contains(text, "\ne\\x1b[31m:b:c "); /* never raw */
    assert_null(strstr(text, "\033[31m"));
    read_until(p.output, text, sizeof text, "\033[5A\r"); /* five lines up: over what was drawn before */
    assert_exit(DONE, RUN(f, "update", "p.db", "a:b:c=8"));
    read_until(p.output, text, sizeof text, "a:b:c needs 9, has 8");
    assert_exit(DONE, RUN(f, "update", "p.db", "a:b:c=9"));
    read_until(p.output, text, sizeof text, "0 waits here");
    kill(p.pid, SIGINT);
    assert_exit(128 + SIGINT, finish(&p, "", 0));
    /* The last drawing is complete: lines are broken again, and the cursor stands below it. */
    char *all = malloc(strlen(text) + strlen(out) + 1);
    assert_non_null(all);
    sprintf(all, "%s%s", text, out);
    assert_string_equal(all + strlen(all) - 8, "\033[J\033[?7h");
    free(all);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        TEST(test_once_prints_every_key_that_matches),
        TEST(test_changes_are_printed_as_they_happen),
        TEST(test_watch_ends_when_nobody_reads_any_more),
        TEST(test_a_terminal_shows_a_view_that_is_drawn_in_place),
    };
    return SUPPORT_MAIN(argc, argv, "watch", tests, NULL);
}
