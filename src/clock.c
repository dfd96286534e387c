/* SPDX-License-Identifier: MIT */
#include "clock.h"

#include <time.h>

int64_t ct_clock_monotonic(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int64_t ct_clock_wall(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t ct_clock_deadline(int64_t now, int64_t timeout_ms)
{
    if (timeout_ms < 0 || timeout_ms > (CT_NEVER - now) / 1000000) {
        return CT_NEVER;
    }
    return now + timeout_ms * 1000000;
}

int64_t ct_clock_left(int64_t now, int64_t deadline)
{
    if (deadline == CT_NEVER) {
        return CTRACK_FOREVER;
    }
    return deadline > now ? (deadline - now) / 1000000 : 0;
}
