/* SPDX-License-Identifier: MIT */
/* ctrack_check(): a sound file has no findings, and each kind of damage has one that says where it is. */
#include "support.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include <sqlite3.h>

#include "check.h"

/* ---------------------------------------------------------------- helpers */

enum { FOUND_MAX = 256 };

/* What a check has found. */
typedef struct found {
    size_t count;
    size_t enough; /* ends the check at so many; 0: never */
    struct {
        char rule[40], table[40];
        int64_t row;
    } items[FOUND_MAX];
    char what[500]; /* of the first */
    bool incomplete;
} found;

static int remember(const ctrack_finding *finding, void *argument)
{
    found *all = argument;
    if (all->count < FOUND_MAX) {
        snprintf(all->items[all->count].rule, sizeof all->items[0].rule, "%s", finding->rule);
        snprintf(all->items[all->count].table, sizeof all->items[0].table, "%s", finding->table);
        all->items[all->count].row = finding->row;
    }
    if (all->count == 0) {
        snprintf(all->what, sizeof all->what, "%s", finding->what);
    }
    all->incomplete = all->incomplete || finding->what[0] == '\0' || finding->means[0] == '\0' ||
                      finding->advice[0] == '\0' || strchr(finding->what, '\n') != NULL;
    all->count++;
    return all->count == all->enough;
}

static ctrack_status check_file(fixture *f, found *all)
{
    *all = (found){.enough = all->enough};
    ctrack_status status = ctrack_check(f->path, 0, remember, NULL, all, &f->error);
    assert_false(all->incomplete);
    return status;
}

static void assert_sound(fixture *f)
{
    found all = {0};
    ctrack_status status = check_file(f, &all);
    if (status != CTRACK_OK) {
        fail_msg("%s: %s", ctrack_status_name(status), f->error.message);
    }
    assert_int_equal(all.count, 0);
}

#define ANY_ROW (INT64_MIN + 1)

static bool has(const found *all, const char *rule, const char *table, int64_t row)
{
    for (size_t i = 0; i < all->count && i < FOUND_MAX; i++) {
        if (strcmp(all->items[i].rule, rule) == 0 && strcmp(all->items[i].table, table) == 0 &&
            (row == ANY_ROW || all->items[i].row == row)) {
            return true;
        }
    }
    return false;
}

static void assert_finds(fixture *f, const char *damage, const char *rule, const char *table, int64_t row)
{
    found all = {0};
    ctrack_status status = check_file(f, &all);
    if (status != CTRACK_CORRUPT || !has(&all, rule, table, row)) {
        for (size_t i = 0; i < all.count && i < FOUND_MAX; i++) {
            print_error("found %s in %s at %" PRId64 "\n", all.items[i].rule, all.items[i].table, all.items[i].row);
        }
        fail_msg("%s: %s (%s), but not %s in %s at %" PRId64, damage, ctrack_status_name(status), f->error.message,
                 rule, table, row);
    }
}

/* Seqs 1 to 4 are folded, the last of them forgets a key; 5 and 6 are not. */
static void make_file(fixture *f)
{
    ctrack_key gone = key("doc-gone");
    f->tracker = open_file(f->path);
    update(f->tracker, "doc-1", 5);
    update(f->tracker, "doc-2", 5);
    update(f->tracker, "doc-gone", 1);
    assert_status(ctrack_forget(f->tracker, &gone, 1, NULL), CTRACK_OK);
    update(f->tracker, "doc-1", 7);
    update(f->tracker, "doc-new", 1);
    close_tracker(&f->tracker);
    assert_int_equal(db_integer_once(f->path, "SELECT folded_seq FROM ctrack_fold"), 4);
    assert_int_equal(db_integer_once(f->path, "PRAGMA wal_checkpoint(TRUNCATE)"), 0);
}

static void remove_file(fixture *f)
{
    static const char *const endings[] = {"", "-wal", "-shm"};
    for (int i = 0; i < 3; i++) {
        char name[300];
        snprintf(name, sizeof name, "%s%s", f->path, endings[i]);
        unlink(name);
    }
}

