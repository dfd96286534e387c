/* SPDX-License-Identifier: MIT */
/* Small disks: what is written again and again finds room, as long as there is room for twice the folded data and 4 MiB. */
#include "support.h"

#include <sqlite3.h>
#include <stdio.h>
#include <unistd.h>

enum { ROUNDS = 3 };

/* Brings each of so many keys forward in turn, in batches, and opens the file anew between the rounds. */
static void write_in_rounds(fixture *f, int keys, int batch, int updates)
{
    static ctrack_coordinate coordinates[1000];
    static char names[1000][16];
    int64_t index = 0;
    for (int round = 0; round < ROUNDS; round++) {
        f->tracker = open_file(f->path);
        for (int i = 0; i < updates; i++) {
            for (int k = 0; k < batch; k++, index++) {
                snprintf(names[k], sizeof names[k], "doc-%d", (int)(index % keys));
                coordinates[k] = at(names[k], index);
            }
            assert_status(ctrack_update(f->tracker, coordinates, (size_t)batch, &f->error), CTRACK_OK);
        }
        close_tracker(&f->tracker);
    }
    assert_status(ctrack_check(f->path, -1, NULL, NULL, NULL, &f->error), CTRACK_OK);
    f->tracker = open_file(f->path);
    assert_int_equal(entry_count(f->tracker), keys);
    assert_int_equal(latest(f->tracker, names[batch - 1]), index - 1);
}

static void test_one_key_is_updated_for_ever_on_a_small_disk(void **state)
{
    fixture *f = *state;
    if (!mount_small_disk(f, "4300k")) {
        skip();
    }
    write_in_rounds(f, 1, 1, 6000);
}

static void test_a_hundred_keys_are_updated_for_ever_on_a_small_disk(void **state)
{
    fixture *f = *state;
    if (!mount_small_disk(f, "12m")) {
        skip();
    }
    write_in_rounds(f, 100, 1, 20000);
}

static void test_batches_find_room_for_twice_the_folded_data(void **state)
{
    fixture *f = *state;
    if (!mount_small_disk(f, "6500k")) { /* folded, 20,000 keys take 1,250 KiB */
        skip();
    }
    write_in_rounds(f, 20000, 1000, 150);
}

/* ---------------------------------------------------------------- a reader that is killed, with the disk full */

static const char full[] = "full\n";

/* Reads in the log for ever, while updates fill the disk. */
static int fill_with_updates(const char *path)
{
    ctrack *tracker = open_file(path);
    struct sqlite3 *reader = db_open(path);
    db_run(reader, "BEGIN");
    db_integer(reader, "SELECT count(*) FROM ctrack_latest");
    ctrack_status status = CTRACK_OK;
    for (int64_t i = 0; status == CTRACK_OK; i++) {
        ctrack_coordinate coordinate = at("doc-1", i);
        status = ctrack_update(tracker, &coordinate, 1, NULL);
    }
    if (status == CTRACK_FULL) {
        write_fully(STDOUT_FILENO, full, sizeof full);
    }
    pause();
    return 1;
}

static int run_child(const char *mode, const char *argument)
{
    return strcmp(mode, "fill") == 0 ? fill_with_updates(argument) : 1;
}

static void test_a_log_that_filled_the_disk_is_worked_off_by_the_next_process(void **state)
{
    fixture *f = *state;
    char said[sizeof full];
    if (!mount_small_disk(f, "4300k")) {
        skip();
    }
    child filler = child_start("fill", f->path);
    assert_true(read_fully(filler.output, said, sizeof said));
    child_kill(&filler);
    f->tracker = open_file(f->path);
    int64_t reached = latest(f->tracker, "doc-1");
    for (int64_t i = 1; i <= 2000; i++) {
        update(f->tracker, "doc-1", reached + i);
    }
}

/* ---------------------------------------------------------------- other calls */

static int read_text(void *data, size_t size, size_t *got, void *argument)
{
    const char **text = argument;
    *got = strlen(*text) < size ? strlen(*text) : size;
    memcpy(data, *text, *got);
    *text += *got;
    return 0;
}

enum { HYDRATE, FORGET, RESTORE, CALLS };

static ctrack_status call(fixture *f, int which)
{
    enum { MANY = 20000 };
    static ctrack_coordinate many[MANY];
    static char names[MANY][16];
    const char *array = "[[\"doc-r:document:main\",5]]";
    ctrack_key gone = key("doc-1");
    switch (which) {
    case HYDRATE: /* more than what is left of the file's own space */
        for (int i = 0; i < MANY; i++) {
            snprintf(names[i], sizeof names[i], "new-%d", i);
            many[i] = at(names[i], i);
        }
        return ctrack_hydrate(f->tracker, many, MANY, &f->error);
    case FORGET:
        return ctrack_forget(f->tracker, &gone, 1, &f->error);
    default:
        return ctrack_restore(f->tracker, read_text, &array, "array", CTRACK_RESTORE_MERGE, NULL, &f->error);
    }
}

static void test_what_does_not_fit_changes_nothing_and_works_when_there_is_room(void **state)
{
    fixture *f = *state;
    if (!mount_small_disk(f, "8m")) {
        skip();
    }
    f->tracker = open_file(f->path);
    update(f->tracker, "doc-1", 5);
    fill_disk(f);
    assert_status(call(f, HYDRATE), CTRACK_FULL);
    assert_int_equal(latest(f->tracker, "doc-1"), 5);
    assert_int_equal(entry_count(f->tracker), 1);
    free_disk(f);
    for (int which = CALLS - 1; which >= 0; which--) {
        assert_status(call(f, which), CTRACK_OK);
    }
    assert_int_equal(entry_count(f->tracker), 20000);
}

/* The disk is full, but the file has space of its own: the log's. */
static void test_calls_that_need_little_make_do_with_the_files_own_space(void **state)
{
    fixture *f = *state;
    if (!mount_small_disk(f, "8m")) {
        skip();
    }
    f->tracker = open_file(f->path);
    for (int64_t i = 0; i < 500; i++) {
        update(f->tracker, "doc-1", i);
    }
    fill_disk(f);
    assert_status(call(f, FORGET), CTRACK_OK);
    assert_status(call(f, RESTORE), CTRACK_OK);
    free_disk(f);
    assert_int_equal(latest(f->tracker, "doc-1"), NEVER_SEEN);
    assert_int_equal(latest(f->tracker, "doc-r"), 5);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        TEST(test_one_key_is_updated_for_ever_on_a_small_disk),
        TEST(test_a_hundred_keys_are_updated_for_ever_on_a_small_disk),
        TEST(test_batches_find_room_for_twice_the_folded_data),
        TEST(test_a_log_that_filled_the_disk_is_worked_off_by_the_next_process),
        TEST(test_what_does_not_fit_changes_nothing_and_works_when_there_is_room),
        TEST(test_calls_that_need_little_make_do_with_the_files_own_space),
    };
    return SUPPORT_MAIN(argc, argv, "space", tests, run_child);
}
