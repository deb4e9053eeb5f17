#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""test-driver-hard.py: the Linux driver when something is against it.

Lockdown, a TPM that stands still, a client that is killed in the middle, bus mastering switched off
behind the driver, a device that lies, a reset of the bus, an IOMMU, suspend to RAM, kexec; several
programs at once.  Nothing may hang, get lost or be done twice.
"""
import contextlib
import glob
import mmap
import os
import random
import secrets
import signal
import struct
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import guest as guest_library  # noqa: E402
import later_qemu  # noqa: E402
from driver_guest import (CLIENT, ERR_LOCALITY, EXTEND, SIZES, boot, client, files_of,  # noqa: E402
                          host_values, info, kernel_for_driver, recount, write_file)
from guest import GuestError, wait_for  # noqa: E402
from tap import Tap  # noqa: E402

FEATURE_RING, FEATURE_SHADOW = 0x1, 0x2
REG_RING_CONTROL, REG_SHADOW_CONTROL = 0x6C, 0x80
MANY = 30000      # more than the pipe to the TPM takes
ERR_BUSY = 5
HEADER_SIZE, SLOT_SIZE, SLOT_SHA256, SLOTS = 0x1000, 0x480, 0x20, 256
LIES = 24
WILD = 3000


def wants(guest, wanted):
    return int(info(guest)["features"]) & (FEATURE_RING | FEATURE_SHADOW) == wanted


def recounted(tap, guest, index, count, name):
    values = host_values(guest)
    tap.is_equal([values[f"mr{index}:{bank}"] for bank in SIZES],
                 [recount(bank, count) for bank in SIZES], name)


def check_lockdown(tap, guest):
    device = f"/sys/bus/pci/devices/{info(guest)['pci_name']}"
    result = client(guest, f"peek {device}/resource0 0", check=False)
    tap.is_equal(result.text, "mmap: errno 22", "nobody maps a BAR that the driver holds")
    guest.run("echo integrity >/sys/kernel/security/lockdown")
    tap.contains(guest.run("cat /sys/kernel/security/lockdown").text, "[integrity]", "lockdown is on")
    result = client(guest, f"peek {device}/resource0 0", check=False)
    tap.is_equal(result.text, "mmap: errno 1", "lockdown: mapping a BAR is forbidden")
    result = guest.run("insmod /monatt.ko", check=False)
    tap.ok(result.status != 0 and "exists" not in result.error_text.lower(),
           "lockdown: a module without signature is refused", result)
    client(guest, "extend 4 1000 300")
    recounted(tap, guest, 4, 1000, "lockdown: 1000 extends by /dev/monatt")
    write_file(guest, "mr5:sha256", bytes(8) * 4)
    tap.is_equal(files_of(guest), host_values(guest), "lockdown: extends and reads by sysfs")
    tap.ok(client(guest, "mapped").status == 0, "lockdown: the shadow page is mapped")
    tap.is_equal(client(guest, f"one 17 3 {EXTEND}").text, f"done 1 result {ERR_LOCALITY}",
                 "lockdown: MR17 is still the host's")


def check_together(tap, guest):
    """Two CPUs, four writers and a reader."""
    guest.run("for i in 8 9 10 11; do /driver-client extend $i 2000 $((i * 7)) >/tmp/o$i & done; "
              "while ls /proc/*/exe -l 2>/dev/null | grep -q driver-client; do "
              "/driver-client page >/tmp/page || exit 1; done; wait", seconds=600)
    for index in (8, 9, 10, 11):
        recounted(tap, guest, index, 2000, f"four programs at once: MR{index} is right")


def check_stopped_tpm(tap, guest):
    swtpm = guest.device.swtpm()
    records = guest.device.status()["records"]
    os.kill(swtpm, signal.SIGSTOP)
    try:
        guest.run(f"/driver-client extend 12 {MANY} 8192 >/tmp/o12 2>&1 & echo started")
        wait_for(lambda: "result" in guest.run("cat /tmp/o12").text or
                 guest.device.status()["records"] - records >= MANY, "extends or their end", 90)
        read = guest.run("cd /sys/devices/virtual/misc/monatt/measurements; "
                         "hexdump -v -e '1/1 \"%02x\"' mr12:sha256").text
        text = guest.run("cat /tmp/o12").text
    finally:
        os.kill(swtpm, signal.SIGCONT)
    done = guest.device.status()["records"] - records
    tap.is_equal(read, host_values(guest)["mr12:sha256"].hex(), "a TPM that stands: reads do not wait")
    words = text.split()
    tap.ok(words[:1] == ["done"] and int(words[1]) < MANY and int(words[3]) == ERR_BUSY,
           "a TPM that stands: a full pipe ends in busy, with what was done", text)
    tap.is_equal(int(words[1]), done, "a TPM that stands: the log has what was said to be done")
    client(guest, f"extend 12 {MANY - done} 8192 {done}")
    recounted(tap, guest, 12, MANY, "and the rest, submitted later: none lost, none twice")


def check_killed_client(tap, guest):
    swtpm = guest.device.swtpm()
    records = guest.device.status()["records"]
    os.kill(swtpm, signal.SIGSTOP)
    try:
        pid = guest.spawn(f"/driver-client extend 13 {MANY} 8192")
        last = [-1]

        def stands():
            now, before = guest.device.status()["records"], last[0]
            last[0] = now
            time.sleep(0.5)
            return now == before and now > records
        wait_for(stands, "a full pipe", 60)
        guest.run(f"kill -9 {pid}; while kill -0 {pid} 2>/dev/null; do usleep 20000; done")
    finally:
        os.kill(swtpm, signal.SIGCONT)
    done = guest.device.status()["records"] - records
    recounted(tap, guest, 13, done, f"a client killed while it waits: {done} extends, in order")
    client(guest, "extend 14 400 400")
    recounted(tap, guest, 14, 400, "and the next client finds everything in order")
    tap.is_equal(guest.device.status()["records"] - records, done + 400,
                 "and nothing of the killed one comes later")


def check_master_off(tap, guest):
    """Root, or a virus, writes to the configuration space: the device forgets the ring."""
    config = f"/sys/bus/pci/devices/{info(guest)['pci_name']}/config"
    guest.run(f"printf '\\002\\000' | dd of={config} bs=1 seek=4 conv=notrunc 2>/dev/null")
    client(guest, "extend 15 700 100")
    recounted(tap, guest, 15, 700, "bus mastering switched off behind the driver: 700 extends")
    wait_for(lambda: wants(guest, FEATURE_RING | FEATURE_SHADOW), "ring and shadow page again", 30)
    tap.ok(client(guest, "mapped").status == 0, "ring and shadow page come back")
    client(guest, "extend 15 300 300 700")
    recounted(tap, guest, 15, 1000, "and 300 more")


class GuestRam:
    """The guest's memory, as the process on the host has it that plays the device."""

    def __init__(self, guest):
        for name in glob.glob(f"/proc/{guest.process.pid}/fd/*"):
            if "memfd:" in os.readlink(name) and os.stat(name).st_size >= 128 << 20:
                with open(name, "r+b") as file:
                    self.bytes = mmap.mmap(file.fileno(), 0)
                return
        raise guest_library.GuestError("QEMU's memory is not found")

    def find_ring(self, digest):
        """Where the ring's header is, by a digest that lies in one of its slots."""
        at = self.bytes.find(digest)
        while at >= 0:
            for slot in range(SLOTS):
                header = at - SLOT_SHA256 - slot * SLOT_SIZE - HEADER_SIZE
                if header >= 0 and header % HEADER_SIZE == 0:
                    produced, = struct.unpack_from("<I", self.bytes, header)
                    consumed, = struct.unpack_from("<I", self.bytes, header + 0x40)
                    if produced == consumed and produced % SLOTS == (slot + 1) % SLOTS:
                        return header
            at = self.bytes.find(digest, at + 1)
        return None


