/* SPDX-License-Identifier: MIT */
#ifndef CT_NEWFILE_H
#define CT_NEWFILE_H

/**
 * A database file that is there whole or not at all: made under a temporary name beside its own, and given its own name
 * when it is complete and on the disk.
 *
 * A file that SQLite has left beside a database (`-wal`, `-shm`, `-journal`) would be taken for the new one's: at the
 * first opening, pages of another database would be put into it. So a name beside which such a file stands is refused.
 * An old database that is to be replaced is first asked to take in what is its own, and must be in nobody's hands
 * (https://www.sqlite.org/howtocorrupt.html, 2.4 and 2.6).
 */
#include <sys/stat.h>

#include "ctrack.h"

typedef struct ct_newfile {
    char *path;      /* absolute */
    char *temporary; /* absolute; NULL: not made yet, or gone */
    int descriptor;  /* of the temporary file */
    int directory;   /* a descriptor of the directory that both are in */
    bool exists;     /* there is an old file of that name … */
    struct stat old; /* … which is this one */
} ct_newfile;

/**
 * Looks at the name; nothing is made yet. CTRACK_INVALID for a name that cannot be a new database's, or that stands for
 * a symbolic link or another thing that is no regular file; CTRACK_MISUSE when there are left-overs of another
 * database. Ends with ct_newfile_drop(), whatever it returns.
 */
ctrack_status ct_newfile_look(ct_newfile *file, const char *path, ctrack_error *error);

/** Makes the temporary file: new, empty, mode 0600. What giving it its name is going to need is taken now. What a process
 * that was killed has left of such a file is removed (leftover.h). */
ctrack_status ct_newfile_make(ct_newfile *file, ctrack_error *error);
/** Forces what was written so far to the disk. */
ctrack_status ct_newfile_sync(const ct_newfile *file, ctrack_error *error);

/**
 * Forces the file to the disk and gives it its name. Nobody else has it open. Once it has its name only forcing that to
 * the disk can fail; then the file is there, and may be gone, or the old one back, after a power cut.
 *
 * @param[in] like     Whose owner (as far as the process may give it away), group and permissions it gets, unless there
 *                     was an old file, whose it gets; NULL: 0600.
 * @param[in] replace  Replaces an old file; else CTRACK_MISUSE when there is one by then.
 */
ctrack_status ct_newfile_place(ct_newfile *file, const struct stat *like, bool replace, ctrack_error *error);

/** Removes whatever has not been given its name, and forgets the file. */
void ct_newfile_drop(ct_newfile *file);

#endif
