/* SPDX-License-Identifier: MIT */
/* ctrack_dump() and ctrack_restore(): what is written is what there is, and what is read is applied whole or not at
 * all.
 */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "support.h"

/* ---------------------------------------------------------------- text in memory */

typedef struct text {
    char *bytes; /* with a NUL behind them */
    size_t length, capacity, at;
    size_t step; /* a read gives at most so many; 0: no limit */
    int problem; /* what reading or writing fails with from the second call on; 0: it does not */
    size_t calls;
} text;

static int write_text(const void *data, size_t size, void *argument)
{
    text *t = argument;
    if (t->calls++ > 0 && t->problem != 0) {
        return t->problem;
    }
    if (t->length + size + 1 > t->capacity) {
        t->capacity = (t->length + size + 1) * 2;
        t->bytes = realloc(t->bytes, t->capacity);
        if (t->bytes == NULL) {
            abort();
        }
    }
    memcpy(t->bytes + t->length, data, size);
    t->length += size;
    t->bytes[t->length] = '\0';
    return 0;
}

static int read_text(void *data, size_t size, size_t *got, void *argument)
{
    text *t = argument;
    if (t->calls++ > 0 && t->problem != 0) {
        return t->problem;
    }
    size_t left = t->length - t->at;
    *got = left < size ? left : size;
    *got = t->step > 0 && t->step < *got ? t->step : *got;
    memcpy(data, t->bytes + t->at, *got);
    t->at += *got;
    return 0;
}

static text from(const char *bytes)
{
    text t = {0};
    write_text(bytes, strlen(bytes), &t);
    t.calls = 0;
    return t;
}

static text dump_of(ctrack *tracker, const char *read_model)
{
    text t = {0};
    ctrack_error error = {CTRACK_OK, ""};
    if (ctrack_dump(tracker, read_model, write_text, &t, &error) != CTRACK_OK) {
        fail_msg("dump: %s", error.message);
    }
    return t;
}

static ctrack_status restore_text(ctrack *tracker, text *t, unsigned mode, size_t *restored, ctrack_error *error)
{
    t->at = t->calls = 0;
    return ctrack_restore(tracker, read_text, t, "in", (ctrack_restore_mode)mode, restored, error);
}

static void restore_well(ctrack *tracker, text *t, unsigned mode)
{
    ctrack_error error = {CTRACK_OK, ""};
    if (restore_text(tracker, t, mode, NULL, &error) != CTRACK_OK) {
        fail_msg("restore: %s", error.message);
    }
}

static void remove_database(const fixture *f)
{
    static const char *const endings[] = {"", "-wal", "-shm"};
    for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++) {
        char name[300];
        snprintf(name, sizeof name, "%s%s", f->path, endings[i]);
        unlink(name);
    }
}

static void assert_same_text(const text *a, const text *b)
{
    assert_int_equal(a->length, b->length);
    assert_memory_equal(a->bytes, b->bytes, a->length);
}

#define HEAD "{\"ctrackDump\":1,\"readModels\":[\"default\"]}\n"

/* ---------------------------------------------------------------- anything that can be dumped */

static uint64_t random_state;

static uint64_t random_below(uint64_t limit)
{
    uint64_t z = random_state += UINT64_C(0x9e3779b97f4a7c15); /* splitmix64 */
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (z ^ (z >> 31)) % limit;
}

/* A text of characters of every kind: what JSON, key texts and terminals care for, and each plane of Unicode. */
static char *random_text(size_t most)
{
    static const char *const characters[] = {"a",
                                             "b",
                                             "7",
                                             ":",
                                             "\\",
                                             "\"",
                                             "\n",
                                             "\r",
                                             "\t",
                                             "\x01",
                                             "\x1F",
                                             "\x7F",
                                             " ",
                                             "/",
                                             "'",
                                             "%",
                                             "\xC2\x80",
                                             "\xC3\xA4",
                                             "\xDF\xBF",
                                             "\xE0\xA0\x80",
                                             "\xE2\x80\xAE",
                                             "\xED\x9F\xBF",
                                             "\xEE\x80\x80",
                                             "\xEF\xBF\xBF"};
    enum { CHARACTERS = sizeof characters / sizeof characters[0] };
    char *made = malloc(most + 1), *to = made;
    assert_non_null(made);
    while ((size_t)(to - made) + 4 <= most) {
        if (random_below(4) > 0) {
            const char *from = characters[random_below(CHARACTERS)];
            memcpy(to, from, strlen(from));
            to += strlen(from);
        } else {
            unsigned point = 0x10000 + (unsigned)random_below(0x100000); /* planes 1 to 16 */
            *to++ = (char)(0xF0 | point >> 18);
            *to++ = (char)(0x80 | (point >> 12 & 0x3F));
            *to++ = (char)(0x80 | (point >> 6 & 0x3F));
            *to++ = (char)(0x80 | (point & 0x3F));
        }
    }
    while ((size_t)(to - made) < most) {
        *to++ = 'x';
    }
    *to = '\0';
    return made;
}

enum { MODELS = 3, SPACES = 3, DOCUMENTS = 60, STEPS = 60, LONG_DOCUMENTS = 2, BATCH = 20 };

