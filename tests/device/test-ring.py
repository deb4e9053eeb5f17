#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""test-ring.py: the submission ring in guest memory, by a driver that is honest and by others.

Registers are compared with hashlib and the log's replay; what a hostile guest does to its ring must
cost nobody but itself.
"""
import hashlib
import importlib.util
import os
import random
import signal
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "lib")]
import paths  # noqa: E402
import ring_client as rc  # noqa: E402
from device_client import BAR0, Service  # noqa: E402
from ring_client import Memory, Ring, Shadow  # noqa: E402
from tap import Tap  # noqa: E402

EXTENDS = 10000
PIPE = 1024  # extends of a guest that the device holds for its TPM
SOAK = 150000
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


def replayed(log):
    """Registers as tests/lib/replay-cel.py computes them from the log."""
    path = paths.source("tests", "lib", "replay-cel.py")
    spec = importlib.util.spec_from_file_location("replay_cel", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    _, values = module.replay(log)
    return [list(pair) for pair in zip(values["sha256"], values["sha384"])]


def extend_by_window(vm, index, text):
    """The guest's driver without a ring: tries again while the device is busy."""
    until = time.monotonic() + 30
    while True:
        error = vm.guest_extend(index, *digests(text), b"content")
        if error != rc.ERR_BUSY or time.monotonic() > until:
            return error


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
            assert extend_by_window(vm, 6, b"window") == 0
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
    tap.is_equal(replayed(vm.log()[0])[5:7], [list(vm.guest_read(i)[:2]) for i in (5, 6)],
                 "the log replays to it")
    tap.is_equal(ring.long(rc.RECORDS), before + EXTENDS + windows, "RING_RECORDS counts all parties'")


def check_full_pipe(tap, vm, ring):
    """A TPM that is stopped: pipe and ring fill, nothing is lost, the guest is never held up."""
    model, swtpm, begin = Model(), vm.swtpm(), ring.produced
    assert ring.slots <= PIPE
    os.kill(swtpm, signal.SIGSTOP)
    try:
        until = time.monotonic() + 30
        while time.monotonic() < until and not (ring.waiting() == ring.slots and
                                                ring.word(rc.DEVICE_FLAGS) & rc.BUSY):
            while ring.waiting() < ring.slots:
                text = b"stopped %d" % ring.produced
                ring.fill(7, *digests(text), text)
                model.extend(*digests(text))
                ring.submit()
            time.sleep(0.01)
        tap.is_equal((ring.waiting(), ring.word(rc.DEVICE_FLAGS) & rc.BUSY), (ring.slots, rc.BUSY),
                     "swtpm is stopped: all slots wait, RING_BUSY says so")
        status = vm.status()
        tap.is_equal((status["records"] - status["synced"], vm.read(BAR0 + 0xC), status["fault"]),
                     (PIPE, 2, 0), "the pipe is full, the device busy and without fault")
        tap.is_equal(vm.guest_extend(8, *digests(b"x")), rc.ERR_BUSY, "an extend by the window is busy")
        tap.is_equal([vm.extend(20, b"host") >= 0 for _ in range(20)], [True] * 20,
                     "the host's records find room, and are on disk")
    finally:
        os.kill(swtpm, signal.SIGCONT)
    ring.wait()
    tap.is_equal(list(vm.guest_read(7)[:2]), model.values, "swtpm goes on: every slot was done, in order")
    tap.is_equal({ring.result(n)[0] for n in range(ring.produced - ring.slots, ring.produced)}, {0},
                 f"{ring.produced - begin} results are 0")
    vm.wait_status(lambda s: s["synced"] == s["records"])


