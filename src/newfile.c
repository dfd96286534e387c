/* SPDX-License-Identifier: MIT */
#include "newfile.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "alloc.h"
#include "connection.h"
#include "error.h"
#include "file.h"
#include "identity.h"
#include "leftover.h"
#include "sql.h"

static const char *const companions[] = {CT_FILE_COMPANIONS};
enum { COMPANIONS = sizeof companions / sizeof companions[0] };

static ctrack_status fail(const ct_newfile *file, int problem, const char *doing, ctrack_error *error)
{
    return ct_error_set(error, ct_file_status(problem), "cannot %s %s: %s", doing, file->path, strerror(problem));
}

/* ---------------------------------------------------------------- names */

static ctrack_status check_ending(const ct_newfile *file, ctrack_error *error)
{
    size_t length = strlen(file->path);
    for (size_t i = 0; i < COMPANIONS; i++) {
        size_t ending = strlen(companions[i]);
        if (length > ending && strcmp(file->path + length - ending, companions[i]) == 0) {
            return ct_error_set(error, CTRACK_INVALID,
                                "%s: a name that ends in %s is that of a file which SQLite keeps beside a database",
                                file->path, companions[i]);
        }
    }
    return CTRACK_OK;
}

static ctrack_status refuse_companions(const ct_newfile *file, ctrack_error *error)
{
    ctrack_status status = CTRACK_OK;
    for (size_t i = 0; i < COMPANIONS && status == CTRACK_OK; i++) {
        struct stat found;
        char *name = ct_alloc_joined(file->path, companions[i]);
        if (name == NULL) {
            return ct_error_no_memory(error);
        }
        if (lstat(name, &found) == 0) {
            status =
                ct_error_set(error, CTRACK_MISUSE,
                             "%s is left over from another database and would spoil the new one: move it away", name);
        }
        ct_free(name);
    }
    return status;
}

ctrack_status ct_newfile_look(ct_newfile *file, const char *path, ctrack_error *error)
{
    *file = (ct_newfile){.descriptor = -1, .directory = -1};
    ctrack_status status = ct_file_name(path, &file->path, error);
    status = status == CTRACK_OK ? check_ending(file, error) : status;
    if (status != CTRACK_OK) {
        return status;
    }
    file->exists = lstat(file->path, &file->old) == 0;
    if (file->exists && !S_ISREG(file->old.st_mode)) {
        return ct_error_set(error, CTRACK_INVALID, "%s is not a regular file", file->path);
    }
    return file->exists ? CTRACK_OK : refuse_companions(file, error);
}

/* ---------------------------------------------------------------- making */

ctrack_status ct_newfile_make(ct_newfile *file, ctrack_error *error)
{
    file->directory = ct_file_open_directory(file->path);
    if (file->directory < 0) {
        return fail(file, errno, "open the directory of", error);
    }
    ct_leftover_take_place(file->directory, file->path);
    return ct_file_make_beside(file->path, &file->temporary, &file->descriptor, error);
}

ctrack_status ct_newfile_sync(const ct_newfile *file, ctrack_error *error)
{
    return fdatasync(file->descriptor) == 0 ? CTRACK_OK : fail(file, errno, "write", error);
}

/* Permissions, all content, and no descriptor of ours: closing one later would drop the locks of whoever has opened the
 * file under its name by then (file.h). */
static ctrack_status complete(ct_newfile *file, const struct stat *like, ctrack_error *error)
{
    mode_t mode = S_IRUSR | S_IWUSR;
    if (like != NULL) {
        mode = like->st_mode & (S_IRWXU | S_IRWXG | S_IRWXO);
        /* Root may give it away. What a group may do is meant for that group, not for one that the maker happens to be
         * in. */
        if (fchown(file->descriptor, like->st_uid, like->st_gid) != 0 &&
            fchown(file->descriptor, (uid_t)-1, like->st_gid) != 0) {
            mode &= ~(mode_t)S_IRWXG;
        }
    }
    int problem = fchmod(file->descriptor, mode) != 0 || fsync(file->descriptor) != 0 ? errno : 0;
    if (close(file->descriptor) != 0 && problem == 0) {
        problem = errno;
    }
    file->descriptor = -1;
    return problem == 0 ? CTRACK_OK : fail(file, problem, "write", error);
}

/* ---------------------------------------------------------------- giving it its name */

/* Whether it is still the file that has the name, which somebody else may have replaced before we locked it. That it has
 * other names is no matter. */
