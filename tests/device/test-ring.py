#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""test-ring.py: the submission ring in guest memory, by a driver that is honest and by others.

Registers are compared with hashlib and the log's replay; what a hostile guest does to its ring must
cost nobody but itself.
"""
import hashlib
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "lib")]
import paths  # noqa: E402
import ring_client as rc  # noqa: E402
from device_client import Service  # noqa: E402
from ring_client import Memory, Ring, Shadow  # noqa: E402
from tap import Tap  # noqa: E402

EXTENDS = 10000
EVERY = 37  # so many slots are followed by one extend through the window


def digests(text):
    return hashlib.sha256(text).digest(), hashlib.sha384(text).digest()


class Model:
    """One register, by hashlib alone."""

    def __init__(self):
        self.values = [bytes(32), bytes(48)]

    def extend(self, d256, d384):
        if d256:
            self.values[0] = hashlib.sha256(self.values[0] + d256).digest()
        if d384:
            self.values[1] = hashlib.sha384(self.values[1] + d384).digest()


def check_bulk(tap, vm, ring, shadow):
    """Many extends by ring and window at once: none lost, each register's in order."""
    by_ring, by_window = Model(), Model()
    before = vm.status()["records"]
    begin = ring.produced
    results = []
    for number in range(EXTENDS):
        d256, d384 = digests(b"%d" % number)
        bank = number % 3  # both, one, the other
        d256, d384 = d256 if bank != 2 else None, d384 if bank != 1 else None
        if ring.waiting() == ring.slots:
            ring.submit()
            ring.wait(left=ring.slots // 2)
        if number >= ring.slots:
            results.append(ring.result(ring.produced - ring.slots))
        ring.fill(5, d256, d384, b"%d" % number * (number % 100))
        by_ring.extend(d256, d384)
        if number % 16 == 0:
            ring.submit()
        if number % EVERY == 0:
            error = vm.guest_extend(6, *digests(b"window"), b"content")
            while error == rc.ERR_BUSY:
                error = vm.guest_extend(6, *digests(b"window"), b"content")
            assert error == 0, error
            by_window.extend(*digests(b"window"))
    ring.submit()
    ring.wait()
    results += [ring.result(number) for number in range(ring.produced - ring.slots, ring.produced)]
    windows = -(-EXTENDS // EVERY)
    tap.is_equal(ring.produced - begin, EXTENDS, f"{EXTENDS} extends through the ring")
    tap.is_equal({result for result, _ in results}, {0}, "each has the result 0")
    records = [record for _, record in results]
    tap.ok(len(records) == EXTENDS and records == sorted(set(records)) and
           records[0] >= before, "and a record number, growing")
    tap.ok(ring.doorbells < EXTENDS / 16, "a busy ring needs few doorbells", ring.doorbells)
    for index, model, count in ((5, by_ring, EXTENDS), (6, by_window, windows)):
        seen = vm.guest_read(index)
        tap.is_equal((list(seen[:2]), seen[2][0]), (model.values, count),
                     f"MR{index} is what hashlib computes")
    vm.wait_status(lambda s: s["synced"] == s["records"])
    tap.is_equal(shadow.read(5), vm.guest_read(5), "the shadow page shows it, synced too")
    tap.is_equal(ring.long(rc.RECORDS), before + EXTENDS + windows, "RING_RECORDS counts all parties'")


def main():
    tap = Tap()
    missing = paths.missing("swtpm", paths.HW_ATTEST)
    if missing:
        tap.skip_all(f"{missing} is missing")
    service = Service(paths.HW_ATTEST)
    with tap:
        vm = service.attach()
        memory = Memory(8 << 20)
        vm.memory([(0, memory.size, 0, memory.fd)])
        ring, shadow = Ring(vm, memory), Shadow(vm, memory)
        ring.on()
        shadow.on()
        check_bulk(tap, vm, ring, shadow)
        tap.ok(vm.close(), "nothing is left in the run folder")
        tap.is_equal(service.killed(), [], "no device was killed by its sandbox")
    if tap.failed:
        tap.note(service.stderr())
    service.close()
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
