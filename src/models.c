/* SPDX-License-Identifier: MIT */

/*
 * What a file holds: its read models, and how far its schema is.
 */
#include <string.h>

#include "alloc.h"
#include "error.h"
#include "migrations.h"
#include "sql.h"
#include "store.h"
#include "tracker.h"

struct ctrack_read_model_list {
    ctrack_read_model_info *models; /* the names are owned */
    size_t count, capacity;
};

static ctrack_status add_model(ctrack_read_model_list *list, const char *name, size_t length, uint64_t keys,
                               int64_t updated_at, ctrack_error *error)
{
    void *models = list->models;
    char *copy = ct_alloc_text(name, length);
    int result = copy != NULL ? ct_grow(&models, &list->capacity, list->count + 1, sizeof(ctrack_read_model_info)) : -1;
    list->models = models;
    if (result != 0) {
        ct_free(copy);
        return ct_error_no_memory(error);
    }
    list->models[list->count++] = (ctrack_read_model_info){copy, keys, updated_at};
    return CTRACK_OK;
}

static ctrack_status read_model(sqlite3_stmt *statement, ctrack_read_model_list *list, ctrack_error *error)
{
    const char *name;
    size_t length;
    ctrack_status status = ct_store_text(statement, 0, &name, &length, error);
    bool any = sqlite3_column_type(statement, 2) == SQLITE_INTEGER;
    return status == CTRACK_OK ? add_model(list, name, length, (uint64_t)sqlite3_column_int64(statement, 1),
                                           any ? sqlite3_column_int64(statement, 2) : -1, error)
                               : status;
}

static ctrack_status read_store(ct_store *store, ctrack_read_model_list *list, ctrack_error *error)
{
    sqlite3_stmt *statement;
    bool more = true;
    ctrack_status status = ct_store_statement(store, CT_COUNT_MODELS, &statement, error);
    while (status == CTRACK_OK && more) {
        status = ct_sql_step(statement, &more, "count the keys", error);
        status = status == CTRACK_OK && more ? read_model(statement, list, error) : status;
    }
    return status;
}

static ctrack_status read_file(const ctrack *tracker, ctrack_read_model_list *list, ctrack_error *error)
{
    ct_store *store = NULL;
    ctrack_status status = ct_store_open_second(tracker->store, &store, error);
    status = status == CTRACK_OK ? read_store(store, list, error) : status;
    ct_store_close(store);
    return status;
}

static ctrack_status read_memory(const ctrack *tracker, ctrack_read_model_list *list, ctrack_error *error)
{
    size_t keys = ct_board_keys(tracker->board);
    return add_model(list, tracker->read_model, strlen(tracker->read_model), keys, -1, error);
}

ctrack_status ctrack_read_models(ctrack *tracker, ctrack_read_model_list **list, ctrack_error *error)
{
    ctrack_status status = ct_tracker_enter(tracker, error);
    if (status != CTRACK_OK) {
        return status;
    }
    if (list == NULL) {
        return ct_tracker_leave(tracker, ct_error_set(error, CTRACK_INVALID, "list is NULL"));
    }
    ctrack_read_model_list *made = ct_alloc_array(1, sizeof *made);
    if (made == NULL) {
        status = ct_error_no_memory(error);
    } else {
        status = tracker->store != NULL ? read_file(tracker, made, error) : read_memory(tracker, made, error);
    }
    if (status == CTRACK_OK) {
        *list = made;
    } else {
        ctrack_read_model_list_free(made);
    }
    return ct_tracker_leave(tracker, status);
}

size_t ctrack_read_model_list_count(const ctrack_read_model_list *list)
{
    return list->count;
}

const ctrack_read_model_info *ctrack_read_model_list_at(const ctrack_read_model_list *list, size_t position)
{
    return position < list->count ? &list->models[position] : NULL;
}

void ctrack_read_model_list_free(ctrack_read_model_list *list)
{
    if (list != NULL) {
        for (size_t i = 0; i < list->count; i++) {
            ct_free((char *)(uintptr_t)list->models[i].name);
        }
        ct_free(list->models);
        ct_free(list);
    }
}

ctrack_status ctrack_schema(const char *path, int64_t busy_timeout_ms, int *version, int *newest, ctrack_error *error)
{
    if (path == NULL || version == NULL || newest == NULL) {
        return ct_error_set(error, CTRACK_INVALID, "%s is NULL",
                            path == NULL      ? "path"
                            : version == NULL ? "version"
                                              : "newest");
    }
    ctrack_status status = ct_store_schema(path, busy_timeout_ms, version, error);
    if (status == CTRACK_OK) {
        *newest = ct_migrations_count;
    }
    return status;
}
