/* SPDX-License-Identifier: MIT */
/* How a file gets its name where a file system lacks this or that way of giving one. */
#define _GNU_SOURCE /* renameat2() */
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "file.h"
#include "support.h"

/* What the calls say; 0: they are carried out. */
static int renameat2_says, link_says, fchmod_says;

#ifdef RENAME_NOREPLACE
int __real_renameat2(int from, const char *name, int to, const char *new_name, unsigned flags);
int __wrap_renameat2(int from, const char *name, int to, const char *new_name, unsigned flags);
int __wrap_renameat2(int from, const char *name, int to, const char *new_name, unsigned flags)
{
    errno = renameat2_says;
    return renameat2_says != 0 ? -1 : __real_renameat2(from, name, to, new_name, flags);
}
#endif

int __real_link(const char *name, const char *new_name);
int __wrap_link(const char *name, const char *new_name);
int __wrap_link(const char *name, const char *new_name)
{
    errno = link_says;
    return link_says != 0 ? -1 : __real_link(name, new_name);
}

int __real_fchmod(int descriptor, mode_t mode);
int __wrap_fchmod(int descriptor, mode_t mode);
int __wrap_fchmod(int descriptor, mode_t mode)
{
    errno = fchmod_says;
    return fchmod_says != 0 ? -1 : __real_fchmod(descriptor, mode);
}

/* The ways: renameat2(2); link(2), as on an old kernel; neither, as on exFAT; and it is forbidden altogether. */
static const struct way {
    int renameat2_says, link_says;
} ways[] = {{0, 0}, {EINVAL, 0}, {EINVAL, EPERM}, {ENOSYS, EOPNOTSUPP}, {EINVAL, ENOSYS}, {EINVAL, EMLINK}};
enum { WAYS = sizeof ways / sizeof ways[0] };

static void take_way(int i)
{
    renameat2_says = ways[i].renameat2_says;
    link_says = ways[i].link_says;
}

static int take_no_way(void **state)
{
    renameat2_says = link_says = fchmod_says = 0;
    return fixture_teardown(state);
}

static void test_file_gets_its_name_in_every_way(void **state)
{
    fixture *f = *state;
    char path[300];
    path_in(f, "temporary", path);
    for (int i = 0; i < WAYS; i++) {
        struct stat found;
        size_t size;
        take_way(i);
        write_file(path, "content", 7);
        assert_int_equal(ct_file_give_name(path, f->path), 0);
        assert_false(file_exists(path));
        free(read_file(f->path, &size));
        assert_int_equal(size, 7);
        assert_int_equal(stat(f->path, &found), 0);
        assert_int_equal(found.st_nlink, 1);
        assert_int_equal(unlink(f->path), 0);
    }
}

static void test_name_that_is_taken_stays_with_its_file(void **state)
{
    fixture *f = *state;
    char path[300];
    path_in(f, "temporary", path);
    write_file(f->path, "old", 3);
    write_file(path, "content", 7);
    for (int i = 0; i < WAYS; i++) {
        size_t size;
        take_way(i);
        assert_int_equal(ct_file_give_name(path, f->path), -1);
        assert_int_equal(errno, EEXIST);
        free(read_file(f->path, &size));
        assert_int_equal(size, 3);
    }
}

static void test_file_that_gets_no_name_is_not_left(void **state)
{
    fixture *f = *state;
    renameat2_says = link_says = ENOSPC;
    assert_status(ct_file_create(f->path, &f->error), CTRACK_FULL);
    assert_contains(f->error.message, "cannot create");
    assert_int_equal(rmdir(f->directory), 0); /* nothing is in it */
    assert_int_equal(mkdir(f->directory, 0700), 0);
}

static void test_file_whose_mode_cannot_be_set_is_not_left(void **state)
{
    fixture *f = *state;
    fchmod_says = EIO;
    assert_status(ct_file_create(f->path, &f->error), CTRACK_IO);
    assert_int_equal(rmdir(f->directory), 0);
    assert_int_equal(mkdir(f->directory, 0700), 0);
}

static void test_tracker_is_made_in_every_way(void **state)
{
    fixture *f = *state;
    for (int i = 0; i < WAYS; i++) {
        take_way(i);
        f->tracker = open_file(f->path);
        update(f->tracker, "doc-1", 5);
        close_tracker(&f->tracker);
        assert_int_equal(unlink(f->path), 0);
    }
}

/* Somebody may just be replacing it; a disk that fails is told as such. */
static void test_name_that_is_gone_is_told_from_one_that_cannot_be_looked_at(void **state)
{
    (void)state;
    assert_int_equal(ct_file_absence(ENOENT), CTRACK_BUSY);
    assert_int_equal(ct_file_absence(EIO), CTRACK_IO);
    assert_int_equal(ct_file_absence(EACCES), CTRACK_IO);
}

int main(int argc, char **argv)
{
#define TEST_OF_WAYS(name) \
    { \
#name, name, fixture_setup, take_no_way, NULL \
    }
    static const struct CMUnitTest tests[] = {
        TEST_OF_WAYS(test_file_gets_its_name_in_every_way),
        TEST_OF_WAYS(test_name_that_is_taken_stays_with_its_file),
        TEST_OF_WAYS(test_file_that_gets_no_name_is_not_left),
        TEST_OF_WAYS(test_file_whose_mode_cannot_be_set_is_not_left),
        TEST_OF_WAYS(test_tracker_is_made_in_every_way),
        cmocka_unit_test(test_name_that_is_gone_is_told_from_one_that_cannot_be_looked_at),
    };
    return SUPPORT_MAIN(argc, argv, "file", tests, NULL);
}
