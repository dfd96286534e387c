/* SPDX-License-Identifier: MIT */
#ifndef FAULT_H
#define FAULT_H

/**
 * When to fail. Whoever can make something fail (the VFS, the allocators) asks fault_strikes() at each opportunity; the
 * harness says at which of them, and whether the cause stays.
 */
#include <limits.h>
#include <stdbool.h>

#define FAULT_FOR_EVER LONG_MAX
/** Lets `passes` opportunities pass; the next `strikes` ones strike. Negative passes: none does. */
void fault_arm(long passes, long strikes);
void fault_disarm(void);
/** Nothing strikes and nothing is counted in between: for a checker in the middle of a run. */
void fault_pause(void);
void fault_resume(void);
bool fault_strikes(void);
bool fault_has_struck(void);    /**< since it was armed */
long fault_opportunities(void); /**< so many since it was armed */

/** Reports what must not be; the run goes on. printf's arguments; the first one names the place. */
void violation(const char *place, const char *format, ...) __attribute__((format(printf, 2, 3)));
unsigned long violations(void);
/** Whether there are as many as `--enough` asks for, which is what a mutant is run with; else there never are. */
bool fault_enough(void);

/**
 * The harness's last line: `name: N what, V violations`, of which tests/figures.sh makes a table. Returns main()'s
 * result: 0 if there were no violations and as many of what is counted as `--least` asks for.
 */
int fault_report(const char *name, unsigned long count, const char *format, ...) __attribute__((format(printf, 3, 4)));

/** A sequence of numbers that a printed seed repeats. */
unsigned long long fault_draw(unsigned long long *random);
/** Takes main()'s arguments. */
void fault_options(int argc, char **argv);
/** What stands behind `--name` in them; `otherwise` if nothing does. */
const char *fault_text(const char *name, const char *otherwise);
unsigned long long fault_option(const char *name, unsigned long long otherwise);

/**
 * Whether this process tries the N-th of what is tried in a row: `--parts P --part I` leaves the others to other
 * processes.
 */
bool fault_is_mine(unsigned long number);

/** A new directory for files that are written often: in memory where there is one. */
const char *fault_directory(void);
void fault_remove_directory(void);

#endif
