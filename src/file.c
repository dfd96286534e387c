/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE /* renameat2() */
#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "alloc.h"
#include "error.h"
#include "leftover.h"

/* What remains of a path behind its directory; NULL if there is nothing that could be a file. */
static const char *last_component(const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *last = slash != NULL ? slash + 1 : path;
    return *last == '\0' || strcmp(last, ".") == 0 || strcmp(last, "..") == 0 ? NULL : last;
}

ctrack_status ct_file_name(const char *path, char **absolute, ctrack_error *error)
{
    const char *last = last_component(path);
    if (last == NULL) {
        return ct_error_set(error, CTRACK_INVALID, "path \"%s\": not the name of a file", path);
    }
    if (path[0] == ':' || strncmp(path, "file:", 5) == 0) {
        return ct_error_set(error, CTRACK_INVALID, "path \"%s\": a plain file name is needed (write ./%s)", path, path);
    }
    size_t length = (size_t)(last - path);
    char *directory = ct_alloc(length + 2);
    if (directory == NULL) {
        return ct_error_no_memory(error);
    }
    memcpy(directory, length > 0 ? path : ".", length > 0 ? length : 1);
    directory[length > 0 ? length : 1] = '\0';
    char *resolved = realpath(directory, NULL);
    int problem = errno;
    ct_free(directory);
    if (resolved == NULL) {
        return problem == ENOMEM
                   ? ct_error_no_memory(error)
                   : ct_error_set(error, CTRACK_IO, "cannot open %s: its directory: %s", path, strerror(problem));
    }
    size_t size = strlen(resolved) + strlen(last) + 2;
    *absolute = ct_alloc(size);
    if (*absolute != NULL) {
        snprintf(*absolute, size, "%s/%s", strcmp(resolved, "/") == 0 ? "" : resolved, last);
    }
    free(resolved); /* realpath's own */
    return *absolute != NULL ? CTRACK_OK : ct_error_no_memory(error);
}

ctrack_status ct_file_status(int problem)
{
    switch (problem) {
    case ENOSPC:
    case EDQUOT:
        return CTRACK_FULL;
    case EROFS:
        return CTRACK_READ_ONLY;
    case ENOMEM:
        return CTRACK_NO_MEMORY;
    default:
        return CTRACK_IO;
    }
}

ctrack_status ct_file_absence(int problem)
{
    return problem == ENOENT ? CTRACK_BUSY : ct_file_status(problem);
}

ctrack_status ct_file_make_beside(const char *absolute, char **temporary, int *descriptor, ctrack_error *error)
{
    char *name = ct_alloc_joined(absolute, CT_LEFTOVER_ENDING);
    if (name == NULL) {
        return ct_error_no_memory(error);
    }
    *descriptor = mkstemp(name); /* O_EXCL; of its mode the umask has its part */
    if (*descriptor < 0 || fchmod(*descriptor, S_IRUSR | S_IWUSR) != 0) {
        int problem = errno;
        if (*descriptor >= 0) {
            close(*descriptor);
            unlink(name);
        }
        ct_free(name);
        return ct_error_set(error, ct_file_status(problem), "cannot make a file beside %s: %s", absolute,
                            strerror(problem));
    }
    fcntl(*descriptor, F_SETFD, FD_CLOEXEC);
    *temporary = name;
    return CTRACK_OK;
}

int ct_file_open_directory(const char *absolute)
{
    char *name = ct_alloc_text(absolute, (size_t)(strrchr(absolute, '/') + 1 - absolute));
    if (name == NULL) {
        errno = ENOMEM;
        return -1;
    }
    int directory = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    ct_free(name);
    return directory;
}

/* Whether a file system has no hard links, as link(2) says it. */
static bool has_no_links(int problem)
{
    return problem == EPERM || problem == EOPNOTSUPP || problem == ENOSYS || problem == EMLINK;
}

/* Takes the name with an empty file, and replaces that. Whoever has opened it meanwhile finds that it was replaced
 * (identity.h), and opens the other one. */
static int replace_placeholder(const char *temporary, const char *absolute)
{
    int descriptor = open(absolute, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, S_IRUSR | S_IWUSR);
    if (descriptor < 0) {
        return -1;
    }
    close(descriptor); /* nothing was written that could fail now */
    return rename(temporary, absolute);
}

/* Unlike rename(2), none of these replaces a file. With link(2) it has two names for a moment, which whoever opens it
 * then waits out (store.c). */
int ct_file_give_name(const char *temporary, const char *absolute)
{
#ifdef RENAME_NOREPLACE
    if (renameat2(AT_FDCWD, temporary, AT_FDCWD, absolute, RENAME_NOREPLACE) == 0) {
        return 0;
    }
    if (errno == EEXIST) {
        return -1;
    }
#endif
    if (link(temporary, absolute) == 0) {
        unlink(temporary);
        return 0;
    }
    return has_no_links(errno) ? replace_placeholder(temporary, absolute) : -1;
}

/*
 * The file is born under a temporary name and gets its own when our descriptor is closed already, so that no descriptor
 * of ours ever refers to a file that another thread may have opened through SQLite.
 */
static ctrack_status create(const char *absolute, ctrack_error *error)
{
    char *temporary;
    int descriptor;
    ctrack_status status = ct_file_make_beside(absolute, &temporary, &descriptor, error);
    if (status != CTRACK_OK) {
        return status;
    }
    bool made = close(descriptor) == 0 && (ct_file_give_name(temporary, absolute) == 0 || errno == EEXIST);
    int problem = errno;
    unlink(temporary);
    ct_free(temporary);
    if (!made) {
        return ct_error_set(error, ct_file_status(problem), "cannot create %s: %s", absolute, strerror(problem));
    }
    return CTRACK_OK;
}

ctrack_status ct_file_create(const char *absolute, ctrack_error *error)
{
    struct stat found;
    bool there = lstat(absolute, &found) == 0;
    if (there && !S_ISREG(found.st_mode)) {
        return ct_error_set(error, CTRACK_INVALID, "cannot open %s: not a regular file", absolute);
    }
    if (there && found.st_nlink == 1) {
        return CTRACK_OK;
    }
    /* It is made now; or it has a second name, which may be left of its birth. */
    int directory = ct_file_open_directory(absolute);
    if (directory >= 0) {
        ct_leftover_take_place(directory, absolute);
    }
    ctrack_status status = there ? CTRACK_OK : create(absolute, error);
    if (directory >= 0) {
        close(directory);
    }
    return status;
}
