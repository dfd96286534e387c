/* SPDX-License-Identifier: MIT */
#include "runs.h"

#include <string.h>

#include "alloc.h"
#include "error.h"
#include "sql.h"
#include "store.h"

/* Rows of a short run, and so of the tail: reading it takes at most 0.3 ms for one key, and 1.5 ms for many. */
#define SHORT_ROWS 4096
/* A long one takes a few milliseconds to be made and written, which is what an update may have to wait for it. */
#define LONG_ROWS 131072
/* 24 MiB. More are remembered in no case: what the file has is not believed before it is seen. */
#define ROWS_MOST (1 << 20)
/* Behind this seq none are, so that sums do not overflow. */
#define SEQ_MOST (INT64_MAX - 2 * (int64_t)ROWS_MOST)
/* Parts that are deleted at once. */
#define TRIM_PARTS 512

void ct_runs_free(ct_runs *runs)
{
    ct_free(runs->rows);
    *runs = (ct_runs){.first = 0};
}

/* ---------------------------------------------------------------- remembering */

static void empty(ct_runs *runs, int64_t first)
{
    runs->first = first;
    runs->count = 0;
    if (runs->capacity > (size_t)2 * LONG_ROWS) {
        ct_free(runs->rows);
        runs->rows = NULL;
        runs->capacity = 0;
    }
}

/* Behind the last row that is remembered. */
static int64_t next(const ct_runs *runs)
{
    return runs->first + (int64_t)runs->count;
}

bool ct_runs_wants(const ct_runs *runs, int64_t seq)
{
    return seq >= runs->first && seq <= SEQ_MOST;
}

void ct_runs_add(ct_runs *runs, int64_t seq, int64_t keyspace_id, const char *document_id, size_t length,
                 int64_t operation_index)
{
    if (!ct_runs_wants(runs, seq)) {
        return;
    }
    if (seq < next(runs)) {
        runs->count = (size_t)(seq - runs->first);
    } else if (seq > next(runs) || runs->count == ROWS_MOST) {
        empty(runs, seq);
    }
    void *grown = runs->rows;
    if (runs->count == runs->capacity && ct_grow(&grown, &runs->capacity, runs->count + 1, sizeof(ct_run_row)) != 0) {
        empty(runs, seq + 1);
        return;
    }
    runs->rows = grown;
    runs->rows[runs->count++] =
        (ct_run_row){ct_run_key_of(runs->seed, keyspace_id, document_id, length), operation_index};
}

void ct_runs_rewind(ct_runs *runs, int64_t seq)
{
    empty(runs, (seq < SEQ_MOST ? seq : SEQ_MOST) + 1);
}

/* The first row that no run has. */
static int64_t uncovered(const ct_runs *runs)
{
    return runs->covered >= runs->first ? runs->covered + 1 : runs->first;
}

static bool due(const ct_runs *runs, int64_t rows)
{
    return next(runs) - uncovered(runs) >= rows || (runs->count >= LONG_ROWS && next(runs) > uncovered(runs));
}

bool ct_runs_due(const ct_runs *runs)
{
    return due(runs, SHORT_ROWS);
}

bool ct_runs_overdue(const ct_runs *runs)
{
    return due(runs, 2 * SHORT_ROWS);
}

/* ---------------------------------------------------------------- the file */

/* What the file says. */
typedef struct state {
    int64_t seed, folded, newest, newest_long; /* the last row that is folded, or that a run has; 0: none */
} state;

static int64_t seq_of(sqlite3_stmt *statement, int column)
{
    int64_t seq = sqlite3_column_int64(statement, column);
    return seq < 0 ? 0 : seq > SEQ_MOST ? SEQ_MOST : seq;
}

static ctrack_status read_state(ct_store *store, state *s, ctrack_error *error)
{
    sqlite3_stmt *statement;
    bool row = false;
    ctrack_status status = ct_store_statement(store, CT_RUN_STATE, &statement, error);
    if (status != CTRACK_OK) {
        return status;
    }
    sqlite3_bind_int64(statement, 1, LONG_ROWS);
    status = ct_sql_step(statement, &row, "read the state of the runs", error);
    if (row) {
        *s = (state){sqlite3_column_int64(statement, 0), seq_of(statement, 1), seq_of(statement, 2),
                     seq_of(statement, 3)};
        sqlite3_reset(statement);
    }
    return status;
}

