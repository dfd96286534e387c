/* SPDX-License-Identifier: MIT */
/*
 * Dumps that are not what they should be: each is a sound one in which a text is replaced, and has one expected status.
 * Most are sealed anew, with a checksum that is right, so that it is not the checksum that saves us. Whatever is
 * refused changes nothing.
 */
#define XXH_INLINE_ALL
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "ctrack.h"
#include "fault.h"

enum { TEXT_MAX = 1 << 20 };

static const char sound[] = "{\"ctrackDump\":1,\"readModels\":[\"default\",\"other\"]}\n"
                            "{\"readModel\":\"default\",\"documentId\":\"doc-1\",\"scope\":\"document\",\"branch\":"
                            "\"main\",\"operationIndex\":5}\n"
                            "{\"readModel\":\"default\",\"documentId\":\"d:3\",\"scope\":\"header\",\"branch\":\"dr\","
                            "\"operationIndex\":0}\n"
                            "{\"readModel\":\"other\",\"documentId\":\"doc-1\",\"scope\":\"document\",\"branch\":"
                            "\"main\",\"operationIndex\":9}\n"
                            "{\"count\":3,\"xxh3\":\"0000000000000000\"}\n";

typedef struct hostile {
    const char *name;
    ctrack_status expected;
    const char *from, *to; /* the first `from` becomes `to`; from NULL: `to` is all there is */
    bool altered;          /* after it was sealed */
} hostile;

