/* SPDX-License-Identifier: MIT */
#include "support.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <sqlite3.h>

char support_untouched[] = "untouched";

/* ---------------------------------------------------------------- gates and recorders */

void gate_init(gate *g)
{
    pthread_mutex_init(&g->lock, NULL);
    pthread_cond_init(&g->opened, NULL);
    g->open = false;
}

void gate_destroy(gate *g)
{
    pthread_cond_destroy(&g->opened);
    pthread_mutex_destroy(&g->lock);
}

void gate_open(gate *g)
{
    pthread_mutex_lock(&g->lock);
    g->open = true;
    pthread_cond_broadcast(&g->opened);
    pthread_mutex_unlock(&g->lock);
}

void gate_pass(gate *g)
{
    pthread_mutex_lock(&g->lock);
    while (!g->open) {
        pthread_cond_wait(&g->opened, &g->lock);
    }
    pthread_mutex_unlock(&g->lock);
}

void recorder_init(recorder *r)
{
    memset(r, 0, sizeof *r);
    pthread_mutex_init(&r->lock, NULL);
    pthread_cond_init(&r->grown, NULL);
}

void recorder_destroy(recorder *r)
{
    pthread_cond_destroy(&r->grown);
    pthread_mutex_destroy(&r->lock);
}

void record(ctrack_promise *promise, ctrack_status outcome, void *argument)
{
    recorder *r = argument;
    pthread_mutex_lock(&r->lock);
    if (r->count < RECORDER_MAX) {
        r->calls[r->count] = (struct recorded_call){promise, outcome, pthread_self()};
    }
    r->count++;
    pthread_cond_broadcast(&r->grown);
    pthread_mutex_unlock(&r->lock);
}

void recorder_await(recorder *r, size_t count)
{
    pthread_mutex_lock(&r->lock);
    while (r->count < count) {
        pthread_cond_wait(&r->grown, &r->lock);
    }
    pthread_mutex_unlock(&r->lock);
}

size_t recorder_count(recorder *r)
{
    pthread_mutex_lock(&r->lock);
    size_t count = r->count;
    pthread_mutex_unlock(&r->lock);
    return count;
}

/* ---------------------------------------------------------------- the fixture */

static char program_path[4096];
/* What runs this program, where the machine does not. */
#ifndef TEST_EMULATOR
#define TEST_EMULATOR
#endif

/* A test that hangs must say so itself: the alarm of each test ends the program, and cmocka's output names the test. */
static void on_alarm(int number)
{
    (void)number;
    static const char message[] = "the test above hangs (CTRACK_TEST_TIMEOUT seconds are over)\n";
    if (write(STDERR_FILENO, message, sizeof message - 1) < 0) {
        /* Nothing is left to try. */
    }
    abort();
}

static void remove_tree(const char *directory)
{
    DIR *stream = opendir(directory);
    if (stream == NULL) {
        return;
    }
    for (struct dirent *entry = readdir(stream); entry != NULL; entry = readdir(stream)) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) {
            continue;
        }
        char path[1024];
        snprintf(path, sizeof path, "%s/%s", directory, entry->d_name);
        struct stat status;
        if (lstat(path, &status) == 0 && S_ISDIR(status.st_mode)) {
            remove_tree(path);
        } else {
            unlink(path);
        }
    }
    closedir(stream);
    rmdir(directory);
}

int fixture_setup(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    if (f == NULL) {
        return -1;
    }
    const char *base = getenv("TMPDIR");
    snprintf(f->directory, sizeof f->directory, "%s/ctrack-test-XXXXXX", base != NULL && *base != '\0' ? base : "/tmp");
    if (mkdtemp(f->directory) == NULL) {
        free(f);
        return -1;
    }
    snprintf(f->path, sizeof f->path, "%s/progress.db", f->directory);
    memset(&f->error, 0, sizeof f->error);
    recorder_init(&f->recorder);
    gate_init(&f->gate);
    *state = f;
    alarm((unsigned)environment_number("CTRACK_TEST_TIMEOUT", 120));
    return 0;
}

int fixture_setup_in_memory(void **state)
{
    if (fixture_setup(state) != 0) {
        return -1;
    }
    fixture *f = *state;
    return ctrack_open(NULL, NULL, &f->tracker, NULL) == CTRACK_OK ? 0 : -1;
}

int fixture_setup_on_file(void **state)
{
    if (fixture_setup(state) != 0) {
        return -1;
    }
    fixture *f = *state;
    ctrack_status status = ctrack_open(f->path, NULL, &f->tracker, &f->error);
    if (status != CTRACK_OK) {
        print_error("%s: %s\n", f->path, f->error.message);
    }
    return status == CTRACK_OK ? 0 : -1;
}

