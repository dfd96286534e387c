/* SPDX-License-Identifier: MIT */
#include "world.h"

#include <stdio.h>
#include <string.h>

#include "arena.h"
#include "scheduler.h"
#include "tracker.h"

static const char *const documents[DOCUMENTS + 1] = {"a", "b", "c", "d", "e"};

static ctrack_coordinate at(int document, int64_t index)
{
    return (ctrack_coordinate){documents[document], "document", "main", index};
}

static int document_of(const ctrack_coordinate *coordinate)
{
    return coordinate->document_id[0] - 'a';
}

static int64_t *called(world *w, int tracker, int document)
{
    return &w->called[w->shared ? 0 : tracker][document];
}

static int64_t *acknowledged(world *w, int tracker, int document)
{
    return &w->acknowledged[tracker][document];
}

/* ---------------------------------------------------------------- trackers */

void world_open(world *w, int tracker)
{
    ctrack_error error = {.message = ""};
    if (ctrack_open(w->path, NULL, &w->trackers[tracker], &error) != CTRACK_OK) {
        schedule_give_up("open: %s", error.message);
    }
    w->shared = w->path != NULL;
}

static void check_closed(world *w, int tracker)
{
    for (int i = 0; i < w->wait_count; i++) {
        watched *wait = &w->waits[i];
        if (wait->tracker != tracker) {
            continue;
        }
        if (wait->promise != NULL && world_look(wait) == CTRACK_PENDING) {
            schedule_violation("wait %d is pending after close", i);
        }
        if (wait->heard && wait->calls == 0) {
            schedule_violation("wait %d's callback has not run after close", i);
        }
    }
}

void world_close(world *w, int tracker)
{
    ctrack_error error = {.message = ""};
    w->closing[tracker] = true;
    if (ctrack_close(w->trackers[tracker], &error) != CTRACK_OK) {
        schedule_violation("close: %s", error.message);
    }
    check_closed(w, tracker);
}

/* ---------------------------------------------------------------- actors */

static void *run_actor(void *argument)
{
    actor *a = argument;
    a->act(a);
    return NULL;
}

actor *world_start(world *w, void (*act)(actor *), int tracker, int document, int64_t index, int64_t timeout_ms)
{
    actor *a = &w->actors[w->actor_count++];
    *a = (actor){w, act, tracker, document, index, timeout_ms, 0, true};
    pthread_create(&a->thread, NULL, run_actor, a);
    return a;
}

void world_join(world *w)
{
    for (int i = 0; i < w->actor_count; i++) {
        if (w->actors[i].running) {
            pthread_join(w->actors[i].thread, NULL);
            w->actors[i].running = false;
        }
    }
}

void world_end(world *w)
{
    for (int i = 0; i < w->wait_count; i++) {
        if (w->waits[i].calls != w->waits[i].heard) {
            schedule_violation("wait %d's callback ran %d times", i, w->waits[i].calls);
        }
    }
}

/* ---------------------------------------------------------------- judging */

/* What the file says, for whoever opens it. */
static int64_t stored(world *w, const char *document)
{
    sqlite3_stmt *statement = NULL;
    int64_t index = -1;
    if (sqlite3_prepare_v2(w->outside, "SELECT operation_index FROM ctrack_progress WHERE document_id = ?", -1,
                           &statement, NULL) != SQLITE_OK) {
        schedule_give_up("the file cannot be read: %s", sqlite3_errmsg(w->outside));
    }
    sqlite3_bind_text(statement, 1, document, -1, SQLITE_STATIC);
    int result = sqlite3_step(statement);
    if (result == SQLITE_ROW) {
        index = sqlite3_column_int64(statement, 0);
    } else if (result != SQLITE_DONE) {
        schedule_violation("the file cannot be read: %s", sqlite3_errmsg(w->outside));
    }
    sqlite3_finalize(statement);
    return index;
}

static void judge_reached(world *w, int tracker, const ctrack_coordinate *coordinate, const char *what)
{
    if (*called(w, tracker, document_of(coordinate)) < coordinate->operation_index) {
        schedule_violation("%s: %s:%lld was never reported", what, coordinate->document_id,
                           (long long)coordinate->operation_index);
    }
    if (w->outside != NULL && !w->rewinding && stored(w, coordinate->document_id) < coordinate->operation_index) {
        schedule_violation("%s: %s:%lld is not in the file", what, coordinate->document_id,
                           (long long)coordinate->operation_index);
    }
}

