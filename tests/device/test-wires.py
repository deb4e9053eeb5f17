#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""test-wires.py: one conformance test over mpqemu, vfio-user and the replay of each.

The same table of scenarios on each wire: what the guest sees must not depend on how QEMU reaches
the device.  What the live wires were sent is replayed from a file and must give the same answers,
byte for byte.
"""
import array
import functools
import hashlib
import os
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "lib")]
import paths  # noqa: E402
from device_client import ATTACH, BAR0, BAR2, LIST, RAM, Service, Vm, call, text  # noqa: E402
from tap import Tap  # noqa: E402
from wire_vfio_user import DEVICE_FEATURE, VfioUserVm, WireError  # noqa: E402

WIRES = {"mpqemu": Vm, "vfio-user": VfioUserVm}
D256, D384 = hashlib.sha256(b"event").digest(), hashlib.sha384(b"event").digest()
FIRST256, FIRST384 = hashlib.sha256(bytes(32) + D256).digest(), \
    hashlib.sha384(bytes(48) + D384).digest()
FAULT_WIRE = 4
ROUNDS = 100
MB = 1 << 20


class Tape:
    """A wire's socket that keeps what went over it."""

    def __init__(self, wire):
        self.wire, self.sent, self.received = wire, b"", b""

    def sendmsg(self, parts, ancillary):
        self.sent += b"".join(parts)
        return self.wire.sendmsg(parts, ancillary)

    def recv(self, size):
        data = self.wire.recv(size)
        self.received += data
        return data

    def close(self):
        self.wire.close()


# What a guest can see: (name, steps); each step's result is compared with the wanted one.
def config_space(vm):
    yield "vendor and device", vm.config_read(0), 0xA77E1234
    yield "two bytes of it", vm.config_read(2, 2), 0xA77E
    yield "class and revision", vm.config_read(8), 0x10800001
    yield "no capabilities", (vm.config_read(6, 2), vm.config_read(0x34, 1)), (0, 0)
    yield "no interrupt pin", vm.config_read(0x3D, 1), 0
    vm.config_write(0, 0)
    yield "identity is read-only", vm.config_read(0), 0xA77E1234
    for bar, base in ((0x10, BAR0), (0x18, BAR2)):
        vm.config_write(bar, 0xFFFFFFFF)
        yield f"size of the BAR at {bar:#x}", vm.config_read(bar), 0xFFFFF000
        vm.config_write(bar, base)
        yield f"base of the BAR at {bar:#x}", vm.config_read(bar), base
    vm.config_write(0x14, 0xFFFFFFFF)
    yield "no other BAR", vm.config_read(0x14), 0
    vm.config_write(4, 0xFFFF, 2)
    yield "command register", vm.config_read(4), 0x0407
    vm.config_write(5, 0, 1)
    yield "one byte of it", vm.config_read(4, 2), 0x0007
    vm.config_write(0x3C, 0xAB, 1)
    yield "interrupt line", vm.config_read(0x3C, 1), 0xAB


def register_map(vm):
    yield "magic", vm.read(BAR0), 0x5454414D
    yield "1, 2 and 8 bytes", [vm.read(BAR0, n) for n in (1, 2, 8)], [0x4D, 0x414D, 0x15454414D]
    yield "unaligned", [vm.read(BAR0 + 2) & 0xFFFFFFFF, vm.read(BAR0 + 1, 2) & 0xFFFF], \
        [0xFFFFFFFF, 0xFFFF]
    vm.write(BAR0, 0)
    yield "magic is read-only", vm.read(BAR0), 0x5454414D
    vm.write(BAR0 + 0x18, 7)
    yield "index", vm.read(BAR0 + 0x18), 7
    vm.write(BAR0 + 0x400, 0x1122334455667788, 8)
    yield "window by 8 bytes", [vm.read(BAR0 + 0x404), vm.read(BAR0 + 0x407, 1)], [0x11223344, 0x11]
    vm.write(BAR0 + 0x401, 0xEE, 1)
    yield "window by 1 byte", vm.read(BAR0 + 0x400), 0x5566EE88
    yield "end of the BAR", vm.read(BAR0 + 0xFF8, 8), 0
    yield "registers", vm.read(BAR2 + 4), 24
    vm.write(BAR2 + 4, 1)
    yield "BAR2 is read-only", vm.read(BAR2 + 4), 24


