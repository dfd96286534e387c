/* SPDX-License-Identifier: MIT */
#ifndef CTRACK_H
#define CTRACK_H

/**
 * @file ctrack.h
 * ctrack: a durable consistency tracker.
 *
 * ## The model
 *
 * A *read model* is a table built from an event log. For every *key* (document, scope, branch) it has processed the
 * operations 0 … n; the highest, n, is its *progress*. A write returns a *token*: the coordinates (key and operation
 * index) that it wrote. Whoever wants to read that write from the read model first waits until the read model's
 * progress has reached every coordinate of the token.
 *
 * A *tracker* is that bookkeeping for one read model: ctrack_update() reports progress, ctrack_wait_for() waits for
 * it, ctrack_get_latest() and ctrack_serialize() read it, ctrack_hydrate() replaces it. On a file the progress is
 * durable: an update is committed to SQLite first, then published in memory, then the waits wake. A call that fails
 * leaves all three as they were. After a crash the tracker knows every acknowledged update, so a wait for an old token
 * is answered at once.
 *
 * ## Example
 *
 * A whole program, which the tests compile and run as it stands here.
 *
 * ```c
 * #include <ctrack.h>
 * #include <stdio.h>
 *
 * int main(void)
 * {
 *     ctrack *tracker = NULL;
 *     ctrack_error error;
 *     ctrack_status status = ctrack_open("progress.db", NULL, &tracker, &error);
 *     if (status != CTRACK_OK) {
 *         fprintf(stderr, "%s: %s\n", ctrack_status_name(status), error.message);
 *         return 1;
 *     }
 *
 *     // The read model: it has processed operation 12 of a document, and committed what came of it.
 *     ctrack_coordinate wrote = {"doc-7", "document", "main", 12};
 *     status = ctrack_update(tracker, &wrote, 1, &error);
 *
 *     // A client that made operation 12 waits for it, at most five seconds, and then reads its own write.
 *     if (status == CTRACK_OK) {
 *         status = ctrack_wait(tracker, &wrote, 1, 5000, NULL, &error);
 *     }
 *     if (status == CTRACK_OK) {
 *         printf("reached\n");
 *     } else {
 *         fprintf(stderr, "%s: %s\n", ctrack_status_name(status), error.message);
 *     }
 *     ctrack_close(tracker, NULL);
 *     return status == CTRACK_OK ? 0 : 1;
 * }
 * ```
 *
 * ## Caveats
 *
 * - Text is UTF-8 without NUL, at most CTRACK_TEXT_MAX bytes for each component. Empty text and ':' are legal.
 * - Index 0 and "never seen" are different: ctrack_get_latest() says CTRACK_NOT_FOUND for the latter.
 * - Do not use the file on a network file system, nor where shared memory cannot be mapped: SQLite's write-ahead log
 *   needs it.
 * - Do not remove, replace or truncate the file, nor its -wal and -shm, while anybody has it open. Trackers notice when
 *   it is deleted, replaced or empty: waits end as CTRACK_IO, updates are refused. But an old -wal beside a new file
 *   damages that one (https://www.sqlite.org/howtocorrupt.html).
 * - A file that is not under its name any more, but somewhere, or that is damaged, ends waits (CTRACK_IO,
 *   CTRACK_CORRUPT, CTRACK_SCHEMA) if that lasts for three seconds; meanwhile updates are refused. What else is in the
 *   way of looking at it (descriptors or memory are short, access is refused, a lock) ends none; the log callback is
 *   told once. The file is looked at again, and once all is well new waits wait.
 * - SQLite's backup API may put another state into the place of the file's content while trackers have it open (the
 *   shell's `.restore`). They then say what the file says, once they look: progress may be lower, and what a wait had
 *   reached is missing again. What has no ctrack tables, or others, is as a damaged file until it is put right.
 * - Do not close descriptors that are not yours while a tracker is open (closefrom(), becoming a daemon): what SQLite
 *   writes would go into whatever file gets the number next. If all are closed updates and waits are CTRACK_IO.
 * - Do not use a tracker across fork(): every call with a parent's handle returns CTRACK_FORKED and touches nothing. If
 *   the parent had any file open with ctrack at the fork, the child cannot open one, nor restore (CTRACK_FORKED):
 *   SQLite's locks would not be its own. Fork before opening, or let the child run a program (exec). Trackers in memory
 *   work.
 * - A file has one name. With two hard links, or mounted by itself at another place, it would have two write-ahead
 *   logs: it is refused (CTRACK_INVALID) if it is to be written or has a log. Mount its directory, not the file. Other
 *   programs can still use another name, and what they write under it damages the file.
 * - Directories on the way to the file are looked up when it is opened. If a link such as `current/` moves on to another
 *   directory, trackers and their waits stay with the file that they have opened: open anew to follow the link.
 * - Another copy of SQLite in the process (as other languages' bindings bring) may read the file. What it writes may be
 *   lost: its own locks can be dropped, ctrack's cannot. Hand ctrack_stage() a connection of the SQLite that ctrack uses.
 * - Two trackers with the same read model name on one file report for one and the same read model, in one process or in
 *   two. If two copies of a read model build tables of their own, give each a name of its own: else the faster copy's
 *   progress ends waits for rows that the slower one does not have yet.
 * - A wait that ended well speaks of what was committed when it ended. A read transaction that was open before sees the
 *   tables as they were then: begin it after the wait, or ask ctrack_satisfied_in() within it. Do not wait inside an
 *   open read transaction; it also keeps SQLite from starting its log anew, which then grows.
 * - Do not wait inside a write transaction on the tracker's file: the read model cannot commit what is waited for.
 * - The tracker is as durable as `durability` says. If the read model's own tables are less durable, progress may be
 *   ahead of the data after a power cut; if they are committed after the update, after any crash. Commit the data
 *   first, as durably, or write both in one transaction with ctrack_stage().
 * - A callback that blocks holds up the tracker's other callbacks and its timeouts (not those of blocked threads).
 * - Start no call once you call ctrack_close(), except from callbacks, where each is CTRACK_CLOSED: calls that are
 *   under way end, but the handle is gone when it returns. Closing settles pending waits as CTRACK_CLOSED and runs their
 *   callbacks first. Promises, snapshots and abort signals outlive the tracker, and are still to be released.
 *
 * ## Who folds
 *
 * Progress is appended to a log in the file, and is later folded into tables: until then opening the file takes longer.
 * Somebody always does it. A tracker that may write has a thread for it, which begins once about 65,536 rows and one for
 * each key, a million at the most, have been added by whomever. It also moves SQLite's write-ahead log into the database,
 * each 32 MiB. It sees what others add when the tracker looks, so it helps to call ctrack_refresh() after staging.
 * ctrack_close() folds for 50 ms if more than 4,096 rows are there, ctrack_stage() and INSERTs into the view fold some of
 * the oldest if more than 8,192 are. A tracker that only reads never does. ctrack_forget(), ctrack_hydrate() and
 * ctrack_restore() fold everything first, in steps. ctrack_fold() and `ctrack fold` do all of it at once.
 *
 * Folding and moving the log take SQLite's writer lock for some milliseconds at a time, up to some hundred on a slow disk:
 * give every connection that writes to the file a busy timeout.
 *
 * On a small disk logs are kept short, and everybody folds in smaller steps. A volume with room for twice the folded data
 * and 4 MiB is enough, unless somebody reads in one transaction for so long that the log fills it.
 *
 * ## What is promised, and where
 *
 * - An acknowledged update survives the end of its process and, with CTRACK_DURABLE_FULL, a power cut: on a local file
 *   system whose fsync() and a disk whose flush are honest. Tried on ext4 and xfs as Linux mounts them by default; what
 *   the tests do is in tests/README.md.
 * - SQLite 3.37 or later. Those before 3.51.3, but for 3.50.7 and 3.44.6, have the WAL-reset bug
 *   (https://www.sqlite.org/wal.html): a checkpoint may lose what another connection commits meanwhile. What ctrack
 *   does itself never triggers it. Other programs' checkpoints may, and so may a host's, which SQLite makes by itself:
 *   set `wal_autocheckpoint` to 0 on every other connection that writes to the file. ctrack_get_stats() says whether
 *   the engine is exposed.
 * - A file, a dump or a token from a stranger is refused or read as what it says, and does no other harm. It may say
 *   anything: who may write the file decides what progress is.
 * - A new file is for its owner only; SQLite's files beside it are as it is. Who may write in its directory can put
 *   other files in the place of all of them, so keep it in a directory that only trusted users can write: not in /tmp.
 *   Who owns a file that is there already is not looked at.
 * - The host may read and close the file, its -wal and its -shm, by itself or with another copy of SQLite: the locks that
 *   POSIX lets it drop so are held twice, or are not of that kind. For this the fcntl() of SQLite's VFS "unix" is
 *   replaced once a tracker is opened, and takes the locks on -shm of every database in the process through F_OFD_SETLK,
 *   where there is one. So the library stays loaded until the process ends; a plug-in that has the static one in it must
 *   see to that itself (`-z nodelete`).
 * - A disk that fails while it is read may be called CTRACK_CORRUPT: SQLite does not tell the two apart.
 *
 * ## Conventions
 *
 * Handles are opaque. Calls return a status; out-parameters are set only on CTRACK_OK. `error` comes last, belongs to
 * the caller, may be NULL, and is filled whenever a call fails. Strings and arrays passed in are borrowed for the call
 * and copied if kept. A tracker, array, text, callback or out-parameter that is NULL where one is needed is
 * CTRACK_INVALID. Unless a call says otherwise any thread may call it at any time.
 *
 * CTRACK_INTERNAL, which no call should ever return, means that the library was about to write what must not be in the
 * file. Nothing has changed then, and the message is what we need to know.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Marks what the library exports. */
