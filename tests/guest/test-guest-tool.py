#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""test-guest-tool.py: monatt-guest by its two ways, BARs and driver, in a guest with a collector.

A report that the guest asks for is healthy to the verifier; the same commands do the same through
/dev/monatt, under kernel lockdown; a follower of the IMA list that is killed while the ring works on
its batch doubles nothing.
"""
import hashlib
import os
import random
import re
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "lib"), HERE]
import driver_guest  # noqa: E402
import driver_module  # noqa: E402
import guest as guest_library  # noqa: E402
import ima_list  # noqa: E402
import paths  # noqa: E402
from guest import Guest, Host, wait_for  # noqa: E402
from tap import Tap  # noqa: E402

HEALTHY, NOT_BELIEVED = 0, 3
APPEND = "ima_policy=tcb rootfstype=ramfs"
PART = 96 * 1024  # bytes of a file that come over the serial port at a time
KILLS, SEED = 20, 20260212
DIGEST = hashlib.sha256(b"x").hexdigest()


def fetch(guest, path):
    data, size = b"", int(guest.run(f"stat -c %s {path}").text)
    while len(data) < size:
        data += guest.run(f"dd if={path} bs={PART} skip={len(data) // PART} count=1 2>/dev/null").out
    return data


def check_status(tap, guest, way):
    status = guest.run("monatt-guest status --json").json()
    wanted = {"way": way, "status": "ready", "map_version": 1, "boot_count":
              guest.device.status()["boot_count"], "ring": way == "driver",
              "shadow": way == "driver", "driver_version": 1 if way == "driver" else 0}
    tap.is_equal({name: status[name] for name in wanted}, wanted, f"status, {way}")
    tap.ok({"sha256", "sha384", "process-list", "report"} <= set(status["capabilities"]),
           f"capabilities, {way}", status)
    text = guest.run("monatt-guest status").text
    tap.ok(re.search(rf"^through +{'the driver' if way == 'driver' else 'its registers'}", text, re.M)
           and status["device"] in text, f"the same for people, {way}", text)


def check_report(tap, host, guest, way):
    """What the guest hands to somebody who asked it for a proof."""
    guest.run("head -c 64 /dev/urandom >/tmp/inblob")
    follower = guest.spawn("monatt-guest processes --follow")
    asked = guest.run("monatt-guest report --inblob /tmp/inblob --output /tmp/report", check=False)
    tap.is_equal((asked.status, asked.error_text), (0, ""), f"a report, {way}")
    names = {name: f"{host.folder}/{way}-{name}" for name in ("report", "inblob", "other")}
    for name, data in (("report", fetch(guest, "/tmp/report")), ("other", os.urandom(64)),
                       ("inblob", guest.run("cat /tmp/inblob").out)):
        with open(names[name], "wb") as file:
            file.write(data)
    reference = host.learn(guest.name)
    words = ("evidence", "verify", names["report"], "--anchor", host.anchor, "--reference", reference)
    result = host.monatt(*words, "--inblob", names["inblob"], check=False)
    tap.is_equal(result.status, HEALTHY, f"the verifier: healthy, {way}")
    tap.ok(re.search(r"(?m)^runtime-integrity\s+healthy\b", result.text) and
           "guest's own list" not in result.error_text, f"with the guest's memory looked at, {way}",
           result)
    result = host.monatt(*words, "--inblob", names["other"], check=False)
    tap.ok(result.status == NOT_BELIEVED and "nonce" in result.error_text,
           f"and refuses it for another inblob, {way}", result)
    again = guest.run("monatt-guest report --inblob /tmp/inblob --output /tmp/again", check=False)
    tap.ok(again.status == NOT_BELIEVED and "the host gives none" in again.error_text,
           f"the same inblob again: refused, exit 3, {way}", again)
    tap.is_equal(guest.run("test -e /tmp/again", check=False).status, 1, f"no file is left, {way}")
    guest.run(f"kill {follower}")


def check_report_words(tap, guest):
    for words, part in (("report", "needs --inblob"), ("report --inblob ''", "inblob ''"),
                        ("report --inblob /dev/null", "1 to 64 bytes"),
                        ("report --inblob /bin/busybox", "1 to 64 bytes"),
                        ("report --inblob 0g", "inblob '0g'"), ("read --inblob 00", "takes no"),
                        ("ima-follow --register 17", "belongs to the host"),
                        ("read --once", "takes no --once")):
        result = guest.run(f"monatt-guest {words}", check=False)
        tap.ok(result.status in (1, 2) and part in result.error_text, f"'{words}' is refused", result)


def check_no_collector(tap, host, guest, way):
    """The host's collector dies: an answer, not a guest that waits."""
    host.collector.kill()
    host.collector.wait()
    result = guest.run("monatt-guest report --inblob 00ff", check=False)
    tap.ok(result.status == NOT_BELIEVED and "the host gives none" in result.error_text,
           f"no collector: refused, {way}", result)
    host.start_collector()
    host.monatt("ca", "enrol", "--ca", host.ca)