def digests(vm, index):
    """Both banks and the count of extends; not the count of synced ones, which is the TPM's pace."""
    entry = BAR2 + 0x100 + index * 0x60
    data = b"".join(vm.read(entry + i, 8).to_bytes(8, "little") for i in range(0, 0x58, 8))
    return data[:32], data[32:80], int.from_bytes(data[80:], "little")


def extends(vm):
    yield "both banks", vm.guest_extend(10, D256, D384, b"hello"), 0
    yield "MR10", digests(vm, 10), (FIRST256, FIRST384, 1)
    yield "one bank", vm.guest_extend(11, D256, None), 0
    yield "MR11", digests(vm, 11), (FIRST256, bytes(48), 1)
    yield "the host's register", vm.guest_extend(17, D256, D384), 3
    yield "MR17", digests(vm, 17), (b"\xff" * 32, b"\xff" * 48, 0)
    yield "no such register", vm.guest_extend(24, D256, D384), 2
    vm.write(BAR0 + 0x1C, 31)
    vm.write(BAR0 + 0x18, 10)
    vm.write(BAR0 + 0x10, 1)
    yield "too few bytes", vm.read(BAR0 + 0x14) != 0, True
    vm.write(BAR0 + 0x10, 0x7777)
    yield "no such command", vm.read(BAR0 + 0x14) != 0, True
    yield "MR10 did not move", digests(vm, 10), (FIRST256, FIRST384, 1)


def lists(vm):
    data = bytes(range(64))
    for command, wanted in ((0x11, True), (0x10, False), (0x11, False), (0x11, False), (0x12, False),
                            (0x12, True)):
        for i in range(0, 64, 8):
            vm.write(BAR0 + 0x400 + i, int.from_bytes(data[i:i + 8], "little"), 8)
        vm.write(BAR0 + 0x1C, len(data))
        vm.write(BAR0 + 0x10, command)
        yield f"command {command:#x}", vm.read(BAR0 + 0x14) != 0, wanted


def bus_reset(vm):
    vm.guest_extend(10, D256, D384)
    vm.write(BAR0 + 0x18, 9)
    before = digests(vm, 10)
    vm.config_write(4, 7, 2)
    vm.wire_reset()
    yield "command register", vm.config_read(4, 2), 0
    yield "BARs as put back", [vm.config_read(0x10), vm.config_read(0x18)], [BAR0, BAR2]
    yield "a register stands", digests(vm, 10), before
    yield "extends wait for QMP's word", vm.guest_extend(10, D256, D384), 5


SCENARIOS = [config_space, register_map, extends, lists, bus_reset]


def run_scenarios(tap, service, wire, kind):
    for scenario in SCENARIOS:
        vm = kind(service)
        tape = vm.wire = Tape(vm.wire)
        begin = b"" if wire == "mpqemu" else first_message(vm)
        for name, seen, wanted in scenario(vm):
            tap.is_equal(seen, wanted, f"{wire}: {scenario.__name__}: {name}")
        if scenario is lists:
            _, fds = call(vm.control, LIST)
            tap.is_equal(os.pread(fds[0], 999, 0), bytes(range(64)) * 2, f"{wire}: lists: the host's view")
            os.close(fds[0])
        tap.ok(vm.close(), f"{wire}: {scenario.__name__}: ended in order")
        replay(tap, wire, scenario.__name__, begin, tape)


def first_message(vm):
    """The version's, as open_wire() sent it before there was a tape."""
    from wire_vfio_user import PROPOSAL, VERSION
    payload = struct.pack("<HH", 0, 0) + PROPOSAL
    return struct.pack("<HHIII", 1, VERSION, 16 + len(payload), 0, 0) + payload


