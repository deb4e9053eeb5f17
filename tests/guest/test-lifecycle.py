#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""test-lifecycle.py: what a Linux guest and its operator do to a VM, and what registers make of it.

Reboot, reset, pause, sleep, kexec, removal and resets of the PCI device, snapshot and migration, and
the death of the device process in the middle of them.  What only a VM reset may do, nothing else does.
More: test-registers.py (bus resets, ejection), test-driver-hard.py (the kernel driver).
"""
import errno
import hashlib
import os
import signal
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "lib"), os.path.join(HERE, "..", "device")]
import guest as guest_library  # noqa: E402
import paths  # noqa: E402
from guest import Guest, GuestError, Host, wait_for  # noqa: E402
from tap import Tap  # noqa: E402

KEXEC = paths.build("tests", "guest", "kexec-now")
DIGEST = "5a" * 32
SHA256 = 11


class World:
    """One guest with its device's log, in the same boot until told otherwise."""

    def __init__(self, tap, guest):
        self.tap, self.guest, self.extends = tap, guest, 0
        self.begin()

    def begin(self):
        self.seed = self.guest.device.status()["seed"]
        self.extends = 0

    def extend(self):
        self.guest.run(f"monatt-guest extend 1 {DIGEST}")
        self.extends += 1

    def same(self, name):
        """Nothing was reset: one more extend, seen by guest, registers, log and quote."""
        self.extend()
        device = self.guest.device
        status = device.wait_status(lambda s: s["synced"] == s["records"] and not s["pending"])
        read = self.guest.read(1)
        mine = device.registers()[1]
        self.tap.is_equal((status["seed"], status["fault"]), (self.seed, 0), f"{name}: the same boot, no fault")
        self.tap.is_equal((read["sha256"], mine[2]), (mine[0].hex(), (self.extends, self.extends)),
                          f"{name}: the register goes on")
        self.tap.is_equal(device.quote(SHA256, b"n")[3], status["records"], f"{name}: and is quoted")

    def fresh(self, name):
        device = self.guest.device
        status = device.wait_status(lambda s: s["seed"] != self.seed and not s["pending"])
        self.tap.is_equal((status["fault"], device.registers()[1][2]), (0, (0, 0)), f"{name}: a new boot")
        self.begin()
        self.same(f"{name}, then")

    def kill(self, name):
        old = self.guest.device.status()["device"]
        os.kill(old, signal.SIGKILL)
        wait_for(lambda: self.guest.device.status()["device"] != old, "the next device process")
        self.tap.ok(True, f"{name}: another device process goes on")


def check_host_knows(world, when):
    """What the host gives the checks: kernel file and registers, without stopping the guest."""
    guest, tap = world.guest, world.tap
    fd = guest.device.kernel()
    with open(guest_library.kernel(), "rb") as file:
        tap.is_equal(hashlib.sha256(os.pread(fd, 1 << 28, 0)).hexdigest(),
                     hashlib.sha256(file.read()).hexdigest(), f"{when}: the kernel that was measured")
    try:
        os.pwrite(fd, b"x", 0)
        tap.ok(False, f"{when}: it can be changed")
    except OSError as error:
        tap.is_equal(error.errno, errno.EPERM, f"{when}: nobody can change it")
    os.close(fd)
    cpus = guest.device.vcpu_registers()
    tap.is_equal(len(cpus), len(guest.qmp("query-cpus-fast")), f"{when}: registers of each vCPU")
    wp, pae, nxe = 1 << 16, 1 << 5, 1 << 11
    tap.ok(all(cpu[0] & wp and cpu[2] & pae and cpu[3] & nxe and cpu[4] >> 47 == 0x1ffff and
               cpu[5] == 0xfff for cpu in cpus), f"{when}: they are a running Linux's", cpus)
    tap.is_equal(guest.qmp("query-status")["status"], "running", f"{when}: and it runs on")


def check_reboots(world):
    world.same("at first")
    check_host_knows(world, "at first")
    world.guest.reboot("guest")
    world.fresh("guest's reboot")
    world.guest.reboot("monitor")
    world.fresh("system_reset")
    world.kill("killed before a reboot")
    check_host_knows(world, "after a restart")
    world.guest.reboot("guest")
    world.fresh("guest's reboot after a restart")


