#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""test-segments.py: evidence of a VM whose log was cut many times.

It stays small, healthy and one chain of reports; its boot items are those of the boot's start; and
what was found once is never forgotten.
"""
import hashlib
import json
import os
import struct
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from collector_case import Ask, Host, ITEMS, attach, missing, wait_for  # noqa: E402
from collector_client import Evidence, decode, replay_module  # noqa: E402
from device_client import EXTEND, call  # noqa: E402
from tap import Tap  # noqa: E402

CEL = replay_module()
OPTIONS = ["--log-segment-records", "60", "--log-segment-interval-ms", "1"]
HEALTHY, COMPROMISED = 0, 4
REGISTERS, MR_TASKS = 24, 19
SIZE_MAXIMUM = 200 * 1024


def fill(vm, count):
    for i in range(count):
        text = b"measurement %d" % i
        vm.guest_extend(i % 16, hashlib.sha256(text).digest(), hashlib.sha384(text).digest(), text)
    vm.wait_status(lambda s: s["synced"] == s["records"])


def segment(log):
    return CEL.take_checkpoint(log)["segment"] if log[:1] == bytes([CEL.CHECKPOINT]) else 0


def judge(host, reference, policy, *more):
    """(the evidence's path, itself, the verifier's result)"""
    path, nonce = host.attest("fake")
    with open(path, "rb") as file:
        evidence = Evidence(file.read())
    return path, evidence, host.verify(path, nonce, reference, "--policy", policy, *more)


def is_explained(evidence):
    """The log gives the quoted values, with nothing of Monatt."""
    quote = evidence.quote("device-quote")
    sizes = struct.unpack(">HHH", quote[10:16])
    values = quote[16 + sizes[0] + sizes[1]:]
    done, replayed = CEL.replay(evidence.log)
    return (done, b"".join(replayed["sha256"])) == (evidence.claims["log"]["records"], values)


def check_long_run(tap, host, vm, reference, policy):
    """Nine reports, with a cut or two between them."""
    seen, sizes, chain, good, explained = [], [], [], 0, 0
    for _ in range(9):
        fill(vm, 70)
        path, evidence, result = judge(host, reference, policy)
        seen.append(segment(evidence.log))
        sizes.append(os.path.getsize(path))
        chain.append(evidence)
        good += result.status == HEALTHY
        explained += is_explained(evidence)
        if result.status != HEALTHY:
            tap.note(result.text)
    tap.is_equal((good, explained), (9, 9), "nine reports over many segments: healthy, explained")
    tap.ok(seen == sorted(seen) and seen[-1] >= 5, "the log was cut at least five times", seen)
    tap.ok(max(sizes) < SIZE_MAXIMUM and max(sizes[4:]) < 2 * max(sizes[:4]),
           "evidence stays as small as it was", sizes)
    tap.ok(all(decode(later.claims["prev"]) == earlier.q3 and
               later.claims["n"] == earlier.claims["n"] + 1 for earlier, later in
               zip(chain, chain[1:])), "their reports are one chain")
    last = chain[-1]
    boot = [e for e in CEL.take_checkpoint(last.log)["retained"] if e["pcr"] == 20]
    tap.is_equal([e["content"][72:] for e in boot], [i[4:] for i in ITEMS],
                 "the boot items of the start stand in the last checkpoint")
    shown = host.monatt("evidence", "show", path).text
    first = CEL.take_checkpoint(last.log)["records"]
    tap.contains(shown, f"segment {seen[-1]}, records {first} to "
                 f"{last.claims['log']['records'] - 1}", "evidence show says which part it holds")
    return seen[-1]


def finding(vm, sequence):
    """What the collector writes of a hidden process (docs/formats/records.md, 0x1902)."""
    def text(value):
        return struct.pack(">H", len(value)) + value.encode()
    payload = (struct.pack(">HQIIIQIII", 1, 0xffff888003a40000, 4242, 4242, 0, 2 * 10**9, 16, 6, 3) +
               text("evil-daemon") + text("unlinked"))
    return (b"MTE1" + struct.pack(">HHI", 0x1902, 1, 72 + len(payload)) + vm.vid.bytes +
            struct.pack(">QQQQIII", vm.status()["boot_count"], sequence, 1, 2, 0, 1000000, 4) +
            payload)


def check_finding(tap, host, vm, reference, policy):
    """A finding of one segment, and a collector that knows the boot from the log alone."""
    host.collector.kill()
    host.collector.wait()
    log, _ = vm.log()
    checkpoint = CEL.take_checkpoint(log)
    sequence = checkpoint["extends"][MR_TASKS] + sum(e["pcr"] == MR_TASKS for e in CEL.entries(log))
    call(vm.control, EXTEND, bytes([MR_TASKS]) + finding(vm, sequence))
    host.start_collector()
    ask = Ask(host.run)
    wait_for(lambda: any(row["name"] == "fake" for row in ask.get("/v1/vms").json()["vms"]),
             "collector finds the VM again")
    _, evidence, result = judge(host, reference, policy)
    found = segment(evidence.log)
    tap.ok(result.status == COMPROMISED and "process 4242 (evil-daemon)" in result.text,
           "a finding: compromised, named", result)
    statuses, words = [], []
    for _ in range(4):
        fill(vm, 70)
        _, evidence, result = judge(host, reference, policy)
        statuses.append(result.status)
        words.append("process 4242 (evil-daemon) was hidden earlier in this boot" in result.text)
    tap.ok(segment(evidence.log) >= found + 3, "three segments later", segment(evidence.log))
    tap.is_equal((statuses, words), ([COMPROMISED] * 4, [True] * 4),
                 "it is still compromised, and says by what")
    kept = [e for e in CEL.take_checkpoint(evidence.log)["retained"] if e["pcr"] == MR_TASKS]
    tap.is_equal(len(kept), 1, "the finding stands in the checkpoint")


def check_reset(tap, host, vm, reference, policy):
    boots = vm.status()["boot_count"]
    vm.reset()
    vm.wait_status(lambda s: s["boot_count"] == boots + 1 and not s["pending"])
    _, evidence, result = judge(host, reference, policy)
    tap.ok(result.status == HEALTHY and segment(evidence.log) == 0 and evidence.claims["n"] == 1,
           "after a reset: a new log, a new chain, healthy", result)


def check_cut_between(tap, host, vm, ask):
    """The log is cut with every few records: often between a measurement and its quote."""
    statuses = []
    for _ in range(10):
        for i in range(3):
            vm.guest_extend(i, hashlib.sha256(b"x").digest(), None)
        statuses.append(ask.attest("fake").status)
    tap.ok(set(statuses) <= {200, 503} and statuses.count(200) >= 5,
           "cut while it is measured: evidence, or busy", statuses)


def main():
    tap = Tap()
    lacking = missing()
    if lacking:
        tap.skip_all(f"{lacking} is missing")
    with tap, Host(collector=True, options=OPTIONS) as host:
        vm = attach(host)
        reference = host.learn("fake")
        policy = f"{host.folder}/policy.json"
        with open(policy, "w", encoding="ascii") as file:
            json.dump({"profile": "tag:github.com,2026:monatt/policy#1",
                       "required": ["startup-integrity"]}, file)
        check_long_run(tap, host, vm, reference, policy)
        check_finding(tap, host, vm, reference, policy)
        check_reset(tap, host, vm, reference, policy)
        tap.ok(vm.close(), "the VM ends")
    with tap, Host(collector=True, options=["--log-segment-records", "30",
                                            "--log-segment-interval-ms", "1"]) as host:
        vm = attach(host)
        check_cut_between(tap, host, vm, Ask(host.run))
        tap.ok(vm.close(), "the VM ends")
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
