/* SPDX-License-Identifier: MIT */
#include "scenarios.h"

#include "scheduler.h"

/* ---------------------------------------------------------------- what actors do */

static void update_once(actor *a)
{
    world_update(a->w, a->tracker, a->document, a->index);
}

/* Up to the index, one by one. */
static void update_up(actor *a)
{
    for (int64_t index = 1; index <= a->index; index++) {
        world_update(a->w, a->tracker, a->document, index);
    }
}

static void update_both(actor *a)
{
    world_update_two(a->w, a->tracker, a->index);
}

static void block_once(actor *a)
{
    watched *wait = world_wait(a->w, a->tracker, a->document, a->index, 1, a->timeout_ms, a->w->signal != NULL);
    world_await(wait);
    world_release(wait);
}

static void block_for_both(actor *a)
{
    watched *wait = world_wait(a->w, a->tracker, 0, a->index, 2, a->timeout_ms, a->w->signal != NULL);
    world_await(wait);
    world_release(wait);
}

/* A callback, and the promise is released before it has run, or after. */
static void hear_once(actor *a)
{
    watched *wait = world_wait(a->w, a->tracker, a->document, a->index, 1, a->timeout_ms, a->w->signal != NULL);
    if (schedule_draw(2) == 0) {
        if (world_hear(wait, NULL)) {
            world_release(wait);
        }
    } else {
        world_hear(wait, NULL);
        if (a->timeout_ms >= 0) {
            world_await(wait);
        }
    }
    world_release(wait);
}

static void tell(watched *wait)
{
    sem_post(&wait->w->told);
}

/* Nothing but the callback lets the actor go on. */
static void hear_and_stay(actor *a)
{
    watched *wait = world_wait(a->w, a->tracker, a->document, a->index, 1, a->timeout_ms, false);
    world_hear(wait, tell);
    world_release(wait);
    sem_wait(&a->w->told);
}

static void wait_and_release(actor *a)
{
    watched *wait = world_wait(a->w, a->tracker, a->document, a->index, 1, a->timeout_ms, a->w->signal != NULL);
    if (wait != NULL && schedule_draw(3) == 0) {
        ctrack_promise_fd(wait->promise);
    }
    world_release(wait);
}

static void abort_all(actor *a)
{
    world *w = a->w;
    w->aborting = true;
    ctrack_abort(w->signal);
    for (int i = 0; i < w->wait_count; i++) {
        if (w->waits[i].has_signal && world_look(&w->waits[i]) == CTRACK_PENDING && w->waits[i].promise != NULL) {
            schedule_violation("wait %d is pending after its signal was given", i);
        }
    }
}

static void read_once(actor *a)
{
    world_read(a->w, a->tracker, a->document);
}

static void close_it(actor *a)
{
    world_close(a->w, a->tracker);
}

/* ---------------------------------------------------------------- in memory */

static void reach(world *w)
{
    world_open(w, 0);
    world_start(w, block_once, 0, 0, 1, -1);
    world_start(w, block_once, 0, 0, 2, -1);
    world_start(w, update_up, 0, 0, 2, 0);
    world_start(w, block_for_both, 0, 0, 1, -1);
    world_start(w, hear_and_stay, 0, 1, 1, -1);
    world_start(w, update_once, 0, 1, 1, 0);
    world_join(w);
    world_close(w, 0);
}

static void timeout(world *w)
{
    world_open(w, 0);
    world_start(w, block_once, 0, 0, 1, 1);
    world_start(w, hear_once, 0, 0, 1, 1);
    world_start(w, block_for_both, 0, 0, 1, 2);
    world_start(w, wait_and_release, 0, 0, 1, 1);
    world_start(w, update_once, 0, 0, 1, 0);
    world_start(w, hear_and_stay, 0, 1, 7, schedule_draw(2) == 0 ? 3 : 1); /* its time will be up */
    world_join(w);
    world_close(w, 0);
}

