/* SPDX-License-Identifier: MIT */
/* ctrack_open(): which paths, options and files it takes, and that it does not touch what it refuses. */
#include "support.h"

#include <dirent.h>
#include <sqlite3.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---------------------------------------------------------------- helpers */

/* Opens what must be refused; the out-parameter has to stay as it was. */
static ctrack_status open_refused(fixture *f, const char *path, const ctrack_options *options)
{
    ctrack *tracker = UNTOUCHED;
    f->error.status = CTRACK_OK;
    f->error.message[0] = '\0';
    ctrack_status status = ctrack_open(path, options, &tracker, &f->error);
    if (status == CTRACK_OK) {
        ctrack_close(tracker, NULL);
        return status;
    }
    assert_ptr_equal(tracker, UNTOUCHED);
    assert_status(f->error.status, status);
    assert_true(f->error.message[0] != '\0');
    assert_status(ctrack_open(path, options, &tracker, NULL), status);
    return status;
}

/* A tracker's file with one table of each kind in use, closed, and nothing left in a write-ahead log. */
static void make_file(fixture *f)
{
    f->tracker = open_file(f->path);
    update(f->tracker, "doc-1", 5);
    update(f->tracker, "doc-2", 7);
    close_tracker(&f->tracker);
    db_run_once(f->path, "PRAGMA wal_checkpoint(TRUNCATE)");
}

static void assert_refused_and_untouched(fixture *f, ctrack_status expected)
{
    size_t size_before = 0;
    size_t size_after = 0;
    unsigned char *before = read_file(f->path, &size_before);
    ctrack_status status = open_refused(f, f->path, NULL);
    unsigned char *after = read_file(f->path, &size_after);
    bool same = size_before == size_after && memcmp(before, after, size_before) == 0;
    free(before);
    free(after);
    assert_status(status, expected);
    assert_true(same);
}

static size_t entries_in_directory(const char *path)
{
    DIR *directory = opendir(path);
    assert_non_null(directory);
    size_t count = 0;
    for (struct dirent *entry = readdir(directory); entry != NULL; entry = readdir(directory)) {
        count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    }
    closedir(directory);
    return count;
}

/* ---------------------------------------------------------------- paths */

static void test_no_path_opens_a_tracker_in_memory(void **state)
{
    fixture *f = *state;
    f->tracker = open_in_memory();
    update(f->tracker, "doc-1", 5);
    assert_int_equal(latest(f->tracker, "doc-1"), 5);
}

static void test_a_tracker_in_memory_cannot_be_read_only(void **state)
{
    fixture *f = *state;
    ctrack_options options = CTRACK_OPTIONS_INIT;
    options.read_only = true;
    assert_status(ctrack_open(NULL, &options, &f->tracker, &f->error), CTRACK_INVALID);
    assert_contains(f->error.message, "read_only needs a file");
}

static void test_trackers_in_memory_are_separate(void **state)
{
    fixture *f = *state;
    f->tracker = open_in_memory();
    ctrack *other = open_in_memory();
    update(f->tracker, "doc-1", 5);
    assert_int_equal(latest(other, "doc-1"), NEVER_SEEN);
    close_tracker(&other);
}

static void test_new_file_is_created(void **state)
{
    fixture *f = *state;
    f->tracker = open_file(f->path);
    assert_true(file_exists(f->path));
}

/* Names that SQLite would not take for a file, tried where a file of that name would show. */
static void assert_name_is_invalid(fixture *f, const char *name)
{
    char back[4096];
    assert_non_null(getcwd(back, sizeof back));
    assert_int_equal(chdir(f->directory), 0);
    ctrack_status status = open_refused(f, name, NULL);
    assert_int_equal(chdir(back), 0);
    assert_status(status, CTRACK_INVALID);
    assert_int_equal(entries_in_directory(f->directory), 0);
}

static void test_empty_name_is_invalid(void **state)
{
    assert_name_is_invalid(*state, "");
}

static void test_name_of_a_directory_is_invalid(void **state)
{
    assert_name_is_invalid(*state, ".");
    assert_name_is_invalid(*state, "..");
    assert_contains(((fixture *)*state)->error.message, "not the name of a file");
    assert_name_is_invalid(*state, "./");
}

static void test_memory_name_is_invalid(void **state)
{
    assert_name_is_invalid(*state, ":memory:");
}

static void test_file_uri_is_invalid(void **state)
{
    assert_name_is_invalid(*state, "file:progress.db");
}

static void test_file_uri_with_parameters_is_invalid(void **state)
{
    assert_name_is_invalid(*state, "file:progress.db?mode=memory&cache=shared");
}

static void test_absolute_file_uri_is_invalid(void **state)
{
    assert_name_is_invalid(*state, "file:///tmp/progress.db?nolock=1");
}

