/* SPDX-License-Identifier: MIT */
/*
 * Trackers at work beside what real hosts do. Four processes share a file (worker.h): one writes, one follows and
 * waits, one reads, one stages. Meanwhile a seeded host does one thing after the other, in a process of its own or
 * inside one of theirs (host.h): it opens and closes the file, takes backups back into it, forks, runs out of
 * descriptors, fills the disk, holds locks, moves the directory, stops and kills processes, changes schemas.
 *
 * A step: a wait begins in each process; all work; the host does what it does, until that trouble is over; what is
 * waited for is committed, by a process that is drawn; all are still. Then the books (tally.h) are held against the
 * file, as a process sees it that has had nothing to do with it before:
 *
 * - what was acknowledged is in the file that the name names, and nothing is that nobody wrote;
 * - the file is sound, and ctrack_check() finds nothing;
 * - each wait has ended well, within a second, and not before there was what it waits for;
 * - each tracker shows what the file has, after a refresh;
 * - no call has failed that the trouble does not excuse;
 * - no descriptor, thread or file is left behind.
 *
 * On a file system of its own where mounting is allowed; else nothing can fill it up, which is SKIPPED.
 *
 * --steps N, --minutes N (instead), --seed N; --only NAME draws that kind of step only; --list lists them.
 */
#define _GNU_SOURCE /* unshare */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "fault.h"
#include "worker.h"

enum { SECOND_NS = 1000000000, MS_NS = 1000000, PATIENCE_S = 30, LATENESS = 10, NOBODY = WORKERS };
enum { SPARE_DESCRIPTORS = 10, SPARE_THREADS = 3, LONGEST_WORK_NS = 4 * MS_NS };

static struct shared {
    tally books;
    host_findings findings;
    worker_page pages[WORKERS];
} * shared;

static worker workers[WORKERS];
static long usual_descriptors[WORKERS], usual_threads[WORKERS]; /* -1: not counted yet */
static unsigned long long chance;
static char disk[250], place[120];
static bool mounted, has_backup[HOST_BACKUPS];
static int64_t lateness; /* by how much a nap has been too long, at most, in this step: how busy the machine is */

static volatile sig_atomic_t interrupted;

static unsigned long long draw(unsigned long long below)
{
    return fault_draw(&chance) % below;
}

static void nap(int64_t nanoseconds)
{
    int64_t before = host_now();
    host_nap(nanoseconds);
    int64_t late = host_now() - before - nanoseconds;
    lateness = late > lateness ? late : lateness;
}

/* Naps a little; false once that has gone on for too long. */
static bool patience(int64_t since)
{
    nap(MS_NS / 10);
    return host_now() - since < (int64_t)PATIENCE_S * SECOND_NS;
}

/* ---------------------------------------------------------------- workers, all at once */

static void start_worker(int i)
{
    usual_descriptors[i] = usual_threads[i] = -1;
    if (!worker_start(&workers[i], (worker_role)i, fault_draw(&chance))) {
        violation(place, "process %d cannot open the file", i);
    }
}

/* A process that has ended by itself, or hangs, is one violation. */
static void replace_worker(int i, const char *why)
{
    violation(place, "process %d %s", i, why);
    worker_kill(&workers[i]);
    start_worker(i);
}

static void let_work(void)
{
    for (int i = 0; i < WORKERS; i++) {
        worker_order(&workers[i], true);
    }
}

static void let_be_still(void)
{
    int64_t since = host_now();
    for (int i = 0; i < WORKERS; i++) {
        worker_order(&workers[i], false);
    }
    for (int i = 0; i < WORKERS; i++) {
        while (!worker_obeys(&workers[i])) {
            if (!worker_is_alive(&workers[i])) {
                replace_worker(i, "has ended by itself");
            } else if (!patience(since)) {
                replace_worker(i, "hangs in a call");
            }
        }
    }
}

