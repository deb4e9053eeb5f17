#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""check-formats.py: numbers in the documents are those of the headers, as TAP.

In every document a constant in back-quotes followed by a number in brackets, `NAME` (N), or in
the next column of a table; in docs/formats also that offsets and sizes of a table leave no gap.
"""
import re
import sys

from documents import read, report, tracked

GAPLESS = ("docs/formats/records.md", "docs/formats/event-log.md", "docs/formats/guest-list.md")


def constants():
    """{name: value} of #defines and enum members with plain integer values in the headers."""
    found = {}
    for name in tracked(".h"):
        text = re.sub(r"/\*.*?\*/", "", read(name), flags=re.DOTALL)
        pairs = re.findall(r"#define (MONATT_\w+)[ \t]+(\S[^\n]*)", text)
        pairs += re.findall(r"^\s+(MONATT_\w+) = ([^,\n]+)", text, flags=re.MULTILINE)
        for key, value in pairs:
            value = re.sub(r"\b(0[xX][0-9a-fA-F]+|[0-9]+)[uUlL]+\b", r"\1", value.strip())
            if re.fullmatch(r"[0-9a-fA-FxX()*+<\s-]+", value):
                try:
                    found[key] = eval(value, {"__builtins__": {}})  # digits and operators only
                except SyntaxError:
                    pass
    return found


KNOWN = constants()


def claims(text):
    """(name, number) that a document claims."""
    for name, number in re.findall(r"`(MONATT_[A-Z0-9_]+)` \((0x[0-9a-fA-F]+|[0-9]+)\)", text):
        yield name, int(number, 0)
    for row in re.findall(r"^\|.*\|$", text, flags=re.MULTILINE):
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        for left, right in list(zip(cells, cells[1:])) + list(zip(cells[1:], cells)):
            name = re.fullmatch(r"`(MONATT_[A-Z0-9_]+)`", left)
            if name and re.fullmatch(r"0x[0-9a-fA-F]+", right):
                yield name.group(1), int(right, 16)


def wrong_numbers(text):
    return [f"{name}: {number:#x} here, {KNOWN.get(name)} in the headers"
            for name, number in claims(text) if KNOWN.get(name) != number]


def gaps(text):
    """Rows "| offset | size | …" must follow one another; a size that is no number ends it."""
    found, expected = [], None
    for line in text.split("\n"):
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if not line.startswith("|") or not re.fullmatch(r"\d+", cells[0]):
            expected = 0
            continue
        if expected is not None and int(cells[0]) != expected:
            found.append(f"offset {cells[0]}, {expected} expected: {line[:60]}")
        whole = len(cells) > 1 and re.fullmatch(r"\d+", cells[1])
        expected = int(cells[0]) + int(cells[1]) if whole else None
    return found


def missing_types(text):
    """Every record type of the header has its row."""
    types = re.findall(r"(MONATT_RECORD_\w+) = 0x", read("libmonatt/formats/record.h"))
    return [name for name in types if f"`{name}`" not in text] + ([] if types else ["no types"])


def main():
    checks = [("/formats/constants-are-read",
               [] if KNOWN.get("MONATT_GUEST_LIST_MAXIMUM") == 262144 and
               KNOWN.get("MONATT_RECORD_REPORT") == 0x2201 else ["the headers were not understood"])]
    for document in tracked(".md"):
        text = read(document)
        if list(claims(text)):
            checks.append((f"/formats/numbers/{document}", wrong_numbers(text)))
    for document in GAPLESS:
        checks.append((f"/formats/gapless/{document}", gaps(read(document))))
    checks.append(("/formats/record-types", missing_types(read("docs/formats/records.md"))))
    sees = (wrong_numbers("`MONATT_CONTENT_MAXIMUM` (1023)"),
            wrong_numbers("| 0x1702 | `MONATT_RECORD_LOCKS` |"), gaps("| 0 | 4 | a |\n| 5 | 1 | b |"),
            missing_types("nothing"))
    checks.append(("/formats/can-fail", [] if all(sees) else ["a rule sees nothing"]))
    return report(checks)


if __name__ == "__main__":
    sys.exit(main())
