/* SPDX-License-Identifier: MIT */
/*
 * Files that are not what they should be: each is made from a sound one, and has one expected status. A file that is
 * refused is not changed by a byte, and nothing is left beside it.
 *
 * --keep DIRECTORY leaves the files there.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sqlite3.h>

#include "ctrack.h"
#include "fault.h"

enum { FILE_MAX = 1 << 20 };
typedef struct file {
    unsigned char bytes[FILE_MAX];
    size_t size;
} file;

typedef struct hostile {
    const char *name;
    ctrack_status expected;  /* of ctrack_open(), and if that is CTRACK_OK of an update */
    const char *sql;         /* run on a sound file; NULL: none */
    void (*damage)(file *f); /* then done to its bytes; NULL: nothing */
    const char *message;     /* what the message must contain */
} hostile;

static char path[300];

/* ---------------------------------------------------------------- damage to bytes */

static void empty(file *f)
{
    f->size = 0;
}

static void one_byte(file *f)
{
    f->size = 1;
}

static void cut_header(file *f)
{
    f->size = 60;
}

static void cut_page(file *f)
{
    f->size = 4096 + 1000;
}

static void cut_last_page(file *f)
{
    f->size -= 4096;
}

static void only_text(file *f)
{
    f->size = (size_t)snprintf((char *)f->bytes, FILE_MAX, "%0600d", 7);
}

static void other_magic(file *f)
{
    f->bytes[0] = 'X';
}

static void page_size_of_three(file *f)
{
    f->bytes[16] = 0;
    f->bytes[17] = 3;
}

static void newer_format(file *f)
{
    f->bytes[18] = f->bytes[19] = 9;
}

static void other_fractions(file *f)
{
    f->bytes[21] = 1;
}

static void zero_schema_page(file *f)
{
    memset(f->bytes + 100, 0, 4096 - 100);
}

static void ones_in_schema_page(file *f)
{
    memset(f->bytes + 100, 0xFF, 4096 - 100);
}

/* The page that holds a table's rows: found by its text. */
static void spoil_page_of(file *f, const char *text, unsigned char value)
{
    size_t length = strlen(text);
    for (size_t at = 4096; at + length < f->size; at++) {
        if (memcmp(f->bytes + at, text, length) == 0) {
            memset(f->bytes + at / 4096 * 4096, value, 16);
        }
    }
}

static void spoil_documents(file *f)
{
    spoil_page_of(f, "doc-1", 0xEE);
}

static void zero_documents(file *f)
{
    spoil_page_of(f, "doc-1", 0);
}

/* ---------------------------------------------------------------- the corpus */

#define TRIGGER(table) "CREATE TRIGGER swallow BEFORE INSERT ON " table " BEGIN SELECT raise(IGNORE); END"
#define UNLOCK "PRAGMA writable_schema = 1;"
#define INSERT_LOG(columns, values) \
    "PRAGMA ignore_check_constraints = 1; INSERT INTO ctrack_advance (" columns ") VALUES (" values ")"
/* STRICT tables refuse other types, so the table is declared without STRICT while the value is put in. */
#define LOOSELY(table, sql) \
    UNLOCK "UPDATE sqlite_schema SET sql = substr(sql, 1, length(sql) - 7) WHERE name = '" table "';" \
           "PRAGMA schema_version = 999; PRAGMA ignore_check_constraints = 1;" sql ";" \
           "UPDATE sqlite_schema SET sql = sql || ' STRICT' WHERE name = '" table "'"

