/* SPDX-License-Identifier: MIT */
#ifndef BENCH_BENCHES_H
#define BENCH_BENCHES_H

/** All benches, for the registry in main.c, which says what each compares. */
#include "bench.h"

void bench_update_memory(bench *b); /* update.c */
void bench_update_with_waits(bench *b);
void bench_update_by_waits(bench *b);

void bench_update_file_sustained(bench *b); /* durable.c */
void bench_update_file_new_keys(bench *b);
void bench_group_commit_16(bench *b);
void bench_group_commit_64(bench *b);
void bench_update_by_threads(bench *b);

void bench_open(bench *b); /* open.c */

void bench_satisfied_in(bench *b); /* ask.c */
void bench_lazy_get(bench *b);

void bench_export(bench *b); /* export.c */
void bench_export_writer(bench *b);
void bench_dump(bench *b); /* dump.c */
void bench_restore(bench *b);

void bench_memory_per_key(bench *b); /* memory.c */
void bench_memory_per_wait(bench *b);

void bench_waits_register_settle(bench *b); /* waits.c */
void bench_wait_1000(bench *b);
void bench_waits_with_timeouts(bench *b);
void bench_waits_timing_out(bench *b);

void bench_wake_thread(bench *b); /* wake.c */
void bench_wake_callback(bench *b);

void bench_foreign_wake(bench *b); /* processes.c */
void bench_idle(bench *b);
void bench_foreign_waits(bench *b);
void bench_stage(bench *b);
void bench_catch_up(bench *b);

#endif
