#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""test-ima.py: a Linux that measures itself, and MR10 beside the PCR 10 of its own TPM.

The list is replayed here a second time, from the bytes that the guest shows, by code that shares
nothing with monatt-guest; the guest's TPM is a third opinion.
"""
import hashlib
import os
import random
import struct
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "lib"), HERE]
import guest as guest_library  # noqa: E402
import paths  # noqa: E402
from guest import Guest, Host, die_with_parent, wait_for  # noqa: E402
from ima_list import LIST, digest_of, expect, log_entries, make_entries, read_list, register  # noqa: E402
from tap import Tap  # noqa: E402

KEXEC = paths.build("tests", "guest", "kexec-now")
# Files of a ramfs are measured, those of a tmpfs are not (the policy "tcb" leaves it out).
APPEND = "ima_policy=tcb|critical_data rootfstype=ramfs"
OLD = "ima_policy=tcb ima_template=ima ima_hash=sha1 rootfstype=ramfs"
KILLS, SEED = 20, 20260211
HEADER = ">4sHHI16sQQQQIII"
ENTRY, ANEW = 0x1001, 0x1002


def follow(guest, *words):
    return guest.run(f"monatt-guest ima-follow --once --json {' '.join(words)}").json()


def records(guest):
    """(type, sequence, payload, entry of the log) of the guest's records in MR10."""
    found = []
    for entry in log_entries(guest):
        content = entry["content"]
        if entry["pcr"] != 10 or content[:4] != b"MTE1":
            continue
        fields = struct.unpack_from(HEADER, content)
        assert fields[3] == len(content), fields
        assert fields[4:6] == (bytes(16), 0) and fields[7:10] == (0, 0, 0), fields
        found.append((fields[1], fields[6], content[72:], entry))
    return found


def decode(payload):
    pcr, listed, length = struct.unpack_from(">I20sH", payload)
    name = payload[26:26 + length].decode()
    form, size = struct.unpack_from(">BI", payload, 26 + length)
    return pcr, listed, name, form, size, payload[31 + length:]


def check_records(tap, guest, rows):
    found = records(guest)
    tap.is_equal([(kind, number) for kind, number, _, _ in found],
                 [(ENTRY, i) for i in range(len(rows))], "a record an entry, in their order")
    wrong = []
    for (_, _, payload, entry), row in zip(found, rows):
        pcr, listed, name, data = row
        got = decode(payload)
        whole = data if got[3] == 1 else hashlib.sha256(data).digest()
        if got != (pcr, listed, name, got[3], len(data), whole) or \
                entry["digests"]["sha256"] != digest_of(hashlib.sha256, row) or \
                entry["digests"]["sha384"] != digest_of(hashlib.sha384, row):
            wrong.append(got)
    tap.is_equal(wrong, [], "each holds the entry's template and its data")


def check_tpm(tap, guest):
    """The kernel extended PCR 10 of its own TPM with the same."""
    command = "cat /sys/class/tpm/tpm0/pcr-sha256/10 /sys/class/tpm/tpm0/pcr-sha384/10"
    shown = guest.run(command, check=False)
    if shown.status != 0:
        tap.skip(f"the guest has no TPM: {shown.error_text}", "MR10 is PCR 10 of the guest's TPM")
        return
    while follow(guest)["extended"]:
        shown = guest.run(command)
    pcrs, values = shown.text.lower().split(), [value.hex() for value in register(guest)]
    tap.is_equal(pcrs[0], values[0], "MR10 is PCR 10 of the guest's own TPM, SHA-256")
    # A kernel without a bank's hash when IMA starts (Debian's SHA-384 is a module) extends the
    # listed SHA-1 in its place, filled with zeros (ima_crypto.c).  MR10 has the real one.
    weak = bytes(48)
    for _, listed, _, _ in read_list(guest):
        digest = b"\xff" * 48 if listed == bytes(20) else listed.ljust(48, b"\0")
        weak = hashlib.sha384(weak + digest).digest()
    tap.ok(pcrs[1] in (values[1], weak.hex()), "and SHA-384, or what this kernel has for it",
           (pcrs, values, weak.hex()))
    tap.note("this kernel's PCR 10 in the SHA-384 bank is made of " +
             ("SHA-384" if pcrs[1] == values[1] else "SHA-1 and zeros"))


