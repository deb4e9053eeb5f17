# SPDX-License-Identifier: GPL-2.0-or-later
"""shadow-read.py: a register read from the shadow page against the same read of BAR2."""
import statistics
import subprocess

import paths
from _ring import Device
from device_client import BAR2

ROUNDS, COUNT = 21, 50


def run():
    with Device(64) as device:
        device.ring.one(10, b"\1" * 32, b"\1" * 48)
        device.vm.wait_status(lambda s: s["synced"] == s["records"])
        wire, memory = device.vm.wire.fileno(), device.memory.fd
        device.vm.wire.setblocking(True)
        done = subprocess.run([paths.build("bench", "wire-read"), str(wire), str(memory),
                               str(device.shadow.offset), str(BAR2), "10", str(ROUNDS), str(COUNT)],
                              pass_fds=[wire, memory], capture_output=True, text=True, timeout=120)
        if done.returncode != 0:
            raise RuntimeError(done.stderr)
    rows = [tuple(float(word) for word in line.split()) for line in done.stdout.splitlines()]
    ours, peer = (statistics.median(row[i] for row in rows) for i in (0, 1))
    return {"name": "shadow-read", "ratio": round(ours / peer, 6), "against": "the same read of BAR2",
            "samples": len(rows) * COUNT, "median": round(ours, 1), "unit": "ns", "peer": round(peer, 1)}