int fixture_teardown(void **state)
{
    fixture *f = *state;
    ctrack_status status = ctrack_close(f->tracker, NULL);
    alarm(0);
    if (f->disk[0] != '\0') {
        umount2(f->disk, MNT_DETACH);
    }
    remove_tree(f->directory);
    recorder_destroy(&f->recorder);
    gate_destroy(&f->gate);
    free(f->extra);
    free(f);
    return status == CTRACK_OK ? 0 : -1;
}

int support_main(int argc, char **argv, const char *name, const struct CMUnitTest *tests, size_t count,
                 int (*run_child)(const char *mode, const char *argument))
{
    ssize_t length = readlink("/proc/self/exe", program_path, sizeof program_path - 1);
    program_path[length > 0 ? length : 0] = '\0';
    if (argc == 4 && strcmp(argv[1], "--child") == 0) {
        return run_child == NULL ? 2 : run_child(argv[2], argv[3]);
    }
    signal(SIGALRM, on_alarm);
    signal(SIGPIPE, SIG_IGN);
    if (argc > 1) {
        cmocka_set_test_filter(argv[1]);
    }
    return _cmocka_run_group_tests(name, tests, count, NULL, NULL);
}

void support_assert_status(ctrack_status actual, ctrack_status expected, const char *what, const char *file, int line)
{
    if (actual != expected) {
        print_error("%s is %s, not %s\n", what, ctrack_status_name(actual), ctrack_status_name(expected));
        _fail(file, line);
    }
}

void support_assert_contains(const char *text, const char *part, const char *file, int line)
{
    if (strstr(text, part) == NULL) {
        print_error("\"%s\" does not contain \"%s\"\n", text, part);
        _fail(file, line);
    }
}

/* ---------------------------------------------------------------- short ways to say it */

ctrack_coordinate at(const char *document, int64_t index)
{
    return (ctrack_coordinate){document, "document", "main", index};
}

ctrack_coordinate coordinate(const char *document, const char *scope, const char *branch, int64_t index)
{
    return (ctrack_coordinate){document, scope, branch, index};
}

ctrack_key key(const char *document)
{
    return (ctrack_key){document, "document", "main"};
}

static ctrack *open_with(const char *path, const ctrack_options *options)
{
    ctrack *tracker = NULL;
    ctrack_error error;
    ctrack_status status = ctrack_open(path, options, &tracker, &error);
    if (status != CTRACK_OK) {
        print_error("open %s: %s: %s\n", path, ctrack_status_name(status), error.message);
        fail();
    }
    return tracker;
}

ctrack *open_file(const char *path)
{
    return open_with(path, NULL);
}

ctrack *open_model(const char *path, const char *read_model)
{
    ctrack_options options = CTRACK_OPTIONS_INIT;
    options.read_model = read_model;
    return open_with(path, &options);
}

ctrack *open_impatient(const char *path, int64_t busy_timeout_ms)
{
    ctrack_options options = CTRACK_OPTIONS_INIT;
    options.busy_timeout_ms = busy_timeout_ms;
    return open_with(path, &options);
}

ctrack *open_in_memory(void)
{
    return open_with(NULL, NULL);
}

void close_tracker(ctrack **tracker)
{
    ctrack *closing = *tracker;
    *tracker = NULL;
    assert_status(ctrack_close(closing, NULL), CTRACK_OK);
}

void reopen(fixture *f)
{
    close_tracker(&f->tracker);
    f->tracker = open_file(f->path);
}

void update_very_often(ctrack *tracker)
{
    static char names[OFTEN_KEYS][16];
    static ctrack_coordinate batch[OFTEN_KEYS];
    for (int i = 0; i < OFTEN_BATCHES; i++) {
        for (int k = 0; k < OFTEN_KEYS; k++) {
            snprintf(names[k], sizeof names[k], "doc-%d", k);
            batch[k] = at(names[k], i + k);
        }
        assert_status(ctrack_update(tracker, batch, OFTEN_KEYS, NULL), CTRACK_OK);
    }
}

void update(ctrack *tracker, const char *document, int64_t index)
{
    ctrack_coordinate progress = at(document, index);
    ctrack_error error;
    ctrack_status status = ctrack_update(tracker, &progress, 1, &error);
    if (status != CTRACK_OK) {
        print_error("update %s to %" PRId64 ": %s: %s\n", document, index, ctrack_status_name(status), error.message);
        fail();
    }
}

int64_t latest(ctrack *tracker, const char *document)
{
    return latest_of(tracker, key(document));
}

int64_t latest_of(ctrack *tracker, ctrack_key wanted)
{
    int64_t index = -2;
    ctrack_status status = ctrack_get_latest(tracker, &wanted, &index);
    if (status == CTRACK_NOT_FOUND) {
        return NEVER_SEEN;
    }
    assert_status(status, CTRACK_OK);
    return index;
}

