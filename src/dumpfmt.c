/* SPDX-License-Identifier: MIT */
/*
 * The form of a dump, version 1: UTF-8, one JSON object on each line, every line ends with a line feed.
 *
 *     {"ctrackDump":1,"readModels":["default","search"]}
 *     {"readModel":"default","documentId":"doc-7","scope":"document","branch":"main","operationIndex":12}
 *     …
 *     {"count":N,"xxh3":"0123456789abcdef"}
 *
 *  - The first line names the version, which is looked at first, and the read models, so that a restore knows which of
 *    them are empty. The rows are what the lines between are called.
 *  - Rows ascend strictly by readModel, scope, branch, documentId, bytewise. So equal progress of the same read models
 *    has equal dumps, and a row that is repeated, moved or forged into another place shows without any table of what
 *    came before. The document id counts last, since the file's dictionary is sorted so: a dump reads it, and a restore
 *    fills it, from one end to the other.
 *  - The last line has the number of rows and the XXH3-64 of every byte before it, line feeds included. That is against
 *    accidents, not against forgers. Since nothing may follow it and it must end with its line feed, no proper
 *    beginning of a dump is a dump.
 *  - No member is unknown: version 1 has these members, and whatever needs another is version 2.
 *
 * The other form is that of the specification's serialize(), one array over any number of lines:
 *
 *     [["doc-7:document:main",12],…]
 *
 * with keys as ctrack_key_format() writes them. It has no order, so that a repeated key can only be found by a set: 128
 * bits of hash for each key, which are taken for the key (two of a thousand million keys are mistaken for each other
 * with a probability of 10^-21).
 *
 * Memory: the writer has a buffer of 64 KiB, and the part of a line that the rows of one (readModel, scope, branch)
 * have in common. The reader has a window that starts so and grows up to the longest thing that can be legal (a line,
 * or the key of an array); what is longer is refused as soon as the window is full, so a gigabyte on one line costs
 * neither memory nor time. Rows are copied out of the window, in two sets of texts in turn: the row that was handed
 * out, and the one before, which the next row is compared with.
 *
 * A fault is kept: from then on the writer writes nothing, and every call returns the same status and message.
 */
#include "dumpfmt.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "alloc.h"
#include "error.h"
#include "json.h"
#include "key.h"

#define VERSION 1
#define CHUNK ((size_t)64 * 1024)
/* The longest legal line: every byte of every text escaped, and what stands around them. */
#define LINE_LIMIT ((size_t)CT_DUMP_TEXTS * CTRACK_TEXT_MAX * CT_JSON_ESCAPED + 256)
/* The longest legal key of an array, in bytes: every byte needs a '\' before it; and as JSON, all of these escaped. */
#define KEY_LIMIT ((size_t)3 * CTRACK_TEXT_MAX * 2 + 2)
#define KEY_STRING_LIMIT (KEY_LIMIT * CT_JSON_ESCAPED + 2)
/* Longer numbers are not in range, and need not be looked at further. */
#define NUMBER_LIMIT ((size_t)64)

/* ---------------------------------------------------------------- shared */

/* XXH3 of a stream. Its state wants to be aligned more strictly than memory from ct_alloc() is. */
typedef struct checksum {
    void *block;
    XXH3_state_t *state;
} checksum;

static int checksum_init(checksum *sum)
{
    static const size_t alignment = 64;
    sum->block = ct_alloc(sizeof(XXH3_state_t) + alignment);
    if (sum->block == NULL) {
        return -1;
    }
    size_t over = (uintptr_t)sum->block % alignment;
    sum->state = (XXH3_state_t *)(void *)((char *)sum->block + (alignment - over));
    XXH3_64bits_reset(sum->state);
    return 0;
}

static void checksum_text(const checksum *sum, char text[17])
{
    snprintf(text, 17, "%016llx", (unsigned long long)XXH3_64bits_digest(sum->state));
}

static int compare_bytes(const char *a, size_t a_length, const char *b, size_t b_length)
{
    size_t common = a_length < b_length ? a_length : b_length;
    int order = common > 0 ? memcmp(a, b, common) : 0;
    return order != 0 ? order : (a_length > b_length) - (a_length < b_length);
}

static int compare_rows(const ct_dump_row *a, const ct_dump_row *b)
{
    int order = 0;
    for (int i = 0; i < CT_DUMP_TEXTS && order == 0; i++) {
        order = compare_bytes(a->text[i], a->length[i], b->text[i], b->length[i]);
    }
    return order;
}

/* Whether text is the name of read_models[*at] or a later one; rows ascend, so *at never goes back. */
static bool find_read_model(const char *const *read_models, size_t count, size_t *at, const char *text, size_t length)
{
    int order = -1;
    while (*at < count && (order = compare_bytes(read_models[*at], strlen(read_models[*at]), text, length)) < 0) {
        ++*at;
    }
    return *at < count && order == 0;
}

/* ---------------------------------------------------------------- writing */

