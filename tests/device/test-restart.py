#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""test-restart.py: a device process is killed again and again; nothing done is undone or done twice.

The test is QEMU and collector.  The log is replayed by tests/lib/replay-cel.py, the quotes are
verified by tpm2_checkquote, and each answer on the wire is compared with what it must be.
"""
import hashlib
import importlib
import os
import random
import select
import signal
import struct
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "lib")]
import device_tpm  # noqa: E402
import paths  # noqa: E402
from collector_client import replay_module  # noqa: E402
from device_client import BAR0, BAR2, RAM, SET_IRQFD, Refused, Service, call, refusal  # noqa: E402
from ring_client import GUEST_FLAGS, Memory, Ring, Shadow  # noqa: E402
from tap import Tap  # noqa: E402

SHA256, SHA384, BUSY, FAULT_CODE = 11, 12, 7, 11
REG_INDEX, REG_MAGIC, REG_STATUS = BAR0 + 0x18, BAR0, BAR0 + 0xC
REG_INTERRUPT_STATUS, REG_INTERRUPT_ENABLE, CAP_INTERRUPT, WANT_INTERRUPT = BAR0 + 0x28, BAR0 + 0x2C, 0x20, 1
NONE, ERR_BUSY, ERR_FAULT = 0, 5, 6
TPM_GONE, TPM_DIFFERS, RECOVERY = 1, 2, 5
KILLS = 50
checkquote = importlib.import_module("test-quote").checkquote


def digests(text):
    return hashlib.sha256(text).digest(), hashlib.sha384(text).digest()


def device_pid(vm):
    with open(vm.folder + "/device.pid", encoding="ascii") as file:
        return int(file.read() or 0)


def kill(vm, number=signal.SIGKILL):
    """The present process, which has written its pid; the test's control connection with it."""
    pid = device_pid(vm)
    os.kill(pid, number)
    vm.control.close()
    until = time.monotonic() + 20
    while device_pid(vm) in (0, pid):
        if time.monotonic() > until:
            raise TimeoutError("no other device process")
        time.sleep(0.002)
    vm.control = vm.connect()
    return pid


def says(values):
    """Registers of the control socket as replay-cel.py has them."""
    return {"sha256": [v[0] for v in values], "sha384": [v[1] for v in values]}


def check_state(tap, vm, folder, name):
    """Log, registers, swtpm and quote are of one mind; the number of records."""
    status = vm.wait_status(lambda s: s["synced"] == s["records"])
    log, records = vm.log()
    values, extends, _ = replayed(log)
    registers = vm.registers()
    good = tap.is_equal((status["fault"], records), (0, status["records"]), f"{name}: no fault, all is logged")
    good &= tap.ok(says(registers) == values, f"{name}: registers are what the log replays to")
    good &= tap.is_equal([(r[2][0], r[2][1]) for r in registers], [(n, n) for n in extends],
                         f"{name}: counts too, all in swtpm")
    for alg in (SHA256, SHA384):
        attest, signature, quoted, count, _ = vm.quote(alg, b"n")
        done = checkquote(folder, vm, alg, attest, signature, b"n")
        good &= tap.ok(done.returncode == 0 and count == records and
                       quoted == [r[0 if alg == SHA256 else 1] for r in registers],
                       f"{name}: bank {alg} is quoted", done.stderr)
    return records


def replayed(log):
    """(values by bank, extends of each register, records)"""
    module = replay_module()
    values, extends = module.start_values(), [0] * 24
    count = 0
    for entry in module.entries(log):
        module.check(entry, count)
        module.extend(values, entry)
        extends[entry["pcr"]] += 1
        count += 1
    return values, extends, count


class Guest(threading.Thread):
    """Extends without a pause, and asks between for what it knows; stops at the first wrong answer."""

    def __init__(self, vm):
        super().__init__(daemon=True)
        self.vm, self.stop, self.wrong = vm, False, None
        self.done = [0] * 16
        self.messages = 0

    def step(self, number):
        vm, index = self.vm, number % 16
        d256, d384 = digests(b"%d" % number)
        result = vm.guest_extend(index, d256, d384, b"record %d" % number)
        if result == NONE:
            self.done[index] += 1
        elif result != ERR_BUSY:
            return f"extend {number}: error {result}"
        answers = (vm.read(REG_INDEX), vm.read(REG_MAGIC), vm.read(BAR2 + 0x100 + index * 0x60 + 0x50))
        wanted = (index, self.magic, self.done[index])
        self.messages += 3
        return None if answers == wanted else f"extend {number}: {answers} where {wanted} must be"

    def run(self):
        number = 0
        try:
            self.magic = self.vm.read(REG_MAGIC)
            while not self.stop and not self.wrong:
                self.wrong = self.step(number)
                number += 1
        except (OSError, EOFError) as error:
            self.wrong = repr(error)


