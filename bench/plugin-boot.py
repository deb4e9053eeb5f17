# SPDX-License-Identifier: GPL-2.0-or-later
"""plugin-boot.py: user CPU of a TCG boot to "ready", with the plugin against without.

Pairs, each begun by the other one, so that a machine that slows down slows both; the ratio is the
median of the pairs' ratios, because a busy neighbour core makes the same work cost more.  The guest is the tests' kernel and
initramfs with an init that also starts some processes; the clock is QEMU's own user time, read
while it still lives, when "ready" stands on the console.
"""
import os
import statistics
import subprocess
import tempfile

import guest as guest_library
import paths
from plugin_ring import PluginRing

LAUNCHES = 300  # processes that the guest starts after its boot: locks and system calls
SAMPLES = 7     # pairs; one boot takes 5 to 10 s
READY = "monatt-bench-ready"
INIT = f"""#!/bin/sh
/bin/busybox mount -t proc proc /proc
i=0
while [ $i -lt {LAUNCHES} ]; do /bin/busybox true; i=$((i + 1)); done
echo {READY}
exec /bin/busybox sleep 1000
"""


def boot(initrd, plugin):
    """User CPU seconds at "ready"; with the plugin it must have counted something."""
    ring = PluginRing(1)
    more = ["-plugin", f"{plugin},fd={ring.fd}"] if plugin else []
    process = subprocess.Popen(
        [paths.QEMU, "-machine", "q35", "-accel", "tcg", "-cpu", "max", "-m", "256", "-nodefaults",
         "-display", "none", "-no-reboot", "-serial", "stdio", "-kernel", guest_library.kernel(),
         "-initrd", initrd, "-append", "console=ttyS0 quiet panic=-1 rdinit=/init", *more],
        pass_fds=(ring.fd,), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        preexec_fn=guest_library.die_with_parent)
    try:
        for line in process.stdout:
            if READY.encode() in line:
                with open(f"/proc/{process.pid}/stat", encoding="ascii") as file:
                    ticks = int(file.read().rsplit(")", 1)[1].split()[11])
                if plugin and ring.head(0) == 0:
                    raise RuntimeError("the plugin counted nothing")
                return ticks / os.sysconf("SC_CLK_TCK")
        raise RuntimeError("the guest ended before it was ready")
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        ring.close()


def run():
    lacking = paths.missing(paths.QEMU, "busybox", paths.PLUGIN, paths.MONATT_GUEST)
    if lacking:
        raise FileNotFoundError(f"{lacking} is missing")
    rounds = []
    with tempfile.TemporaryDirectory(prefix="plugin-boot-") as folder:
        init = os.path.join(folder, "init")
        with open(init, "w", encoding="ascii") as file:
            file.write(INIT)
        os.chmod(init, 0o755)
        initrd = guest_library.initramfs([f"{init}:/init"])
        for number in range(SAMPLES):
            order = [paths.PLUGIN, None] if number % 2 == 0 else [None, paths.PLUGIN]
            seconds = {plugin: boot(initrd, plugin) for plugin in order}
            rounds.append((seconds[paths.PLUGIN], seconds[None]))
    ours = statistics.median(row[0] for row in rounds)
    peer = statistics.median(row[1] for row in rounds)
    ratio = statistics.median(row[0] / row[1] for row in rounds)
    return {"name": "plugin-boot", "ratio": round(ratio, 3), "against": "without the plugin",
            "samples": SAMPLES, "median": round(ours, 2), "unit": "s user CPU",
            "peer": round(peer, 2), "pairs": rounds}
