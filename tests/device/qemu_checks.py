# SPDX-License-Identifier: GPL-2.0-or-later
"""qemu_checks.py: what a Linux guest must see of the device, behind whichever QEMU and wire.

Identity, extends, locality, and the reset rule with a reboot by the guest and one by QMP.
"""
import hashlib
import os

from device_client import BAR0, BAR2, call, receive, SUBSCRIBE

D256, D384 = hashlib.sha256(b"event").digest(), hashlib.sha384(b"event").digest()
FIRST256, FIRST384 = hashlib.sha256(bytes(32) + D256).digest(), \
    hashlib.sha384(bytes(48) + D384).digest()
EVENT, EVENT_RESET = 14, 1


def wait_reset(subscriber):
    while True:
        kind, _, payload, _ = receive(subscriber)
        if kind == EVENT and payload[:2] == bytes([0, EVENT_RESET]):
            return int.from_bytes(payload[2:], "big")


def check_guest(tap, vm, machine):
    tap.ok(vm.address != "none", f"{machine}: Linux finds the device", vm.address)
    tap.is_equal(vm.config_read(0), 0xA77E1234, f"{machine}: vendor and device")
    tap.is_equal(vm.config_read(8), 0x10800001, f"{machine}: class and revision")
    tap.is_equal(vm.ask("s class"), "0x108000", f"{machine}: class in sysfs")
    tap.is_equal(vm.read(BAR0), 0x5454414D, f"{machine}: magic")
    tap.is_equal(vm.read(BAR0 + 4), 1, f"{machine}: version")
    tap.is_equal([vm.read(BAR0, size) for size in (1, 2, 8)], [0x4D, 0x414D, 0x15454414D],
                 f"{machine}: 1, 2 and 8 bytes at once")
    tap.is_equal(vm.read(BAR2 + 4), 24, f"{machine}: 24 registers")
    tap.is_equal(vm.read(BAR0 + 0xC), 1, f"{machine}: status is ready")
    tap.is_equal(vm.guest_extend(10, D256, D384, b"hello"), 0, f"{machine}: extend of MR10")
    got = vm.guest_read(10)
    tap.is_equal(got[:2], (FIRST256, FIRST384), f"{machine}: MR10 in both banks")
    tap.is_equal(vm.guest_extend(19, D256, D384), 3, f"{machine}: MR19 is the host's")
    tap.is_equal(vm.guest_read(19)[0], b"\xff" * 32, f"{machine}: MR19 did not move")
    vm.wait_status(lambda s: s["synced"] == 1)
    quote = vm.quote(11, bytes(32))
    tap.is_equal((quote[2][10], quote[3]), (FIRST256, 1), f"{machine}: quoted")
    ram, fds = call(vm.control, 8)
    for fd in fds:
        os.close(fd)
    tap.ok(len(fds) > 0, f"{machine}: guest RAM came as descriptors", ram)
    threads, _ = call(vm.control, 13)
    tap.ok(int.from_bytes(threads[4:8], "big") == 1, f"{machine}: one vCPU thread", threads)
    check_reset(tap, vm, machine, "reboot by the guest", lambda: vm.order("reboot"))
    check_reset(tap, vm, machine, "system_reset by QMP", lambda: vm.execute("system_reset"))


def check_reset(tap, vm, machine, how, act):
    subscriber = vm.connect()
    subscriber.settimeout(120)
    call(subscriber, SUBSCRIBE)
    before = vm.status()
    if before["records"] == 0:
        vm.guest_extend(10, D256, D384)
    act()
    count = wait_reset(subscriber)
    vm.wait_ready()
    after = vm.status()
    name = f"{machine}: {how}"
    tap.is_equal((count, after["boot_count"]), (before["boot_count"] + 1,) * 2,
                 name + ": one boot more")
    tap.ok(after["seed"] != before["seed"], name + ": a new boot seed")
    tap.is_equal((after["records"], after["fault"], after["pending"]), (0, 0, 0),
                 name + ": empty log, no fault")
    tap.is_equal(vm.guest_read(10), (bytes(32), bytes(48), (0, 0)), name + ": MR10 is fresh")
    tap.is_equal(vm.guest_extend(10, D256, D384), 0, name + ": extends are taken again")
    tap.is_equal(vm.quote(12, b"n")[2][10], FIRST384, name + ": and quoted")
    subscriber.close()
