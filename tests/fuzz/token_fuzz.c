/* SPDX-License-Identifier: MIT */
/* Whatever a token holds, it is refused with a message, or what it says survives being written and read. */
#include <stdlib.h>

#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ctrack_snapshot *coordinates = NULL, *again = NULL;
    ctrack_error error = {CTRACK_OK, ""};
    ctrack_status status = ctrack_token_parse((const char *)data, size, &coordinates, &error);
    if (status != CTRACK_OK) {
        fuzz_require(status == CTRACK_FORMAT && error.status == status && error.message[0] != '\0',
                     "it is refused with %s: \"%s\"", ctrack_status_name(status), error.message);
        fuzz_require(coordinates == NULL, "it is refused, and there are coordinates");
        return 0;
    }
    size_t count = ctrack_snapshot_count(coordinates);
    const ctrack_coordinate *read = ctrack_snapshot_entries(coordinates);
    size_t length = ctrack_token_format(read, count, NULL, 0);
    char *text = malloc(length + 1);
    fuzz_require_sound(coordinates);
    fuzz_require(text != NULL && ctrack_token_format(read, count, text, length + 1) == length, "it is not written");
    fuzz_require(ctrack_token_parse(text, length, &again, NULL) == CTRACK_OK, "it is not read again");
    fuzz_require_same(coordinates, again);
    free(text);
    ctrack_snapshot_free(again);
    ctrack_snapshot_free(coordinates);
    return 0;
}