/* One signal for waits on two trackers. Whoever made it lets it go as soon as it is given to the last of them. */
static void abort_two(world *w)
{
    w->signal = ctrack_abort_signal_new();
    world_open(w, 0);
    world_open(w, 1);
    watched *heard = world_wait(w, 1, 2, 1, 1, 2, true);
    actor *aborter = world_start(w, abort_all, 0, 0, 0, 0);
    world_start(w, block_once, 0, 0, 1, -1);
    world_start(w, block_once, 1, 0, 1, 1);
    world_start(w, hear_once, 1, 1, 1, -1);
    world_start(w, wait_and_release, 0, 0, 1, -1);
    world_start(w, update_both, 0, 0, 1, 0);
    world_hear(heard, NULL);
    world_release(heard);
    pthread_join(aborter->thread, NULL);
    aborter->running = false;
    world_start(w, update_once, 1, 1, 1, 0);
    if (schedule_draw(2) == 0) {
        world_close(w, 1);
        world_join(w);
    } else {
        world_join(w);
        world_close(w, 1);
    }
    world_close(w, 0);
    ctrack_abort_signal_release(w->signal);
}

/* The signal's last owner lets go while waits settle. */
static void release_signal(world *w)
{
    w->signal = ctrack_abort_signal_new();
    world_open(w, 0);
    watched *waits[3];
    for (int i = 0; i < 3; i++) {
        waits[i] = world_wait(w, 0, i, 1, 1, i == 2 ? 1 : -1, true);
    }
    world_start(w, update_both, 0, 0, 1, 0);
    world_start(w, update_once, 0, 0, 2, 0);
    world_hear(waits[1], NULL);
    world_release(waits[0]);
    if (schedule_draw(2) == 0) {
        w->aborting = true;
        ctrack_abort(w->signal);
    }
    ctrack_abort_signal_release(w->signal);
    world_await(waits[2]);
    world_release(waits[2]);
    world_join(w);
    world_close(w, 0);
    world_release(waits[1]);
}

static void close_amid(world *w)
{
    world_open(w, 0);
    watched *kept = world_wait(w, 0, 3, 9, 1, -1, false);
    watched *heard = world_wait(w, 0, 3, 9, 1, 5, false);
    world_hear(heard, NULL);
    world_release(heard);
    world_start(w, block_once, 0, 0, 1, -1);
    world_start(w, hear_once, 0, 0, 1, 1);
    world_start(w, wait_and_release, 0, 0, 1, -1);
    world_start(w, update_once, 0, 0, 1, 0);
    world_start(w, read_once, 0, 0, 0, 0);
    world_start(w, close_it, 0, 0, 0, 0);
    world_await(kept);
    world_join(w);
    world_release(kept);
}

/* A promise's last owners, when it settles: its caller, the wait set, whoever aborts, the queue of callbacks. */
static void last_release(world *w)
{
    w->signal = ctrack_abort_signal_new();
    world_open(w, 0);
    world_start(w, wait_and_release, 0, 0, 1, 1);
    world_start(w, wait_and_release, 0, 0, 1, -1);
    world_start(w, hear_once, 0, 0, 1, 1);
    world_start(w, update_once, 0, 0, 1, 0);
    world_start(w, abort_all, 0, 0, 0, 0);
    world_join(w);
    world_close(w, 0);
    ctrack_abort_signal_release(w->signal);
}

/* ---------------------------------------------------------------- callbacks that call */

static void update_next(watched *wait)
{
    world_update(wait->w, wait->tracker, 1, 1);
}

/* Waits on the service thread itself, where nobody but the wait looks after its time. */
static void wait_again(watched *wait)
{
    watched *inner = world_wait(wait->w, wait->tracker, 2, 1, 1, 1, true);
    world_await(inner);
    world_release(inner);
}

static void abort_others(watched *wait)
{
    wait->w->aborting = true;
    ctrack_abort(wait->w->signal);
}

