/* SPDX-License-Identifier: MIT */

/*
 * ctrack-bench: what the tracker costs, in proportion to the raw parts that it is made of, measured in the same run.
 * Each bench runs in a process of its own (bench.h says why); this one keeps the directory and the score.
 */
#include "bench.h"

#include <dirent.h>
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "benches.h"
#include "ctrack.h"
#include "markdown.h"
#include "plot.h"
#include "report.h"

enum { EXIT_RAN = 0, EXIT_NOT_RUN = 1, EXIT_USAGE = 2 };

static const bench_plot by_waits = {"update-by-waits.svg", "Updates and waits, by the number of waits for other keys",
                                    "waits pending for other keys", "microseconds each, in memory"};
static const bench_plot by_threads = {
    "update-by-threads.svg", "Durable updates, by the number of threads that update at once",
    "threads, each updating a key of its own", "durable updates a second, synchronous=FULL"};

static const bench_case cases[] = {
    {"update-memory", "Updates in memory, 10 random keys a call, against uthash lookups of the same keys.",
     bench_update_memory, 9, false, NULL},
    {"update-with-waits", "Updates with as many waits pending as there are keys, against the same with none.",
     bench_update_with_waits, 7, true, NULL},
    {"update-by-waits", "In memory, one random key a call, by how many waits for other keys are pending.",
     bench_update_by_waits, 7, false, &by_waits},
    {"update-file-sustained",
     "Durable updates of random keys, 1,000 a call, two for each key, against upserts of a fifth as many rows.",
     bench_update_file_sustained, 3, true, NULL},
    {"update-file-new-keys", "New keys, 1,000 a call, durably, into an empty file, against upserts of the same.",
     bench_update_file_new_keys, 3, true, NULL},
    {"group-commit-16",
     "16 threads, each updating its own key in a loop, durably; against one durable upsert at a time.",
     bench_group_commit_16, 5, true, NULL},
    {"group-commit-64",
     "64 threads, each updating its own key in a loop, durably; against one durable upsert at a time.",
     bench_group_commit_64, 5, true, NULL},
    {"update-by-threads",
     "As group-commit, by the number of threads; the upserts' threads take turns at one connection.",
     bench_update_by_threads, 3, true, &by_threads},
    {"open-million", "Opening a file with all keys, against a SELECT of the same rows and uthash inserts.", bench_open,
     5, true, NULL},
    {"satisfied-in", "Asking within a host's transaction, while as many rows as there are keys are not folded.",
     bench_satisfied_in, 5, true, NULL},
    {"lazy-get",
     "Asking for one key without having read the file, while as many rows as there are keys are not folded.",
     bench_lazy_get, 5, true, NULL},
    {"export", "A snapshot file of all keys, against SQLite's backup of the same file in one step.", bench_export, 5,
     true, NULL},
    {"export-writer", "Durable updates of one key in a loop, while snapshot files are made, against the same alone.",
     bench_export_writer, 5, true, NULL},
    {"dump", "Dumping a file with all keys, and the memory that it takes.", bench_dump, 3, true, NULL},
    {"restore", "Restoring a dump of all keys, durably, and the memory that it takes.", bench_restore, 3, true, NULL},
    {"memory-per-key", "What a key takes in a tracker in memory, with UUID document ids.", bench_memory_per_key, 3,
     false, NULL},
    {"waits-register-settle", "As many waits as there are keys, each on its own known key, in random order.",
     bench_waits_register_settle, 5, true, NULL},
    {"wait-1000", "One wait on 1,000 coordinates, against 1,000 waits: registering, settling, releasing.",
     bench_wait_1000, 9, true, NULL},
    {"waits-with-timeouts", "A tenth as many waits as keys, all satisfied: with timeouts, against without.",
     bench_waits_with_timeouts, 9, true, NULL},
    {"waits-timing-out", "A tenth as many waits as keys, all timing out, seen by callbacks.", bench_waits_timing_out, 3,
     true, NULL},
    {"wake-thread", "From the call of ctrack_update() to a thread blocked in ctrack_promise_await() running again.",
     bench_wake_thread, 5, true, NULL},
    {"wake-callback", "From the call of ctrack_update() to a callback running.", bench_wake_callback, 5, true, NULL},
    {"foreign-wake", "From the return of another process's durable commit to a callback here.", bench_foreign_wake, 5,
     true, NULL},
    {"idle", "What a tracker that nobody asks does in a second: without waits, and with 1,000 on a quiet file.",
     bench_idle, 3, true, NULL},
    {"foreign-waits", "10,000 waits, satisfied by two other processes that write at once, seen by callbacks.",
     bench_foreign_waits, 3, true, NULL},
    {"stage", "100 random keys staged in a host's transaction, against upserts of the same into a plain table.",
     bench_stage, 3, true, NULL},
    {"catch-up", "A tenth as many foreign advances as keys, against a SELECT of the same and uthash lookups.",
     bench_catch_up, 3, true, NULL},
    {"memory-per-wait", "What a pending wait for one coordinate of a known key takes.", bench_memory_per_wait, 3, false,
     NULL},
};

