#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
Branch mutation: every conditional jump that the compiler has made of src/ is inverted in turn, and the tests must
notice: those in tests/unit and tests/api, hostile_files, hostile_dumps, and call_faults in the first of its ways.

A condition and its opposite differ in one bit of the machine code, so nothing is compiled or linked for a mutant: a
copy of each test program, which the library is linked into, has that bit turned. Tests run one after the other, first
those that are named after the file, then those that are about it (concerns.txt), then the others; the scenarios of
call_faults come last. A mutant is killed by the first that fails, crashes or takes five times as long as it should.
Jumps that come from other people's headers (uthash, xxhash) are left out.

A survivor is a missing test, unless its line stands in equivalent.txt: FILE, TAB, the text of the line, TAB, the reason.

  mutate.py BUILD [--sample N --seed S] [--file NAME.c[:LINE]] [--least PERCENT] [--jobs N] [--verbose]

BUILD is an optimised build with debug information (build/release). Without --sample, all jumps.
"""
import argparse
import collections
import concurrent.futures
import hashlib
import json
import os
import re
import resource
import selectors
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
    name, _colon, line = (only or "").partition(":")
    directory = os.path.join(build, "src/CMakeFiles/ctrack_objects.dir")
    mutants = []
    for entry in sorted(os.listdir(directory)):
        if entry.endswith(".c.o") and name in ("", entry[:-2]):
            mutants += jumps_of(os.path.join(directory, entry), entry[:-2])
    return [m for m in mutants if line in ("", str(m.line))]


# ---------------------------------------------------------------- test programs

class Program:
    """A test program with the library in it. Its images are shared by the tests that run it."""

    def __init__(self, path):
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

    def place(self, mutant):
        address = self.functions.get((mutant.file, mutant.function), self.functions.get((None, mutant.function)))
        if address is None:
            return None
        at = address + mutant.offset + self.shift
        if self.image[at] == 0x0F and self.image[at + 1] & 0xF0 == 0x80:
            return at + 1
        if self.image[at] & 0xF0 == 0x70:
            return at
        raise SystemExit(f"there is no conditional jump at {mutant.function}+{mutant.offset:#x}")

    def mutated(self, mutant, path):
        at = self.place(mutant)
        with open(path, "wb") as file:
            file.write(self.image[:at] + bytes([self.image[at] ^ 1]) + self.image[at + 1:])
        os.chmod(path, 0o700)


class Test:
    """A program with its arguments."""

    def __init__(self, name, program, path, *arguments):
        self.name, self.program, self.path, self.arguments = name, program, path, arguments
        self.measured, self.lock = None, threading.Lock()

    def seconds(self, scratch):
        """How long it takes as it is. Taken when it is first asked for: most mutants die before the last tests."""
        with self.lock:
            if self.measured is None:
                began = time.monotonic()
                if trouble([self.path, *self.arguments], scratch, 300) is not None:
                    raise SystemExit(f"{self.name} fails without a mutant")
                self.measured = time.monotonic() - began
            return self.measured


def limits():
    os.setsid()
    resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 30, 1 << 30))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


class Programs:
    """What runs at the moment, so that it can be ended early."""

    def __init__(self):
        self.running, self.ended, self.lock = set(), False, threading.Lock()

    def start(self, command, **how):
        with self.lock:
            process = subprocess.Popen(command, **how)
            self.running.add(process)
            if self.ended:
                self.kill(process)
            return process

    def end(self, process):
        with self.lock:
            self.kill(process)
            self.running.discard(process)
        process.wait()

    def end_all(self):
        with self.lock:
            self.ended = True
            for process in self.running:
                self.kill(process)

    @staticmethod
    def kill(process):
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


PROGRAMS = Programs()


ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def interrupt(_signal, _frame):
    """The first one ends everything in order, which a second one must not disturb (timeout(1) sends two)."""
    for number in ENDINGS:
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def says_failed(process, until):
    """Reads what a program says, until it says that a test has failed (cmocka does so at once), or ends."""
    said = b""
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while (left := until - time.monotonic()) > 0:
            if selector.select(left):
                piece = os.read(process.stdout.fileno(), 65536)
                if not piece:
                    return False
                said = said[-20:] + piece
                if b"[  FAILED  ]" in said:
                    return True
    return False


def make_directory(where):
    """Others may pass: some tests go on as nobody."""
    directory = tempfile.mkdtemp(prefix="ctrack-mutation-", dir=where)
    os.chmod(directory, 0o711)
    return directory


def trouble(command, scratch, seconds):
    """Runs a program: None if it ends well, or what it does else. What it has started ends with it."""
    directory = make_directory(scratch)
    until = time.monotonic() + seconds
    process = PROGRAMS.start(WRAPPER + command, cwd=directory, env=dict(os.environ, TMPDIR=directory),
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                             preexec_fn=limits)
    try:
        failed = says_failed(process, until) or process.wait(max(0, until - time.monotonic())) != 0
        return "fails" if failed else None
    except subprocess.TimeoutExpired:
        return "hangs"
    finally:
        PROGRAMS.end(process)
        process.stdout.close()
        shutil.rmtree(directory, ignore_errors=True)


def tests_of(build):
    """The unit and api tests, and the faults, in which each scenario is a test."""
    tests = []
    wanted = re.compile(r"((unit|api)/.*(?<!_polling)|fault/hostile_(files|dumps))$")
    with tempfile.TemporaryDirectory() as aside:  # in the build directory it would end the log of a ctest that runs this
        with open(os.path.join(aside, "CTestTestfile.cmake"), "w", encoding="utf-8") as file:
            file.write(f'subdirs("{os.path.abspath(build)}")\n')
        listed = json.loads(run("ctest", "--test-dir", aside, "--show-only=json-v1"))
    for test in listed["tests"]:
        if wanted.match(test["name"]):  # polling has a source of its own in the library's place
            path = test["command"][0]
            tests.append(Test(test["name"], Program(path), path))
    path = os.path.abspath(os.path.join(build, "tests/fault/call_faults"))
    program = Program(path)
    for text in run(path, "--ways", "0").splitlines():
        if match := re.match(r"^  (\S.*\S) +\d+ calls,", text):
            tests.append(Test("call_faults: " + match[1], program, path, "--scenario", match[1], "--ways", "1",
                              "--enough", "1"))
    return tests


# Tests that mount something must not leave it behind when they are killed.
WRAPPER = []
if subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode == 0:
    WRAPPER = ["unshare", "--mount"]


# ---------------------------------------------------------------- the whole

def concerns():
    """The words in the names of the tests that are about a file, by its name."""
    with open(os.path.join(HERE, "concerns.txt"), encoding="utf-8") as file:
        lines = [line.split() for line in file if line.strip() and not line.startswith("#")]
    return {name: words for name, *words in lines}


class Hunt:
    def __init__(self, tests, scratch):
        self.tests, self.scratch, self.words = tests, scratch, concerns()
        self.kills = collections.Counter()  # by file and test
        self.lock = threading.Lock()

    def order(self, mutant):
        stem = mutant.file[:-2]

        def rank(test):
            named = f"unit/{stem}_test" == test.name
            about = stem in test.name or any(word in test.name for word in self.words.get(stem, []))
            return (not named, not (about or self.kills[mutant.file, test.name]), test.name.startswith("call_faults"),
                    -self.kills[mutant.file, test.name], test.measured or 0)
        with self.lock:
            return sorted((t for t in self.tests if t.program.place(mutant) is not None), key=rank)

    def killer(self, mutant):
        """What the first test that notices does, or None."""
        directory = make_directory(self.scratch)
        path = os.path.join(directory, "mutant")
        tests = self.order(mutant)
        if not tests:
            raise SystemExit(f"no test has {mutant.function} of {mutant.file}")
        try:
            image = None
            for test in tests:
                limit = 2 + 5 * test.seconds(self.scratch)
                if image is not test.program:
                    image = test.program
                    image.mutated(mutant, path)
                if (what := trouble([path, *test.arguments], directory, limit)) is not None:
                    with self.lock:
                        self.kills[mutant.file, test.name] += 1
                    return f"{test.name} {what}"
            return None
        finally:
            shutil.rmtree(directory, ignore_errors=True)


def sample(mutants, size, seed):
    """Drawn by what a jump is and not by where it stands, so that a change of the library changes little of a sample."""
    seen, drawn = collections.Counter(), []
    for mutant in mutants:
        what = f"{seed} {mutant.file} {mutant.function} {mutant.text}"
        seen[what] += 1
        drawn.append((hashlib.sha256(f"{what} {seen[what]}".encode()).digest(), mutant))
    return [mutant for _draw, mutant in sorted(drawn, key=lambda pair: pair[0])[:size]]


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
    parser.add_argument("--verbose", action="store_true")
    options = parser.parse_args()
    known = equivalents()
    mutants = [m for m in all_jumps(options.build, options.file) if (m.file, m.text) not in known]
    total = len(mutants)
    if options.sample is not None and options.sample < total:
        mutants = sample(mutants, options.sample, options.seed)
    for number in ENDINGS:
        signal.signal(number, interrupt)
    scratch = make_directory("/dev/shm" if os.access("/dev/shm", os.W_OK) else None)
    pool = concurrent.futures.ThreadPoolExecutor(options.jobs)
    survivors = []
    try:
        hunt = Hunt(tests_of(options.build), scratch)
        print(f"{len(mutants)} of {total} conditional jumps, seed {options.seed}", flush=True)
        for mutant, killer in zip(mutants, pool.map(hunt.killer, mutants)):
            if options.verbose and killer is not None:
                print(f"{killer}: src/{mutant.file}:{mutant.line}: {mutant.text}", flush=True)
            if killer is None:
                survivors.append(mutant)
                print(f"survived: src/{mutant.file}:{mutant.line}: {mutant.text} "
                      f"({mutant.function}+{mutant.offset:#x})", flush=True)
    except KeyboardInterrupt:
        return 130
    finally:
        PROGRAMS.end_all()
        pool.shutdown(cancel_futures=True)
        shutil.rmtree(scratch, ignore_errors=True)
    killed = len(mutants) - len(survivors)
    print(f"mutation: {len(mutants)} branches inverted, {killed} killed, {len(survivors)} survivors")
    return 0 if killed * 100 >= options.least * len(mutants) else 1


if __name__ == "__main__":
    sys.exit(main())
