/* SPDX-License-Identifier: MIT */
#ifndef INTERRUPT_H
#define INTERRUPT_H

/**
 * What SIGHUP, SIGINT and SIGTERM do. They always end the command by themselves, so that its parent sees why: a shell
 * says 128 + number. Process 1 of a container, which signals do not end by themselves, exits with that.
 *
 * A command that leaves nothing behind need not do anything. One that has a temporary file, or something on the
 * terminal's line, has it removed on the way (interrupt_removes(), interrupt_wipes()). One that waits, or that has a
 * transaction to roll back, catches the first signal, ends in order, and main() lets the signal have its way; a second
 * one ends it at once. A signal that is ignored (nohup) stays ignored.
 */
#include <stdbool.h>
#include <stddef.h>

/** Longest name of a file that is removed, with its NUL. */
#define INTERRUPT_PATH (4096 + 16)

/** From now on the signals come to us; main() begins with it. */
void interrupt_listen(void);

/** Keeps the signals away, so that a file can be made and named in one; interrupt_allow() lets them in again. They
 * nest.
 */
void interrupt_hold(void);
void interrupt_allow(void);
/** A signal removes this file first; NULL: none. */
void interrupt_removes(const char *path);
/** A signal wipes so many columns of standard error's line first. */
void interrupt_wipes(size_t columns);

/** From now on the first signal is only noted. Returns a descriptor that becomes readable then, or -1 (errno says why).
 */
int interrupt_catch(void);
/** Whether a signal was noted. */
bool interrupted(void);
/** Sleeps until `descriptor` is readable (-1: none), a signal was noted, or the time is up (negative: no limit). */
void interrupt_sleep(int descriptor, int milliseconds);

/** Ends the program by the signal that was noted, if one was. */
void interrupt_end(void);

#endif
