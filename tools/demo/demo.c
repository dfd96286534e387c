/* SPDX-License-Identifier: MIT */

/*
 * ctrack-demo [HISTORY [DIRECTORY]]: a read model that embeds the tracker, is killed, and comes back.
 *
 * The read model (documents.c) keeps a table in documents.db; its progress is in progress.db, the tracker's file. The
 * order is what matters: first the table is committed, then the tracker is told. So a kill between the two leaves the
 * tracker behind the table, never ahead: a client may wait too long, but never reads too early. Since at most the last
 * write can be missing, the read model reports that one again when it starts.
 *
 * The program runs itself twice, as `ctrack-demo --first …` and `--second …`. It does not fork, since a tracker must
 * not be used across fork(). Every claim that it prints it has checked; the exit code is 1 when one of them is false.
 */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <sqlite3.h>

#include "ctrack.h"
#include "documents.h"
#include "history.h"

extern char **environ;

typedef struct demo_plan {
    char *program;
    char *history_path;
    char *directory;
    char documents_path[4096];
    char tracker_path[4096];
    write_history history;
    size_t killed_after; /* writes processed when the kill comes */
    size_t wanted;       /* the write whose client wants to read it: index in the history */
} demo_plan;

/* The read model's process: what its threads share. */
typedef struct demo_service {
    const demo_plan *demo;
    document_table *documents; /* the main thread's alone */
    ctrack *tracker;
    pthread_barrier_t client_waits;
} demo_service;

static bool fails(const char *what, const char *why)
{
    fprintf(stderr, "ctrack-demo: %s: %s\n", what, why);
    return false;
}

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* ---------------------------------------------------------------- the client */

/* Whether the table holds all of the token; prints the first row of it. */
static bool query(const demo_plan *demo, const ctrack_snapshot *token)
{
    document_table *documents = documents_open(demo->documents_path);
    bool ok = documents != NULL;
    const ctrack_coordinate *entries = ctrack_snapshot_entries(token);
    for (size_t i = 0; ok && i < ctrack_snapshot_count(token); i++) {
        int64_t last = documents_last_operation(documents, &entries[i]);
        ok = last >= entries[i].operation_index || fails("query", "the read model lacks the write");
        if (ok && i == 0) {
            printf("  client  wrote operation %" PRId64 " of %s (%s), reads %" PRId64 "\n", entries[i].operation_index,
                   entries[i].document_id, entries[i].scope, last);
        }
    }
    documents_close(documents);
    return ok;
}

/* The first run's client: waits for its write before the read model has begun. Returns NULL when all went well. */
static void *client(void *argument)
{
    demo_service *service = argument;
    const demo_plan *demo = service->demo;
    const ctrack_snapshot *token = demo->history.tokens[demo->wanted];
    ctrack_error error;
    ctrack_promise *promise = NULL;
    int64_t started = now_ms();
    ctrack_status status = ctrack_wait_for(service->tracker, ctrack_snapshot_entries(token),
                                           ctrack_snapshot_count(token), 60000, NULL, &promise, &error);
    if (status == CTRACK_OK) {
        printf("  client  holds the token of write %zu, %zu coordinates; waits: %s\n", demo->wanted + 1,
               ctrack_snapshot_count(token), ctrack_status_name(ctrack_promise_status(promise)));
    } else {
        fails("wait", error.message);
    }
    pthread_barrier_wait(&service->client_waits);
    if (status == CTRACK_OK) {
        status = ctrack_promise_await(promise);
        printf("  client  woken after %" PRId64 " ms: %s\n", now_ms() - started, ctrack_status_name(status));
        ctrack_promise_release(promise);
    }
    return status == CTRACK_OK && query(demo, token) ? NULL : service;
}

/* ---------------------------------------------------------------- the read model's process */

static bool service_open(const demo_plan *demo, demo_service *service)
{
    ctrack_error error;
    *service = (demo_service){.demo = demo, .documents = documents_open(demo->documents_path)};
    if (service->documents == NULL) {
        return false;
    }
    if (ctrack_open(demo->tracker_path, NULL, &service->tracker, &error) != CTRACK_OK) {
        documents_close(service->documents);
        return fails("open", error.message);
    }
    return true;
}

