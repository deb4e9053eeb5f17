#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""test-service.py: what attach service and control socket refuse, and in which words.

Each refusal has a code and one line "what: on what: why"; after each the same request unbroken is
taken.  Full disk, missing swtpm, paths that are too long: exit codes of docs and --help.
"""
import hashlib
import os
import re
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time
import uuid

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "lib")]
import paths  # noqa: E402
from device_client import (ATTACH, EXTEND, HOLD, KEYS, NONCE, QUOTE, STATUS, SUBSCRIBE,  # noqa: E402
                           Refused, Service, call, receive, text)
from tap import Tap  # noqa: E402

PERMISSION, FORMAT, LIMIT, BUSY, TPM = 4, 5, 6, 7, 9
LOG_WRITE = 3
D256, D384 = hashlib.sha256(b"x").digest(), hashlib.sha384(b"x").digest()
NOBODY = 65534


def run(*arguments, **options):
    """hw-attest serve …: exit code and its lines."""
    done = subprocess.run([paths.HW_ATTEST, *arguments], capture_output=True, text=True, timeout=60,
                          **options)
    return done.returncode, done.stderr.strip().splitlines()


def one_line(lines):
    """The error, then a hint; each on a line of its own and short enough to read."""
    return len(lines) == 2 and lines[0].startswith("hw-attest: ") and \
        lines[0].count(": ") >= 2 and "hint: " in lines[1] and max(map(len, lines)) < 340


def closed(sock):
    """Empty when the other end closed, with or without unread bytes of ours."""
    try:
        return sock.recv(100)
    except ConnectionResetError:
        return b""


def connect(service):
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    sock.settimeout(20)
    sock.connect(service.run + "/attach.sock")
    return sock


def request(vid=None, name=text("web-3"), accelerator=1, plugin=0, vcpus=1, count=0, rest=b"", wire=0,
            actions=0):
    vid = uuid.uuid4().bytes if vid is None else vid
    return vid + name + struct.pack(">BBBBII", accelerator, plugin, wire, actions, vcpus, count) + rest


def check_attach(tap, service):
    cases = [
        ("uuid of zeros", request(vid=bytes(16)), FORMAT), ("no name", request(name=text("")), None),
        ("a name with a slash", request(name=text("../x")), None),
        ("a name with a line end", request(name=text("a\nb")), None),
        ("a name with NUL", request(name=struct.pack(">H", 3) + b"a\0b"), FORMAT),
        ("a name of 300 bytes", request(name=text("n" * 300)), FORMAT),
        ("no vCPU", request(vcpus=0), LIMIT), ("257 vCPUs", request(vcpus=257), LIMIT),
        ("accelerator 3", request(accelerator=3), FORMAT), ("plugin 2", request(plugin=2), FORMAT),
        ("wire 2", request(wire=2), FORMAT), ("actions 4", request(actions=4), FORMAT),
        ("33 boot items", request(count=33), FORMAT), ("a missing boot item", request(count=1), FORMAT),
        ("a byte too many", request(rest=b"x"), FORMAT), ("a byte too few", request()[:-1], FORMAT),
        ("nothing", b"", FORMAT), ("random bytes", os.urandom(900), None),
    ]
    for name, payload, code in cases:
        sock = connect(service)
        error = tap.raises(Refused, f"refused: {name}", call, sock, ATTACH, payload)
        tap.ok(error and (error.code == code or (code is None and error.code in (FORMAT, LIMIT, 1)))
               and ": " in error.message, f"{name}: code and words",
               error and (error.code, error.message))
        sock.close()
    sock = connect(service)
    error = tap.raises(Refused, "refused: another message than ATTACH", call, sock, STATUS, request())
    tap.is_equal(error and error.code, FORMAT, "another message: error FORMAT")
    sock.close()
    sock, pair = connect(service), socket.socketpair()
    error = tap.raises(Refused, "refused: two descriptors", call, sock, ATTACH, request(),
                       [s.fileno() for s in pair])
    tap.is_equal(error and error.code, FORMAT, "two descriptors: error FORMAT")
    sock.close()
    for raw in (b"x", b"MCT1", b"MCT2\0\1\0\1" + request(), b"MCT1\0\1\0\1" + bytes(66000)):
        sock = connect(service)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 300000)
        sock.send(raw)
        tap.is_equal(receive(sock)[0], 0x7FFF, f"a packet of {len(raw)} odd bytes is answered")
        sock.close()
    connect(service).close()
    silent = connect(service)
    vm = service.attach()
    tap.is_equal(vm.guest_extend(1, D256, D384), 0, "a launcher that says nothing holds nobody up")
    tap.is_equal(os.listdir(service.run + "/vm"), [str(vm.vid)], "refusals leave no folders")
    silent.close()
    vm.close()


def check_folder_stays(tap, service):
    """A VM's run folder is its own while it has a device, whether device.pid is in it or not (yet)."""
    vm = service.attach(name="no-pid")
    os.unlink(vm.folder + "/device.pid")
    other = service.attach(name="other")
    tap.is_equal(sorted(os.listdir(vm.folder)), ["control.sock", "tpm.sock", "tpm.sock.ctrl"],
                 "folder: another VM's attach leaves it alone")
    tap.ok(vm.connect(), "folder: the collector still finds it")
    other.close()
    vm.close()
    tap.ok(not os.path.exists(vm.folder), "folder: it goes with its VM")


