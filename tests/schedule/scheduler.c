/* SPDX-License-Identifier: MIT */
#define _DEFAULT_SOURCE /* MAP_ANONYMOUS */
#include "scheduler.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <ucontext.h>

#include "fault.h"

#define STACK_ADDRESS ((void *)0x210000000000)
#define STACK_SIZE ((size_t)512 << 10)
#define GUARD_SIZE ((size_t)4096)
#define NEVER INT64_MAX
#define WALL_SECONDS 1700000000
/* More than any schedule needs that ends. */
enum { THREADS = 32, MOST_POINTS = 400000, MOST_NAPS = 20000, CHANGES = 4 };

/* What a blocked thread waits for. */
typedef bool ready(void *object);

typedef struct thread {
    ucontext_t context;
    void *(*run)(void *);
    void *argument, *result;
    const char *at; /* the call that it is in, for reports */
    ready *ready;   /* NULL: it can run */
    void *object;   /* of `ready` */
    int64_t until;  /* when it goes on nevertheless; NEVER */
    pthread_cond_t *condition;
    bool signalled;
    bool costs; /* asking whether it is ready is a system call: ask only when it is to run */
    bool finished, joined;
    unsigned priority;
    int problem; /* errno */
} thread;

static struct schedule {
    bool under_way;
    const char *name;
    uint64_t seed, random;
    thread threads[THREADS];
    unsigned count, running;
    int64_t now;
    unsigned points, naps;
    unsigned stays, time_passes; /* one in so many switches to another thread, or lets time pass; 0: none */
    bool by_priority, held;
    unsigned change_at[CHANGES];
    bool given_up;
    ucontext_t driver;
} s;

static bool tracing;

/* ---------------------------------------------------------------- drawing and reporting */

void schedule_trace(bool trace)
{
    tracing = trace;
}

static uint64_t draw(void)
{
    /* splitmix64: neighbouring seeds have nothing in common */
    uint64_t z = s.random += 0x9E3779B97F4A7C15;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
    return z ^ (z >> 31);
}

unsigned schedule_draw(unsigned count)
{
    return (unsigned)(draw() % count);
}

static bool one_in(unsigned count)
{
    return count > 0 && schedule_draw(count) == 0;
}

int64_t schedule_now(void)
{
    return s.now;
}

static void report(const char *format, va_list arguments)
{
    char what[400], place[100];
    vsnprintf(what, sizeof what, format, arguments);
    snprintf(place, sizeof place, "--scenario %s --seed %llu", s.name, (unsigned long long)s.seed);
    violation(place, "%s", what);
}

void schedule_violation(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    report(format, arguments);
    va_end(arguments);
}

void schedule_give_up(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    report(format, arguments);
    va_end(arguments);
    s.given_up = true;
    setcontext(&s.driver);
    abort();
}

/* ---------------------------------------------------------------- choosing */

static thread *self(void)
{
    return &s.threads[s.running];
}

static bool never(void *object)
{
    (void)object;
    return false;
}

static bool can_run(const thread *t)
{
    return !t->finished && (t->ready == NULL || t->until <= s.now || t->costs || t->ready(t->object));
}

/* Lets time pass to when the first sleeper wakes. False: nobody sleeps. */
static bool pass_time(void)
{
    int64_t next = NEVER;
    for (unsigned i = 0; i < s.count; i++) {
        const thread *t = &s.threads[i];
        if (!t->finished && t->ready != NULL && t->until > s.now && t->until < next) {
            next = t->until;
        }
    }
    s.now = next == NEVER ? s.now : next;
    return next != NEVER;
}

static _Noreturn void stuck(const char *how)
{
    char text[300] = "";
    for (unsigned i = 0; i < s.count; i++) {
        size_t length = strlen(text);
        snprintf(text + length, sizeof text - length, " %u:%s", i, s.threads[i].finished ? "-" : s.threads[i].at);
    }
    schedule_give_up("%s; where the threads are:%s", how, text);
}

static unsigned choose_by_priority(const unsigned *candidates, unsigned count)
{
    unsigned best = 0;
    for (unsigned i = 1; i < count; i++) {
        best = s.threads[candidates[i]].priority > s.threads[candidates[best]].priority ? i : best;
    }
    return best;
}

static unsigned choose_by_lot(const unsigned *candidates, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        if (candidates[i] == s.running && !one_in(s.stays)) {
            return i;
        }
    }
    return schedule_draw(count);
}

