#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""test-one-measurement.py: docs/one-measurement.md against a device, a swtpm and the kept evidence.

The page's labelled lines ("store 1: 00d4…") are its data: what the guest's stores become on the
wire goes to a real device process, the TPM command to a real swtpm, and what stands in the log, in
the quote and in the claims is looked up in tests/data/0.1.0/.
"""
import base64
import hashlib
import json
import os
import re
import socket
import struct
import subprocess
import sys
import tempfile
import time

SOURCE = os.environ["MONATT_SOURCE_DIR"]
sys.path[:0] = [os.path.join(SOURCE, "tests", "lib"), os.path.dirname(os.path.abspath(__file__))]
import device_client  # noqa: E402
import paths  # noqa: E402
from tap import Tap  # noqa: E402

PAGE = os.path.join(SOURCE, "docs", "one-measurement.md")
DATA = os.path.join(SOURCE, "tests", "data", "0.1.0")
BAR0, BAR2 = 0xFEBFD000, 0xFEBFE000
BOOT_ITEMS = 6  # records before ours
PCR_READ = "80010000001400 00017e 00000001 000b 03 010000"
SWTPM_PATIENCE_S = 30


def labelled(text):
    """{label: bytes} of the page's blocks; lines of one label follow one another."""
    found = {}
    for block in re.findall(r"```\n(.*?)```", text, re.DOTALL):
        for label, digits in re.findall(r"^([a-z][a-z0-9 ]*?):\s+([0-9a-f ]+)$", block, re.MULTILINE):
            key = " ".join(label.split())
            found[key] = found.get(key, b"") + bytes.fromhex(digits.replace(" ", ""))
    return found


def data(name):
    with open(os.path.join(DATA, name), "rb") as file:
        return file.read()


