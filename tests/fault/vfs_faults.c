/* SPDX-License-Identifier: MIT */
/*
 * Every call that SQLite makes to the operating system on the library's behalf fails with each code that it may fail
 * with: once, a few times (so that the cause goes in the middle of clearing up), and for ever. Where a failing
 * call may have done its work in part or as a whole, it does. BUSY is never made up: another connection really takes
 * the lock at that moment.
 *
 * --pairs 1: after a first failure the process is as good as dead, and the recovery of what it left fails, too, at each of
 * its calls; then it succeeds.
 *
 * --scenario NAME runs one scenario, from call --first N on; --part P --parts N fails every N-th call.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check.h"
#include "fault.h"
#include "scenarios.h"
#include "shim.h"
#include "tracker.h"

enum { CALLS = 4000 };

typedef struct way {
    run_fault fault;
    int code;
    shim_extent extent;
} way;

#define IO(code) \
    { \
        RUN_IO, code, SHIM_NOTHING \
    }
#define IO_HALF(code) \
    { \
        RUN_IO, code, SHIM_HALF \
    }
#define IO_ALL(code) \
    { \
        RUN_IO, code, SHIM_ALL \
    }
#define NO_MEMORY(code) \
    { \
        RUN_NO_MEMORY, code, SHIM_NOTHING \
    }
#define DAMAGED(code) \
    { \
        RUN_CORRUPT, code, SHIM_NOTHING \
    }
#define DISK_FULL(extent) \
    { \
        RUN_FULL, SQLITE_FULL, extent \
    }
#define CONTENTION \
    { \
        RUN_BUSY, SQLITE_BUSY, SHIM_NOTHING \
    }
enum { WAYS = 6 };

/* The ways in which each call may fail; code 0 ends the list. */
static const way ways[SHIM_CALLS][WAYS] = {
    [SHIM_OPEN] = {IO(SQLITE_CANTOPEN), IO(SQLITE_IOERR), NO_MEMORY(SQLITE_IOERR_NOMEM), NO_MEMORY(SQLITE_NOMEM),
                   IO(SQLITE_CANTOPEN_FULLPATH)},
    [SHIM_DELETE] = {IO(SQLITE_IOERR_DELETE), IO_ALL(SQLITE_IOERR_DIR_FSYNC)},
    [SHIM_ACCESS] = {IO(SQLITE_IOERR_ACCESS), NO_MEMORY(SQLITE_IOERR_NOMEM)},
    [SHIM_FULL_PATHNAME] = {IO(SQLITE_CANTOPEN_FULLPATH), IO(SQLITE_CANTOPEN), NO_MEMORY(SQLITE_NOMEM)},
    [SHIM_READ] = {IO(SQLITE_IOERR_READ), DAMAGED(SQLITE_IOERR_CORRUPTFS), IO(SQLITE_IOERR),
                   NO_MEMORY(SQLITE_IOERR_NOMEM)},
    [SHIM_WRITE] = {IO(SQLITE_IOERR_WRITE), IO_HALF(SQLITE_IOERR_WRITE), IO_ALL(SQLITE_IOERR_WRITE),
                    DISK_FULL(SHIM_NOTHING), DISK_FULL(SHIM_HALF)},
    [SHIM_TRUNCATE] = {IO(SQLITE_IOERR_TRUNCATE), IO_ALL(SQLITE_IOERR_TRUNCATE)},
    [SHIM_SYNC] = {IO(SQLITE_IOERR_FSYNC), IO_ALL(SQLITE_IOERR_FSYNC), IO(SQLITE_IOERR_DIR_FSYNC)},
    [SHIM_FILE_SIZE] = {IO(SQLITE_IOERR_FSTAT), NO_MEMORY(SQLITE_IOERR_NOMEM)},
    [SHIM_LOCK] = {IO(SQLITE_IOERR_LOCK), IO(SQLITE_IOERR_RDLOCK), NO_MEMORY(SQLITE_IOERR_NOMEM)},
    [SHIM_UNLOCK] = {IO_ALL(SQLITE_IOERR_UNLOCK)},
    [SHIM_CHECK_RESERVED] = {IO(SQLITE_IOERR_CHECKRESERVEDLOCK)},
    [SHIM_SHM_MAP] = {IO(SQLITE_IOERR_SHMMAP), IO(SQLITE_IOERR_SHMSIZE), IO(SQLITE_IOERR_SHMOPEN),
                      NO_MEMORY(SQLITE_NOMEM), NO_MEMORY(SQLITE_IOERR_NOMEM)},
    [SHIM_SHM_LOCK] = {IO(SQLITE_IOERR_SHMLOCK), CONTENTION, NO_MEMORY(SQLITE_IOERR_NOMEM)},
};

/* ---------------------------------------------------------------- the hook */

static run current;
static way chosen;
static shim_call calls[CALLS]; /* what a run without faults calls */
static sqlite3 *rival;         /* who holds the lock */
static bool recovering;        /* from the first of a pair of failures */
static bool failed_again;      /* meanwhile: not every call can fail in the way that is chosen */

/* Another connection begins to write, if it can: from here on nobody else gets that lock. */
static void contend(void)
{
    if (rival == NULL && sqlite3_open_v2(current.path, &rival, SQLITE_OPEN_READWRITE, SHIM_PLAIN) == SQLITE_OK) {
        sqlite3_exec(rival, "BEGIN IMMEDIATE", NULL, NULL, NULL);
    }
}

