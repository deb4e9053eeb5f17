#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""replay-cel.py FILE... [--bank BANK] [--pcr N] [--records N] [--json | --list]

Computes from a VM's event log what its PCRs must hold, with nothing of Monatt: written from
docs/formats/event-log.md and the Python standard library, so that an error in the C code and one
here must be the same error to go unseen.  Prints "BANK PCR HEX", one a line.  A log that begins
with a checkpoint starts from its values; several files must be segments of one boot, in order and
without a gap, and each checkpoint must be what the file before it ends at and have kept what it
must.  The checkpoint's signatures are for tpm2_checkquote (monatt evidence export).

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
CHECKPOINT, CHECKPOINT_MAGIC = 0xd4, b"MCK1"
RETAINED_MAXIMUM, BOOT_ITEMS_MAXIMUM, FINDINGS_MAXIMUM, DEGRADED_MAXIMUM = 130, 64, 32, 32
PLUGIN, TASKS, BOOT, REPORTS = 17, 19, 20, 22
SUMMARY_RECORD, FINDING_RECORD = 0x1901, 0x1902
CHECK_SUMMARY_RECORD, CHECK_FINDING_RECORD = 0x1908, 0x1909
DEGRADED = 2
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


def entries(data, offset=None):
    """Yields {"number", "pcr", "digests", "kind", "content"} in the log's order, from its first
    record on; those that a checkpoint retains are in take_checkpoint()."""
    if offset is None:
        offset = take_checkpoint(data)["end"] if data[:1] == bytes([CHECKPOINT]) else 0
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


def start_values():
    return {name: [b"\xff" * size if pcr in EVIDENCE else bytes(size) for pcr in range(REGISTERS)]
            for name, size in BANKS.values()}


def extend(values, entry):
    for name, _ in BANKS.values():
        if name in entry["digests"]:
            both = values[name][entry["pcr"]] + entry["digests"][name]
            values[name][entry["pcr"]] = hashlib.new(name, both).digest()


def check_summary_key(payload):
    """Of 0x1908: the key of a summary with findings that are not degraded."""
    findings, degraded = struct.unpack_from(">II", payload, 10)
    return payload[:2] if findings > degraded else None


def says(entry):
    """What a record of MR19 says: None, "other", or (is it a compromise?, type, its key)."""
    content = entry["content"]
    if len(content) < 72 or content[:4] != b"MTE1":
        return "other"
    kind, payload = struct.unpack(">H", content[4:6])[0], content[72:]
    key, compromised = None, True
    if kind == FINDING_RECORD:
        key = payload[:14] + payload[22:30]  # sub-check, address, pid; start time
    elif kind == SUMMARY_RECORD:
        key = payload[:2] if payload[18:22] != bytes(4) else None
    elif kind == CHECK_FINDING_RECORD:
        compromised = payload[2] != DEGRADED
        size = struct.unpack_from(">H", payload, 27)[0]
        key = payload[:2] + payload[7:29 + size]  # check; address, pid, start time, object
    elif kind == CHECK_SUMMARY_RECORD:
        key = check_summary_key(payload)
    else:
        return "other"
    return (compromised, kind, key) if key is not None else None


def take_checkpoint(data):
    """The checkpoint at the start of a segment, as docs/formats/event-log.md has it."""
    def need(good, why):
        if not good:
            raise Refused("checkpoint: " + why)
    kind, at, end = take_tlv(data, 0, len(data))
    need(kind == CHECKPOINT and end - at >= 4, "none at the start")
    size = struct.unpack_from(">I", data, at)[0]
    need(size <= end - at - 4, "body does not fit")
    body, at, parts = data[at + 4:at + 4 + size], at + 4 + size, []
    for _ in range(4):
        need(end - at >= 2, "cut")
        length = struct.unpack_from(">H", data, at)[0]
        need(length <= end - at - 2, "cut")
        parts.append(data[at + 2:at + 2 + length])
        at += 2 + length
    need(at == end, "more behind its quotes")
    need(len(body) >= 2326 and body[:6] == CHECKPOINT_MAGIC + b"\0\1", "not of version 1")
    boots, segment, records = struct.unpack_from(">QQQ", body, 54)
    values, extends = {name: [] for name, _ in BANKS.values()}, []
    for pcr in range(REGISTERS):
        base = 110 + 88 * pcr
        values["sha256"].append(body[base:base + 32])
        values["sha384"].append(body[base + 32:base + 80])
        extends.append(struct.unpack_from(">Q", body, base + 80)[0])
    findings, others, count, length = struct.unpack_from(">QQII", body, 2302)
    need(segment > 0 and records > 0 and sum(extends) == records, "counts do not add up")
    need(count <= RETAINED_MAXIMUM and len(body) == 2326 + length, "retained records do not fit")
    start = start_values()
    for pcr in range(REGISTERS):
        need(extends[pcr] > 0 or all(values[n][pcr] == start[n][pcr] for n in values),
             f"MR{pcr} was never extended and is not at its start value")
    retained, last = list(entries(body[2326:], 0)), -1
    need(len(retained) == count, "another number of retained records")
    start["sha256"][REPORTS], start["sha384"][REPORTS] = body[2222:2254], body[2254:2302]
    counts = dict.fromkeys((PLUGIN, TASKS, BOOT, REPORTS, DEGRADED), 0)
    for entry in retained:
        need(last < entry["number"] < records, "retained records out of order")
        need(entry["pcr"] in (PLUGIN, TASKS, BOOT, REPORTS) and entry["kind"] == RECORD,
             "retains what it must not")
        check(entry, entry["number"])
        said = says(entry) if entry["pcr"] == TASKS else (True,)
        need(said not in (None, "other"), "retains what is no finding")
        counts[entry["pcr"] if said[0] else DEGRADED] += 1
        last = entry["number"]
        extend(start, entry)
    need(counts[BOOT] == extends[BOOT] and all(values[n][BOOT] == start[n][BOOT] for n in values),
         "the boot items are not those of MR20")
    need(counts[REPORTS] == min(extends[REPORTS], 1) and
         all(values[n][REPORTS] == start[n][REPORTS] for n in values),
         "the report is not the last of MR22")
    need(counts[PLUGIN] == min(extends[PLUGIN], 1), "one record of MR17 must be retained")
    need(findings + others + counts[DEGRADED] <= extends[TASKS] and
         min(findings, 1) <= counts[TASKS] <= findings, "findings are not as many as it says")
    return {"vid": body[6:22], "seed": body[22:54], "boot": boots, "segment": segment,
            "records": records, "previous": body[78:110], "values": values, "extends": extends,
            "findings": findings, "others": others, "retained": retained, "body": body,
            "quotes": {"sha256": parts[:2], "sha384": parts[2:]}, "end": end}


