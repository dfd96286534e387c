/* SPDX-License-Identifier: MIT */
/* The text of dumps: written, read back byte for byte, and refused with line and reason when anything is wrong. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "dumpfmt.h"

/* ---------------------------------------------------------------- memory as a file */

typedef struct memory {
    char *bytes;
    size_t length, capacity, at;
    size_t step;      /* how much a read gives at most */
    size_t calls;     /* of the callback so far */
    size_t fail_call; /* the call that fails; 0: none */
} memory;

static int write_memory(const void *data, size_t size, void *argument)
{
    memory *m = argument;
    if (++m->calls == m->fail_call) {
        return ENOSPC;
    }
    if (m->length + size + 1 > m->capacity) {
        m->capacity = (m->length + size + 1) * 2;
        m->bytes = realloc(m->bytes, m->capacity);
        assert_non_null(m->bytes);
    }
    memcpy(m->bytes + m->length, data, size);
    m->length += size;
    m->bytes[m->length] = '\0';
    return 0;
}

static int read_memory(void *data, size_t size, size_t *got, void *argument)
{
    memory *m = argument;
    if (++m->calls == m->fail_call) {
        return EIO;
    }
    size_t left = m->length - m->at;
    *got = left < size ? left : size;
    *got = m->step > 0 && m->step < *got ? m->step : *got;
    memcpy(data, m->bytes + m->at, *got);
    m->at += *got;
    return 0;
}

static memory from_text(const char *text)
{
    memory m = {0};
    assert_int_equal(write_memory(text, strlen(text), &m), 0);
    return m;
}

static ct_dump_row row_of(const char *read_model, const char *document_id, const char *scope, const char *branch,
                          int64_t index)
{
    ct_dump_row row = {.operation_index = index};
    const char *const texts[CT_DUMP_TEXTS] = {[CT_DUMP_READ_MODEL] = read_model,
                                              [CT_DUMP_DOCUMENT_ID] = document_id,
                                              [CT_DUMP_SCOPE] = scope,
                                              [CT_DUMP_BRANCH] = branch};
    for (int i = 0; i < CT_DUMP_TEXTS; i++) {
        row.text[i] = texts[i];
        row.length[i] = strlen(texts[i]);
    }
    return row;
}

static memory write_dump(const char *const *read_models, size_t read_model_count, const ct_dump_row *rows, size_t count)
{
    memory m = {0};
    ct_dump_writer *writer;
    assert_int_equal(ct_dump_writer_begin(&writer, read_models, read_model_count, write_memory, &m, NULL), CTRACK_OK);
    for (size_t i = 0; i < count; i++) {
        ctrack_error error = {CTRACK_OK, ""};
        if (ct_dump_writer_row(writer, &rows[i], &error) != CTRACK_OK) {
            fail_msg("%s", error.message);
        }
    }
    assert_int_equal(ct_dump_writer_end(writer, NULL), CTRACK_OK);
    ct_dump_writer_free(writer);
    return m;
}

/* Reads everything, into another dump if `again` is not NULL; returns the status, and the message in *error. */
static ctrack_status read_all(memory *m, size_t *count, memory *again, ctrack_error *error)
{
    ct_dump_reader *reader = NULL;
    ct_dump_writer *writer = NULL;
    const ct_dump_row *row = NULL;
    *count = 0;
    m->at = 0;
    ctrack_status status = ct_dump_reader_open(&reader, read_memory, m, "in", error);
    if (status == CTRACK_OK && again != NULL) {
        const char *const *read_models;
        size_t read_model_count = ct_dump_reader_read_models(reader, &read_models);
        assert_int_equal(ct_dump_writer_begin(&writer, read_models, read_model_count, write_memory, again, NULL),
                         CTRACK_OK);
    }
    while (status == CTRACK_OK && (status = ct_dump_reader_next(reader, &row, error)) == CTRACK_OK && row != NULL) {
        ++*count;
        for (int i = ct_dump_reader_is_array(reader) ? 1 : 0; i < CT_DUMP_TEXTS; i++) {
            assert_int_equal(strlen(row->text[i]), row->length[i]);
        }
        if (writer != NULL) {
            assert_int_equal(ct_dump_writer_row(writer, row, NULL), CTRACK_OK);
        }
    }
    if (status == CTRACK_OK) {
        /* The end is the end. */
        assert_int_equal(ct_dump_reader_next(reader, &row, error), CTRACK_OK);
        assert_null(row);
    } else if (reader != NULL) {
        /* And a fault is final. */
        ctrack_error later;
        assert_int_equal(ct_dump_reader_next(reader, &row, &later), status);
        assert_string_equal(later.message, error->message);
        assert_null(row);
    }
    if (writer != NULL) {
        assert_int_equal(ct_dump_writer_end(writer, NULL), CTRACK_OK);
    }
    ct_dump_writer_free(writer);
    ct_dump_reader_free(reader);
    return status;
}

static void assert_reads(const char *text, size_t expected)
{
    memory m = from_text(text);
    size_t count;
    ctrack_error error;
    if (read_all(&m, &count, NULL, &error) != CTRACK_OK) {
        fail_msg("%s: %s", text, error.message);
    }
    assert_int_equal(count, expected);
    free(m.bytes);
}

