/* SPDX-License-Identifier: MIT */
/*
 * JSON, strictly.
 *
 * Why our own: an index must be exact over the whole of int64 (readers that go by way of double lose it beyond 2^53), a
 * refusal must say which byte and why, and the input comes from strangers. What RFC 8259 leaves open is closed here:
 *
 *  - Text is UTF-8 and is verified, in members that nobody asked for too. A byte order mark is refused (section 8.1).
 *  - \u escapes join surrogate pairs; half a pair is refused (section 8.2). U+0000 is refused where text is handed out.
 *  - An integer is digits: no sign, fraction or exponent, though 1.0 and 1e3 may be whole. Whoever wrote them used
 *    floating point, and a number that has been one may have been rounded before it came to us.
 *  - A member that is asked for may not be repeated (section 4 leaves open which one counts).
 *  - Values nest at most CT_JSON_DEPTH deep. The stack is a word of bits, one for each level: no recursion.
 *
 * The reader is a cursor. Each call reads one thing, looks at every byte once (so time is linear), and never looks at
 * `end`: a byte that is not there is asked for through peek(). The first fault is kept; later calls see it and return
 * false, so a caller may read on and look once.
 */
#include "json.h"

#include <stdio.h>
#include <string.h>

#include "alloc.h"
#include "text.h"

_Static_assert(CT_JSON_DEPTH <= 64, "the stack of ct_json_skip() is a word");

void ct_json_init(ct_json *json, const char *bytes, size_t length)
{
    json->start = json->at = bytes;
    json->end = bytes + length;
    json->depth = 0;
    json->fresh = false;
    json->status = CTRACK_OK;
    json->offset = 0;
    json->member = NULL;
    json->predicate = false;
    json->reason[0] = '\0';
}

/* ---------------------------------------------------------------- faults */

static bool fail(ct_json *json, ctrack_status status, const char *at, const char *reason)
{
    if (json->status == CTRACK_OK) {
        json->status = status;
        json->offset = (size_t)(at - json->start);
        snprintf(json->reason, sizeof json->reason, "%s", reason);
    }
    return false;
}

bool ct_json_fail(ct_json *json, const char *at, const char *reason)
{
    return fail(json, CTRACK_FORMAT, at, reason);
}

bool ct_json_fail_value(ct_json *json, const char *at, const char *member, const char *reason)
{
    if (json->status == CTRACK_OK) {
        json->member = member;
        json->predicate = true;
    }
    return fail(json, CTRACK_FORMAT, at, reason);
}

const char *ct_json_explain(const ct_json *json, const char *path, char *text, size_t size)
{
    bool nameless = json->member == NULL && path[0] == '\0' && json->predicate;
    const char *member = json->member != NULL ? json->member : nameless ? "the value" : "";
    const char *dot = path[0] != '\0' && member[0] != '\0' ? "." : "";
    const char *link = path[0] == '\0' && member[0] == '\0' ? "" : json->predicate ? " " : ": ";
    snprintf(text, size, "%s%s%s%s%s", path, dot, member, link, json->reason);
    return text;
}

/* ---------------------------------------------------------------- the cursor */

/* The byte at the cursor; NUL, which is never legal there, at the end. */
static char peek(const ct_json *json)
{
    if (json->at == json->end) {
        return '\0';
    }
    return *json->at;
}

static void skip_space(ct_json *json)
{
    while (json->at < json->end && (*json->at == ' ' || *json->at == '\n' || *json->at == '\r' || *json->at == '\t')) {
        json->at++;
    }
}

static bool fail_expected(ct_json *json, const char *expected)
{
    char reason[sizeof json->reason];
    snprintf(reason, sizeof reason, "%s, expected %s",
             json->at == json->end ? "the text ends here" : "this is not JSON", expected);
    return ct_json_fail(json, json->at, reason);
}

static const char *kind(const ct_json *json)
{
    switch (peek(json)) {
    case '{':
        return "an object";
    case '[':
        return "an array";
    case '"':
        return "a string";
    case 't':
    case 'f':
        return "a boolean";
    case 'n':
        return "null";
    case '-':
        return "a number";
    default:
        return peek(json) >= '0' && peek(json) <= '9' ? "a number" : NULL;
    }
}

