/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE /* RTLD_DEEPBIND */
#include "host.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <sqlite3.h>

enum { BUSY_MS = 5000, MOST_DESCRIPTORS = 4096, CHILD_SECONDS = 20 };

host_places places;
host_findings *findings;

int64_t host_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

void host_nap(int64_t nanoseconds)
{
    struct timespec moment = {nanoseconds / 1000000000, nanoseconds % 1000000000};
    nanosleep(&moment, NULL);
}

/* ---------------------------------------------------------------- SQL */

sqlite3 *host_open(const char *path)
{
    sqlite3 *db = NULL;
    if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL) != SQLITE_OK) {
        object("SQLite cannot open %s: %s", path, sqlite3_errmsg(db));
        sqlite3_close(db);
        return NULL;
    }
    sqlite3_busy_timeout(db, BUSY_MS);
    sqlite3_exec(db, "PRAGMA wal_autocheckpoint = 0", NULL, NULL, NULL);
    return db;
}

bool host_run(sqlite3 *db, const char *sql)
{
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK) {
        object("%s: %s", sql, sqlite3_errmsg(db));
        return false;
    }
    return true;
}

void host_make(const char *path, bool progress)
{
    sqlite3 *db = NULL;
    if (sqlite3_open(path, &db) != SQLITE_OK ||
        sqlite3_exec(db,
                     "PRAGMA journal_mode = WAL; CREATE TABLE host (applied INTEGER); INSERT INTO host VALUES (-1);"
                     "CREATE TABLE filler (text TEXT); WITH n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 200)"
                     "INSERT INTO filler SELECT printf('%200d', i) FROM n",
                     NULL, NULL, NULL) != SQLITE_OK) {
        fprintf(stderr, "%s: %s\n", path, sqlite3_errmsg(db));
        exit(EXIT_FAILURE);
    }
    sqlite3_close(db);
    /* The keys come in another order than in the other file: their ids are others. */
    ctrack *tracker = NULL;
    ctrack_error error;
    if (ctrack_open(path, NULL, &tracker, &error) != CTRACK_OK) {
        fprintf(stderr, "%s: %s\n", path, error.message);
        exit(EXIT_FAILURE);
    }
    for (int k = TALLY_DEFAULT - 1; progress && k >= 0; k--) {
        ctrack_coordinate some = tally_coordinate(k, k + 1);
        if (k != TALLY_STAGER && ctrack_update(tracker, &some, 1, &error) != CTRACK_OK) {
            fprintf(stderr, "%s: %s\n", path, error.message);
            exit(EXIT_FAILURE);
        }
    }
    ctrack_close(tracker, NULL);
}

/* The key's index in the file, by the view; the other keys must be known. */
static void read_rows(sqlite3 *db, tally_state *state)
{
    sqlite3_stmt *rows = NULL;
    int code = sqlite3_prepare_v2(db, "SELECT * FROM ctrack_progress", -1, &rows, NULL);
    while (code == SQLITE_OK && sqlite3_step(rows) == SQLITE_ROW) {
        const char *text[4];
        int k = 0;
        for (int i = 0; i < 4; i++) {
            text[i] = (const char *)sqlite3_column_text(rows, i);
        }
        while (k < TALLY_KEYS &&
               (strcmp(tally_keys[k].model, text[0]) != 0 || strcmp(tally_keys[k].key.document_id, text[1]) != 0 ||
                strcmp(tally_keys[k].key.scope, text[2]) != 0 || strcmp(tally_keys[k].key.branch, text[3]) != 0)) {
            k++;
        }
        if (k == TALLY_KEYS) {
            object("the file has %s|%s|%s|%s, which nobody wrote", text[0], text[1], text[2], text[3]);
        } else {
            state->index[k] = sqlite3_column_int64(rows, 4);
        }
    }
    if (sqlite3_finalize(rows) != SQLITE_OK) {
        object("reading the view: %s", sqlite3_errmsg(db));
    }
}

static bool read_state(const char *path, tally_state *state)
{
    memset(state, 0xFF, sizeof *state); /* TALLY_NEVER */
    sqlite3 *db = host_open(path);
    sqlite3_stmt *row = NULL;
    if (db == NULL) {
        return false;
    }
    bool fine = host_run(db, "BEGIN");
    read_rows(db, state);
    if (sqlite3_prepare_v2(db, "SELECT applied FROM host", -1, &row, NULL) == SQLITE_OK &&
        sqlite3_step(row) == SQLITE_ROW) {
        state->applied = sqlite3_column_int64(row, 0);
    }
    if (sqlite3_finalize(row) != SQLITE_OK) {
        object("the host's row: %s", sqlite3_errmsg(db));
        fine = false;
    }
    sqlite3_close(db);
    return fine;
}

