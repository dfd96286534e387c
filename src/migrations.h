/* SPDX-License-Identifier: MIT */
#ifndef CT_MIGRATIONS_H
#define CT_MIGRATIONS_H

/**
 * The files of migrations/, as the build has embedded them (src/embed_migrations.cmake): in order, version i + 1 at
 * index i, the text byte for byte.
 */
typedef struct ct_migration {
    int version;      /**< 1, 2, 3 … without a gap */
    const char *name; /**< the file's name without ".sql": "0001_progress" */
    const char *sql;  /**< any number of statements */
} ct_migration;

extern const ct_migration ct_migrations[];
extern const int ct_migrations_count;

#endif
