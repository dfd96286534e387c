/* SPDX-License-Identifier: MIT */
#include "tally.h"

#include <stdio.h>

#include "fault.h"

const tally_key tally_keys[TALLY_KEYS] = {
    {"default", {"doc-w", "document", "main"}},  {"default", {"doc-w", "header", "main"}},
    {"default", {"doc-x", "document", "draft"}}, {"default", {"doc-y", "document", "main"}},
    {"default", {"doc-s", "document", "main"}},  {"default", {"doc-s", "header", "draft"}},
    {"default", {"doc-f", "document", "main"}},  {"default", {"probe", "document", "main"}},
    {"default", {"one-shot", "header", "main"}}, {"default", {"sql", "document", "draft"}},
    {"default", {"doc-w", "elsewhere", "main"}}, {"other", {"doc-w", "document", "main"}},
};

tally *books;

ctrack_coordinate tally_coordinate(int key, int64_t index)
{
    const ctrack_key *k = &tally_keys[key].key;
    return (ctrack_coordinate){k->document_id, k->scope, k->branch, index};
}

static void raise_to(_Atomic int64_t *number, int64_t index)
{
    int64_t before = atomic_load(number);
    while (before < index && !atomic_compare_exchange_weak(number, &before, index)) {
    }
}

int64_t tally_next(int key)
{
    return atomic_load(&books->keys[key].attempted) + 1;
}

void tally_attempt(int key, int64_t index)
{
    raise_to(&books->keys[key].highest, index);
    raise_to(&books->keys[key].attempted, index);
}

unsigned long tally_begin(void)
{
    return atomic_load(&books->restores);
}

static bool counts(unsigned long began)
{
    return began % 2 == 0 && atomic_load(&books->restores) == began;
}

void tally_acknowledge(int key, int64_t index, unsigned long began)
{
    if (counts(began)) {
        raise_to(&books->keys[key].acknowledged, index);
    }
}

void tally_forgetting(int key)
{
    atomic_store(&books->keys[key].acknowledged, TALLY_NEVER);
}

void tally_forgotten(int key, unsigned long began)
{
    if (counts(began)) {
        atomic_store(&books->keys[key].attempted, TALLY_NEVER);
    }
}

/* ---------------------------------------------------------------- backups, and the truth */

static void take_over(const tally_state *state)
{
    for (int k = 0; k < TALLY_KEYS; k++) {
        atomic_store(&books->keys[k].attempted, state->index[k]);
        atomic_store(&books->keys[k].acknowledged, state->index[k]);
        raise_to(&books->keys[k].highest, state->index[k]);
    }
}

void tally_restoring(void)
{
    atomic_fetch_add(&books->restores, 1);
}

void tally_restored(const tally_state *state, bool meanwhile)
{
    if (state != NULL && !meanwhile) {
        take_over(state);
    }
    for (int k = 0; k < TALLY_KEYS && state != NULL && meanwhile; k++) {
        /* What was attempted, or forgotten, meanwhile may have come after it. */
        raise_to(&books->keys[k].attempted, state->index[k]);
        raise_to(&books->keys[k].highest, state->index[k]);
        atomic_store(&books->keys[k].acknowledged, k == TALLY_FORGOTTEN ? TALLY_NEVER : state->index[k]);
    }
    atomic_fetch_add(&books->restores, 1);
}

void tally_judge(const tally_state *state)
{
    for (int k = 0; k < TALLY_KEYS; k++) {
        int64_t acknowledged = atomic_load(&books->keys[k].acknowledged),
                attempted = atomic_load(&books->keys[k].attempted);
        if (state->index[k] < acknowledged || state->index[k] > attempted) {
            const ctrack_key *key = &tally_keys[k].key;
            object("%s:%s:%s: acknowledged %lld, the file has %lld, attempted %lld", key->document_id, key->scope,
                   key->branch, (long long)acknowledged, (long long)state->index[k], (long long)attempted);
        }
    }
    if (state->applied != state->index[TALLY_STAGER]) {
        object("the host has applied %lld, its progress is %lld, acknowledged %lld, attempted %lld",
               (long long)state->applied, (long long)state->index[TALLY_STAGER],
               (long long)atomic_load(&books->keys[TALLY_STAGER].acknowledged),
               (long long)atomic_load(&books->keys[TALLY_STAGER].attempted));
    }
    take_over(state);
}

/* ---------------------------------------------------------------- objections */

void object(const char *format, ...)
{
    unsigned long at = atomic_fetch_add(&books->objections, 1) % TALLY_OBJECTIONS;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(books->objection[at].text, TALLY_TEXT, format, arguments);
    va_end(arguments);
    atomic_store(&books->objection[at].written, true);
}

void tally_fetch_objections(const char *place)
{
    for (int i = 0; i < TALLY_OBJECTIONS; i++) {
        if (atomic_exchange(&books->objection[i].written, false)) {
            violation(place, "%s", books->objection[i].text);
        }
    }
}