def check_first(tap, guest, templates):
    counts = follow(guest)
    tap.ok(counts["entries"] > 2 and counts["extended"] == counts["entries"] and
           not counts["anew"], "the whole list goes in", counts)
    rows = expect(tap, guest, counts, "at first")
    check_records(tap, guest, rows)
    tap.is_equal({row[2] for row in rows}, templates, "entries of the templates that were asked for")
    counts = follow(guest)
    tap.ok(counts["known"] >= len(rows), "a second run finds its place", counts)
    guest.run("echo x >/root/open; exec 5</root/open; cat /root/open >/dev/null; "
              "echo y >>/root/open; cat /root/open >/dev/null")
    guest.run("head -c 3000 /dev/zero >'/root/a file with an odd name \x1b[31m'; "
              "cat /root/a*name* >/dev/null")
    counts = follow(guest)
    tap.ok(counts["violations"] > 0, "a violation is an entry too", counts)
    rows = expect(tap, guest, counts, "with a violation")
    check_records(tap, guest, rows)
    counts = follow(guest, "--register", "11")
    tap.ok(counts["extended"] == 0 and counts["others"] == counts["entries"],
           "no entry is for PCR 11", counts)


def check_kills(tap, guest):
    """Killed again and again while files are measured: nothing twice, nothing lost."""
    before = guest.read(10)["extends"]
    rows = len(read_list(guest))
    load = guest.spawn(f"sh -c '{make_entries(1500, 'load')}'")
    random.seed(SEED)
    pauses = " ".join(str(random.randint(1, 900000)) for _ in range(KILLS))
    killed = guest.run(f"n=0; for us in {pauses}; do monatt-guest ima-follow 2>/tmp/follow & p=$!; "
                       "usleep $us; kill -9 $p && n=$((n+1)); wait $p 2>/dev/null; done; echo $n; "
                       "cat /tmp/follow >&2", seconds=300)
    tap.ok(int(killed.text) >= KILLS, f"killed {KILLS} times", killed)
    wait_for(lambda: guest.run(f"kill -0 {load}", check=False).status != 0, "end of the load", 300)
    moved = guest.read(10)["extends"] - before
    counts = follow(guest)
    tap.ok(0 < moved and counts["extended"] > 0, "some before each kill, the rest after them",
           (moved, counts))
    tap.ok(counts["entries"] >= rows + 1500, "the load made its entries", counts)
    rows = expect(tap, guest, counts, "after the kills")
    tap.is_equal(guest.read(10)["extends"], len(rows), "as many extends as entries")
    check_records(tap, guest, rows)


def check_following(tap, guest):
    """The descriptor that was read to its end gives what comes later."""
    pid = guest.spawn("monatt-guest ima-follow")
    guest.run(make_entries(200, "later"))
    wanted = len(read_list(guest))
    wait_for(lambda: guest.read(10)["extends"] >= wanted, "the follower follows", 60)
    busy = guest.run("monatt-guest ima-follow --once", check=False)
    tap.ok(busy.status == 1 and "another ima-follow" in busy.error_text,
           "one follower a register", busy)
    guest.run(f"kill {pid}")
    expect(tap, guest, follow(guest), "followed")
    start = time.monotonic()
    size = int(guest.run(f"cat {LIST} | wc -c").text)
    tap.note(f"list of {wanted} entries, {size} bytes: read once in "
             f"{(time.monotonic() - start) * 1000:.0f} ms")


