#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# run.sh PROGRAM SEEDS: fuzzes with a target, beginning with the inputs in the directory SEEDS. The last line says how
# many inputs there were; a violation is a crash, a hang, a sanitizer's report, or what the target does not put up with,
# and its input is kept beside the program.
#
#   CTRACK_FUZZ_SECONDS=20   for so long
#   CTRACK_FUZZ_RUNS=N       so many inputs, however long it takes
#   CTRACK_FUZZ_SEED=N       the sequence of them; 0 for one that is new each time. Else it is the same each time, so
#                            that what is found can be repeated.
#
# New inputs of interest are kept beside the program, too, and begin the next run. The few of them that are worth it go
# to the seeds with: PROGRAM -merge=1 SEEDS KEPT
set -euo pipefail
program=$1 seeds=$2
name=$(basename "$program")
kept=$(dirname "$program")/corpus/$name
work=$(mktemp -d "$(if [ -w /dev/shm ]; then echo /dev/shm; else echo /tmp; fi)/ctrack-fuzz-XXXXXX")
trap 'rm -rf "$work"' EXIT
mkdir -p "$kept"

limit=-max_total_time=${CTRACK_FUZZ_SECONDS:-20}
if [ -n "${CTRACK_FUZZ_RUNS:-}" ]; then
    limit=-runs=$CTRACK_FUZZ_RUNS
fi
# SQLite's many small pieces of memory are what takes the time: what is freed is watched for a while only.
export ASAN_OPTIONS=malloc_context_size=3:quarantine_size_mb=8 UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1
export TMPDIR=$work
violations=0
"$program" "$limit" -seed="${CTRACK_FUZZ_SEED:-1}" -timeout=20 -malloc_limit_mb=128 -print_final_stats=1 -verbosity=1 \
    -artifact_prefix="$(dirname "$program")/$name-" "$kept" "$seeds" >"$work/log" 2>&1 || violations=1
if [ $violations -ne 0 ]; then
    grep -v "^#" "$work/log" | tail -60
fi
inputs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$work/log")
echo "$name: ${inputs:-0} inputs, $violations violations"
exit $violations
