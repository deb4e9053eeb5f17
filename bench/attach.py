# SPDX-License-Identifier: GPL-2.0-or-later
"""attach.py: the first look at a guest (find its kernel, symbols, types), against drgn's start.

Two guests of 1 GiB: one that has only booted, and one whose RAM is full of random bytes, where all
of it must be searched.  drgn is told where the kernel is and reads its debug symbols from a file.
The target is 100 ms a GiB.
"""
import statistics

import _ram

ROUNDS, MEMORY_MB, FILL_MB = 9, 1024, 700


def figure(name, ram, root, symbols):
    peer = statistics.median(_ram.drgn(root, ram, symbols, ROUNDS)["attach"])
    ours = _ram.introspect(ram, "--rounds", str(ROUNDS))
    us = statistics.median(ours["attach"])
    again = statistics.median(ours["again"])
    return [{"name": name, "ratio": round(us / peer, 4), "against": "drgn with debug symbols",
             "samples": ROUNDS, "median": round(us / 1000, 2), "unit": "ms a GiB",
             "peer": round(peer / 1000, 2)},
            {"name": f"{name}-again", "ratio": round(again / peer, 7),
             "against": "drgn with debug symbols", "samples": ROUNDS, "median": round(again, 2),
             "unit": "us"}]


def run():
    root = _ram.tree()
    vmlinuz, symbols = _ram.kernel_with_symbols(root)
    figures = []
    for name, fill in (("attach", 0), ("attach-full", FILL_MB)):
        with _ram.ram_file(MEMORY_MB, fill_mb=fill, vmlinuz=vmlinuz) as ram:
            figures += figure(name, ram, root, symbols)
    return figures