def check_users(tap, service):
    """Only root, the own user and those of --allow-uid."""
    def as_user(uid, path):
        code = ("import os,socket,sys\nos.setgid(%d); os.setuid(%d)\n"
                "s=socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET); s.settimeout(10)\n"
                "s.connect(sys.argv[1])\ns.send(b'MCT1')\nprint(len(s.recv(1000)))" % (uid, uid))
        return subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True,
                              timeout=60)
    if os.geteuid() != 0:
        tap.skip("root is missing", "other users")
        return
    done = as_user(NOBODY, service.run + "/attach.sock")
    tap.ok("PermissionError" in done.stderr, "another user cannot connect", done.stderr)
    folder = tempfile.mkdtemp(prefix="hwu-", dir="/tmp")
    os.chmod(folder, 0o755)
    ready, ours = os.pipe()
    process = subprocess.Popen([paths.HW_ATTEST, "serve", "--run-dir", folder + "/run", "--state-dir",
                                folder + "/state", "--allow-uid", str(NOBODY), "--ready-fd", str(ours)],
                               pass_fds=[ours], stderr=subprocess.PIPE, text=True)
    os.close(ours)
    os.read(ready, 1)
    os.close(ready)
    done = as_user(NOBODY, folder + "/run/attach.sock")
    tap.ok(int(done.stdout or 0) > 8, "a user of --allow-uid is answered", done.stderr)
    done = as_user(NOBODY - 1, folder + "/run/attach.sock")
    tap.ok(done.stdout.strip() in ("", "0"), "another one is not", done.stdout + done.stderr)
    process.terminate()
    log = process.communicate(timeout=20)[1]
    tap.contains(log, f"uid {NOBODY - 1} may not", "and the log says who")
    shutil.rmtree(folder)


