/* SPDX-License-Identifier: MIT */
/* ctrack_export(): a whole, consistent file of its own, or nothing. */
#include "support.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---------------------------------------------------------------- helpers */

static ctrack_status export_to(fixture *f, const char *path, ctrack_export_mode mode)
{
    return ctrack_export(f->tracker, path, mode, NULL, NULL, &f->error);
}

static void assert_exported(fixture *f, const char *path, ctrack_export_mode mode)
{
    ctrack_status status = export_to(f, path, mode);
    if (status != CTRACK_OK) {
        fail_msg("export %s: %s: %s", path, ctrack_status_name(status), f->error.message);
    }
    assert_status(ctrack_check(path, 0, NULL, NULL, NULL, NULL), CTRACK_OK);
}

/* Files in a directory whose names begin with that of the copy: "copy". */
static int copies_in(const char *path)
{
    DIR *directory = opendir(path);
    assert_non_null(directory);
    int count = 0;
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        count += strncmp(entry->d_name, "copy", 4) == 0;
    }
    closedir(directory);
    return count;
}

static mode_t mode_of(const char *path)
{
    struct stat status;
    assert_int_equal(lstat(path, &status), 0);
    return status.st_mode & 07777;
}

static void assert_content(const char *path, const char *expected)
{
    size_t size;
    unsigned char *bytes = read_file(path, &size);
    assert_int_equal(size, strlen(expected));
    assert_memory_equal(bytes, expected, size);
    free(bytes);
}

/* A database that has tables of its own, and a tracker in it. */
static void open_in_host(fixture *f)
{
    struct sqlite3 *db = db_open(f->path);
    db_run(db, "CREATE TABLE secrets (text); INSERT INTO secrets VALUES ('not for everybody');"
               "CREATE INDEX by_text ON secrets (text); PRAGMA user_version = 7;");
    db_close(db);
    f->tracker = open_file(f->path);
}

enum { SHORT_KEYS = 20000, LONG_KEYS = 300 };

/* More rows than are copied at once, and with LONG_KEYS more pages. */
static void update_many_keys(ctrack *tracker, int long_keys)
{
    ctrack_coordinate *batch = calloc(SHORT_KEYS + LONG_KEYS, sizeof *batch);
    char(*names)[16] = calloc(SHORT_KEYS, sizeof *names);
    char *texts[LONG_KEYS];
    assert_true(batch != NULL && names != NULL);
    for (int i = 0; i < SHORT_KEYS; i++) {
        snprintf(names[i], sizeof names[i], "doc-%d", i);
        batch[i] = at(names[i], 7);
    }
    for (int i = 0; i < long_keys; i++) {
        texts[i] = repeated('x', 60000);
        texts[i][i] = 'y';
        batch[SHORT_KEYS + i] = at(texts[i], 7);
    }
    assert_status(ctrack_update(tracker, batch, SHORT_KEYS + (size_t)long_keys, NULL), CTRACK_OK);
    for (int i = 0; i < long_keys; i++) {
        free(texts[i]);
    }
    free(names);
    free(batch);
}

/* ---------------------------------------------------------------- what comes along */

static void test_export_has_all_progress_in_one_file(void **state)
{
    fixture *f = *state;
    char path[300];
    for (int i = 0; i < 300; i++) {
        char name[20];
        snprintf(name, sizeof name, "doc-%d", i);
        update(f->tracker, name, i);
    }
    assert_exported(f, path_in(f, "copy.db", path), CTRACK_EXPORT_NEW);
    assert_int_equal(copies_in(f->directory), 1);
    ctrack *copy = open_file(path);
    assert_same_progress(f->tracker, copy);
    close_tracker(&copy);
}

static void test_export_is_a_tracker_that_goes_on(void **state)
{
    fixture *f = *state;
    char path[300];
    update(f->tracker, "doc-1", 5);
    assert_exported(f, path_in(f, "copy.db", path), CTRACK_EXPORT_NEW);
    ctrack *copy = open_file(path);
    update(copy, "doc-1", 6);
    update(copy, "doc-2", 1);
    update(f->tracker, "doc-1", 7);
    assert_int_equal(latest(copy, "doc-1"), 6);
    assert_int_equal(latest(f->tracker, "doc-1"), 7);
    close_tracker(&copy);
    assert_int_equal(db_integer_once(path, "SELECT count(*) FROM ctrack_progress"), 2);
    db_run_once(path, "INSERT INTO ctrack_progress (read_model, document_id, scope, branch, operation_index) "
                      "VALUES ('default', 'doc-3', 'document', 'main', 1)");
    assert_int_equal(db_integer_once(path, "SELECT count(*) FROM ctrack_progress"), 3);
}

static void test_all_read_models_come_along(void **state)
{
    fixture *f = *state;
    char path[300];
    f->tracker = open_model(f->path, "orders");
    ctrack *stock = open_model(f->path, "stock");
    update(f->tracker, "doc-1", 5);
    update(stock, "doc-2", 6);
    assert_exported(f, path_in(f, "copy.db", path), CTRACK_EXPORT_NEW);
    ctrack *copy = open_model(path, "stock");
    assert_same_progress(stock, copy);
    close_tracker(&copy);
    close_tracker(&stock);
    copy = open_model(path, "orders");
    assert_same_progress(f->tracker, copy);
    close_tracker(&copy);
}

