#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""test-client.py: what 'monatt vm' and 'monatt ca enrol' make of a collector's answers.

The collector here is a script: right, broken, too large, silent or hostile; every answer has a
bound, an exit code and no way to the terminal's controls.
"""
import base64
import json
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
from fake import DONE, FAILED, Collector, monatt  # noqa: E402
import paths  # noqa: E402
from tap import Tap  # noqa: E402

UUID = "22222222-2222-2222-2222-222222222222"
VM = {"vid": UUID, "name": "web-1", "state": "running", "boot_count": 3, "records": 17,
      "fault": "none", "accelerator": "tcg", "plugin": True}
EVIDENCE_MAXIMUM = 64 * 1024 * 1024


def is_failed(tap, result, words, name):
    return tap.ok(result.status == FAILED and words in result.err and "\x1b" not in result.text and
                  result.err.count("\n") <= 2, name, result)


def check_list(tap, collector):
    collector.say({"vms": [VM]})
    result = collector.call("vm", "list")
    tap.ok(result.status == DONE and "web-1" in result.out and UUID in result.out and
           "running" in result.out, "vm list", result)
    tap.ok(collector.request.startswith(b"GET /v1/vms HTTP/1.1\r\n"), "asks for /v1/vms",
           collector.request)
    tap.is_equal(json.loads(collector.call("vm", "list", "--json").out), {"vms": [VM]},
                 "vm list --json")
    collector.say({"vms": []})
    tap.is_equal(collector.call("vm", "list").status, DONE, "no VM is no failure")
    hostile = dict(VM, name="\x1b[2J<b>\u202eevil\n", state=[1], records=None)
    collector.say({"vms": [hostile, 7, None]})
    result = collector.call("vm", "list")
    tap.ok(result.status == DONE and result.text.isprintable() is False and
           all(c == "\n" or 32 <= ord(c) < 127 for c in result.text), "hostile names are harmless",
           repr(result.text))
    collector.say(dict(VM, registers=[{"sha-256": "ab" * 32}] * 24))
    result = collector.call("vm", "show", "web-1")
    tap.ok(result.status == DONE and "MR23" in result.out and "web-1" in result.out, "vm show",
           result)
    tap.ok(collector.request.startswith(b"GET /v1/vms/web-1 "), "asks for this VM",
           collector.request)


def check_attest(tap, collector):
    output, nonce_file = (os.path.join(collector.folder, name) for name in ("e.jws", "nonce"))
    collector.say(b"whatever it says")
    result = collector.call("vm", "attest", "web-1", "--output", output, "--nonce-file", nonce_file,
                            "--property", "startup-integrity", "--property", "runtime-integrity")
    tap.ok(result.status == DONE and "not verified yet" in result.out, "vm attest", result)
    with open(output, "rb") as file:
        tap.is_equal(file.read(), b"whatever it says", "evidence is kept byte for byte")
    with open(nonce_file, encoding="ascii") as file:
        nonce = bytes.fromhex(file.read().strip())
    head, _, body = collector.request.partition(b"\r\n\r\n")
    tap.ok(head.startswith(b"POST /v1/vms/web-1/attest "), "asks for this VM's evidence", head)
    tap.is_equal(json.loads(body), {
        "nonce": base64.urlsafe_b64encode(nonce).rstrip(b"=").decode(),
        "properties": ["startup-integrity", "runtime-integrity"]}, "with this nonce")
    collector.call("vm", "attest", "web-1", "--output", output, "--nonce-file", nonce_file)
    with open(nonce_file, encoding="ascii") as file:
        tap.ok(bytes.fromhex(file.read().strip()) != nonce, "each question has its own nonce")
    result = collector.call("vm", "attest", "web-1", "--nonce", "ab" * 32)
    tap.ok(result.status == DONE and result.out == "whatever it says" and "ab" * 32 in result.err,
           "without --output: evidence on stdout, nonce on stderr", result)
    collector.say(b"x")
    result = collector.call("vm", "attest", "web-1", "--output", "/nonexistent/e.jws")
    is_failed(tap, result, "/nonexistent/e.jws", "a file that cannot be written: exit 1")


def check_errors(tap, collector):
    def error(code, status, message="VM: gone", hint="start it"):
        collector.say({"error": {"code": code, "message": message, "hint": hint}}, status)

    error("missing", "404 Not Found")
    result = collector.call("vm", "show", "web-1")
    tap.ok(result.status == FAILED and result.err == "monatt: collector: VM: gone\nhint: start it\n",
           "the collector's error is told with its hint", result)
    result = collector.call("vm", "show", "web-1", "--json")
    tap.is_equal(json.loads(result.out)["error"]["code"], "missing", "and with its code")
    for code in ("refused", "usage", "healthy", "", 5, None):
        error(code, "400 Bad Request")
        is_failed(tap, collector.call("vm", "attest", "web-1"), "VM: gone",
                  f"code {code!r} of a collector is exit 1, never 0, 2 or 3")
    error("busy", "503 Busy", "a\x1b[31m\nb" * 500, "\u202e" * 500)
    is_failed(tap, collector.call("vm", "list"), "a?[31m?b", "a hostile message is one bounded line")
    collector.say(b"<html>", "500 Oops")
    is_failed(tap, collector.call("vm", "list"), "HTTP status 500", "an error without a reason")
    for body, name in ((b"", "nothing"), (b"{", "half an object"), (b"[]", "a list"),
                       (b"{}", "no vms"), (b'{"vms":7}', "vms that are none"),
                       (b'{"vms":[],"vms":[]}', "a member twice"), (b"\xff\xfe", "not UTF-8"),
                       (b'{"vms":' + b"[" * 5000 + b"]" * 5000 + b"}", "deep nesting")):
        collector.say(body)
        is_failed(tap, collector.call("vm", "list"), "", f"list of {name}: exit 1")
    collector.say(b"", "302 Found", "Location: http://127.0.0.1:9/\r\n")
    is_failed(tap, collector.call("vm", "list"), "302", "a redirect is not followed")


def check_bounds(tap, collector):
    collector.answer = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"
    collector.pour = 5 * 1024 * 1024
    is_failed(tap, collector.call("vm", "list"), "larger than", "a list without end")
    output = os.path.join(collector.folder, "large")
    collector.pour = EVIDENCE_MAXIMUM + 65536
    result = collector.call("vm", "attest", "web-1", "--output", output)
    is_failed(tap, result, "larger than", "evidence without end")
    tap.ok(not os.path.exists(output), "nothing of it is kept")
    for answer, name in ((b"", "hangs up"), (b"SSH-2.0\r\n", "speaks something else"),
                         (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{}", "hangs up half-way"),
                         (b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n{}", "has a bad length")):
        collector.answer, collector.pour = answer, 0
        is_failed(tap, collector.call("vm", "list"), "", f"a collector that {name}: exit 1")


def check_enrol(tap, collector):
    ca = os.path.join(collector.folder, "ca")
    tap.is_equal(monatt("ca", "init", ca).status, DONE, "ca init")
    tap.ok(monatt("ca", "init", ca).status != DONE, "a CA is never overwritten")
    tap.is_equal({name: oct(os.stat(os.path.join(ca, name)).st_mode & 0o777)
                  for name in ("root.key", "ca.key")}, {"root.key": "0o600", "ca.key": "0o600"},
                 "its keys are mode 0600")
    for body in (b"", b"{}", b'{"host_id":"x"}', b'{"host_id":"h","nonce":"AAAA"}'):
        collector.say(body)
        result = collector.call("ca", "enrol", "--ca", ca)
        tap.ok(result.status != DONE and result.err != "", f"request {body!r}: refused", result)
        tap.ok(collector.request.startswith(b"GET /v1/session?nonce="), "nothing was certified",
               collector.request)
    result = collector.call("ca", "enrol", "--ca", os.path.join(collector.folder, "none"))
    tap.is_equal(result.status, FAILED, "a CA that is not there: exit 1")


def check_run(tap):
    launcher = paths.build("hw-attest", "launcher", "monatt-qemu")
    if paths.missing(launcher):
        tap.skip("monatt-qemu is missing", "vm run starts it")
        return
    result = monatt("vm", "run", "--", "--version")
    straight = monatt("vm", "run", "--", "qemu-system-x86_64", "--version")
    tap.ok(result.out == straight.out and "QEMU" in result.out,
           "vm run: QEMU's own arguments, with or without its name", f"{result}\n{straight}")


def main():
    tap = Tap()
    lacking = paths.missing(paths.MONATT)
    if lacking:
        tap.skip_all(f"{lacking} is missing")
    with tap, Collector() as collector:
        check_list(tap, collector)
        check_attest(tap, collector)
        check_errors(tap, collector)
        check_bounds(tap, collector)
        check_enrol(tap, collector)
        check_run(tap)
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
