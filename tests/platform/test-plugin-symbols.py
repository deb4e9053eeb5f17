#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""test-plugin-symbols.py: the installed QEMU exports every call the plugin makes.

Debian ships no qemu-plugin.h, so the plugin carries declarations of its own; a call that QEMU
does not export makes the module fail to load.  Also: the module exports what QEMU looks up and
nothing else, needs nothing but libc, and QEMU refuses it politely when its option is wrong.
"""
import os
import re
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.join(HERE, "..", "..")
QEMU = "qemu-system-x86_64"
results = []


def check(good, name, why=""):
    results.append(bool(good))
    print(f"{'ok' if good else 'not ok'} {len(results)} - {name}")
    if not good:
        print(f"# {why}")


def symbols(path, *kinds):
    out = subprocess.run(["nm", "-D", path], capture_output=True, text=True, check=True).stdout
    return {row.split()[-1] for row in out.splitlines() if row.split()[-2] in kinds}


def main():
    build = os.environ.get("MONATT_BUILD_DIR", os.path.join(ROOT, "build"))
    plugin = os.path.abspath(os.path.join(build, "qemu-plugin", "libmonatt-plugin.so"))
    qemu = shutil.which(QEMU)
    for missing in ([] if qemu else [QEMU]) + ([] if shutil.which("nm") else ["nm"]) + \
            ([] if os.path.exists(plugin) else ["libmonatt-plugin.so"]):
        print(f"1..0 # SKIP {missing} is missing")
        return 77
    with open(os.path.join(ROOT, "qemu-plugin", "qemu-api-v1.h"), encoding="utf-8") as header:
        declared = set(re.findall(r"\b(qemu_plugin_\w+)\(", header.read()))
    declared.discard("qemu_plugin_install")
    exported = symbols(qemu, "T")
    check(len(declared) >= 9, "the header declares calls", declared)
    check(declared <= exported, "QEMU exports every declared call", declared - exported)
    check("qemu_plugin_no_such_call" not in exported, "a call that QEMU has not is not found")
    used = {name for name in symbols(plugin, "U") if name.startswith("qemu_")}
    check(used == declared, "the module uses the declared calls", used ^ declared)
    with open(os.path.join(ROOT, "qemu-plugin", "exports.txt"), encoding="utf-8") as listed:
        wanted = set(listed.read().split())
    have = symbols(plugin, "T", "D", "B", "R")
    check(have == wanted, "the module exports what is listed", have ^ wanted)
    needed = re.findall(r"NEEDED.*\[(.*)\]", subprocess.run(
        ["readelf", "-d", plugin], capture_output=True, text=True, check=True).stdout)
    check(needed == ["libc.so.6"], "the module needs only libc", needed)
    for words, part in ((",fd=0x3", "plugin option 'fd=0x3': is not possible"),
                        ("", "plugin option 'fd': is missing"),
                        (",fd=0", "plugin ring: descriptor 0"),
                        (",fd=1,cache=on", "plugin option 'cache=on': is not possible")):
        done = subprocess.run([qemu, "-machine", "none", "-accel", "tcg", "-display", "none",
                               "-plugin", plugin + words], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=60)
        check(done.returncode != 0 and part in done.stderr, f"refused: '{words}'",
              f"{done.returncode}: {done.stderr}")
    print(f"1..{len(results)}")
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
