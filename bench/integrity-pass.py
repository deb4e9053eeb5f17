# SPDX-License-Identifier: GPL-2.0-or-later
"""integrity-pass.py: one whole look at an idle guest of 1 GiB, against one hash of its kernel text.

All task views and all checks, warm: the second pass and later ones over a boot.  The hash is what
the simplest check would do, and it alarms on the first static key that is switched.  The first
pass, which unpacks and lays out the measured kernel, is a figure of its own.  The target is 25 ms.
"""
import statistics

import _ram
import guest as guest_library

ROUNDS, MEMORY_MB = 21, 1024


def run():
    with _ram.ram_file(MEMORY_MB) as ram:
        ours = _ram.introspect(ram, "--image", guest_library.kernel(), "--rounds", str(ROUNDS))
    lacking = sorted(name for name, check in ours["checks"].items() if check["reason"])
    if not ours["checks"]:
        raise RuntimeError("no check has run")
    peer = statistics.median(ours["hash"])
    warm = statistics.median(ours["pass"][1:])
    return [{"name": "integrity-pass", "ratio": round(warm / peer, 3),
             "against": "one SHA-256 of kernel text", "samples": ROUNDS,
             "median": round(warm / 1000, 2), "unit": "ms", "peer": round(peer / 1000, 2),
             "not_whole": lacking},
            {"name": "integrity-first-pass", "ratio": round(ours["pass"][0] / peer, 1),
             "against": "one SHA-256 of kernel text", "samples": 1,
             "median": round(ours["pass"][0] / 1000, 1), "unit": "ms"}]