static void test_folded_progress_and_log_come_along(void **state)
{
    fixture *f = *state;
    char path[300];
    ctrack_key gone = key("doc-gone");
    update(f->tracker, "doc-1", 5);
    update(f->tracker, "doc-gone", 5);
    assert_status(ctrack_forget(f->tracker, &gone, 1, NULL), CTRACK_OK);
    update(f->tracker, "doc-1", 6);
    assert_exported(f, path_in(f, "copy.db", path), CTRACK_EXPORT_NEW);
    ctrack *copy = open_file(path);
    assert_same_progress(f->tracker, copy);
    close_tracker(&copy);
    assert_int_equal(db_integer_once(path, "SELECT max(seq) FROM ctrack_advance"),
                     db_integer_once(f->path, "SELECT max(seq) FROM ctrack_advance"));
}

static void test_other_tables_of_the_database_stay_behind(void **state)
{
    fixture *f = *state;
    char path[300];
    open_in_host(f);
    update_many_keys(f->tracker, 20);
    update(f->tracker, "\xC3\xA4\xE2\x82\xAC\xF0\x9F\x98\x80", 7);
    assert_exported(f, path_in(f, "copy.db", path), CTRACK_EXPORT_NEW);
    ctrack *copy = open_file(path);
    assert_same_progress(f->tracker, copy);
    close_tracker(&copy);
    assert_int_equal(db_integer_once(path, "SELECT count(*) FROM sqlite_schema WHERE tbl_name NOT LIKE 'ctrack%'"), 0);
    assert_int_equal(db_integer_once(path, "PRAGMA user_version"), 0);
    size_t size;
    unsigned char *bytes = read_file(path, &size);
    for (size_t i = 0; i + 17 < size; i++) {
        assert_true(memcmp(bytes + i, "not for everybody", 17) != 0);
    }
    free(bytes);
}

static void test_tracker_in_memory_becomes_a_file(void **state)
{
    fixture *f = *state;
    char path[300];
    ctrack_coordinate batch[] = {at("doc-1", 5), coordinate("doc-1", "drive", "main", 0),
                                 coordinate("", "drive", "", INT64_MAX), at("doc-2", 1)};
    assert_status(ctrack_update(f->tracker, batch, 4, NULL), CTRACK_OK);
    assert_exported(f, path_in(f, "copy.db", path), CTRACK_EXPORT_NEW);
    assert_int_equal(mode_of(path), 0600);
    ctrack *copy = open_file(path);
    assert_same_progress(f->tracker, copy);
    close_tracker(&copy);
}

static void test_tracker_without_progress_becomes_an_empty_file(void **state)
{
    fixture *f = *state;
    char path[300];
    assert_exported(f, path_in(f, "copy.db", path), CTRACK_EXPORT_NEW);
    ctrack *copy = open_file(path);
    assert_int_equal(entry_count(copy), 0);
    close_tracker(&copy);
}

static void test_export_has_the_permissions_of_the_file(void **state)
{
    fixture *f = *state;
    char path[300];
    assert_int_equal(chmod(f->path, 0640), 0);
    assert_exported(f, path_in(f, "copy.db", path), CTRACK_EXPORT_NEW);
    assert_int_equal(mode_of(path), 0640);
}

enum { OWNER = 65534, GROUP = 65533, OTHER_OWNER = 65532, OTHER_GROUP = 65531 }; /* of nobody's */

static void give_away(const char *path, uid_t owner, gid_t group, mode_t mode)
{
    if (geteuid() != 0) {
        print_message("SKIPPED: only root can give a file away: the owner of an export is NOT tested\n");
        skip();
    }
    assert_int_equal(chown(path, owner, group), 0);
    assert_int_equal(chmod(path, mode), 0);
}

static void assert_belongs_to(const char *path, uid_t owner, gid_t group, mode_t mode)
{
    struct stat found;
    assert_int_equal(stat(path, &found), 0);
    assert_int_equal(found.st_uid, owner);
    assert_int_equal(found.st_gid, group);
    assert_int_equal(found.st_mode & 0777, mode);
}

static void test_export_by_root_belongs_to_the_owner_of_the_file(void **state)
{
    fixture *f = *state;
    char path[300];
    give_away(f->path, OWNER, GROUP, 0640);
    assert_exported(f, path_in(f, "copy.db", path), CTRACK_EXPORT_NEW);
    assert_belongs_to(path, OWNER, GROUP, 0640);
}

static void test_export_by_root_leaves_a_file_that_it_replaces_its_owner(void **state)
{
    fixture *f = *state;
    char path[300];
    give_away(f->path, OWNER, GROUP, 0640);
    path_in(f, "copy.db", path);
    assert_exported(f, path, CTRACK_EXPORT_NEW);
    give_away(path, OTHER_OWNER, OTHER_GROUP, 0604);
    assert_exported(f, path, CTRACK_EXPORT_REPLACE);
    assert_belongs_to(path, OTHER_OWNER, OTHER_GROUP, 0604);
}