struct ct_dump_writer {
    ctrack_write_callback *write;
    void *argument;
    const char *const *read_models;
    size_t read_model_count, read_model; /* how many, and that of the last row */
    checksum sum;                        /* of what has left the buffer */
    int64_t rows;
    ct_json_text last[CT_DUMP_TEXTS]; /* the last row, if `rows` > 0 */
    ct_json_text before, behind;      /* its line up to the document id, and from there to the index */
    ctrack_error fault;               /* status CTRACK_OK: none */
    size_t used;
    char buffer[CHUNK];
};

static ctrack_status flush(ct_dump_writer *writer)
{
    XXH3_64bits_update(writer->sum.state, writer->buffer, writer->used);
    int error = writer->write(writer->buffer, writer->used, writer->argument);
    writer->used = 0;
    if (error != 0) {
        char reason[128] = "";
        (void)strerror_r(error, reason, sizeof reason);
        return ct_error_set(&writer->fault, CTRACK_IO, "dump: writing failed: %s", reason);
    }
    return CTRACK_OK;
}

static ctrack_status put(ct_dump_writer *writer, const char *bytes, size_t length)
{
    while (writer->fault.status == CTRACK_OK) {
        size_t left = sizeof writer->buffer - writer->used, take = length < left ? length : left;
        memcpy(writer->buffer + writer->used, bytes, take);
        writer->used += take;
        bytes += take;
        length -= take;
        if (length == 0) {
            break;
        }
        flush(writer);
    }
    return writer->fault.status;
}

static ctrack_status fail_text(ct_dump_writer *writer, const char *text, size_t length)
{
    return ct_error_set(&writer->fault, CTRACK_CORRUPT, "dump: a text is not valid UTF-8: \"%.*s\"",
                        length > 100 ? 100 : (int)length, text);
}

/* Writes a string without its quotes, in pieces that end between characters. */
static ctrack_status put_text(ct_dump_writer *writer, const char *text, size_t length)
{
    static const size_t piece = CHUNK / CT_JSON_ESCAPED;
    while (length > 0 && writer->fault.status == CTRACK_OK) {
        size_t take = length;
        if (take > piece) {
            take = piece;
            while (take > piece - 3 && ((unsigned char)text[take] & 0xC0) == 0x80) {
                take--;
            }
        }
        if (sizeof writer->buffer - writer->used < take * CT_JSON_ESCAPED && flush(writer) != CTRACK_OK) {
            break;
        }
        size_t written = ct_json_escape(writer->buffer + writer->used, text, take);
        if (written == SIZE_MAX) {
            return fail_text(writer, text, take);
        }
        writer->used += written;
        text += take;
        length -= take;
    }
    return writer->fault.status;
}

#define PUT(writer, literal) put(writer, literal, sizeof(literal) - 1)

static ctrack_status write_header(ct_dump_writer *writer)
{
    size_t sum = 0;
    PUT(writer, "{\"ctrackDump\":1,\"readModels\":[");
    for (size_t i = 0; i < writer->read_model_count && writer->fault.status == CTRACK_OK; i++) {
        const char *name = writer->read_models[i];
        size_t length = strlen(name);
        if (i > 0 && strcmp(writer->read_models[i - 1], name) >= 0) {
            return ct_error_set(&writer->fault, CTRACK_INVALID, "dump: read model \"%.100s\" is out of order", name);
        }
        sum += length * CT_JSON_ESCAPED + 3;
        if (length > CTRACK_TEXT_MAX || sum > LINE_LIMIT - 256) {
            return ct_error_set(&writer->fault, CTRACK_INVALID, "dump: the names of the read models are too long");
        }
        put(writer, i > 0 ? ",\"" : "\"", i > 0 ? 2 : 1);
        put_text(writer, name, length);
        PUT(writer, "\"");
    }
    return writer->fault.status != CTRACK_OK ? writer->fault.status : PUT(writer, "]}\n");
}

ctrack_status ct_dump_writer_begin(ct_dump_writer **writer, const char *const *read_models, size_t count,
                                   ctrack_write_callback *write, void *argument, ctrack_error *error)
{
    *writer = NULL;
    ct_dump_writer *fresh = ct_alloc_array(1, sizeof *fresh);
    if (fresh == NULL || checksum_init(&fresh->sum) != 0) {
        ct_free(fresh);
        return ct_error_no_memory(error);
    }
    fresh->write = write;
    fresh->argument = argument;
    fresh->read_models = read_models;
    fresh->read_model_count = count;
    ctrack_status status = write_header(fresh);
    if (status != CTRACK_OK) {
        if (status == CTRACK_CORRUPT) {
            fresh->fault.status = status = CTRACK_INVALID; /* bad text is the caller's here */
        }
        if (error != NULL) {
            *error = fresh->fault;
        }
        ct_dump_writer_free(fresh);
        return status;
    }
    *writer = fresh;
    return CTRACK_OK;
}

