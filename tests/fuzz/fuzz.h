/* SPDX-License-Identifier: MIT */
#ifndef FUZZ_H
#define FUZZ_H

/** What the fuzz targets share. */
#include "ctrack.h"

/** libFuzzer's entry: each target has one. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/** Ends the program with a message unless the condition holds: that is how libFuzzer learns of a finding. */
#define fuzz_require(condition, ...) \
    do { \
        if (!(condition)) { \
            fuzz_fail(__FILE__, __LINE__, __VA_ARGS__); \
        } \
    } while (0)
_Noreturn void fuzz_fail(const char *file, int line, const char *format, ...) __attribute__((format(printf, 3, 4)));

/** Text in memory, written and read through the callbacks of the public header. Zeroed at first. */
typedef struct fuzz_text {
    char *bytes;
    size_t length, at;
    size_t step; /* a read gives at most so many bytes; 0: as many as are asked for */
} fuzz_text;

int fuzz_write(const void *data, size_t size, void *argument);
int fuzz_read(void *data, size_t size, size_t *got, void *argument);
void fuzz_text_free(fuzz_text *text);

/**
 * A dump as the input says. The first byte says how much a read gives at most, and whether the closing line is made to
 * fit: no fuzzer guesses a checksum.
 */
fuzz_text fuzz_dump(const uint8_t *data, size_t size);

/** Fails unless everything in it may be in a tracker: text, range, order, no key twice. */
void fuzz_require_sound(const ctrack_snapshot *snapshot);
void fuzz_require_same(const ctrack_snapshot *a, const ctrack_snapshot *b);

/** A name for a database, in a directory for files that are written often. */
const char *fuzz_path(void);

#endif
