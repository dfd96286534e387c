/* SPDX-License-Identifier: MIT */
#include "identity.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "alloc.h"
#include "error.h"
#include "file.h"

/* What identifies a log and its index: salts and checksums stand in their first bytes
 * (https://www.sqlite.org/walformat.html). */
#define LOG_HEADER_BYTES 32
#define INDEX_HEADER_BYTES 48
/* SQLite maps it in pieces of this size. */
#define INDEX_PIECE_BYTES 32768
/* Others may write between two readings. */
#define READINGS 100

sqlite3_file *ct_identity_log(sqlite3 *db)
{
    sqlite3_file *log = NULL;
    sqlite3_file_control(db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &log);
    return log->pMethods != NULL ? log : NULL;
}

volatile void *ct_identity_index(sqlite3 *db)
{
    sqlite3_file *file = NULL;
    volatile void *index = NULL;
    if (ct_identity_log(db) != NULL) { /* of a file without one asking would make an index */
        sqlite3_file_control(db, "main", SQLITE_FCNTL_FILE_POINTER, &file);
        file->pMethods->xShmMap(file, 0, INDEX_PIECE_BYTES, 0, &index); /* an error leaves no more than NULL */
    }
    return index;
}

/* ---------------------------------------------------------------- opening */

/* Whether the log of this name is the one that this process uses already. */
static bool is_in_use_here(const char *path, const ct_inode *file)
{
    char *index = ct_alloc_joined(path, "-shm");
    bool used = index != NULL && ct_guard_has(index, file);
    ct_free(index);
    return used;
}

static ctrack_status refuse_other_names(const char *path, const ct_inode *file, ctrack_error *error)
{
    if ((file->links <= 1 && !file->mounted) || is_in_use_here(path, file)) {
        return CTRACK_OK;
    }
    return ct_error_set(
        error, CTRACK_INVALID, "it has another name (%s), and each name has a write-ahead log of its own: %s",
        file->mounted ? "a bind mount" : "a hard link", file->mounted ? "mount its directory" : "remove one of them");
}

ctrack_status ct_identity_foresee(const char *path, ctrack_error *error)
{
    ct_inode file;
    return ct_inode_of(path, &file) == 0 ? refuse_other_names(path, &file, error) : CTRACK_OK;
}

ctrack_status ct_identity_learn(ct_identity *identity, sqlite3 *db, ctrack_error *error)
{
    const char *path = sqlite3_db_filename(db, "main");
    int moved = 0; /* stays so where SQLite's files cannot say it */
    ct_inode before, after;
    bool there = ct_inode_of(path, &before) == 0;
    sqlite3_file_control(db, "main", SQLITE_FCNTL_HAS_MOVED, &moved);
    if (!there || ct_inode_of(path, &after) != 0) {
        return ct_error_set(error, ct_file_absence(errno), "it cannot be looked at: %s", strerror(errno));
    }
    if (moved != 0 || !ct_inode_same(&before, &after)) {
        return ct_error_set(error, CTRACK_BUSY, "it is being replaced by another file");
    }
    identity->file = after;
    bool logged = ct_identity_log(db) != NULL || sqlite3_db_readonly(db, "main") == 0;
    return logged ? refuse_other_names(path, &after, error) : CTRACK_OK;
}

static ctrack_status name_index(ct_identity *identity, const char *path, ctrack_error *error)
{
    identity->index = ct_alloc_joined(path, "-shm");
    return identity->index != NULL ? CTRACK_OK : ct_error_no_memory(error);
}

