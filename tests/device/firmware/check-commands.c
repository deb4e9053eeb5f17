/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * check-commands.c - each command, and each error that a guest can bring about
 */
#include "tests/device/firmware/firmware.h"

static uint32_t extends_of(uint32_t index)
{
    return load32(machine.bar2 + MONATT_BAR2_ENTRY + index * MONATT_BAR2_ENTRY_SIZE +
                  MONATT_ENTRY_EXTENDS);
}

static void check_extends(void)
{
    static const uint32_t wrong[] = {0, 31, 1025, 0x80000000, ~0u};
    check("extend SHA-256", extend(0, MONATT_CMD_EXTEND_SHA256, 1, 0), MONATT_ERR_NONE);
    check("extend SHA-384", extend(0, MONATT_CMD_EXTEND_SHA384, 2, 0), MONATT_ERR_NONE);
    check("extend both", extend(0, MONATT_CMD_EXTEND_BOTH, 3, 0), MONATT_ERR_NONE);
    check("extend with content", extend(1, MONATT_CMD_EXTEND_SHA256, 4, 100), MONATT_ERR_NONE);
    check("extend with a full window", extend(1, MONATT_CMD_EXTEND_BOTH, 5, 1024 - 80),
          MONATT_ERR_NONE);
    check("each is counted at once", extends_of(0), 3);
    for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        write0(MONATT_REG_INDEX, 2);
        write0(MONATT_REG_DATA_SIZE, wrong[i]);
        check("ERR_SIZE", command(MONATT_CMD_EXTEND_SHA256), MONATT_ERR_SIZE);
    }
    write0(MONATT_REG_DATA_SIZE, 79);
    check("ERR_SIZE: one byte less than both digests", command(MONATT_CMD_EXTEND_BOTH),
          MONATT_ERR_SIZE);
    check("ERR_INDEX", extend(REGISTERS, MONATT_CMD_EXTEND_BOTH, 6, 0), MONATT_ERR_INDEX);
    check("ERR_INDEX of all ones", extend(~0u, MONATT_CMD_EXTEND_BOTH, 6, 0), MONATT_ERR_INDEX);
    for (uint32_t i = 17; i <= 22; i++) {
        check("ERR_LOCALITY: the host's register", extend(i, MONATT_CMD_EXTEND_BOTH, 6, 0),
              MONATT_ERR_LOCALITY);
        write0(MONATT_REG_DATA_SIZE, 0);
        check("ERR_LOCALITY before ERR_SIZE", command(MONATT_CMD_EXTEND_BOTH), MONATT_ERR_LOCALITY);
    }
    check("after errors nothing happened", extends_of(2) + extends_of(17), 0);
    for (uint32_t i = 2; i < REGISTERS; i++) {
        if (i < 17 || i == 23) {
            check("each of the guest's registers", extend(i, MONATT_CMD_EXTEND_BOTH, 10 + i, i),
                  MONATT_ERR_NONE);
        }
    }
}

static void check_resets(void)
{
    static const uint32_t others[] = {0, 15, 17, 22};
    for (uint32_t i = 16; i <= 23; i += 7) {
        write0(MONATT_REG_INDEX, i);
        if (check("reset of MR16 and MR23", command(MONATT_CMD_RESET_REGISTER), MONATT_ERR_NONE)) {
            report_reset(i);
        }
    }
    for (unsigned i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        write0(MONATT_REG_INDEX, others[i]);
        check("no reset of another", command(MONATT_CMD_RESET_REGISTER), MONATT_ERR_LOCALITY);
    }
    write0(MONATT_REG_INDEX, REGISTERS);
    check("no reset of what is not there", command(MONATT_CMD_RESET_REGISTER), MONATT_ERR_INDEX);
    check("extend after the reset", extend(23, MONATT_CMD_EXTEND_SHA384, 40, 3), MONATT_ERR_NONE);
}

static void check_list(void)
{
    check("LIST_END without BEGIN", command(MONATT_CMD_LIST_END), MONATT_ERR_SEQUENCE);
    check("LIST_BEGIN", command(MONATT_CMD_LIST_BEGIN), MONATT_ERR_NONE);
    write0(MONATT_REG_DATA_SIZE, MONATT_DATA_SIZE + 1);
    check("LIST_APPEND of more than the window", command(MONATT_CMD_LIST_APPEND), MONATT_ERR_SIZE);
    write0(MONATT_REG_DATA_SIZE, MONATT_DATA_SIZE);
    check("LIST_APPEND of the window", command(MONATT_CMD_LIST_APPEND), MONATT_ERR_NONE);
    write0(MONATT_REG_DATA_SIZE, 0);
    check("LIST_APPEND of nothing", command(MONATT_CMD_LIST_APPEND), MONATT_ERR_NONE);
    check("LIST_END", command(MONATT_CMD_LIST_END), MONATT_ERR_NONE);
    check("LIST_APPEND after the end", command(MONATT_CMD_LIST_APPEND), MONATT_ERR_SEQUENCE);
    /* A list has an end. */
    uint32_t error = command(MONATT_CMD_LIST_BEGIN);
    write0(MONATT_REG_DATA_SIZE, MONATT_DATA_SIZE);
    for (uint32_t i = 0; i < 4096 && error == MONATT_ERR_NONE; i++) {
        error = command(MONATT_CMD_LIST_APPEND);
    }
    check("a list without end is cut off", error, MONATT_ERR_SIZE);
}

