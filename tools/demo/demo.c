/* SPDX-License-Identifier: MIT */

/*
 * ctrack-demo [HISTORY [DIRECTORY]]: a read model that embeds the tracker, is killed, and comes back; and a client in
 * another process, which waits for what it wrote.
 *
 * The read model (documents.c) keeps its table and its progress in one SQLite file, documents.db, and commits both in
 * one transaction: ctrack_stage() before the COMMIT, ctrack_refresh() after it. So wherever a kill comes, progress
 * equals the data. The client opens a tracker of its own on the same file, for reading only; nobody tells it anything
 * but the file.
 *
 * The program runs itself anew for each role: `--client …`, `--first …` and `--second …`. It does not fork, since a
 * tracker must not be used across fork(). A role that has got to a point which the parent is to see stops itself
 * (SIGSTOP); the parent waits for that, and lets it go on, or kills it. Every claim that is printed has been checked;
 * the exit code is 1 when one of them is false.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sqlite3.h>

#include "ctrack.h"
#include "documents.h"
#include "history.h"

extern char **environ;

#define PATIENCE_MS 60000

typedef struct demo_plan {
    char *program;
    char *history_path;
    char *directory;
    char path[4096]; /* documents.db */
    write_history history;
    size_t killed_at;     /* the write at whose COMMIT the kill comes: index in the history, as the next ones */
    size_t wanted_before; /* a write that the client wants to read, processed before the kill */
    size_t wanted_after;  /* another one, processed after it */
} demo_plan;

static bool fails(const char *what, const char *why)
{
    fprintf(stderr, "ctrack-demo: %s: %s\n", what, why);
    return false;
}

/* ---------------------------------------------------------------- the client's process */

/* Whether the table holds all of the token; prints the first row of it. */
static bool query(const demo_plan *demo, const ctrack_snapshot *token)
{
    document_table *documents = documents_open(demo->path, true);
    bool ok = documents != NULL;
    const ctrack_coordinate *entries = ctrack_snapshot_entries(token);
    for (size_t i = 0; ok && i < ctrack_snapshot_count(token); i++) {
        int64_t last = documents_last_operation(documents, &entries[i]);
        ok = last >= entries[i].operation_index || fails("query", "the read model lacks the write");
        if (ok && i == 0) {
            printf("          it wrote operation %" PRId64 " of %s (%s), and reads %" PRId64 "\n",
                   entries[i].operation_index, entries[i].document_id, entries[i].scope, last);
        }
    }
    documents_close(documents);
    return ok;
}

static bool begin_wait(const demo_plan *demo, ctrack *tracker, size_t wanted, ctrack_promise **promise)
{
    const ctrack_snapshot *token = demo->history.tokens[wanted];
    ctrack_error error;
    if (ctrack_wait_for(tracker, ctrack_snapshot_entries(token), ctrack_snapshot_count(token), PATIENCE_MS, NULL,
                        promise, &error) != CTRACK_OK) {
        return fails("wait", error.message);
    }
    ctrack_status status = ctrack_promise_status(*promise);
    printf("  client  (process %ld) waits for write %zu: %s\n", (long)getpid(), wanted + 1, ctrack_status_name(status));
    return status == CTRACK_PENDING || fails("wait", "is not pending");
}

static bool end_wait(const demo_plan *demo, size_t wanted, ctrack_promise *promise)
{
    ctrack_error error;
    if (ctrack_promise_await(promise) != CTRACK_OK) {
        ctrack_promise_explain(promise, &error);
        return fails("wait", error.message);
    }
    printf("  client  (process %ld) is woken: write %zu is there\n", (long)getpid(), wanted + 1);
    return query(demo, demo->history.tokens[wanted]);
}