#if defined(CTRACK_STATIC)
#define CTRACK_API
#elif defined(__GNUC__)
#define CTRACK_API __attribute__((visibility("default")))
#else
#define CTRACK_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/** The version of this header, for the preprocessor. The library's own is ctrack_version(). */
#define CTRACK_VERSION "0.1.0"

/** One read model's progress, in one file or in memory. */
typedef struct ctrack ctrack;
/** A wait and its outcome; it settles exactly once. */
typedef struct ctrack_promise ctrack_promise;
/** A one-way switch that ends waits early. */
typedef struct ctrack_abort_signal ctrack_abort_signal;
/** A consistent copy of a list of coordinates. */
typedef struct ctrack_snapshot ctrack_snapshot;

/** What is tracked: a branch of a scope of a document. */
typedef struct ctrack_key {
    const char *document_id; /**< this and the next two: UTF-8, at most CTRACK_TEXT_MAX bytes */
    const char *scope;       /**< such as "document" */
    const char *branch;      /**< such as "main" */
} ctrack_key;

/** A point in the history of a key: operations 0 … operation_index. */
typedef struct ctrack_coordinate {
    const char *document_id; /**< as in ctrack_key */
    const char *scope;       /**< as in ctrack_key */
    const char *branch;      /**< as in ctrack_key */
    int64_t operation_index; /**< 0 … INT64_MAX */
} ctrack_coordinate;

/** The outcome of a call or of a wait. The numbers are part of the ABI and are never reused. */
typedef enum ctrack_status {
    CTRACK_OK = 0,         /**< done; of a wait: reached */
    CTRACK_PENDING = 1,    /**< a promise that has not settled yet */
    CTRACK_NOT_FOUND = 2,  /**< the key was never seen */
    CTRACK_TIMED_OUT = 3,  /**< the wait's time is up */
    CTRACK_ABORTED = 4,    /**< the wait's abort signal was given, or its last owner released it */
    CTRACK_CLOSED = 5,     /**< the tracker is closing or closed */
    CTRACK_FAILED = 6,     /**< the read model reported a failure, ctrack_fail() */
    CTRACK_INVALID = 7,    /**< an argument is not acceptable; the message names it */
    CTRACK_MISUSE = 8,     /**< a call at a place where it is not allowed */
    CTRACK_NO_MEMORY = 9,  /**< memory ran out; nothing has changed */
    CTRACK_BUSY = 10,      /**< another process held the file's lock longer than busy_timeout_ms */
    CTRACK_READ_ONLY = 11, /**< the tracker or its file is read-only */
    CTRACK_FULL = 12,      /**< the disk is full; nothing has changed */
    CTRACK_IO = 13,        /**< input or output failed */
    CTRACK_CORRUPT = 14,   /**< the file is damaged, or is not ctrack's */
    CTRACK_SCHEMA = 15,    /**< the file is newer than the library */
    CTRACK_FORMAT = 16,    /**< a dump, token or key text that cannot be read */
    CTRACK_FORKED = 17,    /**< a parent process made the handle, or had a file open at the fork */
    /* 18 is kept for a store that cannot be reached, such as a server. */
    CTRACK_INTERNAL = 19 /**< a fault of ctrack's own, found before it could get into the file; please report it */
} ctrack_status;