static bool service_close(demo_service *service)
{
    ctrack_error error;
    documents_close(service->documents);
    return ctrack_close(service->tracker, &error) == CTRACK_OK || fails("close", error.message);
}

static bool report_progress(ctrack *tracker, const ctrack_snapshot *token)
{
    ctrack_error error;
    return ctrack_update(tracker, ctrack_snapshot_entries(token), ctrack_snapshot_count(token), &error) == CTRACK_OK ||
           fails("update", error.message);
}

/* Processes the writes first … end - 1: the table is committed first, then the trackers are told. */
static bool process(demo_service *service, size_t first, size_t end, ctrack *other_tracker)
{
    for (size_t i = first; i < end; i++) {
        const ctrack_snapshot *token = service->demo->history.tokens[i];
        if (!documents_process(service->documents, token) || !report_progress(service->tracker, token) ||
            (other_tracker != NULL && !report_progress(other_tracker, token))) {
            return false;
        }
    }
    return true;
}

/* Starts the client, processes half of the history while it waits, and joins it. */
static bool serve_client(demo_service *service)
{
    pthread_t thread;
    pthread_barrier_init(&service->client_waits, NULL, 2);
    if (pthread_create(&thread, NULL, client, service) != 0) {
        return fails("client", "no thread");
    }
    pthread_barrier_wait(&service->client_waits);
    bool ok = process(service, 0, service->demo->killed_after - 1, NULL);
    if (!ok) {
        ctrack_close(service->tracker, NULL); /* ends the client's wait */
        service->tracker = NULL;
    }
    void *failed = NULL;
    pthread_join(thread, &failed);
    pthread_barrier_destroy(&service->client_waits);
    return ok && failed == NULL;
}

/* Ends by being killed at the worst moment: the last write is in the table, and the tracker has not been told. */
static bool first_run(const demo_plan *demo)
{
    demo_service service;
    if (!service_open(demo, &service)) {
        return false;
    }
    if (serve_client(&service) && documents_process(service.documents, demo->history.tokens[demo->killed_after - 1])) {
        printf("  model   has committed write %zu to its table, and is about to report it …\n", demo->killed_after);
        raise(SIGSTOP); /* the parent sees it and kills */
        fails("first run", "was not killed");
    }
    service_close(&service);
    return false;
}

/* The same wait twice, with the same history since the restart: on the tracker with a file, and on one without. */
static bool compare_waits(const demo_plan *demo, ctrack *tracker, ctrack *memory)
{
    const ctrack_snapshot *token = demo->history.tokens[demo->wanted];
    const ctrack_coordinate *entries = ctrack_snapshot_entries(token);
    size_t count = ctrack_snapshot_count(token);
    ctrack_error error;
    if (ctrack_wait(tracker, entries, count, 0, NULL, &error) != CTRACK_OK) {
        return fails("the wait for a token from before the kill", error.message);
    }
    printf("  client  asks again for write %zu, from before the kill, time limit 0: CTRACK_OK at once\n",
           demo->wanted + 1);
    if (!query(demo, token)) {
        return false;
    }
    ctrack_status status = ctrack_wait(memory, entries, count, 200, NULL, &error);
    if (status != CTRACK_TIMED_OUT) {
        return fails("the wait in memory", status == CTRACK_OK ? "is satisfied" : error.message);
    }
    printf("  client  asks a tracker in memory that saw the same second run:\n          %s\n", error.message);
    return true;
}

static bool catch_up(demo_service *service, ctrack *memory)
{
    const demo_plan *demo = service->demo;
    int64_t position = documents_position(service->documents);
    if (position != (int64_t)demo->killed_after) {
        return position >= 0 && fails("second run", "the read model is not where it was killed");
    }
    printf("  model   is at write %zu by its own table; reports it again, then processes %zu to %zu\n",
           demo->killed_after, demo->killed_after + 1, demo->history.count);
    return report_progress(service->tracker, demo->history.tokens[demo->killed_after - 1]) &&
           process(service, demo->killed_after, demo->history.count, memory) &&
           compare_waits(demo, service->tracker, memory);
}

