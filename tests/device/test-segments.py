#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""test-segments.py: a device that cuts its log into segments: nothing lost, nothing twice.

Each segment's checkpoint is checked by tests/lib/replay-cel.py and tpm2_checkquote alone.
"""
import hashlib
import os
import random
import struct
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "lib")]
import paths  # noqa: E402
from collector_client import replay_module  # noqa: E402
from device_client import EXTEND, QUOTE, Refused, Service, call  # noqa: E402
from tap import Tap  # noqa: E402

CEL = replay_module()
SHA256, SHA384, PERMISSION = 11, 12, 4
FILES, FULL, BUSY = 9, 8, 5
SMALL = ["--log-segment-records", "40", "--log-segment-interval-ms", "1"]


def digests(text):
    return hashlib.sha256(text).digest(), hashlib.sha384(text).digest()


def record(vm, register, kind, sequence, payload=b""):
    """One of the collector's records (docs/formats/records.md)."""
    size = 72 + len(payload)
    return (b"MTE1" + struct.pack(">HHI", kind, 1, size) + vm.vid.bytes +
            struct.pack(">QQQQIII", vm.status()["boot_count"], sequence, 1, 2, 0, 1000000, 1) + payload)


def read_files(folder):
    """{slot: bytes} of a state folder."""
    logs = {}
    for slot in range(FILES):
        with open(f"{folder}/eventlog.{slot}.cel" if slot else f"{folder}/eventlog.cel", "rb") as file:
            logs[slot] = file.read()
    return logs


def segments(logs):
    """[(number, bytes)] of what is on disk, in order; half a checkpoint is nothing."""
    found = []
    for slot, data in logs.items():
        number = 0
        if data[:1] == bytes([CEL.CHECKPOINT]):
            try:
                number = CEL.take_checkpoint(data)["segment"]
            except CEL.Refused:
                continue
            assert number % FILES == slot, (number, slot)
        elif slot or not data:
            continue
        found.append((number, data))
    return sorted(found)


def checkquote(vm, folder, checkpoint, bank):
    attest, signature = checkpoint["quotes"][bank]
    _, key = vm.keys(SHA256 if bank == "sha256" else SHA384)
    for name, content in (("ak", key), ("msg", attest), ("sig", signature)):
        with open(f"{folder}/{name}", "wb") as file:
            file.write(content)
    wanted = CEL.CHECKPOINT_MAGIC + hashlib.new(bank, checkpoint["body"]).digest()
    done = subprocess.run(["tpm2_checkquote", "-u", folder + "/ak", "-m", folder + "/msg", "-s",
                           folder + "/sig", "-g", bank, "-q", wanted.hex()], capture_output=True,
                          text=True, timeout=60, check=False)
    values = hashlib.new(bank, b"".join(checkpoint["values"][bank])).digest()
    return done.returncode == 0 and attest.endswith(values)


def check_seals(tap, vm):
    """Guest and host write on; the log is cut; all of it is one boot's."""
    sent = 0
    for i in range(300):
        vm.guest_extend(i % 16, *digests(b"guest %d" % i), b"content %d" % i)
        if i % 10 == 0:
            vm.extend(17, record(vm, 17, 0x1701, sent))
            sent += 1
    status = vm.wait_status(lambda s: s["synced"] == s["records"])
    tap.is_equal((status["records"], status["fault"]), (330, 0), "all records are taken, no fault")
    logs = segments(read_files(vm.state))
    tap.ok(len(logs) >= 4 and [n for n, _ in logs] == list(range(len(logs))),
           "the log is in segments, none left out", [n for n, _ in logs])
    done, values = CEL.replay_files([data for _, data in logs])
    tap.is_equal(done, 330, "every record stands in one of them")
    tap.is_equal([(values["sha256"][i], values["sha384"][i]) for i in range(24)],
                 [v[:2] for v in vm.registers()], "and they replay to the registers")
    log, records = vm.log()
    tap.is_equal((log, records), (logs[-1][1], 330), "the control socket gives the present one")
    number, data = logs[-1]
    tap.is_equal(CEL.replay(data), (done, values), "which alone replays to them too")
    checkpoint = CEL.take_checkpoint(data)
    tap.is_equal((checkpoint["vid"], checkpoint["seed"], checkpoint["boot"], checkpoint["segment"]),
                 (vm.vid.bytes, status["seed"], status["boot_count"], number),
                 "its checkpoint names VM, boot and segment")
    with tempfile.TemporaryDirectory() as folder:
        for bank in ("sha256", "sha384"):
            tap.ok(all(checkquote(vm, folder, CEL.take_checkpoint(d), bank) for n, d in logs if n),
                   f"tpm2_checkquote and the values confirm every checkpoint, {bank}")
    return logs