#define DEEP16 "[[[[[[[[[[[[[[[["
static const hostile corpus[] = {
    {"sound", CTRACK_OK, "", "", false},
    {"index at its highest", CTRACK_OK, "operationIndex\":9", "operationIndex\":9223372036854775807", false},
    {"empty", CTRACK_FORMAT, NULL, "", true},
    {"an array", CTRACK_OK, NULL, "[[\"doc-9:document:main\",4]]", true},
    {"an empty array", CTRACK_OK, NULL, "[]", true},
    {"an array that does not end", CTRACK_FORMAT, NULL, "[[\"doc-9:document:main\",4]", true},
    {"an array of numbers", CTRACK_FORMAT, NULL, "[1,2]", true},
    {"an array with a negative index", CTRACK_FORMAT, NULL, "[[\"doc-9:document:main\",-4]]", true},
    {"an array with a key of two parts", CTRACK_FORMAT, NULL, "[[\"doc-9:document\",4]]", true},
    {"an array and more", CTRACK_FORMAT, NULL, "[[\"doc-9:document:main\",4]] x", true},
    {"a deep array", CTRACK_FORMAT, NULL, DEEP16 DEEP16 DEEP16 DEEP16, true},
    {"not JSON", CTRACK_FORMAT, NULL, "hello\n", true},
    {"a database", CTRACK_FORMAT, NULL, "SQLite format 3", true},
    {"a token", CTRACK_FORMAT, NULL, "{\"version\":1,\"coordinates\":[]}\n", true},
    {"null", CTRACK_FORMAT, NULL, "null\n", true},
    {"only the header", CTRACK_FORMAT, NULL, "{\"ctrackDump\":1,\"readModels\":[\"default\"]}\n", true},
    {"a newer version", CTRACK_FORMAT, "ctrackDump\":1", "ctrackDump\":2", false},
    {"version 0", CTRACK_FORMAT, "ctrackDump\":1", "ctrackDump\":0", false},
    {"a version in quotes", CTRACK_FORMAT, "ctrackDump\":1", "ctrackDump\":\"1\"", false},
    {"read models out of order", CTRACK_FORMAT, "\"default\",\"other\"", "\"other\",\"default\"", false},
    {"a read model twice", CTRACK_FORMAT, "\"default\",\"other\"", "\"default\",\"default\",\"other\"", false},
    {"a read model that is not in the header", CTRACK_FORMAT, "\"default\",\"other\"", "\"default\"", false},
    {"an unknown member in the header", CTRACK_FORMAT, "\"ctrackDump\":1", "\"ctrackDump\":1,\"more\":1", false},
    {"an unknown member in a row", CTRACK_FORMAT, "\"scope\":\"header\"", "\"scope\":\"header\",\"more\":1", false},
    {"a member twice", CTRACK_FORMAT, "\"scope\":\"header\"", "\"scope\":\"header\",\"scope\":\"header\"", false},
    {"a member missing", CTRACK_FORMAT, "\"scope\":\"header\",", "", false},
    {"a negative index", CTRACK_FORMAT, "operationIndex\":5", "operationIndex\":-5", false},
    {"a fraction", CTRACK_FORMAT, "operationIndex\":5", "operationIndex\":5.5", false},
    {"an exponent", CTRACK_FORMAT, "operationIndex\":5", "operationIndex\":5e1", false},
    {"a leading zero", CTRACK_FORMAT, "operationIndex\":5", "operationIndex\":05", false},
    {"an index in quotes", CTRACK_FORMAT, "operationIndex\":5", "operationIndex\":\"5\"", false},
    {"an index too high", CTRACK_FORMAT, "operationIndex\":5", "operationIndex\":9223372036854775808", false},
    {"an index of forty digits", CTRACK_FORMAT, "operationIndex\":5",
     "operationIndex\":1000000000000000000000000000000000000000", false},
    {"a null document", CTRACK_FORMAT, "\"documentId\":\"d:3\"", "\"documentId\":null", false},
    {"a document that is a number", CTRACK_FORMAT, "\"documentId\":\"d:3\"", "\"documentId\":3", false},
    {"NUL in a document", CTRACK_FORMAT, "d:3", "d\\u0000", false},
    {"half a surrogate", CTRACK_FORMAT, "d:3", "d\\ud800", false},
    {"a byte that is not UTF-8", CTRACK_FORMAT, "d:3", "d\xFF", false},
    {"an overlong character", CTRACK_FORMAT, "d:3", "d\xC0\x80", false},
    {"an unknown escape", CTRACK_FORMAT, "d:3", "d\\x41", false},
    {"a raw control character", CTRACK_FORMAT, "d:3", "d\x01", false},
    {"a line that breaks", CTRACK_FORMAT, "\"scope\":\"header\"", "\"scope\":\n\"header\"", false},
    {"an empty line", CTRACK_FORMAT, "{\"readModel\":\"other\"", "\n{\"readModel\":\"other\"", false},
    {"rows out of order", CTRACK_FORMAT, "\"scope\":\"document\"", "\"scope\":\"zoo\"", false},
    {"rows ordered by their documents", CTRACK_FORMAT, "\"scope\":\"header\",\"branch\":\"dr\"",
     "\"scope\":\"document\",\"branch\":\"main\"", false},
    {"a key twice", CTRACK_FORMAT, "\"documentId\":\"d:3\",\"scope\":\"header\",\"branch\":\"dr\"",
     "\"documentId\":\"doc-1\",\"scope\":\"document\",\"branch\":\"main\"", false},
    {"a row too few", CTRACK_FORMAT, "\"count\":3", "\"count\":4", false},
    {"a row too many", CTRACK_FORMAT, "\"count\":3", "\"count\":2", false},
    {"an altered index", CTRACK_FORMAT, "operationIndex\":5", "operationIndex\":6", true},
    {"an altered document", CTRACK_FORMAT, "doc-1", "doc-2", true},
    {"no checksum", CTRACK_FORMAT, ",\"xxh3\":", ",\"none\":", true},
    {"a closing line before the closing line", CTRACK_FORMAT, "{\"count\"",
     "{\"count\":3,\"xxh3\":\"0000000000000000\"}\n{\"count\"", true},
    {"a second closing line", CTRACK_FORMAT, "\"}\n", "\"}\n{\"count\":3,\"xxh3\":\"0000000000000000\"}\n", false},
    {"a byte after the end", CTRACK_FORMAT, "\"}\n", "\"}\n ", false},
    {"no line feed at the end", CTRACK_FORMAT, "\"}\n", "\"}", false},
    {"no closing line", CTRACK_FORMAT, "{\"count\":3,", "", true},
};

typedef struct text {
    char bytes[TEXT_MAX];
    size_t size, read;
} text;

