/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "worker.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sqlite3.h>

#include "fault.h"

enum { PATIENCE_MS = 30000, BREATH = 100000, PROBE_TRIES = 3 };
enum { ORDER_ARM = HOST_KINDS, ORDER_SHOW };

worker_page *worker_pages;

/* Of this process. The tracker and the connection are the working thread's, but while it is still. */
static worker_page *page;
static worker_role role;
static ctrack *tracker;
static sqlite3 *connection;
static unsigned long long chance;

static unsigned long long draw(unsigned long long below)
{
    return fault_draw(&chance) % below;
}

/* ---------------------------------------------------------------- judging calls */

static const char *const role_names[WORKERS] = {"the writer", "the follower", "the reader", "the stager"};

/* Whether a call succeeded; what is not excused by the present trouble is objected to. */
static bool succeeded(ctrack_status status, const char *call, const ctrack_error *error)
{
    atomic_fetch_add(&page->calls, 1);
    if (status != CTRACK_OK && (atomic_load(&page->excused) & (1UL << status)) == 0) {
        object("%s: %s: %s: %s", role_names[role], call, ctrack_status_name(status), error->message);
    }
    return status == CTRACK_OK;
}

static ctrack_status status_of(int code)
{
    switch (code & 0xFF) {
    case SQLITE_OK:
        return CTRACK_OK;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return CTRACK_BUSY;
    case SQLITE_FULL:
        return CTRACK_FULL;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return CTRACK_CORRUPT;
    default:
        return CTRACK_IO;
    }
}

static bool ran(const char *sql)
{
    ctrack_error error;
    int code = sqlite3_exec(connection, sql, NULL, NULL, NULL);
    snprintf(error.message, sizeof error.message, "%s", sqlite3_errmsg(connection));
    return succeeded(status_of(code), sql, &error);
}

/* ---------------------------------------------------------------- the tracker, and the wait on it */

/* The pending wait has ended: when the tracker is closed, it begins anew. */
static void on_settled(ctrack_promise *promise, ctrack_status outcome, void *argument)
{
    int64_t index = (int64_t)(intptr_t)argument;
    ctrack_error error;
    if (outcome == CTRACK_CLOSED || index != atomic_load(&page->waits_for)) {
        return;
    }
    if (outcome != CTRACK_OK) {
        ctrack_promise_explain(promise, &error);
        object("%s: a wait ended: %s: %s", role_names[role], ctrack_status_name(outcome), error.message);
    } else if (atomic_load(&books->keys[TALLY_PROBE].highest) < index) {
        object("%s: a wait ended well, for what nobody has written", role_names[role]);
    }
    atomic_store(&page->settled_ns, host_now());
}

static bool arm(void)
{
    ctrack_promise *promise = NULL;
    ctrack_error error;
    int64_t index = atomic_load(&page->waits_for);
    ctrack_coordinate wanted = tally_coordinate(TALLY_PROBE, index);
    ctrack_status status = ctrack_wait_for(tracker, &wanted, 1, CTRACK_FOREVER, NULL, &promise, &error);
    if (succeeded(status, "a wait", &error)) {
        status = ctrack_promise_then(promise, on_settled, (void *)(intptr_t)index);
        if (status != CTRACK_OK) {
            object("%s: ctrack_promise_then: %s", role_names[role], ctrack_status_name(status));
        }
        ctrack_promise_release(promise);
    }
    return status == CTRACK_OK;
}

static void log_nothing(ctrack_status status, const char *message, void *argument)
{
    (void)argument;
    if (getenv("NEIGHBOURS_LOG") != NULL) {
        fprintf(stderr, "%s: %s: %s\n", role_names[role], ctrack_status_name(status), message);
    }
}

static bool open_tracker(void)
{
    ctrack_options options = CTRACK_OPTIONS_INIT;
    ctrack_error error;
    options.read_only = role == WORKER_READS;
    options.follow = role == WORKER_FOLLOWS;
    options.log = log_nothing;
    return succeeded(ctrack_open(places.file, &options, &tracker, &error), "ctrack_open", &error);
}

/* Until it is open, or the process is to be still for ever. */
static void reopen(void)
{
    if (tracker != NULL) {
        ctrack_error error;
        succeeded(ctrack_close(tracker, &error), "ctrack_close", &error);
        tracker = NULL;
    }
    while (!atomic_load(&page->may_open) || !open_tracker()) {
        host_nap(BREATH);
    }
    if (atomic_load(&page->settled_ns) == 0) {
        arm();
    }
}

