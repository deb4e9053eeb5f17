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
import subprocess
import tempfile

import driver_module
import guest as guest_library
import paths

SOURCES = ("rootkit.c", "truth.c", "Kbuild")


Missing = driver_module.Missing


def headers():
    """The folder of kernel headers that belongs to the guests' kernel."""
    kernel = os.path.basename(guest_library.kernel())
    return driver_module.host_headers(kernel.removeprefix("vmlinuz-"))


def build(name="rootkit"):
    """name: "truth" is the module that hooks (tests/guest/rootkit/truth.c)."""
    where = headers()
    lacking = paths.missing("make", "gcc")
    if lacking:
        raise Missing(f"{lacking} is missing")
    key = hashlib.sha256(where.encode())
    for source in SOURCES:
        with open(paths.source("tests", "guest", "rootkit", source), "rb") as file:
            key.update(file.read())
    folder = paths.build("test-guest")
    os.makedirs(folder, exist_ok=True)
    module = os.path.join(folder, f"{name}-{key.hexdigest()[:16]}.ko")
    if not os.path.exists(module):
        with tempfile.TemporaryDirectory(prefix="mg-", dir="/tmp") as work:
            for source in SOURCES:
                shutil.copy(paths.source("tests", "guest", "rootkit", source), work)
            done = subprocess.run(["make", "-s", "-C", where, f"M={work}", "modules"],
                                  capture_output=True, text=True)
            if done.returncode != 0:
                raise RuntimeError(f"rootkit: make: {done.stdout}{done.stderr}")
            shutil.copy(f"{work}/{name}.ko", f"{module}.{os.getpid()}")
            os.rename(f"{module}.{os.getpid()}", module)
    return module


class Rootkit:
    def __init__(self, guest, module="/rootkit.ko"):
        self.guest = guest
        guest.run(f"insmod {module}")

    def hide(self, pid, how):
        assert how in ("list", "both")
        self.guest.run(f"echo {how} {pid} >/proc/monatt-rootkit")

    def show(self, pid):
        self.guest.run(f"echo show {pid} >/proc/monatt-rootkit")