static bool report_by_sql(sqlite3 *db, int key, int64_t index)
{
    char sql[300];
    const tally_key *k = &tally_keys[key];
    unsigned long began = tally_begin();
    snprintf(sql, sizeof sql, "INSERT INTO ctrack_progress VALUES ('%s', '%s', '%s', '%s', %lld, NULL)", k->model,
             k->key.document_id, k->key.scope, k->key.branch, (long long)index);
    tally_attempt(key, index);
    bool fine = host_run(db, sql);
    if (fine) {
        tally_acknowledge(key, index, began);
    }
    return fine;
}

/* ---------------------------------------------------------------- opened and closed */

static bool read_files(const host_act *act)
{
    const char *const names[] = {places.file, places.wal, places.shm};
    for (int64_t i = 0; i <= act->draws[1] % 3; i++) {
        char bytes[100];
        int file = open(names[(act->draws[0] + i) % 3], O_RDONLY | O_CLOEXEC);
        if (file >= 0 && read(file, bytes, sizeof bytes) < 0) {
            object("%s cannot be read", names[(act->draws[0] + i) % 3]);
        }
        host_nap(act->draws[2] % 300000);
        if (file >= 0) {
            close(file);
        }
    }
    return true;
}

static bool visit(const host_act *act)
{
    sqlite3 *db = host_open(places.file);
    bool fine = db != NULL && host_run(db, "SELECT count(*) FROM ctrack_progress");
    if (fine && act->draws[0] % 2 == 0) {
        fine = report_by_sql(db, TALLY_SQL, tally_next(TALLY_SQL));
    }
    sqlite3_close(db);
    return fine;
}

#ifdef SECOND_SQLITE
bool host_has_second_sqlite(void)
{
    return true;
}

static bool visit_with_second_sqlite(const host_act *act)
{
    (void)act;
    static void *library;
    sqlite3 *db = NULL;
    if (library == NULL) {
        library = dlopen(SECOND_SQLITE, RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND);
    }
    if (library == NULL) {
        object("the second SQLite cannot be loaded: %s", dlerror());
        return false;
    }
    int (*open_it)(const char *, sqlite3 **, int, const char *);
    int (*run_it)(sqlite3 *, const char *, void *, void *, char **);
    int (*close_it)(sqlite3 *);
    *(void **)&open_it = dlsym(library, "sqlite3_open_v2");
    *(void **)&run_it = dlsym(library, "sqlite3_exec");
    *(void **)&close_it = dlsym(library, "sqlite3_close");
    if (open_it(places.file, &db, SQLITE_OPEN_READWRITE, NULL) == SQLITE_OK) {
        /* What it says is its own affair: locks do not hold between two copies in one process. */
        run_it(db, "PRAGMA wal_autocheckpoint = 0; SELECT count(*) FROM ctrack_progress", NULL, NULL, NULL);
    }
    close_it(db);
    return true;
}
#else
bool host_has_second_sqlite(void)
{
    return false;
}

static bool visit_with_second_sqlite(const host_act *act)
{
    (void)act;
    return false;
}
#endif

/* A tracker on the file for a moment: opened, updated, closed. */
static bool update_once(const char *model, int key, int64_t index)
{
    ctrack *tracker = NULL;
    ctrack_error error;
    ctrack_options options = CTRACK_OPTIONS_INIT;
    ctrack_coordinate progress = tally_coordinate(key, index);
    unsigned long began = tally_begin();
    options.read_model = model;
    tally_attempt(key, index);
    if (ctrack_open(places.file, &options, &tracker, &error) != CTRACK_OK) {
        object("a tracker cannot be opened: %s", error.message);
        return false;
    }
    bool fine = ctrack_update(tracker, &progress, 1, &error) == CTRACK_OK;
    if (fine) {
        tally_acknowledge(key, index, began);
    } else {
        object("a tracker that was just opened cannot be updated: %s", error.message);
    }
    ctrack_close(tracker, NULL);
    return fine;
}

static bool tracker_elsewhere(const host_act *act)
{
    ctrack *tracker = NULL;
    ctrack_error error;
    ctrack_key key = tally_keys[TALLY_ELSEWHERE].key;
    int64_t index = 0;
    ctrack_coordinate next = tally_coordinate(TALLY_ELSEWHERE, 0);
    bool fine = ctrack_open(places.other, NULL, &tracker, &error) == CTRACK_OK;
    if (fine) {
        ctrack_get_latest(tracker, &key, &index);
        next.operation_index = index + 1;
        fine = act->draws[0] % 2 == 0 || ctrack_update(tracker, &next, 1, &error) == CTRACK_OK;
        ctrack_close(tracker, NULL);
    }
    if (!fine) {
        object("the other file: %s", error.message);
    }
    return fine;
}

