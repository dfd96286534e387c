/* SPDX-License-Identifier: MIT */
/*
 * Power cuts. A scenario runs once, and everything that is written to the database, to its write-ahead log and to its
 * rollback journal is recorded. Then, for each moment between two of these operations, images are made that a disk may
 * hold when the power fails: what was synced is there; of what was not, each write is there, or not, or in part, in
 * sectors of 512 or of 4096 bytes; a file that was removed may still be there until its directory is synced. Each image
 * must open, and hold what was acknowledged up to then.
 *
 * --images N makes so many for each moment, --seed N repeats a run, --scenario NAME runs one scenario, --part P --parts
 * N cuts every N-th moment. --lie 1 lets a sync do nothing: losses must be found then.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "check.h"
#include "fault.h"
#include "scenarios.h"
#include "shim.h"

enum { FILES = 3, EVENTS = 4000, FILE_MAX = 1 << 20 };
static const char *const suffixes[FILES] = {"", "-wal", "-journal"};

typedef struct record {
    shim_call call;
    int file;
    size_t offset, size;
    unsigned char *data;
    bool syncs_directory;
    ledger books; /* as they were at that moment */
} record;

static record records[EVENTS];
static size_t record_count;
static run current;
static bool directory_due[FILES]; /* the next sync of the file syncs the directory, too: it was opened as a new log */
static bool recording;

/* ---------------------------------------------------------------- recording */

static int file_of(const char *name)
{
    size_t length = strlen(current.path);
    for (int f = 0; name != NULL && strncmp(name, current.path, length) == 0 && f < FILES; f++) {
        if (strcmp(name + length, suffixes[f]) == 0) {
            return f;
        }
    }
    return -1;
}

static bool changes_disk(shim_call call)
{
    return call == SHIM_WRITE || call == SHIM_TRUNCATE || call == SHIM_SYNC || call == SHIM_DELETE;
}

static void add_record(shim_call call, int file, const shim_event *event)
{
    if (record_count == EVENTS) {
        fprintf(stderr, "a scenario writes more than can be recorded\n");
        abort();
    }
    record *r = &records[record_count++];
    *r = (record){.call = call, .file = file, .books = *current.books};
    if (event != NULL) {
        r->offset = (size_t)event->offset;
        r->size = (size_t)event->size;
        r->syncs_directory = event->synced != 0 || (call == SHIM_SYNC && directory_due[file]);
    }
    if (call == SHIM_WRITE) {
        r->data = malloc(r->size);
        memcpy(r->data, event->data, r->size);
    }
}

static void on_event(const shim_event *event)
{
    int file = recording ? file_of(event->name) : -1;
    if (file > 0 && event->call == SHIM_OPEN) {
        directory_due[file] = true;
    }
    if (file >= 0 && changes_disk(event->call)) {
        add_record(event->call, file, event);
        directory_due[file] = directory_due[file] && event->call != SHIM_SYNC;
    }
}

static void forget_records(void)
{
    for (size_t i = 0; i < record_count; i++) {
        free(records[i].data);
    }
    record_count = 0;
}

/* ---------------------------------------------------------------- disks */

typedef struct disk {
    struct {
        bool exists;
        size_t size;
        unsigned char *data;
    } files[FILES];
} disk;

static disk safe, image; /* what is surely there at a moment, and what may be */

static void write_part(disk *d, int file, size_t offset, const unsigned char *data, size_t size)
{
    if (offset + size > FILE_MAX) {
        abort();
    }
    if (offset > d->files[file].size) {
        memset(d->files[file].data + d->files[file].size, 0, offset - d->files[file].size);
    }
    memcpy(d->files[file].data + offset, data, size);
    d->files[file].size = offset + size > d->files[file].size ? offset + size : d->files[file].size;
    d->files[file].exists = true;
}

