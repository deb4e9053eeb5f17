#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""test-quote.py: the device's quotes as tpm2_checkquote sees them, and quotes of a held prefix."""
import hashlib
import os
import struct
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "lib")]
import paths  # noqa: E402
from device_client import QUOTE, Refused, Service, call  # noqa: E402
from tap import Tap  # noqa: E402

SHA256, SHA384, BUSY, FORMAT = 11, 12, 7, 5
NONCE = hashlib.sha256(b"claims").digest()


def digests(text):
    return hashlib.sha256(text).digest(), hashlib.sha384(text).digest()


def replay(log, records):
    """The registers after so many records of the log (TCG CEL, TLV), by hashlib alone."""
    values = [[b"\xff" * 32, b"\xff" * 48] if 17 <= i <= 22 else [bytes(32), bytes(48)]
              for i in range(24)]
    at = 0
    for number in range(records):
        fields = {}
        for _ in range(4):  # number, register, digests, content
            kind, size = log[at], struct.unpack(">I", log[at + 1:at + 5])[0]
            fields[kind] = log[at + 5:at + 5 + size]
            at += 5 + size
        assert int.from_bytes(fields[0], "big") == number, (number, fields)
        index, inside = int.from_bytes(fields[1], "big"), fields[3]
        while inside:
            bank, size = inside[0], struct.unpack(">I", inside[1:5])[0]
            digest, inside = inside[5:5 + size], inside[5 + size:]
            which = {SHA256: 0, SHA384: 1}[bank]
            hasher = hashlib.sha384 if which else hashlib.sha256
            values[index][which] = hasher(values[index][which] + digest).digest()
    return values, at


def checkquote(folder, vm, alg, attest, signature, nonce):
    _, key = vm.keys(alg)
    for name, content in (("ak", key), ("msg", attest), ("sig", signature)):
        with open(f"{folder}/{name}", "wb") as file:
            file.write(content)
    return subprocess.run(["tpm2_checkquote", "-u", folder + "/ak", "-m", folder + "/msg",
                           "-s", folder + "/sig", "-g", "sha384" if alg == SHA384 else "sha256",
                           "-q", nonce.hex()], capture_output=True, text=True, timeout=60)


def check_quotes(tap, vm, folder):
    for i in range(5):
        vm.guest_extend(i, *digests(b"guest %d" % i), b"content")
        vm.extend(17 + i, b"host %d" % i)
    for alg, name, hasher in ((SHA256, "SHA-256", hashlib.sha256), (SHA384, "SHA-384", hashlib.sha384)):
        attest, signature, values, records, size = vm.quote(alg, NONCE)
        done = checkquote(folder, vm, alg, attest, signature, NONCE)
        tap.ok(done.returncode == 0, f"{name}: tpm2_checkquote verifies", done.stderr)
        composite = hasher(b"".join(values)).digest()
        tap.ok(attest.endswith(composite), f"{name}: pcrDigest is that of the 24 values")
        log, _ = vm.log()
        replayed, end = replay(log, records)
        tap.ok(([v[alg - SHA256] for v in replayed], end) == (values, size),
               f"{name}: the log's prefix replays to the quoted values")
        tap.is_equal(records, 10, f"{name}: all records are in")
        done = checkquote(folder, vm, alg, attest, signature, bytes(32))
        tap.ok(done.returncode != 0, f"{name}: another nonce is refused")
        done = checkquote(folder, vm, alg, attest[:-1] + bytes([attest[-1] ^ 1]), signature, NONCE)
        tap.ok(done.returncode != 0, f"{name}: a changed composite is refused")
        done = checkquote(folder, vm, alg, attest, signature[:-1] + bytes([signature[-1] ^ 1]), NONCE)
        tap.ok(done.returncode != 0, f"{name}: a changed signature is refused")
    for payload, why in ((struct.pack(">HH", 4, 0), "bank SHA-1"), (struct.pack(">HH", 0, 0), "bank 0"),
                         (struct.pack(">HH", 11, 65) + bytes(65), "65 bytes to sign"),
                         (struct.pack(">HH", 11, 4) + bytes(3), "fewer bytes than said"),
                         (struct.pack(">HH", 11, 4) + bytes(5), "more bytes than said")):
        error = tap.raises(Refused, f"refused: {why}", call, vm.control, QUOTE, payload)
        tap.is_equal(error and error.code, FORMAT, f"{why}: error FORMAT")
    tap.ok(vm.quote(SHA256, bytes(64))[3] == 10, "64 bytes to sign are possible")


class Guest(threading.Thread):
    """Extends without a break, as a hostile guest would."""

    def __init__(self, vm):
        super().__init__()
        self.vm, self.stop, self.counts = vm, False, {}

    def taken(self):
        return sum(self.counts.values())

    def run(self):
        for i in range(10**9):
            if self.stop:
                return
            error = self.vm.guest_extend(i % 16, *digests(b"%d" % i))
            self.counts[error] = self.counts.get(error, 0) + 1


