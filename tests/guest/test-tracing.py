#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""test-tracing.py: a real guest's BPF programs, kprobes and tracers, seen from outside.

Programs, maps and links are those that bpf(2) lists, kprobes and traced functions those of tracefs;
what watches or confines is no finding, what may alter things is named with its power, and what is
written out of its list is found.  A program's digest is the same after a boot of another kernel.
"""
import glob
import os
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))
import guest as guest_library  # noqa: E402
import paths  # noqa: E402
import run_checks  # noqa: E402
import suite_tree  # noqa: E402
from guest import Guest, Host, wait_for  # noqa: E402
from run_checks import COMPROMISED, DEGRADED  # noqa: E402
from tap import Tap  # noqa: E402

LOADER = paths.build("tests", "guest", "bpf-load")
CHECKS = ("bpf", "kprobes", "ftrace")
TRACING = "/sys/kernel/tracing"
# They watch, or confine a control group, as systemd's do.
HARMLESS = ["filter", "twin_a", "twin_b", "observe", "device", "egress", "fentry", "maps"]
ALTERING = {"write_getdents": (COMPROMISED, "user memory"), "write_fork": (DEGRADED, "user memory"),
            "write_kprobe": (COMPROMISED, "user memory"), "signal": (DEGRADED, "signal"),
            "xdp": (DEGRADED, "packets"), "return": (DEGRADED, "return"),
            "lsm": (DEGRADED, "return"), "lsm_bpf": (COMPROMISED, "return")}
PLACES = {"observe": "kprobe vfs_fsync_range", "device": "cgroup monatt-test",
          "egress": "cgroup monatt-test", "fentry": "vfs_fsync_range",
          "write_getdents": "event sys_exit_getdents64", "write_fork": "event sched_process_fork",
          "write_kprobe": "kprobe __x64_sys_getdents64", "xdp": "xdp lo",
          "signal": "raw tracepoint sched_process_hang", "return": "security_file_permission",
          "lsm": "bpf_lsm_inode_rename", "lsm_bpf": "bpf_lsm_bpf_prog"}
MOUNTS = (f"mount -t tracefs none {TRACING}; mount -t bpf none /sys/fs/bpf; "
          "mount -t cgroup2 none /sys/fs/cgroup; mount -t debugfs none /sys/kernel/debug; "
          "ip link set lo up")
TRACE = (f"cd {TRACING} && echo 'p:one __x64_sys_getdents64' >kprobe_events && "
         "echo 'r:two vfs_read' >>kprobe_events && for at in 9 10 11 12 13 14 15 16 17 18 20; do "
         "echo \"p:three vfs_write+$at\" >>kprobe_events 2>/dev/null && break; done; "
         "echo 1 >events/kprobes/enable && echo 'vfs_*' >set_ftrace_filter && "
         "echo function >current_tracer")
UNTRACE = f"cd {TRACING} && echo nop >current_tracer && echo >set_ftrace_filter"


def look(guest, table=None, once=False):
    """One report of the three checks: results by name, findings, rows."""
    report = run_checks.run(guest, *CHECKS, table=table, once=once)[0]
    report["results"] = {result["check"]: result for result in report["results"]}
    return report


def load(guest, what):
    """Loads and holds programs; {what: what bpf-load said}."""
    guest.run("rm -f /tmp/loaded")
    guest.run(f"setsid /bpf-load hold {' '.join(what)} >/tmp/loaded 2>&1 </dev/null & :")
    wait_for(lambda: "ready" in guest.run("cat /tmp/loaded", check=False).text.splitlines(), "bpf-load", 60)
    lines = [line.split(None, 1) for line in guest.run("cat /tmp/loaded").text.splitlines()]
    return {words[0]: words[1] for words in lines if len(words) == 2}


def listed(guest):
    lines = [line.split() for line in guest.run("/bpf-load list").text.splitlines()]
    programs = {int(line[1]): (line[3], line[4]) for line in lines if line[0] == "prog"}
    maps = {int(line[1]): (line[3], *map(int, line[4:7])) for line in lines if line[0] == "map"}
    return programs, maps, sum(line[0] == "link" for line in lines)


def rows_of(guest, table, *columns):
    rows = look(guest, table)["rows"]
    return {row["id"]: tuple(row[column] for column in columns) for row in rows}


def check_nothing(tap, guest, what):
    report = look(guest)
    reasons = {name: result["text"] for name, result in report["results"].items()
               if result["reason"] != 0 or result["unsettled"]}
    tap.ok(not report["findings"] and not reasons, f"{what}: nothing is found, all is read",
           report["findings"] or reasons)
    return report["results"]


def check_lists(tap, guest):
    programs, maps, links = listed(guest)
    tap.is_equal(rows_of(guest, "bpf", "name", "tag"), programs,
                 "programs: those of bpf(2), with its tags")
    tap.is_equal(rows_of(guest, "maps", "name", "key", "value", "entries"), maps,
                 "maps: those of bpf(2), with their sizes")
    tap.is_equal(look(guest)["results"]["bpf"]["counters"]["links"], links,
                 "links: as many as bpf(2) has")


def check_places(tap, guest, names):
    attached = {row["name"]: row["attached"] for row in look(guest, "bpf")["rows"]}
    wrong = {name: attached.get(name) for name in names
             if name in PLACES and PLACES[name] not in (attached.get(name) or "")}
    tap.ok(not wrong, f"{len(names)} programs: each where it was attached", wrong)


def check_tracing(tap, guest):
    """The guest's own lists: a line for each probe, and for each traced function."""
    guest.run(TRACE)
    counters = check_nothing(tap, guest, "kprobes and a tracer of tracefs")
    probes = guest.run("cat /sys/kernel/debug/kprobes/list").text.splitlines()
    rows = [row for row in look(guest, "hooks")["rows"] if row["kind"].startswith("k")]
    tap.ok(len(probes) >= 3, "there are kprobes", probes)
    tap.is_equal(sorted(row["place"].split("+")[0] for row in rows),
                 sorted(line.split()[2].split("+")[0] for line in probes),
                 "kprobes: those of the guest's list")
    tap.is_equal({row["state"] for row in rows}, {"good"}, "kprobes: each is a tracer's")
    functions = [line for line in guest.run(f"cat {TRACING}/enabled_functions").text.splitlines()
                 if line[:1].strip()]
    tap.is_equal(counters["ftrace"]["counters"]["traced"], len(functions),
                 "as many functions are traced as enabled_functions has")
    guest.run(UNTRACE + " && echo function_graph >current_tracer", seconds=300)
    seen = check_nothing(tap, guest, "the graph tracer on every function")
    tap.ok(seen["ftrace"]["counters"]["traced"] > 10000, "it was every function",
           seen["ftrace"]["counters"])
    guest.run(UNTRACE + f"; echo 0 >{TRACING}/events/kprobes/enable; "
              f"echo >{TRACING}/kprobe_events", seconds=300)


