/* SPDX-License-Identifier: MIT */
/*
 * Power cuts, real ones: a process works on a tracker's file until the file system under it is shut down (disk.h) at a
 * random moment. When the file system has recovered from its own log, the file must hold what the books say (ledger.h),
 * as a whole: every acknowledged change, the host's rows together with their staged progress, and of a change that was
 * under way all or nothing. A copy that ctrack_export() was making is not there, the old one, or complete.
 *
 * The books, and what anybody has seen, lie in memory that both processes share. In every other round progress only
 * rises, and a thread looks on all the time: nothing that it has seen may be missing afterwards. In the others
 * progress is also replaced and forgotten.
 *
 * A call that is under way at the cut returns, and one more is made after it. What they say of a failure (nothing has
 * changed, or the outcome is unknown) is held against the file; a success that comes after the cut counts for nothing.
 *
 * --system ext4 or xfs, --cuts N, --seed N. Exit status 77: mounting is refused.
 */
#define _DEFAULT_SOURCE /* MAP_ANONYMOUS */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "check.h"
#include "disk.h"
#include "fault.h"
#include "run.h"
#include "shim.h"

enum { ROUNDS_OF_A_FILE = 8, MOST_NANOSECONDS = 15000000, TICK = 200000, PATIENCE = 50000, SKIPPED = 77 };
enum { OBJECTION = 98 }; /* the exit status of a process that has found violations */

static struct shared {
    run run; /* in the memory that is shared, so that the one who cuts can say: from now on errors are fine */
    ledger books;
    _Atomic int64_t seen[LEDGER_KEYS]; /* of the first model, by the thread that looks on */
    atomic_ulong steps, exports;
    atomic_bool started;
    atomic_bool stuck; /* a thread met SIGBUS in mapped memory: it waits for its end */
} * shared;

static volatile sig_atomic_t interrupted;

/* Asked after a call: what it said was said in time. (Measured: an fdatasync that is under way when the file system is
 * shut down returns success although what it was to write is lost, in one of fifteen cuts.) */
static bool has_power(void)
{
    return shared->run.fault != RUN_NO_POWER;
}

/* ---------------------------------------------------------------- what the process does */

static void raise_keys(ledger_change *change, unsigned long long *random, int model)
{
    for (unsigned long long count = 1 + fault_draw(random) % 3; count > 0; count--) {
        int key = (int)(fault_draw(random) % LEDGER_KEYS);
        if (key != 2) { /* which is the checker's */
            ledger_name(change, model, key, shared->books.possible[0].index[model][key] + 1);
        }
    }
    ledger_name(change, model, 0, shared->books.possible[0].index[model][0] + 1);
}

static void update(run *r, unsigned long long *random)
{
    int model = fault_draw(random) % 4 == 0;
    ledger_change change = ledger_no_change(LEDGER_RAISE);
    raise_keys(&change, random, model);
    run_update(r, model, &change);
}

static void update_in_group(run *r, unsigned long long *random)
{
    ledger_change changes[3];
    for (int i = 0; i < 3; i++) {
        changes[i] = ledger_no_change(LEDGER_RAISE);
        raise_keys(&changes[i], random, 0);
        ledger_name(&changes[i], 0, 3 + i, shared->books.possible[0].index[0][3 + i] + 4 - i);
    }
    run_group(r, 0, changes);
}

static void stage(run *r, unsigned long long *random)
{
    ledger_change change = ledger_no_change(LEDGER_RAISE);
    if (shared->books.possible[0].host != LEDGER_NEVER) {
        raise_keys(&change, random, 0);
        change.values.host = shared->books.possible[0].host + 1;
        run_stage(r, &change, fault_draw(random) % 4 != 0);
        run_refresh(r, 0);
    }
}

static void forget(run *r, unsigned long long *random)
{
    ledger_change change = ledger_no_change(LEDGER_FORGET);
    ledger_name(&change, 0, (int)(fault_draw(random) % LEDGER_KEYS), 0);
    run_forget(r, 0, &change);
}

