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
    int64_t keyspace_id;   /* of the last row; 0: there was none */
    ct_keyspace *keyspace; /* that one; NULL: another read model's */
    bool has_log;          /* rows of the log are going to name keys by their ids */
    known_key *known;      /* if so; by id */
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
    ctrack_status status = CTRACK_OK;
    if (row->keyspace_id != l->keyspace_id) {
        status = ct_follow_keyspace(l->tracker, row->keyspace_id, &l->keyspace, error);
        l->keyspace_id = status == CTRACK_OK ? row->keyspace_id : 0;
    }
    *entry = NULL;
    if (status == CTRACK_OK && l->keyspace != NULL &&
        ct_map_load(l->tracker->board->map, l->keyspace, row->document_id, row->document_length, row->operation_index,
                    row->coordinate_id, entry) != 0) {
        status = ct_error_no_memory(error);
    }
    return status;
}

static ctrack_status remember(loading *l, int64_t id, ct_entry *entry, ctrack_error *error)
{
    void *grown = l->known;
    if (ct_grow(&grown, &l->known_capacity, l->known_count + 1, sizeof(known_key)) != 0) {
        return ct_error_no_memory(error);
    }
    l->known = grown;
    l->known[l->known_count++] = (known_key){id, entry};
    return CTRACK_OK;
}

static ctrack_status take_folded(loading *l, const ct_row *row, ctrack_error *error)
{
    ct_entry *entry;
    if (row->document_id == NULL || row->operation_index < 0) {
        return damaged("no progress of coordinate", row->coordinate_id, error);
    }
    ctrack_status status = put(l, row, &entry, error);
    return status == CTRACK_OK && l->has_log ? remember(l, row->coordinate_id, entry, error) : status;
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

/* For questions of others. A tracker that only reads will never write a run. */
static void note_for_runs(const loading *l, int64_t seq, const ct_row *named)
{
    ct_store *store = l->tracker->store;
    if (!store->read_only) {
        ct_runs_add(&store->runs, seq, named->keyspace_id, named->document_id, named->document_length,
                    named->operation_index);
    }
}

static bool is_wanted(const loading *l, const ct_row *row)
{
    const ct_store *store = l->tracker->store;
    return !store->read_only && ct_runs_wants(&store->runs, row->seq);
}

/* A key in the dictionary that is not in the map: it has nothing folded, since it was forgotten in the meantime, or it is
 * another read model's. */
static ctrack_status take_named_by_id(loading *l, const ct_row *row, ctrack_error *error)
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
    if (status == CTRACK_OK) {
        note_for_runs(l, row->seq, &named);
    }
    sqlite3_reset(statement);
    return status;
}

static void raise_known(const loading *l, ct_entry *entry, const ct_row *row)
{
    ct_map *map = l->tracker->board->map;
    if (entry->index < row->operation_index) {
        ct_map_set(map, entry, row->operation_index);
    }
    ct_row named = *row;
    named.keyspace_id = ct_map_keyspace_of(map, entry)->file_id;
    named.document_id = ct_map_document_of(entry, &named.document_length);
    note_for_runs(l, row->seq, &named);
}

static ctrack_status take_logged(loading *l, const ct_row *row, ctrack_error *error)
{
    ct_entry *entry;
    ctrack_status status = ct_store_check_unfolded(row, error);
    if (status != CTRACK_OK) {
        return status;
    }
    if (row->coordinate_id == 0) {
        note_for_runs(l, row->seq, row);
        return put(l, row, &entry, error);
    }
    const known_key *key = find_known(l, row->coordinate_id);
    if (key == NULL || (key->entry == NULL && is_wanted(l, row))) {
        return take_named_by_id(l, row, error);
    }
    if (key->entry != NULL) {
        raise_known(l, key->entry, row);
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

/* Rows of the log beyond so many are not believed before they are seen. */
#define LOG_ROWS_EXPECTED (1 << 20)

/* Has the map make room, if all keys in the file are the tracker's. */
static ctrack_status expect(const loading *l, int64_t log_rows, ctrack_error *error)
{
    sqlite3_stmt *statement;
    bool row = false;
    ctrack_status status = ct_store_statement(l->tracker->store, CT_COUNT_IF_ALONE, &statement, error);
    if (status != CTRACK_OK) {
        return status;
    }
    sqlite3_bind_text(statement, 1, l->tracker->store->read_model, -1, SQLITE_STATIC);
    status = ct_sql_step(statement, &row, "count the keys", error);
    if (row) {
        log_rows = log_rows < LOG_ROWS_EXPECTED ? log_rows : LOG_ROWS_EXPECTED;
        ct_map_load_begin(l->tracker->board->map, (size_t)(sqlite3_column_int64(statement, 0) + log_rows));
    }
    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
    return status;
}

ctrack_status ct_load(ctrack *tracker, int64_t folded_seq, int64_t last_seq, ctrack_error *error)
{
    loading l = {.tracker = tracker, .has_log = last_seq > folded_seq};
    ctrack_status status = expect(&l, l.has_log ? last_seq - folded_seq : 0, error);
    status = status == CTRACK_OK ? read_folded(&l, error) : status;
    status = status == CTRACK_OK ? read_log(&l, folded_seq, error) : status; /* whatever last_seq says */
    ct_free(l.known);
    if (status != CTRACK_OK) {
        ct_map_load_cancel(tracker->board->map);
    }
    return status;
}
