/* SPDX-License-Identifier: MIT */
/*
 * Waits, at random, against references that are too simple to be wrong:
 *
 *  - the wait set, with made-up time, against a list that is scanned after every step;
 *  - a tracker that learns of several foreign commits at once: a wait that woke was satisfied after one of them, one
 * that is satisfied in the end woke, and what a pending one misses is what the file says;
 *  - thousands of waits on several trackers with one signal, which threads and callbacks abort, satisfy, close and
 *    release all at once: each settles once, each callback runs once, and no wait ends CTRACK_OK before its time.
 *
 * CTRACK_SEED repeats a run (not its schedule), CTRACK_STEPS makes it longer.
 */
#include "support.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>

#include "clock.h"
#include "waitset.h"

static uint64_t seed(void)
{
    uint64_t value = environment_number("CTRACK_SEED", (uint64_t)now_ns());
    print_message("CTRACK_SEED=%" PRIu64 "\n", value);
    return value * 2 + 1;
}

/* Below `bound`. */
static uint64_t draw(uint64_t *random, uint64_t bound)
{
    *random ^= *random << 13;
    *random ^= *random >> 7;
    *random ^= *random << 17;
    return (*random >> 11) % bound;
}

/* ---------------------------------------------------------------- the wait set, with made-up time */

enum { KEYS = 6, BATCH = 4, WAITS = 60 };

static const char *const documents[KEYS] = {"a", "b", "c", "d", "e", "f"};

typedef struct naive_wait {
    ct_wait *wait; /* NULL: this place is free */
    int keys[BATCH];
    int64_t targets[BATCH], had[BATCH];
    uint32_t count;
    int64_t deadline;
    ctrack_status status;
} naive_wait;

typedef struct naive {
    ct_map *map;
    ct_waitset set;
    uint64_t random;
    int64_t now, progress[KEYS];
    naive_wait waits[WAITS];
    size_t settled; /* since the last step */
    uint64_t step;
} naive;

static ct_entry *entry_of(naive *n, int k)
{
    ctrack_key name = key(documents[k]);
    ct_entry *entry = ct_map_find_or_add(n->map, &name);
    assert_non_null(entry);
    return entry;
}

static void naive_end(naive *n, naive_wait *w, ctrack_status status)
{
    w->status = status;
    for (uint32_t i = 0; i < w->count; i++) {
        w->had[i] = n->progress[w->keys[i]];
    }
    n->settled++;
}

static bool naive_reached(const naive *n, const naive_wait *w)
{
    bool reached = true;
    for (uint32_t i = 0; i < w->count; i++) {
        reached = reached && n->progress[w->keys[i]] >= w->targets[i];
    }
    return reached;
}

static void naive_judge(naive *n)
{
    for (int i = 0; i < WAITS; i++) {
        naive_wait *w = &n->waits[i];
        if (w->wait != NULL && w->status == CTRACK_PENDING && naive_reached(n, w)) {
            naive_end(n, w, CTRACK_OK);
        }
    }
}

static void step_register(naive *n, ct_settled *settled)
{
    naive_wait *w = &n->waits[draw(&n->random, WAITS)];
    if (w->wait != NULL) {
        return;
    }
    *w = (naive_wait){.status = CTRACK_PENDING, .deadline = CT_NEVER};
    w->wait = calloc(1, sizeof *w->wait + BATCH * sizeof w->wait->items[0]);
    assert_non_null(w->wait);
    bool used[KEYS] = {false};
    for (uint64_t wanted = draw(&n->random, BATCH + 1); wanted > 0; wanted--) {
        int k = (int)draw(&n->random, KEYS);
        if (!used[k]) { /* a promise unites duplicates */
            used[k] = true;
            w->keys[w->count] = k;
            w->targets[w->count] = draw(&n->random, 30) == 0 ? INT64_MAX : (int64_t)draw(&n->random, 20);
            w->wait->items[w->count] =
                (ct_wait_item){.entry = entry_of(n, k), .target = w->targets[w->count], .wait = w->wait};
            w->count++;
        }
    }
    w->wait->count = w->count;
    if (draw(&n->random, 2) == 0) {
        w->deadline = n->now + 1 + (int64_t)draw(&n->random, 50);
    }
    ct_waitset_add(&n->set, w->wait, n->now, w->deadline);
    if (w->wait->missing == 0) {
        ct_waitset_settle(&n->set, w->wait, CTRACK_OK, settled);
    }
    naive_judge(n);
}