static bool second_run(const demo_plan *demo)
{
    demo_service service;
    ctrack *memory = NULL;
    ctrack_error error;
    if (!service_open(demo, &service)) {
        return false;
    }
    bool ok = ctrack_open(NULL, NULL, &memory, &error) == CTRACK_OK || fails("open", error.message);
    ok = ok && catch_up(&service, memory);
    ctrack_close(memory, NULL);
    return service_close(&service) && ok;
}

/* ---------------------------------------------------------------- the parent */

/* Runs this program again in a role. Returns its wait status once it has stopped or ended, -1 on failure. */
static int run_role(const demo_plan *demo, char *role, pid_t *pid)
{
    char *arguments[] = {demo->program, role, demo->history_path, demo->directory, NULL};
    int status = -1;
    int result = posix_spawnp(pid, demo->program, NULL, NULL, arguments, environ);
    if (result != 0) {
        fails(demo->program, strerror(result));
    } else if (waitpid(*pid, &status, WUNTRACED) != *pid) {
        fails("waitpid", strerror(errno));
        status = -1;
    }
    return status;
}

static bool run_first_and_kill(const demo_plan *demo)
{
    pid_t pid = 0;
    int status = run_role(demo, "--first", &pid);
    if (status == -1 || !WIFSTOPPED(status)) {
        return fails("first run", "ended before it was killed");
    }
    if (kill(pid, SIGKILL) != 0 || waitpid(pid, &status, 0) != pid || !WIFSIGNALED(status)) {
        return fails("kill", strerror(errno));
    }
    printf("  kill -9\n");
    return true;
}

static bool run_second(const demo_plan *demo)
{
    pid_t pid = 0;
    int status = run_role(demo, "--second", &pid);
    return status != -1 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* Compares table and tracker, as any SQLite client could: none ahead, and `behind` keys behind. */
static bool check_files(const demo_plan *demo, size_t behind)
{
    int64_t found_ahead = 0;
    int64_t found_behind = 0;
    document_table *documents = documents_open(demo->documents_path);
    bool ok = documents != NULL && documents_compare(documents, demo->tracker_path, &found_ahead, &found_behind);
    documents_close(documents);
    if (!ok) {
        return false;
    }
    printf("  both files, compared by SQL: progress is ahead of the table for %" PRId64 " keys, behind for %" PRId64
           "\n",
           found_ahead, found_behind);
    return (found_ahead == 0 && found_behind == (int64_t)behind) || fails("the files", "a promise is broken");
}

/* Shows the beginning of what the sqlite3 shell would. */
static int show_row(void *argument, int count, char **values, char **names)
{
    (void)argument;
    (void)names;
    for (int i = 0; i < count; i++) {
        printf("%s%s", i == 0 ? "  " : "|", values[i] != NULL ? values[i] : "");
    }
    printf("\n");
    return 0;
}

static bool show_file(const demo_plan *demo)
{
    static const char sql[] = "SELECT * FROM ctrack_progress LIMIT 3";
    printf("\n$ sqlite3 %s '%s'\n", demo->tracker_path, sql);
    sqlite3 *database = NULL;
    bool ok = sqlite3_open_v2(demo->tracker_path, &database, SQLITE_OPEN_READONLY, NULL) == SQLITE_OK &&
              sqlite3_exec(database, sql, show_row, NULL, NULL) == SQLITE_OK;
    if (!ok) {
        fails(demo->tracker_path, sqlite3_errmsg(database));
    }
    sqlite3_close(database);
    return ok;
}

static bool conduct(const demo_plan *demo)
{
    printf("%s: %zu writes, each with the token that its client was given\n", demo->history_path, demo->history.count);
    printf("\nFirst run: a read model processes them into documents.db and reports its progress to progress.db.\n");
    if (!run_first_and_kill(demo) ||
        !check_files(demo, ctrack_snapshot_count(demo->history.tokens[demo->killed_after - 1]))) {
        return false;
    }
    printf("\nSecond run: the same program on the same files.\n");
    if (!run_second(demo) || !check_files(demo, 0) || !show_file(demo)) {
        return false;
    }
    printf("\nEvery promise was kept: nothing was lost, and nothing was visible too early.\n");
    return true;
}

/* ---------------------------------------------------------------- files and arguments */

static void remove_database(const char *path)
{
    static const char *const suffixes[] = {"", "-wal", "-shm", "-journal"};
    for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
        char name[4200];
        snprintf(name, sizeof name, "%s%s", path, suffixes[i]);
        unlink(name);
    }
}

