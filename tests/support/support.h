/* SPDX-License-Identifier: MIT */
#ifndef SUPPORT_H
#define SUPPORT_H

/**
 * What the black-box tests share: a fixture with a directory of its own, short ways to say the usual things, gates and
 * recorders in place of sleeps, child processes that can be killed, and SQLite for looking at a file from outside.
 *
 * A cmocka assertion may only fail on the thread that runs the test. Other threads and callbacks therefore record what
 * they see, and the test judges it. What they write to lives in the fixture, which outlives the tracker.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#include <cmocka.h>

#include "ctrack.h"

struct sqlite3;

/* ---------------------------------------------------------------- gates and recorders */

/** Closed until somebody opens it, then open for ever. */
typedef struct gate {
    pthread_mutex_t lock;
    pthread_cond_t opened;
    bool open;
} gate;

void gate_init(gate *g);
void gate_destroy(gate *g);
void gate_open(gate *g);
void gate_pass(gate *g); /**< blocks until the gate is open */

#define RECORDER_MAX 256
/** What callbacks were called with, in order. */
typedef struct recorder {
    pthread_mutex_t lock;
    pthread_cond_t grown;
    size_t count;
    struct recorded_call {
        ctrack_promise *promise;
        ctrack_status outcome;
        pthread_t thread;
    } calls[RECORDER_MAX];
} recorder;

void recorder_init(recorder *r);
void recorder_destroy(recorder *r);
/** A ctrack_callback; the argument is a recorder. */
void record(ctrack_promise *promise, ctrack_status outcome, void *argument);
/** Blocks until that many calls have been recorded. */
void recorder_await(recorder *r, size_t count);
size_t recorder_count(recorder *r);

/* ---------------------------------------------------------------- the fixture */

typedef struct fixture {
    char directory[200]; /**< exists, is empty, and is removed afterwards */
    char path[240];      /**< a name in it, for the tracker's file */
    ctrack *tracker;     /**< closed afterwards unless NULL */
    ctrack_error error;
    recorder recorder;
    gate gate;
    void *extra;    /**< for the test's callbacks; freed afterwards */
    char disk[240]; /**< see mount_small_disk(); empty if there is none */
} fixture;

int fixture_setup(void **state);           /**< no tracker yet */
int fixture_setup_in_memory(void **state); /**< a tracker in memory */
int fixture_setup_on_file(void **state);   /**< a tracker on `path` */
int fixture_teardown(void **state);

/* Entries for the table of tests. What holds in memory and on a file alike is tested on both. */
#define TEST(name) \
    { \
#name, name, fixture_setup, fixture_teardown, NULL \
    }
#define TEST_IN_MEMORY(name) \
    { \
#name " (in memory)", name, fixture_setup_in_memory, fixture_teardown, NULL \
    }
#define TEST_ON_FILE(name) \
    { \
#name " (on file)", name, fixture_setup_on_file, fixture_teardown, NULL \
    }
#define TEST_BOTH(name) TEST_IN_MEMORY(name), TEST_ON_FILE(name)

/**
 * Runs the tests; `program PATTERN` runs those whose name matches. When this program was started by child_start(), runs
 * `run_child` instead, which may be NULL.
 */
int support_main(int argc, char **argv, const char *name, const struct CMUnitTest *tests, size_t count,
                 int (*run_child)(const char *mode, const char *argument));
#define SUPPORT_MAIN(argc, argv, name, tests, run_child) \
    support_main(argc, argv, name, tests, sizeof(tests) / sizeof((tests)[0]), run_child)

/** Fails the test unless two statuses are the same, and says both by name. */
#define assert_status(actual, expected) support_assert_status(actual, expected, #actual, __FILE__, __LINE__)
void support_assert_status(ctrack_status actual, ctrack_status expected, const char *what, const char *file, int line);
/** Fails the test unless `text` contains `part`. */
#define assert_contains(text, part) support_assert_contains(text, part, __FILE__, __LINE__)
void support_assert_contains(const char *text, const char *part, const char *file, int line);

/** A pointer that no call returns: what an out-parameter holds when it must stay untouched. */
extern char support_untouched[];
#define UNTOUCHED ((void *)support_untouched)

/* ---------------------------------------------------------------- short ways to say it */

/** The coordinate `document:document:main` at an index. */
ctrack_coordinate at(const char *document, int64_t index);
ctrack_coordinate coordinate(const char *document, const char *scope, const char *branch, int64_t index);
/** The key `document:document:main`. */
ctrack_key key(const char *document);

