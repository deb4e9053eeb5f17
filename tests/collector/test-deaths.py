#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""test-deaths.py: whatever dies, what was acknowledged stays and nothing old is sold as new."""
import os
import http.client
import random
import signal
import struct
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from collector_case import Ask, Host, attach, missing, paths, wait_for  # noqa: E402
from collector_client import Evidence, decode, encode  # noqa: E402
from tap import Tap  # noqa: E402

REASON_WORKER_DIED, REASON_NO_MEMORY, REASON_UNSUPPORTED = 1, 2, 3
ROUNDS = 12          # of kill -9 at a random moment
SEED = 20261125


def reason(evidence):
    """Why the last measurement of tasks was not whole (record-payloads.h, 0x1901)."""
    return struct.unpack(">I", evidence.introspection(0x1901)[-1][26:30])[0]


def children(pid, name):
    found = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            with open(f"/proc/{entry}/stat", encoding="ascii", errors="replace") as file:
                text = file.read()
        except OSError:
            continue
        command, rest = text.partition("(")[2].rpartition(")")[::2]
        if command == name and int(rest.split()[1]) == pid and rest.split()[0] != "Z":
            found.append(int(entry))
    return found


def again(ask, vm="fake", seconds=60):
    """Attests until the daemons are themselves again; the last answer."""
    until = time.monotonic() + seconds
    while True:
        try:
            answer = ask.attest(vm)
            if answer.status == 200 or time.monotonic() > until:
                return answer
        except OSError:
            if time.monotonic() > until:
                raise
        time.sleep(0.1)


def kill_collector(host):
    host.collector.send_signal(signal.SIGKILL)
    host.collector.wait()
    host.children.remove(host.collector)
    os.unlink(f"{host.run}/collector.sock")  # so that the next one's is waited for


def check_acknowledged(tap, host, ask):
    """kill -9 of the collector while four askers keep it busy."""
    chance = random.Random(SEED)
    got, stop = [], threading.Event()

    def keep_asking():
        while not stop.is_set():
            try:
                answer = ask.attest("fake")
                if answer.status == 200:
                    got.append(answer.body)
            except (OSError, ValueError, http.client.HTTPException):
                time.sleep(0.01)

    askers = [threading.Thread(target=keep_asking) for _ in range(4)]
    for asker in askers:
        asker.start()
    try:
        for _ in range(ROUNDS):
            time.sleep(chance.uniform(0.0, 0.4))
            kill_collector(host)
            host.start_collector()
        wait_for(lambda: len(got) > ROUNDS, "some evidence between the deaths")
    finally:
        stop.set()
        for asker in askers:
            asker.join()
    acknowledged = {Evidence(body).claims["n"]: body for body in got}
    tap.is_equal(len(acknowledged), len(got), f"{len(got)} reports, no number twice")
    kept = all(ask.get(f"/v1/vms/fake/reports/{n}").body == body
               for n, body in acknowledged.items())
    tap.ok(kept, "each is still there after the deaths, byte for byte")
    last = Evidence(again(ask).body)
    before = Evidence(ask.get(f"/v1/vms/fake/reports/{last.claims['n'] - 1}").body)
    tap.is_equal(decode(last.claims["prev"]), before.q3, "the chain goes on where it stood")
    sequences = [fields[5] for *_, fields in last.host_records(22)]
    tap.is_equal(sequences, list(range(len(sequences))), "no sequence number is lost or used twice")


def check_worker(tap, host, ask, vm):
    tap.is_equal(reason(Evidence(again(ask).body)), REASON_NO_MEMORY, "without RAM: no memory")
    memory = os.memfd_create("ram")
    os.ftruncate(memory, 64 << 20)
    vm.memory([(0, 64 << 20, 0, memory)])
    wait_for(lambda: reason(Evidence(again(ask).body)) == REASON_UNSUPPORTED,
             "RAM without a kernel: unsupported")
    for number, name in ((signal.SIGKILL, "killed"), (signal.SIGSTOP, "stopped")):
        workers = children(host.collector.pid, "monatt-worker")
        tap.is_equal(len(workers), 1, "one worker a VM")
        os.kill(workers[0], number)
        answer = ask.attest("fake")
        tap.ok(answer.status == 200 and reason(Evidence(answer.body)) == REASON_UNSUPPORTED,
               f"worker {name}: a new one measures", answer)
        now = children(host.collector.pid, "monatt-worker")
        tap.ok(len(now) == 1 and now != workers, f"worker {name}: the old one is gone")
    os.close(memory)


