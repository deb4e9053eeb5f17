#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""test-deaths.py: swtpm, device and attach service die or stall; the guest is never held up.

The table "What a death means" of docs/architecture.md, row by row.
"""
import hashlib
import os
import select
import signal
import struct
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "lib")]
import paths  # noqa: E402
from device_client import (BAR0, ERROR, QUOTE, Service, STATUS, SUBSCRIBE, call, receive,  # noqa: E402
                           refusal, send)
from tap import Tap  # noqa: E402

D256, D384 = hashlib.sha256(b"x").digest(), hashlib.sha384(b"x").digest()
SHA256, BUSY, FAULT = 11, 7, 11
STATUS_REGISTER, NONE, ERROR_FAULT = BAR0 + 0xC, 0, 6
TPM_GONE = 1


def gone(pid, seconds=10):
    """True once the process is no longer there; a zombie is not."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
                if file.read().rsplit(")", 1)[1].split()[0] == "Z":
                    return True
        except OSError:
            return True
        time.sleep(0.02)
    return False


def wait_for(condition, seconds=20):
    until = time.monotonic() + seconds
    while not condition() and time.monotonic() < until:
        time.sleep(0.02)
    return condition()


def check_stopped_swtpm(tap, service):
    vm = service.attach(name="stopped-swtpm")
    vm.guest_extend(1, D256, D384)
    vm.wait_status(lambda s: s["synced"] == 1)
    pid = vm.swtpm()
    os.kill(pid, signal.SIGSTOP)
    answers = [vm.guest_extend(i % 16, D256, D384) for i in range(500)]
    tap.is_equal(set(answers), {NONE}, "swtpm stopped: 500 extends are taken")
    tap.is_equal(vm.guest_read(1)[0], vm.registers()[1][0], "swtpm stopped: registers are read")
    status = vm.status()
    tap.is_equal((status["records"], status["synced"], status["fault"]), (501, 1, 0),
                 "swtpm stopped: synced says how far it is")
    tap.is_equal(vm.read(BAR0 + 0x20), 500, "swtpm stopped: the guest sees what is pending")
    tap.is_equal(vm.extend(17, b"host"), 501, "swtpm stopped: a record of the host is on disk")
    other = vm.connect()
    send(other, QUOTE, 7, struct.pack(">HH", SHA256, 1) + b"n")
    send(other, STATUS, 8)
    answered = (vm.status()["records"], vm.log()[1], vm.registers()[1][2][0])
    waiting = not select.select([other], [], [], 0)[0]
    tap.is_equal((answered, waiting), ((502, 502, answered[2]), True),
                 "swtpm stopped: status, log and registers are answered while a quote waits")
    error = refusal(vm.quote, SHA256, b"n")
    tap.is_equal(error and error.code, BUSY, "swtpm stopped: another quote is refused, BUSY")
    got = [receive(other)[:2] for _ in range(2)]
    tap.is_equal(got, [(ERROR, 7), (STATUS | 0x8000, 8)],
                 "swtpm stopped: the quote too, in time; then what was asked behind it")
    send(other, QUOTE, 9, struct.pack(">HH", SHA256, 1) + b"n")
    other.close()
    tap.is_equal(vm.read(STATUS_REGISTER), 1, "swtpm stopped: the guest goes on")
    os.kill(pid, signal.SIGCONT)
    vm.wait_status(lambda s: s["synced"] == 502)
    tap.is_equal(vm.quote(SHA256, b"n")[3], 502, "swtpm goes on: all records once, quoted")
    os.kill(pid, signal.SIGSTOP)
    tap.ok(vm.close(), "swtpm stopped: the VM's end cleans up")
    tap.ok(gone(pid), "swtpm stopped: it is ended")


