/* SPDX-License-Identifier: MIT */
#include "damage.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sqlite3.h>

#include "ctrack.h"
#include "fuzz.h"

/* What an input has left; at its end everything is 0. */
typedef struct cursor {
    const uint8_t *at, *end;
} cursor;

static unsigned take(cursor *c)
{
    return c->at < c->end ? *c->at++ : 0;
}

static unsigned take_two(cursor *c)
{
    unsigned high = take(c);
    return high << 8 | take(c);
}

static bool more(const cursor *c)
{
    return c->at < c->end;
}

/* ---------------------------------------------------------------- the sound ones */

/* With small pages there are many; a host's tables; and pages of the usual size. */
static const char *const beginnings[] = {
    "PRAGMA page_size = 512; CREATE TABLE t (a); DROP TABLE t",
    "PRAGMA page_size = 512; CREATE TABLE host (id INTEGER PRIMARY KEY, note TEXT); INSERT INTO host VALUES (1, 'a');"
    "CREATE INDEX host_note ON host (note);"
    "CREATE TRIGGER host_log AFTER INSERT ON host BEGIN UPDATE host SET note = 'b'; END",
    "PRAGMA page_size = 4096; CREATE TABLE t (a); DROP TABLE t",
};
enum { KINDS = sizeof beginnings / sizeof beginnings[0], TABLES = 8 };

static const char *const tables[TABLES] = {"ctrack_advance",  "ctrack_latest",  "ctrack_coordinate",
                                           "ctrack_keyspace", "ctrack_fold",    "ctrack_migration",
                                           "ctrack_run",      "ctrack_run_part"};

/* A sound database, and the same with tables that take any value. */
static struct kind {
    damage_bytes sound, loose;
} kinds[KINDS];
/* What makes the tables, as it is in a sound one and as it is in a loose one. */
static struct {
    char *sound, *loose;
} schema[TABLES];

static void run(sqlite3 *db, const char *sql)
{
    char *message = NULL;
    if (sqlite3_exec(db, sql, NULL, NULL, &message) != SQLITE_OK) {
        fuzz_fail(__FILE__, __LINE__, "%s: %s", sql, message);
    }
}

static void read_whole(const char *path, damage_bytes *bytes)
{
    FILE *stream = fopen(path, "rb");
    fuzz_require(stream != NULL, "%s cannot be read", path);
    bytes->size = fread(bytes->bytes, 1, DAMAGE_MAX, stream);
    fclose(stream);
}

/* Some of it is folded, some is in the log, something is forgotten. */
static void make_sound(const char *beginning, damage_bytes *sound)
{
    static const ctrack_coordinate folded[] = {{"doc-1", "document", "main", 5},
                                               {"doc-2", "document", "main", 6},
                                               {"doc-3", "document", "draft", 7}},
                                   logged[] = {{"doc-1", "document", "main", 9}, {"doc-4", "header", "main", 0}};
    static const ctrack_key forgotten = {"doc-2", "document", "main"};
    const char *path = fuzz_path();
    sqlite3 *db = NULL;
    ctrack *tracker = NULL;
    unlink(path);
    fuzz_require(sqlite3_open(path, &db) == SQLITE_OK, "a sound file cannot be made");
    run(db, beginning);
    sqlite3_close(db);
    fuzz_require(ctrack_open(path, NULL, &tracker, NULL) == CTRACK_OK &&
                     ctrack_hydrate(tracker, folded, 3, NULL) == CTRACK_OK &&
                     ctrack_forget(tracker, &forgotten, 1, NULL) == CTRACK_OK &&
                     ctrack_update(tracker, logged, 2, NULL) == CTRACK_OK && ctrack_close(tracker, NULL) == CTRACK_OK,
                 "a sound file cannot be made");
    read_whole(path, sound);
    unlink(path);
}