static void release_others(watched *wait)
{
    world_release(&wait->w->waits[0]);
    world_release(wait);
}

static void listen_again(watched *wait)
{
    watched *inner = world_wait(wait->w, wait->tracker, 0, 1, 1, 1, false);
    world_hear(inner, update_next);
    world_release(inner);
}

static void hear_and_act(actor *a)
{
    static void (*const acts[])(watched *) = {update_next, wait_again, abort_others, release_others, listen_again};
    watched *wait = world_wait(a->w, a->tracker, a->document, 1, 1, a->timeout_ms, false);
    world_hear(wait, acts[a->index]);
    if (a->index != 3) {
        world_release(wait);
    }
}

static void reenter(world *w)
{
    w->signal = ctrack_abort_signal_new();
    world_open(w, 0);
    world_wait(w, 0, 3, 1, 1, -1, true); /* which a callback releases */
    for (int i = 0; i < 5; i++) {
        world_start(w, hear_and_act, 0, i % 2, i, i % 3 == 0 ? 1 : -1);
    }
    world_start(w, block_once, 0, 2, 1, 2);
    world_start(w, update_both, 0, 0, 1, 0);
    world_join(w);
    world_close(w, 0);
    for (int i = 0; i < w->wait_count; i++) {
        world_release(&w->waits[i]);
    }
    ctrack_abort_signal_release(w->signal);
}

/* ---------------------------------------------------------------- failing and taking back */

static void fail_and_resume(actor *a)
{
    world *w = a->w;
    for (int i = 0; i < 2; i++) {
        w->failing = true;
        ctrack_fail(w->trackers[0], "broken", NULL);
        ctrack_resume(w->trackers[0], NULL);
    }
}

static void fail(world *w)
{
    world_open(w, 0);
    watched *wait = world_wait(w, 0, 0, 1, 1, -1, false);
    world_start(w, fail_and_resume, 0, 0, 0, 0);
    world_start(w, fail_and_resume, 0, 0, 0, 0);
    world_start(w, block_once, 0, 0, 1, 1);
    world_start(w, hear_once, 0, 0, 1, -1);
    world_start(w, update_once, 0, 0, 1, 0);
    world_await(wait);
    ctrack_error error;
    ctrack_promise_explain(wait->promise, &error);
    world_release(wait);
    world_join(w);
    world_close(w, 0);
}

static void rewind_twice(actor *a)
{
    ctrack_coordinate entries[] = {{"a", "document", "main", 1}, {"b", "document", "main", 0}};
    ctrack_key key = {"a", "document", "main"};
    ctrack *tracker = a->w->trackers[a->tracker];
    world_call(a->w, a->tracker, 0, 1);
    world_call(a->w, a->tracker, 1, 0);
    if (ctrack_forget(tracker, &key, 1, NULL) != CTRACK_OK || ctrack_hydrate(tracker, entries, 2, NULL) != CTRACK_OK) {
        schedule_violation("forget or hydrate failed");
    }
}

static void take_back(world *w)
{
    w->rewinding = true;
    world_open(w, 0);
    world_start(w, rewind_twice, 0, 0, 0, 0);
    world_start(w, update_both, 0, 0, 2, 0);
    world_start(w, block_for_both, 0, 0, 1, 1);
    world_start(w, block_once, 0, 0, 1, -1);
    world_start(w, hear_once, 0, 1, 2, 1);
    world_join(w);
    world_close(w, 0);
}

/* ---------------------------------------------------------------- on a file */

static void update_badly(actor *a)
{
    ctrack_coordinate bad[] = {{"a", "document", "main", 3}, {"b", "document", "main", -1}};
    if (ctrack_update(a->w->trackers[a->tracker], bad, 2, NULL) != CTRACK_INVALID) {
        schedule_violation("a bad batch was not refused");
    }
}

