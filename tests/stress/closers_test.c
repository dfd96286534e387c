/* SPDX-License-Identifier: MIT */
/*
 * Hosts that open, read and close the file, its -wal and its -shm all the time while their trackers update it, beside
 * processes that open it, update it and close it, and thus often believe that they are the last. The hosts are killed.
 * What was acknowledged is there. CTRACK_STRESS_UPDATES makes it longer.
 */
#include "support.h"

#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

enum { HOSTS = 2, VISITORS = 2, WRITERS = HOSTS + VISITORS };

typedef struct page {
    _Atomic(int64_t) acknowledged[WRITERS];
    atomic_bool over; /* the hosts have been killed */
} page;

static const char *file;

static void *close_files(void *argument)
{
    static const char *const endings[] = {"", "-wal", "-shm"};
    (void)argument;
    for (unsigned i = 0;; i++) {
        char path[300], head[64];
        snprintf(path, sizeof path, "%s%s", file, endings[i % 3]);
        int descriptor = open(path, O_RDONLY | O_CLOEXEC);
        if (descriptor >= 0) {
            ssize_t got = read(descriptor, head, sizeof head);
            (void)got;
            close(descriptor);
        }
        nanosleep(&(struct timespec){.tv_nsec = 20000}, NULL); /* the others need the processors, too */
    }
    return NULL;
}

static const char *name_of(int writer, char name[20])
{
    snprintf(name, 20, "doc-%d", writer);
    return name;
}

/* Updates the writer's key once more; how the call ended. */
static ctrack_status advance(ctrack *tracker, page *p, int writer)
{
    char name[20];
    ctrack_coordinate next = at(name_of(writer, name), atomic_load(&p->acknowledged[writer]) + 1);
    ctrack_status status;
    do { /* a disk that is slow for so long is none of the test's business */
        status = ctrack_update(tracker, &next, 1, NULL);
    } while (status == CTRACK_BUSY);
    if (status == CTRACK_OK) {
        atomic_store(&p->acknowledged[writer], next.operation_index);
    }
    return status;
}

static int be_host(page *p, int writer)
{
    ctrack *tracker = NULL;
    ctrack_status status = ctrack_open(file, NULL, &tracker, NULL);
    thread_start(close_files, NULL);
    for (uint64_t i = environment_number("CTRACK_STRESS_UPDATES", 300); i > 0 && status == CTRACK_OK; i--) {
        status = advance(tracker, p, writer);
    }
    if (status == CTRACK_OK) {
        kill(getpid(), SIGKILL);
    }
    return (int)status;
}

static int be_visitor(page *p, int writer)
{
    ctrack_status status = CTRACK_OK;
    while (status == CTRACK_OK && !atomic_load(&p->over)) {
        ctrack *tracker = NULL;
        status = ctrack_open(file, NULL, &tracker, NULL);
        status = status == CTRACK_OK ? advance(tracker, p, writer) : status;
        ctrack_close(tracker, NULL);
    }
    return (int)status;
}

/* `mode` is the number of the writer. */
static int run_child(const char *mode, const char *path)
{
    char directory[300];
    snprintf(directory, sizeof directory, "%.*s", (int)(strrchr(path, '/') - path), path);
    page *p = shared_page(directory, sizeof *p);
    int writer = atoi(mode);
    file = path;
    if (p == NULL) {
        return 99;
    }
    return writer < HOSTS ? be_host(p, writer) : be_visitor(p, writer);
}

static void test_nothing_is_lost_beside_hosts_that_close_the_files(void **state)
{
    fixture *f = *state;
    child children[WRITERS];
    page *p = shared_page(f->directory, sizeof *p);
    assert_non_null(p);
    update(f->tracker, "first", 1);
    for (int i = 0; i < WRITERS; i++) {
        char mode[20];
        snprintf(mode, sizeof mode, "%d", i);
        children[i] = child_start(mode, f->path);
    }
    close_tracker(&f->tracker);
    for (int i = 0; i < WRITERS; i++) {
        atomic_store(&p->over, i >= HOSTS);
        assert_int_equal(child_finish(&children[i]), i < HOSTS ? 128 + SIGKILL : 0);
    }
    f->tracker = open_file(f->path);
    for (int i = 0; i < WRITERS; i++) {
        char name[20];
        assert_int_equal(latest(f->tracker, name_of(i, name)), atomic_load(&p->acknowledged[i]));
    }
    assert_status(ctrack_check(f->path, -1, NULL, NULL, NULL, &f->error), CTRACK_OK);
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        TEST_ON_FILE(test_nothing_is_lost_beside_hosts_that_close_the_files),
    };
    return SUPPORT_MAIN(argc, argv, "closers", tests, run_child);
}
