/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * shadow.c - registers in guest memory; must never write a byte while it is off
 */
#include "hw-attest/shadow.h"

#include <endian.h>
#include <stdatomic.h>
#include <string.h>
#include "hw-attest/device.h"

void shadow_entry(const Register *mr, uint8_t ret[MONATT_BAR2_ENTRY_SIZE])
{
    uint64_t extends = htole64(mr->extends);
    uint64_t synced = htole64(mr->synced);
    memcpy(ret + MONATT_ENTRY_SHA256, mr->sha256, sizeof(mr->sha256));
    memcpy(ret + MONATT_ENTRY_SHA384, mr->sha384, sizeof(mr->sha384));
    memcpy(ret + MONATT_ENTRY_EXTENDS, &extends, sizeof(extends));
    memcpy(ret + MONATT_ENTRY_SYNCED, &synced, sizeof(synced));
}

static void write_entry(GuestWindow *window, const Registers *registers, unsigned index)
{
    uint8_t entry[MONATT_BAR2_ENTRY_SIZE];
    shadow_entry(&registers->mr[index], entry);
    guest_window_copy_in(window, MONATT_BAR2_ENTRY + (size_t)index * MONATT_BAR2_ENTRY_SIZE, entry,
                         sizeof(entry));
}

/* Entries first to last, between an odd and an even sequence. */
static void publish(Device *device, unsigned first, unsigned last)
{
    GuestWindow *window = &device->shadow.window;
    if (!window->bytes) {
        return; /* off, or not mapped again yet */
    }
    guest_window_store32(window, MONATT_BAR2_SEQUENCE, device->command.sequence - 1);
    atomic_thread_fence(memory_order_seq_cst); /* odd before any byte of an entry */
    for (unsigned i = first; i <= last; i++) {
        write_entry(window, &device->registers, i);
    }
    guest_window_store32(window, MONATT_BAR2_SEQUENCE, device->command.sequence);
}

void shadow_update(Device *device, unsigned index)
{
    publish(device, index, index);
}

void shadow_update_all(Device *device)
{
    publish(device, 0, MONATT_REGISTER_COUNT - 1);
}

void shadow_stop(Shadow *shadow)
{
    shadow->kept.state = MONATT_RING_OFF;
    guest_window_unmap(&shadow->window);
}

/* Between and after the entries of BAR2: the page is the guest's, with what it had in it. */
static void clear_rest(GuestWindow *window)
{
    static const uint8_t zeros[MONATT_SHADOW_SIZE];
    const size_t count_end = MONATT_BAR2_COUNT + 4;
    const size_t entries_end = MONATT_BAR2_ENTRY + MONATT_REGISTER_COUNT * MONATT_BAR2_ENTRY_SIZE;
    guest_window_copy_in(window, count_end, zeros, MONATT_BAR2_ENTRY - count_end);
    guest_window_copy_in(window, entries_end, zeros, MONATT_SHADOW_SIZE - entries_end);
}

static void show(Device *device)
{
    Shadow *shadow = &device->shadow;
    /* Another page may come with every map: all of it, not what changed. */
    if (!guest_ram_map(&device->ram, shadow->kept.base, MONATT_SHADOW_SIZE, &shadow->window)) {
        shadow->kept.state = MONATT_RING_FAULT;
        return;
    }
    shadow->kept.state = MONATT_RING_ON;
    guest_window_store32(&shadow->window, MONATT_BAR2_COUNT, MONATT_REGISTER_COUNT);
    clear_rest(&shadow->window);
    shadow_update_all(device);
}

void shadow_control(Device *device, uint32_t value)
{
    Shadow *shadow = &device->shadow;
    if (value > 1) {
        return;
    }
    shadow_stop(shadow);
    if (value == 0) {
        return;
    }
    shadow->kept.base = shadow->kept.address;
    if (shadow->kept.base % GUEST_RAM_PAGE != 0 || !pci_config_bus_master(&device->config)) {
        shadow->kept.state = MONATT_RING_FAULT;
        return;
    }
    show(device);
}

void shadow_memory_changed(Device *device)
{
    if (device->shadow.kept.state == MONATT_RING_ON) {
        show(device);
    }
}
