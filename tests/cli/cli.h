/* SPDX-License-Identifier: MIT */
#ifndef CLI_H
#define CLI_H

/**
 * The command `ctrack` as a user runs it: a real process with real descriptors. Each test has an empty directory, which
 * is the command's working directory, and judges exit status, standard output and standard error.
 */
#include <stdio.h>

#include "support.h"

#define TOKEN(document, index) \
    "{\"version\":1,\"coordinates\":[{\"documentId\":\"" document "\",\"scope\":\"document\",\"branch\":\"main\"," \
    "\"operationIndex\":" index "}]}"

enum { DONE, NEGATIVE, USAGE, INPUT, OUTPUT, BUSY };
enum { CAPTURE_MAX = 1 << 20 };

extern char out[CAPTURE_MAX], err[CAPTURE_MAX]; /**< of the last run */

extern const char *input_file; /**< standard input of the next runs; "": closed; NULL: a pipe */
extern long file_size_limit;   /**< no file of the next runs may grow beyond it, in bytes; 0: no limit */
extern bool ignore_interrupts; /**< the next runs are started with SIGINT ignored, as nohup does with SIGHUP */

typedef struct process {
    pid_t pid;
    int input, output, error; /**< our ends; -1: none */
} process;

/** Starts it; the arguments, at most 15, end with NULL. Standard output goes to a pipe, to `output_file`, or is closed
 * if that is "". */
process start(const fixture *f, const char *output_file, const char *const arguments[]);
/** The same on a terminal of its own, 100 columns wide: standard output, or error, or both; input is a pipe. A
 * terminal that is stopped takes nothing. */
enum { TERMINAL_OUTPUT = 1, TERMINAL_ERROR = 2, TERMINAL_STOPPED = 4 };
process start_on_terminal(const fixture *f, int which, const char *const arguments[]);
/** Closes one of our ends. */
void drop(int *descriptor);
/** Feeds it, drinks what it says, and waits for its end. The exit status, or 128 + signal. */
int finish(process *p, const char *input, size_t length);
/** Reads from one of our ends into `text` until it contains `part`; fails the test if that does not come. */
void read_until(int descriptor, char *text, size_t size, const char *part);

int run_with(const fixture *f, const char *input, const char *const arguments[]);
int run_into(const fixture *f, const char *file, const char *const arguments[]);
#define LIST(...) ((const char *const[]){__VA_ARGS__, NULL})
#define RUN(f, ...) run_with(f, "", LIST(__VA_ARGS__))
#define RUN_INPUT(f, input, ...) run_with(f, input, LIST(__VA_ARGS__))
#define RUN_INTO(f, file, ...) run_into(f, file, LIST(__VA_ARGS__))

/** Fails unless the last run ended so; shows what it said. */
#define assert_exit(expected, run) check_exit(run, expected, #run, __LINE__)
void check_exit(int actual, int expected, const char *what, int line);

/** A name in the test's directory; until the next call. */
const char *name_in(const fixture *f, const char *name);
bool exists(const fixture *f, const char *name);
char *content(const fixture *f, const char *name); /**< until the next call */
void put_content(const fixture *f, const char *name, const char *text);
/** How many files have names that begin so. */
int files_in(const fixture *f, const char *prefix);
/** A serialize() array of so many keys, `document-N:b:c` at N; the caller frees it. */
char *array_of(int keys);

#endif
