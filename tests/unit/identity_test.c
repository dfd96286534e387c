/* SPDX-License-Identifier: MIT */
/* Whether SQLite's files are those of their names, asked of a connection of our own. */
#define _GNU_SOURCE /* statx() */
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

#ifdef __GLIBC__ /* which has other names for them in a program whose files may be of any size */
#define REAL(name) __real_##name##64
#define WRAP(name) __wrap_##name##64
#else
#define REAL(name) __real_##name
#define WRAP(name) __wrap_##name
#endif

static int fstats_left = -1, preads_left = -1; /* so many succeed, then one fails; below 0: all succeed */

int REAL(fstat)(int descriptor, struct stat *found);
int WRAP(fstat)(int descriptor, struct stat *found);
int WRAP(fstat)(int descriptor, struct stat *found)
{
    errno = EIO;
    return fstats_left >= 0 && fstats_left-- == 0 ? -1 : REAL(fstat)(descriptor, found);
}

ssize_t REAL(pread)(int descriptor, void *data, size_t size, off_t offset);
ssize_t WRAP(pread)(int descriptor, void *data, size_t size, off_t offset);
ssize_t WRAP(pread)(int descriptor, void *data, size_t size, off_t offset)
{
    errno = EIO;
    return preads_left >= 0 && preads_left-- == 0 ? -1 : REAL(pread)(descriptor, data, size, offset);
}

/* What happens once: just before, or just after, a name is looked at for the n-th time. */
typedef void event(const fixture *f);
static event *before_look, *after_look;
static int looks_left = -1;
static const fixture *hooked;
static int statx_says; /* 0: it is carried out */

#ifdef STATX_INO
int __real_statx(int directory, const char *path, int flags, unsigned mask, struct statx *found);
int __wrap_statx(int directory, const char *path, int flags, unsigned mask, struct statx *found);
int __wrap_statx(int directory, const char *path, int flags, unsigned mask, struct statx *found)
{
    bool now = looks_left >= 0 && looks_left-- == 0;
    if (now && before_look != NULL) {
        before_look(hooked);
    }
    if (statx_says != 0) {
        errno = statx_says;
        return -1;
    }
    int result = __real_statx(directory, path, flags, mask, found);
    if (now && after_look != NULL) {
        after_look(hooked);
    }
    return result;
}
#endif

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

/* As after a transaction that changes nothing: what is not written cannot be in the wrong file. */
static void test_log_without_a_first_byte_is_proven_later(void **state)
{
    fixture *f = *state;
    opened o = open_one(f);
    assert_status(ct_identity_guard(&o.identity, o.db, &f->error), CTRACK_OK);
    assert_int_equal(db_integer(o.other, "PRAGMA wal_checkpoint(TRUNCATE)"), 0);
    assert_status(ct_identity_prove(&o.identity, o.db, &f->error), CTRACK_OK);
    assert_false(o.identity.proven);
    db_run(o.other, "INSERT INTO t VALUES (1)");
    assert_int_equal(db_integer(o.db, "SELECT count(*) FROM t"), 1);
    assert_status(ct_identity_prove(&o.identity, o.db, &f->error), CTRACK_OK);
    assert_true(o.identity.proven);
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
    assert_contains(f->error.message, "log cannot be looked at");
    assert_status(ct_identity_guard(&o.identity, o.db, &f->error), CTRACK_BUSY);
    assert_null(o.identity.guard);
    close_one(&o);
}

/* ---------------------------------------------------------------- what happens between two looks */

#ifdef STATX_INO
static void replace(const fixture *f, const char *ending)
{
    char path[300], other[300];
    snprintf(path, sizeof path, "%s%s", f->path, ending);
    write_file(path_in(f, "another", other), "another", 7);
    assert_int_equal(rename(other, path), 0);
}

static void replace_file(const fixture *f)
{
    replace(f, "");
}

static void replace_log(const fixture *f)
{
    replace(f, "-wal");
}

static void remove_file(const fixture *f)
{
    assert_int_equal(unlink(f->path), 0);
}

static void remove_all(const fixture *f)
{
    static const char *const endings[] = {"", "-wal", "-shm"};
    for (int i = 0; i < 3; i++) {
        char path[300];
        snprintf(path, sizeof path, "%s%s", f->path, endings[i]);
        unlink(path);
    }
}

static void await(const fixture *f, int looks, event *before, event *after)
{
    hooked = f;
    looks_left = looks;
    before_look = before;
    after_look = after;
}

static void test_file_that_is_replaced_or_removed_while_it_is_looked_at_is_told(void **state)
{
    fixture *f = *state;
    for (int looks = 0; looks < 2; looks++) {
        for (int removed = 0; removed < 2; removed++) {
            opened o = open_one(f);
            await(f, looks, removed ? remove_file : replace_file, NULL);
            assert_status(ct_identity_learn(&o.identity, o.db, &f->error), CTRACK_BUSY);
            assert_int_equal(looks_left, -1);
            assert_contains(f->error.message, removed ? "cannot be looked at" : "is being replaced");
            close_one(&o);
            remove_all(f);
        }
    }
}

/* The first look is at -shm. */
static void test_log_that_is_replaced_before_it_is_opened_is_told(void **state)
{
    fixture *f = *state;
    opened o = open_one(f);
    await(f, 1, NULL, replace_log);
    assert_status(ct_identity_guard(&o.identity, o.db, &f->error), CTRACK_BUSY);
    assert_int_equal(looks_left, -1);
    assert_contains(f->error.message, "log is being replaced");
    assert_null(o.identity.guard);
    close_one(&o);
}

