#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""test-pointers.py: a real guest's tables of functions, IDT, strings, registers, credentials, vDSO.

Work inside the guest is no finding; each technique written into its RAM is, by the right check and
name, and put back nothing is left.
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
import run_checks  # noqa: E402
from guest import Guest, GuestError  # noqa: E402
from run_checks import COMPROMISED, DEGRADED  # noqa: E402
from tap import Tap  # noqa: E402

CHECKS = ("interrupt-table", "control-registers", "function-pointers", "strings", "credentials",
          "vdso")
USER = "start-stop-daemon -S -b -c 1000:1000 -x /bin/sleep -- 1000"
VMLINUZ = os.environ.get("MONATT_TEST_VMLINUZ")     # another kernel, by hand
BENIGN = (
    ("reading /proc", "for i in 1 2 3; do ls -R /proc/net /proc/fs >/dev/null 2>&1; "
                      "cat /proc/net/tcp /proc/modules /proc/kallsyms >/dev/null; done"),
    ("a core pattern of systemd's", "echo '|/lib/systemd/systemd-coredump %P' "
                                    ">/proc/sys/kernel/core_pattern"),
    ("a tracer", "mkdir -p /t && mount -t tracefs none /t && "
                 "echo function >/t/current_tracer"),
    ("the tracer off", "echo nop >/t/current_tracer && umount /t"),
    ("a tmpfs and a new namespace", "mkdir -p /tm && mount -t tmpfs none /tm && "
                                    "unshare -n true; umount /tm"),
)
# monatt-mutate's name, the check that must name it
ATTACKS = (
    ("helper-path", "strings"), ("idt-gate", "interrupt-table"), ("idt-level", "interrupt-table"),
    ("proc-operations", "function-pointers"), ("proc-sequence", "function-pointers"),
    ("proc-show", "function-pointers"), ("socket-show", "function-pointers"),
    ("directory-operations", "function-pointers"), ("line-discipline", "function-pointers"),
    ("notifier", "function-pointers"), ("binary-format", "function-pointers"),
    ("lsm-hook", "function-pointers"), ("precise-timer", "function-pointers"),
    ("pending-work", "function-pointers"), ("interrupt-handler", "function-pointers"),
    ("open-file", "function-pointers"), ("credential-init", "credentials"),
    ("credential-other", "credentials"), ("vdso-byte", "vdso"),
)
PATIENCE_S = 60


def how(guest, pid, checks, registers=None):
    return {"clock_pid": pid, "deadline_ms": 20000,
            "registers": run_checks.registers_of(guest, registers),
            "image": "vdso" in checks and (VMLINUZ or guest_library.kernel())}


def look(guest, pid, checks=CHECKS, registers=None):
    return run_checks.run(guest, *checks, **how(guest, pid, checks, registers))[0]


def names(finding, done):
    return finding["address"] == done["address"] or \
        any(done["object"] in finding[key] for key in ("object", "text", "owner"))


def check_attacks(tap, guest):
    """Written while the guest stands: it would not go on for long with most of them."""
    undo = f"{guest.folder}/undo"
    guest.qmp("stop")
    with run_checks.clock() as pid:
        for number, (attack, check) in enumerate(ATTACKS):
            try:
                done = guest.mutate("apply", attack, "--seed", str(number), "--undo", undo,
                                    stands=True)
            except GuestError as reason:
                tap.skip(str(reason), attack)
                continue
            report = look(guest, pid, (check,))
            found = [finding for finding in report["findings"]
                     if finding["check"] == check and names(finding, done) and
                     finding["severity"] == (DEGRADED if done["object"] == "core_pattern"
                                             else COMPROMISED)]
            tap.ok(bool(found), f"{attack}: found by {check}", (done, report))
            guest.mutate("undo", undo, stands=True)
            report = look(guest, pid, (check,))
            tap.ok(run_checks.is_healthy(report), f"{attack}: put back, nothing is found", report)
    guest.qmp("cont")


def check_registers(tap, guest):
    """QEMU's answer, changed: none of these bits can be written from outside."""
    honest = guest.qmp("human-monitor-command", **{"command-line": "info registers -a"})
    lines = honest.splitlines()
    for what, begin, mask in (("CR0.WP", "CR0=", 1 << 16), ("EFER.NXE", "EFER=", 1 << 11)):
        changed = list(lines)
        at = next(i for i, line in enumerate(lines) if line.startswith(begin))
        word = changed[at].split()[0]
        value = int(word[len(begin):], 16) & ~mask
        changed[at] = changed[at].replace(word, f"{begin}{value:0{len(word) - len(begin)}x}")
        report = look(guest, guest.process.pid, ("control-registers",), "\n".join(changed) + "\n")
        tap.ok([finding["object"] for finding in report["findings"]] == [f"{what} of vCPU 0"],
               f"{what} off: found", report)


def check_rise(tap, guest):
    """uid 0 written into the credentials of a user's process between two looks."""
    guest.run(USER)
    with run_checks.clock() as pid:
        words = run_checks.words(guest, "credentials", count=1000000,
                                 **how(guest, pid, ("credentials",)))
        with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as child:
            first = json.loads(child.stdout.readline())
            done = guest.mutate("apply", "credential-uid", "--undo", f"{guest.folder}/undo")
            found = []
            deadline = time.monotonic() + PATIENCE_S
            for line in child.stdout:
                found = json.loads(line)["findings"]
                if found or time.monotonic() > deadline:
                    break
            child.kill()
    tap.ok(not first["findings"], "credential-uid: nothing before it", first)
    tap.ok(bool(found) and all(finding["pid"] == done["pid"] and
                               finding["severity"] == COMPROMISED for finding in found),
           "credential-uid: the process is named", (done, found[:1]))
    guest.mutate("undo", f"{guest.folder}/undo")


def main():
    tap = Tap()
    if paths.sanitized():
        tap.skip_all("the plain build runs it; guest/truth runs every check with sanitizers")
    lacking = guest_library.missing() or paths.missing(run_checks.PROGRAM, paths.MUTATE)
    if lacking:
        tap.skip_all(f"{lacking} is missing")
    with tap, Guest(vcpus=2, vmlinuz=VMLINUZ, memory_mb=512 if VMLINUZ else 256) as guest:
        tap.note(guest.run("uname -r").text)
        report = look(guest, guest.process.pid)
        tap.ok(run_checks.is_healthy(report), "idle: nothing is found and all could be read", report)
        for what, command in BENIGN:
            guest.run(command)
            report = look(guest, guest.process.pid)
            tap.ok(run_checks.is_healthy(report), f"{what}: nothing is found", report)
        check_registers(tap, guest)
        check_rise(tap, guest)
        check_attacks(tap, guest)
    sys.exit(tap.done())


if __name__ == "__main__":
    main()
