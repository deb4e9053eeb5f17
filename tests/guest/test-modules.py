#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""test-modules.py: a real guest's modules and executable pages, seen from outside.

A loaded module is listed as lsmod lists it and owns its code; taken out of the list, of /sys/module
and of the address tree by writing the guest's RAM it is found and named each time; loading and
unloading for seconds finds nothing; an executable page without an owner, code and constants that can
be written, and a changed byte of a module are found.  On the guests' usual kernel; with
MONATT_ALL_KERNELS on a later one too.
"""
import json
import os
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))
import driver_module  # noqa: E402
import guest as guest_library  # noqa: E402
import paths  # noqa: E402
from guest import Guest  # noqa: E402
from run_checks import COMPROMISED, PROGRAM, check, run  # noqa: E402
from tap import Tap  # noqa: E402

LOOP_S = 6
FIND_S = 30
TRIES = 3
NEEDED = {None: ["fs/configfs/configfs"],  # by monatt.ko, in the order of loading
          "sid": ["fs/configfs/configfs", "drivers/virt/coco/guest/tsm_report"]}
HIDES = ["module-list", "module-both", "module-all"]
PAGES = ["page-executable", "page-writable-executable", "page-text-writable",
         "page-rodata-writable", "page-alias"]


def mutated(guest, name, *words):
    """Applies a mutation and gives back how to take it away."""
    undo = os.path.join(guest.folder, f"{name}.undo")
    guest.mutate("apply", name, *words, "--undo", undo)
    return lambda: guest.mutate("undo", undo)


def check_listed(tap, release, guest):
    report = check(guest, "modules", "modules")
    tap.ok(report["result"]["reason"] == 0 and not report["findings"],
           f"{release}: modules: nothing is found", report)
    inside = {words[0]: int(words[2]) for words in
              (line.split() for line in guest.run("cat /proc/modules").text.splitlines())}
    outside = {row["name"]: row["used"] for row in report["rows"]}
    tap.is_equal(outside, inside, f"{release}: modules: those of /proc/modules, and their users")
    row = next((row for row in report["rows"] if row["name"] == "monatt"), {"views": ""})
    tap.ok(set("LKTAFX") <= set(row["views"]), f"{release}: modules: in every view", row)
    report = check(guest, "executable-pages")
    tap.ok(report["result"]["reason"] == 0 and not report["findings"],
           f"{release}: executable pages: each has an owner", report)


def check_hidden(tap, release, guest):
    for name in HIDES:
        undo = mutated(guest, name, "monatt")
        findings = check(guest, "modules")["findings"]
        tap.ok([(item["severity"], item["object"]) for item in findings] ==
               [(COMPROMISED, "module 'monatt'")], f"{release}: {name}: found, and named", findings)
        pages = check(guest, "executable-pages")["findings"]
        tap.ok(not pages, f"{release}: {name}: its pages have it as their owner", pages)
        undo()
        findings = check(guest, "modules")["findings"]
        tap.ok(not findings, f"{release}: {name}: put back nothing is found", findings)


def check_pages(tap, release, guest):
    for name in PAGES:
        # Again when it is not seen: the running kernel clears a slot that a mutation took when it
        # unmaps the area before it, with the page that guards it.
        for _ in range(TRIES):
            undo = mutated(guest, name)
            report = check(guest, "executable-pages")
            undo()
            if report["findings"]:
                break
        tap.ok(any(item["severity"] == COMPROMISED for item in report["findings"]),
               f"{release}: {name}: found", report)
        findings = check(guest, "executable-pages")["findings"]
        tap.ok(not findings, f"{release}: {name}: taken back nothing is found", findings)


def check_loop(tap, release, guest):
    """What loads and unloads all the time is never a finding."""
    guest.run("rmmod monatt")
    guest.spawn("sh -c 'while :; do insmod /monatt.ko; rmmod monatt; done'")
    end = time.monotonic() + LOOP_S
    findings, reasons, passes = [], set(), 0
    while time.monotonic() < end:
        for report in run(guest, "modules", "executable-pages", "module-text"):
            findings += report["findings"]
            reasons |= {result["text"] for result in report["results"] if result["reason"]}
            passes += max(result["passes"] for result in report["results"])
    tap.ok(not findings and passes > 0, f"{release}: loading and unloading is no finding", findings)
    tap.note(f"{release}: {passes} passes while a module came and went; incomplete: {reasons}")


def check_text(tap, release, guest):
    """The first look is the reference: one process looks on while a byte is changed."""
    watch = subprocess.Popen([PROGRAM, "--file", guest.memory_file(), "--clock",
                              str(guest.process.pid), "--check", "module-text", "--count", "1000000"],
                             stdout=subprocess.PIPE, text=True)
    try:
        first = json.loads(watch.stdout.readline())
        tap.ok(not first["findings"] and first["results"][0]["counters"]["bytes"] > 0,
               f"{release}: module text: nothing is found at first", first)
        undo = mutated(guest, "module-byte", "monatt")
        end = time.monotonic() + FIND_S
        findings = []
        while not findings and time.monotonic() < end:
            findings = json.loads(watch.stdout.readline())["findings"]
        tap.ok([(item["severity"], item["owner"]) for item in findings] == [(COMPROMISED, "monatt")],
               f"{release}: module-byte: found, and the module named", findings)
        undo()
    finally:
        watch.kill()
        watch.wait()


def check_kernel(tap, kernel, needed):
    add = [f"{kernel.build()}:/monatt.ko"]
    add += [f"{kernel.module(name)}:/needed-{i}.ko" for i, name in enumerate(needed)]
    with Guest(add=add, memory_mb=512, vmlinuz=kernel.vmlinuz) as guest:
        guest.run("".join(f"insmod /needed-{i}.ko && " for i in range(len(needed))) +
                  "insmod /monatt.ko")
        check_listed(tap, kernel.release, guest)
        check_hidden(tap, kernel.release, guest)
        check_pages(tap, kernel.release, guest)
        check_text(tap, kernel.release, guest)
        check_loop(tap, kernel.release, guest)


def main():
    tap = Tap()
    if paths.sanitized():
        tap.skip_all("the plain build runs it; guest/truth runs every check with sanitizers")
    lacking = guest_library.missing()
    if lacking:
        tap.skip_all(f"{lacking} is missing")
    with tap:
        # CI has 40 minutes: the later kernel's modules are test-loaded-modules.py's there.
        for suite in (None, "sid") if os.environ.get("MONATT_ALL_KERNELS") else (None,):
            try:
                kernel = driver_module.suite_kernel(suite) if suite else driver_module.guest_kernel()
                for module in NEEDED[suite]:
                    kernel.module(module)
            except driver_module.Missing as error:
                tap.skip(str(error), f"modules of the kernel of {suite or 'this host'}")
                continue
            check_kernel(tap, kernel, NEEDED[suite])
    sys.exit(tap.done())


if __name__ == "__main__":
    main()