/* Makes room for `size` bytes behind what a text has. NULL: no memory. */
static char *extend(ct_dump_writer *writer, ct_json_text *text, size_t size)
{
    void *grown = text->text;
    if (ct_grow(&grown, &text->capacity, text->length + size, 1) != 0) {
        ct_error_no_memory(&writer->fault);
        return NULL;
    }
    text->text = grown;
    return text->text + text->length;
}

/* Adds bytes to a part of a line. */
static ctrack_status add(ct_dump_writer *writer, ct_json_text *part, const char *bytes)
{
    size_t length = strlen(bytes);
    char *to = extend(writer, part, length);
    if (to != NULL) {
        memcpy(to, bytes, length);
        part->length += length;
    }
    return writer->fault.status;
}

/* Adds one of the row's texts to a part of a line, and the quote behind it. */
static ctrack_status add_text(ct_dump_writer *writer, ct_json_text *part, const ct_dump_row *row, int which)
{
    char *to = extend(writer, part, row->length[which] * CT_JSON_ESCAPED);
    size_t written = to != NULL ? ct_json_escape(to, row->text[which], row->length[which]) : 0;
    if (written == SIZE_MAX) {
        return fail_text(writer, row->text[which], row->length[which]);
    }
    part->length += written;
    return to != NULL ? add(writer, part, "\"") : writer->fault.status;
}

/* Renders what the lines of rows like this one, and of the same read model, scope and branch, have in common. */
static ctrack_status render(ct_dump_writer *writer, const ct_dump_row *row)
{
    writer->before.length = writer->behind.length = 0;
    add(writer, &writer->before, "{\"readModel\":\"");
    add_text(writer, &writer->before, row, CT_DUMP_READ_MODEL);
    add(writer, &writer->before, ",\"documentId\":\"");
    add(writer, &writer->behind, "\",\"scope\":\"");
    add_text(writer, &writer->behind, row, CT_DUMP_SCOPE);
    add(writer, &writer->behind, ",\"branch\":\"");
    add_text(writer, &writer->behind, row, CT_DUMP_BRANCH);
    add(writer, &writer->behind, ",\"operationIndex\":");
    return writer->fault.status;
}

/* Keeps a row's texts from `first` on, to compare the next row with. */
static ctrack_status keep(ct_dump_writer *writer, const ct_dump_row *row, int first)
{
    for (int i = first; i < CT_DUMP_TEXTS; i++) {
        ct_json_text *last = &writer->last[i];
        last->length = 0;
        char *to = extend(writer, last, row->length[i] + 1);
        if (to == NULL) {
            return writer->fault.status;
        }
        memcpy(to, row->text[i], row->length[i]);
        last->length = row->length[i];
    }
    return CTRACK_OK;
}

/* Compares with the last row; *first is the first text that differs. */
static int compare_last(const ct_dump_writer *writer, const ct_dump_row *row, int *first)
{
    for (int i = 0; i < CT_DUMP_TEXTS; i++) {
        const ct_json_text *last = &writer->last[i];
        int order = compare_bytes(last->text, last->length, row->text[i], row->length[i]);
        if (order != 0) {
            *first = i;
            return order;
        }
    }
    return 0;
}

static ctrack_status fail_row(ct_dump_writer *writer, const ct_dump_row *row, const char *reason)
{
    size_t length = row->length[CT_DUMP_DOCUMENT_ID];
    return ct_error_set(&writer->fault, CTRACK_CORRUPT, "dump: row %lld (documentId \"%.*s\"): %s",
                        (long long)writer->rows + 1, length > 100 ? 100 : (int)length, row->text[CT_DUMP_DOCUMENT_ID],
                        reason);
}

/* What is written must be what can be read: a damaged index may well yield rows twice or in disorder. */
static ctrack_status check_row(ct_dump_writer *writer, const ct_dump_row *row)
{
    int first = 0, order = writer->rows > 0 ? compare_last(writer, row, &first) : -1;
    if (order >= 0) {
        return fail_row(writer, row, order == 0 ? "it comes twice" : "it is out of order");
    }
    if (row->operation_index < 0) {
        return fail_row(writer, row, "its index is negative");
    }
    for (int i = first; i < CT_DUMP_TEXTS; i++) {
        if (row->length[i] > CTRACK_TEXT_MAX) {
            return fail_row(writer, row, "its text is too long");
        }
    }
    if (first == CT_DUMP_READ_MODEL &&
        !find_read_model(writer->read_models, writer->read_model_count, &writer->read_model,
                         row->text[CT_DUMP_READ_MODEL], row->length[CT_DUMP_READ_MODEL])) {
        return fail_row(writer, row, "its read model is not in the header");
    }
    if (first < CT_DUMP_DOCUMENT_ID && render(writer, row) != CTRACK_OK) {
        return writer->fault.status;
    }
    return keep(writer, row, first);
}

static ctrack_status give(const ctrack_error *fault, ctrack_error *error)
{
    if (fault->status != CTRACK_OK && error != NULL) {
        *error = *fault;
    }
    return fault->status;
}