static void apply(disk *d, const record *r)
{
    if (r->call == SHIM_WRITE) {
        write_part(d, r->file, r->offset, r->data, r->size);
    } else if (r->call == SHIM_TRUNCATE && r->offset < d->files[r->file].size) {
        d->files[r->file].size = r->offset;
    } else if (r->call == SHIM_DELETE) {
        d->files[r->file].exists = false;
        d->files[r->file].size = 0;
    }
}

/* Some of the sectors of a write reach the disk. */
static void tear(disk *d, const record *r, size_t sector, unsigned long long *random)
{
    for (size_t at = 0; at < r->size;) {
        size_t end = (r->offset + at) / sector * sector + sector - r->offset;
        end = end < r->size ? end : r->size;
        if (fault_draw(random) % 2 == 0) {
            write_part(d, r->file, r->offset + at, r->data + at, end - at);
        }
        at = end;
    }
}

static void copy_disk(disk *to, const disk *from)
{
    for (int f = 0; f < FILES; f++) {
        to->files[f].exists = from->files[f].exists;
        to->files[f].size = from->files[f].size;
        memcpy(to->files[f].data, from->files[f].data, from->files[f].size);
    }
}

static void load_disk(disk *d)
{
    for (int f = 0; f < FILES; f++) {
        char name[320];
        snprintf(name, sizeof name, "%s%s", current.path, suffixes[f]);
        int descriptor = open(name, O_RDONLY | O_CLOEXEC);
        ssize_t size = descriptor >= 0 ? read(descriptor, d->files[f].data, FILE_MAX) : 0;
        d->files[f].exists = descriptor >= 0;
        d->files[f].size = (size_t)(size > 0 ? size : 0);
        close(descriptor);
    }
}

static void store_disk(const disk *d)
{
    char name[320];
    for (int f = 0; f < FILES; f++) {
        snprintf(name, sizeof name, "%s%s", current.path, suffixes[f]);
        unlink(name);
        if (!d->files[f].exists) {
            continue;
        }
        int descriptor = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        if (write(descriptor, d->files[f].data, d->files[f].size) != (ssize_t)d->files[f].size) {
            abort();
        }
        close(descriptor);
    }
    snprintf(name, sizeof name, "%s-shm", current.path);
    unlink(name);
}

/* ---------------------------------------------------------------- moments */

static size_t pending[EVENTS], pending_count; /* records that are done and not synced */

/* A moment passes: the record is done. */
static void pass(size_t position, bool lie)
{
    const record *done = &records[position];
    if (done->call != SHIM_SYNC) {
        pending[pending_count++] = position;
    } else if (lie) {
        return;
    }
    if (done->call != SHIM_SYNC && !(done->call == SHIM_DELETE && done->syncs_directory)) {
        return;
    }
    size_t kept = 0;
    for (size_t i = 0; i < pending_count; i++) {
        const record *r = &records[pending[i]];
        bool removal = r->call == SHIM_DELETE;
        if (removal ? done->syncs_directory : done->call == SHIM_SYNC && r->file == done->file) {
            apply(&safe, r);
        } else {
            pending[kept++] = pending[i];
        }
    }
    pending_count = kept;
}

/* Draws what became of the pending records. The first two images are simple: nothing of it, and all of it. */
static void draw_image(unsigned long number, unsigned long long *random)
{
    copy_disk(&image, &safe);
    size_t sector = fault_draw(random) % 2 == 0 ? 512 : 4096;
    for (size_t i = 0; i < pending_count && number > 0; i++) {
        const record *r = &records[pending[i]];
        unsigned long long fate = number == 1 ? 0 : fault_draw(random) % 3;
        if (fate == 0) {
            apply(&image, r);
        } else if (fate == 1 && r->call == SHIM_WRITE) {
            tear(&image, r, sector, random);
        }
    }
}