/* ---------------------------------------------------------------- while others write */

enum { TOGETHER = 64 };

typedef struct writer {
    fixture *f;
    atomic_bool stop;
    atomic_int status;
} writer;

/* All keys have the same index after each batch. */
static void *write_on(void *argument)
{
    writer *w = argument;
    char names[TOGETHER][80];
    ctrack_coordinate batch[TOGETHER];
    for (int64_t index = 0; !atomic_load(&w->stop); index++) {
        for (int i = 0; i < TOGETHER; i++) {
            snprintf(names[i], sizeof names[i], "doc-%d-of-those-that-are-written-together", i);
            batch[i] = at(names[i], index);
        }
        ctrack_status status = ctrack_update(w->f->tracker, batch, TOGETHER, NULL);
        if (status != CTRACK_OK) {
            atomic_store(&w->status, (int)status);
            break;
        }
        gate_open(&w->f->gate);
    }
    gate_open(&w->f->gate);
    return NULL;
}

/* The index that all keys of a copy have. */
static int64_t common_index(const char *path)
{
    ctrack *copy = open_file(path);
    ctrack_snapshot *snapshot = NULL;
    assert_status(ctrack_serialize(copy, &snapshot, NULL), CTRACK_OK);
    assert_int_equal(ctrack_snapshot_count(snapshot), TOGETHER);
    int64_t index = ctrack_snapshot_entries(snapshot)[0].operation_index;
    for (int i = 1; i < TOGETHER; i++) {
        assert_int_equal(ctrack_snapshot_entries(snapshot)[i].operation_index, index);
    }
    ctrack_snapshot_free(snapshot);
    close_tracker(&copy);
    return index;
}

static void assert_consistent_while_written(fixture *f)
{
    char path[300];
    writer w = {.f = f};
    int64_t before = -1;
    pthread_t thread = thread_start(write_on, &w);
    gate_pass(&f->gate);
    path_in(f, "copy.db", path);
    for (int i = 0; i < 20; i++) {
        ctrack_status status = export_to(f, path, CTRACK_EXPORT_REPLACE);
        if (status != CTRACK_OK) {
            print_error("export: %s\n", f->error.message);
        }
        atomic_store(&w.stop, status != CTRACK_OK || i == 19);
        if (atomic_load(&w.stop)) {
            thread_join(thread);
        }
        assert_status(status, CTRACK_OK);
        int64_t index = common_index(path);
        assert_true(index >= before);
        before = index;
    }
    assert_int_equal(atomic_load(&w.status), CTRACK_OK);
}

static void test_export_is_of_one_moment_while_others_write(void **state)
{
    assert_consistent_while_written(*state);
}

static void test_export_from_a_host_is_of_one_moment_while_others_write(void **state)
{
    fixture *f = *state;
    open_in_host(f);
    assert_consistent_while_written(f);
}

typedef struct rewriter {
    ctrack *other;
    ctrack_status status;
    int calls;
} rewriter;

/* Replaces all progress when the copy has begun. */
static int replace_progress(uint64_t done, uint64_t total, void *argument)
{
    rewriter *r = argument;
    const ctrack_coordinate entries[] = {at("doc-1", 1)};
    if (r->calls++ == 0 && done < total) {
        r->status = ctrack_hydrate(r->other, entries, 1, NULL);
    }
    return 0;
}

static void assert_unmoved_by_a_rewrite(fixture *f)
{
    char path[300];
    ctrack_key forgotten = key("doc-0");
    update_many_keys(f->tracker, LONG_KEYS);
    assert_status(ctrack_forget(f->tracker, &forgotten, 1, NULL), CTRACK_OK); /* and so folds all */
    rewriter r = {.other = open_file(f->path), .status = CTRACK_PENDING};
    path_in(f, "copy.db", path);
    ctrack_status status = ctrack_export(f->tracker, path, CTRACK_EXPORT_NEW, replace_progress, &r, &f->error);
    size_t left = entry_count(r.other);
    close_tracker(&r.other);
    assert_status(status, CTRACK_OK);
    assert_status(r.status, CTRACK_OK);
    assert_int_equal(left, 1);
    ctrack *copy = open_file(path);
    size_t copied = entry_count(copy);
    close_tracker(&copy);
    assert_int_equal(copied, SHORT_KEYS + LONG_KEYS - 1);
    assert_status(ctrack_check(path, 0, NULL, NULL, NULL, NULL), CTRACK_OK);
}

static void test_rewrite_during_the_copy_is_not_in_it(void **state)
{
    assert_unmoved_by_a_rewrite(*state);
}

static void test_rewrite_during_the_copy_from_a_host_is_not_in_it(void **state)
{
    fixture *f = *state;
    open_in_host(f);
    assert_unmoved_by_a_rewrite(f);
}

static void count_message(ctrack_status status, const char *message, void *argument)
{
    print_error("the tracker says: %s: %s\n", ctrack_status_name(status), message);
    atomic_fetch_add((atomic_int *)argument, 1);
}

