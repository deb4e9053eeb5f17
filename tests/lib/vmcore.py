# SPDX-License-Identifier: GPL-2.0-or-later
"""vmcore.py: a RAM file as an ELF core of a Linux kernel, for tools that read crash dumps.

    vmcore.write(ram, note, core)

note is the VMCOREINFO text.  As kdump has it: the direct map and the kernel's own map are segments,
so that such a tool needs no page tables to follow a pointer.  RAM without a hole, from address 0.
"""
import os
import re
import shutil
import struct

PAGE = 4096
TEXT_MAP = 0xFFFFFFFF80000000
ELF_CORE, X86_64, PT_LOAD, PT_NOTE = 4, 62, 1, 4


def number(note, key):
    return re.search(rf"^{re.escape(key)}=(\S+)$", note, re.M).group(1)


def write(ram, note, core, direct_map):
    size = os.path.getsize(ram)
    text = note.encode()
    name = b"VMCOREINFO\0"
    padded = name + bytes(-len(name) % 4)
    notes = struct.pack("<III", len(name), len(text), 0) + padded + text + bytes(-len(text) % 4)
    notes_at = 64 + 3 * 56
    data_at = (notes_at + len(notes) + PAGE - 1) // PAGE * PAGE
    begin = int(number(note, "SYMBOL(_stext)"), 16) & ~0x1FFFFF
    physical = begin - TEXT_MAP + int(number(note, "NUMBER(phys_base)"))
    kernel_size = min(64 << 20, size - physical)

    def segment(kind, offset, virtual, at, length):
        return struct.pack("<IIQQQQQQ", kind, 7, offset, virtual, at, length, length, 0)

    header = struct.pack("<16sHHIQQQIHHHHHH", b"\x7fELF\x02\x01\x01", ELF_CORE, X86_64, 1, 0, 64, 0,
                         0, 64, 56, 3, 0, 0, 0)
    header += segment(PT_NOTE, notes_at, 0, 0, len(notes))
    header += segment(PT_LOAD, data_at + physical, begin, physical, kernel_size)
    header += segment(PT_LOAD, data_at, direct_map, 0, size)
    with open(core, "wb") as out, open(ram, "rb") as data:
        out.write(header + notes)
        out.seek(data_at)
        shutil.copyfileobj(data, out, 1 << 20)
