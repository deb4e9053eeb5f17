#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""reset-after-death.py: a vfio-user server is gone, the VM is reset, and QEMU aborts.

The server closes its socket once the firmware has set the memory map up; system_reset maps memory
anew, which the dead server cannot acknowledge.
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
    qemu = fault.Qemu(sys.argv[1:], "-device", json.dumps(fault.vfio_user(path, "pcie.0")))
    qemu.begin()
    server.settle()
    server.die()
    qemu.execute("system_reset")
    qemu.end([signal.SIGABRT], "DMA mapping failed, unable to continue", wait=15)
