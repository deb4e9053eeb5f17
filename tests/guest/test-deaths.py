#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""test-deaths.py: collector, worker, swtpm, device and service are killed under a real guest.

The guest goes on; the next attest is as good as before, or fails and says why; it is never healthy
on what was measured before the death.  What is left at the end: nothing.  What QEMU and device do
alone is in tests/system/test-lifecycle.py.
"""
import os
import random
import signal
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))
import guest as guest_library  # noqa: E402
import paths  # noqa: E402
from guest import Guest, Host, wait_for  # noqa: E402
from tap import Tap  # noqa: E402

HEALTHY, FAILED, UNKNOWN = 0, 1, 6
SEED, ROUNDS = 4, 5


def processes(part):
    """{pid: command line} of every process whose command line holds this."""
    found = {}
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) != os.getpid():
            try:
                with open(f"/proc/{name}/cmdline", "rb") as file:
                    words = file.read().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if part in words:
                found[int(name)] = words
    return found


def workers(host):
    """Children of this host's collector."""
    found = []
    for name in os.listdir("/proc"):
        try:
            with open(f"/proc/{name}/stat", encoding="ascii", errors="replace") as file:
                parent = int(file.read().rsplit(")", 1)[1].split()[1])
        except (OSError, ValueError):
            continue
        if parent == host.collector.pid:
            found.append(int(name))
    return found


def judge(host, guest, reference):
    return host.verify(*host.attest(guest.name), reference)


def alive(tap, guest, name):
    tap.is_equal(guest.run("echo here", check=False).text, "here", f"{name}: the guest goes on")


def kill(pid):
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not os.path.exists(f"/proc/{pid}") or gone(pid), f"end of {pid}")


