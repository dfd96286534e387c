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
    };
    return SUPPORT_MAIN(argc, argv, "file_lost", tests, NULL);
}
