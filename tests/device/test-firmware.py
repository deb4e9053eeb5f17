#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""test-firmware.py: the whole register map and the ring from a guest without an operating system.

A boot image (firmware/) finds the device by configuration cycles and tries every register, command,
error, ring and shadow page, on pc and q35, under KVM and TCG, through monatt-qemu.  It prints TAP,
what it extended, and BAR2; here the registers are counted again from what it says, and once more
from the event log.  KVM needs a usable /dev/kvm and skips with the reason; nothing else differs.

Then the same image writes at random for MONATT_HOSTILE_S seconds (5): device and QEMU must be
there afterwards, and the host's registers as before.
"""
import hashlib
import os
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "lib"), os.path.join(HERE, "..", "system")]
import paths  # noqa: E402
from device_client import LOG, call  # noqa: E402
from launched_vm import LaunchedVm, MarkedService, wait_for  # noqa: E402
from tap import Tap  # noqa: E402

IMAGE = paths.build("tests", "device", "firmware.img")
MODE_OFFSET, MODE_CHECK, MODE_HOSTILE = 496, 0, 1
HOSTILE_S = float(os.environ.get("MONATT_HOSTILE_S", "5"))
PATIENCE_S = 240
TPM_GONE = 1
HOST = range(17, 23)
MINIMUM = 215  # checks of a run; a firmware that ends early must not look good


def start_values():
    return [[(b"\xff" if i in HOST else b"\0") * size for size in (32, 48)] for i in range(24)]


def digest(seed, size):
    return bytes((seed * 7 + i * 13) & 0xFF for i in range(size))


def recount(text):
    """Registers and how often each moved, from the firmware's words alone."""
    values, moves = start_values(), [0] * 24
    for kind, index, banks, seed, count in re.findall(r"^([xy]) (\d+) (\d+) (\d+) (\d+)\r?$", text, re.M):
        index, banks, seed, count = map(int, (index, banks, seed, count))
        for step in range(count):
            one = seed if kind == "y" else seed + step
            moves[index] += 1
            if banks == 0:
                values[index] = [bytes(32), bytes(48)]
            if banks & 1:
                values[index][0] = hashlib.sha256(values[index][0] + digest(one, 32)).digest()
            if banks & 2:
                values[index][1] = hashlib.sha384(values[index][1] + digest(one, 48)).digest()
    return values, moves


def from_bar2(text):
    rows = re.findall(r"^r (\d+) ([0-9a-f]{64}) ([0-9a-f]{96}) (\d+)\r?$", text, re.M)
    return {int(i): ([bytes.fromhex(a), bytes.fromhex(b)], int(n)) for i, a, b, n in rows}


def from_log(vm):
    """Registers as an independent replay of the event log has them."""
    answer, fds = call(vm.control, LOG)
    size, _ = struct.unpack(">QQ", answer)
    data = os.pread(fds[0], size, 0)
    os.close(fds[0])
    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        done = subprocess.run([sys.executable, paths.source("tests", "lib", "replay-cel.py"), file.name],
                              capture_output=True, text=True)
    values = start_values()
    for bank, index, value in re.findall(r"^(\w+) (\d+) ([0-9a-f]+)$", done.stdout, re.M):
        values[int(index)][0 if bank == "sha256" else 1] = bytes.fromhex(value)
    return values, done.stderr


def image_for(service, mode, seed=1):
    path = f"{service.folder}/firmware-{mode}-{seed}"
    shutil.copy(IMAGE, path)
    with open(path, "r+b") as file:
        file.seek(MODE_OFFSET)
        file.write(struct.pack("<II", mode, seed))
    return path


def start(service, accelerator, machine, mode, seed=1):
    out = f"{service.folder}/serial-{accelerator}-{machine}-{mode}"
    cpu = ("-cpu", "qemu64") if accelerator == "kvm" else ()
    vm = LaunchedVm(service, "-accel", accelerator, *cpu, "-m", "64", "-drive",
                    f"file={image_for(service, mode, seed)},format=raw,if=ide", "-serial", f"file:{out}",
                    machine=machine, launcher=["--monatt-no-plugin"], accelerator=None)
    return vm, out


def read(path):
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def follow(vm, out):
    """The firmware's words up to its end; does what it asks the host for.  Registers and log are
    taken while its TPM still lives."""
    todo = {"stop": lambda: os.kill(vm.swtpm(), signal.SIGSTOP),
            "cont": lambda: os.kill(vm.swtpm(), signal.SIGCONT)}
    until, measured = time.monotonic() + PATIENCE_S, None
    while time.monotonic() < until:
        text = read(out)
        for word in [word for word in todo if f"\n{word}\n" in text]:
            todo.pop(word)()
        if "\nkill\n" in text and measured is None:
            measured = (vm.registers(), from_log(vm), vm.status())
            os.kill(vm.swtpm(), signal.SIGKILL)
        if text.endswith("\nend\n"):
            break
        time.sleep(0.02)
    return text, measured


