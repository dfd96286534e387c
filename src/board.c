/* SPDX-License-Identifier: MIT */
#include "board.h"

#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "clock.h"
#include "error.h"
#include "promise.h"
#include "snapshot.h"
#include "text.h"

ct_board *ct_board_new(void)
{
    ct_board *board = ct_alloc_array(1, sizeof *board);
    if (board == NULL) {
        return NULL;
    }
    board->map = ct_map_new();
    if (board->map == NULL || ct_mutex_init(&board->lock) != 0) {
        goto no_lock;
    }
    if (ct_service_init(&board->service) != 0) {
        goto no_service;
    }
    board->waits.map = board->map;
    atomic_init(&board->refs, 1);
    board->generation = ct_fork_generation();
    return board;

no_service:
    ct_mutex_destroy(&board->lock);
no_lock:
    ct_map_free(board->map);
    ct_free(board);
    return NULL;
}

void ct_board_unref(ct_board *board)
{
    if (atomic_fetch_sub_explicit(&board->refs, 1, memory_order_acq_rel) == 1) {
        ct_service_destroy(&board->service);
        ct_mutex_destroy(&board->lock);
        ct_advances_free(&board->update);
        for (int who = 0; who < CT_FAILINGS; who++) {
            ct_cause_unref(board->causes[who]);
        }
        ct_map_free(board->map);
        ct_free(board);
    }
}

ctrack_status ct_board_check(const ct_board *board, ctrack_error *error)
{
    if (board->generation != ct_fork_generation()) {
        return ct_error_set(error, CTRACK_FORKED, "the tracker was opened by a parent process; open it anew");
    }
    return CTRACK_OK;
}

void ct_board_close(ct_board *board)
{
    ct_settled settled = {0};
    ct_mutex_lock(&board->lock);
    board->closed = true;
    ct_waitset_end_all(&board->waits, CTRACK_CLOSED, &settled);
    ct_board_unlock_and_wake(board, &settled);
    ct_service_stop(board);
}

/* Frees the entries that have neither progress nor waits. The lock is held. */
static void sweep(ct_board *board)
{
    ct_entry *next;
    for (ct_entry *entry = ct_map_next(board->map, NULL); entry != NULL; entry = next) {
        next = ct_map_next(board->map, entry);
        ct_map_release(board->map, entry);
    }
}

void ct_board_clear(ct_board *board)
{
    ct_mutex_lock(&board->lock);
    for (ct_entry *entry = ct_map_next(board->map, NULL); entry != NULL; entry = ct_map_next(board->map, entry)) {
        ct_map_set(board->map, entry, CT_UNSEEN);
    }
    sweep(board);
    ct_mutex_unlock(&board->lock);
}

/* ---------------------------------------------------------------- failing */

void ct_cause_unref(ct_cause *cause)
{
    if (cause != NULL && atomic_fetch_sub_explicit(&cause->refs, 1, memory_order_acq_rel) == 1) {
        ct_free(cause);
    }
}

ctrack_status ct_board_fail(ct_board *board, ct_failing who, ctrack_status status, const char *reason,
                            ctrack_error *error)
{
    ct_settled settled = {0};
    size_t size = strlen(reason) + 1;
    ct_cause *cause = ct_alloc(sizeof *cause + size);
    if (cause == NULL) {
        return ct_error_no_memory(error);
    }
    atomic_init(&cause->refs, 1);
    cause->status = status;
    memcpy(cause->text, reason, size);
    ct_mutex_lock(&board->lock);
    ct_cause *before = board->causes[who];
    board->causes[who] = cause;
    ct_waitset_end_all(&board->waits, status, &settled);
    ct_board_unlock_and_wake(board, &settled);
    ct_cause_unref(before);
    return CTRACK_OK;
}

void ct_board_resume(ct_board *board, ct_failing who)
{
    ct_mutex_lock(&board->lock);
    ct_cause *over = board->causes[who];
    board->causes[who] = NULL;
    ct_mutex_unlock(&board->lock);
    ct_cause_unref(over);
}

bool ct_board_fails(ct_board *board, ct_failing who)
{
    ct_mutex_lock(&board->lock);
    bool fails = board->causes[who] != NULL;
    ct_mutex_unlock(&board->lock);
    return fails;
}

ct_cause *ct_board_cause(const ct_board *board)
{
    return board->causes[CT_FAILING_HOST] != NULL ? board->causes[CT_FAILING_HOST] : board->causes[CT_FAILING_FILE];
}

/* ---------------------------------------------------------------- counting */