ctrack_status ct_dump_writer_row(ct_dump_writer *writer, const ct_dump_row *row, ctrack_error *error)
{
    if (writer->fault.status == CTRACK_OK && check_row(writer, row) == CTRACK_OK) {
        put(writer, writer->before.text, writer->before.length);
        put_text(writer, row->text[CT_DUMP_DOCUMENT_ID], row->length[CT_DUMP_DOCUMENT_ID]);
        put(writer, writer->behind.text, writer->behind.length);
        char digits[24];
        size_t length = ct_json_digits(digits, row->operation_index);
        put(writer, digits, length);
        PUT(writer, "}\n");
        writer->rows++;
    }
    return give(&writer->fault, error);
}

ctrack_status ct_dump_writer_end(ct_dump_writer *writer, ctrack_error *error)
{
    if (writer->fault.status == CTRACK_OK && flush(writer) == CTRACK_OK) {
        char sum[17], line[80];
        checksum_text(&writer->sum, sum);
        int length = snprintf(line, sizeof line, "{\"count\":%lld,\"xxh3\":\"%s\"}\n", (long long)writer->rows, sum);
        put(writer, line, (size_t)length);
        flush(writer);
    }
    return give(&writer->fault, error);
}

void ct_dump_writer_free(ct_dump_writer *writer)
{
    if (writer == NULL) {
        return;
    }
    for (int i = 0; i < CT_DUMP_TEXTS; i++) {
        ct_json_text_free(&writer->last[i]);
    }
    ct_json_text_free(&writer->before);
    ct_json_text_free(&writer->behind);
    ct_free(writer->sum.block);
    ct_free(writer);
}

/* ---------------------------------------------------------------- reading: a set of hashes */

/* Open addressing, at most half full. The hash of no key is nothing but zeros, or so we hold. */
typedef struct hash_set {
    XXH128_hash_t *slots;
    size_t count, capacity; /* the capacity is a power of two, or 0 */
    XXH64_hash_t seed;      /* so that nobody can choose keys that meet in one slot */
} hash_set;

static bool insert_hash(XXH128_hash_t *slots, size_t capacity, XXH128_hash_t hash)
{
    size_t at = (size_t)hash.low64 & (capacity - 1);
    while ((slots[at].low64 | slots[at].high64) != 0) {
        if (XXH128_isEqual(slots[at], hash)) {
            return false;
        }
        at = (at + 1) & (capacity - 1);
    }
    slots[at] = hash;
    return true;
}

/* 1: added; 0: was there; -1: no memory. */
static int hash_set_add(hash_set *set, const char *bytes, size_t length)
{
    if (set->count >= set->capacity / 2) {
        size_t capacity = set->capacity > 0 ? set->capacity * 2 : 1024;
        XXH128_hash_t *slots = ct_alloc_array(capacity, sizeof *slots);
        if (slots == NULL) {
            return -1;
        }
        for (size_t i = 0; i < set->capacity; i++) {
            if ((set->slots[i].low64 | set->slots[i].high64) != 0) {
                insert_hash(slots, capacity, set->slots[i]);
            }
        }
        ct_free(set->slots);
        set->slots = slots;
        set->capacity = capacity;
    }
    if (!insert_hash(set->slots, set->capacity, XXH3_128bits_withSeed(bytes, length, set->seed))) {
        return 0;
    }
    set->count++;
    return 1;
}

/* ---------------------------------------------------------------- reading: the window */

enum { COUNT = CT_DUMP_TEXTS, XXH3, OPERATION_INDEX, MEMBERS };

struct ct_dump_reader {
    ctrack_read_callback *read;
    void *argument;
    const char *name;

    char *window; /* [begin, end) is read and not consumed */
    size_t begin, end, capacity;
    bool ended;    /* the callback has said so */
    size_t line;   /* of the last line that was begun, from 1 */
    size_t column; /* array form: bytes of that line before `begin` */

    bool array, finished;
    int64_t rows;
    ct_dump_row row, last;              /* `last` is valid if rows > 0 */
    ct_json_member members[2][MEMBERS]; /* the texts of `row` and `last`, in turn */
    checksum sum;                       /* of the lines that were consumed */
    char **read_models;
    size_t read_model_count, read_model_capacity;
    size_t read_model;  /* that of the last row */
    ct_json_text key;   /* array form: the text of `row` */
    hash_set keys;      /* array form */
    ctrack_error fault; /* status CTRACK_OK: none */
};

static const ct_json_member row_members[MEMBERS] = {
    [CT_DUMP_READ_MODEL] = CT_JSON_TEXT("readModel"),
    [CT_DUMP_DOCUMENT_ID] = CT_JSON_TEXT("documentId"),
    [CT_DUMP_SCOPE] = CT_JSON_TEXT("scope"),
    [CT_DUMP_BRANCH] = CT_JSON_TEXT("branch"),
    [OPERATION_INDEX] = CT_JSON_INTEGER("operationIndex"),
    [COUNT] = CT_JSON_INTEGER("count"),
    [XXH3] = CT_JSON_TEXT("xxh3"),
};