#define CASES (sizeof cases / sizeof *cases)

typedef struct settings {
    const char *only; /* NULL: all */
    const char *directory;
    report_format format;
    unsigned rounds; /* 0: each bench's own */
    size_t keys;
    uint64_t seed;
    bool allow_tmpfs;
    char *plot;           /* absolute path of a directory, or NULL */
    const char *markdown; /* path of a file, or NULL */
} settings;

static void print_usage(FILE *out)
{
    fputs(
        "usage: ctrack-bench [--only NAME] [--list] [--rounds N] [--keys N] [--seed N] [--dir DIR]\n"
        "                    [--format table|ndjson] [--plot DIR] [--markdown FILE] [--allow-tmpfs]\n"
        "\n"
        "Measures the tracker and prints ratios against the raw parts, measured in the same run.\n"
        "  --only NAME      this bench only\n"
        "  --list           name the benches\n"
        "  --rounds N       rounds of each bench, 1 to 99; else each has its own number\n"
        "  --keys N         scale, 1000 to 10000000; the targets are stated for 1000000, the default\n"
        "  --seed N         of the keys and of the order in which they are used\n"
        "  --dir DIR        where the files go, in a directory that is removed afterwards; else $TMPDIR, else here\n"
        "  --plot DIR       draw the benches that have curves, SVG files into DIR; without --markdown, only those run\n"
        "  --markdown FILE  put the figures that have a target into FILE, as a table in place of what stands between\n"
        "                   its lines '" MARKDOWN_BEGIN "' and '" MARKDOWN_END "'\n"
        "  --allow-tmpfs    measure durable updates on a file system in memory, where they cost nothing\n"
        "\n"
        "Exit: 0 all benches ran, whether targets were met or missed; 1 one could not run; 2 usage.\n",
        out);
}

/* ---------------------------------------------------------------- directory */

static char directory[4096]; /* ours, to be removed */
static volatile sig_atomic_t interrupted;
static volatile sig_atomic_t running_child;

static void interrupt(int signal_number)
{
    interrupted = signal_number;
    if (running_child > 0) {
        kill((pid_t)running_child, SIGTERM);
    }
}

static void remove_files(void)
{
    DIR *open_directory = opendir(directory);
    const struct dirent *entry;
    while (open_directory != NULL && (entry = readdir(open_directory)) != NULL) {
        if (entry->d_name[0] != '.') {
            unlinkat(dirfd(open_directory), entry->d_name, 0);
        }
    }
    if (open_directory != NULL) {
        closedir(open_directory);
    }
}

static int make_directory(const char *where)
{
    const char *parent = where != NULL ? where : getenv("TMPDIR") != NULL ? getenv("TMPDIR") : ".";
    int length = snprintf(directory, sizeof directory, "%s/ctrack-bench-XXXXXX", parent);
    if (length < 0 || (size_t)length >= sizeof directory || mkdtemp(directory) == NULL) {
        fprintf(stderr, "ctrack-bench: cannot make a directory in %s: %s\n", parent, strerror(errno));
        return -1;
    }
    return 0;
}

