# SPDX-License-Identifier: GPL-2.0-or-later
"""launched_vm.py: a VM through monatt-qemu that runs SeaBIOS only, and what is left of it.

Everything started here carries a mark in its environment, which children inherit: so a process that
outlives its VM is found whoever its parent is, and other tests on the machine are left alone.
"""
import json
import os
import secrets
import socket
import subprocess
import time

import paths
from device_client import Service, Vm

MARK = "MONATT_TEST_MARK"
PATIENCE_S = 30


def wait_for(condition, seconds=PATIENCE_S):
    """The first true value of condition(), or its last one."""
    until = time.monotonic() + seconds
    while True:
        value = condition()
        if value or time.monotonic() > until:
            return value
        time.sleep(0.02)


def marked(mark):
    """{pid: command line} of all living processes that carry the mark."""
    found = {}
    needle = f"{MARK}={mark}".encode()
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/environ", "rb") as file:
                if needle not in file.read().split(b"\0"):
                    continue
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                words = file.read().split(b"\0")
            with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
                if file.read().rsplit(")", 1)[1].split()[0] == "Z":
                    continue
        except OSError:
            continue
        found[int(pid)] = b" ".join(words).decode(errors="replace").strip()
    return found


def descriptors(pid):
    """What the descriptors of a process are, e.g. "/memfd:monatt-boot (deleted)"."""
    names = []
    try:
        for number in os.listdir(f"/proc/{pid}/fd"):
            try:
                names.append(os.readlink(f"/proc/{pid}/fd/{number}"))
            except OSError:
                continue
    except OSError:
        pass
    return names


class MarkedService(Service):
    """hw-attest serve that carries a mark, as do its devices and their swtpms."""

    def __init__(self, path=None):
        self.mark = secrets.token_hex(8)
        os.environ[MARK] = self.mark
        try:
            super().__init__(paths.HW_ATTEST, path=path)
        finally:
            del os.environ[MARK]

    def others(self):
        """Living marked processes besides the service itself."""
        return {pid: line for pid, line in marked(self.mark).items() if pid != self.process.pid}

    def left(self, seconds=PATIENCE_S):
        """What is left of all VMs once it had time to go: [] when all is well."""
        def look():
            found = [f"process {pid}: {line}" for pid, line in self.others().items()]
            folder = self.run + "/vm"
            found += [f"folder {name}" for name in (os.listdir(folder) if os.path.isdir(folder) else [])]
            if self.process.poll() is None:
                found += [f"the service holds {name}" for name in descriptors(self.process.pid)
                          if "memfd" in name]
            return found
        wait_for(lambda: not look(), seconds)
        return look()


class LaunchedVm(Vm):
    """monatt-qemu with a VM that SeaBIOS runs in; monitor() once QEMU is there."""

    def __init__(self, service, *words, machine="q35", launcher=(), name="launched", vid=None,
                 wait=True, private=False, accelerator="tcg"):
        import uuid
        self.service = service
        self.vid = vid or uuid.uuid4()
        self.folder = f"{service.run}/vm/{self.vid}"
        self.state = f"{service.state}/vm/{self.vid}"
        self.monitor_path = f"{service.folder}/qmp-{secrets.token_hex(4)}"
        self.log_path = f"{service.folder}/launcher-{secrets.token_hex(4)}"
        self.control = self.monitor = self.monitor_file = None
        begin = [] if private else ["--monatt-run-dir", service.run]
        begin += ["-accel", accelerator] if accelerator else []
        line = [paths.MONATT_QEMU, *begin, *launcher, "-name", name, "-uuid", str(self.vid),
                "-machine", machine, "-m", "32", "-nodefaults", "-display", "none",
                "-qmp", f"unix:{self.monitor_path},server=on,wait=off", *words]
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(
                line, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env={**os.environ, **service.environment, MARK: service.mark})
        if wait:
            self.wait()

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as file:
            return file.read()

    def wait(self):
        """Until QEMU answers on its monitor and the device on its control socket."""
        def attempt():
            if self.process.poll() is not None:
                raise RuntimeError(f"monatt-qemu ended with {self.process.returncode}: {self.log()}")
            sock = socket.socket(socket.AF_UNIX)
            sock.settimeout(PATIENCE_S)
            try:
                sock.connect(self.monitor_path)
                return sock
            except OSError:
                sock.close()
                return None
        self.monitor = wait_for(attempt)
        if not self.monitor:
            raise TimeoutError("QEMU's monitor: " + self.log())
        self.monitor_file = self.monitor.makefile("r", encoding="utf-8")
        self.monitor_file.readline()
        self.execute("qmp_capabilities")
        self.control = self.connect()

    def execute(self, command, **arguments):
        self.monitor.sendall(json.dumps({"execute": command, "arguments": arguments}).encode())
        while True:
            line = self.monitor_file.readline()
            if not line:
                raise EOFError(f"QEMU ended during {command}")
            answer = json.loads(line)
            if "event" not in answer:
                return answer["return"]

    def running(self):
        return self.execute("query-status")["status"]

    def quit(self):
        try:
            self.execute("quit")
        except EOFError:
            pass

    def close(self):
        """Ends what is left of QEMU; True when it had ended by itself."""
        for sock in (self.control, self.monitor_file, self.monitor):
            if sock:
                sock.close()
        alone = self.process.poll() is not None
        if not alone:
            self.process.kill()
        self.process.wait(PATIENCE_S)
        return alone