def bars(wire):
    """What the constructor of a Vm writes: the bases of the BARs."""
    if wire == "mpqemu":
        return b"".join(struct.pack("<IIQIII", 2, 0, 12, at, base, 4)
                        for at, base in ((0x10, BAR0), (0x18, BAR2)))
    return b"".join(struct.pack("<HHIIIQIII", 9, 10, 36, 0x10, 0, at, 7, 4, base)
                    for at, base in ((0x10, BAR0), (0x18, BAR2)))


def replay(tap, wire, name, begin, tape):
    with tempfile.NamedTemporaryFile() as file:
        file.write(begin + bars(wire) + tape.sent)
        file.flush()
        done = subprocess.run([paths.HW_ATTEST, "replay", "--wire", wire, "--answers", file.name],
                              capture_output=True, timeout=60)
    tap.ok(done.returncode == 0 and len(tape.received) > 0 and done.stdout.endswith(tape.received),
           f"replay of {wire}: {name}: the same answers byte for byte",
           f"{done.returncode} {done.stderr!r}")


def regions_of(vm):
    answer, fds = call(vm.control, RAM)
    for fd in fds:
        os.close(fd)
    return [struct.unpack(">QQQ", answer[4 + i * 24:28 + i * 24]) for i in range(len(fds))]


def check_memory(tap, service, wire, kind):
    vm = kind(service)
    device = vm.status()["device"]
    fd, other = os.memfd_create("ram"), os.memfd_create("other")
    for file in (fd, other):
        os.truncate(file, 4 * MB)
    maps = [[(0, MB, 0, fd)], [(0, MB, 0, fd), (4 << 30, 2 * MB, MB, fd)],
            [(i << 32, MB, 0, other) for i in range(8)], [(0, 4 * MB, 0, fd)], []]
    descriptors = []
    for entries in maps:
        vm.memory(entries)
        vm.config_read(0)  # mpqemu's map has no answer
        tap.is_equal(regions_of(vm), [entry[:3] for entry in entries],
                     f"{wire}: memory of {len(entries)} regions")
        descriptors.append(len(os.listdir(f"/proc/{device}/fd")))
    for _ in range(20):
        vm.memory(maps[2])
        vm.memory(maps[0])
    vm.memory([])
    vm.config_read(0)
    tap.is_equal(len(os.listdir(f"/proc/{device}/fd")), descriptors[-1],
                 f"{wire}: memory maps leave no descriptor behind")
    os.close(fd)
    os.close(other)
    tap.ok(vm.close(), f"{wire}: memory: ended in order")


def check_reboot(tap, service, wire, kind):
    vm = kind(service)
    vm.guest_extend(10, D256, D384)
    before = vm.status()
    vm.reset()
    after = vm.wait_status(lambda s: s["boot_count"] > before["boot_count"] and s["pending"] == 0)
    tap.is_equal((after["boot_count"], after["records"]), (before["boot_count"] + 1, 0),
                 f"{wire}: a reboot begins a new log")
    tap.is_equal(vm.guest_read(10)[0], bytes(32), f"{wire}: and fresh registers")
    tap.is_equal(vm.guest_extend(10, D256, D384), 0, f"{wire}: extends are taken again")
    tap.ok(vm.close(), f"{wire}: reboot: ended in order")


def header(wire, size):
    """Of a read of the configuration space that announces this many bytes."""
    return struct.pack("<IIQ", 3, 0, size) if wire == "mpqemu" else \
        struct.pack("<HHIII", 9, 9, 16 + size, 0, 0)


def whole(wire):
    return header(wire, 12) + struct.pack("<III", 0, 0, 4) if wire == "mpqemu" else \
        header(wire, 16) + struct.pack("<QII", 0, 7, 4)


def closed(vm):
    """The device hung up; answers that came before do not count."""
    try:
        while vm.wire.recv(4096):
            pass
    except ConnectionResetError:
        pass
    return True