static bool fail_kind(ct_json *json, const char *expected)
{
    const char *found = kind(json);
    if (found == NULL) {
        return fail_expected(json, expected);
    }
    char reason[sizeof json->reason];
    snprintf(reason, sizeof reason, "is %s, not %s", found, expected);
    return ct_json_fail_value(json, json->at, NULL, reason);
}

bool ct_json_enter(ct_json *json, char bracket)
{
    skip_space(json);
    if (json->status != CTRACK_OK) {
        return false;
    }
    if (peek(json) != bracket) {
        return fail_kind(json, bracket == '{' ? "an object" : "an array");
    }
    if (json->depth == CT_JSON_DEPTH) {
        return ct_json_fail(json, json->at, "nested too deeply");
    }
    json->at++;
    json->depth++;
    json->fresh = true;
    return true;
}

/* ---------------------------------------------------------------- strings */

/* The length of the longest beginning of [at, end) that is ASCII and means itself between quotes. */
static size_t plain_length(const char *at, const char *end)
{
    static const uint64_t ones = UINT64_C(0x0101010101010101), tops = UINT64_C(0x8080808080808080);
    const char *s = at;
    while (end - s >= 8) {
        uint64_t word;
        memcpy(&word, s, sizeof word);
        uint64_t quote = word ^ (ones * '"'), slash = word ^ (ones * '\\');
        uint64_t odd = (word - ones * 0x20) | (quote - ones) | (slash - ones);
        /* A top bit is set for every byte that is below 0x20, or is '"', or '\', or not ASCII (and perhaps, by a
         * borrow, for a byte after such a one): then the bytes are looked at one by one. */
        if (((odd | word) & tops) != 0) {
            break;
        }
        s += 8;
    }
    while (s < end && (unsigned char)*s >= 0x20 && (unsigned char)*s < 0x80 && *s != '"' && *s != '\\') {
        s++;
    }
    return (size_t)(s - at);
}

/* Adds bytes to text, if text is wanted. */
static bool append(ct_json *json, ct_json_text *text, const char *bytes, size_t length, size_t most, const char *start)
{
    if (text == NULL) {
        return true;
    }
    if (length > most - text->length) {
        char reason[sizeof json->reason];
        snprintf(reason, sizeof reason, "is longer than %zu bytes", most);
        return ct_json_fail_value(json, start, NULL, reason);
    }
    if (text->length + length >= text->capacity) {
        void *grown = text->text;
        if (ct_grow(&grown, &text->capacity, text->length + length + 1, 1) != 0) {
            return fail(json, CTRACK_NO_MEMORY, start, "out of memory");
        }
        text->text = grown;
    }
    memcpy(text->text + text->length, bytes, length);
    text->length += length;
    return true;
}

/* Four hexadecimal digits after \u, or -1. */
static int32_t hex4(const char *at, const char *end)
{
    int32_t value = 0;
    if (end - at < 4) {
        return -1;
    }
    for (int i = 0; i < 4; i++) {
        char c = at[i];
        int digit = c >= '0' && c <= '9'   ? c - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                           : -1;
        if (digit < 0) {
            return -1;
        }
        value = value * 16 + digit;
    }
    return value;
}

static size_t encode(char out[4], int32_t point)
{
    if (point < 0x80) {
        out[0] = (char)point;
        return 1;
    }
    size_t width = point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
    static const int lead[] = {0, 0, 0xC0, 0xE0, 0xF0};
    for (size_t i = width - 1; i > 0; i--) {
        out[i] = (char)(0x80 | (point & 0x3F));
        point >>= 6;
    }
    out[0] = (char)(lead[width] | point);
    return width;
}

