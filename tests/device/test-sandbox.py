#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""test-sandbox.py: devices and swtpms of running VMs as the kernel shows them, and what they still do.

Users, roots, namespaces, capabilities and filters of two VMs at once; a VM with every kind of
question, a reset and a new swtpm, under this host's C library and under a newer Debian suite's: a
call that only the newer one makes would kill the device there.  So do the unit tests of the
sandbox.  Root only, but for the last part.
"""
import fcntl
import hashlib
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "lib")]
import paths  # noqa: E402
import suite_tree  # noqa: E402
from device_client import (ITEMS, LIST, LOG, RAM, RING, VCPUS, Refused, Service, call)  # noqa: E402
from tap import Tap  # noqa: E402

D256, D384 = hashlib.sha256(b"x").digest(), hashlib.sha384(b"x").digest()
SHA256 = 11
FIRST, LAST = 2100000000, 2100000255
END_PATIENCE_S = 10
ORDINARY = 65533
SUITE = "sid"
UNIT_TESTS = ("device-sandbox", "device-layers")


def status_of(pid, task=None):
    """The lines of /proc/PID/status as a dictionary."""
    path = f"/proc/{pid}/task/{task}/status" if task else f"/proc/{pid}/status"
    with open(path, encoding="ascii") as file:
        return {key: value.split() for key, value in (line.split(":", 1) for line in file)}


def tasks(pid):
    return [status_of(pid, task) for task in os.listdir(f"/proc/{pid}/task")]


def namespaces(pid):
    return {name: os.readlink(f"/proc/{pid}/ns/{name}") for name in ("mnt", "net", "ipc", "uts")}


def open_folders(pid):
    """Descriptors of folders: each would lead to the folders above it."""
    found = []
    for number in os.listdir(f"/proc/{pid}/fd"):
        try:
            if stat.S_ISDIR(os.stat(f"/proc/{pid}/fd/{number}").st_mode):
                found.append(os.readlink(f"/proc/{pid}/fd/{number}"))
        except OSError:
            continue
    return found


def check_processes(tap, service):
    vms = [service.attach(name=f"vm-{i}") for i in range(2)]
    devices, tpms = [vm.status()["device"] for vm in vms], [vm.swtpm() for vm in vms]
    users = [int(status_of(pid)["Uid"][0]) for pid in devices]
    tap.ok(users[0] != users[1] and all(FIRST <= uid <= LAST for uid in users),
           "two devices run as two users of the range", users)
    tap.is_equal([set(status_of(pid)["Uid"] + status_of(pid)["Gid"]) for pid in devices + tpms],
                 [{str(uid)} for uid in users + users], "each with no other id, and its swtpm as the same")
    tap.is_equal([status_of(pid)["Groups"] for pid in devices + tpms], [[]] * 4, "in no other group")
    ours, seen = namespaces("self"), [namespaces(pid) for pid in devices]
    tap.ok(all(one[name] != ours[name] for one in seen for name in ours) and
           all(seen[0][name] != seen[1][name] for name in ours),
           "mount, network, IPC and host name: each device has its own", (ours, seen))
    tap.ok(all(namespaces(pid)["net"] != ours["net"] for pid in tpms), "no swtpm has the host's network")
    for pid, name in zip(devices, ("first", "second")):
        root = f"/proc/{pid}/root"
        tap.is_equal((sorted(os.listdir(root)), sorted(os.listdir(root + "/proc/self"))),
                     (["proc", "run"], ["fd"]), f"{name} device: a root with two folders")
        tap.is_equal(sorted(os.listdir(root + "/run")),
                     ["control.sock", "device.pid", "tpm.sock", "tpm.sock.ctrl"],
                     f"{name} device: its own run folder in it")
        tap.is_equal(open_folders(pid), [], f"{name} device: no descriptor of a folder")
    threads = [task for pid in devices for task in tasks(pid)]
    tap.ok(len(threads) >= 8 and all(
        (task["Seccomp"], task["NoNewPrivs"], int(task["CapPrm"][0], 16), int(task["CapEff"][0], 16))
        == (["2"], ["1"], 0, 0) for task in threads),
        "every thread of both: filtered, no capability, no new privilege", threads)
    tap.ok(all((task["Seccomp"], task["NoNewPrivs"], int(task["CapPrm"][0], 16)) == (["2"], ["1"], 0)
               for pid in tpms for task in tasks(pid)), "and of both swtpms")
    tap.is_equal([os.stat(path).st_uid for vm in vms for path in (vm.folder, vm.state, vm.state + "/tpm")],
                 [users[0]] * 3 + [users[1]] * 3, "folders belong to their VMs' users")
    tap.contains(service.stderr(), "sandbox: own user, own root, no network", "the log says so")
    keys = vms[0].keys(SHA256)
    vms[0].close()
    # The service does it once the device's process is gone, after its folder is.
    until = time.monotonic() + END_PATIENCE_S
    while os.stat(vms[0].state).st_uid != 0 and time.monotonic() < until:
        time.sleep(0.02)
    tap.is_equal(os.stat(vms[0].state).st_uid, 0, "after its end a VM's state is root's again")
    middle = service.attach(name="between")
    again = service.attach(name="vm-0", vid=vms[0].vid)
    tap.is_equal(int(status_of(middle.status()["device"])["Uid"][0]), users[0], "a free user is used again")
    other = int(status_of(again.status()["device"])["Uid"][0])
    tap.ok(other not in users, "the VM has another user now", (other, users))
    tap.is_equal(again.keys(SHA256), keys, "and is still the same VM")
    for vm in (vms[1], middle, again):
        vm.close()


def check_earlier_service(tap, service):
    """A killed service's devices keep their users to themselves."""
    lives = service.attach(name="lives")
    user = int(status_of(lives.status()["device"])["Uid"][0])
    service.kill()
    service.start()
    new = service.attach(name="new")
    tap.ok(int(status_of(new.status()["device"])["Uid"][0]) != user,
           "a new service does not use the user of a device that it does not know", user)
    new.close()
    lives.close(seconds=0)


