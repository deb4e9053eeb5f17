/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * wire.h - ways by which a VM reaches its device; one device core behind all of them
 *
 * A wire takes one message after the other and answers from the core's memory.  On any doubt
 * about the framing it drops the connection: a shifted stream would give the guest the answers of
 * earlier reads.
 */
#ifndef HW_ATTEST_WIRE_H
#define HW_ATTEST_WIRE_H

#include "hw-attest/device.h"

#define WIRE_FDS_MAXIMUM 8 /* REMOTE_MAX_FDS of QEMU's mpqemu-link.h */

typedef struct Wire {
    const char *name; /* as in --print-capabilities: "wire-NAME" */
    /* Serves until the other end closes: true.  false: FORMAT, connection to be dropped. */
    bool (*serve)(Device *device, int fd, MonattError *err);
} Wire;

extern const Wire wire_mpqemu;
extern const Wire wire_replay;
/* All of them, ended by NULL. */
extern const Wire *const wire_table[];

/* mpqemu messages, shared by both wires. */
#define WIRE_MPQEMU_HEADER_SIZE 16
#define WIRE_MPQEMU_PAYLOAD_MAXIMUM 192 /* SYNC_SYSMEM: 8 regions of 24 bytes */
/* Checks command and size of a header (host byte order): FORMAT. */
bool wire_mpqemu_header(const uint8_t header[WIRE_MPQEMU_HEADER_SIZE], uint32_t *ret_command,
                        size_t *ret_size, MonattError *err) MONATT_MUST_CHECK;
/* Does one message; takes over the descriptors in any case.  *ret_reply: *ret_value is wanted. */
bool wire_mpqemu_handle(Device *device, uint32_t command, const uint8_t *payload, size_t size,
                        const int *fds, size_t fd_count, bool *ret_reply, uint64_t *ret_value,
                        MonattError *err) MONATT_MUST_CHECK;

#endif
