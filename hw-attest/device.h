/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * device.h - one VM's device: what its threads share
 *
 * Threads: wire (answers the guest, from memory only), control, qmp, log, tpm, ring.  One lock over
 * everything here; it is never held over a system call that can wait.  `changed` is broadcast
 * whenever a cursor, a fault or the boot moves; but a new record wakes the log thread alone, by
 * `enqueued`: the wire thread, with a vCPU behind it, wakes nobody that has nothing to do.
 */
#ifndef HW_ATTEST_DEVICE_H
#define HW_ATTEST_DEVICE_H

#include <pthread.h>
#include <stdatomic.h>
#include "hw-attest/command.h"
#include "hw-attest/guest-ram.h"
#include "hw-attest/hold.h"
#include "hw-attest/kept.h"
#include "hw-attest/interrupt.h"
#include "hw-attest/pci-config.h"
#include "hw-attest/pipe.h"
#include "hw-attest/registers.h"
#include "hw-attest/report.h"
#include "hw-attest/reset.h"
#include "hw-attest/ring.h"
#include "hw-attest/shadow.h"
#include "hw-attest/vcpu-job.h"
#include "libmonatt/control/control.h"

/* A quote asked by the control thread, made by the tpm thread at its place in the pipe. */
typedef struct DeviceQuoteJob {
    enum { QUOTE_IDLE, QUOTE_ASKED, QUOTE_RUNNING, QUOTE_DONE, QUOTE_FAILED } state;
    bool abandoned;    /* the asker gave up: the tpm thread resets to idle */
    uint64_t position; /* records before it */
    uint16_t alg;
    size_t qualifying_size;
    uint8_t qualifying[64];
    MonattDeviceQuote quote; /* values, log_records filled when asked */
    MonattError error;
} DeviceQuoteJob;

/* One quote of all registers, asked for and made. */
typedef struct DeviceSignature {
    size_t qualifying_size;
    uint8_t qualifying[64];
    uint16_t attest_size;
    uint16_t signature_size;
    uint8_t attest[MONATT_QUOTE_ATTEST_MAXIMUM];
    uint8_t signature[MONATT_QUOTE_SIGNATURE_MAXIMUM];
} DeviceSignature;

/* A segment of the log being sealed: the log thread asks, the tpm thread signs (event-log.c). */
typedef struct DeviceSeal {
    enum { SEAL_IDLE, SEAL_DRAINING, SEAL_ASKED, SEAL_RUNNING, SEAL_SIGNED, SEAL_FAILED } state;
    bool due;             /* it waits for a hold or a quote to end: no other one begins */
    bool impossible;      /* the last one failed: a guest whose share is used up is told "full" */
    uint64_t position;    /* records before the next segment; log and swtpm go no further */
    uint64_t guest_bytes; /* device->guest_bytes there */
    Registers registers;  /* as they stand there */
    DeviceSignature signature256;
    DeviceSignature signature384;
    MonattError error;
} DeviceSeal;

