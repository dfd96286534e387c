/* SPDX-License-Identifier: MIT */
#ifndef CT_SYNC_H
#define CT_SYNC_H

/**
 * Threads, behind one seam. A mutex here never fails to lock: errors would be our own bugs and abort.
 */
#include <pthread.h>
#include <semaphore.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct ct_mutex {
    pthread_mutex_t mutex;
} ct_mutex;

/** Of a mutex that nobody initialises or destroys. */
#define CT_MUTEX_INIT \
    { \
        PTHREAD_MUTEX_INITIALIZER \
    }

int ct_mutex_init(ct_mutex *mutex); /**< 0, or -1: no resources */
void ct_mutex_destroy(ct_mutex *mutex);
void ct_mutex_lock(ct_mutex *mutex);
void ct_mutex_unlock(ct_mutex *mutex);

/** A condition whose deadlines are on the monotonic clock. */
typedef struct ct_condition {
    pthread_cond_t condition;
} ct_condition;

int ct_condition_init(ct_condition *condition); /**< 0, or -1: no resources */
void ct_condition_destroy(ct_condition *condition);
/** Waits until signalled or the deadline (CT_NEVER: none) has passed; may also return for no reason. */
void ct_condition_wait(ct_condition *condition, ct_mutex *mutex, int64_t deadline);
void ct_condition_signal(ct_condition *condition);

/**
 * A gate: each opening lets one wait at it pass. It stands on the stack of the one thread that waits at it. It is a
 * POSIX semaphore, since whoever posts one does not touch it any more once the waiter may go on, and since the waiter
 * does not meet the poster's mutex when it wakes (measured: a mutex and a condition made waking twice as slow).
 */
typedef struct ct_gate {
    sem_t semaphore;
    struct ct_gate *next; /* for the list of whoever will open it */
} ct_gate;

int ct_gate_init(ct_gate *gate);
void ct_gate_destroy(ct_gate *gate);
void ct_gate_open(ct_gate *gate);
/** Waits until the gate is open: true; false once the deadline has passed. After true it is closed again. */
bool ct_gate_wait(ct_gate *gate, int64_t deadline);

typedef struct ct_thread {
    pthread_t thread;
} ct_thread;

/** Starts a thread in which all signals are blocked: they belong to the host. 0, or -1: no resources. */
int ct_thread_start(ct_thread *thread, void *(*run)(void *), void *argument);
void ct_thread_join(ct_thread *thread);
bool ct_thread_is_current(const ct_thread *thread);

/** Sleeps for a short time; a signal may end it early. */
void ct_thread_nap(int64_t nanoseconds);
/** From now on the calling thread's naps last as long as they should; on Linux they may last 50 us longer by default.
 */
void ct_thread_nap_precisely(void);

/** Changes in the child of every fork(2). Handles remember it to know that they are not theirs to use. */
unsigned ct_fork_generation(void);
/** Has them called around every fork(2) from now on. 0, or an error number: no resources. */
int ct_fork_handlers(void (*before)(void), void (*in_parent)(void), void (*in_child)(void));

#endif
