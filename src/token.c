/* SPDX-License-Identifier: MIT */
#include "token.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "alloc.h"
#include "error.h"
#include "json.h"
#include "snapshot.h"
#include "text.h"

/* ---------------------------------------------------------------- reading */

enum { DOCUMENT_ID, SCOPE, BRANCH, OPERATION_INDEX, COORDINATE_MEMBERS };

typedef struct parse {
    ct_json json;
    ct_json_text name;
    ct_json_member coordinate[COORDINATE_MEMBERS];
    bool in_coordinates; /* the coordinate that is being read is number `index` */
    size_t index;
    bool version_seen, created_seen, coordinates_seen;
    ctrack_snapshot *snapshot;
} parse;

static bool no_memory(parse *p)
{
    p->json.status = CTRACK_NO_MEMORY;
    return false;
}

/* Reads one element of coordinates, which must have every member. */
static bool read_coordinate(parse *p)
{
    ct_json_member *const members = p->coordinate;
    const char *start = p->json.at;
    if (!ct_json_record(&p->json, members, COORDINATE_MEMBERS, true)) {
        return false;
    }
    for (size_t i = 0; i < COORDINATE_MEMBERS; i++) {
        if (!members[i].seen) {
            return ct_json_fail_value(&p->json, start, members[i].name, "is missing");
        }
    }
    const char *const text[3] = {members[DOCUMENT_ID].text.text, members[SCOPE].text.text, members[BRANCH].text.text};
    const size_t length[3] = {members[DOCUMENT_ID].text.length, members[SCOPE].text.length,
                              members[BRANCH].text.length};
    if (ct_snapshot_add(p->snapshot, text, length, members[OPERATION_INDEX].number, -1) != 0) {
        return no_memory(p);
    }
    return true;
}

static bool read_coordinates(parse *p)
{
    if (!ct_json_enter(&p->json, '[')) {
        return false;
    }
    for (p->index = 0; ct_json_next(&p->json, NULL); p->index++) {
        p->in_coordinates = true;
        if (!read_coordinate(p)) {
            return false;
        }
        p->in_coordinates = false;
    }
    return p->json.status == CTRACK_OK;
}

static bool read_version(parse *p)
{
    int64_t version;
    const char *start = p->json.at;
    if (!ct_json_integer(&p->json, &version)) {
        return false;
    }
    if (version != CT_TOKEN_VERSION) {
        char reason[sizeof p->json.reason];
        snprintf(reason, sizeof reason, "is %lld, but only version %d is known", (long long)version, CT_TOKEN_VERSION);
        return ct_json_fail_value(&p->json, start, "version", reason);
    }
    return true;
}

static bool read_created(parse *p)
{
    /* For people; the text is not looked at. What is no string is refused, since it means something that we do not
     * know. The name of the member is not needed any more, and lends its memory. */
    return ct_json_string(&p->json, &p->name, SIZE_MAX);
}

/* Reads the value of the member whose name was just read. */
static bool read_member(parse *p)
{
    struct {
        const char *name;
        bool *seen;
        bool (*read)(parse *);
    } const members[] = {
        {"version", &p->version_seen, read_version},
        {"createdAtUtcIso", &p->created_seen, read_created},
        {"coordinates", &p->coordinates_seen, read_coordinates},
    };
    for (size_t i = 0; i < sizeof members / sizeof members[0]; i++) {
        if (strlen(members[i].name) != p->name.length || strcmp(members[i].name, p->name.text) != 0) {
            continue;
        }
        if (*members[i].seen) {
            return ct_json_fail_value(&p->json, p->json.at, members[i].name, "is repeated");
        }
        *members[i].seen = true;
        bool good = members[i].read(p);
        if (!good && p->json.member == NULL && !p->in_coordinates) {
            p->json.member = members[i].name;
        }
        return good;
    }
    return ct_json_skip(&p->json);
}

static bool read_token(parse *p)
{
    bool good = ct_json_enter(&p->json, '{');
    while (good && ct_json_next(&p->json, &p->name)) {
        good = read_member(p);
    }
    if (!good || p->json.status != CTRACK_OK || !ct_json_end(&p->json)) {
        return false;
    }
    if (!p->version_seen || !p->coordinates_seen) {
        return ct_json_fail_value(&p->json, p->json.end, p->version_seen ? "coordinates" : "version", "is missing");
    }
    if (ct_snapshot_seal(p->snapshot) != 0) {
        return no_memory(p);
    }
    return true;
}

