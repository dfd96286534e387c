/* SPDX-License-Identifier: MIT */
#ifndef CT_INODE_H
#define CT_INODE_H

/**
 * Which file a name stands for at the moment.
 *
 * It is asked between the writes of a commit, so nothing is asked that costs: on Linux since 6.13 asking for the times of
 * a file that is written has its next sync write the times, too. statx(2) leaves them out where there is one.
 */
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

typedef struct ct_inode {
    dev_t device; /* with the next: the file, under whatever name */
    ino_t number; /* 0: none */
    uint64_t links;
    bool mounted; /* by itself, so that its directory is not that of its other name; false where it cannot be told */
    int64_t size;
} ct_inode;

/** 0; or -1, and errno says why. */
int ct_inode_of(const char *path, ct_inode *inode);
/** The same of a descriptor. */
int ct_inode_of_descriptor(int descriptor, ct_inode *inode);

bool ct_inode_same(const ct_inode *a, const ct_inode *b);

#endif
