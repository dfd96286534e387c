/* SPDX-License-Identifier: MIT */
#ifndef CT_STORE_H
#define CT_STORE_H

/**
 * The file: one SQLite connection and the statements on it. What the tables mean stands in
 * migrations/0001_progress.sql. The holder of the turn (turn.h) is the only one who touches a store.
 *
 * The connection is our own, so it is set up to trust nothing in the file: no triggers, no views, no extensions, no
 * foreign keys; the schema of our tables is compared with what the migrations make (migrate.h), and every value read is
 * checked.
 *
 * Functions in the schema need no switch. Those in a CHECK, an index or a generated column run when a row of that table
 * is written or verified; of the tables that we write, the schema is ours and calls none. A stranger's table may call
 * what it likes: we never touch it. (TRUSTED_SCHEMA=0 would have SQLite judge all tables when it reads the schema: 3.40
 * then refuses a file in which any table uses the JSON functions, and a tracker at work once its host makes such a one.
 * Only a check, which looks into other tables, turns it on when the schema has been read, see check.c.)
 *
 * Checkpoints. SQLite 3.7.0 to 3.51.2 can lose a committed transaction when one connection runs a PASSIVE checkpoint
 * while another commits and starts the write-ahead log over (https://www.sqlite.org/wal.html, "the WAL-reset bug";
 * fixed in 3.51.3, 3.50.7 and 3.44.6). So automatic checkpoints, which are passive, are off. On an exposed version we
 * hold the writer lock while a second connection of ours checkpoints: nobody can commit meanwhile. SQLite's FULL mode
 * takes that lock too, but falls back to PASSIVE if it does not get it, and with the lock in its hands it waits for
 * readers, of which an export is a long one. What a reader still needs is left for the next time, which comes when the
 * log has grown again. The log is not truncated at a checkpoint: writing into space that exists already makes an fsync
 * cheaper (wal.h).
 */
#include <sqlite3.h>
#include <stdatomic.h>

#include "ask.h"
#include "ctrack.h"
#include "identity.h"
#include "runs.h"

typedef enum ct_statement {
    CT_DATA_VERSION,
    CT_BEGIN,
    CT_BEGIN_IMMEDIATE,
    CT_COMMIT,
    CT_ROLLBACK,
    CT_LOG_RANGE,
    CT_MARK,
    CT_SCHEMA_VERSION,
    CT_COUNT_IF_ALONE,
    CT_READ_LATEST,
    CT_READ_LOG,
    CT_READ_COORDINATE,
    CT_READ_KEYSPACE,
    CT_ADD_KEYSPACE,
    CT_FIND_KEYSPACE,
    CT_APPEND_KNOWN,
    CT_APPEND_KNOWN_MANY,
    CT_APPEND_NEW,
    CT_APPEND_NEW_MANY,
    CT_SCAN_LOG,
    CT_FOLD_FIND_COORDINATE,
    CT_FOLD_LAST_COORDINATE,
    CT_FOLD_ADD_COORDINATE,
    CT_FOLD_ADD_COORDINATE_MANY,
    CT_FOLD_RAISE,
    CT_FOLD_RAISE_MANY,
    CT_FOLD_SET,
    CT_FOLD_REWOUND,
    CT_TOUCH,
    CT_FOLD_TRIM,
    CT_CLEAR_READ_MODEL,
    CT_FORGET_LATEST,
    CT_APPEND_REWIND,
    CT_ANY_KEYSPACE,
    CT_ANY_PROGRESS,
    CT_RUN_STATE,
    CT_RUN_FIND,
    CT_RUN_DELETE_PARTS,
    CT_RUN_DELETE,
    CT_RUN_LAST_PART,
    CT_RUN_ADD_PART,
    CT_RUN_ADD,
    CT_COUNT_MODELS,
    CT_DUMP_KEYSPACES,
    CT_DUMP_FOLDED,
    CT_DUMP_LOG,
    CT_STATEMENTS
} ct_statement;

/** The rows that a statement ..._MANY takes at once: that halves the cost of a row. The last few go one by one. */
#define CT_MANY 64

