#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""test-verdicts.py: from a real guest to a verdict, clean and attacked.

A clean guest is healthy, also when it forks as fast as it can; one whose kernel was changed is not.  A process hidden by our kernel
module or by writing the guest's RAM from outside, and a boot with another command line or initrd, are compromised and named.
"""
import json
import os
import re
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))
import guest as guest_library  # noqa: E402
import paths  # noqa: E402
import rootkit  # noqa: E402
from guest import Guest, Host  # noqa: E402
from tap import Tap  # noqa: E402

HEALTHY, FAILED, REFUSED, COMPROMISED, UNKNOWN = 0, 1, 3, 4, 6


def judge(host, vm, reference):
    """Attests and verifies: the verifier's result."""
    return host.verify(*host.attest(vm), reference)


def check_clean(tap, host, guest, reference):
    evidence, nonce = host.attest(guest.name)
    result = host.verify(evidence, nonce, reference)
    tap.is_equal(result.status, HEALTHY, "clean guest: exit 0")
    for name in ("startup-integrity", "runtime-integrity"):
        tap.ok(re.search(rf"(?m)^{name}\s+healthy\b", result.text), f"clean guest: {name} is healthy",
               result)
    for name in ("confidentiality.cpu", "availability.cpu", "host-integrity"):
        tap.ok(re.search(rf"(?m)^{re.escape(name)}\s+unknown\b", result.text),
               f"clean guest: {name} is unknown, not healthy", result)
    answer = host.verify(evidence, nonce, reference, "--json")
    tap.ok(answer.status == HEALTHY and isinstance(json.loads(answer.out), dict),
           "the same as JSON: one object, the same exit code", answer)
    result = host.verify(evidence, "00" * 32, reference)
    tap.ok(result.status == REFUSED and "nonce" in result.error_text, "wrong nonce: exit 3", result)


def checks_named(result):
    """How many checks looked at the whole of their thing, and the names of those that could not."""
    seen = re.search(r"(\d+) checks of the kernel(?:, not looked at: ([^)]*))?", result.text)
    return (int(seen[1]), seen[2]) if seen else (0, "no check at all")


def check_kernel(tap, host, guest, reference):
    """A change of the kernel itself, from outside: named, not undone, gone with the boot."""
    evidence, nonce = host.attest(guest.name)
    result = host.verify(evidence, nonce, reference)
    shown = host.monatt("evidence", "show", evidence).text
    made = set(re.findall(r"(?m)MR19 +check-summary +([a-z-]+),", shown))
    tap.is_equal(checks_named(result), (len(made), None),
                 "clean guest: each check of the kernel saw all of its thing")
    tap.ok({"kernel-text", "strings", "control-registers"} <= made,
           "with the measured kernel and the vCPUs' registers", made)
    tap.note(result.text)
    guest.mutate("apply", "helper-path", "modprobe_path")
    result = judge(host, guest.name, reference)
    tap.is_equal(result.status, COMPROMISED, "modprobe_path changed from outside: exit 4")
    tap.ok(re.search(r"strings: modprobe_path\s+expected .*\s+observed +/tmp/\.", result.text),
           "modprobe_path: check, object and what it says now are named", result)
    guest.run("echo /sbin/modprobe >/proc/sys/kernel/modprobe")
    result = judge(host, guest.name, reference)
    tap.ok(result.status == COMPROMISED and
           "strings: modprobe_path, earlier in this boot" in result.text,
           "put back: still compromised, by what was found before", result)
    check_reboot(tap, host, guest, reference)


def check_busy(tap, host, guest, reference):
    pid = guest.spawn("sh -c 'while true; do for i in 1 2 3 4; do true | cat & done; wait; done'")
    results = [judge(host, guest.name, reference) for _ in range(3)]
    statuses = [result.status for result in results]
    # On a machine that stalls the guest's CPU some may be "unsettled", never more than that.
    tap.ok(set(statuses) <= {HEALTHY, UNKNOWN}, "a guest that forks all the time is not accused",
           results)
    tap.ok(HEALTHY in statuses, "and is found healthy", results)
    guest.run(f"kill -9 {pid}; killall -9 cat", check=False)


