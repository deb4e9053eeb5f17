#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""check-style.py: the house rules that a program can check, as TAP.

Must never need a build: it reads the files that git tracks.  Every rule is also shown a line that
breaks it (the "can fail" checks), so that a rule that stopped seeing anything turns red.
"""
import os
import re
import shutil
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
LINES_MAXIMUM = 600
COLUMNS_MAXIMUM = 100

# A call of these is refused; the reason is printed with the place.
BANNED = {
    r"\bstrcpy\s*\(": "no bound: use snprintf",
    r"\bstrcat\s*\(": "no bound: use snprintf",
    r"\bsprintf\s*\(": "no bound: use snprintf",
    r"\bgets\s*\(": "no bound",
    r"\balloca\s*\(": "a size from outside would move the stack",
    r"\bato[il]l?\s*\(": "no error: use strtoul with checks",
    r"(?<![\w.>])system\s*\(": "runs a shell: use posix_spawn or exec",
    r"\bstrerror\s*\(": "may allocate or read files: use strerrordesc_np",
    r"\btmpnam\s*\(": "race: use mkstemp",
}
# memcmp is not constant time.  Files that compare no secret and no digest may use it.
# Introspection compares guest memory with what the kernel image says: no secret in either.
MEMCMP_ALLOWED = re.compile(r"^(tests/|bench/|qemu-plugin/|guest/|host-collector/sources/introspection/)")
# Words of a workplace, and hosts of package registries, do not belong into the project.
FOREIGN = [r"/work/(main|shared|h)\b", r"\.library\b", r"deb\.debian\.org", r"registry\.npmjs",
           r"pypi\.org", r"/farm/"]


def tracked(*endings):
    names = subprocess.run(["git", "-C", ROOT, "ls-files", "-co", "--exclude-standard"],
                           capture_output=True, text=True, check=True).stdout.split("\n")
    return sorted(n for n in names if n.endswith(endings) and os.path.isfile(os.path.join(ROOT, n)))


def read(name):
    with open(os.path.join(ROOT, name), encoding="utf-8", errors="replace") as file:
        return file.read()


def without_comments(text):
    """Comments and string literals become blanks; line numbers stay."""
    def blank(match):
        return re.sub(r"[^\n]", " ", match.group(0))
    return re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"', blank, text, flags=re.DOTALL)


def find_top(name, text):
    if not text.startswith("/* SPDX-License-Identifier: GPL-2.0-or-later */\n/*\n * "):
        if re.match(r"/\* SPDX-License-Identifier: GPL-2.0( WITH Linux-syscall-note)? \*/\n/\*\n \* ", text):
            return []
        return [f"{name}:1: must begin with the SPDX line and a comment that says its purpose"]
    noun = text.split("\n")[2]
    if os.path.basename(name) not in noun:
        return [f"{name}:3: the top comment must begin with the file's name"]
    return []


def find_long(name, text):
    lines = text.count("\n")
    return [f"{name}: {lines} lines, the limit is {LINES_MAXIMUM}"] if lines > LINES_MAXIMUM else []


def find_wide(name, text):
    return [f"{name}:{i}: {len(line)} columns" for i, line in enumerate(text.split("\n"), 1)
            if len(line) > COLUMNS_MAXIMUM and "http" not in line]


def find_banned(name, text):
    found = []
    for i, line in enumerate(without_comments(text).split("\n"), 1):
        for pattern, reason in BANNED.items():
            if re.search(pattern, line):
                found.append(f"{name}:{i}: {line.strip()[:60]}: {reason}")
        if re.search(r"\bmemcmp\s*\(", line) and not MEMCMP_ALLOWED.match(name):
            found.append(f"{name}:{i}: memcmp: use monatt_bytes_equal")
    return found


def find_foreign(name, text):
    found = []
    for i, line in enumerate(text.split("\n"), 1):
        for pattern in FOREIGN:
            if re.search(pattern, line):
                found.append(f"{name}:{i}: {pattern}")
    return found


def find_name(name, text):
    base = os.path.basename(name)
    return [] if re.fullmatch(r"[a-z0-9.-]+", base) else [f"{name}: names are kebab-case"]


TOP_BAD = "#include <stdio.h>\n"
RULES = [
    ("/style/top-comment", find_top, (".c", ".h"), TOP_BAD),
    ("/style/file-length", find_long, (".c", ".h", ".py", ".S"), "x\n" * (LINES_MAXIMUM + 1)),
    ("/style/line-width", find_wide, (".c", ".h"), "x" * (COLUMNS_MAXIMUM + 1)),
    ("/style/banned-calls", find_banned, (".c", ".h"), "    strcpy(a, b);\n"),
    ("/style/constant-time", find_banned, (".c", ".h"), "    if (memcmp(a, b, 32) == 0) {\n"),
    ("/style/file-name", find_name, (".c", ".h"), ""),
    ("/style/no-foreign-words", find_foreign,
     (".c", ".h", ".py", ".md", ".build", ".json", ".txt", "test", "run", "quickstart"),
     "see /wo" + "rk/main\n"),
]


def format_problems():
    tool = shutil.which("clang-format-14") or shutil.which("clang-format")
    if not tool:
        return None
    names = [os.path.join(ROOT, n) for n in tracked(".c", ".h")]
    result = subprocess.run([tool, "--dry-run", "-Werror", "--style=file", "--ferror-limit=0",
                             *names], capture_output=True, text=True, cwd=ROOT)
    places = sorted({row.split(": error")[0].replace(ROOT + "/", "")
                     for row in result.stderr.split("\n") if ": error" in row})
    return places


def main():
    number = 0
    bad = 0
    myself = "tests/style/check-style.py"
    print(f"1..{2 * len(RULES) + 1}")
    for name, rule, endings, example in RULES:
        found = []
        for path in tracked(*endings):
            if path != myself:
                found += rule(path, read(path))
        number += 1
        print(f"{'not ok' if found else 'ok'} {number} - {name}")
        for line in found[:40]:
            print(f"# {line}")
        bad += bool(found)
        number += 1
        example_name = "libmonatt/Bad_Name.c" if name == "/style/file-name" else "libmonatt/bad.c"
        sees = bool(rule(example_name, example))
        print(f"{'ok' if sees else 'not ok'} {number} - {name}/can-fail")
        bad += not sees
    number += 1
    places = format_problems()
    if places is None:
        print(f"ok {number} - /style/clang-format # SKIP clang-format is not installed")
    else:
        print(f"{'not ok' if places else 'ok'} {number} - /style/clang-format")
        for line in places[:40]:
            print(f"# {line}")
        bad += bool(places)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