/* The magic numbers of statfs(2). */
static const char *file_system_name(const char *path, bool *in_memory, char *text, size_t size)
{
    static const struct {
        unsigned long type;
        const char *name;
    } known[] = {{0x01021994, "tmpfs"}, {0x858458f6, "ramfs"}, {0xef53, "ext2/3/4"},
                 {0x58465342, "xfs"},   {0x9123683e, "btrfs"}, {0x794c7630, "overlayfs"},
                 {0x2fc12fc1, "zfs"},   {0xf2f52010, "f2fs"},  {0x6969, "nfs"}};
    struct statfs info;
    *in_memory = false;
    if (statfs(path, &info) != 0) {
        return "an unknown file system";
    }
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if ((unsigned long)info.f_type == known[i].type) {
            *in_memory = i < 2;
            return known[i].name;
        }
    }
    snprintf(text, size, "file system 0x%lx", (unsigned long)info.f_type);
    return text;
}

/* ---------------------------------------------------------------- running */

typedef struct score {
    unsigned met, missed, failed;
} score;

static void run_here(const bench_case *which, const settings *s, const report_header *header, FILE *figures, int out)
{
    bench *b = bench_alloc(1, sizeof *b);
    *b = (bench){.which = which,
                 .keys = s->keys,
                 .rounds = s->rounds > 0 ? s->rounds : which->rounds,
                 .seed = s->seed,
                 .random = s->seed};
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    if (chdir(directory) != 0) {
        bench_fail("%s: %s", directory, strerror(errno));
    }
    which->run(b);
    report_bench(s->format, b);
    if (figures != NULL) {
        markdown_bench(figures, b);
    }
    if (s->plot != NULL && which->plot != NULL) {
        char made[200];
        plot_write(b, s->plot, report_describe(made, sizeof made, header));
    }
    unsigned verdicts[2] = {0, 0};
    report_count(b, &verdicts[0], &verdicts[1]);
    free(b);
    if (write(out, verdicts, sizeof verdicts) != (ssize_t)sizeof verdicts) {
        bench_fail("cannot hand the verdicts over: %s", strerror(errno));
    }
}

static void run_in_child(const bench_case *which, const settings *s, const report_header *header, FILE *figures,
                         score *total)
{
    int ends[2];
    unsigned verdicts[2];
    if (pipe(ends) != 0) {
        bench_fail("no pipe: %s", strerror(errno));
    }
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        close(ends[0]);
        run_here(which, s, header, figures, ends[1]);
        exit(0);
    }
    running_child = (sig_atomic_t)pid;
    close(ends[1]);
    int status = -1;
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    running_child = 0;
    if (status == 0 && read(ends[0], verdicts, sizeof verdicts) == (ssize_t)sizeof verdicts) {
        total->met += verdicts[0];
        total->missed += verdicts[1];
    } else {
        bool killed = pid > 0 && WIFSIGNALED(status);
        fprintf(stderr, "ctrack-bench: %s could not run%s%s\n", which->name, killed ? ": " : "",
                killed ? strsignal(WTERMSIG(status)) : "");
        total->failed++;
    }
    close(ends[0]);
}

static bool wanted(const bench_case *which, const settings *s)
{
    if (s->only != NULL) {
        return strcmp(s->only, which->name) == 0;
    }
    return s->plot == NULL || s->markdown != NULL || which->plot != NULL;
}

static int run_all(const settings *s)
{
    FILE *figures = s->markdown != NULL ? markdown_begin(s->markdown) : NULL;
    if (s->markdown != NULL && figures == NULL) {
        return EXIT_NOT_RUN;
    }
    if (make_directory(s->directory) != 0) {
        return EXIT_NOT_RUN;
    }
    bool in_memory;
    char text[64];
    const char *file_system = file_system_name(directory, &in_memory, text, sizeof text);
    report_header header = {ctrack_version(),
                            sqlite3_libversion(),
                            directory,
                            file_system,
                            sysconf(_SC_NPROCESSORS_ONLN),
                            sysconf(_SC_PAGESIZE),
                            s->keys,
                            s->seed};
    report_begin(s->format, &header);
    score total = {0, 0, 0};
    for (size_t i = 0; i < CASES && !interrupted; i++) {
        if (!wanted(&cases[i], s)) {
            continue;
        }
        if (cases[i].on_disk && in_memory && !s->allow_tmpfs) {
            fprintf(stderr, "ctrack-bench: %s: %s is no place to measure durable updates: see --dir, --allow-tmpfs\n",
                    cases[i].name, file_system);
            total.failed++;
            continue;
        }
        run_in_child(&cases[i], s, &header, figures, &total);
        remove_files();
    }
    remove_files();
    rmdir(directory);
    report_end(s->format, total.met, total.missed, total.failed);
    if (total.failed > 0 || interrupted || ferror(stdout)) {
        return EXIT_NOT_RUN;
    }
    bool written = figures == NULL || markdown_end(figures, s->markdown, &header, total.met, total.missed) == 0;
    return written ? EXIT_RAN : EXIT_NOT_RUN;
}

