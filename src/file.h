/* SPDX-License-Identifier: MIT */
#ifndef CT_FILE_H
#define CT_FILE_H

/**
 * The database file's name and birth. Nothing here opens a file that may be a live database: closing a descriptor of
 * our own would drop every POSIX lock that this process holds on it (https://www.sqlite.org/howtocorrupt.html, 2.2).
 */
#include "ctrack.h"

/** What SQLite keeps beside a database, under its name and one of these. */
#define CT_FILE_COMPANIONS "-wal", "-shm", "-journal"

/**
 * The absolute name of a plain file: its directory resolved, its last component as it is. What SQLite would take for
 * something else than a file name is refused: `file:` URIs, `:memory:`, the empty name.
 *
 * @param[out] absolute  Freed with ct_free().
 */
ctrack_status ct_file_name(const char *path, char **absolute, ctrack_error *error);

/** Makes sure that a file of that name exists; a new one is empty and has mode 0600. */
ctrack_status ct_file_create(const char *absolute, ctrack_error *error);

/** A descriptor of the directory that the file is in, or -1 (errno says why). */
int ct_file_open_directory(const char *absolute);
/** Makes an empty file of mode 0600 in the same directory, named after it. *temporary is freed with ct_free(). */
ctrack_status ct_file_make_beside(const char *absolute, char **temporary, int *descriptor, ctrack_error *error);

/** Gives a file its name, if nobody has it: 0; -1 and EEXIST if somebody has, or another reason. The old name is gone. */
int ct_file_give_name(const char *temporary, const char *absolute);

/** What an errno value of a file operation is to our callers. */
ctrack_status ct_file_status(int problem);
/** The same to whoever looks at a name that was there a moment ago: CTRACK_BUSY if it is not, since somebody may just be
 * replacing the file. */
ctrack_status ct_file_absence(int problem);

#endif