/* Refuses the input. `column` counts from 1; 0: the line as a whole. */
static ctrack_status refuse(ct_dump_reader *reader, size_t line, size_t column, const char *reason)
{
    char place[40] = "";
    if (column > 0) {
        snprintf(place, sizeof place, " (column %zu)", column);
    }
    return ct_error_set(&reader->fault, CTRACK_FORMAT, "%s:%zu: %s%s", reader->name, line, reason, place);
}

/* Refuses for what a JSON reader found that began at `column` of the line. */
static ctrack_status refuse_json(ct_dump_reader *reader, const ct_json *json, size_t column)
{
    if (json->status == CTRACK_NO_MEMORY) {
        return ct_error_no_memory(&reader->fault);
    }
    char reason[sizeof json->reason + 40];
    return refuse(reader, reader->line, column + json->offset, ct_json_explain(json, "", reason, sizeof reason));
}

/* Makes the window longer by what the callback has, or finds the end. What is consumed leaves; what remains then is
 * little, a part of a line or of what is looked for in one. */
static ctrack_status fill(ct_dump_reader *reader)
{
    if (reader->begin > 0) {
        memmove(reader->window, reader->window + reader->begin, reader->end - reader->begin);
        reader->end -= reader->begin;
        reader->begin = 0;
    }
    if (reader->end == reader->capacity) {
        void *grown = reader->window;
        size_t needed = reader->capacity == 0 ? CHUNK : reader->capacity * 2;
        if (ct_grow(&grown, &reader->capacity, needed, 1) != 0) {
            return ct_error_no_memory(&reader->fault);
        }
        reader->window = grown;
    }
    size_t got = 0, size = reader->capacity - reader->end;
    int error = reader->read(reader->window + reader->end, size, &got, reader->argument);
    if (error != 0) {
        char reason[128] = "";
        (void)strerror_r(error, reason, sizeof reason);
        return ct_error_set(&reader->fault, CTRACK_IO, "%s: reading failed: %s", reader->name, reason);
    }
    if (got > size) {
        return ct_error_set(&reader->fault, CTRACK_IO,
                            "%s: the callback says it read %zu bytes where %zu were asked for", reader->name, got,
                            size);
    }
    reader->ended = got == 0;
    reader->end += got;
    return CTRACK_OK;
}

static size_t available(const ct_dump_reader *reader)
{
    return reader->end - reader->begin;
}

/* ---------------------------------------------------------------- reading: lines */

/* The next line, without its line feed. *bytes is NULL at the end of the input. */
static ctrack_status next_line(ct_dump_reader *reader, const char **bytes, size_t *length)
{
    size_t looked = 0;
    reader->line++;
    *bytes = NULL;
    for (;;) {
        const char *start = reader->window + reader->begin;
        const char *feed = available(reader) > looked ? memchr(start + looked, '\n', available(reader) - looked) : NULL;
        looked = feed != NULL ? (size_t)(feed - start) : available(reader);
        if (looked > LINE_LIMIT) {
            return refuse(reader, reader->line, 0, "the line is longer than any line of a dump");
        }
        if (feed != NULL) {
            *bytes = start;
            *length = looked;
            reader->begin += looked + 1;
            return CTRACK_OK;
        }
        if (reader->ended) {
            return looked == 0 ? CTRACK_OK
                               : refuse(reader, reader->line, 0, "the line has no end: the dump is truncated");
        }
        if (fill(reader) != CTRACK_OK) {
            return reader->fault.status;
        }
    }
}

/* Reads the names of read models, and checks their order. */
static bool read_read_models(ct_dump_reader *reader, ct_json *json, ct_json_text *text)
{
    if (!ct_json_enter(json, '[')) {
        return false;
    }
    while (ct_json_next(json, NULL)) {
        const char *start = json->at;
        if (!ct_json_string(json, text, CTRACK_TEXT_MAX)) {
            return false;
        }
        size_t count = reader->read_model_count;
        if (count > 0 && strcmp(reader->read_models[count - 1], text->text) >= 0) {
            return ct_json_fail_value(json, start, NULL, "are not in strictly ascending order");
        }
        void *grown = reader->read_models;
        char *copy = ct_alloc(text->length + 1);
        if (copy == NULL || ct_grow(&grown, &reader->read_model_capacity, count + 1, sizeof(char *)) != 0) {
            ct_free(copy);
            json->status = CTRACK_NO_MEMORY;
            return false;
        }
        memcpy(copy, text->text, text->length + 1);
        reader->read_models = grown;
        reader->read_models[reader->read_model_count++] = copy;
    }
    return json->status == CTRACK_OK;
}

static bool read_version(ct_json *json)
{
    int64_t version;
    const char *start = json->at;
    if (!ct_json_integer(json, &version)) {
        return false;
    }
    if (version != VERSION) {
        char reason[sizeof json->reason];
        snprintf(reason, sizeof reason, "is %lld, but only version %d is known: the dump is of another ctrack",
                 (long long)version, VERSION);
        return ct_json_fail_value(json, start, NULL, reason);
    }
    return true;
}

