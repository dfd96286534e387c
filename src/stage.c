/* SPDX-License-Identifier: MIT */

/*
 * ctrack_stage(), ctrack_satisfied_in() and ctrack_host_durability(): progress in the caller's own transaction, through
 * the caller's own connection.
 *
 * The connection is not ours: no hook is set on it, no switch is turned, nothing is kept prepared on it. So each call
 * finds out where our tables are (main or an attached database) and that they can be trusted: the schema is the one
 * that this library knows, and no trigger, temporary ones included, hangs on the tables that are written. Staging
 * appends to the log like every update does; the rows name their keys by text, so that nothing is looked up for each.
 *
 * A transaction that has read and then wants to write never waits for the writer lock: SQLite does not ask the busy handler
 * then (https://www.sqlite.org/c3ref/busy_handler.html). So staging begins with a write that changes nothing, and reads
 * afterwards; where our tables are the connection remembers, as a rule, without reading.
 */
#include <stdio.h>
#include <string.h>

#include "alloc.h"
#include "ask.h"
#include "clock.h"
#include "engine.h"
#include "error.h"
#include "hostfold.h"
#include "migrations.h"
#include "sql.h"
#include "text.h"

#define TABLES "('ctrack_keyspace', 'ctrack_coordinate', 'ctrack_latest', 'ctrack_advance', 'ctrack_fold')"

/* Our tables on somebody's connection. */
typedef struct host {
    sqlite3 *db;
    char *schema;           /* SQLite's name of the database that has them; sqlite3_free() */
    const char *read_model; /* the caller's */
    int64_t last_seq;       /* what the next row of the log comes behind */
    int64_t folded_seq;
} host;

/* Prepares a statement in which %w is the schema's name. */
static ctrack_status prepare(const host *h, const char *format, sqlite3_stmt **statement, ctrack_error *error)
{
    char *sql = sqlite3_mprintf(format, h->schema, h->schema, h->schema, h->schema, h->schema);
    if (sql == NULL) {
        return ct_error_no_memory(error);
    }
    ctrack_status status = ct_sql_prepare(h->db, sql, statement, error);
    sqlite3_free(sql);
    return status;
}

/* ---------------------------------------------------------------- finding our tables */

/* Whether h->schema has our tables, as far as the connection knows; that opens no transaction that would stay open. */
static ctrack_status knows_tables(const host *h, bool *found, ctrack_error *error)
{
    int code = sqlite3_table_column_metadata(h->db, h->schema, "ctrack_migration", NULL, NULL, NULL, NULL, NULL, NULL);
    *found = code == SQLITE_OK;
    return code == SQLITE_OK || code == SQLITE_ERROR ? CTRACK_OK
                                                     : ct_sql_fail(h->db, code, "read the database schema", error);
}

/* Whether h->schema has our tables. Asked by a statement, since what the connection remembers of the schema may be
 * older than they are; and running it makes the connection read the schema anew. */
static ctrack_status has_tables(const host *h, bool *found, ctrack_error *error)
{
    sqlite3_stmt *statement = NULL;
    ctrack_status status = prepare(
        h, "SELECT 1 FROM \"%w\".sqlite_schema WHERE type = 'table' AND name = 'ctrack_migration'", &statement, error);
    status = status == CTRACK_OK ? ct_sql_step(statement, found, "read the database schema", error) : status;
    sqlite3_finalize(statement);
    return status;
}

static ctrack_status no_tables(ctrack_error *error)
{
    return ct_error_set(error, CTRACK_INVALID, "the connection has no ctrack tables: open a tracker on its file first");
}

/* The name of the first database that has our tables, by one of the two. */
static ctrack_status find_schema(host *h, ctrack_status (*has)(const host *, bool *, ctrack_error *), bool *found,
                                 ctrack_error *error)
{
    sqlite3_stmt *list = NULL;
    int code = sqlite3_prepare_v2(h->db, "PRAGMA database_list", -1, &list, NULL);
    if (code != SQLITE_OK) {
        return ct_sql_fail(h->db, code, "list the databases", error);
    }
    ctrack_status status = CTRACK_OK;
    bool more = true;
    *found = false;
    while (status == CTRACK_OK && !*found) {
        status = ct_sql_step(list, &more, "list the databases", error);
        if (status != CTRACK_OK || !more) {
            break;
        }
        sqlite3_free(h->schema);
        const char *name;
        status = ct_sql_text(list, 1, &name, error);
        h->schema = status == CTRACK_OK ? sqlite3_mprintf("%s", name) : NULL;
        if (h->schema == NULL) {
            status = ct_error_no_memory(error);
        } else if (strcmp(h->schema, "temp") != 0) {
            status = has(h, found, error);
        }
    }
    sqlite3_finalize(list);
    return status;
}

