/* SPDX-License-Identifier: MIT */
#include "run.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "check.h"
#include "fault.h"
#include "fold.h"
#include "promise.h"
#include "template.h"
#include "tracker.h"

/* ---------------------------------------------------------------- judging */

/* Whether a call may end like this while that is injected. Whatever SQLite rides out is fine, too. */
static bool documented(const run *r, ctrack_status status)
{
    switch (r->fault) {
    case RUN_NO_FAULT:
        return false;
    case RUN_IO:
        return status == CTRACK_IO;
    case RUN_FULL:
        return status == CTRACK_FULL || status == CTRACK_IO;
    case RUN_NO_MEMORY:
        return status == CTRACK_NO_MEMORY || status == CTRACK_IO;
    case RUN_BUSY:
        return status == CTRACK_BUSY;
    case RUN_CORRUPT:
        return status == CTRACK_CORRUPT || status == CTRACK_IO;
    case RUN_NO_POWER: /* SQLite makes CORRUPT of EIO when it reads */
        return status == CTRACK_CORRUPT || status == CTRACK_IO || status == CTRACK_READ_ONLY;
    }
    return false;
}

static bool is_broken(const run *r, int tracker)
{
    return r->trackers[tracker]->store->broken;
}

/* A tracker whose commit has failed says CTRACK_IO until it is opened again. */
static void judge(run *r, int tracker, const char *call, ctrack_status status, const ctrack_error *error, bool broken)
{
    if (status == CTRACK_OK) {
        return;
    }
    if (tracker >= 0 && broken && status == CTRACK_IO) {
        return;
    }
    if (!documented(r, status)) {
        violation(r->place, "%s is %s: %s", call, ctrack_status_name(status), error->message);
    } else if (error->status != status || error->message[0] == '\0') {
        violation(r->place, "%s is %s, but its error says %s: \"%s\"", call, ctrack_status_name(status),
                  ctrack_status_name(error->status), error->message);
    }
}

static ledger_outcome success(const run *r)
{
    return r->fault == RUN_NO_POWER ? LEDGER_UNKNOWN : LEDGER_DONE;
}

void run_judge(run *r, const char *call, ctrack_status status, const ctrack_error *error)
{
    const ctrack_error none = {.status = status, .message = "no message"};
    judge(r, -1, call, status, error != NULL ? error : &none, false);
}

/* The outcome is unknown only if this very call has made the tracker say so from now on. */
static ledger_outcome outcome_of(const run *r, int tracker, ctrack_status status, bool was_broken)
{
    bool unknown = status == CTRACK_IO && is_broken(r, tracker) && !was_broken;
    return status == CTRACK_OK ? success(r) : unknown ? LEDGER_UNKNOWN : LEDGER_NOT_DONE;
}

/* ---------------------------------------------------------------- memory */

static bool read_memory(const run *r, int tracker, ledger_state *state)
{
    ctrack_snapshot *snapshot = NULL;
    int model = r->models[tracker];
    *state = check_no_progress();
    if (ctrack_serialize(r->trackers[tracker], &snapshot, NULL) != CTRACK_OK) {
        violation(r->place, "ctrack_serialize fails without a cause");
        return false;
    }
    for (size_t i = 0; i < ctrack_snapshot_count(snapshot); i++) {
        const ctrack_coordinate *entry = &ctrack_snapshot_entries(snapshot)[i];
        int key = check_find_key(entry->document_id, entry->scope, entry->branch);
        if (key < 0) {
            violation(r->place, "memory has a key that nobody wrote");
        } else {
            state->index[model][key] = entry->operation_index;
        }
    }
    ctrack_snapshot_free(snapshot);
    return true;
}

static void report_memory(const run *r, const char *when, const ledger_state *found, const ledger_state *expected)
{
    char has[400], must[400];
    ledger_print(found, has, sizeof has);
    ledger_print(expected, must, sizeof must);
    violation(r->place, "after %s memory has %s, not %s", when, has, must);
}

/* Memory is what it was. */
static void expect_memory(run *r, int tracker, const char *when)
{
    ledger_state found;
    if (read_memory(r, tracker, &found) && !ledger_same_model(&found, &r->shown[tracker], r->models[tracker])) {
        report_memory(r, when, &found, &r->shown[tracker]);
    }
}

