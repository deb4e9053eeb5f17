#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""test-docs.py: docs/cli.md, docs/exit-codes.md and result.md say what the program does."""
import os
import re
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
from fake import DONE, FAILED, USAGE, monatt  # noqa: E402
import paths  # noqa: E402
from tap import Tap  # noqa: E402


def read(*parts):
    with open(paths.source(*parts), encoding="utf-8") as file:
        return file.read()


def commands():
    rows = re.findall(r"^  (\w+ \w+) +\S", monatt("--help").out, re.M)
    return rows


def check_commands(tap):
    text = read("docs", "cli.md")
    blocks = dict(re.findall(r"^## monatt (\w+ \w+)\n.*?```\n(.*?)```", text, re.M | re.S))
    names = commands()
    tap.ok(len(names) >= 15, "the program lists its commands", names)
    tap.is_equal(sorted(blocks), sorted(names), "cli.md describes these commands and no others")
    for name in names:
        result = monatt(*name.split(), "--help")
        tap.ok(result.status == DONE and result.err == "", f"{name} --help: exit 0, on stdout",
               result)
        tap.is_equal(blocks.get(name, ""), result.out, f"cli.md shows '{name} --help' as it is")
        result = monatt(*name.split(), "--no-such-option")
        tap.ok(result.status == USAGE and result.out == "" and "--no-such-option" in result.err and
               f"monatt {name} --help" in result.err, f"{name}: unknown option, exit 2", result)
        result = monatt(*name.split(), "--version")
        tap.ok(result.status == DONE and result.out.startswith("monatt "), f"{name} --version",
               result)
    return names


def check_usage(tap):
    for words, status, part in (
            ((), USAGE, "usage:"), (("evidence",), USAGE, "'verify'"),
            (("evidence", "verfy"), USAGE, "did you mean 'monatt evidence verify'"),
            (("evidnce", "verify"), USAGE, "did you mean 'monatt evidence verify'"),
            (("launch", "missiles"), USAGE, "monatt --help"),
            (("\x1b[31m", "x"), USAGE, "?[31m"),
            (("evidence", "verify"), USAGE, "FILE is missing"),
            (("evidence", "verify", "x"), USAGE, "--anchor CERT"),
            (("evidence", "verify", "x", "--anchor", "x", "--reference", "x"), USAGE,
             "needs --nonce HEX or --inblob FILE"),
            (("evidence", "verify", "x", "--anchor", "x", "--reference", "x", "--nonce", "x",
              "--inblob", "x"), USAGE, "not both"),
            (("evidence", "verify", "x", "--anchor", "x", "--reference", "x", "--inblob",
              "/dev/null"), USAGE, "is empty"),
            (("evidence", "verify", "x", "--anchor", "x", "--reference", "x", "--inblob",
              __file__), USAGE, "inblob"),
            (("evidence", "verify", "x", "--nonc", "1"), USAGE, "did you mean '--nonce'"),
            (("evidence", "verify", "x", "--nonce"), USAGE, "needs a value"),
            (("evidence", "verify", "x", "--nonce", ""), USAGE, "empty"),
            (("evidence", "verify", "x", "--json=1"), USAGE, "takes no value"),
            (("evidence", "verify", "x", "--nonce", "1", "--nonce", "2"), USAGE, "given twice"),
            (("evidence", "verify", "x", "y"), USAGE, "unexpected 'y'"),
            (("evidence", "verify", "x", "-n"), USAGE, "unknown option '-n'"),
            (("evidence", "verify", "x", "--", "y"), USAGE, "no meaning"),
            (("vm", "run"), USAGE, "missing"), (("vm", "run", "--"), USAGE, "missing"),
            (("vm", "attest", "../x"), USAGE, "name"), (("vm", "attest", ""), USAGE, "name"),
            (("vm", "attest", "a", "--property", "beauty"), USAGE, "property"),
            (("evidence", "verify", "x", "--nonce", "12", "--anchor", "a", "--reference", "r"),
             USAGE, "64 hexadecimal"),
            (("evidence", "verify", "x", "--nonce", "00" * 32, "--anchor", "a", "--reference", "r",
              "--at", "noon"), USAGE, "2026-01-31"),
            (("vm", "list", "--run-dir", "/nonexistent"), FAILED, "monatt-collectord"),
            (("vm", "list", "--run-dir", "/" + "x" * 120), FAILED, "longer than")):
        result = monatt(*words)
        lines = result.err.count("\n")
        tap.ok(result.status == status and part in result.err and result.out == "" and
               (lines <= 2 or not words) and "\x1b" not in result.err,
               f"'{' '.join(words)[:60]!r}': exit {status}", result)
    result = monatt("vm", "list", "--run-dir", "/nonexistent", "--json")
    tap.ok(result.status == FAILED and result.err == "" and
           result.out.startswith('{"error":{"code":"missing"'), "an error as JSON", result)


def check_exit_codes(tap):
    text = read("docs", "exit-codes.md")
    header = read("libmonatt", "base", "error.h")
    told = dict(re.findall(r"^\| (\d) \| ([A-Z]+) \|", text, re.M))
    names = re.findall(r"MONATT_EXIT_([A-Z]+)(?: = (\d))?,", header)
    number, real = -1, {}
    for name, value in names:
        number = int(value) if value else number + 1
        real[str(number)] = name
    tap.is_equal(told, real, "exit-codes.md has the codes of error.h")
    words = re.findall(r'\[MONATT_ERROR_\w+\] = "(\w+)"', read("libmonatt", "base", "error.c"))
    told = re.findall(r"^\| `(\w+)` \| (\d) \|", text, re.M)
    tap.is_equal([word for word, _ in told], [w for w in words if w != "none"],
                 "exit-codes.md has the words of error.c")
    tap.is_equal({word: code for word, code in told if code != "1"}, {"usage": "2", "refused": "3"},
                 "and their exit codes")
    usage = monatt("--help").out
    for code, meaning in (("0", "done"), ("3", "refused"), ("4", "compromised"), ("5", "degraded"),
                          ("6", "unknown")):
        tap.ok(re.search(rf"{code} {meaning}|{code} \w+ {meaning}", usage),
               f"--help names exit code {code}", usage)


def check_result_codes(tap):
    text = read("docs", "formats", "result.md")
    used = set()
    folder = paths.source("verifier", "appraisal")
    for name in os.listdir(folder):
        if name.endswith(".c"):
            used |= set(re.findall(r'MONATT_VERDICT_\w+,\s*"([a-z-]+)"', read("verifier", "appraisal",
                                                                              name)))
    used.discard("no-rule")  # a bug of ours, never a rule's answer
    table = "\n".join(line for line in text.splitlines() if line.startswith("|"))
    told = set(re.findall(r"`([a-z]+(?:-[a-z]+)+|coverage|stale|unsettled|unreadable)`", table))
    told -= {"ear_status", "sha-256"}
    tap.ok(len(used) >= 15, "the rules have codes", used)
    tap.is_equal(sorted(told), sorted(used), "result.md has the codes of the rules, all of them")


def main():
    tap = Tap()
    lacking = paths.missing(paths.MONATT)
    if lacking:
        tap.skip_all(f"{lacking} is missing")
    with tap:
        check_commands(tap)
        check_usage(tap)
        check_exit_codes(tap)
        check_result_codes(tap)
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
