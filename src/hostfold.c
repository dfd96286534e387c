/* SPDX-License-Identifier: MIT */
#include "hostfold.h"

#include "error.h"
#include "sql.h"

/* The log stays about as long as that. What no run covers is gone through row by row by whoever asks for a key. */
#define LONG_ROWS 8192
/* Folded at once, at least. */
#define PIECE_ROWS 2048
/* Folded rows that stay in the log for trackers that are behind, as fold.c has it. */
#define KEPT_ROWS 65536

/* Each takes the rows behind ?1 up to ?2. A key that the dictionary lacks is damage: SQLite would give NULL an id, 'lost' is
 * none. */
static const char *const steps[] = {
    "INSERT INTO \"%w\".ctrack_coordinate (keyspace_id, document_id) SELECT DISTINCT a.keyspace_id, a.document_id "
    "FROM \"%w\".ctrack_advance AS a WHERE a.seq > ?1 AND a.seq <= ?2 AND a.document_id IS NOT NULL AND NOT EXISTS "
    "(SELECT 1 FROM \"%w\".ctrack_coordinate AS c WHERE c.keyspace_id = a.keyspace_id AND c.document_id = "
    "a.document_id)",
    "INSERT INTO \"%w\".ctrack_latest (coordinate_id, operation_index, updated_at) "
    "SELECT coalesce(a.coordinate_id, c.id, 'lost'), max(a.operation_index), a.updated_at FROM \"%w\".ctrack_advance "
    "AS a "
    "LEFT JOIN \"%w\".ctrack_coordinate AS c ON c.keyspace_id = a.keyspace_id AND c.document_id = a.document_id "
    "WHERE a.seq > ?1 AND a.seq <= ?2 GROUP BY 1 ON CONFLICT (coordinate_id) DO UPDATE SET "
    "operation_index = excluded.operation_index, updated_at = excluded.updated_at "
    "WHERE excluded.operation_index > operation_index",
    "UPDATE \"%w\".ctrack_fold SET folded_seq = ?2 WHERE folded_seq = ?1",
};
enum { STEPS = sizeof steps / sizeof steps[0] };

/* The front of the log goes, up to ?2, but not more than ?1 rows of it. */
static const char trim[] = "DELETE FROM \"%w\".ctrack_advance WHERE seq <= min(?2, "
                           "(SELECT min(seq) FROM \"%w\".ctrack_advance) + ?1 - 1)";

static ctrack_status run(const ct_hostlog *log, const char *format, int64_t first, int64_t second, ctrack_error *error)
{
    sqlite3_stmt *statement = NULL;
    char *sql = sqlite3_mprintf(format, log->schema, log->schema, log->schema);
    if (sql == NULL) { /* GCOVR_EXCL_BR_LINE: api/fold_test has the memory; what it is not given others fold */
        return ct_error_no_memory(error); /* GCOVR_EXCL_LINE */
    }
    ctrack_status status = ct_sql_prepare(log->db, sql, &statement, error);
    sqlite3_free(sql);
    if (status == CTRACK_OK) { /* GCOVR_EXCL_BR_LINE: the same */
        sqlite3_bind_int64(statement, 1, first);
        sqlite3_bind_int64(statement, 2, second);
        status = ct_sql_run(statement, "fold the log", error);
    }
    sqlite3_finalize(statement);
    return status;
}

ctrack_status ct_hostfold(const ct_hostlog *log, int64_t appended, ctrack_error *error)
{
    int64_t backlog = log->last_seq - log->folded_seq, rows = 2 * appended > PIECE_ROWS ? 2 * appended : PIECE_ROWS;
    if (backlog < LONG_ROWS) {
        return CTRACK_OK;
    }
    int64_t end = log->folded_seq + (rows < backlog ? rows : backlog);
    ctrack_status status = CTRACK_OK;
    for (int i = 0; i < STEPS && status == CTRACK_OK; i++) {
        status = run(log, steps[i], log->folded_seq, end, error);
    }
    status = status == CTRACK_OK ? run(log, trim, 2 * rows, end - KEPT_ROWS, error) : status;
    return sqlite3_get_autocommit(log->db) ? status : CTRACK_OK; /* GCOVR_EXCL_BR_LINE: SQLite has rolled all back */
}
