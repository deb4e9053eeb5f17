#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""test-verify.py: evidence that is believed, refused, and judged; each with its exit code.

Offline: tests/lib/fake-host makes evidence that is right but for the one thing in question.
"""
import hashlib
import json
import os
import re
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
from fake import (COMPROMISED, DEGRADED, DONE, FAILED, FAKE_HOST, REFUSED, UNKNOWN, USAGE,  # noqa: E402
                  Fake, monatt, run)
import paths  # noqa: E402
from tap import Tap  # noqa: E402

FLIP_BITS = paths.build("tests", "cli", "flip-bits")
SAMPLES, SEED = 2500, 20260101
HOSTILE = "<script>alert(1)</script>&\x1b[31mroot\n"

# What fake-host breaks -> a word that the refusal must have.
BROKEN = {
    "device-qualifying": "device quote", "host-qualifying": "host quote",
    "device-magic": "magic", "host-magic": "magic",
    "device-type": "device quote", "host-type": "host quote",
    "device-selection": "device quote", "host-selection": "host quote",
    "device-value": "device quote", "host-value": "host quote",
    "device-more-values": "device quote",
    "device-signer": "signature", "host-signer": "signature",
    "device-unrestricted": "restricted", "host-unrestricted": "session key",
    "device-boot": "boot 2", "jws-signer": "signature",
    "chain-stranger": "session certificate", "chain-cut": "session certificate",
    "opening": "another host",
    "log-cut": "MR22", "log-vm": "another VM", "log-boot": "another boot",
    "log-digest": "digest", "log-guest": "register of the host", "log-hidden-record": "MR10",
    "report-missing": "no report record", "report-nonce": "another nonce",
    "report-number": "number 2", "report-previous": "earlier reports",
    "measurement-digest": "measurement 'tasks'", "measurement-range": "measurement 'tasks'",
    "claims-nonce": "nonce", "claims-log": "event log", "claims-records": "10",
    "claims-host-log": "host log",
    "checkpoint-vm": "checkpoint: is of another VM",
    "checkpoint-boot": "checkpoint: is of another boot",
    "checkpoint-seed": "checkpoint: is of another boot",
    "checkpoint-qualifying": "checkpoint: quote: made for another question",
    "checkpoint-plain": "checkpoint: quote: made for another question",
    "checkpoint-signer": "checkpoint: quote: signature",
    "checkpoint-magic": "checkpoint: quote: magic",
    "checkpoint-quote-boot": "checkpoint: its quote is of another boot",
    "checkpoint-late": "checkpoint: was made after the evidence",
    "checkpoint-value": "checkpoint: quote: the values are not those",
    "checkpoint-changed": "checkpoint: quote: made for another question",
    "checkpoint-count": "records that no register had",
    "checkpoint-start": "MR9: never extended",
    "checkpoint-item": "boot items are not those of MR20",
    "checkpoint-report": "report is not the last of MR22",
    "checkpoint-finding": "findings are not as many",
    "checkpoint-cut": "must stand", "checkpoint-old": "must stand",
    "checkpoint-alone": "records, the claims say", "checkpoint-middle": "type 212",
}


def is_refused(tap, result, words, name):
    return tap.ok(result.status == REFUSED and words in result.err and result.out == "" and
                  result.err.startswith("monatt: evidence '"), f"refused: {name}", result)


def check_healthy(tap, fake):
    evidence = fake.evidence()
    learned, reference = fake.learn(evidence)
    tap.is_equal(learned.status, DONE, "learn from clean evidence")
    for word in ("boot/kernel", "boot/command-line", "host/pcr", "host-1", "because you say so"):
        tap.contains(learned.out, word, f"learn shows {word}")
    result = fake.verify(evidence)
    tap.is_equal(result.status, DONE, "healthy: exit 0")
    for name in ("startup-integrity", "runtime-integrity"):
        tap.ok(re.search(rf"^{name} +healthy ", result.out, re.M), f"{name} is healthy", result)
    for name in ("confidentiality.cpu", "confidentiality.membus", "confidentiality.cache",
                 "availability.cpu", "host-integrity"):
        tap.ok(re.search(rf"^{re.escape(name)} +unknown +\S", result.out, re.M),
               f"{name} is unknown, with a reason", result)
    tap.is_equal(result.err, "", "nothing on stderr")
    answer = fake.verify(evidence, "--json")
    claims = json.loads(answer.out)
    tap.is_equal(claims["submods"]["startup-integrity"]["ear_status"], "affirming", "EAR: affirming")
    tap.is_equal(claims["submods"]["availability.cpu"]["ear_status"], "none", "EAR: none")
    tap.is_equal(claims["q3"], fake.info["q3"], "EAR: Q3")
    tap.is_equal(len(claims["submods"]), 7, "EAR: one submodule a property")
    tap.ok(0 < claims["exp"] - claims["iat"] <= 60, "EAR: expires within a minute")
    for suite in ("S384",):
        other = fake.evidence("--suite", suite)
        fake.learn(other)
        tap.is_equal(fake.verify(other).status, DONE, f"healthy with {suite}")
    again = fake.evidence()
    fake.learn(again)
    return again, reference


def check_refused(tap, fake):
    listed = {line.split()[0] for line in run(FAKE_HOST, "--list-bad").out.splitlines()}
    tap.is_equal(listed - set(BROKEN), set(), "every fault of fake-host has a check here")
    for name, words in BROKEN.items():
        is_refused(tap, fake.verify(fake.evidence("--bad", name)), words, name)
    good = fake.evidence()
    is_refused(tap, fake.verify(good, nonce="22" * 32), "nonce is not the one asked for",
               "wrong nonce")
    now = int(time.time())
    is_refused(tap, fake.verify(fake.evidence("--iat", str(now - 301))), "expired", "too old")
    tap.is_equal(fake.verify(fake.evidence("--iat", str(now - 200))).status, DONE,
                 "not yet too old")
    is_refused(tap, fake.verify(fake.evidence("--iat", str(now + 60))), "not yet", "from the future")
    is_refused(tap, fake.verify(good, "--at", str(now + 2 * 86400)), "session certificate",
               "session certificate over")
    is_refused(tap, fake.verify(good, "--at", "2020-01-01T00:00:00Z"), "session certificate",
               "session certificate not yet valid")
    is_refused(tap, fake.verify(good, "--host", "host-2"), "another host", "another host")
    tap.is_equal(fake.verify(good, "--host", "host-1").status, DONE, "the host that was asked")
    for other, name in ((("--vid", "77777777-2222-2222-2222-222222222222"), "another VM's"),
                        (("--boot", "2"), "another boot's"), (("--earlier", "1"), "another time's")):
        path = fake.evidence(*other)
        for part in ("log", "device-quote", "host-quote", "claims"):
            result = fake.verify(fake.evidence(f"--take-{part}", path))
            tap.is_equal(result.status, REFUSED, f"refused: {name} {part}")
            if result.status != REFUSED:
                tap.note(result)


def check_form(tap, fake, good):
    with open(good, "rb") as file:
        content = file.read()
    for size in (0, 1, 100, len(content) // 2, len(content) - 1):
        path = fake.write("cut", content[:size])
        is_refused(tap, fake.verify(path), "", f"cut to {size} bytes")
    for extra, name in ((b"\n\n", "lines behind"), (b" ", "a blank behind"), (b"{}", "more behind")):
        is_refused(tap, fake.verify(fake.write("long", content + extra)), "", name)
    is_refused(tap, fake.verify(fake.write("twice", content.replace(b'"log":', b'"log2":'))), "",
               "a member of another name")
    result = fake.verify(fake.path("no-such-file"))
    tap.ok(result.status == FAILED and "no-such-file" in result.err, "a missing file: exit 1", result)
    tap.is_equal(fake.verify(fake.folder).status, FAILED, "a folder: exit 1")
    result = fake.verify(good, anchor=good)
    tap.ok(result.status == FAILED and "anchor" in result.err, "an anchor that is none: exit 1",
           result)
    other = monatt("ca", "init", fake.path("other-ca"))
    tap.is_equal(other.status, DONE, "another CA is made")
    is_refused(tap, fake.verify(good, anchor=fake.path("other-ca/root.pem")),
               "session certificate", "another CA's root")


def check_flips(tap, fake, good):
    result = run(FLIP_BITS, good, fake.info["nonce"], fake.info["root"],
                 fake.path("reference.json"), str(SAMPLES), str(SEED))
    if not tap.ok(result.status == 0, f"every bit of structure and JWS header and {SAMPLES} others "
                  "refused", result):
        return
    seen = json.loads(result.out)
    tap.note(result.out)
    tap.ok(seen["header"] >= 3000 and seen["tried"] == seen["header"] + SAMPLES,
           "so many were tried", result)
    tap.ok({"format", "session", "signature", "host-quote", "device-quote", "log", "host"} <=
           set(seen["steps"]), "each kind of step refused some", seen)
    with open(good, "rb") as file:
        content = bytearray(file.read())
    for i in range(12):
        bit = (len(content) * 8 * i) // 12 + i
        content[bit // 8] ^= 1 << bit % 8
        is_refused(tap, fake.verify(fake.write("flipped", bytes(content))), "",
                   f"bit {bit}, through the CLI")
        content[bit // 8] ^= 1 << bit % 8


def expect(tap, fake, name, status, words, *options, verify=()):
    result = fake.verify(fake.evidence(*options), *verify)
    good = result.status == status and all(word in result.out for word in words)
    return tap.ok(good, name, f"{result}\nwanted {status} and {words}") and result


def check_verdicts(tap, fake):
    for item in ("firmware", "kernel", "initrd", "command-line", "qemu"):
        expect(tap, fake, f"changed {item}: compromised, named, expected and observed", COMPROMISED,
               (f"{item} is not the one of the reference", "expected  sha-256",
                "observed  sha-256"), f"--{item}", "changed")
    expect(tap, fake, "hidden process: compromised, pid and command", COMPROMISED,
           ("process 4000 (", "hidden", "only in:", "also in:"), "--hidden", "1")
    expect(tap, fake, "two hidden processes: both named", COMPROMISED,
           ("process 4000 (", "process 4001 ("), "--hidden", "2")
    expect(tap, fake, "findings without a description", COMPROMISED, ("2 hidden processes",),
           "--findings", "2")
    expect(tap, fake, "hidden and torn: still compromised", COMPROMISED, ("process 4000",),
           "--hidden", "1", "--reason", "4", "--coverage", "0")
    expect(tap, fake, "host PCRs changed: compromised, and nothing healthy", COMPROMISED,
           ("host PCRs differ", "state is not a known good one"), "--host-state", "other host")
    expect(tap, fake, "views missing: unknown", UNKNOWN, ("missing: task slab",), "--views", "6")
    expect(tap, fake, "no view: unknown", UNKNOWN, ("no view",), "--views", "0")
    for reason, words in ((1, "worker died"), (3, "not supported"), (4, "torn"), (5, "steps or time")):
        expect(tap, fake, f"reason {reason}: unknown, {words}", UNKNOWN, (words,), "--reason",
               str(reason))
    expect(tap, fake, "unsettled: unknown", UNKNOWN, ("too fast",), "--unsettled", "3")
    expect(tap, fake, "coverage: unknown", UNKNOWN, ("could be read",), "--coverage", "900000")
    expect(tap, fake, "not measured: unknown", UNKNOWN, ("were not measured",), "--without-tasks")
    expect(tap, fake, "an item left out: unknown", UNKNOWN, ("no initrd was measured",),
           "--leave-out", "initrd")
    expect(tap, fake, "no boot item: unknown", UNKNOWN, ("no boot item",), "--leave-out", "all")
    expect(tap, fake, "stale measurement: unknown", UNKNOWN, ("before the report",), "--uptime-ns",
           str(1000 * 10**9))
    expect(tap, fake, "reports before this one", DONE, ("healthy",), "--earlier", "3")
    for suite in ("S256", "S384"):
        fake.learn(fake.evidence("--suite", suite))
        expect(tap, fake, f"the log was cut twice: healthy, {suite}", DONE, ("5 boot items equal",),
               "--earlier", "3", "--seal-after", "1", "--suite", suite)
    fake.learn(fake.evidence())
    for name, options in (("and cut off since", ("--seal-after", "2")), ("in the same log", ())):
        for report in ("1", "2"):
            expect(tap, fake, f"hidden in report {report} of 4, {name}: still compromised",
                   COMPROMISED, ("process 4000 (", "was hidden earlier in this boot"), "--hidden",
                   "1", "--hidden-in", report, "--earlier", "3", *options)
        expect(tap, fake, f"counted and not described, {name}: still compromised", COMPROMISED,
               ("found earlier in this boot",), "--findings", "2", "--hidden-in", "1", "--earlier",
               "3", *options)
    expect(tap, fake, "hidden now and before: named once, as hidden", COMPROMISED,
           ("process 4000 (cryptominer) is hidden",), "--hidden", "1", "--earlier", "3",
           "--seal-after", "2")
    expect(tap, fake, "40 hidden before a cut: not all are kept, all are counted", COMPROMISED,
           ("process 4000 (", "hidden earlier"), "--hidden", "40", "--hidden-in", "1", "--earlier",
           "3", "--seal-after", "2")
    for name, options in (
            ("one hidden now", ("--hidden", "1")),
            ("two counted now, none described", ("--findings", "2")),
            ("one hidden earlier", ("--hidden", "1", "--hidden-in", "1", "--earlier", "3")),
            ("one hidden before a cut", ("--hidden", "1", "--hidden-in", "1", "--earlier", "3",
                                         "--seal-after", "2"))):
        learned, _ = fake.learn(fake.evidence(*options))
        tap.ok(learned.status == REFUSED and "hidden" in learned.err,
               f"{name}: nothing is learned from it", learned)


def check_reference(tap, fake, reference):
    with open(reference, encoding="utf-8") as file:
        values = json.load(file)
    measurements = values["environments"][0]["measurements"]
    now = int(time.time())

    def changed(change, name, status, words, *options):
        copy = json.loads(json.dumps(values))
        change(copy["environments"][0]["measurements"], copy)
        path = fake.write("changed.json", json.dumps(copy))
        result = fake.verify(fake.evidence(*options), reference=path)
        tap.ok(result.status == status and words in result.text, name, result)

    def supersede(until):
        def change(rows, _):
            kernel = next(row for row in rows if row["key"] == "boot/kernel")
            kernel.update(state="superseded", until=until)
        return change

    def drop(key):
        def change(rows, _):
            rows[:] = [row for row in rows if row["key"] != key]
        return change

    changed(supersede(now + 600), "superseded kernel: degraded", DEGRADED, "older version")
    changed(supersede(now - 600), "overlap over: compromised", COMPROMISED, "no longer allowed")
    changed(drop("boot/kernel"), "no value for the kernel: unknown", UNKNOWN, "no value")
    changed(drop("host/pcr"), "no value for the host: unknown", UNKNOWN, "no host/pcr")
    changed(lambda rows, _: rows.clear(), "no values: unknown, an empty comparison never passes",
            UNKNOWN, "no boot values")
    changed(lambda _, copy: copy["environments"].clear(), "no environment: unknown", UNKNOWN,
            "no boot values")
    changed(lambda _, copy: copy["environments"][0]["class"].update(
        instance="99999999-0000-0000-0000-000000000000"), "values of another VM: unknown", UNKNOWN,
            "no boot values")
    changed(lambda _, copy: copy.update(extra=1), "unknown member: exit 1", FAILED, "extra")
    shown = monatt("reference", "show", reference)
    tap.ok(shown.status == DONE and "boot/initrd" in shown.out, "reference show", shown)
    tap.is_equal(json.loads(monatt("reference", "show", reference, "--json").out), values,
                 "reference show --json gives the same again")
    tap.is_equal(len(measurements), 7, "learned: five items, host's PCRs and id")


def check_policy(tap, fake):
    profile = '"profile":"tag:github.com,2026:monatt/policy#1"'

    def judged(policy, name, status, words, *options):
        path = fake.write("policy.json", policy)
        result = fake.verify(fake.evidence(*options), "--policy", path)
        tap.ok(result.status == status and words in result.text, name, result)

    judged("{" + profile + "}", "an empty policy is the default", DONE, "healthy")
    judged("{" + profile + ',"accept_suites":["S384"]}', "suite not accepted: refused", REFUSED,
           "ES256")
    judged("{" + profile + ',"max_age_s":10}', "stricter age: refused", REFUSED, "expired",
           "--iat", str(int(time.time()) - 20))
    judged("{" + profile + ',"required":["host-integrity"]}', "requires what is unknown: exit 6",
           UNKNOWN, "verdict: unknown")
    judged("{" + profile + ',"required":["startup-integrity"]}', "does not require runtime", DONE,
           "worker died", "--reason", "1")
    judged("{" + profile + ',"required":["startup-integrity"]}', "a compromise counts always",
           COMPROMISED, "4000", "--hidden", "1")
    judged("{" + profile + ',"colour":1}', "unknown member: exit 1", FAILED, "colour")
    good = fake.write("policy.json", "{" + profile + ',"id":"mine"}')
    result = monatt("policy", "check", good)
    tap.ok(result.status == DONE and "mine" in result.out, "policy check", result)
    result = monatt("policy", "check", fake.write("bad.json", "{"))
    tap.ok(result.status == FAILED and "bad.json" in result.err, "policy check refuses", result)


def check_result(tap, fake, good):
    key = monatt("key", "new", fake.path("key"))
    tap.is_equal(key.status, DONE, "key new")
    tap.is_equal(os.stat(fake.path("key/key.pem")).st_mode & 0o777, 0o600, "the key is mode 0600")
    tap.is_equal(monatt("key", "new", fake.path("key")).status, USAGE, "a key is never overwritten")
    monatt("key", "new", fake.path("other"))
    result_path = fake.path("result.jwt")
    with_key = ("--result", result_path, "--signing-key", fake.path("key/key.pem"),
                "--signing-certificate", fake.path("key/certificate.pem"))
    tap.is_equal(fake.verify(good, *with_key).status, DONE, "evidence verify --result")
    result = monatt("result", "verify", result_path, "--anchor", fake.path("key/certificate.pem"))
    tap.ok(result.status == DONE and "startup-integrity" in result.out, "result verify", result)
    nonce = ("--nonce", fake.info["nonce"])
    anchor = ("--anchor", fake.path("key/certificate.pem"))
    tap.is_equal(monatt("result", "verify", result_path, *anchor, *nonce).status, DONE,
                 "result of this nonce")
    tap.is_equal(monatt("result", "verify", result_path, *anchor, "--nonce", "33" * 32).status,
                 REFUSED, "result of another nonce: refused")
    tap.is_equal(monatt("result", "verify", result_path, *anchor, "--at",
                        str(int(time.time()) + 300)).status, REFUSED, "expired result: refused")
    tap.is_equal(monatt("result", "verify", result_path, "--anchor",
                        fake.path("other/certificate.pem")).status, REFUSED,
                 "another verifier's certificate: refused")
    with open(result_path, "rb") as file:
        token = file.read()
    for i in range(0, len(token), max(1, len(token) // 24)):
        broken = bytearray(token)
        broken[i] ^= 1
        result = monatt("result", "verify", fake.write("broken.jwt", bytes(broken)), *anchor)
        tap.is_equal(result.status, REFUSED, f"result with byte {i} changed: refused")
    tap.is_equal(monatt("result", "verify", fake.write("four.jwt", token + b".AAAA"), *anchor).status,
                 REFUSED, "a fourth part: refused")
    compromised = fake.evidence("--hidden", "1")
    tap.is_equal(fake.verify(compromised, *with_key).status, COMPROMISED, "a bad verdict is signed")
    tap.is_equal(monatt("result", "verify", result_path, *anchor).status, COMPROMISED,
                 "and result verify says it")
    if paths.missing("jose"):
        tap.skip("jose is missing", "jose accepts the result")
    else:
        jose = run("jose", "jws", "ver", "-i", result_path, "-k", fake.path("key/public.jwk"))
        tap.ok(jose.status == 0, "jose accepts the result", jose)
        jose = run("jose", "jws", "ver", "-i", result_path, "-k", fake.path("other/public.jwk"))
        tap.ok(jose.status != 0, "jose refuses it with another key", jose)
    mixed = ("--result", result_path, "--signing-key", fake.path("key/key.pem"))
    tap.is_equal(fake.verify(good, *mixed).status, USAGE, "--result without a certificate: exit 2")
    wrong = mixed + ("--signing-certificate", fake.path("other/certificate.pem"))
    tap.is_equal(fake.verify(good, *wrong).status, USAGE, "key and certificate differ: exit 2")


def check_report(tap, fake, good):
    page_path = fake.path("report.html")
    common = ("--nonce", fake.info["nonce"], "--anchor", fake.info["root"], "--reference",
              fake.path("reference.json"), "--output", page_path)
    result = monatt("report", "html", good, *common)
    tap.is_equal(result.status, DONE, "report html")
    with open(page_path, encoding="ascii") as file:
        page = file.read()
    tap.ok("runtime-integrity" in page and "healthy" in page, "the page has the verdicts")
    tap.ok(not re.search(r"<script|<img|<link|<iframe|\son\w+=|https?:|src=", page),
           "the page has no script and nothing from elsewhere", page)
    hostile = fake.evidence("--command-line", "changed")
    with open(fake.path("reference.json"), encoding="utf-8") as file:
        values = json.load(file)
    values["id"] = HOSTILE.replace("\x1b", "").replace("\n", "")
    rows = values["environments"][0]["measurements"]
    next(row for row in rows if row["key"] == "boot/command-line")["text"] = values["id"]
    path = fake.write("hostile.json", json.dumps(values))
    result = monatt("report", "html", hostile, *common[:-4], "--reference", path, "--output",
                    page_path)
    tap.is_equal(result.status, COMPROMISED, "a page of a bad verdict: exit 4")
    with open(page_path, encoding="ascii") as file:
        page = file.read()
    tap.ok("<script" not in page and "&#60;script&#62;" in page, "hostile names are escaped", page)
    os.remove(page_path)
    result = monatt("report", "html", fake.evidence("--bad", "jws-signer"), *common)
    tap.ok(result.status == REFUSED and not os.path.exists(page_path),
           "refused evidence gives no page", result)


def check_terminal(tap, fake, good):
    odd = fake.path("odd\x1b[31m\nname")
    os.symlink(good, odd)
    result = fake.verify(fake.write("cut", b"x") and odd, nonce="55" * 32)
    tap.ok("\x1b" not in result.text and result.err.count("\n") == 2,
           "a file's name cannot reach the terminal's controls", repr(result.text))
    result = monatt("evidence", "show", good)
    tap.ok(result.status == DONE and "NOT VERIFIED" in result.out and "kernel" in result.out,
           "evidence show", result)
    shown = json.loads(monatt("evidence", "show", good, "--json").out)
    tap.ok(shown["verified"] is False and shown["log_records"] == len(shown["log"]),
           "evidence show --json")
    result = monatt("evidence", "show", fake.write("cut", b"{}"))
    tap.ok(result.status == REFUSED, "evidence show refuses what has no form", result)
    with open("/dev/full", "wb") as out:
        status = subprocess.run([paths.MONATT, "evidence", "show", good], stdout=out,
                                stderr=subprocess.DEVNULL, check=False).returncode
    tap.is_equal(status, FAILED, "a full disk under stdout: exit 1")


def check_export(tap, fake, good):
    folder = fake.path("new/parts")
    result = monatt("evidence", "export", good, folder)
    tap.ok(result.status == DONE and {"claims.json", "log.cel", "README.txt"} <=
           set(os.listdir(folder)), "evidence export", result)
    with open(os.path.join(folder, "claims.json"), "rb") as file:
        tap.is_equal(hashlib.sha256(file.read()).hexdigest(), fake.info["q3"],
                     "sha256sum claims.json is Q3")
    tap.is_equal(monatt("evidence", "export", good, folder).status, USAGE,
                 "export never overwrites")
    tap.is_equal(monatt("evidence", "export", fake.write("cut", b"{}"), folder).status, REFUSED,
                 "export of what has no form: exit 3")
    tap.is_equal(monatt("evidence", "export", good, "/proc/none").status, FAILED,
                 "export into no folder: exit 1")


def main():
    tap = Tap()
    lacking = paths.missing(paths.MONATT, FAKE_HOST, FLIP_BITS)
    if lacking:
        tap.skip_all(f"{lacking} is missing")
    with tap, Fake() as fake:
        good, reference = check_healthy(tap, fake)
        check_refused(tap, fake)
        good = fake.evidence()
        check_form(tap, fake, good)
        check_flips(tap, fake, fake.evidence())
        check_verdicts(tap, fake)
        check_reference(tap, fake, reference)
        check_policy(tap, fake)
        good = fake.evidence()
        check_result(tap, fake, good)
        check_report(tap, fake, good)
        check_terminal(tap, fake, good)
        check_export(tap, fake, fake.evidence())
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
