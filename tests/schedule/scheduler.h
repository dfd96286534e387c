/* SPDX-License-Identifier: MIT */
#ifndef SCHEDULER_H
#define SCHEDULER_H

/**
 * A scheduler that decides who runs. The threads of a schedule are coroutines of one thread of the system: the calls of
 * pthreads, semaphores, clocks and sleeping are wrapped (`-Wl,--wrap`), and in each of them, and around each atomic
 * operation (atomics.h), the scheduler chooses who goes on. All choices are drawn from a seed, which so repeats the
 * whole run.
 *
 * Who goes on: by lot, with a chance of staying with the same thread that is drawn for each schedule; or whoever has
 * the highest of priorities that are drawn, with a few changes at points that are drawn (Burckhardt and others, "A
 * randomized scheduler with probabilistic guarantees of finding bugs", ASPLOS 2010).
 *
 * Time is made up. It passes when nobody can run, up to when the first one waits until; and now and then, by lot, while
 * others can run, so that limits run out amid everything. A condition may wake for no reason.
 *
 * Nobody can run and nobody waits for a time: that is a deadlock, a violation. So is going on for ever.
 */
#include <stdbool.h>
#include <stdint.h>

/**
 * Runs a body as the first thread of a schedule. True when it has returned and all its threads are joined; false when
 * the schedule was given up: the violation is reported, and what it held of the system stays behind.
 */
bool schedule_run(const char *name, uint64_t seed, void (*body)(void *), void *argument);
/** Prints each switch; for looking at one schedule. */
void schedule_trace(bool trace);

/** Reports a violation of the schedule under way, which goes on. */
void schedule_violation(const char *format, ...) __attribute__((format(printf, 1, 2)));
/** Reports a violation, after which the schedule cannot go on. */
_Noreturn void schedule_give_up(const char *format, ...) __attribute__((format(printf, 1, 2)));

/** Another thread may run here. */
void schedule_point(void);
/** The same, after an atomic operation that changed something; ends schedule_hold(). */
void schedule_changed(void);
/** Until the thread's next atomic change, or schedule_changed(), no other runs. */
void schedule_hold(void);
/** One of 0 … count - 1, from the schedule's seed. */
unsigned schedule_draw(unsigned count);
/** The schedule's time, in nanoseconds. */
int64_t schedule_now(void);

#endif
