/* SPDX-License-Identifier: MIT */
/*
 * A read model whose tables are in the tracker's file, and which is killed: at each point of stage, COMMIT and refresh,
 * and at random moments. After each kill the progress of every document equals what the read model's own table holds,
 * never ahead and never behind, asked by SQL, by a fresh tracker and by one that has looked on all the while.
 *
 * CTRACK_STRESS_ROUNDS sets the number of random kills, CTRACK_STRESS_SEED repeats the moments as drawn.
 */
#include "support.h"

#include <inttypes.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

enum { DOCUMENTS = 5, BATCH = 3 };

static const char schema[] = "CREATE TABLE document (name TEXT PRIMARY KEY, last INTEGER NOT NULL) STRICT;"
                             "CREATE TABLE position (processed INTEGER NOT NULL) STRICT;"
                             "INSERT INTO position VALUES (0)";

static uint64_t draw(uint64_t *random)
{
    *random ^= *random << 13;
    *random ^= *random >> 7;
    *random ^= *random << 17;
    return *random;
}

/* ---------------------------------------------------------------- the read model's process */

/* Where it can be told to stop. */
typedef enum point {
    BEGUN,
    ROWS_WRITTEN,
    HALF_STAGED,
    ALL_STAGED,
    COMMITTED,
    REFRESHED,
    POINTS,
    NOWHERE = POINTS
} point;

typedef struct read_model {
    sqlite3 *db;
    ctrack *tracker;
    int64_t processed;
    point stop_at;
} read_model;

/* Announces the point, and does nothing any more until it is killed. */
static void reach(const read_model *model, point reached)
{
    if (model->stop_at == reached) {
        char announcement = '!';
        write_fully(STDOUT_FILENO, &announcement, 1);
        for (;;) {
            pause();
        }
    }
}

static bool run(sqlite3 *db, const char *sql)
{
    return sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK;
}

/* Each write concerns the documents n, n + 1 and n + 2 (modulo DOCUMENTS), and brings them to operation n. */
static bool process(read_model *model)
{
    static char names[DOCUMENTS][16];
    ctrack_coordinate batch[BATCH];
    char sql[200];
    int64_t n = model->processed + 1;
    bool ok = run(model->db, "BEGIN IMMEDIATE");
    reach(model, BEGUN);
    for (int i = 0; i < BATCH && ok; i++) {
        int number = (int)((n + i) % DOCUMENTS);
        snprintf(names[number], sizeof names[number], "doc-%d", number);
        batch[i] = at(names[number], n);
        snprintf(sql, sizeof sql, "INSERT OR REPLACE INTO document VALUES ('%s', %" PRId64 ")", names[number], n);
        ok = run(model->db, sql);
    }
    ok = ok && run(model->db, "UPDATE position SET processed = processed + 1");
    reach(model, ROWS_WRITTEN);
    ok = ok && ctrack_stage(model->db, NULL, batch, 1, NULL) == CTRACK_OK;
    reach(model, HALF_STAGED);
    ok = ok && ctrack_stage(model->db, NULL, batch + 1, BATCH - 1, NULL) == CTRACK_OK;
    reach(model, ALL_STAGED);
    ok = ok && run(model->db, "COMMIT");
    reach(model, COMMITTED);
    ok = ok && ctrack_refresh(model->tracker, NULL) == CTRACK_OK;
    reach(model, REFRESHED);
    model->processed = n;
    return ok;
}

static bool open_read_model(read_model *model, const char *path)
{
    sqlite3_stmt *position = NULL;
    bool ok = ctrack_open(path, NULL, &model->tracker, NULL) == CTRACK_OK &&
              sqlite3_open(path, &model->db) == SQLITE_OK && sqlite3_busy_timeout(model->db, 5000) == SQLITE_OK &&
              sqlite3_prepare_v2(model->db, "SELECT processed FROM position", -1, &position, NULL) == SQLITE_OK &&
              sqlite3_step(position) == SQLITE_ROW;
    model->processed = ok ? sqlite3_column_int64(position, 0) : 0;
    sqlite3_finalize(position);
    return ok;
}

