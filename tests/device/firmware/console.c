/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * console.c - TAP on the first serial port
 */
#include "tests/device/firmware/firmware.h"

#define SERIAL 0x3f8
#define LINE_STATUS 5
#define TRANSMIT_EMPTY 0x20

static void put(char c)
{
    while (!(in8(SERIAL + LINE_STATUS) & TRANSMIT_EMPTY)) {
    }
    out8(SERIAL, (uint8_t)c);
}

void say(const char *text)
{
    while (*text) {
        put(*text++);
    }
}

void say_hex(uint32_t value, unsigned digits)
{
    for (unsigned i = digits; i > 0; i--) {
        put("0123456789abcdef"[value >> (4 * (i - 1)) & 15]);
    }
}

void say_number(uint32_t value)
{
    char digits[10];
    unsigned count = 0;
    do {
        digits[count++] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    while (count > 0) {
        put(digits[--count]);
    }
}

bool check(const char *name, uint32_t seen, uint32_t wanted)
{
    bool good = seen == wanted;
    machine.checks++;
    machine.failed += !good;
    say(good ? "ok " : "not ok ");
    say_number(machine.checks);
    say(" - ");
    say(name);
    if (!good) {
        say(": seen 0x");
        say_hex(seen, 8);
        say(", wanted 0x");
        say_hex(wanted, 8);
    }
    say("\n");
    return good;
}

void note(const char *name, uint32_t value)
{
    say("# ");
    say(name);
    say(" ");
    say_number(value);
    say("\n");
}