static const hostile corpus[] = {
    {"sound", CTRACK_OK, NULL, NULL, ""},
    {"empty", CTRACK_OK, NULL, empty, ""},
    {"with tables of a host", CTRACK_OK, "CREATE TABLE mine (a); INSERT INTO mine VALUES (1)", NULL, ""},
    {"with a host's trigger on its own table", CTRACK_OK,
     "CREATE TABLE mine (a); CREATE TRIGGER t AFTER INSERT ON mine BEGIN SELECT 1; END", NULL, ""},
    {"with a host's view on ours", CTRACK_OK, "CREATE VIEW mine AS SELECT * FROM ctrack_progress", NULL, ""},
    {"with a view that calls what is not there", CTRACK_OK, "CREATE VIEW mine AS SELECT no_such_function(1)", NULL, ""},
    {"with user_version and application_id", CTRACK_OK, "PRAGMA user_version = 9; PRAGMA application_id = 7", NULL, ""},
    {"one byte, which SQLite takes for none", CTRACK_OK, NULL, one_byte, ""},
    {"cut in the header", CTRACK_CORRUPT, NULL, cut_header, ""},
    {"cut in the second page", CTRACK_CORRUPT, NULL, cut_page, ""},
    {"without its last page", CTRACK_CORRUPT, NULL, cut_last_page, ""},
    {"text", CTRACK_CORRUPT, NULL, only_text, "not a database"},
    {"another magic", CTRACK_CORRUPT, NULL, other_magic, "not a database"},
    {"page size 3", CTRACK_CORRUPT, NULL, page_size_of_three, "not a database"},
    {"other payload fractions", CTRACK_CORRUPT, NULL, other_fractions, "not a database"},
    {"a newer file format", CTRACK_CORRUPT, NULL, newer_format, ""},
    {"zeros in the schema's page", CTRACK_CORRUPT, NULL, zero_schema_page, ""},
    {"ones in the schema's page", CTRACK_CORRUPT, NULL, ones_in_schema_page, ""},
    {"a spoiled page of documents", CTRACK_CORRUPT, NULL, spoil_documents, ""},
    {"a zeroed page of documents", CTRACK_CORRUPT, NULL, zero_documents, ""},
    {"a newer migration", CTRACK_SCHEMA, "INSERT INTO ctrack_migration VALUES (2, '0002_future', 1)", NULL, "newer"},
    {"a much newer migration", CTRACK_SCHEMA, "INSERT INTO ctrack_migration VALUES (999999999999, 'x', 1)", NULL,
     "newer"},
    {"no migration", CTRACK_CORRUPT, "DELETE FROM ctrack_migration", NULL, "ctrack_migration is empty"},
    {"a gap in the migrations", CTRACK_CORRUPT, "UPDATE ctrack_migration SET version = 0", NULL, "gaps"},
    {"a negative migration", CTRACK_CORRUPT, "UPDATE ctrack_migration SET version = -1", NULL, "gaps"},
    {"no ledger of migrations", CTRACK_CORRUPT, "DROP TABLE ctrack_migration", NULL, "without ctrack_migration"},
    {"a view for the ledger", CTRACK_CORRUPT,
     "DROP TABLE ctrack_migration; CREATE VIEW ctrack_migration AS SELECT 1 AS version, 'x' AS name, 1 AS applied_at",
     NULL, ""},
    {"no log", CTRACK_CORRUPT, "DROP TABLE ctrack_advance", NULL, "not as ctrack made it"},
    {"no dictionary", CTRACK_CORRUPT, "DROP TABLE ctrack_coordinate", NULL, "not as ctrack made it"},
    {"no progress view", CTRACK_CORRUPT, "DROP VIEW ctrack_progress", NULL, "not as ctrack made it"},
    {"another progress view", CTRACK_CORRUPT,
     "DROP VIEW ctrack_progress; CREATE VIEW ctrack_progress AS SELECT 1 AS read_model", NULL, "not as ctrack made it"},
    {"no trigger on the view", CTRACK_CORRUPT, "DROP TRIGGER ctrack_progress_insert", NULL, "not as ctrack made it"},
    {"a trigger on the log", CTRACK_CORRUPT, TRIGGER("ctrack_advance"), NULL, "swallow"},
    {"a trigger on the dictionary", CTRACK_CORRUPT, TRIGGER("ctrack_coordinate"), NULL, "swallow"},
    {"a trigger on progress", CTRACK_CORRUPT, TRIGGER("ctrack_latest"), NULL, "swallow"},
    {"a trigger on the state of the fold", CTRACK_CORRUPT, TRIGGER("ctrack_fold"), NULL, "swallow"},
    {"a trigger on the migrations", CTRACK_CORRUPT, TRIGGER("ctrack_migration"), NULL, "swallow"},
    {"an index on the log", CTRACK_CORRUPT, "CREATE INDEX mine ON ctrack_advance (updated_at)", NULL, "mine"},
    {"an index that calls a function", CTRACK_CORRUPT, "CREATE INDEX mine ON ctrack_latest (abs(updated_at))", NULL,
     "mine"},
    {"one more column", CTRACK_CORRUPT, "ALTER TABLE ctrack_latest ADD COLUMN note TEXT", NULL, "ctrack_latest"},
    {"a generated column", CTRACK_CORRUPT, "ALTER TABLE ctrack_latest ADD COLUMN g INTEGER AS (abs(updated_at))", NULL,
     "ctrack_latest"},
    {"one more table of our name", CTRACK_CORRUPT, "CREATE TABLE ctrack_more (a)", NULL, "ctrack_more"},
    {"a column with another name", CTRACK_CORRUPT,
     UNLOCK "UPDATE sqlite_schema SET sql = replace(sql, 'updated_at', 'changed_at') WHERE name = 'ctrack_latest'",
     NULL, "ctrack_latest"},
    {"another ledger of migrations", CTRACK_CORRUPT, "DROP TABLE ctrack_migration; CREATE TABLE ctrack_migration (a)",
     NULL, "not as ctrack made"},
    {"a table that is not strict", CTRACK_CORRUPT,
     UNLOCK "UPDATE sqlite_schema SET sql = substr(sql, 1, length(sql) - 7) WHERE name = 'ctrack_latest'", NULL,
     "ctrack_latest"},
    {"a statement that is none in the schema", CTRACK_CORRUPT,
     UNLOCK "UPDATE sqlite_schema SET sql = 'CREATE TABLE (' WHERE name = 'ctrack_latest'", NULL, ""},
    {"two tables on one page", CTRACK_CORRUPT,
     UNLOCK "UPDATE sqlite_schema SET rootpage = (SELECT rootpage FROM sqlite_schema WHERE name = 'ctrack_latest') "
            "WHERE name = 'ctrack_coordinate'",
     NULL, ""},
    {"no state of the fold", CTRACK_CORRUPT, "DELETE FROM ctrack_fold", NULL, "ctrack_fold is empty"},
    {"a state of the fold below zero", CTRACK_CORRUPT,
     "PRAGMA ignore_check_constraints = 1; UPDATE ctrack_fold SET folded_seq = -9223372036854775807 - 1", NULL,
     "out of range"},
    {"text for the state of the fold", CTRACK_CORRUPT,
     LOOSELY("ctrack_fold", "UPDATE ctrack_fold SET folded_seq = 'x'"), NULL, "out of range"},
    {"a log row below zero", CTRACK_CORRUPT,
     "INSERT INTO ctrack_advance (seq, keyspace_id, document_id, operation_index, updated_at) "
     "VALUES (-9223372036854775807 - 1, 1, 'x', 7, 1)",
     NULL, "out of range"},
    {"a negative index in progress", CTRACK_CORRUPT,
     "PRAGMA ignore_check_constraints = 1; UPDATE ctrack_latest SET operation_index = -5", NULL, "out of range"},
    {"a negative index in the log", CTRACK_CORRUPT,
     INSERT_LOG("keyspace_id, document_id, operation_index, updated_at", "1, 'x', -7, 1"), NULL, "out of range"},
    {"a keyspace that is not there", CTRACK_CORRUPT,
     INSERT_LOG("keyspace_id, document_id, operation_index, updated_at", "77, 'x', 7, 1"), NULL, "keyspace 77"},
    {"a keyspace below zero", CTRACK_CORRUPT,
     INSERT_LOG("keyspace_id, document_id, operation_index, updated_at", "-1, 'x', 7, 1"), NULL, "out of range"},
    {"a coordinate that is not there", CTRACK_CORRUPT,
     INSERT_LOG("coordinate_id, operation_index, updated_at", "777, 7, 1"), NULL, ""},
    {"a number for a text", CTRACK_CORRUPT,
     LOOSELY("ctrack_coordinate", "UPDATE ctrack_coordinate SET document_id = x'414243' WHERE id = 1"), NULL, ""},
    {"text for a number", CTRACK_CORRUPT, LOOSELY("ctrack_latest", "UPDATE ctrack_latest SET operation_index = 'many'"),
     NULL, ""},
    {"a fraction for an index", CTRACK_CORRUPT,
     LOOSELY("ctrack_latest", "UPDATE ctrack_latest SET operation_index = 1.5"), NULL, ""},
    {"text that is not UTF-8", CTRACK_CORRUPT,
     "UPDATE ctrack_coordinate SET document_id = CAST(x'FFFE41' AS TEXT) WHERE id = 1", NULL, "UTF-8"},
    {"text with NUL", CTRACK_CORRUPT, "UPDATE ctrack_coordinate SET document_id = 'a' || char(0) || 'b' WHERE id = 1",
     NULL, ""},
    {"text that is too long", CTRACK_CORRUPT,
     "UPDATE ctrack_coordinate SET document_id = printf('%.*c', 65536, 'x') WHERE id = 1", NULL, "too long"},
    {"a scope that is too long", CTRACK_CORRUPT, "UPDATE ctrack_keyspace SET scope = printf('%.*c', 65536, 'x')", NULL,
     "too long"},
};

