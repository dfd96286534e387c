/* SPDX-License-Identifier: MIT */
/* A file from a stranger, whose log has used up its numbers, or begins them anew: what could not be read again is refused
 * whoever writes it, and nothing that was acknowledged is lost. */
#include "support.h"

#include <stdio.h>

#include <sqlite3.h>

/* ---------------------------------------------------------------- helpers */

/* doc-1 is at 5, and the newest row has this number. */
static void make_log_ending_at(fixture *f, const char *seq)
{
    char sql[300];
    update(f->tracker, "doc-1", 5);
    close_tracker(&f->tracker);
    snprintf(sql, sizeof sql, "UPDATE ctrack_advance SET seq = %s; UPDATE ctrack_fold SET folded_seq = %s - 1", seq,
             seq);
    db_run_once(f->path, sql);
    f->tracker = open_file(f->path);
    assert_int_equal(latest(f->tracker, "doc-1"), 5);
}

static void assert_refused(fixture *f, ctrack_status status, const char *message)
{
    assert_status(status, CTRACK_CORRUPT);
    assert_contains(message, "no number behind its last");
    assert_int_equal(latest(f->tracker, "doc-1"), 5);
}

static void assert_update_is_refused(fixture *f)
{
    ctrack_coordinate more = at("doc-1", 6);
    assert_refused(f, ctrack_update(f->tracker, &more, 1, &f->error), f->error.message);
    reopen(f);
    assert_int_equal(latest(f->tracker, "doc-1"), 5);
}

static int remember_rule(const ctrack_finding *finding, void *argument)
{
    snprintf(argument, 40, "%s", finding->rule);
    return 1;
}

static void assert_check_finds(fixture *f, const char *rule)
{
    char first[40] = "";
    assert_status(ctrack_check(f->path, 0, remember_rule, NULL, first, NULL), CTRACK_ABORTED);
    assert_string_equal(first, rule);
}

#define LAST "9223372036854775807"

/* ---------------------------------------------------------------- no number is left */

static void test_an_update_is_refused_when_no_number_is_left(void **state)
{
    fixture *f = *state;
    make_log_ending_at(f, LAST);
    assert_update_is_refused(f);
}

static void test_the_last_number_is_used_and_no_other(void **state)
{
    fixture *f = *state;
    make_log_ending_at(f, LAST " - 1");
    update(f->tracker, "doc-2", 1);
    assert_update_is_refused(f);
    assert_int_equal(latest(f->tracker, "doc-2"), 1);
}

static void test_rewriting_is_refused_when_no_number_is_left(void **state)
{
    fixture *f = *state;
    ctrack_coordinate other = at("doc-2", 1);
    ctrack_key known = key("doc-1");
    make_log_ending_at(f, LAST);
    assert_refused(f, ctrack_hydrate(f->tracker, &other, 1, &f->error), f->error.message);
    assert_refused(f, ctrack_forget(f->tracker, &known, 1, &f->error), f->error.message);
    reopen(f);
    assert_int_equal(latest(f->tracker, "doc-1"), 5);
}

static void test_staging_is_refused_when_no_number_is_left(void **state)
{
    fixture *f = *state;
    ctrack_coordinate both[] = {at("doc-1", 6), at("doc-2", 1)};
    make_log_ending_at(f, LAST " - 1");
    sqlite3 *db = db_open(f->path);
    assert_status(ctrack_stage(db, NULL, both, 2, &f->error), CTRACK_CORRUPT);
    assert_contains(f->error.message, "no number behind its last");
    assert_status(ctrack_stage(db, NULL, both, 1, &f->error), CTRACK_OK);
    db_close(db);
    reopen(f);
    assert_int_equal(latest(f->tracker, "doc-1"), 6);
    assert_int_equal(latest(f->tracker, "doc-2"), NEVER_SEEN);
}

