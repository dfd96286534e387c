/* SPDX-License-Identifier: MIT */
/* A promise settles once, whoever comes second. */
#include "support.h"

#include "promise.h"

static void test_who_comes_second_changes_nothing(void **state)
{
    fixture *f = *state;
    ctrack_promise *promise = wait_for(f->tracker, "doc-1", 1);
    assert_status(ctrack_promise_then(promise, record, &f->recorder), CTRACK_OK);
    update(f->tracker, "doc-1", 1);
    ct_promise_settle(promise, CTRACK_ABORTED); /* as a signal does that was given meanwhile */
    assert_status(ctrack_promise_status(promise), CTRACK_OK);
    ctrack_promise_release(promise);
    close_tracker(&f->tracker);
    assert_int_equal(recorder_count(&f->recorder), 1);
    assert_status(f->recorder.calls[0].outcome, CTRACK_OK);
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        TEST_IN_MEMORY(test_who_comes_second_changes_nothing),
    };
    return SUPPORT_MAIN(argc, argv, "promise", tests, NULL);
}