static void test_file_is_known_without_statx_too(void **state)
{
    fixture *f = *state;
    ct_inode usual, found;
    write_file(f->path, "content", 7);
    assert_int_equal(ct_inode_of(f->path, &usual), 0);
    statx_says = ENOSYS;
    int result = ct_inode_of(f->path, &found);
    statx_says = 0;
    assert_int_equal(result, 0);
    assert_true(ct_inode_same(&found, &usual));
    assert_int_equal(found.links, 1);
    assert_int_equal(found.size, 7);
    assert_false(found.mounted);
}
#endif

static void test_index_that_is_not_that_of_the_name_is_told(void **state)
{
    fixture *f = *state;
    char path[300], other[300];
    opened o = open_one(f);
    assert_status(ct_identity_guard(&o.identity, o.db, &f->error), CTRACK_OK);
    snprintf(path, sizeof path, "%s-shm", f->path);
    write_file(path_in(f, "another", other), "another", 7);
    assert_int_equal(rename(other, path), 0);
    assert_status(ct_identity_prove(&o.identity, o.db, &f->error), CTRACK_IO);
    assert_contains(f->error.message, "-shm has been removed");
    close_one(&o);
}

/* ---------------------------------------------------------------- what cannot be read */

static const sqlite3_io_methods *usual;

static int refuse_to_read(sqlite3_file *file, void *data, int size, sqlite3_int64 offset)
{
    (void)file, (void)data, (void)size, (void)offset;
    return SQLITE_IOERR_READ;
}

static int refuse_to_map(sqlite3_file *file, int piece, int size, int extend, void volatile **mapped)
{
    (void)file, (void)piece, (void)size, (void)extend;
    *mapped = NULL;
    return SQLITE_IOERR_SHMMAP;
}

/* SQLite's own file refuses: the log to be read, or the database to have its index mapped. */
static ctrack_status prove_refusing(fixture *f, opened *o, int file_of)
{
    sqlite3_file *file = NULL;
    sqlite3_file_control(o->db, "main", file_of, &file);
    usual = file->pMethods;
    sqlite3_io_methods refusing = *usual;
    if (file_of == SQLITE_FCNTL_JOURNAL_POINTER) {
        refusing.xRead = refuse_to_read;
    } else {
        refusing.xShmMap = refuse_to_map;
    }
    file->pMethods = &refusing;
    ctrack_status status = ct_identity_prove(&o->identity, o->db, &f->error);
    file->pMethods = usual;
    return status;
}

static void test_what_cannot_be_read_proves_nothing(void **state)
{
    fixture *f = *state;
    opened o = open_one(f);
    assert_status(ct_identity_guard(&o.identity, o.db, &f->error), CTRACK_OK);
    for (int i = 0; i < 2; i++) { /* the log, its index */
        preads_left = i;
        ctrack_status status = ct_identity_prove(&o.identity, o.db, &f->error);
        preads_left = -1;
        assert_status(status, CTRACK_IO);
    }
    assert_status(prove_refusing(f, &o, SQLITE_FCNTL_JOURNAL_POINTER), CTRACK_IO);
    assert_status(prove_refusing(f, &o, SQLITE_FCNTL_FILE_POINTER), CTRACK_IO);
    assert_contains(f->error.message, "is not that of");
    assert_status(ct_identity_prove(&o.identity, o.db, &f->error), CTRACK_OK);
    close_one(&o);
}

static void test_connection_that_has_no_log_proves_nothing(void **state)
{
    fixture *f = *state;
    sqlite3 *unread = NULL;
    opened o = open_one(f);
    assert_status(ct_identity_guard(&o.identity, o.db, &f->error), CTRACK_OK);
    assert_status(ct_connection_open(f->path, SQLITE_OPEN_READWRITE, "open", &unread, &f->error), CTRACK_OK);
    assert_status(ct_identity_prove(&o.identity, unread, &f->error), CTRACK_IO);
    ct_connection_close(unread);
    close_one(&o);
}

static void test_file_that_is_not_there_has_no_other_names(void **state)
{
    fixture *f = *state;
    assert_status(ct_identity_foresee(f->path, &f->error), CTRACK_OK);
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
        TEST(test_log_without_a_first_byte_is_proven_later),
        TEST(test_log_that_is_not_sqlites_is_told),
        TEST(test_log_without_a_name_is_not_guarded),
#ifdef STATX_INO
        TEST(test_file_that_is_replaced_or_removed_while_it_is_looked_at_is_told),
        TEST(test_log_that_is_replaced_before_it_is_opened_is_told),
        TEST(test_file_is_known_without_statx_too),
#endif
        TEST(test_index_that_is_not_that_of_the_name_is_told),
        TEST(test_what_cannot_be_read_proves_nothing),
        TEST(test_connection_that_has_no_log_proves_nothing),
        TEST(test_file_that_is_not_there_has_no_other_names),
        TEST(test_file_without_a_log_has_no_guard),
        TEST(test_files_that_cannot_be_looked_at_are_an_error),
        TEST(test_second_name_is_refused_without_memory_too),
        TEST(test_guard_needs_memory_for_the_name_of_the_index),
    };
    return SUPPORT_MAIN(argc, argv, "identity", tests, NULL);
}
