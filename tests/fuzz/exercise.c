/* SPDX-License-Identifier: MIT */
#include "exercise.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <sqlite3.h>

#include "fold.h"
#include "fuzz.h"
#include "tracker.h"

static const damage_bytes *written, *written_log; /* what the files were when they were made */
static bool sound;                                /* what ctrack_check() says of them */

/* ---------------------------------------------------------------- files */

static const char *beside(const char *ending)
{
    static char name[320];
    snprintf(name, sizeof name, "%s%s", fuzz_path(), ending);
    return name;
}

static void write_file(const char *name, const damage_bytes *bytes)
{
    int descriptor = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    fuzz_require(descriptor >= 0 && write(descriptor, bytes->bytes, bytes->size) == (ssize_t)bytes->size,
                 "%s cannot be written", name);
    close(descriptor);
}

static void write_files(void)
{
    unlink(beside("-shm"));
    unlink(beside("-journal"));
    unlink(beside("-wal"));
    write_file(fuzz_path(), written);
    if (written_log != NULL) {
        write_file(beside("-wal"), written_log);
    }
}

static void require_file(const char *name, const damage_bytes *expected, const char *after)
{
    static damage_bytes found;
    int descriptor = open(name, O_RDONLY | O_CLOEXEC);
    ssize_t size = descriptor >= 0 ? read(descriptor, found.bytes, DAMAGE_MAX) : -1;
    close(descriptor);
    fuzz_require(size == (ssize_t)expected->size && memcmp(found.bytes, expected->bytes, expected->size) == 0,
                 "after %s %s is not as it was", after, name);
}

/* Nobody has the file open. SQLite's readers leave a log behind that is empty. */
static void require_untouched(const char *after)
{
    static const damage_bytes nothing;
    require_file(fuzz_path(), written, after);
    if (written_log != NULL || access(beside("-wal"), F_OK) == 0) {
        require_file(beside("-wal"), written_log != NULL ? written_log : &nothing, after);
    }
    fuzz_require(access(beside("-journal"), F_OK) != 0, "after %s there is a journal", after);
}

/* ---------------------------------------------------------------- calls */

/*
 * Damage that a call meets where it cannot be told from a failure of the system: SQLite does not open a write-ahead log of
 * another version, and a commit that finds the damage has an unknown outcome, as says every later one.
 */
static bool is_like_damage(const ctrack_error *error)
{
    return error->status == CTRACK_IO && (strstr(error->message, "unable to open database file") != NULL ||
                                          strstr(error->message, "outcome on disk is unknown") != NULL);
}

/* In a sound file every call succeeds; else it may also find the damage. */
static bool judge(const char *call, ctrack_status status, const ctrack_error *error)
{
    if (status == CTRACK_OK) {
        return true;
    }
    fuzz_require(error->status == status && error->message[0] != '\0', "%s is %s, its error %s: \"%s\"", call,
                 ctrack_status_name(status), ctrack_status_name(error->status), error->message);
    fuzz_require(status == CTRACK_CORRUPT || status == CTRACK_SCHEMA || is_like_damage(error), "%s is %s: %s", call,
                 ctrack_status_name(status), error->message);
    fuzz_require(!sound, "the file is sound, and %s is %s: %s", call, ctrack_status_name(status), error->message);
    return false;
}

static void look_at_waits_and_stats(ctrack *tracker)
{
    static const ctrack_coordinate far = {"doc-1", "document", "main", INT64_MAX};
    ctrack_stats stats = {.size = sizeof stats};
    ctrack_read_model_list *list = NULL;
    ctrack_error error;
    ctrack_status status = ctrack_wait(tracker, &far, 1, 0, NULL, &error);
    fuzz_require(status == CTRACK_OK || status == CTRACK_TIMED_OUT, "ctrack_wait is %s", ctrack_status_name(status));
    judge("ctrack_get_stats", ctrack_get_stats(tracker, &stats, &error), &error);
    if (judge("ctrack_read_models", ctrack_read_models(tracker, &list, &error), &error)) {
        for (size_t i = 0; i < ctrack_read_model_list_count(list); i++) {
            fuzz_require(strlen(ctrack_read_model_list_at(list, i)->name) <= CTRACK_TEXT_MAX, "a name is too long");
        }
    }
    ctrack_read_model_list_free(list);
}

/* A dump of the tracker's read model says what memory holds, and can be restored. */
static void dump_and_restore(ctrack *tracker)
{
    ctrack *other = NULL;
    ctrack_snapshot *here = NULL, *there = NULL;
    fuzz_text text = {NULL, 0, 0, 0};
    ctrack_error error;
    if (judge("ctrack_dump", ctrack_dump(tracker, "default", fuzz_write, &text, &error), &error)) {
        fuzz_require(ctrack_open(NULL, NULL, &other, NULL) == CTRACK_OK, "out of memory");
        ctrack_status status = ctrack_restore(other, fuzz_read, &text, "dump", CTRACK_RESTORE_EMPTY, NULL, &error);
        fuzz_require(status == CTRACK_OK, "the dump is refused: %s", error.message);
        fuzz_require(ctrack_serialize(tracker, &here, NULL) == CTRACK_OK &&
                         ctrack_serialize(other, &there, NULL) == CTRACK_OK,
                     "out of memory");
        if (sound) {
            fuzz_require_same(here, there);
        }
        ctrack_snapshot_free(here);
        ctrack_snapshot_free(there);
        ctrack_close(other, NULL);
    }
    fuzz_text_free(&text);
}

