/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * wire-vfio-user.c - the far end of QEMU's vfio-user-pci
 *
 * What QEMU 11.1 does not survive is never done here (docs/qemu-faults.md): no part of a reply, no
 * late reply, no MSI-X, no BAR that is mapped for reading only.  So no interrupts are offered and
 * both BARs are trapped.  Migration is never offered: nothing but the register values would
 * travel, and their TPM stays on this host.
 * QEMU holds its big lock while it waits: nothing here waits for anything but QEMU's next message.
 */
#include "hw-attest/wire-vfio-user.h"

#include <errno.h>
#include <string.h>

/* linux/vfio.h */
#define DEVICE_FLAGS_RESET 0x1u
#define DEVICE_FLAGS_PCI 0x2u
#define REGION_FLAGS_READ_WRITE 0x3u
#define REGION_COUNT 9 /* BARs 0 to 5, ROM, configuration space, VGA */
#define REGION_CONFIG 7
#define IRQ_COUNT 5 /* INTx, MSI, MSI-X, error, request */
#define DMA_MAP_READ 0x1u
#define DMA_MAP_FLAGS 0x3u
#define DMA_UNMAP_ALL 0x2u

#define VERSION_MAJOR 0
#define VERSION_MINOR 0 /* what QEMU 11.1 proposes */

typedef struct Exchange {
    WireVfioUser *connection;
    Device *device;
    MonattReader *r;
    MonattWriter *w;
    const int *fds;
    size_t fd_count; /* 0: the handler took them */
} Exchange;

/*
 * A handler reads the payload and writes the answer's; it returns 0 or the errno value that the
 * answer carries instead.  READER: the reader has failed, the connection is dropped.
 */
#define READER UINT32_MAX

static bool names(const uint8_t *text, size_t size, const char *name)
{
    return memmem(text, size, name, strlen(name)) != NULL;
}

/* The reply's capabilities must be among the proposed ones, so only those are answered. */
static void write_capabilities(MonattWriter *w, const uint8_t *text, size_t size)
{
    static const struct {
        const char *name;
        const char *answer;
    } ours[] = {{"\"max_msg_fds\"", "\"max_msg_fds\":8"},
                {"\"max_data_xfer_size\"", "\"max_data_xfer_size\":256"},
                {"\"pgsizes\"", "\"pgsizes\":4096"}};
    _Static_assert(WIRE_FDS_MAXIMUM == 8 && WIRE_VFIO_USER_TRANSFER_MAXIMUM == 256, "as answered");
    const char *between = "";
    monatt_writer_bytes(w, "{\"capabilities\":{", strlen("{\"capabilities\":{"));
    for (size_t i = 0; i < MONATT_ARRAY_SIZE(ours); i++) {
        if (names(text, size, ours[i].name)) {
            monatt_writer_bytes(w, between, strlen(between));
            monatt_writer_bytes(w, ours[i].answer, strlen(ours[i].answer));
            between = ",";
        }
    }
    monatt_writer_bytes(w, "}}", sizeof("}}"));
}

static uint32_t version(Exchange *x, size_t size)
{
    uint16_t major;
    uint16_t minor;
    const uint8_t *text;
    size_t length = size - 4;
    if (!monatt_reader_u16_le(x->r, &major) || !monatt_reader_u16_le(x->r, &minor) ||
        !monatt_reader_bytes(x->r, length, &text)) {
        return READER;
    }
    if (x->connection->negotiated || major != VERSION_MAJOR) {
        monatt_reader_fail(x->r, "version %u.%u: not ours, or not at the start", major, minor);
        return READER;
    }
    if (length > 0 && text[length - 1] != '\0') {
        monatt_reader_fail(x->r, "version: text without its end");
        return READER;
    }
    x->connection->negotiated = true;
    monatt_writer_u16_le(x->w, VERSION_MAJOR);
    monatt_writer_u16_le(x->w, VERSION_MINOR);
    if (length > 0) {
        write_capabilities(x->w, text, length);
    }
    return 0;
}

