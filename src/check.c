/* SPDX-License-Identifier: MIT */

/*
 * A check is a list of rules. A rule is a query over the tracker's tables that gives a row for each violation: the
 * row's id (or NULL) and what is wrong with it. What a violation means and what to do about it belongs to the rule.
 *
 * Nothing is taken for granted of the file: a table that cannot be read is a finding like others, and the next rule is
 * tried. All of it happens in one read transaction on a connection that only reads.
 *
 * SQLite's own check runs what other tables' CHECKs, indexes and generated columns call, and compares by their
 * collations. What the host has added to its own connection is not here; and of what is here, a stranger's schema may
 * call only what SQLite vouches for (TRUSTED_SCHEMA=0, which judges when a statement is prepared: set once the schema has
 * been read, see store.h). SQLite refuses the whole check then, so it is made table by table, and says which tables have
 * not been looked at as they should. That is no damage.
 */
#include "check.h"

#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "connection.h"
#include "error.h"
#include "file.h"
#include "identity.h"
#include "migrate.h"
#include "migrations.h"
#include "run.h"
#include "sql.h"
#include "store.h"
#include "text.h"

/* Between two calls of the progress callback: steps of SQLite's virtual machine, a few milliseconds. */
#define STEPS 20000

/* ---------------------------------------------------------------- reporting */

/* `status`, or CTRACK_ABORTED if it is what the callback has brought about. */
static ctrack_status outcome_of(const ct_reporter *reporter, ctrack_status status, ctrack_error *error)
{
    return reporter->cancelled ? ct_error_set(error, CTRACK_ABORTED, "given up, as the progress callback asked")
                               : status;
}

ctrack_status ct_report(ct_reporter *reporter, uint64_t done, uint64_t total, ctrack_error *error)
{
    reporter->done = done;
    reporter->total = total;
    if (reporter->callback != NULL) {
        reporter->cancelled = reporter->callback(done, total, reporter->argument) != 0;
    }
    return outcome_of(reporter, CTRACK_OK, error);
}

static int report_again(void *argument)
{
    ct_reporter *reporter = argument;
    return ct_report(reporter, reporter->done, reporter->total, NULL) != CTRACK_OK;
}

/* Has SQLite report again and again during long statements on the connection, which fail once it is enough. */
static void report_during(ct_reporter *reporter, sqlite3 *db)
{
    if (reporter->callback != NULL) {
        sqlite3_progress_handler(db, STEPS, report_again, reporter);
    }
}

/* ---------------------------------------------------------------- rules */

#define RESTORE "keep a copy of the file as it is, then restore the newest snapshot or dump"
#define NUMBER_ANEW "dump the progress and restore it into a new file, which numbers it from 1"
#define DELETE_RUNS "delete all rows of ctrack_run and ctrack_run_part: they are a help, and made anew"
#define REPORT_AGAIN "report the key's progress again, or " RESTORE

typedef struct rule {
    const char *name, *table;
    bool quick; /* cheap enough for every copy */
    const char *sql, *means, *advice;
} rule;

