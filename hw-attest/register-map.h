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
#define MONATT_REG_INTERRUPT_STATUS 0x028 /* RW1C u32, MONATT_INTERRUPT_* */
#define MONATT_REG_INTERRUPT_ENABLE 0x02c /* RW u32, MONATT_INTERRUPT_* */
#define MONATT_REG_NONCE 0x040            /* RO 32 bytes, binds the guest's process list */
#define MONATT_REG_RING_ADDRESS 0x060     /* RW u64, guest-physical, multiple of a page */
#define MONATT_REG_RING_SLOTS 0x068       /* RW u32, power of two */
#define MONATT_REG_RING_CONTROL 0x06c     /* RW u32, 1 on, 0 off; reads MONATT_RING_OFF... */
#define MONATT_REG_DOORBELL 0x070         /* WO u32, any value: look at the ring */
#define MONATT_REG_RING_ERROR 0x074       /* RO u32, MONATT_ERR_*: why the ring is not on */
#define MONATT_REG_SHADOW_ADDRESS 0x078   /* RW u64, guest-physical, multiple of a page */
#define MONATT_REG_SHADOW_CONTROL 0x080   /* RW u32, as MONATT_REG_RING_CONTROL */
#define MONATT_REG_REPORT_STATE 0x084     /* RO u32, MONATT_REPORT_* */
#define MONATT_REG_REPORT_SIZE 0x088      /* RO u32, bytes of it, or MONATT_REFUSAL_* */
#define MONATT_REG_REPORT_OFFSET 0x08c    /* RW u32, where MONATT_CMD_REPORT_READ reads */
#define MONATT_REG_DATA 0x400             /* RW 1 KiB data window */
#define MONATT_DATA_SIZE 0x400

#define MONATT_MAGIC 0x5454414d /* "MATT" */

#define MONATT_CAP_SHA256 0x00000001
#define MONATT_CAP_SHA384 0x00000002
#define MONATT_CAP_PROCESS_LIST 0x00000004
#define MONATT_CAP_RING 0x00000008
#define MONATT_CAP_SHADOW 0x00000010
#define MONATT_CAP_INTERRUPT 0x00000020 /* only where the wire has a safe one */
#define MONATT_CAP_REPORT 0x00000040

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
/*
 * Evidence about this VM from the host.  BEGIN: the window holds the question, 1 to 64 bytes
 * (DATA_SIZE); an earlier report is dropped.  READ: fills the window with up to its size from
 * REPORT_OFFSET on, DATA_SIZE becomes the number of bytes.
 */
#define MONATT_CMD_REPORT_BEGIN 0x00000020
#define MONATT_CMD_REPORT_READ 0x00000021

#define MONATT_ERR_NONE 0
#define MONATT_ERR_COMMAND 1  /* no such command */
#define MONATT_ERR_INDEX 2    /* no such register */
#define MONATT_ERR_LOCALITY 3 /* the register belongs to the host */
#define MONATT_ERR_SIZE 4     /* DATA_SIZE does not fit the command */
#define MONATT_ERR_BUSY 5     /* nothing was done: try again */
#define MONATT_ERR_FAULT 6    /* nothing was done: see STATUS */
#define MONATT_ERR_SEQUENCE 7 /* APPEND or END without BEGIN */
#define MONATT_ERR_FULL 8     /* the guest's share of a log that cannot be cut is used up */
#define MONATT_ERR_ADDRESS 9  /* no RAM, never written, not aligned, or no bus mastering */

#define MONATT_INTERRUPT_RING 0x00000001 /* slots were consumed */

/* What the CONTROL registers read. */
#define MONATT_RING_OFF 0
#define MONATT_RING_ON 1
#define MONATT_RING_FAULT 2 /* off, and REG_RING_ERROR says why */

#define MONATT_REPORT_NONE 0
#define MONATT_REPORT_WAITING 1 /* the host makes it */
#define MONATT_REPORT_READY 2   /* REPORT_SIZE bytes can be read */
#define MONATT_REPORT_REFUSED 3 /* the host gives none now */