static void check_report(void)
{
    if (!(machine.capabilities & MONATT_CAP_REPORT)) {
        check("no reports: REPORT_BEGIN is no command", command(MONATT_CMD_REPORT_BEGIN),
              MONATT_ERR_COMMAND);
        return;
    }
    check("no report yet", read0(MONATT_REG_REPORT_STATE), MONATT_REPORT_NONE);
    check("REPORT_READ of none", command(MONATT_CMD_REPORT_READ), MONATT_ERR_SEQUENCE);
    for (uint32_t size = 0; size <= 65; size += 65) {
        write0(MONATT_REG_DATA_SIZE, size);
        check("a question has 1 to 64 bytes", command(MONATT_CMD_REPORT_BEGIN), MONATT_ERR_SIZE);
    }
    write0(MONATT_REG_DATA_SIZE, 64);
    check("REPORT_BEGIN", command(MONATT_CMD_REPORT_BEGIN), MONATT_ERR_NONE);
    uint32_t state = read0(MONATT_REG_REPORT_STATE);
    check("it waits for the host, or nobody is there",
          state == MONATT_REPORT_WAITING || state == MONATT_REPORT_REFUSED, true);
    check("not twice at once", command(MONATT_CMD_REPORT_BEGIN), MONATT_ERR_BUSY);
}

void check_commands(void)
{
    static const uint32_t unknown[] = {0, 4, 7, 9, 0x13, 0x22, 0x80000001, ~0u};
    for (unsigned i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++) {
        check("ERR_COMMAND", command(unknown[i]), MONATT_ERR_COMMAND);
    }
    check_extends();
    check_resets();
    check_list();
    check_report();
}

/* One extend again and again, by registers, until the device is busy; how many it took. */
static uint32_t extend_until_busy(uint32_t limit, uint32_t index, uint32_t size,
                                  uint32_t *ret_error)
{
    uint32_t count = 0;
    write0(MONATT_REG_INDEX, index);
    write0(MONATT_REG_DATA_SIZE, size);
    *ret_error = MONATT_ERR_NONE;
    while (count < limit && *ret_error == MONATT_ERR_NONE) {
        *ret_error = command(MONATT_CMD_EXTEND_SHA256);
        count += *ret_error == MONATT_ERR_NONE;
    }
    return count;
}

static void set_digest(uint32_t seed)
{
    uint8_t digest[32];
    fill_digest(digest, sizeof(digest), seed);
    for (unsigned i = 0; i < sizeof(digest); i += 4) {
        uint32_t word;
        __builtin_memcpy(&word, digest + i, 4);
        write0(MONATT_REG_DATA + i, word);
    }
}

/* "y …" is as "x …", with one seed for all. */
static void report_same(uint32_t index, uint32_t seed, uint32_t count)
{
    say("y ");
    say_number(index);
    say(" 1 ");
    say_number(seed);
    say(" ");
    say_number(count);
    say("\n");
}

/* The host's test stops the TPM when it reads "stop", and lets it go on at "cont". */
void check_busy(void)
{
    uint32_t error;
    set_digest(77);
    wait_synced();
    say("stop\n");
    uint32_t count = extend_until_busy(100000, 5, 32, &error);
    check("a full queue is told, as an error", error, MONATT_ERR_BUSY);
    check("and in the status", read0(MONATT_REG_STATUS), MONATT_STATUS_BUSY);
    check("what was taken waits", read0(MONATT_REG_PENDING) > 0, true);
    check("nothing else is held up: BAR2", load32(machine.bar2 + MONATT_BAR2_COUNT), REGISTERS);
    report_same(5, 77, count);
    say("cont\n");
    wait_synced();
    check("and is served again", extend(5, MONATT_CMD_EXTEND_BOTH, 78, 0), MONATT_ERR_NONE);
}

/* The host's test ends the TPM when it reads "kill". */
void check_fault(void)
{
    say("kill\n");
    uint32_t patience = 20000000;
    while (read0(MONATT_REG_STATUS) != MONATT_STATUS_FAULT && patience-- > 0) {
    }
    check("a TPM that died is a fault", read0(MONATT_REG_STATUS), MONATT_STATUS_FAULT);
    write0(MONATT_REG_INDEX, 23);
    check("ERR_FAULT", command(MONATT_CMD_RESET_REGISTER), MONATT_ERR_FAULT);
    check("of an extend too", extend(1, MONATT_CMD_EXTEND_BOTH, 1, 0), MONATT_ERR_FAULT);
}
