#!/bin/sh
# SPDX-License-Identifier: MIT
#
# hardened.sh READELF LIBRARY PROGRAM: fails unless what an optimised build makes is hardened: addresses are bound at
# the start and read-only afterwards, no stack is executable, overwritten stacks are noticed, programs go anywhere.
set -eu
readelf=$1 library=$2 program=$3

# expect FILE WHAT PATTERN OPTION: the output of readelf OPTION has the pattern.
expect() {
    if ! "$readelf" --wide "$4" "$1" | grep -Eq -e "$3"; then
        echo "$1: no $2" >&2
        exit 1
    fi
}

for file in "$library" "$program"; do
    expect "$file" "read-only relocations" GNU_RELRO --program-headers
    expect "$file" "binding at the start" 'BIND_NOW|FLAGS.* NOW' --dynamic
    expect "$file" "stack that cannot be executed" 'GNU_STACK .* RW ' --program-headers
    expect "$file" "stack protector" __stack_chk_fail --symbols
done
expect "$program" "position-independent code" 'Type: +DYN' --file-header
