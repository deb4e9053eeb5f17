/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuzz-ring.c - a guest that writes ring, shadow page and their registers as it likes: ring.c,
 * shadow.c, guest-ram.c
 *
 * The input is a list of steps, each one byte and its arguments.  After each step: registers are
 * what a second model makes of the records, the host's stand, the pipe is within its limit, and of
 * a device that is off nothing in guest memory has changed.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "hw-attest/wire.h"
#include "libmonatt/base/reader.h"
#include "libmonatt/eventlog/cel.h"
#include "tests/fuzz/fuzz.h"

#define RAM_SIZE (64u * 1024)
#define RAM_GUEST 0x10000u
#define STEPS_MAXIMUM 512

enum { WRITE_BAR, WRITE_RAM, STEP, ASLEEP, MAP, CONFIG, TPM, WIRE_RESET, READ_BAR, STEP_KINDS };

static Device *device;
static uint8_t *ram;
static int ram_fd;
static Registers model;
static uint64_t seen; /* records that the model has */

static void map_memory(uint64_t at, uint64_t size, uint64_t offset)
{
    const MonattRamRegion region = {at, size, offset};
    const int fd = dup(ram_fd);
    require(fd >= 0);
    guest_ram_replace(&device->ram, &region, &fd, wire_region_valid(&region) ? 1 : 0);
    if (!wire_region_valid(&region)) {
        close(fd);
    }
    command_memory_changed(device);
}

/* One device and one memory for all inputs, as new each time. */
static void fresh(void)
{
    if (!device) {
        device = device_new(NULL);
        ram_fd = memfd_create("fuzz", MFD_CLOEXEC);
        require(device != NULL && ram_fd >= 0 && ftruncate(ram_fd, RAM_SIZE) == 0);
        ram = mmap(NULL, RAM_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, ram_fd, 0);
        require(ram != MAP_FAILED);
    }
    command_dma_off(device);
    device->ring.kept = (RingState){0};
    device->shadow.kept = (ShadowState){0};
    registers_init(&device->registers);
    registers_init(&model);
    seen = 0;
    reset_init(&device->reset);
    command_new_boot(&device->command);
    device->command.sequence = 0;
    pci_config_init(&device->config);
    command_config_write(device, 4, 6, 2);
    pipe_clear(device->pipe);
    device->guest_bytes = 0;
    memset(ram, 0, RAM_SIZE);
    map_memory(RAM_GUEST, RAM_SIZE, 0);
}

static void follow(void)
{
    for (; seen < device->pipe->enqueued; seen++) {
        const PipeEntry *entry = pipe_entry(device->pipe, seen);
        require(!entry->host && entry->content_size <= MONATT_CONTENT_MAXIMUM);
        if (entry->content_type == MONATT_CEL_RESET) {
            require(registers_reset(&model, entry->index, NULL));
        } else {
            require(registers_extend(&model, entry->index, REGISTERS_GUEST,
                                     entry->has_sha256 ? entry->sha256 : NULL,
                                     entry->has_sha384 ? entry->sha384 : NULL, NULL));
        }
    }
}

static void check(void)
{
    const RingState *ring = &device->ring.kept;
    require(device->pipe->enqueued - device->pipe->synced <= PIPE_ENTRIES);
    follow();
    for (size_t i = 0; i < MONATT_REGISTER_COUNT; i++) {
        require(memcmp(model.mr[i].sha256, device->registers.mr[i].sha256, 32) == 0);
        require(memcmp(model.mr[i].sha384, device->registers.mr[i].sha384, 48) == 0);
        require(model.mr[i].extends == device->registers.mr[i].extends);
    }
    bool on = ring->state == MONATT_RING_ON;
    require(on == (device->ring.window.bytes != NULL));
    require(!on || (ring->count >= MONATT_RING_SLOTS_MINIMUM &&
                    ring->count <= MONATT_RING_SLOTS_MAXIMUM && ring->base % 4096 == 0 &&
                    device->ring.window.size ==
                        MONATT_RING_HEADER_SIZE + (size_t)ring->count * MONATT_RING_SLOT_SIZE));
    require((device->shadow.kept.state == MONATT_RING_ON) == (device->shadow.window.bytes != NULL));
    require(!(on || device->shadow.window.bytes) || pci_config_bus_master(&device->config));
    require(device->command.sequence % 2 == 0);
}

static bool write_ram(MonattReader *r)
{
    uint32_t at;
    uint16_t size;
    const uint8_t *bytes;
    if (!monatt_reader_u32_le(r, &at) || !monatt_reader_u16_le(r, &size) ||
        !monatt_reader_bytes(r, size, &bytes)) {
        return false;
    }
    at %= RAM_SIZE;
    memcpy(ram + at, bytes, size < RAM_SIZE - at ? size : RAM_SIZE - at);
    return true;
}

static bool access_bar(MonattReader *r, bool write)
{
    uint16_t offset;
    uint16_t size;
    uint64_t value;
    if (!monatt_reader_u16_le(r, &offset) || !monatt_reader_u16_le(r, &size) ||
        !monatt_reader_u64_le(r, &value)) {
        return false;
    }
    if (write) {
        command_write(device, 0, offset, value, size);
    } else {
        (void)command_read(device, (unsigned)value, offset, size);
    }
    return true;
}

static bool one_step(MonattReader *r, unsigned kind)
{
    uint64_t where[3];
    uint32_t config[3];
    switch (kind) {
    case WRITE_BAR:
    case READ_BAR:
        return access_bar(r, kind == WRITE_BAR);
    case WRITE_RAM:
        return write_ram(r);
    case STEP: {
        uint64_t before = device->pipe->enqueued;
        RingStep step = ring_step(device);
        require(device->pipe->enqueued - before <= RING_BATCH);
        require(step == RING_STEP_WORKED || device->pipe->enqueued == before);
        return true;
    }
    case ASLEEP:
        (void)ring_fall_asleep(device);
        return true;
    case MAP:
        for (size_t i = 0; i < 3; i++) {
            if (!monatt_reader_u64_le(r, &where[i])) {
                return false;
            }
        }
        map_memory(where[0], where[1], where[2]);
        return true;
    case CONFIG:
        for (size_t i = 0; i < 3; i++) {
            if (!monatt_reader_u32_le(r, &config[i])) {
                return false;
            }
        }
        command_config_write(device, config[0], config[1], config[2]);
        return true;
    case TPM:
        /* As tpm-backend.c: one record, its count, the page. */
        if (device->pipe->synced < device->pipe->enqueued) {
            device->pipe->logged = device->pipe->enqueued;
            unsigned index = pipe_entry(device->pipe, device->pipe->synced)->index;
            device->pipe->synced++;
            command_begin_update(&device->command);
            device->registers.mr[index].synced++;
            command_end_update(&device->command);
            shadow_update(device, index);
        }
        return true;
    default:
        wire_reset(device);
        return true;
    }
}

static bool off(void)
{
    return !device->ring.window.bytes && !device->shadow.window.bytes;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t before[RAM_SIZE];
    MonattReader r;
    uint8_t kind;
    fresh();
    monatt_reader_init(&r, "input", data, size, NULL);
    for (unsigned i = 0; i < STEPS_MAXIMUM && monatt_reader_u8(&r, &kind); i++) {
        kind %= STEP_KINDS;
        bool quiet = kind != WRITE_RAM && off();
        if (quiet) {
            memcpy(before, ram, sizeof(before));
        }
        if (!one_step(&r, kind)) {
            break;
        }
        check();
        require(!quiet || !off() || kind == WRITE_BAR || memcmp(before, ram, sizeof(before)) == 0);
    }
    return 0;
}
