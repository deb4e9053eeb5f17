#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""test-introspection.py: a real guest's tasks, seen by a worker from outside.

A guest that forks as fast as it can is clean in every measurement; a process that a rootkit's
writes took out of the lists is named in every one; put back, nothing is left.  What the worker
sees is what the guest's own /proc shows.
"""
import json
import os
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))
import guest as guest_library  # noqa: E402
import paths  # noqa: E402
from guest import Guest  # noqa: E402
from tap import Tap  # noqa: E402

MEASURE = paths.build("tests", "mutators", "measure-tasks")
STORM = paths.build("tests", "guest", "fork-storm")
MEASUREMENTS = 20       # of the storm; more with MONATT_MEASUREMENTS
GAP_S = 0.3
VIEW_LIST, VIEW_IDR, VIEW_SLAB = 1 << 1, 1 << 2, 1 << 4
WHOLE = 0               # MONATT_REASON_NONE


def measure(guest, *words, count=1):
    """Reports of one worker; each is what the collector would make records of."""
    done = subprocess.run(
        [MEASURE, "--worker", paths.WORKER, "--control",
         f"{guest.host.run}/vm/{guest.vid}/control.sock", "--count", str(count), *words],
        capture_output=True, text=True, timeout=120 + 5 * count)
    if done.returncode != 0:
        raise RuntimeError(f"measure-tasks: {done.returncode}: {done.stderr.strip()}")
    return [json.loads(line) for line in done.stdout.splitlines()]


def check_same(tap, guest):
    """Leaders in the task list are the directories of /proc, but for what came and went."""
    report = measure(guest, "--tasks")[0]
    names = guest.run("cd /proc && echo [0-9]*").text.split()
    inside = {int(name) for name in names}
    outside = {pid for pid, tgid, _, views in report["tasks"] if views & VIEW_LIST}
    tap.is_equal(report["kernel"], guest.run("uname -r").text, "the kernel's release is found")
    tap.ok(report["reason"] == WHOLE and report["read"] == report["wanted"], "all views are read",
           report)
    # The shell of that command, and kworkers that end.
    tap.ok(len(inside ^ outside) <= 3, "the task list is what /proc shows",
           f"only in /proc: {inside - outside}, only outside: {outside - inside}")
    tap.is_equal(report["findings"], 0, "an idle guest: no finding")


def check_storm(tap, guest):
    wanted = int(os.environ.get("MONATT_MEASUREMENTS", MEASUREMENTS))
    seconds = wanted * GAP_S + 10
    before = measure(guest)[0]["forks"]
    guest.run(f"/fork-storm {seconds} 2 >/tmp/storm &")
    reports = []
    for _ in range(wanted):
        reports += measure(guest, "--deadline", "8000")
        time.sleep(GAP_S)
    forks = reports[-1]["forks"] - before
    found = [finding for report in reports for finding in report["found"]]
    tap.ok(not found, f"a storm of forks: no finding in {wanted} measurements", found)
    unsettled = sum(report["unsettled"] for report in reports)
    tap.is_equal(unsettled, 0, "a storm of forks: nothing is left unsettled")
    torn = [report["text"] for report in reports if report["reason"] != WHOLE]
    tap.ok(not torn, "a storm of forks: every view is read", torn)
    tap.ok(forks > 100, "it was a storm", f"{forks} forks")
    tap.note(f"{forks} forks, {sum(r['scans'] for r in reports)} scans, "
             f"{sum(r['retries'] for r in reports)} retries, {len(found)} false findings")
    guest.run("killall -9 fork-storm", check=False)


def check_hidden(tap, guest):
    victim, neighbour = guest.spawn("sleep 77777"), guest.spawn("sleep 77777")
    for way, absent in (("list", VIEW_LIST), ("idr", VIEW_IDR), ("list+idr", VIEW_LIST | VIEW_IDR)):
        guest.mutate("hide", str(victim), "--from", way)
        for number, report in enumerate(measure(guest, "--deadline", "8000", count=2), 1):
            found = report["found"]
            tap.ok(len(found) == 1 and found[0]["pid"] == victim and
                   found[0]["command"] == "sleep" and found[0]["absent"] == absent and
                   found[0]["present"] & VIEW_SLAB and found[0]["scans"] >= 3,
                   f"hidden from {way}: pid and command are named, {number}", report)
        # By reading the directory, as ps does: a name looked up before stays in a cache.
        inside = guest.run(f"ls /proc | grep -qx {victim}", check=False).status == 0
        tap.is_equal(inside, way == "list", f"hidden from {way}: ps in the guest sees it or not")
        guest.mutate("unhide", str(victim))
        report = measure(guest, "--deadline", "8000")[0]
        tap.ok(report["findings"] == 0 and report["reason"] == WHOLE,
               f"put back from {way}: no finding", report)
    guest.mutate("hide", str(victim), "--from", "list+idr")
    guest.mutate("hide", str(neighbour), "--from", "list")
    found = measure(guest, "--deadline", "8000")[0]["found"]
    tap.is_equal({finding["pid"] for finding in found}, {victim, neighbour}, "two are both named")
    guest.mutate("unhide", str(victim))
    guest.mutate("unhide", str(neighbour))
    guest.run(f"kill {victim} {neighbour}")
    tap.is_equal(guest.run(f"sleep 1; ls /proc | grep -qx {victim}", check=False).status, 1,
                 "put back, it ends as any process")


def check_stopped(tap, guest):
    """A guest that stands still has neither run nor hidden anything since."""
    victim = guest.spawn("sleep 77777")
    guest.mutate("hide", str(victim), "--from", "list")
    guest.qmp("stop")
    report = measure(guest, "--deadline", "1000")[0]
    guest.qmp("cont")
    tap.ok(report["findings"] == 0 and report["unsettled"] == 1 and report["reason"] != WHOLE,
           "a paused guest: unsettled, no finding and not clean", report)
    report = measure(guest, "--deadline", "8000")[0]
    tap.is_equal([finding["pid"] for finding in report["found"]], [victim], "it runs: found")
    guest.mutate("unhide", str(victim))
    guest.run(f"kill {victim}")


def main():
    tap = Tap()
    lacking = guest_library.missing() or paths.missing(MEASURE, paths.MUTATE, STORM, paths.WORKER)
    if lacking:
        tap.skip_all(f"{lacking} is missing")
    with tap, Guest(vcpus=2, add=[f"{STORM}:/fork-storm"]) as guest:
        check_same(tap, guest)
        check_storm(tap, guest)
        check_hidden(tap, guest)
        check_stopped(tap, guest)
    sys.exit(tap.done())


if __name__ == "__main__":
    main()