/* ---------------------------------------------------------------- work */

/* An update that says so leaves a tracker that must be opened anew. */
static bool updated(const ctrack_coordinate *coordinates, size_t count)
{
    ctrack_error error;
    ctrack_status status = ctrack_update(tracker, coordinates, count, &error);
    bool fine = succeeded(status, "ctrack_update", &error);
    if (status == CTRACK_IO) {
        reopen();
    }
    return fine;
}

/* What was acknowledged is reached. */
static void expect_reached(const ctrack_coordinate *coordinate, unsigned long began)
{
    ctrack_error error;
    ctrack_status status = ctrack_wait(tracker, coordinate, 1, 0, NULL, &error);
    if (status != CTRACK_OK && began % 2 == 0 && tally_begin() == began) {
        object("%s: acknowledged, but %s", role_names[role], error.message);
    }
}

static void write_some(void)
{
    ctrack_coordinate batch[TALLY_WRITERS + 1];
    size_t count = 0;
    unsigned long began = tally_begin();
    int keys[TALLY_WRITERS + 1];
    for (int k = TALLY_WRITER; k < TALLY_WRITER + TALLY_WRITERS + 1; k++) {
        if (draw(2) == 0) {
            keys[count] = k;
            batch[count] = tally_coordinate(k, tally_next(k));
            tally_attempt(k, batch[count].operation_index);
            count++;
        }
    }
    if (updated(batch, count)) {
        for (size_t i = 0; i < count; i++) {
            tally_acknowledge(keys[i], batch[i].operation_index, began);
        }
        if (count > 0 && draw(4) == 0) {
            expect_reached(&batch[0], began);
        }
    }
}

static void forget(void)
{
    ctrack_error error;
    unsigned long began = tally_begin();
    tally_forgetting(TALLY_FORGOTTEN);
    ctrack_status status = ctrack_forget(tracker, &tally_keys[TALLY_FORGOTTEN].key, 1, &error);
    if (succeeded(status, "ctrack_forget", &error)) {
        tally_forgotten(TALLY_FORGOTTEN, began);
    } else if (status == CTRACK_IO) {
        reopen();
    }
}

static void write_or_forget(void)
{
    if (draw(16) == 0) {
        forget();
    } else {
        write_some();
    }
}

/* Short waits for what the writer does next; now and then an update of its own. */
static void follow(void)
{
    ctrack_error error;
    ctrack_coordinate next = tally_coordinate(TALLY_WRITER, tally_next(TALLY_WRITER));
    ctrack_status status = ctrack_wait(tracker, &next, 1, (int64_t)draw(10), NULL, &error);
    atomic_fetch_add(&page->calls, 1);
    if (status != CTRACK_OK && status != CTRACK_TIMED_OUT) {
        object("%s: a short wait: %s: %s", role_names[role], ctrack_status_name(status), error.message);
    } else if (status == CTRACK_OK && atomic_load(&books->keys[TALLY_WRITER].highest) < next.operation_index) {
        object("%s: a short wait ended well, for what nobody has written", role_names[role]);
    }
    if (draw(8) == 0) {
        unsigned long began = tally_begin();
        ctrack_coordinate own = tally_coordinate(TALLY_FOLLOWER, tally_next(TALLY_FOLLOWER));
        tally_attempt(TALLY_FOLLOWER, own.operation_index);
        if (updated(&own, 1)) {
            tally_acknowledge(TALLY_FOLLOWER, own.operation_index, began);
        }
    }
}

static int drop(const void *data, size_t size, void *argument)
{
    (void)data;
    (void)size;
    (void)argument;
    return 0;
}

static void export_and_check(void)
{
    char copy[340];
    ctrack_error error;
    snprintf(copy, sizeof copy, "%s/copy.db", places.copies);
    if (succeeded(ctrack_export(tracker, copy, CTRACK_EXPORT_REPLACE, NULL, NULL, &error), "ctrack_export", &error)) {
        succeeded(ctrack_check(copy, 0, NULL, NULL, NULL, &error), "the copy", &error);
    }
}

