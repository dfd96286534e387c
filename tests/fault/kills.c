/* SPDX-License-Identifier: MIT */
/*
 * kill -9 at random moments, in five settings in turn:
 *
 * - one writer, with a thread that reads its memory all the time;
 * - two writers and two followers, of which one process dies and the others go on;
 * - a host that stages progress in its own transactions;
 * - a writer whose progress is replaced as a whole again and again (ctrack_restore);
 * - the same, beside a process that exports the file again and again (ctrack_export); one dies, the other goes on.
 *
 * A page that all processes share holds for each key what was attempted (before the call), what was acknowledged (after
 * it), and what anybody has seen. After the kill: acknowledged <= stored <= attempted, and seen <= stored; what is
 * replaced as a whole is there as a whole, in the exported copy too; the host's rows and its progress agree.
 *
 * --kills N, --seed N; --setting N (from 0) plays only that one; --rounds N: so many with one file.
 */
#define _DEFAULT_SOURCE /* MAP_ANONYMOUS */
#include <glob.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <sqlite3.h>

#include "fault.h"
#include "run.h"
#include "shim.h"

enum { KEYS = 8, WRITERS = 2, MOST_NANOSECONDS = 4000000, ROUNDS = 25 };
typedef enum setting { ALONE, TOGETHER, STAGED, RESTORED, EXPORTED, SETTINGS } setting;

typedef struct page {
    struct {
        _Atomic int64_t attempted, acknowledged, seen;
    } keys[WRITERS][KEYS]; /* each writer has its own keys */
    _Atomic int started;
    _Atomic int64_t exported; /* what a copy that is complete has at least */
} page;

static page *shared;
static char path[300], copy[300], names[WRITERS][KEYS][20];

static ctrack_coordinate coordinate_of(int writer, int key, int64_t index)
{
    return (ctrack_coordinate){names[writer][key], "document", "main", index};
}

static _Noreturn void give_up(const char *what)
{
    fprintf(stderr, "a child fails: %s\n", what);
    _exit(1);
}

static ctrack *open_tracker(bool follow)
{
    ctrack_options options = CTRACK_OPTIONS_INIT;
    ctrack *tracker = NULL;
    ctrack_error error;
    options.follow = follow;
    if (ctrack_open(path, &options, &tracker, &error) != CTRACK_OK) {
        give_up(error.message);
    }
    return tracker;
}

/* ---------------------------------------------------------------- processes */

/* Notes what a tracker shows; it must stay. */
static void note_seen(ctrack *tracker)
{
    for (int w = 0; w < WRITERS; w++) {
        for (int k = 0; k < KEYS; k++) {
            ctrack_key key = {names[w][k], "document", "main"};
            int64_t index;
            if (ctrack_get_latest(tracker, &key, &index) == CTRACK_OK) {
                int64_t before = atomic_load(&shared->keys[w][k].seen);
                while (before < index && !atomic_compare_exchange_weak(&shared->keys[w][k].seen, &before, index)) {
                }
            }
        }
    }
}

static void *look_on(void *argument)
{
    for (;;) {
        note_seen(argument);
    }
    return NULL;
}

static void attempt(int writer, const int *keys, const int64_t *indexes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        atomic_store(&shared->keys[writer][keys[i]].attempted, indexes[i]);
    }
}

static void acknowledge(int writer, const int *keys, const int64_t *indexes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        atomic_store(&shared->keys[writer][keys[i]].acknowledged, indexes[i]);
    }
    atomic_store(&shared->started, 1);
}

static _Noreturn void write_for_ever(int writer, unsigned long long random, bool watched)
{
    pthread_t looker;
    ctrack *tracker = open_tracker(false);
    if (watched) {
        pthread_create(&looker, NULL, look_on, tracker);
    }
    for (;;) {
        int keys[3];
        int64_t indexes[3];
        ctrack_coordinate batch[3];
        size_t count = (size_t)(1 + fault_draw(&random) % 3);
        for (size_t i = 0; i < count; i++) {
            keys[i] = (int)(fault_draw(&random) % 2 + i * 2);
            indexes[i] = atomic_load(&shared->keys[writer][keys[i]].attempted) + 1;
            batch[i] = coordinate_of(writer, keys[i], indexes[i]);
        }
        ctrack_error error;
        attempt(writer, keys, indexes, count);
        if (ctrack_update(tracker, batch, count, &error) != CTRACK_OK) {
            give_up(error.message);
        }
        acknowledge(writer, keys, indexes, count);
    }
}