/* Whoever writes keeps a descriptor of the log until there is something in it to compare. */
static ctrack_status look_at_log(ct_identity *identity, sqlite3 *db, ctrack_error *error)
{
    const char *log = sqlite3_filename_wal(sqlite3_db_filename(db, "main"));
    if (ct_inode_of(log, &identity->log) != 0) {
        return ct_error_set(error, ct_file_absence(errno), "its write-ahead log cannot be looked at: %s",
                            strerror(errno));
    }
    if (sqlite3_db_readonly(db, "main") != 0) {
        return CTRACK_OK;
    }
    ct_inode opened;
    identity->named_log = open(log, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY);
    if (identity->named_log < 0 || ct_inode_of_descriptor(identity->named_log, &opened) != 0) {
        return ct_error_set(error, CTRACK_IO, "cannot open its write-ahead log: %s", strerror(errno));
    }
    return ct_inode_same(&opened, &identity->log)
               ? CTRACK_OK
               : ct_error_set(error, CTRACK_BUSY, "its write-ahead log is being replaced");
}

/* Nobody has a lock on the log itself, so closing it drops none. */
static void let_go_of_log(ct_identity *identity)
{
    if (identity->named_log >= 0) {
        close(identity->named_log);
    }
    identity->named_log = -1;
}

ctrack_status ct_identity_guard(ct_identity *identity, sqlite3 *db, ctrack_error *error)
{
    const char *path = sqlite3_db_filename(db, "main");
    if (identity->guard != NULL || ct_identity_log(db) == NULL) {
        return CTRACK_OK;
    }
    ctrack_status status = identity->index == NULL ? name_index(identity, path, error) : CTRACK_OK;
    if (status == CTRACK_OK) {
        status = ct_guard_take(path, identity->index, &identity->file, &identity->guard, error);
    }
    if (status != CTRACK_OK) {
        return status;
    }
    status = look_at_log(identity, db, error);
    status = status == CTRACK_OK ? ct_identity_learn(identity, db, error) : status;
    if (status != CTRACK_OK) {
        let_go_of_log(identity);
        ct_guard_loosen(identity->guard);
        identity->guard = NULL;
    }
    return status;
}

/* ---------------------------------------------------------------- at work */

/* Nobody is under the file's name. */
static ctrack_status explain_absence(const ct_identity *identity, const char *path, int problem, ct_trouble *trouble,
                                     ctrack_error *error)
{
    if (problem != ENOENT && problem != ENOTDIR) {
        *trouble = CT_TROUBLE_PASSES;
        return ct_error_set(error, CTRACK_IO, "%s cannot be looked at: %s", path, strerror(problem));
    }
    bool deleted = identity->guard != NULL && ct_guard_deleted(identity->guard);
    *trouble = deleted ? CT_TROUBLE_FINAL : CT_TROUBLE_DOUBTFUL;
    return ct_error_set(error, CTRACK_IO, "%s is gone: %s", path, deleted ? "it was deleted" : strerror(problem));
}

/* The database is there; is its log? */
static ctrack_status examine_log(const ct_identity *identity, const char *path, ct_trouble *trouble,
                                 ctrack_error *error)
{
    ct_inode found;
    if (ct_inode_of(sqlite3_filename_wal(path), &found) == 0) {
        if (ct_inode_same(&found, &identity->log)) {
            return CTRACK_OK;
        }
    } else if (ct_inode_of(path, &found) != 0) {                       /* GCOVR_EXCL_BR_LINE: both have gone just now */
        return explain_absence(identity, path, errno, trouble, error); /* GCOVR_EXCL_LINE */
    }
    *trouble = CT_TROUBLE_FINAL;
    return ct_error_set(error, CTRACK_IO, "the write-ahead log of %s has been removed: open the tracker again", path);
}

ctrack_status ct_identity_examine(const ct_identity *identity, const char *path, ct_trouble *trouble,
                                  ctrack_error *error)
{
    ct_inode found;
    if (ct_inode_of(path, &found) != 0) {
        return explain_absence(identity, path, errno, trouble, error);
    }
    *trouble = CT_TROUBLE_FINAL;
    if (!ct_inode_same(&found, &identity->file)) {
        return ct_error_set(error, CTRACK_IO, "%s has been replaced by another file: open the tracker again", path);
    }
    if (found.size == 0) {
        return ct_error_set(error, CTRACK_IO, "%s has been truncated", path);
    }
    if (identity->guard != NULL && !ct_guard_intact(identity->guard)) {
        return ct_error_set(error, CTRACK_IO, "the process has closed the descriptors of %s: open the tracker again",
                            path);
    }
    *trouble = CT_TROUBLE_PASSES;
    return identity->log.number != 0 ? examine_log(identity, path, trouble, error) : CTRACK_OK;
}