/* Runs SQL on a file whose tables take everything meanwhile. */
static void damage(fixture *f, const char *sql)
{
    db_run_once(f->path, "PRAGMA writable_schema = 1; "
                         "UPDATE sqlite_schema SET sql = replace(sql, ') STRICT', ')') WHERE name LIKE 'ctrack%'");
    struct sqlite3 *db = db_open(f->path);
    db_run(db, "PRAGMA ignore_check_constraints = 1");
    db_run(db, sql);
    db_close(db);
    db_run_once(f->path, "PRAGMA writable_schema = 1; UPDATE sqlite_schema SET sql = sql || ' STRICT' "
                         "WHERE name LIKE 'ctrack%' AND type = 'table'");
}

/* ---------------------------------------------------------------- sound files */

static void test_new_file_is_sound(void **state)
{
    fixture *f = *state;
    f->tracker = open_file(f->path);
    assert_sound(f);
    close_tracker(&f->tracker);
    assert_sound(f);
}

static void test_used_file_is_sound(void **state)
{
    fixture *f = *state;
    ctrack_coordinate batch[] = {at("\xC3\xA4:\\\"'\n", 0), coordinate("", "", "", INT64_MAX)};
    make_file(f);
    assert_sound(f);
    f->tracker = open_file(f->path);
    update_very_often(f->tracker);
    assert_sound(f);
    assert_status(ctrack_hydrate(f->tracker, batch, 2, NULL), CTRACK_OK);
    assert_sound(f);
    update(f->tracker, "doc-1", 0);
    ctrack_key keys[] = {key("doc-1"), {"", "", ""}};
    assert_status(ctrack_forget(f->tracker, keys, 2, NULL), CTRACK_OK);
    assert_sound(f);
    ctrack *other = open_model(f->path, "other");
    update(other, "doc-1", 3);
    assert_status(ctrack_hydrate(other, NULL, 0, NULL), CTRACK_OK);
    update(f->tracker, "doc-1", 2);
    assert_sound(f);
    close_tracker(&other);
    close_tracker(&f->tracker);
    assert_sound(f);
}

static void test_file_in_a_database_with_other_tables_is_sound(void **state)
{
    fixture *f = *state;
    db_run_once(f->path, "CREATE TABLE other (a UNIQUE, b); INSERT INTO other VALUES (1, zeroblob(3000000))");
    make_file(f);
    assert_sound(f);
}

static void test_check_writes_nothing_and_needs_nobody_to_listen(void **state)
{
    fixture *f = *state;
    size_t size_before, size_after;
    make_file(f);
    damage(f, "UPDATE ctrack_fold SET folded_seq = 99");
    unsigned char *before = read_file(f->path, &size_before);
    assert_status(ctrack_check(f->path, 0, NULL, NULL, NULL, NULL), CTRACK_CORRUPT);
    unsigned char *after = read_file(f->path, &size_after);
    assert_int_equal(size_before, size_after);
    assert_memory_equal(before, after, size_before);
    free(before);
    free(after);
}

/* ---------------------------------------------------------------- damage */

