/* SPDX-License-Identifier: MIT */
#ifndef SCENARIOS_H
#define SCENARIOS_H

/** What the library does, in short pieces that a harness repeats with one more thing going wrong each time. */
#include "run.h"

typedef struct scenario {
    const char *name;
    run_template kind;
    void (*prepare)(run *r); /* nothing goes wrong yet; may be NULL */
    void (*act)(run *r);
    bool threads; /* it starts some */
    bool writes;  /* it changes the file */
} scenario;

extern const scenario scenarios[];
extern const size_t scenarios_count;

#endif