static void stop_contending(void)
{
    if (rival != NULL) {
        sqlite3_exec(rival, "ROLLBACK", NULL, NULL, NULL);
        sqlite3_db_config(rival, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
        sqlite3_close(rival);
        rival = NULL;
    }
}

/* The first time the chosen way; later, while the cause stays or comes again, the first way of each call that is of the
 * same kind. */
static const way *way_of(shim_call call, bool first)
{
    if (first) {
        return &chosen;
    }
    for (size_t i = 0; i < WAYS && ways[call][i].code != 0; i++) {
        if (ways[call][i].fault == chosen.fault) {
            return &ways[call][i];
        }
    }
    return NULL;
}

static int fail_in_turn(shim_call call, const char *name, shim_extent *extent)
{
    (void)name;
    if (call == SHIM_UNFETCH) {
        return SQLITE_OK;
    }
    bool before = fault_has_struck();
    if (!fault_strikes()) {
        if (fault_opportunities() > 0 && fault_opportunities() <= CALLS) {
            calls[fault_opportunities() - 1] = call;
        }
        return SQLITE_OK;
    }
    const way *w = way_of(call, !before && !recovering);
    if (w == NULL) {
        return SQLITE_OK;
    }
    failed_again = recovering;
    if (w->fault == RUN_BUSY) {
        fault_pause();
        contend();
        fault_resume();
        return SQLITE_OK;
    }
    *extent = w->extent;
    return w->code;
}

/* ---------------------------------------------------------------- points */

static void run_point(const scenario *s, const char *directory, long point, const char *call, const way *w,
                      long strikes)
{
    static ledger books;
    run_begin(&current, directory, s->kind, &books);
    snprintf(current.place, sizeof current.place, "%s, call %ld (%s), code %d, extent %d, %ld times", s->name, point,
             call, w->code, (int)w->extent, strikes);
    if (s->prepare != NULL) {
        s->prepare(&current);
    }
    chosen = *w;
    current.fault = w->fault;
    fault_arm(point, strikes);
    s->act(&current);
    fault_disarm();
    stop_contending();
    run_finish(&current);
}

/* What a dead process leaves: the write-ahead log, and no shared memory. */
static void abandon(void)
{
    char name[320];
    for (int t = 0; t < RUN_TRACKERS; t++) {
        if (current.trackers[t] != NULL) {
            sqlite3_db_config(current.trackers[t]->store->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
            run_close(&current, t);
        }
    }
    if (current.host != NULL) {
        sqlite3_exec(current.host, "ROLLBACK", NULL, NULL, NULL);
        sqlite3_db_config(current.host, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
        sqlite3_close(current.host);
        current.host = NULL;
    }
    snprintf(name, sizeof name, "%s-shm", current.path);
    unlink(name);
}

/* A failure, and another one at a call of the recovery. False: the recovery has fewer calls. */
static bool run_pair(const scenario *s, const char *directory, long point, const way *w, long second)
{
    static ledger books;
    run_begin(&current, directory, s->kind, &books);
    snprintf(current.place, sizeof current.place, "%s, call %ld, code %d, extent %d, then call %ld of the recovery",
             s->name, point, w->code, (int)w->extent, second);
    if (s->prepare != NULL) {
        s->prepare(&current);
    }
    chosen = *w;
    current.fault = w->fault;
    fault_arm(point, 1);
    s->act(&current);
    fault_disarm();
    stop_contending();
    abandon();
    recovering = true;
    failed_again = false;
    fault_arm(second, 1);
    run_open(&current, 0, 0, false);
    bool struck = fault_has_struck();
    fault_disarm();
    recovering = false;
    stop_contending();
    run_finish(&current);
    return struck;
}

/* Returns the number of pairs that begin with this point. */
static unsigned long sweep_pairs(const scenario *s, const char *directory, long point, const way *w)
{
    unsigned long pairs = 0;
    for (long second = 0; !fault_enough() && run_pair(s, directory, point, w, second); second++) {
        pairs += failed_again;
    }
    return pairs;
}

/* All ways to fail at all calls of a scenario. Returns the number of points. */
static unsigned long sweep(const scenario *s, const char *directory)
{
    static const way none = {RUN_NO_FAULT, 0, SHIM_NOTHING};
    static const long times[] = {1, 2, 3, 5, FAULT_FOR_EVER};
    unsigned long points = 0;
    run_point(s, directory, -1, "none", &none, 0);
    long count = fault_opportunities() < CALLS ? fault_opportunities() : CALLS;
    shim_call made[CALLS];
    memcpy(made, calls, sizeof made);
    for (long point = (long)fault_option("first", 0); point < count && !fault_enough(); point++) {
        for (size_t i = 0; fault_is_mine((unsigned long)point) && i < WAYS && ways[made[point]][i].code != 0; i++) {
            if (fault_option("pairs", 0) != 0) {
                points += sweep_pairs(s, directory, point, &ways[made[point]][i]);
                continue;
            }
            for (size_t t = 0; t < sizeof times / sizeof times[0]; t++) {
                run_point(s, directory, point, shim_call_name(made[point]), &ways[made[point]][i], times[t]);
                points++;
            }
        }
    }
    printf("  %-28s %5ld calls, %6lu points\n", s->name, count, points);
    return points;
}

int main(int argc, char **argv)
{
    fault_options(argc, argv);
    unsigned long points = 0;
    const char *only = fault_text("scenario", NULL);
    ledger_init_keys();
    shim_install();
    const char *directory = fault_directory();
    run_make_templates(directory);
    shim_hook(fail_in_turn, NULL);
    for (size_t i = 0; i < scenarios_count && !fault_enough(); i++) {
        if (only == NULL || strcmp(only, scenarios[i].name) == 0) {
            points += sweep(&scenarios[i], directory);
        }
    }
    shim_hook(NULL, NULL);
    fault_remove_directory();
    return fault_report("vfs_faults", points, "points at which a call to the system fails");
}
