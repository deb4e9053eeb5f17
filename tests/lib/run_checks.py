# SPDX-License-Identifier: GPL-2.0-or-later
"""run_checks.py: the checks of a running guest's kernel, by run-checks.

    report = run_checks.run(guest, "modules", table="modules")[0]   # "results", "findings", "rows"
    report = run_checks.check(guest, "modules")                     # of one check: "result" …

    with run_checks.clock() as pid:         # the guest stands, and time goes on for the checks
        run_checks.run(guest, "strings", clock_pid=pid)
"""
import contextlib
import json
import subprocess

import guest as guest_library
import paths

PROGRAM = paths.build("tests", "mutators", "run-checks")
COMPROMISED, DEGRADED = 1, 2
DEADLINE_MS, PATIENCE_S = 10000, 120


def registers_of(guest, text=None):
    """A file with what QEMU says of the vCPUs' registers now; text: says so instead."""
    path = f"{guest.folder}/registers"
    with open(path, "w", encoding="ascii") as file:
        file.write(text or guest.qmp("human-monitor-command",
                                     **{"command-line": "info registers -a"}))
    return path


def words(guest, *names, table=None, once=False, count=1, clock_pid=None, deadline_ms=DEADLINE_MS,
          image=None, registers=None, low=None):
    """run-checks' command line; registers: a file or QEMU's monitor, low: bytes below the hole."""
    line = [PROGRAM, "--file", guest.memory_file(), "--clock",
            str(clock_pid or guest.process.pid), "--deadline", str(deadline_ms), "--count",
            str(count)]
    for name in names:
        line += ["--check", name]
    for option, value in (("--table", table), ("--image", image), ("--qmp", registers),
                          ("--low", low)):
        line += [option, str(value)] if value else []
    return line + (["--passes"] if once else [])


def run(guest, *names, seconds=PATIENCE_S, **how):
    """Reports of count measurements, each with "results" and "findings"; how: as words() has it."""
    done = subprocess.run(words(guest, *names, **how), capture_output=True, text=True,
                          timeout=seconds)
    if done.returncode != 0:
        raise guest_library.GuestError(f"run-checks: {done.returncode}: {done.stderr.strip()}")
    return [json.loads(line) for line in done.stdout.splitlines()]


def check(guest, name, table=None, once=False):
    report = run(guest, name, table=table, once=once)[0]
    return {"result": report["results"][0], "findings": report["findings"],
            "rows": report.get("rows", [])}


def is_healthy(report):
    return not report["findings"] and all(result["reason"] == 0 and result["unsettled"] == 0
                                          for result in report["results"])


@contextlib.contextmanager
def clock():
    """A process that always runs: the guest's clock while the guest itself stands still."""
    child = subprocess.Popen(["sh", "-c", "while :; do :; done"],
                             preexec_fn=guest_library.die_with_parent)
    try:
        yield child.pid
    finally:
        child.kill()
        child.wait()
