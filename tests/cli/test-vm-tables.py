#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""test-vm-tables.py: 'monatt vm ps|modules|sockets|hooks|bpf|maps|checks' over a made-up collector
and over an invented guest's RAM in a file.

A table that is not whole must never look like one that is; nothing reaches the terminal's controls.
"""
import json
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
from fake import COMPROMISED, DEGRADED, DONE, FAILED, UNKNOWN, USAGE, Collector, monatt, run  # noqa: E402
import paths  # noqa: E402
from tap import Tap  # noqa: E402

IMAGE_FILE = paths.build("tests", "cli", "guest-image-file")
TABLES = ("ps", "modules", "sockets", "hooks", "bpf", "maps")
MODULE = {"name": "evil", "size": 4096, "used": 0, "state": "live", "address": "0xffffffffc0000000",
          "views": "tree", "taints": None, "note": "in no list"}
WHOLE = {"check": "modules", "reason": "none", "text": "", "findings": 0, "unsettled": 0,
         "passes": 1, "cpu_us": 5, "counters": {"modules": 1}}
FINDING = {"check": "modules", "severity": "compromised", "sightings": 3, "object": "module 'evil'",
           "address": "0xffffffffc0000000", "pid": 0, "expected": "", "observed": "", "owner": "evil",
           "text": "is in no list"}


def answer(rows=(), checks=(WHOLE,), findings=(), **more):
    return {"kernel": "6.1.0", "snapshot": False, "table": "modules", "columns": list(MODULE),
            "rows": list(rows), "row_count": len(rows), "cut": False, "checks": list(checks),
            "findings": list(findings), **more}


def check_words(tap, collector):
    for verb in (*TABLES, "checks"):
        result = collector.call("vm", verb)
        tap.ok(result.status == USAGE and "VM or --ram FILE is missing" in result.err,
               f"vm {verb}: neither VM nor file", result)
        result = monatt("vm", verb, "web-1", "--ram", "/dev/null")
        tap.ok(result.status == USAGE and "not both" in result.err, f"vm {verb}: both", result)
        result = collector.call("vm", verb, "web-1", "--columns", "\x1bno")
        tap.ok(result.status == USAGE and "no column '?no'" in result.err and
               "hint: there are " in result.err and "\x1b" not in result.err,
               f"vm {verb}: an unknown column is refused with the known ones", result)
        result = collector.call("vm", verb, "web-1", "--kernel", "x")
        tap.ok(result.status == USAGE and "belong to --ram" in result.err,
               f"vm {verb}: --kernel without --ram", result)
        result = collector.call("vm", verb, "../x")
        tap.ok(result.status == USAGE, f"vm {verb}: a name that would leave the path", result)


def check_table(tap, collector):
    for verb in TABLES:
        collector.say(answer())
        result = collector.call("vm", verb, "web-1")
        tap.ok(result.status == DONE and result.out.isupper() and result.out.count("\n") == 1 and
               result.err == "", f"vm {verb}: an empty table is its header", result)
        tap.ok(collector.request.startswith(f"GET /v1/vms/web-1/{verb} ".encode()),
               f"vm {verb}: asks for it", collector.request)
    collector.say(answer([MODULE, dict(MODULE, name="a-longer-name", taints="O")]))
    lines = collector.call("vm", "modules", "web-1").out.splitlines()
    tap.is_equal(lines[0].split(), [name.upper() for name in MODULE], "header in capitals")
    tap.ok(lines[1].startswith("evil  ") and " -  " in lines[1] and
           lines[1].index("4096") == lines[2].index("4096") == lines[0].index("SIZE"),
           "columns stand under each other", lines)
    result = collector.call("vm", "modules", "web-1", "--columns", "size,name")
    tap.is_equal(result.out, "SIZE  NAME\n4096  evil\n4096  a-longer-name\n", "--columns")
    result = collector.call("vm", "modules", "web-1", "--columns", "name", "--json")
    tap.is_equal(json.loads(result.out)["rows"], [{"name": "evil"}, {"name": "a-longer-name"}],
                 "--columns with --json")
    result = collector.call("vm", "modules", "web-1", "--json")
    tap.is_equal(json.loads(result.out)["rows"][0], MODULE, "--json: whole rows")
    hostile = dict(MODULE, name="\x1b[2J\n", size=[[1]], note={"a\x1b": 1})
    collector.say(answer([hostile, 7, None]))
    result = collector.call("vm", "modules", "web-1")
    tap.ok(result.status == DONE and all(c == "\n" or 32 <= ord(c) < 127 for c in result.text),
           "hostile cells are harmless", repr(result.text))


def check_not_whole(tap, collector):
    torn = dict(WHOLE, reason="out of steps or time", text="the walk took too many steps")
    for body, words, name in (
            (answer([MODULE], [torn]), "check 'modules' is not whole: out of steps or time: the walk",
             "a budget ran out"),
            (answer([MODULE], cut=True), "cut at 1 rows", "rows were cut"),
            (answer([MODULE], cut=None), "cut at 1 rows", "nobody says whether rows were cut"),
            (answer([MODULE], []), "nothing is known", "no check was run")):
        collector.say(body)
        for more in ((), ("--json",)):
            result = collector.call("vm", "modules", "web-1", *more)
            tap.ok(result.status == UNKNOWN and words in result.err and "evil" in result.out,
                   f"{name}: exit 6, said on stderr {more}", result)
    for member in ("rows", "checks", "findings"):
        collector.say({k: v for k, v in answer().items() if k != member})
        result = collector.call("vm", "modules", "web-1")
        tap.ok(result.status == FAILED and member in result.err, f"an answer without {member}",
               result)


def check_checks(tap, collector):
    torn = dict(WHOLE, check="bpf", reason="guest kernel not supported", text="no symbol 'x'")
    found = dict(WHOLE, findings=1)
    weak = dict(FINDING, severity="degraded")
    for checks, findings, status, words, name in (
            ([WHOLE], [], DONE, "ok", "nothing found"),
            ([WHOLE, torn], [], UNKNOWN, "unknown", "one check could not say"),
            ([found], [FINDING], COMPROMISED, "is in no list", "a finding"),
            ([found, torn], [FINDING], COMPROMISED, "compromised", "a finding, and one unknown"),
            ([dict(found, findings=2)], [weak, FINDING], COMPROMISED, "compromised", "both kinds"),
            ([found], [weak], DEGRADED, "degraded", "a weakness only"),
            ([found], [], COMPROMISED, "compromised", "a finding that is not listed"),
            ([], [], UNKNOWN, "CHECK", "no checks at all")):
        collector.say(answer(checks=checks, findings=findings))
        result = collector.call("vm", "checks", "web-1")
        tap.ok(result.status == status and words in result.out, f"checks: {name}", result)
        tap.is_equal(collector.call("vm", "checks", "web-1", "--json").status, status,
                     f"checks: {name}, --json")
    collector.say(answer(checks=[dict(WHOLE, unsettled=1)], findings=[dict(FINDING, sightings=1)],
                         snapshot=True))
    result = collector.call("vm", "checks", "web-1")
    tap.ok(result.status == UNKNOWN and "seen once" in result.out and "Findings:" not in result.out,
           "a snapshot's sightings are no findings: exit 6", result)


def check_against_guest(tap, collector):
    tasks = {"views_read": ["task list"], "findings": [], "reason": "none"}
    collector.say(tasks)
    result = collector.call("vm", "ps", "web-1", "--against-guest")
    tap.ok(result.status == FAILED and "has sent none" in result.err,
           "no list of the guest's own: said so, exit 1", result)
    missing = {"pid": 66, "command": "evil", "seen_in": ["task list"], "text": "x",
               "missing_in": ["guest's own list"]}
    other = dict(missing, pid=77, missing_in=["pid IDR"])
    collector.say(dict(tasks, views_read=["task list", "guest's own list"],
                       findings=[missing, other]))
    result = collector.call("vm", "ps", "web-1", "--against-guest")
    tap.ok(result.status == COMPROMISED and "66" in result.out and "77" not in result.out,
           "what the guest's list leaves out: exit 4", result)
    tap.ok(collector.request.startswith(b"GET /v1/vms/web-1/tasks "), "from the tasks",
           collector.request)
    collector.say(dict(tasks, views_read=["guest's own list"], findings=[other]))
    result = collector.call("vm", "ps", "web-1", "--against-guest")
    tap.ok(result.status == DONE, "what another view lacks is not its matter", result)
    collector.say(dict(tasks, views_read=["guest's own list"], findings=[missing],
                       reason="guest is paused"))
    result = collector.call("vm", "ps", "web-1", "--against-guest")
    tap.ok(result.status == COMPROMISED and "guest is paused" in result.err,
           "hidden, and not whole: exit 4", result)
    collector.say(dict(tasks, views_read=["guest's own list"], reason="guest is paused"))
    result = collector.call("vm", "ps", "web-1", "--against-guest")
    tap.ok(result.status == UNKNOWN and "guest is paused" in result.err, "not whole: exit 6", result)


def check_ram(tap, folder):
    ram, empty, odd = (os.path.join(folder, name) for name in ("ram", "empty", "odd"))
    with open(ram, "wb") as file:
        file.write(run(IMAGE_FILE).bytes)
    size = os.path.getsize(ram)
    result = monatt("vm", "checks", "--ram", ram)
    lines = result.out.splitlines()
    tap.ok(result.status == UNKNOWN and len(lines) > 3 and "unknown" in result.out and
           "this kernel has no" in result.err, "an invented kernel: what it lacks is named", result)
    root = json.loads(monatt("vm", "checks", "--ram", ram, "--json").out)
    tap.ok(root["kernel"] == "6.1.0-invented" and root["snapshot"] and len(root["checks"]) > 3,
           "--json: kernel, and one look", root)
    result = monatt("vm", "checks", "--ram", ram, "--columns", "check,state")
    tap.ok(all(len(line.split()) <= 3 for line in result.out.splitlines()[:4]), "--columns", result)
    result = monatt("vm", "ps", "--ram", ram, "--columns", "pid,command")
    tap.ok(result.status == DONE and result.out.split("\n")[1:3] == ["1    systemd", "2    kthreadd"],
           "vm ps --ram: its processes", result)
    for verb in TABLES[1:]:
        result = monatt("vm", verb, "--ram", ram)
        tap.ok(result.status == UNKNOWN and result.out.splitlines()[0].isupper() and
               "is not whole" in result.err, f"vm {verb} --ram: header, reason, exit 6", result)
    with open(empty, "wb") as file:
        file.truncate(size)
    result = monatt("vm", "checks", "--ram", empty)
    tap.ok(result.status == UNKNOWN and "guest kernel not supported" in result.err,
           "no kernel in it: every check says so", result)
    # Where the file is split matters: the note lies below, the rest of the kernel above.
    result = monatt("vm", "checks", "--ram", ram, "--low", "65536", "--json")
    tap.ok(result.status == UNKNOWN and json.loads(result.out)["kernel"] == "",
           "--low moves what lies above it", result)
    for total in (5 << 29, 3 << 30, 4 << 30):
        with open(empty, "wb") as file, open(ram, "rb") as source:
            file.write(source.read())
            file.truncate(total)
        result = monatt("vm", "ps", "--ram", empty, "--json")
        tap.ok(result.status == DONE and json.loads(result.out)["kernel"] == "6.1.0-invented",
               f"without --low, {total >> 20} MiB: the kernel is found", result)
    with open(empty, "wb") as file:
        file.truncate(4 << 30)
    result = monatt("vm", "ps", "--ram", empty)
    tap.ok(result.status == UNKNOWN and "hint: say with --low" in result.err,
           "no kernel with any usual hole: the hint says what to give", result)
    result = monatt("vm", "ps", "--ram", empty, "--low", "4096")
    tap.ok(result.status == UNKNOWN and "hint: say" not in result.err, "--low was given", result)
    with open(odd, "wb") as file:
        file.truncate(size + 1)
    for words, status, part, name in (
            (("--ram", odd), FAILED, "no whole pages", "a file of broken pages"),
            (("--ram", "/nonexistent/ram"), FAILED, "/nonexistent/ram", "a file that is missing"),
            (("--ram", folder), USAGE, "is not a file", "a folder"),
            (("--ram", ram, "--low", "4095"), USAGE, "--low", "a low part of no whole pages"),
            (("--ram", ram, "--low", "x"), USAGE, "--low", "a low part that is no number"),
            (("--ram", ram, "--kernel", "/nonexistent/k"), FAILED, "/nonexistent/k",
             "a kernel that is missing"),
            (("--ram", ram, "--run-dir", "/x"), USAGE, "no meaning", "--run-dir with a file")):
        result = monatt("vm", "checks", *words)
        tap.ok(result.status == status and part in result.err and result.out == "", name, result)
    result = monatt("vm", "ps", "--ram", ram, "--against-guest")
    tap.ok(result.status == FAILED and "a RAM file has none" in result.err,
           "a RAM file has no list of the guest's own", result)


def main():
    tap = Tap()
    lacking = paths.missing(paths.MONATT, paths.WORKER, IMAGE_FILE)
    if lacking:
        tap.skip_all(f"{lacking} is missing")
    with tap, Collector() as collector:
        check_words(tap, collector)
        check_table(tap, collector)
        check_not_whole(tap, collector)
        check_checks(tap, collector)
        check_against_guest(tap, collector)
        check_ram(tap, collector.folder)
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