/* Waits for two writes, of which the second one comes only after the read model was killed and started again. */
static bool be_client(const demo_plan *demo)
{
    ctrack_options options = CTRACK_OPTIONS_INIT;
    options.read_only = true;
    ctrack *tracker = NULL;
    ctrack_error error;
    if (ctrack_open(demo->path, &options, &tracker, &error) != CTRACK_OK) {
        return fails("open", error.message);
    }
    ctrack_promise *before = NULL, *after = NULL;
    bool ok = begin_wait(demo, tracker, demo->wanted_before, &before) &&
              begin_wait(demo, tracker, demo->wanted_after, &after);
    if (ok) {
        raise(SIGSTOP); /* it waits: the read model may begin */
        ok = end_wait(demo, demo->wanted_before, before);
    }
    if (ok) {
        raise(SIGSTOP); /* it has read its first write: the read model may be killed */
        ok = end_wait(demo, demo->wanted_after, after);
    }
    ctrack_promise_release(before);
    ctrack_promise_release(after);
    return (ctrack_close(tracker, &error) == CTRACK_OK || fails("close", error.message)) && ok;
}

/* ---------------------------------------------------------------- the read model's process */

typedef struct demo_service {
    const demo_plan *demo;
    document_table *documents;
    ctrack *tracker;
} demo_service;

/* The tracker first: it makes the file and its tables in it. */
static bool service_open(const demo_plan *demo, demo_service *service)
{
    ctrack_error error;
    *service = (demo_service){.demo = demo};
    if (ctrack_open(demo->path, NULL, &service->tracker, &error) != CTRACK_OK) {
        return fails("open", error.message);
    }
    service->documents = documents_open(demo->path, false);
    if (service->documents == NULL) {
        ctrack_close(service->tracker, NULL);
    }
    return service->documents != NULL;
}

static bool service_close(demo_service *service)
{
    ctrack_error error;
    documents_close(service->documents);
    return ctrack_close(service->tracker, &error) == CTRACK_OK || fails("close", error.message);
}

/* Processes the writes first … end - 1: rows and progress in one transaction, then the tracker looks. */
static bool process(demo_service *service, size_t first, size_t end)
{
    ctrack_error error;
    for (size_t i = first; i < end; i++) {
        if (!documents_stage(service->documents, service->demo->history.tokens[i]) ||
            !documents_commit(service->documents)) {
            return false;
        }
        if (ctrack_refresh(service->tracker, &error) != CTRACK_OK) {
            return fails("refresh", error.message);
        }
    }
    return true;
}

/* Ends by being killed at the worst moment: in the middle of a transaction. */
static bool first_run(const demo_plan *demo)
{
    demo_service service;
    if (!service_open(demo, &service)) {
        return false;
    }
    if (process(&service, 0, demo->killed_at) &&
        documents_stage(service.documents, demo->history.tokens[demo->killed_at])) {
        printf("  model   has changed the rows of write %zu and staged its progress, and is about to COMMIT …\n",
               demo->killed_at + 1);
        raise(SIGSTOP); /* the parent sees it and kills */
        fails("first run", "was not killed");
    }
    service_close(&service);
    return false;
}

/* A token from before the kill, asked for after it: the tracker with a file knows it. */
static bool ask_again(const demo_plan *demo, ctrack *tracker)
{
    const ctrack_snapshot *token = demo->history.tokens[demo->wanted_before];
    ctrack_error error;
    if (ctrack_wait(tracker, ctrack_snapshot_entries(token), ctrack_snapshot_count(token), 0, NULL, &error) !=
        CTRACK_OK) {
        return fails("the wait for a token from before the kill", error.message);
    }
    printf("  model   is asked for write %zu again, from before the kill, time limit 0: CTRACK_OK at once\n",
           demo->wanted_before + 1);
    return true;
}

/* The same question to a tracker without a file, which was told all that has happened since the restart. */
static bool ask_in_memory(const demo_plan *demo)
{
    const ctrack_snapshot *token = demo->history.tokens[demo->wanted_before];
    ctrack *memory = NULL;
    ctrack_error error;
    ctrack_status status = ctrack_open(NULL, NULL, &memory, &error);
    for (size_t i = demo->killed_at; i < demo->history.count && status == CTRACK_OK; i++) {
        const ctrack_snapshot *seen = demo->history.tokens[i];
        status = ctrack_update(memory, ctrack_snapshot_entries(seen), ctrack_snapshot_count(seen), &error);
    }
    if (status == CTRACK_OK) {
        status = ctrack_wait(memory, ctrack_snapshot_entries(token), ctrack_snapshot_count(token), 200, NULL, &error);
    }
    ctrack_close(memory, NULL);
    if (status != CTRACK_TIMED_OUT) {
        return fails("the wait in memory", status == CTRACK_OK ? "is satisfied" : error.message);
    }
    printf("          a tracker in memory that saw the same second run would say:\n          %s\n", error.message);
    return true;
}

