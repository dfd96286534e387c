/* SPDX-License-Identifier: MIT */
/* What the keeper does for the log, and what it says of what it cannot do. The program is linked so that the test decides
 * what is due, and what fails. */
#include "support.h"

#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>

#include "error.h"
#include "keeper.h"
#include "tracker.h"
#include "wal.h"
#include "write.h"

enum { NOTHING, CHECKPOINT, LOOK, BEGIN, SHRINK };
static atomic_int failing;
static atomic_bool due, large;
static atomic_int overdue; /* so often runs are */
static atomic_int asked;   /* whether they are */

static ctrack_status refuse(ctrack_error *error)
{
    return ct_error_set(error, CTRACK_IO, "on purpose");
}

bool __wrap_ct_wal_is_due(const ct_store *store);
bool __wrap_ct_wal_is_due(const ct_store *store)
{
    (void)store;
    return atomic_load(&due);
}

bool __wrap_ct_wal_is_large(const ct_store *store);
bool __wrap_ct_wal_is_large(const ct_store *store)
{
    (void)store;
    return atomic_load(&large);
}

bool __wrap_ct_runs_overdue(const ct_runs *runs);
bool __wrap_ct_runs_overdue(const ct_runs *runs)
{
    (void)runs;
    int left = atomic_load(&overdue); /* asked in turns only */
    atomic_store(&overdue, left > 0 ? left - 1 : 0);
    atomic_fetch_add(&asked, 1);
    return left > 0;
}

ctrack_status __real_ct_runs_look(ct_store *store, ctrack_error *error);
ctrack_status __wrap_ct_runs_look(ct_store *store, ctrack_error *error);
ctrack_status __wrap_ct_runs_look(ct_store *store, ctrack_error *error)
{
    return atomic_load(&failing) == LOOK ? refuse(error) : __real_ct_runs_look(store, error);
}

ctrack_status __real_ct_store_checkpoint(ct_store *store, ctrack_error *error);
ctrack_status __wrap_ct_store_checkpoint(ct_store *store, ctrack_error *error);
ctrack_status __wrap_ct_store_checkpoint(ct_store *store, ctrack_error *error)
{
    return atomic_load(&failing) == CHECKPOINT ? refuse(error) : __real_ct_store_checkpoint(store, error);
}

ctrack_status __real_ct_store_shrink(ct_store *store, bool wholly, ctrack_error *error);
ctrack_status __wrap_ct_store_shrink(ct_store *store, bool wholly, ctrack_error *error);
ctrack_status __wrap_ct_store_shrink(ct_store *store, bool wholly, ctrack_error *error)
{
    return atomic_load(&failing) == SHRINK ? refuse(error) : __real_ct_store_shrink(store, wholly, error);
}

ctrack_status __real_ct_write_begin(ctrack *tracker, bool *anew, ctrack_error *error);
ctrack_status __wrap_ct_write_begin(ctrack *tracker, bool *anew, ctrack_error *error);
ctrack_status __wrap_ct_write_begin(ctrack *tracker, bool *anew, ctrack_error *error)
{
    return atomic_load(&failing) == BEGIN ? refuse(error) : __real_ct_write_begin(tracker, anew, error);
}

/* ---------------------------------------------------------------- the keeper */

static atomic_int complaints;

static void complain(ctrack_status status, const char *message, void *argument)
{
    fixture *f = argument;
    if (status == CTRACK_IO && strstr(message, "on purpose") != NULL && atomic_fetch_add(&complaints, 1) == 0) {
        gate_open(&f->gate);
    }
}

static void open_with_log(fixture *f)
{
    ctrack_options options = CTRACK_OPTIONS_INIT;
    options.log = complain;
    options.log_argument = f;
    atomic_store(&complaints, 0);
    assert_status(ctrack_open(f->path, &options, &f->tracker, NULL), CTRACK_OK);
}

static void consider(ctrack *tracker)
{
    ct_ticket ticket = {0};
    ct_turn_take(&tracker->turn, &ticket);
    ct_keeper_consider(tracker);
    ct_turn_pass(&tracker->turn, &ticket, &ticket);
}

static void nothing_is_due(fixture *f)
{
    atomic_store(&failing, NOTHING);
    atomic_store(&due, false);
    atomic_store(&large, false);
    atomic_store(&overdue, 0);
    close_tracker(&f->tracker);
}

static void assert_told(fixture *f, int what)
{
    atomic_store(&failing, what);
    consider(f->tracker);
    gate_pass(&f->gate);
    nothing_is_due(f);
}

static void test_a_log_that_cannot_be_moved_is_told(void **state)
{
    open_with_log(*state);
    atomic_store(&due, true);
    assert_told(*state, CHECKPOINT);
}

static void test_a_log_that_cannot_be_cut_is_told(void **state)
{
    open_with_log(*state);
    atomic_store(&large, true);
    assert_told(*state, SHRINK);
}

static void test_runs_that_cannot_be_looked_for_are_told(void **state)
{
    open_with_log(*state);
    atomic_store(&overdue, 2);
    assert_told(*state, LOOK);
}

static void test_a_run_that_cannot_be_written_is_told(void **state)
{
    open_with_log(*state);
    atomic_store(&overdue, 3);
    assert_told(*state, BEGIN);
}

static void test_a_run_that_others_have_written_meanwhile_is_not_written(void **state)
{
    fixture *f = *state;
    open_with_log(f);
    atomic_store(&failing, BEGIN);
    atomic_store(&asked, 0);
    atomic_store(&overdue, 2);
    consider(f->tracker);
    while (atomic_load(&asked) < 3) {
        sched_yield();
    }
    nothing_is_due(f);
    assert_int_equal(atomic_load(&complaints), 0);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_log_that_cannot_be_moved_is_told),
        TEST(test_a_log_that_cannot_be_cut_is_told),
        TEST(test_runs_that_cannot_be_looked_for_are_told),
        TEST(test_a_run_that_cannot_be_written_is_told),
        TEST(test_a_run_that_others_have_written_meanwhile_is_not_written),
    };
    return SUPPORT_MAIN(argc, argv, "keeper", tests, NULL);
}