def check_kills(tap, folder):
    """At random moments, KILLS times; sometimes the next process while it is still starting."""
    service = Service(paths.HW_ATTEST, options=("--restarts", "1000"))
    vm = service.attach(name="killed")
    guest = Guest(vm)
    guest.start()
    hosts = 0
    for round_ in range(KILLS):
        time.sleep(random.random() * 0.1)
        kill(vm)
        if round_ % 5 == 0:
            time.sleep(random.random() * 0.01)
            kill(vm)
        try:
            vm.extend(17, b"host %d" % round_)
            hosts += 1
        except Refused as error:
            if error.code != BUSY:
                raise
    guest.stop = True
    guest.join(30)
    tap.ok(not guest.wrong and not guest.is_alive(),
           f"{KILLS} kills: each of {guest.messages} answers is the guest's own", guest.wrong)
    tap.ok(sum(guest.done) > KILLS, f"{sum(guest.done)} extends were acknowledged")
    records = check_state(tap, vm, folder, f"{KILLS} kills")
    extends = [r[2][0] for r in vm.registers()]
    tap.is_equal(extends[:16], guest.done, "each register has the extends that the guest was told of")
    tap.is_equal((extends[17], records), (hosts, sum(guest.done) + hosts), "and the host's, and no other")
    tap.is_equal([line for line in service.killed() if "signal 9" not in line], [], "nothing else killed it")
    count = len(os.listdir(f"/proc/{service.process.pid}/fd"))
    tap.ok(count < 40, "the service holds one set of descriptors", count)
    tap.ok(vm.close(), "the VM's end cleans up")
    count = len(os.listdir(f"/proc/{service.process.pid}/fd"))
    tap.ok(count < 12, "and nothing is kept of it", count)
    service.close()


def check_ring(tap, folder):
    """Slots are done once each, and their results are the records that are in the log."""
    service = Service(paths.HW_ATTEST, options=("--restarts", "1000"))
    vm = service.attach(name="ring")
    memory = Memory(4 << 20)
    vm.memory([(0, memory.size, 0, memory.fd)])
    ring, shadow = Ring(vm, memory), Shadow(vm, memory)
    ring.on()
    shadow.configure()
    shadow.on()
    seen, wrong = 0, []
    for round_ in range(25):
        for _ in range(40):
            number = ring.produced
            ring.fill(number % 16, *digests(b"%d" % number))
            ring.submit(always=True)
        time.sleep(random.random() * 0.01)
        kill(vm)
        ring.wait()
        while seen < ring.produced:
            result, record = ring.result(seen)[:2]
            if result != NONE or record != seen:
                wrong.append((seen, result, record))
            seen += 1
    tap.is_equal(wrong[:3], [], f"ring: {seen} slots over 25 kills, each its own record")
    tap.is_equal(vm.status()["records"], seen, "ring: and no other")
    tap.is_equal(shadow.read(3), vm.guest_read(3), "ring: the shadow page is BAR2")
    check_state(tap, vm, folder, "ring")
    vm.close()
    memory.close()
    service.close()