static void test_relative_path_is_made_absolute(void **state)
{
    fixture *f = *state;
    char back[4096];
    assert_non_null(getcwd(back, sizeof back));
    assert_int_equal(chdir(f->directory), 0);
    ctrack_status status = ctrack_open("progress.db", NULL, &f->tracker, NULL);
    assert_int_equal(chdir(back), 0);
    assert_status(status, CTRACK_OK);
    update(f->tracker, "doc-1", 5);
    reopen(f);
    assert_int_equal(latest(f->tracker, "doc-1"), 5);
}

static void test_name_with_odd_characters_is_a_plain_file_name(void **state)
{
    fixture *f = *state;
    char path[300];
    path_in(f, "a b?mode=ro#%20\xC3\xA9.db", path);
    f->tracker = open_file(path);
    update(f->tracker, "doc-1", 5);
    assert_true(file_exists(path));
}

static void test_symbolic_link_as_the_last_component_is_refused(void **state)
{
    fixture *f = *state;
    make_file(f);
    char link[300];
    assert_int_equal(symlink(f->path, path_in(f, "link.db", link)), 0);
    assert_status(open_refused(f, link, NULL), CTRACK_INVALID);
}

static void test_dangling_symbolic_link_is_refused_and_its_target_not_created(void **state)
{
    fixture *f = *state;
    char link[300];
    assert_int_equal(symlink(f->path, path_in(f, "link.db", link)), 0);
    assert_status(open_refused(f, link, NULL), CTRACK_INVALID);
    assert_false(file_exists(f->path));
}

static void test_symbolic_link_as_a_directory_is_fine(void **state)
{
    fixture *f = *state;
    char directory[300];
    char link[300];
    char path[320];
    assert_int_equal(mkdir(path_in(f, "directory", directory), 0700), 0);
    assert_int_equal(symlink(directory, path_in(f, "link", link)), 0);
    snprintf(path, sizeof path, "%s/progress.db", link);
    f->tracker = open_file(path);
    assert_true(file_exists(path_in(f, "directory/progress.db", link)));
}

static void test_missing_directory_is_an_io_error(void **state)
{
    fixture *f = *state;
    char path[300];
    assert_status(open_refused(f, path_in(f, "missing/progress.db", path), NULL), CTRACK_IO);
}

static void test_directory_is_refused(void **state)
{
    fixture *f = *state;
    assert_true(open_refused(f, f->directory, NULL) != CTRACK_OK);
    assert_int_equal(entries_in_directory(f->directory), 0);
}

static void test_fifo_is_refused(void **state)
{
    fixture *f = *state;
    assert_int_equal(mkfifo(f->path, 0600), 0);
    assert_true(open_refused(f, f->path, NULL) != CTRACK_OK);
}

static void test_endless_name_is_refused(void **state)
{
    fixture *f = *state;
    char *path = repeated('x', 100000);
    path[0] = '/';
    assert_true(open_refused(f, path, NULL) != CTRACK_OK);
    free(path);
}

/* ---------------------------------------------------------------- permissions */

static mode_t mode_of(const char *path)
{
    struct stat status;
    assert_int_equal(stat(path, &status), 0);
    return status.st_mode & 0777;
}

static void assert_new_file_is_private(fixture *f, mode_t mask)
{
    mode_t before = umask(mask);
    ctrack_status status = ctrack_open(f->path, NULL, &f->tracker, &f->error);
    umask(before);
    assert_status(status, CTRACK_OK);
    update(f->tracker, "doc-1", 5);
    assert_int_equal(mode_of(f->path), 0600);
    char path[300];
    assert_int_equal(mode_of(path_in(f, "progress.db-wal", path)), 0600);
}

static void test_new_file_has_mode_0600(void **state)
{
    assert_new_file_is_private(*state, 022);
}

static void test_new_file_has_mode_0600_whatever_the_umask_allows(void **state)
{
    assert_new_file_is_private(*state, 0);
}

static void test_mode_of_an_existing_file_is_kept(void **state)
{
    fixture *f = *state;
    make_file(f);
    assert_int_equal(chmod(f->path, 0640), 0);
    f->tracker = open_file(f->path);
    update(f->tracker, "doc-1", 6);
    assert_int_equal(mode_of(f->path), 0640);
}

/* ---------------------------------------------------------------- files of others */

static void test_empty_file_is_taken_as_new(void **state)
{
    fixture *f = *state;
    write_file(f->path, "", 0);
    f->tracker = open_file(f->path);
    update(f->tracker, "doc-1", 5);
    reopen(f);
    assert_int_equal(latest(f->tracker, "doc-1"), 5);
}

static void make_host(fixture *f)
{
    db_run_once(f->path, "PRAGMA user_version = 42; PRAGMA application_id = 4711;"
                         "CREATE TABLE orders (id INTEGER PRIMARY KEY, total INTEGER);"
                         "CREATE INDEX orders_by_total ON orders (total);"
                         "CREATE TRIGGER orders_checked BEFORE INSERT ON orders BEGIN SELECT 1; END;"
                         "INSERT INTO orders VALUES (1, 100);");
}