size_t entry_count(ctrack *tracker)
{
    ctrack_snapshot *snapshot = NULL;
    assert_status(ctrack_serialize(tracker, &snapshot, NULL), CTRACK_OK);
    size_t count = ctrack_snapshot_count(snapshot);
    ctrack_snapshot_free(snapshot);
    return count;
}

ctrack_promise *wait_for(ctrack *tracker, const char *document, int64_t index)
{
    return wait_with(tracker, document, index, CTRACK_FOREVER, NULL);
}

ctrack_promise *wait_with(ctrack *tracker, const char *document, int64_t index, int64_t timeout_ms,
                          ctrack_abort_signal *signal)
{
    ctrack_coordinate wanted = at(document, index);
    ctrack_promise *promise = NULL;
    ctrack_error error;
    ctrack_status status = ctrack_wait_for(tracker, &wanted, 1, timeout_ms, signal, &promise, &error);
    if (status != CTRACK_OK) {
        print_error("wait for %s: %s: %s\n", document, ctrack_status_name(status), error.message);
        fail();
    }
    return promise;
}

ctrack_promise *wait_for_all(ctrack *tracker, const ctrack_coordinate *coordinates, size_t count)
{
    ctrack_promise *promise = NULL;
    assert_status(ctrack_wait_for(tracker, coordinates, count, CTRACK_FOREVER, NULL, &promise, NULL), CTRACK_OK);
    return promise;
}

ctrack_abort_signal *new_signal(void)
{
    ctrack_abort_signal *signal = ctrack_abort_signal_new();
    assert_non_null(signal);
    return signal;
}

char *repeated(char character, size_t length)
{
    char *text = malloc(length + 1);
    assert_non_null(text);
    memset(text, character, length);
    text[length] = '\0';
    return text;
}

void assert_same_entries(const ctrack_snapshot *a, const ctrack_snapshot *b)
{
    assert_int_equal(ctrack_snapshot_count(a), ctrack_snapshot_count(b));
    const ctrack_coordinate *left = ctrack_snapshot_entries(a);
    const ctrack_coordinate *right = ctrack_snapshot_entries(b);
    for (size_t i = 0; i < ctrack_snapshot_count(a); i++) {
        assert_string_equal(left[i].document_id, right[i].document_id);
        assert_string_equal(left[i].scope, right[i].scope);
        assert_string_equal(left[i].branch, right[i].branch);
        assert_int_equal(left[i].operation_index, right[i].operation_index);
    }
}

void assert_same_progress(ctrack *a, ctrack *b)
{
    ctrack_snapshot *left = NULL;
    ctrack_snapshot *right = NULL;
    assert_status(ctrack_serialize(a, &left, NULL), CTRACK_OK);
    assert_status(ctrack_serialize(b, &right, NULL), CTRACK_OK);
    assert_same_entries(left, right);
    ctrack_snapshot_free(left);
    ctrack_snapshot_free(right);
}

/* ---------------------------------------------------------------- time and threads */

int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

void *shared_page(const char *directory, size_t size)
{
    char path[300];
    snprintf(path, sizeof path, "%s/page", directory);
    int descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (descriptor < 0 || ftruncate(descriptor, (off_t)size) != 0) {
        return NULL;
    }
    void *mapped = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
    close(descriptor);
    return mapped == MAP_FAILED ? NULL : mapped;
}

pthread_t thread_start(void *(*body)(void *), void *argument)
{
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, body, argument), 0);
    return thread;
}

void *thread_join(pthread_t thread)
{
    void *result = NULL;
    assert_int_equal(pthread_join(thread, &result), 0);
    return result;
}

uint64_t environment_number(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    if (text == NULL || *text == '\0') {
        return otherwise;
    }
    return strtoull(text, NULL, 0);
}

/* ---------------------------------------------------------------- files and child processes */

char *path_in(const fixture *f, const char *name, char buffer[300])
{
    int length = snprintf(buffer, 300, "%s/%s", f->directory, name);
    assert_true(length > 0 && length < 300);
    return buffer;
}

void write_file(const char *path, const void *data, size_t size)
{
    int descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(descriptor >= 0);
    assert_true(write_fully(descriptor, data, size));
    assert_int_equal(close(descriptor), 0);
}

unsigned char *read_file(const char *path, size_t *size)
{
    int descriptor = open(path, O_RDONLY);
    assert_true(descriptor >= 0);
    struct stat status;
    assert_int_equal(fstat(descriptor, &status), 0);
    *size = (size_t)status.st_size;
    unsigned char *bytes = malloc(*size + 1);
    assert_non_null(bytes);
    assert_true(read_fully(descriptor, bytes, *size));
    close(descriptor);
    return bytes;
}