/** Where a failing call explains itself. Belongs to the caller; needs no initialisation and no release. */
typedef struct ctrack_error {
    ctrack_status status; /**< what the call returned */
    char message[500];    /**< One line of UTF-8 without control characters; long keys are shortened. */
} ctrack_error;

/** Longest component of a key, in bytes. */
#define CTRACK_TEXT_MAX 65535
/** No time limit, for ctrack_wait_for(). */
#define CTRACK_FOREVER INT64_C(-1)

/** What an acknowledged update survives. */
typedef enum ctrack_durability {
    CTRACK_DURABLE_FULL = 0,   /**< a power cut loses nothing that was acknowledged (SQLite's synchronous=FULL) */
    CTRACK_DURABLE_NORMAL = 1, /**< a process crash loses nothing, a power cut may lose the last updates */
    CTRACK_DURABLE_NONE = 2    /**< a power cut may damage the file: of ctrack_host_durability(), never of a tracker */
} ctrack_durability;

/** Receives what the tracker has to say on its own account (folding failed, the file cannot be looked at); on any
 * thread, also within a call, which it holds up. It cannot call with the same tracker: whatever it calls is
 * CTRACK_MISUSE. */
typedef void ctrack_log_callback(ctrack_status status, const char *message, void *argument);

/**
 * How to open a tracker. Initialise with CTRACK_OPTIONS_INIT, so that the struct can grow: a library reads what the
 * caller's header has, and takes the defaults for the rest.
 */
/* A new field goes to the end, and not into what was padding before: nothing tells the two apart. */
typedef struct ctrack_options {
    size_t size;                  /**< sizeof(ctrack_options) of the caller */
    const char *read_model;       /**< NULL: "default". Several read models share a file without seeing each other. */
    ctrack_durability durability; /**< default: CTRACK_DURABLE_FULL */
    /** Open an existing file for reading and waiting; updates are CTRACK_READ_ONLY. Without the right to write in the
     * file's directory it works while a process that has it keeps the file open; SQLite needs the -shm file. On a
     * read-only medium that goes for every file but an export, see ctrack_export(). */
    bool read_only;
    /** Leave progress in the file until a call needs all of it: any but ctrack_get_latest(), which looks its key up in
     * the file as long as nothing is loaded, and those that read through a connection of their own (ctrack_dump(),
     * ctrack_export(), ctrack_read_models()). That call then returns the errors of loading. For a program that asks a
     * large file little, and ends. With `follow` all is loaded at once. */
    bool lazy;
    /** How long a call waits for another process's write lock; negative: the default, 5 s. Nothing else waits with it:
     * what others commit is seen, and waits end, meanwhile. */
    int64_t busy_timeout_ms;
    ctrack_log_callback *log; /**< NULL: silent */
    void *log_argument;       /**< what the log callback is given */
    bool follow;              /**< see what other processes commit as it happens, even while no wait is pending */
} ctrack_options;

/** The defaults. */
#define CTRACK_OPTIONS_INIT \
    { \
        sizeof(ctrack_options), NULL, CTRACK_DURABLE_FULL, false, false, -1, NULL, NULL, false \
    }

/* ---------------------------------------------------------------- the tracker */

/**
 * Opens a tracker on a file, or in memory only.
 *
 * The file is created with mode 0600 if it does not exist, brought to the current schema, checked, and its progress
 * loaded (unless `lazy` is set). It may be a database in UTF-8 that holds other tables too; it is brought to WAL mode,
 * unless it is opened for reading only. The path is a plain file name: `file:` URIs, `:memory:` and the empty name are
 * refused, and so is a symbolic link as the last component.
 *
 * @param[in]  path     NULL: memory only, nothing is durable.
 * @param[in]  options  NULL: the defaults.
 * @param[out] tracker  The caller closes it with ctrack_close().
 * Errors: CTRACK_INVALID for a bad path or option, a file with two names, or a database in UTF-16; CTRACK_IO when the
 *         file cannot be opened; CTRACK_CORRUPT when it is damaged, not a database, or its ctrack objects were altered;
 *         CTRACK_SCHEMA when it is newer than the library; CTRACK_FORKED in the child of a process that had a file
 *         open; CTRACK_MISUSE when SQLite is configured for a single thread; CTRACK_BUSY also when the file is being
 *         replaced again and again, or others use it under another name; CTRACK_READ_ONLY, CTRACK_FULL,
 *         CTRACK_NO_MEMORY. A file that is refused is not touched, nor is its write-ahead log.
 */
CTRACK_API ctrack_status ctrack_open(const char *path, const ctrack_options *options, ctrack **tracker,
                                     ctrack_error *error);

/**
 * Closes a tracker: refuses new work, settles pending waits as CTRACK_CLOSED, runs their callbacks, and returns when
 * the last of them has. Nothing acknowledged is lost. The handle is gone afterwards, whatever is returned, except on
 * CTRACK_MISUSE and CTRACK_FORKED.
 *
 * @param[in] tracker  NULL is fine.
 * Threads: calls that are under way in other threads end first, or return CTRACK_CLOSED. To start one once this call
 *          has begun, except from a callback, is an error of the caller.
 * Errors:  CTRACK_MISUSE from a callback of this tracker, whichever it is.
 */
CTRACK_API ctrack_status ctrack_close(ctrack *tracker, ctrack_error *error);

/**
 * Reports progress: the read model has processed each coordinate's key up to its index.
 *
 * All or nothing. On CTRACK_OK the batch is committed (with the tracker's durability), visible to ctrack_get_latest()
 * and the waits that it satisfies are settled. A coordinate at or below the current progress changes nothing; if that
 * goes for all there is no transaction. Duplicates count once, at the highest index. An empty list does nothing.
 * Concurrent calls are committed together.
 *
 * Errors: CTRACK_INVALID for a bad coordinate (the message gives its position; the whole batch is refused);
 *         CTRACK_READ_ONLY, CTRACK_BUSY, CTRACK_FULL, CTRACK_NO_MEMORY, CTRACK_CLOSED: nothing has changed and a later
 *         call may succeed. CTRACK_IO: the outcome on disk is unknown, nothing is published, and every later update
 *         returns CTRACK_IO until the tracker is opened again. CTRACK_CORRUPT when the file is damaged: its log has no
 *         number left for what comes next, say, which a log never gets to by itself (a dump restored into a new file is
 *         numbered anew); nothing has changed.
 */
