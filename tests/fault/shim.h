/* SPDX-License-Identifier: MIT */
#ifndef SHIM_H
#define SHIM_H

/**
 * A VFS that stands before the one for Unix and is the default one once it is installed. It asks a hook before each
 * call whether the call shall fail, and tells another one what was done to a file. It never sleeps; but for that, it
 * adds nothing without hooks.
 *
 * The hooks run on the thread that makes the call, without a lock of SQLite's: they may use connections of their own.
 */
#include <sqlite3.h>

typedef enum shim_call {
    SHIM_OPEN,
    SHIM_DELETE,
    SHIM_ACCESS,
    SHIM_FULL_PATHNAME,
    SHIM_READ,
    SHIM_WRITE,
    SHIM_TRUNCATE,
    SHIM_SYNC,
    SHIM_FILE_SIZE,
    SHIM_LOCK,
    SHIM_UNLOCK,
    SHIM_CHECK_RESERVED,
    SHIM_SHM_MAP,
    SHIM_SHM_LOCK,
    SHIM_UNFETCH, /* cannot fail; it is where a checkpoint has read the header of the write-ahead log */
    SHIM_CALLS
} shim_call;

/** How much of a call is carried out although it fails. */
typedef enum shim_extent { SHIM_NOTHING, SHIM_HALF, SHIM_ALL } shim_extent;

/** What was done to a file. `name` is NULL for a temporary file without a name. */
typedef struct shim_event {
    shim_call call;
    const char *name;
    sqlite3_int64 offset; /* of a write; the new size of a truncated file */
    const void *data;
    int size;
    int synced; /* of a deletion: the directory, too */
} shim_event;

/** Returns SQLITE_OK, or the code to fail with and how much to do before. */
typedef int shim_before(shim_call call, const char *name, shim_extent *extent);
typedef void shim_after(const shim_event *event);

void shim_install(void);
void shim_hook(shim_before *before, shim_after *after); /**< NULL: none. While no other thread uses SQLite. */
const char *shim_call_name(shim_call call);

/** A VFS for connections that the hooks shall not see. It never sleeps either. */
#define SHIM_PLAIN "plain"

#endif