/* A connection on a copy of the bytes, in memory, where a database in write-ahead mode cannot be. */
static sqlite3 *open_bytes(const damage_bytes *bytes)
{
    sqlite3 *db = NULL;
    unsigned char *copy = sqlite3_malloc64(bytes->size);
    fuzz_require(copy != NULL && sqlite3_open(":memory:", &db) == SQLITE_OK, "out of memory");
    memcpy(copy, bytes->bytes, bytes->size);
    copy[18] = copy[19] = 1;
    int flags = SQLITE_DESERIALIZE_FREEONCLOSE | SQLITE_DESERIALIZE_RESIZEABLE;
    fuzz_require(sqlite3_deserialize(db, "main", copy, (sqlite3_int64)bytes->size, (sqlite3_int64)bytes->size,
                                     (unsigned)flags) == SQLITE_OK,
                 "a sound file cannot be opened");
    run(db, "PRAGMA foreign_keys = 0; PRAGMA ignore_check_constraints = 1; PRAGMA writable_schema = 1");
    return db;
}

static void close_bytes(sqlite3 *db, damage_bytes *bytes)
{
    sqlite3_int64 size = 0;
    unsigned char *content = sqlite3_serialize(db, "main", &size, SQLITE_SERIALIZE_NOCOPY);
    if (content != NULL && size <= DAMAGE_MAX) {
        memcpy(bytes->bytes, content, (size_t)size);
        bytes->size = (size_t)size;
        bytes->bytes[18] = bytes->bytes[19] = 2;
    }
    sqlite3_close(db);
}

/* What makes the tables. */
static char *schema_of(sqlite3 *db, const char *table)
{
    sqlite3_stmt *row = NULL;
    sqlite3_prepare_v2(db, "SELECT sql FROM sqlite_schema WHERE name = ?1", -1, &row, NULL);
    sqlite3_bind_text(row, 1, table, -1, SQLITE_STATIC);
    fuzz_require(sqlite3_step(row) == SQLITE_ROW, "%s is not there", table);
    char *sql = sqlite3_mprintf("%s", (const char *)sqlite3_column_text(row, 0));
    sqlite3_finalize(row);
    return sql;
}

static void make_loose(struct kind *k)
{
    sqlite3 *db = open_bytes(&k->sound);
    for (int t = 0; t < TABLES; t++) {
        schema[t].sound = schema[t].sound != NULL ? schema[t].sound : schema_of(db, tables[t]);
    }
    run(db, "UPDATE sqlite_schema SET sql = replace(sql, 'STRICT', '') WHERE name LIKE 'ctrack%' AND type = 'table'");
    for (int t = 0; t < TABLES; t++) {
        schema[t].loose = schema[t].loose != NULL ? schema[t].loose : schema_of(db, tables[t]);
    }
    close_bytes(db, &k->loose);
}

static void make_kinds(void)
{
    for (int i = 0; i < KINDS && kinds[i].sound.size == 0; i++) {
        make_sound(beginnings[i], &kinds[i].sound);
        make_loose(&kinds[i]);
    }
}

/* ---------------------------------------------------------------- rows */

/* Binds a value of any kind. Texts are taken from the input as they stand there. */
static void bind_value(sqlite3_stmt *statement, int place, cursor *c)
{
    static const sqlite3_int64 numbers[] = {
        0, 1, -1, 2, 3, 5, 255, 65535, INT64_C(1) << 32, INT64_MAX, INT64_MAX - 1, INT64_MIN,
    };
    static const int lengths[] = {60, 600, 65535, 65536, 70000, 300000};
    unsigned form = take(c), length;
    switch (form % 8) {
    case 0:
        sqlite3_bind_null(statement, place);
        break;
    case 1:
        sqlite3_bind_int64(statement, place, numbers[take(c) % (sizeof numbers / sizeof numbers[0])]);
        break;
    case 2:
        sqlite3_bind_int64(statement, place, (sqlite3_int64)take(c) - 8);
        break;
    case 3:
        sqlite3_bind_double(statement, place, (double)take_two(c) / 4);
        break;
    case 4: {
        char *text = sqlite3_mprintf("%.*c", lengths[take(c) % (sizeof lengths / sizeof lengths[0])], 'x');
        sqlite3_bind_text(statement, place, text, -1, sqlite3_free);
        break;
    }
    default:
        length = take(c) % 32;
        length = length < (size_t)(c->end - c->at) ? length : (unsigned)(c->end - c->at);
        if (form % 8 == 5) {
            sqlite3_bind_blob(statement, place, c->at, (int)length, SQLITE_TRANSIENT);
        } else {
            sqlite3_bind_text(statement, place, (const char *)c->at, (int)length, SQLITE_TRANSIENT);
        }
        c->at += length;
        break;
    }
}

