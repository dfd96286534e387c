#!/bin/sh
# SPDX-License-Identifier: MIT
#
# on_fixed_sqlite.sh DIRECTORY COMPILER PROGRAM [ARGUMENT...]: runs a program that is linked with the system's SQLite on
# one without the WAL-reset bug (src/store.h). Its source is in the npm package better-sqlite3; it is fetched and compiled
# into the directory once. Exits with 77 where it cannot be had.
set -eu
directory=$1 compiler=$2
shift 2

skip() {
    echo "SKIPPED: $*: NOTHING is tested on a SQLite without the WAL-reset bug"
    exit 77
}

fetch() {
    command -v npm >/dev/null || skip "npm is not here"
    npm pack better-sqlite3@12 >npm.log 2>&1 || skip "npm cannot fetch better-sqlite3 ($directory/npm.log)"
    tar -xzf better-sqlite3-12.*.tgz package/deps/sqlite3
    "$compiler" -O1 -fPIC -shared -w -Wl,-soname,libsqlite3.so.0 -o new.so package/deps/sqlite3/sqlite3.c -lm
    mv new.so libsqlite3.so.0
}

mkdir -p "$directory"
cd "$directory"
exec 9>lock
flock 9 # tests run side by side
[ -e libsqlite3.so.0 ] || fetch
exec 9>&-
LD_LIBRARY_PATH=$directory exec "$@"
