# SPDX-License-Identifier: GPL-2.0-or-later
"""device_client.py: launcher, QEMU and collector as seen by hw-attest, in the standard library.

Speaks attach.sock, control.sock and the mpqemu wire byte by byte, so that a test does not use the
code that it tests.
"""
import array
import os
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time
import uuid

ATTACH, STATUS, REGISTERS, EXTEND, QUOTE, KEYS, LOG, RAM, RING, ITEMS, NONCE, LIST, VCPUS = range(1, 14)
SUBSCRIBE, VCPU_REGISTERS, HOLD, KERNEL = 15, 16, 17, 20
ERROR = 0x7FFF
CONFIG_WRITE, CONFIG_READ, BAR_WRITE, BAR_READ, SET_IRQFD, RESET = 2, 3, 4, 5, 6, 7
BAR0, BAR2 = 0xFE000000, 0xFE001000
STATUS_FORMAT = ">32sQQQQQIIIBBBB"


class Refused(Exception):
    def __init__(self, code, message, hint):
        super().__init__(message)
        self.code, self.message, self.hint = code, message, hint


def send(sock, kind, number, payload=b"", fds=()):
    ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
    sock.sendmsg([b"MCT1" + struct.pack(">HH", kind, number) + payload], ancillary)


def receive(sock):
    data, ancillary, _, _ = sock.recvmsg(70000, socket.CMSG_SPACE(4 * 16))
    fds = array.array("i")
    for level, kind, content in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds.frombytes(content[:len(content) - len(content) % 4])
    if not data:
        raise EOFError("peer closed")
    kind, number = struct.unpack(">HH", data[4:8])
    return kind, number, data[8:], list(fds)


def call(sock, kind, payload=b"", fds=()):
    send(sock, kind, 7, payload, fds)
    while True:
        got, number, answer, got_fds = receive(sock)
        if number == 7:
            break
    if got == ERROR:
        code, length = struct.unpack(">HH", answer[:4])
        hint = answer[4 + length + 2:]
        raise Refused(code, answer[4:4 + length].decode(), hint.decode())
    assert got == kind | 0x8000, hex(got)
    return answer, got_fds


def refusal(ask, *arguments):
    """The error with which ask(*arguments) is refused, or None."""
    try:
        ask(*arguments)
    except Refused as error:
        return error
    return None


def text(value):
    return struct.pack(">H", len(value)) + value.encode()


class Service:
    """hw-attest serve in a folder of its own."""
    options = ()             # further words of its command line

    def __init__(self, program, private=False, path=None, state=None, options=()):
        """path: put before PATH; state: another state folder than our own; options: of serve."""
        self.folder = tempfile.mkdtemp(prefix="hwa-", dir="/tmp")
        self.run, self.state = self.folder + "/run", state or self.folder + "/state"
        self.program, self.private, self.options = program, private, options
        self.environment = dict(os.environ)
        if path:
            self.environment["PATH"] = path + ":" + self.environment["PATH"]
        self.start()

    def start(self):
        ready, ours = os.pipe()
        arguments = [self.program, "serve", "--run-dir", self.run, "--state-dir", self.state,
                     "--ready-fd", str(ours), *self.options] + (["--private"] if self.private else [])
        self.process = subprocess.Popen(arguments, pass_fds=[ours], env=self.environment,
                                        stderr=open(self.folder + "/stderr", "ab"))
        os.close(ours)
        byte = os.read(ready, 1)
        os.close(ready)
        if byte != b"R":
            raise RuntimeError("hw-attest serve: " + self.stderr())

    def stderr(self):
        with open(self.folder + "/stderr", encoding="utf-8", errors="replace") as file:
            return file.read()

    def attach(self, **options):
        return Vm(self, **options)

    def killed(self):
        """Lines about devices that a signal ended: 31 is the sandbox's."""
        return [line for line in self.stderr().splitlines() if "killed by signal" in line]

    def kill(self):
        """As the kernel would: nothing is cleaned up."""
        self.process.kill()
        self.process.wait(10)

    def close(self):
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait(10)
        shutil.rmtree(self.folder)


