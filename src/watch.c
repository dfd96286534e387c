/* SPDX-License-Identifier: MIT */
#include "watch.h"

#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>
#if defined(__linux__) && !defined(CT_WATCH_POLLING)
#define INOTIFY
#include <sys/inotify.h>
#endif

#include "alloc.h"
#include "clock.h"
#include "pipe.h"

/* With inotify: a net under it, for file systems that do not tell, and to notice a file that was replaced. */
#define NET_NANOSECONDS INT64_C(100000000)
/* Without: a pause is this part of the time since the last change. */
#define PAUSE_PART 16
#define PAUSE_LEAST INT64_C(1000000)
#define PAUSE_MOST INT64_C(32000000)
/* Long pauses end at a multiple of this, so that the system wakes for many processes at once. */
#define BEAT_NANOSECONDS INT64_C(8000000)
/* Until what could not be had is tried for again. */
#define AGAIN_NANOSECONDS INT64_C(1000000000)

/* What the watches of a process share. */
static struct {
    ct_mutex lock;
    ct_watch *first;
    const ct_watch *leader; /* polls the instance; NULL: nobody does */
    int instance;           /* of inotify; -1: none. Closed with the last watch, so not under the leader. */
    int wake[2];            /* a pipe, while there is an instance: a byte ends the leader's poll */
    int64_t again;          /* when to try for an instance */
} shared = {.lock = CT_MUTEX_INIT, .instance = -1};

static bool is_watched(const ct_watch *watch)
{
    return watch->descriptors[0] >= 0 && watch->descriptors[1] >= 0;
}

/* ---------------------------------------------------------------- the instance */

static void close_instance(void)
{
    if (shared.instance >= 0) {
        close(shared.instance);
        close(shared.wake[0]);
        close(shared.wake[1]);
        shared.instance = -1;
    }
    shared.again = 0;
}

#ifdef INOTIFY
static const uint32_t events[2] = {IN_MODIFY, IN_MODIFY | IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF};

static bool has_instance(int64_t now)
{
    if (shared.instance >= 0 || now < shared.again) {
        return shared.instance >= 0;
    }
    shared.again = now + AGAIN_NANOSECONDS;
    if (ct_pipe_make(shared.wake) != 0) {
        return false;
    }
    shared.instance = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (shared.instance < 0) {
        close(shared.wake[0]);
        close(shared.wake[1]);
    }
    return shared.instance >= 0;
}

/* Has the instance watch both files, if it can. Whether it does from now on: what was written before, it has not seen. */
static bool attach(ct_watch *watch, int64_t now)
{
    if (is_watched(watch) || now < watch->again) {
        return false;
    }
    watch->again = now + AGAIN_NANOSECONDS;
    for (int i = 0; i < 2 && has_instance(now); i++) {
        if (watch->descriptors[i] < 0) {
            watch->descriptors[i] = inotify_add_watch(shared.instance, watch->names[i], events[i]);
        }
    }
    return is_watched(watch);
}

/* Two watches of one file have one descriptor. */
static bool has_descriptor(const ct_watch *watch, int descriptor)
{
    return watch->descriptors[0] == descriptor || watch->descriptors[1] == descriptor;
}

static void detach(ct_watch *watch)
{
    for (int i = 0; i < 2; i++) {
        int descriptor = watch->descriptors[i];
        watch->descriptors[i] = -1;
        const ct_watch *other = shared.first;
        while (other != NULL && !has_descriptor(other, descriptor)) {
            other = other->next;
        }
        if (descriptor >= 0 && other == NULL) {
            inotify_rm_watch(shared.instance, descriptor);
        }
    }
    watch->again = 0;
}

static void tell(ct_watch *watch, const struct inotify_event *event)
{
    if ((event->mask & IN_Q_OVERFLOW) == 0 && !has_descriptor(watch, event->wd)) {
        return;
    }
    for (int i = 0; i < 2; i++) {
        if ((event->mask & IN_IGNORED) != 0 && watch->descriptors[i] == event->wd) {
            watch->descriptors[i] = -1; /* the file is gone; there may be another of its name */
        }
    }
    if (watch->sleeps) {
        detach(watch); /* so that nobody is woken for one who does not want to know */
        return;
    }
    watch->written = true;
    ct_condition_signal(&watch->wake);
}

/* Tells whom it concerns what the instance has to say. What is left is read by the next to lead: a host that has closed
 * our descriptors may have one of its own in this place, which would block. */
static void tell_all(void)
{
    _Alignas(struct inotify_event) char buffer[4096];
    ssize_t size = read(shared.instance, buffer, sizeof buffer); /* never interrupted, since it does not block */
    const struct inotify_event *event;
    for (char *at = buffer; at < buffer + size; at += sizeof *event + event->len) {
        event = (const struct inotify_event *)(const void *)at;
        for (ct_watch *watch = shared.first; watch != NULL; watch = watch->next) {
            tell(watch, event);
        }
    }
}
#else
static bool attach(ct_watch *watch, int64_t now)
{
    (void)watch, (void)now;
    return false;
}