/* The same, from the file, where the connection knows of none or is going to read anyway. */
static ctrack_status find_schema_in_file(host *h, ctrack_error *error)
{
    bool found;
    ctrack_status status = find_schema(h, has_tables, &found, error);
    return status == CTRACK_OK && !found ? no_tables(error) : status;
}

static ctrack_status check_schema(host *h, ctrack_error *error)
{
    static const char question[] =
        "SELECT (SELECT max(version) FROM \"%w\".ctrack_migration), "
        "(SELECT name FROM (SELECT type, name, tbl_name FROM \"%w\".sqlite_schema UNION ALL "
        "SELECT type, name, tbl_name FROM temp.sqlite_schema) WHERE type = 'trigger' AND tbl_name IN " TABLES "), "
        "max((SELECT folded_seq FROM \"%w\".ctrack_fold), (SELECT coalesce(max(seq), 0) FROM \"%w\".ctrack_advance)), "
        "(SELECT folded_seq FROM \"%w\".ctrack_fold)";
    sqlite3_stmt *statement = NULL;
    bool row = false;
    ctrack_status status = prepare(h, question, &statement, error);
    status = status == CTRACK_OK ? ct_sql_step(statement, &row, "read the database schema", error) : status;
    const char *trigger = NULL;
    status = status == CTRACK_OK ? ct_sql_text(statement, 1, &trigger, error) : status;
    if (status == CTRACK_OK) {
        int64_t version = sqlite3_column_int64(statement, 0);
        h->last_seq = sqlite3_column_int64(statement, 2);
        h->folded_seq = sqlite3_column_int64(statement, 3);
        if (version != ct_migrations_count) {
            status = ct_error_set(error, CTRACK_SCHEMA, "the file has schema version %lld, this library knows %d%s",
                                  (long long)version, ct_migrations_count,
                                  version < ct_migrations_count ? ": open a tracker on it once" : "");
        } else if (trigger != NULL) {
            status = ct_error_set(error, CTRACK_CORRUPT, "trigger %s hangs on a ctrack table", trigger);
        }
    }
    sqlite3_finalize(statement);
    return status;
}

static ctrack_status check_arguments(const host *h, const ctrack_coordinate *coordinates, size_t count,
                                     ctrack_error *error)
{
    if (h->db == NULL || (count > 0 && coordinates == NULL)) {
        return ct_error_set(error, CTRACK_INVALID, "%s is NULL", h->db == NULL ? "db" : "coordinates");
    }
    if (!ct_engine_opened(h->db)) {
        return ct_error_set(error, CTRACK_INVALID, "db was opened by another copy of SQLite than the one ctrack calls");
    }
    size_t length = strnlen(h->read_model, CTRACK_TEXT_MAX + 1);
    if (length > CTRACK_TEXT_MAX || !ct_text_valid(h->read_model, length)) {
        return ct_error_set(error, CTRACK_INVALID, "read_model is not UTF-8 of at most %d bytes", CTRACK_TEXT_MAX);
    }
    ctrack_status status = CTRACK_OK;
    for (size_t i = 0; i < count && status == CTRACK_OK; i++) {
        status = ct_text_check_coordinate(&coordinates[i], i, error);
    }
    return status;
}

static ctrack_status open_host(host *h, sqlite3 *db, const char *read_model, const ctrack_coordinate *coordinates,
                               size_t count, ctrack_error *error)
{
    *h = (host){.db = db, .read_model = read_model != NULL ? read_model : "default"};
    ctrack_status status = check_arguments(h, coordinates, count, error);
    status = status == CTRACK_OK ? find_schema_in_file(h, error) : status;
    return status == CTRACK_OK ? check_schema(h, error) : status;
}

