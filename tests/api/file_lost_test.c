/* SPDX-License-Identifier: MIT */
/*
 * The file is taken away under a running tracker: replaced by another one, removed, moved, or truncated. Pending waits
 * end with the cause, the host is told, updates are refused with it and nobody else's file is written to.
 */
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sync.h"

/* What the tracker said on its own account. */
typedef struct hearsay {
    pthread_mutex_t lock;
    int count;
    ctrack_status status;
    char message[500];
} hearsay;

static void hear(ctrack_status status, const char *message, void *argument)
{
    hearsay *h = argument;
    pthread_mutex_lock(&h->lock);
    h->count++;
    h->status = status;
    snprintf(h->message, sizeof h->message, "%s", message);
    pthread_mutex_unlock(&h->lock);
}

static void open_talkative(fixture *f, bool read_only)
{
    hearsay *h = f->extra = calloc(1, sizeof *h);
    assert_non_null(h);
    pthread_mutex_init(&h->lock, NULL);
    ctrack_options options = CTRACK_OPTIONS_INIT;
    options.log = hear;
    options.log_argument = h;
    options.read_only = read_only;
    assert_status(ctrack_open(f->path, &options, &f->tracker, &f->error), CTRACK_OK);
}

static void assert_heard(fixture *f, const char *part)
{
    hearsay *h = f->extra;
    pthread_mutex_lock(&h->lock);
    bool heard = h->count > 0 && strstr(h->message, part) != NULL;
    pthread_mutex_unlock(&h->lock);
    assert_true(heard);
}

typedef void loss(const fixture *f);

/* Another database of ctrack's takes the name. */
static void replace(const fixture *f)
{
    char path[300];
    ctrack *other = open_file(path_in(f, "other.db", path));
    update(other, "other", 1);
    close_tracker(&other);
    assert_int_equal(rename(path, f->path), 0);
}

static void remove_it(const fixture *f)
{
    assert_int_equal(unlink(f->path), 0);
}

static void move_away(const fixture *f)
{
    char path[300];
    assert_int_equal(rename(f->path, path_in(f, "moved.db", path)), 0);
}

static void empty(const fixture *f)
{
    assert_int_equal(truncate(f->path, 0), 0);
}

/* A file that has been used: `doc-1` at 5, and all of it checkpointed, so that the file is not empty. */
static void use_file(fixture *f)
{
    f->tracker = open_file(f->path);
    update(f->tracker, "doc-1", 5);
    close_tracker(&f->tracker);
}

/* A wait that another connection satisfies: the follower looks at the file by then. Else the loss may come before. */
static void see_the_follower_work(fixture *f)
{
    ctrack_promise *promise = wait_for(f->tracker, "elsewhere", 1);
    db_run_once(f->path, "INSERT INTO ctrack_progress (read_model, document_id, scope, branch, operation_index) "
                         "VALUES ('default', 'elsewhere', 'document', 'main', 1)");
    assert_status(ctrack_promise_await(promise), CTRACK_OK);
    ctrack_promise_release(promise);
}

/* Waits end with the cause and stay ended, new ones end at once, the host is told, and updates are refused. */
static void lose_once(fixture *f, loss *lose_file, const char *cause, bool follows_before)
{
    const ctrack_status expected = CTRACK_IO;
    const size_t before = recorder_count(&f->recorder);
    ctrack_coordinate next = at("doc-1", 6), reached = at("doc-1", 5);
    use_file(f);
    open_talkative(f, false);
    if (follows_before) {
        see_the_follower_work(f);
    }
    ctrack_promise *promise = wait_for(f->tracker, "doc-1", 6);
    ctrack_promise *heard = wait_for(f->tracker, "doc-2", 0);
    assert_status(ctrack_promise_then(heard, record, &f->recorder), CTRACK_OK);
    lose_file(f);
    assert_status(ctrack_promise_await(promise), expected);
    assert_status(ctrack_promise_explain(promise, &f->error), expected);
    assert_contains(f->error.message, cause);
    recorder_await(&f->recorder, before + 1);
    assert_status(f->recorder.calls[before].outcome, expected);
    assert_heard(f, cause);
    assert_status(ctrack_wait(f->tracker, &next, 1, CTRACK_FOREVER, NULL, &f->error), expected);
    assert_contains(f->error.message, cause);
    assert_status(ctrack_wait(f->tracker, &reached, 1, CTRACK_FOREVER, NULL, &f->error), CTRACK_OK);
    assert_status(ctrack_update(f->tracker, &next, 1, &f->error), expected);
    assert_contains(f->error.message, cause);
    assert_int_equal(latest(f->tracker, "doc-1"), 5);
    ctrack_promise_release(promise);
    ctrack_promise_release(heard);
}

