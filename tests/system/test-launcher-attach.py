#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""test-launcher-attach.py: monatt-qemu and the attach service, as they meet and as they do not.

Who may attach, what the device is told of the boot, what a service that fails or lies does to the
launcher, and a file that is swapped while the VM starts.
"""
import hashlib
import json
import os
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import uuid

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "lib"), os.path.join(HERE, "..", "device")]
import paths  # noqa: E402
from device_client import ATTACH, ITEMS, call, receive, send  # noqa: E402
from launched_vm import LaunchedVm, MarkedService, wait_for  # noqa: E402
from tap import Tap  # noqa: E402

NOBODY = 65534
KINDS = {1: "firmware", 2: "kernel", 3: "initrd", 4: "command-line", 5: "qemu", 6: "option-rom",
         7: "variable-store", 8: "machine"}


def boot_items(vm):
    """[{"kind", "name", "size", "sha256", "sha384"}] as the device has them."""
    payload, _ = call(vm.control, ITEMS)
    count, at, found = struct.unpack(">I", payload[:4])[0], 4, []
    for _ in range(count):
        size = struct.unpack(">I", payload[at:at + 4])[0]
        item = payload[at + 4:at + 4 + size]
        kind, length = struct.unpack(">HQ", item[:10])
        name = struct.unpack(">H", item[90:92])[0]
        found.append({"kind": KINDS[kind], "name": item[92:92 + name].decode(), "size": length,
                      "sha256": item[10:42].hex(), "sha384": item[42:90].hex()})
        at += 4 + size
    assert at == len(payload)
    return found


def launch(service, *words, run=None, path=None, user=None):
    """monatt-qemu until it ends; a VM that starts ends by -S and a monitor that quits."""
    environment = {**os.environ, "PATH": path or os.environ["PATH"]}
    more = {"user": user, "group": user, "extra_groups": []} if user else {}
    return subprocess.run(
        [paths.MONATT_QEMU if not user else service.folder + "/monatt-qemu", "--monatt-run-dir",
         run or service.run, "--monatt-no-plugin", "-S", "-m", "32", "-nodefaults", "-display",
         "none", "-monitor", "stdio", *words],
        input="quit\n", capture_output=True, text=True, env=environment, timeout=120, **more)


def refused(tap, done, code, what, hint, name):
    lines = [line for line in done.stderr.splitlines() if not line.startswith("hw-attest: ")]
    tap.ok(done.returncode == code and len(lines) == 2 and what in lines[0] and hint in lines[1],
           f"refused: {name}", f"exit {done.returncode}\n{done.stderr}{done.stdout}")


def bz_image(size):
    """What QEMU takes for a Linux kernel: setup_sects, "HdrS", protocol 2.6, loaded high."""
    image = bytearray(os.urandom(size))
    image[0x1F1] = 4
    image[0x202:0x208] = b"HdrS\x06\x02"
    image[0x211] = 1
    return bytes(image)


def check_told(tap, service):
    kernel = service.folder + "/kernel"
    with open(kernel, "wb") as file:
        file.write(bz_image(300000))
    words = ("-kernel", kernel, "-append", "quiet x=1", "-initrd", kernel, "-S")
    vm = LaunchedVm(service, *words, name="told")
    dry = subprocess.run([paths.MONATT_QEMU, "--monatt-dry-run", "-machine", "q35", "-accel", "tcg",
                          "-m", "32", *words], capture_output=True, text=True, check=True)
    seen = boot_items(vm)
    tap.is_equal(seen, json.loads(dry.stdout)["boot_items"], "the device has what a dry run shows")
    with open(kernel, "rb") as file:
        content = file.read()
    tap.is_equal([(i["sha256"], i["sha384"], i["size"]) for i in seen if i["kind"] == "kernel"],
                 [(hashlib.sha256(content).hexdigest(), hashlib.sha384(content).hexdigest(), 300000)],
                 "its digests are hashlib's")
    status = vm.status()
    tap.is_equal((status["name"], status["accelerator"], status["qemu"]), ("told", 1, vm.process.pid),
                 "name, accelerator, QEMU's pid")
    other = launch(service, "-uuid", str(vm.vid))
    refused(tap, other, 1, "has a device already", "-uuid", "a second VM of the same uuid")
    tap.is_equal(vm.running(), "prelaunch", "the first one is not disturbed")
    names = [os.readlink(f"/proc/{vm.process.pid}/fd/{n}")
             for n in os.listdir(f"/proc/{vm.process.pid}/fd")]
    tap.is_equal(len([n for n in names if "monatt-boot" in n]), 3, "QEMU holds three sealed copies")
    vm.quit()
    vm.close()
    tap.is_equal(service.left(), [], "nothing is left")


def check_swapped(tap, service):
    """A host that swaps the kernel while the VM starts: QEMU gets what was measured, always."""
    kernel = service.folder + "/swapped"
    contents = [bytes([n]) * 2000000 for n in (1, 2)]
    digests = {hashlib.sha256(c).hexdigest(): c for c in contents}
    stop = threading.Event()

    def swap():
        number = 0
        while not stop.is_set():
            with open(kernel + ".new", "wb") as file:
                file.write(contents[number % 2])
            os.rename(kernel + ".new", kernel)
            number += 1
    with open(kernel, "wb") as file:
        file.write(contents[0])
    thread = threading.Thread(target=swap)
    thread.start()
    same, measured = 0, set()
    try:
        for _ in range(8):
            vm = LaunchedVm(service, "-kernel", kernel, "-S", wait=False)
            # QEMU refuses such a kernel only after it read it; what it was given is in its hands.
            wait_for(lambda vm=vm: vm.process.poll() is not None or os.path.exists(vm.folder))
            try:
                vm.wait()
                sha256 = [i["sha256"] for i in boot_items(vm) if i["kind"] == "kernel"][0]
                measured.add(sha256)
                words = open(f"/proc/{vm.process.pid}/cmdline", "rb").read().split(b"\0")
                path = words[words.index(b"-kernel") + 1].decode()
                with open(f"/proc/{vm.process.pid}/fd/{path.rsplit('/', 1)[1]}", "rb") as file:
                    same += file.read() == digests.get(sha256)
            finally:
                vm.close()
    finally:
        stop.set()
        thread.join()
    tap.is_equal(same, 8, "a kernel swapped under the launcher: QEMU has the measured bytes, 8 of 8")
    tap.ok(measured <= set(digests), "and they are one of the files, whole", measured)


def check_refused(tap, service):
    tap.is_equal(launch(service).returncode, 0, "accepted: as all below but for one thing")
    long_path = service.folder + "/" + "r" * 120
    refused(tap, launch(service, run=long_path), 1, "path has", "shorter folder", "a run folder too long for a socket")
    refused(tap, launch(service, run=service.folder + "/none"), 1, "No such file or directory",
            "hw-attest serve", "a run folder without a service")
    dead = service.folder + "/dead"
    os.mkdir(dead)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as sock:
        sock.bind(dead + "/attach.sock")
    refused(tap, launch(service, run=dead), 1, "Connection refused", "hw-attest serve",
            "a socket that a killed service left")
    file = service.folder + "/file"
    open(file, "w", encoding="ascii").close()
    refused(tap, launch(service, run=file), 1, "Not a directory", "hw-attest serve", "a run folder that is a file")
    tap.is_equal(service.left(), [], "refusals leave nothing")


def check_users(tap, service):
    if os.geteuid() != 0:
        tap.skip("root is needed to be another user", "who may attach")
        return
    os.chmod(service.folder, 0o755)
    shutil.copy(paths.MONATT_QEMU, service.folder + "/monatt-qemu")
    refused(tap, launch(service, user=NOBODY), 1, "Permission denied", f"--allow-uid {NOBODY}",
            "another user")
    service.process.terminate()
    service.process.wait(30)

    def serve(uid):
        ready, ours = os.pipe()
        service.process = subprocess.Popen(
            [paths.HW_ATTEST, "serve", "--run-dir", service.run, "--state-dir", service.state,
             "--allow-uid", str(uid), "--ready-fd", str(ours)], pass_fds=[ours],
            env={**os.environ, "MONATT_TEST_MARK": service.mark}, stderr=subprocess.DEVNULL)
        os.close(ours)
        os.read(ready, 1)
        os.close(ready)
    serve(NOBODY - 1)
    refused(tap, launch(service, user=NOBODY), 1, f"closed the connection of user {NOBODY}",
            f"--allow-uid {NOBODY}", "a user whom the service does not know")
    service.process.terminate()
    service.process.wait(30)
    serve(NOBODY)
    done = launch(service, user=NOBODY)
    tap.is_equal(done.returncode, 0, "a user who may: QEMU runs as that user")
    tap.note(done.stderr if done.returncode else "")
    tap.is_equal(service.left(), [], "and leaves nothing")


def check_no_swtpm(tap, service):
    del service
    tools = tempfile.mkdtemp(prefix="launcher-path-", dir="/tmp")
    swtpm = os.path.join(tools, "swtpm")
    with open(swtpm, "w", encoding="ascii") as file:
        file.write("#!/bin/sh\nexit 3\n")
    os.chmod(swtpm, 0o755)
    os.chmod(tools, 0o755)  # swtpm runs as the VM's own user
    broken = MarkedService(path=tools)
    done = launch(broken)
    refused(tap, done, 1, "swtpm", "", "a swtpm that ends at once")
    tap.is_equal(broken.left(), [], "and nothing is left")
    broken.close()
    shutil.rmtree(tools)
    # A private service on a machine without swtpm: one reason, on stderr, and no VM.
    empty = tempfile.mkdtemp(prefix="launcher-path-", dir="/tmp")
    os.symlink(shutil.which(paths.QEMU), os.path.join(empty, paths.QEMU))
    before = {n for n in os.listdir("/tmp") if n.startswith("monatt-private-")}
    done = subprocess.run([paths.MONATT_QEMU, "--monatt-private", "--monatt-no-plugin", "-S", "-m", "32",
                           "-nodefaults", "-display", "none", "-monitor", "stdio"], input="quit\n",
                          capture_output=True, text=True, env={"PATH": empty}, timeout=60)
    tap.ok(done.returncode == 1 and "swtpm: no such program" in done.stderr and
           "apt install swtpm" in done.stderr, "private, without swtpm", done.stderr)
    tap.ok(wait_for(lambda: not {n for n in os.listdir("/tmp") if n.startswith("monatt-private-")} - before),
           "its folder is gone")
    shutil.rmtree(empty)


def check_odd_services(tap, service):
    """Something else behind attach.sock: the launcher ends, with a reason, and starts nothing."""
    def close_at_once(sock):
        sock.close()

    def garbage(sock):
        receive(sock)
        sock.send(b"\xff" * 100)

    def wrong_kind(sock):
        kind, number, _, _ = receive(sock)
        del kind
        send(sock, 0x8002, number, b"\0" * 8)

    def no_descriptor(sock):
        _, number, _, fds = receive(sock)
        send(sock, 0x8000 | ATTACH, number, b"\0" * 10)
        for fd in fds:
            os.close(fd)

    def odd_path(sock):
        _, number, _, fds = receive(sock)
        send(sock, 0x8000 | ATTACH, number, b"\0" * 9 + b"\2/x", fds)
        for fd in fds:
            os.close(fd)

    def short(sock):
        _, number, _, _ = receive(sock)
        send(sock, 0x8000 | ATTACH, number, b"\0" * 3, [sock.fileno()])

    def refusal(sock):
        _, number, _, _ = receive(sock)
        text = b"disk: is full\x1b[2J"
        send(sock, 0x7FFF, number, struct.pack(">HH", 2, len(text)) + text + struct.pack(">H", 5) + b"hint!")

    for answer, what in ((close_at_once, "closed the connection"), (garbage, "control message"),
                         (wrong_kind, "answer of type"), (no_descriptor, "0 descriptors of 1"),
                         (odd_path, "another wire"), (short, "attach answer"), (refusal, "disk: is full?[2J")):
        folder = tempfile.mkdtemp(prefix="launcher-odd-", dir="/tmp")
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
            listener.bind(folder + "/attach.sock")
            listener.listen()

            def serve(answer=answer, listener=listener):
                sock, _ = listener.accept()
                with sock:
                    answer(sock)
            thread = threading.Thread(target=serve)
            thread.start()
            done = launch(service, run=folder)
            thread.join()
        tap.ok(done.returncode == 1 and what in done.stderr and done.stderr.startswith("monatt-qemu: ")
               and not done.stdout, f"a service that does {answer.__name__}", done.stderr)
        shutil.rmtree(folder)


def check_vid(tap, service):
    done = launch(service, "-name", "no-uuid")
    tap.ok(done.returncode == 0 and "keep its identity with '-uuid " in done.stderr,
           "without -uuid: a new identity, and how to keep it", done.stderr)
    made = uuid.UUID(done.stderr.split("-uuid ")[1].split("'")[0])
    tap.ok(made.version == 4 and os.path.isdir(f"{service.state}/vm/{made}"), "the uuid is a random one")
    again = launch(service, "-name", "no-uuid")
    tap.ok(str(made) not in again.stderr, "another start, another one")
    zero = launch(service, "-uuid", str(uuid.UUID(int=0)))
    refused(tap, zero, 1, "uuid is all zeros", "-uuid", "the uuid of zeros")


def main():
    tap = Tap()
    missing = paths.missing("swtpm", paths.QEMU, paths.HW_ATTEST, paths.MONATT_QEMU)
    if missing:
        tap.skip_all(f"{missing} is missing")
    for check in (check_told, check_swapped, check_refused, check_users, check_no_swtpm,
                  check_odd_services, check_vid):
        if len(sys.argv) > 1 and check.__name__ not in sys.argv[1:]:
            continue
        failed = tap.failed
        service = MarkedService()
        with tap:
            check(tap, service)
        if tap.failed > failed:
            tap.note(service.stderr())
        service.close()
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
