/* SPDX-License-Identifier: MIT */

/*
 * ctrack_dump() and ctrack_restore(): the form of a dump (dumpfmt.h) brought together with the store.
 *
 * A dump reads through a connection of its own, in one read transaction, so it is consistent and holds nobody up. A
 * restore reads and verifies all of its input before it takes the turn: a slow or broken input holds nobody up either,
 * and nothing has to be undone.
 */
#include <string.h>

#include "alloc.h"
#include "dumpfmt.h"
#include "error.h"
#include "rewrite.h"
#include "snapshot.h"
#include "sql.h"
#include "store.h"
#include "tracker.h"

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

static void bind_read_model(sqlite3_stmt *statement, const char *read_model)
{
    if (read_model != NULL) {
        sqlite3_bind_text(statement, 1, read_model, -1, SQLITE_STATIC);
    }
}

static ctrack_status read_names(ct_store *store, const char *read_model, names *list, ctrack_error *error)
{
    sqlite3_stmt *statement;
    bool row = true;
    ctrack_status status = ct_store_statement(store, CT_DUMP_MODELS, &statement, error);
    if (status != CTRACK_OK) {
        return status;
    }
    bind_read_model(statement, read_model);
    while (status == CTRACK_OK) {
        const char *text;
        size_t length;
        status = ct_sql_step(statement, &row, "read the read models", error);
        if (status != CTRACK_OK || !row) {
            break;
        }
        status = ct_store_text(statement, 0, &text, &length, error);
        if (status == CTRACK_OK && add_name(list, text, length) != 0) {
            status = ct_error_no_memory(error);
        }
    }
    sqlite3_reset(statement);
    return status;
}

static ctrack_status read_row(sqlite3_stmt *statement, ct_dump_row *row, ctrack_error *error)
{
    ctrack_status status = CTRACK_OK;
    for (int i = 0; i < CT_DUMP_TEXTS && status == CTRACK_OK; i++) {
        status = ct_store_text(statement, i, &row->text[i], &row->length[i], error);
    }
    row->operation_index = sqlite3_column_int64(statement, CT_DUMP_TEXTS);
    return status;
}

static ctrack_status write_rows(ct_store *store, const char *read_model, ct_dump_writer *writer, ctrack_error *error)
{
    sqlite3_stmt *statement;
    bool more = true;
    ctrack_status status = ct_store_statement(store, CT_DUMP_ROWS, &statement, error);
    if (status != CTRACK_OK) {
        return status;
    }
    bind_read_model(statement, read_model);
    while (status == CTRACK_OK) {
        ct_dump_row row;
        status = ct_sql_step(statement, &more, "read progress", error);
        if (status != CTRACK_OK || !more) {
            break;
        }
        status = read_row(statement, &row, error);
        status = status == CTRACK_OK ? ct_dump_writer_row(writer, &row, error) : status;
    }
    sqlite3_reset(statement);
    return status;
}