static bool has_its_cause(const watched *wait, ctrack_status outcome)
{
    const world *w = wait->w;
    switch (outcome) {
    case CTRACK_OK:
        return true;
    case CTRACK_TIMED_OUT:
        return wait->timeout_ms >= 0 && schedule_now() >= wait->made_at + wait->timeout_ms * 1000000;
    case CTRACK_ABORTED:
        return wait->released || (wait->has_signal && w->aborting);
    case CTRACK_CLOSED:
        return w->closing[wait->tracker];
    case CTRACK_FAILED:
        return w->failing;
    default:
        return false;
    }
}

static void judge(watched *wait, ctrack_status outcome)
{
    if (outcome == CTRACK_PENDING) {
        if (wait->outcome != CTRACK_PENDING) {
            schedule_violation("a wait that had settled is pending");
        }
        return;
    }
    if (wait->outcome != CTRACK_PENDING && outcome != wait->outcome) {
        schedule_violation("a wait ended %s, and then %s", ctrack_status_name(wait->outcome),
                           ctrack_status_name(outcome));
    }
    wait->outcome = outcome;
    if (!has_its_cause(wait, outcome)) {
        ctrack_error error = {.message = ""};
        ctrack_promise_explain(wait->promise, &error);
        schedule_violation("a wait ended %s without a cause: %s", ctrack_status_name(outcome), error.message);
    }
    for (size_t i = 0; outcome == CTRACK_OK && i < wait->count; i++) {
        judge_reached(wait->w, wait->tracker, &wait->wanted[i], "a wait was satisfied");
    }
}

ctrack_status world_look(watched *wait)
{
    schedule_hold();
    ctrack_status status = wait->promise != NULL ? ctrack_promise_status(wait->promise) : wait->outcome;
    judge(wait, status);
    schedule_changed();
    return status;
}

static bool is_satisfied(const watched *wait)
{
    for (size_t i = 0; i < wait->count; i++) {
        int document = document_of(&wait->wanted[i]);
        if (wait->w->acknowledged[wait->tracker][document] < wait->wanted[i].operation_index) {
            return false;
        }
    }
    return true;
}

/* Everybody whose wait an update satisfies is awake when it returns. */
static void judge_awake(world *w, int tracker)
{
    for (int i = 0; i < w->wait_count && !w->rewinding; i++) {
        watched *wait = &w->waits[i];
        bool satisfied = wait->promise != NULL && wait->tracker == tracker && is_satisfied(wait);
        if (satisfied && world_look(wait) == CTRACK_PENDING) {
            schedule_violation("wait %d is pending after the update that satisfies it", i);
        }
    }
}

/* ---------------------------------------------------------------- calls */

bool world_begin(world *w, int tracker)
{
    /* Once the closer has found no call under way there is no time left to begin one. */
    schedule_hold();
    ctrack *t = w->trackers[tracker];
    bool can = arena_has(t) && t->calls > 0;
    if (!can) {
        schedule_changed();
    }
    return can;
}

static bool is_refused(world *w, int tracker, ctrack_status status, const char *call, const ctrack_error *error)
{
    if (status != CTRACK_OK && (status != CTRACK_CLOSED || !w->closing[tracker])) {
        schedule_violation("%s: %s %s", call, ctrack_status_name(status), error != NULL ? error->message : "");
    }
    return status != CTRACK_OK;
}

static void raise_to(int64_t *value, int64_t index)
{
    *value = *value < index ? index : *value;
}

void world_call(world *w, int tracker, int document, int64_t index)
{
    raise_to(called(w, tracker, document), index);
}

static bool update(world *w, int tracker, const ctrack_coordinate *coordinates, size_t count)
{
    if (!world_begin(w, tracker)) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        world_call(w, tracker, document_of(&coordinates[i]), coordinates[i].operation_index);
    }
    ctrack_error error;
    ctrack_status status = ctrack_update(w->trackers[tracker], coordinates, count, &error);
    if (is_refused(w, tracker, status, "update", &error)) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        raise_to(acknowledged(w, tracker, document_of(&coordinates[i])), coordinates[i].operation_index);
    }
    judge_awake(w, tracker);
    for (size_t i = 0; i < count; i++) {
        world_read(w, tracker, document_of(&coordinates[i]));
    }
    return true;
}

