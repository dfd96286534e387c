/* SPDX-License-Identifier: MIT */
#include "out_of_memory.h"

#include <stdatomic.h>
#include <stddef.h>

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *block, size_t size);
void __real_free(void *block);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *block, size_t size);
void __wrap_free(void *block);

static atomic_long left = -1, blocks; /* left: allocations that pass before one fails; negative: none fails */
static atomic_bool failed;
static bool (*ask)(void); /* instead of the count, if not NULL */

void memory_fail_after(long count)
{
    atomic_store(&failed, false);
    atomic_store(&left, count);
}

int memory_has_failed(void)
{
    atomic_store(&left, -1);
    return atomic_load(&failed);
}

long memory_blocks(void)
{
    return atomic_load(&blocks);
}

void memory_fail_when(bool (*asked)(void))
{
    ask = asked;
}

static bool fails(void)
{
    if (ask != NULL) {
        return ask();
    }
    if (atomic_load(&left) < 0 || atomic_fetch_sub(&left, 1) != 0) {
        return false;
    }
    atomic_store(&failed, true);
    return true;
}

static void *counted(void *block)
{
    atomic_fetch_add(&blocks, block != NULL ? 1 : 0);
    return block;
}

void *__wrap_malloc(size_t size)
{
    return fails() ? NULL : counted(__real_malloc(size));
}

void *__wrap_calloc(size_t count, size_t size)
{
    return fails() ? NULL : counted(__real_calloc(count, size));
}

void *__wrap_realloc(void *block, size_t size)
{
    if (fails()) {
        return NULL;
    }
    return block == NULL ? counted(__real_realloc(NULL, size)) : __real_realloc(block, size);
}

void __wrap_free(void *block)
{
    atomic_fetch_sub(&blocks, block != NULL ? 1 : 0);
    __real_free(block);
}
