#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""test-register-map.py: docs/register-map.md, hw-attest/register-map.h and a device say the same.

Names, offsets, widths and access of document and header are compared in both directions; then each
row is tried on a running device, and every offset that no row names must read 0.
"""
import os
import re
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "lib")]
import paths  # noqa: E402
from device_client import BAR0, BAR2, Service  # noqa: E402
from tap import Tap  # noqa: E402

UNITS = {"u16": 2, "u32": 4, "u64": 8}
ROW = re.compile(r"^\| *(0x[0-9a-f]+|\d+) *\|(?: *(\d+) *\| *(RO|WO|RW|RW1C) *\|)? *`(\w+)` *\|", re.M)
IDENTITY = re.compile(r"^\| *`(\w+)` *\| *(0x[0-9a-f]+|\d+) *\|", re.M)
NEEDS = re.compile(r"^\|.*`(REG_\w+)` *\|.*needs `(CAP_\w+)`", re.M)
MR = re.compile(r"^\| *MR(\d+) *\| *(guest|host)(, can reset)? *\| *(zeros|ones) *\|", re.M)
# Of the header, what is no register, bit or code; the text has them.
IN_WORDS = {"MAGIC", "DATA_SIZE", "BAR2_ENTRY_SIZE"}


def width(comment):
    """Bytes as the header's comment says: "RO u32, …", "48 bytes", "RW 1 KiB data window"."""
    found = re.search(r"\b(u16|u32|u64)\b|\b(\d+) (bytes|KiB)", comment)
    if not found:
        return None
    return UNITS[found[1]] if found[1] else int(found[2]) * (1024 if found[3] == "KiB" else 1)


def from_header(text):
    """name -> (value, bytes, access)."""
    found = {}
    for name, value, comment in re.findall(
            r"^#define MONATT_(\w+) (0x[0-9a-f]+|\d+)(?: */\* (.*))?$", text, re.M):
        access = re.match(r"(RO|WO|RW1C|RW)\b", comment or "")
        found[name] = (int(value, 0), width(comment) if access or name.startswith("ENTRY_") else None,
                       access[1] if access else "RO" if name.startswith("ENTRY_") else None)
    found["BAR2_ENTRY"] = (found["BAR2_ENTRY"][0], found["BAR2_ENTRY_SIZE"][0], "RO")
    return {name: row for name, row in found.items() if name not in IN_WORDS}


def from_document(text):
    found = {name: (int(value, 0), int(size) if size else None, access or None)
             for value, size, access, name in ROW.findall(text)}
    found.update({name: (int(value, 0), None, None) for name, value in IDENTITY.findall(text)})
    return found


def check_words(tap, header, document):
    code, words = from_header(header), from_document(document)
    tap.ok(len(code) > 45, "the header has its names", len(code))
    tap.is_equal(sorted(set(code) - set(words)), [], "every name of the header is in the document")
    tap.is_equal(sorted(set(words) - set(code)), [], "every name of the document is in the header")
    for name in sorted(set(code) & set(words)):
        tap.is_equal(words[name], code[name], f"{name}: value, bytes, access")
    numbers = {"MAGIC": "0x5454414d", "BAR2_ENTRY_SIZE": "0x60", "DATA_SIZE": "0x400"}
    for name, number in numbers.items():
        tap.contains(header, f"#define MONATT_{name} {number}", f"{name}: in the header")
    tap.contains(document, "0x5454414d", "MAGIC: in the document")
    tap.contains(document, "0x100 + i × 0x60", "BAR2_ENTRY_SIZE: in the document")
    # Can it fail?  Each one change of either side must be seen.
    for number, (old, new) in enumerate((("| 0x018 | 4 | RW |", "| 0x01c | 4 | RW |"),
                                         ("| 0x040 | 32 |", "| 0x040 | 16 |"), ("| WO |", "| RW |"),
                                         ("| 3 | `ERR_LOC", "| 4 | `ERR_LOC"),
                                         ("`CMD_LIST_END`", "`CMD_LIST_STOP`"), ("0xa77e", "0xa77f"))):
        tap.ok(old in document and from_document(document.replace(old, new)) != words,
               f"can fail: change {number} of the document is seen")
    for number, (old, new) in enumerate((("REG_INDEX 0x018", "REG_INDEX 0x01c"),
                                         ("/* RO 32 bytes", "/* RO 16 bytes"), ("/* WO u32", "/* RW u32"),
                                         ("ERR_LOCALITY 3", "ERR_LOCALITY 4"),
                                         ("ENTRY_SYNCED 0x58", "ENTRY_SYNCED 0x50"),
                                         ("MAP_VERSION 1", "MAP_VERSION 2"))):
        tap.ok(old in header and from_header(header.replace(old, new)) != code,
               f"can fail: change {number} of the header is seen")
    return words


