/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE /* F_OFD_SETLK */
#include "calls.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>

static const calls_failure *(*ask)(calls_kind kind);
static _Thread_local int code; /* of SQLite's call that is to fail */

void calls_fail_when(const calls_failure *(*asked)(calls_kind kind))
{
    ask = asked;
}

static bool fails(calls_kind kind)
{
    const calls_failure *failure = ask != NULL ? ask(kind) : NULL;
    if (failure != NULL) {
        errno = failure->problem;
        code = failure->code;
    }
    return failure != NULL;
}

/* CALL(type, name, kind, failure, parameters, arguments): the function, which gives `failure` when it fails. */
#define CALL(type, name, kind, failure, parameters, arguments) CALL_OF(type, name, kind, failure, parameters, arguments)
#define CALL_OF(type, name, kind, failure, parameters, arguments) \
    type __real_##name parameters; \
    type __wrap_##name parameters; \
    type __wrap_##name parameters \
    { \
        return fails(kind) ? (failure) : __real_##name arguments; \
    }

/* What the linker calls a function of a program whose files may be of any size. */
#ifdef __GLIBC__
#define LARGE(name) name##64
#else
#define LARGE(name) name
#endif
#define REAL(name) JOIN(__real_, LARGE(name))
#define WRAP(name) JOIN(__wrap_, LARGE(name))
#define JOIN(left, right) JOIN_AS_THEY_ARE(left, right)
#define JOIN_AS_THEY_ARE(left, right) left##right

/* ---------------------------------------------------------------- SQLite */

CALL(int, sqlite3_open_v2, CALLS_MEMORY, (*db = NULL, SQLITE_NOMEM),
     (const char *name, sqlite3 **db, int flags, const char *vfs), (name, db, flags, vfs))
CALL(int, sqlite3_prepare_v2, CALLS_SQLITE, (*statement = NULL, code),
     (sqlite3 * db, const char *sql, int size, sqlite3_stmt **statement, const char **tail),
     (db, sql, size, statement, tail))
CALL(int, sqlite3_prepare_v3, CALLS_SQLITE, (*statement = NULL, code),
     (sqlite3 * db, const char *sql, int size, unsigned flags, sqlite3_stmt **statement, const char **tail),
     (db, sql, size, flags, statement, tail))
CALL(int, sqlite3_exec, CALLS_SQLITE, code,
     (sqlite3 * db, const char *sql, int (*row)(void *, int, char **, char **), void *argument, char **message),
     (db, sql, row, argument, message))
CALL(int, sqlite3_wal_checkpoint_v2, CALLS_SQLITE, code,
     (sqlite3 * db, const char *schema, int mode, int *pages, int *moved), (db, schema, mode, pages, moved))
CALL(int, sqlite3_create_function, CALLS_MEMORY, SQLITE_NOMEM,
     (sqlite3 * db, const char *name, int count, int form, void *argument,
      void (*function)(sqlite3_context *, int, sqlite3_value **),
      void (*step)(sqlite3_context *, int, sqlite3_value **), void (*final)(sqlite3_context *)),
     (db, name, count, form, argument, function, step, final))
CALL(int, sqlite3_table_column_metadata, CALLS_SQLITE, code,
     (sqlite3 * db, const char *schema, const char *table, const char *column, const char **type,
      const char **collation, int *not_null, int *primary_key, int *autoincrement),
     (db, schema, table, column, type, collation, not_null, primary_key, autoincrement))

char *__wrap_sqlite3_mprintf(const char *format, ...);
char *__wrap_sqlite3_mprintf(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    char *text = fails(CALLS_MEMORY) ? NULL : sqlite3_vmprintf(format, arguments);
    va_end(arguments);
    return text;
}

/* A connection cannot be copied onto itself; that failure leaves its code behind, as others do. */
CALL(sqlite3_backup *, sqlite3_backup_init, CALLS_SQLITE, __real_sqlite3_backup_init(to, to_schema, to, to_schema),
     (sqlite3 * to, const char *to_schema, sqlite3 *from, const char *from_schema), (to, to_schema, from, from_schema))
CALL(int, sqlite3_backup_step, CALLS_SQLITE, code, (sqlite3_backup * backup, int pages), (backup, pages))
CALL(const unsigned char *, sqlite3_value_text, CALLS_MEMORY, NULL, (sqlite3_value * value), (value))
CALL(int, sqlite3_bind_value, CALLS_MEMORY, SQLITE_NOMEM,
     (sqlite3_stmt * statement, int at, const sqlite3_value *value), (statement, at, value))
CALL(const void *, sqlite3_column_blob, CALLS_MEMORY, NULL, (sqlite3_stmt * statement, int column), (statement, column))

/* A statement that has found no memory for a text says so at its next step, as SQLite does. */
static _Thread_local sqlite3_stmt *starved;

const unsigned char *__real_sqlite3_column_text(sqlite3_stmt *statement, int column);
const unsigned char *__wrap_sqlite3_column_text(sqlite3_stmt *statement, int column);
const unsigned char *__wrap_sqlite3_column_text(sqlite3_stmt *statement, int column)
{
    if (!fails(CALLS_MEMORY)) {
        return __real_sqlite3_column_text(statement, column);
    }
    starved = statement;
    return NULL;
}

int __real_sqlite3_step(sqlite3_stmt *statement);
int __wrap_sqlite3_step(sqlite3_stmt *statement);
int __wrap_sqlite3_step(sqlite3_stmt *statement)
{
    bool may_fail = strcmp(sqlite3_sql(statement), "ROLLBACK") != 0;
    if (statement == starved) {
        starved = NULL;
        return SQLITE_NOMEM;
    }
    return may_fail && fails(CALLS_SQLITE) ? code : __real_sqlite3_step(statement);
}

