/* SPDX-License-Identifier: MIT */
#include "oracle.h"

#include <string.h>

const ctrack_key oracle_keys[ORACLE_KEYS] = {
    {"", "", ""}, {"d1", "s", "b"}, {"d2", "s", "b"}, {"d:1", "s", "c"}, {"d1", "t", "b"},
};
const char *const oracle_models[ORACLE_MODELS] = {"a", "b"};

/* ---------------------------------------------------------------- states */

void oracle_begin(oracle *o)
{
    memset(o, 0, sizeof *o);
    memset(o->versions[0].index, 0xFF, sizeof o->versions[0].index);
}

const oracle_state *oracle_now(const oracle *o)
{
    return &o->versions[o->last];
}

void oracle_commit(oracle *o, const oracle_state *state)
{
    o->versions[++o->last] = *state;
}

void oracle_raise(oracle_state *state, int model, const int64_t target[ORACLE_KEYS])
{
    for (int k = 0; k < ORACLE_KEYS; k++) {
        if (state->index[model][k] < target[k]) {
            state->index[model][k] = target[k];
        }
        state->known[model] = state->known[model] || target[k] != ORACLE_NEVER;
    }
}

bool oracle_reaches(const oracle_state *state, int model, const int64_t target[ORACLE_KEYS])
{
    for (int k = 0; k < ORACLE_KEYS; k++) {
        if (state->index[model][k] < target[k]) {
            return false;
        }
    }
    return true;
}

bool oracle_same(const oracle_state *a, const oracle_state *b, int model)
{
    return memcmp(a->index[model], b->index[model], sizeof a->index[model]) == 0;
}

size_t oracle_count(const oracle_state *state, int model)
{
    size_t count = 0;
    for (int k = 0; k < ORACLE_KEYS; k++) {
        count += state->index[model][k] != ORACLE_NEVER;
    }
    return count;
}

/* ---------------------------------------------------------------- trackers */

size_t oracle_high(const oracle *o, const oracle_view *view)
{
    return view->follows || view->unsure ? o->last : view->low;
}

void oracle_open(oracle *o, int tracker, int model, const ctrack_options *options)
{
    o->views[tracker] = (oracle_view){.model = model,
                                      .read_only = options->read_only,
                                      .unloaded = options->lazy && !options->follow,
                                      .follows = options->follow,
                                      .low = o->last};
}

/* Whether the tracker may have shown a version that satisfies the wait, since it last looked for sure. */
static bool may_be_reached(const oracle *o, const oracle_wait *wait)
{
    const oracle_view *view = &o->views[wait->tracker];
    for (size_t v = view->low; v <= o->last; v++) {
        if (oracle_reaches(&o->versions[v], view->model, wait->target)) {
            return true;
        }
    }
    return false;
}

void oracle_synced(oracle *o, int tracker)
{
    oracle_view *view = &o->views[tracker];
    for (int i = 0; i < ORACLE_WAITS; i++) {
        oracle_wait *wait = &o->waits[i];
        if (!wait->used || wait->tracker != tracker || (wait->allowed & ORACLE_BIT(CTRACK_PENDING)) == 0) {
            continue;
        }
        wait->allowed |= may_be_reached(o, wait) ? ORACLE_BIT(CTRACK_OK) : 0;
        if (oracle_reaches(oracle_now(o), view->model, wait->target)) {
            wait->allowed &= ~ORACLE_BIT(CTRACK_PENDING);
        }
    }
    view->low = o->last;
    view->unloaded = view->unsure = false;
}

void oracle_unsure(oracle *o, int tracker)
{
    oracle_view *view = &o->views[tracker];
    view->low = view->unloaded ? o->last : view->low;
    view->unloaded = false;
    view->unsure = true;
}

void oracle_loaded(oracle *o, int tracker)
{
    if (o->views[tracker].unloaded) {
        oracle_synced(o, tracker);
    }
}

/* ---------------------------------------------------------------- waits */

