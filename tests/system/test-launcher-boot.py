#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""test-launcher-boot.py: guests that boot through monatt-qemu, on pc and q35, TCG and KVM.

A boot sector that looks for the device by PCI configuration cycles runs under both accelerators;
Debian's cloud kernel runs under TCG with the plugin.  KVM needs /dev/kvm and skips without it.
"""
import os
import shutil
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "lib"), os.path.join(HERE, "..", "device")]
import guest  # noqa: E402
import paths  # noqa: E402
from launched_vm import LaunchedVm, MarkedService, wait_for  # noqa: E402
from tap import Tap  # noqa: E402

OVMF = ("/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd")


def boot_sector(slot):
    """16 bit: Y on the serial port when bus 0, this slot, is 1234:a77e, else N."""
    code = (b"\xfa\x66\xb8" + (0x80000000 | slot << 11).to_bytes(4, "little") +  # cli; mov eax, reg 0
            b"\xba\xf8\x0c\x66\xef"                 # mov dx, 0xcf8; out dx, eax
            b"\xba\xfc\x0c\x66\xed"                 # mov dx, 0xcfc; in eax, dx
            b"\x66\x3d\x34\x12\x7e\xa7\xb0\x4e"     # cmp eax, 0xa77e1234; mov al, 'N'
            b"\x75\x02\xb0\x59"                     # jne +2; mov al, 'Y'
            b"\xba\xf8\x03\xee\xf4\xeb\xfd")        # mov dx, 0x3f8; out dx, al; hlt; jmp to it
    return code.ljust(510, b"\0") + b"\x55\xaa" + bytes(1 << 20)


def serial(path):
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""


def check_sector(tap, service, accelerator, machine, name=None, slot=0x1E, words=(), launcher=()):
    name = name or f"{accelerator}, {machine}"
    image, out = service.folder + f"/disk-{slot}", service.folder + f"/serial-{machine}-{accelerator}-{slot}"
    with open(image, "wb") as file:
        file.write(boot_sector(slot))
    vm = LaunchedVm(service, "-accel", accelerator, "-drive", f"file={image},format=raw,if=ide",
                    "-serial", f"file:{out}", *words, machine=machine, launcher=launcher, accelerator=None)
    try:
        seen = wait_for(lambda: serial(out), 120)
        tap.is_equal(seen, b"Y", f"{name}: the guest's own code finds the device")
        status = vm.status()
        tap.is_equal(status["accelerator"], 2 if accelerator == "kvm" else 1, f"{name}: accelerator")
        tap.ok(vm.wait_status(lambda s: not s["pending"])["fault"] == 0, f"{name}: no fault")
        tap.is_equal(status["plugin"], int(accelerator == "tcg" and not launcher), f"{name}: plugin or not")
    finally:
        vm.quit()
        vm.close()
    tap.is_equal(service.left(), [], f"{name}: nothing is left")


def check_payload(tap, service):
    for accelerator in ("tcg", "kvm"):
        if accelerator == "kvm" and not os.access("/dev/kvm", os.R_OK | os.W_OK):
            tap.skip("/dev/kvm is missing", "the boot sector under KVM, pc and q35")
            continue
        for machine in ("pc", "q35"):
            check_sector(tap, service, accelerator, machine)
    check_sector(tap, service, "tcg", "q35", "without the plugin", launcher=["--monatt-no-plugin"])
    check_sector(tap, service, "tcg", "pc", "slot 30 taken", slot=0x1D,
                 words=("-device", "e1000,addr=0x1e,romfile="))


def check_uefi(tap, service):
    if not all(map(os.path.exists, OVMF)):
        tap.skip("OVMF is missing (apt install ovmf)", "UEFI firmware from a sealed copy")
        return
    variables = service.folder + "/VARS.fd"
    shutil.copy(OVMF[1], variables)
    out = service.folder + "/uefi"
    vm = LaunchedVm(service, "-drive", f"if=pflash,format=raw,readonly=on,file={OVMF[0]}", "-drive",
                    f"if=pflash,format=raw,file={variables}", "-serial", f"file:{out}", "-m", "128")
    try:
        tap.ok(wait_for(lambda: b"BdsDxe" in serial(out), 180),
               "OVMF runs from the sealed copy, its variables from their file", serial(out)[-500:])
    finally:
        vm.quit()
        vm.close()
    tap.is_equal(service.left(), [], "UEFI: nothing is left")


def check_linux(tap, machine):
    with guest.Guest(name=f"linux-{machine}", options=("-machine", machine), append="monatt.test=1") as vm:
        tap.ok("monatt.test=1" in vm.run("cat /proc/cmdline").text, f"{machine}: Linux, with our command line")
        vm.run("monatt-guest extend 3 " + "ab" * 32)
        tap.is_equal(vm.read(3)["extends"], 1, f"{machine}: the guest extends a register")
        tap.ok(vm.device.status()["plugin"] == 1, f"{machine}: the plugin's ring is there")
        for line in ("ls /sys/bus/pci/slots/30/power", "ls /sys/bus/pci/slots/*/power",
                     "for f in /sys/bus/pci/slots/*/power; do echo 0 > $f; done"):
            vm.run(line, check=False)
        vm.run("for d in /sys/bus/pci/devices/*; do [ -e $d/reset ] && grep -q 0xa77e $d/device && "
               "echo 1 > $d/reset; done", check=False)
        tap.is_equal(vm.read(3)["extends"], 1, f"{machine}: the guest can neither eject nor reset it")


def main():
    tap = Tap()
    missing = paths.missing("swtpm", paths.QEMU, paths.HW_ATTEST, paths.MONATT_QEMU, paths.PLUGIN)
    if missing:
        tap.skip_all(f"{missing} is missing")
    for check in (check_payload, check_uefi):
        failed = tap.failed
        service = MarkedService()
        with tap:
            check(tap, service)
        if tap.failed > failed:
            tap.note(service.stderr())
        service.close()
    lacking = guest.missing()
    for machine in ("pc", "q35"):
        if lacking:
            tap.skip(f"{lacking} is missing", f"Linux on {machine}")
            continue
        with tap:
            check_linux(tap, machine)
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
