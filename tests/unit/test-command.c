/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test-command.c - the guest's window, registers and commands, without wire, log or swtpm
 */
#include <glib.h>
#include <string.h>
#include "hw-attest/device.h"
#include "libmonatt/eventlog/cel.h"

static Device *fresh(void)
{
    Device *device = device_new(NULL);
    g_assert_nonnull(device);
    return device;
}

static uint32_t rd(Device *device, uint32_t offset)
{
    return (uint32_t)command_read(device, 0, offset, 4);
}

static uint32_t run(Device *device, uint32_t index, uint32_t size, uint32_t command)
{
    command_write(device, 0, MONATT_REG_INDEX, index, 4);
    command_write(device, 0, MONATT_REG_DATA_SIZE, size, 4);
    command_write(device, 0, MONATT_REG_COMMAND, command, 4);
    return rd(device, MONATT_REG_ERROR);
}

static void test_identity(void)
{
    Device *device = fresh();
    g_assert_cmphex(rd(device, MONATT_REG_MAGIC), ==, MONATT_MAGIC);
    g_assert_cmphex(rd(device, MONATT_REG_VERSION), ==, MONATT_MAP_VERSION);
    g_assert_cmphex(rd(device, MONATT_REG_STATUS), ==, MONATT_STATUS_READY);
    g_assert_cmphex(rd(device, MONATT_REG_COMMAND), ==, 0);
    g_assert_cmphex(command_read(device, 0, 0, 1), ==, 'M');
    g_assert_cmphex(command_read(device, 0, 2, 2), ==, 'T' << 8 | 'T');
    g_assert_cmphex(command_read(device, 0, 0, 8), ==,
                    (uint64_t)MONATT_MAP_VERSION << 32 | MONATT_MAGIC);
    g_assert_cmphex(command_read(device, 2, MONATT_BAR2_COUNT, 4), ==, MONATT_REGISTER_COUNT);
    device_free(device);
}

static void test_refuses_odd_accesses(void)
{
    static const uint32_t sizes[] = {0, 3, 5, 6, 7, 9, 16, UINT32_MAX};
    static const uint32_t offsets[] = {0x1000, 0x1004, 0x7fffffff, UINT32_MAX};
    Device *device = fresh();
    g_assert_cmphex(command_read(device, 0, 4, 4), ==, MONATT_MAP_VERSION);
    for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
        g_assert_cmphex(command_read(device, 0, 0, sizes[i]), ==, UINT64_MAX);
        command_write(device, 0, MONATT_REG_INDEX, 5, sizes[i]);
        command_write(device, 0, MONATT_REG_DATA, 5, sizes[i]);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(offsets); i++) {
        g_assert_cmphex(command_read(device, 0, offsets[i], 4), ==, UINT64_MAX);
        g_assert_cmphex(command_read(device, 2, offsets[i], 4), ==, UINT64_MAX);
        command_write(device, 0, offsets[i], 5, 4);
    }
    g_assert_cmphex(command_read(device, 0, 2, 4), ==, UINT64_MAX);
    g_assert_cmphex(command_read(device, 0, 0x404, 8), ==, UINT64_MAX);
    command_write(device, 0, MONATT_REG_INDEX, 5, 2);
    command_write(device, 0, MONATT_REG_INDEX, 5, 8);
    g_assert_cmphex(rd(device, MONATT_REG_INDEX), ==, 0);
    g_assert_cmphex(rd(device, MONATT_REG_DATA), ==, 0);
    device_free(device);
}

/* A guest that never stops extending fills its share of the log, and the host still has its own. */
static void test_log_share(void)
{
    Device *device = fresh();
    MonattError err = {0};
    uint64_t number;
    uint32_t error = MONATT_ERR_NONE;
    uint64_t count = 0;
    while (error == MONATT_ERR_NONE) {
        error = run(device, 7, 80 + MONATT_CONTENT_MAXIMUM - 80, MONATT_CMD_EXTEND_BOTH);
        device->pipe->logged = device->pipe->synced = device->pipe->enqueued;
        g_assert_cmpuint(count++, <, MONATT_EVENT_LOG_GUEST_SHARE / 512);
    }
    /* Only until the segment is sealed; "full" is when it cannot be. */
    g_assert_cmpuint(error, ==, MONATT_ERR_BUSY);
    device->seal.impossible = true;
    g_assert_cmpuint(device->guest_bytes, <=, MONATT_EVENT_LOG_GUEST_SHARE);
    g_assert_cmpuint(run(device, 16, 0, MONATT_CMD_RESET_REGISTER), ==, MONATT_ERR_FULL);
    g_assert_true(device_extend(device, REGISTERS_HOST, 20, (const uint8_t[32]){0}, NULL,
                                MONATT_CEL_RECORD, "x", 1, &number, &err));
    /* The next boot begins anew. */
    device_finish_reset(device, 2, (const uint8_t[MONATT_BOOT_SEED_SIZE]){2});
    g_assert_cmpuint(run(device, 7, 80, MONATT_CMD_EXTEND_BOTH), ==, MONATT_ERR_NONE);
    device_free(device);
}

