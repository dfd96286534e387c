/* SPDX-License-Identifier: MIT */
#include "sync.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif

#include "clock.h"

static void must(int result)
{
    if (result != 0) { /* GCOVR_EXCL_BR_LINE: it would be the end of the tests */
        abort();       /* GCOVR_EXCL_LINE */
    }
}

static struct timespec to_timespec(int64_t nanoseconds)
{
    return (struct timespec){.tv_sec = (time_t)(nanoseconds / 1000000000), .tv_nsec = (long)(nanoseconds % 1000000000)};
}

int ct_mutex_init(ct_mutex *mutex)
{
    return pthread_mutex_init(&mutex->mutex, NULL) == 0 ? 0 : -1;
}

void ct_mutex_destroy(ct_mutex *mutex)
{
    must(pthread_mutex_destroy(&mutex->mutex));
}

void ct_mutex_lock(ct_mutex *mutex)
{
    must(pthread_mutex_lock(&mutex->mutex));
}

void ct_mutex_unlock(ct_mutex *mutex)
{
    must(pthread_mutex_unlock(&mutex->mutex));
}

int ct_condition_init(ct_condition *condition)
{
    pthread_condattr_t attributes;
    if (pthread_condattr_init(&attributes) != 0) {
        return -1;
    }
    int result = pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    result = result == 0 ? pthread_cond_init(&condition->condition, &attributes) : result;
    pthread_condattr_destroy(&attributes);
    return result == 0 ? 0 : -1;
}

void ct_condition_destroy(ct_condition *condition)
{
    must(pthread_cond_destroy(&condition->condition));
}

void ct_condition_wait(ct_condition *condition, ct_mutex *mutex, int64_t deadline)
{
    if (deadline == CT_NEVER) {
        must(pthread_cond_wait(&condition->condition, &mutex->mutex));
        return;
    }
    struct timespec until = to_timespec(deadline);
    int result = pthread_cond_timedwait(&condition->condition, &mutex->mutex, &until);
    must(result == ETIMEDOUT ? 0 : result);
}

void ct_condition_signal(ct_condition *condition)
{
    must(pthread_cond_signal(&condition->condition));
}

int ct_gate_init(ct_gate *gate)
{
    gate->next = NULL;
    return sem_init(&gate->semaphore, 0, 0);
}

void ct_gate_destroy(ct_gate *gate)
{
    must(sem_destroy(&gate->semaphore));
}

void ct_gate_open(ct_gate *gate)
{
    must(sem_post(&gate->semaphore));
}

#ifdef CTRACK_SEM_CLOCKWAIT
/* POSIX.1-2024, and in glibc since 2.30. */
static int wait_until(ct_gate *gate, int64_t deadline)
{
    struct timespec until = to_timespec(deadline);
    return sem_clockwait(&gate->semaphore, CLOCK_MONOTONIC, &until);
}
#else
/*
 * Before POSIX.1-2024 semaphores time out on the wall clock only, which may be set while we wait. So we wait in slices,
 * and the monotonic clock has the last word: never early. If the wall clock is set back, a slice takes that much
 * longer; the service thread, which sleeps on the monotonic clock, ends the wait in time unless a callback holds it up.
 * Nobody ends the short sleep of whoever holds a turn (turn.c), so short waits are naps, which no clock makes longer.
 */
#define SLICE_NANOSECONDS INT64_C(1000000000)
#define SHORT_NANOSECONDS INT64_C(20000000)
#define NAP_NANOSECONDS INT64_C(50000)

static int wait_until(ct_gate *gate, int64_t deadline)
{
    struct timespec now;
    int64_t left = deadline - ct_clock_monotonic();
    if (left < SHORT_NANOSECONDS) {
        ct_thread_nap(NAP_NANOSECONDS);
        int result = sem_trywait(&gate->semaphore);
        errno = ETIMEDOUT;
        return result;
    }
    clock_gettime(CLOCK_REALTIME, &now);
    int64_t slice_end =
        (int64_t)now.tv_sec * 1000000000 + now.tv_nsec + (left < SLICE_NANOSECONDS ? left : SLICE_NANOSECONDS);
    struct timespec until = to_timespec(slice_end);
    return sem_timedwait(&gate->semaphore, &until);
}
#endif

bool ct_gate_wait(ct_gate *gate, int64_t deadline)
{
    for (;;) {
        if (deadline != CT_NEVER && deadline <= ct_clock_monotonic()) {
            return sem_trywait(&gate->semaphore) == 0;
        }
        int result = deadline == CT_NEVER ? sem_wait(&gate->semaphore) : wait_until(gate, deadline);
        if (result == 0) {
            return true;
        }
        must(errno == EINTR || errno == ETIMEDOUT ? 0 : errno); /* GCOVR_EXCL_BR_LINE: a signal just then, or abort() */
    }
}

int ct_thread_start(ct_thread *thread, void *(*run)(void *), void *argument)
{
    sigset_t all, before;
    sigfillset(&all);
    must(pthread_sigmask(SIG_SETMASK, &all, &before));
    int result = pthread_create(&thread->thread, NULL, run, argument);
    must(pthread_sigmask(SIG_SETMASK, &before, NULL));
    return result == 0 ? 0 : -1;
}

void ct_thread_join(ct_thread *thread)
{
    must(pthread_join(thread->thread, NULL));
}

bool ct_thread_is_current(const ct_thread *thread)
{
    return pthread_equal(thread->thread, pthread_self()) != 0;
}

void ct_thread_nap(int64_t nanoseconds)
{
    struct timespec time = to_timespec(nanoseconds);
    nanosleep(&time, NULL);
}

void ct_thread_nap_precisely(void)
{
#ifdef __linux__
    prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);
#endif
}

static atomic_uint generation;

static void count_fork(void)
{
    atomic_fetch_add_explicit(&generation, 1, memory_order_relaxed);
}

static void watch_forks(void)
{
    pthread_atfork(NULL, NULL, count_fork);
}

unsigned ct_fork_generation(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, watch_forks);
    return atomic_load_explicit(&generation, memory_order_relaxed);
}

int ct_fork_handlers(void (*before)(void), void (*in_parent)(void), void (*in_child)(void))
{
    return pthread_atfork(before, in_parent, in_child);
}