static void excuse(int which, unsigned long statuses)
{
    for (int i = 0; i < WORKERS; i++) {
        if (which == NOBODY || which == i) {
            atomic_fetch_or(&worker_pages[i].excused, statuses);
        }
    }
}

static void allow_opening(bool allowed)
{
    for (int i = 0; i < WORKERS; i++) {
        atomic_store(&worker_pages[i].may_open, allowed);
    }
}

/* ---------------------------------------------------------------- acts */

/* In a process of its own, which is all that it is for. */
static bool act_outside(const host_act *act)
{
    int status = 0;
    pid_t parent = getpid();
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        static const host_guests none;
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        _exit(getppid() == parent && host_do(act, &none) ? EXIT_SUCCESS : EXIT_FAILURE);
    }
    for (int64_t since = host_now(); waitpid(child, &status, WNOHANG) == 0;) {
        if (!patience(since)) {
            object("a process of the host's hangs");
            kill(child, SIGKILL);
            waitpid(child, &status, 0);
            break;
        }
    }
    if (WIFSIGNALED(status)) {
        object("a process of the host's ended with signal %d", WTERMSIG(status));
    }
    return status == 0;
}

/* Inside one of the workers, beside its tracker. */
static bool act_inside(int which, const host_act *act)
{
    worker_act(&workers[which], act);
    int done = worker_acted(&workers[which]);
    if (done < 0) {
        replace_worker(which, "does not come back from what its host does");
    }
    return done > 0;
}

/* Somewhere: inside one of the workers, or outside. */
static bool act_somewhere(int which, const host_act *act)
{
    return which == NOBODY ? act_outside(act) : act_inside(which, act);
}

static host_act draw_act(host_kind kind)
{
    host_act act = {kind, {0}};
    for (int i = 0; i < HOST_DRAWS; i++) {
        act.draws[i] = (int64_t)(fault_draw(&chance) >> 1);
    }
    return act;
}

/* ---------------------------------------------------------------- steps that are not mere acts */

static void back_up(int which)
{
    host_act act = draw_act(HOST_BACK_UP);
    if (act_somewhere(which, &act)) {
        has_backup[act.draws[0] % HOST_BACKUPS] = true;
    }
}

/* While all are still, or while they work: then nobody knows what an acknowledgement is worth until it is done. */
static void restore(int which)
{
    host_act act = draw_act(HOST_RESTORE);
    bool meanwhile = draw(2) == 0;
    act.draws[0] %= HOST_BACKUPS + 1;
    if (act.draws[0] != HOST_OTHER_BACKUP && !has_backup[act.draws[0]]) {
        act.draws[0] = HOST_OTHER_BACKUP;
    }
    size_t said = strlen(place);
    snprintf(place + said, sizeof place - said, " of backup %d%s", (int)act.draws[0], meanwhile ? ", at work" : "");
    if (!meanwhile) {
        let_be_still();
    }
    tally_restoring();
    bool done = act_somewhere(which, &act);
    let_be_still();
    tally_restored(done ? &findings->backups[act.draws[0]] : NULL, meanwhile);
    let_work();
}

