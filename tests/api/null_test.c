/* SPDX-License-Identifier: MIT */
/* A tracker, array, text, callback or out-parameter that is NULL where one is needed: refused, and nothing happens. */
#include "support.h"

static int write_nothing(const void *data, size_t size, void *argument)
{
    (void)data, (void)size, (void)argument;
    return 0;
}

static int read_nothing(void *data, size_t size, size_t *got, void *argument)
{
    (void)data, (void)size, (void)argument;
    *got = 0;
    return 0;
}

#define refused(call) assert_status((call), CTRACK_INVALID)

static void test_no_call_takes_null_for_a_tracker(void **state)
{
    fixture *f = *state;
    const ctrack_coordinate one = at("a", 1);
    const ctrack_key name = key("a");
    ctrack_stats stats = {.size = sizeof stats};
    ctrack_snapshot *snapshot;
    ctrack_promise *promise;
    ctrack_wait_list *waits;
    ctrack_read_model_list *models;
    int64_t index;
    size_t restored;
    char path[300];
    refused(ctrack_update(NULL, &one, 1, &f->error));
    refused(ctrack_get_latest(NULL, &name, &index));
    refused(ctrack_wait_for(NULL, &one, 1, 0, NULL, &promise, &f->error));
    refused(ctrack_wait(NULL, &one, 1, 0, NULL, &f->error));
    refused(ctrack_serialize(NULL, &snapshot, &f->error));
    refused(ctrack_hydrate(NULL, &one, 1, &f->error));
    refused(ctrack_forget(NULL, &name, 1, &f->error));
    refused(ctrack_refresh(NULL, &f->error));
    refused(ctrack_fail(NULL, "broken", &f->error));
    refused(ctrack_resume(NULL, &f->error));
    refused(ctrack_dump(NULL, NULL, write_nothing, NULL, &f->error));
    refused(ctrack_restore(NULL, read_nothing, NULL, "input", CTRACK_RESTORE_EMPTY, &restored, &f->error));
    refused(ctrack_export(NULL, path_in(f, "copy.db", path), CTRACK_EXPORT_NEW, NULL, NULL, &f->error));
    refused(ctrack_get_stats(NULL, &stats, &f->error));
    refused(ctrack_read_models(NULL, &models, &f->error));
    refused(ctrack_waits(NULL, 1, &waits, &f->error));
    assert_false(file_exists(path));
}

static void test_no_call_takes_null_for_what_it_is_to_read(void **state)
{
    fixture *f = *state;
    ctrack_snapshot *snapshot = UNTOUCHED;
    ctrack_promise *promise = UNTOUCHED;
    ctrack_key name;
    int64_t index = 7;
    int version, newest;
    update(f->tracker, "a", 1);
    refused(ctrack_update(f->tracker, NULL, 1, &f->error));
    refused(ctrack_get_latest(f->tracker, NULL, &index));
    refused(ctrack_wait_for(f->tracker, NULL, 1, 0, NULL, &promise, &f->error));
    refused(ctrack_wait(f->tracker, NULL, 1, 0, NULL, &f->error));
    refused(ctrack_hydrate(f->tracker, NULL, 1, &f->error));
    refused(ctrack_forget(f->tracker, NULL, 1, &f->error));
    refused(ctrack_fail(f->tracker, NULL, &f->error));
    refused(ctrack_dump(f->tracker, NULL, NULL, NULL, &f->error));
    refused(ctrack_restore(f->tracker, NULL, NULL, "input", CTRACK_RESTORE_REPLACE, NULL, &f->error));
    refused(ctrack_restore(f->tracker, read_nothing, NULL, NULL, CTRACK_RESTORE_REPLACE, NULL, &f->error));
    refused(ctrack_export(f->tracker, NULL, CTRACK_EXPORT_NEW, NULL, NULL, &f->error));
    refused(ctrack_key_parse(NULL, &name, &f->error));
    refused(ctrack_token_parse(NULL, 2, &snapshot, &f->error));
    refused(ctrack_check(NULL, 0, NULL, NULL, NULL, &f->error));
    refused(ctrack_schema(NULL, 0, &version, &newest, &f->error));
    refused(ctrack_stage(NULL, NULL, NULL, 0, &f->error));
    refused(ctrack_satisfied_in(NULL, NULL, NULL, 0, &f->error));
    refused(ctrack_host_durability(NULL, NULL, &f->error));
    assert_int_equal(entry_count(f->tracker), 1);
    assert_ptr_equal(snapshot, UNTOUCHED);
    assert_ptr_equal(promise, UNTOUCHED);
    assert_int_equal(index, 7);
}

static void test_no_call_takes_null_for_its_answer(void **state)
{
    fixture *f = *state;
    const ctrack_coordinate one = at("a", 1);
    const ctrack_key name = key("a");
    char text[] = "a:b:c", path[300];
    int number;
    ctrack_promise *promise = wait_for(f->tracker, "a", 1);
    refused(ctrack_open(path_in(f, "other.db", path), NULL, NULL, &f->error));
    assert_false(file_exists(path));
    refused(ctrack_get_latest(f->tracker, &name, NULL));
    refused(ctrack_wait_for(f->tracker, &one, 1, 0, NULL, NULL, &f->error));
    refused(ctrack_serialize(f->tracker, NULL, &f->error));
    refused(ctrack_promise_missing(promise, NULL, &f->error));
    refused(ctrack_promise_then(promise, NULL, NULL));
    refused(ctrack_key_parse(text, NULL, &f->error));
    refused(ctrack_token_parse("{}", 2, NULL, &f->error));
    refused(ctrack_get_stats(f->tracker, NULL, &f->error));
    refused(ctrack_read_models(f->tracker, NULL, &f->error));
    refused(ctrack_waits(f->tracker, 1, NULL, &f->error));
    refused(ctrack_schema(path, 0, NULL, &number, &f->error));
    refused(ctrack_schema(path, 0, &number, NULL, &f->error));
    assert_status(ctrack_promise_status(promise), CTRACK_PENDING);
    ctrack_promise_release(promise);
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_no_call_takes_null_for_a_tracker),
        TEST_BOTH(test_no_call_takes_null_for_what_it_is_to_read),
        TEST_BOTH(test_no_call_takes_null_for_its_answer),
    };
    return SUPPORT_MAIN(argc, argv, "api/null", tests, NULL);
}
