/* SPDX-License-Identifier: MIT */
#include "follow.h"

#include <string.h>

#include "error.h"
#include "load.h"
#include "mark.h"
#include "sql.h"
#include "wal.h"

typedef struct reading {
    ctrack *tracker;
    bool whole;    /* all progress is read, not only what is new */
    bool replaced; /* a row says that all progress was replaced */
} reading;

/* Learns what a keyspace id of the file stands for. The keyspace is NULL if it is another read model's. */
static ctrack_status learn_keyspace(ctrack *tracker, int64_t id, ct_keyspace **keyspace, ctrack_error *error)
{
    sqlite3_stmt *statement;
    const char *text[3];
    size_t length[3];
    bool row = false;
    ctrack_status status = ct_store_statement(tracker->store, CT_READ_KEYSPACE, &statement, error);
    if (status != CTRACK_OK) {
        return status;
    }
    sqlite3_bind_int64(statement, 1, id);
    status = ct_sql_step(statement, &row, "read a keyspace", error);
    if (status == CTRACK_OK && !row) {
        status = ct_error_set(error, CTRACK_CORRUPT, "the file is damaged: keyspace %lld is missing", (long long)id);
    }
    for (int i = 0; i < 3 && status == CTRACK_OK; i++) {
        status = ct_store_text(statement, i, &text[i], &length[i], error);
    }
    if (status == CTRACK_OK) {
        ct_board *board = tracker->board;
        bool ours = strcmp(text[0], tracker->store->read_model) == 0;
        ct_mutex_lock(&board->lock);
        *keyspace = ours ? ct_map_keyspace(board->map, text[1], text[2]) : NULL;
        if ((ours && *keyspace == NULL) || ct_map_bind(board->map, id, *keyspace) != 0) {
            status = ct_error_no_memory(error);
        }
        ct_mutex_unlock(&board->lock);
    }
    sqlite3_reset(statement);
    return status;
}

ctrack_status ct_follow_keyspace(ctrack *tracker, int64_t id, ct_keyspace **keyspace, ctrack_error *error)
{
    ct_mutex_lock(&tracker->board->lock);
    bool known = ct_map_bound(tracker->board->map, id, keyspace);
    ct_mutex_unlock(&tracker->board->lock);
    return known ? CTRACK_OK : learn_keyspace(tracker, id, keyspace, error);
}

/* Turns a row of ours into a step. */
static ctrack_status add_step(reading *r, const ct_keyspace *keyspace, const ct_row *row, ctrack_error *error)
{
    ct_board *board = r->tracker->board;
    int64_t index = row->operation_index >= 0 ? row->operation_index : CT_UNSEEN;
    ct_mutex_lock(&board->lock);
    ct_entry *entry = ct_map_find_or_add_document(board->map, keyspace, row->document_id, row->document_length);
    if (entry != NULL && row->coordinate_id != 0) {
        entry->file_id = row->coordinate_id;
    }
    bool added = entry != NULL && ct_advances_add(&r->tracker->advances, entry, index) == 0;
    if (entry != NULL && !added) {
        ct_map_release(board->map, entry);
    }
    ct_mutex_unlock(&board->lock);
    return added ? CTRACK_OK : ct_error_no_memory(error);
}

/* For questions of others. A tracker that only reads will never write a run. */
static void remember(ct_store *store, const ct_row *row)
{
    if (store->read_only || row->seq == 0) {
        return;
    }
    if (row->document_id == NULL || row->operation_index < 0) {
        ct_runs_rewind(&store->runs, row->seq);
    } else {
        ct_runs_add(&store->runs, row->seq, row->keyspace_id, row->document_id, row->document_length,
                    row->operation_index);
    }
}

static ctrack_status add_row(reading *r, const ct_row *row, ctrack_error *error)
{
    remember(r->tracker->store, row);
    ct_keyspace *keyspace;
    ctrack_status status = ct_follow_keyspace(r->tracker, row->keyspace_id, &keyspace, error);
    if (status != CTRACK_OK || keyspace == NULL) {
        return status;
    }
    if (row->document_id == NULL) {
        r->replaced = true;
        return CTRACK_OK;
    }
    return add_step(r, keyspace, row, error);
}

/* Reads all rows of a statement, or those up to one that says that everything was replaced. */
static ctrack_status read_rows(reading *r, ct_statement which, int64_t since, ctrack_error *error)
{
    sqlite3_stmt *statement;
    ctrack_status status = ct_store_statement(r->tracker->store, which, &statement, error);
    if (status != CTRACK_OK) {
        return status;
    }
    if (which == CT_READ_LOG) {
        sqlite3_bind_int64(statement, 1, since);
    }
    bool more = true;
    while (status == CTRACK_OK && !(r->replaced && !r->whole)) {
        status = ct_sql_step(statement, &more, "read progress", error);
        if (status != CTRACK_OK || !more) {
            break;
        }
        ct_row row;
        status = ct_store_row(statement, &row, error);
        status = status == CTRACK_OK ? add_row(r, &row, error) : status;
    }
    sqlite3_reset(statement);
    return status;
}

/*
 * In a transaction: whether the log is the one that we have seen, longer by what is new; *same_ids: what its ids stand for
 * is what it was. SQLite's backup API may have put an older state of the file, or another file, into its place, which
 * raises the version of the schema; so do a host's own changes of its tables, and then nothing of ours has changed.
 */