/* The same without the schema's check, which is made under the writer lock. */
static ctrack_status open_host_to_write(host *h, sqlite3 *db, const char *read_model,
                                        const ctrack_coordinate *coordinates, size_t count, ctrack_error *error)
{
    bool found;
    *h = (host){.db = db, .read_model = read_model != NULL ? read_model : "default"};
    ctrack_status status = check_arguments(h, coordinates, count, error);
    if (status != CTRACK_OK) {
        return status;
    }
    status = find_schema(h, knows_tables, &found, error);
    return status == CTRACK_OK && !found ? find_schema_in_file(h, error) : status;
}

/* ---------------------------------------------------------------- the writer lock */

/* A caller's transaction that has read cannot wait: either it sees an old state, or somebody is making it one. */
static ctrack_status explain_busy(const host *h, ctrack_error *error)
{
    int code = sqlite3_extended_errcode(h->db);
    if (code == SQLITE_BUSY_SNAPSHOT) {
        return ct_error_set(
            error, CTRACK_BUSY,
            "cannot lock the file for writing: the transaction has read what others have changed since, "
            "so it must be rolled back and begun anew; BEGIN IMMEDIATE avoids that (SQLite %d)",
            code);
    }
    return ct_error_set(error, CTRACK_BUSY,
                        "cannot lock the file for writing: others are writing, and a transaction that has read before "
                        "cannot wait for them; begin it with BEGIN IMMEDIATE (SQLite %d)",
                        code);
}

#define WRITE_NOTHING "DELETE FROM \"%w\".ctrack_migration WHERE 0"

/* Gets the writer lock by a write that changes nothing, for which SQLite asks the caller's busy handler. */
static ctrack_status lock(const host *h, ctrack_error *error)
{
    sqlite3_stmt *nothing = NULL;
    int before = sqlite3_txn_state(h->db, h->schema);
    if (before == SQLITE_TXN_WRITE) {
        return CTRACK_OK;
    }
    ctrack_status status = prepare(h, WRITE_NOTHING, &nothing, error);
    if (status == CTRACK_OK) {
        status = ct_sql_run(nothing, "lock the file for writing", error);
        if (status == CTRACK_BUSY && before == SQLITE_TXN_READ) {
            status = explain_busy(h, error);
        } else if (status != CTRACK_OK && sqlite3_errcode(h->db) == SQLITE_ERROR) {
            status = no_tables(error); /* not any more: the connection did not know yet */
        }
    }
    sqlite3_finalize(nothing);
    return status;
}

/* What a row takes besides its texts, at most. */
#define ROW_OVERHEAD 64

/* The caller may have limited texts and rows (https://www.sqlite.org/c3ref/limit.html), so that SQLite would neither
 * bind the one nor write the other. */
static ctrack_status check_length(const host *h, const char *what, size_t length, ctrack_error *error)
{
    int limit = sqlite3_limit(h->db, SQLITE_LIMIT_LENGTH, -1);
    if (length + ROW_OVERHEAD <= (size_t)limit) {
        return CTRACK_OK;
    }
    return ct_error_set(error, CTRACK_INVALID,
                        "%s of %zu bytes is too long for the connection: its SQLITE_LIMIT_LENGTH is %d, which is to "
                        "hold %d more",
                        what, length, limit, ROW_OVERHEAD);
}

static ctrack_status check_keyspace_length(const host *h, const ctrack_coordinate *coordinate, ctrack_error *error)
{
    size_t length = strlen(h->read_model) + strlen(coordinate->scope) + strlen(coordinate->branch);
    return check_length(h, "a read model's name with scope and branch", length, error);
}

/* ---------------------------------------------------------------- keyspaces */

/* The id of a coordinate's keyspace; 0 if there is none. */
static ctrack_status find_keyspace(const host *h, sqlite3_stmt *find, const ctrack_coordinate *coordinate, int64_t *id,
                                   ctrack_error *error)
{
    bool row = false;
    ctrack_status status = check_keyspace_length(h, coordinate, error);
    if (status != CTRACK_OK) {
        return status;
    }
    sqlite3_bind_text(find, 1, h->read_model, -1, SQLITE_STATIC);
    sqlite3_bind_text(find, 2, coordinate->scope, -1, SQLITE_STATIC);
    sqlite3_bind_text(find, 3, coordinate->branch, -1, SQLITE_STATIC);
    status = ct_sql_step(find, &row, "look up a keyspace", error);
    *id = row ? sqlite3_column_int64(find, 0) : 0;
    sqlite3_reset(find);
    return status;
}

