/* SPDX-License-Identifier: MIT */
#include "rewrite.h"

#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "error.h"
#include "fold.h"
#include "follow.h"
#include "reclaim.h"
#include "sql.h"
#include "text.h"
#include "write.h"

/* So that the transaction, which folds the whole log, finds little to fold. */
static ctrack_status fold_before(ctrack *tracker, ctrack_error *error)
{
    return tracker->store != NULL && !tracker->store->read_only ? ct_fold_nearly_all(tracker, error) : CTRACK_OK;
}

/* ---------------------------------------------------------------- hydrate */

/* Puts the list into ctrack_latest. */
static ctrack_status insert_all(ctrack *tracker, ctrack_error *error)
{
    ct_fold *fold = ct_fold_new();
    ctrack_status status = fold != NULL ? CTRACK_OK : ct_error_no_memory(error);
    int64_t now = ct_clock_wall();
    for (size_t i = 0; i < tracker->advances.count && status == CTRACK_OK; i++) {
        const ct_advance *advance = &tracker->advances.items[i];
        int64_t keyspace_id;
        status = ct_write_keyspace_of(tracker, advance->entry, &keyspace_id, error);
        if (status == CTRACK_OK) {
            size_t length;
            const char *document_id = ct_map_document_of(advance->entry, &length);
            status = ct_fold_add(fold, keyspace_id, document_id, length, advance->index, now, error);
        }
    }
    status = status == CTRACK_OK ? ct_fold_apply(fold, tracker->store, error) : status;
    ct_fold_free(fold);
    return status;
}

static ctrack_status clear(ctrack *tracker, const char *read_model, ctrack_error *error)
{
    sqlite3_stmt *clear;
    ctrack_status status = ct_store_statement(tracker->store, CT_CLEAR_READ_MODEL, &clear, error);
    if (status == CTRACK_OK) {
        sqlite3_bind_text(clear, 1, read_model, -1, SQLITE_STATIC);
        status = ct_sql_run(clear, "clear the read model", error);
        sqlite3_clear_bindings(clear);
    }
    return status;
}

/* A keyspace of the read model; 0: the file has never heard of it. */
static ctrack_status any_keyspace(ctrack *tracker, const char *read_model, int64_t *id, ctrack_error *error)
{
    sqlite3_stmt *any;
    bool row = false;
    ctrack_status status = ct_store_statement(tracker->store, CT_ANY_KEYSPACE, &any, error);
    if (status != CTRACK_OK) {
        return status;
    }
    sqlite3_bind_text(any, 1, read_model, -1, SQLITE_STATIC);
    status = ct_sql_step(any, &row, "look up a keyspace", error);
    *id = row ? sqlite3_column_int64(any, 0) : 0; /* NULL is 0 */
    sqlite3_reset(any);
    sqlite3_clear_bindings(any);
    return status;
}

static ctrack_status announce(ctrack *tracker, const char *read_model, ctrack_error *error)
{
    int64_t keyspace_id = 0;
    ctrack_status status = any_keyspace(tracker, read_model, &keyspace_id, error);
    /* A read model that the file has never heard of has no progress that anybody could have seen. */
    return status == CTRACK_OK && keyspace_id != 0 ? ct_write_rewind(tracker, keyspace_id, NULL, 0, error) : status;
}

/* Prepares and replaces, in the transaction. */
static ctrack_status hydrate_file(ctrack *tracker, const ctrack_coordinate *entries, size_t count, ctrack_error *error)
{
    ctrack_status status = ct_board_prepare(tracker->board, entries, count, true, &tracker->advances, error);
    if (status != CTRACK_OK) {
        return status;
    }
    ct_advances_unite(&tracker->advances);
    status = ct_fold_all(tracker, error);
    status = status == CTRACK_OK ? clear(tracker, tracker->store->read_model, error) : status;
    status = status == CTRACK_OK ? insert_all(tracker, error) : status;
    return status == CTRACK_OK ? announce(tracker, tracker->store->read_model, error) : status;
}

static ctrack_status hydrate_in_file(ctrack *tracker, const ctrack_coordinate *entries, size_t count,
                                     ctrack_error *error)
{
    bool anew;
    ctrack_status status = ct_write_begin(tracker, &anew, error);
    return status == CTRACK_OK ? ct_write_end(tracker, hydrate_file(tracker, entries, count, error), error) : status;
}

