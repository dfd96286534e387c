/* SPDX-License-Identifier: MIT */
#include "fold.h"

#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "error.h"
#include "follow.h"
#include "sql.h"
#include "wal.h"

/* Rows in one turn. A piece takes a few milliseconds, which is what an update may have to wait for it. */
#define READ_PIECE 8192
#define MERGE_PIECE 4096
#define TRIM_PIECE 16384
/* Folded rows that stay in the log for trackers that are behind. */
#define KEPT_ROWS 65536

/* The progress of a key that has an id. */
typedef struct known_key {
    int64_t coordinate_id, operation_index, updated_at;
} known_key;

/* The progress of a key that is named by its text. */
typedef struct new_key {
    known_key progress; /* its coordinate_id is known once the key is in the dictionary */
    int64_t keyspace_id;
    size_t text; /* place of the document id in fold.texts; a pointer to it while sorting */
    const char *document_id;
    size_t length;
} new_key;

struct ct_fold {
    known_key *known;
    size_t known_count, known_capacity;
    new_key *fresh;
    size_t fresh_count, fresh_capacity;
    char *texts;
    size_t texts_size, texts_capacity;
    int64_t from, upto;    /* the part of the log that was read */
    ct_reporter *reporter; /* NULL: nobody is told */
    uint64_t done, total;  /* rows that were read, then changes that were merged; what of both there is */
    int64_t looked;        /* how far the log was folded when it was last looked whether progress had been taken back */
    int64_t schema_version; /* by which it was read */
};

ct_fold *ct_fold_new(void)
{
    return ct_alloc_array(1, sizeof(ct_fold));
}

void ct_fold_free(ct_fold *fold)
{
    if (fold != NULL) {
        ct_free(fold->known);
        ct_free(fold->fresh);
        ct_free(fold->texts);
        ct_free(fold);
    }
}

static ctrack_status add_known(ct_fold *fold, const ct_row *row, ctrack_error *error)
{
    void *grown = fold->known;
    if (ct_grow(&grown, &fold->known_capacity, fold->known_count + 1, sizeof(known_key)) != 0) {
        return ct_error_no_memory(error);
    }
    fold->known = grown;
    fold->known[fold->known_count++] = (known_key){row->coordinate_id, row->operation_index, row->updated_at};
    return CTRACK_OK;
}

ctrack_status ct_fold_add(ct_fold *fold, int64_t keyspace_id, const char *document_id, size_t length,
                          int64_t operation_index, int64_t updated_at, ctrack_error *error)
{
    void *grown = fold->fresh, *texts = fold->texts;
    int result = ct_grow(&grown, &fold->fresh_capacity, fold->fresh_count + 1, sizeof(new_key));
    fold->fresh = grown;
    if (result == 0) {
        result = ct_grow(&texts, &fold->texts_capacity, fold->texts_size + length + 1, 1);
        fold->texts = texts;
    }
    if (result != 0) {
        return ct_error_no_memory(error);
    }
    memcpy(fold->texts + fold->texts_size, document_id, length);
    fold->fresh[fold->fresh_count++] = (new_key){.progress = {0, operation_index, updated_at},
                                                 .keyspace_id = keyspace_id,
                                                 .text = fold->texts_size,
                                                 .length = length};
    fold->texts_size += length;
    return CTRACK_OK;
}

/* ---------------------------------------------------------------- sorting */

/* The highest index first. */
static int compare_index(const known_key *left, const known_key *right)
{
    return (left->operation_index < right->operation_index) - (left->operation_index > right->operation_index);
}

/* By id; of one id the highest index first. */
static int compare_known(const void *a, const void *b)
{
    const known_key *left = a, *right = b;
    if (left->coordinate_id != right->coordinate_id) {
        return left->coordinate_id < right->coordinate_id ? -1 : 1;
    }
    return compare_index(left, right);
}

static int compare_text(const new_key *left, const new_key *right)
{
    if (left->keyspace_id != right->keyspace_id) {
        return left->keyspace_id < right->keyspace_id ? -1 : 1;
    }
    size_t common = left->length < right->length ? left->length : right->length;
    int order = memcmp(left->document_id, right->document_id, common);
    return order != 0 ? order : (left->length > right->length) - (left->length < right->length);
}

