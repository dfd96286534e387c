/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE /* F_OFD_SETLK */
#include "guard.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "alloc.h"
#include "error.h"
#include "file.h"
#include "sync.h"

/* Where SQLite locks (os_unix.c, "Posix Advisory Locking"; wal.c): whoever wants to read takes a lock on the pending
 * byte for a moment, then one on the shared bytes, which he keeps. */
#define PENDING_BYTE 0x40000000
#define SHARED_FIRST (PENDING_BYTE + 2)
#define SHARED_BYTES 510
/* Of -shm: locked for reading by whoever has it mapped. */
#define IN_USE_BYTE 128

/* All fields are guarded by the registry's lock, but those that never change: the inodes and the descriptors. */
struct ct_guard {
    ct_guard *next;
    ct_inode file, index;
    int descriptors[2]; /* of the database and of -shm; -1: none */
    bool writable;      /* both were opened for writing too, as locking everybody out needs */
    unsigned stores;    /* on this file, in this process */
};

/* A list, though it is searched: what a search costs is nothing beside opening a file, for thousands of them. */
static ct_guard *registry;
static ct_mutex lock = CT_MUTEX_INIT;
static bool watching_forks; /* lock */

/* ---------------------------------------------------------------- locks of a descriptor's own */

#ifdef F_OFD_SETLK
/* 0, or -1 and errno. Where the system knows no such locks there are none, and that is no error. */
static int set_lock(int descriptor, short type, off_t start, off_t length)
{
    struct flock wanted = {.l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = length};
    int result = fcntl(descriptor, F_OFD_SETLK, &wanted);
    return result != 0 && errno != EAGAIN && errno != EACCES ? 0 : result;
}

/* Whether nobody at all has a lock on the file, but through this descriptor. */
static bool nobody_locks(int descriptor)
{
    struct flock found = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    return descriptor < 0 || (fcntl(descriptor, F_OFD_GETLK, &found) == 0 && found.l_type == F_UNLCK);
}
#else
static int set_lock(int descriptor, short type, off_t start, off_t length)
{
    (void)descriptor, (void)type, (void)start, (void)length;
    return 0;
}

static bool nobody_locks(int descriptor)
{
    return descriptor < 0;
}
#endif

/* ---------------------------------------------------------------- who has locks */

/* A line of /proc/locks (proc(5)). */
typedef struct held {
    bool posix; /* else of a descriptor, or of another kind */
    long long process;
    unsigned major, minor;
    unsigned long long inode;
    long long first, last;
} held;

/* The list is consistent as far as the kernel gives it at once, a page; between two pieces locks come and go, so that
 * some line may be left out. */
#define PIECE_BYTES 8192
#define READINGS 3

static bool look_once(void (*each)(const held *lock, void *argument), void *argument)
{
    static char piece[PIECE_BYTES]; /* lock */
    char line[200], kind[8], last[24];
    FILE *locks = fopen("/proc/locks", "re");
    if (locks == NULL) {
        return false;
    }
    setvbuf(locks, piece, _IOFBF, sizeof piece);
    while (fgets(line, sizeof line, locks) != NULL) {
        held one;
        /* Who only waits for a lock has "->" where the kind is, and is not taken for a holder. */
        if (sscanf(line, "%*d: %7s %*s %*s %lld %x:%x:%llu %lld %23s", kind, &one.process, &one.major, &one.minor,
                   &one.inode, &one.first, last) == 7) {
            one.posix = strcmp(kind, "POSIX") == 0;
            one.last = strcmp(last, "EOF") == 0 ? INT64_MAX : strtoll(last, NULL, 10);
            each(&one, argument);
        }
    }
    bool good = ferror(locks) == 0;
    fclose(locks);
    return good;
}

/* Calls `each` for every lock that somebody has, several times. False: that cannot be known. */
static bool look_at_locks(void (*each)(const held *lock, void *argument), void *argument)
{
    bool known = true;
    for (int i = 0; i < READINGS && known; i++) {
        known = look_once(each, argument);
    }
    return known;
}

/* This process, as /proc calls it; -1: it does not know it. */
static long long own_process(void)
{
    char text[24] = "";
    ssize_t length = readlink("/proc/self", text, sizeof text - 1);
    return length > 0 ? strtoll(text, NULL, 10) : -1;
}

/* Whether this process has a lock on any of the guard's files. The device is not compared: some file systems call it
 * otherwise there. */
typedef struct question {
    const ct_guard *guard;
    long long self;
    bool yes;
} question;

static void is_own(const held *one, void *argument)
{
    question *q = argument;
    bool same = one->inode == q->guard->file.number || one->inode == q->guard->index.number;
    q->yes = q->yes || (same && one->posix && one->process == q->self);
}

