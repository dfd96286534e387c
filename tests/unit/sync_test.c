/* SPDX-License-Identifier: MIT */
/* Gates, conditions and threads. No test waits for time to pass, except the one whose deadline is what it tests. */
#include "support.h"

#include <signal.h>
#include <stdatomic.h>

#include "clock.h"
#include "sync.h"

/* ---------------------------------------------------------------- gates */

static void test_an_open_gate_lets_through_at_once(void **state)
{
    (void)state;
    ct_gate g;
    assert_int_equal(ct_gate_init(&g), 0);
    ct_gate_open(&g);
    assert_true(ct_gate_wait(&g, CT_NEVER));
    ct_gate_destroy(&g);
}

static void test_an_open_gate_is_open_whatever_the_deadline(void **state)
{
    (void)state;
    ct_gate g;
    assert_int_equal(ct_gate_init(&g), 0);
    ct_gate_open(&g);
    assert_true(ct_gate_wait(&g, 0));
    ct_gate_destroy(&g);
}

static void test_a_closed_gate_is_closed_when_the_deadline_has_passed(void **state)
{
    (void)state;
    ct_gate g;
    assert_int_equal(ct_gate_init(&g), 0);
    assert_false(ct_gate_wait(&g, 0));
    assert_false(ct_gate_wait(&g, ct_clock_monotonic()));
    ct_gate_destroy(&g);
}

static void test_a_gate_that_was_left_too_early_still_opens(void **state)
{
    (void)state;
    ct_gate g;
    assert_int_equal(ct_gate_init(&g), 0);
    assert_false(ct_gate_wait(&g, 0));
    ct_gate_open(&g);
    assert_true(ct_gate_wait(&g, CT_NEVER));
    ct_gate_destroy(&g);
}

static void test_a_gate_is_never_left_before_the_deadline(void **state)
{
    (void)state;
    ct_gate g;
    assert_int_equal(ct_gate_init(&g), 0);
    for (int i = 0; i < 20; i++) {
        int64_t deadline = ct_clock_monotonic() + 100000 * i;
        assert_false(ct_gate_wait(&g, deadline));
        assert_true(ct_clock_monotonic() >= deadline);
    }
    ct_gate_destroy(&g);
}

static void *open_the_gate(void *gate_)
{
    ct_gate_open(gate_);
    return NULL;
}

static void test_a_gate_opened_by_another_thread_lets_through(void **state)
{
    (void)state;
    for (int i = 0; i < 100; i++) {
        ct_gate g;
        assert_int_equal(ct_gate_init(&g), 0);
        pthread_t thread = thread_start(open_the_gate, &g);
        assert_true(ct_gate_wait(&g, i % 2 == 0 ? CT_NEVER : ct_clock_deadline(ct_clock_monotonic(), 60000)));
        ct_gate_destroy(&g); /* the opener may be in its last steps, but not in the gate */
        thread_join(thread);
    }
}

/* Threads queue gates on their stacks; one opens all of them, and each gate is gone as soon as its thread runs on. */
enum { WAITERS = 4, GATES = 2000 };

typedef struct line {
    ct_mutex lock;
    ct_gate *first; /* lock */
} line;

static void *queue_up(void *argument)
{
    line *l = argument;
    for (int i = 0; i < GATES; i++) {
        ct_gate g;
        if (ct_gate_init(&g) != 0) {
            return l;
        }
        ct_mutex_lock(&l->lock);
        g.next = l->first;
        l->first = &g;
        ct_mutex_unlock(&l->lock);
        bool open = ct_gate_wait(&g, CT_NEVER);
        ct_gate_destroy(&g);
        memset(&g, 0x5a, sizeof g);
        if (!open) {
            return l;
        }
    }
    return NULL;
}

static void test_a_gate_may_go_as_soon_as_its_thread_is_through(void **state)
{
    (void)state;
    line l = {.first = NULL};
    assert_int_equal(ct_mutex_init(&l.lock), 0);
    pthread_t threads[WAITERS];
    for (int i = 0; i < WAITERS; i++) {
        threads[i] = thread_start(queue_up, &l);
    }
    for (int opened = 0; opened < WAITERS * GATES;) {
        ct_mutex_lock(&l.lock);
        ct_gate *first = l.first;
        l.first = NULL;
        ct_mutex_unlock(&l.lock);
        while (first != NULL) {
            ct_gate *next = first->next;
            ct_gate_open(first);
            first = next;
            opened++;
        }
    }
    for (int i = 0; i < WAITERS; i++) {
        assert_null(thread_join(threads[i]));
    }
    ct_mutex_destroy(&l.lock);
}