/* "stop-2": processes three writes and stops in the fourth at that point. "for-ever": says after each what is there. */
static int run_child(const char *mode, const char *path)
{
    read_model model = {.stop_at = NOWHERE};
    if (!open_read_model(&model, path)) {
        return 3;
    }
    bool ok = true;
    if (strcmp(mode, "for-ever") == 0) {
        while (ok) {
            ok = process(&model) && write_fully(STDOUT_FILENO, &model.processed, sizeof model.processed);
        }
        return 4;
    }
    for (int i = 0; i < 3 && ok; i++) {
        ok = process(&model);
    }
    model.stop_at = (point)(mode[strlen("stop-")] - '0');
    ok = ok && process(&model);
    return 5; /* it should not have got here */
}

/* ---------------------------------------------------------------- the checker */

/* The read model's last operation of each document. */
static void read_table(sqlite3 *db, int64_t last[DOCUMENTS])
{
    char sql[120];
    for (int i = 0; i < DOCUMENTS; i++) {
        snprintf(sql, sizeof sql, "SELECT coalesce((SELECT last FROM document WHERE name = 'doc-%d'), -1)", i);
        last[i] = db_integer(db, sql);
    }
}

static void read_progress(ctrack *tracker, int64_t last[DOCUMENTS])
{
    char name[16];
    for (int i = 0; i < DOCUMENTS; i++) {
        snprintf(name, sizeof name, "doc-%d", i);
        last[i] = latest(tracker, name);
    }
}

static void assert_at_least(const char *what, const int64_t higher[DOCUMENTS], const int64_t lower[DOCUMENTS])
{
    for (int i = 0; i < DOCUMENTS; i++) {
        if (higher[i] < lower[i]) {
            print_error("%s: doc-%d: %" PRId64 " and %" PRId64 "\n", what, i, higher[i], lower[i]);
            fail();
        }
    }
}

/* The read model does not run. */
static void assert_progress_equals_the_table(sqlite3 *db, const char *path, ctrack *onlooker)
{
    int64_t table[DOCUMENTS], progress[DOCUMENTS];
    assert_int_equal(db_integer(db, "SELECT count(*) FROM document LEFT JOIN ctrack_progress ON document_id = name "
                                    "WHERE last IS NOT operation_index"),
                     0);
    assert_int_equal(db_integer(db, "SELECT count(*) FROM ctrack_progress LEFT JOIN document ON document_id = name "
                                    "WHERE last IS NOT operation_index"),
                     0);
    read_table(db, table);
    ctrack *fresh = open_file(path);
    read_progress(fresh, progress);
    assert_memory_equal(progress, table, sizeof table);
    close_tracker(&fresh);
    assert_status(ctrack_refresh(onlooker, NULL), CTRACK_OK);
    read_progress(onlooker, progress);
    assert_memory_equal(progress, table, sizeof table);
    for (int i = 0; i < DOCUMENTS; i++) {
        char name[16];
        snprintf(name, sizeof name, "doc-%d", i);
        ctrack_coordinate next = at(name, table[i] + 1);
        assert_status(ctrack_satisfied_in(db, NULL, &next, 1, NULL), CTRACK_PENDING);
        next.operation_index--;
        if (table[i] >= 0) {
            assert_status(ctrack_satisfied_in(db, NULL, &next, 1, NULL), CTRACK_OK);
        }
    }
    char *verdict = db_text(db, "PRAGMA integrity_check");
    assert_string_equal(verdict, "ok");
    free(verdict);
}