static ctrack_status add_keyspace(const host *h, const ctrack_coordinate *coordinate, int64_t *id, ctrack_error *error)
{
    sqlite3_stmt *add = NULL;
    ctrack_status status =
        prepare(h, "INSERT INTO \"%w\".ctrack_keyspace (read_model, scope, branch) VALUES (?1, ?2, ?3)", &add, error);
    if (status == CTRACK_OK) {
        sqlite3_bind_text(add, 1, h->read_model, -1, SQLITE_STATIC);
        sqlite3_bind_text(add, 2, coordinate->scope, -1, SQLITE_STATIC);
        sqlite3_bind_text(add, 3, coordinate->branch, -1, SQLITE_STATIC);
        status = ct_sql_run(add, "add a keyspace", error);
        *id = sqlite3_last_insert_rowid(h->db);
    }
    sqlite3_finalize(add);
    return status;
}

static bool same_keyspace(const ctrack_coordinate *a, const ctrack_coordinate *b)
{
    return strcmp(a->scope, b->scope) == 0 && strcmp(a->branch, b->branch) == 0;
}

/* ---------------------------------------------------------------- staging */

/* What was appended must come behind all other rows of the log. */
static ctrack_status check_order(host *h, ctrack_error *error)
{
    int64_t seq = sqlite3_last_insert_rowid(h->db);
    if (seq <= h->last_seq) {
        return ct_error_no_number(error);
    }
    h->last_seq = seq;
    return CTRACK_OK;
}

static ctrack_status append(host *h, sqlite3_stmt *find, sqlite3_stmt *insert, const ctrack_coordinate *coordinates,
                            size_t count, ctrack_error *error)
{
    ctrack_status status = CTRACK_OK;
    int64_t keyspace_id = 0, now = ct_clock_wall();
    for (size_t i = 0; i < count && status == CTRACK_OK; i++) {
        if (i == 0 || !same_keyspace(&coordinates[i - 1], &coordinates[i])) {
            status = find_keyspace(h, find, &coordinates[i], &keyspace_id, error);
            if (status == CTRACK_OK && keyspace_id == 0) {
                status = add_keyspace(h, &coordinates[i], &keyspace_id, error);
            }
        }
        if (status == CTRACK_OK) {
            status = check_length(h, "a document id", strlen(coordinates[i].document_id), error);
        }
        if (status == CTRACK_OK) {
            sqlite3_bind_int64(insert, 1, keyspace_id);
            sqlite3_bind_text(insert, 2, coordinates[i].document_id, -1, SQLITE_STATIC);
            sqlite3_bind_int64(insert, 3, coordinates[i].operation_index);
            sqlite3_bind_int64(insert, 4, now);
            status = ct_sql_run(insert, "append to the log", error);
            status = status == CTRACK_OK ? check_order(h, error) : status;
        }
    }
    return status;
}

static ctrack_status append_all(host *h, const ctrack_coordinate *coordinates, size_t count, ctrack_error *error)
{
    sqlite3_stmt *find = NULL, *insert = NULL;
    ctrack_status status = prepare(
        h, "SELECT id FROM \"%w\".ctrack_keyspace WHERE read_model = ?1 AND scope = ?2 AND branch = ?3", &find, error);
    if (status == CTRACK_OK) {
        status = prepare(h,
                         "INSERT INTO \"%w\".ctrack_advance (keyspace_id, document_id, operation_index, updated_at) "
                         "VALUES (?1, ?2, ?3, ?4)",
                         &insert, error);
    }
    status = status == CTRACK_OK ? append(h, find, insert, coordinates, count, error) : status;
    sqlite3_finalize(find);
    sqlite3_finalize(insert);
    return status;
}

/* The ways out of a savepoint. Prepared before it is opened: without memory they could not be taken any more. */
typedef struct exits {
    sqlite3_stmt *release, *undo, *give_up, *last;
} exits;

static ctrack_status prepare_exits(const host *h, exits *e, ctrack_error *error)
{
    ctrack_status status = ct_sql_prepare(h->db, "RELEASE ctrack_stage", &e->release, error);
    status = status == CTRACK_OK ? ct_sql_prepare(h->db, "ROLLBACK TO ctrack_stage", &e->undo, error) : status;
    status = status == CTRACK_OK ? ct_sql_prepare(h->db, "ROLLBACK", &e->give_up, error) : status;
    return status == CTRACK_OK ? prepare(h, WRITE_NOTHING, &e->last, error) : status;
}