CTRACK_API ctrack_status ctrack_update(ctrack *tracker, const ctrack_coordinate *coordinates, size_t count,
                                       ctrack_error *error);

/**
 * Reads the progress of a key, from memory. Commits of other processes are seen once this tracker has looked: with an
 * update or ctrack_refresh(), or by itself while a wait is pending or with the option `follow`.
 *
 * @param[out] operation_index  Set only on CTRACK_OK.
 * Errors: CTRACK_NOT_FOUND when the key was never seen; CTRACK_INVALID for bad text; CTRACK_CLOSED. While a `lazy`
 *         tracker has not loaded, also CTRACK_BUSY, CTRACK_IO, CTRACK_CORRUPT, CTRACK_NO_MEMORY.
 */
CTRACK_API ctrack_status ctrack_get_latest(ctrack *tracker, const ctrack_key *key, int64_t *operation_index);

/**
 * Waits until the read model has reached every coordinate.
 *
 * Makes a promise, which may be settled already. In this order: an aborted signal gives CTRACK_ABORTED; all reached
 * (or an empty list) CTRACK_OK; a failed read model CTRACK_FAILED; timeout 0 CTRACK_TIMED_OUT. Otherwise the first
 * event wins. Duplicates count once, at the highest index.
 *
 * @param[in]  timeout_ms  Milliseconds on the monotonic clock; 0 = check once; negative (CTRACK_FOREVER) = no limit.
 *                         Never ends early.
 * @param[in]  signal      May be NULL; shared by any number of waits on any trackers.
 * @param[out] promise     The caller releases it with ctrack_promise_release().
 * Returns: CTRACK_OK whenever a promise was made; the outcome is the promise's.
 * Threads: a wait that is reached already starts none. One that pends on a file has the tracker look at it, on a thread
 *          of its own, which the first one starts.
 * Errors:  CTRACK_INVALID for a bad coordinate, with its position; CTRACK_NO_MEMORY; CTRACK_CLOSED.
 */
CTRACK_API ctrack_status ctrack_wait_for(ctrack *tracker, const ctrack_coordinate *coordinates, size_t count,
                                         int64_t timeout_ms, ctrack_abort_signal *signal, ctrack_promise **promise,
                                         ctrack_error *error);

/**
 * Waits, blocking: ctrack_wait_for(), ctrack_promise_await() and ctrack_promise_release() in one call. What is reached
 * already takes no memory, either.
 *
 * Returns: the outcome. When it is not CTRACK_OK the message says what was missing at the end:
 *          `timed out after 100 ms: 1 of 3 coordinates missing: doc-7:document:main needs 12, has 9`.
 * Errors:  as ctrack_wait_for().
 */
CTRACK_API ctrack_status ctrack_wait(ctrack *tracker, const ctrack_coordinate *coordinates, size_t count,
                                     int64_t timeout_ms, ctrack_abort_signal *signal, ctrack_error *error);

/**
 * Copies the whole progress, as of one moment.
 *
 * @param[out] snapshot  Sorted; the caller frees it with ctrack_snapshot_free().
 * Errors: CTRACK_NO_MEMORY, CTRACK_CLOSED.
 */
CTRACK_API ctrack_status ctrack_serialize(ctrack *tracker, ctrack_snapshot **snapshot, ctrack_error *error);

/**
 * Replaces the whole progress of this read model by the entries, in one transaction.
 *
 * Duplicates count once, at the highest index. Pending waits are judged again: those that the new progress satisfies
 * settle; a part that had been reached and is taken back counts as missing again.
 *
 * Errors: as ctrack_update().
 */
CTRACK_API ctrack_status ctrack_hydrate(ctrack *tracker, const ctrack_coordinate *entries, size_t count,
                                        ctrack_error *error);

/**
 * Forgets keys, durably: they count as never seen. Unknown keys are ignored. Waits on them stay pending.
 *
 * Errors: as ctrack_update().
 */
CTRACK_API ctrack_status ctrack_forget(ctrack *tracker, const ctrack_key *keys, size_t count, ctrack_error *error);

/**
 * Looks at the file and publishes what other connections have committed. In memory it does nothing.
 *
 * When it returns CTRACK_OK, everything that was committed to the file before the call is visible and its waits are
 * settled.
 *
 * Errors: CTRACK_BUSY, CTRACK_IO, CTRACK_NO_MEMORY, CTRACK_CLOSED; CTRACK_CORRUPT when the file is damaged. A later
 *         call looks again.
 */
CTRACK_API ctrack_status ctrack_refresh(ctrack *tracker, ctrack_error *error);

/* ---------------------------------------------------------------- in the caller's own transaction */

/** SQLite's connection. */
struct sqlite3;

/**
 * Stages progress through the caller's own connection, within the caller's own transaction: the read model's rows and
 * its progress commit or roll back together, and progress is never ahead of the data nor behind it. The ctrack tables
 * may be in the connection's main database or in an attached one, which are looked at in this order, the attached ones
 * in the order of attaching; a tracker must have been opened on that file once. Of a commit that concerns two files in
 * WAL mode a crash may leave one half (https://www.sqlite.org/lang_attach.html): keep rows and progress in one file.
 *
 * Any journal mode will do, but while a tracker is open the file is in WAL mode; ctrack_open() sees to that. Outside of
 * a transaction it is one of its own. After the COMMIT, ctrack_refresh() publishes the progress at once in a tracker of
 * this process. Progress may only rise: a staged index at or below the present progress has no effect. How durable the
 * commit is, the connection's `synchronous` decides: see ctrack_host_durability(). sqlite3_last_insert_rowid() is as
 * before the call; sqlite3_changes() and sqlite3_total_changes() are not. While more than 8,192 rows of the file's log are
 * not folded each call also folds some of the oldest, in the same transaction.
 *
 * The writer lock is taken first, and waited for as the connection's busy handler or timeout says. Only a transaction
 * that has read before cannot wait for it, since SQLite does not let it: it is CTRACK_BUSY at once, and must be rolled
 * back and begun anew if others have committed since it read; the message says so. BEGIN IMMEDIATE avoids both. An
 * empty list takes no lock.
 *
 * @param[in] db          Used by the calling thread, and by no other meanwhile. A connection of another copy of SQLite
 *                        in the process is refused, as far as the VFS that has opened it tells the two apart.
 * @param[in] read_model  NULL: "default".
 * Errors: CTRACK_INVALID for a bad coordinate, for one that is longer than the connection's SQLITE_LIMIT_LENGTH lets
 *         through, for a database without our tables, or a connection of another copy of SQLite; CTRACK_SCHEMA when
 *         their schema is not this library's; CTRACK_CORRUPT when one of them is missing, a trigger, temporary ones
 *         included, hangs on it, or the log has no number left, see ctrack_update(); CTRACK_BUSY, CTRACK_READ_ONLY,
 *         CTRACK_FULL, CTRACK_IO, CTRACK_NO_MEMORY. Nothing is staged then; see SQLite on which of these roll the
 *         caller's transaction back (https://www.sqlite.org/lang_transaction.html).
 */