typedef struct ct_store {
    sqlite3 *db;
    sqlite3_stmt *statements[CT_STATEMENTS]; /* prepared when first needed */
    char *read_model;
    bool read_only;
    bool any_schema;      /* it was opened to be looked at: a schema that is old, or missing, is fine */
    int schema;           /* how many migrations the file had when it was opened */
    ct_identity identity; /* which file this is */
    bool moved;           /* it was replaced before it was ready: to be opened anew */
    int64_t busy_timeout_ms;
    int64_t busy_until;   /* while a lock is tried for */
    bool one_try;         /* SQLite's busy handler is not to wait */
    void (*idle)(void *); /* called while ct_store_begin() waits, when nothing is under way; NULL: nobody wants that */
    void *idle_argument;
    bool exposed;         /* to the WAL-reset bug */
    bool broken;          /* a commit's outcome is unknown: nothing is written any more */
    atomic_bool loaded;   /* progress has been read once; set by the holder of the turn */
    int64_t data_version; /* SQLite's, when we last read; changes when another connection commits; -1: never read */
    _Atomic(int64_t)
        schema_version;        /* SQLite's, of the schema that was checked and read by; it rises with each change */
    _Atomic(int64_t) seen_seq; /* the newest row of the log that is published */
    uint64_t seen_mark;        /* what that row says, see mark.h */
    int64_t folded_seq;        /* as last read */
    size_t folded_keys;        /* keys that there were at our last fold; before it, when progress was read first */
    int64_t appended_seq;      /* the newest row that our last transaction appended; 0: none */
    uint64_t appended_mark;    /* what that row says */
    ct_runs runs;              /* the rows behind the newest long run */
    ct_asker asker;            /* answers questions while progress has not been read */
    int64_t page_bytes;        /* size of a page */
    /* The write-ahead log, see wal.h. Its pages are as last seen; all are 0 once it has been started over. */
    int wal_pages;
    int commit_pages;   /* of these, what our last commit has added */
    int moved_pages;    /* of these, those that are in the database */
    int tried_pages;    /* so many it had when it was last tried to move them */
    int wal_high;       /* so many it had at most since the file was last cut */
    int64_t asked_upto; /* the log's bytes, from the use of which on sizes and free space are asked for anew */
    bool has_room;      /* the log had room when that was last asked */
    int64_t space;      /* the bytes that were free, the log's included, when that was last asked; 0: never */
} ct_store;

/**
 * Opens the file, creating an empty one if there is none, and checks its schema. Nothing is written to it. `options` is
 * complete.
 */
ctrack_status ct_store_open(const char *path, const ctrack_options *options, ct_store **store, ctrack_error *error);
/** Whether it has all the tables that this library knows, so that progress can be read. */
bool ct_store_is_current(const ct_store *store);
/** Makes it what is to be written to: in write-ahead mode, with the current schema. Nothing if it is read-only. */
ctrack_status ct_store_make_ready(ct_store *store, ctrack_durability durability, ctrack_error *error);
void ct_store_close(ct_store *store);
/** Closes a file that is not to be used, and leaves it and its write-ahead log as they are. */
void ct_store_refuse(ct_store *store);

/** How many migrations a file has, 0 if it has nothing of ours; it is not touched. Errors: as ct_migrate_check(). */
ctrack_status ct_store_schema(const char *path, int64_t busy_timeout_ms, int *version, ctrack_error *error);

/** How long to wait for a lock, in milliseconds that SQLite can count; negative: the default. */
int ct_store_busy_timeout(int64_t given_ms);

/** The file's absolute name. */
const char *ct_store_path(const ct_store *store);
/** Opens the same file once more, for reading; CTRACK_IO when its name stands for another one by now. */
ctrack_status ct_store_open_second(const ct_store *store, ct_store **second, ctrack_error *error);
/** CTRACK_IO when the file has been replaced, removed or truncated since it was opened, or its log removed. Any thread.
 */
ctrack_status ct_store_check_file(const ct_store *store, ctrack_error *error);
/** What an error that came of looking at the file means for those who wait; the error is replaced where
 * ct_store_check_file() knows better. Any thread. */
ct_trouble ct_store_trouble(const ct_store *store, ctrack_error *error);
/** Returns `status`; if it is an error, and ct_store_check_file() knows better why, its answer. Any thread. */
ctrack_status ct_store_explain(const ct_store *store, ctrack_status status, ctrack_error *error);
/** How far the log is folded, and its first and last row; of an empty log 0 and `folded`. */
ctrack_status ct_store_log_range(ct_store *store, int64_t *folded, int64_t *first, int64_t *last, ctrack_error *error);

