/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ring-guest.c - a guest's side of ring and shadow page; must use nothing of the device but its
 * entries for the wire
 */
#include "tests/lib/ring-guest.h"

#include <fcntl.h>
#include <glib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

void ring_guest_map(RingGuest *guest, uint64_t at, uint64_t size, uint64_t offset, int fd)
{
    const MonattRamRegion region = {at, size, offset};
    const int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    g_assert_cmpint(copy, >=, 0);
    guest_ram_replace(&guest->device->ram, &region, &copy, 1);
    command_memory_changed(guest->device);
}

RingGuest ring_guest_new(void)
{
    RingGuest guest = {.device = device_new(NULL), .fd = memfd_create("guest", MFD_CLOEXEC)};
    g_assert_nonnull(guest.device);
    g_assert_cmpint(ftruncate(guest.fd, RAM_SIZE), ==, 0);
    guest.ram = mmap(NULL, RAM_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, guest.fd, 0);
    g_assert_true(guest.ram != MAP_FAILED);
    memset(guest.ram, 0, RAM_SIZE); /* all of it was written once */
    ring_guest_map(&guest, RAM_GUEST, RAM_SIZE, 0, guest.fd);
    command_config_write(guest.device, 4, 6, 2);
    return guest;
}

void ring_guest_end(RingGuest *guest)
{
    device_free(guest->device);
    munmap(guest->ram, RAM_SIZE);
    close(guest->fd);
}

uint32_t ring_guest_read(RingGuest *guest, uint32_t offset)
{
    return (uint32_t)command_read(guest->device, 0, offset, 4);
}

void ring_guest_write(RingGuest *guest, uint32_t offset, uint64_t value, uint32_t size)
{
    command_write(guest->device, 0, offset, value, size);
}

uint32_t *ring_guest_word(RingGuest *guest, uint32_t offset)
{
    return (void *)(guest->ram + RING_AT + offset);
}

uint64_t *ring_guest_quad(RingGuest *guest, uint32_t offset)
{
    return (void *)(guest->ram + RING_AT + offset);
}

uint32_t ring_guest_ring_on(RingGuest *guest, uint64_t address, uint32_t slots)
{
    ring_guest_write(guest, MONATT_REG_RING_ADDRESS, address, 8);
    ring_guest_write(guest, MONATT_REG_RING_SLOTS, slots, 4);
    ring_guest_write(guest, MONATT_REG_RING_CONTROL, 1, 4);
    guest->produced = *ring_guest_word(guest, MONATT_RING_PRODUCED);
    return ring_guest_read(guest, MONATT_REG_RING_CONTROL);
}

uint32_t ring_guest_shadow_on(RingGuest *guest, uint64_t address)
{
    ring_guest_write(guest, MONATT_REG_SHADOW_ADDRESS, address, 8);
    ring_guest_write(guest, MONATT_REG_SHADOW_CONTROL, 1, 4);
    return ring_guest_read(guest, MONATT_REG_SHADOW_CONTROL);
}

uint8_t *ring_guest_slot(RingGuest *guest, uint32_t count)
{
    return guest->ram + RING_AT + MONATT_RING_HEADER_SIZE +
           (size_t)(count % SLOTS) * MONATT_RING_SLOT_SIZE;
}

static void put16(uint8_t *bytes, unsigned value)
{
    bytes[0] = (uint8_t)value;
    bytes[1] = (uint8_t)(value >> 8);
}

void ring_guest_produce(RingGuest *guest, unsigned operation, unsigned index, unsigned banks,
                        unsigned size)
{
    uint8_t *at = ring_guest_slot(guest, guest->produced);
    memset(at, 0xee, MONATT_RING_SLOT_SIZE);
    put16(at + MONATT_SLOT_OPERATION, operation);
    put16(at + MONATT_SLOT_REGISTER, index);
    put16(at + MONATT_SLOT_BANKS, banks);
    put16(at + MONATT_SLOT_SIZE, size);
    memcpy(at + MONATT_SLOT_CONTENT, &guest->produced, sizeof(guest->produced));
    *ring_guest_word(guest, MONATT_RING_PRODUCED) = ++guest->produced;
}

uint32_t ring_guest_result(RingGuest *guest, uint32_t count)
{
    uint32_t value;
    memcpy(&value, ring_guest_slot(guest, count) + MONATT_SLOT_RESULT, sizeof(value));
    return value;
}

void ring_guest_synced(RingGuest *guest)
{
    Pipe *pipe = guest->device->pipe;
    pipe->logged = pipe->synced = pipe->enqueued;
}

void ring_guest_run(RingGuest *guest)
{
    while (ring_step(guest->device) == RING_STEP_WORKED) {
    }
}