/* Whether a thread whose asking costs can run indeed. */
static bool is_ready_indeed(const thread *t)
{
    return !t->costs || t->until <= s.now || t->ready(t->object);
}

/* The thread that goes on, or THREADS if nobody can. */
static unsigned choose(void)
{
    unsigned candidates[THREADS], count = 0;
    for (unsigned i = 0; i < s.count; i++) {
        if (can_run(&s.threads[i])) {
            candidates[count++] = i;
        }
    }
    while (count > 0) {
        unsigned chosen = s.by_priority ? choose_by_priority(candidates, count) : choose_by_lot(candidates, count);
        if (is_ready_indeed(&s.threads[candidates[chosen]])) {
            return candidates[chosen];
        }
        candidates[chosen] = candidates[--count];
    }
    return THREADS;
}

static void change_priorities(void)
{
    for (unsigned i = 0; s.by_priority && i < CHANGES; i++) {
        if (s.change_at[i] == s.points) {
            self()->priority = i; /* below all that were drawn */
        }
    }
}

/* Lets somebody go on, and returns when this thread does again. */
static void reschedule(void)
{
    if (++s.points > MOST_POINTS) {
        stuck("it does not end");
    }
    change_priorities();
    if (one_in(s.time_passes)) {
        pass_time();
    }
    unsigned next;
    while ((next = choose()) == THREADS) {
        if (++s.naps > MOST_NAPS) {
            stuck("nobody gets on");
        }
        if (!pass_time()) {
            stuck("deadlock");
        }
    }
    if (next != s.running) {
        thread *from = self();
        if (tracing) {
            fprintf(stderr, "%9lld ns, point %u: thread %u is in %s, %u goes on\n", (long long)s.now, s.points,
                    s.running, from->at, next);
        }
        from->problem = errno;
        s.running = next;
        swapcontext(&from->context, &s.threads[next].context);
        errno = from->problem;
    }
}

static void point_at(const char *at)
{
    self()->at = at;
    if (!s.held) {
        reschedule();
    }
}

void schedule_point(void)
{
    if (s.under_way) {
        point_at("an atomic operation");
    }
}

void schedule_changed(void)
{
    s.held = false;
    schedule_point();
}

void schedule_hold(void)
{
    s.held = true;
}

/* Blocks until `is_ready`, or until a time. Returns whether it was ready. */
static bool block(const char *at, ready *is_ready, void *object, int64_t until, bool costs)
{
    thread *t = self();
    if (s.held) {
        schedule_give_up("a call that must not block blocks");
    }
    t->at = at;
    t->ready = is_ready;
    t->object = object;
    t->until = until;
    t->costs = costs;
    reschedule();
    t->ready = NULL;
    t->costs = false;
    return is_ready(object);
}

/* ---------------------------------------------------------------- running a schedule */

static void begin_thread(void)
{
    thread *t = self();
    t->result = t->run(t->argument);
    t->finished = true;
    t->at = "its end";
    reschedule();
    abort(); /* nobody chooses it any more */
}

