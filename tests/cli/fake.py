# SPDX-License-Identifier: GPL-2.0-or-later
"""fake.py: evidence of a made-up host (tests/lib/fake-host.c) and the CLI over it, for tests."""
import json
import os
import subprocess
import sys
import tempfile

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
