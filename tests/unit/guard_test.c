/* SPDX-License-Identifier: MIT */
/* Guards: what they need, what they refuse, and when they let their descriptors go. */
#define _GNU_SOURCE /* F_OFD_SETLK */
#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "guard.h"
#include "support.h"

enum { SHARED_FIRST = 0x40000002, SHARED_BYTES = 510, IN_USE = 128 };

/* /proc does not say who we are. */
static bool nameless;

ssize_t __real_readlink(const char *path, char *target, size_t size);
ssize_t __wrap_readlink(const char *path, char *target, size_t size);
ssize_t __wrap_readlink(const char *path, char *target, size_t size)
{
    errno = ENOENT;
    return nameless ? -1 : __real_readlink(path, target, size);
}

#ifdef __GLIBC__ /* which has other names for them in a program whose files may be of any size */
#define REAL(name) __real_##name##64
#define WRAP(name) __wrap_##name##64
#else
#define REAL(name) __real_##name
#define WRAP(name) __wrap_##name
#endif

/* There is no /proc/locks. */
static bool unlisted;

FILE *REAL(fopen)(const char *path, const char *mode);
FILE *WRAP(fopen)(const char *path, const char *mode);
FILE *WRAP(fopen)(const char *path, const char *mode)
{
    errno = ENOENT;
    return unlisted ? NULL : REAL(fopen)(path, mode);
}

/* Files may only be read; or not even that. */
static int refusal;
static bool unreadable;

int REAL(open)(const char *path, int flags, ...);
int WRAP(open)(const char *path, int flags, ...);
int WRAP(open)(const char *path, int flags, ...)
{
    errno = refusal;
    return refusal != 0 && (unreadable || (flags & O_ACCMODE) != O_RDONLY) ? -1 : REAL(open)(path, flags, 0600);
}

static char *index_of(const fixture *f, char path[300])
{
    snprintf(path, 300, "%s-shm", f->path);
    return path;
}

/* The files that a guard looks at, without a database in them. */
static ct_inode make_files(const fixture *f)
{
    char path[300];
    ct_inode file;
    write_file(f->path, "file", 4);
    write_file(index_of(f, path), "the index", 9);
    assert_int_equal(ct_inode_of(f->path, &file), 0);
    return file;
}

static ctrack_status take(fixture *f, const ct_inode *file, ct_guard **guard)
{
    char path[300];
    return ct_guard_take(f->path, index_of(f, path), file, guard, &f->error);
}

static void give_up(ct_guard *guard)
{
    ct_guard_loosen(guard);
    ct_guard_tidy();
}

static size_t open_descriptors(void)
{
    size_t count = 0;
    for (int i = 0; i < 1000; i++) {
        count += fcntl(i, F_GETFD) != -1;
    }
    return count;
}

/* A lock of somebody else's, until the descriptor is closed. */
static int lock_elsewhere(const char *path, int command, short type, off_t start, off_t length)
{
    int descriptor = open(path, O_RDWR | O_CLOEXEC);
    struct flock wanted = {.l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = length};
    assert_true(descriptor >= 0);
    assert_int_equal(fcntl(descriptor, command, &wanted), 0);
    return descriptor;
}

static void test_all_stores_on_a_file_share_a_guard(void **state)
{
    fixture *f = *state;
    ct_guard *first = NULL, *second = NULL;
    size_t before = open_descriptors();
    char text[10] = "";
    ct_inode file = make_files(f);
    assert_status(take(f, &file, &first), CTRACK_OK);
    assert_status(take(f, &file, &second), CTRACK_OK);
    assert_ptr_equal(first, second);
    assert_int_equal(ct_guard_read_index(first, text, 9, 0), 9);
    assert_string_equal(text, "the index");
    give_up(first);
    assert_int_equal(open_descriptors(), before + 2);
    give_up(second);
    assert_int_equal(open_descriptors(), before);
    ct_guard_loosen(NULL);
}

static void test_what_is_not_there_or_not_the_same_is_refused(void **state)
{
    fixture *f = *state;
    ct_guard *guard = NULL;
    char path[300];
    size_t before = open_descriptors();
    ct_inode file = make_files(f), other = file;
    other.number++;
    assert_status(take(f, &other, &guard), CTRACK_BUSY);
    assert_contains(f->error.message, "is being replaced");
    assert_int_equal(unlink(f->path), 0);
    assert_status(take(f, &file, &guard), CTRACK_IO);
    assert_contains(f->error.message, "No such file");
    assert_int_equal(unlink(index_of(f, path)), 0);
    assert_status(take(f, &file, &guard), CTRACK_BUSY);
    ct_guard_tidy();
    assert_int_equal(open_descriptors(), before);
}

