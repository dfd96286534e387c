/* SPDX-License-Identifier: MIT */
/*
 * Which file it is. What is acknowledged is in the file that the name names, and every other process sees it, whatever
 * the host does to the files and the names; what cannot be known is told before anything is acknowledged.
 *
 * The program is linked so that something happens between two calls of SQLite's: see hooks.
 */
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---------------------------------------------------------------- hooks */

/* What happens once: when a file has been opened but not read, when a database in memory has been, or when a statement is about to run. */
typedef void event(const fixture *f);
static event *when_opened, *when_in_memory, *before_statement, *before_ready;
static const char *statement_awaited;
static const fixture *hooked;

static void happen(event **hook)
{
    event *now = *hook;
    *hook = NULL;
    if (now != NULL) {
        now(hooked);
    }
}

int __real_sqlite3_open_v2(const char *name, sqlite3 **db, int flags, const char *vfs);
int __wrap_sqlite3_open_v2(const char *name, sqlite3 **db, int flags, const char *vfs);
int __wrap_sqlite3_open_v2(const char *name, sqlite3 **db, int flags, const char *vfs)
{
    int code = __real_sqlite3_open_v2(name, db, flags, vfs);
    happen(name[0] == '/' ? &when_opened : &when_in_memory);
    return code;
}

int __real_sqlite3_step(sqlite3_stmt *statement);
int __wrap_sqlite3_step(sqlite3_stmt *statement);
int __wrap_sqlite3_step(sqlite3_stmt *statement)
{
    if (before_statement != NULL && strcmp(sqlite3_sql(statement), statement_awaited) == 0) {
        happen(&before_statement);
    }
    return __real_sqlite3_step(statement);
}

struct ct_store;
ctrack_status __real_ct_store_make_ready(struct ct_store *store, ctrack_durability durability, ctrack_error *error);
ctrack_status __wrap_ct_store_make_ready(struct ct_store *store, ctrack_durability durability, ctrack_error *error);
ctrack_status __wrap_ct_store_make_ready(struct ct_store *store, ctrack_durability durability, ctrack_error *error)
{
    happen(&before_ready);
    return __real_ct_store_make_ready(store, durability, error);
}

/* ---------------------------------------------------------------- other processes */

/* Says who it is, and stays until it is killed. */
static void stay(void)
{
    pid_t self = getpid();
    write_fully(STDOUT_FILENO, &self, sizeof self);
    pause();
}

static int run_without_rights(const char *path);

/* As a program does that becomes a daemon too late: other files get the numbers of ours and of SQLite's. */
static int run_without_descriptors(ctrack *tracker, const char *path)
{
    ctrack_coordinate progress = at("doc-1", 2);
    for (int i = 3; i < 100; i++) {
        close(i);
    }
    for (int i = 3; i < 100; i++) {
        char other[320];
        snprintf(other, sizeof other, "%s-of-the-host-%d", path, i);
        if (open(other, O_RDWR | O_CREAT, 0600) < 0) {
            return 93;
        }
    }
    int status = (int)ctrack_update(tracker, &progress, 1, NULL);
    return latest(tracker, "doc-1") == 1 ? status : 94;
}

static int run_child(const char *mode, const char *path)
{
    ctrack *tracker = NULL;
    ctrack_error error;
    if (strcmp(mode, "single") == 0) {
        sqlite3_config(SQLITE_CONFIG_SINGLETHREAD);
        ctrack *memory = NULL;
        bool works = ctrack_open(NULL, NULL, &memory, NULL) == CTRACK_OK && ctrack_close(memory, NULL) == CTRACK_OK;
        ctrack_status status = ctrack_open(path, NULL, &tracker, &error);
        return works && strstr(error.message, "SQLITE_CONFIG_SINGLETHREAD") != NULL ? (int)status : 99;
    }
    if (strcmp(mode, "drop") == 0) {
        _exit(run_without_rights(path)); /* nor may it be looked at for leaks */
    }
    if (ctrack_open(path, NULL, &tracker, &error) != CTRACK_OK) {
        return 90;
    }
    if (strcmp(mode, "update") == 0) { /* the last to close, if nobody else has the file open */
        ctrack_coordinate progress = at("elsewhere", 1);
        ctrack_status status = ctrack_update(tracker, &progress, 1, &error);
        return status != CTRACK_OK ? 91 : (int)ctrack_close(tracker, NULL);
    }
    if (strcmp(mode, "read") == 0) { /* what others see of doc-1 */
        int64_t index = latest(tracker, "doc-1");
        return ctrack_close(tracker, NULL) == CTRACK_OK ? (int)index : 92;
    }
    if (strcmp(mode, "close") == 0) {
        static ctrack *volatile kept; /* not closed: that is no leak */
        kept = tracker;
        return run_without_descriptors(kept, path);
    }
    if (strcmp(mode, "fork") == 0 && fork() != 0) {
        pause();
    }
    stay();
    return 0;
}