static void fill_disk(int which)
{
    static char zeros[65536];
    char ballast[300];
    (void)which;
    snprintf(ballast, sizeof ballast, "%s/ballast", disk);
    int file = open(ballast, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    for (size_t size = sizeof zeros; size >= 4096; size /= 4) {
        while (write(file, zeros, size) == (ssize_t)size) {
        }
    }
    nap((int64_t)draw(40 * MS_NS));
    close(file);
    unlink(ballast);
}

static void change_name(const char *from, const char *to)
{
    allow_opening(false);
    if (rename(from, to) != 0) {
        object("%s cannot be renamed", from);
    }
    nap((int64_t)draw(30 * MS_NS));
    if (rename(to, from) != 0) {
        object("%s cannot be renamed back", from);
    }
    allow_opening(true);
}

static void move_directory(int which)
{
    char away[320];
    (void)which;
    snprintf(away, sizeof away, "%s.away", places.home);
    change_name(places.home, away);
}

static void rename_file(int which)
{
    char away[360];
    (void)which;
    snprintf(away, sizeof away, "%s.away", places.file);
    change_name(places.file, away);
}

static void link_file(int which)
{
    char too[360];
    host_act act = draw_act(HOST_OPEN_OTHER_NAME);
    snprintf(too, sizeof too, "%s.too", places.file);
    allow_opening(false);
    if (link(places.file, too) != 0) {
        object("%s cannot be linked", places.file);
    }
    act_somewhere(which, &act);
    unlink(too);
    allow_opening(true);
}

static void stop(int which)
{
    kill(workers[which].pid, SIGSTOP);
    nap((int64_t)draw(40 * MS_NS));
    kill(workers[which].pid, SIGCONT);
}

static void kill_and_restart(int which)
{
    int64_t index = atomic_load(&worker_pages[which].waits_for);
    if (!worker_kill(&workers[which])) {
        violation(place, "process %d has ended by itself", which);
    }
    nap((int64_t)draw(2 * MS_NS));
    start_worker(which);
    worker_arm(&workers[which], index);
    worker_acted(&workers[which]);
    worker_order(&workers[which], true);
}

/* ---------------------------------------------------------------- the kinds of steps */

#define MAY(status) (1UL << CTRACK_##status)

typedef enum where { INSIDE = 1, OUTSIDE = 2, ANYWHERE = 3 } where;

static const struct kind {
    const char *name;
    where where;
    unsigned weight;
    unsigned long excused;   /* what calls of all workers may return; waits never end for it */
    bool only_there;         /* it concerns only the worker inside which it is done */
    void (*play)(int which); /* NULL: it is a mere act */
    host_kind act;
} kinds[] = {
    {"read-files", ANYWHERE, 8, 0, false, NULL, HOST_READ_FILES},
    {"visit", ANYWHERE, 8, 0, false, NULL, HOST_VISIT},
    {"second-sqlite", INSIDE, 4, 0, false, NULL, HOST_VISIT_WITH_SECOND_SQLITE},
    {"tracker-beside", ANYWHERE, 4, 0, false, NULL, HOST_TRACKER_BESIDE},
    {"tracker-elsewhere", ANYWHERE, 2, 0, false, NULL, HOST_TRACKER_ELSEWHERE},
    {"one-shot", OUTSIDE, 6, 0, false, NULL, HOST_ONE_SHOT},
    {"fork", INSIDE, 4, 0, false, NULL, HOST_FORK},
    {"fork-lives-on", INSIDE, 4, 0, false, NULL, HOST_FORK_AND_LIVE_ON},
    {"lower-limit", INSIDE, 5, MAY(IO), true, NULL, HOST_LOWER_LIMIT},
    {"use-up-descriptors", INSIDE, 3, MAY(IO), true, NULL, HOST_USE_UP_DESCRIPTORS},
    {"hold-lock", ANYWHERE, 6, 0, false, NULL, HOST_HOLD_LOCK},
    {"read-long", ANYWHERE, 6, 0, false, NULL, HOST_READ_LONG},
    {"back-up", ANYWHERE, 5, 0, false, back_up, HOST_BACK_UP},
    {"restore", ANYWHERE, 8, 0, false, restore, HOST_RESTORE},
    {"migrate", ANYWHERE, 6, 0, false, NULL, HOST_MIGRATE},
    {"alter-ours", ANYWHERE, 4, MAY(CORRUPT), false, NULL, HOST_ALTER_OURS},
    {"checkpoint", ANYWHERE, 4, 0, false, NULL, HOST_CHECKPOINT},
    {"replace-open-file", OUTSIDE, 3, 0, false, NULL, HOST_REPLACE_OPEN_FILE},
    {"fill-disk", OUTSIDE, 4, MAY(FULL), false, fill_disk, HOST_KINDS},
    {"move-directory", OUTSIDE, 4, MAY(IO), false, move_directory, HOST_KINDS},
    {"rename-file", OUTSIDE, 4, MAY(IO), false, rename_file, HOST_KINDS},
    {"link-file", ANYWHERE, 3, MAY(IO), false, link_file, HOST_KINDS},
    {"stop", INSIDE, 4, 0, false, stop, HOST_KINDS},
    {"kill", INSIDE, 4, 0, false, kill_and_restart, HOST_KINDS},
};
enum { KINDS = sizeof kinds / sizeof kinds[0] };
static unsigned long played[KINDS];

/* Whether it can be done here, and is to be. */
static bool is_possible(const struct kind *kind)
{
    const char *only = fault_text("only", NULL);
    return (only == NULL || strcmp(only, kind->name) == 0) && (mounted || kind->play != fill_disk) &&
           (host_has_second_sqlite() || kind->act != HOST_VISIT_WITH_SECOND_SQLITE);
}

static const struct kind *draw_kind(void)
{
    unsigned total = 0;
    for (int i = 0; i < KINDS; i++) {
        total += is_possible(&kinds[i]) ? kinds[i].weight : 0;
    }
    unsigned at = total > 0 ? (unsigned)draw(total) : 0;
    for (int i = 0; i < KINDS; i++) {
        if (is_possible(&kinds[i])) {
            if (at < kinds[i].weight) {
                return &kinds[i];
            }
            at -= kinds[i].weight;
        }
    }
    fprintf(stderr, "there is no such kind of step\n");
    exit(EXIT_FAILURE);
}

static void play(const struct kind *kind, int which)
{
    excuse(kind->only_there ? which : NOBODY, kind->excused);
    if (kind->play != NULL) {
        kind->play(which);
    } else {
        host_act act = draw_act(kind->act);
        act_somewhere(which, &act);
    }
}

/* ---------------------------------------------------------------- waits */

static void begin_waits(void)
{
    int64_t index = atomic_load(&books->keys[TALLY_PROBE].highest) + 1;
    for (int i = 0; i < WORKERS; i++) {
        worker_arm(&workers[i], index);
    }
    for (int i = 0; i < WORKERS; i++) {
        if (worker_acted(&workers[i]) < 0) {
            replace_worker(i, "does not begin a wait");
        }
    }
}

/* Commits what all wait for: through a tracker, a host's transaction, another process's tracker, or plain SQL. */
static void probe(void)
{
    static const int by[] = {WORKER_WRITES, WORKER_FOLLOWS, WORKER_STAGES};
    host_act act = {draw(2) == 0 ? HOST_PROBE_ONE_SHOT : HOST_PROBE_SQL,
                    {atomic_load(&worker_pages[0].waits_for), 0, 0}};
    unsigned long long drawn = draw(5);
    atomic_store(&findings->probed_ns, 0);
    if (drawn >= sizeof by / sizeof by[0]) {
        act_outside(&act);
        return;
    }
    worker_page *page = &worker_pages[by[drawn]];
    atomic_store(&page->probe, true);
    for (int64_t since = host_now(); atomic_load(&page->probe);) {
        if (!worker_is_alive(&workers[by[drawn]]) || !patience(since)) {
            replace_worker(by[drawn], "has ended or hangs while it commits");
        }
    }
}

static void await_waits(void)
{
    int64_t committed = atomic_load(&findings->probed_ns), since = host_now();
    for (int i = 0; i < WORKERS && committed > 0; i++) {
        worker_page *page = &worker_pages[i];
        while (atomic_load(&page->settled_ns) == 0 && patience(since)) {
        }
        int64_t took = atomic_load(&page->settled_ns) - committed;
        if (atomic_load(&page->settled_ns) == 0) {
            violation(place, "process %d: a wait does not end", i);
        } else if (took > SECOND_NS + LATENESS * lateness) {
            violation(place, "process %d: a wait ended %lld ms after its commit", i, (long long)(took / MS_NS));
        }
    }
}

/* ---------------------------------------------------------------- the checker */

static void check_trackers(void)
{
    for (int i = 0; i < WORKERS; i++) {
        worker_show(&workers[i]);
        int shown = worker_acted(&workers[i]);
        if (shown < 0) {
            replace_worker(i, "does not come back from a refresh");
        }
        for (int k = 0; k < TALLY_DEFAULT && shown > 0; k++) {
            int64_t index = atomic_load(&worker_pages[i].shown[k]);
            if (index != findings->state.index[k]) {
                violation(place, "process %d shows %lld of %s:%s, the file has %lld", i, (long long)index,
                          tally_keys[k].key.document_id, tally_keys[k].key.scope, (long long)findings->state.index[k]);
            }
        }
    }
}

static void check_file(void)
{
    host_act act = draw_act(HOST_CHECK);
    if (act_outside(&act)) {
        tally_judge(&findings->state);
    }
}

static long entries_of(const char *directory)
{
    long count = 0;
    DIR *stream = opendir(directory);
    while (stream != NULL && readdir(stream) != NULL) {
        count++;
    }
    if (stream != NULL) {
        closedir(stream);
    }
    return count;
}

static void check_count(int i, const char *what, const char *directory, long usual[], long spare)
{
    char path[60];
    snprintf(path, sizeof path, "/proc/%d/%s", (int)workers[i].pid, directory);
    long count = entries_of(path);
    if (usual[i] < 0) {
        usual[i] = count;
    } else if (count > usual[i] + spare) {
        violation(place, "process %d has %ld %s, it had %ld", i, count, what, usual[i]);
        usual[i] = count;
    }
}

/* Beside the file there is what belongs to it, and nothing else. */
static void check_directory(void)
{
    const char *name = strrchr(places.file, '/') + 1;
    DIR *stream = opendir(places.home);
    for (struct dirent *entry = stream != NULL ? readdir(stream) : NULL; entry != NULL; entry = readdir(stream)) {
        const char *rest = entry->d_name + (strncmp(entry->d_name, name, strlen(name)) == 0 ? strlen(name) : 0);
        if (entry->d_name[0] != '.' && *rest != '\0' && strcmp(rest, "-wal") != 0 && strcmp(rest, "-shm") != 0) {
            violation(place, "%s is left behind", entry->d_name);
        }
    }
    if (stream != NULL) {
        closedir(stream);
    }
}

static void check(void)
{
    check_file();
    check_trackers();
    for (int i = 0; i < WORKERS; i++) {
        check_count(i, "descriptors", "fd", usual_descriptors, SPARE_DESCRIPTORS);
        check_count(i, "threads", "task", usual_threads, SPARE_THREADS);
        atomic_store(&worker_pages[i].excused, 0);
    }
    check_directory();
    tally_fetch_objections(place);
}

static void take_step(unsigned long number)
{
    const struct kind *kind = draw_kind();
    int which = kind->where == OUTSIDE || (kind->where == ANYWHERE && draw(3) == 0) ? NOBODY : (int)draw(WORKERS);
    snprintf(place, sizeof place, "step %lu, %s in %d", number, kind->name, which);
    lateness = 0;
    begin_waits();
    let_work();
    nap((int64_t)draw(LONGEST_WORK_NS));
    play(kind, which);
    nap((int64_t)draw(LONGEST_WORK_NS));
    probe();
    await_waits();
    let_be_still();
    check();
    played[kind - kinds]++;
}

/* ---------------------------------------------------------------- the places */

/* A small file system, seen by this process and its children only; it goes with them. */
static bool mount_disk(void)
{
    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("none", disk, "tmpfs", MS_NOATIME, "size=32m,mode=0700") != 0) {
        fprintf(stderr, "mounting is refused here (%s): a full disk is SKIPPED\n", strerror(errno));
        return false;
    }
    return true;
}