/* By keyspace and document, as the dictionary's index; of one key the highest index first. */
static int compare_new(const void *a, const void *b)
{
    const new_key *left = a, *right = b;
    int order = compare_text(left, right);
    return order != 0 ? order : compare_index(&left->progress, &right->progress);
}

/* Sorts, and keeps of each key the highest index. */
static void sort(ct_fold *fold)
{
    size_t kept = 0;
    if (fold->known_count > 0) {
        qsort(fold->known, fold->known_count, sizeof(known_key), compare_known);
    }
    for (size_t i = 0; i < fold->known_count; i++) {
        if (kept == 0 || fold->known[kept - 1].coordinate_id != fold->known[i].coordinate_id) {
            fold->known[kept++] = fold->known[i];
        }
    }
    fold->known_count = kept;
    for (size_t i = 0; i < fold->fresh_count; i++) {
        fold->fresh[i].document_id = fold->texts + fold->fresh[i].text;
    }
    if (fold->fresh_count > 0) {
        qsort(fold->fresh, fold->fresh_count, sizeof(new_key), compare_new);
    }
    kept = 0;
    for (size_t i = 0; i < fold->fresh_count; i++) {
        if (kept == 0 || compare_text(&fold->fresh[kept - 1], &fold->fresh[i]) != 0) {
            fold->fresh[kept++] = fold->fresh[i];
        }
    }
    fold->fresh_count = kept;
}

/* ---------------------------------------------------------------- merging */

/* Raises one row of ctrack_latest, or CT_MANY. */
static ctrack_status raise_rows(ct_store *store, const known_key *const *keys, size_t count, ctrack_error *error)
{
    sqlite3_stmt *statement;
    int at = 1;
    ctrack_status status =
        ct_store_statement(store, count == 1 ? CT_FOLD_RAISE : CT_FOLD_RAISE_MANY, &statement, error);
    for (size_t i = 0; i < count && status == CTRACK_OK; i++) {
        sqlite3_bind_int64(statement, at++, keys[i]->coordinate_id);
        sqlite3_bind_int64(statement, at++, keys[i]->operation_index);
        sqlite3_bind_int64(statement, at++, keys[i]->updated_at);
    }
    return status == CTRACK_OK ? ct_sql_run(statement, "fold the log", error) : status;
}

static ctrack_status look_up(ct_store *store, new_key *key, ctrack_error *error)
{
    sqlite3_stmt *find;
    bool row = false;
    ctrack_status status = ct_store_statement(store, CT_FOLD_FIND_COORDINATE, &find, error);
    if (status != CTRACK_OK) {
        return status;
    }
    sqlite3_bind_int64(find, 1, key->keyspace_id);
    sqlite3_bind_text(find, 2, key->document_id, (int)key->length, SQLITE_STATIC);
    status = ct_sql_step(find, &row, "read the dictionary", error);
    if (status == CTRACK_OK && !row) { /* GCOVR_EXCL_BR_LINE: adding it has just met it */
        static const char what[] = "the file is damaged: the dictionary's index is wrong";
        status = ct_error_set(error, CTRACK_CORRUPT, what); /* GCOVR_EXCL_LINE */
    }
    key->progress.coordinate_id = row ? sqlite3_column_int64(find, 0) : 0;
    sqlite3_reset(find);
    sqlite3_clear_bindings(find);
    return status;
}

