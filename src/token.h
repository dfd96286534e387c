/* SPDX-License-Identifier: MIT */
#ifndef CT_TOKEN_H
#define CT_TOKEN_H

/** Consistency tokens as JSON: ctrack_token_parse() and ctrack_token_format() of the public header. */
#include "ctrack.h"

/** The version of the tokens that are read and written. */
#define CT_TOKEN_VERSION 1

#endif