static void test_database_of_a_host_is_joined(void **state)
{
    fixture *f = *state;
    make_host(f);
    f->tracker = open_file(f->path);
    update(f->tracker, "doc-1", 5);
    reopen(f);
    assert_int_equal(latest(f->tracker, "doc-1"), 5);
}

static void test_tables_of_a_host_are_left_alone(void **state)
{
    fixture *f = *state;
    make_host(f);
    f->tracker = open_file(f->path);
    update(f->tracker, "doc-1", 5);
    close_tracker(&f->tracker);
    assert_int_equal(db_integer_once(f->path, "SELECT total FROM orders"), 100);
    assert_int_equal(db_integer_once(f->path, "SELECT count(*) FROM sqlite_schema WHERE tbl_name = 'orders'"), 3);
}

static void test_user_version_and_application_id_are_left_alone(void **state)
{
    fixture *f = *state;
    make_host(f);
    f->tracker = open_file(f->path);
    close_tracker(&f->tracker);
    assert_int_equal(db_integer_once(f->path, "PRAGMA user_version"), 42);
    assert_int_equal(db_integer_once(f->path, "PRAGMA application_id"), 4711);
}

static void test_trigger_of_a_host_that_writes_our_view_is_fine(void **state)
{
    fixture *f = *state;
    make_host(f);
    f->tracker = open_file(f->path);
    close_tracker(&f->tracker);
    db_run_once(f->path, "CREATE TRIGGER orders_report AFTER INSERT ON orders BEGIN INSERT INTO ctrack_progress "
                         "VALUES ('default', 'order', 'document', 'main', new.id, NULL); END;"
                         "INSERT INTO orders VALUES (2, 200)");
    f->tracker = open_file(f->path);
    assert_int_equal(latest(f->tracker, "order"), 2);
}

/* ---------------------------------------------------------------- what is not ours, or not whole */

static void test_text_file_is_refused(void **state)
{
    fixture *f = *state;
    static const char text[] = "This is not a database, and it is not long.\n";
    write_file(f->path, text, sizeof text - 1);
    assert_refused_and_untouched(f, CTRACK_CORRUPT);
}

static void test_file_of_noise_is_refused(void **state)
{
    fixture *f = *state;
    unsigned char noise[16384];
    uint32_t random = 12345;
    for (size_t i = 0; i < sizeof noise; i++) {
        random = random * 1664525 + 1013904223;
        noise[i] = (unsigned char)(random >> 24);
    }
    write_file(f->path, noise, sizeof noise);
    assert_refused_and_untouched(f, CTRACK_CORRUPT);
}

static void test_header_of_a_database_followed_by_noise_is_refused(void **state)
{
    fixture *f = *state;
    make_file(f);
    size_t size = 0;
    unsigned char *bytes = read_file(f->path, &size);
    memset(bytes + 100, 0xA5, size - 100);
    write_file(f->path, bytes, size);
    free(bytes);
    assert_refused_and_untouched(f, CTRACK_CORRUPT);
}

static void make_large_file(fixture *f)
{
    f->tracker = open_file(f->path);
    for (int i = 0; i < 20; i++) {
        static char names[500][24];
        static ctrack_coordinate batch[500];
        for (int k = 0; k < 500; k++) {
            snprintf(names[k], sizeof names[k], "document-%d", i * 500 + k);
            batch[k] = at(names[k], i);
        }
        assert_status(ctrack_update(f->tracker, batch, 500, NULL), CTRACK_OK);
    }
    close_tracker(&f->tracker);
    db_run_once(f->path, "PRAGMA wal_checkpoint(TRUNCATE)");
}

static void assert_truncated_is_refused(fixture *f, size_t numerator, size_t denominator)
{
    make_large_file(f);
    size_t size = 0;
    free(read_file(f->path, &size));
    assert_int_equal(truncate(f->path, (off_t)(size * numerator / denominator)), 0);
    assert_refused_and_untouched(f, CTRACK_CORRUPT);
}

static void test_file_cut_in_the_middle_is_refused(void **state)
{
    assert_truncated_is_refused(*state, 1, 2);
}

static void test_file_that_lacks_its_last_bytes_is_refused(void **state)
{
    assert_truncated_is_refused(*state, 99, 100);
}

static void test_file_cut_in_its_header_is_refused(void **state)
{
    fixture *f = *state;
    make_file(f);
    assert_int_equal(truncate(f->path, 60), 0);
    assert_refused_and_untouched(f, CTRACK_CORRUPT);
}