def check_pause(world):
    guest = world.guest
    before = guest.device.status()["paused"]
    guest.qmp("stop")
    wait_for(lambda: guest.device.status()["stopped"], "the pause")
    time.sleep(0.3)
    world.kill("killed while paused")
    world.tap.is_equal(guest.device.status()["stopped"], 1, "pause: the next process knows of it")
    time.sleep(0.3)
    guest.qmp("cont")
    wait_for(lambda: not guest.device.status()["stopped"], "the end of the pause")
    paused = guest.device.status()["paused"] - before
    world.tap.ok(paused >= 600_000_000, "pause: all of it is counted, over the restart too", paused)
    world.same("pause")


def check_sleep(world):
    world.guest.sleep()
    world.kill("killed while the guest sleeps")
    world.guest.wake()
    world.same("suspend to RAM")


def check_kexec(world):
    guest = world.guest
    boot = guest.run("cat /proc/sys/kernel/random/boot_id").text
    guest.send("/kexec-now /vmlinuz /initrd >/dev/ttyS0 2>&1")
    guest.wait_ready()
    world.tap.ok(guest.run("cat /proc/sys/kernel/random/boot_id").text != boot, "kexec: another kernel")
    world.same("kexec")


def pci(guest):
    """The device's folder in sysfs, by what monatt-guest looks for."""
    script = ("for d in /sys/bus/pci/devices/*; do "
              "[ $(stat -c %s $d/resource2 2>/dev/null || echo 0) = 4096 ] && "
              "[ $(stat -c %s $d/resource0 2>/dev/null || echo 0) = 4096 ] && echo $d; done; true")
    found = guest.run(script).text.split()
    assert len(found) == 1, found
    return found[0]


def check_pci(world):
    """Root in the guest: function reset, removal and rescan, memory and bus mastering off."""
    guest, tap = world.guest, world.tap
    where = pci(guest)
    methods = guest.run(f"cat {where}/reset_method 2>/dev/null; true").text.strip()
    result = guest.run(f"echo 1 >{where}/reset", check=False)
    tap.note(f"reset methods that Linux sees: '{methods}'; a reset: exit {result.status}")
    world.same("PCI reset by the guest")
    guest.run(f"echo 1 >{where}/remove")
    result = guest.run("monatt-guest read", check=False)
    tap.ok(result.status == 1, "removed: the guest has no device", result)
    guest.run("echo 1 >/sys/bus/pci/rescan")
    tap.is_equal(pci(guest), where, "rescanned: it is there again")
    world.same("PCI removal and rescan by the guest")


def refused(guest, command, **arguments):
    try:
        guest.qmp(command, **arguments)
    except GuestError as error:
        return str(error)
    return ""


def check_operator(world):
    """device_del, snapshot and migration by QMP: this wire's QEMU refuses each."""
    guest, tap = world.guest, world.tap
    for command, arguments in (("device_del", {"id": "monatt0"}),
                               ("snapshot-save", {"job-id": "j", "tag": "t", "vmstate": "none", "devices": []}),
                               ("migrate", {"uri": f"exec:cat >{guest.folder}/state"})):
        error = refused(guest, command, **arguments)
        if command == "snapshot-save" and not error:
            job = wait_for(lambda: [j for j in guest.qmp("query-jobs") if j["status"] == "concluded"],
                           "the end of the snapshot's job")[0]
            error = job.get("error", "")
        if command == "migrate" and not error:
            info = wait_for(lambda: (lambda i: i if i.get("status") in ("failed", "cancelled", "completed") else None)(
                guest.qmp("query-migrate")), "the end of the migration")
            error = info["status"] if info["status"] != "completed" else ""
        tap.ok(error, f"{command}: refused", error)
        tap.note(f"{command}: {error[:160]}")
        if guest.qmp("query-status")["status"] == "paused":
            guest.qmp("cont")
        world.same(f"{command}")


def main():
    tap = Tap()
    lacking = guest_library.missing() or paths.missing(KEXEC)
    if lacking:
        tap.skip_all(f"{lacking} is missing")
    add = [f"{KEXEC}:/kexec-now", f"{guest_library.kernel()}:/vmlinuz",
           f"{guest_library.initramfs()}:/initrd"]
    with tap, Host() as host, Guest(host, name="lifecycle", memory_mb=512, add=add) as guest:
        world = World(tap, guest)
        for check in (check_reboots, check_pause, check_sleep, check_pci, check_operator, check_kexec):
            with tap:
                check(world)
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
