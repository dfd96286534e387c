/* SPDX-License-Identifier: MIT */
/* The view ctrack_progress: what people and other programs read in the file, and write to it. */
#include "support.h"

#include <stdio.h>

#include <sqlite3.h>

/* Fails the test unless the view says the same as ctrack_get_latest() and lists no more keys than ctrack_serialize().
 */
static void assert_view_agrees(fixture *f)
{
    ctrack_snapshot *snapshot = NULL;
    assert_status(ctrack_serialize(f->tracker, &snapshot, NULL), CTRACK_OK);
    sqlite3 *db = db_open(f->path);
    sqlite3_stmt *rows = NULL;
    assert_int_equal(sqlite3_prepare_v2(db,
                                        "SELECT document_id, scope, branch, operation_index FROM ctrack_progress "
                                        "WHERE read_model = 'default' ORDER BY document_id, scope, branch",
                                        -1, &rows, NULL),
                     SQLITE_OK);
    for (size_t i = 0; i < ctrack_snapshot_count(snapshot); i++) {
        const ctrack_coordinate *entry = &ctrack_snapshot_entries(snapshot)[i];
        assert_int_equal(sqlite3_step(rows), SQLITE_ROW);
        assert_string_equal((const char *)sqlite3_column_text(rows, 0), entry->document_id);
        assert_string_equal((const char *)sqlite3_column_text(rows, 1), entry->scope);
        assert_string_equal((const char *)sqlite3_column_text(rows, 2), entry->branch);
        assert_int_equal(sqlite3_column_int64(rows, 3), entry->operation_index);
    }
    assert_int_equal(sqlite3_step(rows), SQLITE_DONE);
    sqlite3_finalize(rows);
    db_close(db);
    ctrack_snapshot_free(snapshot);
}

/* ---------------------------------------------------------------- reading */

static void test_view_is_empty_in_a_new_file(void **state)
{
    fixture *f = *state;
    assert_int_equal(db_integer_once(f->path, "SELECT count(*) FROM ctrack_progress"), 0);
}

static void test_view_says_what_get_latest_says(void **state)
{
    fixture *f = *state;
    ctrack_coordinate batch[] = {at("doc-1", 0), at("doc-2", INT64_MAX), coordinate("", "a:b", "\xC3\xA9", 7)};
    assert_status(ctrack_update(f->tracker, batch, 3, NULL), CTRACK_OK);
    assert_view_agrees(f);
}

static void test_view_has_one_row_for_a_key_that_was_raised_often(void **state)
{
    fixture *f = *state;
    for (int i = 0; i < 50; i++) {
        update(f->tracker, "doc-1", i);
    }
    assert_int_equal(db_integer_once(f->path, "SELECT count(*) FROM ctrack_progress"), 1);
    assert_int_equal(db_integer_once(f->path, "SELECT operation_index FROM ctrack_progress"), 49);
}

static void test_view_follows_forget_and_hydrate(void **state)
{
    fixture *f = *state;
    ctrack_coordinate batch[] = {at("doc-1", 5), at("doc-2", 5), at("doc-3", 5)};
    assert_status(ctrack_update(f->tracker, batch, 3, NULL), CTRACK_OK);
    ctrack_key forgotten = key("doc-1");
    assert_status(ctrack_forget(f->tracker, &forgotten, 1, NULL), CTRACK_OK);
    assert_view_agrees(f);
    assert_status(ctrack_hydrate(f->tracker, batch, 1, NULL), CTRACK_OK);
    assert_view_agrees(f);
    update(f->tracker, "doc-2", 1);
    assert_view_agrees(f);
}

static void test_view_names_the_read_model(void **state)
{
    fixture *f = *state;
    f->tracker = open_model(f->path, "orders");
    update(f->tracker, "doc-1", 5);
    ctrack *other = open_model(f->path, "stock");
    update(other, "doc-1", 3);
    close_tracker(&other);
    assert_int_equal(
        db_integer_once(f->path, "SELECT operation_index FROM ctrack_progress WHERE read_model = 'orders'"), 5);
    assert_int_equal(db_integer_once(f->path, "SELECT operation_index FROM ctrack_progress WHERE read_model = 'stock'"),
                     3);
}

static void test_updated_at_is_readable_utc_text(void **state)
{
    fixture *f = *state;
    update(f->tracker, "doc-1", 5);
    sqlite3 *db = db_open(f->path);
    assert_int_equal(db_integer(db, "SELECT updated_at GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]T"
                                    "[0-9][0-9]:[0-9][0-9]:[0-9][0-9]*Z' FROM ctrack_progress"),
                     1);
    db_close(db);
}

