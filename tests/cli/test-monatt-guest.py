#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""test-monatt-guest.py: monatt-guest on a made-up sysfs, where BARs are plain files.

What it stores into the device can be read back from the file, and what the device answers can be
anything.  What needs a real device is in tests/guest/test-registers.py.
"""
import contextlib
import hashlib
import json
import os
import shutil
import struct
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))
import paths  # noqa: E402
from tap import Tap  # noqa: E402

MAGIC, VERSION = 0x5454414D, 1
REG_COMMAND, REG_ERROR, REG_INDEX, REG_SIZE, REG_NONCE, REG_DATA = 0x10, 0x14, 0x18, 0x1C, 0x40, \
    0x400
DIGEST_256, DIGEST_384 = hashlib.sha256(b"x").hexdigest(), hashlib.sha384(b"x").hexdigest()
UNPRIVILEGED = 65534


class Sysfs:
    """One PCI device in a folder of its own."""

    def __init__(self, folder, vendor="0x1234", device="0xa77e"):
        self.root = f"{folder}/sys"
        self.device = f"{self.root}/bus/pci/devices/0000:00:05.0"
        shutil.rmtree(self.root, ignore_errors=True)
        os.makedirs(self.device)
        self.text("vendor", vendor)
        self.text("device", device)
        self.text("enable", "1")
        self.put("config", bytes(4) + b"\x02\x00" + bytes(58))
        self.bar0, self.bar2 = bytearray(4096), bytearray(4096)
        struct.pack_into("<IIII", self.bar0, 0, MAGIC, VERSION, 7, 1)
        struct.pack_into("<II", self.bar2, 0, 4, 24)
        for i in range(24):
            struct.pack_into("<32s48sQQ", self.bar2, 0x100 + i * 0x60, bytes([i] * 32),
                             bytes([i + 100] * 48), 2 * i, i)
        self.write()

    def text(self, name, value):
        self.put(name, value.encode() + b"\n")

    def put(self, name, content):
        with open(f"{self.device}/{name}", "wb") as file:
            file.write(content)

    def write(self):
        self.put("resource0", self.bar0)
        self.put("resource2", self.bar2)

    def set(self, offset, value):
        struct.pack_into("<I", self.bar0, offset, value)
        self.write()

    def seen(self):
        """BAR0 as the program left it."""
        with open(f"{self.device}/resource0", "rb") as file:
            return file.read()

    def number(self, offset):
        return struct.unpack_from("<I", self.seen(), offset)[0]

    def run(self, *words, **more):
        done = subprocess.run([paths.MONATT_GUEST, "--driver", f"{self.root}/no-driver", "--sysfs",
                               self.root, *words],
                              capture_output=True, text=True, timeout=60, **more)
        return done.returncode, done.stdout, done.stderr


def check_usage(tap, fake):
    for words, part in (((), "no command given"), (("grow",), "unknown command"),
                        (("read", "24"), "not a register"), (("read", "-1"), "unknown option"),
                        (("read", "1x"), "not a register"), (("read", ""), "not a register"),
                        (("read", "1", "2"), "wrong number of arguments"),
                        (("extend", "1"), "needs a digest or --file"),
                        (("extend", "1", "ab"), "not a digest"),
                        (("extend", "1", "z" * 64), "not hexadecimal"),
                        (("extend", "1", DIGEST_256, DIGEST_256), "a second one of its bank"),
                        (("extend", "1", DIGEST_256, "--file", "/bin/sh"), "either digests or"),
                        (("reset", "1", "2"), "wrong number of arguments"),
                        (("read", "--follow"), "takes no --follow"),
                        (("read", "--file", "x"), "takes no --file"),
                        (("read", "--colour"), "unknown option"),
                        (("extend", "1", "--file"), "without its value")):
        status, out, err = fake.run(*words)
        tap.ok(status == 2 and part in err and not out and err.count("\n") == 2,
               f"usage: '{' '.join(words)[:30]}' is refused", (status, out, err))
    status, out, err = fake.run("--help")
    tap.ok(status == 0 and "usage: monatt-guest" in out and not err, "--help is on stdout")
    status, out, err = fake.run("--version")
    tap.ok(status == 0 and out.startswith("monatt-guest ") and not err, "--version")


def check_read(tap, fake):
    status, out, err = fake.run("read", "--json")
    answer = json.loads(out)
    tap.is_equal((status, err, answer["device"], answer["status"]),
                 (0, "", "0000:00:05.0", "ready"), "read --json")
    tap.is_equal([(entry["index"], entry["sha256"], entry["sha384"], entry["extends"],
                   entry["synced"]) for entry in answer["registers"]],
                 [(i, bytes([i] * 32).hex(), bytes([i + 100] * 48).hex(), 2 * i, i)
                  for i in range(24)], "all of each register")
    tap.is_equal([entry["index"] for entry in answer["registers"] if entry["owner"] == "host"],
                 list(range(17, 23)), "and whose it is")
    status, out, err = fake.run("read", "5")
    tap.ok(status == 0 and "05" * 32 in out and "69" * 48 in out and out.startswith("MR5 "),
           "read N for people", out)
    struct.pack_into("<I", fake.bar2, 0, 5)
    fake.write()
    status, out, err = fake.run("read", "5")
    tap.ok(status == 1 and "changed 1000 times" in err and not out,
           "an entry that never stands still is not shown", (status, out, err))


def check_extend(tap, fake):
    status, _, err = fake.run("extend", "9", DIGEST_384, DIGEST_256, "--content", "hello")
    seen = fake.seen()
    tap.is_equal((status, err), (0, ""), "extend of both banks")
    tap.is_equal(seen[REG_DATA:REG_DATA + 88], bytes.fromhex(DIGEST_256 + DIGEST_384) +
                 b"hello\0\0\0", "SHA-256, SHA-384, content stand in the window")
    tap.is_equal((fake.number(REG_INDEX), fake.number(REG_SIZE), fake.number(REG_COMMAND)),
                 (9, 85, 3), "register, size, command")
    for digest, command, size in ((DIGEST_256, 1, 32), (DIGEST_384, 2, 48)):
        fake.write()
        fake.run("extend", "2", digest)
        tap.is_equal((fake.number(REG_COMMAND), fake.number(REG_SIZE),
                      fake.seen()[REG_DATA:REG_DATA + size].hex()), (command, size, digest),
                     f"extend of one bank, command {command}")
    path = f"{fake.root}/measured"
    with open(path, "wb") as file:
        file.write(os.urandom(200000))
    with open(path, "rb") as file:
        content = file.read()
    fake.run("extend", "0", "--file", path)
    seen = fake.seen()
    tap.is_equal(seen[REG_DATA:REG_DATA + 80],
                 hashlib.sha256(content).digest() + hashlib.sha384(content).digest(),
                 "--file: both digests are those of hashlib")
    tap.is_equal(seen[REG_DATA + 80:REG_DATA + fake.number(REG_SIZE)].decode(), path,
                 "--file: its name is the content")
    for size, wanted in ((944, 0), (945, 1)):
        status, _, err = fake.run("extend", "0", DIGEST_256, DIGEST_384, "--content", "c" * size)
        tap.is_equal(status, wanted, f"content of {size} bytes, the limit is 944")
    for words, part in ((("--file", "/nowhere"), "No such file"), (("--file", "/"), "directory")):
        fake.write()
        status, _, err = fake.run("extend", "0", *words)
        tap.ok(status == 1 and part in err and fake.number(REG_COMMAND) == 0,
               f"{' '.join(words)}: nothing is extended", (status, err))


def check_device_answers(tap, fake):
    for code, status, part in ((2, 2, "no such register"), (3, 1, "belongs to the host"),
                               (4, 1, "takes no such size"), (6, 1, "its TPM disagree"),
                               (0xFFFFFFFF, 1, "does not answer any more"), (99, 1, "error 99")):
        fake.set(REG_ERROR, code)
        got, _, err = fake.run("extend", "1", DIGEST_256)
        tap.ok(got == status and part in err, f"the device says {code:#x}: '{part}'", (got, err))
    got, out, err = fake.run("extend", "1", DIGEST_256, "--json")
    tap.is_equal((got, json.loads(out)["error"]["code"], err), (1, "peer", ""),
                 "--json: the error is an object, stderr stays empty")


def check_processes(tap, fake, folder):
    proc = f"{folder}/proc"
    shutil.rmtree(proc, ignore_errors=True)
    long_name = "x" * 70
    for pid, stat in ((30, "30 (a) b) (c) S 7 1"), (7, "7 (init) S 0 1"),
                      (400, f"400 ({long_name}) R 30 1"), (9, "9 () S 7 1"), (11, "no sense")):
        os.makedirs(f"{proc}/{pid}")
        with open(f"{proc}/{pid}/stat", "w", encoding="ascii") as file:
            file.write(stat)
    for name in ("self", "0", "007", "12x", "99999999999", "500"):
        os.makedirs(f"{proc}/{name}")
    nonce = bytes(range(32))
    fake.bar0[REG_NONCE:REG_NONCE + 32] = nonce
    fake.write()
    status, out, err = fake.run("processes", "--proc", proc)
    uid = os.geteuid()

    def task(pid, parent, name):
        return struct.pack("<IIIB", pid, parent, uid, len(name)) + name.encode()
    wanted = b"MGL1" + nonce + struct.pack("<I", 5) + task(7, 0, "init") + task(9, 7, "") + \
        task(11, 0, "") + task(30, 7, "a) b) (c") + task(400, 30, "x" * 63)
    tap.is_equal((status, out, err), (0, "5 processes\n", ""), "processes of a made-up /proc")
    tap.is_equal(fake.seen()[REG_DATA:REG_DATA + len(wanted)], wanted,
                 "sorted, odd names kept, nothing that is no process")
    tap.is_equal((fake.number(REG_SIZE), fake.number(REG_COMMAND)), (len(wanted), 0x12),
                 "one append, then the end")
    for pid in range(1000, 1100):
        os.makedirs(f"{proc}/{pid}")
        with open(f"{proc}/{pid}/stat", "w", encoding="ascii") as file:
            file.write(f"{pid} (worker) S 7 1")
    status, out, err = fake.run("processes", "--proc", proc)
    total = len(wanted) + 100 * 19
    tap.is_equal((status, out, fake.number(REG_SIZE)), (0, "105 processes\n", total % 1024),
                 "a list of more than one window")
    fake.set(REG_ERROR, 7)
    status, _, err = fake.run("processes", "--proc", proc)
    tap.ok(status == 1 and "error 7" in err, "refused by the device", err)
    status, _, err = fake.run("processes", "--proc", f"{folder}/nothing")
    tap.ok(status == 1 and "is proc mounted" in err, "no /proc", err)


def check_status(tap, fake):
    fake.set(8, 0x7F)
    fake.set(0x24, 3)
    status, out, err = fake.run("status", "--json")
    answer = json.loads(out)
    tap.is_equal((status, err, answer["way"], answer["boot_count"], answer["ring"], answer["device"]),
                 (0, "", "registers", 3, False, "0000:00:05.0"), "status --json")
    tap.is_equal(answer["capabilities"], ["sha256", "sha384", "process-list", "ring", "shadow",
                                          "interrupt", "report"], "each capability has its name")
    status, out, _ = fake.run("status")
    tap.ok(status == 0 and "no driver is loaded" in out, "status for people", out)
    status, _, err = fake.run("--driver", "/dev/null", "read")
    tap.ok(status == 1 and "attest device's driver" in err, "a file that is no driver", err)


def check_reports(tap, fake, folder):
    """The window keeps what was written, so the inblob comes back as the report's bytes."""
    inblob, report = bytes(range(1, 65)), f"{folder}/report"

    def ask(size, state=2, capabilities=0x47, words=(inblob.hex(),)):
        fake.write()
        for offset, value in ((8, capabilities), (0x84, state), (0x88, size)):
            fake.set(offset, value)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(report)
        return fake.run("report", "--output", report, "--inblob", *words)

    tap.is_equal(ask(64), (0, "", ""), "a report of one window")
    with open(report, "rb") as file:
        tap.is_equal(file.read(), inblob, "its bytes")
    tap.is_equal(ask(3 * 64)[0], 0, "of three parts")
    with open(report, "rb") as file:
        tap.is_equal(file.read(), 3 * inblob, "in their order")
    tap.is_equal(fake.number(0x8C), 128, "each read from its offset")
    for size, state, capabilities, status, part in (
            (63, 2, 0x47, 1, "64 bytes at 0 of 63"), (65, 2, 0x47, 1, "64 bytes at 64 of 65"),
            (8 * 1024 * 1024 + 1, 2, 0x47, 1, "8388609 bytes"),
            (0xFFFFFFFF, 2, 0x47, 1, "4294967295 bytes"), (64, 2, 0x07, 1, "gives none"),
            (64, 0, 0x47, 1, "dropped it"), (64, 0xFFFFFFFF, 0x47, 1, "dropped it"),
            (1, 3, 0x47, 3, "in time"), (2, 3, 0x47, 3, "no collector"),
            (3, 3, 0x47, 3, "not certified"), (4, 3, 0x47, 3, "asked before"),
            (5, 3, 0x47, 3, "others measure"), (6, 3, 0x47, 3, "too large"),
            (7, 3, 0x47, 3, "could not be made"), (0, 3, 0x47, 3, "does not say"),
            (0xFFFFFFFF, 3, 0x47, 3, "unknown reason")):
        got, out, err = ask(size, state, capabilities)
        tap.ok(got == status and part in err and not out and not os.path.exists(report),
               f"size {size:#x} in state {state:#x}: '{part}'", (got, err))
    for words, part in ((("",), "inblob ''"), (("0",), "inblob '0'"), (("00" * 65,), "inblob"),
                        (("zz",), "inblob 'zz'"), (("/",), "inblob '/'")):
        got, _, err = ask(64, words=words)
        tap.ok(got in (1, 2) and part in err, f"inblob {words[0][:8]!r} is refused", (got, err))
    with open(f"{folder}/inblob", "wb") as file:
        file.write(inblob[:3])
    tap.is_equal(ask(3, words=(f"{folder}/inblob",))[0], 0, "an inblob from a file")
    fake.set(REG_ERROR, 5)
    status, _, err = fake.run("report", "--inblob", "00")
    tap.ok(status == 1 and "busy" in err and "one a minute" in err, "asked too often: busy", err)


