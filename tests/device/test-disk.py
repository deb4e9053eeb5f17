#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""test-disk.py: the state folder has no room left, or somebody changes the log while it is written.

Full: extends answer busy, nothing that was acknowledged is lost, and they go on with the room.
Changed: a fault that all sides see, until the VM's reset.
"""
import hashlib
import os
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "lib")]
import paths  # noqa: E402
from collector_client import replay_module  # noqa: E402
from device_client import BAR0, Service, SUBSCRIBE, call, receive, refusal  # noqa: E402
from tap import Tap  # noqa: E402

SHA256, BUSY, FAULT_CODE, NONE, ERR_BUSY, ERR_FAULT = 11, 7, 11, 0, 5, 6
LOG_WRITE, RECOVERY = 3, 5
D256, D384 = hashlib.sha256(b"x").digest(), hashlib.sha384(b"x").digest()
CONTENT = bytes(1024 - 80)
PATIENCE_S = 60


def fill(path):
    """Takes all the room there is."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT)
    try:
        while os.write(fd, bytes(4096)):
            pass
    except OSError:
        pass
    finally:
        os.close(fd)


def check_full(tap, folder):
    service = Service(paths.HW_ATTEST, state=folder)
    vm = service.attach(name="full")
    subscriber = vm.connect()
    call(subscriber, SUBSCRIBE)
    for _ in range(10):
        vm.guest_extend(1, D256, D384)
    vm.wait_status(lambda s: s["synced"] == 10)
    fill(folder + "/ballast")
    taken, end = 10, time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        result = vm.guest_extend(1, D256, D384, CONTENT)
        taken += result == NONE
        if vm.status()["fault"]:
            break
    status = vm.status()
    tap.is_equal(status["fault"], LOG_WRITE, "full: the fault says so")
    event = receive(subscriber)
    tap.is_equal((event[0], event[2][:2], event[2][-1]), (14, b"\0\5", LOG_WRITE), "full: event FAULT")
    tap.is_equal(vm.guest_extend(1, D256, D384), ERR_BUSY, "full: the guest is told to come again")
    error = refusal(vm.extend, 17, b"host")
    tap.is_equal(error and error.code, BUSY, "full: so is the host")
    tap.is_equal(vm.guest_read(1)[2][0], taken, "full: what was acknowledged stands")
    vm.kill_device()
    vm.control.close()
    vm.control = vm.connect()
    tap.is_equal(vm.guest_read(1)[2][0], taken, "full: also after the device was killed")
    os.unlink(folder + "/ballast")
    vm.wait_status(lambda s: s["fault"] == 0 and s["synced"] == s["records"])
    tap.is_equal(vm.guest_extend(1, D256, D384), NONE, "room again: extends are taken")
    vm.extend(17, b"host")
    status = vm.wait_status(lambda s: s["synced"] == s["records"])
    tap.is_equal(status["records"], taken + 2, "room again: each record once")
    log, records = vm.log()
    values = replay_module().start_values()
    for entry in replay_module().entries(log):
        replay_module().extend(values, entry)
    tap.is_equal((values["sha256"][1], values["sha384"][17], records),
                 (vm.registers()[1][0], vm.registers()[17][1], taken + 2), "room again: the log replays to the registers")
    tap.is_equal(vm.quote(SHA256, b"n")[3], taken + 2, "room again: and is quoted")
    subscriber.close()
    vm.close()
    service.close()


def check_changed(tap, service):
    def grow(path):
        with open(path, "ab") as file:
            file.write(b"more")
    for name, change in (("cut", lambda path: os.truncate(path, 50)), ("emptied", lambda path: os.truncate(path, 0)),
                         ("longer", grow)):
        vm = service.attach(name="changed")
        for _ in range(10):
            vm.guest_extend(1, D256, D384)
        seed = vm.wait_status(lambda s: s["synced"] == 10)["seed"]
        change(vm.state + "/eventlog.cel")
        vm.guest_extend(1, D256, D384)
        tap.is_equal(vm.wait_status(lambda s: s["fault"])["fault"], RECOVERY, f"log {name}: the fault says so")
        tap.is_equal(vm.guest_extend(1, D256, D384), ERR_FAULT, f"log {name}: the guest is told")
        error = refusal(vm.quote, SHA256, b"n")
        tap.is_equal(error and error.code, FAULT_CODE, f"log {name}: no quote")
        vm.reset()
        vm.wait_status(lambda s: s["seed"] != seed and not s["pending"])
        tap.is_equal((vm.guest_extend(1, D256, D384), vm.quote(SHA256, b"n")[3]), (NONE, 1),
                     f"log {name}: a VM reset mends it")
        vm.close()


def main():
    tap = Tap()
    missing = paths.missing("swtpm", paths.HW_ATTEST)
    if missing:
        tap.skip_all(f"{missing} is missing")
    service = Service(paths.HW_ATTEST)
    with tap:
        check_changed(tap, service)
    service.close()
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", folder], capture_output=True, text=True)
        if done.returncode != 0:
            tap.skip(f"no small file system can be mounted: {done.stderr.strip()}", "a full disk")
        else:
            try:
                with tap:
                    check_full(tap, folder)
            finally:
                subprocess.run(["umount", "-l", folder], check=False)
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
