/* SPDX-License-Identifier: MIT */
/* Disks that are full, files that cannot be written, files that are locked: what each command says and leaves behind.
 */
#include <errno.h>
#include <sys/mount.h>
#include <unistd.h>

#include "cli.h"

#include <sqlite3.h>

static void test_a_locked_file_is_status_5_for_who_writes_and_no_matter_for_who_reads(void **state)
{
    fixture *f = *state;
    const char *const *const writers[] = {
        LIST("update", "p.db", "a:b:c=2", "--busy-timeout", "50ms"),
        LIST("forget", "p.db", "a:b:c", "--busy-timeout=50ms"),
        LIST("restore", "p.db", "--merge", "--busy-timeout", "50ms"),
    };
    const char *const *const readers[] = {
        LIST("get", "p.db", "a:b:c"),
        LIST("list", "p.db"),
        LIST("dump", "p.db"),
        LIST("wait", "p.db", "a:b:c=1"),
        LIST("watch", "p.db", "--once"),
        LIST("models", "p.db"),
        LIST("stats", "p.db"),
        LIST("migrate", "p.db"),
        LIST("restore", "p.db", "--dry-run", "--merge"),
    };
    assert_exit(DONE, RUN(f, "update", "p.db", "a:b:c=1"));
    sqlite3 *db = db_open(name_in(f, "p.db"));
    db_run(db, "BEGIN IMMEDIATE");
    for (size_t i = 0; i < sizeof writers / sizeof writers[0]; i++) {
        assert_exit(BUSY, run_with(f, "[[\"a:b:c\",7]]", writers[i]));
        assert_contains(err, "(Another process is writing. --busy-timeout 30s waits longer for it.)");
    }
    for (size_t i = 0; i < sizeof readers / sizeof readers[0]; i++) {
        assert_exit(DONE, run_with(f, "[[\"a:b:c\",7]]", readers[i]));
    }
    db_run(db, "ROLLBACK");
    db_close(db);
    assert_exit(DONE, RUN(f, "get", "p.db", "a:b:c"));
    assert_string_equal(out, "1\n");
}

static void test_a_longer_busy_timeout_waits_longer(void **state)
{
    fixture *f = *state;
    assert_exit(DONE, RUN(f, "update", "p.db", "a:b:c=1"));
    sqlite3 *db = db_open(name_in(f, "p.db"));
    db_run(db, "BEGIN IMMEDIATE");
    process patient = start(f, NULL, LIST("update", "p.db", "a:b:c=3", "--busy-timeout", "2m"));
    int64_t begun = now_ns();
    assert_exit(BUSY, RUN(f, "update", "p.db", "a:b:c=2", "--busy-timeout", "300ms"));
    assert_true(now_ns() - begun >= 300000000);
    db_run(db, "ROLLBACK");
    db_close(db);
    assert_exit(DONE, finish(&patient, "", 0));
    assert_exit(DONE, RUN(f, "get", "p.db", "a:b:c"));
    assert_string_equal(out, "3\n");
}

static void test_a_file_that_may_not_grow_is_status_4_and_nothing_is_half_done(void **state)
{
    fixture *f = *state;
    char *array = array_of(5000);
    assert_exit(DONE, RUN(f, "update", "p.db", "a:b:c=1"));
    assert_exit(DONE, RUN_INPUT(f, array, "restore", "q.db"));
    file_size_limit = 200000;
    assert_exit(OUTPUT, RUN_INPUT(f, array, "restore", "p.db", "--merge"));
    assert_exit(OUTPUT, RUN(f, "dump", "q.db", "-o", "dump"));
    assert_contains(err, "File too large");
    file_size_limit = 0;
    assert_int_equal(files_in(f, "dump"), 0);
    assert_exit(DONE, RUN(f, "list", "p.db", "--format", "json"));
    assert_string_equal(out, "[[\"a:b:c\",1]]\n");
    assert_exit(DONE, RUN_INPUT(f, array, "restore", "p.db", "--merge"));
    free(array);
}

static void test_a_full_disk_is_status_4_and_says_what_to_do(void **state)
{
    fixture *f = *state;
    if (!mount_small_disk(f, "1m")) {
        skip();
    }
    assert_exit(DONE, RUN(f, "update", "disk/p.db", "a:b:c=1"));
    char *array = array_of(20000);
    assert_exit(OUTPUT, RUN_INPUT(f, array, "restore", "disk/p.db", "--replace"));
    assert_contains(err, "(Nothing has changed. Make room on the disk, and try again.)");
    assert_exit(DONE, RUN(f, "list", "disk/p.db", "--format", "json"));
    assert_string_equal(out, "[[\"a:b:c\",1]]\n");
    assert_exit(DONE, RUN_INPUT(f, array, "restore", "p.db"));
    assert_exit(OUTPUT, RUN(f, "dump", "p.db", "-o", "disk/dump"));
    assert_contains(err, "No space left on device");
    assert_int_equal(files_in(f, "disk/dump"), 0);
    assert_false(exists(f, "disk/dump"));
    free(array);
}

static void test_a_file_that_is_read_only_is_status_4(void **state)
{
    fixture *f = *state;
    if (!mount_small_disk(f, "2m")) {
        skip();
    }
    assert_exit(DONE, RUN(f, "update", "disk/p.db", "a:b:c=1"));
    assert_int_equal(mount(NULL, f->disk, NULL, MS_REMOUNT | MS_RDONLY, NULL), 0);
    const char *const *const writers[] = {
        LIST("update", "disk/p.db", "a:b:c=2"),  LIST("forget", "disk/p.db", "a:b:c"),
        LIST("restore", "disk/p.db", "--merge"), LIST("update", "disk/new.db", "a:b:c=2"),
        LIST("dump", "p.db", "-o", "disk/dump"),
    };
    assert_exit(DONE, RUN(f, "update", "p.db", "a:b:c=1"));
    for (size_t i = 0; i < sizeof writers / sizeof writers[0]; i++) {
        assert_exit(OUTPUT, run_with(f, "[[\"a:b:c\",7]]", writers[i]));
        assert_contains(err, "disk/");
    }
    assert_int_equal(mount(NULL, f->disk, NULL, MS_REMOUNT, NULL), 0);
    assert_exit(DONE, RUN(f, "get", "disk/p.db", "a:b:c"));
    assert_string_equal(out, "1\n");
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_locked_file_is_status_5_for_who_writes_and_no_matter_for_who_reads),
        TEST(test_a_longer_busy_timeout_waits_longer),
        TEST(test_a_file_that_may_not_grow_is_status_4_and_nothing_is_half_done),
        TEST(test_a_full_disk_is_status_4_and_says_what_to_do),
        TEST(test_a_file_that_is_read_only_is_status_4),
    };
    return SUPPORT_MAIN(argc, argv, "faults", tests, NULL);
}