static void step_raise(naive *n, ct_settled *settled)
{
    int k = (int)draw(&n->random, KEYS);
    int64_t index = draw(&n->random, 40) == 0 ? INT64_MAX : n->progress[k] + 1 + (int64_t)draw(&n->random, 4);
    if (n->progress[k] == INT64_MAX) {
        return;
    }
    n->progress[k] = index;
    ct_map_set(n->map, entry_of(n, k), index);
    ct_waitset_raised(&n->set, entry_of(n, k), settled);
    naive_judge(n);
}

static void step_rewind(naive *n, ct_settled *settled)
{
    for (int k = 0; k < KEYS; k++) {
        if (draw(&n->random, 3) == 0) {
            n->progress[k] = draw(&n->random, 3) == 0 ? CT_UNSEEN : (int64_t)draw(&n->random, 20);
            ct_map_set(n->map, entry_of(n, k), n->progress[k]);
        }
    }
    ct_waitset_rejudge(&n->set, settled);
    naive_judge(n);
}

static void step_time(naive *n, ct_settled *settled)
{
    n->now += (int64_t)draw(&n->random, 15);
    ct_waitset_expire(&n->set, n->now, settled);
    for (int i = 0; i < WAITS; i++) {
        naive_wait *w = &n->waits[i];
        if (w->wait != NULL && w->status == CTRACK_PENDING && w->deadline <= n->now) {
            naive_end(n, w, CTRACK_TIMED_OUT);
        }
    }
}

static void step_settle(naive *n, ct_settled *settled)
{
    naive_wait *w = &n->waits[draw(&n->random, WAITS)];
    if (w->wait != NULL && w->status == CTRACK_PENDING) {
        ct_waitset_settle(&n->set, w->wait, CTRACK_ABORTED, settled);
        naive_end(n, w, CTRACK_ABORTED);
    }
}

static void step_release(naive *n)
{
    naive_wait *w = &n->waits[draw(&n->random, WAITS)];
    if (w->wait != NULL && w->status != CTRACK_PENDING) {
        ct_wait_release_items(&n->set, w->wait);
        free(w->wait);
        w->wait = NULL;
    }
}

static void step_end_all(naive *n, ct_settled *settled)
{
    ct_waitset_end_all(&n->set, CTRACK_FAILED, settled);
    for (int i = 0; i < WAITS; i++) {
        if (n->waits[i].wait != NULL && n->waits[i].status == CTRACK_PENDING) {
            naive_end(n, &n->waits[i], CTRACK_FAILED);
        }
    }
}

static void compare_wait(const naive *n, const naive_wait *w)
{
    assert_status((ctrack_status)atomic_load(&w->wait->status), w->status);
    uint32_t missing = 0;
    for (uint32_t i = 0; i < w->count; i++) {
        const ct_wait_item *item = &w->wait->items[i];
        bool pending = w->status == CTRACK_PENDING;
        bool lacks = w->status != CTRACK_OK && (pending ? n->progress[w->keys[i]] : w->had[i]) < w->targets[i];
        missing += lacks;
        if (pending) {
            assert_int_equal(item->node.rank != CT_RANK_REACHED, lacks);
        } else {
            assert_int_equal(item->entry != NULL, lacks);
            assert_true(!lacks || item->index_at_end == w->had[i]);
        }
    }
    assert_int_equal(w->wait->missing, missing);
}

static void compare(naive *n, const ct_settled *settled)
{
    size_t pending = 0, listed = 0;
    int64_t next = CT_NEVER;
    for (int i = 0; i < WAITS; i++) {
        const naive_wait *w = &n->waits[i];
        if (w->wait == NULL) {
            continue;
        }
        compare_wait(n, w);
        if (w->status == CTRACK_PENDING) {
            pending++;
            next = w->deadline < next ? w->deadline : next;
        }
    }
    for (const ct_wait *wait = settled->first; wait != NULL; wait = wait->next) {
        listed++;
    }
    assert_int_equal(listed, n->settled);
    assert_int_equal(n->set.pending, pending);
    assert_int_equal(ct_waitset_next_deadline(&n->set), next);
}

