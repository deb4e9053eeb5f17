#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""test-registers.py: what a real guest can and cannot do to the registers of its device.

Values are recomputed by hashlib and read back from the device's swtpm by tpm2_pcrread: neither is
the product's code.
"""
import hashlib
import os
import re
import signal
import struct
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))
import device_tpm  # noqa: E402
import guest as guest_library  # noqa: E402
import paths  # noqa: E402
from guest import Guest, wait_for  # noqa: E402
from tap import Tap  # noqa: E402

FUZZ = paths.build("tests", "guest", "guest-fuzz")
FUZZ_SEED, FUZZ_COUNT = 20261125, 20000
GUEST_OWNED = list(range(16))
HOST_OWNED = list(range(17, 23))
DIGEST_256, DIGEST_384 = hashlib.sha256(b"one").hexdigest(), hashlib.sha384(b"one").hexdigest()


def extended(name, value, digest):
    return hashlib.new(name, value + digest).digest()


def settle(guest):
    """Waits until everything that was extended is in the device's TPM."""
    wait_for(lambda: guest.run("monatt-guest read --json 0").json()["pending"] == 0,
             "extends in the TPM")


def pcrs(tap, guest):
    """The device TPM's PCRs by tpm2_pcrread, or None after saying that it is a skip."""
    settle(guest)
    try:
        return device_tpm.read_pcrs(guest.device.status()["device"], guest.tpm_path)
    except device_tpm.Missing as reason:
        tap.skip(f"{reason} is not possible here", "registers in the device's TPM")
        return None


def compare_with_tpm(tap, guest, when):
    """All 24 registers, both banks: guest's view = host's view = the TPM's PCRs."""
    banks = pcrs(tap, guest)
    seen, host = guest.read(), guest.device.registers()
    tap.is_equal([(seen[i]["sha256"], seen[i]["sha384"]) for i in range(24)],
                 [(host[i][0].hex(), host[i][1].hex()) for i in range(24)],
                 f"{when}: the guest sees what the host sees")
    if banks:
        for place, name in enumerate(("sha256", "sha384")):
            tap.is_equal([value.hex() for value in banks[name]],
                         [host[i][place].hex() for i in range(24)],
                         f"{when}: tpm2_pcrread shows the same, {name}")


def check_extends(tap, guest):
    contents = {i: f"what goes into MR{i}\n".encode() for i in GUEST_OWNED}
    guest.run("".join(f"printf 'what goes into MR{i}\\n' >/tmp/m{i}; "
                      f"monatt-guest extend {i} --file /tmp/m{i} || exit 1; " for i in GUEST_OWNED))
    guest.run(f"monatt-guest extend 3 {DIGEST_256} && monatt-guest extend 4 {DIGEST_384} && "
              f"monatt-guest extend 5 {DIGEST_384} {DIGEST_256} --content both && "
              f"printf one | monatt-guest extend 6 --file -")
    more = {3: {"sha256"}, 4: {"sha384"}, 5: {"sha256", "sha384"}, 6: {"sha256", "sha384"}}
    wanted = {}
    for i in GUEST_OWNED:
        for name, size in (("sha256", 32), ("sha384", 48)):
            value = extended(name, bytes(size), hashlib.new(name, contents[i]).digest())
            if name in more.get(i, ()):
                value = extended(name, value, hashlib.new(name, b"one").digest())
            wanted[i, name] = value.hex()
    seen = guest.read()
    for name in ("sha256", "sha384"):
        tap.is_equal([seen[i][name] for i in GUEST_OWNED], [wanted[i, name] for i in GUEST_OWNED],
                     f"MR0 to MR15 are what hashlib computes, {name}")
    tap.is_equal([seen[i]["extends"] for i in GUEST_OWNED],
                 [2 if i in more else 1 for i in GUEST_OWNED], "each extend is counted once")
    log, records = guest.device.log()
    tap.ok(records == 20 and b"/tmp/m7" in log and b"both" in log,
           "the event log says what was measured", f"{records} records")
    compare_with_tpm(tap, guest, "after extends")