def check_moved(tap, guest):
    value = register(guest)
    digests = [kind(b"someone else").digest() for kind in (hashlib.sha256, hashlib.sha384)]
    guest.run(f"monatt-guest extend 10 {digests[0].hex()} {digests[1].hex()}")
    refused = guest.run("monatt-guest ima-follow --once", check=False)
    tap.ok(refused.status == 1 and "does not lead to its value" in refused.error_text and
           "--begin-anew" in refused.error_text, "moved by something else: said, with a way out",
           refused)
    value = tuple(kind(old + new).digest() for kind, old, new in
                  zip((hashlib.sha256, hashlib.sha384), value, digests))
    tap.is_equal(register(guest), value, "and nothing is extended")
    counts = follow(guest, "--begin-anew")
    tap.ok(counts["anew"] and counts["extended"] == counts["entries"], "--begin-anew", counts)
    check_anew(tap, guest, counts, value, 2)
    tap.is_equal(follow(guest)["anew"], False, "and goes on from there")


def check_anew(tap, guest, counts, before, reason):
    """MR10: its value before, the record's own hash, the list from its first entry."""
    boot = guest.run("cat /proc/sys/kernel/random/boot_id").text.replace("-", "")
    last = [row for row in records(guest) if row[0] == ANEW][-1]
    tap.is_equal(last[1:3], (0, struct.pack(">H", reason) + bytes.fromhex(boot)),
                 f"the record of a new beginning: reason {reason}, this kernel's boot")
    base = tuple(kind(old + kind(last[3]["content"]).digest()).digest() for kind, old in
                 zip((hashlib.sha256, hashlib.sha384), before))
    expect(tap, guest, counts, "behind it", base)


def check_kexec(tap, guest):
    """Another kernel, the same boot of the VM: MR10 stays, the list is a new one."""
    while follow(guest)["extended"]:
        pass
    before, boot = register(guest), guest.run("cat /proc/sys/kernel/random/boot_id").text
    guest.send("/kexec-now /vmlinuz /initrd >/dev/ttyS0 2>&1")
    guest.wait_ready()
    tap.ok(guest.run("cat /proc/sys/kernel/random/boot_id").text != boot, "kexec: another kernel")
    tap.is_equal((register(guest), guest.run("cat /proc/sys/kernel/bootloader_type").text),
                 (before, str(0xD0)), "MR10 keeps its value, and the kernel knows who started it")
    counts = follow(guest)
    tap.ok(counts["anew"] and counts["extended"] == counts["entries"] > 2,
           "the list begins anew", counts)
    check_anew(tap, guest, counts, before, 1)
    guest.run(make_entries(5, "kexec"))
    counts = follow(guest)
    tap.ok(not counts["anew"] and counts["extended"] >= 5, "and goes on", counts)
    check_anew(tap, guest, counts, before, 1)


def start_tpm(host):
    """The guest's own TPM, which the host's device knows nothing of; options for QEMU."""
    folder = f"{host.folder}/vtpm"
    os.makedirs(folder)
    child = subprocess.Popen(["swtpm", "socket", "--tpm2", "--tpmstate", f"dir={folder}", "--ctrl",
                              f"type=unixio,path={folder}/ctrl"], preexec_fn=die_with_parent)
    host.children.append(child)
    wait_for(lambda: os.path.exists(f"{folder}/ctrl"), "the guest's TPM", alive=child)
    return ["-chardev", f"socket,id=vtpm,path={folder}/ctrl", "-tpmdev",
            "emulator,id=vtpm0,chardev=vtpm", "-device", "tpm-crb,tpmdev=vtpm0"]


def main():
    tap = Tap()
    lacking = guest_library.missing() or paths.missing(KEXEC)
    if lacking:
        tap.skip_all(f"{lacking} is missing")
    kernel = guest_library.kernel()
    add = [f"{KEXEC}:/kexec-now", f"{kernel}:/vmlinuz", f"{guest_library.initramfs()}:/initrd"]
    with tap, Host() as host:
        with Guest(host, name="ima", append=APPEND, memory_mb=512, add=add,
                   options=start_tpm(host)) as guest:
            check_first(tap, guest, {"ima-sig", "ima-buf"})
            check_tpm(tap, guest)
            check_kills(tap, guest)
            check_following(tap, guest)
            check_tpm(tap, guest)
            check_moved(tap, guest)
            check_kexec(tap, guest)
    with tap, Host() as host:
        with Guest(host, name="ima-old", append=OLD, options=start_tpm(host)) as guest:
            check_first(tap, guest, {"ima"})
            check_tpm(tap, guest)
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
