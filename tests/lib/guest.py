# SPDX-License-Identifier: GPL-2.0-or-later
"""guest.py: a host of its own and a real Linux guest on it, for tests and bench.

    with Host(collector=True) as host:              # attach service, collector, their folders
        with Guest(host, add=["module.ko:/m.ko"]) as guest:     # 5 to 10 s under TCG
            guest.run("monatt-guest read 0")        # .status .out .err; check=False: no exception
            guest.reboot()
            guest.qmp("query-status")

Guest() without a host makes one.  Everything that was started is ended and every folder removed
when the "with" ends, whatever happens; the last lines of console and logs are printed when it ends
by an exception.  Boots are dear: do many checks with one.
"""
import base64
import contextlib
import ctypes
import functools
import hashlib
import http.client
import json
import os
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import uuid

import paths

sys.path.insert(0, paths.source("tests", "device"))
import device_client  # noqa: E402

BOOT_PATIENCE_S = 180     # 5 to 10 s alone; tests of two builds may share the machine
COMMAND_PATIENCE_S = 120
START_PATIENCE_S = 60
DEVICE_END_PATIENCE_S = 10
CONSOLE_LINES = 50
SEND_TRIES = 5            # of a command whose line the serial port cut short
NUDGE_AFTER_S = 20        # without an answer: the end of the command's line may be what was lost
PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None, use_errno=True)


class GuestError(Exception):
    pass


class Result:
    def __init__(self, status, out, err):
        self.status, self.out, self.err = status, out, err

    @property
    def text(self):
        return self.out.decode(errors="replace").strip()

    @property
    def error_text(self):
        return self.err.decode(errors="replace").strip()

    def json(self):
        return json.loads(self.out)

    def __repr__(self):
        return f"status {self.status}, out {self.out!r}, err {self.err!r}"


def die_with_parent():
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


@functools.lru_cache(maxsize=None)
def kernel():
    """The path of a cloud kernel; the first call on a machine may download it."""
    done = subprocess.run([paths.source("guest", "find-kernel")], capture_output=True, text=True)
    if done.returncode != 0:
        raise GuestError(f"find-kernel: {done.stderr.strip()}")
    return done.stdout.strip()


def missing():
    """What a guest test lacks on this machine, or None."""
    lacking = paths.missing(paths.QEMU, "swtpm", "busybox", paths.HW_ATTEST, paths.MONATT_QEMU,
                            paths.MONATT_GUEST)
    try:
        return lacking or (kernel() and None)
    except GuestError as error:
        return f"a Debian cloud kernel ({error})"


def wait_for(condition, what, seconds=START_PATIENCE_S, alive=None):
    """Returns the first true value of condition(); alive: a Popen that must not end meanwhile."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if alive is not None and alive.poll() is not None:
            raise GuestError(f"{what}: its process ended with {alive.returncode}")
        if time.monotonic() > end:
            raise GuestError(f"{what}: not within {seconds} s")
        time.sleep(0.02)


def initramfs(add=()):
    """The test guest's initramfs; made once for each content and build folder."""
    maker = paths.source("guest", "make-initramfs")
    add = [f"{paths.source('tests', 'lib', 'guest-agent.sh')}:/init", *add]
    key = hashlib.sha256()
    for name in [maker, paths.MONATT_GUEST, *[pair.rpartition(":")[0] for pair in add]]:
        with open(name, "rb") as file:
            key.update(hashlib.sha256(file.read()).digest())
    key.update(repr([pair.rpartition(":")[2] for pair in add]).encode())
    folder = paths.build("test-guest")
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, f"initramfs-{key.hexdigest()[:16]}.gz")
    if not os.path.exists(path):
        # "," in a build folder's name would end the option of QEMU; the paths are ours.
        words = [maker, "--build-dir", paths.BUILD, "--kernel", kernel(), "--output", path]
        for pair in add:
            words += ["--add", pair]
        subprocess.run(words, check=True)
    return path


def tail(path, lines=CONSOLE_LINES):
    try:
        with open(path, "rb") as file:
            text = file.read()[-65536:].decode(errors="replace")
    except OSError as error:
        return str(error)
    return "\n".join(line.rstrip("\r") for line in text.split("\n")[-lines:])


