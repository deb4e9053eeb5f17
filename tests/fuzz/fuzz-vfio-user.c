/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuzz-vfio-user.c - a hostile guest or QEMU on the vfio-user wire: wire-vfio-user*.c, command.c
 *
 * The input is the bytes of a connection, as `hw-attest replay --wire vfio-user` takes them; a
 * message with an odd id brings a descriptor, one whose id ends in binary 11 brings two.  After
 * each message: the answer has the protocol's form, what fuzz-wire.c demands holds, and the memory
 * map is what a second, slow model of it says.
 */
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>
#include "hw-attest/wire-vfio-user.h"
#include "libmonatt/base/reader.h"
#include "tests/fuzz/wire-checks.h"

/* The model: ranges in no order, compared one with the other. */
typedef struct Model {
    bool lost; /* more ranges than the wire keeps: which ones is its own choice */
    size_t count;
    MonattRamRegion ranges[WIRE_DMA_MAXIMUM];
} Model;

static bool overlap(const MonattRamRegion *a, uint64_t address, uint64_t last)
{
    return a->guest_physical <= last && address <= a->guest_physical + (a->size - 1);
}

static uint32_t model_map(Model *model, const MonattRamRegion *region)
{
    uint64_t last = region->guest_physical + (region->size - 1);
    if (region->size == 0 || last < region->guest_physical || last == UINT64_MAX ||
        (region->guest_physical | region->size | region->offset) & 4095 ||
        region->offset > INT64_MAX || region->size > INT64_MAX - region->offset) {
        return EINVAL;
    }
    for (size_t i = 0; i < model->count; i++) {
        if (overlap(&model->ranges[i], region->guest_physical, last)) {
            return EEXIST;
        }
    }
    if (model->count == WIRE_DMA_MAXIMUM) {
        model->lost = true;
    } else {
        model->ranges[model->count++] = *region;
    }
    return 0;
}

static uint32_t model_unmap(Model *model, uint64_t address, uint64_t size)
{
    uint64_t last = address + (size - 1);
    if (size == 0 || last < address || last == UINT64_MAX) {
        return EINVAL;
    }
    for (size_t i = 0; i < model->count; i++) {
        const MonattRamRegion *range = &model->ranges[i];
        if (overlap(range, address, last) &&
            (range->guest_physical < address || range->guest_physical + (range->size - 1) > last)) {
            return EINVAL;
        }
    }
    for (size_t i = model->count; i > 0; i--) {
        if (overlap(&model->ranges[i - 1], address, last)) {
            model->ranges[i - 1] = model->ranges[--model->count];
        }
    }
    return 0;
}

static uint64_t u64(const uint8_t *bytes)
{
    uint64_t value;
    memcpy(&value, bytes, 8);
    return value;
}

static uint32_t u32(const uint8_t *bytes)
{
    uint32_t value;
    memcpy(&value, bytes, 4);
    return value;
}

/* What the model answers to a message; UINT32_MAX: it says nothing about this one. */
static uint32_t model_message(Model *model, uint16_t command, const uint8_t *payload, size_t fds)
{
    if (command == VFIO_USER_DMA_MAP && fds == 1 && u32(payload) >= 32 &&
        (u32(payload + 4) == 1 || u32(payload + 4) == 3)) {
        const MonattRamRegion region = {u64(payload + 16), u64(payload + 24), u64(payload + 8)};
        return model_map(model, &region);
    }
    if (command == VFIO_USER_DMA_UNMAP && u32(payload) >= 24 && u32(payload + 4) == 0) {
        return model_unmap(model, u64(payload + 8), u64(payload + 16));
    }
    if (command == VFIO_USER_DMA_UNMAP && u32(payload) >= 24 && u32(payload + 4) == 2 &&
        u64(payload + 8) == 0 && u64(payload + 16) == 0) {
        *model = (Model){0};
        return 0;
    }
    return UINT32_MAX;
}

/* Is the range in one of the regions, and at its place in the file? */
static bool shown(const GuestRam *ram, const MonattRamRegion *range)
{
    for (size_t i = 0; i < ram->count; i++) {
        const MonattRamRegion *region = &ram->regions[i];
        uint64_t inside = range->guest_physical - region->guest_physical;
        if (range->guest_physical >= region->guest_physical && inside < region->size &&
            range->size <= region->size - inside && region->offset + inside == range->offset) {
            return true;
        }
    }
    return false;
}

