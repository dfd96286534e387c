#!/bin/sh
# SPDX-License-Identifier: MIT
#
# shell.sh SQLITE3 EXTENSION CTRACK DIRECTORY: the loadable extension in the sqlite3 shell.
set -eu
sqlite3=$1 extension=$2 ctrack=$3 directory=$4

rm -rf "$directory"
mkdir -p "$directory"
file=$directory/progress.db
"$ctrack" update "$file" doc-7:document:main=12

# expect WANTED SQL: what the shell answers, errors included.
expect() {
    got=$("$sqlite3" "$file" ".load $extension" "$2" 2>&1 || true)
    case $got in
    $1) ;;
    *)
        printf '%s\nwanted: %s\ngot: %s\n' "$2" "$1" "$got" >&2
        exit 1
        ;;
    esac
}

token() {
    printf '{"version":1,"coordinates":[{"documentId":"%s","scope":"document","branch":"main","operationIndex":%s}]}' \
        "$1" "$2"
}

expect 0.1.0 "SELECT ctrack_version()"
expect 1 "SELECT ctrack_satisfied(NULL, '$(token doc-7 12)')"
expect 0 "SELECT ctrack_satisfied('default', '$(token doc-7 13)')"
expect 0 "SELECT ctrack_satisfied('orders', '$(token doc-7 12)')"

# Staged progress and the host's rows come and go together.
expect 1 "CREATE TABLE row (id); BEGIN; INSERT INTO row VALUES (1);
          SELECT ctrack_stage(NULL, '$(token doc-7 20)'); ROLLBACK"
expect 0 "SELECT ctrack_satisfied(NULL, '$(token doc-7 13)')"
expect '1
1' "BEGIN; SELECT ctrack_stage(NULL, '$(token doc-7 20)'); SELECT ctrack_satisfied(NULL, '$(token doc-7 20)'); COMMIT"
expect '1' "SELECT ctrack_stage(NULL, '$(token doc-8 3)')"
[ "$("$ctrack" get "$file" doc-7:document:main)" = 20 ]
[ "$("$ctrack" get "$file" doc-8:document:main)" = 3 ]

# One answer for each row of a statement that goes on reading.
expect '1
0
1' "CREATE TABLE token (json); INSERT INTO token VALUES ('$(token doc-7 1)'), ('$(token doc-7 21)'), ('$(token doc-8 3)');
    SELECT ctrack_satisfied(NULL, json) FROM token ORDER BY rowid"

# What is wrong is named.
expect '*token is NULL*' "SELECT ctrack_satisfied(NULL, NULL)"
expect '*operationIndex*' "SELECT ctrack_stage(NULL, '$(token doc-7 -1)')"
expect '*NUL in it*' "SELECT ctrack_stage(char(97, 0), '$(token doc-7 1)')"
expect '*unsafe use of ctrack_stage*' "CREATE TABLE t (x); CREATE TRIGGER hook AFTER INSERT ON t BEGIN
    SELECT ctrack_stage(NULL, '$(token doc-7 99)'); END; INSERT INTO t VALUES (1)"
[ "$("$ctrack" get "$file" doc-7:document:main)" = 20 ]
file=$directory/other.db
expect '*no ctrack tables*' "SELECT ctrack_stage(NULL, '$(token doc-7 1)')"
