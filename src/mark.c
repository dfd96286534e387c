/* SPDX-License-Identifier: MIT */
#include "mark.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "sql.h"

static uint64_t mix(uint64_t mark, sqlite3_value *value)
{
    int64_t number = sqlite3_value_int64(value);
    int type = sqlite3_value_type(value);
    mark = XXH3_64bits_withSeed(&type, sizeof type, mark);
    if (type == SQLITE_TEXT) {
        const void *text = sqlite3_value_blob(value); /* NULL if it is empty */
        return XXH3_64bits_withSeed(text, (size_t)sqlite3_value_bytes(value), mark);
    }
    return XXH3_64bits_withSeed(&number, sizeof number, mark);
}

ctrack_status ct_mark_of(ct_store *store, int64_t seq, uint64_t *mark, ctrack_error *error)
{
    sqlite3_stmt *statement;
    bool row = false;
    ctrack_status status = ct_store_statement(store, CT_MARK, &statement, error);
    *mark = CT_NO_MARK;
    if (status != CTRACK_OK) {
        return status;
    }
    sqlite3_bind_int64(statement, 1, seq);
    status = ct_sql_step(statement, &row, "read the log", error);
    if (row) {
        uint64_t made = (uint64_t)seq;
        for (int i = 0; i < sqlite3_column_count(statement); i++) {
            made = mix(made, sqlite3_column_value(statement, i));
        }
        *mark = made | 1; /* so it is none that says that there is no row */
    }
    sqlite3_reset(statement);
    return status;
}
