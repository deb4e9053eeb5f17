#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""replay-cel.py FILE [--bank BANK] [--pcr N] [--records N] [--json | --list]

Computes from a VM's event log what its PCRs must hold, with nothing of Monatt: written from
docs/formats/event-log.md and the Python standard library, so that an error in the C code and one
here must be the same error to go unseen.  Prints "BANK PCR HEX", one a line.

Exit code 0, or 1 with the reason on stderr when the log breaks a rule of the document.
"""
import argparse
import hashlib
import json
import struct
import sys

REGISTERS = 24
EVIDENCE = range(17, 23)     # only the host extends these
RESETTABLE = (16, 23)
CONTENT_MAXIMUM = 1024
RECNUM, PCR, DIGESTS = 0, 1, 3
RECORD, GUEST, RESET = 0xd1, 0xd2, 0xd3
KINDS = {RECORD: "record", GUEST: "guest", RESET: "reset"}
BANKS = {0x0b: ("sha256", 32), 0x0c: ("sha384", 48)}  # by TPM_ALG_ID, in the order of a record


class Refused(Exception):
    """The log is not what docs/formats/event-log.md says."""


def take_tlv(data, offset, end):
    """(type, value's offset, value's end) of the TLV at offset."""
    if end - offset < 5:
        raise Refused(f"offset {offset}: {end - offset} bytes left, a TLV needs 5")
    kind, size = struct.unpack_from(">BI", data, offset)
    if size > end - offset - 5:
        raise Refused(f"offset {offset}: {size} bytes wanted, {end - offset - 5} left")
    return kind, offset + 5, offset + 5 + size


def take_number(data, offset, end, wanted, size):
    kind, first, last = take_tlv(data, offset, end)
    if kind != wanted or last - first != size:
        raise Refused(f"offset {offset}: type {kind} with {last - first} bytes, type {wanted} with "
                      f"{size} must stand here")
    return int.from_bytes(data[first:last], "big"), last


def take_digests(data, offset, end):
    kind, at, last = take_tlv(data, offset, end)
    if kind != DIGESTS:
        raise Refused(f"offset {offset}: type {kind} where the digests must stand")
    digests, algorithm_before = {}, 0
    while at < last:
        algorithm, first, stop = take_tlv(data, at, last)
        if algorithm not in BANKS or algorithm <= algorithm_before:
            raise Refused(f"offset {at}: digest of algorithm {algorithm:#x} is unexpected")
        name, size = BANKS[algorithm]
        if stop - first != size:
            raise Refused(f"offset {at}: {stop - first} bytes for a digest of {size}")
        digests[name] = data[first:stop]
        algorithm_before, at = algorithm, stop
    return digests, last


def entries(data):
    """Yields {"number", "pcr", "digests", "kind", "content"} in the log's order."""
    offset = 0
    while offset < len(data):
        number, offset = take_number(data, offset, len(data), RECNUM, 8)
        pcr, offset = take_number(data, offset, len(data), PCR, 4)
        digests, offset = take_digests(data, offset, len(data))
        kind, first, last = take_tlv(data, offset, len(data))
        if kind not in KINDS:
            raise Refused(f"offset {offset}: content of type {kind:#x}")
        if last - first > CONTENT_MAXIMUM:
            raise Refused(f"offset {offset}: {last - first} bytes of content")
        yield {"number": number, "pcr": pcr, "digests": digests, "kind": kind,
               "content": data[first:last]}
        offset = last


def check(entry, number):
    """Who may write what: the rules of docs/formats/event-log.md, "Rules"."""
    def refuse(why):
        raise Refused(f"record {entry['number']} of MR{entry['pcr']}: {why}")
    if entry["number"] != number:
        refuse(f"record {number} must stand here")
    if entry["pcr"] >= REGISTERS:
        refuse("no such register")
    if entry["kind"] == RECORD:
        if entry["pcr"] not in EVIDENCE:
            refuse("a host record in a register of the guest")
        for name, _ in BANKS.values():
            if entry["digests"].get(name) != hashlib.new(name, entry["content"]).digest():
                refuse(f"{name} digest is not that of the record")
    elif entry["kind"] == GUEST:
        if entry["pcr"] in EVIDENCE:
            refuse("a guest's extend in a register of the host")
        if not entry["digests"]:
            refuse("an extend without a digest")
    else:
        if entry["pcr"] not in RESETTABLE:
            refuse("only MR16 and MR23 can be reset")
        if entry["digests"] or entry["content"]:
            refuse("a reset with digests or content")


def replay(data, records=None):
    """(records replayed, {bank: [value of each PCR]}); records: only that many, all of them."""
    values = {name: [b"\xff" * size if pcr in EVIDENCE else bytes(size)
                     for pcr in range(REGISTERS)] for name, size in BANKS.values()}
    done = 0
    for entry in entries(data):
        if done == records:
            break
        check(entry, done)
        for name, size in BANKS.values():
            bank = values[name]
            if entry["kind"] == RESET:
                bank[entry["pcr"]] = bytes(size)
            elif name in entry["digests"]:
                both = bank[entry["pcr"]] + entry["digests"][name]
                bank[entry["pcr"]] = hashlib.new(name, both).digest()
        done += 1
    if records is not None and done < records:
        raise Refused(f"the log ends after {done} records, {records} are wanted")
    return done, values


def main():
    parser = argparse.ArgumentParser(prog="replay-cel.py", description=__doc__.split("\n")[2])
    parser.add_argument("file")
    parser.add_argument("--bank", choices=[name for name, _ in BANKS.values()])
    parser.add_argument("--pcr", type=int)
    parser.add_argument("--records", type=int, help="only the first N records")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--list", action="store_true", help="the records instead of the values")
    options = parser.parse_args()
    with open(options.file, "rb") as file:
        data = file.read()
    try:
        if options.list:
            for entry in entries(data):
                print(entry["number"], f"MR{entry['pcr']}", KINDS[entry["kind"]],
                      len(entry["content"]), entry["digests"].get("sha256", b"").hex() or "-")
            return 0
        done, values = replay(data, options.records)
    except Refused as reason:
        print(f"replay-cel.py: {options.file}: {reason}", file=sys.stderr)
        return 1
    chosen = [(bank, pcr, value.hex()) for bank, bank_values in values.items()
              for pcr, value in enumerate(bank_values)
              if options.bank in (None, bank) and options.pcr in (None, pcr)]
    if options.json:
        table = {}
        for bank, pcr, value in chosen:
            table.setdefault(bank, {})[str(pcr)] = value
        print(json.dumps({"records": done, **table}))
    elif len(chosen) == 1:
        print(chosen[0][2])
    else:
        for bank, pcr, value in chosen:
            print(bank, pcr, value)
    return 0


if __name__ == "__main__":
    sys.exit(main())
