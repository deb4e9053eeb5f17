/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test-interrupt.c - the device's level, with two eventfds in KVM's place
 */
#include <fcntl.h>
#include <glib.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include "hw-attest/wire.h"
#include "tests/lib/ring-guest.h"

#define ACCELERATOR_TCG 1
#define ACCELERATOR_KVM 2
#define SET_IRQFD 6
#define PIN 0x3d

typedef struct Line {
    int assert_fd;
    int resample_fd;
} Line;

static bool irqfd(RingGuest *guest, const int *fds, size_t count)
{
    bool reply;
    uint64_t value;
    MonattError err = {0};
    int copies[8];
    for (size_t i = 0; i < count; i++) {
        copies[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, 0);
        g_assert_cmpint(copies[i], >=, 0);
    }
    bool ok =
        wire_mpqemu_handle(guest->device, SET_IRQFD, NULL, 0, copies, count, &reply, &value, &err);
    g_assert_false(reply);
    return ok;
}

/* A guest with the interrupt connected, and a ring that is on. */
static RingGuest connected(Line *line, uint8_t accelerator)
{
    RingGuest guest = ring_guest_new();
    line->assert_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    line->resample_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    guest.device->accelerator = accelerator;
    g_assert_true(irqfd(&guest, (const int[]){line->assert_fd, line->resample_fd}, 2));
    g_assert_cmpuint(ring_guest_ring_on(&guest, RAM_GUEST + RING_AT, SLOTS), ==, MONATT_RING_ON);
    return guest;
}

static void disconnect(RingGuest *guest, Line *line)
{
    ring_guest_end(guest);
    close(line->assert_fd);
    close(line->resample_fd);
}

/* How often the line was asserted since the last look. */
static uint64_t asserted(const Line *line)
{
    uint64_t count = 0;
    return read(line->assert_fd, &count, sizeof(count)) == sizeof(count) ? count : 0;
}

/* The guest's end of interrupt, as KVM passes it on. */
static void serve(const Line *line)
{
    const uint64_t one = 1;
    g_assert_cmpint(write(line->resample_fd, &one, sizeof(one)), ==, sizeof(one));
}

static void consume(RingGuest *guest)
{
    ring_guest_produce(guest, MONATT_RING_EXTEND, 1, 3, 0);
    ring_guest_run(guest);
    ring_guest_synced(guest);
}

static uint32_t capability(RingGuest *guest)
{
    return ring_guest_read(guest, MONATT_REG_CAPABILITIES) & MONATT_CAP_INTERRUPT;
}

static void test_level(void)
{
    Line line;
    RingGuest guest = connected(&line, ACCELERATOR_KVM);
    g_assert_cmpuint(capability(&guest), !=, 0);
    g_assert_cmpuint(pci_config_read(&guest.device->config, PIN, 1), ==, 1);
    /* Neither wanted nor enabled, wanted and not enabled: nothing. */
    consume(&guest);
    g_assert_cmpuint(ring_guest_read(&guest, MONATT_REG_INTERRUPT_STATUS), ==, 0);
    *ring_guest_word(&guest, MONATT_RING_GUEST_FLAGS) = MONATT_RING_WANT_INTERRUPT;
    consume(&guest);
    g_assert_cmpuint(ring_guest_read(&guest, MONATT_REG_INTERRUPT_STATUS), ==,
                     MONATT_INTERRUPT_RING);
    g_assert_cmpint(interrupt_work(guest.device), ==, -1);
    g_assert_cmpuint(asserted(&line), ==, 0);
    /* Enabled: asserted once, however much is consumed. */
    ring_guest_write(&guest, MONATT_REG_INTERRUPT_ENABLE, UINT32_MAX, 4);
    g_assert_cmpuint(ring_guest_read(&guest, MONATT_REG_INTERRUPT_ENABLE), ==,
                     MONATT_INTERRUPT_RING);
    for (unsigned i = 0; i < 10; i++) {
        interrupt_work(guest.device);
        consume(&guest);
    }
    g_assert_cmpuint(asserted(&line), ==, 1);
    /* Acknowledged, then served: quiet, and the next reason asserts again. */
    for (unsigned i = 0; i < 10; i++) {
        ring_guest_write(&guest, MONATT_REG_INTERRUPT_STATUS, MONATT_INTERRUPT_RING, 4);
        g_assert_cmpuint(ring_guest_read(&guest, MONATT_REG_INTERRUPT_STATUS), ==, 0);
        serve(&line);
        g_assert_cmpint(interrupt_work(guest.device), ==, -1);
        g_assert_cmpuint(asserted(&line), ==, 0);
        consume(&guest);
        g_assert_cmpint(interrupt_work(guest.device), ==, -1);
        g_assert_cmpuint(asserted(&line), ==, 1);
    }
    /* A 0 that is written clears nothing. */
    ring_guest_write(&guest, MONATT_REG_INTERRUPT_STATUS, ~MONATT_INTERRUPT_RING, 4);
    g_assert_cmpuint(ring_guest_read(&guest, MONATT_REG_INTERRUPT_STATUS), ==,
                     MONATT_INTERRUPT_RING);
    disconnect(&guest, &line);
}