/*
 * The tracker has looked at the file: it shows one of the states that the file may have. What it has shown must stay,
 * so those without it are possible no more. (A commit whose outcome is unknown may be invisible now and be there after
 * a restart; so nothing is excluded by its not being seen.)
 */
static void expect_something_possible(run *r, int tracker, const char *when)
{
    int model = r->models[tracker];
    ledger_state found;
    if (!read_memory(r, tracker, &found)) {
        return;
    }
    r->shown[tracker] = found;
    if (r->fault == RUN_NO_POWER || ledger_same_model(&found, &r->books->possible[0], model)) {
        return;
    }
    ledger kept = *r->books;
    kept.count = 0;
    for (size_t i = 0; i < r->books->count; i++) {
        if (ledger_same_model(&found, &r->books->possible[i], model)) {
            kept.possible[kept.count++] = r->books->possible[i];
        }
    }
    if (kept.count == 0) {
        report_memory(r, when, &found, &r->books->possible[0]);
        return;
    }
    *r->books = kept;
}

/* ---------------------------------------------------------------- opening and closing */

void run_open(run *r, int tracker, int model, bool read_only)
{
    ctrack_options options = CTRACK_OPTIONS_INIT;
    ctrack_error error;
    options.read_model = ledger_models[model];
    options.read_only = read_only;
    options.busy_timeout_ms = 0;
    ctrack_status status = ctrack_open(r->path, &options, &r->trackers[tracker], &error);
    fault_pause();
    judge(r, -1, "ctrack_open", status, &error, false);
    r->models[tracker] = model;
    if (status == CTRACK_OK) {
        expect_something_possible(r, tracker, "ctrack_open");
    }
    fault_resume();
}

void run_close(run *r, int tracker)
{
    ctrack *closing = r->trackers[tracker];
    r->trackers[tracker] = NULL;
    ctrack_status status = ctrack_close(closing, NULL);
    fault_pause();
    if (status == CTRACK_NO_MEMORY && r->fault == RUN_NO_MEMORY) {
        status = ctrack_close(closing, NULL);
    }
    if (status != CTRACK_OK) {
        violation(r->place, "ctrack_close is %s", ctrack_status_name(status));
    }
    fault_resume();
}

/* ---------------------------------------------------------------- updates */

static size_t coordinates_of(const ledger_change *change, int model, ctrack_coordinate coordinates[LEDGER_KEYS])
{
    size_t count = 0;
    for (int k = 0; k < LEDGER_KEYS; k++) {
        if (change->values.index[model][k] != LEDGER_NEVER) {
            const ctrack_key *key = &ledger_keys[k];
            coordinates[count++] =
                (ctrack_coordinate){key->document_id, key->scope, key->branch, change->values.index[model][k]};
        }
    }
    return count;
}

/* A wait for the update's last coordinate, which needs no thread. */
static ctrack_promise *expect_wake(run *r, int tracker, const ctrack_coordinate *coordinate)
{
    ctrack_promise *promise = NULL;
    ct_promise_make(r->trackers[tracker]->board, coordinate, 1, CTRACK_FOREVER, NULL, &promise, NULL);
    if (promise == NULL || ctrack_promise_status(promise) != CTRACK_PENDING) {
        ctrack_promise_release(promise);
        return NULL; /* it has got there already */
    }
    return promise;
}

static void judge_wake(run *r, ctrack_promise *promise, ctrack_status status)
{
    ctrack_status expected = status == CTRACK_OK ? CTRACK_OK : CTRACK_PENDING;
    if (promise != NULL && ctrack_promise_status(promise) != expected) {
        violation(r->place, "the update is %s, the wait for it %s", ctrack_status_name(status),
                  ctrack_status_name(ctrack_promise_status(promise)));
    }
    ctrack_promise_release(promise);
}

/*
 * After a call that changes things: the books, and memory. A call that failed may have seen what others did, and failed
 * only then; but nothing of its own shows.
 */
static void settle(run *r, int tracker, const char *call, ctrack_status status, bool was_broken)
{
    ledger_state found;
    if (status == CTRACK_OK) {
        ledger_settle(r->books, success(r));
        expect_something_possible(r, tracker, call);
        return;
    }
    if (read_memory(r, tracker, &found) && !ledger_same_model(&found, &r->shown[tracker], r->models[tracker])) {
        expect_something_possible(r, tracker, call);
    }
    ledger_settle(r->books, outcome_of(r, tracker, status, was_broken));
}