int __real_sqlite3_reset(sqlite3_stmt *statement);
int __wrap_sqlite3_reset(sqlite3_stmt *statement);
int __wrap_sqlite3_reset(sqlite3_stmt *statement)
{
    starved = statement == starved ? NULL : starved;
    return __real_sqlite3_reset(statement);
}

int __real_sqlite3_finalize(sqlite3_stmt *statement);
int __wrap_sqlite3_finalize(sqlite3_stmt *statement);
int __wrap_sqlite3_finalize(sqlite3_stmt *statement)
{
    bool unfinished = sqlite3_stmt_busy(statement) != 0; /* what is left to do is done now, and may fail */
    starved = statement == starved ? NULL : starved;
    int result = __real_sqlite3_finalize(statement);
    return unfinished && fails(CALLS_SQLITE) ? code : result;
}

/* The connection is closed, but something had gone wrong before. */
int __real_sqlite3_close(sqlite3 *db);
int __wrap_sqlite3_close(sqlite3 *db);
int __wrap_sqlite3_close(sqlite3 *db)
{
    int result = __real_sqlite3_close(db);
    return fails(CALLS_SQLITE) ? SQLITE_IOERR : result;
}

/* ---------------------------------------------------------------- files */

CALL(int, LARGE(stat), CALLS_SYSTEM, -1, (const char *path, struct stat *found), (path, found))
CALL(int, LARGE(lstat), CALLS_SYSTEM, -1, (const char *path, struct stat *found), (path, found))
CALL(int, LARGE(mkstemp), CALLS_SYSTEM, -1, (char *name), (name))
CALL(int, link, CALLS_SYSTEM, -1, (const char *from, const char *to), (from, to))
CALL(int, rename, CALLS_SYSTEM, -1, (const char *from, const char *to), (from, to))
CALL(int, fsync, CALLS_SYSTEM, -1, (int descriptor), (descriptor))
CALL(int, fdatasync, CALLS_SYSTEM, -1, (int descriptor), (descriptor))
CALL(int, fchmod, CALLS_SYSTEM, -1, (int descriptor, mode_t mode), (descriptor, mode))
CALL(int, fchown, CALLS_SYSTEM, -1, (int descriptor, uid_t user, gid_t group), (descriptor, user, group))
CALL(ssize_t, read, CALLS_SYSTEM, -1, (int descriptor, void *data, size_t size), (descriptor, data, size))
CALL(char *, realpath, CALLS_SYSTEM, NULL, (const char *path, char *resolved), (path, resolved))

int REAL(open)(const char *path, int flags, ...);
int WRAP(open)(const char *path, int flags, ...);
int WRAP(open)(const char *path, int flags, ...)
{
    va_list arguments;
    va_start(arguments, flags);
    mode_t mode = (flags & O_CREAT) != 0 ? va_arg(arguments, mode_t) : 0;
    va_end(arguments);
    return fails(CALLS_SYSTEM) ? -1 : REAL(open)(path, flags, mode);
}

/* Linux closes the descriptor all the same (close(2)). */
int __real_close(int descriptor);
int __wrap_close(int descriptor);
int __wrap_close(int descriptor)
{
    int result = __real_close(descriptor);
    return fails(CALLS_SYSTEM) ? -1 : result;
}

/* ---------------------------------------------------------------- threads, locks, pipes */

CALL(int, pthread_mutex_init, CALLS_THREADS, EAGAIN, (pthread_mutex_t * lock, const pthread_mutexattr_t *attributes),
     (lock, attributes))
CALL(int, pthread_condattr_init, CALLS_THREADS, ENOMEM, (pthread_condattr_t * attributes), (attributes))
CALL(int, pthread_condattr_setclock, CALLS_THREADS, EINVAL, (pthread_condattr_t * attributes, clockid_t clock),
     (attributes, clock))
CALL(int, pthread_cond_init, CALLS_THREADS, EAGAIN, (pthread_cond_t * condition, const pthread_condattr_t *attributes),
     (condition, attributes))
CALL(int, pthread_create, CALLS_THREADS, EAGAIN,
     (pthread_t * thread, const pthread_attr_t *attributes, void *(*body)(void *), void *argument),
     (thread, attributes, body, argument))
CALL(int, sem_init, CALLS_THREADS, -1, (sem_t * semaphore, int shared, unsigned value), (semaphore, shared, value))
CALL(int, pipe, CALLS_THREADS, -1, (int ends[2]), (ends))
CALL(int, inotify_init1, CALLS_THREADS, -1, (int flags), (flags))
CALL(int, inotify_add_watch, CALLS_THREADS, -1, (int notifier, const char *path, uint32_t events),
     (notifier, path, events))

int REAL(fcntl)(int descriptor, int command, ...);
int WRAP(fcntl)(int descriptor, int command, ...);
int WRAP(fcntl)(int descriptor, int command, ...)
{
    va_list arguments;
    va_start(arguments, command);
    bool locks = command == F_OFD_SETLK || command == F_OFD_GETLK; /* else the library sets flags */
    void *lock = locks ? va_arg(arguments, void *) : NULL;
    int flags = locks ? 0 : va_arg(arguments, int);
    va_end(arguments);
    if (fails(CALLS_THREADS)) {
        return -1;
    }
    return locks ? REAL(fcntl)(descriptor, command, lock) : REAL(fcntl)(descriptor, command, flags);
}