typedef struct world {
    char *models[MODELS], *scopes[SPACES], *branches[SPACES], *documents[DOCUMENTS];
    ctrack *trackers[MODELS];
} world;

static void make_world(world *w, const fixture *f)
{
    for (int i = 0; i < SPACES; i++) {
        w->scopes[i] = random_text(i == 0 ? 0 : 6); /* texts of one length, and an empty one, are easily mixed up */
        w->branches[i] = random_text(i == 0 ? CTRACK_TEXT_MAX : 6);
    }
    for (int i = 0; i < DOCUMENTS; i++) {
        w->documents[i] = random_text(i < LONG_DOCUMENTS ? CTRACK_TEXT_MAX : (size_t)random_below(30));
    }
    for (int i = 0; i < MODELS; i++) {
        w->models[i] = random_text(i == 0 ? 0 : 8);
        w->trackers[i] = open_model(f->path, w->models[i]);
    }
}

static void end_world(world *w)
{
    for (int i = 0; i < MODELS; i++) {
        close_tracker(&w->trackers[i]);
        free(w->models[i]);
    }
    for (int i = 0; i < SPACES; i++) {
        free(w->scopes[i]);
        free(w->branches[i]);
    }
    for (int i = 0; i < DOCUMENTS; i++) {
        free(w->documents[i]);
    }
}

static ctrack_coordinate random_coordinate(const world *w)
{
    return coordinate(w->documents[random_below(DOCUMENTS)], w->scopes[random_below(SPACES)],
                      w->branches[random_below(SPACES)],
                      random_below(10) == 0 ? INT64_MAX : (int64_t)random_below(1000));
}

/* Mostly updates, which stand in the log; now and then progress is taken back, for which all of it is folded. */
static void random_step(const world *w)
{
    ctrack *tracker = w->trackers[random_below(MODELS)];
    ctrack_coordinate batch[BATCH];
    ctrack_error error = {CTRACK_OK, ""};
    size_t count = (size_t)random_below(BATCH + 1);
    uint64_t what = random_below(10);
    for (size_t i = 0; i < count; i++) {
        batch[i] = random_coordinate(w);
    }
    if (what == 0) {
        assert_status(ctrack_hydrate(tracker, batch, count, &error), CTRACK_OK);
    } else if (what == 1 && count > 0) {
        const ctrack_key key = {batch[0].document_id, batch[0].scope, batch[0].branch};
        assert_status(ctrack_forget(tracker, &key, 1, &error), CTRACK_OK);
    } else {
        assert_status(ctrack_update(tracker, batch, count, &error), CTRACK_OK);
    }
}

/* Restores a dump of all read models, and compares both what it says and what it holds. */
static void check_round_trip(const fixture *f, const world *w, unsigned mode)
{
    char path[300];
    text first = dump_of(w->trackers[0], NULL);
    first.step = (size_t)random_below(5000);
    ctrack *copy = open_model(path_in(f, "copy.db", path), w->models[MODELS - 1]);
    restore_well(copy, &first, mode);
    text second = dump_of(copy, NULL);
    assert_same_text(&first, &second);
    assert_same_progress(copy, w->trackers[MODELS - 1]);
    close_tracker(&copy);
    for (int i = 0; i < MODELS; i++) {
        ctrack *again = open_model(path, w->models[i]);
        assert_same_progress(again, w->trackers[i]);
        close_tracker(&again);
    }
    unlink(path);
    free(first.bytes);
    free(second.bytes);
}

static void test_any_progress_survives_a_dump_and_a_restore_byte_for_byte(void **state)
{
    fixture *f = *state;
    uint64_t seed = environment_number("CTRACK_SEED", (uint64_t)now_ns());
    print_message("seed %llu: CTRACK_SEED repeats it\n", (unsigned long long)seed);
    random_state = seed;
    world w;
    make_world(&w, f);
    for (int step = 0; step < STEPS; step++) {
        random_step(&w);
        if (step % 10 == 9) {
            check_round_trip(f, &w, (unsigned)random_below(CTRACK_RESTORE_REPLACE + 1));
        }
    }
    end_world(&w);
}