static void test_each_kind_of_damage_is_found_at_its_place(void **state)
{
    fixture *f = *state;
    static const struct {
        const char *sql, *rule, *table;
        int64_t row;
    } cases[] = {
        {"DELETE FROM ctrack_fold", "fold-row", "ctrack_fold", CTRACK_NO_ROW},
        {"INSERT INTO ctrack_fold VALUES (2, 0, 0)", "fold-row", "ctrack_fold", CTRACK_NO_ROW},
        {"UPDATE ctrack_fold SET folded_seq = 7", "folded-beyond-log", "ctrack_fold", 1},
        {"UPDATE ctrack_fold SET folded_seq = -1", "folded-beyond-log", "ctrack_fold", 1},
        {"UPDATE ctrack_fold SET folded_seq = 'x'", "folded-beyond-log", "ctrack_fold", 1},
        {"DELETE FROM ctrack_advance", "folded-beyond-log", "ctrack_fold", 1},
        {"INSERT INTO ctrack_migration VALUES (-1, 'x', 0)", "migration-range", "ctrack_migration", -1},
        {"INSERT INTO ctrack_keyspace VALUES (0, 'a', 'b', 'c')", "keyspace-id", "ctrack_keyspace", 0},
        {"INSERT INTO ctrack_coordinate VALUES (-3, 1, 'x')", "coordinate-id", "ctrack_coordinate", -3},
        {"INSERT INTO ctrack_advance VALUES (0, 1, 1, 1, NULL, NULL)", "log-seq", "ctrack_advance", 0},
        {"UPDATE ctrack_advance SET operation_index = NULL WHERE seq = 6", "log-rewind", "ctrack_advance", 6},
        {"DELETE FROM ctrack_advance WHERE seq = 2", "log-gap", "ctrack_advance", 1},
        {"DELETE FROM ctrack_advance WHERE seq <= 5", "log-start", "ctrack_advance", 6},
        {"UPDATE ctrack_keyspace SET read_model = x'61'", "keyspace-text", "ctrack_keyspace", 1},
        {"UPDATE ctrack_keyspace SET scope = CAST(x'61ff' AS TEXT)", "keyspace-text", "ctrack_keyspace", 1},
        {"UPDATE ctrack_keyspace SET branch = CAST(x'6100' AS TEXT)", "keyspace-text", "ctrack_keyspace", 1},
        {"UPDATE ctrack_coordinate SET document_id = printf('%.65536c', 'a') WHERE id = 2", "coordinate-text",
         "ctrack_coordinate", 2},
        {"UPDATE ctrack_coordinate SET document_id = CAST(x'eda080' AS TEXT) WHERE id = 1", "coordinate-text",
         "ctrack_coordinate", 1},
        {"UPDATE ctrack_coordinate SET document_id = 7.5 WHERE id = 1; "
         "UPDATE ctrack_coordinate SET document_id = x'00' WHERE id = 1",
         "coordinate-text", "ctrack_coordinate", 1},
        {"UPDATE ctrack_coordinate SET keyspace_id = 99 WHERE id = 2", "coordinate-orphan", "ctrack_coordinate", 2},
        {"DELETE FROM ctrack_keyspace", "coordinate-orphan", "ctrack_coordinate", 1},
        {"INSERT INTO ctrack_latest VALUES (99, 1, 1)", "latest-orphan", "ctrack_latest", 99},
        {"DELETE FROM ctrack_coordinate WHERE id = 1", "latest-orphan", "ctrack_latest", 1},
        {"UPDATE ctrack_latest SET operation_index = -5 WHERE coordinate_id = 2", "latest-index", "ctrack_latest", 2},
        {"UPDATE ctrack_latest SET operation_index = 'x' WHERE coordinate_id = 1", "latest-index", "ctrack_latest", 1},
        {"UPDATE ctrack_latest SET operation_index = 7.5 WHERE coordinate_id = 1", "latest-index", "ctrack_latest", 1},
        {"UPDATE ctrack_latest SET updated_at = 'soon' WHERE coordinate_id = 1", "latest-time", "ctrack_latest", 1},
        {"UPDATE ctrack_advance SET keyspace_id = 1, coordinate_id = 1 WHERE seq = 6", "log-key", "ctrack_advance", 6},
        {"UPDATE ctrack_advance SET document_id = NULL WHERE seq = 6", "log-key", "ctrack_advance", 6},
        {"UPDATE ctrack_advance SET keyspace_id = NULL, document_id = NULL WHERE seq = 6", "log-key", "ctrack_advance",
         6},
        {"UPDATE ctrack_advance SET coordinate_id = 99, keyspace_id = NULL, document_id = NULL WHERE seq = 5",
         "log-orphan", "ctrack_advance", 5},
        {"UPDATE ctrack_advance SET keyspace_id = 99 WHERE seq = 6", "log-orphan", "ctrack_advance", 6},
        {"UPDATE ctrack_advance SET operation_index = -1 WHERE seq = 6", "log-index", "ctrack_advance", 6},
        {"UPDATE ctrack_advance SET operation_index = 'x' WHERE seq = 6", "log-index", "ctrack_advance", 6},
        {"UPDATE ctrack_advance SET updated_at = x'00' WHERE seq = 3", "log-time", "ctrack_advance", 3},
        {"UPDATE ctrack_advance SET document_id = CAST(x'80' AS TEXT) WHERE seq = 6", "log-text", "ctrack_advance", 6},
        {"DELETE FROM ctrack_latest WHERE coordinate_id = 1", "log-unfolded", "ctrack_advance", ANY_ROW},
        {"UPDATE ctrack_latest SET operation_index = 4", "log-unfolded", "ctrack_advance", 2},
        {"UPDATE ctrack_fold SET folded_seq = 6", "log-unfolded", "ctrack_advance", 6},
        {"CREATE TABLE twin (a, b, UNIQUE (a, b)); PRAGMA writable_schema = 1; UPDATE sqlite_schema SET rootpage = "
         "(SELECT rootpage FROM sqlite_schema WHERE name = 'sqlite_autoindex_twin_1') "
         "WHERE name = 'sqlite_autoindex_ctrack_coordinate_1'",
         "row-count", "ctrack_coordinate", CTRACK_NO_ROW},
        {"CREATE TABLE other (a UNIQUE, b); INSERT INTO other VALUES (1, 2), (3, 4); PRAGMA writable_schema = 1; "
         "UPDATE sqlite_schema SET sql = 'CREATE TABLE other (b, a UNIQUE)' WHERE name = 'other'",
         "integrity", "the file", CTRACK_NO_ROW},
        {"CREATE TRIGGER t AFTER INSERT ON ctrack_advance BEGIN SELECT 1; END", "schema", "the schema", CTRACK_NO_ROW},
        {"CREATE INDEX i ON ctrack_latest (updated_at)", "schema", "the schema", CTRACK_NO_ROW},
        {"DROP VIEW ctrack_progress", "schema", "the schema", CTRACK_NO_ROW},
        {"DROP TABLE ctrack_latest", "schema", "the schema", CTRACK_NO_ROW},
        {"DROP TABLE ctrack_fold; CREATE VIEW ctrack_fold AS SELECT 1 AS id, 2 AS folded_seq", "schema", "the schema",
         CTRACK_NO_ROW},
        {"DELETE FROM ctrack_migration", "schema", "the schema", CTRACK_NO_ROW},
        {"UPDATE ctrack_migration SET name = 'other'", "schema", "the schema", CTRACK_NO_ROW},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        remove_file(f);
        make_file(f);
        damage(f, "SELECT 1");
        assert_sound(f); /* the way in which damage is done does none itself */
        damage(f, cases[i].sql);
        assert_finds(f, cases[i].sql, cases[i].rule, cases[i].table, cases[i].row);
    }
}