/* A tracker beside the read model, waiting for the write that it is killed in, learns of it only if it is committed. */
static void test_killed_at_each_point_progress_equals_the_table(void **state)
{
    fixture *f = *state;
    sqlite3 *db = db_open(f->path);
    db_run(db, schema);
    for (point where = BEGUN; where < POINTS; where++) {
        char mode[16], announcement = 0, name[16];
        snprintf(mode, sizeof mode, "stop-%d", (int)where);
        int64_t before = db_integer(db, "SELECT processed FROM position");
        snprintf(name, sizeof name, "doc-%d", (int)((before + 4) % DOCUMENTS));
        ctrack_promise *promise = wait_for(f->tracker, name, before + 4);
        child model = child_start(mode, f->path);
        assert_true(read_fully(model.output, &announcement, 1));
        child_kill(&model);
        int64_t processed = before + 3 + (where >= COMMITTED);
        assert_int_equal(db_integer(db, "SELECT processed FROM position"), processed);
        assert_progress_equals_the_table(db, f->path, f->tracker);
        assert_status(ctrack_promise_status(promise), where >= COMMITTED ? CTRACK_OK : CTRACK_PENDING);
        ctrack_promise_release(promise);
    }
    db_close(db);
}

static void let_some_time_pass(uint64_t *random)
{
    struct timespec moment = {0, (long)(draw(random) % 8000000)}; /* when to kill; nothing relies on it */
    nanosleep(&moment, NULL);
}

/* What the onlooker has seen is in the table by now; and what was in the table, it sees once it has looked. */
static void assert_neither_ahead_nor_behind(sqlite3 *db, ctrack *onlooker)
{
    int64_t table[DOCUMENTS], progress[DOCUMENTS];
    read_progress(onlooker, progress);
    read_table(db, table);
    assert_at_least("ahead of the table", table, progress);
    assert_status(ctrack_refresh(onlooker, NULL), CTRACK_OK);
    read_progress(onlooker, progress);
    assert_at_least("behind the table", progress, table);
}

/* The last write that a killed process has said to be committed; `otherwise` if it has said nothing. */
static int64_t last_word(child *model, int64_t otherwise)
{
    int64_t word = otherwise;
    while (read_fully(model->output, &word, sizeof word)) {
    }
    return word;
}

static void test_killed_at_random_progress_equals_the_table(void **state)
{
    fixture *f = *state;
    alarm(0);
    uint64_t seed = environment_number("CTRACK_STRESS_SEED", (uint64_t)now_ns());
    uint64_t rounds = environment_number("CTRACK_STRESS_ROUNDS", 40);
    uint64_t random = seed * 2 + 1;
    print_message("CTRACK_STRESS_SEED=%" PRIu64 "\n", seed);
    sqlite3 *db = db_open(f->path);
    db_run(db, schema);
    ctrack_options options = CTRACK_OPTIONS_INIT;
    options.follow = true;
    close_tracker(&f->tracker);
    assert_status(ctrack_open(f->path, &options, &f->tracker, NULL), CTRACK_OK);
    for (uint64_t round = 0; round < rounds; round++) {
        int64_t before = db_integer(db, "SELECT processed FROM position"), said = before;
        child model = child_start("for-ever", f->path);
        if (draw(&random) % 8 != 0) { /* else it may be killed while it opens the file */
            assert_true(read_fully(model.output, &said, sizeof said));
            assert_neither_ahead_nor_behind(db, f->tracker);
        }
        let_some_time_pass(&random);
        assert_neither_ahead_nor_behind(db, f->tracker);
        kill(model.pid, SIGKILL);
        said = last_word(&model, said);
        child_finish(&model);
        int64_t processed = db_integer(db, "SELECT processed FROM position");
        assert_true(processed >= said && processed <= said + 1);
        assert_progress_equals_the_table(db, f->path, f->tracker);
    }
    db_close(db);
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        TEST_ON_FILE(test_killed_at_each_point_progress_equals_the_table),
        TEST_ON_FILE(test_killed_at_random_progress_equals_the_table),
    };
    return SUPPORT_MAIN(argc, argv, "stage_kill", tests, run_child);
}