static void test_a_dump_does_not_depend_on_what_is_folded(void **state)
{
    fixture *f = *state;
    char path[300];
    const ctrack_coordinate before[] = {at("a", 5), at("c", 1), at("d", 7), coordinate("b", "z", "z", 1)};
    const ctrack_coordinate behind[] = {at("a", 4), at("b", 2), at("c", 3), coordinate("a", "a", "a", 1)};
    const ctrack_key none = key("x");
    ctrack *other = open_file(path_in(f, "other.db", path));
    for (int i = 0; i < 2; i++) {
        ctrack *tracker = i == 0 ? f->tracker : other;
        assert_status(ctrack_update(tracker, before, 4, NULL), CTRACK_OK);
        if (i == 0) {
            update(tracker, "x", 0);
            assert_status(ctrack_forget(tracker, &none, 1, NULL), CTRACK_OK); /* which folds */
        }
        assert_status(ctrack_update(tracker, behind, 4, NULL), CTRACK_OK);
    }
    assert_int_not_equal(db_integer_once(f->path, "SELECT count(*) FROM ctrack_latest"), 0);
    assert_int_equal(db_integer_once(path, "SELECT count(*) FROM ctrack_latest"), 0);
    text folded = dump_of(f->tracker, NULL), log = dump_of(other, NULL);
    assert_same_text(&folded, &log);
    const char *expected =
        HEAD "{\"readModel\":\"default\",\"documentId\":\"a\",\"scope\":\"a\",\"branch\":\"a\",\"operationIndex\":1}\n"
             "{\"readModel\":\"default\",\"documentId\":\"a\",\"scope\":\"document\",\"branch\":\"main\","
             "\"operationIndex\":5}\n"
             "{\"readModel\":\"default\",\"documentId\":\"b\",\"scope\":\"document\",\"branch\":\"main\","
             "\"operationIndex\":2}\n"
             "{\"readModel\":\"default\",\"documentId\":\"c\",\"scope\":\"document\",\"branch\":\"main\","
             "\"operationIndex\":3}\n"
             "{\"readModel\":\"default\",\"documentId\":\"d\",\"scope\":\"document\",\"branch\":\"main\","
             "\"operationIndex\":7}\n"
             "{\"readModel\":\"default\",\"documentId\":\"b\",\"scope\":\"z\",\"branch\":\"z\",\"operationIndex\":1}\n"
             "{\"count\":6,";
    assert_memory_equal(folded.bytes, expected, strlen(expected));
    ctrack *memory = open_in_memory();
    restore_well(memory, &folded, CTRACK_RESTORE_EMPTY);
    text again = dump_of(memory, NULL);
    assert_same_text(&folded, &again);
    close_tracker(&memory);
    close_tracker(&other);
    free(folded.bytes);
    free(log.bytes);
    free(again.bytes);
}

/* On a machine of 32 bits, too, and on a big-endian one. */
static void test_a_dump_has_the_same_bytes_on_every_machine(void **state)
{
    fixture *f = *state;
    update(f->tracker, "doc-7", 12);
    update(f->tracker, "\xc3\xa9", INT64_MAX);
    text t = dump_of(f->tracker, "default");
    assert_string_equal(t.bytes, HEAD "{\"readModel\":\"default\",\"documentId\":\"doc-7\",\"scope\":\"document\","
                                      "\"branch\":\"main\",\"operationIndex\":12}\n"
                                      "{\"readModel\":\"default\",\"documentId\":\"\xc3\xa9\",\"scope\":\"document\","
                                      "\"branch\":\"main\",\"operationIndex\":9223372036854775807}\n"
                                      "{\"count\":2,\"xxh3\":\"61d7666a1e2d8b9d\"}\n");
    free(t.bytes);
}

static void test_a_dump_of_no_read_model_changes_nothing(void **state)
{
    fixture *f = *state;
    update(f->tracker, "a", 1);
    text nothing = from("{\"ctrackDump\":1,\"readModels\":[]}\n{\"count\":0,\"xxh3\":\"f1a8a9481c14661a\"}\n");
    restore_well(f->tracker, &nothing, CTRACK_RESTORE_REPLACE);
    assert_int_equal(latest(f->tracker, "a"), 1);
    free(nothing.bytes);
}

static void test_a_read_model_without_progress_survives_too(void **state)
{
    fixture *f = *state;
    char path[300];
    const ctrack_key a = key("a");
    update(f->tracker, "a", 1);
    assert_status(ctrack_forget(f->tracker, &a, 1, NULL), CTRACK_OK);
    text first = dump_of(f->tracker, NULL);
    assert_contains(first.bytes, HEAD "{\"count\":0,");
    ctrack *copy = open_model(path_in(f, "copy.db", path), "default");
    restore_well(copy, &first, CTRACK_RESTORE_EMPTY);
    text second = dump_of(copy, NULL);
    assert_same_text(&first, &second);
    /* And replacing by it takes progress away. */
    update(copy, "b", 1);
    restore_well(copy, &first, CTRACK_RESTORE_REPLACE);
    assert_int_equal(entry_count(copy), 0);
    close_tracker(&copy);
    free(first.bytes);
    free(second.bytes);
}

static void test_a_dump_of_one_read_model_has_that_one_only(void **state)
{
    fixture *f = *state;
    ctrack *search = open_model(f->path, "search");
    update(f->tracker, "a", 1);
    update(search, "b", 2);
    text t = dump_of(f->tracker, "search");
    assert_contains(t.bytes, "{\"ctrackDump\":1,\"readModels\":[\"search\"]}\n");
    assert_contains(t.bytes, "{\"count\":1,");
    assert_contains(t.bytes, "\"documentId\":\"b\"");
    free(t.bytes);
    t = dump_of(f->tracker, "nobody");
    assert_contains(t.bytes, "{\"ctrackDump\":1,\"readModels\":[]}\n{\"count\":0,");
    free(t.bytes);
    close_tracker(&search);
}

/* An update between the pieces of a dump is not in it. */
typedef struct bystander {
    text text;
    ctrack *tracker;
} bystander;

static int write_and_update(const void *data, size_t size, void *argument)
{
    bystander *b = argument;
    const ctrack_coordinate late[] = {at("0", 1), at("doc-1", 1000), at("zzz", 1)};
    if (b->text.calls == 0 && ctrack_update(b->tracker, late, 3, NULL) != CTRACK_OK) {
        return EIO;
    }
    return write_text(data, size, &b->text);
}