/* Waits for what the first writer does next, and notes what it sees. */
static _Noreturn void follow_for_ever(void)
{
    ctrack *tracker = open_tracker(true);
    for (;;) {
        ctrack_coordinate next = coordinate_of(0, 0, atomic_load(&shared->keys[0][0].attempted));
        if (ctrack_wait(tracker, &next, 1, 5, NULL, NULL) == CTRACK_OK) {
            int64_t before = atomic_load(&shared->keys[0][0].seen);
            while (before < next.operation_index &&
                   !atomic_compare_exchange_weak(&shared->keys[0][0].seen, &before, next.operation_index)) {
            }
        }
        note_seen(tracker);
    }
}

/* The host's row says what its progress is; key 0 of the first writer. */
static _Noreturn void stage_for_ever(void)
{
    sqlite3 *db = NULL;
    ctrack *tracker = open_tracker(false);
    const int key = 0;
    sqlite3_open(path, &db);
    sqlite3_busy_timeout(db, 5000);
    sqlite3_exec(db, "PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0", NULL, NULL, NULL);
    for (int64_t index = atomic_load(&shared->keys[0][0].attempted) + 1;; index++) {
        char set[100];
        ctrack_error error;
        ctrack_coordinate staged = coordinate_of(0, 0, index);
        snprintf(set, sizeof set, "BEGIN IMMEDIATE; UPDATE host SET applied = %lld", (long long)index);
        attempt(0, &key, &index, 1);
        if (sqlite3_exec(db, set, NULL, NULL, NULL) != SQLITE_OK) {
            give_up(sqlite3_errmsg(db));
        }
        if (ctrack_stage(db, NULL, &staged, 1, &error) != CTRACK_OK) {
            give_up(error.message);
        }
        if (sqlite3_exec(db, "COMMIT", NULL, NULL, NULL) != SQLITE_OK) {
            give_up(sqlite3_errmsg(db));
        }
        acknowledge(0, &key, &index, 1);
        ctrack_refresh(tracker, NULL);
        note_seen(tracker);
    }
}

typedef struct text {
    char bytes[2000];
    size_t size, read;
} text;

static int read_text(void *data, size_t size, size_t *got, void *argument)
{
    text *t = argument;
    *got = size < t->size - t->read ? size : t->size - t->read;
    memcpy(data, t->bytes + t->read, *got);
    t->read += *got;
    return 0;
}

/* All keys of the first writer get the same index in one restore. */
static _Noreturn void restore_for_ever(void)
{
    ctrack *tracker = open_tracker(false);
    for (int64_t index = atomic_load(&shared->keys[0][0].attempted) + 1;; index++) {
        int keys[KEYS];
        int64_t indexes[KEYS];
        text t = {.size = 0, .read = 0};
        for (int k = 0; k < KEYS; k++) {
            keys[k] = k;
            indexes[k] = index;
            t.size += (size_t)snprintf(t.bytes + t.size, sizeof t.bytes - t.size, "%s[\"%s:document:main\",%lld]",
                                       k == 0 ? "[" : ",", names[0][k], (long long)index);
        }
        t.size += (size_t)snprintf(t.bytes + t.size, sizeof t.bytes - t.size, "]\n");
        ctrack_error error;
        attempt(0, keys, indexes, KEYS);
        if (ctrack_restore(tracker, read_text, &t, "dump", CTRACK_RESTORE_REPLACE, NULL, &error) != CTRACK_OK) {
            give_up(error.message);
        }
        acknowledge(0, keys, indexes, KEYS);
        note_seen(tracker);
    }
}

static _Noreturn void export_for_ever(void)
{
    ctrack *tracker = open_tracker(false);
    for (;;) {
        ctrack_error error;
        int64_t before = atomic_load(&shared->keys[0][0].acknowledged);
        if (ctrack_export(tracker, copy, CTRACK_EXPORT_REPLACE, NULL, NULL, &error) != CTRACK_OK) {
            give_up(error.message);
        }
        atomic_store(&shared->exported, before);
    }
}

/* ---------------------------------------------------------------- the checker */