def check_refusals(tap, guest):
    for i in HOST_OWNED:
        result = guest.run(f"monatt-guest extend {i} {DIGEST_256}", check=False)
        tap.ok(result.status == 1 and "belongs to the host" in result.error_text,
               f"extend of MR{i} by the guest is refused", result)
    result = guest.run(f"monatt-guest extend 24 {DIGEST_256}", check=False)
    tap.ok(result.status == 2 and "not a register" in result.error_text, "there is no MR24", result)
    result = guest.run(f"monatt-guest extend 1 {DIGEST_256} --content $(printf %1000s x | tr ' ' y)",
                       check=False)
    tap.ok(result.status == 1 and "the limit is 992" in result.error_text,
           "content that does not fit is refused", result)
    guest.run(f"monatt-guest extend 16 {DIGEST_256} && monatt-guest extend 23 {DIGEST_256}")
    guest.run("monatt-guest reset 16 && monatt-guest reset 23")
    tap.is_equal([guest.read(i)["sha256"] for i in (16, 23)], ["00" * 32] * 2,
                 "the guest may reset MR16 and MR23")
    result = guest.run("monatt-guest reset 7", check=False)
    tap.ok(result.status == 1 and "only together with the VM" in result.error_text,
           "but not MR7", result)
    result = guest.run("su user -c 'monatt-guest read'", check=False)
    tap.ok(result.status == 1 and "run as root" in result.error_text,
           "without root: a clear error", result)
    result = guest.run("mkdir -p /tmp/empty; monatt-guest processes --proc /tmp/empty", check=False)
    tap.ok(result.status == 1 and "is proc mounted" in result.error_text,
           "without /proc: a clear error", result)


def host_owned(device):
    return [device.registers()[i] for i in HOST_OWNED]


def check_fuzz(tap, guest):
    device = guest.device
    name = guest.run("monatt-guest read 0 --json").json()["device"]
    before = host_owned(device)
    tap.is_equal({value[0] for value in before}, {b"\xff" * 32},
                 "MR17 to MR22 start as a TPM's dynamic PCRs do")
    result = guest.run(f"/guest-fuzz {name} {FUZZ_SEED} {FUZZ_COUNT}", check=False)
    accesses = int(result.text.split()[0]) if result.status == 0 else 0
    tap.ok(accesses > 50000, "a guest pokes every offset in every size, and at random", result)
    tap.is_equal(host_owned(device), before, "MR17 to MR22 did not move")
    status = device.status()
    tap.is_equal((status["fault"], status["boot_count"]), (0, 1), "no fault, the same boot")
    tap.is_equal(guest.run(f"monatt-guest extend 2 {DIGEST_256}", check=False).status, 0,
                 "the device still takes extends")
    compare_with_tpm(tap, guest, "after the fuzzer")


def values_of(device):
    return [(value[0].hex(), value[1].hex()) for value in device.registers()]


def check_resets(tap, guest):
    """A reset of the device by its guest is no reset of the VM."""
    device = guest.device
    name = guest.run("monatt-guest read 0 --json").json()["device"]
    sysfs = f"/sys/bus/pci/devices/{name}"
    before, seed = values_of(device), device.status()["seed"]
    result = guest.run(f"echo 1 >{sysfs}/remove; sleep 1; monatt-guest read", check=False)
    tap.ok(result.status == 1 and "this VM has none" in result.error_text,
           "removed from the bus: a clear error", result)
    guest.run("echo 1 >/sys/bus/pci/rescan; sleep 1")
    tap.is_equal(values_of(device), before, "remove and rescan reset no register")
    tap.is_equal(guest.run("monatt-guest read", check=False).status, 0,
                 "after the rescan the device is back")
    guest.run(f"printf '\\000\\000' | dd of={sysfs}/config bs=1 seek=4 conv=notrunc 2>/dev/null")
    result = guest.run("monatt-guest read", check=False)
    tap.ok(result.status == 1 and "memory space is disabled" in result.error_text,
           "memory space switched off: a clear error", result)
    result = guest.run(f"echo 0 >{sysfs}/enable; monatt-guest read 0", check=False)
    tap.is_equal(result.status, 0, "a device that is not enabled is enabled")
    tap.is_equal((values_of(device), device.status()["seed"]), (before, seed),
                 "nothing of this reset a register")


