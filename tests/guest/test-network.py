#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""test-network.py: a real guest's sockets, processes and packet hooks, seen from outside.

Sockets equal what /proc/net in the guest shows, with the right process; processes equal its /proc;
a socket that is written out of the kernel's table is found, and put back nothing is left.
"""
import hashlib
import json
import os
import re
import socket
import struct
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))
import guest as guest_library  # noqa: E402
import paths  # noqa: E402
import run_checks  # noqa: E402
from guest import Guest  # noqa: E402
from run_checks import COMPROMISED, DEGRADED, check  # noqa: E402
from tap import Tap  # noqa: E402

HOLDER = paths.build("tests", "guest", "socket-holder")
STORM_LOOKS = 15
KINDS = ["tcp=4001", "tcp6=4002", "pair=4003", "udp=4004", "raw", "packet", "netlink",
         "unix=/tmp/named", "unix=@nameless"]


def end_of(text):
    """0100007F:0FA1 of /proc/net as a table row has it."""
    address, _, port = text.partition(":")
    raw = b"".join(struct.pack("<I", int(address[i:i + 8], 16)) for i in range(0, len(address), 8))
    port = int(port, 16) or "*"
    if len(raw) == 4:
        return f"{socket.inet_ntop(socket.AF_INET, raw)}:{port}"
    return f"[{socket.inet_ntop(socket.AF_INET6, raw)}]:{port}"


def inside_sockets(guest):
    """{(netid, inode): (local, peer)} as the guest's own /proc/net has them."""
    sockets = {}
    for name, netid in (("tcp", "tcp"), ("tcp6", "tcp"), ("udp", "udp"), ("udp6", "udp"),
                        ("raw", "raw"), ("raw6", "raw")):
        for line in guest.run(f"cat /proc/net/{name}", check=False).text.splitlines()[1:]:
            words = line.split()
            if int(words[9]) != 0:
                sockets[netid, int(words[9])] = (end_of(words[1]), end_of(words[2]))
    for line in guest.run("cat /proc/net/packet").text.splitlines()[1:]:
        words = line.split()
        sockets["p_raw", int(words[8])] = (f"{int(words[3], 16):#06x}:if{words[4]}", "*")
    for line in guest.run("cat /proc/net/unix").text.splitlines()[1:]:
        words = line.split()
        netid = {"0001": "u_str", "0002": "u_dgr", "0005": "u_seq"}[words[4]]
        sockets[netid, int(words[6])] = (words[7] if len(words) > 7 else "*", "*")
    for line in guest.run("cat /proc/net/netlink").text.splitlines()[1:]:
        words = line.split()
        port = int(words[2]) & 0xffffffff
        sockets["nl", int(words[9])] = (f"{words[1]}:{port}", "*")
    return sockets


def check_sockets(tap, guest, holder):
    inside = inside_sockets(guest)
    report = check(guest, "sockets", "sockets")
    tap.ok(report["result"]["reason"] == 0 and not report["findings"], "sockets: nothing is found",
           report["result"])
    outside = {(row["netid"], row["inode"]): (row["local"], row["peer"])
               for row in report["rows"] if row["inode"]}
    tap.is_equal(outside, inside, "sockets: those of /proc/net, each with its ends")
    held = [row for row in report["rows"] if row["pid"] == holder]
    tap.is_equal(sorted(row["netid"] for row in held),
                 sorted(["tcp"] * 5 + ["udp", "raw", "p_raw", "nl", "u_str", "u_str"]),
                 "sockets: the process that holds them is named by its pid")
    tap.ok(all(row["process"] == "socket-holder" for row in held), "sockets: and by its command")
    tap.is_equal({row["uid"] for row in held}, {0}, "sockets: with their owner")
    return report["rows"]


def check_hidden_socket(tap, guest, rows):
    for netid, state, local in (("tcp", "LISTEN", "127.0.0.1:4001"), ("tcp", "ESTAB", ":4003"),
                                ("udp", None, "127.0.0.1:4004"), ("raw", None, None),
                                ("p_raw", None, None), ("u_str", None, "/tmp/named")):
        row = next(row for row in rows if row["netid"] == netid and row["pid"] and
                   (state is None or row["state"] == state) and
                   (local is None or row["local"].endswith(local)))
        guest.mutate("unlink", "sock_common", "skc_node", row["address"])
        shown = any(inode == row["inode"] for _, inode in inside_sockets(guest))
        report = check(guest, "sockets")
        found = report["findings"]
        tap.ok(len(found) == 1 and found[0]["severity"] == COMPROMISED and
               found[0]["pid"] == row["pid"] and found[0]["owner"] == "socket-holder" and
               found[0]["object"] == f"{netid} {row['local']}" and found[0]["sightings"] >= 3,
               f"hidden {netid} {row['local']}: socket and process are named", report)
        tap.ok(not shown, f"hidden {netid} {row['local']}: the guest does not show it")
        guest.mutate("relink", "sock_common", "skc_node", row["address"])
        report = check(guest, "sockets")
        tap.ok(not report["findings"] and report["result"]["reason"] == 0,
               f"put back {netid} {row['local']}: nothing is found", report)