def check_hold(tap, vm):
    guest = Guest(vm)
    guest.start()
    good = meanwhile = 0
    for turn in range(20):
        alg = SHA256 if turn % 2 else SHA384
        for _ in range(5):  # a host that schedules nobody for a second lets a hold run out
            records, size = vm.hold(1000)
            began = guest.taken()
            while guest.taken() < began + 3 and guest.is_alive():
                time.sleep(0.001)
            after = vm.status()["records"]
            log, _ = vm.log()
            _, _, values, quoted, quoted_size = vm.quote(alg, NONCE)
            if quoted == records:
                break
        replayed, end = replay(log, records)
        good += (quoted, quoted_size) == (records, size) and end == size and \
            [v[alg - SHA256] for v in replayed] == values and len(log) >= size
        meanwhile += after > records
    guest.stop = True
    guest.join()
    tap.is_equal(good, 20, "20 quotes of exactly the held prefix while the guest extends")
    tap.is_equal(meanwhile, 20, "whose extends were taken meanwhile")
    tap.ok(set(guest.counts) <= {0, 5}, "the guest was only ever busy", guest.counts)
    vm.wait_status(lambda s: s["synced"] == s["records"])
    tap.is_equal(vm.status()["fault"], 0, "no fault")


def check_hold_ends(tap, vm):
    first = vm.status()["records"]
    other = vm.connect()
    tap.is_equal(vm.hold(1000)[0], first, "a hold names the records there are")
    error = tap.raises(Refused, "refused: a second hold", vm.hold, 1000)
    tap.is_equal(error and error.code, BUSY, "second hold: error BUSY")
    error = tap.raises(Refused, "refused: another connection's hold", vm.hold, 1000, other)
    tap.is_equal(error and error.code, BUSY, "another's hold: error BUSY")
    error = tap.raises(Refused, "refused: another connection's quote", call, other, QUOTE,
                       struct.pack(">HH", SHA256, 0))
    tap.is_equal(error and error.code, BUSY, "another's quote: error BUSY")
    vm.guest_extend(1, *digests(b"later"))
    vm.extend(17, b"a record of the host is taken while held")
    tap.is_equal(vm.quote(SHA256, NONCE)[3], first, "the holder's quote is of that prefix")
    tap.is_equal(vm.quote(SHA256, NONCE)[3], first + 2, "the next one is of all records")
    vm.hold(1)
    time.sleep(0.1)
    vm.guest_extend(1, *digests(b"later"))
    tap.is_equal(vm.quote(SHA256, NONCE)[3], first + 3, "after the time-out a quote is of all records")
    vm.hold(1000, other)
    other.close()
    vm.guest_extend(1, *digests(b"later"))
    until = time.monotonic() + 0.9
    while True:
        try:
            got = vm.quote(SHA256, NONCE)[3]
            break
        except Refused:
            if time.monotonic() > until:
                got = None
                break
    tap.is_equal(got, first + 4, "a closed connection holds nothing")
    vm.hold(0xFFFFFFFF)
    vm.guest_extend(1, *digests(b"later"))
    vm.wait_status(lambda s: s["synced"] == s["records"], 5)
    tap.ok(True, "a time-out of 49 days is cut to a second")
    vm.hold(0)
    time.sleep(0.05)
    for payload in (b"", bytes(3), bytes(5)):
        error = tap.raises(Refused, f"refused: a hold of {len(payload)} bytes", call, vm.control, 17,
                           payload)
        tap.is_equal(error and error.code, FORMAT, f"{len(payload)} bytes: error FORMAT")
    count = vm.status()["boot_count"]
    vm.hold(1000)
    vm.reset()
    vm.wait_status(lambda s: s["boot_count"] == count + 1)
    vm.guest_extend(1, *digests(b"new boot"))
    tap.is_equal(vm.quote(SHA256, NONCE)[3], 1, "a VM reset ends a hold")


def check_full_queue(tap, vm):
    """Held, the guest fills the queue: it is answered busy, never made to wait, nothing is lost."""
    vm.hold(1000)
    errors, count = {}, vm.status()["records"]
    until = time.monotonic() + 0.9
    while 5 not in errors and time.monotonic() < until:
        vm.write(0xFE000018, 2)
        vm.write(0xFE00001C, 32)
        vm.write(0xFE000010, 1)
        error = vm.read(0xFE000014)
        errors[error] = errors.get(error, 0) + 1
    vm.wait_status(lambda s: s["synced"] == s["records"])
    tap.ok(errors.get(5) == 1 and errors[0] == 1024 if 5 in errors else errors[0] <= 1024,
           "1,024 extends are queued, one more is busy", errors)
    records = vm.status()["records"]
    tap.is_equal(records, count + errors[0], "every extend that was taken is in the log")
    log, _ = vm.log()
    values = vm.quote(SHA384, NONCE)[2]
    tap.ok([v[1] for v in replay(log, records)[0]] == values, "which replays to the quote")


def main():
    tap = Tap()
    missing = paths.missing("swtpm", "tpm2_checkquote", paths.HW_ATTEST)
    if missing:
        tap.skip_all(f"{missing} is missing")
    service = Service(paths.HW_ATTEST)
    with tap:
        vm = service.attach()
        check_quotes(tap, vm, service.folder)
        check_hold(tap, vm)
        check_hold_ends(tap, vm)
        check_full_queue(tap, vm)
        tap.ok(vm.close(), "nothing is left in the run folder")
        tap.is_equal(service.killed(), [], "no device was killed by its sandbox")
    if tap.failed:
        tap.note(service.stderr())
    service.close()
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
