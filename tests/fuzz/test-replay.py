#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""test-replay.py TARGET CRASH-TARGET: replay.c fails without inputs and when a target crashes."""
import os
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.environ["MONATT_SOURCE_DIR"], "tests", "lib"))
from tap import Tap  # noqa: E402


def replay(target, folder):
    return subprocess.run([target, folder], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                          check=False).returncode


def main():
    tap = Tap()
    target, crash = sys.argv[1:3]
    with tap, tempfile.TemporaryDirectory(prefix="monatt-replay-") as folder:
        tap.ok(replay(target, os.path.join(folder, "none")) != 0, "no corpus fails")
        tap.ok(replay(target, folder) != 0, "an empty corpus fails")
        with open(os.path.join(folder, "one"), "wb") as file:
            file.write(b"good")
        tap.ok(replay(target, folder) == 0, "one input passes")
        tap.ok(replay(crash, folder) == 0, "one input passes in the crash target")
        with open(os.path.join(folder, "two"), "wb") as file:
            file.write(b"crash")
        tap.ok(replay(crash, folder) < 0, "a crash is seen")
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
