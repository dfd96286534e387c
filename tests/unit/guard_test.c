/* SPDX-License-Identifier: MIT */
/* Guards: what they need, what they refuse, and when they let their descriptors go. */
#define _GNU_SOURCE /* F_OFD_SETLK */
#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
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

/* There is no /proc/locks, or none any more after so many readings; or this is in it. */
static bool unlisted;
static int readings_left = -1; /* below 0: there is no end to them */
static char list[1000];

FILE *REAL(fopen)(const char *path, const char *mode);
FILE *WRAP(fopen)(const char *path, const char *mode);
FILE *WRAP(fopen)(const char *path, const char *mode)
{
    errno = ENOENT;
    if (unlisted || (readings_left >= 0 && readings_left-- == 0)) {
        return NULL;
    }
    return list[0] != '\0' ? fmemopen(list, strlen(list), mode) : REAL(fopen)(path, mode);
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

/* Locks of descriptors are refused, and not told of, with this. */
static int locking_says;

int REAL(fcntl)(int descriptor, int command, ...);
int WRAP(fcntl)(int descriptor, int command, ...);
int WRAP(fcntl)(int descriptor, int command, ...)
{
    va_list arguments;
    va_start(arguments, command);
    void *lock = command != F_GETFD ? va_arg(arguments, void *) : NULL;
    va_end(arguments);
    errno = locking_says;
    return locking_says != 0 && (command == F_OFD_SETLK || command == F_OFD_GETLK)
               ? -1
               : REAL(fcntl)(descriptor, command, lock);
}

/* Open files cannot be looked at. */
static bool invisible;

int REAL(fstat)(int descriptor, struct stat *found);
int WRAP(fstat)(int descriptor, struct stat *found);
int WRAP(fstat)(int descriptor, struct stat *found)
{
    errno = EIO;
    return invisible ? -1 : REAL(fstat)(descriptor, found);
}

/* Forks cannot be watched. */
static bool unwatched;

int __real_ct_fork_handlers(void (*before)(void), void (*in_parent)(void), void (*in_child)(void));
int __wrap_ct_fork_handlers(void (*before)(void), void (*in_parent)(void), void (*in_child)(void));
int __wrap_ct_fork_handlers(void (*before)(void), void (*in_parent)(void), void (*in_child)(void))
{
    return unwatched ? ENOMEM : __real_ct_fork_handlers(before, in_parent, in_child);
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

/* Once they are watched it stays so: this comes first. */
static void test_forks_that_cannot_be_watched_are_an_error(void **state)
{
    fixture *f = *state;
    ct_guard *guard = NULL;
    ct_inode file = make_files(f);
    unwatched = true;
    ctrack_status status = take(f, &file, &guard);
    unwatched = false;
    assert_status(status, CTRACK_NO_MEMORY);
    assert_status(take(f, &file, &guard), CTRACK_OK);
    give_up(guard);
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

/* POSIX has two ways to say that somebody else has the lock; all else says that there are no such locks. */
static void test_system_without_locks_of_descriptors_has_guards_all_the_same(void **state)
{
    fixture *f = *state;
    static const struct {
        int says;
        ctrack_status status;
    } cases[] = {{EAGAIN, CTRACK_BUSY}, {EACCES, CTRACK_BUSY}, {EINVAL, CTRACK_OK}};
    size_t before = open_descriptors();
    ct_inode file = make_files(f);
    for (int i = 0; i < 3; i++) {
        ct_guard *guard = NULL;
        locking_says = cases[i].says;
        ctrack_status status = take(f, &file, &guard);
        give_up(guard);
        locking_says = 0;
        assert_status(status, cases[i].status);
    }
    ct_guard_tidy();
    assert_int_equal(open_descriptors(), before);
}

/* ---------------------------------------------------------------- others that have opened it under another name */

/* A line of /proc/locks, of a file on the device 1:2. */
typedef struct line {
    const char *kind;
    bool own;
    unsigned major, minor;
    bool of_index;
    const char *bytes; /* the first and the last */
} line;
enum { LINES = 4 }; /* at most; behind the last is one without a kind */

#define SHARED_ONES "1073741826 1073742335"
static const line ours = {"POSIX ", true, 1, 2, false, SHARED_ONES};
static const line theirs = {"POSIX ", false, 1, 2, false, SHARED_ONES};

static void say_in_list(const line *said, const ct_inode *file, const ct_inode *index)
{
    char self[24] = "";
    size_t length = strlen(list);
    assert_true(__real_readlink("/proc/self", self, sizeof self - 1) > 0);
    snprintf(list + length, sizeof list - length, "1: %s ADVISORY READ %s %02x:%02x:%llu %s\n", said->kind,
             said->own ? self : "-1", said->major, said->minor,
             (unsigned long long)(said->of_index ? index : file)->number, said->bytes);
}

/* Taken while there are these locks. */
static void assert_taken_beside(fixture *f, const line lines[LINES], ctrack_status expected)
{
    char path[300];
    ct_guard *guard = NULL;
    ct_inode index, file = make_files(f);
    assert_int_equal(ct_inode_of(index_of(f, path), &index), 0);
    for (int i = 0; i < LINES && lines[i].kind != NULL; i++) {
        say_in_list(&lines[i], &file, &index);
    }
    ctrack_status status = take(f, &file, &guard);
    list[0] = '\0';
    assert_status(status, expected);
    if (status == CTRACK_OK) {
        ct_guard_loosen(guard);
    } else {
        assert_contains(f->error.message, "is open under another name");
    }
    ct_guard_tidy();
}

static void test_file_that_others_have_under_another_name_is_refused(void **state)
{
    fixture *f = *state;
    static const char *const bytes[] = {SHARED_ONES, "0 EOF"};
    for (int i = 0; i < 2; i++) {
        line other = theirs;
        other.bytes = bytes[i];
        const line lines[LINES] = {ours, other};
        assert_taken_beside(f, lines, CTRACK_BUSY);
    }
    const line of_a_descriptor[LINES] = {ours, {"OFDLCK", true, 1, 2, false, SHARED_ONES}};
    assert_taken_beside(f, of_a_descriptor, CTRACK_BUSY);
    static const char *const others[] = {"120 127", "129 130"}; /* locks on -shm, not those of whoever has it mapped */
    for (int i = 0; i < 2; i++) {
        const line lines[LINES] = {ours, theirs, {"POSIX ", false, 1, 2, true, others[i]}};
        assert_taken_beside(f, lines, CTRACK_BUSY);
    }
}

static void test_locks_that_do_not_tell_of_another_name_are_no_matter(void **state)
{
    fixture *f = *state;
    static const line alone[][LINES] = {
        {{"POSIX ", false, 1, 2, false, SHARED_ONES}},                                             /* which device? */
        {{"POSIX ", true, 1, 2, true, "128 128"}, {"POSIX ", false, 1, 2, false, SHARED_ONES}},    /* again */
        {{"POSIX ", true, 1, 2, false, SHARED_ONES}, {"POSIX ", false, 3, 2, false, SHARED_ONES}}, /* on another one */
        {{"POSIX ", true, 1, 2, false, SHARED_ONES}, {"POSIX ", false, 1, 3, false, SHARED_ONES}},
        {{"POSIX ", true, 1, 2, false, SHARED_ONES}, {"POSIX ", false, 1, 2, false, "1073741824 1073741824"}},
        {{"POSIX ", true, 1, 2, false, SHARED_ONES},
         {"POSIX ", false, 1, 2, false, SHARED_ONES},
         {"POSIX ", true, 1, 2, true, "128 128"}, /* -shm of this name is mapped by both */
         {"POSIX ", false, 1, 2, true, "128 128"}},
        {{"POSIX ", true, 1, 2, false, SHARED_ONES}, {"-> POSIX ", false, 1, 2, false, SHARED_ONES}}, /* waits for it */
    };
    for (size_t i = 0; i < sizeof alone / sizeof alone[0]; i++) {
        assert_taken_beside(f, alone[i], CTRACK_OK);
    }
}

static void test_list_of_locks_that_ends_being_there_tells_nothing(void **state)
{
    fixture *f = *state;
    static const line lines[LINES] = {{"POSIX ", true, 1, 2, false, SHARED_ONES},
                                      {"POSIX ", false, 1, 2, false, SHARED_ONES}};
    for (int readings = 0; readings < 6; readings++) {
        readings_left = readings;
        assert_taken_beside(f, lines, CTRACK_OK);
        assert_int_equal(readings_left, -1);
    }
}

/* ---------------------------------------------------------------- what is known of a guard */

static void test_file_is_in_use_while_a_store_has_it_with_this_index(void **state)
{
    fixture *f = *state;
    ct_guard *guard = NULL, *of_another = NULL;
    char index[300], path[300];
    index_of(f, index);
    ct_inode another, file = make_files(f), other = file;
    other.number++;
    write_file(path_in(f, "another", path), "", 0);
    assert_int_equal(ct_inode_of(path, &another), 0);
    assert_status(ct_guard_take(path, path, &another, &of_another, &f->error), CTRACK_OK);
    assert_status(take(f, &file, &guard), CTRACK_OK);
    assert_true(ct_guard_has(index, &file));
    assert_false(ct_guard_has(index, &other));
    assert_false(ct_guard_has(f->path, &file));
    assert_false(ct_guard_has(path_in(f, "nothing", path), &file));
    ct_guard_loosen(guard);
    assert_false(ct_guard_has(index, &file));
    give_up(of_another);
}

static void test_file_is_deleted_when_it_has_no_name_left(void **state)
{
    fixture *f = *state;
    ct_guard *guard = NULL;
    ct_inode file = make_files(f);
    assert_status(take(f, &file, &guard), CTRACK_OK);
    assert_false(ct_guard_deleted(guard));
    assert_int_equal(unlink(f->path), 0);
    invisible = true;
    bool deleted = ct_guard_deleted(guard);
    invisible = false;
    assert_false(deleted);
    assert_true(ct_guard_deleted(guard));
    give_up(guard);
}

/* ---------------------------------------------------------------- descriptors */

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

static void test_a_descriptor_that_somebody_else_closes_is_missed(void **state)
{
    fixture *f = *state;
    ct_guard *guard = NULL;
    ct_inode file = make_files(f);
    int next = dup(STDOUT_FILENO); /* the lowest that is free: the database's */
    close(next);
    assert_status(take(f, &file, &guard), CTRACK_OK);
    assert_true(ct_guard_intact(guard));
    close(next);
    assert_false(ct_guard_intact(guard));
    assert_int_equal(open("/dev/null", O_RDWR | O_CLOEXEC), next);
    assert_false(ct_guard_intact(guard));
    give_up(guard);
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_forks_that_cannot_be_watched_are_an_error),
        TEST(test_all_stores_on_a_file_share_a_guard),
        TEST(test_what_is_not_there_or_not_the_same_is_refused),
        TEST(test_file_that_somebody_has_for_himself_is_refused),
        TEST(test_system_without_locks_of_descriptors_has_guards_all_the_same),
        TEST(test_file_that_others_have_under_another_name_is_refused),
        TEST(test_locks_that_do_not_tell_of_another_name_are_no_matter),
        TEST(test_list_of_locks_that_ends_being_there_tells_nothing),
        TEST(test_file_is_in_use_while_a_store_has_it_with_this_index),
        TEST(test_file_is_deleted_when_it_has_no_name_left),
        TEST(test_descriptors_are_kept_while_closing_them_could_do_harm),
        TEST(test_file_that_may_only_be_read_is_guarded_too),
        TEST(test_locks_of_this_process_outlive_the_guard),
        TEST(test_no_descriptors_is_an_error),
        TEST(test_a_descriptor_that_somebody_else_closes_is_missed),
    };
    return SUPPORT_MAIN(argc, argv, "guard", tests, NULL);
}
