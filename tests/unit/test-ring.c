/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test-ring.c - slots of an honest guest and of hostile ones, and the ring thread
 */
#include <glib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include "tests/lib/ring-guest.h"

static void test_extends(void)
{
    RingGuest guest = ring_guest_new();
    Registers model;
    MonattError err = {0};
    uint8_t digest[48];
    memset(digest, 0xee, sizeof(digest));
    registers_init(&model);
    g_assert_cmpuint(ring_step(guest.device), ==, RING_STEP_OFF);
    g_assert_cmpuint(ring_guest_ring_on(&guest, RAM_GUEST + RING_AT, SLOTS), ==, MONATT_RING_ON);
    g_assert_cmpuint(ring_step(guest.device), ==, RING_STEP_IDLE);
    for (uint32_t i = 0; i < 100; i++) {
        unsigned banks = 1 + i % 3;
        ring_guest_produce(&guest, MONATT_RING_EXTEND, i % 16, banks,
                           i % (MONATT_CONTENT_MAXIMUM + 1));
        g_assert_true(registers_extend(&model, i % 16, REGISTERS_GUEST, banks & 1 ? digest : NULL,
                                       banks & 2 ? digest : NULL, &err));
        if (i % 7 == 0) {
            ring_guest_run(&guest);
            g_assert_cmpuint(*ring_guest_word(&guest, MONATT_RING_CONSUMED), ==, i + 1);
            g_assert_cmpuint(ring_guest_result(&guest, i), ==, MONATT_ERR_NONE);
            g_assert_cmpuint(*ring_guest_quad(&guest, MONATT_RING_RECORDS), ==, i + 1);
        }
    }
    ring_guest_run(&guest);
    g_assert_cmpmem(&guest.device->registers, sizeof(model), &model, sizeof(model));
    for (uint32_t i = 0; i < 100; i++) {
        const PipeEntry *entry = pipe_entry(guest.device->pipe, i);
        g_assert_cmpuint(entry->index, ==, i % 16);
        g_assert_cmpuint(entry->content_size, ==, i);
        g_assert_true(i < 4 || memcmp(entry->content, &i, 4) == 0);
        g_assert_false(entry->host);
    }
    ring_guest_produce(&guest, MONATT_RING_EXTEND, 16, 3, MONATT_CONTENT_MAXIMUM);
    ring_guest_produce(&guest, MONATT_RING_RESET, 16, 0, 0);
    ring_guest_run(&guest);
    g_assert_cmpuint(ring_guest_result(&guest, 100), ==, MONATT_ERR_NONE);
    g_assert_cmpuint(ring_guest_result(&guest, 101), ==, MONATT_ERR_NONE);
    g_assert_cmpuint(guest.device->registers.mr[16].sha256[0], ==, 0);
    g_assert_cmpuint(guest.device->registers.mr[16].extends, ==, 2);
    ring_guest_end(&guest);
}

