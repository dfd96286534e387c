/* SPDX-License-Identifier: MIT */
/*
 * Trackers for reading only: on files that they may not write, and in directories where they may not make files.
 * Root may do both whatever the modes say, so these tests do their reading in a child process, as nobody if need be.
 */
#include "support.h"

#include <sqlite3.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NOBODY = 65534 };

static ctrack_status open_reader(const char *path, ctrack **tracker, ctrack_error *error)
{
    ctrack_options options = CTRACK_OPTIONS_INIT;
    options.read_only = true;
    return ctrack_open(path, &options, tracker, error);
}

/* ---------------------------------------------------------------- the reader's process */

/* 32 + the status of a call that fails where nothing else is expected. */
static int read_and_wait(const char *path)
{
    ctrack *tracker = NULL;
    ctrack_coordinate reached = at("doc-1", 5), next = at("doc-1", 6);
    ctrack_error error;
    char waits = '!';
    ctrack_status status = open_reader(path, &tracker, &error);
    if (status != CTRACK_OK) {
        fprintf(stderr, "%s\n", error.message);
        return 32 + (int)status;
    }
    ctrack_promise *promise = NULL;
    ctrack_key read = key("doc-1");
    int64_t index = -1;
    if (ctrack_get_latest(tracker, &read, &index) != CTRACK_OK || index != reached.operation_index ||
        ctrack_update(tracker, &next, 1, &error) != CTRACK_READ_ONLY ||
        ctrack_wait_for(tracker, &next, 1, CTRACK_FOREVER, NULL, &promise, &error) != CTRACK_OK ||
        ctrack_promise_status(promise) != CTRACK_PENDING || !write_fully(STDOUT_FILENO, &waits, 1)) {
        return 3;
    }
    status = ctrack_promise_await(promise);
    ctrack_promise_release(promise);
    ctrack_close(tracker, NULL);
    return status == CTRACK_OK ? 0 : 64 + (int)status;
}

/* Opens only: 0, or 32 + the status. Its message goes to the pipe. */
static int open_only(const char *path)
{
    ctrack *tracker = NULL;
    ctrack_error error = {.message = ""};
    ctrack_status status = open_reader(path, &tracker, &error);
    write_fully(STDOUT_FILENO, error.message, sizeof error.message);
    ctrack_close(tracker, NULL);
    return status == CTRACK_OK ? 0 : 32 + (int)status;
}

static int run_child(const char *mode, const char *path)
{
    if (geteuid() == 0 && (setgid(NOBODY) != 0 || setuid(NOBODY) != 0)) {
        return 77;
    }
    return strcmp(mode, "wait") == 0 ? read_and_wait(path) : open_only(path);
}

/* ---------------------------------------------------------------- files and modes */