/* Decodes the escape at the cursor, which stands on its '\', and moves past it. Returns the width, or 0. */
static size_t read_escape(ct_json *json, char out[4], bool nul)
{
    static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
    const char *at = json->at;
    if (json->end - at < 2) {
        ct_json_fail(json, at, "the text ends in a string");
        return 0;
    }
    const char *name = at[1] != '\0' ? strchr(names, at[1]) : NULL;
    if (name != NULL) {
        out[0] = values[name - names];
        json->at += 2;
        return 1;
    }
    int32_t point = at[1] == 'u' ? hex4(at + 2, json->end) : -1;
    if (point < 0) {
        ct_json_fail(json, at, at[1] == 'u' ? "a \\u that four hexadecimal digits do not follow" : "an unknown escape");
        return 0;
    }
    json->at += 6;
    if (point >= 0xD800 && point <= 0xDFFF) {
        bool second = json->end - at >= 12 && at[6] == '\\' && at[7] == 'u';
        int32_t low = second ? hex4(at + 8, json->end) : -1;
        if (point > 0xDBFF || low < 0xDC00 || low > 0xDFFF) {
            ct_json_fail_value(json, at, NULL, "has half a surrogate pair");
            return 0;
        }
        point = 0x10000 + ((point - 0xD800) << 10) + (low - 0xDC00);
        json->at += 6;
    }
    if (point == 0 && !nul) {
        ct_json_fail_value(json, at, NULL, "has a \\u0000, which text may not hold");
        return 0;
    }
    return encode(out, point);
}

/* Reads a string into `text`, or past it if that is NULL. The cursor stands on its first quote. */
static bool read_string(ct_json *json, ct_json_text *text, size_t most, bool nul)
{
    const char *start = json->at++;
    if (text != NULL) {
        text->length = 0;
    }
    for (;;) {
        const char *run = json->at;
        json->at += plain_length(run, json->end);
        /* Whole characters that are not ASCII belong to the run too. */
        size_t width = 1;
        while (json->at < json->end && (unsigned char)*json->at >= 0x80 && width > 0) {
            width = ct_text_character(json->at, (size_t)(json->end - json->at));
            json->at += width;
        }
        if (!append(json, text, run, (size_t)(json->at - run), most, start)) {
            return false;
        }
        if (width == 0) {
            return ct_json_fail_value(json, json->at, NULL, "is not valid UTF-8");
        }
        if (json->at == json->end) {
            return ct_json_fail(json, json->at, "the text ends in a string");
        }
        if (*json->at == '"') {
            json->at++;
            break;
        }
        if (*json->at == '\\') {
            char decoded[4];
            width = read_escape(json, decoded, nul);
            if (width == 0 || !append(json, text, decoded, width, most, start)) {
                return false;
            }
        } else if ((unsigned char)*json->at < 0x20) {
            return ct_json_fail_value(json, json->at, NULL, "has a control character that is not escaped");
        }
    }
    if (text != NULL) {
        text->text[text->length] = '\0'; /* append() leaves room for it, and has been called */
    }
    return true;
}

bool ct_json_string(ct_json *json, ct_json_text *text, size_t most)
{
    skip_space(json);
    if (json->status != CTRACK_OK) {
        return false;
    }
    return peek(json) == '"' ? read_string(json, text, most, false) : fail_kind(json, "a string");
}

/* Makes a fault of a value stand alone: "has half a surrogate pair" becomes "a string has half a surrogate pair". */
static bool restate(ct_json *json, const char *what)
{
    if (json->predicate) {
        char reason[sizeof json->reason];
        memcpy(reason, json->reason, sizeof reason);
        snprintf(json->reason, sizeof json->reason, "%.18s %.99s", what, reason);
        json->predicate = false;
    }
    return false;
}

/* ct_json_next(), for both kinds of container; the name is passed over if `name` is NULL. */
static bool next(ct_json *json, bool object, ct_json_text *name)
{
    skip_space(json);
    if (json->status != CTRACK_OK) {
        return false;
    }
    if (peek(json) == (object ? '}' : ']')) {
        json->at++;
        json->depth--;
        json->fresh = false;
        return false;
    }
    if (!json->fresh) {
        if (peek(json) != ',') {
            return fail_expected(json, object ? "',' or '}'" : "',' or ']'");
        }
        json->at++;
        skip_space(json);
    }
    json->fresh = false;
    if (!object) {
        return true;
    }
    if (peek(json) != '"') {
        return fail_expected(json, "the name of a member");
    }
    if (!read_string(json, name, SIZE_MAX, true)) {
        return restate(json, "a name");
    }
    skip_space(json);
    if (peek(json) != ':') {
        return fail_expected(json, "':'");
    }
    json->at++;
    return true;
}

