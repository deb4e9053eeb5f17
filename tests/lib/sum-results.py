#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""sum-results.py [--broken N] TESTLOG.json... : counts the TAP lines of meson's logs.

Each "ok" line of a TAP test is one passed test, each "not ok" one failed, each "# SKIP" one
skipped.  A program that ended badly without a "not ok" line of its own is one failed test; one
that was skipped whole (exit 77) is one skipped.  Writes the closing line to build-summary.txt.
"""
import json
import re
import sys

BAD = ("FAIL", "ERROR", "TIMEOUT", "INTERRUPT", "UNEXPECTEDPASS")
passed = failed = skipped = tests_seen = broken = 0
skips, failures = {}, []


def count(name, test):
    """Adds one meson test: its TAP lines, or the whole as one when it has none."""
    global passed, failed, skipped
    output = test.get("stdout") or ""
    ok = bad = skip_lines = 0
    for row in output.splitlines():
        match = re.match(r"\s*(not ok|ok)\b\s*\d*\s*-?\s*(.*)", row)
        if not match:
            continue
        skip = re.search(r"#\s*SKIP\s*(.*)", row, re.IGNORECASE)
        if match.group(1) == "not ok":
            bad += 1
            failures.append(f"{name}: {match.group(2)}")
        elif skip:
            skip_lines += 1
            skips.setdefault(skip.group(1) or "no reason given", []).append(name)
        else:
            ok += 1
    if test["result"] == "SKIP" and not (ok or bad or skip_lines):
        plan = re.search(r"#\s*SKIP\s*(.*)", output, re.IGNORECASE)
        last = (output + (test.get("stderr") or "")).strip().splitlines()
        reason = plan.group(1) if plan else last[-1] if last else "no reason given"
        skips.setdefault(reason, []).append(name)
        skip_lines = 1
    elif test["result"] in BAD and not bad:
        bad = 1
        failures.append(f"{name}: {test['result'].lower()} (exit {test.get('returncode')})")
    elif test["result"] == "OK" and not (ok or bad or skip_lines):
        ok = 1
    passed, failed, skipped = passed + ok, failed + bad, skipped + skip_lines


arguments = sys.argv[1:]
if arguments[:1] == ["--broken"]:
    broken = int(arguments[1])
    arguments = arguments[2:]
for path in arguments:
    try:
        with open(path, encoding="utf-8") as log:
            lines = log.read().splitlines()
    except OSError as error:
        print(f"no results of {path.split('/')[0]}: {error}")
        broken += 1
        continue
    for line in lines:
        tests_seen += 1
        one = json.loads(line)
        count(f"{path.split('/')[0]}: {one['name']}", one)

failed += broken
if tests_seen == 0 and failed == 0:
    failed = 1
    failures.append("no test ran")
for reason, where in sorted(skips.items()):
    print(f"skipped {len(where)}: {reason} ({', '.join(sorted(set(where)))})")
for line in failures:
    print(f"FAILED {line}")
with open("build-summary.txt", "w", encoding="utf-8") as out:
    out.write(f"{passed} passed, {failed} failed, {skipped} skipped\n")
sys.exit(1 if failed else 0)
