/* SPDX-License-Identifier: MIT */
#include "leftover.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "file.h"
#include "sync.h"

/* How often, and after how long, it is tried again to get the lock while somebody cleans up. */
#define TRIES 100
#define NAP_NANOSECONDS 1000000

#define LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

/* Whether it is such a file's name, or that of one which SQLite has put beside it. */
static bool is_left(const char *name, const char *last)
{
    static const char *const endings[] = {"", CT_FILE_COMPANIONS};
    size_t length = strlen(last), fixed = strlen(CT_LEFTOVER_ENDING) - 6;
    if (strncmp(name, last, length) != 0 || strncmp(name + length, CT_LEFTOVER_ENDING, fixed) != 0 ||
        strspn(name + length + fixed, LETTERS) != 6) {
        return false;
    }
    bool found = false;
    for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++) {
        found = found || strcmp(name + length + fixed + 6, endings[i]) == 0;
    }
    return found;
}

static void remove_left(int directory, const char *last)
{
    int again = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *stream = again >= 0 ? fdopendir(again) : NULL; /* GCOVR_EXCL_BR_LINE */
    /* GCOVR_EXCL_START: without a descriptor or memory nothing is removed this time */
    if (stream == NULL) {
        if (again >= 0) {
            close(again);
        }
        return;
    }
    /* GCOVR_EXCL_STOP */
    for (const struct dirent *entry = readdir(stream); entry != NULL; entry = readdir(stream)) {
        if (is_left(entry->d_name, last)) {
            unlinkat(directory, entry->d_name, 0);
        }
    }
    closedir(stream);
}

void ct_leftover_take_place(int directory, const char *absolute)
{
    if (flock(directory, LOCK_EX | LOCK_NB) == 0) {
        remove_left(directory, strrchr(absolute, '/') + 1);
    }
    /* GCOVR_EXCL_BR_START: there are file systems without such locks */
    for (int i = 0; i < TRIES && flock(directory, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK; i++) {
        /* GCOVR_EXCL_BR_STOP */
        ct_thread_nap(NAP_NANOSECONDS);
    }
}