void run_update(run *r, int tracker, const ledger_change *change)
{
    ctrack_coordinate coordinates[LEDGER_KEYS];
    ctrack_error error;
    if (r->trackers[tracker] == NULL) {
        return;
    }
    fault_pause();
    bool broken = is_broken(r, tracker);
    size_t count = coordinates_of(change, r->models[tracker], coordinates);
    ctrack_promise *promise = expect_wake(r, tracker, &coordinates[count - 1]);
    ledger_enter(r->books, change);
    fault_resume();
    ctrack_status status = ctrack_update(r->trackers[tracker], coordinates, count, &error);
    fault_pause();
    judge(r, tracker, "ctrack_update", status, &error, broken);
    judge_wake(r, promise, status);
    settle(r, tracker, "ctrack_update", status, broken);
    fault_resume();
}

typedef struct member {
    ctrack *tracker;
    ctrack_coordinate coordinates[LEDGER_KEYS];
    size_t count;
    ctrack_status status;
    ctrack_error error;
} member;

static void *update_in_thread(void *argument)
{
    member *m = argument;
    m->status = ctrack_update(m->tracker, m->coordinates, m->count, &m->error);
    return NULL;
}

static void await_updates(ct_turn *turn, size_t count)
{
    for (size_t now = 0; now < count; sched_yield()) {
        ct_mutex_lock(&turn->lock);
        now = turn->updates;
        ct_mutex_unlock(&turn->lock);
    }
}

void run_group(run *r, int tracker, const ledger_change changes[3])
{
    member members[3];
    pthread_t threads[3];
    ct_ticket ticket = {0};
    ctrack *t = r->trackers[tracker];
    if (t == NULL) {
        return;
    }
    fault_pause();
    bool broken = is_broken(r, tracker);
    ct_turn_take(&t->turn, &ticket);
    for (size_t i = 0; i < 3; i++) {
        members[i].tracker = t;
        members[i].count = coordinates_of(&changes[i], r->models[tracker], members[i].coordinates);
        ledger_enter(r->books, &changes[i]);
        pthread_create(&threads[i], NULL, update_in_thread, &members[i]);
        await_updates(&t->turn, i + 1);
    }
    fault_resume();
    ct_turn_pass(&t->turn, &ticket, &ticket);
    for (size_t i = 0; i < 3; i++) {
        pthread_join(threads[i], NULL);
    }
    fault_pause();
    for (size_t i = 0; i < 3; i++) {
        judge(r, tracker, "a grouped ctrack_update", members[i].status, &members[i].error, broken);
        ledger_settle(r->books, outcome_of(r, tracker, members[i].status, broken));
        if (members[i].status == CTRACK_OK) {
            ledger_apply(&changes[i], &r->shown[tracker]);
        }
    }
    expect_memory(r, tracker, "a group of updates");
    fault_resume();
}

/* ---------------------------------------------------------------- rewinds */

typedef ctrack_status rewriter(ctrack *tracker, const ctrack_coordinate *coordinates, size_t count,
                               ctrack_error *error);

static ctrack_status forget(ctrack *tracker, const ctrack_coordinate *coordinates, size_t count, ctrack_error *error)
{
    ctrack_key keys[LEDGER_KEYS];
    for (size_t i = 0; i < count; i++) {
        keys[i] = (ctrack_key){coordinates[i].document_id, coordinates[i].scope, coordinates[i].branch};
    }
    return ctrack_forget(tracker, keys, count, error);
}

static void rewrite(run *r, int tracker, const char *call, rewriter *work, const ledger_change *change)
{
    ctrack_coordinate coordinates[LEDGER_KEYS];
    ctrack_error error;
    if (r->trackers[tracker] == NULL) {
        return;
    }
    bool broken = is_broken(r, tracker);
    size_t count = coordinates_of(change, r->models[tracker], coordinates);
    ledger_enter(r->books, change);
    ctrack_status status = work(r->trackers[tracker], coordinates, count, &error);
    fault_pause();
    judge(r, tracker, call, status, &error, broken);
    settle(r, tracker, call, status, broken);
    fault_resume();
}

void run_hydrate(run *r, int tracker, const ledger_change *change)
{
    rewrite(r, tracker, "ctrack_hydrate", ctrack_hydrate, change);
}

void run_forget(run *r, int tracker, const ledger_change *change)
{
    rewrite(r, tracker, "ctrack_forget", forget, change);
}

