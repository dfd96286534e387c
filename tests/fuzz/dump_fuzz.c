/* SPDX-License-Identifier: MIT */
/*
 * libFuzzer: whatever a dump holds, it is refused with a message, or written again as a dump that is read.
 *
 * The first byte says how much a read gives at most, and whether the closing line is made to fit: no fuzzer guesses a
 * checksum.
 *
 *     clang-14 -g -O1 -fsanitize=fuzzer,address,undefined -D_POSIX_C_SOURCE=200809L -Iinclude -Isrc \
 *         tests/fuzz/dump_fuzz.c src/json.c src/key.c src/token.c src/dumpfmt.c src/error.c src/text.c src/alloc.c \
 *         src/snapshot.c -o dump_fuzz && ./dump_fuzz -max_total_time=60
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "dumpfmt.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct memory {
    char *bytes;
    size_t length, at, step;
} memory;

static int read_memory(void *data, size_t size, size_t *got, void *argument)
{
    memory *m = argument;
    size_t left = m->length - m->at;
    *got = left < size ? left : size;
    *got = *got < m->step ? *got : m->step;
    memcpy(data, m->bytes + m->at, *got);
    m->at += *got;
    return 0;
}

static int write_memory(const void *data, size_t size, void *argument)
{
    memory *m = argument;
    m->bytes = realloc(m->bytes, m->length + size);
    if (m->bytes == NULL) {
        abort();
    }
    memcpy(m->bytes + m->length, data, size);
    m->length += size;
    return 0;
}

/* Reads all of it; into `again` if that is not NULL and the input is a dump. */
static ctrack_status pass(memory *m, memory *again)
{
    ct_dump_reader *reader = NULL;
    ct_dump_writer *writer = NULL;
    const ct_dump_row *row = NULL;
    ctrack_error error = {CTRACK_OK, ""};
    const char *const *read_models;
    ctrack_status status = ct_dump_reader_open(&reader, read_memory, m, "fuzz", &error);
    if (status == CTRACK_OK && again != NULL && !ct_dump_reader_is_array(reader)) {
        size_t count = ct_dump_reader_read_models(reader, &read_models);
        if (ct_dump_writer_begin(&writer, read_models, count, write_memory, again, NULL) != CTRACK_OK) {
            abort();
        }
    }
    while (status == CTRACK_OK && (status = ct_dump_reader_next(reader, &row, &error)) == CTRACK_OK && row != NULL) {
        if (writer != NULL && ct_dump_writer_row(writer, row, NULL) != CTRACK_OK) {
            abort();
        }
    }
    if (status != CTRACK_OK && (status != CTRACK_FORMAT || strncmp(error.message, "fuzz:", 5) != 0)) {
        abort();
    }
    if (writer != NULL && ct_dump_writer_end(writer, NULL) != CTRACK_OK) {
        abort();
    }
    ct_dump_writer_free(writer);
    ct_dump_reader_free(reader);
    return status;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    memory m = {NULL, 0, 0, (size_t)(data[0] >> 1) + 1}, again = {NULL, 0, 0, SIZE_MAX};
    write_memory(data + 1, size - 1, &m);
    if ((data[0] & 1) != 0) {
        size_t lines = 0;
        for (size_t i = 0; i < m.length; i++) {
            lines += m.bytes[i] == '\n';
        }
        char closing[80];
        int length = snprintf(closing, sizeof closing, "{\"count\":%zu,\"xxh3\":\"%016llx\"}\n",
                              lines > 0 ? lines - 1 : 0, (unsigned long long)XXH3_64bits(m.bytes, m.length));
        write_memory(closing, (size_t)length, &m);
    }
    bool array = m.length > 0 && m.bytes[0] != '{';
    if (pass(&m, &again) == CTRACK_OK && !array && pass(&again, NULL) != CTRACK_OK) {
        abort();
    }
    free(m.bytes);
    free(again.bytes);
    return 0;
}