static void assert_refused(const char *text, const char *message)
{
    static const size_t steps[] = {0, 1, 7};
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        memory m = from_text(text);
        m.step = steps[i];
        size_t count;
        ctrack_error error = {CTRACK_OK, "accepted"};
        ctrack_status status = read_all(&m, &count, NULL, &error);
        assert_string_equal(error.message, message);
        assert_int_equal(status, CTRACK_FORMAT);
        assert_int_equal(error.status, CTRACK_FORMAT);
        free(m.bytes);
    }
}

/* Lines with the closing line that belongs to them. Returns a string in a static buffer. */
static const char *closed(const char *lines, int count)
{
    static char text[4000];
    snprintf(text, sizeof text, "%s{\"count\":%d,\"xxh3\":\"%016llx\"}\n", lines, count,
             (unsigned long long)XXH3_64bits(lines, strlen(lines)));
    return text;
}

#define HEADER "{\"ctrackDump\":1,\"readModels\":[\"default\",\"search\"]}\n"
#define ROW(model, document, index) \
    "{\"readModel\":\"" model "\",\"documentId\":\"" document \
    "\",\"scope\":\"s\",\"branch\":\"b\",\"operationIndex\":" index "}\n"

/* ---------------------------------------------------------------- writing and reading back */

static void test_the_form_is_as_documented(void **state)
{
    (void)state;
    static const char *const models[] = {"default", "search"};
    const ct_dump_row rows[] = {row_of("default", "doc-7", "document", "main", 5),
                                row_of("search", "a\"\n", "", "", INT64_MAX)};
    memory m = write_dump(models, 2, rows, 2);
    const char *expected =
        closed(HEADER "{\"readModel\":\"default\",\"documentId\":\"doc-7\",\"scope\":\"document\",\"branch\":\"main\","
                      "\"operationIndex\":5}\n"
                      "{\"readModel\":\"search\",\"documentId\":\"a\\\"\\n\",\"scope\":\"\",\"branch\":\"\","
                      "\"operationIndex\":9223372036854775807}\n",
               2);
    assert_string_equal(m.bytes, expected);
    free(m.bytes);
}

/* By read model, scope, branch and document, each of which may be anything. */
static void test_rows_come_by_read_model_scope_branch_and_document(void **state)
{
    (void)state;
    static const char *const models[] = {"default", "search"};
    const ct_dump_row rows[] = {
        row_of("default", "z", "", "", 1),  row_of("default", "a", "", "b", 1), row_of("default", "b", "", "b", 1),
        row_of("default", "a", "s", "", 1), row_of("search", "", "", "", 1),
    };
    enum { COUNT = sizeof rows / sizeof rows[0] };
    memory m = write_dump(models, 2, rows, COUNT), again = {0};
    size_t count;
    ctrack_error error;
    assert_int_equal(read_all(&m, &count, &again, &error), CTRACK_OK);
    assert_int_equal(count, COUNT);
    assert_string_equal(again.bytes, m.bytes);
    free(m.bytes);
    free(again.bytes);
    assert_refused(HEADER "{\"readModel\":\"default\",\"documentId\":\"a\",\"scope\":\"s\",\"branch\":\"b\","
                          "\"operationIndex\":1}\n"
                          "{\"readModel\":\"default\",\"documentId\":\"b\",\"scope\":\"s\",\"branch\":\"a\","
                          "\"operationIndex\":1}\n",
                   "in:3: the row is not in its place: it comes before the line before");
}

static void test_an_empty_dump_is_a_dump(void **state)
{
    (void)state;
    memory m = write_dump(NULL, 0, NULL, 0);
    assert_string_equal(m.bytes, closed("{\"ctrackDump\":1,\"readModels\":[]}\n", 0));
    assert_reads(m.bytes, 0);
    free(m.bytes);
    assert_reads(closed(HEADER, 0), 0);
}

static void test_the_read_models_of_the_header_are_told(void **state)
{
    (void)state;
    memory m = from_text(closed(HEADER, 0));
    ct_dump_reader *reader;
    assert_int_equal(ct_dump_reader_open(&reader, read_memory, &m, "in", NULL), CTRACK_OK);
    const char *const *models;
    assert_int_equal(ct_dump_reader_read_models(reader, &models), 2);
    assert_string_equal(models[0], "default");
    assert_string_equal(models[1], "search");
    assert_false(ct_dump_reader_is_array(reader));
    ct_dump_reader_free(reader);
    free(m.bytes);
}

