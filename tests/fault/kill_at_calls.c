/* SPDX-License-Identifier: MIT */
/*
 * kill -9 at every system call. A child process runs a scenario under ptrace and is killed before or after its N-th
 * system call, for every N; then the file must hold what the books say, which both processes share. What the process
 * had locked is free, and what it left in shared memory does not mislead whoever comes next.
 *
 * --scenario NAME runs one scenario; --part P --parts N kills at every N-th call.
 */
#define _DEFAULT_SOURCE /* MAP_ANONYMOUS */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "fault.h"
#include "scenarios.h"
#include "shim.h"

static run current;
static ledger *shared; /* the books */

static _Noreturn void play(const scenario *s)
{
    if (s->prepare != NULL) {
        s->prepare(&current);
    }
    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0 || raise(SIGSTOP) != 0) {
        _exit(99);
    }
    s->act(&current);
    _exit(violations() > 0 ? 98 : 0);
}

/* The child stops at the beginning and at the end of each system call. False: it has ended before. */
static bool reach(pid_t child, long stop)
{
    int status = 0;
    for (long i = 0; i <= stop; i++) {
        if (ptrace(PTRACE_SYSCALL, child, NULL, NULL) != 0 || waitpid(child, &status, 0) != child) {
            return false;
        }
        if (!WIFSTOPPED(status)) {
            if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
                violation(current.place, "the child ends with status %d before it is killed", status);
            }
            return false;
        }
    }
    return true;
}

/* Kills a child at one stop. False: the scenario has fewer. */
static bool kill_at(const scenario *s, const char *directory, long stop)
{
    int status = 0;
    run_begin(&current, directory, s->kind, shared);
    snprintf(current.place, sizeof current.place, "%s, killed at stop %ld", s->name, stop);
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        play(s);
    }
    if (waitpid(child, &status, 0) != child || !WIFSTOPPED(status)) {
        fprintf(stderr, "tracing is refused here: kills at system calls are NOT tested\n");
        exit(77);
    }
    bool reached = reach(child, stop);
    if (reached) {
        kill(child, SIGKILL);
        while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
        }
    }
    memset(current.trackers, 0, sizeof current.trackers);
    current.host = NULL;
    current.killed = true;
    run_check_file(&current);
    return reached;
}

static unsigned long sweep(const scenario *s, const char *directory)
{
    unsigned long kills = 0;
    bool more = true;
    for (long stop = 0; more && !fault_enough(); stop++) {
        if (fault_is_mine((unsigned long)stop)) {
            more = kill_at(s, directory, stop);
            kills += more;
        }
    }
    return kills;
}

int main(int argc, char **argv)
{
    fault_options(argc, argv);
    unsigned long kills = 0;
    const char *only = fault_text("scenario", NULL);
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ledger_init_keys();
    shim_install();
    const char *directory = fault_directory();
    run_make_templates(directory);
    for (size_t i = 0; i < scenarios_count && !fault_enough(); i++) {
        const scenario *s = &scenarios[i];
        if (!s->writes || s->threads || (only != NULL && strcmp(only, s->name) != 0)) {
            continue;
        }
        unsigned long count = sweep(s, directory);
        printf("  %-36s %5lu kills\n", s->name, count);
        kills += count;
    }
    fault_remove_directory();
    return fault_report("kill_at_calls", kills, "kills at system calls");
}