def check_killed_swtpm(tap, service):
    vm = service.attach(name="killed-swtpm")
    subscriber = vm.connect()
    call(subscriber, SUBSCRIBE)
    for i in range(10):
        vm.guest_extend(2, D256, D384)
    vm.wait_status(lambda s: s["synced"] == 10)
    before, pid = vm.status(), vm.swtpm()
    os.kill(pid, signal.SIGKILL)
    status = vm.wait_status(lambda s: s["fault"])
    tap.is_equal(status["fault"], TPM_GONE, "swtpm killed: the fault is seen, nobody asked it")
    event = receive(subscriber)
    tap.is_equal((event[0], event[2][:2], event[2][-1]), (14, b"\0\5", TPM_GONE),
                 "swtpm killed: event FAULT")
    tap.is_equal(vm.read(STATUS_REGISTER), 4, "swtpm killed: the guest sees FAULT")
    tap.is_equal(vm.guest_extend(2, D256, D384), ERROR_FAULT, "swtpm killed: its extends answer FAULT")
    tap.is_equal(vm.guest_read(2)[2][0], 10, "swtpm killed: registers are read on")
    for what, error in (("quote", refusal(vm.quote, SHA256, b"n")), ("hold", refusal(vm.hold, 5)),
                        ("extend", refusal(vm.extend, 17, b"r"))):
        tap.is_equal(error and (error.code, error.hint), (FAULT, "reset the VM"),
                     f"swtpm killed: no {what}, and what helps")
    key = vm.keys(SHA256)
    vm.reset()
    after = vm.wait_status(lambda s: s["fault"] == 0 and s["seed"] != before["seed"])
    tap.ok(after["boot_count"] > before["boot_count"], "a VM reset mends it: another boot",
           (before, after))
    tap.is_equal((vm.guest_extend(2, D256, D384), vm.extend(17, b"r")), (0, 1),
                 "extends are taken again")
    tap.is_equal((vm.quote(SHA256, b"n")[3], vm.keys(SHA256)), (2, key), "quoted by the same key")
    tap.ok(vm.swtpm() not in (None, pid), "by a new swtpm")
    subscriber.close()
    tap.ok(vm.close(), "it cleans up")


def check_killed_device(tap, service, number, name):
    """The guest waits for the next process; the collector connects again and sees the same boot."""
    vm = service.attach(name="device", plugin=1)
    vm.guest_extend(3, D256, D384)
    vm.extend(17, b"host")
    before, swtpm, keys = vm.status(), vm.swtpm(), vm.keys(SHA256)
    device = before["device"]
    with open(vm.folder + "/device.pid", encoding="ascii") as file:
        tap.is_equal(int(file.read()), device, f"{name}: device.pid names it")
    os.kill(device, number)
    tap.is_equal(vm.guest_extend(3, D256, D384), NONE, f"{name}: the guest's next extend is taken")
    tap.is_equal(vm.guest_read(3)[2][0], 2, f"{name}: on top of the one before")
    vm.control.close()
    vm.control = vm.connect()
    after = vm.wait_status(lambda s: s["synced"] == 3)
    tap.ok(gone(device) and after["device"] not in (0, device), f"{name}: by another process")
    with open(vm.folder + "/device.pid", encoding="ascii") as file:
        tap.is_equal(file.read(), f"{after['device']}\n", f"{name}: which device.pid names")
    same = ("seed", "boot_count", "start", "fault", "qemu", "accelerator", "plugin", "name")
    tap.is_equal([after[key] for key in same], [before[key] for key in same], f"{name}: the same boot")
    tap.is_equal((vm.swtpm(), vm.keys(SHA256)), (swtpm, keys), f"{name}: the same swtpm and keys")
    tap.is_equal(vm.quote(SHA256, b"n")[3], 3, f"{name}: all records are quoted")
    tap.is_equal(vm.extend(17, b"again"), 3, f"{name}: the host's extends go on")
    before = vm.status()
    vm.reset()
    after = vm.wait_status(lambda s: s["seed"] != before["seed"] and not s["pending"])
    tap.is_equal((after["records"], after["fault"]), (0, 0), f"{name}: a VM reset is one as ever")
    tap.ok(vm.close(), f"{name}: the VM's end cleans up")
    tap.ok(gone(swtpm) and gone(after["device"]), f"{name}: and leaves no process")


def check_given_up(tap, service, name, kills):
    """Its sandbox killed it, or it dies too often: QEMU reads all ones, nothing is left."""
    vm = service.attach(name="given-up", plugin=1)
    vm.guest_extend(3, D256, D384)
    swtpm = vm.swtpm()
    for number in kills[:-1]:
        vm.kill_device(number)
        vm.control.close()
        tap.is_equal(vm.guest_read(3)[2][0], 1, f"{name}: goes on after signal {number}")
        vm.control = vm.connect()
    device = vm.status()["device"]
    os.kill(device, kills[-1])
    try:
        vm.read(BAR0)
        answered = True
    except (EOFError, OSError):
        answered = False
    tap.ok(not answered, f"{name}: QEMU's end of the wire closes (it reads all ones then)")
    tap.ok(wait_for(lambda: not os.path.exists(vm.folder)), f"{name}: the run folder is removed")
    tap.ok(gone(device) and gone(swtpm), f"{name}: neither device nor swtpm is left")
    tap.ok(os.path.exists(vm.state + "/eventlog.cel"), f"{name}: the VM's state stays")
    vid = vm.vid
    vm.close()
    again = service.attach(name="device", vid=vid)
    tap.is_equal(again.status()["records"], 0, f"{name}: the VM can be started again")
    again.close()


