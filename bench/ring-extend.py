# SPDX-License-Identifier: GPL-2.0-or-later
"""ring-extend.py: extends a second by the ring, until swtpm has them, against swtpm's own rate.

The peer is tpm-loop on a swtpm of its own: one TPM2_PCR_Extend of both banks after the other, by
ESYS over the same kind of socket.  In alternating rounds.  The slots are filled once before, so
that the guest's own work is not in it; the ratio is of rates, 1 is swtpm's own.
"""
import os
import shutil
import statistics
import subprocess
import tempfile
import time

import paths
from _ring import Device
from ring_client import RECORDS_SYNCED

ROUNDS, COUNT, SLOTS = 7, 6000, 256


def start_swtpm(folder):
    process = subprocess.Popen(
        ["swtpm", "socket", "--tpm2", "--tpmstate", f"dir={folder}", "--server",
         f"type=unixio,path={folder}/tpm.sock", "--ctrl", f"type=unixio,path={folder}/tpm.sock.ctrl",
         "--flags", "not-need-init"], stderr=subprocess.DEVNULL)
    until = time.monotonic() + 20
    while not os.path.exists(f"{folder}/tpm.sock.ctrl"):
        if time.monotonic() > until or process.poll() is not None:
            raise RuntimeError("swtpm did not start")
        time.sleep(0.01)
    return process


def bare():
    """Seconds an extend, of a loop of COUNT."""
    folder = tempfile.mkdtemp(prefix="ring-extend-")
    swtpm = start_swtpm(folder)
    try:
        done = subprocess.run([paths.build("bench", "tpm-loop"), "extend",
                               f"swtpm:path={folder}/tpm.sock", str(COUNT)],
                              capture_output=True, text=True, check=True, timeout=120)
        return sum(float(line) for line in done.stdout.split()) / COUNT / 1e6
    finally:
        swtpm.kill()
        swtpm.wait()
        shutil.rmtree(folder)


def by_ring(device):
    ring = device.ring
    begin = time.monotonic()
    wanted = ring.long(RECORDS_SYNCED) + COUNT
    left = COUNT
    while left > 0:
        batch = min(left, ring.slots - ring.waiting())
        if batch > 0:
            ring.produced = (ring.produced + batch) & 0xFFFFFFFF
            ring.submit()
            left -= batch
        time.sleep(0.001)
    while ring.long(RECORDS_SYNCED) < wanted:
        if time.monotonic() - begin > 120:
            raise RuntimeError("swtpm does not follow")
        time.sleep(0.001)
    return (time.monotonic() - begin) / COUNT


def run():
    ours, peer = [], []
    with Device(SLOTS) as device:
        for _ in range(SLOTS):
            device.ring.fill(10, b"\1" * 32, b"\1" * 48)
        device.ring.submit()
        device.ring.wait()
        while device.ring.long(RECORDS_SYNCED) < SLOTS:
            time.sleep(0.001)
        for _ in range(ROUNDS):
            ours.append(by_ring(device))
            peer.append(bare())
        doorbells = device.ring.doorbells
    ratio = statistics.median(p / o for o, p in zip(ours, peer))
    return {"name": "ring-extend", "ratio": round(ratio, 3), "against": "TPM2_PCR_Extend by ESYS, rate",
            "samples": ROUNDS * COUNT, "median": round(statistics.median(ours) * 1e6, 1), "unit": "us",
            "peer": round(statistics.median(peer) * 1e6, 1), "doorbells": doorbells}
