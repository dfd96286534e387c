/* SPDX-License-Identifier: MIT */
/* Whether SQLite's files are those of their names, asked of a connection of our own. */
#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "connection.h"
#include "identity.h"
#include "out_of_memory.h"
#include "support.h"

#ifdef __GLIBC__ /* which has another name for it in a program whose files may be of any size */
#define REAL_FSTAT __real_fstat64
#define WRAP_FSTAT __wrap_fstat64
#else
#define REAL_FSTAT __real_fstat
#define WRAP_FSTAT __wrap_fstat
#endif

static int fstats_left = -1; /* so many succeed, then one fails; below 0: all succeed */

int REAL_FSTAT(int descriptor, struct stat *found);
int WRAP_FSTAT(int descriptor, struct stat *found);
int WRAP_FSTAT(int descriptor, struct stat *found)
{
    errno = EIO;
    return fstats_left >= 0 && fstats_left-- == 0 ? -1 : REAL_FSTAT(descriptor, found);
}

/* A database in write-ahead mode, which somebody else has open as well, so that its log stays; and a connection to it. */
typedef struct opened {
    sqlite3 *other, *db;
    ct_identity identity;
} opened;

static opened open_one(fixture *f)
{
    opened o = {.identity = CT_IDENTITY_INIT};
    o.other = db_open(f->path);
    db_run(o.other, "PRAGMA journal_mode = WAL; CREATE TABLE t (a)");
    assert_status(ct_connection_open(f->path, SQLITE_OPEN_READWRITE, "open", &o.db, &f->error), CTRACK_OK);
    assert_int_equal(db_integer(o.db, "SELECT count(*) FROM t"), 0);
    assert_status(ct_identity_learn(&o.identity, o.db, &f->error), CTRACK_OK);
    return o;
}

static void close_one(opened *o)
{
    ct_identity_end(&o->identity);
    ct_connection_close(o->db);
    db_close(o->other);
}

/* In place of the log's descriptor, one of another file. */
static void take_for_log(const fixture *f, opened *o, const char *content, size_t size)
{
    char path[300];
    close(o->identity.named_log);
    write_file(path_in(f, "another", path), content, size);
    o->identity.named_log = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(o->identity.named_log >= 0);
}

static void test_log_of_the_name_is_proven_once(void **state)
{
    fixture *f = *state;
    opened o = open_one(f);
    assert_status(ct_identity_guard(&o.identity, o.db, &f->error), CTRACK_OK);
    assert_true(o.identity.named_log >= 0);
    assert_status(ct_identity_prove(&o.identity, o.db, &f->error), CTRACK_OK);
    assert_int_equal(o.identity.named_log, -1);
    assert_status(ct_identity_prove(&o.identity, o.db, &f->error), CTRACK_OK);
    close_one(&o);
}

static void test_log_that_is_not_sqlites_is_told(void **state)
{
    fixture *f = *state;
    static const char content[] = "this is not the head of SQLite's log";
    for (int i = 0; i < 2; i++) {
        opened o = open_one(f);
        assert_status(ct_identity_guard(&o.identity, o.db, &f->error), CTRACK_OK);
        take_for_log(f, &o, content, i == 0 ? sizeof content : 0);
        assert_status(ct_identity_prove(&o.identity, o.db, &f->error), CTRACK_IO);
        assert_contains(f->error.message, "is not that of");
        close_one(&o);
        assert_int_equal(unlink(f->path), 0);
    }
}

static void test_log_without_a_name_is_not_guarded(void **state)
{
    fixture *f = *state;
    char path[300];
    opened o = open_one(f);
    snprintf(path, sizeof path, "%s-wal", f->path);
    assert_int_equal(unlink(path), 0);
    assert_status(ct_identity_guard(&o.identity, o.db, &f->error), CTRACK_BUSY);
    assert_contains(f->error.message, "log is gone");
    assert_null(o.identity.guard);
    close_one(&o);
}

static void test_file_without_a_log_has_no_guard(void **state)
{
    fixture *f = *state;
    sqlite3 *db = NULL;
    ct_identity identity = CT_IDENTITY_INIT;
    db_run_once(f->path, "CREATE TABLE t (a)");
    assert_status(ct_connection_open(f->path, SQLITE_OPEN_READWRITE, "open", &db, &f->error), CTRACK_OK);
    assert_status(ct_identity_learn(&identity, db, &f->error), CTRACK_OK);
    assert_status(ct_identity_guard(&identity, db, &f->error), CTRACK_OK);
    assert_null(identity.guard);
    ct_identity_end(&identity);
    ct_connection_close(db);
}

static void test_files_that_cannot_be_looked_at_are_an_error(void **state)
{
    fixture *f = *state;
    for (int i = 0; i < 3; i++) { /* the database, -shm, the log */
        opened o = open_one(f);
        fstats_left = i;
        ctrack_status status = ct_identity_guard(&o.identity, o.db, &f->error);
        fstats_left = -1;
        assert_status(status, CTRACK_IO);
        assert_contains(f->error.message, "cannot open");
        assert_null(o.identity.guard);
        close_one(&o);
        assert_int_equal(unlink(f->path), 0);
    }
}

static void test_second_name_is_refused_without_memory_too(void **state)
{
    fixture *f = *state;
    char second[300];
    db_run_once(f->path, "CREATE TABLE t (a)");
    assert_int_equal(link(f->path, path_in(f, "second", second)), 0);
    for (int fails = 0; fails < 2; fails++) {
        memory_fail_after(fails == 0 ? -1 : 0);
        ctrack_status status = ct_identity_foresee(f->path, &f->error);
        assert_int_equal(memory_has_failed(), fails);
        assert_status(status, CTRACK_INVALID);
        assert_contains(f->error.message, "a hard link");
    }
}

static void test_guard_needs_memory_for_the_name_of_the_index(void **state)
{
    fixture *f = *state;
    opened o = open_one(f);
    memory_fail_after(0);
    ctrack_status status = ct_identity_guard(&o.identity, o.db, &f->error);
    assert_true(memory_has_failed());
    assert_status(status, CTRACK_NO_MEMORY);
    assert_null(o.identity.guard);
    close_one(&o);
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_log_of_the_name_is_proven_once),
        TEST(test_log_that_is_not_sqlites_is_told),
        TEST(test_log_without_a_name_is_not_guarded),
        TEST(test_file_without_a_log_has_no_guard),
        TEST(test_files_that_cannot_be_looked_at_are_an_error),
        TEST(test_second_name_is_refused_without_memory_too),
        TEST(test_guard_needs_memory_for_the_name_of_the_index),
    };
    return SUPPORT_MAIN(argc, argv, "identity", tests, NULL);
}
