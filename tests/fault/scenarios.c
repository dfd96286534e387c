/* SPDX-License-Identifier: MIT */
#include "scenarios.h"

#include "check.h"
#include "fault.h"

/* A change of one model's keys; LEDGER_NEVER leaves a key out. */
static ledger_change change_of(ledger_kind kind, int model, const int64_t index[LEDGER_KEYS])
{
    ledger_change change = ledger_no_change(kind);
    for (int k = 0; k < LEDGER_KEYS; k++) {
        if (index[k] != LEDGER_NEVER) {
            ledger_name(&change, model, k, index[k]);
        }
    }
    return change;
}

static void update_key(run *r, int tracker, int key, int64_t index)
{
    ledger_change change = ledger_no_change(LEDGER_RAISE);
    ledger_name(&change, r->models[tracker], key, index);
    run_update(r, tracker, &change);
}

static void open_tracker(run *r)
{
    run_open(r, 0, 0, false);
}

static void close_tracker(run *r)
{
    if (r->trackers[0] != NULL) {
        run_close(r, 0);
    }
}

/* ---------------------------------------------------------------- opening and closing */

static void act_open_new(run *r)
{
    open_tracker(r);
    update_key(r, 0, 0, 1);
}

static void act_open(run *r)
{
    open_tracker(r);
}

static void prepare_close(run *r)
{
    open_tracker(r);
    update_key(r, 0, 4, 100);
    update_key(r, 0, 5, 100);
}

static void act_open_read_only(run *r)
{
    run_open(r, 0, 0, true);
    run_refresh(r, 0);
    close_tracker(r);
}

/* ---------------------------------------------------------------- updates */

static void act_update(run *r)
{
    static const int64_t many[LEDGER_KEYS] = {-1, 60, -1, 61, 62, 63, -1, -1};
    ledger_change change = change_of(LEDGER_RAISE, 0, many);
    update_key(r, 0, 0, 100);  /* the dictionary has it */
    run_update(r, 0, &change); /* some that it does not have, one longer than a page */
    update_key(r, 0, 6, 5);    /* a new keyspace */
    update_key(r, 0, 0, 50);   /* changes nothing */
    update_key(r, 0, 6, 6);
}

static void act_group(run *r)
{
    ledger_change changes[3];
    for (int i = 0; i < 3; i++) {
        changes[i] = ledger_no_change(LEDGER_RAISE);
        ledger_name(&changes[i], 0, i == 2 ? 6 : i + 2, 100 + i);
    }
    run_group(r, 0, changes);
    update_key(r, 0, 6, 200);
}

static void prepare_two(run *r)
{
    run_open(r, 0, 0, false);
    run_open(r, 1, 0, false);
}

static void act_two(run *r)
{
    update_key(r, 0, 0, 100);
    update_key(r, 1, 1, 100); /* sees the first one's on its way */
    update_key(r, 1, 6, 100);
    run_refresh(r, 0);
    update_key(r, 0, 6, 101);
}

/* ---------------------------------------------------------------- looking after the file */

static void act_fold(run *r)
{
    run_fold(r, 0);
    update_key(r, 0, 4, 100);
}

static void act_fold_wholly(run *r)
{
    run_fold_wholly(r, 0);
    update_key(r, 0, 4, 100);
}

static void act_checkpoint(run *r)
{
    run_checkpoint(r, 0);
    update_key(r, 0, 0, 100);
    run_checkpoint(r, 0);
    update_key(r, 0, 1, 100);
}

static void prepare_refresh(run *r)
{
    static const int64_t news[LEDGER_KEYS] = {40, -1, -1, -1, 41, -1, 42, -1};
    ledger_change change = change_of(LEDGER_RAISE, 0, news);
    open_tracker(r);
    run_foreign(r, &change);
}

static void act_refresh(run *r)
{
    run_refresh(r, 0);
    run_refresh(r, 0);
    update_key(r, 0, 0, 90);
}

static void act_refresh_by_update(run *r)
{
    update_key(r, 0, 0, 100);
}

/* ---------------------------------------------------------------- staging */

static void prepare_stage(run *r)
{
    open_tracker(r);
    run_open_host(r);
}

static void act_stage(run *r)
{
    static const int64_t first[LEDGER_KEYS] = {40, -1, -1, -1, 41, 42, 43, -1},
                         second[LEDGER_KEYS] = {-1, 50, -1, -1, -1, -1, 51, -1},
                         third[LEDGER_KEYS] = {70, -1, -1, 71, -1, -1, -1, -1},
                         fourth[LEDGER_KEYS] = {80, -1, -1, -1, -1, -1, -1, -1};
    ledger_change change = change_of(LEDGER_RAISE, 0, first);
    change.values.host = 8;
    run_stage(r, &change, true);
    run_refresh(r, 0);
    change = change_of(LEDGER_RAISE, 0, second);
    change.values.host = 9;
    run_stage(r, &change, false);
    change = change_of(LEDGER_RAISE, 0, third);
    change.values.host = 10;
    run_stage(r, &change, true);
    run_refresh(r, 0);
    change = change_of(LEDGER_RAISE, 0, fourth);
    change.values.host = 11;
    run_stage_first(r, &change);
    run_refresh(r, 0);
}

static void act_satisfied_in(run *r)
{
    run_satisfied_in(r, 0, 6);
    run_satisfied_in(r, 3, 2);
    run_satisfied_in(r, 4, 1);
}

