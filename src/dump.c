/* SPDX-License-Identifier: MIT */

/*
 * ctrack_dump() and ctrack_restore(): the form of a dump (dumpfmt.h) brought together with the store.
 *
 * A dump reads through a connection of its own, in one read transaction, so it is consistent and holds nobody up. A
 * restore reads and verifies all of its input before it takes the turn: a slow or broken input holds nobody up either,
 * and nothing has to be undone. Neither holds more than a few rows in memory: a dump passes on what it reads, a restore
 * keeps the rows in a spool until they are verified.
 */
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "dumpfmt.h"
#include "error.h"
#include "rewrite.h"
#include "spool.h"
#include "sql.h"
#include "store.h"
#include "tracker.h"
#include "within.h"

/* ---------------------------------------------------------------- dump */

/* Names that own their text: a sorted list of read models. */
typedef struct names {
    char **items;
    size_t count, capacity;
} names;

static void free_names(names *list)
{
    for (size_t i = 0; i < list->count; i++) {
        ct_free(list->items[i]);
    }
    ct_free(list->items);
}

static int add_name(names *list, const char *text, size_t length)
{
    void *items = list->items;
    char *copy = ct_alloc_text(text, length);
    int result = copy != NULL ? ct_grow(&items, &list->capacity, list->count + 1, sizeof(char *)) : -1;
    list->items = items;
    if (result != 0) {
        ct_free(copy);
        return -1;
    }
    list->items[list->count++] = copy;
    return 0;
}

/* Binds which read model is meant; NULL: all of them. */
static ctrack_status select_read_model(ct_store *store, ct_statement which, const char *read_model,
                                       sqlite3_stmt **statement, ctrack_error *error)
{
    ctrack_status status = ct_store_statement(store, which, statement, error);
    if (status == CTRACK_OK && read_model != NULL) {
        sqlite3_bind_text(*statement, 1, read_model, -1, SQLITE_STATIC);
    }
    return status;
}

/* The text of a keyspace that the statement stands on, as the row's. */
static ctrack_status read_keyspace(sqlite3_stmt *statement, ct_dump_row *row, ctrack_error *error)
{
    static const int texts[] = {CT_DUMP_READ_MODEL, CT_DUMP_SCOPE, CT_DUMP_BRANCH};
    ctrack_status status = CTRACK_OK;
    for (int i = 0; i < 3 && status == CTRACK_OK; i++) {
        status = ct_store_text(statement, i + 1, &row->text[texts[i]], &row->length[texts[i]], error);
    }
    return status;
}

/* The names of the keyspaces' read models, each once; the keyspaces come sorted by them. */
static ctrack_status read_names(ct_store *store, const char *read_model, names *list, ctrack_error *error)
{
    sqlite3_stmt *statement;
    bool more = true;
    ctrack_status status = select_read_model(store, CT_DUMP_KEYSPACES, read_model, &statement, error);
    while (status == CTRACK_OK) {
        ct_dump_row row;
        status = ct_sql_step(statement, &more, "read the keyspaces", error);
        if (status != CTRACK_OK || !more) {
            break;
        }
        status = read_keyspace(statement, &row, error);
        bool known = status == CTRACK_OK && list->count > 0 &&
                     strcmp(list->items[list->count - 1], row.text[CT_DUMP_READ_MODEL]) == 0;
        if (status == CTRACK_OK && !known &&
            add_name(list, row.text[CT_DUMP_READ_MODEL], row.length[CT_DUMP_READ_MODEL]) != 0) {
            status = ct_error_no_memory(error);
        }
    }
    sqlite3_reset(statement);
    return status;
}

/* Where a statement stands that yields documents in their order. */
typedef struct cursor {
    sqlite3_stmt *statement;
    bool more; /* there is a row, which the following is of */
    const char *document_id;
    size_t length;
    int64_t operation_index;
    int64_t rank; /* of its keyspace, from 1 */
} cursor;

