/* SPDX-License-Identifier: MIT */
/*
 * Every call that the library makes fails: of SQLite, of the system, and for memory; once, a few times, and for ever.
 * Where vfs_faults and alloc_faults let SQLite find out what has happened and tell us in its own way, here its every
 * answer to us is an error. So each place where the library looks at what it was told is passed with bad news.
 *
 * --scenario NAME runs one scenario; --part P --parts N fails every N-th call; --ways N in the first N ways only.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../unit/out_of_memory.h"
#include "calls.h"
#include "check.h"
#include "fault.h"
#include "fold.h"
#include "scenarios.h"
#include "shim.h"
#include "spool.h"
#include "tracker.h"

enum { CALLS = 3000 };

/* Whose calls fail. */
typedef enum who { MAIN_THREAD, ANY_THREAD, OTHER_THREADS } who;

/* How often the calls fail, and how. Some file systems cannot sync a directory, and say EINVAL. */
typedef struct way {
    long times;
    calls_failure failure;
    run_fault sqlite, system; /* what that is to the library */
} way;

static const way ways[] = {
    {1, {SQLITE_IOERR, EIO}, RUN_IO, RUN_IO},
    {FAULT_FOR_EVER, {SQLITE_IOERR, ENOSPC}, RUN_IO, RUN_FULL},
    {1, {SQLITE_FULL, ENOMEM}, RUN_FULL, RUN_NO_MEMORY},
    {2, {SQLITE_IOERR_NOMEM, EINVAL}, RUN_NO_MEMORY, RUN_IO},
    {3, {SQLITE_CORRUPT, EIO}, RUN_CORRUPT, RUN_IO},
};
enum { WAYS = sizeof ways / sizeof ways[0] };

static run current;
static const way *chosen;
static who whose;
static pthread_t main_thread;
static calls_kind
    struck_kind; /* the kind of the call that failed first: while the cause stays, those of its kind fail */

static const calls_failure *fail_in_turn(calls_kind kind)
{
    bool on_main = pthread_equal(pthread_self(), main_thread) != 0;
    if ((whose == MAIN_THREAD && !on_main) || (whose == OTHER_THREADS && on_main)) {
        return NULL;
    }
    bool before = fault_has_struck();
    if ((before && kind != struck_kind) || !fault_strikes()) {
        return NULL;
    }
    if (!before) {
        struck_kind = kind;
        current.fault = kind == CALLS_SQLITE ? chosen->sqlite : kind == CALLS_SYSTEM ? chosen->system : RUN_NO_MEMORY;
    }
    return &chosen->failure;
}

static bool memory_fails(void)
{
    return fail_in_turn(CALLS_MEMORY) != NULL;
}

/* ---------------------------------------------------------------- what the other harnesses have no scenario for */

static void open_tracker(run *r)
{
    run_open(r, 0, 0, false);
}

/* A file beside the run's. */
static const char *beside(const run *r, const char *name)
{
    static char path[400];
    snprintf(path, sizeof path, "%.*s/%s", (int)(strrchr(r->path, '/') - r->path), r->path, name);
    return path;
}

static void act_open_and_follow(run *r)
{
    ctrack_options options = CTRACK_OPTIONS_INIT;
    ctrack_error error;
    options.follow = true;
    run_judge(r, "ctrack_open", ctrack_open(r->path, &options, &r->trackers[0], &error), &error);
    if (r->trackers[0] != NULL) {
        run_close(r, 0);
    }
}

/* Another program changes the file; nothing is injected meanwhile. */
static void change_file(const run *r, const char *sql)
{
    sqlite3 *db = NULL;
    fault_pause();
    if (sqlite3_open(r->path, &db) != SQLITE_OK || sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK) {
        violation(r->place, "the file cannot be changed: %s", sqlite3_errmsg(db));
    }
    sqlite3_close(db);
    fault_resume();
}