/* Runs a statement with values from the input; one that fails has no effect. */
static void run_with_values(sqlite3 *db, char *sql, cursor *c)
{
    sqlite3_stmt *statement = NULL;
    if (sqlite3_prepare_v2(db, sql, -1, &statement, NULL) == SQLITE_OK) {
        for (int i = 1; i <= sqlite3_bind_parameter_count(statement); i++) {
            bind_value(statement, i, c);
        }
        sqlite3_step(statement);
    }
    sqlite3_finalize(statement);
    sqlite3_free(sql);
}

static const char *column_name(const char *table, unsigned number)
{
    static const char *const advance[] = {"seq",        "coordinate_id", "operation_index",
                                          "updated_at", "keyspace_id",   "document_id"};
    static const char *const latest[] = {"coordinate_id", "operation_index", "updated_at"};
    static const char *const coordinate[] = {"id", "keyspace_id", "document_id"};
    static const char *const keyspace[] = {"id", "read_model", "scope", "branch"};
    static const char *const fold[] = {"id", "folded_seq", "hash_seed"};
    static const char *const migration[] = {"version", "name", "applied_at"};
    static const char *const run_columns[] = {"last_seq", "first_seq", "first_part", "parts"};
    static const char *const part[] = {"id", "entries"};
    static const struct {
        const char *const *names;
        unsigned count;
    } columns[TABLES] = {{advance, 6}, {latest, 3},    {coordinate, 3},  {keyspace, 4},
                         {fold, 3},    {migration, 3}, {run_columns, 4}, {part, 2}};
    for (int t = 0; t < TABLES; t++) {
        if (tables[t] == table) {
            return columns[t].names[number % columns[t].count];
        }
    }
    return "id";
}

static void change_row(sqlite3 *db, cursor *c)
{
    const char *table = tables[take(c) % TABLES];
    unsigned column = take(c), row = take(c) % 8;
    run_with_values(db,
                    sqlite3_mprintf("UPDATE %s SET %s = ?1 WHERE rowid = (SELECT rowid FROM %s LIMIT 1 OFFSET %u)",
                                    table, column_name(table, column), table, row),
                    c);
}

static void insert_row(sqlite3 *db, cursor *c)
{
    static const char *const places[TABLES] = {"?,?,?,?,?,?", "?,?,?", "?,?,?",   "?,?,?,?",
                                               "?,?,?",       "?,?,?", "?,?,?,?", "?,?"};
    unsigned t = take(c) % TABLES;
    run_with_values(db, sqlite3_mprintf("INSERT INTO %s VALUES (%s)", tables[t], places[t]), c);
}

static void delete_rows(sqlite3 *db, cursor *c)
{
    const char *table = tables[take(c) % TABLES];
    unsigned row = take(c) % 8;
    run_with_values(db,
                    row == 7 ? sqlite3_mprintf("DELETE FROM %s", table)
                             : sqlite3_mprintf("DELETE FROM %s WHERE rowid = (SELECT rowid FROM %s LIMIT 1 OFFSET %u)",
                                               table, table, row),
                    c);
}

/* ---------------------------------------------------------------- the schema */

