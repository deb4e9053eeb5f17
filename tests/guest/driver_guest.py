# SPDX-License-Identifier: GPL-2.0-or-later
"""driver_guest.py: a guest with the Linux driver in it, for the tests of the driver.

    with driver_guest.boot(kernel, host) as guest:   # kernel: of driver_module; module loaded
        driver_guest.files_of(guest)                 # {"mr0:sha256": bytes}, by sysfs
        driver_guest.host_values(guest)              # the same from the device's control socket
        driver_guest.client(guest, "one 3 3 1")      # tests/guest/driver-client.c in the guest

recount() is what hashlib makes of the digests that driver-client extends with.
"""
import hashlib
import struct

import driver_module
import guest as guest_library
import paths
from guest import Guest

CLIENT = paths.build("tests", "guest", "driver-client")
SIZES = {"sha256": 32, "sha384": 48}
HOST_OWNED = range(17, 23)
FILES = "/sys/devices/virtual/misc/monatt/measurements"
ERR_NONE, ERR_INDEX, ERR_LOCALITY = 0, 2, 3
EXTEND, RESET = 1, 2


def kernel_for_driver(tap):
    """The kernel that guest.py boots, with what the driver needs; skips all when it is missing."""
    lacking = guest_library.missing() or paths.missing(CLIENT)
    if lacking:
        tap.skip_all(f"{lacking} is missing")
    try:
        kernel = driver_module.guest_kernel()
        kernel.module("fs/configfs/configfs")
    except driver_module.Missing as error:
        tap.skip_all(str(error))
    return kernel


def extended(name, value, digest):
    return hashlib.new(name, value + digest).digest()


def digest(number, name):
    """What driver-client extends with."""
    return struct.pack("<Q", number) * (SIZES[name] // 8)


def recount(name, count, value=None):
    value = bytes(SIZES[name]) if value is None else value
    for number in range(count):
        value = extended(name, value, digest(number, name))
    return value


def client(guest, words, check=True):
    return guest.run(f"/driver-client {words}", check=check, seconds=600)


def info(guest):
    return dict(line.split() for line in client(guest, "info").text.splitlines())


def boot(kernel, host=None, modules=("fs/configfs/configfs",), load=True, words="", extra=(), **more):
    """The kernel's own modules that the driver needs come first; words: the driver's parameters; extra:
    more files, SRC:DST."""
    add = [f"{kernel.build()}:/monatt.ko", f"{CLIENT}:/driver-client", *extra]
    add += [f"{kernel.module(name)}:/needed-{i}.ko" for i, name in enumerate(modules)]
    guest = Guest(host, name="driver", add=add, vmlinuz=kernel.vmlinuz, **more)
    try:
        guest.run("".join(f"insmod /needed-{i}.ko && " for i in range(len(modules))) +
                  "mount -t configfs none /sys/kernel/config")
        if load:
            guest.run(f"insmod /monatt.ko {words} && test -c /dev/monatt")
    except BaseException:
        guest.report()
        guest.close()
        raise
    return guest


def files_of(guest):
    """{"mr0:sha256": value} of all measurement files."""
    text = guest.run(f"cd {FILES} && for f in *; do echo $f $(hexdump -v -e '1/1 \"%02x\"' $f); done")
    return {name: bytes.fromhex(value) for name, value in
            (line.split() for line in text.text.splitlines())}


def host_values(guest):
    return {f"mr{i}:{name}": value[place] for i, value in enumerate(guest.device.registers())
            for place, name in enumerate(SIZES)}


def page_values(page):
    """BAR2's layout, docs/register-map.md, by hand."""
    values = {}
    for i in range(24):
        at = 0x100 + i * 0x60
        values[f"mr{i}:sha256"] = page[at:at + 32]
        values[f"mr{i}:sha384"] = page[at + 32:at + 80]
    return values


def write_file(guest, name, value, check=True):
    octal = "".join(f"\\\\{byte:03o}" for byte in value)
    return guest.run(f"printf '%b' '{octal.replace(chr(92) * 2, chr(92) + '0')}' >/tmp/v && "
                     f"dd if=/tmp/v of={FILES}/{name} bs=256 2>/tmp/e || {{ cat /tmp/e >&2; false; }}",
                     check=check)
