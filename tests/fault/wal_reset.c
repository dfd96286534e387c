/* SPDX-License-Identifier: MIT */
/*
 * SQLite's WAL-reset bug (src/store.h). A PASSIVE checkpoint that has read the header of the write-ahead log, and then
 * another connection that commits and starts the log over, and an acknowledged commit is gone. The moment in between is
 * where SQLite calls xUnfetch; so it can be hit every time, by a foreign connection that commits just there:
 *
 * At each of the calls that a checkpoint makes to the system, a foreign connection moves the log into the database; at
 * each of the later ones it begins a transaction; and at each that is later still it commits.
 *
 * --part P --parts N takes every N-th of these. --minutes N goes on for so long, with logs of other lengths and moments
 * that are drawn at random; --seed N draws the same. On a version of SQLite without the bug our checkpoint holds no lock,
 * and must lose nothing either; there the mutant has nothing to find, and is skipped.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "check.h"
#include "fault.h"
#include "shim.h"
#include "tracker.h"

static run current;
static sqlite3 *foreign;
static long calls, fill_at, begin_at,
    commit_at; /* the checkpoint's calls to the system, and what happens before which */
static int fill_commits;
static bool checkpointing, begun, committed, entered;

static void sql(const char *text)
{
    sqlite3_exec(foreign, text, NULL, NULL, NULL);
}

/* Reports progress through the foreign connection; its commit starts the log over if all of it is in the database. */
static void begin_foreign(void)
{
    ledger_change change = ledger_no_change(LEDGER_RAISE);
    int64_t index = check_next_index();
    char text[300];
    if (sqlite3_exec(foreign, "BEGIN IMMEDIATE", NULL, NULL, NULL) != SQLITE_OK) {
        return; /* the checkpoint holds the lock: this is what protects it */
    }
    snprintf(text, sizeof text,
             "INSERT INTO ctrack_progress VALUES ('default', 'doc-1', 'document', 'main', %lld, NULL)",
             (long long)index);
    sql(text);
    ledger_name(&change, 0, 1, index);
    ledger_enter(current.books, &change);
    begun = entered = true;
}

static void commit_foreign(void)
{
    if (begun) {
        begun = false;
        committed = sqlite3_exec(foreign, "COMMIT", NULL, NULL, NULL) == SQLITE_OK;
        sql("ROLLBACK");
    }
}

static void commit_more(int count)
{
    for (int i = 0; i < count; i++) {
        ledger_change change = ledger_no_change(LEDGER_RAISE);
        ledger_name(&change, 0, i % 4, check_next_index());
        run_foreign(&current, &change);
    }
}

/* A log that is in the database as a whole, by a checkpoint that our tracker has not seen. */
static void fill_log(int commits)
{
    if (sqlite3_exec(foreign, "BEGIN IMMEDIATE", NULL, NULL, NULL) != SQLITE_OK) {
        return;
    }
    sql("ROLLBACK");
    commit_more(commits);
    sqlite3_wal_checkpoint_v2(foreign, "main", SQLITE_CHECKPOINT_FULL, NULL, NULL);
}

static int on_call(shim_call call, const char *name, shim_extent *extent)
{
    (void)call;
    (void)name;
    (void)extent;
    if (checkpointing) {
        checkpointing = false; /* not for the foreign connection's own calls */
        if (calls == fill_at) {
            fill_log(fill_commits);
        }
        if (calls == begin_at) {
            begin_foreign();
        }
        if (calls == commit_at) {
            commit_foreign();
        }
        calls++;
        checkpointing = true;
    }
    return SQLITE_OK;
}

static void open_foreign(void)
{
    if (sqlite3_open_v2(current.path, &foreign, SQLITE_OPEN_READWRITE, SHIM_PLAIN) != SQLITE_OK) {
        abort();
    }
    sql("PRAGMA wal_autocheckpoint = 0; PRAGMA synchronous = OFF; SELECT count(*) FROM ctrack_advance");
}

static long interleave(const char *directory, int commits, long fill, long begin, long commit)
{
    static ledger books;
    run_begin(&current, directory, RUN_USED, &books);
    snprintf(current.place, sizeof current.place,
             "log of %d commits, filled at call %ld, foreign begin at %ld, commit at %ld", commits, fill, begin,
             commit);
    run_open(&current, 0, 0, false);
    open_foreign();
    commit_more(commits);
    calls = 0;
    fill_at = fill;
    fill_commits = commits;
    begin_at = begin;
    commit_at = commit;
    begun = committed = entered = false;
    checkpointing = true;
    ct_store_checkpoint(current.trackers[0]->store, NULL); /* BUSY is fine */
    checkpointing = false;
    commit_foreign();
    if (entered) {
        ledger_settle(current.books, committed ? LEDGER_DONE : LEDGER_NOT_DONE);
    }
    commit_more(2 * commits); /* over the end of the old log, where what is missing would be overwritten */
    run_checkpoint(&current, 0);
    sqlite3_close(foreign);
    run_refresh(&current, 0);
    run_close(&current, 0);
    run_check_file(&current);
    return calls;
}

static unsigned long interleave_all(const char *directory)
{
    unsigned long count = 0, number = 0;
    for (int commits = 1; commits <= 3; commits++) {
        long last = interleave(directory, commits, -1, -1, -1);
        for (long fill = 0; fill < last && !fault_enough(); fill++) {
            for (long begin = fill; begin < last && !fault_enough(); begin++) {
                for (long commit = begin; commit <= last && !fault_enough(); commit++) {
                    if (fault_is_mine(number++)) {
                        interleave(directory, commits, fill, begin, commit);
                        count++;
                    }
                }
            }
        }
    }
    return count;
}

enum { MOST_COMMITS = 20, DRAWS = 100 };

static unsigned long interleave_at_random(const char *directory, time_t end)
{
    unsigned long long seed = fault_option("seed", (unsigned long long)time(NULL)), random = seed * 2 + 1;
    unsigned long count = 0;
    while (time(NULL) < end && !fault_enough()) {
        int commits = 1 + (int)(fault_draw(&random) % MOST_COMMITS);
        unsigned long last = (unsigned long)interleave(directory, commits, -1, -1, -1);
        for (int i = 0; i < DRAWS && !fault_enough(); i++) {
            unsigned long fill = fault_draw(&random) % last, begin = fill + fault_draw(&random) % (last - fill),
                          commit = begin + fault_draw(&random) % (last - begin + 1);
            interleave(directory, commits, (long)fill, (long)begin, (long)commit);
            count++;
        }
    }
    printf("  --seed %llu\n", seed);
    return count;
}

int main(int argc, char **argv)
{
    fault_options(argc, argv);
    bool exposed = ct_store_version_exposed(sqlite3_libversion_number());
    if (!exposed && fault_text("enough", NULL) != NULL) {
        printf("SQLite %s does not have the bug\n", sqlite3_libversion());
        return 77;
    }
    ledger_init_keys();
    shim_install();
    const char *directory = fault_directory();
    run_make_templates(directory);
    shim_hook(on_call, NULL);
    long minutes = (long)fault_option("minutes", 0);
    unsigned long count =
        minutes > 0 ? interleave_at_random(directory, time(NULL) + 60 * minutes) : interleave_all(directory);
    shim_hook(NULL, NULL);
    fault_remove_directory();
    return fault_report("wal_reset", count, "interleavings of a checkpoint and a foreign commit, on %s SQLite",
                        exposed ? "an exposed" : "a fixed");
}
