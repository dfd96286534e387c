/* SPDX-License-Identifier: MIT */
/* Tables of the host's beside ours, whatever their schema calls: a tracker does not care, and a check says what it could
 * not look at. */
#include "support.h"

#include <stdio.h>
#include <unistd.h>

#include <sqlite3.h>

/* ---------------------------------------------------------------- helpers */

/* What a check has said. */
typedef struct said {
    int findings, unchecked;
    int enough;                /* ends the check at so many that are unchecked; 0: never */
    char table[80], what[300]; /* of the last that is unchecked */
    char rule[40];             /* of the last finding */
} said;

static int listen(const ctrack_finding *finding, void *argument)
{
    said *s = argument;
    if (!finding->unchecked) {
        s->findings++;
        snprintf(s->rule, sizeof s->rule, "%s", finding->rule);
        return 0;
    }
    s->unchecked++;
    assert_string_equal(finding->rule, "not-checked");
    snprintf(s->table, sizeof s->table, "%s", finding->table);
    snprintf(s->what, sizeof s->what, "%s", finding->what);
    return s->unchecked == s->enough;
}

static ctrack_status check_file(fixture *f, said *s)
{
    *s = (said){.enough = s->enough};
    return ctrack_check(f->path, 0, listen, NULL, s, &f->error);
}

/* Sound, and this table could not be looked at; NULL: all could. */
static void assert_sound_but(fixture *f, const char *table, const char *why)
{
    said s = {0};
    assert_status(check_file(f, &s), CTRACK_OK);
    assert_int_equal(s.findings, 0);
    assert_int_equal(s.unchecked, table != NULL);
    if (table != NULL) {
        assert_string_equal(s.table, table);
        assert_contains(s.what, why);
    }
}

static void assert_finds(fixture *f, const char *rule)
{
    said s = {0};
    assert_status(check_file(f, &s), CTRACK_CORRUPT);
    assert_true(s.findings > 0);
    assert_string_equal(s.rule, rule);
    assert_int_equal(s.unchecked, 1);
}

/* Whatever a tracker does with its file. */
static void use(fixture *f, int64_t index)
{
    char copy[300];
    ctrack_options options = CTRACK_OPTIONS_INIT;
    snprintf(copy, sizeof copy, "%s.copy", f->path);
    f->tracker = open_file(f->path);
    update(f->tracker, "doc-1", index);
    assert_status(ctrack_export(f->tracker, copy, CTRACK_EXPORT_NEW, NULL, NULL, &f->error), CTRACK_OK);
    close_tracker(&f->tracker);
    options.read_only = true;
    assert_status(ctrack_open(f->path, &options, &f->tracker, &f->error), CTRACK_OK);
    assert_int_equal(latest(f->tracker, "doc-1"), index);
    close_tracker(&f->tracker);
    f->tracker = open_file(copy);
    assert_int_equal(latest(f->tracker, "doc-1"), index);
    close_tracker(&f->tracker);
    unlink(copy);
}

static int compare_backwards(void *argument, int left_size, const void *left, int right_size, const void *right)
{
    int size = left_size < right_size ? left_size : right_size;
    int order = memcmp(right, left, (size_t)size);
    (void)argument;
    return order != 0 ? order : right_size - left_size;
}

static void make_plain(sqlite3_context *context, int count, sqlite3_value **values)
{
    (void)count;
    sqlite3_result_value(context, values[0]);
}

/* The host's connection, with a collation and a function of its own. */
static void run_as_host(const fixture *f, const char *sql)
{
    sqlite3 *db = db_open(f->path);
    assert_int_equal(sqlite3_create_collation(db, "TOWNS", SQLITE_UTF8, NULL, compare_backwards), SQLITE_OK);
    assert_int_equal(
        sqlite3_create_function(db, "plain", 1, SQLITE_UTF8 | SQLITE_DETERMINISTIC, NULL, make_plain, NULL, NULL),
        SQLITE_OK);
    db_run(db, sql);
    db_close(db);
}

#define COLLATED \
    "CREATE TABLE town (name TEXT COLLATE TOWNS UNIQUE); INSERT INTO town VALUES ('a'), ('b'); " \
    "CREATE TABLE other (a UNIQUE, b); INSERT INTO other VALUES (1, 2), (3, 4)"

/* ---------------------------------------------------------------- JSON */

static const char *const json_tables[] = {
    "CREATE TABLE customer (id INTEGER PRIMARY KEY, wishes TEXT CHECK (json_valid(wishes)))",
    "CREATE TABLE customer (wishes TEXT); CREATE INDEX by_town ON customer (json_extract(wishes, '$.town'))",
    "CREATE TABLE customer (wishes TEXT, town TEXT GENERATED ALWAYS AS (json_extract(wishes, '$.town')))",
};

static void test_json_functions_in_other_tables_are_fine(void **state)
{
    fixture *f = *state;
    for (size_t i = 0; i < sizeof json_tables / sizeof json_tables[0]; i++) {
        db_run_once(f->path, json_tables[i]);
        db_run_once(f->path, "INSERT INTO customer (wishes) VALUES ('{}')");
        use(f, (int64_t)i + 1);
        db_run_once(f->path, "DROP TABLE customer");
    }
}

