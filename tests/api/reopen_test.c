/* SPDX-License-Identifier: MIT */
/* What a tracker knows when its file is opened again: after close, and after kill -9. */
#include "support.h"

#include <stdio.h>
#include <unistd.h>

/* ---------------------------------------------------------------- after close */

static void test_progress_is_there_after_close_and_open(void **state)
{
    fixture *f = *state;
    update(f->tracker, "doc-1", 0);
    update(f->tracker, "doc-2", INT64_MAX);
    reopen(f);
    assert_int_equal(latest(f->tracker, "doc-1"), 0);
    assert_int_equal(latest(f->tracker, "doc-2"), INT64_MAX);
}

/* The fault that ctrack was made against: a token from before the restart. */
static void test_wait_for_a_token_from_before_the_restart_is_satisfied_at_once(void **state)
{
    fixture *f = *state;
    update(f->tracker, "doc-1", 5);
    reopen(f);
    ctrack_promise *promise = wait_with(f->tracker, "doc-1", 5, 0, NULL);
    assert_status(ctrack_promise_status(promise), CTRACK_OK);
    ctrack_promise_release(promise);
}

static void test_progress_goes_on_after_the_restart(void **state)
{
    fixture *f = *state;
    for (int i = 0; i < 20; i++) {
        update(f->tracker, "doc-1", i);
        reopen(f);
        assert_int_equal(latest(f->tracker, "doc-1"), i);
    }
}

static void test_two_opens_give_the_same_state(void **state)
{
    fixture *f = *state;
    for (int i = 0; i < 200; i++) {
        char name[16];
        snprintf(name, sizeof name, "doc-%d", i % 70);
        update(f->tracker, name, i);
    }
    close_tracker(&f->tracker);
    f->tracker = open_file(f->path);
    ctrack_snapshot *first = NULL;
    assert_status(ctrack_serialize(f->tracker, &first, NULL), CTRACK_OK);
    reopen(f);
    ctrack_snapshot *second = NULL;
    assert_status(ctrack_serialize(f->tracker, &second, NULL), CTRACK_OK);
    assert_same_entries(first, second);
    ctrack_snapshot_free(first);
    ctrack_snapshot_free(second);
}

static void test_opening_adds_nothing_to_the_file(void **state)
{
    fixture *f = *state;
    update(f->tracker, "doc-1", 5);
    struct sqlite3 *db = db_open(f->path);
    int64_t before = db_integer(db, "SELECT max(seq) FROM ctrack_advance");
    reopen(f);
    reopen(f);
    assert_int_equal(db_integer(db, "SELECT max(seq) FROM ctrack_advance"), before);
    db_close(db);
}

static void test_long_log_is_loaded_right(void **state)
{
    fixture *f = *state;
    update_very_often(f->tracker);
    update(f->tracker, "doc-0", 1000000);
    reopen(f);
    assert_int_equal(entry_count(f->tracker), OFTEN_KEYS);
    assert_int_equal(latest(f->tracker, "doc-0"), 1000000);
    for (int k = 1; k < OFTEN_KEYS; k++) {
        char name[16];
        snprintf(name, sizeof name, "doc-%d", k);
        assert_int_equal(latest(f->tracker, name), OFTEN_BATCHES - 1 + k);
    }
}

static void test_file_is_sound_after_a_long_log(void **state)
{
    fixture *f = *state;
    update_very_often(f->tracker);
    close_tracker(&f->tracker);
    struct sqlite3 *db = db_open(f->path);
    char *verdict = db_text(db, "PRAGMA integrity_check");
    assert_string_equal(verdict, "ok");
    free(verdict);
    assert_int_equal(db_integer(db, "SELECT count(*) FROM pragma_foreign_key_check"), 0);
    db_close(db);
}

/* ---------------------------------------------------------------- after kill -9 */

static ctrack *open_in_child(const char *path, ctrack_durability durability)
{
    ctrack_options options = CTRACK_OPTIONS_INIT;
    options.durability = durability;
    ctrack *tracker = NULL;
    if (ctrack_open(path, &options, &tracker, NULL) != CTRACK_OK) {
        _exit(3);
    }
    return tracker;
}

/* Raises a batch of three keys for ever, and writes each index to standard output once it is acknowledged. */
static int raise_for_ever(const char *path, ctrack_durability durability)
{
    ctrack *tracker = open_in_child(path, durability);
    for (int64_t i = 0;; i++) {
        ctrack_coordinate batch[] = {at("doc-1", i), at("doc-2", i), at("doc-3", i)};
        if (ctrack_update(tracker, batch, 3, NULL) != CTRACK_OK || !write_fully(STDOUT_FILENO, &i, sizeof i)) {
            return 4;
        }
    }
}

static int do_once_and_stay(const char *path, const char *mode)
{
    ctrack *tracker = open_in_child(path, CTRACK_DURABLE_FULL);
    ctrack_coordinate batch[] = {at("doc-1", 5), at("doc-2", 5)};
    ctrack_status status = ctrack_update(tracker, batch, 2, NULL);
    if (status == CTRACK_OK && strcmp(mode, "hydrate") == 0) {
        ctrack_coordinate entry = at("doc-1", 3);
        status = ctrack_hydrate(tracker, &entry, 1, NULL);
    } else if (status == CTRACK_OK && strcmp(mode, "forget") == 0) {
        ctrack_key forgotten = key("doc-1");
        status = ctrack_forget(tracker, &forgotten, 1, NULL);
    }
    int64_t answer = status;
    write_fully(STDOUT_FILENO, &answer, sizeof answer);
    pause();
    return 0;
}

