#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""test-askers.py: no asker, no VM and no device that hangs holds up the others."""
import os
import signal
import socket
import sys
import threading
import uuid

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from collector_case import Ask, Host, attach, missing, wait_for  # noqa: E402
import device_client  # noqa: E402
from collector_client import Evidence, decode, encode  # noqa: E402
from tap import Tap  # noqa: E402

ASKERS = 6
ROUNDS = 5
IDLE = 40  # connections that say nothing, of http.h's 64


def together(work, count=ASKERS):
    """The answers of so many threads that begin at once."""
    answers, gate = [], threading.Barrier(count)

    def run():
        gate.wait()
        answers.append(work())

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def check_one_nonce(tap, ask):
    """A nonce gives one evidence, also to askers that come at once."""
    for number in range(ROUNDS):
        nonce = os.urandom(32)
        answers = together(lambda: ask.attest("fast", nonce))
        good = [a for a in answers if a.status == 200]
        bad = [a for a in answers if a.status != 200]
        tap.is_equal(len(good), 1, f"round {number}: one nonce, {ASKERS} askers, one evidence")
        tap.ok(all(a.status == 409 and a.error["code"] == "usage" for a in bad),
               f"round {number}: the others hear that it was used", bad)
    last = Evidence(ask.attest("fast").body)
    before = Evidence(ask.get(f"/v1/vms/fast/reports/{last.claims['n'] - 1}").body)
    tap.is_equal(decode(last.claims["prev"]), before.q3, "and the chain has no gap")
    tap.is_equal(len(last.host_records(22)), last.claims["n"],
                 "nor has MR22 a record of a report that was never given")


class HungDevice:
    """A control.sock that says what it is, and then nothing more."""

    def __init__(self, host, like, name):
        self.vid = uuid.uuid4()
        answer, _ = device_client.call(like.control, device_client.STATUS)
        rest = answer[18 + int.from_bytes(answer[16:18], "big"):]
        self.status = self.vid.bytes + device_client.text(name) + rest
        self.folder = f"{host.run}/vm/{self.vid}"
        os.mkdir(self.folder, 0o700)
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.listener.bind(f"{self.folder}/control.sock")
        self.listener.listen(8)
        self.open, self.told, self.unheard = [], False, 0
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            self.open.append(sock)
            threading.Thread(target=self.answer, args=[sock], daemon=True).start()

    def answer(self, sock):
        try:
            while True:
                kind, number, _, _ = device_client.receive(sock)
                if kind == device_client.SUBSCRIBE:
                    device_client.send(sock, kind | 0x8000, number)
                elif kind == device_client.STATUS and not self.told:
                    self.told = True
                    device_client.send(sock, kind | 0x8000, number, self.status)
                else:
                    self.unheard += 1
        except (EOFError, OSError):
            pass

    def close(self):
        self.listener.close()
        for sock in self.open:
            sock.shutdown(socket.SHUT_RDWR)
            sock.close()
        os.unlink(f"{self.folder}/control.sock")
        os.rmdir(self.folder)


def check_hung_device(tap, host, ask, like):
    """A device that says nothing: its askers are told so, the other VM's do not notice."""
    hung = HungDevice(host, like, "hung")
    answers = []
    wait_for(lambda: hung.unheard > 0, "the device is asked and stays silent")
    waiting = threading.Thread(target=lambda: answers.append(ask.attest("hung")))
    waiting.start()
    others = together(lambda: ask.attest("fast"))
    tap.is_equal([a.status for a in others], [200] * ASKERS, "the other VM is attested")
    rows = {row["name"] for row in ask.get("/v1/vms").json()["vms"]}
    tap.is_equal(rows, {"fast", "hung"}, "both are listed")
    tap.is_equal(ask.get("/v1/capabilities").status, 200, "and the daemon answers")
    tap.ok(waiting.is_alive(), "all of it while one still waits for the hung one")
    waiting.join()
    tap.ok(answers[0].status in (500, 503) and answers[0].error["message"],
           "the hung VM's asker gets a reason, no evidence", answers[0])
    hung.close()
    wait_for(lambda: len(ask.get("/v1/vms").json()["vms"]) == 1, "it leaves the list at its end")