/* After a rewind was committed and is going to be published: the store has seen all there is, and all of it is folded.
 */
static void seen_all(ct_store *store)
{
    if (store->appended_seq != 0) {
        ct_store_saw_own(store);
        store->folded_seq = store->appended_seq;
    }
}

ctrack_status ct_rewrite_hydrate(ctrack *tracker, const ctrack_coordinate *entries, size_t count, ctrack_error *error)
{
    ct_ticket ticket = {0};
    ctrack_status status = fold_before(tracker, error);
    if (status != CTRACK_OK) {
        return status;
    }
    if (ct_turn_take(&tracker->turn, &ticket) != 0) {
        return ct_error_no_memory(error);
    }
    status = tracker->store == NULL ? ct_board_prepare(tracker->board, entries, count, true, &tracker->advances, error)
                                    : hydrate_in_file(tracker, entries, count, error);
    for (int i = 0; status == CTRACK_FULL && ct_reclaim(tracker, i); i++) {
        status = hydrate_in_file(tracker, entries, count, error);
    }
    if (status == CTRACK_OK) {
        if (tracker->store != NULL) {
            seen_all(tracker->store);
        }
        ct_board_replace(tracker->board, &tracker->advances);
    } else {
        ct_board_cancel(tracker->board, &tracker->advances);
    }
    ct_tracker_pass(tracker, &ticket, &ticket);
    return status;
}

/* ---------------------------------------------------------------- forget */

/* A step for every key that has progress. */
static ctrack_status prepare_forget(ctrack *tracker, const ctrack_key *keys, size_t count, ctrack_error *error)
{
    ct_board *board = tracker->board;
    ctrack_status status = CTRACK_OK;
    for (size_t i = 0; i < count && status == CTRACK_OK; i++) {
        char what[40];
        snprintf(what, sizeof what, "keys[%zu]", i);
        status = ct_text_check_key(&keys[i], what, error);
        if (status != CTRACK_OK) {
            break;
        }
        ct_mutex_lock(&board->lock);
        ct_entry *entry = ct_map_find(board->map, &keys[i]);
        if (entry != NULL && entry->index >= 0 && ct_advances_add(&tracker->advances, entry, CT_UNSEEN) != 0) {
            status = ct_error_no_memory(error);
        }
        ct_mutex_unlock(&board->lock);
    }
    ct_advances_unite(&tracker->advances);
    return status;
}

/* Deletes one key's progress from the file. Everything is folded, so the dictionary has the key. */
static ctrack_status forget_entry(ctrack *tracker, const ct_entry *entry, ctrack_error *error)
{
    ct_store *store = tracker->store;
    sqlite3_stmt *find, *forget;
    bool row = false;
    size_t length;
    const char *document_id = ct_map_document_of(entry, &length);
    int64_t keyspace_id;
    ctrack_status status = ct_write_keyspace_of(tracker, entry, &keyspace_id, error);
    status = status == CTRACK_OK ? ct_store_statement(store, CT_FOLD_FIND_COORDINATE, &find, error) : status;
    status = status == CTRACK_OK ? ct_store_statement(store, CT_FORGET_LATEST, &forget, error) : status;
    if (status != CTRACK_OK) {
        return status;
    }
    sqlite3_bind_int64(find, 1, keyspace_id);
    sqlite3_bind_text(find, 2, document_id, (int)length, SQLITE_STATIC);
    status = ct_sql_step(find, &row, "read the dictionary", error);
    if (row) {
        sqlite3_bind_int64(forget, 1, sqlite3_column_int64(find, 0));
        sqlite3_reset(find);
        status = ct_sql_run(forget, "forget a key", error);
    }
    sqlite3_clear_bindings(find);
    return status == CTRACK_OK ? ct_write_rewind(tracker, keyspace_id, document_id, length, error) : status;
}

static ctrack_status forget_all(ctrack *tracker, ctrack_error *error)
{
    ctrack_status status = ct_fold_all(tracker, error);
    for (size_t i = 0; i < tracker->advances.count && status == CTRACK_OK; i++) {
        status = forget_entry(tracker, tracker->advances.items[i].entry, error);
    }
    return status;
}

static ctrack_status forget_in_file(ctrack *tracker, const ctrack_key *keys, size_t count, ctrack_error *error)
{
    bool anew;
    ctrack_status status = ct_write_begin(tracker, &anew, error);
    if (status != CTRACK_OK) {
        return status;
    }
    status = prepare_forget(tracker, keys, count, error);
    status = status == CTRACK_OK && tracker->advances.count > 0 ? forget_all(tracker, error) : status;
    status = ct_write_end(tracker, status, error);
    if (status == CTRACK_OK) {
        seen_all(tracker->store);
    }
    return status;
}