static uint32_t dma_map(Exchange *x, size_t size)
{
    uint32_t argsz;
    uint32_t flags;
    MonattRamRegion region;
    if (!monatt_reader_u32_le(x->r, &argsz) || !monatt_reader_u32_le(x->r, &flags) ||
        !monatt_reader_u64_le(x->r, &region.offset) ||
        !monatt_reader_u64_le(x->r, &region.guest_physical) ||
        !monatt_reader_u64_le(x->r, &region.size)) {
        return READER;
    }
    if (argsz < size || (flags & ~DMA_MAP_FLAGS) || x->fd_count > 1) {
        return EINVAL;
    }
    /* Without a descriptor it is a ROM or another device: nothing that we would read. */
    if (x->fd_count == 0 || !(flags & DMA_MAP_READ)) {
        return region.size > UINT64_MAX - region.guest_physical ? EINVAL : 0;
    }
    x->fd_count = 0;
    uint32_t error = wire_dma_map(&x->connection->dma, &x->device->ram, &region, x->fds[0]);
    command_memory_changed(x->device);
    return error;
}

static uint32_t dma_unmap(Exchange *x, size_t size)
{
    uint32_t argsz;
    uint32_t flags;
    uint64_t address;
    uint64_t length;
    uint32_t error = 0;
    if (!monatt_reader_u32_le(x->r, &argsz) || !monatt_reader_u32_le(x->r, &flags) ||
        !monatt_reader_u64_le(x->r, &address) || !monatt_reader_u64_le(x->r, &length)) {
        return READER;
    }
    /* A bitmap of dirty pages (flag 1) is migration's. */
    if (argsz < size || (flags & ~DMA_UNMAP_ALL) ||
        ((flags & DMA_UNMAP_ALL) && (address != 0 || length != 0))) {
        return EINVAL;
    }
    if (flags & DMA_UNMAP_ALL) {
        wire_dma_unmap_all(&x->connection->dma, &x->device->ram);
    } else {
        error = wire_dma_unmap(&x->connection->dma, &x->device->ram, address, length);
    }
    command_memory_changed(x->device);
    monatt_writer_u32_le(x->w, (uint32_t)size);
    monatt_writer_u32_le(x->w, flags);
    monatt_writer_u64_le(x->w, address);
    monatt_writer_u64_le(x->w, length);
    return error;
}

static uint32_t device_info(Exchange *x, size_t size)
{
    uint32_t argsz;
    const uint8_t *rest;
    if (!monatt_reader_u32_le(x->r, &argsz) || !monatt_reader_bytes(x->r, size - 4, &rest)) {
        return READER;
    }
    if (argsz < size) {
        return EINVAL;
    }
    monatt_writer_u32_le(x->w, (uint32_t)size);
    monatt_writer_u32_le(x->w, DEVICE_FLAGS_RESET | DEVICE_FLAGS_PCI);
    monatt_writer_u32_le(x->w, REGION_COUNT);
    monatt_writer_u32_le(x->w, IRQ_COUNT);
    return 0;
}

static uint64_t region_size(uint32_t index)
{
    switch (index) {
    case 0:
        return MONATT_BAR0_SIZE;
    case 2:
        return MONATT_BAR2_SIZE;
    case REGION_CONFIG:
        return PCI_CONFIG_SIZE;
    default:
        return 0;
    }
}

static uint32_t region_info(Exchange *x, size_t size)
{
    uint32_t argsz;
    uint32_t flags;
    uint32_t index;
    const uint8_t *rest;
    if (!monatt_reader_u32_le(x->r, &argsz) || !monatt_reader_u32_le(x->r, &flags) ||
        !monatt_reader_u32_le(x->r, &index) || !monatt_reader_bytes(x->r, size - 12, &rest)) {
        return READER;
    }
    if (argsz < size || index >= REGION_COUNT) {
        return EINVAL;
    }
    monatt_writer_u32_le(x->w, (uint32_t)size);
    monatt_writer_u32_le(x->w, region_size(index) > 0 ? REGION_FLAGS_READ_WRITE : 0);
    monatt_writer_u32_le(x->w, index);
    monatt_writer_u32_le(x->w, 0);
    monatt_writer_u64_le(x->w, region_size(index));
    monatt_writer_u64_le(x->w, 0);
    return 0;
}