static void remove_files(const demo_plan *demo)
{
    remove_database(demo->documents_path);
    remove_database(demo->tracker_path);
}

/* Chooses the moment of the kill, and a client whose write must be waited for before it and is never repeated after. */
static bool plan(demo_plan *demo)
{
    size_t count = demo->history.count;
    demo->killed_after = count / 2;
    demo->wanted = history_find_unrepeated(&demo->history, demo->killed_after / 2, demo->killed_after);
    return demo->wanted < count || fails(demo->history_path, "too short, or all that is written is written again");
}

static bool set_directory(demo_plan *demo, char *directory)
{
    demo->directory = directory;
    int documents = snprintf(demo->documents_path, sizeof demo->documents_path, "%s/documents.db", directory);
    int tracker = snprintf(demo->tracker_path, sizeof demo->tracker_path, "%s/progress.db", directory);
    return (documents < (int)sizeof demo->documents_path && tracker < (int)sizeof demo->tracker_path) ||
           fails(directory, strerror(ENAMETOOLONG));
}

/* In a directory that the user names, the files stay for a look. */
static bool conduct_in_named_directory(demo_plan *demo, char *directory)
{
    if (mkdir(directory, 0777) != 0 && errno != EEXIST) {
        return fails(directory, strerror(errno));
    }
    if (!set_directory(demo, directory)) {
        return false;
    }
    remove_files(demo);
    return conduct(demo);
}

static bool conduct_in_temporary_directory(demo_plan *demo)
{
    const char *parent = getenv("TMPDIR");
    char directory[4000];
    int length = snprintf(directory, sizeof directory, "%s/ctrack-demo-XXXXXX", parent != NULL ? parent : "/tmp");
    if (length >= (int)sizeof directory || mkdtemp(directory) == NULL) {
        return fails(directory, "no temporary directory");
    }
    bool ok = set_directory(demo, directory) && conduct(demo);
    remove_files(demo);
    rmdir(directory);
    return ok;
}

static bool run(demo_plan *demo, int count, char **arguments)
{
    if (count == 3 && strcmp(arguments[0], "--first") == 0) {
        return set_directory(demo, arguments[2]) && first_run(demo);
    }
    if (count == 3 && strcmp(arguments[0], "--second") == 0) {
        return set_directory(demo, arguments[2]) && second_run(demo);
    }
    return count == 2 ? conduct_in_named_directory(demo, arguments[1]) : conduct_in_temporary_directory(demo);
}

int main(int argc, char **argv)
{
    static char sample[] = DEMO_HISTORY;
    bool is_role = argc == 4 && (strcmp(argv[1], "--first") == 0 || strcmp(argv[1], "--second") == 0);
    if (!is_role && (argc > 3 || (argc > 1 && argv[1][0] == '-'))) {
        fprintf(stderr, "usage: ctrack-demo [HISTORY [DIRECTORY]]\n");
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0); /* parent and children write to one terminal or pipe, in order */
    demo_plan demo = {.program = argv[0], .history_path = is_role ? argv[2] : argc > 1 ? argv[1] : sample};
    bool ok = history_load(demo.history_path, &demo.history) && plan(&demo) && run(&demo, argc - 1, argv + 1);
    history_free(&demo.history);
    return ok ? 0 : 1;
}
