# SPDX-License-Identifier: GPL-2.0-or-later
"""driver_module.py: builds guest/linux for a kernel, and finds that kernel's own modules.

    here = driver_module.guest_kernel()          # the guests' usual kernel, with the host's headers
    new = driver_module.suite_kernel("sid")      # a later Debian's, built with that Debian's compiler
    here.build()                                 # path of monatt.ko; RuntimeError says why not
    here.module("fs/configfs/configfs")          # path of configfs.ko, not compressed
    new.vmlinuz

Missing is the reason for a skip: no headers, no tree.  What was built is kept in the build folder
under a name that its sources and headers make, so an edited driver is built anew.
"""
import glob
import hashlib
import lzma
import os
import shutil
import subprocess
import tempfile

import guest as guest_library
import paths
import suite_tree

Missing = guest_library.GuestError
SOURCES = paths.source("guest", "linux")
MAP = paths.source("hw-attest", "register-map.h")


def source_files():
    return sorted(glob.glob(f"{SOURCES}/*.[ch]") + [f"{SOURCES}/Kbuild"])


def copy_sources(folder):
    """As a package has them."""
    subprocess.run(["make", "-s", "-C", SOURCES, "source", f"FOLDER={folder}"], check=True)


class Kernel:
    """release; vmlinuz; headers and modules, paths inside of tree ("" is the host itself)."""

    def __init__(self, release, vmlinuz, headers, modules, tree=""):
        self.release, self.vmlinuz, self.headers = release, vmlinuz, headers
        self.modules, self.tree = modules, tree
        self.folder = paths.build("test-guest")
        os.makedirs(self.folder, exist_ok=True)

    def keep(self, name, make):
        """folder/name, made by make(path) when it is not there; whole or not at all."""
        path = os.path.join(self.folder, name)
        if not os.path.exists(path):
            fresh = f"{path}.{os.getpid()}"
            make(fresh)
            os.rename(fresh, path)
        return path

    def build(self):
        key = hashlib.sha256(f"{self.tree}{self.headers}".encode())
        for name in [*source_files(), MAP]:
            with open(name, "rb") as file:
                key.update(file.read())
        return self.keep(f"monatt-{self.release}-{key.hexdigest()[:16]}.ko", self.make)

    def make(self, result):
        with tempfile.TemporaryDirectory(prefix="mg-", dir="/tmp") as work:
            copy_sources(f"{work}/monatt")
            self.compile(f"{work}/monatt")
            shutil.copy(f"{work}/monatt/monatt.ko", result)

    def compile(self, folder):
        """Modules of the sources in folder, beside them; RuntimeError says why not."""
        words = ["make", "-s", "-C", self.headers, "KCFLAGS=-Werror", "modules"]
        if self.tree:
            # In a mount namespace of its own: nothing stays mounted whatever happens.
            words = ["unshare", "--mount", "sh", "-euc",
                     "mount --make-rprivate /; mount -t proc proc $0/proc; "
                     "mount --rbind /dev $0/dev; mkdir -p $0/mnt; mount --bind $1 $0/mnt; "
                     "tree=$0; shift; exec chroot $tree \"$@\"", self.tree, folder, *words, "M=/mnt"]
        else:
            words.append(f"M={folder}")
        done = subprocess.run(words, capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"modules for {self.release}: {done.stdout}{done.stderr}")

    def module(self, name):
        """A module of the kernel's own, e.g. "fs/configfs/configfs", as the guest can load it."""
        folder = self.modules() if callable(self.modules) else self.modules
        found = glob.glob(f"{folder}/kernel/{name}.ko*")
        if not found:
            raise Missing(f"{name}.ko of Linux {self.release} is missing")

        def unpack(result):
            opener = lzma.open if found[0].endswith(".xz") else open
            with opener(found[0], "rb") as source, open(result, "wb") as target:
                shutil.copyfileobj(source, target)
        return self.keep(f"{os.path.basename(name)}-{self.release}.ko", unpack)


def host_headers(release):
    for folder in (f"/lib/modules/{release}/build", f"/usr/src/linux-headers-{release}"):
        if os.path.exists(f"{folder}/Makefile"):
            return folder
    found = sorted(name for name in os.listdir("/usr/src") if name.endswith("-cloud-amd64"))
    raise Missing(f"linux-headers-{release} is missing (there: {', '.join(found) or 'none'})")


def host_modules(release):
    """Of the installed kernel, or of its package, downloaded and unpacked once."""
    installed = f"/lib/modules/{release}"
    if os.path.isdir(f"{installed}/kernel"):
        return installed
    cache = paths.build(f"test-guest/image-{release}")
    if not os.path.isdir(cache):
        os.makedirs(os.path.dirname(cache), exist_ok=True)
        with tempfile.TemporaryDirectory(dir=os.path.dirname(cache)) as work:
            package = f"linux-image-{release}"
            done = subprocess.run(["apt-get", "-q", "-o", "APT::Sandbox::User=root", "download",
                                   package], cwd=work, capture_output=True, text=True)
            if done.returncode != 0:
                raise Missing(f"modules of Linux {release} are missing, and apt-get cannot download "
                              f"{package}")
            subprocess.run(["dpkg-deb", "-x", glob.glob(f"{work}/*.deb")[0], f"{work}/tree"],
                           check=True)
            os.rename(f"{work}/tree", cache)
    return f"{cache}/lib/modules/{release}"


def guest_kernel():
    """The kernel that guest.py boots."""
    lacking = paths.missing("make", "gcc")
    if lacking:
        raise Missing(f"{lacking} is missing")
    vmlinuz = guest_library.kernel()
    release = os.path.basename(vmlinuz).removeprefix("vmlinuz-")
    return Kernel(release, vmlinuz, host_headers(release), lambda: host_modules(release))


def suite_kernel(suite, *purpose):
    """purpose: of packaging/packages, where it is not suite-SUITE."""
    try:
        tree = suite_tree.folder(suite, *purpose)
    except suite_tree.Missing as error:
        raise Missing(str(error)) from error
    kernels = sorted(glob.glob(f"{tree}/boot/vmlinuz-*-cloud-amd64"))
    releases = [os.path.basename(path).removeprefix("vmlinuz-") for path in kernels]
    ready = [(path, release) for path, release in zip(kernels, releases)
             if os.path.exists(f"{tree}/usr/src/linux-headers-{release}/Makefile")]
    if not ready:
        raise Missing(f"Debian {suite}: no headers for its kernels {', '.join(releases)}")
    vmlinuz, release = ready[-1]
    return Kernel(release, vmlinuz, f"/usr/src/linux-headers-{release}",
                  f"{tree}/usr/lib/modules/{release}", tree)
