/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * wire-peer.h - QEMU's end of a wire, for the wires' unit tests
 */
#ifndef MONATT_TESTS_LIB_WIRE_PEER_H
#define MONATT_TESTS_LIB_WIRE_PEER_H

#include <glib.h>
#include "hw-attest/wire.h"

typedef struct WirePeer {
    int fd; /* QEMU's */
    int device_fd;
    const Wire *wire;
    Device *device; /* of its own */
    GThread *thread;
    bool done; /* what serve() returned */
    MonattError err;
} WirePeer;

/* A device of its own that serves nothing yet. */
void wire_peer_init(WirePeer *peer, const Wire *wire);
/* Serves in a thread until the connection ends. */
void wire_peer_start(WirePeer *peer);
/* Closes our end for writing and waits for the thread: the device stands still now. */
void wire_peer_join(WirePeer *peer);
/* As above, and frees all.  How serving ended. */
MonattErrorCode wire_peer_end(WirePeer *peer);
/* One sendmsg; each of the `count` descriptors is `fd`, which stays the caller's. */
void wire_peer_send(int socket, const void *bytes, size_t size, int fd, size_t count);
/* A vfio-user message in `message`, which has room; its size. */
size_t wire_peer_vfio_message(uint8_t *message, uint16_t id, uint16_t command, uint32_t flags,
                              const void *payload, size_t size);
/* The 32-bit number at an offset. */
uint32_t wire_peer_word(const uint8_t *bytes, size_t at);
/* How many descriptors this process has open. */
unsigned wire_peer_descriptors(void);

#endif