/* A reader that stays keeps part of the write-ahead log, which grows beyond the size at which it is checkpointed. */
static void test_readers_do_not_make_the_tracker_complain_of_checkpoints(void **state)
{
    fixture *f = *state;
    atomic_int messages = 0;
    ctrack_options options = CTRACK_OPTIONS_INIT;
    options.log = count_message;
    options.log_argument = &messages;
    options.durability = CTRACK_DURABLE_NORMAL;
    assert_status(ctrack_open(f->path, &options, &f->tracker, NULL), CTRACK_OK);
    update(f->tracker, "doc-1", 1);
    struct sqlite3 *reader = db_open(f->path);
    db_run(reader, "BEGIN; SELECT count(*) FROM ctrack_advance;");
    char *name = repeated('x', 60000);
    for (int64_t i = 0; i < 1300; i++) {
        name[i % 100] = (char)('a' + i / 100);
        update(f->tracker, name, i);
    }
    db_run(reader, "COMMIT");
    db_close(reader);
    free(name);
    close_tracker(&f->tracker); /* and ends the thread that checkpoints */
    assert_int_equal(messages, 0);
    assert_status(ctrack_check(f->path, 0, NULL, NULL, NULL, NULL), CTRACK_OK);
}

/* ---------------------------------------------------------------- the target */

static void test_existing_file_is_refused_and_untouched(void **state)
{
    fixture *f = *state;
    char path[300];
    write_file(path_in(f, "copy.db", path), "old", 3);
    assert_status(export_to(f, path, CTRACK_EXPORT_NEW), CTRACK_MISUSE);
    assert_content(path, "old");
    assert_int_equal(copies_in(f->directory), 1);
}

static int make_target(uint64_t done, uint64_t total, void *argument)
{
    const char *path = argument;
    if (done == total && !file_exists(path)) {
        write_file(path, "came first", 10);
    }
    return 0;
}

static void test_file_that_appears_meanwhile_is_not_replaced(void **state)
{
    fixture *f = *state;
    char path[300];
    path_in(f, "copy.db", path);
    assert_status(ctrack_export(f->tracker, path, CTRACK_EXPORT_NEW, make_target, path, &f->error), CTRACK_MISUSE);
    assert_content(path, "came first");
    assert_int_equal(copies_in(f->directory), 1);
}

static int remove_unfinished(uint64_t done, uint64_t total, void *argument)
{
    glob_t found;
    if (done == total && glob(argument, 0, NULL, &found) == 0) {
        unlink(found.gl_pathv[0]);
        globfree(&found);
    }
    return 0;
}

static void test_copy_that_somebody_removes_before_it_has_its_name_is_not_there(void **state)
{
    fixture *f = *state;
    char path[300], pattern[310];
    snprintf(pattern, sizeof pattern, "%s.*", path_in(f, "copy.db", path));
    assert_status(ctrack_export(f->tracker, path, CTRACK_EXPORT_NEW, remove_unfinished, pattern, &f->error), CTRACK_IO);
    assert_int_equal(copies_in(f->directory), 0);
}

static int become_nobody(uint64_t done, uint64_t total, void *argument)
{
    (void)argument;
    return done == total && geteuid() == 0 && seteuid(65534) != 0;
}

static void test_copy_that_cannot_be_completed_is_not_there(void **state)
{
    fixture *f = *state;
    char path[300];
    if (geteuid() != 0) {
        skip(); /* who is nobody already may change what is his */
    }
    assert_int_equal(chmod(f->directory, 0777), 0);
    ctrack_status status =
        ctrack_export(f->tracker, path_in(f, "copy.db", path), CTRACK_EXPORT_REPLACE, become_nobody, NULL, &f->error);
    assert_int_equal(seteuid(0), 0);
    assert_status(status, CTRACK_IO);
    assert_int_equal(copies_in(f->directory), 0);
}

static int make_link(uint64_t done, uint64_t total, void *argument)
{
    const char *path = argument;
    return done == total && symlink("elsewhere", path) != 0 && errno != EEXIST;
}

static void test_link_that_appears_meanwhile_is_not_replaced(void **state)
{
    fixture *f = *state;
    char path[300];
    path_in(f, "copy.db", path);
    assert_status(ctrack_export(f->tracker, path, CTRACK_EXPORT_REPLACE, make_link, path, &f->error), CTRACK_INVALID);
    assert_contains(f->error.message, "not a regular file");
    assert_int_equal(copies_in(f->directory), 1);
}

static void test_existing_file_is_replaced_when_asked(void **state)
{
    fixture *f = *state;
    char path[300];
    write_file(path_in(f, "copy.db", path), "old", 3);
    assert_exported(f, path, CTRACK_EXPORT_REPLACE);
    update(f->tracker, "doc-1", 5);
    assert_exported(f, path, CTRACK_EXPORT_REPLACE);
    assert_int_equal(copies_in(f->directory), 1);
    ctrack *copy = open_file(path);
    assert_int_equal(latest(copy, "doc-1"), 5);
    close_tracker(&copy);
}

