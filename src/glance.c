/* SPDX-License-Identifier: MIT */
#include "glance.h"

#include <string.h>

#include "identity.h"

bool ct_glance_same(const ct_glance *before, sqlite3 *db, ct_glance *now)
{
    now->mapped = before->mapped != NULL ? before->mapped : ct_identity_index(db);
    now->known = now->mapped != NULL;
    for (size_t i = 0; i < sizeof now->words / sizeof now->words[0]; i++) {
        now->words[i] = now->known ? now->mapped[i] : 0;
    }
    return before->known && memcmp(now->words, before->words, sizeof now->words) == 0;
}
