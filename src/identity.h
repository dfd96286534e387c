/* SPDX-License-Identifier: MIT */
#ifndef CT_IDENTITY_H
#define CT_IDENTITY_H

/**
 * Which files a connection has: the database, its write-ahead log (`-wal`) and that one's index (`-shm`).
 *
 * SQLite opens all three by name, one after the other, and holds on to them; names may come to stand for other files
 * meanwhile. So it is asked of the file that SQLite really has (SQLITE_FCNTL_HAS_MOVED, and what can be read through
 * it), not of the name alone, whether the two are the same. While the connection holds a lock nobody who asks for one can
 * replace the file, so this is looked at when a lock is held.
 *
 *   1. The file is opened and read, which locks it. It is what its name stands for, and has no other name:
 *      ct_identity_learn(); or it is opened anew.
 *   2. Once it is in write-ahead mode it is guarded (guard.h): ct_identity_guard(). From then on nobody removes the log.
 *   3. Before anything is written, and after it is committed but before anybody is told, the names still stand for the
 *      same files: ct_identity_check() and ct_identity_prove().
 *   4. Whether SQLite's log and index are those of these names shows as soon as something stands in them, which is after
 *      the first commit: what SQLite reads, and what is read through the names, is the same: ct_identity_prove().
 */
#include <sqlite3.h>

#include "ctrack.h"
#include "guard.h"
#include "inode.h"

typedef struct ct_identity {
    ct_inode file;
    ct_inode log;    /* number 0: not known */
    ct_guard *guard; /* NULL: not in write-ahead mode */
    char *index;     /* the name of -shm */
    bool proven;     /* SQLite's log and index are those of these names; else … */
    int named_log;   /* … a descriptor of the log, as its name had it; of whoever only reads -1 */
} ct_identity;

#define CT_IDENTITY_INIT \
    (ct_identity) \
    { \
        .named_log = -1 \
    }

/**
 * Before a connection that will write reads the file, which makes a write-ahead log beside each of its names.
 *
 * Errors: CTRACK_INVALID when it has other names, as the next.
 */
ctrack_status ct_identity_foresee(const char *path, ctrack_error *error);
/**
 * A connection has read the file, which has succeeded or not.
 *
 * Errors: CTRACK_BUSY when it is not what its name stands for; CTRACK_INVALID when it has other names. Either may be over
 * in a moment, so it is to be opened anew.
 */
ctrack_status ct_identity_learn(ct_identity *identity, sqlite3 *db, ctrack_error *error);
/** Guards it if it is in write-ahead mode and was not guarded before. Errors: as ct_guard_take(), and as before. */
ctrack_status ct_identity_guard(ct_identity *identity, sqlite3 *db, ctrack_error *error);

/** What is wrong with a file, for those who wait for it. */
typedef enum ct_trouble {
    CT_TROUBLE_PASSES,   /* nothing, as far as is known: it is to be looked at again */
    CT_TROUBLE_DOUBTFUL, /* it is not under its name, or not as it should be: somebody may put it right again */
    CT_TROUBLE_FINAL     /* it is deleted, replaced or truncated, or its log is */
} ct_trouble;
/** As ct_identity_check(); on an error *trouble says which kind it is. */
ctrack_status ct_identity_examine(const ct_identity *identity, const char *path, ct_trouble *trouble,
                                  ctrack_error *error);
/** CTRACK_IO when the name stands for another file, for none, or for one that is empty, or when the log's stands for
 * another one, or for none. Any thread. */
ctrack_status ct_identity_check(const ct_identity *identity, const char *path, ctrack_error *error);
/** CTRACK_IO when what has just been committed is not in the files of these names. */
ctrack_status ct_identity_prove(ct_identity *identity, sqlite3 *db, ctrack_error *error);
/** The same, of what was committed before it was opened, if that is still in the log. */
ctrack_status ct_identity_prove_old(ct_identity *identity, sqlite3 *db, ctrack_error *error);

/** Before the connection is closed. What it knows is forgotten. */
void ct_identity_end(ct_identity *identity);

/** The file that the connection has opened as its journal or write-ahead log; NULL: none. */
sqlite3_file *ct_identity_log(sqlite3 *db);
/** The first 32 KiB of the log's index, where SQLite has them in memory until the connection closes; NULL: there is no
 * log. The connection has read the file. */
volatile void *ct_identity_index(sqlite3 *db);

#endif
