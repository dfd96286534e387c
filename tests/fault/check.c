/* SPDX-License-Identifier: MIT */
#include "check.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fault.h"
#include "shim.h"

ledger_state check_no_progress(void)
{
    ledger_state state;
    memset(&state, 0xFF, sizeof state);
    return state;
}

int check_find_key(const char *document_id, const char *scope, const char *branch)
{
    for (int k = 0; k < LEDGER_KEYS; k++) {
        const ctrack_key *key = &ledger_keys[k];
        if (strcmp(key->document_id, document_id) == 0 && strcmp(key->scope, scope) == 0 &&
            strcmp(key->branch, branch) == 0) {
            return k;
        }
    }
    return -1;
}

int64_t check_next_index(void)
{
    static int64_t last = 1000000;
    return ++last;
}

/* ---------------------------------------------------------------- plain SQL */

static sqlite3 *open_database(const char *path, const char *vfs, const char *place)
{
    sqlite3 *db = NULL;
    int code = sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, vfs);
    if (code != SQLITE_OK) {
        violation(place, "SQLite cannot open the file: %s", sqlite3_errmsg(db));
        sqlite3_close(db);
        return NULL;
    }
    sqlite3_busy_timeout(db, 1000);
    return db;
}

/* The first column of the first row as a number; -1 if there is none. */
static int64_t number(sqlite3 *db, const char *sql, const char *place)
{
    sqlite3_stmt *statement = NULL;
    int64_t value = -1;
    if (sqlite3_prepare_v2(db, sql, -1, &statement, NULL) == SQLITE_OK) {
        int code = sqlite3_step(statement);
        value = code == SQLITE_ROW ? sqlite3_column_int64(statement, 0) : -1;
    }
    if (sqlite3_finalize(statement) != SQLITE_OK) {
        violation(place, "%s: %s", sql, sqlite3_errmsg(db));
    }
    return value;
}

/* What must hold in our tables at any time; each gives the number of offenders. */
static const char *const invariants[] = {
    "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check <> 'ok'",
    "SELECT count(*) FROM pragma_foreign_key_check",
    "SELECT (SELECT count(*) FROM ctrack_fold) <> 1",
    "SELECT count(*) FROM ctrack_fold WHERE folded_seq > coalesce((SELECT max(seq) FROM ctrack_advance), 0)",
    "SELECT count(*) FROM ctrack_advance WHERE operation_index IS NULL AND seq > (SELECT folded_seq FROM ctrack_fold)",
    "SELECT count(*) FROM ctrack_advance WHERE keyspace_id IS NULL "
    "AND coordinate_id NOT IN (SELECT id FROM ctrack_coordinate)",
    "SELECT count(*) FROM ctrack_advance WHERE keyspace_id IS NOT NULL "
    "AND keyspace_id NOT IN (SELECT id FROM ctrack_keyspace)",
    "SELECT abs(count(*) - max(version)) FROM ctrack_migration",
};

static void read_progress(sqlite3 *db, ledger_state *state, const char *place)
{
    static const char sql[] = "SELECT read_model, document_id, scope, branch, operation_index FROM ctrack_progress";
    sqlite3_stmt *rows = NULL;
    int code = sqlite3_prepare_v2(db, sql, -1, &rows, NULL);
    while (code == SQLITE_OK && sqlite3_step(rows) == SQLITE_ROW) {
        int model = 0;
        const char *text[4];
        for (int i = 0; i < 4; i++) {
            text[i] = (const char *)sqlite3_column_text(rows, i);
        }
        while (model < LEDGER_MODELS && strcmp(text[0], ledger_models[model]) != 0) {
            model++;
        }
        int key = check_find_key(text[1], text[2], text[3]);
        if (model == LEDGER_MODELS || key < 0) {
            violation(place, "the file has a key that nobody wrote");
        } else {
            state->index[model][key] = sqlite3_column_int64(rows, 4);
        }
    }
    if (sqlite3_finalize(rows) != SQLITE_OK) {
        violation(place, "reading the view: %s", sqlite3_errmsg(db));
    }
}

