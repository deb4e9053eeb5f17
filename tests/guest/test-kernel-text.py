#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""test-kernel-text.py: real kernels against the image that they were booted from.

All of the text of a healthy guest is explained: idle, with a static key switched, with functions
traced, with probes.  Each attack that writes text or constants is found and named; put back, the
guest is healthy again and goes on.
"""
import glob
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))
import guest as guest_library  # noqa: E402
import paths  # noqa: E402
import run_checks  # noqa: E402
import suite_tree  # noqa: E402
from guest import Guest, GuestError  # noqa: E402
from tap import Tap  # noqa: E402

CHECKS = ("kernel-origin", "kernel-text", "kernel-rodata")
TRACED = ("mkdir -p /t && mount -t tracefs none /t && cd /t && echo 'vfs_*' >set_ftrace_filter && "
          "echo function >current_tracer")
UNTRACED = "cd /t && echo nop >current_tracer && echo >set_ftrace_filter"
# Within the function the first place that is the begin of an instruction.
PROBED = ("cd /t && for at in 9 10 11 12 13 14 15 16 17 18 19 20; do "
          "echo \"p:one vfs_read+$at\" >kprobe_events 2>/dev/null && break; done; "
          "echo 'p:two vfs_write' >>kprobe_events && echo 1 >events/kprobes/enable && "
          "grep -c vfs_ kprobe_events")
UNPROBED = "cd /t && echo 0 >events/kprobes/enable && echo >kprobe_events"
# monatt-mutate's name, the check that must name it
ATTACKS = (("syscall-call", "kernel-text"), ("entry-byte", "kernel-text"),
           ("text-byte", "kernel-text"), ("text-jump", "kernel-text"),
           ("key-site", "kernel-text"), ("ftrace-site", "kernel-text"),
           ("return-site", "kernel-text"), ("static-call", "kernel-text"),
           ("rodata-byte", "kernel-rodata"), ("rodata-pointer", "kernel-rodata"))


class Look:
    """One measurement by the three checks."""

    def __init__(self, guest, vmlinuz, clock_pid, checks=CHECKS):
        report = run_checks.run(guest, *checks, image=vmlinuz, clock_pid=clock_pid, seconds=200,
                                registers=run_checks.registers_of(guest), deadline_ms=60000)[0]
        self.results = {result["check"]: result for result in report["results"]}
        self.findings = report["findings"]
        self.report = report

    def count(self, what, check="kernel-text"):
        return self.results[check]["counters"].get(what, 0)

    def is_healthy(self):
        return run_checks.is_healthy(self.report)

    def is_explained(self):
        return self.is_healthy() and self.count("explained ppm") == 1000000 and \
            self.count("reference") == 1


def check_healthy(tap, guest, vmlinuz, name):
    look = Look(guest, vmlinuz, guest.process.pid)
    tap.ok(look.is_explained(), f"{name}: idle, all of its text and constants are explained",
           look.report)
    tap.ok(look.count("boot-time changed") > 10000, f"{name}: boot patched its text", look.report)
    tap.ok(look.count("roots", "kernel-origin") == 2, f"{name}: both vCPUs run by its page tables",
           look.report)
    return look


def check_changes(tap, guest, vmlinuz, name, before):
    """What the guest's own kernel patches while it runs is legal, and is seen."""
    def look():
        return Look(guest, vmlinuz, guest.process.pid)

    guest.run("echo 1 >/proc/sys/kernel/sched_schedstats")
    switched = look()
    tap.ok(switched.is_explained(), f"{name}: a static key switched on: explained", switched.report)
    tap.ok(switched.count("static keys on") > before.count("static keys on"),
           f"{name}: a static key switched on: seen", switched.report)
    guest.run("echo 0 >/proc/sys/kernel/sched_schedstats")
    guest.run(TRACED)
    traced = look()
    tap.ok(traced.is_explained(), f"{name}: functions traced: explained", traced.report)
    tap.is_equal(guest.run(PROBED).text, "2", f"{name}: two probes are set")
    probed = look()
    tap.ok(probed.is_explained(), f"{name}: functions traced and probed: explained", probed.report)
    tap.ok(probed.count("kprobes") > 0, f"{name}: a probe is seen", probed.report)
    guest.run(UNPROBED)
    guest.run(UNTRACED)
    after = look()
    tap.ok(after.is_explained(), f"{name}: all of it off again: explained", after.report)
    tap.is_equal(after.results["kernel-text"]["digest"], before.results["kernel-text"]["digest"],
                 f"{name}: the choices of the boot are the same as before")


def check_attacks(tap, guest, vmlinuz, name):
    """Written while the guest stands: none of them would leave it running for long."""
    guest.qmp("stop")
    with run_checks.clock() as pid:
        for number, (attack, check) in enumerate(ATTACKS):
            undo = f"{guest.folder}/undo"
            try:
                done = guest.mutate("apply", attack, "--seed", str(number), "--undo", undo,
                                    stands=True)
            except GuestError as reason:
                tap.skip(str(reason), f"{name}: {attack}")
                continue
            look = Look(guest, vmlinuz, pid, (check,))
            named = [finding for finding in look.findings
                     if finding["object"].split("+")[0] == done["object"].split("+")[0] or
                     abs(int(finding["address"], 16) - int(done["address"], 16)) < 16]
            tap.ok(named, f"{name}: {attack} is found and named", (done, look.report))
            guest.mutate("undo", undo, stands=True)
        look = Look(guest, vmlinuz, pid)
        tap.ok(look.is_explained(), f"{name}: all put back: healthy", look.report)
    guest.qmp("cont")
    tap.is_equal(guest.run("echo alive").text, "alive", f"{name}: the guest goes on")


def check_stranger(tap, guest, vmlinuz, other):
    """The image of another kernel is never a reference for this one."""
    look = Look(guest, other, guest.process.pid, ("kernel-origin", "kernel-text"))
    tap.ok(any(finding["check"] == "kernel-origin" for finding in look.findings),
           "another kernel's image: the origin is a finding", look.report)
    tap.ok(look.results["kernel-text"]["reason"] != 0 and look.count("reference") == 0,
           "another kernel's image: text says that it was not compared", look.report)


def check_kernel(tap, vmlinuz, name, other=None):
    with Guest(vcpus=2, memory_mb=512, vmlinuz=vmlinuz) as guest:
        before = check_healthy(tap, guest, vmlinuz, name)
        check_changes(tap, guest, vmlinuz, name, before)
        if other:
            check_stranger(tap, guest, vmlinuz, other)
        check_attacks(tap, guest, vmlinuz, name)


def check_all(tap):
    later = []
    try:
        later = sorted(glob.glob(f"{suite_tree.folder('sid')}/boot/vmlinuz-*"))
    except suite_tree.Missing as reason:
        tap.skip(str(reason), "a later kernel")
    check_kernel(tap, guest_library.kernel(), "own", later[0] if later else None)
    if later:
        check_kernel(tap, later[0], "sid")


def main():
    tap = Tap()
    if paths.sanitized():
        tap.skip_all("the plain build runs it; guest/truth runs every check with sanitizers")
    lacking = guest_library.missing()
    if lacking:
        tap.skip_all(f"{lacking} is not there")
    with tap:
        check_all(tap)
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