static void test_a_dump_is_of_one_moment(void **state)
{
    fixture *f = *state;
    ctrack_coordinate many[3000];
    char names[3000][16];
    for (int i = 0; i < 3000; i++) {
        snprintf(names[i], sizeof names[i], "doc-%d", i);
        many[i] = at(names[i], i);
    }
    assert_status(ctrack_update(f->tracker, many, 3000, NULL), CTRACK_OK);
    text before = dump_of(f->tracker, NULL);
    bystander b = {.tracker = f->tracker};
    assert_status(ctrack_dump(f->tracker, NULL, write_and_update, &b, &f->error), CTRACK_OK);
    assert_true(b.text.calls > 2);
    assert_int_equal(latest(f->tracker, "zzz"), 1);
    assert_same_text(&before, &b.text);
    free(before.bytes);
    free(b.text.bytes);
}

static void test_a_write_that_fails_is_an_io_error(void **state)
{
    fixture *f = *state;
    update(f->tracker, "a", 1);
    text t = {.problem = ENOSPC};
    assert_status(ctrack_dump(f->tracker, NULL, write_text, &t, &f->error), CTRACK_IO);
    assert_string_equal(f->error.message, "dump: writing failed: No space left on device");
    assert_null(strstr(t.bytes, "count"));
    free(t.bytes);
    assert_status(ctrack_dump(f->tracker, NULL, NULL, NULL, &f->error), CTRACK_INVALID);
}

/* ---------------------------------------------------------------- modes */

static void test_what_is_there_is_only_merged_or_replaced_when_told(void **state)
{
    fixture *f = *state;
    update(f->tracker, "a", 5);
    update(f->tracker, "b", 5);
    text t = from("[[\"a:document:main\",7],[\"b:document:main\",3],[\"c:document:main\",1]]");
    size_t restored = 77;
    assert_status(restore_text(f->tracker, &t, CTRACK_RESTORE_EMPTY, &restored, &f->error), CTRACK_MISUSE);
    assert_contains(f->error.message, "has progress already: merge or replace it");
    assert_int_equal(restored, 77);
    assert_int_equal(latest(f->tracker, "c"), NEVER_SEEN);
    assert_status(restore_text(f->tracker, &t, CTRACK_RESTORE_MERGE, &restored, &f->error), CTRACK_OK);
    assert_int_equal(restored, 3);
    assert_int_equal(latest(f->tracker, "a"), 7);
    assert_int_equal(latest(f->tracker, "b"), 5);
    assert_int_equal(latest(f->tracker, "c"), 1);
    update(f->tracker, "d", 5);
    assert_status(restore_text(f->tracker, &t, CTRACK_RESTORE_REPLACE, &restored, &f->error), CTRACK_OK);
    assert_int_equal(latest(f->tracker, "b"), 3);
    assert_int_equal(latest(f->tracker, "d"), NEVER_SEEN);
    assert_int_equal(entry_count(f->tracker), 3);
    free(t.bytes);
}

/* What stood in the log before a merge, or is of another read model, is not lost with it. */
static void test_a_restore_keeps_what_the_log_holds(void **state)
{
    fixture *f = *state;
    ctrack *search = open_model(f->path, "search");
    text lower = from("[[\"a:document:main\",3]]");
    for (unsigned mode = CTRACK_RESTORE_MERGE; mode <= CTRACK_RESTORE_REPLACE; mode++) {
        update(f->tracker, "a", 5);
        update(f->tracker, "b", 5);
        update(search, "a", 5 + (int64_t)mode);
        restore_well(f->tracker, &lower, mode);
        reopen(f);
        assert_int_equal(latest(f->tracker, "a"), mode == CTRACK_RESTORE_MERGE ? 5 : 3);
        assert_int_equal(latest(f->tracker, "b"), mode == CTRACK_RESTORE_MERGE ? 5 : NEVER_SEEN);
        close_tracker(&search);
        search = open_model(f->path, "search");
        assert_int_equal(latest(search, "a"), 5 + (int64_t)mode);
    }
    close_tracker(&search);
    free(lower.bytes);
}

static void test_a_check_says_what_the_restore_would_and_changes_nothing(void **state)
{
    fixture *f = *state;
    text t = from("[[\"a:document:main\",7]]"), bad = from("[[\"a:document:main\",-7]]");
    size_t restored = 0;
    assert_status(restore_text(f->tracker, &t, CTRACK_RESTORE_CHECK, &restored, &f->error), CTRACK_OK);
    assert_int_equal(restored, 1);
    assert_int_equal(entry_count(f->tracker), 0);
    update(f->tracker, "b", 5);
    assert_status(restore_text(f->tracker, &t, CTRACK_RESTORE_CHECK, NULL, &f->error), CTRACK_MISUSE);
    assert_status(restore_text(f->tracker, &t, CTRACK_RESTORE_CHECK | CTRACK_RESTORE_MERGE, NULL, &f->error),
                  CTRACK_OK);
    assert_status(restore_text(f->tracker, &t, CTRACK_RESTORE_CHECK | CTRACK_RESTORE_REPLACE, NULL, &f->error),
                  CTRACK_OK);
    assert_status(restore_text(f->tracker, &bad, CTRACK_RESTORE_CHECK | CTRACK_RESTORE_MERGE, NULL, &f->error),
                  CTRACK_FORMAT);
    assert_int_equal(entry_count(f->tracker), 1);
    assert_int_equal(latest(f->tracker, "b"), 5);
    assert_status(restore_text(f->tracker, &t, 3, NULL, &f->error), CTRACK_INVALID);
    assert_status(restore_text(f->tracker, &t, 8, NULL, &f->error), CTRACK_INVALID);
    free(t.bytes);
    free(bad.bytes);
}