static void test_a_tracker_at_work_goes_on_when_its_host_makes_such_tables(void **state)
{
    fixture *f = *state;
    for (size_t i = 0; i < sizeof json_tables / sizeof json_tables[0]; i++) {
        update(f->tracker, "doc-1", (int64_t)i * 2);
        db_run_once(f->path, json_tables[i]);
        update(f->tracker, "doc-1", (int64_t)i * 2 + 1);
        assert_status(ctrack_refresh(f->tracker, &f->error), CTRACK_OK);
        db_run_once(f->path, "DROP TABLE customer");
    }
    assert_int_equal(latest(f->tracker, "doc-1"), 5);
}

/* ---------------------------------------------------------------- a stranger's functions */

static int calls; /* of the function that all connections of this process have */

static void strike(sqlite3_context *context, int count, sqlite3_value **values)
{
    (void)count, (void)values;
    calls++;
    sqlite3_result_int(context, 1);
}

static int add_strike(sqlite3 *db, char **message, const void *routines)
{
    (void)message, (void)routines;
    return sqlite3_create_function(db, "strike", 1, SQLITE_UTF8 | SQLITE_DETERMINISTIC, NULL, strike, NULL, NULL);
}

static void test_what_a_strangers_schema_calls_is_not_run(void **state)
{
    fixture *f = *state;
    assert_int_equal(sqlite3_auto_extension((void (*)(void))add_strike), SQLITE_OK);
    db_run_once(f->path, "CREATE TABLE trap (a CHECK (strike(a)), b AS (strike(a)) NOT NULL); "
                         "CREATE INDEX sprung ON trap (strike(a)); INSERT INTO trap (a) VALUES (1)");
    calls = 0;
    use(f, 1);
    assert_sound_but(f, "trap", "strike()");
    assert_int_equal(calls, 0);
    sqlite3_cancel_auto_extension((void (*)(void))add_strike);
}

/* ---------------------------------------------------------------- what the host alone has */

static void test_a_table_with_the_hosts_collation_is_named_as_not_checked(void **state)
{
    fixture *f = *state;
    run_as_host(f, COLLATED);
    use(f, 1);
    assert_sound_but(f, "town", "TOWNS");
}

static void test_a_table_with_the_hosts_function_is_named_as_not_checked(void **state)
{
    fixture *f = *state;
    run_as_host(f,
                "CREATE TABLE town (name); CREATE INDEX by_name ON town (plain(name)); INSERT INTO town VALUES ('a')");
    use(f, 1);
    assert_sound_but(f, "town", "plain()");
}

static void test_damage_of_ours_beside_a_table_that_cannot_be_checked_is_found(void **state)
{
    fixture *f = *state;
    run_as_host(f, COLLATED);
    use(f, 1);
    db_run_once(f->path, "PRAGMA ignore_check_constraints = 1; UPDATE ctrack_advance SET operation_index = -5");
    assert_finds(f, "log-index");
}

static void test_damage_of_the_hosts_beside_a_table_that_cannot_be_checked_is_found(void **state)
{
    fixture *f = *state;
    run_as_host(f, COLLATED);
    use(f, 1);
    db_run_once(f->path, "PRAGMA writable_schema = 1; UPDATE sqlite_schema SET sql = "
                         "'CREATE TABLE other (b, a UNIQUE)' WHERE name = 'other'");
    assert_finds(f, "integrity");
}

static void test_a_listener_ends_the_check_at_what_is_not_checked(void **state)
{
    fixture *f = *state;
    said s = {.enough = 1};
    run_as_host(f, COLLATED);
    use(f, 1);
    assert_status(check_file(f, &s), CTRACK_ABORTED);
    assert_status(ctrack_check(f->path, 0, NULL, NULL, NULL, &f->error), CTRACK_OK);
}

/* ---------------------------------------------------------------- large */

static void test_a_schema_of_megabytes_is_read(void **state)
{
    enum { SIZE = 3 << 20 };
    static const char begin[] = "CREATE VIEW large AS SELECT '";
    fixture *f = *state;
    char *sql = malloc(SIZE);
    assert_non_null(sql);
    memset(sql, 'x', SIZE);
    memcpy(sql, begin, sizeof begin - 1);
    memcpy(sql + SIZE - 2, "'", 2);
    db_run_once(f->path, sql);
    free(sql);
    use(f, 1);
    assert_sound_but(f, NULL, NULL);
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_json_functions_in_other_tables_are_fine),
        TEST_ON_FILE(test_a_tracker_at_work_goes_on_when_its_host_makes_such_tables),
        TEST(test_what_a_strangers_schema_calls_is_not_run),
        TEST(test_a_table_with_the_hosts_collation_is_named_as_not_checked),
        TEST(test_a_table_with_the_hosts_function_is_named_as_not_checked),
        TEST(test_damage_of_ours_beside_a_table_that_cannot_be_checked_is_found),
        TEST(test_damage_of_the_hosts_beside_a_table_that_cannot_be_checked_is_found),
        TEST(test_a_listener_ends_the_check_at_what_is_not_checked),
        TEST(test_a_schema_of_megabytes_is_read),
    };
    return SUPPORT_MAIN(argc, argv, "host_schema", tests, NULL);
}
