/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ring.c - takes slots from guest memory in order; must never drop one, look at one twice, or touch
 * a ring that is off
 *
 * Theory of operation.  The guest's memory is hostile: it changes while it is read.  A slot is
 * copied before it is looked at, and all counts that matter are the device's own; what it writes
 * into the header is for the guest to read.  A slot that the pipe has no room for stays where it
 * is, so a slow TPM fills first the pipe, then the ring, and then makes the guest wait; the device
 * grows by nothing.
 */
#include "hw-attest/ring.h"

#include <poll.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "hw-attest/device.h"

/* How long the thread looks by itself, as a kernel polls before it halts a vCPU: longer when the
 * next doorbell came soon after it had given up, not at all when doorbells are rare. */
#define POLL_FIRST_US 100
#define POLL_MAXIMUM_US 4000
#define POLL_SPIN_US 20    /* of that without giving up the core */
#define POLL_PAUSE_US 50   /* between looks after that */
#define FULL_FIRST_MS 1    /* slots wait for the pipe: looks after 1, 2, 4... ms */
#define FULL_MAXIMUM_MS 16 /* 260 of the pipe's 1024 records: it never runs empty meanwhile */
#define STEP_ASIDE 200     /* looks whether the wire thread has its lock */
#define SYNC_FIRST_MS 1    /* RECORDS_SYNCED is refreshed after 1, 2, 4... ms while it lags */
#define SYNC_MAXIMUM_MS 1024

typedef struct Slot {
    uint16_t operation;
    uint16_t index;
    uint16_t banks;
    uint16_t size;
    uint32_t offset;
    uint8_t sha256[MONATT_SHA256_SIZE];
    uint8_t sha384[MONATT_SHA384_SIZE];
    uint8_t content[MONATT_CONTENT_MAXIMUM];
} Slot;

void ring_init(Ring *ring)
{
    *ring = (Ring){.wake_fd = -1};
}

void ring_stop(Ring *ring)
{
    ring->kept.state = MONATT_RING_OFF;
    ring->kept.error = MONATT_ERR_NONE;
    guest_window_unmap(&ring->window);
}

static void set_flags(Ring *ring, uint32_t flags)
{
    if (flags != ring->flags) {
        ring->flags = flags;
        guest_window_store32(&ring->window, MONATT_RING_DEVICE_FLAGS, flags);
    }
}

static void fault(Ring *ring, uint32_t error)
{
    if (ring->window.bytes) {
        set_flags(ring, ring->flags | MONATT_RING_FAULTED);
    }
    ring_stop(ring);
    ring->kept.state = MONATT_RING_FAULT;
    ring->kept.error = error;
}

static void write_synced(Device *device)
{
    device->ring.synced = device->pipe->synced;
    guest_window_store64(&device->ring.window, MONATT_RING_RECORDS_SYNCED, device->ring.synced);
}

static void write_counts(Device *device)
{
    Ring *ring = &device->ring;
    guest_window_store64(&ring->window, MONATT_RING_RECORDS, device->pipe->enqueued);
    write_synced(device);
    guest_window_store32(&ring->window, MONATT_RING_CONSUMED, ring->kept.consumed);
}

static void write_header(Device *device)
{
    device->ring.flags = 0;
    guest_window_store32(&device->ring.window, MONATT_RING_DEVICE_FLAGS, 0);
    write_counts(device);
}

static void interrupt_if_wanted(Device *device)
{
    /* The guest: WANT_INTERRUPT, barrier, CONSUMED.  Here: CONSUMED, barrier, WANT_INTERRUPT. */
    atomic_thread_fence(memory_order_seq_cst);
    if (guest_window_load32(&device->ring.window, MONATT_RING_GUEST_FLAGS) &
        MONATT_RING_WANT_INTERRUPT) {
        interrupt_raise(device, MONATT_INTERRUPT_RING);
    }
}