static const rule rules[] = {
    {"fold-row", "ctrack_fold", true,
     "SELECT NULL, printf('it has %d rows instead of one', count(*)) FROM main.ctrack_fold HAVING count(*) <> 1",
     "it is not known how far the log is folded: the tracker cannot be opened", RESTORE},
    {"folded-beyond-log", "ctrack_fold", true,
     "SELECT id, printf('folded_seq is %s, the newest row of the log is %d', substr(quote(folded_seq), 1, 40), "
     "(SELECT coalesce(max(seq), 0) FROM main.ctrack_advance)) FROM main.ctrack_fold "
     "WHERE typeof(folded_seq) <> 'integer' OR folded_seq < 0 "
     "OR folded_seq > (SELECT coalesce(max(seq), 0) FROM main.ctrack_advance)",
     "the newest rows of the log are gone: numbers would be used twice, and other trackers miss progress", RESTORE},
    {"migration-range", "ctrack_migration", true,
     "SELECT version, printf('version is %d', version) FROM main.ctrack_migration WHERE version < 1",
     "the list of migrations is not what ctrack wrote", RESTORE},
    {"keyspace-id", "ctrack_keyspace", true, "SELECT id, 'its id is below 1' FROM main.ctrack_keyspace WHERE id < 1",
     "ctrack never gives such an id: trackers refuse the file", RESTORE},
    {"coordinate-id", "ctrack_coordinate", true,
     "SELECT id, 'its id is below 1' FROM main.ctrack_coordinate WHERE id < 1",
     "ctrack never gives such an id: trackers refuse the file", RESTORE},
    /* No file gets to half of the numbers that there are: at a million rows a second it takes 146,000 years. */
    {"coordinate-end", "ctrack_coordinate", true,
     "SELECT id, 'its id is so high that ids will run out' FROM main.ctrack_coordinate WHERE id > 4611686018427387904 "
     "ORDER BY id DESC LIMIT 1",
     "ctrack never gets that far: once the ids run out the log cannot be folded", NUMBER_ANEW},
    {"log-end", "ctrack_advance", true,
     "SELECT seq, 'its seq is so high that numbers will run out' FROM main.ctrack_advance "
     "WHERE seq > 4611686018427387904 ORDER BY seq DESC LIMIT 1",
     "ctrack never gets that far: once the numbers run out all updates are refused", NUMBER_ANEW},
    {"log-seq", "ctrack_advance", true, "SELECT seq, 'its seq is below 1' FROM main.ctrack_advance WHERE seq < 1",
     "ctrack never gives such a number: trackers miss the row", REPORT_AGAIN},
    {"log-rewind", "ctrack_advance", true,
     "SELECT seq, printf('it takes progress back, but is not folded: folded_seq is %d', "
     "(SELECT max(folded_seq) FROM main.ctrack_fold)) FROM main.ctrack_advance WHERE operation_index IS NULL "
     "AND seq > (SELECT max(folded_seq) FROM main.ctrack_fold)",
     "such rows are folded from the start: folding the log will fail here", RESTORE},
    {"log-gap", "ctrack_advance", true,
     "SELECT low, printf('of the rows %d to %d only %d are there', low, high, n) FROM (SELECT "
     "(SELECT min(seq) FROM main.ctrack_advance) AS low, (SELECT max(seq) FROM main.ctrack_advance) AS high, "
     "(SELECT count(*) FROM main.ctrack_advance) AS n) WHERE high - low + 1 <> n",
     "rows of the log are missing: the progress that they held is lost", REPORT_AGAIN},
    {"log-start", "ctrack_advance", true,
     "SELECT low, printf('the log begins here, but only the rows up to %d are folded', folded) FROM (SELECT "
     "(SELECT min(seq) FROM main.ctrack_advance) AS low, (SELECT max(folded_seq) FROM main.ctrack_fold) AS folded) "
     "WHERE low > folded + 1",
     "rows of the log are missing: the progress that they held is lost", REPORT_AGAIN},
    {"keyspace-text", "ctrack_keyspace", true,
     "SELECT id, printf('%s %s', part, fault) FROM (SELECT id, 'read_model' AS part, text_fault(read_model) AS fault "
     "FROM main.ctrack_keyspace UNION ALL SELECT id, 'scope', text_fault(scope) FROM main.ctrack_keyspace "
     "UNION ALL SELECT id, 'branch', text_fault(branch) FROM main.ctrack_keyspace) WHERE fault IS NOT NULL",
     "trackers refuse the file: this text can be no part of a key", RESTORE},
    {"coordinate-text", "ctrack_coordinate", false,
     "SELECT id, printf('document_id %s', fault) FROM (SELECT id, text_fault(document_id) AS fault "
     "FROM main.ctrack_coordinate) WHERE fault IS NOT NULL",
     "trackers refuse the file: this text can be no part of a key", RESTORE},
    {"coordinate-orphan", "ctrack_coordinate", false,
     "SELECT rowid, printf('its keyspace is not in %s', parent) FROM pragma_foreign_key_check('ctrack_coordinate')",
     "it is not known which scope and branch the document belongs to: the key's progress is lost", RESTORE},
    {"latest-orphan", "ctrack_latest", false,
     "SELECT rowid, printf('its key is not in %s', parent) FROM pragma_foreign_key_check('ctrack_latest')",
     "it is not known whose progress this is", RESTORE},
    {"latest-index", "ctrack_latest", false,
     "SELECT coordinate_id, printf('operation_index is %s', substr(quote(operation_index), 1, 40)) "
     "FROM main.ctrack_latest WHERE typeof(operation_index) <> 'integer' OR operation_index < 0",
     "trackers refuse the file: an index is an integer from 0 on", REPORT_AGAIN},
    {"latest-time", "ctrack_latest", false,
     "SELECT coordinate_id, printf('updated_at is %s', substr(quote(updated_at), 1, 40)) FROM main.ctrack_latest "
     "WHERE typeof(updated_at) <> 'integer'",
     "trackers refuse the file: a time is an integer, milliseconds since 1970", RESTORE},
    {"log-key", "ctrack_advance", false,
     "SELECT seq, 'it does not name its key in one of the ways there are' FROM main.ctrack_advance "
     "WHERE (coordinate_id IS NULL) = (keyspace_id IS NULL) OR (document_id IS NOT NULL AND keyspace_id IS NULL) "
     "OR (operation_index IS NOT NULL AND coordinate_id IS NULL AND document_id IS NULL)",
     "it is not known whose progress this is: trackers that read the row refuse the file", RESTORE},
    {"log-orphan", "ctrack_advance", false,
     "SELECT seq, CASE WHEN coordinate_id IS NOT NULL THEN printf('its coordinate %s is not in ctrack_coordinate', "
     "substr(quote(coordinate_id), 1, 40)) ELSE printf('its keyspace %s is not in ctrack_keyspace', "
     "substr(quote(keyspace_id), 1, 40)) END FROM main.ctrack_advance AS a "
     "WHERE (coordinate_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM main.ctrack_coordinate AS c "
     "WHERE c.id = a.coordinate_id)) OR (keyspace_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM main.ctrack_keyspace "
     "AS k WHERE k.id = a.keyspace_id))",
     "it is not known whose progress this is: trackers that read the row refuse the file", RESTORE},
    {"log-index", "ctrack_advance", false,
     "SELECT seq, printf('operation_index is %s', substr(quote(operation_index), 1, 40)) FROM main.ctrack_advance "
     "WHERE typeof(operation_index) NOT IN ('integer', 'null') OR operation_index < 0",
     "trackers that read the row refuse the file: an index is an integer from 0 on", REPORT_AGAIN},
    {"log-time", "ctrack_advance", false,
     "SELECT seq, printf('updated_at is %s', substr(quote(updated_at), 1, 40)) FROM main.ctrack_advance "
     "WHERE typeof(updated_at) <> 'integer'",
     "trackers that read the row refuse the file: a time is an integer, milliseconds since 1970", RESTORE},
    {"log-text", "ctrack_advance", false,
     "SELECT seq, printf('document_id %s', fault) FROM (SELECT seq, text_fault(document_id) AS fault "
     "FROM main.ctrack_advance WHERE document_id IS NOT NULL) WHERE fault IS NOT NULL",
     "trackers that read the row refuse the file: this text can be no part of a key", RESTORE},
    /* A folded row that no later one takes back must be in the table. */
    {"log-unfolded", "ctrack_advance", false,
     "WITH forgotten AS MATERIALIZED (SELECT keyspace_id, document_id, max(seq) AS seq FROM main.ctrack_advance "
     "WHERE operation_index IS NULL AND document_id IS NOT NULL GROUP BY keyspace_id, document_id), "
     "replaced AS MATERIALIZED (SELECT k.read_model, max(a.seq) AS seq FROM main.ctrack_advance AS a "
     "JOIN main.ctrack_keyspace AS k ON k.id = a.keyspace_id WHERE a.operation_index IS NULL AND "
     "a.document_id IS NULL GROUP BY k.read_model), "
     "folded AS (SELECT a.seq, a.operation_index, coalesce(a.keyspace_id, c.keyspace_id) AS keyspace_id, "
     "coalesce(a.document_id, c.document_id) AS document_id, coalesce(a.coordinate_id, (SELECT d.id "
     "FROM main.ctrack_coordinate AS d WHERE d.keyspace_id = a.keyspace_id AND d.document_id = a.document_id)) AS id "
     "FROM main.ctrack_advance AS a LEFT JOIN main.ctrack_coordinate AS c ON c.id = a.coordinate_id "
     "WHERE a.operation_index IS NOT NULL AND a.seq <= (SELECT max(folded_seq) FROM main.ctrack_fold)) "
     "SELECT p.seq, printf('it is folded, but ctrack_latest has %s instead of at least %d', "
     "coalesce(l.operation_index, 'nothing'), p.operation_index) FROM folded AS p "
     "JOIN main.ctrack_keyspace AS k ON k.id = p.keyspace_id "
     "LEFT JOIN main.ctrack_latest AS l ON l.coordinate_id = p.id "
     "LEFT JOIN forgotten AS f ON f.keyspace_id = p.keyspace_id AND f.document_id = p.document_id "
     "LEFT JOIN replaced AS r ON r.read_model = k.read_model "
     "WHERE coalesce(l.operation_index, -1) < p.operation_index AND p.seq > coalesce(f.seq, 0) "
     "AND p.seq > coalesce(r.seq, 0)",
     "progress that was acknowledged is lost: waits for it will not end", REPORT_AGAIN},
    {"run-range", "ctrack_run", true,
     "SELECT last_seq, printf('it is said to have the rows %d to %d in %d parts from %d on', first_seq, last_seq, "
     "parts, "
     "first_part) FROM main.ctrack_run WHERE first_seq < 1 OR first_seq > last_seq "
     "OR last_seq > (SELECT coalesce(max(seq), 0) FROM main.ctrack_advance) OR first_part < 1 "
     "OR first_part > 9223372032559808512 OR parts < 1 OR parts > 4294967295",
     "questions in transactions, and of lazy trackers, are refused", DELETE_RUNS},
    {"run-parts", "ctrack_run", true,
     "SELECT last_seq, printf('of its %d parts there are %d', parts, n) FROM (SELECT last_seq, parts, (SELECT count(*) "
     "FROM main.ctrack_run_part WHERE id >= first_part AND id < first_part + parts) AS n FROM main.ctrack_run) "
     "WHERE n <> parts",
     "questions in transactions, and of lazy trackers, are refused", DELETE_RUNS},
    {"run-part-orphan", "ctrack_run_part", true,
     "SELECT NULL, printf('there are %d parts, and runs of %d', n, parts) FROM (SELECT (SELECT count(*) "
     "FROM main.ctrack_run_part) AS n, (SELECT total(parts) FROM main.ctrack_run) AS parts) WHERE n <> parts",
     "parts that no run has take space, or are shared by runs", DELETE_RUNS},
    {"run-entries", "ctrack_run_part", false,
     "SELECT id, 'its entries are not a list of pairs of numbers' FROM main.ctrack_run_part "
     "WHERE typeof(entries) <> 'blob' OR length(entries) % 8 <> 0",
     "questions in transactions, and of lazy trackers, are refused, or miss progress", DELETE_RUNS},
    /* Each row of the log that is not folded is found by the run over it, or one of the same key and no lower index; that
     * one may be folded already. */
    {"run-lacks", "ctrack_run", false,
     "WITH covered AS (SELECT r.last_seq, r.first_seq, r.first_part, r.parts, f.folded_seq, a.seq, a.operation_index, "
     "coalesce(a.keyspace_id, c.keyspace_id) AS keyspace_id, coalesce(a.document_id, c.document_id) AS document_id, "
     "run_place(f.hash_seed, coalesce(a.keyspace_id, c.keyspace_id), coalesce(a.document_id, c.document_id)) AS place "
     "FROM main.ctrack_fold AS f CROSS JOIN main.ctrack_run AS r CROSS JOIN main.ctrack_advance AS a "
     "ON a.seq BETWEEN max(r.first_seq, f.folded_seq + 1) AND r.last_seq "
     "LEFT JOIN main.ctrack_coordinate AS c ON c.id = a.coordinate_id WHERE r.parts BETWEEN 1 AND 4294967295) "
     "SELECT covered.last_seq, printf('it lacks the row %d of the log', covered.seq) FROM covered "
     "JOIN main.ctrack_run_part AS p ON p.id = covered.first_part + run_part(covered.place, covered.parts) "
     "WHERE NOT EXISTS (WITH RECURSIVE n (i, seq) AS (SELECT 0, covered.first_seq + run_offset(p.entries, "
     "covered.place, 0) "
     "UNION ALL SELECT i + 1, covered.first_seq + run_offset(p.entries, covered.place, i + 1) FROM n WHERE seq IS NOT "
     "NULL) "
     "SELECT 1 FROM n CROSS JOIN main.ctrack_advance AS b ON b.seq = n.seq "
     "LEFT JOIN main.ctrack_coordinate AS d ON d.id = b.coordinate_id WHERE b.seq > covered.folded_seq "
     "AND b.operation_index >= covered.operation_index AND coalesce(b.keyspace_id, d.keyspace_id) = "
     "covered.keyspace_id "
     "AND coalesce(b.document_id, d.document_id) = covered.document_id) "
     "AND NOT EXISTS (SELECT 1 FROM main.ctrack_coordinate AS e CROSS JOIN main.ctrack_latest AS l "
     "ON l.coordinate_id = e.id WHERE e.keyspace_id = covered.keyspace_id AND e.document_id = covered.document_id "
     "AND l.operation_index >= covered.operation_index)",
     "questions in transactions, and of lazy trackers, miss progress until it is folded", DELETE_RUNS},
    /* The condition makes SQLite count in the index indeed. */
    {"row-count", "ctrack_coordinate", true,
     "SELECT NULL, printf('the table has %d rows, its index %d', t, i) FROM (SELECT (SELECT count(*) "
     "FROM main.ctrack_coordinate NOT INDEXED) AS t, (SELECT count(*) FROM main.ctrack_coordinate "
     "INDEXED BY sqlite_autoindex_ctrack_coordinate_1 WHERE keyspace_id > 0) AS i) WHERE t <> i",
     "keys would not be found, or twice", RESTORE},
};
enum { RULES = sizeof rules / sizeof rules[0] };

