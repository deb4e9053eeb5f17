/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * interrupt.c - a level that KVM holds for us; must never let a guest keep the host busy with it,
 * and never wait for a descriptor that QEMU sent
 */
#include "hw-attest/interrupt.h"

#include <poll.h>
#include <unistd.h>
#include "hw-attest/device.h"

#define ACCELERATOR_KVM 2 /* MonattAttachRequest.accelerator */

void interrupt_init(Interrupt *interrupt)
{
    *interrupt = (Interrupt){.assert_fd = -1, .resample_fd = -1};
}

void interrupt_clear(Interrupt *interrupt)
{
    monatt_close_pointer(&interrupt->assert_fd);
    monatt_close_pointer(&interrupt->resample_fd);
}

void interrupt_take(Device *device, int assert_fd, int resample_fd)
{
    Interrupt *interrupt = &device->interrupt;
    interrupt_clear(interrupt);
    interrupt->assert_fd = assert_fd;
    interrupt->resample_fd = resample_fd;
    interrupt_reset(device);
    ring_wake(device); /* the ring thread waits for the new one from here on */
}

bool interrupt_available(const Device *device)
{
    return device->interrupt.assert_fd >= 0 && device->accelerator == ACCELERATOR_KVM;
}

static bool wanted(const Device *device)
{
    return (device->interrupt.status & device->interrupt.enable) != 0 &&
           interrupt_available(device) && pci_config_interrupts(&device->config);
}

static void rest(Interrupt *interrupt)
{
    interrupt->again_ms = 0;
    interrupt->wait_ms = INTERRUPT_AGAIN_FIRST_MS;
}

void interrupt_reset(Device *device)
{
    device->interrupt.status = 0;
    device->interrupt.enable = 0;
    device->interrupt.asserted = false;
    rest(&device->interrupt);
    pci_config_set_interrupt_pin(&device->config, interrupt_available(device));
}

void interrupt_acknowledge(Device *device, uint32_t bits)
{
    device->interrupt.status &= ~bits;
    if (!wanted(device)) {
        /* Should KVM have lost the line (its routing was changed), the next one is written anew. */
        device->interrupt.asserted = false;
        rest(&device->interrupt);
    }
}

void interrupt_enable(Device *device, uint32_t bits)
{
    device->interrupt.enable = interrupt_available(device) ? bits & MONATT_INTERRUPT_RING : 0;
    ring_wake(device);
}

void interrupt_raise(Device *device, uint32_t bits)
{
    if (interrupt_available(device)) {
        device->interrupt.status |= bits;
    }
}

/* Whether it may be read or written now, without waiting whatever kind of file it is. */
static bool ready(int fd, short events)
{
    struct pollfd look = {.fd = fd, .events = events};
    return poll(&look, 1, 0) == 1 && (look.revents & events);
}

/* KVM took the line back.  A reason that still stands, or came meanwhile, has to wait. */
static void served(Device *device, int64_t now_ms)
{
    Interrupt *interrupt = &device->interrupt;
    uint64_t count;
    if (read(interrupt->resample_fd, &count, sizeof(count)) != (ssize_t)sizeof(count)) {
        interrupt_clear(interrupt); /* no eventfd: without interrupts, rather than awake for ever */
        return;
    }
    interrupt->asserted = false;
    if (wanted(device)) {
        interrupt->again_ms = now_ms + interrupt->wait_ms;
        interrupt->wait_ms *= interrupt->wait_ms < INTERRUPT_AGAIN_MAXIMUM_MS ? 2 : 1;
    }
}

int interrupt_work(Device *device)
{
    Interrupt *interrupt = &device->interrupt;
    if (!interrupt_available(device)) {
        return -1;
    }
    int64_t now = device_now_ms();
    if (ready(interrupt->resample_fd, POLLIN | POLLERR | POLLHUP | POLLNVAL)) {
        served(device, now);
    }
    if (!wanted(device) || interrupt->asserted) {
        return -1;
    }
    if (now < interrupt->again_ms) {
        return (int)(interrupt->again_ms - now);
    }
    const uint64_t one = 1;
    if (ready(interrupt->assert_fd, POLLOUT)) {
        ssize_t written = write(interrupt->assert_fd, &one, sizeof(one));
        (void)written; /* a descriptor of QEMU's own fault costs the guest its interrupts */
    }
    interrupt->asserted = true;
    return -1;
}

int interrupt_wait_fd(const Device *device)
{
    return interrupt_available(device) ? device->interrupt.resample_fd : -1;
}
