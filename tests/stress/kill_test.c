/* SPDX-License-Identifier: MIT */
/*
 * Writers that are killed at random moments. A page that both processes share holds, for each key, the index that was
 * attempted (written before the call) and the one that was acknowledged (after it). After each kill the file is opened:
 * it is sound, and for every key acknowledged <= stored <= attempted. A second opening gives the same.
 *
 * In other rounds a second process writes on while the first is killed, which recovers the file under its hands; and a
 * tracker of the test's own looks on and must never see what is not there later.
 *
 * CTRACK_STRESS_ROUNDS sets the number of kills, CTRACK_STRESS_SEED repeats the moments as drawn.
 */
#include "support.h"

#include <inttypes.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { KEYS = 32, BATCH = 4, WRITERS = 2 };

/* Each writer has its own row, so that no two processes write one field. */
typedef struct page {
    struct {
        _Atomic int64_t attempted, acknowledged;
    } keys[WRITERS][KEYS];
} page;

static uint64_t draw(uint64_t *random)
{
    *random ^= *random << 13;
    *random ^= *random >> 7;
    *random ^= *random << 17;
    return *random;
}

/* ---------------------------------------------------------------- the writer */

static char names[KEYS][16];

static void name_keys(void)
{
    for (int k = 0; k < KEYS; k++) {
        snprintf(names[k], sizeof names[k], "doc-%d", k);
    }
}

static int write_for_ever(int number, const char *directory)
{
    name_keys();
    page *shared = shared_page(directory, sizeof(page));
    char path[300];
    snprintf(path, sizeof path, "%s/progress.db", directory);
    ctrack *tracker = NULL;
    if (shared == NULL) {
        return 3;
    }
    ctrack_status opened = ctrack_open(path, NULL, &tracker, NULL);
    if (opened != CTRACK_OK) {
        return 32 + (int)opened;
    }
    uint64_t random = (uint64_t)now_ns() | 1;
    char ready = '!';
    for (bool first = true;; first = false) {
        ctrack_coordinate batch[BATCH];
        int chosen[BATCH];
        size_t count = 1 + draw(&random) % BATCH;
        for (size_t i = 0; i < count; i++) {
            chosen[i] = (int)((draw(&random) % (KEYS / BATCH)) * BATCH + i); /* no key twice */
            int64_t index = atomic_load(&shared->keys[number][chosen[i]].attempted) + 1;
            batch[i] = at(names[chosen[i]], index);
            atomic_store(&shared->keys[number][chosen[i]].attempted, index);
        }
        ctrack_status status = ctrack_update(tracker, batch, count, NULL);
        if (status != CTRACK_OK) {
            return 64 + (int)status;
        }
        for (size_t i = 0; i < count; i++) {
            atomic_store(&shared->keys[number][chosen[i]].acknowledged, batch[i].operation_index);
        }
        if (first && !write_fully(STDOUT_FILENO, &ready, 1)) {
            return 5;
        }
    }
}

static int run_child(const char *mode, const char *directory)
{
    return write_for_ever(strcmp(mode, "writer-1") == 0, directory);
}

/* ---------------------------------------------------------------- the checker */

static int64_t highest(const page *shared, int k, bool attempted)
{
    int64_t result = NEVER_SEEN;
    for (int w = 0; w < WRITERS; w++) {
        int64_t index =
            attempted ? atomic_load(&shared->keys[w][k].attempted) : atomic_load(&shared->keys[w][k].acknowledged);
        result = index > result ? index : result;
    }
    return result;
}

/* The page starts with zeros, which say "never": indexes begin at 1. */
static void assert_page_holds(const page *shared, ctrack *tracker)
{
    for (int k = 0; k < KEYS; k++) {
        int64_t stored = latest(tracker, names[k]);
        stored = stored == NEVER_SEEN ? 0 : stored;
        int64_t acknowledged = highest(shared, k, false);
        int64_t attempted = highest(shared, k, true);
        if (stored < acknowledged || stored > attempted) {
            print_error("%s: acknowledged %" PRId64 ", stored %" PRId64 ", attempted %" PRId64 "\n", names[k],
                        acknowledged, stored, attempted);
            fail();
        }
    }
    assert_true(entry_count(tracker) <= KEYS);
}