/* ---------------------------------------------------------------- looking after the file */

void run_refresh(run *r, int tracker)
{
    ctrack_error error;
    if (r->trackers[tracker] == NULL) {
        return;
    }
    ctrack_status status = ctrack_refresh(r->trackers[tracker], &error);
    fault_pause();
    judge(r, tracker, "ctrack_refresh", status, &error, false);
    if (status == CTRACK_OK) {
        expect_something_possible(r, tracker, "ctrack_refresh");
    } else {
        expect_memory(r, tracker, "ctrack_refresh");
    }
    fault_resume();
}

void run_fold(run *r, int tracker)
{
    static const atomic_bool stop;
    ctrack_error error;
    if (r->trackers[tracker] == NULL) {
        return;
    }
    bool broken = is_broken(r, tracker);
    ctrack_status status = ct_fold_log(r->trackers[tracker], &stop, NULL, &error);
    fault_pause();
    judge(r, tracker, "folding", status, &error, broken);
    expect_memory(r, tracker, "folding");
    fault_resume();
}

void run_fold_wholly(run *r, int tracker)
{
    ctrack_error error;
    if (r->trackers[tracker] == NULL) {
        return;
    }
    bool broken = is_broken(r, tracker);
    ctrack_status status = ctrack_fold(r->trackers[tracker], NULL, NULL, &error);
    fault_pause();
    judge(r, tracker, "ctrack_fold", status, &error, broken);
    expect_memory(r, tracker, "ctrack_fold");
    fault_resume();
}

void run_checkpoint(run *r, int tracker)
{
    ctrack_error error;
    if (r->trackers[tracker] == NULL) {
        return;
    }
    bool broken = is_broken(r, tracker);
    ctrack_status status = ct_store_checkpoint(r->trackers[tracker]->store, &error);
    fault_pause();
    judge(r, tracker, "a checkpoint", status, &error, broken);
    expect_memory(r, tracker, "a checkpoint");
    fault_resume();
}

void run_export(run *r, int tracker)
{
    ctrack_error error;
    if (r->trackers[tracker] == NULL) {
        return;
    }
    fault_pause();
    ledger_export(r->books);
    fault_resume();
    ctrack_status status = ctrack_export(r->trackers[tracker], r->copy, CTRACK_EXPORT_REPLACE, NULL, NULL, &error);
    fault_pause();
    judge(r, tracker, "ctrack_export", status, &error, false);
    /* When only its directory could not be synced the copy has its name, but may lose it; so without power. */
    bool known = status == CTRACK_OK || strstr(error.message, "sync the directory") == NULL;
    if (known && r->fault != RUN_NO_POWER) {
        ledger_exported(r->books, status == CTRACK_OK);
    }
    expect_memory(r, tracker, "ctrack_export");
    fault_resume();
}

static int report_finding(const ctrack_finding *finding, void *argument)
{
    const run *r = argument;
    if (r->fault == RUN_NO_FAULT || r->fault == RUN_BUSY) {
        violation(r->place, "ctrack_check finds in %s: %s", finding->table, finding->what);
    }
    return 0;
}

void run_inspect(run *r)
{
    ctrack_error error;
    ctrack_status status = ctrack_check(r->path, 0, report_finding, NULL, r, &error);
    fault_pause();
    judge(r, -1, "ctrack_check", status, &error, false);
    fault_resume();
}

/* ---------------------------------------------------------------- dump and restore */

typedef struct text_buffer {
    char text[RUN_DUMP_SIZE];
    size_t size, read;
} text_buffer;

static int write_text(const void *data, size_t size, void *argument)
{
    text_buffer *buffer = argument;
    if (size > sizeof buffer->text - buffer->size) {
        return 28; /* ENOSPC */
    }
    memcpy(buffer->text + buffer->size, data, size);
    buffer->size += size;
    return 0;
}

static int read_text(void *data, size_t size, size_t *got, void *argument)
{
    text_buffer *buffer = argument;
    *got = size < buffer->size - buffer->read ? size : buffer->size - buffer->read;
    memcpy(data, buffer->text + buffer->read, *got);
    buffer->read += *got;
    return 0;
}