/*
 * SQLite's own check: of every page, and of every row against every index; or, quick, without the latter. Of the whole
 * file, other tables included, or of one table.
 */
#define INTEGRITY "integrity"
#define OF_SQLITE(quick, check, place) \
    { \
        INTEGRITY, "the file", quick, "SELECT NULL, " check " FROM pragma_" check place " WHERE " check " <> 'ok'", \
            "SQLite finds the database damaged: what it says may be wrong or missing", RESTORE \
    }
static const rule whole = OF_SQLITE(false, "integrity_check", "");
static const rule whole_quick = OF_SQLITE(true, "quick_check", "");
static const rule of_table = OF_SQLITE(false, "integrity_check", "(?1)");
static const rule of_table_quick = OF_SQLITE(true, "quick_check", "(?1)");

static const rule schema = {"schema",
                            "the schema",
                            true,
                            NULL,
                            "the tables, the view or what hangs on them were altered: trackers refuse the file",
                            "undo what was altered, or restore a snapshot or dump into a new file"};

/* ---------------------------------------------------------------- running them */

typedef struct check {
    sqlite3 *db;
    ctrack_finding_callback *found;
    void *argument;
    ct_reporter *reporter;
    uint64_t findings;
    ctrack_error first; /* what the first finding says */
    bool altered;       /* the schema is not ours, so rules may not fit */
    const char *only;   /* the one table that SQLite's own check is made of */
    bool unfit;         /* SQLite could not make the last rule's query of this schema */
    ctrack_error why;   /* if so */
    bool ended;         /* by `found` */
} check;