def decode(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def check_device(tap, page):
    service = device_client.Service(paths.HW_ATTEST)
    try:
        vm = service.attach(name="one")
        vm.config_write(0x10, BAR0)
        vm.config_write(0x18, BAR2)
        for number in range(BOOT_ITEMS):
            vm.extend(20, b"boot item %d" % number)
        stores = [page[f"store {number}"] for number in range(1, 15)]
        replies = []
        for payload in stores:
            vm.wire.sendall(page["header write"] + payload)
            replies.append(vm.wire.recv(24, socket.MSG_WAITALL))
        vm.wire.sendall(page["header read"] + page["load error"])
        replies.append(vm.wire.recv(24, socket.MSG_WAITALL))
        tap.ok(all(reply == page["reply"] for reply in replies), "14 stores and a load, 15 replies",
               [reply.hex() for reply in replies])
        vm.wait_status(lambda status: status["synced"] == BOOT_ITEMS + 1)
        entry = BAR2 + 0x100
        values = b"".join(vm.read(entry + at).to_bytes(4, "little") for at in range(0, 80, 4))
        tap.is_equal(values, page["mr0 sha256"] + page["mr0 sha384"], "MR0 as the guest reads it")
        log, records = vm.log()
        tap.is_equal(records, BOOT_ITEMS + 1, "records in the log")
        tap.is_equal(log[-len(page["log record"]):], page["log record"], "the log's record 6")
        quoted = vm.quote(0x0b, b"q")
        tap.is_equal(quoted[2][0], page["mr0 sha256"], "PCR 0 in a quote of the device")
        vm.close()
    finally:
        service.close()


def check_swtpm(tap, page):
    with tempfile.TemporaryDirectory(prefix="one-measurement-") as folder:
        process = subprocess.Popen(
            ["swtpm", "socket", "--tpm2", "--tpmstate", f"dir={folder}", "--server",
             f"type=unixio,path={folder}/s", "--ctrl", f"type=unixio,path={folder}/c", "--flags",
             "not-need-init,startup-clear"], stdin=subprocess.DEVNULL)
        try:
            until = time.monotonic() + SWTPM_PATIENCE_S
            while not os.path.exists(f"{folder}/s") and time.monotonic() < until:
                time.sleep(0.02)
            with socket.socket(socket.AF_UNIX) as tpm:
                tpm.connect(f"{folder}/s")
                tpm.sendall(page["tpm command"])
                tap.is_equal(tpm.recv(4096), page["tpm answer"], "swtpm takes the command")
                tpm.sendall(bytes.fromhex(PCR_READ.replace(" ", "")))
                tap.is_equal(tpm.recv(4096)[-32:], page["mr0 sha256"], "PCR 0 in swtpm")
        finally:
            process.terminate()
            process.wait(30)


def check_evidence(tap, page, text):
    evidence = json.loads(data("evidence.jws"))
    claims = decode(decode(evidence["claims"][1]).decode().split(".")[1])
    log = decode(evidence["log"][1])
    quote = decode(evidence["device-quote"][1])
    tap.is_equal(hashlib.sha256(claims).digest(), page["q3"], "Q3 is the hash of the claims")
    tap.is_equal(data("nonce.txt").decode().strip(), page["nonce"].hex(), "nonce")
    for name in ("eat_nonce", "bootcount"):
        tap.contains(claims.decode(), re.search(rf'"{name}":[^\n]+', text).group(0), f"claim {name}")
    line = re.search(r'"log":\{[^\n]+\}', text).group(0)
    tap.contains(claims.decode(), line, "claim log")
    tap.is_equal(decode(json.loads("{" + line + "}")["log"]["digest"]), hashlib.sha256(log).digest(),
                 "the claims' digest is the log's")
    tap.contains(log, page["log record"], "our record in the log")
    tap.is_equal(page["answer"][8:], struct.pack(">QQ", 15, len(log)), "what the hold answered")
    size = struct.unpack(">H", quote[10:12])[0]
    tap.is_equal(quote[16:16 + size], page["attest"], "TPMS_ATTEST")
    values = quote[-24 * 32:]
    tap.is_equal(hashlib.sha256(values).digest(), page["pcr digest"], "digest of the 24 values")
    tap.is_equal(values[:32], page["mr0 sha256"], "PCR 0 among them")
    tap.ok(page["attest"].endswith(page["pcr digest"]) and page["q3"] in page["attest"],
           "the attest holds both")
    result = json.loads(decode(data("result.jws").decode().split(".")[1]))
    tap.is_equal((result["q3"], result["verdict"]), (page["q3"].hex(), "healthy"), "EAR")
    with tempfile.NamedTemporaryFile() as file:
        file.write(log)
        file.flush()
        done = subprocess.run([sys.executable, os.path.join(SOURCE, "tests/lib/replay-cel.py"),
                               file.name, "--bank", "sha256", "--pcr", "0"], capture_output=True,
                              text=True, check=False)
    tap.is_equal(done.stdout.strip(), page["mr0 sha256"].hex(), "replay without our programs")
    return json.loads(claims)["iat"]


def check_verdict(tap, page, text, iat):
    def verify(nonce):
        return subprocess.run(
            [paths.MONATT, "evidence", "verify", f"{DATA}/evidence.jws", "--nonce", nonce,
             "--anchor", f"{DATA}/root.pem", "--reference", f"{DATA}/reference.json", "--at",
             str(iat)], capture_output=True, text=True, check=False)
    good, bad = verify(page["nonce"].hex()), verify("00" * 32)
    tap.ok(good.returncode == 0 and "6 boot items equal the reference" in good.stdout,
           "the kept evidence is healthy", good)
    refusal = re.search(r"monatt: evidence 'evidence\.jws': ([^\n]+)", text).group(1)
    tap.ok(bad.returncode == 3 and refusal in bad.stderr, "another nonce is refused", bad)


def main():
    tap = Tap()
    lacking = paths.missing("swtpm", paths.HW_ATTEST, paths.MONATT)
    if lacking:
        tap.skip_all(f"{lacking} is missing")
    with open(PAGE, encoding="utf-8") as file:
        text = file.read()
    page = labelled(text)
    tap.is_equal(page["sha256"] + page["sha384"],
                 hashlib.sha256(b"hello").digest() + hashlib.sha384(b"hello").digest(), "digests")
    for check in (check_device, check_swtpm):
        with tap:
            check(tap, page)
    with tap:
        check_verdict(tap, page, text, check_evidence(tap, page, text))
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