/* Text of one character, repeated, of each kind that matters: a plane, a control character, what JSON escapes. */
static void test_any_text_of_any_length_survives_byte_for_byte(void **state)
{
    (void)state;
    static const char *const models[] = {"m"};
    static const char *const characters[] = {"\x01",
                                             "\"",
                                             "\\",
                                             ":",
                                             "a",
                                             "\x7F",
                                             "\xC2\x80",
                                             "\xE2\x82\xAC",
                                             "\xEF\xBF\xBF",
                                             "\xF0\x90\x80\x80",
                                             "\xF1\x80\x80\x80",
                                             "\xF4\x8F\xBF\xBF"};
    enum { CHARACTERS = sizeof characters / sizeof characters[0], SIZES = 4 };
    static const size_t sizes[SIZES] = {1, 100, 10923, CTRACK_TEXT_MAX};
    char *texts[CHARACTERS * SIZES];
    ct_dump_row rows[CHARACTERS * SIZES];
    size_t count = 0;
    for (size_t c = 0; c < CHARACTERS; c++) {
        for (size_t s = 0; s < SIZES; s++) {
            size_t width = strlen(characters[c]), length = 0;
            char *text = malloc(CTRACK_TEXT_MAX + 1);
            assert_non_null(text);
            while (length + width <= sizes[s]) {
                memcpy(text + length, characters[c], width);
                length += width;
            }
            text[length] = '\0';
            texts[count++] = text;
        }
    }
    /* Insertion sort, by the same order as the dump's. */
    for (size_t i = 1; i < count; i++) {
        for (size_t j = i; j > 0 && strcmp(texts[j - 1], texts[j]) > 0; j--) {
            char *swap = texts[j];
            texts[j] = texts[j - 1];
            texts[j - 1] = swap;
        }
    }
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        if (i == 0 || strcmp(texts[i - 1], texts[i]) != 0) {
            rows[kept++] = row_of("m", texts[i], texts[i], texts[i], i % 2 == 0 ? INT64_MAX : 0);
        }
    }
    memory m = write_dump(models, 1, rows, kept), again = {0};
    for (m.step = 0; m.step < 100000; m.step = m.step * 7 + 999) {
        size_t got;
        ctrack_error error = {CTRACK_OK, ""};
        again.length = 0;
        assert_int_equal(read_all(&m, &got, &again, &error), CTRACK_OK);
        assert_int_equal(got, kept);
        assert_int_equal(again.length, m.length);
        assert_memory_equal(again.bytes, m.bytes, m.length);
    }
    for (size_t i = 0; i < count; i++) {
        free(texts[i]);
    }
    free(m.bytes);
    free(again.bytes);
}

