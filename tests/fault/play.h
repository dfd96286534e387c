/* SPDX-License-Identifier: MIT */
#ifndef PLAY_H
#define PLAY_H

/**
 * Plays a sequence of public calls on a file of its own: two trackers, a host's connection, waits that stay pending,
 * and the oracle beside them, which says what each call must answer. What a call is given is drawn from its step's
 * number, so a step means the same whatever comes before it, and the sequence may be shortened.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PLAY_STEPS = 64, PLAY_TEXT = 1024 };

typedef struct play_step {
    unsigned char call; /* below play_calls */
    uint32_t draw;      /* what its arguments are drawn from */
} play_step;

typedef struct play_sequence {
    play_step steps[PLAY_STEPS];
    size_t count;
} play_sequence;

/** A state for fault_draw() of any number: those of neighbours have nothing in common. */
unsigned long long play_random(unsigned long long number);

/** How many calls there are, their names, and the one of a name (-1: none). */
extern const int play_calls;
const char *play_name(int call);
int play_find(const char *name);
/** What may come between two others: folding, a checkpoint, another's trim, and closing with opening anew. */
int play_between(unsigned number);

/** Makes what every sequence begins with. */
void play_prepare(const char *directory);
/**
 * Plays. Returns whether all went as the oracle said; else `problem` tells of the first that did not. `trace`: each call
 * is printed as it is made.
 */
bool play(const play_sequence *sequence, bool trace, char problem[PLAY_TEXT]);

#endif