def check_chain(tap, logs):
    """What is not the next segment is seen."""
    data = [d for _, d in logs]

    def refused(name, files):
        tap.raises(CEL.Refused, f"refused: {name}", CEL.replay_files, files)
    refused("a segment left out", data[:1] + data[2:])
    refused("two exchanged", [data[0], data[2], data[1]])
    cut = list(CEL.entries(data[1]))[-1]
    size = 5 + 8 + 5 + 4 + 5 + 37 + 53 + 5 + len(cut["content"])
    refused("its last record cut off", [data[0], data[1][:-size], data[2]])
    refused("a byte of its content changed",
            [data[0], data[1][:-1] + bytes([data[1][-1] ^ 1]), data[2]])


def check_refusals(tap, vm):
    for alg, size in ((SHA256, 32), (SHA384, 48)):
        qualifying = b"MCK1" + bytes(size)
        error = tap.raises(Refused, f"a quote that looks like a checkpoint's is refused, {size}", call,
                           vm.control, QUOTE, struct.pack(">HH", alg, len(qualifying)) + qualifying)
        tap.is_equal(error and error.code, PERMISSION, "as not permitted")


def check_quotes(tap, vm):
    """Quotes of a held prefix while the log is cut under them."""
    stop, counts = [], {}

    def guest():
        for i in range(10**9):
            if stop:
                return
            error = vm.guest_extend(i % 16, *digests(b"%d" % i))
            counts[error] = counts.get(error, 0) + 1
    thread = threading.Thread(target=guest)
    thread.start()
    good = 0
    seen = set()
    for _ in range(20):
        for _ in range(5):  # a host that schedules nobody for a second lets a hold run out
            records, size = vm.hold(1000)
            began = sum(counts.values())
            while sum(counts.values()) < began + 10 and thread.is_alive():
                time.sleep(0.001)
            log, _ = vm.log()
            _, _, values, quoted, quoted_size = vm.quote(SHA256, bytes(32))
            if (quoted, quoted_size) == (records, size):
                break
        done, replayed = CEL.replay(log[:size], records)
        good += (quoted, quoted_size) == (records, size) and replayed["sha256"] == values
        if log[:1] == bytes([CEL.CHECKPOINT]):
            seen.add(CEL.take_checkpoint(log)["segment"])
    stop.append(1)
    thread.join()
    tap.is_equal(good, 20, "20 quotes of a held prefix, each explained by one segment")
    tap.ok(len(seen) >= 2, "of different segments", seen)
    tap.ok(set(counts) <= {0, BUSY}, "the guest was only ever busy", counts)
    tap.is_equal(vm.wait_status(lambda s: s["synced"] == s["records"])["fault"], 0, "no fault")


def extend_until(vm, stop, taken):
    """A guest that extends without a pause until stop holds something; taken: what was done."""
    for i in range(10**9):
        if stop:
            return
        if vm.guest_extend(i % 16, *digests(b"%d" % i)) == 0:
            taken.append(i)


def check_both(tap, vm):
    """Records wait in the pipe, behind the host's on their way to the disk, when a seal begins."""
    stop, taken = [], []
    before = vm.status()["records"]
    oldest = segments(read_files(vm.state))[-1][0]
    thread = threading.Thread(target=extend_until, args=(vm, stop, taken))
    thread.start()
    control = vm.connect()
    try:
        for i in range(200):
            call(control, EXTEND, bytes([18]) + record(vm, 18, 0x1801, i))
    finally:
        stop.append(1)
        thread.join()
        control.close()
    status = vm.wait_status(lambda s: s["synced"] == s["records"])
    tap.is_equal((status["records"], status["fault"]), (before + 200 + len(taken), 0),
                 "guest and host at once: every record that was taken is counted once")
    logs = segments(read_files(vm.state))
    tap.ok(logs[-1][0] > oldest + 2, "the log was cut meanwhile", logs[-1][0])
    done, values = CEL.replay_files([data for _, data in logs])
    tap.is_equal((done, values["sha256"]), (status["records"], [v[0] for v in vm.registers()]),
                 "and stands in one segment")


