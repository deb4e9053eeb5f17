# SPDX-License-Identifier: GPL-2.0-or-later
"""_ram.py: a RAM file of a real guest, and the same RAM as drgn reads it, for bench tasks.

drgn comes with its kernel's debug symbols from Debian trixie, in a tree of its own; the guest runs
that tree's kernel, so both look at the same bytes.
"""
import contextlib
import glob
import json
import os
import shutil
import subprocess
import tempfile

import guest as guest_library
import paths
import suite_tree
import vmcore
from guest import Guest

INTROSPECT = paths.build("bench", "introspect")
PATIENCE_S = 600


def tree():
    """trixie with a kernel, its debug symbols and drgn; the first call takes minutes."""
    return suite_tree.folder("trixie", "bench-trixie")


def kernel_with_symbols(root):
    """(vmlinuz, vmlinux with debug symbols) of one release."""
    for symbols in sorted(glob.glob(f"{root}/usr/lib/debug/boot/vmlinux-*"), reverse=True):
        vmlinuz = f"{root}/boot/vmlinuz-{os.path.basename(symbols).partition('-')[2]}"
        if os.path.exists(vmlinuz):
            return vmlinuz, symbols
    raise FileNotFoundError(f"{root} has no kernel with debug symbols")


@contextlib.contextmanager
def ram_file(memory_mb, processes=0, fill_mb=0, vmlinuz=None):
    """The RAM of a guest that has booted, started processes and written fill_mb of random bytes."""
    lacking = guest_library.missing() or paths.missing(INTROSPECT)
    if lacking:
        raise FileNotFoundError(f"{lacking} is missing")
    folder = tempfile.mkdtemp(prefix="bench-ram-", dir=paths.BUILD)
    try:
        with Guest(name="bench", memory_mb=memory_mb, vmlinuz=vmlinuz,
                   launcher=["--monatt-no-plugin"]) as guest:
            guest.run(f"i=0; while [ $i -lt {processes} ]; do sleep 100000 & i=$((i + 1)); done",
                      seconds=PATIENCE_S)
            if fill_mb:
                guest.run(f"mkdir -p /fill && mount -t tmpfs -o size={fill_mb + 1}M none /fill && "
                          f"head -c {fill_mb << 20} /dev/urandom >/fill/it", seconds=PATIENCE_S)
            guest.qmp("stop")
            with open(guest.memory_file(), "rb") as data, open(f"{folder}/ram", "wb") as out:
                shutil.copyfileobj(data, out, 1 << 20)
        yield f"{folder}/ram"
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def introspect(ram, *words):
    done = subprocess.run([INTROSPECT, "--file", ram, *words], capture_output=True, text=True,
                          timeout=PATIENCE_S)
    if done.returncode != 0:
        raise RuntimeError(f"introspect: {done.stderr.strip()}")
    return json.loads(done.stdout)


def drgn(root, ram, symbols, rounds):
    """What drgn takes for the same RAM: {"attach", "each", "list"} in microseconds, "tasks"."""
    note = f"{os.path.dirname(ram)}/note"
    ours = introspect(ram, "--note", note, "--rounds", "1")
    with open(note, encoding="ascii") as file:
        vmcore.write(ram, file.read(), f"{ram}.core", ours["direct_map"])
    done = subprocess.run(
        [paths.source("tests", "lib", "suite-run"), root, "/usr/bin/python3",
         paths.source("bench", "_peer_drgn.py"), f"{ram}.core", symbols, str(rounds)],
        capture_output=True, text=True, timeout=PATIENCE_S)
    if done.returncode != 0:
        raise RuntimeError(f"drgn: {done.stderr.strip()[-500:]}")
    return json.loads(done.stdout)