static void assert_sound(const char *path)
{
    struct sqlite3 *db = db_open(path);
    char *verdict = db_text(db, "PRAGMA integrity_check");
    assert_string_equal(verdict, "ok");
    free(verdict);
    db_close(db);
}

static void let_some_time_pass(uint64_t *random)
{
    struct timespec moment = {0, (long)(draw(random) % 8000000)}; /* when to kill; nothing relies on it */
    nanosleep(&moment, NULL);
}

/* Waits for a writer's first acknowledgement, or for its end if it has failed; then its exit status says where. */
static void await_ready(child *writer)
{
    char ready = 0;
    if (!read_fully(writer->output, &ready, 1)) {
        print_error("a writer ended with status %d\n", child_finish(writer));
        fail();
    }
}

static uint64_t start(fixture *f, page **shared)
{
    alarm(0);
    name_keys();
    *shared = shared_page(f->directory, sizeof(page));
    assert_non_null(*shared);
    uint64_t seed = environment_number("CTRACK_STRESS_SEED", (uint64_t)now_ns());
    print_message("CTRACK_STRESS_SEED=%" PRIu64 "\n", seed);
    return seed * 2 + 1;
}

static void test_killed_writer_loses_nothing_acknowledged(void **state)
{
    fixture *f = *state;
    page *shared = NULL;
    uint64_t random = start(f, &shared);
    uint64_t rounds = environment_number("CTRACK_STRESS_ROUNDS", 40);
    for (uint64_t round = 0; round < rounds; round++) {
        child writer = child_start("writer-0", f->directory);
        if (draw(&random) % 8 != 0) { /* else it may be killed while it opens the file */
            await_ready(&writer);
        }
        let_some_time_pass(&random);
        child_kill(&writer);
        if (round % 4 == 0 && file_exists(f->path)) {
            assert_sound(f->path);
        }
        f->tracker = open_file(f->path);
        assert_page_holds(shared, f->tracker);
        ctrack *again = open_file(f->path);
        assert_same_progress(f->tracker, again);
        close_tracker(&again);
        close_tracker(&f->tracker);
    }
    assert_sound(f->path);
    munmap(shared, sizeof *shared);
}

static void test_writer_beside_a_killed_one_goes_on(void **state)
{
    fixture *f = *state;
    page *shared = NULL;
    uint64_t random = start(f, &shared);
    uint64_t rounds = environment_number("CTRACK_STRESS_ROUNDS", 20);
    child survivor = child_start("writer-1", f->directory);
    await_ready(&survivor);
    f->tracker = open_file(f->path);
    for (uint64_t round = 0; round < rounds; round++) {
        child writer = child_start("writer-0", f->directory);
        await_ready(&writer);
        let_some_time_pass(&random);
        child_kill(&writer);
        int64_t acknowledged[KEYS];
        for (int k = 0; k < KEYS; k++) {
            acknowledged[k] = highest(shared, k, false);
        }
        assert_status(ctrack_refresh(f->tracker, NULL), CTRACK_OK);
        for (int k = 0; k < KEYS; k++) {
            int64_t seen = latest(f->tracker, names[k]);
            assert_true((seen == NEVER_SEEN ? 0 : seen) >= acknowledged[k]);
            assert_true(seen <= highest(shared, k, true));
        }
    }
    ctrack_snapshot *seen = NULL;
    assert_status(ctrack_serialize(f->tracker, &seen, NULL), CTRACK_OK);
    child_kill(&survivor);
    reopen(f);
    assert_page_holds(shared, f->tracker);
    for (size_t i = 0; i < ctrack_snapshot_count(seen); i++) {
        const ctrack_coordinate *entry = &ctrack_snapshot_entries(seen)[i];
        assert_true(latest(f->tracker, entry->document_id) >= entry->operation_index);
    }
    ctrack_snapshot_free(seen);
    assert_sound(f->path);
    munmap(shared, sizeof *shared);
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_killed_writer_loses_nothing_acknowledged),
        TEST(test_writer_beside_a_killed_one_goes_on),
    };
    return SUPPORT_MAIN(argc, argv, "kill", tests, run_child);
}
