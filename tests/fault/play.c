/* SPDX-License-Identifier: MIT */
#include "play.h"

#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sqlite3.h>

#include "fault.h"
#include "fold.h"
#include "oracle.h"
#include "tracker.h"

enum { MOST_COORDINATES = 3, DUMP_SIZE = 4096, SIGNALS = 2, HIGHEST = 6 };

/* A dump, and what it says. */
typedef struct dump {
    char text[DUMP_SIZE];
    size_t length, at;
    bool own;                  /* an array: it is about the read model of whoever restores it */
    bool named[ORACLE_MODELS]; /* else: whom its header names */
    oracle_state state;        /* of an array, in the first model's place */
    bool whole;                /* it can be read */
} dump;

/* A wait that was made to stay. */
typedef struct promise {
    ctrack_promise *promise;
    atomic_int called; /* its callback, so often */
    bool heard;        /* it has one */
} promise;

typedef struct world {
    oracle o;
    ctrack *trackers[ORACLE_TRACKERS];
    sqlite3 *host;
    sqlite3 *eye; /* looks at the file from outside */
    int64_t data_version;
    promise promises[ORACLE_WAITS];
    ctrack_abort_signal *signals[SIGNALS];
    bool given[SIGNALS];
    dump dumped;
    bool copied;         /* there is an exported file */
    oracle_state backed; /* what the backup holds; at first, nothing */
    unsigned long long random;
    bool trace;
    const char *call;
    char given_to[200]; /* what the call was given, for people */
    char *problem;      /* empty: none yet */
} world;

static char path[300], copy[300], backup[300];

/* ---------------------------------------------------------------- saying */