static void make_places(const char *directory)
{
    snprintf(disk, sizeof disk, "%s/disk", directory);
    mkdir(disk, 0700);
    mounted = mount_disk();
    snprintf(places.home, sizeof places.home, "%s/home", disk);
    snprintf(places.backups, sizeof places.backups, "%s/backups", disk);
    snprintf(places.copies, sizeof places.copies, "%s/copies", disk);
    snprintf(places.other, sizeof places.other, "%s/other.db", disk);
    snprintf(places.file, sizeof places.file, "%s/progress.db", places.home);
    snprintf(places.wal, sizeof places.wal, "%s-wal", places.file);
    snprintf(places.shm, sizeof places.shm, "%s-shm", places.file);
    mkdir(places.home, 0700);
    mkdir(places.backups, 0700);
    mkdir(places.copies, 0700);
}

static int remove_it(const char *path, const struct stat *status, int type, struct FTW *walk)
{
    (void)status;
    (void)type;
    (void)walk;
    remove(path);
    return 0;
}

static void remove_places(void)
{
    if (mounted) {
        umount2(disk, MNT_DETACH);
    }
    nftw(disk, remove_it, 8, FTW_DEPTH | FTW_PHYS);
    fault_remove_directory();
}

/* In a process of its own: this one must be able to fork. */
static void make_file(const char *path, bool progress)
{
    int status = 0;
    pid_t child = fork();
    if (child == 0) {
        host_make(path, progress);
        _exit(EXIT_SUCCESS);
    }
    if (waitpid(child, &status, 0) != child || status != 0) {
        exit(EXIT_FAILURE);
    }
}

