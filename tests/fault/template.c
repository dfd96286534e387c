/* SPDX-License-Identifier: MIT */
#include "template.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "fault.h"
#include "tracker.h"

/* A file's bytes; size -1: it does not exist. */
typedef struct bytes {
    char *data;
    ssize_t size;
} bytes;

static struct {
    bytes database, log;
    ledger_state state;
} templates[RUN_TEMPLATES];

static char dump_text[RUN_DUMP_SIZE];
static size_t dump_size;
static ledger_state dump_state;

static _Noreturn void give_up(const char *what)
{
    fprintf(stderr, "the templates cannot be made: %s\n", what);
    exit(EXIT_FAILURE);
}

static void must(int status, const char *what)
{
    if (status != 0) {
        give_up(what);
    }
}

/* ---------------------------------------------------------------- files */

static bytes read_bytes(const char *path)
{
    struct stat found;
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) {
        return (bytes){NULL, -1};
    }
    must(fstat(descriptor, &found), path);
    bytes b = {malloc((size_t)found.st_size + 1), found.st_size};
    if (b.data == NULL || read(descriptor, b.data, (size_t)b.size) != b.size) {
        give_up(path);
    }
    close(descriptor);
    return b;
}

static void write_bytes(const char *path, const bytes *b)
{
    if (b->size < 0) {
        unlink(path);
        return;
    }
    int descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (descriptor < 0 || write(descriptor, b->data, (size_t)b->size) != b->size) {
        give_up(path);
    }
    close(descriptor);
}

static char *beside(const char *path, const char *suffix, char buffer[320])
{
    snprintf(buffer, 320, "%s%s", path, suffix);
    return buffer;
}

static void set_path(run *r, const char *directory)
{
    snprintf(r->path, sizeof r->path, "%s/progress.db", directory);
    snprintf(r->copy, sizeof r->copy, "%s/copy.db", directory);
}

void run_begin(run *r, const char *directory, run_template kind, ledger *books)
{
    char name[320];
    memset(r, 0, sizeof *r);
    set_path(r, directory);
    r->books = books;
    for (int t = 0; t < RUN_TRACKERS; t++) {
        r->shown[t] = check_no_progress();
    }
    write_bytes(r->path, &templates[kind].database);
    write_bytes(beside(r->path, "-wal", name), &templates[kind].log);
    unlink(beside(r->path, "-shm", name));
    unlink(beside(r->path, "-journal", name));
    unlink(r->copy);
    ledger_start(books, &templates[kind].state);
}

static void keep(run *r, run_template kind)
{
    char name[320];
    templates[kind].database = read_bytes(r->path);
    templates[kind].log = read_bytes(beside(r->path, "-wal", name));
    templates[kind].state = check_read_file(r->path, "template");
    unlink(beside(r->path, "-shm", name));
}

/* ---------------------------------------------------------------- making them */

static void run_sql(const run *r, const char *sql)
{
    sqlite3 *db = NULL;
    must(sqlite3_open(r->path, &db), r->path);
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK) {
        give_up(sqlite3_errmsg(db));
    }
    sqlite3_close(db);
}

static void update(run *r, int model, const int64_t index[LEDGER_KEYS])
{
    ledger_change change = ledger_no_change(LEDGER_RAISE);
    for (int k = 0; k < LEDGER_KEYS; k++) {
        if (index[k] >= 0) {
            ledger_name(&change, model, k, index[k]);
        }
    }
    run_update(r, model, &change);
}

static void make_host(run *r)
{
    /* Small pages: the less fits into one, the more is read and written. */
    run_sql(r, "PRAGMA page_size = 512; CREATE TABLE host (id INTEGER PRIMARY KEY, applied INTEGER); INSERT INTO host "
               "VALUES (1, 7);"
               "CREATE TABLE filler (id INTEGER PRIMARY KEY, text TEXT);"
               "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200)"
               "INSERT INTO filler SELECT i, printf('row %d', i) FROM n");
    keep(r, RUN_HOST);
}