static uint32_t irq_info(Exchange *x, size_t size)
{
    uint32_t argsz;
    uint32_t flags;
    uint32_t index;
    uint32_t count;
    if (!monatt_reader_u32_le(x->r, &argsz) || !monatt_reader_u32_le(x->r, &flags) ||
        !monatt_reader_u32_le(x->r, &index) || !monatt_reader_u32_le(x->r, &count)) {
        return READER;
    }
    if (argsz < size || index >= IRQ_COUNT) {
        return EINVAL;
    }
    monatt_writer_u32_le(x->w, (uint32_t)size);
    monatt_writer_u32_le(x->w, 0);
    monatt_writer_u32_le(x->w, index);
    monatt_writer_u32_le(x->w, 0); /* none of this type */
    return 0;
}

static uint32_t set_irqs(Exchange *x, size_t size)
{
    uint32_t words[5]; /* argsz, flags, index, start, count */
    const uint8_t *data;
    for (size_t i = 0; i < MONATT_ARRAY_SIZE(words); i++) {
        if (!monatt_reader_u32_le(x->r, &words[i])) {
            return READER;
        }
    }
    if (!monatt_reader_bytes(x->r, size - sizeof(words), &data)) {
        return READER;
    }
    /* "Disable all of this type" is what QEMU may say; there are none to enable. */
    return words[2] >= IRQ_COUNT || words[3] != 0 || words[4] != 0 ? EINVAL : 0;
}

static bool read_region(Exchange *x, uint64_t *ret_offset, uint32_t *ret_region,
                        uint32_t *ret_count)
{
    return monatt_reader_u64_le(x->r, ret_offset) && monatt_reader_u32_le(x->r, ret_region) &&
           monatt_reader_u32_le(x->r, ret_count);
}

static bool access_allowed(uint64_t offset, uint32_t region, uint32_t count)
{
    uint64_t size = region_size(region);
    if (count == 0 || count > WIRE_VFIO_USER_TRANSFER_MAXIMUM || count > size ||
        offset > size - count) {
        return false;
    }
    return region == REGION_CONFIG || count == 1 || count == 2 || count == 4 || count == 8;
}

static void write_region_reply(Exchange *x, uint64_t offset, uint32_t region, uint32_t count)
{
    monatt_writer_u64_le(x->w, offset);
    monatt_writer_u32_le(x->w, region);
    monatt_writer_u32_le(x->w, count);
}

static uint32_t region_read(Exchange *x, size_t size)
{
    uint64_t offset;
    uint32_t region;
    uint32_t count;
    if (!read_region(x, &offset, &region, &count)) {
        return READER;
    }
    if (!access_allowed(offset, region, count)) {
        return EINVAL;
    }
    write_region_reply(x, offset, region, count);
    if (region == REGION_CONFIG) {
        for (uint32_t i = 0; i < count; i++) {
            monatt_writer_u8(x->w,
                             (uint8_t)pci_config_read(&x->device->config, (uint32_t)offset + i, 1));
        }
        return 0;
    }
    uint64_t value = command_read(x->device, region, (uint32_t)offset, count);
    for (uint32_t i = 0; i < count; i++) {
        monatt_writer_u8(x->w, (uint8_t)(value >> (8 * i)));
    }
    return 0;
}

static void config_write(Device *device, uint32_t offset, const uint8_t *data, uint32_t count)
{
    if ((count == 2 || count == 4) && offset % count == 0) {
        uint32_t value = 0;
        for (uint32_t i = count; i > 0; i--) {
            value = value << 8 | data[i - 1];
        }
        command_config_write(device, offset, value, count);
        return;
    }
    /* As byte enables on a bus: each byte by itself. */
    for (uint32_t i = 0; i < count; i++) {
        command_config_write(device, offset + i, data[i], 1);
    }
}

static uint32_t region_write(Exchange *x, size_t size)
{
    uint64_t offset;
    uint32_t region;
    uint32_t count;
    const uint8_t *data;
    if (!read_region(x, &offset, &region, &count)) {
        return READER;
    }
    if (count != size - 16) {
        monatt_reader_fail(x->r, "write of %u bytes: %zu came", count, size - 16);
        return READER;
    }
    if (!monatt_reader_bytes(x->r, count, &data)) {
        return READER;
    }
    if (!access_allowed(offset, region, count)) {
        return EINVAL;
    }
    if (region == REGION_CONFIG) {
        config_write(x->device, (uint32_t)offset, data, count);
    } else {
        uint64_t value = 0;
        for (uint32_t i = count; i > 0; i--) {
            value = value << 8 | data[i - 1];
        }
        command_write(x->device, region, (uint32_t)offset, value, count);
    }
    write_region_reply(x, offset, region, count);
    return 0;
}

