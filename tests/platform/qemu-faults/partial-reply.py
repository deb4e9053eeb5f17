#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""partial-reply.py: the last two bytes of a vfio-user reply never come, and QEMU crashes.

The server answers everything while QEMU sets the device up, then cuts each reply to a read of the
configuration space, which the firmware does as soon as it runs.
"""
import json
import os
import signal
import sys
import tempfile

import fault

with tempfile.TemporaryDirectory(prefix="fault-", dir="/tmp") as folder:
    path = os.path.join(folder, "sock")
    server = fault.Server(path)
    qemu = fault.Qemu(sys.argv[1:], "-S", "-device", json.dumps(fault.vfio_user(path, "pcie.0")))
    qemu.begin()
    server.cut = lambda command, payload: 2 if command == fault.REGION_READ else 0
    qemu.execute("cont")
    qemu.end([signal.SIGSEGV, signal.SIGABRT], "", wait=15)