/* Progress is progress, wherever the file has it. */
static void test_a_lower_index_in_the_log_is_not_dumped(void **state)
{
    fixture *f = *state;
    const ctrack_key x = key("x");
    update(f->tracker, "a", 5);
    update(f->tracker, "x", 5);
    assert_status(ctrack_forget(f->tracker, &x, 1, NULL), CTRACK_OK); /* folds everything */
    db_run_once(f->path, "INSERT INTO ctrack_progress (read_model, document_id, scope, branch, operation_index) "
                         "VALUES ('default', 'a', 'document', 'main', 4)");
    text dumped = dump_of(f->tracker, NULL);
    ctrack *copy = open_in_memory();
    restore_well(copy, &dumped, CTRACK_RESTORE_EMPTY);
    assert_int_equal(latest(copy, "a"), 5);
    close_tracker(&copy);
    free(dumped.bytes);
}

static void test_folded_progress_and_progress_in_the_log_are_not_overlooked(void **state)
{
    fixture *f = *state;
    const ctrack_key x = key("x");
    text t = from("[[\"a:document:main\",7]]");
    update(f->tracker, "b", 5);
    assert_int_equal(db_integer_once(f->path, "SELECT count(*) FROM ctrack_latest"), 0);
    for (unsigned check = 0; check <= CTRACK_RESTORE_CHECK; check += CTRACK_RESTORE_CHECK) {
        assert_status(restore_text(f->tracker, &t, check, NULL, NULL), CTRACK_MISUSE);
    }
    update(f->tracker, "x", 5);
    assert_status(ctrack_forget(f->tracker, &x, 1, NULL), CTRACK_OK);
    assert_int_equal(db_integer_once(f->path, "SELECT count(*) FROM ctrack_latest"), 1);
    for (unsigned check = 0; check <= CTRACK_RESTORE_CHECK; check += CTRACK_RESTORE_CHECK) {
        assert_status(restore_text(f->tracker, &t, check, NULL, NULL), CTRACK_MISUSE);
    }
    /* What was all forgotten is no progress. */
    const ctrack_key b = key("b");
    assert_status(ctrack_forget(f->tracker, &b, 1, NULL), CTRACK_OK);
    restore_well(f->tracker, &t, CTRACK_RESTORE_EMPTY);
    assert_int_equal(latest(f->tracker, "a"), 7);
    free(t.bytes);
}

static void test_a_restore_touches_the_read_models_of_its_header_only(void **state)
{
    fixture *f = *state;
    ctrack *search = open_model(f->path, "search"), *third = open_model(f->path, "third");
    update(f->tracker, "a", 1);
    update(search, "b", 2);
    text both = dump_of(f->tracker, NULL), one = dump_of(f->tracker, "search");
    update(f->tracker, "a", 9);
    update(search, "b", 9);
    update(third, "c", 9);
    restore_well(f->tracker, &one, CTRACK_RESTORE_REPLACE); /* through a tracker of another read model */
    assert_int_equal(latest(f->tracker, "a"), 9);
    assert_status(ctrack_refresh(search, NULL), CTRACK_OK);
    assert_int_equal(latest(search, "b"), 2);
    restore_well(search, &both, CTRACK_RESTORE_REPLACE);
    assert_status(ctrack_refresh(f->tracker, NULL), CTRACK_OK);
    assert_int_equal(latest(f->tracker, "a"), 1);
    assert_status(ctrack_refresh(third, NULL), CTRACK_OK);
    assert_int_equal(latest(third, "c"), 9);
    close_tracker(&search);
    close_tracker(&third);
    free(both.bytes);
    free(one.bytes);
}

static void test_a_tracker_in_memory_takes_one_read_model(void **state)
{
    fixture *f = *state;
    char path[300];
    ctrack *a = open_model(path_in(f, "two.db", path), "a"), *b = open_model(path, "b");
    update(a, "x", 1);
    update(b, "y", 2);
    text both = dump_of(a, NULL), one = dump_of(a, "b");
    assert_status(restore_text(f->tracker, &both, CTRACK_RESTORE_MERGE, NULL, &f->error), CTRACK_INVALID);
    assert_string_equal(f->error.message, "a tracker in memory holds one read model, the dump has 2");
    restore_well(f->tracker, &one, CTRACK_RESTORE_EMPTY);
    assert_int_equal(latest(f->tracker, "y"), 2);
    text again = dump_of(f->tracker, NULL);
    assert_contains(again.bytes, "\"readModels\":[\"default\"]");
    assert_status(ctrack_dump(f->tracker, "b", write_text, &again, &f->error), CTRACK_INVALID);
    close_tracker(&a);
    close_tracker(&b);
    free(both.bytes);
    free(one.bytes);
    free(again.bytes);
}

