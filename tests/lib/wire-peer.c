/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * wire-peer.c - QEMU's end of a wire; asserts on everything, so that no failure is lost
 */
#include "tests/lib/wire-peer.h"

#include <dirent.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "hw-attest/wire-vfio-user.h"

#define FDS_MAXIMUM 16

void wire_peer_init(WirePeer *peer, const Wire *wire)
{
    int pair[2];
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), ==, 0);
    *peer =
        (WirePeer){.fd = pair[0], .device_fd = pair[1], .wire = wire, .device = device_new(NULL)};
    g_assert_nonnull(peer->device);
}

static gpointer serve(gpointer argument)
{
    WirePeer *peer = argument;
    peer->done = peer->wire->serve(peer->device, peer->device_fd, &peer->err);
    close(peer->device_fd);
    return NULL;
}

void wire_peer_start(WirePeer *peer)
{
    peer->thread = g_thread_new("wire", serve, peer);
}

void wire_peer_join(WirePeer *peer)
{
    if (peer->thread) {
        shutdown(peer->fd, SHUT_WR);
        g_thread_join(peer->thread);
        peer->thread = NULL;
    }
}

MonattErrorCode wire_peer_end(WirePeer *peer)
{
    wire_peer_join(peer);
    close(peer->fd);
    device_free(peer->device);
    g_assert_cmpint(peer->done, ==, peer->err.code == MONATT_ERROR_NONE);
    return peer->err.code;
}

void wire_peer_send(int socket, const void *bytes, size_t size, int fd, size_t count)
{
    union {
        struct cmsghdr align;
        char space[CMSG_SPACE(FDS_MAXIMUM * sizeof(int))];
    } ancillary = {0};
    struct iovec part = {(void *)bytes, size};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    g_assert_cmpuint(count, <=, FDS_MAXIMUM);
    if (count > 0) {
        message.msg_control = ancillary.space;
        message.msg_controllen = CMSG_SPACE(count * sizeof(int));
        struct cmsghdr *cmsg = CMSG_FIRSTHDR(&message);
        cmsg->cmsg_level = SOL_SOCKET;
        cmsg->cmsg_type = SCM_RIGHTS;
        cmsg->cmsg_len = CMSG_LEN(count * sizeof(int));
        for (size_t i = 0; i < count; i++) {
            memcpy(CMSG_DATA(cmsg) + i * sizeof(int), &fd, sizeof(int));
        }
    }
    g_assert_cmpint(sendmsg(socket, &message, MSG_NOSIGNAL), ==, (ssize_t)size);
}

size_t wire_peer_vfio_message(uint8_t *message, uint16_t id, uint16_t command, uint32_t flags,
                              const void *payload, size_t size)
{
    uint32_t words[3] = {(uint32_t)(WIRE_VFIO_USER_HEADER_SIZE + size), flags, 0};
    memcpy(message, &id, 2);
    memcpy(message + 2, &command, 2);
    memcpy(message + 4, words, sizeof(words));
    if (size > 0) {
        memcpy(message + WIRE_VFIO_USER_HEADER_SIZE, payload, size);
    }
    return WIRE_VFIO_USER_HEADER_SIZE + size;
}

uint32_t wire_peer_word(const uint8_t *bytes, size_t at)
{
    uint32_t value;
    memcpy(&value, bytes + at, 4);
    return value;
}

unsigned wire_peer_descriptors(void)
{
    unsigned count = 0;
    DIR *folder = opendir("/proc/self/fd");
    g_assert_nonnull(folder);
    while (readdir(folder)) {
        count++;
    }
    closedir(folder);
    return count;
}
