/* SPDX-License-Identifier: MIT */
#include "sync.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "clock.h"

static void must(int result)
{
    if (result != 0) {
        abort();
    }
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
    struct timespec until = {.tv_sec = (time_t)(deadline / 1000000000), .tv_nsec = (long)(deadline % 1000000000)};
    int result = pthread_cond_timedwait(&condition->condition, &mutex->mutex, &until);
    must(result == ETIMEDOUT ? 0 : result);
}

void ct_condition_signal(ct_condition *condition)
{
    must(pthread_cond_signal(&condition->condition));
}

void ct_condition_broadcast(ct_condition *condition)
{
    must(pthread_cond_broadcast(&condition->condition));
}

int ct_gate_init(ct_gate *gate)
{
    gate->open = false;
    gate->next = NULL;
    if (ct_mutex_init(&gate->mutex) != 0) {
        return -1;
    }
    if (ct_condition_init(&gate->condition) != 0) {
        ct_mutex_destroy(&gate->mutex);
        return -1;
    }
    return 0;
}

void ct_gate_destroy(ct_gate *gate)
{
    ct_condition_destroy(&gate->condition);
    ct_mutex_destroy(&gate->mutex);
}

void ct_gate_open(ct_gate *gate)
{
    ct_mutex_lock(&gate->mutex);
    gate->open = true;
    ct_condition_signal(&gate->condition); /* under the mutex: see the header */
    ct_mutex_unlock(&gate->mutex);
}

bool ct_gate_wait(ct_gate *gate, int64_t deadline)
{
    ct_mutex_lock(&gate->mutex);
    while (!gate->open && (deadline == CT_NEVER || ct_clock_monotonic() < deadline)) {
        ct_condition_wait(&gate->condition, &gate->mutex, deadline);
    }
    bool open = gate->open;
    ct_mutex_unlock(&gate->mutex);
    return open;
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
