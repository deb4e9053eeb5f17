/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * kept.h - what of a device outlives its process
 *
 * One block of shared memory a VM, made by the attach service before it forks the device.  A
 * process that is killed, at whatever instruction, leaves here all that its successor needs to go
 * on: records taken and not yet in log and swtpm, what the guest sees, and how far the wire is.
 * Two rules make that exact:
 *   - A change is one store.  State is written to the one of two slots that is not in force, then
 *     `current` says that it is.  What was not committed did not happen.
 *   - Bytes received and sent are counted by the kernel: recvmmsg() and sendmmsg() write how many
 *     within the call, and a killed process does not leave a call before its end.
 * The successor believes none of it (recovery.h); the attach service reads the heartbeat alone.
 */
#ifndef HW_ATTEST_KEPT_H
#define HW_ATTEST_KEPT_H

#include <stdatomic.h>
#include <stddef.h>
#include <sys/socket.h>
#include "hw-attest/command.h"
#include "hw-attest/pci-config.h"
#include "hw-attest/pipe.h"
#include "hw-attest/reset.h"
#include "hw-attest/ring.h"
#include "hw-attest/shadow.h"
#include "libmonatt/control/control.h"

struct Device;

typedef struct TpmPublic {
    size_t size;
    uint8_t bytes[MONATT_PUBLIC_MAXIMUM]; /* TPM2B_PUBLIC, marshalled */
} TpmPublic;

/* What never changes once the guest runs: the attach service has its own copy from before that. */
typedef struct DeviceFixed {
    char name[MONATT_NAME_SIZE];
    uint8_t accelerator;
    uint8_t wire;       /* MonattAttachWire */
    uint8_t actions;    /* MONATT_ACTION_* bits of the request */
    uint32_t qemu_user; /* vfio-user: who may connect */
    uint32_t qemu_pid;
    uint64_t ring_size;
    uint64_t start_boottime_ns;
    uint32_t item_count;
    MonattBootItemPayload items[MONATT_BOOT_ITEMS_MAXIMUM];
    TpmPublic ek;
    TpmPublic ak_public256;
    TpmPublic ak_public384;
} DeviceFixed;

/* Read by the attach service, which kills a device that stalls (service.c). */
typedef struct DeviceHeartbeat {
    atomic_uint ticks;     /* the qmp thread: at least one in 500 ms */
    atomic_uint wire_busy; /* odd: the wire thread works on a message; the count moves with each */
} DeviceHeartbeat;

#define KEPT_WIRE_BYTES 4096u        /* as WIRE_STREAM_SIZE; a power of two, as the next one */
#define KEPT_QMP_BYTES (64u * 1024u) /* query-cpus-fast of 256 vCPUs: about 50 KB */

/* Bytes of a stream, by their position since its start; byte n lies at n % capacity. */
typedef struct KeptStream {
    atomic_uint current;
    struct {
        uint64_t start;         /* bytes before this receive */
        struct mmsghdr message; /* msg_len: written by the kernel */
    } receives[2];
} KeptStream;

/* What a message that was dealt with is answered; message n of the wire has replies[n % 2]. */
typedef struct KeptReply {
    bool wanted;
    uint64_t value;
    struct mmsghdr message; /* msg_len: 0 until the whole reply is sent */
} KeptReply;

/* One consistent state, committed with the message, QMP line or extend that made it. */
typedef struct KeptState {
    uint64_t enqueued; /* records of this boot */
    uint64_t wire_messages;
    uint64_t wire_used; /* bytes of the wire that are dealt with */
    uint64_t qmp_used;
    uint64_t ram_messages; /* SYNC_SYSMEMs that are dealt with */
    bool qmp_overlong;
    bool wire_failed;
    bool resetting;
    bool tpm_gone;
    bool tpm_differs;
    bool recovery_failed;
    bool stopped;
    uint8_t accelerator;
    int64_t stopped_since_ns;
    uint64_t paused_ns;
    uint64_t boot_count;
    uint8_t boot_seed[MONATT_BOOT_SEED_SIZE];
    Reset reset;
    PciConfig config;
    uint32_t interrupt_status;
    uint32_t interrupt_enable;
    RingState ring;
    ShadowState shadow;
    uint32_t error;
    uint32_t index;
    uint32_t data_size;
    uint32_t sequence;
    uint8_t nonce[MONATT_NONCE_SIZE];
    uint8_t data[MONATT_DATA_SIZE];
} KeptState;

typedef struct DeviceKept {
    DeviceHeartbeat heartbeat;
    atomic_uint current; /* which of states */
    KeptState states[2];
    KeptReply replies[2];
    DeviceFixed fixed;       /* written once, before the guest runs */
    atomic_bool log_rotated; /* during a reset: the old boot's log is put away */
    KeptStream wire;
    KeptStream qmp;
    uint8_t wire_bytes[KEPT_WIRE_BYTES];
    uint8_t qmp_bytes[KEPT_QMP_BYTES];
    Pipe pipe; /* logged and synced are single words; enqueued counts as in states */
} DeviceKept;

/* The device's state becomes the one in force.  The caller holds the device's lock. */
void kept_commit(struct Device *device);
/* How many bytes ever came. */
uint64_t kept_stream_received(const KeptStream *stream);
/*
 * One recvmmsg(): bytes behind those received, at most up to `used` + capacity.  As recvmsg()
 * returns; control: room for descriptors, set as by recvmsg(), or NULL.
 */
ssize_t kept_stream_receive(KeptStream *stream, uint8_t *bytes, size_t capacity, uint64_t used,
                            int fd, struct msghdr *control, int flags);
void kept_stream_copy(const uint8_t *bytes, size_t capacity, uint64_t position, void *ret,
                      size_t size);

#endif