def check_refusals(tap, vm, ring):
    before = vm.registers()
    seen = [ring.one(17, *digests(b"x"))[0], ring.one(24, *digests(b"x"))[0],
            ring.one(1, *digests(b"x"), banks=0)[0], ring.one(1, *digests(b"x"), banks=4)[0],
            ring.one(1, *digests(b"x"), size=1025)[0], ring.one(1, operation=9)[0],
            ring.one(1, operation=rc.RESET)[0]]
    tap.is_equal(seen, [rc.ERR_LOCALITY, rc.ERR_INDEX, rc.ERR_COMMAND, rc.ERR_COMMAND, rc.ERR_SIZE,
                        rc.ERR_COMMAND, rc.ERR_LOCALITY], "wrong slots get their errors")
    tap.is_equal(vm.registers(), before, "and move nothing")
    tap.is_equal(ring.one(1, *digests(b"x"), b"c" * 1024)[0], 0, "the unbroken slot is taken")
    ring.set_word(rc.PRODUCED, ring.produced + ring.slots + 1)
    vm.write(BAR0 + rc.DOORBELL, 1)
    until = time.monotonic() + 20
    while vm.read(BAR0 + rc.RING_CONTROL) == rc.ON and time.monotonic() < until:
        time.sleep(0.001)
    tap.is_equal((vm.read(BAR0 + rc.RING_CONTROL), vm.read(BAR0 + rc.RING_ERROR),
                  ring.word(rc.DEVICE_FLAGS) & rc.FAULTED), (rc.FAULT, rc.ERR_SIZE, rc.FAULTED),
                 "more slots than there are: a fault, in register and header")
    ring.on()
    tap.is_equal(ring.one(1, *digests(b"x"))[0], 0, "switched on again it works")