static int run_elsewhere(const char *mode, const char *path)
{
    child other = child_start(mode, path);
    return child_finish(&other);
}

/* Another process has the file open from now on. *who: it, or its child. */
static child start_and_await(const char *mode, const char *path, pid_t *who)
{
    child other = child_start(mode, path);
    assert_true(read_fully(other.output, who, sizeof *who));
    return other;
}

static char *beside(const fixture *f, const char *ending, char path[300])
{
    snprintf(path, 300, "%s%s", f->path, ending);
    return path;
}

/* ---------------------------------------------------------------- locks that the host drops */

static void open_read_and_close(const char *path)
{
    char head[16];
    int descriptor = open(path, O_RDONLY);
    assert_true(descriptor >= 0);
    ssize_t got = read(descriptor, head, sizeof head);
    assert_true(got >= 0);
    close(descriptor);
}

/* Another process closes the file, and is not the last one; what is acknowledged afterwards is there for everybody. */
static void assert_others_leave_the_log(fixture *f, int64_t index)
{
    assert_int_equal(run_elsewhere("update", f->path), 0);
    for (int i = 0; i < 4; i++) {
        update(f->tracker, "doc-1", ++index);
        assert_int_equal(run_elsewhere("read", f->path), index);
    }
}

static void test_host_that_opens_and_closes_the_file_loses_nothing(void **state)
{
    fixture *f = *state;
    static const char *const names[] = {"", "-wal", "-shm"};
    update(f->tracker, "doc-1", 1);
    for (int i = 0; i < 3; i++) {
        char path[300];
        open_read_and_close(beside(f, names[i], path));
        assert_others_leave_the_log(f, 10 * i + 1);
    }
}

static void test_host_that_opens_and_closes_the_file_of_a_reader_loses_nothing(void **state)
{
    fixture *f = *state;
    update(f->tracker, "doc-1", 1);
    ctrack_options options = CTRACK_OPTIONS_INIT;
    options.read_only = true;
    ctrack *reader = NULL;
    assert_status(ctrack_open(f->path, &options, &reader, &f->error), CTRACK_OK);
    close_tracker(&f->tracker);
    open_read_and_close(f->path);
    for (int64_t i = 0; i < 3; i++) {
        assert_int_equal(run_elsewhere("update", f->path), 0);
        assert_status(ctrack_refresh(reader, &f->error), CTRACK_OK);
    }
    assert_int_equal(latest(reader, "elsewhere"), 1);
    close_tracker(&reader);
}

static void test_one_of_two_trackers_that_closes_leaves_the_guard(void **state)
{
    fixture *f = *state;
    ctrack *second = open_model(f->path, "other");
    update(f->tracker, "doc-1", 1);
    close_tracker(&second);
    open_read_and_close(f->path);
    assert_others_leave_the_log(f, 1);
}

/* Closing the tracker must not take the host's own connection its locks. */
static void test_host_keeps_its_locks_when_the_tracker_closes(void **state)
{
    fixture *f = *state;
    char log[300];
    update(f->tracker, "doc-1", 1);
    struct sqlite3 *host = db_open(f->path);
    assert_int_equal(db_integer(host, "SELECT count(*) FROM ctrack_progress"), 1);
    close_tracker(&f->tracker);
    assert_int_equal(run_elsewhere("update", f->path), 0);
    assert_true(file_exists(beside(f, "-wal", log)));
    db_run(host, "CREATE TABLE of_the_host (a)");
    assert_int_equal(db_integer_once(f->path, "SELECT count(*) FROM of_the_host"), 0);
    db_close(host);
}