CTRACK_API ctrack_status ctrack_stage(struct sqlite3 *db, const char *read_model, const ctrack_coordinate *coordinates,
                                      size_t count, ctrack_error *error);

/**
 * Says how durable what is committed through a connection is. ctrack_stage() leaves that to the connection's
 * `synchronous` and to the journal mode of the database that has the ctrack tables; this reads both. Progress and rows
 * are lost together then, but a client may have been told of them.
 *
 * In WAL mode `synchronous` FULL (SQLite's default) or EXTRA is CTRACK_DURABLE_FULL, NORMAL is CTRACK_DURABLE_NORMAL. A
 * rollback journal that is deleted takes EXTRA for the former. OFF, and a journal in memory or none, is
 * CTRACK_DURABLE_NONE.
 *
 * @param[in]  db          As in ctrack_stage().
 * @param[out] durability  Set only on CTRACK_OK.
 * Errors: as ctrack_stage().
 */
CTRACK_API ctrack_status ctrack_host_durability(struct sqlite3 *db, ctrack_durability *durability, ctrack_error *error);

/**
 * Whether the read model has reached every coordinate, in the very state of the file that the caller's read transaction
 * sees; outside of a transaction, in the present one. However much is not folded yet, it takes about a millisecond, and
 * some for a hundred coordinates: trackers keep an index of it. Where none is at work, the rows that
 * ctrack_stage() and INSERTs leave are looked through one by one.
 *
 * Returns: CTRACK_OK when it has; CTRACK_PENDING when it has not (the message says what is missing).
 * Errors:  as ctrack_stage().
 */
CTRACK_API ctrack_status ctrack_satisfied_in(struct sqlite3 *db, const char *read_model,
                                             const ctrack_coordinate *coordinates, size_t count, ctrack_error *error);

/* ---------------------------------------------------------------- failing */

/**
 * Reports that the read model has failed: its projection has met an operation that it cannot process. Pending waits
 * settle as CTRACK_FAILED at once, and new waits that are not satisfied fail at once, with this message, until
 * ctrack_resume(). Without it, clients would hang on a hole that will not close. Updates go on as before. It concerns
 * this tracker, not the file.
 *
 * @param[in] message  What happened, for those who wait; UTF-8; copied.
 * Errors: CTRACK_NO_MEMORY, CTRACK_CLOSED.
 */
CTRACK_API ctrack_status ctrack_fail(ctrack *tracker, const char *message, ctrack_error *error);

/** The read model works again: new waits wait. Fine without a failure. */
CTRACK_API ctrack_status ctrack_resume(ctrack *tracker, ctrack_error *error);

/* ---------------------------------------------------------------- promises */

/** Called once when a promise has settled. */
typedef void ctrack_callback(ctrack_promise *promise, ctrack_status outcome, void *argument);

/** Blocks until the promise has settled and returns the outcome. Any number of threads may await one promise. */
CTRACK_API ctrack_status ctrack_promise_await(ctrack_promise *promise);

/** CTRACK_PENDING, or the outcome, which never changes. */
CTRACK_API ctrack_status ctrack_promise_status(const ctrack_promise *promise);

/**
 * Has a callback run when the promise settles, or soon if it has already. At most one for each promise.
 *
 * Threads: the callback runs on the tracker's service thread, never on the calling thread and never under a lock, in
 *          the order in which promises settle. It may call everything but ctrack_close(). The promise is valid while
 *          the callback runs, even if its owner has released it.
 * Errors:  CTRACK_MISUSE when a callback was set before; CTRACK_CLOSED when the promise's tracker is closed already
 *          (its outcome can be read at once); CTRACK_NO_MEMORY when the service thread cannot start. The callback does
 *          not run then.
 */
CTRACK_API ctrack_status ctrack_promise_then(ctrack_promise *promise, ctrack_callback *callback, void *argument);

/**
 * A descriptor that becomes readable when the promise settles, for poll(), epoll and event loops. It belongs to the
 * promise: do not read, write or close it. It is made by the first call, so promises that nobody polls cost none.
 *
 * Returns: the descriptor, or -1 when none can be made (errno says why) or after a fork.
 */
CTRACK_API int ctrack_promise_fd(ctrack_promise *promise);

/**
 * What is not reached, or was not at the moment the wait ended: each coordinate's `operation_index` is the progress
 * that the key had, or -1 if it had none; ctrack_snapshot_targets() gives what the wait needs. Empty for a wait that
 * ended CTRACK_OK.
 *
 * @param[out] missing  Sorted; the caller frees it with ctrack_snapshot_free().
 * Errors: CTRACK_NO_MEMORY.
 */
CTRACK_API ctrack_status ctrack_promise_missing(ctrack_promise *promise, ctrack_snapshot **missing,
                                                ctrack_error *error);

/**
 * Says how the wait ended, in one line: `timed out after 100 ms: 1 of 3 coordinates missing: doc-7:document:main needs
 * 12, has 9`. Of a pending promise it says what is missing now.
 *
 * Returns: as ctrack_promise_status(). `error` is filled unless that is CTRACK_OK.
 */
CTRACK_API ctrack_status ctrack_promise_explain(ctrack_promise *promise, ctrack_error *error);

/**
 * Names the wait, for ctrack_waits(). The text is copied; NULL takes the name away.
 *
 * Errors: CTRACK_NO_MEMORY; CTRACK_INVALID when it is longer than CTRACK_TEXT_MAX bytes or not UTF-8.
 */
CTRACK_API ctrack_status ctrack_promise_label(ctrack_promise *promise, const char *label);

/**
 * Gives the promise up. Without a callback, releasing a pending promise cancels the wait; with one, the wait runs to
 * its end and the callback still runs. NULL is fine.
 */
CTRACK_API void ctrack_promise_release(ctrack_promise *promise);

/* ---------------------------------------------------------------- abort signals */

/** A new signal, or NULL when memory has run out. */
CTRACK_API ctrack_abort_signal *ctrack_abort_signal_new(void);

