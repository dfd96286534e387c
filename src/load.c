/* SPDX-License-Identifier: MIT */
#include "load.h"

#include "alloc.h"
#include "error.h"
#include "follow.h"
#include "sql.h"

/* A key that is in the dictionary. */
typedef struct known_key {
    int64_t id;
    ct_entry *entry; /* NULL: another read model's */
} known_key;

typedef struct loading {
    ctrack *tracker;
    known_key *known; /* by id */
    size_t known_count, known_capacity;
} loading;

typedef ctrack_status take(loading *l, const ct_row *row, ctrack_error *error);

static ctrack_status damaged(const char *what, int64_t number, ctrack_error *error)
{
    return ct_error_set(error, CTRACK_CORRUPT, "the file is damaged: %s %lld", what, (long long)number);
}

/* Puts a row into the map, if it is ours; *entry is NULL if not. */
static ctrack_status put(loading *l, const ct_row *row, ct_entry **entry, ctrack_error *error)
{
    ct_keyspace *keyspace;
    ctrack_status status = ct_follow_keyspace(l->tracker, row->keyspace_id, &keyspace, error);
    *entry = NULL;
    if (status == CTRACK_OK && keyspace != NULL &&
        ct_map_load(l->tracker->board->map, keyspace, row->document_id, row->document_length, row->operation_index,
                    row->coordinate_id, entry) != 0) {
        status = ct_error_no_memory(error);
    }
    return status;
}

static ctrack_status take_folded(loading *l, const ct_row *row, ctrack_error *error)
{
    void *grown = l->known;
    known_key key = {.id = row->coordinate_id};
    if (row->document_id == NULL || row->operation_index < 0) {
        return damaged("no progress of coordinate", row->coordinate_id, error);
    }
    if (ct_grow(&grown, &l->known_capacity, l->known_count + 1, sizeof key) != 0) {
        return ct_error_no_memory(error);
    }
    l->known = grown;
    ctrack_status status = put(l, row, &key.entry, error);
    if (status == CTRACK_OK) {
        l->known[l->known_count++] = key;
    }
    return status;
}

static const known_key *find_known(const loading *l, int64_t id)
{
    size_t low = 0, high = l->known_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (l->known[middle].id < id) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < l->known_count && l->known[low].id == id ? &l->known[low] : NULL;
}

/* A key in the dictionary that has nothing folded: it was forgotten in the meantime. */
static ctrack_status take_unfolded(loading *l, const ct_row *row, ctrack_error *error)
{
    sqlite3_stmt *statement;
    bool found = false;
    ct_row named = *row;
    ct_entry *entry;
    ctrack_status status = ct_store_statement(l->tracker->store, CT_READ_COORDINATE, &statement, error);
    if (status != CTRACK_OK) {
        return status;
    }
    sqlite3_bind_int64(statement, 1, row->coordinate_id);
    status = ct_sql_step(statement, &found, "read the dictionary", error);
    if (status == CTRACK_OK && !found) {
        status = damaged("the dictionary lacks coordinate", row->coordinate_id, error);
    }
    if (status == CTRACK_OK) {
        named.keyspace_id = sqlite3_column_int64(statement, 0);
        status = ct_store_text(statement, 1, &named.document_id, &named.document_length, error);
    }
    status = status == CTRACK_OK ? put(l, &named, &entry, error) : status;
    sqlite3_reset(statement);
    return status;
}

static ctrack_status take_logged(loading *l, const ct_row *row, ctrack_error *error)
{
    ct_entry *entry;
    ctrack_status status = ct_store_check_unfolded(row, error);
    if (status != CTRACK_OK) {
        return status;
    }
    if (row->coordinate_id == 0) {
        return put(l, row, &entry, error);
    }
    const known_key *key = find_known(l, row->coordinate_id);
    if (key == NULL) {
        return take_unfolded(l, row, error);
    }
    if (key->entry != NULL && key->entry->index < row->operation_index) {
        ct_map_set(l->tracker->board->map, key->entry, row->operation_index);
    }
    return CTRACK_OK;
}

/* Takes every row that the statement has. */
static ctrack_status read_rows(loading *l, sqlite3_stmt *statement, take *row_taker, size_t *repeated,
                               ctrack_error *error)
{
    bool more = true;
    ctrack_status status = ct_sql_step(statement, &more, "read progress", error);
    while (status == CTRACK_OK && more) {
        ct_row row;
        status = ct_store_row(statement, &row, error);
        status = status == CTRACK_OK ? row_taker(l, &row, error) : status;
        status = status == CTRACK_OK ? ct_sql_step(statement, &more, "read progress", error) : status;
    }
    sqlite3_reset(statement);
    if (status == CTRACK_OK && ct_map_load_end(l->tracker->board->map, repeated) != 0) {
        status = ct_error_no_memory(error);
    }
    return status;
}

static ctrack_status read_folded(loading *l, ctrack_error *error)
{
    sqlite3_stmt *statement;
    size_t repeated = 0;
    ctrack_status status = ct_store_statement(l->tracker->store, CT_READ_LATEST, &statement, error);
    status = status == CTRACK_OK ? read_rows(l, statement, take_folded, &repeated, error) : status;
    if (status == CTRACK_OK && repeated > 0) {
        status = ct_error_set(error, CTRACK_CORRUPT, "the file is damaged: the dictionary has a key twice");
    }
    return status;
}

static ctrack_status read_log(loading *l, int64_t folded_seq, ctrack_error *error)
{
    sqlite3_stmt *statement;
    size_t repeated;
    ctrack_status status = ct_store_statement(l->tracker->store, CT_SCAN_LOG, &statement, error);
    if (status == CTRACK_OK) {
        sqlite3_bind_int64(statement, 1, folded_seq);
        sqlite3_bind_int64(statement, 2, -1);
        status = read_rows(l, statement, take_logged, &repeated, error);
    }
    return status;
}

ctrack_status ct_load(ctrack *tracker, int64_t folded_seq, ctrack_error *error)
{
    loading l = {.tracker = tracker};
    ctrack_status status = read_folded(&l, error);
    status = status == CTRACK_OK ? read_log(&l, folded_seq, error) : status;
    ct_free(l.known);
    if (status != CTRACK_OK) {
        ct_map_load_cancel(tracker->board->map);
    }
    return status;
}