static void test_old_file_with_two_names_is_replaced_under_one(void **state)
{
    fixture *f = *state;
    char path[300], other[300];
    update(f->tracker, "doc-1", 5);
    db_run_once(path_in(f, "copy.db", path), "CREATE TABLE t (a); INSERT INTO t VALUES (7)");
    assert_int_equal(link(path, path_in(f, "other", other)), 0);
    assert_exported(f, path, CTRACK_EXPORT_REPLACE);
    assert_int_equal(db_integer_once(other, "SELECT a FROM t"), 7);
}

static void test_replacing_does_not_need_an_old_file(void **state)
{
    fixture *f = *state;
    char path[300];
    assert_exported(f, path_in(f, "copy.db", path), CTRACK_EXPORT_REPLACE);
}

static void test_symbolic_link_is_refused(void **state)
{
    fixture *f = *state;
    char path[300], other[300];
    write_file(path_in(f, "other", other), "old", 3);
    assert_int_equal(symlink(other, path_in(f, "copy.db", path)), 0);
    assert_status(export_to(f, path, CTRACK_EXPORT_NEW), CTRACK_INVALID);
    assert_status(export_to(f, path, CTRACK_EXPORT_REPLACE), CTRACK_INVALID);
    assert_content(other, "old");
    assert_int_equal(unlink(other), 0);
    assert_status(export_to(f, path, CTRACK_EXPORT_NEW), CTRACK_INVALID);
    assert_false(file_exists(other));
}

static void test_own_file_is_refused_under_every_name(void **state)
{
    fixture *f = *state;
    char path[300];
    update(f->tracker, "doc-1", 5);
    assert_status(export_to(f, f->path, CTRACK_EXPORT_NEW), CTRACK_INVALID);
    assert_status(export_to(f, f->path, CTRACK_EXPORT_REPLACE), CTRACK_INVALID);
    assert_contains(f->error.message, "own file");
    assert_int_equal(link(f->path, path_in(f, "copy.db", path)), 0);
    assert_status(export_to(f, path, CTRACK_EXPORT_REPLACE), CTRACK_INVALID);
    assert_int_equal(unlink(path), 0); /* a file with two names is not opened */
    snprintf(path, sizeof path, "%s-wal", f->path);
    assert_status(export_to(f, path, CTRACK_EXPORT_REPLACE), CTRACK_INVALID);
    snprintf(path, sizeof path, "%s-journal", f->path);
    assert_status(export_to(f, path, CTRACK_EXPORT_NEW), CTRACK_INVALID);
    update(f->tracker, "doc-1", 6);
    reopen(f);
    assert_int_equal(latest(f->tracker, "doc-1"), 6);
}

static void test_bad_arguments_are_invalid(void **state)
{
    fixture *f = *state;
    char path[300];
    path_in(f, "copy.db", path);
    assert_status(export_to(f, NULL, CTRACK_EXPORT_NEW), CTRACK_INVALID);
    assert_status(export_to(f, "", CTRACK_EXPORT_NEW), CTRACK_INVALID);
    assert_status(export_to(f, ":memory:", CTRACK_EXPORT_NEW), CTRACK_INVALID);
    assert_status(export_to(f, "file:copy.db", CTRACK_EXPORT_NEW), CTRACK_INVALID);
    assert_status(export_to(f, f->directory, CTRACK_EXPORT_REPLACE), CTRACK_INVALID);
    assert_status(export_to(f, path, (ctrack_export_mode)2), CTRACK_INVALID);
    assert_status(ctrack_export(NULL, path, CTRACK_EXPORT_NEW, NULL, NULL, NULL), CTRACK_INVALID);
    assert_int_equal(copies_in(f->directory), 0);
}

static void test_name_with_odd_characters_is_a_plain_file_name(void **state)
{
    fixture *f = *state;
    char path[300];
    assert_exported(f, path_in(f, "copy ?mode=ro#%20'\";\xC3\xA9.db", path), CTRACK_EXPORT_NEW);
    assert_true(file_exists(path));
}

static void test_file_that_is_gone_or_another_is_not_exported(void **state)
{
    fixture *f = *state;
    char path[300], other[300];
    path_in(f, "copy.db", path);
    write_file(path_in(f, "other.db", other), "other", 5);
    assert_int_equal(rename(other, f->path), 0);
    assert_status(export_to(f, path, CTRACK_EXPORT_NEW), CTRACK_IO);
    assert_contains(f->error.message, "replaced by another file");
    assert_int_equal(unlink(f->path), 0);
    assert_status(export_to(f, path, CTRACK_EXPORT_NEW), CTRACK_IO);
    assert_contains(f->error.message, "is gone");
    assert_int_equal(copies_in(f->directory), 0);
}

static void test_missing_directory_is_an_io_error(void **state)
{
    fixture *f = *state;
    char path[300];
    assert_status(export_to(f, path_in(f, "missing/copy.db", path), CTRACK_EXPORT_NEW), CTRACK_IO);
    assert_status(export_to(f, "/proc/x", CTRACK_EXPORT_NEW), CTRACK_IO);
}