def check_doubts(tap, service, wire, kind):
    """Whatever makes the framing doubtful ends the connection, and the fault can be asked for."""
    null = os.open("/dev/null", os.O_RDONLY)
    cases = [("garbage", b"A" * 64, 0), ("zeros", bytes(64), 0),
             ("a payload too short", header(wire, 4) + bytes(4), 0),
             ("a payload too long", header(wire, 200) + bytes(200), 0),
             ("a huge size", header(wire, 0x7FFFFFF0), 0),
             ("an answer nobody waits for", struct.pack("<IIQQ", 1, 0, 8, 0) if wire == "mpqemu" else
              struct.pack("<HHIII", 9, 9, 16, 1, 0), 0),
             ("too many descriptors", whole(wire), 9)]
    for name, sent, count in cases:
        vm = kind(service)
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [null] * count))]
        vm.wire.sendmsg([sent], ancillary if count else [])
        tap.ok(closed(vm), f"{wire}: {name}: the connection is dropped")
        status = vm.wait_status(lambda s: s["fault"] != 0)
        tap.is_equal(status["fault"], FAULT_WIRE, f"{wire}: {name}: and it is the wire's fault")
        tap.ok(vm.close(), f"{wire}: {name}: the device ends with QEMU")
    os.close(null)


def check_halves(tap, service, wire, kind):
    """QEMU's end in the middle of anything is its end, and leaves nothing."""
    message = whole(wire)
    for name, sent in (("half a header", message[:7]), ("a header alone", message[:16]),
                       ("half a payload", message[:-3]), ("a request unread", message)):
        vm = kind(service)
        vm.wire.sendall(sent)
        tap.ok(vm.close(), f"{wire}: closed after {name}: the device ends")
    vm = kind(service)
    for byte in message:
        vm.wire.sendall(bytes([byte]))
    size = 24 if wire == "mpqemu" else 36
    data = b""
    while len(data) < size:
        data += vm.wire.recv(size - len(data))
    tap.ok(b"\x34\x12\x7e\xa7" in data, f"{wire}: byte by byte is a message too")
    vm.wire.sendall(message * 10)
    data = b""
    while len(data) < 10 * size:
        data += vm.wire.recv(10 * size - len(data))
    tap.is_equal(data.count(b"\x34\x12\x7e\xa7"), 10, f"{wire}: ten messages at once, ten answers")
    tap.ok(vm.close(), f"{wire}: ended in order")


def check_vfio_only(tap, service):
    vm = VfioUserVm(service)
    error = tap.raises(WireError, "vfio-user: migration's command is refused", vm.message,
                       DEVICE_FEATURE, struct.pack("<II", 8, 0))
    tap.is_equal(str(error), "95", "vfio-user: as not supported")
    vm.region_write(0, 0x18, 6, 4, reply=False)
    tap.is_equal(vm.read(BAR0 + 0x18), 6, "vfio-user: a posted write is done before the next read")
    second = socket.socket(socket.AF_UNIX)
    tap.raises(ConnectionRefusedError, "vfio-user: once QEMU has come nobody comes second",
               second.connect, vm.path)
    second.close()
    sizes = [(i % 4 + 1) * MB for i in range(12)]
    vm.memory([(i << 32, size, 0, service.ram) for i, size in enumerate(sizes)])
    shown = [regions_of(vm) for _ in range(2)][1]
    tap.is_equal(sorted(size for _, size, _ in shown), sorted(sizes)[4:],
                 "vfio-user: of twelve regions the eight biggest are shown")
    tap.is_equal(service.stderr().count("4 ranges of guest memory are not shown"), 1,
                 "vfio-user: and that some are not is said, once")
    tap.ok(vm.close(), "vfio-user: ended in order")


def attach_only(service, name="test"):
    """A launcher that asked and started no QEMU: (monitor, path)."""
    monitor, theirs = socket.socketpair()
    attach = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    attach.settimeout(30)
    attach.connect(service.run + "/attach.sock")
    answer, _ = call(attach, ATTACH, os.urandom(16) + text(name) +
                     struct.pack(">BBBBII", 1, 0, 1, 0, 1, 0), [theirs.fileno()])
    theirs.close()
    attach.close()
    return monitor, answer[10:].decode()


