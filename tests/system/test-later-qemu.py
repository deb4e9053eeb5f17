#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""test-later-qemu.py: monatt-qemu with a QEMU of a later Debian suite, over vfio-user and mpqemu.

SeaBIOS under TCG on q35 and pc: the device is there, sees the RAM, counts reboots, and knows what
QEMU does to the VM's past: a migration is cancelled, a snapshot that is loaded is a fault until the
next reset.  A Linux guest gets a verdict by what the device saw of its RAM.  Under KVM the same
QEMU with either device, SeaBIOS only.
"""
import hashlib
import os
import re
import shutil
import signal
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "lib"), os.path.join(HERE, "..", "device")]
import guest as guest_library  # noqa: E402
import later_qemu  # noqa: E402
import paths  # noqa: E402
from device_client import EXTEND, RAM, SUBSCRIBE, call, receive  # noqa: E402
from guest import Guest, Host  # noqa: E402
from launched_vm import LaunchedVm, MarkedService, wait_for  # noqa: E402
from tap import Tap  # noqa: E402

HEALTHY, COMPROMISED = 0, 4
EVENT_FAULT = 5
NO_FAULT, RESTORED, MIGRATION = 0, 6, 7


class Later(LaunchedVm):
    started = []  # to be ended when a check does not come to it

    def __init__(self, service, qemu, *words, launcher=(), **more):
        self.started.append(self)
        super().__init__(service, *words, **more,
                         launcher=("--monatt-qemu", qemu, "--monatt-no-plugin", *launcher))

    def human(self, line):
        return self.execute("human-monitor-command", **{"command-line": line})

    def device_words(self):
        """The device's part of "info pci", once the firmware gave it its BARs."""
        def look():
            # The last device of the list that ends in its id.
            found = re.search(r"PCI device (?:(?!PCI device).)*?id \"monatt0\"",
                              self.human("info pci").replace("PCI subsystem", ""), re.DOTALL)
            words = found.group(0) if found else ""
            good = "BAR0: " in words and "0xffffffff" not in words and "not mapped" not in words
            return words if good else ""
        return wait_for(look) or self.human("info pci")

    def firmware_ran(self):
        return wait_for(lambda: "BAR0" in self.device_words())

    def ram(self):
        """Bytes of the guest's RAM that the device sees, and the first of them."""
        answer, fds = call(self.control, RAM)
        try:
            return len(fds), os.pread(fds[0], 4096, 0)
        finally:
            for fd in fds:
                os.close(fd)

    def fault(self):
        return self.status()["fault"]


def ended(tap, vm, service, name):
    vm.quit()
    vm.process.wait(30)
    vm.close()
    tap.is_equal(service.left(), [], f"{name}: nothing is left of it")


def check_firmware(tap, service, qemu):
    for machine in ("q35", "pc"):
        name = f"TCG, {machine}"
        vm = Later(service, qemu, machine=machine)
        tap.contains(vm.device_words(), "BAR0: ", f"{name}: the firmware found the device")
        regions, begin = vm.ram()
        tap.ok(regions > 0 and any(begin), f"{name}: the device sees the guest's RAM")
        first = vm.status()
        tap.is_equal((first["fault"], first["qemu"]), (NO_FAULT, vm.process.pid),
                     f"{name}: no fault, QEMU's pid")
        vm.execute("system_reset")
        tap.ok(wait_for(lambda: vm.status()["boot_count"] > first["boot_count"]),
               f"{name}: a reset is a new boot", vm.status())
        tap.ok(vm.status()["seed"] != first["seed"], f"{name}: with a seed of its own")
        tap.ok(vm.firmware_ran() and vm.fault() == NO_FAULT,
               f"{name}: and the device is there again")
        ended(tap, vm, service, name)
    vm = Later(service, qemu, "-S")
    vm.execute("cont")
    tap.ok(vm.firmware_ran(), "started with -S, as libvirt does: runs")
    time.sleep(2.5)  # a RESET of the start would be taken for a restore after 2 s
    tap.is_equal(vm.fault(), NO_FAULT, "started with -S: its first RESETs are no restore")
    ended(tap, vm, service, "started with -S")


