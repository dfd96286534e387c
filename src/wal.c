/* SPDX-License-Identifier: MIT */
#include "wal.h"

#include <string.h>
#include <sys/statvfs.h>

#include "error.h"
#include "sql.h"

/* Of a write-ahead log, and of each page in it. */
#define LOG_HEADER_BYTES 32
#define FRAME_HEADER_BYTES 24

/* 32 MiB: pages that are written again and again go to the database once for many commits. */
#define DUE_PAGES 8192
/* A log that was longer than this is cut. */
#define LARGE_BYTES (INT64_C(64) * 1024 * 1024)

#define ROOM_PIECE 65536 /* SQLite's xWrite takes less than 128 KiB at once */
#define ROOM_MOST (1024 * 1024)
#define SMALL_COMMIT_PAGES 8

/* Below this space, which is what is free and what the log has, everything is scaled down. */
#define SPACE_BYTES (INT64_C(256) * 1024 * 1024)
/* What stays free beside what the database needs: for the log's index and for commits that are larger than expected. */
#define RESERVE_PART 16
#define RESERVE_MOST (INT64_C(4) * 1024 * 1024)

static int64_t at_most(int64_t number, int64_t limit)
{
    return number < limit ? number : limit;
}

static int64_t at_least(int64_t number, int64_t limit)
{
    return number > limit ? number : limit;
}

/* ---------------------------------------------------------------- its length */

/* The log's index: two copies of a header, of which a writer changes one after the other; then how much was moved. */
enum { COPY_WORDS = 12, FRAMES = 4, PAGES = 5, MOVED = 24 };
#define LOOKS 100

typedef struct state {
    int64_t frames; /* up to the last commit */
    int64_t moved;  /* of these, how many are in the database */
    int64_t pages;  /* of the database, as of the last commit */
} state;

/* Both copies are the same when no writer is at it. */
static bool read_copies(const volatile uint32_t *index, state *s)
{
    uint32_t copies[2][COPY_WORDS];
    for (int i = 0; i < 2 * COPY_WORDS; i++) {
        copies[i / COPY_WORDS][i % COPY_WORDS] = index[i];
    }
    *s = (state){.frames = copies[0][FRAMES], .moved = index[MOVED], .pages = copies[0][PAGES]};
    return memcmp(copies[0], copies[1], sizeof copies[0]) == 0;
}

static bool look(const ct_store *store, state *s)
{
    const volatile uint32_t *index = ct_identity_index(store->db);
    if (index == NULL) {
        return false; /* there is no log */
    }
    for (int i = 0; i < LOOKS; i++) { /* GCOVR_EXCL_BR_LINE: a writer is at it for some instructions */
        if (read_copies(index, s)) {  /* GCOVR_EXCL_BR_LINE */
            s->moved = at_most(s->moved, s->frames);
            return true;
        }
    }
    return false; /* GCOVR_EXCL_LINE */
}

void ct_wal_measure(ct_store *store)
{
    state s;
    if (look(store, &s)) {
        ct_wal_note(store, (int)s.frames);
        store->moved_pages = (int)s.moved;
    }
}

void ct_wal_note(ct_store *store, int pages)
{
    if (pages < store->wal_pages) { /* it has been started over */
        store->tried_pages = store->moved_pages = 0;
        store->asked_upto = 0;
    }
    store->wal_pages = pages;
    store->wal_high = pages > store->wal_high ? pages : store->wal_high;
}

static int64_t frame_bytes(const ct_store *store)
{
    return FRAME_HEADER_BYTES + store->page_bytes;
}

static int64_t bytes_of(const ct_store *store, int64_t frames)
{
    return LOG_HEADER_BYTES + frames * frame_bytes(store);
}

/* ---------------------------------------------------------------- how long it may be */

bool ct_wal_is_scarce(const ct_store *store)
{
    return store->space > 0 && store->space < SPACE_BYTES;
}

int64_t ct_wal_scaled(const ct_store *store, int64_t usual, int64_t least)
{
    if (!ct_wal_is_scarce(store)) {
        return usual;
    }
    return at_least(usual * (store->space / 4096) / (SPACE_BYTES / 4096), least);
}

bool ct_wal_is_due(const ct_store *store)
{
    int done = store->tried_pages > store->moved_pages ? store->tried_pages : store->moved_pages;
    return store->wal_pages - done >= ct_wal_scaled(store, DUE_PAGES, 32);
}

bool ct_wal_is_large(const ct_store *store)
{
    return bytes_of(store, store->wal_high) > ct_wal_scaled(store, LARGE_BYTES, ROOM_MOST);
}

bool ct_wal_is_short(const ct_store *store)
{
    return bytes_of(store, store->wal_pages) <= ct_wal_scaled(store, LARGE_BYTES, ROOM_MOST);
}