/* Updates that stand behind each other are committed together. */
static void group(world *w)
{
    world_open(w, 0);
    world_start(w, block_once, 0, 0, 2, -1);
    world_start(w, update_up, 0, 0, 2, 0);
    world_start(w, update_once, 0, 0, 1, 0);
    world_start(w, update_both, 0, 0, 1, 0);
    world_start(w, update_badly, 0, 0, 0, 0);
    world_start(w, update_once, 0, 2, 1, 0);
    world_join(w);
    world_compare(w, 0);
    world_close(w, 0);
}

enum { ROUNDS = 4 };

/* When a wait has ended and before the next one, the follower falls asleep, or is about to. */
static void block_again_and_again(actor *a)
{
    for (int64_t index = 1; index <= ROUNDS; index++) {
        watched *wait = world_wait(a->w, a->tracker, a->document, index, 1, -1, false);
        sem_post(&a->w->told);
        world_await(wait);
        world_release(wait);
    }
}

static void update_when_told(actor *a)
{
    for (int64_t index = 1; index <= ROUNDS; index++) {
        sem_wait(&a->w->told);
        world_update(a->w, a->tracker, a->document, index);
    }
}

/* One tracker waits for what the other one commits, each time when the wait is registered. */
static void fall_asleep(world *w)
{
    world_open(w, 0);
    world_open(w, 1);
    world_start(w, block_again_and_again, 0, 0, 0, 0);
    world_start(w, update_when_told, 1, 0, 0, 0);
    world_join(w);
    world_close(w, 0);
    world_close(w, 1);
}

/* Two trackers, each of which waits for what the other one commits, perhaps before. */
static void follow(world *w)
{
    world_open(w, 0);
    world_open(w, 1);
    world_start(w, block_once, 0, 0, 2, -1);
    world_start(w, hear_and_stay, 1, 1, 1, -1);
    world_start(w, update_up, 1, 0, 2, 0);
    world_start(w, update_once, 0, 1, 1, 0);
    world_start(w, update_both, (int)schedule_draw(2), 0, 1, 0);
    world_join(w);
    world_compare(w, 0);
    world_compare(w, 1);
    int first = (int)schedule_draw(2);
    world_close(w, first);
    world_close(w, 1 - first);
}

/* One tracker takes back what the other one has seen. */
static void take_back_on_file(world *w)
{
    w->rewinding = true;
    world_open(w, 0);
    world_open(w, 1);
    world_start(w, rewind_twice, 1, 0, 0, 0);
    world_start(w, update_both, 0, 0, 2, 0);
    world_start(w, update_once, 1, 2, 1, 0);
    world_start(w, block_for_both, 0, 0, 1, 1);
    world_start(w, hear_and_stay, 0, 2, 1, 200);
    world_join(w);
    world_compare(w, 0);
    world_compare(w, 1);
    world_close(w, 0);
    world_close(w, 1);
}

/* The first wait on a file starts the follower while the tracker closes. */
static void close_file(world *w)
{
    world_open(w, 0);
    world_open(w, 1);
    world_start(w, block_once, 0, 0, 1, -1);
    world_start(w, hear_once, 0, 1, 1, 1);
    world_start(w, update_once, 0, 2, 1, 0);
    world_start(w, update_once, 1, 0, 1, 0);
    world_start(w, close_it, 0, 0, 0, 0);
    world_join(w);
    world_close(w, 1);
}

const scenario scenarios[] = {
    {"reach", reach, false},
    {"timeout", timeout, false},
    {"abort", abort_two, false},
    {"release_signal", release_signal, false},
    {"close", close_amid, false},
    {"last_release", last_release, false},
    {"reenter", reenter, false},
    {"fail", fail, false},
    {"take_back", take_back, false},
    {"group", group, true},
    {"follow", follow, true},
    {"fall_asleep", fall_asleep, true},
    {"take_back_on_file", take_back_on_file, true},
    {"close_file", close_file, true},
};
const unsigned scenario_count = sizeof scenarios / sizeof scenarios[0];