/*
 * Takes back what was appended. Some errors (a full disk, no memory) have made SQLite roll the whole transaction back
 * already; then there is nothing left. If the savepoint cannot be undone the whole transaction goes: half of what was
 * staged must not be committed by a caller who goes on. Who interrupts (sqlite3_interrupt(), a progress handler) may
 * interrupt that, too; but where a write is interrupted SQLite rolls the whole transaction back.
 */
static void undo(const host *h, const exits *e)
{
    if (sqlite3_get_autocommit(h->db)) {
        return;
    }
    if (ct_sql_run(e->undo, "take back", NULL) == CTRACK_OK && ct_sql_run(e->release, "take back", NULL) == CTRACK_OK) {
        return;
    }
    if (ct_sql_run(e->give_up, "take back", NULL) != CTRACK_OK) {
        ct_sql_run(e->last, "take back", NULL);
    }
}

static ctrack_status fold(const host *h, size_t appended, ctrack_error *error)
{
    const ct_hostlog log = {h->db, h->schema, h->folded_seq, h->last_seq};
    return ct_hostfold(&log, (int64_t)appended, error);
}

/* All or nothing, whether or not the caller has begun a transaction. */
static ctrack_status append_in_savepoint(host *h, const ctrack_coordinate *coordinates, size_t count,
                                         ctrack_error *error)
{
    exits e = {NULL, NULL, NULL, NULL};
    ctrack_status status = prepare_exits(h, &e, error);
    status = status == CTRACK_OK ? ct_sql_exec(h->db, "SAVEPOINT ctrack_stage", "begin to stage", error) : status;
    if (status == CTRACK_OK) {
        status = lock(h, error);
        status = status == CTRACK_OK ? check_schema(h, error) : status;
        status = status == CTRACK_OK ? append_all(h, coordinates, count, error) : status;
        status = status == CTRACK_OK ? fold(h, count, error) : status;
        status = status == CTRACK_OK ? ct_sql_run(e.release, "stage", error) : status;
        if (status != CTRACK_OK) {
            undo(h, &e);
        }
    }
    sqlite3_finalize(e.release);
    sqlite3_finalize(e.undo);
    sqlite3_finalize(e.give_up);
    sqlite3_finalize(e.last);
    return status;
}

ctrack_status ctrack_stage(struct sqlite3 *db, const char *read_model, const ctrack_coordinate *coordinates,
                           size_t count, ctrack_error *error)
{
    host h;
    if (count == 0) { /* takes no lock */
        ctrack_status status = open_host(&h, db, read_model, coordinates, count, error);
        sqlite3_free(h.schema);
        return status;
    }
    ctrack_status status = open_host_to_write(&h, db, read_model, coordinates, count, error);
    if (status == CTRACK_OK) {
        sqlite3_int64 last = sqlite3_last_insert_rowid(db);
        status = append_in_savepoint(&h, coordinates, count, error);
        sqlite3_set_last_insert_rowid(db, last); /* the caller may be about to ask for its own */
    }
    sqlite3_free(h.schema);
    return status;
}

/* ---------------------------------------------------------------- how durable that is */

/* SQLite's numbers (https://www.sqlite.org/pragma.html#pragma_synchronous). */
enum { SYNCHRONOUS_OFF, SYNCHRONOUS_NORMAL, SYNCHRONOUS_FULL, SYNCHRONOUS_EXTRA };

static ctrack_durability durability_of(int64_t synchronous, const char *journal)
{
    if (synchronous == SYNCHRONOUS_OFF || strcmp(journal, "memory") == 0 || strcmp(journal, "off") == 0) {
        return CTRACK_DURABLE_NONE;
    }
    /* Unless the directory is synced as well, a journal that was deleted may be there again and undo the commit. */
    int64_t needed = strcmp(journal, "delete") == 0 ? SYNCHRONOUS_EXTRA : SYNCHRONOUS_FULL;
    return synchronous >= needed ? CTRACK_DURABLE_FULL : CTRACK_DURABLE_NORMAL;
}