static void test_old_file_that_is_open_is_not_replaced(void **state)
{
    fixture *f = *state;
    char path[300];
    update(f->tracker, "doc-1", 5);
    ctrack *old = open_file(path_in(f, "copy.db", path));
    update(old, "doc-old", 9);
    assert_status(export_to(f, path, CTRACK_EXPORT_REPLACE), CTRACK_BUSY);
    update(old, "doc-old", 10);
    close_tracker(&old);
    assert_int_equal(copies_in(f->directory), 1);
    old = open_file(path);
    assert_int_equal(latest(old, "doc-old"), 10);
    close_tracker(&old);
}

/* Copies a database and its write-ahead log, as after a crash. */
static void copy_with_log(fixture *f, const char *path)
{
    static const char *const endings[] = {"", "-wal"};
    for (int i = 0; i < 2; i++) {
        char from[300], to[310];
        size_t size;
        snprintf(from, sizeof from, "%.230s/other.db%s", f->directory, endings[i]);
        snprintf(to, sizeof to, "%s%s", path, endings[i]);
        unsigned char *bytes = read_file(from, &size);
        assert_true(size > 0);
        write_file(to, bytes, size);
        free(bytes);
    }
}

static void leave_log_of_another(fixture *f, const char *path)
{
    char other[300];
    struct sqlite3 *db = db_open(path_in(f, "other.db", other));
    db_run(db, "PRAGMA journal_mode = WAL; CREATE TABLE other (a); INSERT INTO other VALUES (randomblob(9000));");
    copy_with_log(f, path);
    db_close(db);
}

/* What an export leaves that is killed, what it does not leave, and what is left beside both. */
static void test_export_removes_what_killed_ones_have_left(void **state)
{
    static const char *const left[] = {"copy.db.ctrack-Ab3xYz", "copy.db.ctrack-Ab3xYz-journal",
                                       "copy.db.ctrack-000000", "copy.db.ctrack-000000-wal"};
    static const char *const others[] = {"copy.db.ctrack-Ab3xY", "copy.db.ctrack-Ab3xYzz", "copy.db.ctrack-Ab3x.z",
                                         "copy.db.231105", "copy.dbb.ctrack-Ab3xYz"};
    fixture *f = *state;
    char path[300];
    for (size_t i = 0; i < sizeof left / sizeof left[0]; i++) {
        write_file(path_in(f, left[i], path), "x", 1);
    }
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        write_file(path_in(f, others[i], path), "x", 1);
    }
    assert_exported(f, path_in(f, "copy.db", path), CTRACK_EXPORT_NEW);
    assert_int_equal(copies_in(f->directory), 1 + sizeof others / sizeof others[0]);
}

/* Another export may be at work in the directory: what is there may be its own. */
static void test_export_beside_another_removes_nothing(void **state)
{
    fixture *f = *state;
    char path[300];
    int other = open(f->directory, O_RDONLY | O_CLOEXEC);
    assert_int_equal(flock(other, LOCK_SH), 0);
    write_file(path_in(f, "copy.db.ctrack-Ab3xYz", path), "x", 1);
    assert_exported(f, path_in(f, "copy.db", path), CTRACK_EXPORT_NEW);
    assert_int_equal(copies_in(f->directory), 2);
    assert_int_equal(close(other), 0);
    assert_exported(f, path, CTRACK_EXPORT_REPLACE);
    assert_int_equal(copies_in(f->directory), 1);
}

/* Whoever cleans up is waited for, but not for ever: it may be somebody else who has locked the directory. */
static void test_export_into_a_directory_that_is_locked_goes_on(void **state)
{
    fixture *f = *state;
    char path[300];
    int other = open(f->directory, O_RDONLY | O_CLOEXEC);
    assert_int_equal(flock(other, LOCK_EX), 0);
    assert_exported(f, path_in(f, "copy.db", path), CTRACK_EXPORT_NEW);
    assert_int_equal(close(other), 0);
}

static void test_log_that_an_old_file_has_left_does_not_spoil_the_new_one(void **state)
{
    fixture *f = *state;
    char path[300];
    update(f->tracker, "doc-1", 5);
    leave_log_of_another(f, path_in(f, "copy.db", path));
    assert_exported(f, path, CTRACK_EXPORT_REPLACE);
    assert_int_equal(copies_in(f->directory), 1);
    assert_int_equal(db_integer_once(path, "SELECT count(*) FROM sqlite_schema WHERE name = 'other'"), 0);
    assert_int_equal(db_integer_once(path, "SELECT operation_index FROM ctrack_progress"), 5);
}

static void test_log_without_its_file_is_in_the_way(void **state)
{
    fixture *f = *state;
    char path[300], wal[310];
    db_run_once(path_in(f, "copy.db", path), "CREATE TABLE old (a)");
    snprintf(wal, sizeof wal, "%s-shm", path);
    write_file(wal, "x", 1);
    assert_status(export_to(f, path, CTRACK_EXPORT_REPLACE), CTRACK_MISUSE);
    assert_int_equal(unlink(wal), 0);
    leave_log_of_another(f, path);
    assert_int_equal(unlink(path), 0);
    assert_status(export_to(f, path, CTRACK_EXPORT_NEW), CTRACK_MISUSE);
    assert_contains(f->error.message, "copy.db-wal is left over");
    assert_status(export_to(f, path, CTRACK_EXPORT_REPLACE), CTRACK_MISUSE);
    assert_false(file_exists(path));
    snprintf(wal, sizeof wal, "%s-wal", path);
    assert_int_equal(unlink(wal), 0);
    assert_exported(f, path, CTRACK_EXPORT_NEW);
}