def check_commands(tap, guest):
    """Under lockdown, where nobody maps a BAR."""
    guest.run("echo confidentiality >/sys/kernel/security/lockdown")
    tap.contains(guest.run("cat /sys/kernel/security/lockdown").text, "[confidentiality]",
                 "lockdown is on")
    seen = guest.read()
    host = driver_guest.host_values(guest)
    tap.is_equal({f"mr{i}:{bank}": bytes.fromhex(seen[i][bank]) for i in seen
                  for bank in ("sha256", "sha384")}, host, "read: what the host says")
    guest.run(f"monatt-guest extend 3 {DIGEST} --content 'by the driver'")
    want = hashlib.sha256(host["mr3:sha256"] + bytes.fromhex(DIGEST)).hexdigest()
    tap.is_equal(guest.read(3)["sha256"], want, "extend")
    last = list(ima_list.log_entries(guest))[-1]
    tap.is_equal((last["pcr"], last["content"]), (3, b"by the driver"), "with its content")
    guest.run(f"monatt-guest extend 16 {DIGEST} && monatt-guest reset 16")
    tap.is_equal(guest.read(16)["sha256"], "00" * 32, "reset")
    result = guest.run(f"monatt-guest extend 17 {DIGEST}", check=False)
    tap.ok(result.status == 1 and "belongs to the host" in result.error_text, "MR17 is refused",
           result)
    nonce = hashlib.sha256(b"by the driver").digest()
    guest.device.set_nonce(nonce)
    guest.run("monatt-guest processes")
    tap.is_equal(guest.device.guest_list()[4:36], nonce, "processes")
    result = guest.run("monatt-guest --driver /nonexistent read 0", check=False)
    tap.ok(result.status == 1 and ("lockdown" in result.error_text or "driver" in result.error_text)
           and "driver" in result.error_text, "without the driver's file: the hint names it", result)


def check_ima(tap, guest):
    counts = guest.run("monatt-guest ima-follow --once --json").json()
    ima_list.expect(tap, guest, counts, "IMA through the ring")
    load = guest.spawn(f"sh -c '{ima_list.make_entries(1500, 'load')}'")
    random.seed(SEED)
    pauses = " ".join(str(random.randint(1, 700000)) for _ in range(KILLS))
    killed = guest.run(f"n=0; for us in {pauses}; do monatt-guest ima-follow 2>/tmp/follow & p=$!; "
                       "usleep $us; kill -9 $p && n=$((n+1)); wait $p 2>/dev/null; done; echo $n; "
                       "cat /tmp/follow >&2", seconds=300)
    tap.ok(int(killed.text) >= KILLS, f"killed {KILLS} times", killed)
    wait_for(lambda: guest.run(f"kill -0 {load}", check=False).status != 0, "end of the load", 300)
    counts = guest.run("monatt-guest ima-follow --once --json").json()
    rows = ima_list.expect(tap, guest, counts, "after the kills")
    tap.is_equal(guest.read(10)["extends"], len(rows), "as many extends as entries")


def check_shown(tap, host, guest):
    """What the guest wrote of its list stands in the evidence, for people (the first 1,000 rows)."""
    shown = host.monatt("evidence", "show", f"{host.folder}/driver-report", "--json").json()
    texts = [row["text"] for row in shown["log"] if row["type"] == "ima-entry"]
    odd = [text for i, text in enumerate(texts) if not text.startswith(f"entry {i}, ima-")]
    tap.ok(len(texts) > 900 and any(text.endswith("/bin/monatt-guest") for text in texts) and
           not odd, "the evidence shows each entry and what was measured",
           (len(texts), texts[:9], odd[:3]))


def main():
    tap = Tap()
    lacking = guest_library.missing() or paths.missing(paths.COLLECTORD, paths.WORKER, paths.MONATT)
    if lacking:
        tap.skip_all(f"{lacking} is missing")
    with tap, Host(collector=True) as host:
        with tap, Guest(host, name="guest") as guest:
            check_status(tap, guest, "registers")
            check_report_words(tap, guest)
            check_report(tap, host, guest, "registers")
            check_no_collector(tap, host, guest, "registers")
        try:
            kernel = driver_module.guest_kernel()
            kernel.build()
        except (driver_module.Missing, RuntimeError) as error:
            tap.skip(str(error), "monatt-guest through the driver")
            return tap.done()
        with tap, driver_guest.boot(kernel, host, append=APPEND) as guest:
            check_status(tap, guest, "driver")
            check_commands(tap, guest)
            check_ima(tap, guest)
            check_report(tap, host, guest, "driver")
            check_shown(tap, host, guest)
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