/* ---------------------------------------------------------------- who waits, and who follows */

static void test_a_restore_is_durable_and_wakes(void **state)
{
    fixture *f = *state;
    text t = from("[[\"a:document:main\",7]]");
    ctrack_promise *reached = wait_for(f->tracker, "a", 7), *not_yet = wait_for(f->tracker, "a", 8);
    restore_well(f->tracker, &t, CTRACK_RESTORE_EMPTY);
    assert_status(ctrack_promise_await(reached), CTRACK_OK);
    assert_status(ctrack_promise_status(not_yet), CTRACK_PENDING);
    update(f->tracker, "a", 8);
    assert_status(ctrack_promise_await(not_yet), CTRACK_OK);
    if (f->path[0] != '\0' && file_exists(f->path)) {
        reopen(f);
        assert_int_equal(latest(f->tracker, "a"), 8);
    }
    ctrack_promise_release(reached);
    ctrack_promise_release(not_yet);
    free(t.bytes);
}

/* A wait for two keys, one of them reached: replacing takes that one back, and a merge then brings both. */
static void test_a_restore_wakes_and_rewinds_other_trackers(void **state)
{
    fixture *f = *state;
    ctrack *other = open_file(f->path);
    update(f->tracker, "a", 5);
    const ctrack_coordinate both[] = {at("a", 5), at("b", 3)};
    ctrack_promise *promise = wait_for_all(other, both, 2), *seen = wait_for(other, "c", 1);
    text replaced = from("[[\"a:document:main\",1],[\"b:document:main\",3],[\"c:document:main\",1]]"),
         merged = from("[[\"a:document:main\",6],[\"b:document:main\",2]]");
    restore_well(f->tracker, &replaced, CTRACK_RESTORE_REPLACE);
    assert_status(ctrack_promise_await(seen), CTRACK_OK); /* it follows */
    assert_int_equal(latest(other, "a"), 1);
    assert_status(ctrack_promise_status(promise), CTRACK_PENDING);
    restore_well(f->tracker, &merged, CTRACK_RESTORE_MERGE);
    assert_status(ctrack_promise_await(promise), CTRACK_OK);
    assert_same_progress(f->tracker, other);
    /* And what follows the restore is followed, too. */
    update(other, "d", 1);
    assert_status(ctrack_refresh(f->tracker, NULL), CTRACK_OK);
    assert_same_progress(f->tracker, other);
    ctrack_promise_release(promise);
    ctrack_promise_release(seen);
    close_tracker(&other);
    free(replaced.bytes);
    free(merged.bytes);
}

/* More rows than are folded at a time, whose documents another tracker updates at once. */
static void test_a_large_restore_is_one_step(void **state)
{
    fixture *f = *state;
    enum { ROWS = 70000 };
    text t = {0};
    char row[80];
    for (int i = 0; i < ROWS; i++) {
        int length = snprintf(row, sizeof row, "%s[\"%d:s%d:b\",%d]", i == 0 ? "[" : ",", i * 7919 % ROWS, i % 3, i);
        write_text(row, (size_t)length, &t);
    }
    write_text("]", 1, &t);
    restore_well(f->tracker, &t, CTRACK_RESTORE_EMPTY);
    assert_int_equal(entry_count(f->tracker), ROWS);
    text first = dump_of(f->tracker, NULL);
    ctrack *other = open_file(f->path);
    assert_same_progress(f->tracker, other);
    restore_well(other, &first, CTRACK_RESTORE_MERGE);
    restore_well(other, &first, CTRACK_RESTORE_REPLACE);
    text second = dump_of(other, NULL);
    assert_same_text(&first, &second);
    close_tracker(&other);
    free(t.bytes);
    free(first.bytes);
    free(second.bytes);
}

/* A few rows with long documents are folded before they are many. */
static void test_a_restore_of_long_documents_takes_all_of_them(void **state)
{
    fixture *f = *state;
    enum { ROWS = 100 };
    text t = {0};
    char *filler = repeated('x', 60000), end[20];
    for (int i = 0; i < ROWS; i++) {
        write_text(i == 0 ? "[[\"" : ",[\"", 3, &t);
        write_text(filler, 60000, &t);
        write_text(end, (size_t)snprintf(end, sizeof end, "%d:s:b\",%d]", i, i), &t);
    }
    write_text("]", 1, &t);
    restore_well(f->tracker, &t, CTRACK_RESTORE_EMPTY);
    assert_int_equal(entry_count(f->tracker), ROWS);
    free(filler);
    free(t.bytes);
}

/* ---------------------------------------------------------------- refusals */

#define ROW(document, index) \
    "{\"readModel\":\"default\",\"documentId\":\"" document \
    "\",\"scope\":\"s\",\"branch\":\"b\",\"operationIndex\":" index "}\n"
#define CLOSING "{\"count\":1,\"xxh3\":\"0000000000000000\"}\n"

