#!/bin/sh
# SPDX-License-Identifier: MIT
#
# exports.sh NM LIBRARY HEADER: fails unless the shared library exports exactly the calls that the header declares.
set -eu
nm=$1 library=$2 header=$3

# Names that begin with "__" are the sanitizers'.
exported=$("$nm" --dynamic --defined-only "$library" | awk '{print $NF}' | grep -v '^__' | sort)
declared=$(sed -n 's/^CTRACK_API .*[ *]\(ctrack_[a-z0-9_]*\)(.*/\1/p' "$header" | sort)

if [ "$exported" != "$declared" ]; then
    printf 'exported:\n%s\n\ndeclared:\n%s\n' "$exported" "$declared" >&2
    exit 1
fi
