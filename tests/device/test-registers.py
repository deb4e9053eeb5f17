#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""test-registers.py: MR0 to MR23 against hashlib and against the PCRs of the VM's swtpm.

And that nothing a guest does on the wire moves MR17 to MR22, nor a RESET of the wire alone.
"""
import glob
import hashlib
import os
import random
import re
import shutil
import signal
import stat
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "lib")]
import paths  # noqa: E402
from device_client import BAR0, BAR2, Service  # noqa: E402
from tap import Tap  # noqa: E402

# Stands in for swtpm: as it, but it outlives its device, so that tpm2-tools can ask it.
WRAPPER = """#!/bin/bash
for a in "$@"; do [ "$a" = --terminate ] || arguments+=("$a"); done
setsid {swtpm} "${{arguments[@]}}" &
echo $! >{folder}/swtpm.pid
wait
"""


def digests(text):
    return hashlib.sha256(text).digest(), hashlib.sha384(text).digest()


class Model:
    """What the registers must be: by hashlib alone."""

    def __init__(self):
        self.values = [[b"\xff" * 32, b"\xff" * 48] if 17 <= i <= 22 else [bytes(32), bytes(48)]
                       for i in range(24)]

    def extend(self, index, d256, d384):
        value = self.values[index]
        if d256:
            value[0] = hashlib.sha256(value[0] + d256).digest()
        if d384:
            value[1] = hashlib.sha384(value[1] + d384).digest()


def extend_all(tap, vm, model):
    refused = []
    for i in range(24):
        for bank in ("both", "sha256", "sha384"):
            d256, d384 = digests(f"{i} {bank}".encode())
            d256, d384 = d256 if bank != "sha384" else None, d384 if bank != "sha256" else None
            error = vm.guest_extend(i, d256, d384, b"content of " + bank.encode())
            if error == 0:
                model.extend(i, d256, d384)
            else:
                refused.append((i, error))
    tap.is_equal(refused, [(i, 3) for i in range(17, 23) for _ in range(3)],
                 "a guest extends all but MR17 to MR22")
    for i in range(17, 23):
        record = f"record {i}".encode()
        vm.extend(i, record)
        model.extend(i, *digests(record))
    seen = [list(vm.guest_read(i)[:2]) for i in range(24)]
    tap.is_equal(seen, model.values, "BAR2 shows what hashlib computes, both banks")
    seen = [list(r[:2]) for r in vm.registers()]
    tap.is_equal(seen, model.values, "so does the control socket")


def pcrs(socket_path):
    text = subprocess.run(["tpm2_pcrread", "-T", f"swtpm:path={socket_path}"],
                          capture_output=True, text=True, timeout=60, check=True).stdout
    banks = {}
    for line in text.splitlines():
        bank = re.match(r"\s*(sha\d+):", line)
        value = re.match(r"\s*(\d+)\s*: 0x([0-9A-F]+)", line)
        if bank:
            current = banks[bank[1]] = {}
        elif value:
            current[int(value[1])] = bytes.fromhex(value[2])
    return [[banks["sha256"][i], banks["sha384"][i]] for i in range(24)]


def check_swtpm(tap):
    """The PCRs as tpm2-tools see them, and swtpm's own locality rule."""
    swtpm = shutil.which("swtpm")
    folder = paths.build("tests", "device", f"wrapper-{os.getpid()}")
    os.makedirs(folder)
    with open(folder + "/swtpm", "w", encoding="ascii") as file:
        file.write(WRAPPER.format(swtpm=swtpm, folder=folder))
    os.chmod(folder + "/swtpm", stat.S_IRWXU)
    service = Service(paths.HW_ATTEST, path=folder, options=("--user", "root"))  # it writes there
    try:
        vm = service.attach()
        model = Model()
        extend_all(tap, vm, model)
        vm.wait_status(lambda s: s["synced"] == s["records"])
        kept = service.folder + "/t"
        os.link(vm.folder + "/tpm.sock", kept)
        os.link(vm.folder + "/tpm.sock.ctrl", kept + ".ctrl")
        vm.kill_device()
        vm.close()
        tap.is_equal(pcrs(kept), model.values, "tpm2_pcrread on the swtpm shows the same")
        for index in range(24):
            done = subprocess.run(["tpm2_pcrextend", "-T", f"swtpm:path={kept}",
                                   f"{index}:sha256={'ab' * 32}"], capture_output=True, text=True,
                                  timeout=60)
            if 17 <= index <= 22:
                tap.ok(done.returncode != 0 and "0x907" in done.stderr.lower() + done.stdout,
                       f"swtpm refuses PCR {index} at locality 0", done.stderr)
            elif index in (0, 15, 16, 23):
                tap.ok(done.returncode == 0, f"swtpm takes PCR {index} at locality 0", done.stderr)
    finally:
        try:
            with open(folder + "/swtpm.pid", encoding="ascii") as file:
                os.kill(int(file.read()), signal.SIGKILL)
        except (OSError, ValueError) as error:
            tap.note(error)
        service.close()
        for name in glob.glob(folder + "/*"):
            os.unlink(name)
        os.rmdir(folder)


