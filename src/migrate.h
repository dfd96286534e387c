/* SPDX-License-Identifier: MIT */
#ifndef CT_MIGRATE_H
#define CT_MIGRATE_H

/**
 * The schema: bringing a file to it, and telling whether a file has it unaltered.
 *
 * Each migration is applied in one transaction with its row in ctrack_migration. `user_version` and `application_id`
 * are the host's. What a file must contain is what the migrations make of an empty database: every object that is named
 * ctrack_… or hangs on one of ours is compared, so that no trigger, view or index that somebody has put there can
 * swallow or bend what we write (a file can be altered so and still pass SQLite's own checks).
 */
#include <sqlite3.h>

#include "ctrack.h"

/**
 * Says how far the database has our schema: how many of ct_migrations it has, 0 if nothing of it. Writes nothing.
 *
 * Errors: CTRACK_SCHEMA when it has a migration that this library does not know; CTRACK_CORRUPT when our objects are
 * not as the migrations made them.
 */
ctrack_status ct_migrate_check(sqlite3 *db, int *version, ctrack_error *error);

/** Applies what is missing. */
ctrack_status ct_migrate_apply(sqlite3 *db, ctrack_error *error);

/**
 * Whether nobody but ctrack has ever changed the schema of the database, so that no other table ever was in it; else
 * it is not known. In a transaction.
 */
ctrack_status ct_migrate_untouched(sqlite3 *db, int64_t *is, ctrack_error *error);
/** Has a copy of an untouched database pass for one, too. The connection is one that distrusts (store.h). */
ctrack_status ct_migrate_mark(sqlite3 *db, ctrack_error *error);

#endif