bool ct_json_next(ct_json *json, ct_json_text *name)
{
    return next(json, name != NULL, name);
}

/* ---------------------------------------------------------------- numbers and the rest */

static size_t digits_length(const ct_json *json, const char *at)
{
    const char *s = at;
    while (s < json->end && *s >= '0' && *s <= '9') {
        s++;
    }
    return (size_t)(s - at);
}

/* Moves past a number as section 6 writes it; *whole: it has neither fraction nor exponent. */
static bool read_number(ct_json *json, bool *whole)
{
    const char *at = json->at + (peek(json) == '-' ? 1 : 0);
    size_t length = digits_length(json, at);
    if (length == 0 || (length > 1 && *at == '0')) {
        return ct_json_fail(json, at, length == 0 ? "a number without digits" : "a number with a leading zero");
    }
    at += length;
    *whole = true;
    if (at < json->end && *at == '.') {
        *whole = false;
        at++;
        length = digits_length(json, at);
        at += length;
    }
    if (length > 0 && at < json->end && (*at == 'e' || *at == 'E')) {
        *whole = false;
        at++;
        at += at < json->end && (*at == '+' || *at == '-') ? 1 : 0;
        length = digits_length(json, at);
        at += length;
    }
    if (length == 0) {
        return ct_json_fail(json, at, "a number without digits");
    }
    json->at = at;
    return true;
}

bool ct_json_integer(ct_json *json, int64_t *integer)
{
    skip_space(json);
    if (json->status != CTRACK_OK) {
        return false;
    }
    const char *start = json->at;
    const char *found = kind(json);
    if (found == NULL || strcmp(found, "a number") != 0) {
        return fail_kind(json, "an integer");
    }
    bool whole;
    if (!read_number(json, &whole)) {
        return false;
    }
    if (!whole) {
        return ct_json_fail_value(json, start, NULL, "is not an integer written as digits only");
    }
    if (*start == '-') {
        return ct_json_fail_value(json, start, NULL,
                                  json->at - start == 2 && start[1] == '0' ? "is -0" : "is negative");
    }
    int64_t value = 0;
    for (const char *s = start; s < json->at; s++) {
        int digit = *s - '0';
        if (value > (INT64_MAX - digit) / 10) {
            return ct_json_fail_value(json, start, NULL, "is greater than 9223372036854775807");
        }
        value = value * 10 + digit;
    }
    *integer = value;
    return true;
}

static bool skip_word(ct_json *json)
{
    static const char *const words[] = {"true", "false", "null"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        size_t length = strlen(words[i]);
        if ((size_t)(json->end - json->at) >= length && memcmp(json->at, words[i], length) == 0) {
            json->at += length;
            return true;
        }
    }
    return fail_expected(json, "a value");
}

static bool skip_scalar(ct_json *json)
{
    bool whole;
    char first = peek(json);
    if (first == '"') {
        return read_string(json, NULL, 0, true);
    }
    return first == '-' || (first >= '0' && first <= '9') ? read_number(json, &whole) : skip_word(json);
}

bool ct_json_skip(ct_json *json)
{
    const unsigned outside = json->depth;
    uint64_t objects = 0; /* bit n: the container at depth n + 1 is an object */
    do {
        skip_space(json);
        char first = peek(json);
        if (first == '{' || first == '[') {
            if (!ct_json_enter(json, first)) {
                return false;
            }
            uint64_t bit = UINT64_C(1) << (json->depth - 1);
            objects = first == '{' ? objects | bit : objects & ~bit;
        } else if (json->status != CTRACK_OK || !skip_scalar(json)) {
            return restate(json, "a string");
        }
        /* Leaves what ends here; goes round again if another value is due. */
        while (json->depth > outside && !next(json, (objects >> (json->depth - 1) & 1) != 0, NULL)) {
            if (json->status != CTRACK_OK) {
                return false;
            }
        }
    } while (json->depth > outside);
    return true;
}

bool ct_json_end(ct_json *json)
{
    skip_space(json);
    if (json->at < json->end) {
        ct_json_fail(json, json->at, "something follows the end");
    }
    return json->status == CTRACK_OK;
}

/* ---------------------------------------------------------------- records */

