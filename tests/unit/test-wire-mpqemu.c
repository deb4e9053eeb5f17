/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test-wire-mpqemu.c - messages as QEMU sends them, and everything it never sends
 */
#include <fcntl.h>
#include <glib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "tests/lib/wire-peer.h"

enum { SYSMEM, RET, CONFIG_WRITE, CONFIG_READ, BAR_WRITE, BAR_READ, IRQFD, RESET };
static const int sizes[] = {192, -1, 12, 12, 24, 24, 0, 0};

static void make_header(uint8_t *header, uint32_t command, uint64_t size)
{
    memset(header, 0, WIRE_MPQEMU_HEADER_SIZE);
    memcpy(header, &command, 4);
    memcpy(header + 8, &size, 8);
}

static void test_headers(void)
{
    for (uint32_t command = 0; command < 300; command++) {
        for (uint64_t size = 0; size < 300; size++) {
            uint8_t header[WIRE_MPQEMU_HEADER_SIZE];
            uint32_t got_command = 77;
            size_t got_size = 77;
            MonattError err = {0};
            make_header(header, command, size);
            bool good = command < G_N_ELEMENTS(sizes) && (int)size == sizes[command];
            g_assert_cmpint(wire_mpqemu_header(header, &got_command, &got_size, &err), ==, good);
            if (good) {
                g_assert_cmpuint(got_command, ==, command);
                g_assert_cmpuint(got_size, ==, size);
            } else {
                g_assert_cmpint(err.code, ==, MONATT_ERROR_FORMAT);
            }
        }
    }
    static const uint64_t huge[] = {UINT32_MAX, UINT64_C(0x100000018), UINT64_MAX};
    for (size_t i = 0; i < G_N_ELEMENTS(huge); i++) {
        uint8_t header[WIRE_MPQEMU_HEADER_SIZE];
        uint32_t command;
        size_t size;
        MonattError err = {0};
        make_header(header, BAR_READ, huge[i]);
        g_assert_false(wire_mpqemu_header(header, &command, &size, &err));
        g_assert_cmpint(err.code, ==, MONATT_ERROR_FORMAT);
    }
}

static uint64_t config(Device *device, bool write, uint32_t address, uint32_t value)
{
    uint32_t payload[3] = {address, value, 4};
    bool reply;
    uint64_t answer;
    MonattError err = {0};
    g_assert_true(wire_mpqemu_handle(device, write ? CONFIG_WRITE : CONFIG_READ,
                                     (const uint8_t *)payload, sizeof(payload), NULL, 0, &reply,
                                     &answer, &err));
    g_assert_true(reply);
    return answer;
}

static uint64_t bar(Device *device, bool write, uint64_t address, uint64_t value, uint32_t size)
{
    uint8_t payload[24] = {0};
    bool reply;
    uint64_t answer;
    MonattError err = {0};
    memcpy(payload, &address, 8);
    memcpy(payload + 8, &value, 8);
    memcpy(payload + 16, &size, 4);
    payload[20] = 1;
    g_assert_true(wire_mpqemu_handle(device, write ? BAR_WRITE : BAR_READ, payload, sizeof(payload),
                                     NULL, 0, &reply, &answer, &err));
    g_assert_true(reply);
    return answer;
}

static void test_accesses(void)
{
    Device *device = device_new(NULL);
    g_assert_cmphex(config(device, false, 0, 0), ==,
                    (uint32_t)MONATT_PCI_DEVICE << 16 | MONATT_PCI_VENDOR);
    config(device, true, 0x10, 0xfe000000u);
    config(device, true, 0x18, 0xfe001000u);
    g_assert_cmphex(bar(device, false, 0xfe000000u, 0, 4), ==, MONATT_MAGIC);
    g_assert_cmphex(bar(device, false, 0xfe001004u, 0, 4), ==, MONATT_REGISTER_COUNT);
    bar(device, true, 0xfe000000u + MONATT_REG_INDEX, 5, 4);
    g_assert_cmphex(bar(device, false, 0xfe000000u + MONATT_REG_INDEX, 0, 4), ==, 5);
    g_assert_cmphex(bar(device, false, 0xfd000000u, 0, 4), ==, UINT64_MAX);
    g_assert_cmphex(bar(device, false, 0xfe000000u, 0, 3), ==, UINT64_MAX);
    g_assert_cmphex(bar(device, true, 0xfe001000u, 1, 4), ==, 0);
    device_free(device);
}