/* Whether nobody can get at the test's directory at all. The modes of what is above it are not ours to change. */
static bool reachable(const fixture *f)
{
    char part[240];
    if (geteuid() != 0) {
        return true;
    }
    for (const char *slash = strchr(f->directory + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        struct stat found;
        snprintf(part, sizeof part, "%.*s", (int)(slash - f->directory), f->directory);
        if (stat(part, &found) != 0 || (found.st_mode & S_IXOTH) == 0) {
            print_error("SKIPPED: nobody cannot enter %s: reading without the right to write is NOT tested\n", part);
            return false;
        }
    }
    return true;
}

/* The file with `doc-1` at 5, readable by all; writable, like its directory, by its owner only. */
static void make_file(fixture *f, mode_t directory_mode)
{
    f->tracker = open_file(f->path);
    update(f->tracker, "doc-1", 5);
    close_tracker(&f->tracker);
    assert_int_equal(chmod(f->path, 0444), 0);
    assert_int_equal(chmod(f->directory, directory_mode), 0);
}

static void give_back(const fixture *f)
{
    assert_int_equal(chmod(f->directory, 0700), 0);
    assert_int_equal(chmod(f->path, 0600), 0);
}

/* ---------------------------------------------------------------- what anybody may do */

static void test_reader_sees_and_waits_for_what_another_tracker_writes(void **state)
{
    fixture *f = *state;
    ctrack *reader = NULL;
    update(f->tracker, "doc-1", 5);
    assert_status(open_reader(f->path, &reader, NULL), CTRACK_OK);
    assert_int_equal(latest(reader, "doc-1"), 5);
    ctrack_promise *promise = wait_for(reader, "doc-1", 6);
    update(f->tracker, "doc-1", 6);
    assert_status(ctrack_promise_await(promise), CTRACK_OK);
    assert_int_equal(latest(reader, "doc-1"), 6);
    ctrack_promise_release(promise);
    close_tracker(&reader);
}

static void test_reader_refuses_all_that_writes_and_stays_as_it_is(void **state)
{
    fixture *f = *state;
    ctrack *reader = NULL;
    ctrack_coordinate next = at("doc-1", 6);
    ctrack_key known = key("doc-1");
    update(f->tracker, "doc-1", 5);
    assert_status(open_reader(f->path, &reader, NULL), CTRACK_OK);
    assert_status(ctrack_update(reader, &next, 1, &f->error), CTRACK_READ_ONLY);
    assert_contains(f->error.message, "reading only");
    assert_status(ctrack_hydrate(reader, &next, 1, NULL), CTRACK_READ_ONLY);
    assert_status(ctrack_forget(reader, &known, 1, NULL), CTRACK_READ_ONLY);
    assert_int_equal(latest(reader, "doc-1"), 5);
    next.operation_index = 5; /* changes nothing: there is nothing to refuse */
    assert_status(ctrack_update(reader, &next, 1, NULL), CTRACK_OK);
    close_tracker(&reader);
    assert_int_equal(latest(f->tracker, "doc-1"), 5);
}

static void test_reader_does_not_make_a_file(void **state)
{
    fixture *f = *state;
    assert_status(open_reader(f->path, &f->tracker, NULL), CTRACK_IO);
    assert_false(file_exists(f->path));
}

static void test_reader_refuses_a_file_without_our_schema(void **state)
{
    fixture *f = *state;
    db_run_once(f->path, "CREATE TABLE host (id INTEGER)");
    assert_status(open_reader(f->path, &f->tracker, &f->error), CTRACK_READ_ONLY);
    assert_contains(f->error.message, "no current ctrack schema");
    assert_int_equal(db_integer_once(f->path, "SELECT count(*) FROM sqlite_schema"), 1);
}

/* Readers leave folding to those who write, however long the log is. */
static void test_reader_neither_folds_nor_complains(void **state)
{
    fixture *f = *state;
    ctrack *reader = NULL;
    struct sqlite3 *db = db_open(f->path);
    assert_status(open_reader(f->path, &reader, NULL), CTRACK_OK);
    db_run(db, "INSERT INTO ctrack_progress (read_model, document_id, scope, branch, operation_index) "
               "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 70000) "
               "SELECT 'default', 'doc-' || (i % 10), 'document', 'main', i FROM n");
    int64_t folded = db_integer(db, "SELECT folded_seq FROM ctrack_fold"); /* by the view */
    assert_status(ctrack_refresh(reader, NULL), CTRACK_OK);
    assert_int_equal(latest(reader, "doc-0"), 70000);
    close_tracker(&reader); /* ends what its threads are at */
    assert_int_equal(db_integer(db, "SELECT folded_seq FROM ctrack_fold"), folded);
    db_close(db);
}

/* ---------------------------------------------------------------- without the right to write */

/* While a writer has the file open, its -wal and -shm are there to be read. */
static void wait_without_rights(fixture *f, mode_t directory_mode)
{
    if (!reachable(f)) {
        skip();
    }
    make_file(f, directory_mode);
    if (geteuid() != 0) { /* the writer needs what the reader must not have: only root can be both */
        give_back(f);
        print_error("SKIPPED: needs root to become nobody: reading without the right to write is NOT tested\n");
        skip();
    }
    f->tracker = open_file(f->path); /* as root, whatever the mode says */
    child reader = child_start("wait", f->path);
    char waits = 0;
    bool began = read_fully(reader.output, &waits, 1);
    if (began) {
        update(f->tracker, "doc-1", 6);
    }
    assert_int_equal(child_finish(&reader), 0);
    give_back(f);
}

static void test_nobody_waits_on_a_file_that_is_read_only(void **state)
{
    wait_without_rights(*state, 0777);
}

static void test_nobody_waits_on_a_file_in_a_read_only_directory(void **state)
{
    wait_without_rights(*state, 0555);
}

/* Without a writer there is no -shm, and SQLite cannot make one there: a clear refusal, and nothing is left behind. */
static void test_nobody_is_told_why_a_file_at_rest_in_a_read_only_directory_cannot_be_read(void **state)
{
    fixture *f = *state;
    if (!reachable(f)) {
        skip();
    }
    make_file(f, 0555);
    child reader = child_start("open", f->path);
    ctrack_error error = {.message = ""};
    read_fully(reader.output, error.message, sizeof error.message);
    int result = child_finish(&reader);
    give_back(f);
    assert_int_equal(result, 32 + CTRACK_READ_ONLY);
    assert_contains(error.message, f->path);
    assert_contains(error.message, "write-ahead log");
    f->tracker = open_file(f->path);
    assert_int_equal(latest(f->tracker, "doc-1"), 5);
}

/* ---------------------------------------------------------------- a read-only medium */

/* The fixture's file on a medium that is then mounted anew, to be read only. */
static bool put_on_read_only_medium(fixture *f)
{
    if (!mount_small_disk(f, "2m")) {
        return false;
    }
    f->tracker = open_file(f->path);
    update(f->tracker, "doc-1", 5);
    char copy[300];
    snprintf(copy, sizeof copy, "%s.copy", f->path);
    assert_status(ctrack_export(f->tracker, copy, CTRACK_EXPORT_NEW, NULL, NULL, &f->error), CTRACK_OK);
    close_tracker(&f->tracker);
    assert_int_equal(mount(NULL, f->disk, NULL, MS_REMOUNT | MS_RDONLY, NULL), 0);
    return true;
}

static void test_a_closed_file_on_a_read_only_medium_says_what_to_do(void **state)
{
    fixture *f = *state;
    ctrack_options options = CTRACK_OPTIONS_INIT;
    options.read_only = true;
    if (!put_on_read_only_medium(f)) {
        return;
    }
    assert_status(ctrack_open(f->path, &options, &f->tracker, &f->error), CTRACK_READ_ONLY);
    assert_contains(f->error.message, "put a snapshot of it there");
    assert_status(ctrack_check(f->path, 0, NULL, NULL, NULL, &f->error), CTRACK_READ_ONLY);
    assert_contains(f->error.message, "put a snapshot of it there");
}

static void test_an_export_is_read_on_a_read_only_medium(void **state)
{
    fixture *f = *state;
    ctrack_options options = CTRACK_OPTIONS_INIT;
    options.read_only = true;
    if (!put_on_read_only_medium(f)) {
        return;
    }
    strcat(f->path, ".copy");
    assert_status(ctrack_open(f->path, &options, &f->tracker, &f->error), CTRACK_OK);
    assert_int_equal(latest(f->tracker, "doc-1"), 5);
    assert_status(ctrack_check(f->path, 0, NULL, NULL, NULL, &f->error), CTRACK_OK);
    close_tracker(&f->tracker);
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        TEST_ON_FILE(test_reader_sees_and_waits_for_what_another_tracker_writes),
        TEST_ON_FILE(test_reader_refuses_all_that_writes_and_stays_as_it_is),
        TEST(test_reader_does_not_make_a_file),
        TEST(test_reader_refuses_a_file_without_our_schema),
        TEST_ON_FILE(test_reader_neither_folds_nor_complains),
        TEST(test_nobody_waits_on_a_file_that_is_read_only),
        TEST(test_nobody_waits_on_a_file_in_a_read_only_directory),
        TEST(test_nobody_is_told_why_a_file_at_rest_in_a_read_only_directory_cannot_be_read),
        TEST(test_a_closed_file_on_a_read_only_medium_says_what_to_do),
        TEST(test_an_export_is_read_on_a_read_only_medium),
    };
    return SUPPORT_MAIN(argc, argv, "read_only", tests, run_child);
}
