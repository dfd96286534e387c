/* SPDX-License-Identifier: MIT */

/* Opening a file with many keys. */
#include "benches.h"

#include <stdlib.h>

#include "raw.h"
#include "subject.h"

/* Milliseconds for a load by hand. */
static double time_raw(raw_table *(*loader)(const char *, uint64_t), const char *path, const bench *b)
{
    int64_t start = bench_now();
    raw_table *table = loader(path, b->seed);
    double milliseconds = bench_seconds_since(start) * 1e3;
    if (raw_table_count(table) != b->keys) {
        bench_fail("%s has %zu rows instead of %zu", path, raw_table_count(table), b->keys);
    }
    raw_table_free(table);
    return milliseconds;
}

static double time_open(const char *path)
{
    int64_t start = bench_now();
    ctrack *tracker = subject_open(path, CTRACK_DURABLE_FULL);
    double milliseconds = bench_seconds_since(start) * 1e3;
    subject_close(tracker);
    return milliseconds;
}

/* Two files: one with everything folded, one as updates leave it, its newest rows in the log. */
void bench_open(bench *b)
{
    bench_row *by_hand =
        bench_target(b, "folded file / SELECT of a hand-written table + inserts", "x", BENCH_AT_MOST, 1.5);
    bench_row *by_join =
        bench_target(b, "folded file / SELECT of the tracker's tables + inserts", "x", BENCH_AT_MOST, 1.5);
    bench_row *log_by_hand =
        bench_target(b, "file with a log / SELECT of a hand-written table + inserts", "x", BENCH_AT_MOST, 1.5);
    bench_row *folded_row = bench_figure(b, "ctrack_open, folded file", "ms");
    bench_row *log_row = bench_figure(b, "ctrack_open, file with a log", "ms");
    bench_row *hand_row = bench_figure(b, "SELECT of a hand-written table + uthash inserts", "ms");
    bench_row *join_row = bench_figure(b, "SELECT of the tracker's tables + uthash inserts", "ms");
    bench_row *backlog_row = bench_figure(b, "rows in the log of the file with a log", "rows");
    load_key *keys = load_keys(b, b->keys);
    load all = load_new(b->keys);
    load_in_order(&all, keys, 7);
    load_shuffle(b, &all);
    subject_make("folded.db", &all);
    subject_make_unfolded("log.db", &all);
    raw_file_make("upsert.db", &all);
    load_free(&all);
    free(keys);
    time_open("folded.db"); /* what a first open leaves to do is done, and the files are in the system's cache */
    time_open("log.db");
    for (unsigned round = 0; round < b->rounds; round++) {
        bench_add(backlog_row, subject_backlog("log.db"));
        double hand = time_raw(raw_file_load, "upsert.db", b);
        double folded = time_open("folded.db");
        double join = time_raw(raw_tables_load, "folded.db", b);
        double log = time_open("log.db");
        bench_add(by_hand, folded / hand);
        bench_add(by_join, folded / join);
        bench_add(log_by_hand, log / hand);
        bench_add(folded_row, folded);
        bench_add(log_row, log);
        bench_add(hand_row, hand);
        bench_add(join_row, join);
    }
}