bool file_exists(const char *path)
{
    struct stat status;
    return lstat(path, &status) == 0;
}

bool mount_small_disk(fixture *f, const char *size)
{
    char disk[sizeof f->disk];
    snprintf(disk, sizeof disk, "%s/disk", f->directory);
    assert_int_equal(mkdir(disk, 0700), 0);
    char options[64];
    snprintf(options, sizeof options, "size=%s", size);
    if (mount("tmpfs", disk, "tmpfs", 0, options) != 0) {
        print_error("SKIPPED: mounting a tmpfs is refused here (%s): the full disk is NOT tested\n", strerror(errno));
        return false;
    }
    memcpy(f->disk, disk, sizeof disk);
    snprintf(f->path, sizeof f->path, "%.200s/disk/progress.db", f->directory);
    return true;
}

void fill_disk(fixture *f)
{
    char path[300];
    int descriptor = open(path_in(f, "disk/ballast", path), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(descriptor >= 0);
    static const char page[4096];
    while (write(descriptor, page, sizeof page) > 0) {
    }
    close(descriptor);
}

void free_disk(fixture *f)
{
    char path[300];
    assert_int_equal(unlink(path_in(f, "disk/ballast", path)), 0);
}

child child_start(const char *mode, const char *argument)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        /* Between fork and exec only what is async-signal-safe: other threads may hold any lock. */
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that fails leaves none behind */
        dup2(ends[1], STDOUT_FILENO);
        close(ends[0]);
        close(ends[1]);
        char *arguments[] = {TEST_EMULATOR program_path, "--child", (char *)(uintptr_t)mode,
                             (char *)(uintptr_t)argument, NULL};
        execv(arguments[0], arguments);
        _exit(127);
    }
    close(ends[1]);
    return (child){pid, ends[0]};
}

int child_finish(child *c)
{
    int status = 0;
    while (waitpid(c->pid, &status, 0) < 0 && errno == EINTR) {
    }
    close(c->output);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

void child_kill(child *c)
{
    kill(c->pid, SIGKILL);
    child_finish(c);
}

#ifdef CTRACK_COVERAGE
void __gcov_dump(void);
#endif

void leave_fork(int status)
{
#ifdef CTRACK_COVERAGE
    __gcov_dump(); /* _exit() would lose what was counted */
#endif
    _exit(status);
}

bool read_fully(int descriptor, void *data, size_t size)
{
    char *bytes = data;
    while (size > 0) {
        ssize_t got = read(descriptor, bytes, size);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            return false;
        }
        bytes += got;
        size -= (size_t)got;
    }
    return true;
}

bool write_fully(int descriptor, const void *data, size_t size)
{
    const char *bytes = data;
    while (size > 0) {
        ssize_t put = write(descriptor, bytes, size);
        if (put < 0 && errno == EINTR) {
            continue;
        }
        if (put <= 0) {
            return false;
        }
        bytes += put;
        size -= (size_t)put;
    }
    return true;
}

/* ---------------------------------------------------------------- the file from outside */

sqlite3 *db_open(const char *path)
{
    sqlite3 *db = NULL;
    if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL) != SQLITE_OK) {
        print_error("sqlite: open %s: %s\n", path, sqlite3_errmsg(db));
        sqlite3_close(db);
        fail();
    }
    sqlite3_busy_timeout(db, 5000);
    return db;
}

void db_close(sqlite3 *db)
{
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

void db_run(sqlite3 *db, const char *sql)
{
    char *message = NULL;
    if (sqlite3_exec(db, sql, NULL, NULL, &message) != SQLITE_OK) {
        print_error("sqlite: %s: %s\n", sql, message);
        sqlite3_free(message);
        fail();
    }
}

static sqlite3_stmt *first_row(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *statement = NULL;
    if (sqlite3_prepare_v2(db, sql, -1, &statement, NULL) != SQLITE_OK || sqlite3_step(statement) != SQLITE_ROW) {
        print_error("sqlite: %s: %s\n", sql, sqlite3_errmsg(db));
        sqlite3_finalize(statement);
        fail();
    }
    return statement;
}

int64_t db_integer(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *statement = first_row(db, sql);
    int64_t value = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return value;
}

char *db_text(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *statement = first_row(db, sql);
    const unsigned char *text = sqlite3_column_text(statement, 0);
    char *copy = strdup(text == NULL ? "" : (const char *)text);
    sqlite3_finalize(statement);
    assert_non_null(copy);
    return copy;
}

void db_run_once(const char *path, const char *sql)
{
    sqlite3 *db = db_open(path);
    db_run(db, sql);
    db_close(db);
}

int64_t db_integer_once(const char *path, const char *sql)
{
    sqlite3 *db = db_open(path);
    int64_t value = db_integer(db, sql);
    db_close(db);
    return value;
}
