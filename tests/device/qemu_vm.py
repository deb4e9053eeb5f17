# SPDX-License-Identifier: GPL-2.0-or-later
"""qemu_vm.py: a stock QEMU on an attest device, with a guest that accesses it as a test says.

With a tree of suite-tree's it is that tree's QEMU and vfio-user on a root port.

The guest is Debian's cloud kernel and guest-poke.c as its only program.  Everything of a Vm of
device_client.py that needs the wire is done by that guest instead, so the same checks run on both.
"""
import functools
import json
import os
import socket
import struct
import subprocess
import time
import uuid

import paths
from device_client import ATTACH, BAR0, BAR2, Vm, call, text

MEMORY_MB = 192
BOOT_TIMEOUT = 180  # under TCG on a loaded machine; a boot takes 5 to 10 s


@functools.lru_cache(maxsize=None)
def kernel():
    """Debian's cloud kernel, or None."""
    done = subprocess.run([paths.source("guest", "find-kernel")], capture_output=True, text=True)
    if done.returncode != 0:
        print(f"# {done.stderr.strip()}")
        return None
    return done.stdout.strip()


def initramfs(program):
    """A newc archive with the program as /init."""
    def member(number, name, mode, content):
        fields = (number, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name) + 1, 0)
        head = b"070701" + b"".join(b"%08X" % f for f in fields) + name.encode() + b"\0"
        return head + bytes(-len(head) % 4) + content + bytes(-len(content) % 4)
    with open(program, "rb") as file:
        init = file.read()
    return member(1, "init", 0o100755, init) + member(0, "TRAILER!!!", 0, b"")


class LostGuest(Exception):
    """No answer from the guest: never a success."""


class QemuVm(Vm):
    def __init__(self, service, poke, machine="q35", name="qemu", qemu="qemu-system-x86_64",
                 tree=None):
        self.vid = uuid.uuid4()
        self.folder = f"{service.run}/vm/{self.vid}"
        self.state = f"{service.state}/vm/{self.vid}"
        self.console = f"{service.folder}/console-{self.vid}"
        initrd = f"{service.folder}/initrd-{self.vid}"
        with open(initrd, "wb") as file:
            file.write(initramfs(poke))
        monitor, theirs = socket.socketpair()
        self.port, port = socket.socketpair()
        self.qmp, qmp = socket.socketpair()
        self.service = service
        fds, path = self.attach(name, 1 if tree else 0, theirs)
        theirs.close()
        bus = "pcie.0" if machine == "q35" else "pci.0"
        if tree:
            words = [paths.source("tests", "lib", "suite-run"), tree, qemu]
            device = ["-device", "pcie-root-port,id=monatt-port,bus=pcie.0,chassis=1,slot=1",
                      "-device", json.dumps(self.vfio_device(path))]
        else:
            words = [qemu]
            device = ["-device", f"x-pci-proxy-dev,id=monatt0,bus={bus},fd={fds[0]}"]
        passed = [monitor.fileno(), port.fileno(), qmp.fileno(), *fds]
        with open(service.folder + "/qemu-stderr", "ab") as stderr:
            self.process = subprocess.Popen(
                [*words, "-accel", "tcg", "-nodefaults", "-display", "none", "-m", str(MEMORY_MB),
                 "-machine", machine + ",memory-backend=ram",
                 "-object", f"memory-backend-memfd,id=ram,size={MEMORY_MB}M,share=on",
                 "-kernel", kernel(), "-initrd", initrd, "-append", "console=ttyS0 quiet panic=-1",
                 "-serial", "file:" + self.console,
                 "-chardev", f"socket,id=poke,fd={port.fileno()}", "-serial", "chardev:poke",
                 "-chardev", f"socket,id=q1,fd={monitor.fileno()}", "-mon", "chardev=q1,mode=control",
                 "-chardev", f"socket,id=q2,fd={qmp.fileno()}", "-mon", "chardev=q2,mode=control",
                 *device],
                pass_fds=passed, stdin=subprocess.DEVNULL, stdout=stderr, stderr=stderr)
        for sock in (monitor, port, qmp):
            sock.close()
        for fd in fds:
            os.close(fd)
        self.ring = self.wire = None
        self.events = []  # of QMP, as they came while a command was answered
        self.port.settimeout(BOOT_TIMEOUT)
        self.qmp.settimeout(60)
        self.answers = self.port.makefile("r", encoding="ascii", errors="replace")
        self.qmp_file = self.qmp.makefile("r")
        self.control = self.connect()
        json.loads(self.qmp_file.readline())
        self.execute("qmp_capabilities")
        self.address = self.wait_ready()

    def attach(self, name, wire, monitor, accelerator=1):
        """What the launcher asks for; descriptors, and the path of vfio-user's socket.

        accelerator: 1 TCG, 2 KVM."""
        attach = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        attach.settimeout(30)
        attach.connect(self.service.run + "/attach.sock")
        answer, fds = call(attach, ATTACH, self.vid.bytes + text(name) +
                           struct.pack(">BBBBII", accelerator, 0, wire, 0, 1, 0), [monitor.fileno()])
        attach.close()
        return fds, answer[10:].decode()

    @staticmethod
    def vfio_device(path):
        return {"driver": "vfio-user-pci", "id": "monatt0", "bus": "monatt-port",
                "socket": {"type": "unix", "path": path}, "x-msg-timeout": 1000}

    def wait_ready(self):
        """The device's PCI address once the guest is up, or "none"."""
        return self.line().split()[1]

    def line(self):
        try:
            got = self.answers.readline()
        except OSError as error:
            got = ""
            print(f"# {error}")
        if not got:
            with open(self.console, encoding="utf-8", errors="replace") as file:
                raise LostGuest("".join(file.readlines()[-50:]) + self.service.stderr())
        return got.strip()

    def ask(self, words):
        self.port.sendall(words.encode() + b"\n")
        return self.line()

    def order(self, word):
        """What the guest does not answer: reboot, off."""
        self.port.sendall(word.encode() + b"\n")

    def execute(self, command, **arguments):
        """Our own QMP monitor, not the device's."""
        self.qmp.sendall(json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n")
        while True:
            answer = json.loads(self.qmp_file.readline())
            if "event" in answer:
                self.events.append(answer)
            else:
                return answer.get("return", answer)

    def wait_event(self, name):
        while not any(event["event"] == name for event in self.events):
            self.events.append(json.loads(self.qmp_file.readline()))
        self.events = []

    # The same calls as on the wire, by the guest.
    def place(self, address):
        return (0, address - BAR0) if address < BAR2 else (2, address - BAR2)

    def read(self, address, size=4):
        bar, offset = self.place(address)
        return int(self.ask(f"r {bar:x} {offset:x} {size:x}"), 16)

    def write(self, address, value, size=4):
        bar, offset = self.place(address)
        answer = self.ask(f"w {bar:x} {offset:x} {size:x} {value:x}")
        assert answer == "ok", answer

    def config_read(self, address, size=4):
        return int(self.ask(f"c {address:x}"), 16)

    def wire_gone(self):
        """Waits until the attach service has cleaned up after a killed device."""
        until = time.monotonic() + 20
        while os.path.exists(self.folder) and time.monotonic() < until:
            time.sleep(0.02)

    def end(self):
        """Ends QEMU; True when the device cleaned up after itself."""
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait(30)
        self.wire = self.port
        return self.close()