ctrack_status ct_runs_start(ct_store *store, ctrack_error *error)
{
    ct_runs *runs = &store->runs;
    state s = {0, 0, 0, 0};
    ctrack_status status = read_state(store, &s, error);
    runs->seed = s.seed;
    runs->covered = s.newest;
    empty(runs, (s.folded > s.newest_long ? s.folded : s.newest_long) + 1);
    return status;
}

/* Forgets the rows that are folded, or that a long run has. */
static void drop(ct_runs *runs, int64_t upto)
{
    if (upto + 1 >= next(runs)) {
        empty(runs, upto + 1);
    } else if (upto >= runs->first) {
        size_t gone = (size_t)(upto + 1 - runs->first);
        memmove(runs->rows, runs->rows + gone, (runs->count - gone) * sizeof *runs->rows);
        runs->count -= gone;
        runs->first = upto + 1;
    }
}

ctrack_status ct_runs_look(ct_store *store, ctrack_error *error)
{
    ct_runs *runs = &store->runs;
    state s = {0, 0, 0, 0};
    ctrack_status status = read_state(store, &s, error);
    if (status != CTRACK_OK) {
        return status;
    }
    if (s.seed != runs->seed) { /* it is not the file that it was: none of the keys fits */
        runs->seed = s.seed;
        empty(runs, next(runs));
    }
    runs->covered = s.newest;
    drop(runs, s.folded > s.newest_long ? s.folded : s.newest_long);
    return CTRACK_OK;
}

/* ---------------------------------------------------------------- deleting */

typedef struct place {
    int64_t last_seq, first_part, parts; /* what the file says */
} place;

/* The oldest run that ends from `low` to `high`. */
static ctrack_status find_run(ct_store *store, int64_t low, int64_t high, bool *found, place *run, ctrack_error *error)
{
    sqlite3_stmt *find;
    *found = false;
    ctrack_status status = ct_store_statement(store, CT_RUN_FIND, &find, error);
    if (status != CTRACK_OK) {
        return status;
    }
    sqlite3_bind_int64(find, 1, low);
    sqlite3_bind_int64(find, 2, high);
    status = ct_sql_step(find, found, "look for a run", error);
    if (*found) {
        *run = (place){sqlite3_column_int64(find, 0), sqlite3_column_int64(find, 1), sqlite3_column_int64(find, 2)};
        sqlite3_reset(find);
    }
    return status;
}

static ctrack_status delete_run(ct_store *store, const place *run, ctrack_error *error)
{
    sqlite3_stmt *parts, *itself;
    ctrack_status status = ct_store_statement(store, CT_RUN_DELETE_PARTS, &parts, error);
    status = status == CTRACK_OK ? ct_store_statement(store, CT_RUN_DELETE, &itself, error) : status;
    if (status != CTRACK_OK) {
        return status;
    }
    sqlite3_bind_int64(parts, 1, run->first_part);
    sqlite3_bind_int64(parts, 2, run->parts);
    sqlite3_bind_int64(itself, 1, run->last_seq);
    status = ct_sql_run(parts, "delete a run", error);
    return status == CTRACK_OK ? ct_sql_run(itself, "delete a run", error) : status;
}

/* Deletes the runs that end from `low` to `high`, the oldest first, until TRIM_PARTS parts are gone; *any: there were
 * some. */
static ctrack_status delete_runs(ct_store *store, int64_t low, int64_t high, bool *any, ctrack_error *error)
{
    int64_t room = TRIM_PARTS;
    bool found = true;
    *any = false;
    while (room > 0) {
        place run = {0, 0, 0};
        ctrack_status status = find_run(store, low, high, &found, &run, error);
        status = status == CTRACK_OK && found ? delete_run(store, &run, error) : status;
        if (status != CTRACK_OK || !found) {
            return status;
        }
        *any = true;
        room = run.parts > 0 && run.parts < room ? room - run.parts : 0;
    }
    return CTRACK_OK;
}

ctrack_status ct_runs_trim(ct_store *store, int64_t folded_seq, bool *any, ctrack_error *error)
{
    return delete_runs(store, INT64_MIN, folded_seq, any, error);
}

/* ---------------------------------------------------------------- writing */

