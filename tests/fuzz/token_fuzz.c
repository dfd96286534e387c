/* SPDX-License-Identifier: MIT */
/*
 * libFuzzer: whatever a token holds, it is refused with a message, or what it says survives being written and read.
 *
 *     clang-14 -g -O1 -fsanitize=fuzzer,address,undefined -D_POSIX_C_SOURCE=200809L -Iinclude -Isrc \
 *         tests/fuzz/token_fuzz.c src/json.c src/key.c src/token.c src/dumpfmt.c src/error.c src/text.c src/alloc.c \
 *         src/snapshot.c -o token_fuzz && ./token_fuzz -max_total_time=60
 */
#include <stdlib.h>
#include <string.h>

#include "token.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ctrack_snapshot *coordinates = NULL, *again = NULL;
    ctrack_error error = {CTRACK_OK, ""};
    if (ctrack_token_parse((const char *)data, size, &coordinates, &error) != CTRACK_OK) {
        if (error.status != CTRACK_FORMAT || error.message[0] == '\0' || coordinates != NULL) {
            abort();
        }
        return 0;
    }
    size_t count = ctrack_snapshot_count(coordinates);
    const ctrack_coordinate *read = ctrack_snapshot_entries(coordinates);
    size_t length = ctrack_token_format(read, count, NULL, 0);
    char *text = malloc(length + 1);
    if (text == NULL || ctrack_token_format(read, count, text, length + 1) != length ||
        ctrack_token_parse(text, length, &again, NULL) != CTRACK_OK || ctrack_snapshot_count(again) != count) {
        abort();
    }
    for (size_t i = 0; i < count; i++) {
        const ctrack_coordinate *a = &read[i], *b = &ctrack_snapshot_entries(again)[i];
        if (strcmp(a->document_id, b->document_id) != 0 || strcmp(a->scope, b->scope) != 0 ||
            strcmp(a->branch, b->branch) != 0 || a->operation_index != b->operation_index) {
            abort();
        }
    }
    free(text);
    ctrack_snapshot_free(again);
    ctrack_snapshot_free(coordinates);
    return 0;
}