/* ---------------------------------------------------------------- one file */

static void read_file(const char *name, file *f)
{
    int descriptor = open(name, O_RDONLY | O_CLOEXEC);
    ssize_t size = descriptor >= 0 ? read(descriptor, f->bytes, FILE_MAX) : 0;
    f->size = (size_t)(size > 0 ? size : 0);
    close(descriptor);
}

static void write_file(const char *name, const file *f)
{
    int descriptor = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (write(descriptor, f->bytes, f->size) != (ssize_t)f->size) {
        abort();
    }
    close(descriptor);
}

static void make_sound(void)
{
    ctrack *tracker = NULL;
    unlink(path);
    if (ctrack_open(path, NULL, &tracker, NULL) != CTRACK_OK) {
        abort();
    }
    static const ctrack_coordinate folded[] = {
        {"doc-1", "document", "main", 5}, {"doc-2", "document", "main", 6}, {"doc-3", "document", "draft", 7}};
    static const ctrack_coordinate logged = {"doc-1", "document", "main", 9};
    ctrack_hydrate(tracker, folded, 3, NULL);
    ctrack_update(tracker, &logged, 1, NULL);
    ctrack_close(tracker, NULL);
}

static void spoil(const hostile *h)
{
    static file f;
    if (h->sql != NULL) {
        sqlite3 *db = NULL;
        char *message = NULL;
        sqlite3_open(path, &db);
        sqlite3_exec(db, "PRAGMA foreign_keys = 0", NULL, NULL, NULL);
        sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 0, NULL);
        if (sqlite3_exec(db, h->sql, NULL, NULL, &message) != SQLITE_OK) {
            violation(h->name, "it cannot be made: %s", message);
            sqlite3_free(message);
        }
        sqlite3_close(db);
    }
    if (h->damage != NULL) {
        read_file(path, &f);
        h->damage(&f);
        write_file(path, &f);
    }
}