/* Reads the members of the header. The version is judged as soon as it is read, before what another version may have
 * made of the rest. */
static bool read_header_members(ct_dump_reader *reader, ct_json *json, ct_json_text *text)
{
    static const char *const names[2] = {"ctrackDump", "readModels"};
    bool seen[2] = {false, false};
    bool good = ct_json_enter(json, '{');
    while (good && ct_json_next(json, text)) {
        int which = strcmp(text->text, names[0]) == 0 ? 0 : strcmp(text->text, names[1]) == 0 ? 1 : -1;
        if (which < 0) {
            char reason[sizeof json->reason];
            snprintf(reason, sizeof reason, "unknown member \"%.60s\"", text->text);
            return ct_json_fail(json, json->at, reason);
        }
        if (seen[which]) {
            return ct_json_fail_value(json, json->at, names[which], "is repeated");
        }
        seen[which] = true;
        good = which == 0 ? read_version(json) : read_read_models(reader, json, text);
        if (!good) {
            json->member = names[which];
        }
    }
    if (!good || !ct_json_end(json)) {
        return false;
    }
    if (!seen[0] || !seen[1]) {
        return ct_json_fail_value(json, json->start, names[seen[0] ? 1 : 0], "is missing");
    }
    return true;
}

static ctrack_status read_header(ct_dump_reader *reader)
{
    const char *bytes;
    size_t length;
    if (next_line(reader, &bytes, &length) != CTRACK_OK) {
        return reader->fault.status;
    }
    ct_json json;
    ct_json_text text = {NULL, 0, 0};
    ct_json_init(&json, bytes, length);
    if (!read_header_members(reader, &json, &text)) {
        refuse_json(reader, &json, 1);
    } else {
        XXH3_64bits_update(reader->sum.state, bytes, length + 1);
    }
    ct_json_text_free(&text);
    return reader->fault.status;
}

/* Judges the closing line, and that nothing follows it. */
static ctrack_status close_dump(ct_dump_reader *reader, const ct_json_member *members)
{
    char reason[160], sum[17];
    for (int i = 0; i < MEMBERS; i++) {
        if (members[i].seen != (i == COUNT || i == XXH3)) {
            snprintf(reason, sizeof reason, "%s %s the closing line", members[i].name,
                     members[i].seen ? "does not belong to" : "is missing in");
            return refuse(reader, reader->line, 0, reason);
        }
    }
    if (members[COUNT].number != reader->rows) {
        snprintf(reason, sizeof reason, "count is %lld, but there are %lld rows", (long long)members[COUNT].number,
                 (long long)reader->rows);
        return refuse(reader, reader->line, 0, reason);
    }
    checksum_text(&reader->sum, sum);
    if (strcmp(sum, members[XXH3].text.text) != 0) {
        snprintf(reason, sizeof reason, "xxh3 is \"%.16s\", but the lines before have %s: the dump was altered",
                 members[XXH3].text.text, sum);
        return refuse(reader, reader->line, 0, reason);
    }
    if (available(reader) == 0 && fill(reader) != CTRACK_OK) {
        return reader->fault.status;
    }
    if (available(reader) > 0) {
        return refuse(reader, reader->line + 1, 0, "something follows the closing line");
    }
    reader->finished = true;
    return CTRACK_OK;
}

/* Takes over a row from its members, and judges its place. */
static ctrack_status take_row(ct_dump_reader *reader, const ct_json_member *members)
{
    char reason[160];
    for (int i = 0; i < MEMBERS; i++) {
        if (!members[i].seen && i != COUNT && i != XXH3) {
            snprintf(reason, sizeof reason, "%s is missing", members[i].name);
            return refuse(reader, reader->line, 0, reason);
        }
    }
    reader->last = reader->row;
    for (int i = 0; i < CT_DUMP_TEXTS; i++) {
        reader->row.text[i] = members[i].text.text;
        reader->row.length[i] = members[i].text.length;
    }
    reader->row.operation_index = members[OPERATION_INDEX].number;
    if (reader->rows > 0) {
        int order = compare_rows(&reader->last, &reader->row);
        if (order >= 0) {
            return refuse(reader, reader->line, 0,
                          order == 0 ? "the key of the line before is repeated"
                                     : "the row is not in its place: it comes before the line before");
        }
    }
    if (!find_read_model((const char *const *)reader->read_models, reader->read_model_count, &reader->read_model,
                         reader->row.text[CT_DUMP_READ_MODEL], reader->row.length[CT_DUMP_READ_MODEL])) {
        snprintf(reason, sizeof reason, "readModel \"%.80s\" is not in the header",
                 reader->row.text[CT_DUMP_READ_MODEL]);
        return refuse(reader, reader->line, 0, reason);
    }
    reader->rows++;
    return CTRACK_OK;
}

