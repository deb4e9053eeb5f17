# SPDX-License-Identifier: GPL-2.0-or-later
"""ima_list.py: a guest's IMA list and what must be in MR10, by code that shares nothing with ours.

    rows = ima_list.read_list(guest)                # (PCR, SHA-1, template, data) each
    ima_list.expect(tap, guest, counts, "name")     # MR10 is the first counts["entries"] of them
"""
import hashlib
import struct

from collector_client import replay_module

LIST = "/sys/kernel/security/ima/binary_runtime_measurements"


def entries(data):
    """(PCR, listed SHA-1, template, template data) of the kernel's binary form."""
    at = 0
    while at < len(data):
        pcr, digest, length = struct.unpack_from("<I20sI", data, at)
        name = data[at + 28:at + 28 + length].decode()
        at += 28 + length
        if name == "ima":
            size = 24 + struct.unpack_from("<I", data, at + 20)[0]
        else:
            size = struct.unpack_from("<I", data, at)[0]
            at += 4
        yield pcr, digest, name, data[at:at + size]
        at += size
    assert at == len(data), "the list ends within an entry"


def digest_of(kind, row):
    """What the kernel extends into a bank of this hash."""
    _, listed, name, data = row
    if listed == bytes(20):
        return b"\xff" * kind().digest_size
    if name == "ima":
        data = data[:20] + data[24:].ljust(256, b"\0")
    return kind(data).digest()


def replay(rows, kind, value):
    for row in rows:
        value = kind(value + digest_of(kind, row)).digest()
    return value


def read_list(guest):
    return list(entries(guest.run(f"cat {LIST}").out))


def register(guest, index=10):
    value = guest.read(index)
    return bytes.fromhex(value["sha256"]), bytes.fromhex(value["sha384"])


def expect(tap, guest, counts, name, base=(bytes(32), bytes(48))):
    """MR10 is the list's first entries, from its base."""
    rows = read_list(guest)[:counts["entries"]]
    tap.ok(len(rows) == counts["entries"], f"{name}: so many entries are there", counts)
    tap.is_equal(tuple(replay(rows, kind, start) for kind, start in
                       zip((hashlib.sha256, hashlib.sha384), base)), register(guest),
                 f"{name}: MR10 is the replayed list in both banks")
    return rows


def log_entries(guest):
    """The entries of the host's event log about this boot."""
    return replay_module().entries(guest.device.log()[0])


def make_entries(count, name):
    """Shell: so many files that are read once, each of them an entry."""
    return (f"i=0; while [ $i -lt {count} ]; do i=$((i+1)); echo {name} $i >/root/{name}$i; "
            f"cat /root/{name}$i >/dev/null; done")
