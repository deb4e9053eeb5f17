# SPDX-License-Identifier: GPL-2.0-or-later
"""attest-latency: a whole attestation of a real guest, against bare TPM2_Quote on the host TPM.

The whole: a question over HTTP, boot items, plugin windows, one introspection of all tasks, three
records on disk, a device quote and a host quote, the signature, the report on disk.  The peer is
tpm-loop on the very swtpm that the collector uses, in turns with it: the collector lets go of
the TPM meanwhile, as a software TPM serves one at a time.
"""
import os
import statistics
import subprocess
import time

import paths
from collector_client import Ask
from guest import Guest, Host

ROUNDS = 3
QUOTES = 60
ATTESTS = 20
WARM_UP = 2


def quotes(host):
    """Seconds of each of QUOTES quotes."""
    host.end(host.collector)
    host.children.remove(host.collector)
    done = subprocess.run([paths.build("bench", "tpm-loop"), "quote",
                           f"swtpm:path={host.folder}/tpm.sock", str(QUOTES)],
                          capture_output=True, text=True, check=True, timeout=120)
    if os.path.exists(f"{host.run}/collector.sock"):
        os.unlink(f"{host.run}/collector.sock")
    host.start_collector()
    return [float(line) / 1e6 for line in done.stdout.split()]


def attests(host, name):
    ask, found = Ask(host.run), []
    for number in range(WARM_UP + ATTESTS):
        begin = time.monotonic()
        answer = ask.attest(name)
        seconds = time.monotonic() - begin
        if answer.status != 200:
            raise RuntimeError(f"attest: {answer}")
        if number >= WARM_UP:  # the first ones start a worker and find the kernel
            found.append(seconds)
    return found


def run():
    bare, whole = [], []
    with Host(collector=True) as host, Guest(host, name="bench") as guest:
        for _ in range(ROUNDS):
            bare += quotes(host)
            whole += attests(host, guest.name)
    ratio = statistics.median(whole) / statistics.median(bare)
    return {"name": "attest-latency", "ratio": round(ratio, 2),
            "against": "bare TPM2_Quote by ESYS", "samples": len(whole),
            "median": round(statistics.median(whole) * 1e3, 2), "unit": "ms"}