static int read_text(void *data, size_t size, size_t *got, void *argument)
{
    text *t = argument;
    *got = size < t->size - t->read ? size : t->size - t->read;
    memcpy(data, t->bytes + t->read, *got);
    t->read += *got;
    return 0;
}

static void set_text(text *t, const char *content)
{
    t->size = strlen(content);
    t->read = 0;
    memcpy(t->bytes, content, t->size + 1);
}

static void replace(text *t, const char *from, const char *to)
{
    char *at = strstr(t->bytes, from);
    if (at == NULL) {
        abort();
    }
    char *rest = strdup(at + strlen(from));
    size_t length = (size_t)(at - t->bytes);
    t->size = length + (size_t)snprintf(at, TEXT_MAX - length, "%s%s", to, rest);
    free(rest);
}

/* Writes the checksum of all lines before the closing one into it. */
static void seal(text *t)
{
    static const char member[] = "\"xxh3\":\"";
    char *closing = strstr(t->bytes, "{\"count\""), sum[17];
    char *place = closing != NULL ? strstr(closing, member) : NULL;
    if (place != NULL) {
        snprintf(sum, sizeof sum, "%016llx", (unsigned long long)XXH3_64bits(t->bytes, (size_t)(closing - t->bytes)));
        memcpy(place + sizeof member - 1, sum, 16);
    }
}

static void make(text *t, const hostile *h)
{
    set_text(t, h->from != NULL ? sound : h->to);
    if (h->altered) {
        seal(t);
    }
    if (h->from != NULL) {
        replace(t, h->from, h->to);
    }
    if (!h->altered) {
        seal(t);
    }
}

static int64_t progress_of(ctrack *tracker)
{
    ctrack_snapshot *snapshot = NULL;
    int64_t sum = 0;
    if (ctrack_serialize(tracker, &snapshot, NULL) == CTRACK_OK) {
        for (size_t i = 0; i < ctrack_snapshot_count(snapshot); i++) {
            sum = sum * 31 + ctrack_snapshot_entries(snapshot)[i].operation_index + 1;
        }
    }
    ctrack_snapshot_free(snapshot);
    return sum;
}

static void try_dump(const hostile *h, const char *path, unsigned mode)
{
    static text t;
    static const ctrack_coordinate before[] = {{"a", "document", "main", 1}, {"b", "document", "main", 2}};
    ctrack *tracker = NULL;
    ctrack_error error = {CTRACK_OK, ""};
    remove(path);
    if (ctrack_open(path, NULL, &tracker, &error) != CTRACK_OK ||
        ctrack_update(tracker, before, 2, &error) != CTRACK_OK) {
        violation(h->name, "no tracker: %s", error.message);
        return;
    }
    make(&t, h);
    int64_t progress = progress_of(tracker);
    ctrack_status status = ctrack_restore(tracker, read_text, &t, "dump", (ctrack_restore_mode)mode, NULL, &error);
    if (status != h->expected) {
        violation(h->name, "it is %s (%s), expected %s", ctrack_status_name(status), error.message,
                  ctrack_status_name(h->expected));
    } else if (status != CTRACK_OK && strncmp(error.message, "dump:", 5) != 0) {
        violation(h->name, "the message does not say where: %s", error.message);
    }
    if ((status != CTRACK_OK || (mode & CTRACK_RESTORE_CHECK) != 0) && progress_of(tracker) != progress) {
        violation(h->name, "it was not applied, and has changed something all the same");
    }
    ctrack_close(tracker, NULL);
}

int main(int argc, char **argv)
{
    fault_options(argc, argv);
    char path[300];
    size_t count = sizeof corpus / sizeof corpus[0];
    snprintf(path, sizeof path, "%s/progress.db", fault_directory());
    for (size_t i = 0; i < count && !fault_enough(); i++) {
        try_dump(&corpus[i], path, CTRACK_RESTORE_REPLACE);
        try_dump(&corpus[i], path, CTRACK_RESTORE_MERGE);
        try_dump(&corpus[i], path, CTRACK_RESTORE_MERGE | CTRACK_RESTORE_CHECK);
    }
    fault_remove_directory();
    return fault_report("hostile_dumps", count, "dumps that are not what they should be");
}