/* Moves on. The writer sees to it that the text is one that may be in a key. */
static ctrack_status move(cursor *c, ctrack_error *error)
{
    ctrack_status status = ct_sql_step(c->statement, &c->more, "read progress", error);
    if (!c->more) {
        return status;
    }
    if (sqlite3_column_type(c->statement, 0) != SQLITE_TEXT || sqlite3_column_type(c->statement, 1) != SQLITE_INTEGER ||
        sqlite3_column_type(c->statement, 2) != SQLITE_INTEGER) {
        return ct_error_set(error, CTRACK_CORRUPT, "the file is damaged: progress without a key or an index");
    }
    c->document_id = (const char *)sqlite3_column_text(c->statement, 0);
    c->length = (size_t)sqlite3_column_bytes(c->statement, 0);
    c->operation_index = sqlite3_column_int64(c->statement, 1);
    c->rank = sqlite3_column_int64(c->statement, 2);
    return c->document_id != NULL ? CTRACK_OK : ct_error_no_memory(error);
}

static int compare_documents(const cursor *a, const cursor *b)
{
    size_t common = a->length < b->length ? a->length : b->length;
    int order = memcmp(a->document_id, b->document_id, common);
    return order != 0 ? order : (a->length > b->length) - (a->length < b->length);
}

/* Writes the progress of one keyspace: what is folded, merged with what is not. */
static ctrack_status write_keyspace(cursor *folded, cursor *log, int64_t rank, ct_dump_row *row, ct_dump_writer *writer,
                                    ctrack_error *error)
{
    ctrack_status status = move(folded, error);
    while (status == CTRACK_OK) {
        bool logged = log->more && log->rank == rank;
        if (!folded->more && !logged) {
            break;
        }
        int order = !logged ? -1 : !folded->more ? 1 : compare_documents(folded, log);
        const cursor *next = order <= 0 ? folded : log;
        row->text[CT_DUMP_DOCUMENT_ID] = next->document_id;
        row->length[CT_DUMP_DOCUMENT_ID] = next->length;
        row->operation_index =
            order == 0 && log->operation_index > folded->operation_index ? log->operation_index : next->operation_index;
        status = ct_dump_writer_row(writer, row, error);
        status = status == CTRACK_OK && order <= 0 ? move(folded, error) : status;
        status = status == CTRACK_OK && order >= 0 ? move(log, error) : status;
    }
    sqlite3_reset(folded->statement);
    return status;
}

static ctrack_status write_keyspaces(sqlite3_stmt *keyspaces, cursor *folded, cursor *log, ct_dump_writer *writer,
                                     ctrack_error *error)
{
    bool more = true;
    ctrack_status status = move(log, error);
    for (int64_t rank = 1; status == CTRACK_OK; rank++) {
        ct_dump_row row;
        status = ct_sql_step(keyspaces, &more, "read the keyspaces", error);
        if (status != CTRACK_OK || !more) {
            break;
        }
        status = read_keyspace(keyspaces, &row, error);
        sqlite3_bind_int64(folded->statement, 1, sqlite3_column_int64(keyspaces, 0));
        sqlite3_bind_int64(folded->statement, 2, rank);
        status = status == CTRACK_OK ? write_keyspace(folded, log, rank, &row, writer, error) : status;
    }
    if (status == CTRACK_OK && log->more) { /* GCOVR_EXCL_START: two readings of one index, within a transaction */
        status = ct_error_set(error, CTRACK_CORRUPT, "the file is damaged: progress of an unknown keyspace");
    } /* GCOVR_EXCL_STOP */
    sqlite3_reset(keyspaces);
    sqlite3_reset(log->statement);
    return status;
}

static ctrack_status write_rows(ct_store *store, const char *read_model, ct_dump_writer *writer, ctrack_error *error)
{
    sqlite3_stmt *keyspaces;
    cursor folded = {0}, log = {0};
    ctrack_status status = select_read_model(store, CT_DUMP_LOG, read_model, &log.statement, error);
    status = status == CTRACK_OK ? ct_store_statement(store, CT_DUMP_FOLDED, &folded.statement, error) : status;
    status = status == CTRACK_OK ? select_read_model(store, CT_DUMP_KEYSPACES, read_model, &keyspaces, error) : status;
    return status == CTRACK_OK ? write_keyspaces(keyspaces, &folded, &log, writer, error) : status;
}