def check_bus_reset(tap):
    """The device behind a port that the guest can reset, as on a real hot-plug slot."""
    with Guest(name="port", bus="port0",
               options=["-device", "pcie-root-port,id=port0,chassis=1,slot=1"]) as guest:
        device = guest.device
        guest.run(f"monatt-guest extend 9 {DIGEST_256} {DIGEST_384}")
        name = guest.run("monatt-guest read 0 --json").json()["device"]
        sysfs = f"/sys/bus/pci/devices/{name}"
        before, seed = values_of(device), device.status()["seed"]
        methods = guest.run(f"cat {sysfs}/reset_method", check=False).text
        tap.ok("bus" in methods, "the kernel knows a way to reset the bus", methods)
        result = guest.run(f"echo 1 >{sysfs}/reset", check=False)
        tap.is_equal(result.status, 0, "the guest resets the device through sysfs")
        tap.is_equal((values_of(device), device.status()["seed"]), (before, seed),
                     "a reset through sysfs resets no register")
        tap.is_equal(guest.read(9)["sha256"], before[9][0], "and the device answers after it")
        # Bridge control, bit 6: the secondary bus reset by hand.
        guest.run(f"port=$(readlink -f {sysfs}/..)/config; "
                  "printf '\\100' | dd of=$port bs=1 seek=62 conv=notrunc 2>/dev/null; sleep 1; "
                  "printf '\\000' | dd of=$port bs=1 seek=62 conv=notrunc 2>/dev/null; sleep 1; "
                  f"echo 1 >{sysfs}/remove; sleep 1; echo 1 >/sys/bus/pci/rescan; sleep 1")
        tap.is_equal((values_of(device), device.status()["seed"]), (before, seed),
                     "a secondary bus reset resets no register")
        result = guest.run("monatt-guest read 9 --json")
        tap.is_equal((result.json()["registers"][0]["sha256"], device.status()["fault"]),
                     (before[9][0], 0), "the device goes on after it")
        tap.is_equal(guest.run(f"monatt-guest extend 9 {DIGEST_256}", check=False).status, 0,
                     "and takes extends")
        guest.reboot()
        tap.is_equal(device.registers()[9][0], bytes(32), "a reboot does reset them")
        guest.run("echo 0 >/sys/bus/pci/slots/0/power")
        folder = os.path.dirname(guest.tpm_path)
        wait_for(lambda: not os.path.exists(folder), "end of an ejected device")
        result = guest.run("echo 1 >/sys/bus/pci/slots/0/power; sleep 1; monatt-guest read",
                           check=False)
        tap.ok(result.status == 1 and "this VM has none" in result.error_text,
               "an ejected device is gone for good: no fresh registers, the guest goes on", result)


def decode_list(data):
    """docs/formats/guest-list.md, a second time."""
    magic, nonce, count = struct.unpack_from("<4s32sI", data)
    assert magic == b"MGL1", magic
    at, tasks = 40, {}
    for _ in range(count):
        pid, parent, uid, length = struct.unpack_from("<IIIB", data, at)
        tasks[pid] = (parent, uid, data[at + 13:at + 13 + length].decode())
        at += 13 + length
    assert at == len(data), f"{len(data) - at} bytes are left"
    return nonce, tasks


def steady(task):
    """A kworker's name goes on with what it works on just now: kworker/0:1-events."""
    parent, user, command = task
    if command.startswith("kworker/"):
        command = re.split("[-+]", command)[0]
    return parent, user, command


def read_proc(guest):
    text = guest.run("for p in /proc/[0-9]*; do [ -e $p/stat ] && echo ${p#/proc/} "
                     "$(stat -c %u $p) $(awk '/^PPid/ { print $2 }' $p/status) $(cat $p/comm); "
                     "done").text
    rows = [line.split(None, 3) for line in text.splitlines()]
    return {int(row[0]): (int(row[2]), int(row[1]), row[3]) for row in rows if len(row) == 4}


def check_processes(tap, guest):
    device = guest.device
    nonce = hashlib.sha256(b"a nonce").digest()
    device.set_nonce(nonce)
    guest.spawn("su user -c 'sleep 1000'")
    guest.run("for i in 1 2 3 4 5 6 7 8; do sleep 1000 >/dev/null 2>&1 & done")
    before = read_proc(guest)
    guest.run("monatt-guest processes")
    data = device.guest_list()
    after = read_proc(guest)
    got_nonce, tasks = decode_list(data)
    tap.is_equal(got_nonce, nonce, "the process list is bound to the host's nonce")
    # One that calls execve() in between has another name before than after.
    lasting = {pid: steady(before[pid]) for pid in before
               if pid in after and steady(before[pid]) == steady(after[pid])}
    tap.ok(len(lasting) > 40 and len(data) > 1024, "more than one data window", len(data))
    tap.is_equal({pid: steady(tasks[pid]) for pid in lasting if pid in tasks}, lasting,
                 "the process list equals /proc: parent, user, command")
    others = {tasks[pid][2] for pid in tasks if pid not in before and pid not in after}
    tap.ok(others <= {"monatt-guest", "sh"}, "and holds nothing else", others)
    tap.ok(any(task[1] == 1000 for task in tasks.values()), "users are told apart")
    follower = guest.spawn("monatt-guest processes --follow")
    for text in (b"first", b"second"):
        nonce = hashlib.sha256(text).digest()
        device.set_nonce(nonce)
        wait_for(lambda: device.guest_list()[4:36] == nonce, "a list for the new nonce")
        tap.ok(follower in decode_list(device.guest_list())[1], f"--follow answers a {text} nonce")
    guest.run(f"kill {follower}")