static void lose(fixture *f, loss *lose_file, const char *cause)
{
    static const char *const names[] = {"", "-wal", "-shm"};
    lose_once(f, lose_file, cause, false);
    close_tracker(&f->tracker);
    free(f->extra);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char path[300];
        snprintf(path, sizeof path, "%s%s", f->path, names[i]);
        unlink(path);
    }
    lose_once(f, lose_file, cause, true);
}

static void assert_file_is_sound(const char *path)
{
    struct sqlite3 *db = db_open(path);
    char *verdict = db_text(db, "PRAGMA integrity_check");
    assert_string_equal(verdict, "ok");
    free(verdict);
    db_close(db);
}

static void test_file_replaced_ends_waits_and_leaves_the_new_file_alone(void **state)
{
    fixture *f = *state;
    lose_once(f, replace, "has been replaced by another file", false);
    close_tracker(&f->tracker);
    assert_file_is_sound(f->path);
    f->tracker = open_file(f->path);
    assert_int_equal(latest(f->tracker, "other"), 1);
    assert_int_equal(latest(f->tracker, "doc-1"), NEVER_SEEN);
}

/* The old write-ahead log stays beside the new file, which is why the header warns of it; what is told is the same. */
static void test_file_replaced_while_followed_ends_waits(void **state)
{
    fixture *f = *state;
    lose_once(f, replace, "has been replaced by another file", true);
}

static void test_file_removed_ends_waits_and_is_not_made_again(void **state)
{
    fixture *f = *state;
    lose(f, remove_it, "is gone");
    close_tracker(&f->tracker);
    assert_false(file_exists(f->path));
}

static void test_file_moved_away_keeps_what_was_acknowledged(void **state)
{
    fixture *f = *state;
    char path[300];
    lose(f, move_away, "is gone");
    close_tracker(&f->tracker);
    f->tracker = open_file(path_in(f, "moved.db", path));
    assert_int_equal(latest(f->tracker, "doc-1"), 5);
}

static void test_file_emptied_ends_waits(void **state)
{
    fixture *f = *state;
    lose(f, empty, "has been truncated");
}

/* Nothing is told to a tracker without waits: the next update says it. */
static void test_file_lost_without_waits_is_told_by_the_next_update(void **state)
{
    fixture *f = *state;
    static loss *const losses[] = {replace, remove_it, empty};
    static const char *const causes[] = {"has been replaced", "is gone", "has been truncated"};
    ctrack_coordinate next = at("doc-1", 6);
    for (size_t i = 0; i < sizeof losses / sizeof losses[0]; i++) {
        use_file(f);
        f->tracker = open_file(f->path);
        losses[i](f);
        assert_status(ctrack_update(f->tracker, &next, 1, &f->error), CTRACK_IO);
        assert_contains(f->error.message, causes[i]);
        assert_int_equal(latest(f->tracker, "doc-1"), 5);
        close_tracker(&f->tracker);
        unlink(f->path);
    }
}

static void test_waits_of_a_tracker_that_only_reads_end_too(void **state)
{
    fixture *f = *state;
    use_file(f);
    ctrack *writer = open_file(f->path);
    open_talkative(f, true);
    ctrack_promise *promise = wait_for(f->tracker, "doc-1", 6);
    remove_it(f);
    assert_status(ctrack_promise_await(promise), CTRACK_IO);
    assert_heard(f, "is gone");
    ctrack_promise_release(promise);
    close_tracker(&writer);
}