def check_ring(tap, vm):
    """More segments than files: the oldest go."""
    number = 0
    until = time.monotonic() + 60
    while number < FILES + 3 and time.monotonic() < until:
        for i in range(41):
            vm.guest_extend(3, *digests(b"more"))
        vm.wait_status(lambda s: s["synced"] == s["records"])
        number = segments(read_files(vm.state))[-1][0]
    logs = segments(read_files(vm.state))
    numbers = [n for n, _ in logs]
    tap.ok(len(numbers) in (FILES - 1, FILES) and
           numbers == list(range(numbers[0], numbers[0] + len(numbers))) and numbers[0] > 0,
           "the newest segments are on disk, the oldest are gone", numbers)
    done, values = CEL.replay_files([data for _, data in logs])
    tap.is_equal(values["sha256"], [v[0] for v in vm.registers()], "and replay to the registers")
    tap.ok(max(len(d) for _, d in logs) < 1024 * 1024, "each is small", [len(d) for _, d in logs])


def check_reset(tap, vm):
    before = segments(read_files(vm.state))[-1][1]
    boots = vm.status()["boot_count"]
    vm.reset()
    vm.wait_status(lambda s: s["boot_count"] == boots + 1 and not s["pending"])
    logs = read_files(vm.state)
    tap.ok(not any(logs.values()), "a VM reset: all segments are empty",
           {s: len(d) for s, d in logs.items()})
    with open(vm.state + "/eventlog.previous.cel", "rb") as file:
        tap.is_equal(file.read(), before, "the last one is the previous boot's")
    for i in range(41):
        vm.guest_extend(3, *digests(b"new boot"))
    vm.wait_status(lambda s: s["synced"] == s["records"])
    for _ in range(100):
        logs = segments(read_files(vm.state))
        if logs[-1][0] == 1:
            break
        time.sleep(0.05)
    tap.is_equal([n for n, _ in logs], [0, 1], "which counts its segments anew")
    tap.is_equal(CEL.replay_files([d for _, d in logs])[0], 41, "from its first record")
    tap.is_equal(vm.log(), (logs[-1][1], 41), "and gives the right one out")


def fill_up(path):
    with open(path, "wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            pass


def check_no_room(tap):
    """A disk with room for records and none for a checkpoint: the segment goes on."""
    state = tempfile.mkdtemp(prefix="hwa-full-", dir="/tmp")
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", state],
                          capture_output=True, text=True, check=False)
    if done.returncode != 0:
        tap.skip(f"no tmpfs: {done.stderr.strip()}", "a disk without room for a checkpoint")
        os.rmdir(state)
        return
    service = Service(paths.HW_ATTEST, state=state, options=SMALL)
    try:
        vm = service.attach(name="full")
        for i in range(39):  # about 7,500 bytes: the second page of two is not full
            vm.guest_extend(3, *digests(b"%d" % i), bytes(64))
        vm.wait_status(lambda s: s["synced"] == 39)
        fill_up(state + "/filler")
        vm.guest_extend(3, *digests(b"one more"))
        until = time.monotonic() + 20
        while "write the checkpoint" not in service.stderr() and time.monotonic() < until:
            time.sleep(0.02)
        tap.contains(service.stderr(), "write the checkpoint", "no room: the device says so")
        status = vm.wait_status(lambda s: s["synced"] == 40)
        tap.is_equal((status["fault"], vm.guest_extend(3, *digests(b"and more"))), (0, 0),
                     "no room: no fault, and the guest's extends are taken")
        tap.is_equal([n for n, _ in segments(read_files(vm.state))], [0],
                     "no room: the segment goes on")
        os.unlink(state + "/filler")
        for _ in range(400):
            logs = segments(read_files(vm.state))
            if len(logs) > 1:
                break
            time.sleep(0.02)
        tap.is_equal([n for n, _ in logs], [0, 1], "room again: it is sealed")
        vm.guest_extend(3, *digests(b"behind"))
        vm.wait_status(lambda s: s["synced"] == 42)
        done, values = CEL.replay_files([d for _, d in segments(read_files(vm.state))])
        tap.is_equal((done, values["sha256"]), (42, [v[0] for v in vm.registers()]),
                     "and nothing is lost")
        vm.close()
    finally:
        service.close()
        subprocess.run(["umount", "-l", state], check=False)
        os.rmdir(state)


