/* SPDX-License-Identifier: MIT */
#include "watch.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#if defined(__linux__) && !defined(CT_WATCH_POLLING)
#define INOTIFY
#include <sys/inotify.h>
#endif

#include "alloc.h"
#include "pipe.h"

/* With inotify: a net under it, for file systems that do not tell, and to notice a file that was replaced. */
#define NET_MS 100
/* Without: measured at 0.5 ms from commit to notice, at 1.3 % of a core. */
#define POLL_MS 1

#ifdef INOTIFY
/* A descriptor that becomes readable when either file is written; -1 if there is none. */
static int make_notifier(const char *path)
{
    size_t size = strlen(path) + sizeof "-wal";
    char *log = ct_alloc(size);
    int notifier = log != NULL ? inotify_init1(IN_CLOEXEC | IN_NONBLOCK) : -1;
    if (notifier >= 0) {
        snprintf(log, size, "%s-wal", path);
        bool watched = inotify_add_watch(notifier, log, IN_MODIFY) >= 0;
        watched =
            inotify_add_watch(notifier, path, IN_MODIFY | IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF) >= 0 && watched;
        if (!watched) {
            close(notifier);
            notifier = -1;
        }
    }
    ct_free(log);
    return notifier;
}
#else
static int make_notifier(const char *path)
{
    (void)path;
    return -1;
}
#endif

int ct_watch_init(ct_watch *watch, const char *path)
{
    if (ct_pipe_make(watch->wake) != 0) {
        return -1;
    }
    watch->notifier = make_notifier(path);
    watch->poll_ms = watch->notifier >= 0 ? NET_MS : POLL_MS;
    return 0;
}

void ct_watch_destroy(ct_watch *watch)
{
    close(watch->wake[0]);
    close(watch->wake[1]);
    if (watch->notifier >= 0) {
        close(watch->notifier);
    }
}

/* Reads all there is; what it says does not matter. */
static void drain(int descriptor)
{
    char buffer[4096];
    while (read(descriptor, buffer, sizeof buffer) > 0) { /* never interrupted, since it does not block */
    }
}

bool ct_watch_sleep(ct_watch *watch, bool watching)
{
    struct pollfd sources[2] = {{.fd = watch->wake[0], .events = POLLIN}, {.fd = watch->notifier, .events = POLLIN}};
    nfds_t count = watching && watch->notifier >= 0 ? 2 : 1;
    poll(sources, count, watching ? watch->poll_ms : -1);
    bool written = count == 2 && sources[1].revents != 0;
    if (sources[0].revents != 0) {
        drain(watch->wake[0]);
    }
    if (written) {
        drain(watch->notifier);
    }
    return written;
}

void ct_watch_wake(ct_watch *watch)
{
    ct_pipe_write(watch->wake);
}