static ctrack_status dump_store(ct_store *store, const char *read_model, ctrack_write_callback *write, void *argument,
                                ctrack_error *error)
{
    names list = {0};
    ct_dump_writer *writer = NULL;
    ctrack_status status = ct_store_run(store, CT_BEGIN, "begin to read", error);
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

static ctrack_status dump_memory(const ctrack *tracker, ctrack_write_callback *write, void *argument,
                                 ctrack_error *error)
{
    const char *const read_models[1] = {tracker->read_model};
    ctrack_snapshot *snapshot = NULL;
    ct_dump_writer *writer = NULL;
    ctrack_status status = ct_board_copy(tracker->board, &snapshot, error);
    status = status == CTRACK_OK ? ct_dump_writer_begin(&writer, read_models, 1, write, argument, error) : status;
    for (size_t i = 0; status == CTRACK_OK && i < ctrack_snapshot_count(snapshot); i++) {
        const ctrack_coordinate *entry = &ctrack_snapshot_entries(snapshot)[i];
        ct_dump_row row = {.text = {tracker->read_model, entry->document_id, entry->scope, entry->branch},
                           .operation_index = entry->operation_index};
        for (int t = 0; t < CT_DUMP_TEXTS; t++) {
            row.length[t] = strlen(row.text[t]);
        }
        status = ct_dump_writer_row(writer, &row, error);
    }
    status = status == CTRACK_OK ? ct_dump_writer_end(writer, error) : status;
    ct_dump_writer_free(writer);
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
    return ct_tracker_leave(tracker, status);
}

/* ---------------------------------------------------------------- restore */

/* Reads everything into a list of read models; rows come sorted by read model. */
static ctrack_status read_models(ct_dump_reader *reader, const char *own, ct_restored *models, size_t count,
                                 size_t *rows, ctrack_error *error)
{
    size_t at = 0;
    for (size_t i = 0; i < count; i++) {
        models[i].entries = ct_snapshot_new();
        if (models[i].entries == NULL) {
            return ct_error_no_memory(error);
        }
    }
    for (*rows = 0;; (*rows)++) {
        const ct_dump_row *row;
        ctrack_status status = ct_dump_reader_next(reader, &row, error);
        if (status != CTRACK_OK || row == NULL) {
            return status;
        }
        const char *model = row->text[CT_DUMP_READ_MODEL] != NULL ? row->text[CT_DUMP_READ_MODEL] : own;
        while (strcmp(models[at].read_model, model) != 0) {
            at++; /* the reader has checked that the header names it, in this order */
        }
        if (ct_snapshot_add_text(models[at].entries, &row->text[CT_DUMP_DOCUMENT_ID], &row->length[CT_DUMP_DOCUMENT_ID],
                                 row->operation_index, -1) != 0) {
            return ct_error_no_memory(error);
        }
    }
}

static ctrack_status read_all(ct_dump_reader *reader, const char *own, ct_restored **models, size_t *count,
                              size_t *rows, ctrack_error *error)
{
    const char *const *named = NULL;
    bool array = ct_dump_reader_is_array(reader);
    *count = array ? 1 : ct_dump_reader_read_models(reader, &named);
    *models = ct_alloc_array(*count, sizeof **models);
    if (*models == NULL) {
        *count = 0;
        return ct_error_no_memory(error);
    }
    for (size_t i = 0; i < *count; i++) {
        (*models)[i].read_model = array ? own : named[i];
    }
    ctrack_status status = read_models(reader, own, *models, *count, rows, error);
    for (size_t i = 0; i < *count && status == CTRACK_OK; i++) {
        status = ct_snapshot_seal((*models)[i].entries) == 0 ? CTRACK_OK : ct_error_no_memory(error);
    }
    return status;
}

static ctrack_status restore(ctrack *tracker, ct_dump_reader *reader, ctrack_restore_mode mode, size_t *rows,
                             ctrack_error *error)
{
    ct_restored *models = NULL;
    size_t count = 0;
    ctrack_status status = read_all(reader, tracker->read_model, &models, &count, rows, error);
    if (status == CTRACK_OK && mode != CTRACK_RESTORE_CHECK) {
        status = ct_rewrite_restore(tracker, models, count, mode, error);
    }
    for (size_t i = 0; i < count; i++) {
        ctrack_snapshot_free(models[i].entries);
    }
    ct_free(models);
    return status;
}

ctrack_status ctrack_restore(ctrack *tracker, ctrack_read_callback *read, void *argument, const char *name,
                             ctrack_restore_mode mode, size_t *restored, ctrack_error *error)
{
    ctrack_status status = ct_tracker_enter(tracker, error);
    if (status != CTRACK_OK) {
        return status;
    }
    ct_dump_reader *reader = NULL;
    size_t rows = 0;
    if (read == NULL || name == NULL || (int)mode < CTRACK_RESTORE_EMPTY || mode > CTRACK_RESTORE_CHECK) {
        status = ct_error_set(error, CTRACK_INVALID, "%s",
                              read == NULL   ? "read is NULL"
                              : name == NULL ? "name is NULL"
                                             : "mode is not one");
    } else {
        status = ct_dump_reader_open(&reader, read, argument, name, error);
    }
    status = status == CTRACK_OK ? restore(tracker, reader, mode, &rows, error) : status;
    ct_dump_reader_free(reader);
    if (status == CTRACK_OK && restored != NULL) {
        *restored = rows;
    }
    return ct_tracker_leave(tracker, status);
}