static size_t area(const Ring *ring)
{
    return MONATT_RING_HEADER_SIZE + (size_t)ring->kept.count * MONATT_RING_SLOT_SIZE;
}

static void start(Device *device)
{
    Ring *ring = &device->ring;
    uint32_t slots = ring->kept.slots;
    if (slots < MONATT_RING_SLOTS_MINIMUM || slots > MONATT_RING_SLOTS_MAXIMUM ||
        (slots & (slots - 1)) != 0) {
        fault(ring, MONATT_ERR_SIZE);
        return;
    }
    ring->kept.base = ring->kept.address;
    ring->kept.count = slots;
    if (ring->kept.base % GUEST_RAM_PAGE != 0 || !pci_config_bus_master(&device->config) ||
        !guest_ram_map(&device->ram, ring->kept.base, area(ring), &ring->window)) {
        fault(ring, MONATT_ERR_ADDRESS);
        return;
    }
    ring->kept.state = MONATT_RING_ON;
    ring->kept.consumed = guest_window_load32(&ring->window, MONATT_RING_CONSUMED);
    write_header(device);
    ring_wake(device);
}

void ring_control(Device *device, uint32_t value)
{
    if (value > 1) {
        return;
    }
    ring_stop(&device->ring);
    if (value == 1) {
        start(device);
    }
}

void ring_resume(Device *device)
{
    Ring *ring = &device->ring;
    if (ring->kept.state != MONATT_RING_ON) {
        return;
    }
    if (!guest_ram_map(&device->ram, ring->kept.base, area(ring), &ring->window)) {
        fault(ring, MONATT_ERR_ADDRESS);
        return;
    }
    write_header(device);
    interrupt_if_wanted(device); /* the dead process may have done slots and not said so */
    ring_wake(device);
}

void ring_memory_changed(Device *device)
{
    const GuestWindow before = device->ring.window;
    if (device->ring.kept.state == MONATT_RING_ON &&
        (!before.bytes || !guest_ram_shows(&device->ram, device->ring.kept.base, &before))) {
        ring_resume(device); /* other memory: the header there says what it said when it was made */
    }
}

void ring_wake(Device *device)
{
    Ring *ring = &device->ring;
    if (ring->asleep && ring->wake_fd >= 0) {
        uint64_t one = 1;
        ssize_t written = write(ring->wake_fd, &one, sizeof(one));
        (void)written; /* full means that it is awake anyway */
    }
}

void ring_doorbell(Device *device)
{
    if (device->ring.kept.state == MONATT_RING_ON) {
        ring_wake(device);
    }
}

static uint16_t get16(const uint8_t *bytes)
{
    return (uint16_t)(bytes[0] | bytes[1] << 8);
}

/* Each byte that counts is read once; size is bounded by what it says, as copied. */
static void copy_slot(const GuestWindow *window, size_t offset, Slot *ret)
{
    uint8_t head[MONATT_SLOT_CONTENT];
    guest_window_copy_out(window, offset, head, sizeof(head));
    ret->operation = get16(head + MONATT_SLOT_OPERATION);
    ret->index = get16(head + MONATT_SLOT_REGISTER);
    ret->banks = get16(head + MONATT_SLOT_BANKS);
    ret->size = get16(head + MONATT_SLOT_SIZE);
    ret->offset = get16(head + MONATT_SLOT_OFFSET) | (uint32_t)get16(head + MONATT_SLOT_OFFSET + 2)
                                                         << 16;
    memcpy(ret->sha256, head + MONATT_SLOT_SHA256, sizeof(ret->sha256));
    memcpy(ret->sha384, head + MONATT_SLOT_SHA384, sizeof(ret->sha384));
    if (ret->size <= sizeof(ret->content)) {
        guest_window_copy_out(window, offset + MONATT_SLOT_CONTENT, ret->content, ret->size);
    }
}

