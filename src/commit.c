/* SPDX-License-Identifier: MIT */
#include "commit.h"

#include "clock.h"
#include "error.h"
#include "follow.h"
#include "reclaim.h"
#include "sql.h"
#include "tracker.h"
#include "write.h"

/* A group of tickets, from the holder's own to the last; one of them may already have failed on its own account. */
typedef struct group {
    ctrack *tracker;
    ct_ticket *own, *last;
} group;

static ct_ticket *next_in(const group *g, const ct_ticket *ticket)
{
    return ticket != g->last ? ticket->next : NULL;
}

/* What the group's coordinates change becomes the tracker's list; a bad one fails its own ticket only. */
static void prepare(const group *g)
{
    ctrack *tracker = g->tracker;
    for (ct_ticket *ticket = g->own; ticket != NULL; ticket = next_in(g, ticket)) {
        if (ticket->status == CTRACK_OK) {
            ticket->status = ct_board_prepare(tracker->board, ticket->coordinates, ticket->count, false,
                                              &tracker->advances, ticket->error);
        }
    }
    ct_advances_unite(&tracker->advances);
}

static void fail(const group *g, ctrack_status status, const ctrack_error *error)
{
    for (ct_ticket *ticket = g->own; ticket != NULL; ticket = next_in(g, ticket)) {
        if (ticket->status == CTRACK_OK) {
            ticket->status = status;
            if (ticket->error != NULL) {
                *ticket->error = *error;
            }
        }
    }
}

/* Binds a row of the log from parameter `at` on, and moves `at` behind it. */
typedef ctrack_status bind_row(ctrack *tracker, const ct_advance *advance, int64_t now, sqlite3_stmt *statement,
                               int *at, ctrack_error *error);

static void bind_progress(const ct_advance *advance, int64_t now, sqlite3_stmt *statement, int *at)
{
    sqlite3_bind_int64(statement, (*at)++, advance->index);
    sqlite3_bind_int64(statement, (*at)++, now);
}

static ctrack_status bind_known(ctrack *tracker, const ct_advance *advance, int64_t now, sqlite3_stmt *statement,
                                int *at, ctrack_error *error)
{
    (void)tracker, (void)error;
    sqlite3_bind_int64(statement, (*at)++, advance->entry->file_id);
    bind_progress(advance, now, statement, at);
    return CTRACK_OK;
}

static ctrack_status bind_new(ctrack *tracker, const ct_advance *advance, int64_t now, sqlite3_stmt *statement, int *at,
                              ctrack_error *error)
{
    int64_t keyspace_id;
    ctrack_status status = ct_write_keyspace_of(tracker, advance->entry, &keyspace_id, error);
    if (status == CTRACK_OK) {
        size_t length;
        const char *document_id = ct_map_document_of(advance->entry, &length);
        sqlite3_bind_int64(statement, (*at)++, keyspace_id);
        sqlite3_bind_text(statement, (*at)++, document_id, (int)length, SQLITE_STATIC);
        bind_progress(advance, now, statement, at);
    }
    return status;
}

/* How rows are appended: a key that the dictionary has is named by its id, another one by its text. */
typedef struct form {
    ct_statement one, many;
    bind_row *bind;
    bool known;
} form;

static const form forms[] = {{CT_APPEND_KNOWN, CT_APPEND_KNOWN_MANY, bind_known, true},
                             {CT_APPEND_NEW, CT_APPEND_NEW_MANY, bind_new, false}};

/* Remembers the rows that were appended, and writes a run if there are enough. Their keyspaces have ids, since the rows or
 * their keys name them. */
static ctrack_status remember_rows(ctrack *tracker, const ct_advance *const *rows, size_t count, ctrack_error *error)
{
    ct_store *store = tracker->store;
    int64_t keyspace_ids[CT_MANY], seq = store->appended_seq - (int64_t)count;
    ct_mutex_lock(&tracker->board->lock);
    for (size_t i = 0; i < count; i++) {
        keyspace_ids[i] = ct_map_keyspace_of(tracker->board->map, rows[i]->entry)->file_id;
    }
    ct_mutex_unlock(&tracker->board->lock);
    for (size_t i = 0; i < count; i++) {
        size_t length;
        const char *document_id = ct_map_document_of(rows[i]->entry, &length);
        ct_runs_add(&store->runs, ++seq, keyspace_ids[i], document_id, length, rows[i]->index);
    }
    return ct_runs_write(store, error);
}

static ctrack_status append_rows(ctrack *tracker, const form *f, const ct_advance *const *rows, size_t count,
                                 int64_t now, ctrack_error *error)
{
    sqlite3_stmt *statement;
    int at = 1;
    ctrack_status status = ct_store_statement(tracker->store, count == 1 ? f->one : f->many, &statement, error);
    for (size_t i = 0; i < count && status == CTRACK_OK; i++) {
        status = f->bind(tracker, rows[i], now, statement, &at, error);
    }
    status = status == CTRACK_OK ? ct_sql_run(statement, "append to the log", error) : status;
    if (status != CTRACK_OK) {
        return status;
    }
    tracker->store->appended_seq = sqlite3_last_insert_rowid(tracker->store->db);
    return remember_rows(tracker, rows, count, error);
}

