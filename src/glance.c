/* SPDX-License-Identifier: MIT */
#include "glance.h"

#include <string.h>

#include "identity.h"

/*
 * SQLite's own mapping of the index, which stays where it is until the connection closes. NULL: none, as of a file that
 * is not in write-ahead mode, where asking would make one.
 */
static const volatile uint32_t *map(sqlite3 *db)
{
    enum { REGION = 32768 }; /* of an index: SQLite maps it in pieces of so many bytes */
    sqlite3_file *file = NULL;
    volatile void *region = NULL;
    sqlite3_file_control(db, "main", SQLITE_FCNTL_FILE_POINTER, &file);
    if (ct_identity_log(db) != NULL) {
        file->pMethods->xShmMap(file, 0, REGION, 0, &region); /* an error leaves no more than NULL */
    }
    return region;
}

bool ct_glance_same(const ct_glance *before, sqlite3 *db, ct_glance *now)
{
    now->mapped = before->mapped != NULL ? before->mapped : map(db);
    now->known = now->mapped != NULL;
    for (size_t i = 0; i < sizeof now->words / sizeof now->words[0]; i++) {
        now->words[i] = now->known ? now->mapped[i] : 0;
    }
    return before->known && memcmp(now->words, before->words, sizeof now->words) == 0;
}
