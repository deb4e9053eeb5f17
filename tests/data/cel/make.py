#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""make.py: writes all-kinds.cel and all-kinds.pcrs, the vectors of the event log's tests.

Each extend is written out and applied by hand here, beside the log and not from it: neither the
parser of the C library nor tests/lib/replay-cel.py has a part in the expected values.  Run again
only when docs/formats/event-log.md changes; both files are kept in git.
"""
import hashlib
import os
import struct

HERE = os.path.dirname(os.path.abspath(__file__))
log = b""
number = 0
pcr256 = [b"\xff" * 32 if 17 <= i <= 22 else b"\0" * 32 for i in range(24)]
pcr384 = [b"\xff" * 48 if 17 <= i <= 22 else b"\0" * 48 for i in range(24)]


def add(index, kind, content, d256, d384):
    global log, number
    inner = (b"\x0b\0\0\0\x20" + d256 if d256 else b"") + (b"\x0c\0\0\0\x30" + d384 if d384 else b"")
    log += b"\0\0\0\0\x08" + struct.pack(">Q", number)
    log += b"\1\0\0\0\4" + struct.pack(">I", index)
    log += b"\3" + struct.pack(">I", len(inner)) + inner
    log += bytes([kind]) + struct.pack(">I", len(content)) + content
    number += 1
    if d256:
        pcr256[index] = hashlib.sha256(pcr256[index] + d256).digest()
    if d384:
        pcr384[index] = hashlib.sha384(pcr384[index] + d384).digest()


def record(index, content):
    add(index, 0xd1, content, hashlib.sha256(content).digest(), hashlib.sha384(content).digest())


def guest(index, content, d256=None, d384=None):
    add(index, 0xd2, content, d256, d384)


record(20, b"MTE1" + bytes(range(68)))
guest(0, b"", bytes(range(32)), bytes(range(48)))
guest(0, b"hello", d256=b"\x11" * 32)
guest(0, b"", d384=b"\x22" * 48)
guest(16, b"", b"\x33" * 32, b"\x44" * 48)
add(16, 0xd3, b"", None, None)
pcr256[16], pcr384[16] = b"\0" * 32, b"\0" * 48
guest(16, b"", b"\x55" * 32)
record(17, b"x" * 1024)
record(22, b"")
guest(23, b"\0" * 1024, b"\x66" * 32, b"\x77" * 48)
record(20, b"MTE1" + bytes(range(68)))
guest(15, b"", b"\0" * 32, b"\0" * 48)

with open(os.path.join(HERE, "all-kinds.cel"), "wb") as file:
    file.write(log)
with open(os.path.join(HERE, "all-kinds.pcrs"), "w", encoding="ascii") as file:
    for bank, values in (("sha256", pcr256), ("sha384", pcr384)):
        for pcr, value in enumerate(values):
            file.write(f"{bank} {pcr} {value.hex()}\n")
