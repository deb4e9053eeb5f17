#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""test-plugin-counts.py: the plugin counts exactly what a payload of known numbers does.

QEMU under TCG runs tests/guest/plugin-payload.S with the plugin on a ring made here (a second
implementation of the format).  The VM is stopped by QMP before and after the work, which also
shows that a stopped VM hands its last window over.  One vCPU (QEMU then loads and stores in two
steps) and two vCPUs at once (one atomic step; misaligned ones in its exclusive section).
"""
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))
from plugin_ring import PluginRing  # noqa: E402

QEMU = "qemu-system-x86_64"
PATIENCE_S = 60  # a payload runs for about a second; a loaded machine may be slow
NUMBERS = {"ALIGNED": 1000, "SPLIT": 300, "PAIRS": 170, "CALLS_39": 700, "CALLS_257": 410,
           "CALLS_0": 90, "CALLS_UNKNOWN": 55, "TOGETHER": 20000, "TOGETHER_SPLIT": 1100,
           "TOGETHER_SECOND": 21000}
# Lines of the payload: 8 aligned 32-bit ones, 2 aligned 64-bit ones, CMPXCHG16B; 4 + 1 split.
SPLITS = 5 * NUMBERS["SPLIT"]
LOCKS = 10 * NUMBERS["ALIGNED"] + NUMBERS["PAIRS"] + SPLITS
NAMED = {39: NUMBERS["CALLS_39"], 257: NUMBERS["CALLS_257"], 0: NUMBERS["CALLS_0"]}
SYSCALLS = sum(NAMED.values()) + NUMBERS["CALLS_UNKNOWN"]
results = []


def check(good, name, why=""):
    results.append(good)
    print(f"{'ok' if good else 'not ok'} {len(results)} - {name}")
    if not good:
        print(f"# {why}")


def build(folder):
    values = [f"--defsym={name}={value}" for name, value in NUMBERS.items()]
    subprocess.run(["as", "--32", *values, "-o", f"{folder}/p.o",
                    f"{HERE}/plugin-payload.S"], check=True)
    subprocess.run(["ld", "-m", "elf_i386", "-Ttext=0x100000", "-e", "start", "-o",
                    f"{folder}/p.elf", f"{folder}/p.o"], check=True)
    return f"{folder}/p.elf"


class Vm:
    """QEMU with its serial port and its QMP on socketpairs; nothing is left when it ends."""

    def __init__(self, payload, ring, vcpus, plugin, options):
        self.serial, serial = socket.socketpair()
        self.qmp, qmp = socket.socketpair()
        self.serial.settimeout(PATIENCE_S)
        self.qmp.settimeout(PATIENCE_S)
        fds = (serial.fileno(), qmp.fileno(), ring.fd)
        self.process = subprocess.Popen(
            [QEMU, "-machine", "q35", "-accel", "tcg", "-cpu", "max", "-smp", str(vcpus),
             "-m", "64", "-nodefaults", "-display", "none", "-kernel", payload,
             "-chardev", f"socket,id=s,fd={fds[0]}", "-serial", "chardev:s",
             "-chardev", f"socket,id=q,fd={fds[1]}", "-mon", "chardev=q,mode=control",
             "-plugin", f"{plugin},fd={fds[2]}{options}"],
            pass_fds=fds, stdin=subprocess.DEVNULL)
        serial.close()
        qmp.close()
        self.lines = self.qmp.makefile("rb")
        self.lines.readline()
        self.command("qmp_capabilities")

    def command(self, name):
        self.qmp.sendall(json.dumps({"execute": name}).encode() + b"\n")
        while True:
            line = self.lines.readline()
            if not line:
                raise AssertionError(f"QEMU ended during {name}")
            answer = json.loads(line)
            if "error" in answer:
                raise AssertionError(f"{name}: {answer['error']}")
            if "return" in answer:
                return answer["return"]

    def wait_for(self, letter):
        while True:
            got = self.serial.recv(1)
            if not got:
                raise AssertionError(f"the serial port closed before {letter!r}")
            if got == letter:
                return

    def close(self):
        self.process.kill()
        self.process.wait()
        self.serial.close()
        self.qmp.close()


def work(payload, plugin, vcpus, options=""):
    """The ring's status and, per vCPU, what was counted while the payload worked."""
    ring = PluginRing(vcpus)
    vm = Vm(payload, ring, vcpus, plugin, options)
    try:
        vm.wait_for(b"R")
        vm.command("stop")
        first = [ring.head(v) for v in range(vcpus)]
        vm.command("cont")
        vm.serial.sendall(str(vcpus).encode())
        vm.wait_for(b"D")
        vm.command("stop")
        return ring.status(), [ring.sums(v, first[v]) for v in range(vcpus)]
    finally:
        vm.close()
        ring.close()


def equal(name, seen, wanted):
    check(seen == wanted, name, f"counted {seen}, the payload did {wanted}")


def main():
    folder_of_build = os.environ.get("MONATT_BUILD_DIR", os.path.join(HERE, "..", "..", "build"))
    plugin = os.path.abspath(os.path.join(folder_of_build, "qemu-plugin", "libmonatt-plugin.so"))
    for missing in [name for name in (QEMU, "as", "ld") if not shutil.which(name)] + \
            ([] if os.path.exists(plugin) else ["libmonatt-plugin.so"]):
        print(f"1..0 # SKIP {missing} is missing")
        return 77
    with tempfile.TemporaryDirectory(prefix="plugin-counts-") as folder:
        payload = build(folder)
        status, (one,) = work(payload, plugin, 1)
        equal("status: running, both monitors, 1 ms",
              (status["state"], status["monitors"], status["window_ns"], status["unplaced"]),
              (1, 3, 1000000, 0))
        equal("one vCPU: locked accesses", one["locks"], LOCKS)
        equal("one vCPU: split ones", one["splits"], SPLITS)
        equal("one vCPU: system calls", one["syscalls"], SYSCALLS)
        equal("one vCPU: numbers of system calls", one["named"], NAMED)
        _, (one, two) = work(payload, plugin, 2)
        equal("two vCPUs: first's locked accesses", one["locks"],
              LOCKS + NUMBERS["TOGETHER"] + NUMBERS["TOGETHER_SPLIT"])
        equal("two vCPUs: first's split ones", one["splits"], SPLITS + NUMBERS["TOGETHER_SPLIT"])
        equal("two vCPUs: second's locked accesses", two["locks"],
              NUMBERS["TOGETHER_SECOND"] + NUMBERS["TOGETHER_SPLIT"])
        equal("two vCPUs: second's split ones", two["splits"], NUMBERS["TOGETHER_SPLIT"])
        equal("two vCPUs: system calls", (one["syscalls"], two["syscalls"]), (SYSCALLS, 0))
        status, (one,) = work(payload, plugin, 1, ",locks=off,window_us=100")
        equal("locks off: only system calls, windows of 100 us",
              (one["locks"], one["syscalls"], status["monitors"], status["window_ns"]),
              (0, SYSCALLS, 2, 100000))
    print(f"1..{len(results)}")
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