/* Each field with each kind of wrong value: its error, and nothing has moved. */
static void test_refuses_slots(void)
{
    static const struct {
        unsigned operation, index, banks, size, error;
    } wrong[] = {
        {0, 1, 3, 0, MONATT_ERR_COMMAND},
        {4, 1, 3, 0, MONATT_ERR_COMMAND},
        {0xffff, 1, 3, 0, MONATT_ERR_COMMAND},
        {0x101, 1, 3, 0, MONATT_ERR_COMMAND},
        {MONATT_RING_EXTEND, 17, 3, 0, MONATT_ERR_LOCALITY},
        {MONATT_RING_EXTEND, 22, 3, 0, MONATT_ERR_LOCALITY},
        {MONATT_RING_EXTEND, 24, 3, 0, MONATT_ERR_INDEX},
        {MONATT_RING_EXTEND, 0xffff, 3, 0, MONATT_ERR_INDEX},
        {MONATT_RING_EXTEND, 0x101, 3, 0, MONATT_ERR_INDEX},
        {MONATT_RING_EXTEND, 17, 3, 0xffff, MONATT_ERR_LOCALITY},
        {MONATT_RING_EXTEND, 1, 0, 0, MONATT_ERR_COMMAND},
        {MONATT_RING_EXTEND, 1, 4, 0, MONATT_ERR_COMMAND},
        {MONATT_RING_EXTEND, 1, 0x8001, 0, MONATT_ERR_COMMAND},
        {MONATT_RING_EXTEND, 1, 3, MONATT_CONTENT_MAXIMUM + 1, MONATT_ERR_SIZE},
        {MONATT_RING_EXTEND, 1, 3, 0xffff, MONATT_ERR_SIZE},
        {MONATT_RING_RESET, 1, 0, 0, MONATT_ERR_LOCALITY},
        {MONATT_RING_RESET, 17, 0, 0, MONATT_ERR_LOCALITY},
        {MONATT_RING_RESET, 24, 0, 0, MONATT_ERR_INDEX},
        {MONATT_RING_REPORT_READ, 0, 0, 0, MONATT_ERR_SEQUENCE},
    };
    RingGuest guest = ring_guest_new();
    Registers before = guest.device->registers;
    g_assert_cmpuint(ring_guest_ring_on(&guest, RAM_GUEST + RING_AT, SLOTS), ==, MONATT_RING_ON);
    for (uint32_t i = 0; i < G_N_ELEMENTS(wrong); i++) {
        ring_guest_produce(&guest, wrong[i].operation, wrong[i].index, wrong[i].banks,
                           wrong[i].size);
        ring_guest_run(&guest);
        g_assert_cmpuint(ring_guest_result(&guest, i), ==, wrong[i].error);
        g_assert_cmpuint(*ring_guest_word(&guest, MONATT_RING_CONSUMED), ==, i + 1);
    }
    g_assert_cmpmem(&guest.device->registers, sizeof(before), &before, sizeof(before));
    g_assert_cmpuint(guest.device->pipe->enqueued, ==, 0);
    ring_guest_produce(&guest, MONATT_RING_EXTEND, 1, 3, 0);
    ring_guest_run(&guest);
    g_assert_cmpuint(ring_guest_result(&guest, guest.produced - 1), ==, MONATT_ERR_NONE);
    ring_guest_end(&guest);
}

static void test_full_pipe_leaves_slots(void)
{
    RingGuest guest = ring_guest_new();
    Pipe *pipe = guest.device->pipe;
    g_assert_cmpuint(ring_guest_ring_on(&guest, RAM_GUEST + RING_AT, SLOTS), ==, MONATT_RING_ON);
    uint32_t taken = 0;
    RingStep step = RING_STEP_WORKED;
    while (step != RING_STEP_WAITS) {
        g_assert_cmpuint(taken, <=, PIPE_ENTRIES);
        while (guest.produced - *ring_guest_word(&guest, MONATT_RING_CONSUMED) < SLOTS) {
            ring_guest_produce(&guest, MONATT_RING_EXTEND, 2, 3, 8);
        }
        step = ring_step(guest.device);
        taken = *ring_guest_word(&guest, MONATT_RING_CONSUMED);
    }
    g_assert_cmpuint(taken, ==, PIPE_ENTRIES);
    g_assert_cmphex(*ring_guest_word(&guest, MONATT_RING_DEVICE_FLAGS), ==, MONATT_RING_BUSY);
    g_assert_cmpuint(ring_guest_read(&guest, MONATT_REG_RING_CONTROL), ==, MONATT_RING_ON);
    g_assert_cmpuint(ring_step(guest.device), ==, RING_STEP_WAITS);
    g_assert_cmpuint(guest.device->registers.mr[2].extends, ==, PIPE_ENTRIES);
    g_assert_false(ring_fall_asleep(guest.device));
    /* Room for three: three are done, in order, then it waits again. */
    pipe->logged = pipe->enqueued;
    pipe->synced += 3;
    g_assert_cmpuint(ring_step(guest.device), ==, RING_STEP_WORKED);
    g_assert_cmpuint(ring_step(guest.device), ==, RING_STEP_WAITS);
    g_assert_cmpuint(*ring_guest_word(&guest, MONATT_RING_CONSUMED), ==, PIPE_ENTRIES + 3);
    for (uint32_t i = 0; i < 3; i++) {
        uint32_t number = PIPE_ENTRIES + i;
        const PipeEntry *entry = pipe_entry(pipe, number);
        g_assert_cmpmem(entry->content, 4, &number, 4);
    }
    /* A reset under way and a dead TPM: busy, and an answer. */
    ring_guest_synced(&guest);
    guest.device->resetting = true;
    g_assert_cmpuint(ring_step(guest.device), ==, RING_STEP_WAITS);
    guest.device->resetting = false;
    guest.device->log_failed = true;
    g_assert_cmpuint(ring_step(guest.device), ==, RING_STEP_WAITS);
    guest.device->log_failed = false;
    guest.device->tpm_gone = true;
    g_assert_cmpuint(ring_step(guest.device), ==, RING_STEP_WORKED);
    g_assert_cmpuint(ring_guest_result(&guest, PIPE_ENTRIES + 3), ==, MONATT_ERR_FAULT);
    guest.device->tpm_gone = false;
    ring_guest_run(&guest);
    g_assert_cmphex(*ring_guest_word(&guest, MONATT_RING_DEVICE_FLAGS), ==, 0);
    g_assert_cmpuint(*ring_guest_word(&guest, MONATT_RING_CONSUMED), ==, guest.produced);
    ring_guest_end(&guest);
}