def check_memory(tap, service):
    vm = service.attach(name="memory")
    first, second = Memory(1 << 20), Memory(2 << 20)
    vm.memory([(0, first.size, 0, first.fd)])
    vm.memory([(0, second.size, 0, second.fd), (1 << 32, first.size, 4096, first.fd)])
    vm.read(BAR0)
    kill(vm)
    answer, fds = call(vm.control, RAM)
    regions = [struct.unpack(">QQQ", answer[4 + i * 24:28 + i * 24]) for i in range(struct.unpack(">I", answer[:4])[0])]
    tap.is_equal(regions, [(0, second.size, 0), (1 << 32, first.size, 4096)],
                 "guest memory: the last map is still known")
    tap.is_equal([os.fstat(fd).st_ino for fd in fds], [os.fstat(m.fd).st_ino for m in (second, first)],
                 "guest memory: by its own files")
    for fd in fds:
        os.close(fd)
    vm.memory([(0, first.size, 0, first.fd)])
    vm.read(BAR0)
    kill(vm)
    answer, fds = call(vm.control, RAM)
    tap.is_equal(struct.unpack(">IQQQ", answer[:28]), (1, 0, first.size, 0),
                 "guest memory: a map that came after a restart too")
    for fd in fds:
        os.close(fd)
    vm.close()
    first.close()
    second.close()


def check_monitor(tap, service):
    """QMP: what had come in part, what had been asked, and time that stands still."""
    vm = service.attach(name="monitor")
    before = vm.status()
    vm.qmp_send('{"event": "STOP"}')
    vm.wait_status(lambda s: s["stopped"])
    time.sleep(0.1)
    vm.qmp.sendall(b'{"event": "RES')
    time.sleep(0.1)
    kill(vm)
    asked = [vm.qmp_file.readline() for _ in range(3)]
    tap.ok(all("execute" in line for line in asked), "monitor: QEMU is asked again for what may have changed", asked)
    tap.is_equal(vm.status()["stopped"], 1, "monitor: still paused")
    vm.qmp.sendall(b'UME"}\r\n')
    status = vm.wait_status(lambda s: not s["stopped"])
    tap.ok(status["paused"] >= 200_000_000, "monitor: half a line before and half after is one; pause counted",
           status["paused"])
    vm.read(BAR0)
    vm.wire_reset()
    kill(vm)
    tap.is_equal(vm.status()["pending"], 1, "monitor: a wire's RESET still waits for QMP's")
    vm.qmp_send('{"event": "RESET"}')
    after = vm.wait_status(lambda s: s["seed"] != before["seed"] and not s["pending"])
    tap.ok(after["boot_count"] > before["boot_count"], "monitor: with both it is a new boot")
    vm.close()


def check_stopped_tpm(tap, service, folder):
    vm = service.attach(name="stopped-tpm")
    for number in range(100):
        vm.guest_extend(1, *digests(b"%d" % number))
    swtpm = vm.swtpm()
    os.kill(swtpm, signal.SIGSTOP)
    for number in range(100):
        vm.guest_extend(1, *digests(b"%d" % number))
    kill(vm)
    tap.is_equal(vm.guest_extend(2, *digests(b"x")), NONE, "swtpm stopped: the next process takes extends")
    tap.is_equal(vm.guest_read(1)[2][0], 200, "swtpm stopped: and has all of the last one's")
    kill(vm)
    tap.is_equal(vm.guest_read(1)[2][0], 200, "swtpm stopped: killed while it waits for swtpm as well")
    os.kill(swtpm, signal.SIGCONT)
    tap.is_equal(check_state(tap, vm, folder, "swtpm stopped"), 201, "swtpm stopped: each extend once")
    tap.is_equal(vm.swtpm(), swtpm, "swtpm stopped: it is the same one")
    vm.close()


def check_interrupt(tap, service):
    """The service keeps QEMU's eventfds: a guest under KVM is interrupted by the next process as well."""
    vm = service.attach(name="interrupt")
    memory = Memory(4 << 20)
    vm.memory([(0, memory.size, 0, memory.fd)])
    asserts, resamples = os.eventfd(0, os.EFD_NONBLOCK), os.eventfd(0, os.EFD_NONBLOCK)
    vm.message(SET_IRQFD, fds=(asserts, resamples), reply=False)
    vm.qmp_send('{"return": {"enabled": true, "present": true}, "id": "kvm"}')
    vm.wait_status(lambda s: s["accelerator"] == 2)
    ring = Ring(vm, memory)
    ring.on()
    vm.write(REG_INTERRUPT_ENABLE, 1)
    ring.set_word(GUEST_FLAGS, WANT_INTERRUPT)
    kill(vm)
    tap.ok(vm.read(BAR0 + 8) & CAP_INTERRUPT, "interrupt: the next process has it")
    tap.is_equal(vm.read(REG_INTERRUPT_ENABLE), 1, "interrupt: and it is enabled")
    ring.fill(1, *digests(b"x"))
    ring.submit(always=True)
    ring.wait()
    tap.ok(select.select([asserts], [], [], 20)[0], "interrupt: asserted for a slot")
    tap.is_equal(vm.read(REG_INTERRUPT_STATUS), 1, "interrupt: and says why")
    vm.close()
    memory.close()
    for fd in (asserts, resamples):
        os.close(fd)