def check_memory_map(tap, vm, memory, ring, shadow):
    """Memory maps come while slots are under way, as in a boot."""
    model, whole = Model(), [(0, memory.size, 0, memory.fd)]
    model.values = list(vm.guest_read(2)[:2])
    for number in range(400):
        if ring.waiting() == ring.slots:
            ring.wait(left=ring.slots // 2)
        ring.fill(2, *digests(b"%d" % number))
        model.extend(*digests(b"%d" % number))
        ring.submit()
        vm.memory([(0, memory.size - 0x1000 * (number % 3), 0, memory.fd)])
    ring.wait()
    tap.is_equal(list(vm.guest_read(2)[:2]), model.values, "400 memory maps amid 400 slots: none lost")
    other = 0x400000  # the same guest-physical page elsewhere in the file
    memory.bytes[other:2 * other] = memory.bytes[0:other]
    vm.memory([(0, other, other, memory.fd)])
    moved = Ring(vm, memory, ring.slots, other + ring.offset, ring.address)
    moved.produced = ring.produced
    tap.is_equal(moved.one(2, *digests(b"moved"))[0], 0, "moved in the file: the ring moves along")
    tap.is_equal(ring.waiting(), 0, "and is not served where it was")
    here = Shadow(vm, memory, other + shadow.offset)
    tap.is_equal(here.read(2)[0], vm.guest_read(2)[0], "so does the shadow page")
    vm.memory([(1 << 32, memory.size, 0, memory.fd)])
    states = [vm.read(BAR0 + r) for r in (rc.RING_CONTROL, rc.RING_ERROR, rc.SHADOW_CONTROL)]
    tap.is_equal(states, [rc.FAULT, rc.ERR_ADDRESS, rc.FAULT], "gone from the map: both are off")
    vm.memory(whole)
    ring.on()
    shadow.on()


def quiet(vm, memory, ring, name, tap):
    """Whatever goes on in the device, the memory stays as it is."""
    before = bytes(memory.bytes)
    ring.set_word(rc.PRODUCED, ring.word(rc.PRODUCED) + 1)
    before = before[:ring.offset] + bytes(memory.bytes[ring.offset:ring.offset + 4]) + before[ring.offset + 4:]
    vm.write(BAR0 + rc.DOORBELL, 1)
    vm.extend(20, b"host")
    time.sleep(0.05)
    vm.wait_status(lambda s: s["synced"] == s["records"])
    tap.ok(bytes(memory.bytes) == before, f"{name}: not a byte is written any more")


def check_off(tap, vm, memory, ring, shadow):
    def by_control():
        ring.control(0)
        shadow.control(0)

    ways = {"0 to the control registers": by_control,
            "bus mastering off": lambda: vm.config_write(rc.COMMAND, rc.MEMORY_SPACE, 2),
            "a RESET of the wire": vm.wire_reset}
    for name, way in ways.items():
        ring.on()
        shadow.on()
        for number in range(ring.slots):
            ring.fill(3, *digests(b"%d" % number))
        ring.submit(always=True)
        way()  # somewhere in the middle of them
        vm.wait_status(lambda s: not s["pending"])
        quiet(vm, memory, ring, name, tap)
        tap.is_equal([vm.read(BAR0 + r) for r in (rc.RING_CONTROL, rc.SHADOW_CONTROL)], [0, 0],
                     f"{name}: both are off")
        log, count = replayed(vm.log()[0]), vm.guest_read(3)
        tap.is_equal(log[3], list(count[:2]), f"{name}: what was done of the slots is in the log")
    vm.config_write(rc.COMMAND, rc.MEMORY_SPACE, 2)
    tap.is_equal((ring.control(1), vm.read(BAR0 + rc.RING_ERROR), shadow.control(1)),
                 (rc.FAULT, rc.ERR_ADDRESS, rc.FAULT), "without bus mastering neither can be switched on")


def check_vm_reset(tap, vm, memory, ring, shadow):
    ring.on()
    shadow.on()
    for number in range(ring.slots):
        ring.fill(4, *digests(b"%d" % number), b"c" * 500)
    ring.submit(always=True)
    before = vm.status()["boot_count"]
    vm.reset()
    vm.wait_status(lambda s: s["boot_count"] == before + 1 and not s["pending"])
    tap.is_equal(vm.guest_read(4), (bytes(32), bytes(48), (0, 0)), "a VM reset amid a batch: a new boot")
    quiet(vm, memory, ring, "VM reset", tap)
    ring.on()
    shadow.on()
    tap.is_equal(ring.one(4, *digests(b"new"))[0:1], (0,), "the next boot switches it on")
    tap.is_equal(shadow.read(4)[:2], vm.guest_read(4)[:2], "the shadow page too")


def check_moved_while_busy(tap, vm, memory, ring):
    """Another area without switching off: the first one is left where it is."""
    for number in range(ring.slots):
        ring.fill(9, *digests(b"%d" % number))
    ring.submit(always=True)
    second = Ring(vm, memory, slots=16, offset=0x200000)
    second.on()
    before = bytes(memory.bytes[ring.offset:ring.offset + rc.HEADER])
    count = vm.guest_read(9)[2][0]
    for number in range(40):
        assert second.one(10, *digests(b"%d" % number))[0] == 0
    tap.ok(bytes(memory.bytes[ring.offset:ring.offset + rc.HEADER]) == before and
           vm.guest_read(9)[2][0] == count, "a ring moved while busy: only the new one is served")
    second.control(0)
    # Taken up where it was left: the first ring's header says how far it was.
    ring.configure()
    ring.control(1)
    ring.submit(always=True)
    ring.wait()
    tap.is_equal(vm.guest_read(9)[2][0], ring.slots, "and the first goes on where it was left")


def footprint(vm):
    """Resident KiB, descriptors, and mappings of guest memory of the device process."""
    pid = vm.status()["device"]
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        resident = next(int(line.split()[1]) for line in file if line.startswith("VmRSS"))
    with open(f"/proc/{pid}/maps", encoding="utf-8") as file:
        maps = sum("/memfd:guest" in line for line in file)
    return resident, len(os.listdir(f"/proc/{pid}/fd")), maps


def check_footprint(tap, vm, memory, ring, shadow):
    """The device does not grow, whatever is switched and however much is extended."""
    def extend(count):
        while count > 0:
            batch = min(count, ring.slots - ring.waiting())
            ring.produced = (ring.produced + batch) & 0xFFFFFFFF
            ring.submit()
            count -= batch
            time.sleep(0.0005)
        ring.wait(seconds=120)
        vm.wait_status(lambda s: s["synced"] == s["records"], 120)

    ring.on()
    shadow.on()
    for _ in range(ring.slots):
        ring.fill(3, *digests(b"x"), b"content")
    ring.submit()
    extend(20 * PIPE)  # each entry of the pipe was used
    before = footprint(vm)
    extend(SOAK)
    for number in range(500):
        vm.write(BAR0 + rc.RING_ADDRESS, 0x100000 + number % 7 * 0x20000, 8)
        vm.write(BAR0 + rc.RING_SLOTS, 16 << number % 6)
        ring.control(1)
        shadow.control(number % 3 and 1)
        vm.memory([(0, memory.size, 0, memory.fd)])
    ring.on()
    shadow.on()
    after = footprint(vm)
    tap.is_equal(before[2], 2, "ring and shadow page are all of guest memory that is mapped")
    tap.is_equal(after[1:], before[1:], "500 rings and memory maps later: as many descriptors and mappings")
    with open(f"/proc/{vm.status()['device']}/maps", encoding="utf-8") as file:
        sanitized = "libasan" in file.read()
    if sanitized:
        tap.skip("the sanitizers need their own memory", "12 MiB at most, and no bigger later")
    else:
        tap.ok(after[0] - before[0] < 256, f"{SOAK} extends later: not bigger", (before, after))
        tap.ok(after[0] <= 12 * 1024, "12 MiB at most", after)


def check_hostile(tap, vm, memory, ring, shadow):
    """Random ring and shadow registers over random memory, for a while."""
    generator = random.Random(20201)
    start = [r[:2] for r in vm.registers()[17:23]]
    registers = (rc.RING_ADDRESS, rc.RING_SLOTS, rc.RING_CONTROL, rc.DOORBELL, rc.SHADOW_ADDRESS,
                 rc.SHADOW_CONTROL)
    for _ in range(4000):
        place = generator.choice((ring.offset, ring.offset + generator.randrange(0, 0x10000),
                                  generator.randrange(0, memory.size - 8)))
        memory.bytes[place:place + 8] = generator.randbytes(8)
        ring.set_word(rc.PRODUCED, ring.word(rc.CONSUMED) + generator.randrange(0, 18))
        register = generator.choice(registers)
        value = generator.choice((0, 1, 16, 64, ring.address, generator.getrandbits(23) & ~0xFFF,
                                  generator.getrandbits(64)))
        vm.write(BAR0 + register, value, 8 if register in (rc.RING_ADDRESS, rc.SHADOW_ADDRESS) else 4)
        if generator.random() < 0.1:
            vm.config_write(rc.COMMAND, rc.MEMORY_SPACE | rc.BUS_MASTER, 2)
            ring.configure()
            ring.control(1)
    tap.is_equal([r[:2] for r in vm.registers()[17:23]], start, "a hostile guest: MR17 to MR22 stand")
    tap.is_equal(vm.status()["fault"], 0, "no fault")
    ring.control(0)  # else its thread goes on while log and registers are read
    vm.wait_status(lambda s: s["synced"] == s["records"])
    tap.is_equal(replayed(vm.log()[0]), [list(r[:2]) for r in vm.registers()],
                 "and all registers are what the log says")
    ring.on()
    tap.is_equal(ring.one(1, *digests(b"x"))[0], 0, "an honest ring works after it")


def check_cut_memory(tap, service, vm, memory, ring, shadow):
    """QEMU cuts its memory's file under the device: nobody but this VM may notice."""
    neighbour = service.attach(name="neighbour")
    ring.on()
    os.ftruncate(memory.fd, 0x1000)
    refused = [s.control(1) for s in (ring, shadow)]
    tap.is_equal(refused, [rc.FAULT, rc.FAULT], "behind a file's end nothing is switched on")
    os.ftruncate(memory.fd, memory.size)
    tap.is_equal(ring.control(1), rc.FAULT, "nor in memory that was never written")
    memory.bytes[:] = bytes(memory.size)
    ring.on()
    os.ftruncate(memory.fd, 0x1000)
    try:
        vm.write(BAR0 + rc.DOORBELL, 1)
        vm.read(BAR0)
        time.sleep(0.2)
    except (EOFError, OSError) as error:
        tap.note(f"the device's end: {error!r}")
    tap.is_equal(neighbour.guest_extend(1, *digests(b"x")), 0, "cut while it is on: the neighbour goes on")
    tap.ok(service.process.poll() is None, "so does the service")
    neighbour.close()


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
        check_full_pipe(tap, vm, ring)
        check_refusals(tap, vm, ring)
        check_memory_map(tap, vm, memory, ring, shadow)
        check_off(tap, vm, memory, ring, shadow)
        check_vm_reset(tap, vm, memory, ring, shadow)
        check_moved_while_busy(tap, vm, memory, ring)
        check_footprint(tap, vm, memory, ring, shadow)
        check_hostile(tap, vm, memory, ring, shadow)
        tap.is_equal(service.killed(), [], "no device was killed")
        check_cut_memory(tap, service, vm, memory, ring, shadow)
        tap.ok(vm.close(), "nothing is left in the run folder")
    if tap.failed:
        tap.note(service.stderr())
    service.close()
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