static ctrack_status dump_store(ct_store *store, const char *read_model, ctrack_write_callback *write, void *argument,
                                ctrack_error *error)
{
    names list = {0};
    ct_dump_writer *writer = NULL;
    ctrack_status status = ct_sql_exec(store->db, "PRAGMA main.cache_size = -16384", "set up the connection", error);
    status = status == CTRACK_OK ? ct_store_run(store, CT_BEGIN, "begin to read", error) : status;
    status = status == CTRACK_OK ? read_names(store, read_model, &list, error) : status;
    status = status == CTRACK_OK
                 ? ct_dump_writer_begin(&writer, (const char *const *)list.items, list.count, write, argument, error)
                 : status;
    status = status == CTRACK_OK ? write_rows(store, read_model, writer, error) : status;
    status = status == CTRACK_OK ? ct_dump_writer_end(writer, error) : status;
    ct_dump_writer_free(writer);
    free_names(&list);
    return status;
}

static ctrack_status dump_file(const ctrack *tracker, const char *read_model, ctrack_write_callback *write,
                               void *argument, ctrack_error *error)
{
    ct_store *store = NULL;
    ctrack_status status = ct_store_open_second(tracker->store, &store, error);
    status = status == CTRACK_OK ? dump_store(store, read_model, write, argument, error) : status;
    ct_store_close(store);
    return status;
}

/* In the order of a dump. */
static int compare_entries(const void *a, const void *b)
{
    const ctrack_coordinate *left = *(const ctrack_coordinate *const *)a, *right = *(const ctrack_coordinate *const *)b;
    int order = strcmp(left->scope, right->scope);
    order = order != 0 ? order : strcmp(left->branch, right->branch);
    return order != 0 ? order : strcmp(left->document_id, right->document_id);
}

static ctrack_status write_entries(const char *read_model, const ctrack_coordinate *const *entries, size_t count,
                                   ct_dump_writer *writer, ctrack_error *error)
{
    ctrack_status status = CTRACK_OK;
    for (size_t i = 0; status == CTRACK_OK && i < count; i++) {
        ct_dump_row row = {.operation_index = entries[i]->operation_index};
        row.text[CT_DUMP_READ_MODEL] = read_model;
        row.text[CT_DUMP_SCOPE] = entries[i]->scope;
        row.text[CT_DUMP_BRANCH] = entries[i]->branch;
        row.text[CT_DUMP_DOCUMENT_ID] = entries[i]->document_id;
        for (int t = 0; t < CT_DUMP_TEXTS; t++) {
            row.length[t] = strlen(row.text[t]);
        }
        status = ct_dump_writer_row(writer, &row, error);
    }
    return status == CTRACK_OK ? ct_dump_writer_end(writer, error) : status;
}

/* The callback must not run under the board's lock, so this takes a copy of the map. */
static ctrack_status dump_memory(const ctrack *tracker, ctrack_write_callback *write, void *argument,
                                 ctrack_error *error)
{
    const char *const read_models[1] = {tracker->read_model};
    ctrack_snapshot *snapshot = NULL;
    const ctrack_coordinate **entries = NULL;
    ct_dump_writer *writer = NULL;
    ctrack_status status = ct_board_copy(tracker->board, &snapshot, error);
    size_t count = status == CTRACK_OK ? ctrack_snapshot_count(snapshot) : 0;
    if (status == CTRACK_OK && (entries = ct_alloc_array(count, sizeof *entries)) == NULL) {
        status = ct_error_no_memory(error);
    }
    for (size_t i = 0; status == CTRACK_OK && i < count; i++) {
        entries[i] = &ctrack_snapshot_entries(snapshot)[i];
    }
    if (status == CTRACK_OK) {
        qsort(entries, count, sizeof *entries, compare_entries);
        status = ct_dump_writer_begin(&writer, read_models, 1, write, argument, error);
    }
    status = status == CTRACK_OK ? write_entries(tracker->read_model, entries, count, writer, error) : status;
    ct_dump_writer_free(writer);
    ct_free(entries);
    ctrack_snapshot_free(snapshot);
    return status;
}

