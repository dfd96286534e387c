/* SPDX-License-Identifier: MIT */
/* The commands that look after a file: forget, migrate, stats, models. */
#include <sys/stat.h>

#include "cli.h"

#include <sqlite3.h>

/* ---------------------------------------------------------------- forget */

static void test_forget_drops_keys_durably(void **state)
{
    fixture *f = *state;
    assert_exit(DONE, RUN(f, "update", "p.db", "a:b:c=1", "d:e:f=2", "x\\:y:b:c=3"));
    assert_exit(DONE, RUN(f, "update", "p.db", "--read-model", "m", "a:b:c=7"));
    assert_exit(DONE, RUN(f, "forget", "p.db", "a:b:c", "x\\:y:b:c"));
    assert_string_equal(out, "");
    assert_string_equal(err, "");
    assert_exit(DONE, RUN(f, "list", "p.db", "--format", "json"));
    assert_string_equal(out, "[[\"d:e:f\",2]]\n");
    assert_exit(DONE, RUN(f, "get", "p.db", "a:b:c", "--read-model", "m"));
    assert_string_equal(out, "7\n");
}

static void test_forget_names_what_was_never_seen_and_is_status_1_if_all_was(void **state)
{
    fixture *f = *state;
    assert_exit(DONE, RUN(f, "update", "p.db", "a:b:c=1"));
    assert_exit(DONE, RUN(f, "forget", "p.db", "a:b:c", "no:such\\:one:key"));
    assert_string_equal(err, "ctrack: no:such\\:one:key: never seen\n");
    assert_exit(NEGATIVE, RUN(f, "forget", "p.db", "a:b:c"));
    assert_string_equal(err, "ctrack: a:b:c: never seen\n");
    assert_exit(NEGATIVE, RUN(f, "forget", "p.db", "e\x1B[31m\xC2\x9B:b:c"));
    assert_string_equal(err, "ctrack: e?[31m??:b:c: never seen\n"); /* no control characters, C1 ones included */
    assert_exit(NEGATIVE, RUN_INPUT(f, "", "forget", "p.db"));
    assert_contains(err, "no keys");
}

static void test_forget_reads_keys_from_lines(void **state)
{
    fixture *f = *state;
    char *array = array_of(300), *lines = malloc(300 * 40), *at = lines;
    assert_exit(DONE, RUN_INPUT(f, array, "restore", "p.db"));
    for (int i = 0; i < 299; i++) {
        at += sprintf(at, "document-%d:b:c\n", i);
    }
    at[-1] = '\0'; /* the last line has no end */
    assert_exit(DONE, RUN_INPUT(f, lines, "forget", "p.db", "-"));
    assert_exit(DONE, RUN(f, "list", "p.db", "--format", "json"));
    assert_string_equal(out, "[[\"document-299:b:c\",299]]\n");
    free(array);
    free(lines);
}

static void test_a_bad_line_leaves_everything_remembered(void **state)
{
    fixture *f = *state;
    assert_exit(DONE, RUN(f, "update", "p.db", "a:b:c=1", "d:e:f=2"));
    assert_exit(INPUT, RUN_INPUT(f, "a:b:c\nd:e\n", "forget", "p.db"));
    assert_contains(err, "ctrack: stdin:2: key \"d:e\" has two components");
    assert_contains(err, "nothing has been forgotten");
    process p = start(f, NULL, LIST("forget", "p.db"));
    assert_exit(INPUT, finish(&p, "a:b:c\nd:e:f\0\n", 13));
    assert_contains(err, "stdin:2: a key has no NUL");
    assert_exit(USAGE, RUN(f, "forget", "p.db", "a:b:c", "d:e"));
    assert_exit(DONE, RUN(f, "list", "p.db", "--format", "json"));
    assert_string_equal(out, "[[\"a:b:c\",1],[\"d:e:f\",2]]\n");
}

static void test_forget_makes_no_tracker_of_what_is_none(void **state)
{
    fixture *f = *state;
    db_run_once(name_in(f, "other.db"), "CREATE TABLE theirs (x)");
    assert_exit(INPUT, RUN(f, "forget", "other.db", "a:b:c"));
    assert_contains(err, "other.db: there is nothing of ctrack's in this file");
    assert_int_equal(db_integer_once(name_in(f, "other.db"), "SELECT count(*) FROM sqlite_schema"), 1);
}

/* ---------------------------------------------------------------- fold */

static void test_fold_folds_the_log_and_says_so(void **state)
{
    fixture *f = *state;
    assert_exit(DONE, RUN(f, "update", "p.db", "a:b:c=1"));
    assert_exit(DONE, RUN(f, "update", "p.db", "a:b:c=2", "d:e:f=1"));
    assert_exit(DONE, RUN(f, "fold", "p.db"));
    assert_contains(out, "p.db: 3 rows folded; write-ahead log: ");
    assert_string_equal(err, "");
    assert_exit(DONE, RUN(f, "fold", "p.db"));
    assert_contains(out, "p.db: 0 rows folded; write-ahead log: ");
    assert_exit(DONE, RUN(f, "get", "p.db", "a:b:c"));
    assert_string_equal(out, "2\n");
}

