# SPDX-License-Identifier: GPL-2.0-or-later
"""tasks.py: what a guest's tasks cost to see, against the guest's own walk of /proc.

In alternating rounds, in one guest with some hundred processes: a worker's scan of all four views
from outside (its CPU time), and the stat file of each process read inside.  Microseconds a task.
The worker's whole answer, with the way to its process and back, is a figure of its own.
"""
import json
import statistics
import subprocess

import guest as guest_library
import paths
from guest import Guest

PROCESSES = 300  # of our own, besides the kernel's 50
ROUNDS, PER_ROUND = 9, 20
MEASURE = paths.build("tests", "mutators", "measure-tasks")
WALK = paths.build("bench", "proc-walk")


def scans(guest):
    """Rows (tasks, us of a scan, us of the answer); the first one looks for the kernel."""
    done = subprocess.run(
        [MEASURE, "--worker", paths.WORKER, "--control",
         f"{guest.host.run}/vm/{guest.vid}/control.sock", "--count", str(PER_ROUND + 1)],
        capture_output=True, text=True, timeout=120, check=True)
    reports = [json.loads(line) for line in done.stdout.splitlines()][1:]
    for report in reports:
        if report["reason"] or report["findings"]:
            raise RuntimeError(f"a measurement of an idle guest says {report}")
    return [(r["count"], r["scan_us"], r["ms"] * 1000) for r in reports if r["scans"] == 1]


def walks(guest):
    text = guest.run(f"/proc-walk {PER_ROUND}", seconds=300).text
    return [tuple(float(word) for word in line.split()) for line in text.splitlines()]


def measure():
    lacking = guest_library.missing() or paths.missing(MEASURE, WALK, paths.WORKER)
    if lacking:
        raise FileNotFoundError(f"{lacking} is missing")
    rows = {"scan": [], "answer": [], "walk": []}
    with Guest(name="bench", add=[f"{WALK}:/proc-walk"], launcher=["--monatt-no-plugin"]) as guest:
        guest.run(f"i=0; while [ $i -lt {PROCESSES} ]; do sleep 100000 & i=$((i + 1)); done",
                  seconds=300)
        for _ in range(ROUNDS):
            for tasks, scan, answer in scans(guest):
                rows["scan"].append(scan / tasks)
                rows["answer"].append(answer / tasks)
            rows["walk"] += [us / tasks for tasks, us in walks(guest)]
    return rows


def run():
    rows = measure()
    peer = statistics.median(rows["walk"])
    figures = []
    for name, key in (("tasks", "scan"), ("tasks-answer", "answer")):
        ours = statistics.median(rows[key])
        figures.append({"name": name, "ratio": round(ours / peer, 4),
                        "against": "the guest's own walk of /proc", "samples": len(rows[key]),
                        "median": round(ours, 2), "unit": "us a task", "peer": round(peer, 1)})
    return figures