static bool has_table(sqlite3 *db, const char *name, const char *place)
{
    char sql[120];
    snprintf(sql, sizeof sql, "SELECT count(*) FROM sqlite_schema WHERE name = '%s'", name);
    return number(db, sql, place) == 1;
}

ledger_state check_read_file(const char *path, const char *place)
{
    ledger_state state = check_no_progress();
    sqlite3 *db = access(path, F_OK) == 0 ? open_database(path, SHIM_PLAIN, place) : NULL;
    if (db == NULL) {
        return state;
    }
    if (has_table(db, "ctrack_migration", place)) {
        for (size_t i = 0; i < sizeof invariants / sizeof invariants[0]; i++) {
            if (number(db, invariants[i], place) != 0) {
                violation(place, "this is not 0: %s", invariants[i]);
            }
        }
        read_progress(db, &state, place);
    }
    if (has_table(db, "host", place)) {
        state.host = number(db, "SELECT applied FROM host", place);
        if (number(db, "SELECT count(*) FROM filler", place) != 200) {
            violation(place, "the host's rows are not all there");
        }
    }
    /* The checker leaves the file as it finds it. */
    sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    sqlite3_close(db);
    return state;
}

static void insert_progress(sqlite3 *db, const ledger_change *change, int model, int key, const char *place)
{
    sqlite3_stmt *insert = NULL;
    sqlite3_prepare_v2(db, "INSERT INTO ctrack_progress VALUES (?1, ?2, ?3, ?4, ?5, NULL)", -1, &insert, NULL);
    sqlite3_bind_text(insert, 1, ledger_models[model], -1, SQLITE_STATIC);
    sqlite3_bind_text(insert, 2, ledger_keys[key].document_id, -1, SQLITE_STATIC);
    sqlite3_bind_text(insert, 3, ledger_keys[key].scope, -1, SQLITE_STATIC);
    sqlite3_bind_text(insert, 4, ledger_keys[key].branch, -1, SQLITE_STATIC);
    sqlite3_bind_int64(insert, 5, change->values.index[model][key]);
    sqlite3_step(insert);
    if (sqlite3_finalize(insert) != SQLITE_OK) {
        violation(place, "plain SQL cannot report progress: %s", sqlite3_errmsg(db));
    }
}

void check_write_foreign(const run *r, const ledger_change *change)
{
    sqlite3 *db = open_database(r->path, NULL, r->place);
    if (db == NULL) {
        return;
    }
    sqlite3_exec(db, "PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0; BEGIN IMMEDIATE", NULL, NULL, NULL);
    for (int m = 0; m < LEDGER_MODELS; m++) {
        for (int k = 0; k < LEDGER_KEYS && change->models[m]; k++) {
            if (change->values.index[m][k] != LEDGER_NEVER) {
                insert_progress(db, change, m, k, r->place);
            }
        }
    }
    if (sqlite3_exec(db, "COMMIT", NULL, NULL, NULL) != SQLITE_OK) {
        violation(r->place, "plain SQL cannot commit: %s", sqlite3_errmsg(db));
    }
    sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    sqlite3_close(db);
}

/* ---------------------------------------------------------------- the whole file */

/* Whether a file is one that a dead process could not remove; it is removed now. */
static bool excused(const run *r, const char *directory, const char *name)
{
    char path[600];
    struct stat found;
    snprintf(path, sizeof path, "%s/%s", directory, name);
    bool unfinished = strncmp(path, r->copy, strlen(r->copy)) == 0 && path[strlen(r->copy)] == '.';
    return r->killed && stat(path, &found) == 0 && (found.st_size == 0 || found.st_nlink > 1 || unfinished) &&
           unlink(path) == 0;
}