/* What was written can be restored if, and only if, the dump succeeded. */
static void judge_dump(run *r, int tracker, ctrack_status status, text_buffer *buffer)
{
    ctrack_error error;
    ctrack_status checked = ctrack_restore(r->trackers[tracker], read_text, buffer, "dump",
                                           CTRACK_RESTORE_MERGE | CTRACK_RESTORE_CHECK, NULL, &error);
    if (status == CTRACK_OK ? checked != CTRACK_OK : checked != CTRACK_FORMAT) {
        violation(r->place, "ctrack_dump is %s, and what it wrote is %s to ctrack_restore: %s",
                  ctrack_status_name(status), ctrack_status_name(checked), error.message);
    }
}

void run_dump(run *r, int tracker)
{
    static text_buffer buffer;
    ctrack_error error;
    if (r->trackers[tracker] == NULL) {
        return;
    }
    buffer.size = buffer.read = 0;
    ctrack_status status = ctrack_dump(r->trackers[tracker], NULL, write_text, &buffer, &error);
    fault_pause();
    judge(r, tracker, "ctrack_dump", status, &error, false);
    judge_dump(r, tracker, status, &buffer);
    expect_memory(r, tracker, "ctrack_dump");
    fault_resume();
}

void run_restore(run *r, int tracker, ctrack_restore_mode mode)
{
    static text_buffer buffer;
    ctrack_error error;
    if (r->trackers[tracker] == NULL) {
        return;
    }
    const char *text = template_dump(&buffer.size);
    memcpy(buffer.text, text, buffer.size);
    buffer.read = 0;
    bool broken = is_broken(r, tracker);
    ledger_change change = run_restored(mode);
    ledger_enter(r->books, &change);
    ctrack_status status = ctrack_restore(r->trackers[tracker], read_text, &buffer, "dump", mode, NULL, &error);
    fault_pause();
    judge(r, tracker, "ctrack_restore", status, &error, broken);
    settle(r, tracker, "ctrack_restore", status, broken);
    fault_resume();
}

ledger_change run_restored(ctrack_restore_mode mode)
{
    ledger_change change = ledger_no_change(mode == CTRACK_RESTORE_REPLACE ? LEDGER_REPLACE : LEDGER_RAISE);
    template_dumped(&change);
    return change;
}

/* ---------------------------------------------------------------- the host's own connection */

