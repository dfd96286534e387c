/* SPDX-License-Identifier: MIT */
#include "alloc.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

void *ct_alloc(size_t size)
{
    return malloc(size);
}

void *ct_alloc_array(size_t count, size_t size)
{
    return calloc(count > 0 ? count : 1, size);
}

int ct_grow(void **array, size_t *capacity, size_t needed, size_t size)
{
    if (needed <= *capacity) {
        return 0;
    }
    size_t grown = *capacity < 16 ? 16 : *capacity;
    while (grown < needed) {
        if (grown > SIZE_MAX / 2) {
            return -1;
        }
        grown *= 2;
    }
    if (grown > SIZE_MAX / size) {
        return -1;
    }
    void *block = realloc(*array, grown * size);
    if (block == NULL) {
        return -1;
    }
    *array = block;
    *capacity = grown;
    return 0;
}

char *ct_alloc_text(const char *text, size_t length)
{
    char *copy = ct_alloc(length + 1);
    if (copy != NULL) {
        memcpy(copy, text, length);
        copy[length] = '\0';
    }
    return copy;
}

char *ct_alloc_joined(const char *name, const char *ending)
{
    size_t length = strlen(name), size = length + strlen(ending) + 1;
    char *joined = ct_alloc(size);
    if (joined != NULL) {
        memcpy(joined, name, length);
        memcpy(joined + length, ending, size - length);
    }
    return joined;
}

void ct_free(void *block)
{
    free(block);
}
