/* SPDX-License-Identifier: MIT */
#include "ask.h"

#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "error.h"
#include "run.h"
#include "sql.h"

/* A part is not longer, whatever the file says: it has some 416 entries, and a few more by chance. */
#define PART_BYTES_MOST 65536

/* %w is the schema's name. */
static const char *const texts[CT_ASK_STATEMENTS] = {
    [CT_ASK_KEYSPACE] = "SELECT id FROM \"%w\".ctrack_keyspace WHERE read_model = ?1 AND scope = ?2 AND branch = ?3",
    [CT_ASK_LATEST] = "SELECT c.id, l.operation_index FROM \"%w\".ctrack_coordinate AS c "
                      "LEFT JOIN \"%w\".ctrack_latest AS l ON l.coordinate_id = c.id "
                      "WHERE c.keyspace_id = ?1 AND c.document_id = ?2",
    [CT_ASK_LOG] = "SELECT folded_seq, hash_seed, (SELECT max(seq) FROM \"%w\".ctrack_advance) "
                   "FROM \"%w\".ctrack_fold",
    [CT_ASK_RUNS] = "SELECT last_seq, first_seq, first_part, parts FROM \"%w\".ctrack_run WHERE last_seq > ?1 "
                    "ORDER BY last_seq DESC",
    [CT_ASK_PART] = "SELECT entries FROM \"%w\".ctrack_run_part WHERE id = ?1",
    [CT_ASK_ROW] = "SELECT coordinate_id, keyspace_id, document_id, operation_index FROM \"%w\".ctrack_advance "
                   "WHERE seq = ?1",
    /* What is certainly not asked for is passed over by SQLite: that takes a quarter of the time. */
    [CT_ASK_ROWS] =
        "SELECT coordinate_id, keyspace_id, document_id, operation_index FROM \"%w\".ctrack_advance "
        "WHERE seq BETWEEN ?1 AND ?2 AND (coordinate_id BETWEEN ?3 AND ?4 OR document_id BETWEEN ?5 AND ?6) "
        "ORDER BY seq DESC",
};

/* Questions that are open, and what of the log they are about. */
typedef struct asking {
    ct_asker *asker;
    ct_question **by_place, **by_coordinate; /* the same, sorted */
    size_t count, open;
    int64_t folded_seq, seed, last_seq;
    const char *first_document, *last_document; /* of all */
} asking;

void ct_asker_end(ct_asker *asker)
{
    for (int i = 0; i < CT_ASK_STATEMENTS; i++) {
        sqlite3_finalize(asker->statements[i]);
        asker->statements[i] = NULL;
    }
}

static ctrack_status prepare(ct_asker *asker, ct_ask_statement which, sqlite3_stmt **statement, ctrack_error *error)
{
    if (asker->statements[which] == NULL) {
        const char *schema = asker->schema;
        char *sql = sqlite3_mprintf(texts[which], schema, schema);
        if (sql == NULL) {
            return ct_error_no_memory(error);
        }
        ctrack_status status = ct_sql_prepare(asker->db, sql, &asker->statements[which], error);
        sqlite3_free(sql);
        if (status != CTRACK_OK) {
            return status;
        }
    }
    *statement = asker->statements[which];
    return CTRACK_OK;
}

static bool is_open(const ct_question *q)
{
    return q->highest < q->target;
}

static ctrack_status damaged(ctrack_error *error)
{
    return ct_error_set(error, CTRACK_CORRUPT, "the file is damaged: a number in a ctrack table is out of range");
}

/* ---------------------------------------------------------------- what is folded */

static ctrack_status find_keyspace(ct_asker *asker, const char *read_model, ct_question *q, ctrack_error *error)
{
    sqlite3_stmt *find;
    bool row = false;
    ctrack_status status = prepare(asker, CT_ASK_KEYSPACE, &find, error);
    if (status != CTRACK_OK) {
        return status;
    }
    sqlite3_bind_text(find, 1, read_model, -1, SQLITE_STATIC);
    sqlite3_bind_text(find, 2, q->key.scope, -1, SQLITE_STATIC);
    sqlite3_bind_text(find, 3, q->key.branch, -1, SQLITE_STATIC);
    status = ct_sql_step(find, &row, "look up a keyspace", error);
    q->keyspace_id = row ? sqlite3_column_int64(find, 0) : 0;
    sqlite3_reset(find);
    return status;
}