/* Sees to it that one key, or CT_MANY, stand in the dictionary: under the ids from `next` on, or the ones they have. */
static ctrack_status define(ct_store *store, new_key *keys, size_t count, int64_t next, ctrack_error *error)
{
    sqlite3_stmt *add;
    int at = 1;
    ctrack_status status =
        ct_store_statement(store, count == 1 ? CT_FOLD_ADD_COORDINATE : CT_FOLD_ADD_COORDINATE_MANY, &add, error);
    if (status != CTRACK_OK) {
        return status;
    }
    for (size_t i = 0; i < count; i++) {
        keys[i].progress.coordinate_id = next + (int64_t)i;
        sqlite3_bind_int64(add, at++, keys[i].progress.coordinate_id);
        sqlite3_bind_int64(add, at++, keys[i].keyspace_id);
        sqlite3_bind_text(add, at++, keys[i].document_id, (int)keys[i].length, SQLITE_STATIC);
    }
    status = ct_sql_run(add, "add to the dictionary", error);
    if (status == CTRACK_OK && sqlite3_changes(store->db) < (int)count) {
        for (size_t i = 0; i < count && status == CTRACK_OK; i++) {
            status = look_up(store, &keys[i], error);
        }
    }
    sqlite3_clear_bindings(add);
    return status;
}

/* The first id that the dictionary has not given yet. */
static ctrack_status next_id(ct_store *store, size_t count, int64_t *next, ctrack_error *error)
{
    sqlite3_stmt *statement;
    bool row = false;
    ctrack_status status = ct_store_statement(store, CT_FOLD_LAST_COORDINATE, &statement, error);
    status = status == CTRACK_OK ? ct_sql_step(statement, &row, "read the dictionary", error) : status;
    if (row) {
        int64_t last = sqlite3_column_int64(statement, 0);
        sqlite3_reset(statement);
        if (last < 0 || (uint64_t)(INT64_MAX - last) < count) {
            return ct_error_set(error, CTRACK_CORRUPT, "the file is damaged: the dictionary has no id left");
        }
        *next = last + 1;
    }
    return status;
}

/* How many of the rows from `first` on go into one statement. */
static size_t rows_at(size_t first, size_t end)
{
    return end - first >= CT_MANY ? CT_MANY : 1;
}

static ctrack_status merge_known(const ct_fold *fold, ct_store *store, size_t first, size_t end, ctrack_error *error)
{
    const known_key *keys[CT_MANY];
    ctrack_status status = CTRACK_OK;
    for (size_t count; first < end && status == CTRACK_OK; first += count) {
        count = rows_at(first, end);
        for (size_t i = 0; i < count; i++) {
            keys[i] = &fold->known[first + i];
        }
        status = raise_rows(store, keys, count, error);
    }
    return status;
}

static ctrack_status merge_new(const ct_fold *fold, ct_store *store, size_t first, size_t end, ctrack_error *error)
{
    const known_key *keys[CT_MANY];
    int64_t next = 0;
    ctrack_status status = first < end ? next_id(store, end - first, &next, error) : CTRACK_OK;
    for (size_t count; first < end && status == CTRACK_OK; first += count) {
        count = rows_at(first, end);
        for (size_t i = 0; i < count; i++) {
            keys[i] = &fold->fresh[first + i].progress;
        }
        status = define(store, &fold->fresh[first], count, next, error);
        status = status == CTRACK_OK ? raise_rows(store, keys, count, error) : status;
        next += (int64_t)count;
    }
    return status;
}

ctrack_status ct_fold_apply(ct_fold *fold, ct_store *store, ctrack_error *error)
{
    sort(fold);
    ctrack_status status = merge_known(fold, store, 0, fold->known_count, error);
    return status == CTRACK_OK ? merge_new(fold, store, 0, fold->fresh_count, error) : status;
}

/* ---------------------------------------------------------------- reading the log */

static ctrack_status add_row(ct_fold *fold, const ct_row *row, ctrack_error *error)
{
    ctrack_status status = ct_store_check_unfolded(row, error);
    if (status != CTRACK_OK) {
        return status;
    }
    if (row->coordinate_id != 0) {
        return add_known(fold, row, error);
    }
    return ct_fold_add(fold, row->keyspace_id, row->document_id, row->document_length, row->operation_index,
                       row->updated_at, error);
}

