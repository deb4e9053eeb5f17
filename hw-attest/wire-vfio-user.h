/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * wire-vfio-user.h - messages of the vfio-user protocol, as QEMU 10.1 and later sends them
 *
 * Source: QEMU's docs/interop/vfio-user.rst.  A header of { u16 id, u16 command, u32 size with the
 * header, u32 flags, u32 error }, then the payload, all in host byte order.
 */
#ifndef HW_ATTEST_WIRE_VFIO_USER_H
#define HW_ATTEST_WIRE_VFIO_USER_H

#include "hw-attest/wire-vfio-user-dma.h"
#include "hw-attest/wire.h"

#define WIRE_VFIO_USER_HEADER_SIZE 16
/* QEMU's longest is its list of capabilities, about 200 bytes. */
#define WIRE_VFIO_USER_PAYLOAD_MAXIMUM 1024
/* The most that one REGION_READ or REGION_WRITE moves: the whole configuration space. */
#define WIRE_VFIO_USER_TRANSFER_MAXIMUM PCI_CONFIG_SIZE
#define WIRE_VFIO_USER_REPLY_MAXIMUM                                                               \
    (WIRE_VFIO_USER_HEADER_SIZE + 16 + WIRE_VFIO_USER_TRANSFER_MAXIMUM)

/*
 * QEMU's x-msg-timeout, as the launcher sets it: QEMU and its guest stand still while it waits.
 * An answer after it would be taken for another one's, so a device that took longer than LATE
 * closes instead: all accesses then read as ones, and the VM goes on.
 */
#define WIRE_VFIO_USER_TIMEOUT_MS 1000
#define WIRE_VFIO_USER_LATE_MS 500

typedef enum WireVfioUserCommand {
    VFIO_USER_VERSION = 1,
    VFIO_USER_DMA_MAP = 2,
    VFIO_USER_DMA_UNMAP = 3,
    VFIO_USER_DEVICE_GET_INFO = 4,
    VFIO_USER_DEVICE_GET_REGION_INFO = 5,
    VFIO_USER_DEVICE_GET_REGION_IO_FDS = 6,
    VFIO_USER_DEVICE_GET_IRQ_INFO = 7,
    VFIO_USER_DEVICE_SET_IRQS = 8,
    VFIO_USER_REGION_READ = 9,
    VFIO_USER_REGION_WRITE = 10,
    VFIO_USER_DEVICE_RESET = 13,
    VFIO_USER_REGION_WRITE_MULTI = 15,
    VFIO_USER_DEVICE_FEATURE = 16, /* migration: never offered, so refused */
} WireVfioUserCommand;

#define VFIO_USER_FLAG_TYPE 0xfu /* 0 a command, 1 a reply */
#define VFIO_USER_FLAG_REPLY 0x1u
#define VFIO_USER_FLAG_NO_REPLY 0x10u
#define VFIO_USER_FLAG_ERROR 0x20u

typedef struct WireVfioUserHeader {
    uint16_t id;
    uint16_t command;
    size_t size; /* of the payload */
    uint32_t flags;
} WireVfioUserHeader;

/* One connection. */
typedef struct WireVfioUser {
    bool negotiated;
    WireDma dma;
} WireVfioUser;

void wire_vfio_user_init(WireVfioUser *connection);
void wire_vfio_user_clear(WireVfioUser *connection);
/* FORMAT: not a command, too long, or a size that this command cannot have. */
bool wire_vfio_user_header(const uint8_t header[WIRE_VFIO_USER_HEADER_SIZE],
                           WireVfioUserHeader *ret, MonattError *err) MONATT_MUST_CHECK;
/*
 * Does one message, whose payload has header->size bytes; takes over the descriptors in any case.
 * *ret_size bytes of reply are to be sent, 0 for none.  What the client may not ask is answered
 * with an error number; false is FORMAT: the connection is to be dropped.
 */
bool wire_vfio_user_handle(WireVfioUser *connection, Device *device,
                           const WireVfioUserHeader *header, const uint8_t *payload, const int *fds,
                           size_t fd_count, uint8_t ret_reply[WIRE_VFIO_USER_REPLY_MAXIMUM],
                           size_t *ret_size, MonattError *err) MONATT_MUST_CHECK;

#endif
