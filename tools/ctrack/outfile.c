/* SPDX-License-Identifier: MIT */
#define _XOPEN_SOURCE 700 /* realpath() */
#include "outfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A tracker's file, and what SQLite keeps beside it. */
static const char *const suffixes[] = {"", "-wal", "-shm", "-journal"};
enum { PARTS = sizeof suffixes / sizeof suffixes[0] };

/* Whether `path` is the tracker file, or one of those that SQLite keeps beside it. */
static bool is_part_of(const char *path, const char *source)
{
    struct stat target;
    if (stat(path, &target) != 0) {
        return false;
    }
    for (int i = 0; i < PARTS; i++) {
        char name[OUTFILE_PATH];
        struct stat part;
        int length = snprintf(name, sizeof name, "%s%s", source, suffixes[i]);
        if (length > 0 && (size_t)length < sizeof name && stat(name, &part) == 0 && part.st_dev == target.st_dev &&
            part.st_ino == target.st_ino) {
            return true;
        }
    }
    return false;
}

static int open_in_place(struct outfile *file)
{
    file->descriptor = open(file->path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
    return file->descriptor >= 0 ? 0 : fail(EXIT_IO, "%s: %s", file->path, strerror(errno));
}

static int open_temporary(struct outfile *file)
{
    snprintf(file->temporary, sizeof file->temporary, "%s.XXXXXX", file->path);
    interrupt_hold();
    file->descriptor = mkstemp(file->temporary);
    int problem = errno;
    if (file->descriptor >= 0) {
        interrupt_removes(file->temporary);
    }
    interrupt_allow();
    if (file->descriptor < 0) {
        return fail(EXIT_IO, "%s: cannot make a file beside it: %s", file->path, strerror(problem));
    }
    return 0;
}

int outfile_open(struct outfile *file, const struct command *command, const char *path, const char *source)
{
    *file = (struct outfile){.descriptor = STDOUT_FILENO};
    if (path == NULL || strcmp(path, "-") == 0) {
        return 0;
    }
    if (path[0] == '\0') {
        return fail_usage(command, "the name of the file to write is empty");
    }
    /* A symbolic link keeps pointing where it points; the file there is the one to replace. */
    char *resolved = realpath(path, NULL);
    const char *target = resolved != NULL ? resolved : path;
    bool fits = strlen(target) < sizeof file->path;
    if (fits) {
        memcpy(file->path, target, strlen(target) + 1);
    }
    free(resolved);
    if (!fits) {
        return fail_usage(command, "the name of the file to write is too long");
    }
    if (is_part_of(file->path, source)) {
        return fail_usage(command, "%s is the tracker's own file", path);
    }
    struct stat status;
    bool exists = stat(file->path, &status) == 0;
    return exists && !S_ISREG(status.st_mode) ? open_in_place(file) : open_temporary(file);
}

int outfile_write(const void *data, size_t size, void *argument)
{
    struct outfile *file = argument;
    for (const char *at = data; size > 0;) {
        ssize_t written = write(file->descriptor, at, size);
        if (written < 0 && errno == EINTR) {
            continue;
        }
        if (written < 0) {
            file->problem = errno;
            return errno;
        }
        at += written;
        size -= (size_t)written;
    }
    return 0;
}

/* Makes the new name in the directory survive a power cut. */
static int sync_directory(const char *path)
{
    char directory[OUTFILE_PATH];
    const char *slash = strrchr(path, '/');
    size_t length = slash == NULL ? 0 : slash == path ? 1 : (size_t)(slash - path);
    memcpy(directory, slash == NULL ? "." : path, slash == NULL ? 1 : length);
    directory[slash == NULL ? 1 : length] = '\0';
    int descriptor = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor < 0) {
        return -1;
    }
    int result = fsync(descriptor);
    int problem = errno;
    close(descriptor);
    errno = problem;
    return result == 0 || problem == EINVAL ? 0 : -1; /* some file systems cannot sync a directory, and need not */
}

int outfile_close(struct outfile *file, int outcome)
{
    if (file->descriptor == STDOUT_FILENO) {
        return outcome; /* it is closed, and judged, by finish_output() */
    }
    bool renamed = file->temporary[0] != '\0';
    if (outcome == 0 && renamed && fsync(file->descriptor) != 0) {
        outcome = fail(EXIT_IO, "%s: %s", file->path, strerror(errno));
    }
    if (close(file->descriptor) != 0 && outcome == 0) {
        outcome = fail(EXIT_IO, "%s: %s", file->path, strerror(errno));
    }
    if (!renamed) {
        return outcome;
    }
    if (outcome == 0 && rename(file->temporary, file->path) != 0) {
        outcome = fail(EXIT_IO, "%s: %s", file->path, strerror(errno));
    }
    if (outcome != 0) {
        unlink(file->temporary);
    } else if (sync_directory(file->path) != 0) {
        outcome = fail(EXIT_IO, "%s: its directory: %s", file->path, strerror(errno));
    }
    interrupt_removes(NULL);
    return outcome;
}

/* ---------------------------------------------------------------- a new tracker file */

int outfile_open_new(struct outfile *file, const char *path)
{
    *file = (struct outfile){.descriptor = -1};
    size_t length = strlen(path);
    if (length >= sizeof file->path) {
        return fail(EXIT_IO, "%s: %s", path, strerror(ENAMETOOLONG));
    }
    memcpy(file->path, path, length + 1);
    int outcome = open_temporary(file);
    if (outcome == 0) {
        /* SQLite's locks do not survive that another descriptor of its file is closed: this one is, before it comes. */
        close(file->descriptor);
        file->descriptor = -1;
    }
    return outcome;
}

/* The name of a part of the temporary file. */
static const char *name_part(const struct outfile *file, int part, char name[INTERRUPT_PATH + 16])
{
    snprintf(name, INTERRUPT_PATH + 16, "%s%s", file->temporary, suffixes[part]);
    return name;
}

/* Gives the file its name, unless another one has got it by now. */
static int put_in_place(const struct outfile *file)
{
    char name[INTERRUPT_PATH + 16];
    struct stat status;
    if (stat(name_part(file, 1, name), &status) == 0 && status.st_size > 0) {
        return fail(EXIT_IO, "%s: SQLite could not move its log into the new file", file->path);
    }
    if (link(file->temporary, file->path) != 0) {
        return fail(EXIT_IO, "%s: %s", file->path, strerror(errno));
    }
    return sync_directory(file->path) == 0 ? 0 : fail(EXIT_IO, "%s: its directory: %s", file->path, strerror(errno));
}

int outfile_close_new(struct outfile *file, int outcome, bool keep)
{
    char name[INTERRUPT_PATH + 16];
    outcome = outcome == 0 && keep ? put_in_place(file) : outcome;
    for (int i = 0; i < PARTS; i++) {
        unlink(name_part(file, i, name));
    }
    interrupt_removes(NULL);
    return outcome;
}