static void hydrate(run *r, unsigned long long *random)
{
    ledger_change change = ledger_no_change(LEDGER_REPLACE);
    raise_keys(&change, random, 0);
    run_hydrate(r, 0, &change);
}

static void replace(run *r, unsigned long long *random)
{
    switch (fault_draw(random) % 3) {
    case 0:
        run_restore(r, 0, CTRACK_RESTORE_REPLACE);
        run_refresh(r, 1); /* the dump was of both read models */
        break;
    case 1:
        hydrate(r, random);
        break;
    default:
        forget(r, random);
        break;
    }
}

static void act(run *r, unsigned long long *random, bool rising)
{
    switch (fault_draw(random) % 8) {
    case 0:
    case 1:
        update_in_group(r, random);
        break;
    case 2:
        stage(r, random);
        break;
    case 3:
        run_export(r, 0);
        atomic_fetch_add(&shared->exports, 1);
        break;
    case 4:
        if (rising) {
            run_fold(r, 0);
        } else {
            replace(r, random);
        }
        break;
    case 5:
        run_checkpoint(r, 0);
        break;
    default:
        update(r, random);
        break;
    }
    atomic_fetch_add(&shared->steps, 1);
    atomic_store(&shared->started, true);
}

/* ---------------------------------------------------------------- the process */

static pthread_t main_thread;

/* Memory that SQLite had mapped went with the disk. The thread ends here; the books are not its business then. */
static void on_bus_error(int signal)
{
    (void)signal;
    if (has_power()) {
        _exit(OBJECTION);
    }
    atomic_store(&shared->stuck, true);
    if (pthread_equal(pthread_self(), main_thread)) {
        _exit(0);
    }
    for (;;) {
        pause();
    }
}

static void *look_on(void *argument)
{
    for (;;) {
        for (int k = 0; k < LEDGER_KEYS; k++) {
            int64_t index;
            if (ctrack_get_latest(argument, &ledger_keys[k], &index) == CTRACK_OK && has_power()) {
                atomic_store(&shared->seen[k], index);
            }
        }
        sched_yield();
    }
    return NULL;
}

static _Noreturn void work(unsigned long long random, bool rising)
{
    run *r = &shared->run;
    unsigned long before = violations();
    pthread_t looker;
    struct sigaction action = {.sa_handler = on_bus_error};
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    main_thread = pthread_self();
    sigaction(SIGBUS, &action, NULL);
    run_open(r, 0, 0, false);
    run_open(r, 1, 1, false);
    if (shared->books.possible[0].host != LEDGER_NEVER) {
        run_open_host(r);
    }
    if (rising && r->trackers[0] != NULL) {
        pthread_create(&looker, NULL, look_on, r->trackers[0]);
    }
    while (has_power() && violations() == before) {
        act(r, &random, rising);
    }
    update(r, &random); /* nor does a later call hang, or claim too much */
    atomic_store(&shared->started, true);
    _exit(violations() > before ? OBJECTION : 0);
}

static void nap(long nanoseconds)
{
    struct timespec moment = {0, nanoseconds};
    nanosleep(&moment, NULL);
}

/* Waits for the end of a process that works on a disk without power. One with a thread in mapped memory that is gone
 * may stand still; it is inside a call of the library then, and can be killed. */
static void end(pid_t child, const char *where)
{
    int status = 0;
    for (int i = 0; waitpid(child, &status, WNOHANG) == 0; i++) {
        if (atomic_load(&shared->stuck) ? i > PATIENCE / 50 : i > PATIENCE) {
            if (!atomic_load(&shared->stuck)) {
                violation(where, "the process hangs on a disk that is gone");
            }
            kill(child, SIGKILL);
            waitpid(child, &status, 0);
            return;
        }
        nap(TICK);
    }
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        violation(where, "the process ended with status %d", status);
    }
}

/* ---------------------------------------------------------------- the checker */