static ctrack_status is_still_named(sqlite3 *db, ctrack_error *error)
{
    ct_identity found = CT_IDENTITY_INIT;
    ctrack_status status = ct_identity_learn(&found, db, error);
    return status == CTRACK_INVALID ? CTRACK_OK : status;
}

/*
 * Has an old database take in its write-ahead log and locks it, which fails while any other connection is open. *old is
 * NULL if the file is no database that could be opened; then there is nothing to take in.
 */
static ctrack_status retire(const ct_newfile *file, sqlite3 **old, ctrack_error *error)
{
    sqlite3 *db = NULL;
    ctrack_status status = ct_connection_open(file->path, SQLITE_OPEN_READWRITE, "open the old file", &db, error);
    /* Leaving write-ahead mode takes an exclusive lock. Somebody may enter it again before we lock the file for good.
     */
    status = status == CTRACK_OK ? ct_sql_exec(db, "SELECT 1 FROM sqlite_schema", "read the old file", error) : status;
    status = status == CTRACK_OK ? ct_sql_pragma(db, "PRAGMA main.journal_mode = DELETE", "delete", error) : status;
    status = status == CTRACK_OK ? ct_sql_exec(db, "BEGIN EXCLUSIVE", "lock the old file", error) : status;
    status = status == CTRACK_OK ? ct_sql_pragma(db, "PRAGMA main.journal_mode", "delete", error) : status;
    status = status == CTRACK_OK ? is_still_named(db, error) : status;
    if (status == CTRACK_OK) {
        *old = db;
        return CTRACK_OK;
    }
    ct_connection_close(db);
    if (status == CTRACK_CORRUPT) {
        return CTRACK_OK;
    }
    return ct_error_context(error, status, "%s cannot be replaced%s", file->path,
                            status == CTRACK_BUSY ? " while somebody has it open" : "");
}

static ctrack_status replace_old(ct_newfile *file, ctrack_error *error)
{
    sqlite3 *old = NULL;
    struct stat found;
    ctrack_status status = CTRACK_OK;
    if (lstat(file->path, &found) == 0) {
        status = S_ISREG(found.st_mode) ? retire(file, &old, error)
                                        : ct_error_set(error, CTRACK_INVALID, "%s is not a regular file", file->path);
    }
    status = status == CTRACK_OK ? refuse_companions(file, error) : status;
    if (status == CTRACK_OK && rename(file->temporary, file->path) != 0) {
        status = fail(file, errno, "replace", error);
    }
    ct_connection_close(old);
    return status;
}

static ctrack_status take_name(ct_newfile *file, ctrack_error *error)
{
    if (ct_file_give_name(file->temporary, file->path) != 0) {
        return errno == EEXIST ? ct_error_set(error, CTRACK_MISUSE, "%s exists already", file->path)
                               : fail(file, errno, "make", error);
    }
    return CTRACK_OK;
}

/* Makes the new name survive a power cut. Some file systems cannot sync a directory, and need not. */
static ctrack_status sync_directory(const ct_newfile *file, ctrack_error *error)
{
    bool synced = fsync(file->directory) == 0 || errno == EINVAL;
    return synced ? CTRACK_OK : fail(file, errno, "sync the directory of", error);
}

/* The name, with what SQLite has left beside it: it may say that all went well when it could not remove a log that is
 * empty by then. Needs no memory. */
static void remove_temporary(const ct_newfile *file)
{
    char name[PATH_MAX + 16];
    unlink(file->temporary);
    for (size_t i = 0; i < COMPANIONS; i++) {
        snprintf(name, sizeof name, "%s%s", file->temporary, companions[i]);
        unlink(name);
    }
}

ctrack_status ct_newfile_place(ct_newfile *file, const struct stat *like, bool replace, ctrack_error *error)
{
    ctrack_status status = complete(file, file->exists ? &file->old : like, error);
    if (status == CTRACK_OK) {
        status = replace ? replace_old(file, error) : take_name(file, error);
    }
    if (status != CTRACK_OK) {
        return status;
    }
    remove_temporary(file);
    ct_free(file->temporary);
    file->temporary = NULL;
    return sync_directory(file, error);
}

void ct_newfile_drop(ct_newfile *file)
{
    if (file->temporary != NULL) {
        remove_temporary(file);
    }
    if (file->descriptor >= 0) {
        close(file->descriptor);
    }
    if (file->directory >= 0) {
        close(file->directory);
    }
    ct_free(file->temporary);
    ct_free(file->path);
    *file = (ct_newfile){.descriptor = -1, .directory = -1};
}
