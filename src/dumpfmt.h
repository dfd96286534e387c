/* SPDX-License-Identifier: MIT */
#ifndef CT_DUMPFMT_H
#define CT_DUMPFMT_H

/**
 * The text of a dump: a writer and a reader, one row at a time, in bounded memory. No policy, no file, no database. The
 * form is described at the top of dumpfmt.c.
 */
#include "ctrack.h"

/** The texts of a row, in the order in which rows are sorted by them. */
enum { CT_DUMP_READ_MODEL, CT_DUMP_SCOPE, CT_DUMP_BRANCH, CT_DUMP_DOCUMENT_ID, CT_DUMP_TEXTS };

/** A row. Texts are valid UTF-8 without NUL, at most CTRACK_TEXT_MAX bytes. */
typedef struct ct_dump_row {
    const char *text[CT_DUMP_TEXTS]; /**< when read: NUL-terminated; in the array form the read model is NULL */
    size_t length[CT_DUMP_TEXTS];    /**< in bytes */
    int64_t operation_index;         /**< 0 … INT64_MAX */
} ct_dump_row;

/* ---------------------------------------------------------------- writing */

typedef struct ct_dump_writer ct_dump_writer;

/**
 * Begins a dump with its header. The read models are strictly ascending (bytewise); `read_models` must outlive the
 * writer. On failure *writer is NULL.
 * Errors: CTRACK_INVALID for bad read models, CTRACK_NO_MEMORY. Here and below CTRACK_IO when the callback fails.
 */
ctrack_status ct_dump_writer_begin(ct_dump_writer **writer, const char *const *read_models, size_t count,
                                   ctrack_write_callback *write, void *argument, ctrack_error *error);

/** Writes a row; rows come strictly ascending by their texts, of read models that the header names.
 * Errors: CTRACK_CORRUPT for a row that is not so, or that could not be read back (bad text, negative index). */
ctrack_status ct_dump_writer_row(ct_dump_writer *writer, const ct_dump_row *row, ctrack_error *error);

/** Writes the closing line and what is still in the buffer. Without it there is no dump. */
ctrack_status ct_dump_writer_end(ct_dump_writer *writer, ctrack_error *error);

void ct_dump_writer_free(ct_dump_writer *writer); /**< NULL is fine; writes nothing */

/* ---------------------------------------------------------------- reading */

typedef struct ct_dump_reader ct_dump_reader;

/**
 * Begins to read, and reads the header. On failure *reader is NULL. `name` is what messages call the input; it must
 * outlive the reader.
 * Errors, here and below: CTRACK_FORMAT with `name:line: reason`, CTRACK_IO when the callback fails, CTRACK_NO_MEMORY.
 */
ctrack_status ct_dump_reader_open(ct_dump_reader **reader, ctrack_read_callback *read, void *argument, const char *name,
                                  ctrack_error *error);

/** Whether the input is the array form, `[["documentId:scope:branch",5],…]`: its rows have no read model, come in any
 * order, and have no closing line. */
bool ct_dump_reader_is_array(const ct_dump_reader *reader);

/** The read models that the header names, strictly ascending; none in the array form. They live as long as the reader.
 */
size_t ct_dump_reader_read_models(const ct_dump_reader *reader, const char *const **read_models);

/**
 * Reads the next row. No key comes twice, in either form.
 *
 * Nothing is verified before the end is reached: whatever is done with the rows must be undone if a later call fails.
 *
 * @param[out] row  Valid until the next call. NULL: the end; all of the input was there, and is what was written.
 */
ctrack_status ct_dump_reader_next(ct_dump_reader *reader, const ct_dump_row **row, ctrack_error *error);

void ct_dump_reader_free(ct_dump_reader *reader); /**< NULL is fine */

#endif