static void test_the_wait_set_agrees_with_a_list_that_is_scanned(void **state)
{
    (void)state;
    naive n = {.map = ct_map_new(), .random = seed(), .now = 1};
    assert_non_null(n.map);
    n.set.map = n.map;
    for (int k = 0; k < KEYS; k++) {
        n.progress[k] = CT_UNSEEN;
    }
    uint64_t steps = environment_number("CTRACK_STEPS", 30000);
    for (n.step = 0; n.step < steps; n.step++) {
        ct_settled settled = {0};
        n.settled = 0;
        uint64_t chosen = draw(&n.random, 100);
        if (chosen < 45) {
            step_register(&n, &settled);
        } else if (chosen < 60) {
            step_raise(&n, &settled);
        } else if (chosen < 65) {
            step_rewind(&n, &settled);
        } else if (chosen < 75) {
            step_time(&n, &settled);
        } else if (chosen < 80) {
            step_settle(&n, &settled);
        } else if (chosen < 99) {
            step_release(&n);
        } else if (draw(&n.random, 10) == 0) {
            step_end_all(&n, &settled);
        }
        compare(&n, &settled);
    }
    ct_settled settled = {0};
    n.settled = 0;
    step_end_all(&n, &settled);
    compare(&n, &settled);
    for (int i = 0; i < WAITS; i++) {
        if (n.waits[i].wait != NULL) {
            ct_wait_release_items(&n.set, n.waits[i].wait);
            free(n.waits[i].wait);
        }
    }
    ct_map_free(n.map);
}

/* ---------------------------------------------------------------- several foreign commits at once */

typedef struct far_wait {
    ctrack_promise *promise; /* NULL: this place is free */
    ctrack_coordinate wanted[BATCH];
    int keys[BATCH];
    size_t count;
    bool was_reached; /* after some commit since it was made */
} far_wait;

typedef struct far {
    ctrack *near, *writer;
    uint64_t random;
    int64_t progress[KEYS];
    far_wait waits[WAITS];
} far;

static void far_judge(far *x)
{
    for (int i = 0; i < WAITS; i++) {
        far_wait *w = &x->waits[i];
        bool reached = w->promise != NULL;
        for (size_t j = 0; reached && j < w->count; j++) {
            reached = x->progress[w->keys[j]] >= w->wanted[j].operation_index;
        }
        w->was_reached = w->was_reached || reached;
    }
}

static void far_commit(far *x)
{
    ctrack_coordinate batch[BATCH];
    ctrack_key keys[BATCH];
    int chosen[BATCH];
    size_t count = (size_t)(1 + draw(&x->random, BATCH));
    for (size_t i = 0; i < count; i++) {
        chosen[i] = (int)draw(&x->random, KEYS);
        batch[i] = at(documents[chosen[i]], (int64_t)draw(&x->random, 20));
        keys[i] = key(documents[chosen[i]]);
    }
    uint64_t what = draw(&x->random, 10);
    if (what < 6) {
        assert_status(ctrack_update(x->writer, batch, count, NULL), CTRACK_OK);
    } else if (what < 9) {
        assert_status(ctrack_forget(x->writer, keys, count, NULL), CTRACK_OK);
    } else {
        assert_status(ctrack_hydrate(x->writer, batch, count, NULL), CTRACK_OK);
    }
    for (int k = 0; what == 9 && k < KEYS; k++) {
        x->progress[k] = NEVER_SEEN;
    }
    for (size_t i = 0; i < count; i++) {
        int64_t *progress = &x->progress[chosen[i]];
        if (what >= 6 && what < 9) {
            *progress = NEVER_SEEN;
        } else if (batch[i].operation_index > *progress) {
            *progress = batch[i].operation_index;
        }
    }
    far_judge(x);
}

static void far_register(far *x)
{
    far_wait *w = &x->waits[draw(&x->random, WAITS)];
    if (w->promise != NULL) {
        return;
    }
    *w = (far_wait){.count = (uint32_t)(1 + draw(&x->random, BATCH))};
    for (size_t i = 0; i < w->count; i++) {
        w->keys[i] = (int)draw(&x->random, KEYS);
        w->wanted[i] = at(documents[w->keys[i]], (int64_t)draw(&x->random, 20));
    }
    w->promise = wait_for_all(x->near, w->wanted, w->count);
    far_judge(x);
}