/* A file that is refused, whatever happens, and the more so if nothing does. */
static void judge_refusal(run *r, const char *call, ctrack_status status, const ctrack_error *error)
{
    if (status == CTRACK_OK) {
        violation(r->place, "%s takes a file that was altered", call);
    } else if (status != CTRACK_CORRUPT) {
        run_judge(r, call, status, error);
    }
}

static void prepare_altered(run *r)
{
    change_file(r, "CREATE TRIGGER altered AFTER INSERT ON ctrack_advance BEGIN SELECT 1; END");
}

static void act_open_altered(run *r)
{
    ctrack_error error;
    ctrack *tracker = NULL;
    judge_refusal(r, "ctrack_open", ctrack_open(r->path, NULL, &tracker, &error), &error);
    change_file(r, "DROP TRIGGER altered");
}

/* A host's table whose index is another's, in the eyes of SQLite's own check. */
static void prepare_damaged(run *r)
{
    change_file(r, "CREATE TABLE other (a UNIQUE, b); INSERT INTO other VALUES (1, 2), (3, 4); "
                   "PRAGMA writable_schema = 1; "
                   "UPDATE sqlite_schema SET sql = 'CREATE TABLE other (b, a UNIQUE)' WHERE name = 'other'");
}

static void act_check_damaged(run *r)
{
    ctrack_error error;
    judge_refusal(r, "ctrack_check", ctrack_check(r->path, 0, NULL, NULL, NULL, &error), &error);
    change_file(r, "DROP TABLE other");
}

/* A run that has a row of the log, and none of its entries. */
static void prepare_run(run *r)
{
    change_file(r, "INSERT INTO ctrack_run SELECT max(seq), max(seq), 1, 1 FROM ctrack_advance");
}

static void act_check_run(run *r)
{
    ctrack_error error;
    judge_refusal(r, "ctrack_check", ctrack_check(r->path, 0, NULL, NULL, NULL, &error), &error);
    change_file(r, "DELETE FROM ctrack_run");
}

/* A host's table whose collation only the host has: SQLite's own check is made table by table. */
static void prepare_collated(run *r)
{
    change_file(r, "CREATE TABLE other (a, b); CREATE INDEX other_a ON other (a); PRAGMA writable_schema = 1; "
                   "UPDATE sqlite_schema SET sql = 'CREATE TABLE other (a COLLATE hosts, b)' WHERE name = 'other'");
}

static void act_check_collated(run *r)
{
    ctrack_error error;
    run_judge(r, "ctrack_check", ctrack_check(r->path, 0, NULL, NULL, NULL, &error), &error);
    change_file(r, "DROP TABLE other");
}

static void act_lazy(run *r)
{
    static const ctrack_key never = {"never", "document", "main"};
    ctrack_options options = CTRACK_OPTIONS_INIT;
    ctrack_error error;
    int64_t index;
    options.lazy = true;
    run_judge(r, "ctrack_open", ctrack_open(r->path, &options, &r->trackers[0], &error), &error);
    if (r->trackers[0] == NULL) {
        return;
    }
    ctrack_status status = ctrack_get_latest(r->trackers[0], &never, &index);
    if (status != CTRACK_NOT_FOUND) {
        run_judge(r, "ctrack_get_latest", status, NULL);
    }
    run_close(r, 0);
}

/* The log has keys of two new keyspaces, one of another read model, of which the tracker has not heard. */
static void prepare_news(run *r)
{
    ledger_change change = ledger_no_change(LEDGER_RAISE);
    open_tracker(r);
    ledger_name(&change, 0, 6, 42);
    ledger_name(&change, 1, 6, 43);
    run_foreign(r, &change);
}

static void act_fold_of_news(run *r)
{
    run_fold(r, 0);
}

static void act_hydrate(run *r)
{
    ledger_change change = ledger_no_change(LEDGER_REPLACE);
    ledger_name(&change, 0, 0, 100);
    ledger_name(&change, 0, 6, 101);
    run_hydrate(r, 0, &change);
}

