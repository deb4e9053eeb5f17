/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test-wire-vfio-user-stream.c - the bytes of a connection: pieces, rows, descriptors, late ones
 *
 * The rules that keep QEMU 11.1 alive (docs/qemu-faults.md): replies are whole and in one piece,
 * none is late, and the wire thread waits for nobody.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>
#include "hw-attest/wire-vfio-user.h"
#include "tests/lib/wire-peer.h"

#define HEADER WIRE_VFIO_USER_HEADER_SIZE
#define ANSWER                                                                                     \
    "\0\0\0\0{\"capabilities\":{\"max_msg_fds\":8,\"max_data_xfer_size\":256,\"pgsizes\":4096}}"
#define PROPOSAL                                                                                   \
    "{\"capabilities\":{\"max_msg_fds\":16,\"max_data_xfer_size\":1048576,\"pgsizes\":4096,"       \
    "\"write_multiple\":true}}"

static size_t make_version(uint8_t *message)
{
    static const char proposal[] = "\0\0\0\0" PROPOSAL;
    return wire_peer_vfio_message(message, 1, VFIO_USER_VERSION, 0, proposal, sizeof(proposal));
}

static size_t make_read(uint8_t *message, uint16_t id)
{
    uint32_t payload[4] = {0, 0, 7, 4};
    return wire_peer_vfio_message(message, id, VFIO_USER_REGION_READ, 0, payload, sizeof(payload));
}

/* The next recv must bring exactly one whole reply: QEMU dies of a part of one. */
static void take_reply(const WirePeer *peer, uint16_t id, size_t payload_size)
{
    uint8_t reply[WIRE_VFIO_USER_REPLY_MAXIMUM];
    struct pollfd wait = {.fd = peer->fd, .events = POLLIN};
    g_assert_cmpint(poll(&wait, 1, 60000), ==, 1);
    g_assert_cmpint(recv(peer->fd, reply, HEADER + payload_size, 0), ==, HEADER + payload_size);
    g_assert_cmpuint(reply[0] | reply[1] << 8, ==, id);
    g_assert_cmpuint(wire_peer_word(reply, 4), ==, HEADER + payload_size);
    g_assert_cmpuint(wire_peer_word(reply, 8), ==, 1);
}

static MonattErrorCode served(const uint8_t *bytes, size_t size, size_t piece, size_t fd_count,
                              bool want_replies)
{
    WirePeer peer;
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    wire_peer_init(&peer, &wire_vfio_user);
    wire_peer_start(&peer);
    for (size_t at = 0; at < size; at += piece) {
        wire_peer_send(peer.fd, bytes + at, MIN(piece, size - at), null, at == 0 ? fd_count : 0);
    }
    close(null);
    if (want_replies) {
        take_reply(&peer, 1,
                   4 +
                       strlen("{\"capabilities\":{\"max_msg_fds\":8,"
                              "\"max_data_xfer_size\":256,\"pgsizes\":4096}}") +
                       1);
        take_reply(&peer, 2, 20);
    }
    return wire_peer_end(&peer);
}

static void test_stream(void)
{
    uint8_t bytes[512];
    unsigned before = wire_peer_descriptors();
    size_t size = make_version(bytes);
    size_t first = size;
    size += make_read(bytes + size, 2);
    for (size_t piece = 1; piece <= size; piece++) {
        g_assert_cmpint(served(bytes, size, piece, 0, true), ==, MONATT_ERROR_NONE);
    }
    g_assert_cmpint(served(bytes, 0, 1, 0, false), ==, MONATT_ERROR_NONE);
    for (size_t cut = 1; cut < size; cut++) {
        g_assert_cmpint(served(bytes, cut, cut, 0, false), ==,
                        cut == first ? MONATT_ERROR_NONE : MONATT_ERROR_FORMAT);
    }
    /* Descriptors that nobody asked for are closed; too many of them end the connection. */
    g_assert_cmpint(served(bytes, size, size, 8, true), ==, MONATT_ERROR_NONE);
    g_assert_cmpint(served(bytes, size, size, 9, false), ==, MONATT_ERROR_FORMAT);
    /* Garbage, before and behind the version. */
    memset(bytes + first, 0x41, 64);
    g_assert_cmpint(served(bytes, first + 64, first + 64, 3, false), ==, MONATT_ERROR_FORMAT);
    g_assert_cmpint(served(bytes + first, 64, 64, 3, false), ==, MONATT_ERROR_FORMAT);
    g_assert_cmpuint(wire_peer_descriptors(), ==, before);
}