unsigned oracle_outcomes(const oracle *o, int tracker, const int64_t target[ORACLE_KEYS], ctrack_status late)
{
    const oracle_view *view = &o->views[tracker];
    unsigned outcomes = 0;
    for (size_t v = view->low; v <= oracle_high(o, view); v++) {
        bool reached = oracle_reaches(&o->versions[v], view->model, target);
        outcomes |= ORACLE_BIT(reached ? CTRACK_OK : view->failed ? CTRACK_FAILED : late);
    }
    return outcomes;
}

unsigned oracle_allowed(const oracle *o, const oracle_wait *wait)
{
    bool pending = (wait->allowed & ORACLE_BIT(CTRACK_PENDING)) != 0;
    return wait->allowed | (pending && may_be_reached(o, wait) ? ORACLE_BIT(CTRACK_OK) : 0);
}

void oracle_seen(oracle_wait *wait, ctrack_status status)
{
    wait->allowed = ORACLE_BIT(status);
}

void oracle_end(oracle *o, int tracker, int signal, ctrack_status status)
{
    for (int i = 0; i < ORACLE_WAITS; i++) {
        oracle_wait *wait = &o->waits[i];
        if (wait->used && (tracker < 0 || wait->tracker == tracker) && (signal < 0 || wait->signal == signal) &&
            (wait->allowed & ORACLE_BIT(CTRACK_PENDING)) != 0) {
            wait->allowed = (oracle_allowed(o, wait) | ORACLE_BIT(status)) & ~ORACLE_BIT(CTRACK_PENDING);
        }
    }
}

void oracle_close(oracle *o, int tracker)
{
    for (int i = 0; i < ORACLE_WAITS; i++) {
        o->waits[i].tracker = o->waits[i].tracker == tracker ? -1 : o->waits[i].tracker;
    }
}

/* ---------------------------------------------------------------- the host's transaction */

const oracle_state *oracle_host_reads(oracle *o)
{
    oracle_host *host = &o->host;
    if (host->stage == ORACLE_BEGUN) {
        host->stage = ORACLE_READING;
        host->snapshot = o->last;
        host->changes = o->changes;
    }
    return host->stage == ORACLE_WRITING   ? &host->overlay
           : host->stage == ORACLE_READING ? &o->versions[host->snapshot]
                                           : oracle_now(o);
}

oracle_state *oracle_host_writes(oracle *o, oracle_state *alone)
{
    oracle_host *host = &o->host;
    if (host->stage == ORACLE_NO_TRANSACTION) {
        *alone = *oracle_now(o);
        return alone;
    }
    if (host->stage == ORACLE_READING && host->changes != o->changes) {
        return NULL;
    }
    if (host->stage != ORACLE_WRITING) {
        host->stage = ORACLE_WRITING;
        host->overlay = *oracle_now(o);
    }
    return &host->overlay;
}

void oracle_host_wrote(oracle *o, const oracle_state *alone)
{
    if (o->host.stage == ORACLE_NO_TRANSACTION) {
        oracle_commit(o, alone);
    }
}

void oracle_host_ends(oracle *o, bool commit)
{
    if (commit && o->host.stage == ORACLE_WRITING) {
        oracle_commit(o, &o->host.overlay);
    }
    o->host = (oracle_host){.stage = ORACLE_NO_TRANSACTION};
}

void oracle_host_saves(oracle *o)
{
    oracle_host *host = &o->host;
    host->savepoint = true;
    host->begun_by = host->stage == ORACLE_NO_TRANSACTION;
    host->stage = host->begun_by ? ORACLE_BEGUN : host->stage;
    host->saved_writing = host->stage == ORACLE_WRITING;
    host->saved = host->overlay;
}

void oracle_host_goes_back(oracle *o)
{
    oracle_host *host = &o->host;
    if (host->stage == ORACLE_WRITING) {
        host->overlay = host->saved_writing ? host->saved : *oracle_now(o);
    }
}
