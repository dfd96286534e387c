/* SPDX-License-Identifier: MIT */
#ifndef DISK_H
#define DISK_H

/**
 * A file system of our own, on a disk that is a piece of memory, whose power can be cut: the kernel's SHUTDOWN request
 * with NOLOGFLUSH stops the file system where it is, and what it had not forced to the disk is lost. Mounted again, it
 * recovers from its own log, as after a reset of the machine.
 *
 * It takes the right to mount and a loop device. The mount is seen by this process and its children only, and it and
 * the loop device go with the last of them, however they end.
 */
#include <stdbool.h>

/** Makes the file system ("ext4" or "xfs") and mounts it on a directory that exists. False: that is refused here; the
 * reason has been printed. */
bool disk_make(const char *system, const char *directory);
/** Forces everything to the disk. */
void disk_sync(void);
/** The power fails. Whoever uses a file of it meets errors from now on, or SIGBUS in memory that is mapped. */
void disk_cut(void);
/** The power is back. Nobody has a file of it open. */
void disk_restore(void);
/** Unmounts it. */
void disk_remove(void);

#endif
