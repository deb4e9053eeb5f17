#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""test-guest-image.py: guest/find-kernel and guest/make-initramfs, without a boot.

The archive is unpacked by cpio, which is not ours.
"""
import os
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))
import paths  # noqa: E402
from tap import Tap  # noqa: E402

FIND, MAKE = paths.source("guest", "find-kernel"), paths.source("guest", "make-initramfs")


def run(*words, **environment):
    done = subprocess.run(words, capture_output=True, text=True, timeout=120,
                          env={**os.environ, **environment})
    return done.returncode, done.stdout, done.stderr


def check_find(tap, folder):
    boot = f"{folder}/boot"
    os.makedirs(boot)
    for name in ("vmlinuz-6.1.0-9-cloud-amd64", "vmlinuz-6.1.0-56-cloud-amd64",
                 "vmlinuz-6.1.0-60-amd64", "config-6.1.0-99-cloud-amd64"):
        with open(f"{boot}/{name}", "w", encoding="ascii") as file:
            file.write("kernel")
    newest = f"{boot}/vmlinuz-6.1.0-56-cloud-amd64"
    tap.is_equal(run(FIND, MONATT_BOOT_DIR=boot), (0, newest + "\n", ""),
                 "the newest cloud kernel, by version and not by letters")
    other = f"{boot}/vmlinuz-6.1.0-60-amd64"
    tap.is_equal(run(FIND, MONATT_BOOT_DIR=boot, MONATT_GUEST_KERNEL=other), (0, other + "\n", ""),
                 "$MONATT_GUEST_KERNEL goes first")
    status, out, err = run(FIND, MONATT_GUEST_KERNEL="/nowhere")
    tap.ok(status == 1 and not out and "cannot be read" in err, "but must be there", err)
    cache = f"{folder}/cache"
    os.makedirs(f"{cache}/boot")
    os.rename(newest, f"{cache}/boot/vmlinuz-6.1.0-56-cloud-amd64")
    os.makedirs(f"{folder}/empty")
    tap.is_equal(run(FIND, MONATT_BOOT_DIR=f"{folder}/empty", MONATT_KERNEL_CACHE=cache),
                 (0, f"{cache}/boot/vmlinuz-6.1.0-56-cloud-amd64\n", ""),
                 "one that was downloaded before is used")
    tools = f"{folder}/tools"
    os.makedirs(tools)
    for name, status in (("apt-cache", 0), ("apt-get", 100)):
        with open(f"{tools}/{name}", "w", encoding="ascii") as file:
            file.write(f"#!/bin/sh\necho {name} says no\nexit {status}\n")
        os.chmod(f"{tools}/{name}", 0o755)
    status, out, err = run(FIND, MONATT_BOOT_DIR=f"{folder}/empty",
                           MONATT_KERNEL_CACHE=f"{folder}/none",
                           PATH=f"{tools}:{os.environ['PATH']}")
    tap.ok(status == 1 and not out and "apt-get update failed" in err and "hint:" in err,
           "no kernel and no packages: a clear error, nothing on stdout", (status, out, err))


def make(output, *words, build=paths.BUILD, kernel="/bin/sh"):
    return run(MAKE, "--build-dir", build, "--kernel", kernel, "--output", output, *words)


def check_make(tap, folder):
    one, two, three = (f"{folder}/{name}.gz" for name in ("one", "two", "three"))
    extra = f"{folder}/extra"
    os.makedirs(f"{extra}/inside")
    for name, mode in (("inside/tool", 0o755), ("text", 0o640)):
        with open(f"{extra}/{name}", "w", encoding="ascii") as file:
            file.write(name)
        os.chmod(f"{extra}/{name}", mode)
    tap.is_equal(make(one), (0, "", ""), "makes an initramfs")
    os.makedirs(f"{folder}/build/guest")
    copy = shutil.copy(paths.MONATT_GUEST, f"{folder}/build/guest")
    os.utime(copy, (1, 1))
    make(two, build=f"{folder}/build")
    make(three, "--add", f"{extra}:/opt/extra", "--add", f"{extra}/text:/init")
    with open(one, "rb") as first, open(two, "rb") as second, open(three, "rb") as third:
        a, b, c = first.read(), second.read(), third.read()
    tap.ok(a == b, "the same input gives the same bytes, whatever its time and folder")
    tap.ok(a != c, "another content gives others")
    root = f"{folder}/root"
    os.makedirs(root)
    done = subprocess.run(f"gzip -dc {three} | cpio -idm --quiet --nonmatching 'dev/console'",
                          shell=True, cwd=root, capture_output=True, text=True)
    tap.is_equal((done.returncode, done.stderr), (0, ""), "cpio unpacks it")
    with open(f"{root}/init", encoding="ascii") as file:
        tap.is_equal(file.read(), "text", "--add replaces what was there")
    tap.is_equal([oct(os.stat(f"{root}/opt/extra/{name}").st_mode & 0o7777)
                  for name in ("inside/tool", "text", "inside")], ["0o755", "0o644", "0o755"],
                 "a folder comes with what is in it")
    tap.is_equal((os.readlink(f"{root}/bin/sh"), os.path.isdir(f"{root}/proc")),
                 ("busybox", True), "busybox is the shell, /proc is there")
    with open(f"{root}/bin/monatt-guest", "rb") as ours, open(paths.MONATT_GUEST, "rb") as built:
        tap.ok(ours.read() == built.read(), "monatt-guest is the built one")
    listed = subprocess.run(f"gzip -dc {one} | cpio -t --quiet", shell=True, capture_output=True,
                            text=True).stdout.split()
    tap.is_equal(listed, sorted(listed), "names are sorted")
    left = f"{folder}/left.gz"
    for words, options, part in ((("--add", "/bin/sh"), {}, "must be SRC:DST"),
                                 (("--add", "/bin/sh:../x"), {}, "must be SRC:DST"),
                                 (("--add", "/nowhere:/x"), {}, "No such file"),
                                 ((), {"kernel": "/nowhere"}, "cannot be read"),
                                 ((), {"build": "/nowhere"}, "ninja -C /nowhere")):
        status, out, err = make(left, *words, **options)
        tap.ok(status == 1 and part in err and not out and not os.path.exists(left),
               f"refused: {' '.join(words) or options}", (status, out, err))


def main():
    tap = Tap()
    lacking = paths.missing(paths.MONATT_GUEST, "busybox", "cpio")
    if lacking:
        tap.skip_all(f"{lacking} is missing")
    with tempfile.TemporaryDirectory(prefix="mg-", dir="/tmp") as folder:
        with tap:
            check_find(tap, folder)
        with tap:
            check_make(tap, folder)
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