/* Damage may hit what is not needed for loading; but then what is loaded must be right. */
static void test_damage_to_any_page_is_refused_or_harmless(void **state)
{
    fixture *f = *state;
    make_file(f);
    f->tracker = open_file(f->path);
    ctrack_snapshot *whole = NULL;
    assert_status(ctrack_serialize(f->tracker, &whole, NULL), CTRACK_OK);
    close_tracker(&f->tracker);
    db_run_once(f->path, "PRAGMA wal_checkpoint(TRUNCATE)");
    size_t size = 0;
    unsigned char *good = read_file(f->path, &size);
    for (size_t page = 0; page < size / 4096; page++) {
        unsigned char *bad = malloc(size);
        assert_non_null(bad);
        memcpy(bad, good, size);
        memset(bad + page * 4096 + (page == 0 ? 100 : 0), 0xFF, page == 0 ? 3996 : 4096);
        char wal[300];
        unlink(path_in(f, "progress.db-wal", wal));
        unlink(path_in(f, "progress.db-shm", wal));
        write_file(f->path, bad, size);
        free(bad);
        ctrack *tracker = NULL;
        ctrack_status status = ctrack_open(f->path, NULL, &tracker, NULL);
        if (status == CTRACK_OK) {
            ctrack_snapshot *loaded = NULL;
            assert_status(ctrack_serialize(tracker, &loaded, NULL), CTRACK_OK);
            assert_same_entries(whole, loaded);
            ctrack_snapshot_free(loaded);
            close_tracker(&tracker);
        } else {
            assert_status(status, CTRACK_CORRUPT);
        }
    }
    free(good);
    ctrack_snapshot_free(whole);
}

static void assert_altered_is_refused(fixture *f, const char *sql, ctrack_status expected)
{
    make_file(f);
    db_run_once(f->path, sql);
    assert_refused_and_untouched(f, expected);
}

static void test_database_in_utf_16_is_refused(void **state)
{
    fixture *f = *state;
    db_run_once(f->path, "PRAGMA encoding = 'UTF-16'; CREATE TABLE host (id INTEGER)");
    assert_refused_and_untouched(f, CTRACK_INVALID);
    assert_contains(f->error.message, "UTF-16");
}

static void test_newer_schema_is_refused(void **state)
{
    assert_altered_is_refused(
        *state, "INSERT INTO ctrack_migration (version, name, applied_at) VALUES (9999, 'later', 0)", CTRACK_SCHEMA);
}

static void test_newer_schema_is_not_put_into_wal_mode(void **state)
{
    assert_altered_is_refused(*state,
                              "PRAGMA journal_mode = DELETE;"
                              "INSERT INTO ctrack_migration (version, name, applied_at) VALUES (9999, 'later', 0)",
                              CTRACK_SCHEMA);
}

static void test_damaged_file_is_not_put_into_wal_mode(void **state)
{
    assert_altered_is_refused(*state,
                              "PRAGMA ignore_check_constraints = 1; UPDATE ctrack_latest SET operation_index = -5; "
                              "UPDATE ctrack_advance SET operation_index = -5; PRAGMA journal_mode = DELETE",
                              CTRACK_CORRUPT);
}

/* What a process that died has left in it is not moved into a file that is refused. */
static void test_refused_file_keeps_its_write_ahead_log(void **state)
{
    fixture *f = *state;
    char log[300];
    size_t before = 0, after = 0;
    make_file(f);
    struct sqlite3 *db = db_open(f->path);
    db_run(db, "INSERT INTO ctrack_migration VALUES (999, '0999_future', 0)");
    sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    db_close(db);
    free(read_file(path_in(f, "progress.db-wal", log), &before));
    assert_refused_and_untouched(f, CTRACK_SCHEMA);
    free(read_file(log, &after));
    assert_int_equal(before, after);
    assert_true(after > 0);
}

static void test_newer_schema_with_other_tables_is_refused_as_newer(void **state)
{
    assert_altered_is_refused(*state,
                              "ALTER TABLE ctrack_latest ADD COLUMN later TEXT;"
                              "INSERT INTO ctrack_migration (version, name, applied_at) VALUES (9999, 'later', 0)",
                              CTRACK_SCHEMA);
}

static void test_trigger_on_our_table_is_refused(void **state)
{
    assert_altered_is_refused(*state,
                              "CREATE TRIGGER swallow AFTER INSERT ON ctrack_advance BEGIN "
                              "DELETE FROM ctrack_advance WHERE seq = new.seq; END",
                              CTRACK_CORRUPT);
}

static void test_trigger_on_our_view_is_refused(void **state)
{
    assert_altered_is_refused(*state, "CREATE TRIGGER swallow INSTEAD OF INSERT ON ctrack_progress BEGIN SELECT 1; END",
                              CTRACK_CORRUPT);
}

static void test_index_on_our_table_is_refused(void **state)
{
    assert_altered_is_refused(*state, "CREATE UNIQUE INDEX extra ON ctrack_advance (updated_at, seq)", CTRACK_CORRUPT);
}

