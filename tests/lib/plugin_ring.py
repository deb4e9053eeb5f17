# SPDX-License-Identifier: GPL-2.0-or-later
"""plugin_ring.py: the plugin's ring as docs/formats/plugin-ring.md says, written a second time.

Must not call the product: a test that counts with this is a second opinion.
"""
import fcntl
import mmap
import os
import struct

CAPACITY = 8192
RECORD = 64
F_ADD_SEALS, F_SEAL_SEAL, F_SEAL_SHRINK, F_SEAL_GROW = 1033, 1, 2, 4


def records_offset(vcpus):
    return (4096 + vcpus * 128 + 4095) // 4096 * 4096


class PluginRing:
    """A new, empty ring; fd is to be given to QEMU as fd=N."""

    def __init__(self, vcpus):
        self.vcpus = vcpus
        size = records_offset(vcpus) + vcpus * CAPACITY * RECORD
        self.fd = os.memfd_create("test-ring", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.ftruncate(self.fd, size)
        fcntl.fcntl(self.fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)
        self.map = mmap.mmap(self.fd, size)
        self.map[0:32] = struct.pack("<8sIIIIQ", b"MTPRING1", 1, vcpus, CAPACITY, RECORD, size)

    def status(self):
        names = ("state", "monitors", "window_ns", "epoch_ns", "unplaced")
        return dict(zip(names, struct.unpack_from("<IIQQQ", self.map, 64)))

    def head(self, vcpu):
        return struct.unpack_from("<Q", self.map, 4096 + vcpu * 128)[0]

    def records(self, vcpu, first=0):
        """(window, locks, splits, syscalls, {number: count}) of each record from first on."""
        base = records_offset(self.vcpus) + vcpu * CAPACITY * RECORD
        head = self.head(vcpu)
        if head - first > CAPACITY:
            raise AssertionError(f"vCPU {vcpu}: {head - first} records, {CAPACITY} are kept")
        for number in range(first, head):
            at = base + number % CAPACITY * RECORD
            sequence, window, locks, splits, calls, kind, _, pairs, _ = \
                struct.unpack_from("<QQIIIBBBB", self.map, at)
            if sequence != number + 1 or kind != 1:
                raise AssertionError(f"vCPU {vcpu}: record {number} has {sequence}, kind {kind}")
            named = dict(struct.unpack_from("<HH", self.map, at + 32 + 4 * i)
                         for i in range(pairs))
            yield window, locks, splits, calls, named

    def sums(self, vcpu, first=0):
        """{"locks", "splits", "syscalls", "named": {number: count}} over the records."""
        total = {"locks": 0, "splits": 0, "syscalls": 0, "named": {}}
        for _, locks, splits, calls, named in self.records(vcpu, first):
            total["locks"] += locks
            total["splits"] += splits
            total["syscalls"] += calls
            for number, count in named.items():
                total["named"][number] = total["named"].get(number, 0) + count
        return total

    def close(self):
        self.map.close()
        os.close(self.fd)
