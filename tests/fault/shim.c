/* SPDX-License-Identifier: MIT */
#include "shim.h"

#include <stddef.h>
#include <string.h>

static sqlite3_vfs *real_vfs;
static shim_before *ask;
static shim_after *tell;

typedef struct shim_file {
    sqlite3_file base;
    const char *name; /* SQLite keeps it as long as the file is open */
    sqlite3_file real[];
} shim_file;

static sqlite3_file *real_of(sqlite3_file *file)
{
    return ((shim_file *)file)->real;
}

static const char *name_of(sqlite3_file *file)
{
    return ((shim_file *)file)->name;
}

static int before(shim_call call, const char *name, shim_extent *extent)
{
    *extent = SHIM_NOTHING;
    return ask != NULL ? ask(call, name, extent) : SQLITE_OK;
}

/* Asks, does, tells. `half` is the call that does half of it, where that is possible. */
#define CARRY_OUT(event, half, whole) \
    do { \
        shim_extent extent; \
        int failure = before((event).call, (event).name, &extent); \
        if (failure != SQLITE_OK) { \
            if (extent == SHIM_HALF) { \
                half; \
            } else if (extent == SHIM_ALL) { \
                whole; \
            } \
            return failure; \
        } \
        int code = whole; \
        if (code == SQLITE_OK && tell != NULL) { \
            tell(&(event)); \
        } \
        return code; \
    } while (0)

/* ---------------------------------------------------------------- files */

static int file_close(sqlite3_file *file)
{
    sqlite3_file *real = real_of(file);
    return real->pMethods->xClose(real);
}

static int file_read(sqlite3_file *file, void *data, int size, sqlite3_int64 offset)
{
    sqlite3_file *real = real_of(file);
    shim_event event = {.call = SHIM_READ, .name = name_of(file), .offset = offset, .size = size};
    CARRY_OUT(event, (void)0, real->pMethods->xRead(real, data, size, offset));
}

static int file_write(sqlite3_file *file, const void *data, int size, sqlite3_int64 offset)
{
    sqlite3_file *real = real_of(file);
    shim_event event = {.call = SHIM_WRITE, .name = name_of(file), .offset = offset, .data = data, .size = size};
    CARRY_OUT(event, real->pMethods->xWrite(real, data, size / 2, offset),
              real->pMethods->xWrite(real, data, size, offset));
}

static int file_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    sqlite3_file *real = real_of(file);
    shim_event event = {.call = SHIM_TRUNCATE, .name = name_of(file), .offset = size};
    CARRY_OUT(event, (void)0, real->pMethods->xTruncate(real, size));
}

static int file_sync(sqlite3_file *file, int flags)
{
    sqlite3_file *real = real_of(file);
    shim_event event = {.call = SHIM_SYNC, .name = name_of(file)};
    CARRY_OUT(event, (void)0, real->pMethods->xSync(real, flags));
}

static int file_size(sqlite3_file *file, sqlite3_int64 *size)
{
    sqlite3_file *real = real_of(file);
    shim_event event = {.call = SHIM_FILE_SIZE, .name = name_of(file)};
    CARRY_OUT(event, (void)0, real->pMethods->xFileSize(real, size));
}

static int file_lock(sqlite3_file *file, int level)
{
    sqlite3_file *real = real_of(file);
    shim_event event = {.call = SHIM_LOCK, .name = name_of(file)};
    CARRY_OUT(event, (void)0, real->pMethods->xLock(real, level));
}

static int file_unlock(sqlite3_file *file, int level)
{
    sqlite3_file *real = real_of(file);
    shim_event event = {.call = SHIM_UNLOCK, .name = name_of(file)};
    CARRY_OUT(event, (void)0, real->pMethods->xUnlock(real, level));
}

static int file_check_reserved(sqlite3_file *file, int *result)
{
    sqlite3_file *real = real_of(file);
    shim_event event = {.call = SHIM_CHECK_RESERVED, .name = name_of(file)};
    CARRY_OUT(event, (void)0, real->pMethods->xCheckReservedLock(real, result));
}

static int file_control(sqlite3_file *file, int operation, void *argument)
{
    sqlite3_file *real = real_of(file);
    return real->pMethods->xFileControl(real, operation, argument);
}

static int file_sector_size(sqlite3_file *file)
{
    sqlite3_file *real = real_of(file);
    return real->pMethods->xSectorSize(real);
}

static int file_characteristics(sqlite3_file *file)
{
    sqlite3_file *real = real_of(file);
    return real->pMethods->xDeviceCharacteristics(real);
}

static int file_shm_map(sqlite3_file *file, int page, int size, int extend, void volatile **mapped)
{
    sqlite3_file *real = real_of(file);
    shim_event event = {.call = SHIM_SHM_MAP, .name = name_of(file)};
    *mapped = NULL;
    CARRY_OUT(event, (void)0, real->pMethods->xShmMap(real, page, size, extend, mapped));
}

static int file_shm_lock(sqlite3_file *file, int offset, int count, int flags)
{
    sqlite3_file *real = real_of(file);
    if ((flags & SQLITE_SHM_UNLOCK) != 0) {
        return real->pMethods->xShmLock(real, offset, count, flags); /* SQLite relies on it */
    }
    shim_event event = {.call = SHIM_SHM_LOCK, .name = name_of(file)};
    CARRY_OUT(event, (void)0, real->pMethods->xShmLock(real, offset, count, flags));
}

