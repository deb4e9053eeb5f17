# SPDX-License-Identifier: GPL-2.0-or-later
"""paths.py: where the built programs are, for tests and bench.

MONATT_BUILD_DIR and MONATT_SOURCE_DIR come from meson; without them: build/ beside the sources.
"""
import functools
import json
import os
import shutil

SOURCE = os.path.abspath(os.environ.get("MONATT_SOURCE_DIR") or os.path.join(
    os.path.dirname(os.path.abspath(__file__)), "..", ".."))
BUILD = os.path.abspath(os.environ.get("MONATT_BUILD_DIR") or os.path.join(SOURCE, "build"))


def source(*parts):
    return os.path.join(SOURCE, *parts)


def build(*parts):
    return os.path.join(BUILD, *parts)


HW_ATTEST = build("hw-attest", "hw-attest")
MONATT_QEMU = build("hw-attest", "launcher", "monatt-qemu")
MONATT_GUEST = build("guest", "monatt-guest")
COLLECTORD = build("host-collector", "monatt-collectord")
WORKER = build("host-collector", "worker", "monatt-worker")
MONATT = build("verifier", "monatt")
PLUGIN = build("qemu-plugin", "libmonatt-plugin.so")
MUTATE = build("tests", "mutators", "monatt-mutate")
QEMU = "qemu-system-x86_64"


@functools.lru_cache(maxsize=None)
def sanitized():
    """Whether the programs are built with sanitizers, and so some times slower."""
    try:
        with open(build("meson-info", "intro-buildoptions.json"), encoding="utf-8") as file:
            options = {option["name"]: option["value"] for option in json.load(file)}
    except OSError:
        return False
    return options.get("b_sanitize", "none") not in ("none", [], "")


def missing(*names):
    """The first of these programs or files that is not there, or None."""
    for name in names:
        if not (os.path.exists(name) if "/" in name else shutil.which(name)):
            return os.path.basename(name)
    return None