static pid_t start(setting kind, int number, unsigned long long random)
{
    fflush(NULL);
    pid_t child = fork();
    if (child != 0) {
        return child;
    }
    if (kind == STAGED) {
        stage_for_ever();
    } else if (kind == EXPORTED && number == 1) {
        export_for_ever();
    } else if (kind == RESTORED || kind == EXPORTED) {
        restore_for_ever();
    } else if (number >= WRITERS) {
        follow_for_ever();
    }
    write_for_ever(number, random | 1, kind == ALONE);
}

static void end(pid_t child, const char *place)
{
    int status = 0;
    kill(child, SIGKILL);
    if (waitpid(child, &status, 0) != child || !WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL) {
        violation(place, "a process ended by itself, with status %d", status);
    }
}

static void nap(unsigned long long *random)
{
    struct timespec moment = {0,
                              (long)(fault_draw(random) % MOST_NANOSECONDS)}; /* when to kill: nothing relies on it */
    nanosleep(&moment, NULL);
}

static int64_t host_number(const char *place)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *row = NULL;
    int64_t value = -1;
    sqlite3_open(path, &db);
    sqlite3_busy_timeout(db, 5000);
    sqlite3_prepare_v2(db,
                       "SELECT applied, (SELECT group_concat(integrity_check) FROM pragma_integrity_check) FROM host",
                       -1, &row, NULL);
    if (sqlite3_step(row) != SQLITE_ROW || strcmp((const char *)sqlite3_column_text(row, 1), "ok") != 0) {
        violation(place, "the file is damaged: %s", sqlite3_errmsg(db));
    } else {
        value = sqlite3_column_int64(row, 0);
    }
    sqlite3_finalize(row);
    sqlite3_close(db);
    return value;
}

static void check_key(ctrack *tracker, int writer, int key, const char *place)
{
    ctrack_key wanted = {names[writer][key], "document", "main"};
    int64_t stored = 0, acknowledged = atomic_load(&shared->keys[writer][key].acknowledged),
            attempted = atomic_load(&shared->keys[writer][key].attempted),
            seen = atomic_load(&shared->keys[writer][key].seen);
    ctrack_get_latest(tracker, &wanted, &stored);
    if (stored < acknowledged || stored > attempted || stored < seen) {
        violation(place, "%s: acknowledged %lld, seen %lld, stored %lld, attempted %lld", wanted.document_id,
                  (long long)acknowledged, (long long)seen, (long long)stored, (long long)attempted);
    }
    /* Whoever writes next counts on from what is there. */
    atomic_store(&shared->keys[writer][key].acknowledged, stored);
}

/* What an export that was cut short has left beside the copy the next one removes. */
static void check_cleaning(ctrack *tracker, const char *place)
{
    glob_t found;
    char pattern[320];
    ctrack_error error;
    snprintf(pattern, sizeof pattern, "%s.*", copy);
    if (ctrack_export(tracker, copy, CTRACK_EXPORT_REPLACE, NULL, NULL, &error) != CTRACK_OK) {
        violation(place, "the next export: %s", error.message);
    }
    if (glob(pattern, 0, NULL, &found) == 0) {
        violation(place, "%s is left behind", found.gl_pathv[0]);
        globfree(&found);
    }
}

/* The copy is there if one was made, and is a whole of one moment. */
static void check_copy(const char *place)
{
    ctrack *tracker = NULL;
    ctrack_error error;
    int64_t exported = atomic_load(&shared->exported), indexes[KEYS];
    if (access(copy, F_OK) != 0) {
        if (exported > 0) {
            violation(place, "the copy is gone");
        }
        return;
    }
    ctrack_options options = CTRACK_OPTIONS_INIT;
    options.read_only = true;
    if (ctrack_check(copy, 0, NULL, NULL, NULL, &error) != CTRACK_OK ||
        ctrack_open(copy, &options, &tracker, &error) != CTRACK_OK) {
        violation(place, "the copy: %s", error.message);
        return;
    }
    for (int k = 0; k < KEYS; k++) {
        ctrack_key key = {names[0][k], "document", "main"};
        indexes[k] = 0;
        ctrack_get_latest(tracker, &key, &indexes[k]);
    }
    if (indexes[0] != indexes[KEYS - 1] || indexes[0] < exported ||
        indexes[0] > atomic_load(&shared->keys[0][0].attempted)) {
        violation(place, "the copy has %lld and %lld, exported was at least %lld", (long long)indexes[0],
                  (long long)indexes[KEYS - 1], (long long)exported);
    }
    ctrack_close(tracker, NULL);
}

