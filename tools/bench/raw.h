/* SPDX-License-Identifier: MIT */
#ifndef BENCH_RAW_H
#define BENCH_RAW_H

/**
 * The raw parts that the tracker is made of, as one would write them by hand without it. They are the measure: where
 * there is a choice they do less than the tracker must.
 */
#include "load.h"

/**
 * A uthash table with the tracker's hash: XXH3, 64 bits, seeded, cut to 32. One malloc for each entry. No lock.
 */
typedef struct raw_table raw_table;

raw_table *raw_table_new(uint64_t seed);
void raw_table_free(raw_table *table);
/** Adds a key that is not there yet. */
void raw_table_add(raw_table *table, const void *key, size_t length, int64_t index);
/** The index of a key, which must be there. */
int64_t raw_table_find(const raw_table *table, const void *key, size_t length);
size_t raw_table_count(const raw_table *table);

/**
 * A SQLite file with one table, its primary key the text `documentId:scope:branch`, written with one prepared
 * `INSERT … ON CONFLICT DO UPDATE`. WAL, synchronous=FULL, SQLite's own automatic checkpoints, all else as it comes.
 */
typedef struct raw_file raw_file;

raw_file *raw_file_open(const char *path);
/** Writes the coordinates in one transaction. */
void raw_file_upsert(raw_file *file, const ctrack_coordinate *coordinates, size_t count);
/**
 * In one transaction of a file that is a tracker's too: upserts the coordinates, and stages them with ctrack_stage(),
 * in either order. Microseconds of each, without BEGIN and COMMIT.
 */
void raw_file_compare_staging(raw_file *file, const ctrack_coordinate *coordinates, size_t count, bool stage_first,
                              double *staging, double *upserting);
void raw_file_close(raw_file *file);

/** Makes a file with these keys at index 0, quickly. */
void raw_file_make(const char *path, const load *l);

/** Selects all rows of such a file into a new table. */
raw_table *raw_file_load(const char *path, uint64_t seed);
/** The same from the tables of a tracker's file, in which every key was written once. */
raw_table *raw_tables_load(const char *path, uint64_t seed);
/** Selects the rows behind `since` of a tracker's log and looks each up in the table. Returns how many there are. */
size_t raw_log_lookup(const char *path, int64_t since, const raw_table *table);
/** The one number that a query gives. */
int64_t raw_query(const char *path, const char *sql);

#endif