def kept(checkpoint, data):
    """(findings, others, retained records) that the checkpoint behind this segment must have."""
    retained = list(checkpoint["retained"]) if checkpoint else []
    findings = checkpoint["findings"] if checkpoint else 0
    others = checkpoint["others"] if checkpoint else 0
    for entry in entries(data):
        if entry["kind"] != RECORD:
            continue
        if entry["pcr"] in (PLUGIN, REPORTS):
            retained = [e for e in retained if e["pcr"] != entry["pcr"]]
        elif entry["pcr"] == TASKS:
            said = says(entry)
            others += said == "other"
            if said in (None, "other"):
                continue
            findings += said[0]
            have = [says(e) for e in retained if e["pcr"] == TASKS]
            have = [s for s in have if s[0] == said[0]]
            full = len(have) == (FINDINGS_MAXIMUM if said[0] else DEGRADED_MAXIMUM)
            if said in have or full:
                others += full and not said[0] and said not in have
                continue
        elif entry["pcr"] != BOOT:
            continue
        retained.append(entry)
    return findings, others, sorted(retained, key=lambda e: e["number"])


def follow(checkpoint, before, data, values, extends, records):
    """Refuses a checkpoint that is not the one behind this segment."""
    if checkpoint["segment"] != (before["segment"] if before else 0) + 1:
        raise Refused("a segment is left out")
    if before and any(before[key] != checkpoint[key] for key in ("vid", "seed", "boot")):
        raise Refused("segments of two VMs or two boots")
    if checkpoint["previous"] != hashlib.sha256(data).digest():
        raise Refused("a checkpoint made behind another file")
    if (checkpoint["records"], checkpoint["values"], checkpoint["extends"]) != (records, values,
                                                                                extends):
        raise Refused("a segment does not end at the next checkpoint's registers")
    if (checkpoint["findings"], checkpoint["others"], checkpoint["retained"]) != kept(before, data):
        raise Refused("a checkpoint has not kept what it must")


def replay_segment(data, records=None):
    """(checkpoint or None, records of the boot so far, {bank: values}, extends of each PCR)."""
    checkpoint = take_checkpoint(data) if data[:1] == bytes([CHECKPOINT]) else None
    done, values, extends = 0, start_values(), [0] * REGISTERS
    if checkpoint:
        done, extends = checkpoint["records"], list(checkpoint["extends"])
        values = {name: list(bank) for name, bank in checkpoint["values"].items()}
    for entry in entries(data):
        if done == records:
            break
        check(entry, done)
        if entry["kind"] == RESET:
            for name, size in BANKS.values():
                values[name][entry["pcr"]] = bytes(size)
        extend(values, entry)
        extends[entry["pcr"]] += 1
        done += 1
    if records is not None and done != records:
        raise Refused(f"the log ends after {done} records, {records} are wanted")
    return checkpoint, done, values, extends


def replay(data, records=None):
    """(records of the boot, {bank: [value of each PCR]}); records: only up to that many, or all."""
    _, done, values, _ = replay_segment(data, records)
    return done, values


def replay_files(logs, records=None):
    """The same of several segments in order."""
    before, last = None, None
    for number, data in enumerate(logs):
        wanted = records if number == len(logs) - 1 else None
        checkpoint, done, values, extends = replay_segment(data, wanted)
        if last:
            if not checkpoint:
                raise Refused("a segment without a checkpoint behind another")
            follow(checkpoint, before, *last)
        before, last = checkpoint, (data, values, extends, done)
    return done, values


def main():
    parser = argparse.ArgumentParser(prog="replay-cel.py", description=__doc__.split("\n")[2])
    parser.add_argument("file", nargs="+")
    parser.add_argument("--bank", choices=[name for name, _ in BANKS.values()])
    parser.add_argument("--pcr", type=int)
    parser.add_argument("--records", type=int, help="only the first N records")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--list", action="store_true", help="the records instead of the values")
    options = parser.parse_args()
    logs = []
    for name in options.file:
        with open(name, "rb") as file:
            logs.append(file.read())
    try:
        if options.list:
            for entry in (entry for data in logs for entry in entries(data)):
                print(entry["number"], f"MR{entry['pcr']}", KINDS[entry["kind"]],
                      len(entry["content"]), entry["digests"].get("sha256", b"").hex() or "-")
            return 0
        done, values = replay_files(logs, options.records)
    except Refused as reason:
        print(f"replay-cel.py: {options.file[-1]}: {reason}", file=sys.stderr)
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