def check_lying_device(tap, guest):
    """Counts, flags, results and sizes that no honest device writes into the ring."""
    digest = secrets.token_bytes(32)
    write_file(guest, "mr1:sha256", digest)
    ram = GuestRam(guest)
    header = ram.find_ring(digest)
    if not tap.ok(header is not None, "the ring is found in the guest's memory"):
        return
    size = HEADER_SIZE + SLOTS * SLOT_SIZE
    chance = random.Random(5)
    answers = {}
    for number in range(LIES):
        if number % 2:
            ram.bytes[header:header + size] = chance.randbytes(size)
        else:
            struct.pack_into("<I", ram.bytes, header + 0x40, chance.getrandbits(32))
        result = client(guest, f"extend 6 {chance.randrange(1, 600)} 256", check=False)
        kind = " ".join(result.text.split()[-2:]) if result.status else "done"
        answers[kind] = answers.get(kind, 0) + 1
    tap.ok(set(answers) <= {"done", "errno 5"} and answers.get("errno 5", 0) > 0,
           f"{LIES} lies in the ring: extends end as done or in EIO", answers)
    records = guest.device.status()["records"]
    before = host_values(guest)["mr7:sha256"]
    client(guest, "extend 7 500 256")
    tap.is_equal((host_values(guest)["mr7:sha256"], guest.device.status()["records"] - records),
                 (recount("sha256", 500, before), 500), "and after them the ring works again")
    tap.is_equal(files_of(guest), host_values(guest), "and the files tell the truth")
    ram.bytes.close()


