/* SPDX-License-Identifier: MIT */
/* A pragma that does not take is noticed. */
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

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_pragma_that_gives_something_else_is_an_error),
    };
    return SUPPORT_MAIN(argc, argv, "sql", tests, NULL);
}
