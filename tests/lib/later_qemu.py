# SPDX-License-Identifier: GPL-2.0-or-later
"""later_qemu.py: a QEMU of a later Debian suite as a program, for --monatt-qemu.

    path = later_qemu.program(folder)     # a script in folder; Missing says why there is none

The script is what monatt-qemu takes for QEMU: it answers -help and becomes QEMU in its own process,
so that process ids and inherited descriptors are as without it.
"""
import os
import subprocess

import paths
import suite_tree
from suite_tree import Missing

SUITE = "sid"


def program(folder):
    path = os.path.join(folder, "qemu-system-x86_64-later")
    with open(path, "w", encoding="ascii") as file:
        file.write(f'#!/bin/sh\nexec {paths.source("tests", "lib", "suite-run")} {suite_tree.folder(SUITE)} '
                   '/usr/bin/qemu-system-x86_64 "$@"\n')
    os.chmod(path, 0o755)
    done = subprocess.run([path, "-version"], capture_output=True, text=True, timeout=60)
    if done.returncode != 0:
        raise Missing(f"QEMU of {SUITE}: {done.stderr.strip()[:200]}")
    return path


def version(path):
    """(major, minor)"""
    words = subprocess.run([path, "-version"], capture_output=True, text=True, timeout=60).stdout.split()
    return tuple(int(part) for part in words[words.index("version") + 1].split(".")[:2])
