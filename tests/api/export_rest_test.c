/* SPDX-License-Identifier: MIT */
/* What other tables have left in the tracker's file does not come along in an export, wherever it stands. */
#include "support.h"

#include <stdio.h>

#include <sqlite3.h>

/* ---------------------------------------------------------------- helpers */

#define SECRET "PASSWORD-"

/* A table of the host's, full of secrets, that is dropped again, and nothing of it wiped. */
static void make_and_drop_secrets(const fixture *f)
{
    db_run_once(f->path, "PRAGMA secure_delete = OFF; CREATE TABLE secrets (text); "
                         "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000) "
                         "INSERT INTO secrets SELECT '" SECRET "' || hex(randomblob(300)) FROM n; DROP TABLE secrets; "
                         "PRAGMA wal_checkpoint(TRUNCATE)");
}

static size_t secrets_in(const char *path)
{
    size_t size, count = 0;
    unsigned char *bytes = read_file(path, &size);
    for (size_t i = 0; i + sizeof SECRET - 1 <= size; i++) {
        count += memcmp(bytes + i, SECRET, sizeof SECRET - 1) == 0;
    }
    free(bytes);
    return count;
}

static void path_of_copy(const fixture *f, char path[300])
{
    snprintf(path, 300, "%s.copy", f->path);
}

static void assert_export_has_no_secrets(fixture *f)
{
    char path[300];
    path_of_copy(f, path);
    assert_true(secrets_in(f->path) > 0); /* else nothing is tried */
    assert_status(ctrack_export(f->tracker, path, CTRACK_EXPORT_REPLACE, NULL, NULL, &f->error), CTRACK_OK);
    assert_int_equal(secrets_in(path), 0);
    assert_status(ctrack_check(path, 0, NULL, NULL, NULL, &f->error), CTRACK_OK);
}

/* Whether the file can only have what is ctrack's. */
static bool untouched(const char *path)
{
    return db_integer_once(path, "SELECT schema_version = (SELECT applied_at & 2147483647 FROM ctrack_migration) "
                                 "FROM pragma_schema_version") != 0;
}

/* ---------------------------------------------------------------- tests */

static void test_a_dropped_tables_rows_do_not_come_along(void **state)
{
    fixture *f = *state;
    update(f->tracker, "doc-1", 1);
    make_and_drop_secrets(f);
    assert_export_has_no_secrets(f);
}

static void test_a_backup_does_not_make_it_ours_alone(void **state)
{
    fixture *f = *state;
    make_and_drop_secrets(f);
    close_tracker(&f->tracker);
    char path[300];
    snprintf(path, sizeof path, "%s.backup", f->path);
    sqlite3 *from = db_open(f->path), *to = db_open(path);
    sqlite3_backup *backup = sqlite3_backup_init(to, "main", from, "main");
    assert_int_equal(sqlite3_backup_step(backup, -1), SQLITE_DONE);
    sqlite3_backup_finish(backup);
    db_close(from);
    db_close(to);
    strcat(f->path, ".backup");
    f->tracker = open_file(f->path);
    assert_export_has_no_secrets(f);
}

static void test_what_a_table_has_left_before_there_was_a_tracker_does_not_come_along(void **state)
{
    fixture *f = *state;
    make_and_drop_secrets(f);
    f->tracker = open_file(f->path);
    update(f->tracker, "doc-1", 1);
    assert_export_has_no_secrets(f);
}

static void test_a_file_is_known_to_be_ours_alone_until_others_change_its_schema(void **state)
{
    fixture *f = *state;
    char path[300];
    path_of_copy(f, path);
    update(f->tracker, "doc-1", 1);
    assert_true(untouched(f->path));
    assert_status(ctrack_export(f->tracker, path, CTRACK_EXPORT_NEW, NULL, NULL, &f->error), CTRACK_OK);
    assert_true(untouched(path)); /* and so is its copy */
    reopen(f);
    assert_true(untouched(f->path));
    db_run_once(f->path, "CREATE TABLE host (a)");
    assert_false(untouched(f->path));
    db_run_once(f->path, "DROP TABLE host");
    assert_false(untouched(f->path));
    assert_status(ctrack_export(f->tracker, path, CTRACK_EXPORT_REPLACE, NULL, NULL, &f->error), CTRACK_OK);
    assert_true(untouched(path));
    db_run_once(path, "VACUUM");
    assert_false(untouched(path));
}

static void test_an_export_of_memory_is_ours_alone(void **state)
{
    fixture *f = *state;
    update(f->tracker, "doc-1", 1);
    assert_status(ctrack_export(f->tracker, f->path, CTRACK_EXPORT_NEW, NULL, NULL, &f->error), CTRACK_OK);
    assert_true(untouched(f->path));
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        TEST_ON_FILE(test_a_dropped_tables_rows_do_not_come_along),
        TEST_ON_FILE(test_a_backup_does_not_make_it_ours_alone),
        TEST(test_what_a_table_has_left_before_there_was_a_tracker_does_not_come_along),
        TEST_ON_FILE(test_a_file_is_known_to_be_ours_alone_until_others_change_its_schema),
        TEST_IN_MEMORY(test_an_export_of_memory_is_ours_alone),
    };
    return SUPPORT_MAIN(argc, argv, "export_rest", tests, NULL);
}