static void change_schema(sqlite3 *db, cursor *c)
{
    static const char *const changes[] = {
        "CREATE TRIGGER IF NOT EXISTS swallow BEFORE INSERT ON %s BEGIN SELECT raise(IGNORE); END",
        "CREATE TRIGGER IF NOT EXISTS endless AFTER INSERT ON %s BEGIN WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL "
        "SELECT i + 1 FROM n) SELECT count(*) FROM n; END",
        "CREATE INDEX IF NOT EXISTS mine ON %s (rowid)",
        "DROP TABLE %s",
        "ALTER TABLE %s ADD COLUMN more TEXT",
        "ALTER TABLE %s RENAME TO mine",
        "DROP VIEW ctrack_progress",
        "DROP TRIGGER ctrack_progress_insert",
        "CREATE TABLE IF NOT EXISTS ctrack_more (a)",
        "CREATE VIEW IF NOT EXISTS mine AS SELECT * FROM %s",
        "UPDATE sqlite_schema SET rootpage = (SELECT rootpage FROM sqlite_schema WHERE name = '%s') WHERE name = "
        "'ctrack_latest'",
        "UPDATE sqlite_schema SET rootpage = 99 WHERE name = '%s'",
        "UPDATE sqlite_schema SET sql = 'CREATE TABLE (' WHERE name = '%s'",
        "UPDATE sqlite_schema SET sql = NULL WHERE name = '%s'",
        "UPDATE sqlite_schema SET type = 'view' WHERE name = '%s'",
        "UPDATE sqlite_schema SET tbl_name = 'host' WHERE tbl_name = '%s'",
        "DELETE FROM sqlite_schema WHERE name = '%s'",
        "DELETE FROM sqlite_schema WHERE tbl_name = '%s' AND type = 'index'",
        "PRAGMA application_id = 7",
        "PRAGMA encoding = 'UTF-16'",
    };
    const char *change = changes[take(c) % (sizeof changes / sizeof changes[0])];
    run_with_values(db, sqlite3_mprintf(change, tables[take(c) % TABLES]), c);
}

/* Tables that were declared loosely while the steps were taken are declared as they should be. */
static void tighten(sqlite3 *db)
{
    sqlite3_stmt *set = NULL;
    sqlite3_prepare_v2(db, "UPDATE sqlite_schema SET sql = ?1 WHERE name = ?2 AND sql = ?3", -1, &set, NULL);
    for (int t = 0; t < TABLES && set != NULL; t++) {
        sqlite3_bind_text(set, 1, schema[t].sound, -1, SQLITE_STATIC);
        sqlite3_bind_text(set, 2, tables[t], -1, SQLITE_STATIC);
        sqlite3_bind_text(set, 3, schema[t].loose, -1, SQLITE_STATIC);
        sqlite3_step(set);
        sqlite3_reset(set);
    }
    sqlite3_finalize(set);
}

/* ---------------------------------------------------------------- bytes */

static size_t take_place(cursor *c, size_t size)
{
    size_t place = (size_t)take(c) << 16 | take_two(c);
    return size > 0 ? place % size : 0;
}

static void set_bytes(damage_bytes *b, cursor *c)
{
    size_t at = take_place(c, b->size), count = 1 + take(c) % 16;
    for (; count > 0 && at < b->size; count--, at++) {
        b->bytes[at] = (unsigned char)take(c);
    }
}

/* Copies a page (or frame) over another one. */
static void copy_piece(damage_bytes *b, cursor *c, size_t beginning, size_t piece)
{
    size_t count = b->size > beginning ? (b->size - beginning) / piece : 0;
    if (count > 0) {
        size_t from = take(c) % count, to = take(c) % count;
        memmove(b->bytes + beginning + to * piece, b->bytes + beginning + from * piece, piece);
    }
}

static void set_size(damage_bytes *b, cursor *c, size_t piece)
{
    size_t size = (size_t)take(c) * piece + (take(c) % 4 == 0 ? take_two(c) % piece : 0);
    size = size < DAMAGE_MAX ? size : DAMAGE_MAX;
    if (size > b->size) {
        memset(b->bytes + b->size, 0, size - b->size);
    }
    b->size = size;
}

static size_t page_size(const damage_bytes *database)
{
    size_t size = (size_t)database->bytes[16] << 8 | database->bytes[17];
    return size >= 512 && (size & (size - 1)) == 0 ? size : 512;
}

/* ---------------------------------------------------------------- the write-ahead log */

enum { LOG_HEADER = 32, FRAME_HEADER = 24 };

static void put_word(unsigned char *at, uint32_t value)
{
    for (int i = 0; i < 4; i++) {
        at[i] = (unsigned char)(value >> (24 - 8 * i));
    }
}

