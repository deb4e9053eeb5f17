#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""test-replay-cel.py: the C library and tests/lib/replay-cel.py agree on every log, also broken ones.

Two programs from one document: a log that one of them takes and the other refuses shows where
docs/formats/event-log.md can be read in two ways.
"""
import hashlib
import importlib.util
import os
import struct
import subprocess
import sys

SOURCE = os.environ["MONATT_SOURCE_DIR"]
sys.path.insert(0, os.path.join(SOURCE, "tests", "lib"))
from tap import Tap  # noqa: E402

SCRIPT = os.path.join(SOURCE, "tests", "lib", "replay-cel.py")
DATA = os.path.join(SOURCE, "tests", "data", "cel")
SEGMENTS = os.path.join(SOURCE, "tests", "fuzz", "corpus", "checkpoint")
MANY = os.path.join(os.environ["MONATT_BUILD_DIR"], "tests", "unit", "cel-replay-many")


def load():
    spec = importlib.util.spec_from_file_location("replay_cel", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def ours(module, log):
    try:
        done, values = module.replay(log)
    except module.Refused:
        return "refused"
    every = b"".join(values["sha256"]) + b"".join(values["sha384"])
    return f"{done} {hashlib.sha256(every).hexdigest()}"


def broken(log, step=1):
    """Logs with one byte changed three ways, one cut at each byte, and parts left out or twice."""
    for at, byte in list(enumerate(log))[::step]:
        for other in (byte ^ 1, byte ^ 0x80, 0xff - byte):
            yield log[:at] + bytes([other]) + log[at + 1:]
        yield log[:at]
    for at in range(0, len(log), 7 * step):
        for size in (1, 13, 26, 53):
            yield log[:at] + log[at + size:]
            yield log[:at] + log[at:at + size] + log[at:]


def run_script(*arguments):
    return subprocess.run([sys.executable, SCRIPT, *arguments], capture_output=True, text=True,
                          check=False)


def main():
    tap = Tap()
    with tap:
        module = load()
        with open(os.path.join(DATA, "all-kinds.cel"), "rb") as file:
            log = file.read()
        with open(os.path.join(DATA, "all-kinds.pcrs"), encoding="ascii") as file:
            values = file.read()
        path = os.path.join(DATA, "all-kinds.cel")
        tap.is_equal(run_script(path).stdout, values, "replay-cel gives the vector's values")
        wanted = [line.split()[2] for line in values.splitlines() if line.startswith("sha384 17 ")]
        tap.is_equal(run_script(path, "--bank", "sha384", "--pcr", "17").stdout.split(), wanted,
                     "one value by bank and PCR")
        refused = run_script(os.path.join(DATA, "all-kinds.pcrs"))
        tap.ok(refused.returncode == 1 and "offset 0" in refused.stderr, "replay-cel refuses text",
               refused.stderr)
        # Without the long contents, whose every byte would cost a replay.
        short = b"".join(entry for entry in split(module, log) if len(entry) < 300)
        short = renumber(short, module)
        logs = [b"", log, short, *broken(short)]
        cut = []
        for name in ("seed-1", "seed-2", "seed-3", "seed-4"):
            with open(os.path.join(SEGMENTS, name), "rb") as file:
                cut.append(file.read())
        tap.ok(all(ours(module, one) != "refused" for one in cut), "four logs with a checkpoint")
        logs += [one for whole in cut for one in (whole, *broken(whole, 13))]
        answers = subprocess.run([MANY], input=b"".join(struct.pack(">I", len(one)) + one
                                                        for one in logs),
                                 capture_output=True, check=True).stdout.decode().splitlines()
        tap.is_equal(len(answers), len(logs), f"{len(logs)} logs answered")
        differ = [number for number, one in enumerate(logs) if ours(module, one) != answers[number]]
        tap.ok(not differ, "both programs agree on each", f"logs {differ[:10]}")
        taken = sum(answer != "refused" for answer in answers)
        tap.ok(10 < taken < len(logs) / 2, "some broken logs are taken, most refused",
               f"{taken} of {len(logs)}")
    return tap.done()


def encode(module, entry):
    inner = b""
    for number, (name, size) in module.BANKS.items():
        if name in entry["digests"]:
            inner += struct.pack(">BI", number, size) + entry["digests"][name]
    return (struct.pack(">BIQBII", 0, 8, entry["number"], 1, 4, entry["pcr"])
            + struct.pack(">BI", 3, len(inner)) + inner
            + struct.pack(">BI", entry["kind"], len(entry["content"])) + entry["content"])


def split(module, log):
    return [encode(module, entry) for entry in module.entries(log)]


def renumber(log, module):
    return b"".join(encode(module, {**entry, "number": number})
                    for number, entry in enumerate(module.entries(log)))


if __name__ == "__main__":
    sys.exit(main())
