#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""test-qemu-wire.py: the installed QEMU's side of the mpqemu wire, without a device of ours.

A server of this file's own answers: sizes and order of the messages, that guest RAM comes as
descriptors of the shared backend, that a reboot sends RESET, and that QEMU lives when the server
dies.  Nothing boots: the firmware's PCI scan is enough.
"""
import array
import json
import os
import socket
import struct
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "lib")]
import paths  # noqa: E402
from tap import Tap  # noqa: E402

SYSMEM, RET, CONFIG_WRITE, CONFIG_READ, BAR_WRITE, BAR_READ, IRQFD, RESET = range(8)
SIZES = {SYSMEM: 192, CONFIG_WRITE: 12, CONFIG_READ: 12, BAR_WRITE: 24, BAR_READ: 24, IRQFD: 0,
         RESET: 0}
IDENTITY = {0: 0xA77E1234, 8: 0x10800001}
MEMORY = 64 << 20


class Server(threading.Thread):
    def __init__(self, sock):
        super().__init__(daemon=True)
        self.sock, self.sizes, self.resets, self.regions = sock, set(), 0, []
        self.config = {}
        self.event = threading.Event()

    def run(self):
        try:
            while self.message():
                pass
        except OSError:
            pass

    def message(self):
        head, ancillary, _, _ = self.sock.recvmsg(16, socket.CMSG_SPACE(32))
        if len(head) < 16:
            return False
        command, _, size = struct.unpack("<IIQ", head)
        self.sizes.add((command, size))
        body = self.sock.recv(size, socket.MSG_WAITALL) if size else b""
        fds = array.array("i")
        for _, _, content in ancillary:
            fds.frombytes(content)
        if command == SYSMEM:
            words = struct.unpack("<24Q", body)
            self.regions = [(words[i], words[8 + i], words[16 + i],
                             os.readlink(f"/proc/self/fd/{fd}")) for i, fd in enumerate(fds)]
        for fd in fds:
            os.close(fd)
        value = 0
        if command == CONFIG_READ:
            address, _, length = struct.unpack("<III", body)
            word = self.config.get(address & ~3, IDENTITY.get(address & ~3, 0))
            value = word >> 8 * (address & 3) & (1 << 8 * length) - 1
        elif command == CONFIG_WRITE:
            address, word, length = struct.unpack("<III", body)
            if address == 0x10 and length == 4:
                self.config[0x10] = word & 0xFFFFF000
                self.event.set()
        elif command == RESET:
            self.resets += 1
        if command not in (SYSMEM, IRQFD):
            self.sock.sendall(struct.pack("<IIQQ", RET, 0, 8, value))
        return True


def monitor(sock):
    stream = sock.makefile("rw")
    stream.readline()

    def execute(command):
        stream.write(json.dumps({"execute": command}) + "\n")
        stream.flush()
        while True:
            answer = json.loads(stream.readline())
            if "event" not in answer:
                return answer
    execute("qmp_capabilities")
    return execute


def check(tap, machine):
    wire, theirs = socket.socketpair()
    qmp, other = socket.socketpair()
    qmp.settimeout(60)
    process = subprocess.Popen(
        [paths.QEMU, "-accel", "tcg", "-nodefaults", "-display", "none", "-m", "64", "-machine",
         machine + ",memory-backend=m", "-object", "memory-backend-memfd,id=m,size=64M,share=on",
         "-chardev", f"socket,id=q,fd={other.fileno()}", "-mon", "chardev=q,mode=control",
         "-device", f"x-pci-proxy-dev,id=d,fd={theirs.fileno()}"],
        pass_fds=[theirs.fileno(), other.fileno()], stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    theirs.close()
    other.close()
    server = Server(wire)
    server.start()
    try:
        execute = monitor(qmp)
        tap.ok(server.event.wait(60), f"{machine}: the firmware sizes and sets BAR0")
        tap.ok(all(SIZES.get(command) == size for command, size in server.sizes),
               f"{machine}: messages have the sizes of mpqemu-link.h", server.sizes)
        tap.ok({SYSMEM, CONFIG_READ, CONFIG_WRITE} <= {c for c, _ in server.sizes},
               f"{machine}: memory map and configuration space were asked", server.sizes)
        backend = [r for r in server.regions if "memory-backend-memfd" in r[3]]
        tap.ok(backend and sum(r[1] for r in backend) > MEMORY - (1 << 20),
               f"{machine}: guest RAM came as the backend's descriptor", server.regions)
        before = server.resets
        tap.ok("return" in execute("system_reset"), f"{machine}: system_reset")
        until = time.monotonic() + 60
        while server.resets == before and time.monotonic() < until:
            time.sleep(0.02)
        tap.ok(server.resets > before, f"{machine}: it sends RESET", (before, server.resets))
        wire.shutdown(socket.SHUT_RDWR)
        wire.close()
        tap.ok(execute("query-status").get("return", {}).get("running"),
               f"{machine}: QEMU runs on without its server")
        tap.ok("return" in execute("quit") and process.wait(30) == 0, f"{machine}: and ends in order")
    finally:
        if process.poll() is None:
            process.kill()
            process.wait(10)


def main():
    tap = Tap()
    missing = paths.missing(paths.QEMU)
    if missing:
        tap.skip_all(f"{missing} is missing")
    for machine in ("q35", "pc"):
        with tap:
            check(tap, machine)
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