static ctrack_status add(check *c, const rule *broken, int64_t row, const char *what, ctrack_error *error)
{
    ctrack_error text; /* makes it one printable line */
    ct_error_set(&text, CTRACK_CORRUPT, "%s", what);
    const ctrack_finding finding = {.rule = broken->name,
                                    .table = broken->table,
                                    .row = row,
                                    .what = text.message,
                                    .means = broken->means,
                                    .advice = broken->advice};
    if (c->findings++ == 0) {
        c->first = text;
        ct_error_context(&c->first, CTRACK_CORRUPT, "%s", broken->table);
    }
    c->ended = c->found != NULL && c->found(&finding, c->argument) != 0;
    return c->ended ? ct_error_set(error, CTRACK_ABORTED, "the check was ended") : CTRACK_OK;
}

/* A query that cannot be made or carried through: damage is a finding, the rest is not. */
static ctrack_status judge(check *c, const rule *broken, ctrack_status status, const ctrack_error *why,
                           ctrack_error *error)
{
    status = outcome_of(c->reporter, status, error);
    if (status == CTRACK_CORRUPT) {
        return add(c, broken, CTRACK_NO_ROW, why->message, error);
    }
    if (status == CTRACK_OK || status == CTRACK_ABORTED) {
        return status;
    }
    return ct_error_set(error, status, "%s", why->message);
}

