# SPDX-License-Identifier: GPL-2.0-or-later
"""ring_client.py: a guest's memory, ring and shadow page, as a driver would use them.

The memory is a memfd that the test, in QEMU's place, gives to the device; all words in it are read
and written at once, as a CPU does.  Offsets are those of docs/register-map.md, written down here
again so that a test does not use the code that it tests.
"""
import mmap
import os
import struct
import time

from device_client import BAR0

COMMAND, BUS_MASTER, MEMORY_SPACE = 0x04, 4, 2
RING_ADDRESS, RING_SLOTS, RING_CONTROL, DOORBELL, RING_ERROR = 0x60, 0x68, 0x6C, 0x70, 0x74
SHADOW_ADDRESS, SHADOW_CONTROL = 0x78, 0x80
OFF, ON, FAULT = 0, 1, 2
NONE, ERR_COMMAND, ERR_INDEX, ERR_LOCALITY, ERR_SIZE, ERR_BUSY, ERR_FAULT = range(7)
ERR_FULL, ERR_ADDRESS = 8, 9
PRODUCED, GUEST_FLAGS, CONSUMED, DEVICE_FLAGS, RECORDS, RECORDS_SYNCED = 0, 4, 0x40, 0x44, 0x48, 0x50
WANT_DOORBELL, FAULTED, BUSY = 1, 2, 4
HEADER, SLOT = 0x1000, 0x480
EXTEND, RESET, REPORT_READ = 1, 2, 3
SLOT_FORMAT = "<HHHHIIQ8x32s48s16x"


class Memory:
    """Guest RAM: a memfd, mapped here; offsets in it are the test's."""

    def __init__(self, size):
        self.size = size
        self.fd = os.memfd_create("guest")
        os.ftruncate(self.fd, size)
        self.bytes = mmap.mmap(self.fd, size)
        self.bytes[:] = bytes(size)  # all of it was written once
        self.words = memoryview(self.bytes).cast("I")
        self.longs = memoryview(self.bytes).cast("Q")

    def close(self):
        self.words.release()
        self.longs.release()
        self.bytes.close()
        os.close(self.fd)


class Ring:
    """The driver of one ring of a vm, at an offset of a memory that the guest sees at an address."""

    def __init__(self, vm, memory, slots=64, offset=0x10000, address=None):
        self.vm, self.memory, self.slots, self.offset = vm, memory, slots, offset
        self.address = offset if address is None else address
        self.produced = 0
        self.doorbells = 0

    def word(self, offset):
        return self.memory.words[(self.offset + offset) // 4]

    def set_word(self, offset, value):
        self.memory.words[(self.offset + offset) // 4] = value & 0xFFFFFFFF

    def long(self, offset):
        return self.memory.longs[(self.offset + offset) // 8]

    def configure(self):
        self.vm.config_write(COMMAND, MEMORY_SPACE | BUS_MASTER, 2)
        self.vm.write(BAR0 + RING_ADDRESS, self.address, 8)
        self.vm.write(BAR0 + RING_SLOTS, self.slots)

    def control(self, value):
        """The state after a write of the control register."""
        self.vm.write(BAR0 + RING_CONTROL, value)
        return self.vm.read(BAR0 + RING_CONTROL)

    def on(self):
        """A new ring: header zero, which only one that is off stays."""
        self.control(0)
        self.memory.bytes[self.offset:self.offset + HEADER] = bytes(HEADER)
        self.produced = 0
        self.configure()
        state = self.control(1)
        assert state == ON, (state, self.vm.read(BAR0 + RING_ERROR))

    def place(self, count):
        return self.offset + HEADER + count % self.slots * SLOT

    def fill(self, index=0, d256=None, d384=None, content=b"", operation=EXTEND, banks=None, size=None):
        """The next slot; it is handed over by submit()."""
        if banks is None:
            banks = (1 if d256 else 0) | (2 if d384 else 0)
        at = self.place(self.produced)
        self.memory.bytes[at:at + 0x80] = struct.pack(
            SLOT_FORMAT, operation, index, banks, len(content) if size is None else size, 0,
            0xDEAD, 0xDEAD, d256 or b"", d384 or b"")
        self.memory.bytes[at + 0x80:at + 0x80 + len(content)] = content
        self.produced = (self.produced + 1) & 0xFFFFFFFF

    def submit(self, always=False):
        self.set_word(PRODUCED, self.produced)
        if always or self.word(DEVICE_FLAGS) & WANT_DOORBELL:
            self.doorbells += 1
            self.vm.write(BAR0 + DOORBELL, 1)

    def waiting(self):
        return (self.produced - self.word(CONSUMED)) & 0xFFFFFFFF

    def wait(self, left=0, seconds=30):
        """Until at most `left` slots are not done."""
        until = time.monotonic() + seconds
        while self.waiting() > left:
            if time.monotonic() > until:
                raise TimeoutError(f"{self.waiting()} slots wait, flags {self.word(DEVICE_FLAGS):#x}")
            time.sleep(0.0002)

    def result(self, count):
        """(result, record) of the slot that was the count-th."""
        at = self.place(count) + 0xC
        return struct.unpack("<IQ", self.memory.bytes[at:at + 12])

    def one(self, *arguments, **options):
        """One slot, done: its (result, record)."""
        number = self.produced
        self.fill(*arguments, **options)
        self.submit()
        self.wait()
        return self.result(number)


class Shadow:
    """The shadow page, at an offset of a memory."""

    def __init__(self, vm, memory, offset=0x8000, address=None):
        self.vm, self.memory, self.offset = vm, memory, offset
        self.address = offset if address is None else address

    def configure(self):
        self.vm.config_write(COMMAND, MEMORY_SPACE | BUS_MASTER, 2)
        self.vm.write(BAR0 + SHADOW_ADDRESS, self.address, 8)

    def control(self, value):
        self.vm.write(BAR0 + SHADOW_CONTROL, value)
        return self.vm.read(BAR0 + SHADOW_CONTROL)

    def on(self):
        self.configure()
        state = self.control(1)
        assert state == ON, state

    def page(self):
        return bytes(self.memory.bytes[self.offset:self.offset + 0x1000])

    def sequence(self):
        return self.memory.words[self.offset // 4]

    def read(self, index):
        """(SHA-256, SHA-384, (extends, synced)) by the sequence rule, and how often it was read."""
        at = self.offset + 0x100 + index * 0x60
        for tries in range(1, 100000):
            before = self.sequence()
            entry = bytes(self.memory.bytes[at:at + 0x60])
            if before % 2 == 0 and self.sequence() == before:
                return entry[:32], entry[32:80], struct.unpack("<QQ", entry[80:])
        raise RuntimeError(f"the page was never still in {tries} reads")
