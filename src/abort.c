/* SPDX-License-Identifier: MIT */
#include "abort.h"

#include <stdatomic.h>
#include <stddef.h>

#include "alloc.h"
#include "promise.h"
#include "sync.h"

struct ctrack_abort_signal {
    ct_mutex lock;
    ct_abort_link *first; /* lock */
    atomic_bool aborted;  /* written under the lock, once */
    atomic_uint refs;     /* the owner, and each promise that may still be aborted */
    unsigned generation;
};

ctrack_abort_signal *ctrack_abort_signal_new(void)
{
    ctrack_abort_signal *signal = ct_alloc_array(1, sizeof *signal);
    if (signal == NULL) {
        return NULL;
    }
    if (ct_mutex_init(&signal->lock) != 0) {
        ct_free(signal);
        return NULL;
    }
    atomic_init(&signal->refs, 1);
    signal->generation = ct_fork_generation();
    return signal;
}

bool ct_abort_is_ours(const ctrack_abort_signal *signal)
{
    return signal->generation == ct_fork_generation();
}

static void unref(ctrack_abort_signal *signal)
{
    if (atomic_fetch_sub_explicit(&signal->refs, 1, memory_order_acq_rel) == 1) {
        ct_mutex_destroy(&signal->lock);
        ct_free(signal);
    }
}

static void take_off(ct_abort_link *link)
{
    *link->place = link->next;
    if (link->next != NULL) {
        link->next->place = link->place;
    }
}

bool ct_abort_attach(ctrack_abort_signal *signal, ct_abort_link *link)
{
    ct_mutex_lock(&signal->lock);
    bool aborted = atomic_load_explicit(&signal->aborted, memory_order_relaxed);
    if (!aborted) {
        link->signal = signal;
        link->next = signal->first;
        link->place = &signal->first;
        if (link->next != NULL) {
            link->next->place = &link->next;
        }
        signal->first = link;
        atomic_fetch_add_explicit(&signal->refs, 1, memory_order_relaxed);
    }
    ct_mutex_unlock(&signal->lock);
    return !aborted;
}

void ct_abort_detach(ct_abort_link *link)
{
    ctrack_abort_signal *signal = link->signal;
    if (signal != NULL) {
        ct_mutex_lock(&signal->lock);
        take_off(link);
        ct_mutex_unlock(&signal->lock);
        link->signal = NULL;
        unref(signal);
    }
}

static ctrack_promise *promise_of(ct_abort_link *link)
{
    return (ctrack_promise *)((char *)link - offsetof(ctrack_promise, abort_link));
}

void ctrack_abort(ctrack_abort_signal *signal)
{
    if (signal == NULL || !ct_abort_is_ours(signal)) {
        return;
    }
    ct_mutex_lock(&signal->lock);
    atomic_store_explicit(&signal->aborted, true, memory_order_release);
    while (signal->first != NULL) {
        ctrack_promise *promise = promise_of(signal->first);
        ct_promise_ref(promise);
        ct_mutex_unlock(&signal->lock);
        ct_promise_settle(promise, CTRACK_ABORTED); /* whoever settles it takes it off the list, and has by now */
        ct_promise_unref(promise);
        ct_mutex_lock(&signal->lock);
    }
    ct_mutex_unlock(&signal->lock);
}

bool ctrack_abort_signal_aborted(const ctrack_abort_signal *signal)
{
    return signal != NULL && atomic_load_explicit(&signal->aborted, memory_order_acquire);
}

void ctrack_abort_signal_release(ctrack_abort_signal *signal)
{
    if (signal != NULL && ct_abort_is_ours(signal)) {
        unref(signal);
    }
}
