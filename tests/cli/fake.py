# SPDX-License-Identifier: GPL-2.0-or-later
"""fake.py: evidence of a made-up host (tests/lib/fake-host.c), a made-up collector, and the CLI."""
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))
import paths  # noqa: E402

FAKE_HOST = paths.build("tests", "lib", "fake-host")
DONE, FAILED, USAGE, REFUSED, COMPROMISED, DEGRADED, UNKNOWN = range(7)


class Result:
    def __init__(self, run):
        self.status = run.returncode
        self.out = run.stdout.decode("utf-8", "replace")
        self.err = run.stderr.decode("utf-8", "replace")
        self.bytes = run.stdout

    @property
    def text(self):
        return self.out + self.err

    def __str__(self):
        return f"status {self.status}\n{self.text}"


def run(*words, **more):
    return Result(subprocess.run(words, capture_output=True, timeout=120, check=False,
                                 stdin=subprocess.DEVNULL, **more))


def monatt(*words, **more):
    return run(paths.MONATT, *words, **more)


class Fake:
    """A folder with one host's keys, its evidence files and reference values."""

    def __init__(self):
        self.holder = tempfile.TemporaryDirectory(prefix="monatt-cli-")
        self.folder = self.holder.name
        self.made = 0
        self.info = {}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.holder.cleanup()

    def path(self, name):
        return os.path.join(self.folder, name)

    def evidence(self, *options):
        """A new evidence file; self.info says what was made."""
        self.made += 1
        name = self.path(f"evidence-{self.made}.jws")
        result = run(FAKE_HOST, *options, self.path("keys"), name)
        if result.status != 0:
            raise RuntimeError(f"fake-host {options}: {result}")
        self.info = json.loads(result.out)
        return name

    def learn(self, evidence, *more):
        output = self.path("reference.json")
        return monatt("reference", "learn", evidence, "--nonce", self.info["nonce"], "--anchor",
                      self.info["root"], "--output", output, *more), output

    def verify(self, evidence, *more, nonce=None, anchor=None, reference=None):
        return monatt("evidence", "verify", evidence, "--nonce", nonce or self.info["nonce"],
                      "--anchor", anchor or self.info["root"], "--reference",
                      reference or self.path("reference.json"), *more)

    def write(self, name, content):
        path = self.path(name)
        with open(path, "wb" if isinstance(content, bytes) else "w") as file:
            file.write(content)
        return path


class Collector:
    """Answers every request with the bytes it was told to; keeps the last request."""

    def __init__(self):
        self.holder = tempfile.TemporaryDirectory(prefix="monatt-cl-")
        self.folder = self.holder.name
        self.answer = b""
        self.pour = 0  # bytes of body after the answer
        self.request = b""
        self.server = socket.socket(socket.AF_UNIX)
        self.server.bind(os.path.join(self.folder, "collector.sock"))
        self.server.listen(8)
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                client, _ = self.server.accept()
            except OSError:
                return
            with client:
                try:
                    client.settimeout(10)
                    self.take(client)
                    client.sendall(self.answer)
                    for _ in range(0, self.pour, 65536):
                        client.sendall(b"x" * 65536)
                except OSError:
                    pass  # the client may hang up: that is what some checks want

    def take(self, client):
        data = b""
        while b"\r\n\r\n" not in data:
            data += client.recv(65536)
        head, _, body = data.partition(b"\r\n\r\n")
        for line in head.lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                while len(body) < int(line.split(b":")[1]):
                    body += client.recv(65536)
        self.request = head + b"\r\n\r\n" + body

    def say(self, body, status="200 OK", more=""):
        body = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.pour = 0
        self.answer = (f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{more}"
                       "Connection: close\r\n\r\n").encode() + body

    def call(self, *words):
        return monatt(*words, "--run-dir", self.folder)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.close()
        self.holder.cleanup()
