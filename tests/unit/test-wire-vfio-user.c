/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test-wire-vfio-user.c - messages as QEMU sends them, and everything it must not send
 *
 * The rules that keep QEMU 11.1 alive (docs/qemu-faults.md) are tests here: whole replies in one
 * piece, none that is late, no interrupts, no mapped BAR, no migration.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "hw-attest/wire-vfio-user.h"
#include "tests/lib/wire-peer.h"

#define HEADER WIRE_VFIO_USER_HEADER_SIZE
#define PROPOSAL                                                                                   \
    "{\"capabilities\":{\"max_msg_fds\":16,\"max_data_xfer_size\":1048576,\"pgsizes\":4096,"       \
    "\"write_multiple\":true}}"

/* Sizes of payloads, smallest and biggest. */
static const struct {
    uint16_t command;
    size_t smallest;
    size_t biggest;
} sizes[] = {{VFIO_USER_VERSION, 4, WIRE_VFIO_USER_PAYLOAD_MAXIMUM},
             {VFIO_USER_DMA_MAP, 32, 32},
             {VFIO_USER_DMA_UNMAP, 24, 24},
             {VFIO_USER_DEVICE_GET_INFO, 16, 16},
             {VFIO_USER_DEVICE_GET_REGION_INFO, 32, 32},
             {VFIO_USER_DEVICE_GET_IRQ_INFO, 16, 16},
             {VFIO_USER_DEVICE_SET_IRQS, 20, WIRE_VFIO_USER_PAYLOAD_MAXIMUM},
             {VFIO_USER_REGION_READ, 16, 16},
             {VFIO_USER_REGION_WRITE, 17, 16 + WIRE_VFIO_USER_TRANSFER_MAXIMUM},
             {VFIO_USER_DEVICE_RESET, 0, 0}};

static size_t expected_size(uint16_t command, size_t *ret_biggest)
{
    for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
        if (sizes[i].command == command) {
            *ret_biggest = sizes[i].biggest;
            return sizes[i].smallest;
        }
    }
    *ret_biggest = WIRE_VFIO_USER_PAYLOAD_MAXIMUM;
    return 0;
}

static void test_headers(void)
{
    for (uint32_t command = 0; command < 40; command++) {
        size_t biggest;
        size_t smallest = expected_size((uint16_t)command, &biggest);
        for (uint32_t size = 0; size < HEADER + WIRE_VFIO_USER_PAYLOAD_MAXIMUM + 8; size++) {
            uint8_t header[HEADER];
            WireVfioUserHeader got = {.size = 77};
            MonattError err = {0};
            wire_peer_vfio_message(header, 5, (uint16_t)command, VFIO_USER_FLAG_NO_REPLY, NULL, 0);
            memcpy(header + 4, &size, 4);
            bool good = size >= HEADER + smallest && size <= HEADER + biggest;
            g_assert_cmpint(wire_vfio_user_header(header, &got, &err), ==, good);
            g_assert_cmpint(err.code, ==, good ? MONATT_ERROR_NONE : MONATT_ERROR_FORMAT);
            g_assert_cmpuint(got.size, ==, good ? size - HEADER : 77);
        }
    }
    /* Replies, errors and flags that nobody has explained to us. */
    for (unsigned bit = 0; bit < 32; bit++) {
        uint8_t header[HEADER];
        WireVfioUserHeader got;
        MonattError err = {0};
        wire_peer_vfio_message(header, 5, VFIO_USER_DEVICE_RESET, UINT32_C(1) << bit, NULL, 0);
        bool good = UINT32_C(1) << bit == VFIO_USER_FLAG_NO_REPLY;
        g_assert_cmpint(wire_vfio_user_header(header, &got, &err), ==, good);
        g_assert_cmpint(err.code, ==, good ? MONATT_ERROR_NONE : MONATT_ERROR_FORMAT);
    }
    static const uint32_t huge[] = {0x7fffffff, 0x80000000, UINT32_MAX};
    for (size_t i = 0; i < G_N_ELEMENTS(huge); i++) {
        uint8_t header[HEADER];
        WireVfioUserHeader got;
        MonattError err = {0};
        wire_peer_vfio_message(header, 5, VFIO_USER_VERSION, 0, NULL, 0);
        memcpy(header + 4, &huge[i], 4);
        g_assert_false(wire_vfio_user_header(header, &got, &err));
        g_assert_cmpint(err.code, ==, MONATT_ERROR_FORMAT);
    }
}