def check_hung_tpm(tap, host, ask):
    """A host TPM that hangs: no evidence; the question may be asked again when it goes on."""
    reference = host.learn("fast")
    before = Evidence(ask.attest("fast").body)
    nonce = os.urandom(32)
    os.kill(host.tpm.pid, signal.SIGSTOP)
    try:
        answer = ask.attest("fast", nonce)
    finally:
        os.kill(host.tpm.pid, signal.SIGCONT)
    tap.ok(answer.status == 503 and answer.error["hint"], "host TPM hangs: 503, a hint", answer)
    listed = ask.get("/v1/vms/fast/reports").json()["reports"]
    tap.is_equal(listed[-1]["number"], before.claims["n"], "nothing was stored of it")
    answer = ask.attest("fast", nonce)
    tap.is_equal(answer.status, 200, "it goes on: the same question is answered")
    after = Evidence(answer.body)
    tap.is_equal((after.claims["n"], decode(after.claims["prev"])),
                 (before.claims["n"] + 1, before.q3), "by the report that follows the last one")
    tap.is_equal(after.host_records(22)[-1][1][:64], before.q3 + nonce, "MR22 says the same")
    path = f"{host.folder}/after.cmw"
    with open(path, "wb") as file:
        file.write(answer.body)
    done = host.verify(path, nonce.hex(), reference)
    tap.ok(done.status not in (1, 2, 3), "and the verifier believes it",
           done)


def check_idle(tap, ask):
    """Connections that say nothing, or half a request, hold up nobody."""
    idle = []
    try:
        for number in range(IDLE):
            sock = socket.socket(socket.AF_UNIX)
            sock.connect(ask.path)
            sock.sendall(b"POST /v1/vms/fast/attest HTTP/1.1\r\nHost: x\r\n"
                         b"Content-Length: 60000\r\n\r\n{"[:number * 2])
            idle.append(sock)
        tap.is_equal(ask.attest("fast").status, 200, f"{IDLE} idle connections: still attests")
    finally:
        for sock in idle:
            sock.close()
    tap.is_equal(ask.attest("fast").status, 200, "and after their end")


def check_impatient(tap, ask):
    """Askers that go away before the answer: their evidence is stored, the chain goes on."""
    first = Evidence(ask.attest("fast").body)
    for _ in range(ASKERS):
        body = '{"nonce":"%s"}' % encode(os.urandom(32))
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(ask.path)
            sock.sendall(("POST /v1/vms/fast/attest HTTP/1.1\r\nHost: x\r\n"
                          f"Content-Length: {len(body)}\r\n\r\n{body}").encode())
    last = []
    wait_for(lambda: last.append(Evidence(ask.attest("fast").body)) or
             last[-1].claims["n"] > first.claims["n"] + ASKERS, "their questions were worked off")
    number, chained = last[-1].claims["n"], True
    for n in range(first.claims["n"], number):
        one, two = (Evidence(ask.get(f"/v1/vms/fast/reports/{i}").body) for i in (n, n + 1))
        chained = chained and decode(two.claims["prev"]) == one.q3
    tap.ok(chained, "askers that left: each report is there, in one chain")


def main():
    tap = Tap()
    lacking = missing()
    if lacking:
        tap.skip_all(f"{lacking} is missing")
    with tap, Host(collector=True) as host:
        ask = Ask(host.run)
        vm = attach(host, name="fast")
        check_one_nonce(tap, ask)
        check_idle(tap, ask)
        check_impatient(tap, ask)
        check_hung_device(tap, host, ask, vm)
        check_hung_tpm(tap, host, ask)
        tap.ok(vm.close(), "the VM ends")
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