/* The member of that name; members mostly come in the order of the table, so the search begins where the last ended. */
static ct_json_member *find_member(ct_json_member *members, size_t count, size_t *hint, const ct_json_text *name)
{
    for (size_t i = 0; i < count; i++) {
        size_t at = *hint + i < count ? *hint + i : *hint + i - count;
        if (strlen(members[at].name) == name->length && memcmp(members[at].name, name->text, name->length) == 0) {
            *hint = at + 1 < count ? at + 1 : 0;
            return &members[at];
        }
    }
    return NULL;
}

static bool read_member(ct_json *json, ct_json_member *member, const char *name_at)
{
    if (member->seen) {
        return ct_json_fail_value(json, name_at, member->name, "is repeated");
    }
    member->seen = true;
    bool read =
        member->integer ? ct_json_integer(json, &member->number) : ct_json_string(json, &member->text, CTRACK_TEXT_MAX);
    if (!read) {
        json->member = member->name;
    }
    return read;
}

bool ct_json_record(ct_json *json, ct_json_member *members, size_t count, bool others)
{
    for (size_t i = 0; i < count; i++) {
        members[i].seen = false;
    }
    ct_json_text name = {NULL, 0, 0};
    size_t hint = 0;
    bool good = ct_json_enter(json, '{');
    while (good && ct_json_next(json, &name)) {
        const char *value = json->at;
        ct_json_member *member = find_member(members, count, &hint, &name);
        if (member != NULL) {
            good = read_member(json, member, value);
        } else if (others) {
            good = ct_json_skip(json);
        } else {
            char reason[sizeof json->reason];
            snprintf(reason, sizeof reason, "unknown member \"%.60s\"", name.text);
            good = ct_json_fail(json, value, reason);
        }
    }
    ct_json_text_free(&name);
    return json->status == CTRACK_OK;
}

void ct_json_text_free(ct_json_text *text)
{
    ct_free(text->text);
    *text = (ct_json_text){NULL, 0, 0};
}

void ct_json_members_free(ct_json_member *members, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        ct_json_text_free(&members[i].text);
    }
}

/* ---------------------------------------------------------------- writing */

static size_t escape_control(char *out, unsigned point)
{
    static const char hex[] = "0123456789abcdef", values[] = "\"\\\b\f\n\r\t", names[] = "\"\\bfnrt";
    const char *value = strchr(values, (int)point);
    out[0] = '\\';
    if (value != NULL) {
        out[1] = names[value - values];
        return 2;
    }
    out[1] = 'u';
    out[2] = out[3] = '0';
    out[4] = hex[point >> 4];
    out[5] = hex[point & 0xF];
    return 6;
}

size_t ct_json_escape(char *out, const char *text, size_t length)
{
    const char *at = text, *const end = text + length;
    const char *del = length > 0 ? memchr(text, 0x7F, length) : NULL; /* the next one */
    char *to = out;
    while (at < end) {
        if (del != NULL && at > del) {
            del = memchr(at, 0x7F, (size_t)(end - at));
        }
        /* DEL is the one control character that JSON lets stand. */
        size_t run = plain_length(at, del != NULL ? del : end);
        memcpy(to, at, run);
        at += run;
        to += run;
        if (at == end) {
            break;
        }
        size_t width = ct_text_character(at, (size_t)(end - at));
        if (width == 0 || *at == '\0') {
            return SIZE_MAX;
        }
        if (width == 1) {
            to += escape_control(to, (unsigned char)*at);
        } else if (width == 2 && (unsigned char)at[0] == 0xC2 && (unsigned char)at[1] < 0xA0) {
            to += escape_control(to, (unsigned char)at[1]);
        } else {
            memcpy(to, at, width);
            to += width;
        }
        at += width;
    }
    return (size_t)(to - out);
}

size_t ct_json_digits(char *out, int64_t integer)
{
    char digits[20];
    size_t count = 0;
    uint64_t rest = integer < 0 ? 0 - (uint64_t)integer : (uint64_t)integer;
    do {
        digits[count++] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest > 0);
    size_t length = 0;
    if (integer < 0) {
        out[length++] = '-';
    }
    while (count > 0) {
        out[length++] = digits[--count];
    }
    return length;
}