static void count_in(uint64_t histogram[CTRACK_HISTOGRAM], uint64_t value)
{
    size_t bucket = 0;
    while (value > 1 && bucket < CTRACK_HISTOGRAM - 1) {
        value /= 2;
        bucket++;
    }
    histogram[bucket]++;
}

/* The lock is held. */
static void count_updates(ct_board *board, size_t updates, size_t given, size_t written)
{
    board->counts.updates += updates;
    board->counts.coordinates_written += written;
    board->counts.coordinates_skipped += given - written;
}

void ct_board_count(ct_board *board, size_t updates, size_t given, size_t written, bool committed)
{
    ct_mutex_lock(&board->lock);
    count_updates(board, updates, given, written);
    if (committed) {
        board->counts.commits++;
        count_in(board->counts.group_sizes, updates);
    }
    ct_mutex_unlock(&board->lock);
}

/* The lock is held. */
static void count_settled(ct_board *board, const ct_settled *settled)
{
    int64_t now = settled->first != NULL ? ct_clock_monotonic() : 0;
    for (const ct_wait *wait = settled->first; wait != NULL; wait = wait->next) {
        int outcome = atomic_load_explicit(&wait->status, memory_order_relaxed);
        board->counts.waits_settled[outcome < CTRACK_FAILED ? outcome : CTRACK_FAILED]++;
        count_in(board->counts.wait_microseconds, (uint64_t)(now - wait->since) / 1000);
    }
}

size_t ct_board_keys(ct_board *board)
{
    ct_mutex_lock(&board->lock);
    size_t keys = ct_map_count(board->map);
    ct_mutex_unlock(&board->lock);
    return keys;
}

void ct_board_stats(ct_board *board, ctrack_stats *stats)
{
    ct_mutex_lock(&board->lock);
    *stats = board->counts;
    stats->keys = ct_map_count(board->map);
    stats->waits_pending = board->waits.pending;
    ct_mutex_unlock(&board->lock);
}

bool ct_board_on_service_thread(ct_board *board)
{
    ct_mutex_lock(&board->lock);
    bool on = board->service.started && ct_thread_is_current(&board->service.thread);
    ct_mutex_unlock(&board->lock);
    return on;
}

ctrack_status ct_board_get(ct_board *board, const ctrack_key *key, int64_t *operation_index)
{
    if (key->document_id == NULL || key->scope == NULL || key->branch == NULL) {
        return CTRACK_INVALID;
    }
    ct_mutex_lock(&board->lock);
    const ct_entry *entry = ct_map_find(board->map, key);
    ctrack_status status = board->closed ? CTRACK_CLOSED : CTRACK_NOT_FOUND;
    if (status != CTRACK_CLOSED && entry != NULL && entry->index >= 0) {
        *operation_index = entry->index;
        status = CTRACK_OK;
    }
    ct_mutex_unlock(&board->lock);
    /* Text that no key can have is told from text that no key has only when it matters. */
    return status == CTRACK_NOT_FOUND && ct_text_check_key(key, "key", NULL) != CTRACK_OK ? CTRACK_INVALID : status;
}

bool ct_board_reached(ct_board *board, const ctrack_coordinate *coordinates, size_t count)
{
    ct_mutex_lock(&board->lock);
    bool reached = !board->closed;
    for (size_t i = 0; i < count && reached; i++) {
        const ctrack_coordinate *wanted = &coordinates[i];
        bool given = wanted->document_id != NULL && wanted->scope != NULL && wanted->branch != NULL;
        ctrack_key key = ct_text_key(wanted);
        const ct_entry *entry = given ? ct_map_find(board->map, &key) : NULL;
        reached = entry != NULL && wanted->operation_index >= 0 && entry->index >= wanted->operation_index;
    }
    if (reached) {
        board->counts.waits_settled[CTRACK_OK]++;
        count_in(board->counts.wait_microseconds, 0);
    }
    ct_mutex_unlock(&board->lock);
    return reached;
}

int ct_board_copy_entry(const ct_board *board, const ct_entry *entry, int64_t index, int64_t target,
                        ctrack_snapshot *snapshot)
{
    const ct_keyspace *keyspace = ct_map_keyspace_of(board->map, entry);
    const char *text[3] = {NULL, keyspace->scope, keyspace->branch};
    size_t length[3] = {0, keyspace->scope_length, keyspace->branch_length};
    text[0] = ct_map_document_of(entry, &length[0]);
    return ct_snapshot_add(snapshot, text, length, index, target);
}

