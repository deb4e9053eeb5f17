/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * control.h - the two local sockets of a VM's device: attach.sock and its control.sock
 *
 * Both are SOCK_SEQPACKET UNIX sockets; one packet is one message of at most
 * MONATT_CONTROL_MAXIMUM bytes with at most MONATT_CONTROL_FDS descriptors.  Big-endian.
 *   "MCT1" | u16 type | u16 request id | payload
 * An answer repeats the request id and has type | MONATT_CONTROL_ANSWER; a refusal has type
 * MONATT_CONTROL_ERROR (u16 code | u16 length message | u16 length hint).  Events have id 0.
 * Peers are known by SO_PEERCRED; the bytes are hostile all the same.
 *
 * attach.sock (hw-attest serve): a launcher asks for a device for its VM.
 * vm/UUID/control.sock (that VM's device): the collector measures, quotes and reads.
 */
#ifndef MONATT_CONTROL_CONTROL_H
#define MONATT_CONTROL_CONTROL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "libmonatt/base/error.h"
#include "libmonatt/base/text.h"
#include "libmonatt/formats/limits.h"
#include "libmonatt/formats/record-payloads.h"
#include "libmonatt/formats/vcpu-registers.h"

#define MONATT_CONTROL_MAXIMUM (64 * 1024)
#define MONATT_CONTROL_FDS 16
#define MONATT_BOOT_ITEMS_MAXIMUM 32
#define MONATT_RAM_REGIONS_MAXIMUM 8 /* what one SYNC_SYSMEM message of mpqemu can carry */
#define MONATT_VCPUS_MAXIMUM 256
#define MONATT_HOLD_MAXIMUM_MS 1000 /* claims take milliseconds; the queue must not fill */

typedef enum MonattControlType {
    MONATT_CONTROL_ATTACH = 1,      /* on attach.sock only */
    MONATT_CONTROL_STATUS = 2,      /* -> MonattDeviceStatus */
    MONATT_CONTROL_REGISTERS = 3,   /* -> MonattRegisterValue[24] */
    MONATT_CONTROL_EXTEND = 4,      /* u8 index, record bytes -> u64 record number, once durable */
    MONATT_CONTROL_QUOTE = 5,       /* u16 alg, u16 size, qualifying data -> MonattDeviceQuote */
    MONATT_CONTROL_KEYS = 6,        /* u16 alg -> dEK and dAK public areas (TPM2B_PUBLIC) */
    MONATT_CONTROL_LOG = 7,         /* -> u64 bytes, u64 records, + 1 read-only descriptor */
    MONATT_CONTROL_RAM = 8,         /* -> regions + 1 read-only descriptor each */
    MONATT_CONTROL_RING = 9,        /* -> u64 size, + the plugin ring's descriptor; none: error */
    MONATT_CONTROL_BOOT_ITEMS = 10, /* -> items as the launcher measured them */
    MONATT_CONTROL_SET_NONCE = 11,  /* 32 bytes: shown to the guest at MONATT_REG_NONCE */
    MONATT_CONTROL_GUEST_LIST = 12, /* -> descriptor of a memfd copy; error MISSING: none */
    MONATT_CONTROL_VCPUS = 13,      /* -> u32 QEMU pid, u32 n, n x u32 thread id */
    MONATT_CONTROL_EVENT = 14,      /* device -> collector: u16 MonattDeviceEvent, u64 detail */
    MONATT_CONTROL_SUBSCRIBE = 15,  /* events come on this connection from now on */
    MONATT_CONTROL_VCPU_REGISTERS = 16,  /* -> u32 n, n x MonattVcpuRegisters; MISSING: no monitor,
                                          * BUSY: QEMU does not answer in time */
    MONATT_CONTROL_HOLD = 17,            /* u32 timeout_ms -> u64 log records, u64 log bytes */
    MONATT_CONTROL_REPORT_QUESTION = 18, /* -> u32 number, the inblob; error MISSING: none */
    MONATT_CONTROL_REPORT_ANSWER = 19,   /* u32 number, u32 MONATT_REFUSAL_* of register-map.h, or
                                          * 0 and one descriptor, a sealed memfd: the evidence */
    MONATT_CONTROL_KERNEL = 20,          /* -> u64 size, + the measured kernel file; none: error */
    MONATT_CONTROL_ERROR = 0x7fff,
    MONATT_CONTROL_ANSWER = 0x8000,
} MonattControlType;

typedef enum MonattDeviceEvent {
    MONATT_EVENT_RESET = 1, /* new boot: registers, boot seed and log are fresh */
    MONATT_EVENT_STOPPED = 2,
    MONATT_EVENT_RESUMED = 3,
    MONATT_EVENT_PANICKED = 4,
    MONATT_EVENT_FAULT = 5,
    MONATT_EVENT_ENDED = 6, /* the wire closed: the VM is gone, this device will exit */
    MONATT_EVENT_GUEST_LIST = 7,
    MONATT_EVENT_REPORT_WANTED = 8, /* the guest asked for evidence about itself */
} MonattDeviceEvent;

typedef enum MonattDeviceFault {
    MONATT_FAULT_NONE = 0,
    MONATT_FAULT_TPM_GONE = 1,    /* swtpm died or does not answer: no quotes until VM reset */
    MONATT_FAULT_TPM_DIFFERS = 2, /* after a drain, a PCR is not what the device computed */
    MONATT_FAULT_LOG_WRITE = 3,   /* disk full, I/O error: extends answer busy */
    MONATT_FAULT_WIRE = 4,        /* framing error: the connection to QEMU was dropped */
    MONATT_FAULT_RECOVERY =
        5, /* log and records do not fit together (recovery.h): until VM reset */
    MONATT_FAULT_RESTORED = 6,  /* QEMU put the VM into a saved state: until VM reset */
    MONATT_FAULT_MIGRATION = 7, /* in an event only: a migration was begun, and cancelled */
} MonattDeviceFault;

typedef struct MonattDeviceStatus {
    uint8_t vid[MONATT_UUID_SIZE];
    char name[MONATT_NAME_SIZE];
    uint8_t boot_seed[MONATT_BOOT_SEED_SIZE]; /* new at each VM reset */
    uint64_t boot_count;                      /* device TPM's resetCount */
    uint64_t start_boottime_ns;               /* CLOCK_BOOTTIME at the VM's start */
    uint64_t records;                         /* in this boot's event log */
    uint64_t synced_records;                  /* of those, in swtpm */
    uint64_t paused_ns;                       /* time between STOP and RESUME in this boot */
    uint32_t fault;                           /* MonattDeviceFault */
    uint32_t device_pid;
    uint32_t qemu_pid;
    uint8_t stopped;       /* by QMP STOP */
    uint8_t accelerator;   /* 0 unknown, 1 TCG, 2 KVM */
    uint8_t plugin;        /* 1 when the plugin's ring exists */
    uint8_t reset_pending; /* wire or QMP RESET seen, the other not yet */
} MonattDeviceStatus;

typedef struct MonattRegisterValue {
    uint8_t sha256[MONATT_SHA256_SIZE];
    uint8_t sha384[MONATT_SHA384_SIZE];
    uint64_t extends;
    uint64_t synced;
} MonattRegisterValue;

/* How QEMU reaches the device; the launcher chooses what the QEMU it found can do. */
typedef enum MonattAttachWire {
    MONATT_WIRE_MPQEMU = 0,    /* x-pci-proxy-dev on a socket pair */
    MONATT_WIRE_VFIO_USER = 1, /* vfio-user-pci, which connects to a path */
} MonattAttachWire;

/* What the operator's command line says of a reboot or power-off; QEMU cannot be asked for it. */
#define MONATT_ACTION_NO_REBOOT 0x1   /* -no-reboot, -action reboot=shutdown */
#define MONATT_ACTION_NO_SHUTDOWN 0x2 /* -no-shutdown, -action shutdown=pause */

/* What the launcher asks attach.sock for; descriptors, both may be left out from the end: [0] our
 * end of QEMU's QMP socket, [1] the kernel file that it measured, a memfd sealed for ever. */
typedef struct MonattAttachRequest {
    uint8_t vid[MONATT_UUID_SIZE];
    char name[MONATT_NAME_SIZE];
    uint8_t accelerator;
    uint8_t want_plugin; /* a ring is made and handed out */
    uint8_t wire;        /* MonattAttachWire */
    uint8_t actions;     /* MONATT_ACTION_* bits */
    uint32_t vcpus;      /* from -smp; bounds the ring */
    uint32_t item_count;
    MonattBootItemPayload items[MONATT_BOOT_ITEMS_MAXIMUM];
} MonattAttachRequest;

#define MONATT_WIRE_PATH_SIZE 108 /* sun_path of a UNIX socket, with its NUL */
/*
 * Answer to ATTACH; descriptors: with MONATT_WIRE_MPQEMU first the wire for x-pci-proxy-dev, then
 * with both wires the ring's memfd when there is one.
 */
typedef struct MonattAttachAnswer {
    uint64_t ring_size;                    /* 0: none */
    char wire_path[MONATT_WIRE_PATH_SIZE]; /* vfio-user's socket, absolute; mpqemu: empty */
} MonattAttachAnswer;

#define MONATT_QUOTE_ATTEST_MAXIMUM 1024
#define MONATT_QUOTE_SIGNATURE_MAXIMUM 1024
#define MONATT_PUBLIC_MAXIMUM 1024
/* Taken where the quote stands in the device's pipe: extends go on meanwhile. */
typedef struct MonattDeviceQuote {
    uint16_t alg; /* bank: MONATT_ALG_SHA256 or MONATT_ALG_SHA384 */
    uint16_t attest_size;
    uint16_t signature_size;
    uint8_t attest[MONATT_QUOTE_ATTEST_MAXIMUM];               /* TPMS_ATTEST, marshalled */
    uint8_t signature[MONATT_QUOTE_SIGNATURE_MAXIMUM];         /* TPMT_SIGNATURE, marshalled */
    uint8_t values[MONATT_REGISTER_COUNT][MONATT_SHA384_SIZE]; /* first 32 bytes with SHA-256 */
    uint64_t log_records; /* the log's prefix that gives exactly these values */
    uint64_t log_bytes;
} MonattDeviceQuote;

typedef struct MonattRamRegion {
    uint64_t guest_physical;
    uint64_t size;
    uint64_t offset; /* in the descriptor's file */
} MonattRamRegion;

/* One message with its descriptors, as it came; descriptors are owned and closed by clear. */
typedef struct MonattControlMessage {
    uint16_t type;
    uint16_t id;
    size_t payload_size;
    size_t fd_count;
    int fds[MONATT_CONTROL_FDS];
    uint8_t payload[MONATT_CONTROL_MAXIMUM];
} MonattControlMessage;

bool monatt_control_listen(const char *path, int *ret_fd, MonattError *err) MONATT_MUST_CHECK;
bool monatt_control_connect(const char *path, int *ret_fd, MonattError *err) MONATT_MUST_CHECK;
/* Sends one packet; descriptors are duplicated by the kernel and stay the caller's. */
bool monatt_control_send(int fd, uint16_t type, uint16_t id, const void *payload, size_t size,
                         const int *fds, size_t fd_count, MonattError *err) MONATT_MUST_CHECK;
/* Waits up to timeout_ms (-1: for ever); truncated data or descriptors refuse the message. */
bool monatt_control_receive(int fd, int timeout_ms, MonattControlMessage *message,
                            MonattError *err) MONATT_MUST_CHECK;
void monatt_control_message_clear(MonattControlMessage *message);
/* Payload of MONATT_CONTROL_ERROR; its size. */
size_t monatt_control_refusal_encode(const MonattError *err, uint8_t *buffer, size_t capacity);
/* Request and answer in one; a refusal becomes the error it carries. */
bool monatt_control_call(int fd, uint16_t type, const void *payload, size_t size, int timeout_ms,
                         MonattControlMessage *ret_answer, MonattError *err) MONATT_MUST_CHECK;
/* As above with descriptors in the request, e.g. ATTACH's; they stay the caller's. */
bool monatt_control_call_with(int fd, uint16_t type, const void *payload, size_t size,
                              const int *fds, size_t fd_count, int timeout_ms,
                              MonattControlMessage *ret_answer, MonattError *err) MONATT_MUST_CHECK;

/* Payload codecs; both sides use these only. */
void monatt_device_status_encode(MonattWriter *w, const MonattDeviceStatus *status);
bool monatt_device_status_decode(const void *bytes, size_t size, MonattDeviceStatus *ret,
                                 MonattError *err) MONATT_MUST_CHECK;
void monatt_attach_request_encode(MonattWriter *w, const MonattAttachRequest *request);
bool monatt_attach_request_decode(const void *bytes, size_t size, MonattAttachRequest *ret,
                                  MonattError *err) MONATT_MUST_CHECK;
void monatt_attach_answer_encode(MonattWriter *w, const MonattAttachAnswer *answer);
/* FORMAT also when the path is not absolute or holds what a command line could be bent with. */
bool monatt_attach_answer_decode(const void *bytes, size_t size, MonattAttachAnswer *ret,
                                 MonattError *err) MONATT_MUST_CHECK;

/* count times u32 length + the item as record-payloads.h encodes it; no count before them. */
void monatt_boot_items_encode(MonattWriter *w, const MonattBootItemPayload *items, size_t count);
bool monatt_boot_items_decode(MonattReader *r, MonattBootItemPayload *items,
                              size_t count) MONATT_MUST_CHECK;
void monatt_device_quote_encode(MonattWriter *w, const MonattDeviceQuote *quote);
bool monatt_device_quote_decode(const void *bytes, size_t size, MonattDeviceQuote *ret,
                                MonattError *err) MONATT_MUST_CHECK;

void monatt_vcpu_registers_encode(MonattWriter *w, const MonattVcpuRegisters *vcpus, size_t count);
bool monatt_vcpu_registers_decode(MonattReader *r, MonattVcpuRegisters ret[MONATT_VCPUS_MAXIMUM],
                                  size_t *ret_count) MONATT_MUST_CHECK;

/* The collector's calls; each connects nothing: fd is a connection to control.sock. */
bool monatt_device_status(int fd, MonattDeviceStatus *ret, MonattError *err) MONATT_MUST_CHECK;
bool monatt_device_registers(int fd, MonattRegisterValue ret[MONATT_REGISTER_COUNT],
                             MonattError *err) MONATT_MUST_CHECK;
/* True once the record is on disk in the log and in the device's registers. */
bool monatt_device_extend(int fd, uint8_t index, const void *record, size_t size,
                          uint64_t *ret_record_number, MonattError *err) MONATT_MUST_CHECK;
bool monatt_device_quote(int fd, uint16_t alg, const void *qualifying, size_t size,
                         MonattDeviceQuote *ret, MonattError *err) MONATT_MUST_CHECK;
/*
 * Holds swtpm right after the last record of the log, for at most timeout_ms (clamped to 1 to
 * MONATT_HOLD_MAXIMUM_MS), so that the next monatt_device_quote() on this connection is taken at
 * exactly this prefix of the log, whatever the guest extends meanwhile.  Those extends are taken
 * and logged; only when the device's queue is full do they answer busy.  The hold ends with that
 * quote, with the connection or with the time-out: the quote then is of a longer prefix, and its
 * log_records say so.  While one is held, another hold or another connection's quote is refused
 * with BUSY; so is this call while the log cannot be written.
 */
bool monatt_device_hold(int fd, uint32_t timeout_ms, uint64_t *ret_records, uint64_t *ret_bytes,
                        MonattError *err) MONATT_MUST_CHECK;
/* TPM2B_PUBLIC, marshalled. */
bool monatt_device_keys(int fd, uint16_t alg, uint8_t ret_ek[MONATT_PUBLIC_MAXIMUM],
                        size_t *ret_ek_size, uint8_t ret_ak[MONATT_PUBLIC_MAXIMUM],
                        size_t *ret_ak_size, MonattError *err) MONATT_MUST_CHECK;
bool monatt_device_log(int fd, int *ret_log_fd, uint64_t *ret_bytes, uint64_t *ret_records,
                       MonattError *err) MONATT_MUST_CHECK;
bool monatt_device_ram(int fd, MonattRamRegion ret[MONATT_RAM_REGIONS_MAXIMUM],
                       int ret_fds[MONATT_RAM_REGIONS_MAXIMUM], size_t *ret_count,
                       MonattError *err) MONATT_MUST_CHECK;
bool monatt_device_ring(int fd, int *ret_ring_fd, uint64_t *ret_size,
                        MonattError *err) MONATT_MUST_CHECK;
bool monatt_device_boot_items(int fd, MonattBootItemPayload ret[MONATT_BOOT_ITEMS_MAXIMUM],
                              size_t *ret_count, MonattError *err) MONATT_MUST_CHECK;
bool monatt_device_set_nonce(int fd, const uint8_t nonce[MONATT_NONCE_SIZE],
                             MonattError *err) MONATT_MUST_CHECK;
/* A memfd with what the guest sent last, as docs/formats/guest-list.md says. */
bool monatt_device_guest_list(int fd, int *ret_fd, size_t *ret_size,
                              MonattError *err) MONATT_MUST_CHECK;
/* MISSING: no question waits.  From here on the device expects this connection's answer. */
bool monatt_device_report_question(int fd, uint32_t *ret_number,
                                   uint8_t ret_inblob[MONATT_INBLOB_MAXIMUM], size_t *ret_size,
                                   MonattError *err) MONATT_MUST_CHECK;
/* refusal 0: evidence_fd is a memfd sealed against write, shrink and growth; it stays the
 * caller's.  MISSING: the question is not waited for any more. */
bool monatt_device_report_answer(int fd, uint32_t number, uint32_t refusal, int evidence_fd,
                                 MonattError *err) MONATT_MUST_CHECK;
bool monatt_device_vcpus(int fd, uint32_t *ret_qemu_pid, uint32_t ret_threads[MONATT_VCPUS_MAXIMUM],
                         size_t *ret_count, MonattError *err) MONATT_MUST_CHECK;
/* The kernel file as the launcher measured it: a memfd that nobody can change.  MISSING: the VM's
 * kernel comes from its disk. */
bool monatt_device_kernel(int fd, int *ret_fd, uint64_t *ret_size,
                          MonattError *err) MONATT_MUST_CHECK;
/* What QEMU's monitor shows of each vCPU, in its order, without stopping the guest: each is of
 * another instant.  MISSING: the device has no monitor (x-pci-proxy-dev without QMP). */
bool monatt_device_vcpu_registers(int fd, MonattVcpuRegisters ret[MONATT_VCPUS_MAXIMUM],
                                  size_t *ret_count, MonattError *err) MONATT_MUST_CHECK;

#endif
