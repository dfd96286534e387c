/* SPDX-License-Identifier: MIT */
#include "connection.h"

#include <stdatomic.h>

#include "error.h"
#include "guard.h"
#include "shmlock.h"
#include "sql.h"
#include "sync.h"

/* Connections to files that this process has, or is about to have; and ct_fork_generation() of whoever opened them. They
 * count from before SQLite is called, whose mutexes a fork may find taken. */
static atomic_uint connections, opened_by;

static void enter(void)
{
    atomic_store(&opened_by, ct_fork_generation());
    atomic_fetch_add(&connections, 1);
}

static void leave(void)
{
    atomic_fetch_sub(&connections, 1);
}

/* SQLite has no mutexes when it was compiled or configured for a single thread; then a connection cannot have one. */
static ctrack_status check_threads(ctrack_error *error)
{
    sqlite3 *db = NULL;
    int code =
        sqlite3_open_v2(":memory:", &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_MEMORY | SQLITE_OPEN_FULLMUTEX, NULL);
    ctrack_status status = code == SQLITE_OK ? CTRACK_OK : ct_sql_fail(db, code, "use SQLite", error);
    if (status == CTRACK_OK && sqlite3_db_mutex(db) == NULL) {
        status =
            ct_error_set(error, CTRACK_MISUSE,
                         "SQLite is configured for a single thread (SQLITE_CONFIG_SINGLETHREAD), ctrack uses several");
    }
    sqlite3_close(db);
    return status;
}

ctrack_status ct_connection_usable(ctrack_error *error)
{
    if (atomic_load(&connections) > 0 && atomic_load(&opened_by) != ct_fork_generation()) {
        return ct_error_set(
            error, CTRACK_FORKED,
            "a parent process had a tracker's file open when it forked, so SQLite's locks do not work in "
            "this process: fork before opening, or have the child run a program");
    }
    enter();
    ctrack_status status = check_threads(error);
    leave();
    return status;
}

ctrack_status ct_connection_open(const char *name, int mode, const char *doing, sqlite3 **db, ctrack_error *error)
{
    ctrack_status status = ct_connection_usable(error);
    if (status != CTRACK_OK) {
        return status;
    }
    enter();
    ct_shmlock_keep();
    int flags = mode | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE | SQLITE_OPEN_NOFOLLOW;
    int code = sqlite3_open_v2(name, db, flags, NULL);
    if (*db == NULL) {
        leave();
    }
    if (code != SQLITE_OK) {
        return ct_sql_fail(*db, code, doing, error);
    }
    sqlite3_extended_result_codes(*db, 1);
    return CTRACK_OK;
}

int ct_connection_close(sqlite3 *db)
{
    if (db == NULL) {
        return SQLITE_OK;
    }
    int code = sqlite3_close(db);
    ct_guard_tidy();
    leave();
    return code;
}
