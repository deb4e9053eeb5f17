# SPDX-License-Identifier: GPL-2.0-or-later
"""_trapped.py: one boot for extend-trapped and read-trapped.

The guest has the attest device and a TPM of its own (QEMU's tpm-crb on a second swtpm) and
measures both in alternating rounds with guest-bench.c.
"""
import functools
import os
import statistics

import guest as guest_library
import paths
from guest import Guest, wait_for

ROUNDS, PER_ROUND = 21, 50
BENCH = paths.build("bench", "guest-bench")


@functools.lru_cache(maxsize=None)
def measure():
    """{"extend": [(ours, peer)…], "read": […]} in microseconds."""
    lacking = guest_library.missing() or paths.missing(BENCH)
    if lacking:
        raise FileNotFoundError(f"{lacking} is missing")
    with guest_library.Host() as host:
        state = f"{host.folder}/vtpm"
        os.makedirs(state)
        vtpm = host.start(["swtpm", "socket", "--tpm2", "--tpmstate", f"dir={state}", "--ctrl",
                           f"type=unixio,path={state}/ctrl"], host.log("vtpm"))
        wait_for(lambda: os.path.exists(f"{state}/ctrl"), "the guest's own TPM", alive=vtpm)
        options = ["-chardev", f"socket,id=vtpm,path={state}/ctrl", "-tpmdev",
                   "emulator,id=tpm0,chardev=vtpm", "-device", "tpm-crb,tpmdev=tpm0"]
        with Guest(host, name="bench", add=[f"{BENCH}:/guest-bench"], options=options,
                   launcher=["--monatt-no-plugin"]) as guest:
            text = guest.run(f"/guest-bench {ROUNDS} {PER_ROUND}", seconds=600).text
    rounds = {"extend": [], "read": []}
    for line in text.splitlines():
        kind, ours, peer = line.split()
        rounds[kind].append((float(ours), float(peer)))
    return rounds


def figure(name, kind, against):
    rounds = measure()[kind]
    ours = statistics.median(row[0] for row in rounds)
    peer = statistics.median(row[1] for row in rounds)
    return {"name": name, "ratio": round(ours / peer, 3), "against": against,
            "samples": len(rounds) * PER_ROUND, "median": round(ours, 1), "unit": "us",
            "peer": round(peer, 1)}