/* What REPORT_SIZE reads of a refused report. */
#define MONATT_REFUSAL_TIME 1    /* no answer within a minute */
#define MONATT_REFUSAL_NOBODY 2  /* no collector runs on the host, or it ended */
#define MONATT_REFUSAL_SESSION 3 /* the collector has no certified session */
#define MONATT_REFUSAL_USED 4    /* this question was asked before */
#define MONATT_REFUSAL_BUSY 5    /* others measure this VM: ask again */
#define MONATT_REFUSAL_LARGE 6   /* more bytes than the device takes */
#define MONATT_REFUSAL_FAILED 7  /* could not be made; the host's log says why */

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

/*
 * The submission ring: one area of guest RAM, a header page, then SLOTS slots.  The guest fills
 * slot PRODUCED mod SLOTS, then counts PRODUCED up, then rings the doorbell if WANT_DOORBELL is
 * set.  The device does the slots in order and counts CONSUMED up.  Both run freely (mod 2^32).
 */
#define MONATT_RING_SLOTS_MINIMUM 16
#define MONATT_RING_SLOTS_MAXIMUM 1024
#define MONATT_RING_HEADER_SIZE 0x1000
#define MONATT_RING_SLOT_SIZE 0x480

/* The header */
#define MONATT_RING_PRODUCED 0x000       /* RW u32, slots handed over */
#define MONATT_RING_GUEST_FLAGS 0x004    /* RW u32, MONATT_RING_WANT_INTERRUPT */
#define MONATT_RING_CONSUMED 0x040       /* RO u32, slots done */
#define MONATT_RING_DEVICE_FLAGS 0x044   /* RO u32, the other MONATT_RING_ flags */
#define MONATT_RING_RECORDS 0x048        /* RO u64, records of this boot's log, all parties' */
#define MONATT_RING_RECORDS_SYNCED 0x050 /* RO u64, of those, confirmed; may lag */

#define MONATT_RING_WANT_INTERRUPT 0x00000001 /* in GUEST_FLAGS */
#define MONATT_RING_WANT_DOORBELL 0x00000001  /* in DEVICE_FLAGS: the device sleeps */
#define MONATT_RING_FAULTED 0x00000002        /* off, see REG_RING_ERROR */
#define MONATT_RING_BUSY 0x00000004           /* the TPM is behind: slots wait */

/* A slot */
#define MONATT_SLOT_OPERATION 0x000 /* RW u16, MONATT_RING_EXTEND... */
#define MONATT_SLOT_REGISTER 0x002  /* RW u16, index */
#define MONATT_SLOT_BANKS 0x004     /* RW u16, MONATT_SLOT_BANK_* */
#define MONATT_SLOT_SIZE 0x006      /* RW u16, bytes of content */
#define MONATT_SLOT_OFFSET 0x008    /* RW u32, of the report */
#define MONATT_SLOT_RESULT 0x00c    /* RO u32, MONATT_ERR_* */
#define MONATT_SLOT_RECORD 0x010    /* RO u64, the record's number in the log */
#define MONATT_SLOT_SHA256 0x020    /* RW 32 bytes */
#define MONATT_SLOT_SHA384 0x040    /* RW 48 bytes */
#define MONATT_SLOT_CONTENT 0x080   /* RW 1 KiB */

#define MONATT_RING_EXTEND 1      /* REGISTER, BANKS, digests, SIZE bytes of content */
#define MONATT_RING_RESET 2       /* REGISTER: as MONATT_CMD_RESET_REGISTER */
#define MONATT_RING_REPORT_READ 3 /* OFFSET: the device fills CONTENT and SIZE */

#define MONATT_SLOT_BANK_SHA256 0x0001
#define MONATT_SLOT_BANK_SHA384 0x0002

/* The shadow page: BAR2's layout in a page of guest RAM, written by the device. */
#define MONATT_SHADOW_SIZE 0x1000

#endif
