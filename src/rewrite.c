/* SPDX-License-Identifier: MIT */
#include "rewrite.h"

#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "error.h"
#include "fold.h"
#include "sql.h"
#include "text.h"
#include "write.h"

/* ---------------------------------------------------------------- hydrate */

/* Puts the list into ctrack_latest. */
static ctrack_status insert_all(ctrack *tracker, ctrack_error *error)
{
    ct_board *board = tracker->board;
    ct_fold *fold = ct_fold_new();
    ctrack_status status = fold != NULL ? CTRACK_OK : ct_error_no_memory(error);
    int64_t now = ct_clock_wall();
    for (size_t i = 0; i < tracker->advances.count && status == CTRACK_OK; i++) {
        const ct_advance *advance = &tracker->advances.items[i];
        ct_mutex_lock(&board->lock);
        ct_keyspace *keyspace = ct_map_keyspace_of(board->map, advance->entry);
        ct_mutex_unlock(&board->lock);
        int64_t keyspace_id;
        status = ct_write_keyspace(tracker, keyspace, &keyspace_id, error);
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

static ctrack_status announce(ctrack *tracker, const char *read_model, ctrack_error *error)
{
    sqlite3_stmt *any;
    bool row = false;
    ctrack_status status = ct_store_statement(tracker->store, CT_ANY_KEYSPACE, &any, error);
    if (status != CTRACK_OK) {
        return status;
    }
    sqlite3_bind_text(any, 1, read_model, -1, SQLITE_STATIC);
    status = ct_sql_step(any, &row, "look up a keyspace", error);
    bool known = row && sqlite3_column_type(any, 0) == SQLITE_INTEGER;
    int64_t keyspace_id = known ? sqlite3_column_int64(any, 0) : 0;
    sqlite3_reset(any);
    sqlite3_clear_bindings(any);
    /* A read model that the file has never heard of has no progress that anybody could have seen. */
    return status == CTRACK_OK && known ? ct_write_rewind(tracker, keyspace_id, NULL, 0, error) : status;
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

/* After a rewind was committed and is going to be published: the store has seen all there is, and all of it is folded.
 */
static void seen_all(ct_store *store)
{
    if (store->appended_seq != 0) {
        store->seen_seq = store->folded_seq = store->appended_seq;
    }
}

ctrack_status ct_rewrite_hydrate(ctrack *tracker, const ctrack_coordinate *entries, size_t count, ctrack_error *error)
{
    ct_ticket ticket = {0};
    if (ct_turn_take(&tracker->turn, &ticket) != 0) {
        return ct_error_no_memory(error);
    }
    ctrack_status status;
    if (tracker->store == NULL) {
        status = ct_board_prepare(tracker->board, entries, count, true, &tracker->advances, error);
    } else {
        bool followed;
        status = ct_write_begin(tracker, &followed, error);
        if (status == CTRACK_OK) {
            status = ct_write_end(tracker, hydrate_file(tracker, entries, count, error), error);
        }
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
    ct_mutex_lock(&tracker->board->lock);
    ct_keyspace *keyspace = ct_map_keyspace_of(tracker->board->map, entry);
    ct_mutex_unlock(&tracker->board->lock);
    int64_t keyspace_id;
    ctrack_status status = ct_write_keyspace(tracker, keyspace, &keyspace_id, error);
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
    bool followed;
    ctrack_status status = ct_write_begin(tracker, &followed, error);
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
    if (ct_turn_take(&tracker->turn, &ticket) != 0) {
        return ct_error_no_memory(error);
    }
    ctrack_status status = tracker->store != NULL ? forget_in_file(tracker, keys, count, error)
                                                  : prepare_forget(tracker, keys, count, error);
    if (status == CTRACK_OK) {
        ct_board_publish(tracker->board, &tracker->advances);
    } else {
        ct_board_cancel(tracker->board, &tracker->advances);
    }
    ct_tracker_pass(tracker, &ticket, &ticket);
    return status;
}

/* ---------------------------------------------------------------- restore */

/* Puts entries of any read model into ctrack_latest; the highest index wins. */
static ctrack_status merge_entries(ctrack *tracker, const char *read_model, const ctrack_snapshot *entries,
                                   ctrack_error *error)
{
    const ctrack_coordinate *all = ctrack_snapshot_entries(entries);
    size_t count = ctrack_snapshot_count(entries);
    const char *scope = NULL, *branch = NULL; /* a snapshot shares equal neighbours' text */
    int64_t keyspace_id = 0, now = ct_clock_wall();
    ct_fold *fold = ct_fold_new();
    ctrack_status status = fold != NULL ? CTRACK_OK : ct_error_no_memory(error);
    for (size_t i = 0; i < count && status == CTRACK_OK; i++) {
        if (all[i].scope != scope || all[i].branch != branch) {
            scope = all[i].scope;
            branch = all[i].branch;
            status = ct_store_keyspace(tracker->store, read_model, scope, branch, &keyspace_id, error);
        }
        status = status == CTRACK_OK ? ct_fold_add(fold, keyspace_id, all[i].document_id, strlen(all[i].document_id),
                                                   all[i].operation_index, now, error)
                                     : status;
    }
    status = status == CTRACK_OK ? ct_fold_apply(fold, tracker->store, error) : status;
    ct_fold_free(fold);
    return status;
}

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

static ctrack_status restore_one(ctrack *tracker, const ct_restored *model, ctrack_restore_mode mode,
                                 ctrack_error *error)
{
    ctrack_status status = CTRACK_OK;
    if (mode == CTRACK_RESTORE_EMPTY) {
        status = must_be_empty(tracker, model->read_model, error);
    } else if (mode == CTRACK_RESTORE_REPLACE) {
        status = clear(tracker, model->read_model, error);
    }
    status = status == CTRACK_OK ? merge_entries(tracker, model->read_model, model->entries, error) : status;
    return status == CTRACK_OK ? announce(tracker, model->read_model, error) : status;
}

/* Makes the list of what a restored read model changes in memory, which reserves what that needs. */
static ctrack_status prepare_restored(ctrack *tracker, const ct_restored *model, ctrack_restore_mode mode,
                                      ctrack_error *error)
{
    return ct_board_prepare(tracker->board, ctrack_snapshot_entries(model->entries),
                            ctrack_snapshot_count(model->entries), mode == CTRACK_RESTORE_REPLACE, &tracker->advances,
                            error);
}

static void publish_restored(ctrack *tracker, ctrack_restore_mode mode)
{
    if (mode == CTRACK_RESTORE_REPLACE) {
        ct_board_replace(tracker->board, &tracker->advances);
    } else {
        ct_board_publish(tracker->board, &tracker->advances);
    }
}

/* In the transaction. *own: one of the models is the tracker's, and is in the list. */
static ctrack_status restore_all(ctrack *tracker, const ct_restored *models, size_t count, ctrack_restore_mode mode,
                                 bool *own, ctrack_error *error)
{
    ctrack_status status = ct_fold_all(tracker, error);
    for (size_t i = 0; i < count && status == CTRACK_OK; i++) {
        status = restore_one(tracker, &models[i], mode, error);
        if (status == CTRACK_OK && strcmp(models[i].read_model, tracker->store->read_model) == 0) {
            *own = true;
            status = prepare_restored(tracker, &models[i], mode, error);
        }
    }
    return status;
}

static ctrack_status restore_file(ctrack *tracker, const ct_restored *models, size_t count, ctrack_restore_mode mode,
                                  ctrack_error *error)
{
    bool followed, own = false;
    ctrack_status status = ct_write_begin(tracker, &followed, error);
    if (status == CTRACK_OK) {
        status = ct_write_end(tracker, restore_all(tracker, models, count, mode, &own, error), error);
    }
    if (status != CTRACK_OK) {
        ct_board_cancel(tracker->board, &tracker->advances);
        return status;
    }
    seen_all(tracker->store);
    if (own) {
        publish_restored(tracker, mode);
    }
    return CTRACK_OK;
}

static ctrack_status restore_memory(ctrack *tracker, const ct_restored *model, ctrack_restore_mode mode,
                                    ctrack_error *error)
{
    ct_board *board = tracker->board;
    ct_mutex_lock(&board->lock);
    bool empty = ct_map_count(board->map) == 0;
    ct_mutex_unlock(&board->lock);
    if (mode == CTRACK_RESTORE_EMPTY && !empty) {
        return ct_error_set(error, CTRACK_MISUSE, "the tracker has progress already: merge or replace it");
    }
    ctrack_status status = prepare_restored(tracker, model, mode, error);
    if (status == CTRACK_OK) {
        publish_restored(tracker, mode);
    } else {
        ct_board_cancel(board, &tracker->advances);
    }
    return status;
}

ctrack_status ct_rewrite_restore(ctrack *tracker, const ct_restored *models, size_t count, ctrack_restore_mode mode,
                                 ctrack_error *error)
{
    ct_ticket ticket = {0};
    if (tracker->store == NULL && count > 1) {
        return ct_error_set(error, CTRACK_INVALID, "a tracker in memory holds one read model, the dump has %zu", count);
    }
    if (ct_turn_take(&tracker->turn, &ticket) != 0) {
        return ct_error_no_memory(error);
    }
    ctrack_status status = count == 0               ? CTRACK_OK
                           : tracker->store != NULL ? restore_file(tracker, models, count, mode, error)
                                                    : restore_memory(tracker, &models[0], mode, error);
    ct_tracker_pass(tracker, &ticket, &ticket);
    return status;
}