/* Whatever is refused leaves the file byte for byte, and nobody wakes. */
static void test_input_that_is_refused_changes_nothing(void **state)
{
    fixture *f = *state;
    static const struct {
        const char *input, *message;
    } cases[] = {
        {"", "in:1: the input is empty"},
        {"\x7F"
         "ELF\x02\x01\x01",
         "in:1: this is not a dump"},
        {"{\"ctrackDump\":2,\"readModels\":[\"default\"]}\n", "in:1: ctrackDump is 2, but only version 1 is known"},
        {HEAD ROW("a", "1"), "in:3: the closing line is missing: the dump is truncated"},
        {HEAD ROW("a", "1") "{\"count\":1", "in:3: the line has no end: the dump is truncated"},
        {HEAD ROW("a", "1") CLOSING, "in:3: xxh3 is \"0000000000000000\", but the lines before have"},
        {HEAD ROW("a", "1") ROW("b", "1") CLOSING, "in:4: count is 1, but there are 2 rows"},
        {HEAD ROW("b", "1") ROW("a", "1"), "in:3: the row is not in its place"},
        {HEAD ROW("a", "1") ROW("a", "1"), "in:3: the key of the line before is repeated"},
        {HEAD ROW("a", "-1"), "in:2: operationIndex is negative"},
        {HEAD ROW("a", "1.5"), "in:2: operationIndex is not an integer written as digits only"},
        {HEAD ROW("a", "1e3"), "in:2: operationIndex is not an integer written as digits only"},
        {HEAD ROW("a", "9223372036854775808"), "in:2: operationIndex is greater than 9223372036854775807"},
        {HEAD ROW("\xFF", "1"), "in:2: documentId is not valid UTF-8"},
        {HEAD "\x01\x02\xFF\n", "in:2: this is not JSON, expected an object (column 1)"},
        {"[[\"a:b:c\",1],[\"d:e:f\"", "in:1: the input ends here"},
        {"[[\"a:b:c\",1],[\"a:b:c\",2]]", "in:1: the key came before"},
        {"[[\"a:b\",1]]", "in:1: "},
    };
    text good = from("[[\"a:document:main\",7]]");
    restore_well(f->tracker, &good, CTRACK_RESTORE_EMPTY);
    update(f->tracker, "b", 2);
    close_tracker(&f->tracker);
    size_t size, after;
    unsigned char *file = read_file(f->path, &size);
    f->tracker = open_file(f->path);
    ctrack_promise *promise = wait_for(f->tracker, "a", 8);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        for (unsigned mode = CTRACK_RESTORE_EMPTY; mode <= CTRACK_RESTORE_REPLACE; mode++) {
            text t = from(cases[i].input);
            t.step = mode;
            assert_status(restore_text(f->tracker, &t, mode, NULL, &f->error), CTRACK_FORMAT);
            assert_memory_equal(f->error.message, cases[i].message, strlen(cases[i].message));
            free(t.bytes);
        }
    }
    assert_status(ctrack_promise_status(promise), CTRACK_PENDING);
    assert_int_equal(latest(f->tracker, "a"), 7);
    ctrack_promise_release(promise);
    close_tracker(&f->tracker);
    unsigned char *same = read_file(f->path, &after);
    assert_int_equal(after, size);
    assert_memory_equal(same, file, size);
    free(same);
    free(file);
    free(good.bytes);
}

static void test_a_read_that_fails_changes_nothing(void **state)
{
    fixture *f = *state;
    update(f->tracker, "b", 2);
    text t = from("[[\"a:document:main\",7]]");
    t.step = 5;
    t.problem = EIO;
    assert_status(restore_text(f->tracker, &t, CTRACK_RESTORE_REPLACE, NULL, &f->error), CTRACK_IO);
    char message[100]; /* the C library's words */
    snprintf(message, sizeof message, "in: reading failed: %s", strerror(EIO));
    assert_string_equal(f->error.message, message);
    assert_int_equal(latest(f->tracker, "a"), NEVER_SEEN);
    assert_int_equal(latest(f->tracker, "b"), 2);
    assert_status(ctrack_restore(f->tracker, NULL, NULL, "in", CTRACK_RESTORE_MERGE, NULL, NULL), CTRACK_INVALID);
    assert_status(ctrack_restore(f->tracker, read_text, &t, NULL, CTRACK_RESTORE_MERGE, NULL, NULL), CTRACK_INVALID);
    free(t.bytes);
}

/* A gigabyte on one line, made as it is read. */
typedef struct endless {
    const char *head;
    size_t taken;
} endless;

static int read_endless(void *data, size_t size, size_t *got, void *argument)
{
    endless *e = argument;
    size_t head = strlen(e->head), left = ((size_t)1 << 30) - e->taken;
    *got = size < left ? size : left;
    memset(data, 'x', *got);
    if (e->taken < head) {
        size_t part = *got < head - e->taken ? *got : head - e->taken;
        memcpy(data, e->head + e->taken, part);
    }
    e->taken += *got;
    return 0;
}

static void test_a_gigabyte_on_one_line_is_refused_before_it_is_read(void **state)
{
    fixture *f = *state;
    static const char *const heads[] = {"{\"", HEAD "{\"documentId\":\"", "[[\""};
    for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++) {
        endless e = {.head = heads[i]};
        assert_status(ctrack_restore(f->tracker, read_endless, &e, "in", CTRACK_RESTORE_MERGE, NULL, &f->error),
                      CTRACK_FORMAT);
        assert_contains(f->error.message, "is longer than any");
        assert_true(e.taken < (size_t)16 << 20);
    }
}

