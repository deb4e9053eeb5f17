#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""test-driver.py: the Linux driver in a real guest, seen from the guest and from the host.

What the driver's files show is compared with the device's control socket, spoken by the test's own
code; what an extend makes of a register is computed again with hashlib.  driver-client is the test's
own user of /dev/monatt.
"""
import errno
import hashlib
import os
import re
import signal
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from driver_guest import (ERR_INDEX, ERR_LOCALITY, ERR_NONE, EXTEND, FILES,  # noqa: E402
                          HOST_OWNED, RESET, SIZES, boot, client, extended, files_of, host_values,
                          info, kernel_for_driver, page_values, recount, write_file)
from guest import wait_for  # noqa: E402
from tap import Tap  # noqa: E402

BULK = 10000
CAP_RING, CAP_SHADOW = 0x8, 0x10
FEATURE_RING, FEATURE_SHADOW = 0x1, 0x2


def check_files(tap, guest):
    seen = files_of(guest)
    tap.is_equal(len(seen), 48, "48 measurement files")
    tap.is_equal(seen, host_values(guest), "they hold what the host's control socket says")
    modes = guest.run(f"stat -c '%a %n' {FILES}/*").text.splitlines()
    wanted = {f"{FILES}/mr{i}:{name}": "444" if i in HOST_OWNED else "644"
              for i in range(24) for name in SIZES}
    tap.is_equal({line.split()[1]: line.split()[0] for line in modes}, wanted,
                 "the host's registers are read-only files, the others belong to root")
    tap.is_equal(guest.run("stat -c %a /dev/monatt").text, "600", "/dev/monatt is root's alone")
    result = guest.run(f"su user -c 'cat {FILES}/mr3:sha256 | wc -c; cat /dev/monatt'", check=False)
    tap.ok(result.text == "32" and "denied" in result.error_text,
           "any user reads a file, none opens the device", result)


def check_sysfs_extends(tap, guest):
    for name, size in SIZES.items():
        value = hashlib.new(name, b"by sysfs").digest()
        write_file(guest, f"mr9:{name}", value)
        tap.is_equal(files_of(guest)[f"mr9:{name}"], extended(name, bytes(size), value),
                     f"a write extends, {name}")
        result = guest.run(f"tail -c +2 /tmp/v >/tmp/w; cat /tmp/w >{FILES}/mr9:{name}", check=False)
        tap.ok(result.status != 0 and "Invalid argument" in result.error_text,
               f"one byte less is refused, {name}", result)
    tap.is_equal(files_of(guest), host_values(guest), "and the host sees the same")
    result = write_file(guest, "mr17:sha256", bytes(32), check=False)
    tap.ok(result.status != 0 and "Permission denied" in result.error_text,
           "MR17 cannot be opened for writing, even by root", result)
    guest.device.extend(18, bytes([5]) + b"by the host")
    seen = files_of(guest)
    tap.is_equal(seen, host_values(guest), "an extend by the host is seen at once")
    tap.ok(seen["mr18:sha256"] != b"\xff" * 32, "and it did change the register")
    part = guest.run(f"dd if={FILES}/mr9:sha384 bs=1 skip=40 count=100 2>/dev/null").out
    tap.is_equal(part, seen["mr9:sha384"][40:], "a read from the middle gives the rest")


def check_bulk(tap, guest, count, how):
    records = guest.device.status()["records"]
    before = host_values(guest)
    result = client(guest, f"extend 4 {count} {count}")
    fields = dict(zip(result.text.split()[::2], map(int, result.text.split()[1::2])))
    tap.ok(fields["good"] == count and fields["ordered"] == 1, f"{count} extends {how}", result)
    seen = files_of(guest)
    for name in SIZES:
        tap.is_equal(seen[f"mr4:{name}"], recount(name, count, before[f"mr4:{name}"]),
                     f"MR4 is what hashlib makes of {count} digests {how}, {name}")
    status = guest.device.status()
    tap.is_equal(status["records"] - records, count, "each has one record in the log")
    if fields["last"]:
        got = info(guest)
        tap.is_equal((fields["last"] + 1, int(got["records"])), (status["records"],) * 2,
                     f"slots and INFO say how long the log is {how}")
        tap.ok(int(got["records_synced"]) <= status["records"], f"and how much the TPM has {how}")
    tap.is_equal(files_of(guest), host_values(guest), f"the host sees the same {how}")
    result = client(guest, "write 5 300")
    tap.is_equal(result.text, "written 300", f"write() takes slots {how}")
    tap.is_equal(host_values(guest)["mr5:sha256"], recount("sha256", 300, before["mr5:sha256"]),
                 f"and does them {how}")


def check_refusals(tap, guest, how):
    before = host_values(guest)
    for i in HOST_OWNED:
        result = client(guest, f"one {i} 3 {EXTEND}").text
        tap.is_equal(result, f"done 1 result {ERR_LOCALITY}", f"MR{i} is the host's {how}")
    tap.is_equal(client(guest, f"one 24 3 {EXTEND}").text, f"done 1 result {ERR_INDEX}",
                 f"there is no MR24 {how}")
    for banks in (0, 4, 0xffff):
        result = client(guest, f"one 2 {banks} {EXTEND}").text
        tap.ok(re.fullmatch("done 1 result [1-9]", result), f"banks {banks:#x} are refused {how}",
               result)
    tap.ok(client(guest, f"one 2 0 {RESET}").text != f"done 1 result {ERR_NONE}",
           f"MR2 cannot be reset {how}")
    tap.is_equal(host_values(guest), before, f"and no register has moved {how}")
    client(guest, f"one 16 3 {EXTEND}")
    changed = host_values(guest)["mr16:sha256"]
    client(guest, f"one 16 0 {RESET}")
    tap.is_equal((changed != bytes(32), host_values(guest)["mr16:sha256"]), (True, bytes(32)),
                 f"MR16 is extended and reset {how}")


def check_wrong_calls(tap, guest, shadow):
    got = {line.split()[0]: int(line.split()[1])
           for line in client(guest, "wrong").text.splitlines()}
    wanted = {name: errno.EINVAL for name in (
        "no-slots", "too-many-slots", "slot-size", "reserved", "content-size", "operation",
        "slot-reserved", "list-size", "inblob-size", "read-size", "read-offset", "write-size",
        "mmap-size")}
    wanted |= {"bad-pointer": errno.EFAULT, "ioctl": errno.ENOTTY, "mmap-write": errno.EACCES,
               "good": 0, "mprotect-write": errno.EACCES if shadow else got["mprotect-write"]}
    tap.is_equal(got, wanted, "wrong calls fail and say which way")


def check_page(tap, guest, shadow):
    page = bytes.fromhex(client(guest, "page").text)
    tap.is_equal(page_values(page), host_values(guest), "read() of /dev/monatt gives all registers")
    tap.is_equal(struct.unpack_from("<I", page, 4)[0], 24, "and their number")
    mapped = client(guest, "mapped", check=False)
    if shadow:
        tap.is_equal(page_values(bytes.fromhex(mapped.text)), host_values(guest),
                     "the shadow page equals them")
    else:
        tap.is_equal(mapped.text, f"mmap: errno {errno.EOPNOTSUPP}", "no shadow page to map")


def check_info(tap, guest):
    nonce = hashlib.sha256(b"for the driver").digest()
    guest.device.set_nonce(nonce)
    got = info(guest)
    status = guest.device.status()
    tap.is_equal((got["driver_version"], got["map_version"], got["nonce"], got["boot_count"]),
                 ("1", "1", nonce.hex(), str(status["boot_count"])), "INFO says what the host set")
    client(guest, "list 200000")
    tap.is_equal(guest.device.guest_list(), bytes(i % 251 for i in range(200000)),
                 "a process list of 200,000 bytes arrives whole")
    device = f"/sys/bus/pci/devices/{got['pci_name']}"
    exclusive = guest.run(f"grep monatt /proc/iomem; readlink {device}/driver")
    tap.ok(exclusive.text.count("monatt") == 3, "the driver holds both BARs", exclusive)
    return device


def check_rebind(tap, guest, device, shadow):
    before = host_values(guest)
    name = os.path.basename(device)
    guest.run("/driver-client hold /tmp/go >/tmp/held 2>&1 & echo started")
    guest.run("sleep 1; ls -l /proc/*/fd 2>/dev/null | grep -q /dev/monatt")
    guest.run(f"echo {name} >{device}/driver/unbind && test ! -e /dev/monatt && test ! -d {FILES}")
    guest.run("touch /tmp/go; sleep 1")
    held = dict(line.split() for line in guest.run("cat /tmp/held").text.splitlines())
    tap.is_equal(held["shadow"], "odd" if shadow else "none",
                 "a page that is still mapped says that it is stale")
    tap.is_equal({held[call] for call in ("read", "submit", "mmap")}, {str(errno.ENODEV)},
                 "who still has the device open gets ENODEV")
    guest.run(f"echo {name} >/sys/bus/pci/drivers/monatt/bind")
    tap.is_equal(files_of(guest), host_values(guest), "bound again, it shows the registers")
    guest.run("rm -f /tmp/go; for i in $(seq 20); do rmmod monatt && insmod /monatt.ko || exit 1; "
              "done")
    tap.is_equal(files_of(guest), before, "20 times out and in reset no register")
    client(guest, f"extend 6 100 7")
    tap.is_equal(host_values(guest)["mr6:sha256"], recount("sha256", 100), "and it still extends")
    oops = guest.run("dmesg | grep -E 'BUG|WARNING|Oops|Call Trace' || true").text
    tap.is_equal(oops, "", "the kernel complains about nothing")


def check_device_lost(tap, guest):
    guest.run("rmmod monatt && insmod /monatt.ko")
    pid = guest.device.status()["device"]
    # The service first: it would start another one.
    guest.host.service.kill()
    guest.host.service.wait()
    if os.path.exists(f"/proc/{pid}"):
        os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not os.path.exists(f"/proc/{pid}"), "end of the device")
    result = guest.run(f"cat {FILES}/mr1:sha256", check=False)
    tap.ok(result.status != 0 and "No such device" in result.error_text,
           "the device is gone for good: a read says ENODEV", result)
    result = write_file(guest, "mr1:sha256", bytes(32), check=False)
    tap.ok(result.status != 0 and "No such device" in result.error_text, "so does a write", result)
    for words in ("page", f"one 1 3 {EXTEND}", "list 100", "info"):
        result = client(guest, words, check=False)
        tap.ok(f"errno {errno.ENODEV}" in result.text, f"so does {words.split()[0]}", result)
    guest.run("rmmod monatt")
    result = guest.run("insmod /monatt.ko && test ! -e /dev/monatt; dmesg | tail -n 5")
    tap.ok(result.status == 0, "the module can be taken out and put in again", result)


def features(guest, tap):
    got = info(guest)
    capabilities, in_use = int(got["capabilities"]), int(got["features"])
    ring, shadow = bool(capabilities & CAP_RING), bool(capabilities & CAP_SHADOW)
    tap.is_equal((bool(in_use & FEATURE_RING), bool(in_use & FEATURE_SHADOW)), (ring, shadow),
                 "ring and shadow page are on when the device has them")
    return ring, shadow


def check_trapped(tap, guest):
    """The same without ring and shadow page: an older device, or one behind an IOMMU."""
    guest.run("rmmod monatt && insmod /monatt.ko ring=0")
    tap.is_equal(int(info(guest)["features"]) & (FEATURE_RING | FEATURE_SHADOW), 0,
                 "ring=0: neither ring nor shadow page is on")
    check_files(tap, guest)
    check_page(tap, guest, False)
    check_bulk(tap, guest, 500, "through trapped registers")
    check_refusals(tap, guest, "through trapped registers")
    check_wrong_calls(tap, guest, False)


def check_guest_kernel(tap, kernel):
    with boot(kernel) as guest:
        ring, shadow = features(guest, tap)
        how = "through the ring" if ring else "without a ring"
        check_files(tap, guest)
        check_sysfs_extends(tap, guest)
        check_page(tap, guest, shadow)
        check_bulk(tap, guest, BULK, how)
        check_refusals(tap, guest, how)
        check_wrong_calls(tap, guest, shadow)
        device = check_info(tap, guest)
        check_page(tap, guest, shadow)
        check_rebind(tap, guest, device, shadow)
        check_trapped(tap, guest)
        check_device_lost(tap, guest)


def main():
    tap = Tap()
    kernel = kernel_for_driver(tap)
    with tap:
        check_guest_kernel(tap, kernel)
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