static void test_rows_that_could_not_be_read_back_are_not_written(void **state)
{
    (void)state;
    static const char *const models[] = {"m", "n"};
    const struct {
        ct_dump_row first, second;
        const char *reason;
    } cases[] = {
        {row_of("m", "b", "", "", 1), row_of("m", "a", "", "", 1), "out of order"},
        {row_of("m", "a", "", "", 1), row_of("m", "a", "", "", 2), "comes twice"},
        {row_of("n", "a", "", "", 1), row_of("m", "b", "", "", 2), "out of order"},
        {row_of("m", "a", "", "", 1), row_of("o", "a", "", "", 2), "its read model is not in the header"},
        {row_of("m", "a", "", "", 1), row_of("mm", "a", "", "", 2), "its read model is not in the header"},
        {row_of("m", "a", "", "", 1), row_of("m", "b", "", "", -1), "its index is negative"},
        {row_of("m", "a", "", "", 1), row_of("m", "b", "\xFF", "", 1), "not valid UTF-8"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        memory m = {0};
        ct_dump_writer *writer;
        ctrack_error error, later;
        assert_int_equal(ct_dump_writer_begin(&writer, models, 2, write_memory, &m, NULL), CTRACK_OK);
        assert_int_equal(ct_dump_writer_row(writer, &cases[i].first, NULL), CTRACK_OK);
        assert_int_equal(ct_dump_writer_row(writer, &cases[i].second, &error), CTRACK_CORRUPT);
        assert_non_null(strstr(error.message, cases[i].reason));
        /* Nothing that looks whole can come of it. */
        assert_int_equal(ct_dump_writer_end(writer, &later), CTRACK_CORRUPT);
        assert_string_equal(later.message, error.message);
        assert_int_equal(m.length, 0);
        ct_dump_writer_free(writer);
        free(m.bytes);
    }
}

static void test_bad_read_models_are_refused_by_the_writer(void **state)
{
    (void)state;
    static const char *const unsorted[] = {"b", "a"}, *const twice[] = {"a", "a"}, *const bad[] = {"\xFE", "\xFF"};
    memory m = {0};
    ct_dump_writer *writer;
    ctrack_error error;
    assert_int_equal(ct_dump_writer_begin(&writer, unsorted, 2, write_memory, &m, &error), CTRACK_INVALID);
    assert_int_equal(error.status, CTRACK_INVALID);
    assert_null(writer);
    assert_int_equal(ct_dump_writer_begin(&writer, twice, 2, write_memory, &m, &error), CTRACK_INVALID);
    assert_int_equal(ct_dump_writer_begin(&writer, bad, 2, write_memory, &m, &error), CTRACK_INVALID);
    assert_int_equal(error.status, CTRACK_INVALID);
}

static void test_a_write_that_fails_ends_the_dump(void **state)
{
    (void)state;
    static const char *const models[] = {"m"};
    bool finished = false;
    for (size_t call = 1; !finished; call++) {
        memory m = {.fail_call = call};
        ct_dump_writer *writer;
        ctrack_error error = {CTRACK_OK, ""};
        assert_int_equal(ct_dump_writer_begin(&writer, models, 1, write_memory, &m, &error), CTRACK_OK);
        ctrack_status status = CTRACK_OK;
        for (int i = 0; i < 5000; i++) {
            char id[20];
            snprintf(id, sizeof id, "%06d", i);
            const ct_dump_row row = row_of("m", id, "document", "main", i);
            ctrack_status now = ct_dump_writer_row(writer, &row, &error);
            assert_true(status == CTRACK_OK || now == status); /* once failed, always failed */
            status = now;
        }
        status = ct_dump_writer_end(writer, &error);
        finished = m.calls < call;
        assert_int_equal(status, finished ? CTRACK_OK : CTRACK_IO);
        if (!finished) {
            assert_string_equal(error.message, "dump: writing failed: No space left on device");
            assert_int_equal(m.calls, call); /* nothing is tried after it */
        }
        ct_dump_writer_free(writer);
        free(m.bytes);
    }
}

/* ---------------------------------------------------------------- refusals */

static void test_what_is_not_a_dump_is_refused(void **state)
{
    (void)state;
    assert_refused("", "in:1: the input is empty");
    assert_refused(" \n\n ", "in:3: the input is empty");
    assert_refused("SQLite format 3", "in:1: this is not a dump, which begins with '{', or with '['");
    assert_refused("\n" HEADER, "in:2: this is not a dump, which begins with '{', or with '['");
    assert_refused("{}\n", "in:1: ctrackDump is missing (column 1)");
    assert_refused("{\"ctrackDump\":1}\n", "in:1: readModels is missing (column 1)");
    assert_refused("{\"ctrackDump\":2,\"x\":{}}\n",
                   "in:1: ctrackDump is 2, but only version 1 is known: the dump is of another ctrack (column 15)");
    assert_refused("{\"ctrackDump\":\"1\"}\n", "in:1: ctrackDump is a string, not an integer (column 15)");
    assert_refused("{\"ctrackDump\":1,\"ctrackDump\":1}\n", "in:1: ctrackDump is repeated (column 30)");
    assert_refused("{\"ctrackDump\":1,\"x\":{}}\n", "in:1: unknown member \"x\" (column 21)");
    assert_refused("{\"ctrackDump\":1,\"readModels\":[\"b\",\"a\"]}\n",
                   "in:1: readModels are not in strictly ascending order (column 35)");
    assert_refused("{\"ctrackDump\":1,\"readModels\":[\"a\",\"a\"]}\n",
                   "in:1: readModels are not in strictly ascending order (column 35)");
    assert_refused("{\"ctrackDump\":1,\"readModels\":[1]}\n", "in:1: readModels is a number, not a string (column 31)");
    assert_refused("{\"ctrackDump\":1,\"readModels\":[]} x\n", "in:1: something follows the end (column 34)");
}

static void test_bad_rows_are_refused_with_line_and_reason(void **state)
{
    (void)state;
    assert_refused(HEADER ROW("default", "a", "-1"), "in:2: operationIndex is negative (column 83)");
    assert_refused(HEADER ROW("default", "a", "1") ROW("default", "b", "1.0"),
                   "in:3: operationIndex is not an integer written as digits only (column 83)");
    assert_refused(HEADER ROW("default", "a", "9223372036854775808"),
                   "in:2: operationIndex is greater than 9223372036854775807 (column 83)");
    assert_refused(HEADER ROW("default", "a", "1") ROW("default", "a", "2"),
                   "in:3: the key of the line before is repeated");
    assert_refused(HEADER ROW("default", "b", "1") ROW("default", "a", "2"),
                   "in:3: the row is not in its place: it comes before the line before");
    assert_refused(HEADER ROW("search", "a", "1") ROW("default", "b", "2"),
                   "in:3: the row is not in its place: it comes before the line before");
    assert_refused(HEADER ROW("other", "a", "1"), "in:2: readModel \"other\" is not in the header");
    assert_refused(HEADER ROW("default\\u0021", "a", "1"), "in:2: readModel \"default!\" is not in the header");
    assert_refused(HEADER "\n", "in:2: the text ends here, expected an object (column 1)");
    assert_refused(HEADER "{}\n", "in:2: readModel is missing");
    assert_refused(HEADER "[]\n", "in:2: the value is an array, not an object (column 1)");
    assert_refused(HEADER "{\"readModel\":\"default\",\"documentId\":\"a\",\"scope\":\"s\",\"operationIndex\":1}\n",
                   "in:2: branch is missing");
    assert_refused(HEADER "{\"readModel\":\"default\",\"x\":1}\n", "in:2: unknown member \"x\" (column 28)");
    assert_refused(HEADER "{\"readModel\":\"default\",\"readModel\":\"default\"}\n",
                   "in:2: readModel is repeated (column 36)");
    assert_refused(HEADER "{\"readModel\":\"\\u0000\"}\n",
                   "in:2: readModel has a \\u0000, which text may not hold (column 15)");
    assert_refused(HEADER HEADER, "in:2: unknown member \"ctrackDump\" (column 15)");
}

static void test_bad_closing_lines_are_refused(void **state)
{
    (void)state;
    static const char lines[] = HEADER ROW("default", "a", "1");
    assert_reads(closed(lines, 1), 1);
    assert_refused(closed(lines, 2), "in:3: count is 2, but there are 1 rows");
    assert_refused(HEADER "{\"count\":0}\n", "in:2: xxh3 is missing in the closing line");
    assert_refused(HEADER "{\"xxh3\":\"0\"}\n", "in:2: count is missing in the closing line");
    assert_refused(HEADER "{\"count\":0,\"scope\":\"\",\"xxh3\":\"0\"}\n",
                   "in:2: scope does not belong to the closing line");
    char text[1000], message[200];
    snprintf(text, sizeof text, "%s{\"count\":1,\"xxh3\":\"0000000000000000\"}\n", lines);
    snprintf(message, sizeof message,
             "in:3: xxh3 is \"0000000000000000\", but the lines before have %016llx: the dump was altered",
             (unsigned long long)XXH3_64bits(lines, sizeof lines - 1));
    assert_refused(text, message);
    snprintf(text, sizeof text, "%s\n", closed(lines, 1));
    assert_refused(text, "in:4: something follows the closing line");
    snprintf(text, sizeof text, "%s ", closed(lines, 1));
    assert_refused(text, "in:4: something follows the closing line");
    assert_refused(lines, "in:3: the closing line is missing: the dump is truncated");
}

static void test_every_beginning_of_a_dump_is_refused(void **state)
{
    (void)state;
    memory m = from_text(closed(HEADER ROW("default", "a", "1") ROW("search", "\\u00e4", "2"), 2));
    size_t count, length = m.length;
    ctrack_error error;
    assert_int_equal(read_all(&m, &count, NULL, &error), CTRACK_OK);
    for (m.length = 0; m.length < length; m.length++) {
        assert_int_equal(read_all(&m, &count, NULL, &error), CTRACK_FORMAT);
    }
    free(m.bytes);
}

static void test_every_altered_bit_is_refused(void **state)
{
    (void)state;
    memory m = from_text(closed(HEADER ROW("default", "a", "1") ROW("default", "b", "1") ROW("search", "c", "2"), 3));
    for (size_t i = 0; i < m.length; i++) {
        for (int bit = 0; bit < 8; bit++) {
            size_t count;
            ctrack_error error;
            m.bytes[i] = (char)(m.bytes[i] ^ (1 << bit));
            ctrack_status status = read_all(&m, &count, NULL, &error);
            /* White space in the closing line is not summed, and cannot matter: no bit makes one there. */
            assert_int_equal(status, CTRACK_FORMAT);
            assert_memory_equal(error.message, "in:", 3);
            m.bytes[i] = (char)(m.bytes[i] ^ (1 << bit));
        }
    }
    free(m.bytes);
}

static void test_removed_and_exchanged_lines_are_refused(void **state)
{
    (void)state;
    const char *whole = closed(HEADER ROW("default", "a", "1") ROW("default", "b", "1") ROW("search", "c", "2"), 3);
    const char *lines[6];
    size_t count = 0;
    for (const char *at = whole; *at != '\0'; at = strchr(at, '\n') + 1) {
        lines[count++] = at;
    }
    lines[count] = whole + strlen(whole);
    for (size_t a = 0; a < count; a++) {
        for (size_t b = a; b < count; b++) {
            /* Without line a if a = b, else with a and b exchanged. */
            char text[2000] = "";
            for (size_t i = 0; i < count; i++) {
                size_t take = i == a ? b : i == b ? a : i;
                if (!(a == b && i == a)) {
                    strncat(text, lines[take], (size_t)(lines[take + 1] - lines[take]));
                }
            }
            memory m = from_text(text);
            size_t got;
            ctrack_error error;
            assert_int_equal(read_all(&m, &got, NULL, &error), CTRACK_FORMAT);
            free(m.bytes);
        }
    }
}

static void test_reading_that_fails_is_an_io_error(void **state)
{
    (void)state;
    memory m = from_text(closed(HEADER ROW("default", "a", "1"), 1));
    m.step = 20;
    bool finished = false;
    for (size_t call = 1; !finished; call++) {
        size_t count;
        ctrack_error error;
        m.calls = 0;
        m.fail_call = call;
        ctrack_status status = read_all(&m, &count, NULL, &error);
        finished = m.calls < call;
        assert_int_equal(status, finished ? CTRACK_OK : CTRACK_IO);
        if (!finished) {
            char message[100]; /* the C library's words */
            snprintf(message, sizeof message, "in: reading failed: %s", strerror(EIO));
            assert_string_equal(error.message, message);
        }
    }
    free(m.bytes);
}

/* An endless input; *argument counts the bytes taken. */
static const char *endless_head, *endless_tail;
static int read_endless(void *data, size_t size, size_t *got, void *argument)
{
    size_t *taken = argument, head = strlen(endless_head), tail = strlen(endless_tail);
    char *to = data;
    for (size_t i = 0; i < size; i++, ++*taken) {
        const char *from = *taken < head ? endless_head + *taken : endless_tail + (*taken - head) % tail;
        to[i] = *from;
    }
    *got = size;
    return 0;
}

static void test_a_line_without_end_is_refused_in_bounded_memory(void **state)
{
    (void)state;
    static const struct {
        const char *head, *tail, *message;
    } cases[] = {
        {"{", " ", "in:1: the line is longer than any line of a dump"},
        {HEADER "{\"readModel\":\"", "\\\\", "in:2: the line is longer than any line of a dump"},
        {HEADER, "[", "in:2: the line is longer than any line of a dump"},
        {"[[\"", "x", "in:1: the key is longer than any key (column 3)"},
        {"[[\"", "\\\"", "in:1: the key is longer than any key (column 3)"},
        {"[[\"a:b:c\",", "1", "in:1: index is greater than 9223372036854775807 (column 11)"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        endless_head = cases[i].head;
        endless_tail = cases[i].tail;
        size_t taken = 0;
        ct_dump_reader *reader = NULL;
        const ct_dump_row *row;
        ctrack_error error;
        ctrack_status status = ct_dump_reader_open(&reader, read_endless, &taken, "in", &error);
        if (status == CTRACK_OK) {
            status = ct_dump_reader_next(reader, &row, &error);
        }
        assert_int_equal(status, CTRACK_FORMAT);
        assert_string_equal(error.message, cases[i].message);
        assert_true(taken <= 8 << 20);
        ct_dump_reader_free(reader);
    }
}

/* ---------------------------------------------------------------- the array form */

static void test_the_array_form_is_read(void **state)
{
    (void)state;
    assert_reads("[]", 0);
    assert_reads(" [ ] \n", 0);
    assert_reads("[[\"doc-7:document:main\",5]]", 1);
    assert_reads("\n\t[\r\n  [\n\"b:s:b\"\n,\n0\n]\n,\n  [\"a:s:b\",9223372036854775807]\n]\n\n", 2);

    memory m = from_text("[[\"a\\\\:b:\\u00e4\\\\\\\\:\",7]]");
    for (m.step = 0; m.step < 4; m.step++) {
        ct_dump_reader *reader;
        const ct_dump_row *row;
        m.at = 0;
        assert_int_equal(ct_dump_reader_open(&reader, read_memory, &m, "in", NULL), CTRACK_OK);
        assert_true(ct_dump_reader_is_array(reader));
        assert_int_equal(ct_dump_reader_next(reader, &row, NULL), CTRACK_OK);
        assert_null(row->text[CT_DUMP_READ_MODEL]);
        assert_string_equal(row->text[CT_DUMP_DOCUMENT_ID], "a:b");
        assert_string_equal(row->text[CT_DUMP_SCOPE], "\xC3\xA4\\");
        assert_string_equal(row->text[CT_DUMP_BRANCH], "");
        assert_int_equal(row->length[CT_DUMP_DOCUMENT_ID], 3);
        assert_int_equal(row->length[CT_DUMP_SCOPE], 3);
        assert_int_equal(row->operation_index, 7);
        assert_int_equal(ct_dump_reader_next(reader, &row, NULL), CTRACK_OK);
        assert_null(row);
        ct_dump_reader_free(reader);
    }
    free(m.bytes);
}

static void test_bad_arrays_are_refused_with_their_place(void **state)
{
    (void)state;
    assert_refused("[", "in:1: the input ends here, expected '[' (column 2)");
    assert_refused("[[\"a:b:c\",5]", "in:1: the input ends here, expected ',' or ']' (column 13)");
    assert_refused("[[\"a:b:c\",5],]", "in:1: this is not the array form, expected '[' (column 14)");
    assert_refused("[[\"a:b:c\",5]]\n,", "in:2: something follows the end of the array (column 1)");
    assert_refused("[[\"a:b:c\",5]\n[\"a:b:d\",5]]",
                   "in:2: this is not the array form, expected ',' or ']' (column 1)");
    assert_refused("[\"a:b:c\",5]", "in:1: this is not the array form, expected '[' (column 2)");
    assert_refused("[[\"a:b:c\"]]", "in:1: this is not the array form, expected ',' (column 10)");
    assert_refused("[[\"a:b:c\",5,6]]", "in:1: this is not the array form, expected ']' (column 12)");
    assert_refused("[\n[\"a:b:c\",\n  -5]]", "in:3: index is negative (column 3)");
    assert_refused("[[\"a:b:c\",1e3]]", "in:1: index is not an integer written as digits only (column 11)");
    assert_refused("[[\"a:b:c\",\"5\"]]", "in:1: index is a string, not an integer (column 11)");
    assert_refused("[[5,5]]", "in:1: key is a number, not a string (column 3)");
    assert_refused("[[\"a:b:\\ud800\",5]]", "in:1: key has half a surrogate pair (column 8)");
    assert_refused("[[\"a:b:\xFF\",5]]", "in:1: key is not valid UTF-8 (column 8)");
    assert_refused("[[\"a:b:c", "in:1: key: the text ends in a string (column 9)");
    assert_refused("[[\"a:b\",5]]",
                   "in:1: key \"a:b\" has two components: a key is documentId:scope:branch, with \\: and "
                   "\\\\ for ':' and '\\' inside");
    assert_refused("[[\"b:s:b\",1],[\"a:s:b\",1],\n[\"b:\\u0073:b\",2]]", "in:2: the key came before (column 2)");
}

static void test_every_beginning_of_an_array_is_refused(void **state)
{
    (void)state;
    memory m = from_text("[[\"a:b:c\",5],[\"a\\\\:\\u00e4:b:c\",17]]");
    size_t count, length = m.length;
    ctrack_error error;
    assert_int_equal(read_all(&m, &count, NULL, &error), CTRACK_OK);
    assert_int_equal(count, 2);
    for (m.length = 0; m.length < length; m.length++) {
        assert_int_equal(read_all(&m, &count, NULL, &error), CTRACK_FORMAT);
    }
    free(m.bytes);
}

static void test_a_repeated_key_is_found_among_many(void **state)
{
    (void)state;
    memory m = {0};
    char entry[40];
    enum { COUNT = 20000 };
    for (int i = 0; i < COUNT; i++) {
        snprintf(entry, sizeof entry, "%s[\"%d:s:b\",%d]\n", i == 0 ? "[" : ",", i * 7919 % COUNT, i);
        write_memory(entry, strlen(entry), &m);
    }
    write_memory("]", 1, &m);
    size_t count;
    ctrack_error error;
    assert_int_equal(read_all(&m, &count, NULL, &error), CTRACK_OK);
    assert_int_equal(count, COUNT);
    m.length--;
    write_memory(",[\"17:s:b\",1]]", 14, &m);
    assert_int_equal(read_all(&m, &count, NULL, &error), CTRACK_FORMAT);
    assert_string_equal(error.message, "in:20001: the key came before (column 3)");
    free(m.bytes);
}

static void test_the_longest_key_of_an_array_is_read(void **state)
{
    (void)state;
    /* Every byte of every component a ':', escaped in the key and again as \u in the JSON. */
    memory m = {0};
    write_memory("[[\"", 3, &m);
    for (int part = 0; part < 3; part++) {
        for (int i = 0; i < CTRACK_TEXT_MAX; i++) {
            write_memory("\\u005c\\u003a", 12, &m);
        }
        write_memory(part < 2 ? ":" : "\",1]]", part < 2 ? 1 : 5, &m);
    }
    size_t count;
    ctrack_error error = {CTRACK_OK, ""};
    ctrack_status status = read_all(&m, &count, NULL, &error);
    assert_string_equal(error.message, "");
    assert_int_equal(status, CTRACK_OK);
    assert_int_equal(count, 1);
    free(m.bytes);
}

/* Reads all; the outcome. */
static ctrack_status read_to_the_end(memory *m)
{
    ct_dump_reader *reader;
    const ct_dump_row *row = NULL;
    ctrack_status status = ct_dump_reader_open(&reader, read_memory, m, "in", NULL);
    do {
        status = status == CTRACK_OK ? ct_dump_reader_next(reader, &row, NULL) : status;
    } while (status == CTRACK_OK && row != NULL);
    ct_dump_reader_free(reader);
    return status;
}

static void test_a_nul_does_not_end_an_array(void **state)
{
    (void)state;
    char bytes[] = {'[', ']', '\0'};
    memory m = {.bytes = bytes, .length = sizeof bytes, .step = sizeof bytes};
    assert_int_equal(read_to_the_end(&m), CTRACK_FORMAT);
}

static void test_whichever_read_fails_is_an_io_error(void **state)
{
    (void)state;
    static const char *const models[] = {"m"};
    const ct_dump_row row = row_of("m", "a", "", "", 1);
    memory inputs[2] = {write_dump(models, 1, &row, 1), from_text(" [ [ \"a:b:c\" , 1 ] , [ \"d:b:c\" , 2 ] ] ")};
    for (int i = 0; i < 2; i++) {
        memory *m = &inputs[i];
        ctrack_status status = CTRACK_IO;
        m->step = 1;
        for (size_t call = 1; status != CTRACK_OK; call++) {
            m->at = m->calls = 0;
            m->fail_call = call;
            status = read_to_the_end(m);
            assert_true(status == CTRACK_IO || (status == CTRACK_OK && m->calls < call));
        }
        free(m->bytes);
    }
}

static int read_too_much(void *data, size_t size, size_t *got, void *argument)
{
    (void)data, (void)argument;
    *got = size + 1;
    return 0;
}

static void test_a_callback_that_says_it_read_too_much_is_not_believed(void **state)
{
    (void)state;
    ct_dump_reader *reader;
    ctrack_error error;
    assert_int_equal(ct_dump_reader_open(&reader, read_too_much, NULL, "in", &error), CTRACK_IO);
}

static void test_a_header_lacks_neither_of_its_members(void **state)
{
    (void)state;
    static const char *const headers[] = {"{}\n", "{\"readModels\":[]}\n", "{\"ctrackDump\":1}\n"};
    for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++) {
        memory m = from_text(headers[i]);
        assert_int_equal(read_to_the_end(&m), CTRACK_FORMAT);
        free(m.bytes);
    }
}

/* Ends a dump with a row that is refused. */
static void assert_row_is_refused(const ct_dump_row *row)
{
    static const char *const models[] = {"m"};
    ct_dump_writer *writer;
    memory m = {0};
    assert_int_equal(ct_dump_writer_begin(&writer, models, 1, write_memory, &m, NULL), CTRACK_OK);
    assert_int_equal(ct_dump_writer_row(writer, row, NULL), CTRACK_CORRUPT);
    ct_dump_writer_free(writer);
    free(m.bytes);
}

static void test_long_texts_are_refused_whole_or_shortened_in_messages(void **state)
{
    (void)state;
    char *longest = malloc(CTRACK_TEXT_MAX + 2), *torn = malloc(CTRACK_TEXT_MAX);
    assert_true(longest != NULL && torn != NULL);
    memset(longest, 'a', CTRACK_TEXT_MAX + 1);
    longest[CTRACK_TEXT_MAX + 1] = '\0';
    memset(torn, 0x80, CTRACK_TEXT_MAX - 1);
    torn[CTRACK_TEXT_MAX - 1] = '\0';
    const ct_dump_row rows[] = {row_of("m", longest, "", "", 1), row_of("m", "\xFF", "", "", 1),
                                row_of("m", torn, "", "", 1), row_of("m", "a", "\xFF", "", 1),
                                row_of("m", "a", "", torn, 1)};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_row_is_refused(&rows[i]);
    }
    free(longest);
    free(torn);
}