/* One device and connection without a socket. */
typedef struct Talk {
    Device *device;
    WireVfioUser connection;
    uint8_t reply[WIRE_VFIO_USER_REPLY_MAXIMUM];
    size_t size; /* of the reply */
    MonattError err;
} Talk;

static bool say_with(Talk *talk, uint16_t command, uint32_t flags, const void *payload, size_t size,
                     const int *fds, size_t fd_count)
{
    uint8_t message[HEADER + WIRE_VFIO_USER_PAYLOAD_MAXIMUM];
    WireVfioUserHeader header;
    wire_peer_vfio_message(message, 0xabcd, command, flags, payload, size);
    g_assert_true(wire_vfio_user_header(message, &header, &talk->err));
    talk->err = (MonattError){0};
    memset(talk->reply, 0xee, sizeof(talk->reply));
    return wire_vfio_user_handle(&talk->connection, talk->device, &header, message + HEADER, fds,
                                 fd_count, talk->reply, &talk->size, &talk->err);
}

/* Says it; the reply must be in order.  The error number in it, 0 for none. */
static uint32_t say_fds(Talk *talk, uint16_t command, const void *payload, size_t size,
                        const int *fds, size_t fd_count)
{
    g_assert_true(say_with(talk, command, 0, payload, size, fds, fd_count));
    uint32_t flags = wire_peer_word(talk->reply, 8);
    g_assert_cmphex(talk->reply[0], ==, 0xcd);
    g_assert_cmphex(talk->reply[1], ==, 0xab);
    g_assert_cmpuint(talk->reply[2], ==, command);
    g_assert_cmpuint(wire_peer_word(talk->reply, 4), ==, talk->size);
    g_assert_true(flags == 1 || flags == 0x21);
    /* "If an error occurs, the reply message must only include the reply header." */
    g_assert_true(flags == 1 || talk->size == HEADER);
    g_assert_cmpint(flags == 1, ==, wire_peer_word(talk->reply, 12) == 0);
    return wire_peer_word(talk->reply, 12);
}

static uint32_t say(Talk *talk, uint16_t command, const void *payload, size_t size)
{
    return say_fds(talk, command, payload, size, NULL, 0);
}

static void talk_begin(Talk *talk)
{
    static const char proposal[] = "\0\0\0\0" PROPOSAL;
    talk->device = device_new(NULL);
    wire_vfio_user_init(&talk->connection);
    g_assert_cmpuint(say(talk, VFIO_USER_VERSION, proposal, sizeof(proposal)), ==, 0);
}

static void talk_end(Talk *talk)
{
    wire_vfio_user_clear(&talk->connection);
    device_free(talk->device);
}