static void test_file_that_somebody_has_for_himself_is_refused(void **state)
{
    fixture *f = *state;
    ct_guard *guard = NULL;
    char path[300];
    ct_inode file = make_files(f);
    int other = lock_elsewhere(f->path, F_OFD_SETLK, F_WRLCK, SHARED_FIRST, SHARED_BYTES);
    assert_status(take(f, &file, &guard), CTRACK_BUSY);
    assert_contains(f->error.message, "for himself");
    close(other);
    other = lock_elsewhere(index_of(f, path), F_OFD_SETLK, F_WRLCK, IN_USE, 1);
    assert_status(take(f, &file, &guard), CTRACK_BUSY);
    close(other);
    other = lock_elsewhere(f->path, F_OFD_SETLK, F_WRLCK, SHARED_FIRST, SHARED_BYTES); /* nothing was left locked */
    close(other);
    assert_status(take(f, &file, &guard), CTRACK_OK);
    give_up(guard);
}

/* Whoever is about to get a lock, or may have one, keeps the descriptors open; the next occasion closes them. */
static void test_descriptors_are_kept_while_closing_them_could_do_harm(void **state)
{
    fixture *f = *state;
    ct_guard *guard = NULL;
    size_t before = open_descriptors();
    ct_inode file = make_files(f);
    assert_status(take(f, &file, &guard), CTRACK_OK);
    int other = lock_elsewhere(f->path, F_OFD_SETLK, F_RDLCK, 0, 1); /* so that it is asked who has locks */
    nameless = true;
    give_up(guard);
    nameless = false;
    assert_int_equal(open_descriptors(), before + 3);
    unlisted = true;
    ct_guard_tidy();
    unlisted = false;
    assert_int_equal(open_descriptors(), before + 3);
    close(other);
    other = lock_elsewhere(f->path, F_OFD_SETLK, F_RDLCK, SHARED_FIRST - 2, 1); /* the pending byte */
    ct_guard_tidy();
    assert_int_equal(open_descriptors(), before + 3);
    close(other);
    ct_guard_tidy();
    assert_int_equal(open_descriptors(), before);
}

static void test_file_that_may_only_be_read_is_guarded_too(void **state)
{
    fixture *f = *state;
    static const int refusals[] = {EACCES, EROFS, EPERM};
    size_t before = open_descriptors();
    char path[300];
    ct_inode other, file = make_files(f);
    write_file(path_in(f, "other", path), "", 0);
    assert_int_equal(ct_inode_of(path, &other), 0);
    for (int i = 0; i < 3; i++) {
        ct_guard *guard = NULL, *none = NULL;
        refusal = refusals[i];
        ctrack_status status = take(f, &file, &guard);
        unreadable = true;
        ctrack_status refused = ct_guard_take(path, path, &other, &none, &f->error);
        unreadable = false;
        refusal = 0;
        assert_status(status, CTRACK_OK);
        assert_status(refused, CTRACK_IO);
        give_up(guard);
        assert_int_equal(open_descriptors(), before);
    }
}

static void test_locks_of_this_process_outlive_the_guard(void **state)
{
    fixture *f = *state;
    ct_guard *guard = NULL;
    ct_inode file = make_files(f);
    assert_status(take(f, &file, &guard), CTRACK_OK);
    int own = lock_elsewhere(f->path, F_SETLK, F_RDLCK, SHARED_FIRST, SHARED_BYTES);
    give_up(guard);
    struct flock found = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = SHARED_FIRST, .l_len = SHARED_BYTES};
    assert_int_equal(fcntl(own, F_OFD_GETLK, &found), 0);
    assert_int_equal(found.l_pid, getpid());
    close(own);
    ct_guard_tidy();
}

static void test_no_descriptors_is_an_error(void **state)
{
    fixture *f = *state;
    ct_guard *guard = NULL;
    ct_inode file = make_files(f);
    struct rlimit before, few;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    size_t used = open_descriptors();
    int next = dup(STDOUT_FILENO); /* the lowest that is free */
    close(next);
    for (rlim_t left = 0; left < 2; left++) {
        few = (struct rlimit){.rlim_cur = (rlim_t)next + left, .rlim_max = before.rlim_max};
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
        ctrack_status status = take(f, &file, &guard);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
        assert_status(status, CTRACK_IO);
        assert_contains(f->error.message, "Too many open files");
        ct_guard_tidy();
        assert_int_equal(open_descriptors(), used);
    }
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_all_stores_on_a_file_share_a_guard),
        TEST(test_what_is_not_there_or_not_the_same_is_refused),
        TEST(test_file_that_somebody_has_for_himself_is_refused),
        TEST(test_descriptors_are_kept_while_closing_them_could_do_harm),
        TEST(test_file_that_may_only_be_read_is_guarded_too),
        TEST(test_locks_of_this_process_outlive_the_guard),
        TEST(test_no_descriptors_is_an_error),
    };
    return SUPPORT_MAIN(argc, argv, "guard", tests, NULL);
}