def check_control(tap, service):
    vm = service.attach()
    first = vm.registers()
    cases = [
        ("no type 0", 0, b"", FORMAT), ("no type 21", 21, b"", FORMAT),
        ("no type 32", 32, b"", FORMAT), ("no ATTACH here", ATTACH, request(), FORMAT),
        ("an event", 14, bytes(10), FORMAT), ("an answer", 0x8002, b"", FORMAT),
        ("status with a byte", STATUS, b"x", FORMAT), ("subscribe with a byte", SUBSCRIBE, b"x", FORMAT),
        ("extend of nothing", EXTEND, b"", FORMAT), ("extend without record", EXTEND, b"\x11", LIMIT),
        ("extend of 1,025 bytes", EXTEND, b"\x11" + bytes(1025), LIMIT),
        ("extend of MR16", EXTEND, b"\x10abc", PERMISSION), ("extend of MR23", EXTEND, b"\x17abc", PERMISSION),
        ("extend of MR0", EXTEND, b"\0abc", PERMISSION), ("extend of MR24", EXTEND, b"\x18abc", LIMIT),
        ("extend of MR255", EXTEND, b"\xffabc", LIMIT), ("keys of SHA-1", KEYS, b"\0\4", FORMAT),
        ("keys of nothing", KEYS, b"", FORMAT), ("a nonce of 31 bytes", NONCE, bytes(31), FORMAT),
        ("a nonce of 33 bytes", NONCE, b"n" * 33, FORMAT), ("quote of nothing", QUOTE, b"", FORMAT),
        ("hold of nothing", HOLD, b"", FORMAT),
    ]
    for name, kind, payload, code in cases:
        error = tap.raises(Refused, f"control refuses: {name}", call, vm.control, kind, payload)
        tap.ok(error and error.code == code and ": " in error.message, f"{name}: code and words",
               error and (error.code, error.message))
    null = os.open("/dev/null", os.O_RDONLY)
    error = tap.raises(Refused, "control refuses: a descriptor", call, vm.control, STATUS, b"", [null])
    tap.is_equal(error and error.code, FORMAT, "a descriptor: error FORMAT")
    os.close(null)
    tap.is_equal((vm.registers(), vm.status()["records"]), (first, 0), "nothing was extended by these")
    tap.is_equal(b"".join(vm.read(0xFE000040 + i).to_bytes(4, "little") for i in range(0, 32, 4)),
                 bytes(32), "nor was the nonce set")
    tap.is_equal(vm.extend(17, b"x" * 1024), 0, "a record of 1,024 bytes is taken")
    call(vm.control, NONCE, bytes(range(32)))
    tap.is_equal(b"".join(vm.read(0xFE000040 + i).to_bytes(4, "little") for i in range(0, 32, 4)),
                 bytes(range(32)), "a nonce of 32 bytes is seen by the guest")
    for raw in (b"x", b"MCT1\0\2\0", b"NOPE\0\2\0\1", b"MCT1\0\2\0\1" + bytes(66000)):
        odd = vm.connect()
        odd.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 300000)
        odd.send(raw)
        tap.is_equal(closed(odd), b"", f"a packet of {len(raw)} odd bytes costs the connection")
        odd.close()
    many = [vm.connect() for _ in range(7)]
    tap.is_equal([len(call(sock, STATUS)[0]) > 0 for sock in many], [True] * 7,
                 "8 connections are served")
    ninth = vm.connect()
    tap.is_equal(closed(ninth), b"", "a ninth is closed")
    for sock in many + [ninth]:
        sock.close()
    deaf = vm.connect()
    call(deaf, SUBSCRIBE)
    for i in range(200):
        vm.qmp_send('{"event": "%s"}' % ("STOP", "RESUME")[i % 2])
    vm.qmp_send('{"QMP": {}}')  # the answer to it comes after all of these
    while "qmp_capabilities" not in vm.qmp_file.readline():
        pass
    tap.is_equal((vm.status()["stopped"], vm.guest_extend(1, D256, D384)), (0, 0),
                 "a subscriber that does not read holds nobody up")
    deaf.close()
    for line in ("{", "[]", "null", '{"event": 5}', '{"event": "RESET"}', '{"return": {}, "id": "cpus"}',
                 '{"return": [{"thread-id": -5}, {"thread-id": "x"}, 7], "id": "cpus"}', "x" * 200000,
                 '{"QMP": 1, "QMP": 2}', "\0\0"):
        vm.qmp_send(line)
    time.sleep(0.3)
    tap.is_equal((vm.status()["fault"], vm.status()["records"]), (0, 2), "odd QMP lines change nothing")
    vm.wire.send(b"\xff" * 64)
    tap.is_equal(closed(vm.wire), b"", "an odd message on the wire costs the wire")
    tap.is_equal(vm.wait_status(lambda s: s["fault"])["fault"], 4, "the device says fault WIRE")
    time.sleep(4)  # longer than the service lets a guest's access take
    tap.is_equal(vm.quote(11, b"n")[3], 2, "what was measured before can still be quoted")
    tap.ok(vm.close(), "it ends with QEMU")
    tap.is_equal(service.killed(), [], "no device was killed by its sandbox")