static void test_version(void)
{
    static const struct {
        const char *proposal;
        size_t size; /* 0: strlen() and its end */
        const char *answer;
    } good[] = {
        {PROPOSAL, 0,
         "{\"capabilities\":{\"max_msg_fds\":8,\"max_data_xfer_size\":256,\"pgsizes\":4096}}"},
        {"{\"capabilities\":{\"pgsizes\":4096}}", 0, "{\"capabilities\":{\"pgsizes\":4096}}"},
        {"{}", 0, "{\"capabilities\":{}}"},
        {"", 0, "{\"capabilities\":{}}"},
        {"", SIZE_MAX, NULL},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(good); i++) {
        Talk talk = {.device = device_new(NULL)};
        uint8_t payload[256] = {0, 0, 1, 0}; /* minor 1: ours is less or equal */
        size_t size = good[i].size == SIZE_MAX ? 0 : strlen(good[i].proposal) + 1;
        memcpy(payload + 4, good[i].proposal, size);
        wire_vfio_user_init(&talk.connection);
        g_assert_cmpuint(say(&talk, VFIO_USER_VERSION, payload, 4 + size), ==, 0);
        g_assert_cmphex(wire_peer_word(talk.reply, HEADER), ==, 0);
        if (good[i].answer) {
            g_assert_cmpstr((const char *)talk.reply + HEADER + 4, ==, good[i].answer);
            g_assert_cmpuint(talk.size, ==, HEADER + 4 + strlen(good[i].answer) + 1);
        } else {
            g_assert_cmpuint(talk.size, ==, HEADER + 4);
        }
        /* Once only. */
        g_assert_false(say_with(&talk, VFIO_USER_VERSION, 0, payload, 4 + size, NULL, 0));
        g_assert_cmpint(talk.err.code, ==, MONATT_ERROR_FORMAT);
        talk_end(&talk);
    }
    static const struct {
        const char *bytes;
        size_t size;
    } bad[] = {{"\1\0\0\0{}", 7}, {"\0\1\0\0", 4}, {"\0\0\0\0{}", 6}, {"\0\0\0\0\0x", 6}};
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        Talk talk = {.device = device_new(NULL)};
        wire_vfio_user_init(&talk.connection);
        g_assert_false(say_with(&talk, VFIO_USER_VERSION, 0, bad[i].bytes, bad[i].size, NULL, 0));
        g_assert_cmpint(talk.err.code, ==, MONATT_ERROR_FORMAT);
        g_assert_cmpuint(talk.size, ==, 0);
        talk_end(&talk);
    }
}

static void test_refuses_before_version(void)
{
    static const uint8_t zeros[64];
    unsigned before = wire_peer_descriptors();
    for (uint16_t command = 2; command < 20; command++) {
        size_t biggest;
        Talk talk = {.device = device_new(NULL)};
        int null = open("/dev/null", O_RDONLY);
        wire_vfio_user_init(&talk.connection);
        g_assert_false(
            say_with(&talk, command, 0, zeros, expected_size(command, &biggest), &null, 1));
        g_assert_cmpint(talk.err.code, ==, MONATT_ERROR_FORMAT);
        talk_end(&talk);
    }
    g_assert_cmpuint(wire_peer_descriptors(), ==, before);
}

static void test_info(void)
{
    Talk talk;
    talk_begin(&talk);
    uint32_t info[4] = {16};
    g_assert_cmpuint(say(&talk, VFIO_USER_DEVICE_GET_INFO, info, 16), ==, 0);
    g_assert_cmpuint(talk.size, ==, HEADER + 16);
    g_assert_cmpuint(wire_peer_word(talk.reply, HEADER), ==, 16);
    g_assert_cmphex(wire_peer_word(talk.reply, HEADER + 4), ==, 3); /* resets, PCI */
    g_assert_cmpuint(wire_peer_word(talk.reply, HEADER + 8), ==, 9);
    g_assert_cmpuint(wire_peer_word(talk.reply, HEADER + 12), ==, 5);
    info[0] = 15;
    g_assert_cmpuint(say(&talk, VFIO_USER_DEVICE_GET_INFO, info, 16), ==, EINVAL);

    static const uint32_t region_sizes[9] = {4096, 0, 4096, 0, 0, 0, 0, 256, 0};
    for (uint32_t index = 0; index < 12; index++) {
        uint32_t question[8] = {32, 0, index};
        uint32_t error = say(&talk, VFIO_USER_DEVICE_GET_REGION_INFO, question, 32);
        g_assert_cmpuint(error, ==, index < 9 ? 0 : EINVAL);
        if (index < 9) {
            g_assert_cmpuint(talk.size, ==, HEADER + 32);
            g_assert_cmpuint(wire_peer_word(talk.reply, HEADER), ==, 32);
            /* Never MMAP (4): QEMU dies of a guest's write to one that is mapped read-only. */
            g_assert_cmphex(wire_peer_word(talk.reply, HEADER + 4), ==,
                            region_sizes[index] ? 3 : 0);
            g_assert_cmpuint(wire_peer_word(talk.reply, HEADER + 8), ==, index);
            g_assert_cmpuint(wire_peer_word(talk.reply, HEADER + 16), ==, region_sizes[index]);
        }
        question[0] = 31;
        g_assert_cmpuint(say(&talk, VFIO_USER_DEVICE_GET_REGION_INFO, question, 32), ==, EINVAL);
    }
    for (uint32_t index = 0; index < 8; index++) {
        uint32_t question[4] = {16, 0, index, 99};
        g_assert_cmpuint(say(&talk, VFIO_USER_DEVICE_GET_IRQ_INFO, question, 16), ==,
                         index < 5 ? 0 : EINVAL);
        if (index < 5) {
            g_assert_cmpuint(talk.size, ==, HEADER + 16);
            g_assert_cmpuint(wire_peer_word(talk.reply, HEADER + 8), ==, index);
            g_assert_cmpuint(wire_peer_word(talk.reply, HEADER + 12), ==,
                             0); /* no interrupt of any type */
        }
        question[0] = 15;
        g_assert_cmpuint(say(&talk, VFIO_USER_DEVICE_GET_IRQ_INFO, question, 16), ==, EINVAL);
    }
    talk_end(&talk);
}