/* ---------------------------------------------------------------- conditions */

typedef struct hand_over {
    ct_mutex lock;
    ct_condition changed;
    int turn; /* lock */
} hand_over;

static void *play(void *argument)
{
    hand_over *h = argument;
    ct_mutex_lock(&h->lock);
    for (int i = 0; i < 500; i++) {
        while (h->turn % 2 == 0) {
            ct_condition_wait(&h->changed, &h->lock, CT_NEVER);
        }
        h->turn++;
        ct_condition_signal(&h->changed);
    }
    ct_mutex_unlock(&h->lock);
    return NULL;
}

static void test_a_signal_wakes_the_thread_that_waits(void **state)
{
    (void)state;
    hand_over h = {.turn = 0};
    assert_int_equal(ct_mutex_init(&h.lock), 0);
    assert_int_equal(ct_condition_init(&h.changed), 0);
    pthread_t thread = thread_start(play, &h);
    ct_mutex_lock(&h.lock);
    for (int i = 0; i < 500; i++) {
        h.turn++;
        ct_condition_signal(&h.changed);
        while (h.turn % 2 == 1) {
            ct_condition_wait(&h.changed, &h.lock, CT_NEVER);
        }
    }
    ct_mutex_unlock(&h.lock);
    thread_join(thread);
    assert_int_equal(h.turn, 1000);
    ct_condition_destroy(&h.changed);
    ct_mutex_destroy(&h.lock);
}

static void test_a_condition_returns_when_the_deadline_has_passed(void **state)
{
    (void)state;
    ct_mutex lock;
    ct_condition condition;
    assert_int_equal(ct_mutex_init(&lock), 0);
    assert_int_equal(ct_condition_init(&condition), 0);
    ct_mutex_lock(&lock);
    ct_condition_wait(&condition, &lock, 0);
    ct_condition_wait(&condition, &lock, ct_clock_monotonic() + 1000000);
    ct_mutex_unlock(&lock);
    ct_condition_destroy(&condition);
    ct_mutex_destroy(&lock);
}

/* ---------------------------------------------------------------- threads */

typedef struct look {
    ct_thread *thread;
    ct_gate known; /* `thread` is filled in */
    bool current;
    bool blocked;
} look;

static void *look_around(void *argument)
{
    look *l = argument;
    ct_gate_wait(&l->known, CT_NEVER);
    l->current = ct_thread_is_current(l->thread);
    sigset_t mask;
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    l->blocked = sigismember(&mask, SIGTERM) == 1 && sigismember(&mask, SIGCHLD) == 1 &&
                 sigismember(&mask, SIGUSR1) == 1 && sigismember(&mask, SIGINT) == 1;
    return NULL;
}

static void test_a_thread_knows_itself_and_takes_no_signals(void **state)
{
    (void)state;
    sigset_t before, after;
    pthread_sigmask(SIG_SETMASK, NULL, &before);
    ct_thread thread;
    look l = {.thread = &thread};
    assert_int_equal(ct_gate_init(&l.known), 0);
    assert_int_equal(ct_thread_start(&thread, look_around, &l), 0);
    assert_false(ct_thread_is_current(&thread));
    ct_gate_open(&l.known);
    ct_thread_join(&thread);
    ct_gate_destroy(&l.known);
    assert_true(l.current);
    assert_true(l.blocked);
    pthread_sigmask(SIG_SETMASK, NULL, &after);
    assert_int_equal(sigismember(&before, SIGTERM), sigismember(&after, SIGTERM));
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_open_gate_lets_through_at_once),
        cmocka_unit_test(test_an_open_gate_is_open_whatever_the_deadline),
        cmocka_unit_test(test_a_closed_gate_is_closed_when_the_deadline_has_passed),
        cmocka_unit_test(test_a_gate_that_was_left_too_early_still_opens),
        cmocka_unit_test(test_a_gate_is_never_left_before_the_deadline),
        cmocka_unit_test(test_a_gate_opened_by_another_thread_lets_through),
        cmocka_unit_test(test_a_gate_may_go_as_soon_as_its_thread_is_through),
        cmocka_unit_test(test_a_signal_wakes_the_thread_that_waits),
        cmocka_unit_test(test_a_condition_returns_when_the_deadline_has_passed),
        cmocka_unit_test(test_a_thread_knows_itself_and_takes_no_signals),
    };
    return SUPPORT_MAIN(argc, argv, "sync", tests, NULL);
}
