#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""msix-unplug.py: a vfio-user device with MSI-X is unplugged, and QEMU fails an assertion.

No guest runs: a hot-plugged device in a slot that nobody has powered up is unplugged at once.
"""
import os
import signal
import sys
import tempfile

import fault

with tempfile.TemporaryDirectory(prefix="fault-", dir="/tmp") as folder:
    path = os.path.join(folder, "sock")
    server = fault.Server(path, msix=True)
    qemu = fault.Qemu(sys.argv[1:], "-S", "-global",
                      "ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off",
                      "-device", "pcie-root-port,id=slot1,bus=pcie.0,chassis=1,slot=1")
    qemu.begin()
    added = qemu.execute("device_add", **fault.vfio_user(path, "slot1"))
    if not added or "return" not in added:
        print(f"other: device_add: {added}")
        qemu.process.kill()
        sys.exit(fault.OTHER)
    qemu.execute("device_del", id="dut")
    qemu.end([signal.SIGABRT], "memory_region_del_subregion")