static ctrack_status ask_latest(ct_asker *asker, ct_question *q, ctrack_error *error)
{
    sqlite3_stmt *latest;
    bool row = false;
    ctrack_status status = prepare(asker, CT_ASK_LATEST, &latest, error);
    if (status != CTRACK_OK) {
        return status;
    }
    sqlite3_bind_int64(latest, 1, q->keyspace_id);
    sqlite3_bind_text(latest, 2, q->key.document_id, -1, SQLITE_STATIC);
    status = ct_sql_step(latest, &row, "look up a key", error);
    if (row) {
        int type = sqlite3_column_type(latest, 1);
        q->coordinate_id = sqlite3_column_int64(latest, 0);
        q->highest = type == SQLITE_NULL ? -1 : sqlite3_column_int64(latest, 1);
        if (type != SQLITE_NULL && q->highest < 0) {
            status = damaged(error);
        }
    }
    sqlite3_reset(latest);
    return status;
}

/* Answers from what is folded. */
static ctrack_status ask_folded(ct_asker *asker, const char *read_model, ct_question *questions, size_t count,
                                ctrack_error *error)
{
    ctrack_status status = CTRACK_OK;
    for (size_t i = 0; i < count && status == CTRACK_OK; i++) {
        ct_question *q = &questions[i];
        const ct_question *before = i > 0 ? &questions[i - 1] : NULL;
        q->highest = -1;
        q->coordinate_id = 0;
        if (before != NULL && strcmp(before->key.scope, q->key.scope) == 0 &&
            strcmp(before->key.branch, q->key.branch) == 0) {
            q->keyspace_id = before->keyspace_id;
        } else {
            status = find_keyspace(asker, read_model, q, error);
        }
        status = status == CTRACK_OK && q->keyspace_id != 0 ? ask_latest(asker, q, error) : status;
    }
    return status;
}

/* ---------------------------------------------------------------- rows of the log */

static void answer(asking *a, ct_question *q, int64_t index)
{
    if (index > q->highest) {
        a->open -= is_open(q) && index >= q->target;
        q->highest = index;
    }
}