/* The guest's share of the log by the ring too: more waits for the next segment, or is refused. */
static void test_log_share(void)
{
    RingGuest guest = ring_guest_new();
    g_assert_cmpuint(ring_guest_ring_on(&guest, RAM_GUEST + RING_AT, SLOTS), ==, MONATT_RING_ON);
    guest.device->guest_bytes = MONATT_EVENT_LOG_GUEST_SHARE - 2000;
    ring_guest_produce(&guest, MONATT_RING_EXTEND, 2, 3, MONATT_CONTENT_MAXIMUM);
    ring_guest_produce(&guest, MONATT_RING_EXTEND, 2, 3, 0);
    ring_guest_produce(&guest, MONATT_RING_RESET, 16, 0, 0);
    ring_guest_run(&guest);
    g_assert_cmpuint(ring_step(guest.device), ==, RING_STEP_WAITS);
    g_assert_cmphex(*ring_guest_word(&guest, MONATT_RING_DEVICE_FLAGS), ==, MONATT_RING_BUSY);
    guest.device->seal.impossible = true;
    ring_guest_run(&guest);
    g_assert_cmpuint(ring_guest_result(&guest, 0), ==, MONATT_ERR_NONE);
    g_assert_cmpuint(ring_guest_result(&guest, 1), ==, MONATT_ERR_FULL);
    g_assert_cmpuint(ring_guest_result(&guest, 2), ==, MONATT_ERR_FULL);
    g_assert_cmpuint(guest.device->pipe->enqueued, ==, 1);
    ring_guest_end(&guest);
}

static void test_overrun(void)
{
    static const uint32_t jumps[] = {SLOTS + 1, SLOTS + 100, 0x80000000u, UINT32_MAX};
    for (size_t i = 0; i < G_N_ELEMENTS(jumps); i++) {
        RingGuest guest = ring_guest_new();
        g_assert_cmpuint(ring_guest_ring_on(&guest, RAM_GUEST + RING_AT, SLOTS), ==,
                         MONATT_RING_ON);
        ring_guest_produce(&guest, MONATT_RING_EXTEND, 2, 3, 0);
        ring_guest_run(&guest);
        *ring_guest_word(&guest, MONATT_RING_PRODUCED) = 1 + jumps[i];
        g_assert_cmpuint(ring_step(guest.device), ==, RING_STEP_OFF);
        g_assert_cmpuint(ring_guest_read(&guest, MONATT_REG_RING_CONTROL), ==, MONATT_RING_FAULT);
        g_assert_cmpuint(ring_guest_read(&guest, MONATT_REG_RING_ERROR), ==, MONATT_ERR_SIZE);
        g_assert_cmphex(*ring_guest_word(&guest, MONATT_RING_DEVICE_FLAGS), ==,
                        MONATT_RING_FAULTED);
        g_assert_cmpuint(guest.device->pipe->enqueued, ==, 1);
        ring_guest_end(&guest);
    }
    RingGuest guest = ring_guest_new();
    g_assert_cmpuint(ring_guest_ring_on(&guest, RAM_GUEST + RING_AT, SLOTS), ==, MONATT_RING_ON);
    *ring_guest_word(&guest, MONATT_RING_PRODUCED) = SLOTS; /* all of them is not too many */
    g_assert_cmpuint(ring_step(guest.device), ==, RING_STEP_WORKED);
    ring_guest_end(&guest);
}