static ctrack_status explain(const parse *p, ctrack_error *error)
{
    if (p->json.status == CTRACK_NO_MEMORY) {
        return ct_error_no_memory(error);
    }
    char path[40] = "", fault[sizeof p->json.reason + 80];
    if (p->in_coordinates) {
        snprintf(path, sizeof path, "coordinates[%zu]", p->index);
    }
    return ct_error_set(error, CTRACK_FORMAT, "token: %s (offset %zu)",
                        ct_json_explain(&p->json, path, fault, sizeof fault), p->json.offset);
}

ctrack_status ctrack_token_parse(const char *json, size_t length, ctrack_snapshot **coordinates, ctrack_error *error)
{
    parse p = {.coordinate = {CT_JSON_TEXT("documentId"), CT_JSON_TEXT("scope"), CT_JSON_TEXT("branch"),
                              CT_JSON_INTEGER("operationIndex")}};
    if (json == NULL || coordinates == NULL) {
        return ct_error_set(error, CTRACK_INVALID, "%s is NULL", json == NULL ? "json" : "coordinates");
    }
    ct_json_init(&p.json, json, length);
    p.snapshot = ct_snapshot_new();
    ctrack_status status = CTRACK_OK;
    if (p.snapshot == NULL) {
        status = ct_error_no_memory(error);
    } else if (!read_token(&p)) {
        status = explain(&p, error);
    } else {
        *coordinates = p.snapshot;
        p.snapshot = NULL;
    }
    ctrack_snapshot_free(p.snapshot);
    ct_json_text_free(&p.name);
    ct_json_members_free(p.coordinate, COORDINATE_MEMBERS);
    return status;
}

/* ---------------------------------------------------------------- writing */

/* Text that is written as far as it fits, and counted as if it all did. */
typedef struct sink {
    char *text;
    size_t size, length;
} sink;

static void put(sink *to, const char *text, size_t length)
{
    if (to->length < to->size) {
        size_t room = to->size - to->length;
        memcpy(to->text + to->length, text, length < room ? length : room);
    }
    to->length += length;
}

static void put_string(sink *to, const char *text)
{
    char piece[CT_JSON_ESCAPED * 4];
    put(to, "\"", 1);
    for (size_t left = strlen(text); left > 0;) {
        size_t width = ct_text_character(text, left);
        put(to, piece, ct_json_escape(piece, text, width));
        text += width;
        left -= width;
    }
    put(to, "\"", 1);
}

static void put_coordinate(sink *to, const ctrack_coordinate *coordinate)
{
    static const char *const heads[3] = {"{\"documentId\":", ",\"scope\":", ",\"branch\":"};
    const char *const components[3] = {coordinate->document_id, coordinate->scope, coordinate->branch};
    for (int i = 0; i < 3; i++) {
        put(to, heads[i], strlen(heads[i]));
        put_string(to, components[i]);
    }
    char tail[48];
    int length = snprintf(tail, sizeof tail, ",\"operationIndex\":%lld}", (long long)coordinate->operation_index);
    put(to, tail, (size_t)length);
}

static void put_header(sink *to)
{
    struct timespec now = {0, 0};
    struct tm utc = {.tm_year = 70, .tm_mday = 1}; /* stays so when the clock is beyond what a year can be */
    char second[40], header[160];
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    strftime(second, sizeof second, "%Y-%m-%dT%H:%M:%S", &utc);
    int length = snprintf(header, sizeof header, "{\"version\":%d,\"createdAtUtcIso\":\"%s.%03ldZ\",\"coordinates\":[",
                          CT_TOKEN_VERSION, second, now.tv_nsec / 1000000);
    put(to, header, (size_t)length);
}

size_t ctrack_token_format(const ctrack_coordinate *coordinates, size_t count, char *text, size_t size)
{
    sink to = {text, size, 0};
    if (size > 0) {
        text[0] = '\0';
    }
    for (size_t i = 0; i < count; i++) {
        ctrack_key key = ct_text_key(&coordinates[i]);
        if (coordinates[i].operation_index < 0 || ct_text_check_key(&key, "", NULL) != CTRACK_OK) {
            return 0;
        }
    }
    put_header(&to);
    for (size_t i = 0; i < count; i++) {
        put(&to, ",", i > 0 ? 1 : 0);
        put_coordinate(&to, &coordinates[i]);
    }
    put(&to, "]}", 2);
    if (size > 0) {
        text[to.length < size ? to.length : size - 1] = '\0';
    }
    return to.length;
}
