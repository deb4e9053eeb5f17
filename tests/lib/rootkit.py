# SPDX-License-Identifier: GPL-2.0-or-later
"""rootkit.py: builds tests/guest/rootkit for the guests' kernel and works it in a guest.

    module = rootkit.build()                     # path of rootkit.ko, or rootkit.Missing
    with Guest(add=[f"{module}:/rootkit.ko"]) as guest:
        kit = rootkit.Rootkit(guest)
        kit.hide(pid, "list")                    # or "both": list and PID IDR
        kit.show(pid)
"""
import hashlib
import os
import shutil
import tempfile

import driver_module
import paths

FOLDER = paths.source("tests", "guest", "rootkit")
SOURCES = ("rootkit.c", "truth.c", "patch.c", "Kbuild")

Missing = driver_module.Missing


def build(name="rootkit", kernel=None):
    """name: "truth" hooks, "patch" is a livepatch; kernel: a driver_module.Kernel, where it is not
    the guests' usual one."""
    kernel = kernel or driver_module.guest_kernel()
    key = hashlib.sha256(f"{kernel.tree}{kernel.headers}".encode())
    for source in SOURCES:
        with open(f"{FOLDER}/{source}", "rb") as file:
            key.update(file.read())

    def make(result):
        with tempfile.TemporaryDirectory(prefix="mg-", dir="/tmp") as work:
            for source in SOURCES:
                shutil.copy(f"{FOLDER}/{source}", work)
            kernel.compile(work)
            shutil.copy(f"{work}/{name}.ko", result)
    return kernel.keep(f"{name}-{kernel.release}-{key.hexdigest()[:16]}.ko", make)


class Rootkit:
    def __init__(self, guest, module="/rootkit.ko"):
        self.guest = guest
        guest.run(f"insmod {module}")

    def hide(self, pid, how):
        assert how in ("list", "both")
        self.guest.run(f"echo {how} {pid} >/proc/monatt-rootkit")

    def show(self, pid):
        self.guest.run(f"echo show {pid} >/proc/monatt-rootkit")