/* What was acknowledged before is in the file, as another connection sees it. */
static void ask_the_file(void)
{
    ctrack_error error;
    unsigned long began = tally_begin();
    ctrack_coordinate wanted = tally_coordinate(TALLY_WRITER, atomic_load(&books->keys[TALLY_WRITER].acknowledged));
    if (wanted.operation_index == TALLY_NEVER) {
        return;
    }
    ctrack_status status = ctrack_satisfied_in(connection, NULL, &wanted, 1, &error);
    if (status == CTRACK_PENDING && began % 2 == 0 && tally_begin() == began) {
        object("%s: acknowledged, but not in the file: %s", role_names[role], error.message);
    } else if (status != CTRACK_PENDING) {
        succeeded(status, "ctrack_satisfied_in", &error);
    }
}

static void read_some(void)
{
    ctrack_error error;
    ctrack_read_model_list *list = NULL;
    switch (draw(16)) {
    case 0:
        succeeded(ctrack_dump(tracker, NULL, drop, NULL, &error), "ctrack_dump", &error);
        break;
    case 1:
        if (succeeded(ctrack_read_models(tracker, &list, &error), "ctrack_read_models", &error)) {
            ctrack_read_model_list_free(list);
        }
        break;
    case 2:
        export_and_check();
        break;
    case 3:
    case 4:
    case 5:
    case 6:
        ask_the_file();
        break;
    default:
        succeeded(ctrack_refresh(tracker, &error), "ctrack_refresh", &error);
        break;
    }
}

/* The host's number and its progress, in one transaction; or neither. Neither falls: a backup that was taken back a moment
 * ago may be newer than what the stager knows of. */
static void stage_some(void)
{
    char set[100];
    ctrack_error error;
    unsigned long began = tally_begin();
    ctrack_coordinate staged[2] = {tally_coordinate(TALLY_STAGER, tally_next(TALLY_STAGER)),
                                   tally_coordinate(TALLY_STAGER_TOO, tally_next(TALLY_STAGER_TOO))};
    size_t count = 1 + (size_t)draw(2);
    snprintf(set, sizeof set, "BEGIN IMMEDIATE; UPDATE host SET applied = max(applied, %lld)",
             (long long)staged[0].operation_index);
    for (size_t i = 0; i < count; i++) {
        tally_attempt(TALLY_STAGER + (int)i, staged[i].operation_index);
    }
    bool fine = ran(set) && succeeded(ctrack_stage(connection, NULL, staged, count, &error), "ctrack_stage", &error) &&
                draw(8) != 0 && ran("COMMIT");
    for (size_t i = 0; fine && i < count; i++) {
        tally_acknowledge(TALLY_STAGER + (int)i, staged[i].operation_index, began);
    }
    if (!sqlite3_get_autocommit(connection)) {
        sqlite3_exec(connection, "ROLLBACK", NULL, NULL, NULL);
    }
    succeeded(ctrack_refresh(tracker, &error), "ctrack_refresh", &error);
}

/* Commits what all wait for. The trouble is over: it works, at most after what it has left behind. */
static void probe(void)
{
    int64_t index = atomic_load(&page->waits_for);
    ctrack_coordinate progress = tally_coordinate(TALLY_PROBE, index);
    bool fine = false;
    unsigned long began = tally_begin();
    tally_attempt(TALLY_PROBE, index);
    for (int i = 0; !fine && i < PROBE_TRIES; i++) {
        ctrack_error error;
        fine = role == WORKER_STAGES
                   ? succeeded(ctrack_stage(connection, NULL, &progress, 1, &error), "ctrack_stage", &error)
                   : updated(&progress, 1);
    }
    if (fine) {
        tally_acknowledge(TALLY_PROBE, index, began);
        atomic_store(&findings->probed_ns, host_now());
    } else {
        object("%s: the trouble is over, but nothing can be committed", role_names[role]);
    }
}

static void work_once(void)
{
    static void (*const works[WORKERS])(void) = {write_or_forget, follow, read_some, stage_some};
    works[role]();
    host_nap((int64_t)draw(600000));
}

static void *work(void *argument)
{
    (void)argument;
    for (;;) {
        if (atomic_load(&page->reopen)) {
            reopen();
            atomic_store(&page->reopen, false);
        }
        if (atomic_load(&page->probe)) {
            probe();
            atomic_store(&page->probe, false);
        }
        unsigned long wanted = atomic_load(&page->wanted);
        atomic_store(&page->obeyed, wanted);
        if (wanted % 2 == 1) {
            work_once();
        } else {
            host_nap(BREATH);
        }
    }
    return NULL;
}

/* ---------------------------------------------------------------- orders */

static void order_reopen(void)
{
    atomic_store(&page->reopen, true);
    while (atomic_load(&page->reopen)) {
        host_nap(BREATH);
    }
}