/* A process that dies between slots and interrupt: the guest sleeps until its successor raises it.
 */
static void test_successor_raises(void)
{
    Line line;
    RingGuest guest = connected(&line, ACCELERATOR_KVM);
    *ring_guest_word(&guest, MONATT_RING_GUEST_FLAGS) = MONATT_RING_WANT_INTERRUPT;
    consume(&guest);
    guest.device->interrupt.status = 0; /* it was not committed with the slots */
    ring_resume(guest.device);
    g_assert_cmpuint(ring_guest_read(&guest, MONATT_REG_INTERRUPT_STATUS), ==,
                     MONATT_INTERRUPT_RING);
    /* Nobody waits: no interrupt. */
    *ring_guest_word(&guest, MONATT_RING_GUEST_FLAGS) = 0;
    guest.device->interrupt.status = 0;
    ring_resume(guest.device);
    g_assert_cmpuint(ring_guest_read(&guest, MONATT_REG_INTERRUPT_STATUS), ==, 0);
    disconnect(&guest, &line);
}

/* Served but never acknowledged: asserted again, later and later. */
static void test_no_storm(void)
{
    Line line;
    RingGuest guest = connected(&line, ACCELERATOR_KVM);
    *ring_guest_word(&guest, MONATT_RING_GUEST_FLAGS) = MONATT_RING_WANT_INTERRUPT;
    ring_guest_write(&guest, MONATT_REG_INTERRUPT_ENABLE, MONATT_INTERRUPT_RING, 4);
    consume(&guest);
    int64_t wanted_pause = INTERRUPT_AGAIN_FIRST_MS;
    for (unsigned i = 0; i < 12; i++) {
        interrupt_work(guest.device);
        g_assert_cmpuint(asserted(&line), ==, 1);
        serve(&line);
        int due = interrupt_work(guest.device);
        g_assert_cmpint(due, ==, wanted_pause);
        g_assert_cmpuint(asserted(&line), ==, 0);
        if (wanted_pause < INTERRUPT_AGAIN_MAXIMUM_MS) {
            wanted_pause *= 2;
        }
        guest.device->interrupt.again_ms = 0; /* the pause is over */
    }
    /* An acknowledgement ends it. */
    ring_guest_write(&guest, MONATT_REG_INTERRUPT_STATUS, MONATT_INTERRUPT_RING, 4);
    consume(&guest);
    g_assert_cmpint(interrupt_work(guest.device), ==, -1);
    g_assert_cmpuint(asserted(&line), ==, 1);
    disconnect(&guest, &line);
}

static void test_masked(void)
{
    Line line;
    RingGuest guest = connected(&line, ACCELERATOR_KVM);
    *ring_guest_word(&guest, MONATT_RING_GUEST_FLAGS) = MONATT_RING_WANT_INTERRUPT;
    ring_guest_write(&guest, MONATT_REG_INTERRUPT_ENABLE, MONATT_INTERRUPT_RING, 4);
    command_config_write(guest.device, 4, 0x406, 2); /* interrupt disable */
    consume(&guest);
    interrupt_work(guest.device);
    g_assert_cmpuint(asserted(&line), ==, 0);
    command_config_write(guest.device, 4, 0x006, 2);
    interrupt_work(guest.device);
    g_assert_cmpuint(asserted(&line), ==, 1);
    /* A RESET of the wire leaves no reason behind, and the pin where it is. */
    wire_reset(guest.device);
    interrupt_work(guest.device);
    g_assert_cmpuint(asserted(&line), ==, 0);
    g_assert_cmpuint(ring_guest_read(&guest, MONATT_REG_INTERRUPT_STATUS), ==, 0);
    g_assert_cmpuint(ring_guest_read(&guest, MONATT_REG_INTERRUPT_ENABLE), ==, 0);
    g_assert_cmpuint(pci_config_read(&guest.device->config, PIN, 1), ==, 1);
    disconnect(&guest, &line);
}

static void test_unavailable(void)
{
    Line line;
    RingGuest guest = connected(&line, ACCELERATOR_TCG);
    *ring_guest_word(&guest, MONATT_RING_GUEST_FLAGS) = MONATT_RING_WANT_INTERRUPT;
    ring_guest_write(&guest, MONATT_REG_INTERRUPT_ENABLE, MONATT_INTERRUPT_RING, 4);
    consume(&guest);
    g_assert_cmpint(interrupt_work(guest.device), ==, -1);
    g_assert_cmpuint(asserted(&line), ==, 0);
    g_assert_cmpuint(capability(&guest), ==, 0);
    g_assert_cmpuint(ring_guest_read(&guest, MONATT_REG_INTERRUPT_STATUS), ==, 0);
    g_assert_cmpuint(ring_guest_read(&guest, MONATT_REG_INTERRUPT_ENABLE), ==, 0);
    g_assert_cmpuint(pci_config_read(&guest.device->config, PIN, 1), ==, 0);
    disconnect(&guest, &line);
}