def names(result, pid, command):
    return f"process {pid} ({command})" in result.text


def was_hidden(result, pid, command):
    return f"process {pid} ({command}) was hidden earlier in this boot" in result.text


def check_hidden(tap, host, guest, reference):
    kit = rootkit.Rootkit(guest)
    first, second = (guest.spawn("/tmp/evil-daemon") for _ in range(2))
    command = guest.run(f"cat /proc/{first}/comm").text
    tap.is_equal(command, "evil-daemon", "the process to hide runs")
    for how, what in (("list", "the task list"), ("both", "task list and PID IDR")):
        kit.hide(first, how)
        result = judge(host, guest.name, reference)
        tap.is_equal(result.status, COMPROMISED, f"hidden from {what}: exit 4")
        tap.ok(names(result, first, command), f"hidden from {what}: pid and command are named",
               result)
        tap.ok(not names(result, second, command),
               f"hidden from {what}: its neighbour is not accused", result)
        kit.show(first)
        result = judge(host, guest.name, reference)
        tap.ok(result.status == COMPROMISED and was_hidden(result, first, command),
               f"put back into {what}: still compromised, by what was found before", result)
    kit.hide(first, "both")
    kit.hide(second, "both")
    result = judge(host, guest.name, reference)
    tap.ok(result.status == COMPROMISED and names(result, first, command) and
           names(result, second, command), "two neighbours hidden together: both are named", result)
    kit.show(first)
    kit.show(second)
    check_reboot(tap, host, guest, reference)


def check_mutated(tap, host, guest, reference):
    """The same by writing the guest's RAM from outside, as a rootkit would from inside."""
    pid = guest.spawn("/tmp/evil-daemon")
    for way, what in (("list", "the task list"), ("list+idr", "task list and PID IDR")):
        guest.mutate("hide", str(pid), "--from", way)
        result = judge(host, guest.name, reference)
        tap.ok(result.status == COMPROMISED and names(result, pid, "evil-daemon"),
               f"unlinked from outside from {what}: exit 4, pid and command are named", result)
        guest.mutate("unhide", str(pid))
        result = judge(host, guest.name, reference)
        tap.ok(result.status == COMPROMISED and was_hidden(result, pid, "evil-daemon"),
               f"put back into {what} from outside: still compromised", result)
    guest.run(f"kill {pid}")
    check_reboot(tap, host, guest, reference)


def check_own_list(tap, host, guest, reference):
    """The guest's own list: an honest one, and one that a tool in user space has shortened."""
    pid = guest.spawn("/tmp/evil-daemon")
    judge(host, guest.name, reference)  # its end shows the nonce for the next one
    guest.run("monatt-guest processes")
    result = judge(host, guest.name, reference)
    tap.is_equal(result.status, HEALTHY, "with an honest list of the guest's own: exit 0")
    tap.contains(result.text, "compared with guest's own list",
                 "the guest's own list is one of the views")
    guest.run("mkdir /tmp/proc; for p in /proc/[0-9]*; do ln -s $p /tmp/proc; done; "
              f"rm /tmp/proc/{pid}; monatt-guest processes --proc /tmp/proc")
    result = judge(host, guest.name, reference)
    tap.ok(result.status == COMPROMISED and names(result, pid, "evil-daemon"),
           "missing from the guest's own list: exit 4, named", result)
    result = judge(host, guest.name, reference)
    tap.ok(was_hidden(result, pid, "evil-daemon") and
           "compared with guest's own list" not in result.text,
           "a list that answers an older nonce is not used", result)


