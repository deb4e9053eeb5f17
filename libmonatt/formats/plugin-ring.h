/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * plugin-ring.h - shared memory between the TCG plugin inside QEMU and its readers
 *
 * A sealed memfd with one ring a vCPU: one producer (the vCPU's thread), any number of readers
 * that map it read-only and keep their own cursor.  The producer never waits and never looks at a
 * reader: a full ring writes over its oldest record, and every reader that had not read it counts
 * it as lost.  The reader trusts nothing in here, because a guest may have taken QEMU and with it
 * the other side: geometry is checked once and copied, records are copied out and then checked.
 * Layout, byte by byte: docs/formats/plugin-ring.md.
 */
#ifndef MONATT_FORMATS_PLUGIN_RING_H
#define MONATT_FORMATS_PLUGIN_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "libmonatt/base/error.h"

#define MONATT_PLUGIN_RING_MAGIC "MTPRING1"
#define MONATT_PLUGIN_RING_MAGIC_SIZE 8
#define MONATT_PLUGIN_RING_VERSION 1
#define MONATT_PLUGIN_RING_RECORD_SIZE 64
/* Same bound as the control socket's list of vCPU threads. */
#define MONATT_PLUGIN_RING_VCPUS_MAXIMUM 256
/* Records a vCPU: 8 s of windows of 1 ms in which all had something, 512 KiB; a power of two. */
#define MONATT_PLUGIN_RING_CAPACITY 8192
#define MONATT_PLUGIN_RING_HEADER_SIZE 4096
#define MONATT_PLUGIN_RING_VCPU_SIZE 128
/* Windows outside this are refused: under 10 us the ring is mostly edges, over 1 s is no window. */
#define MONATT_PLUGIN_RING_WINDOW_MINIMUM_NS UINT64_C(10000)
#define MONATT_PLUGIN_RING_WINDOW_MAXIMUM_NS UINT64_C(1000000000)
/* A window number beyond this is not from a clock: 2^53 windows of 10 us are 2,850 years. */
#define MONATT_PLUGIN_RING_NUMBER_MAXIMUM (UINT64_C(1) << 53)
#define MONATT_PLUGIN_RING_PAIRS 8
/* A system call whose number could not be known (docs/formats/plugin-ring.md). */
#define MONATT_PLUGIN_SYSCALL_UNKNOWN 65535

typedef enum MonattPluginState {
    MONATT_PLUGIN_ABSENT = 0,  /* no plugin has opened the ring yet */
    MONATT_PLUGIN_RUNNING = 1, /* the plugin is installed in QEMU */
    MONATT_PLUGIN_ENDED = 2,   /* QEMU left in order; a killed QEMU leaves RUNNING behind */
    MONATT_PLUGIN_STATE_COUNT
} MonattPluginState;

#define MONATT_PLUGIN_MONITOR_LOCKS 0x1u
#define MONATT_PLUGIN_MONITOR_SYSCALLS 0x2u
#define MONATT_PLUGIN_MONITORS_KNOWN 0x3u

typedef enum MonattPluginRecordKind {
    MONATT_PLUGIN_RECORD_WINDOW = 1,
} MonattPluginRecordKind;

/* A window had more different system calls than its records may name; the rest is "unknown". */
#define MONATT_PLUGIN_FLAG_FOLDED 0x1u
#define MONATT_PLUGIN_FLAGS_KNOWN 0x1u

/*
 * What one vCPU did in one window, or in a part of it: several records may name one window and
 * are then added.  Windows without an event have no record.
 */
typedef struct MonattPluginRecord {
    uint64_t window;   /* number: begins at epoch_ns + window * window_ns */
    uint32_t locks;    /* locked read-modify-writes of memory, split ones among them */
    uint32_t splits;   /* of those, the ones that touch two 64-byte lines */
    uint32_t syscalls; /* system calls, those in pairs[] among them */
    uint8_t kind;      /* MonattPluginRecordKind */
    uint8_t flags;     /* MONATT_PLUGIN_FLAG_* */
    uint8_t pair_count;
    struct {
        uint16_t number; /* MONATT_PLUGIN_SYSCALL_UNKNOWN: not known */
        uint16_t count;
    } pairs[MONATT_PLUGIN_RING_PAIRS];
} MonattPluginRecord;

/* A checked ring: geometry is a private copy and never read again from the shared memory. */
typedef struct MonattPluginRing {
    uint8_t *map; /* not owned; a reader's mapping may be read-only */
    size_t size;
    uint32_t vcpus;
    uint32_t capacity;
} MonattPluginRing;

/* What the plugin says of itself; a lie is possible, nonsense is not. */
typedef struct MonattPluginRingStatus {
    uint32_t state;     /* MonattPluginState; the fields below are 0 when it is ABSENT */
    uint32_t monitors;  /* MONATT_PLUGIN_MONITOR_* */
    uint64_t window_ns; /* length of a window */
    uint64_t epoch_ns;  /* CLOCK_BOOTTIME at the start of window 0 */
    uint64_t unplaced;  /* events of vCPUs for which the ring has no room */
} MonattPluginRingStatus;

/* --- the creator of the memfd --- */

/* Bytes of a ring for that many vCPUs; 0 when vcpus is 0 or over the maximum. */
uint64_t monatt_plugin_ring_size(uint32_t vcpus);
/* Lays out an empty ring in map, which is zero-filled, page-aligned and exactly
 * monatt_plugin_ring_size(vcpus) bytes.  USAGE when it is not. */
bool monatt_plugin_ring_init(void *map, size_t size, uint32_t vcpus,
                             MonattError *err) MONATT_MUST_CHECK;
/* Makes the memfd, initialises it and seals its size (a reader would otherwise die of SIGBUS when
 * QEMU cut it short).  The descriptor is the caller's and close-on-exec. */
bool monatt_plugin_ring_create(uint32_t vcpus, int *ret_fd, uint64_t *ret_size,
                               MonattError *err) MONATT_MUST_CHECK;

/* --- both sides --- */

/* Checks magic, version and geometry against size; FORMAT when anything is off. */
bool monatt_plugin_ring_open(void *map, size_t size, MonattPluginRing *ret_ring,
                             MonattError *err) MONATT_MUST_CHECK;
/* Maps the descriptor: regular size and sealed, or FORMAT.  The mapping is the caller's, to be
 * unmapped with monatt_plugin_ring_unmap(); the descriptor stays the caller's. */
bool monatt_plugin_ring_map(int fd, bool writable, MonattPluginRing *ret_ring,
                            MonattError *err) MONATT_MUST_CHECK;
void monatt_plugin_ring_unmap(MonattPluginRing *ring);

/* --- the plugin --- */

void monatt_plugin_ring_start(const MonattPluginRing *ring, uint32_t monitors, uint64_t window_ns,
                              uint64_t epoch_ns);
void monatt_plugin_ring_end(const MonattPluginRing *ring);
/* One event of a vCPU beyond the ring's last; wait-free, from any thread. */
void monatt_plugin_ring_unplaced(const MonattPluginRing *ring);

/* One vCPU's end; used by one thread at a time. */
typedef struct MonattPluginProducer {
    uint64_t *head;    /* in the ring: records ever written */
    uint64_t *records; /* in the ring */
    uint64_t next;     /* private: never read back from the ring */
    uint64_t mask;
} MonattPluginProducer;
void monatt_plugin_producer_init(MonattPluginProducer *producer, const MonattPluginRing *ring,
                                 uint32_t vcpu);
/* Never waits, allocates or fails; writes over the oldest record when the ring is full. */
void monatt_plugin_producer_write(MonattPluginProducer *producer, const MonattPluginRecord *record);

/* --- the reader --- */

bool monatt_plugin_ring_status(const MonattPluginRing *ring, MonattPluginRingStatus *ret_status,
                               MonattError *err) MONATT_MUST_CHECK;

/* A reader's place in one vCPU's ring; kept by the reader, starts as {0}. */
typedef struct MonattPluginCursor {
    uint64_t next; /* number of the record to be read next */
    uint64_t lost; /* records written over before this reader had them, or torn */
} MonattPluginCursor;
/*
 * Copies the next record out and checks it.  *ret_some false: nothing new.  FORMAT when the ring
 * ran backwards (the cursor stays) or the record cannot be one (the cursor is past it, and the
 * ring should not be believed any more); LIMIT when the producer overtakes for ever.
 */
bool monatt_plugin_ring_next(const MonattPluginRing *ring, uint32_t vcpu,
                             MonattPluginCursor *cursor, MonattPluginRecord *ret_record,
                             bool *ret_some, MonattError *err) MONATT_MUST_CHECK;

#endif