def gone(pid):
    """A zombie that only its parent can take away."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            return file.read().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True


def check_worker(tap, host, guest, reference):
    judge(host, guest, reference)
    before = workers(host)
    tap.is_equal(len(before), 1, "one worker for one VM")
    kill(before[0])
    result = judge(host, guest, reference)
    tap.is_equal(result.status, HEALTHY, "worker killed: the next one is whole again")
    after = workers(host)
    tap.ok(len(after) == 1 and after != before, "worker killed: another one works", after)
    # Every worker dies as soon as it is there: what remains is unknown, with its reason.
    stop = threading.Event()

    def hunt():
        while not stop.is_set():
            for pid in workers(host):
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            time.sleep(0.002)
    hunter = threading.Thread(target=hunt)
    hunter.start()
    try:
        result = judge(host, guest, reference)
    finally:
        stop.set()
        hunter.join()
    tap.ok(result.status == UNKNOWN and "worker" in result.text,
           "workers killed one after the other: unknown, and why", result)
    result = judge(host, guest, reference)
    tap.is_equal(result.status, HEALTHY, "left alone: healthy again")
    alive(tap, guest, "workers killed")


def reports(host, guest):
    return host.get(f"/v1/vms/{guest.name}/reports")["reports"]


def check_collector(tap, host, guest, reference):
    dice = random.Random(SEED)
    for i in range(ROUNDS):
        name = f"collector killed during an attest, {i + 1}"
        before = reports(host, guest)
        attempt = {}

        def ask():
            attempt["result"] = host.monatt("vm", "attest", guest.name, "--output",
                                            f"{host.folder}/attempt-{i}.jws", "--nonce-file",
                                            f"{host.folder}/attempt-{i}.nonce", check=False)
        asker = threading.Thread(target=ask)
        asker.start()
        time.sleep(dice.uniform(0, 0.5))
        host.collector.kill()
        host.collector.wait()
        asker.join()
        wait_for(lambda: not workers_left(host), "end of the killed collector's worker")
        host.start_collector()
        wait_for(lambda: any(vm["name"] == guest.name for vm in host.get("/v1/vms")["vms"]),
                 "the VM in the new collector")
        after = reports(host, guest)
        tap.is_equal(after[:len(before)], before, f"{name}: every report from before is there")
        if attempt["result"].status == 0:
            with open(f"{host.folder}/attempt-{i}.nonce", encoding="ascii") as file:
                nonce = file.read().strip()
            done = host.verify(f"{host.folder}/attempt-{i}.jws", nonce, reference)
            tap.is_equal((done.status, len(after)), (HEALTHY, len(before) + 1),
                         f"{name}: what was acknowledged is whole and kept")
        else:
            tap.ok(attempt["result"].status == FAILED and attempt["result"].error_text,
                   f"{name}: the asker is told", attempt["result"])
        result = judge(host, guest, reference)
        tap.is_equal(result.status, HEALTHY, f"{name}: the next attest is healthy")
        if result.status != HEALTHY:
            tap.note(result)
    alive(tap, guest, "collector killed")


def workers_left(host):
    return [pid for pid, words in processes(paths.WORKER).items()
            if "--worker" not in words and parent_is_gone(pid)]


def parent_is_gone(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            return int(file.read().rsplit(")", 1)[1].split()[1]) == 1
    except OSError:
        return False


def check_restart(tap, host, guest, reference):
    """The guest's extend is in the next process's register, and the VM is as healthy as before."""
    guest.run("monatt-guest extend 1 --file /init")
    device = guest.device.status()["device"]
    kill(device)
    alive(tap, guest, "device killed under its service")
    read = guest.run("monatt-guest read 1")
    tap.ok(guest.device.registers()[1][0].hex() in read.text, "the guest reads what the log says", read)
    guest.run("monatt-guest extend 1 --file /init")
    result = judge(host, guest, reference)
    tap.is_equal(result.status, HEALTHY, "device killed under its service: healthy as before")
    if result.status != HEALTHY:
        tap.note(result)
    tap.ok(guest.device.status()["device"] != device, "by another process")


def check_tpm(tap, host, guest, reference):
    tpm = guest.device.swtpm()
    tap.ok(tpm, "the device has its swtpm")
    kill(tpm)
    guest.run("monatt-guest extend 1 --file /init", check=False)
    result = host.monatt("vm", "attest", guest.name, "--output", f"{host.folder}/no.jws", check=False)
    tap.ok(result.status == FAILED and result.error_text and
           not os.path.exists(f"{host.folder}/no.jws"),
           "swtpm killed: no evidence, and why", result)
    alive(tap, guest, "swtpm killed")
    refused = guest.run("monatt-guest extend 1 --file /init", check=False)
    tap.ok(refused.status == 1 and "TPM disagree" in refused.error_text,
           "swtpm killed: the guest is told", refused)
    guest.reboot()
    result = judge(host, guest, reference)
    tap.is_equal(result.status, HEALTHY, "swtpm killed: a reboot of the VM mends it")
    if result.status != HEALTHY:
        tap.note(result)


def check_service(tap, host, guest, reference):
    host.service.kill()
    host.service.wait()
    result = judge(host, guest, reference)
    tap.is_equal(result.status, HEALTHY, "attach service killed: attest as before")
    alive(tap, guest, "attach service killed")
    host.start_service()
    result = judge(host, guest, reference)
    tap.is_equal(result.status, HEALTHY, "attach service started again: attest as before")


def check_device(tap, host, guest):
    """Its service was killed and started again, so nobody goes on for it."""
    kill(guest.device.status()["device"])
    alive(tap, guest, "device killed")
    result = host.monatt("vm", "attest", guest.name, "--output", f"{host.folder}/no.jws", check=False)
    tap.ok(result.status == FAILED and result.error_text and
           not os.path.exists(f"{host.folder}/no.jws"), "device killed: no evidence, and why", result)


def check_nothing_left(tap, host, vid):
    def left():
        found = {pid: words for pid, words in processes(vid).items()}
        return found or os.listdir(f"{host.run}/vm")
    try:
        wait_for(lambda: not left(), "the end of all that belonged to the VM", 20)
        tap.ok(True, "nothing of the VM is left")
    except guest_library.GuestError:
        tap.ok(False, "nothing of the VM is left", left())
    tap.is_equal(workers(host), [], "no worker is left")
    tap.ok(os.path.exists(f"{host.state}/vm/{vid}/eventlog.cel"), "its event log stays")


def main():
    tap = Tap()
    lacking = guest_library.missing() or paths.missing(paths.COLLECTORD, paths.WORKER, paths.MONATT)
    if lacking:
        tap.skip_all(f"{lacking} is missing")
    with tap, Host(collector=True) as host:
        with Guest(host) as guest:
            reference = host.learn(guest.name)
            check_worker(tap, host, guest, reference)
            check_collector(tap, host, guest, reference)
            check_restart(tap, host, guest, reference)
            check_tpm(tap, host, guest, reference)
            check_service(tap, host, guest, reference)
            check_device(tap, host, guest)
            vid = guest.vid
        # The device's parent was killed before it: the next start of the service tidies up.
        host.end(host.service)
        host.start_service()
        check_nothing_left(tap, host, vid)
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