/* ---------------------------------------------------------------- for ever, or for a while */

/* What a host says of its read model is no news of the file. */
static void test_a_host_that_fails_and_resumes_does_not_hide_that_the_file_is_lost(void **state)
{
    fixture *f = *state;
    ctrack_coordinate next = at("doc-1", 6);
    lose_once(f, remove_it, "is gone", false);
    assert_status(ctrack_fail(f->tracker, "an operation cannot be processed", &f->error), CTRACK_OK);
    assert_status(ctrack_wait(f->tracker, &next, 1, CTRACK_FOREVER, NULL, &f->error), CTRACK_FAILED);
    assert_contains(f->error.message, "an operation cannot be processed");
    assert_status(ctrack_resume(f->tracker, &f->error), CTRACK_OK);
    assert_status(ctrack_wait(f->tracker, &next, 1, CTRACK_FOREVER, NULL, &f->error), CTRACK_IO);
    assert_contains(f->error.message, "is gone");
}

static void await_heard(fixture *f, const char *part)
{
    hearsay *h = f->extra;
    for (bool heard = false; !heard;) {
        pthread_mutex_lock(&h->lock);
        heard = strstr(h->message, part) != NULL;
        pthread_mutex_unlock(&h->lock);
        ct_thread_nap(1000000);
    }
}

/* The log is what others commit to; a new one would be another. */
static void remove_log(const fixture *f)
{
    char path[300];
    snprintf(path, sizeof path, "%s-wal", f->path);
    assert_int_equal(unlink(path), 0);
}

static void test_a_log_that_is_removed_ends_waits(void **state)
{
    fixture *f = *state;
    lose_once(f, remove_log, "the write-ahead log", true);
}

static void replace_log(const fixture *f)
{
    char path[300], log[300];
    snprintf(log, sizeof log, "%s-wal", f->path);
    write_file(path_in(f, "another", path), "", 0);
    assert_int_equal(rename(path, log), 0);
}

static void test_a_log_that_is_replaced_ends_waits(void **state)
{
    fixture *f = *state;
    lose_once(f, replace_log, "the write-ahead log", true);
}

/* Where there is no log there is no guard that could say more than that the name is gone. */
static void test_a_file_with_a_rollback_journal_that_is_removed_ends_waits(void **state)
{
    fixture *f = *state;
    use_file(f);
    db_run_once(f->path, "PRAGMA journal_mode = DELETE");
    open_talkative(f, true);
    ctrack_promise *promise = wait_for(f->tracker, "doc-1", 6);
    remove_it(f);
    assert_status(ctrack_promise_await(promise), CTRACK_IO);
    assert_heard(f, "is gone");
    ctrack_promise_release(promise);
}

/* A tracker that always follows goes on looking, and tells of each change for the worse. */
static void test_who_follows_is_told_what_becomes_of_a_lost_file(void **state)
{
    fixture *f = *state;
    ctrack_options options = CTRACK_OPTIONS_INIT;
    use_file(f);
    open_talkative(f, false);
    options.log = hear;
    options.log_argument = f->extra;
    options.follow = true;
    close_tracker(&f->tracker);
    assert_status(ctrack_open(f->path, &options, &f->tracker, &f->error), CTRACK_OK);
    ctrack_promise *promise = wait_for(f->tracker, "doc-1", 6);
    remove_it(f);
    assert_status(ctrack_promise_await(promise), CTRACK_IO);
    write_file(f->path, "another", 7);
    await_heard(f, "has been replaced by another file");
    ctrack_promise_release(promise);
}

/* A tracker on a file in a directory of its own, which can be moved. */
static void open_in_a_directory(fixture *f)
{
    char directory[300];
    assert_int_equal(mkdir(path_in(f, "here", directory), 0700), 0);
    snprintf(f->path, sizeof f->path, "%s/here/tracker.db", f->directory);
    use_file(f);
    open_talkative(f, false);
}

static void move_directory(const fixture *f, const char *from, const char *to)
{
    char source[300], target[300];
    assert_int_equal(rename(path_in(f, from, source), path_in(f, to, target)), 0);
}