static void test_updated_at_is_the_time_of_the_update(void **state)
{
    fixture *f = *state;
    sqlite3 *db = db_open(f->path);
    char *before = db_text(db, "SELECT strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-0.01 seconds')");
    update(f->tracker, "doc-1", 5);
    char *updated = db_text(db, "SELECT updated_at FROM ctrack_progress");
    char *after = db_text(db, "SELECT strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '+0.01 seconds')");
    db_close(db);
    assert_true(strcmp(before, updated) <= 0);
    assert_true(strcmp(updated, after) <= 0);
    free(before);
    free(updated);
    free(after);
}

static void test_updated_at_does_not_move_when_nothing_changes(void **state)
{
    fixture *f = *state;
    update(f->tracker, "doc-1", 5);
    sqlite3 *db = db_open(f->path);
    char *before = db_text(db, "SELECT updated_at FROM ctrack_progress");
    update(f->tracker, "doc-1", 5);
    char *after = db_text(db, "SELECT updated_at FROM ctrack_progress");
    db_close(db);
    assert_string_equal(before, after);
    free(before);
    free(after);
}

static void test_view_is_right_while_a_long_log_is_folded(void **state)
{
    fixture *f = *state;
    sqlite3 *db = db_open(f->path);
    static char names[OFTEN_KEYS][16];
    static ctrack_coordinate batch[OFTEN_KEYS];
    for (int i = 0; i < OFTEN_BATCHES; i++) {
        for (int k = 0; k < OFTEN_KEYS; k++) {
            snprintf(names[k], sizeof names[k], "doc-%d", k);
            batch[k] = at(names[k], i);
        }
        assert_status(ctrack_update(f->tracker, batch, OFTEN_KEYS, NULL), CTRACK_OK);
        if (i % 40 == 0) {
            assert_int_equal(db_integer(db, "SELECT sum(operation_index) FROM ctrack_progress"), i * OFTEN_KEYS);
        }
    }
    db_close(db);
}

static void test_view_is_right_after_a_long_log(void **state)
{
    fixture *f = *state;
    update_very_often(f->tracker);
    assert_view_agrees(f);
    reopen(f);
    assert_view_agrees(f);
}

/* The log would grow for ever otherwise. */
static void test_long_log_is_folded_and_trimmed(void **state)
{
    fixture *f = *state;
    update_very_often(f->tracker);
    close_tracker(&f->tracker);
    assert_true(db_integer_once(f->path, "SELECT count(*) FROM ctrack_advance") < (int64_t)OFTEN_KEYS * OFTEN_BATCHES);
    assert_true(db_integer_once(f->path, "SELECT count(*) FROM ctrack_latest") > 0);
}

static void test_view_is_right_when_keys_are_forgotten_after_folding(void **state)
{
    fixture *f = *state;
    update_very_often(f->tracker);
    ctrack_key keys[] = {key("doc-3"), key("doc-7")};
    assert_status(ctrack_forget(f->tracker, keys, 2, NULL), CTRACK_OK);
    update(f->tracker, "doc-7", 1);
    assert_view_agrees(f);
    reopen(f);
    assert_int_equal(latest(f->tracker, "doc-3"), NEVER_SEEN);
    assert_int_equal(latest(f->tracker, "doc-7"), 1);
    assert_view_agrees(f);
}

static void test_view_is_right_when_all_is_replaced_after_folding(void **state)
{
    fixture *f = *state;
    update_very_often(f->tracker);
    ctrack_coordinate entries[] = {at("doc-3", 1), at("new", 2)};
    assert_status(ctrack_hydrate(f->tracker, entries, 2, NULL), CTRACK_OK);
    update(f->tracker, "doc-4", 0);
    assert_view_agrees(f);
    reopen(f);
    assert_int_equal(entry_count(f->tracker), 3);
    assert_view_agrees(f);
}

/* ---------------------------------------------------------------- writing */

static const char insert_doc_1_at_5[] =
    "INSERT INTO ctrack_progress (read_model, document_id, scope, branch, operation_index) "
    "VALUES ('default', 'doc-1', 'document', 'main', 5)";

static void test_insert_into_the_view_is_progress(void **state)
{
    fixture *f = *state;
    db_run_once(f->path, insert_doc_1_at_5);
    assert_status(ctrack_refresh(f->tracker, NULL), CTRACK_OK);
    assert_int_equal(latest(f->tracker, "doc-1"), 5);
    assert_view_agrees(f);
}