ctrack_status ct_rewrite_forget(ctrack *tracker, const ctrack_key *keys, size_t count, ctrack_error *error)
{
    ct_ticket ticket = {0};
    ctrack_status status = fold_before(tracker, error);
    if (status != CTRACK_OK) {
        return status;
    }
    if (ct_turn_take(&tracker->turn, &ticket) != 0) {
        return ct_error_no_memory(error);
    }
    status = tracker->store != NULL ? forget_in_file(tracker, keys, count, error)
                                    : prepare_forget(tracker, keys, count, error);
    for (int i = 0; status == CTRACK_FULL && ct_reclaim(tracker, i); i++) {
        status = forget_in_file(tracker, keys, count, error);
    }
    if (status == CTRACK_OK) {
        ct_board_publish(tracker->board, &tracker->advances);
    } else {
        ct_board_cancel(tracker->board, &tracker->advances);
    }
    ct_tracker_pass(tracker, &ticket, &ticket);
    return status;
}

/* ---------------------------------------------------------------- restore */

/*
 * A restore writes to ctrack_latest, as hydrate does, and not through the log, though merging takes nothing back: the
 * log would be written once and folded once, twice the work, and the rows of a dump come sorted as the dictionary is.
 * Other trackers then read the read model anew, which costs them as much as it costs to restore a dump of it.
 */

/* Rows that are folded at a time, and the bytes of their documents: what a restore takes of memory beside the map. */
#define RESTORE_PIECE 32768
#define RESTORE_PIECE_BYTES ((size_t)4 * 1024 * 1024)

static ctrack_status must_be_empty(ctrack *tracker, const char *read_model, ctrack_error *error)
{
    sqlite3_stmt *any;
    bool row = false;
    ctrack_status status = ct_store_statement(tracker->store, CT_ANY_PROGRESS, &any, error);
    if (status != CTRACK_OK) {
        return status;
    }
    sqlite3_bind_text(any, 1, read_model, -1, SQLITE_STATIC);
    status = ct_sql_step(any, &row, "look for progress", error);
    sqlite3_reset(any);
    sqlite3_clear_bindings(any);
    if (row) {
        status = ct_error_set(error, CTRACK_MISUSE, "read model \"%s\" has progress already: merge or replace it",
                              read_model);
    }
    return status;
}

static ctrack_status all_must_be_empty(ctrack *tracker, const ct_restored *restored, ctrack_error *error)
{
    ctrack_status status = CTRACK_OK;
    for (size_t i = 0; i < restored->count && status == CTRACK_OK; i++) {
        status = must_be_empty(tracker, restored->read_models[i], error);
    }
    return status;
}

/* Reserves what it takes to publish a row of the tracker's own read model. */
static ctrack_status prepare_row(ctrack *tracker, const ct_dump_row *row, int first, ct_keyspace **keyspace,
                                 ctrack_error *error)
{
    ct_board *board = tracker->board;
    ct_entry *entry = NULL;
    ct_mutex_lock(&board->lock);
    if (first < CT_DUMP_DOCUMENT_ID) {
        *keyspace = ct_map_keyspace(board->map, row->text[CT_DUMP_SCOPE], row->text[CT_DUMP_BRANCH]);
    }
    if (*keyspace != NULL) {
        entry = ct_map_find_or_add_document(board->map, *keyspace, row->text[CT_DUMP_DOCUMENT_ID],
                                            row->length[CT_DUMP_DOCUMENT_ID]);
    }
    if (entry != NULL && ct_advances_add(&tracker->advances, entry, row->operation_index) != 0) {
        ct_map_release(board->map, entry);
        entry = NULL;
    }
    ct_mutex_unlock(&board->lock);
    return entry != NULL ? CTRACK_OK : ct_error_no_memory(error);
}

/* Carries out the steps that were prepared. */
static void publish_rows(ctrack *tracker, ctrack_restore_mode mode)
{
    if (mode == CTRACK_RESTORE_REPLACE) {
        ct_board_replace(tracker->board, &tracker->advances);
    } else {
        ct_board_publish(tracker->board, &tracker->advances);
    }
}