static void test_interrupts_are_refused(void)
{
    unsigned before = wire_peer_descriptors();
    Talk talk;
    talk_begin(&talk);
    for (uint32_t index = 0; index < 7; index++) {
        uint32_t none[6] = {20, 0x21, index, 0, 0};
        uint32_t one[6] = {20, 0x24, index, 0, 1};
        uint32_t start[6] = {20, 0x24, index, 1, 0};
        int null = open("/dev/null", O_RDONLY);
        g_assert_cmpuint(say(&talk, VFIO_USER_DEVICE_SET_IRQS, none, 20), ==,
                         index < 5 ? 0 : EINVAL);
        g_assert_cmpuint(say_fds(&talk, VFIO_USER_DEVICE_SET_IRQS, one, 20, &null, 1), ==, EINVAL);
        g_assert_cmpuint(say(&talk, VFIO_USER_DEVICE_SET_IRQS, one, 24), ==, EINVAL);
        g_assert_cmpuint(say(&talk, VFIO_USER_DEVICE_SET_IRQS, start, 20), ==, EINVAL);
    }
    talk_end(&talk);
    g_assert_cmpuint(wire_peer_descriptors(), ==, before);
}

/* What we never offered: migration, writes in bundles, I/O descriptors; and what nobody knows. */
static void test_unknown_commands(void)
{
    static const uint16_t commands[] = {0, 6, 11, 12, 14, 15, 16, 17, 18, 19, 99, UINT16_MAX};
    static const uint8_t zeros[WIRE_VFIO_USER_PAYLOAD_MAXIMUM];
    unsigned before = wire_peer_descriptors();
    Talk talk;
    talk_begin(&talk);
    for (size_t i = 0; i < G_N_ELEMENTS(commands); i++) {
        int null = open("/dev/null", O_RDONLY);
        g_assert_true(say_with(&talk, commands[i], 0, zeros, 40, &null, 1));
        g_assert_cmpuint(wire_peer_word(talk.reply, 12), ==, ENOTSUP);
        g_assert_cmpuint(talk.size, ==, HEADER);
        g_assert_true(say_with(&talk, commands[i], 0, zeros, sizeof(zeros), NULL, 0));
        g_assert_cmpuint(wire_peer_word(talk.reply, 12), ==, ENOTSUP);
        g_assert_true(say_with(&talk, commands[i], VFIO_USER_FLAG_NO_REPLY, zeros, 4, NULL, 0));
        g_assert_cmpuint(talk.size, ==, 0);
    }
    talk_end(&talk);
    g_assert_cmpuint(wire_peer_descriptors(), ==, before);
}

static uint32_t region_access(Talk *talk, bool write, uint32_t region, uint64_t offset,
                              uint32_t count, uint64_t value)
{
    uint8_t payload[16 + WIRE_VFIO_USER_TRANSFER_MAXIMUM] = {0};
    memcpy(payload, &offset, 8);
    memcpy(payload + 8, &region, 4);
    memcpy(payload + 12, &count, 4);
    memcpy(payload + 16, &value, 8);
    return say(talk, write ? VFIO_USER_REGION_WRITE : VFIO_USER_REGION_READ, payload,
               write ? 16 + count : 16);
}