static void test_insert_into_the_view_wakes_waits(void **state)
{
    fixture *f = *state;
    ctrack_promise *promise = wait_for(f->tracker, "doc-1", 5);
    db_run_once(f->path, insert_doc_1_at_5);
    assert_status(ctrack_refresh(f->tracker, NULL), CTRACK_OK);
    assert_status(ctrack_promise_status(promise), CTRACK_OK);
    ctrack_promise_release(promise);
}

static void test_insert_below_the_progress_changes_nothing(void **state)
{
    fixture *f = *state;
    update(f->tracker, "doc-1", 7);
    db_run_once(f->path, insert_doc_1_at_5);
    assert_status(ctrack_refresh(f->tracker, NULL), CTRACK_OK);
    assert_int_equal(latest(f->tracker, "doc-1"), 7);
    assert_view_agrees(f);
    reopen(f);
    assert_int_equal(latest(f->tracker, "doc-1"), 7);
}

static void test_insert_that_is_rolled_back_is_no_progress(void **state)
{
    fixture *f = *state;
    sqlite3 *db = db_open(f->path);
    db_run(db, "BEGIN");
    db_run(db, insert_doc_1_at_5);
    db_run(db, "ROLLBACK");
    db_close(db);
    assert_status(ctrack_refresh(f->tracker, NULL), CTRACK_OK);
    assert_int_equal(latest(f->tracker, "doc-1"), NEVER_SEEN);
}

static void test_insert_of_what_no_call_would_take_is_refused(void **state)
{
    fixture *f = *state;
    static const char *const bad[] = {
        "INSERT INTO ctrack_progress VALUES ('default', 'd', 's', 'b', -1, NULL)",
        "INSERT INTO ctrack_progress VALUES ('default', 'd', 's', 'b', NULL, NULL)",
        "INSERT INTO ctrack_progress VALUES ('default', 'd', 's', 'b', 1.5, NULL)",
        "INSERT INTO ctrack_progress VALUES ('default', 'd', 's', 'b', 'x', NULL)",
        "INSERT INTO ctrack_progress VALUES ('default', NULL, 's', 'b', 1, NULL)",
        "INSERT INTO ctrack_progress VALUES ('default', x'41', 's', 'b', 1, NULL)",
        "INSERT INTO ctrack_progress VALUES ('default', 'd', 5, 'b', 1, NULL)",
        "INSERT INTO ctrack_progress VALUES (NULL, 'd', 's', 'b', 1, NULL)",
        "INSERT INTO ctrack_progress VALUES ('default', 'd' || char(0), 's', 'b', 1, NULL)",
        "INSERT INTO ctrack_progress VALUES ('default', printf('%.*c', 65536, 'x'), 's', 'b', 1, NULL)",
    };
    sqlite3 *db = db_open(f->path);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (sqlite3_exec(db, bad[i], NULL, NULL, NULL) == SQLITE_OK) {
            print_error("not refused: %s\n", bad[i]);
            fail();
        }
    }
    db_close(db);
    reopen(f);
    assert_int_equal(entry_count(f->tracker), 0);
}

/* The text at a place of the key, the rest being ASCII. False: refused. */
static bool insert_bytes(sqlite3 *db, const unsigned char *bytes, int length, int place)
{
    sqlite3_stmt *insert = NULL;
    assert_int_equal(
        sqlite3_prepare_v2(db, "INSERT INTO ctrack_progress VALUES (?1, ?2, ?3, ?4, 1, NULL)", -1, &insert, NULL),
        SQLITE_OK);
    for (int i = 0; i < 4; i++) {
        sqlite3_bind_text(insert, i + 1, i == place ? (const char *)bytes : "x", i == place ? length : 1,
                          SQLITE_TRANSIENT);
    }
    int code = sqlite3_step(insert);
    if (code != SQLITE_DONE) {
        assert_contains(sqlite3_errmsg(db), "must be UTF-8");
    }
    sqlite3_finalize(insert);
    return code == SQLITE_DONE;
}

/* RFC 3629, section 4. */
static bool is_character(const unsigned char *at, int length)
{
    int wanted = at[0] < 0x80 ? 1 : at[0] >= 0xC2 && at[0] < 0xE0 ? 2 : at[0] >= 0xE0 && at[0] < 0xF0 ? 3 : 4;
    int low = at[0] == 0xE0 ? 0xA0 : at[0] == 0xF0 ? 0x90 : 0x80, high = at[0] == 0xED ? 0x9F : 0xBF;
    high = at[0] == 0xF4 ? 0x8F : high;
    bool good = length == wanted && at[0] < 0xF5 && (wanted < 4 || at[0] >= 0xF0);
    for (int i = 1; i < length; i++) {
        good = good && at[i] >= (i == 1 ? low : 0x80) && at[i] <= (i == 1 ? high : 0xBF);
    }
    return good;
}