/* Every command code of 8 bits and a few more: exactly the known ones are known. */
static void test_refuses_unknown_commands(void)
{
    Device *device = fresh();
    for (uint32_t code = 0; code < 256; code++) {
        bool known = (code >= 1 && code <= 3) || code == 8 || (code >= 0x10 && code <= 0x12) ||
                     code == 0x20 || code == 0x21;
        uint32_t error = run(device, 3, 80, code);
        g_assert_cmpint(error == MONATT_ERR_COMMAND, ==, !known);
    }
    g_assert_cmpuint(run(device, 3, 80, 0x101), ==, MONATT_ERR_COMMAND);
    g_assert_cmpuint(run(device, 3, 80, 0x80000001u), ==, MONATT_ERR_COMMAND);
    device_free(device);
}

static void test_extend_takes_the_window(void)
{
    Device *device = fresh();
    for (uint32_t i = 0; i < 100; i++) {
        command_write(device, 0, MONATT_REG_DATA + i, i, 1);
    }
    g_assert_cmpuint(run(device, 7, 90, MONATT_CMD_EXTEND_BOTH), ==, MONATT_ERR_NONE);
    const PipeEntry *entry = pipe_entry(device->pipe, 0);
    g_assert_cmpuint(device->pipe->enqueued, ==, 1);
    g_assert_cmpuint(entry->index, ==, 7);
    g_assert_cmpuint(entry->content_type, ==, MONATT_CEL_GUEST);
    g_assert_false(entry->host);
    g_assert_true(entry->has_sha256 && entry->has_sha384);
    g_assert_cmpuint(entry->content_size, ==, 10);
    for (uint8_t i = 0; i < 90; i++) {
        uint8_t got = i < 32   ? entry->sha256[i]
                      : i < 80 ? entry->sha384[i - 32]
                               : entry->content[i - 80];
        g_assert_cmpuint(got, ==, i);
    }
    g_assert_cmpuint(run(device, 7, 48, MONATT_CMD_EXTEND_SHA384), ==, MONATT_ERR_NONE);
    entry = pipe_entry(device->pipe, 1);
    g_assert_true(!entry->has_sha256 && entry->has_sha384 && entry->sha384[1] == 1);
    g_assert_cmpuint(rd(device, MONATT_REG_PENDING), ==, 2);
    device_free(device);
}

static void test_refuses_sizes(void)
{
    Device *device = fresh();
    static const struct {
        uint32_t command, size, error;
    } cases[] = {
        {MONATT_CMD_EXTEND_SHA256, 31, MONATT_ERR_SIZE},
        {MONATT_CMD_EXTEND_SHA256, 32, MONATT_ERR_NONE},
        {MONATT_CMD_EXTEND_SHA384, 47, MONATT_ERR_SIZE},
        {MONATT_CMD_EXTEND_SHA384, 48, MONATT_ERR_NONE},
        {MONATT_CMD_EXTEND_BOTH, 79, MONATT_ERR_SIZE},
        {MONATT_CMD_EXTEND_BOTH, 80, MONATT_ERR_NONE},
        {MONATT_CMD_EXTEND_BOTH, 1024, MONATT_ERR_NONE},
        {MONATT_CMD_EXTEND_BOTH, 1025, MONATT_ERR_SIZE},
        {MONATT_CMD_EXTEND_BOTH, 0, MONATT_ERR_SIZE},
        {MONATT_CMD_EXTEND_BOTH, UINT32_MAX, MONATT_ERR_SIZE},
    };
    uint64_t taken = 0;
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_assert_cmpuint(run(device, 0, cases[i].size, cases[i].command), ==, cases[i].error);
        taken += cases[i].error == MONATT_ERR_NONE;
        g_assert_cmpuint(device->pipe->enqueued, ==, taken);
    }
    device_free(device);
}