static void detach(ct_watch *watch)
{
    (void)watch;
}

static void tell_all(void)
{
}
#endif

/* ---------------------------------------------------------------- leading */

/* Reads what is there, once, as above; what it says does not matter. */
static void drain(int descriptor)
{
    char buffer[64];
    ssize_t unused = read(descriptor, buffer, sizeof buffer);
    (void)unused;
}

/* Polls for all, until one of the files is written to, the leader is woken, or the deadline. */
static void lead(const ct_watch *watch, int64_t left)
{
    struct pollfd sources[2] = {{.fd = shared.instance, .events = POLLIN}, {.fd = shared.wake[0], .events = POLLIN}};
    shared.leader = watch;
    ct_mutex_unlock(&shared.lock);
    poll(sources, 2, (int)((left + 999999) / 1000000));
    ct_mutex_lock(&shared.lock);
    shared.leader = NULL;
    if (sources[1].revents != 0) {
        drain(shared.wake[0]);
    }
    if (sources[0].revents != 0) {
        tell_all();
    }
}

/* If nobody leads, one of those that sleep is to do so. */
static void hand_over(void)
{
    if (shared.leader != NULL) {
        return;
    }
    for (ct_watch *watch = shared.first; watch != NULL; watch = watch->next) {
        if (watch->awaits && is_watched(watch)) {
            ct_condition_signal(&watch->wake);
            return;
        }
    }
}

/* ---------------------------------------------------------------- watches */

int ct_watch_init(ct_watch *watch, const char *path)
{
    *watch = (ct_watch){.names = {ct_alloc_joined(path, "-wal"), ct_alloc_text(path, strlen(path))},
                        .descriptors = {-1, -1}};
    if (watch->names[0] == NULL || watch->names[1] == NULL || ct_condition_init(&watch->wake) != 0) {
        ct_free(watch->names[0]);
        ct_free(watch->names[1]);
        return -1;
    }
    ct_mutex_lock(&shared.lock);
    watch->next = shared.first;
    shared.first = watch;
    ct_mutex_unlock(&shared.lock);
    return 0;
}

void ct_watch_destroy(ct_watch *watch)
{
    ct_mutex_lock(&shared.lock);
    detach(watch);
    ct_watch **place = &shared.first;
    while (*place != watch) {
        place = &(*place)->next;
    }
    *place = watch->next;
    if (shared.first == NULL) {
        close_instance();
    }
    ct_mutex_unlock(&shared.lock);
    ct_condition_destroy(&watch->wake);
    ct_free(watch->names[0]);
    ct_free(watch->names[1]);
}

void ct_watch_sleep(ct_watch *watch, int64_t deadline)
{
    ct_mutex_lock(&shared.lock);
    watch->sleeps = true;
    while (!watch->woken && ct_clock_monotonic() < deadline) {
        ct_condition_wait(&watch->wake, &shared.lock, deadline);
    }
    watch->sleeps = watch->woken = false;
    ct_mutex_unlock(&shared.lock);
}

/* When to look again if nothing is told. */
static int64_t next_look(const ct_watch *watch, int64_t now)
{
    int64_t pause = (now - watch->changed_at) / PAUSE_PART;
    if (is_watched(watch)) {
        pause = NET_NANOSECONDS;
    } else if (pause > PAUSE_MOST) {
        pause = PAUSE_MOST;
    } else if (pause < PAUSE_LEAST) {
        pause = PAUSE_LEAST;
    }
    int64_t at = now + pause;
    return pause < BEAT_NANOSECONDS ? at : at + BEAT_NANOSECONDS - at % BEAT_NANOSECONDS;
}

bool ct_watch_await(ct_watch *watch, bool changed)
{
    ct_mutex_lock(&shared.lock);
    int64_t now = ct_clock_monotonic();
    watch->changed_at = changed ? now : watch->changed_at;
    watch->written = attach(watch, now) || watch->written;
    int64_t deadline = next_look(watch, now);
    watch->awaits = true;
    while (!watch->woken && !watch->written && now < deadline) {
        if (is_watched(watch) && shared.leader == NULL) {
            lead(watch, deadline - now);
        } else {
            ct_condition_wait(&watch->wake, &shared.lock, deadline);
        }
        now = ct_clock_monotonic();
    }
    watch->awaits = false;
    hand_over();
    bool written = watch->written;
    watch->written = watch->woken = false;
    ct_mutex_unlock(&shared.lock);
    return written;
}

void ct_watch_wake(ct_watch *watch)
{
    ct_mutex_lock(&shared.lock);
    watch->woken = true;
    if (shared.leader == watch) {
        ct_pipe_write(shared.wake);
    } else {
        ct_condition_signal(&watch->wake);
    }
    ct_mutex_unlock(&shared.lock);
}
