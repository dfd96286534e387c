/* SPDX-License-Identifier: MIT */
#include "engine.h"

#include <stdatomic.h>
#include <string.h>

static const sqlite3_vfs *first_field(const sqlite3 *db)
{
    const sqlite3_vfs *vfs;
    memcpy(&vfs, db, sizeof vfs);
    return vfs;
}

/* Tries with a connection of our own whether its VFS is where we look for it. */
static bool is_there(void)
{
    sqlite3 *db = NULL;
    sqlite3_vfs *vfs = NULL;
    int code = sqlite3_open_v2(":memory:", &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
    if (code == SQLITE_OK) { /* GCOVR_EXCL_BR_LINE: out of memory, just here */
        code = sqlite3_file_control(db, "main", SQLITE_FCNTL_VFS_POINTER, &vfs);
    }
    bool there = code == SQLITE_OK && first_field(db) == vfs; /* GCOVR_EXCL_BR_LINE: it is, in all that there are */
    sqlite3_close(db);
    return there;
}

static bool can_tell(void)
{
    static atomic_bool tried;   /* and it is so; else it is tried again: there may have been no memory */
    if (!atomic_load(&tried)) { /* only then is another connection opened */
        atomic_store(&tried, is_there());
    }
    return atomic_load(&tried);
}

bool ct_engine_opened(const sqlite3 *db)
{
    const sqlite3_vfs *its = first_field(db);
    for (const sqlite3_vfs *vfs = sqlite3_vfs_find(NULL); vfs != NULL; vfs = vfs->pNext) {
        if (vfs == its) {
            return true;
        }
    }
    return !can_tell();
}