static void act_ask(run *r)
{
    ctrack_error error;
    ctrack_stats stats = {.size = sizeof stats};
    ctrack_read_model_list *models = NULL;
    int version, newest;
    run_judge(r, "ctrack_get_stats", ctrack_get_stats(r->trackers[0], &stats, &error), &error);
    run_judge(r, "ctrack_read_models", ctrack_read_models(r->trackers[0], &models, &error), &error);
    ctrack_read_model_list_free(models);
    run_judge(r, "ctrack_schema", ctrack_schema(r->path, 0, &version, &newest, &error), &error);
}

/* ---------------------------------------------------------------- in memory */

typedef struct text {
    char bytes[RUN_DUMP_SIZE];
    size_t size, read;
} text;

static int write_text(const void *data, size_t size, void *argument)
{
    text *t = argument;
    memcpy(t->bytes + t->size, data, size);
    t->size += size;
    return 0;
}

static int read_text(void *data, size_t size, size_t *got, void *argument)
{
    text *t = argument;
    *got = size < t->size - t->read ? size : t->size - t->read;
    memcpy(data, t->bytes + t->read, *got);
    t->read += *got;
    return 0;
}

static void set_text(text *t, const char *bytes)
{
    t->size = strlen(bytes);
    t->read = 0;
    memcpy(t->bytes, bytes, t->size);
}

static const ctrack_coordinate some[] = {{"a", "document", "main", 1}, {"b", "global", "main", 2}};
enum { SOME = sizeof some / sizeof some[0] };

static void change_in_memory(run *r, ctrack *tracker)
{
    static text t;
    ctrack_error error;
    ctrack_snapshot *snapshot = NULL;
    const ctrack_key a = {"a", "document", "main"};
    run_judge(r, "ctrack_update", ctrack_update(tracker, some, SOME, &error), &error);
    run_judge(r, "ctrack_hydrate", ctrack_hydrate(tracker, some, SOME, &error), &error);
    run_judge(r, "ctrack_forget", ctrack_forget(tracker, &a, 1, &error), &error);
    run_judge(r, "ctrack_serialize", ctrack_serialize(tracker, &snapshot, &error), &error);
    ctrack_snapshot_free(snapshot);
    t.size = 0;
    run_judge(r, "ctrack_dump", ctrack_dump(tracker, NULL, write_text, &t, &error), &error);
    set_text(&t, "[[\"a:document:main\",7],[\"b\\\\:c:global:main\",3]]");
    run_judge(r, "ctrack_restore", ctrack_restore(tracker, read_text, &t, "text", CTRACK_RESTORE_REPLACE, NULL, &error),
              &error);
    run_judge(r, "ctrack_fail", ctrack_fail(tracker, "on purpose", &error), &error);
    run_judge(r, "ctrack_resume", ctrack_resume(tracker, &error), &error);
}

static void ignore(ctrack_promise *promise, ctrack_status status, void *argument)
{
    (void)promise, (void)status, (void)argument;
}

/* All that can be asked of a pending promise. */
static void use_promise(run *r, ctrack *tracker, ctrack_promise *promise)
{
    static const ctrack_coordinate other = {"other", "document", "main", 1};
    ctrack_error error;
    ctrack_promise *second = NULL;
    ctrack_snapshot *missing = NULL;
    ctrack_wait_list *list = NULL;
    run_judge(r, "ctrack_promise_label", ctrack_promise_label(promise, "a wait"), NULL);
    if (ctrack_promise_fd(promise) < 0 && !fault_has_struck()) {
        violation(r->place, "ctrack_promise_fd fails without a cause");
    }
    ctrack_wait_for(tracker, &other, 1, CTRACK_FOREVER, NULL, &second, NULL);
    run_judge(r, "ctrack_waits", ctrack_waits(tracker, 10, &list, &error), &error);
    ctrack_wait_list_free(list);
    ctrack_promise_release(second);
    run_judge(r, "ctrack_promise_missing", ctrack_promise_missing(promise, &missing, &error), &error);
    ctrack_snapshot_free(missing);
    if (ctrack_promise_explain(promise, &error) != CTRACK_PENDING || error.message[0] == '\0') {
        violation(r->place, "a pending promise does not explain itself");
    }
    run_judge(r, "ctrack_promise_then", ctrack_promise_then(promise, ignore, NULL), NULL);
}