typedef struct Device {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    pthread_cond_t enqueued;
    atomic_uint wire_waits; /* the wire thread wants the lock: the ring thread steps aside */

    /* Fixed after set-up. */
    uint8_t vid[MONATT_UUID_SIZE];
    char name[MONATT_NAME_SIZE];
    uint8_t accelerator;
    uint32_t item_count;
    MonattBootItemPayload items[MONATT_BOOT_ITEMS_MAXIMUM];
    int ring_fd; /* -1: no plugin */
    uint64_t ring_size;
    int kernel_fd; /* sealed; -1: the VM has none that was measured */
    uint64_t kernel_size;
    uint64_t start_boottime_ns;
    DeviceKept *kept; /* outlives this process */
    bool kept_owned;  /* tests: freed with the device */

    /* Under the lock. */
    Registers registers;
    Pipe *pipe; /* in kept */
    Reset reset;
    Command command;
    Report report;
    PciConfig config;
    GuestRam ram;
    Ring ring;
    Shadow shadow;
    Interrupt interrupt;
    bool resetting; /* the tpm thread makes a new boot: extends answer busy */
    bool ending;    /* the wire closed */
    bool tpm_gone;
    bool tpm_ended; /* after `ending`: swtpm was told, if it could be */
    bool tpm_differs;
    bool recovery_failed; /* what the last device process left does not fit together */
    bool log_failed;
    bool log_writing; /* the log thread is in a write, without the lock */
    bool wire_failed;
    bool qmp_open; /* QEMU's end of the monitor is there */
    uint8_t boot_seed[MONATT_BOOT_SEED_SIZE];
    uint64_t boot_count;
    int log_fd;            /* the segment that is written; only opened again, read-only */
    uint64_t log_bytes;    /* of that segment, up to `pipe.logged` records */
    uint64_t guest_bytes;  /* at most, by the guest's records from this segment's start on */
    uint64_t durable;      /* records that fdatasync has covered */
    uint64_t synced_bytes; /* of the log, at `pipe.synced` */
    bool stopped;
    int64_t stopped_since_ns;
    uint64_t paused_ns;
    uint32_t qemu_pid;
    size_t vcpu_count;
    uint32_t vcpus[MONATT_VCPUS_MAXIMUM];
    uint32_t vcpu_indices[MONATT_VCPUS_MAXIMUM]; /* as the monitor counts them */
    VcpuJob vcpu_job;
    DeviceQuoteJob quote;
    Hold hold;
    DeviceSeal seal;
    bool in_message;        /* what changes is committed with the message that changes it */
    uint64_t wire_messages; /* of the wire, dealt with; and their bytes */
    uint64_t wire_used;
    uint64_t ram_messages;
    uint64_t ram_kept; /* of those, known to the attach service when this process began; or 0 */
    int keeper_fd;     /* link to the attach service; -1 in tests */
    uint64_t qmp_used;
    uint64_t qmp_next;      /* with the line that is being dealt with; of the qmp thread */
    bool qmp_overlong;      /* the last process was in the middle of a line that was too long */
    size_t guest_list_size; /* 0: none */
    uint8_t guest_list[MONATT_GUEST_LIST_MAXIMUM];

    /* Events for subscribers, a ring; the control thread sends them. */
    uint64_t events_posted;
    struct {
        uint16_t event;
        uint64_t detail;
    } events[16];
    int wake_fd; /* eventfd of the control thread; -1 in tests */
} Device;

/* Heap: about 0.4 MB; kept: of the attach service, or NULL for one of its own (1.3 MB).  NULL when
 * there is no memory. */
Device *device_new(DeviceKept *kept);
void device_free(Device *device);

int64_t device_now_ms(void);       /* CLOCK_MONOTONIC */
uint64_t device_boottime_ns(void); /* CLOCK_BOOTTIME */
/* Takes the lock, for a thread that a vCPU waits for. */
void device_lock_first(Device *device);
/* Waits for `changed`, with the lock; false when the time (as device_now_ms()) is over. */
bool device_wait_until(Device *device, int64_t deadline_ms);

/* The caller holds the lock for everything below. */
uint32_t device_fault(const Device *device); /* MonattDeviceFault, the worst one */
/* A fault that only the VM's reset mends: no extends, no quotes. */
bool device_broken(const Device *device);
/* Commits the state, unless a message that is being dealt with will (kept.h). */
void device_changed(Device *device);
void device_post(Device *device, MonattDeviceEvent event, uint64_t detail);
/* There is something for the control thread. */
void device_wake_control(Device *device);
/* A new boot was seen: the tpm thread does the work, extends are busy until then. */
void device_begin_reset(Device *device);
/* The registers' side of a new boot; called once log and swtpm are fresh. */
void device_finish_reset(Device *device, uint64_t boot_count,
                         const uint8_t seed[MONATT_BOOT_SEED_SIZE]);
/* Why an extend cannot be taken now: BUSY or FAULT; true when it can. */
bool device_ready(Device *device, MonattError *err) MONATT_MUST_CHECK;
/* Whether one more record of the guest, however long, fits its share of the log's segment:
 * MONATT_ERR_NONE; BUSY until the segment is sealed; FULL when it cannot be. */
uint32_t device_guest_room(const Device *device);
/*
 * One extend: register, then pipe.  content is copied.  Errors of registers_extend(),
 * device_ready() and BUSY when the pipe is full; nothing has happened then.
 */
bool device_extend(Device *device, RegistersParty party, uint32_t index, const uint8_t *sha256,
                   const uint8_t *sha384, uint8_t content_type, const void *content, size_t size,
                   uint64_t *ret_number, MonattError *err) MONATT_MUST_CHECK;
bool device_reset_register(Device *device, uint32_t index, MonattError *err) MONATT_MUST_CHECK;
void device_status(Device *device, MonattDeviceStatus *ret);

#endif
