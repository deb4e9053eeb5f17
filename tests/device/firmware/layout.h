/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * layout.h - where the test firmware and its memory lie; plain numbers, for the assembler too
 */
#ifndef TESTS_DEVICE_FIRMWARE_LAYOUT_H
#define TESTS_DEVICE_FIRMWARE_LAYOUT_H

#define FIRMWARE_ADDRESS 0x10000 /* linked and loaded there */
#define FIRMWARE_SECTORS 96      /* of 512 bytes, what the boot sector reads */
#define FIRMWARE_STACK 0x90000
#define FIRMWARE_MODE_OFFSET 496 /* in the boot sector: u32 mode, u32 seed */

#define MODE_CHECK 0   /* every register, command, ring, shadow page */
#define MODE_HOSTILE 1 /* random accesses, seeded, until the host ends it */

#endif