def check_bad_worker(tap, host, ask):
    kill_collector(host)
    path = f"{host.folder}/dies"
    with open(path, "w", encoding="ascii") as file:
        file.write("#!/bin/sh\nexit 1\n")
    os.chmod(path, 0o755)
    good, paths.WORKER = paths.WORKER, path
    try:
        host.start_collector()
        evidence = Evidence(again(ask).body)
        tap.is_equal(reason(evidence), REASON_WORKER_DIED, "workers that all die: it is signed so")
    finally:
        paths.WORKER = good
    kill_collector(host)
    host.start_collector()
    again(ask)


def check_swtpm(tap, ask, vm):
    before = Evidence(again(ask).body)
    os.kill(vm.swtpm(), signal.SIGKILL)
    answer = ask.attest("fake")
    tap.ok(answer.status in (500, 503) and answer.error["message"] and answer.error["hint"],
           "device's swtpm killed: no evidence, a reason and a hint", answer)
    vm.reset()
    after = Evidence(again(ask).body)
    tap.ok(after.claims["bootseed"] != before.claims["bootseed"], "the VM's reset mends it")


def kill_tpm(host):
    host.tpm.kill()
    host.tpm.wait()
    host.children.remove(host.tpm)
    host.tpm = None
    for name in ("tpm.sock", "tpm.sock.ctrl"):
        if os.path.exists(f"{host.folder}/{name}"):
            os.unlink(f"{host.folder}/{name}")


def check_host_tpm_back(tap, host, ask):
    """It dies and is back before anybody needed it: new keys get the handles of the lost ones."""
    again(ask)
    kill_tpm(host)
    host.start_tpm()
    host.monatt("ca", "enrol", "--ca", host.ca)
    answer = ask.attest("fake")
    tap.is_equal(answer.status, 200, "host TPM back unnoticed: one new session is enough")


def check_host_tpm(tap, host, ask):
    again(ask)
    kill_tpm(host)
    answer = ask.attest("fake")
    tap.ok(answer.status in (500, 503) and answer.error["hint"],
           "host TPM killed: no evidence, a reason and a hint", answer)
    answer = ask.get("/v1/session?nonce=" + encode(bytes(32)))
    tap.ok(answer.status == 503 and "--host-tpm" in answer.error["hint"],
           "nor a session: come again", answer)
    kill_collector(host)
    host.start_collector()  # a TPM, a collector, a session
    tap.is_equal(again(ask).status, 200, "both back and certified: evidence again")


def check_no_session(tap, host, ask):
    kill_collector(host)
    certify, host.monatt = host.monatt, lambda *words, **more: None
    try:
        host.start_collector()
    finally:
        host.monatt = certify
    answer = ask.attest("fake")
    tap.ok(answer.status == 503 and "enrol" in answer.error["hint"], "no session: 503", answer)
    host.monatt("ca", "enrol", "--ca", host.ca)
    tap.is_equal(again(ask).status, 200, "certified: evidence")