static void file_shm_barrier(sqlite3_file *file)
{
    sqlite3_file *real = real_of(file);
    real->pMethods->xShmBarrier(real);
}

static int file_shm_unmap(sqlite3_file *file, int delete)
{
    sqlite3_file *real = real_of(file);
    return real->pMethods->xShmUnmap(real, delete);
}

static int file_fetch(sqlite3_file *file, sqlite3_int64 offset, int size, void **mapped)
{
    sqlite3_file *real = real_of(file);
    return real->pMethods->xFetch(real, offset, size, mapped);
}

static int file_unfetch(sqlite3_file *file, sqlite3_int64 offset, void *mapped)
{
    sqlite3_file *real = real_of(file);
    shim_extent extent;
    before(SHIM_UNFETCH, name_of(file), &extent);
    return real->pMethods->xUnfetch(real, offset, mapped);
}

static const sqlite3_io_methods methods = {
    .iVersion = 3,
    .xClose = file_close,
    .xRead = file_read,
    .xWrite = file_write,
    .xTruncate = file_truncate,
    .xSync = file_sync,
    .xFileSize = file_size,
    .xLock = file_lock,
    .xUnlock = file_unlock,
    .xCheckReservedLock = file_check_reserved,
    .xFileControl = file_control,
    .xSectorSize = file_sector_size,
    .xDeviceCharacteristics = file_characteristics,
    .xShmMap = file_shm_map,
    .xShmLock = file_shm_lock,
    .xShmBarrier = file_shm_barrier,
    .xShmUnmap = file_shm_unmap,
    .xFetch = file_fetch,
    .xUnfetch = file_unfetch,
};

/* ---------------------------------------------------------------- the file system */

static int open_real(const char *name, sqlite3_file *file, int flags, int *flags_out)
{
    int code = real_vfs->xOpen(real_vfs, name, real_of(file), flags, flags_out);
    /* SQLite calls xClose if, and only if, there are methods. */
    file->pMethods = real_of(file)->pMethods != NULL ? &methods : NULL;
    return code;
}

static int vfs_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *flags_out)
{
    (void)vfs;
    ((shim_file *)file)->name = name;
    file->pMethods = NULL;
    real_of(file)->pMethods = NULL;
    shim_event event = {.call = SHIM_OPEN, .name = name};
    CARRY_OUT(event, (void)0, open_real(name, file, flags, flags_out));
}

static int vfs_delete(sqlite3_vfs *vfs, const char *name, int sync_directory)
{
    (void)vfs;
    shim_event event = {.call = SHIM_DELETE, .name = name, .synced = sync_directory};
    CARRY_OUT(event, (void)0, real_vfs->xDelete(real_vfs, name, sync_directory));
}

static int vfs_access(sqlite3_vfs *vfs, const char *name, int flags, int *result)
{
    (void)vfs;
    shim_event event = {.call = SHIM_ACCESS, .name = name};
    CARRY_OUT(event, (void)0, real_vfs->xAccess(real_vfs, name, flags, result));
}

static int vfs_full_pathname(sqlite3_vfs *vfs, const char *name, int size, char *path)
{
    (void)vfs;
    shim_event event = {.call = SHIM_FULL_PATHNAME, .name = name};
    CARRY_OUT(event, (void)0, real_vfs->xFullPathname(real_vfs, name, size, path));
}

/* SQLite naps when it finds the file in the middle of somebody's change, before it looks again. */
static int vfs_sleep(sqlite3_vfs *vfs, int microseconds)
{
    (void)vfs;
    return microseconds;
}

void shim_install(void)
{
    static sqlite3_vfs vfs, plain;
    real_vfs = sqlite3_vfs_find("unix");
    plain = *real_vfs;
    plain.pNext = NULL;
    plain.zName = SHIM_PLAIN;
    plain.xSleep = vfs_sleep;
    sqlite3_vfs_register(&plain, 0);
    vfs = *real_vfs;
    vfs.pNext = NULL;
    vfs.zName = "shim";
    vfs.szOsFile = (int)offsetof(shim_file, real) + real_vfs->szOsFile;
    vfs.xOpen = vfs_open;
    vfs.xDelete = vfs_delete;
    vfs.xAccess = vfs_access;
    vfs.xFullPathname = vfs_full_pathname;
    vfs.xSleep = vfs_sleep;
    sqlite3_vfs_register(&vfs, 1);
}

void shim_hook(shim_before *before_call, shim_after *after_call)
{
    ask = before_call;
    tell = after_call;
}

const char *shim_call_name(shim_call call)
{
    static const char *const names[SHIM_CALLS] = {
        [SHIM_OPEN] = "xOpen",          [SHIM_DELETE] = "xDelete",
        [SHIM_ACCESS] = "xAccess",      [SHIM_FULL_PATHNAME] = "xFullPathname",
        [SHIM_READ] = "xRead",          [SHIM_WRITE] = "xWrite",
        [SHIM_TRUNCATE] = "xTruncate",  [SHIM_SYNC] = "xSync",
        [SHIM_FILE_SIZE] = "xFileSize", [SHIM_LOCK] = "xLock",
        [SHIM_UNLOCK] = "xUnlock",      [SHIM_CHECK_RESERVED] = "xCheckReservedLock",
        [SHIM_SHM_MAP] = "xShmMap",     [SHIM_SHM_LOCK] = "xShmLock",
        [SHIM_UNFETCH] = "xUnfetch",
    };
    return names[call];
}