/* Rows on their way into the file. */
typedef struct transfer {
    ctrack *tracker;
    ct_fold *fold; /* the piece that is being filled; NULL: none */
    size_t rows, bytes;
    int64_t now;
    int64_t keyspace_id;   /* of the last row */
    bool own;              /* it is of the tracker's own read model */
    ct_keyspace *keyspace; /* its keyspace, if so */
} transfer;

/* Merges the piece into the file; the highest index wins. */
static ctrack_status end_piece(transfer *t, ctrack_error *error)
{
    ctrack_status status = t->fold != NULL ? ct_fold_apply(t->fold, t->tracker->store, error) : CTRACK_OK;
    ct_fold_free(t->fold);
    t->fold = NULL;
    t->rows = t->bytes = 0;
    return status;
}

static ctrack_status transfer_row(transfer *t, const ct_dump_row *row, int first, ctrack_error *error)
{
    ct_store *store = t->tracker->store;
    ctrack_status status = CTRACK_OK;
    if (t->fold == NULL && (t->fold = ct_fold_new()) == NULL) {
        return ct_error_no_memory(error);
    }
    if (first == CT_DUMP_READ_MODEL) {
        t->own = strcmp(row->text[CT_DUMP_READ_MODEL], store->read_model) == 0;
    }
    if (t->own) {
        status = prepare_row(t->tracker, row, first, &t->keyspace, error);
    }
    if (status == CTRACK_OK && first < CT_DUMP_DOCUMENT_ID) { /* the map is told the ids of its own keyspaces */
        status = t->own ? ct_write_keyspace(t->tracker, t->keyspace, &t->keyspace_id, error)
                        : ct_store_keyspace(store, row->text[CT_DUMP_READ_MODEL], row->text[CT_DUMP_SCOPE],
                                            row->text[CT_DUMP_BRANCH], &t->keyspace_id, error);
    }
    if (status == CTRACK_OK) {
        status = ct_fold_add(t->fold, t->keyspace_id, row->text[CT_DUMP_DOCUMENT_ID], row->length[CT_DUMP_DOCUMENT_ID],
                             row->operation_index, t->now, error);
    }
    t->rows++;
    t->bytes += row->length[CT_DUMP_DOCUMENT_ID];
    bool full = t->rows == RESTORE_PIECE || t->bytes >= RESTORE_PIECE_BYTES;
    return status == CTRACK_OK && full ? end_piece(t, error) : status;
}

static ctrack_status transfer_rows(ctrack *tracker, ct_spool *rows, ctrack_error *error)
{
    transfer t = {.tracker = tracker, .now = ct_clock_wall()};
    ctrack_status status = ct_spool_rewind(rows, error);
    while (status == CTRACK_OK) {
        const ct_dump_row *row;
        int first;
        status = ct_spool_next(rows, &row, &first, error);
        if (status != CTRACK_OK || row == NULL) {
            break;
        }
        status = transfer_row(&t, row, first, error);
    }
    status = status == CTRACK_OK ? end_piece(&t, error) : status;
    ct_fold_free(t.fold);
    return status;
}

/* A read model of which the dump has no progress is known to the file afterwards, and the next dump names it, too. */
static ctrack_status introduce(ctrack *tracker, const char *read_model, ctrack_error *error)
{
    int64_t keyspace_id = 0;
    ctrack_status status = any_keyspace(tracker, read_model, &keyspace_id, error);
    return status == CTRACK_OK && keyspace_id == 0
               ? ct_store_keyspace(tracker->store, read_model, "", "", &keyspace_id, error)
               : status;
}

/* In the transaction. */
static ctrack_status restore_rows(ctrack *tracker, const ct_restored *restored, ctrack_restore_mode mode,
                                  ctrack_error *error)
{
    ctrack_status status = mode == CTRACK_RESTORE_EMPTY ? all_must_be_empty(tracker, restored, error) : CTRACK_OK;
    status = status == CTRACK_OK ? ct_fold_all(tracker, error) : status;
    for (size_t i = 0; i < restored->count && mode == CTRACK_RESTORE_REPLACE && status == CTRACK_OK; i++) {
        status = clear(tracker, restored->read_models[i], error);
    }
    status = status == CTRACK_OK ? transfer_rows(tracker, restored->rows, error) : status;
    for (size_t i = 0; i < restored->count && status == CTRACK_OK; i++) {
        status = introduce(tracker, restored->read_models[i], error);
        status = status == CTRACK_OK ? announce(tracker, restored->read_models[i], error) : status;
    }
    return status;
}

