/* SPDX-License-Identifier: MIT */
/* Whatever a database has for a write-ahead log: see exercise.h. The first byte says which part of it; the rest is for
 * damage.h. */
#include "exercise.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static damage_bytes database, log;
    if (size == 0) {
        return 0;
    }
    damage_make(data + 1, size - 1, &database, &log);
    exercise(data[0], &database, &log);
    return 0;
}
