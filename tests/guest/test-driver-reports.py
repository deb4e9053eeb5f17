#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""test-driver-reports.py: evidence by /sys/kernel/config/tsm/report, on three kernels.

6.1 has no configfs-tsm, so the files are the driver's own; 6.12 and the newest have the kernel's.
What comes out of outblob is judged by the verifier, with the inblob instead of a nonce.  On the two
newer kernels, which have no other test, registers and extends are looked at as well.
"""
import os
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import driver_module  # noqa: E402
import guest as guest_library  # noqa: E402
import paths  # noqa: E402
from driver_guest import CLIENT, SIZES, boot, client, files_of, host_values, info, recount  # noqa: E402
from guest import Host  # noqa: E402
from tap import Tap  # noqa: E402

ROOT = "/sys/kernel/config/tsm/report"
SMALL = 32 * 1024           # what outblob takes up to Linux 6.12 and later
PART = 96 * 1024            # bytes of a file that come over the serial port at a time
FEATURE_RING, FEATURE_SHADOW = 0x1, 0x2
UNKNOWN, NOT_BELIEVED = 6, 3


def fetch(guest, path, size):
    data = b""
    while len(data) < size:
        part = guest.run(f"dd if={path} bs={PART} skip={len(data) // PART} count=1 2>/dev/null").out
        if not part:
            break
        data += part
    return data


def write_inblob(guest, name, inblob, check=True):
    octal = "".join(f"\\0{byte:03o}" for byte in inblob)
    return guest.run(f"printf '%b' '{octal}' >/tmp/inblob; "
                     f"dd if=/tmp/inblob of={ROOT}/{name}/inblob bs=4096 2>&1", check=check)


def judge(tap, host, data, inblob, how):
    folder = host.folder
    names = {"evidence": data, "right": inblob, "wrong": bytes(64)}
    for name, content in names.items():
        with open(f"{folder}/{name}", "wb") as file:
            file.write(content)
    reference = host.learn("driver")
    words = ("evidence", "verify", f"{folder}/evidence", "--anchor", host.anchor, "--reference",
             reference)
    good = host.monatt(*words, "--inblob", f"{folder}/right", check=False)
    ordinary = host.verify(*host.attest("driver"), reference)
    tap.ok(good.status == ordinary.status and good.status != NOT_BELIEVED,
           f"{how}: the verifier says of it what it says of a customer's report", f"{good} {ordinary}")
    bad = host.monatt(*words, "--inblob", f"{folder}/wrong", check=False)
    tap.ok(bad.status == NOT_BELIEVED and b"nonce" in bad.err, f"{how}: and not for another inblob",
           bad)


def check_too_large(tap, guest, how):
    """A log of 3000 records does not fit into what this kernel's outblob takes."""
    write_inblob(guest, "one", os.urandom(64))
    result = guest.run(f"cat {ROOT}/one/outblob | wc -c", check=False)
    tap.ok(result.text == "0" and "File too large" in result.error_text,
           f"{how}: a report above {SMALL} bytes is too large for outblob", result)
    said = guest.run("dmesg | grep 'does not fit into outblob'", check=False)
    tap.ok(said.status == 0 and "/dev/monatt" in said.text, f"{how}: the log says what to do", said)


def check_report(tap, host, guest, small, how):
    """A report by configfs; small: of a guest with a short log."""
    guest.run(f"mkdir {ROOT}/one {ROOT}/two")
    tap.is_equal(guest.run(f"cat {ROOT}/one/provider").text, "monatt", f"{how}: the provider")
    result = guest.run(f"cat {ROOT}/one/outblob", check=False)
    tap.ok("Invalid argument" in result.error_text, f"{how}: no outblob without inblob", result)
    inblob = os.urandom(64)
    before = int(guest.run(f"cat {ROOT}/one/generation").text)
    write_inblob(guest, "one", inblob)
    tap.is_equal(int(guest.run(f"cat {ROOT}/one/generation").text), before + 1,
                 f"{how}: generation counts the writes")
    result = guest.run(f"cat {ROOT}/one/outblob >/tmp/report", check=False)
    tap.is_equal(result.status, 0, f"{how}: outblob is read")
    size = int(guest.run("stat -c %s /tmp/report").text)
    data = fetch(guest, "/tmp/report", size)
    tap.ok(len(data) == size and (size <= SMALL or not small), f"{how}: {size} bytes of evidence")
    judge(tap, host, data, inblob, how)
    again = guest.run(f"cat {ROOT}/one/outblob | cmp - /tmp/report", check=False)
    tap.is_equal(again.status, 0, f"{how}: read once more it is the same report")
    result = guest.run(f"cat {ROOT}/two/outblob", check=False)
    tap.ok("Invalid argument" in result.error_text, f"{how}: another folder has its own", result)
    result = write_inblob(guest, "two", bytes(65), check=False)
    tap.ok("too large" in result.text, f"{how}: an inblob has 64 bytes at most", result)
    write_inblob(guest, "two", inblob)
    result = guest.run(f"cat {ROOT}/two/outblob", check=False)
    tap.ok("Permission denied" in result.error_text, f"{how}: a used inblob is refused", result)


def check_ioctl(tap, host, guest, how):
    inblob = os.urandom(32)
    result = client(guest, f"report {inblob.hex()} /tmp/report")
    data = fetch(guest, "/tmp/report", int(result.text.split()[1]))
    judge(tap, host, data, inblob, f"{how}, by /dev/monatt")