static void complain(world *w, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The first problem counts. */
static void complain(world *w, const char *format, ...)
{
    if (w->problem[0] != '\0') {
        return;
    }
    int used = snprintf(w->problem, PLAY_TEXT, "%s(%s): ", w->call, w->given_to);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(w->problem + used, PLAY_TEXT - (size_t)used, format, arguments);
    va_end(arguments);
}

static void note(world *w, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void note(world *w, const char *format, ...)
{
    size_t used = strlen(w->given_to);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(w->given_to + used, sizeof w->given_to - used, format, arguments);
    va_end(arguments);
}

/* Sees that a status is one of those that may be. Returns whether it is CTRACK_OK. */
static bool expect(world *w, ctrack_status status, unsigned expected, const ctrack_error *error)
{
    if ((expected & ORACLE_BIT(status)) == 0) {
        char names[200] = "";
        for (unsigned s = 0; s <= CTRACK_INTERNAL; s++) {
            if ((expected & ORACLE_BIT(s)) != 0) {
                snprintf(names + strlen(names), sizeof names - strlen(names), " %s",
                         ctrack_status_name((ctrack_status)s));
            }
        }
        complain(w, "%s%s%s, not%s", ctrack_status_name(status), error != NULL && status != CTRACK_OK ? ": " : "",
                 error != NULL && status != CTRACK_OK ? error->message : "", names);
    }
    return status == CTRACK_OK;
}

unsigned long long play_random(unsigned long long number)
{
    unsigned long long z = (number + 1) * 0x9E3779B97F4A7C15ULL; /* splitmix64 */
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
    z ^= z >> 31;
    return z != 0 ? z : 1;
}

static unsigned draw(world *w, unsigned below)
{
    return (unsigned)((fault_draw(&w->random) >> 20) % below);
}

/* ---------------------------------------------------------------- arguments */

/* Some coordinates, and the same as the oracle takes them. */
typedef struct batch {
    ctrack_coordinate items[MOST_COORDINATES];
    size_t count;
    int64_t target[ORACLE_KEYS];
} batch;

static batch draw_batch(world *w, int model, unsigned least)
{
    batch b = {.count = least + draw(w, MOST_COORDINATES + 1 - least)};
    memset(b.target, 0xFF, sizeof b.target);
    for (size_t i = 0; i < b.count; i++) {
        unsigned k = draw(w, ORACLE_KEYS);
        const ctrack_key *key = &oracle_keys[k];
        /* Mostly the next one, so that there is something to do. */
        int64_t next = oracle_now(&w->o)->index[model][k] + 1,
                index = draw(w, 3) == 0 ? (int64_t)draw(w, HIGHEST) : next;
        b.items[i] = (ctrack_coordinate){key->document_id, key->scope, key->branch, index};
        b.target[k] = b.target[k] > index ? b.target[k] : index;
        note(w, " %s:%s:%s=%" PRId64, key->document_id, key->scope, key->branch, index);
    }
    return b;
}

static void open_tracker(world *w, int t, int model, unsigned kind);

/* One of the trackers; opened if it is closed. */
static int draw_tracker(world *w)
{
    int t = (int)draw(w, ORACLE_TRACKERS);
    if (w->trackers[t] == NULL) {
        open_tracker(w, t, t, 0);
    }
    note(w, "t%d of %s", t, oracle_models[w->o.views[t].model]);
    return t;
}

static int draw_model(world *w)
{
    int model = (int)draw(w, ORACLE_MODELS);
    note(w, "%s", oracle_models[model]);
    return model;
}

/* What a call that writes answers before it has looked at anything; CTRACK_OK: it goes on. */
static ctrack_status refusal(const world *w, int t)
{
    return w->o.views[t].read_only ? CTRACK_READ_ONLY : w->o.host.stage == ORACLE_WRITING ? CTRACK_BUSY : CTRACK_OK;
}

/* ---------------------------------------------------------------- what there is */

static bool read_snapshot(world *w, const ctrack_snapshot *snapshot, int model, oracle_state *state)
{
    memset(state, 0xFF, sizeof *state);
    for (size_t i = 0; i < ctrack_snapshot_count(snapshot); i++) {
        const ctrack_coordinate *entry = &ctrack_snapshot_entries(snapshot)[i];
        int k = 0;
        while (k < ORACLE_KEYS &&
               (strcmp(oracle_keys[k].document_id, entry->document_id) != 0 ||
                strcmp(oracle_keys[k].scope, entry->scope) != 0 || strcmp(oracle_keys[k].branch, entry->branch) != 0)) {
            k++;
        }
        if (k == ORACLE_KEYS) {
            complain(w, "memory has a key that nobody wrote: %s:%s:%s", entry->document_id, entry->scope,
                     entry->branch);
            return false;
        }
        state->index[model][k] = entry->operation_index;
    }
    return true;
}

static void say_state(const oracle_state *state, int model, char text[100])
{
    int used = 0;
    for (int k = 0; k < ORACLE_KEYS; k++) {
        used += snprintf(text + used, 100 - (size_t)used, "%s%" PRId64, k > 0 ? " " : "", state->index[model][k]);
    }
}

/* A tracker's memory is one of the versions that it may show. */
static void check_memory(world *w, int t)
{
    oracle_view *view = &w->o.views[t];
    ctrack_snapshot *snapshot = NULL;
    oracle_state found;
    ctrack_error error = {CTRACK_OK, ""};
    if (!expect(w, ctrack_serialize(w->trackers[t], &snapshot, &error), ORACLE_BIT(CTRACK_OK), &error)) {
        return;
    }
    oracle_loaded(&w->o, t);
    size_t v = view->low, high = oracle_high(&w->o, view);
    if (read_snapshot(w, snapshot, view->model, &found)) {
        while (v <= high && !oracle_same(&found, &w->o.versions[v], view->model)) {
            v++;
        }
        if (v > high) {
            char has[100], must[100];
            say_state(&found, view->model, has);
            say_state(&w->o.versions[view->low], view->model, must);
            complain(w, "the memory of t%d holds %s, not %s%s", t, has, must,
                     high > view->low ? " or a later version" : "");
        }
    }
    ctrack_snapshot_free(snapshot);
}

static int64_t number(world *w, sqlite3 *db, const char *sql)
{
    sqlite3_stmt *statement = NULL;
    int64_t value = -1;
    if (sqlite3_prepare_v2(db, sql, -1, &statement, NULL) == SQLITE_OK && sqlite3_step(statement) == SQLITE_ROW) {
        value = sqlite3_column_int64(statement, 0);
    }
    if (sqlite3_finalize(statement) != SQLITE_OK) {
        complain(w, "%s: %s", sql, sqlite3_errmsg(db));
    }
    return value;
}

/* What a file's view says, in the order of a dump, is what is committed. */
static void check_view(world *w, sqlite3 *db)
{
    static const char sql[] = "SELECT read_model, document_id, scope, branch, operation_index FROM ctrack_progress "
                              "ORDER BY read_model, scope, branch, document_id";
    const oracle_state *now = oracle_now(&w->o);
    sqlite3_stmt *rows = NULL;
    sqlite3_prepare_v2(db, sql, -1, &rows, NULL);
    for (int i = 0; i < ORACLE_MODELS * ORACLE_KEYS; i++) {
        const ctrack_key *key = &oracle_keys[i % ORACLE_KEYS];
        int64_t index = now->index[i / ORACLE_KEYS][i % ORACLE_KEYS];
        const char *const expected[] = {oracle_models[i / ORACLE_KEYS], key->document_id, key->scope, key->branch};
        if (index == ORACLE_NEVER) {
            continue;
        }
        bool same = sqlite3_step(rows) == SQLITE_ROW && sqlite3_column_int64(rows, 4) == index;
        for (int c = 0; c < 4 && same; c++) {
            same = strcmp((const char *)sqlite3_column_text(rows, c), expected[c]) == 0;
        }
        if (!same) {
            complain(w, "the file does not say %s %s:%s:%s=%" PRId64, expected[0], expected[1], expected[2],
                     expected[3], index);
            break;
        }
    }
    if (w->problem[0] == '\0' && sqlite3_step(rows) != SQLITE_DONE) {
        complain(w, "the file has progress that nobody wrote: %s", sqlite3_errmsg(db));
    }
    sqlite3_finalize(rows);
}

static int say_finding(const ctrack_finding *finding, void *argument)
{
    complain(argument, "ctrack_check: %s of %s: %s", finding->rule, finding->table, finding->what);
    return 0;
}

static void check_sound(world *w, const char *file)
{
    ctrack_error error = {CTRACK_OK, ""};
    expect(w, ctrack_check(file, 0, say_finding, NULL, w, &error), ORACLE_BIT(CTRACK_OK), &error);
}

/* Every wait that stays has an outcome that it may have. */
static void check_waits(world *w)
{
    for (int i = 0; i < ORACLE_WAITS; i++) {
        if (w->promises[i].promise != NULL) {
            unsigned allowed = oracle_allowed(&w->o, &w->o.waits[i]);
            ctrack_status status = ctrack_promise_status(w->promises[i].promise);
            if ((allowed & ORACLE_BIT(status)) == 0) {
                complain(w, "the wait in place %d is %s", i, ctrack_status_name(status));
            }
        }
    }
}

/* After each call: the file, if anybody has committed to it, and what the trackers show. */
static void check_all(world *w)
{
    int64_t version = number(w, w->eye, "PRAGMA data_version");
    if (version != w->data_version) {
        w->data_version = version;
        w->o.changes++;
        check_view(w, w->eye);
        if (number(w, w->eye, "SELECT count(*) FROM host_rows") != oracle_now(&w->o)->rows) {
            complain(w, "the host's rows and its progress are not committed together");
        }
        check_sound(w, path);
    }
    for (int t = 0; t < ORACLE_TRACKERS; t++) {
        if (w->trackers[t] != NULL && !w->o.views[t].unloaded) {
            check_memory(w, t);
        }
    }
    check_waits(w);
}

/* ---------------------------------------------------------------- opening and closing */

enum { LAZY = 1, READ_ONLY = 2, FOLLOW = 4, KINDS = 8 };

static void open_tracker(world *w, int t, int model, unsigned kind)
{
    ctrack_options options = CTRACK_OPTIONS_INIT;
    ctrack_error error = {CTRACK_OK, ""};
    options.read_model = oracle_models[model];
    options.durability = CTRACK_DURABLE_NORMAL;
    options.busy_timeout_ms = 0;
    options.lazy = (kind & LAZY) != 0;
    options.read_only = (kind & READ_ONLY) != 0;
    options.follow = (kind & FOLLOW) != 0;
    if (expect(w, ctrack_open(path, &options, &w->trackers[t], &error), ORACLE_BIT(CTRACK_OK), &error)) {
        oracle_open(&w->o, t, model, &options);
    }
}

static void close_tracker(world *w, int t)
{
    ctrack_error error = {CTRACK_OK, ""};
    if (w->trackers[t] != NULL) {
        oracle_end(&w->o, t, -1, CTRACK_CLOSED);
        oracle_close(&w->o, t);
        expect(w, ctrack_close(w->trackers[t], &error), ORACLE_BIT(CTRACK_OK), &error);
        w->trackers[t] = NULL;
    }
}

static void call_close(world *w)
{
    close_tracker(w, draw_tracker(w));
}

static void call_reopen(world *w)
{
    int t = draw_tracker(w), model = (int)draw(w, ORACLE_MODELS);
    unsigned kind = draw(w, 2) == 0 ? 0 : draw(w, KINDS);
    kind = (kind & FOLLOW) != 0 && draw(w, 2) == 0 ? kind & ~(unsigned)FOLLOW : kind; /* it makes answers less sure */
    note(w, ", as %s%s%s%s", oracle_models[model], (kind & LAZY) != 0 ? ", lazy" : "",
         (kind & READ_ONLY) != 0 ? ", for reading" : "", (kind & FOLLOW) != 0 ? ", following" : "");
    close_tracker(w, t);
    open_tracker(w, t, model, kind);
}

/* ---------------------------------------------------------------- progress */

/* A call that writes has ended, and has looked at the file if it succeeded. */
static void wrote(world *w, int t, ctrack_status status, const oracle_state *state)
{
    if (status == CTRACK_OK) {
        if (state != NULL) {
            oracle_commit(&w->o, state);
        }
        oracle_synced(&w->o, t);
    } else {
        oracle_unsure(&w->o, t);
    }
}

static void call_update(world *w)
{
    int t = draw_tracker(w), model = w->o.views[t].model;
    batch b = draw_batch(w, model, 0);
    oracle_state next = *oracle_now(&w->o);
    bool news = !oracle_reaches(&next, model, b.target);
    ctrack_error error = {CTRACK_OK, ""};
    unsigned refused = ORACLE_BIT(refusal(w, t));
    ctrack_status status = ctrack_update(w->trackers[t], b.items, b.count, &error);
    /* What is not above the progress needs no transaction; but a tracker may not know yet that it is not. */
    expect(w, status, news ? refused : refused | ORACLE_BIT(CTRACK_OK), &error);
    oracle_raise(&next, model, b.target);
    if (b.count > 0) {
        wrote(w, t, status, news ? &next : NULL);
    }
}

static void call_bad_update(world *w)
{
    int t = draw_tracker(w);
    batch b = draw_batch(w, w->o.views[t].model, 1);
    ctrack_error error = {CTRACK_OK, ""};
    b.items[b.count - 1].operation_index = -1 - (int64_t)draw(w, 3);
    expect(w, ctrack_update(w->trackers[t], b.items, b.count, &error), ORACLE_BIT(CTRACK_INVALID), &error);
    oracle_unsure(&w->o, t);
}

static void call_get_latest(world *w)
{
    int t = draw_tracker(w);
    const oracle_view *view = &w->o.views[t];
    unsigned k = draw(w, ORACLE_KEYS);
    int64_t index = ORACLE_NEVER;
    ctrack_status status = ctrack_get_latest(w->trackers[t], &oracle_keys[k], &index);
    size_t v = view->unloaded ? w->o.last : view->low, high = view->unloaded ? v : oracle_high(&w->o, view);
    while (v <= high && w->o.versions[v].index[view->model][k] != index) {
        v++;
    }
    note(w, " key %u", k);
    expect(w, status, ORACLE_BIT(index == ORACLE_NEVER ? CTRACK_NOT_FOUND : CTRACK_OK), NULL);
    if (v > high) {
        complain(w, "says %" PRId64 ", not %" PRId64, index, w->o.versions[high].index[view->model][k]);
    }
}

static void call_serialize(world *w)
{
    check_memory(w, draw_tracker(w));
}

static void call_hydrate(world *w)
{
    int t = draw_tracker(w), model = w->o.views[t].model;
    batch b = draw_batch(w, model, 0);
    oracle_state next = *oracle_now(&w->o);
    ctrack_error error = {CTRACK_OK, ""};
    unsigned expected = ORACLE_BIT(refusal(w, t));
    ctrack_status status = ctrack_hydrate(w->trackers[t], b.items, b.count, &error);
    memset(next.index[model], 0xFF, sizeof next.index[model]);
    oracle_raise(&next, model, b.target);
    expect(w, status, expected, &error);
    wrote(w, t, status, &next);
}

static void call_forget(world *w)
{
    int t = draw_tracker(w), model = w->o.views[t].model;
    ctrack_key keys[MOST_COORDINATES];
    size_t count = draw(w, MOST_COORDINATES + 1);
    oracle_state next = *oracle_now(&w->o);
    ctrack_error error = {CTRACK_OK, ""};
    for (size_t i = 0; i < count; i++) {
        unsigned k = draw(w, ORACLE_KEYS + 1);
        keys[i] = k < ORACLE_KEYS ? oracle_keys[k] : (ctrack_key){"nobody", "x", "y"};
        note(w, " %s:%s:%s", keys[i].document_id, keys[i].scope, keys[i].branch);
        if (k < ORACLE_KEYS) {
            next.index[model][k] = ORACLE_NEVER;
        }
    }
    unsigned expected = ORACLE_BIT(refusal(w, t));
    ctrack_status status = ctrack_forget(w->trackers[t], keys, count, &error);
    expect(w, status, expected, &error);
    wrote(w, t, status, &next);
}

static void call_refresh(world *w)
{
    int t = draw_tracker(w);
    ctrack_error error = {CTRACK_OK, ""};
    if (expect(w, ctrack_refresh(w->trackers[t], &error), ORACLE_BIT(CTRACK_OK), &error)) {
        oracle_synced(&w->o, t);
    }
}

/* ---------------------------------------------------------------- waiting */

static void call_wait_now(world *w)
{
    int t = draw_tracker(w);
    batch b = draw_batch(w, w->o.views[t].model, 0);
    ctrack_promise *made = NULL;
    ctrack_error error = {CTRACK_OK, ""};
    if (expect(w, ctrack_wait_for(w->trackers[t], b.items, b.count, 0, NULL, &made, &error), ORACLE_BIT(CTRACK_OK),
               &error)) {
        oracle_loaded(&w->o, t);
        unsigned outcomes = oracle_outcomes(&w->o, t, b.target, CTRACK_TIMED_OUT);
        ctrack_status status = ctrack_promise_explain(made, &error);
        expect(w, status, outcomes, &error);
        ctrack_promise_release(made);
    }
}

static void call_wait_a_moment(world *w)
{
    int t = draw_tracker(w);
    oracle_view *view = &w->o.views[t];
    batch b = draw_batch(w, view->model, 1);
    ctrack_error error = {CTRACK_OK, ""};
    ctrack_status status = ctrack_wait(w->trackers[t], b.items, b.count, 1, NULL, &error);
    oracle_loaded(&w->o, t);
    view->follows = true; /* its follower has been woken */
    unsigned outcomes = oracle_outcomes(&w->o, t, b.target, CTRACK_TIMED_OUT);
    expect(w, status, outcomes, &error);
}

static void count_call(ctrack_promise *settled, ctrack_status outcome, void *argument)
{
    promise *p = argument;
    (void)settled, (void)outcome;
    atomic_fetch_add(&p->called, 1);
}

static void release(world *w, int slot)
{
    ctrack_promise_release(w->promises[slot].promise);
    w->promises[slot].promise = NULL;
    w->o.waits[slot].used = false;
}

/* A wait may be given up only if nothing is still going to be counted in its place. */
static bool may_go(const world *w, int slot)
{
    return w->promises[slot].promise != NULL && !w->promises[slot].heard;
}

/* A place for a wait that stays; -1: there is none. */
static int draw_slot(world *w)
{
    int slot = (int)draw(w, ORACLE_WAITS);
    if (may_go(w, slot)) {
        release(w, slot);
    }
    return w->promises[slot].promise == NULL ? slot : -1;
}

static void call_wait_for(world *w)
{
    int t = draw_tracker(w), slot = draw_slot(w), signal = (int)draw(w, 2 * SIGNALS);
    signal = signal < SIGNALS ? signal : -1;
    batch b = draw_batch(w, w->o.views[t].model, 1);
    ctrack_error error = {CTRACK_OK, ""};
    if (slot < 0) {
        return;
    }
    ctrack_abort_signal *given = signal >= 0 ? w->signals[signal] : NULL;
    promise *p = &w->promises[slot];
    if (!expect(w, ctrack_wait_for(w->trackers[t], b.items, b.count, CTRACK_FOREVER, given, &p->promise, &error),
                ORACLE_BIT(CTRACK_OK), &error)) {
        return;
    }
    oracle_loaded(&w->o, t);
    oracle_wait *wait = &w->o.waits[slot];
    *wait = (oracle_wait){.used = true, .tracker = t, .signal = signal};
    memcpy(wait->target, b.target, sizeof wait->target);
    wait->allowed = signal >= 0 && w->given[signal] ? ORACLE_BIT(CTRACK_ABORTED)
                                                    : oracle_outcomes(&w->o, t, b.target, CTRACK_PENDING);
    bool pending = (wait->allowed & ORACLE_BIT(CTRACK_PENDING)) != 0;
    w->o.views[t].follows = w->o.views[t].follows || pending;
    ctrack_status status = ctrack_promise_status(p->promise);
    expect(w, status, oracle_allowed(&w->o, wait), NULL);
    oracle_seen(wait, status);
    note(w, " in place %d%s", slot, signal >= 0 ? " with a signal" : "");
}

/* One of the waits that stay; -1: there is none in the place that was drawn. */
static int draw_promise(world *w)
{
    int slot = (int)draw(w, ORACLE_WAITS);
    note(w, "place %d", slot);
    return w->promises[slot].promise != NULL ? slot : -1;
}

static void call_listen(world *w)
{
    int slot = draw_promise(w);
    if (slot < 0) {
        return;
    }
    promise *p = &w->promises[slot];
    /* Only a promise of a tracker that was closed refuses, and that is settled. */
    unsigned expected = p->heard                       ? ORACLE_BIT(CTRACK_MISUSE)
                        : w->o.waits[slot].tracker < 0 ? ORACLE_BIT(CTRACK_CLOSED)
                                                       : ORACLE_BIT(CTRACK_OK);
    if (expect(w, ctrack_promise_then(p->promise, count_call, p), expected, NULL)) {
        p->heard = true;
    }
}

static void call_look_at_promise(world *w)
{
    int slot = draw_promise(w);
    if (slot < 0) {
        return;
    }
    oracle_wait *wait = &w->o.waits[slot];
    ctrack_promise *made = w->promises[slot].promise;
    ctrack_error error = {CTRACK_OK, ""};
    ctrack_snapshot *missing = NULL;
    unsigned allowed = oracle_allowed(&w->o, wait);
    ctrack_status first = ctrack_promise_status(made);
    struct pollfd readable = {.fd = ctrack_promise_fd(made), .events = POLLIN};
    poll(&readable, 1, 0);
    ctrack_status second = ctrack_promise_explain(made, &error), third = first;
    if (first != CTRACK_PENDING) {
        third = ctrack_promise_await(made);
    }
    expect(w, first, allowed, &error);
    expect(w, second, allowed, &error);
    if (first != CTRACK_PENDING && (second != first || third != first)) {
        complain(w, "the outcome has changed");
    }
    if ((readable.revents & POLLIN) != 0 ? second == CTRACK_PENDING : first != CTRACK_PENDING) {
        complain(w, "%s, and its descriptor says otherwise", ctrack_status_name(second));
    }
    oracle_seen(wait, second);
    expect(w, ctrack_promise_label(made, "label"), ORACLE_BIT(CTRACK_OK), NULL);
    if (expect(w, ctrack_promise_missing(made, &missing, &error), ORACLE_BIT(CTRACK_OK), &error)) {
        bool none = ctrack_snapshot_count(missing) == 0;
        if (second == CTRACK_OK && !none) {
            complain(w, "reached, and something is missing");
        }
        ctrack_snapshot_free(missing);
    }
}

static void call_release(world *w)
{
    int slot = draw_promise(w);
    if (slot >= 0 && may_go(w, slot)) {
        release(w, slot);
    }
}

static void call_abort(world *w)
{
    int signal = (int)draw(w, SIGNALS);
    ctrack_abort(w->signals[signal]);
    oracle_end(&w->o, -1, signal, CTRACK_ABORTED);
    w->given[signal] = true;
    if (!ctrack_abort_signal_aborted(w->signals[signal])) {
        complain(w, "the signal was not given");
    }
}

/* Gives a signal up, and takes a new one. */
static void call_new_signal(world *w)
{
    int signal = (int)draw(w, SIGNALS);
    ctrack_abort_signal_release(w->signals[signal]);
    w->signals[signal] = ctrack_abort_signal_new();
    w->given[signal] = false;
    for (int i = 0; i < ORACLE_WAITS; i++) {
        w->o.waits[i].signal = w->o.waits[i].signal == signal ? -1 : w->o.waits[i].signal;
    }
}

static void call_fail(world *w)
{
    int t = draw_tracker(w);
    ctrack_error error = {CTRACK_OK, ""};
    if (expect(w, ctrack_fail(w->trackers[t], "on purpose", &error), ORACLE_BIT(CTRACK_OK), &error)) {
        oracle_end(&w->o, t, -1, CTRACK_FAILED);
        w->o.views[t].failed = true;
    }
}

static void call_resume(world *w)
{
    int t = draw_tracker(w);
    ctrack_error error = {CTRACK_OK, ""};
    expect(w, ctrack_resume(w->trackers[t], &error), ORACLE_BIT(CTRACK_OK), &error);
    w->o.views[t].failed = false;
}

/* ---------------------------------------------------------------- the host */

/* What the host's write must answer; state: where its effect goes. */
static unsigned host_expects(const oracle_state *state)
{
    return ORACLE_BIT(state != NULL ? CTRACK_OK : CTRACK_BUSY);
}

static void host_raises(world *w, ctrack_status status, oracle_state *state, const oracle_state *alone, int model,
                        const batch *b)
{
    if (status == CTRACK_OK && state != NULL && b->count > 0) {
        oracle_raise(state, model, b->target);
        oracle_host_wrote(&w->o, alone);
    }
}

static void call_stage(world *w)
{
    int model = draw_model(w);
    batch b = draw_batch(w, model, 1);
    oracle_state alone, *state = oracle_host_writes(&w->o, &alone);
    ctrack_error error = {CTRACK_OK, ""};
    ctrack_status status = ctrack_stage(w->host, oracle_models[model], b.items, b.count, &error);
    expect(w, status, host_expects(state), &error);
    host_raises(w, status, state, &alone, model, &b);
}

/* A statement of the host's own. */
static ctrack_status host_runs(world *w, const char *sql)
{
    int code = sqlite3_exec(w->host, sql, NULL, NULL, NULL);
    if (code != SQLITE_OK && (code & 0xFF) != SQLITE_BUSY) {
        complain(w, "%s: %s", sql, sqlite3_errmsg(w->host));
    }
    return code == SQLITE_OK ? CTRACK_OK : CTRACK_BUSY;
}

static void call_insert_into_view(world *w)
{
    int model = draw_model(w);
    batch b = draw_batch(w, model, 1);
    b.count = 1;
    memset(b.target, 0xFF, sizeof b.target);
    for (int k = 0; k < ORACLE_KEYS; k++) {
        bool it = oracle_keys[k].document_id == b.items[0].document_id && oracle_keys[k].scope == b.items[0].scope &&
                  oracle_keys[k].branch == b.items[0].branch;
        b.target[k] = it ? b.items[0].operation_index : ORACLE_NEVER;
    }
    char sql[300];
    snprintf(sql, sizeof sql,
             "INSERT INTO ctrack_progress (read_model, document_id, scope, branch, operation_index) "
             "VALUES ('%s', '%s', '%s', '%s', %" PRId64 ")",
             oracle_models[model], b.items[0].document_id, b.items[0].scope, b.items[0].branch,
             b.items[0].operation_index);
    oracle_state alone, *state = oracle_host_writes(&w->o, &alone);
    ctrack_status status = host_runs(w, sql);
    expect(w, status, host_expects(state), NULL);
    host_raises(w, status, state, &alone, model, &b);
}

static void call_host_insert(world *w)
{
    oracle_state alone, *state = oracle_host_writes(&w->o, &alone);
    ctrack_status status = host_runs(w, "INSERT INTO host_rows DEFAULT VALUES");
    if (expect(w, status, host_expects(state), NULL) && state != NULL) {
        state->rows++;
        oracle_host_wrote(&w->o, &alone);
    }
}

/* Changes the schema, and leaves nothing behind. */
static void call_host_migrate(world *w)
{
    oracle_state alone, *state = oracle_host_writes(&w->o, &alone);
    ctrack_status status = host_runs(w, "CREATE TABLE passing (a); DROP TABLE passing");
    if (expect(w, status, host_expects(state), NULL) && state != NULL) {
        oracle_host_wrote(&w->o, &alone);
    }
}

static void call_satisfied_in(world *w)
{
    int model = draw_model(w);
    batch b = draw_batch(w, model, 1);
    bool reached = oracle_reaches(oracle_host_reads(&w->o), model, b.target);
    ctrack_error error = {CTRACK_OK, ""};
    ctrack_status status = ctrack_satisfied_in(w->host, oracle_models[model], b.items, b.count, &error);
    expect(w, status, ORACLE_BIT(reached ? CTRACK_OK : CTRACK_PENDING), &error);
}

static void call_host_durability(world *w)
{
    ctrack_durability durability = CTRACK_DURABLE_NONE;
    ctrack_error error = {CTRACK_OK, ""};
    oracle_host_reads(&w->o);
    expect(w, ctrack_host_durability(w->host, &durability, &error), ORACLE_BIT(CTRACK_OK), &error);
    if (durability != CTRACK_DURABLE_NORMAL) {
        complain(w, "says %d", (int)durability);
    }
}

static void call_begin(world *w)
{
    bool now = draw(w, 2) == 0;
    oracle_host *host = &w->o.host;
    if (host->stage != ORACLE_NO_TRANSACTION) {
        return;
    }
    host_runs(w, now ? "BEGIN IMMEDIATE" : "BEGIN");
    host->stage = now ? ORACLE_WRITING : ORACLE_BEGUN;
    host->overlay = *oracle_now(&w->o);
}

static void call_end(world *w)
{
    bool commit = draw(w, 3) > 0;
    note(w, commit ? "COMMIT" : "ROLLBACK");
    if (w->o.host.stage != ORACLE_NO_TRANSACTION) {
        expect(w, host_runs(w, commit ? "COMMIT" : "ROLLBACK"), ORACLE_BIT(CTRACK_OK), NULL);
        oracle_host_ends(&w->o, commit);
    }
}

static void call_savepoint(world *w)
{
    oracle_host *host = &w->o.host;
    bool back = draw(w, 2) == 0;
    if (!host->savepoint) {
        note(w, "SAVEPOINT");
        host_runs(w, "SAVEPOINT host");
        oracle_host_saves(&w->o);
    } else if (back) {
        note(w, "ROLLBACK TO");
        host_runs(w, "ROLLBACK TO host");
        oracle_host_goes_back(&w->o);
    } else {
        note(w, "RELEASE");
        host_runs(w, "RELEASE host");
        host->savepoint = false;
        if (host->begun_by) {
            oracle_host_ends(&w->o, true);
        }
    }
}

/* ---------------------------------------------------------------- dumps */

static int put(const void *data, size_t size, void *argument)
{
    dump *d = argument;
    if (d->length + size > sizeof d->text) {
        return 1;
    }
    memcpy(d->text + d->length, data, size);
    d->length += size;
    return 0;
}

static int get(void *data, size_t size, size_t *got, void *argument)
{
    dump *d = argument;
    *got = d->length - d->at < size ? d->length - d->at : size;
    memcpy(data, d->text + d->at, *got);
    d->at += *got;
    return 0;
}

/* The text that a dump of what it says must be, but for the checksum at its end. */
static size_t expected_dump(const dump *d, char text[DUMP_SIZE])
{
    size_t count = 0, used = (size_t)sprintf(text, "{\"ctrackDump\":1,\"readModels\":[");
    bool first = true;
    for (int m = 0; m < ORACLE_MODELS; m++) {
        if (d->named[m]) {
            used += (size_t)sprintf(text + used, "%s\"%s\"", first ? "" : ",", oracle_models[m]);
            first = false;
        }
    }
    used += (size_t)sprintf(text + used, "]}\n");
    for (int i = 0; i < ORACLE_MODELS * ORACLE_KEYS; i++) {
        int m = i / ORACLE_KEYS, k = i % ORACLE_KEYS;
        if (d->named[m] && d->state.index[m][k] != ORACLE_NEVER) {
            used += (size_t)sprintf(text + used,
                                    "{\"readModel\":\"%s\",\"documentId\":\"%s\",\"scope\":\"%s\",\"branch\":\"%s\","
                                    "\"operationIndex\":%" PRId64 "}\n",
                                    oracle_models[m], oracle_keys[k].document_id, oracle_keys[k].scope,
                                    oracle_keys[k].branch, d->state.index[m][k]);
            count++;
        }
    }
    return used + (size_t)sprintf(text + used, "{\"count\":%zu,", count);
}

static void call_dump(world *w)
{
    int t = draw_tracker(w), model = (int)draw(w, ORACLE_MODELS + 1);
    dump *d = &w->dumped;
    char expected[DUMP_SIZE];
    ctrack_error error = {CTRACK_OK, ""};
    *d = (dump){.state = *oracle_now(&w->o), .whole = true};
    for (int m = 0; m < ORACLE_MODELS; m++) {
        d->named[m] = d->state.known[m] && (model == ORACLE_MODELS || model == m);
    }
    note(w, ", %s", model == ORACLE_MODELS ? "all" : oracle_models[model]);
    if (expect(w, ctrack_dump(w->trackers[t], model == ORACLE_MODELS ? NULL : oracle_models[model], put, d, &error),
               ORACLE_BIT(CTRACK_OK), &error)) {
        size_t length = expected_dump(d, expected);
        if (d->length < length || memcmp(d->text, expected, length) != 0) {
            complain(w, "it says: %.*s", (int)d->length, d->text);
        }
    }
}

/* An array of some keys, each of them once. */
static dump draw_array(world *w)
{
    dump d = {.own = true, .whole = true, .text = "[", .length = 1};
    memset(d.state.index, 0xFF, sizeof d.state.index);
    for (int k = 0; k < ORACLE_KEYS; k++) {
        if (draw(w, 2) == 0) {
            bool colon = strchr(oracle_keys[k].document_id, ':') != NULL; /* only one has, and it is escaped twice */
            d.state.index[0][k] = (int64_t)draw(w, HIGHEST);
            d.length += (size_t)sprintf(d.text + d.length, "%s[\"%s:%s:%s\",%" PRId64 "]", d.length > 1 ? "," : "",
                                        colon ? "d\\\\:1" : oracle_keys[k].document_id, oracle_keys[k].scope,
                                        oracle_keys[k].branch, d.state.index[0][k]);
        }
    }
    d.length += (size_t)sprintf(d.text + d.length, "]");
    return d;
}

/* What is restored: what was dumped last, an array, or what cannot be read. */
static dump draw_dump(world *w)
{
    unsigned kind = draw(w, 8);
    bool array = w->dumped.length == 0 || kind < 3;
    dump d = array ? draw_array(w) : w->dumped;
    d.at = 0;
    if (!array && kind == 7) {
        d.length -= 10; /* within the last line */
        d.whole = false;
    }
    note(w, ", %s", d.own ? d.text : d.whole ? "what was dumped" : "what was cut off");
    return d;
}

/* What the dump makes of what is committed. Returns how many entries it has; *there: a read model has progress. */
static size_t restored_state(const world *w, const dump *d, int own, ctrack_restore_mode mode, oracle_state *next,
                             bool *there)
{
    size_t count = 0;
    *there = false;
    *next = *oracle_now(&w->o);
    for (int m = 0; m < ORACLE_MODELS; m++) {
        int from = d->own ? 0 : m;
        if (d->own ? m != own : !d->named[m]) {
            continue;
        }
        *there = *there || oracle_count(oracle_now(&w->o), m) > 0;
        count += oracle_count(&d->state, from);
        if (mode == CTRACK_RESTORE_REPLACE) {
            memset(next->index[m], 0xFF, sizeof next->index[m]);
        }
        oracle_raise(next, m, d->state.index[from]);
        next->known[m] = true;
    }
    return count;
}

static void call_restore(world *w)
{
    int t = draw_tracker(w);
    ctrack_restore_mode mode = (ctrack_restore_mode)draw(w, 3);
    bool check = draw(w, 4) == 0, there;
    note(w, ", mode %d%s", (int)mode, check ? ", to check" : "");
    dump d = draw_dump(w);
    oracle_state next;
    size_t restored = 0, count = restored_state(w, &d, w->o.views[t].model, mode, &next, &there);
    bool anything = d.own || d.named[0] || d.named[1];
    ctrack_status expected = !d.whole                                ? CTRACK_FORMAT
                             : !anything                             ? CTRACK_OK
                             : mode == CTRACK_RESTORE_EMPTY && there ? CTRACK_MISUSE
                             : check                                 ? CTRACK_OK
                                                                     : refusal(w, t);
    ctrack_error error = {CTRACK_OK, ""};
    unsigned how = (unsigned)mode | (check ? (unsigned)CTRACK_RESTORE_CHECK : 0);
    ctrack_status status = ctrack_restore(w->trackers[t], get, &d, "in", (ctrack_restore_mode)how, &restored, &error);
    if (expect(w, status, ORACLE_BIT(expected), &error) && restored != count) {
        complain(w, "has read %zu entries, not %zu", restored, count);
    }
    if (status == CTRACK_OK && !check && anything) {
        wrote(w, t, status, &next);
    } else {
        oracle_unsure(&w->o, t);
    }
}

/* ---------------------------------------------------------------- copies and checks */

static void check_copy(world *w, int model)
{
    ctrack_options options = CTRACK_OPTIONS_INIT;
    ctrack *opened = NULL;
    ctrack_snapshot *snapshot = NULL;
    sqlite3 *db = NULL;
    oracle_state found;
    ctrack_error error = {CTRACK_OK, ""};
    options.read_model = oracle_models[model];
    options.read_only = true;
    check_sound(w, copy);
    sqlite3_open_v2(copy, &db, SQLITE_OPEN_READONLY, NULL);
    check_view(w, db);
    sqlite3_close(db);
    if (expect(w, ctrack_open(copy, &options, &opened, &error), ORACLE_BIT(CTRACK_OK), &error) &&
        expect(w, ctrack_serialize(opened, &snapshot, &error), ORACLE_BIT(CTRACK_OK), &error) &&
        read_snapshot(w, snapshot, model, &found) && !oracle_same(&found, oracle_now(&w->o), model)) {
        complain(w, "a tracker of the copy has something else");
    }
    ctrack_snapshot_free(snapshot);
    ctrack_close(opened, NULL);
}

static void call_export(world *w)
{
    int t = draw_tracker(w);
    bool replace = draw(w, 2) == 0;
    ctrack_error error = {CTRACK_OK, ""};
    ctrack_status status =
        ctrack_export(w->trackers[t], copy, replace ? CTRACK_EXPORT_REPLACE : CTRACK_EXPORT_NEW, NULL, NULL, &error);
    if (expect(w, status, ORACLE_BIT(w->copied && !replace ? CTRACK_MISUSE : CTRACK_OK), &error)) {
        w->copied = true;
        check_copy(w, w->o.views[t].model);
    }
}

static void call_check(world *w)
{
    check_sound(w, path);
}

static void call_stats(world *w)
{
    int t = draw_tracker(w);
    const oracle_view *view = &w->o.views[t];
    ctrack_stats stats = {.size = sizeof stats};
    ctrack_error error = {CTRACK_OK, ""};
    if (!expect(w, ctrack_get_stats(w->trackers[t], &stats, &error), ORACLE_BIT(CTRACK_OK), &error)) {
        return;
    }
    oracle_loaded(&w->o, t);
    size_t v = view->low;
    while (v <= oracle_high(&w->o, view) && oracle_count(&w->o.versions[v], view->model) != stats.keys) {
        v++;
    }
    if (v > oracle_high(&w->o, view)) {
        complain(w, "counts %" PRIu64 " keys", stats.keys);
    }
}

static void call_read_models(world *w)
{
    int t = draw_tracker(w);
    const oracle_state *now = oracle_now(&w->o);
    ctrack_read_model_list *list = NULL;
    ctrack_error error = {CTRACK_OK, ""};
    if (!expect(w, ctrack_read_models(w->trackers[t], &list, &error), ORACLE_BIT(CTRACK_OK), &error)) {
        return;
    }
    size_t at = 0;
    for (int m = 0; m < ORACLE_MODELS; m++) {
        const ctrack_read_model_info *info =
            at < ctrack_read_model_list_count(list) ? ctrack_read_model_list_at(list, at) : NULL;
        bool listed = info != NULL && strcmp(info->name, oracle_models[m]) == 0;
        at += listed;
        if (listed != now->known[m] || (listed && info->keys != oracle_count(now, m))) {
            complain(w, "%s is %slisted, with %" PRIu64 " keys", oracle_models[m], listed ? "" : "not ",
                     listed ? info->keys : 0);
        }
    }
    ctrack_read_model_list_free(list);
}

static void call_waits(world *w)
{
    int t = draw_tracker(w);
    size_t must = 0, may = 0;
    ctrack_wait_list *list = NULL;
    ctrack_error error = {CTRACK_OK, ""};
    if (!expect(w, ctrack_waits(w->trackers[t], SIZE_MAX, &list, &error), ORACLE_BIT(CTRACK_OK), &error)) {
        return;
    }
    for (int i = 0; i < ORACLE_WAITS; i++) {
        const oracle_wait *wait = &w->o.waits[i];
        unsigned allowed = wait->used && wait->tracker == t ? oracle_allowed(&w->o, wait) : 0;
        may += (allowed & ORACLE_BIT(CTRACK_PENDING)) != 0;
        must += allowed == ORACLE_BIT(CTRACK_PENDING);
    }
    size_t count = ctrack_wait_list_count(list);
    if (count < must || count > may) {
        complain(w, "lists %zu, not %zu … %zu", count, must, may);
    }
    ctrack_wait_list_free(list);
}

static void call_schema(world *w)
{
    int version = 0, newest = -1;
    ctrack_error error = {CTRACK_OK, ""};
    expect(w, ctrack_schema(path, 0, &version, &newest, &error), ORACLE_BIT(CTRACK_OK), &error);
    if (version != newest) {
        complain(w, "says %d of %d", version, newest);
    }
}

/* ---------------------------------------------------------------- in between */

/* The public call, or what the keeper does once the log is long. */
static void call_fold(world *w)
{
    static const atomic_bool stop;
    int t = draw_tracker(w);
    bool all = draw(w, 2) == 0;
    ctrack_error error = {CTRACK_OK, ""};
    unsigned expected = ORACLE_BIT(refusal(w, t));
    note(w, all ? "" : ", as the keeper does");
    if (all) { /* where there is nothing to fold, nobody may be in the way */
        ctrack_status status = ctrack_fold(w->trackers[t], NULL, NULL, &error);
        expect(w, status, expected | ORACLE_BIT(CTRACK_OK), &error);
        oracle_unsure(&w->o, t);
    } else if (expect(w, ctrack_refresh(w->trackers[t], &error), ORACLE_BIT(CTRACK_OK), &error)) {
        oracle_synced(&w->o, t);
        expect(w, ct_fold_log(w->trackers[t], &stop, NULL, &error), expected, &error);
    }
}

/* What the keeper does once SQLite's log is long. */
static void call_checkpoint(world *w)
{
    int t = draw_tracker(w);
    ctrack_error error = {CTRACK_OK, ""};
    unsigned refused = ORACLE_BIT(refusal(w, t));
    ct_ticket ticket = {0};
    if (ct_turn_take(&w->trackers[t]->turn, &ticket) == 0) {
        ctrack_status status = ct_store_checkpoint(w->trackers[t]->store, &error);
        ct_turn_pass(&w->trackers[t]->turn, &ticket, &ticket);
        expect(w, status, refused | ORACLE_BIT(CTRACK_OK), &error);
    }
}

/* Somebody else's fold has deleted what is folded, so that whoever has not seen it reads everything anew. */
static void call_trim(world *w)
{
    if (w->o.host.stage != ORACLE_WRITING) {
        char *message = NULL;
        sqlite3_exec(w->eye,
                     "DELETE FROM ctrack_advance WHERE seq <= (SELECT folded_seq FROM ctrack_fold) "
                     "AND seq < (SELECT max(seq) FROM ctrack_advance)",
                     NULL, NULL, &message);
        if (message != NULL) {
            complain(w, "trim: %s", message);
        }
        sqlite3_free(message);
        if (sqlite3_changes(w->eye) > 0) {
            w->data_version = -1; /* which a connection's own commit leaves as it is */
        }
    }
}

/* SQLite's backup of one connection's database into another's. */
static void copy_database(world *w, sqlite3 *from, sqlite3 *to)
{
    sqlite3_backup *copying = sqlite3_backup_init(to, "main", from, "main");
    int code = copying != NULL ? sqlite3_backup_step(copying, -1) : sqlite3_errcode(to);
    sqlite3_backup_finish(copying);
    if (code != SQLITE_DONE) {
        complain(w, "SQLite's backup: %s", sqlite3_errstr(code));
    }
}

/* An operator makes a backup of the whole database … */
static void call_back_up(world *w)
{
    sqlite3 *db = NULL;
    sqlite3_open_v2(backup, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL);
    copy_database(w, w->eye, db);
    sqlite3_close(db);
    w->backed = *oracle_now(&w->o);
}

/* … and takes it back into the file while everybody has that open. */
static void call_take_back(world *w)
{
    sqlite3 *db = NULL;
    if (w->o.host.stage == ORACLE_WRITING) {
        return;
    }
    sqlite3_open_v2(backup, &db, SQLITE_OPEN_READWRITE, NULL);
    copy_database(w, db, w->eye);
    sqlite3_close(db);
    oracle_commit(&w->o, &w->backed);
    w->data_version = -1; /* as after a trim */
}

/* ---------------------------------------------------------------- all calls */

static const struct {
    const char *name;
    void (*make)(world *w);
} calls[] = {
    {"update", call_update},
    {"bad_update", call_bad_update},
    {"get_latest", call_get_latest},
    {"serialize", call_serialize},
    {"hydrate", call_hydrate},
    {"forget", call_forget},
    {"refresh", call_refresh},
    {"wait_now", call_wait_now},
    {"wait_a_moment", call_wait_a_moment},
    {"wait_for", call_wait_for},
    {"promise_then", call_listen},
    {"promise", call_look_at_promise},
    {"promise_release", call_release},
    {"abort", call_abort},
    {"abort_signal_new", call_new_signal},
    {"fail", call_fail},
    {"resume", call_resume},
    {"stage", call_stage},
    {"insert_into_view", call_insert_into_view},
    {"satisfied_in", call_satisfied_in},
    {"host_durability", call_host_durability},
    {"host_insert", call_host_insert},
    {"host_migrate", call_host_migrate},
    {"host_begin", call_begin},
    {"host_end", call_end},
    {"host_savepoint", call_savepoint},
    {"dump", call_dump},
    {"restore", call_restore},
    {"export", call_export},
    {"check", call_check},
    {"stats", call_stats},
    {"read_models", call_read_models},
    {"waits", call_waits},
    {"schema", call_schema},
    {"close", call_close},
    {"reopen", call_reopen},
    {"fold", call_fold},
    {"checkpoint", call_checkpoint},
    {"trim", call_trim},
    {"back_up", call_back_up},
    {"take_back", call_take_back},
};
const int play_calls = sizeof calls / sizeof calls[0];

const char *play_name(int call)
{
    return calls[call].name;
}

int play_find(const char *name)
{
    int call = play_calls - 1;
    while (call >= 0 && strcmp(calls[call].name, name) != 0) {
        call--;
    }
    return call;
}

int play_between(unsigned number)
{
    static const char *const names[] = {"reopen", "fold", "trim", "checkpoint"};
    return play_find(names[number % (sizeof names / sizeof names[0])]);
}

/* ---------------------------------------------------------------- a sequence */

static char *template_bytes;
static size_t template_size;

static _Noreturn void give_up(const char *what)
{
    fprintf(stderr, "sequences cannot begin: %s\n", what);
    exit(EXIT_FAILURE);
}

static sqlite3 *connect(void)
{
    sqlite3 *db = NULL;
    if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL) != SQLITE_OK ||
        sqlite3_exec(db, "PRAGMA synchronous = NORMAL; PRAGMA wal_autocheckpoint = 0", NULL, NULL, NULL) != SQLITE_OK) {
        give_up(sqlite3_errmsg(db));
    }
    return db;
}

