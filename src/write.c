/* SPDX-License-Identifier: MIT */
#include "write.h"

#include "alloc.h"
#include "clock.h"
#include "error.h"
#include "fold.h"
#include "follow.h"
#include "mark.h"
#include "sql.h"

void ct_write_idle(void *argument)
{
    ctrack *tracker = argument;
    atomic_store(&tracker->committing, false); /* what was committed before in this turn is published, or has failed */
    ct_board_cancel(tracker->board, &tracker->advances);
    ct_turn_lend(&tracker->turn);
}

ctrack_status ct_write_begin(ctrack *tracker, bool *anew, ctrack_error *error)
{
    size_t listed = tracker->advances.count;
    ctrack_status status = ct_store_begin(tracker->store, error);
    if (status != CTRACK_OK) {
        return status;
    }
    atomic_store(&tracker->committing, true);
    int64_t version;
    bool changed;
    status = ct_store_look(tracker->store, &version, &changed, error);
    *anew = changed || tracker->advances.count < listed;
    if (status == CTRACK_OK && changed) {
        ct_board_cancel(tracker->board, &tracker->advances);
        status = ct_follow(tracker, &changed, error);
    }
    if (status != CTRACK_OK) {
        ct_store_rollback(tracker->store);
    }
    return status;
}

/* What was appended must come behind all other rows of the log, and behind what is folded: all that has been seen. */
static ctrack_status check_order(const ct_store *store, ctrack_error *error)
{
    bool behind = store->appended_seq == 0 || store->appended_seq > store->seen_seq;
    return behind ? CTRACK_OK : ct_error_no_number(error);
}

ctrack_status ct_write_end(ctrack *tracker, ctrack_status status, ctrack_error *error)
{
    status = status == CTRACK_OK ? check_order(tracker->store, error) : status;
    if (status == CTRACK_OK && tracker->store->appended_seq != 0) {
        status = ct_mark_of(tracker->store, tracker->store->appended_seq, &tracker->store->appended_mark, error);
    }
    if (status == CTRACK_OK) {
        status = ct_store_commit(tracker->store, error);
    } else {
        ct_store_rollback(tracker->store);
    }
    ct_runs_end(&tracker->store->runs, status == CTRACK_OK);
    ct_new_keyspaces *fresh = &tracker->new_keyspaces;
    for (size_t i = 0; status != CTRACK_OK && i < fresh->count; i++) {
        fresh->items[i]->file_id = 0;
    }
    fresh->count = 0;
    return status;
}

ctrack_status ct_write_keyspace(ctrack *tracker, ct_keyspace *keyspace, int64_t *id, ctrack_error *error)
{
    if (keyspace->file_id == 0) {
        ct_new_keyspaces *fresh = &tracker->new_keyspaces;
        void *items = fresh->items;
        if (ct_grow(&items, &fresh->capacity, fresh->count + 1, sizeof(ct_keyspace *)) != 0) {
            return ct_error_no_memory(error);
        }
        fresh->items = items;
        ctrack_status status = ct_store_keyspace(tracker->store, tracker->store->read_model, keyspace->scope,
                                                 keyspace->branch, &keyspace->file_id, error);
        if (status != CTRACK_OK) {
            keyspace->file_id = 0;
            return status;
        }
        fresh->items[fresh->count++] = keyspace;
    }
    *id = keyspace->file_id;
    return CTRACK_OK;
}

ctrack_status ct_write_keyspace_of(ctrack *tracker, const ct_entry *entry, int64_t *id, ctrack_error *error)
{
    ct_mutex_lock(&tracker->board->lock);
    ct_keyspace *keyspace = ct_map_keyspace_of(tracker->board->map, entry);
    ct_mutex_unlock(&tracker->board->lock);
    return ct_write_keyspace(tracker, keyspace, id, error);
}

ctrack_status ct_write_rewind(ctrack *tracker, int64_t keyspace_id, const char *document_id, size_t length,
                              ctrack_error *error)
{
    ct_store *store = tracker->store;
    sqlite3_stmt *append;
    ctrack_status status = ct_store_statement(store, CT_APPEND_REWIND, &append, error);
    if (status != CTRACK_OK) {
        return status;
    }
    sqlite3_bind_int64(append, 1, keyspace_id);
    if (document_id != NULL) {
        sqlite3_bind_text(append, 2, document_id, (int)length, SQLITE_STATIC);
    }
    sqlite3_bind_int64(append, 3, ct_clock_wall());
    status = ct_sql_run(append, "append to the log", error);
    sqlite3_clear_bindings(append);
    if (status == CTRACK_OK) {
        store->appended_seq = sqlite3_last_insert_rowid(store->db);
        ct_runs_rewind(&store->runs, store->appended_seq);
        status = ct_fold_set(store, store->appended_seq, error);
    }
    return status;
}