class Vm:
    """One attached VM, with the test in QEMU's place; subclasses speak other wires."""
    WIRE = 0  # mpqemu

    def __init__(self, service, name="test", vid=None, plugin=0, vcpus=1, items=b"", count=0, thread=4711):
        self.vid = vid or uuid.uuid4()
        self.folder = f"{service.run}/vm/{self.vid}"
        self.state = f"{service.state}/vm/{self.vid}"
        self.qmp, theirs = socket.socketpair()
        attach = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        attach.settimeout(30)
        attach.connect(service.run + "/attach.sock")
        try:
            answer, fds = call(attach, ATTACH, self.vid.bytes + text(name) +
                               struct.pack(">BBBBII", 1, plugin, self.WIRE, 0, vcpus, count) + items,
                               [theirs.fileno()])
        finally:
            theirs.close()
            attach.close()
        self.ring_size, length = struct.unpack(">QH", answer[:10])
        assert length == len(answer) - 10 and (length > 0) == (self.WIRE == 1), answer
        self.open_wire(answer[10:].decode(), fds)
        self.ring = fds.pop() if fds else None
        self.control = self.connect()
        self.config_write(0x10, BAR0)
        self.config_write(0x18, BAR2)
        self.qmp_start(thread)

    def qmp_start(self, thread):
        """What a device asks its QEMU at the start."""
        self.qmp_send('{"QMP": {"version": {}}}')
        self.qmp_file = self.qmp.makefile("r")
        self.qmp_answer("qmp_capabilities", "{}")
        self.qmp_answer("migrate-set-capabilities", "{}")
        self.qmp_answer("query-kvm", '{"enabled": false, "present": true}')
        self.qmp_answer("query-cpus-fast", '[{"thread-id": %d}]' % thread)
        self.qmp_answer("query-status", '{"running": true}')

    def connect(self):
        control = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        control.settimeout(30)
        control.connect(self.folder + "/control.sock")
        return control

    def qmp_send(self, line):
        self.qmp.sendall(line.encode() + b"\r\n")

    def qmp_answer(self, command, value):
        import json
        request = json.loads(self.qmp_file.readline())
        assert request["execute"] == command, request
        self.qmp_send('{"return": %s, "id": "%s"}' % (value, request["id"]))

    # The wire.
    def open_wire(self, path, fds):
        self.wire = socket.socket(fileno=fds.pop(0))
        self.wire.settimeout(30)

    def message(self, command, payload=b"", fds=(), reply=True):
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        self.wire.sendmsg([struct.pack("<IIQ", command, 0, len(payload)) + payload], ancillary)
        if not reply:
            return None
        data = b""
        while len(data) < 24:
            more = self.wire.recv(24 - len(data))
            if not more:
                raise EOFError("device closed the wire")
            data += more
        return struct.unpack("<IIQQ", data)[3]

    def config_read(self, address, size=4):
        return self.message(CONFIG_READ, struct.pack("<III", address, 0, size))

    def config_write(self, address, value, size=4):
        return self.message(CONFIG_WRITE, struct.pack("<III", address, value, size))

    def read(self, address, size=4):
        return self.message(BAR_READ, struct.pack("<QQIBxxx", address, 0, size, 1))

    def write(self, address, value, size=4):
        return self.message(BAR_WRITE, struct.pack("<QQIBxxx", address, value, size, 1))

    def memory(self, regions):
        """regions: (guest physical, size, offset, fd)"""
        columns = [[r[i] for r in regions] + [0] * (8 - len(regions)) for i in range(3)]
        self.message(0, struct.pack("<24Q", *columns[0], *columns[1], *columns[2]),
                     [r[3] for r in regions], reply=False)

    def guest_extend(self, index, sha256, sha384, content=b""):
        command = (1 if sha256 else 0) | (2 if sha384 else 0)
        data = (sha256 or b"") + (sha384 or b"") + content
        for i in range(0, len(data), 4):
            self.write(BAR0 + 0x400 + i, int.from_bytes(data[i:i + 4].ljust(4, b"\0"), "little"))
        self.write(BAR0 + 0x18, index)
        self.write(BAR0 + 0x1C, len(data))
        self.write(BAR0 + 0x10, command)
        return self.read(BAR0 + 0x14)

    def guest_read(self, index):
        entry = BAR2 + 0x100 + index * 0x60
        data = b"".join(self.read(entry + i).to_bytes(4, "little") for i in range(0, 0x60, 4))
        return data[:32], data[32:80], struct.unpack("<QQ", data[80:])

    def wire_reset(self):
        """A bus reset: the BARs go with it, and the guest puts them back."""
        self.message(RESET)
        self.config_write(0x10, BAR0)
        self.config_write(0x18, BAR2)

    def reset(self):
        """A reboot of the VM."""
        self.wire_reset()
        self.qmp_send('{"event": "RESET", "timestamp": {"seconds": 1, "microseconds": 0}}')

    # The control socket.
    def status(self):
        answer, _ = call(self.control, STATUS)
        length = struct.unpack(">H", answer[16:18])[0]
        names = ("seed boot_count start records synced paused fault device qemu stopped "
                 "accelerator plugin pending").split()
        status = dict(zip(names, struct.unpack(STATUS_FORMAT, answer[18 + length:])))
        status["name"] = answer[18:18 + length].decode()
        return status

    def extend(self, index, record):
        return struct.unpack(">Q", call(self.control, EXTEND, bytes([index]) + record)[0])[0]

    def registers(self):
        answer, _ = call(self.control, REGISTERS)
        size = 32 + 48 + 16
        return [(answer[i:i + 32], answer[i + 32:i + 80], struct.unpack(">QQ", answer[i + 80:i + size]))
                for i in range(0, 24 * size, size)]

    def quote(self, alg, qualifying):
        answer, _ = call(self.control, QUOTE, struct.pack(">HH", alg, len(qualifying)) + qualifying)
        size = struct.unpack(">H", answer[2:4])[0]
        attest, rest = answer[4:4 + size], answer[4 + size:]
        size = struct.unpack(">H", rest[:2])[0]
        signature, rest = rest[2:2 + size], rest[2 + size:]
        values = [rest[i * 48:i * 48 + (48 if alg == 12 else 32)] for i in range(24)]
        records, log_bytes = struct.unpack(">QQ", rest[24 * 48:])
        return attest, signature, values, records, log_bytes

    def hold(self, timeout_ms=1000, control=None):
        answer, _ = call(control or self.control, HOLD, struct.pack(">I", timeout_ms))
        return struct.unpack(">QQ", answer)

    def keys(self, alg):
        answer, _ = call(self.control, KEYS, struct.pack(">H", alg))
        size = struct.unpack(">H", answer[:2])[0]
        rest = answer[2 + size:]
        return answer[2:2 + size], rest[2:]

    def log(self):
        answer, fds = call(self.control, LOG)
        size, records = struct.unpack(">QQ", answer)
        try:
            return os.pread(fds[0], size, 0), records
        finally:
            os.close(fds[0])

    def wait_status(self, condition, seconds=20):
        until = time.monotonic() + seconds
        while True:
            status = self.status()
            if condition(status):
                return status
            if time.monotonic() > until:
                raise TimeoutError(str(status))
            time.sleep(0.02)

    def swtpm(self):
        """Process id of the VM's swtpm, or None."""
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/cmdline", "rb") as file:
                    words = file.read().decode(errors="replace").split("\0")
            except OSError:
                continue
            if os.path.basename(words[0]) == "swtpm" and any(str(self.vid) in w for w in words):
                return int(pid)
        return None

    def kill_device(self, number=signal.SIGKILL):
        os.kill(self.status()["device"], number)

    def close(self, seconds=20):
        """Ends QEMU's side; True when the run folder has gone."""
        for sock in (self.control, self.wire, self.qmp_file, self.qmp):
            sock.close()
        if self.ring is not None:
            os.close(self.ring)
            self.ring = None
        until = time.monotonic() + seconds
        while os.path.exists(self.folder) and time.monotonic() < until:
            time.sleep(0.02)
        return not os.path.exists(self.folder)