class Cleaner(contextlib.AbstractContextManager):
    """Children that end in the reverse order of their start, and folders that go."""

    def __init__(self):
        self.children = []
        self.folder = None

    def start(self, words, log, ready=False, **more):
        """A child; with ready: waits for the byte it writes to its --ready-fd."""
        with open(log, "ab") as out:
            receive = send = None
            if ready:
                receive, send = os.pipe()
                words = [*words, "--ready-fd", str(send)]
                more["pass_fds"] = (*more.get("pass_fds", ()), send)
            child = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                     preexec_fn=die_with_parent, **more)
        self.children.append(child)
        if ready:
            os.close(send)
            good = select.select([receive], [], [], START_PATIENCE_S)[0] and os.read(receive, 1)
            os.close(receive)
            if not good:
                raise GuestError(f"{words[0]}: did not get ready: {tail(log)}")
        return child

    @staticmethod
    def end(child, patience_s=10):
        if child.poll() is None:
            child.terminate()
            try:
                child.wait(patience_s)
            except subprocess.TimeoutExpired:
                child.kill()
        child.wait()

    def close(self):
        for child in reversed(self.children):
            self.end(child)
        self.children = []
        if self.folder:
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder = None

    def report(self):
        """What a person needs to see when a test went wrong."""
        for name in sorted(os.listdir(self.folder)) if self.folder else []:
            if name.endswith((".log", ".console")) and os.path.getsize(f"{self.folder}/{name}"):
                print(f"# --- {name}")
                print("\n".join("# " + line for line in
                                tail(f"{self.folder}/{name}").splitlines()), flush=True)

    def __exit__(self, kind, value, trace):
        if kind is not None and not issubclass(kind, (SystemExit, KeyboardInterrupt)):
            self.report()
        self.close()
        return False


class Host(Cleaner):
    """hw-attest serve and, when wanted, a software host TPM and the collector, certified."""

    def __init__(self, collector=False, options=()):
        """options: of hw-attest serve."""
        super().__init__()
        self.options = options
        # Short: paths of UNIX sockets are limited to 107 bytes.
        self.folder = tempfile.mkdtemp(prefix="mg-", dir="/tmp")
        self.run, self.state = f"{self.folder}/run", f"{self.folder}/state"
        self.collector = self.tpm = None
        self.reports = 0
        try:
            os.makedirs(self.run)
            os.makedirs(self.state, 0o700)
            self.start_service()
            if collector:
                self.start_collector()
        except BaseException:
            self.report()
            self.close()
            raise

    def start_service(self):
        """Also once more, after it was killed."""
        self.service = self.start([paths.HW_ATTEST, "serve", "--run-dir", self.run,
                                   "--state-dir", self.state, *self.options], self.log("attach"),
                                  ready=True)

    def log(self, name):
        return f"{self.folder}/{name}.log"

    def environment(self):
        return {**os.environ, "MONATT_RUN_DIR": self.run, "MONATT_STATE_DIR": self.state}

    def start_tpm(self):
        """Also once more, after it was killed: its state stays, its transient keys do not."""
        os.makedirs(f"{self.folder}/tpm", exist_ok=True)
        self.tpm = self.start(
            ["swtpm", "socket", "--tpm2", "--tpmstate", f"dir={self.folder}/tpm", "--server",
             f"type=unixio,path={self.folder}/tpm.sock", "--ctrl",
             f"type=unixio,path={self.folder}/tpm.sock.ctrl", "--flags",
             "not-need-init,startup-clear"], self.log("host-tpm"))
        wait_for(lambda: os.path.exists(f"{self.folder}/tpm.sock"), "host TPM",
                 alive=self.tpm)

    def start_collector(self):
        """Also once more, after it was killed: the software TPM and the CA stay."""
        if self.tpm is None:
            self.start_tpm()
        self.collector = self.start(
            [paths.COLLECTORD, "--run-dir", self.run, "--state-dir", self.state, "--host-id",
             "test-host", "--host-tpm", f"swtpm:path={self.folder}/tpm.sock", "--worker",
             paths.WORKER], self.log("collector"))
        wait_for(lambda: self.collector_answers(), "collector", alive=self.collector)
        if not os.path.exists(self.ca):
            self.monatt("ca", "init", self.ca)
        self.monatt("ca", "enrol", "--ca", self.ca)

    def collector_answers(self):
        """The socket of a collector that was killed is still there, but nobody listens."""
        with socket.socket(socket.AF_UNIX) as sock:
            try:
                sock.connect(f"{self.run}/collector.sock")
                return True
            except OSError:
                return False

    def get(self, path):
        """The collector's answer to a GET, as JSON."""
        connection = http.client.HTTPConnection("x", timeout=COMMAND_PATIENCE_S)
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.settimeout(COMMAND_PATIENCE_S)
        connection.sock.connect(f"{self.run}/collector.sock")
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            body = answer.read()
            if answer.status != 200:
                raise GuestError(f"GET {path}: {answer.status} {body!r}")
            return json.loads(body)
        finally:
            connection.close()

    def attest(self, vm):
        """Fresh evidence about the VM of this name: (path, nonce in hexadecimal)."""
        self.reports += 1
        path = f"{self.folder}/evidence-{self.reports}.jws"
        self.monatt("vm", "attest", vm, "--output", path, "--nonce-file", f"{path}.nonce")
        with open(f"{path}.nonce", encoding="ascii") as file:
            return path, file.read().strip()

    def learn(self, vm):
        """Reference values from one report of this VM; the path."""
        evidence, nonce = self.attest(vm)
        path = f"{self.folder}/reference-{self.reports}.json"
        self.monatt("reference", "learn", evidence, "--nonce", nonce, "--anchor", self.anchor,
                    "--output", path)
        return path

    def verify(self, evidence, nonce, reference, *more):
        """The verifier's result; its status is the verdict."""
        return self.monatt("evidence", "verify", evidence, "--nonce", nonce, "--anchor",
                           self.anchor, "--reference", reference, *more, check=False)

    @property
    def ca(self):
        return f"{self.folder}/ca"

    @property
    def anchor(self):
        return f"{self.folder}/ca/root.pem"

    def monatt(self, *words, check=True):
        """The verifier's command line; words as a user types them."""
        done = subprocess.run([paths.MONATT, *words], stdin=subprocess.DEVNULL,
                              capture_output=True, env=self.environment(),
                              timeout=COMMAND_PATIENCE_S)
        result = Result(done.returncode, done.stdout, done.stderr)
        if check and result.status != 0:
            raise GuestError(f"monatt {' '.join(words)}: {result}")
        return result


