# SPDX-License-Identifier: GPL-2.0-or-later
"""device_tpm.py: what the swtpm behind a device holds, asked by tpm2-tools and not by the product.

swtpm serves one connection and the device keeps it, so that connection is borrowed (pidfd_getfd)
while the device has nothing to say to its TPM: the caller has waited until nothing is pending.  (A
device that is stopped by a signal is killed by the attach service.)  Run as a program it is the
other end of tpm2-tss's "cmd" TCTI: commands from stdin go to descriptor N, answers to stdout.
"""
import ctypes
import errno
import os
import re
import socket
import struct
import subprocess
import sys

SYS_PIDFD_GETFD = 438
BANKS = {"sha256": 32, "sha384": 48}


class Missing(Exception):
    """The reason for a skip."""


def borrow(pid, tpm_path):
    """A duplicate of process pid's socket that is connected to tpm_path."""
    libc = ctypes.CDLL(None, use_errno=True)
    process = os.pidfd_open(pid)
    try:
        for number in sorted(int(name) for name in os.listdir(f"/proc/{pid}/fd")):
            try:
                if not os.readlink(f"/proc/{pid}/fd/{number}").startswith("socket:"):
                    continue
            except FileNotFoundError:
                continue  # closed since the list was read
            fd = libc.syscall(SYS_PIDFD_GETFD, process, number, 0)
            if fd < 0 and ctypes.get_errno() == errno.EBADF:
                continue
            if fd < 0:
                raise Missing(f"pidfd_getfd ({os.strerror(ctypes.get_errno())})")
            sock = socket.socket(fileno=fd)
            try:
                # swtpm binds the name within a folder that it was handed, not by our path.
                if os.path.basename(sock.getpeername()) == os.path.basename(tpm_path):
                    return sock
            except OSError:
                pass
            sock.close()
    finally:
        os.close(process)
    raise Missing(f"a connection of process {pid} to {tpm_path}")


def read_pcrs(pid, tpm_path):
    """{"sha256": [24 digests], "sha384": [...]} of the TPM of device pid, which must be idle."""
    with borrow(pid, tpm_path) as sock:
        os.set_inheritable(sock.fileno(), True)
        tcti = f"cmd:{sys.executable} {os.path.abspath(__file__)} {sock.fileno()}"
        done = subprocess.run(["tpm2_pcrread", "-T", tcti, "sha256:all+sha384:all"],
                              capture_output=True, text=True, pass_fds=[sock.fileno()], timeout=60)
    if done.returncode != 0:
        raise RuntimeError(f"tpm2_pcrread: {done.stderr}")
    banks, bank = {}, None
    for line in done.stdout.splitlines():
        head = re.fullmatch(r"\s*(sha\d+):\s*", line)
        value = re.fullmatch(r"\s*(\d+)\s*:\s*0x([0-9A-Fa-f]+)\s*", line)
        if head:
            bank = banks.setdefault(head.group(1), [None] * 24)
        elif value:
            bank[int(value.group(1))] = bytes.fromhex(value.group(2))
    for name, size in BANKS.items():
        if len(banks.get(name, [])) != 24 or any(len(v or b"") != size for v in banks[name]):
            raise RuntimeError(f"tpm2_pcrread: bank {name}: {done.stdout}")
    return banks


def relay(number):
    def whole(read, size):
        data = b""
        while len(data) < size:
            more = read(size - len(data))
            if not more:
                sys.exit(0)
            data += more
        return data
    sock = socket.socket(fileno=number)
    while True:
        head = whole(lambda n: os.read(0, n), 10)
        command = head + whole(lambda n: os.read(0, n), struct.unpack(">I", head[2:6])[0] - 10)
        sock.sendall(command)
        head = whole(sock.recv, 10)
        os.write(1, head + whole(sock.recv, struct.unpack(">I", head[2:6])[0] - 10))


if __name__ == "__main__":
    relay(int(sys.argv[1]))