/*
 * What SQLite's own check could not read it lists among the damage. Then it has not looked at everything, and what else
 * it lists may be a consequence. Returns the result code of the reading, SQLITE_OK if it says nothing of the kind.
 */
static int code_of_reading(const char *what)
{
    static const char code[] = "error code=";
    const char *at = strstr(what, code);
    if (at != NULL) {
        return (int)strtol(at + sizeof code - 1, NULL, 10);
    }
    return strstr(what, "failed to get page") != NULL ? SQLITE_IOERR : SQLITE_OK;
}

/* What a row of a rule says. On failure it is no finding. */
static ctrack_status read_finding(sqlite3_stmt *statement, bool of_sqlite, const char **what, ctrack_error *why)
{
    ctrack_status status = ct_sql_text(statement, 1, what, why);
    int code = status == CTRACK_OK && of_sqlite ? code_of_reading(*what) : SQLITE_OK;
    return code != SQLITE_OK ? ct_sql_fail(NULL, code, "read the whole file", why) : status;
}

/* Tells of each row. Returns SQLite's code if it fails, and SQLITE_OK if the rest fails, which *outcome says. */
static int read_findings(check *c, const rule *which, sqlite3_stmt *statement, ctrack_status *outcome,
                         ctrack_error *error)
{
    bool of_sqlite = strcmp(which->name, INTEGRITY) == 0;
    for (int n = 0; *outcome == CTRACK_OK; n++) {
        int code = sqlite3_step(statement);
        if (code != SQLITE_ROW) {
            return code == SQLITE_DONE ? SQLITE_OK : code;
        }
        if (n == CTRACK_FINDINGS_MAX) {
            *outcome = add(c, which, CTRACK_NO_ROW, "there are more of these, which are not listed", error);
            break;
        }
        int64_t where =
            sqlite3_column_type(statement, 0) == SQLITE_NULL ? CTRACK_NO_ROW : sqlite3_column_int64(statement, 0);
        const char *what;
        ctrack_error why;
        ctrack_status status = read_finding(statement, of_sqlite, &what, &why);
        *outcome = status == CTRACK_OK ? add(c, which, where, what, error) : judge(c, which, status, &why, error);
    }
    return SQLITE_OK;
}

