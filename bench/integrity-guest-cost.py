# SPDX-License-Identifier: GPL-2.0-or-later
"""integrity-guest-cost.py: what a guest loses when it is looked at once a second.

In alternating rounds, in one guest: how long it takes to hash a file in its memory, by its own
clock, with and without a whole pass a second from outside.  The target is a ratio of 1.01.
"""
import statistics
import subprocess
import time

import _ram
import guest as guest_library
import paths
from guest import Guest

ROUNDS, SECONDS, FILE_MB = 9, 8, 24


def hash_ms(guest):
    """By the guest's clock."""
    text = guest.run("read a b </proc/uptime; sha256sum /tmp/it >/dev/null; "
                     "read c d </proc/uptime; echo $a $c", seconds=300).text
    begin, end = (float(word) for word in text.split())
    return (end - begin) * 1000


def run():
    lacking = guest_library.missing() or paths.missing(_ram.INTROSPECT)
    if lacking:
        raise FileNotFoundError(f"{lacking} is missing")
    rows = {"plain": [], "watched": []}
    with Guest(name="bench", memory_mb=1024, launcher=["--monatt-no-plugin"]) as guest:
        guest.run(f"mkdir -p /tmp; head -c {FILE_MB << 20} /dev/urandom >/tmp/it")
        hash_ms(guest)
        for _ in range(ROUNDS):
            for kind in rows:
                watcher = None
                if kind == "watched":
                    watcher = subprocess.Popen(
                        [_ram.INTROSPECT, "--file", guest.memory_file(), "--image",
                         guest_library.kernel(), "--watch", "1000"])
                    time.sleep(1)  # the first pass is another figure
                try:
                    end = time.monotonic() + SECONDS
                    while time.monotonic() < end:
                        rows[kind].append(hash_ms(guest))
                finally:
                    if watcher:
                        watcher.kill()
                        watcher.wait()
    plain, watched = (statistics.median(rows[kind]) for kind in ("plain", "watched"))
    return {"name": "integrity-guest-cost", "ratio": round(watched / plain, 4),
            "against": "the same guest alone", "samples": len(rows["watched"]),
            "median": round(watched, 1), "unit": "ms a hash", "peer": round(plain, 1)}
