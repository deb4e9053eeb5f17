#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""record-evidence.py FOLDER: the run of docs/one-measurement.md, kept as files.

Boots a guest under a host of its own, extends MR0 once from inside, learns reference values, asks
for evidence and judges it.  Writes evidence.jws, nonce.txt, root.pem, reference.json, result.jws
and certificate.pem.  tests/data/VERSION/ holds those of each version for ever: newer programs must
read them, or refuse them in clear words.
"""
import os
import shutil
import sys

from guest import Guest, Host

COMMAND = "printf hello | monatt-guest extend 0 --file - --content hello"


def main():
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        print(__doc__)
        return 2
    folder = sys.argv[1]
    os.makedirs(folder, exist_ok=True)
    with Host(collector=True) as host, Guest(host, name="demo") as guest:
        guest.run(COMMAND)
        reference = host.learn("demo")
        evidence, nonce = host.attest("demo")
        key = f"{host.folder}/key"
        host.monatt("key", "new", key)
        result = host.verify(evidence, nonce, reference, "--result", f"{key}/result.jws",
                             "--signing-key", f"{key}/key.pem", "--signing-certificate",
                             f"{key}/certificate.pem")
        if result.status != 0:
            print(result, file=sys.stderr)
            return 1
        for source, name in ((evidence, "evidence.jws"), (f"{evidence}.nonce", "nonce.txt"),
                             (host.anchor, "root.pem"), (reference, "reference.json"),
                             (f"{key}/result.jws", "result.jws"),
                             (f"{key}/certificate.pem", "certificate.pem")):
            shutil.copyfile(source, os.path.join(folder, name))
    return 0


if __name__ == "__main__":
    sys.exit(main())
