/* SPDX-License-Identifier: MIT */
#include "bench.h"

#include <errno.h>
#include <malloc.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

void bench_fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fflush(stdout);
    fputs("ctrack-bench: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    _exit(1);
}

void *bench_alloc(size_t count, size_t size)
{
    void *block = calloc(count > 0 ? count : 1, size);
    if (block == NULL) {
        bench_fail("no memory for %zu blocks of %zu bytes", count, size);
    }
    return block;
}

int64_t bench_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

double bench_seconds_since(int64_t start)
{
    return (double)(bench_now() - start) / 1e9;
}

void bench_sleep_us(long microseconds)
{
    struct timespec left = {microseconds / 1000000, microseconds % 1000000 * 1000};
    while (nanosleep(&left, &left) != 0 && errno == EINTR) {
    }
}

/* splitmix64: small, fast, and good enough to scatter keys. */
static uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

uint64_t bench_random(bench *b, uint64_t limit)
{
    /* The bias of the remainder is below 2^-40 for every limit that occurs here. */
    uint64_t value = next_random(&b->random);
    return limit > 0 ? value % limit : value;
}

static void child(bench *b, int out, void (*measure)(bench *, double *), double *figures, size_t size)
{
    measure(b, figures);
    if (write(out, figures, size) != (ssize_t)size) {
        bench_fail("cannot hand the figures over: %s", strerror(errno));
    }
    _exit(0);
}

void bench_in_child(bench *b, void (*measure)(bench *b, double *figures), double *figures, size_t count)
{
    int ends[2];
    if (pipe(ends) != 0) {
        bench_fail("no pipe: %s", strerror(errno));
    }
    fflush(stdout);
    pid_t pid = fork();
    if (pid < 0) {
        bench_fail("cannot fork: %s", strerror(errno));
    }
    size_t size = count * sizeof *figures;
    if (pid == 0) {
        close(ends[0]);
        child(b, ends[1], measure, figures, size);
    }
    close(ends[1]);
    ssize_t got = read(ends[0], figures, size);
    close(ends[0]);
    int status = 0;
    waitpid(pid, &status, 0);
    if (got != (ssize_t)size || status != 0) {
        bench_fail("%s: the measuring process has failed", b->which->name);
    }
}

double bench_resident(void)
{
    /* proc(5): the second number of statm is the resident set, in pages. */
    unsigned long pages = 0;
    FILE *statm = fopen("/proc/self/statm", "r");
    if (statm == NULL || fscanf(statm, "%*u %lu", &pages) != 1) {
        bench_fail("cannot read /proc/self/statm");
    }
    fclose(statm);
    return (double)pages * (double)sysconf(_SC_PAGESIZE);
}

double bench_allocated(void)
{
#if defined(__GLIBC__) && (__GLIBC__ > 2 || __GLIBC_MINOR__ >= 33)
    struct mallinfo2 info = mallinfo2();
    return (double)info.uordblks + (double)info.hblkhd;
#else
    return -1;
#endif
}
