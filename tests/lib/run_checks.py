# SPDX-License-Identifier: GPL-2.0-or-later
"""run_checks.py: the checks of a running guest's kernel, as one report.

    report = run_checks.check(guest, "modules", table="modules")
    report["result"]["reason"], report["findings"], report["rows"]
"""
import json
import os
import subprocess

import paths

PROGRAM = paths.build("tests", "mutators", "run-checks")
COMPROMISED, DEGRADED = 1, 2


def memory_of(guest):
    folder = f"/proc/{guest.process.pid}/fd"
    for name in os.listdir(folder):
        if "memory-backend-memfd" in os.readlink(f"{folder}/{name}"):
            return f"{folder}/{name}"
    raise RuntimeError("QEMU has no memory backend")


def run(guest, *names, table=None, once=False, count=1):
    """Reports of count measurements, each with "results" and "findings"."""
    words = [PROGRAM, "--file", memory_of(guest), "--clock", str(guest.process.pid),
             "--deadline", "10000", "--count", str(count)]
    for name in names:
        words += ["--check", name]
    words += ["--table", table] if table else []
    words += ["--passes"] if once else []
    done = subprocess.run(words, capture_output=True, text=True, timeout=120)
    if done.returncode != 0:
        raise RuntimeError(f"run-checks: {done.returncode}: {done.stderr.strip()}")
    return [json.loads(line) for line in done.stdout.splitlines()]


def check(guest, name, table=None, once=False):
    report = run(guest, name, table=table, once=once)[0]
    return {"result": report["results"][0], "findings": report["findings"],
            "rows": report.get("rows", [])}
