# SPDX-License-Identifier: GPL-2.0-or-later
"""fault.py: the least that reproduces a fault of QEMU: a vfio-user server, QEMU, its QMP.

Needs nothing but Python and QEMU; no guest but the firmware.  A reproducer is called as

    reproducer.py qemu-system-x86_64          (or any words that start a QEMU)

and says in one line what happened.  Exit 0: the fault is there; 1: it is not; 2: something else.
"""
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading

PATIENCE_S = 60
FAULT, MENDED, OTHER = 0, 1, 2
VERSION, DMA_MAP, DMA_UNMAP, GET_INFO, REGION_INFO, IRQ_INFO = 1, 2, 3, 4, 5, 7
SET_IRQS, REGION_READ, REGION_WRITE, RESET = 8, 9, 10, 13
CONFIG = 7
# struct vfio_region_info's flags: read, write
READ_WRITE = 3


class Server(threading.Thread):
    """Serves one PCI device with one BAR of 4096 bytes; msix: with two vectors in it."""

    def __init__(self, path, msix=False):
        super().__init__(daemon=True)
        self.msix = msix
        self.cut = lambda command, payload: 0  # how many bytes of a reply are never sent
        self.busy = threading.Event()  # set by each message
        self.config = bytearray(256)
        struct.pack_into("<HH", self.config, 0, 0x1234, 0x11E9)
        self.config[0x0B] = 0xFF
        if msix:  # capability 0x11 at 0x40: 2 vectors, table at 0, pending bits at 0x800 of BAR 0
            self.config[6], self.config[0x34] = 0x10, 0x40
            struct.pack_into("<BBHII", self.config, 0x40, 0x11, 0, 1, 0, 0x800)
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen(1)
        self.start()

    def take(self, size):
        data = b""
        while len(data) < size:
            more = self.sock.recv(size - len(data))
            if not more:
                raise EOFError
            data += more
        return data

    def run(self):
        self.sock, _ = self.listener.accept()
        try:
            while True:
                number, command, size, flags, _ = struct.unpack("<HHIII", self.take(16))
                payload = self.take(size - 16)
                self.busy.set()
                answer = self.answer(command, payload)
                reply = struct.pack("<HHIII", number, command, 16 + len(answer), 1, 0) + answer
                if not flags & 0x10:
                    self.sock.sendall(reply[:len(reply) - self.cut(command, payload)])
        except (EOFError, OSError):
            pass

    def answer(self, command, payload):
        words = struct.unpack(f"<{len(payload) // 4}I", payload[:len(payload) // 4 * 4])
        if command == VERSION:
            return bytes(4) + b'{"capabilities":{"max_msg_fds":8}}\0'
        if command == GET_INFO:
            return struct.pack("<IIII", 16, 3, 9, 5)
        if command == REGION_INFO:
            size = {0: 4096, CONFIG: 256}.get(words[2], 0)
            return struct.pack("<IIIIQQ", 32, READ_WRITE if size else 0, words[2], 0, size, 0)
        if command == IRQ_INFO:
            count = 2 if self.msix and words[2] == 2 else 0
            return struct.pack("<IIII", 16, 1, words[2], count)
        if command in (REGION_READ, REGION_WRITE):
            offset, region, count = struct.unpack("<QII", payload[:16])
            if command == REGION_WRITE:
                if region == CONFIG and offset in (4, 0x42):
                    self.config[offset:offset + count] = payload[16:]
                return payload[:16]
            data = self.config[offset:offset + count] if region == CONFIG else bytes(count)
            return payload[:16] + bytes(data)
        return payload if command == DMA_UNMAP else b""

    def settle(self):
        """Waits until the firmware has left the device alone for two seconds."""
        self.busy.wait(PATIENCE_S)
        while self.busy.wait(2):
            self.busy.clear()

    def die(self):
        for sock in (self.sock, self.listener):
            sock.shutdown(socket.SHUT_RDWR)
            sock.close()


class Qemu:
    """QEMU under TCG with shared memory, as vfio-user needs it, and its QMP."""

    def __init__(self, words, *options, fds=()):
        if not words:
            sys.exit(f"usage: {sys.argv[0]} qemu-system-x86_64")
        self.folder = tempfile.mkdtemp(prefix="fault-", dir="/tmp")
        ours, theirs = socket.socketpair()
        self.stderr = open(f"{self.folder}/stderr", "w+", encoding="utf-8", errors="replace")
        self.process = subprocess.Popen(
            [*words, "-accel", "tcg", "-nodefaults", "-display", "none", "-m", "64",
             "-machine", "q35,memory-backend=ram",
             "-object", "memory-backend-memfd,id=ram,size=64M,share=on",
             "-chardev", f"socket,id=qmp,fd={theirs.fileno()}", "-mon", "chardev=qmp,mode=control",
             *options], pass_fds=[theirs.fileno(), *fds], stdin=subprocess.DEVNULL,
            stderr=self.stderr)
        theirs.close()
        ours.settimeout(PATIENCE_S)
        self.qmp = ours.makefile("rw", encoding="utf-8")

    def execute(self, command, **arguments):
        """The answer; None when QEMU is gone."""
        try:
            self.qmp.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
            self.qmp.flush()
            for line in self.qmp:
                answer = json.loads(line)
                if "return" in answer or "error" in answer:
                    return answer
        except OSError:
            pass
        return None

    def begin(self):
        if not self.qmp.readline() or not self.execute("qmp_capabilities"):
            self.end([signal.SIGSEGV, signal.SIGABRT], "")

    def end(self, signals, message, wait=5):
        """Exits: did QEMU die of this signal with this message within so many seconds?"""
        try:
            status = self.process.wait(wait)
        except subprocess.TimeoutExpired:
            alive = self.execute("query-status")
            self.process.kill()
            self.process.wait()
            status = 0 if alive and "return" in alive else None
        self.stderr.seek(0)
        text = self.stderr.read()
        for name in os.listdir(self.folder):
            os.unlink(f"{self.folder}/{name}")
        os.rmdir(self.folder)
        if status == 0:
            print("mended: QEMU goes on, or ended in order")
            sys.exit(MENDED)
        if status is not None and -status in signals and message in text:
            said = [line for line in text.splitlines() if message and message in line]
            print(f"fault: QEMU died of {signal.Signals(-status).name}"
                  f"{': ' if said else ''}{said[0] if said else ''}")
            sys.exit(FAULT)
        print(f"other: status {status}: {text.strip()}")
        sys.exit(OTHER)


def vfio_user(path, bus):
    return {"driver": "vfio-user-pci", "id": "dut", "bus": bus, "x-msg-timeout": 500,
            "socket": {"type": "unix", "path": path}}