static bool we_have_locks(const ct_guard *guard)
{
    if (nobody_locks(guard->descriptors[0]) && nobody_locks(guard->descriptors[1])) {
        return false;
    }
    question q = {.guard = guard, .self = own_process()};
    bool known = q.self > 0 && guard->file.number != 0 && look_at_locks(is_own, &q);
    return q.yes || !known;
}

/*
 * Whether others use this file, but not its -shm of this name: then they have opened it under another name (a bind
 * mount), which has a log of its own, or theirs was removed. Or they are just opening or closing it. How the device is
 * called there, our own lock tells.
 */
typedef struct others {
    const ct_guard *guard;
    long long self;
    unsigned major, minor;
    bool known, on_file;
    unsigned on_index; /* so many use -shm, in all readings; of them, we once in each */
} others;

static void find_own(const held *one, void *argument)
{
    others *o = argument;
    if (one->posix && one->process == o->self && one->inode == o->guard->file.number) {
        o->major = one->major;
        o->minor = one->minor;
        o->known = true;
    }
}

static void find_others(const held *one, void *argument)
{
    others *o = argument;
    bool own = one->posix && one->process == o->self;
    o->on_file = o->on_file || (!own && one->inode == o->guard->file.number && one->major == o->major &&
                                one->minor == o->minor && one->last >= SHARED_FIRST);
    o->on_index +=
        one->inode == o->guard->index.number && one->first <= IN_USE_BYTE && one->last >= IN_USE_BYTE ? 1 : 0;
}

static bool others_are_elsewhere(const ct_guard *guard)
{
    others o = {.guard = guard, .self = own_process()};
    bool known = look_at_locks(find_own, &o) && o.known && look_at_locks(find_others, &o);
    return known && o.on_file && o.on_index <= READINGS;
}

/* ---------------------------------------------------------------- descriptors */

static int open_either_way(const char *path, bool *writable)
{
    int flags = O_CLOEXEC | O_NOFOLLOW | O_NOCTTY;
    int descriptor = open(path, O_RDWR | flags);
    if (descriptor < 0 && (errno == EACCES || errno == EROFS || errno == EPERM)) {
        *writable = false;
        descriptor = open(path, O_RDONLY | flags);
    }
    return descriptor;
}

/* Opens the files that have these names now. From here on they are in the registry, whatever happens. */
static ctrack_status add(const char *const names[2], ct_guard **added, ctrack_error *error)
{
    ct_guard *guard = ct_alloc_array(1, sizeof *guard);
    if (guard == NULL) {
        return ct_error_no_memory(error);
    }
    *guard = (ct_guard){.next = registry, .descriptors = {-1, -1}, .writable = true};
    registry = guard;
    for (int i = 0; i < 2; i++) {
        ct_inode *inode = i == 0 ? &guard->file : &guard->index;
        guard->descriptors[i] = open_either_way(names[i], &guard->writable);
        if (guard->descriptors[i] < 0 || ct_inode_of_descriptor(guard->descriptors[i], inode) != 0) {
            return ct_error_set(error, CTRACK_IO, "cannot open %s: %s", names[i], strerror(errno));
        }
    }
    *added = guard;
    return CTRACK_OK;
}

static void close_both(const ct_guard *guard)
{
    for (int i = 0; i < 2; i++) {
        if (guard->descriptors[i] >= 0) {
            close(guard->descriptors[i]);
        }
    }
}

/*
 * Closes the descriptors if nobody in this process has a lock on the files, nor gets one meanwhile: whoever wants one is
 * kept out by a lock for writing on the pending byte, which goes with its descriptor. A file that may not be written
 * cannot be locked so; of it only a reader could lose his lock, one that begins at this very moment. False: they are
 * kept.
 */
static bool close_safely(const ct_guard *guard)
{
    if (we_have_locks(guard) || (guard->writable && set_lock(guard->descriptors[0], F_WRLCK, PENDING_BYTE, 1) != 0)) {
        return false;
    }
    /* GCOVR_EXCL_START: somebody has got a lock just between */
    if (we_have_locks(guard)) {
        set_lock(guard->descriptors[0], F_UNLCK, PENDING_BYTE, 1);
        return false;
    }
    /* GCOVR_EXCL_STOP */
    close_both(guard);
    return true;
}

static void tidy(void)
{
    for (ct_guard **place = &registry; *place != NULL;) {
        ct_guard *guard = *place;
        if (guard->stores == 0 && close_safely(guard)) {
            *place = guard->next;
            ct_free(guard);
        } else {
            place = &guard->next;
        }
    }
}

/* ---------------------------------------------------------------- fork */

static void before_fork(void)
{
    ct_mutex_lock(&lock);
}

static void after_fork_in_parent(void)
{
    ct_mutex_unlock(&lock);
}

/* The locks are the parent's: closing a copy of the descriptor takes none from it. The child has none yet. What it has
 * inherited of trackers is never used (ct_connection_usable()), so the memory may stay as it is. */