/*
 * QEMU's posted writes come in a row without waiting for anything, and maps with descriptors
 * behind them: wherever the buffer's end cuts, each map keeps its own.
 */
static void test_posted_writes_and_maps(void)
{
    unsigned before = wire_peer_descriptors();
    int ram = memfd_create("ram", MFD_CLOEXEC);
    for (unsigned writes = 100; writes < 130; writes++) {
        uint8_t bytes[256];
        WirePeer peer;
        wire_peer_init(&peer, &wire_vfio_user);
        wire_peer_send(peer.fd, bytes, make_version(bytes), -1, 0);
        for (unsigned i = 0; i < writes; i++) {
            uint32_t payload[5] = {MONATT_REG_INDEX, 0, 0, 4, i};
            size_t size = wire_peer_vfio_message(bytes, 7, VFIO_USER_REGION_WRITE,
                                                 VFIO_USER_FLAG_NO_REPLY, payload, sizeof(payload));
            wire_peer_send(peer.fd, bytes, size, -1, 0);
        }
        for (uint64_t i = 0; i < 4; i++) {
            struct {
                uint32_t words[2];
                uint64_t values[3];
            } payload = {{32, 3}, {0, i << 32, 0x1000}};
            wire_peer_send(
                peer.fd, bytes,
                wire_peer_vfio_message(bytes, 8, VFIO_USER_DMA_MAP, 0, &payload, sizeof(payload)),
                ram, 1);
        }
        wire_peer_send(peer.fd, bytes, make_read(bytes, 2), -1, 0);
        wire_peer_start(&peer);
        take_reply(&peer, 1, sizeof(ANSWER));
        for (unsigned i = 0; i < 4; i++) {
            take_reply(&peer, 8, 0);
        }
        take_reply(&peer, 2, 20);
        wire_peer_join(&peer);
        g_assert_cmpuint(peer.device->ram.count, ==, 4);
        g_assert_cmpuint(peer.device->command.index, ==, writes - 1);
        g_assert_cmpint(wire_peer_end(&peer), ==, MONATT_ERROR_NONE);
    }
    close(ram);
    g_assert_cmpuint(wire_peer_descriptors(), ==, before);
}

/* A device that was held up closes: QEMU would take a late answer for another one's. */
static void test_late_is_closed(void)
{
    uint8_t bytes[256];
    uint8_t byte;
    WirePeer peer;
    wire_peer_init(&peer, &wire_vfio_user);
    wire_peer_start(&peer);
    wire_peer_send(peer.fd, bytes, make_version(bytes), -1, 0);
    take_reply(&peer, 1, sizeof(ANSWER));
    pthread_mutex_lock(&peer.device->lock);
    wire_peer_send(peer.fd, bytes, make_read(bytes, 2), -1, 0);
    g_usleep((WIRE_VFIO_USER_LATE_MS + 500) * 1000);
    pthread_mutex_unlock(&peer.device->lock);
    g_assert_cmpint(recv(peer.fd, &byte, 1, 0), ==, 0);
    g_assert_cmpint(wire_peer_end(&peer), ==, MONATT_ERROR_LIMIT);
}

/* A client that asks and never reads: the wire thread must not wait for it. */
static void test_never_waits_for_a_reader(void)
{
    uint8_t bytes[256];
    WirePeer peer;
    wire_peer_init(&peer, &wire_vfio_user);
    wire_peer_start(&peer);
    wire_peer_send(peer.fd, bytes, make_version(bytes), -1, 0);
    size_t size = make_read(bytes, 2);
    while (send(peer.fd, bytes, size, MSG_NOSIGNAL) == (ssize_t)size) {
    }
    g_assert_true(errno == EPIPE || errno == ECONNRESET);
    g_thread_join(peer.thread);
    peer.thread = NULL;
    /* As when QEMU was killed: no fault of the framing. */
    g_assert_true(peer.done);
    peer.err = (MonattError){0};
    g_assert_cmpint(wire_peer_end(&peer), ==, MONATT_ERROR_NONE);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/wire-vfio-user-stream/stream", test_stream);
    g_test_add_func("/wire-vfio-user-stream/posted-writes-and-maps", test_posted_writes_and_maps);
    g_test_add_func("/wire-vfio-user-stream/late-is-closed", test_late_is_closed);
    g_test_add_func("/wire-vfio-user-stream/never-waits-for-a-reader",
                    test_never_waits_for_a_reader);
    return g_test_run();
}