def check_reboot(tap, guest, how):
    device = guest.device
    guest.run(f"monatt-guest extend 8 {DIGEST_256} {DIGEST_384}")
    before = device.status()
    guest.reboot(how)
    after = device.status()
    tap.ok(after["seed"] != before["seed"], f"reboot by the {how}: a new boot seed")
    tap.is_equal((after["boot_count"], after["records"], after["fault"]),
                 (before["boot_count"] + 1, 0, 0), f"reboot by the {how}: boot counted, empty log")
    fresh = [("00" * 32, "00" * 48)] * 17 + [("ff" * 32, "ff" * 48)] * 6 + \
        [("00" * 32, "00" * 48)]
    seen = guest.read()
    tap.is_equal([(seen[i]["sha256"], seen[i]["sha384"]) for i in range(24)], fresh,
                 f"reboot by the {how}: fresh registers")


def check_sleep(tap, guest):
    """S3 resets devices but not a TPM's registers; QEMU reports no RESET."""
    device = guest.device
    guest.run(f"monatt-guest extend 7 {DIGEST_256}")
    before, seed = values_of(device), device.status()["seed"]
    guest.sleep()
    guest.wake()
    tap.is_equal(guest.read(7)["sha256"], before[7][0], "the device answers after suspend to RAM")
    tap.is_equal((values_of(device), device.status()["seed"]), (before, seed),
                 "suspend to RAM resets no register")


def kill_device(guest):
    pid = guest.device.status()["device"]
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not os.path.exists(f"/proc/{pid}"), "end of the device")


def check_device_lost(tap, guest):
    """Another process goes on for it, three times in a minute; then there is no device any more."""
    before = guest.read()
    kill_device(guest)
    tap.is_equal(guest.read(), before, "the device's process is killed: the same registers as before")
    guest.run(f"monatt-guest extend 8 {DIGEST_256}")
    for _ in range(2):
        kill_device(guest)
        guest.read()
    kill_device(guest)
    result = guest.run("monatt-guest read", check=False)
    tap.ok(result.status == 1 and "does not answer" in result.error_text,
           "it is killed again and again: the guest goes on, a clear error", result)


def check_lockdown(tap):
    with Guest(name="locked", append="lockdown=confidentiality") as guest:
        result = guest.run("monatt-guest read", check=False)
        tap.ok(result.status == 1 and "kernel lockdown confidentiality forbids" in result.error_text,
               "kernel lockdown: a clear error", result)
        result = guest.run(f"monatt-guest extend 1 {DIGEST_256} --json", check=False)
        tap.is_equal((result.status, result.json()["error"]["code"]), (1, "permission"),
                     "kernel lockdown: the same as JSON")
        tap.is_equal(guest.device.status()["records"], 0, "nothing was extended")


def main():
    tap = Tap()
    lacking = guest_library.missing() or paths.missing(FUZZ, "tpm2_pcrread")
    if lacking:
        tap.skip_all(f"{lacking} is missing")
    with tap:
        with Guest(name="registers", add=[f"{FUZZ}:/guest-fuzz"]) as guest:
            check_extends(tap, guest)
            check_refusals(tap, guest)
            check_processes(tap, guest)
            check_resets(tap, guest)
            check_fuzz(tap, guest)
            check_reboot(tap, guest, "guest")
            compare_with_tpm(tap, guest, "after a reboot")
            check_reboot(tap, guest, "monitor")
            check_sleep(tap, guest)
            check_device_lost(tap, guest)
    with tap:
        check_bus_reset(tap)
    with tap:
        check_lockdown(tap)
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