/* ---------------------------------------------------------------- forks */

/* In the child: what was the parent's is refused, opening too, and a tracker in memory works. */
static int try_in_child(ctrack *inherited)
{
    ctrack *tracker = NULL;
    ctrack_coordinate progress = tally_coordinate(TALLY_ONE_SHOT, 1);
    if (ctrack_update(inherited, &progress, 1, NULL) != CTRACK_FORKED) {
        return 2;
    }
    if (ctrack_open(places.file, NULL, &tracker, NULL) != CTRACK_FORKED) {
        return 3;
    }
    if (ctrack_open(NULL, NULL, &tracker, NULL) != CTRACK_OK ||
        ctrack_update(tracker, &progress, 1, NULL) != CTRACK_OK || ctrack_close(tracker, NULL) != CTRACK_OK) {
        return 4;
    }
    return 0;
}

/* The child tries its handles, and lives until the pipe is closed. */
static pid_t start_child(ctrack *inherited, const int ends[2])
{
    char byte;
    pid_t child = fork();
    if (child != 0) {
        return child;
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGALRM, SIG_DFL);
    alarm(CHILD_SECONDS);
    close(ends[1]);
    int result = try_in_child(inherited);
    while (read(ends[0], &byte, 1) < 0 && errno == EINTR) {
    }
    _exit(result);
}

static bool fork_child(const host_act *act, const host_guests *guests, bool live_on)
{
    int ends[2], status = 0;
    if (pipe(ends) != 0) {
        return false;
    }
    pid_t child = start_child(guests->tracker, ends);
    if (child > 0 && live_on) {
        guests->reopen();
        host_nap(act->draws[0] % 3000000);
        guests->reopen();
    }
    close(ends[0]);
    close(ends[1]);
    while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    if (child < 0 || !WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        static const char *const complaints[] = {"", "", "used its parent's tracker", "opened the file",
                                                 "could not use memory"};
        int code = WIFEXITED(status) ? WEXITSTATUS(status) : 0;
        object("a forked child %s (status %d)", complaints[code > 4 ? 0 : code], status);
    }
    return true;
}

/* ---------------------------------------------------------------- descriptors */

static bool lower_limit(const host_act *act)
{
    struct rlimit usual, lower;
    getrlimit(RLIMIT_NOFILE, &usual);
    lower = usual;
    lower.rlim_cur = 3;
    setrlimit(RLIMIT_NOFILE, &lower);
    host_nap(act->draws[0] % 20000000);
    setrlimit(RLIMIT_NOFILE, &usual);
    return true;
}