static int run_child(const char *mode, const char *path)
{
    if (strcmp(mode, "full") == 0) {
        return raise_for_ever(path, CTRACK_DURABLE_FULL);
    }
    if (strcmp(mode, "normal") == 0) {
        return raise_for_ever(path, CTRACK_DURABLE_NORMAL);
    }
    return do_once_and_stay(path, mode);
}

/* Kills a writer after it has acknowledged some updates; returns the last index that it did acknowledge. */
static int64_t kill_after(fixture *f, const char *mode, int acknowledgements)
{
    child writer = child_start(mode, f->path);
    int64_t acknowledged = -1;
    for (int i = 0; i < acknowledgements; i++) {
        assert_true(read_fully(writer.output, &acknowledged, sizeof acknowledged));
    }
    child killed = writer;
    killed.output = dup(writer.output); /* what is in the pipe already can still be read */
    child_kill(&writer);
    int64_t more = 0;
    while (read_fully(killed.output, &more, sizeof more)) {
        acknowledged = more;
    }
    close(killed.output);
    return acknowledged;
}

static void assert_killed_writer_lost_nothing(fixture *f, const char *mode)
{
    for (int acknowledgements = 1; acknowledgements <= 41; acknowledgements += 10) {
        char path[300];
        char name[32];
        snprintf(name, sizeof name, "killed-%d.db", acknowledgements);
        memcpy(f->path, path_in(f, name, path), strlen(path) + 1);
        int64_t acknowledged = kill_after(f, mode, acknowledgements);
        f->tracker = open_file(f->path);
        int64_t stored = latest(f->tracker, "doc-1");
        assert_true(stored == acknowledged || stored == acknowledged + 1);
        assert_int_equal(latest(f->tracker, "doc-2"), stored);
        assert_int_equal(latest(f->tracker, "doc-3"), stored);
        reopen(f);
        assert_int_equal(latest(f->tracker, "doc-1"), stored);
        close_tracker(&f->tracker);
    }
}

static void test_every_acknowledged_update_is_there_after_kill(void **state)
{
    assert_killed_writer_lost_nothing(*state, "full");
}

static void test_every_acknowledged_update_is_there_after_kill_with_durability_normal(void **state)
{
    assert_killed_writer_lost_nothing(*state, "normal");
}

static void test_wait_for_a_token_from_before_the_kill_is_satisfied_at_once(void **state)
{
    fixture *f = *state;
    int64_t acknowledged = kill_after(f, "full", 5);
    f->tracker = open_file(f->path);
    ctrack_coordinate token[] = {at("doc-1", acknowledged), at("doc-2", acknowledged), at("doc-3", acknowledged)};
    assert_status(ctrack_wait(f->tracker, token, 3, 0, NULL, NULL), CTRACK_OK);
}

static void test_tracker_can_write_after_a_writer_was_killed(void **state)
{
    fixture *f = *state;
    int64_t acknowledged = kill_after(f, "full", 5);
    f->tracker = open_file(f->path);
    update(f->tracker, "doc-1", acknowledged + 100);
    reopen(f);
    assert_int_equal(latest(f->tracker, "doc-1"), acknowledged + 100);
}

static void test_tracker_beside_a_killed_writer_sees_its_updates(void **state)
{
    fixture *f = *state;
    f->tracker = open_file(f->path);
    int64_t acknowledged = kill_after(f, "full", 5);
    assert_status(ctrack_refresh(f->tracker, NULL), CTRACK_OK);
    assert_true(latest(f->tracker, "doc-1") >= acknowledged);
}

static void test_acknowledged_hydrate_is_there_after_kill(void **state)
{
    fixture *f = *state;
    assert_int_equal(kill_after(f, "hydrate", 1), CTRACK_OK);
    f->tracker = open_file(f->path);
    assert_int_equal(latest(f->tracker, "doc-1"), 3);
    assert_int_equal(entry_count(f->tracker), 1);
}

static void test_acknowledged_forget_is_there_after_kill(void **state)
{
    fixture *f = *state;
    assert_int_equal(kill_after(f, "forget", 1), CTRACK_OK);
    f->tracker = open_file(f->path);
    assert_int_equal(latest(f->tracker, "doc-1"), NEVER_SEEN);
    assert_int_equal(latest(f->tracker, "doc-2"), 5);
}

static void test_file_is_sound_after_kill(void **state)
{
    fixture *f = *state;
    kill_after(f, "full", 20);
    f->tracker = open_file(f->path);
    struct sqlite3 *db = db_open(f->path);
    char *verdict = db_text(db, "PRAGMA integrity_check");
    assert_string_equal(verdict, "ok");
    free(verdict);
    db_close(db);
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        TEST_ON_FILE(test_progress_is_there_after_close_and_open),
        TEST_ON_FILE(test_wait_for_a_token_from_before_the_restart_is_satisfied_at_once),
        TEST_ON_FILE(test_progress_goes_on_after_the_restart),
        TEST_ON_FILE(test_two_opens_give_the_same_state),
        TEST_ON_FILE(test_opening_adds_nothing_to_the_file),
        TEST_ON_FILE(test_long_log_is_loaded_right),
        TEST_ON_FILE(test_file_is_sound_after_a_long_log),
        TEST(test_every_acknowledged_update_is_there_after_kill),
        TEST(test_every_acknowledged_update_is_there_after_kill_with_durability_normal),
        TEST(test_wait_for_a_token_from_before_the_kill_is_satisfied_at_once),
        TEST(test_tracker_can_write_after_a_writer_was_killed),
        TEST(test_tracker_beside_a_killed_writer_sees_its_updates),
        TEST(test_acknowledged_hydrate_is_there_after_kill),
        TEST(test_acknowledged_forget_is_there_after_kill),
        TEST(test_file_is_sound_after_kill),
    };
    return SUPPORT_MAIN(argc, argv, "reopen", tests, run_child);
}
