/* SPDX-License-Identifier: MIT */
/*
 * Calls in any order: sequences of public calls, 2 to 40 long, on two trackers of two read models and a host's
 * connection, with and without a fold, a reload and a reopening between, beside an oracle that says what each must
 * answer (play.h). After each call the file is what the oracle says, and sound, and so is what the trackers show.
 *
 * The first sequences are made: every call after every other one, x y x y, and each twice in a row, x x y y, with what
 * is in between. The others are drawn. A sequence that fails is shortened as long as it fails, and printed so that
 * --replay plays it again.
 *
 * --sequences N, --first N (from 0), --seed N; --replay "call/number …" plays one, and says what it does.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "fault.h"
#include "play.h"

enum { SHORTEST = 2, LONGEST = 40, TRIES = 3, SECONDS = 60 };
enum { TEXT = PLAY_STEPS * 32 };

/* ---------------------------------------------------------------- as text */

static void print(const play_sequence *sequence, char text[TEXT])
{
    size_t used = 0;
    text[0] = '\0';
    for (size_t i = 0; i < sequence->count; i++) {
        used += (size_t)snprintf(text + used, TEXT - used, "%s%s/%x", i > 0 ? " " : "",
                                 play_name(sequence->steps[i].call), (unsigned)sequence->steps[i].draw);
    }
}

static bool read_step(const char *word, play_step *step)
{
    char name[40];
    unsigned number;
    if (sscanf(word, "%39[a-z_]/%x", name, &number) != 2 || play_find(name) < 0) {
        return false;
    }
    *step = (play_step){(unsigned char)play_find(name), number};
    return true;
}

static play_sequence read_sequence(const char *given)
{
    play_sequence sequence = {.count = 0};
    char text[TEXT], *rest = text;
    snprintf(text, sizeof text, "%s", given);
    for (char *word = strtok_r(text, " \n", &rest); word != NULL; word = strtok_r(NULL, " \n", &rest)) {
        if (sequence.count == PLAY_STEPS || !read_step(word, &sequence.steps[sequence.count++])) {
            fprintf(stderr, "sequences: not a call: %s\n", word);
            exit(EXIT_FAILURE);
        }
    }
    return sequence;
}

/* ---------------------------------------------------------------- what is played */

static void add(play_sequence *sequence, int call, unsigned long long *random)
{
    sequence->steps[sequence->count++] = (play_step){(unsigned char)call, (uint32_t)(fault_draw(random) >> 16)};
}

static unsigned draw(unsigned long long *random, unsigned below)
{
    return (unsigned)((fault_draw(random) >> 20) % below);
}

/* Something to call others on; half of the time both trackers may be of one read model. */
static void add_beginning(play_sequence *sequence, unsigned long long *random)
{
    unsigned calls = draw(random, 3);
    if (draw(random, 2) == 0) {
        add(sequence, play_find("reopen"), random);
    }
    while (calls-- > 0) {
        add(sequence, (int)draw(random, (unsigned)play_calls), random);
    }
}

/* How many sequences are made: every pair in both forms, with nothing in between and with each of what may be. */
enum { FORMS = 2, BETWEEN = 5 };

static unsigned long made(void)
{
    return (unsigned long)play_calls * (unsigned long)play_calls * FORMS * BETWEEN;
}

static play_sequence make(unsigned long number, unsigned long long *random)
{
    play_sequence sequence = {.count = 0};
    unsigned between = (unsigned)(number % BETWEEN), form = (unsigned)(number / BETWEEN % FORMS);
    int pair = (int)(number / BETWEEN / FORMS);
    const int x = pair / play_calls, y = pair % play_calls, orders[FORMS][4] = {{x, y, x, y}, {x, x, y, y}};
    add_beginning(&sequence, random);
    for (int i = 0; i < 4; i++) {
        if (i > 0 && between > 0 && draw(random, 2) == 0) {
            add(&sequence, play_between(between - 1), random);
        }
        add(&sequence, orders[form][i], random);
    }
    return sequence;
}

/* Mostly short. */
static play_sequence draw_sequence(unsigned long long *random)
{
    play_sequence sequence = {.count = 0};
    size_t most = draw(random, 4) == 0 ? LONGEST : 12, count = SHORTEST + draw(random, (unsigned)most - SHORTEST + 1);
    if (draw(random, 2) == 0) {
        add_beginning(&sequence, random);
    }
    while (sequence.count < count) {
        add(&sequence, (int)draw(random, (unsigned)play_calls), random);
    }
    return sequence;
}