static void make_used(run *r)
{
    static const int64_t folded[LEDGER_KEYS] = {3, 4, 5, -1, -1, -1, -1, 9},
                         later[LEDGER_KEYS] = {6, -1, -1, 2, -1, -1, -1, -1};
    run_open(r, 0, 0, false);
    run_open(r, 1, 1, false);
    update(r, 0, folded);
    update(r, 1, later);
    run_fold(r, 0);
    update(r, 0, later);
    run_close(r, 0);
    run_close(r, 1);
    keep(r, RUN_USED);
}

/* The process dies before SQLite can move its log into the database. */
static void make_live(run *r)
{
    static const int64_t more[LEDGER_KEYS] = {8, -1, 7, 3, 1, 2, -1, -1},
                         most[LEDGER_KEYS] = {9, 8, -1, -1, -1, 4, 5, -1};
    run_open(r, 0, 0, false);
    run_open(r, 1, 1, false);
    update(r, 0, more);
    update(r, 1, more);
    update(r, 0, most);
    for (int t = 0; t < 2; t++) {
        sqlite3_db_config(r->trackers[t]->store->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
        run_close(r, t);
    }
    keep(r, RUN_LIVE);
}

/* seq jumps, so that the first rows are old enough to be trimmed. */
static void make_long_log(run *r)
{
    run_sql(r, "INSERT INTO ctrack_advance (seq, coordinate_id, operation_index, updated_at) VALUES (110000, 1, 50, 1);"
               "INSERT INTO ctrack_progress VALUES ('default', 'doc-4', 'document', 'main', 12, NULL),"
               "('default', 'doc-3', 'document', 'main', 1, NULL), ('other', 'doc-1', 'document', 'main', 5, NULL),"
               "('other', 'doc-1', 'document', 'main', 3, NULL), ('default', 'doc-2', 'document', 'main', 77, NULL)");
    keep(r, RUN_LONG_LOG);
}

static int write_dump(const void *data, size_t size, void *argument)
{
    (void)argument;
    if (size > sizeof dump_text - dump_size) {
        return 28; /* ENOSPC */
    }
    memcpy(dump_text + dump_size, data, size);
    dump_size += size;
    return 0;
}

static void make_dump(run *r)
{
    static const int64_t progress[LEDGER_KEYS] = {1, 20, -1, 4, -1, 6, 30, -1},
                         other[LEDGER_KEYS] = {2, -1, -1, 2, 50, -1, -1, 3};
    run_open(r, 0, 0, false);
    run_open(r, 1, 1, false);
    update(r, 0, progress);
    update(r, 1, other);
    must((int)ctrack_dump(r->trackers[0], NULL, write_dump, NULL, NULL), "ctrack_dump");
    run_close(r, 0);
    run_close(r, 1);
    dump_state = check_read_file(r->path, "template");
}

void run_make_templates(const char *directory)
{
    static ledger books;
    run r;
    for (int kind = 0; kind < RUN_TEMPLATES; kind++) {
        templates[kind].database.size = templates[kind].log.size = -1;
    }
    templates[RUN_NEW].state = check_no_progress();
    run_begin(&r, directory, RUN_NEW, &books);
    make_dump(&r);
    run_begin(&r, directory, RUN_NEW, &books);
    make_host(&r);
    run_begin(&r, directory, RUN_HOST, &books);
    make_used(&r);
    run_begin(&r, directory, RUN_USED, &books);
    make_live(&r);
    run_begin(&r, directory, RUN_USED, &books);
    make_long_log(&r);
    if (violations() > 0) {
        give_up("see above");
    }
}

const char *template_dump(size_t *size)
{
    *size = dump_size;
    return dump_text;
}

void template_dumped(ledger_change *change)
{
    for (int m = 0; m < LEDGER_MODELS; m++) {
        change->models[m] = true;
        memcpy(change->values.index[m], dump_state.index[m], sizeof dump_state.index[m]);
    }
}