static void begin(const char *directory)
{
    make_places(directory);
    make_file(places.file, false);
    make_file(places.other, true);
    for (int k = 0; k < TALLY_KEYS; k++) {
        atomic_store(&books->keys[k].attempted, TALLY_NEVER);
        atomic_store(&books->keys[k].acknowledged, TALLY_NEVER);
        atomic_store(&books->keys[k].highest, TALLY_DEFAULT); /* what the other file has at the most, so far */
    }
    for (int i = 0; i < WORKERS; i++) {
        start_worker(i);
    }
}

static void list_kinds(void)
{
    for (int i = 0; i < KINDS; i++) {
        printf("%s\n", kinds[i].name);
    }
}

static unsigned long take_steps(void)
{
    int64_t minutes = (int64_t)fault_option("minutes", 0), end = host_now() + minutes * 60 * SECOND_NS;
    unsigned long steps = 0, wanted = (unsigned long)(fault_option("steps", 2000) / fault_option("parts", 1));
    while ((minutes > 0 ? host_now() < end : steps < wanted) && !fault_enough() && !interrupted) {
        take_step(steps++);
    }
    return steps;
}

static void on_interrupt(int signal)
{
    (void)signal;
    interrupted = 1;
}

/* After the step that is under way; nothing is left behind. */
static void end_in_order_when_interrupted(void)
{
    struct sigaction action = {.sa_handler = on_interrupt, .sa_flags = SA_RESTART};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
}

int main(int argc, char **argv)
{
    fault_options(argc, argv);
    if (argc == 2 && strcmp(argv[1], "--list") == 0) {
        list_kinds();
        return EXIT_SUCCESS;
    }
    unsigned long long seed = fault_option("seed", (unsigned long long)time(NULL));
    chance = (seed + fault_option("part", 0)) * 2 + 1;
    signal(SIGPIPE, SIG_IGN);
    end_in_order_when_interrupted();
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    books = &shared->books;
    findings = &shared->findings;
    worker_pages = shared->pages;
    begin(fault_directory());
    unsigned long steps = take_steps(), calls = 0;
    for (int i = 0; i < WORKERS; i++) {
        calls += atomic_load(&worker_pages[i].calls);
        worker_kill(&workers[i]);
    }
    remove_places();
    for (int i = 0; i < KINDS; i++) {
        printf("  %s: %lu\n", kinds[i].name, played[i]);
    }
    printf("  %lu calls meanwhile, --seed %llu\n", calls, seed);
    int result = fault_report("neighbours", steps, "steps of a host beside trackers at work");
    return interrupted ? EXIT_FAILURE : result;
}