/* Reads up to `limit` rows behind fold->upto; *more says whether there may be others. */
static ctrack_status read_piece(ct_fold *fold, ct_store *store, int64_t limit, bool *more, ctrack_error *error)
{
    sqlite3_stmt *statement;
    ctrack_status status = ct_store_statement(store, CT_SCAN_LOG, &statement, error);
    int64_t count = 0;
    *more = true;
    if (status != CTRACK_OK) { /* GCOVR_EXCL_BR_LINE: it was prepared for loading */
        return status;         /* GCOVR_EXCL_LINE */
    }
    sqlite3_bind_int64(statement, 1, fold->upto);
    sqlite3_bind_int64(statement, 2, limit);
    while (status == CTRACK_OK) {
        ct_row row;
        status = ct_sql_step(statement, more, "read the log", error);
        if (status != CTRACK_OK || !*more) {
            break;
        }
        status = ct_store_row(statement, &row, error);
        status = status == CTRACK_OK ? add_row(fold, &row, error) : status;
        fold->upto = row.seq;
        count++;
    }
    sqlite3_reset(statement);
    *more = count == limit;
    return status;
}

ctrack_status ct_fold_set(ct_store *store, int64_t seq, ctrack_error *error)
{
    sqlite3_stmt *statement;
    ctrack_status status = ct_store_statement(store, CT_FOLD_SET, &statement, error);
    if (status == CTRACK_OK) {
        sqlite3_bind_int64(statement, 1, seq);
        status = ct_sql_run(statement, "fold the log", error);
    }
    return status;
}

ctrack_status ct_fold_all(ctrack *tracker, ctrack_error *error)
{
    ct_store *store = tracker->store;
    int64_t first, last;
    bool more = true;
    ct_fold *fold = ct_fold_new();
    if (fold == NULL) {
        return ct_error_no_memory(error);
    }
    ctrack_status status = ct_store_log_range(store, &fold->from, &first, &last, error);
    fold->upto = fold->from;
    status = status == CTRACK_OK ? read_piece(fold, store, -1, &more, error) : status;
    status = status == CTRACK_OK ? ct_fold_apply(fold, store, error) : status;
    status = status == CTRACK_OK ? ct_fold_set(store, fold->upto, error) : status;
    ct_fold_free(fold);
    return status;
}

static int64_t kept_rows(const ct_store *store)
{
    return ct_wal_scaled(store, KEPT_ROWS, 256);
}

/* Deletes from the front of the log, up to `limit` rows of it, and runs of which all is folded. The newest row stays,
 * whatever `end` is. *more: something was deleted. */
static ctrack_status trim(ct_store *store, int64_t end, int64_t limit, bool *more, ctrack_error *error)
{
    int64_t folded = 0, first = 0, last = 0;
    sqlite3_stmt *statement;
    ctrack_status status = ct_store_log_range(store, &folded, &first, &last, error);
    end = end < last ? end : last - 1;
    end = end < folded ? end : folded; /* less, if an older state was put into the file's place */
    bool rows = status == CTRACK_OK && first > 0 && first <= end, runs = false;
    status = status == CTRACK_OK ? ct_runs_trim(store, folded, &runs, error) : status;
    *more = rows || runs;
    if (status != CTRACK_OK || !rows) {
        return status;
    }
    status = ct_store_statement(store, CT_FOLD_TRIM, &statement, error);
    if (status == CTRACK_OK) {
        sqlite3_bind_int64(statement, 1, end - first >= limit ? first + limit - 1 : end);
        status = ct_sql_run(statement, "trim the log", error);
    }
    return status;
}

/* ---------------------------------------------------------------- step by step */

/* Does one step of work in a turn of its own. */
typedef ctrack_status step(ctrack *tracker, ct_fold *fold, size_t *position, bool *more, ctrack_error *error);