static void after_fork_in_child(void)
{
    for (ct_guard *guard = registry; guard != NULL; guard = guard->next) {
        close_both(guard);
    }
    registry = NULL;
    ct_mutex_unlock(&lock);
}

/* ---------------------------------------------------------------- taking and giving up */

static ctrack_status lock_both(const ct_guard *guard, const char *path, ctrack_error *error)
{
    if (others_are_elsewhere(guard)) {
        return ct_error_set(error, CTRACK_BUSY,
                            "%s is open under another name (a bind mount?), or its -shm was removed while it is in use",
                            path);
    }
    if (set_lock(guard->descriptors[0], F_RDLCK, SHARED_FIRST, SHARED_BYTES) != 0 ||
        set_lock(guard->descriptors[1], F_RDLCK, IN_USE_BYTE, 1) != 0) {
        set_lock(guard->descriptors[0], F_UNLCK, SHARED_FIRST, SHARED_BYTES);
        return ct_error_set(error, CTRACK_BUSY, "somebody has locked %s for himself", path);
    }
    return CTRACK_OK;
}

/* The guard of the files that have these names now. */
static ctrack_status find(const char *const names[2], const ct_inode *file, ct_guard **found, ctrack_error *error)
{
    ct_inode index;
    if (ct_inode_of(names[1], &index) != 0) {
        return ct_error_set(error, ct_file_absence(errno), "cannot open %s: %s", names[1], strerror(errno));
    }
    for (ct_guard *guard = registry; guard != NULL; guard = guard->next) {
        bool same = ct_inode_same(&guard->file, file);
        if (same && ct_inode_same(&guard->index, &index)) {
            *found = guard;
            return CTRACK_OK;
        }
        if (same && guard->stores > 0) {
            return ct_error_set(error, CTRACK_BUSY, "%s is open in this process, with another -shm", names[0]);
        }
    }
    ctrack_status status = add(names, found, error);
    if (status == CTRACK_OK && !ct_inode_same(&(*found)->file, file)) {
        status = ct_error_set(error, CTRACK_BUSY, "%s is being replaced", names[0]);
    }
    return status;
}

static ctrack_status take(const char *const names[2], const ct_inode *file, ct_guard **taken, ctrack_error *error)
{
    if (!watching_forks) {
        watching_forks = ct_fork_handlers(before_fork, after_fork_in_parent, after_fork_in_child) == 0;
    }
    if (!watching_forks) {
        return ct_error_no_memory(error);
    }
    ct_guard *guard = NULL;
    ctrack_status status = find(names, file, &guard, error);
    if (status == CTRACK_OK && guard->stores == 0) {
        status = lock_both(guard, names[0], error);
    }
    if (status == CTRACK_OK) {
        guard->stores++;
        *taken = guard;
    }
    return status;
}

ctrack_status ct_guard_take(const char *path, const char *index, const ct_inode *file, ct_guard **guard,
                            ctrack_error *error)
{
    const char *const names[2] = {path, index};
    ct_mutex_lock(&lock);
    ctrack_status status = take(names, file, guard, error);
    tidy();
    ct_mutex_unlock(&lock);
    return status;
}

bool ct_guard_has(const char *index, const ct_inode *file)
{
    ct_inode named;
    bool has = false;
    if (ct_inode_of(index, &named) != 0) {
        return false;
    }
    ct_mutex_lock(&lock);
    for (ct_guard *guard = registry; guard != NULL && !has; guard = guard->next) {
        has = guard->stores > 0 && ct_inode_same(&guard->file, file) && ct_inode_same(&guard->index, &named);
    }
    ct_mutex_unlock(&lock);
    return has;
}

void ct_guard_loosen(ct_guard *guard)
{
    if (guard == NULL) {
        return;
    }
    ct_mutex_lock(&lock);
    if (--guard->stores == 0) {
        set_lock(guard->descriptors[0], F_UNLCK, SHARED_FIRST, SHARED_BYTES);
        set_lock(guard->descriptors[1], F_UNLCK, IN_USE_BYTE, 1);
    }
    ct_mutex_unlock(&lock);
}

void ct_guard_tidy(void)
{
    ct_mutex_lock(&lock);
    tidy();
    ct_mutex_unlock(&lock);
}

bool ct_guard_deleted(const ct_guard *guard)
{
    ct_inode file;
    return ct_inode_of_descriptor(guard->descriptors[0], &file) == 0 && file.links == 0;
}

bool ct_guard_intact(const ct_guard *guard)
{
    ct_inode file;
    return ct_inode_of_descriptor(guard->descriptors[0], &file) == 0 && ct_inode_same(&file, &guard->file);
}

const ct_inode *ct_guard_index(const ct_guard *guard)
{
    return &guard->index;
}

ssize_t ct_guard_read_index(const ct_guard *guard, void *buffer, size_t size, off_t offset)
{
    return pread(guard->descriptors[1], buffer, size, offset);
}