def check_restart(tap, service):
    """Killed service: VMs go on; its next start cleans up after devices that died meanwhile."""
    lives, dies = service.attach(name="lives"), service.attach(name="dies")
    device, swtpm = dies.status()["device"], dies.swtpm()
    service.kill()
    tap.is_equal((lives.guest_extend(1, D256, D384), lives.quote(SHA256, b"n")[3]), (0, 1),
                 "service killed: devices go on, quotes too")
    dies.kill_device()
    tap.ok(gone(device), "service killed: a device dies as well")
    tap.ok(gone(swtpm), "its swtpm ends by itself (--terminate)")
    tap.ok(os.path.exists(dies.folder), "its run folder is left")
    service.start()
    tap.ok(not os.path.exists(dies.folder), "the next service removes it")
    tap.ok(os.path.exists(lives.folder + "/control.sock"), "and keeps the living one's")
    tap.is_equal(lives.quote(SHA256, b"n")[3], 1, "which still quotes")
    error = refusal(lambda: service.attach(vid=lives.vid))
    tap.is_equal(error and error.code, BUSY, "a second device of a living VM is refused, BUSY")
    pid = lives.swtpm()
    os.kill(pid, signal.SIGKILL)
    lives.wait_status(lambda s: s["fault"] == TPM_GONE)
    lives.reset()
    time.sleep(0.5)
    tap.is_equal(lives.wait_status(lambda s: not s["pending"])["fault"], TPM_GONE,
                 "a device whose service died gets no new swtpm: the fault stays")
    dies.close()
    lives.close(seconds=1)
    tap.ok(gone(device), "it ends with its QEMU")
    vm = service.attach()
    tap.ok(not os.path.exists(lives.folder), "its run folder goes when the next VM comes")
    vm.close()


def check_identity(tap, service):
    vm = service.attach(name="twice")
    keys, count = [vm.keys(alg) for alg in (11, 12)], vm.status()["boot_count"]
    error = refusal(lambda: service.attach(name="clone", vid=vm.vid))
    tap.is_equal(error and error.code, BUSY, "a second VM of the same uuid is refused, BUSY")
    tap.contains(error.hint, "-uuid", "with a hint")
    tap.is_equal(vm.guest_extend(1, D256, D384), 0, "and the first one goes on")
    vid = vm.vid
    vm.close()
    vm = service.attach(name="twice", vid=vid)
    tap.is_equal([vm.keys(alg) for alg in (11, 12)], keys, "the same keys at the next start")
    tap.ok(vm.status()["boot_count"] > count, "boots are counted on")
    vm.close()
    other = service.attach(name="other")
    tap.ok(other.keys(11) != keys[0], "another VM has other keys")
    other.close()


def check_rounds(tap, service):
    vid = None
    for _ in range(30):
        vm = service.attach(name="round", plugin=1, vid=vid)
        vid = vm.vid  # the same VM, started again at once
        vm.guest_extend(1, D256, D384)
        for closed in (vm.wire, vm.qmp, vm.control):
            closed.close()
        if not vm.close():
            break
    else:
        vm = None
    tap.ok(vm is None, "30 rounds of attach and detach leave nothing")
    tap.is_equal(os.listdir(service.run + "/vm"), [], "the run folder is empty")
    tap.is_equal(service.killed(), [], "no device was killed by its sandbox")
    with open(f"/proc/{service.process.pid}/stat", encoding="ascii") as file:
        tap.ok(file.read(), "the service lives")
    count = len(os.listdir(f"/proc/{service.process.pid}/fd"))
    tap.ok(count < 12, "and holds no descriptors of theirs", count)


def main():
    tap = Tap()
    missing = paths.missing("swtpm", paths.HW_ATTEST)
    if missing:
        tap.skip_all(f"{missing} is missing")
    service = Service(paths.HW_ATTEST)
    for check in (check_stopped_swtpm, check_killed_swtpm, check_identity, check_restart,
                  check_rounds):
        with tap:
            check(tap, service)
    for number, name in ((signal.SIGKILL, "device killed"), (signal.SIGSTOP, "device stopped"),
                         (signal.SIGABRT, "device crashed")):
        with tap:
            check_killed_device(tap, service, number, name)
    for kills, name in (([signal.SIGSYS], "killed by its sandbox"),
                        ([signal.SIGKILL] * 4, "killed 4 times in a minute")):
        with tap:
            check_given_up(tap, service, name, kills)
    if tap.failed:
        tap.note(service.stderr())
    service.close()
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