static ctrack_status run_rule(check *c, const rule *which, ctrack_error *error)
{
    sqlite3_stmt *statement = NULL;
    ctrack_status outcome = CTRACK_OK;
    int code = sqlite3_prepare_v2(c->db, which->sql, -1, &statement, NULL);
    sqlite3_bind_text(statement, 1, c->only, -1, SQLITE_STATIC); /* most have no such place */
    code = code == SQLITE_OK ? read_findings(c, which, statement, &outcome, error) : code;
    ctrack_status status = code == SQLITE_OK ? CTRACK_OK : ct_sql_fail(c->db, code, "read a table", &c->why);
    /* A table or column that the rule is about is not there, which was said already; or other tables need something. */
    c->unfit = (c->altered || strcmp(which->name, INTEGRITY) == 0) && (code & 0xFF) == SQLITE_ERROR;
    if (status != CTRACK_OK && !c->unfit) {
        outcome = judge(c, which, status, &c->why, error);
    }
    sqlite3_finalize(statement);
    return outcome;
}

/* ---------------------------------------------------------------- SQLite's own check */

/* Says that a table could not be checked. That is no finding. */
static ctrack_status say_unchecked(check *c, const char *table, const char *why, ctrack_error *error)
{
    ctrack_error name, text; /* make them printable lines */
    ct_error_set(&name, CTRACK_OK, "%s", table);
    ct_error_set(&text, CTRACK_OK, "not checked: %s", why);
    const ctrack_finding finding = {.rule = "not-checked",
                                    .table = name.message,
                                    .row = CTRACK_NO_ROW,
                                    .what = text.message,
                                    .means = "damage in this table may not be found here",
                                    .advice = "run PRAGMA integrity_check in the program that the table belongs to",
                                    .unchecked = true};
    c->ended = c->found != NULL && c->found(&finding, c->argument) != 0;
    return c->ended ? ct_error_set(error, CTRACK_ABORTED, "the check was ended") : CTRACK_OK;
}

static ctrack_status check_table(check *c, const char *table, ctrack_error *error)
{
    c->only = table;
    ctrack_status status = run_rule(c, &of_table, error);
    if (status != CTRACK_OK || !c->unfit) {
        return status;
    }
    const ctrack_error why = c->why;
    status = run_rule(c, &of_table_quick, error);
    return status == CTRACK_OK ? say_unchecked(c, table, why.message, error) : status;
}

static ctrack_status check_tables(check *c, ctrack_error *error)
{
    sqlite3_stmt *tables = NULL;
    bool more = true;
    ctrack_status status = ct_sql_prepare(
        c->db, "SELECT 'sqlite_schema' UNION ALL SELECT name FROM main.sqlite_schema WHERE type = 'table'", &tables,
        error);
    while (status == CTRACK_OK) {
        const char *name;
        status = ct_sql_step(tables, &more, "list the tables", error);
        if (status != CTRACK_OK || !more) {
            break;
        }
        status = ct_sql_text(tables, 0, &name, error);
        status = status == CTRACK_OK ? check_table(c, name, error) : status;
    }
    sqlite3_finalize(tables);
    return status;
}

static ctrack_status check_integrity(check *c, bool quick, ctrack_error *error)
{
    sqlite3_db_config(c->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL); /* the schema has been read */
    ctrack_status status = run_rule(c, quick ? &whole_quick : &whole, error);
    return status == CTRACK_OK && c->unfit ? check_tables(c, error) : status;
}

/* ---------------------------------------------------------------- the schema */