class Device(device_client.Vm):
    """The host's side of a guest's device: its control socket, spoken by the test's own code."""

    def __init__(self, host, vid):
        self.folder, self.state = f"{host.run}/vm/{vid}", f"{host.state}/vm/{vid}"
        self.vid = vid
        self.control = self.connect()

    def guest_list(self):
        """What the guest sent last, as it came."""
        _, fds = device_client.call(self.control, device_client.LIST)
        try:
            return os.pread(fds[0], 1 << 20, 0)
        finally:
            os.close(fds[0])

    def kernel(self):
        """The descriptor of the kernel file that the launcher measured; the caller closes it."""
        answer, fds = device_client.call(self.control, device_client.KERNEL)
        assert struct.unpack(">Q", answer)[0] == os.fstat(fds[0]).st_size
        return fds[0]

    def vcpu_registers(self):
        """(cr0, cr3, cr4, efer, IDT base and limit, GDT base and limit, rip, cpl) of each vCPU."""
        answer, _ = device_client.call(self.control, device_client.VCPU_REGISTERS)
        count = struct.unpack_from(">I", answer)[0]
        return [struct.unpack_from(">QQQQQIQIQI", answer, 4 + 68 * i) for i in range(count)]

    def set_nonce(self, nonce):
        device_client.call(self.control, device_client.NONCE, nonce)