static uint64_t region_value(Talk *talk, uint32_t region, uint64_t offset, uint32_t count)
{
    uint64_t value = 0;
    g_assert_cmpuint(region_access(talk, false, region, offset, count, 0), ==, 0);
    g_assert_cmpuint(talk->size, ==, HEADER + 16 + count);
    g_assert_cmpuint(wire_peer_word(talk->reply, HEADER), ==, offset);
    g_assert_cmpuint(wire_peer_word(talk->reply, HEADER + 8), ==, region);
    g_assert_cmpuint(wire_peer_word(talk->reply, HEADER + 12), ==, count);
    memcpy(&value, talk->reply + HEADER + 16, MIN(count, 8));
    return value;
}

static void test_accesses(void)
{
    Talk talk;
    talk_begin(&talk);
    g_assert_cmphex(region_value(&talk, 7, 0, 4), ==,
                    (uint32_t)MONATT_PCI_DEVICE << 16 | MONATT_PCI_VENDOR);
    g_assert_cmphex(region_value(&talk, 7, 0, 256) & 0xffff, ==, MONATT_PCI_VENDOR);
    g_assert_cmphex(region_value(&talk, 0, 0, 4), ==, MONATT_MAGIC);
    g_assert_cmphex(region_value(&talk, 0, 0, 1), ==, MONATT_MAGIC & 0xff);
    g_assert_cmphex(region_value(&talk, 0, 0, 8), ==,
                    (uint64_t)MONATT_MAP_VERSION << 32 | MONATT_MAGIC);
    g_assert_cmphex(region_value(&talk, 2, 4, 4), ==, MONATT_REGISTER_COUNT);
    /* Unaligned: the core's all ones, as on mpqemu. */
    g_assert_cmphex(region_value(&talk, 0, 2, 4), ==, UINT32_MAX);
    g_assert_cmpuint(region_access(&talk, true, 0, MONATT_REG_INDEX, 4, 5), ==, 0);
    g_assert_cmpuint(talk.size, ==, HEADER + 16);
    g_assert_cmphex(region_value(&talk, 0, MONATT_REG_INDEX, 4), ==, 5);
    g_assert_cmpuint(region_access(&talk, true, 2, 0, 4, 7), ==, 0); /* BAR2: dropped */
    g_assert_cmphex(region_value(&talk, 2, 4, 4), ==, MONATT_REGISTER_COUNT);
    /* Each end of each region, and one past it. */
    static const struct {
        uint32_t region;
        uint64_t offset;
        uint32_t count;
        uint32_t error;
    } cases[] = {
        {0, 4092, 4, 0},
        {0, 4096, 1, EINVAL},
        {0, 4093, 4, EINVAL},
        {0, UINT64_MAX, 1, EINVAL},
        {0, UINT64_MAX - 3, 4, EINVAL},
        {0, 0, 0, EINVAL},
        {0, 0, 3, EINVAL},
        {0, 0, 16, EINVAL},
        {0, 0, UINT32_MAX, EINVAL},
        {2, 4088, 8, 0},
        {2, 4096, 8, EINVAL},
        {1, 0, 4, EINVAL},
        {3, 0, 4, EINVAL},
        {6, 0, 4, EINVAL},
        {8, 0, 4, EINVAL},
        {9, 0, 4, EINVAL},
        {UINT32_MAX, 0, 4, EINVAL},
        {7, 255, 1, 0},
        {7, 256, 1, EINVAL},
        {7, 0, 256, 0},
        {7, 1, 256, EINVAL},
        {7, 0, 257, EINVAL},
        {7, 253, 3, 0},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_assert_cmpuint(
            region_access(&talk, false, cases[i].region, cases[i].offset, cases[i].count, 0), ==,
            cases[i].error);
        if (cases[i].count > 0 && cases[i].count <= WIRE_VFIO_USER_TRANSFER_MAXIMUM) {
            g_assert_cmpuint(
                region_access(&talk, true, cases[i].region, cases[i].offset, cases[i].count, 0), ==,
                cases[i].error);
        }
    }
    talk_end(&talk);
}

