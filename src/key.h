/* SPDX-License-Identifier: MIT */
#ifndef CT_KEY_H
#define CT_KEY_H

/** Keys as text, `documentId:scope:branch`: ctrack_key_parse() and ctrack_key_format() of the public header. */
#include "ctrack.h"

/** ctrack_key_parse(), which also tells how long the components are. `lengths` may be NULL. */
ctrack_status ct_key_parse(char *text, ctrack_key *key, size_t lengths[3], ctrack_error *error);

#endif