def check_ima(tap, fake, folder):
    """No device behind it: what is refused before anything is extended."""
    security, run, proc = f"{fake.root}/kernel/security", f"{folder}/run", f"{folder}/ima-proc"

    def follow(content, *words):
        shutil.rmtree(security, ignore_errors=True)
        shutil.rmtree(run, ignore_errors=True)
        if content is not None:
            os.makedirs(f"{security}/ima")
            with open(f"{security}/ima/binary_runtime_measurements", "wb") as file:
                file.write(content)
        return fake.run("ima-follow", "--once", "--run-dir", run, "--proc", proc, *words)

    entry = struct.pack("<I20sI", 10, bytes(20), 6) + b"ima-ng" + struct.pack("<I", 3) + b"abc"
    status, _, err = follow(entry)
    tap.ok(status == 1 and "boot_id" in err and "is proc mounted" in err, "no /proc", err)
    os.makedirs(f"{proc}/sys/kernel/random")
    with open(f"{proc}/sys/kernel/random/boot_id", "w", encoding="ascii") as file:
        file.write("01234567-89ab-cdef-0123-456789abcdef\n")
    for content, words, part in (
            (None, (), "is securityfs mounted"), (entry, (), "does not lead to its value"),
            (b"\xff" * 100, (), "entry 0"), (entry + b"\xff" * 100, (), "entry 1"),
            (entry, ("--register", "17"), "belongs to the host"),
            (entry, ("--register", "24"), "not a register"),
            (entry, ("--securityfs", f"{folder}/nothing"), "is securityfs mounted"),
            (entry, ("--run-dir", "/proc/nothing"), "--run-dir")):
        status, out, err = follow(content, *words)
        tap.ok(status in (1, 2) and part in err and not out and fake.number(REG_COMMAND) == 0,
               f"ima-follow {' '.join(words)}: '{part}', nothing is extended", (status, err))
    struct.pack_into("<32s48s", fake.bar2, 0x100 + 10 * 0x60, bytes(32), bytes(48))
    fake.write()
    status, out, err = follow(b"", "--json")
    tap.is_equal((status, err, json.loads(out)["entries"]), (0, "", 0), "an empty list")
    status, _, err = follow(entry)
    tap.ok(status == 1 and "something else extended it" in err and fake.number(REG_COMMAND) == 3,
           "a register that does not move is not believed", (status, err))