def check_map(tap, service, accelerator, machine):
    name = f"{accelerator}, {machine}"
    vm, out = start(service, accelerator, machine, MODE_CHECK)
    try:
        tap.is_equal(vm.status()["accelerator"], 2 if accelerator == "kvm" else 1, f"{name}: accelerator")
        text, measured = follow(vm, out)
        lines = re.findall(r"^(not ok|ok) (\d+) - (.*?)\r?$", text, re.M)
        for kind, number, words in lines:
            tap.ok(kind == "ok", f"{name}: {number} {words}")
        for line in re.findall(r"^# .*$", text, re.M):
            tap.note(f"{name}: {line[2:]}")
        plan = re.search(r"^1\.\.(\d+)\r?\nend", text, re.M)
        tap.ok(plan and int(plan[1]) == len(lines) >= MINIMUM, f"{name}: the firmware went to its end",
               (len(lines), text[-500:]))
        registers, (log, log_error), status = measured or ([], ([], ""), {})
        values, moves = recount(text)
        bar2 = from_bar2(text)
        tap.is_equal([bar2[i][0] for i in sorted(bar2)], values, f"{name}: BAR2 is as counted again")
        tap.is_equal([bar2[i][1] for i in sorted(bar2)], moves, f"{name}: and so are the numbers of extends")
        tap.ok(sum(moves) > 5000, f"{name}: thousands of extends", sum(moves))
        tap.is_equal([[r[0], r[1]] for r in registers], values, f"{name}: the host sees the same")
        tap.is_equal((log, log_error), (values, ""), f"{name}: the event log says the same")
        tap.is_equal(status.get("records"), sum(moves), f"{name}: a record for each")
        tap.is_equal(vm.wait_status(lambda s: s["fault"])["fault"], TPM_GONE, f"{name}: the TPM's death is known")
    finally:
        vm.quit()
        vm.close()
    tap.is_equal(service.left(), [], f"{name}: nothing is left")
    tap.is_equal(service.killed(), [], f"{name}: the sandbox killed nothing")


def check_hostile(tap, service, accelerator, machine, seed):
    name = f"{accelerator}, {machine}: {HOSTILE_S:g} s of random writes, seed {seed}"
    vm, out = start(service, accelerator, machine, MODE_HOSTILE, seed)
    try:
        device, first = vm.status()["device"], vm.registers()
        wait_for(lambda: "# rounds" in read(out), PATIENCE_S)
        until = time.monotonic() + HOSTILE_S
        while time.monotonic() < until:
            vm.registers()  # the collector's way goes on meanwhile
            time.sleep(0.1)
        last = vm.registers()
        tap.is_equal((vm.running(), vm.status()["device"]), ("running", device), f"{name}: both still run")
        tap.is_equal([last[i] for i in HOST], [first[i] for i in HOST], f"{name}: the host's registers as before")
        tap.ok(sum(r[2][0] for r in last) > 0, f"{name}: it did reach the device", last)
        tap.ok(vm.status()["fault"] == 0, f"{name}: no fault", vm.status())
        vm.execute("stop")
        vm.wait_status(lambda s: s["synced"] == s["records"], 60)
        tap.is_equal(from_log(vm), ([[r[0], r[1]] for r in vm.registers()], ""), f"{name}: registers and log agree")
    finally:
        vm.quit()
        vm.close()
    tap.is_equal(service.left(), [], f"{name}: nothing is left")
    tap.is_equal(service.killed(), [], f"{name}: the sandbox killed nothing")


def kvm_reason():
    """Why KVM cannot be used here, or None."""
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return "/dev/kvm is missing"
    done = subprocess.run([paths.QEMU, "-accel", "kvm", "-machine", "pc", "-cpu", "qemu64", "-nodefaults", "-display",
                           "none", "-S", "-monitor", "stdio"], input="quit\n", capture_output=True, text=True,
                          timeout=60)
    return None if done.returncode == 0 else f"KVM cannot be used: {done.stderr.strip()}"


def main():
    tap = Tap()
    missing = paths.missing("swtpm", paths.QEMU, paths.HW_ATTEST, paths.MONATT_QEMU, IMAGE)
    if missing:
        tap.skip_all(f"{missing} is missing")
    why_not = kvm_reason()
    for accelerator in ("kvm", "tcg"):
        if accelerator == "kvm" and why_not:
            tap.skip(why_not, "the register map and random writes under KVM, pc and q35")
            continue
        for machine in ("pc", "q35"):
            failed = tap.failed
            service = MarkedService()
            with tap:
                check_map(tap, service, accelerator, machine)
            if machine == "pc":
                with tap:
                    check_hostile(tap, service, accelerator, machine, 4711 if accelerator == "kvm" else 815)
            if tap.failed > failed:
                tap.note(service.stderr())
            service.close()
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