static void test_column_added_to_our_table_is_refused(void **state)
{
    assert_altered_is_refused(*state, "ALTER TABLE ctrack_latest ADD COLUMN extra TEXT", CTRACK_CORRUPT);
}

static void test_missing_table_is_refused(void **state)
{
    assert_altered_is_refused(*state, "DROP TABLE ctrack_advance", CTRACK_CORRUPT);
}

static void test_missing_ledger_is_refused(void **state)
{
    assert_altered_is_refused(*state, "DROP TABLE ctrack_migration", CTRACK_CORRUPT);
}

static void test_empty_ledger_is_refused(void **state)
{
    assert_altered_is_refused(*state, "DELETE FROM ctrack_migration", CTRACK_CORRUPT);
}

static void test_missing_view_is_refused(void **state)
{
    assert_altered_is_refused(*state, "DROP VIEW ctrack_progress", CTRACK_CORRUPT);
}

static void test_view_that_lies_is_refused(void **state)
{
    assert_altered_is_refused(*state,
                              "DROP VIEW ctrack_progress; CREATE VIEW ctrack_progress (read_model, document_id, "
                              "scope, branch, operation_index, updated_at) AS SELECT 1, 2, 3, 4, 5, 6",
                              CTRACK_CORRUPT);
}

static void test_table_turned_into_a_view_is_refused(void **state)
{
    assert_altered_is_refused(*state,
                              "ALTER TABLE ctrack_latest RENAME TO hidden;"
                              "CREATE VIEW ctrack_latest AS SELECT 1 AS coordinate_id, 2 AS operation_index, 3 AS "
                              "updated_at WHERE false",
                              CTRACK_CORRUPT);
}

static void test_constraint_loosened_by_hand_is_refused(void **state)
{
    assert_altered_is_refused(*state,
                              "PRAGMA writable_schema = 1; UPDATE sqlite_schema SET sql = replace(sql, "
                              "'operation_index >= 0', 'operation_index >= -9') WHERE name = 'ctrack_advance'",
                              CTRACK_CORRUPT);
}

static void test_negative_index_in_the_file_is_refused(void **state)
{
    assert_altered_is_refused(
        *state, "PRAGMA ignore_check_constraints = 1; UPDATE ctrack_advance SET operation_index = -5", CTRACK_CORRUPT);
}

static void test_bad_utf8_in_the_file_is_refused(void **state)
{
    assert_altered_is_refused(*state, "UPDATE ctrack_keyspace SET scope = CAST(x'C328' AS TEXT)", CTRACK_CORRUPT);
}

static void test_text_with_nul_in_the_file_is_refused(void **state)
{
    assert_altered_is_refused(*state, "UPDATE ctrack_keyspace SET branch = 'main' || char(0) || 'x'", CTRACK_CORRUPT);
}

static void test_text_too_long_in_the_file_is_refused(void **state)
{
    assert_altered_is_refused(*state, "UPDATE ctrack_keyspace SET scope = printf('%.*c', 65536, 'x')", CTRACK_CORRUPT);
}

/* ---------------------------------------------------------------- read only */

static ctrack *open_read_only(const char *path)
{
    ctrack_options options = CTRACK_OPTIONS_INIT;
    options.read_only = true;
    ctrack *tracker = NULL;
    ctrack_error error;
    ctrack_status status = ctrack_open(path, &options, &tracker, &error);
    if (status != CTRACK_OK) {
        print_error("open read-only: %s\n", error.message);
    }
    assert_status(status, CTRACK_OK);
    return tracker;
}

static void test_read_only_tracker_reads(void **state)
{
    fixture *f = *state;
    make_file(f);
    f->tracker = open_read_only(f->path);
    assert_int_equal(latest(f->tracker, "doc-1"), 5);
    assert_int_equal(entry_count(f->tracker), 2);
}

static void test_read_only_tracker_refuses_updates(void **state)
{
    fixture *f = *state;
    make_file(f);
    f->tracker = open_read_only(f->path);
    ctrack_coordinate progress = at("doc-1", 6);
    assert_status(ctrack_update(f->tracker, &progress, 1, &f->error), CTRACK_READ_ONLY);
    assert_int_equal(latest(f->tracker, "doc-1"), 5);
}

static void test_read_only_tracker_refuses_hydrate_and_forget(void **state)
{
    fixture *f = *state;
    make_file(f);
    f->tracker = open_read_only(f->path);
    ctrack_coordinate entry = at("doc-1", 6);
    ctrack_key forgotten = key("doc-1");
    assert_status(ctrack_hydrate(f->tracker, &entry, 1, NULL), CTRACK_READ_ONLY);
    assert_status(ctrack_forget(f->tracker, &forgotten, 1, NULL), CTRACK_READ_ONLY);
    assert_int_equal(latest(f->tracker, "doc-1"), 5);
}

