#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""check-docs.py: what the documents name must exist, as TAP.

Files and functions in back-quotes, relative links, and the picture of the data's way, which must
be the same in every document that shows it.  Reads only files that git tracks.
"""
import os
import re
import sys

from documents import read, report, tracked

PICTURE_START = "guest register → hw-attest"


FILES = tracked()
FOLDERS = {os.path.dirname(n) for n in FILES}
SOURCES = "\n".join(read(n) for n in FILES
                    if n.endswith((".c", ".h", ".py", ".S")) and n != "tests/docs/check-docs.py")
DOCUMENTS = [n for n in FILES if n.endswith(".md")]


def missing_files(text):
    """`folder/file.c` in back-quotes, with an ending that a source file has."""
    found = []
    for name in re.findall(r"`([\w./-]+\.(?:c|h|py|md|S|build|json|sh))`", text):
        placeholder = re.search(r"[A-Z]{3}", name)  # NAME.c, NOUN.c
        if ("/" in name and name not in FILES and not placeholder
                and not name.startswith(("/", "vm/", "build"))):
            found.append(name)
    return found


def missing_functions(text):
    """`function()` in back-quotes must stand in some source file."""
    return [name for name in re.findall(r"`([a-z_0-9]+)\(\)`", text)
            if not re.search(r"\b" + name + r"\s*\(", SOURCES)]


def broken_links(document, text):
    found = []
    for link in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text):
        if re.match(r"[a-z]+:", link):
            continue
        path = os.path.normpath(os.path.join(os.path.dirname(document), link))
        if path not in FILES and path not in FOLDERS and not any(f.startswith(path + "/")
                                                                 for f in FOLDERS):
            found.append(link)
    return found


def pictures():
    shown = {}
    for document in DOCUMENTS:
        for block in re.findall(r"```\n(.*?)```", read(document), re.DOTALL):
            if block.startswith(PICTURE_START):
                shown.setdefault(block, []).append(document)
    return shown


def figures_differ(tasks, document):
    """Rows "| `task` |" of docs/performance.md against the tasks of bench/run."""
    rows = re.findall(r"^\| `([a-z0-9-]+)` \|", document, flags=re.MULTILINE)
    return ([f"{name}: no row" for name in tasks if name not in rows] +
            [f"{name}: no task" for name in rows if name not in tasks] +
            [f"{name}: {rows.count(name)} rows" for name in sorted(set(rows))
             if rows.count(name) > 1])


def bench_tasks():
    return [os.path.basename(n)[:-3] for n in FILES
            if re.fullmatch(r"bench/[a-z0-9][a-z0-9-]*\.py", n)]


def main():
    checks = []
    for document in DOCUMENTS:
        text = read(document)
        checks.append((f"/docs/files/{document}", missing_files(text)))
        checks.append((f"/docs/functions/{document}", missing_functions(text)))
        checks.append((f"/docs/links/{document}", broken_links(document, text)))
    shown = pictures()
    checks.append(("/docs/one-picture", [] if len(shown) == 1 else
                   [f"{len(shown)} different pictures: {list(shown.values())}"]))
    checks.append(("/docs/figures", figures_differ(bench_tasks(), read("docs/performance.md"))))
    sees = (missing_files("`hw-attest/no-such-file.c`"), missing_functions("`no_such_function()`"),
            broken_links("README.md", "[x](docs/no-such.md)"),
            figures_differ(["a"], "| `a` |\n| `b` |"), figures_differ(["a", "b"], "| `a` |"))
    checks.append(("/docs/can-fail", [] if all(sees) else ["a rule sees nothing"]))
    return report(checks)


if __name__ == "__main__":
    sys.exit(main())