static bool concerns(const ct_restored *restored, const char *read_model)
{
    bool found = false;
    for (size_t i = 0; i < restored->count; i++) {
        found = found || strcmp(restored->read_models[i], read_model) == 0;
    }
    return found;
}

static ctrack_status restore_file(ctrack *tracker, const ct_restored *restored, ctrack_restore_mode mode,
                                  ctrack_error *error)
{
    bool anew;
    ctrack_status status = ct_write_begin(tracker, &anew, error);
    if (status == CTRACK_OK) {
        status = ct_write_end(tracker, restore_rows(tracker, restored, mode, error), error);
    }
    if (status != CTRACK_OK) {
        ct_board_cancel(tracker->board, &tracker->advances);
        return status;
    }
    seen_all(tracker->store);
    if (concerns(restored, tracker->store->read_model)) {
        publish_rows(tracker, mode);
    }
    return status;
}

static ctrack_status restore_memory(ctrack *tracker, const ct_restored *restored, ctrack_restore_mode mode,
                                    ctrack_error *error)
{
    ct_keyspace *keyspace = NULL;
    ctrack_status status = ct_spool_rewind(restored->rows, error);
    while (status == CTRACK_OK) {
        const ct_dump_row *row;
        int first;
        status = ct_spool_next(restored->rows, &row, &first, error);
        if (status != CTRACK_OK || row == NULL) {
            break;
        }
        status = prepare_row(tracker, row, first, &keyspace, error);
    }
    if (status == CTRACK_OK) {
        publish_rows(tracker, mode);
    } else {
        ct_board_cancel(tracker->board, &tracker->advances);
    }
    return status;
}

/* Whether a restore of these read models would be refused, as of now. The turn is held. */
static ctrack_status look(ctrack *tracker, const ct_restored *restored, ctrack_restore_mode mode, ctrack_error *error)
{
    if (mode != CTRACK_RESTORE_EMPTY) {
        return CTRACK_OK;
    }
    if (tracker->store == NULL) {
        return ct_board_keys(tracker->board) == 0
                   ? CTRACK_OK
                   : ct_error_set(error, CTRACK_MISUSE, "the tracker has progress already: merge or replace it");
    }
    ctrack_status status = ct_store_run(tracker->store, CT_BEGIN, "begin to read", error);
    status = status == CTRACK_OK ? all_must_be_empty(tracker, restored, error) : status;
    ct_store_rollback(tracker->store);
    return status;
}

static ctrack_status look_in_turn(ctrack *tracker, const ct_restored *restored, ctrack_restore_mode mode,
                                  ctrack_error *error)
{
    ct_ticket ticket = {0};
    if (ct_turn_take(&tracker->turn, &ticket) != 0) {
        return ct_error_no_memory(error);
    }
    ctrack_status status = look(tracker, restored, mode, error);
    ct_tracker_pass(tracker, &ticket, &ticket);
    return status;
}

ctrack_status ct_rewrite_restore(ctrack *tracker, const ct_restored *restored, ctrack_restore_mode mode,
                                 ctrack_error *error)
{
    ct_ticket ticket = {.reads = restored->rows == NULL};
    if (tracker->store == NULL && restored->count > 1) {
        return ct_error_set(error, CTRACK_INVALID, "a tracker in memory holds one read model, the dump has %zu",
                            restored->count);
    }
    /* Looking costs nothing, and spares the writer's lock to whoever would be refused. */
    ctrack_status status = look_in_turn(tracker, restored, mode, error);
    if (status != CTRACK_OK || restored->rows == NULL || restored->count == 0) {
        return status;
    }
    status = fold_before(tracker, error);
    if (status != CTRACK_OK) {
        return status;
    }
    if (ct_turn_take(&tracker->turn, &ticket) != 0) {
        return ct_error_no_memory(error);
    }
    status = tracker->store != NULL ? restore_file(tracker, restored, mode, error)
                                    : restore_memory(tracker, restored, mode, error);
    for (int i = 0; status == CTRACK_FULL && tracker->store != NULL && ct_reclaim(tracker, i); i++) {
        status = restore_file(tracker, restored, mode, error);
    }
    ct_advances_free(&tracker->advances); /* of a size that seldom comes again */
    ct_tracker_pass(tracker, &ticket, &ticket);
    return status;
}
