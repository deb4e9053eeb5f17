#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""test-guest-report.py: a guest asks its device for evidence and gets what a customer would get.

The test is the guest (through the wire) and QEMU; device, collector and verifier are the real ones.
"""
import contextlib
import hashlib
import os
import signal
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from collector_case import Ask, Host, attach, missing, paths, wait_for  # noqa: E402
from collector_client import Evidence, decode  # noqa: E402
from device_client import BAR0, Refused, call  # noqa: E402
from tap import Tap  # noqa: E402

REG_COMMAND, REG_ERROR, REG_SIZE, REG_DATA = 0x10, 0x14, 0x1C, 0x400
REPORT_STATE, REPORT_SIZE, REPORT_OFFSET = 0x84, 0x88, 0x8C
BEGIN, READ = 0x20, 0x21
NONE, WAITING, READY, GIVEN_UP = range(4)
TIME, NOBODY, SESSION, USED = 1, 2, 3, 4
ERR_SIZE, ERR_BUSY, ERR_SEQUENCE = 4, 5, 7
QUESTION = 18
PATIENCE_S = 90   # a question is refused after a minute
UNKNOWN, NOT_BELIEVED = 6, 3


class Guest:
    """The report's registers of one VM."""

    def __init__(self, vm):
        self.vm = vm

    def read(self, offset):
        return self.vm.read(BAR0 + offset)

    def write(self, offset, value):
        self.vm.write(BAR0 + offset, value)

    def command(self, command):
        self.write(REG_COMMAND, command)
        return self.read(REG_ERROR)

    def begin(self, inblob):
        for i in range(0, len(inblob), 4):
            self.write(REG_DATA + i, int.from_bytes(inblob[i:i + 4].ljust(4, b"\0"), "little"))
        self.write(REG_SIZE, len(inblob))
        return self.command(BEGIN)

    def ask(self, inblob):
        """As above, but patient while the device says that it was asked too often."""
        wait_for(lambda: self.begin(inblob) != ERR_BUSY, "the device takes a question", PATIENCE_S)
        return self.read(REG_ERROR)

    def state(self):
        return self.read(REPORT_STATE)

    def outcome(self):
        """(state, size or reason) once the question does not wait any more."""
        wait_for(lambda: self.state() != WAITING, "the report", PATIENCE_S)
        return self.state(), self.read(REPORT_SIZE)

    def fetch(self):
        data, size = b"", self.read(REPORT_SIZE)
        while len(data) < size:
            self.write(REPORT_OFFSET, len(data))
            assert self.command(READ) == 0, self.read(REG_ERROR)
            part = self.read(REG_SIZE)
            assert 0 < part <= 1024, part
            data += b"".join(self.vm.read(BAR0 + REG_DATA + i, 8).to_bytes(8, "little")
                             for i in range(0, (part + 7) & ~7, 8))[:part]
        return data


@contextlib.contextmanager
def stopped(pid):
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def check_report(tap, host, vm, guest):
    tap.is_equal((guest.state(), guest.command(READ)), (NONE, ERR_SEQUENCE), "no report at first")
    tap.is_equal((guest.begin(b""), guest.begin(bytes(65))), (ERR_SIZE, ERR_SIZE),
                 "an inblob has 1 to 64 bytes")
    inblob = os.urandom(64)
    tap.is_equal(guest.begin(inblob), 0, "a question is taken")
    tap.is_equal(guest.outcome()[0], READY, "and answered")
    data = guest.fetch()
    evidence = Evidence(data)
    nonce = hashlib.sha256(b"monatt guest report 1" + inblob).digest()
    tap.is_equal(decode(evidence.claims["eat_nonce"]), nonce, "its nonce is made of the inblob")
    tap.is_equal(decode(evidence.claims["vid"]), vm.vid.bytes, "it is about this VM")
    stored = Ask(host.run).get(f"/v1/vms/fake/reports/{evidence.claims['n']}")
    tap.ok(stored.status == 200 and stored.body == data, "it is the collector's own, byte for byte",
           stored.status)
    path, asked, other = (f"{host.folder}/{name}" for name in ("guest.jws", "inblob", "other"))
    for name, content in ((path, data), (asked, inblob), (other, os.urandom(64))):
        with open(name, "wb") as file:
            file.write(content)
    reference = host.learn("fake")
    words = ("evidence", "verify", path, "--anchor", host.anchor, "--reference", reference)
    good = host.monatt(*words, "--inblob", asked, check=False)
    ordinary = host.verify(*host.attest("fake"), reference)
    tap.is_equal((good.status, ordinary.status), (UNKNOWN, UNKNOWN),
                 "the verifier judges it as an ordinary one (here: no guest memory)")
    bad = host.monatt(*words, "--inblob", other, check=False)
    tap.ok(bad.status == NOT_BELIEVED and b"nonce" in bad.err, "and refuses it for another inblob",
           bad)
    bad = host.monatt(*words, "--nonce", inblob[:32].hex(), check=False)
    tap.ok(bad.status == NOT_BELIEVED and b"nonce" in bad.err, "or for the inblob as a nonce", bad)
    guest.write(REPORT_OFFSET, len(data))
    tap.is_equal((guest.command(READ), guest.read(REG_SIZE)), (0, 0), "nothing is behind its end")
    guest.write(REPORT_OFFSET, 0xFFFFFFFF)
    tap.is_equal((guest.command(READ), guest.read(REG_SIZE)), (0, 0), "nor far behind it")
    return inblob