/* Content and size become a part of the report. */
static uint32_t read_report(Device *device, Slot *slot, size_t at)
{
    size_t size = 0;
    uint32_t result =
        report_read(&device->report, slot->offset, slot->content, sizeof(slot->content), &size);
    if (result == MONATT_ERR_NONE) {
        const uint8_t bytes[2] = {(uint8_t)size, (uint8_t)(size >> 8)};
        guest_window_copy_in(&device->ring.window, at + MONATT_SLOT_CONTENT, slot->content, size);
        guest_window_copy_in(&device->ring.window, at + MONATT_SLOT_SIZE, bytes, sizeof(bytes));
    }
    return result;
}

/* An ERR_ value; ERR_BUSY: nothing was done and it is to be tried again.  at: in the window. */
static uint32_t do_slot(Device *device, Slot *slot, size_t at)
{
    const uint16_t known = MONATT_SLOT_BANK_SHA256 | MONATT_SLOT_BANK_SHA384;
    switch (slot->operation) {
    case MONATT_RING_EXTEND:
        if (slot->banks == 0 || (slot->banks & ~known) != 0) {
            return MONATT_ERR_COMMAND;
        }
        return command_extend(
            device, slot->index, slot->banks & MONATT_SLOT_BANK_SHA256 ? slot->sha256 : NULL,
            slot->banks & MONATT_SLOT_BANK_SHA384 ? slot->sha384 : NULL, slot->content, slot->size);
    case MONATT_RING_RESET:
        return command_reset_register(device, slot->index);
    case MONATT_RING_REPORT_READ:
        return read_report(device, slot, at);
    default:
        return MONATT_ERR_COMMAND;
    }
}

RingStep ring_step(Device *device)
{
    Ring *ring = &device->ring;
    Slot slot;
    if (ring->kept.state != MONATT_RING_ON || !ring->window.bytes) {
        return RING_STEP_OFF;
    }
    uint32_t waiting =
        guest_window_load32(&ring->window, MONATT_RING_PRODUCED) - ring->kept.consumed;
    if (waiting > ring->kept.count) {
        fault(ring, MONATT_ERR_SIZE);
        device_changed(device);
        return RING_STEP_OFF;
    }
    uint32_t done = 0;
    while (done < waiting && done < RING_BATCH) {
        size_t offset = MONATT_RING_HEADER_SIZE +
                        (size_t)(ring->kept.consumed % ring->kept.count) * MONATT_RING_SLOT_SIZE;
        uint64_t record = device->pipe->enqueued;
        copy_slot(&ring->window, offset, &slot);
        device->in_message = true;
        ring->kept.consumed++; /* kept together with its record: a slot is never done twice */
        uint32_t result = do_slot(device, &slot, offset);
        device->in_message = false;
        if (result == MONATT_ERR_BUSY) {
            ring->kept.consumed--;
            break;
        }
        reset_guest_used(&device->reset);
        guest_window_store32(&ring->window, offset + MONATT_SLOT_RESULT, result);
        guest_window_store64(&ring->window, offset + MONATT_SLOT_RECORD,
                             result == MONATT_ERR_NONE ? record : 0);
        /* The result first: the guest looks at it once CONSUMED says so, maybe a successor's. */
        kept_commit(device);
        done++;
        write_counts(device);
    }
    bool stuck = done < waiting && done < RING_BATCH;
    set_flags(ring, stuck ? MONATT_RING_BUSY : 0);
    if (done > 0) {
        interrupt_if_wanted(device);
        return RING_STEP_WORKED;
    }
    return stuck ? RING_STEP_WAITS : RING_STEP_IDLE;
}

bool ring_fall_asleep(Device *device)
{
    Ring *ring = &device->ring;
    if (ring->kept.state != MONATT_RING_ON) {
        return true;
    }
    set_flags(ring, MONATT_RING_WANT_DOORBELL);
    /* The guest: PRODUCED, barrier, flags.  Here: flags, barrier, PRODUCED.  One sees the other. */
    atomic_thread_fence(memory_order_seq_cst);
    if (guest_window_load32(&ring->window, MONATT_RING_PRODUCED) == ring->kept.consumed) {
        return true;
    }
    set_flags(ring, 0);
    return false;
}