static void test_config_writes(void)
{
    Talk talk;
    talk_begin(&talk);
    region_access(&talk, true, 7, 0x10, 4, UINT32_MAX);
    g_assert_cmphex(region_value(&talk, 7, 0x10, 4), ==, 0xfffff000u);
    region_access(&talk, true, 7, 0x04, 2, 0xffff);
    g_assert_cmphex(region_value(&talk, 7, 0x04, 4), ==, 0x0407);
    /* A word over two fields' border, as the ports 0xcf8 and 0xcfc can ask for: byte by byte. */
    region_access(&talk, true, 7, 0x05, 2, 0);
    g_assert_cmphex(region_value(&talk, 7, 0x04, 2), ==, 0x0007);
    region_access(&talk, true, 7, 0x00, 8, 0);
    g_assert_cmphex(region_value(&talk, 7, 0x00, 4), ==,
                    (uint32_t)MONATT_PCI_DEVICE << 16 | MONATT_PCI_VENDOR);
    g_assert_cmphex(region_value(&talk, 7, 0x04, 2), ==, 0);
    talk_end(&talk);
}

static void test_reset(void)
{
    Talk talk;
    talk_begin(&talk);
    region_access(&talk, true, 7, 0x10, 4, 0xfe000000u);
    region_access(&talk, true, 0, MONATT_REG_INDEX, 4, 5);
    g_assert_cmpuint(say(&talk, VFIO_USER_DEVICE_RESET, NULL, 0), ==, 0);
    g_assert_cmpuint(talk.size, ==, HEADER);
    g_assert_cmphex(region_value(&talk, 7, 0x10, 4), ==, 0);
    /* A wire RESET alone is no new boot; it waits for QMP's word. */
    g_assert_true(talk.device->reset.wire);
    g_assert_false(talk.device->resetting);
    g_assert_true(reset_qmp(&talk.device->reset, device_now_ms()));
    talk_end(&talk);
}

/* A write whose count and size disagree shifts the stream for somebody: dropped. */
static void test_refuses_odd_write(void)
{
    for (uint32_t count = 0; count < 12; count++) {
        Talk talk;
        uint8_t payload[24] = {[8] = 0};
        talk_begin(&talk);
        memcpy(payload + 12, &count, 4);
        bool done = say_with(&talk, VFIO_USER_REGION_WRITE, 0, payload, 20, NULL, 0);
        g_assert_cmpint(done, ==, count == 4);
        g_assert_true(done || talk.err.code == MONATT_ERROR_FORMAT);
        talk_end(&talk);
    }
}

typedef struct MapPayload {
    uint32_t argsz;
    uint32_t flags;
    uint64_t offset;
    uint64_t address;
    uint64_t size;
} MapPayload;

static uint32_t map(Talk *talk, const MapPayload *payload, int fd, size_t fd_count)
{
    int fds[2] = {-1, -1};
    for (size_t i = 0; i < fd_count; i++) {
        fds[i] = dup(fd);
    }
    return say_fds(talk, VFIO_USER_DMA_MAP, payload, sizeof(*payload), fds, fd_count);
}

static uint32_t unmap(Talk *talk, uint32_t argsz, uint32_t flags, uint64_t address, uint64_t size)
{
    struct {
        uint32_t words[2];
        uint64_t values[2];
    } payload = {{argsz, flags}, {address, size}};
    uint32_t error = say(talk, VFIO_USER_DMA_UNMAP, &payload, sizeof(payload));
    if (error == 0) {
        g_assert_cmpuint(talk->size, ==, HEADER + sizeof(payload));
        g_assert_cmpint(memcmp(talk->reply + HEADER, &payload, sizeof(payload)), ==, 0);
    }
    return error;
}