def check_registers(tap, guest, how):
    got = int(info(guest)["features"])
    tap.is_equal(got & (FEATURE_RING | FEATURE_SHADOW), FEATURE_RING | FEATURE_SHADOW,
                 f"{how}: ring and shadow page are on")
    client(guest, "extend 3 3000 1000")
    seen = files_of(guest)
    tap.is_equal([seen[f"mr3:{name}"] for name in SIZES], [recount(name, 3000) for name in SIZES],
                 f"{how}: 3000 extends")
    tap.is_equal(seen, host_values(guest), f"{how}: the files hold what the host says")
    tap.ok(client(guest, "mapped").status == 0, f"{how}: the shadow page is mapped")


def check_silent_host(tap, host, guest, how):
    """A collector that stands: who waits can be killed, and the driver can go."""
    name = info(guest)["pci_name"]
    os.kill(host.collector.pid, signal.SIGSTOP)
    try:
        pid = guest.spawn("/driver-client report 0102 /tmp/never")
        time.sleep(2)
        tap.ok(guest.run(f"kill -0 {pid}", check=False).status == 0,
               f"{how}: a host that does not answer is waited for")
        client(guest, "extend 8 400 400")
        guest.run(f"kill -9 {pid}; while kill -0 {pid} 2>/dev/null; do usleep 20000; done")
        tap.ok(True, f"{how}: extends go on meanwhile, and who waits can be killed")
        pid = guest.spawn("/driver-client report 0103 /tmp/never")
        guest.run(f"sleep 1; echo {name} >/sys/bus/pci/drivers/monatt/unbind; "
                  f"while kill -0 {pid} 2>/dev/null; do usleep 20000; done")
        tap.ok(True, f"{how}: the driver can be unbound meanwhile")
    finally:
        os.kill(host.collector.pid, signal.SIGCONT)
    guest.run(f"echo {name} >/sys/bus/pci/drivers/monatt/bind")
    recounted = [recount(bank, 400) for bank in SIZES]
    tap.is_equal([files_of(guest)[f"mr8:{bank}"] for bank in SIZES], recounted,
                 f"{how}: and bound anew")


def check_gone(tap, guest, how):
    """The driver goes while folders are there: they stay, and say that nobody answers."""
    name = info(guest)["pci_name"]
    guest.run(f"mkdir -p {ROOT}/one; echo {name} >/sys/bus/pci/drivers/monatt/unbind")
    write_inblob(guest, "one", bytes(range(9)), check=False)
    result = guest.run(f"cat {ROOT}/one/outblob", check=False)
    tap.ok(result.status != 0 and "No such device" in result.error_text,
           f"{how}: without a device outblob says so", result)
    guest.run(f"rmdir {ROOT}/* && rmmod monatt && insmod /monatt.ko")
    client(guest, "extend 7 10 10")
    complaints = guest.run("dmesg | grep -E 'BUG|WARNING|Oops|Call Trace' || true").text
    tap.is_equal(complaints, "", f"{how}: the kernel complains about nothing")


def check_kernel(tap, host, kernel, modules, small):
    how = f"Linux {kernel.release.split('-')[0]}"
    with boot(kernel, host, modules=modules, memory_mb=384) as guest:
        if small:
            check_report(tap, host, guest, small, how)
        if not kernel.tree:
            guest.run("rmmod monatt && insmod /monatt.ko ring=0")
            check_ioctl(tap, host, guest, f"{how} without ring")
            guest.run("rmmod monatt && insmod /monatt.ko")
        check_registers(tap, guest, how)
        if small:
            check_too_large(tap, guest, how)
        else:
            check_report(tap, host, guest, small, how)
        check_ioctl(tap, host, guest, how)
        if not kernel.tree:
            check_silent_host(tap, host, guest, how)
        check_gone(tap, guest, how)


def check_dkms(tap, kernel):
    """DKMS of that Debian takes the folder that "make source" makes."""
    script = """
        mount --make-rprivate /
        mount -t proc proc $0/proc
        mount --rbind /dev $0/dev
        mount -t tmpfs t $0/tmp
        mount -t tmpfs t $0/var/lib/dkms
        mount -t tmpfs t $0/mnt
        make -s -C $1 source FOLDER=$0/mnt/monatt-1
        chroot $0 sh -euc 'dkms add /mnt/monatt-1 --sourcetree /mnt; dkms build monatt/1 --sourcetree /mnt -k '$2'; dkms status'
    """
    done = subprocess.run(["unshare", "--mount", "sh", "-euc", script, kernel.tree,
                           driver_module.SOURCES, kernel.release], capture_output=True, text=True)
    tap.ok(done.returncode == 0 and f"monatt/1, {kernel.release}, x86_64: built" in done.stdout,
           "DKMS builds the driver", f"{done.stdout}{done.stderr}")


def main():
    tap = Tap()
    lacking = guest_library.missing() or paths.missing(CLIENT, paths.COLLECTORD, paths.WORKER,
                                                       paths.MONATT)
    if lacking:
        tap.skip_all(f"{lacking} is missing")
    configfs = "fs/configfs/configfs"
    kernels = [(driver_module.guest_kernel, [configfs], False),
               (lambda: driver_module.suite_kernel("trixie"),
                [configfs, "drivers/virt/coco/tsm"], True),
               (lambda: driver_module.suite_kernel("sid"),
                [configfs, "drivers/virt/coco/guest/tsm_report"], False)]
    wanted = sys.argv[1:] or ["0", "1", "2"]
    with tap, Host(collector=True) as host:
        for number, (find, modules, small) in enumerate(kernels):
            if str(number) not in wanted:
                continue
            with tap:
                try:
                    kernel = find()
                    for name in modules:
                        kernel.module(name)
                except driver_module.Missing as error:
                    tap.skip(str(error), f"kernel {number + 1} of {len(kernels)}")
                    continue
                check_kernel(tap, host, kernel, modules, small)
                if kernel.tree.endswith("trixie"):
                    check_dkms(tap, kernel)
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