static int64_t now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* Gives the lock up; who waits for it with a vCPU behind him gets it before this returns. */
static void step_aside(Device *device)
{
    pthread_mutex_unlock(&device->lock);
    for (unsigned i = 0; i < STEP_ASIDE && atomic_load(&device->wire_waits) > 0; i++) {
        sched_yield();
    }
    pthread_mutex_lock(&device->lock);
}

static void pause_us(Device *device, int64_t us)
{
    const struct timespec pause = {.tv_nsec = us * 1000};
    pthread_mutex_unlock(&device->lock);
    nanosleep(&pause, NULL);
    pthread_mutex_lock(&device->lock);
}

/* Until woken or the time is over; -1: no end.  Gives up the lock. */
static void sleep_until_woken(Device *device, int timeout_ms)
{
    Ring *ring = &device->ring;
    int due_ms = interrupt_work(device);
    struct pollfd wait[2] = {{.fd = ring->wake_fd, .events = POLLIN},
                             {.fd = interrupt_wait_fd(device), .events = POLLIN}};
    if (due_ms >= 0 && (timeout_ms < 0 || due_ms < timeout_ms)) {
        timeout_ms = due_ms;
    }
    ring->asleep = true;
    pthread_mutex_unlock(&device->lock);
    if (poll(wait, 2, timeout_ms) > 0 && wait[0].revents != 0) {
        uint64_t count;
        ssize_t got = read(ring->wake_fd, &count, sizeof(count));
        (void)got; /* it counts nothing that matters */
    }
    pthread_mutex_lock(&device->lock);
    ring->asleep = false;
}

/* Sleeps until there is something to do; the guest may look at RECORDS_SYNCED meanwhile. */
static void sleep_idle(Device *device)
{
    Ring *ring = &device->ring;
    int timeout = SYNC_FIRST_MS;
    while (!device->ending && ring_fall_asleep(device)) {
        bool lags = ring->kept.state == MONATT_RING_ON && ring->synced < device->pipe->enqueued;
        int64_t begin = now_us();
        sleep_until_woken(device, lags ? timeout : -1);
        if (ring->kept.state != MONATT_RING_ON || !lags ||
            now_us() - begin < (int64_t)timeout * 1000) {
            break;
        }
        if (ring->synced != device->pipe->synced) {
            write_synced(device);
            timeout = SYNC_FIRST_MS;
        } else if (timeout < SYNC_MAXIMUM_MS) {
            timeout *= 2;
        }
    }
}

void ring_run(Device *device)
{
    int64_t window = 0;
    int64_t looking_since = 0;
    int full_ms = FULL_FIRST_MS;
    pthread_mutex_lock(&device->lock);
    while (!device->ending) {
        RingStep step = ring_step(device);
        (void)interrupt_work(device); /* what is not due yet is seen to before it sleeps */
        int64_t now = now_us();
        if (step == RING_STEP_WORKED) {
            looking_since = now;
            full_ms = FULL_FIRST_MS;
            step_aside(device);
        } else if (step == RING_STEP_WAITS) {
            sleep_until_woken(device, full_ms);
            full_ms = full_ms < FULL_MAXIMUM_MS ? full_ms * 2 : full_ms;
            looking_since = now_us();
        } else if (step == RING_STEP_IDLE && now - looking_since < window) {
            if (now - looking_since < POLL_SPIN_US) {
                step_aside(device);
            } else {
                pause_us(device, POLL_PAUSE_US);
            }
        } else {
            sleep_idle(device);
            looking_since = now_us();
            if (looking_since - now >= POLL_MAXIMUM_US) {
                window = 0;
            } else {
                window = window == 0 ? POLL_FIRST_US : window * 2;
                window = window > POLL_MAXIMUM_US ? POLL_MAXIMUM_US : window;
            }
        }
    }
    pthread_mutex_unlock(&device->lock);
}
