#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""test-payload.py: ring, shadow page and interrupt as a guest on a real QEMU uses them, KVM and TCG.

The guest is tests/device/payload, 32 bits without an operating system.  Where there is no /dev/kvm
its half is skipped with that reason, and so is vfio-user without a newer QEMU (tests/lib/suite-tree).
"""
import hashlib
import os
import shutil
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "lib")]
import paths  # noqa: E402
import suite_tree  # noqa: E402
from device_client import Service  # noqa: E402
from payload_vm import PayloadVm, build, kvm_missing  # noqa: E402
from tap import Tap  # noqa: E402

EXTENDS = 3000
INTERRUPTS = 200
STANDING = 12
HOSTILE = 20000
CAP_RING, CAP_SHADOW, CAP_INTERRUPT = 8, 0x10, 0x20


def model(values, count):
    """MR3 after the payload's `r COUNT`."""
    for number in range(count):
        for i, (name, size) in enumerate((("sha256", 32), ("sha384", 48))):
            digest = number.to_bytes(4, "little") * (size // 4)
            values[i] = hashlib.new(name, values[i] + digest).digest()
    return values


def check(tap, service, payload, accelerator, machine, tree=None):
    name = f"{accelerator}, {machine}, {'vfio-user' if tree else 'mpqemu'}"
    vm = PayloadVm(service, payload, accelerator, machine, tree)
    try:
        word, capabilities = vm.ready
        tap.is_equal((word, capabilities & (CAP_RING | CAP_SHADOW)), ("ready", CAP_RING | CAP_SHADOW),
                     f"{name}: the payload finds the device with ring and shadow page")
        word, errors, doorbells = vm.ask(f"r {EXTENDS}")
        tap.is_equal((word, errors), ("ring", 0), f"{name}: {EXTENDS} extends by the ring, no error")
        tap.note(f"{name}: {doorbells} doorbells")
        values = model([bytes(32), bytes(48)], EXTENDS)
        tap.is_equal(list(vm.registers()[3][:2]), values, f"{name}: MR3 is what hashlib computes")
        tap.is_equal(vm.ask("s"), ("shadow", 0), f"{name}: the shadow page is BAR2, word for word")
        if accelerator == "kvm" and not tree:
            tap.ok(capabilities & CAP_INTERRUPT, f"{name}: there is an interrupt")
            word, count, spurious = vm.ask(f"i {INTERRUPTS}")
            tap.ok(word == "interrupt" and count >= INTERRUPTS,
                   f"{name}: {INTERRUPTS} slots, each announced by an interrupt", (word, count, spurious))
            tap.is_equal(vm.ask(f"u {STANDING}"), ("standing", 0),
                         f"{name}: a reason that stands comes back {STANDING} times, acknowledged it is quiet")
        else:
            tap.is_equal((capabilities & CAP_INTERRUPT, vm.ask("i 1")), (0, ("none",)),
                         f"{name}: there is no interrupt, and none is promised")
        tap.is_equal(vm.ask("o"), ("off", 0, 0), f"{name}: bus mastering off switches both off")
        before = [r[:2] for r in vm.registers()[17:23]]
        for seed in range(1, 6):
            tap.is_equal(vm.ask(f"h {HOSTILE // 5} {seed * 7919}"), ("hostile",),
                         f"{name}: random writes, seed {seed * 7919}: the guest still gets answers")
        tap.is_equal([r[:2] for r in vm.registers()[17:23]], before, f"{name}: MR17 to MR22 stand")
        tap.ok(vm.process.poll() is None and vm.status()["fault"] == 0,
               f"{name}: QEMU runs, the device is without fault")
    finally:
        tap.ok(vm.end(), f"{name}: nothing is left in the run folder")


def main():
    tap = Tap()
    missing = paths.missing("swtpm", "gcc", paths.QEMU, paths.HW_ATTEST)
    if missing:
        tap.skip_all(f"{missing} is missing")
    folder = tempfile.mkdtemp(prefix="payload-")
    payload = build(folder)
    service = Service(paths.HW_ATTEST)
    try:
        newer, why_not = suite_tree.folder("sid"), None
    except suite_tree.Missing as error:
        newer, why_not = None, f"a QEMU with vfio-user-pci cannot be had: {error}"
    for accelerator, machine, wire in (("kvm", "pc", 0), ("kvm", "q35", 0), ("tcg", "pc", 0), ("tcg", "q35", 0),
                                       ("kvm", "q35", 1), ("tcg", "q35", 1)):
        reason = kvm_missing() if accelerator == "kvm" else None
        if wire and why_not:
            reason = why_not
        if reason:
            tap.skip(reason, f"{accelerator}, {machine}: ring, shadow page, interrupt")
            continue
        with tap:
            check(tap, service, payload, accelerator, machine, newer if wire else None)
    tap.is_equal(service.killed(), [], "no device was killed by its sandbox")
    if tap.failed:
        tap.note(service.stderr())
    service.close()
    shutil.rmtree(folder)
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