/** The statement, prepared. It is reset and unbound when its user is done with it. */
ctrack_status ct_store_statement(ct_store *store, ct_statement which, sqlite3_stmt **statement, ctrack_error *error);
/** Runs a statement that has no parameters and no rows. */
ctrack_status ct_store_run(ct_store *store, ct_statement which, const char *doing, ctrack_error *error);

/** SQLite's version of the schema in the file. It rises with each change of the schema, and whenever SQLite's backup API
 * puts another state into the file's place. */
ctrack_status ct_store_schema_version(ct_store *store, int64_t *version, ctrack_error *error);
/** In a transaction: whether the schema is still ours, as ct_migrate_check(), and is current. */
ctrack_status ct_store_check_schema(ct_store *store, ctrack_error *error);
/** What our last transaction has appended is published now. */
void ct_store_saw_own(ct_store *store);
/** SQLite's data version, and whether another connection has committed since the version that the store remembers. */
ctrack_status ct_store_look(ct_store *store, int64_t *version, bool *changed, ctrack_error *error);

/**
 * Begins a transaction that writes. Waits for the writer lock as long as the busy timeout says; while it does, others may
 * use the store, see ct_store.idle. CTRACK_READ_ONLY; CTRACK_BUSY; CTRACK_IO once the store is broken.
 */
ctrack_status ct_store_begin(ct_store *store, ctrack_error *error);
/** Commits; if that fails, nothing of the transaction remains, unless the store is broken by it. */
ctrack_status ct_store_commit(ct_store *store, ctrack_error *error);
/** Ends a transaction of either kind without effect. */
void ct_store_rollback(ct_store *store);

/** The id of (scope, branch) of a read model, added if there is none. In a transaction that writes. */
ctrack_status ct_store_keyspace(ct_store *store, const char *read_model, const char *scope, const char *branch,
                                int64_t *id, ctrack_error *error);

/** A key's progress as it is in the file now, folded or not; -1: none. */
ctrack_status ct_store_look_up(ct_store *store, const ctrack_key *key, int64_t *index, ctrack_error *error);

/** One row of the log or of what is folded, as checked. The text lives until the statement moves on. */
typedef struct ct_row {
    int64_t seq, coordinate_id, keyspace_id; /* coordinate_id 0: the dictionary lacks the key */
    const char *document_id;                 /* NULL: all of the keyspace's read model is replaced */
    size_t document_length;
    int64_t operation_index; /* -1: forgotten */
    int64_t updated_at;      /* of CT_SCAN_LOG */
} ct_row;

/** Reads and checks the row that CT_READ_LATEST, CT_READ_LOG or CT_SCAN_LOG stands on. */
ctrack_status ct_store_row(sqlite3_stmt *statement, ct_row *row, ctrack_error *error);
/** CTRACK_CORRUPT unless a row of CT_SCAN_LOG is progress of some key, as all are that are not folded yet. */
ctrack_status ct_store_check_unfolded(const ct_row *row, ctrack_error *error);
/** Reads a text column; CTRACK_CORRUPT if it is not text that may be in a key. */
ctrack_status ct_store_text(sqlite3_stmt *statement, int column, const char **text, size_t *length,
                            ctrack_error *error);

/** Moves the write-ahead log into the database, as far as readers let it. */
ctrack_status ct_store_checkpoint(ct_store *store, ctrack_error *error);
/** The same where the disk is full: first cuts off the room that the log has. */
ctrack_status ct_store_reclaim(ct_store *store, ctrack_error *error);
/** Starts a log over that is long, or with `wholly` any, and gives its space back, unless somebody needs what is in it. */
ctrack_status ct_store_shrink(ct_store *store, bool wholly, ctrack_error *error);

/** Sizes in bytes: of the file, and of its write-ahead log. */
void ct_store_sizes(const ct_store *store, uint64_t *file, uint64_t *wal);

/** Has a connection trust nothing in its file, see above. It cannot attach another one. Text is limited to 64 MiB. */
void ct_store_distrust(sqlite3 *db);

/** Whether a version of SQLite has the WAL-reset bug. */
bool ct_store_version_exposed(int version);

#endif
