/* SPDX-License-Identifier: MIT */
/* A pragma that does not take is noticed; whose fault it is that a row is refused. */
#include "support.h"

#include <sqlite3.h>

#include "sql.h"

static void test_a_pragma_that_gives_something_else_is_an_error(void **state)
{
    fixture *f = *state;
    struct sqlite3 *db = db_open(":memory:"); /* which has no write-ahead log */
    assert_status(ct_sql_pragma(db, "PRAGMA main.journal_mode = WAL", "wal", &f->error), CTRACK_IO);
    assert_contains(f->error.message, "gives memory, not wal");
    assert_status(ct_sql_pragma(db, "PRAGMA user_version = 5", "5", &f->error), CTRACK_IO);
    assert_contains(f->error.message, "gives nothing, not 5");
    assert_status(ct_sql_pragma(db, "PRAGMA user_version", "5", &f->error), CTRACK_OK);
    db_close(db);
}

static void assert_refused(struct sqlite3 *db, const char *sql, ctrack_status status, fixture *f)
{
    sqlite3_stmt *statement = NULL;
    assert_status(ct_sql_prepare(db, sql, &statement, NULL), CTRACK_OK);
    for (int extended = 0; extended < 2; extended++) {
        sqlite3_extended_result_codes(db, extended);
        assert_status(ct_sql_run(statement, "write", &f->error), status);
    }
    sqlite3_finalize(statement);
}

static void test_a_row_that_is_wrong_by_itself_is_our_fault(void **state)
{
    fixture *f = *state;
    struct sqlite3 *db = db_open(":memory:");
    db_run(db, "CREATE TABLE t (a INTEGER UNIQUE NOT NULL CHECK (a > 0)) STRICT; INSERT INTO t VALUES (1)");
    assert_refused(db, "INSERT INTO t VALUES (0)", CTRACK_INTERNAL, f);
    assert_contains(f->error.message, "a fault of ctrack's own, please report it; nothing has changed: CHECK");
    assert_refused(db, "INSERT INTO t VALUES (NULL)", CTRACK_INTERNAL, f);
    assert_refused(db, "INSERT INTO t VALUES ('x')", CTRACK_INTERNAL, f);
    assert_refused(db, "INSERT INTO t VALUES (1)", CTRACK_CORRUPT, f);
    assert_int_equal(db_integer(db, "SELECT count(*) FROM t"), 1);
    db_close(db);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_pragma_that_gives_something_else_is_an_error),
        TEST(test_a_row_that_is_wrong_by_itself_is_our_fault),
    };
    return SUPPORT_MAIN(argc, argv, "sql", tests, NULL);
}