ctrack_status ct_board_copy(ct_board *board, ctrack_snapshot **snapshot, ctrack_error *error)
{
    ctrack_snapshot *made = ct_snapshot_new();
    int result = made != NULL ? 0 : -1;
    ct_mutex_lock(&board->lock);
    bool closed = board->closed;
    for (ct_entry *entry = NULL; result == 0 && !closed && (entry = ct_map_next(board->map, entry)) != NULL;) {
        result = entry->index >= 0 ? ct_board_copy_entry(board, entry, entry->index, -1, made) : 0;
    }
    ct_mutex_unlock(&board->lock);
    if (closed || result != 0 || ct_snapshot_seal(made) != 0) {
        ctrack_snapshot_free(made);
        return closed ? ct_error_set(error, CTRACK_CLOSED, "the tracker is closed") : ct_error_no_memory(error);
    }
    *snapshot = made;
    return CTRACK_OK;
}

void ct_board_unlock_and_wake(ct_board *board, ct_settled *settled)
{
    count_settled(board, settled);
    for (ct_wait *wait = settled->first; wait != NULL; wait = wait->next) {
        ct_promise_settled(wait);
    }
    ct_mutex_unlock(&board->lock);
    ct_wait *next;
    for (ct_wait *wait = settled->first; wait != NULL; wait = next) {
        next = wait->next;
        ct_promise_wake(wait);
    }
}

/* ---------------------------------------------------------------- steps of progress */

int ct_advances_add(ct_advances *advances, ct_entry *entry, int64_t index)
{
    void *items = advances->items;
    if (ct_grow(&items, &advances->capacity, advances->count + 1, sizeof *advances->items) != 0) {
        return -1;
    }
    advances->items = items;
    advances->items[advances->count++] = (ct_advance){.entry = entry, .index = index, .before = entry->index};
    if (entry->index == CT_UNSEEN) {
        entry->index = CT_RESERVED;
    }
    return 0;
}

void ct_advances_free(ct_advances *advances)
{
    ct_free(advances->items);
    *advances = (ct_advances){0};
}

/* By entry, then index; a step that holds a reservation counts as lower, so that uniting can pass it on. */
static int compare_advances(const void *a, const void *b)
{
    const ct_advance *left = a, *right = b;
    if (left->entry != right->entry) {
        return (uintptr_t)left->entry < (uintptr_t)right->entry ? -1 : 1;
    }
    return (left->index > right->index) - (left->index < right->index);
}

void ct_advances_unite(ct_advances *advances)
{
    if (advances->count < 2) {
        return;
    }
    qsort(advances->items, advances->count, sizeof *advances->items, compare_advances);
    size_t kept = 0;
    for (size_t i = 1; i < advances->count; i++) {
        ct_advance *last = &advances->items[kept], *next = &advances->items[i];
        if (last->entry == next->entry) {
            next->before = last->before == CT_UNSEEN ? CT_UNSEEN : next->before;
            *last = *next;
        } else {
            advances->items[++kept] = *next;
        }
    }
    advances->count = kept + 1;
}

/* Takes back the reservations of the steps from `first` on, and drops these. The lock is held. */
static void cancel_from(ct_board *board, ct_advances *advances, size_t first)
{
    for (size_t i = first; i < advances->count; i++) {
        ct_advance *advance = &advances->items[i];
        if (advance->before == CT_UNSEEN && advance->entry->index == CT_RESERVED) {
            advance->entry->index = CT_UNSEEN;
            ct_map_release(board->map, advance->entry);
        }
    }
    advances->count = first;
}

/* One coordinate, and its entry if there was one. Text that equals a known key is valid, so only new text is checked.
 * The lock is held. */
static ctrack_status prepare_one(ct_board *board, const ctrack_coordinate *coordinate, ct_entry *entry, size_t position,
                                 bool all, ct_advances *advances, ctrack_error *error)
{
    if (entry == NULL || coordinate->operation_index < 0) {
        ctrack_status status = ct_text_check_coordinate(coordinate, position, error);
        if (status != CTRACK_OK) {
            return status;
        }
        ctrack_key key = ct_text_key(coordinate);
        entry = ct_map_find_or_add(board->map, &key); /* one before it may have added it */
    }
    if (entry == NULL) {
        return ct_error_no_memory(error);
    }
    if ((all || entry->index < coordinate->operation_index) &&
        ct_advances_add(advances, entry, coordinate->operation_index) != 0) {
        ct_map_release(board->map, entry);
        return ct_error_no_memory(error);
    }
    return CTRACK_OK;
}