ctrack *open_file(const char *path);                               /**< defaults; fails the test unless OK */
ctrack *open_model(const char *path, const char *read_model);      /**< the same with a read model */
ctrack *open_impatient(const char *path, int64_t busy_timeout_ms); /**< the same with a busy timeout */
ctrack *open_in_memory(void);
void close_tracker(ctrack **tracker); /**< fails the test unless OK; sets NULL */
void reopen(fixture *f);              /**< closes the tracker and opens it again on the same path */

void update(ctrack *tracker, const char *document, int64_t index); /**< fails the test unless OK */
enum { OFTEN_KEYS = 500, OFTEN_BATCHES = 400 };
/** 200,000 advances of `doc-0`, `doc-1` … in batches of all keys: enough that the log is folded. */
void update_very_often(ctrack *tracker);
#define NEVER_SEEN INT64_C(-1)
int64_t latest(ctrack *tracker, const char *document); /**< NEVER_SEEN for CTRACK_NOT_FOUND */
int64_t latest_of(ctrack *tracker, ctrack_key key);
size_t entry_count(ctrack *tracker); /**< how many keys ctrack_serialize() lists */

/** A wait for `document:document:main` without limit or signal; fails the test unless a promise was made. */
ctrack_promise *wait_for(ctrack *tracker, const char *document, int64_t index);
ctrack_promise *wait_with(ctrack *tracker, const char *document, int64_t index, int64_t timeout_ms,
                          ctrack_abort_signal *signal);
ctrack_promise *wait_for_all(ctrack *tracker, const ctrack_coordinate *coordinates, size_t count);
ctrack_abort_signal *new_signal(void);

/** `length` times the character; the caller frees it. */
char *repeated(char character, size_t length);
/** Fails the test unless the two trackers list the same keys at the same indexes. */
void assert_same_progress(ctrack *a, ctrack *b);
void assert_same_entries(const ctrack_snapshot *a, const ctrack_snapshot *b);

/* ---------------------------------------------------------------- time and threads */

int64_t now_ns(void); /**< CLOCK_MONOTONIC */
pthread_t thread_start(void *(*body)(void *), void *argument);

/** The file `page` of the directory as memory, zeroed at first, that processes which map it share. NULL: it cannot be.
 */
void *shared_page(const char *directory, size_t size);
void *thread_join(pthread_t thread);
/** A number from the environment, or `otherwise`. */
uint64_t environment_number(const char *name, uint64_t otherwise);

/* ---------------------------------------------------------------- files and child processes */

/** Formats a path into `buffer`, which must be large enough. Returns `buffer`. */
char *path_in(const fixture *f, const char *name, char buffer[300]);
void write_file(const char *path, const void *data, size_t size);
/** The bytes of a file; the caller frees them. Not for a file that a tracker has open: it would drop its locks. */
unsigned char *read_file(const char *path, size_t *size);
bool file_exists(const char *path);

/**
 * Mounts a file system of `size` bytes (as tmpfs takes it: "2m") on `disk`, unmounted afterwards, and moves `path` to
 * it. False, after a loud message, where mounting is refused: the test then calls skip().
 */
bool mount_small_disk(fixture *f, const char *size);
void fill_disk(fixture *f); /**< takes all the space that is left on it */
void free_disk(fixture *f); /**< gives it back */

typedef struct child {
    pid_t pid;
    int output; /**< what it writes to standard output */
} child;

/** Starts this program anew (fork and exec) as a child that runs `mode`; see support_main(). */
child child_start(const char *mode, const char *argument);
void child_kill(child *c);  /**< kill -9, and waits for its end */
int child_finish(child *c); /**< waits for its end; the exit status, or 128 + signal */
/** Ends the child of a mere fork(), as _exit() does: nothing of the parent's is flushed or released. */
_Noreturn void leave_fork(int status);
bool read_fully(int descriptor, void *data, size_t size);
bool write_fully(int descriptor, const void *data, size_t size);

/* ---------------------------------------------------------------- the file from outside */

struct sqlite3 *db_open(const char *path);
void db_close(struct sqlite3 *db);
void db_run(struct sqlite3 *db, const char *sql);           /**< fails the test on an error */
int64_t db_integer(struct sqlite3 *db, const char *sql);    /**< the first column of the first row */
char *db_text(struct sqlite3 *db, const char *sql);         /**< the same as text, "" for NULL; the caller frees it */
void db_run_once(const char *path, const char *sql);        /**< opens, runs, closes */
int64_t db_integer_once(const char *path, const char *sql); /**< opens, runs, closes */

#endif
