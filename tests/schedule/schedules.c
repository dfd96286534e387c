/* SPDX-License-Identifier: MIT */
/*
 * schedules: runs the scenarios, each time in another order that a seed decides, and judges all that happens.
 *
 *   schedules [--schedules N] [--from SEED] [--scenario NAME] [--parts P --part I] [--least N]
 *   schedules --scenario NAME --seed SEED [--trace 1]     repeats one, as a violation names it
 *
 * After each schedule no thread, no memory and no descriptor may be left.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "arena.h"
#include "fault.h"
#include "guard.h"
#include "scenarios.h"
#include "scheduler.h"

static unsigned long done;
static const char *directory;

/* ---------------------------------------------------------------- crashes */

static int finish(void)
{
    fault_remove_directory();
    return fault_report("schedules", done, "schedules, %u scenarios", scenario_count);
}

/* Nothing goes on after a crash: it is reported as any other violation, and is the last. */
static void crash(int number)
{
    schedule_violation("it crashed: %s", strsignal(number));
    int result = finish();
    fflush(NULL);
    _exit(result);
}

static void catch_crashes(void)
{
    static char stack[65536];
    stack_t own = {.ss_sp = stack, .ss_size = sizeof stack};
    struct sigaction action = {.sa_handler = crash, .sa_flags = SA_ONSTACK | (int)SA_RESETHAND};
    static const int numbers[] = {SIGSEGV, SIGBUS, SIGABRT, SIGILL, SIGFPE};
    sigaltstack(&own, NULL);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        sigaction(numbers[i], &action, NULL);
    }
}

/* ---------------------------------------------------------------- files */

/* What a new file holds, made once. */
static char *template;
static size_t template_size;

static void write_template(const char *path)
{
    FILE *stream = fopen(path, "w");
    bool written = stream != NULL && fwrite(template, 1, template_size, stream) == template_size;
    if ((stream != NULL && fclose(stream) != 0) || !written) {
        perror(path);
        exit(EXIT_FAILURE);
    }
}

static void read_template(const char *path)
{
    FILE *stream = fopen(path, "r");
    template = malloc(1 << 20);
    template_size = stream != NULL && template != NULL ? fread(template, 1, 1 << 20, stream) : 0;
    if (template_size == 0 || template_size == 1 << 20) {
        perror(path);
        exit(EXIT_FAILURE);
    }
    fclose(stream);
}

static void remove_file(const char *path)
{
    static const char *const ends[] = {"", "-wal", "-shm"};
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        char name[300];
        snprintf(name, sizeof name, "%s%s", path, ends[i]);
        unlink(name);
    }
}

static void make_template(void *argument)
{
    world *w = argument;
    world_open(w, 0);
    world_close(w, 0);
}

/* ---------------------------------------------------------------- one schedule */

/* The descriptor that would be opened next. */
static int next_descriptor(void)
{
    int descriptor = fcntl(STDIN_FILENO, F_DUPFD, 3);
    close(descriptor);
    return descriptor;
}

static void begin_world(world *w, const char *path)
{
    memset(w, 0, sizeof *w);
    memset(w->called, -1, sizeof w->called);
    memset(w->acknowledged, -1, sizeof w->acknowledged);
    w->path = path;
}

typedef struct run {
    const scenario *scenario;
    world world;
} run;

static void run_scenario(void *argument)
{
    run *r = argument;
    sem_init(&r->world.told, 0, 0);
    r->scenario->run(&r->world);
    world_end(&r->world);
    /* While this process has the file open in any other way, its guard cannot let go of it. */
    sqlite3_close(r->world.outside);
    r->world.outside = NULL;
    ct_guard_tidy();
}

static void run_one(const scenario *what, uint64_t seed)
{
    static run r;
    static unsigned given_up; /* what they held of a file stays behind */
    char path[250];
    snprintf(path, sizeof path, "%s/%u.db", directory, given_up);
    int descriptor = next_descriptor();
    done++;
    r.scenario = what;
    begin_world(&r.world, what->on_file ? path : NULL);
    if (what->on_file) {
        write_template(path);
        sqlite3_open_v2(path, &r.world.outside, SQLITE_OPEN_READONLY, NULL);
    }
    arena_open();
    bool ended = schedule_run(what->name, seed, run_scenario, &r);
    long blocks = arena_close();
    sqlite3_close(r.world.outside);
    if (ended && blocks > 0) {
        schedule_violation("%ld blocks of memory are left", blocks);
    } else if (blocks < 0) {
        schedule_violation("freed memory was written to");
    }
    if (ended && next_descriptor() != descriptor) {
        schedule_violation("a descriptor is left");
    }
    if (what->on_file) {
        remove_file(path);
    }
    given_up += !ended;
}

static const scenario *scenario_called(const char *name)
{
    for (unsigned i = 0; i < scenario_count; i++) {
        if (strcmp(name, scenarios[i].name) == 0) {
            return &scenarios[i];
        }
    }
    fprintf(stderr, "there is no scenario %s\n", name);
    exit(EXIT_FAILURE);
}

static void prepare_files(void)
{
    static world maker;
    char path[250];
    directory = fault_directory();
    snprintf(path, sizeof path, "%s/template.db", directory);
    begin_world(&maker, path);
    schedule_run("template", 1, make_template, &maker);
    read_template(path);
}

int main(int argc, char **argv)
{
    fault_options(argc, argv);
    uint64_t count = fault_option("schedules", 20000), from = fault_option("from", 1);
    uint64_t seed = fault_option("seed", 0);
    const char *name = fault_text("scenario", NULL);
    const scenario *only = name != NULL ? scenario_called(name) : NULL;
    schedule_trace(fault_option("trace", 0) != 0);
    catch_crashes();
    prepare_files();
    if (only != NULL && seed != 0) {
        run_one(only, seed);
    } else {
        for (uint64_t i = 0; i < count && !fault_enough(); i++) {
            if (fault_is_mine(i)) {
                run_one(only != NULL ? only : &scenarios[i % scenario_count], from + i);
            }
        }
    }
    free(template);
    return finish();
}