def check_stopped_shadow(tap, service):
    """What swtpm did for the dead process is shown by the shadow page as by BAR2."""
    vm = service.attach(name="stopped-shadow")
    memory = Memory(4 << 20)
    vm.memory([(0, memory.size, 0, memory.fd)])
    shadow = Shadow(vm, memory)
    shadow.configure()
    shadow.on()
    vm.guest_extend(1, *digests(b"first"))
    vm.wait_status(lambda s: s["synced"] == 1)
    swtpm = vm.swtpm()
    os.kill(swtpm, signal.SIGSTOP)
    vm.guest_extend(1, *digests(b"second"))
    time.sleep(0.3)  # for the device to send it; else the successor does
    kill(vm)
    os.kill(swtpm, signal.SIGCONT)
    vm.wait_status(lambda s: s["synced"] == 2)
    tap.is_equal(shadow.read(1), vm.guest_read(1), "swtpm stopped: the shadow page is BAR2 afterwards")
    tap.is_equal(shadow.read(1)[2][1], 2, "swtpm stopped: and says that both are confirmed")
    vm.close()
    memory.close()


def faulty(tap, vm, fault, name):
    """A fault that only a VM reset ends, shown to all sides; and it does."""
    status = vm.wait_status(lambda s: s["fault"])
    tap.is_equal(status["fault"], fault, f"{name}: the fault says so")
    tap.is_equal((vm.guest_extend(1, *digests(b"x")), vm.read(REG_STATUS)), (ERR_FAULT, 4),
                 f"{name}: the guest is told")
    error = refusal(vm.quote, SHA256, b"n")
    tap.is_equal(error and error.code, FAULT_CODE, f"{name}: no quote")
    vm.reset()
    after = vm.wait_status(lambda s: s["seed"] != status["seed"] and not s["pending"])
    tap.is_equal(after["fault"], 0, f"{name}: a VM reset mends it")
    tap.is_equal((vm.guest_extend(1, *digests(b"x")), vm.quote(SHA256, b"n")[3]), (NONE, 1),
                 f"{name}: extends and quotes again")
    tap.ok(vm.close(), f"{name}: it ends as always")


def frozen_kill(vm, between):
    """Kills the device with nobody to go on before between() is done: its service is stopped."""
    os.kill(vm.service.process.pid, signal.SIGSTOP)
    pid = device_pid(vm)
    os.kill(pid, signal.SIGKILL)
    vm.control.close()
    between()
    os.kill(vm.service.process.pid, signal.SIGCONT)
    until = time.monotonic() + 20
    while device_pid(vm) in (0, pid) and time.monotonic() < until:
        time.sleep(0.01)
    vm.control = vm.connect()


def check_differences(tap, service):
    def start():
        vm = service.attach(name="difference")
        vm.service = service
        for number in range(20):
            vm.guest_extend(1, *digests(b"%d" % number))
        vm.wait_status(lambda s: s["synced"] == 20)
        return vm

    name = "swtpm died as well"
    vm = start()
    swtpm = vm.swtpm()
    frozen_kill(vm, lambda: os.kill(swtpm, signal.SIGKILL))
    tap.is_equal(vm.guest_read(1)[2][0], 20, f"{name}: registers are those of the log")
    faulty(tap, vm, TPM_GONE, name)

    name = "swtpm was extended by another"
    vm = start()
    with device_tpm.borrow(device_pid(vm), "/proc/self/fd/10/tpm.sock") as tpm:
        extend_pcr(tpm, 5)
    kill(vm)
    faulty(tap, vm, TPM_DIFFERS, name)

    # A record that swtpm has already is no longer in the pipe: the TPM tells that it was changed.
    for name, change, fault in (("log cut", lambda path: os.truncate(path, 100), RECOVERY),
                                ("log emptied", lambda path: os.truncate(path, 0), RECOVERY),
                                ("a bit of the log turned", flip, TPM_DIFFERS)):
        vm = start()
        frozen_kill(vm, lambda change=change, vm=vm: change(vm.state + "/eventlog.cel"))
        faulty(tap, vm, fault, name)


