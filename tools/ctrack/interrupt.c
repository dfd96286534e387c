/* SPDX-License-Identifier: MIT */
/*
 * The handler may run at any moment and uses only what is async-signal-safe. What it reads is written while the signals
 * are kept away. The library's threads keep all signals away, so the handler runs on the main thread.
 */
#include "interrupt.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

static const int ending_signals[] = {SIGHUP, SIGINT, SIGTERM};
enum { ENDING_SIGNALS = sizeof ending_signals / sizeof ending_signals[0], WIDEST_LINE = 200 };

static sigset_t before;                /* the mask, while the signals are kept away … */
static int holds;                      /* … so many times */
static char left_over[INTERRUPT_PATH]; /* the file to remove; "": none */
static char wipe[WIDEST_LINE + 2];     /* what wipes the line: \r, blanks, \r */
static size_t wipe_size;               /* 0: there is nothing on it */
static bool catching;                  /* the first signal is only noted … */
static volatile sig_atomic_t caught;   /* … here; 0: none yet … */
static int wake[2] = {-1, -1};         /* … and with a byte in this pipe */

/* By the signal itself, so that whoever has started us sees it. The system keeps it from process 1 of a container, which
 * ends as a shell would say it. */
static void end_by(int number)
{
    struct sigaction action = {.sa_handler = SIG_DFL};
    sigset_t only;
    sigemptyset(&only);
    sigaddset(&only, number);
    sigaction(number, &action, NULL);
    raise(number);
    sigprocmask(SIG_UNBLOCK, &only, NULL);
    _exit(128 + number);
}

static void on_signal(int number)
{
    int problem = errno;
    if (catching && caught == 0) {
        caught = number;
        (void)!write(wake[1], "", 1);
        errno = problem;
        return;
    }
    if (left_over[0] != '\0') {
        unlink(left_over);
    }
    struct pollfd line = {STDERR_FILENO, POLLOUT, 0};
    if (wipe_size > 0 && poll(&line, 1, 0) > 0) { /* a terminal that is stopped must not hold us */
        (void)!write(STDERR_FILENO, wipe, wipe_size);
    }
    end_by(number);
}

void interrupt_listen(void)
{
    struct sigaction action = {.sa_handler = on_signal}, old;
    sigemptyset(&action.sa_mask);
    for (int i = 0; i < ENDING_SIGNALS; i++) {
        sigaddset(&action.sa_mask, ending_signals[i]);
    }
    for (int i = 0; i < ENDING_SIGNALS; i++) {
        if (sigaction(ending_signals[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN) {
            sigaction(ending_signals[i], &action, NULL);
        }
    }
}

void interrupt_hold(void)
{
    sigset_t all;
    sigfillset(&all);
    if (holds++ == 0) {
        sigprocmask(SIG_BLOCK, &all, &before);
    }
}

void interrupt_allow(void)
{
    if (--holds == 0) {
        sigprocmask(SIG_SETMASK, &before, NULL);
    }
}

void interrupt_removes(const char *path)
{
    size_t length = path != NULL ? strlen(path) : 0;
    interrupt_hold();
    if (length < sizeof left_over) {
        memcpy(left_over, path != NULL ? path : "", length + 1);
    }
    interrupt_allow();
}

void interrupt_wipes(size_t columns)
{
    interrupt_hold();
    columns = columns < WIDEST_LINE ? columns : WIDEST_LINE;
    memset(wipe, ' ', sizeof wipe);
    wipe[0] = wipe[columns + 1] = '\r';
    wipe_size = columns > 0 ? columns + 2 : 0;
    interrupt_allow();
}

int interrupt_catch(void)
{
    if (wake[0] < 0 && pipe(wake) != 0) {
        return -1;
    }
    for (int i = 0; i < 2; i++) {
        fcntl(wake[i], F_SETFD, FD_CLOEXEC);
    }
    interrupt_hold();
    catching = true;
    interrupt_allow();
    return wake[0];
}

bool interrupted(void)
{
    return caught != 0;
}

void interrupt_sleep(int descriptor, int milliseconds)
{
    struct pollfd ends[2] = {{wake[0], POLLIN, 0}, {descriptor, POLLIN, 0}};
    while (poll(ends, 2, milliseconds) < 0 && errno == EINTR && !interrupted()) {
    }
}

void interrupt_end(void)
{
    if (caught != 0) {
        end_by(caught);
    }
}