/* Under a limit that is not far, so that it does not take long. */
static bool use_up_descriptors(const host_act *act)
{
    static int taken[MOST_DESCRIPTORS];
    struct rlimit usual, lower;
    int count = 0;
    getrlimit(RLIMIT_NOFILE, &usual);
    lower = usual;
    lower.rlim_cur = 200;
    setrlimit(RLIMIT_NOFILE, &lower);
    while (count < MOST_DESCRIPTORS && (taken[count] = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0) {
        count++;
    }
    host_nap(act->draws[0] % 20000000);
    while (count > 0) {
        close(taken[--count]);
    }
    setrlimit(RLIMIT_NOFILE, &usual);
    return true;
}

/* ---------------------------------------------------------------- locks */

static bool hold(const host_act *act, const char *how, int64_t most)
{
    sqlite3 *db = host_open(places.file);
    bool fine = db != NULL && host_run(db, how);
    if (fine) {
        host_nap(act->draws[1] % most);
        fine = host_run(db, "ROLLBACK");
    }
    sqlite3_close(db);
    return fine;
}

static bool hold_lock(const host_act *act)
{
    return hold(act, act->draws[0] % 2 == 0 ? "BEGIN IMMEDIATE" : "BEGIN EXCLUSIVE", 30000000);
}

static bool read_long(const host_act *act)
{
    return hold(act, "BEGIN; SELECT count(*) FROM ctrack_progress", act->draws[0] % 8 == 0 ? 150000000 : 30000000);
}

static bool checkpoint(const host_act *act)
{
    (void)act;
    sqlite3 *db = host_open(places.file);
    bool fine = db != NULL && host_run(db, "PRAGMA wal_checkpoint(TRUNCATE)");
    sqlite3_close(db);
    return fine;
}

/* ---------------------------------------------------------------- backups */

/* One database becomes a copy of another one, in one transaction. Others' locks may keep it out. */
static bool copy_database(const char *from_path, const char *to_path)
{
    sqlite3 *from = host_open(from_path), *to = host_open(to_path);
    sqlite3_backup *backup = from != NULL && to != NULL ? sqlite3_backup_init(to, "main", from, "main") : NULL;
    int64_t end = host_now() + INT64_C(1000000) * BUSY_MS;
    int code = SQLITE_ERROR;
    while (backup != NULL && host_now() < end) {
        code = sqlite3_backup_step(backup, -1);
        if (code != SQLITE_BUSY && code != SQLITE_LOCKED) {
            break;
        }
        host_nap(500000);
    }
    if (backup == NULL || code != SQLITE_DONE) {
        object("a backup of %s: %s", from_path, sqlite3_errstr(code));
    }
    bool fine = sqlite3_backup_finish(backup) == SQLITE_OK && code == SQLITE_DONE;
    sqlite3_close(to);
    sqlite3_close(from);
    return fine;
}

static char *backup_path(int64_t slot, char path[340])
{
    snprintf(path, 340, "%s/%d.db", places.backups, (int)slot);
    return path;
}

static bool back_up(const host_act *act)
{
    char path[340];
    int slot = (int)(act->draws[0] % HOST_BACKUPS);
    int file = open(backup_path(slot, path), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    close(file);
    return copy_database(places.file, path) && read_state(path, &findings->backups[slot]);
}

/* draws[0]: which backup; HOST_OTHER_BACKUP is the other file. */
static bool restore(const host_act *act)
{
    char path[340];
    if (act->draws[0] != HOST_OTHER_BACKUP) {
        return copy_database(backup_path(act->draws[0], path), places.file);
    }
    return read_state(places.other, &findings->backups[HOST_OTHER_BACKUP]) && copy_database(places.other, places.file);
}

/* ---------------------------------------------------------------- schemas */

static bool migrate(const host_act *act)
{
    static const char *const changes[] = {
        "DROP TABLE IF EXISTS extra; CREATE TABLE extra (a, b); INSERT INTO extra VALUES (1, 2)",
        "DROP TABLE IF EXISTS extra; CREATE TABLE extra (a); ALTER TABLE extra ADD COLUMN c DEFAULT 3;"
        "ALTER TABLE extra RENAME COLUMN c TO d",
        "DROP TABLE IF EXISTS extra",
        "VACUUM",
        "ANALYZE",
        "CREATE INDEX IF NOT EXISTS host_index ON host (applied)",
        "DROP INDEX IF EXISTS host_index; REINDEX",
        "DROP TABLE IF EXISTS documents; CREATE TABLE documents (json TEXT CHECK (json_valid(json)))",
        "DROP TABLE IF EXISTS documents; CREATE TABLE documents (json TEXT);"
        "CREATE INDEX by_name ON documents (json_extract(json, '$.name'))",
    };
    sqlite3 *db = host_open(places.file);
    bool fine = db != NULL && host_run(db, changes[act->draws[0] % (int64_t)(sizeof changes / sizeof changes[0])]);
    sqlite3_close(db);
    return fine;
}

/* Somebody tries a trigger on a table of ours, and thinks better of it. */
static bool alter_ours(const host_act *act)
{
    sqlite3 *db = host_open(places.file);
    bool fine =
        db != NULL && host_run(db, "CREATE TRIGGER foreign_one AFTER INSERT ON ctrack_advance BEGIN SELECT 1; END");
    if (fine) {
        host_nap(act->draws[0] % 10000000);
        fine = host_run(db, "DROP TRIGGER foreign_one");
    }
    sqlite3_close(db);
    return fine;
}

/* ---------------------------------------------------------------- other names */

static bool replace_open_file(const host_act *act)
{
    (void)act;
    ctrack *tracker = NULL;
    ctrack_error error;
    struct stat before, after;
    if (ctrack_open(places.other, NULL, &tracker, &error) != CTRACK_OK || stat(places.file, &before) != 0) {
        object("the other file: %s", error.message);
        return false;
    }
    if (ctrack_export(tracker, places.file, CTRACK_EXPORT_REPLACE, NULL, NULL, &error) == CTRACK_OK) {
        object("a file that is open was replaced");
    }
    if (stat(places.file, &after) != 0 || before.st_ino != after.st_ino) {
        object("the name has another file");
    }
    ctrack_close(tracker, NULL);
    return true;
}

/* Under a second name the file has a second log: refused, by either name. */
static bool open_other_name(const host_act *act)
{
    (void)act;
    ctrack *tracker = NULL;
    char path[360];
    snprintf(path, sizeof path, "%s.too", places.file);
    if (ctrack_open(path, NULL, &tracker, NULL) == CTRACK_OK) {
        object("the file was opened by its second name");
        ctrack_close(tracker, NULL);
    }
    return true;
}

/* ---------------------------------------------------------------- the probe, and the check */

static bool probe_by_tracker(const host_act *act)
{
    bool fine = update_once("default", TALLY_PROBE, act->draws[0]);
    atomic_store(&findings->probed_ns, fine ? host_now() : 0);
    return fine;
}

static bool probe_by_sql(const host_act *act)
{
    sqlite3 *db = host_open(places.file);
    bool fine = db != NULL && report_by_sql(db, TALLY_PROBE, act->draws[0]);
    atomic_store(&findings->probed_ns, fine ? host_now() : 0);
    sqlite3_close(db);
    return fine;
}

static int on_finding(const ctrack_finding *finding, void *argument)
{
    (void)argument;
    if (strcmp(finding->rule, "not-checked") == 0) { /* a table of the host's */
        return 0;
    }
    object("check: %s, %s: %s", finding->rule, finding->table, finding->what);
    return 0;
}

/* A process that has had nothing to do with the file looks at it: with plain SQL, with ctrack_check() and a tracker. */
static bool check(const host_act *act)
{
    ctrack_error error;
    ctrack *tracker = NULL;
    ctrack_options options = CTRACK_OPTIONS_INIT;
    options.read_only = act->draws[0] % 2 == 0;
    options.lazy = act->draws[0] % 3 == 0;
    bool fine = read_state(places.file, &findings->state);
    ctrack_status status = ctrack_check(places.file, BUSY_MS, on_finding, NULL, NULL, &error);
    if (status == CTRACK_OK) {
        status = ctrack_open(places.file, &options, &tracker, &error);
    }
    if (status != CTRACK_OK) {
        object("the file: %s", error.message);
        return false;
    }
    for (int k = 0; k < TALLY_DEFAULT; k++) {
        int64_t index = TALLY_NEVER;
        ctrack_get_latest(tracker, &tally_keys[k].key, &index);
        if (index != findings->state.index[k]) {
            object("a new tracker says %lld of %s:%s, the file has %lld", (long long)index,
                   tally_keys[k].key.document_id, tally_keys[k].key.scope, (long long)findings->state.index[k]);
        }
    }
    ctrack_close(tracker, NULL);
    return fine;
}

static bool tracker_beside(const host_act *act)
{
    (void)act;
    return update_once("other", TALLY_OTHER, tally_next(TALLY_OTHER));
}

static bool one_shot(const host_act *act)
{
    (void)act;
    return update_once("default", TALLY_ONE_SHOT, tally_next(TALLY_ONE_SHOT));
}

bool host_do(const host_act *act, const host_guests *guests)
{
    static bool (*const acts[HOST_KINDS])(const host_act *act) = {
        [HOST_READ_FILES] = read_files,
        [HOST_VISIT] = visit,
        [HOST_VISIT_WITH_SECOND_SQLITE] = visit_with_second_sqlite,
        [HOST_TRACKER_BESIDE] = tracker_beside,
        [HOST_TRACKER_ELSEWHERE] = tracker_elsewhere,
        [HOST_LOWER_LIMIT] = lower_limit,
        [HOST_USE_UP_DESCRIPTORS] = use_up_descriptors,
        [HOST_HOLD_LOCK] = hold_lock,
        [HOST_READ_LONG] = read_long,
        [HOST_BACK_UP] = back_up,
        [HOST_RESTORE] = restore,
        [HOST_MIGRATE] = migrate,
        [HOST_ALTER_OURS] = alter_ours,
        [HOST_CHECKPOINT] = checkpoint,
        [HOST_REPLACE_OPEN_FILE] = replace_open_file,
        [HOST_OPEN_OTHER_NAME] = open_other_name,
        [HOST_ONE_SHOT] = one_shot,
        [HOST_PROBE_ONE_SHOT] = probe_by_tracker,
        [HOST_PROBE_SQL] = probe_by_sql,
        [HOST_CHECK] = check,
    };
    if (act->kind == HOST_FORK || act->kind == HOST_FORK_AND_LIVE_ON) {
        return fork_child(act, guests, act->kind == HOST_FORK_AND_LIVE_ON);
    }
    return acts[act->kind](act);
}
