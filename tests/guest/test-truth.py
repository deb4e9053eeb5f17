#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""test-truth.py: a healthy guest stays healthy under loads that change its kernel; attacks show.

One guest: while static keys, the function tracer, kprobes, module loads and forks go on, no scan
finds a compromise.  A module of our own that hooks and hides in the kernel's ways is named.  Each
mutation that writes RAM from outside is placed a few times while the guest stands still; what was
placed is found, what was taken back is gone, and the guest then goes on as before.
More by hand: MONATT_PLACEMENTS and MONATT_SCANS.
"""
import json
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))
import churn  # noqa: E402
import guest as guest_library  # noqa: E402
import paths  # noqa: E402
import rootkit  # noqa: E402
import run_checks  # noqa: E402
from guest import Guest  # noqa: E402
from tap import Tap  # noqa: E402

CAMPAIGN = paths.build("tests", "mutators", "campaign")
PLACEMENTS = os.environ.get("MONATT_PLACEMENTS", "2")
SCANS = os.environ.get("MONATT_SCANS", "25")
# Each is a kind of healthy load that a boot of CI has time for.
LOADS = ("static keys", "tracepoints", "the function tracer", "kprobes", "module loads", "forks",
         "PID namespaces")


def campaign(guest, *words):
    done = subprocess.run(
        [CAMPAIGN, "--qemu", str(guest.process.pid), "--image", guest_library.kernel(), *words],
        capture_output=True, text=True, timeout=1500)
    if done.returncode != 0:
        raise RuntimeError(f"campaign: {done.returncode}: {done.stderr.strip()}")
    return [json.loads(line) for line in done.stdout.splitlines()], done.stderr


def check_benign(tap, guest):
    churn.prepare(guest, "rootkit")
    for name in LOADS:
        churn.start(guest, name)
        rows, said = campaign(guest, "--scans", SCANS, "--clock", str(guest.process.pid))
        churn.stop(guest)
        tap.is_equal(rows[0]["compromised"], 0, f"{name}: no scan of {SCANS} finds a compromise")
        tap.note(f"{name}: {rows[0]}")
        if rows[0]["compromised"]:
            tap.note(said)


def findings(guest):
    return run_checks.run(guest, deadline_ms=8000)[0]["findings"]


def check_module(tap, guest):
    """What, where, by whom: the module's name and the hooked function stand in the finding."""
    guest.run("insmod /truth.ko")
    for word, checks, names in (
            ("list", {"modules"}, ("truth",)),
            ("ftrace", {"ftrace", "kernel-text", "kprobes"}, ("getdents64", "truth")),
            ("kprobe", {"kprobes"}, ("filldir64", "truth")),
            ("netfilter", {"netfilter"}, ("truth",))):
        guest.run(f"echo {word} >/proc/monatt-truth")
        all_found = findings(guest)
        found = [finding for finding in all_found if finding["check"] in checks]
        text = json.dumps(found)
        tap.ok(found and all(name in text for name in names),
               f"a module of our own: {word}: a finding names {' and '.join(names)}",
               json.dumps(all_found))
        guest.run("echo show >/proc/monatt-truth; echo clean >/proc/monatt-truth")
    guest.run("rmmod truth")
    tap.is_equal([f for f in findings(guest) if "truth" in json.dumps(f)], [],
                 "unloaded: nothing names it any more")


def check_placements(tap, guest):
    """The mutations write what would crash a guest that runs: it stands still meanwhile."""
    guest.run("insmod /churn.ko")
    guest.spawn("nc -l -p 7777")
    guest.qmp("stop")
    try:
        registers = f"{guest.folder}/registers"
        with open(registers, "w", encoding="utf-8") as file:
            file.write(guest.qmp("human-monitor-command",
                                 **{"command-line": "info registers -a"}))
        rows, said = campaign(guest, "--count", PLACEMENTS, "--registers", registers)
    finally:
        guest.qmp("cont")
    tap.is_equal(rows[0]["known"], 0, "the guest was clean before")
    placed = 0
    for row in rows[1:-1]:
        tap.is_equal(row["failed"], 0, f"{row['mutation']}: could be written")
        if row["placed"] and row["checked"]:
            placed += 1
            tap.is_equal(row["found"], row["placed"], f"{row['mutation']}: all placements are found")
        elif not row["checked"]:
            tap.note(f"{row['mutation']}: no check for it")
        else:
            tap.note(f"{row['mutation']}: the guest has nothing of that kind")
    tap.ok(placed >= 30, f"{placed} mutations of {len(rows) - 2} were judged")
    tap.is_equal(rows[-1], {"after": {"found": False, "baselines": 0}}, "taken back, all is clean")
    tap.is_equal(guest.run("echo alive").text, "alive", "and the guest goes on")
    if "after all" in said or "not found" in said:
        tap.note(said)


def main():
    tap = Tap()
    lacking = guest_library.missing() or churn.missing() or \
        paths.missing(CAMPAIGN, run_checks.PROGRAM)
    if lacking:
        tap.skip_all(f"{lacking} is missing")
    try:
        modules = [f"{rootkit.build(name)}:/{place}.ko" for name, place in
                   (("rootkit", "churn"), ("truth", "truth"))]
    except rootkit.Missing as reason:
        tap.skip_all(str(reason))
    # With a thread for each vCPU a guest whose code is patched all the time hangs now and then.
    with tap, Guest(vcpus=2, accel="tcg,thread=single", add=[*churn.programs(), *modules],
                    launcher=["--monatt-no-plugin"]) as guest:
        check_benign(tap, guest)
        check_module(tap, guest)
        check_placements(tap, guest)
    sys.exit(tap.done())


if __name__ == "__main__":
    main()