static void assert_view_refuses(fixture *f)
{
    sqlite3 *db = db_open(f->path);
    assert_int_equal(sqlite3_exec(db,
                                  "INSERT INTO ctrack_progress (read_model, document_id, scope, branch, "
                                  "operation_index) VALUES ('default', 'doc-1', 'document', 'main', 6)",
                                  NULL, NULL, NULL),
                     SQLITE_CONSTRAINT);
    assert_contains(sqlite3_errmsg(db), "no number behind its last");
    db_close(db);
}

static void test_the_view_refuses_when_no_number_is_left(void **state)
{
    fixture *f = *state;
    make_log_ending_at(f, LAST);
    assert_view_refuses(f);
}

static void test_a_check_finds_that_numbers_run_out(void **state)
{
    fixture *f = *state;
    make_log_ending_at(f, "4611686018427387905");
    assert_check_finds(f, "log-end");
    update(f->tracker, "doc-1", 6);
    db_run_once(f->path, "INSERT INTO ctrack_coordinate VALUES (4611686018427387905, 1, 'x')");
    assert_check_finds(f, "coordinate-end");
}

/* ---------------------------------------------------------------- numbers begin anew */

static void test_what_would_be_numbered_as_folded_is_refused(void **state)
{
    fixture *f = *state;
    ctrack_coordinate more = at("doc-1", 6);
    update(f->tracker, "doc-1", 5);
    close_tracker(&f->tracker);
    db_run_once(f->path, "DELETE FROM ctrack_advance; UPDATE ctrack_fold SET folded_seq = 9");
    f->tracker = open_file(f->path);
    assert_status(ctrack_update(f->tracker, &more, 1, &f->error), CTRACK_CORRUPT);
    sqlite3 *db = db_open(f->path);
    assert_status(ctrack_stage(db, NULL, &more, 1, &f->error), CTRACK_CORRUPT);
    db_close(db);
    assert_view_refuses(f);
    assert_check_finds(f, "folded-beyond-log");
}

/* ---------------------------------------------------------------- the way out */

typedef struct text {
    char bytes[2000];
    size_t size, read;
} text;

static int write_text(const void *data, size_t size, void *argument)
{
    text *t = argument;
    memcpy(t->bytes + t->size, data, size);
    t->size += size;
    return 0;
}

static int read_text(void *data, size_t size, size_t *got, void *argument)
{
    text *t = argument;
    *got = size < t->size - t->read ? size : t->size - t->read;
    memcpy(data, t->bytes + t->read, *got);
    t->read += *got;
    return 0;
}

static void test_a_dump_restored_into_a_new_file_goes_on(void **state)
{
    fixture *f = *state;
    text t = {.size = 0};
    make_log_ending_at(f, LAST);
    assert_status(ctrack_dump(f->tracker, NULL, write_text, &t, &f->error), CTRACK_OK);
    close_tracker(&f->tracker);
    strcat(f->path, ".new");
    f->tracker = open_file(f->path);
    assert_status(ctrack_restore(f->tracker, read_text, &t, "text", CTRACK_RESTORE_REPLACE, NULL, &f->error),
                  CTRACK_OK);
    update(f->tracker, "doc-1", 6);
    assert_status(ctrack_check(f->path, 0, NULL, NULL, NULL, &f->error), CTRACK_OK);
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        TEST_ON_FILE(test_an_update_is_refused_when_no_number_is_left),
        TEST_ON_FILE(test_the_last_number_is_used_and_no_other),
        TEST_ON_FILE(test_rewriting_is_refused_when_no_number_is_left),
        TEST_ON_FILE(test_staging_is_refused_when_no_number_is_left),
        TEST_ON_FILE(test_the_view_refuses_when_no_number_is_left),
        TEST_ON_FILE(test_a_check_finds_that_numbers_run_out),
        TEST_ON_FILE(test_what_would_be_numbered_as_folded_is_refused),
        TEST_ON_FILE(test_a_dump_restored_into_a_new_file_goes_on),
    };
    return SUPPORT_MAIN(argc, argv, "log_end", tests, NULL);
}