def named(words, prefix):
    """Offsets that rows name."""
    covered = set()
    for name, (offset, size, _) in words.items():
        if name.startswith(prefix) and size:
            covered.update(range(offset, offset + (24 * 0x60 if name == "BAR2_ENTRY" else size)))
    return covered


def good_after(name, access, before, value, after):
    """Whether a register of this access may read so after `value` was written."""
    if name.startswith("REG_INTERRUPT") or name.endswith("_CONTROL"):
        return after == before  # no such bit or state: nothing happens
    return {"RO": after == before, "WO": before == 0 == after, "RW": after == value}[access]


def check_device(tap, vm, words, document):
    needs = dict(NEEDS.findall(document))
    capabilities = vm.read(BAR0 + words["REG_CAPABILITIES"][0])
    tap.ok(len(needs) > 10 and capabilities != 0, "rows name the capability that they need", needs)
    identity = vm.config_read(0), vm.config_read(8)
    tap.is_equal(identity, (words["PCI_DEVICE"][0] << 16 | words["PCI_VENDOR"][0],
                            words["PCI_CLASS"][0] << 8 | words["MAP_VERSION"][0]), "PCI identity")
    for bar, base, name in ((0x10, BAR0, "BAR0_SIZE"), (0x18, BAR2, "BAR2_SIZE")):
        vm.config_write(bar, 0xFFFFFFFF)
        tap.is_equal(2**32 - vm.config_read(bar), words[name][0], f"{name}: as sized")
        vm.config_write(bar, base)
    for name, (offset, size, access) in words.items():
        if not name.startswith("REG_"):
            continue
        for at in range(BAR0 + offset, BAR0 + offset + size, 4):
            before = vm.read(at)
            value = 0xEE if name == "REG_COMMAND" else 0x01020304
            vm.write(at, value)
            after = vm.read(at)
            if name in needs and not capabilities & words[needs[name]][0]:
                good = before == after == 0
            else:
                good = good_after(name, access, before, value, after)
            if not good or at == BAR0 + offset:
                tap.ok(good, f"{name}: is {access} at {at - BAR0:#x}", (before, after))
    covered = named(words, "REG_")
    holes = [o for o in range(0, 0x1000) if o not in covered]
    for offset in holes:
        vm.write(BAR0 + offset, 0xFF, 1)
    tap.is_equal([o for o in holes if vm.read(BAR0 + o, 1) != 0], [], "BAR0: the rest reads 0")
    covered = named(words, "BAR2_")
    holes = [o for o in range(0, 0x1000) if o not in covered]
    tap.is_equal([o for o in holes if vm.read(BAR2 + o, 1) != 0], [], "BAR2: the rest reads 0")
    tap.is_equal(vm.read(BAR2 + words["BAR2_COUNT"][0]), 24, "BAR2_COUNT: 24")


def check_registers(tap, vm, document):
    rows = MR.findall(document)
    tap.is_equal([int(row[0]) for row in rows], list(range(24)), "MR0 to MR23 have a row each")
    for number, owner, can_reset, start in rows:
        index = int(number)
        seen = vm.guest_read(index)
        byte = b"\xff" if start == "ones" else b"\0"
        error = vm.guest_extend(index, bytes(32), bytes(48))
        vm.write(BAR0 + 0x10, 8)
        reset = vm.read(BAR0 + 0x14)
        tap.is_equal((seen[0], seen[1], error, reset),
                     (byte * 32, byte * 48, 0 if owner == "guest" else 3, 0 if can_reset else 3),
                     f"MR{index}: {owner}{can_reset}, starts as {start}")


def main():
    tap = Tap()
    with open(paths.source("hw-attest", "register-map.h"), encoding="utf-8") as file:
        header = file.read()
    with open(paths.source("docs", "register-map.md"), encoding="utf-8") as file:
        document = file.read()
    with tap:
        words = check_words(tap, header, document)
    missing = paths.missing("swtpm", paths.HW_ATTEST)
    if missing:
        tap.skip(f"{missing} is missing", "a running device")
        return tap.done()
    service = Service(paths.HW_ATTEST)
    with tap:
        vm = service.attach()
        check_registers(tap, vm, document)
        check_device(tap, vm, words, document)
        vm.close()
    if tap.failed:
        tap.note(service.stderr())
    service.close()
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