/** Gives the signal: settles every pending wait that was given it as CTRACK_ABORTED. One way; again is fine. */
CTRACK_API void ctrack_abort(ctrack_abort_signal *signal);

/** Whether the signal was given; NULL never is. */
CTRACK_API bool ctrack_abort_signal_aborted(const ctrack_abort_signal *signal);

/** Gives up the handle. Waits that were given the signal go on, and can no longer be aborted by it. NULL is fine. */
CTRACK_API void ctrack_abort_signal_release(ctrack_abort_signal *signal);

/* ---------------------------------------------------------------- snapshots */

/** How many entries there are. */
CTRACK_API size_t ctrack_snapshot_count(const ctrack_snapshot *snapshot);

/** The entries, sorted by document_id, scope, branch (bytewise). They live as long as the snapshot. */
CTRACK_API const ctrack_coordinate *ctrack_snapshot_entries(const ctrack_snapshot *snapshot);

/** Of ctrack_promise_missing(): the index that the wait needs, for each entry. NULL for other snapshots. */
CTRACK_API const int64_t *ctrack_snapshot_targets(const ctrack_snapshot *snapshot);

/** Frees the snapshot. NULL is fine. */
CTRACK_API void ctrack_snapshot_free(ctrack_snapshot *snapshot);

/* ---------------------------------------------------------------- text forms */

/**
 * Reads `documentId:scope:branch`, in which `\` and `:` inside a component are written `\\` and `\:`.
 *
 * @param[in,out] text  Overwritten: the key's components point into it, and live as long.
 * @param[out]    key   Set only on CTRACK_OK.
 * Errors: CTRACK_FORMAT when there are not three components, an escape is unknown, or the text is not UTF-8.
 */
CTRACK_API ctrack_status ctrack_key_parse(char *text, ctrack_key *key, ctrack_error *error);

/**
 * Writes a key as ctrack_key_parse() reads it.
 *
 * @param[out] text  At least `size` bytes; always ends with NUL if size > 0; cut off if too small. May be NULL if size
 *                   is 0.
 * Returns: the length of the whole text without its NUL, like snprintf().
 */
CTRACK_API size_t ctrack_key_format(const ctrack_key *key, char *text, size_t size);

/* ---------------------------------------------------------------- dump and restore */

/** Writes `size` bytes somewhere. Returns 0, or an errno value, which ends the dump. This one and the next may call
 * everything but ctrack_close(). */
typedef int ctrack_write_callback(const void *data, size_t size, void *argument);
/** Reads up to `size` bytes: sets *got, 0 at the end. Returns 0, or an errno value, which ends the restore. */
typedef int ctrack_read_callback(void *data, size_t size, size_t *got, void *argument);

/**
 * Writes progress as text: newline-delimited JSON, sorted by read model, scope, branch and document id, with a header
 * line and a closing line that carries count and checksum. Equal progress of the same read models has equal dumps.
 *
 * What is written is of one moment, while updates go on. Of a file, rows are passed on as they are read: memory does
 * not grow with their number. The progress of a tracker in memory is copied first.
 *
 * @param[in] read_model  Which read model of the tracker's file; NULL: all of them. Of a tracker in memory: its own.
 * @param[in] write       Called on this thread, with pieces of up to 64 KiB.
 * Errors: CTRACK_IO when the callback fails; what was written then has no closing line and cannot be restored.
 *         CTRACK_CORRUPT when the file holds what no dump can; CTRACK_INVALID for another read model than that of a
 *         tracker in memory; else as ctrack_open().
 */
CTRACK_API ctrack_status ctrack_dump(ctrack *tracker, const char *read_model, ctrack_write_callback *write,
                                     void *argument, ctrack_error *error);

/** What ctrack_restore() does with progress that is there already. */
typedef enum ctrack_restore_mode {
    CTRACK_RESTORE_EMPTY = 0,   /**< refuse with CTRACK_MISUSE unless there is none */
    CTRACK_RESTORE_MERGE = 1,   /**< the highest index wins */
    CTRACK_RESTORE_REPLACE = 2, /**< as ctrack_hydrate() */
    CTRACK_RESTORE_CHECK = 4    /**< added to one of these: read and verify everything, change nothing */
} ctrack_restore_mode;

/**
 * Reads a dump, verifies all of it, then applies it in one transaction to the read models that its header names. Also
 * reads the array `[["documentId:scope:branch",5],…]`, for the tracker's own read model. A tracker in memory takes a
 * dump of one read model, whatever its name.
 *
 * Durable, visible and awake as ctrack_update(), and every other tracker on the file sees it, too: it reads the read
 * model anew. Until all is verified the rows are kept in a temporary file, and others are not held up; memory grows
 * with the progress that this tracker holds, and with the keys of an array, which has no order by which to tell that
 * one is repeated.
 *
 * @param[in]  read      Called on this thread.
 * @param[in]  name      What messages call the input: `name:line: reason`.
 * @param[in]  mode      A check refuses what the same restore would have refused at this moment.
 * @param[out] restored  How many entries were read; may be NULL.
 * Errors: CTRACK_FORMAT when the input is truncated, altered, unknown or out of range; CTRACK_MISUSE when there is
 *         progress already; CTRACK_INVALID when a tracker in memory is given several read models; CTRACK_IO when the
 *         callback fails; CTRACK_FULL when the temporary file has no room; else as ctrack_update(). Nothing has changed
 *         then.
 */
CTRACK_API ctrack_status ctrack_restore(ctrack *tracker, ctrack_read_callback *read, void *argument, const char *name,
                                        ctrack_restore_mode mode, size_t *restored, ctrack_error *error);

/**
 * Reads a token: `{"version":1,"createdAtUtcIso":"…","coordinates":[{"documentId":…,"scope":…,"branch":…,
 * "operationIndex":…}]}`. Members it does not know are ignored.
 *
 * @param[in]  json         UTF-8, `length` bytes.
 * @param[out] coordinates  The token's coordinates, sorted, each key once at its highest index; the caller frees them
 *                          with ctrack_snapshot_free().
 * Errors: CTRACK_FORMAT with the place and the reason.
 */
CTRACK_API ctrack_status ctrack_token_parse(const char *json, size_t length, ctrack_snapshot **coordinates,
                                            ctrack_error *error);

/**
 * Writes coordinates as a token, with the present time.
 *
 * @param[out] text  At least `size` bytes; always ends with NUL if size > 0; cut off if too small. May be NULL if size
 *                   is 0.
 * Returns: the length of the whole text without its NUL, like snprintf().
 */