/* Counts run over 2^32, and a ring goes on where it was left. */
static void test_counts_wrap(void)
{
    RingGuest guest = ring_guest_new();
    *ring_guest_word(&guest, MONATT_RING_CONSUMED) =
        *ring_guest_word(&guest, MONATT_RING_PRODUCED) = UINT32_MAX - 4;
    g_assert_cmpuint(ring_guest_ring_on(&guest, RAM_GUEST + RING_AT, SLOTS), ==, MONATT_RING_ON);
    for (uint32_t i = 0; i < SLOTS; i++) {
        ring_guest_produce(&guest, MONATT_RING_EXTEND, 2, 3, 8);
    }
    ring_guest_run(&guest);
    g_assert_cmpuint(*ring_guest_word(&guest, MONATT_RING_CONSUMED), ==, SLOTS - 5);
    g_assert_cmpuint(guest.device->registers.mr[2].extends, ==, SLOTS);
    /* Slots handed over while it is off are done when it is on again. */
    ring_guest_write(&guest, MONATT_REG_RING_CONTROL, 0, 4);
    ring_guest_produce(&guest, MONATT_RING_EXTEND, 3, 3, 8);
    ring_guest_run(&guest);
    g_assert_cmpuint(guest.device->registers.mr[3].extends, ==, 0);
    ring_guest_write(&guest, MONATT_REG_RING_CONTROL, 1, 4);
    ring_guest_run(&guest);
    g_assert_cmpuint(guest.device->registers.mr[3].extends, ==, 1);
    g_assert_cmpuint(guest.device->registers.mr[2].extends, ==, SLOTS);
    /* What the guest writes into CONSUMED of a ring that is on is nothing to the device. */
    *ring_guest_word(&guest, MONATT_RING_CONSUMED) = 77;
    ring_guest_produce(&guest, MONATT_RING_EXTEND, 3, 3, 8);
    ring_guest_run(&guest);
    g_assert_cmpuint(*ring_guest_word(&guest, MONATT_RING_CONSUMED), ==, guest.produced);
    ring_guest_end(&guest);
}

typedef struct Racer {
    RingGuest *guest;
    atomic_bool stop;
} Racer;

static gpointer rewrite_slots(gpointer argument)
{
    Racer *racer = argument;
    uint64_t state = 88172645463325252u;
    while (!atomic_load(&racer->stop)) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        volatile uint8_t *at = ring_guest_slot(racer->guest, (uint32_t)(state >> 8) & (SLOTS - 1));
        const uint32_t place = (uint32_t)(state >> 20) % MONATT_SLOT_CONTENT;
        /* Most of all the fields that are checked. */
        at[(state & 1) ? place % 8 : place] = (uint8_t)(state >> 40) & ((state & 2) ? 3 : 255);
    }
    return NULL;
}

/*
 * The guest rewrites slots while the device reads them: whatever was taken was checked, so the
 * registers are what the log says, no record is too long, and no register of the host has moved.
 */