static ctrack_status prepare(ct_board *board, const ctrack_coordinate *coordinates, size_t count, bool all,
                             ct_advances *advances, ctrack_error *error)
{
    ct_entry *entries[CT_MAP_AHEAD];
    size_t first = advances->count;
    ctrack_status status = CTRACK_OK;
    if (board->closed) {
        status = ct_error_set(error, CTRACK_CLOSED, "the tracker is closed");
    }
    for (size_t i = 0; i < count && status == CTRACK_OK; i++) {
        if (i % CT_MAP_AHEAD == 0) {
            ct_map_find_many(board->map, &coordinates[i], count - i < CT_MAP_AHEAD ? count - i : CT_MAP_AHEAD, entries);
        }
        status = prepare_one(board, &coordinates[i], entries[i % CT_MAP_AHEAD], i, all, advances, error);
    }
    if (status != CTRACK_OK) {
        cancel_from(board, advances, first);
    }
    return status;
}

ctrack_status ct_board_prepare(ct_board *board, const ctrack_coordinate *coordinates, size_t count, bool all,
                               ct_advances *advances, ctrack_error *error)
{
    ct_mutex_lock(&board->lock);
    ctrack_status status = prepare(board, coordinates, count, all, advances, error);
    ct_mutex_unlock(&board->lock);
    return status;
}

/* Carries out one step. Returns how the progress has changed: 1, -1, or 0. The lock is held. */
static int publish_one(ct_board *board, const ct_advance *advance, ct_settled *settled)
{
    ct_entry *entry = advance->entry;
    if (advance->index == CT_UNSEEN) {
        int change = entry->index >= 0 ? -1 : 0;
        ct_map_set(board->map, entry, CT_UNSEEN);
        return change;
    }
    if (entry->index >= advance->index) {
        return 0;
    }
    ct_map_set(board->map, entry, advance->index);
    if (entry->waiting != NULL) {
        ct_waitset_raised(&board->waits, entry, settled);
    }
    return 1;
}

/* Whether a step that raises its entry is the first of its list to do so. The lock is held. */
static bool is_first_raise(const ct_advance *advance)
{
    return advance->entry->index == (advance->before == CT_UNSEEN ? CT_RESERVED : advance->before);
}

/* Carries out the steps and empties the list. Returns how many keys' progress they raised. The lock is held. */
static size_t publish(ct_board *board, ct_advances *advances, ct_settled *settled)
{
    bool forgets = false, rewound = false; /* rewound: since the waits were judged */
    size_t raised = 0;
    for (size_t i = 0; i < advances->count; i++) {
        if (rewound && advances->items[i].index != CT_UNSEEN) {
            /* What was taken back must be missing before this step can satisfy a wait. */
            ct_waitset_rejudge(&board->waits, settled);
            rewound = false;
        }
        bool first = is_first_raise(&advances->items[i]);
        int change = publish_one(board, &advances->items[i], settled);
        raised += change > 0 && first;
        rewound = rewound || change < 0;
        forgets = forgets || advances->items[i].index == CT_UNSEEN;
    }
    if (rewound) {
        ct_waitset_rejudge(&board->waits, settled);
    }
    if (forgets) {
        ct_advances_unite(advances);
        for (size_t i = 0; i < advances->count; i++) {
            ct_map_release(board->map, advances->items[i].entry);
        }
    }
    advances->count = 0;
    return raised;
}

void ct_board_publish(ct_board *board, ct_advances *advances)
{
    ct_settled settled = {0};
    ct_mutex_lock(&board->lock);
    publish(board, advances, &settled);
    ct_board_unlock_and_wake(board, &settled);
}

ctrack_status ct_board_update(ct_board *board, const ctrack_coordinate *coordinates, size_t count, ctrack_error *error)
{
    ct_settled settled = {0};
    ct_mutex_lock(&board->lock);
    ctrack_status status = prepare(board, coordinates, count, false, &board->update, error);
    size_t written = publish(board, &board->update, &settled);
    if (status == CTRACK_OK) {
        count_updates(board, 1, count, written);
    }
    ct_board_unlock_and_wake(board, &settled);
    return status;
}

void ct_board_replace(ct_board *board, ct_advances *advances)
{
    ct_settled settled = {0};
    ct_mutex_lock(&board->lock);
    for (ct_entry *entry = ct_map_next(board->map, NULL); entry != NULL; entry = ct_map_next(board->map, entry)) {
        ct_map_set(board->map, entry, CT_UNSEEN);
    }
    for (size_t i = 0; i < advances->count; i++) {
        ct_advance *advance = &advances->items[i];
        if (advance->entry->index < advance->index) {
            ct_map_set(board->map, advance->entry, advance->index);
        }
    }
    advances->count = 0;
    ct_waitset_rejudge(&board->waits, &settled);
    sweep(board);
    ct_board_unlock_and_wake(board, &settled);
}

void ct_board_cancel(ct_board *board, ct_advances *advances)
{
    ct_mutex_lock(&board->lock);
    cancel_from(board, advances, 0);
    ct_mutex_unlock(&board->lock);
}