static void check(setting kind, const char *place)
{
    ctrack *tracker = NULL;
    ctrack_error error;
    int64_t applied = host_number(place), progress = 0, last = 0;
    ctrack_key first = {names[0][0], "document", "main"}, other = {names[0][KEYS - 1], "document", "main"};
    if (ctrack_open(path, NULL, &tracker, &error) != CTRACK_OK) {
        violation(place, "the file cannot be opened: %s", error.message);
        return;
    }
    for (int w = 0; w < WRITERS; w++) {
        for (int k = 0; k < KEYS; k++) {
            check_key(tracker, w, k, place);
        }
    }
    ctrack_get_latest(tracker, &first, &progress);
    ctrack_get_latest(tracker, &other, &last);
    bool staged = atomic_load(&shared->keys[0][0].acknowledged) > 0; /* else the host's number is the template's */
    if (kind == STAGED && staged && applied != progress) {
        violation(place, "the host has applied %lld, its progress is %lld", (long long)applied, (long long)progress);
    }
    if ((kind == RESTORED || kind == EXPORTED) && progress != last) {
        violation(place, "half a restore: %lld and %lld", (long long)progress, (long long)last);
    }
    if (kind == EXPORTED) {
        check_copy(place);
        check_cleaning(tracker, place);
    }
    ctrack_close(tracker, NULL);
}

static void begin(const char *directory)
{
    static ledger books;
    run r;
    run_begin(&r, directory, RUN_HOST, &books);
    memcpy(path, r.path, sizeof path);
    memcpy(copy, r.copy, sizeof copy);
    memset(shared, 0, sizeof *shared);
}

/* One round: processes start, some time passes, one or all of them are killed. Returns the kills. */
static unsigned long play(setting kind, unsigned long round, unsigned long long *random)
{
    char place[100];
    static const int counts[SETTINGS] = {[ALONE] = 1, [TOGETHER] = 4, [STAGED] = 1, [RESTORED] = 1, [EXPORTED] = 2};
    int count = counts[kind];
    pid_t children[4];
    snprintf(place, sizeof place, "round %lu, setting %d", round, (int)kind);
    atomic_store(&shared->started, 0);
    for (int i = 0; i < count; i++) {
        children[i] = start(kind, i, fault_draw(random));
    }
    if (fault_draw(random) % 4 != 0) { /* else they may die while they open the file */
        for (int i = 0; i < 4000 && atomic_load(&shared->started) == 0; i++) {
            struct timespec moment = {0, 500000};
            nanosleep(&moment, NULL);
        }
    }
    nap(random);
    int first = (int)(fault_draw(random) % (unsigned)count);
    for (int i = 0; i < count; i++) {
        end(children[(first + i) % count], place);
        if (i == 0 && count > 1) {
            nap(random); /* the others go on */
        }
    }
    check(kind, place);
    return (unsigned long)count;
}

int main(int argc, char **argv)
{
    fault_options(argc, argv);
    unsigned long long seed = fault_option("seed", (unsigned long long)time(NULL)), random = seed * 2 + 1;
    unsigned long kills = 0, wanted = (unsigned long)fault_option("kills", 3000);
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    for (int w = 0; w < WRITERS; w++) {
        for (int k = 0; k < KEYS; k++) {
            snprintf(names[w][k], sizeof names[w][k], "doc-%d-%d", w, k);
        }
    }
    ledger_init_keys();
    shim_install();
    const char *directory = fault_directory();
    run_make_templates(directory);
    sqlite3_vfs_register(sqlite3_vfs_find("unix"), 1); /* real processes need real naps */
    unsigned long long first = fault_option("setting", ALONE), last = fault_option("setting", SETTINGS - 1);
    for (unsigned long long kind = first; kind <= last && !fault_enough(); kind++) {
        unsigned long until = wanted * (unsigned long)(kind - first + 1) / (unsigned long)(last - first + 1);
        for (unsigned long round = 0; kills < until && !fault_enough(); round++) {
            if (round % (unsigned long)fault_option("rounds", ROUNDS) == 0) {
                begin(directory);
            }
            kills += play((setting)kind, round, &random);
        }
    }
    fault_remove_directory();
    printf("  --seed %llu\n", seed);
    return fault_report("kills", kills, "kills at random moments");
}
