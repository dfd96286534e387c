/* SPDX-License-Identifier: MIT */
#ifndef TEMPLATE_H
#define TEMPLATE_H

/** The files that runs begin with, and a dump to restore. See run_make_templates(). */
#include "run.h"

/** The dump of both models, and what it says. */
const char *template_dump(size_t *size);
void template_dumped(ledger_change *change);

#endif
