/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * register-map.h - the attest device as a guest sees it: PCI identity, BAR0, BAR2
 *
 * Shared by the device, monatt-guest, the drivers and the test payloads; docs/register-map.md
 * says the same in words and a test compares the two.  Plain numbers only, so that assembler
 * and the kernel can include it.  All multi-byte values are little-endian.  Accesses are 1, 2, 4
 * or 8 bytes, aligned; anything else reads all ones and is ignored when written.
 */
#ifndef MONATT_REGISTER_MAP_H
#define MONATT_REGISTER_MAP_H

#define MONATT_PCI_VENDOR 0x1234
#define MONATT_PCI_DEVICE 0xa77e
#define MONATT_PCI_CLASS 0x108000 /* encryption controller, other */
#define MONATT_MAP_VERSION 1      /* also the PCI revision */

#define MONATT_BAR0_SIZE 0x1000
#define MONATT_BAR2_SIZE 0x1000

/* BAR0: control */
#define MONATT_REG_MAGIC 0x000            /* RO u32, MONATT_MAGIC */
#define MONATT_REG_VERSION 0x004          /* RO u32, MONATT_MAP_VERSION */
#define MONATT_REG_CAPABILITIES 0x008     /* RO u32, MONATT_CAP_* */
#define MONATT_REG_STATUS 0x00c           /* RO u32, MONATT_STATUS_* */
#define MONATT_REG_COMMAND 0x010          /* WO u32, MONATT_CMD_*: the write executes it */
#define MONATT_REG_ERROR 0x014            /* RO u32, MONATT_ERR_* of the last command */
#define MONATT_REG_INDEX 0x018            /* RW u32, the register a command works on */
#define MONATT_REG_DATA_SIZE 0x01c        /* RW u32, bytes of the data window a command uses */
#define MONATT_REG_PENDING 0x020          /* RO u32, extends that swtpm has not confirmed yet */
#define MONATT_REG_BOOT_COUNT 0x024       /* RO u32, low half of the device TPM's reset count */
#define MONATT_REG_INTERRUPT_STATUS 0x028 /* RW1C u32, reserved: reads 0 */
#define MONATT_REG_INTERRUPT_ENABLE 0x02c /* RW u32, reserved: reads 0 */
#define MONATT_REG_NONCE 0x040            /* RO 32 bytes, binds the guest's process list */
#define MONATT_REG_DATA 0x400             /* RW 1 KiB data window */
#define MONATT_DATA_SIZE 0x400

#define MONATT_MAGIC 0x5454414d /* "MATT" */

#define MONATT_CAP_SHA256 0x00000001
#define MONATT_CAP_SHA384 0x00000002
#define MONATT_CAP_PROCESS_LIST 0x00000004

#define MONATT_STATUS_READY 0x00000001 /* extends are taken */
#define MONATT_STATUS_BUSY 0x00000002  /* the pipe is full or a reset is under way: ask again */
#define MONATT_STATUS_FAULT 0x00000004 /* device and TPM disagree or the TPM is gone */

/*
 * MONATT_CMD_EXTEND_*: MR[INDEX] <- H(MR[INDEX] || digest).  The data window holds the SHA-256
 * digest (32 bytes) if that bank is named, then the SHA-384 digest (48 bytes) if that bank is
 * named, then up to what is left of the window as the event's content for the log.
 */
#define MONATT_CMD_EXTEND_SHA256 0x00000001
#define MONATT_CMD_EXTEND_SHA384 0x00000002
#define MONATT_CMD_EXTEND_BOTH 0x00000003
#define MONATT_CMD_RESET_REGISTER 0x00000008 /* MR16 and MR23 only, as TPM2_PCR_Reset */
/* The guest's process list: BEGIN, any number of APPEND (window bytes), END. */
#define MONATT_CMD_LIST_BEGIN 0x00000010
#define MONATT_CMD_LIST_APPEND 0x00000011
#define MONATT_CMD_LIST_END 0x00000012

#define MONATT_ERR_NONE 0
#define MONATT_ERR_COMMAND 1  /* no such command */
#define MONATT_ERR_INDEX 2    /* no such register */
#define MONATT_ERR_LOCALITY 3 /* the register belongs to the host */
#define MONATT_ERR_SIZE 4     /* DATA_SIZE does not fit the command */
#define MONATT_ERR_BUSY 5     /* nothing was done: try again */
#define MONATT_ERR_FAULT 6    /* nothing was done: see STATUS */
#define MONATT_ERR_SEQUENCE 7 /* APPEND or END without BEGIN */
#define MONATT_ERR_FULL 8     /* the guest's share of this boot's log is used up */

/*
 * BAR2: all registers, read-only.  Read SEQUENCE, the entry, SEQUENCE again; when the two differ
 * or are odd, read again.
 */
#define MONATT_BAR2_SEQUENCE 0x000 /* RO u32 */
#define MONATT_BAR2_COUNT 0x004    /* RO u32, 24 */
#define MONATT_BAR2_ENTRY 0x100    /* entry i is at ENTRY + i * ENTRY_SIZE */
#define MONATT_BAR2_ENTRY_SIZE 0x60
#define MONATT_ENTRY_SHA256 0x00  /* 32 bytes */
#define MONATT_ENTRY_SHA384 0x20  /* 48 bytes */
#define MONATT_ENTRY_EXTENDS 0x50 /* u64, extends since the VM's reset */
#define MONATT_ENTRY_SYNCED 0x58  /* u64, of those, confirmed by the device TPM */

#endif