/* Nothing but the database and what belongs to it stays behind. */
static void check_directory(const run *r)
{
    char directory[300];
    snprintf(directory, sizeof directory, "%s", r->path);
    *strrchr(directory, '/') = '\0';
    const char *const names[] = {r->path + strlen(directory) + 1, r->copy + strlen(directory) + 1};
    DIR *stream = opendir(directory);
    for (struct dirent *entry = readdir(stream); entry != NULL; entry = readdir(stream)) {
        const char *rest = "";
        for (int i = 0; i < 2; i++) {
            size_t length = strlen(names[i]);
            rest = strncmp(entry->d_name, names[i], length) == 0 ? entry->d_name + length : rest;
        }
        bool known =
            *rest == '\0' || strcmp(rest, "-wal") == 0 || strcmp(rest, "-shm") == 0 || strcmp(rest, "-journal") == 0;
        if (!known && !excused(r, directory, entry->d_name)) {
            violation(r->place, "the file %s is left behind", entry->d_name);
        }
    }
    closedir(stream);
}

/* The lowest free descriptor says whether one was leaked. */
static void check_descriptors(const run *r)
{
    static int expected = -1;
    int lowest = open("/dev/null", O_RDONLY | O_CLOEXEC);
    close(lowest);
    expected = expected < 0 ? lowest : expected;
    if (lowest != expected) {
        violation(r->place, "a descriptor is leaked");
        expected = lowest;
    }
}

/* What SQLite holds while nothing is open. */
static void check_sqlite_memory(const run *r)
{
    static sqlite3_int64 expected = -1;
    sqlite3_int64 used = sqlite3_memory_used();
    expected = expected < 0 ? used : expected;
    if (used > expected) {
        violation(r->place, "%lld bytes of SQLite's memory are leaked", (long long)(used - expected));
        expected = used;
    }
}

void check_exported(const run *r)
{
    bool exists = access(r->copy, F_OK) == 0;
    ledger_state state = check_read_file(r->copy, r->place);
    if (!ledger_allows_copy(r->books, exists ? &state : NULL)) {
        char has[400] = "nothing";
        if (exists) {
            ledger_print(&state, has, sizeof has);
        }
        violation(r->place, "the exported copy has %s", has);
    }
    ledger_copy_found(r->books, exists ? &state : NULL);
}

static void expect_allowed(const run *r, const ledger_state *state)
{
    if (!ledger_allows(r->books, state)) {
        char has[400], must[400];
        ledger_print(state, has, sizeof has);
        ledger_print(&r->books->possible[0], must, sizeof must);
        violation(r->place, "LOST OR HALF DONE: the file has %s, expected %s or one of %zu others", has, must,
                  r->books->count - 1);
    }
    ledger_found(r->books, state);
}

/* A tracker opens the file, agrees with the books, and reports progress. */
static void work_on(run *r, int model)
{
    ledger_change next = ledger_no_change(LEDGER_RAISE);
    ledger_name(&next, model, 2, check_next_index());
    run_open(r, 0, model, false);
    run_update(r, 0, &next);
    if (r->trackers[0] != NULL) {
        run_close(r, 0);
    }
}

static void read_from_outside(run *r)
{
    ledger_state state = check_read_file(r->path, r->place);
    expect_allowed(r, &state);
}

void run_check_file(run *r)
{
    static unsigned turns;
    turns++;
    r->fault = RUN_NO_FAULT;
    /* Now SQLite recovers the file, now the library; what the second one finds must agree with the first. */
    if (turns % 2 == 0) {
        read_from_outside(r);
        work_on(r, (int)(turns / 2 % LEDGER_MODELS));
    } else {
        ledger_all_unknown(r->books);
        work_on(r, (int)(turns / 2 % LEDGER_MODELS));
        read_from_outside(r);
    }
    check_exported(r);
    check_directory(r);
    check_descriptors(r);
    check_sqlite_memory(r);
}