def check_private(tap, service, qemu):
    vm = Later(service, qemu, launcher=("--monatt-private",), private=True, wait=False)
    tap.ok(wait_for(lambda: "private one in" in vm.log()), "--monatt-private: its own service", vm.log())
    tap.ok(wait_for(lambda: os.path.exists(vm.monitor_path)) and vm.process.poll() is None,
           "--monatt-private: QEMU runs", vm.log())
    vm.close()
    tap.is_equal(service.left(), [], "--monatt-private: nothing is left of it")


def check_past(tap, service, qemu):
    """Migration and snapshots: refused or known, never silently healthy."""
    disk = os.path.join(service.folder, "snapshots.qcow2")
    with open(disk, "wb"):
        pass
    vm = Later(service, qemu)
    vm.firmware_ran()
    vm.execute("blockdev-add", driver="file", filename=disk, **{"node-name": "file0"})
    vm.execute("blockdev-create", **{"job-id": "create", "options": {
        "driver": "qcow2", "file": "file0", "size": 64 << 20}})
    wait_for(lambda: vm.execute("query-jobs")[0]["status"] == "concluded")
    vm.execute("job-dismiss", id="create")
    vm.execute("blockdev-add", driver="qcow2", file="file0", **{"node-name": "disk0"})
    news = vm.connect()
    call(news, SUBSCRIBE)

    def told(fault):
        """Whether subscribers hear of the fault; other events are passed over."""
        news.settimeout(20)
        while True:
            kind, number, payload, _ = receive(news)
            if (kind, number) == (14, 0) and payload[:2] == bytes((0, EVENT_FAULT)):
                return payload[9] == fault
    vm.execute("migrate-set-parameters", **{"max-bandwidth": 65536})  # as with a guest of some size
    vm.execute("migrate", uri=f"exec:cat > {service.folder}/state")
    tap.ok(told(MIGRATION), "a migration that begins is told to subscribers")
    tap.ok(wait_for(lambda: vm.execute("query-migrate").get("status") == "cancelled"),
           "and cancelled", vm.execute("query-migrate"))
    tap.is_equal((vm.fault(), vm.running()), (NO_FAULT, "running"), "the VM runs on, with no fault")
    boot = vm.status()["boot_count"]
    vm.human("savevm one")
    time.sleep(2.5)
    tap.is_equal((vm.fault(), vm.running()), (NO_FAULT, "running"), "a snapshot by itself is no fault")
    news.close()
    news = vm.connect()
    call(news, SUBSCRIBE)
    vm.human("loadvm one")
    tap.ok(told(RESTORED), "a snapshot that is loaded is told to subscribers")
    tap.is_equal((vm.fault(), vm.status()["boot_count"]), (RESTORED, boot),
                 "and is a fault: its past is not the registers'")
    vm.execute("stop")
    vm.execute("system_reset")
    vm.execute("cont")
    tap.ok(wait_for(lambda: vm.status()["boot_count"] > boot and vm.fault() == NO_FAULT),
           "until the VM is reset", vm.status())
    vm.execute("stop")
    vm.human("loadvm one")
    vm.execute("cont")
    tap.ok(wait_for(lambda: vm.fault() == RESTORED), "loaded while it was stopped: the same")
    tap.contains(service.stderr(), "saved state", "the service's log says it")
    news.close()
    ended(tap, vm, service, "snapshots")


def killed(vm):
    """The device process is killed; true when another one serves the VM."""
    old = vm.status()["device"]
    os.kill(old, signal.SIGKILL)

    def again():
        try:
            vm.control.close()
            vm.control = vm.connect()
            return vm.status()["device"] not in (0, old)
        except (OSError, EOFError):
            return False
    return wait_for(again)


