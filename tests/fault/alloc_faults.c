/* SPDX-License-Identifier: MIT */
/*
 * Every allocation fails, the library's and SQLite's alike: once, three times, and from then on for ever. SQLite's
 * lookaside memory is off, so that each of its allocations counts.
 *
 * A scenario has thousands of them, most of them in SQLite's parser. --points N takes about so many of each scenario,
 * evenly spread, and all those of the library's own code; without it, all. --scenario NAME runs one scenario, from
 * allocation --first N on; --part P --parts N fails every N-th of the allocations taken.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../unit/out_of_memory.h"
#include "fault.h"
#include "scenarios.h"
#include "shim.h"

enum { ALLOCATIONS = 100000 };

static sqlite3_mem_methods real;
static bool ours[ALLOCATIONS]; /* which allocations of a run without faults were the library's */

static bool library_fails(void)
{
    bool fails = fault_strikes();
    if (!fails && fault_opportunities() > 0 && fault_opportunities() <= ALLOCATIONS) {
        ours[fault_opportunities() - 1] = true;
    }
    return fails;
}

static void *sqlite_malloc(int size)
{
    return fault_strikes() ? NULL : real.xMalloc(size);
}

static void *sqlite_realloc(void *block, int size)
{
    return fault_strikes() ? NULL : real.xRealloc(block, size);
}

static void install(void)
{
    sqlite3_config(SQLITE_CONFIG_GETMALLOC, &real);
    sqlite3_mem_methods methods = real;
    methods.xMalloc = sqlite_malloc;
    methods.xRealloc = sqlite_realloc;
    sqlite3_config(SQLITE_CONFIG_MALLOC, &methods);
    sqlite3_config(SQLITE_CONFIG_LOOKASIDE, 0, 0);
    memory_fail_when(library_fails);
}

static void run_point(const scenario *s, const char *directory, long point, long strikes)
{
    static ledger books;
    static long blocks = -1;
    run r;
    run_begin(&r, directory, s->kind, &books);
    snprintf(r.place, sizeof r.place, "%s, allocation %ld, %ld times", s->name, point, strikes);
    if (s->prepare != NULL) {
        s->prepare(&r);
    }
    r.fault = point < 0 ? RUN_NO_FAULT : RUN_NO_MEMORY;
    fault_arm(point, strikes);
    s->act(&r);
    run_finish(&r);
    blocks = blocks < 0 ? memory_blocks() : blocks;
    if (memory_blocks() != blocks) {
        violation(r.place, "%ld blocks of the library's memory are leaked", memory_blocks() - blocks);
        blocks = memory_blocks();
    }
}

static unsigned long sweep(const scenario *s, const char *directory, long wanted)
{
    static const long times[3] = {1, 3, FAULT_FOR_EVER};
    unsigned long points = 0, taken = 0;
    memset(ours, 0, sizeof ours);
    run_point(s, directory, -1, 0);
    long count = fault_opportunities() < ALLOCATIONS ? fault_opportunities() : ALLOCATIONS;
    long step = count * 3 > wanted ? count * 3 / wanted : 1;
    static bool own[ALLOCATIONS];
    memcpy(own, ours, sizeof own);
    for (long point = (long)fault_option("first", 0); point < count && !fault_enough(); point++) {
        for (long t = 0; t < 3; t++) {
            if ((own[point] || point % step == t * step / 3) && fault_is_mine(taken++)) {
                run_point(s, directory, point, times[t]);
                points++;
            }
        }
    }
    printf("  %-36s %6ld allocations, %6lu points\n", s->name, count, points);
    return points;
}

int main(int argc, char **argv)
{
    fault_options(argc, argv);
    unsigned long points = 0;
    long wanted = (long)fault_option("points", LONG_MAX);
    const char *only = fault_text("scenario", NULL);
    install();
    ledger_init_keys();
    shim_install();
    const char *directory = fault_directory();
    run_make_templates(directory);
    for (size_t i = 0; i < scenarios_count && !fault_enough(); i++) {
        if (only == NULL || strcmp(only, scenarios[i].name) == 0) {
            points += sweep(&scenarios[i], directory, wanted);
        }
    }
    fault_remove_directory();
    return fault_report("alloc_faults", points, "points at which an allocation fails");
}
