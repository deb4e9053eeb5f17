#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""test-qemu-faults.py: are the faults of docs/qemu-faults.md still in a newer QEMU?

Each reproducer of qemu-faults/ runs on a later Debian's QEMU. A fault that is gone from the version
it was seen in means that the reproducer has rotted; one that is gone from a later version is said
loudly: a rule of ours may go. Neither a fault that is there nor one that is mended fails.
"""
import os
import re
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "lib"), os.path.join(HERE, "qemu-faults")]
import paths  # noqa: E402
import suite_tree  # noqa: E402
from fault import FAULT, MENDED  # noqa: E402
from tap import Tap  # noqa: E402

SEEN_IN = "11.1.3"
SUITE = "sid"
REPRODUCERS = {"partial-reply": "no part of a reply is ever sent",
               "msix-unplug": "no MSI-X is offered on vfio-user",
               "reset-after-death": "a dead device is replaced before the guest can reboot",
               "proxy-tcg": "vfio-user, not x-pci-proxy-dev, under TCG on QEMU 10.0 and later"}


def newer(tap):
    try:
        tree = suite_tree.folder(SUITE)
    except suite_tree.Missing as error:
        tap.skip_all(f"a newer QEMU cannot be had: {error}")
    words = [paths.source("tests", "lib", "suite-run"), tree, "qemu-system-x86_64"]
    text = subprocess.run([*words, "--version"], capture_output=True, text=True).stdout
    return words, re.search(r"version ([0-9.]+)", text).group(1)


def number(version):
    return [int(part) for part in version.split(".")]


def main():
    tap = Tap()
    words, version = newer(tap)
    with open(paths.source("docs", "qemu-faults.md"), encoding="utf-8") as file:
        page = file.read()
    for name, rule in REPRODUCERS.items():
        script = os.path.join(HERE, "qemu-faults", f"{name}.py")
        done = subprocess.run([sys.executable, script, *words], capture_output=True, text=True,
                              timeout=120)
        said = done.stdout.strip()
        tap.note(f"QEMU {version}: {name}: {said}")
        tap.ok(done.returncode in (FAULT, MENDED), f"{name}: QEMU died as described, or lives",
               said + done.stderr)
        if done.returncode == MENDED:
            tap.ok(number(version) > number(SEEN_IN), f"{name}: the reproducer works where it must",
                   f"not in {version}, but it was seen in {SEEN_IN}")
            tap.note(f"MENDED in QEMU {version}: {name}. Change docs/qemu-faults.md; the rule that "
                     f"'{rule}' may go once all older versions have gone.")
        tap.contains(page, f"{name}.py", f"{name}: docs/qemu-faults.md tells how to run it")
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
