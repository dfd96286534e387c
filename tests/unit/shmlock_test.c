/* SPDX-License-Identifier: MIT */
/* Locks on -shm belong to SQLite's descriptor: closing the file drops none, and a child of a fork has none of them. */
#define _GNU_SOURCE /* F_OFD_GETLK */
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "out_of_memory.h"
#include "shmlock.h"

enum { WRITE_LOCK = 120, IN_USE = 128, BEHIND = 129 };

typedef int fcntl_call(int descriptor, int command, ...);

/* What SQLite calls. */
static fcntl_call *sqlites_fcntl(void)
{
    sqlite3_vfs *vfs = sqlite3_vfs_find("unix");
    return (fcntl_call *)vfs->xGetSystemCall(vfs, "fcntl");
}

static int ask(int descriptor, int command, short type, off_t at_byte)
{
    struct flock wanted = {.l_type = type, .l_whence = SEEK_SET, .l_start = at_byte, .l_len = 1};
    return sqlites_fcntl()(descriptor, command, &wanted);
}

static int open_shm(const fixture *f)
{
    char path[300];
    snprintf(path, sizeof path, "%s-shm", f->path);
    int descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_true(descriptor >= 0);
    return descriptor;
}

/* Who has a lock on a byte: a process, 0 for nobody, -1 for a descriptor. */
static pid_t owner(const fixture *f, off_t at_byte)
{
    struct flock found = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = at_byte, .l_len = 1};
    int descriptor = open_shm(f);
    assert_int_equal(fcntl(descriptor, F_OFD_GETLK, &found), 0);
    close(descriptor);
    return found.l_type == F_UNLCK ? 0 : found.l_pid;
}

/* In another process: begins to write, at once. The code. */
static int run_child(const char *mode, const char *path)
{
    sqlite3 *db = NULL;
    (void)mode;
    int code = sqlite3_open(path, &db);
    code = code == SQLITE_OK ? sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL) : code;
    sqlite3_close(db);
    return code;
}

static int another_begins(const fixture *f)
{
    child other = child_start("begin", f->path);
    return child_finish(&other);
}

/* ---------------------------------------------------------------- the locks */

/* First of all: later it is so already. */
static void test_without_sqlites_usual_files_nothing_is_replaced(void **state)
{
    (void)state;
    sqlite3_vfs *vfs = sqlite3_vfs_find("unix");
    fcntl_call *before = sqlites_fcntl();
    assert_int_equal(sqlite3_vfs_unregister(vfs), SQLITE_OK);
    ct_shmlock_keep();
    assert_int_equal(sqlite3_vfs_register(vfs, 1), SQLITE_OK);
    assert_true(sqlites_fcntl() == before);
    ct_shmlock_keep();
    assert_true(sqlites_fcntl() != before);
    before = sqlites_fcntl();
    ct_shmlock_keep();
    assert_true(sqlites_fcntl() == before);
}

static void test_a_writer_keeps_its_lock_while_its_process_closes_the_file(void **state)
{
    fixture *f = *state;
    sqlite3 *db = db_open(f->path);
    db_run(db, "BEGIN IMMEDIATE");
    close(open_shm(f));
    assert_int_equal(another_begins(f), SQLITE_BUSY);
    db_run(db, "ROLLBACK");
    assert_int_equal(another_begins(f), SQLITE_OK);
    db_close(db);
}

/* A host may be in the middle of a transaction when the first tracker is opened. */
static void test_what_was_locked_before_is_unlocked_as_well(void **state)
{
    fixture *f = *state;
    int descriptor = open_shm(f);
    struct flock wanted = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = WRITE_LOCK, .l_len = 1};
    assert_int_equal(fcntl(descriptor, F_SETLK, &wanted), 0);
    assert_int_equal(ask(descriptor, F_SETLK, F_UNLCK, WRITE_LOCK), 0);
    struct flock found = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = WRITE_LOCK, .l_len = 1};
    assert_int_equal(fcntl(descriptor, F_OFD_GETLK, &found), 0);
    assert_int_equal(found.l_type, F_UNLCK);
    close(descriptor);
}