static ctrack_status in_turn(ctrack *tracker, step *work, ct_fold *fold, const atomic_bool *stop, ctrack_error *error)
{
    size_t position = 0;
    bool more = true;
    ctrack_status status = CTRACK_OK;
    while (status == CTRACK_OK && more) {
        ct_ticket ticket = {0};
        if (atomic_load_explicit(stop, memory_order_relaxed)) {
            return ct_error_set(error, CTRACK_ABORTED, "folding was given up");
        }
        if (ct_turn_take(&tracker->turn, &ticket) != 0) {
            return ct_error_no_memory(error);
        }
        status = work(tracker, fold, &position, &more, error);
        if (status == CTRACK_FULL && ct_store_reclaim(tracker->store, NULL) == CTRACK_OK) {
            status = work(tracker, fold, &position, &more, error);
        }
        if (status == CTRACK_OK && ct_wal_is_due(tracker->store)) {
            status = ct_store_checkpoint(tracker->store, error);
        }
        ct_turn_pass(&tracker->turn, &ticket, &ticket);
        if (status == CTRACK_OK && fold->reporter != NULL) {
            status = ct_report(fold->reporter, fold->done, fold->total, error);
        }
    }
    return status;
}

/* In a transaction: whether the file may be another one than was read, see ct_store_schema_version(). */
static ctrack_status look_for_replacement(const ct_fold *fold, ct_store *store, ctrack_error *error)
{
    int64_t version = 0;
    ctrack_status status = ct_store_schema_version(store, &version, error);
    return status == CTRACK_OK && version != fold->schema_version
               ? ct_error_set(error, CTRACK_ABORTED, "the file was changed meanwhile")
               : status;
}

/*
 * In a transaction: whether progress was taken back since the log was read. That moves folded_seq to the row which says
 * so. Others may have moved it by folding; then there is no such row in what they have folded.
 */
static ctrack_status look_for_rewinds(ct_fold *fold, ct_store *store, ctrack_error *error)
{
    int64_t folded = 0, first = 0, last;
    sqlite3_stmt *statement;
    ctrack_status status = look_for_replacement(fold, store, error);
    status = status == CTRACK_OK ? ct_store_log_range(store, &folded, &first, &last, error) : status;
    if (status != CTRACK_OK || folded == fold->looked) {
        return status;
    }
    bool rewound = folded < fold->looked || first > fold->looked + 1; /* not known any more: it may have been */
    status = ct_store_statement(store, CT_FOLD_REWOUND, &statement, error);
    if (status == CTRACK_OK && !rewound) {
        sqlite3_bind_int64(statement, 1, fold->looked);
        sqlite3_bind_int64(statement, 2, folded);
        status = ct_sql_step(statement, &rewound, "read the log", error);
        sqlite3_reset(statement);
    }
    fold->looked = folded;
    return status == CTRACK_OK && rewound ? ct_error_set(error, CTRACK_ABORTED, "progress was taken back meanwhile")
                                          : status;
}

/* In a transaction that only reads: reads on, if what was read before still counts. */
static ctrack_status read_on(ct_fold *fold, ct_store *store, bool begun, bool *more, ctrack_error *error)
{
    int64_t first, last;
    ctrack_status status = CTRACK_OK;
    if (begun) {
        status = look_for_rewinds(fold, store, error);
    } else {
        fold->schema_version = store->schema_version;
        status = look_for_replacement(fold, store, error);
        status = status == CTRACK_OK ? ct_store_log_range(store, &fold->from, &first, &last, error) : status;
        fold->looked = fold->upto = fold->from;
    }
    status = status == CTRACK_OK ? read_piece(fold, store, READ_PIECE, more, error) : status;
    fold->done = (uint64_t)(fold->upto - fold->from);
    fold->total = 2 * fold->done; /* the rest is not known yet */
    return status;
}

static ctrack_status step_read(ctrack *tracker, ct_fold *fold, size_t *position, bool *more, ctrack_error *error)
{
    ctrack_status status = ct_store_run(tracker->store, CT_BEGIN, "begin to read", error);
    status = status == CTRACK_OK ? read_on(fold, tracker->store, (*position)++ > 0, more, error) : status;
    ct_store_rollback(tracker->store);
    return status;
}

/* Begins the transaction of a step, and sees that nothing was taken back since the log was read. */
static ctrack_status begin_step(ctrack *tracker, ct_fold *fold, ctrack_error *error)
{
    ctrack_status status = ct_store_begin(tracker->store, error);
    if (status != CTRACK_OK) {
        return status;
    }
    status = look_for_rewinds(fold, tracker->store, error);
    if (status != CTRACK_OK) {
        ct_store_rollback(tracker->store);
    }
    return status;
}