def check_start(tap, host):
    def start(*words):
        done = subprocess.run([paths.COLLECTORD, *words], capture_output=True, text=True,
                              timeout=60, stdin=subprocess.DEVNULL)
        return done.returncode, done.stderr.strip()

    base = ["--host-id", "h", "--host-tpm", "swtpm:path=/nowhere", "--worker", paths.WORKER]
    plain = f"{host.folder}/plain"
    with open(plain, "w", encoding="ascii"):
        pass
    for words, code, part in (
            ([], 2, "--host-id"), (["--host-id", "h"], 2, "--host-tpm"),
            (base + ["--nonsense"], 2, "--nonsense"), (base + ["more"], 2, "more"),
            (base + ["--run-dir", host.run, "--state-dir", host.state], 1, "collector"),
            (base + ["--run-dir", host.run, "--state-dir", plain], 1, plain),
            (base + ["--run-dir", "/" + "r" * 120, "--state-dir", host.folder], 1, "r"),
            (base[:-1] + ["/nowhere/worker", "--run-dir", host.run, "--state-dir", host.folder],
             1, "/nowhere/worker")):
        status, text = start(*words)
        tap.ok(status == code and part in text and "hint: " in text and len(text.splitlines()) == 2,
               f"{' '.join(words)[-50:]!r}: exit {code}, one line and a hint", (status, text))


def check_disk_full(tap, host, ask):
    small = f"{host.folder}/small"
    os.mkdir(small)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=200k", "none", small],
                      stderr=subprocess.DEVNULL).returncode != 0:
        tap.skip("mounting a tmpfs is not allowed here", "disk full")
        return
    kill_collector(host)
    state, host.state = host.state, small
    try:
        host.start_collector()
        answers = [ask.attest("fake") for _ in range(30)]
        good = [a for a in answers if a.status == 200]
        bad = [a for a in answers if a.status != 200]
        tap.ok(bad and all(a.error["message"] and a.error["hint"] for a in bad),
               "disk full: an error with a hint", bad[:1] or "never full")
        kept = [ask.get(f"/v1/vms/fake/reports/{Evidence(a.body).claims['n']}").body == a.body
                for a in good]
        tap.ok(all(kept), f"and the {len(kept)} reports acknowledged before are there")
    finally:
        host.state = state
        kill_collector(host)
        subprocess.run(["umount", small], check=False)
    host.start_collector()


def check_device(tap, ask, vm):
    """Killed by anybody: the boot, its reports and their chain go on.  By its sandbox: gone."""
    before = Evidence(again(ask).body)
    for number in (signal.SIGKILL, signal.SIGABRT):
        device = vm.status()["device"]
        os.kill(device, number)
        answer = again(ask)
        tap.is_equal(answer.status, 200, f"device ended by signal {number}: evidence is made")
        after = Evidence(answer.body)
        vm.control.close()
        vm.control = vm.connect()
        tap.ok(vm.status()["device"] != device, "by its next process")
        tap.is_equal((after.claims["bootseed"], after.claims["n"]),
                     (before.claims["bootseed"], before.claims["n"] + 1), "in the same boot, the next one")
        tap.is_equal(decode(after.claims["prev"]), before.q3, "the chain has no gap")
        before = after
    vm.kill_device(signal.SIGSYS)
    answer = ask.attest("fake")
    tap.ok(answer.status in (404, 500) and answer.error["message"],
           "device killed by its sandbox: no evidence", answer)
    wait_for(lambda: ask.get("/v1/vms").json()["vms"] == [], "the VM leaves the list")
    answer = ask.get("/v1/vms/fake/reports")
    tap.ok(answer.status == 200 and answer.json()["reports"], "its reports stay")


def main():
    tap = Tap()
    lacking = missing()
    if lacking:
        tap.skip_all(f"{lacking} is missing")
    with tap, Host(collector=True) as host:
        ask = Ask(host.run)
        vm = attach(host)
        check_worker(tap, host, ask, vm)
        check_acknowledged(tap, host, ask)
        check_bad_worker(tap, host, ask)
        check_swtpm(tap, ask, vm)
        check_host_tpm_back(tap, host, ask)
        check_host_tpm(tap, host, ask)
        check_no_session(tap, host, ask)
        check_start(tap, host)
        check_disk_full(tap, host, ask)
        again(ask)
        check_device(tap, ask, vm)
        workers = children(host.collector.pid, "monatt-worker")
        host.end(host.collector)
        left = [pid for pid in workers if os.path.exists(f"/proc/{pid}")]
        tap.is_equal((host.collector.returncode, left), (0, []),
                     "SIGTERM: the collector ends with 0 and takes its workers along")
        tap.ok(not os.path.exists(ask.path), "and its socket")
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
