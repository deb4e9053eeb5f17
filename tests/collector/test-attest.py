#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""test-attest.py: what stands in evidence, what is refused, and how two askers get on."""
import hashlib
import json
import os
import shutil
import socket
import stat
import struct
import sys
import threading
import uuid

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from collector_case import Ask, Host, ITEMS, attach, missing  # noqa: E402
from collector_client import Evidence, decode, encode, replay_module  # noqa: E402
from tap import Tap  # noqa: E402

MR_PLUGIN, MR_TASKS, MR_BOOT, MR_REPORTS = 17, 19, 20, 22


def split_quote(packed):
    """(bank, selection, TPMS_ATTEST, TPMT_SIGNATURE, values)"""
    assert packed[:4] == b"MTQ1", packed
    bank, selection, *sizes = struct.unpack(">HIHHH", packed[4:16])
    parts, at = [], 16
    for size in sizes:
        parts.append(packed[at:at + size])
        at += size
    assert at == len(packed), (at, len(packed))
    return (bank, selection, *parts)


def check_parts(tap, evidence, nonce, vm):
    claims = evidence.claims
    tap.is_equal(claims["eat_nonce"], encode(nonce), "the claims answer this nonce")
    tap.is_equal(decode(claims["vid"]), vm.vid.bytes, "and are about this VM")
    status = vm.status()
    tap.is_equal((decode(claims["bootseed"]), claims["bootcount"]),
                 (status["seed"], status["boot_count"]), "and this boot")
    tap.is_equal((claims["log"]["bytes"], decode(claims["log"]["digest"])),
                 (len(evidence.log), hashlib.sha256(evidence.log).digest()),
                 "the event log is the one in the claims")
    values = {}
    for name, registers in (("device-quote", 24), ("host-quote", 15)):
        bank, selection, attest, _, values[name] = split_quote(evidence.quote(name))
        tap.ok(evidence.q3 in attest, f"{name}: qualified by H(claims)")
        tap.is_equal((bank, selection), (11, (1 << registers) - 1), f"{name}: its registers")
        tap.ok(attest.endswith(hashlib.sha256(values[name]).digest()),
               f"{name}: its digest is that of the values beside it")
    module = replay_module()
    registers = [bytes(32) if not 17 <= i <= 22 else b"\xff" * 32 for i in range(24)]
    for entry in module.entries(evidence.log):
        if "sha256" in entry["digests"]:
            registers[entry["pcr"]] = hashlib.sha256(
                registers[entry["pcr"]] + entry["digests"]["sha256"]).digest()
    tap.is_equal(b"".join(registers), values["device-quote"], "the log replays to the quoted values")


def check_records(tap, evidence, nonce, number, previous):
    boot = evidence.host_records(MR_BOOT)
    tap.is_equal([payload for _, payload, _ in boot], [i[4:] for i in ITEMS],
                 "MR20 holds the launcher's items once, in their order")
    tap.is_equal([fields[5] for *_, fields in boot], list(range(len(ITEMS))),
                 "their sequence numbers count from 0")
    reports = evidence.host_records(MR_REPORTS)
    tap.is_equal(len(reports), number, "MR22 holds a record for each report")
    payload = reports[-1][1]
    tap.is_equal(payload[:64], previous + nonce, "the last one: earlier report and nonce")
    tap.is_equal(evidence.claims["n"], number, f"it is report {number}")
    tap.is_equal(decode(evidence.claims["prev"]), previous, "prev is H of the earlier claims")
    kinds = {m["kind"]: m for m in evidence.claims["m"]}
    tap.is_equal(sorted(kinds), ["boot", "plugin", "tasks"], "three kinds of measurement")
    summary = evidence.introspection(0x1901)[-1]
    reason = struct.unpack(">I", summary[26:30])[0]
    tap.is_equal(reason, 2, "no guest memory: the tasks' summary says so instead of 'healthy'")
    said = [struct.unpack(">HI", payload[:6]) for payload in evidence.introspection(0x1908)]
    wanted = [(check, 2) for check in range(2, 21)]
    tap.is_equal(said, wanted * number, "and so does the summary of each check, in every report")


