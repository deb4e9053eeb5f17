# SPDX-License-Identifier: GPL-2.0-or-later
"""wire_vfio_user.py: QEMU's end of vfio-user, byte by byte, with the calls of device_client.Vm."""
import array
import socket
import struct

from device_client import BAR0, BAR2, Vm

VERSION, DMA_MAP, DMA_UNMAP, GET_INFO, REGION_INFO = 1, 2, 3, 4, 5
IRQ_INFO, SET_IRQS, REGION_READ, REGION_WRITE, DEVICE_RESET, DEVICE_FEATURE = 7, 8, 9, 10, 13, 16
CONFIG = 7  # region
PROPOSAL = b'{"capabilities":{"max_msg_fds":16,"max_data_xfer_size":1048576,"pgsizes":4096}}\0'


class WireError(Exception):
    """An answer with an error number."""


class VfioUserVm(Vm):
    WIRE = 1

    def open_wire(self, path, fds):
        self.path = path
        self.number = 0
        self.wire = socket.socket(socket.AF_UNIX)
        self.wire.settimeout(30)
        self.wire.connect(path)
        self.version = self.message(VERSION, struct.pack("<HH", 0, 0) + PROPOSAL)

    def message(self, command, payload=b"", fds=(), reply=True):
        self.number = (self.number + 1) & 0xFFFF
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        self.wire.sendmsg([struct.pack("<HHIII", self.number, command, 16 + len(payload),
                                       0 if reply else 0x10, 0) + payload], ancillary)
        if not reply:
            return None
        number, got, size, flags, error = struct.unpack("<HHIII", self.take(16))
        assert (number, got) == (self.number, command), (number, got)
        data = self.take(size - 16)
        if flags == 0x21:
            raise WireError(error)
        assert flags == 1, flags
        return data

    def take(self, size):
        data = b""
        while len(data) < size:
            more = self.wire.recv(size - len(data))
            if not more:
                raise EOFError("device closed the wire")
            data += more
        return data

    def region_read(self, region, offset, size):
        data = self.message(REGION_READ, struct.pack("<QII", offset, region, size))
        assert data[:16] == struct.pack("<QII", offset, region, size), data
        return int.from_bytes(data[16:], "little")

    def region_write(self, region, offset, value, size, reply=True):
        where = struct.pack("<QII", offset, region, size)
        data = self.message(REGION_WRITE, where + value.to_bytes(size, "little"), reply=reply)
        assert data == (where if reply else None), data

    @staticmethod
    def place(address):
        return (0, address - BAR0) if address < BAR2 else (2, address - BAR2)

    def config_read(self, address, size=4):
        return self.region_read(CONFIG, address, size)

    def config_write(self, address, value, size=4):
        self.region_write(CONFIG, address, value, size)

    def read(self, address, size=4):
        return self.region_read(*self.place(address), size)

    def write(self, address, value, size=4):
        self.region_write(*self.place(address), value, size)

    def memory(self, regions):
        self.message(DMA_UNMAP, struct.pack("<IIQQ", 24, 2, 0, 0))
        for address, size, offset, fd in regions:
            self.message(DMA_MAP, struct.pack("<IIQQQ", 32, 3, offset, address, size), [fd])

    def wire_reset(self):
        self.message(DEVICE_RESET)
        self.config_write(0x10, BAR0)
        self.config_write(0x18, BAR2)