/* Closing the tracker would fold the log; so the file becomes a copy, and the tracker's is removed. */
static void keep_copy(fixture *f, ctrack *tracker, const char *live)
{
    static const char *const endings[] = {"", "-wal", "-shm"};
    assert_status(ctrack_export(tracker, f->path, CTRACK_EXPORT_NEW, NULL, NULL, &f->error), CTRACK_OK);
    close_tracker(&tracker);
    for (int i = 0; i < 3; i++) {
        char name[320];
        snprintf(name, sizeof name, "%s%s", live, endings[i]);
        unlink(name);
    }
}

/* A file whose log has a run, in which the first keys stand twice. */
static void make_file_with_run(fixture *f)
{
    enum { KEYS = 3584 };
    static char names[KEYS][12];
    static ctrack_coordinate keys[KEYS];
    char live[300];
    ctrack *tracker = open_file(path_in(f, "live.db", live));
    for (int i = 0; i < KEYS; i++) {
        snprintf(names[i], sizeof names[i], "doc-%05d", i);
        keys[i] = at(names[i], 1);
    }
    assert_status(ctrack_update(tracker, keys, KEYS, NULL), CTRACK_OK);
    for (int i = 0; i < KEYS; i++) {
        keys[i].operation_index = 2;
    }
    assert_status(ctrack_update(tracker, keys, 1000, NULL), CTRACK_OK);
    keep_copy(f, tracker, live);
    assert_int_equal(db_integer_once(f->path, "SELECT last_seq FROM ctrack_run"), 4096);
}