def check_odd_devices(tap, folder):
    def refused(name, part, fake, **more):
        status, out, err = fake.run("extend", "1", DIGEST_256, **more)
        tap.ok(status == 1 and part in err and not out, name, (status, out, err))
    refused("another vendor's device is left alone", "this VM has none", Sysfs(folder, "0x8086"))
    refused("another device of the vendor too", "this VM has none",
            Sysfs(folder, device="0x1111"))
    fake = Sysfs(folder)
    fake.set(0, 0x12345678)
    refused("wrong magic", "magic is 12345678", fake)
    fake = Sysfs(folder)
    fake.set(4, 2)
    refused("a register map of the future", "register map 2, this program knows 1", fake)
    fake = Sysfs(folder)
    fake.bar0[:] = b"\xff" * 4096
    fake.write()
    refused("all ones", "does not answer", fake)
    fake.put("config", bytes(64))
    refused("all ones, memory space off", "memory space is disabled", fake)
    fake = Sysfs(folder)
    fake.put("resource0", b"short")
    refused("a BAR that is too short", "5 bytes, must be 4096", fake)
    fake = Sysfs(folder)
    os.unlink(f"{fake.device}/resource2")
    refused("a BAR that is missing", "resource2", fake)
    fake = Sysfs(folder)
    shutil.rmtree(fake.root)
    refused("no sysfs", "is sysfs mounted", fake)
    fake = Sysfs(folder)
    fake.text("enable", "0")
    status, _, _ = fake.run("read", "1")
    with open(f"{fake.device}/enable", encoding="ascii") as file:
        tap.is_equal((status, file.read()[:1]), (0, "1"), "a disabled device is enabled")
    if os.geteuid() == 0:
        fake = Sysfs(folder)
        os.chmod(folder, 0o755)
        refused("without root", "run as root", fake, user=UNPRIVILEGED)
        fake.text("enable", "0")
        refused("without root, disabled", "cannot be enabled", fake, user=UNPRIVILEGED)
    else:
        tap.skip("root is missing", "without root")


def main():
    tap = Tap()
    lacking = paths.missing(paths.MONATT_GUEST)
    if lacking:
        tap.skip_all(f"{lacking} is missing")
    # The program itself must be reachable for the unprivileged user: not in /root.
    with tempfile.TemporaryDirectory(prefix="mg-", dir="/tmp") as folder, tap:
        paths.MONATT_GUEST = shutil.copy(paths.MONATT_GUEST, folder)
        check_usage(tap, Sysfs(folder))
        check_read(tap, Sysfs(folder))
        check_extend(tap, Sysfs(folder))
        check_device_answers(tap, Sysfs(folder))
        check_processes(tap, Sysfs(folder), folder)
        check_status(tap, Sysfs(folder))
        check_reports(tap, Sysfs(folder), folder)
        check_ima(tap, Sysfs(folder), folder)
        check_odd_devices(tap, folder)
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
