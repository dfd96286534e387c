#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
Branch mutation: every conditional jump that the compiler has made of src/ is inverted in turn, and the tests in
tests/unit and tests/api must notice.

A condition and its opposite differ in one bit of the machine code, so nothing is compiled or linked for a mutant: a
copy of each test program, which the library is linked into, has that bit turned. Tests run one after the other, first
those that have killed most for the same file; a mutant is killed by the first that fails, crashes or takes ten times as
long as it should. Jumps that come from other people's headers (uthash, xxhash) are left out.

A survivor is a missing test, unless its line stands in equivalent.txt: FILE, TAB, the text of the line, TAB, the reason.

  mutate.py BUILD [--sample N --seed S] [--file NAME.c] [--least PERCENT] [--jobs N]

BUILD is an optimised build with debug information (build/release). Without --sample, all jumps.
"""
import argparse
import collections
import concurrent.futures
import json
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
HERE = os.path.dirname(os.path.abspath(__file__))

Mutant = collections.namedtuple("Mutant", "file line text function offset")


def run(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


# ---------------------------------------------------------------- what there is to invert

def source_lines(name, cache={}):
    if name not in cache:
        with open(os.path.join(ROOT, "src", name), encoding="utf-8") as file:
            cache[name] = [line.strip() for line in file]
    return cache[name]


def jumps_of(path, name):
    """The conditional jumps of an object file, with the line of src/ that each belongs to."""
    function, line, start = None, None, 0
    for text in run("objdump", "-d", "-l", "--no-show-raw-insn", "-w", path).splitlines():
        if match := re.match(r"^([0-9a-f]+) <(.+)>:$", text):
            start, function, line = int(match[1], 16), match[2], None
        elif match := re.match(r"^(\S+):(\d+)(?: \(discriminator \d+\))?$", text):
            line = int(match[2]) if match[1].endswith("/src/" + name) else None
        elif match := re.match(r"^\s+([0-9a-f]+):\s+j(?!mp)([a-z]+)\s", text):
            if line is not None and not match[2].startswith(("cxz", "ecxz", "rcxz")):
                source = source_lines(name)[line - 1]
                if "HASH_" not in source:
                    yield Mutant(name, line, source, function, int(match[1], 16) - start)


def all_jumps(build, only):
    directory = os.path.join(build, "src/CMakeFiles/ctrack_objects.dir")
    mutants = []
    for entry in sorted(os.listdir(directory)):
        if entry.endswith(".c.o") and only in (None, entry[:-2]):
            mutants += jumps_of(os.path.join(directory, entry), entry[:-2])
    return mutants


# ---------------------------------------------------------------- test programs

class Program:
    """A test program with the library in it."""

    def __init__(self, name, path):
        self.name, self.path, self.seconds = name, path, 0.0
        with open(path, "rb") as file:
            self.image = file.read()
        self.functions = {}
        source = None
        for text in run("readelf", "-sW", path).splitlines():
            part = text.split()
            if len(part) < 7 or not part[0].rstrip(":").isdigit():
                continue
            if part[3] == "FILE":
                source = part[7] if len(part) > 7 else None  # then come those that are hidden
            elif part[3] == "FUNC" and part[6] != "UND":
                self.functions[(source if part[4] == "LOCAL" else None, part[7])] = int(part[1], 16)
        for text in run("readelf", "-SW", path).splitlines():
            if match := re.search(r"\] \.text\s+PROGBITS\s+([0-9a-f]+) ([0-9a-f]+)", text):
                self.shift = int(match[2], 16) - int(match[1], 16)

    def has(self, mutant):
        return self.place(mutant) is not None

    def place(self, mutant):
        address = self.functions.get((mutant.file, mutant.function), self.functions.get((None, mutant.function)))
        if address is None:
            return None
        at = address + mutant.offset + self.shift
        if self.image[at] == 0x0F and self.image[at + 1] & 0xF0 == 0x80:
            return at + 1
        if self.image[at] & 0xF0 == 0x70:
            return at
        raise SystemExit(f"{self.name}: there is no conditional jump at {mutant.function}+{mutant.offset:#x}")

    def mutated(self, mutant, path):
        at = self.place(mutant)
        with open(path, "wb") as file:
            file.write(self.image[:at] + bytes([self.image[at] ^ 1]) + self.image[at + 1:])
        os.chmod(path, 0o700)


def limits():
    os.setsid()
    resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 30, 1 << 30))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def passes(path, directory, seconds):
    """Runs a program; whether it ends well in time. What it has started ends with it."""
    process = subprocess.Popen(WRAPPER + [path], cwd=directory, env=dict(os.environ, TMPDIR=directory),
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL,
                               preexec_fn=limits)
    try:
        return process.wait(timeout=seconds) == 0
    except subprocess.TimeoutExpired:
        return False
    finally:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.wait()


def programs_of(build, scratch, pool):
    """The unit and api tests, each run once as it is."""
    def measure(test):
        program = Program(test["name"], test["command"][0])
        began = time.monotonic()
        if not passes(program.path, scratch, 300):
            raise SystemExit(f"{program.name} fails without a mutant")
        program.seconds = time.monotonic() - began
        return program

    tests = json.loads(run("ctest", "--test-dir", build, "--show-only=json-v1"))["tests"]
    wanted = re.compile(r"(unit|api)/.*(?<!_polling)$")  # those have a source of their own in the library's place
    return list(pool.map(measure, (test for test in tests if wanted.match(test["name"]))))


# Tests that mount something must not leave it behind when they are killed.
WRAPPER = []
if subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode == 0:
    WRAPPER = ["unshare", "--mount"]


# ---------------------------------------------------------------- the whole

class Hunt:
    def __init__(self, programs, scratch):
        self.programs, self.scratch = programs, scratch
        self.kills = collections.Counter()  # by file and program
        self.lock = threading.Lock()

    def order(self, mutant):
        stem = mutant.file[:-2]
        with self.lock:
            def rank(program):
                named = stem in program.name
                return -(self.kills[mutant.file, program.name] + (3 if named else 0.1)) / (program.seconds + 0.02)
            return sorted((p for p in self.programs if p.has(mutant)), key=rank)

    def killer(self, mutant):
        """The name of the first test that notices, or None."""
        directory = tempfile.mkdtemp(dir=self.scratch)
        programs = self.order(mutant)
        if not programs:
            raise SystemExit(f"no test has {mutant.function} of {mutant.file}")
        try:
            for program in programs:
                path = os.path.join(directory, "mutant")
                program.mutated(mutant, path)
                if not passes(path, directory, max(3.0, 10 * program.seconds)):
                    with self.lock:
                        self.kills[mutant.file, program.name] += 1
                    return program.name
                os.unlink(path)
            return None
        finally:
            shutil.rmtree(directory, ignore_errors=True)


def equivalents():
    known = set()
    with open(os.path.join(HERE, "equivalent.txt"), encoding="utf-8") as file:
        for line in file:
            if line.strip() and not line.startswith("#"):
                name, text, _reason = line.rstrip("\n").split("\t")
                known.add((name, text))
    return known


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build")
    parser.add_argument("--sample", type=int)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--file")
    parser.add_argument("--least", type=float, default=0)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    options = parser.parse_args()
    known = equivalents()
    mutants = [m for m in all_jumps(options.build, options.file) if (m.file, m.text) not in known]
    total = len(mutants)
    if options.sample is not None and options.sample < total:
        mutants = random.Random(options.seed).sample(mutants, options.sample)
    scratch = tempfile.mkdtemp(prefix="ctrack-mutation-", dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None)
    survivors = []
    try:
        with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
            hunt = Hunt(programs_of(options.build, scratch, pool), scratch)
            print(f"{len(mutants)} of {total} conditional jumps, seed {options.seed}", flush=True)
            for mutant, killer in zip(mutants, pool.map(hunt.killer, mutants)):
                if killer is None:
                    survivors.append(mutant)
                    print(f"survived: src/{mutant.file}:{mutant.line}: {mutant.text} "
                          f"({mutant.function}+{mutant.offset:#x})", flush=True)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    killed = len(mutants) - len(survivors)
    print(f"mutation: {len(mutants)} branches inverted, {killed} killed, {len(survivors)} survivors")
    return 0 if killed * 100 >= options.least * len(mutants) else 1


if __name__ == "__main__":
    sys.exit(main())