/* As another copy of SQLite in this process has them, which then believes that nobody else writes. */
static void test_locks_of_the_old_kind_are_nobodys_to_drop(void **state)
{
    fixture *f = *state;
    int descriptor = open_shm(f), other = open_shm(f);
    struct flock wanted = {.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = WRITE_LOCK, .l_len = 1};
    assert_int_equal(fcntl(other, F_SETLK, &wanted), 0);
    assert_int_equal(ask(descriptor, F_SETLK, F_RDLCK, WRITE_LOCK), 0);
    assert_int_equal(ask(descriptor, F_SETLK, F_UNLCK, WRITE_LOCK), 0);
    struct flock found = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = WRITE_LOCK, .l_len = 1};
    assert_int_equal(fcntl(descriptor, F_OFD_GETLK, &found), 0);
    assert_int_equal(found.l_type, F_RDLCK);
    assert_int_equal(found.l_pid, getpid());
    close(other);
    close(descriptor);
}

static void test_every_way_to_ask_means_a_lock_of_the_descriptor(void **state)
{
    fixture *f = *state;
    int descriptor = open_shm(f), other = open_shm(f);
    assert_int_equal(ask(descriptor, F_SETLKW, F_RDLCK, IN_USE), 0);
    assert_int_equal(owner(f, IN_USE), -1);
    struct flock found = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = IN_USE, .l_len = 1};
    assert_int_equal(sqlites_fcntl()(other, F_GETLK, &found), 0);
    assert_int_equal(found.l_type, F_RDLCK);
    assert_int_equal(ask(other, F_SETLK, F_WRLCK, IN_USE), -1);
    assert_int_equal(ask(descriptor, F_SETLK, F_UNLCK, IN_USE), 0);
    assert_int_equal(owner(f, IN_USE), 0);
    found.l_type = F_WRLCK;
    assert_int_equal(sqlites_fcntl()(other, F_GETLK, &found), 0);
    assert_int_equal(found.l_type, F_UNLCK);
    close(other);
    close(descriptor);
}

static void test_other_calls_are_as_they_were(void **state)
{
    fixture *f = *state;
    int descriptor = open_shm(f);
    assert_int_equal(sqlites_fcntl()(descriptor, F_GETFD, 0), FD_CLOEXEC);
    assert_int_equal(ask(descriptor, F_SETLK, F_WRLCK, BEHIND), 0);
    assert_int_equal(owner(f, BEHIND), getpid());
    assert_int_equal(ask(descriptor, F_SETLK, F_WRLCK, WRITE_LOCK - 1), 0);
    assert_int_equal(owner(f, WRITE_LOCK - 1), getpid());
    struct flock odd = {.l_type = F_RDLCK, .l_whence = 99, .l_start = WRITE_LOCK, .l_len = 1};
    assert_int_equal(sqlites_fcntl()(descriptor, F_SETLK, &odd), -1);
    assert_int_equal(errno, EINVAL);
    close(descriptor);
    assert_int_equal(ask(descriptor, F_SETLK, F_RDLCK, IN_USE), -1);
    assert_int_equal(errno, EBADF);
}

/* Better such a lock than none. */
static void test_without_memory_a_lock_is_the_processs(void **state)
{
    fixture *f = *state;
    int low = open_shm(f), descriptor = fcntl(low, F_DUPFD_CLOEXEC, 500); /* higher than any before */
    assert_true(descriptor >= 500);
    memory_fail_after(0);
    int result = ask(descriptor, F_SETLK, F_WRLCK, WRITE_LOCK);
    assert_true(memory_has_failed());
    assert_int_equal(result, 0);
    struct flock found = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = WRITE_LOCK, .l_len = 1};
    assert_int_equal(fcntl(low, F_OFD_GETLK, &found), 0);
    assert_int_equal(found.l_pid, getpid());
    assert_int_equal(ask(descriptor, F_SETLK, F_UNLCK, WRITE_LOCK), 0);
    assert_int_equal(owner(f, WRITE_LOCK), 0);
    close(descriptor);
    close(low);
}

/* ---------------------------------------------------------------- forks */

/* What a forked child finds; 0 if all is right. */
static int finish(pid_t forked)
{
    int status = 0;
    assert_true(forked > 0);
    while (waitpid(forked, &status, 0) < 0 && errno == EINTR) {
    }
    return status;
}

