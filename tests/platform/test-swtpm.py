#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""test-swtpm.py: what the device leans on in the installed swtpm.

Both banks, start values, localities of PCR 16 to 23, CMD_INIT as a power cycle that counts up, the
EK and AK templates, and that --terminate ends it with its connection.  Speaks to it byte by byte.
"""
import os
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "lib")]
import paths  # noqa: E402
from tap import Tap  # noqa: E402

SHA256, SHA384, SIZES = 11, 12, {11: 32, 12: 48}
STARTUP, EXTEND, PCR_READ, READ_CLOCK, PCR_RESET = 0x144, 0x182, 0x17E, 0x181, 0x13D
LOCALITY = 0x907
CMD_INIT, CMD_SET_LOCALITY = 2, 5
PASSWORD = struct.pack(">IIHBH", 9, 0x40000009, 0, 0, 0)


class Swtpm:
    def __init__(self, folder):
        path = folder + "/s"
        self.process = subprocess.Popen(
            ["swtpm", "socket", "--tpm2", "--tpmstate", f"dir={folder},mode=0600", "--server",
             f"type=unixio,path={path},mode=0600", "--ctrl", f"type=unixio,path={path}.ctrl,mode=0600",
             "--flags", "not-need-init", "--terminate"], stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL)
        self.control, self.data = self.connect(path + ".ctrl"), self.connect(path)

    def connect(self, path):
        until = time.monotonic() + 20
        while True:
            sock = socket.socket(socket.AF_UNIX)
            try:
                sock.connect(path)
                sock.settimeout(30)
                return sock
            except OSError:
                sock.close()
                if time.monotonic() > until:
                    raise
                time.sleep(0.02)

    def order(self, command, arguments):
        self.control.sendall(struct.pack(">I", command) + arguments)
        return struct.unpack(">I", self.control.recv(4))[0]

    def command(self, code, body=b"", tag=0x8001):
        self.data.sendall(struct.pack(">HII", tag, 10 + len(body), code) + body)
        head = self.data.recv(10, socket.MSG_WAITALL)
        _, size, rc = struct.unpack(">HII", head)
        return rc, self.data.recv(size - 10, socket.MSG_WAITALL) if size > 10 else b""

    def extend(self, index, locality, bank=SHA256):
        assert self.order(CMD_SET_LOCALITY, bytes([locality])) == 0
        body = struct.pack(">I", index) + PASSWORD + struct.pack(">IH", 1, bank) + bytes(SIZES[bank])
        return self.command(EXTEND, body, 0x8002)[0]

    def reset(self, index):
        assert self.order(CMD_SET_LOCALITY, b"\0") == 0
        return self.command(PCR_RESET, struct.pack(">I", index) + PASSWORD, 0x8002)[0]

    def pcr(self, bank, index):
        select = bytearray(3)
        select[index // 8] |= 1 << index % 8
        rc, answer = self.command(PCR_READ, struct.pack(">IHB", 1, bank, 3) + bytes(select))
        assert rc == 0, hex(rc)
        return answer[-SIZES[bank]:]

    def reset_count(self):
        rc, answer = self.command(READ_CLOCK)
        assert rc == 0, hex(rc)
        return struct.unpack(">QQII", answer[:24])[2]


def check(tap, folder):
    tpm = Swtpm(folder)
    try:
        rc, _ = tpm.command(STARTUP, b"\0\0")
        tap.ok(rc in (0, 0x100), "TPM2_Startup(CLEAR)", hex(rc))
        for bank in (SHA256, SHA384):
            seen = [tpm.pcr(bank, i) for i in range(24)]
            wanted = [(b"\xff" if 17 <= i <= 22 else b"\0") * SIZES[bank] for i in range(24)]
            tap.is_equal(seen, wanted, f"bank {bank}: 24 PCRs at their start values")
        for locality, taken in ((0, set(range(17)) | {23}), (2, set(range(24)))):
            for index in range(24):
                rc = tpm.extend(index, locality)
                tap.is_equal(rc, 0 if index in taken else LOCALITY,
                             f"PCR {index} at locality {locality}")
        tap.is_equal([i for i in range(24) if tpm.reset(i) == 0], [16, 23],
                     "PCR 16 and 23 are reset at locality 0, no other")
        tap.is_equal(tpm.extend(3, 0, SHA384), 0, "an extend of one bank alone")
        count = tpm.reset_count()
        tap.is_equal(tpm.order(CMD_INIT, bytes(4)), 0, "CMD_INIT")
        tap.is_equal(tpm.command(STARTUP, b"\0\0")[0], 0, "TPM2_Startup after it")
        tap.ok(tpm.reset_count() > count, "the reset count is higher")
        tap.is_equal((tpm.pcr(SHA256, 17), tpm.pcr(SHA384, 3)), (b"\xff" * 32, bytes(48)),
                     "PCRs are as at the start")
        tpm.data.close()
        tpm.control.close()
        tap.is_equal(tpm.process.wait(20), 0, "--terminate: it ends with its connection")
    finally:
        if tpm.process.poll() is None:
            tpm.process.kill()
            tpm.process.wait(10)


def main():
    tap = Tap()
    missing = paths.missing("swtpm")
    if missing:
        tap.skip_all(f"{missing} is missing")
    folder = tempfile.mkdtemp(prefix="swtpm-", dir="/tmp")
    with tap:
        check(tap, folder)
    shutil.rmtree(folder)
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