/* ---------------------------------------------------------------- options */

static bool parse_number(const char *name, const char *text, uint64_t lowest, uint64_t highest, uint64_t *number)
{
    char *end;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || *text == '-' || value < lowest || value > highest) {
        fprintf(stderr, "ctrack-bench: --%s: '%s' is not a number from %llu to %llu\n", name, text,
                (unsigned long long)lowest, (unsigned long long)highest);
        return false;
    }
    *number = value;
    return true;
}

static bool known_name(const char *name)
{
    for (size_t i = 0; i < CASES; i++) {
        if (strcmp(name, cases[i].name) == 0) {
            return true;
        }
    }
    fprintf(stderr, "ctrack-bench: there is no bench '%s'; --list names them\n", name);
    return false;
}

static void list_names(void)
{
    for (size_t i = 0; i < CASES; i++) {
        printf("%-22s %s\n", cases[i].name, cases[i].how);
    }
}

static bool parse_format(const char *text, report_format *format)
{
    if (strcmp(text, "table") != 0 && strcmp(text, "ndjson") != 0) {
        fprintf(stderr, "ctrack-bench: --format: '%s' is neither table nor ndjson\n", text);
        return false;
    }
    *format = strcmp(text, "table") == 0 ? REPORT_TABLE : REPORT_NDJSON;
    return true;
}

static bool parse_option(int option, settings *s)
{
    uint64_t number = 0;
    bool ok = true;
    switch (option) {
    case 'o':
        s->only = optarg;
        return known_name(optarg);
    case 'd':
        s->directory = optarg;
        return true;
    case 'f':
        return parse_format(optarg, &s->format);
    case 't':
        s->allow_tmpfs = true;
        return true;
    case 'p':
        s->plot = realpath(optarg, NULL); /* the benches run elsewhere */
        if (s->plot == NULL) {
            fprintf(stderr, "ctrack-bench: --plot: %s: %s\n", optarg, strerror(errno));
        }
        return s->plot != NULL;
    case 'm':
        s->markdown = optarg;
        return true;
    case 'r':
        ok = parse_number("rounds", optarg, 1, BENCH_ROUNDS_MAX, &number);
        s->rounds = (unsigned)number;
        return ok;
    case 'k':
        ok = parse_number("keys", optarg, 1000, 10000000, &number);
        s->keys = (size_t)number;
        return ok;
    case 's':
        return parse_number("seed", optarg, 0, UINT64_MAX, &s->seed);
    default:
        return false;
    }
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"only", required_argument, NULL, 'o'},   {"list", no_argument, NULL, 'l'},
        {"rounds", required_argument, NULL, 'r'}, {"keys", required_argument, NULL, 'k'},
        {"seed", required_argument, NULL, 's'},   {"dir", required_argument, NULL, 'd'},
        {"format", required_argument, NULL, 'f'}, {"allow-tmpfs", no_argument, NULL, 't'},
        {"plot", required_argument, NULL, 'p'},   {"markdown", required_argument, NULL, 'm'},
        {"help", no_argument, NULL, 'h'},         {0}};
    settings s = {.keys = BENCH_FULL_SCALE, .seed = (uint64_t)bench_now() ^ (uint64_t)getpid() << 40};
    int option;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 'l') {
            list_names();
            return EXIT_RAN;
        }
        if (option == 'h') {
            print_usage(stdout);
            return EXIT_RAN;
        }
        if (!parse_option(option, &s)) {
            print_usage(stderr);
            return EXIT_USAGE;
        }
    }
    if (optind < argc || (s.only != NULL && s.markdown != NULL)) { /* a table of all, or none */
        print_usage(stderr);
        return EXIT_USAGE;
    }
    struct sigaction action = {.sa_handler = interrupt};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    int result = run_all(&s);
    free(s.plot);
    return result;
}