/* A wait that is aborted, one without end that is released, and one that is over at once. */
static void wait_in_memory(run *r, ctrack *tracker)
{
    static const ctrack_coordinate later[] = {{"a", "document", "main", 100}, {"new", "document", "main", 1}};
    ctrack_error error;
    ctrack_promise *promise = NULL;
    ctrack_abort_signal *signal = ctrack_abort_signal_new();
    run_judge(r, "ctrack_wait_for", ctrack_wait_for(tracker, later, 2, 3600000, signal, &promise, &error), &error);
    if (promise != NULL) {
        use_promise(r, tracker, promise);
    }
    ctrack_abort(signal);
    ctrack_abort_signal_release(signal);
    if (promise != NULL && ctrack_promise_status(promise) == CTRACK_PENDING && signal != NULL) {
        violation(r->place, "the promise is pending after the signal was given");
    }
    ctrack_promise_release(promise);
    promise = NULL;
    run_judge(r, "ctrack_wait_for", ctrack_wait_for(tracker, later, 2, CTRACK_FOREVER, NULL, &promise, &error), &error);
    if (promise != NULL) {
        run_judge(r, "ctrack_promise_then", ctrack_promise_then(promise, ignore, NULL), NULL);
    }
    ctrack_promise_release(promise);
    ctrack_status status = ctrack_wait(tracker, later, 2, 0, NULL, &error);
    if (status != CTRACK_TIMED_OUT) {
        run_judge(r, "ctrack_wait", status, &error);
    }
}

/* Waits in vain: until the time is up, or there is no memory for the gate. */
static void await_in_memory(run *r, ctrack *tracker)
{
    static const ctrack_coordinate never = {"never", "document", "main", 1};
    ctrack_promise *promise = NULL;
    ctrack_error error;
    run_judge(r, "ctrack_wait_for", ctrack_wait_for(tracker, &never, 1, 1, NULL, &promise, &error), &error);
    ctrack_status status = promise != NULL ? ctrack_promise_await(promise) : CTRACK_TIMED_OUT;
    if (status != CTRACK_TIMED_OUT) {
        run_judge(r, "ctrack_promise_await", status, NULL);
    }
    ctrack_promise_release(promise);
}

static void copy_from_memory(run *r, ctrack *tracker)
{
    ctrack_error error;
    ctrack_read_model_list *models = NULL;
    const char *path = beside(r, "export.db");
    ctrack_status status = ctrack_export(tracker, path, CTRACK_EXPORT_REPLACE, NULL, NULL, &error);
    run_judge(r, "ctrack_export", status, &error);
    unlink(path);
    status = ctrack_export(tracker, path, CTRACK_EXPORT_NEW, NULL, NULL, &error);
    run_judge(r, "ctrack_export", status, &error);
    run_judge(r, "ctrack_read_models", ctrack_read_models(tracker, &models, &error), &error);
    ctrack_read_model_list_free(models);
}

static void act_in_memory(run *r)
{
    ctrack_error error;
    run_judge(r, "ctrack_open", ctrack_open(NULL, NULL, &r->trackers[0], &error), &error);
    if (r->trackers[0] != NULL) {
        change_in_memory(r, r->trackers[0]);
        wait_in_memory(r, r->trackers[0]);
        await_in_memory(r, r->trackers[0]);
        copy_from_memory(r, r->trackers[0]);
        run_close(r, 0);
    }
}

static void act_texts(run *r)
{
    static const char token[] = "{\"version\":1,\"createdAtUtcIso\":\"2024-01-01T00:00:00Z\",\"coordinates\":"
                                "[{\"documentId\":\"a\\u0062\",\"scope\":\"document\",\"branch\":\"main\","
                                "\"operationIndex\":5}]}";
    ctrack_error error;
    ctrack_snapshot *coordinates = NULL;
    run_judge(r, "ctrack_token_parse", ctrack_token_parse(token, sizeof token - 1, &coordinates, &error), &error);
    ctrack_snapshot_free(coordinates);
}

