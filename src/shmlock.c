/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE /* F_OFD_SETLK, dup3 */
#include "shmlock.h"

#include <fcntl.h>

#ifdef F_OFD_SETLK
#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sqlite3.h>

#include "alloc.h"
#include "sync.h"

/* The bytes of -shm that SQLite locks (os_unix.c, UNIX_SHM_BASE); the last one is locked as long as it is open. In a
 * database it locks none below 2^30. */
enum { FIRST = 120, LAST = 128 };

typedef int fcntl_call(int descriptor, int command, ...);

/* The file of a descriptor through which there are, or were, such locks; its number may be another file's by now. */
typedef struct holder {
    dev_t device;
    ino_t number;    /* 0: there were none */
    unsigned locked; /* the bytes, from FIRST on, that are locked through it */
} holder;

static _Atomic(fcntl_call *) original; /* NULL: nothing is replaced yet */
static atomic_bool shared;             /* this is the child of a fork, with descriptors that are its parent's, too */
static ct_mutex lock = CT_MUTEX_INIT;
static holder *holders; /* lock; at the place of each descriptor */
static size_t count;    /* lock */

/* ---------------------------------------------------------------- fork */

static void before_fork(void)
{
    ct_mutex_lock(&lock);
}

static void after_fork_in_parent(void)
{
    ct_mutex_unlock(&lock);
}

/* The same file in the same descriptor, but opened by this process. */
static bool open_anew(int descriptor)
{
    char name[40];
    int flags = fcntl(descriptor, F_GETFL);
    snprintf(name, sizeof name, "/proc/self/fd/%d", descriptor);
    int fresh = open(name, (flags & O_ACCMODE) | O_CLOEXEC | O_NOCTTY);
    bool done = dup3(fresh, descriptor, O_CLOEXEC) == descriptor;
    close(fresh);
    return done;
}

static void after_fork_in_child(void)
{
    for (size_t i = 0; i < count; i++) {
        struct stat now;
        if (holders[i].number != 0 && fstat((int)i, &now) == 0 && now.st_dev == holders[i].device &&
            now.st_ino == holders[i].number && !open_anew((int)i)) {
            atomic_store(&shared, true);
        }
    }
    ct_mutex_unlock(&lock);
}

/* ---------------------------------------------------------------- what replaces fcntl() */

/* Notes a descriptor before it has locks. Its file is looked at when it is met, and when it may just have been opened.
 * Holds the lock. */
static bool note(int descriptor, bool opened)
{
    size_t at = (size_t)descriptor, before = count;
    if (ct_grow((void **)&holders, &count, at + 1, sizeof *holders) != 0) {
        return false;
    }
    if (count > before) {
        memset(holders + before, 0, (count - before) * sizeof *holders);
    }
    struct stat file;
    if (holders[at].number != 0 && !opened) {
        return true;
    }
    if (fstat(descriptor, &file) != 0) {
        return false;
    }
    holders[at] = (holder){.device = file.st_dev, .number = file.st_ino};
    return true;
}

/*
 * Notes what was locked or unlocked. True: bytes were unlocked that nobody had locked through this descriptor, so they
 * may have been locked before fcntl() was replaced. Others must not be unlocked in the old way: in it they may be
 * locked by another copy of SQLite in this process.
 */
static bool note_change(int descriptor, const struct flock *wanted)
{
    unsigned bits = ((1U << wanted->l_len) - 1U) << (wanted->l_start - FIRST);
    ct_mutex_lock(&lock);
    unsigned *locked = &holders[descriptor].locked;
    bool stranger = wanted->l_type == F_UNLCK && (*locked & bits) != bits;
    *locked = wanted->l_type == F_UNLCK ? *locked & ~bits : *locked | bits;
    ct_mutex_unlock(&lock);
    return stranger;
}

static int lock_anyhow(fcntl_call *call, int descriptor, int command, struct flock *wanted)
{
    int instead = command == F_SETLK ? F_OFD_SETLK : command == F_SETLKW ? F_OFD_SETLKW : F_OFD_GETLK;
    ct_mutex_lock(&lock);
    bool noted = note(descriptor, wanted->l_start == LAST && wanted->l_type != F_UNLCK);
    ct_mutex_unlock(&lock);
    if (!noted) { /* memory ran out: better such a lock than none */
        return call(descriptor, command, wanted);
    }
    wanted->l_pid = 0; /* as fcntl(2) wants it */
    int result = call(descriptor, instead, wanted);
    if (result != 0 && errno == EINVAL) { /* an old kernel */
        return call(descriptor, command, wanted);
    }
    if (result == 0 && command != F_GETLK && note_change(descriptor, wanted)) {
        call(descriptor, F_SETLK, wanted);
    }
    return result;
}

static int keep(int descriptor, int command, ...)
{
    fcntl_call *call = atomic_load(&original);
    va_list arguments;
    va_start(arguments, command);
    void *argument = va_arg(arguments, void *);
    va_end(arguments);
    struct flock *wanted = argument;
    bool locks = command == F_SETLK || command == F_SETLKW || command == F_GETLK;
    if (!locks || wanted->l_start < FIRST || wanted->l_start > LAST || atomic_load(&shared)) {
        return call(descriptor, command, argument);
    }
    return lock_anyhow(call, descriptor, command, wanted);
}

void ct_shmlock_keep(void)
{
    sqlite3_vfs *vfs = sqlite3_vfs_find("unix");
    ct_mutex_lock(&lock);
    if (atomic_load(&original) == NULL && vfs != NULL && /* GCOVR_EXCL_BR_LINE: the next always has memory */
        ct_fork_handlers(before_fork, after_fork_in_parent, after_fork_in_child) == 0) {
        atomic_store(&original, (fcntl_call *)vfs->xGetSystemCall(vfs, "fcntl"));
        vfs->xSetSystemCall(vfs, "fcntl", (sqlite3_syscall_ptr)keep);
    }
    ct_mutex_unlock(&lock);
}
#else
void ct_shmlock_keep(void)
{
}
#endif