static void far_compare(far *x)
{
    assert_status(ctrack_refresh(x->near, NULL), CTRACK_OK);
    for (int k = 0; k < KEYS; k++) {
        assert_int_equal(latest(x->near, documents[k]), x->progress[k]);
    }
    for (int i = 0; i < WAITS; i++) {
        far_wait *w = &x->waits[i];
        if (w->promise == NULL) {
            continue;
        }
        ctrack_status status = ctrack_promise_status(w->promise);
        bool reached = true;
        for (size_t j = 0; j < w->count; j++) {
            reached = reached && x->progress[w->keys[j]] >= w->wanted[j].operation_index;
        }
        if (status == CTRACK_OK) {
            assert_true(w->was_reached); /* else it woke though no commit has ever satisfied it */
        } else {
            assert_status(status, CTRACK_PENDING);
            assert_false(reached);
            ctrack_snapshot *missing = NULL;
            assert_status(ctrack_promise_missing(w->promise, &missing, NULL), CTRACK_OK);
            for (size_t m = 0; m < ctrack_snapshot_count(missing); m++) {
                const ctrack_coordinate *c = &ctrack_snapshot_entries(missing)[m];
                int64_t now = latest(x->near, c->document_id);
                assert_int_equal(c->operation_index, now);
                assert_true(ctrack_snapshot_targets(missing)[m] > now);
            }
            assert_true(ctrack_snapshot_count(missing) > 0);
            ctrack_snapshot_free(missing);
        }
        if (status == CTRACK_OK || draw(&x->random, 20) == 0) {
            ctrack_promise_release(w->promise);
            w->promise = NULL;
        }
    }
}

static void test_several_foreign_commits_at_once_wake_whom_one_of_them_satisfied(void **state)
{
    fixture *f = *state;
    ctrack_options options = CTRACK_OPTIONS_INIT;
    options.durability = CTRACK_DURABLE_NORMAL;
    far x = {.near = f->tracker, .random = seed()};
    assert_status(ctrack_open(f->path, &options, &x.writer, NULL), CTRACK_OK);
    for (int k = 0; k < KEYS; k++) {
        x.progress[k] = NEVER_SEEN;
    }
    uint64_t rounds = environment_number("CTRACK_STEPS", 30000) / 60;
    for (uint64_t round = 0; round < rounds; round++) {
        for (int i = 0; i < 5; i++) {
            far_register(&x);
        }
        for (uint64_t commits = 1 + draw(&x.random, 4); commits > 0; commits--) {
            far_commit(&x);
        }
        far_compare(&x);
    }
    for (int i = 0; i < WAITS; i++) {
        ctrack_promise_release(x.waits[i].promise);
    }
    close_tracker(&x.writer);
}

/* ---------------------------------------------------------------- everything at once */

enum { TRACKERS = 3, PROMISES = 3000, RELEASERS = 3, UPDATES = 60, TOP = 40 };

typedef struct crowd crowd;

/* What a tracker's threads and callbacks share. */
typedef struct party {
    crowd *c;
    ctrack *tracker;
    _Atomic int64_t attempted[KEYS]; /* raised before an update is called */
    gate updated;
    uint64_t random; /* the updater's */
} party;

struct crowd {
    party parties[TRACKERS];
    ctrack_abort_signal *shared, *second; /* the second is given by callbacks only */
    ctrack_promise *promises[PROMISES];
    uint8_t tracker_of[PROMISES], key_of[PROMISES], target_of[PROMISES];
    gate start;
    atomic_size_t accepted, called, outcomes[32];
    atomic_bool broken; /* something was not as it must be */
    _Atomic uint64_t random;
};

typedef struct releaser {
    crowd *c;
    size_t first;
    uint64_t random;
} releaser;