/* The messages; what the ranges may be is test-wire-vfio-user-dma.c's. */
static void test_memory(void)
{
    unsigned before = wire_peer_descriptors();
    int ram = memfd_create("ram", MFD_CLOEXEC);
    const MapPayload good = {32, 3, 0x3000, 0x1000, 0x2000};
    MapPayload bad;
    Talk talk;
    talk_begin(&talk);
    g_assert_cmpuint(map(&talk, &good, ram, 1), ==, 0);
    g_assert_cmpuint(talk.size, ==, HEADER);
    g_assert_cmpuint(talk.device->ram.count, ==, 1);
    g_assert_cmphex(talk.device->ram.regions[0].guest_physical, ==, 0x1000);
    g_assert_cmphex(talk.device->ram.regions[0].size, ==, 0x2000);
    g_assert_cmphex(talk.device->ram.regions[0].offset, ==, 0x3000);
    g_assert_cmpuint(map(&talk, &good, ram, 1), ==, EEXIST);
    g_assert_cmpuint(unmap(&talk, 24, 0, 0x1000, 0x1000), ==, EINVAL);
    g_assert_cmpuint(unmap(&talk, 23, 0, 0x1000, 0x2000), ==, EINVAL);
    for (uint32_t flags = 1; flags < 256; flags++) {
        if (flags != 2) { /* 1 asks for migration's bitmap */
            g_assert_cmpuint(unmap(&talk, 24, flags, 0x1000, 0x2000), ==, EINVAL);
        }
    }
    g_assert_cmpuint(talk.device->ram.count, ==, 1);
    g_assert_cmpuint(unmap(&talk, 24, 0, 0x1000, 0x2000), ==, 0);
    g_assert_cmpuint(talk.device->ram.count, ==, 0);
    g_assert_cmpuint(unmap(&talk, 24, 0, 0x1000, 0x2000), ==, 0); /* unknown: nothing happens */
    /* Two descriptors, flags that nobody knows, a structure that says it is smaller. */
    g_assert_cmpuint(map(&talk, &good, ram, 2), ==, EINVAL);
    bad = good;
    bad.flags = 7;
    g_assert_cmpuint(map(&talk, &bad, ram, 1), ==, EINVAL);
    bad = good;
    bad.argsz = 31;
    g_assert_cmpuint(map(&talk, &bad, ram, 1), ==, EINVAL);
    bad = good;
    bad.size = 0;
    g_assert_cmpuint(map(&talk, &bad, ram, 1), ==, EINVAL);
    bad.size = UINT64_MAX;
    g_assert_cmpuint(map(&talk, &bad, ram, 1), ==, EINVAL);
    g_assert_cmpuint(map(&talk, &bad, -1, 0), ==, EINVAL);
    /* ROMs and other devices come without a descriptor; what may not be read is not kept. */
    g_assert_cmpuint(map(&talk, &good, -1, 0), ==, 0);
    bad = good;
    bad.flags = 2;
    g_assert_cmpuint(map(&talk, &bad, ram, 1), ==, 0);
    g_assert_cmpuint(talk.device->ram.count, ==, 0);
    /* Everything, and only said in the one right way. */
    g_assert_cmpuint(map(&talk, &good, ram, 1), ==, 0);
    g_assert_cmpuint(unmap(&talk, 24, 2, 0, 0x1000), ==, EINVAL);
    g_assert_cmpuint(unmap(&talk, 24, 2, 0x1000, 0), ==, EINVAL);
    g_assert_cmpuint(talk.device->ram.count, ==, 1);
    g_assert_cmpuint(unmap(&talk, 24, 2, 0, 0), ==, 0);
    g_assert_cmpuint(talk.device->ram.count, ==, 0);
    g_assert_cmpuint(map(&talk, &good, ram, 1), ==, 0);
    talk_end(&talk);
    close(ram);
    g_assert_cmpuint(wire_peer_descriptors(), ==, before);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/wire-vfio-user/refuses-other-headers", test_headers);
    g_test_add_func("/wire-vfio-user/version", test_version);
    g_test_add_func("/wire-vfio-user/refuses-before-version", test_refuses_before_version);
    g_test_add_func("/wire-vfio-user/info", test_info);
    g_test_add_func("/wire-vfio-user/refuses-interrupts", test_interrupts_are_refused);
    g_test_add_func("/wire-vfio-user/refuses-unknown-commands", test_unknown_commands);
    g_test_add_func("/wire-vfio-user/accesses", test_accesses);
    g_test_add_func("/wire-vfio-user/config-writes", test_config_writes);
    g_test_add_func("/wire-vfio-user/reset", test_reset);
    g_test_add_func("/wire-vfio-user/refuses-odd-write", test_refuses_odd_write);
    g_test_add_func("/wire-vfio-user/memory", test_memory);
    return g_test_run();
}