ctrack_status ctrack_dump(ctrack *tracker, const char *read_model, ctrack_write_callback *write, void *argument,
                          ctrack_error *error)
{
    ctrack_status status = ct_tracker_enter(tracker, error);
    if (status != CTRACK_OK) {
        return status;
    }
    ct_within within;
    ct_within_begin(&within, tracker, false);
    if (write == NULL) {
        status = ct_error_set(error, CTRACK_INVALID, "write is NULL");
    } else if (tracker->store != NULL) {
        status = dump_file(tracker, read_model, write, argument, error);
    } else if (read_model != NULL && strcmp(read_model, tracker->read_model) != 0) {
        status = ct_error_set(error, CTRACK_INVALID, "the tracker in memory holds the read model \"%s\" only",
                              tracker->read_model);
    } else {
        status = dump_memory(tracker, write, argument, error);
    }
    ct_within_end(&within);
    return ct_tracker_leave(tracker, status);
}

/* ---------------------------------------------------------------- restore */

/* Reads and verifies everything; keeps the rows unless `spool` is NULL. `own` is the read model of the array form. */
static ctrack_status read_all(ct_dump_reader *reader, const char *own, ct_spool *spool, size_t *rows,
                              ctrack_error *error)
{
    for (*rows = 0;; ++*rows) {
        const ct_dump_row *row;
        ctrack_status status = ct_dump_reader_next(reader, &row, error);
        if (status != CTRACK_OK || row == NULL) {
            return status;
        }
        ct_dump_row named = *row;
        if (named.text[CT_DUMP_READ_MODEL] == NULL) {
            named.text[CT_DUMP_READ_MODEL] = own;
            named.length[CT_DUMP_READ_MODEL] = strlen(own);
        }
        status = spool != NULL ? ct_spool_add(spool, &named, error) : CTRACK_OK;
        if (status != CTRACK_OK) {
            return status;
        }
    }
}

static ctrack_status restore(ctrack *tracker, ct_dump_reader *reader, ctrack_restore_mode mode, bool check,
                             size_t *rows, ctrack_error *error)
{
    const char *own = tracker->read_model;
    ct_restored restored = {.read_models = (const char *const *)&tracker->read_model, .count = 1};
    if (!ct_dump_reader_is_array(reader)) {
        restored.count = ct_dump_reader_read_models(reader, &restored.read_models);
    }
    ctrack_status status = check ? CTRACK_OK : ct_spool_new(&restored.rows, error);
    status = status == CTRACK_OK ? read_all(reader, own, restored.rows, rows, error) : status;
    status = status == CTRACK_OK ? ct_rewrite_restore(tracker, &restored, mode, error) : status;
    ct_spool_free(restored.rows);
    return status;
}

ctrack_status ctrack_restore(ctrack *tracker, ctrack_read_callback *read, void *argument, const char *name,
                             ctrack_restore_mode mode, size_t *restored, ctrack_error *error)
{
    ctrack_status status = ct_tracker_enter(tracker, error);
    if (status != CTRACK_OK) {
        return status;
    }
    ct_within within;
    ct_within_begin(&within, tracker, false);
    ct_dump_reader *reader = NULL;
    size_t rows = 0;
    bool check = ((unsigned)mode & CTRACK_RESTORE_CHECK) != 0;
    unsigned rest = (unsigned)mode & ~(unsigned)CTRACK_RESTORE_CHECK;
    if (read == NULL || name == NULL || rest > CTRACK_RESTORE_REPLACE) {
        status = ct_error_set(error, CTRACK_INVALID, "%s",
                              read == NULL   ? "read is NULL"
                              : name == NULL ? "name is NULL"
                                             : "mode is not one");
    } else {
        status = ct_dump_reader_open(&reader, read, argument, name, error);
    }
    status = status == CTRACK_OK ? restore(tracker, reader, (ctrack_restore_mode)rest, check, &rows, error) : status;
    ct_dump_reader_free(reader);
    ct_within_end(&within);
    if (status == CTRACK_OK && restored != NULL) {
        *restored = rows;
    }
    return ct_tracker_leave(tracker, status);
}
