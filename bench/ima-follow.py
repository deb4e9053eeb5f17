# SPDX-License-Identifier: GPL-2.0-or-later
"""ima-follow.py: a whole IMA list into MR10 through the driver's ring, against the trapped registers.

In alternating rounds, in one guest: a stranger's extend, then 'monatt-guest ima-follow --once
--begin-anew' brings the list in from its first entry, reading and hashing included.  Microseconds of
the guest's clock an entry.
"""
import statistics
import sys

import driver_module
import guest as guest_library
import paths

sys.path.insert(0, paths.source("tests", "guest"))
import driver_guest  # noqa: E402
import ima_list  # noqa: E402

ENTRIES, ROUNDS = 2000, 4
APPEND = "ima_policy=tcb rootfstype=ramfs"
DRIVER = "/sys/bus/pci/drivers/monatt"
DIGEST = "5a" * 32


def follow(guest):
    """Microseconds an entry."""
    guest.run(f"monatt-guest extend 10 {DIGEST}")
    words = guest.run("read a x </proc/uptime; monatt-guest ima-follow --once --begin-anew --json "
                      ">/tmp/counts || exit 1; read b x </proc/uptime; echo $a $b",
                      seconds=600).text.split()
    counts = guest.run("cat /tmp/counts").json()
    if not counts["anew"] or counts["extended"] < ENTRIES:
        raise RuntimeError(f"not the whole list went in: {counts}")
    return (float(words[1]) - float(words[0])) * 1e6 / counts["extended"]


def run():
    lacking = guest_library.missing()
    if lacking:
        raise FileNotFoundError(f"{lacking} is missing")
    ring, registers = [], []
    with driver_guest.boot(driver_module.guest_kernel(), append=APPEND) as guest:
        name = driver_guest.info(guest)["pci_name"]
        guest.run(ima_list.make_entries(ENTRIES, "bench"), seconds=600)
        for _ in range(ROUNDS):
            ring.append(follow(guest))
            guest.run(f"echo {name} >{DRIVER}/unbind")
            registers.append(follow(guest))
            guest.run(f"echo {name} >{DRIVER}/bind && test -c /dev/monatt")
    median = statistics.median(ring)
    return {"name": "ima-follow", "ratio": round(median / statistics.median(registers), 4),
            "against": "by trapped registers", "samples": ROUNDS, "median": round(median, 1),
            "unit": "us an entry"}
