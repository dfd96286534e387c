#!/bin/sh
# SPDX-License-Identifier: MIT
#
# figures.sh [LOG...]: puts the table of figures into tests/README.md, made of what the harnesses said: the lines
# `name: N what, V violations` in ctest's logs of the last runs (build/*/Testing/Temporary/LastTest.log), or in the files
# given, which may be what single programs have printed. Parts of a harness are added up; a mutant that was found counts
# for its harness.
set -eu
here=$(dirname "$0")
readme=$here/README.md
[ $# -gt 0 ] || set -- "$here"/../build/*/Testing/Temporary/LastTest.log

rows() {
    awk '
        FNR == 1 { mutant = 0; build = FILENAME ~ /build\/[^\/]*\/Testing/ ? FILENAME : ""; gsub(/.*build\/|\/Testing.*/, "", build) }
        /^[0-9]+\/[0-9]+ Testing: / { mutant = $0 ~ /_finds_|\/finds_/; seconds = 0 }
        /^[a-z_0-9]+: [0-9]+ .*, [0-9]+ violations$/ {
            name = $1; sub(":", "", name)
            if (mutant) { if ($(NF - 1) > 0) found[name]++; next }
            what = $0; sub(/^[^:]*: [0-9]+ /, "", what); sub(/, [0-9]+ violations$/, "", what)
            key = name SUBSEP what SUBSEP build
            count[key] += $2; violations[key] += $(NF - 1)
        }
        /^mutation: [0-9]+ .* killed, [0-9]+ survivors$/ { # branches inverted are mutants, each of which is to be found
            key = "mutation" SUBSEP "branches inverted" SUBSEP build
            count[key] += $2; violations[key] += 0; found["mutation"] += $5
        }
        END {
            for (key in count) {
                split(key, part, SUBSEP)
                printf "| `%s` | %s | %d %s | %d | %d |\n", part[1], part[3], count[key], part[2], violations[key], found[part[1]]
            }
        }' "$@" | sort
}

table=$(rows "$@")
[ -n "$table" ] || { echo "figures.sh: no harness has said anything in: $*" >&2; exit 1; }
{
    sed '/^<!-- figures -->$/q' "$readme"
    printf '\n| Harness | Build | Tried | Violations | Mutants found |\n|---|---|---|---|---|\n%s\n\n' "$table"
    sed -n '/^<!-- end of the figures -->$/,$p' "$readme"
} >"$readme.new"
mv "$readme.new" "$readme"