static uint32_t device_reset(Exchange *x, size_t size)
{
    wire_reset(x->device);
    return 0;
}

static const struct {
    uint16_t command;
    uint16_t smallest; /* sizes of the payload */
    uint16_t biggest;
    uint32_t (*handle)(Exchange *x, size_t size);
} commands[] = {
    {VFIO_USER_VERSION, 4, WIRE_VFIO_USER_PAYLOAD_MAXIMUM, version},
    {VFIO_USER_DMA_MAP, 32, 32, dma_map},
    {VFIO_USER_DMA_UNMAP, 24, 24, dma_unmap},
    {VFIO_USER_DEVICE_GET_INFO, 16, 16, device_info},
    {VFIO_USER_DEVICE_GET_REGION_INFO, 32, 32, region_info},
    {VFIO_USER_DEVICE_GET_IRQ_INFO, 16, 16, irq_info},
    {VFIO_USER_DEVICE_SET_IRQS, 20, WIRE_VFIO_USER_PAYLOAD_MAXIMUM, set_irqs},
    {VFIO_USER_REGION_READ, 16, 16, region_read},
    {VFIO_USER_REGION_WRITE, 17, 16 + WIRE_VFIO_USER_TRANSFER_MAXIMUM, region_write},
    {VFIO_USER_DEVICE_RESET, 0, 0, device_reset},
};

static size_t find(uint16_t command)
{
    size_t i = 0;
    while (i < MONATT_ARRAY_SIZE(commands) && commands[i].command != command) {
        i++;
    }
    return i;
}

void wire_vfio_user_init(WireVfioUser *connection)
{
    connection->negotiated = false;
    wire_dma_init(&connection->dma);
}

void wire_vfio_user_clear(WireVfioUser *connection)
{
    wire_dma_clear(&connection->dma);
}

bool wire_vfio_user_header(const uint8_t header[WIRE_VFIO_USER_HEADER_SIZE],
                           WireVfioUserHeader *ret, MonattError *err)
{
    MonattReader r;
    WireVfioUserHeader got;
    uint32_t size;
    uint32_t error;
    monatt_reader_init(&r, "wire header", header, WIRE_VFIO_USER_HEADER_SIZE, err);
    if (!monatt_reader_u16_le(&r, &got.id) || !monatt_reader_u16_le(&r, &got.command) ||
        !monatt_reader_u32_le(&r, &size) || !monatt_reader_u32_le(&r, &got.flags) ||
        !monatt_reader_u32_le(&r, &error)) {
        return false;
    }
    if (got.flags & ~VFIO_USER_FLAG_NO_REPLY) {
        return monatt_error_set(err, MONATT_ERROR_FORMAT, "wire: command %u: flags 0x%x",
                                got.command, got.flags);
    }
    size_t i = find(got.command);
    bool known = i < MONATT_ARRAY_SIZE(commands);
    size_t smallest = known ? commands[i].smallest : 0;
    size_t biggest = known ? commands[i].biggest : WIRE_VFIO_USER_PAYLOAD_MAXIMUM;
    if (size < WIRE_VFIO_USER_HEADER_SIZE || size - WIRE_VFIO_USER_HEADER_SIZE < smallest ||
        size - WIRE_VFIO_USER_HEADER_SIZE > biggest) {
        return monatt_error_set(err, MONATT_ERROR_FORMAT, "wire: command %u: %u bytes", got.command,
                                size);
    }
    got.size = size - WIRE_VFIO_USER_HEADER_SIZE;
    *ret = got;
    return true;
}