/* The first question in the order whose number is not below this one. */
static size_t search(ct_question *const *questions, size_t count, int64_t number,
                     int64_t (*number_of)(const ct_question *))
{
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (number_of(questions[middle]) < number) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static int64_t place_of(const ct_question *q)
{
    return q->place;
}

static int64_t coordinate_of(const ct_question *q)
{
    return q->coordinate_id;
}

static void take_known(asking *a, int64_t coordinate_id, int64_t index)
{
    for (size_t i = search(a->by_coordinate, a->count, coordinate_id, coordinate_of);
         i < a->count && a->by_coordinate[i]->coordinate_id == coordinate_id; i++) {
        answer(a, a->by_coordinate[i], index);
    }
}

static void take_new(asking *a, int64_t keyspace_id, const char *document_id, size_t length, int64_t index)
{
    uint32_t place = ct_run_place(ct_run_key_of(a->seed, keyspace_id, document_id, length));
    for (size_t i = search(a->by_place, a->count, place, place_of); i < a->count && a->by_place[i]->place == place;
         i++) {
        ct_question *q = a->by_place[i];
        if (q->keyspace_id == keyspace_id && strcmp(q->key.document_id, document_id) == 0) {
            answer(a, q, index);
        }
    }
}

/* Answers with the row that the statement stands on. */
static ctrack_status take_row(asking *a, sqlite3_stmt *row, ctrack_error *error)
{
    int64_t coordinate_id = sqlite3_column_int64(row, 0), index = sqlite3_column_int64(row, 3);
    if (sqlite3_column_type(row, 3) == SQLITE_NULL || index < 0) {
        return damaged(error); /* what takes progress back is folded */
    }
    if (coordinate_id != 0) {
        take_known(a, coordinate_id, index);
        return CTRACK_OK;
    }
    const char *document_id;
    ctrack_status status = ct_sql_text(row, 2, &document_id, error);
    if (status != CTRACK_OK || document_id == NULL) {
        return status;
    }
    take_new(a, sqlite3_column_int64(row, 1), document_id, (size_t)sqlite3_column_bytes(row, 2), index);
    return CTRACK_OK;
}

/* Reads the rows of a part of the log, the newest first. */
static ctrack_status ask_rows(asking *a, int64_t first, int64_t last, ctrack_error *error)
{
    sqlite3_stmt *rows;
    bool more = true;
    ctrack_status status = prepare(a->asker, CT_ASK_ROWS, &rows, error);
    if (status != CTRACK_OK) {
        return status;
    }
    const ct_question *highest = a->by_coordinate[a->count - 1];
    size_t lowest = search(a->by_coordinate, a->count, 1, coordinate_of);
    sqlite3_bind_int64(rows, 1, first);
    sqlite3_bind_int64(rows, 2, last);
    sqlite3_bind_int64(rows, 3, lowest < a->count ? a->by_coordinate[lowest]->coordinate_id : 1);
    sqlite3_bind_int64(rows, 4, highest->coordinate_id);
    sqlite3_bind_text(rows, 5, a->first_document, -1, SQLITE_STATIC);
    sqlite3_bind_text(rows, 6, a->last_document, -1, SQLITE_STATIC);
    while (status == CTRACK_OK && a->open > 0) {
        status = ct_sql_step(rows, &more, "read the log", error);
        if (status != CTRACK_OK || !more) {
            break;
        }
        status = take_row(a, rows, error);
    }
    sqlite3_reset(rows);
    return status;
}

/* ---------------------------------------------------------------- runs */

typedef struct run {
    int64_t last_seq, first_seq, first_part;
    uint32_t parts;
} run;

static ctrack_status run_damaged(const run *r, ctrack_error *error)
{
    return ct_error_set(error, CTRACK_CORRUPT, "the file is damaged: the run that ends at seq %lld is not whole",
                        (long long)r->last_seq);
}

/* Reads the row that an entry names, if that is one of the log's that are not folded. */
static ctrack_status ask_row(asking *a, const run *r, uint32_t offset, ctrack_error *error)
{
    sqlite3_stmt *row;
    bool found = false;
    int64_t seq = r->first_seq + offset;
    ctrack_status status = prepare(a->asker, CT_ASK_ROW, &row, error);
    if (status != CTRACK_OK || seq <= a->folded_seq) {
        return status;
    }
    sqlite3_bind_int64(row, 1, seq);
    status = ct_sql_step(row, &found, "read the log", error);
    status = found ? take_row(a, row, error) : status;
    sqlite3_reset(row);
    return status;
}

/* Puts the statement onto a part, and says what it has. */
static ctrack_status read_part(const run *r, uint32_t part, sqlite3_stmt *statement, const unsigned char **entries,
                               size_t *count, ctrack_error *error)
{
    bool row = false;
    sqlite3_reset(statement);
    sqlite3_bind_int64(statement, 1, r->first_part + part);
    ctrack_status status = ct_sql_step(statement, &row, "read a run", error);
    if (status != CTRACK_OK) {
        return status;
    }
    if (!row || sqlite3_column_bytes(statement, 0) > PART_BYTES_MOST) {
        return run_damaged(r, error);
    }
    *entries = sqlite3_column_blob(statement, 0);
    *count = (size_t)sqlite3_column_bytes(statement, 0) / CT_RUN_ENTRY_BYTES;
    return CTRACK_OK;
}

/* Looks for the questions that are open, in the order of their places, so that each part is read once at the most. */
static ctrack_status ask_run(asking *a, const run *r, ctrack_error *error)
{
    sqlite3_stmt *statement;
    const unsigned char *entries = NULL;
    size_t count = 0;
    uint32_t at = r->parts; /* the part that is read; this one: none */
    ctrack_status status = prepare(a->asker, CT_ASK_PART, &statement, error);
    if (status != CTRACK_OK) {
        return status;
    }
    for (size_t i = 0; i < a->count && status == CTRACK_OK; i++) {
        const ct_question *q = a->by_place[i];
        uint32_t part = ct_run_part(q->place, r->parts);
        if (!is_open(q)) {
            continue;
        }
        if (part != at) {
            status = read_part(r, part, statement, &entries, &count, error);
            at = part;
        }
        for (size_t k = status == CTRACK_OK ? ct_run_search(entries, count, q->place) : 0;
             status == CTRACK_OK && k < count && ct_run_decode(entries, k).place == q->place; k++) {
            status = ask_row(a, r, ct_run_decode(entries, k).offset, error);
        }
    }
    sqlite3_reset(statement);
    return status;
}

static ctrack_status next_run(sqlite3_stmt *runs, run *r, bool *more, ctrack_error *error)
{
    ctrack_status status = ct_sql_step(runs, more, "look for runs", error);
    if (status != CTRACK_OK || !*more) {
        return status;
    }
    int64_t parts = sqlite3_column_int64(runs, 3);
    *r = (run){.last_seq = sqlite3_column_int64(runs, 0),
               .first_seq = sqlite3_column_int64(runs, 1),
               .first_part = sqlite3_column_int64(runs, 2),
               .parts = (uint32_t)parts};
    bool sane = r->first_seq > 0 && r->first_seq <= r->last_seq && r->first_seq <= INT64_MAX - UINT32_MAX &&
                r->first_part > 0 && r->first_part <= INT64_MAX - UINT32_MAX && parts > 0 && parts <= UINT32_MAX;
    return sane ? CTRACK_OK : run_damaged(r, error);
}

/* ---------------------------------------------------------------- the log */

/* Goes along the log from its end to what is folded. */
static ctrack_status ask_log(asking *a, ctrack_error *error)
{
    sqlite3_stmt *runs;
    bool more = true;
    int64_t end = a->last_seq; /* the rows behind it are read */
    ctrack_status status = prepare(a->asker, CT_ASK_RUNS, &runs, error);
    if (status != CTRACK_OK) {
        return status;
    }
    sqlite3_bind_int64(runs, 1, a->folded_seq);
    while (status == CTRACK_OK && a->open > 0) {
        run r = {0, 0, 0, 0};
        status = next_run(runs, &r, &more, error);
        if (status != CTRACK_OK || !more) {
            break;
        }
        status = r.last_seq < end ? ask_rows(a, r.last_seq + 1, end, error) : CTRACK_OK;
        status = status == CTRACK_OK ? ask_run(a, &r, error) : status;
        end = r.first_seq - 1 < end ? r.first_seq - 1 : end;
    }
    sqlite3_reset(runs);
    return status == CTRACK_OK && a->open > 0 && end > a->folded_seq ? ask_rows(a, a->folded_seq + 1, end, error)
                                                                     : status;
}

static ctrack_status read_log(asking *a, ctrack_error *error)
{
    sqlite3_stmt *log;
    bool row = false;
    ctrack_status status = prepare(a->asker, CT_ASK_LOG, &log, error);
    status = status == CTRACK_OK ? ct_sql_step(log, &row, "read the state of the log", error) : status;
    if (status == CTRACK_OK && !row) {
        return ct_error_set(error, CTRACK_CORRUPT, "the file is damaged: ctrack_fold is empty");
    }
    if (status == CTRACK_OK) {
        a->folded_seq = sqlite3_column_int64(log, 0);
        a->seed = sqlite3_column_int64(log, 1);
        a->last_seq = sqlite3_column_int64(log, 2);
        status = a->folded_seq >= 0 ? CTRACK_OK : damaged(error);
        sqlite3_reset(log);
    }
    return status;
}

static int compare_places(const void *a, const void *b)
{
    const ct_question *left = *(ct_question *const *)a, *right = *(ct_question *const *)b;
    return (left->place > right->place) - (left->place < right->place);
}

static int compare_coordinates(const void *a, const void *b)
{
    const ct_question *left = *(ct_question *const *)a, *right = *(ct_question *const *)b;
    return (left->coordinate_id > right->coordinate_id) - (left->coordinate_id < right->coordinate_id);
}

/* Chooses the questions that are open, and puts them into their orders. */
static void put_in_order(asking *a, ct_question *questions, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        ct_question *q = &questions[i];
        const char *document_id = q->key.document_id;
        if (q->keyspace_id == 0 || !is_open(q)) {
            continue;
        }
        q->place = ct_run_place(ct_run_key_of(a->seed, q->keyspace_id, document_id, strlen(document_id)));
        a->first_document =
            a->open == 0 || strcmp(document_id, a->first_document) < 0 ? document_id : a->first_document;
        a->last_document = a->open == 0 || strcmp(document_id, a->last_document) > 0 ? document_id : a->last_document;
        a->by_place[a->open] = a->by_coordinate[a->open] = q;
        a->open++;
    }
    a->count = a->open;
    qsort(a->by_place, a->count, sizeof(ct_question *), compare_places);
    qsort(a->by_coordinate, a->count, sizeof(ct_question *), compare_coordinates);
}

ctrack_status ct_ask(ct_asker *asker, const char *read_model, ct_question *questions, size_t count, ctrack_error *error)
{
    asking a = {.asker = asker};
    ctrack_status status = ask_folded(asker, read_model, questions, count, error);
    status = status == CTRACK_OK ? read_log(&a, error) : status;
    if (status != CTRACK_OK || a.last_seq <= a.folded_seq) {
        return status;
    }
    a.by_place = ct_alloc_array(count, 2 * sizeof(ct_question *));
    if (a.by_place == NULL) {
        return ct_error_no_memory(error);
    }
    a.by_coordinate = a.by_place + count;
    put_in_order(&a, questions, count);
    status = a.open > 0 ? ask_log(&a, error) : CTRACK_OK;
    ct_free(a.by_place);
    return status;
}