/* ---------------------------------------------------------------- taking back */

static void act_hydrate(run *r)
{
    static const int64_t entries[LEDGER_KEYS] = {1, 2, -1, -1, -1, 3, 4, -1};
    ledger_change change = change_of(LEDGER_REPLACE, 0, entries);
    run_hydrate(r, 0, &change);
    update_key(r, 0, 6, 5);
}

static void act_clear(run *r)
{
    ledger_change change = ledger_no_change(LEDGER_REPLACE);
    change.models[0] = true;
    run_hydrate(r, 0, &change);
}

static void act_forget(run *r)
{
    static const int64_t keys[LEDGER_KEYS] = {0, -1, -1, 0, -1, 0, -1, 0};
    ledger_change change = change_of(LEDGER_FORGET, 0, keys);
    run_forget(r, 0, &change);
    update_key(r, 0, 0, 1);
}

/* The tracker forgets the ids of the file when it sees that the schema has changed, and looks them up again. */
static void prepare_migrated(run *r)
{
    open_tracker(r);
    run_open_host(r);
    sqlite3_exec(r->host, "CREATE TABLE later (a)", NULL, NULL, NULL);
}

static void prepare_export(run *r)
{
    open_tracker(r);
    update_key(r, 0, 0, 30);
    update_key(r, 0, 5, 31);
}

static void act_export(run *r)
{
    run_export(r, 0);
    fault_pause();
    check_exported(r);
    fault_resume();
    update_key(r, 0, 0, 100);
}

static void prepare_export_again(run *r)
{
    open_tracker(r);
    run_export(r, 0);
    update_key(r, 0, 0, 99);
}

static void act_check(run *r)
{
    run_inspect(r);
}

static void act_dump(run *r)
{
    run_dump(r, 0);
}

static void act_replace(run *r)
{
    run_restore(r, 0, CTRACK_RESTORE_REPLACE);
    update_key(r, 0, 3, 100);
}

static void act_merge(run *r)
{
    run_restore(r, 0, CTRACK_RESTORE_MERGE);
    update_key(r, 0, 3, 100);
}

static void act_restore_empty(run *r)
{
    run_restore(r, 0, CTRACK_RESTORE_EMPTY);
}

const scenario scenarios[] = {
    {"open a new file", RUN_NEW, NULL, act_open_new, false, true},
    {"migrate a host's database", RUN_HOST, NULL, act_open, false, true},
    {"load", RUN_USED, NULL, act_open, false, true},
    {"recover and load", RUN_LIVE, NULL, act_open, false, true},
    {"read only", RUN_LIVE, NULL, act_open_read_only, false, false},
    {"update", RUN_USED, open_tracker, act_update, false, true},
    {"group of updates", RUN_USED, open_tracker, act_group, true, true},
    {"two trackers", RUN_USED, prepare_two, act_two, false, true},
    {"fold", RUN_LONG_LOG, open_tracker, act_fold, false, true},
    {"fold wholly", RUN_LONG_LOG, open_tracker, act_fold_wholly, false, true},
    {"checkpoint", RUN_LIVE, open_tracker, act_checkpoint, false, true},
    {"refresh", RUN_USED, prepare_refresh, act_refresh, false, true},
    {"refresh by an update", RUN_LIVE, prepare_refresh, act_refresh_by_update, false, true},
    {"stage", RUN_USED, prepare_stage, act_stage, false, true},
    {"satisfied in", RUN_USED, prepare_stage, act_satisfied_in, false, false},
    {"hydrate", RUN_LIVE, open_tracker, act_hydrate, false, true},
    {"forget", RUN_LIVE, open_tracker, act_forget, false, true},
    {"forget after a host's migration", RUN_LIVE, prepare_migrated, act_forget, false, true},
    {"export", RUN_NEW, prepare_export, act_export, false, true},
    {"export from a host's database", RUN_LIVE, open_tracker, act_export, false, true},
    {"export over an old copy", RUN_USED, prepare_export_again, act_export, false, true},
    {"export over an old copy, of ours alone", RUN_NEW, prepare_export_again, act_export, false, true},
    {"check", RUN_LIVE, open_tracker, act_check, false, false},
    {"dump", RUN_LIVE, open_tracker, act_dump, false, false},
    {"restore, replacing", RUN_LIVE, open_tracker, act_replace, false, true},
    {"restore, merging", RUN_USED, open_tracker, act_merge, false, true},
    {"restore into a new file", RUN_NEW, open_tracker, act_restore_empty, false, true},
    {"close", RUN_USED, prepare_close, close_tracker, false, true},
    {"load a long log", RUN_LONG_LOG, NULL, act_open, false, true},
    {"close a live file", RUN_LIVE, open_tracker, close_tracker, false, true},
    {"stage beside a live log", RUN_LIVE, prepare_stage, act_stage, false, true},
    {"update beside a live log", RUN_LIVE, open_tracker, act_update, false, true},
    {"hydrate with nothing", RUN_LONG_LOG, open_tracker, act_clear, false, true},
    {"forget a long log", RUN_LONG_LOG, open_tracker, act_forget, false, true},
    {"restore, merging into a long log", RUN_LONG_LOG, open_tracker, act_merge, false, true},
};
const size_t scenarios_count = sizeof scenarios / sizeof scenarios[0];
