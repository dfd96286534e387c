/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE /* statx() */
#include "inode.h"

#include <fcntl.h>
#include <sys/stat.h>
#ifdef STATX_INO
#include <sys/sysmacros.h>
#ifndef STATX_ATTR_MOUNT_ROOT /* Linux 5.8 */
#define STATX_ATTR_MOUNT_ROOT 0x2000
#endif
#endif

static ct_inode from_stat(const struct stat *found)
{
    return (ct_inode){.device = found->st_dev,
                      .number = found->st_ino,
                      .links = (uint64_t)found->st_nlink,
                      .size = (int64_t)found->st_size};
}

/* Without statx(2), or where a sandbox refuses what it does not know. */
static int ask_stat(const char *path, ct_inode *inode)
{
    struct stat found;
    if (stat(path, &found) != 0) {
        return -1;
    }
    *inode = from_stat(&found);
    return 0;
}

#ifdef STATX_INO
int ct_inode_of(const char *path, ct_inode *inode)
{
    struct statx found;
    if (statx(AT_FDCWD, path, 0, STATX_INO | STATX_NLINK | STATX_SIZE, &found) != 0) {
        return ask_stat(path, inode);
    }
    *inode = (ct_inode){.device = makedev(found.stx_dev_major, found.stx_dev_minor),
                        .number = (ino_t)found.stx_ino,
                        .links = found.stx_nlink,
                        .mounted = (found.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0,
                        .size = (int64_t)found.stx_size};
    return 0;
}
#else
int ct_inode_of(const char *path, ct_inode *inode)
{
    return ask_stat(path, inode);
}
#endif

int ct_inode_of_descriptor(int descriptor, ct_inode *inode)
{
    struct stat found;
    if (fstat(descriptor, &found) != 0) {
        return -1;
    }
    *inode = from_stat(&found);
    return 0;
}

bool ct_inode_same(const ct_inode *a, const ct_inode *b)
{
    return a->number == b->number && a->device == b->device;
}