static unsigned long long hash_image(size_t position)
{
    unsigned long long hash = 1469598103934665603ULL ^ position;
    for (int f = 0; f < FILES; f++) {
        hash = (hash ^ (image.files[f].size * 2 + image.files[f].exists)) * 1099511628211ULL;
        for (size_t i = 0; i < image.files[f].size; i++) {
            hash = (hash ^ image.files[f].data[i]) * 1099511628211ULL;
        }
    }
    return hash;
}

static void check_image(const scenario *s, size_t position, unsigned long number, unsigned long long seed)
{
    static ledger books;
    books = records[position].books;
    books.copy_absent = true; /* an exported copy stands on no disk of ours: real_cuts cuts its power */
    current.books = &books;
    memset(current.trackers, 0, sizeof current.trackers);
    snprintf(current.place, sizeof current.place, "%s, operation %zu, image %lu, --seed %llu", s->name, position,
             number, seed);
    store_disk(&image);
    run_check_file(&current);
}

/* All images of a recorded scenario. */
static unsigned long cut(const scenario *s, unsigned long images, unsigned long long seed, bool lie)
{
    unsigned long checked = 0;
    unsigned long long random = seed * 2 + 1;
    pending_count = 0;
    for (size_t position = 0; position < record_count && !fault_enough(); position++) {
        unsigned long long seen[1000];
        size_t seen_count = 0;
        unsigned long most = !fault_is_mine(position) ? 0 : pending_count > 0 ? images : 1;
        for (unsigned long number = 0; number < most && number < 1000; number++) {
            draw_image(number, &random);
            unsigned long long hash = hash_image(position);
            size_t i = 0;
            while (i < seen_count && seen[i] != hash) {
                i++;
            }
            if (i < seen_count) {
                continue; /* as one before */
            }
            seen[seen_count++] = hash;
            check_image(s, position, number, seed);
            checked++;
        }
        pass(position, lie);
    }
    return checked;
}

/* Runs the scenario and records it. */
static void rehearse(const scenario *s, const char *directory)
{
    static ledger books;
    run_begin(&current, directory, s->kind, &books);
    snprintf(current.place, sizeof current.place, "%s", s->name);
    load_disk(&safe);
    memset(directory_due, 0, sizeof directory_due);
    recording = true;
    if (s->prepare != NULL) {
        s->prepare(&current);
    }
    s->act(&current);
    for (int t = 0; t < RUN_TRACKERS; t++) {
        if (current.trackers[t] != NULL) {
            run_close(&current, t);
        }
    }
    sqlite3_close(current.host);
    current.host = NULL;
    unlink(current.copy);
    recording = false;
    add_record(SHIM_CALLS, 0, NULL); /* the end: a moment, too */
}

int main(int argc, char **argv)
{
    fault_options(argc, argv);
    unsigned long checked = 0, images = (unsigned long)fault_option("images", 1000), moments = 0;
    unsigned long long seed = fault_option("seed", (unsigned long long)time(NULL));
    const char *only = fault_text("scenario", NULL);
    for (int f = 0; f < FILES; f++) {
        safe.files[f].data = malloc(FILE_MAX);
        image.files[f].data = malloc(FILE_MAX);
    }
    ledger_init_keys();
    shim_install();
    const char *directory = fault_directory();
    run_make_templates(directory);
    shim_hook(NULL, on_event);
    for (size_t i = 0; i < scenarios_count && !fault_enough(); i++) {
        if (scenarios[i].writes && (only == NULL || strcmp(only, scenarios[i].name) == 0)) {
            rehearse(&scenarios[i], directory);
            unsigned long count = cut(&scenarios[i], images, seed, fault_option("lie", 0) != 0);
            printf("  %-36s %4zu moments, %6lu images\n", scenarios[i].name, record_count, count);
            moments += record_count;
            checked += count;
            forget_records();
        }
    }
    fault_remove_directory();
    printf("  %lu moments, --seed %llu\n", moments, seed);
    return fault_report("power_cuts", checked, "disks on which the power has failed");
}