static ctrack_status next_row(ct_dump_reader *reader)
{
    const char *bytes;
    size_t length;
    if (next_line(reader, &bytes, &length) != CTRACK_OK) {
        return reader->fault.status;
    }
    if (bytes == NULL) {
        return refuse(reader, reader->line, 0, "the closing line is missing: the dump is truncated");
    }
    ct_json json;
    ct_json_member *members = reader->members[reader->rows % 2];
    ct_json_init(&json, bytes, length);
    if (!ct_json_record(&json, members, MEMBERS, false) || !ct_json_end(&json)) {
        return refuse_json(reader, &json, 1);
    }
    if (members[COUNT].seen || members[XXH3].seen) {
        return close_dump(reader, members);
    }
    XXH3_64bits_update(reader->sum.state, bytes, length + 1);
    return take_row(reader, members);
}

/* ---------------------------------------------------------------- reading: the array form */

static void consume(ct_dump_reader *reader, size_t length)
{
    reader->begin += length;
    reader->column += length;
}

/* Passes over white space, and makes sure of a byte in the window unless the input has ended. */
static ctrack_status skip_space(ct_dump_reader *reader)
{
    for (;;) {
        while (available(reader) > 0) {
            char c = reader->window[reader->begin];
            if (c != ' ' && c != '\t' && c != '\r' && c != '\n') {
                return CTRACK_OK;
            }
            consume(reader, 1);
            if (c == '\n') {
                reader->line++;
                reader->column = 0;
            }
        }
        if (reader->ended || fill(reader) != CTRACK_OK) {
            return reader->fault.status;
        }
    }
}

/* The next byte that is not white space; NUL at the end of the input, and after a fault. */
static char peek(ct_dump_reader *reader)
{
    if (skip_space(reader) != CTRACK_OK || available(reader) == 0) {
        return '\0';
    }
    return reader->window[reader->begin];
}

static ctrack_status refuse_expected(ct_dump_reader *reader, const char *expected)
{
    if (reader->fault.status != CTRACK_OK) {
        return reader->fault.status;
    }
    char reason[80];
    snprintf(reason, sizeof reason, "%s, expected %s",
             available(reader) == 0 ? "the input ends here" : "this is not the array form", expected);
    return refuse(reader, reader->line, reader->column + 1, reason);
}

static bool expect(ct_dump_reader *reader, char c)
{
    if (peek(reader) != c) {
        const char expected[] = {'\'', c, '\'', '\0'};
        refuse_expected(reader, expected);
        return false;
    }
    consume(reader, 1);
    return true;
}

/* How much of the window the string at its beginning takes; all of it, if the input ends first. False: a fault. */
static bool string_length(ct_dump_reader *reader, size_t *length)
{
    bool escaped = false;
    for (size_t looked = 1;; looked++) {
        if (looked > KEY_STRING_LIMIT) {
            refuse(reader, reader->line, reader->column + 1, "the key is longer than any key");
            return false;
        }
        if (looked >= available(reader) && !reader->ended && fill(reader) != CTRACK_OK) {
            return false;
        }
        if (looked >= available(reader)) {
            *length = available(reader);
            return true;
        }
        char c = reader->window[reader->begin + looked];
        if (c == '"' && !escaped) {
            *length = looked + 1;
            return true;
        }
        escaped = c == '\\' && !escaped;
    }
}

/* The key of an entry: the texts of the row point into reader->key afterwards. */
static bool read_key(ct_dump_reader *reader)
{
    ct_json json;
    size_t length = 1;
    if (peek(reader) == '\0' || (reader->window[reader->begin] == '"' && !string_length(reader, &length))) {
        refuse_expected(reader, "a key");
        return false;
    }
    ct_json_init(&json, reader->window + reader->begin, length);
    if (!ct_json_string(&json, &reader->key, KEY_LIMIT)) {
        json.member = "key";
        refuse_json(reader, &json, reader->column + 1);
        return false;
    }
    ctrack_key key;
    size_t lengths[3];
    if (ct_key_parse(reader->key.text, &key, lengths, &reader->fault) != CTRACK_OK) {
        ct_error_context(&reader->fault, CTRACK_FORMAT, "%s:%zu", reader->name, reader->line);
        return false;
    }
    reader->row.text[CT_DUMP_DOCUMENT_ID] = key.document_id;
    reader->row.text[CT_DUMP_SCOPE] = key.scope;
    reader->row.text[CT_DUMP_BRANCH] = key.branch;
    reader->row.length[CT_DUMP_DOCUMENT_ID] = lengths[0];
    reader->row.length[CT_DUMP_SCOPE] = lengths[1];
    reader->row.length[CT_DUMP_BRANCH] = lengths[2];
    /* The three stand one after the other, each with its NUL. */
    size_t size = (size_t)(key.branch - key.document_id) + lengths[2] + 1;
    int added = hash_set_add(&reader->keys, key.document_id, size);
    if (added <= 0) {
        added < 0 ? ct_error_no_memory(&reader->fault)
                  : refuse(reader, reader->line, reader->column + 1, "the key came before");
        return false;
    }
    consume(reader, length);
    return true;
}