ctrack_status ct_identity_check(const ct_identity *identity, const char *path, ctrack_error *error)
{
    ct_trouble unused;
    return ct_identity_examine(identity, path, &unused, error);
}

/* The first bytes of the log and of its index. */
typedef struct heads {
    unsigned char log[LOG_HEADER_BYTES], index[INDEX_HEADER_BYTES];
} heads;

static bool read_as_sqlite(sqlite3 *db, heads *read)
{
    sqlite3_file *log = ct_identity_log(db);
    const volatile unsigned char *index = ct_identity_index(db);
    if (log == NULL || index == NULL || log->pMethods->xRead(log, read->log, LOG_HEADER_BYTES, 0) != SQLITE_OK) {
        return false;
    }
    for (size_t i = 0; i < INDEX_HEADER_BYTES; i++) {
        read->index[i] = index[i];
    }
    return true;
}

static bool read_as_named(const ct_identity *identity, heads *read)
{
    return pread(identity->named_log, read->log, LOG_HEADER_BYTES, 0) == LOG_HEADER_BYTES &&
           ct_guard_read_index(identity->guard, read->index, INDEX_HEADER_BYTES, 0) == INDEX_HEADER_BYTES;
}

static bool is_same(const ct_identity *identity, sqlite3 *db)
{
    for (int i = 0; i < READINGS; i++) {
        heads sqlites, named;
        if (!read_as_sqlite(db, &sqlites) || !read_as_named(identity, &named)) {
            return false;
        }
        if (memcmp(&sqlites, &named, sizeof named) == 0) {
            return true;
        }
    }
    return false;
}

/* A transaction that changes nothing leaves a log as it is, which may be without a first byte: then nothing is in it that
 * could be in the wrong one. */
static bool has_been_written(sqlite3 *db)
{
    sqlite3_file *log = ct_identity_log(db);
    sqlite3_int64 size = LOG_HEADER_BYTES; /* and stays so if it cannot be said */
    if (log != NULL) {
        log->pMethods->xFileSize(log, &size);
    }
    return size >= LOG_HEADER_BYTES;
}

ctrack_status ct_identity_prove(ct_identity *identity, sqlite3 *db, ctrack_error *error)
{
    const char *path = sqlite3_db_filename(db, "main");
    ct_inode index;
    ctrack_status status = ct_identity_check(identity, path, error);
    if (status != CTRACK_OK) {
        return status;
    }
    if (ct_inode_of(identity->index, &index) != 0 || !ct_inode_same(&index, ct_guard_index(identity->guard))) {
        return ct_error_set(error, CTRACK_IO, "%s has been removed: open the tracker again", identity->index);
    }
    if (!identity->proven && !has_been_written(db)) {
        return CTRACK_OK;
    }
    if (!identity->proven && !is_same(identity, db)) {
        return ct_error_set(error, CTRACK_IO, "the write-ahead log is not that of %s: open the tracker again", path);
    }
    identity->proven = true;
    let_go_of_log(identity);
    return CTRACK_OK;
}

ctrack_status ct_identity_prove_old(ct_identity *identity, sqlite3 *db, ctrack_error *error)
{
    unsigned char head[LOG_HEADER_BYTES];
    bool written = pread(identity->named_log, head, sizeof head, 0) == sizeof head;
    return written ? ct_identity_prove(identity, db, error) : CTRACK_OK;
}

void ct_identity_end(ct_identity *identity)
{
    let_go_of_log(identity);
    ct_guard_loosen(identity->guard);
    ct_free(identity->index);
    *identity = CT_IDENTITY_INIT;
}
