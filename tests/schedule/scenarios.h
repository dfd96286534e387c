/* SPDX-License-Identifier: MIT */
#ifndef SCENARIOS_H
#define SCENARIOS_H

/** What threads do at once. Each is short: it is run many thousand times, each time in another order. */
#include "world.h"

typedef struct scenario {
    const char *name;
    void (*run)(world *w);
    bool on_file;
} scenario;

extern const scenario scenarios[];
extern const unsigned scenario_count;

#endif
