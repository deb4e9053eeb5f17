#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""test-evidence-export.py: other people's tools decide about exported evidence.

Runs the commands of the exported README.txt as they stand there, in both suites, then the same
commands on changed files, which must then be refused.  No TPM and no guest.
"""
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import paths  # noqa: E402
from tap import Tap  # noqa: E402

FAKE_HOST = paths.build("tests", "lib", "fake-host")
REPLAY = paths.source("tests", "lib", "replay-cel.py")
FILES = {"README.txt", "claims.jws", "claims.json", "qualifying-data.hex", "session.pem",
         "session-ca.pem", "jws-key.jwk", "log.cel", "host.log", "opening.bin"} | {
    f"{who}-{part}" for who in ("device", "host") for part in (
        "quote.attest", "quote.signature", "quote.values", "quote.pcrs", "ak.pem", "ak.tpmt")}


def run(command, folder):
    return subprocess.run(command, cwd=folder, shell=isinstance(command, str), text=True,
                          capture_output=True, timeout=60, check=False)


def readme_commands(folder):
    with open(os.path.join(folder, "README.txt"), encoding="utf-8") as file:
        text = file.read().replace("\\\n", " ")
    return re.findall(r"^ {4}(\w.*)$", text, re.MULTILINE)


def export(top, suite, name, *options):
    folder = os.path.join(top, name)
    done = run([FAKE_HOST, "--suite", suite, "--export", folder, *options,
                os.path.join(top, "host"), os.path.join(top, name + ".cmw")], top)
    if done.returncode != 0:
        raise RuntimeError(done.stderr)
    facts = json.loads(done.stdout)
    shutil.copy(os.path.join(top, facts["root"]), os.path.join(folder, "root.pem"))
    return folder, facts


def change(folder, name, offset=0):
    """One bit of one byte; returns what puts it back."""
    path = os.path.join(folder, name)
    with open(path, "rb") as file:
        kept = file.read()
    data = bytearray(kept)
    data[offset] ^= 1
    with open(path, "wb") as file:
        file.write(data)

    def undo():
        with open(path, "wb") as back:
            back.write(kept)
    return undo


def quote_command(commands, who):
    return next(c for c in commands if c.startswith("tpm2_checkquote") and f"{who}-ak.pem" in c)


def check_refusals(tap, suite, folder, commands):
    for who in ("device", "host"):
        command = quote_command(commands, who)
        for part, offset in (("quote.attest", 60), ("quote.signature", 20), ("quote.pcrs", 140)):
            undo = change(folder, f"{who}-{part}", offset)
            tap.ok(run(command, folder).returncode != 0,
                   f"{suite}: tpm2_checkquote refuses a changed {who}-{part}")
            undo()
        wrong = command.replace("$(cat qualifying-data.hex)",
                                "ff" * (32 if suite == "S256" else 48))
        tap.ok(run(wrong, folder).returncode != 0,
               f"{suite}: tpm2_checkquote refuses another question's {who} quote")
        tap.is_equal(run(command, folder).returncode, 0, f"{suite}: {who} quote is as before")
    jose = next(c for c in commands if c.startswith("jose"))
    undo = change(folder, "claims.jws", 2000)
    tap.ok(run(jose, folder).returncode != 0, f"{suite}: jose refuses changed claims")
    undo()
    openssl = next(c for c in commands if c.startswith("openssl"))
    shutil.copy(os.path.join(folder, "session.pem"), os.path.join(folder, "kept.pem"))
    shutil.copy(os.path.join(folder, "session-ca.pem"), os.path.join(folder, "root.pem"))
    tap.ok(run(openssl, folder).returncode != 0, f"{suite}: openssl refuses another root")


def check_replay(tap, suite, folder):
    bank = "sha256" if suite == "S256" else "sha384"
    done = run([sys.executable, REPLAY, "log.cel", "--bank", bank], folder)
    replayed = "".join(line.split()[2] for line in done.stdout.splitlines())
    with open(os.path.join(folder, "device-quote.values"), "rb") as file:
        tap.is_equal(replayed, file.read().hex(), f"{suite}: log.cel replays to the quoted values")


def check_suite(tap, top, suite):
    folder, facts = export(top, suite, "export-" + suite)
    tap.is_equal(set(os.listdir(folder)) - {"root.pem"}, FILES, f"{suite}: the files")
    commands = readme_commands(folder)
    tap.is_equal(len(commands), 6, f"{suite}: README.txt has its six commands")
    for command in commands:
        done = run(command, folder)
        tap.ok(done.returncode == 0, f"{suite}: {command.split()[0]} accepts",
               f"{command}\n{done.stdout}{done.stderr}")
    sums = run(next(c for c in commands if c.startswith("sha")), folder).stdout.split()
    tap.is_equal(sums[0], sums[2], f"{suite}: the hash of the claims is the qualifying data")
    tap.is_equal(sums[0], facts["q3"], f"{suite}: and Q3")
    check_replay(tap, suite, folder)
    check_refusals(tap, suite, folder, commands)
    again = run([FAKE_HOST, "--suite", suite, "--export", folder, os.path.join(top, "host"),
                 os.path.join(top, "again.cmw")], top)
    tap.contains(again.stderr, "is there already", f"{suite}: nothing is written over")


def check_checkpoint(tap, top, suite):
    """A log that was cut: one more quote, and a replay that starts from it."""
    folder, _ = export(top, suite, "cut-" + suite, "--earlier", "3", "--seal-after", "2")
    parts = {"checkpoint.body"} | {f"checkpoint-quote.{part}" for part in (
        "attest", "signature", "values", "pcrs")}
    tap.is_equal(set(os.listdir(folder)) - {"root.pem"}, FILES | parts, f"{suite}, cut: the files")
    commands = readme_commands(folder)
    tap.is_equal(len(commands), 7, f"{suite}, cut: README.txt has one more command")
    for command in commands:
        done = run(command, folder)
        tap.ok(done.returncode == 0, f"{suite}, cut: {command.split()[0]} accepts",
               f"{command}\n{done.stdout}{done.stderr}")
    check_replay(tap, suite, folder)
    for part, offset in (("checkpoint.body", 78), ("checkpoint-quote.attest", 60),
                         ("checkpoint-quote.signature", 20), ("checkpoint-quote.pcrs", 140)):
        undo = change(folder, part, offset)
        tap.ok(run(commands[-1], folder).returncode != 0,
               f"{suite}, cut: tpm2_checkquote refuses a changed {part}")
        undo()
    with open(os.path.join(folder, "checkpoint-quote.values"), "rb") as file:
        values = file.read()
    with open(os.path.join(folder, "checkpoint.body"), "rb") as file:
        body = file.read()
    size, at = (32, 0) if suite == "S256" else (48, 32)
    tap.is_equal(values, b"".join(body[110 + 88 * i + at:][:size] for i in range(24)),
                 f"{suite}, cut: the quoted values are the checkpoint's")


def check_splice(tap, top):
    """tpm2_checkquote must see that a device quote belongs to other claims."""
    folder, _ = export(top, "S256", "one")
    other, _ = export(top, "S256", "two", "--nonce", "77" * 32)
    for part in ("attest", "signature", "pcrs"):
        shutil.copy(os.path.join(other, f"device-quote.{part}"), folder)
    command = quote_command(readme_commands(folder), "device")
    tap.ok(run(command, folder).returncode != 0, "a device quote of other claims is refused")
    tap.is_equal(run(command, other).returncode, 0, "which is good beside its own claims")


def main():
    tap = Tap()
    lacking = paths.missing("tpm2_checkquote", "jose", "openssl", FAKE_HOST)
    if lacking:
        tap.skip_all(f"{lacking} is missing")
    top = tempfile.mkdtemp(prefix="evidence-")
    try:
        for suite in ("S256", "S384"):
            with tap:
                check_suite(tap, top, suite)
                check_checkpoint(tap, top, suite)
        with tap:
            check_splice(tap, top)
    finally:
        shutil.rmtree(top)
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