/* QEMU forgets the BARs with a reset, so the guest must read here that they have to be set. */
static void test_reset_clears_bars(void)
{
    Device *device = device_new(NULL);
    bool reply;
    uint64_t answer;
    MonattError err = {0};
    config(device, true, 0x10, 0xfe000000u);
    config(device, true, 0x04, 2);
    g_assert_cmphex(bar(device, false, 0xfe000000u, 0, 4), ==, MONATT_MAGIC);
    g_assert_true(wire_mpqemu_handle(device, RESET, NULL, 0, NULL, 0, &reply, &answer, &err));
    g_assert_true(reply);
    g_assert_cmphex(config(device, false, 0x10, 0), ==, 0);
    g_assert_cmphex(config(device, false, 0x04, 0), ==, 0);
    g_assert_cmphex(config(device, false, 0, 0), ==,
                    (uint32_t)MONATT_PCI_DEVICE << 16 | MONATT_PCI_VENDOR);
    g_assert_cmphex(bar(device, false, 0xfe000000u, 0, 4), ==, UINT64_MAX);
    device_free(device);
}

/* Payloads that are shorter or longer than their command's. */
static void test_refuses_payload_sizes(void)
{
    static const uint8_t zeros[WIRE_MPQEMU_PAYLOAD_MAXIMUM + 8];
    Device *device = device_new(NULL);
    for (uint32_t command = 0; command < G_N_ELEMENTS(sizes); command++) {
        for (size_t size = 0; size <= sizeof(zeros); size++) {
            bool reply;
            uint64_t value;
            MonattError err = {0};
            bool done =
                wire_mpqemu_handle(device, command, zeros, size, NULL, 0, &reply, &value, &err);
            g_assert_cmpint(done, ==, sizes[command] == (int)size);
            g_assert_true(done || err.code == MONATT_ERROR_FORMAT);
        }
    }
    device_free(device);
}

static bool sysmem(Device *device, uint64_t base, uint64_t size, uint64_t offset, int fd,
                   MonattError *err)
{
    uint64_t payload[3][8] = {{base}, {size}, {offset}};
    bool reply;
    uint64_t value;
    bool done = wire_mpqemu_handle(device, SYSMEM, (const uint8_t *)payload, sizeof(payload), &fd,
                                   1, &reply, &value, err);
    g_assert_false(reply);
    return done;
}

static void test_memory_regions(void)
{
    Device *device = device_new(NULL);
    MonattError err = {0};
    unsigned before = wire_peer_descriptors();
    for (int i = 0; i < 100; i++) {
        g_assert_true(sysmem(device, 0x1000, 0x2000, 0x3000, open("/dev/null", O_RDONLY), &err));
    }
    g_assert_cmpuint(device->ram.count, ==, 1);
    g_assert_cmphex(device->ram.regions[0].guest_physical, ==, 0x1000);
    g_assert_cmphex(device->ram.regions[0].size, ==, 0x2000);
    g_assert_cmphex(device->ram.regions[0].offset, ==, 0x3000);
    static const uint64_t bad[][3] = {{0, 0, 0},
                                      {1, UINT64_MAX, 0},
                                      {UINT64_MAX, 1, 0},
                                      {UINT64_MAX - 4095, 4096, 0},
                                      {0, 4096, (uint64_t)INT64_MAX + 1},
                                      {0, 4096, INT64_MAX - 4095 + 1}};
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        err = (MonattError){0};
        g_assert_false(
            sysmem(device, bad[i][0], bad[i][1], bad[i][2], open("/dev/null", O_RDONLY), &err));
        g_assert_cmpint(err.code, ==, MONATT_ERROR_FORMAT);
    }
    g_assert_cmpuint(wire_peer_descriptors(), ==, before + (unsigned)device->ram.count);
    device_free(device);
    g_assert_cmpuint(wire_peer_descriptors(), ==, before);
}

/* Sends the bytes in pieces, closes, and says how serving ended. */
static MonattErrorCode served(const uint8_t *bytes, size_t size, size_t piece, size_t fd_count,
                              uint64_t *ret_answer)
{
    WirePeer peer;
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    wire_peer_init(&peer, &wire_mpqemu);
    wire_peer_start(&peer);
    for (size_t at = 0; at < size; at += piece) {
        wire_peer_send(peer.fd, bytes + at, MIN(piece, size - at), null, at == 0 ? fd_count : 0);
    }
    close(null);
    if (ret_answer) {
        uint8_t answer[24] = {0};
        g_assert_cmpint(recv(peer.fd, answer, sizeof(answer), MSG_WAITALL), ==, sizeof(answer));
        g_assert_cmpuint(answer[0], ==, RET);
        g_assert_cmpuint(answer[8], ==, 8);
        memcpy(ret_answer, answer + 16, 8);
    }
    return wire_peer_end(&peer);
}