/* Other numbers of descriptors, and descriptors that are no eventfds. */
static void test_wrong_descriptors(void)
{
    Line line;
    RingGuest guest = connected(&line, ACCELERATOR_KVM);
    interrupt_clear(&guest.device->interrupt);
    const int fds[3] = {line.assert_fd, line.resample_fd, line.resample_fd};
    for (size_t count = 0; count <= 3; count++) {
        if (count != 2) {
            g_assert_true(irqfd(&guest, fds, count));
            g_assert_cmpuint(capability(&guest), ==, 0);
        }
    }
    /* Always readable and nothing to read; never writable; closed at the other end. */
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    int pipes[2];
    g_assert_cmpint(pipe2(pipes, O_CLOEXEC), ==, 0);
    *ring_guest_word(&guest, MONATT_RING_GUEST_FLAGS) = MONATT_RING_WANT_INTERRUPT;
    g_assert_true(irqfd(&guest, (const int[]){null, null}, 2));
    g_assert_cmpuint(capability(&guest), !=, 0);
    g_assert_cmpint(interrupt_work(guest.device), ==, -1);
    g_assert_cmpuint(capability(&guest), ==, 0);
    g_assert_true(irqfd(&guest, (const int[]){pipes[0], pipes[0]}, 2));
    ring_guest_write(&guest, MONATT_REG_INTERRUPT_ENABLE, MONATT_INTERRUPT_RING, 4);
    consume(&guest);
    g_assert_cmpint(interrupt_work(guest.device), ==, -1); /* and does not wait */
    close(pipes[1]);
    g_assert_cmpint(interrupt_work(guest.device), ==, -1);
    g_assert_cmpuint(capability(&guest), ==, 0);
    /* One that a write would wait for. */
    const uint64_t full = UINT64_MAX - 1;
    int blocking = eventfd(0, EFD_CLOEXEC);
    g_assert_cmpint(write(blocking, &full, sizeof(full)), ==, sizeof(full));
    g_assert_true(irqfd(&guest, (const int[]){blocking, line.resample_fd}, 2));
    ring_guest_write(&guest, MONATT_REG_INTERRUPT_ENABLE, MONATT_INTERRUPT_RING, 4);
    consume(&guest);
    g_assert_cmpint(interrupt_work(guest.device), ==, -1);
    close(blocking);
    close(pipes[0]);
    close(null);
    disconnect(&guest, &line);
}

static gpointer run_thread(gpointer device)
{
    ring_run(device);
    return NULL;
}

/* The ring thread asserts by itself, and again when a reason stands after the end of interrupt. */
static void test_thread(void)
{
    Line line;
    RingGuest guest = connected(&line, ACCELERATOR_KVM);
    Device *device = guest.device;
    device->ring.wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    *ring_guest_word(&guest, MONATT_RING_GUEST_FLAGS) = MONATT_RING_WANT_INTERRUPT;
    ring_guest_write(&guest, MONATT_REG_INTERRUPT_ENABLE, MONATT_INTERRUPT_RING, 4);
    GThread *thread = g_thread_new("ring", run_thread, device);
    for (unsigned round = 0; round < 60; round++) {
        bool leave = round % 3 == 1;
        ring_guest_produce(&guest, MONATT_RING_EXTEND, 1, 3, 0);
        pthread_mutex_lock(&device->lock);
        ring_guest_write(&guest, MONATT_REG_DOORBELL, 1, 4);
        ring_guest_synced(&guest);
        pthread_mutex_unlock(&device->lock);
        for (unsigned times = 0; times < (leave ? 3u : 1u); times++) {
            unsigned tries = 0;
            while (asserted(&line) == 0) {
                g_assert_cmpuint(tries++, <, 300000);
                g_usleep(100);
            }
            if (times == (leave ? 2u : 0u)) {
                pthread_mutex_lock(&device->lock);
                ring_guest_write(&guest, MONATT_REG_INTERRUPT_STATUS, MONATT_INTERRUPT_RING, 4);
                pthread_mutex_unlock(&device->lock);
            }
            serve(&line);
        }
    }
    pthread_mutex_lock(&device->lock);
    device->ending = true;
    ring_wake(device);
    pthread_mutex_unlock(&device->lock);
    g_thread_join(thread);
    close(device->ring.wake_fd);
    disconnect(&guest, &line);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/interrupt/level", test_level);
    g_test_add_func("/interrupt/successor-raises", test_successor_raises);
    g_test_add_func("/interrupt/no-storm", test_no_storm);
    g_test_add_func("/interrupt/masked", test_masked);
    g_test_add_func("/interrupt/unavailable", test_unavailable);
    g_test_add_func("/interrupt/wrong-descriptors", test_wrong_descriptors);
    g_test_add_func("/interrupt/thread", test_thread);
    return g_test_run();
}