CTRACK_API size_t ctrack_token_format(const ctrack_coordinate *coordinates, size_t count, char *text, size_t size);

/* ---------------------------------------------------------------- copies and checks of the file */

/**
 * How far a long call has got: `done` of `total`, in a unit of the call's own. Called often, on the calling thread,
 * also while `done` stands still. Not 0 ends the call with CTRACK_ABORTED. It cannot call with the same tracker:
 * whatever it calls is CTRACK_MISUSE.
 */
typedef int ctrack_progress_callback(uint64_t done, uint64_t total, void *argument);

/** What ctrack_export() does with a file that is there already. */
typedef enum ctrack_export_mode {
    CTRACK_EXPORT_NEW = 0,    /**< refuse with CTRACK_MISUSE */
    CTRACK_EXPORT_REPLACE = 1 /**< replace it at the end, in one step */
} ctrack_export_mode;

/**
 * Makes a tracker file of its own from this tracker: all read models of its file as of one moment, while others go on
 * writing to it. Of a tracker in memory: its own progress. Other tables of the file's database do not come along,
 * nor what is left in it of rows that were deleted: unless the file has been the tracker's alone ever since it was made
 * (and SQLite's VACUUM and backup have not been used on it, after which that cannot be told), the copy is written row by
 * row, which takes several times as long.
 *
 * The new file is one file, which can be moved, archived, and read where nothing can be written; opened for writing, it
 * becomes a live tracker's file (with SQLite's write-ahead log beside it). It has the permissions of the tracker's file
 * (of a tracker in memory: 0600), or of the old file that it replaces; and its owner and group, as far as the process
 * may give it away, which root may. It appears under its name when it is complete, checked and on the disk; on an error
 * there is nothing new, and an old file is as it was. (One exception: when only its name cannot be forced to the disk,
 * CTRACK_IO, it is there, and may be gone after a power cut.)
 *
 * Exports that were killed may leave files called `path.ctrack-` and six letters; the next one to the same path removes
 * them, unless somebody exports into the directory at that moment.
 *
 * The copy is checked for structure, schema and the state of the log; ctrack_check() checks every row. What has changed
 * since the call began may be in it or not, but never in part.
 *
 * @param[in] path      As ctrack_open() takes it. The old file, if it is to be replaced, must not be open anywhere.
 * @param[in] progress  May be NULL.
 * Errors: CTRACK_INVALID for a bad path, a symbolic link, or the tracker's own file; CTRACK_MISUSE when the file
 *         exists, or when a file that SQLite keeps beside a database (`-wal`, `-shm`, `-journal`) is left over from
 *         another one of that name; CTRACK_BUSY when the old file is in use; CTRACK_ABORTED; CTRACK_CORRUPT when the
 *         tracker's file is damaged; CTRACK_FULL, CTRACK_IO, CTRACK_READ_ONLY, CTRACK_NO_MEMORY, CTRACK_CLOSED.
 */
CTRACK_API ctrack_status ctrack_export(ctrack *tracker, const char *path, ctrack_export_mode mode,
                                       ctrack_progress_callback *progress, void *argument, ctrack_error *error);

/**
 * Folds all of the file's log, of every read model, and gives back what SQLite's write-ahead log takes of the disk, unless
 * somebody reads in it. Done step by step: others go on meanwhile, and what they add after the call began may be folded
 * or not. In memory it does nothing.
 *
 * It is seldom needed, see "Who folds".
 *
 * @param[in] progress  May be NULL; also called while nothing of the file is held.
 * Errors: CTRACK_ABORTED when the callback has ended it, or others take progress back again and again; what was folded
 *         stays so, and a later call goes on. CTRACK_READ_ONLY, CTRACK_BUSY, CTRACK_FULL, CTRACK_IO, CTRACK_CORRUPT,
 *         CTRACK_NO_MEMORY, CTRACK_CLOSED.
 */
CTRACK_API ctrack_status ctrack_fold(ctrack *tracker, ctrack_progress_callback *progress, void *argument,
                                     ctrack_error *error);

/** In ctrack_finding.row: it is not about one row. */
#define CTRACK_NO_ROW INT64_MIN
/** So many findings of one rule are listed, and then one that says that there are more. */
#define CTRACK_FINDINGS_MAX 100

/** Something that is wrong with a file. Lives while ctrack_finding_callback() runs; each text is one line. */
typedef struct ctrack_finding {
    const char *rule;   /**< which rule is broken, for programs: "latest-index"; does not change between versions */
    const char *table;  /**< "ctrack_latest"; "the file" or "the schema" where it is not about one table */
    int64_t row;        /**< the row's id (rowid), or CTRACK_NO_ROW */
    const char *what;   /**< what is wrong: "operation_index is -5" */
    const char *means;  /**< what that leads to */
    const char *advice; /**< what to do */
    /** Nothing is wrong: a table could not be checked in full, since it needs a collation or a function that its own
     * program has, or that SQLite does not vouch for. `rule` is "not-checked", `table` its name, `what` the reason. */
    bool unchecked;
} ctrack_finding;

/** Receives a finding. Not 0 ends the check with CTRACK_ABORTED. */
typedef int ctrack_finding_callback(const ctrack_finding *finding, void *argument);

/**
 * Checks a tracker's file, as of one moment, while others go on using it: SQLite's integrity check of the whole
 * database, the schema, every row's values, and what holds between the rows: every key that is named is known, the log
 * has no holes, and what is folded is in the table. Nothing is written. Where SQLite cannot check some other table, it
 * checks table by table, and does not look at pages that belong to none.
 *
 * @param[in] busy_timeout_ms  As in ctrack_options. A file in WAL mode is hardly ever waited for.
 * @param[in] found            Called for each finding, with `argument`; may be NULL.
 * @param[in] progress         The same while the check goes on; may be NULL.
 * Returns: CTRACK_OK when it is sound, which is when there are no findings, but for those that are `unchecked`;
 *          CTRACK_CORRUPT when there are others (the message says how many), or when it is no database or has no tracker
 *          in it (then without any).
 * Errors:  CTRACK_SCHEMA when it is newer than the library; CTRACK_ABORTED; CTRACK_INVALID for a bad path, or a file with
 *          two names; CTRACK_BUSY, CTRACK_IO, CTRACK_NO_MEMORY: it could not be checked to the end.
 */
CTRACK_API ctrack_status ctrack_check(const char *path, int64_t busy_timeout_ms, ctrack_finding_callback *found,
                                      ctrack_progress_callback *progress, void *argument, ctrack_error *error);

