/* SPDX-License-Identifier: MIT */
/* Whatever a dump holds, it is refused with a message, or written again as a dump that is read. */
#include <string.h>

#include "dumpfmt.h"
#include "fuzz.h"

static ct_dump_writer *begin_again(const ct_dump_reader *reader, fuzz_text *again)
{
    ct_dump_writer *writer = NULL;
    const char *const *read_models;
    size_t count = ct_dump_reader_read_models(reader, &read_models);
    fuzz_require(ct_dump_writer_begin(&writer, read_models, count, fuzz_write, again, NULL) == CTRACK_OK,
                 "its read models cannot be written");
    return writer;
}

/* Reads all of it; writes it into `again` if that is not NULL and the input is a dump. */
static ctrack_status pass(fuzz_text *text, fuzz_text *again)
{
    ct_dump_reader *reader = NULL;
    ct_dump_writer *writer = NULL;
    const ct_dump_row *row = NULL;
    ctrack_error error = {CTRACK_OK, ""};
    ctrack_status status = ct_dump_reader_open(&reader, fuzz_read, text, "fuzz", &error);
    if (status == CTRACK_OK && again != NULL && !ct_dump_reader_is_array(reader)) {
        writer = begin_again(reader, again);
    }
    while (status == CTRACK_OK && (status = ct_dump_reader_next(reader, &row, &error)) == CTRACK_OK && row != NULL) {
        fuzz_require(writer == NULL || ct_dump_writer_row(writer, row, NULL) == CTRACK_OK, "a row cannot be written");
    }
    fuzz_require(status == CTRACK_OK || (status == CTRACK_FORMAT && strncmp(error.message, "fuzz:", 5) == 0),
                 "it is refused with %s: \"%s\"", ctrack_status_name(status), error.message);
    fuzz_require(writer == NULL || ct_dump_writer_end(writer, NULL) == CTRACK_OK, "the end cannot be written");
    ct_dump_writer_free(writer);
    ct_dump_reader_free(reader);
    return status;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_text text = fuzz_dump(data, size), again = {NULL, 0, 0, 0};
    if (pass(&text, &again) == CTRACK_OK && again.length > 0) {
        fuzz_require(pass(&again, NULL) == CTRACK_OK, "what is written again is refused");
    }
    fuzz_text_free(&text);
    fuzz_text_free(&again);
    return 0;
}
