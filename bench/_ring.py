# SPDX-License-Identifier: GPL-2.0-or-later
"""_ring.py: a device with ring and shadow page, with the task in QEMU's and the guest's place."""
import os
import sys

import paths

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "device"))
from device_client import Service  # noqa: E402
from ring_client import Memory, Ring, Shadow  # noqa: E402


class Device:
    """with Device(slots) as d: d.vm, d.memory, d.ring (on), d.shadow (on)."""

    def __init__(self, slots):
        lacking = paths.missing("swtpm", paths.HW_ATTEST)
        if lacking:
            raise FileNotFoundError(f"{lacking} is missing")
        self.slots = slots

    def __enter__(self):
        self.service = Service(paths.HW_ATTEST)
        self.vm = self.service.attach(name="bench")
        self.memory = Memory(4 << 20)
        self.vm.memory([(0, self.memory.size, 0, self.memory.fd)])
        self.ring = Ring(self.vm, self.memory, self.slots)
        self.shadow = Shadow(self.vm, self.memory)
        self.ring.on()
        self.shadow.on()
        return self

    def __exit__(self, *_):
        self.vm.close()
        self.service.close()
