/* SPDX-License-Identifier: MIT */
#ifndef CT_PIPE_H
#define CT_PIPE_H

/** Pipes that carry nothing but "something has happened": both ends close on exec and never block. */

int ct_pipe_make(int ends[2]);         /**< 0, or -1 with errno set */
void ct_pipe_write(const int ends[2]); /**< makes ends[0] readable; a full pipe is readable already */

#endif