static void test_refuses_registers(void)
{
    Device *device = fresh();
    Registers start;
    registers_init(&start);
    for (uint32_t index = 0; index < 40; index++) {
        uint32_t want = index >= 24                  ? MONATT_ERR_INDEX
                        : index >= 17 && index <= 22 ? MONATT_ERR_LOCALITY
                                                     : MONATT_ERR_NONE;
        g_assert_cmpuint(run(device, index, 80, MONATT_CMD_EXTEND_BOTH), ==, want);
        /* The owner is looked at before the size. */
        g_assert_cmpuint(run(device, index, 1, MONATT_CMD_EXTEND_BOTH), ==,
                         want == MONATT_ERR_NONE ? MONATT_ERR_SIZE : want);
        want = index >= 24                  ? MONATT_ERR_INDEX
               : index == 16 || index == 23 ? MONATT_ERR_NONE
                                            : MONATT_ERR_LOCALITY;
        g_assert_cmpuint(run(device, index, 0, MONATT_CMD_RESET_REGISTER), ==, want);
    }
    g_assert_cmpuint(run(device, UINT32_MAX, 80, MONATT_CMD_EXTEND_BOTH), ==, MONATT_ERR_INDEX);
    g_assert_cmpmem(&device->registers.mr[17], 6 * sizeof(Register), &start.mr[17],
                    6 * sizeof(Register));
    device_free(device);
}

static void test_full_pipe_is_busy(void)
{
    Device *device = fresh();
    for (uint32_t i = 0; i < PIPE_ENTRIES; i++) {
        g_assert_cmpuint(run(device, 1, 32, MONATT_CMD_EXTEND_SHA256), ==, MONATT_ERR_NONE);
    }
    Register before = device->registers.mr[1];
    g_assert_cmpuint(run(device, 1, 32, MONATT_CMD_EXTEND_SHA256), ==, MONATT_ERR_BUSY);
    g_assert_cmpuint(run(device, 16, 0, MONATT_CMD_RESET_REGISTER), ==, MONATT_ERR_BUSY);
    g_assert_cmpuint(rd(device, MONATT_REG_STATUS), ==, MONATT_STATUS_BUSY);
    g_assert_cmpmem(&device->registers.mr[1], sizeof(before), &before, sizeof(before));
    /* The host is not kept out: some slots no guest can fill. */
    static const uint8_t digest[MONATT_SHA384_SIZE] = {1};
    MonattError err = {0};
    uint64_t number;
    for (uint32_t i = PIPE_ENTRIES; i < PIPE_SLOTS; i++) {
        g_assert_true(device_extend(device, REGISTERS_HOST, 17, digest, digest, MONATT_CEL_RECORD,
                                    "x", 1, &number, &err));
        g_assert_cmpuint(number, ==, i);
    }
    g_assert_false(device_extend(device, REGISTERS_HOST, 17, digest, digest, MONATT_CEL_RECORD, "x",
                                 1, &number, &err));
    g_assert_cmpint(err.code, ==, MONATT_ERROR_BUSY);
    g_assert_cmpuint(pipe_entry(device->pipe, 0)->index, ==, 1); /* nothing was written over */
    device->pipe->logged = device->pipe->synced = 1 + PIPE_SLOTS - PIPE_ENTRIES;
    g_assert_cmpuint(run(device, 1, 32, MONATT_CMD_EXTEND_SHA256), ==, MONATT_ERR_NONE);
    device_free(device);
}

static void test_states(void)
{
    Device *device = fresh();
    device->resetting = true;
    g_assert_cmpuint(rd(device, MONATT_REG_STATUS), ==, MONATT_STATUS_BUSY);
    g_assert_cmpuint(run(device, 1, 32, MONATT_CMD_EXTEND_SHA256), ==, MONATT_ERR_BUSY);
    device->resetting = false;
    device->log_failed = true;
    g_assert_cmpuint(run(device, 1, 32, MONATT_CMD_EXTEND_SHA256), ==, MONATT_ERR_BUSY);
    device->log_failed = false;
    device->tpm_gone = true;
    g_assert_cmpuint(rd(device, MONATT_REG_STATUS), ==, MONATT_STATUS_FAULT);
    g_assert_cmpuint(run(device, 1, 32, MONATT_CMD_EXTEND_SHA256), ==, MONATT_ERR_FAULT);
    device->tpm_gone = false;
    g_assert_cmpuint(run(device, 1, 32, MONATT_CMD_EXTEND_SHA256), ==, MONATT_ERR_NONE);
    g_assert_cmpuint(device->pipe->enqueued, ==, 1);
    device_free(device);
}