/* ---------------------------------------------------------------- damaged files */

static void test_a_key_that_was_restored_can_be_forgotten_at_once(void **state)
{
    fixture *f = *state;
    static const unsigned modes[] = {CTRACK_RESTORE_EMPTY, CTRACK_RESTORE_MERGE, CTRACK_RESTORE_REPLACE};
    text t = from("[[\"order-1:scope:draft\",5],[\"order-2:scope:draft\",5]]");
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        remove_database(f); /* a file that has never heard of the scope, and neither has the tracker */
        f->tracker = open_file(f->path);
        ctrack *other = open_file(f->path);
        ctrack_key forgotten = {"order-1", "scope", "draft"}, kept = {"order-2", "scope", "draft"};
        ctrack_coordinate later = coordinate("order-1", "scope", "draft", 7);
        restore_well(f->tracker, &t, modes[i]);
        assert_status(ctrack_forget(f->tracker, &forgotten, 1, &f->error), CTRACK_OK);
        assert_status(ctrack_check(f->path, -1, NULL, NULL, NULL, NULL), CTRACK_OK);
        assert_status(ctrack_refresh(other, &f->error), CTRACK_OK);
        assert_int_equal(latest_of(other, forgotten), NEVER_SEEN);
        assert_int_equal(latest_of(other, kept), 5);
        assert_status(ctrack_update(f->tracker, &later, 1, NULL), CTRACK_OK);
        close_tracker(&other);
        reopen(f);
        assert_int_equal(latest_of(f->tracker, forgotten), 7);
        close_tracker(&f->tracker);
    }
    free(t.bytes);
}

static void test_a_damaged_file_is_not_dumped_as_if_it_were_whole(void **state)
{
    fixture *f = *state;
    static const char *const damages[] = {
        "INSERT INTO ctrack_advance (coordinate_id, operation_index, updated_at) VALUES (77, 1, 0)",
        "INSERT INTO ctrack_advance (keyspace_id, document_id, operation_index, updated_at) VALUES (77, 'a', 1, 0)",
        ("INSERT INTO ctrack_advance (keyspace_id, document_id, operation_index, updated_at) "
         "VALUES (1, CAST(x'FF' AS TEXT), 1, 0)"),
        "INSERT INTO ctrack_advance (keyspace_id, document_id, updated_at) VALUES (1, 'forgotten', 0)",
    };
    update(f->tracker, "a", 1);
    for (size_t i = 0; i < sizeof damages / sizeof damages[0]; i++) {
        text t = {0};
        db_run_once(f->path, damages[i]);
        assert_status(ctrack_dump(f->tracker, NULL, write_text, &t, &f->error), CTRACK_CORRUPT);
        assert_true(t.bytes == NULL || strstr(t.bytes, "\"count\"") == NULL);
        free(t.bytes);
        db_run_once(f->path, "DELETE FROM ctrack_advance WHERE seq = (SELECT max(seq) FROM ctrack_advance)");
    }
    text t = dump_of(f->tracker, NULL);
    assert_contains(t.bytes, "\"count\":1");
    free(t.bytes);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        TEST(test_any_progress_survives_a_dump_and_a_restore_byte_for_byte),
        TEST_ON_FILE(test_a_dump_does_not_depend_on_what_is_folded),
        TEST_BOTH(test_a_dump_has_the_same_bytes_on_every_machine),
        TEST_BOTH(test_a_dump_of_no_read_model_changes_nothing),
        TEST_ON_FILE(test_a_read_model_without_progress_survives_too),
        TEST_ON_FILE(test_a_dump_of_one_read_model_has_that_one_only),
        TEST_BOTH(test_a_dump_is_of_one_moment),
        TEST_BOTH(test_a_write_that_fails_is_an_io_error),
        TEST_BOTH(test_what_is_there_is_only_merged_or_replaced_when_told),
        TEST_ON_FILE(test_a_restore_keeps_what_the_log_holds),
        TEST_BOTH(test_a_check_says_what_the_restore_would_and_changes_nothing),
        TEST_ON_FILE(test_a_lower_index_in_the_log_is_not_dumped),
        TEST_ON_FILE(test_folded_progress_and_progress_in_the_log_are_not_overlooked),
        TEST_ON_FILE(test_a_restore_touches_the_read_models_of_its_header_only),
        TEST_IN_MEMORY(test_a_tracker_in_memory_takes_one_read_model),
        TEST_BOTH(test_a_restore_is_durable_and_wakes),
        TEST_ON_FILE(test_a_restore_wakes_and_rewinds_other_trackers),
        TEST_ON_FILE(test_a_large_restore_is_one_step),
        TEST_BOTH(test_a_restore_of_long_documents_takes_all_of_them),
        TEST_ON_FILE(test_input_that_is_refused_changes_nothing),
        TEST_BOTH(test_a_read_that_fails_changes_nothing),
        TEST_BOTH(test_a_gigabyte_on_one_line_is_refused_before_it_is_read),
        TEST(test_a_key_that_was_restored_can_be_forgotten_at_once),
        TEST_ON_FILE(test_a_damaged_file_is_not_dumped_as_if_it_were_whole),
    };
    return SUPPORT_MAIN(argc, argv, "dump and restore", tests, NULL);
}
