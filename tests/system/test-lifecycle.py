#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""test-lifecycle.py: whatever of a VM dies first, nothing is left of it at the end.

The table "What a death means" of docs/architecture.md with a real QEMU from monatt-qemu: QEMU ends
in four ways, device, swtpm, attach service and launcher are killed at several moments.
"""
import os
import signal
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "lib"), os.path.join(HERE, "..", "device")]
import paths  # noqa: E402
from device_client import Refused  # noqa: E402
from launched_vm import LaunchedVm, MarkedService, marked, wait_for  # noqa: E402
from tap import Tap  # noqa: E402

SHA256, TPM_GONE = 11, 1
# What libvirt gives every domain.
SANDBOX = "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"


def reset(vm):
    """A VM reset; true once the device made a new boot of it."""
    seed = vm.status()["seed"]
    vm.execute("system_reset")
    return vm.wait_status(lambda s: s["seed"] != seed and not s["pending"])


def quotes(vm):
    try:
        return vm.quote(SHA256, b"n")[0]
    except Refused:
        return None


# Moments at which something dies; each leaves the VM in that state.
def at_once(vm):
    del vm


def firmware_runs(vm):
    time.sleep(0.3)


def paused(vm):
    vm.execute("stop")
    vm.wait_status(lambda s: s["stopped"])


def in_reset(vm):
    vm.execute("system_reset")


def after_reset(vm):
    reset(vm)


MOMENTS = (at_once, firmware_runs, paused, in_reset, after_reset)


def nothing_left(tap, service, name):
    left = service.left()
    return tap.ok(not left, f"{name}: no process, socket, folder or memory is left", "\n".join(left))


def check_qemu_ends(tap, service):
    def by_quit(vm):
        vm.quit()

    def by_term(vm):
        vm.process.terminate()

    def by_kill(vm):
        vm.process.kill()

    def by_abort(vm):
        vm.process.send_signal(signal.SIGABRT)
    for way in (by_quit, by_term, by_kill, by_abort):
        for moment in MOMENTS if way is by_kill else MOMENTS[:2]:
            name = f"QEMU ends {way.__name__}, {moment.__name__}"
            vm = LaunchedVm(service, "-S" if moment is at_once else "-no-shutdown")
            moment(vm)
            if way is by_term:
                # QEMU 7.2 hangs in monitor_cleanup() when SIGTERM meets a monitor's request
                # (docs/monatt-qemu.md): not while the device asks its first ones.
                vm.wait_status(lambda s: s["accelerator"])
                time.sleep(0.1)
            way(vm)
            vm.process.wait(30)
            nothing_left(tap, service, name)
            tap.ok(os.path.exists(vm.state + "/eventlog.cel"), f"{name}: its log stays")
            vm.close()


def check_device_goes_on(tap, service):
    """Killed at any moment, also in the middle of a reset: another process, the VM as it was."""
    for moment in MOMENTS:
        name = f"device killed, {moment.__name__}"
        vm = LaunchedVm(service)
        moment(vm)
        before = vm.status()
        vm.kill_device()
        vm.control.close()
        vm.control = vm.connect()
        after = vm.wait_status(lambda s: not s["pending"])
        tap.ok(after["device"] != before["device"], f"{name}: another process goes on")
        tap.is_equal(after["fault"], 0, f"{name}: without a fault")
        if moment is not in_reset:
            tap.is_equal((after["seed"], after["boot_count"]), (before["seed"], before["boot_count"]),
                         f"{name}: in the same boot")
        tap.is_equal(vm.running(), "paused" if moment is paused else "running",
                     f"{name}: QEMU goes on")
        tap.is_equal(after["stopped"], int(moment is paused), f"{name}: the device knows whether it is paused")
        tap.ok(wait_for(lambda vm=vm: quotes(vm)), f"{name}: it quotes")
        if moment is paused:
            vm.execute("cont")
            vm.wait_status(lambda s: not s["stopped"])
        before = vm.status()
        vm.execute("system_reset")
        after = vm.wait_status(lambda s, b=before: s["seed"] != b["seed"] and not s["pending"])
        tap.is_equal((after["records"], after["fault"]), (0, 0), f"{name}: a reset is a reset")
        vm.quit()
        tap.is_equal(vm.process.wait(30), 0, f"{name}: QEMU ends as always")
        nothing_left(tap, service, name)
        vm.close()


def check_device_dies(tap, service):
    for moment in MOMENTS:
        name = f"device killed by its sandbox, {moment.__name__}"
        vm = LaunchedVm(service)
        moment(vm)
        vm.kill_device(signal.SIGSYS)
        tap.ok(wait_for(lambda vm=vm: not os.path.exists(vm.folder)),
               f"{name}: its run folder goes while QEMU lives")
        tap.is_equal(vm.running(), "paused" if moment is paused else "running",
                     f"{name}: QEMU goes on")
        # A reset with a dead device: QEMU must survive it as well.
        vm.execute("system_reset")
        tap.ok(vm.running(), f"{name}: QEMU can be reset")
        vm.quit()
        tap.is_equal(vm.process.wait(30), 0, f"{name}: QEMU ends as always")
        nothing_left(tap, service, name)
        again = LaunchedVm(service, vid=vm.vid)
        tap.is_equal(again.status()["fault"], 0, f"{name}: the VM starts again, a device with it")
        again.quit()
        again.close()
        vm.close()


def check_swtpm_dies(tap, service):
    for moment in MOMENTS[:3]:
        name = f"swtpm killed, {moment.__name__}"
        vm = LaunchedVm(service)
        moment(vm)
        os.kill(vm.swtpm(), signal.SIGKILL)
        tap.is_equal(vm.wait_status(lambda s: s["fault"])["fault"], TPM_GONE, f"{name}: a fault")
        error = tap.raises(Refused, f"{name}: no quote", vm.quote, SHA256, b"n")
        tap.is_equal(error and error.hint, "reset the VM", f"{name}: what helps")
        tap.ok(vm.running(), f"{name}: QEMU goes on")
        reset(vm)
        vm.wait_status(lambda s: not s["fault"])
        tap.ok(wait_for(lambda vm=vm: quotes(vm)), f"{name}: a reset mends it")
        vm.quit()
        vm.process.wait(30)
        nothing_left(tap, service, name)
        vm.close()
    vm = LaunchedVm(service)
    os.kill(vm.swtpm(), signal.SIGKILL)
    vm.process.kill()
    vm.process.wait(30)
    nothing_left(tap, service, "swtpm and QEMU killed together")
    vm.close()


def check_service_dies(tap, service):
    for moment in (at_once, firmware_runs, in_reset):
        name = f"attach service killed, {moment.__name__}"
        vm = LaunchedVm(service)
        moment(vm)
        service.kill()
        tap.is_equal(vm.running(), "running", f"{name}: QEMU goes on")
        if moment is in_reset:
            # A reset needs a new start of swtpm's state, which this device makes by itself.
            vm.wait_status(lambda s: not s["pending"])
        # One system_reset is two or three RESETs: between them a quote is refused as busy.
        tap.ok(wait_for(lambda vm=vm: quotes(vm)), f"{name}: its device quotes")
        vm.quit()
        vm.process.wait(30)
        tap.ok(wait_for(lambda: not service.others()), f"{name}: no process is left", service.others())
        vm.close()
        service.start()
        nothing_left(tap, service, f"{name}, started again")
    name = "attach service, device and QEMU killed"
    vm = LaunchedVm(service)
    service.kill()
    vm.kill_device()
    vm.process.kill()
    vm.process.wait(30)
    tap.ok(wait_for(lambda: not service.others()), f"{name}: no process is left", service.others())
    service.start()
    nothing_left(tap, service, f"{name}, started again")
    vm.close()
    name = "attach service ended by SIGTERM"
    vm = LaunchedVm(service)
    service.process.terminate()
    service.process.wait(30)
    tap.is_equal(vm.running(), "running", f"{name}: QEMU goes on")
    tap.ok(not os.path.exists(service.run + "/attach.sock"), f"{name}: attach.sock is gone")
    vm.quit()
    vm.process.wait(30)
    tap.ok(wait_for(lambda: not service.others()), f"{name}: no process is left", service.others())
    vm.close()
    service.start()
    nothing_left(tap, service, f"{name}, started again")


def check_launcher_dies(tap, service):
    """Killed in its first second, at 24 moments: some before the request, some after the exec."""
    seen = set()
    for step in range(24):
        vm = LaunchedVm(service, wait=False)
        time.sleep(step * 0.04)
        try:
            seen.add(os.path.basename(os.readlink(f"/proc/{vm.process.pid}/exe")))
        except OSError:
            pass
        vm.process.kill()
        vm.process.wait(30)
        vm.close()
    nothing_left(tap, service, "launcher killed at 24 moments")
    tap.ok("monatt-qemu" in seen, "some of them before it became QEMU", seen)
    vm = LaunchedVm(service)
    tap.is_equal(vm.running(), "running", "the next VM starts")
    vm.quit()
    vm.close()


def check_many(tap, service):
    vms = [LaunchedVm(service, name=f"many-{i}") for i in range(4)]
    devices = {vm.status()["device"] for vm in vms}
    tap.is_equal(len(devices), 4, "four VMs, four devices")
    vms[0].process.kill()
    vms[1].kill_device(signal.SIGSYS)
    os.kill(vms[2].swtpm(), signal.SIGKILL)
    tap.is_equal((vms[3].running(), vms[3].status()["fault"]), ("running", 0),
                 "others' deaths are not this VM's")
    for vm in vms:
        vm.close()
    nothing_left(tap, service, "four VMs")


def check_private(tap, service):
    def folder_of(vm):
        words = vm.log().split("a private one in '")
        return words[1].split("'")[0] if len(words) > 1 else None

    def launch():
        vm = LaunchedVm(service, launcher=["--monatt-private"], private=True, wait=False)
        wait_for(lambda: "attached" in vm.log())
        vm.folder = f"{folder_of(vm)}/vm/{vm.vid}"
        vm.state = f"{folder_of(vm)}/state/vm/{vm.vid}"
        vm.wait()
        return vm

    def keeper(vm):
        """The process that waits beside the private service: the one that is still ours by name."""
        return [pid for pid, line in marked(service.mark).items()
                if "monatt-qemu" in line and pid != vm.process.pid]

    def check(name, vm):
        vm.process.wait(30)
        nothing_left(tap, service, name)
        tap.ok(wait_for(lambda: not os.path.exists(folder_of(vm))), f"{name}: its folder is gone")
        vm.close()

    vm = launch()
    tap.is_equal(vm.running(), "running", "private: a VM without a service of the host")
    tap.ok(vm.quote(SHA256, b"n")[0], "private: its device quotes")
    vm.quit()
    check("private, QEMU quits", vm)
    vm = launch()
    vm.process.kill()
    check("private, QEMU killed", vm)
    vm = launch()
    servers = [pid for pid, line in marked(service.mark).items() if "--private" in line]
    for pid in servers:
        if pid != vm.status()["device"]:
            os.kill(pid, signal.SIGKILL)
    tap.is_equal(vm.running(), "running", "private, service killed: QEMU goes on")
    tap.ok(vm.quote(SHA256, b"n")[0], "private, service killed: its device quotes")
    vm.quit()
    check("private, service killed", vm)
    vm = launch()
    left = folder_of(vm)
    for pid in keeper(vm):
        os.kill(pid, signal.SIGKILL)
    vm.quit()
    vm.process.wait(30)
    nothing_left(tap, service, "private, keeper killed")
    tap.ok(os.path.isdir(left), "private, keeper killed: its folder is left")
    os.utime(left, (0, 0))  # young ones may be another start's
    vm.close()
    vm = launch()
    tap.ok(not os.path.exists(left), "and the next private start removes it")
    vm.quit()
    check("private, after that", vm)


def check_forms(tap, service):
    """Other ways to start: as a daemon, with the plugin's ring, on pc, paused."""
    pid_file = service.folder + "/pid"
    vm = LaunchedVm(service, "-daemonize", "-pidfile", pid_file, wait=False)
    tap.is_equal(vm.process.wait(60), 0, "-daemonize: monatt-qemu returns")
    vm.process.poll = lambda: None  # QEMU is another process now
    vm.wait()
    tap.is_equal(vm.running(), "running", "-daemonize: QEMU runs")
    tap.ok(vm.quote(SHA256, b"n")[0], "-daemonize: its device quotes")
    vm.quit()
    nothing_left(tap, service, "-daemonize")
    del vm.process.poll
    vm.close()
    for words, machine in ((("-S",), "pc"), (("-smp", "3"), "q35"), (("-preconfig",), "q35"), (("-sandbox", SANDBOX), "pc")):
        name = f"{machine} {' '.join(words)}"
        vm = LaunchedVm(service, *words, machine=machine, wait=True)
        if "-preconfig" in words:
            vm.execute("x-exit-preconfig")
        tap.ok(vm.wait_status(lambda s: s["plugin"] == 1), f"{name}: attached, with a ring")
        vm.quit()
        vm.process.wait(30)
        nothing_left(tap, service, name)
        vm.close()


def main():
    tap = Tap()
    missing = paths.missing("swtpm", paths.QEMU, paths.HW_ATTEST, paths.MONATT_QEMU)
    if missing:
        tap.skip_all(f"{missing} is missing")
    for check in (check_qemu_ends, check_device_dies, check_swtpm_dies, check_service_dies,
                  check_launcher_dies, check_many, check_private, check_forms):
        if len(sys.argv) > 1 and check.__name__ not in sys.argv[1:]:
            continue
        failed = tap.failed
        service = MarkedService()
        with tap:
            check(tap, service)
        if tap.failed > failed:
            tap.note(service.stderr())
        for pid in service.others():
            os.kill(pid, signal.SIGKILL)
        service.close()
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