static void check_memory(const Model *model, const GuestRam *ram)
{
    uint64_t pages = 0;
    uint64_t wanted = 0;
    require(ram->count <= MONATT_RAM_REGIONS_MAXIMUM);
    for (size_t i = 0; i < ram->count; i++) {
        const MonattRamRegion *region = &ram->regions[i];
        bool known = model->lost;
        pages += region->size >> 12;
        require(wire_region_valid(region));
        require(i == 0 || region[-1].guest_physical + region[-1].size <= region->guest_physical);
        for (size_t j = 0; j < model->count && !known; j++) {
            known = model->ranges[j].guest_physical == region->guest_physical &&
                    model->ranges[j].offset == region->offset;
        }
        require(known);
    }
    for (size_t i = 0; i < model->count; i++) {
        wanted += model->ranges[i].size >> 12;
        require(model->lost || ram->hidden > 0 || shown(ram, &model->ranges[i]));
    }
    require(model->lost || (ram->hidden == 0 ? pages == wanted : pages < wanted));
}

static void check_reply(const WireVfioUserHeader *header, const uint8_t *reply, size_t size)
{
    if (header->flags & VFIO_USER_FLAG_NO_REPLY) {
        require(size == 0);
        return;
    }
    require(size >= WIRE_VFIO_USER_HEADER_SIZE && size <= WIRE_VFIO_USER_REPLY_MAXIMUM);
    require((reply[0] | reply[1] << 8) == header->id);
    require((reply[2] | reply[3] << 8) == header->command);
    require(u32(reply + 4) == size);
    uint32_t error = u32(reply + 12);
    require(u32(reply + 8) == (error ? 0x21 : 1));
    require(!error || size == WIRE_VFIO_USER_HEADER_SIZE);
    if (!error && header->command == VFIO_USER_DEVICE_GET_REGION_INFO) {
        require(u32(reply + 20) == 0 || u32(reply + 20) == 3); /* never mapped */
    }
    if (!error && header->command == VFIO_USER_DEVICE_GET_IRQ_INFO) {
        require(u32(reply + 28) == 0); /* no interrupts */
    }
}

/* One message; false: the connection is dropped. */
static bool message(WireVfioUser *connection, Device *device, Model *model, MonattReader *r,
                    int ram)
{
    const uint8_t *bytes;
    const uint8_t *payload;
    WireVfioUserHeader header;
    uint8_t reply[WIRE_VFIO_USER_REPLY_MAXIMUM];
    size_t size;
    int fds[2];
    if (!monatt_reader_bytes(r, WIRE_VFIO_USER_HEADER_SIZE, &bytes) ||
        !wire_vfio_user_header(bytes, &header, NULL) ||
        !monatt_reader_bytes(r, header.size, &payload)) {
        return false;
    }
    require(header.size <= WIRE_VFIO_USER_PAYLOAD_MAXIMUM);
    size_t fd_count = header.id % 4 == 3 ? 2 : header.id % 2;
    for (size_t i = 0; i < fd_count; i++) {
        fds[i] = dup(ram);
        require(fds[i] >= 0);
    }
    bool negotiated = connection->negotiated;
    Registers before = device->registers;
    if (!wire_vfio_user_handle(connection, device, &header, payload, fds, fd_count, reply, &size,
                               NULL)) {
        return false;
    }
    require(negotiated != (header.command == VFIO_USER_VERSION));
    check_reply(&header, reply, size);
    uint32_t expected = model_message(model, header.command, payload, fd_count);
    require(expected == UINT32_MAX || model->lost || u32(reply + 12) == expected);
    check_memory(model, &device->ram);
    wire_check(device, &before);
    return true;
}

/* The two lowest free descriptors: they are given out lowest first, so a leak is in the way. */
static void lowest_free(int ram, int ret[2])
{
    ret[0] = dup(ram);
    ret[1] = dup(ram);
    require(ret[0] >= 0 && ret[1] >= 0);
    close(ret[0]);
    close(ret[1]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int ram = -1;
    int before[2];
    int after[2];
    MonattReader r;
    WireVfioUser connection;
    Model model = {0};
    Device *device = wire_fresh_device();
    if (ram < 0) {
        ram = memfd_create("ram", MFD_CLOEXEC);
        require(ram >= 0);
    }
    lowest_free(ram, before);
    wire_vfio_user_init(&connection);
    monatt_reader_init(&r, "input", data, size, NULL);
    for (unsigned i = 0; i < WIRE_MESSAGES_MAXIMUM; i++) {
        if (!message(&connection, device, &model, &r, ram)) {
            break;
        }
        wire_catch_up(device, i);
    }
    wire_vfio_user_clear(&connection);
    guest_ram_clear(&device->ram);
    guest_ram_init(&device->ram);
    lowest_free(ram, after);
    require(before[0] == after[0] && before[1] == after[1]);
    return 0;
}