static void assert_heard_once(fixture *f)
{
    hearsay *h = f->extra;
    pthread_mutex_lock(&h->lock);
    assert_int_equal(h->count, 1);
    pthread_mutex_unlock(&h->lock);
}

static void report(struct sqlite3 *db, const char *document)
{
    char sql[300];
    snprintf(sql, sizeof sql,
             "INSERT INTO ctrack_progress (read_model, document_id, scope, branch, operation_index) "
             "VALUES ('default', '%s', 'document', 'main', 6)",
             document);
    db_run(db, sql);
}

/* Others commit while the directory is away, and when it is back: either ends its wait, and soon. */
static void test_a_directory_that_is_back_satisfies_waits(void **state)
{
    fixture *f = *state;
    ctrack_coordinate third = at("doc-3", 6);
    open_in_a_directory(f);
    struct sqlite3 *other = db_open(f->path);
    report(other, "doc-0");
    ctrack_promise *first = wait_for(f->tracker, "doc-1", 6), *second = wait_for(f->tracker, "doc-2", 6);
    move_directory(f, "here", "there");
    await_heard(f, "is gone");
    report(other, "doc-1");
    assert_status(ctrack_update(f->tracker, &third, 1, &f->error), CTRACK_IO);
    move_directory(f, "there", "here");
    int64_t back = now_ns();
    assert_status(ctrack_promise_await(first), CTRACK_OK);
    report(other, "doc-2");
    assert_status(ctrack_promise_await(second), CTRACK_OK);
    assert_true(now_ns() - back < INT64_C(2000000000));
    update(f->tracker, "doc-3", 6);
    assert_heard_once(f);
    ctrack_promise_release(first);
    ctrack_promise_release(second);
    db_close(other);
}

/* Whatever is in the way of looking, it is not the file's fault. */
static void test_a_name_that_cannot_be_looked_up_for_a_while_ends_no_wait(void **state)
{
    fixture *f = *state;
    char directory[300];
    open_in_a_directory(f);
    struct sqlite3 *other = db_open(f->path);
    report(other, "doc-0");
    ctrack_promise *promise = wait_for(f->tracker, "doc-1", 6);
    move_directory(f, "here", "there");
    assert_int_equal(symlink("here", path_in(f, "here", directory)), 0); /* which stands for itself */
    await_heard(f, "cannot be looked at");
    assert_int_equal(unlink(directory), 0);
    write_file(directory, "a file", 6);
    await_heard(f, "is gone: Not a directory");
    assert_int_equal(unlink(directory), 0);
    move_directory(f, "there", "here");
    report(other, "doc-1");
    assert_status(ctrack_promise_await(promise), CTRACK_OK);
    ctrack_promise_release(promise);
    db_close(other);
}

/* Waits that have ended stay so; but once the file is back, new ones wait. */
static void test_a_file_that_is_back_after_its_waits_have_ended_is_waited_for_again(void **state)
{
    fixture *f = *state;
    ctrack_coordinate next = at("doc-1", 6);
    open_in_a_directory(f);
    ctrack_promise *promise = wait_for(f->tracker, "doc-1", 6);
    move_directory(f, "here", "there");
    assert_status(ctrack_promise_await(promise), CTRACK_IO);
    assert_heard_once(f);
    assert_status(ctrack_wait(f->tracker, &next, 1, CTRACK_FOREVER, NULL, &f->error), CTRACK_IO);
    move_directory(f, "there", "here");
    ctrack_promise *again = wait_for(f->tracker, "doc-1", 6);
    assert_status(ctrack_promise_status(again), CTRACK_PENDING);
    struct sqlite3 *other = db_open(f->path);
    report(other, "doc-1");
    assert_status(ctrack_promise_await(again), CTRACK_OK);
    assert_status(ctrack_promise_status(promise), CTRACK_IO);
    ctrack_promise_release(promise);
    ctrack_promise_release(again);
    db_close(other);
}

/* ---------------------------------------------------------------- a refused access */

enum { NOBODY = 65534 };