static ctrack_status end_step(ctrack *tracker, ctrack_status status, ctrack_error *error)
{
    if (status == CTRACK_OK) {
        return ct_store_commit(tracker->store, error);
    }
    ct_store_rollback(tracker->store);
    return status;
}

/* Where the piece ends that begins at a position. */
static size_t piece_end(const ctrack *tracker, size_t position, size_t count)
{
    size_t piece = (size_t)ct_wal_scaled(tracker->store, MERGE_PIECE, CT_MANY);
    return count - position > piece ? position + piece : count;
}

static ctrack_status step_known(ctrack *tracker, ct_fold *fold, size_t *position, bool *more, ctrack_error *error)
{
    size_t end = piece_end(tracker, *position, fold->known_count);
    ctrack_status status = begin_step(tracker, fold, error);
    if (status == CTRACK_OK) {
        status = end_step(tracker, merge_known(fold, tracker->store, *position, end, error), error);
    }
    fold->done += status == CTRACK_OK ? end - *position : 0;
    *position = status == CTRACK_OK ? end : *position;
    *more = end < fold->known_count;
    return status;
}

/* The tracker's own keys learn their ids, so that the next rows about them are short. */
static ctrack_status tell_ids(ctrack *tracker, const ct_fold *fold, size_t first, size_t end, ctrack_error *error)
{
    ct_board *board = tracker->board;
    ctrack_status status = CTRACK_OK;
    for (size_t i = first; i < end && status == CTRACK_OK; i++) {
        const new_key *key = &fold->fresh[i];
        ct_keyspace *keyspace = NULL;
        status = ct_follow_keyspace(tracker, key->keyspace_id, &keyspace, error);
        if (status == CTRACK_OK && keyspace != NULL) {
            ct_mutex_lock(&board->lock);
            ct_entry *entry = ct_map_find_document(board->map, keyspace, key->document_id, key->length);
            if (entry != NULL) {
                entry->file_id = key->progress.coordinate_id;
            }
            ct_mutex_unlock(&board->lock);
        }
    }
    return status;
}

static ctrack_status step_new(ctrack *tracker, ct_fold *fold, size_t *position, bool *more, ctrack_error *error)
{
    size_t end = piece_end(tracker, *position, fold->fresh_count);
    ctrack_status status = begin_step(tracker, fold, error);
    if (status == CTRACK_OK) {
        status = end_step(tracker, merge_new(fold, tracker->store, *position, end, error), error);
    }
    if (status == CTRACK_OK) {
        status = tell_ids(tracker, fold, *position, end, error);
    }
    fold->done += status == CTRACK_OK ? end - *position : 0;
    *position = status == CTRACK_OK ? end : *position;
    *more = end < fold->fresh_count;
    return status;
}

static ctrack_status step_finish(ctrack *tracker, ct_fold *fold, size_t *position, bool *more, ctrack_error *error)
{
    (void)position;
    ctrack_status status = begin_step(tracker, fold, error);
    fold->upto = fold->looked > fold->upto ? fold->looked : fold->upto; /* others have folded further */
    if (status == CTRACK_OK) {
        status = end_step(tracker, ct_fold_set(tracker->store, fold->upto, error), error);
    }
    if (status == CTRACK_OK) {
        tracker->store->folded_seq = fold->upto;
        tracker->store->folded_keys = ct_board_keys(tracker->board);
    }
    *more = false;
    return status;
}

static ctrack_status step_trim(ctrack *tracker, ct_fold *fold, size_t *position, bool *more, ctrack_error *error)
{
    (void)position;
    ctrack_status status = ct_store_begin(tracker->store, error);
    if (status != CTRACK_OK) {
        return status;
    }
    status = trim(tracker->store, fold->upto - kept_rows(tracker->store), TRIM_PIECE, more, error);
    if (status == CTRACK_OK && !*more) {
        ct_store_rollback(tracker->store);
        return status;
    }
    return end_step(tracker, status, error);
}