static void test_a_forked_child_has_no_part_in_its_parents_locks(void **state)
{
    fixture *f = *state;
    int descriptor = open_shm(f);
    assert_int_equal(ask(descriptor, F_SETLK, F_RDLCK, IN_USE), 0); /* as SQLite does when it has opened it */
    assert_int_equal(ask(descriptor, F_SETLK, F_WRLCK, WRITE_LOCK), 0);
    pid_t forked = fork();
    if (forked == 0) {
        int refused = ask(descriptor, F_SETLK, F_WRLCK, WRITE_LOCK);
        ask(descriptor, F_SETLK, F_UNLCK, WRITE_LOCK);
        leave_fork(refused == -1 && ask(descriptor, F_SETLK, F_WRLCK, IN_USE) == -1 ? 0 : 2);
    }
    assert_int_equal(finish(forked), 0);
    assert_int_equal(owner(f, WRITE_LOCK), -1);
    /* Nor does it keep them when its parent has closed the file. */
    int ends[2];
    char byte;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    forked = fork();
    if (forked == 0) {
        close(ends[1]);
        leave_fork(write(ends[0], "!", 1) == 1 && read(ends[0], &byte, 1) == 0 ? 0 : 2);
    }
    assert_int_equal(read(ends[1], &byte, 1), 1);
    close(descriptor);
    assert_int_equal(owner(f, WRITE_LOCK), 0);
    close(ends[0]);
    close(ends[1]);
    assert_int_equal(finish(forked), 0);
}

/* The numbers of descriptors are used again; what is another file by now is left alone. */
static void test_a_forked_child_leaves_other_files_as_they_are(void **state)
{
    fixture *f = *state;
    char other[300];
    int descriptors[3], pipes[2];
    assert_int_equal(pipe(pipes), 0);
    int file = open(path_in(f, "other", other), O_RDWR | O_CREAT, 0600);
    for (int i = 0; i < 3; i++) {
        descriptors[i] = open_shm(f);
        assert_int_equal(ask(descriptors[i], F_SETLK, F_RDLCK, IN_USE), 0);
    }
    close(descriptors[0]);
    dup2(pipes[0], descriptors[1]);
    dup2(file, descriptors[2]);
    lseek(file, 7, SEEK_SET);
    pid_t forked = fork();
    if (forked == 0) {
        leave_fork(lseek(descriptors[2], 0, SEEK_CUR) == 7 && fcntl(descriptors[0], F_GETFD) == -1 ? 0 : 2);
    }
    assert_int_equal(finish(forked), 0);
    close(file);
    close(pipes[0]);
    close(pipes[1]);
    close(descriptors[1]);
    close(descriptors[2]);
}

static void test_a_forked_child_without_descriptors_has_locks_of_its_process(void **state)
{
    fixture *f = *state;
    int descriptor = open_shm(f);
    assert_int_equal(ask(descriptor, F_SETLK, F_RDLCK, IN_USE), 0);
    struct rlimit usual, none;
    getrlimit(RLIMIT_NOFILE, &usual);
    none = usual;
    none.rlim_cur = 3;
    setrlimit(RLIMIT_NOFILE, &none);
    pid_t forked = fork();
    if (forked == 0) {
        setrlimit(RLIMIT_NOFILE, &usual);
        leave_fork(ask(descriptor, F_SETLK, F_RDLCK, WRITE_LOCK) == 0 && owner(f, WRITE_LOCK) == getpid() ? 0 : 2);
    }
    setrlimit(RLIMIT_NOFILE, &usual);
    assert_int_equal(finish(forked), 0);
    assert_int_equal(owner(f, IN_USE), -1);
    close(descriptor);
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_without_sqlites_usual_files_nothing_is_replaced),
        TEST_ON_FILE(test_a_writer_keeps_its_lock_while_its_process_closes_the_file),
        TEST(test_what_was_locked_before_is_unlocked_as_well),
        TEST(test_locks_of_the_old_kind_are_nobodys_to_drop),
        TEST(test_every_way_to_ask_means_a_lock_of_the_descriptor),
        TEST(test_other_calls_are_as_they_were),
        TEST(test_without_memory_a_lock_is_the_processs),
        TEST(test_a_forked_child_has_no_part_in_its_parents_locks),
        TEST(test_a_forked_child_leaves_other_files_as_they_are),
        TEST(test_a_forked_child_without_descriptors_has_locks_of_its_process),
    };
    return SUPPORT_MAIN(argc, argv, "shmlock", tests, run_child);
}