/* ---------------------------------------------------------------- its room */

void ct_wal_cut(ct_store *store)
{
    state s;
    sqlite3_int64 size = 0;
    sqlite3_file *log = ct_identity_log(store->db);
    /* GCOVR_EXCL_START: what the system refuses vfs_faults refuses, too */
    if (log == NULL || !look(store, &s) || log->pMethods->xFileSize(log, &size) != SQLITE_OK ||
        (size > bytes_of(store, s.frames) && log->pMethods->xTruncate(log, bytes_of(store, s.frames)) != SQLITE_OK)) {
        return;
    }
    /* GCOVR_EXCL_STOP */
    store->wal_high = (int)s.frames;
    store->asked_upto = 0;
}

/* What the file system has free, and how large the files are. */
typedef struct figures {
    state log;
    sqlite3_int64 log_bytes, database_bytes;
    int64_t free;
    int64_t used;   /* of the log's bytes; the next commit starts over a log that has been moved */
    int64_t growth; /* of the database, and of the log by what this transaction has added to the database */
} figures;

static bool ask(ct_store *store, sqlite3_file *log, figures *f)
{
    struct statvfs disk;
    sqlite3_file *database = NULL;
    int64_t pages = 0;
    sqlite3_file_control(store->db, "main", SQLITE_FCNTL_FILE_POINTER, &database);
    /* GCOVR_EXCL_START: what the system refuses vfs_faults refuses, too */
    if (!look(store, &f->log) || log->pMethods->xFileSize(log, &f->log_bytes) != SQLITE_OK ||
        database->pMethods->xFileSize(database, &f->database_bytes) != SQLITE_OK ||
        statvfs(ct_store_path(store), &disk) != 0 || disk.f_blocks == 0 ||
        ct_sql_integer(store->db, "PRAGMA main.page_count", &pages, NULL) != CTRACK_OK) {
        return false;
    }
    /* GCOVR_EXCL_STOP */
    bool moved = f->log.moved == f->log.frames;
    int64_t before = f->log.frames > 0 ? f->log.pages : f->database_bytes / store->page_bytes;
    f->used = bytes_of(store, moved ? 0 : f->log.frames);
    uint64_t free_bytes = (uint64_t)disk.f_bavail * disk.f_frsize;
    f->free = free_bytes < INT64_MAX / 2 ? (int64_t)free_bytes : INT64_MAX / 2; /* GCOVR_EXCL_BR_LINE: no such disk */
    f->growth =
        at_least(pages * store->page_bytes - f->database_bytes, 0) + at_least(pages - before, 0) * frame_bytes(store);
    store->space = f->free + f->log_bytes;
    return true;
}

/* Fills the log with zeros up to an end. Where there is no room to be had, the commit finds out by itself. */
static void fill(sqlite3_file *log, sqlite3_int64 *size, int64_t end)
{
    static unsigned char zeros[ROOM_PIECE]; /* not const: so the library does not contain them */
    while (*size < end &&
           log->pMethods->xWrite(log, zeros, ROOM_PIECE, *size) == SQLITE_OK) { /* GCOVR_EXCL_BR_LINE: vfs_faults */
        *size += ROOM_PIECE;
    }
}

ctrack_status ct_wal_prepare(ct_store *store, ctrack_error *error)
{
    figures f;
    int64_t ahead = SMALL_COMMIT_PAGES * frame_bytes(store);
    bool small = store->commit_pages <= SMALL_COMMIT_PAGES;
    sqlite3_file *log = ct_identity_log(store->db);
    bool known = bytes_of(store, store->wal_pages) + ahead <= store->asked_upto && (store->has_room || !small);
    if (known || log == NULL || !ask(store, log, &f)) { /* GCOVR_EXCL_BR_LINE: there is a log, and answers */
        return CTRACK_OK;
    }
    int64_t reserve = at_most(store->space / RESERVE_PART, RESERVE_MOST);
    int64_t step = ct_wal_scaled(store, ROOM_MOST, ROOM_PIECE), spare = f.free - f.growth - reserve;
    if (spare + at_least(f.log_bytes - f.used, 0) < step) {
        return ct_error_set(error, CTRACK_FULL, "cannot commit: the disk has no space for what the log holds");
    }
    if (small && f.log_bytes >= f.used && f.log_bytes < f.used + ahead) { /* below that: somebody has cut it off */
        fill(log, &f.log_bytes, f.used + at_most(at_most(f.used, ROOM_MOST), spare / 2));
    }
    store->has_room = f.log_bytes >= f.used + ahead;
    store->asked_upto = store->has_room ? at_most(f.log_bytes, f.used + step) : f.used + step;
    return CTRACK_OK;
}