static void test_log_beside_a_file_that_is_no_database_does_not_spoil_the_new_one(void **state)
{
    fixture *f = *state;
    char path[300];
    static const char text[] = "no database";
    update(f->tracker, "doc-1", 5);
    leave_log_of_another(f, path_in(f, "copy.db", path));
    write_file(path, text, strlen(text));
    ctrack_status status = export_to(f, path, CTRACK_EXPORT_REPLACE);
    if (status == CTRACK_OK) {
        assert_status(ctrack_check(path, 0, NULL, NULL, NULL, NULL), CTRACK_OK);
        assert_int_equal(copies_in(f->directory), 1);
    } else {
        assert_status(status, CTRACK_MISUSE);
        assert_contains(f->error.message, "copy.db-wal is left over");
    }
}

/* ---------------------------------------------------------------- failures */

static void test_damaged_file_is_not_exported(void **state)
{
    fixture *f = *state;
    char path[300];
    update(f->tracker, "doc-1", 5);
    db_run_once(f->path, "UPDATE ctrack_fold SET folded_seq = 99");
    assert_status(export_to(f, path_in(f, "copy.db", path), CTRACK_EXPORT_NEW), CTRACK_CORRUPT);
    assert_contains(f->error.message, "ctrack_fold: folded_seq is 99");
    assert_int_equal(copies_in(f->directory), 0);
}

typedef struct countdown {
    int left;
    uint64_t done;
    bool falls;
} countdown;

static int stop_at_zero(uint64_t done, uint64_t total, void *argument)
{
    countdown *c = argument;
    c->falls = c->falls || done < c->done || done > total;
    c->done = done;
    return c->left-- == 0;
}

/* Gives it up at the first call, then at later ones, until it comes to its end. */
static void assert_nothing_remains_when_given_up(fixture *f)
{
    char path[300];
    path_in(f, "copy.db", path);
    write_file(path, "old", 3);
    for (int n = 0;; n += 1 + n) {
        countdown c = {.left = n};
        ctrack_status status = ctrack_export(f->tracker, path, CTRACK_EXPORT_REPLACE, stop_at_zero, &c, &f->error);
        assert_false(c.falls);
        assert_int_equal(copies_in(f->directory), 1);
        if (status == CTRACK_OK) {
            assert_true(n > 1);
            break;
        }
        assert_status(status, CTRACK_ABORTED);
        assert_content(path, "old");
    }
    assert_status(ctrack_check(path, 0, NULL, NULL, NULL, NULL), CTRACK_OK);
}

static void test_export_that_is_given_up_leaves_nothing(void **state)
{
    fixture *f = *state;
    update_many_keys(f->tracker, LONG_KEYS);
    assert_nothing_remains_when_given_up(f);
}

static void test_export_from_a_host_that_is_given_up_leaves_nothing(void **state)
{
    fixture *f = *state;
    open_in_host(f);
    update_many_keys(f->tracker, 20);
    assert_nothing_remains_when_given_up(f);
}

static void test_full_disk_leaves_nothing(void **state)
{
    fixture *f = *state;
    char path[300], source[240];
    memcpy(source, f->path, sizeof source);
    if (!mount_small_disk(f, "1m")) {
        skip();
    }
    f->tracker = open_file(source);
    update_many_keys(f->tracker, 20);
    path_in(f, "disk/copy.db", path);
    write_file(path, "old", 3);
    assert_status(export_to(f, path, CTRACK_EXPORT_REPLACE), CTRACK_FULL);
    assert_int_equal(copies_in(f->disk), 1);
    assert_content(path, "old");
    assert_int_equal(unlink(path), 0);
    fill_disk(f);
    assert_status(export_to(f, path, CTRACK_EXPORT_NEW), CTRACK_FULL);
    assert_int_equal(copies_in(f->disk), 0);
}

static void test_directory_that_cannot_be_written_is_said(void **state)
{
    fixture *f = *state;
    char path[300], other[300], source[240];
    memcpy(source, f->path, sizeof source);
    if (!mount_small_disk(f, "2m")) {
        skip();
    }
    f->tracker = open_file(source);
    update(f->tracker, "doc-1", 5);
    assert_exported(f, path_in(f, "disk/copy.db", path), CTRACK_EXPORT_NEW);
    assert_int_equal(mount("tmpfs", f->disk, "tmpfs", MS_REMOUNT | MS_RDONLY, NULL), 0);
    assert_status(export_to(f, path_in(f, "disk/copy-2.db", other), CTRACK_EXPORT_NEW), CTRACK_READ_ONLY);
    /* But a copy can be read there. */
    ctrack_options options = CTRACK_OPTIONS_INIT;
    options.read_only = true;
    ctrack *copy = NULL;
    assert_status(ctrack_open(path, &options, &copy, &f->error), CTRACK_OK);
    assert_int_equal(latest(copy, "doc-1"), 5);
    assert_status(ctrack_check(path, 0, NULL, NULL, NULL, NULL), CTRACK_OK);
    close_tracker(&copy);
}