static ctrack_status judge(ctrack *tracker, int64_t schema_version, bool *same, bool *same_ids, ctrack_error *error)
{
    ct_store *store = tracker->store;
    uint64_t mark;
    ctrack_status status = CTRACK_OK;
    *same_ids = schema_version == store->schema_version;
    if (!*same_ids) {
        status = ct_store_check_schema(store, error);
    }
    status = status == CTRACK_OK ? ct_mark_of(store, store->seen_seq, &mark, error) : status;
    if (status == CTRACK_OK) {
        *same = mark == store->seen_mark && (*same_ids || mark != CT_NO_MARK);
        *same_ids = *same_ids && *same;
    }
    return status;
}

/* In a transaction: reads what is new into the list. */
static ctrack_status read_news(ctrack *tracker, bool same, bool *whole, int64_t *seen, ctrack_error *error)
{
    ct_store *store = tracker->store;
    int64_t folded = 0, first = 0;
    ctrack_status status = ct_store_log_range(store, &folded, &first, seen, error);
    if (status != CTRACK_OK) {
        return status;
    }
    reading r = {.tracker = tracker};
    r.whole = store->loaded && (!same || first - 1 > store->seen_seq);
    if (!store->loaded || r.whole) {
        status = ct_runs_start(store, error);
    }
    if (status != CTRACK_OK) {
        return status;
    }
    if (!store->loaded) {
        status = ct_load(tracker, folded, *seen, error);
    } else if (!r.whole && *seen > store->seen_seq) {
        status = read_rows(&r, CT_READ_LOG, store->seen_seq, error);
        if (r.replaced) {
            ct_board_cancel(tracker->board, &tracker->advances);
            r.whole = true;
            status = ct_runs_start(store, error);
        }
    }
    if (status == CTRACK_OK && r.whole) {
        status = read_rows(&r, CT_READ_LATEST, 0, error);
        status = status == CTRACK_OK ? read_rows(&r, CT_READ_LOG, folded, error) : status;
    }
    store->folded_seq = folded;
    *whole = r.whole;
    return status;
}

/* In a transaction: looks whether others have committed, and publishes what. */
static ctrack_status follow(ctrack *tracker, bool *followed, ctrack_error *error)
{
    ct_store *store = tracker->store;
    bool whole = false, same = true, same_ids = true;
    int64_t seen = 0, version, schema_version = 0;
    uint64_t mark = CT_NO_MARK;
    ctrack_status status = ct_store_look(store, &version, followed, error);
    *followed = *followed || !store->loaded;
    if (status != CTRACK_OK || !*followed) {
        return status;
    }
    status = ct_store_schema_version(store, &schema_version, error);
    status = status == CTRACK_OK ? judge(tracker, schema_version, &same, &same_ids, error) : status;
    if (status == CTRACK_OK && !same_ids) {
        ct_mutex_lock(&tracker->board->lock);
        ct_map_forget_ids(tracker->board->map);
        ct_mutex_unlock(&tracker->board->lock);
    }
    status = status == CTRACK_OK ? read_news(tracker, same, &whole, &seen, error) : status;
    status = status == CTRACK_OK ? ct_mark_of(store, seen, &mark, error) : status;
    if (status != CTRACK_OK) {
        ct_board_cancel(tracker->board, &tracker->advances);
        return status;
    }
    if (whole) {
        ct_board_replace(tracker->board, &tracker->advances);
    } else {
        ct_board_publish(tracker->board, &tracker->advances);
    }
    if (!store->loaded) {
        store->folded_keys = ct_board_keys(tracker->board);
        store->loaded = true;
    }
    store->seen_seq = seen;
    store->seen_mark = mark;
    store->schema_version = schema_version;
    store->data_version = version;
    ct_wal_measure(store); /* SQLite tells of our own commits only */
    return CTRACK_OK;
}

ctrack_status ct_follow(ctrack *tracker, bool *followed, ctrack_error *error)
{
    ct_store *store = tracker->store;
    bool own = sqlite3_get_autocommit(store->db) != 0;
    *followed = false;
    ctrack_status status = own ? ct_store_run(store, CT_BEGIN, "begin to read", error) : CTRACK_OK;
    status = status == CTRACK_OK ? follow(tracker, followed, error) : status;
    if (own) {
        ct_store_rollback(store);
    }
    return ct_store_explain(store, status, error);
}

ctrack_status ct_follow_in_turn(ctrack *tracker, bool helps, ctrack_error *error)
{
    ct_ticket ticket = {.reads = true};
    bool followed;
    if (ct_turn_take(&tracker->turn, &ticket) != 0) {
        return ct_error_no_memory(error);
    }
    ctrack_status status = ct_follow(tracker, &followed, error);
    if (status == CTRACK_OK && helps) {
        ct_keeper_checkpoint(tracker);
    }
    if (status == CTRACK_OK && (followed || helps)) {
        ct_keeper_consider(tracker); /* progress that is only staged is to be folded too */
    }
    ct_turn_pass(&tracker->turn, &ticket, &ticket);
    return status;
}

ctrack_status ct_follow_begin(ctrack *tracker, ctrack_error *error)
{
    return tracker->store == NULL || atomic_load(&tracker->store->loaded) ? CTRACK_OK
                                                                          : ct_follow_in_turn(tracker, false, error);
}