static void test_fold_makes_no_file(void **state)
{
    fixture *f = *state;
    assert_exit(OUTPUT, RUN(f, "fold", "p.db"));
    assert_contains(err, "there is no such file");
}

/* ---------------------------------------------------------------- migrate */

static void test_migrate_says_from_which_to_which(void **state)
{
    fixture *f = *state;
    db_run_once(name_in(f, "p.db"), "CREATE TABLE theirs (x)");
    assert_exit(DONE, RUN(f, "migrate", "p.db", "--dry-run"));
    assert_string_equal(out, "p.db: migration 0, would be brought to 1\n");
    assert_int_equal(db_integer_once(name_in(f, "p.db"), "SELECT count(*) FROM sqlite_schema"), 1);
    assert_exit(OUTPUT, RUN(f, "get", "p.db", "a:b:c"));
    assert_contains(err, "'ctrack migrate' brings a schema up to date");
    assert_exit(DONE, RUN(f, "migrate", "p.db"));
    assert_string_equal(out, "p.db: brought from migration 0 to 1\n");
    assert_exit(DONE, RUN(f, "migrate", "p.db"));
    assert_string_equal(out, "p.db: migration 1, which is the newest: nothing to do\n");
    assert_exit(DONE, RUN(f, "migrate", "p.db", "--dry-run"));
    assert_string_equal(out, "p.db: migration 1, which is the newest: nothing to do\n");
    assert_exit(NEGATIVE, RUN(f, "get", "p.db", "a:b:c"));
}

static void test_a_file_that_is_newer_or_altered_is_status_3_for_every_command(void **state)
{
    fixture *f = *state;
    const char *const *const commands[] = {
        LIST("migrate", "p.db"),
        LIST("migrate", "p.db", "--dry-run"),
        LIST("stats", "p.db"),
        LIST("models", "p.db"),
        LIST("get", "p.db", "a:b:c"),
        LIST("list", "p.db"),
        LIST("watch", "p.db", "--once"),
        LIST("wait", "p.db", "a:b:c=1"),
        LIST("update", "p.db", "a:b:c=1"),
        LIST("forget", "p.db", "a:b:c"),
        LIST("dump", "p.db"),
        LIST("restore", "p.db", "--replace"),
    };
    assert_exit(DONE, RUN(f, "update", "p.db", "a:b:c=1"));
    for (int newer = 1; newer >= 0; newer--) {
        db_run_once(name_in(f, "p.db"), newer == 1 ? "INSERT INTO ctrack_migration VALUES (2, '0002_later', 0)"
                                                   : "DELETE FROM ctrack_migration WHERE version = 2; "
                                                     "CREATE INDEX ctrack_theirs ON ctrack_advance (updated_at)");
        for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
            assert_exit(INPUT, run_with(f, "[]", commands[i]));
            assert_contains(err, newer == 1 ? "use a newer ctrack" : "ctrack_theirs is not as ctrack made it");
            assert_string_equal(out, "");
        }
    }
}

/* ---------------------------------------------------------------- models and stats */

/* Two read models, with times that are known. */
static void make_models(const fixture *f)
{
    assert_exit(DONE, RUN(f, "update", "p.db", "a:b:c=1", "d:e:f=2"));
    assert_exit(DONE, RUN(f, "update", "p.db", "--read-model", "s\"x\x1B", "a:b:c=1"));
    assert_exit(DONE, RUN(f, "update", "p.db", "--read-model", "gone", "a:b:c=1"));
    assert_exit(DONE, RUN(f, "forget", "p.db", "--read-model", "gone", "a:b:c"));
    db_run_once(name_in(f, "p.db"), "UPDATE ctrack_advance SET updated_at = 1772357400123;"
                                    "UPDATE ctrack_latest SET updated_at = 1772357400123");
}

static void test_models_prints_every_format(void **state)
{
    fixture *f = *state;
    make_models(f);
    assert_exit(DONE, RUN(f, "models", "p.db"));
    assert_string_equal(out, "READ MODEL  KEYS  LAST CHANGE\n"
                             "default        2  2026-03-01T09:30:00.123Z\n"
                             "gone           0  -\n"
                             "s\"x\\x1b        1  2026-03-01T09:30:00.123Z\n");
    assert_exit(DONE, RUN(f, "models", "p.db", "--format", "ndjson"));
    assert_string_equal(out,
                        "{\"readModel\":\"default\",\"keys\":2,\"updatedAt\":\"2026-03-01T09:30:00.123Z\"}\n"
                        "{\"readModel\":\"gone\",\"keys\":0,\"updatedAt\":null}\n"
                        "{\"readModel\":\"s\\\"x\\u001b\",\"keys\":1,\"updatedAt\":\"2026-03-01T09:30:00.123Z\"}\n");
    assert_exit(DONE, RUN(f, "models", "p.db", "--format", "json"));
    assert_string_equal(out,
                        "[{\"readModel\":\"default\",\"keys\":2,\"updatedAt\":\"2026-03-01T09:30:00.123Z\"},"
                        "{\"readModel\":\"gone\",\"keys\":0,\"updatedAt\":null},"
                        "{\"readModel\":\"s\\\"x\\u001b\",\"keys\":1,\"updatedAt\":\"2026-03-01T09:30:00.123Z\"}]\n");
    assert_exit(DONE, RUN(f, "models", "p.db", "--format", "csv"));
    assert_string_equal(out, "readModel,keys,updatedAt\r\n"
                             "default,2,2026-03-01T09:30:00.123Z\r\n"
                             "gone,0,\r\n"
                             "\"s\"\"x\x1B\",1,2026-03-01T09:30:00.123Z\r\n");
}

