# SPDX-License-Identifier: GPL-2.0-or-later
"""later_qemu.py: a QEMU of a later Debian suite as a program, for --monatt-qemu.

    path = later_qemu.program(folder)     # a script in folder; Missing says why there is none

The script is what monatt-qemu takes for QEMU: it answers -help and becomes QEMU in its own process,
so that process ids and inherited descriptors are as without it.
"""
import os
import subprocess

import paths

SUITE = "sid"
PATIENCE_S = 1800  # the first one to ask waits for the tree to be made


class Missing(Exception):
    pass


def tree():
    """The suite's folder, made if need be."""
    done = subprocess.run([paths.source("tests", "lib", "suite-tree"), SUITE],
                          capture_output=True, text=True, timeout=PATIENCE_S)
    if done.returncode != 0:
        raise Missing(done.stderr.strip().splitlines()[-1] if done.stderr.strip() else
                      f"suite-tree: exit {done.returncode}")
    return done.stdout.strip()


def program(folder):
    path = os.path.join(folder, "qemu-system-x86_64-later")
    with open(path, "w", encoding="ascii") as file:
        file.write(f'#!/bin/sh\nexec {paths.source("tests", "lib", "suite-run")} {tree()} '
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
