/* SPDX-License-Identifier: MIT */

/*
 * The form of a row, in bytes of this machine:
 *
 *     first     1 byte: the first text that differs from the row before
 *     texts     from that one on, each: its length in 4 bytes, its bytes, a NUL
 *     index     8 bytes
 *
 * Rows stand one behind the other, across the ends of pieces.
 */
#include "spool.h"

#include <sqlite3.h>
#include <string.h>

#include "alloc.h"
#include "connection.h"
#include "error.h"
#include "json.h"
#include "sql.h"

#define PIECE ((size_t)64 * 1024)

static const char doing[] = "keep the rows aside";

struct ct_spool {
    sqlite3 *db;
    sqlite3_stmt *add, *read;
    size_t rows; /* in all */
    size_t left; /* of these, still to be read */
    ct_dump_row row;
    ct_json_text texts[CT_DUMP_TEXTS]; /* of the last row that was added (but for its document id), or read */
    const char *piece;                 /* what is read of: [at, size) is left */
    size_t at, size;
    size_t used; /* of the piece that is filled */
    char buffer[PIECE];
};

static ctrack_status open_table(ct_spool *spool, ctrack_error *error)
{
    ctrack_status status = ct_connection_usable(error);
    if (status != CTRACK_OK) {
        return status;
    }
    int code = sqlite3_open_v2(":memory:", &spool->db,
                               SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE, NULL);
    if (code != SQLITE_OK) {
        return ct_sql_fail(spool->db, code, doing, error);
    }
    /* Nobody recovers what is here: no journal. */
    status = ct_sql_exec(spool->db,
                         "PRAGMA temp_store = FILE; PRAGMA temp.journal_mode = OFF;"
                         "CREATE TEMP TABLE spool (id INTEGER PRIMARY KEY, piece BLOB NOT NULL) STRICT;"
                         "PRAGMA temp.cache_size = -1024",
                         doing, error);
    status = status == CTRACK_OK
                 ? ct_sql_prepare(spool->db, "INSERT INTO spool (piece) VALUES (?1)", &spool->add, error)
                 : status;
    return status == CTRACK_OK ? ct_sql_prepare(spool->db, "SELECT piece FROM spool ORDER BY id", &spool->read, error)
                               : status;
}

ctrack_status ct_spool_new(ct_spool **spool, ctrack_error *error)
{
    ct_spool *made = ct_alloc_array(1, sizeof *made);
    if (made == NULL) {
        return ct_error_no_memory(error);
    }
    ctrack_status status = open_table(made, error);
    if (status != CTRACK_OK) {
        ct_spool_free(made);
        return status;
    }
    *spool = made;
    return CTRACK_OK;
}

void ct_spool_free(ct_spool *spool)
{
    if (spool != NULL) {
        for (int i = 0; i < CT_DUMP_TEXTS; i++) {
            ct_json_text_free(&spool->texts[i]);
        }
        sqlite3_finalize(spool->add);
        sqlite3_finalize(spool->read);
        sqlite3_close(spool->db);
        ct_free(spool);
    }
}

/* Makes room for a text, its NUL included, in place of that of the row before. */
static ctrack_status hold(ct_spool *spool, int which, size_t length, ctrack_error *error)
{
    ct_json_text *text = &spool->texts[which];
    void *grown = text->text;
    if (ct_grow(&grown, &text->capacity, length + 1, 1) != 0) {
        return ct_error_no_memory(error);
    }
    text->text = grown;
    text->length = length;
    return CTRACK_OK;
}

/* ---------------------------------------------------------------- adding */

static ctrack_status flush(ct_spool *spool, ctrack_error *error)
{
    if (spool->used == 0) {
        return CTRACK_OK;
    }
    sqlite3_bind_blob(spool->add, 1, spool->buffer, (int)spool->used, SQLITE_STATIC);
    spool->used = 0;
    return ct_sql_run(spool->add, doing, error);
}

static ctrack_status put(ct_spool *spool, const void *bytes, size_t length, ctrack_error *error)
{
    const char *from = bytes;
    for (;;) {
        size_t left = PIECE - spool->used, take = length < left ? length : left;
        memcpy(spool->buffer + spool->used, from, take);
        spool->used += take;
        from += take;
        length -= take;
        if (length == 0) {
            return CTRACK_OK;
        }
        ctrack_status status = flush(spool, error);
        if (status != CTRACK_OK) {
            return status;
        }
    }
}

