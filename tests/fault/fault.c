/* SPDX-License-Identifier: MIT */
#include "fault.h"

#include <dirent.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---------------------------------------------------------------- when to fail */

static atomic_bool armed, struck;
static atomic_long passes_left, strikes_left, opportunities;
static bool was_armed;

void fault_arm(long passes, long strikes)
{
    atomic_store(&passes_left, passes);
    atomic_store(&strikes_left, passes < 0 ? 0 : strikes);
    atomic_store(&opportunities, 0);
    atomic_store(&struck, false);
    atomic_store(&armed, true);
}

void fault_disarm(void)
{
    atomic_store(&armed, false);
    was_armed = false;
}

void fault_pause(void)
{
    was_armed = atomic_exchange(&armed, false);
}

void fault_resume(void)
{
    atomic_store(&armed, was_armed);
}

bool fault_strikes(void)
{
    if (!atomic_load(&armed)) {
        return false;
    }
    atomic_fetch_add(&opportunities, 1);
    if (atomic_load(&passes_left) > 0) {
        atomic_fetch_sub(&passes_left, 1);
        return false;
    }
    if (atomic_load(&strikes_left) <= 0) {
        return false;
    }
    atomic_fetch_sub(&strikes_left, 1);
    atomic_store(&struck, true);
    return true;
}

bool fault_has_struck(void)
{
    return atomic_load(&struck);
}

long fault_opportunities(void)
{
    return atomic_load(&opportunities);
}

/* ---------------------------------------------------------------- reporting */

enum { SHOWN = 20 };
static unsigned long found;

void violation(const char *place, const char *format, ...)
{
    found++;
    if (found > SHOWN) {
        return;
    }
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "VIOLATION: %s: ", place);
    vfprintf(stderr, format, arguments);
    fprintf(stderr, "%s\n", found == SHOWN ? " (further ones are only counted)" : "");
    va_end(arguments);
}

unsigned long violations(void)
{
    return found;
}

int fault_report(const char *name, unsigned long count, const char *format, ...)
{
    unsigned long least = (unsigned long)fault_option("least", 0);
    if (count < least) {
        printf("too few: there should be at least %lu\n", least);
    }
    va_list arguments;
    va_start(arguments, format);
    printf("%s: %lu ", name, count);
    vprintf(format, arguments);
    printf(", %lu violations\n", found);
    va_end(arguments);
    return found > 0 || count < least ? EXIT_FAILURE : EXIT_SUCCESS;
}

unsigned long long fault_draw(unsigned long long *random)
{
    *random ^= *random << 13;
    *random ^= *random >> 7;
    *random ^= *random << 17;
    return *random;
}

/* ---------------------------------------------------------------- options */

static int argument_count;
static char **arguments;

void fault_options(int argc, char **argv)
{
    argument_count = argc;
    arguments = argv;
}

const char *fault_text(const char *name, const char *otherwise)
{
    for (int i = 1; i + 1 < argument_count; i++) {
        if (strncmp(arguments[i], "--", 2) == 0 && strcmp(arguments[i] + 2, name) == 0) {
            return arguments[i + 1];
        }
    }
    return otherwise;
}

unsigned long long fault_option(const char *name, unsigned long long otherwise)
{
    const char *text = fault_text(name, NULL);
    return text != NULL ? strtoull(text, NULL, 0) : otherwise;
}

bool fault_enough(void)
{
    return found >= fault_option("enough", ULLONG_MAX);
}

bool fault_is_mine(unsigned long number)
{
    return number % fault_option("parts", 1) == fault_option("part", 0);
}

/* ---------------------------------------------------------------- the directory */

static char directory[200];

const char *fault_directory(void)
{
    const char *base = getenv("TMPDIR");
    if (base == NULL || *base == '\0') {
        base = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    }
    snprintf(directory, sizeof directory, "%s/ctrack-fault-XXXXXX", base);
    if (mkdtemp(directory) == NULL) {
        perror(directory);
        exit(EXIT_FAILURE);
    }
    return directory;
}

void fault_remove_directory(void)
{
    DIR *stream = opendir(directory);
    for (struct dirent *entry = stream != NULL ? readdir(stream) : NULL; entry != NULL; entry = readdir(stream)) {
        char path[500];
        snprintf(path, sizeof path, "%s/%s", directory, entry->d_name);
        unlink(path); /* "." and ".." stay */
    }
    if (stream != NULL) {
        closedir(stream);
    }
    rmdir(directory);
}