static void test_stream(void)
{
    uint8_t message[WIRE_MPQEMU_HEADER_SIZE + 12] = {0};
    uint32_t length = 4;
    uint64_t answer = 0;
    unsigned before = wire_peer_descriptors();
    make_header(message, CONFIG_READ, 12);
    memcpy(message + WIRE_MPQEMU_HEADER_SIZE + 8, &length, 4);
    for (size_t piece = 1; piece <= sizeof(message); piece++) {
        g_assert_cmpint(served(message, sizeof(message), piece, 0, &answer), ==, MONATT_ERROR_NONE);
        g_assert_cmphex(answer, ==, (uint32_t)MONATT_PCI_DEVICE << 16 | MONATT_PCI_VENDOR);
    }
    g_assert_cmpint(served(message, 0, 1, 0, NULL), ==, MONATT_ERROR_NONE);
    for (size_t cut = 1; cut < sizeof(message); cut++) {
        g_assert_cmpint(served(message, cut, cut, 0, NULL), ==, MONATT_ERROR_FORMAT);
    }
    /* Descriptors that nobody asked for are closed. */
    g_assert_cmpint(served(message, sizeof(message), sizeof(message), 8, &answer), ==,
                    MONATT_ERROR_NONE);
    g_assert_cmpint(served(message, sizeof(message), sizeof(message), 9, NULL), ==,
                    MONATT_ERROR_FORMAT);
    make_header(message, RET, 8);
    g_assert_cmpint(served(message, sizeof(message), sizeof(message), 3, NULL), ==,
                    MONATT_ERROR_FORMAT);
    g_assert_cmpuint(wire_peer_descriptors(), ==, before);
}

/* Messages one behind another, as QEMU's threads may write them: descriptors stay with theirs. */
static void test_glued_messages(void)
{
    enum {
        CONFIG_SIZE = WIRE_MPQEMU_HEADER_SIZE + 12,
        MEMORY_SIZE = WIRE_MPQEMU_HEADER_SIZE + 192
    };
    uint8_t config_read[CONFIG_SIZE] = {0};
    uint8_t memory[MEMORY_SIZE] = {0};
    uint32_t length = 4;
    uint64_t size = 4096;
    make_header(config_read, CONFIG_READ, 12);
    memcpy(config_read + WIRE_MPQEMU_HEADER_SIZE + 8, &length, 4);
    make_header(memory, SYSMEM, 192);
    memcpy(memory + WIRE_MPQEMU_HEADER_SIZE + 64, &size, 8);
    unsigned before = wire_peer_descriptors();
    for (unsigned first = 0; first < 12; first++) {
        WirePeer peer;
        int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
        wire_peer_init(&peer, &wire_mpqemu);
        for (unsigned i = 0; i < 12; i++) {
            wire_peer_send(peer.fd, config_read, CONFIG_SIZE, -1, 0);
            if (i == first) {
                wire_peer_send(peer.fd, memory, MEMORY_SIZE, null, 1);
            }
        }
        close(null);
        wire_peer_start(&peer);
        for (unsigned i = 0; i < 12; i++) {
            uint8_t answer[24];
            g_assert_cmpint(recv(peer.fd, answer, sizeof(answer), MSG_WAITALL), ==, 24);
            g_assert_cmphex(answer[16], ==, MONATT_PCI_VENDOR & 0xff);
        }
        wire_peer_join(&peer);
        g_assert_cmpuint(peer.device->ram.count, ==, 1);
        g_assert_cmpuint(peer.device->ram.regions[0].size, ==, 4096);
        g_assert_cmpint(wire_peer_end(&peer), ==, MONATT_ERROR_NONE);
    }
    g_assert_cmpuint(wire_peer_descriptors(), ==, before);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/wire-mpqemu/refuses-other-headers", test_headers);
    g_test_add_func("/wire-mpqemu/accesses", test_accesses);
    g_test_add_func("/wire-mpqemu/reset-clears-bars", test_reset_clears_bars);
    g_test_add_func("/wire-mpqemu/refuses-payload-sizes", test_refuses_payload_sizes);
    g_test_add_func("/wire-mpqemu/memory-regions", test_memory_regions);
    g_test_add_func("/wire-mpqemu/stream", test_stream);
    g_test_add_func("/wire-mpqemu/glued-messages", test_glued_messages);
    return g_test_run();
}