static void test_last_to_close_still_cleans_up(void **state)
{
    fixture *f = *state;
    char path[300];
    update(f->tracker, "doc-1", 1);
    close_tracker(&f->tracker);
    assert_false(file_exists(beside(f, "-wal", path)));
    assert_false(file_exists(beside(f, "-shm", path)));
}

static size_t open_descriptors(void)
{
    size_t count = 0;
    for (int i = 0; i < 1000; i++) {
        count += fcntl(i, F_GETFD) != -1;
    }
    return count;
}

static void test_update_after_all_descriptors_were_closed_is_not_acknowledged(void **state)
{
    fixture *f = *state;
    update(f->tracker, "doc-1", 1);
    assert_int_equal(run_elsewhere("close", f->path), CTRACK_IO);
    assert_int_equal(run_elsewhere("read", f->path), 1);
}

static void test_descriptors_do_not_add_up(void **state)
{
    fixture *f = *state;
    size_t before = open_descriptors();
    for (int i = 0; i < 20; i++) {
        ctrack *tracker = open_file(f->path);
        update(tracker, "doc-1", i);
        close_tracker(&tracker);
    }
    assert_int_equal(open_descriptors(), before);
}

/* While somebody else in the process has locks the descriptors are kept, and used again; then they go. */
static void test_descriptors_that_cannot_be_closed_are_used_again(void **state)
{
    fixture *f = *state;
    size_t before = open_descriptors();
    f->tracker = open_file(f->path);
    update(f->tracker, "doc-1", 1);
    struct sqlite3 *host = db_open(f->path);
    assert_int_equal(db_integer(host, "SELECT count(*) FROM ctrack_progress"), 1);
    close_tracker(&f->tracker);
    size_t kept = open_descriptors();
    for (int i = 2; i < 6; i++) {
        f->tracker = open_file(f->path);
        update(f->tracker, "doc-1", i);
        close_tracker(&f->tracker);
        assert_int_equal(open_descriptors(), kept);
    }
    db_close(host);
    reopen(f);
    close_tracker(&f->tracker);
    assert_int_equal(open_descriptors(), before);
}

/* What a child inherits of the guard does not outlive its parent, or nobody would ever be the last to close. */
static void test_child_of_a_killed_process_holds_nothing(void **state)
{
    fixture *f = *state;
    char log[300];
    pid_t left;
    child parent = start_and_await("fork", f->path, &left);
    child_kill(&parent);
    f->tracker = open_file(f->path);
    update(f->tracker, "doc-1", 1);
    close_tracker(&f->tracker);
    bool logged = file_exists(beside(f, "-wal", log));
    assert_int_equal(kill(left, SIGKILL), 0);
    assert_false(logged);
}

static int opened_in_child;

