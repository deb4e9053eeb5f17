# SPDX-License-Identifier: GPL-2.0-or-later
"""documents.py: what the checks of the documents share: git's files, and the lines of TAP."""
import os
import subprocess

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def tracked(*endings):
    """Files that git tracks, or would; with these endings, or all."""
    names = subprocess.run(["git", "-C", ROOT, "ls-files", "-co", "--exclude-standard"],
                           capture_output=True, text=True, check=True).stdout.split("\n")
    return [n for n in names if n and n.endswith(endings or "")
            and os.path.isfile(os.path.join(ROOT, n))]


def read(name):
    with open(os.path.join(ROOT, name), encoding="utf-8", errors="replace") as file:
        return file.read()


def report(checks):
    """checks: (name, list of problems); the program's exit code."""
    print(f"1..{len(checks)}")
    bad = 0
    for number, (name, problems) in enumerate(checks, 1):
        print(f"{'not ok' if problems else 'ok'} {number} - {name}")
        for problem in problems:
            print(f"# {problem}")
        bad += bool(problems)
    return 1 if bad else 0