static void expect_untouched(const hostile *h, const file *before)
{
    static file after;
    char name[320];
    read_file(path, &after);
    if (after.size != before->size || memcmp(after.bytes, before->bytes, before->size) != 0) {
        violation(h->name, "it was refused, and has changed all the same");
    }
    static const char *const suffixes[] = {"-wal", "-shm", "-journal"};
    for (size_t i = 0; i < 3; i++) {
        snprintf(name, sizeof name, "%s%s", path, suffixes[i]);
        if (access(name, F_OK) == 0) {
            violation(h->name, "it was refused, and %s was left beside it", suffixes[i]);
            unlink(name);
        }
    }
}

static void try_file(const hostile *h)
{
    static file before;
    ctrack *tracker = NULL;
    ctrack_error error = {CTRACK_OK, ""};
    make_sound();
    spoil(h);
    read_file(path, &before);
    ctrack_status status = ctrack_open(path, NULL, &tracker, &error);
    if (status == CTRACK_OK) {
        ctrack_coordinate next = {"doc-1", "document", "main", 1000};
        status = ctrack_update(tracker, &next, 1, &error);
        ctrack_close(tracker, NULL);
    } else {
        expect_untouched(h, &before);
    }
    if (status != h->expected || strstr(error.message, h->message) == NULL) {
        violation(h->name, "it is %s (%s), expected %s with \"%s\"", ctrack_status_name(status), error.message,
                  ctrack_status_name(h->expected), h->message);
    }
}

static void keep(const char *directory, size_t number)
{
    static file f;
    char name[400];
    snprintf(name, sizeof name, "%s/hostile-%02zu.db", directory, number);
    make_sound();
    spoil(&corpus[number]);
    read_file(path, &f);
    write_file(name, &f);
}

int main(int argc, char **argv)
{
    fault_options(argc, argv);
    size_t count = sizeof corpus / sizeof corpus[0];
    const char *kept = fault_text("keep", NULL);
    snprintf(path, sizeof path, "%s/progress.db", fault_directory());
    for (size_t i = 0; i < count && !fault_enough(); i++) {
        try_file(&corpus[i]);
        if (kept != NULL) {
            keep(kept, i);
        }
    }
    fault_remove_directory();
    return fault_report("hostile_files", count, "files that are not what they should be");
}