static void check(void)
{
    run *r = &shared->run;
    memset(r->trackers, 0, sizeof r->trackers);
    r->host = NULL;
    r->killed = true;
    run_check_file(r);
    for (int k = 0; k < LEDGER_KEYS; k++) {
        int64_t seen = atomic_load(&shared->seen[k]), stored = shared->books.possible[0].index[0][k];
        if (seen > stored) {
            violation(r->place, "key %d: %lld was seen, %lld is stored", k, (long long)seen, (long long)stored);
        }
    }
}

/* ---------------------------------------------------------------- rounds */

/* The next rounds have a file of their own; it is safely there. */
static void begin(const char *directory, unsigned long long *random)
{
    static const run_template kinds[] = {RUN_NEW, RUN_HOST, RUN_USED, RUN_LIVE};
    run_begin(&shared->run, directory, kinds[fault_draw(random) % 4], &shared->books);
    disk_sync();
}

static void play(unsigned long long *random, bool rising)
{
    run *r = &shared->run;
    r->fault = RUN_NO_FAULT;
    for (int k = 0; k < LEDGER_KEYS; k++) {
        atomic_store(&shared->seen[k], LEDGER_NEVER);
    }
    atomic_store(&shared->started, false);
    atomic_store(&shared->stuck, false);
    fflush(NULL);
    unsigned long long its_own = fault_draw(random);
    pid_t child = fork();
    if (child == 0) {
        work(its_own, rising);
    }
    bool opened = fault_draw(random) % 4 != 0; /* else the power may fail while the file is opened */
    for (int i = 0; i < PATIENCE && opened && !atomic_load(&shared->started); i++) {
        nap(TICK);
    }
    nap((long)(fault_draw(random) % MOST_NANOSECONDS));
    r->fault = RUN_NO_POWER; /* before the cut: a call that succeeds from now on has nobody to tell it to */
    disk_cut();
    end(child, r->place);
    disk_restore();
    check();
}

static void on_interrupt(int signal)
{
    (void)signal;
    interrupted = 1;
}

static void end_in_order_when_interrupted(void)
{
    struct sigaction action = {.sa_handler = on_interrupt, .sa_flags = SA_RESTART};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
}

/* Cuts the power again and again. Returns how often; -1: it is refused. */
static long cut(const char *system, const char *directory, unsigned long long seed)
{
    char mounted[250];
    unsigned long long random = seed * 2 + 1;
    long cuts = 0, wanted = (long)fault_option("cuts", 1000);
    snprintf(mounted, sizeof mounted, "%s/disk", directory);
    mkdir(mounted, 0700);
    if (!disk_make(system, mounted)) {
        rmdir(mounted);
        return -1;
    }
    for (; cuts < wanted && !fault_enough() && !interrupted; cuts++) {
        if (cuts % ROUNDS_OF_A_FILE == 0) {
            begin(mounted, &random);
        }
        snprintf(shared->run.place, sizeof shared->run.place, "%s, cut %ld, --seed %llu", system, cuts, seed);
        play(&random, cuts % 2 == 0);
    }
    disk_remove();
    rmdir(mounted);
    return cuts;
}

int main(int argc, char **argv)
{
    fault_options(argc, argv);
    const char *system = fault_text("system", "ext4");
    unsigned long long seed = fault_option("seed", (unsigned long long)time(NULL));
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    end_in_order_when_interrupted();
    ledger_init_keys();
    shim_install();
    const char *directory = fault_directory();
    run_make_templates(directory);
    sqlite3_vfs_register(sqlite3_vfs_find("unix"), 1); /* real processes need real naps */
    long cuts = cut(system, directory, seed);
    fault_remove_directory();
    if (cuts < 0) {
        return SKIPPED;
    }
    printf("  %lu steps with %lu exports, --seed %llu\n", (unsigned long)atomic_load(&shared->steps),
           (unsigned long)atomic_load(&shared->exports), seed);
    int result = fault_report("real_cuts", (unsigned long)cuts, "power cuts on %s", system);
    return interrupted ? EXIT_FAILURE : result;
}
