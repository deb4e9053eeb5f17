#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""test-qemu.py: the device behind a stock QEMU, seen by a Linux guest, on q35 and pc.

Identity, extends, locality, and the reset rule with a reboot by the guest and one by QMP.
"""
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "lib")]
import paths  # noqa: E402
from device_client import BAR0, BAR2, Service  # noqa: E402
from qemu_checks import check_guest  # noqa: E402
from qemu_vm import QemuVm, kernel  # noqa: E402
from tap import Tap  # noqa: E402

POKE = paths.build("tests", "device", "guest-poke")


def check_machine(tap, service, machine):
    vm = QemuVm(service, POKE, machine=machine)
    try:
        check_guest(tap, vm, machine)
        if machine == "pc":
            vm.kill_device()
            vm.wire_gone()
            tap.is_equal([vm.read(BAR0), vm.read(BAR2 + 0x100), vm.config_read(0)], [0xFFFFFFFF] * 3,
                         "device killed for good: the guest reads all ones and goes on")
            vm.execute("system_reset")
            tap.is_equal(vm.wait_ready(), "none", "and after a reboot finds no device")
        vm.order("off")
        tap.is_equal(vm.process.wait(60), 0, f"{machine}: guest powers off, QEMU ends with 0")
    finally:
        clean = vm.end()
    tap.ok(clean, f"{machine}: nothing is left in the run folder")
    killed = [line for line in service.killed() if "signal 9" not in line]
    tap.is_equal(killed, [], f"{machine}: no device was killed by its sandbox")


def main():
    tap = Tap()
    missing = paths.missing(paths.QEMU, "swtpm", paths.HW_ATTEST, POKE)
    if missing or not kernel():
        tap.skip_all(f"{missing or 'a Debian cloud kernel'} is missing")
    for machine in ("q35", "pc"):
        service = Service(paths.HW_ATTEST, options=["--restarts", "0"])
        with tap:
            check_machine(tap, service, machine)
        if tap.failed:
            tap.note(service.stderr())
        service.close()
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
