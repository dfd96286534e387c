/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE /* memfd_create, unshare, syncfs */
#include "disk.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

/* The same number for both file systems, which call it EXT4_IOC_SHUTDOWN and XFS_IOC_GOINGDOWN. */
#define SHUT_DOWN _IOR('X', 125, uint32_t)
#define WITHOUT_FLUSHING_THE_LOG UINT32_C(2)

enum { DISK_BYTES = 320 << 20, TRIES = 100 }; /* xfs takes 300 MiB at the least; the memory is taken where it is used */

static int memory = -1, root = -1; /* the disk's content, and the mounted file system's directory */
static const char *type, *place;

static _Noreturn void give_up(const char *what)
{
    fprintf(stderr, "the disk: %s: %s\n", what, strerror(errno));
    exit(EXIT_FAILURE);
}

static bool refused(const char *what)
{
    fprintf(stderr, "%s is refused here (%s): power cuts on %s are NOT tested\n", what, strerror(errno), type);
    return false;
}

/*
 * A loop device with the memory behind it, which it loses when the last descriptor or mount of it has gone. It is made
 * anew for each mount, so that nothing that the kernel has cached of the disk outlives a cut. Its name is put into
 * `device`. -1: there is none.
 */
static int attach(char device[40])
{
    struct loop_config config = {.fd = (uint32_t)memory, .info.lo_flags = LO_FLAGS_AUTOCLEAR};
    int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC), loop = -1;
    for (int i = 0; control >= 0 && loop < 0 && i < TRIES; i++) {
        int number = ioctl(control, LOOP_CTL_GET_FREE);
        if (number < 0) {
            break;
        }
        snprintf(device, 40, "/dev/loop%d", number);
        loop = open(device, O_RDWR | O_CLOEXEC);
        if (loop < 0) {
            break;
        }
        if (ioctl(loop, LOOP_CONFIGURE, &config) != 0) {
            int problem = errno;
            close(loop);
            errno = problem;
            loop = -1;
            if (problem != EBUSY) {
                break;
            }
        } /* EBUSY: another process was faster */
    }
    if (control >= 0) {
        int problem = errno;
        close(control);
        errno = problem;
    }
    return loop;
}

static bool make_file_system(const char *device)
{
    char maker[40];
    int status = 0;
    snprintf(maker, sizeof maker, "mkfs.%s", type);
    pid_t child = fork();
    if (child == 0) {
        execlp(maker, maker, "-q", strcmp(type, "xfs") == 0 ? "-f" : "-F", device, (char *)NULL);
        _exit(127);
    }
    if (child < 0 || waitpid(child, &status, 0) != child || status != 0) {
        errno = ENOENT;
        return refused(maker);
    }
    return true;
}

/* Attaches and mounts; the loop device stays as long as the mount. */
static bool mount_it(bool make)
{
    char device[40];
    int loop = attach(device);
    if (loop < 0) {
        return refused("a loop device");
    }
    bool fine = !make || make_file_system(device);
    if (fine && mount(device, place, type, MS_NOATIME, NULL) != 0) {
        fine = refused("mounting");
    }
    close(loop);
    root = fine ? open(place, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    return fine;
}

bool disk_make(const char *system, const char *directory)
{
    type = system;
    place = directory;
    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) {
        return refused("a mount of one's own");
    }
    memory = memfd_create("disk", MFD_CLOEXEC);
    if (memory < 0 || ftruncate(memory, DISK_BYTES) != 0) {
        give_up("memory");
    }
    return mount_it(true);
}

void disk_sync(void)
{
    if (syncfs(root) != 0) {
        give_up("syncfs");
    }
}

void disk_cut(void)
{
    uint32_t how = WITHOUT_FLUSHING_THE_LOG;
    if (ioctl(root, SHUT_DOWN, &how) != 0) {
        give_up("it cannot be shut down");
    }
}

static void unmount(void)
{
    close(root);
    root = -1;
    if (umount2(place, 0) != 0) {
        give_up("it cannot be unmounted");
    }
}

void disk_restore(void)
{
    unmount();
    if (!mount_it(false)) {
        give_up("it cannot be mounted again");
    }
}

void disk_remove(void)
{
    unmount();
    close(memory);
}