def smoke(tap, service, name):
    """Every question and every way of a VM's life, so that every call is made."""
    vm = service.attach(name="smoke", plugin=1, vcpus=2)
    memory = os.memfd_create("ram")
    os.ftruncate(memory, 1 << 20)
    os.pwrite(memory, b"guest", 4096)
    vm.memory([(0, 1 << 20, 0, memory)])
    for i in range(300):
        vm.guest_extend(i % 16, D256, D384, bytes(i % 900))
    vm.extend(17, b"record")
    vm.wait_status(lambda s: s["synced"] == s["records"])
    tap.is_equal((vm.quote(SHA256, b"n")[3], vm.quote(12, b"n")[3]), (301, 301), f"{name}: extends, quotes")
    _, fds = call(vm.control, RAM)
    modes = [fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE for fd in fds]
    tap.is_equal((os.pread(fds[0], 5, 4096), modes), (b"guest", [os.O_RDONLY]), f"{name}: guest memory, read-only")
    for kind in (LOG, RING):
        _, more = call(vm.control, kind)
        tap.is_equal([fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE for fd in more], [os.O_RDONLY],
                     f"{name}: {'log' if kind == LOG else 'plugin ring'}, read-only")
        fds += more
    for fd in fds:
        os.close(fd)
    for kind in (ITEMS, VCPUS):
        call(vm.control, kind)
    tap.raises(Refused, f"{name}: no process list yet", call, vm.control, LIST)
    vm.reset()
    vm.wait_status(lambda s: s["records"] == 0 and not s["pending"])
    tap.is_equal(vm.quote(SHA256, b"n")[3], 0, f"{name}: a reset")
    os.kill(vm.swtpm(), signal.SIGKILL)
    vm.wait_status(lambda s: s["fault"])
    time.sleep(2.1)  # RESETs within 2 s are one
    vm.reset()
    vm.wait_status(lambda s: not s["fault"] and not s["pending"])
    tap.is_equal((vm.guest_extend(1, D256, D384), vm.quote(SHA256, b"n")[3]), (0, 1), f"{name}: a new swtpm")
    device = vm.status()["device"]
    tap.ok(vm.close(), f"{name}: its end")
    tap.ok(not os.path.exists(f"/proc/{device}"), f"{name}: no process is left")
    tap.is_equal(service.killed(), [], f"{name}: its sandbox killed nothing")
    os.close(memory)