static bool catch_up(demo_service *service)
{
    const demo_plan *demo = service->demo;
    int64_t position = documents_position(service->documents);
    if (position != (int64_t)demo->killed_at) {
        return position >= 0 && fails("second run", "the read model is not where its last commit left it");
    }
    printf("  model   is at write %zu by its own table; processes %zu to %zu\n", demo->killed_at, demo->killed_at + 1,
           demo->history.count);
    if (!process(service, demo->killed_at, demo->history.count)) {
        return false;
    }
    raise(SIGSTOP); /* all is processed: the parent waits for the client */
    return ask_again(demo, service->tracker) && ask_in_memory(demo);
}

static bool second_run(const demo_plan *demo)
{
    demo_service service;
    if (!service_open(demo, &service)) {
        return false;
    }
    bool ok = catch_up(&service);
    return service_close(&service) && ok;
}

/* ---------------------------------------------------------------- the parent */

/* Waits until a role has stopped itself (true), or has ended, which is then not what was expected. */
static bool await_stop(pid_t pid, const char *role)
{
    int status = 0;
    if (waitpid(pid, &status, WUNTRACED) != pid) {
        return fails("waitpid", strerror(errno));
    }
    return WIFSTOPPED(status) || fails(role, "has ended too early");
}

/* Lets a role go on to its end, which must be a good one. */
static bool finish(pid_t pid, const char *role)
{
    int status = 0;
    if (kill(pid, SIGCONT) != 0 || waitpid(pid, &status, 0) != pid) {
        return fails(role, strerror(errno));
    }
    return (WIFEXITED(status) && WEXITSTATUS(status) == 0) || fails(role, "has failed");
}

/* Runs this program in a role, to its first stop. Returns the process, -1 on failure. */
static pid_t start(const demo_plan *demo, char *role)
{
    char *arguments[] = {demo->program, role, demo->history_path, demo->directory, NULL};
    pid_t pid = -1;
    int result = posix_spawnp(&pid, demo->program, NULL, NULL, arguments, environ);
    if (result != 0) {
        fails(demo->program, strerror(result));
        return -1;
    }
    return await_stop(pid, role) ? pid : -1;
}

static void kill_role(pid_t pid)
{
    if (pid > 0 && kill(pid, SIGKILL) == 0) {
        waitpid(pid, NULL, 0);
    }
}

/* Compares table and progress, as any SQLite client could. */
static bool check_file(const demo_plan *demo)
{
    int64_t ahead = 0, behind = 0;
    document_table *documents = documents_open(demo->path, true);
    int64_t position = documents != NULL ? documents_position(documents) : -1;
    bool ok = position >= 0 && documents_compare(documents, &ahead, &behind);
    documents_close(documents);
    if (!ok) {
        return false;
    }
    printf("  by SQL: %" PRId64 " writes are in the table; progress is ahead of it for %" PRId64
           " keys, behind for %" PRId64 "\n",
           position, ahead, behind);
    return (ahead == 0 && behind == 0) || fails(demo->path, "a promise is broken");
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
    printf("\n$ sqlite3 %s '%s'\n", demo->path, sql);
    sqlite3 *database = NULL;
    bool ok = sqlite3_open_v2(demo->path, &database, SQLITE_OPEN_READONLY, NULL) == SQLITE_OK &&
              sqlite3_exec(database, sql, show_row, NULL, NULL) == SQLITE_OK;
    if (!ok) {
        fails(demo->path, sqlite3_errmsg(database));
    }
    sqlite3_close(database);
    return ok;
}

/* The first run, with the client waiting from before its beginning: ends with the kill. */
static bool conduct_first_run(const demo_plan *demo, pid_t client)
{
    kill(client, SIGCONT);
    pid_t model = start(demo, "--first");
    bool ok = model > 0 && await_stop(client, "--client");
    kill_role(model);
    printf("  kill -9\n");
    return ok && check_file(demo);
}