def check_replaced(tap, service, qemu):
    """kill -9 of the device: QEMU gets a new one, also from a guest that answers to nothing."""
    vm = Later(service, qemu)
    first = vm.device_words()
    time.sleep(2)  # the firmware changes the memory map, at which QEMU aborts while nobody serves
    call(vm.control, EXTEND, b"\x14record of the host")
    values, boot = [mr[:2] for mr in vm.registers()], vm.status()["boot_count"]
    tap.ok(killed(vm), "killed: another process serves the VM")
    tap.ok(wait_for(lambda: "has the new device" in service.stderr()),
           "and QEMU has it, though the firmware let nothing go", service.stderr())
    tap.is_equal(vm.running(), "running", "the VM runs")
    tap.is_equal([mr[:2] for mr in vm.registers()], values, "the registers are what they were")
    time.sleep(2.5)
    tap.is_equal((vm.fault(), vm.status()["boot_count"]), (NO_FAULT, boot),
                 "no fault, and no boot that was none")
    vm.execute("system_reset")
    tap.ok(wait_for(lambda: vm.status()["boot_count"] > boot), "a reset afterwards is a boot")
    tap.is_equal(vm.device_words(), first, "and the firmware finds the device where it was")
    time.sleep(2)
    tap.ok(vm.ram()[0] > 0, "with the guest's RAM")
    # A reboot that comes while nobody serves: QEMU would abort.
    vm.execute("stop")
    tap.ok(killed(vm), "killed while the VM is paused")
    tap.ok(wait_for(lambda: service.stderr().count("has the new device") == 2), "replaced again")
    tap.is_equal(vm.running(), "paused", "a paused VM stays paused")
    vm.execute("cont")
    boot = vm.status()["boot_count"]
    os.kill(vm.status()["device"], signal.SIGKILL)
    time.sleep(0.3)  # the guard is set within milliseconds, the guest is asked for 3 s
    vm.execute("system_reset")
    tap.ok(wait_for(lambda: service.stderr().count("has the new device") == 3),
           "a reset while the guest is asked to let go: replaced", service.stderr())
    vm.control.close()
    vm.control = vm.connect()
    tap.ok(wait_for(lambda: vm.status()["boot_count"] > boot and vm.running() == "running"),
           "and carried out", vm.status())
    tap.is_equal(vm.device_words(), first, "the device is there")
    ended(tap, vm, service, "replaced")


def check_kvm(tap, service, qemu):
    if not os.path.exists("/dev/kvm"):
        tap.skip("no /dev/kvm", "the later QEMU with x-pci-proxy-dev under KVM")
        return
    for wire, words in (("mpqemu", ()), ("vfio-user", ("--monatt-wire", "vfio-user"))):
        vm = Later(service, qemu, "-cpu", "qemu64", machine="pc", accelerator="kvm", launcher=words)
        tap.contains(vm.device_words(), "BAR0: ", f"KVM, {wire}: the firmware found the device")
        tap.is_equal((vm.fault(), vm.status()["accelerator"]), (NO_FAULT, 2), f"KVM, {wire}: no fault")
        tap.ok(vm.ram()[0] > 0, f"KVM, {wire}: the device sees the guest's RAM")
        ended(tap, vm, service, f"KVM, {wire}")


def service_log(host):
    with open(host.log("attach"), encoding="utf-8", errors="replace") as file:
        return file.read()


def check_replaced_guest(tap, host, guest):
    """kill -9 of the device under Linux, which lets the dead one go and takes the new one."""
    digest = hashlib.sha256(b"a measurement").hexdigest()
    guest.run(f"monatt-guest extend 1 {digest}")
    before = guest.run("monatt-guest read 1").text
    os.kill(guest.device.status()["device"], signal.SIGKILL)
    tap.ok(wait_for(lambda: "has the new device" in service_log(host)),
           "killed under Linux: it takes another one", service_log(host))
    text = wait_for(lambda: guest.run("monatt-guest read 1", check=False).text)
    tap.is_equal(text, before, "whose registers are what they were")
    guest.run(f"monatt-guest extend 1 {digest}")
    tap.ok(guest.run("monatt-guest read 1").text != before, "and can be extended")
    text = guest.run("monatt-guest read 1").text
    guest.run("for s in /sys/bus/pci/slots/*; do d=/sys/bus/pci/devices/$(cat $s/address).0; "
              "grep -q 0xa77e $d/device && echo 0 > $s/power; done; true")
    tap.ok(wait_for(lambda: service_log(host).count("has the new device") == 2),
           "ejected by the guest's root: it is plugged again", service_log(host))
    seen = wait_for(lambda: guest.run("monatt-guest read 1", check=False).text)
    tap.is_equal(seen, text, "with its registers")
    status = guest.device.status()
    tap.is_equal((status["boot_count"], status["paused"], status["fault"]), (1, 0, NO_FAULT),
                 "without a reboot, and Linux let the dead one go by itself: never stopped")