bool world_update(world *w, int tracker, int document, int64_t index)
{
    ctrack_coordinate coordinate = at(document, index);
    return update(w, tracker, &coordinate, 1);
}

bool world_update_two(world *w, int tracker, int64_t index)
{
    ctrack_coordinate coordinates[] = {at(0, index), at(1, index)};
    return update(w, tracker, coordinates, 2);
}

void world_read(world *w, int tracker, int document)
{
    ctrack_key key = {documents[document], "document", "main"};
    int64_t seen = -1, least = *acknowledged(w, tracker, document);
    if (!world_begin(w, tracker)) {
        return;
    }
    ctrack_status status = ctrack_get_latest(w->trackers[tracker], &key, &seen);
    if (status != CTRACK_NOT_FOUND && is_refused(w, tracker, status, "get_latest", NULL)) {
        return;
    }
    if (!w->rewinding && seen < least) {
        schedule_violation("%s is at %lld, after an update to %lld returned", key.document_id, (long long)seen,
                           (long long)least);
    }
    if (seen >= 0) {
        ctrack_coordinate read = at(document, seen);
        judge_reached(w, tracker, &read, "get_latest");
    }
}

void world_compare(world *w, int tracker)
{
    if (ctrack_refresh(w->trackers[tracker], NULL) != CTRACK_OK) {
        schedule_violation("refresh failed");
    }
    for (int i = 0; i < DOCUMENTS; i++) {
        ctrack_key key = {documents[i], "document", "main"};
        int64_t seen = -1;
        ctrack_get_latest(w->trackers[tracker], &key, &seen);
        if (seen != stored(w, documents[i])) {
            schedule_violation("%s is at %lld in memory, and at %lld in the file", documents[i], (long long)seen,
                               (long long)stored(w, documents[i]));
        }
    }
}

watched *world_wait(world *w, int tracker, int document, int64_t index, size_t count, int64_t timeout_ms, bool signal)
{
    watched made = {.w = w, .tracker = tracker, .count = count, .timeout_ms = timeout_ms, .has_signal = signal};
    made.wanted[0] = at(document, index);
    made.wanted[1] = at(document + 1, index);
    made.outcome = CTRACK_PENDING;
    if (!world_begin(w, tracker)) {
        return NULL;
    }
    made.made_at = schedule_now();
    ctrack_error error;
    ctrack_status status = ctrack_wait_for(w->trackers[tracker], made.wanted, count, timeout_ms,
                                           signal ? w->signal : NULL, &made.promise, &error);
    if (is_refused(w, tracker, status, "wait_for", &error)) {
        return NULL;
    }
    watched *wait = &w->waits[w->wait_count++];
    *wait = made;
    if (is_satisfied(wait) && !w->rewinding && world_look(wait) == CTRACK_PENDING) {
        schedule_violation("a wait for what was acknowledged is pending");
    }
    return wait;
}

void world_await(watched *wait)
{
    if (wait != NULL) {
        judge(wait, ctrack_promise_await(wait->promise));
        if (world_look(wait) == CTRACK_PENDING) {
            schedule_violation("await returned from a pending wait");
        }
    }
}

static void call_back(ctrack_promise *promise, ctrack_status outcome, void *argument)
{
    watched *wait = argument;
    if (++wait->calls > 1) {
        schedule_violation("a callback is called again");
    }
    if (outcome == CTRACK_PENDING || outcome != ctrack_promise_status(promise)) {
        schedule_violation("a callback's outcome is not the promise's");
    }
    judge(wait, outcome);
    if (wait->then != NULL) {
        wait->then(wait);
    }
}

bool world_hear(watched *wait, void (*then)(watched *))
{
    if (wait == NULL) {
        return false;
    }
    wait->then = then;
    ctrack_status status = ctrack_promise_then(wait->promise, call_back, wait);
    wait->heard = !is_refused(wait->w, wait->tracker, status, "then", NULL);
    return wait->heard;
}

void world_release(watched *wait)
{
    if (wait != NULL && wait->promise != NULL) {
        ctrack_promise *promise = wait->promise;
        wait->released = true;
        wait->promise = NULL;
        ctrack_promise_release(promise);
    }
}