def check_start(tap, folder):
    code, lines = run("serve", "--run-dir", "/tmp/" + "x" * 90, "--state-dir", folder + "/s")
    tap.ok(code == 1 and one_line(lines) and "too long" in lines[0], "a run folder that is too long",
           (code, lines))
    fits = "/tmp/" + "x" * (107 - len("/tmp/" + "/vm/" + "/vfio-user.sock") - 36)
    shutil.rmtree(fits, ignore_errors=True)      # of a run that was killed
    os.makedirs(fits, mode=0o700)
    service = Service.__new__(Service)
    service.folder, service.program, service.private = folder, paths.HW_ATTEST, False
    service.run, service.state, service.environment = fits, folder + "/state", dict(os.environ)
    service.start()
    vm = service.attach()
    tap.is_equal(vm.quote(11, b"n")[3], 0, "one of the longest length serves")
    code, lines = run("serve", "--run-dir", fits, "--state-dir", folder + "/s")
    tap.ok(code == 1 and one_line(lines) and "another one serves" in lines[0], "two services",
           (code, lines))
    vm.close()
    service.process.terminate()
    service.process.wait(10)
    tap.is_equal(os.listdir(fits), ["vm"], "its socket is removed at its end")
    shutil.rmtree(fits)
    code, lines = run("serve", "--run-dir", folder + "/r", "--state-dir", folder + "/s",
                      env={"PATH": folder})
    tap.ok(code == 1 and one_line(lines) and "swtpm: no such program" in lines[0], "no swtpm in PATH",
           (code, lines))
    code, lines = run("serve", "--run-dir", "/proc/nowhere", "--state-dir", folder + "/s")
    tap.ok(code == 1 and one_line(lines) and "/proc/nowhere" in lines[0], "a folder that cannot be made",
           (code, lines))
    for arguments in (["serve", "--no-such"], ["serve", "x"], ["serve", "--run-dir"], ["fly"], [],
                      ["serve", "--ready-fd", "99"], ["serve", "--allow-uid", "-1"],
                      ["serve", "--allow-uid", "root"], ["replay"]):
        code, lines = run(*arguments)
        tap.ok(code == 2 and len(lines) == 2 and "--help" in lines[1], f"usage: {arguments}: exit 2",
               (code, lines))


def check_broken_swtpm(tap, folder):
    """One that ends at once, one that is removed after the service's start."""
    os.makedirs(folder + "/bin")
    for name in ("sh",):
        os.symlink(shutil.which(name), folder + "/bin/" + name)
    with open(folder + "/bin/swtpm", "w", encoding="ascii") as file:
        file.write("#!/bin/sh\necho no licence >&2\nexit 1\n")
    os.chmod(folder + "/bin/swtpm", 0o700)
    service = Service(paths.HW_ATTEST, path=folder + "/bin", options=("--user", "root"))
    began = time.monotonic()
    error = tap.raises(Refused, "refused: swtpm ends at once", service.attach)
    tap.ok(error and error.code == TPM and "ended before it listened" in error.message and error.hint,
           "with what, why and hint", error and (error.code, error.message, error.hint))
    tap.note(f"after {time.monotonic() - began:.2f} s")
    tap.contains(service.stderr(), "no licence", "and swtpm's own words in the log")
    tap.is_equal(os.listdir(service.run + "/vm"), [], "nothing is left")
    service.close()
    service = Service.__new__(Service)
    shutil.copy(shutil.which("true"), folder + "/bin/swtpm")
    service.folder, service.program, service.private = folder, paths.HW_ATTEST, False
    service.run, service.state = folder + "/r2", folder + "/s2"
    service.environment = {"PATH": folder + "/bin"}
    service.start()
    os.unlink(folder + "/bin/swtpm")
    error = tap.raises(Refused, "refused: swtpm is no longer there", service.attach)
    tap.ok(error and "did not start it" in error.message and "PATH" in error.hint, "with a hint",
           error and (error.message, error.hint))
    service.process.terminate()
    service.process.wait(10)