/* Appends the rows of the list that have this form. */
static ctrack_status append_form(ctrack *tracker, const form *f, int64_t now, ctrack_error *error)
{
    const ct_advance *rows[CT_MANY];
    size_t count = 0;
    ctrack_status status = CTRACK_OK;
    for (size_t i = 0; i < tracker->advances.count && status == CTRACK_OK; i++) {
        const ct_advance *advance = &tracker->advances.items[i];
        if ((advance->entry->file_id != 0) == f->known) {
            rows[count++] = advance;
        }
        if (count == CT_MANY) {
            status = append_rows(tracker, f, rows, count, now, error);
            count = 0;
        }
    }
    for (size_t i = 0; i < count && status == CTRACK_OK; i++) {
        status = append_rows(tracker, f, &rows[i], 1, now, error);
    }
    return status;
}

static ctrack_status append(ctrack *tracker, ctrack_error *error)
{
    ctrack_status status = CTRACK_OK;
    int64_t now = ct_clock_wall();
    for (size_t i = 0; i < sizeof forms / sizeof forms[0] && status == CTRACK_OK; i++) {
        status = append_form(tracker, &forms[i], now, error);
    }
    return status;
}

/* Commits the list; made anew if others have committed, or had the lock, since it was made. */
static ctrack_status commit(const group *g, bool *anew, ctrack_error *error)
{
    ctrack *tracker = g->tracker;
    ctrack_status status = ct_write_begin(tracker, anew, error);
    if (status != CTRACK_OK) {
        return status;
    }
    if (*anew) {
        prepare(g);
    }
    status = ct_write_end(tracker, append(tracker, error), error);
    if (status == CTRACK_OK && tracker->store->appended_seq != 0) {
        ct_store_saw_own(tracker->store);
    }
    return status;
}

/* Makes the list of what is to be committed, from what others have committed, too. */
static ctrack_status make_list(const group *g, bool look, bool *followed, ctrack_error *error)
{
    ctrack_status status = look ? ct_follow(g->tracker, followed, error) : CTRACK_OK;
    if (status == CTRACK_OK) {
        prepare(g);
    }
    return status;
}

/*
 * Makes and commits the list. commit() sees what others have committed, but holds the write lock while it reads that. So
 * if they did so lately, they are asked before; and they are, too, if as far as we know nothing is new.
 */
static ctrack_status list_and_commit(const group *g, ctrack_error *error)
{
    ctrack *tracker = g->tracker;
    bool look = !tracker->store->loaded || tracker->crowded, before = false, meanwhile = false;
    ctrack_status status = make_list(g, look, &before, error);
    if (status == CTRACK_OK && !look && tracker->advances.count == 0) {
        status = make_list(g, true, &before, error);
    }
    if (status == CTRACK_OK && tracker->advances.count > 0) {
        status = commit(g, &meanwhile, error);
    }
    tracker->crowded = before || meanwhile;
    return status;
}

static void count(const group *g, size_t written)
{
    size_t updates = 0, given = 0;
    for (const ct_ticket *ticket = g->own; ticket != NULL; ticket = next_in(g, ticket)) {
        if (ticket->status == CTRACK_OK) {
            updates++;
            given += ticket->count;
        }
    }
    ct_board_count(g->tracker->board, updates, given, written, written > 0);
}

/* Carries a group of updates out, and leaves each one's outcome in its ticket. The turn is held. */
static void carry_out(const group *g)
{
    ctrack *tracker = g->tracker;
    ctrack_error error = {.status = CTRACK_OK, .message = ""};
    ctrack_status status = list_and_commit(g, &error);
    for (int i = 0; status == CTRACK_FULL && ct_reclaim(tracker, i); i++) {
        status = list_and_commit(g, &error);
    }
    if (status == CTRACK_OK) {
        size_t written = tracker->advances.count;
        ct_board_publish(tracker->board, &tracker->advances);
        count(g, written);
        ct_keeper_keep_up(tracker);
        ct_keeper_consider(tracker);
    } else {
        ct_board_cancel(tracker->board, &tracker->advances);
        fail(g, status, &error);
    }
}

ctrack_status ct_commit_update(ctrack *tracker, const ctrack_coordinate *coordinates, size_t count, ctrack_error *error)
{
    ct_ticket ticket = {.coordinates = coordinates, .count = count, .error = error, .status = CTRACK_OK};
    if (ct_turn_take(&tracker->turn, &ticket) != 0) {
        return ct_error_no_memory(error);
    }
    if (ticket.done) {
        ct_gate_destroy(&ticket.gate);
        return ticket.status;
    }
    ct_turn *turn = &tracker->turn;
    ct_turn_gather(turn, &ticket);
    int64_t start = ct_clock_monotonic();
    group g = {.tracker = tracker, .own = &ticket, .last = ct_turn_take_along(turn, &ticket)};
    carry_out(&g);
    ct_turn_took(turn, ct_clock_monotonic() - start);
    ct_tracker_pass(tracker, &ticket, g.last);
    return ticket.status;
}