static void open_in_child(const fixture *f)
{
    int status;
    pid_t forked = fork();
    assert_true(forked >= 0);
    if (forked == 0) {
        ctrack *tracker = NULL;
        leave_fork((int)ctrack_open(f->path, NULL, &tracker, NULL));
    }
    assert_int_equal(waitpid(forked, &status, 0), forked);
    opened_in_child = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* Another thread, which is about to open a file, may hold SQLite's mutexes from its first call on. */
static void test_child_of_a_process_that_is_about_to_open_opens_nothing(void **state)
{
    fixture *f = *state;
    close_tracker(&f->tracker);
    hooked = f;
    when_in_memory = open_in_child;
    reopen(f);
    assert_int_equal(opened_in_child, CTRACK_FORKED);
    close_tracker(&f->tracker);
    open_in_child(f);
    assert_int_equal(opened_in_child, CTRACK_OK);
}

/* ---------------------------------------------------------------- names that come to stand for another file */

static void make_other(const fixture *f, char path[300])
{
    ctrack *other = open_file(path_in(f, "other.db", path));
    update(other, "other", 7);
    close_tracker(&other);
}

/* As `ctrack snapshot --force` does it, and a third process opens the new file. */
static void replace_by_other(const fixture *f)
{
    char path[300];
    assert_int_equal(rename(path_in(f, "other.db", path), f->path), 0);
}

static void use_file(fixture *f)
{
    f->tracker = open_file(f->path);
    update(f->tracker, "doc-1", 5);
    close_tracker(&f->tracker);
}

static void test_file_replaced_while_it_is_opened_is_opened_anew(void **state)
{
    fixture *f = *state;
    char path[300];
    use_file(f);
    make_other(f, path);
    when_opened = replace_by_other;
    hooked = f;
    f->tracker = open_file(f->path);
    assert_int_equal(latest(f->tracker, "doc-1"), NEVER_SEEN);
    assert_int_equal(latest(f->tracker, "other"), 7);
    update(f->tracker, "doc-1", 8);
    assert_int_equal(run_elsewhere("read", f->path), 8);
}

/* A file without a log is not locked between reading it and writing to it. */
static void test_file_replaced_before_it_has_a_log_is_opened_anew(void **state)
{
    fixture *f = *state;
    char path[300];
    db_run_once(f->path, "CREATE TABLE of_the_host (a)");
    make_other(f, path);
    before_ready = replace_by_other;
    hooked = f;
    f->tracker = open_file(f->path);
    assert_int_equal(latest(f->tracker, "other"), 7);
    update(f->tracker, "doc-1", 8);
    assert_int_equal(run_elsewhere("read", f->path), 8);
}

static void replace_each_time(const fixture *f)
{
    char path[300];
    db_run_once(path_in(f, "other.db", path), "CREATE TABLE of_the_host (a)");
    replace_by_other(f);
    before_ready = replace_each_time;
}

static void test_file_that_is_replaced_again_and_again_is_not_opened(void **state)
{
    fixture *f = *state;
    db_run_once(f->path, "CREATE TABLE of_the_host (a)");
    before_ready = replace_each_time;
    hooked = f;
    assert_status(ctrack_open(f->path, NULL, &f->tracker, &f->error), CTRACK_BUSY);
    before_ready = NULL;
    assert_contains(f->error.message, "being replaced");
    f->tracker = open_file(f->path);
}

static int take_nothing(const void *data, size_t size, void *argument)
{
    (void)data;
    *(size_t *)argument += size;
    return 0;
}

static void test_replaced_file_is_not_read_for_the_old_one(void **state)
{
    fixture *f = *state;
    char path[300];
    size_t taken = 0;
    ctrack_read_model_list *list = UNTOUCHED;
    make_other(f, path);
    update(f->tracker, "doc-1", 5);
    replace_by_other(f);
    assert_status(ctrack_dump(f->tracker, NULL, take_nothing, &taken, &f->error), CTRACK_IO);
    assert_contains(f->error.message, "has been replaced");
    assert_int_equal(taken, 0);
    assert_status(ctrack_read_models(f->tracker, &list, &f->error), CTRACK_IO);
    assert_contains(f->error.message, "has been replaced");
    path_in(f, "copy.db", path);
    assert_status(ctrack_export(f->tracker, path, CTRACK_EXPORT_NEW, NULL, NULL, &f->error), CTRACK_IO);
    assert_false(file_exists(path));
}

static void remove_log(const fixture *f)
{
    char path[300];
    assert_int_equal(unlink(beside(f, "-wal", path)), 0);
}

static void remove_index(const fixture *f)
{
    char path[300];
    assert_int_equal(unlink(beside(f, "-shm", path)), 0);
}

/* The outcome is unknown: nothing is published, and nothing is written any more. */
static void assert_commit_is_unknown(fixture *f, event *loss, const char *cause)
{
    ctrack_coordinate next = at("doc-1", 6);
    statement_awaited = "COMMIT";
    before_statement = loss;
    hooked = f;
    assert_status(ctrack_update(f->tracker, &next, 1, &f->error), CTRACK_IO);
    assert_null(before_statement);
    assert_contains(f->error.message, cause);
    assert_int_equal(latest(f->tracker, "doc-1"), 5);
    assert_status(ctrack_update(f->tracker, &next, 1, &f->error), CTRACK_IO);
    assert_contains(f->error.message, "open the tracker again");
}

static void test_update_into_a_file_that_has_just_been_replaced_is_not_acknowledged(void **state)
{
    fixture *f = *state;
    char path[300];
    make_other(f, path);
    update(f->tracker, "doc-1", 5);
    assert_commit_is_unknown(f, replace_by_other, "has been replaced");
}

static void test_update_into_a_log_that_has_just_been_removed_is_not_acknowledged(void **state)
{
    fixture *f = *state;
    update(f->tracker, "doc-1", 5);
    assert_commit_is_unknown(f, remove_log, "the write-ahead log");
}

static void test_update_with_an_index_that_has_just_been_removed_is_not_acknowledged(void **state)
{
    fixture *f = *state;
    update(f->tracker, "doc-1", 5);
    assert_commit_is_unknown(f, remove_index, "-shm has been removed");
}

static void test_removed_log_ends_waits_and_updates(void **state)
{
    fixture *f = *state;
    ctrack_coordinate next = at("doc-1", 6);
    update(f->tracker, "doc-1", 5);
    ctrack_promise *promise = wait_for(f->tracker, "doc-1", 6);
    remove_log(f);
    assert_status(ctrack_promise_await(promise), CTRACK_IO);
    assert_status(ctrack_update(f->tracker, &next, 1, &f->error), CTRACK_IO);
    assert_contains(f->error.message, "has been removed");
    ctrack_promise_release(promise);
}

/* ---------------------------------------------------------------- several names */

static ctrack_status open_and_close(const char *path, const ctrack_options *options, ctrack_error *error)
{
    ctrack *tracker = NULL;
    ctrack_status status = ctrack_open(path, options, &tracker, error);
    if (status == CTRACK_OK) {
        close_tracker(&tracker);
    }
    return status;
}

static void test_file_with_two_names_is_refused_under_either(void **state)
{
    fixture *f = *state;
    char path[300];
    ctrack_options options = CTRACK_OPTIONS_INIT;
    use_file(f);
    assert_int_equal(link(f->path, path_in(f, "link.db", path)), 0);
    for (int i = 0; i < 2; i++) {
        options.read_only = i == 1;
        assert_status(open_and_close(f->path, &options, &f->error), CTRACK_INVALID);
        assert_contains(f->error.message, "a hard link");
        assert_status(open_and_close(path, &options, &f->error), CTRACK_INVALID);
    }
    assert_int_equal(unlink(path), 0);
    f->tracker = open_file(f->path);
    assert_int_equal(latest(f->tracker, "doc-1"), 5);
}

/* The first tracker goes on: its log is the one that everybody finds who is not refused. */
static void test_second_name_of_a_file_in_use_is_refused(void **state)
{
    fixture *f = *state;
    char path[300], beside[300];
    update(f->tracker, "doc-1", 5);
    assert_int_equal(link(f->path, path_in(f, "link.db", path)), 0);
    assert_status(open_and_close(path, NULL, &f->error), CTRACK_INVALID);
    assert_false(file_exists(path_in(f, "link.db-wal", beside)));
    assert_false(file_exists(path_in(f, "link.db-shm", beside)));
    ctrack_read_model_list *list = NULL; /* on a connection of its own */
    assert_status(ctrack_read_models(f->tracker, &list, &f->error), CTRACK_OK);
    ctrack_read_model_list_free(list);
    ctrack_promise *promise = wait_for(f->tracker, "elsewhere", 1);
    db_run_once(f->path, "INSERT INTO ctrack_progress (read_model, document_id, scope, branch, operation_index) VALUES "
                         "('default', 'elsewhere', 'document', 'main', 1)");
    assert_status(ctrack_promise_await(promise), CTRACK_OK);
    ctrack_promise_release(promise);
    assert_status(open_and_close(f->path, NULL, &f->error), CTRACK_OK);
    update(f->tracker, "doc-1", 6);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(run_elsewhere("read", f->path), 6);
}

/* As backups are kept: it has no log, and gets none. */
static void test_copy_with_two_names_can_be_read(void **state)
{
    fixture *f = *state;
    char copy[300], path[300];
    ctrack_options options = CTRACK_OPTIONS_INIT;
    options.read_only = true;
    update(f->tracker, "doc-1", 5);
    path_in(f, "copy.db", copy);
    assert_status(ctrack_export(f->tracker, copy, CTRACK_EXPORT_NEW, NULL, NULL, &f->error), CTRACK_OK);
    assert_int_equal(link(copy, path_in(f, "link.db", path)), 0);
    assert_status(open_and_close(path, &options, &f->error), CTRACK_OK);
    assert_status(ctrack_check(path, 0, NULL, NULL, NULL, &f->error), CTRACK_OK);
    assert_status(open_and_close(path, NULL, &f->error), CTRACK_INVALID);
}

static void test_file_that_is_mounted_by_itself_is_refused(void **state)
{
    fixture *f = *state;
    char path[300];
    use_file(f);
    write_file(path_in(f, "mounted.db", path), "", 0);
    if (mount(f->path, path, NULL, MS_BIND, NULL) != 0) {
        print_message("SKIPPED: mounting is refused here: %s\n", strerror(errno));
        skip();
    }
    ctrack_status status = open_and_close(path, NULL, &f->error);
    umount(path);
    assert_status(status, CTRACK_INVALID);
    assert_contains(f->error.message, "a bind mount");
}

/* Somebody uses the file, and what he has is not the -shm of this name: it was removed, or he has another name. */
static void test_file_that_others_use_with_another_index_is_refused(void **state)
{
    fixture *f = *state;
    use_file(f);
    pid_t who;
    child other = start_and_await("stay", f->path, &who);
    remove_index(f);
    ctrack_status status = open_and_close(f->path, NULL, &f->error);
    child_kill(&other);
    assert_status(status, CTRACK_BUSY);
    assert_contains(f->error.message, "under another name");
    assert_status(open_and_close(f->path, NULL, &f->error), CTRACK_OK);
}

/* The same within one process. */
static void test_file_that_this_process_uses_with_another_index_is_refused(void **state)
{
    fixture *f = *state;
    char path[300];
    update(f->tracker, "doc-1", 5);
    remove_index(f);
    write_file(beside(f, "-shm", path), "", 0);
    assert_status(open_and_close(f->path, NULL, &f->error), CTRACK_BUSY);
    assert_contains(f->error.message, "with another -shm");
}

static void remove_link(const fixture *f)
{
    char path[300];
    assert_int_equal(unlink(path_in(f, "link.db", path)), 0);
}

static void remove_link_at_next_try(const fixture *f)
{
    (void)f;
    when_opened = remove_link;
}

/* As it is when a file is made where it can only be given its name by a link. */
static void test_link_that_is_there_for_a_moment_is_waited_out(void **state)
{
    fixture *f = *state;
    char path[300];
    use_file(f);
    assert_int_equal(link(f->path, path_in(f, "link.db", path)), 0);
    when_opened = remove_link_at_next_try;
    hooked = f;
    assert_status(open_and_close(f->path, NULL, &f->error), CTRACK_OK);
    assert_null(when_opened);
}

/* ---------------------------------------------------------------- what the host has set up */

static void test_sqlite_for_a_single_thread_is_refused(void **state)
{
    fixture *f = *state;
    assert_int_equal(run_elsewhere("single", f->path), CTRACK_MISUSE);
}

/* The file was opened by root, and is root's alone. Nothing can be opened any more, but what is open goes on. */
static int run_without_rights(const char *path)
{
    ctrack *tracker = NULL;
    ctrack_coordinate own = at("doc-1", 5), others = at("elsewhere", 1);
    if (ctrack_open(path, NULL, &tracker, NULL) != CTRACK_OK || seteuid(65534) != 0) {
        return 93;
    }
    if (ctrack_update(tracker, &own, 1, NULL) != CTRACK_OK) {
        return 94;
    }
    ctrack_promise *promise = NULL;
    pid_t self = getpid();
    if (ctrack_wait_for(tracker, &others, 1, 60000, NULL, &promise, NULL) != CTRACK_OK ||
        !write_fully(STDOUT_FILENO, &self, sizeof self)) {
        return 95;
    }
    ctrack_status status = ctrack_promise_await(promise);
    ctrack_promise_release(promise);
    return status == CTRACK_OK ? (int)ctrack_close(tracker, NULL) : (int)status;
}

static void test_process_that_has_dropped_its_rights_goes_on(void **state)
{
    fixture *f = *state;
    pid_t who;
    if (geteuid() != 0) {
        print_message("SKIPPED: only root has rights to drop\n");
        skip();
    }
    assert_int_equal(chmod(f->directory, 0711), 0); /* names can be looked up */
    child other = start_and_await("drop", f->path, &who);
    assert_int_equal(run_elsewhere("update", f->path), 0);
    assert_int_equal(child_finish(&other), CTRACK_OK);
    f->tracker = open_file(f->path);
    assert_int_equal(latest(f->tracker, "doc-1"), 5);
}

static mode_t mode_of(const char *path)
{
    struct stat found;
    assert_int_equal(stat(path, &found), 0);
    return found.st_mode & 0777;
}

static void test_files_are_the_owners_whatever_the_umask(void **state)
{
    fixture *f = *state;
    static const mode_t masks[] = {0, 0777};
    for (int i = 0; i < 2; i++) {
        char path[300];
        mode_t before = umask(masks[i]);
        f->tracker = open_file(f->path);
        update(f->tracker, "doc-1", 5);
        path_in(f, "copy.db", path);
        ctrack_status status = ctrack_export(f->tracker, path, CTRACK_EXPORT_REPLACE, NULL, NULL, &f->error);
        umask(before);
        assert_status(status, CTRACK_OK);
        assert_int_equal(mode_of(f->path), 0600);
        assert_int_equal(mode_of(path), 0600);
        assert_int_equal(mode_of(beside(f, "-wal", path)), 0600);
        assert_int_equal(mode_of(beside(f, "-shm", path)), 0600);
        close_tracker(&f->tracker);
        assert_int_equal(unlink(f->path), 0);
    }
}

static void test_reason_is_said_however_long_the_path_is(void **state)
{
    fixture *f = *state;
    char *directory = repeated('d', 200), path[1000];
    snprintf(path, sizeof path, "%s/%s/%s/%s/p.db", f->directory, directory, directory, directory);
    free(directory);
    assert_status(open_and_close(path, NULL, &f->error), CTRACK_IO);
    assert_contains(f->error.message, "No such file or directory");
    assert_contains(f->error.message, "cannot open ");
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        TEST_ON_FILE(test_host_that_opens_and_closes_the_file_loses_nothing),
        TEST_ON_FILE(test_host_that_opens_and_closes_the_file_of_a_reader_loses_nothing),
        TEST_ON_FILE(test_one_of_two_trackers_that_closes_leaves_the_guard),
        TEST_ON_FILE(test_host_keeps_its_locks_when_the_tracker_closes),
        TEST_ON_FILE(test_last_to_close_still_cleans_up),
        TEST_ON_FILE(test_update_after_all_descriptors_were_closed_is_not_acknowledged),
        TEST(test_descriptors_do_not_add_up),
        TEST(test_descriptors_that_cannot_be_closed_are_used_again),
        TEST(test_child_of_a_killed_process_holds_nothing),
        TEST_ON_FILE(test_child_of_a_process_that_is_about_to_open_opens_nothing),
        TEST(test_file_replaced_while_it_is_opened_is_opened_anew),
        TEST(test_file_replaced_before_it_has_a_log_is_opened_anew),
        TEST(test_file_that_is_replaced_again_and_again_is_not_opened),
        TEST_ON_FILE(test_replaced_file_is_not_read_for_the_old_one),
        TEST_ON_FILE(test_update_into_a_file_that_has_just_been_replaced_is_not_acknowledged),
        TEST_ON_FILE(test_update_into_a_log_that_has_just_been_removed_is_not_acknowledged),
        TEST_ON_FILE(test_update_with_an_index_that_has_just_been_removed_is_not_acknowledged),
        TEST_ON_FILE(test_removed_log_ends_waits_and_updates),
        TEST(test_file_with_two_names_is_refused_under_either),
        TEST_ON_FILE(test_second_name_of_a_file_in_use_is_refused),
        TEST_ON_FILE(test_copy_with_two_names_can_be_read),
        TEST(test_file_that_is_mounted_by_itself_is_refused),
        TEST(test_file_that_others_use_with_another_index_is_refused),
        TEST_ON_FILE(test_file_that_this_process_uses_with_another_index_is_refused),
        TEST(test_link_that_is_there_for_a_moment_is_waited_out),
        TEST(test_sqlite_for_a_single_thread_is_refused),
        TEST(test_process_that_has_dropped_its_rights_goes_on),
        TEST(test_files_are_the_owners_whatever_the_umask),
        TEST(test_reason_is_said_however_long_the_path_is),
    };
    return SUPPORT_MAIN(argc, argv, "identity", tests, run_child);
}