def check_wild_calls(tap, guest):
    """A program with any arguments: what it may do it does, and nothing else happens."""
    hosts = [value for name, value in host_values(guest).items() if 17 <= number_of(name) <= 22]
    for seed in (1, 2, 3):
        result = client(guest, f"fuzz {seed} {WILD}")
        good = int(result.text.split()[3])
        tap.ok(good > WILD // 10, f"{WILD} wild calls, seed {seed}: some are right", result)
    after = host_values(guest)
    tap.is_equal([value for name, value in after.items() if 17 <= number_of(name) <= 22], hosts,
                 "wild calls: MR17 to MR22 have not moved")
    tap.is_equal(files_of(guest), after, "wild calls: files and host agree")


def number_of(name):
    return int(name[2:].split(":")[0])


def check_device_restart(tap, guest):
    """The device's process is killed in the middle of a batch; another one goes on."""
    guest.run(f"/driver-client extend 2 {MANY} 4096 >/tmp/o2 2>&1 & echo started")
    records = guest.device.status()["records"]
    wait_for(lambda: guest.device.status()["records"] > records + 2000, "extends under way")
    pid = guest.device.status()["device"]
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: device_of(guest) not in (None, pid), "another device process")
    wait_for(lambda: guest.run("cat /tmp/o2").text, "the end of the extends", 120)
    text = guest.run("cat /tmp/o2").text
    tap.contains(text, f"good {MANY} ordered 1", f"a device killed under {MANY} extends: each is done")
    recounted(tap, guest, 2, MANY, "none is lost, none is done twice")
    tap.is_equal(files_of(guest), host_values(guest), "the files are right after it")
    wait_for(lambda: wants(guest, FEATURE_RING | FEATURE_SHADOW), "ring and shadow page", 30)
    tap.is_equal(mapped_register(guest, 2), host_values(guest)["mr2:sha256"],
                 "and the shadow page is kept up to date")


def device_of(guest):
    """The device's process, or None while there is none."""
    try:
        return guest.device.status()["device"]
    except (OSError, EOFError):
        return None


def mapped_register(guest, index):
    page = bytes.fromhex(client(guest, "mapped").text)
    return page[0x100 + index * 0x60:][:32]


def check_sleep(tap, guest):
    before = host_values(guest)
    guest.sleep()
    guest.wake()
    tap.is_equal(files_of(guest), before, "suspend to RAM changes no register")
    tap.ok(wants(guest, FEATURE_RING | FEATURE_SHADOW), "after it ring and shadow page are on")
    client(guest, "extend 0 600 600")
    recounted(tap, guest, 0, 600, "and take extends")
    tap.ok(client(guest, "mapped").status == 0, "and the shadow page is fresh")


def check_clean(tap, guest, what):
    oops = guest.run("dmesg | grep -E 'BUG|WARNING|Oops|Call Trace|hung' || true").text
    tap.is_equal(oops, "", f"the kernel complains about nothing: {what}")


def check_bus_reset(tap, kernel):
    with boot(kernel, bus="port0",
              options=["-device", "pcie-root-port,id=port0,chassis=1,slot=1"]) as guest:
        client(guest, "extend 1 300 300")
        device = f"/sys/bus/pci/devices/{info(guest)['pci_name']}"
        guest.run(f"echo 1 >{device}/reset")
        tap.is_equal(files_of(guest), host_values(guest), "a reset of the bus: the driver goes on")
        tap.ok(wants(guest, FEATURE_RING | FEATURE_SHADOW), "with ring and shadow page")
        client(guest, "extend 1 300 300 300")
        recounted(tap, guest, 1, 600, "and no register was reset")
        guest.run("echo 0 >/sys/bus/pci/slots/0/power; sleep 1")
        tap.is_equal(guest.run("test -e /dev/monatt; echo $?").text, "1",
                     "an ejected device takes its driver's files along")
        check_clean(tap, guest, "bus reset and eject")


def boot_behind_iommu(tap, kernel, stack):
    """QEMU 7.2 uses freed memory there now and then, while the guest sets its IOMMU up (a general
    protection fault of QEMU's, at one place, with MALLOC_PERTURB_): that is not ours to judge."""
    for attempt in range(3):
        try:
            return stack.enter_context(boot(kernel, bus="pcie.0", options=["-device", "intel-iommu"],
                                            append="intel_iommu=on iommu=nopt"))
        except GuestError as error:
            if "QEMU" not in str(error) or attempt == 2:
                raise
            tap.note(f"behind an IOMMU: {error}: again")
    return None