def check_errors(tap, ask, host, vm):
    nonce = os.urandom(32)
    tap.is_equal(ask.attest("fake", nonce).status, 200, "a nonce is good once")
    answer = ask.attest("fake", nonce)
    tap.is_equal((answer.status, answer.error["code"]), (409, "usage"), "and refused twice")
    question = {"nonce": encode(os.urandom(32))}
    for body, status, what in (
            ("", 400, "no body"), ("{", 400, "half of a body"), ("[]", 400, "a list"),
            ('{"nonce":1}', 400, "a number for nonce"), ('{"nonce":"AA"}', 400, "a short nonce"),
            (json.dumps({"nonce": encode(os.urandom(33))}), 400, "a long nonce"),
            ('{"nonce":"%s="}' % encode(os.urandom(32)), 400, "base64 with padding"),
            (json.dumps({**question, "more": 1}), 400, "an unknown member"),
            ('{"nonce":"%s","nonce":"%s"}' % (encode(bytes(32)), encode(bytes(32))), 400,
             "a member twice"),
            (json.dumps({**question, "properties": []}), 400, "no property"),
            (json.dumps({**question, "properties": ["nice"]}), 400, "an unknown property"),
            (json.dumps({**question, "properties": ["runtime-integrity"] * 17}), 400,
             "too many properties"),
            ("[" * 60000, 400, "a deep nest"), ("x" * 70000, 413, "an oversized body")):
        answer = ask.call("POST", "/v1/vms/fake/attest", body)
        tap.ok(answer.status == status and answer.error["message"],
               f"{what}: {status} with a reason", answer)
    for method, path, status in (
            ("GET", "/", 404), ("GET", "/v1/vms/nobody", 404), ("GET", "/v1/vms//", 404),
            ("GET", "/v1/vms/../vms", 404), ("GET", "/v1/vms/fake/reports/0", 400),
            ("GET", "/v1/vms/fake/reports/x", 400), ("GET", "/v1/vms/fake/reports/999", 404),
            ("DELETE", "/v1/vms", 405), ("GET", "/v1/vms/fake/attest", 405),
            ("GET", "/v1/session", 400), ("GET", "/v1/session?nonce=AA", 400),
            ("GET", "/v1/vms/" + "a" * 4000, 404), ("GET", "/v1/vms/a%00b", 404)):
        answer = ask.call(method, path)
        tap.ok(answer.status == status and answer.error["code"], f"{method} {path[:40]}: {status}",
               answer)
    for body in ("", "{}", '{"chain":[],"opening":"%s"}' % encode(bytes(32)),
                 '{"chain":["x"],"opening":"%s"}' % encode(bytes(32))):
        tap.is_equal(ask.call("PUT", "/v1/session", body).status, 400,
                     f"PUT /v1/session {body[:12]!r} is refused")
    root = open(host.anchor, encoding="ascii").read()
    answer = ask.call("PUT", "/v1/session",
                      json.dumps({"chain": [root], "opening": encode(bytes(32))}))
    tap.is_equal(answer.status, 400, "a certificate for other keys is refused")
    with socket.socket(socket.AF_UNIX) as raw:
        raw.settimeout(60)
        raw.connect(ask.path)
        raw.sendall(b"POST /v1/vms/fake/attest HTTP/1.1\r\nHost: x\r\n"
                    b"Transfer-Encoding: chunked\r\n\r\nzz\r\n\r\n")
        tap.ok(b" 200 " not in raw.recv(4096), "garbage in chunks is no question")
    tap.is_equal(ask.attest("fake").status, 200, "after all of this it still attests")
    mode = stat.S_IMODE(os.stat(ask.path).st_mode)
    tap.is_equal(mode & 0o007, 0, "the socket is not for everybody")


def check_lists(tap, ask, vm):
    rows = ask.get("/v1/vms").json()["vms"]
    tap.is_equal([(r["name"], r["vid"], r["state"], r["fault"]) for r in rows],
                 [("fake", str(vm.vid), "running", "none")], "GET /v1/vms")
    row = ask.get(f"/v1/vms/{vm.vid}").json()
    tap.is_equal([r["sha-256"] for r in row["registers"]], [v[0].hex() for v in vm.registers()],
                 "GET /v1/vms/UUID: the registers are the device's")
    capabilities = ask.get("/v1/capabilities").json()
    tap.is_equal((capabilities["host_id"], capabilities["session"]["state"]),
                 ("test-host", "certified"), "GET /v1/capabilities")


def check_two(tap, ask):
    """Two askers at once: both get evidence of their own, in one chain."""
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(ask.attest("fake")))
               for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    tap.is_equal([a.status for a in answers], [200] * 4, "four askers at once are all answered")
    found = sorted((Evidence(a.body) for a in answers), key=lambda e: e.claims["n"])
    tap.ok(all(decode(later.claims["prev"]) == earlier.q3 and
               later.claims["n"] == earlier.claims["n"] + 1
               for earlier, later in zip(found, found[1:])), "and their reports are one chain")