static void test_read_only_tracker_waits_for_another_trackers_update(void **state)
{
    fixture *f = *state;
    make_file(f);
    f->tracker = open_read_only(f->path);
    ctrack *writer = open_file(f->path);
    ctrack_promise *promise = wait_for(f->tracker, "doc-1", 6);
    update(writer, "doc-1", 6);
    assert_status(ctrack_refresh(f->tracker, NULL), CTRACK_OK);
    assert_status(ctrack_promise_status(promise), CTRACK_OK);
    ctrack_promise_release(promise);
    close_tracker(&writer);
}

static void test_read_only_tracker_does_not_create_a_file(void **state)
{
    fixture *f = *state;
    ctrack_options options = CTRACK_OPTIONS_INIT;
    options.read_only = true;
    assert_status(open_refused(f, f->path, &options), CTRACK_IO);
    assert_false(file_exists(f->path));
}

static void test_read_only_tracker_leaves_the_file_unchanged(void **state)
{
    fixture *f = *state;
    make_file(f);
    size_t size_before = 0;
    size_t size_after = 0;
    unsigned char *before = read_file(f->path, &size_before);
    f->tracker = open_read_only(f->path);
    close_tracker(&f->tracker);
    unsigned char *after = read_file(f->path, &size_after);
    assert_int_equal(size_after, size_before);
    assert_memory_equal(after, before, size_before);
    free(before);
    free(after);
}

/* ---------------------------------------------------------------- options */

static void test_durability_normal_is_accepted(void **state)
{
    fixture *f = *state;
    ctrack_options options = CTRACK_OPTIONS_INIT;
    options.durability = CTRACK_DURABLE_NORMAL;
    assert_status(ctrack_open(f->path, &options, &f->tracker, NULL), CTRACK_OK);
    update(f->tracker, "doc-1", 5);
    reopen(f);
    assert_int_equal(latest(f->tracker, "doc-1"), 5);
}

static void test_unknown_durability_is_invalid(void **state)
{
    fixture *f = *state;
    ctrack_options options = CTRACK_OPTIONS_INIT;
    int unknown = 2;
    memcpy(&options.durability, &unknown, sizeof unknown);
    assert_status(open_refused(f, f->path, &options), CTRACK_INVALID);
    assert_false(file_exists(f->path));
}

static void test_read_model_with_bad_utf8_is_invalid(void **state)
{
    fixture *f = *state;
    ctrack_options options = CTRACK_OPTIONS_INIT;
    options.read_model = "\xFF";
    assert_status(open_refused(f, f->path, &options), CTRACK_INVALID);
    assert_false(file_exists(f->path));
}

static void test_read_model_that_is_too_long_is_invalid(void **state)
{
    fixture *f = *state;
    ctrack_options options = CTRACK_OPTIONS_INIT;
    char *name = repeated('x', CTRACK_TEXT_MAX + 1);
    options.read_model = name;
    assert_status(open_refused(f, f->path, &options), CTRACK_INVALID);
    free(name);
}

static void test_size_0_is_invalid(void **state)
{
    fixture *f = *state;
    ctrack_options options = CTRACK_OPTIONS_INIT;
    options.size = 0;
    assert_status(open_refused(f, f->path, &options), CTRACK_INVALID);
}

/* The caller's struct ends where its size says: in a block of that size a sanitizer sees any step beyond. */
static void open_with_prefix(fixture *f, size_t size)
{
    ctrack_options whole = CTRACK_OPTIONS_INIT;
    whole.size = size;
    whole.read_model = "short";
    ctrack_options *prefix = malloc(size);
    assert_non_null(prefix);
    memcpy(prefix, &whole, size);
    ctrack_status status = ctrack_open(f->path, prefix, &f->tracker, &f->error);
    free(prefix);
    assert_status(status, CTRACK_OK);
    update(f->tracker, "doc-1", 5);
}

static void test_options_may_end_after_the_read_model(void **state)
{
    open_with_prefix(*state, offsetof(ctrack_options, durability));
}

static void test_options_may_end_before_the_log_callback(void **state)
{
    open_with_prefix(*state, offsetof(ctrack_options, log));
}

static void test_options_that_end_early_count_as_far_as_they_go(void **state)
{
    fixture *f = *state;
    open_with_prefix(f, offsetof(ctrack_options, durability));
    close_tracker(&f->tracker);
    f->tracker = open_model(f->path, "short");
    assert_int_equal(latest(f->tracker, "doc-1"), 5);
}

static void test_options_are_borrowed_only_for_the_call(void **state)
{
    fixture *f = *state;
    char name[] = "orders";
    f->tracker = open_model(f->path, name);
    memset(name, 'x', sizeof name - 1);
    update(f->tracker, "doc-1", 5);
    close_tracker(&f->tracker);
    f->tracker = open_model(f->path, "orders");
    assert_int_equal(latest(f->tracker, "doc-1"), 5);
}

