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

#define WIRE_FDS_MAXIMUM 8 /* with one message: REMOTE_MAX_FDS of QEMU's mpqemu-link.h */

typedef struct Wire {
    const char *name; /* as in --print-capabilities: "wire-NAME" */
    /* Serves until the other end closes: true.  false: FORMAT, connection to be dropped. */
    bool (*serve)(Device *device, int fd, MonattError *err);
} Wire;

extern const Wire wire_mpqemu;
extern const Wire wire_vfio_user;
extern const Wire wire_replay; /* mpqemu's bytes */
/* All of them, ended by NULL. */
extern const Wire *const wire_table[];

/*
 * The bytes of a connection of this wire from a file; what is answered goes to answers_fd, -1:
 * nowhere.  USAGE: no such wire; FORMAT as on the socket; SYSTEM.
 */
bool wire_replay_run(const char *wire, Device *device, int fd, int answers_fd,
                     MonattError *err) MONATT_MUST_CHECK;

/*
 * What came on a socket and is not used up yet.  QEMU writes a message at once, so one read gets
 * it whole and an access costs two system calls.  Its threads may write one message behind
 * another; the kernel ends a read after the bytes that descriptors came with, so they belong to
 * the message in which the read ended.  A message that the buffer's end cut is read in two parts,
 * the second with the descriptors of the next one: hence two groups.
 */
#define WIRE_STREAM_GROUPS 2
#define WIRE_STREAM_SIZE 4096

typedef struct WireStream {
    int fd;
    Device *keep; /* its block counts what comes (kept.h), or NULL */
    size_t used;
    size_t group_count;
    struct {
        size_t end; /* the descriptors came with the byte before */
        size_t count;
        int fds[WIRE_FDS_MAXIMUM];
    } groups[WIRE_STREAM_GROUPS];
    uint8_t bytes[WIRE_STREAM_SIZE];
} WireStream;

void wire_stream_init(WireStream *stream, int fd);
/* For a wire that another process of the device can go on with: bytes that the last one received
 * and did not deal with are there again, without descriptors. */
void wire_stream_keep(WireStream *stream, Device *device);
/* Closes descriptors that nobody took; the socket stays the caller's. */
void wire_stream_clear(WireStream *stream);
/*
 * Waits until `size` bytes (at most half of WIRE_STREAM_SIZE) are there: 1.  0: closed and nothing
 * is.  -1: FORMAT (closed within a message, too many descriptors) or SYSTEM.
 */
int wire_stream_fill(WireStream *stream, size_t size, MonattError *err) MONATT_MUST_CHECK;
/* Takes the descriptors of the first `size` bytes, now the caller's; their number. */
size_t wire_stream_take_fds(WireStream *stream, size_t size, int ret_fds[WIRE_FDS_MAXIMUM]);
void wire_stream_drop(WireStream *stream, size_t size);

/* One system call, all or nothing, never waiting: PEER when it was not taken whole. */
bool wire_send(int fd, const void *bytes, size_t size, MonattError *err) MONATT_MUST_CHECK;
void wire_close_all(const int *fds, size_t count);
/* Before and after the work on a message: the attach service kills a device stuck between. */
void wire_beat(Device *device);
/* Of every wire that ends, without the lock: the device leaves guest memory alone from here on. */
void wire_closed(Device *device);
/* The other end closed, in order or by its death: true.  false: err says why it was dropped. */
bool wire_ended(bool ok, const MonattError *err);

/* What the wires do alike; the device's lock is held. */
void wire_reset(Device *device);
/* Neither end wraps, so that readers may add them up. */
bool wire_region_valid(const MonattRamRegion *region);

/* mpqemu messages, shared by both wires. */
#define WIRE_MPQEMU_HEADER_SIZE 16
#define WIRE_MPQEMU_REPLY_SIZE 24
#define WIRE_MPQEMU_PAYLOAD_MAXIMUM 192 /* SYNC_SYSMEM: 8 regions of 24 bytes */
/* Checks command and size of a header (host byte order): FORMAT. */
bool wire_mpqemu_header(const uint8_t header[WIRE_MPQEMU_HEADER_SIZE], uint32_t *ret_command,
                        size_t *ret_size, MonattError *err) MONATT_MUST_CHECK;
/* Does one message; takes over the descriptors in any case.  *ret_reply: *ret_value is wanted. */
bool wire_mpqemu_handle(Device *device, uint32_t command, const uint8_t *payload, size_t size,
                        const int *fds, size_t fd_count, bool *ret_reply, uint64_t *ret_value,
                        MonattError *err) MONATT_MUST_CHECK;

/* The answer with this value; its size. */
size_t wire_mpqemu_reply(uint64_t value, uint8_t ret[WIRE_MPQEMU_REPLY_SIZE]);

#endif