static uint64_t draw_shared(crowd *c, uint64_t bound)
{
    uint64_t random = atomic_fetch_add(&c->random, UINT64_C(0x9e3779b97f4a7c15));
    random = (random ^ (random >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    return (random >> 20) % bound;
}

static void check(crowd *c, bool holds)
{
    if (!holds) {
        atomic_store(&c->broken, true);
    }
}

static ctrack_status update_party(party *p, int k, int64_t index)
{
    int64_t seen = atomic_load(&p->attempted[k]);
    while (seen < index && !atomic_compare_exchange_weak(&p->attempted[k], &seen, index)) {
    }
    ctrack_coordinate coordinate_ = at(documents[k], index);
    return ctrack_update(p->tracker, &coordinate_, 1, NULL);
}

static bool is_outcome(ctrack_status status)
{
    return status == CTRACK_OK || status == CTRACK_TIMED_OUT || status == CTRACK_ABORTED || status == CTRACK_CLOSED;
}

/* On its tracker's service thread; the tracker cannot go while it runs. */
static void on_settled(ctrack_promise *promise, ctrack_status outcome, void *argument)
{
    party *p = argument;
    crowd *c = p->c;
    check(c, is_outcome(outcome) && ctrack_promise_status(promise) == outcome);
    int k = (int)draw_shared(c, KEYS);
    int64_t index = (int64_t)draw_shared(c, TOP);
    ctrack_promise *another = NULL;
    ctrack_coordinate wanted = at(documents[k], index);
    switch (draw_shared(c, 8)) {
    case 0:
    case 1: {
        ctrack_status status = update_party(p, k, index);
        check(c, status == CTRACK_OK || status == CTRACK_CLOSED);
        break;
    }
    case 2:
    case 3: {
        ctrack_status status = ctrack_wait_for(p->tracker, &wanted, 1, (int64_t)draw_shared(c, 2) - 1,
                                               draw_shared(c, 2) == 0 ? c->shared : c->second, &another, NULL);
        check(c, status == CTRACK_OK || status == CTRACK_CLOSED);
        ctrack_promise_release(another);
        break;
    }
    case 4: /* blocks, but not for long */
        check(c, is_outcome(ctrack_wait(p->tracker, &wanted, 1, 1, c->shared, NULL)));
        break;
    case 5:
        if (draw_shared(c, 50) == 0) {
            ctrack_abort(c->second);
        }
        break;
    case 6: {
        ctrack_snapshot *missing = NULL;
        check(c, ctrack_promise_missing(promise, &missing, NULL) == CTRACK_OK);
        check(c, (ctrack_snapshot_count(missing) == 0) == (outcome == CTRACK_OK) || outcome == CTRACK_ABORTED);
        ctrack_snapshot_free(missing);
        break;
    }
    default:
        break;
    }
    atomic_fetch_add(&c->called, 1);
}

static void *release_many(void *argument)
{
    releaser *r = argument;
    crowd *c = r->c;
    gate_pass(&c->start);
    for (size_t i = r->first; i < PROMISES; i += RELEASERS) {
        ctrack_promise *promise = c->promises[i];
        party *p = &c->parties[c->tracker_of[i]];
        uint64_t what = draw(&r->random, 8);
        if (what < 3) {
            ctrack_status status = ctrack_promise_then(promise, on_settled, p);
            check(c, status == CTRACK_OK || status == CTRACK_CLOSED);
            atomic_fetch_add(&c->accepted, status == CTRACK_OK);
        }
        if (what == 3) {
            check(c, ctrack_promise_fd(promise) >= 0);
        }
        if (what == 0 || what == 4 || what == 5) { /* all end: by the signal, by closing if by nothing else */
            ctrack_status status = ctrack_promise_await(promise);
            check(c, is_outcome(status));
            check(c, status != CTRACK_OK || atomic_load(&p->attempted[c->key_of[i]]) >= c->target_of[i]);
            atomic_fetch_add(&c->outcomes[status], 1);
        }
        ctrack_promise_release(promise);
    }
    return NULL;
}

static void *update_many(void *argument)
{
    party *p = argument;
    gate_pass(&p->c->start);
    for (int i = 0; i < UPDATES; i++) {
        check(p->c, update_party(p, (int)draw(&p->random, KEYS), (int64_t)draw(&p->random, TOP)) == CTRACK_OK);
    }
    gate_open(&p->updated);
    return NULL;
}

/* No call but those of callbacks is under way or starts any more when it closes. */
static void *close_one(void *argument)
{
    party *p = argument;
    gate_pass(&p->updated);
    check(p->c, ctrack_close(p->tracker, NULL) == CTRACK_OK);
    return NULL;
}

static void *abort_once(void *argument)
{
    crowd *c = argument;
    gate_pass(&c->start);
    gate_pass(&c->parties[draw_shared(c, TRACKERS)].updated);
    ctrack_abort(c->shared);
    return NULL;
}

static void make_crowd(crowd *c, uint64_t *random, fixture *f)
{
    atomic_init(&c->random, *random);
    gate_init(&c->start);
    c->shared = new_signal();
    c->second = new_signal();
    for (int t = 0; t < TRACKERS; t++) {
        party *p = &c->parties[t];
        p->c = c;
        p->tracker = t == 0 ? open_file(f->path) : open_in_memory();
        p->random = *random + (uint64_t)t * 2;
        gate_init(&p->updated);
        for (int k = 0; k < KEYS; k++) {
            atomic_init(&p->attempted[k], NEVER_SEEN);
        }
        for (int k = 0; t == 0 && k < KEYS; k++) { /* an earlier round's */
            atomic_store(&p->attempted[k], latest(p->tracker, documents[k]));
        }
    }
    for (size_t i = 0; i < PROMISES; i++) {
        c->tracker_of[i] = (uint8_t)draw(random, TRACKERS);
        c->key_of[i] = (uint8_t)draw(random, KEYS);
        c->target_of[i] = (uint8_t)draw(random, TOP);
        int64_t timeout = draw(random, 4) == 0 ? (int64_t)draw(random, 30) : CTRACK_FOREVER;
        ctrack_abort_signal *signal = draw(random, 20) == 0 ? c->second : draw(random, 4) == 0 ? NULL : c->shared;
        c->promises[i] =
            wait_with(c->parties[c->tracker_of[i]].tracker, documents[c->key_of[i]], c->target_of[i], timeout, signal);
    }
}

static void run_crowd(crowd *c, uint64_t *random)
{
    releaser releasers[RELEASERS];
    pthread_t threads[RELEASERS + 2 * TRACKERS + 2];
    size_t started = 0;
    for (size_t i = 0; i < RELEASERS; i++) {
        releasers[i] = (releaser){c, i, *random + 2 * i};
        threads[started++] = thread_start(release_many, &releasers[i]);
    }
    for (int t = 0; t < TRACKERS; t++) {
        threads[started++] = thread_start(update_many, &c->parties[t]);
        threads[started++] = thread_start(close_one, &c->parties[t]);
    }
    threads[started++] = thread_start(abort_once, c);
    threads[started++] = thread_start(abort_once, c);
    gate_open(&c->start);
    while (started > 0) {
        thread_join(threads[--started]);
    }
}

static void test_aborting_settling_closing_and_releasing_at_once(void **state)
{
    fixture *f = *state;
    uint64_t random = seed();
    uint64_t rounds = environment_number("CTRACK_STEPS", 30000) / 5000;
    size_t outcomes[32] = {0};
    for (uint64_t round = 0; round < rounds; round++) {
        crowd *c = calloc(1, sizeof *c);
        assert_non_null(c);
        f->extra = c;
        make_crowd(c, &random, f);
        run_crowd(c, &random);
        assert_false(atomic_load(&c->broken));
        assert_int_equal(atomic_load(&c->called), atomic_load(&c->accepted));
        ctrack_abort_signal_release(c->shared);
        ctrack_abort_signal_release(c->second);
        for (int t = 0; t < TRACKERS; t++) {
            gate_destroy(&c->parties[t].updated);
        }
        for (int i = 0; i < 32; i++) {
            outcomes[i] += atomic_load(&c->outcomes[i]);
        }
        gate_destroy(&c->start);
        f->extra = NULL;
        free(c);
    }
    print_message("awaited: %zu satisfied, %zu timed out, %zu aborted, %zu closed\n", outcomes[CTRACK_OK],
                  outcomes[CTRACK_TIMED_OUT], outcomes[CTRACK_ABORTED], outcomes[CTRACK_CLOSED]);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        TEST(test_the_wait_set_agrees_with_a_list_that_is_scanned),
        TEST_ON_FILE(test_several_foreign_commits_at_once_wake_whom_one_of_them_satisfied),
        TEST(test_aborting_settling_closing_and_releasing_at_once),
    };
    return SUPPORT_MAIN(argc, argv, "waits", tests, NULL);
}