/* The header of an answer before its payload, which is dropped with an error. */
static size_t finish_reply(const WireVfioUserHeader *header, uint32_t error, size_t payload_size,
                           uint8_t *reply)
{
    size_t size = WIRE_VFIO_USER_HEADER_SIZE + (error ? 0 : payload_size);
    MonattWriter w;
    monatt_writer_init(&w, reply, WIRE_VFIO_USER_HEADER_SIZE);
    monatt_writer_u16_le(&w, header->id);
    monatt_writer_u16_le(&w, header->command);
    monatt_writer_u32_le(&w, (uint32_t)size);
    monatt_writer_u32_le(&w, VFIO_USER_FLAG_REPLY | (error ? VFIO_USER_FLAG_ERROR : 0));
    monatt_writer_u32_le(&w, error);
    return header->flags & VFIO_USER_FLAG_NO_REPLY ? 0 : size;
}

bool wire_vfio_user_handle(WireVfioUser *connection, Device *device,
                           const WireVfioUserHeader *header, const uint8_t *payload, const int *fds,
                           size_t fd_count, uint8_t ret_reply[WIRE_VFIO_USER_REPLY_MAXIMUM],
                           size_t *ret_size, MonattError *err)
{
    MonattReader r;
    MonattWriter w;
    Exchange x = {connection, device, &r, &w, fds, fd_count};
    size_t i = find(header->command);
    uint32_t error = ENOTSUP;
    size_t written = 0;
    bool ok = true;
    monatt_reader_init(&r, "wire message", payload, header->size, err);
    monatt_writer_init(&w, ret_reply + WIRE_VFIO_USER_HEADER_SIZE,
                       WIRE_VFIO_USER_REPLY_MAXIMUM - WIRE_VFIO_USER_HEADER_SIZE);
    if (!connection->negotiated && header->command != VFIO_USER_VERSION) {
        ok = monatt_reader_fail(&r, "command %u before the version", header->command);
    } else if (i < MONATT_ARRAY_SIZE(commands)) {
        device_lock_first(device);
        device->in_message = true;
        error = commands[i].handle(&x, header->size);
        kept_commit(device);
        device->in_message = false;
        pthread_mutex_unlock(&device->lock);
        ok = error != READER && monatt_reader_finish(&r) &&
             monatt_writer_finish(&w, "wire reply", &written, err);
    }
    wire_close_all(x.fds, x.fd_count);
    *ret_size = ok ? finish_reply(header, error, written, ret_reply) : 0;
    return ok;
}

/* One message, whose header is there. */
static bool serve_one(WireVfioUser *connection, Device *device, WireStream *stream,
                      MonattError *err)
{
    WireVfioUserHeader header;
    if (!wire_vfio_user_header(stream->bytes, &header, err) ||
        wire_stream_fill(stream, WIRE_VFIO_USER_HEADER_SIZE + header.size, err) != 1) {
        return false;
    }
    int64_t begun = device_now_ms();
    int fds[WIRE_FDS_MAXIMUM];
    size_t fd_count = wire_stream_take_fds(stream, WIRE_VFIO_USER_HEADER_SIZE + header.size, fds);
    uint8_t reply[WIRE_VFIO_USER_REPLY_MAXIMUM];
    size_t size;
    bool ok = wire_vfio_user_handle(connection, device, &header,
                                    stream->bytes + WIRE_VFIO_USER_HEADER_SIZE, fds, fd_count,
                                    reply, &size, err);
    wire_stream_drop(stream, WIRE_VFIO_USER_HEADER_SIZE + header.size);
    if (ok && device_now_ms() - begun > WIRE_VFIO_USER_LATE_MS) {
        return monatt_error_set(err, MONATT_ERROR_LIMIT, "wire: command %u: too late for an answer",
                                header.command);
    }
    return ok && (size == 0 || wire_send(stream->fd, reply, size, err));
}

static bool serve(Device *device, int fd, MonattError *err)
{
    WireStream stream;
    WireVfioUser connection;
    int got;
    bool ok = true;
    wire_stream_init(&stream, fd);
    wire_vfio_user_init(&connection);
    while (ok && (got = wire_stream_fill(&stream, WIRE_VFIO_USER_HEADER_SIZE, err)) == 1) {
        wire_beat(device);
        ok = serve_one(&connection, device, &stream, err);
        wire_beat(device);
    }
    wire_stream_clear(&stream);
    wire_closed(device);
    wire_vfio_user_clear(&connection);
    return wire_ended(ok && got == 0, err);
}

const Wire wire_vfio_user = {.name = "vfio-user", .serve = serve};
