#!/bin/sh
# SPDX-License-Identifier: MIT
#
# coverage.sh ROOT BUILD LINES BRANCHES: how much of src/ the tests of this build have run; fails if less than so many
# percent of its lines or of its branches have, and lists what has not. uthash's macros are not our branches. Where
# nothing can get to, a comment says so and why: GCOVR_EXCL_LINE, GCOVR_EXCL_BR_LINE.
set -eu
report="$2/coverage.txt"
status=0
gcovr --root "$1" "$2/src" --filter "$1/src/" --exclude-branches-by-pattern '.*HASH_.*' --exclude-throw-branches \
    --exclude-unreachable-branches --print-summary --fail-under-line "$3" --fail-under-branch "$4" \
    --txt "$report" >"$report.summary" 2>&1 || status=$?
if [ "$status" -ne 0 ]; then
    cat "$report"
    gcovr --root "$1" "$2/src" --filter "$1/src/" --exclude-branches-by-pattern '.*HASH_.*' --exclude-throw-branches \
        --exclude-unreachable-branches --branches
fi
sed -n 's/^\(lines\|branches\): \(.*\)$/coverage: \1 \2/p' "$report.summary"
exit "$status"
