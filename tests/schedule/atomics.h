/* SPDX-License-Identifier: MIT */
#ifndef ATOMICS_H
#define ATOMICS_H

/**
 * Included before everything else in the library that the schedules run: before and after each atomic operation the
 * scheduler may let another thread run. All threads share one thread of the system, so the memory order is no matter.
 */
#include <stdatomic.h>
#include <stdbool.h>

/** See scheduler.h. */
void schedule_point(void);
void schedule_changed(void);

#ifdef __clang__
#define ATOMICS_LOAD(object) __c11_atomic_load(object, __ATOMIC_SEQ_CST)
#define ATOMICS_STORE(object, value) __c11_atomic_store(object, value, __ATOMIC_SEQ_CST)
#define ATOMICS_ADD(object, value) __c11_atomic_fetch_add(object, value, __ATOMIC_SEQ_CST)
#define ATOMICS_SUB(object, value) __c11_atomic_fetch_sub(object, value, __ATOMIC_SEQ_CST)
#define ATOMICS_SWAP_IF(object, expected, value) \
    __c11_atomic_compare_exchange_strong(object, expected, value, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)
#else
#define ATOMICS_LOAD(object) __atomic_load_n(object, __ATOMIC_SEQ_CST)
#define ATOMICS_STORE(object, value) __atomic_store_n(object, value, __ATOMIC_SEQ_CST)
#define ATOMICS_ADD(object, value) __atomic_fetch_add(object, value, __ATOMIC_SEQ_CST)
#define ATOMICS_SUB(object, value) __atomic_fetch_sub(object, value, __ATOMIC_SEQ_CST)
#define ATOMICS_SWAP_IF(object, expected, value) \
    __atomic_compare_exchange_n(object, expected, value, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)
#endif

/* The value of an operation, with a switch allowed before and after it. */
#define ATOMICS_CHANGE(operation) \
    __extension__({ \
        schedule_point(); \
        __auto_type atomics_value = (operation); \
        schedule_changed(); \
        atomics_value; \
    })

#undef atomic_load
#undef atomic_load_explicit
#undef atomic_store
#undef atomic_store_explicit
#undef atomic_fetch_add
#undef atomic_fetch_add_explicit
#undef atomic_fetch_sub
#undef atomic_fetch_sub_explicit
#undef atomic_compare_exchange_weak_explicit
#define atomic_load(object) (schedule_point(), ATOMICS_LOAD(object))
#define atomic_load_explicit(object, order) atomic_load(object)
#define atomic_store(object, value) (schedule_point(), ATOMICS_STORE(object, value), schedule_changed())
#define atomic_store_explicit(object, value, order) atomic_store(object, value)
#define atomic_fetch_add(object, value) ATOMICS_CHANGE(ATOMICS_ADD(object, value))
#define atomic_fetch_add_explicit(object, value, order) atomic_fetch_add(object, value)
#define atomic_fetch_sub(object, value) ATOMICS_CHANGE(ATOMICS_SUB(object, value))
#define atomic_fetch_sub_explicit(object, value, order) atomic_fetch_sub(object, value)
#define atomic_compare_exchange_weak_explicit(object, expected, value, success, failure) \
    ATOMICS_CHANGE(ATOMICS_SWAP_IF(object, expected, value))

#endif