def check_file_memory(tap, service):
    """memory-backend-file: QEMU's file with mode 0600, which the device's user may not open."""
    vm = service.attach(name="file")
    path = service.folder + "/ram"
    memory = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    os.ftruncate(memory, 1 << 20)
    os.pwrite(memory, b"guest", 4096)
    vm.memory([(0, 1 << 19, 0, memory), (1 << 32, 1 << 19, 1 << 19, memory)])
    vm.config_read(0)
    _, fds = call(vm.control, RAM)
    modes = [fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE for fd in fds]
    tap.is_equal((modes, os.pread(fds[0], 5, 4096)), ([os.O_RDONLY] * 2, b"guest"),
                 "memory in another user's file: read-only descriptors")
    tap.raises(OSError, "and nobody writes through them", os.pwrite, fds[1], b"x", 0)
    for fd in fds + [memory]:
        os.close(fd)
    # A FIFO in a file's place: refused, and the service serves on.
    os.mkfifo(path + "-fifo", 0o600)
    fifo = os.open(path + "-fifo", os.O_RDWR)
    vm.memory([(0, 1 << 19, 0, fifo)])
    vm.config_read(0)
    tap.ok(service.attach(name="meanwhile").close(), "a service that was asked for a FIFO serves on")
    os.close(fifo)
    vm.close()


def check_options(tap):
    for words, uid in ((("--user", "nobody"), 65534), (("--user", "root"), 0), (("--user", "1234567"), 1234567)):
        service = Service(paths.HW_ATTEST, options=words)
        vm = service.attach()
        seen = [int(status_of(pid)["Uid"][0]) for pid in (vm.status()["device"], vm.swtpm())]
        tap.is_equal((seen, vm.quote(SHA256, b"n")[3]), ([uid] * 2, 0), f"{' '.join(words)}: device and swtpm")
        vm.close()
        service.close()
    service = Service(paths.HW_ATTEST, options=("--user", "1234567-1234568"))
    vms = [service.attach() for _ in range(2)]
    tap.raises((Refused, EOFError, ConnectionError), "a range that is used up: no third VM", service.attach)
    tap.contains(service.stderr(), "wider range", "and the log says what helps")
    vms.pop().close()
    vms.append(service.attach())
    tap.is_equal(vms[1].guest_extend(1, D256, D384), 0, "after a VM's end there is room again")
    for vm in vms:
        vm.close()
    service.close()
    for word in ("5-4", "no-such-user", "-1", ""):
        done = subprocess.run([paths.HW_ATTEST, "serve", "--user", word], capture_output=True, text=True)
        tap.ok(done.returncode == 2 and "--user" in done.stderr and "hint" in done.stderr,
               f"--user '{word}': exit 2 with a hint", done.stderr)
    done = subprocess.run([paths.HW_ATTEST, "--print-capabilities"], capture_output=True, text=True)
    tap.ok(re.search(r'"sandbox":"own user, .*seccomp"', done.stdout), "--print-capabilities names the layers",
           done.stdout)