/* The number of the first part of a new run. */
static ctrack_status next_part(ct_store *store, uint32_t parts, int64_t *first, ctrack_error *error)
{
    sqlite3_stmt *statement;
    bool row = false;
    ctrack_status status = ct_store_statement(store, CT_RUN_LAST_PART, &statement, error);
    status = status == CTRACK_OK ? ct_sql_step(statement, &row, "look for a run", error) : status;
    if (row) {
        int64_t last = sqlite3_column_int64(statement, 0);
        sqlite3_reset(statement);
        if (last < 0 || last > INT64_MAX - (int64_t)parts) {
            return ct_error_set(error, CTRACK_CORRUPT, "the file is damaged: the runs have no number left");
        }
        *first = last + 1;
    }
    return status;
}

/* Writes the entries in parts; `bytes` has room for all. */
static ctrack_status write_parts(ct_store *store, const ct_run_entry *entries, size_t count, unsigned char *bytes,
                                 int64_t first_part, ctrack_error *error)
{
    sqlite3_stmt *add;
    ctrack_status status = ct_store_statement(store, CT_RUN_ADD_PART, &add, error);
    uint32_t parts = ct_run_parts(count);
    for (uint32_t part = 0; part < parts && status == CTRACK_OK; part++) {
        size_t length = ct_run_part_length(entries, count, part, parts);
        ct_run_encode(entries, length, bytes);
        sqlite3_bind_int64(add, 1, first_part + part);
        sqlite3_bind_blob(add, 2, bytes, (int)(length * CT_RUN_ENTRY_BYTES), SQLITE_STATIC);
        status = ct_sql_run(add, "write a run", error);
        entries += length;
        count -= length;
    }
    return status;
}

static ctrack_status add_run(ct_store *store, int64_t first_seq, int64_t first_part, uint32_t parts,
                             ctrack_error *error)
{
    sqlite3_stmt *add;
    ctrack_status status = ct_store_statement(store, CT_RUN_ADD, &add, error);
    if (status != CTRACK_OK) {
        return status;
    }
    sqlite3_bind_int64(add, 1, next(&store->runs) - 1);
    sqlite3_bind_int64(add, 2, first_seq);
    sqlite3_bind_int64(add, 3, first_part);
    sqlite3_bind_int64(add, 4, parts);
    return ct_sql_run(add, "write a run", error);
}

/* Writes a run over the rows from this one on. */
static ctrack_status write_run(ct_store *store, int64_t first_seq, ctrack_error *error)
{
    const ct_runs *runs = &store->runs;
    size_t skip = (size_t)(first_seq - runs->first), count = runs->count - skip;
    ct_run_entry *entries = ct_alloc(2 * count * sizeof *entries);
    if (entries == NULL) {
        return ct_error_no_memory(error);
    }
    size_t kept = ct_run_make(runs->rows + skip, count, entries, entries + count);
    uint32_t parts = ct_run_parts(kept);
    int64_t first_part = 0;
    ctrack_status status = next_part(store, parts, &first_part, error);
    if (status == CTRACK_OK) {
        status = write_parts(store, entries, kept, (unsigned char *)(entries + count), first_part, error);
    }
    status = status == CTRACK_OK ? add_run(store, first_seq, first_part, parts, error) : status;
    ct_free(entries);
    return status;
}

ctrack_status ct_runs_write(ct_store *store, ctrack_error *error)
{
    ct_runs *runs = &store->runs;
    if (!ct_runs_due(runs)) {
        return CTRACK_OK;
    }
    ctrack_status status = ct_runs_look(store, error);
    if (status != CTRACK_OK || !ct_runs_due(runs)) {
        return status;
    }
    bool whole = runs->count >= LONG_ROWS, any = whole;
    while (status == CTRACK_OK && any) { /* the short ones whose place it takes */
        status = delete_runs(store, runs->first, next(runs) - 1, &any, error);
    }
    status = status == CTRACK_OK ? write_run(store, whole ? runs->first : uncovered(runs), error) : status;
    if (status == CTRACK_OK) {
        runs->wrote = true;
        runs->covered = next(runs) - 1;
        if (whole) {
            empty(runs, next(runs));
        }
    }
    return status;
}

void ct_runs_end(ct_runs *runs, bool committed)
{
    if (!committed && runs->wrote) {
        runs->covered = 0;
        empty(runs, 0);
    }
    runs->wrote = false;
}
