# SPDX-License-Identifier: GPL-2.0-or-later
"""collector_client.py: the collector's socket and its evidence, in the standard library.

Ask(host).get("/v1/vms") and .attest("name"); Evidence(bytes) takes one file apart without any code
of Monatt's and without believing it.
"""
import base64
import hashlib
import http.client
import importlib.util
import json
import os
import socket
import struct

PATIENCE_S = 90


def encode(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decode(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


class Connection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=PATIENCE_S)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Answer:
    def __init__(self, status, kind, body):
        self.status, self.kind, self.body = status, kind, body

    def json(self):
        return json.loads(self.body)

    @property
    def error(self):
        return self.json()["error"]

    def __repr__(self):
        return f"status {self.status}, {self.body[:400]!r}"


class Ask:
    def __init__(self, run):
        self.path = f"{run}/collector.sock"

    def call(self, method, path, body=None, headers=None):
        connection = Connection(self.path)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return Answer(answer.status, answer.getheader("Content-Type"), answer.read())
        finally:
            connection.close()

    def get(self, path):
        return self.call("GET", path)

    def attest(self, vm, nonce=None, properties=None):
        question = {"nonce": encode(nonce if nonce is not None else os.urandom(32))}
        if properties is not None:
            question["properties"] = properties
        return self.call("POST", f"/v1/vms/{vm}/attest", json.dumps(question))


def replay_module():
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "replay-cel.py")
    spec = importlib.util.spec_from_file_location("replay_cel", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Evidence:
    def __init__(self, body):
        self.members = json.loads(body)
        parts = self.members["claims"][1]
        jws = decode(parts)
        _, payload, _ = jws.decode().split(".")
        self.octets = decode(payload)
        self.claims = json.loads(self.octets)
        self.q3 = hashlib.sha256(self.octets).digest()
        self.log = decode(self.members["log"][1])

    def records(self):
        """[(register, kind, content)] of the log."""
        return [(e["pcr"], e["kind"], e["content"]) for e in replay_module().entries(self.log)]

    def host_records(self, register):
        """[(type, payload, header fields)] of our records in a register."""
        found = []
        for pcr, kind, content in self.records():
            if pcr == register and kind == 0xd1:
                assert content[:4] == b"MTE1", content
                fields = struct.unpack(">HHI16sQQQQIII", content[4:72])
                found.append((fields[0], content[72:], fields))
        return found

    def introspection(self, kind):
        """Payloads of MR19's records of this type."""
        return [payload for found, payload, _ in self.host_records(19) if found == kind]

    def quote(self, name):
        """The bytes of one quote as they came."""
        return decode(self.members[name][1])
