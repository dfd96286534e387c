# SPDX-License-Identifier: MIT
"""host.py EXTENSION CTRACK DIRECTORY: the loadable extension in Python's sqlite3. Exits with 77 where that loads none."""
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import threading

extension, ctrack, directory = sys.argv[1:]
if not hasattr(sqlite3.Connection, "enable_load_extension"):
    print("this Python loads no extensions of SQLite: NOT tested")
    sys.exit(77)

shutil.rmtree(directory, ignore_errors=True)
os.makedirs(directory)
path = os.path.join(directory, "progress.db")


def token(index):
    key = {"documentId": "doc-7", "scope": "document", "branch": "main"}
    return json.dumps({"version": 1, "coordinates": [dict(key, operationIndex=index)]})


def satisfied(index):
    return db.execute("SELECT ctrack_satisfied(NULL, ?)", (token(index),)).fetchone()[0]


subprocess.run([ctrack, "update", path, "doc-7:document:main=12"], check=True)
db = sqlite3.connect(path, isolation_level=None)
db.enable_load_extension(True)
db.load_extension(extension)
db.enable_load_extension(False)

assert satisfied(12) == 1
assert satisfied(13) == 0
db.execute("BEGIN")
db.execute("CREATE TABLE row (id)")
assert db.execute("SELECT ctrack_stage(NULL, ?)", (token(13),)).fetchone()[0] == 1
assert satisfied(13) == 1
db.execute("ROLLBACK")
assert satisfied(13) == 0

# While another connection writes, it waits as long as the connection's timeout says, 5 seconds.
writer = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
for begin, end in (("SELECT 1", "SELECT 1"), ("BEGIN", "COMMIT")):
    writer.execute("BEGIN IMMEDIATE")
    leaving = threading.Timer(0.2, writer.execute, ("ROLLBACK",))
    leaving.start()
    db.execute(begin)
    assert db.execute("SELECT ctrack_stage(NULL, ?)", (token(12),)).fetchone()[0] == 1
    db.execute(end)
    leaving.join()

try:
    db.execute("SELECT ctrack_stage(NULL, 'no token')")
    sys.exit("text that is no token was taken")
except sqlite3.OperationalError as error:
    print(error)
