#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""test-launcher-words.py: what monatt-qemu measures, adds and refuses, without starting a VM.

--monatt-dry-run prints it; QEMUs that this machine does not have are shell scripts which answer
-help, -device and -L as those do.  Every refusal: one line, a hint, the exit code, and the same
words unbroken accepted.
"""
import hashlib
import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "lib")]
import paths  # noqa: E402
from tap import Tap  # noqa: E402

NOBODY = 65534
UUID = "01234567-89ab-cdef-0123-456789abcdef"
FAKE = """#!/bin/sh
# A QEMU in words only.
case "$*" in
*x-pci-proxy-dev,help*) {proxy} ;;
*vfio-user-pci,help*) {vfio} ;;
*"-L help"*) echo {folder} ;;
*-help*) echo "QEMU emulator version {version} (fake)"
    echo "-S              freeze CPU at startup"
    echo "-new-flag       an option that came later"
    echo "-new-value v    another one"
    {plugin} ;;
*) echo "started: $*" ;;
esac
"""


class Bench:
    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="launcher-words-", dir="/tmp")
        os.chmod(self.folder, 0o755)
        self.kernel = self.file("vmlinuz", b"kernel " * 100000)
        self.initrd = self.file("initrd,with=odd name", b"initrd")
        self.firmware = self.file("bios-256k.bin", b"\xea" * 4096)

    def file(self, name, content):
        path = os.path.join(self.folder, name)
        with open(path, "wb") as file:
            file.write(content)
        return path

    def fake(self, version="7.2.22", plugin=True, proxy=True, vfio=False):
        path = self.file(f"qemu-system-x86_64.{version}{plugin:d}{proxy:d}{vfio:d}", FAKE.format(
            version=version, folder=self.folder,
            plugin='echo "-plugin [file=]<file>"' if plugin else ":",
            proxy='echo "  fd=<str>"' if proxy else "exit 1",
            vfio='echo "  socket=<SocketAddress>"' if vfio else "exit 1").encode())
        os.chmod(path, 0o755)
        return path

    def run(self, *words, qemu=None, dry=True, **options):
        begin = ["--monatt-qemu", qemu] if qemu else []
        dry_run = ["--monatt-dry-run"] if dry else []
        options.setdefault("cwd", "/")
        environment = {**os.environ, **options.pop("env", {})}
        return subprocess.run([paths.MONATT_QEMU, *begin, *dry_run, *words], capture_output=True,
                              text=True, errors="replace", timeout=120, env=environment, **options)

    def dry(self, *words, **options):
        done = self.run(*words, **options)
        if done.returncode != 0:
            raise RuntimeError(f"{words}: {done.returncode}: {done.stderr}")
        return json.loads(done.stdout)


def digests(content):
    return (len(content), hashlib.sha256(content).hexdigest(), hashlib.sha384(content).hexdigest())


def items(answer, kind):
    return [(i["name"], (i["size"], i["sha256"], i["sha384"])) for i in answer["boot_items"]
            if i["kind"] == kind]


def read(path):
    with open(path, "rb") as file:
        return file.read()


def value(answer, option, which=-1):
    """The value that QEMU would take from an option."""
    argv = answer["argv"]
    return [argv[i + 1] for i, word in enumerate(argv[:-1]) if word.lstrip("-") == option][which]


def refused(tap, done, code, what, hint, name):
    lines = done.stderr.splitlines()
    tap.ok(done.returncode == code and len(lines) == 2 and not done.stdout and
           lines[0].startswith("monatt-qemu: ") and what in lines[0] and
           lines[1].startswith("hint: ") and hint in lines[1],
           f"refused: {name}", f"exit {done.returncode}, wanted {code}, {what!r} and {hint!r}:\n"
           f"{done.stderr}{done.stdout}")


def check_measured(tap, bench):
    qemu = bench.fake()
    line = "console=ttyS0 x=1,,2 \"quoted\" é"
    answer = bench.dry("-name", "guest=m,debug-threads=on", "--uuid", UUID, "-kernel", bench.kernel,
                       "--initrd", bench.initrd, "-append", line, "-m", "64", qemu=qemu)
    tap.is_equal(items(answer, "kernel"), [("vmlinuz", digests(read(bench.kernel)))], "kernel")
    tap.is_equal(items(answer, "initrd"),
                 [("initrd,with=odd name", digests(read(bench.initrd)))], "initrd, odd name")
    tap.is_equal(items(answer, "command-line")[0][1], digests(line.encode()), "command line")
    tap.is_equal(items(answer, "firmware"),
                 [("bios-256k.bin", digests(read(bench.firmware)))], "firmware found as QEMU does")
    tap.is_equal(items(answer, "qemu")[0][1], digests(read(qemu)), "QEMU's binary")
    tap.is_equal(items(answer, "machine")[0][1], digests(answer["machine"].encode()),
                 "machine description")
    tap.is_equal((answer["name"], answer["uuid"]), ("m", UUID), "name and uuid")
    for option in ("kernel", "initrd", "bios"):
        tap.ok(value(answer, option).startswith("/proc/self/fd/"), f"QEMU gets a copy: {option}")
    tap.is_equal(value(answer, "append"), line, "the command line is not touched")
    for tool in ("sha256sum", "sha384sum"):
        seen = subprocess.run([tool, bench.kernel], capture_output=True, text=True, check=True)
        tap.is_equal(items(answer, "kernel")[0][1][1 if tool == "sha256sum" else 2],
                     seen.stdout.split()[0], f"{tool} says the same")
    empty = bench.file("empty", b"")
    answer = bench.dry("-kernel", bench.kernel, "-initrd", empty, qemu=qemu)
    tap.is_equal(items(answer, "initrd")[0][1], digests(b""), "an empty initrd")
    tap.is_equal(items(answer, "command-line")[0][1], digests(b""), "no -append is an empty line")
    other = bench.file("other", b"another")
    answer = bench.dry("-kernel", other, "-kernel", bench.kernel, qemu=qemu)
    tap.is_equal(items(answer, "kernel"), [("vmlinuz", digests(read(bench.kernel)))],
                 "of two kernels the one that QEMU loads")


def check_firmware(tap, bench):
    qemu = bench.fake()
    code, variables = bench.file("CODE.fd", b"code"), bench.file("VARS.fd", b"vars")
    answer = bench.dry("-drive", f"if=pflash,format=raw,readonly=on,file={code}", "-drive",
                       f"if=pflash,format=raw,file={variables}", qemu=qemu)
    tap.is_equal(items(answer, "firmware"), [("CODE.fd", digests(b"code"))], "-drive if=pflash")
    tap.is_equal(items(answer, "variable-store"), [("VARS.fd", digests(b"vars"))], "its variables")
    tap.contains(value(answer, "drive", 0), "file=/proc/self/fd/", "code: a copy")
    tap.contains(value(answer, "drive", 1), f"file={variables}", "variables: in their place")
    answer = bench.dry(
        "-machine", "q35,pflash0=f0,pflash1=f1", "-blockdev",
        json.dumps({"driver": "file", "filename": code, "node-name": "s0", "discard": "unmap"}),
        "-blockdev", '{"node-name":"f0","read-only":true,"driver":"raw","file":"s0"}',
        "-blockdev", f"driver=raw,node-name=f1,file.driver=file,file.filename={variables}",
        qemu=qemu)
    tap.is_equal((items(answer, "firmware"), items(answer, "variable-store")),
                 ([("CODE.fd", digests(b"code"))], [("VARS.fd", digests(b"vars"))]),
                 "-blockdev as libvirt gives it")
    seen = json.loads(value(answer, "blockdev", 0))
    tap.ok(seen["filename"].startswith("/proc/self/fd/") and seen["discard"] == "unmap",
           "JSON: the file name only is another", seen)
    answer = bench.dry("-bios", code, qemu=qemu)
    tap.is_equal(items(answer, "firmware"), [("CODE.fd", digests(b"code"))], "-bios")
    folder = os.path.join(bench.folder, "sub")
    os.mkdir(folder)
    bench.file("sub/bios-256k.bin", b"sub")
    answer = bench.dry(qemu=qemu, cwd=folder)
    tap.is_equal(items(answer, "firmware")[0][1], digests(b"sub"), "the current folder comes first")
    rom = bench.file("rom", b"rom")
    answer = bench.dry("-option-rom", rom, "-device", f"virtio-net-pci,romfile={rom},mac=1",
                       "-device", "e1000,romfile=", qemu=qemu)
    tap.is_equal(items(answer, "option-rom"), [("rom", digests(b"rom"))] * 2, "option ROMs")


def machine(bench, *words, **options):
    return bench.dry(*words, **options)["machine"]


def check_machine(tap, bench):
    qemu = bench.fake()
    base = ("-machine", "q35,accel=tcg", "-m", "1G", "-smp", "2", "-cpu", "max", "-device",
            "virtio-net-pci,netdev=a,mac=52:54:00:00:00:01", "-device", "virtio-blk-pci,drive=d")
    first = machine(bench, *base, qemu=qemu)
    same = machine(bench, "-device", "virtio-blk-pci,drive=other", "-cpu", "max", "-smp", "cpus=2",
                   "-m", "size=1024M", "-accel", "tcg", "-M", "q35", "-device",
                   '{"driver":"virtio-net-pci","netdev":"b","mac":"52:54:00:00:00:02"}',
                   "-name", "x", "-uuid", UUID, "-display", "none", qemu=qemu)
    tap.is_equal(same, first, "order, MAC, disk, name, display: the same machine")
    blob, other = bench.file("blob", b"1"), bench.file("blob2", b"2")
    for more in (("-cpu", "qemu64"), ("-smp", "3"), ("-m", "2G"), ("-machine", "smm=off"),
                 ("-device", "e1000"), ("-global", "a.b=c"), ("-smbios", "type=1,serial=x"),
                 ("-fw_cfg", "name=opt/x,string=y"), ("-fw_cfg", f"name=opt/x,file={blob}"),
                 ("-acpitable", f"sig=TEST,data={blob}"), ("-device", f"loader,file={blob}")):
        tap.ok(machine(bench, *base, *more, qemu=qemu) != first, f"another machine: {more[0]} {more[1][:20]}")
    one, two = (machine(bench, *base, "-fw_cfg", f"opt/x,file={f}", qemu=qemu) for f in (blob, other))
    tap.ok(one != two and "/tmp" not in one, "a file's content counts, its name does not", one)
    forged = machine(bench, *base, "-cpu", "max\nmemory=1", qemu=qemu)
    tap.ok("memory=1" not in forged.splitlines(), "no value can write a line", forged)


def check_added(tap, bench):
    qemu = bench.fake()
    answer = bench.dry("-m", "1.5G", "-machine", "q35", qemu=qemu)
    tap.is_equal((value(answer, "object"), value(answer, "machine")),
                 ("memory-backend-memfd,id=monatt-ram,size=1610612736,share=on",
                  "memory-backend=monatt-ram"), "plain -m gets a shared backend")
    tap.contains(value(answer, "device"), "x-pci-proxy-dev,id=monatt0,bus=pcie.0,addr=0x1e,", "q35")
    tap.is_equal(value(answer, "monitor"), "vc:80Cx24C", "QEMU's default monitor stays")
    tap.ok("-global" not in answer["argv"], "q35 needs no setting")
    answer = bench.dry("-device", "e1000,addr=1e.0", "-nographic", qemu=qemu)
    tap.contains(value(answer, "device"), "bus=pci.0,addr=0x1d,", "pc, the slot is taken: the next one")
    tap.is_equal(value(answer, "global"), "PIIX4_PM.acpi-root-pci-hotplug=off",
                 "pc: the guest cannot eject it")
    tap.is_equal(value(answer, "serial"), "mon:stdio", "-nographic: the monitor stays on stdio")
    answer = bench.dry("-nodefaults", "--monatt-plugin-options=locks=off,window_us=500", qemu=qemu)
    tap.ok("-monitor" not in answer["argv"], "-nodefaults: no monitor")
    tap.ok(value(answer, "plugin").endswith(",locks=off,window_us=500"), "words for the plugin")
    answer = bench.dry("--monatt-no-plugin", qemu=qemu)
    tap.ok("-plugin" not in answer["argv"], "--monatt-no-plugin")
    for backend in ("memory-backend-memfd,id=r,size=1G", "memory-backend-memfd,id=r,size=1G,share=on",
                    "memory-backend-file,id=r,size=1G,mem-path=/dev/hugepages,share=yes",
                    '{"qom-type":"memory-backend-memfd","id":"r","share":true,"size":1073741824}'):
        answer = bench.dry("-object", backend, "-machine", "memory-backend=r", qemu=qemu)
        tap.is_equal(answer["argv"].count("-object"), 1, f"the user's own: {backend[:45]}")
    answer = bench.dry("-new-flag", "-new-value", "-kernel", "-drive", "file=x,if=none", "disk.img",
                       qemu=qemu)
    tap.is_equal(items(answer, "kernel"), [], "an option newer than monatt-qemu takes its value")


def check_probe(tap, bench):
    qemu = bench.fake()
    for words in (("-S", "-no-user-config", "-nodefaults", "-nographic", "-machine",
                   "none,accel=kvm:tcg", "-qmp", "unix:/x,server=on", "-daemonize"),
                  ("-M", "none"), ("-machine", "help"), ("--cpu", "?"), ("-device", "e1000,help"),
                  ("-accel", "help"), ("-netdev", "help")):
        done = bench.run(*words, qemu=qemu, dry=False)
        tap.is_equal(done.stdout.strip(), "started: " + " ".join(words),
                     f"unchanged: {' '.join(words)[:50]}")
    done = bench.run("-version", qemu=paths.QEMU, dry=False)
    plain = subprocess.run([paths.QEMU, "-version"], capture_output=True, text=True, check=True)
    tap.is_equal((done.stdout, done.stderr), (plain.stdout, plain.stderr), "-version is QEMU's own")
    answer = bench.dry("-name", "help", "-append", "-version", "-kernel", bench.kernel, qemu=qemu)
    tap.is_equal(answer["name"], "help", "a VM may be named help")
    done = bench.run("--monatt-version", dry=False)
    tap.ok(done.returncode == 0 and done.stdout.startswith("monatt-qemu "), "--monatt-version")
    done = bench.run("--monatt-help", dry=False)
    tap.ok(done.returncode == 0 and done.stdout.startswith("usage: monatt-qemu"), "--monatt-help")


def check_names(tap, bench):
    qemu = bench.fake()
    for name in ("a", "web-1.example:2@x+y", "n" * 64, "guest=g,process=p,debug-threads=on"):
        tap.ok(bench.dry("-name", name, qemu=qemu)["name"], f"a name: {name[:20]}")
    hint = "a VM's name has 1 to 64 letters"
    for name in ("", "n" * 65, "n" * 200, "a,,b", "a,b", "a b", "a\nb", 'a"b', "a'b", "a/b", "../x",
                 "-a", ".a", "naïve", "\x1b[2J", "guest=", "guest=a,,b", "a\\b", "$(id)"):
        refused(tap, bench.run(f"-name", name, qemu=qemu), 2, "option '-name': ", hint,
                f"name {name[:20]!r}")


def check_refused(tap, bench):
    qemu = bench.fake()
    ram = "memory-backend-ram,id=r,size=1G"
    use = ("-machine", "memory-backend=r")
    table = [
        (2, ("-object", ram, *use), "memory 'r': ", "plain -m", "memory-backend-ram"),
        (2, ("-object", ram + ",share=on", *use), "memory 'r': ", "plain -m", "ram with share=on: no descriptor"),
        (2, ("-object", "memory-backend-memfd,id=r,size=1G,share=off", *use), "share=off", "plain -m", "memfd, private"),
        (2, ("-object", "memory-backend-file,id=r,size=1G,mem-path=/x", *use), "private file", "share=on", "file, private"),
        (2, ("-object", "memory-backend-file,id=r,size=1G,mem-path=/dev/hugepages", *use), "huge pages", "share=on", "huge pages, private"),
        (2, ("-object", '{"qom-type":"memory-backend-memfd","id":"r","share":false}', *use), "share=off", "plain -m", "JSON, private"),
        (2, use, "no -object", "leave the backend out", "a backend that is not there"),
        (2, ("-object", ram, "-numa", "node,memdev=r"), "memory 'r': ", "plain -m", "a NUMA node's memory"),
        (2, ("-object", ram, "-device", "pc-dimm,memdev=r"), "memory 'r': ", "plain -m", "a DIMM's memory"),
        (2, ("-mem-path", "/dev/hugepages"), "-mem-path maps it privately", "share=on", "-mem-path"),
        (2, ("-machine", "microvm"), "machine 'microvm'", "q35", "a machine without PCI"),
        (2, ("-machine", "isapc"), "machine 'isapc'", "q35", "isapc"),
        (2, ("-machine", "x-remote"), "machine 'x-remote'", "q35", "x-remote"),
        (2, ("-accel", "xen"), "accelerator 'xen'", "-accel kvm", "another accelerator"),
        (2, ("-incoming", "tcp:0:4444"), "cannot migrate", "migration", "-incoming"),
        (2, ("-loadvm", "x"), "cannot restore", "start the VM anew", "-loadvm"),
        (2, ("-only-migratable",), "not migratable", "leave it out", "-only-migratable"),
        (2, ("-readconfig", "x"), "would not be measured", "on the command line", "-readconfig"),
        (2, ("-machine", "pc,kernel=/x"), "'kernel=' is not read here", "-kernel", "machine.kernel"),
        (2, ("-uuid", "0123"), "'0123': UUID", "for example", "a short uuid"),
        (2, ("-m", "12x"), "'12x': is not a size", "-m 512", "memory that is no size"),
        (2, ("-m", "99999999999999T"), "is not a size", "-m 512", "more memory than there is"),
        (1, ("-smp", "257"), "257 vCPUs are too many", "1 to 256", "257 vCPUs"),
        (1, ("-smp", "sockets=100,cores=100,threads=100"), "too many", "1 to 256", "a million vCPUs"),
        (2, ("-no-such-option",), "'-no-such-option'", "-help", "an unknown option"),
        (2, ("-kernel",), "'-kernel': its value is missing", "-help", "a missing value"),
        (2, ("--monatt-bogus",), "'--monatt-bogus'", "--monatt-help", "an unknown option of ours"),
        (2, ("--monatt-run-dir",), "its value is missing", "--monatt-help", "a missing value of ours"),
        (2, ("--monatt-run-dir=",), "its value is empty", "--monatt-help", "an empty value of ours"),
        (2, ("--monatt-private=1",), "takes no value", "--monatt-help", "a value too many"),
        (1, ("-kernel", "/no/such"), "kernel: '/no/such': No such file", "relative path", "a kernel that is not there"),
        (1, ("-kernel", bench.kernel, "-initrd", "/no/such"), "initrd: '/no/such'", "relative path", "an initrd that is not there"),
        (1, ("-bios", "nosuch.bin"), "firmware: 'nosuch.bin'", "-L DIR", "firmware that is nowhere"),
        (1, ("--monatt-qemu", "/no/qemu"), "QEMU: '/no/qemu': no such program", "--monatt-qemu", "a QEMU that is not there"),
        (2, ("--monatt-qemu", paths.MONATT_QEMU), "is monatt-qemu itself", "--monatt-qemu", "itself as QEMU"),
        (1, ("--monatt-qemu", "/bin/true"), "says no version", "--monatt-qemu", "another program as QEMU"),
    ]
    for code, words, what, hint, name in table:
        refused(tap, bench.run(*words, qemu=qemu), code, what, hint, name)
    for words in (("-smp", "256"), ("-smp", "sockets=2,cores=2"), ("-m", "0x40000000"), ("-uuid", UUID),
                  ("-accel", "kvm", "-accel", "tcg"), ("-machine", "pc,accel=kvm:tcg")):
        tap.ok(bench.dry(*words, qemu=qemu), f"accepted: {' '.join(words)}")
    if not os.path.exists("/dev/kvm"):
        refused(tap, bench.run("-enable-kvm", qemu=qemu), 1, "'/dev/kvm': No such file", "-accel tcg",
                "KVM where there is none")
    os.mkdir(os.path.join(bench.folder, "folder"))
    done = bench.run("-kernel", bench.folder + "/folder", qemu=qemu)
    tap.ok(done.returncode == 2 and "is not a file" in done.stderr, "a folder as kernel", done.stderr)


def check_versions(tap, bench):
    for version, code, what in (("5.2.0", 1, "too old"), ("2.11.1", 1, "too old"), ("10.0.2", 1, "under TCG"),
                                ("11.1.3", 1, "under TCG"), ("9.2.0", 1, "API version 1")):
        refused(tap, bench.run(qemu=bench.fake(version)), code, f"version {version} ",
                "QEMU 6" if "API" not in what else "--monatt-no-plugin", f"QEMU {version}: {what}")
    for version in ("6.0.0", "7.2.22", "8.2.1"):
        tap.ok(bench.dry(qemu=bench.fake(version)), f"QEMU {version} under TCG")
    tap.ok(bench.dry("--monatt-no-plugin", qemu=bench.fake("9.2.0")), "QEMU 9.2 without plugin")
    refused(tap, bench.run(qemu=bench.fake(plugin=False)), 1, "without plugins", "--monatt-no-plugin",
            "a QEMU built without plugins")
    tap.ok(bench.dry("--monatt-no-plugin", qemu=bench.fake(plugin=False)), "and without ours it starts")
    refused(tap, bench.run(qemu=bench.fake(proxy=False)), 1, "no x-pci-proxy-dev", "multi-process",
            "a QEMU built without the proxy device")
    found = [p for p in sorted(os.listdir("/usr/bin")) if p.startswith("qemu-system-")]
    for name in found:
        if name.startswith("qemu-system-aarch64"):
            refused(tap, bench.run(qemu=name), 2, "not one for x86", "qemu-system-x86_64", name)
    tap.ok(bench.dry(qemu=paths.QEMU)["boot_items"], "this machine's own QEMU")


def wire_of(answer):
    """("mpqemu" or "vfio-user", the device's words)"""
    device = value(answer, "device")
    if device.startswith("{"):
        words = json.loads(device)
        return "vfio-user" if words.pop("driver") == "vfio-user-pci" else None, words
    return "mpqemu" if device.startswith("x-pci-proxy-dev,") else None, device


def check_wire(tap, bench):
    old, new = bench.fake("8.2.1"), bench.fake("11.1.3", vfio=True)
    neither, no_proxy = bench.fake("10.0.2"), bench.fake("11.1.3", proxy=False, vfio=True)
    no_plugin = ("--monatt-no-plugin",)
    q35 = bench.dry(*no_plugin, "-machine", "q35", "-device", "e1000,addr=1e.0", qemu=new)
    tap.is_equal(wire_of(q35), ("vfio-user", {
        "id": "monatt0", "bus": "monatt-port", "socket": {"type": "unix", "path": ""},
        "x-msg-timeout": 1000}), "TCG and QEMU 11.1: vfio-user, by a path")
    tap.is_equal(value(q35, "device", -2), "pcie-root-port,id=monatt-port,bus=pcie.0,addr=0x1d,"
                 "chassis=222,slot=222,io-reserve=0", "q35: on a root port of its own, a free slot")
    pc = bench.dry(*no_plugin, qemu=new)
    tap.is_equal(wire_of(pc)[1].get("addr"), "0x1e", "pc: on pci.0")
    tap.is_equal(wire_of(pc)[1]["bus"], "pci.0", "pc: no port")
    tap.is_equal(wire_of(bench.dry(qemu=old))[0], "mpqemu", "TCG and QEMU 8: mpqemu")
    machines = [bench.dry(*no_plugin, "--monatt-wire", wire, "-machine", "q35", qemu=qemu)["machine"]
                for wire, qemu in (("mpqemu", old), ("vfio-user", new))]
    tap.is_equal(machines[0], machines[1], "the machine's text says nothing of the wire")
    tap.is_equal(wire_of(bench.dry(*no_plugin, "--monatt-wire=vfio-user", qemu=bench.fake("9.2.0", vfio=True)))[0],
                 "vfio-user", "the operator's choice where both work")
    refused(tap, bench.run("--monatt-wire", "mpqemu", *no_plugin, qemu=new), 1, "under TCG",
            "10.1", "mpqemu where it crashes")
    for qemu, words, what, name in (
            (old, ("--monatt-wire", "vfio-user"), "has no vfio-user-pci", "vfio-user before QEMU 10.1"),
            (neither, no_plugin, "under TCG", "QEMU 10.0 under TCG"),
            (no_proxy, (*no_plugin, "--monatt-wire", "mpqemu"), "no x-pci-proxy-dev", "mpqemu without it"),
            (new, (), "API version 1", "vfio-user under TCG with the plugin")):
        refused(tap, bench.run(*words, qemu=qemu), 1, what, "", name)
    tap.is_equal(wire_of(bench.dry(*no_plugin, qemu=no_proxy))[0], "vfio-user", "without proxy: vfio-user")
    refused(tap, bench.run("--monatt-wire", "pigeon", qemu=new), 2, "'pigeon' is no wire", "vfio-user",
            "a wire that is none")
    if os.path.exists("/dev/kvm"):
        kvm = ("-accel", "kvm", *no_plugin)
        tap.is_equal(wire_of(bench.dry(*kvm, qemu=new))[0], "mpqemu", "KVM and QEMU 11.1: mpqemu")
        tap.is_equal(wire_of(bench.dry(*kvm, "--monatt-wire", "vfio-user", qemu=new))[0], "vfio-user",
                     "KVM and QEMU 11.1: vfio-user when the operator says so")
        tap.is_equal(wire_of(bench.dry(*kvm, qemu=no_proxy))[0], "vfio-user", "KVM without proxy")
    else:
        tap.skip("no /dev/kvm", "the wire under KVM")


def check_unreadable(tap, bench):
    if os.geteuid() != 0:
        tap.skip("root is needed to be another user", "unreadable files")
        return
    launcher = os.path.join(bench.folder, "monatt-qemu")
    shutil.copy(paths.MONATT_QEMU, launcher)
    os.chmod(launcher, 0o755)
    secret = bench.file("secret", b"x")
    os.chmod(secret, stat.S_IRUSR)

    def run(*words):
        return subprocess.run([launcher, "--monatt-dry-run", "--monatt-no-plugin", "--monatt-qemu", bench.fake(),
                               *words], capture_output=True, text=True, user=NOBODY, group=NOBODY,
                              extra_groups=[], cwd="/", timeout=60)
    refused(tap, run("-kernel", secret), 1, "Permission denied", f"user {NOBODY}",
            "a kernel that may not be read")
    tap.is_equal(run("-kernel", bench.kernel).returncode, 0, "one that may")


def main():
    tap = Tap()
    missing = paths.missing(paths.QEMU, paths.MONATT_QEMU, paths.PLUGIN)
    if missing:
        tap.skip_all(f"{missing} is missing")
    bench = Bench()
    for check in (check_measured, check_firmware, check_machine, check_added, check_probe,
                  check_names, check_refused, check_versions, check_wire, check_unreadable):
        with tap:
            check(tap, bench)
    shutil.rmtree(bench.folder)
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