static void test_damage_of_runs_is_found(void **state)
{
    fixture *f = *state;
    static const struct {
        const char *sql, *rule, *table;
        int64_t row;
    } cases[] = {
        {"UPDATE ctrack_run SET first_seq = 0", "run-range", "ctrack_run", 4096},
        {"UPDATE ctrack_run SET first_seq = 4097", "run-range", "ctrack_run", 4096},
        {"UPDATE ctrack_run SET last_seq = 4585", "run-range", "ctrack_run", 4585},
        {"UPDATE ctrack_run SET first_part = 0", "run-range", "ctrack_run", 4096},
        {"UPDATE ctrack_run SET first_part = 9223372032559808513", "run-range", "ctrack_run", 4096},
        {"UPDATE ctrack_run SET parts = 0", "run-range", "ctrack_run", 4096},
        {"UPDATE ctrack_run SET parts = 4294967296", "run-range", "ctrack_run", 4096},
        {"DELETE FROM ctrack_run_part WHERE id = 2", "run-parts", "ctrack_run", 4096},
        {"DELETE FROM ctrack_run", "run-part-orphan", "ctrack_run_part", CTRACK_NO_ROW},
        {"UPDATE ctrack_run_part SET entries = 'text' WHERE id = 3", "run-entries", "ctrack_run_part", 3},
        {"UPDATE ctrack_run_part SET entries = zeroblob(9) WHERE id = 3", "run-entries", "ctrack_run_part", 3},
        {"UPDATE ctrack_run_part SET entries = x'' WHERE id = 3", "run-lacks", "ctrack_run", 4096},
        {"UPDATE ctrack_run_part SET entries = substr(entries, 9)", "run-lacks", "ctrack_run", 4096},
        {"UPDATE ctrack_run SET last_seq = 4584", "run-lacks", "ctrack_run", 4584},
        {"UPDATE ctrack_fold SET hash_seed = hash_seed + 1", "run-lacks", "ctrack_run", 4096},
        {"UPDATE ctrack_advance SET document_id = NULL WHERE seq = 5", "log-key", "ctrack_advance", 5},
        {"UPDATE ctrack_advance SET operation_index = 3 WHERE seq = (SELECT min(a.seq) FROM ctrack_advance AS a "
         "JOIN ctrack_advance AS b ON b.document_id = a.document_id AND b.seq > a.seq AND b.seq <= 4096)",
         "run-lacks", "ctrack_run", 4096},
    };
    make_file_with_run(f);
    assert_sound(f);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        remove_file(f);
        make_file_with_run(f);
        damage(f, cases[i].sql);
        assert_finds(f, cases[i].sql, cases[i].rule, cases[i].table, cases[i].row);
    }
}

static void test_runs_are_sound_whatever_is_folded(void **state)
{
    fixture *f = *state;
    make_file_with_run(f);
    db_run_once(f->path,
                "INSERT INTO ctrack_coordinate (keyspace_id, document_id) SELECT keyspace_id, document_id "
                "FROM ctrack_advance WHERE seq <= 3584; "
                "INSERT INTO ctrack_latest SELECT id, 1, 0 FROM ctrack_coordinate WHERE id <= 2000; "
                "UPDATE ctrack_fold SET folded_seq = 2000; UPDATE ctrack_advance SET coordinate_id = (SELECT id "
                "FROM ctrack_coordinate AS c WHERE c.document_id = ctrack_advance.document_id), "
                "keyspace_id = NULL, document_id = NULL WHERE seq > 3600");
    assert_sound(f);
}

