# SPDX-License-Identifier: GPL-2.0-or-later
"""tasks-drgn.py: the task list of a guest, against drgn's for_each_task() over the same RAM.

Ours: V1 with pid, names, credentials and state of every task, from a cold page-table cache.  All
four views with their table are a figure of their own.  The target is a ratio of at most 0.1, and
2 us a task.
"""
import statistics

import _ram

PROCESSES, ROUNDS = 500, 51


def run():
    root = _ram.tree()
    vmlinuz, symbols = _ram.kernel_with_symbols(root)
    with _ram.ram_file(512, PROCESSES, vmlinuz=vmlinuz) as ram:
        peer = _ram.drgn(root, ram, symbols, ROUNDS)
        ours = _ram.introspect(ram, "--rounds", str(ROUNDS))
    if abs(ours["tasks"] - peer["tasks"]) > 2:
        raise RuntimeError(f"we see {ours['tasks']} tasks, drgn {peer['tasks']}")
    each = statistics.median(peer["each"]) / peer["tasks"]
    figures = []
    for name, key in (("tasks-drgn", "list"), ("tasks-drgn-all-views", "scan")):
        us = statistics.median(ours[key]) / ours["tasks"]
        figures.append({"name": name, "ratio": round(us / each, 4),
                        "against": "drgn's for_each_task()", "samples": ROUNDS,
                        "median": round(us, 3), "unit": "us a task", "peer": round(each, 2)})
    return figures