static void remove_files(void)
{
    static const char *const endings[] = {"", "-wal", "-shm"};
    for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++) {
        char name[320];
        snprintf(name, sizeof name, "%s%s", path, endings[i]);
        unlink(name);
        snprintf(name, sizeof name, "%s%s", copy, endings[i]);
        unlink(name);
        snprintf(name, sizeof name, "%s%s", backup, endings[i]);
        unlink(name);
    }
}

void play_prepare(const char *directory)
{
    ctrack *tracker = NULL;
    struct stat found;
    snprintf(path, sizeof path, "%s/file.db", directory);
    snprintf(copy, sizeof copy, "%s/copy.db", directory);
    snprintf(backup, sizeof backup, "%s/backup.db", directory);
    if (ctrack_open(path, NULL, &tracker, NULL) != CTRACK_OK || ctrack_close(tracker, NULL) != CTRACK_OK) {
        give_up(path);
    }
    sqlite3 *db = connect();
    sqlite3_exec(db, "CREATE TABLE host_rows (id INTEGER PRIMARY KEY)", NULL, NULL, NULL);
    sqlite3_close(db);
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    template_bytes = descriptor >= 0 && fstat(descriptor, &found) == 0 ? malloc((size_t)found.st_size) : NULL;
    template_size = template_bytes != NULL ? (size_t)found.st_size : 0;
    if (template_size == 0 || read(descriptor, template_bytes, template_size) != (ssize_t)template_size) {
        give_up(path);
    }
    close(descriptor);
}

