# SPDX-License-Identifier: GPL-2.0-or-later
"""payload_vm.py: a stock QEMU on an attest device, with tests/device/payload as its only program.

32 bits, no paging: it runs under every KVM, and under TCG.  With a tree of suite-tree's it is that
tree's QEMU and vfio-user on a root port.
"""
import json
import os
import socket
import subprocess
import uuid

import paths
from qemu_vm import QemuVm

MEMORY_MB = 64
SOURCES = ("start.S", "interrupts.c", "payload.c")
FLAGS = ("-m32 -march=i686 -mgeneral-regs-only -O2 -Wall -Wextra -Werror -ffreestanding -nostdlib "
         "-static -no-pie -fno-pic -fno-stack-protector -Wl,-Ttext=0x100000,-e,start,--build-id=none").split()


def build(folder):
    """The payload as a multiboot kernel; raises with the compiler's words."""
    out = os.path.join(folder, "payload")
    here = paths.source("tests", "device", "payload")
    done = subprocess.run(["gcc", *FLAGS, "-I", paths.source(), "-o", out,
                           *(os.path.join(here, name) for name in SOURCES)],
                          capture_output=True, text=True, timeout=120)
    if done.returncode != 0:
        raise RuntimeError(done.stderr)
    return out


def kvm_missing():
    """Why KVM cannot be used here, or None."""
    try:
        os.close(os.open("/dev/kvm", os.O_RDWR))
        return None
    except OSError as error:
        return f"/dev/kvm: {error.strerror}"


class PayloadVm(QemuVm):
    def __init__(self, service, payload, accelerator, machine="pc", tree=None, seconds=300):
        self.vid = uuid.uuid4()
        self.folder = f"{service.run}/vm/{self.vid}"
        self.state = f"{service.state}/vm/{self.vid}"
        self.service = service
        monitor, theirs = socket.socketpair()
        self.port, port = socket.socketpair()
        fds, path = self.attach("payload", 1 if tree else 0, theirs, 2 if accelerator == "kvm" else 1)
        theirs.close()
        bus = "pcie.0" if machine == "q35" else "pci.0"
        words, device = [paths.QEMU], ["-device", f"x-pci-proxy-dev,id=monatt0,bus={bus},fd={(fds or [0])[0]}"]
        if tree:
            words = [paths.source("tests", "lib", "suite-run"), tree, paths.QEMU]
            device = ["-device", "pcie-root-port,id=monatt-port,bus=pcie.0,chassis=1,slot=1",
                      "-device", json.dumps(self.vfio_device(path))]
        with open(service.folder + "/qemu-stderr", "ab") as stderr:
            self.process = subprocess.Popen(
                [*words, "-accel", accelerator, "-cpu", "qemu64", "-nodefaults", "-display", "none",
                 "-m", str(MEMORY_MB), "-machine", machine + ",memory-backend=ram",
                 "-object", f"memory-backend-memfd,id=ram,size={MEMORY_MB}M,share=on",
                 "-kernel", payload, "-chardev", f"socket,id=s,fd={port.fileno()}",
                 "-serial", "chardev:s",
                 "-chardev", f"socket,id=q1,fd={monitor.fileno()}", "-mon", "chardev=q1,mode=control",
                 *device],
                pass_fds=[monitor.fileno(), port.fileno(), *fds], stdin=subprocess.DEVNULL,
                stdout=stderr, stderr=stderr)
        for sock in (monitor, port):
            sock.close()
        for fd in fds:
            os.close(fd)
        self.ring = None
        self.port.settimeout(seconds)
        self.answers = self.port.makefile("r", encoding="ascii", errors="replace")
        self.control = self.connect()
        self.ready = self.line()

    def line(self):
        got = self.answers.readline()
        if not got:
            with open(self.service.folder + "/qemu-stderr", encoding="utf-8", errors="replace") as file:
                raise EOFError("no answer from the payload: " + file.read()[-2000:])
        words = got.split()
        return (words[0], *(int(word) for word in words[1:]))

    def ask(self, words):
        self.port.sendall(words.encode() + b"\n")
        return self.line()

    def end(self):
        """Ends QEMU; True when the device cleaned up after itself."""
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait(30)
        self.qmp = self.qmp_file = self.wire = self.port
        return self.close()