static void prepare_host(run *r)
{
    open_tracker(r);
    run_open_host(r);
}

static void act_durability(run *r)
{
    ctrack_durability durability;
    ctrack_error error;
    run_judge(r, "ctrack_host_durability", ctrack_host_durability(r->host, &durability, &error), &error);
}

static void use_spool(run *r, ct_spool *spool, const ct_dump_row *row)
{
    ctrack_error error;
    const ct_dump_row *read = row;
    int first;
    ctrack_status status = ct_spool_add(spool, row, &error);
    status = status == CTRACK_OK ? ct_spool_rewind(spool, &error) : status;
    while (status == CTRACK_OK && read != NULL) {
        status = ct_spool_next(spool, &read, &first, &error);
    }
    run_judge(r, "ct_spool_next", status, &error);
}

/* A row whose first text ends where the pieces of 64 KiB do, in the midst of the length of the next. */
static void act_spool(run *r)
{
    static char longest[64 * 1024];
    ct_spool *spool = NULL;
    ctrack_error error;
    memset(longest, 'a', sizeof longest - 8);
    const ct_dump_row row = {{longest, "scope", "branch", "document"}, {sizeof longest - 8, 5, 6, 8}, 1};
    run_judge(r, "ct_spool_new", ct_spool_new(&spool, &error), &error);
    if (spool != NULL) {
        use_spool(r, spool, &row);
    }
    ct_spool_free(spool);
}

/* ---------------------------------------------------------------- waiting on a file */

static void act_wait_on_file(run *r)
{
    static const ctrack_coordinate never = {"never", "document", "main", 1};
    ctrack_promise *promise = NULL;
    ctrack_error error;
    ctrack_status status = ctrack_wait_for(r->trackers[0], &never, 1, CTRACK_FOREVER, NULL, &promise, &error);
    run_judge(r, "ctrack_wait_for", status, &error);
    ctrack_promise_release(promise);
}

/* The follower of a wait opens the file, looks at it and follows; one of the calls that it makes fails. */
static void act_follow(run *r)
{
    static const ctrack_coordinate never = {"never", "document", "main", 1};
    ctrack_promise *promise = NULL;
    int64_t before = r->trackers[0]->store->seen_seq;
    ctrack_wait_for(r->trackers[0], &never, 1, CTRACK_FOREVER, NULL, &promise, NULL);
    while (!fault_has_struck() && r->trackers[0]->store->seen_seq == before) {
        ct_watch_wake(&r->trackers[0]->follower.watch);
        ct_thread_nap(20000);
    }
    ctrack_promise_release(promise);
    run_close(r, 0);
}

/* The keeper folds a long log. */
static void act_keep(run *r)
{
    ct_ticket ticket = {0};
    ctrack *tracker = r->trackers[0];
    ct_turn_take(&tracker->turn, &ticket);
    ct_keeper_consider(tracker);
    ct_turn_pass(&tracker->turn, &ticket, &ticket);
    bool folded = false;
    while (!fault_has_struck() && !folded) {
        sched_yield();
        ct_turn_take(&tracker->turn, &ticket);
        folded = ct_fold_backlog(tracker->store) == 0;
        ct_turn_pass(&tracker->turn, &ticket, &ticket);
    }
}

typedef struct own_scenario {
    scenario what;
    who whose;
} own_scenario;