def check_full_disk(tap, folder):
    state = folder + "/tmpfs"
    os.makedirs(state)
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=600k,mode=0700", "monatt", state],
                          capture_output=True, text=True)
    if done.returncode != 0:
        tap.skip(f"mount of a tmpfs is not allowed: {done.stderr}", "full disk")
        return
    try:
        service = Service(paths.HW_ATTEST, state=state)
        vm = service.attach()
        tap.is_equal(vm.guest_extend(1, D256, D384, b"before"), 0, "an extend while there is room")
        vm.wait_status(lambda s: s["synced"] == 1)
        with open(state + "/filler", "wb") as file:
            while True:
                try:
                    os.write(file.fileno(), bytes(4096))
                except OSError:
                    break
        taken = 1
        for _ in range(400):
            if vm.guest_extend(1, D256, D384, b"c" * 900) == 0:
                taken += 1
        status = vm.wait_status(lambda s: s["fault"])
        tap.is_equal(status["fault"], LOG_WRITE, "full disk: fault LOG_WRITE")
        tap.is_equal(vm.guest_extend(1, D256, D384), 5, "full disk: extends answer busy")
        error = tap.raises(Refused, "full disk: a quote is refused", vm.quote, 11, b"n")
        tap.ok(error and error.code == BUSY and "event log cannot be written" in error.message and
               "free space" in error.hint, "with why and what helps",
               error and (error.code, error.message, error.hint))
        error = tap.raises(Refused, "full disk: so is a record", vm.extend, 17, b"r")
        size = os.path.getsize(vm.state + "/eventlog.cel")
        log = open(vm.state + "/eventlog.cel", "rb").read()
        tap.ok(log.count(b"before") == 1 and size == len(log), "the log is cut at a whole record", size)
        os.unlink(state + "/filler")
        vm.wait_status(lambda s: s["fault"] == 0 and s["synced"] == s["records"])
        tap.is_equal(vm.status()["records"], taken, "room again: every extend that was taken is in")
        tap.is_equal((vm.quote(11, b"n")[3], vm.extend(17, b"r")), (taken, taken),
                     "room again: quotes and records")
        vm.close()
        with open(state + "/filler", "wb") as file:
            while True:
                try:
                    os.write(file.fileno(), bytes(4096))
                except OSError:
                    break
        error = tap.raises(Refused, "full disk: no new VM", service.attach)
        tap.ok(error and error.code not in (0, 13) and ": " in error.message, "with a reason",
               error and (error.code, error.message, error.hint))
        os.unlink(state + "/filler")
        again = service.attach()
        tap.is_equal(again.guest_extend(1, D256, D384), 0, "room again: VMs start")
        again.close()
        service.close()
    finally:
        subprocess.run(["umount", "-l", state], check=False)


def check_private(tap):
    service = Service(paths.HW_ATTEST, private=True)
    vm = service.attach()
    tap.raises((ConnectionError, EOFError), "a private service takes one VM",
               lambda: call(connect(service), ATTACH, request()))
    vm.close()
    tap.is_equal(service.process.wait(20), 0, "and ends with it")
    tap.ok(not os.path.exists(service.run + "/attach.sock"), "its socket too")
    service.close()


def check_replay(tap, folder):
    corpus = paths.source("tests", "fuzz", "corpus", "wire")
    for name, code, words in (("boot", 0, None), ("extend", 0, None), ("cut", 1, "bytes")):
        got, lines = run("replay", f"{corpus}/{name}")
        tap.ok(got == code and (not words or words in lines[0]), f"replay of '{name}': exit {code}",
               (got, lines))
    with open(folder + "/odd", "wb") as file:
        file.write(b"\xff" * 64)
    got, lines = run("replay", folder + "/odd")
    tap.ok(got == 1 and "wire: command" in lines[0], "replay of odd bytes: exit 1", (got, lines))
    got, lines = run("replay", folder + "/none")
    tap.ok(got == 1 and "No such file" in lines[0], "replay of no file: exit 1", (got, lines))


def check_words(tap):
    done = subprocess.run([paths.HW_ATTEST, "--print-capabilities"], capture_output=True, text=True)
    tap.ok(re.match(r'\{"type":"hw-attest","version":"[0-9.]+","features":\["wire-mpqemu"', done.stdout),
           "capabilities", done.stdout)
    done = subprocess.run([paths.HW_ATTEST, "--help"], capture_output=True, text=True)
    tap.ok(done.returncode == 0 and done.stdout.startswith("usage: ") and not done.stderr, "--help")


def main():
    tap = Tap()
    missing = paths.missing("swtpm", paths.HW_ATTEST)
    if missing:
        tap.skip_all(f"{missing} is missing")
    service = Service(paths.HW_ATTEST)
    for check in (check_attach, check_folder_stays, check_users, check_control):
        with tap:
            check(tap, service)
    if tap.failed:
        tap.note(service.stderr())
    service.close()
    for check in (check_start, check_broken_swtpm, check_full_disk, check_replay):
        folder = tempfile.mkdtemp(prefix="hws-", dir="/tmp")
        with tap:
            check(tap, folder)
        shutil.rmtree(folder, ignore_errors=True)
    with tap:
        check_private(tap)
    with tap:
        check_words(tap)
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
