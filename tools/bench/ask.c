/* SPDX-License-Identifier: MIT */

/* Questions that are answered from the file, while its log is about as long as the keeper lets it become. */
#include "benches.h"

#include <sqlite3.h>
#include <stdlib.h>

#include "raw.h"
#include "subject.h"

#define QUESTIONS 200
#define MANY 100

/* A file with all keys folded at index 7, and all of them once more in the log, at 8; the tracker that made it so. */
static ctrack *make_file(bench *b, load_key *keys)
{
    load all = load_new(b->keys);
    load_in_order(&all, keys, 7);
    load_shuffle(b, &all);
    subject_make("ask.db", &all);
    load_set_index(&all, 8);
    ctrack *tracker = subject_open("ask.db", CTRACK_DURABLE_NORMAL);
    subject_update_all(tracker, &all, 1000);
    load_free(&all);
    return tracker;
}

/* The median of some questions about random keys, each of so many coordinates at the index, in milliseconds. */
static double time_questions(bench *b, sqlite3 *db, const load_key *keys, size_t count, int64_t index)
{
    double samples[QUESTIONS];
    load l = load_new(count);
    ctrack_status expected = index > 8 ? CTRACK_PENDING : CTRACK_OK;
    for (int i = 0; i < QUESTIONS; i++) {
        int64_t unused = 0;
        load_random(b, &l, keys, b->keys, &unused);
        load_set_index(&l, index);
        int64_t start = bench_now();
        ctrack_status status = ctrack_satisfied_in(db, NULL, l.coordinates, count, NULL);
        samples[i] = bench_seconds_since(start) * 1e3;
        if (status != expected) {
            bench_fail("the answer is %s instead of %s", ctrack_status_name(status), ctrack_status_name(expected));
        }
    }
    load_free(&l);
    return bench_median(samples, QUESTIONS);
}

void bench_satisfied_in(bench *b)
{
    bench_row *one_no = bench_target(b, "one coordinate, not reached", "ms", BENCH_AT_MOST, 2);
    bench_row *one_yes = bench_target(b, "one coordinate, reached", "ms", BENCH_AT_MOST, 2);
    bench_row *many_no = bench_target(b, "a hundred coordinates, none reached", "ms", BENCH_AT_MOST, 10);
    bench_row *many_yes = bench_target(b, "a hundred coordinates, all reached", "ms", BENCH_AT_MOST, 10);
    bench_row *backlog = bench_figure(b, "rows in the log", "rows");
    bench_row *runs = bench_figure(b, "runs over it", "runs");
    load_key *keys = load_keys(b, b->keys);
    ctrack *tracker = make_file(b, keys);
    for (unsigned round = 0; round < b->rounds; round++) {
        sqlite3 *db = NULL; /* its cache knows nothing of the file */
        if (sqlite3_open("ask.db", &db) != SQLITE_OK) {
            bench_fail("the file does not open");
        }
        bench_add(one_no, time_questions(b, db, keys, 1, 9));
        bench_add(one_yes, time_questions(b, db, keys, 1, 8));
        bench_add(many_no, time_questions(b, db, keys, MANY, 9));
        bench_add(many_yes, time_questions(b, db, keys, MANY, 8));
        bench_add(backlog, subject_backlog("ask.db"));
        bench_add(runs, (double)raw_query("ask.db", "SELECT count(*) FROM ctrack_run"));
        sqlite3_close(db);
    }
    subject_close(tracker);
    free(keys);
}

void bench_lazy_get(bench *b)
{
    bench_row *row = bench_target(b, "ctrack_get_latest of a lazy tracker", "ms", BENCH_AT_MOST, 2);
    load_key *keys = load_keys(b, b->keys);
    ctrack *tracker = make_file(b, keys);
    for (unsigned round = 0; round < b->rounds; round++) {
        double samples[QUESTIONS];
        ctrack_options options = CTRACK_OPTIONS_INIT;
        ctrack *lazy = NULL;
        options.lazy = options.read_only = true;
        if (ctrack_open("ask.db", &options, &lazy, NULL) != CTRACK_OK) {
            bench_fail("a lazy tracker does not open");
        }
        for (int i = 0; i < QUESTIONS; i++) {
            const ctrack_key key = {keys[bench_random(b, b->keys)].document_id, LOAD_SCOPE, LOAD_BRANCH};
            int64_t index = 0, start = bench_now();
            ctrack_status status = ctrack_get_latest(lazy, &key, &index);
            samples[i] = bench_seconds_since(start) * 1e3;
            if (status != CTRACK_OK || index != 8) {
                bench_fail("the answer is %s, %lld", ctrack_status_name(status), (long long)index);
            }
        }
        subject_close(lazy);
        bench_add(row, bench_median(samples, QUESTIONS));
    }
    subject_close(tracker);
    free(keys);
}