/* https://www.sqlite.org/fileformat2.html#checksum_algorithm, with words in big-endian order */
static void add_to_checksum(const unsigned char *at, size_t size, uint32_t sum[2])
{
    uint32_t words[2];
    for (size_t i = 0; i + 8 <= size; i += 8) {
        for (size_t w = 0; w < 2; w++) {
            const unsigned char *b = at + i + 4 * w;
            words[w] = (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
        }
        sum[0] += words[0] + sum[1];
        sum[1] += words[1] + sum[0];
    }
}

/* Gives every frame the header's salt and the checksum that it must have. */
static void seal(damage_bytes *log, size_t page)
{
    uint32_t sum[2] = {0, 0};
    if (log->size < LOG_HEADER) {
        return;
    }
    log->bytes[3] |= 1; /* big-endian checksums */
    add_to_checksum(log->bytes, 24, sum);
    put_word(log->bytes + 24, sum[0]);
    put_word(log->bytes + 28, sum[1]);
    for (size_t at = LOG_HEADER; at + FRAME_HEADER + page <= log->size; at += FRAME_HEADER + page) {
        unsigned char *frame = log->bytes + at;
        memcpy(frame + 8, log->bytes + 16, 8);
        add_to_checksum(frame, 8, sum);
        add_to_checksum(frame + FRAME_HEADER, page, sum);
        put_word(frame + 16, sum[0]);
        put_word(frame + 20, sum[1]);
    }
}

/* A log that makes `after` of `before`: a frame for each page that differs, the last one commits. */
static void make_log(const damage_bytes *before, const damage_bytes *after, size_t page, damage_bytes *log)
{
    unsigned char *header = log->bytes;
    size_t pages = after->size / page, last = 0;
    memset(header, 0, LOG_HEADER);
    put_word(header, UINT32_C(0x377f0683));
    put_word(header + 4, 3007000);
    put_word(header + 8, (uint32_t)page);
    put_word(header + 16, 77);
    log->size = LOG_HEADER;
    for (size_t i = 0; i < pages && log->size + FRAME_HEADER + page <= DAMAGE_MAX; i++) {
        bool differs = (i + 1) * page > before->size || memcmp(before->bytes + i * page, after->bytes + i * page, page);
        if (differs || i == 0) {
            last = log->size;
            memset(log->bytes + last, 0, FRAME_HEADER);
            put_word(log->bytes + last, (uint32_t)(i + 1));
            memcpy(log->bytes + last + FRAME_HEADER, after->bytes + i * page, page);
            log->size += FRAME_HEADER + page;
        }
    }
    if (last > 0) {
        put_word(log->bytes + last + 4, (uint32_t)pages);
    }
}

/* ---------------------------------------------------------------- the steps */

enum step { END_OF_ROWS, CHANGE, INSERT, DELETE, SCHEMA, STEPS_ON_ROWS };

static void damage_rows(const struct kind *k, cursor *c, damage_bytes *database)
{
    sqlite3 *db = open_bytes(&k->loose);
    while (more(c)) {
        unsigned step = take(c) % STEPS_ON_ROWS;
        if (step == CHANGE) {
            change_row(db, c);
        } else if (step == INSERT) {
            insert_row(db, c);
        } else if (step == DELETE) {
            delete_rows(db, c);
        } else if (step == SCHEMA) {
            change_schema(db, c);
        } else {
            break;
        }
    }
    tighten(db);
    close_bytes(db, database);
}

static void damage_bytes_of(damage_bytes *b, cursor *c, size_t beginning, size_t piece)
{
    while (more(c)) {
        switch (take(c) % 4) {
        case 0:
            set_bytes(b, c);
            break;
        case 1:
            copy_piece(b, c, beginning, piece);
            break;
        case 2:
            set_size(b, c, piece);
            break;
        default:
            return;
        }
    }
}

void damage_make(const uint8_t *input, size_t size, damage_bytes *database, damage_bytes *log)
{
    cursor c = {input, input + size};
    make_kinds();
    const struct kind *k = &kinds[take(&c) % KINDS];
    database->size = 0;
    damage_rows(k, &c, database);
    if (log == NULL) {
        damage_bytes_of(database, &c, 0, page_size(&k->sound));
        return;
    }
    size_t page = page_size(&k->sound);
    make_log(&k->sound, database, page, log);
    damage_bytes_of(log, &c, LOG_HEADER, FRAME_HEADER + page);
    seal(log, page);
    damage_bytes_of(log, &c, LOG_HEADER, FRAME_HEADER + page);
    memcpy(database->bytes, k->sound.bytes, k->sound.size);
    database->size = k->sound.size;
}