def check_iommu(tap, kernel):
    """Behind an IOMMU of the guest the ring's addresses would mean other memory to the device."""
    with contextlib.ExitStack() as stack:
        guest = boot_behind_iommu(tap, kernel, stack)
        groups = guest.run("ls /sys/kernel/iommu_groups").text
        tap.ok(groups != "" and wants(guest, 0), "behind an IOMMU: no ring, no shadow page", groups)
        client(guest, "extend 3 300 300")
        recounted(tap, guest, 3, 300, "behind an IOMMU: 300 extends all the same")
        tap.is_equal(files_of(guest), host_values(guest), "behind an IOMMU: the files are right")


def check_vfio_user(tap, kernel, folder):
    """QEMU's other wire: the same driver, and a device that comes back after its process died."""
    try:
        qemu = later_qemu.program(folder)
    except later_qemu.Missing as error:
        tap.skip(str(error), "the driver on a vfio-user device")
        return
    how = f"QEMU {'.'.join(map(str, later_qemu.version(qemu)))}, vfio-user"
    with boot(kernel, vcpus=2, launcher=["--monatt-no-plugin", "--monatt-qemu", qemu]) as guest:
        if not tap.ok(wants(guest, FEATURE_RING | FEATURE_SHADOW), f"{how}: ring and shadow page",
                      guest.console()):
            return
        guest.run("for i in 2 3; do /driver-client extend $i 2000 7 & done; wait", seconds=600)
        recounted(tap, guest, 2, 2000, f"{how}: two programs at once, the one")
        recounted(tap, guest, 3, 2000, f"{how}: and the other")
        tap.is_equal(files_of(guest), host_values(guest), f"{how}: the files are right")
        check_master_off(tap, guest)
        check_replaced(tap, guest, how)
        check_clean(tap, guest, how)


def check_replaced(tap, guest, how):
    """Unlike on mpqemu the guest sees it: its device is unplugged and another one plugged in."""
    before = host_values(guest)
    pid = guest.device.status()["device"]
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: device_of(guest) not in (None, pid) and
             client(guest, "info", check=False).status == 0, "a new device, with its driver", 90)
    tap.is_equal((host_values(guest), files_of(guest)), (before, before),
                 f"{how}: killed and plugged in anew, the registers are as before")
    wait_for(lambda: wants(guest, FEATURE_RING | FEATURE_SHADOW), "ring and shadow page", 30)
    client(guest, "extend 5 700 300")
    recounted(tap, guest, 5, 700, f"{how}: and the driver extends by the new one's ring")


def check_kexec(tap, kernel):
    """The old kernel's ring must not be written once the memory is another kernel's."""
    inner = guest_library.initramfs([f"{CLIENT}:/driver-client"])
    with boot(kernel, memory_mb=768, extra=[f"{inner}:/inner", f"{kernel.vmlinuz}:/vmlinuz"]) as guest:
        client(guest, "extend 2 400 400")
        device = f"/sys/bus/pci/devices/{info(guest)['pci_name']}"
        seed = guest.device.status()["seed"]
        guest.send(f"/driver-client kexec /vmlinuz /inner '{guest.command_line}'")
        guest.wait_ready()
        tap.is_equal(guest.device.status()["seed"], seed, "kexec is no reset of the VM")
        guest.run(f"echo 1 >{device}/enable")
        state = [client(guest, f"peek {device}/resource0 {offset}").text
                 for offset in (REG_RING_CONTROL, REG_SHADOW_CONTROL)]
        tap.is_equal(state, ["0", "0"], "kexec: ring and shadow page are off in the new kernel")
        recounted(tap, guest, 2, 400, "kexec: the registers stay")


def main():
    tap = Tap()
    kernel = kernel_for_driver(tap)
    with tap:
        with boot(kernel, vcpus=2) as guest:
            if not wants(guest, FEATURE_RING | FEATURE_SHADOW):
                tap.skip_all("the device has no ring")
            check_together(tap, guest)
            check_stopped_tpm(tap, guest)
            check_killed_client(tap, guest)
            check_master_off(tap, guest)
            check_lying_device(tap, guest)
            check_device_restart(tap, guest)
            check_sleep(tap, guest)
            check_lockdown(tap, guest)
            check_wild_calls(tap, guest)  # last: it extends registers that are counted before
            check_clean(tap, guest, "all of this")
    with tap:
        check_bus_reset(tap, kernel)
    with tap:
        check_iommu(tap, kernel)
    with tap, tempfile.TemporaryDirectory(prefix="mg-", dir="/tmp") as folder:
        check_vfio_user(tap, kernel, folder)
    with tap:
        check_kexec(tap, kernel)
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