static void say(ctrack_status status, const char *message, void *argument)
{
    (void)argument;
    char refused = status == CTRACK_IO && strstr(message, "cannot be looked at") != NULL ? 'r' : '?';
    write_fully(STDOUT_FILENO, &refused, 1);
}

/* As nobody: waits, and says that it does, and what it is told. Whatever it has to do without root's rights. */
static int wait_as_nobody(const char *mode, const char *path)
{
    (void)mode;
    ctrack *tracker = NULL;
    ctrack_options options = CTRACK_OPTIONS_INIT;
    ctrack_coordinate next = at("doc-1", 6);
    ctrack_promise *promise = NULL;
    ctrack_error error;
    char waits = 'w';
    options.log = say;
    if ((geteuid() == 0 && (setgid(NOBODY) != 0 || setuid(NOBODY) != 0)) ||
        ctrack_open(path, &options, &tracker, &error) != CTRACK_OK ||
        ctrack_wait_for(tracker, &next, 1, CTRACK_FOREVER, NULL, &promise, &error) != CTRACK_OK ||
        !write_fully(STDOUT_FILENO, &waits, 1)) {
        return 3;
    }
    ctrack_status status = ctrack_promise_await(promise);
    ctrack_promise_release(promise);
    ctrack_close(tracker, NULL);
    return 32 + (int)status;
}

static char next_word(child *c)
{
    char word = '!';
    assert_true(read_fully(c->output, &word, 1));
    return word;
}

/* Longer than a file may be away. */
static void test_a_directory_that_may_not_be_looked_into_for_a_while_ends_no_wait(void **state)
{
    fixture *f = *state;
    char directory[300];
    assert_int_equal(mkdir(path_in(f, "here", directory), 0700), 0);
    snprintf(f->path, sizeof f->path, "%s/here/tracker.db", f->directory);
    if (geteuid() == 0) {
        assert_int_equal(chmod(f->directory, 0711), 0);
        assert_int_equal(chown(directory, NOBODY, NOBODY), 0);
    }
    child c = child_start("wait", f->path);
    char word = next_word(&c);
    if (word != 'w') {
        child_finish(&c);
        skip();
    }
    assert_int_equal(chmod(directory, 0), 0);
    assert_int_equal(next_word(&c), 'r');
    for (int64_t end = now_ns() + INT64_C(3500000000); now_ns() < end;) { /* not in hope: nothing may happen */
        ct_thread_nap(1000000);
    }
    assert_int_equal(chmod(directory, 0700), 0);
    struct sqlite3 *other = db_open(f->path);
    report(other, "doc-1");
    assert_int_equal(child_finish(&c), 32 + CTRACK_OK);
    db_close(other);
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_file_replaced_ends_waits_and_leaves_the_new_file_alone),
        TEST(test_file_replaced_while_followed_ends_waits),
        TEST(test_file_removed_ends_waits_and_is_not_made_again),
        TEST(test_file_moved_away_keeps_what_was_acknowledged),
        TEST(test_file_emptied_ends_waits),
        TEST(test_file_lost_without_waits_is_told_by_the_next_update),
        TEST(test_waits_of_a_tracker_that_only_reads_end_too),
        TEST(test_a_host_that_fails_and_resumes_does_not_hide_that_the_file_is_lost),
        TEST(test_a_log_that_is_removed_ends_waits),
        TEST(test_a_log_that_is_replaced_ends_waits),
        TEST(test_a_file_with_a_rollback_journal_that_is_removed_ends_waits),
        TEST(test_a_name_that_cannot_be_looked_up_for_a_while_ends_no_wait),
        TEST(test_who_follows_is_told_what_becomes_of_a_lost_file),
        TEST(test_a_directory_that_is_back_satisfies_waits),
        TEST(test_a_file_that_is_back_after_its_waits_have_ended_is_waited_for_again),
        TEST(test_a_directory_that_may_not_be_looked_into_for_a_while_ends_no_wait),
    };
    return SUPPORT_MAIN(argc, argv, "file_lost", tests, wait_as_nobody);
}
