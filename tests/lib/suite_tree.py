# SPDX-License-Identifier: GPL-2.0-or-later
"""suite_tree.py: the folder with another Debian suite's packages, for tests.

    tree = suite_tree.folder("sid")     # Missing says why there is none: a reason for a skip

Any other failure of suite-tree is a fault of ours and no reason to skip.
"""
import subprocess

import paths
from tap import SKIPPED

PATIENCE_S = 1800  # the first one to ask waits for the tree to be made


class Missing(Exception):
    """The reason for a skip."""


def folder(suite, *purpose):
    """purpose: of packaging/packages, where it is not suite-SUITE."""
    done = subprocess.run([paths.source("tests", "lib", "suite-tree"), suite, *purpose],
                          capture_output=True, text=True, timeout=PATIENCE_S)
    if done.returncode == SKIPPED:
        raise Missing(done.stderr.strip())
    if done.returncode != 0:
        raise RuntimeError(f"suite-tree {suite}: exit {done.returncode}: {done.stderr.strip()}")
    return done.stdout.strip()