def evidence(vm):
    return [r[:2] for r in vm.registers()[17:23]]


def check_accesses(tap, vm):
    """All offsets with all sizes, all commands on all registers, then random ones."""
    start = evidence(vm)
    for bar in (BAR0, BAR2):
        for size in (1, 2, 4, 8):
            for offset in range(0, 0x1000, size):
                vm.write(bar + offset, 0x0123456789ABCDEF, size)
    tap.is_equal(evidence(vm), start, "writes at every offset and size: MR17 to MR22 stand")
    for size in (0, 3, 5, 6, 7, 9, 16, 0xFFFFFFFF):
        vm.write(BAR0 + 0x10, 3, size)
        tap.is_equal(vm.read(BAR0, size), 2**64 - 1, f"a read of {size} bytes is all ones")
    tap.is_equal(vm.read(BAR0 + 1, 4), 2**64 - 1, "so is an unaligned one")
    for index in list(range(17, 23)) + [24, 255, 0x80000000, 0xFFFFFFFF]:
        for command in list(range(256)) + [0x101, 0x1001, 0x80000003, 0xFFFFFFFF]:
            for words in ((0x18, index), (0x1C, 80), (0x10, command)):
                vm.write(BAR0 + words[0], words[1])
    tap.is_equal(evidence(vm), start, "all commands on the host's registers: they stand")
    generator = random.Random(20151)
    for _ in range(20000):
        offset = generator.choice((0x10, 0x18, 0x1C, generator.randrange(0, 0x1008)))
        size = generator.choice((1, 2, 4, 4, 4, 8, generator.randrange(0, 17)))
        value = generator.choice((generator.randrange(0, 32), generator.getrandbits(64)))
        place = generator.choice((BAR0, BAR2)) + offset
        if generator.random() < 0.3:
            vm.read(place, size)
        else:
            vm.write(place, value, size)
    tap.is_equal(evidence(vm), start, "20,000 random accesses: MR17 to MR22 stand")
    tap.ok(vm.status()["records"] > 0, "while extends of others were taken")
    generator = random.Random(20152)
    before = vm.config_read(0)
    for _ in range(2000):
        vm.config_write(generator.randrange(0, 0x1100), generator.getrandbits(32),
                        generator.randrange(0, 9))
    tap.is_equal((vm.config_read(0), evidence(vm)), (before, start),
                 "2,000 random writes to configuration space: nothing moved")
    tap.is_equal(vm.status()["fault"], 0, "no fault")


def check_wire_reset(tap, vm):
    d256, d384 = digests(b"x")
    vm.config_write(0x10, BAR0)
    vm.config_write(0x18, BAR2)
    vm.extend(19, b"host")
    vm.guest_extend(4, d256, d384)
    before, status = vm.registers(), vm.status()
    vm.wire_reset()
    after = vm.status()
    tap.is_equal(([r[:2] for r in vm.registers()], after["seed"], after["boot_count"]),
                 ([r[:2] for r in before], status["seed"], status["boot_count"]),
                 "a RESET of the wire alone resets nothing")
    tap.is_equal((after["pending"], vm.guest_extend(4, d256, d384)), (1, 5),
                 "it waits for QMP's word: extends are busy")
    vm.wait_status(lambda s: not s["pending"])
    tap.is_equal(vm.guest_extend(4, d256, d384), 0, "without it they are taken again")
    tap.ok([r[:2] for r in vm.registers()][19] == before[19][:2], "and MR19 still stands")
    log, _ = vm.log()
    vm.reset()
    fresh = vm.wait_status(lambda s: s["boot_count"] == status["boot_count"] + 1)
    tap.is_equal([list(r[:2]) for r in vm.registers()], Model().values,
                 "both RESETs make a new boot: all registers at their start values")
    tap.ok(fresh["seed"] != status["seed"], "with a new seed")
    with open(vm.state + "/eventlog.previous.cel", "rb") as file:
        tap.ok(file.read() == log and vm.log() == (b"", 0), "the old boot's log is kept, the new one's empty")


def main():
    tap = Tap()
    missing = paths.missing("swtpm", "tpm2_pcrread", "tpm2_pcrextend", paths.HW_ATTEST)
    if missing:
        tap.skip_all(f"{missing} is missing")
    with tap:
        check_swtpm(tap)
    service = Service(paths.HW_ATTEST)
    with tap:
        vm = service.attach()
        check_accesses(tap, vm)
        check_wire_reset(tap, vm)
        tap.ok(vm.close(), "nothing is left in the run folder")
        tap.is_equal(service.killed(), [], "no device was killed by its sandbox")
    if tap.failed:
        tap.note(service.stderr())
    service.close()
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