def check_limits(tap, host, guest, old):
    results = [guest.begin(os.urandom(8)) for _ in range(50)]
    tap.ok(results.count(0) <= 1 and set(results) <= {0, ERR_BUSY},
           "a guest that asks in a loop is busy", results)
    guest.outcome()
    tap.is_equal(guest.ask(old), 0, "the same question again is taken")
    tap.is_equal(guest.outcome(), (GIVEN_UP, USED), "and refused: evidence must be fresh")
    tap.is_equal(guest.command(READ), ERR_SEQUENCE, "a refused report has no bytes")
    guest.ask(b"dropped by a reset")
    guest.outcome()
    before = guest.vm.status()["boot_count"]
    guest.vm.reset()
    guest.vm.wait_status(lambda status: status["boot_count"] > before and not status["pending"])
    tap.is_equal((guest.state(), guest.read(REPORT_SIZE)), (NONE, 0), "a VM reset drops the report")


def check_others(tap, host, guest):
    """A VM whose TPM hangs holds up nobody else's guest."""
    with contextlib.closing(attach(host, name="other")) as vm:
        other = Guest(vm)
        with stopped(guest.vm.swtpm()):
            guest.ask(b"with a TPM that stands")
            tap.is_equal(other.ask(b"another VM"), 0, "another VM's guest asks meanwhile")
            tap.is_equal((other.outcome()[0], guest.state()), (READY, WAITING),
                         "and is answered, while the first one waits")
        tap.ok(guest.outcome()[0] in (READY, GIVEN_UP), "which ends too", guest.state())


def check_dead_collectors(tap, host, guest):
    with stopped(host.collector.pid):
        guest.ask(b"a collector that hangs")
        start = time.monotonic()
        tap.is_equal(guest.outcome(), (GIVEN_UP, TIME), "a collector that hangs: refused in the end")
        tap.note(f"after {time.monotonic() - start:.0f} s")
    os.kill(host.collector.pid, signal.SIGSTOP)
    guest.ask(b"a collector that dies")
    tap.is_equal(guest.state(), WAITING, "a collector that dies while its answer is waited for")
    host.collector.kill()
    host.collector.wait()
    tap.is_equal(guest.outcome(), (GIVEN_UP, NOBODY), "refused at once")
    guest.ask(b"no collector at all")
    tap.is_equal(guest.outcome(), (GIVEN_UP, NOBODY), "a host without a collector: refused")
    with contextlib.closing(guest.vm.connect()) as control:
        error = tap.raises(Refused, "it cannot be answered any more", call, control, QUESTION)
        tap.contains(str(error), "no question waits", "and the device says why")


def check_no_session(tap, host, guest):
    collector = host.start([paths.COLLECTORD, "--run-dir", host.run, "--state-dir", host.state,
                            "--host-id", "test-host", "--host-tpm",
                            f"swtpm:path={host.folder}/tpm.sock", "--worker", paths.WORKER],
                           host.log("collector"))
    wait_for(host.collector_answers, "collector", alive=collector)
    wait_for(lambda: Ask(host.run).get("/v1/vms").json()["vms"], "collector finds the VM")
    guest.ask(b"a collector without a session")
    tap.is_equal(guest.outcome(), (GIVEN_UP, SESSION), "a collector without a session: refused")


def main():
    tap = Tap()
    lacking = missing()
    if lacking:
        tap.skip_all(f"{lacking} is missing")
    with tap, Host(collector=True) as host:
        vm = attach(host)
        guest = Guest(vm)
        old = check_report(tap, host, vm, guest)
        check_limits(tap, host, guest, old)
        check_others(tap, host, guest)
        check_dead_collectors(tap, host, guest)
        check_no_session(tap, host, guest)
        vm.close()
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