/* The ledger names the migrations that this library has. */
static ctrack_status check_names(check *c, ctrack_error *error)
{
    sqlite3_stmt *statement = NULL;
    ctrack_error why;
    bool row = false;
    ctrack_status outcome = CTRACK_OK;
    ctrack_status status =
        ct_sql_prepare(c->db, "SELECT name FROM main.ctrack_migration WHERE version = ?1", &statement, &why);
    for (int i = 0; i < ct_migrations_count && status == CTRACK_OK; i++) {
        sqlite3_bind_int(statement, 1, ct_migrations[i].version);
        status = ct_sql_step(statement, &row, "read ctrack_migration", &why);
        const char *name = NULL;
        status = status == CTRACK_OK ? ct_sql_text(statement, 0, &name, &why) : status;
        if (status == CTRACK_OK && (name == NULL || strcmp(name, ct_migrations[i].name) != 0)) {
            ct_error_set(&why, CTRACK_CORRUPT, "ctrack_migration calls version %d \"%s\" instead of \"%s\"",
                         ct_migrations[i].version, name != NULL ? name : "", ct_migrations[i].name);
            outcome = add(c, &schema, CTRACK_NO_ROW, why.message, error);
        }
        sqlite3_reset(statement);
        if (outcome != CTRACK_OK) {
            break;
        }
    }
    sqlite3_finalize(statement);
    return outcome == CTRACK_OK ? judge(c, &schema, status, &why, error) : outcome;
}

static ctrack_status check_schema(check *c, ctrack_error *error)
{
    ctrack_error why;
    int version = 0;
    int code = sqlite3_exec(c->db, "PRAGMA main.schema_version", NULL, NULL, NULL);
    if (code == SQLITE_NOTADB) {
        return ct_sql_fail(c->db, code, "read the file", error);
    }
    ctrack_status status = ct_migrate_check(c->db, &version, &why);
    if (status == CTRACK_OK && version < ct_migrations_count) {
        return ct_error_set(error, CTRACK_CORRUPT, "there is no tracker in it: it has no current ctrack tables");
    }
    c->altered = status == CTRACK_CORRUPT;
    return c->altered || status != CTRACK_OK ? judge(c, &schema, status, &why, error) : check_names(c, error);
}

/* ---------------------------------------------------------------- the whole */

/* What is wrong with a text as a part of a key, or NULL. */
static void text_fault(sqlite3_context *context, int count, sqlite3_value **values)
{
    (void)count;
    const char *fault = NULL;
    if (sqlite3_value_type(values[0]) != SQLITE_TEXT) {
        fault = "is not text";
    } else {
        const char *text = (const char *)sqlite3_value_text(values[0]);
        size_t length = (size_t)sqlite3_value_bytes(values[0]);
        if (text == NULL) {
            sqlite3_result_error_nomem(context);
            return;
        }
        fault = length > CTRACK_TEXT_MAX       ? "is longer than 65535 bytes"
                : memchr(text, '\0', length)   ? "has a NUL in it"
                : !ct_text_valid(text, length) ? "is not UTF-8"
                                               : NULL;
    }
    if (fault != NULL) {
        sqlite3_result_text(context, fault, -1, SQLITE_STATIC);
    }
}

/* run_place(seed, keyspace, document): where a key stands in a run. */
static void run_place(sqlite3_context *context, int count, sqlite3_value **values)
{
    (void)count;
    const char *document_id = (const char *)sqlite3_value_text(values[2]);
    if (document_id != NULL) {
        ct_run_key key = ct_run_key_of(sqlite3_value_int64(values[0]), sqlite3_value_int64(values[1]), document_id,
                                       (size_t)sqlite3_value_bytes(values[2]));
        sqlite3_result_int64(context, ct_run_place(key));
    } else if (sqlite3_value_type(values[2]) != SQLITE_NULL) {
        sqlite3_result_error_nomem(context);
    }
}

/* run_part(place, parts): the part that it is in. */
static void run_part(sqlite3_context *context, int count, sqlite3_value **values)
{
    (void)count;
    sqlite3_result_int64(
        context, ct_run_part((uint32_t)sqlite3_value_int64(values[0]), (uint32_t)sqlite3_value_int64(values[1])));
}

/* run_offset(entries, place, n): the offset of the nth entry with this place, NULL if there is none. */
static void run_offset(sqlite3_context *context, int count, sqlite3_value **values)
{
    (void)count;
    const unsigned char *entries = sqlite3_value_blob(values[0]);
    size_t length = (size_t)sqlite3_value_bytes(values[0]) / CT_RUN_ENTRY_BYTES;
    uint32_t place = (uint32_t)sqlite3_value_int64(values[1]);
    size_t at = ct_run_search(entries, length, place) + (size_t)sqlite3_value_int64(values[2]);
    if (at < length && ct_run_decode(entries, at).place == place) {
        sqlite3_result_int64(context, ct_run_decode(entries, at).offset);
    }
}

