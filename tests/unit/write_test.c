/* SPDX-License-Identifier: MIT */
/* What would write a wrong row is refused in every build, and the file stays as it is. */
#include "support.h"

#include <stdio.h>

#include "fold.h"
#include "sql.h"
#include "write.h"

/* Writes within a transaction what must be refused as a fault of ours. */
typedef ctrack_status writing(ctrack *tracker, ctrack_error *error);

static void assert_refused(fixture *f, writing *what)
{
    bool followed;
    update(f->tracker, "doc-1", 5);
    assert_status(ct_write_begin(f->tracker, &followed, NULL), CTRACK_OK);
    ctrack_status status = what(f->tracker, &f->error);
    assert_status(ct_write_end(f->tracker, status, NULL), CTRACK_INTERNAL);
    assert_contains(f->error.message, "please report it");
    assert_int_equal(db_integer_once(f->path, "SELECT count(*) FROM ctrack_advance"), 1);
    assert_status(ctrack_check(f->path, -1, NULL, NULL, NULL, NULL), CTRACK_OK);
    update(f->tracker, "doc-1", 6);
}

static ctrack_status forget_in_no_keyspace(ctrack *tracker, ctrack_error *error)
{
    return ct_write_rewind(tracker, 0, "doc-1", 5, error);
}

static ctrack_status replace_no_read_model(ctrack *tracker, ctrack_error *error)
{
    return ct_write_rewind(tracker, 0, NULL, 0, error);
}

static ctrack_status fold(ctrack *tracker, int64_t keyspace_id, int64_t index, ctrack_error *error)
{
    ct_fold *changes = ct_fold_new();
    ctrack_status status = ct_fold_add(changes, keyspace_id, "doc-1", 5, index, 0, error);
    status = status == CTRACK_OK ? ct_fold_apply(changes, tracker->store, error) : status;
    ct_fold_free(changes);
    return status;
}

static ctrack_status fold_into_no_keyspace(ctrack *tracker, ctrack_error *error)
{
    return fold(tracker, 0, 5, error);
}

static ctrack_status fold_no_progress(ctrack *tracker, ctrack_error *error)
{
    return fold(tracker, 1, CT_UNSEEN, error);
}

static ctrack_status append(ctrack *tracker, const char *columns, ctrack_error *error)
{
    char sql[200];
    snprintf(sql, sizeof sql, "INSERT INTO main.ctrack_advance (operation_index, updated_at, %s", columns);
    return ct_sql_exec(tracker->store->db, sql, "append to the log", error);
}

static ctrack_status append_without_a_key(ctrack *tracker, ctrack_error *error)
{
    return append(tracker, "coordinate_id) VALUES (5, 0, 0)", error);
}

static ctrack_status append_in_no_keyspace(ctrack *tracker, ctrack_error *error)
{
    return append(tracker, "keyspace_id, document_id) VALUES (5, 0, 0, 'doc-1')", error);
}

static void test_a_key_is_not_forgotten_in_no_keyspace(void **state)
{
    assert_refused(*state, forget_in_no_keyspace);
}

static void test_no_read_model_is_not_replaced(void **state)
{
    assert_refused(*state, replace_no_read_model);
}

static void test_nothing_is_folded_into_no_keyspace(void **state)
{
    assert_refused(*state, fold_into_no_keyspace);
}

static void test_no_progress_is_not_folded(void **state)
{
    assert_refused(*state, fold_no_progress);
}

static void test_no_row_is_appended_without_a_key(void **state)
{
    assert_refused(*state, append_without_a_key);
}

static void test_no_row_is_appended_in_no_keyspace(void **state)
{
    assert_refused(*state, append_in_no_keyspace);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        TEST_ON_FILE(test_a_key_is_not_forgotten_in_no_keyspace), TEST_ON_FILE(test_no_read_model_is_not_replaced),
        TEST_ON_FILE(test_nothing_is_folded_into_no_keyspace),    TEST_ON_FILE(test_no_progress_is_not_folded),
        TEST_ON_FILE(test_no_row_is_appended_without_a_key),      TEST_ON_FILE(test_no_row_is_appended_in_no_keyspace),
    };
    return SUPPORT_MAIN(argc, argv, "write", tests, NULL);
}