def flip(path):
    with open(path, "r+b") as file:
        file.seek(60)
        byte = file.read(1)[0]
        file.seek(60)
        file.write(bytes([byte ^ 1]))


def tpm_command(vm, command):
    """The answer's parameters, on the device's connection; nothing is under way there."""
    with device_tpm.borrow(device_pid(vm), "/proc/self/fd/10/tpm.sock") as tpm:
        tpm.sendall(command)
        answer = tpm.recv(4096)
    assert answer[6:10] == bytes(4), answer.hex()
    return answer[10:]


def was_orderly(vm):
    """TPM2_ReadClock: time, clock, resetCount, restartCount, safe."""
    return tpm_command(vm, bytes.fromhex("80010000000a00000181"))[24] == 1


def lockout_counter(vm):
    """TPM2_GetCapability of TPM_PT_LOCKOUT_COUNTER."""
    answer = tpm_command(vm, bytes.fromhex("8001000000160000017a000000060000020e00000001"))
    assert answer[9:13] == bytes.fromhex("0000020e"), answer.hex()
    return struct.unpack(">I", answer[13:17])[0]


def check_ends(tap, service):
    """TPM2_Shutdown on each way that we go; and what a TPM that never got it makes of that."""
    vm = service.attach(name="ends")
    vid = vm.vid
    again = lambda: service.attach(name="ends", vid=vid)  # noqa: E731
    tap.is_equal(lockout_counter(vm), 0, "ends: a new TPM counts no failed tries")
    vm.close()
    vm = again()
    tap.ok(was_orderly(vm), "ends: the VM's end is told to its TPM")
    vm.kill_device(signal.SIGSYS)
    vm.close()
    vm = again()
    tap.ok(was_orderly(vm), "ends: so is that of a device that is given up, by its service")
    kill(vm)
    vm.guest_extend(1, *digests(b"x"))
    vm.wait_status(lambda s: s["synced"] == 1)
    vm.close()
    vm = again()
    tap.ok(was_orderly(vm), "ends: and the end after a restart")
    for _ in range(40):
        os.kill(vm.swtpm(), signal.SIGKILL)
        vm.close()
        vm = again()
        if was_orderly(vm):
            tap.ok(False, "ends: a killed swtpm had no orderly end")
    tap.is_equal(lockout_counter(vm), 0, "ends: 40 disorderly ones count as no failed try")
    vm.guest_extend(1, *digests(b"x"))
    tap.is_equal(vm.quote(SHA256, b"n")[3], 1, "ends: and the TPM quotes")
    vm.close()


def extend_pcr(tpm, index):
    """TPM2_PCR_Extend with an empty password, SHA-256 only."""
    body = struct.pack(">I", index) + struct.pack(">IIHBH", 9, 0x40000009, 0, 0, 0) + \
        struct.pack(">IH", 1, SHA256) + bytes(32)
    tpm.sendall(struct.pack(">HII", 0x8002, 10 + len(body), 0x182) + body)
    code = struct.unpack(">I", tpm.recv(4096)[6:10])[0]
    assert code == 0, hex(code)


def main():
    tap = Tap()
    missing = paths.missing("swtpm", "tpm2_checkquote", paths.HW_ATTEST)
    if missing:
        tap.skip_all(f"{missing} is missing")
    random.seed(os.environ.get("MONATT_TEST_SEED", "1"))
    with tempfile.TemporaryDirectory() as folder:
        with tap:
            check_kills(tap, folder)
        with tap:
            check_ring(tap, folder)
        service = Service(paths.HW_ATTEST, options=("--restarts", "1000"))
        for check, arguments in ((check_memory, ()), (check_monitor, ()), (check_stopped_tpm, (folder,)),
                                 (check_stopped_shadow, ()),
                                 (check_interrupt, ()),
                                 (check_differences, ()), (check_ends, ())):
            with tap:
                check(tap, service, *arguments)
        if tap.failed:
            tap.note(service.stderr())
        service.close()
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