/* Where the stacks are; at the same addresses in each run, as everything that a thread may compare. */
static char *stack_of(unsigned index)
{
    static char *stacks;
    if (stacks == NULL) {
        stacks = mmap(STACK_ADDRESS, THREADS * STACK_SIZE, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (stacks != STACK_ADDRESS) {
            fprintf(stderr, "there is no room for stacks\n");
            exit(EXIT_FAILURE);
        }
        for (unsigned i = 0; i < THREADS; i++) {
            mprotect(stacks + i * STACK_SIZE, GUARD_SIZE, PROT_NONE);
        }
    }
    return stacks + index * STACK_SIZE + GUARD_SIZE;
}

static unsigned add_thread(void *(*run)(void *), void *argument)
{
    if (s.count == THREADS) {
        schedule_give_up("there are too many threads");
    }
    thread *t = &s.threads[s.count];
    *t = (thread){.run = run, .argument = argument, .at = "its beginning", .until = NEVER};
    t->priority = CHANGES + schedule_draw(1000);
    getcontext(&t->context);
    sigemptyset(&t->context.uc_sigmask); /* whoever starts threads blocks signals; crashes are to be caught */
    t->context.uc_stack.ss_sp = stack_of(s.count);
    t->context.uc_stack.ss_size = STACK_SIZE - GUARD_SIZE;
    makecontext(&t->context, begin_thread, 0);
    return s.count++;
}

static void draw_strategy(void)
{
    static const unsigned stays[] = {1, 2, 4, 8, 16, 40}, time_passes[] = {0, 0, 300, 60, 15};
    static const unsigned lengths[] = {60, 150, 400, 1000};
    s.by_priority = one_in(3);
    s.stays = stays[schedule_draw(sizeof stays / sizeof stays[0])];
    s.time_passes = time_passes[schedule_draw(sizeof time_passes / sizeof time_passes[0])];
    unsigned length = lengths[schedule_draw(sizeof lengths / sizeof lengths[0])];
    for (unsigned i = 0; i < CHANGES; i++) {
        s.change_at[i] = 1 + schedule_draw(length);
    }
}

typedef struct entry {
    void (*body)(void *);
    void *argument;
} entry;

static void *run_body(void *argument)
{
    const entry *e = argument;
    e->body(e->argument);
    for (unsigned i = 1; i < s.count; i++) {
        if (!s.threads[i].finished || !s.threads[i].joined) {
            stuck("a thread is left");
        }
    }
    setcontext(&s.driver);
    abort();
}

bool schedule_run(const char *name, uint64_t seed, void (*body)(void *), void *argument)
{
    static entry e;
    memset(&s, 0, offsetof(struct schedule, driver));
    e = (entry){body, argument};
    s.under_way = true;
    s.name = name;
    s.seed = s.random = seed;
    s.now = 1000000000;
    draw_strategy();
    add_thread(run_body, &e);
    volatile bool begun = false;
    getcontext(&s.driver); /* the schedule's end comes here */
    if (!begun) {
        begun = true;
        setcontext(&s.threads[0].context);
    }
    s.under_way = false;
    return !s.given_up;
}

/* ---------------------------------------------------------------- mutexes */

enum { MUTEX = 0x4D757465, CONDITION = 0x436F6E64, SEMAPHORE = 0x53656D61, GONE = 0x476F6E65 };

/* What stands in the place of pthread_mutex_t, pthread_cond_t and sem_t. */
typedef struct object {
    unsigned kind;
    unsigned value; /* a mutex: its owner's index + 1; a semaphore: its value */
} object;

_Static_assert(sizeof(object) <= sizeof(pthread_mutex_t) && sizeof(object) <= sizeof(pthread_cond_t) &&
                   sizeof(object) <= sizeof(sem_t),
               "it fits");

static object *check(void *place, unsigned kind, const char *call)
{
    object *o = place;
    if (o->kind != kind) {
        schedule_give_up("%s on something that is not there%s", call, o->kind == GONE ? " any more" : "");
    }
    return o;
}

static int begin_object(void *place, unsigned kind)
{
    *(object *)place = (object){kind, 0};
    return 0;
}

static int end_object(void *place, unsigned kind, const char *call)
{
    object *o = check(place, kind, call);
    if (kind == MUTEX && o->value != 0) {
        schedule_give_up("a mutex is destroyed while it is locked");
    }
    for (unsigned i = 0; i < s.count; i++) {
        if (s.threads[i].ready != NULL && s.threads[i].object == place && i != s.running) {
            schedule_give_up("%s while thread %u is in %s", call, i, s.threads[i].at);
        }
    }
    o->kind = GONE;
    return 0;
}

int __wrap_pthread_mutex_init(pthread_mutex_t *mutex, const pthread_mutexattr_t *attributes);
int __wrap_pthread_mutex_init(pthread_mutex_t *mutex, const pthread_mutexattr_t *attributes)
{
    (void)attributes;
    return begin_object(mutex, MUTEX);
}

int __wrap_pthread_mutex_destroy(pthread_mutex_t *mutex);
int __wrap_pthread_mutex_destroy(pthread_mutex_t *mutex)
{
    return end_object(mutex, MUTEX, "pthread_mutex_destroy");
}

static bool is_unlocked(void *mutex)
{
    const object *o = mutex;
    return o->kind != MUTEX || o->value == 0;
}

static void lock(pthread_mutex_t *mutex, const char *call)
{
    static const object untouched;
    if (memcmp(mutex, &untouched, sizeof untouched) == 0) { /* PTHREAD_MUTEX_INITIALIZER */
        begin_object(mutex, MUTEX);
    }
    object *o = check(mutex, MUTEX, call);
    if (o->value == s.running + 1) {
        schedule_give_up("a thread locks a mutex that it has locked");
    }
    block(call, is_unlocked, mutex, NEVER, false);
    check(mutex, MUTEX, call)->value = s.running + 1;
}

int __wrap_pthread_mutex_lock(pthread_mutex_t *mutex);
int __wrap_pthread_mutex_lock(pthread_mutex_t *mutex)
{
    lock(mutex, "pthread_mutex_lock");
    return 0;
}

static void unlock(pthread_mutex_t *mutex)
{
    object *o = check(mutex, MUTEX, "unlocking");
    if (o->value != s.running + 1) {
        schedule_give_up("a thread unlocks a mutex that it has not locked");
    }
    o->value = 0;
}

int __wrap_pthread_mutex_unlock(pthread_mutex_t *mutex);
int __wrap_pthread_mutex_unlock(pthread_mutex_t *mutex)
{
    unlock(mutex);
    point_at("pthread_mutex_unlock");
    return 0;
}

/* ---------------------------------------------------------------- conditions */

static int64_t nanoseconds(const struct timespec *time)
{
    return (int64_t)time->tv_sec * 1000000000 + time->tv_nsec;
}

int __wrap_pthread_cond_init(pthread_cond_t *condition, const pthread_condattr_t *attributes);
int __wrap_pthread_cond_init(pthread_cond_t *condition, const pthread_condattr_t *attributes)
{
    clockid_t clock = CLOCK_REALTIME;
    if (attributes != NULL) {
        pthread_condattr_getclock(attributes, &clock);
    }
    if (clock != CLOCK_MONOTONIC) {
        schedule_give_up("a condition is not on the monotonic clock");
    }
    return begin_object(condition, CONDITION);
}

int __wrap_pthread_cond_destroy(pthread_cond_t *condition);
int __wrap_pthread_cond_destroy(pthread_cond_t *condition)
{
    return end_object(condition, CONDITION, "pthread_cond_destroy");
}

static bool is_signalled(void *condition)
{
    (void)condition;
    return false; /* whoever signals makes the thread able to run */
}

static int wait_at(pthread_cond_t *condition, pthread_mutex_t *mutex, int64_t until, const char *call)
{
    thread *t = self();
    check(condition, CONDITION, call);
    unlock(mutex);
    t->condition = condition;
    t->signalled = false;
    block(call, is_signalled, condition, one_in(64) ? s.now : until, false);
    t->condition = NULL;
    bool signalled = t->signalled;
    lock(mutex, call);
    return signalled || s.now < until ? 0 : ETIMEDOUT;
}

int __wrap_pthread_cond_wait(pthread_cond_t *condition, pthread_mutex_t *mutex);
int __wrap_pthread_cond_wait(pthread_cond_t *condition, pthread_mutex_t *mutex)
{
    return wait_at(condition, mutex, NEVER, "pthread_cond_wait");
}

int __wrap_pthread_cond_timedwait(pthread_cond_t *condition, pthread_mutex_t *mutex, const struct timespec *until);
int __wrap_pthread_cond_timedwait(pthread_cond_t *condition, pthread_mutex_t *mutex, const struct timespec *until)
{
    return wait_at(condition, mutex, nanoseconds(until), "pthread_cond_timedwait");
}

int __wrap_pthread_cond_signal(pthread_cond_t *condition);
int __wrap_pthread_cond_signal(pthread_cond_t *condition)
{
    check(condition, CONDITION, "pthread_cond_signal");
    unsigned first = schedule_draw(s.count);
    for (unsigned i = 0; i < s.count; i++) {
        thread *t = &s.threads[(first + i) % s.count];
        if (t->condition == condition && !t->signalled) {
            t->signalled = true;
            t->ready = NULL;
            break;
        }
    }
    point_at("pthread_cond_signal");
    return 0;
}

/* ---------------------------------------------------------------- semaphores */

int __wrap_sem_init(sem_t *semaphore, int shared, unsigned value);
int __wrap_sem_init(sem_t *semaphore, int shared, unsigned value)
{
    (void)shared;
    *(object *)(void *)semaphore = (object){SEMAPHORE, value};
    return 0;
}

int __wrap_sem_destroy(sem_t *semaphore);
int __wrap_sem_destroy(sem_t *semaphore)
{
    return end_object(semaphore, SEMAPHORE, "sem_destroy");
}

int __wrap_sem_post(sem_t *semaphore);
int __wrap_sem_post(sem_t *semaphore)
{
    check(semaphore, SEMAPHORE, "sem_post")->value++;
    point_at("sem_post");
    return 0;
}

static bool is_posted(void *semaphore)
{
    const object *o = semaphore;
    return o->kind != SEMAPHORE || o->value > 0;
}

static int take(sem_t *semaphore, int64_t until, const char *call)
{
    check(semaphore, SEMAPHORE, call);
    if (!block(call, is_posted, semaphore, until, false)) {
        errno = ETIMEDOUT;
        return -1;
    }
    check(semaphore, SEMAPHORE, call)->value--;
    return 0;
}

int __wrap_sem_wait(sem_t *semaphore);
int __wrap_sem_wait(sem_t *semaphore)
{
    return take(semaphore, NEVER, "sem_wait");
}

int __wrap_sem_timedwait(sem_t *semaphore, const struct timespec *until);
int __wrap_sem_timedwait(sem_t *semaphore, const struct timespec *until)
{
    return take(semaphore, nanoseconds(until) - INT64_C(1000000000) * WALL_SECONDS, "sem_timedwait");
}

int __wrap_sem_clockwait(sem_t *semaphore, clockid_t clock, const struct timespec *until);
int __wrap_sem_clockwait(sem_t *semaphore, clockid_t clock, const struct timespec *until)
{
    if (clock != CLOCK_MONOTONIC) {
        schedule_give_up("a semaphore is not on the monotonic clock");
    }
    return take(semaphore, nanoseconds(until), "sem_clockwait");
}

int __wrap_sem_trywait(sem_t *semaphore);
int __wrap_sem_trywait(sem_t *semaphore)
{
    point_at("sem_trywait");
    object *o = check(semaphore, SEMAPHORE, "sem_trywait");
    if (o->value == 0) {
        errno = EAGAIN;
        return -1;
    }
    o->value--;
    return 0;
}

/* ---------------------------------------------------------------- threads */

int __wrap_pthread_create(pthread_t *made, const pthread_attr_t *attributes, void *(*run)(void *), void *argument);
int __wrap_pthread_create(pthread_t *made, const pthread_attr_t *attributes, void *(*run)(void *), void *argument)
{
    (void)attributes;
    *made = (pthread_t)(add_thread(run, argument) + 1);
    point_at("pthread_create");
    return 0;
}

static bool is_finished(void *t)
{
    return ((const thread *)t)->finished;
}

int __wrap_pthread_join(pthread_t which, void **result);
int __wrap_pthread_join(pthread_t which, void **result)
{
    if (which == 0 || which > s.count || s.threads[which - 1].joined) {
        schedule_give_up("a thread is joined that is not there");
    }
    thread *t = &s.threads[which - 1];
    t->joined = true;
    block("pthread_join", is_finished, t, NEVER, false);
    if (result != NULL) {
        *result = t->result;
    }
    return 0;
}

pthread_t __wrap_pthread_self(void);
pthread_t __wrap_pthread_self(void)
{
    return (pthread_t)(s.running + 1);
}

/* ---------------------------------------------------------------- time */

int __real_clock_gettime(clockid_t clock, struct timespec *time);
int __wrap_clock_gettime(clockid_t clock, struct timespec *time);
int __wrap_clock_gettime(clockid_t clock, struct timespec *time)
{
    if (!s.under_way) {
        return __real_clock_gettime(clock, time);
    }
    int64_t now = ++s.now; /* looking takes time, too */
    *time = (struct timespec){.tv_sec = now / 1000000000, .tv_nsec = now % 1000000000};
    time->tv_sec += clock == CLOCK_REALTIME ? WALL_SECONDS : 0;
    return 0;
}

int __wrap_nanosleep(const struct timespec *time, struct timespec *left);
int __wrap_nanosleep(const struct timespec *time, struct timespec *left)
{
    (void)left;
    block("nanosleep", never, NULL, s.now + nanoseconds(time), false);
    return 0;
}

typedef struct polled {
    struct pollfd *sources;
    nfds_t count;
} polled;

int __real_poll(struct pollfd *sources, nfds_t count, int timeout_ms);
int __wrap_poll(struct pollfd *sources, nfds_t count, int timeout_ms);

static bool is_readable(void *call)
{
    polled *p = call;
    return __real_poll(p->sources, p->count, 0) > 0;
}

int __wrap_poll(struct pollfd *sources, nfds_t count, int timeout_ms)
{
    polled p = {sources, count};
    int64_t until = timeout_ms < 0 ? NEVER : s.now + INT64_C(1000000) * timeout_ms;
    block("poll", is_readable, &p, until, true);
    return __real_poll(sources, count, 0);
}