static const own_scenario own[] = {
    {{"open and follow", RUN_USED, NULL, act_open_and_follow, false, false}, MAIN_THREAD},
    {{"open what was altered", RUN_USED, prepare_altered, act_open_altered, false, false}, MAIN_THREAD},
    {{"check what is damaged", RUN_USED, prepare_damaged, act_check_damaged, false, false}, MAIN_THREAD},
    {{"check a run", RUN_LONG_LOG, prepare_run, act_check_run, false, false}, MAIN_THREAD},
    {{"check what needs a collation", RUN_USED, prepare_collated, act_check_collated, false, false}, MAIN_THREAD},
    {{"lazy", RUN_USED, NULL, act_lazy, false, false}, MAIN_THREAD},
    {{"fold what is news", RUN_USED, prepare_news, act_fold_of_news, false, true}, MAIN_THREAD},
    {{"hydrate with a new keyspace", RUN_USED, open_tracker, act_hydrate, false, true}, MAIN_THREAD},
    {{"stats, read models, schema", RUN_USED, open_tracker, act_ask, false, false}, MAIN_THREAD},
    {{"in memory", RUN_USED, NULL, act_in_memory, false, false}, MAIN_THREAD},
    {{"texts", RUN_USED, NULL, act_texts, false, false}, MAIN_THREAD},
    {{"durability of a host", RUN_USED, prepare_host, act_durability, false, false}, MAIN_THREAD},
    {{"rows kept aside", RUN_USED, NULL, act_spool, false, false}, MAIN_THREAD},
    {{"wait on a file", RUN_USED, open_tracker, act_wait_on_file, false, false}, MAIN_THREAD},
    {{"follower", RUN_USED, prepare_news, act_follow, true, false}, OTHER_THREADS},
    {{"keeper", RUN_LONG_LOG, open_tracker, act_keep, true, true}, OTHER_THREADS},
};

/* ---------------------------------------------------------------- points */

static void run_point(const scenario *s, const char *directory, long point, const way *w)
{
    static ledger books;
    static long blocks = -1;
    run_begin(&current, directory, s->kind, &books);
    snprintf(current.place, sizeof current.place, "%s, call %ld, %ld times, code %d, errno %d", s->name, point,
             w->times, w->failure.code, w->failure.problem);
    if (s->prepare != NULL) {
        s->prepare(&current);
    }
    chosen = w;
    fault_arm(point, w->times);
    s->act(&current);
    run_finish(&current);
    blocks = blocks < 0 ? memory_blocks() : blocks;
    if (memory_blocks() != blocks) {
        violation(current.place, "%ld blocks of the library's memory are leaked", memory_blocks() - blocks);
        blocks = memory_blocks();
    }
}

static unsigned long sweep(const scenario *s, who concerned, const char *directory)
{
    size_t most = (size_t)fault_option("ways", WAYS);
    unsigned long points = 0;
    whose = concerned;
    run_point(s, directory, -1, &ways[0]);
    long count = fault_opportunities() < CALLS ? fault_opportunities() : CALLS;
    for (long point = 0; point < count && !fault_enough(); point++) {
        for (size_t w = 0; fault_is_mine((unsigned long)point) && w < most; w++) {
            run_point(s, directory, point, &ways[w]);
            points++;
        }
    }
    printf("  %-36s %6ld calls, %6lu points\n", s->name, count, points);
    return points;
}

int main(int argc, char **argv)
{
    fault_options(argc, argv);
    unsigned long points = 0;
    size_t owns = sizeof own / sizeof own[0];
    const char *only = fault_text("scenario", NULL);
    main_thread = pthread_self();
    ledger_init_keys();
    shim_install();
    const char *directory = fault_directory();
    run_make_templates(directory);
    calls_fail_when(fail_in_turn);
    memory_fail_when(memory_fails);
    for (size_t i = 0; i < scenarios_count + owns && !fault_enough(); i++) {
        const scenario *s = i < scenarios_count ? &scenarios[i] : &own[i - scenarios_count].what;
        if (only == NULL || strcmp(only, s->name) == 0) {
            points += sweep(s,
                            i >= scenarios_count ? own[i - scenarios_count].whose
                            : s->threads         ? ANY_THREAD
                                                 : MAIN_THREAD,
                            directory);
        }
    }
    fault_remove_directory();
    return fault_report("call_faults", points, "points at which a call that the library makes fails");
}