def kill_once(vm):
    """Returns when another process answers."""
    pid = vm.status()["device"]
    os.kill(pid, 9)
    vm.control.close()
    until = time.monotonic() + 60
    while time.monotonic() < until:
        vm.control = vm.connect()
        try:
            if vm.status()["device"] != pid:
                return
        except (OSError, EOFError):
            vm.control.close()
        time.sleep(0.01)
    raise TimeoutError("no other process answers")


def check_kills(tap):
    """Killed at whatever step of a seal: the next process goes on, and nothing is lost or twice."""
    service = Service(paths.HW_ATTEST, options=[*SMALL, "--restarts", "16"])
    generator = random.Random(5)
    vm = service.attach(name="killed")
    stop, taken = [], []
    thread = threading.Thread(target=extend_until, args=(vm, stop, taken))
    thread.start()
    good, seen = 0, set()
    try:
        for _ in range(12):
            time.sleep(0.1 + generator.random() * 0.3)
            kill_once(vm)
            logs = segments(read_files(vm.state))
            done, _ = CEL.replay_files([whole(data) for _, data in logs])
            seen.add(logs[-1][0])
            good += vm.status()["fault"] == 0 and done > 0
    finally:
        stop.append(1)
        thread.join()
    status = vm.wait_status(lambda s: s["synced"] == s["records"])
    tap.ok(good == 12 and len(seen) > 6, "12 devices killed while they seal: each is gone on for",
           (good, seen))
    tap.is_equal((status["records"], status["fault"]), (len(taken), 0),
                 "every record that was taken is counted once")
    logs = segments(read_files(vm.state))
    done, values = CEL.replay_files([data for _, data in logs])
    tap.is_equal((done, values["sha256"]), (len(taken), [v[0] for v in vm.registers()]),
                 "the segments on disk are one log, and replay to the registers")
    quoted = vm.quote(SHA256, bytes(32))
    tap.is_equal((quoted[2], quoted[3]), (values["sha256"], done), "which its TPM quotes")
    vm.close()
    service.close()


def whole(data):
    """Without half a record at its end."""
    at = CEL.take_checkpoint(data)["end"] if data[:1] == bytes([CEL.CHECKPOINT]) else 0
    while at < len(data):
        end = at
        try:
            for _ in range(4):
                end = CEL.take_tlv(data, end, len(data))[2]
        except CEL.Refused:
            break
        at = end
    return data[:at]


def check_rate(tap):
    """A guest at full speed does not make the host sign more often than it may."""
    service = Service(paths.HW_ATTEST, options=["--log-segment-records", "10",
                                                "--log-segment-interval-ms", "600000"])
    vm = service.attach()
    for i in range(200):
        vm.guest_extend(3, *digests(b"%d" % i))
    vm.wait_status(lambda s: s["synced"] == s["records"])
    time.sleep(0.2)
    numbers = [n for n, _ in segments(read_files(vm.state))]
    tap.is_equal(numbers, [0, 1], "one seal in the interval, however much is written")
    tap.is_equal(CEL.replay_files([d for _, d in segments(read_files(vm.state))])[0], 200,
                 "and nothing is lost")
    vm.close()
    service.close()


def main():
    tap = Tap()
    lacking = paths.missing("swtpm", "tpm2_checkquote", paths.HW_ATTEST)
    if lacking:
        tap.skip_all(f"{lacking} is missing")
    service = Service(paths.HW_ATTEST, options=SMALL)
    with tap:
        vm = service.attach()
        logs = check_seals(tap, vm)
        check_chain(tap, logs)
        check_refusals(tap, vm)
        check_quotes(tap, vm)
        check_both(tap, vm)
        check_ring(tap, vm)
        check_reset(tap, vm)
        tap.ok(vm.close(), "the VM ends")
        check_no_room(tap)
        check_kills(tap)
        check_rate(tap)
        tap.ok(not [line for line in service.killed() if "signal 9" not in line],
               "no device was killed by its sandbox", service.killed())
        service.close()
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