static bool is_text(const unsigned char *bytes, int length)
{
    for (int n = 1; n <= length; n++) {
        if (is_character(bytes, n)) {
            return is_text(bytes + n, length - n);
        }
    }
    return length == 0;
}

static void test_insert_of_short_text_is_refused_unless_it_is_utf_8(void **state)
{
    fixture *f = *state;
    static const unsigned char edges[] = {0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xC1, 0xC2, 0xDF,
                                          0xE0, 0xEC, 0xED, 0xEE, 0xEF, 0xF0, 0xF3, 0xF4, 0xF5, 0xFF};
    enum { EDGES = sizeof edges };
    sqlite3 *db = db_open(f->path);
    db_run(db, "PRAGMA synchronous = OFF; BEGIN");
    int n = 0;
    for (int length = 1; length <= 4; length++) {
        for (int i = 0; i < (length < 3 ? EDGES * EDGES : EDGES * EDGES * EDGES); i++) {
            const unsigned char bytes[4] = {edges[i % EDGES], edges[i / EDGES % EDGES], edges[i / EDGES / EDGES], 0xBF};
            if (length > 2 && bytes[0] < 0xE0) {
                continue; /* a text that was there, and another character */
            }
            assert_true(insert_bytes(db, bytes, length, n++ % 4) == is_text(bytes, length));
        }
    }
    db_run(db, "COMMIT");
    db_close(db);
    assert_status(ctrack_refresh(f->tracker, &f->error), CTRACK_OK); /* what was let in is fine with us */
}

/* A long text is judged in pieces: a fault is found wherever it is, and what is sound passes. */
static void test_insert_of_long_text_is_refused_unless_all_of_it_is_utf_8(void **state)
{
    fixture *f = *state;
    unsigned char text[400];
    sqlite3 *db = db_open(f->path);
    db_run(db, "PRAGMA synchronous = OFF; BEGIN");
    for (int before = 0; before < 192; before += 3) { /* at every place of a piece of 64 */
        memset(text, 'x', sizeof text);
        memcpy(text + before, "\xF0\x9F\x98\x80\xE2\x82\xAC\xC3\xA9", 9);
        assert_true(insert_bytes(db, text, before + 9, 1));
        assert_true(insert_bytes(db, text, 300, 1));
        for (int gone = 0; gone < 9; gone++) {
            unsigned char kept = text[before + gone];
            text[before + gone] = 'x';
            assert_false(insert_bytes(db, text, 300, 1));
            text[before + gone] = kept;
        }
        assert_false(insert_bytes(db, text, before + 8, 1));
    }
    db_run(db, "COMMIT");
    db_close(db);
    assert_status(ctrack_refresh(f->tracker, &f->error), CTRACK_OK);
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        TEST_ON_FILE(test_view_is_empty_in_a_new_file),
        TEST_ON_FILE(test_view_says_what_get_latest_says),
        TEST_ON_FILE(test_view_has_one_row_for_a_key_that_was_raised_often),
        TEST_ON_FILE(test_view_follows_forget_and_hydrate),
        TEST(test_view_names_the_read_model),
        TEST_ON_FILE(test_updated_at_is_readable_utc_text),
        TEST_ON_FILE(test_updated_at_is_the_time_of_the_update),
        TEST_ON_FILE(test_updated_at_does_not_move_when_nothing_changes),
        TEST_ON_FILE(test_view_is_right_while_a_long_log_is_folded),
        TEST_ON_FILE(test_view_is_right_after_a_long_log),
        TEST_ON_FILE(test_long_log_is_folded_and_trimmed),
        TEST_ON_FILE(test_view_is_right_when_keys_are_forgotten_after_folding),
        TEST_ON_FILE(test_view_is_right_when_all_is_replaced_after_folding),
        TEST_ON_FILE(test_insert_into_the_view_is_progress),
        TEST_ON_FILE(test_insert_into_the_view_wakes_waits),
        TEST_ON_FILE(test_insert_below_the_progress_changes_nothing),
        TEST_ON_FILE(test_insert_that_is_rolled_back_is_no_progress),
        TEST_ON_FILE(test_insert_of_what_no_call_would_take_is_refused),
        TEST_ON_FILE(test_insert_of_short_text_is_refused_unless_it_is_utf_8),
        TEST_ON_FILE(test_insert_of_long_text_is_refused_unless_all_of_it_is_utf_8),
    };
    return SUPPORT_MAIN(argc, argv, "view", tests, NULL);
}
