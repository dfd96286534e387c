/* SPDX-License-Identifier: MIT */
#ifndef TALLY_H
#define TALLY_H

/**
 * What several processes have attempted and what was acknowledged to them, in memory that they share, so that it
 * outlives each of them: an index is entered before the call (tally_attempt) and again after it (tally_acknowledge).
 * When nobody is at work, the file must hold of each key at least what was acknowledged and at most what was attempted.
 *
 * A backup that is taken back into the file takes back what was acknowledged, too. While it is done nobody can tell
 * what an acknowledgement is worth, so none counts (tally_restoring); afterwards the backup's state is the truth.
 */
#include <stdarg.h>
#include <stdatomic.h>

#include "ctrack.h"

/** The keys, by who writes them. The last one is in the other file only, until that is taken into this one. */
enum {
    TALLY_WRITER,
    TALLY_WRITERS = 3, /* so many */
    TALLY_FORGOTTEN = TALLY_WRITERS,
    TALLY_STAGER,
    TALLY_STAGER_TOO,
    TALLY_FOLLOWER,
    TALLY_PROBE,
    TALLY_ONE_SHOT,
    TALLY_SQL,
    TALLY_ELSEWHERE,
    TALLY_DEFAULT, /* so many are in the read model "default" */
    TALLY_OTHER = TALLY_DEFAULT,
    TALLY_KEYS
};
#define TALLY_NEVER INT64_C(-1)

typedef struct tally_key {
    const char *model;
    ctrack_key key;
} tally_key;
extern const tally_key tally_keys[TALLY_KEYS];

/** What a file holds. */
typedef struct tally_state {
    int64_t index[TALLY_KEYS];
    int64_t applied; /* the host's own number, which is committed together with TALLY_STAGER */
} tally_state;

enum { TALLY_OBJECTIONS = 40, TALLY_TEXT = 400 };

typedef struct tally {
    struct {
        _Atomic int64_t attempted, acknowledged; /* since the last backup was taken back */
        _Atomic int64_t highest;                 /* ever attempted */
    } keys[TALLY_KEYS];
    atomic_ulong restores; /* odd: one is under way */
    atomic_ulong objections;
    struct {
        char text[TALLY_TEXT];
        atomic_bool written;
    } objection[TALLY_OBJECTIONS];
} tally;

extern tally *books; /**< of all processes; mapped before any is started */

ctrack_coordinate tally_coordinate(int key, int64_t index);
/** The next index of a key that only the caller writes. */
int64_t tally_next(int key);
void tally_attempt(int key, int64_t index);
/** Call before what is to be acknowledged; it is acknowledged if no backup was taken back meanwhile. */
unsigned long tally_begin(void);
void tally_acknowledge(int key, int64_t index, unsigned long began);
/** The same around a call that forgets the key. */
void tally_forgetting(int key);
void tally_forgotten(int key, unsigned long began);

void tally_restoring(void);
/** The state that is the truth now; NULL: nothing was taken back. Nobody is at work; whether somebody was meanwhile. */
void tally_restored(const tally_state *state, bool meanwhile);
/** Holds what the file has against the books, and takes it over. Nobody is at work. */
void tally_judge(const tally_state *state);

/** Something that must not be, said by any process; the one that counts violations fetches it. */
void object(const char *format, ...) __attribute__((format(printf, 1, 2)));
/** Fetches the objections: each becomes a violation at that place. */
void tally_fetch_objections(const char *place);

#endif