static ctrack_status put_text(ct_spool *spool, const ct_dump_row *row, int which, ctrack_error *error)
{
    uint32_t length = (uint32_t)row->length[which];
    ctrack_status status = put(spool, &length, sizeof length, error);
    status = status == CTRACK_OK ? put(spool, row->text[which], (size_t)length + 1, error) : status;
    if (status == CTRACK_OK && which < CT_DUMP_DOCUMENT_ID) {
        status = hold(spool, which, length, error);
        if (status == CTRACK_OK) {
            memcpy(spool->texts[which].text, row->text[which], length);
        }
    }
    return status;
}

/* The first text that differs from that of the row before. */
static unsigned char first_difference(const ct_spool *spool, const ct_dump_row *row)
{
    unsigned char first = 0;
    while (spool->rows > 0 && first < CT_DUMP_DOCUMENT_ID && spool->texts[first].length == row->length[first] &&
           memcmp(spool->texts[first].text, row->text[first], row->length[first]) == 0) {
        first++;
    }
    return first;
}

ctrack_status ct_spool_add(ct_spool *spool, const ct_dump_row *row, ctrack_error *error)
{
    unsigned char first = first_difference(spool, row);
    ctrack_status status = put(spool, &first, sizeof first, error);
    for (int i = first; i < CT_DUMP_TEXTS && status == CTRACK_OK; i++) {
        status = put_text(spool, row, i, error);
    }
    spool->rows++;
    return status == CTRACK_OK ? put(spool, &row->operation_index, sizeof row->operation_index, error) : status;
}

/* ---------------------------------------------------------------- reading */

ctrack_status ct_spool_rewind(ct_spool *spool, ctrack_error *error)
{
    sqlite3_reset(spool->read);
    spool->at = spool->size = 0;
    spool->left = spool->rows;
    return flush(spool, error);
}

static ctrack_status take(ct_spool *spool, void *bytes, size_t length, ctrack_error *error)
{
    char *to = bytes;
    while (length > 0) {
        if (spool->at == spool->size) {
            bool row;
            ctrack_status status = ct_sql_step(spool->read, &row, doing, error);
            if (status == CTRACK_OK && !row) { /* GCOVR_EXCL_START: nobody else can get at the temporary file */
                status = ct_error_set(error, CTRACK_IO, "cannot %s: the temporary file is cut off", doing);
            } /* GCOVR_EXCL_STOP */
            if (status != CTRACK_OK) {
                return status;
            }
            spool->piece = sqlite3_column_blob(spool->read, 0);
            spool->size = (size_t)sqlite3_column_bytes(spool->read, 0);
            spool->at = 0;
            if (spool->piece == NULL) {
                return ct_error_no_memory(error);
            }
        }
        size_t left = spool->size - spool->at, some = length < left ? length : left;
        memcpy(to, spool->piece + spool->at, some);
        spool->at += some;
        to += some;
        length -= some;
    }
    return CTRACK_OK;
}

static ctrack_status take_text(ct_spool *spool, int which, ctrack_error *error)
{
    uint32_t length;
    ctrack_status status = take(spool, &length, sizeof length, error);
    status = status == CTRACK_OK ? hold(spool, which, length, error) : status;
    status = status == CTRACK_OK ? take(spool, spool->texts[which].text, (size_t)length + 1, error) : status;
    spool->row.text[which] = spool->texts[which].text;
    spool->row.length[which] = spool->texts[which].length;
    return status;
}

ctrack_status ct_spool_next(ct_spool *spool, const ct_dump_row **row, int *first, ctrack_error *error)
{
    unsigned char differs;
    *row = NULL;
    if (spool->left == 0) {
        return CTRACK_OK;
    }
    ctrack_status status = take(spool, &differs, sizeof differs, error);
    for (int i = differs; i < CT_DUMP_TEXTS && status == CTRACK_OK; i++) {
        status = take_text(spool, i, error);
    }
    status = status == CTRACK_OK ? take(spool, &spool->row.operation_index, sizeof(int64_t), error) : status;
    if (status == CTRACK_OK) {
        spool->left--;
        *row = &spool->row;
        *first = differs;
    }
    return status;
}