def gone(path, seconds=20):
    until = time.monotonic() + seconds
    while os.path.exists(path) and time.monotonic() < until:
        time.sleep(0.02)
    return not os.path.exists(path)


def check_listening(tap, service):
    monitor, path = attach_only(service)
    stat = os.stat(path)
    tap.is_equal(stat.st_mode & 0o777, 0o600, "listening: for one user alone")
    tap.ok(os.getuid() == 0 or stat.st_uid == os.getuid(), "listening: the launcher's, or root's to use")
    if os.getuid() == 0:
        tap.is_equal(as_user(65534, functools.partial(connects, path)), 1, "listening: not for another user")
    monitor.close()
    tap.ok(gone(os.path.dirname(path)), "listening: ends with the launcher when no QEMU came")


def connects(path):
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(path)
    return 0


def as_user(uid, act):
    """act()'s result in a child of that user; 1: an exception."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            signal.alarm(60)
            os.setgid(uid)
            os.setuid(uid)
            status = act()
        except BaseException as error:  # noqa: BLE001 # a child must not go on in the test
            print(f"# {error!r}", flush=True)
        os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def check_other_user(tap):
    if os.getuid() != 0:
        tap.skip("only root can become another user", "another user's QEMU")
        return
    service = Service(paths.HW_ATTEST, options=["--allow-uid", "65534"])
    os.chmod(service.folder, 0o711)

    def attach():
        vm = VfioUserVm.__new__(VfioUserVm)
        monitor, path = attach_only(service)
        if os.stat(path).st_uid != os.getuid():
            return 2
        vm.open_wire(path, [])
        return 0 if vm.config_read(0) == 0xA77E1234 and monitor else 3
    tap.is_equal(as_user(65534, attach), 0, "a user who may attach gets a socket of its own")
    tap.is_equal(service.killed(), [], "and its device is not killed by the sandbox")
    service.close()


def check_rounds(tap, service, kind):
    """Case D06: nothing is left of a hundred attachments, however they ended."""
    def left():
        """Of the service: it reaps, cleans up and closes one after the other."""
        return children(service.process.pid), len(os.listdir(f"/proc/{service.process.pid}/fd"))
    kind(service).close()
    before = None
    while before != left():
        before = left()
        time.sleep(0.5)
    clean = 0
    for i in range(ROUNDS):
        vm = kind(service)
        if i % 4 == 1:
            vm.memory([(0, MB, 0, service.ram)])
            vm.guest_extend(10, D256, D384)
        elif i % 4 == 2:
            vm.wire.sendall(b"A" * 16)
        elif i % 4 == 3:
            vm.kill_device()
        clean += vm.close()
    tap.is_equal(clean, ROUNDS, f"{ROUNDS} rounds of attach and detach leave no folder")
    until = time.monotonic() + 20
    while left() != before and time.monotonic() < until:
        time.sleep(0.05)
    tap.is_equal((before[0], left()), ([], before), "and no process and no descriptor")


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        return file.read().split()


def main():
    tap = Tap()
    missing = paths.missing("swtpm", paths.HW_ATTEST)
    if missing:
        tap.skip_all(f"{missing} is missing")
    service = Service(paths.HW_ATTEST)
    service.ram = os.memfd_create("ram")
    os.truncate(service.ram, MB)
    for wire, kind in WIRES.items():
        for check in (run_scenarios, check_memory, check_reboot, check_doubts, check_halves):
            with tap:
                check(tap, service, wire, kind)
    for check in (check_vfio_only, check_listening):
        with tap:
            check(tap, service)
    killed = service.killed()
    tap.is_equal(killed, [], "no device was killed by its sandbox")
    with tap:
        check_rounds(tap, service, VfioUserVm)
    if tap.failed:
        tap.note(service.stderr())
    service.close()
    with tap:
        check_other_user(tap)
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
