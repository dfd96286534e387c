/* SPDX-License-Identifier: MIT */
#ifndef CT_ALLOC_H
#define CT_ALLOC_H

/**
 * The one place where memory is asked for. Every size that is a product is checked before it is multiplied. What these
 * return is freed with ct_free().
 */
#include <stddef.h>

void *ct_alloc(size_t size);                     /**< not 0 bytes; NULL: no memory */
void *ct_alloc_array(size_t count, size_t size); /**< zeroed; count 0 gives a block too */
/** Grows an array so that it holds at least `needed` elements, by doubling; *capacity is updated. 0, or -1. */
int ct_grow(void **array, size_t *capacity, size_t needed, size_t size);
char *ct_alloc_text(const char *text, size_t length);        /**< a copy with its NUL; NULL: no memory */
char *ct_alloc_joined(const char *name, const char *ending); /**< one behind the other; NULL: no memory */
void ct_free(void *block);                                   /**< NULL is fine */

#endif