static bool conduct_second_run(const demo_plan *demo, pid_t client)
{
    kill(client, SIGCONT);
    pid_t model = start(demo, "--second");
    if (model < 0) {
        kill_role(client);
        return false;
    }
    bool ok = finish(client, "--client");
    return finish(model, "--second") && ok && check_file(demo);
}

static bool conduct_runs(const demo_plan *demo)
{
    printf("\nA client, which only reads, waits in a process of its own for two of its writes.\n");
    pid_t client = start(demo, "--client");
    if (client < 0) {
        return false;
    }
    printf("\nFirst run: the read model commits its rows and its progress together.\n");
    bool ok = conduct_first_run(demo, client);
    if (ok) {
        printf("\nSecond run: the same program on the same file. The client still waits for its other write.\n");
        return conduct_second_run(demo, client);
    }
    kill_role(client);
    return false;
}

/* Makes the file, so that the client can open it before the read model first runs. */
static bool make_file(const demo_plan *demo)
{
    demo_service service;
    return service_open(demo, &service) && service_close(&service);
}

static bool conduct(const demo_plan *demo)
{
    printf("%s: %zu writes, each with the token that its client was given\n", demo->history_path, demo->history.count);
    if (!make_file(demo) || !conduct_runs(demo) || !show_file(demo)) {
        return false;
    }
    printf("\nEvery promise was kept: nothing was lost, and nothing was visible too early.\n");
    return true;
}

/* ---------------------------------------------------------------- files and arguments */

static void remove_file(const demo_plan *demo)
{
    static const char *const suffixes[] = {"", "-wal", "-shm", "-journal"};
    for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
        char name[4200];
        snprintf(name, sizeof name, "%s%s", demo->path, suffixes[i]);
        unlink(name);
    }
}

/* Chooses the moment of the kill, and writes to be waited for: one before it, never repeated after, and one after. */
static bool plan(demo_plan *demo)
{
    size_t count = demo->history.count;
    demo->killed_at = count / 2;
    demo->wanted_before = history_find_unrepeated(&demo->history, demo->killed_at / 2, demo->killed_at);
    demo->wanted_after = demo->killed_at + (count - demo->killed_at) / 2;
    return demo->wanted_before < count ||
           fails(demo->history_path, "too short, or all that is written is written again");
}

static bool set_directory(demo_plan *demo, char *directory)
{
    demo->directory = directory;
    int length = snprintf(demo->path, sizeof demo->path, "%s/documents.db", directory);
    return length < (int)sizeof demo->path || fails(directory, strerror(ENAMETOOLONG));
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
    remove_file(demo);
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
    remove_file(demo);
    rmdir(directory);
    return ok;
}

typedef struct demo_role {
    const char *name;
    bool (*run)(const demo_plan *demo);
} demo_role;

static const demo_role roles[] = {{"--client", be_client}, {"--first", first_run}, {"--second", second_run}};

/* The role that the arguments ask for; NULL: the parent's. */
static const demo_role *find_role(int argc, char **argv)
{
    for (size_t i = 0; argc == 4 && i < sizeof roles / sizeof roles[0]; i++) {
        if (strcmp(argv[1], roles[i].name) == 0) {
            return &roles[i];
        }
    }
    return NULL;
}

int main(int argc, char **argv)
{
    static char sample[] = DEMO_HISTORY;
    const demo_role *role = find_role(argc, argv);
    if (role == NULL && (argc > 3 || (argc > 1 && argv[1][0] == '-'))) {
        fprintf(stderr, "usage: ctrack-demo [HISTORY [DIRECTORY]]\n");
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0); /* parent and children write to one terminal or pipe, in order */
    demo_plan demo = {.program = argv[0], .history_path = role != NULL ? argv[2] : argc > 1 ? argv[1] : sample};
    bool ok = history_load(demo.history_path, &demo.history) && plan(&demo);
    if (ok && role != NULL) {
        ok = set_directory(&demo, argv[3]) && role->run(&demo);
    } else if (ok) {
        ok = argc == 3 ? conduct_in_named_directory(&demo, argv[2]) : conduct_in_temporary_directory(&demo);
    }
    history_free(&demo.history);
    return ok ? 0 : 1;
}
