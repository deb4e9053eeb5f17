#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""test-qemu-vfio-user.py: the device behind a newer QEMU's vfio-user-pci, seen by a Linux guest.

QEMU is a later Debian's, unpacked by tests/lib/suite-tree; without it all is skipped.
"""
import mmap
import os
import socket
import struct
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "lib")]
import paths  # noqa: E402
import suite_tree  # noqa: E402
from device_client import BAR0, BAR2, RAM, Service, Vm, call  # noqa: E402
from qemu_checks import D256, D384, FIRST256, check_guest  # noqa: E402
from qemu_vm import MEMORY_MB, QemuVm, kernel  # noqa: E402
from tap import Tap  # noqa: E402

POKE = paths.build("tests", "device", "guest-poke")
SUITE = "sid"
ROUNDS = 3  # of unplugging and plugging
ONES = 0xFFFFFFFF


def tree(tap):
    try:
        return suite_tree.folder(SUITE)
    except suite_tree.Missing as error:
        return tap.skip_all(f"a QEMU with vfio-user-pci cannot be had: {error}")


def memory_map(vm):
    """[(guest physical, size, offset)] and their descriptors, as the collector gets them."""
    answer, fds = call(vm.control, RAM)
    count = struct.unpack(">I", answer[:4])[0]
    return [struct.unpack(">QQQ", answer[4 + i * 24:28 + i * 24]) for i in range(count)], fds


def check_memory(tap, vm, when):
    regions, fds = memory_map(vm)
    try:
        total = sum(size for _, size, _ in regions)
        tap.ok(MEMORY_MB * 1024 - 512 <= total >> 10 <= MEMORY_MB * 1024,
               f"{when}: the guest's RAM was mapped, but for what firmware took", regions)
        tap.ok(all(regions[i][0] + regions[i][1] <= regions[i + 1][0]
                   for i in range(len(regions) - 1)), f"{when}: no region lies over another", regions)
        largest = max(range(len(regions)), key=lambda i: regions[i][1])
        _, size, offset = regions[largest]
        with mmap.mmap(fds[largest], size, mmap.MAP_SHARED, mmap.PROT_READ, offset=offset) as memory:
            tap.ok(memory.find(b"Linux version ") >= 0, f"{when}: Linux's banner is found in it")
        tap.raises(OSError, f"{when}: and cannot be written", os.pwrite, fds[largest], b"x", 0)
    finally:
        for fd in fds:
            os.close(fd)


def check_replug(tap, vm):
    for i in range(ROUNDS):
        name = f"round {i + 1} of unplugging"
        vm.execute("device_del", id="monatt0")
        vm.wait_event("DEVICE_DELETED")
        vm.wire_gone()
        tap.ok(not os.path.exists(vm.folder), f"{name}: the device ended in order",
               vm.service.stderr())
        tap.is_equal(vm.ask("find"), "ready none", f"{name}: the guest has no device")
        ours, theirs = socket.socketpair()
        fds, path = vm.attach("again", 1, theirs)
        theirs.close()
        tap.is_equal(fds, [], f"{name}: no descriptors with a path")
        tap.is_equal(vm.execute("device_add", **vm.vfio_device(path)), {}, f"{name}: plugged in again")
        monitor = Vm.__new__(Vm)  # for the new device: a RESET that QMP does not confirm is over
        monitor.qmp = ours
        monitor.qmp_start(thread=os.getpid())
        vm.control.close()
        vm.control = vm.connect()
        until = time.monotonic() + 60
        while vm.ask("find") == "ready none" and time.monotonic() < until:
            time.sleep(0.1)
        tap.is_equal(vm.read(BAR0), 0x5454414D, f"{name}: the guest reads the new device")
        until = time.monotonic() + 60
        while vm.read(BAR0 + 0xC) != 1 and time.monotonic() < until:
            time.sleep(0.1)
        tap.is_equal(vm.guest_extend(10, D256, D384), 0, f"{name}: and extends")
        tap.is_equal(vm.guest_read(10)[0], FIRST256, f"{name}: a register of a new log")
        check_memory(tap, vm, name)
        for closing in (monitor.qmp_file, ours):
            closing.close()


def check_death(tap, vm):
    vm.kill_device()
    vm.wire_gone()
    tap.is_equal([vm.read(BAR0), vm.read(BAR2 + 0x100), vm.config_read(0)], [ONES] * 3,
                 "device killed: the guest reads all ones and goes on")
    tap.is_equal(vm.execute("query-status").get("running"), True, "device killed: the VM runs")


def check_end(tap, vm, name):
    vm.order("off")
    tap.is_equal(vm.process.wait(60), 0, f"{name}: guest powers off, QEMU ends with 0")


def main():
    tap = Tap()
    missing = paths.missing("swtpm", paths.HW_ATTEST, POKE)
    if missing or not kernel():
        tap.skip_all(f"{missing or 'a Debian cloud kernel'} is missing")
    newer = tree(tap)
    # A device that ends is not started again: how QEMU takes its end is what is looked at here.
    service = Service(paths.HW_ATTEST, options=["--restarts", "0"])
    with tap:
        vm = QemuVm(service, POKE, tree=newer)
        try:
            check_memory(tap, vm, "after boot")
            check_guest(tap, vm, "vfio-user")
            check_memory(tap, vm, "after resets")
            check_replug(tap, vm)
            check_end(tap, vm, "device alive")
        finally:
            clean = vm.end()
        tap.ok(clean, "nothing is left in the run folder")
        tap.is_equal(service.killed(), [], "no device was killed")
        vm = QemuVm(service, POKE, tree=newer)
        try:
            check_death(tap, vm)
            check_end(tap, vm, "device dead")
        finally:
            vm.end()
    if tap.failed:
        tap.note(service.stderr())
        with open(service.folder + "/qemu-stderr", encoding="utf-8", errors="replace") as file:
            tap.note(file.read())
    service.close()
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
