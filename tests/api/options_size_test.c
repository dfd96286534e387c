/* SPDX-License-Identifier: MIT */
/* ctrack_options carries its size: programs that were built with an older or a newer header work. */
#define _DEFAULT_SOURCE /* MAP_ANONYMOUS */

#include "support.h"

#include <stdalign.h>
#include <sys/mman.h>
#include <unistd.h>

/* The options of a caller whose struct has `size` bytes. They end where a page ends that must not be touched, so that
 * reading one byte too many is a crash, in every build. */
static ctrack_options *options_of_size(size_t size, void **page)
{
    size_t length = (size_t)sysconf(_SC_PAGESIZE);
    *page = mmap(NULL, 2 * length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(*page != MAP_FAILED);
    assert_int_equal(mprotect((char *)*page + length, length, PROT_NONE), 0);
    ctrack_options all = CTRACK_OPTIONS_INIT;
    all.size = size;
    all.read_model = "orders";
    all.durability = CTRACK_DURABLE_NORMAL;
    all.busy_timeout_ms = 0;
    all.follow = true;
    void *options = (char *)*page + length - size;
    memcpy(options, &all, size < sizeof all ? size : sizeof all);
    return options;
}

static void drop_options(void *page)
{
    munmap(page, 2 * (size_t)sysconf(_SC_PAGESIZE));
}

/* Whether what the fixture's tracker has written belongs to a read model. */
static bool wrote_to(fixture *f, const char *read_model)
{
    ctrack_options options = CTRACK_OPTIONS_INIT;
    options.read_model = read_model;
    ctrack *other = NULL;
    assert_status(ctrack_open(f->path, &options, &other, &f->error), CTRACK_OK);
    bool seen = latest(other, "doc-1") == 7;
    assert_status(ctrack_close(other, NULL), CTRACK_OK);
    return seen;
}

static void test_every_old_size_is_read_to_its_end_and_no_further(void **state)
{
    fixture *f = *state;
    for (size_t size = sizeof(size_t); size <= sizeof(ctrack_options); size += alignof(ctrack_options)) {
        void *page;
        ctrack_options *options = options_of_size(size, &page);
        assert_status(ctrack_open(f->path, options, &f->tracker, &f->error), CTRACK_OK);
        drop_options(page);
        update(f->tracker, "doc-1", 7);
        assert_status(ctrack_close(f->tracker, NULL), CTRACK_OK);
        f->tracker = NULL;
        bool has_read_model = size > offsetof(ctrack_options, read_model);
        assert_true(wrote_to(f, has_read_model ? "orders" : "default"));
        assert_false(wrote_to(f, has_read_model ? "default" : "orders"));
        assert_int_equal(unlink(f->path), 0);
    }
}

static void test_what_a_newer_header_has_added_is_ignored(void **state)
{
    fixture *f = *state;
    void *page;
    ctrack_options *options = options_of_size(sizeof(ctrack_options) + 64, &page);
    assert_status(ctrack_open(f->path, options, &f->tracker, &f->error), CTRACK_OK);
    drop_options(page);
}

static void test_a_size_that_no_header_has_had_is_refused(void **state)
{
    fixture *f = *state;
    const size_t sizes[] = {0, 1, sizeof(size_t) - 1, sizeof(size_t) + 1, sizeof(ctrack_options) - 1, 4104, SIZE_MAX};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        ctrack_options options = CTRACK_OPTIONS_INIT;
        options.size = sizes[i];
        ctrack *tracker = UNTOUCHED;
        assert_status(ctrack_open(f->path, &options, &tracker, &f->error), CTRACK_INVALID);
        assert_contains(f->error.message, "options: size");
        assert_ptr_equal(tracker, UNTOUCHED);
    }
    assert_int_not_equal(access(f->path, F_OK), 0);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        TEST(test_every_old_size_is_read_to_its_end_and_no_further),
        TEST(test_what_a_newer_header_has_added_is_ignored),
        TEST(test_a_size_that_no_header_has_had_is_refused),
    };
    return SUPPORT_MAIN(argc, argv, "api/options_size", tests, NULL);
}
