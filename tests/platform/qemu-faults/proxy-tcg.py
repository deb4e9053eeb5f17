#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""proxy-tcg.py: x-pci-proxy-dev without KVM, and QEMU crashes while it makes the device.

The remote end answers every message of mpqemu with "done"; it is not even asked before the crash.
"""
import signal
import socket
import struct
import sys
import threading

import fault

CONFIG_WRITE, BAR_READ, DEVICE_RESET = 2, 5, 7
ours, theirs = socket.socketpair()


def serve():
    while True:
        head = ours.recv(16, socket.MSG_WAITALL)
        if len(head) < 16:
            return
        command, _, size = struct.unpack("<IIQ", head)
        if size:
            ours.recv(size, socket.MSG_WAITALL)
        if CONFIG_WRITE <= command <= BAR_READ or command == DEVICE_RESET:
            ours.sendall(struct.pack("<IIQQ", 1, 0, 8, 0))


threading.Thread(target=serve, daemon=True).start()
qemu = fault.Qemu(sys.argv[1:], "-S", "-device", f"x-pci-proxy-dev,id=dut,fd={theirs.fileno()}",
                  fds=[theirs.fileno()])
theirs.close()
qemu.begin()
qemu.end([signal.SIGSEGV, signal.SIGABRT], "")