/* In a process of its own, whose files must not grow beyond a limit. */
static int export_under_a_limit(const char *mode, const char *directory)
{
    (void)mode;
    char source[300], path[300];
    ctrack *tracker = NULL;
    struct rlimit limit = {200000, 200000};
    snprintf(source, sizeof source, "%s/progress.db", directory);
    snprintf(path, sizeof path, "%s/copy.db", directory);
    signal(SIGXFSZ, SIG_IGN);
    if (ctrack_open(source, NULL, &tracker, NULL) != CTRACK_OK || setrlimit(RLIMIT_FSIZE, &limit) != 0) {
        return 100;
    }
    ctrack_status status = ctrack_export(tracker, path, CTRACK_EXPORT_NEW, NULL, NULL, NULL);
    ctrack_close(tracker, NULL);
    return (int)status;
}

static void test_limit_of_file_sizes_leaves_nothing(void **state)
{
    fixture *f = *state;
    update_many_keys(f->tracker, 20);
    close_tracker(&f->tracker);
    child c = child_start("limit", f->directory);
    assert_int_equal(child_finish(&c), CTRACK_IO);
    assert_int_equal(copies_in(f->directory), 0);
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        TEST_BOTH(test_export_has_all_progress_in_one_file),
        TEST_BOTH(test_export_is_a_tracker_that_goes_on),
        TEST(test_all_read_models_come_along),
        TEST_ON_FILE(test_folded_progress_and_log_come_along),
        TEST(test_other_tables_of_the_database_stay_behind),
        TEST_IN_MEMORY(test_tracker_in_memory_becomes_a_file),
        TEST_BOTH(test_tracker_without_progress_becomes_an_empty_file),
        TEST_ON_FILE(test_export_has_the_permissions_of_the_file),
        TEST_ON_FILE(test_export_by_root_belongs_to_the_owner_of_the_file),
        TEST_ON_FILE(test_export_by_root_leaves_a_file_that_it_replaces_its_owner),
        TEST_ON_FILE(test_export_is_of_one_moment_while_others_write),
        TEST(test_export_from_a_host_is_of_one_moment_while_others_write),
        TEST_ON_FILE(test_rewrite_during_the_copy_is_not_in_it),
        TEST(test_rewrite_during_the_copy_from_a_host_is_not_in_it),
        TEST(test_readers_do_not_make_the_tracker_complain_of_checkpoints),
        TEST_BOTH(test_existing_file_is_refused_and_untouched),
        TEST_BOTH(test_file_that_appears_meanwhile_is_not_replaced),
        TEST_BOTH(test_link_that_appears_meanwhile_is_not_replaced),
        TEST_BOTH(test_copy_that_somebody_removes_before_it_has_its_name_is_not_there),
        TEST_IN_MEMORY(test_copy_that_cannot_be_completed_is_not_there),
        TEST_BOTH(test_existing_file_is_replaced_when_asked),
        TEST_BOTH(test_old_file_with_two_names_is_replaced_under_one),
        TEST_BOTH(test_replacing_does_not_need_an_old_file),
        TEST_BOTH(test_symbolic_link_is_refused),
        TEST_ON_FILE(test_own_file_is_refused_under_every_name),
        TEST_BOTH(test_bad_arguments_are_invalid),
        TEST_BOTH(test_name_with_odd_characters_is_a_plain_file_name),
        TEST_ON_FILE(test_file_that_is_gone_or_another_is_not_exported),
        TEST_BOTH(test_missing_directory_is_an_io_error),
        TEST_ON_FILE(test_old_file_that_is_open_is_not_replaced),
        TEST_ON_FILE(test_log_that_an_old_file_has_left_does_not_spoil_the_new_one),
        TEST_ON_FILE(test_export_removes_what_killed_ones_have_left),
        TEST_ON_FILE(test_export_beside_another_removes_nothing),
        TEST_ON_FILE(test_export_into_a_directory_that_is_locked_goes_on),
        TEST_BOTH(test_log_without_its_file_is_in_the_way),
        TEST_BOTH(test_log_beside_a_file_that_is_no_database_does_not_spoil_the_new_one),
        TEST_ON_FILE(test_damaged_file_is_not_exported),
        TEST_BOTH(test_export_that_is_given_up_leaves_nothing),
        TEST(test_export_from_a_host_that_is_given_up_leaves_nothing),
        TEST(test_full_disk_leaves_nothing),
        TEST(test_directory_that_cannot_be_written_is_said),
        TEST_ON_FILE(test_limit_of_file_sizes_leaves_nothing),
    };
    return SUPPORT_MAIN(argc, argv, "export", tests, export_under_a_limit);
}