static void test_models_of_a_new_file_are_none(void **state)
{
    fixture *f = *state;
    assert_exit(DONE, RUN_INPUT(f, "", "update", "p.db"));
    assert_exit(DONE, RUN(f, "models", "p.db"));
    assert_string_equal(out, "READ MODEL  KEYS  LAST CHANGE\n");
    assert_exit(DONE, RUN(f, "models", "p.db", "--format", "json"));
    assert_string_equal(out, "[]\n");
}

static void test_stats_prints_every_format(void **state)
{
    fixture *f = *state;
    make_models(f);
    struct stat file;
    assert_int_equal(stat(name_in(f, "p.db"), &file), 0);
    char expected[1000], version[32];
    int number = sqlite3_libversion_number();
    snprintf(version, sizeof version, "%d.%d.%d", number / 1000000, number / 1000 % 1000, number % 1000);
    assert_exit(DONE, RUN(f, "stats", "p.db", "--format", "json"));
    bool exposed = strstr(out, "\"sqliteExposed\":true") != NULL;
    snprintf(expected, sizeof expected,
             "{\"schemaVersion\":1,\"fileBytes\":%lld,\"pageBytes\":4096,\"walBytes\":0,\"walPages\":0,"
             "\"logBacklog\":1,\"sqliteVersion\":\"%s\",\"sqliteExposed\":%s,\"readModels\":3,"
             "\"keys\":{\"default\":2,\"gone\":0,\"s\\\"x\\u001b\":1}}\n",
             (long long)file.st_size, version, exposed ? "true" : "false");
    char *backlog = strstr(out, "\"logBacklog\":");
    assert_non_null(backlog);
    backlog[13] = '1'; /* how much is folded by now is the library's affair */
    assert_string_equal(out, expected);
    assert_exit(DONE, RUN(f, "stats", "p.db"));
    assert_contains(out, "NAME                          READ MODEL   VALUE\n");
    assert_contains(out, "schema version                -                1\n");
    assert_contains(out, "keys                          default          2\n");
    assert_contains(out, "keys                          s\"x\\x1b          1\n");
    assert_exit(DONE, RUN(f, "stats", "p.db", "--format", "csv"));
    assert_contains(out, "name,readModel,value\r\nschemaVersion,,1\r\n");
    assert_contains(out, "\r\nkeys,default,2\r\n");
}

static void test_stats_tell_what_the_wal_has_room_for(void **state)
{
    fixture *f = *state;
    assert_exit(DONE, RUN(f, "update", "p.db", "a:b:c=1"));
    sqlite3 *db = db_open(name_in(f, "p.db"));
    db_run(db, "PRAGMA wal_autocheckpoint = 0");
    db_run(db, "CREATE TABLE theirs (x); INSERT INTO theirs VALUES (1)");
    struct stat wal;
    assert_int_equal(stat(name_in(f, "p.db-wal"), &wal), 0);
    assert_true(wal.st_size > 32 && (wal.st_size - 32) % (4096 + 24) == 0);
    char expected[100];
    snprintf(expected, sizeof expected, "\"walBytes\":%lld,\"walPages\":%lld,", (long long)wal.st_size,
             (long long)(wal.st_size - 32) / (4096 + 24));
    assert_exit(DONE, RUN(f, "stats", "p.db", "--format", "ndjson"));
    assert_contains(out, expected);
    db_close(db);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        TEST(test_fold_folds_the_log_and_says_so),
        TEST(test_fold_makes_no_file),
        TEST(test_forget_drops_keys_durably),
        TEST(test_forget_names_what_was_never_seen_and_is_status_1_if_all_was),
        TEST(test_forget_reads_keys_from_lines),
        TEST(test_a_bad_line_leaves_everything_remembered),
        TEST(test_forget_makes_no_tracker_of_what_is_none),
        TEST(test_migrate_says_from_which_to_which),
        TEST(test_a_file_that_is_newer_or_altered_is_status_3_for_every_command),
        TEST(test_models_prints_every_format),
        TEST(test_models_of_a_new_file_are_none),
        TEST(test_stats_prints_every_format),
        TEST(test_stats_tell_what_the_wal_has_room_for),
    };
    return SUPPORT_MAIN(argc, argv, "maintenance", tests, NULL);
}