/* As a host may stage it. The run leads to the higher one, which is folded first. */
static void test_a_run_need_not_have_what_is_below_what_is_folded(void **state)
{
    fixture *f = *state;
    char live[300];
    ctrack *tracker = open_file(path_in(f, "live.db", live));
    ctrack_coordinate high = at("doc-1", 9), low = at("doc-1", 3), other = at("doc-2", 1);
    sqlite3 *db = db_open(live);
    db_run(db, "BEGIN");
    for (int i = 0; i < 4096; i++) {
        assert_status(ctrack_stage(db, NULL, i == 0 ? &high : &low, 1, NULL), CTRACK_OK);
    }
    db_run(db, "COMMIT");
    db_close(db);
    assert_status(ctrack_update(tracker, &other, 1, NULL), CTRACK_OK);
    keep_copy(f, tracker, live);
    db_run_once(f->path, "INSERT INTO ctrack_coordinate VALUES (1, 1, 'doc-1'); "
                         "INSERT INTO ctrack_latest VALUES (1, 9, 0); UPDATE ctrack_fold SET folded_seq = 1");
    assert_int_equal(db_integer_once(f->path, "SELECT last_seq FROM ctrack_run"), 4097);
    assert_sound(f);
    damage(f, "UPDATE ctrack_latest SET operation_index = 2");
    assert_finds(f, "what is folded is below", "run-lacks", "ctrack_run", 4097);
}

static void test_migration_without_a_name_is_found(void **state)
{
    fixture *f = *state;
    static const char allow[] = "PRAGMA writable_schema = 1; UPDATE sqlite_schema SET sql = "
                                "replace(sql, 'name TEXT NOT NULL', 'name TEXT') WHERE name = 'ctrack_migration'",
                      forbid[] = "PRAGMA writable_schema = 1; UPDATE sqlite_schema SET sql = "
                                 "replace(sql, 'name TEXT', 'name TEXT NOT NULL') WHERE name = 'ctrack_migration'";
    make_file(f);
    db_run_once(f->path, allow);
    db_run_once(f->path, "UPDATE ctrack_migration SET name = NULL");
    db_run_once(f->path, forbid);
    assert_finds(f, "no name", "schema", "the schema", CTRACK_NO_ROW);
}

/* Overwrites a whole page, the first root of a table, with what is no page. */
static void spoil_root_of(fixture *f, const char *table)
{
    char sql[200];
    snprintf(sql, sizeof sql, "SELECT rootpage FROM sqlite_schema WHERE name = '%s'", table);
    long page = (long)db_integer_once(f->path, sql), size = (long)db_integer_once(f->path, "PRAGMA page_size");
    FILE *file = fopen(f->path, "r+b");
    assert_non_null(file);
    assert_int_equal(fseek(file, (page - 1) * size, SEEK_SET), 0);
    for (long i = 0; i < size; i++) {
        fputc(0x5A, file);
    }
    assert_int_equal(fclose(file), 0);
}

static void test_table_that_cannot_be_read_is_a_finding_and_the_others_are_checked(void **state)
{
    fixture *f = *state;
    make_file(f);
    damage(f, "UPDATE ctrack_keyspace SET scope = CAST(x'ff' AS TEXT)");
    spoil_root_of(f, "ctrack_latest");
    assert_finds(f, "page overwritten", "integrity", "the file", CTRACK_NO_ROW);
    assert_finds(f, "page overwritten", "latest-index", "ctrack_latest", CTRACK_NO_ROW);
    assert_finds(f, "page overwritten", "keyspace-text", "ctrack_keyspace", 1);
}

/* The one that a copy passes which has just been made. */
static void test_quick_check_finds_damaged_pages(void **state)
{
    fixture *f = *state;
    found all = {0};
    make_file(f);
    spoil_root_of(f, "ctrack_latest");
    struct sqlite3 *db = db_open(f->path);
    ctrack_status status = ct_check(db, true, remember, &all, &(ct_reporter){.callback = NULL}, &f->error);
    db_close(db);
    assert_status(status, CTRACK_CORRUPT);
    assert_true(has(&all, "integrity", "the file", CTRACK_NO_ROW));
}

