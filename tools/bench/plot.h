/* SPDX-License-Identifier: MIT */
#ifndef BENCH_PLOT_H
#define BENCH_PLOT_H

/** The curves of a bench as a picture. */
#include "bench.h"

/**
 * Draws the bench's curves into a file in the directory, a self-contained SVG: a dot and a line for the medians, a bar
 * from the lowest to the highest round. `made` says by what and where they were measured.
 */
void plot_write(const bench *b, const char *directory, const char *made);

#endif