void run_open_host(run *r)
{
    if (sqlite3_open_v2(r->path, &r->host, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK) {
        sqlite3_close(r->host);
        r->host = NULL;
        return;
    }
    sqlite3_extended_result_codes(r->host, 1);
    sqlite3_exec(r->host, "PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0", NULL, NULL, NULL);
}

/* The outcome of the host's COMMIT, as SQLite documents it. */
static ledger_outcome commit_host(run *r)
{
    int code = sqlite3_exec(r->host, "COMMIT", NULL, NULL, NULL);
    if (code == SQLITE_OK) {
        return success(r);
    }
    sqlite3_exec(r->host, "ROLLBACK", NULL, NULL, NULL);
    return (code & 0xFF) == SQLITE_BUSY || (code & 0xFF) == SQLITE_FULL ? LEDGER_NOT_DONE : LEDGER_UNKNOWN;
}

/* The host goes on after ctrack_stage() has failed, if SQLite has left its transaction alone. */
static void commit_without_progress(run *r, const ledger_change *change)
{
    if (sqlite3_get_autocommit(r->host)) {
        return;
    }
    ledger_change own = ledger_no_change(LEDGER_HOST);
    own.values.host = change->values.host;
    ledger_enter(r->books, &own);
    ledger_settle(r->books, commit_host(r));
}

static ctrack_status stage(run *r, const ledger_change *change)
{
    ctrack_coordinate coordinates[LEDGER_KEYS];
    ctrack_error error;
    size_t count = coordinates_of(change, 0, coordinates);
    ctrack_status status = ctrack_stage(r->host, ledger_models[0], coordinates, count, &error);
    fault_pause();
    judge(r, -1, "ctrack_stage", status, &error, false);
    fault_resume();
    return status;
}

static bool set_host(run *r, const ledger_change *change)
{
    char set[80];
    snprintf(set, sizeof set, "UPDATE host SET applied = %lld", (long long)change->values.host);
    return sqlite3_exec(r->host, set, NULL, NULL, NULL) == SQLITE_OK;
}

static bool begin_host(run *r, const ledger_change *change)
{
    return sqlite3_exec(r->host, "BEGIN IMMEDIATE", NULL, NULL, NULL) == SQLITE_OK && set_host(r, change);
}

void run_stage(run *r, const ledger_change *change, bool commit)
{
    if (r->host == NULL) {
        return;
    }
    if (!begin_host(r, change)) {
        sqlite3_exec(r->host, "ROLLBACK", NULL, NULL, NULL);
        return;
    }
    ledger_enter(r->books, change);
    ctrack_status status = stage(r, change);
    if (status != CTRACK_OK) {
        ledger_settle(r->books, LEDGER_NOT_DONE);
        commit_without_progress(r, change);
        return;
    }
    if (commit) {
        ledger_settle(r->books, commit_host(r));
    } else {
        sqlite3_exec(r->host, "ROLLBACK", NULL, NULL, NULL);
        ledger_settle(r->books, LEDGER_NOT_DONE);
    }
    /* A ROLLBACK that failed is done by SQLite when it can; no lock may stay. */
    if (!sqlite3_get_autocommit(r->host)) {
        sqlite3_exec(r->host, "ROLLBACK", NULL, NULL, NULL);
    }
}

void run_stage_first(run *r, const ledger_change *change)
{
    if (r->host == NULL || sqlite3_exec(r->host, "BEGIN", NULL, NULL, NULL) != SQLITE_OK) {
        return;
    }
    ledger_enter(r->books, change);
    bool done = stage(r, change) == CTRACK_OK && set_host(r, change);
    ledger_settle(r->books, done ? commit_host(r) : LEDGER_NOT_DONE);
    if (!sqlite3_get_autocommit(r->host)) {
        sqlite3_exec(r->host, "ROLLBACK", NULL, NULL, NULL);
    }
}

void run_satisfied_in(run *r, int key, int64_t index)
{
    ctrack_error error;
    const ctrack_key *k = &ledger_keys[key];
    ctrack_coordinate asked = {k->document_id, k->scope, k->branch, index};
    if (r->host == NULL) {
        return;
    }
    ctrack_status status = ctrack_satisfied_in(r->host, ledger_models[0], &asked, 1, &error);
    fault_pause();
    if (status == CTRACK_OK || status == CTRACK_PENDING) {
        bool reached = false, missed = false;
        for (size_t i = 0; i < r->books->count; i++) {
            bool there = r->books->possible[i].index[0][key] >= index;
            reached = reached || there;
            missed = missed || !there;
        }
        if (status == CTRACK_OK ? !reached : !missed) {
            violation(r->place, "ctrack_satisfied_in is %s, which is not so", ctrack_status_name(status));
        }
    } else {
        judge(r, -1, "ctrack_satisfied_in", status, &error, false);
    }
    fault_resume();
}

void run_foreign(run *r, const ledger_change *change)
{
    fault_pause();
    ledger_enter(r->books, change);
    check_write_foreign(r, change);
    ledger_settle(r->books, LEDGER_DONE);
    fault_resume();
}

/* ---------------------------------------------------------------- the end */

/* The next call works, or says that the tracker must be opened again. */
static void expect_next_call(run *r, int tracker)
{
    int model = r->models[tracker];
    if (r->trackers[tracker]->store->read_only) {
        return;
    }
    ledger_change next = ledger_no_change(LEDGER_RAISE);
    ledger_name(&next, model, 1, check_next_index());
    bool broken = is_broken(r, tracker);
    run_update(r, tracker, &next);
    bool works = r->shown[tracker].index[model][1] == next.values.index[model][1];
    if (works == broken) {
        violation(r->place, "the next update %s",
                  works ? "works on a tracker that must be opened again" : "does not work although the cause has gone");
    }
}

void run_finish(run *r)
{
    fault_disarm();
    r->fault = RUN_NO_FAULT;
    if (r->host != NULL && !sqlite3_get_autocommit(r->host)) {
        sqlite3_exec(r->host, "ROLLBACK", NULL, NULL, NULL); /* the host's own ROLLBACK had failed, too */
    }
    for (int t = 0; t < RUN_TRACKERS; t++) {
        if (r->trackers[t] != NULL) {
            expect_next_call(r, t);
            run_close(r, t);
        }
    }
    if (sqlite3_close(r->host) != SQLITE_OK) {
        violation(r->place, "the host's connection cannot be closed: something of ours is left on it");
    }
    r->host = NULL;
    run_check_file(r);
}