static ctrack_status add_functions(sqlite3 *db, ctrack_error *error)
{
    static const struct {
        const char *name;
        int arguments;
        void (*function)(sqlite3_context *, int, sqlite3_value **);
    } functions[] = {{"text_fault", 1, text_fault},
                     {"run_place", 3, run_place},
                     {"run_part", 2, run_part},
                     {"run_offset", 3, run_offset}};
    for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++) {
        int code = sqlite3_create_function(db, functions[i].name, functions[i].arguments,
                                           SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_DIRECTONLY, NULL,
                                           functions[i].function, NULL, NULL);
        if (code != SQLITE_OK) {
            return ct_sql_fail(db, code, "set up the connection", error);
        }
    }
    return CTRACK_OK;
}

static ctrack_status run_rules(check *c, bool quick, ctrack_error *error)
{
    ctrack_status status = check_schema(c, error);
    status = status == CTRACK_OK ? check_integrity(c, quick, error) : status;
    for (int i = 0; i < RULES && status == CTRACK_OK; i++) {
        if (!quick) {
            status = ct_report(c->reporter, (uint64_t)i + 2, RULES + 2, error);
        }
        if (status == CTRACK_OK && (rules[i].quick || !quick)) {
            status = run_rule(c, &rules[i], error);
        }
    }
    return status;
}

ctrack_status ct_check(sqlite3 *db, bool quick, ctrack_finding_callback *found, void *argument, ct_reporter *reporter,
                       ctrack_error *error)
{
    check c = {.db = db, .found = found, .argument = argument, .reporter = reporter};
    ctrack_status status = add_functions(db, error);
    if (status != CTRACK_OK) {
        return status;
    }
    report_during(reporter, db);
    if (!quick) {
        status = ct_report(reporter, 0, RULES + 2, error);
    } else {
        status =
            ct_sql_exec(db, "PRAGMA ignore_check_constraints = 1", "set up the connection", error); /* row by row */
    }
    status = status == CTRACK_OK ? run_rules(&c, quick, error) : status;
    sqlite3_progress_handler(db, 0, NULL, NULL);
    if (status == CTRACK_OK && c.findings > 0) {
        return ct_error_set(error, CTRACK_CORRUPT, "%llu finding%s; the first: %s", (unsigned long long)c.findings,
                            c.findings == 1 ? "" : "s", c.first.message);
    }
    return status == CTRACK_OK && !quick ? ct_report(reporter, RULES + 2, RULES + 2, error) : status;
}

static ctrack_status open_to_check(const char *name, int64_t busy_timeout_ms, sqlite3 **db, ctrack_error *error)
{
    ctrack_status status = ct_connection_open(name, SQLITE_OPEN_READONLY, "open the file", db, error);
    if (status != CTRACK_OK) {
        return status;
    }
    sqlite3_busy_timeout(*db, ct_store_busy_timeout(busy_timeout_ms));
    ct_store_distrust(*db);
    sqlite3_limit(*db, SQLITE_LIMIT_LENGTH, INT32_MAX); /* other tables may have rows of any size */
    sqlite3_db_config(*db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    status = ct_sql_pragma(*db, "PRAGMA cell_size_check = 1", NULL, error);
    status = status == CTRACK_OK ? ct_sql_exec(*db, "BEGIN", "begin to read", error) : status;
    if (status != CTRACK_OK) {
        return status;
    }
    /* Every key is looked for in its index, in no order, so the more pages are at hand the better. That the schema
     * cannot be read, as this needs, is for the rules to say; unless it is locked, which nobody shall wait for twice.
     */
    int code = sqlite3_exec(*db, "PRAGMA main.cache_size = -65536", NULL, NULL, NULL);
    return (code & 0xFF) == SQLITE_BUSY ? ct_sql_fail(*db, code, "read the database schema", error) : CTRACK_OK;
}

ctrack_status ctrack_check(const char *path, int64_t busy_timeout_ms, ctrack_finding_callback *found,
                           ctrack_progress_callback *progress, void *argument, ctrack_error *error)
{
    if (path == NULL) {
        return ct_error_set(error, CTRACK_INVALID, "path is NULL");
    }
    char *name = NULL;
    sqlite3 *db = NULL;
    ct_identity identity = CT_IDENTITY_INIT;
    ct_reporter reporter = {.callback = progress, .argument = argument};
    ctrack_status status = ct_file_name(path, &name, error);
    if (status == CTRACK_OK) {
        status = open_to_check(name, busy_timeout_ms, &db, error);
        status = status == CTRACK_OK ? ct_identity_learn(&identity, db, error) : status;
        status = status == CTRACK_OK ? ct_identity_guard(&identity, db, error) : status;
        status = status == CTRACK_OK ? ct_check(db, false, found, argument, &reporter, error) : status;
        ct_error_context(status == CTRACK_OK ? NULL : error, status, "%s", path);
    }
    ct_identity_end(&identity);
    ct_connection_close(db);
    ct_free(name);
    return status;
}
