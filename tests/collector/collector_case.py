# SPDX-License-Identifier: GPL-2.0-or-later
"""collector_case.py: a host with collector and a VM without QEMU, for fast tests of the daemon."""
import hashlib
import os
import struct
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "lib"), os.path.join(HERE, "..", "device")]
import paths  # noqa: E402
from collector_client import Ask  # noqa: E402
from device_client import Vm  # noqa: E402
from guest import Host, wait_for  # noqa: E402

FIRMWARE, KERNEL, INITRD, COMMAND_LINE = 1, 2, 3, 4


def item(kind, content, name):
    """One boot item as a launcher sends it (control.h, record-payloads.h)."""
    payload = (struct.pack(">HQ", kind, len(content)) + hashlib.sha256(content).digest() +
               hashlib.sha384(content).digest() + struct.pack(">H", len(name)) + name.encode())
    return struct.pack(">I", len(payload)) + payload


ITEMS = [item(FIRMWARE, b"firmware", "bios.bin"), item(KERNEL, b"kernel", "vmlinuz"),
         item(INITRD, b"initrd", "initrd.gz"), item(COMMAND_LINE, b"quiet", "quiet")]


def missing():
    return paths.missing("swtpm", paths.HW_ATTEST, paths.COLLECTORD, paths.WORKER, paths.MONATT)


def attach(host, name="fake", **more):
    """A VM whose QEMU is the test; the collector has found it when this returns."""
    vm = Vm(host, name=name, items=b"".join(ITEMS), count=len(ITEMS), thread=os.getpid(), **more)
    ask = Ask(host.run)
    wait_for(lambda: any(row["name"] == name for row in ask.get("/v1/vms").json()["vms"]),
             f"collector finds '{name}'")
    return vm


__all__ = ["Ask", "FIRMWARE", "Host", "ITEMS", "Vm", "attach", "missing", "paths",
           "wait_for"]
