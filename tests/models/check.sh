#!/bin/sh
# SPDX-License-Identifier: MIT
#
# check.sh SPIN CC MODEL: looks through every state of tests/models/MODEL.pml, then through those of every mutant that
# its head lists, in which a bug must be found. Fails if the model has an error or a mutant has none.
#
# With CTRACK_MODEL_LONG=1 waiting.pml is also searched with time limits and callbacks at once, and with three waiters.
# The latter has too many states to look through all, so that spin's bit-state search goes through as many as
# CTRACK_MODEL_MEMORY megabytes (default 1024) have room for.
set -u

if [ $# -ne 3 ]; then
    echo "usage: check.sh SPIN CC MODEL" >&2
    exit 2
fi
spin=$1
cc=$2
model=$3
source=$(dirname "$0")/$model.pml
if ! command -v "$spin" >/dev/null; then
    echo "SKIPPED: there is no spin here (apt-get install spin): the model of $model is NOT checked"
    exit 77
fi

directory=$(mktemp -d) || exit 1
trap 'rm -rf "$directory"' EXIT
trap 'exit 1' HUP INT TERM
cp "$source" "$directory" || exit 1
cd "$directory" || exit 1

failed=0

# search NAME FLAG...: what spin finds goes to ./NAME.out. Fails if it could not look.
search() {
    name=$1
    shift
    "$spin" -a "$@" "$model.pml" >"$name.out" 2>&1 &&
        # Not optimised: that takes the compiler longer than the search is faster.
        "$cc" -w -DSAFETY "$storage" -o pan pan.c >>"$name.out" 2>&1 &&
        ./pan -m100000 "$size" >>"$name.out" 2>&1
}

# Found nothing, and was not cut short.
is_clean() {
    grep -q 'errors: 0$' "$1.out" && ! grep -Eq 'Search not completed|depth too small|out of memory' "$1.out"
}

has_error() {
    grep -Eq 'errors: [1-9][0-9]*$' "$1.out" && grep -Eq 'assertion violated|invalid end state' "$1.out"
}

states() {
    sed -n 's/^ *\([0-9.e+]*\) states, stored.*/\1/p' "$1.out"
}

must_hold() {
    if search model "$@" && is_clean model; then
        echo "holds: $model $* ($(states model) states)"
    else
        echo "FAILED: $model $*"
        cat model.out
        [ -e "$model.pml.trail" ] && "$spin" -t -p "$@" "$model.pml"
        failed=1
    fi
    rm -f "$model.pml.trail"
}

must_break() {
    if search mutant "$@" && has_error mutant; then
        echo "found: $model $* ($(sed -n 's/^pan:1: //p' mutant.out))"
    else
        echo "FAILED: the bug was not found: $model $*"
        cat mutant.out
        failed=1
    fi
    rm -f "$model.pml.trail"
}

long=${CTRACK_MODEL_LONG:-0}
storage=-DMEMLIM=2048
size=-w24
case $model in
waiting)
    must_hold -DTIMED=1
    must_hold -DHEARD=1 -DABORTS=0
    if [ "$long" != 0 ]; then
        storage="-DCOLLAPSE"
        must_hold -DTIMED=1 -DHEARD=2
        bits=23 # log2: 2^23 bits are a megabyte
        megabytes=1
        while [ $((megabytes * 2)) -le "${CTRACK_MODEL_MEMORY:-1024}" ]; do
            megabytes=$((megabytes * 2))
            bits=$((bits + 1))
        done
        storage=-DBITSTATE
        size=-w$bits
        must_hold -DN=3
        must_hold -DN=3 -DTIMED=1 -DHEARD=2
        storage=-DMEMLIM=2048
        size=-w24
    fi
    ;;
turn)
    must_hold -DTHREADS=3 -DROUNDS=2
    must_hold -DTHREADS=4 -DROUNDS=1
    ;;
*)
    must_hold
    ;;
esac

mutants=$(sed -n 's/^ \*   \([A-Z][A-Z_]*[A-Z]\)  *[a-z].*/\1/p' "$model.pml")
if [ -z "$mutants" ]; then
    echo "FAILED: the head of $model.pml lists no mutants"
    exit 1
fi
for mutant in $mutants; do
    if [ "$(grep -c "^#ifn*def $mutant\$" "$model.pml")" -eq 0 ]; then
        echo "FAILED: $model.pml knows no $mutant"
        failed=1
    fi
    must_break "-D$mutant"
done
exit $failed