static ctrack_status read_durability(const host *h, ctrack_durability *durability, ctrack_error *error)
{
    static const char doing[] = "read how durable the connection is";
    sqlite3_stmt *synchronous = NULL, *journal = NULL;
    bool row; /* both always answer */
    const char *mode = NULL;
    ctrack_status status = prepare(h, "PRAGMA \"%w\".synchronous", &synchronous, error);
    status = status == CTRACK_OK ? prepare(h, "PRAGMA \"%w\".journal_mode", &journal, error) : status;
    status = status == CTRACK_OK ? ct_sql_step(synchronous, &row, doing, error) : status;
    status = status == CTRACK_OK ? ct_sql_step(journal, &row, doing, error) : status;
    status = status == CTRACK_OK ? ct_sql_text(journal, 0, &mode, error) : status;
    if (status == CTRACK_OK) {
        *durability = durability_of(sqlite3_column_int64(synchronous, 0), mode);
    }
    sqlite3_finalize(synchronous);
    sqlite3_finalize(journal);
    return status;
}

ctrack_status ctrack_host_durability(struct sqlite3 *db, ctrack_durability *durability, ctrack_error *error)
{
    host h = {.db = NULL};
    ctrack_status status = durability != NULL ? open_host(&h, db, NULL, NULL, 0, error)
                                              : ct_error_set(error, CTRACK_INVALID, "durability is NULL");
    status = status == CTRACK_OK ? read_durability(&h, durability, error) : status;
    sqlite3_free(h.schema);
    return status;
}

/* ---------------------------------------------------------------- asking */

static ctrack_status check_lengths(const host *h, const ctrack_coordinate *coordinates, size_t count,
                                   ctrack_error *error)
{
    ctrack_status status = CTRACK_OK;
    for (size_t i = 0; i < count && status == CTRACK_OK; i++) {
        status = check_keyspace_length(h, &coordinates[i], error);
        if (status == CTRACK_OK) {
            status = check_length(h, "a document id", strlen(coordinates[i].document_id), error);
        }
    }
    return status;
}

/* All questions about one state of the file: that of the caller's transaction, or the one that a statement under way
 * keeps. A transaction of our own might not come to its end: the caller can interrupt what would end it. */
static ctrack_status ask_at_once(const host *h, ct_question *questions, size_t count, ctrack_error *error)
{
    ct_asker asker = {.db = h->db, .schema = h->schema};
    sqlite3_stmt *state = NULL;
    bool row;
    ctrack_status status = prepare(h, "SELECT 1 FROM \"%w\".ctrack_fold", &state, error);
    status = status == CTRACK_OK ? ct_sql_step(state, &row, "begin to read", error) : status;
    status = status == CTRACK_OK ? ct_ask(&asker, h->read_model, questions, count, error) : status;
    ct_asker_end(&asker);
    sqlite3_finalize(state);
    return status;
}

/* CTRACK_OK if all questions are answered by their targets. */
static ctrack_status judge(const ct_question *questions, size_t count, ctrack_error *error)
{
    size_t missing = 0, first = 0;
    for (size_t i = count; i-- > 0;) {
        if (questions[i].highest < questions[i].target) {
            missing++;
            first = i;
        }
    }
    if (missing == 0) {
        return CTRACK_OK;
    }
    char name[CT_KEY_TEXT_SIZE];
    return ct_error_set(error, CTRACK_PENDING, "%zu of %zu coordinates missing: %s needs %lld%s", missing, count,
                        ct_error_key(&questions[first].key, name), (long long)questions[first].target,
                        missing > 1 ? ", and more" : "");
}

static ctrack_status ask(const host *h, const ctrack_coordinate *coordinates, size_t count, ctrack_error *error)
{
    ctrack_status status = check_lengths(h, coordinates, count, error);
    if (status != CTRACK_OK || count == 0) {
        return status;
    }
    ct_question *questions = ct_alloc_array(count, sizeof *questions);
    if (questions == NULL) {
        return ct_error_no_memory(error);
    }
    for (size_t i = 0; i < count; i++) {
        questions[i].key = ct_text_key(&coordinates[i]);
        questions[i].target = coordinates[i].operation_index;
    }
    status = ask_at_once(h, questions, count, error);
    status = status == CTRACK_OK ? judge(questions, count, error) : status;
    ct_free(questions);
    return status;
}

ctrack_status ctrack_satisfied_in(struct sqlite3 *db, const char *read_model, const ctrack_coordinate *coordinates,
                                  size_t count, ctrack_error *error)
{
    host h;
    ctrack_status status = open_host(&h, db, read_model, coordinates, count, error);
    status = status == CTRACK_OK ? ask(&h, coordinates, count, error) : status;
    sqlite3_free(h.schema);
    return status;
}
