#!/bin/sh
# SPDX-License-Identifier: MIT
#
# example.sh HEADER FILE: writes the example that stands in the header's opening comment to FILE.
set -eu

sed -n '/^ [*] ```c$/,/^ [*] ```$/{
/```/d
s/^ [*] \{0,1\}//p
}' "$1" >"$2"