/* Sequence `number` of a seed, whatever else is played. */
static play_sequence sequence_of(unsigned long long seed, unsigned long number)
{
    unsigned long long random = play_random(play_random(seed) + number);
    return number < made() ? make(number, &random) : draw_sequence(&random);
}

/* ---------------------------------------------------------------- failures */

/* What is being played, for the one who finds that it does not come back. */
static char playing[TEXT + 200];

/* A crash, or a call that has not returned for a minute. */
static void give_up(int number)
{
    ssize_t written = write(STDOUT_FILENO, playing, strlen(playing));
    (void)written;
    signal(number, SIG_DFL);
    _exit(EXIT_FAILURE);
}

static void watch(void)
{
    static const int deadly[] = {SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGALRM};
    for (size_t i = 0; i < sizeof deadly / sizeof deadly[0]; i++) {
        signal(deadly[i], give_up);
    }
}

static bool play_one(const play_sequence *sequence, bool trace, char problem[PLAY_TEXT])
{
    char text[TEXT];
    print(sequence, text);
    snprintf(playing, sizeof playing,
             "VIOLATION: it crashes or hangs: --replay \"%s\"\nsequences: 1 sequences of calls, 1 violations\n", text);
    alarm(SECONDS);
    bool well = play(sequence, trace, problem);
    alarm(0);
    return well;
}

/* Whether a sequence fails; threads may be in time or not, so it has more than one try. */
static bool fails(const play_sequence *sequence, char problem[PLAY_TEXT])
{
    bool failed = false;
    for (int i = 0; i < TRIES && !failed; i++) {
        failed = !play_one(sequence, false, problem);
    }
    return failed;
}

/* Leaves out `length` calls from `first` on, if what is left still fails. */
static bool leave_out(play_sequence *sequence, size_t first, size_t length, char problem[PLAY_TEXT])
{
    play_sequence rest = *sequence;
    char other[PLAY_TEXT];
    memmove(&rest.steps[first], &rest.steps[first + length], (rest.count - first - length) * sizeof rest.steps[0]);
    rest.count -= length;
    if (!fails(&rest, other)) {
        return false;
    }
    *sequence = rest;
    memcpy(problem, other, PLAY_TEXT);
    return true;
}

/* Shortens a sequence that fails: by halves, quarters …, and at last call by call until none can be left out. */
static void shorten(play_sequence *sequence, char problem[PLAY_TEXT])
{
    size_t length = sequence->count / 2;
    while (length > 0) {
        bool shorter = false;
        for (size_t first = 0; first + length <= sequence->count;) {
            bool left_out = leave_out(sequence, first, length, problem);
            first += left_out ? 0 : length;
            shorter = shorter || left_out;
        }
        length = length > 1 ? length / 2 : shorter ? 1 : 0;
    }
}

static void report(play_sequence *sequence, unsigned long number, unsigned long long seed, char problem[PLAY_TEXT])
{
    char text[TEXT], place[100];
    shorten(sequence, problem);
    print(sequence, text);
    snprintf(place, sizeof place, "sequence %lu, --seed %llu", number, seed);
    violation(place, "%s\n  --replay \"%s\"", problem, text);
}

static int replay(const char *text)
{
    char problem[PLAY_TEXT];
    play_sequence sequence = read_sequence(text);
    for (int i = 0; i < TRIES && violations() == 0; i++) {
        if (!play_one(&sequence, true, problem)) {
            violation("--replay", "%s", problem);
        }
    }
    return fault_report("sequences", 1, "sequences of calls");
}

int main(int argc, char **argv)
{
    fault_options(argc, argv);
    unsigned long long seed = fault_option("seed", (unsigned long long)time(NULL));
    unsigned long wanted = (unsigned long)fault_option("sequences", 50000), played = 0;
    unsigned long first = (unsigned long)fault_option("first", 0);
    const char *text = fault_text("replay", NULL);
    play_prepare(fault_directory());
    watch();
    int result = 0;
    if (text != NULL) {
        result = replay(text);
    }
    for (unsigned long number = first; text == NULL && number < wanted && !fault_enough(); number++) {
        char problem[PLAY_TEXT];
        if (!fault_is_mine(number)) {
            continue;
        }
        play_sequence sequence = sequence_of(seed, number);
        played++;
        if (!play_one(&sequence, false, problem)) {
            report(&sequence, number, seed, problem);
        }
    }
    fault_remove_directory();
    if (text == NULL) {
        printf("  --seed %llu\n", seed);
        result = fault_report("sequences", played, "sequences of calls");
    }
    return result;
}
