/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuzz-vcpu-registers.c - what QEMU's monitor may write as a vCPU's registers
 *
 * First byte: how many vCPUs there is room for, 0 to 7.
 */
#include <string.h>
#include "libmonatt/formats/vcpu-registers.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    MonattVcpuRegisters cpus[9];
    MonattError err = {0};
    size_t count = 100;
    if (size < 1) {
        return 0;
    }
    size_t room = data[0] % 8;
    memset(cpus, 0x5a, sizeof(cpus));
    const MonattVcpuRegisters beyond = cpus[8];
    bool good =
        monatt_vcpu_registers_parse((const char *)data + 1, size - 1, cpus, room, &count, &err);
    require(good == (err.code == MONATT_ERROR_NONE));
    require(good ? count >= 1 && count <= room : count == 100);
    for (size_t i = room; i < 9; i++) {
        require(memcmp(&cpus[i], &beyond, sizeof(beyond)) == 0);
    }
    for (size_t i = 0; good && i < count; i++) {
        require(cpus[i].cpl <= 3);
    }
    return 0;
}
