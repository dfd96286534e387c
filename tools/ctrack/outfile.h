/* SPDX-License-Identifier: MIT */
#ifndef OUTFILE_H
#define OUTFILE_H

/**
 * A file that is there whole or not at all: written under a temporary name in its directory with mode 0600, forced to
 * disk, then renamed. What is no regular file (a pipe, a device) is written as it is. One at a time.
 */
#include <sys/types.h>

#include "command.h"
#include "interrupt.h"

#define OUTFILE_PATH (INTERRUPT_PATH - 16)

struct outfile {
    int descriptor;
    int problem; /**< the errno of the write that failed; 0: none */
    char path[OUTFILE_PATH];
    char temporary[INTERRUPT_PATH]; /**< "": not renamed at the end */
};

/** Begins to write `path`; NULL or "-" is standard output. `source` is a tracker file, which must not be written over.
 * Says what is wrong, or returns 0. */
int outfile_open(struct outfile *file, const struct command *command, const char *path, const char *source);
/** A ctrack_write_callback; the argument is the outfile. */
int outfile_write(const void *data, size_t size, void *argument);
/** Puts the file in its place if `outcome` is 0, else removes it. Says what is wrong; returns the exit status. */
int outfile_close(struct outfile *file, int outcome);

/**
 * Begins a new tracker file: `temporary` is an empty file for ctrack_open(). `path` must be free when it is put in its
 * place, after the tracker is closed, if `outcome` is 0 and it is to be kept; else it is removed, with all that SQLite
 * has put beside it.
 */
int outfile_open_new(struct outfile *file, const char *path);
int outfile_close_new(struct outfile *file, int outcome, bool keep);

#endif