static void test_rewritten_slots(void)
{
    RingGuest guest = ring_guest_new();
    Registers model;
    Racer racer = {.guest = &guest};
    MonattError err = {0};
    uint64_t seen = 0;
    registers_init(&model);
    g_assert_cmpuint(ring_guest_ring_on(&guest, RAM_GUEST + RING_AT, SLOTS), ==, MONATT_RING_ON);
    GThread *thread = g_thread_new("racer", rewrite_slots, &racer);
    for (unsigned round = 0; round < 30000 || seen < 1000; round++) {
        g_assert_cmpuint(round, <, 10000000);
        while (guest.produced - *ring_guest_word(&guest, MONATT_RING_CONSUMED) < SLOTS) {
            ring_guest_produce(&guest, MONATT_RING_EXTEND, 2, 3, 1024);
        }
        ring_step(guest.device);
        for (; seen < guest.device->pipe->enqueued; seen++) {
            const PipeEntry *entry = pipe_entry(guest.device->pipe, seen);
            g_assert_cmpuint(entry->content_size, <=, MONATT_CONTENT_MAXIMUM);
            if (entry->has_sha256 || entry->has_sha384) {
                g_assert_true(registers_extend(&model, entry->index, REGISTERS_GUEST,
                                               entry->has_sha256 ? entry->sha256 : NULL,
                                               entry->has_sha384 ? entry->sha384 : NULL, &err));
            } else {
                g_assert_true(registers_reset(&model, entry->index, &err));
            }
        }
        ring_guest_synced(&guest);
        guest.device->guest_bytes = 0;
    }
    atomic_store(&racer.stop, true);
    g_thread_join(thread);
    g_assert_cmpmem(&guest.device->registers, sizeof(model), &model, sizeof(model));
    ring_guest_end(&guest);
}

static gpointer run_thread(gpointer device)
{
    ring_run(device);
    return NULL;
}

/* The thread itself: sleeps, is woken by a doorbell, asks for the next one, ends. */
static void test_thread(void)
{
    RingGuest guest = ring_guest_new();
    Device *device = guest.device;
    device->ring.wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    GThread *thread = g_thread_new("ring", run_thread, device);
    for (unsigned round = 0; round < 300; round++) {
        device_lock_first(device);
        if (round % 100 == 0) {
            memset(guest.ram + RING_AT, 0, MONATT_RING_HEADER_SIZE);
            g_assert_cmpuint(ring_guest_ring_on(&guest, RAM_GUEST + RING_AT, SLOTS), ==,
                             MONATT_RING_ON);
        }
        pthread_mutex_unlock(&device->lock);
        for (uint32_t i = 0; i < 1 + round % SLOTS; i++) {
            ring_guest_produce(&guest, MONATT_RING_EXTEND, 2, 3, 0);
        }
        atomic_thread_fence(memory_order_seq_cst);
        if (*(volatile uint32_t *)ring_guest_word(&guest, MONATT_RING_DEVICE_FLAGS) &
            MONATT_RING_WANT_DOORBELL) {
            device_lock_first(device);
            ring_guest_write(&guest, MONATT_REG_DOORBELL, 1, 4);
            pthread_mutex_unlock(&device->lock);
        }
        for (unsigned i = 0;
             *(volatile uint32_t *)ring_guest_word(&guest, MONATT_RING_CONSUMED) != guest.produced;
             i++) {
            g_assert_cmpuint(i, <, 300000); /* a lost wake-up would wait for ever */
            g_usleep(100);
        }
        /* Nothing lags: it sleeps without a time-out. */
        pthread_mutex_lock(&device->lock);
        ring_guest_synced(&guest);
        pthread_mutex_unlock(&device->lock);
        if (round % 10 == 9) {
            g_usleep(6000); /* long enough for it to fall asleep */
        }
    }
    pthread_mutex_lock(&device->lock);
    device->ending = true;
    ring_wake(device);
    pthread_mutex_unlock(&device->lock);
    g_thread_join(thread);
    close(device->ring.wake_fd);
    ring_guest_end(&guest);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/ring/extends", test_extends);
    g_test_add_func("/ring/refuses-slots", test_refuses_slots);
    g_test_add_func("/ring/full-pipe-leaves-slots", test_full_pipe_leaves_slots);
    g_test_add_func("/ring/guest-fills-its-share-of-the-log", test_log_share);
    g_test_add_func("/ring/overrun", test_overrun);
    g_test_add_func("/ring/counts-wrap", test_counts_wrap);
    g_test_add_func("/ring/rewritten-slots", test_rewritten_slots);
    g_test_add_func("/ring/thread", test_thread);
    return g_test_run();
}