def check_ordinary(tap):
    """A service of an ordinary user: user namespaces where the host has them, and less where not."""
    folder = tempfile.mkdtemp(prefix="hwo-", dir="/tmp")
    os.chmod(folder, 0o711)
    os.makedirs(f"{folder}/root")
    for name in ("run", "state"):
        os.makedirs(f"{folder}/{name}")
        os.chown(f"{folder}/{name}", ORDINARY, ORDINARY)
    wrapper = f"{folder}/serve"
    program = f"{folder}/hw-attest"  # the build folder may be closed to that user
    shutil.copy(paths.HW_ATTEST, program)
    for forbid in (False, True):
        # In a changed root the kernel makes no user namespaces: unshare(2), EPERM.
        start = (f"unshare --mount sh -c 'mount --rbind / {folder}/root && "
                 f"exec chroot --userspec={ORDINARY}:{ORDINARY} --groups= {folder}/root \"$@\"' x" if forbid
                 else f"setpriv --reuid {ORDINARY} --regid {ORDINARY} --clear-groups")
        with open(wrapper, "w", encoding="ascii") as file:
            file.write(f"#!/bin/sh\nexec {start} {program} \"$@\"\n")
        os.chmod(wrapper, 0o755)
        service = Service.__new__(Service)
        service.folder, service.program, service.private = folder, wrapper, False
        service.run, service.state, service.environment = f"{folder}/run", f"{folder}/state", dict(os.environ)
        service.options = ()
        name = "an ordinary user without user namespaces" if forbid else "an ordinary user's service"
        try:
            service.start()
        except RuntimeError as error:
            tap.skip(error, name)
            continue
        smoke(tap, service, name)
        line = [line for line in service.stderr().splitlines() if "sandbox: " in line][-1]
        tap.note(line)
        tap.ok("seccomp" in line and ("own root" in line) != forbid, f"{name}: the log says what it has", line)
        service.process.terminate()
        service.process.wait(10)
    shutil.rmtree(folder)


def newer_libc(tap):
    """The command that runs a program with the newer suite's libraries, or None."""
    try:
        tree = suite_tree.folder(SUITE)
    except suite_tree.Missing as error:
        tap.skip(str(error), f"the C library of {SUITE}")
        return None
    return [f"{tree}/lib64/ld-linux-x86-64.so.2", "--library-path", f"{tree}/usr/lib/x86_64-linux-gnu"]


def check_libc(tap):
    loader = newer_libc(tap)
    if not loader:
        return
    version = subprocess.run([loader[0], "--version"], capture_output=True, text=True).stdout.splitlines()[0]
    tap.note(version)
    if subprocess.run([*loader, paths.HW_ATTEST, "--version"], capture_output=True).returncode != 0:
        tap.skip("a program with a sanitizer does not run with other libraries", f"the C library of {SUITE}")
        return
    for name in UNIT_TESTS:
        done = subprocess.run([*loader, paths.build("tests", "unit", "test-" + name), "--tap"],
                              capture_output=True, text=True, timeout=300)
        tap.ok(done.returncode == 0 and "not ok" not in done.stdout, f"{SUITE}'s C library: {name}",
               done.stdout[-2000:] + done.stderr[-2000:])
    folder = tempfile.mkdtemp(prefix="hwl-", dir="/tmp")
    wrapper = folder + "/hw-attest"
    with open(wrapper, "w", encoding="ascii") as file:
        file.write(f"#!/bin/sh\nexec {' '.join(loader)} {paths.HW_ATTEST} \"$@\"\n")
    os.chmod(wrapper, 0o755)
    service = Service(wrapper)
    smoke(tap, service, f"{SUITE}'s C library")
    service.close()
    shutil.rmtree(folder)


def main():
    tap = Tap()
    missing = paths.missing("swtpm", "setpriv", paths.HW_ATTEST)
    if missing:
        tap.skip_all(f"{missing} is missing")
    if os.geteuid() != 0:
        tap.skip_all("root is missing: only root gives VMs users of their own")
    for check in (check_processes, check_earlier_service, check_file_memory,
                  lambda tap, service: smoke(tap, service, "this host's C library")):
        failed = tap.failed
        service = Service(paths.HW_ATTEST)
        with tap:
            check(tap, service)
        if tap.failed > failed:
            tap.note(service.stderr())
        service.close()
        time.sleep(0.1)
    for check in (check_options, check_ordinary, check_libc):
        with tap:
            check(tap)
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