static void write_template(const char *to)
{
    int descriptor = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (descriptor < 0 || write(descriptor, template_bytes, template_size) != (ssize_t)template_size) {
        give_up(to);
    }
    close(descriptor);
}

static void begin(world *w)
{
    remove_files();
    write_template(path);
    write_template(backup);
    oracle_begin(&w->o);
    w->backed = *oracle_now(&w->o);
    w->call = "open";
    for (int t = 0; t < ORACLE_TRACKERS; t++) {
        open_tracker(w, t, t, 0);
    }
    w->host = connect();
    w->eye = connect();
    w->data_version = number(w, w->eye, "PRAGMA data_version");
    for (int s = 0; s < SIGNALS; s++) {
        w->signals[s] = ctrack_abort_signal_new();
    }
}

static void make(world *w, const play_step *step)
{
    w->call = calls[step->call].name;
    w->given_to[0] = '\0';
    w->random = play_random(step->draw);
    calls[step->call].make(w);
    check_all(w);
    if (w->trace) {
        printf("    %s(%s)\n", w->call, w->given_to);
    }
}

/* What must be the same at last: both trackers show what is committed, and a new one does. */
static void compare(world *w)
{
    ctrack_error error = {CTRACK_OK, ""};
    for (int t = 0; t < ORACLE_TRACKERS; t++) {
        if (w->trackers[t] == NULL) {
            open_tracker(w, t, t, 0);
        }
        expect(w, ctrack_refresh(w->trackers[t], &error), ORACLE_BIT(CTRACK_OK), &error);
        oracle_synced(&w->o, t);
        check_memory(w, t);
    }
    check_waits(w);
}

static void end(world *w)
{
    w->call = "at the end";
    w->given_to[0] = '\0';
    if (w->problem[0] == '\0') {
        compare(w);
    }
    for (int t = 0; t < ORACLE_TRACKERS; t++) {
        close_tracker(w, t);
    }
    for (int i = 0; i < ORACLE_WAITS; i++) {
        promise *p = &w->promises[i];
        if (p->heard && atomic_load(&p->called) != 1) {
            complain(w, "a callback has run %d times", atomic_load(&p->called));
        }
        ctrack_promise_release(p->promise);
    }
    for (int s = 0; s < SIGNALS; s++) {
        ctrack_abort_signal_release(w->signals[s]);
    }
    sqlite3_close(w->host);
    sqlite3_close(w->eye);
}

bool play(const play_sequence *sequence, bool trace, char problem[PLAY_TEXT])
{
    static world w;
    memset(&w, 0, sizeof w);
    problem[0] = '\0';
    w.problem = problem;
    w.trace = trace;
    begin(&w);
    for (size_t i = 0; i < sequence->count && problem[0] == '\0'; i++) {
        make(&w, &sequence->steps[i]);
    }
    end(&w);
    return problem[0] == '\0';
}