ctrack_status ct_fold_log(ctrack *tracker, const atomic_bool *stop, ct_reporter *reporter, ctrack_error *error)
{
    ct_fold *fold = ct_fold_new();
    if (fold == NULL) {
        return ct_error_no_memory(error);
    }
    fold->reporter = reporter;
    ctrack_status status = in_turn(tracker, step_read, fold, stop, error);
    sort(fold);
    fold->total = fold->done + fold->known_count + fold->fresh_count;
    static step *const rest[] = {step_known, step_new, step_finish, step_trim};
    for (size_t i = 0; i < sizeof rest / sizeof rest[0] && status == CTRACK_OK; i++) {
        status = in_turn(tracker, rest[i], fold, stop, error);
    }
    ct_fold_free(fold);
    return status;
}

/* ---------------------------------------------------------------- a part of it */

/* Reads up to `most` rows and merges them, in the transaction. Of each that it folds, two may be trimmed, so that a log
 * that has grown long becomes short. */
static ctrack_status fold_rows(ct_fold *fold, ct_store *store, int64_t most, bool *more, ctrack_error *error)
{
    int64_t first, last = 0;
    bool trimmed = false;
    ctrack_status status = ct_store_log_range(store, &fold->from, &first, &last, error);
    fold->upto = fold->from;
    status = status == CTRACK_OK ? read_piece(fold, store, most, more, error) : status;
    status = status == CTRACK_OK ? ct_fold_apply(fold, store, error) : status;
    status = status == CTRACK_OK ? ct_fold_set(store, fold->upto, error) : status;
    status = status == CTRACK_OK ? trim(store, fold->upto - kept_rows(store), 2 * most, &trimmed, error) : status;
    *more = trimmed || fold->upto < last;
    return status;
}

ctrack_status ct_fold_some(ctrack *tracker, int64_t most, bool *more, ctrack_error *error)
{
    ct_store *store = tracker->store;
    ct_fold *fold = ct_fold_new();
    if (fold == NULL) {
        return ct_error_no_memory(error);
    }
    ctrack_status status = ct_store_begin(store, error);
    if (status == CTRACK_OK) {
        status = end_step(tracker, fold_rows(fold, store, most, more, error), error);
    }
    if (status == CTRACK_OK) {
        store->folded_seq = fold->upto;
        status = tell_ids(tracker, fold, 0, fold->fresh_count, error);
    }
    ct_fold_free(fold);
    return status;
}

/* What a transaction that folds all may have to fold, and how often it is tried to get there. */
#define FEW_ROWS 8192
#define TRIES 3

/* How many rows are not folded, as of now. Takes the turn. Follows, since a fold would be given up else if the schema has
 * been changed. */
static ctrack_status count_backlog(ctrack *tracker, int64_t *backlog, ctrack_error *error)
{
    bool followed;
    ct_ticket ticket = {0};
    if (ct_turn_take(&tracker->turn, &ticket) != 0) {
        return ct_error_no_memory(error);
    }
    ctrack_status status = ct_follow(tracker, &followed, error);
    *backlog = ct_fold_backlog(tracker->store);
    ct_turn_pass(&tracker->turn, &ticket, &ticket);
    return status;
}

ctrack_status ct_fold_nearly_all(ctrack *tracker, ctrack_error *error)
{
    for (int i = 0; i < TRIES; i++) {
        int64_t backlog = 0;
        ctrack_status status = count_backlog(tracker, &backlog, error);
        if (status != CTRACK_OK || backlog <= FEW_ROWS) {
            return status;
        }
        status = ct_fold_log(tracker, &tracker->keeper.stopping, NULL, error);
        if (status != CTRACK_OK && status != CTRACK_ABORTED) {
            return status;
        }
    }
    return CTRACK_OK;
}

int64_t ct_fold_backlog(const ct_store *store)
{
    int64_t backlog = store->seen_seq - store->folded_seq;
    return backlog > 0 ? backlog : 0; /* what others have appended may be folded before it is seen */
}