def check_tables(tap, host, guest):
    """What the host sees, for people: the same processes and modules as the guest shows itself."""
    def show(*words):
        return host.monatt("vm", *words, "--json", check=False)

    result = show("ps", guest.name, "--columns", "pid,command")
    rows = {row["pid"] for row in json.loads(result.out)["rows"]}
    inside = {int(name) for name in guest.run("cd /proc && echo [0-9]*").text.split()}
    tap.ok(result.status == HEALTHY and len(rows ^ inside) <= 3, "vm ps: the processes of /proc",
           f"{rows ^ inside} {result}")
    result = show("modules", guest.name)
    inside = {line.split()[0] for line in guest.run("cat /proc/modules").text.splitlines()}
    tap.ok(result.status == HEALTHY and
           {row["name"] for row in json.loads(result.out)["rows"]} == inside,
           "vm modules: those of /proc/modules", f"{inside} {result}")
    for table in ("sockets", "hooks", "bpf", "maps"):
        result = show(table, guest.name)
        tap.ok(result.status == HEALTHY and not json.loads(result.out)["cut"], f"vm {table}: whole",
               result)
    result = show("checks", guest.name)
    tap.ok(result.status in (HEALTHY, UNKNOWN) and json.loads(result.out)["findings"] == [],
           "vm checks: an idle guest has no finding", result)
    result = host.monatt("vm", "ps", guest.name, "--against-guest", check=False)
    tap.ok(result.status == FAILED and "has sent none" in result.error_text,
           "vm ps --against-guest: this guest has sent no list", result)


def make_daemon(guest):
    """A script's process has the script's name."""
    guest.run("printf '#!/bin/sh\\nwhile true; do sleep 1000; done\\n' >/tmp/evil-daemon; "
              "chmod +x /tmp/evil-daemon")


def check_reboot(tap, host, guest, reference):
    """Nothing but a reset ends what was found."""
    seed = guest.device.status()["seed"]
    guest.reboot()
    make_daemon(guest)
    tap.ok(guest.device.status()["seed"] != seed, "a reboot gives a new boot")
    result = judge(host, guest.name, reference)
    tap.is_equal(result.status, HEALTHY, "after a reboot: exit 0, measured anew")
    if result.status != HEALTHY:
        tap.note(result)


def check_changed(tap, host, reference, vid, name, item, **changed):
    with Guest(host, name="guest", vid=vid, **changed) as guest:
        result = judge(host, guest.name, reference)
        tap.is_equal(result.status, COMPROMISED, f"{name}: exit 4")
        tap.ok(re.search(r"(?m)^startup-integrity\s+compromised\b", result.text),
               f"{name}: startup-integrity is compromised", result)
        tap.is_equal(re.findall(r"(?m)^    (\S+)\n      expected ", result.text), [item],
                     f"{name}: it is named, and nothing else")
        return result


def main():
    tap = Tap()
    lacking = guest_library.missing() or paths.missing(paths.COLLECTORD, paths.WORKER, paths.MONATT,
                                                        paths.MUTATE)
    if lacking:
        tap.skip_all(f"{lacking} is missing")
    module, why = None, ""
    try:
        module = rootkit.build()
    except rootkit.Missing as reason:
        why = str(reason)
    add = [f"{module}:/rootkit.ko"] if module else []
    with tap, Host(collector=True) as host:
        with Guest(host, add=add) as guest:
            make_daemon(guest)
            reference = host.learn(guest.name)
            check_clean(tap, host, guest, reference)
            check_tables(tap, host, guest)
            check_kernel(tap, host, guest, reference)
            check_busy(tap, host, guest, reference)
            if module:
                check_hidden(tap, host, guest, reference)
            else:
                tap.skip(why, "a process hidden by a kernel module")
            check_mutated(tap, host, guest, reference)
            check_own_list(tap, host, guest, reference)
            check_reboot(tap, host, guest, reference)
            vid = guest.vid
        result = check_changed(tap, host, reference, vid, "changed command line", "command-line",
                               add=add, append="changed=1")
        tap.contains(result.text, "changed=1", "changed command line: what was observed")
        check_changed(tap, host, reference, vid, "changed initrd", "initrd",
                      add=[*add, f"{os.path.abspath(__file__)}:/changed"])
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