static bool show(void)
{
    ctrack_error error;
    if (!succeeded(ctrack_refresh(tracker, &error), "ctrack_refresh, in peace", &error)) {
        return false;
    }
    for (int k = 0; k < TALLY_DEFAULT; k++) {
        int64_t index = TALLY_NEVER;
        ctrack_get_latest(tracker, &tally_keys[k].key, &index);
        atomic_store(&page->shown[k], index);
    }
    return true;
}

static bool obey(const host_act *order)
{
    host_guests guests = {tracker, order_reopen};
    switch ((int)order->kind) {
    case ORDER_ARM:
        atomic_store(&page->settled_ns, 0);
        atomic_store(&page->waits_for, order->draws[0]);
        return arm();
    case ORDER_SHOW:
        return show();
    default:
        return host_do(order, &guests);
    }
}

static _Noreturn void live(int orders, pid_t parent)
{
    host_act order;
    pthread_t thread;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent || !open_tracker()) {
        _exit(EXIT_FAILURE);
    }
    connection = role == WORKER_READS || role == WORKER_STAGES ? host_open(places.file) : NULL;
    if (pthread_create(&thread, NULL, work, NULL) != 0 || write(orders, "!", 1) != 1) {
        _exit(EXIT_FAILURE);
    }
    while (read(orders, &order, sizeof order) == sizeof order) {
        char answer = obey(&order) ? '+' : '-';
        if (write(orders, &answer, 1) != 1) {
            break;
        }
    }
    _exit(EXIT_SUCCESS);
}

/* ---------------------------------------------------------------- the process that orders */

static int answer_of(const worker *w)
{
    char answer;
    struct pollfd ready = {w->orders, POLLIN, 0};
    int found;
    do {
        found = poll(&ready, 1, PATIENCE_MS);
    } while (found < 0 && errno == EINTR);
    return found == 1 && read(w->orders, &answer, 1) == 1 ? answer != '-' : -1;
}

bool worker_start(worker *w, worker_role its_role, unsigned long long random)
{
    int ends[2];
    pid_t parent = getpid();
    worker_page *its_page = &worker_pages[its_role];
    atomic_store(&its_page->wanted, 0);
    atomic_store(&its_page->obeyed, 0);
    atomic_store(&its_page->reopen, false);
    atomic_store(&its_page->probe, false);
    atomic_store(&its_page->may_open, true);
    atomic_store(&its_page->settled_ns, 1);
    fflush(NULL);
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
        return false;
    }
    *w = (worker){its_role, fork(), ends[0]};
    if (w->pid == 0) {
        close(ends[0]);
        page = its_page;
        role = its_role;
        chance = random | 1;
        live(ends[1], parent);
    }
    close(ends[1]);
    return w->pid > 0 && answer_of(w) == 1;
}

bool worker_is_alive(const worker *w)
{
    siginfo_t ended = {.si_pid = 0};
    return waitid(P_PID, (id_t)w->pid, &ended, WEXITED | WNOHANG | WNOWAIT) == 0 && ended.si_pid == 0;
}

bool worker_kill(worker *w)
{
    int status = 0;
    kill(w->pid, SIGKILL);
    close(w->orders);
    return waitpid(w->pid, &status, 0) == w->pid && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
}

void worker_order(const worker *w, bool at_work)
{
    worker_page *its_page = &worker_pages[w->role];
    unsigned long wanted = atomic_load(&its_page->wanted);
    if ((wanted % 2 == 1) != at_work) {
        atomic_store(&its_page->wanted, wanted + 1);
    }
}

bool worker_obeys(const worker *w)
{
    worker_page *its_page = &worker_pages[w->role];
    return atomic_load(&its_page->obeyed) == atomic_load(&its_page->wanted);
}

void worker_act(const worker *w, const host_act *act)
{
    if (write(w->orders, act, sizeof *act) != sizeof *act) {
        object("%s takes no orders", role_names[w->role]);
    }
}

static void order_more(const worker *w, int kind, int64_t draw_of_it)
{
    host_act order = {(host_kind)kind, {draw_of_it, 0, 0}};
    worker_act(w, &order);
}

void worker_arm(const worker *w, int64_t index)
{
    order_more(w, ORDER_ARM, index);
}

void worker_show(const worker *w)
{
    order_more(w, ORDER_SHOW, 0);
}

int worker_acted(const worker *w)
{
    return answer_of(w);
}