static void test_names_that_no_header_could_hold_are_refused(void **state)
{
    (void)state;
    const char *models[1];
    char *longest = malloc(CTRACK_TEXT_MAX + 2);
    assert_non_null(longest);
    memset(longest, 'a', CTRACK_TEXT_MAX + 1);
    longest[CTRACK_TEXT_MAX + 1] = '\0';
    ct_dump_writer *writer;
    ctrack_error error;
    memory m = {0};
    models[0] = longest;
    assert_int_equal(ct_dump_writer_begin(&writer, models, 1, write_memory, &m, &error), CTRACK_INVALID);
    assert_int_equal(ct_dump_writer_begin(&writer, models, 1, write_memory, &m, NULL), CTRACK_INVALID);
    free(longest);
    free(m.bytes);
}

static void test_names_that_are_too_long_together_are_refused(void **state)
{
    (void)state;
    enum { NAMES = 6 };
    const char *models[NAMES];
    ct_dump_writer *writer;
    ctrack_error error;
    memory m = {0};
    for (int i = 0; i < NAMES; i++) {
        char *name = malloc(CTRACK_TEXT_MAX + 1);
        assert_non_null(name);
        memset(name, 'a' + i, CTRACK_TEXT_MAX);
        name[CTRACK_TEXT_MAX] = '\0';
        models[i] = name;
    }
    assert_int_equal(ct_dump_writer_begin(&writer, models, 1, write_memory, &m, NULL), CTRACK_OK);
    ct_dump_writer_free(writer);
    assert_int_equal(ct_dump_writer_begin(&writer, models, NAMES, write_memory, &m, &error), CTRACK_INVALID);
    assert_non_null(strstr(error.message, "too long"));
    for (int i = 0; i < NAMES; i++) {
        free((char *)models[i]);
    }
    free(m.bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_form_is_as_documented),
        cmocka_unit_test(test_rows_come_by_read_model_scope_branch_and_document),
        cmocka_unit_test(test_an_empty_dump_is_a_dump),
        cmocka_unit_test(test_the_read_models_of_the_header_are_told),
        cmocka_unit_test(test_any_text_of_any_length_survives_byte_for_byte),
        cmocka_unit_test(test_rows_that_could_not_be_read_back_are_not_written),
        cmocka_unit_test(test_bad_read_models_are_refused_by_the_writer),
        cmocka_unit_test(test_a_write_that_fails_ends_the_dump),
        cmocka_unit_test(test_what_is_not_a_dump_is_refused),
        cmocka_unit_test(test_bad_rows_are_refused_with_line_and_reason),
        cmocka_unit_test(test_bad_closing_lines_are_refused),
        cmocka_unit_test(test_every_beginning_of_a_dump_is_refused),
        cmocka_unit_test(test_every_altered_bit_is_refused),
        cmocka_unit_test(test_removed_and_exchanged_lines_are_refused),
        cmocka_unit_test(test_reading_that_fails_is_an_io_error),
        cmocka_unit_test(test_a_line_without_end_is_refused_in_bounded_memory),
        cmocka_unit_test(test_the_array_form_is_read),
        cmocka_unit_test(test_bad_arrays_are_refused_with_their_place),
        cmocka_unit_test(test_every_beginning_of_an_array_is_refused),
        cmocka_unit_test(test_a_repeated_key_is_found_among_many),
        cmocka_unit_test(test_the_longest_key_of_an_array_is_read),
        cmocka_unit_test(test_a_nul_does_not_end_an_array),
        cmocka_unit_test(test_whichever_read_fails_is_an_io_error),
        cmocka_unit_test(test_a_callback_that_says_it_read_too_much_is_not_believed),
        cmocka_unit_test(test_a_header_lacks_neither_of_its_members),
        cmocka_unit_test(test_long_texts_are_refused_whole_or_shortened_in_messages),
        cmocka_unit_test(test_names_that_no_header_could_hold_are_refused),
        cmocka_unit_test(test_names_that_are_too_long_together_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