class Guest(Cleaner):
    """A Linux under TCG through monatt-qemu; ready for commands when the constructor returns."""

    def __init__(self, host=None, name="guest", add=(), append="", memory_mb=256, vcpus=1,
                 options=(), launcher=(), initrd=None, boot=True, bus=None, vid=None, vmlinuz=None,
                 accel="tcg"):
        """add: files for the initramfs; append: more of the kernel's command line; options: more
        of QEMU's; launcher: options of monatt-qemu itself; initrd: another one; bus: a stock QEMU
        instead of monatt-qemu, with the device on this bus, which options makes; vid: the UUID of
        a VM that was there before; vmlinuz: another kernel; accel: as QEMU has it."""
        super().__init__()
        self.host = host
        self.own_host = None
        if host is None:
            self.host = self.own_host = Host()
        self.folder = tempfile.mkdtemp(prefix="mg-", dir="/tmp")
        self.name, self.vid = name, vid or str(uuid.uuid4())
        self.console_path = f"{self.folder}/guest.console"
        self.agent = self.monitor = self.monitor_file = None
        self.buffer = b""
        try:
            self.initrd = initrd or initramfs(add)
            # On a loaded machine TCG's timer is late, which Linux takes for a broken IO-APIC.
            self.command_line = f"console=ttyS0 quiet no_timer_check {append}".strip()
            begin, end, fds = [paths.MONATT_QEMU, "--monatt-run-dir", self.host.run], [], ()
            if bus:
                begin, end, fds = self.attach(bus, memory_mb, vcpus)
            words = [*begin, *launcher,
                     "-name", name, "-uuid", self.vid, "-machine",
                     "q35" + (",memory-backend=ram" if bus else ""), "-accel", accel,
                     "-cpu", "max", "-m", str(memory_mb), "-smp", str(vcpus), "-nodefaults",
                     "-display", "none", "-serial", f"file:{self.console_path}",
                     "-chardev", f"socket,id=agent,path={self.folder}/agent,server=on,wait=off",
                     "-serial", "chardev:agent",
                     "-qmp", f"unix:{self.folder}/qmp,server=on,wait=off",
                     "-kernel", vmlinuz or kernel(), "-initrd", self.initrd, "-append", self.command_line,
                     *options, *end]
            self.process = self.start(words, f"{self.folder}/qemu.log", pass_fds=fds,
                                      env=self.host.environment())
            for fd in fds:
                os.close(fd)
            self.agent = self.connect("agent")
            self.monitor = self.connect("qmp")
            self.monitor_file = self.monitor.makefile("rb")
            self.monitor_file.readline()
            self.qmp("qmp_capabilities")
            if boot:
                self.wait_ready()
        except BaseException:
            self.report()
            self.close()
            raise

    def attach(self, bus, memory_mb, vcpus):
        """What monatt-qemu does, at its simplest: first words, last words, descriptors."""
        qemu, device = socket.socketpair()
        attach = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        attach.connect(f"{self.host.run}/attach.sock")
        _, fds = device_client.call(
            attach, device_client.ATTACH, uuid.UUID(self.vid).bytes +
            device_client.text(self.name) + struct.pack(">BBBBII", 1, 0, 0, 0, vcpus, 0),
            [device.fileno()])
        attach.close()
        device.close()
        monitor = qemu.detach()
        return [paths.QEMU], [
            "-object", f"memory-backend-memfd,id=ram,size={memory_mb}M,share=on",
            "-chardev", f"socket,id=monatt-qmp,fd={monitor}",
            "-mon", "chardev=monatt-qmp,mode=control",
            "-device", f"x-pci-proxy-dev,id=monatt0,bus={bus},fd={fds[0]}"], (monitor, fds[0])

    def connect(self, name):
        def attempt():
            sock = socket.socket(socket.AF_UNIX)
            sock.settimeout(COMMAND_PATIENCE_S)
            try:
                sock.connect(f"{self.folder}/{name}")
                return sock
            except OSError:
                sock.close()
                return None
        return wait_for(attempt, f"QEMU's socket '{name}'", alive=self.process)

    def console(self):
        with open(self.console_path, "rb") as file:
            return file.read().decode(errors="replace")

    def line(self, seconds, command=None):
        """The next line of the agent's port; command: what it answers."""
        end = time.monotonic() + seconds
        nudge = time.monotonic() + NUDGE_AFTER_S
        while b"\n" not in self.buffer:
            left = end - time.monotonic()
            if left <= 0:
                raise GuestError(f"guest: no answer within {seconds} s to '{command or 'its start'}'")
            if not select.select([self.agent], [], [], min(left, 1))[0]:
                if "Kernel panic" in self.console():
                    raise GuestError("guest: kernel panic")
                if command and time.monotonic() > nudge:
                    self.agent.sendall(b"\n")
                    nudge = time.monotonic() + NUDGE_AFTER_S
                continue
            more = self.agent.recv(65536)
            if not more:
                raise GuestError("guest: QEMU closed the agent's port")
            self.buffer += more
        line, _, self.buffer = self.buffer.partition(b"\n")
        return line.strip(b"\r\0")

    def wait_ready(self, seconds=BOOT_PATIENCE_S):
        while not self.line(seconds).endswith(b"agent ready"):
            pass

    def send(self, command):
        encoded = base64.b64encode(command.encode())
        self.agent.sendall(b"%d %s\n" % (len(encoded), encoded))

    def run(self, command, check=True, seconds=COMMAND_PATIENCE_S):
        """Runs a shell command in the guest."""
        line = b"again - -"
        for _ in range(SEND_TRIES):
            if line == b"again - -":
                self.send(command)
                line = self.line(seconds, command)
        try:
            status, out, err = line.split(b" ")
            result = Result(int(status), *[b"" if text == b"-" else
                                           base64.b64decode(text, validate=True)
                                           for text in (out, err)])
        except ValueError as error:
            raise GuestError(f"guest: odd answer {line[:200]!r} to '{command}'") from error
        if check and result.status != 0:
            raise GuestError(f"guest: '{command}': {result}")
        return result

    def spawn(self, command):
        """Starts a command in the guest's background; its pid."""
        return int(self.run(f"setsid {command} >/dev/null 2>&1 </dev/null & echo $!").text)

    def read(self, index=None):
        """The registers as the guest reads them: {index: {"sha256" …}}, or one of them."""
        answer = self.run(f"monatt-guest read --json {'' if index is None else index}").json()
        registers = {entry["index"]: entry for entry in answer["registers"]}
        return registers if index is None else registers[index]

    def qmp(self, command, **arguments):
        self.monitor.sendall(json.dumps({"execute": command, "arguments": arguments}).encode())
        while True:
            line = self.monitor_file.readline()
            if not line:
                raise GuestError(f"QEMU ended during {command}")
            answer = json.loads(line)
            if "error" in answer:
                raise GuestError(f"QMP {command}: {answer['error']}")
            if "return" in answer:
                return answer["return"]

    def sleep(self):
        """Suspend to RAM, until QEMU says so."""
        self.run("(sleep 1; echo deep >/sys/power/mem_sleep; echo mem >/sys/power/state; "
                 "echo awake >/dev/ttyS1) >/dev/null 2>&1 &")
        wait_for(lambda: self.qmp("query-status")["status"] == "suspended", "suspend to RAM")

    def wake(self):
        self.qmp("system_wakeup")
        # The port itself sleeps until then.
        while not self.line(COMMAND_PATIENCE_S).endswith(b"awake"):
            pass

    def memory_file(self):
        """The guest's RAM as a file; its QEMU's own descriptor."""
        folder = f"/proc/{self.process.pid}/fd"
        for name in os.listdir(folder):
            with contextlib.suppress(OSError):
                if os.readlink(f"{folder}/{name}").startswith("/memfd:memory-backend-memfd"):
                    return f"{folder}/{name}"
        raise GuestError("QEMU has no memory-backend-memfd")

    def mutate(self, *words, stands=False):
        """What monatt-mutate says; while the guest stands, as it cannot take the kernel's locks.
        stands: it does already, and goes on doing so."""
        if not stands:
            self.qmp("stop")
        try:
            done = subprocess.run([paths.MUTATE, "--qemu", str(self.process.pid), *words],
                                  capture_output=True, text=True, timeout=60)
        finally:
            if not stands:
                self.qmp("cont")
        if done.returncode != 0:
            raise GuestError(f"monatt-mutate {' '.join(words)}: {done.stderr.strip()}")
        return json.loads(done.stdout)

    def reboot(self, how="guest"):
        """how: "guest" asks Linux for it, "monitor" is system_reset."""
        if how == "monitor":
            self.buffer = b""
            self.qmp("system_reset")
        else:
            self.send("reboot -f")
        self.wait_ready()

    @property
    def device(self):
        """A new connection to the device's control socket."""
        return Device(self.host, self.vid)

    @property
    def tpm_path(self):
        return f"{self.host.run}/vm/{self.vid}/tpm.sock"

    def close(self):
        for sock in (self.agent, self.monitor_file, self.monitor):
            if sock:
                sock.close()
        self.agent = self.monitor = self.monitor_file = None
        super().close()
        # The device ends with QEMU, a moment later; the same VM may be started again at once.
        with contextlib.suppress(GuestError):
            wait_for(lambda: not os.path.exists(f"{self.host.run}/vm/{self.vid}"),
                     "end of the device", DEVICE_END_PATIENCE_S, alive=self.host.service)
        if self.own_host:
            self.own_host.close()
            self.own_host = None

    def report(self):
        super().report()
        if self.own_host:
            self.own_host.report()


if __name__ == "__main__":
    with Guest() as shell:
        print(shell.run(" ".join(sys.argv[1:]) or "uname -a", check=False))
