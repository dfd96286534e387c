/* SPDX-License-Identifier: MIT */
/* Whatever the text of a key holds, it is refused with a message, or the key is written as a text that says the same.
 */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "text.h"

static char *copy_of(const void *bytes, size_t length)
{
    char *text = malloc(length + 1); /* as long as it has to be: the sanitizer sees who reads further */
    fuzz_require(text != NULL, "out of memory");
    memcpy(text, bytes, length);
    text[length] = '\0';
    return text;
}

/* A text that is cut off ends where it must, and is the beginning of the whole. */
static void require_cut(const ctrack_key *key, const char *whole, size_t length)
{
    size_t size = length / 2 + 1;
    char *part = malloc(size);
    fuzz_require(part != NULL && ctrack_key_format(key, part, size) == length, "its length depends on the room");
    fuzz_require(strlen(part) < size && strncmp(part, whole, strlen(part)) == 0, "it is cut off wrong");
    free(part);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ctrack_key key, again;
    ctrack_error error = {CTRACK_OK, ""};
    char *text = copy_of(data, size);
    ctrack_status status = ctrack_key_parse(text, &key, &error);
    if (status == CTRACK_OK) {
        size_t length = ctrack_key_format(&key, NULL, 0);
        char *written = malloc(length + 1);
        fuzz_require(ct_text_check_key(&key, "key", NULL) == CTRACK_OK, "a part is not valid");
        fuzz_require(written != NULL && ctrack_key_format(&key, written, length + 1) == length, "it is not written");
        require_cut(&key, written, length);
        fuzz_require(ctrack_key_parse(written, &again, NULL) == CTRACK_OK, "it is not read again");
        fuzz_require(strcmp(key.document_id, again.document_id) == 0 && strcmp(key.scope, again.scope) == 0 &&
                         strcmp(key.branch, again.branch) == 0,
                     "it is another key");
        free(written);
    } else {
        fuzz_require(status == CTRACK_FORMAT && error.message[0] != '\0', "it is refused with %s: \"%s\"",
                     ctrack_status_name(status), error.message);
    }
    free(text);
    return 0;
}