static int64_t latest(ctrack *tracker, const ctrack_coordinate *coordinate)
{
    const ctrack_key key = {coordinate->document_id, coordinate->scope, coordinate->branch};
    int64_t index = -1;
    ctrack_status status = ctrack_get_latest(tracker, &key, &index);
    fuzz_require(status == CTRACK_OK || status == CTRACK_NOT_FOUND, "ctrack_get_latest is %s",
                 ctrack_status_name(status));
    return index;
}

/* What is acknowledged shows; what is refused does not. */
static void update(ctrack *tracker, const char *document, int64_t more)
{
    ctrack_coordinate next = {document, "document", "main", 0};
    ctrack_error error;
    int64_t before = latest(tracker, &next);
    next.operation_index = before < INT64_MAX - more ? before + more : before;
    bool done = judge("ctrack_update", ctrack_update(tracker, &next, 1, &error), &error);
    fuzz_require(latest(tracker, &next) == (done ? next.operation_index : before), "%s is not as the update said",
                 document);
}

static void fold(ctrack *tracker)
{
    static const atomic_bool stop;
    ctrack_error error;
    ctrack_status status = ct_fold_log(tracker, &stop, NULL, &error);
    if (sound || status != CTRACK_ABORTED) { /* the log's state does not stay what it was */
        judge("folding", status, &error);
    }
    judge("a checkpoint", ct_store_checkpoint(tracker->store, &error), &error);
}

static void forget_and_replace(ctrack *tracker)
{
    static const ctrack_key forgotten = {"doc-1", "document", "main"};
    static const ctrack_coordinate entries[] = {{"doc-1", "document", "main", 3}, {"doc-9", "a", "b", 4}};
    ctrack_error error;
    judge("ctrack_forget", ctrack_forget(tracker, &forgotten, 1, &error), &error);
    judge("ctrack_refresh", ctrack_refresh(tracker, &error), &error);
    judge("ctrack_hydrate", ctrack_hydrate(tracker, entries, 2, &error), &error);
}

static void work(ctrack *tracker)
{
    ctrack_snapshot *snapshot = NULL;
    fuzz_require(ctrack_serialize(tracker, &snapshot, NULL) == CTRACK_OK, "out of memory");
    fuzz_require_sound(snapshot);
    ctrack_snapshot_free(snapshot);
    look_at_waits_and_stats(tracker);
    dump_and_restore(tracker);
    update(tracker, "doc-1", 1);
    update(tracker, "doc-new", 7);
    fold(tracker);
    update(tracker, "doc-3", 2);
    forget_and_replace(tracker);
}

/* The calls that only look at the file. */
static void look(void)
{
    ctrack_error error;
    int version, newest;
    sound = judge("ctrack_check", ctrack_check(fuzz_path(), -1, NULL, NULL, NULL, &error), &error);
    require_untouched("ctrack_check");
    judge("ctrack_schema", ctrack_schema(fuzz_path(), -1, &version, &newest, &error), &error);
    require_untouched("ctrack_schema");
}

static bool open_and_work(void)
{
    ctrack *tracker = NULL;
    ctrack_error error;
    if (!judge("ctrack_open", ctrack_open(fuzz_path(), NULL, &tracker, &error), &error)) {
        require_untouched("ctrack_open");
        return false;
    }
    work(tracker);
    fuzz_require(ctrack_close(tracker, NULL) == CTRACK_OK, "ctrack_close fails");
    return true;
}

/* On a connection that is not ours. */
static void stage(void)
{
    static const ctrack_coordinate staged[] = {{"doc-1", "document", "main", 100}, {"doc-5", "other", "main", 1}};
    sqlite3 *db = NULL;
    ctrack_error error;
    if (sqlite3_open_v2(fuzz_path(), &db, SQLITE_OPEN_READWRITE, NULL) == SQLITE_OK &&
        sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL) == SQLITE_OK) {
        ctrack_status status = ctrack_satisfied_in(db, NULL, staged, 2, &error);
        if (status != CTRACK_PENDING && status != CTRACK_INVALID) {
            judge("ctrack_satisfied_in", status, &error);
        }
        status = ctrack_stage(db, NULL, staged, 2, &error);
        if (status != CTRACK_INVALID) {
            judge("ctrack_stage", status, &error);
        }
        sqlite3_exec(db, "COMMIT", NULL, NULL, NULL);
    }
    fuzz_require(sqlite3_close(db) == SQLITE_OK, "something is left on the host's connection");
}

/* What was sound is sound after all of it, and opens. */
static void look_again(void)
{
    ctrack *tracker = NULL;
    ctrack_error error;
    judge("the second ctrack_check", ctrack_check(fuzz_path(), -1, NULL, NULL, NULL, &error), &error);
    judge("the second ctrack_open", ctrack_open(fuzz_path(), NULL, &tracker, &error), &error);
    ctrack_close(tracker, NULL);
}

void exercise(unsigned part, const damage_bytes *database, const damage_bytes *log)
{
    written = database;
    written_log = log;
    sound = false;
    write_files();
    switch (part % 4) {
    case 0:
        look();
        break;
    case 1:
        stage();
        break;
    case 2:
        open_and_work();
        break;
    default:
        look();
        if (open_and_work() && sound) {
            look_again();
        }
        break;
    }
}
