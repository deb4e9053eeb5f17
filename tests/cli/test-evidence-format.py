#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""test-evidence-format.py: docs/formats/evidence.md is what the code writes.

The document's own program is run on its example and on files made wrong; its tables name the
members that a file has, in their order.  Nothing of Monatt takes the files apart here.
"""
import base64
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import paths  # noqa: E402
from tap import Tap  # noqa: E402

FAKE_HOST = paths.build("tests", "lib", "fake-host")
DOCUMENT = paths.source("docs", "formats", "evidence.md")
EXAMPLE = paths.source("tests", "data", "evidence", "example.cmw")
# --bad of fake-host, and the line of the document's program that must turn False
SEEN_BY_HAND = {
    "device-qualifying": "device qualifying data",
    "host-qualifying": "host qualifying data",
    "device-magic": "device magic and type",
    "host-magic": "host magic and type",
    "device-selection": "device selection",
    "host-selection": "host selection",
    "device-value": "device values",
    "host-value": "host values",
    "device-more-values": "device values",
    "device-boot": "boot",
    "claims-log": "log",
    "claims-host-log": "host-log",
}


def decode(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def section(text, title):
    return text.split(f"\n## {title}\n")[1].split("\n## ")[0]


def members(text):
    """First cells of a section's tables, in back-quotes, several of them split."""
    found = []
    for row in re.findall(r"^\| (`[^|]*) \|", text, re.MULTILINE):
        found += re.findall(r"`([^`]+)`", row)
    return found


def by_hand(program, path):
    done = subprocess.run([sys.executable, "-c", program, path], capture_output=True, text=True,
                          timeout=60, check=False)
    return done.stdout.splitlines(), done.stderr


def check_example(tap, text, program):
    lines, errors = by_hand(program, EXAMPLE)
    tap.is_equal(errors, "", "the document's program runs")
    tap.is_equal(len(lines), 14, "it prints fourteen lines")
    tap.contains(text, f"`{lines[0].split()[1]}`", "the document names the example's Q3")
    wrong = [line for line in lines[1:] if not line.endswith(" True")]
    tap.is_equal(wrong, [], "every other line is True")


def check_tables(tap, text):
    with open(EXAMPLE, encoding="ascii") as file:
        content = file.read()
    parsed = json.loads(content)
    tap.is_equal(content, json.dumps(parsed, separators=(",", ":")), "one line, no white space")
    tap.is_equal(members(section(text, "The file")), list(parsed), "the file's members")
    types = {name: value[0] for name, value in parsed.items() if name != "__cmwc_t"}
    for name, kind in types.items():
        tap.contains(text, f"| `{name}` | `{kind}` |", f"media type of {name}")
    header, payload, _ = (decode(p) for p in decode(parsed["claims"][1]).decode().split("."))
    claims = json.loads(payload)
    table = members(section(text, "The claims"))
    top = list(dict.fromkeys(name for name in table if name in claims))
    told = section(text, "The claims")
    tap.is_equal(set(claims) - set(table), set(), "every claim is in the table")
    missing = [name for name in ("ask",) if name not in top and f"`{name}`" not in told]
    tap.is_equal(missing, [], "so is the optional one")
    tap.is_equal(list(json.loads(header)), ["alg", "typ", "x5c"], "the header's members")
    for group in ("log", "host_log"):
        for name in claims[group]:
            tap.contains(told, f"`{name}`", f"claim {group}.{name}")
    for name in claims["m"][0]:
        tap.contains(told, f"`{name}`", f"claim m.{name}")


def check_wrong_files(tap, top, program):
    for bad, line in SEEN_BY_HAND.items():
        path = os.path.join(top, bad)
        subprocess.run([FAKE_HOST, "--bad", bad, os.path.join(top, "host"), path], check=True,
                       capture_output=True, timeout=60)
        lines, _ = by_hand(program, path)
        tap.ok(f"{line} False" in lines, f"by hand: {bad} is seen as '{line}'", "\n".join(lines))


def main():
    tap = Tap()
    if not os.path.exists(FAKE_HOST):
        tap.skip_all("fake-host is missing")
    with open(DOCUMENT, encoding="utf-8") as file:
        text = file.read()
    program = re.search(r"```python\n(.*?)```", text, re.DOTALL).group(1)
    top = tempfile.mkdtemp(prefix="evidence-")
    try:
        with tap:
            check_example(tap, text, program)
        with tap:
            check_tables(tap, text)
        with tap:
            check_wrong_files(tap, top, program)
    finally:
        shutil.rmtree(top)
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