static void test_truncated_file_has_findings(void **state)
{
    fixture *f = *state;
    found all = {0};
    size_t size;
    make_file(f);
    free(read_file(f->path, &size));
    assert_int_equal(truncate(f->path, (off_t)size / 2), 0);
    assert_status(check_file(f, &all), CTRACK_CORRUPT);
    assert_true(all.count > 0);
}

static void test_what_stands_in_a_name_is_made_printable(void **state)
{
    fixture *f = *state;
    found all = {0};
    make_file(f);
    db_run_once(f->path, "CREATE INDEX \"ctrack_\n\x1B[31m\" ON ctrack_latest (updated_at)");
    assert_status(check_file(f, &all), CTRACK_CORRUPT);
    assert_contains(all.what, "ctrack_??[31m");
}

static void test_findings_of_one_kind_are_not_listed_without_end(void **state)
{
    fixture *f = *state;
    found all = {0};
    make_file(f);
    damage(f, "WITH RECURSIVE n(i) AS (SELECT 1000 UNION ALL SELECT i + 1 FROM n WHERE i < 1200) "
              "INSERT INTO ctrack_latest SELECT i, 1, 1 FROM n");
    assert_status(check_file(f, &all), CTRACK_CORRUPT);
    assert_int_equal(all.count, CTRACK_FINDINGS_MAX + 1);
    assert_contains(f->error.message, "101 findings; the first: ctrack_latest: ");
}

/* ---------------------------------------------------------------- what cannot be checked */

static void assert_refused(fixture *f, const char *path, ctrack_status expected)
{
    found all = {0};
    memcpy(f->error.message, "", 1);
    assert_status(ctrack_check(path, 0, remember, NULL, &all, &f->error), expected);
    assert_int_equal(all.count, 0);
    assert_true(f->error.message[0] != '\0');
}

static void test_what_is_no_tracker_is_refused(void **state)
{
    fixture *f = *state;
    char path[300];
    assert_refused(f, NULL, CTRACK_INVALID);
    assert_refused(f, "", CTRACK_INVALID);
    assert_refused(f, "file:progress.db", CTRACK_INVALID);
    assert_refused(f, path_in(f, "missing.db", path), CTRACK_IO);
    assert_false(file_exists(path));
    char *text = repeated('x', 5000);
    write_file(path_in(f, "text", path), text, 5000);
    free(text);
    assert_refused(f, path, CTRACK_CORRUPT);
    write_file(path_in(f, "empty", path), "", 0);
    assert_refused(f, path, CTRACK_CORRUPT);
    db_run_once(path_in(f, "other.db", path), "CREATE TABLE other (a)");
    assert_refused(f, path, CTRACK_CORRUPT);
    assert_contains(f->error.message, "no tracker");
}

static void test_newer_file_is_not_judged(void **state)
{
    fixture *f = *state;
    make_file(f);
    db_run_once(f->path, "INSERT INTO ctrack_migration VALUES (2, '0002_future', 0)");
    assert_refused(f, f->path, CTRACK_SCHEMA);
}

static void test_the_check_waits_for_a_lock_as_long_as_it_is_told(void **state)
{
    fixture *f = *state;
    db_run_once(f->path, "CREATE TABLE theirs (x)"); /* not in WAL mode, where a reader is locked out */
    struct sqlite3 *db = db_open(f->path);
    db_run(db, "BEGIN EXCLUSIVE");
    int64_t begin = now_ns();
    assert_status(ctrack_check(f->path, 300, NULL, NULL, NULL, &f->error), CTRACK_BUSY);
    int64_t told = now_ns() - begin;
    assert_status(ctrack_check(f->path, 0, NULL, NULL, NULL, &f->error), CTRACK_BUSY);
    int64_t not_told = now_ns() - begin - told;
    assert_true(told >= INT64_C(300000000));
    assert_true(not_told < INT64_C(300000000) && told < INT64_C(2500000000)); /* the default would be 5 s */
    db_close(db);
}

