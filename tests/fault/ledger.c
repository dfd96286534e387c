/* SPDX-License-Identifier: MIT */
#include "ledger.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char long_document[2500];

const ctrack_key ledger_keys[LEDGER_KEYS] = {
    {"doc-0", "document", "main"},         {"doc-1", "document", "main"}, {"doc-2", "document", "main"},
    {"doc-3", "document", "main"},         {"doc-4", "document", "main"}, {long_document, "document", "main"},
    {"doc:\xC3\xBC", "document", "draft"}, {"doc-0", "header", "main"},
};

const char *const ledger_models[LEDGER_MODELS] = {"default", "other"};

void ledger_init_keys(void)
{
    memset(long_document, 'x', sizeof long_document - 1);
}

void ledger_start(ledger *books, const ledger_state *state)
{
    memset(books, 0, sizeof *books);
    books->count = 1;
    books->possible[0] = *state;
    books->copy_absent = true;
}

ledger_change ledger_no_change(ledger_kind kind)
{
    ledger_change change;
    memset(&change, 0, sizeof change);
    memset(&change.values, 0xFF, sizeof change.values);
    change.kind = kind;
    return change;
}

void ledger_name(ledger_change *change, int model, int key, int64_t index)
{
    change->models[model] = true;
    change->values.index[model][key] = index;
}

static void apply_to_model(const ledger_change *change, int model, ledger_state *state)
{
    for (int k = 0; k < LEDGER_KEYS; k++) {
        int64_t named = change->values.index[model][k], *index = &state->index[model][k];
        if (change->kind == LEDGER_REPLACE || (change->kind == LEDGER_RAISE && named > *index)) {
            *index = named;
        } else if (change->kind == LEDGER_FORGET && named != LEDGER_NEVER) {
            *index = LEDGER_NEVER;
        }
    }
}

void ledger_apply(const ledger_change *change, ledger_state *state)
{
    for (int m = 0; m < LEDGER_MODELS; m++) {
        if (change->models[m]) {
            apply_to_model(change, m, state);
        }
    }
    if (change->values.host != LEDGER_NEVER) {
        state->host = change->values.host;
    }
}

/* ---------------------------------------------------------------- entering and settling */

void ledger_enter(ledger *books, const ledger_change *change)
{
    if (books->flying == LEDGER_FLYING) {
        abort();
    }
    books->changes[books->flying] = *change;
    books->flying++; /* last, so that a kill in between finds the books in order */
}

static void add_state(ledger *books, const ledger_state *state)
{
    for (size_t i = 0; i < books->count; i++) {
        if (ledger_same(&books->possible[i], state)) {
            return;
        }
    }
    if (books->count == LEDGER_STATES) {
        abort();
    }
    books->possible[books->count++] = *state;
}

void ledger_settle(ledger *books, ledger_outcome outcome)
{
    ledger next = *books;
    const ledger_change *change = &books->changes[0];
    if (outcome == LEDGER_DONE) {
        next.count = 0;
    }
    for (size_t i = 0; outcome != LEDGER_NOT_DONE && i < books->count; i++) {
        ledger_state state = books->possible[i];
        ledger_apply(change, &state);
        add_state(&next, &state);
    }
    next.flying--;
    memmove(&next.changes[0], &next.changes[1], (LEDGER_FLYING - 1) * sizeof next.changes[0]);
    *books = next;
}

void ledger_all_unknown(ledger *books)
{
    while (books->flying > 0) {
        ledger_settle(books, LEDGER_UNKNOWN);
    }
}

/* ---------------------------------------------------------------- the copy */

void ledger_export(ledger *books)
{
    for (size_t i = 0; i < books->count; i++) {
        books->copies[books->copy_was + i] = books->possible[i];
        books->copies[books->copy_was + i].host = LEDGER_NEVER; /* the host's tables stay where they are */
    }
    books->copy_count = books->copy_was + books->count; /* last, as above */
}

void ledger_exported(ledger *books, bool done)
{
    if (done) {
        books->copy_absent = false;
        size_t made = books->copy_count - books->copy_was;
        memmove(books->copies, books->copies + books->copy_was, made * sizeof *books->copies);
        books->copy_was = made;
    }
    books->copy_count = books->copy_was;
}

bool ledger_allows_copy(const ledger *books, const ledger_state *copy)
{
    bool allowed = copy == NULL && books->copy_absent;
    for (size_t i = 0; copy != NULL && i < books->copy_count; i++) {
        allowed = allowed || ledger_same(&books->copies[i], copy);
    }
    return allowed;
}

void ledger_copy_found(ledger *books, const ledger_state *copy)
{
    books->copy_absent = copy == NULL;
    books->copy_was = books->copy_count = copy != NULL ? 1 : 0;
    if (copy != NULL) {
        books->copies[0] = *copy;
    }
}

/* ---------------------------------------------------------------- looking */

bool ledger_same_model(const ledger_state *a, const ledger_state *b, int model)
{
    return memcmp(a->index[model], b->index[model], sizeof a->index[model]) == 0;
}

bool ledger_same(const ledger_state *a, const ledger_state *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}

bool ledger_allows(const ledger *books, const ledger_state *state)
{
    ledger all = *books;
    ledger_all_unknown(&all);
    for (size_t i = 0; i < all.count; i++) {
        if (ledger_same(&all.possible[i], state)) {
            return true;
        }
    }
    return false;
}

void ledger_found(ledger *books, const ledger_state *state)
{
    books->flying = 0;
    books->count = 1;
    books->possible[0] = *state;
}

void ledger_print(const ledger_state *state, char *text, size_t size)
{
    size_t at = 0;
    for (int m = 0; m < LEDGER_MODELS && at < size; m++) {
        for (int k = 0; k < LEDGER_KEYS && at < size; k++) {
            at += (size_t)snprintf(text + at, size - at, "%s%" PRId64, k == 0 ? (m == 0 ? "" : " | ") : " ",
                                   state->index[m][k]);
        }
    }
    if (at < size) {
        snprintf(text + at, size - at, " | host %" PRId64, state->host);
    }
}