/* ---------------------------------------------------------------- busy, full, all at once */

static void test_new_tracker_in_a_locked_file_is_busy(void **state)
{
    fixture *f = *state;
    make_host(f);
    struct sqlite3 *db = db_open(f->path);
    db_run(db, "BEGIN IMMEDIATE");
    ctrack_options options = CTRACK_OPTIONS_INIT;
    options.busy_timeout_ms = 10;
    ctrack_status status = open_refused(f, f->path, &options);
    db_run(db, "ROLLBACK");
    db_close(db);
    assert_status(status, CTRACK_BUSY);
    f->tracker = open_file(f->path);
}

static void test_existing_tracker_opens_while_another_writes(void **state)
{
    fixture *f = *state;
    make_file(f);
    struct sqlite3 *db = db_open(f->path);
    db_run(db, "BEGIN IMMEDIATE");
    f->tracker = open_impatient(f->path, 10);
    assert_int_equal(latest(f->tracker, "doc-1"), 5);
    db_run(db, "ROLLBACK");
    db_close(db);
}

static void test_new_file_on_a_full_disk_is_full(void **state)
{
    fixture *f = *state;
    if (!mount_small_disk(f, "1m")) {
        skip();
    }
    fill_disk(f);
    assert_status(open_refused(f, f->path, NULL), CTRACK_FULL);
    free_disk(f);
    f->tracker = open_file(f->path);
}

enum { OPENERS = 8 };

static void *open_and_update(void *argument)
{
    ctrack *tracker = NULL;
    ctrack_error error;
    ctrack_status status = ctrack_open(argument, NULL, &tracker, &error);
    if (status == CTRACK_OK) {
        ctrack_coordinate progress = at("doc-1", 5);
        status = ctrack_update(tracker, &progress, 1, &error);
        ctrack_close(tracker, NULL);
    }
    if (status != CTRACK_OK) {
        fprintf(stderr, "%s: %s\n", ctrack_status_name(status), error.message);
    }
    return status == CTRACK_OK ? argument : NULL;
}

/* Each round with a file of its own, which `before` has made unless it is NULL. */
static void open_at_once(fixture *f, int rounds, const char *before)
{
    for (int round = 0; round < rounds; round++) {
        char path[300];
        char name[32];
        snprintf(name, sizeof name, "new-%d.db", round);
        path_in(f, name, path);
        if (before != NULL) {
            db_run_once(path, before);
        }
        pthread_t threads[OPENERS];
        for (int i = 0; i < OPENERS; i++) {
            threads[i] = thread_start(open_and_update, path);
        }
        for (int i = 0; i < OPENERS; i++) {
            assert_ptr_equal(thread_join(threads[i]), path);
        }
        assert_int_equal(db_integer_once(path, "SELECT count(*) FROM ctrack_migration WHERE version = 1"), 1);
    }
}

static void test_many_threads_may_open_a_new_file_at_once(void **state)
{
    open_at_once(*state, 5, NULL);
}

static void test_many_threads_may_open_a_hosts_database_at_once(void **state)
{
    open_at_once(*state, 40, "CREATE TABLE host (id INTEGER PRIMARY KEY, applied INTEGER)");
}

static int open_in_child(const char *mode, const char *path)
{
    (void)mode;
    char copy[4096];
    snprintf(copy, sizeof copy, "%s", path);
    return open_and_update(copy) == NULL;
}

static void test_many_processes_may_open_a_new_file_at_once(void **state)
{
    fixture *f = *state;
    child children[OPENERS];
    for (int i = 0; i < OPENERS; i++) {
        children[i] = child_start("open", f->path);
    }
    for (int i = 0; i < OPENERS; i++) {
        assert_int_equal(child_finish(&children[i]), 0);
    }
    f->tracker = open_file(f->path);
    assert_int_equal(latest(f->tracker, "doc-1"), 5);
}

/* What a process has left that was killed while it made the file. */
static void test_a_file_is_made_without_what_killed_makers_have_left(void **state)
{
    fixture *f = *state;
    char path[300];
    write_file(path_in(f, "progress.db.ctrack-Ab3xYz", path), "", 0);
    f->tracker = open_file(f->path);
    assert_false(file_exists(path));
}