def check_altering(tap, guest):
    said = load(guest, list(ALTERING))
    for name in ALTERING:
        if not said.get(name, "").startswith("prog"):
            tap.skip(f"this kernel: {said.get(name, 'nothing')}", f"program {name}")
    wanted = {name: expected for name, expected in ALTERING.items()
              if said.get(name, "").startswith("prog")}
    found = {}
    for finding in look(guest)["findings"]:
        name = finding["object"].split("'")[1]
        found[name] = (finding["severity"],
                       finding["text"].split("may alter ")[1].split(", at")[0])
    tap.is_equal(found, wanted, "each program that may alter things is found with its power")
    check_places(tap, guest, list(wanted))


def check_hidden(tap, guest):
    """What is written out of its list, or into one, while the guest stands and when it goes on."""
    for name, check, text in (("bpf-program", "bpf", "hidden BPF program"),
                              ("bpf-map", "bpf", "hidden BPF map"),
                              ("bpf-link", "bpf", "hidden BPF link"),
                              ("kprobe", "kprobes", "nobody's code"),
                              ("ftrace-ops", "ftrace", "nobody's code")):
        before = {finding["text"] for finding in look(guest)["findings"]}
        with tempfile.NamedTemporaryFile(prefix="monatt-undo-") as undo:
            guest.qmp("stop")
            try:
                guest.mutate("apply", name, "--undo", undo.name, stands=True)
                seen = [finding for finding in look(guest, once=True)["findings"]
                        if finding["text"] not in before]
                tap.ok(seen and all(finding["check"] == check and
                                    finding["severity"] == COMPROMISED and
                                    text in finding["text"] for finding in seen),
                       f"{name}: it is found by '{check}'", seen)
                guest.mutate("undo", undo.name, stands=True)
            finally:
                guest.qmp("cont")
        tap.is_equal({finding["text"] for finding in look(guest)["findings"]}, before,
                     f"{name}: put back, nothing is left of it")


def digests(guest):
    return dict(rows_of(guest, "bpf", "name", "digest").values())


def later_kernel():
    """Another kernel and why there is none."""
    try:
        kernels = sorted(glob.glob(f"{suite_tree.folder('sid')}/boot/vmlinuz-*"))
    except suite_tree.Missing as reason:
        return None, str(reason)
    return (kernels[-1], None) if kernels else (None, "no kernel in the sid tree")


def check_later(tap, host, first):
    vmlinuz, reason = later_kernel()
    if reason:
        tap.skip(reason, "digests on a later kernel")
    with Guest(host, add=[f"{LOADER}:/bpf-load"], vcpus=2, memory_mb=384,
               vmlinuz=vmlinuz) as guest:
        guest.run(MOUNTS)
        load(guest, HARMLESS)
        check_nothing(tap, guest, f"{guest.run('uname -r').text}: programs that watch")
        check_lists(tap, guest)
        check_places(tap, guest, HARMLESS)
        again = digests(guest)
        tap.is_equal({name: again.get(name) for name in first}, first,
                     "digests: the same after another boot")
        check_altering(tap, guest)


def run_all(tap):
    with Host() as host:
        with Guest(host, add=[f"{LOADER}:/bpf-load"], vcpus=2, memory_mb=384) as guest:
            guest.run(MOUNTS)
            check_nothing(tap, guest, "an idle guest")
            said = load(guest, HARMLESS)
            tap.ok(not [what for what in said.values() if what.startswith("error")],
                   "programs that watch and confine are loaded", said)
            check_nothing(tap, guest, "programs that watch or confine a control group")
            check_lists(tap, guest)
            check_places(tap, guest, HARMLESS)
            first = digests(guest)
            tap.ok(first["twin_a"] == first["twin_b"] != first["filter"],
                   "digests: one program loaded twice has one, another has another", first)
            check_tracing(tap, guest)
            check_altering(tap, guest)
            check_hidden(tap, guest)
        check_later(tap, host, first)


def main():
    tap = Tap()
    if paths.sanitized():
        tap.skip_all("the plain build runs it; guest/truth runs every check with sanitizers")
    lacking = guest_library.missing() or paths.missing(run_checks.PROGRAM, LOADER)
    if lacking:
        tap.skip_all(f"no {lacking}")
    with tap:
        run_all(tap)
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