def check_filter(tap, guest):
    """The socket that BPFDoor waits at; the same with a program that is known for it is good."""
    waiting = guest.spawn("/socket-holder filter")
    guest.run("mkdir -p /usr/sbin && cp /socket-holder /usr/sbin/tcpdump")
    known = guest.spawn("/usr/sbin/tcpdump filter")
    guest.run("sleep 1")
    found = check(guest, "sockets")["findings"]
    tap.ok(len(found) == 1 and found[0]["severity"] == DEGRADED and found[0]["pid"] == waiting,
           "a packet socket with a filter: degraded, and only of an unknown program", found)
    guest.run(f"kill {waiting} {known}")


def check_hidden_holder(tap, guest):
    """A packet socket whose process is in no list."""
    holder = guest.spawn("/socket-holder packet")
    guest.run("sleep 1")
    guest.mutate("hide", str(holder), "--from", "list+idr")
    found = check(guest, "sockets")["findings"]
    tap.ok(len(found) == 1 and found[0]["severity"] == COMPROMISED and found[0]["pid"] == holder,
           "a packet socket of a hidden process: both are named", found)
    guest.mutate("unhide", str(holder))
    tap.is_equal(check(guest, "sockets")["findings"], [], "put back: nothing is found")
    guest.run(f"kill {holder}")


def check_storm(tap, guest):
    """Sockets that come and go by the thousand: nobody is accused, nothing is torn."""
    guest.spawn("/socket-holder storm")
    reports = []
    for _ in range(STORM_LOOKS):
        reports += [check(guest, "sockets"), check(guest, "netfilter")]
    guest.run("killall -9 socket-holder", check=False)
    found = [finding for report in reports for finding in report["findings"]]
    tap.ok(not found, "a storm of sockets: nothing is found", found)
    why = [report["result"] for report in reports if report["result"]["reason"]]
    tap.ok(not why, "a storm of sockets: everything is read", why)
    tap.note(f"passes: {sum(report['result']['passes'] for report in reports)}, most sockets: "
             f"{max(report['result']['counters'].get('in tables', 0) for report in reports)}")


def inside_tasks(guest):
    """{pid: (ppid, uid, exe, namespaces)} by the guest's own /proc."""
    script = ("for p in /proc/[0-9]*; do exe=$(readlink $p/exe); "
              "echo \"${p#/proc/}|$(awk '/^PPid|^Uid|^NSpid/ {printf \"%s \", $NF}' $p/status)|"
              "$(readlink $p/ns/pid) $(readlink $p/ns/net) $(readlink $p/ns/mnt) "
              "$(readlink $p/ns/user)|$exe\"; done")
    tasks = {}
    for line in guest.run(script, check=False).text.splitlines():
        pid, words, namespaces, exe = line.split("|")
        if len(words.split()) == 3 and namespaces.count("[") == 4:
            # PPid, Uid and NSpid stand in this order in every kernel's status file.
            parent, uid, own = (int(word) for word in words.split())
            tasks[int(pid)] = (parent, uid, own,
                               *(int(n) for n in re.findall(r"\[(\d+)\]", namespaces)), exe)
    return tasks


def check_tasks(tap, guest):
    strange = [guest.spawn("su user -c 'sleep 77001'"),
               guest.spawn("unshare -n -m sleep 77002"),
               guest.spawn("/socket-holder pid unix=@inner"),
               guest.spawn("/socket-holder deleted")]
    guest.run("mkdir -p /mnt && mount -t tmpfs other /mnt && mkdir -p /mnt/a/b && cp /bin/busybox /mnt/a/b/sleep")
    strange.append(guest.spawn("/mnt/a/b/sleep 77003"))
    guest.run("sleep 1")
    inside = inside_tasks(guest)
    report = check(guest, "tasks", "tasks")
    outside = {row["pid"]: (row["ppid"], row["uid"], row["nspid"], row["pidns"], row["netns"],
                            row["mntns"], row["userns"], row["exe"] or "")
               for row in report["rows"]}
    common = set(inside) & set(outside)
    tap.ok(len(set(inside) ^ set(outside)) <= 4, "tasks: those of /proc",
           f"{set(inside) ^ set(outside)}")
    tap.is_equal({pid: outside[pid] for pid in common if outside[pid] != inside[pid]},
                 {pid: inside[pid] for pid in common if outside[pid] != inside[pid]},
                 "tasks: parent, owner, own pid, namespaces and program as /proc has them")
    programs = {row["exe"] for row in report["rows"]}
    tap.ok("/mnt/a/b/sleep" in programs, "tasks: a path leads through mounts", programs)
    tap.ok("/memfd:nameless (deleted)" in programs, "tasks: a program without a name", programs)
    tap.ok(any(row["nspid"] == 1 and row["pid"] != 1 for row in report["rows"]),
           "tasks: the first process of a PID namespace")
    tap.ok(report["result"]["reason"] == 0 and not report["findings"], "tasks: nothing is found")
    sockets = check(guest, "sockets", "sockets")
    tap.ok(not [f for f in sockets["findings"] if f["severity"] == COMPROMISED],
           "namespaces and a nameless program: no hidden socket", sockets["findings"])
    guest.run("mount -o remount,hidepid=2 /proc")
    tap.is_equal(check(guest, "tasks")["findings"], [], "hidepid: nothing is found")
    guest.run("mount -o remount,hidepid=0 /proc")
    guest.run("kill " + " ".join(str(pid) for pid in strange), check=False)
    guest.run("killall -9 socket-holder from-memory", check=False)