/* ---------------------------------------------------------------- what goes on */

/** Buckets of a histogram: bucket 0 counts 0 and 1, bucket i counts 2^i … 2^(i+1) - 1, the last one all above. */
#define CTRACK_HISTOGRAM 32

/** Counts since the tracker was opened. Set `size` to sizeof(ctrack_stats), so that the struct can grow. */
typedef struct ctrack_stats {
    size_t size;            /**< sizeof(ctrack_stats) of the caller */
    uint64_t keys;          /**< that have progress now */
    uint64_t waits_pending; /**< now */
    /** By outcome: [CTRACK_OK], [CTRACK_TIMED_OUT], …; all failures in [CTRACK_FAILED]. */
    uint64_t waits_settled[CTRACK_FAILED + 1];
    uint64_t wait_microseconds[CTRACK_HISTOGRAM]; /**< how long settled waits were pending */
    uint64_t updates;                             /**< calls of ctrack_update() that succeeded */
    uint64_t commits;                             /**< transactions that updates took */
    uint64_t group_sizes[CTRACK_HISTOGRAM];       /**< updates in each of these transactions */
    uint64_t coordinates_written;                 /**< that raised a key's progress */
    uint64_t coordinates_skipped;                 /**< that did not: duplicates, and those at or below the progress */
    uint64_t log_backlog;                         /**< rows of the file's log that are not folded yet */
    uint64_t wal_pages;                           /**< in SQLite's write-ahead log, whoever has written them */
    int sqlite_version;                           /**< such as 3040001, that of the process */
    bool sqlite_exposed; /**< the engine has SQLite's WAL-reset bug; ctrack avoids what triggers it */
    uint64_t file_bytes; /**< size of the file, now; 0 in memory, as the next two */
    uint64_t wal_bytes;  /**< size of its write-ahead log, which is kept for reuse: more than what is in it */
    int page_bytes;      /**< size of a page of either */
} ctrack_stats;

/**
 * Reads the counts. Exactly `size` bytes are written: what the caller's struct lacks is left out, what the library does
 * not know of is 0.
 *
 * Errors: CTRACK_INVALID when `size` cannot be a sizeof(ctrack_stats).
 */
CTRACK_API ctrack_status ctrack_get_stats(ctrack *tracker, ctrack_stats *stats, ctrack_error *error);

/** The read models of a file, as of one moment. */
typedef struct ctrack_read_model_list ctrack_read_model_list;

/** One read model. */
typedef struct ctrack_read_model_info {
    const char *name;   /**< as in ctrack_options.read_model */
    uint64_t keys;      /**< that have progress */
    int64_t updated_at; /**< when one of them last advanced, in milliseconds since 1970, UTC; -1: not known, or none */
} ctrack_read_model_info;

/**
 * Lists the read models of the tracker's file, by name (bytewise), those whose progress was all forgotten included. Of
 * a tracker in memory: its own. All of the file's progress is read for it, through a connection of its own, so nobody
 * is held up.
 *
 * @param[out] list  The caller frees it with ctrack_read_model_list_free().
 * Errors: CTRACK_IO, CTRACK_CORRUPT, CTRACK_BUSY, CTRACK_NO_MEMORY.
 */
CTRACK_API ctrack_status ctrack_read_models(ctrack *tracker, ctrack_read_model_list **list, ctrack_error *error);
/** How many read models there are. */
CTRACK_API size_t ctrack_read_model_list_count(const ctrack_read_model_list *list);
/** The read model at a position below the count; it lives as long as the list. */
CTRACK_API const ctrack_read_model_info *ctrack_read_model_list_at(const ctrack_read_model_list *list, size_t position);
/** Frees the list. NULL is fine. */
CTRACK_API void ctrack_read_model_list_free(ctrack_read_model_list *list);

/**
 * Says how far the schema of a file is, without touching the file: version 0 has nothing of ctrack's, `newest` is what
 * ctrack_open() brings a file to.
 *
 * @param[in] busy_timeout_ms  As in ctrack_options.
 * Errors: CTRACK_INVALID for a bad path, a file with two names, or a database in UTF-16; CTRACK_IO when the file
 *         cannot be opened; CTRACK_CORRUPT when it is damaged, not a database, or its ctrack objects were altered;
 *         CTRACK_SCHEMA when it is newer than the library; CTRACK_BUSY, CTRACK_NO_MEMORY.
 */
CTRACK_API ctrack_status ctrack_schema(const char *path, int64_t busy_timeout_ms, int *version, int *newest,
                                       ctrack_error *error);

/** Pending waits, as of one moment. */
typedef struct ctrack_wait_list ctrack_wait_list;

/** One pending wait. */
typedef struct ctrack_wait_info {
    const char *label;                    /**< ctrack_promise_label(), or NULL */
    int64_t age_ms;                       /**< since it began to wait */
    int64_t left_ms;                      /**< until it times out; CTRACK_FOREVER: never */
    size_t count;                         /**< coordinates */
    size_t missing;                       /**< of them, those that are not reached */
    const ctrack_coordinate *coordinates; /**< sorted; operation_index is the progress of the key, -1: none */
    const int64_t *targets;               /**< the index that is waited for, for each */
} ctrack_wait_info;

/**
 * Lists who is waiting, for what, since when; the oldest first.
 *
 * @param[in]  most  At most this many; SIZE_MAX: all.
 * @param[out] list  The caller frees it with ctrack_wait_list_free().
 * Errors: CTRACK_NO_MEMORY, CTRACK_CLOSED.
 */
CTRACK_API ctrack_status ctrack_waits(ctrack *tracker, size_t most, ctrack_wait_list **list, ctrack_error *error);
/** How many waits there are. */
CTRACK_API size_t ctrack_wait_list_count(const ctrack_wait_list *list);
/** The wait at a position below the count; it lives as long as the list. */
CTRACK_API const ctrack_wait_info *ctrack_wait_list_at(const ctrack_wait_list *list, size_t position);
/** Frees the list. NULL is fine. */
CTRACK_API void ctrack_wait_list_free(ctrack_wait_list *list);

/* ---------------------------------------------------------------- odds and ends */

/** The name of a status: "CTRACK_TIMED_OUT"; "CTRACK_UNKNOWN" for a number that is none. */
CTRACK_API const char *ctrack_status_name(ctrack_status status);

/** The version of the library, such as "0.1.0". */
CTRACK_API const char *ctrack_version(void);

#ifdef __cplusplus
}
#endif
#endif