static bool read_index(ct_dump_reader *reader)
{
    if (peek(reader) == '\0') {
        refuse_expected(reader, "an index");
        return false;
    }
    while (available(reader) < NUMBER_LIMIT && !reader->ended) {
        if (fill(reader) != CTRACK_OK) {
            return false;
        }
    }
    ct_json json;
    size_t length = available(reader) < NUMBER_LIMIT ? available(reader) : NUMBER_LIMIT;
    ct_json_init(&json, reader->window + reader->begin, length);
    if (!ct_json_integer(&json, &reader->row.operation_index)) {
        json.member = "index";
        refuse_json(reader, &json, reader->column + 1);
        return false;
    }
    consume(reader, (size_t)(json.at - json.start));
    return true;
}

static ctrack_status next_entry(ct_dump_reader *reader)
{
    char c = peek(reader);
    if (c == ']') {
        consume(reader, 1);
        if (peek(reader) != '\0' || available(reader) > 0) {
            return refuse(reader, reader->line, reader->column + 1, "something follows the end of the array");
        }
        reader->finished = reader->fault.status == CTRACK_OK;
        return reader->fault.status;
    }
    if (reader->rows > 0) {
        if (c != ',') {
            return refuse_expected(reader, "',' or ']'");
        }
        consume(reader, 1);
    }
    if (expect(reader, '[') && read_key(reader) && expect(reader, ',') && read_index(reader) && expect(reader, ']')) {
        reader->rows++;
    }
    return reader->fault.status;
}

/* ---------------------------------------------------------------- reading */

/* Tells the forms apart by their first byte. */
static ctrack_status open_form(ct_dump_reader *reader)
{
    if (fill(reader) != CTRACK_OK) {
        return reader->fault.status;
    }
    if (available(reader) > 0 && reader->window[reader->begin] == '{') {
        return read_header(reader);
    }
    reader->line = 1;
    char first = peek(reader);
    if (first == '[') {
        reader->array = true;
        consume(reader, 1);
    } else if (reader->fault.status == CTRACK_OK) {
        refuse(reader, reader->line, 0,
               available(reader) == 0 ? "the input is empty"
                                      : "this is not a dump, which begins with '{', or with '['");
    }
    return reader->fault.status;
}

ctrack_status ct_dump_reader_open(ct_dump_reader **reader, ctrack_read_callback *read, void *argument, const char *name,
                                  ctrack_error *error)
{
    *reader = NULL;
    ct_dump_reader *fresh = ct_alloc_array(1, sizeof *fresh);
    if (fresh == NULL || checksum_init(&fresh->sum) != 0) {
        ct_free(fresh);
        return ct_error_no_memory(error);
    }
    fresh->read = read;
    fresh->argument = argument;
    fresh->name = name;
    memcpy(fresh->members[0], row_members, sizeof row_members);
    memcpy(fresh->members[1], row_members, sizeof row_members);
    struct timespec now = {0, 0};
    clock_gettime(CLOCK_MONOTONIC, &now);
    fresh->keys.seed = ((XXH64_hash_t)now.tv_sec << 32 ^ (XXH64_hash_t)now.tv_nsec) * 0x9E3779B97F4A7C15U ^
                       (XXH64_hash_t)(uintptr_t)fresh;
    if (open_form(fresh) != CTRACK_OK) {
        ctrack_status status = give(&fresh->fault, error);
        ct_dump_reader_free(fresh);
        return status;
    }
    *reader = fresh;
    return CTRACK_OK;
}

bool ct_dump_reader_is_array(const ct_dump_reader *reader)
{
    return reader->array;
}

size_t ct_dump_reader_read_models(const ct_dump_reader *reader, const char *const **read_models)
{
    *read_models = (const char *const *)reader->read_models;
    return reader->read_model_count;
}

ctrack_status ct_dump_reader_next(ct_dump_reader *reader, const ct_dump_row **row, ctrack_error *error)
{
    if (reader->fault.status == CTRACK_OK && !reader->finished) {
        reader->array ? next_entry(reader) : next_row(reader);
    }
    *row = reader->fault.status == CTRACK_OK && !reader->finished ? &reader->row : NULL;
    return give(&reader->fault, error);
}

void ct_dump_reader_free(ct_dump_reader *reader)
{
    if (reader == NULL) {
        return;
    }
    for (size_t i = 0; i < reader->read_model_count; i++) {
        ct_free(reader->read_models[i]);
    }
    ct_free(reader->read_models);
    ct_json_members_free(reader->members[0], MEMBERS);
    ct_json_members_free(reader->members[1], MEMBERS);
    ct_json_text_free(&reader->key);
    ct_free(reader->keys.slots);
    ct_free(reader->sum.block);
    ct_free(reader->window);
    ct_free(reader);
}