/* Where a file gets its name with link(2), it may be left with its first name as well. */
static void test_a_second_name_that_is_left_of_its_birth_is_removed(void **state)
{
    fixture *f = *state;
    char path[300];
    f->tracker = open_file(f->path);
    update(f->tracker, "doc-1", 1);
    close_tracker(&f->tracker);
    assert_int_equal(link(f->path, path_in(f, "progress.db.ctrack-Ab3xYz", path)), 0);
    f->tracker = open_file(f->path);
    assert_int_equal(latest(f->tracker, "doc-1"), 1);
    assert_false(file_exists(path));
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_no_path_opens_a_tracker_in_memory),
        TEST(test_a_tracker_in_memory_cannot_be_read_only),
        TEST(test_trackers_in_memory_are_separate),
        TEST(test_new_file_is_created),
        TEST(test_empty_name_is_invalid),
        TEST(test_name_of_a_directory_is_invalid),
        TEST(test_memory_name_is_invalid),
        TEST(test_file_uri_is_invalid),
        TEST(test_file_uri_with_parameters_is_invalid),
        TEST(test_absolute_file_uri_is_invalid),
        TEST(test_relative_path_is_made_absolute),
        TEST(test_name_with_odd_characters_is_a_plain_file_name),
        TEST(test_symbolic_link_as_the_last_component_is_refused),
        TEST(test_dangling_symbolic_link_is_refused_and_its_target_not_created),
        TEST(test_symbolic_link_as_a_directory_is_fine),
        TEST(test_missing_directory_is_an_io_error),
        TEST(test_directory_is_refused),
        TEST(test_fifo_is_refused),
        TEST(test_endless_name_is_refused),
        TEST(test_new_file_has_mode_0600),
        TEST(test_new_file_has_mode_0600_whatever_the_umask_allows),
        TEST(test_mode_of_an_existing_file_is_kept),
        TEST(test_empty_file_is_taken_as_new),
        TEST(test_database_of_a_host_is_joined),
        TEST(test_database_in_utf_16_is_refused),
        TEST(test_tables_of_a_host_are_left_alone),
        TEST(test_user_version_and_application_id_are_left_alone),
        TEST(test_trigger_of_a_host_that_writes_our_view_is_fine),
        TEST(test_text_file_is_refused),
        TEST(test_file_of_noise_is_refused),
        TEST(test_header_of_a_database_followed_by_noise_is_refused),
        TEST(test_file_cut_in_the_middle_is_refused),
        TEST(test_file_that_lacks_its_last_bytes_is_refused),
        TEST(test_file_cut_in_its_header_is_refused),
        TEST(test_damage_to_any_page_is_refused_or_harmless),
        TEST(test_newer_schema_is_refused),
        TEST(test_newer_schema_is_not_put_into_wal_mode),
        TEST(test_damaged_file_is_not_put_into_wal_mode),
        TEST(test_refused_file_keeps_its_write_ahead_log),
        TEST(test_newer_schema_with_other_tables_is_refused_as_newer),
        TEST(test_trigger_on_our_table_is_refused),
        TEST(test_trigger_on_our_view_is_refused),
        TEST(test_index_on_our_table_is_refused),
        TEST(test_column_added_to_our_table_is_refused),
        TEST(test_missing_table_is_refused),
        TEST(test_missing_ledger_is_refused),
        TEST(test_empty_ledger_is_refused),
        TEST(test_missing_view_is_refused),
        TEST(test_view_that_lies_is_refused),
        TEST(test_table_turned_into_a_view_is_refused),
        TEST(test_constraint_loosened_by_hand_is_refused),
        TEST(test_negative_index_in_the_file_is_refused),
        TEST(test_bad_utf8_in_the_file_is_refused),
        TEST(test_text_with_nul_in_the_file_is_refused),
        TEST(test_text_too_long_in_the_file_is_refused),
        TEST(test_read_only_tracker_reads),
        TEST(test_read_only_tracker_refuses_updates),
        TEST(test_read_only_tracker_refuses_hydrate_and_forget),
        TEST(test_read_only_tracker_waits_for_another_trackers_update),
        TEST(test_read_only_tracker_does_not_create_a_file),
        TEST(test_read_only_tracker_leaves_the_file_unchanged),
        TEST(test_durability_normal_is_accepted),
        TEST(test_unknown_durability_is_invalid),
        TEST(test_read_model_with_bad_utf8_is_invalid),
        TEST(test_read_model_that_is_too_long_is_invalid),
        TEST(test_size_0_is_invalid),
        TEST(test_options_may_end_after_the_read_model),
        TEST(test_options_may_end_before_the_log_callback),
        TEST(test_options_that_end_early_count_as_far_as_they_go),
        TEST(test_options_are_borrowed_only_for_the_call),
        TEST(test_new_tracker_in_a_locked_file_is_busy),
        TEST(test_existing_tracker_opens_while_another_writes),
        TEST(test_new_file_on_a_full_disk_is_full),
        TEST(test_many_threads_may_open_a_new_file_at_once),
        TEST(test_many_threads_may_open_a_hosts_database_at_once),
        TEST(test_many_processes_may_open_a_new_file_at_once),
        TEST(test_a_file_is_made_without_what_killed_makers_have_left),
        TEST(test_a_second_name_that_is_left_of_its_birth_is_removed),
    };
    return SUPPORT_MAIN(argc, argv, "open", tests, open_in_child);
}