def check_guest(tap, qemu):
    """Evidence of a Linux guest whose device is behind vfio-user, clean and with a hidden process."""
    why = guest_library.missing() or paths.missing(paths.COLLECTORD, paths.WORKER, paths.MONATT,
                                                   paths.MUTATE)
    if why:
        tap.skip(why, "a Linux guest's verdict over vfio-user")
        return
    launcher = ("--monatt-qemu", qemu, "--monatt-no-plugin")
    with Host(collector=True) as host, Guest(host, name="later", launcher=launcher) as guest:
        reference = host.learn(guest.name)
        result = host.verify(*host.attest(guest.name), reference)
        tap.is_equal(result.status, HEALTHY, "a clean Linux guest over vfio-user: healthy")
        for name in ("startup-integrity", "runtime-integrity"):
            tap.ok(re.search(rf"(?m)^{name}\s+healthy\b", result.text), f"{name} is healthy", result)
        check_replaced_guest(tap, host, guest)
        result = host.verify(*host.attest(guest.name), reference)
        tap.is_equal(result.status, HEALTHY, "and the VM is healthy as before")
        pid = guest.spawn("sleep 1000")
        guest.mutate("hide", str(pid), "--from", "list+idr")
        result = host.verify(*host.attest(guest.name), reference)
        tap.ok(result.status == COMPROMISED and f"process {pid} (sleep)" in result.text,
               "a hidden process is found in the RAM that came over vfio-user, and named", result)
        before = guest.run("monatt-guest read 1").text
        guest.reboot()
        tap.ok(guest.run("monatt-guest read 1").text not in ("", before),
               "the guest reboots, and its registers are fresh")
        result = host.verify(*host.attest(guest.name), reference)
        tap.is_equal(result.status, HEALTHY, "and is healthy")


def check_silent_guest(tap, qemu):
    """A Linux that does not answer ACPI's hot-plug: the dead device is ejected by the host."""
    why = guest_library.missing()
    if why:
        tap.skip(why, "a Linux guest without hot-plug")
        return
    with Host() as host, Guest(host, name="silent", append="acpiphp.disable=1",
                               launcher=("--monatt-qemu", qemu, "--monatt-no-plugin")) as guest:
        os.kill(guest.device.status()["device"], signal.SIGKILL)
        tap.ok(wait_for(lambda: "has the new device" in service_log(host)),
               "Linux without hot-plug: replaced", service_log(host))
        status = guest.device.status()
        tap.ok(status["paused"] > 0 and guest.qmp("query-status")["status"] == "running",
               "with the VM stopped for it, which runs again", status)
        guest.run("d=$(grep -l 0xa77e /sys/bus/pci/devices/*/device); echo 1 > ${d%device}remove; "
                  "echo 1 > /sys/bus/pci/rescan")
        text = wait_for(lambda: guest.run("monatt-guest read 1", check=False).text)
        tap.contains(text, "MR1", "it finds the device by a look at its bus")
        guest.reboot()
        tap.contains(guest.run("monatt-guest read 1").text, "MR1", "or by a reboot")
        tap.is_equal(guest.device.status()["boot_count"], 2, "which is a boot")


def main():
    tap = Tap()
    missing = paths.missing("swtpm", paths.QEMU, paths.HW_ATTEST, paths.MONATT_QEMU)
    if missing:
        tap.skip_all(f"{missing} is missing")
    folder = tempfile.mkdtemp(prefix="later-", dir="/tmp")
    try:
        qemu = later_qemu.program(folder)
    except later_qemu.Missing as why:
        shutil.rmtree(folder)
        tap.skip_all(str(why))
    tap.note(f"QEMU {'.'.join(map(str, later_qemu.version(qemu)))}")
    for check in (check_firmware, check_private, check_past, check_replaced, check_kvm):
        if len(sys.argv) > 1 and check.__name__ not in sys.argv[1:]:
            continue
        failed = tap.failed
        service = MarkedService()
        with tap:
            check(tap, service, qemu)
        for vm in Later.started:
            vm.close()
        Later.started.clear()
        if tap.failed > failed:
            tap.note(service.stderr())
        service.close()
    for check in (check_guest, check_silent_guest):
        if len(sys.argv) == 1 or check.__name__ in sys.argv[1:]:
            with tap:
                check(tap, qemu)
    shutil.rmtree(folder)
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