/* ---------------------------------------------------------------- giving up */

static void test_listener_ends_the_check(void **state)
{
    fixture *f = *state;
    found all = {.enough = 1};
    make_file(f);
    damage(f, "UPDATE ctrack_latest SET operation_index = -5");
    assert_status(check_file(f, &all), CTRACK_ABORTED);
    assert_int_equal(all.count, 1);
}

static void test_listener_ends_the_check_of_the_schema(void **state)
{
    fixture *f = *state;
    found all = {.enough = 1};
    make_file(f);
    db_run_once(f->path, "UPDATE ctrack_migration SET name = 'other'; UPDATE ctrack_latest SET operation_index = 1");
    assert_status(check_file(f, &all), CTRACK_ABORTED);
    assert_int_equal(all.count, 1);
    assert_true(has(&all, "schema", "the schema", CTRACK_NO_ROW));
}

typedef struct countdown {
    int left;
    uint64_t done, total;
    bool falls;
} countdown;

static int stop_at_zero(uint64_t done, uint64_t total, void *argument)
{
    countdown *c = argument;
    c->falls = c->falls || done < c->done || done > total;
    c->done = done;
    c->total = total;
    return c->left-- == 0;
}

static void test_progress_rises_to_its_end_and_may_end_the_check(void **state)
{
    fixture *f = *state;
    f->tracker = open_file(f->path);
    update_very_often(f->tracker);
    for (int n = 0;; n += 1 + n) {
        countdown c = {.left = n};
        ctrack_status status = ctrack_check(f->path, 0, NULL, stop_at_zero, &c, &f->error);
        assert_false(c.falls);
        if (status == CTRACK_OK) {
            assert_true(n > 20);
            assert_int_equal(c.done, c.total);
            break;
        }
        assert_status(status, CTRACK_ABORTED);
        assert_true(c.left == -1); /* it is not asked again */
    }
}

/* A small file: it is asked between the rules only. */
static void test_check_may_end_after_each_rule(void **state)
{
    fixture *f = *state;
    ctrack_status status = CTRACK_ABORTED;
    make_file(f);
    int n = 0;
    for (; status != CTRACK_OK; n++) {
        countdown c = {.left = n};
        status = ctrack_check(f->path, 0, NULL, stop_at_zero, &c, &f->error);
        assert_true(status == CTRACK_OK || (status == CTRACK_ABORTED && c.left == -1));
    }
    assert_true(n > 20);
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_new_file_is_sound),
        TEST(test_used_file_is_sound),
        TEST(test_file_in_a_database_with_other_tables_is_sound),
        TEST(test_check_writes_nothing_and_needs_nobody_to_listen),
        TEST(test_each_kind_of_damage_is_found_at_its_place),
        TEST(test_damage_of_runs_is_found),
        TEST(test_runs_are_sound_whatever_is_folded),
        TEST(test_a_run_need_not_have_what_is_below_what_is_folded),
        TEST(test_migration_without_a_name_is_found),
        TEST(test_table_that_cannot_be_read_is_a_finding_and_the_others_are_checked),
        TEST(test_quick_check_finds_damaged_pages),
        TEST(test_truncated_file_has_findings),
        TEST(test_what_stands_in_a_name_is_made_printable),
        TEST(test_findings_of_one_kind_are_not_listed_without_end),
        TEST(test_what_is_no_tracker_is_refused),
        TEST(test_newer_file_is_not_judged),
        TEST(test_the_check_waits_for_a_lock_as_long_as_it_is_told),
        TEST(test_listener_ends_the_check),
        TEST(test_listener_ends_the_check_of_the_schema),
        TEST(test_progress_rises_to_its_end_and_may_end_the_check),
        TEST(test_check_may_end_after_each_rule),
    };
    return SUPPORT_MAIN(argc, argv, "check", tests, NULL);
}