def check_properties(tap, ask):
    evidence = Evidence(ask.attest("fake", properties=["startup-integrity"]).body)
    tap.is_equal(([m["kind"] for m in evidence.claims["m"]], evidence.claims["rm"]), (["boot"], 1),
                 "only what was asked for is measured")


def check_guest(tap, ask, vm):
    """A guest that writes what looks like ours changes nothing but its own registers."""
    forged = b"MTE1" + struct.pack(">HHI", 0x1902, 1, 72) + bytes(60)
    vm.guest_extend(3, hashlib.sha256(forged).digest(), hashlib.sha384(forged).digest(), forged)
    evidence = Evidence(ask.attest("fake").body)
    tap.is_equal([(pcr, kind) for pcr, kind, content in evidence.records() if content == forged],
                 [(3, 0xd2)], "a guest's record is logged as a guest's")
    tap.ok(len(evidence.host_records(MR_TASKS)) > 0 and not evidence.host_records(3),
           "and is none of ours")


def check_sandbox(tap, host):
    """The daemon that answers has given up what sandbox.c says."""
    with open(f"/proc/{host.collector.pid}/status", encoding="ascii", errors="replace") as file:
        status = {name: value.strip() for name, _, value in (line.partition(":") for line in file)}
    tap.is_equal((status["NoNewPrivs"], status["Seccomp"]), ("1", "2"),
                 "the daemon has no new privileges and a seccomp filter")
    kept = sum(1 << number for number in (1, 5, 6, 7, 18, 21))  # capability.h, sandbox.c
    for name in ("CapPrm", "CapEff", "CapInh"):
        tap.is_equal(int(status[name], 16) & ~kept, 0, f"{name}: no capability but those needed")
    with open(f"/proc/{host.collector.pid}/limits", encoding="ascii") as file:
        core = [line.split()[4:6] for line in file if line.startswith("Max core file size")]
    tap.is_equal(core, [["0", "0"]], "and writes no core file")


def check_reset(tap, ask, vm):
    before = Evidence(ask.attest("fake").body)
    vm.reset()
    nonce = os.urandom(32)
    answer = ask.attest("fake", nonce)
    while answer.status == 503:  # the reset is not over
        answer = ask.attest("fake", nonce)
    after = Evidence(answer.body)
    tap.ok(after.claims["bootseed"] != before.claims["bootseed"], "a reset: another boot id")
    check_records(tap, after, nonce, 1, bytes(32))


def check_copied_folder(tap, host, ask, vm):
    """The VM has ended; its state folder is given to another uuid, device TPM and all."""
    copy = uuid.uuid4()
    shutil.copytree(vm.state, f"{host.state}/vm/{copy}")
    other = attach(host, name="copy", vid=copy)
    answer = ask.attest("copy")
    tap.ok(answer.status == 500 and str(vm.vid) in answer.error["message"],
           "a VM with another VM's device key gets no evidence, and the owner is named", answer)
    tap.ok(other.close(), "the copy ends")
    again = attach(host, name="again", vid=vm.vid)
    tap.is_equal(ask.attest("again").status, 200, "the first VM still has its key")
    again.close()
    shutil.rmtree(other.state)
    other = attach(host, name="copy", vid=copy)
    tap.is_equal(ask.attest("copy").status, 200, "without the copied folder it has its own")
    other.close()


def main():
    tap = Tap()
    lacking = missing()
    if lacking:
        tap.skip_all(f"{lacking} is missing")
    with tap, Host(collector=True) as host:
        ask = Ask(host.run)
        vm = attach(host)
        nonces = [os.urandom(32), os.urandom(32)]
        first = Evidence(ask.attest("fake", nonces[0]).body)
        check_parts(tap, first, nonces[0], vm)
        check_records(tap, first, nonces[0], 1, bytes(32))
        second = Evidence(ask.attest("fake", nonces[1]).body)
        check_records(tap, second, nonces[1], 2, first.q3)
        check_lists(tap, ask, vm)
        check_errors(tap, ask, host, vm)
        check_two(tap, ask)
        check_properties(tap, ask)
        check_guest(tap, ask, vm)
        check_sandbox(tap, host)
        check_reset(tap, ask, vm)
        tap.ok(vm.close(), "the VM ends")
        check_copied_folder(tap, host, ask, vm)
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