def digest_of(path):
    """As the check makes it of a file that lies in memory whole."""
    whole = hashlib.sha256()
    with open(path, "rb") as file:
        for index, page in enumerate(iter(lambda: file.read(4096), b"")):
            whole.update(index.to_bytes(8, "big") + hashlib.sha256(page.ljust(4096, b"\0")).digest())
    return whole.hexdigest()


def check_programs(tap, guest):
    """Which programs run, and how many of those that were started were seen."""
    words = [run_checks.PROGRAM, "--file", guest.memory_file(), "--check", "programs", "--table",
             "programs"]
    sleepers = []
    with subprocess.Popen([*words, "--count", "2", "--gap", "6000"], stdout=subprocess.PIPE,
                          text=True) as looker:
        first = json.loads(looker.stdout.readline())["results"][0]["counters"]
        sleepers = [guest.spawn("sleep 77010") for _ in range(5)]
        counters = json.loads(looker.stdout.readline())["results"][0]["counters"]
    tap.ok("coverage ppm" not in first, "launches: nothing is said before a second look", first)
    tap.ok(counters["started"] > counters["started and seen"] >= 5,
           "launches: those that last are seen, commands in between are not", counters)
    tap.is_equal(counters["coverage ppm"],
                 counters["started and seen"] * 1000000 // counters["started"],
                 "launches: the part that was seen is said")
    done = subprocess.run([*words, "--count", "20"], capture_output=True, text=True, timeout=120)
    rows = json.loads(done.stdout.splitlines()[-1])["rows"]
    row = next(row for row in rows if row["path"] == "/bin/busybox")
    busybox = subprocess.run(["which", "busybox"], capture_output=True, text=True).stdout.strip()
    tap.is_equal(row["digest"], digest_of(busybox), "programs: the digest is the file's")
    tap.is_equal((row["inode"], row["size"]),
                 tuple(int(n) for n in guest.run("stat -c '%i %s' /bin/busybox").text.split()),
                 "programs: inode and size are the file's")
    guest.run("kill " + " ".join(str(pid) for pid in sleepers))


def check_hooks(tap, guest):
    report = check(guest, "netfilter", "hooks")
    tap.ok(report["result"]["reason"] == 0 and not report["findings"],
           "packet hooks: nothing is found", report)
    targets = {row["target"] for row in report["rows"]}
    tap.ok(any(target.startswith("ip_rcv+") for target in targets), "packet hooks: IPv4's", targets)
    taps = [row for row in report["rows"] if row["kind"] == "tap"]
    tap.ok(any("packet_rcv" in row["target"] for row in taps),
           "packet hooks: the packet socket taps", taps)


def main():
    tap = Tap()
    lacking = guest_library.missing() or paths.missing(run_checks.PROGRAM, paths.MUTATE, HOLDER)
    if lacking:
        tap.skip_all(f"{lacking} is missing")
    kernel = os.environ.get("MONATT_TEST_VMLINUZ")
    with tap, Guest(vcpus=2, add=[f"{HOLDER}:/socket-holder"], vmlinuz=kernel) as guest:
        tap.note(guest.run("uname -r").text)
        guest.run("ip link set lo up")
        holder = guest.spawn("/socket-holder " + " ".join(KINDS))
        guest.run("sleep 1")
        rows = check_sockets(tap, guest, holder)
        check_hooks(tap, guest)
        check_hidden_socket(tap, guest, rows)
        guest.run(f"kill {holder}")
        check_filter(tap, guest)
        check_hidden_holder(tap, guest)
        check_storm(tap, guest)
        check_tasks(tap, guest)
        check_programs(tap, guest)
    sys.exit(tap.done())


if __name__ == "__main__":
    main()
