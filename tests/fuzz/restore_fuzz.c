/* SPDX-License-Identifier: MIT */
/*
 * Whatever a dump holds: it is refused if, and only if, it is not whole; a check says what the restore says; a dump
 * that is refused has changed nothing; one that is restored can be dumped and restored again, and a tracker in memory
 * makes of it what one on a file does.
 *
 * The first byte is the mode, the rest is a dump as fuzz_dump() makes it.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "dumpfmt.h"
#include "fuzz.h"

enum { INPUTS_OF_A_FILE = 500 };

static const ctrack_coordinate base[] = {{"doc-1", "document", "main", 5}, {"doc-2", "document", "draft", 7}};
enum { BASE = sizeof base / sizeof base[0] };

static ctrack *on_file, *in_memory;

static void must(ctrack_status status, const char *call, const ctrack_error *error)
{
    fuzz_require(status == CTRACK_OK, "%s is %s: %s", call, ctrack_status_name(status), error->message);
}

/* Every read model that a dump names gets its rows in the file, so it is made anew from time to time. */
static void open_trackers(void)
{
    static unsigned inputs;
    ctrack_error error;
    if (inputs++ % INPUTS_OF_A_FILE == 0) {
        must(ctrack_close(on_file, &error), "ctrack_close", &error);
        must(ctrack_close(in_memory, &error), "ctrack_close", &error);
        unlink(fuzz_path());
        must(ctrack_open(fuzz_path(), NULL, &on_file, &error), "ctrack_open", &error);
        must(ctrack_open(NULL, NULL, &in_memory, &error), "ctrack_open", &error);
    }
    must(ctrack_hydrate(on_file, base, BASE, &error), "ctrack_hydrate", &error);
    must(ctrack_hydrate(in_memory, base, BASE, &error), "ctrack_hydrate", &error);
}

static ctrack_status restore(ctrack *tracker, fuzz_text *text, unsigned mode)
{
    ctrack_error error = {CTRACK_OK, ""};
    text->at = 0;
    ctrack_status status = ctrack_restore(tracker, fuzz_read, text, "fuzz", (ctrack_restore_mode)mode, NULL, &error);
    fuzz_require(status == CTRACK_OK || (error.status == status && error.message[0] != '\0'), "%s without a message",
                 ctrack_status_name(status));
    fuzz_require(status == CTRACK_OK || status == CTRACK_FORMAT || status == CTRACK_MISUSE ||
                     (status == CTRACK_INVALID && tracker == in_memory),
                 "it is refused with %s: %s", ctrack_status_name(status), error.message);
    return status;
}

static ctrack_snapshot *progress(ctrack *tracker)
{
    ctrack_snapshot *snapshot = NULL;
    ctrack_error error;
    must(ctrack_serialize(tracker, &snapshot, &error), "ctrack_serialize", &error);
    fuzz_require_sound(snapshot);
    return snapshot;
}

static void require_base(ctrack *tracker)
{
    ctrack_snapshot *snapshot = progress(tracker);
    const ctrack_coordinate *entries = ctrack_snapshot_entries(snapshot);
    fuzz_require(ctrack_snapshot_count(snapshot) == BASE, "a dump that is refused has changed something");
    for (size_t i = 0; i < BASE; i++) {
        fuzz_require(strcmp(entries[i].document_id, base[i].document_id) == 0 &&
                         entries[i].operation_index == base[i].operation_index,
                     "a dump that is refused has changed %s", base[i].document_id);
    }
    ctrack_snapshot_free(snapshot);
}

static void require_same_progress(void)
{
    ctrack_snapshot *a = progress(on_file), *b = progress(in_memory);
    fuzz_require_same(a, b);
    ctrack_snapshot_free(a);
    ctrack_snapshot_free(b);
}

static fuzz_text dump(ctrack *tracker)
{
    fuzz_text text = {NULL, 0, 0, 0};
    ctrack_error error;
    must(ctrack_dump(tracker, NULL, fuzz_write, &text, &error), "ctrack_dump", &error);
    return text;
}

static void require_round_trip(void)
{
    fuzz_text first = dump(on_file);
    fuzz_require(restore(on_file, &first, CTRACK_RESTORE_REPLACE) == CTRACK_OK, "what was restored is refused");
    fuzz_text second = dump(on_file);
    fuzz_require(first.length == second.length && memcmp(first.bytes, second.bytes, first.length) == 0,
                 "the second dump is another");
    fuzz_text_free(&first);
    fuzz_text_free(&second);
}

/* Whether it is a dump from its beginning to its end. */
static bool is_a_dump(fuzz_text *text)
{
    ct_dump_reader *reader = NULL;
    const ct_dump_row *row = NULL;
    text->at = 0;
    ctrack_status status = ct_dump_reader_open(&reader, fuzz_read, text, "fuzz", NULL);
    while (status == CTRACK_OK && (status = ct_dump_reader_next(reader, &row, NULL)) == CTRACK_OK && row != NULL) {
    }
    ct_dump_reader_free(reader);
    return status == CTRACK_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    unsigned mode = data[0] % 3;
    fuzz_text text = fuzz_dump(data + 1, size - 1);
    open_trackers();
    ctrack_status checked = restore(on_file, &text, mode | CTRACK_RESTORE_CHECK);
    ctrack_status status = restore(on_file, &text, mode);
    fuzz_require(checked == status, "the check is %s, the restore %s", ctrack_status_name(checked),
                 ctrack_status_name(status));
    fuzz_require(is_a_dump(&text) != (status == CTRACK_FORMAT), "the restore is %s, the reader thinks otherwise",
                 ctrack_status_name(status));
    ctrack_status beside = restore(in_memory, &text, mode);
    if (status != CTRACK_OK) {
        require_base(on_file);
        fuzz_require((beside == CTRACK_FORMAT) == (status == CTRACK_FORMAT), "in memory it is %s",
                     ctrack_status_name(beside));
    }
    if (beside != CTRACK_OK) {
        require_base(in_memory);
    }
    bool array = text.length > 0 && text.bytes[0] != '{';
    if (status == CTRACK_OK && beside == CTRACK_OK && array) {
        require_same_progress();
    }
    if (status == CTRACK_OK) {
        require_round_trip();
    }
    fuzz_text_free(&text);
    return 0;
}
