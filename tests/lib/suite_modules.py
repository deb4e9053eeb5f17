# SPDX-License-Identifier: GPL-2.0-or-later
"""suite_modules.py: Debian's own modules of a guest's kernel, as files that insmod takes.

    folder = suite_modules.folder(vmlinuz)              # None: its modules are not beside it
    suite_modules.unpack(suite_modules.path(folder, "dummy"), "/tmp/x/dummy.ko")
"""
import glob
import os
import shutil
import subprocess


def folder(vmlinuz):
    """Where the package of this kernel put its modules."""
    root, release = os.path.dirname(os.path.dirname(vmlinuz)), vmlinuz.rpartition("vmlinuz-")[2]
    for place in (f"{root}/usr/lib/modules/{release}", f"{root}/lib/modules/{release}"):
        if os.path.exists(f"{place}/modules.dep"):
            return place
    return None


def name_of(path):
    return os.path.basename(path).partition(".ko")[0].replace("-", "_")


def path(where, name):
    """The file of a module, packed as it is; None: this kernel has it not."""
    return next(iter(glob.glob(f"{where}/kernel/**/{name}.ko*", recursive=True)), None)


def unpack(source, target):
    tool = {".xz": "xz", ".zst": "zstd"}.get(os.path.splitext(source)[1])
    if tool is None:
        shutil.copy(source, target)
        return
    with open(target, "wb") as out:
        subprocess.run([tool, "-dc", source], stdout=out, check=True)