static void test_process_list(void)
{
    Device *device = fresh();
    g_assert_cmpuint(run(device, 0, 4, MONATT_CMD_LIST_APPEND), ==, MONATT_ERR_SEQUENCE);
    g_assert_cmpuint(run(device, 0, 4, MONATT_CMD_LIST_END), ==, MONATT_ERR_SEQUENCE);
    g_assert_cmpuint(run(device, 0, 0, MONATT_CMD_LIST_BEGIN), ==, MONATT_ERR_NONE);
    command_write(device, 0, MONATT_REG_DATA, 0x04030201, 4);
    g_assert_cmpuint(run(device, 0, 3, MONATT_CMD_LIST_APPEND), ==, MONATT_ERR_NONE);
    g_assert_cmpuint(run(device, 0, 1025, MONATT_CMD_LIST_APPEND), ==, MONATT_ERR_SIZE);
    g_assert_cmpuint(run(device, 0, UINT32_MAX, MONATT_CMD_LIST_APPEND), ==, MONATT_ERR_SIZE);
    g_assert_cmpuint(device->guest_list_size, ==, 0);
    g_assert_cmpuint(run(device, 0, 0, MONATT_CMD_LIST_END), ==, MONATT_ERR_NONE);
    g_assert_cmpmem(device->guest_list, device->guest_list_size, "\1\2\3", 3);
    /* Up to the maximum and not a byte more. */
    g_assert_cmpuint(run(device, 0, 0, MONATT_CMD_LIST_BEGIN), ==, MONATT_ERR_NONE);
    for (size_t i = 0; i < MONATT_GUEST_LIST_MAXIMUM / MONATT_DATA_SIZE; i++) {
        g_assert_cmpuint(run(device, 0, 1024, MONATT_CMD_LIST_APPEND), ==, MONATT_ERR_NONE);
    }
    g_assert_cmpuint(run(device, 0, 1, MONATT_CMD_LIST_APPEND), ==, MONATT_ERR_SIZE);
    g_assert_cmpuint(run(device, 0, 0, MONATT_CMD_LIST_END), ==, MONATT_ERR_NONE);
    g_assert_cmpuint(device->guest_list_size, ==, MONATT_GUEST_LIST_MAXIMUM);
    device_free(device);
}

static void test_nonce_is_read_only(void)
{
    Device *device = fresh();
    memset(device->command.nonce, 0xa5, MONATT_NONCE_SIZE);
    for (uint32_t i = 0; i < 32; i += 4) {
        command_write(device, 0, MONATT_REG_NONCE + i, 0, 4);
        g_assert_cmphex(rd(device, MONATT_REG_NONCE + i), ==, 0xa5a5a5a5u);
    }
    device_free(device);
}

/* Fixed seed, 300,000 accesses of any kind: the host's registers stand. */
static void test_random_accesses(void)
{
    Device *device = fresh();
    GRand *random = g_rand_new_with_seed(17);
    Registers start;
    registers_init(&start);
    for (unsigned i = 0; i < 300000; i++) {
        uint32_t offset = (uint32_t)g_rand_int_range(random, 0, 0x1100);
        uint32_t size = (uint32_t)g_rand_int_range(random, 0, 10);
        unsigned bar = g_rand_boolean(random) ? 0 : 2;
        uint64_t value = g_rand_int_range(random, 0, 40);
        if (g_rand_int_range(random, 0, 4) == 0) {
            offset = (uint32_t[]){MONATT_REG_COMMAND, MONATT_REG_INDEX,
                                  MONATT_REG_DATA_SIZE}[g_rand_int_range(random, 0, 3)];
            size = 4;
            bar = 0;
            value = offset == MONATT_REG_DATA_SIZE ? (uint64_t)g_rand_int_range(random, 0, 1100)
                                                   : value;
        }
        if (g_rand_int_range(random, 0, 3) == 0) {
            command_read(device, bar, offset, size);
        } else {
            command_write(device, bar, offset, value, size);
        }
        device->pipe->logged = device->pipe->synced = device->pipe->enqueued;
    }
    g_assert_cmpuint(device->pipe->enqueued, >, 300);
    g_assert_cmpmem(&device->registers.mr[17], 6 * sizeof(Register), &start.mr[17],
                    6 * sizeof(Register));
    g_rand_free(random);
    device_free(device);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/command/identity", test_identity);
    g_test_add_func("/command/refuses-odd-accesses", test_refuses_odd_accesses);
    g_test_add_func("/command/guest-fills-its-share-of-the-log", test_log_share);
    g_test_add_func("/command/refuses-unknown-commands", test_refuses_unknown_commands);
    g_test_add_func("/command/extend-takes-the-window", test_extend_takes_the_window);
    g_test_add_func("/command/refuses-sizes", test_refuses_sizes);
    g_test_add_func("/command/refuses-registers", test_refuses_registers);
    g_test_add_func("/command/full-pipe-is-busy", test_full_pipe_is_busy);
    g_test_add_func("/command/says-busy-and-fault", test_states);
    g_test_add_func("/command/process-list", test_process_list);
    g_test_add_func("/command/nonce-is-read-only", test_nonce_is_read_only);
    g_test_add_func("/command/random-accesses", test_random_accesses);
    return g_test_run();
}
